"""Small faults of a source file: each mutant changes one expression or drops one statement, as text."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Mutant", "mutants_of"]

COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.RShift: ast.LShift,
    ast.LShift: ast.RShift,
}
NAMES = {"min": "max", "all": "any", "minimum": "maximum", "argmin": "argmax", "tanh": "sinh", "expm1": "exp"}
NAMES |= {new: old for old, new in NAMES.items() if old not in ("tanh", "expm1")}
# who samples, in which geometry, judged by what: words that an algorithm's row is made of
WORDS = {"policy": "mixture", "mixture": "policy", "reference": "policy", "behaviour": "policy"}
WORDS |= {"average": "policy", "behaviour-mixture": "mixture", "entropic": "plain", "reward": "preference"}
ROWS = ("left", "right", "geometry", "judge")


@dataclass(frozen=True)
class Mutant:
    """A source with one fault: bytes ``start`` to ``end`` replaced by ``text``."""

    source: bytes
    start: int
    end: int
    text: str

    @property
    def code(self) -> bytes:
        """The faulty source."""
        return self.source[: self.start] + self.text.encode() + self.source[self.end :]

    @property
    def line(self) -> int:
        """Where it is, from 1."""
        return self.source.count(b"\n", 0, self.start) + 1

    def diff(self) -> str:
        """What went and what came, on one line."""
        gone = " ".join(self.source[self.start : self.end].decode().split())
        return f"{gone}  =>  {self.text}"


def mutants_of(source: bytes) -> list[Mutant]:
    """Every mutant of a Python source that compiles, in the order of the text.

    >>> [m.diff() for m in mutants_of(b"def f(x):\\n    return x < 1\\n")]  # doctest: +NORMALIZE_WHITESPACE
    ['return x < 1  =>  return None', 'x < 1  =>  (x <= 1)', 'x < 1  =>  (x >= 1)', '1  =>  2']
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[tuple[int, int, str], Mutant] = {}
    for node, new in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        text = ast.unparse(ast.fix_missing_locations(new))
        if isinstance(new, ast.BinOp | ast.BoolOp | ast.Compare | ast.UnaryOp):
            text = f"({text})"
        mutant = Mutant(source, start, end, text)
        try:
            compile(mutant.code, "mutant", "exec")
        except SyntaxError:
            continue
        found.setdefault((start, end, text), mutant)
    return [found[key] for key in sorted(found)]


def _changes(node: ast.AST) -> Iterator[tuple[Any, Any]]:
    """(a node, what takes its place), over everything that is neither text nor a type."""
    yield from ((node, new) for new in _expressions(node))
    yield from ((node, new) for new in _statements(node))
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params") or isinstance(node, ast.JoinedStr):
            continue
        if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip, between lists of one length
            continue
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _changes(child)


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        for k, operation in enumerate(node.ops):
            for other in COMPARISONS[type(operation)]:
                yield _with(node, ops=[*node.ops[:k], other(), *node.ops[k + 1 :]])
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield _with(node, op=ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for k in range(len(node.values)):
            rest = [*node.values[:k], *node.values[k + 1 :]]
            yield _with(node, values=rest) if len(rest) > 1 else copy.deepcopy(rest[0])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield _with(node, id=NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield _with(node, attr=NAMES[node.attr])


def _constants(value: object) -> Iterator[ast.expr]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, float):
        yield ast.Constant(2.0 * value if value else 1.0)


def _statements(node: ast.AST) -> Iterator[Any]:
    if isinstance(node, ast.keyword) and node.arg in ROWS and isinstance(node.value, ast.Constant):
        if node.value.value in WORDS:
            yield ast.Name(f'{node.arg}="{WORDS[node.value.value]}"')
    elif _droppable(node):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield ast.Return(ast.Constant(None))


def _droppable(node: ast.AST) -> bool:
    """A statement whose loss leaves no name undefined."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Subscript | ast.Attribute)
    return isinstance(node, ast.AugAssign | ast.Raise | ast.Continue | ast.Break)


def _with(node: Any, **fields: Any) -> Any:
    new = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new

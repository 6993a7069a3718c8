"""Where the evidence for an identifier of the theory is, read from the sources, with the claims' own words.

The statements have one source, ``@claim``, ``@bridge_claim`` and ``@derivation``; `proofs/map.py` finds them, and the
theorems, for the map of the proofs and for this book alike.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "proofs") not in sys.path:
    sys.path.append(str(ROOT / "proofs"))

import map as proofs  # noqa: E402

CLAIMS = {"claim": ROOT / "nashlab" / "verify", "bridge_claim": ROOT / "llm_bridge" / "verify"}
IDENTIFIER = re.compile(r"\b[ELRNS]\d+[a-z]?\b")
ALL_CLAIMS = "test_the_claim_holds_and_its_wrong_twin_is_caught"


@dataclass(frozen=True)
class Place:
    """A named piece of a source file, and its first line."""

    name: str
    path: Path
    line: int

    @property
    def page(self) -> str:
        """The page of the book that shows the file."""
        return f"evidence/{self.path.relative_to(ROOT).as_posix()}"


@dataclass(frozen=True)
class Claim:
    """A claim as it is registered."""

    id: str
    statement: str
    tolerance: float | None
    twin: str | None
    place: Place
    program: str


@cache
def claims() -> tuple[Claim, ...]:
    """Every claim of both programs; the tolerance and the twin where they are written as literals."""
    found = []
    for decorator, folder in CLAIMS.items():
        program = "nashlab verify" if decorator == "claim" else "llm-bridge verify"
        for path in sorted(folder.glob("*.py")):
            for node, call in _decorated(path, decorator):
                id, statement = (str(ast.literal_eval(argument)) for argument in call.args[:2])
                given = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
                tolerance = float(given["tolerance"]) if "tolerance" in given else None
                place = Place(f"{id}: {path.stem}.{node.name}", path, call.lineno)
                twin = str(given["twin"]) if "twin" in given else None
                found.append(Claim(id, statement, tolerance, twin, place, program))
    return tuple(found)


@cache
def derivations() -> dict[str, tuple[Place, ...]]:
    """SymPy's derivations of an identifier."""
    found: dict[str, list[Place]] = {}
    for path in sorted((ROOT / "proofs" / "sympy").glob("[ELRNS][0-9]*.py")):
        for _, call in _decorated(path, "derivation"):
            id = str(ast.literal_eval(call.args[0]))
            found.setdefault(row_of(id), []).append(Place(f"{path.stem}, {id}", path, call.lineno))
    return {row: tuple(places) for row, places in found.items()}


@cache
def lemmas() -> dict[str, tuple[Place, ...]]:
    """Coq's theorems about an identifier."""
    found: dict[str, list[Place]] = {}
    for path in sorted((ROOT / "proofs" / "coq").glob("*.v")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            headline = re.match(r"\s*(?:Theorem|Lemma|Corollary)\s+([ELRNS]\d+[a-z]?_\w+)", line)
            if headline:
                found.setdefault(row_of(headline[1]), []).append(Place(headline[1], path, number))
    return {row: tuple(places) for row, places in found.items()}


@cache
def tests() -> dict[str, tuple[Place, ...]]:
    """The tests that say in words which identifier they are about; every claim of the laboratory is a case of one."""
    found: dict[str, list[Place]] = {}
    laboratory = {row_of(c.id) for c in claims() if c.program == "nashlab verify"}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                said = [ast.get_docstring(node) or ""]
                said += [line.partition("# ")[2] for line in lines[node.lineno - 1 : node.end_lineno]]
                named = set(IDENTIFIER.findall("\n".join(said)))
                for row in named | (laboratory if node.name == ALL_CLAIMS else set()):
                    found.setdefault(row, []).append(Place(node.name, path, node.lineno))
    return {row: tuple(places) for row, places in found.items()}


@cache
def rows() -> tuple[str, ...]:
    """Every identifier of which there is evidence, in the order of the theory."""
    return tuple(proofs.by_row(proofs.evidence()))


def row_of(key: str) -> str:
    """L2 of L2.iv and of L2_other_sampling_fails; "" of a claim without an identifier of the theory."""
    found = re.match(r"[ELRNS]\d+[a-z]?(?=[._ ]|$)", key)
    return "" if found is None else found[0]


def linkcode_resolve(domain: str, about: dict[str, str]) -> str | None:
    """The page of a public name's source, relative to the pages of the reference; None of a module's constant."""
    from sphinx.errors import PycodeError
    from sphinx.pycode import ModuleAnalyzer

    first, *rest = about["fullname"].split(".")
    home = getattr(getattr(sys.modules.get(about["module"]), first, None), "__module__", None)
    try:
        analyser = ModuleAnalyzer.for_module(home or about["module"])
        line = analyser.find_tags()[".".join([first, *rest])][1]
    except (PycodeError, KeyError):
        return None
    path = Path(analyser.srcname)
    return f"../{Place('', path, line).page}.html#line-{line}" if path in files() else None


@cache
def files() -> tuple[Path, ...]:
    """Every source file that the book shows: the packages, and what is evidence."""
    places = [claim.place for claim in claims()]
    for group in (derivations(), lemmas(), tests()):
        places += [place for found in group.values() for place in found]
    modules = {path for package in ("nashlab", "llm_bridge") for path in (ROOT / package).rglob("*.py")}
    return tuple(sorted({place.path for place in places} | modules))


def _decorated(path: Path, decorator: str) -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for call in getattr(node, "decorator_list", ()):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == decorator:
                assert isinstance(node, ast.FunctionDef)
                yield node, call

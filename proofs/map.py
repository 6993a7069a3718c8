"""The map of the proofs and the verification matrix:  python proofs/map.py [--results FILE ...] [--write] [--check]

An identifier of the theory is a prefix of theorem names in coq/*.v and the first argument of @derivation in sympy/*.py,
@claim in nashlab/verify/*.py and @bridge_claim in llm_bridge/verify/*.py; `L2.iv` belongs to L2.  Without options
both tables are printed.  --write puts the map between `<!-- map -->` and `<!-- /map -->` of proofs/README.md, and the
list of new statements between `<!-- paper -->` and `<!-- /paper -->` of proofs/PAPER.md.

A tick in the matrix, between `<!-- matrix -->` and `<!-- /matrix -->` of notebooks/theory/evidence.md, says that
everything in its cell was run and passed.  So ticks come from --results alone: the verify.json of `nashlab verify
--proofs` and of `llm-bridge verify`.  A cell that the results do not cover stays unchanged; a new one without results
is "not run".  --check exits 1 if a file would change.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

import paper  # noqa: E402
from check_axioms import statements  # noqa: E402

MAP, PAPER = HERE / "README.md", HERE / "PAPER.md"
MATRIX = ROOT / "notebooks" / "theory" / "evidence.md"

COLUMNS = ("SymPy", "Coq", "property tests", "bandit enumeration", "transformer enumeration")
MODULES = {"estimators": "bandit enumeration"}  # modules of nashlab.verify; all others hold property tests

TICK, CROSS = "✓", "✗"


@dataclass(frozen=True)
class Item:
    """One piece of evidence: a theorem, a derivation or a claim; ``key`` is its id in its verify.json."""

    column: str
    key: str
    name: str
    statement: str = ""

    @property
    def row(self) -> str:
        """The identifier of the theory: L2 of L2.iv and of L2_other_sampling_fails; "" if it has none."""
        found = re.match(r"[ELRNS]\d+[a-z]?(?=[._ ]|$)", self.key)
        return found[0] if found else ""


def place(row: str) -> tuple[int, int, str]:
    """The order of the theory: E, L, R, N, S, each by number."""
    number = re.match(r"([ELRNS])(\d+)", row)
    assert number is not None, row
    return "ELRNS".index(number[1]), int(number[2]), row


def registered(path: Path, decorator: str) -> Iterator[tuple[str, str]]:
    """(identifier, statement) of every ``@decorator("identifier", "statement", ...)`` of a Python source."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for call in getattr(node, "decorator_list", ()):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == decorator:
                id, statement = (ast.literal_eval(argument) for argument in call.args[:2])
                yield id, statement


@cache
def evidence() -> tuple[Item, ...]:
    """All evidence in the sources."""
    items = [
        Item("Coq", f"{s.name.split('_')[0]} coq", s.name, f"{s.module}.v")
        for s in statements(HERE / "coq")
        if s.is_headline
    ]
    for path in sorted((HERE / "sympy").glob("[ELRN][0-9]*.py")):
        items += [Item("SymPy", f"{id} sympy", path.name, text) for id, text in registered(path, "derivation")]
    for path in sorted((ROOT / "nashlab" / "verify").glob("*.py")):
        for id, text in registered(path, "claim"):
            items.append(Item(MODULES.get(path.stem, "property tests"), id, id, text))
    for path in sorted((ROOT / "llm_bridge" / "verify").glob("*.py")):
        items += [Item("transformer enumeration", id, id, text) for id, text in registered(path, "bridge_claim")]
    # theorems in the order of their file, which follows the argument; everything else by identifier
    return tuple(sorted(items, key=lambda item: "" if item.column == "Coq" else item.key))


def by_row(items: Iterable[Item]) -> dict[str, list[Item]]:
    """The evidence of every identifier, in the theory's order."""
    rows: dict[str, list[Item]] = {}
    for item in items:
        rows.setdefault(item.row, []).append(item)
    rows.pop("", None)
    return {row: rows[row] for row in sorted(rows, key=place)}


def statement(row: str, items: Sequence[Item]) -> str:
    """The row's statement: that of the numeric claim, or of the derivation; for a row of parts, that of each part."""
    numeric = [i for i in items if i.column in ("property tests", "bandit enumeration")]
    for source in (numeric, [i for i in items if i.column == "SymPy"]):
        own = [i for i in source if i.key.split()[0] == row]
        if chosen := own or source:
            parts = [i.statement if i in own else f"({i.key.split()[0].split('.')[1]}) {i.statement}" for i in chosen]
            return "; ".join(parts).replace("|", "\\|")
    return ""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A markdown table."""
    lines = [list(header), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def names(items: Iterable[Item], column: str) -> str:
    """The names of a cell, each once."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(i.name for i in items if i.column == column))


def theorems(items: Iterable[Item]) -> str:
    """The Coq cell: file by file."""
    files: dict[str, list[str]] = {}
    for item in items:
        if item.column == "Coq":
            files.setdefault(item.statement, []).append(f"`{item.name}`")
    return "; ".join(f"{file}: {', '.join(found)}" for file, found in files.items())


def map_table(items: Sequence[Item]) -> str:
    """Identifier, statement, and where each prover and check has it."""
    rows = []
    for row, found in by_row(items).items():
        numeric = [i for i in found if i.column in ("property tests", "bandit enumeration")]
        claims = ", ".join(f"`{i.name}`" for i in numeric)
        cells = (theorems(found), names(found, "SymPy"), claims, names(found, "transformer enumeration"))
        rows.append((row, statement(row, found), *cells))
    alone = ", ".join(f"`{i.name}`" for i in items if not i.row)
    header = ("", "statement", "Coq", "SymPy", "`nashlab verify`", "`llm-bridge verify`")
    return f"{table(header, rows)}\n\nClaims without their own identifier: {alone}."


Statuses = Mapping[tuple[str, str], str]  # (program, id) -> pass, fail, skipped


def program(column: str) -> str:
    """The program whose verify.json holds a column's results."""
    return "llm-bridge" if column == "transformer enumeration" else "nashlab"


def read_results(paths: Iterable[Path]) -> dict[tuple[str, str], str]:
    """The statuses in verify.json files; the bridge's file is recognised by torch among its packages."""
    statuses: dict[tuple[str, str], str] = {}
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        environment = content["environment"]
        if environment.get("canary"):
            raise SystemExit(f"{path} is of wrong twins (--canary): its passes prove nothing")
        source = "llm-bridge" if "torch" in environment["packages"] else "nashlab"
        statuses |= {(source, row["id"]): row["status"] for row in content["claims"]}
    return statuses


def cell(items: Sequence[Item], statuses: Statuses) -> str:
    """Empty if there is no evidence; a cross if anything failed; a tick if everything passed; else what is missing."""
    if not items:
        return ""
    seen = {status_of(item, statuses) for item in items}
    return next((word for word in (CROSS, "skipped", "not run") if word in seen), TICK)


def status_of(item: Item, statuses: Statuses) -> str:
    """The status of an item; a prover that is absent or does not build has one row for all of its items."""
    prover = item.column.lower()
    found = [statuses.get((program(item.column), key)) for key in (item.key, prover)]
    status = next((s for s in found if s is not None), None)
    return {"pass": TICK, "fail": CROSS, "skipped": "skipped", None: "not run"}[status]


def matrix_table(items: Sequence[Item], statuses: Statuses, before: Mapping[tuple[str, str], str]) -> str:
    """Identifiers against the five ways of checking; ``before`` holds the previous cells of the matrix."""
    rows = []
    for row, found in by_row(items).items():
        cells = []
        for column in COLUMNS:
            own = [i for i in found if i.column == column]
            untouched = all(status_of(i, statuses) == "not run" for i in own)
            kept = before.get((row, column), "") if own and untouched else ""
            cells.append(kept or cell(own, statuses))
        rows.append((row, *cells))
    note = "A tick means that at least a part of the statement is proved or checked there; proofs/README.md says which."
    return f"{table(('', *COLUMNS), rows)}\n\n{note}"


def inserted(path: Path, marker: str, text: str) -> str:
    """The file with a text between its markers."""
    parts = re.split(rf"(<!-- /?{marker} -->)", path.read_text(encoding="utf-8"))
    if parts[1::2] != [f"<!-- {marker} -->", f"<!-- /{marker} -->"]:
        raise SystemExit(f"{path.name} must have <!-- {marker} --> and then <!-- /{marker} -->, once each")
    return f"{parts[0]}{parts[1]}\n{text}\n{parts[3]}{parts[4]}"


def cells_of(path: Path) -> dict[tuple[str, str], str]:
    """(identifier, column) -> cell of the matrix in a file."""
    text = path.read_text(encoding="utf-8").partition("<!-- matrix -->")[2].partition("<!-- /matrix -->")[0]
    lines = [[c.strip() for c in line.strip().strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return {(row, column): c for row, *cells in lines for column, c in zip(COLUMNS, cells, strict=True)}


def wanted(path: Path, statuses: Statuses | None = None) -> str:
    """The content that one of the three files should have, from the sources and, for the matrix, the results."""
    items = evidence()
    if path == PAPER:
        return inserted(path, "paper", paper.text(by_row(items)))
    if path == MAP:
        return inserted(path, "map", map_table(items))
    return inserted(path, "matrix", matrix_table(items, statuses or {}, cells_of(path)))


def stale(path: Path, statuses: Statuses | None = None) -> bool:
    """Whether a file differs from its generated content."""
    return path.read_text(encoding="utf-8") != wanted(path, statuses)


def main(arguments: list[str] | None = None) -> int:
    """Print, write or check the tables."""
    parser = argparse.ArgumentParser(description="The map of the proofs and the verification matrix.")
    parser.add_argument("--write", action="store_true", help="write the tables and the list between their markers")
    parser.add_argument("--check", action="store_true", help="exit 1 if a file is not as it would be written")
    parser.add_argument("--results", type=Path, nargs="+", help="verify.json files that the matrix's ticks come from")
    options = parser.parse_args(arguments)
    statuses = None if options.results is None else read_results(options.results)
    if options.check:
        old = [path for path in (MAP, MATRIX, PAPER) if stale(path, statuses)]
        for path in old:
            print(f"{path.relative_to(ROOT)} is out of date: run python proofs/map.py --write --results FILE ...")
        return int(bool(old))
    if options.write:
        from nashlab.files import replacing

        for path in (MAP, MATRIX, PAPER):
            text = wanted(path, statuses)
            with replacing(path) as part:
                part.write_text(text, encoding="utf-8")
        return 0
    items = evidence()
    print(map_table(items), matrix_table(items, statuses or {}, cells_of(MATRIX)), sep="\n\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

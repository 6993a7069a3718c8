"""The list of new statements in PAPER.md: what each says, what checks it, what proves it; from the sources alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

BESIDES = ("E3", "E4", "L5", "L5b", "L10", "L16", "L17", "L18", "R2", "R3")
"""New statements that are not called N: sharper or corrected forms of published ones."""

PARTS = {"E1.divergence": ("E1_unique_for_any_divergence",), "E7.leader": (), "L1.grpo": ()}
"""New claims under the identifier of an older statement, and the theorems that are about them."""


def twins(folder: Path) -> dict[str, tuple[str, str]]:
    """(statement, wrong twin) of every claim in a folder of Python sources."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for call in getattr(node, "decorator_list", ()):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "claim":
                    id, statement = (ast.literal_eval(argument) for argument in call.args[:2])
                    twin = next(ast.literal_eval(k.value) for k in call.keywords if k.arg == "twin")
                    found[id] = (statement, twin)
    return found


def properties(folder: Path) -> dict[str, list[str]]:
    """Identifier -> its property tests, functions named test_n8_..., with their file."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("test_claims*.py")):
        for name, ids in re.findall(r"^def (test_((?:[elrn]\d+b?_)+)\w*)", path.read_text(encoding="utf-8"), re.M):
            for id in ids.strip("_").split("_"):
                found.setdefault(id[0].upper() + id[1:], []).append(f"`{path.name}::{name}`")
    return found


def named_open(readme: str) -> set[str]:
    """The identifiers that proofs/README.md names among what no theorem says."""
    section = readme.partition("## Not proved in Coq")[2]
    return set(re.findall(r"\*\*([ELRNS]\d+b?)\*\*", section))


def entry(id: str, statement: str, lines: Sequence[str]) -> str:
    """One statement with the evidence for it."""
    return "\n".join([f"**{id}.** {statement}.", "", *(f"- {line}" for line in lines), ""])


def entries(rows: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """The entries of all new statements; ``rows`` as :func:`map.by_row` gives them."""
    claims, tests = twins(ROOT / "nashlab" / "verify"), properties(ROOT / "tests")
    unproved = named_open((HERE / "README.md").read_text(encoding="utf-8"))
    for row, items in rows.items():
        whole = row.startswith("N") or row in BESIDES
        for id in sorted(id for id in claims if id.split(".")[0] == row and (whole or id in PARTS)):
            statement, twin = claims[id]
            first = id == row or id in PARTS
            lines = [f"claim `{id}`; wrong twin that it catches: {twin}"]
            if first and row in tests and whole:
                lines.append("property tests: " + ", ".join(tests[row]))
            sympy = [i.name for i in items if i.column == "SymPy" and (i.key.split()[0] == id or (first and whole))]
            if sympy:
                lines.append("SymPy: " + ", ".join(f"`{name}`" for name in dict.fromkeys(sympy)))
            if first:
                coq = [f"`{i.name}`" for i in items if i.column == "Coq" and (whole or i.name in PARTS[id])]
                part = " (in part: README.md says what is not proved)" if row in unproved or not whole else ""
                lines.append(f"Coq{part}: {', '.join(coq)}" if coq else "Coq: not proved")
            yield entry(id, statement, lines)


def text(rows: Mapping[str, Sequence[Any]]) -> str:
    """The generated part of PAPER.md."""
    return "\n".join(entries(rows))

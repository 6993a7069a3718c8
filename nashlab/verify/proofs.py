"""The machine-checked side: SymPy derivations and Coq theorems in the repository's ``proofs/``, as rows of the table.

Each identifier has one row for its derivations and one for its theorems.  Missing parts (Coq, or the folder itself in
an installed package) are reported as skipped, by name.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from nashlab.claims import Result, place

__all__ = ["find_proofs", "proof_results"]

IDENTIFIER = re.compile(r"^([ELRNS]\d+[a-z]?)_")


def find_proofs() -> Path | None:
    """The repository's ``proofs/``: next to the package, or in the working directory."""
    for root in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (root / "proofs" / "check_axioms.py").is_file():
            return root / "proofs"
    return None


def proof_results() -> Iterator[Result]:
    """One result per identifier and prover, each when it is ready."""
    folder = find_proofs()
    if folder is None:
        yield _skipped("proofs", "the folder proofs/ is part of the repository, not of the installed package")
        return
    yield from _derivations(folder)
    yield from _theorems(folder)


def _skipped(id: str, reason: str) -> Result:
    return Result(id, "machine-checked proofs", "skipped", 0.0, 0.0, 0, 0.0, {"skipped": reason})


def _derivations(folder: Path) -> Iterator[Result]:
    if importlib.util.find_spec("sympy") is None:
        yield _skipped("sympy", "SymPy is not installed")
        return
    command = [sys.executable, str(folder / "sympy" / "run.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent)
    if not done.stdout.strip():  # it ended before its answer: killed, or an error in a derivation
        error = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield Result("sympy", "the derivations run", "fail", 1.0, 0.0, 1, 0.0, {"error": error})
        return
    for row in json.loads(done.stdout)["derivations"]:
        good, count = row["status"] == "proved", len(row["identities"])
        failures = {"failures": row["failures"]} if row["failures"] else None
        status = "pass" if good else "fail"
        id = f"{row['id']} sympy"
        yield Result(id, row["statement"], status, 0.0 if good else 1.0, 0.0, count, row["seconds"], failures)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"nashlab_proofs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _theorems(folder: Path) -> Iterator[Result]:
    checker, began = _module(folder / "check_axioms.py"), time.perf_counter()
    try:
        verdict = checker.check()
    except checker.ProofError as error:
        absent = "not installed" in str(error)
        yield (
            _skipped("coq", str(error))
            if absent
            else Result("coq", "the proofs compile", "fail", 1.0, 0.0, 1, 0.0, {"error": str(error)})
        )
        return
    spent = time.perf_counter() - began
    grouped: dict[str, list[str]] = {}
    for statement in verdict.statements:
        if statement.is_headline and (found := IDENTIFIER.match(statement.name)):
            grouped.setdefault(found[1], []).append(statement.name)
    for id, names in sorted(grouped.items(), key=lambda item: place(item[0])):
        bad = {k: sorted(v) for k, v in verdict.offenders.items() if k.rsplit(".", 1)[-1] in names}
        status, share = ("fail", 1.0) if bad else ("pass", 0.0)
        seconds = spent * len(names) / sum(map(len, grouped.values()))
        yield Result(f"{id} coq", ", ".join(names), status, share, 0.0, len(names), seconds, bad or None)

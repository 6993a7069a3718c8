"""Prove the derivations:  python proofs/sympy/run.py [ID ...] [--json]

Prints a row per identifier and exits with 1 if an identity is not proved or a control is not refuted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent

if str(HERE) not in sys.path:  # the scripts import `derivation` and `notation`; never this folder's parent, see load()
    sys.path.append(str(HERE))

from derivation import REGISTRY, Derivation, Report, check  # noqa: E402


def load() -> dict[str, Derivation]:
    """Import every script that is named after an identifier, and return the registry, in the theory's order.

    The scripts are loaded by path under private names: this folder is called sympy, and must not be taken for the
    library of that name.
    """
    for path in sorted(HERE.glob("[ELRN][0-9]*.py")):
        name = f"nashlab_derivation_{path.stem}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} cannot be loaded")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
    return dict(sorted(REGISTRY.items(), key=lambda item: order(item[0])))


def order(identifier: str) -> tuple[int, int, str]:
    """E1, E2, ..., L10, R1, N1: by letter as the theory has them, then by number."""
    head = identifier.split(".")[0]
    number = "".join(character for character in head[1:] if character.isdigit())
    return "ELRN".index(head[0]), int(number), identifier


def select(registry: dict[str, Derivation], identifiers: Iterable[str]) -> list[Derivation]:
    """The derivations asked for, all if none is; `L2` stands for L2.i, L2.iv, ... too."""
    wanted = list(identifiers)
    for identifier in wanted:
        if not any(identifier in (known, known.split(".")[0]) for known in registry):
            raise KeyError(f"no derivation is called {identifier}; there are {', '.join(registry)}")
    return [item for known, item in registry.items() if not wanted or {known, known.split(".")[0]} & set(wanted)]


def row(report: Report) -> str:
    return f"{report.id:14} {report.status:7} {len(report.identities):3} {report.seconds:6.2f} s  {report.statement}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Prove the symbolic derivations.", epilog="example: run.py L1 L5 N8")
    parser.add_argument("ids", nargs="*", metavar="ID", help="identifiers of the theory; none means all")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args(arguments)
    try:
        chosen = select(load(), options.ids)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    reports = []
    for item in chosen:
        reports.append(check(item))
        if not options.json:
            print(row(reports[-1]), *(f"    {failure}" for failure in reports[-1].failures), sep="\n", flush=True)
    proved = all(report.status == "proved" for report in reports)
    if options.json:
        rows = [{**vars(report), "status": report.status} for report in reports]
        print(json.dumps({"derivations": rows}, ensure_ascii=False, indent=1))
    else:
        count, seconds = sum(len(report.identities) for report in reports), sum(report.seconds for report in reports)
        print(f"{len(reports)} derivations, {count} identities, {seconds:.1f} s: {'proved' if proved else 'FAILED'}")
    return 0 if proved else 1


if __name__ == "__main__":
    sys.exit(main())

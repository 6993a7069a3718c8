"""The command line of the bridge: ``llm-bridge verify``; also ``python -m llm_bridge``.

Machine output goes to stdout, progress and errors to stderr.  Exit codes: 0 done, 1 a check failed, 2 bad input, 130
interrupted.  Nothing is fetched from a network.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro

from nashlab.display import Progress, print_json, show_claims, show_table
from nashlab.game import BadInput

__all__ = ["main"]

app = tyro.extras.SubcommandApp()

PACKAGES = ("nashlab", "torch", "transformers", "peft", "numpy")
Json = Annotated[bool, tyro.conf.arg(name="json", help="machine-readable output on stdout")]


@app.command(name="verify")
def verify_command(
    *,
    claims: Annotated[str | None, tyro.conf.arg(help="comma-separated identifiers, e.g. L1,L5 (default: all)")] = None,
    seed: int = 0,
    canary: Annotated[
        bool, tyro.conf.arg(help="replace each claim's object by a wrong twin, which must be caught")
    ] = False,
    out: Annotated[Path | None, tyro.conf.arg(help="folder of the report (default: llm-bridge-report)")] = None,
    json_output: Json = False,
) -> int:
    """Check the transformer code path against the theory on languages that can be listed; writes report.html.

    Example: llm-bridge verify
             llm-bridge verify --claims L1,L5 --canary --json
    """
    import torch

    from llm_bridge.verify import CHECKS
    from nashlab.report import claims_figure, write_verify_report
    from nashlab.verify import environment_of, recorded
    from nashlab.verify.claim import select

    torch.set_num_threads(1)  # models of two layers: a second thread costs more than it brings
    checks = select(claims, CHECKS)
    folder = out or Path("llm-bridge-canary" if canary else "llm-bridge-report")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"out = {folder}: cannot be written ({error})") from None
    numbers: dict[str, Any] = {"samples": 20, "seed": seed, "canary": canary}
    environment = environment_of(PACKAGES, **numbers)
    with Progress(len(checks)) as advance:
        rows = recorded(checks, folder, environment, advance=advance, workers=1, **numbers)
    write_verify_report(folder, rows, environment, claims_figure(rows))
    if json_output:
        print_json({"claims": [asdict(r) for r in rows], "environment": environment})
    else:
        show_claims(rows, canary)
        print(f"report: {folder / 'report.html'}", file=sys.stderr)
    return 0 if all(r.status != "fail" for r in rows) else 1


@app.command(name="methods")
def methods_command(*, json_output: Json = False) -> int:
    """List the methods that run on transformers: who samples, which objective, and what each one claims.

    Example: llm-bridge methods
    """
    from llm_bridge.objective import BRIDGED

    rows = [
        {"name": m.spec.name, "left": m.left, "right": m.right, "form": m.form, "claim": m.spec.claim}
        for m in BRIDGED.values()
    ]
    if json_output:
        print_json(rows)
        return 0
    columns = ("name", "left", "right", "form", "claim")
    show_table(columns, [[str(row[c]) for c in columns] for row in rows])
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Entry point: turn bad input into one line and exit code 2, an interrupt into 130."""
    description = "The algorithms of nashlab on transformers, exact where a language can be enumerated."
    try:
        code = app.cli(
            prog="llm-bridge", args=arguments, description=description, config=(tyro.conf.FlagCreatePairsOff,)
        )
    except BadInput as error:
        print(f"llm-bridge: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)


if __name__ == "__main__":
    main()

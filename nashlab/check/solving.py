"""SymPy works on a loss in a separate process, in parallel with the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress

from nashlab.check.loading import Source
from nashlab.check.offline import GRID
from nashlab.check.process import QUIET

__all__ = ["Solving"]


class Solving:
    """The search for the formulas of a loss in a separate process, started now; a context manager that ends it.

    On any error or timeout there is no formula; errors of the loss itself are reported by the verdict.
    """

    def __init__(self, source: Source, memory: int):
        path, name = source
        arguments = [str(path.resolve()), name or "", str(memory), ",".join(map(str, GRID))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nashlab.check.symbolic", *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | QUIET,
        )  # fmt: skip

    def found(self, tau: float, seconds: float) -> list[tuple[str, list[float | None]]]:
        """Every formula with its values at the preferences of the grid; none after ``seconds`` more."""
        with suppress(subprocess.TimeoutExpired, OSError, ValueError):
            said, _ = self._process.communicate(f"{tau!r}\n".encode(), timeout=seconds)
            return [(one["formula"], one["values"]) for one in json.loads(said or b"[]")]
        return []

    def __enter__(self) -> Solving:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()

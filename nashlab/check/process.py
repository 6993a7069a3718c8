"""A user's loss in a separate process with limits; a failure is reported with the input that caused it."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.check.evaluation import Evaluated, Fault, probe
from nashlab.check.forms import Form, Pairs, Spec
from nashlab.check.loading import Source
from nashlab.check.worker import read_frame, write_frame
from nashlab.game import BadInput

__all__ = ["QUIET", "Limits", "Subject"]

Array = NDArray[np.float64]

ARRAYS = 20.0  # seconds for a library's first array, on a busy machine
PIECES = 16  # into which pairs are split to find the one that fails; each hang costs the full time limit
QUIET = {"OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}
PIPE = 2**15  # bytes that a pipe accepts at once even if nobody reads


@dataclass(frozen=True)
class Limits:
    """Limits on the user's code.

    start   seconds until its file is loaded (torch takes seconds on a busy machine).
    call    seconds of one call.
    memory  bytes that it may allocate.
    """

    start: float = 60.0
    call: float = 10.0
    memory: int = 4 * 2**30


class Subject:
    """The loss to be checked, called in its own process; use it as a context manager.

    name, tau, form, framework, reduction  reported by the process after loading.

    Errors: BadInput if there is no such function; :class:`Fault` if its code fails, exceeds a limit, or returns NaN.
    """

    def __init__(self, source: Source, tau: float | None = None, limits: Limits | None = None):
        self.source, self.limits, self._tau = source, limits or Limits(), tau
        self._begin()

    def _begin(self) -> None:
        path, name = self.source
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        tau = "" if self._tau is None else repr(float(self._tau))
        arguments = [str(path.resolve()), name or "", tau, str(self.limits.memory)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nashlab.check.worker", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=os.environ | QUIET,
        )  # fmt: skip
        try:
            about = self._answer({}, self.limits.start, "when its file was loaded")[0]
            self.name: str = about["name"]
            self.tau: float = about["tau"]
            self.summary: str = about["summary"]
            self.form = Form(tuple(about["arguments"]), tuple(about["optional"]), None, Spec(**about["spec"]))
            first = {k: x[0] for k, x in probe(self.form).items()} | {"tau": np.array(self.tau)}
            about = self._answer(first, self.limits.call + ARRAYS, "at its first call")[0]
            self.framework: str = about["framework"]
            self.reduction: str = about["reduction"]
        except BaseException:
            self.close()
            raise

    def __call__(self, pairs: Pairs, tau: float, *, tails: bool = False) -> Evaluated:
        """The loss of each pair with its two derivatives, as :meth:`nashlab.check.evaluation.Loss.__call__`."""
        return Evaluated(**self._ask(pairs, {"tau": tau, "values": True, "tails": tails}))

    def slopes(self, pairs: Pairs, tau: float) -> tuple[Array, Array]:
        """Only the two derivatives."""
        found = self._ask(pairs, {"tau": tau, "values": False, "tails": False})
        return found["chosen"], found["rejected"]

    def _ask(self, pairs: Pairs, how: Mapping[str, Any]) -> dict[str, Array]:
        columns = {k: np.asarray(x, dtype=np.float64) for k, x in pairs.items()}
        try:
            return dict(self._exchange(columns, how, self.limits.call)[1])
        except Fault as fault:
            raise self._narrowed(fault, columns, how) from None

    def _exchange(
        self, columns: Mapping[str, Array], how: Mapping[str, Any], limit: float
    ) -> tuple[dict[str, Any], Any]:
        if sum(x.nbytes for x in columns.values()) < PIPE:
            self._send(columns, how)
        else:  # a process that does not read must not block us
            threading.Thread(target=self._send, args=(columns, how), daemon=True).start()
        return self._answer(self.form.columns(columns) | {"tau": np.array(how["tau"])}, limit, "")

    def _send(self, columns: Mapping[str, Array], how: Mapping[str, Any]) -> None:
        with suppress(OSError, ValueError):  # it has ended: reading its answer will report how
            write_frame(self._process.stdin, how, columns)  # type: ignore[arg-type]

    def _narrowed(self, fault: Fault, columns: dict[str, Array], how: Mapping[str, Any]) -> Fault:
        """The same failure with as few pairs as still cause it."""
        if all(np.ndim(x) == 0 for x in (fault.input or {}).values()):  # it names one pair
            return fault
        limit = max(0.5, self.limits.call / 5)
        while (n := len(columns["p"])) > 1:
            size = max(1, n // PIECES)
            for start in range(0, n, size):
                part = {k: x[start : start + size] for k, x in columns.items()}
                try:
                    if self._process.poll() is not None:
                        self.close()
                        self._begin()
                    self._exchange(part, how, limit)
                except Fault:
                    columns = part
                    break
            else:
                return fault
        return Fault(fault.what, {k: x[0] for k, x in self.form.columns(columns).items()}, how["tau"])

    def _answer(self, columns: Mapping[str, Any], limit: float, when: str) -> tuple[dict[str, Any], Any]:
        """The next frame within the limit; otherwise a Fault that says what happened to the process."""
        assert self._process.stdout is not None
        when = f" {when}" if when else ""
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            if not _buffered(self._process.stdout) and not ready.select(limit):
                self.close()
                raise Fault(f"did not return within {limit:g} s{when}", columns, float(columns.get("tau", np.nan)))
        frame = read_frame(self._process.stdout)  # type: ignore[arg-type]
        if frame is None:
            code = self._process.wait()
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
            last = self._last_words()
            raise Fault(f"{how}{when}{last}", columns, float(columns.get("tau", np.nan)))
        header, found = frame
        if "bad_input" in header:
            self.close()
            raise BadInput(header["bad_input"])
        if "fault" in header:
            given = header["input"]
            fault = Fault(header["fault"], columns, float(columns.get("tau", np.nan)))
            fault.input = fault.input if given == "whole" else given
            raise fault
        return header, found

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1][:200]})" if lines else ""

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            with suppress(OSError):  # data not yet sent
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _buffered(stream: Any) -> bool:
    """Whether the reader's own buffer holds bytes that the system does not report as readable."""
    os.set_blocking(stream.fileno(), False)
    try:
        return bool(stream.peek(1))
    finally:
        os.set_blocking(stream.fileno(), True)

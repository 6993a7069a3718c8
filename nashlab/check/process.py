"""A user's loss behind a wall: it runs in a process of its own, with limits, and its failures come with their input."""

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

from nashlab.check.evaluation import Evaluated, Fault
from nashlab.check.forms import Form, Pairs, Spec
from nashlab.check.loading import Source
from nashlab.check.worker import read_frame, write_frame
from nashlab.game import BadInput

__all__ = ["Limits", "Subject"]

Array = NDArray[np.float64]

PIPE = 2**15  # bytes that the system takes at once, whether or not anybody reads


@dataclass(frozen=True)
class Limits:
    """What the user's code may take.

    start   seconds until its file is loaded (torch takes seconds on a busy machine).
    call    seconds of one call.
    memory  bytes that it may allocate.
    """

    start: float = 60.0
    call: float = 10.0
    memory: int = 4 * 2**30


class Subject:
    """The loss under judgment, called in its own process; use it as a context manager.

    name, tau, form, framework, reduction  what the process says of it after loading.

    Errors: BadInput where there is no such function; :class:`Fault` where its code fails, is stopped by a limit, or
    answers with NaN.
    """

    def __init__(self, source: Source, tau: float | None = None, limits: Limits | None = None):
        self.source, self.limits, self._tau = source, limits or Limits(), tau
        self._begin()

    def _begin(self) -> None:
        path, name = self.source
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        quiet = {"OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}
        tau = "" if self._tau is None else repr(float(self._tau))
        arguments = [str(path.resolve()), name or "", tau, str(self.limits.memory)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nashlab.check.worker", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=os.environ | quiet,
        )  # fmt: skip
        self._answer({}, self.limits.start, "when its file was loaded")
        about = self._answer({}, self.limits.start, "at its first call")[0]
        self.name: str = about["name"]
        self.tau: float = about["tau"]
        self.form = Form(tuple(about["arguments"]), tuple(about["optional"]), None, Spec(**about["spec"]))
        self.framework: str = about["framework"]
        self.reduction: str = about["reduction"]
        self.summary: str = about["summary"]

    def __call__(self, pairs: Pairs, tau: float | None = None, *, tails: bool = False) -> Evaluated:
        """The loss of each pair with its two derivatives; NaN and infinity are the function's fault.

        With ``tails`` they are let through: far out, losses overflow, and the caller knows that it is far out.
        """
        return Evaluated(**self._ask(pairs, tau, values=True, finite=not tails))

    def slopes(self, pairs: Pairs, tau: float | None = None) -> tuple[Array, Array]:
        """The two derivatives alone."""
        found = self._ask(pairs, tau, values=False, finite=True)
        return found["chosen"], found["rejected"]

    def _ask(self, pairs: Pairs, tau: float | None, *, values: bool, finite: bool) -> dict[str, Array]:
        tau = self.tau if tau is None else tau
        columns = {k: np.asarray(x, dtype=np.float64) for k, x in pairs.items()}
        try:
            _, found = self._exchange(columns, tau, self.limits.call, values)
        except Fault as fault:
            raise self._narrowed(fault, columns, tau, values) from None
        for what, x in found.items() if finite else ():
            bad = np.flatnonzero(~np.isfinite(x))
            if bad.size:
                kind = "value" if what == "value" else "derivative"
                one = {k: column[bad[0]] for k, column in self.form.columns(columns).items()}
                raise Fault(f"has the {kind} {x[bad[0]]}", one, tau)
        return dict(found)

    def _exchange(
        self, columns: Mapping[str, Array], tau: float, limit: float, values: bool
    ) -> tuple[dict[str, Any], Any]:
        assert self._process.stdin is not None
        if sum(x.nbytes for x in columns.values()) < PIPE:
            self._send(columns, tau, values)
        else:  # a deaf process must not block us
            threading.Thread(target=self._send, args=(columns, tau, values), daemon=True).start()
        return self._answer(self.form.columns(columns) | {"tau": np.array(tau)}, limit, "")

    def _send(self, columns: Mapping[str, Array], tau: float, values: bool) -> None:
        with suppress(OSError, ValueError):  # it has ended: reading its answer says how
            write_frame(self._process.stdin, {"tau": tau, "values": values}, columns)  # type: ignore[arg-type]

    def _narrowed(self, fault: Fault, columns: dict[str, Array], tau: float, values: bool) -> Fault:
        """The same failure with as few pairs as still bring it about."""
        limit = max(0.5, self.limits.call / 5)
        while (n := len(columns["p"])) > 1:
            for half in (slice(0, n // 2), slice(n // 2, n)):
                part = {k: x[half] for k, x in columns.items()}
                try:
                    if self._process.poll() is not None:
                        self._begin()
                    self._exchange(part, tau, limit, values)
                except Fault:
                    columns = part
                    break
            else:
                return fault
        return Fault(fault.what, {k: x[0] for k, x in self.form.columns(columns).items()}, tau)

    def _answer(self, columns: Mapping[str, Any], limit: float, when: str) -> tuple[dict[str, Any], Any]:
        """The next frame within the limit; what has gone wrong with the process otherwise."""
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
            with suppress(OSError):  # what was still to be sent
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _buffered(stream: Any) -> bool:
    """Whether bytes that the system does not announce are waiting in the reader's own buffer."""
    os.set_blocking(stream.fileno(), False)
    try:
        return bool(stream.peek(1))
    finally:
        os.set_blocking(stream.fileno(), True)

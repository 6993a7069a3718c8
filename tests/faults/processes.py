"""Commands in processes of their own, which may be killed, interrupted, or starved at a chosen file operation."""

from __future__ import annotations

import atexit
import errno
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Ended", "Fault", "Running", "start"]

LIMIT = 240.0
"""Seconds after which a command counts as hanging."""

LOADED = ["numpy", "scipy.optimize", "scipy.special", "matplotlib.figure", "matplotlib.backends.backend_agg",
          "pyarrow.parquet", "torch", "torch.utils.tensorboard", "transformers.models.llama.modeling_llama",
          "transformers.models.auto.modeling_auto", "peft", "accelerate", "safetensors.torch", "tokenizers",
          "llm_bridge.experiment.pipeline", "llm_bridge.experiment.report", "llm_bridge.verify", "nashlab.display",
          "nashlab.plots",
          "tyro", "numba", "nashlab.ranking", "nashlab.equilibrium.batch"]  # fmt: skip
"""What a warm process has imported before it begins; jax is left out, it does not survive a fork."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong inside a process.

    die    file operation, counted from 1, before which it is killed;  full  from which on the disk is full.
    under  the folder whose operations count;  jump  seconds that the clock jumps, to and fro, at every other reading.
    """

    under: Path
    die: int = 0
    full: int = 0
    jump: float = 0.0
    log: Path | None = None

    def install(self) -> None:
        """In the process that is to fail."""
        if self.jump:
            _jumping(self.jump)
        inside, seen = f"{self.under}/", 0
        log = None if self.log is None else os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            if not _writes(event, arguments) or not f"{_place(arguments[0])}/".startswith(inside):
                return
            seen += 1
            if log is not None:
                os.write(log, f"{seen} {event} {arguments[0]}\n".encode())
            if seen == self.die:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.full and seen >= self.full and event not in ("os.remove", "os.rmdir", "shutil.rmtree"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

        sys.addaudithook(hook)


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        _, mode, flags = arguments
        return bool(set(mode or "") & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "shutil.copyfile")


def _place(path: Any) -> str:
    """An open file has no place, it was counted when it was opened."""
    return "" if isinstance(path, int) or path is None else os.path.abspath(os.fsdecode(path))


def _jumping(seconds: float) -> None:
    real, calls = time.time, iter(range(10**9))
    time.time = lambda: real() + seconds * (next(calls) % 2 or -1)


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: by a signal), what it said on stderr, seconds, processes left over."""

    code: int
    error: str
    seconds: float
    left: tuple[int, ...] = ()


class Running:
    """A command at work; leads a session of its own."""

    def __init__(self, process: Any, error: Path) -> None:
        self._process, self._error, self._began = process, error, time.monotonic()
        self.pid: int = process.pid

    def send(self, number: int, everyone: bool = False) -> None:
        """A signal to the command, or, as a terminal does, to all of its processes."""
        with suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(self.pid, number)

    def lives(self) -> bool:
        """Whether it has not ended."""
        return _code(self._process) is None

    def wait(self, limit: float = LIMIT) -> Ended:
        """Until the end; one that hangs is killed and ends with code -9 and a note."""
        while self.lives() and time.monotonic() < self._began + limit:
            time.sleep(0.01)
        took, note = time.monotonic() - self._began, ""
        if self.lives():
            self.send(signal.SIGKILL, everyone=True)
            note = f"Traceback: none, it hung for {limit:.0f} s\n"
            while self.lives():
                time.sleep(0.01)
        left = self._left()
        self.send(signal.SIGKILL, everyone=True)
        return Ended(_code(self._process), self._error.read_text(errors="replace") + note, took, left)

    def _left(self, patience: float = 5.0) -> tuple[int, ...]:
        """Processes of the session that are still there a while after its leader has ended."""
        limit = time.monotonic() + patience
        while (found := _session(self.pid)) and time.monotonic() < limit:
            time.sleep(0.05)
        return found


def _code(process: Any) -> Any:
    if isinstance(process, subprocess.Popen):
        return process.poll()
    return process.exitcode


def _session(leader: int) -> tuple[int, ...]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (place / "stat").read_text().rsplit(")", 1)[1].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(place.name))
    return tuple(found)


def start(words: list[str], folder: Path, *, fault: Fault | None = None, warm: bool = True) -> Running:
    """``python -m`` these words in a folder; warm: in a process that has the libraries loaded already.

    A fault needs a warm process, which knows it before the command begins.
    """
    number = len(list(folder.glob("stderr-*")))
    error = folder / f"stderr-{number}"
    error.touch()
    if not warm:
        with error.open("w") as file:
            process: Any = subprocess.Popen([sys.executable, "-m", *words], cwd=folder, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=file, start_new_session=True)  # fmt: skip
        return Running(process, error)
    process = _warm().Process(target=_enter, args=(words, folder, error, fault))
    process.start()
    return Running(process, error)


def _warm() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def _enter(words: list[str], folder: Path, error: Path, fault: Fault | None) -> None:
    os.setsid()
    os.chdir(folder)
    nowhere = os.open(os.devnull, os.O_RDWR)
    where = os.open(error, os.O_WRONLY | os.O_APPEND)
    for old, new in ((0, nowhere), (1, nowhere), (2, where)):
        os.dup2(new, old)
    if fault is not None:
        fault.install()
    sys.argv = words
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a forked process leaves them out, a command does not


def until(ready: Callable[[], bool], running: Running, limit: float = LIMIT) -> None:
    """Wait for something to be there, or the command to end."""
    end = time.monotonic() + limit
    while running.lives() and not ready() and time.monotonic() < end:
        time.sleep(0.005)

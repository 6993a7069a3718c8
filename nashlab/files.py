"""Files and folders that are written atomically, and values in the form of JSON."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import select
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

__all__ = [
    "alone",
    "appearing",
    "part_of",
    "plain",
    "read_bytes",
    "read_source",
    "replacing",
    "replacing_folder",
    "sha256_of",
]


# a pipe without a writer must not hold us up; Windows knows neither flag, and would translate line ends
READING = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


def part_of(path: Path) -> Path:
    """The temporary file of :func:`replacing`, which a process that was killed may have left.

    >>> part_of(Path("a.png")).name
    '.a.png.part'
    """
    return path.with_name(f".{path.name}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that is renamed to ``path`` when the block ends, and removed if the block fails."""
    part = part_of(path)
    try:
        with _system_errors():
            yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):  # the first error counts
            part.unlink(missing_ok=True)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill that gets its name when the block ends; the first of two writers wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with _system_errors():
            yield part
        if not folder.exists():
            os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that replaces ``folder`` when the block ends; until then the old one keeps its name.

    Folders cannot be exchanged in one step: a process killed in between leaves the old one under a temporary name, and
    the next block restores it.
    """
    part, before = (folder.with_name(f".{folder.name}.{what}") for what in ("part", "before"))
    _put_back(before, folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with _system_errors():
            yield part
        if folder.exists():
            os.replace(folder, before)
        os.replace(part, folder)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        _put_back(before, folder)
        shutil.rmtree(part, ignore_errors=True)


def _put_back(before: Path, folder: Path) -> None:
    """Restore a replaced folder if nothing has its name; otherwise remove it."""
    if before.exists() and not folder.exists():
        os.replace(before, folder)
    shutil.rmtree(before, ignore_errors=True)


def read_bytes(path: Path, limit: int, patience: float = 10.0) -> bytes:
    """The content of a file or a pipe, up to ``limit`` bytes; a silent pipe is given up after ``patience`` seconds.

    Errors: OSError, also for folders, devices, overlong files, and pipes without a writer.
    """
    handle = os.open(path, READING)
    with os.fdopen(handle, "rb", buffering=0) as file:
        mode = os.fstat(handle).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise OSError(errno.EINVAL, "is neither a file nor a pipe")
        pieces, size = [], 0
        while piece := _piece(file, stat.S_ISFIFO(mode), patience):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise OSError(errno.EFBIG, f"is longer than {limit >> 20} MiB")
    return b"".join(pieces)


def read_source(source: str, limit: int) -> bytes:
    """The content of a file or a pipe, or of standard input for ``-``, up to ``limit`` bytes.

    Errors: OSError, also if standard input is closed.
    """
    if source != "-":
        return read_bytes(Path(source), limit)
    if sys.stdin is None or sys.stdin.closed:
        raise OSError(errno.EBADF, "standard input is closed")
    data = bytes(sys.stdin.buffer.read(limit + 1))
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"is longer than {limit >> 20} MiB")
    return data


def _piece(file: Any, pipe: bool, patience: float) -> bytes:
    """The next bytes; a pipe is waited for."""
    end = time.monotonic() + patience
    while True:
        if pipe and os.name != "nt" and not select.select([file], [], [], max(0.0, end - time.monotonic()))[0]:
            raise OSError(errno.ETIMEDOUT, f"has sent nothing for {patience:g} s")
        piece = file.read(2**20)
        if piece is not None:
            return bytes(piece)


@contextmanager
def _system_errors() -> Iterator[None]:
    """Turn the errors of libraries written in Rust, for example on a full disk, into OSError."""
    try:
        yield
    except Exception as error:
        code = re.search(r"\(os error (\d+)\)", str(error))
        if code is None or isinstance(error, OSError):
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Exclusive use of a folder among processes; a killed process leaves no lock behind.

    Raises BlockingIOError if another process is inside such a block.
    """
    from filelock import FileLock, Timeout

    with ExitStack() as held:
        try:
            held.enter_context(FileLock(folder / ".lock").acquire(blocking=False))
        except Timeout:
            raise BlockingIOError(f"{folder} is being written by another process") from None
        except NotImplementedError:  # a file system without locks
            pass
        yield


def sha256_of(path: Path) -> str:
    """The checksum of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """A value in the form of JSON: no NaN (null), arrays as lists, Fractions as "p/q", dataclasses by their fields.

    A field whose default is None is omitted while it is None.

    >>> import numpy as np
    >>> plain({"p": Fraction(1, 3), "gap": float("nan"), "x": np.array([1.0])})
    {'p': '1/3', 'gap': None, 'x': [1.0]}
    """
    import numpy as np

    if is_dataclass(value) and not isinstance(value, type):
        held = {f.name: getattr(value, f.name) for f in fields(value)}
        optional = {f.name for f in fields(value) if f.default is None}
        return {name: plain(v) for name, v in held.items() if v is not None or name not in optional}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Fraction):
        return _ratio(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _ratio(value: Fraction) -> str:
    try:
        return str(value)
    except ValueError:  # Python prints integers of up to 4,300 digits
        from flint import fmpq

        return str(fmpq(value.numerator, value.denominator))

"""Files and folders that appear whole or not at all, and values as JSON has them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["alone", "appearing", "plain", "replacing", "sha256_of"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to that takes the name ``path`` when the block ends, and disappears if it fails."""
    part = path.with_name(f".{path.name}.part")
    try:
        with _system_errors():
            yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):  # what went wrong before counts
            part.unlink(missing_ok=True)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill that takes its name when the block ends; the first of two writers wins."""
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
def _system_errors() -> Iterator[None]:
    """Libraries written in Rust have errors of their own for what the system refuses, such as a full disk."""
    try:
        yield
    except Exception as error:
        code = re.search(r"\(os error (\d+)\)", str(error))
        if code is None or isinstance(error, OSError):
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No other process is inside such a block for this folder; one that is killed leaves nothing locked.

    Raises BlockingIOError where another one is.
    """
    from filelock import FileLock, Timeout

    with ExitStack() as held:
        try:
            held.enter_context(FileLock(folder / ".lock").acquire(blocking=False))
        except Timeout:
            raise BlockingIOError(f"{folder} is being written by another process, must be left to it") from None
        except NotImplementedError:  # a file system without locks
            pass
        yield


def sha256_of(path: Path) -> str:
    """The checksum of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """A value as JSON has it: no NaN (null), arrays as lists, Fractions as "p/q".

    >>> import numpy as np
    >>> plain({"p": Fraction(1, 3), "gap": float("nan"), "x": np.array([1.0])})
    {'p': '1/3', 'gap': None, 'x': [1.0]}
    """
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value

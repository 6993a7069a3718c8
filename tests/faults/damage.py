"""Damage to files, and disks that are too small or cannot be written to."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["DAMAGES", "can_mount", "kinds", "small_disk"]


def _cut(path: Path, rng: random.Random) -> str:
    size = path.stat().st_size
    left = rng.choice([0, size // 2, max(0, size - 1)])
    os.truncate(path, left)
    return f"{left} of {size} bytes are left of {path.name}"


def _flip(path: Path, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    if not content:
        return "an empty file has no bit"
    place, bit = rng.randrange(len(content)), rng.randrange(8)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place} of {len(content)} of {path.name}"


DAMAGES: dict[str, Callable[[Path, random.Random], str]] = {"cut": _cut, "flip": _flip}


def kinds(out: Path) -> dict[str, list[str]]:
    """Every file by its kind: paths that differ in hashes, numbers and names of methods alone are of one kind."""
    found: dict[str, list[str]] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(out))
            kind = re.sub(r"-[0-9a-f]{12,16}", "-#", name)
            kind = re.sub(r"\d{4,}[^/]*$", "#", re.sub(r"step-\d+", "step-#", kind))
            kind = re.sub(r"(online-ipo|egpo|offline-dpo|omd|ipo-md)-#", "METHOD-#", kind)
            found.setdefault(kind, []).append(name)
    return found


def can_mount() -> bool:
    """Whether this process may mount a file system (it takes root, and a kernel that lets it)."""
    if os.geteuid() != 0:
        return False
    place = Path(f"/tmp/mount-{os.getpid()}")
    place.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", str(place)], check=True)
        return done.returncode == 0
    finally:
        place.rmdir()


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A file system of so many bytes; the function changes its size, and makes it read-only at 0."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], check=True)

    def change(size: int) -> None:
        how = f"remount,rw,size={size}" if size else "remount,ro"
        subprocess.run(["mount", "-o", how, str(place)], check=True)

    try:
        yield change
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)

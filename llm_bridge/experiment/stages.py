"""Stages of an experiment as folders.

A stage is a folder named after what it was made from, which appears when it is complete; so a second run finds what is
there, a changed setting makes again what depends on it and nothing else, and a killed stage goes on from its last
checkpoint.  It keeps the checksums of its files: a stage that was damaged is made again, with a warning.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nashlab.files import alone, appearing, plain, sha256_of

__all__ = ["Stages", "file_sha256", "read_json"]

Advance = Callable[[str], object]


class Stages:
    """Folders by what they were made from."""

    def __init__(self, folder: Path, advance: Advance = lambda name: None) -> None:
        self.folder, self.advance = folder, advance
        self._asked: dict[str, Path] = {}

    def place(self, name: str, about: Mapping[str, Any]) -> Path:
        """Where a stage made from this is, or will be."""
        folder = f"{name}-{_key(plain(about))}"
        return self._asked.setdefault(folder, self.folder / folder)

    def made(self, name: str, about: Mapping[str, Any], make: Callable[[Path, Path], None]) -> Path:
        """The stage's folder; ``make(folder to fill, folder that survives a kill)`` where it is not there yet."""
        place = self.place(name, about)
        if not self.finished(place):
            work = _work_of(place)
            work.mkdir(parents=True, exist_ok=True)
            with alone(work):
                if not self.finished(place):  # another process may have made it meanwhile
                    _clear(place)
                    with appearing(place) as part:
                        _fill(part, work, about, make)
        self.tidy(place)
        self.advance(name)
        return place

    def finished(self, place: Path) -> bool:
        """Whether the stage is there and undamaged."""
        return place.exists() and _damage(place) is None

    def tidy(self, *places: Path) -> None:
        """Remove what a kill has left of stages that are complete; without places, of all that were asked for."""
        for place in places or self._asked.values():
            if place.exists():
                shutil.rmtree(_work_of(place), ignore_errors=True)

    def seconds(self) -> dict[str, float]:
        """How long each stage took that was asked for."""
        return {k: read_json(place / "stage.json")["seconds"] for k, place in self._asked.items() if place.exists()}


def _work_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.unfinished")


def _clear(place: Path) -> None:
    """Make room for a stage: what kills have left half copied goes, and so does a damaged one."""
    for half in place.parent.glob(f".{place.name}.*"):
        shutil.rmtree(half, ignore_errors=True)
    if place.exists():
        text = f"{place} is damaged ({_damage(place)}) and is made again"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        shutil.rmtree(place)


def _fill(part: Path, work: Path, about: Mapping[str, Any], make: Callable[[Path, Path], None]) -> None:
    """Make a stage, and write down what it was made from, how long it took, and the checksums of its files."""
    started = time.perf_counter()
    make(part, work)
    # copied: killed before the folder appears, they are still where a second run looks for them
    if (work / "metrics.jsonl").exists():
        shutil.copyfile(work / "metrics.jsonl", part / "metrics.jsonl")
    sums = {str(p.relative_to(part)): sha256_of(p) for p in sorted(part.rglob("*")) if p.is_file()}
    if (work / "tensorboard").exists():  # nothing is computed from it
        shutil.copytree(work / "tensorboard", part / "tensorboard")
    facts = {"about": plain(about), "seconds": time.perf_counter() - started, "sha256": sums}
    (part / "stage.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _damage(place: Path) -> str | None:
    """What is wrong with a stage, or None."""
    try:
        facts = read_json(place / "stage.json")
        if _key(facts["about"]) != place.name.rpartition("-")[2] or not isinstance(facts["seconds"], float):
            return "stage.json does not describe it"
        for name, digest in facts["sha256"].items():
            if file_sha256(place / name) != digest:
                return f"{name} does not agree with its checksum"
    except OSError as error:
        return f"{Path(str(error.filename)).name} cannot be read"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "stage.json cannot be read"
    return None


def _key(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, computed once for each state of it: many stages ask."""
    state = path.stat()
    return _sha256(path, state.st_mtime_ns, state.st_size)


@cache
def _sha256(path: Path, changed: int, size: int) -> str:
    return sha256_of(path)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

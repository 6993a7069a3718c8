"""Stages of an experiment as folders.

A stage is a folder named after its inputs that appears when it is complete.  So a second run finds the finished stages,
a changed setting remakes only what depends on it, and a killed stage resumes from its last checkpoint.  It keeps the
checksums of its files: a damaged stage is made again, with a warning.
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
    """Stage folders, named after their inputs."""

    def __init__(self, folder: Path, advance: Advance = lambda name: None) -> None:
        self.folder, self.advance = folder, advance
        self._asked: dict[str, Path] = {}

    def place(self, name: str, about: Mapping[str, Any]) -> Path:
        """The folder of a stage with these inputs, existing or not."""
        folder = f"{name}-{_key(plain(about))}"
        return self._asked.setdefault(folder, self.folder / folder)

    def made(self, name: str, about: Mapping[str, Any], make: Callable[[Path, Path], None]) -> Path:
        """The stage's folder; if missing, made by ``make(folder to fill, folder that survives a kill)``."""
        place = self.place(name, about)
        if not self.finished(place):
            work = _work_of(place)
            work.mkdir(parents=True, exist_ok=True)
            with alone(work):
                if not self.finished(place):  # another process may have made it in the meantime
                    _clear(place)
                    with appearing(place) as part:
                        _fill(part, work, about, make)
        self.tidy(place)
        self.advance(name)
        return place

    def finished(self, place: Path) -> bool:
        """Whether the stage exists undamaged."""
        return place.exists() and _damage(place) is None

    def tidy(self, *places: Path) -> None:
        """Remove leftovers of kills from complete stages; without arguments, from all requested ones."""
        for place in places or self._asked.values():
            if place.exists():
                shutil.rmtree(_work_of(place), ignore_errors=True)

    def seconds(self) -> dict[str, float]:
        """The duration of each requested stage."""
        return {k: read_json(place / "stage.json")["seconds"] for k, place in self._asked.items() if place.exists()}


def _work_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.unfinished")


def _clear(place: Path) -> None:
    """Make room for a stage: remove half-copied folders of killed runs, and a damaged stage."""
    for half in place.parent.glob(f".{place.name}.*"):
        shutil.rmtree(half, ignore_errors=True)
    if place.exists():
        text = f"{place} is damaged ({_damage(place)}) and is made again"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        shutil.rmtree(place)


def _fill(part: Path, work: Path, about: Mapping[str, Any], make: Callable[[Path, Path], None]) -> None:
    """Make a stage, and record its inputs, its duration, and the checksums of its files."""
    started = time.perf_counter()
    make(part, work)
    # copied, so that after a kill before the folder appears a second run still finds them
    if (work / "metrics.jsonl").exists():
        shutil.copyfile(work / "metrics.jsonl", part / "metrics.jsonl")
    sums = {str(p.relative_to(part)): sha256_of(p) for p in sorted(part.rglob("*")) if p.is_file()}
    if (work / "tensorboard").exists():  # nothing is computed from it
        shutil.copytree(work / "tensorboard", part / "tensorboard")
    facts = {"about": plain(about), "seconds": time.perf_counter() - started, "sha256": sums}
    (part / "stage.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _damage(place: Path) -> str | None:
    """The damage of a stage, or None."""
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
    """The SHA-256 of a file, cached for each state of it, because many stages ask."""
    state = path.stat()
    return _sha256(path, state.st_mtime_ns, state.st_size)


@cache
def _sha256(path: Path, changed: int, size: int) -> str:
    return sha256_of(path)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

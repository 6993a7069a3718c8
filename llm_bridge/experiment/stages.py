"""Stages of an experiment as folders.

A stage is a folder named after what it was made from, which appears when it is complete; so a second run finds what is
there, a changed setting makes again what depends on it and nothing else, and a killed stage goes on from its last
checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nashlab.files import appearing, plain
from nashlab.game import BadInput

__all__ = ["Stages", "read_json"]

Advance = Callable[[str], object]


class Stages:
    """Folders by what they were made from."""

    def __init__(self, folder: Path, advance: Advance = lambda name: None) -> None:
        self.folder, self.advance = folder, advance
        self._asked: dict[str, Path] = {}

    def place(self, name: str, about: Mapping[str, Any]) -> Path:
        """Where a stage made from this is, or will be."""
        key = hashlib.sha256(json.dumps(plain(about), sort_keys=True).encode()).hexdigest()[:12]
        return self._asked.setdefault(f"{name}-{key}", self.folder / f"{name}-{key}")

    def made(self, name: str, about: Mapping[str, Any], make: Callable[[Path, Path], None]) -> Path:
        """The stage's folder; ``make(folder to fill, folder that survives a kill)`` where it is not there yet."""
        place = self.place(name, about)
        work = place.with_name(f"{place.name}.unfinished")
        if not place.exists():
            started = time.perf_counter()
            work.mkdir(parents=True, exist_ok=True)
            with _alone(work), appearing(place) as part:
                make(part, work)
                facts = {"about": plain(about), "seconds": time.perf_counter() - started}
                (part / "stage.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
                # copied: killed before the folder appears, they are still where a second run looks for them
                if (work / "metrics.jsonl").exists():
                    shutil.copyfile(work / "metrics.jsonl", part / "metrics.jsonl")
                if (work / "tensorboard").exists():
                    shutil.copytree(work / "tensorboard", part / "tensorboard")
        shutil.rmtree(work, ignore_errors=True)  # also what a kill has left of a stage that was complete
        self.advance(name)
        return place

    def seconds(self) -> dict[str, float]:
        """How long each stage took that was asked for."""
        return {k: read_json(place / "stage.json")["seconds"] for k, place in self._asked.items() if place.exists()}


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Nobody else works in this folder inside the block; a process that is killed leaves nothing locked."""
    lock = FileLock(work / "lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(f"{work} is being made by another process, must be left to it") from None
    except NotImplementedError:  # a file system without locks
        pass
    try:
        yield
    finally:
        lock.release()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

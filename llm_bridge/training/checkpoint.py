"""Checkpoints: a folder with tensors, facts and their checksums, written atomically.

    step-00000040/    tensors.safetensors    facts.json    sha256.json

A folder gets its name when it is complete, so the process may be killed at any time.  A file damaged later disagrees
with its checksum: that checkpoint is skipped with a warning, and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nashlab.files import appearing, sha256_of

__all__ = ["Checkpoint", "checksum", "discard", "latest", "save"]

TENSORS, FACTS, SUMS = "tensors.safetensors", "facts.json", "sha256.json"
KEPT = 2


class Checkpoint(NamedTuple):
    """The saved state: the number of steps done, tensors by name, and other JSON data."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint under ``folder`` and remove all but the last two; returns its folder.

    An undamaged one of the same step is kept.  Later checkpoints are removed, since the run is now here, and so are
    half- written ones.
    """
    from safetensors.torch import save_file

    place = _place(folder, checkpoint.step)
    for late in (p for p in _places(folder) if p.name > place.name):
        shutil.rmtree(late, ignore_errors=True)
    for half in folder.glob(".step-*"):
        shutil.rmtree(half, ignore_errors=True)
    if place.exists() and _damage(place) is None:
        return place
    shutil.rmtree(place, ignore_errors=True)
    with appearing(place) as part:
        save_file({name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}, part / TENSORS)
        facts = json.dumps({"step": checkpoint.step, **checkpoint.facts}, indent=1)
        (part / FACTS).write_text(facts, encoding="utf-8")
        (part / SUMS).write_text(json.dumps({name: sha256_of(part / name) for name in (TENSORS, FACTS)}))
    for old in _places(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def latest(folder: Path, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The last undamaged checkpoint under ``folder``, or None; a warning names damaged ones."""
    from safetensors.torch import load_file

    for place in _places(folder):
        if (reason := _damage(place)) is not None:
            warnings.warn(f"{place}: {reason}; the checkpoint before it is used", RuntimeWarning, stacklevel=2)
            continue
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        return Checkpoint(facts.pop("step"), load_file(place / TENSORS, device=str(device)), facts)
    return None


def checksum(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """The SHA-256 of tensors with their names, types and shapes, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(repr((name, values.dtype, tuple(values.shape))).encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def discard(folder: Path, step: int) -> None:
    """Remove the checkpoint of this step, if there is one."""
    shutil.rmtree(_place(folder, step), ignore_errors=True)


def _place(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def _places(folder: Path) -> list[Path]:
    """Checkpoints, latest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _damage(place: Path) -> str | None:
    """The damage of a checkpoint, or None."""
    try:
        sums = json.loads((place / SUMS).read_text(encoding="utf-8"))
        wrong = [name for name in (TENSORS, FACTS) if sha256_of(place / name) != sums[name]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"is incomplete ({error})"
    return f"{wrong[0]} does not agree with its checksum" if wrong else None

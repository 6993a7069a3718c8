"""A short campaign: a few moments of each kind, with HYPOTHESIS_PROFILE=deep; ``campaign.py --moments 50`` is long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import FAULTS, campaign
from damage import can_mount, small_disk
from memory import ALLOWED, WORK, growth
from processes import start
from scenes import SCENES, Scene

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")

ROOT = ("full", "readonly")
"""Faults that need the right to mount a file system."""

CARELESS = Scene("careless", ("faults_careless", "out"), {}, r"part-.*\.txt", again=(), program="careless")


def guilty(scene: Scene, fault: str, moments: int, folder: Path) -> list[str]:
    """What went wrong."""
    if fault in ROOT and not can_mount():
        pytest.skip("mounting a file system takes root")
    (_, tally), *_ = campaign(scene, [fault], moments, 0, folder)
    assert tally.compared > 0 or tally.wrong
    return tally.wrong


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "together"])
def test_a_careless_command_is_found_guilty(fault: str, tmp_path: Path) -> None:
    """The canary of every fault."""
    assert guilty(CARELESS, fault, 6, tmp_path)


@pytest.mark.parametrize("fault", ["damage", "full"])
def test_sweeps_lose_nothing(fault: str, tmp_path: Path) -> None:
    assert guilty(SCENES["sweep"], fault, 3, tmp_path) == []


@pytest.mark.parametrize("fault", ["operations", "readonly"])
def test_experiments_lose_nothing(fault: str, tmp_path: Path) -> None:
    assert guilty(SCENES["run"], fault, 2, tmp_path) == []


@pytest.mark.parametrize("fault", ["kill", "starved"])
def test_training_loses_nothing(fault: str, tmp_path: Path) -> None:
    assert guilty(SCENES["train"], fault, 2, tmp_path) == []


@pytest.mark.skipif(not can_mount(), reason="mounting a file system takes root")
def test_a_small_disk_is_small(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2**16) as change:
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "disk" / "x").write_bytes(bytes(2**17))
        change(0)
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "disk" / "y").touch()
        change(2**18)
        (tmp_path / "disk" / "x").write_bytes(bytes(2**17))


def leaking(count: int) -> Iterator[None]:
    """The canary: a hundredth of a megabyte is kept each time."""
    kept = []
    for _ in range(count):
        kept.append(bytes(range(256)) * 40)
        yield


def test_memory_does_not_grow() -> None:
    for name in ("lotteries", "equilibria", "balls", "verdicts"):
        work, count = WORK[name]
        first, last = growth(work, count // 5)
        assert last - first < ALLOWED, (name, first, last)
    first, last = growth(leaking, 1000)
    assert last - first > ALLOWED


def test_a_process_that_hangs_is_told(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(60)")
    ended = start(["sleeps"], tmp_path, warm=False).wait(limit=0.5)
    assert ended.code == -9
    assert "it hung" in ended.error

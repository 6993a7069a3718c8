"""Faults at many moments: what is lost, what differs from the undisturbed run, what is not one clear line.

    python tests/faults/campaign.py --moments 50
    python tests/faults/campaign.py --only run --faults kill,damage --seed 3

Prints a table of counts by scene and fault, and every failure with the folder in which it can be looked at.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from damage import DAMAGES, kinds, small_disk
from processes import Ended, Fault, Running, start, until
from scenes import SCENES, Scene

__all__ = ["FAULTS", "Tally", "Undisturbed", "campaign"]

KILLS_IN_A_ROW = 5
GOOD = {0: "done", 1: "failed", 2: "refused", 130: "interrupted"}


@dataclass
class Tally:
    """Of one scene under one fault: tries by how they ended, complete runs compared, and what went wrong."""

    ended: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    kept: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0

    def count(self, end: Ended) -> None:
        """How one command ended."""
        how = f"signal {-end.code}" if end.code < 0 else GOOD.get(end.code, f"code {end.code}")
        self.ended[how] = self.ended.get(how, 0) + 1
        self.slowest = max(self.slowest, end.seconds)

    def check(self, right: bool, what: str) -> None:
        """One more thing that must be so."""
        if not right:
            self.wrong.append(what)


@dataclass
class Undisturbed:
    """A run that nobody disturbed: its outcome, how long it took, when its first file was there."""

    scene: Scene
    folder: Path
    outcome: dict[str, Any]
    seconds: float
    first: float
    bytes: int

    @classmethod
    def of(cls, scene: Scene, folder: Path) -> Undisturbed:
        """Run it once to load what is shared, and once for the record."""
        for _ in range(2):
            shutil.rmtree(folder / "out", ignore_errors=True)
            scene.prepare(folder)
            running = start(scene.command(folder), folder)
            began = time.monotonic()
            until(lambda: any((folder / "out").rglob("*")), running)
            first = time.monotonic() - began
            end = running.wait()
            if end.code != 0:
                raise RuntimeError(f"{scene.name} fails undisturbed: {end.error}")
        out = folder / "out"
        size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
        return cls(scene, folder, scene.outcome(out), end.seconds, first, size)


class Trial:
    """One folder in which a scene is run under faults."""

    def __init__(self, whole: Undisturbed, folder: Path, tally: Tally, warm: bool = True) -> None:
        self.whole, self.scene, self.folder, self.tally, self.warm = whole, whole.scene, folder, tally, warm
        self.out = folder / "out"
        self.scene.prepare(folder)

    def begin(self, fault: Fault | None = None) -> Running:
        """The command, as a user would give it here."""
        return start(self.scene.command(self.folder), self.folder, fault=fault, warm=self.warm)

    def ended(self, end: Ended, *allowed: int) -> Ended:
        """Check how a command ended: its code, one line where it is not 0, no traceback, no process left."""
        tally, where = self.tally, f"{self.folder}: "
        tally.count(end)
        tally.check(end.code in allowed, f"{where}ended with {end.code}, not {allowed}: {_last(end.error)}")
        tally.check("Traceback" not in end.error, f"{where}a traceback: {_last(end.error)}")
        tally.check(not end.left, f"{where}processes {end.left} are left")
        if end.code in (1, 2, 130):
            program = f"{self.scene.program}: "
            said = [line for line in end.error.splitlines() if not line.startswith(f"{program}warning: ")]
            ours = [line for line in said if line.startswith(program)]
            tally.check(len(ours) == 1 and said[-1:] == ours, f"{where}not one clear line but {end.error[-400:]!r}")
        return end

    def completed(self) -> None:
        """Go on undisturbed; everything that was finished is still there, and the outcome is the same bit for bit."""
        before = self.scene.kept(self.out) if self.out.exists() else {}
        self.compare(self.ended(self.begin().wait(), 0), before)

    def compare(self, end: Ended, before: dict[str, str]) -> None:
        """The outcome of a run that says it is done."""
        if end.code != 0:
            return
        tally, where = self.tally, f"{self.folder}: "
        after = self.scene.kept(self.out)
        lost = [p for p, digest in before.items() if after.get(p) != digest]
        tally.check(not lost, f"{where}was finished and is lost or another: {lost[:3]}")
        tally.kept += len(before)
        tally.check((found := difference(self.scene.outcome(self.out), self.whole.outcome)) is None,
                    f"{where}differs from the undisturbed run: {found}")  # fmt: skip
        tally.check(not (left := self.scene.litter(self.out)), f"{where}left behind: {left[:3]}")
        tally.compared += 1

    def moment(self, rng: random.Random) -> float:
        """Seconds from the start of the command; nine of ten while it works on its files."""
        first, whole = self.whole.first, self.whole.seconds
        return rng.uniform(0, first) if rng.random() < 0.1 else rng.uniform(first, whole)


def difference(found: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """The first path that is missing, too many or different."""
    for path in sorted(found.keys() | expected.keys()):
        if path not in found or path not in expected:
            return f"{path} is {'missing' if path not in found else 'new'}"
        if found[path] != expected[path]:
            return f"{path}: {str(found[path])[:150]} for {str(expected[path])[:150]}"
    return None


def _last(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-3:])[-300:]


# -- faults ----------------------------------------------------------------------------------------------------------

Make = Callable[[], Trial]


def signalled(number: int, everyone: bool) -> Callable[[Make, int, random.Random], None]:
    """Stopped at random moments, up to five times in a row in one folder, then completed; a moment that comes after the
    end does not count, unless most do."""

    def fault(make: Make, moments: int, rng: random.Random) -> None:
        done, tries = 0, 0
        # before a command has begun, a signal ends it as it ends any process
        allowed = (0, -number) if number == signal.SIGKILL else (0, 130, -number)
        while done < moments and tries < 3 * moments:
            trial = make()
            for _ in range(min(KILLS_IN_A_ROW if trial.scene.resumable else 1, moments - done)):
                tries += 1
                before = trial.scene.kept(trial.out)
                running = trial.begin()
                end = time.monotonic() + trial.moment(rng)
                until(lambda end=end: time.monotonic() > end, running)
                running.send(number, everyone)
                ended = trial.ended(running.wait(), *allowed)
                done += ended.code != 0
                if ended.code == 0:
                    trial.compare(ended, before)
                    break
            else:
                _complete(trial)

    return fault


def _complete(trial: Trial) -> None:
    if trial.scene.resumable:
        trial.completed()
        return
    for path, content in trial.scene.outcome(trial.out).items():  # what is there is part of the whole
        if path == "verify.json":
            claims = trial.whole.outcome[path]["claims"]
            trial.tally.check(all(c in claims for c in content["claims"]), f"{trial.folder}: {path} is another")
        else:
            trial.tally.check(content == trial.whole.outcome[path], f"{trial.folder}: {path} is another")
    trial.tally.compared += 1


def operations(make: Make, moments: int, rng: random.Random) -> None:
    """Killed just before chosen operations on files: every one of them, or a sample of as many as there are moments."""
    for k in _operations(make, moments, rng):
        trial = make()
        trial.ended(trial.begin(Fault(trial.out, die=k)).wait(), -signal.SIGKILL, 0)
        _complete(trial)


def starved(make: Make, moments: int, rng: random.Random) -> None:
    """From some operation on files on, the disk is full; needs no rights."""
    for k in _operations(make, moments, rng):
        trial = make()
        trial.ended(trial.begin(Fault(trial.out, full=k)).wait(), 2)
        _complete(trial)


def _operations(make: Make, moments: int, rng: random.Random) -> list[int]:
    trial = make()
    log = trial.folder / "operations"
    trial.ended(trial.begin(Fault(trial.out, log=log)).wait(), 0)
    count = len(log.read_text().splitlines())
    return sorted(rng.sample(range(1, count + 1), min(moments, count)))


def full(make: Make, moments: int, rng: random.Random) -> None:
    """A real file system that is too small, and is then made large."""
    for _ in range(max(1, moments // 3)):
        trial = make()
        size = int(trial.whole.bytes * rng.uniform(0.0, 1.0)) + 4096
        with small_disk(trial.out, size) as enlarge:
            trial.ended(trial.begin().wait(), 2, 0)
            enlarge(10 * trial.whole.bytes + 2**24)
            _complete(trial)


def readonly(make: Make, moments: int, rng: random.Random) -> None:
    """Nothing can be written, from the start or in the middle; afterwards all is as it was."""
    for begun in (False, True):
        trial = make()
        with small_disk(trial.out, 2**28) as change:
            if begun and trial.scene.resumable:
                trial.ended(trial.begin(Fault(trial.out, die=_middle(trial, rng))).wait(), -signal.SIGKILL, 0)
            before = trial.scene.kept(trial.out)
            change(0)
            trial.ended(trial.begin().wait(), 2)
            change(2**28)
            trial.tally.check(trial.scene.kept(trial.out) == before, f"{trial.folder}: changed what is read-only")
            _complete(trial)


def _middle(trial: Trial, rng: random.Random) -> int:
    return rng.randint(10, 30)


def damage(make: Make, moments: int, rng: random.Random) -> None:
    """Files of every kind that is written, cut off or with a bit turned round: made again, or refused in one line; of
    a finished and of an interrupted run, half as many each as there are moments."""
    if not make().scene.resumable:
        return
    for begun in (False, True):
        first = make()
        fault = Fault(first.out, die=_middle(first, rng)) if begun else None
        first.ended(first.begin(fault).wait(), 0, -signal.SIGKILL)
        template = first.folder.parent / ("begun" if begun else "done")
        shutil.copytree(first.out, template)
        cases = list(itertools.product(kinds(template).values(), DAMAGES.values()))
        for paths, harm in rng.sample(cases, min(len(cases), moments // 2)):
            trial = make()
            shutil.copytree(template, trial.out)
            path = trial.out / rng.choice(paths)
            what = harm(path, rng)
            before = len(trial.tally.wrong)
            end = trial.ended(trial.begin().wait(), 0, 2)
            trial.tally.check(end.code != 2 or path.name in end.error or path.parent.name in end.error,
                              f"{trial.folder}: does not say which file: {_last(end.error)}")  # fmt: skip
            trial.compare(end, {})
            trial.tally.wrong[before:] = [f"{wrong} [{what}]" for wrong in trial.tally.wrong[before:]]


def together(make: Make, moments: int, rng: random.Random) -> None:
    """Two processes on one folder, the second one soon after the first: one is done, the other is done or refused."""
    for _ in range(max(2, moments // 8)):
        trial = make()
        first = trial.begin()
        delay = time.monotonic() + rng.uniform(0, trial.whole.seconds)
        until(lambda delay=delay: time.monotonic() > delay, first)
        second = trial.begin()
        ends = [trial.ended(first.wait(), 0, 2), trial.ended(second.wait(), 0, 2)]
        trial.tally.check(any(e.code == 0 for e in ends), f"{trial.folder}: neither of two was done")
        trial.completed() if trial.scene.resumable else _complete(trial)


def clock(make: Make, moments: int, rng: random.Random) -> None:
    """The clock jumps by days at every reading, and what was written comes from tomorrow or from long ago."""
    for _ in range(max(2, moments // 10)):
        trial = make()
        jump = rng.choice([-1, 1]) * rng.uniform(1, 4e5)
        die = _middle(trial, rng) if trial.scene.resumable else 0
        trial.ended(trial.begin(Fault(trial.out, die=die, jump=jump)).wait(), -signal.SIGKILL, 0)
        for path in trial.out.rglob("*"):
            moment = time.time() + rng.uniform(-1e8, 1e8)
            os.utime(path, (moment, moment))
        before = trial.scene.kept(trial.out)
        trial.compare(trial.ended(trial.begin(Fault(trial.out, jump=-jump)).wait(), 0), before)


FAULTS: dict[str, Callable[[Make, int, random.Random], None]] = {
    "kill": signalled(signal.SIGKILL, everyone=False),
    "interrupt": signalled(signal.SIGINT, everyone=True),
    "terminate": signalled(signal.SIGTERM, everyone=False),
    "operations": operations,
    "starved": starved,
    "full": full,
    "readonly": readonly,
    "damage": damage,
    "together": together,
    "clock": clock,
}


def campaign(scene: Scene, faults: list[str], moments: int, seed: int, work: Path) -> Iterator[tuple[str, Tally]]:
    """The tally of every fault, as it is ready; folders of failures are left under ``work``."""
    # compiled code is kept: a sweep is then mostly its own work
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(work / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    whole = Undisturbed.of(scene, work / scene.name / "undisturbed")
    print(f"{scene.name}: {whole.seconds:.1f} s undisturbed, {whole.bytes / 1e3:.0f} kB", flush=True)
    for name in faults:
        tally = Tally()
        began = time.monotonic()
        with _folders(work / scene.name / name, tally) as next_folder:
            FAULTS[name](lambda folder=next_folder, t=tally: Trial(whole, folder(), t), moments,
                         random.Random(f"{seed} {scene.name} {name}"))  # fmt: skip
        tally.seconds = time.monotonic() - began
        yield name, tally


@contextmanager
def _folders(place: Path, tally: Tally) -> Iterator[Callable[[], Path]]:
    """Numbered folders; those in which nothing went wrong go away when the next one is asked for."""
    made: list[tuple[Path, int]] = []

    def close() -> None:
        if made and len(tally.wrong) == made[-1][1]:
            shutil.rmtree(made[-1][0], ignore_errors=True)

    def following() -> Path:
        close()
        made.append((place / f"{len(made):03d}", len(tally.wrong)))
        made[-1][0].mkdir(parents=True)
        return made[-1][0]

    yield following
    close()


def main() -> int:
    """Run what is asked for; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--only", default=",".join(SCENES), help="of " + ", ".join(SCENES))
    parser.add_argument("--faults", default=",".join(FAULTS), help="of " + ", ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=None, help="where it happens (default: a temporary folder)")
    options = parser.parse_args()
    # a shell lets what runs in its background ignore Ctrl-C, and so would every command under test
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work = options.work or Path(tempfile.mkdtemp(prefix="faults-"))
    wrong = 0
    for name in options.only.split(","):
        for fault, tally in campaign(SCENES[name], options.faults.split(","), options.moments, options.seed, work):
            ends = ", ".join(f"{count} {how}" for how, count in sorted(tally.ended.items()))
            print(f"{name:10} {fault:10} {ends}; {tally.compared} compared, {tally.kept} finished files kept; "
                  f"{len(tally.wrong)} wrong; slowest {tally.slowest:.0f} s; {tally.seconds / 60:.1f} min",
                  flush=True)  # fmt: skip
            for what in tally.wrong:
                print(f"    {what}", flush=True)
            wrong += len(tally.wrong)
    print(f"{wrong} wrong; folders: {work}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

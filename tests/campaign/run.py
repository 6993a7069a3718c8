"""The deep campaign: a million games against nashlab, judged by an oracle that shares nothing with it.

    python tests/campaign/run.py --games 1000000 --seed 0 [--only FAMILY ...] [--workers 2] [--json FILE]
    python tests/campaign/run.py --case "edges:19"        one game again, with all that was found

Three quarters of the games come in batches of 50 (4 ms of one core each, with their proofs and truths), the others one
by one from every family of attacks.py (23 ms), in turns, so that an interrupted run has seen them all: by CPU time a
million games are 75-90 minutes of two idle cores, 10,000 one minute.  Ctrl-C (or SIGTERM) prints what there is, and the
JSON file is renewed all the while.  Exit code 1 if anything was found.  What is checked on which games: judge.py.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks import ATTACKS, BATCH, SELDOM, draw, draw_batch  # noqa: E402
from judge import judge, judge_batch  # noqa: E402

from nashlab.files import plain, replacing  # noqa: E402

CHUNK = 25  # games, or one batch, that a worker takes at a time
BATCHES = "batches"
FAMILIES = (BATCHES, *ATTACKS)
EXAMPLES = 3  # of each kind of fault and family, described in full
SHOWN_EVERY = 5.0  # seconds between two lines of progress


@dataclass
class Tally:
    """What came out of one family."""

    games: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tightest: dict[str, float] = field(default_factory=dict)
    widest: dict[str, float] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")

    def add(self, other: Tally) -> None:
        self.games += other.games
        for example in other.examples:
            if self.faults[example["fault"]] + sum(e["fault"] == example["fault"] for e in self.examples) < EXAMPLES:
                self.examples.append(example)
        self.faults.update(other.faults)
        self.counts.update(other.counts)
        for mine, theirs in ((self.tightest, other.tightest), (self.widest, other.widest)):
            for key, value in theirs.items():
                mine[key] = max(mine.get(key, 0.0), value)
        self.slowest = max(self.slowest, other.slowest)


def one(family: str, seed: int, index: int) -> Tally:
    """Game ``index`` of a family, or a whole batch."""
    if family == BATCHES:
        case, games = draw_batch(seed, index), BATCH
        verdict = judge_batch(case)
    else:
        case, games = draw(family, seed, index), 1
        verdict = judge(case)
    examples = [case.describe() | {"fault": k, "came": came, "right": right} for k, came, right in verdict.faults]
    slowest = (verdict.seconds, case.describe()["case"])
    faults = Counter(kind for kind, _, _ in verdict.faults)
    return Tally(games, faults, examples, verdict.counts, verdict.tightest, verdict.widest, slowest)


def chunk(family: str, seed: int, start: int, stop: int) -> Tally:
    """Games start to stop − 1 of a family; runs in a worker."""
    tally = Tally()
    for index in range(start, stop):
        tally.add(one(family, seed, index))
    return tally


def shares(games: int, families: list[str]) -> dict[str, int]:
    """How many games of each family, or batches; evenly but for the families that are slow or soon said."""
    weights = {f: SELDOM.get(f, 1.0) for f in families if f != BATCHES}
    single = games // 4 if BATCHES in families and weights else games
    count = {f: math.ceil(single * w / sum(weights.values())) for f, w in weights.items()}
    return count | ({BATCHES: math.ceil((games - single * bool(weights)) / BATCH)} if BATCHES in families else {})


def tasks(count: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    """Chunks in turns: of every family the same part has been done at any time."""
    sizes = {family: 1 if family == BATCHES else CHUNK for family in count}
    chunks = {family: math.ceil(c / sizes[family]) for family, c in count.items()}
    order = sorted(((k + 0.5) / chunks[family], family, k) for family in count for k in range(chunks[family]))
    for _, family, k in order:
        yield family, k * sizes[family], min((k + 1) * sizes[family], count[family])


def campaign(
    count: dict[str, int], seed: int, workers: int, save: Callable[[dict[str, Tally], float, bool], None]
) -> tuple[dict[str, Tally], bool]:
    """(the tally of every family, whether all games were judged); ``save`` is told now and then how it stands."""
    tallies = {family: Tally() for family in count}
    total = sum(c * (BATCH if family == BATCHES else 1) for family, c in count.items())
    start, shown = time.monotonic(), 0.0
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_ignore_ctrl_c)
    todo, running = tasks(count), {}
    whole = True
    try:
        while True:
            while len(running) < 3 * workers and (task := next(todo, None)) is not None:
                family, first, last = task
                running[pool.submit(chunk, family, seed, first, last)] = task
            if not running:
                pool.shutdown()
                break
            done, _ = wait(running, timeout=SHOWN_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                _collect(future, running.pop(future), tallies)
            if time.monotonic() - shown > SHOWN_EVERY:
                shown = time.monotonic()
                _progress(tallies, total, shown - start)
                save(tallies, shown - start, False)
    except KeyboardInterrupt:
        whole = False
    except BrokenProcessPool:
        whole = False
        for family, first, last in running.values():
            tallies[family].faults["a worker died"] += 1
            tallies[family].examples.append({"fault": "a worker died", "games": f"{first} to {last - 1}"})
    finally:
        pool.shutdown(wait=whole, cancel_futures=True)
        if not whole:
            for process in list((pool._processes or {}).values()):
                process.terminate()
        sys.stderr.write("\n")
    return tallies, whole


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ignore_interrupts() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    """The first signal ends the campaign, and a second one does not end its end."""
    _ignore_interrupts()
    raise KeyboardInterrupt


def _collect(future: Future[Tally], task: tuple[str, int, int], tallies: dict[str, Tally]) -> None:
    try:
        found = future.result()
        known = len(tallies[task[0]].examples)
        tallies[task[0]].add(found)
        for example in tallies[task[0]].examples[known:]:
            sys.stderr.write(f"\n{example.get('case')}: {example['fault']}: {example['came']}\n")
    except BrokenProcessPool:
        raise
    except Exception as error:  # of the campaign's own: as bad as a fault, since games were not judged
        tallies[task[0]].faults["the campaign itself failed"] += 1
        tallies[task[0]].examples.append({"fault": "the campaign itself failed", "came": repr(error), "games": task})


def _progress(tallies: dict[str, Tally], total: int, seconds: float) -> None:
    done = sum(t.games for t in tallies.values())
    faults = sum(sum(t.faults.values()) for t in tallies.values())
    left = seconds * (total - done) / done / 60 if done else math.nan
    line = f"{done:,} of {total:,} games, {done / seconds:.0f} a second, {faults} faults, {left:.1f} minutes left"
    sys.stderr.write(f"\r{line:<90}" if sys.stderr.isatty() else line + "\n")
    sys.stderr.flush()


def table(tallies: dict[str, Tally], seconds: float) -> str:
    """Family by family: games, faults, and the worst that was right."""
    head = (
        "family",
        "games",
        "faults",
        "refused",
        "undecided",
        "stalled",
        *("d/bound τ=0", "d/bound τ>0", "widest ok", "slowest s"),
    )
    rows = [head, *((name, *_row(t)) for name, t in tallies.items() if t.games), ("all", *_row(_sum(tallies)))]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return "\n".join([*lines, f"{seconds / 60:.1f} minutes"])


def _sum(tallies: dict[str, Tally]) -> Tally:
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    return whole


def _row(t: Tally) -> tuple[str, ...]:
    def count(start: str) -> str:
        return f"{sum(c for key, c in t.counts.items() if key.startswith(start)):,}"

    def most(values: dict[str, float], *parts: str) -> str:
        found = [v for key, v in values.items() if key.startswith(parts) and "(float)" not in key]
        return f"{max(found):.3g}" if found else "-"

    stalled = sum(c for key, c in t.counts.items() if key.endswith("stalled"))
    widest = max((v for key, v in t.widest.items() if key.endswith(("converged", "exact"))), default=math.nan)
    return (
        f"{t.games:,}",
        f"{sum(t.faults.values()):,}",
        count("refused"),
        count("undecided"),
        f"{stalled:,}",
        most(t.tightest, "lottery"),
        most(t.tightest, "proof"),
        f"{widest:.1e}",
        f"{t.slowest[0]:.1f}",
    )


def report(tallies: dict[str, Tally], seed: int, workers: int, seconds: float, whole: bool) -> dict[str, Any]:
    return {
        "games": sum(t.games for t in tallies.values()),
        "faults": sum(sum(t.faults.values()) for t in tallies.values()),
        "complete": whole,
        "seed": seed,
        "workers": workers,
        "minutes": seconds / 60,
        "families": {
            name: {
                "games": t.games,
                "faults": dict(t.faults),
                "examples": t.examples,
                "counts": dict(t.counts),
                "largest distance / bound": t.tightest,
                "widest bound": t.widest,
                "slowest": t.slowest,
            }
            for name, t in tallies.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=FAMILIES, metavar="FAMILY", default=list(FAMILIES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", metavar="FAMILY:INDEX")
    options = parser.parse_args()
    if options.case:
        family, _, index = options.case.rpartition(":")
        found = one(family, options.seed, int(index))
        if family not in FAMILIES or not index.isdigit():
            parser.error(f"--case {options.case}: must be FAMILY:INDEX with a family of {', '.join(FAMILIES)}")
        print(json.dumps(found.examples or "no fault", indent=1, ensure_ascii=False))
        return 1 if found.faults else 0
    start = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)

    def save(tallies: dict[str, Tally], seconds: float, whole: bool) -> None:
        if options.json:
            found = report(tallies, options.seed, options.workers, seconds, whole)
            with replacing(options.json) as part:
                part.write_text(json.dumps(plain(found), indent=1))

    tallies, whole = campaign(shares(options.games, options.only), options.seed, options.workers, save)
    _ignore_interrupts()  # what there is can be written
    seconds = time.monotonic() - start
    save(tallies, seconds, whole)
    print(table(tallies, seconds))
    for name, tally in tallies.items():
        for example in tally.examples:
            print(f"{name}: {example['fault']}: {json.dumps(example, ensure_ascii=False)[:1500]}")
    return 1 if any(t.faults for t in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

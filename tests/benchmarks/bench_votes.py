"""Votes at the size of the large arenas, measured in one run: python tests/benchmarks/bench_votes.py

    reading     1.5 million judgments of 100 models, CSV: bar 3 s
    ranking     500 models, 2 million judgments, 1,000 tables drawn again (of judgments, and of 2,000 voters): bar 60 s
                on two cores

Wall seconds, seconds of CPU and the largest memory, of this process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from nashlab.ranking import rank
from nashlab.votes import Votes, read_votes


def arena(models: int, votes: int, voters: int = 0, seed: int = 0) -> str:
    """A log of judgments whose win rates are Bradley-Terry with a cyclic part."""
    rng = np.random.default_rng(seed)
    strength, angle = rng.normal(0, 1, models), rng.uniform(0, 2 * np.pi, models)
    first = rng.integers(0, models, votes)
    second = (first + rng.integers(1, models, votes)) % models
    lean = strength[first] - strength[second] + 0.7 * np.sin(angle[first] - angle[second])
    won = rng.random(votes) < 1 / (1 + np.exp(-lean))
    ties = rng.random(votes) < 0.1
    ended = np.where(ties, "tie", np.where(won, "model_a", "model_b"))
    columns = [first.astype("U4"), second.astype("U4"), ended]
    header = "model_a,model_b,winner"
    if voters:
        columns.append(rng.integers(0, voters, votes).astype("U5"))
        header += ",voter"
    lines = columns[0]
    for column in columns[1:]:
        lines = np.char.add(np.char.add(lines, ","), column)
    return header + "\n" + "\n".join(lines.tolist()) + "\n"


def measured(what: str, bar: float, call):  # type: ignore[no-untyped-def]
    began, cpu = time.perf_counter(), time.process_time()
    found = call()
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "linux" else 2**30)
    print(f"{what}: {seconds:.1f} s ({spent:.1f} s of CPU), bar {bar:g} s; memory at most {memory:.2f} GiB", flush=True)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:

        def written(name: str, text: str) -> str:
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            return str(path)

        small = written("small.csv", arena(100, 1_500_000))
        large = written("large.csv", arena(500, 2_000_000))
        judged = written("judged.csv", arena(500, 2_000_000, voters=2000))
        measured("reading 1.5 million judgments", 3, lambda: read_votes(small))
        votes: Votes = measured("reading 2 million judgments", 4, lambda: read_votes(large, fill="half"))
        measured("ranking 500 models, judgments drawn again", 60, lambda: rank(votes, bootstrap=1000))
        votes = measured("reading 2 million judgments of 2,000 voters", 5, lambda: read_votes(judged, fill="half"))
        measured("ranking 500 models, voters drawn again", 60, lambda: rank(votes, bootstrap=1000))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

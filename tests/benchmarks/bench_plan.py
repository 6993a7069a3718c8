"""How many votes a plan saves against asking evenly, by family of arenas: python tests/benchmarks/bench_plan.py

Ten models, six votes a pair at first (the sparse arena: half of the pairs unmet), τ = 0.1.  For each family: the error
E‖π̂ − π*‖₁ after 500 more votes by `plan`, and how many votes spread evenly reach the same error (interpolated in
log-log between 500, 1,000, 2,000, 4,000 and 8,000).  Averages over GAMES games and DRAWS draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulated_votes import counted, judged

from nashlab.equilibrium import regularised_nash
from nashlab.gallery import random_game
from nashlab.game import PreferenceGame
from nashlab.ranking import plan

Array = NDArray[np.float64]
MODELS, FIRST, BUDGET, TAU = 10, 6, 500, 0.1
GAMES, DRAWS = 4, 6
EVENLY = (500, 1000, 2000, 4000, 8000)
FAMILIES = ("plackett-luce", "bradley-terry", "mallows", "single-peaked", "cyclic", "uniform", "sparse")


def preferences(family: str, rng: np.random.Generator) -> Array:
    name = "plackett-luce" if family == "sparse" else family
    return np.asarray(random_game(name, MODELS, rng).preferences)


def spread(counts: NDArray[np.int64], more: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``more`` votes on pairs chosen evenly."""
    i, j = np.triu_indices(len(counts), 1)
    each = np.full(i.size, more // i.size) + (rng.permutation(i.size) < more % i.size)
    table = np.zeros_like(counts)
    table[i, j] = table[j, i] = each
    return table


def start(family: str, rng: np.random.Generator) -> NDArray[np.int64]:
    counts = np.full((MODELS, MODELS), FIRST)
    if family == "sparse":
        unmet = np.triu(rng.random(counts.shape) < 0.5, 1)
        counts[unmet | unmet.T] = 0
    return counts


def error(p: Array, q: Array, wins: Array, more: NDArray[np.int64], rng: np.random.Generator) -> float:
    seen = regularised_nash(counted(wins + judged(p, more, rng)).game, TAU).policy
    return float(np.abs(seen - q).sum())


def measured(family: str, seed: int = 0) -> tuple[float, float, float]:
    """(error now, after the plan, votes spread evenly that reach the latter)."""
    rng = np.random.default_rng(seed)
    now, planned, evenly = [], [], {m: [] for m in EVENLY}
    for _ in range(GAMES):
        p = preferences(family, rng)
        q = regularised_nash(PreferenceGame.from_preferences(p), TAU).policy
        for _ in range(DRAWS):
            counts = start(family, rng)
            wins = judged(p, counts, rng)
            now.append(error(p, q, wins, np.zeros_like(counts), rng))
            planned.append(error(p, q, wins, plan(counted(wins), BUDGET, temperature=TAU).judgments, rng))
            for m in EVENLY:
                evenly[m].append(error(p, q, wins, spread(counts, m, rng), rng))
    curve = np.array([np.mean(evenly[m]) for m in EVENLY])
    goal = float(np.mean(planned))
    same = float(np.exp(np.interp(-np.log(goal), -np.log(curve), np.log(EVENLY))))
    return float(np.mean(now)), goal, same


def main(say: Callable[[str], object] = print) -> None:
    say(f"{'family':<16}{'error now':>10}{'planned':>9}{'evenly':>9}{'saved':>8}")
    for family in FAMILIES:
        now, planned, same = measured(family)
        bound = ">=" if same >= EVENLY[-1] else "<=" if same <= EVENLY[0] else ""
        say(f"{family:<16}{now:>10.3f}{planned:>9.3f}{bound + format(round(same), ','):>9}{1 - BUDGET / same:>8.0%}")


if __name__ == "__main__":
    sys.exit(main())

"""Solvers against peers and physical limits, measured in one run: python tests/benchmarks/bench_solvers.py

    maximal lottery, one game     ours against HiGHS (scipy) and quantecon's compiled minmax
    maximal lottery, many games   ours against quantecon's warm minmax, game by game
    regularised equilibrium       ours against 12 matrix-vector products, and one factorisation
    exact certificate             the rational check alone

quantecon is optional: pip install "nashlab[bench]".  One thread each; medians of repeated calls, warm.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from nashlab.equilibrium import lottery_batch, maximal_lottery, regularised_nash
from nashlab.game import PreferenceGame

try:
    from quantecon.optimize import minmax
except ImportError:
    minmax = None


def timed(call: Callable[[], object], budget: float = 1.0) -> float:
    """Median seconds of a warm call."""
    call()
    spent: list[float] = []
    while sum(spent) < budget and len(spent) < 200:
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return float(np.median(spent))


def random_margins(n: int, rng: np.random.Generator) -> np.ndarray:
    upper = np.triu(rng.uniform(-0.5, 0.5, (n, n)), 1)
    return upper - upper.T


def highs(a: np.ndarray) -> np.ndarray:
    from scipy.optimize import linprog

    n = len(a)
    return np.asarray(
        linprog(
            np.r_[np.zeros(n), -1.0],
            A_ub=np.c_[a, np.ones(n)],
            b_ub=np.zeros(n),
            A_eq=np.r_[np.ones(n), 0.0][None],
            b_eq=[1.0],
            bounds=[(0, None)] * n + [(None, None)],
        ).x[:n]
    )


def lotteries(rng: np.random.Generator) -> None:
    print("maximal lottery of one random game, ms")
    print(f"{'n':>6} {'ours':>9} {'HiGHS':>9} {'ratio':>7} {'quantecon':>10} {'ratio':>7} {'gap':>9}")
    for n in (10, 30, 100, 300, 1000):
        game = PreferenceGame.from_margins(random_margins(n, rng))
        ours = timed(lambda: maximal_lottery(game, exact=False))  # noqa: B023
        began = time.perf_counter()
        highs(game.margins)
        theirs = time.perf_counter() - began if n >= 300 else timed(lambda: highs(game.margins))  # noqa: B023
        row = f"{n:>6} {ours * 1e3:>9.2f} {theirs * 1e3:>9.2f} {theirs / ours:>6.1f}x"
        if minmax is not None:
            minmax(random_margins(3, rng))
            began = time.perf_counter()
            minmax(np.array(game.margins))
            compiled = time.perf_counter() - began if n >= 1000 else timed(lambda: minmax(np.array(game.margins)))  # noqa: B023
            row += f" {compiled * 1e3:>10.3f} {compiled / ours:>6.2f}x"
        gap = float(np.max(game.margins @ maximal_lottery(game, exact=False).policy))
        print(row + f" {gap:>9.1e}")


def batches(rng: np.random.Generator) -> None:
    print("\nmaximal lotteries of many games, µs a game")
    print(f"{'n':>6} {'ours':>9} {'quantecon':>10} {'ours/theirs':>12}")
    for n, count in ((3, 5000), (10, 5000), (30, 1000)):
        games = np.stack([random_margins(n, rng) for _ in range(count)])
        ours = timed(lambda: lottery_batch(games)) / count  # noqa: B023
        row = f"{n:>6} {ours * 1e6:>9.2f}"
        if minmax is not None:
            theirs = timed(lambda: [minmax(a) for a in games]) / count  # noqa: B023
            row += f" {theirs * 1e6:>10.2f} {ours / theirs:>11.2f}x"
        print(row)


def regularised(rng: np.random.Generator) -> None:
    print("\nregularised equilibrium, ms (limit: 12 matrix-vector products)")
    print(f"{'n':>6} {'tau':>7} {'ours':>9} {'limit':>9} {'ratio':>7} {'factorisation':>14} {'bound':>9}")
    for n in (10, 100, 300, 1000, 3000):
        game = PreferenceGame.from_margins(random_margins(n, rng))
        x = np.full(n, 1.0 / n)
        product = timed(lambda: game.margins @ x, 0.3)  # noqa: B023
        system = np.eye(n) - game.margins
        factorisation = timed(lambda: np.linalg.solve(system, x), 0.5) if n <= 1000 else np.nan  # noqa: B023
        for tau in (1.0, 0.1, 0.01) if n > 1000 else (1.0, 0.1, 0.01, 1e-4, 1e-6):
            answer = regularised_nash(game, tau)
            assert answer.status.ok
            ours = timed(lambda: regularised_nash(game, tau), 0.5)  # noqa: B023
            print(
                f"{n:>6} {tau:>7g} {ours * 1e3:>9.2f} {12e3 * product:>9.2f} {ours / product / 12:>6.1f}x "
                f"{factorisation * 1e3:>14.2f} {answer.certificate.worst_l1_bound:>9.1e}"
            )
    games = PreferenceGame.from_margins(np.stack([random_margins(10, rng) for _ in range(2000)]))
    batch = timed(lambda: regularised_nash(games, 0.1)) / 2000
    print(f"in a batch of 2,000 games of 10 responses, τ = .1: {batch * 1e6:.1f} µs a game")


def exact(rng: np.random.Generator) -> None:
    print("\nexact answers on integer margins, ms")
    for n in (10, 30, 100):
        whole = np.triu(rng.integers(-1000, 1001, (n, n)), 1)
        game = PreferenceGame.from_margins(whole - whole.T)
        print(f"{n:>6} {timed(lambda: maximal_lottery(game)) * 1e3:>9.2f}")  # noqa: B023


if __name__ == "__main__":
    with threadpool_limits(1):
        generator = np.random.default_rng(0)
        lotteries(generator)
        batches(generator)
        regularised(generator)
        exact(generator)

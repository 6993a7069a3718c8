"""Solvers against peers and physical limits, measured in one run: python tests/benchmarks/bench_solvers.py

    maximal lottery, one game     ours against HiGHS (scipy) and quantecon's compiled minmax
    maximal lottery, many games   ours against quantecon's warm minmax, game by game
    regularised equilibrium       ours against 12 matrix-vector products, the least that a method of products needs
    with its proof                the same with the certificate that neglects no rounding
    products alone                games whose matrix is never formed, and their memory

One thread; CPU seconds of the best of several warm calls, since other work on the machine only ever adds to them.
quantecon is optional: pip install "nashlab[bench]".
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from page import Row, keep


def timed(call: Callable[[], object], budget: float = 1.0) -> float:
    """CPU seconds of the best warm call within the budget, of at least two."""
    spent: list[float] = []
    while len(spent) < 3 or (sum(spent) < budget and len(spent) < 2000):
        began = time.process_time()
        call()
        spent.append(time.process_time() - began)
        if spent[0] > budget:
            return min(spent)
    return min(spent[1:])


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


def lotteries(rng: np.random.Generator, minmax: Any) -> list[Row]:
    """One game, certificate included: the medians over a few games, since supports and steps differ."""
    from nashlab.equilibrium import maximal_lottery
    from nashlab.game import PreferenceGame

    rows = []
    for n, games in ((10, 9), (30, 9), (100, 9), (300, 5), (1000, 1)):
        seconds: dict[str, list[float]] = {"ours": [], "HiGHS": [], "quantecon": []}
        for _ in range(games):
            game = PreferenceGame.from_margins(random_margins(n, rng))
            answer = maximal_lottery(game, exact=False)
            assert answer.status.ok
            assert answer.certificate.rigorous
            seconds["ours"].append(timed(lambda: maximal_lottery(game, exact=False), 0.3))  # noqa: B023
            seconds["HiGHS"].append(timed(lambda: highs(game.margins), 0.3))  # noqa: B023
            if minmax is not None:
                seconds["quantecon"].append(timed(lambda: minmax(np.array(game.margins)), 0.3))  # noqa: B023
        peers = {name: float(np.median(each)) for name, each in seconds.items() if each}
        rows.append({"what": f"maximal lottery with its proof, n = {n}", "ours": peers.pop("ours"), "peers": peers})
    return rows


def batches(rng: np.random.Generator, minmax: Any) -> list[Row]:
    from nashlab.equilibrium import lottery_batch

    rows = []
    for n, count in ((3, 5000), (10, 5000), (30, 1000)):
        games = np.stack([random_margins(n, rng) for _ in range(count)])
        row: Row = {"what": f"many maximal lotteries, n = {n}, each"}
        row["ours"] = timed(lambda: lottery_batch(games)) / count  # noqa: B023
        if minmax is not None:
            row["peers"] = {"quantecon": timed(lambda: [minmax(a) for a in games]) / count}  # noqa: B023
        rows.append(row)
    return rows


def regularised(rng: np.random.Generator) -> list[Row]:
    from nashlab.equilibrium import nash, regularised_nash
    from nashlab.game import PreferenceGame

    rows = []
    for n in (10, 100, 1000, 5000):
        game = PreferenceGame.from_margins(random_margins(n, rng))
        x = np.full(n, 1.0 / n)
        limit = 12 * timed(lambda: game.margins @ x, 0.3)  # noqa: B023
        for tau in (1.0, 0.1, 0.01):
            answer = regularised_nash(game, tau)
            assert answer.status.ok
            row: Row = {"what": f"regularised equilibrium, n = {n}, τ = {tau:g}"}
            row["ours"] = timed(lambda: regularised_nash(game, tau), 0.5)  # noqa: B023
            rows.append({**row, "limits": {"12 products": limit}, "work": work(answer.stats)})
        if n <= 100:
            what = f"the same with a proof that neglects no rounding, n = {n}, τ = 0.1"
            rows.append({"what": what, "ours": timed(lambda: nash(game, 0.1), 0.5)})  # noqa: B023
    games = PreferenceGame.from_margins(np.stack([random_margins(10, rng) for _ in range(2000)]))
    batch = timed(lambda: regularised_nash(games, 0.1)) / 2000
    return [*rows, {"what": "many regularised equilibria, n = 10, τ = 0.1, each", "ours": batch}]


def products_alone(rng: np.random.Generator) -> list[Row]:
    """Rank 8, and 20 opponents a response; the peak is that of the solver, without the data."""
    from scipy.sparse import random_array

    from nashlab.equilibrium import OperatorGame, operator_nash

    rows = []
    for n in (5_000, 10_000, 1_000_000):
        u, r = rng.uniform(-1, 1, (n, 8)), rng.uniform(-1, 1, (8, 8))
        games = {"rank 8": OperatorGame.from_factors(u, (r - r.T) / 64, u)}
        if n <= 10_000:
            half = random_array((n, n), density=10 / n, rng=rng, data_sampler=lambda size: rng.uniform(-0.5, 0.5, size))
            games["20 opponents each"] = OperatorGame.from_operator((half - half.T).tocsr(), largest=1.0)
        for name, game in games.items():
            for tau in (0.1, 0.01):
                tracemalloc.start()
                answer = operator_nash(game, tau)
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert answer.status.ok
                row: Row = {"what": f"products alone, {name}, n = {n:,}, τ = {tau:g}"}
                row["ours"] = timed(lambda: operator_nash(game, tau), 0.5)  # noqa: B023
                rows.append({**row, "work": f"{work(answer.stats)}, {peak / 2**20:.1f} MiB"})
    return rows


def work(stats: dict[str, Any]) -> str:
    """What a solver did, in words."""
    counts = [(stats.get("products"), "products"), (stats.get("factorisations"), "LU")]
    return ", ".join(f"{count} {name}" for count, name in counts if count)


def measured() -> list[Row]:
    from threadpoolctl import threadpool_limits

    try:
        from quantecon.optimize import minmax

        minmax(np.zeros((3, 3)))  # compiles it
    except ImportError:
        minmax = None
    rng = np.random.default_rng(0)
    with threadpool_limits(1):
        return [*lotteries(rng, minmax), *batches(rng, minmax), *regularised(rng), *products_alone(rng)]


if __name__ == "__main__":
    keep("bench_solvers", "CPU time of one thread, the best of several calls", measured())

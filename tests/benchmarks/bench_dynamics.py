"""Updates per second of the one loop against a batched torch simulation and against the exp-bound limit.

    python tests/benchmarks/bench_dynamics.py [--games 1000] [--n 10] [--steps 1000]

Work: five algorithms (OMD, Nash-MD, MMD, EGPO, OMWU) on the same games, with the exploitability recorded at every step
and with it recorded once.  The torch side is written as such simulations are: one Python loop over steps, all games in
a batch, float64, one thread.  The limit is the time that the exponentials of the updates take alone, in the same run.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
import torch

from nashlab.algorithm import Setting
from nashlab.algorithms import REGISTRY
from nashlab.solve import simulate

ALGORITHMS = ("omd", "nash-md", "mmd", "egpo", "omwu")
TAU, ETA = 0.1, 0.1


def torch_simulation(name: str, margins: torch.Tensor, log_mu: torch.Tensor, steps: int, gaps: bool) -> torch.Tensor:
    """One algorithm, one Python loop, all games in a batch: the style of the published simulation."""

    def advantage(log_policy: torch.Tensor) -> torch.Tensor:
        return torch.bmm(margins, log_policy.exp().unsqueeze(-1)).squeeze(-1)

    def normalise(x: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(x, dim=-1)

    lp, previous = log_mu.clone(), log_mu.clone()
    for _ in range(steps):
        pulled = (1 - ETA * TAU) * lp + ETA * TAU * log_mu
        if name == "omd":
            lp = normalise(pulled + ETA * advantage(lp))
        elif name == "nash-md":
            mixture = normalise(pulled)
            lp = normalise(mixture + ETA * advantage(mixture))
        elif name == "mmd":
            lp = normalise((lp + ETA * TAU * log_mu + ETA * advantage(lp)) / (1 + ETA * TAU))
        elif name == "egpo":
            half = normalise(pulled + ETA * advantage(lp))
            lp = normalise(pulled + ETA * advantage(half))
        else:
            lp, previous = normalise(pulled + ETA * (2 * advantage(lp) - advantage(previous))), lp
        if gaps:
            reply = normalise(log_mu + advantage(lp) / TAU)
            _ = TAU * (lp.exp() * (lp - reply)).sum(-1)
    return lp


def best_of(times: int, work: Callable[[], object]) -> float:
    """The shortest of several wall-clock times, in seconds; the first run warms up."""
    work()
    seen = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seen.append(time.perf_counter() - began)
    return min(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    games, n, steps = options.games, options.n, options.steps
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    upper = np.triu(rng.uniform(-0.5, 0.5, (games, n, n)), 1)
    margins = upper - np.swapaxes(upper, -1, -2)
    log_mu = np.full((games, n), -np.log(n))
    setting = Setting(log_mu, log_mu, np.full(games, TAU), np.full(games, ETA), np.full(games, 0.125), np.zeros(games))
    updates = games * steps * len(ALGORITHMS)
    a, m = torch.tensor(margins), torch.tensor(log_mu)
    for gaps in (False, True):
        ours = best_of(
            2,
            lambda gaps=gaps: [
                simulate(REGISTRY[name], margins, setting, log_mu, steps, every=1 if gaps else steps)
                for name in ALGORITHMS
            ],
        )
        short = max(steps // 10, 1)  # a tenth of the steps: the torch loop's cost is linear in them
        theirs = 10 * best_of(1, lambda g=gaps, s=short: [torch_simulation(x, a, m, s, g) for x in ALGORITHMS])
        print(
            f"gaps {'every step' if gaps else 'at the end'}: {updates / ours / 1e6:6.2f} M updates/s, "
            f"torch loop {updates / theirs / 1e6:5.2f} M, ratio {theirs / ours:.1f}x"
        )
        check = torch_simulation("egpo", a[:5], m[:5], 50, gaps)
        same = simulate(
            REGISTRY["egpo"], margins[:5], Setting(*(np.asarray(x)[:5] for x in setting)), log_mu[:5], 50
        ).log_policy
        assert np.allclose(check.numpy(), same, atol=1e-12), "the two sides do different work"
        # exponentials of the updates: one softmax a step, two for EGPO and Nash-MD (and two more for a gap)
        calls = steps * (7 + (10 if gaps else 0))
        block = np.full((games, n), -1.0)
        sink = np.empty_like(block)
        limit = best_of(2, lambda b=block, s=sink: [np.exp(b, out=s) for _ in range(200)]) / 200 * calls
        print(f"  exp-bound limit {updates / limit / 1e6:.1f} M updates/s; we reach {limit / ours:.0%} of it")


if __name__ == "__main__":
    main()

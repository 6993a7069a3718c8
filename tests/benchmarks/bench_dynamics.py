"""Updates per second of the one loop against a torch simulation and against the exp-bound limit.

    python tests/benchmarks/bench_dynamics.py [--games 1000] [--n 10] [--steps 1000]

Work: OMD, online IPO, Nash-MD, Nash-MD-PG and EGPO on the same games, with the exploitability recorded at every step
or once.  Two torch sides, one thread each:

    autograd  as the published simulation of EGPO does it: a module of logits, a squared loss over all pairs of
              responses (a policy-gradient loss for Nash-MD-PG), ``backward``, ``SGD.step``; float32, as there
    closed    the leanest torch that we can write: closed-form updates in place, float64

The limit is the time that the exponentials of the updates take alone, in the same run.  ``--keep`` writes the table of
notebooks/background/speed.md.
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
from page import Row, keep

from nashlab.algorithm import Setting
from nashlab.algorithms import REGISTRY
from nashlab.solve import simulate

ALGORITHMS = ("omd", "online-ipo", "nash-md", "nash-md-pg", "egpo")
TAU, ETA = 0.1, 0.1
BETA = ETA * TAU  # the mixture of Nash-MD-PG: that simulation has one mixture for both


class Logits(torch.nn.Module):
    """A table of logits, [games, n]: the policy as a module."""

    def __init__(self, logits: torch.Tensor):
        super().__init__()
        self.logits = torch.nn.Parameter(logits.clone())

    def log_policy(self) -> torch.Tensor:
        return torch.log_softmax(self.logits, dim=-1)


def _wins(p: torch.Tensor, log_policy: torch.Tensor) -> torch.Tensor:
    """p(y ≻ ν) of every response, [games, n]."""
    return (p @ log_policy.detach().exp().unsqueeze(-1)).squeeze(-1)


def _spread(x: torch.Tensor) -> torch.Tensor:
    """x(y) − x(y') of all pairs."""
    return x.unsqueeze(-1) - x.unsqueeze(-2)


def _regression(log_policy: torch.Tensor, log_mu: torch.Tensor, wins: torch.Tensor) -> torch.Tensor:
    """Mean over all pairs of (h − h' − (wins − wins')/τ)²: its gradient step is a mirror step."""
    return ((_spread(log_policy - log_mu) - _spread(wins) / TAU) ** 2).mean(dim=(-2, -1)).sum()


def autograd_simulation(
    name: str, margins: torch.Tensor, log_mu: torch.Tensor, steps: int, gaps: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-policies, gaps): one algorithm by losses, backward and SGD, all games in a batch."""
    policy, p, n = Logits(log_mu), margins + 0.5, log_mu.shape[-1]
    regression = name in ("omd", "nash-md", "egpo")
    rate = ETA * TAU * n / 4 if regression else ETA * TAU / 4 if name == "online-ipo" else ETA
    optimiser = torch.optim.SGD(policy.parameters(), rate)
    recorded = torch.zeros(steps, log_mu.shape[0])
    for t in range(steps):
        if gaps:
            recorded[t] = _gap(p, policy, log_mu)
        optimiser.zero_grad()
        log_policy = policy.log_policy()
        mixture = torch.log_softmax((1 - BETA) * log_policy.detach() + BETA * log_mu, dim=-1)
        if name == "omd":
            loss = _regression(log_policy, log_mu, _wins(p, log_policy))
        elif name == "nash-md":
            loss = _regression(log_policy, log_mu, _wins(p, mixture))
        elif name == "online-ipo":
            pi = log_policy.detach().exp()
            square = (_spread(log_policy - log_mu) - (p - 0.5) / TAU) ** 2
            loss = (pi.unsqueeze(-2) @ square @ pi.unsqueeze(-1)).sum()
        elif name == "nash-md-pg":
            weight = _wins(p, mixture) - TAU * (log_policy - log_mu).detach()
            loss = -(log_policy.detach().exp() * weight * log_policy).sum()
        else:
            loss = _looked_ahead(policy, optimiser, p, log_mu)
        loss.backward()
        optimiser.step()
    return policy.log_policy().detach(), recorded


def _looked_ahead(policy: Logits, optimiser: torch.optim.Optimizer, p: torch.Tensor, log_mu: torch.Tensor):
    """EGPO's second loss: the opponent is where a first step leads, the step is taken from where we stand."""
    stand = policy.logits.detach().clone()
    log_policy = policy.log_policy()
    _regression(log_policy, log_mu, _wins(p, log_policy)).backward()
    optimiser.step()
    ahead = policy.log_policy().detach()
    with torch.no_grad():
        policy.logits.copy_(stand)
    optimiser.zero_grad()
    return _regression(policy.log_policy(), log_mu, _wins(p, ahead))


@torch.no_grad()
def _gap(p: torch.Tensor, policy: Logits, log_mu: torch.Tensor) -> torch.Tensor:
    """The duality gap J(BR, π) − J(π, BR) of every game."""

    def value(log_left: torch.Tensor, log_right: torch.Tensor) -> torch.Tensor:
        left, right = log_left.exp(), log_right.exp()
        win = (left * (p @ right.unsqueeze(-1)).squeeze(-1)).sum(-1)
        return win - TAU * (left * (log_left - log_mu)).sum(-1) + TAU * (right * (log_right - log_mu)).sum(-1)

    log_policy = policy.log_policy()
    reply = torch.log_softmax(log_mu + _wins(p, log_policy) / TAU, dim=-1)
    return value(reply, log_policy) - value(log_policy, reply)


@torch.no_grad()
def closed_simulation(
    name: str, margins: torch.Tensor, log_mu: torch.Tensor, steps: int, gaps: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-policies, gaps): the same updates in closed form."""

    def advantage(log_policy: torch.Tensor) -> torch.Tensor:
        return torch.bmm(margins, log_policy.exp().unsqueeze(-1)).squeeze(-1)

    def normalise(x: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(x, dim=-1)

    lp, recorded = log_mu.clone(), torch.zeros(steps, log_mu.shape[0], dtype=log_mu.dtype)
    for t in range(steps):
        pulled = (1 - BETA) * lp + BETA * log_mu
        if gaps:
            reply = normalise(log_mu + advantage(lp) / TAU)
            recorded[t] = 2 * TAU * (lp.exp() * (lp - reply)).sum(-1)
        if name == "omd":
            lp = normalise(pulled + ETA * advantage(lp))
        elif name == "nash-md":
            mixture = normalise(pulled)
            lp = normalise(mixture + ETA * advantage(mixture))
        elif name == "egpo":
            half = normalise(pulled + ETA * advantage(lp))
            lp = normalise(pulled + ETA * advantage(half))
        else:
            opponent = lp if name == "online-ipo" else normalise(pulled)
            r, pi = advantage(opponent) - TAU * (lp - log_mu), lp.exp()
            lp = normalise(lp + ETA * pi * (r - (pi * r).sum(-1, keepdim=True)))
    return lp, recorded


def best_of(times: int, work: Callable[[], object]) -> float:
    """The shortest of several processor times, in seconds; the first run warms up."""
    work()
    seen = []
    for _ in range(times):
        began = time.process_time()
        work()
        seen.append(time.process_time() - began)
    return min(seen)


def _same_work(margins: np.ndarray, setting: Setting, log_mu: np.ndarray) -> None:
    """All sides reach the same policies and gaps, in float64."""
    a, m = torch.tensor(margins), torch.tensor(log_mu)
    for name in ALGORITHMS:
        ours = simulate(REGISTRY[name], margins, setting, log_mu, 50)
        for side in (autograd_simulation, closed_simulation):
            log_policy, gaps = side(name, a, m, 50, True)
            assert np.allclose(log_policy, ours.log_policy, atol=1e-10), (name, side)
            assert np.allclose(gaps.T, 2 * ours.exploitability[:, :-1], atol=1e-6), (name, side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--keep", action="store_true", help="write the figures into the book")
    options = parser.parse_args()
    games, n, steps = options.games, options.n, options.steps
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    upper = np.triu(rng.uniform(-0.5, 0.5, (games, n, n)), 1)
    margins = upper - np.swapaxes(upper, -1, -2)
    log_mu = np.full((games, n), -np.log(n))
    setting = Setting(log_mu, log_mu, np.full(games, TAU), np.full(games, ETA), np.full(games, BETA), np.zeros(games))
    few = Setting(*(np.asarray(x)[:5] for x in setting))
    _same_work(margins[:5], few, log_mu[:5])
    updates = games * steps * len(ALGORITHMS)
    sides = {
        "autograd, float32": (autograd_simulation, torch.float32),
        "closed, float64": (closed_simulation, torch.float64),
    }
    rows: list[Row] = []
    for gaps in (False, True):
        ours = best_of(
            2,
            lambda gaps=gaps: [
                simulate(REGISTRY[name], margins, setting, log_mu, steps, every=1 if gaps else steps)
                for name in ALGORITHMS
            ],
        )
        print(f"gaps {'every step' if gaps else 'at the end'}: {updates / ours / 1e6:6.2f} M updates/s")
        peers: dict[str, float] = {}
        short = max(steps // 20, 1)  # a part of the steps: a Python loop's cost is linear in them
        for label, (side, dtype) in sides.items():
            a, m = torch.tensor(margins, dtype=dtype), torch.tensor(log_mu, dtype=dtype)
            spent = best_of(2, lambda: [side(x, a, m, short, gaps) for x in ALGORITHMS]) * steps / short  # noqa: B023
            peers[f"torch, {label}"] = updates / spent / 1e6
            print(f"  torch, {label}: {updates / spent / 1e6:5.2f} M updates/s, ratio {spent / ours:.1f}x")
        # exponentials of the updates: one softmax a step, two for Nash-MD, Nash-MD-PG and EGPO, two more for a gap
        calls = steps * (8 + (10 if gaps else 0))
        block = np.full((games, n), -1.0)
        sink = np.empty_like(block)
        limit = best_of(2, lambda b=block, s=sink: [np.exp(b, out=s) for _ in range(200)]) / 200 * calls
        print(f"  exp-bound limit {updates / limit / 1e6:.1f} M updates/s; we reach {limit / ours:.0%} of it")
        what = "exploitability at every step" if gaps else f"five algorithms, {games:,} games of {n}"
        rows.append({"what": what, "unit": "M updates/s", "ours": updates / ours / 1e6, "peers": peers,
                     "limits": {"exponentials alone": updates / limit / 1e6}})  # fmt: skip
    if options.keep:
        keep("bench_dynamics", "CPU time of one thread, the best of two warm runs", rows, ("numpy", "jax", "torch"))


if __name__ == "__main__":
    main()

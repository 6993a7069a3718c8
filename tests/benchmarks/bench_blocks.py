"""Products that a method of products alone needs, with N6's blocks and without: python tests/benchmarks/bench_blocks.py

    extragradient       N26's step, from the reference
    with N6's blocks    momentum m = −r², step (1 − r²)/τ, r = e^{−arcsinh πτ}, best for |λ| ≤ 1/π; a block that
                        does not halve osc F is dropped, and extragradient has as many products
    what we ship        nashlab.equilibrium.products: a recurrence of three terms, then Newton by the same recurrence

A uniform random game, and a cycle, whose λ is near 1/π; to osc F ≤ 1e-12, F = h − Aπ/τ, so within 5e-13 by E3.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from nashlab.equilibrium import products
from nashlab.equilibrium.products import ENOUGH, At, evaluate

Array = np.ndarray
BLOCK = 8.0  # a block is to lower osc F this much if its rate is the predicted one
MOST = 100_000


class Counted:
    """F at any h, and how many products it took."""

    def __init__(self, margins: Array, tau: float):
        self.margins, self.tau, self.spent = margins, tau, 0
        self.log_mu = np.full(len(margins), -math.log(len(margins)))

    def product(self, v: Array) -> Array:
        self.spent += 1
        return np.asarray(self.margins @ v)

    def at(self, h: Array) -> At:
        return evaluate(self.product, self.log_mu, h, 1.0 / self.tau)


def solved(now: At) -> bool:
    return now.size <= ENOUGH


def extragradient(work: Counted, now: At, most: float) -> At:
    """N26 until solved or ``most`` products are spent, of the whole."""
    tau = work.tau / (2 * np.max(np.abs(work.margins)))
    share = 2.0 * tau * (tau + math.hypot(1.0, tau))
    w = share / (1.0 + share)
    while not solved(now) and work.spent < most:
        half = work.at(now.h - w * now.f)
        now = work.at((1.0 - w) * now.h + w * (half.h - half.f))
    return now


def block(work: Counted, now: At, rate: float) -> At:
    """N6 from rest: h ← h − (1 − r²)F − r²Δh, as long as a block is."""
    move = np.zeros_like(now.h)
    for _ in range(math.ceil(math.log(BLOCK) / -math.log(rate))):
        if solved(now):
            break
        move = -(1.0 - rate**2) * now.f - rate**2 * move
        now = work.at(now.h + move)
    return now


def with_blocks(work: Counted) -> At:
    rate = math.exp(-math.asinh(math.pi * work.tau / (2 * float(np.max(np.abs(work.margins))))))
    now = work.at(np.zeros_like(work.log_mu))
    while not solved(now) and work.spent < MOST:
        began = work.spent
        ahead = block(work, now, rate)
        if ahead.size <= 0.5 * now.size or solved(ahead):
            now = ahead
        else:
            now = extragradient(work, now, 2 * work.spent - began)
    return now


def shipped(work: Counted) -> At:
    effective = work.tau / (2 * np.max(np.abs(work.margins)))
    near = products.solve(work.product, work.log_mu, 1.0 / work.tau, effective, MOST)
    assert near.h is not None
    spent = work.spent
    now = work.at(near.h)
    work.spent = spent
    return now


def uniform(n: int, rng: np.random.Generator) -> Array:
    upper = np.triu(rng.uniform(-0.5, 0.5, (n, n)), 1)
    return np.asarray(upper - upper.T)


def cycle(n: int, rng: np.random.Generator) -> Array:
    """Each response beats the half of them that follows it: λ near 1/π, the hardest spectrum."""
    n -= 1 - n % 2
    later = (np.arange(n)[None, :] - np.arange(n)[:, None]) % n
    return np.where(later == 0, 0.0, np.where(later <= n // 2, 0.5, -0.5)) * rng.uniform(0.9, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--games", type=int, default=3)
    options = parser.parse_args()
    methods: dict[str, Callable[[Counted], At]] = {
        "extragradient": lambda w: extragradient(w, w.at(np.zeros_like(w.log_mu)), MOST),
        "with N6's blocks": with_blocks,
        "what we ship": shipped,
    }
    print(f"products to osc F ≤ {ENOUGH:g}, n = {options.n}, median of {options.games} games (osc F reached)")
    for family in (uniform, cycle):
        for tau in (0.1, 0.01):
            for name, method in methods.items():
                spent, sizes = [], []
                for seed in range(options.games):
                    margins = family(options.n, np.random.default_rng(seed))
                    work = Counted(margins, tau)
                    if family is cycle:  # uniform μ would start at the answer
                        work.log_mu = np.log(np.random.default_rng(seed).dirichlet(np.ones(len(margins))))
                    sizes.append(method(work).size)
                    spent.append(work.spent)
                row = f"  {family.__name__:8} τ = {tau:<5} {name:18} {np.median(spent):7.0f}  ({max(sizes):.1e})"
                print(row, flush=True)


if __name__ == "__main__":
    main()

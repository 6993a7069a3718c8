"""Claims about the gradient flow of online IPO, and about its step sizes: N1, N2."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array


@claim(
    "N1",
    "along θ̇ = g, Σθ is constant and V = Σ q e^{−θ} obeys V̇ = −(τ/Σe^θ) SymKL(π); at τ = 0 V is conserved",
    tolerance=1e-9,
    because="V̇ is −Σ q e^{−θ} g, relative to V; orbits at τ = 0 are integrated to 1e-12 a step",
    twin="a SymKL with KL(q‖π) a thousandth smaller",
)
def n1(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N1")
    library = REGISTRY["online-ipo"]
    for case in cases.all("N1"):
        game, tau, log_pi = case
        q = regularised_nash(game, tau).log_policy
        theta = log_pi - np.mean(log_pi)
        g = oracle.field(case.game.margins, case.game.log_reference, case.temperature, theta)
        slope = -float(np.sum(np.exp(q - theta) * g))
        divergence = oracle.kl(log_pi, q) + (0.999 if twin else 1.0) * oracle.kl(q, log_pi)
        value = float(np.sum(np.exp(q - theta)))
        off = abs(slope + tau / np.sum(np.exp(theta)) * divergence) / value
        # the library's online IPO is this field
        moved = subject.last(library, case, 1e-3)
        ours = oracle.log_softmax(log_pi + 1e-3 * g)
        yield Observation(max(off, abs(float(np.sum(g))), oracle.l1(moved, ours)), case.describe)
    yield from _flows(cases, rng)


def _flows(cases: Cases, rng: np.random.Generator) -> Iterator[Observation]:
    for case in itertools.islice(cases.random("N1 flow", max_n=5), 8):
        tau = max(case.temperature, 0.1)
        case = case._replace(temperature=tau)
        q = regularised_nash(case.game, tau).log_policy
        # the slowest mode near π* decays at τ · min π* or faster
        end = 60 / (tau * min(float(np.exp(np.min(q))), 0.01))
        theta = _flow(case, end, "LSODA", 1e-8, 1e-10)
        value = np.sum(np.exp(q[:, None] - (theta - theta.mean(axis=0))), axis=0)
        rises = float(np.max(np.diff(value), initial=0.0)) / float(value[-1])
        arrived = oracle.l1(oracle.log_softmax(theta[:, -1]), q) < 1e-6
        yield Observation(0.0 if rises < 1e-9 and arrived else 1.0, case.describe)
    for game in (get("figure-6"), get("weighted-cycle")):
        # τ = 0: self-play orbits on a level set of V
        case = Case(game, 0.0, np.log(random_policy(3, rng)))
        q = np.log([1 / 3, 2 / 9, 4 / 9] if game.name == "figure-6" else [1 / 3, 1 / 6, 1 / 2])
        theta = _flow(case, 200, "DOP853", 1e-12, 1e-12)
        value = np.sum(np.exp(q[:, None] - theta), axis=0)
        yield Observation(float(np.ptp(value)) / float(value[0]), case.describe)


def _flow(case: Case, end: float, method: str, rtol: float, atol: float) -> Array:
    """θ̇ = g from the case's policy until ``end``, [n, times]."""
    from scipy.integrate import solve_ivp

    game, tau, start = case

    def field(time: float, theta: Array) -> Array:
        return oracle.field(game.margins, game.log_reference, tau, theta)

    return np.asarray(solve_ivp(field, (0, end), start, method, rtol=rtol, atol=atol).y)


@claim(
    "N2",
    "constant step η ≤ τ/(3(1+2τ²(1+L₀))) on g: V falls by at least .4 ητ SymKL/Σe^θ each step, from any start",
    tolerance=1e-13,
    because="relative to V, whose rounding is n·1e-16",
    twin="a decrease of 1.2 ητ SymKL/Σe^θ",
)
def n2(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N2")
    for case in cases.all("N2"):
        game, tau, _ = case
        n = game.n
        q, log_mu = regularised_nash(game, tau).log_policy, game.log_reference
        step = tau / (3 * (1 + 2 * tau**2 * (1 + 1 / tau - float(np.min(log_mu)))))
        # 200 starts at once, near and far
        start = q + 10.0 ** rng.uniform(-2, 1.3, (200, 1)) * rng.normal(size=(200, n))
        theta = start - start.mean(axis=1, keepdims=True)
        for _ in range(3):
            log_pi = oracle.log_softmax(theta)
            pi = np.exp(log_pi)
            push = pi @ game.margins.T - tau * (log_pi - log_mu)
            g = pi * (push - np.sum(pi * push, axis=1, keepdims=True))
            log_weight = q - theta
            # V₊ − V through expm1: V itself may be huge
            top = np.max(log_weight, axis=1, keepdims=True)
            fall = -np.sum(np.exp(log_weight - top) * np.expm1(-step * g), axis=1)
            value = np.sum(np.exp(log_weight - top), axis=1)
            symmetric = np.sum((pi - np.exp(q)) * (log_pi - q), axis=1)
            total = np.log(np.sum(np.exp(theta), axis=1)) + top[:, 0]
            needed = (1.2 if twin else 0.4) * step * tau * symmetric * np.exp(-total)
            yield Observation(float(np.max((needed - fall) / value, initial=0.0)), case.describe)
            theta = theta + step * g

"""Claims about certificates of a policy: gaps, distances, sensitivity (E2, E3, N14, N15, N16)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nashlab.certificate import best_response, certify, exploitability, residual
from nashlab.claims import Cases, Observation, claim
from nashlab.equilibrium import regularised_nash, sensitivity
from nashlab.game import PreferenceGame
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array


@claim(
    "E2",
    "max_π' J(π', π) − ½ = τ KL(π ‖ BR(π)), BR(π) ∝ μ exp(Pπ/τ); the duality gap of (π, π) is twice that",
    tolerance=1e-12,
    because="both sides are sums of n terms of size at most 1 + τ log(1/μ_min)",
    twin="a gap that is a millionth larger",
)
def e2(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E2")
    for case in cases.all("E2"):
        game, tau, log_pi = case
        pi, mu = np.exp(log_pi), game.reference
        reply = best_response(game.advantage(log_pi), game.log_reference, tau)

        def payoff(log_p: Array, p: Array = pi, tau: float = tau, mu: Array = mu, game: PreferenceGame = game) -> float:
            q = np.exp(log_p)
            regularisation = np.sum(q * np.log(q / mu)) - np.sum(p * np.log(p / mu))
            return float(q @ game.margins @ p - tau * regularisation)

        gap = (1.0 + (1e-6 if twin else 0.0)) * float(exploitability(game, log_pi, tau))
        off = abs(payoff(np.maximum(reply, -700.0)) - gap)
        # no random competitor does better than BR, near it or far from it
        rivals = [payoff(oracle.nearby(np.maximum(reply, -700.0), rng)) - gap for _ in range(5)]
        yield Observation(max(off, *rivals), case.describe)


@claim(
    "E3",
    "‖π − π*‖₁ ≤ 2 tanh(osc(r)/4) and SymKL ≤ osc·tanh(osc/4) for r = log π − log μ − Pπ/τ; nearly attained",
    tolerance=1e-10,
    because="rounding of r is multiplied by 1/τ ≤ 100; attainment is tested to 1e-3 of the bound",
    twin="a bound that is a millionth smaller",
)
def e3(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E3")
    factor = 1.0 - (1e-6 if twin else 0.0)
    for case in cases.all("E3"):
        game, tau, _ = case
        q = subject.solved(game, tau)
        for _ in range(4):
            log_pi = oracle.nearby(q, rng)
            osc = float(np.ptp(residual(game.advantage(log_pi), game.log_reference, log_pi, tau)))
            l1 = oracle.l1(log_pi, q) - factor * 2 * np.tanh(osc / 4)
            divergence = oracle.symmetric_kl(log_pi, q) - factor * osc * np.tanh(osc / 4)
            yield Observation(max(l1, divergence, 0.0), case._replace(log_policy=log_pi).describe)
    # attained, without a game: two responses whose masses swap
    tie = PreferenceGame.from_margins(np.zeros((2, 2)), reference=[0.3, 0.7])
    log_pi = np.log(tie.reference[::-1])
    bound = 2 * np.tanh(float(np.ptp(residual(np.zeros(2), tie.log_reference, log_pi, 1.0))) / 4)
    away = oracle.l1(log_pi, tie.log_reference)
    off = max(bound - away - 1e-3 * bound, away - factor * bound, 0.0)
    yield Observation(off, lambda: {"attainment": "μ = (.3, .7), π = (.7, .3), no game"})


@claim(
    "N14",
    "τKL(π‖q) ≤ G(π) ≤ (τ + 1/(4τ)) KL(π‖q), so ‖π − q‖₁ ≤ √(2G/τ) ≤ osc(r)/2: never looser than E3's",
    tolerance=1e-9,
    because="relative to KL, or to 1e-6 where it is smaller: rounding of log π ~ 30 is 1e-14",
    twin="an exploitability that is a millionth smaller",
)
def n14(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N14")
    for case in cases.all("N14"):
        game, tau, _ = case
        q = subject.solved(game, tau)
        for _ in range(4):
            log_pi = oracle.nearby(q, rng, -2)
            gap = (1.0 - (1e-6 if twin else 0.0)) * float(exploitability(game, log_pi, tau))
            divergence = oracle.kl_nearby(log_pi, q)
            osc = float(np.ptp(residual(game.advantage(log_pi), game.log_reference, log_pi, tau)))
            scale = max(gap / tau, 1e-6)
            low = (divergence - gap / tau) / scale
            high = (gap / tau - (1 + 0.25 / tau**2) * divergence) / scale
            # squares, since a root would turn the rounding in G into 1e-8
            wide = 2 * gap / tau - osc**2 / 4
            far = oracle.l1(log_pi, q) ** 2 - 2 * gap / tau
            worse = float(certify(game, log_pi, tau).l1_bound) ** 2 - min(
                2 * exploitability(game, log_pi, tau) / tau, 4 * np.tanh(osc / 4) ** 2
            )
            yield Observation(max(0.0, low, high, wide, far, worse), case._replace(log_policy=log_pi).describe)


@claim(
    "N15",
    "G = τ log E_π e^{−(r − E_π r)} = τKL(π‖μ) − ½ + τ log E_μ e^{Pπ/τ}; with a candidate subset the bound covers G",
    tolerance=1e-11,
    because="logarithms of sums of size up to e^{1/τ}; errors of 1e-16/τ ≤ 1e-14 and cancellation of ½ and τ log",
    twin="a gap that is a millionth larger",
)
def n15(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N15")
    for case in cases.all("N15", min_n=3):
        game, tau, log_pi = case
        pi, mu = np.exp(log_pi), game.reference
        win = 0.5 + game.advantage(log_pi)
        gap = (1.0 + (1e-6 if twin else 0.0)) * float(exploitability(game, log_pi, tau))
        r = residual(game.advantage(log_pi), game.log_reference, log_pi, tau)
        tilt = np.log(pi) - (r - pi @ r)
        first = tau * oracle.log_sum(tilt)
        divergence = float(np.sum(pi * np.log(pi / mu)))
        second = tau * divergence - 0.5 + tau * oracle.log_sum(np.log(mu) + win / tau)
        held = rng.permutation(game.n)[: int(rng.integers(1, game.n))]
        rest = np.setdiff1d(np.arange(game.n), held)
        known = 0.5 * pi[held].sum() + game.margins[np.ix_(held, held)] @ pi[held]
        inner = np.log(mu[held]) + np.minimum(1.0, known + pi[rest].sum()) / tau
        outer = np.log(mu[rest].sum()) + 1.0 / tau
        terms = np.append(inner, outer)
        bound = tau * divergence - 0.5 + tau * oracle.log_sum(terms)
        yield Observation(max(abs(first - gap), abs(second - gap), gap - bound), case.describe)


@claim(
    "N16",
    "‖q_P − q_Q‖₁ ≤ ‖P − Q‖_max/(√3 τ); ‖q_τ − q_τ'‖₁ ≤ |1/τ − 1/τ'|/√12; derivatives equal finite differences",
    tolerance=2e-6,
    because="central differences of step 1e-5·τ: truncation 1e-8 relative, rounding 1e-12/1e-6",
    twin="derivatives in P that are a ten-thousandth larger",
)
def n16(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N16")
    for case in cases.random("N16", max_n=7, share=0.5):
        game, tau, _ = case
        tau = max(tau, 0.05)
        q = regularised_nash(game, tau).log_policy
        change = np.triu(rng.uniform(-1, 1, game.margins.shape), 1)
        change = change - change.T
        size = 10.0 ** rng.uniform(-3, -1)
        moved = PreferenceGame.from_margins(game.margins + size * change, reference=game.reference)
        by_p = oracle.l1(regularised_nash(moved, tau).log_policy, q)
        over = by_p - size * np.max(np.abs(change)) / (np.sqrt(3) * tau)
        other = tau * float(np.exp(rng.normal()))
        by_tau = oracle.l1(regularised_nash(game, other).log_policy, q) - abs(1 / tau - 1 / other) / np.sqrt(12)
        derivative, step = sensitivity(game, tau), 1e-5 * tau

        def difference(direction: Array, game: PreferenceGame = game, tau: float = tau, step: float = step) -> Array:
            ends = (
                PreferenceGame.from_margins(game.margins + s * step * direction, reference=game.reference)
                for s in (1, -1)
            )
            high, low = (regularised_nash(end, tau).policy for end in ends)
            return np.asarray((high - low) / (2 * step))

        predicted = (1.0 + (1e-4 if twin else 0.0)) * derivative.to_preferences(change)
        scale = 1.0 / tau
        errors = [np.max(np.abs(difference(change) - predicted)) / scale]
        hot, cold = (regularised_nash(game, tau + s * step).policy for s in (1, -1))
        errors.append(np.max(np.abs((hot - cold) / (2 * step) - derivative.to_temperature)) * tau)
        tangent = rng.normal(size=game.n)
        tangent = 0.1 * game.reference * (tangent - game.reference @ tangent)
        high, low = (regularised_nash(game.with_reference(game.reference + s * 1e-5 * tangent), tau) for s in (1, -1))
        errors.append(np.max(np.abs((high.policy - low.policy) / 2e-5 - derivative.to_reference(tangent))))
        yield Observation(max(0.0, over, by_tau, *map(float, errors)), case._replace(temperature=tau).describe)

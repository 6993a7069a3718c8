"""Claims about Nash-MD and its one-step identities: R1, R2, N8-N11."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from nashlab.algorithm import Problem
from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array


@claim(
    "R1",
    "Nash-MD, ητ ≤ 1: KL(π*,π₊) ≤ (1−ητ)KL(π*,π) + 2η²; with η_t = 2/(τ(t+2)): KL(π*,π_T) ≤ 8/(τ²(T+1))",
    tolerance=1e-12,
    because="divergences of normalised policies, rounding only",
    twin="the contraction (1−2ητ), as from a step taken twice",
)
def r1(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R1")
    spec = REGISTRY["nash-md"]
    for case in cases.all("R1"):
        tau = case.temperature
        q = regularised_nash(case.game, tau).log_policy
        for step in (float(rng.uniform(0, 1)) / tau, min(0.1, 1 / tau), min(0.01, 1 / tau)):
            after = subject.last(spec, case, step)
            contraction = 1 - (2 if twin else 1) * step * tau
            over = oracle.kl(q, after) - contraction * oracle.kl(q, case.log_policy) - 2 * step**2
            yield Observation(max(0.0, over) * min(1.0, tau), case.describe)
    for case in itertools.islice(cases.random("R1 decreasing"), 10):
        tau = max(case.temperature, 0.1)
        bound = [8 / (tau**2 * (t + 2)) for t in range(200)]
        yield Observation(max(0.0, float(np.max(_decreasing(case, tau) - bound))), case.describe)


def _decreasing(case: Case, tau: float) -> Array:
    """KL(π*, π_t) of Nash-MD with the steps η_t = 2/(τ(t+2)), t = 0..199."""
    q = regularised_nash(case.game, tau).log_policy
    log_pi, divergences = case.log_policy, []
    for t in range(200):
        log_pi = subject.last(
            REGISTRY["nash-md"], case._replace(log_policy=log_pi, temperature=tau), 2 / (tau * (t + 2))
        )
        divergences.append(oracle.kl(q, log_pi))
    return np.array(divergences)


@claim(
    "R2",
    "Nash-MD, ητ ≤ 1: KL(π*,π₊) ≤ (1−ητ)[KL(π*,π) − KL(m,π)] + η²/24, and the constant 1/24 is sharp",
    tolerance=1e-12,
    because="divergences of normalised policies; sharpness is tested at 1.5 % of the constant",
    twin="the constant 1/26",
)
def r2(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R2")
    constant = 1 / 26 if twin else 1 / 24
    spec = REGISTRY["nash-md"]
    for case in cases.all("R2"):
        tau = case.temperature
        q = regularised_nash(case.game, tau).log_policy
        for step in (float(rng.uniform(0, 1)) / tau, min(0.1, 1 / tau)):
            mixture = oracle.mixture(case.log_policy, case.game.log_reference, step * tau)
            inner = oracle.kl(q, case.log_policy) - oracle.kl(mixture, case.log_policy)
            over = oracle.kl(q, subject.last(spec, case, step)) - (1 - step * tau) * inner - constant * step**2
            yield Observation(max(0.0, over) / max(1.0, step, abs(inner)), case.describe)
    yield from _iterated(cases, constant)
    # sharp: on a long chain, from the policy whose mixture is π* itself, only the last term remains
    chain = PreferenceGame.from_margins(oracle.transitive_chain(200), name="transitive chain of 200")
    tau, step = 1.0, 0.05
    q = regularised_nash(chain, tau).log_policy
    start = oracle.log_softmax((q - step * tau * chain.log_reference) / (1 - step * tau))
    case = Case(chain, tau, start)
    left = oracle.kl(q, subject.last(spec, case, step))
    yield Observation(max(0.0, left - constant * step**2, (1 - 0.015) * step**2 / 24 - left), case.describe)


def _iterated(cases: Cases, constant: float) -> Iterator[Observation]:
    """R2 over many steps: the floor cη/τ at a constant step, and 4c/(τ²(T+1)) = 1/(6τ²(T+1)) with R1's steps."""
    for case in itertools.islice(cases.random("R2 iterated"), 10):
        tau = max(case.temperature, 0.1)
        bound = [4 * constant / (tau**2 * (t + 2)) for t in range(200)]
        yield Observation(max(0.0, float(np.max(_decreasing(case, tau) - bound))), case.describe)
        case = case._replace(temperature=tau)
        q, step = regularised_nash(case.game, tau).log_policy, 0.3 / tau
        start = oracle.kl(q, case.log_policy)
        for t, log_pi in enumerate(subject.steps(REGISTRY["nash-md"], case, step, 50), 1):
            over = oracle.kl(q, log_pi) - (1 - step * tau) ** t * start - constant * step / tau
            yield Observation(max(0.0, over), case.describe)


@claim(
    "N8",
    "Nash-MD exactly: KL(q,π₊) = (1−ητ)[KL(q,π) − KL(m,π)] − ητ KL(m,q) + log E_m e^{η(p(·≻m) − ½)}",
    tolerance=1e-10,
    because="an identity between divergences of size up to 1/τ, at an equilibrium right to 1e-12",
    twin="the term ητ KL(m,q) a millionth smaller",
)
def n8(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N8")
    for case in cases.all("N8"):
        tau = case.temperature
        step = float(rng.uniform(0.05, 1)) / max(tau, 0.3)
        q = regularised_nash(case.game, tau).log_policy
        m = oracle.mixture(case.log_policy, case.game.log_reference, step * tau)
        tilt = float(np.log(np.sum(np.exp(m + step * (case.game.margins @ np.exp(m))))))
        right = (1 - step * tau) * (oracle.kl(q, case.log_policy) - oracle.kl(m, case.log_policy)) + tilt
        right -= (1.0 - (1e-6 if twin else 0.0)) * step * tau * oracle.kl(m, q)
        yield Observation(abs(oracle.kl(q, subject.last(REGISTRY["nash-md"], case, step)) - right), case.describe)


@claim(
    "N9",
    "under y ~ m, p(y ≻ m) is below Uniform(0,1) in convex order: Var ≤ (1 − Σm³)/12, log E e^{η(p−½)} ≤ η²/24; sharp",
    tolerance=1e-12,
    because="expectations of n terms; sharpness is tested to 1e-9 (the chain's variance is (1 − Σm³)/12 exactly)",
    twin="the power 2.999 of m in the variance bound",
)
def n9(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N9")
    thresholds = np.linspace(0, 1, 101)
    for case in cases.all("N9"):
        m = np.exp(case.log_policy)
        win = case.game.preferences @ m
        power = 3.0 - (1e-3 if twin else 0.0)
        variance = float(m @ (win - 0.5) ** 2) - (1 - np.sum(m**power)) / 12
        step = float(10 ** rng.uniform(-1, 1))
        tilt = float(np.log(m @ np.exp(step * (win - 0.5))))
        sinh = float(np.log(np.sinh(step / 2) / (step / 2)))
        stop_loss = np.maximum(win[None, :] - thresholds[:, None], 0) @ m - 0.5 * (1 - thresholds) ** 2
        # a set of mass w collects at most w − w²/2 of win mass
        order = np.argsort(-win)
        mass, collected = np.cumsum(m[order]), np.cumsum((m * win)[order])
        sets = float(np.max(collected - mass + mass**2 / 2))
        off = max(variance, tilt - sinh, sinh - step**2 / 24, float(np.max(stop_loss)), sets)
        yield Observation(max(0.0, off), case.describe)
    for n in (2, 5, 50):
        chain = PreferenceGame.from_margins(oracle.transitive_chain(n), name=f"transitive chain of {n}")
        m = random_policy(n, rng)
        spread = float(m @ (chain.margins @ m) ** 2)
        power = 3.0 - (1e-3 if twin else 0.0)
        yield Observation(abs(spread - (1 - np.sum(m**power)) / 12), Case(chain, 1.0, np.log(m)).describe)


@claim(
    "N10",
    "constant-step Nash-MD ends at BR_τ(π*_τ'), τ' = τ/(1−ητ); its mixtures are MMD(η, τ') and OMD(η(1−ητ), τ')",
    tolerance=1e-9,
    because="fixed points are tested by one step, right to 1e-12/τ; sequences agree to rounding over 20 steps",
    twin="a hundred-thousandth of the way from π*_τ' to π*_τ in its place",
)
def n10(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N10")
    spec = REGISTRY["nash-md"]
    for case in cases.all("N10", share=0.5):
        game, tau, _ = case
        step = float(rng.uniform(0.05, 0.9)) / max(tau, 0.3)
        hot = tau / (1 - step * tau)
        q, q_hot = (regularised_nash(game, t).log_policy for t in (tau, hot))
        near = np.exp(q_hot) + (1e-5 if twin else 0.0) * (np.exp(q) - np.exp(q_hot))
        limit = oracle.log_softmax(game.log_reference + game.margins @ near / tau)
        still = oracle.l1(subject.last(spec, case._replace(log_policy=limit), step), limit)
        assert spec.target is not None
        stated = spec.target(Problem(game, tau, step, 0.1, game.log_reference))
        declared = np.inf if stated is None else oracle.l1(stated, limit)
        biased = max(0.0, oracle.l1(limit, q) - step / (4 * np.sqrt(3) * tau))
        yield Observation(max(still, declared, biased), case.describe)

        yield Observation(_mixtures_apart(case, step), case.describe)
    for case in itertools.islice(cases.random("N10 de-biased", max_n=6), 10):
        tau = max(case.temperature, 0.3)
        # MMD contracts for η ≤ 4τ, here by 1.3 at least
        found = subject.last(REGISTRY["nash-md-debiased"], case._replace(temperature=tau), 1.0, 200)
        yield Observation(oracle.l1(found, regularised_nash(case.game, tau).log_policy), case.describe)


def _mixtures_apart(case: Case, step: float) -> float:
    """The largest distance in 20 steps of Nash-MD's mixtures from MMD and OMD, and of the de-biased form's from MMD."""
    log_mu, tau = case.game.log_reference, case.temperature
    hot, eta = tau / (1 - step * tau), step * (1 - step * tau)

    def push(log_p: Array) -> Array:
        return case.game.margins @ np.exp(log_p)

    mmd = omd = oracle.mixture(case.log_policy, log_mu, step * tau)
    worst = 0.0
    for log_pi in subject.steps(REGISTRY["nash-md"], case, step, 20):
        mmd = oracle.log_softmax((mmd + step * hot * log_mu + step * push(mmd)) / (1 + step * hot))
        omd = oracle.log_softmax((1 - eta * hot) * omd + eta * hot * log_mu + eta * push(omd))
        mixture = oracle.mixture(log_pi, log_mu, step * tau)
        worst = max(worst, oracle.l1(mixture, mmd), oracle.l1(mixture, omd))
    share = step * tau / (1 + step * tau)
    mmd = oracle.mixture(case.log_policy, log_mu, share)
    for log_m in subject.steps(REGISTRY["nash-md-debiased"], case, step, 20):
        mmd = oracle.log_softmax((mmd + step * tau * log_mu + step * push(mmd)) / (1 + step * tau))
        worst = max(worst, oracle.l1(log_m, mmd))
    return worst


@claim(
    "N11",
    "MMD one step: (1+ητ)KL(q,π₊) + ητKL(π₊‖μ) = KL(q,π) + ητKL(π‖μ) + ψ − ητKL(π‖q) − KL(π₊‖π̂), ψ ≤ η²/24",
    tolerance=1e-10,
    because="an identity between divergences of size up to 1/τ, at an equilibrium right to 1e-12",
    twin="a KL(π‖q) that is a millionth larger",
)
def n11(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N11")
    for case in cases.all("N11"):
        game, tau, log_pi = case
        step = float(rng.uniform(0.05, 3))
        q, log_mu = regularised_nash(game, tau).log_policy, game.log_reference
        after = subject.last(REGISTRY["mmd"], case, step)
        win = game.margins @ np.exp(log_pi)
        ahead = oracle.log_softmax(log_pi + step * win)
        psi = float(np.log(np.sum(np.exp(log_pi + step * win))))
        left = (1 + step * tau) * oracle.kl(q, after) + step * tau * oracle.kl(after, log_mu)
        middle = (1.0 + (1e-6 if twin else 0.0)) * oracle.kl(log_pi, q)
        right = oracle.kl(q, log_pi) + step * tau * (oracle.kl(log_pi, log_mu) - middle) + psi - oracle.kl(after, ahead)
        scale = 1 + step * tau
        yield Observation(max(abs(left - right) / scale, psi - step**2 / 24, 0.0), case.describe)

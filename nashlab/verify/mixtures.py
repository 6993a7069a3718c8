"""Claims about methods that mix with the reference or with data: L5-L9."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from nashlab.algorithm import Pointwise
from nashlab.claims import Cases, Observation, claim, random_policy
from nashlab.equilibrium import regularised_nash
from nashlab.losses import ipo, self_play_advantage
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import ROUNDING, Array, Model


@claim(
    "L5",
    "IPO-MD: ∇ = −(4/τ){E_ν[s(p(·≻ν) − ½ − τh)] + τ E_ν[h] E_ν[s]} at ν = SG m_β",
    tolerance=1e-11,
    because=ROUNDING + "; relative to 4/τ",
    twin="the last term, which the paper omits, a millionth too small",
)
def l5(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L5")
    for case in cases.all("L5", share=0.5):
        game, tau, _ = case
        p, log_mu = game.preferences, game.log_reference
        for model, beta in itertools.product(oracle.models(case.log_policy, rng), (float(rng.uniform(0.05, 0.8)), 0.9)):
            log_pi = model.log_policy(model.theta).real
            log_nu = oracle.mixture(log_pi, log_mu, beta)
            loss = oracle.loss_gradient(ipo.value, model, p, log_mu, log_nu, tau)
            scores = np.array([model.gradient(operator.itemgetter(y)) for y in range(game.n)])
            nu, h = np.exp(log_nu), log_pi - log_mu
            formula = (nu * (p @ nu - 0.5 - tau * h)) @ scores
            formula = formula + (1.0 - (1e-6 if twin else 0.0)) * tau * (nu @ h) * (nu @ scores)
            yield Observation(oracle.size(loss * tau / 4 + formula) / (1.0 + oracle.size(formula)), case.describe)
            if model.theta is case.log_policy:  # the tabular one
                follows = subject.direction("ipo-md", case, beta)
                yield Observation(oracle.size(loss + follows) * tau / 4 / (1.0 + oracle.size(formula)), case.describe)
    yield from _smallest_counterexample(twin)
    yield from _stationary_points(twin)


def _smallest_counterexample(twin: bool) -> Iterator[Observation]:
    """π = (½, ½), μ = (.1, .9), β = ½: the printed form is off by ∓.03848 for every P and τ."""
    mu, pi = np.array([0.1, 0.9]), np.array([0.5, 0.5])
    log_nu = oracle.mixture(np.log(pi), np.log(mu), 0.5)
    nu, h = np.exp(log_nu), np.log(pi / mu)
    for p12, tau in itertools.product((0.0, 0.3, 0.9), (0.1, 1.0)):
        p = np.array([[0.5, p12], [1 - p12, 0.5]])
        exact = oracle.loss_gradient(oracle.ipo, Model(np.log(pi)), p, np.log(mu), log_nu, tau)
        weight = nu * (p @ nu - 0.5 - tau * h)
        printed = -(4 / tau) * (weight - pi * weight.sum())
        missing = exact if twin else exact - printed

        def describe(p: Array = p, tau: float = tau, off: Array = missing) -> dict[str, Any]:
            return {"π": pi.tolist(), "μ": mu.tolist(), "β": 0.5, "P": p.tolist(), "τ": tau, "missing": off.tolist()}

        # four printed decimals
        yield Observation(max(0.0, abs(missing[0] + 0.03848) - 5e-6), describe, witness=True)


def _stationary_points(twin: bool) -> Iterator[Observation]:
    """n = 2, p = 1, τ = .1, β = .9, μ = (.1, .9): the loss converges to L6's π₁ = .943, the printed field to .620."""
    from scipy.optimize import brentq

    tau, beta, log_mu, p = 0.1, 0.9, np.log([0.1, 0.9]), np.array([[0.5, 1.0], [0.0, 0.5]])

    def force(x: float, printed: bool) -> float:
        log_pi = np.log([x, 1 - x])
        log_nu = oracle.mixture(log_pi, log_mu, beta)
        if not printed:
            return float(-oracle.loss_gradient(oracle.ipo, Model(log_pi), p, log_mu, log_nu, tau)[0])
        weight = np.exp(log_nu) * (p @ np.exp(log_nu) - 0.5 - tau * (log_pi - log_mu))
        return float(weight[0] - x * weight.sum())

    rest, printed = (brentq(force, 0.05, 0.999, args=(which,), xtol=1e-15) for which in (twin, True))
    opponent = np.exp(oracle.mixture(np.log([rest, 1 - rest]), log_mu, beta))
    fixed = np.exp(oracle.log_softmax(log_mu + p @ opponent / tau))
    off = max(abs(rest - 0.943) - 5e-4, abs(printed - 0.620) - 5e-4, abs(rest - fixed[0]) - 1e-12, 0.0)
    yield Observation(off, lambda: {"loss": rest, "printed field": printed, "L6": fixed.tolist()})


@claim(
    "L5b",
    "∇ IPO-MD(β) = (1−β)⁻² ∇ online IPO of the mixture ν = m_β at τ/(1−β), differentiating ν through π",
    tolerance=1e-10,
    because=ROUNDING + "; relative to 4/(τ(1−β)), β ≤ .9",
    twin="a factor that is a millionth larger than (1−β)⁻²",
)
def l5b(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L5b")
    for case in cases.all("L5b", share=0.5):
        game, tau, _ = case
        p, log_mu = game.preferences, game.log_reference
        for model, beta in itertools.product(
            oracle.models(case.log_policy, rng), (0.125, float(rng.uniform(0.3, 0.9)))
        ):
            hot = tau / (1 - beta)
            log_nu = oracle.mixture(model.log_policy(model.theta).real, log_mu, beta)
            loss = oracle.loss_gradient(ipo.value, model, p, log_mu, log_nu, tau)
            online = oracle.loss_gradient(ipo.value, model.mixed(log_mu, beta), p, log_mu, log_nu, hot)
            play = oracle.objective_gradient(model.mixed(log_mu, beta), p, log_nu, log_mu, hot)
            slip = 1.0 + (1e-6 if twin else 0.0)
            scale = 4 / (tau * (1 - beta)) * (1.0 + oracle.size(play))
            first = oracle.size(loss - slip * online / (1 - beta) ** 2) / scale
            second = oracle.size(loss + 4 / (tau * (1 - beta)) * play) / scale
            yield Observation(max(first, second), case.describe)


@claim(
    "L6",
    "IPO-MD(β) and Nash-MD-PG(β) share their stationary point π*_β ∝ μ exp(p(y ≻ m_β(π*_β))/τ)",
    tolerance=1e-10,
    because="fields of size 1 evaluated at a solution that is right to 1e-12/τ",
    twin="π*_β for a β that is smaller by a relative 1e-5",
)
def l6(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L6")
    for case in cases.all("L6", share=0.5):
        tau = max(case.temperature, 0.05)
        beta = float(rng.uniform(0.05, 0.95))
        for name in ("ipo-md", "nash-md-pg"):
            point = case._replace(temperature=tau)
            log_pi = subject.target(name, subject.problem(point, beta))
            if twin:
                log_pi = subject.target(name, subject.problem(point, beta * (1 - 1e-5)))
            log_nu = oracle.mixture(log_pi, case.game.log_reference, beta)
            p, h = case.game.preferences, log_pi - case.game.log_reference
            # the fields written out: E_ν s(p(·≻ν) − ½ − τ(h − E_ν h)) and E_π s(p(·≻ν) − ½ − τh)
            nu, pi = np.exp(log_nu), np.exp(log_pi)
            value = p @ nu - 0.5 - tau * h
            weight = nu * (value + tau * (nu @ h)) if name == "ipo-md" else pi * (value - pi @ value)
            written = weight - pi * weight.sum()
            follows = subject.direction(name, point._replace(log_policy=log_pi), beta) * (
                tau / 4 if name == "ipo-md" else 1
            )
            # the fixed-point equation itself, where no small mass can hide an error
            equation = float(np.ptp(value))
            yield Observation(max(oracle.size(written), oracle.size(follows), equation), point.describe)


@claim(
    "L7",
    "for β < 1, m_β(π*_β) is the equilibrium at τ/(1−β); towards μ_b, that of the reference ∝ μ^{1−β} μ_b^β",
    tolerance=1e-9,
    because="the damped iteration stops at 1e-15 of movement and contracts no slower than 1e-4 a step",
    twin="the equilibrium at a temperature that is a millionth higher",
)
def l7(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L7")
    for case in cases.all("L7", share=0.5):
        tau, beta = max(case.temperature, 0.1), float(rng.uniform(0.1, 0.9))
        case = case._replace(temperature=tau)
        log_data = np.log(random_policy(case.game.n, rng))
        hot = (1.0 + (1e-6 if twin else 0.0)) * tau / (1 - beta)
        mixing = 1.0 / (1.0 + 0.1 * ((1 - beta) / tau) ** 2)  # λ² < .1: the best step of a rotating linear iteration
        for other in (case.game.log_reference, log_data):
            start, log_mu = case.log_policy, case.game.log_reference
            mine = oracle.damped(case.game.margins, log_mu, tau, start, mixing, towards=other, beta=beta)
            mixed = oracle.mixture(mine, other, beta)
            pulled = oracle.mixture(case.game.log_reference, other, beta)
            nash = regularised_nash(case.game.with_reference(np.exp(pulled)), hot).log_policy
            yield Observation(oracle.l1(mixed, nash), case.describe)


@claim(
    "L8",
    "IPO-MD towards a behaviour policy μ_b: β = 0 is online IPO, β = 1 is offline IPO on μ_b",
    tolerance=1e-12,
    because=ROUNDING + "; relative to 4/τ",
    twin="the mixture taken towards μ",
)
def l8(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L8")
    mixed = "ipo-md" if twin else "ipo-md-behaviour"
    for case in cases.all("L8", share=0.5):
        game, tau, log_pi = case
        log_data = np.log(random_policy(game.n, rng))
        for beta, log_nu, name in ((0.0, log_pi, "online-ipo"), (1.0, log_data, "offline-ipo")):
            direct = oracle.loss_gradient(oracle.ipo, Model(log_pi), game.preferences, game.log_reference, log_nu, tau)
            ours, known = (subject.direction(method, case, beta, log_data) for method in (mixed, name))
            off = max(oracle.size(ours - known), oracle.size(ours + direct)) * tau
            yield Observation(off / (1.0 + oracle.size(direct) * tau), case.describe)


@claim(
    "L9",
    "Nash-MD-PG(β): E s(y)(P[y,y'] − ½ − τh(y)), y ~ π, y' ~ m_β; β = 0 is self-play, β = 1 best response to μ",
    tolerance=1e-12,
    because=ROUNDING,
    twin="both responses drawn from the mixture in one pair of a million",
)
def l9(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L9")
    for case in cases.all("L9", share=0.5):
        game, tau, log_pi = case
        log_mu, pi = game.log_reference, np.exp(case.log_policy)
        scores = np.eye(game.n) - pi[None, :]  # s(y) = e_y − π
        for beta in (0.0, 1.0, float(rng.uniform(0.1, 0.9))):
            log_nu = oracle.mixture(log_pi, log_mu, beta)
            pull = subject.direction("nash-md-pg", case, beta)
            if twin:
                both = subject.pull(case, Pointwise(self_play_advantage), log_nu, log_nu)
                pull = pull + 1e-6 * (both - pull)
            written = np.zeros(game.n)
            for y, y2 in itertools.product(range(game.n), repeat=2):
                f = game.preferences[y, y2] - 0.5 - tau * (log_pi[y] - log_mu[y])
                written += pi[y] * np.exp(log_nu[y2]) * f * scores[y]
            ends = 0.0
            if beta == 0:
                ends = oracle.size(
                    pull - oracle.objective_gradient(Model(log_pi), game.preferences, log_pi, log_mu, tau)
                )
            elif beta == 1:
                reply = np.exp(oracle.log_softmax(log_mu + game.margins @ np.exp(log_mu) / tau))
                at_reply = case._replace(log_policy=np.log(np.maximum(reply, 1e-300)))
                ends = max(
                    oracle.size(subject.direction("nash-md-pg", at_reply, 1.0)),
                    oracle.size(pull - subject.direction("best-response", case)),
                )
            yield Observation(max(oracle.size(pull - written), ends), case.describe)

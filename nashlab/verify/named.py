"""Claims about two named losses that are IPO in another form: L16 (SPPO), L17 (EXO on pairs)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nashlab.check.losses import NAMED
from nashlab.claims import Case, Cases, Observation, claim
from nashlab.game import PreferenceGame
from nashlab.verify import oracle
from nashlab.verify.oracle import ROUNDING, Array, Complex, Model

NOISE = 0.1  # the ε of the named EXO


def _sppo(p: Array, h: Complex, log_nu: Array, tau: float) -> Any:
    """E over y, y' ~ ν and labels of (h(w) − 1/(2τ))² + (h(l) + 1/(2τ))², written out."""
    nu, a = np.exp(log_nu.real), 0.5 / tau
    won, lost = (h - a) ** 2, (h + a) ** 2
    return nu @ (p * (won[:, None] + lost[None, :]) + (1 - p) * (lost[:, None] + won[None, :])) @ nu


def _sppo_gradient(model: Model, p: Array, log_mu: Array, log_nu: Array, tau: float) -> Array:
    """∇_θ of it at h = log π_θ − log μ."""
    return model.gradient(lambda log_pi: _sppo(p, log_pi - log_mu, log_nu, tau))


@claim(
    "L16",
    "SPPO with hard labels, a fixed reference and y, y' ~ SG π has online IPO's gradient, constant included",
    tolerance=1e-11,
    because=ROUNDING + "; relative to 4/τ and the size of ∂h/∂θ",
    twin="samples from μ, where 4 E_ν[h] E_ν[s] remains",
)
def l16(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L16")
    for case in cases.all("L16", share=0.5):
        game, tau, log_pi = case
        p, log_mu = game.preferences, game.log_reference
        for model in oracle.models(log_pi, rng):
            frozen = log_mu if twin else model.log_policy(model.theta).real
            own = _sppo_gradient(model, p, log_mu, frozen, tau)
            ipo = oracle.loss_gradient(oracle.ipo, model, p, log_mu, frozen, tau)
            yield Observation(oracle.size(own - ipo) * tau / (1.0 + oracle.size(ipo) * tau), case.describe)
        # the shipped loss of that name is this loss
        h = log_pi - log_mu
        named = NAMED["sppo"](h[:, None] + 0 * h[None, :], h[None, :] + 0 * h[:, None], tau=tau)
        nu = np.exp(log_pi)
        shipped = float(2 * nu @ (p * named) @ nu)
        written = float(_sppo(p, h, log_pi, tau))
        yield Observation(abs(shipped - written) / (1.0 + abs(written)), case.describe)


@claim(
    "L17",
    "EXO-pair's offline optimum on additive preferences is offline IPO's at temperature τ/(2 log((1−ε)/ε))",
    tolerance=1e-11,
    because=ROUNDING + "; relative to the size of the gradient at π = μ",
    twin="the temperature τ/log((1−ε)/ε)",
)
def l17(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L17")
    logit = float(np.log((1 - NOISE) / NOISE))

    def exo(d: Any, p: Any, tau: float) -> Any:
        def one(x: Any) -> Any:
            s = 1 / (1 + np.exp(-x))
            return s * (np.log(s) - np.log(1 - NOISE)) + (1 - s) * (np.log(1 / (1 + np.exp(x))) - np.log(NOISE))

        return p * one(tau * d) + (1 - p) * one(-tau * d)

    for case in cases.all("L17", share=0.5):
        tau, n = case.temperature, case.game.n
        u = rng.uniform(-0.24, 0.24, n)
        game = PreferenceGame.from_margins(u[:, None] - u[None, :], reference=np.exp(case.game.log_reference))
        p, log_mu, log_nu = game.preferences, game.log_reference, case.log_policy
        temperature = tau / (logit if twin else 2 * logit)
        optimum = oracle.log_softmax(log_mu + p @ np.exp(log_nu) / temperature)
        there = oracle.loss_gradient(exo, Model(optimum), p, log_mu, log_nu, tau)
        scale = oracle.size(oracle.loss_gradient(exo, Model(log_mu), p, log_mu, log_nu, tau))
        describe = Case(game, tau, log_nu).describe
        yield Observation(oracle.size(there) / (1e-300 + scale), describe)
        h = optimum - log_mu
        d = h[:, None] - h[None, :]
        shipped = NAMED["exo_pair"](d, 0 * d, tau=tau)
        yield Observation(float(np.max(np.abs(shipped - exo(d, 1.0, tau)) / (1.0 + np.abs(shipped)))), describe)

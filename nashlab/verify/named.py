"""Claims about losses that are IPO in another form: L16 (SPPO), L17 (EXO on pairs), L18 (averages over tokens)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from nashlab.check.losses import NAMED
from nashlab.claims import Case, Cases, Observation, claim
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.losses import ipo
from nashlab.verify import oracle, subject
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


@claim(
    "L18",
    "IPO of log-probabilities averaged over tokens is IPO at τ/T over T², exactly, where every response has T tokens; "
    "of unequal lengths it is no function of d, so no member of the family",
    tolerance=1e-11,
    because=ROUNDING + "; relative to 4/(τT). No member: 0 where d is the same and the loss is not",
    twin="the temperature τ/(T + .01)",
)
def l18(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L18")
    for case in cases.all("L18", share=0.25):
        game, tau, log_pi = case
        p, log_mu, length = game.preferences, game.log_reference, float(rng.integers(2, 13))
        summed = tau / (length + (0.01 if twin else 0.0))
        log_nu = oracle.nearby(log_pi, rng)  # the samples' policy: the identity is no matter of who draws them
        unit = tau * length

        def averaged(log_policy: Complex, log_nu: Array = log_nu, case: Case = case, length: float = length) -> Any:
            h = (log_policy - case.game.log_reference) / length
            return oracle.loss(oracle.ipo, case.game.preferences, h, log_nu, case.temperature)

        for model in oracle.models(log_pi, rng):
            own = model.gradient(averaged) * unit
            other = oracle.loss_gradient(oracle.ipo, model, p, log_mu, log_nu, summed) * unit / length**2
            yield Observation(oracle.size(own - other) / (1.0 + oracle.size(other)), case.describe)
        # the shipped loss on averages is the table form on sums, pair by pair
        h = log_pi - log_mu
        d = h[:, None] - h[None, :]
        apart = ipo.value(d / length, p, tau) - oracle.ipo(d, p, summed) / length**2
        yield Observation(oracle.size(apart) / oracle.size(oracle.ipo(d, p, summed) / length**2), case.describe)
        # and the equilibrium at τ/T is where its gradient vanishes, the samples being its own
        log_q = subject.solved(game, summed)
        there = Model(log_q).gradient(functools.partial(averaged, log_nu=log_q))
        yield Observation(oracle.size(there) * unit, case.describe)
    yield _same_gap_other_loss()


def _same_gap_other_loss() -> Observation:
    """E (1 token) against aE (2): two policies with the same d, p and τ, and two values of the averaged loss."""
    game, tau, lengths = get("lengths"), 0.5, np.array([1.0, 2.0, 2.0])
    policies = np.array([[0.6, 0.2, 0.2], [0.3, 0.1, 0.6]])
    h = np.log(policies) - game.log_reference
    gaps = h[:, 0] - h[:, 1]
    each = h / lengths
    losses = ipo.value(each[:, 0] - each[:, 1], game.preferences[0, 1], tau)
    same = abs(float(gaps[0] - gaps[1])) < 1e-12 and abs(float(losses[0] - losses[1])) > 0.1
    found = {"policies": policies.tolist(), "d": gaps.tolist(), "losses": losses.tolist(), "lengths": lengths.tolist()}
    return Observation(0.0 if same else 1.0, lambda: found, witness=True)

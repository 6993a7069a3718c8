"""Claims about online IPO and self-play: L1 and its negative controls L2.i-L2.v."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nashlab.algorithm import Pairwise
from nashlab.claims import Case, Cases, Observation, claim
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.losses import ipo
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import ROUNDING, Array, Model

COLLINEAR = 0.05  # of the sine between two gradients: below it a counterexample would be no clear one


_THRESHOLD = "0 where gradients at an angle of sine above .05 were found, .05 where all were collinear"


@claim(
    "L1",
    "online IPO: ∇ IPO at ν = SG π is −(4/τ) ∇[P(π ≻ SG π) − τ KL(π‖μ)], exactly, for every smooth parametrisation",
    tolerance=1e-11,
    because=ROUNDING + "; relative to 4/τ and the size of ∂h/∂θ",
    twin="a factor that is a millionth smaller than 4/τ",
)
def l1(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L1")
    factor = 4.0 * (1.0 - (1e-6 if twin else 0.0))
    for case in cases.all("L1", share=0.5):
        game, tau, log_pi = case
        p, log_mu = game.preferences, game.log_reference
        for model in oracle.models(case.log_policy, rng):
            frozen = model.log_policy(model.theta).real
            loss = oracle.loss_gradient(ipo.value, model, p, log_mu, frozen, tau)
            play = oracle.objective_gradient(model, p, frozen, log_mu, tau)
            yield Observation(oracle.size(loss * tau / factor + play) / (1.0 + oracle.size(play)), case.describe)
        # the table form written out, and the library's two methods, give the same identity
        direct = oracle.loss_gradient(oracle.ipo, Model(log_pi), p, log_mu, log_pi, tau)
        contrast, play = subject.direction("online-ipo", case), subject.direction("self-play-pg", case)
        off = max(oracle.size(direct + contrast) * tau, oracle.size(contrast * tau / factor - play))
        yield Observation(off / (1.0 + oracle.size(direct) * tau), case.describe)


@dataclass(frozen=True)
class Control:
    """A wrong variant of online IPO: its gradient in the tabular θ, to be held against the right one."""

    gradient: Callable[[Case], Array]
    right: Callable[[Case], Array]


def _self_play(case: Case) -> Array:
    """∇[P(π ≻ SG π) − τ KL(π‖μ)]."""
    game, tau, log_pi = case
    return oracle.objective_gradient(Model(log_pi), game.preferences, log_pi, game.log_reference, tau)


def _simple_cases(min_n: int) -> Iterator[Case]:
    """Small games with simple numbers, simplest first: where shrunk counterexamples are looked for."""
    policies = {
        2: ([0.5, 0.5], [0.25, 0.75]),
        3: ([1 / 3, 1 / 3, 1 / 3], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]),
    }
    for n in range(min_n, 4):
        count = n * (n - 1) // 2
        for signs in itertools.product((0.0, 0.5, -0.5), repeat=count):
            margins = np.zeros((n, n))
            margins[np.triu_indices(n, 1)] = signs
            for mu, pi in itertools.product(policies[n], repeat=2):
                game = PreferenceGame.from_margins(margins - margins.T, reference=mu, name="shrunk")
                yield Case(game, 1.0, np.log(np.array(pi)))


def _refuted(control: Control, twin: bool, note: str) -> Iterator[Observation]:
    """The control must be refuted by some simple case: the first is kept as the counterexample.

    The twin is online IPO as it should be, which no case refutes.
    """
    tried = _RIGHT if twin else control
    for case in _simple_cases(3):
        if (defect := oracle.defect(tried.gradient(case), tried.right(case))) > COLLINEAR:
            break
    else:
        yield Observation(COLLINEAR, lambda: {"counterexample": "none found"})
        return

    def describe() -> dict[str, Any]:
        gradients = {"gradient": tried.gradient(case).tolist(), "policy gradient": tried.right(case).tolist()}
        return {"control": note, **case.describe(), **gradients, "sine of the angle": defect}

    yield Observation(0.0, describe, witness=True)


_RIGHT = Control(lambda case: -subject.direction("online-ipo", case), _self_play)


@claim(
    "L2.i",
    "without the stop-gradient on the samples, L1 fails",
    tolerance=0.01,
    because=_THRESHOLD,
    twin="the samples stopped, as they should be",
)
def l2_i(cases: Cases, twin: bool) -> Iterator[Observation]:
    def through(case: Case) -> Array:
        game, tau, log_pi = case

        def loss(t: oracle.Complex) -> Any:
            log_p = oracle.log_softmax(t)
            h = log_p - game.log_reference
            return np.exp(log_p) @ oracle.ipo(h[:, None] - h[None, :], game.preferences, tau) @ np.exp(log_p)

        return oracle.gradient(loss, log_pi)

    yield from _refuted(Control(through, _self_play), twin, "gradient through the samples")


@claim(
    "L2.ii",
    "with samples from another policy ν ≠ π, L1 fails (here ν = μ, against the opponent ν)",
    tolerance=0.01,
    because=_THRESHOLD,
    twin="samples from π itself",
)
def l2_ii(cases: Cases, twin: bool) -> Iterator[Observation]:
    def against(case: Case) -> Array:
        game, tau, log_pi = case
        log_mu = game.log_reference
        return oracle.objective_gradient(Model(log_pi), game.preferences, log_mu, log_mu, tau)

    def off_policy(case: Case) -> Array:
        return -subject.pull(case, Pairwise(ipo), case.game.log_reference, case.game.log_reference)

    yield from _refuted(Control(off_policy, against), twin, "samples from μ")


@claim(
    "L2.iii",
    "for the DPO and the SLiC loss in the place of IPO's, L1 fails",
    tolerance=0.01,
    because=_THRESHOLD,
    twin="the IPO loss",
)
def l2_iii(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name in ("online-dpo", "online-slic"):
        control = Control(lambda case, name=name: -subject.direction(name, case), _self_play)  # type: ignore[misc]
        yield from _refuted(control, twin, name)


def _length_averaged(lengths: Array) -> Callable[[Case], Array]:
    """∇ of online IPO when log-ratios are averaged over the tokens of each sequence."""

    def gradient(case: Case) -> Array:
        game, tau, log_pi = case
        p, log_mu = game.preferences, game.log_reference
        return Model(log_pi).gradient(lambda x: oracle.loss(oracle.ipo, p, (x - log_mu) / lengths, log_pi, tau))

    return gradient


@claim(
    "L2.iv",
    "log-probabilities averaged per token: L1 fails, the optimum moves; at one length T it is IPO at τ/T, over T²",
    tolerance=1e-11,
    because="the printed three decimals are compared to half a unit, the rest is rounding",
    twin="log-probabilities summed over tokens",
)
def l2_iv(cases: Cases, twin: bool) -> Iterator[Observation]:
    game, tau = get("lengths"), 0.5
    lengths = np.array([1.0, 1.0, 1.0] if twin else [1.0, 2.0, 2.0])
    gradient = _length_averaged(lengths)
    log_pi = game.log_reference
    for _ in range(2500):
        # natural gradient steps: a stationary point of the field, found without the library
        log_pi = oracle.log_softmax(log_pi - 0.05 * gradient(Case(game, tau, log_pi)) / np.exp(log_pi))
    stationary, nash = np.exp(log_pi), regularised_nash(game, tau).policy
    known = np.array([0.639, 0.187, 0.175])

    def describe() -> dict[str, Any]:
        numbers = {"stationary": stationary.tolist(), "Nash": nash.tolist(), "lengths": lengths.tolist()}
        return {**Case(game, tau, log_pi).describe(), **numbers}

    printed = ((stationary, known), (nash, np.array([0.601, 0.208, 0.192])))
    yield Observation(
        max(max(0.0, oracle.size(found - three) - 5e-4) for found, three in printed), describe, witness=True
    )
    # stationary indeed, and the library's own loss agrees; the equilibrium is not
    yield Observation(oracle.size(gradient(Case(game, tau, log_pi))), describe)
    yield Observation(
        max(0.0, 0.05 - oracle.size(gradient(Case(game, tau, np.log(nash))))) if not twin else 0.0, describe
    )
    for case in itertools.islice(cases.random("L2.iv", min_n=3), 20):
        common = 3.0
        averaged = _length_averaged(np.full(case.game.n, common))(case)
        summed = _length_averaged(np.ones(case.game.n))(case._replace(temperature=case.temperature / common))
        yield Observation(oracle.size(averaged - summed / common**2) / (1.0 + oracle.size(averaged)), case.describe)


@claim(
    "L2.v",
    "when P + Pᵀ ≠ 1, L1 fails",
    tolerance=0.01,
    because=_THRESHOLD,
    twin="a P with P + Pᵀ = 1",
)
def l2_v(cases: Cases, twin: bool) -> Iterator[Observation]:
    def broken(case: Case) -> Array:
        p = case.game.preferences
        return np.where(np.triu(np.ones(p.shape), 1) > 0, np.minimum(p + 0.25, 1.0), p)

    def loss(case: Case) -> Array:
        game, tau, log_pi = case
        return oracle.loss_gradient(oracle.ipo, Model(log_pi), broken(case), game.log_reference, log_pi, tau)

    def play(case: Case) -> Array:
        game, tau, log_pi = case
        return oracle.objective_gradient(Model(log_pi), broken(case), log_pi, game.log_reference, tau)

    yield from _refuted(Control(loss, play), twin, "P is ½ + margins, with .25 added above the diagonal")

"""Claims about losses and their gradients: L1-L9 with the negative controls L2.i-L2.v, L11-L15, N12, N13.

The gradients of the library are compared with complex-step derivatives of losses written out as sums over all pairs:
f′(x) = Im f(x + ih)/h with h = 1e-30, which has no truncation and no cancellation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import Pairwise, Pointwise, Problem, Setting
from nashlab.algorithms import REGISTRY
from nashlab.arrays import geometric_mixture, log_softmax
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.losses import dpo, ipo, self_play_advantage

Array = NDArray[np.float64]
Complex = NDArray[Any]

STEP = 1e-30
COLLINEAR = 0.05  # of the sine between two gradients: below it a counterexample would be no clear one
ROUNDING = "both sides are sums of n² terms in float64; complex steps add no error of their own"


# -- derivatives that share nothing with the library -------------------------------------------------------------------


def _gradient(f: Callable[[Complex], Any], theta: Array) -> Array:
    """∇f by complex steps."""
    shifts = 1j * STEP * np.eye(theta.size)
    return np.array([np.imag(f(theta + shift)) / STEP for shift in shifts])


def _log_policy(logits: Complex) -> Complex:
    """log softmax of complex logits."""
    shifted = logits - np.max(logits.real)
    return shifted - np.log(np.sum(np.exp(shifted)))


@dataclass(frozen=True)
class Model:
    """A smooth parametrisation θ -> log π: tabular, or a two-layer network that shares parameters between responses."""

    theta: Array
    first: Array | None = None
    second: Array | None = None

    def log_policy(self, theta: Complex) -> Complex:
        if self.first is None or self.second is None:
            return _log_policy(theta)
        return _log_policy(self.second @ np.tanh(self.first @ theta))


def _models(case: Case, rng: np.random.Generator) -> list[Model]:
    """The tabular model at the case's policy, and a random network with fewer parameters than responses plus two."""
    n = case.game.n
    parameters = max(1, n - 1)
    first, second = rng.normal(size=(n + 2, parameters)), rng.normal(size=(n, n + 2))
    return [Model(case.log_policy), Model(rng.normal(size=parameters), first, second)]


def _pairs(log_left: Complex, log_right: Complex, values: Complex) -> Any:
    """E f(y, y') over y ~ left, y' ~ right, the samplers being data."""
    return np.exp(log_left.real) @ values @ np.exp(log_right.real)


def _loss(value: Callable[[Any, Any, Any], Any], p: Array, h: Complex, log_nu: Array, tau: float) -> Any:
    """The expected pairwise loss under frozen samples from ν ⊗ ν."""
    return _pairs(log_nu, log_nu, value(h[:, None] - h[None, :], p, tau))


def _ipo(d: Any, p: Any, tau: float) -> Any:
    return p * (d - 0.5 / tau) ** 2 + (1 - p) * (-d - 0.5 / tau) ** 2


def _dpo(d: Any, p: Any, tau: float) -> Any:
    return p * np.log(1 + np.exp(-tau * d)) + (1 - p) * np.log(1 + np.exp(tau * d))


def _slic(d: Any, p: Any, tau: float) -> Any:
    def hinge(x: Any) -> Any:
        return np.where(np.real(x) > 0, x, 0.0)

    return p * hinge(1 - tau * d) + (1 - p) * hinge(1 + tau * d)


def _objective(p: Array, log_opponent: Array, log_mu: Array, tau: float, log_pi: Complex) -> Any:
    """P(π ≻ SG ν) − τ KL(π‖μ)."""
    return np.sum(np.exp(log_pi) * (p @ np.exp(log_opponent) - tau * (log_pi - log_mu)))


def _setting(case: Case, beta: float = 0.125, step: float = 1.0, log_behaviour: Array | None = None) -> Setting:
    log_mu = case.game.log_reference
    return Setting(log_mu, log_mu if log_behaviour is None else log_behaviour, case.temperature, step, beta, 0.0)


def _pull(case: Case, objective: Any, log_left: Array, log_right: Array) -> Array:
    """The library's expected ascent direction at the case's policy."""
    environment = ExactEnvironment(case.game.margins)
    return np.asarray(environment.pull(objective, case.log_policy, log_left, log_right, _setting(case)))


def _direction(name: str, case: Case, beta: float = 0.125, log_behaviour: Array | None = None) -> Array:
    """The ascent direction that the library's method of that name follows: one step of η · unit = 1 in plain θ."""
    spec = REGISTRY[name]
    assert spec.objective is not None
    setting = _setting(case, beta, 1.0 / spec.objective.unit(case.temperature), log_behaviour)
    after = spec.step(spec.start(case.log_policy), setting, ExactEnvironment(case.game.margins))
    moved = np.asarray(after["log_policy"]) - case.log_policy
    return np.asarray(moved - moved.mean(axis=-1, keepdims=True))  # a direction in θ sums to 0; log-softmax shifts it


def _size(x: Array) -> float:
    return float(np.max(np.abs(x)))


# -- L1 and its negative controls --------------------------------------------------------------------------------


@claim(
    "L1",
    "online IPO: ∇ IPO at ν = SG π is −(4/τ) ∇[P(π ≻ SG π) − τ KL(π‖μ)], exactly, for every smooth parametrisation",
    tolerance=1e-11,
    because=ROUNDING + "; relative to 4/τ and the size of ∂h/∂θ",
    twin="the factor 2/τ that the paper prints",
)
def l1(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L1")
    factor = 2.0 if twin else 4.0
    for case in cases.all("L1", share=0.5):
        game, tau, log_pi = case
        p, log_mu = game.preferences, game.log_reference
        for model in _models(case, rng):
            frozen = model.log_policy(model.theta).real
            loss = _gradient(lambda t: _loss(ipo.value, p, model.log_policy(t) - log_mu, frozen, tau), model.theta)  # noqa: B023
            play = _gradient(lambda t: _objective(p, frozen, log_mu, tau, model.log_policy(t)), model.theta)  # noqa: B023
            yield Observation(_size(loss * tau / factor + play) / (1.0 + _size(play)), case.describe)
        # the table form written out, and what the two methods of the library do, are that same identity
        direct = _gradient(lambda t: _loss(_ipo, p, _log_policy(t) - log_mu, log_pi, tau), log_pi)  # noqa: B023
        contrast, play = _direction("online-ipo", case), _direction("self-play-pg", case)
        off = max(_size(direct + contrast) * tau, _size(contrast * tau / factor - play))
        yield Observation(off / (1.0 + _size(direct) * tau), case.describe)


@dataclass(frozen=True)
class Control:
    """A wrong variant of online IPO: its gradient in the tabular θ, to be held against the right one."""

    gradient: Callable[[Case], Array]
    right: Callable[[Case], Array]


def _self_play(case: Case) -> Array:
    """∇[P(π ≻ SG π) − τ KL(π‖μ)]."""
    game, tau, log_pi = case
    return _gradient(lambda t: _objective(game.preferences, log_pi, game.log_reference, tau, _log_policy(t)), log_pi)


def _defect(wrong: Array, right: Array) -> float:
    """The sine of the angle between two gradients: 0 where one is a multiple of the other."""
    a, b = np.linalg.norm(wrong), np.linalg.norm(right)
    if a == 0 or b == 0:
        return 0.0
    across = wrong - (wrong @ right) / b**2 * right
    return float(np.linalg.norm(across) / a)


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
        if (defect := _defect(tried.gradient(case), tried.right(case))) > COLLINEAR:
            break
    else:
        yield Observation(COLLINEAR, lambda: {"counterexample": "none found"})
        return

    def describe() -> dict[str, Any]:
        gradients = {"gradient": tried.gradient(case).tolist(), "policy gradient": tried.right(case).tolist()}
        return {"control": note, **case.describe(), **gradients, "sine of the angle": defect}

    yield Observation(0.0, describe, witness=True)


_RIGHT = Control(lambda case: -_direction("online-ipo", case), _self_play)
_THRESHOLD = "0 where gradients at an angle of sine above .05 were found, .05 where all were collinear"


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

        def loss(t: Complex) -> Any:
            log_p = _log_policy(t)
            h = log_p - game.log_reference
            return np.exp(log_p) @ _ipo(h[:, None] - h[None, :], game.preferences, tau) @ np.exp(log_p)

        return _gradient(loss, log_pi)

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
        return _gradient(lambda t: _objective(game.preferences, log_mu, log_mu, tau, _log_policy(t)), log_pi)

    def off_policy(case: Case) -> Array:
        return -_pull(case, Pairwise(ipo), case.game.log_reference, case.game.log_reference)

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
        control = Control(lambda case, name=name: -_direction(name, case), _self_play)  # type: ignore[misc]
        yield from _refuted(control, twin, name)


def _length_averaged(lengths: Array) -> Callable[[Case], Array]:
    """∇ of online IPO when log-ratios are averaged over the tokens of each sequence."""

    def gradient(case: Case) -> Array:
        game, tau, log_pi = case
        return _gradient(
            lambda t: _loss(_ipo, game.preferences, (_log_policy(t) - game.log_reference) / lengths, log_pi, tau),
            log_pi,
        )

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
        log_pi = log_softmax(log_pi - 0.05 * gradient(Case(game, tau, log_pi)) / np.exp(log_pi))
    stationary, nash = np.exp(log_pi), regularised_nash(game, tau).policy
    known = np.array([0.639, 0.187, 0.175])

    def describe() -> dict[str, Any]:
        numbers = {"stationary": stationary.tolist(), "Nash": nash.tolist(), "lengths": lengths.tolist()}
        return {**Case(game, tau, log_pi).describe(), **numbers}

    printed = ((stationary, known), (nash, np.array([0.601, 0.208, 0.192])))
    yield Observation(max(max(0.0, _size(found - three) - 5e-4) for found, three in printed), describe, witness=True)
    # stationary indeed, and the library's own loss agrees; the equilibrium is not
    yield Observation(_size(gradient(Case(game, tau, log_pi))), describe)
    yield Observation(max(0.0, 0.05 - _size(gradient(Case(game, tau, np.log(nash))))) if not twin else 0.0, describe)
    for case in itertools.islice(cases.random("L2.iv", min_n=3), 20):
        common = 3.0
        averaged = _length_averaged(np.full(case.game.n, common))(case)
        summed = _length_averaged(np.ones(case.game.n))(case._replace(temperature=case.temperature / common))
        yield Observation(_size(averaged - summed / common**2) / (1.0 + _size(averaged)), case.describe)


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
        return _gradient(lambda t: _loss(_ipo, broken(case), _log_policy(t) - game.log_reference, log_pi, tau), log_pi)

    def play(case: Case) -> Array:
        game, tau, log_pi = case
        return _gradient(lambda t: _objective(broken(case), log_pi, game.log_reference, tau, _log_policy(t)), log_pi)

    yield from _refuted(Control(loss, play), twin, "P is ½ + margins, with .25 added above the diagonal")


# -- stationary points -----------------------------------------------------------------------------------------------


@claim(
    "L3",
    "the stationary point of online IPO is π*_τ: its gradient vanishes there, and descent from anywhere ends there",
    tolerance=1e-8,
    because="descent is stopped at 1e-9 of movement; the gradient at π*_τ is rounding of 4/τ times terms of size 1",
    twin="the equilibrium at 1.00001 τ",
)
def l3(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L3")
    for case in cases.all("L3", share=0.5):
        game, tau, _ = case
        q = regularised_nash(game, tau * (1.00001 if twin else 1.0)).log_policy
        gradient = _gradient(lambda t: _loss(_ipo, game.preferences, _log_policy(t) - game.log_reference, q, tau), q)  # noqa: B023
        # in natural coordinates: a direction of vanishing mass would hide any error
        yield Observation(_size(gradient / np.exp(q)) * tau / 4, case.describe)
    spec = REGISTRY["online-ipo-entropic"]
    for case in itertools.islice(cases.random("L3 descent", max_n=5), 20):
        tau = max(case.temperature, 0.3)
        case = case._replace(temperature=tau, log_policy=np.log(random_policy(case.game.n, rng)))
        found = _run(spec, case, steps=600, step=0.5 * tau / (tau**2 + 0.1))
        q = regularised_nash(case.game, tau * (1.00001 if twin else 1.0)).log_policy
        yield Observation(float(np.abs(np.exp(found) - np.exp(q)).sum()), case.describe)


def _run(spec: Any, case: Case, *, steps: int, step: float, beta: float = 0.125) -> Array:
    """The library's own algorithm in plain numpy."""
    environment, setting = ExactEnvironment(case.game.margins), _setting(case, beta, step)
    state = spec.start(case.log_policy)
    for t in range(steps):
        state = spec.step(state, setting._replace(time=float(t)), environment)
    return np.asarray(state["log_policy"])


def _problem(case: Case, beta: float = 0.125, log_behaviour: Array | None = None) -> Problem:
    log_data = case.game.log_reference if log_behaviour is None else log_behaviour
    return Problem(case.game, case.temperature, 0.1, beta, log_data)


def _target(name: str, problem: Problem) -> Array:
    """The fixed point that the library declares for an algorithm."""
    target = REGISTRY[name].target
    found = None if target is None else target(problem)
    assert found is not None
    return found


@claim(
    "L4",
    "offline IPO on ν ends at ∝ μ exp(p(y ≻ ν)/τ), which moves with ν; for n = 2 it does not",
    tolerance=1e-9,
    because="a least-squares solution with n² rows, conditioned like 1/ν_min ≤ 800, scaled by τ",
    twin="p(y ≻ μ) in the place of p(y ≻ ν)",
)
def l4(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L4")
    for case in cases.all("L4"):
        game, tau, _ = case
        n = game.n
        optima, off = [], 0.0
        for nu in (random_policy(n, rng), random_policy(n, rng)):
            # the loss is least squares in h: rows √(ν_i ν_j) (h_i − h_j) = √(ν_i ν_j) (p_ij − ½)/τ
            weight = np.sqrt(np.outer(nu, nu)).ravel()
            design = (np.eye(n)[:, None, :] - np.eye(n)[None, :, :]).reshape(n * n, n)
            h = np.linalg.lstsq(weight[:, None] * design, weight * game.margins.ravel() / tau, rcond=None)[0]
            known = _target("offline-ipo", _problem(case, log_behaviour=game.log_reference if twin else np.log(nu)))
            off = max(off, float(np.ptp(h - (known - game.log_reference))) * tau)
            optima.append(h)
        moved = float(np.ptp(optima[0] - optima[1])) * tau
        yield Observation(max(off, moved if n == 2 else 0.0), case.describe)
    problem = Problem(get("dice"), 0.1, 0.1, 0.1, np.log([0.6, 0.3, 0.1]))
    found = np.exp(_target("offline-ipo", problem))
    off = _size(found - np.array([0.366, 0.248, 0.387])) - 5e-4  # printed with three decimals
    yield Observation(max(0.0, off), lambda: {"game": "dice", "optimum": found.tolist()})
    moved = _size(found - np.exp(_target("offline-ipo", problem._replace(log_behaviour=np.log([0.1, 0.3, 0.6])))))
    yield Observation(max(0.0, 0.05 - moved), lambda: {"game": "dice", "moved": moved})


@claim(
    "L5",
    "IPO-MD: ∇ = −(4/τ){E_ν[s(p(·≻ν) − ½ − τh)] + τ E_ν[h] E_ν[s]} at ν = SG m_β",
    tolerance=1e-11,
    because=ROUNDING + "; relative to 4/τ",
    twin="the printed form, without its last term",
)
def l5(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L5")
    for case in cases.all("L5", share=0.5):
        game, tau, _ = case
        p, log_mu = game.preferences, game.log_reference
        for model, beta in itertools.product(_models(case, rng), (float(rng.uniform(0.05, 0.8)), 0.9)):
            log_pi = model.log_policy(model.theta).real
            log_nu = geometric_mixture(log_pi, log_mu, beta)
            loss = _gradient(lambda t: _loss(ipo.value, p, model.log_policy(t) - log_mu, log_nu, tau), model.theta)  # noqa: B023
            scores = np.array([_gradient(lambda t: model.log_policy(t)[y], model.theta) for y in range(game.n)])  # noqa: B023
            nu, h = np.exp(log_nu), log_pi - log_mu
            formula = (nu * (p @ nu - 0.5 - tau * h)) @ scores
            if not twin:
                formula = formula + tau * (nu @ h) * (nu @ scores)
            yield Observation(_size(loss * tau / 4 + formula) / (1.0 + _size(formula)), case.describe)
            if model.first is None:
                follows = _direction("ipo-md", case, beta)
                yield Observation(_size(loss + follows) * tau / 4 / (1.0 + _size(formula)), case.describe)
    yield from _smallest_counterexample(twin)
    yield from _stationary_points(twin)


def _smallest_counterexample(twin: bool) -> Iterator[Observation]:
    """π = (½, ½), μ = (.1, .9), β = ½: the printed form is off by ∓.03848 whatever P and τ are."""
    mu, pi = np.array([0.1, 0.9]), np.array([0.5, 0.5])
    log_nu = geometric_mixture(np.log(pi), np.log(mu), 0.5)
    nu, h = np.exp(log_nu), np.log(pi / mu)
    for p12, tau in itertools.product((0.0, 0.3, 0.9), (0.1, 1.0)):
        p = np.array([[0.5, p12], [1 - p12, 0.5]])
        exact = _gradient(lambda t: _loss(_ipo, p, _log_policy(t) - np.log(mu), log_nu, tau), np.log(pi))  # noqa: B023
        weight = nu * (p @ nu - 0.5 - tau * h)
        printed = -(4 / tau) * (weight - pi * weight.sum())
        missing = exact if twin else exact - printed

        def describe(p: Array = p, tau: float = tau, off: Array = missing) -> dict[str, Any]:
            return {"π": pi.tolist(), "μ": mu.tolist(), "β": 0.5, "P": p.tolist(), "τ": tau, "missing": off.tolist()}

        # four printed decimals
        yield Observation(max(0.0, abs(missing[0] + 0.03848) - 5e-6), describe, witness=True)


def _stationary_points(twin: bool) -> Iterator[Observation]:
    """n = 2, p = 1, τ = .1, β = .9, μ = (.1, .9): the loss rests at L6's π₁ = .943, the printed field at .620."""
    from scipy.optimize import brentq

    tau, beta, log_mu, p = 0.1, 0.9, np.log([0.1, 0.9]), np.array([[0.5, 1.0], [0.0, 0.5]])

    def force(x: float, printed: bool) -> float:
        log_pi = np.log([x, 1 - x])
        log_nu = geometric_mixture(log_pi, log_mu, beta)
        if not printed:
            return float(-_gradient(lambda t: _loss(_ipo, p, _log_policy(t) - log_mu, log_nu, tau), log_pi)[0])
        weight = np.exp(log_nu) * (p @ np.exp(log_nu) - 0.5 - tau * (log_pi - log_mu))
        return float(weight[0] - x * weight.sum())

    rest, printed = (brentq(force, 0.05, 0.999, args=(which,), xtol=1e-15) for which in (twin, True))
    opponent = np.exp(geometric_mixture(np.log([rest, 1 - rest]), log_mu, beta))
    fixed = np.exp(_log_policy(log_mu + p @ opponent / tau))
    off = max(abs(rest - 0.943) - 5e-4, abs(printed - 0.620) - 5e-4, abs(rest - fixed[0]) - 1e-12, 0.0)
    yield Observation(off, lambda: {"loss": rest, "printed field": printed, "L6": fixed.tolist()})


@claim(
    "L5b",
    "∇ IPO-MD(β) = (1−β)⁻² ∇ online IPO of the mixture ν = m_β at τ/(1−β), differentiating ν through π",
    tolerance=1e-10,
    because=ROUNDING + "; relative to 4/(τ(1−β)), β ≤ .9",
    twin="the factor (1−β)⁻¹",
)
def l5b(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L5b")
    for case in cases.all("L5b", share=0.5):
        game, tau, _ = case
        p, log_mu = game.preferences, game.log_reference
        for model, beta in itertools.product(_models(case, rng), (0.125, float(rng.uniform(0.3, 0.9)))):
            hot = tau / (1 - beta)
            log_nu = geometric_mixture(model.log_policy(model.theta).real, log_mu, beta)

            def mixture(t: Complex, model: Model = model, beta: float = beta, log_mu: Array = log_mu) -> Complex:
                return _log_policy((1 - beta) * model.log_policy(t) + beta * log_mu)

            loss = _gradient(lambda t: _loss(ipo.value, p, model.log_policy(t) - log_mu, log_nu, tau), model.theta)  # noqa: B023
            online = _gradient(lambda t: _loss(ipo.value, p, mixture(t) - log_mu, log_nu, hot), model.theta)  # noqa: B023
            play = _gradient(lambda t: _objective(p, log_nu, log_mu, hot, mixture(t)), model.theta)  # noqa: B023
            power = 1 if twin else 2
            scale = 4 / (tau * (1 - beta)) * (1.0 + _size(play))
            first = _size(loss - online / (1 - beta) ** power) / scale
            second = _size(loss + 4 / (tau * (1 - beta)) * play) / scale
            yield Observation(max(first, second), case.describe)


def _displaced(case: Case, beta: float, log_other: Array) -> Array:
    """π ∝ μ exp(p(y ≻ m_β(π, other))/τ) by damped iteration, for λ(1−β)/τ of moderate size."""
    game, tau, log_pi = case
    mixing = 1.0 / (1.0 + 0.1 * ((1 - beta) / tau) ** 2)  # λ² < .1: the best step of a rotating linear iteration
    for _ in range(4000):
        opponent = geometric_mixture(log_pi, log_other, beta)
        reply = game.log_reference + game.margins @ np.exp(opponent) / tau
        new = log_softmax((1 - mixing) * log_pi + mixing * reply)
        if _size(new - log_pi) < 1e-15:
            break
        log_pi = new
    return log_pi


@claim(
    "L6",
    "IPO-MD(β) and Nash-MD-PG(β) share their stationary point π*_β ∝ μ exp(p(y ≻ m_β(π*_β))/τ)",
    tolerance=1e-10,
    because="fields of size 1 evaluated at a solution that is right to 1e-12/τ",
    twin="π*_τ in the place of π*_β",
)
def l6(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L6")
    for case in cases.all("L6", share=0.5):
        tau = max(case.temperature, 0.05)
        beta = float(rng.uniform(0.05, 0.95))
        for name in ("ipo-md", "nash-md-pg"):
            point = case._replace(temperature=tau)
            log_pi = _target(name, _problem(point, beta))
            if twin:
                log_pi = regularised_nash(case.game, tau).log_policy
            log_nu = geometric_mixture(log_pi, case.game.log_reference, beta)
            p, h = case.game.preferences, log_pi - case.game.log_reference
            # the fields written out: E_ν s(p(·≻ν) − ½ − τ(h − E_ν h)) and E_π s(p(·≻ν) − ½ − τh)
            nu, pi = np.exp(log_nu), np.exp(log_pi)
            value = p @ nu - 0.5 - tau * h
            weight = nu * (value + tau * (nu @ h)) if name == "ipo-md" else pi * (value - pi @ value)
            written = weight - pi * weight.sum()
            follows = _direction(name, point._replace(log_policy=log_pi), beta) * (tau / 4 if name == "ipo-md" else 1)
            # the fixed-point equation itself: no small mass can hide an error there
            equation = float(np.ptp(value))
            yield Observation(max(_size(written), _size(follows), equation), point.describe)


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
        for other in (case.game.log_reference, log_data):
            mixed = geometric_mixture(_displaced(case, beta, other), other, beta)
            pulled = geometric_mixture(case.game.log_reference, other, beta)
            nash = regularised_nash(case.game.with_reference(np.exp(pulled)), hot).policy
            yield Observation(float(np.abs(np.exp(mixed) - nash).sum()), case.describe)


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
            direct = _gradient(
                lambda t: _loss(_ipo, game.preferences, _log_policy(t) - game.log_reference, log_nu, tau),  # noqa: B023
                log_pi,
            )
            ours, known = (_direction(method, case, beta, log_data) for method in (mixed, name))
            off = max(_size(ours - known), _size(ours + direct)) * tau
            yield Observation(off / (1.0 + _size(direct) * tau), case.describe)


@claim(
    "L9",
    "Nash-MD-PG(β): E s(y)(P[y,y'] − ½ − τh(y)), y ~ π, y' ~ m_β; β = 0 is self-play, β = 1 best response to μ",
    tolerance=1e-12,
    because=ROUNDING,
    twin="both responses drawn from the mixture",
)
def l9(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L9")
    for case in cases.all("L9", share=0.5):
        game, tau, log_pi = case
        log_mu, pi = game.log_reference, np.exp(case.log_policy)
        scores = np.eye(game.n) - pi[None, :]  # s(y) = e_y − π
        for beta in (0.0, 1.0, float(rng.uniform(0.1, 0.9))):
            log_nu = geometric_mixture(log_pi, log_mu, beta)
            pull = _direction("nash-md-pg", case, beta)
            if twin:
                pull = _pull(case, Pointwise(self_play_advantage), log_nu, log_nu)
            written = np.zeros(game.n)
            for y, y2 in itertools.product(range(game.n), repeat=2):
                f = game.preferences[y, y2] - 0.5 - tau * (log_pi[y] - log_mu[y])
                written += pi[y] * np.exp(log_nu[y2]) * f * scores[y]
            ends = 0.0
            if beta == 0:
                ends = _size(pull - _self_play(case))
            elif beta == 1:
                reply = np.exp(log_softmax(log_mu + game.margins @ np.exp(log_mu) / tau))
                at_reply = case._replace(log_policy=np.log(np.maximum(reply, 1e-300)))
                ends = max(
                    _size(_direction("nash-md-pg", at_reply, 1.0)), _size(pull - _direction("best-response", case))
                )
            yield Observation(max(_size(pull - written), ends), case.describe)


# -- other losses ----------------------------------------------------------------------------------------------------


@claim(
    "L11",
    "online DPO at π*_τ: ∇ = −2τ E s(y)(p(y≻π*) − E σ(p(y≻π*) − p(y'≻π*))), not 0; for n = 2 only p = ½ is stationary",
    tolerance=1e-9,
    because=ROUNDING + " at an equilibrium right to 1e-12; roots of the two-response condition are printed to 1e-4",
    twin="the claim that π*_τ is stationary for online DPO",
)
def l11(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.all("L11", share=0.5):
        game, tau = case.game, max(case.temperature, 0.1)
        q = regularised_nash(game, tau).log_policy
        pi, win = np.exp(q), game.preferences @ np.exp(q)
        sigma = 1 / (1 + np.exp(-(win[:, None] - win[None, :])))
        weight = pi * (win - sigma @ pi)
        formula = -2 * tau * (weight - pi * weight.sum())
        gradient = _gradient(lambda t: _loss(_dpo, game.preferences, _log_policy(t) - game.log_reference, q, tau), q)  # noqa: B023
        library = _direction("online-dpo", Case(game, tau, q))
        off = max(_size(gradient - (0 * formula if twin else formula)), _size(gradient + library))
        yield Observation(off, case.describe)
    pair = get("two-responses")
    log_nash = regularised_nash(pair, 1.0).log_policy
    force = _direction("online-dpo", Case(pair, 1.0, log_nash))
    yield Observation(
        max(0.0, 0.01 - _size(force)),
        lambda: {**Case(pair, 1.0, log_nash).describe(), "DPO's direction at the equilibrium": force.tolist()},
        witness=True,
    )
    yield from _two_responses()


def _two_responses() -> Iterator[Observation]:
    """n = 2, DPO at temperature kτ: stationary at π*_τ iff p = σ(k(p − ½)); for k = 4.5 also p = .2244, .7756."""
    from scipy.optimize import brentq

    def slope(p: float, k: float, tau: float) -> float:
        # h₁ − h₂ = (p − ½)/τ at the equilibrium
        return float(dpo.slope(np.array((p - 0.5) / tau), p, k * tau))

    for tau in (0.1, 1.0):
        inside = [slope(p, 1.0, tau) for p in np.linspace(0.51, 0.99, 25)]
        yield Observation(0.0 if np.all(np.sign(inside) == np.sign(inside[0])) else 1.0, lambda: {"n": 2, "k": 1})
        root = brentq(lambda p: slope(p, 4.5, tau), 0.6, 0.99)  # noqa: B023
        yield Observation(max(0.0, abs(root - 0.7756) - 5e-5), lambda: {"n": 2, "k": 4.5, "p": root})  # noqa: B023


@claim(
    "L12",
    "under Bradley-Terry preferences the RLHF optimum ∝ μ exp(r/τ) is stationary for online DPO",
    tolerance=1e-10,
    because=ROUNDING,
    twin="a reward that is smaller by 1e-5 of itself",
)
def l12(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L12")
    for _ in range(max(10, cases.samples // 2)):
        n, tau = int(rng.integers(2, 8)), float(rng.choice([0.1, 0.3, 1.0]))
        r = rng.normal(size=n)
        game = PreferenceGame.from_preferences(
            1 / (1 + np.exp(r[None, :] - r[:, None])), reference=random_policy(n, rng), name="bradley-terry"
        )
        log_pi = log_softmax(game.log_reference + (1.0 - (1e-5 if twin else 0.0)) * r / tau)
        case = Case(game, tau, log_pi)
        yield Observation(_size(_direction("online-dpo", case)), case.describe)


@claim(
    "L13",
    "rock, paper, scissors with uniform μ: online DPO is stationary at π*_τ; a non-uniform μ breaks it",
    tolerance=1e-12,
    because="the uniform policy, exactly; the broken case must exceed 1e-4",
    twin="the non-uniform reference (.5, .3, .2)",
)
def l13(cases: Cases, twin: bool) -> Iterator[Observation]:
    for tau in (0.03, 0.1, 0.3, 1.0):
        for name, exception in (("rps", True), ("rps-weighted", False)):
            game = get("rps-weighted" if twin else name)
            case = Case(game, tau, regularised_nash(game, tau).log_policy)
            size = _size(_direction("online-dpo", case)) / tau
            yield Observation(size if exception else max(0.0, 1e-4 - size), case.describe)


@claim(
    "L14",
    "offline DPO and offline IPO have many optima where the data policy has zeros",
    tolerance=1e-10,
    because="the gradient does not see a response that is never sampled, and vanishes elsewhere to rounding of h ≤ 5/τ",
    twin="a data policy that samples it with probability .01",
)
def l14(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L14")
    for case in cases.random("L14", min_n=3, share=0.25):
        tau = case.temperature
        # no certain preference among the seen: a logistic fit must have its optimum
        game = PreferenceGame.from_margins(0.8 * case.game.margins, reference=case.game.reference, name=case.game.name)
        p = game.preferences
        seen = random_policy(game.n - 1, rng)
        nu = np.append(0.99 * seen, 0.01) if twin else np.append(seen, 0.0)
        with np.errstate(divide="ignore"):
            log_nu = np.log(nu)
        # the optimum of the seen responses in h = log π − log μ; the unseen one may have any mass
        optima = {"offline-ipo": p[:-1, :-1] @ seen / tau, "offline-dpo": _logistic_fit(p[:-1, :-1], seen) / tau}
        for (name, h), mass in itertools.product(optima.items(), (0.01, 0.5, 0.9)):
            log_seen = log_softmax(game.log_reference[:-1] + h) + np.log1p(-mass)
            point = Case(game, tau, np.append(log_seen, np.log(mass)))
            unit = tau if name == "offline-ipo" else 1 / tau
            off = _size(_direction(name, point, log_behaviour=log_nu)) * unit
            yield Observation(off, point.describe)


def _logistic_fit(p: Array, nu: Array) -> Array:
    """The r of Σ_j ν_i ν_j (p_ij − σ(r_i − r_j)) = 0, by Newton steps of at most 1."""
    pair, r = np.outer(nu, nu), np.zeros(nu.size)
    for _ in range(40):
        s = 1 / (1 + np.exp(r[None, :] - r[:, None]))
        curvature = pair * s * (1 - s)
        hessian = np.diag(curvature.sum(axis=1)) - curvature
        step = np.linalg.lstsq(hessian, (pair * (p - s)).sum(axis=1), rcond=None)[0]
        r = r + step / max(1.0, _size(step))
    return np.asarray(r)


@claim(
    "L15",
    "online SLiC misses π*_τ: at p = .7, τ = 1, uniform μ it ends at .7311, the equilibrium is .5498",
    tolerance=2e-3,
    because="a kink is approached to within a step; printed numbers have four decimals",
    twin="online IPO, which does not miss it",
)
def l15(cases: Cases, twin: bool) -> Iterator[Observation]:
    spec = REGISTRY["online-ipo" if twin else "online-slic"]
    game = get("two-responses")
    case = Case(game, 1.0, game.log_reference)
    found, nash = np.exp(_settled(spec, case)), regularised_nash(game, 1.0).policy
    yield Observation(abs(found[0] - 0.7311), lambda: _missed(case, found, nash))
    yield Observation(abs(nash[0] - 0.5498), case.describe)
    # random transitive games of three responses: where SLiC ends, and how far that is from the equilibrium
    r = cases.rng("L15").normal(size=(12, 3))
    r = r[np.ptp(r, axis=1) > 0.5]
    games = PreferenceGame.from_preferences(1 / (1 + np.exp(r[:, None, :] - r[:, :, None])), name="bradley-terry")
    ends = np.exp(_settled(spec, Case(games, 1.0, games.log_reference)))
    equilibria = regularised_nash(games, 1.0).policy
    distance = np.abs(ends - equilibria).sum(axis=-1)
    farthest = int(np.argmax(distance))
    for x in np.argsort(distance):
        one = Case(games.prompt(int(x)), 1.0, games.log_reference[x])

        def describe(one: Case = one, x: int = int(x)) -> dict[str, Any]:
            return _missed(one, ends[x], equilibria[x])

        yield Observation(max(0.0, 0.1 - float(distance[x])), describe, witness=x == farthest)


def _missed(case: Case, found: Array, nash: Array) -> dict[str, Any]:
    ends = {"SLiC": found.tolist(), "Nash": nash.tolist(), "distance": float(np.abs(found - nash).sum())}
    return {**case.describe(), **ends}


@claim(
    "N12",
    "while osc(τh) < 1, ∇ online SLiC = −4τ D A π: no restoring force; osc(τh*) < 1 always; stationary iff Aμ = 0",
    tolerance=1e-11,
    because=ROUNDING,
    twin="a factor that is a millionth larger",
)
def n12(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.all("N12"):
        game, tau, log_pi = case
        # bring the policy so near to μ that every pair is inside the hinge
        h = log_pi - game.log_reference
        h = h * min(1.0, 0.9 / (tau * float(np.ptp(h)) + 1e-300))
        point = case._replace(log_policy=log_softmax(game.log_reference + h))
        pi = np.exp(point.log_policy)
        covariance = np.diag(pi) - np.outer(pi, pi)
        formula = -4 * (1.0 + (1e-6 if twin else 0.0)) * tau * covariance @ game.margins @ pi
        gradient = _gradient(
            lambda t: _loss(_slic, game.preferences, _log_policy(t) - game.log_reference, point.log_policy, tau),  # noqa: B023
            point.log_policy,
        )
        library = _direction("online-slic", point)
        scale = 1.0 + tau
        yield Observation(max(_size(gradient - formula), _size(gradient + library)) / scale, point.describe)
        q = regularised_nash(game, tau).log_policy
        spread = float(np.ptp(tau * (q - game.log_reference)))
        # where Aμ ≠ 0 the field at the equilibrium, in natural coordinates, is not 0 either
        push = game.margins @ np.exp(q)
        moves = float(np.ptp(push)) > 1e-3 * float(np.ptp(game.margins @ game.reference))
        still = float(np.ptp(game.margins @ game.reference)) < 1e-15
        wrong = still and float(np.ptp(push)) > 1e-12
        yield Observation(1.0 if spread >= 1 or wrong or not (moves or still) else 0.0, case.describe)


@claim(
    "N13",
    "for n = 2 and ½ < p < 1 online SLiC ends at h₁ − h₂ = 1/τ whatever p is; osc(h) ≤ (n−1)/τ at stationary points",
    tolerance=1e-2,
    because="relative to 1/τ; the kink is approached to within a step of η = .005",
    twin="h₁ − h₂ = (p − ½)/τ, the equilibrium's",
)
def n13(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N13")
    p = np.array([0.55, 0.7, 0.95])
    for tau in (0.5, 1.0, 2.0):
        first = 0.5 + 0.2 * rng.uniform(-1, 1, size=3)
        rows = np.stack([np.full(3, 0.5), p, 1 - p, np.full(3, 0.5)], axis=-1).reshape(3, 2, 2)
        pairs = PreferenceGame.from_preferences(rows, reference=np.stack([first, 1 - first], axis=-1), name="pairs")
        case = Case(pairs, tau, pairs.log_reference)
        h = _settled(REGISTRY["online-slic"], case) - pairs.log_reference
        end = (p - 0.5) / tau if twin else 1 / tau
        yield Observation(_size(h[:, 0] - h[:, 1] - end) * tau, case.describe)
        for side in (-1, 1):
            # to both sides of the kink the field points at it
            at = pairs.log_reference + np.array([1.0, 0.0]) * (1 + side * 1e-9) / tau
            force = _direction("online-slic", case._replace(log_policy=log_softmax(at)))[:, 0]
            yield Observation(0.0 if np.all(side * force < 0) else 1.0, case.describe)
    for case in cases.random("N13", share=0.5):
        yield _gap_closes(case, rng)
    r = rng.normal(size=(5, 4))
    games = PreferenceGame.from_preferences(1 / (1 + np.exp(r[:, None, :] - r[:, :, None])), name="bradley-terry")
    case = Case(games, 1.0, games.log_reference)
    h = _settled(REGISTRY["online-slic"], case) - games.log_reference
    yield Observation(max(0.0, float(np.max(np.ptp(h, axis=-1))) - 3), case.describe)


def _gap_closes(case: Case, rng: np.random.Generator) -> Observation:
    """osc(h) > (n−1)/τ leaves a gap above 1/τ; over it the upper group U is pulled down, so no such h is stationary.

    Σ_U pull = −2τ Σ_{i∈U, j∉U} π_i π_j (1 − p_ij), below 0 as soon as no preference is certain.
    """
    n, tau = case.game.n, case.temperature
    margins = 0.9 * case.game.margins
    upper = np.arange(n) < int(rng.integers(1, n))
    h = (1.5 * upper + rng.uniform(0, 0.4, size=n)) / tau
    # μ is chosen so that π is any policy: neither group's mass vanishes
    reference = np.exp(log_softmax(case.log_policy - h))
    game = PreferenceGame.from_margins(margins, reference=np.maximum(reference, 1e-300), name=case.game.name)
    at = Case(game, tau, log_softmax(game.log_reference + h))
    pi = np.exp(at.log_policy)
    known = -2 * tau * float(pi[upper] @ (0.5 - margins[np.ix_(upper, ~upper)]) @ pi[~upper])
    off = abs(float(_direction("online-slic", at)[upper].sum()) - known) / tau
    return Observation(off if known < 0 else 1.0, at.describe)


def _settled(spec: Any, case: Case) -> Array:
    """Where a method with a kink ends: long steps to get there, short ones to settle."""
    for steps, size in ((1500, 0.5), (600, 0.1), (200, 0.03), (200, 0.005)):
        case = case._replace(log_policy=_run(spec, case, steps=steps, step=size))
    return case.log_policy

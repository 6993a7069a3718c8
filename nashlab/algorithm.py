"""What an alignment method is: who samples, which objective, which geometry; and what it claims.

One idea carries the code: **a method is a sampling behaviour + a pairwise (or pointwise) objective + an update
geometry**.  The same :class:`AlgorithmSpec` runs on a matrix with full expectations, on sampled feedback and on a
transformer; the equivalence theorem L1 is two specifications meeting.

A step sees only a :class:`State` (its memory), a :class:`Setting` (numbers of the problem) and an
:class:`Environment` (the game, which answers two questions).  Nothing here needs jax or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import Array, array_namespace, geometric_mixture, log_softmax
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import PairwiseLoss
from nashlab.optimiser import SGD, Optimiser
from nashlab.reward import bradley_terry_reward

__all__ = [
    "FIXED",
    "SAMPLERS",
    "AlgorithmSpec",
    "Environment",
    "Exploring",
    "Guarantee",
    "Objective",
    "Pairwise",
    "Pointwise",
    "Problem",
    "Sampler",
    "Setting",
    "State",
    "gradient_step",
]

State = Mapping[str, Array]
"""What a run remembers: always ``log_policy``, and whatever the algorithm's ``init`` adds."""


class Setting(NamedTuple):
    """The numbers of a problem as one step sees them (arrays of the calling library, or plain floats).

    log_reference  log μ, [n];  log_behaviour  log μ_b, the data policy of offline methods, [n];
    temperature    τ;  step_size  η;  beta  β of the geometric mixture;  time  the number of steps already done.
    """

    log_reference: Array
    log_behaviour: Array
    temperature: Array
    step_size: Array
    beta: Array
    time: Array = 0


class Objective(Protocol):
    """An alignment objective: the weights that it gives to the two score vectors of a pair.

    It receives only (h_left, h_right, p, τ), elementwise; the ascent direction is E[c_left s(y) + c_right s(y')].
    """

    symmetric: ClassVar[bool]
    """Whether swapping a pair (and p for 1 − p) changes nothing: c_right(y, y') = c_left(y', y)."""

    def weights(self, h_left: Array, h_right: Array, p: Array, temperature: Array) -> tuple[Array, Array | None]:
        """(c_left, c_right), elementwise; c_right is None if the right response is not scored."""
        ...

    def unit(self, temperature: float) -> float:
        """The factor that puts a step size into units of preference: see :meth:`nashlab.losses.PairwiseLoss.unit`."""
        ...


@dataclass(frozen=True)
class Pairwise:
    """A contrastive objective: descend on ℓ(h(y) − h(y'), p, τ); the weights are ∓∂ℓ/∂d."""

    loss: PairwiseLoss
    symmetric: ClassVar[bool] = True

    def weights(self, h_left: Array, h_right: Array, p: Array, temperature: Array) -> tuple[Array, Array]:
        """(−∂ℓ/∂d, +∂ℓ/∂d), elementwise."""
        slope = self.loss.slope(h_left - h_right, p, temperature)
        return -slope, slope

    def unit(self, temperature: float) -> float:
        """The loss's own unit: see :meth:`nashlab.losses.PairwiseLoss.unit`."""
        return self.loss.unit(temperature)


@dataclass(frozen=True)
class Exploring:
    """A contrastive objective with a bonus α for moving away from the right player: ℓ(h(y) − h(y'), p, τ) + α h(y').

    Descending on the bonus lowers log π(y'), which is h(y') up to a constant; both terms are in the loss's own unit.

    Source: Xie et al. 2024 (arXiv 2405.21046), where y' comes from the reference.
    """

    loss: PairwiseLoss
    bonus: float
    symmetric: ClassVar[bool] = False

    def weights(self, h_left: Array, h_right: Array, p: Array, temperature: Array) -> tuple[Array, Array]:
        """(−∂ℓ/∂d, +∂ℓ/∂d − α), elementwise."""
        slope = self.loss.slope(h_left - h_right, p, temperature)
        return -slope, slope - self.bonus

    def unit(self, temperature: float) -> float:
        """The loss's own unit."""
        return self.loss.unit(temperature)


@dataclass(frozen=True)
class Pointwise:
    """A policy-gradient objective: ascend on E[s(y) f(h(y), h(y'), p, τ)]; only the left response is scored."""

    advantage: Callable[[Array, Array, Array, Array], Array]
    symmetric: ClassVar[bool] = False

    def weights(self, h_left: Array, h_right: Array, p: Array, temperature: Array) -> tuple[Array, None]:
        """(f, None), elementwise."""
        return self.advantage(h_left, h_right, p, temperature), None

    def unit(self, temperature: float) -> float:
        """1: a policy gradient is already in units of preference."""
        return 1.0


class Environment(Protocol):
    """What an algorithm can ask about the game."""

    def advantage(self, log_opponent: Array) -> Array:
        """(Aν)(y) = p(y ≻ ν) − ½ for every y, [n]: exact feedback only."""
        ...

    def advantages(self, log_opponents: Array) -> Array:
        """(Aν_k)(y) for several opponents, [k, n] -> [k, n]: exact feedback only."""
        ...

    def pull(
        self, objective: Objective, log_policy: Array, log_left: Array, log_right: Array, setting: Setting
    ) -> Array:
        """E[c_left s(y) + c_right s(y')] for y ~ left, y' ~ right: the ascent direction in θ, [n]."""
        ...


# -- who samples -----------------------------------------------------------------------------------------------------

FIXED = ("reference", "behaviour")
"""Players that never move: log-policies of a :class:`Setting`; all other players are part of a state."""


@dataclass(frozen=True)
class Sampler:
    """Who draws a response: a player, or its geometric mixture at β with the policy that it is pulled towards.

    player, pull  "policy", "reference" (μ), "behaviour" (μ_b), or a policy kept in the state, such as "average".
    """

    player: str
    pull: str | None = None

    def __call__(self, state: State, setting: Setting) -> Array:
        """log ν, always used under a stop-gradient."""
        own = _log_policy(self.player, state, setting)
        if self.pull is None:
            return own
        return geometric_mixture(own, _log_policy(self.pull, state, setting), setting.beta)


def _log_policy(player: str, state: State, setting: Setting) -> Array:
    found: Array = getattr(setting, f"log_{player}") if player in FIXED else state[f"log_{player}"]
    return found


SamplerName = Literal["policy", "mixture", "reference", "behaviour", "behaviour-mixture", "average"]

SAMPLERS: dict[str, Sampler] = {
    "policy": Sampler("policy"),
    "mixture": Sampler("policy", "reference"),
    "reference": Sampler("reference"),
    "behaviour": Sampler("behaviour"),
    "behaviour-mixture": Sampler("policy", "behaviour"),
    "average": Sampler("average"),
}
"""Sampling behaviours by name, for tabular log-policies and transformers alike."""


# -- what is known of a method ---------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """What a target or a step-size condition may depend on: one game and the numbers of a run."""

    game: PreferenceGame
    temperature: float
    step_size: float
    beta: float
    log_behaviour: NDArray[np.float64]


@dataclass(frozen=True)
class Guarantee:
    """A convergence theorem from every start, for exact feedback and step sizes up to ``largest_step``.

    source  the theory identifier or paper it comes from.
    factor  the contraction, if the theorem is KL(target, π_{t+1}) ≤ factor · KL(target, π_t).
    """

    largest_step: Callable[[Problem], float]
    source: str
    factor: Callable[[Problem], float] | None = None


@dataclass(frozen=True)
class AlgorithmSpec:
    """An alignment method, as data.

    name, title, citation  its name on the command line and in prose, and its source.
    claim          what it converges to and how fast, with theory identifiers.
    left, right    who samples y and y' (names of :data:`SAMPLERS`).
    judge          "preference": p(y ≻ y'); "reward": the fitted Bradley-Terry reward's difference r(y) − r(y').
    objective      a :class:`Pairwise` or :class:`Pointwise` objective; None for pure simplex updates.
    geometry       of a gradient step: "plain" (θ += η g) or "entropic" (θ += η g/ν, which is mirror descent).
    update         a simplex update (state, setting, environment) -> state; exact feedback only.
    init           memory beside log_policy, from the first log-policy.
    answer         the policy that a run is evaluated by: the last iterate unless the claim is about another one.
    target         its own fixed point, as a log-policy; None if theory gives none.
    guarantee      the step sizes of its global convergence theorem and, if known, the rate.
    optimiser      turns the gradient into a step.
    limit          "linear": a smooth fixed point with a local rate (R3); "average": an average iterate converges;
                   "other": neither.
    temperature_role  "regularised": solves the τ game, needs τ > 0; "any": τ = 0 allowed; "ignored": τ only evaluates;
                      "proximal": τ is a proximal weight, and must be > 0.
    unbiased       the name of a variant that converges to π*_τ itself, if this method does not.
    aliases        other names of exactly this method.
    contrastive, online, regularised_sampling  the columns of the paper's Table 1, derived below.
    """

    name: str
    title: str
    citation: str
    claim: str
    left: SamplerName = "policy"
    right: SamplerName = "policy"
    judge: Literal["preference", "reward"] = "preference"
    objective: Objective | None = None
    geometry: Literal["plain", "entropic"] = "plain"
    update: Callable[[State, Setting, Environment], State] | None = None
    init: Callable[[Array], dict[str, Array]] = lambda log_policy: {}
    answer: Callable[[State, Setting], Array] = SAMPLERS["policy"]
    target: Callable[[Problem], NDArray[np.float64] | None] | None = None
    guarantee: Guarantee | None = None
    optimiser: Optimiser = SGD
    limit: Literal["linear", "average", "other"] = "linear"
    temperature_role: Literal["regularised", "any", "ignored", "proximal"] = "regularised"
    unbiased: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def contrastive(self) -> bool:
        """Table 1, first column: both responses of a pair are scored."""
        return isinstance(self.objective, (Pairwise, Exploring))

    @property
    def online(self) -> bool:
        """Table 1, second column: the sampling moves with the policy."""
        return not {self.left, self.right} <= set(FIXED)

    @property
    def regularised_sampling(self) -> bool:
        """Table 1, third column: at least one response is drawn from a mixture with a fixed policy."""
        return any(SAMPLERS[side].pull is not None for side in (self.left, self.right))

    def step(self, state: State, setting: Setting, environment: Environment) -> State:
        """One step of the method with exact feedback."""
        if self.update is not None:
            return self.update(state, setting, environment)
        return gradient_step(self, state, setting, environment)

    def start(self, log_policy: Array) -> dict[str, Array]:
        """The first state."""
        memory = {name: array_namespace(log_policy).zeros_like(log_policy) for name in self.optimiser.memory}
        return {"log_policy": log_policy, **self.init(log_policy), **memory}

    def by(self, optimiser: Optimiser) -> AlgorithmSpec:
        """This method with its gradient given to an optimiser; the theorems about the plain step no longer apply."""
        if self.objective is None or self.update is not None:
            raise BadInput(f"{self.name} is not a gradient method: there is no gradient for an optimiser")
        return replace(
            self,
            name=f"{self.name}+{optimiser.name}",
            title=f"{self.title}, {optimiser.name}",
            optimiser=optimiser,
            guarantee=None,
            limit=self.limit if optimiser.smooth else "other",
            aliases=(),
        )

    def judged(self, game: PreferenceGame, log_behaviour: NDArray[np.float64]) -> NDArray[np.float64]:
        """The margins that the method's judge sees, [..., n, n]: A, or the fitted reward's r(y) − r(y')."""
        if self.judge == "preference":
            return game.margins
        reward = bradley_terry_reward(game, np.exp(log_behaviour))
        return reward[..., :, None] - reward[..., None, :]

    def check(self, temperature: float, step_size: float, beta: float) -> None:
        """Refuse, by name, numbers that this method cannot run with."""
        if temperature == 0 and self.temperature_role in ("regularised", "proximal"):
            raise BadInput(f"temperature = 0, must be positive for {self.name}")
        if not np.isfinite(step_size) or step_size <= 0:
            raise BadInput(f"step_size = {step_size}, must be positive and finite")
        if not 0 <= beta <= 1:
            raise BadInput(f"beta = {beta}, must be in [0, 1]")


def gradient_step(spec: AlgorithmSpec, state: State, setting: Setting, environment: Environment) -> State:
    """θ += η · unit · (−∇), by the method's optimiser: η multiplies D(Aπ − τh) whatever factors the loss has.

    In the entropic geometry the gradient is divided by the sampling policy: for online IPO this is exactly OMD.
    """
    assert spec.objective is not None
    log_policy = state["log_policy"]
    log_left = SAMPLERS[spec.left](state, setting)
    # a shared sampler gives one array, so that sampled feedback may compare every pair of draws
    log_right = log_left if spec.left == spec.right else SAMPLERS[spec.right](state, setting)
    pull = environment.pull(spec.objective, log_policy, log_left, log_right, setting)
    if spec.geometry == "entropic":
        xp = array_namespace(log_policy)
        held = log_left > -700.0  # e⁻⁷⁰⁰ is the edge of float64: below it the quotient would be 0/0
        pull = xp.where(held, pull / xp.exp(xp.where(held, log_left, 0.0)), 0.0)
    gradient = spec.objective.unit(setting.temperature) * pull
    movement, memory = spec.optimiser.step(gradient, state, setting.step_size, setting.time)
    return {**state, **memory, "log_policy": log_softmax(log_policy + movement)}

"""Forms: how a method defined on a game becomes training steps of a transformer.

    Direct         the method as described: samples of its players, log-ratios to μ, one step.
    Regression     INPO: IPO at temperature 1/η on samples of an old policy π_t, log-ratios to π_t^(1−ητ) μ^(ητ); its
                   optimum is the mirror-descent step from π_t (L4).
    Proximal       Nash Prox: online IPO on the game with a penalty KL(π‖ν)/η, whose centre ν then moves there.
    Magnet         COMAL: online IPO towards a reference that itself moves to the policy.
    Population     MNPO: y' from a mixture of past policies, log-ratios to a geometric average of them and μ.
    Extrapolation  EGPO: a trial step, y' sampled at its end, then a step from the initial point.
    Optimistic     optimistic MMD: y' from 2π_t − π_{t−1}, as a difference of two expectations.
    Leader         SLHF's leader: y' from the reference, as a follower's answers need no policy of its own.

A form defines the objective's temperature, the anchor of the log-ratios, the remembered moments of the policy, and the
order of a step.  A new form is a subclass, which may live outside the package: the loop and the sources use a method's
form only through this interface.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from llm_bridge.policy import Policy, Reference
from llm_bridge.training.players import Players, Weights
from nashlab.game import BadInput

__all__ = [
    "Direct",
    "Extrapolation",
    "Leader",
    "Magnet",
    "Numbers",
    "Optimistic",
    "Population",
    "Proximal",
    "Regression",
    "Steps",
    "Term",
]

AHEAD, NOW = 0, 1
"""Random streams of a step; forms may add their own."""


class Numbers(Protocol):
    """The numbers of a method: τ, β, and η of mirror-descent steps."""

    @property
    def tau(self) -> float: ...
    @property
    def beta(self) -> float: ...
    @property
    def step_size(self) -> float: ...


class Steps(Protocol):
    """The part of the loop that a form may use."""

    @property
    def players(self) -> Players:
        """The players; a form may write ``players.remembered``."""
        ...

    @property
    def step(self) -> int:
        """The number of steps done."""
        ...

    @property
    def refresh(self) -> int:
        """Steps between two renewals of an old policy."""
        ...

    def update(self, stream: int = NOW) -> dict[str, Any]:
        """Collect, score and descend once, with random numbers of this stream; returns the record."""
        ...

    def undone(self) -> AbstractContextManager[None]:
        """After the block, weights and optimiser are restored bit for bit."""
        ...


class Term(NamedTuple):
    """One expectation of a gradient: its weight, and the samplers of y and y'."""

    weight: float
    left: str
    right: str


@dataclass(frozen=True)
class Direct:
    """The method as described; every other form overrides parts of it.

    name        in tables and records.
    remembered  stored moments of the policy: players in addition to those of the description.
    measures_from_reference  whether log-ratios are relative to μ, so that their mean is KL(π‖μ).
    linear      whether the objective is linear in p, so that the outcome of one comparison may stand for p.
    """

    name: ClassVar[str] = "direct"
    remembered: ClassVar[tuple[str, ...]] = ()
    measures_from_reference: ClassVar[bool] = True
    linear: ClassVar[bool] = True

    def check(self, numbers: Numbers, method: str) -> None:
        """Refuse numbers that are invalid for this form."""

    def terms(self, left: str, right: str) -> tuple[Term, ...]:
        """The expectations whose weighted sum is the gradient."""
        return (Term(1.0, left, right),)

    def weight(self, term: Term, numbers: Numbers) -> float:
        """The weight of a term in this sum at these numbers; at weight 0 it is not sampled."""
        return term.weight

    def temperature(self, numbers: Numbers) -> float:
        """The objective's temperature."""
        return numbers.tau

    def anchor(self, players: Players, numbers: Numbers, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """log of the policy to which log-ratios are relative, given log-probabilities of policies."""
        return log_prob(players.reference)

    def step(self, steps: Steps) -> dict[str, Any]:
        """One step."""
        return steps.update()


@dataclass(frozen=True)
class Regression(Direct):
    """INPO: regress on the mirror-descent step from an old policy, which is renewed every ``refresh`` steps.

    Source: L4; Zhang et al. 2024 (arXiv 2407.00617).
    """

    name = "regression"
    remembered: ClassVar[tuple[str, ...]] = ("previous",)
    measures_from_reference = False

    def check(self, numbers: Numbers, method: str) -> None:
        """ητ ≤ 1, since the anchor is a mixture."""
        if numbers.step_size * numbers.tau > 1:
            raise BadInput(f"step_size · tau = {numbers.step_size * numbers.tau:g}, must be at most 1 for {method}")

    def temperature(self, numbers: Numbers) -> float:
        """1/η."""
        return 1 / numbers.step_size

    def anchor(self, players: Players, numbers: Numbers, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """(1 − ητ) log π_t + ητ log μ."""
        log_mu = log_prob(players.reference)
        share = numbers.step_size * numbers.tau
        with players.playing("previous") as previous:
            return (1 - share) * log_prob(previous).detach() + share * log_mu

    def step(self, steps: Steps) -> dict[str, Any]:
        """Renew the old policy when it is due, then one step of the regression."""
        if steps.step % steps.refresh == 0:
            steps.players.remember("previous")
        return steps.update()


@dataclass(frozen=True)
class Proximal(Direct):
    """Nash Prox: self-play on the game with the penalty KL(π‖ν)/η, whose centre ν moves there every ``refresh`` steps.

    Its temperature is τ + 1/η and its log-ratios are to (ν μ^(ητ))^(1/(1+ητ)), so the moving players of the inner game
    have π*_τ as the fixed point of the outer one, for every η.

    Source: Tiapkin et al. 2025 (arXiv 2505.19731); Rockafellar 1976.
    """

    name = "proximal"
    remembered = ("centre",)
    measures_from_reference = False

    def temperature(self, numbers: Numbers) -> float:
        """τ + 1/η."""
        return numbers.tau + 1 / numbers.step_size

    def anchor(self, players: Players, numbers: Numbers, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """(log ν + ητ log μ) / (1 + ητ)."""
        share = numbers.tau / self.temperature(numbers)
        with players.playing("centre") as centre:
            return (1 - share) * log_prob(centre).detach() + share * log_prob(players.reference)

    def step(self, steps: Steps) -> dict[str, Any]:
        """Move the centre when it is due, then one step of the inner game."""
        if steps.step % steps.refresh == 0:
            steps.players.remember("centre")
        return steps.update()


@dataclass(frozen=True)
class Magnet(Proximal):
    """COMAL, or MPO: online IPO towards a reference ν that moves to the policy every ``refresh`` steps.

    It is Nash Prox without the pull to μ, at η = 1/τ: ν ends at a maximal lottery, for every τ.

    Source: Liu et al. 2024 (arXiv 2410.23223); Wang et al. 2024 (arXiv 2410.16714).
    """

    name = "magnet"

    def temperature(self, numbers: Numbers) -> float:
        """τ, the weight of the penalty KL(π‖ν)."""
        return numbers.tau

    def anchor(self, players: Players, numbers: Numbers, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """log ν."""
        with players.playing("centre") as centre:
            return log_prob(centre).detach()


@dataclass(frozen=True)
class Population(Regression):
    """MNPO: a policy gradient against a mixture of past policies, with log-ratios to their geometric average and μ.

        ν = Σ s_k π_{t−k},   L ∝ Π π_{t−k}^{s_k},   anchor ∝ L^(1−ητ) μ^(ητ),   temperature 1/η

    Its optimum is the laboratory's step, log π = (1−ητ) log L + ητ log μ + ηPν.  There s_k = β(1−β)^k over the whole
    past; here the oldest policy that is remembered stands for all before it, so up to ``len(remembered) − 1`` renewals
    the two are the same, and later the opponents are the last few, as in the paper.  A subclass may remember more.

    Source: Wu et al. 2025 (arXiv 2509.23102); theory R3.optimistic.
    """

    name = "population"
    remembered = ("past-0", "past-1", "past-2")

    def check(self, numbers: Numbers, method: str) -> None:
        """ητ ≤ 1, since the anchor is a mixture; β > 0, or no policy would ever join the opponents."""
        super().check(numbers, method)
        if numbers.beta == 0:
            raise BadInput(f"beta = 0, must be positive for {method}: it is the share of the newest opponent")

    def shares(self, numbers: Numbers) -> dict[str, float]:
        """s_k, by the name of the moment; their sum is 1."""
        *recent, oldest = self.remembered
        kept = 1 - numbers.beta
        found = {moment: numbers.beta * kept**k for k, moment in enumerate(recent)}
        return found | {oldest: kept ** len(recent)}

    def terms(self, left: str, right: str) -> tuple[Term, ...]:
        """The gradient against each of the remembered policies."""
        return tuple(Term(1.0, left, moment) for moment in self.remembered)

    def weight(self, term: Term, numbers: Numbers) -> float:
        """s_k."""
        return self.shares(numbers)[term.right]

    def anchor(self, players: Players, numbers: Numbers, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """(1 − ητ) Σ s_k log π_{t−k} + ητ log μ."""
        pulled = numbers.step_size * numbers.tau
        found = pulled * log_prob(players.reference)
        for moment, share in self.shares(numbers).items():
            if share > 0:
                with players.playing(moment) as past:
                    found = found + (1 - pulled) * share * log_prob(past).detach()
        return found

    def step(self, steps: Steps) -> dict[str, Any]:
        """When it is due, the policy joins the opponents and the oldest leaves; then one step against them."""
        if steps.step % steps.refresh == 0:
            remembered = steps.players.remembered
            for younger, older in reversed(list(pairwise(self.remembered))):
                remembered[older] = remembered[younger]
            steps.players.remember(self.remembered[0])
        return steps.update()


@dataclass(frozen=True)
class Leader(Direct):
    """SLHF's leader: its reward v(y) = −τ log E_{y'~μ} e^{−p(y ≻ y')/τ} is what the best follower leaves it.

    The follower's best answers are known in closed form, so no second model is trained: responses of the reference
    estimate them without bias, see :func:`nashlab.algorithms.slhf.leader_weight`.  To play the follower afterwards,
    train ``rlhf-pg`` on prompts that contain the leader's response.

    Source: Pásztor et al. 2025 (arXiv 2512.16626); theory E7.leader.
    """

    name = "leader"
    linear = False

    def check(self, numbers: Numbers, method: str) -> None:
        """τ ≥ 1/16: weights differ by up to e^{1/τ}, and single precision adds numbers that differ by up to 2²⁴."""
        if numbers.tau < 1 / 16:
            raise BadInput(
                f"tau = {numbers.tau:g}, must be at least 0.0625 for {method}: its weights vary by e^(1/tau)"
            )


@dataclass(frozen=True)
class Extrapolation(Direct):
    """EGPO: step from the current policy against the policy one step ahead.

    Source: Zhou et al. 2025 (arXiv 2503.08942).
    """

    name = "extrapolation"
    remembered = ("ahead",)

    def step(self, steps: Steps) -> dict[str, Any]:
        """Take a trial step, undo it, and step with the samples from its end."""
        steps.players.remember("ahead")  # the first half-step plays against the policy itself
        with steps.undone():
            steps.update(AHEAD)
            ahead = Weights(steps.players.policy)
        steps.players.remembered["ahead"] = ahead
        return steps.update()


@dataclass(frozen=True)
class Optimistic(Direct):
    """Optimistic MMD: the opponent is the guess 2π_t − π_{t−1}, whose two expectations have the weights 2 and −1.

    Source: Rakhlin & Sridharan 2013 (arXiv 1311.1869).
    """

    name = "optimistic"
    remembered = ("before",)

    def terms(self, left: str, right: str) -> tuple[Term, ...]:
        """Twice the gradient against the method's opponent, minus the gradient against the opponent of one step ago."""
        return Term(2.0, left, right), Term(-1.0, left, "before")

    def step(self, steps: Steps) -> dict[str, Any]:
        """One step; its starting point then becomes the previous policy."""
        here = Weights(steps.players.policy)
        record = steps.update()
        steps.players.remembered["before"] = here
        return record

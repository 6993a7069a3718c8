"""Forms: how a method that is defined on a game becomes training steps of a transformer.

    Direct         the description as it is: samples of its players, log-ratios to μ, one step.
    Regression     INPO: IPO at temperature 1/η on samples of an old policy π_t, log-ratios to π_t^(1−ητ) μ^(ητ); its
                   optimum is the mirror-descent step from π_t (L4).
    Extrapolation  EGPO: one step ahead, y' from there, then the step from where it stood.
    Optimistic     optimistic MMD: y' from 2π_t − π_{t−1}, a difference of two expectations.

A form says what an objective's temperature is, what log-ratios are measured from, which moments of the policy are
remembered, and in which order a step is made.  Another one is a subclass, of yours as well as of ours: the loop and the
sources ask a method's form, and know none of them by name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from llm_bridge.policy import Policy, Reference
from llm_bridge.training.players import Players, Weights
from nashlab.game import BadInput

__all__ = ["Direct", "Extrapolation", "Numbers", "Optimistic", "Regression", "Steps", "Term"]

AHEAD, NOW = 0, 1
"""Streams of random numbers of a step; further ones are the forms' own."""


class Numbers(Protocol):
    """The numbers of a method: τ, β, and η of mirror-descent steps."""

    @property
    def tau(self) -> float: ...
    @property
    def beta(self) -> float: ...
    @property
    def step_size(self) -> float: ...


class Steps(Protocol):
    """What a form may ask of the loop."""

    @property
    def players(self) -> Players:
        """Who plays; ``players.remembered`` is the form's to write."""
        ...

    @property
    def step(self) -> int:
        """How many steps are done."""
        ...

    @property
    def refresh(self) -> int:
        """Steps between two renewals of an old policy."""
        ...

    def update(self, stream: int = NOW) -> dict[str, Any]:
        """Collect, score, descend once, with random numbers of this stream; what there is to record."""
        ...

    def undone(self) -> AbstractContextManager[None]:
        """After the block, weights and optimiser are as they were before it, bit for bit."""
        ...


class Term(NamedTuple):
    """One expectation of a gradient: what it counts for, and who samples y and y'."""

    weight: float
    left: str
    right: str


@dataclass(frozen=True)
class Direct:
    """The description as it is; every other form changes what it has to.

    name        in tables and records.
    remembered  moments of the policy that are kept: players beside those of the description.
    measures_from_reference  whether log-ratios are those to μ, so that their mean is KL(π‖μ).
    """

    name: ClassVar[str] = "direct"
    remembered: ClassVar[tuple[str, ...]] = ()
    measures_from_reference: ClassVar[bool] = True

    def check(self, numbers: Numbers, method: str) -> None:
        """Refuse numbers that the form has no meaning for."""

    def terms(self, left: str, right: str) -> tuple[Term, ...]:
        """The expectations that a gradient is the weighted sum of."""
        return (Term(1.0, left, right),)

    def temperature(self, numbers: Numbers) -> float:
        """The objective's own."""
        return numbers.tau

    def anchor(self, players: Players, numbers: Numbers, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """log of what log-ratios are measured from, given a policy's log-probabilities."""
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
    remembered = ("previous",)
    measures_from_reference = False

    def check(self, numbers: Numbers, method: str) -> None:
        """ητ ≤ 1: the anchor is a mixture."""
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
        """Renew the old policy where it is time, then one step of the regression."""
        if steps.step % steps.refresh == 0:
            steps.players.remember("previous")
        return steps.update()


@dataclass(frozen=True)
class Extrapolation(Direct):
    """EGPO: the step is taken from where the policy stands, against where it would be one step ahead.

    Source: Zhou et al. 2025 (arXiv 2503.08942).
    """

    name = "extrapolation"
    remembered = ("ahead",)

    def step(self, steps: Steps) -> dict[str, Any]:
        """Look ahead, come back, and step with what was seen there."""
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
        """Twice the gradient against the method's opponent, less the one against where it was a step ago."""
        return Term(2.0, left, right), Term(-1.0, left, "before")

    def step(self, steps: Steps) -> dict[str, Any]:
        """One step; from then on what it started from is where the policy was before."""
        here = Weights(steps.players.policy)
        record = steps.update()
        steps.players.remembered["before"] = here
        return record

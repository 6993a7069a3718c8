"""Who samples: the policy, its reference, its past, and what a step asks of its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from llm_bridge.policy import Policy, Reference
from llm_bridge.training.objective import Bridged, Samples

__all__ = ["Players", "Source", "Tally", "Turn", "Weights"]

SIDES: dict[str, tuple[str, str | None]] = {
    "policy": ("policy", None),
    "mixture": ("policy", "reference"),
    "reference": ("reference", None),
    "behaviour": ("behaviour", None),
    "behaviour-mixture": ("policy", "behaviour"),
    "average": ("average", None),
    "previous": ("previous", None),
    "ahead": ("ahead", None),
}
"""Who samples: a player, and whom it is mixed with at β."""

Tally = dict[str, tuple[float, float]]
"""Means in the making: name -> (sum, count)."""


class Weights:
    """The trained weights of a policy as they were at some moment, which the policy can put on for a while."""

    def __init__(self, policy: Policy) -> None:
        self._worn_by = [p for p in policy.model.parameters() if p.requires_grad]
        self.values = [p.detach().clone() for p in self._worn_by]

    @contextmanager
    def worn(self) -> Iterator[None]:
        """The policy has these weights inside the block; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def restore(self) -> None:
        """Put these weights into the policy, bit for bit."""
        with torch.no_grad():
            for p, value in zip(self._worn_by, self.values, strict=True):
                p.copy_(value)

    def follow(self, rate: float) -> None:
        """θ̄ ← (1 − rate) θ̄ + rate θ."""
        with torch.no_grad():
            for p, value in zip(self._worn_by, self.values, strict=True):
                value.lerp_(p, rate)

    def _swap(self) -> None:
        for i, p in enumerate(self._worn_by):
            p.data, self.values[i] = self.values[i], p.data
        torch.clear_autocast_cache()  # it knows parameters, not what they hold


@dataclass
class Players:
    """Whom a method samples from.

    policy      the one that is trained;  reference  μ;  behaviour  μ_b of offline methods.
    remembered  the policy at other moments: "average" (EMA), "previous" (INPO), "ahead" (EGPO).
    known       what a source has found out about reference and behaviour, by source: they stay what they are.
    """

    policy: Policy
    reference: Reference
    behaviour: Policy | Reference
    remembered: dict[str, Weights] = field(default_factory=dict)
    known: dict[tuple[Source, str], Any] = field(default_factory=dict, repr=False)

    @contextmanager
    def playing(self, name: str) -> Iterator[Policy | Reference]:
        """The player of this name, for the length of the block."""
        if name in self.remembered:
            with self.remembered[name].worn():
                yield self.policy
        else:
            players: dict[str, Policy | Reference] = vars(self)
            yield players[name]


class Turn(NamedTuple):
    """What a step asks of its source.

    method, players   whose turn it is.
    rows      the items of this process's share of the step;  total  how many items all shares have together.
    uniforms  columns -> numbers in [0, 1) for this share, [len(rows), columns] float64.
    tau, beta, step_size  the method's numbers.
    """

    method: Bridged
    players: Players
    rows: Sequence[int]
    total: int
    uniforms: Callable[[int], Tensor]
    tau: float
    beta: float
    step_size: float

    @property
    def temperature(self) -> float:
        """The objective's own: τ, or 1/η where the step regresses on a mirror-descent step (L4)."""
        return 1 / self.step_size if self.method.form == "regression" else self.tau

    def anchored(self, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """log of what log-ratios are measured from: μ, or π_t^(1−ητ) μ^(ητ) (INPO)."""
        log_mu = log_prob(self.players.reference)
        if self.method.form != "regression":
            return log_mu
        share = self.step_size * self.tau
        with self.players.playing("previous") as previous:
            return (1 - share) * log_prob(previous).detach() + share * log_mu


class Source(Protocol):
    """Items to learn from."""

    def __len__(self) -> int: ...

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        """The samples of a turn, and what they were like."""
        ...

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        """log π of the samples' completions with its gradient, [N]."""
        ...

"""Who plays: the policy, its reference, a behaviour policy, and the policy at other moments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from llm_bridge.policy import Policy, Reference

__all__ = ["Players", "Weights"]


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
    remembered  the policy at other moments, by name.
    known       what a source has found out about reference and behaviour, by source: they stay what they are.
    """

    policy: Policy
    reference: Reference
    behaviour: Policy | Reference
    remembered: dict[str, Weights] = field(default_factory=dict)
    known: dict[tuple[Any, str], Any] = field(default_factory=dict, repr=False)

    def remember(self, moment: str) -> None:
        """Keep the policy as it is now, under this name."""
        self.remembered[moment] = Weights(self.policy)

    def stepped(self, beta: float) -> None:
        """After a step the average follows the policy, θ̄ ← (1 − β) θ̄ + βθ, where it plays."""
        if "average" in self.remembered:
            self.remembered["average"].follow(beta)

    @contextmanager
    def playing(self, name: str) -> Iterator[Policy | Reference]:
        """The player of this name, for the length of the block."""
        if name in self.remembered:
            with self.remembered[name].worn():
                yield self.policy
        else:
            players: dict[str, Policy | Reference] = vars(self)
            yield players[name]

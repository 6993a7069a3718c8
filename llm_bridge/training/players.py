"""The players: the policy, its reference, a behaviour policy, and the policy at other moments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from llm_bridge.policy import Policy, Reference

__all__ = ["Players", "Weights"]


class Weights:
    """A policy's trained weights at some moment, which the policy can temporarily use."""

    def __init__(self, policy: Policy) -> None:
        self._worn_by = [p for p in policy.model.parameters() if p.requires_grad]
        self.values = [p.detach().clone() for p in self._worn_by]

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Inside the block the policy has these weights; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def restore(self) -> None:
        """Restore these weights in the policy, bit for bit."""
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
        torch.clear_autocast_cache()  # it caches by parameter, not by value


@dataclass
class Players:
    """The policies from which a method samples.

    policy      in training;  reference  μ;  behaviour  μ_b of offline methods.
    remembered  the policy at other moments, by name.
    known       values of the fixed reference and behaviour policy, cached by source.
    """

    policy: Policy
    reference: Reference
    behaviour: Policy | Reference
    remembered: dict[str, Weights] = field(default_factory=dict)
    known: dict[tuple[Any, str], Any] = field(default_factory=dict, repr=False)

    def remember(self, moment: str) -> None:
        """Store the present policy under this name."""
        self.remembered[moment] = Weights(self.policy)

    def stepped(self, beta: float) -> None:
        """After a step, if the average plays, it follows the policy: θ̄ ← (1 − β) θ̄ + βθ."""
        if "average" in self.remembered:
            self.remembered["average"].follow(beta)

    @contextmanager
    def playing(self, name: str) -> Iterator[Policy | Reference]:
        """The player of this name, inside the block."""
        if name in self.remembered:
            with self.remembered[name].worn():
                yield self.policy
        else:
            players: dict[str, Policy | Reference] = vars(self)
            yield players[name]

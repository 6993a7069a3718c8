"""The one answer type: a policy with its status and its certificate, whoever computed it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate import Certificate
from nashlab.game import PreferenceGame

__all__ = ["Face", "NotSolved", "Solution", "Status"]


class Status(enum.Enum):
    """How a computation ended; a member's value is its message, ``token`` the word for scripts."""

    EXACT = "solved exactly in rational arithmetic"
    CONVERGED = "converged to the stated tolerance"
    STALLED = "float64 allows no further progress; the certificate says how far it came"
    STEPS_EXHAUSTED = "the steps ran out before the tolerance was met"
    DIVERGED = "the iterates left the range of float64; the last finite policy is returned"

    @property
    def token(self) -> str:
        """The member's name in lower case, as JSON output carries it."""
        return self.name.lower()

    @property
    def ok(self) -> bool:
        """Whether the answer is what was asked for."""
        return self in (Status.EXACT, Status.CONVERGED)


class NotSolved(RuntimeError):
    """Raised instead of returning a Solution that did not converge, where the caller asked for ``throw=True``."""


@dataclass(frozen=True)
class Face:
    """All maximal lotteries of a game: a polytope, by its dimension and its rational vertices.

    vertices  at most 1,000 of them; ``complete`` says whether that is all.
    """

    dimension: int
    vertices: tuple[tuple[Fraction, ...], ...]
    complete: bool = True


@dataclass(frozen=True)
class Solution:
    """A policy that carries what is known of it.

    game, temperature  the problem.
    log_policy         float64, shape [..., n], normalised; -inf outside the support.
    status             a :class:`Status`; nothing is returned in silence.
    certificate        recomputed from (game, log_policy, τ), never the solver's own opinion.
    policy_exact       Fractions where the answer is rational and exact.
    slacks             −(Ax)_y exactly, where policy_exact is given.
    unique             True/False if proved, None if unknown.
    face               every equilibrium, where there are several and they are known exactly.
    history            recorded series of a run, e.g. "steps", "exploitability", "distance".
    stats              counts of work done (iterations, factorisations, products).
    """

    game: PreferenceGame
    temperature: float
    log_policy: NDArray[np.float64]
    status: Status
    certificate: Certificate
    policy_exact: tuple[Fraction, ...] | None = None
    slacks: tuple[Fraction, ...] | None = None
    unique: bool | None = None
    face: Face | None = None
    history: Mapping[str, Any] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)

    @property
    def policy(self) -> NDArray[np.float64]:
        """π, shape [..., n]."""
        return np.exp(self.log_policy)

    @property
    def support(self) -> tuple[str, ...]:
        """The labels that carry mass (exactly, where the answer is exact)."""
        if self.game.batch:
            raise ValueError("the support is defined prompt by prompt; take one game of the batch")
        mass: Iterable[Any] = self.policy if self.policy_exact is None else self.policy_exact
        return tuple(label for label, p in zip(self.game.labels, mass, strict=True) if p > 0)

    def checked(self, throw: bool) -> Solution:
        """Itself; or, with ``throw`` and a status that is not ok, the status as an exception."""
        if throw and not self.status.ok:
            raise NotSolved(
                f"{self.status.value} (distance to the equilibrium ≤ {self.certificate.worst_l1_bound:.3g})"
            )
        return self

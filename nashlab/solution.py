"""The common answer type: a policy with its status and its certificate, whichever solver computed it."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate import Certificate
from nashlab.game import PreferenceGame

__all__ = ["Course", "Face", "NotSolved", "Solution", "Status", "effective_temperature", "promised"]


class Status(enum.Enum):
    """How a computation ended: the value is a message for people, ``token`` a word for scripts."""

    EXACT = "solved exactly in rational arithmetic"
    CONVERGED = "converged to the stated tolerance"
    STALLED = "float64 allows no further progress; the certificate bounds the error"
    STEPS_EXHAUSTED = "the steps ran out before the tolerance was met"
    DIVERGED = "the iterates left the range of float64; the last finite policy is returned"

    @classmethod
    def of(cls, effective: NDArray[np.float64] | float, certificate: Certificate) -> Status:
        """CONVERGED if every bound on ‖π − equilibrium‖₁ is within the tolerance promised at τ', else STALLED."""
        if certificate.l1_bound is None:
            return cls.STALLED
        bound = certificate.l1_bound
        if np.ndim(effective) == 0 and isinstance(bound, float):  # one game
            return cls.CONVERGED if bound <= _promised(float(effective)) else cls.STALLED
        return cls.CONVERGED if np.all(bound <= promised(effective)) else cls.STALLED

    @property
    def token(self) -> str:
        """The member's name in lower case, as in the JSON output."""
        return self.name.lower()

    @property
    def ok(self) -> bool:
        """Whether the answer meets the promised tolerance."""
        return self in (Status.EXACT, Status.CONVERGED)


LOTTERY_TOLERANCE = 1e-10  # for a maximal lottery's proved distance: rounding grows with n and the condition number
TOLERANCE = 1e-12  # for ‖π − π*_τ‖₁ down to an effective τ of 1e-2 ...
TOLERANCE_PER_T = 1e-14  # ... and this over τ below, since 1/τ multiplies rounding in Aπ
WORST_TOLERANCE = 1e-6  # at any τ, a policy with a larger bound is not called solved


def promised(effective: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The bound on ‖π − equilibrium‖₁ that an answer at τ' needs to be called solved.

    1e-14/τ', but at least 1e-12 and at most 1e-6; 1e-10 for a maximal lottery, τ' = 0.

    >>> [f"{promised(x):.0e}" for x in (0.1, 1e-4, 1e-20, 0.0)]
    ['1e-12', '1e-10', '1e-06', '1e-10']
    """
    tau = np.asarray(effective, dtype=np.float64)
    if tau.ndim == 0:
        return np.asarray(_promised(float(tau)))
    with np.errstate(divide="ignore", over="ignore"):
        allowed = np.clip(TOLERANCE_PER_T / tau, TOLERANCE, WORST_TOLERANCE)
    return np.where(tau == 0, LOTTERY_TOLERANCE, allowed)


def _promised(tau: float) -> float:
    """The same of one game, which is solved in less time than functions of arrays take."""
    if tau == 0:
        return LOTTERY_TOLERANCE
    return min(max(TOLERANCE_PER_T / max(tau, 1e-300), TOLERANCE), WORST_TOLERANCE)


def effective_temperature(largest: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """τ' = τ/(2 max|A|), max|A| in [...] -> [...]: equal to τ if preferences reach 0 and 1; ∞ if all are even.

    A and 1e-9·A are the same problem at the same τ'.
    """
    if np.ndim(largest) == 0:
        return np.asarray(temperature / 2 / float(largest) if largest else math.inf)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.asarray(np.where(largest == 0, np.inf, temperature / 2 / largest))


class NotSolved(RuntimeError):
    """Raised with ``throw=True`` instead of returning a Solution that did not converge."""


@dataclass(frozen=True)
class Face:
    """All maximal lotteries of a game: a polytope, given by its dimension and its rational vertices.

    vertices  at most 1,000 of them; ``complete`` says whether these are all.
    """

    dimension: int
    vertices: tuple[tuple[Fraction, ...], ...]
    complete: bool = True


@dataclass(frozen=True)
class Course:
    """The step size of a run, and its limit according to theory.

    nash          log π*_τ.
    target        log of the method's own fixed point, None if theory gives none.
    largest_step  the largest step size of its convergence theorem, None without a theorem.
    """

    step_size: float
    schedule: str
    nash: NDArray[np.float64]
    target: NDArray[np.float64] | None
    largest_step: float | None


@dataclass(frozen=True)
class Solution:
    """A policy with its certificate.

    game, temperature  the problem.
    log_policy         float64, shape [..., n], normalised; -inf outside the support.
    status             a :class:`Status`; a failure is always reported.
    certificate        recomputed from (game, log_policy, τ), independent of the solver.
    policy_exact       Fractions if the answer is rational and exact.
    slacks             −(Ax)_y exactly, if policy_exact is given.
    unique             True/False if proved, None if unknown.
    face               every equilibrium, if there are several and they are known exactly.
    parts              of a contextual game: the solution of each prompt, if kept.
    history            recorded series of a run, e.g. "steps", "exploitability", "distance".
    course             of a run: its step size and predicted limit.
    stats              counts of work done (steps, factorisations, products).
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
    parts: tuple[Solution, ...] = ()
    history: Mapping[str, Any] = field(default_factory=dict)
    course: Course | None = None
    stats: Mapping[str, int] = field(default_factory=dict)

    @property
    def policy(self) -> NDArray[np.float64]:
        """π, shape [..., n]."""
        return np.exp(self.log_policy)

    @property
    def support(self) -> tuple[str, ...]:
        """The labels with mass (exactly, if the answer is exact)."""
        if self.game.batch:
            raise ValueError("the support is defined prompt by prompt; take one game of the batch")
        held = self.log_policy > -np.inf  # a mass below float64's range counts
        for vertex in self.face.vertices if self.face else ():  # the nearest lottery uses all that any of them uses
            held = held | np.array([x > 0 for x in vertex])
        return tuple(label for label, p in zip(self.game.labels, held, strict=True) if p)

    def checked(self, throw: bool) -> Solution:
        """Itself; with ``throw`` and a status that is not ok, raises the status as an exception."""
        if throw and not self.status.ok:
            raise NotSolved(
                f"{self.status.value} (distance to the equilibrium ≤ {self.certificate.worst_l1_bound:.3g})"
            )
        return self

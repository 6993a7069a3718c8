"""The one answer type: a policy with its status and its certificate, whoever computed it."""

from __future__ import annotations

import enum
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
    """How a computation ended; a member's value is its message, ``token`` the word for scripts."""

    EXACT = "solved exactly in rational arithmetic"
    CONVERGED = "converged to the stated tolerance"
    STALLED = "float64 allows no further progress; the certificate says how far it came"
    STEPS_EXHAUSTED = "the steps ran out before the tolerance was met"
    DIVERGED = "the iterates left the range of float64; the last finite policy is returned"

    @classmethod
    def of(cls, effective: NDArray[np.float64] | float, certificate: Certificate) -> Status:
        """CONVERGED if every bound on ‖π − equilibrium‖₁ is as small as is promised at τ', STALLED otherwise."""
        if certificate.l1_bound is None:
            return cls.STALLED
        return cls.CONVERGED if np.all(certificate.l1_bound <= promised(effective)) else cls.STALLED

    @property
    def token(self) -> str:
        """The member's name in lower case, as JSON output carries it."""
        return self.name.lower()

    @property
    def ok(self) -> bool:
        """Whether the answer is what was asked for."""
        return self in (Status.EXACT, Status.CONVERGED)


LOTTERY_TOLERANCE = 1e-10  # of a maximal lottery's proved distance: rounding grows with n and with the condition
TOLERANCE = 1e-12  # of ‖π − π*_τ‖₁ down to an effective τ of 1e-2 ...
TOLERANCE_PER_T = 1e-14  # ... and this over τ below: rounding in Aπ is multiplied by 1/τ
WORST_TOLERANCE = 1e-6  # whatever τ is, a policy known no better than this is not called solved


def promised(effective: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The bound on ‖π − equilibrium‖₁ that an answer at τ' must have to be called solved.

    1e-14/τ', but at least 1e-12 and at most 1e-6; 1e-10 for a maximal lottery, τ' = 0.

    >>> [f"{promised(x):.0e}" for x in (0.1, 1e-4, 1e-20, 0.0)]
    ['1e-12', '1e-10', '1e-06', '1e-10']
    """
    tau = np.asarray(effective, dtype=np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        allowed = np.clip(TOLERANCE_PER_T / tau, TOLERANCE, WORST_TOLERANCE)
    return np.where(tau == 0, LOTTERY_TOLERANCE, allowed)


def effective_temperature(margins: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """τ' = τ/(2 max|A|), [..., n, n] -> [...]: τ itself where preferences reach 0 and 1; ∞ where all are even.

    A and 1e-9·A are the same problem at the same τ'.
    """
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(temperature / 2 / np.max(np.abs(margins), axis=(-1, -2)))


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
class Course:
    """Of a run: how it stepped, and where theory says that it goes.

    nash          log π*_τ.
    target        log of the method's own fixed point, None where theory knows none.
    largest_step  the largest step for which its theorem holds, None where there is no theorem.
    """

    step_size: float
    schedule: str
    nash: NDArray[np.float64]
    target: NDArray[np.float64] | None
    largest_step: float | None


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
    parts              of a contextual game: the solution of each prompt, where they are kept.
    history            recorded series of a run, e.g. "steps", "exploitability", "distance".
    course             of a run: its step size, and where it should go.
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
        """The labels that carry mass (exactly, where the answer is exact)."""
        if self.game.batch:
            raise ValueError("the support is defined prompt by prompt; take one game of the batch")
        held = self.log_policy > -np.inf  # a mass below float64's range is mass
        for vertex in self.face.vertices if self.face else ():  # and the nearest lottery uses what any of them uses
            held = held | np.array([x > 0 for x in vertex])
        return tuple(label for label, p in zip(self.game.labels, held, strict=True) if p)

    def checked(self, throw: bool) -> Solution:
        """Itself; or, with ``throw`` and a status that is not ok, the status as an exception."""
        if throw and not self.status.ok:
            raise NotSolved(
                f"{self.status.value} (distance to the equilibrium ≤ {self.certificate.worst_l1_bound:.3g})"
            )
        return self

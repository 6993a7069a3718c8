"""The expected gradient of a loss on small games, by enumeration of all pairs, and its zeros.

For y, y' ~ SG[ν] and a label drawn with p(y ≻ y'),

    ∇_θ E ℓ = u − π Σu,    u_i = Σ_j 2 ν_i ν_j (P_ij ∂ℓ_ij/∂log π(chosen) + P_ji ∂ℓ_ji/∂log π(rejected))

for a tabular softmax.  Divided by π it is the natural gradient, which has the same zeros and moves responses of small
mass as fast as others.  All games of a bundle are evaluated in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import geometric_mixture, log_softmax
from nashlab.check.evaluation import Evaluated
from nashlab.check.forms import Form, Pairs, Spec, pairs_of

__all__ = ["Bundle", "Field", "Judged", "Rest", "Table", "behaviour_of", "mixture", "rest", "self_play", "unit_of"]

Array = NDArray[np.float64]
Behaviour = Callable[[Array, Array], Array]  # (log π, log μ) -> log ν

FAR = 600.0  # |h| beyond which a policy has collapsed
FLOW_STEPS, SETTLING, NEWTON = 60, 5, 20
ATTRACTS = 1e-3  # of unit · τ, IPO's own rate: a slower attraction is a centre or a plateau, not a fixed point
VANISHED = 1e-9  # of the natural gradient, relative to its size at the start


class Judged(Protocol):
    """A loss that can be evaluated on pairs, in this process or a separate one."""

    @property
    def form(self) -> Form: ...
    def __call__(self, pairs: Pairs, tau: float, *, tails: bool = False) -> Evaluated: ...
    def slopes(self, pairs: Pairs, tau: float) -> tuple[Array, Array]: ...


class Table(NamedTuple):
    """A small game: P [n, n], log μ [n], lengths in tokens [n]."""

    preferences: Array
    log_reference: Array
    lengths: Array

    @property
    def n(self) -> int:
        return len(self.log_reference)

    @property
    def margins(self) -> Array:
        return self.preferences - 0.5


def mixture(beta: float) -> Behaviour:
    """Samples from m_β."""
    return lambda log_policy, log_reference: geometric_mixture(log_policy, log_reference, beta)


def behaviour_of(spec: Spec) -> Behaviour:
    """Who samples both responses, as a function of log π and log μ; by default the policy itself."""
    if spec.behaviour == "reference":
        return lambda log_policy, log_reference: log_reference
    if spec.behaviour == "mixture":
        return mixture(spec.beta or 0.0)
    return lambda log_policy, log_reference: log_policy


def self_play(table: Table, log_policy: Array, tau: float) -> Array:
    """∇_θ [P(π ≻ SG π) − τ KL(π‖μ)] = π (r − E_π r), r = Aπ − τh, shape [n]."""
    policy = np.exp(log_policy)
    r = table.margins @ policy - tau * (log_policy - table.log_reference)
    return np.asarray(policy * (r - policy @ r))


class Field(NamedTuple):
    """A gradient in θ and the same divided by π, [n] each."""

    plain: Array
    natural: Array


@dataclass(frozen=True)
class Bundle:
    """Games evaluated together, under one behaviour policy."""

    loss: Judged
    tables: Sequence[Table]
    behaviour: Behaviour

    def gradients(self, log_policies: Sequence[Array], tau: float) -> list[Field]:
        """The expected gradient of every game at its policy."""
        first, second, standing = self._pairs
        flat = np.concatenate(log_policies)
        policy = {"policy_chosen": flat[first], "policy_rejected": flat[second]}
        previous = {"previous_chosen": flat[first], "previous_rejected": flat[second]}
        slopes = self.loss.slopes(standing | policy | previous, tau)
        fields, at = [], 0
        for table, log_policy in zip(self.tables, log_policies, strict=True):
            log_nu, n = self.behaviour(log_policy, table.log_reference), table.n
            chosen, rejected = (x[at : at + n * n].reshape(n, n) for x in slopes)
            at += n * n
            fields.append(_field(table, self.loss.form.soft, np.exp(log_nu), log_nu - log_policy, chosen, rejected))
        return fields

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp], dict[str, Array]]:
        """All n² ordered pairs of every game: the chosen and the rejected index (among all responses of all games), and
        the columns that do not depend on a policy."""
        starts = np.cumsum([0, *(t.n for t in self.tables)])
        chosen = [start + np.repeat(np.arange(t.n), t.n) for start, t in zip(starts, self.tables, strict=False)]
        rejected = [start + np.tile(np.arange(t.n), t.n) for start, t in zip(starts, self.tables, strict=False)]
        i, j = np.concatenate(chosen), np.concatenate(rejected)
        mu = np.concatenate([t.log_reference for t in self.tables])
        length = np.concatenate([t.lengths for t in self.tables])
        p = np.concatenate([t.preferences.ravel() for t in self.tables])
        return i, j, pairs_of((mu[i], mu[j]), (mu[i], mu[j]), p=p, length=(length[i], length[j]))


def _field(table: Table, soft: bool, nu: Array, log_weight: Array, chosen: Array, rejected: Array) -> Field:
    p = table.preferences
    weight = np.ones_like(p) if soft else 2.0 * p
    # ∂/∂log π(y) = ν(y) t(y): y as the first of its pair and as the second
    t = (weight * chosen) @ nu + (weight * rejected).T @ nu
    u = nu * t
    policy = nu * np.exp(-log_weight)
    return Field(u - policy * u.sum(), np.exp(log_weight) * t - u.sum())


class Rest(NamedTuple):
    """Where a flow ended.

    log_policy  [n].
    settled     the gradient vanishes there, and the flow does not leave the point in any direction.
    distances   ‖π − goal‖₁ before each step, if a goal was given.
    """

    log_policy: Array
    settled: bool
    distances: Array


def rest(
    bundle: Bundle, tau: float, starts: Sequence[Array], goals: Sequence[Array] | None = None, rounds: int = SETTLING
) -> list[Rest]:
    """Follow −(natural gradient) in every game from its start, and refine the end point by Newton's method.

    The step is that of online mirror descent at its best rate for the largest λ (N4: λ < 1/π), in units of the slope at
    h = 0, and is halved for a game whose gradient grows.  Source: R3.
    """
    log_policies = [log_softmax(s) for s in starts]
    goals = starts if goals is None else goals
    trail: list[list[float]] = [[] for _ in starts]
    unit = unit_of(bundle, tau)
    scale = np.full(len(starts), tau / (tau**2 + np.pi**-2) / unit)
    sizes: list[list[float]] = [[] for _ in starts]
    for round_ in range(rounds):
        for _ in range(FLOW_STEPS):
            fields = bundle.gradients(log_policies, tau)
            for k, field in enumerate(fields):
                trail[k].append(float(np.abs(np.exp(log_policies[k]) - np.exp(goals[k])).sum()))
                sizes[k].append(_size(field, log_policies[k]))
                moved = np.clip(log_policies[k] - scale[k] * field.natural, -FAR, FAR)
                log_policies[k] = log_softmax(moved)
        for k, s in enumerate(sizes):
            if min(s[-FLOW_STEPS:]) > 0.5 * min(s[:FLOW_STEPS]) or round_ >= 2:
                scale[k] *= 0.5
        polished = _newton(bundle, tau, log_policies)
        if all(ok for _, ok in polished):
            break
    return [
        Rest(log_policy if ok else log_policies[k], ok, np.array(trail[k]))
        for k, (log_policy, ok) in enumerate(polished)
    ]


def _size(field: Field, log_policy: Array) -> float:
    return float(np.sqrt(np.exp(log_policy) @ field.natural**2))


def unit_of(bundle: Bundle, tau: float) -> float:
    """The slope of a pair at h = 0 over self-play's ½: the constant 4/τ for IPO (L1)."""
    zero = np.log(np.array([0.5]))
    slopes = bundle.loss.slopes(pairs_of((zero, zero), (zero, zero), p=1.0), tau)
    pull = sum(abs(float(s[0])) for s in slopes)
    return max(2.0 * pull, 1e-12)


def _newton(bundle: Bundle, tau: float, log_policies: Sequence[Array]) -> list[tuple[Array, bool]]:
    """Newton's method on the natural gradient modulo constants, with a finite-difference Jacobian; the perturbed
    policies of all games go into one call.  A zero that lies far off, or that repels the flow, is not accepted."""
    points = [np.array(p) for p in log_policies]
    owner = [k for k, p in enumerate(points) for _ in range(2 * len(p) + 1)]
    wide = Bundle(bundle.loss, [bundle.tables[k] for k in owner], bundle.behaviour)
    first = [_size(f, p) for f, p in zip(bundle.gradients(points, tau), points, strict=True)]
    unit = unit_of(bundle, tau)
    stable = [True] * len(points)
    for _ in range(NEWTON):
        shifted = [log_softmax(p + e) for p in points for e in _offsets(len(p))]
        fields = iter(wide.gradients(shifted, tau))
        largest = 0.0
        for k, p in enumerate(points):
            own = [next(fields).natural for _ in range(2 * len(p) + 1)]
            jacobian = np.stack([(own[2 * i + 1] - own[2 * i + 2]) / (2 * OFFSET) for i in range(len(p))], axis=1)
            weight = np.exp(p)
            project = np.eye(len(p)) - weight[None, :]  # x − E_π x
            jacobian, residual = project @ jacobian, project @ own[0]
            step = np.linalg.lstsq(jacobian + unit * np.ones_like(jacobian) / len(p), residual, rcond=1e-12)[0]
            decay = np.sort(np.linalg.eigvals(jacobian).real)  # one is 0: a constant added to θ changes nothing
            stable[k] = bool(decay[1] > ATTRACTS * unit * tau and decay[0] > -ATTRACTS * unit * tau)
            points[k] = log_softmax(p - step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-300)))
            largest = max(largest, float(np.sqrt(weight @ residual**2)) / unit)
        if largest < VANISHED / 100:
            break
    sizes = [_size(f, p) for f, p in zip(bundle.gradients(points, tau), points, strict=True)]
    return [
        (
            points[k],
            stable[k]
            and sizes[k] <= max(VANISHED * unit, 1e-6 * first[k] * (first[k] < 1e-3 * unit))
            and float(np.abs(np.exp(points[k]) - np.exp(log_policies[k])).sum()) < 0.2
            and float(np.abs(points[k]).max()) < FAR / 2,
        )
        for k in range(len(points))
    ]


OFFSET = 1e-5


def _offsets(n: int) -> list[Array]:
    eye = OFFSET * np.eye(n)
    return [np.zeros(n), *(sign * eye[i] for i in range(n) for sign in (1.0, -1.0))]

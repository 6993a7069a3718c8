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

__all__ = [
    "FLOW_STEPS", "UPDATES", "Bundle", "Field", "Judged", "Rest", "Table", "Update", "behaviour_of", "mixture", "rest",
    "self_play", "unit_of",
]  # fmt: skip

Array = NDArray[np.float64]
Behaviour = Callable[[Array, Array], Array]  # (log π, log μ) -> log ν

FAR = 600.0  # |h| beyond which a policy has collapsed
STEEPEST = 300.0  # of log ν − log π: its exponential can still be squared
FLOW_STEPS, SETTLING, NEWTON = 60, 5, 20
AGAIN, SETTLED = 40, 1e-10  # limit of inner steps of a proximal step, and the change at which they end
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
    """A gradient in θ and the same divided by π, [..., n] each."""

    plain: Array
    natural: Array


@dataclass(frozen=True)
class Bundle:
    """Games evaluated together, under one behaviour policy, padded to the largest number of responses."""

    loss: Judged
    tables: Sequence[Table]
    behaviour: Behaviour

    def gradients(self, log_policies: Sequence[Array], tau: float) -> list[Field]:
        """The expected gradient of every game at its policy."""
        found = self.fields(self.stacked(log_policies), tau)
        return [Field(p[: t.n], q[: t.n]) for t, p, q in zip(self.tables, *found, strict=True)]

    def fields(self, log_policy: Array, tau: float) -> Field:
        """The same for stacked policies, [..., games, n]; responses that a game does not have are at −∞, and get 0."""
        shape, (real, log_mu, p) = log_policy.shape, self._filled
        log_policy = log_policy.reshape(-1, *real.shape)
        first, second, standing = self._columns(len(log_policy))
        flat = log_policy.ravel()
        moving = {f"{what}_{side}": flat[k] for what in ("policy", "previous")
                  for side, k in (("chosen", first), ("rejected", second))}  # fmt: skip
        pairs = np.broadcast_to(real[:, :, None] & real[:, None, :], (*log_policy.shape, real.shape[1]))
        chosen, rejected = np.zeros(pairs.shape), np.zeros(pairs.shape)
        chosen[pairs], rejected[pairs] = self.loss.slopes(standing | moving, tau)
        log_nu = self.behaviour(log_policy, log_mu)
        policy, nu, weight = np.exp(log_policy), np.exp(log_nu), 1.0 if self.loss.form.soft else 2.0 * p
        # ∂/∂log π(y) = ν(y) t(y): y as the first of its pair and as the second
        t = np.einsum("...ij,...j->...i", weight * chosen, nu) + np.einsum("...ji,...j->...i", weight * rejected, nu)
        u = nu * t
        total = u.sum(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            natural = np.where(real, np.exp(np.minimum(log_nu - log_policy, STEEPEST)) * t - total, 0.0)
        return Field((u - policy * total).reshape(shape), natural.reshape(shape))

    def stacked(self, log_policies: Sequence[Array]) -> Array:
        """One policy of each game, [games, n]."""
        stack = np.full(self._filled[0].shape, -np.inf)
        for row, log_policy in zip(stack, log_policies, strict=True):
            row[: len(log_policy)] = log_policy
        return stack

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which responses a game has, [games, n]."""
        return self._filled[0]

    @cached_property
    def _filled(self) -> tuple[NDArray[np.bool_], Array, Array]:
        """Which responses are there, log μ and P, [games, n] and [games, n, n]."""
        n = max(t.n for t in self.tables)
        real, log_mu = np.zeros((len(self.tables), n), dtype=bool), np.full((len(self.tables), n), -np.inf)
        p = np.zeros((len(self.tables), n, n))
        for k, t in enumerate(self.tables):
            real[k, : t.n], log_mu[k, : t.n], p[k, : t.n, : t.n] = True, t.log_reference, t.preferences
        return real, log_mu, p

    @cached_property
    def _made(self) -> dict[int, tuple[NDArray[np.intp], NDArray[np.intp], dict[str, Array]]]:
        return {}

    def _columns(self, copies: int) -> tuple[NDArray[np.intp], NDArray[np.intp], dict[str, Array]]:
        """All n² ordered pairs of every game, ``copies`` times: who is chosen, who rejected (as places among all
        responses), and the columns that no policy changes."""
        if copies not in self._made:
            real, log_mu, p = self._filled
            length = np.ones(real.shape)
            for k, t in enumerate(self.tables):
                length[k, : t.n] = t.lengths
            games, first, second = np.nonzero(real[:, :, None] & real[:, None, :])
            i, j = games * real.shape[1] + first, games * real.shape[1] + second
            mu, tokens = log_mu.ravel(), length.ravel()
            one = pairs_of((mu[i], mu[j]), (mu[i], mu[j]), p=p[games, first, second], length=(tokens[i], tokens[j]))
            starts = np.repeat(real.size * np.arange(copies), len(i))
            self._made[copies] = (np.tile(i, copies) + starts, np.tile(j, copies) + starts,
                                  {name: np.tile(x, copies) for name, x in one.items()})  # fmt: skip
        return self._made[copies]


class Rest(NamedTuple):
    """Where a flow ended.

    log_policy  [n].
    settled     the gradient vanishes there, and the flow does not leave the point in any direction.
    distances   ‖π − goal‖₁ before each step, if a goal was given.
    """

    log_policy: Array
    settled: bool
    distances: Array


@dataclass(frozen=True)
class Update:
    """A way to follow the expected gradient.

    direction  (bundle, log π, step [games, 1], τ) -> what a step subtracts from log π, over the step's size.
    metric     (π, how many responses [games, 1]) -> what it multiplies the natural gradient by near its zero.
    """

    direction: Callable[[Bundle, Array, Array, float], Array]
    metric: Callable[[Array, Array], Array]


def _natural(bundle: Bundle, log_policy: Array, step: Array, tau: float) -> Array:
    return bundle.fields(log_policy, tau).natural


def _plain(bundle: Bundle, log_policy: Array, step: Array, tau: float) -> Array:
    """n times the gradient: as fast as the natural gradient while the policy is uniform."""
    return bundle.real.sum(axis=1, keepdims=True) * bundle.fields(log_policy, tau).plain


def _proximal(bundle: Bundle, log_policy: Array, step: Array, tau: float) -> Array:
    """Half the natural gradient at the end of this step, by fixed-point iteration: a contraction, because half the step
    is at most half the inverse of the gradient's slope."""
    direction = 0.5 * _natural(bundle, log_policy, step, tau)
    for _ in range(AGAIN):
        last, direction = direction, 0.5 * _natural(bundle, _moved(bundle, log_policy, step * direction), step, tau)
        if np.max(np.abs(direction - last)) <= SETTLED * np.max(np.abs(direction)):
            break
    return direction


UPDATES = {
    "natural": Update(_natural, lambda policy, count: np.ones_like(policy)),
    "gradient": Update(_plain, lambda policy, count: count * policy),
    "proximal": Update(_proximal, lambda policy, count: np.ones_like(policy)),
}


def _moved(bundle: Bundle, log_policy: Array, by: Array) -> Array:
    return np.asarray(log_softmax(np.where(bundle.real, np.clip(log_policy - by, -FAR, FAR), -np.inf)))


def rest(
    bundle: Bundle,
    tau: float,
    starts: Sequence[Array],
    goals: Sequence[Array] | None = None,
    rounds: int = SETTLING,
    update: Update = UPDATES["natural"],
) -> list[Rest]:
    """Follow the expected gradient downwards in every game from its start, and refine the end by Newton's method.

    The step is that of online mirror descent at its best rate for the largest λ (N4: λ < 1/π), in units of the slope at
    h = 0, and is halved for a game whose gradient grows.  Source: R3.
    """
    log_policy = log_softmax(bundle.stacked(starts))
    goal = np.exp(log_policy if goals is None else bundle.stacked(goals))
    unit = unit_of(bundle, tau)
    scale = np.full((len(starts), 1), tau / (tau**2 + np.pi**-2) / unit)
    trail: list[Array] = []
    sizes: list[Array] = []
    for round_ in range(rounds):
        for _ in range(FLOW_STEPS):
            direction = update.direction(bundle, log_policy, scale, tau)
            trail.append(np.abs(np.exp(log_policy) - goal).sum(axis=1))
            sizes.append(_size(direction, log_policy))
            log_policy = _moved(bundle, log_policy, scale * direction)
        grows = np.min(sizes[-FLOW_STEPS:], axis=0) > 0.5 * np.min(sizes[:FLOW_STEPS], axis=0)
        scale[grows | (round_ >= 2)] *= 0.5
        points, ok = _newton(bundle, tau, log_policy, update)
        if np.all(ok):
            break
    ends = np.where(ok[:, None], points, log_policy)
    return [
        Rest(end[: t.n], bool(settled), distances)
        for t, end, settled, distances in zip(bundle.tables, ends, ok, np.transpose(trail), strict=True)
    ]


def _size(natural: Array, log_policy: Array) -> Array:
    """√E_π(g²), [...]; infinite if g² is too large for a float."""
    largest = np.maximum(np.max(np.abs(natural), axis=-1, keepdims=True), np.finfo(float).tiny)
    scaled = np.sqrt(np.sum(np.exp(log_policy) * (natural / largest) ** 2, axis=-1))
    return np.asarray(largest[..., 0] * scaled)


def unit_of(bundle: Bundle, tau: float) -> float:
    """The slope of a pair at h = 0 over self-play's ½: the constant 4/τ for IPO (L1)."""
    zero = np.log(np.array([0.5]))
    slopes = bundle.loss.slopes(pairs_of((zero, zero), (zero, zero), p=1.0), tau)
    pull = sum(abs(float(s[0])) for s in slopes)
    return max(2.0 * pull, 1e-12)


def _newton(bundle: Bundle, tau: float, log_policy: Array, update: Update) -> tuple[Array, NDArray[np.bool_]]:
    """Newton's method on the natural gradient modulo constants, with differences for its Jacobian; every game's
    perturbed policies go into one call.  A zero that lies far off, or that repels the flow, is not accepted."""
    points, real, unit = log_policy, bundle.real, unit_of(bundle, tau)
    n = real.shape[1]
    count = real.sum(axis=1)[:, None, None]
    both = real[:, :, None] & real[:, None, :]
    missing = np.eye(n) * ~real[:, None, :]
    shifts = OFFSET * np.concatenate([np.zeros((1, n)), np.eye(n), -np.eye(n)])[:, None, :]
    first = _size(bundle.fields(points, tau).natural, points)
    for _ in range(NEWTON):
        natural = bundle.fields(log_softmax(points + shifts), tau).natural
        jacobian = np.moveaxis(natural[1 : n + 1] - natural[n + 1 :], 0, 2) / (2 * OFFSET)
        weight = np.exp(points)
        project = np.eye(n) - weight[:, None, :]  # x − E_π x
        jacobian = np.where(both, project @ jacobian, 0.0)
        residual = np.where(real, np.einsum("gij,gj->gi", project, natural[0]), 0.0)
        # a constant added to θ and an absent response have no effect
        inverse = np.linalg.pinv(jacobian + unit * both / count + unit * missing, rcond=1e-12)
        step = np.einsum("gij,gj->gi", inverse, residual)
        metric = np.where(real, update.metric(weight, count[:, 0]), 1.0)
        # one eigenvalue is 0, that constant's
        decay = np.sort(np.linalg.eigvals(metric[:, :, None] * jacobian + unit * missing).real, axis=1)
        slow = ATTRACTS * unit * tau * metric.min(axis=1)
        stable = (decay[:, 1] > slow) & (decay[:, 0] > -slow)
        points = log_softmax(points - step / np.maximum(1.0, np.abs(step).max(axis=1, keepdims=True)))
        if np.max(_size(residual, points)) < unit * VANISHED / 100:
            break
    size = _size(bundle.fields(points, tau).natural, points)
    ok = stable & (size <= np.maximum(VANISHED * unit, 1e-6 * first * (first < 1e-3 * unit)))
    ok &= np.abs(np.exp(points) - np.exp(log_policy)).sum(axis=1) < 0.2
    ok &= np.where(real, np.abs(points), 0.0).max(axis=1) < FAR / 2
    return points, ok


OFFSET = 1e-5

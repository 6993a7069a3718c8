"""A maximal lottery in float64: an interior point method that stops as soon as the support can be proved (E6).

    x ≥ 0,  Σx = 1,  s = v − Ax ≥ 0,  x_i s_i = v/n  for v → 0       (x·s = v for every skew A: no dual problem)

The weights are then the kernel of A on the support, solved once.  Near the end the method needs several steps to see on
which side of 0 the last response lies; linear algebra sees it at once.  If a support B of even order is wrong by one
response, then, with Z = (A_BB)⁻¹,

    column i of Z is the kernel of A on B without i,     (−Z A_Bj, 1) that on B with j                  (Z_ii = 0)

so one inverse gives the weights of all n candidates, and all but those of one sign drop out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate.rounding import inverse_of, largest

__all__ = ["MARGIN", "Guess", "interior_point", "kernel_policy"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

ITERATIONS = 100  # 5-10 are used
MARGIN = 1e-9  # in the scaled game: larger weights and slacks certainly differ from 0 in float64
START = 1.5  # v over max Ax at the uniform policy: not far from the path, which begins at v = ∞
LEAST_START = 1e-3  # of v: leaves s its digits where the uniform policy is almost a lottery
CENTRED = 0.1  # products x_i s_i outside [this, 1/this] of their goal are brought back by the next correction
CORRECTIONS = 2  # of one step (Gondzio's): each costs a solve, and saves a part of a factorisation
AHEAD = 0.3  # by which a correction is to lengthen the step
SINGLE_FROM, SINGLE_TO = 64, 1e-6  # responses from which, and v to which, single precision is faster and good enough
NEARLY = 2  # responses that changed sides in a step, up to which at most one is expected to be wrong


class Guess(NamedTuple):
    """The result of the interior point method: a policy near the middle of the optimal face, and its support.

    policy   [n], purified (zero off the support) where ``sure``.
    support  indices.
    sure     proved: the support's kernel was solved, weights and slacks are positive beyond rounding; it is unique.
    """

    policy: Array
    support: Indices
    sure: bool
    iterations: int


def interior_point(margins: Array) -> Guess:
    """Follow the path to v = 0 (Mehrotra's predictor, Gondzio's correctors), one factorisation per step.

    Stops when a support is proved: that of the responses with x > s, or one that differs from it by one response.
    """
    n = len(margins)
    z = np.empty((2, n))  # x and s: as one array, since for small games every call counts
    x, s = z
    x.fill(1.0 / n)
    advantage = margins.dot(x)
    v = max(START * largest(advantage), LEAST_START)
    np.subtract(v, advantage, out=s)
    above = np.zeros(n, dtype=bool)
    for k in range(ITERATIONS):
        before, above = above, x > s
        at_end = v <= 1e-15 or x[x.argmin()] < 1e-200
        if at_end or np.count_nonzero(above != before) <= NEARLY:
            found = _proved_near(margins, above)
            if found is not None:
                return Guess(*found, True, k)
        if at_end:
            break
        step = _step(margins, z, v)
        if step is None:  # s/x has left float64's range: keep the current point
            break
        dz, dv, reach = step
        length = min(1.0, 0.995 * reach)
        dz *= length
        z += dz
        x /= np.add.reduce(x)
        v += length * dv
        np.maximum(s, 1e-300, out=s)
        if length < 1e-8:
            break
    return Guess(x, np.flatnonzero(above), False, k)


def _step(margins: Array, z: Array, v: float) -> tuple[Array, float, float] | None:
    """(the next step of (x, s), of v, how far it may go), by one factorisation of diag(s/x) − A; None if singular."""
    from scipy.linalg import lapack

    x, s = z
    n, slope = len(x), s / x
    single = n >= SINGLE_FROM and v > SINGLE_TO
    factorise, solve = (lapack.sgetrf, lapack.sgetrs) if single else (lapack.dgetrf, lapack.dgetrs)
    system = margins.astype(np.float32 if single else np.float64)
    system.ravel()[:: n + 1] = slope
    # LAPACK reads columns: the transpose of diag + A is diag − A
    factors, pivots, singular = factorise(system.T, overwrite_a=True)
    if singular:
        return None
    ones = np.ones(n)
    missing = v - margins.dot(x)  # what rounding, above all in single precision, has left of s = v − Ax
    missing -= s
    q = solve(factors, pivots, ones)[0].astype(np.float64, copy=False)
    total = q.dot(ones)
    per_v = q / total

    def direction(right: Array) -> tuple[Array, float, float]:
        p = solve(factors, pivots, right - missing)[0].astype(np.float64, copy=False)
        dv = float(p.dot(ones))
        dz = np.empty_like(z)
        dx, ds = dz
        np.multiply(per_v, -dv, out=dx)
        dx += p
        np.multiply(slope, dx, out=ds)
        np.subtract(right, ds, out=ds)
        return dz, dv, _reach(z, dz)

    ahead, _, reach = direction(-s)
    goal = (1.0 - reach) ** 3 * v / n
    right = ahead[0] * ahead[1]
    right *= -(reach**2)
    right += goal
    right /= x
    right -= s
    best = direction(right)
    for _ in range(CORRECTIONS):
        dz, _, reach = best
        if reach > 0.95:
            break
        aim = dz * min(1.0, reach + AHEAD)
        aim += z
        products = aim[0] * aim[1]
        off = np.minimum(np.maximum(products, CENTRED * goal), goal / CENTRED)
        off -= products
        np.maximum(off, -goal / CENTRED, out=off)
        off /= x
        off += right
        right = off
        trial = direction(right)
        if trial[2] < reach + 0.1 * AHEAD:
            break
        best = trial
    dz, dv, reach = best
    return dz, dv / float(total), reach


def _reach(z: Array, dz: Array) -> float:
    """The longest step in [0, 1] that keeps x and s from becoming negative."""
    ratio = (dz / z).ravel()
    worst = -float(ratio[ratio.argmin()])
    return 1.0 if worst <= 1.0 else 1.0 / worst


# -- supports ------------------------------------------------------------------------------------------------------


def kernel_policy(margins: Array, support: Indices) -> Array | None:
    """The x with A_BB x_B = 0, Σx = 1, if its weights and the slacks off B are positive beyond rounding; else None."""
    x = _kernel(margins, support)
    return None if x is None else _policy(margins, support, x)


def _kernel(margins: Array, support: Indices) -> Array | None:
    """The solution of A_BB x_B = 0, Σx_B = 1, [k], whatever its signs; None if there is none or there are several."""
    from scipy.linalg import lapack

    k = support.size
    if k % 2 == 0:
        return None  # a skew matrix of even order has no one-dimensional kernel
    bordered, right = np.ones((k + 1, k + 1)), np.zeros(k + 1)
    bordered[:k, :k] = margins.take(support, axis=0).take(support, axis=1)
    bordered[k, k], right[k] = 0.0, 1.0
    # LAPACK reads columns, so it solves with −A for A: the border's multiplier, which is 0, changes its sign
    factors, pivots, singular = lapack.dgetrf(bordered.T, overwrite_a=True)
    return None if singular else lapack.dgetrs(factors, pivots, right)[0][:k]


def _policy(margins: Array, support: Indices, x: Array) -> Array | None:
    """The kernel x, [k], as a policy, [n], if weights and slacks are positive beyond rounding; else None."""
    if not x[x.argmin()] > MARGIN / x.size:  # also if it is NaN
        return None
    policy = np.zeros(len(margins))
    policy[support] = x / np.add.reduce(x)
    slack = -margins.dot(policy)
    on_support = largest(np.abs(slack[support]))
    slack[support] = np.inf
    return policy if slack[slack.argmin()] > MARGIN and on_support <= 1e-13 else None


def _proved_near(margins: Array, above: NDArray[np.bool_]) -> tuple[Array, Indices] | None:
    """(policy, support) where ``above``, or that with one response more or less, is proved to be the support.

    A support of odd order that is not proved is first changed where it fails most.
    """
    support = above.nonzero()[0]
    with np.errstate(over="ignore", invalid="ignore"):  # of huge inverses; what they suggest is checked
        if support.size % 2:
            x = _kernel(margins, support)
            if x is None:
                return None
            policy = _policy(margins, support, x)
            if policy is not None:
                return policy, support
            above = _flipped(above, _worst(margins, support, x))
            support = above.nonzero()[0]
        change = _change(margins, support, (~above).nonzero()[0]) if support.size else None
    if change is None:
        return None
    support = _flipped(above, change).nonzero()[0]
    policy = kernel_policy(margins, support)
    return None if policy is None else (policy, support)


def _flipped(held: NDArray[np.bool_], response: int) -> NDArray[np.bool_]:
    held = held.copy()
    held[response] = not held[response]
    return held


def _worst(margins: Array, support: Indices, x: Array) -> int:
    """The response with the most negative weight or slack, weights in units of 1/k."""
    failing = -margins.take(support, axis=1).dot(x)
    failing[support] = x * x.size
    return int(failing.argmin())


def _change(margins: Array, support: Indices, rest: Indices) -> int | None:
    """The response without which, or with which, a support of even order has positive weights and slacks, if any."""
    k, rows = support.size, margins.take(support, axis=0)
    inverse = inverse_of(rows.take(support, axis=1))
    if inverse is None:
        return None
    removed = inverse * np.sign(np.add.reduce(inverse, axis=0))
    removed[np.arange(k), np.arange(k)] = np.inf  # what is removed need not be positive
    added = -inverse.dot(rows.take(rest, axis=1))
    i = (np.minimum.reduce(removed, axis=0) > 0).nonzero()[0]
    j = (np.minimum.reduce(added, axis=0, initial=np.inf) > 0).nonzero()[0]
    if not i.size + j.size:
        return None
    weights = np.zeros((len(margins), i.size + j.size))
    weights[support] = np.concatenate((removed[:, i], added[:, j]), axis=1)
    weights[support[i], np.arange(i.size)] = 0.0
    weights[rest[j], np.arange(i.size, i.size + j.size)] = 1.0
    slack = np.where(weights > 0, np.inf, -margins.dot(weights)).min(axis=0) / weights.sum(axis=0)
    best = int(slack.argmax())
    return None if not slack[best] > 0 else int(np.concatenate((support[i], rest[j]))[best])

"""The enclosure of a maximal lottery by one approximate inverse and a-priori bounds of every rounding: whole arrays.

It proves what ball arithmetic proves, in a fraction of the time, or nothing; :mod:`nashlab.certificate.balls` is next.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate import rounding
from nashlab.certificate.floats import Certificate
from nashlab.game import PreferenceGame

__all__ = ["enclosed", "moved_payoff", "printed_apart", "weights_and_payoffs"]

Array = NDArray[np.float64]
Long = NDArray[np.longdouble]

FULL = -40  # binary exponent of the largest margin from which rationals rounded to subnormals are off by far below TINY


class Bounded(NamedTuple):
    """Numbers, [k], each within its ``error``."""

    value: Long
    error: Array


def enclosed(game: PreferenceGame, log_policy: Array) -> Certificate | None:
    """See :func:`nashlab.certificate.enclose_lottery`; None: not proved by these bounds."""
    held = np.isfinite(log_policy)
    margins, exponent = rounding.unit_scale(game.margins)  # so that the border and the margins are of one size
    if game.exact is not None and exponent < FULL:
        return None
    found = weights_and_payoffs(margins, held, 0.0 if game.exact is None else rounding.UNIT)
    if found is None:
        return None
    (x, error), (payoffs, loss) = found
    if not (np.logical_and.reduce(x > error) and np.logical_and.reduce(payoffs + loss < 0)):
        return None
    inside = log_policy[held]
    apart, mass = printed_apart(inside, np.exp(inside), x)
    moved = np.zeros(game.n)
    moved[held] = (apart + error) * rounding.ABOVE
    bound = min(float(np.add.reduce(moved)) * rounding.ABOVE, 1.0 + mass)
    return Certificate(moved_payoff(margins, exponent, moved), bound, "ball", rigorous=True)


def weights_and_payoffs(margins: Array, held: NDArray[np.bool_], blur: float) -> tuple[Bounded, Bounded] | None:
    """(x on B with A_BB x = 0, Σx = 1; Ax on the others) for every A within ``blur`` · |A| of margins of size 1.

    None: not enclosed.
    """
    support, rest = held.nonzero()[0], (~held).nonzero()[0]
    k = support.size
    if k % 2 == 0:  # a skew matrix of even order has no kernel of one dimension
        return None
    bordered, last = np.ones((k + 1, k + 1)), np.zeros(k + 1)
    columns = margins.take(support, axis=1)
    bordered[:k, :k], bordered[k, k], last[k] = columns.take(support, axis=0), 0.0, 1.0
    solved = rounding.solve(bordered, last, blur)
    if solved is None:
        return None
    # the multiplier of the border is 0 because xᵀA_BB x = 0, so A_BB x = 0
    x, error = solved.x[:k], solved.error[:k]
    rows = columns.take(rest, axis=0)
    size = np.abs(rows)
    payoffs, loss = rounding.extended(rows, x), rounding.product_error(size, x)
    loss = loss + size.dot(error + blur * np.abs(x.astype(np.float64))) * rounding.ABOVE
    return Bounded(x, error), Bounded(payoffs, loss * rounding.ABOVE)


def printed_apart(log_policy: Array, policy: Array, x: Long) -> tuple[Array, float]:
    """(bounds of |p − x|, [k], of Σp) for p as printed: policy, or exp(log_policy), as doubles or as their texts."""
    both = rounding.printed(np.concatenate((policy, log_policy)))
    read, blurred = both[: len(x)], both[len(x) :]
    value, error = rounding.exponential(log_policy)
    high = value.astype(np.float64)
    error = error + high * blurred * rounding.ABOVE  # e^t − 1 ≤ t(1 + t) for so small a t
    apart = np.maximum(np.abs(policy - x).astype(np.float64) + read, np.abs(value - x).astype(np.float64) + error)
    mass = np.maximum(policy + read, high * rounding.ABOVE + error)
    return apart * rounding.ABOVE, float(np.add.reduce(mass)) * rounding.ABOVE


def moved_payoff(scaled: Array, exponent: NDArray[np.intc], moved: Array) -> float:
    """An upper bound of max_y (Ap)_y for p within ``moved`` of a lottery: max_y Σ_j |A_yj| moved_j."""
    worst = rounding.largest(np.abs(scaled).dot(moved)) * rounding.ABOVE + len(moved) * math.ulp(0.0)
    return math.nextafter(math.ldexp(worst, int(exponent)), math.inf)  # above margins too that doubles round to 0

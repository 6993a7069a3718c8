"""The regularised equilibrium of one game that is not far from its reference, in plain vectors on the support of μ.

The same residual F(h) = h − tAπ as in :mod:`nashlab.equilibrium.regularised`, without batches, padding, damping or a
path: with ten responses, most of the time would go into them.  Who does not come near says so, and the careful methods
take over; what is found is certified like any other answer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Near", "anderson", "floor", "newton"]

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
ENOUGH = 1e-12  # of osc F: by E3 a distance of at most 5e-13, half the promised bound
FACTORISATIONS = 60  # quadratic once close: usually 1-10, more with damping
LEAST_SHARE = 2.0**-12  # of a Newton step
KEPT = 0.1  # fall of osc F in a step above which the factorisation is made again
ANDERSON_STEPS = 40  # beyond, it contracts too slowly
ANDERSON_WINDOW = 8
ANDERSON_UP_TO = 1e6  # of t: far beyond what it can solve, far below overflow of its sums


class Near(NamedTuple):
    """What a method found: h, [n], or None if it did not come near; and its work."""

    h: Array | None
    factorisations: int = 0
    products: int = 0


class _At(NamedTuple):
    """An iterate: h = log π − log μ, π, Aπ, F less its π-mean, each [n], and osc F."""

    h: Array
    pi: Array
    advantage: Array
    f: Array
    size: float


def _at(margins: Array, log_mu: Array, h: Array, t: float) -> _At:
    x = log_mu + h
    top = x.max()
    pi = np.exp(x - top)
    total = pi.sum()
    pi /= total
    h = h - (top + np.log(total))  # normalised, so that it stays small on the support
    advantage = margins @ pi
    f = h - t * advantage
    f -= pi @ f
    return _At(h, pi, advantage, f, float(f.max() - f.min()))


def floor(h: Array, t: Any) -> Any:
    """The oscillation of F due to rounding, [..., n] -> [...], below which no method can go."""
    return 4.0 * EPS * (1.0 + np.abs(h).max(axis=-1) + t)


def newton(margins: Array, log_mu: Array, t: float) -> Near:
    """Damped Newton from μ by factorisations of I − tAD, each used while osc F falls tenfold a step.

    It did not come near if no share of a step lowers osc F before that is rounding.
    """
    from scipy.linalg.lapack import dgetrf, dgetrs

    factorisations = 0
    factors: tuple[Array, NDArray[np.int32]] | None = None
    now = _at(margins, log_mu, np.zeros(len(log_mu)), t)
    while now.size > floor(now.h, t):
        if fresh := factors is None:
            if factorisations == FACTORISATIONS:
                return Near(None, factorisations)
            *system, singular = dgetrf(_system(margins, now, t).T, overwrite_a=True)
            factors = system[0], system[1]
            factorisations += 1
            if singular:
                return Near(None, factorisations)
        assert factors is not None
        step, _ = dgetrs(*factors, now.f)
        ahead = _at(margins, log_mu, now.h - step, t)
        if not fresh and not ahead.size <= KEPT * now.size:  # also if it is NaN
            factors = None
        if fresh or ahead.size <= KEPT * now.size:
            share = 1.0
            while not ahead.size <= (1.0 - 0.1 * share) * now.size:
                share *= 0.5
                if share < LEAST_SHARE:
                    return Near(now.h if now.size <= 1e3 * floor(now.h, t) else None, factorisations)
                ahead = _at(margins, log_mu, now.h - share * step, t)
            if ahead.size > KEPT * now.size:
                factors = None
            now = ahead
    return Near(now.h, factorisations)


def _system(margins: Array, now: _At, t: float) -> Array:
    """(I − tAD)ᵀ row by row, which is I − tAD column by column, as LAPACK reads it; Aᵀ = −A."""
    system: Array = now.pi[:, None] * (t * margins)
    system += np.outer(t * now.pi, now.advantage)
    system.ravel()[:: len(system) + 1] += 1.0
    return system


def anderson(margins: Array, log_mu: Array, t: float) -> Near:
    """Anderson acceleration of h ← tAπ: one product a step, good while tλ is below about 1."""
    if t > ANDERSON_UP_TO:
        return Near(None)
    n = len(log_mu)
    moves, changes = np.zeros((2, ANDERSON_WINDOW, n))
    now = best = _at(margins, log_mu, np.zeros(n), t)
    products, since = 0, 0
    while products < ANDERSON_STEPS and since < 6 and best.size > max(ENOUGH, floor(now.h, t)):
        held = min(products, ANDERSON_WINDOW)
        step = -now.f
        if held:
            past = changes[:held]
            gram = past @ past.T
            # a trace of the identity: near the end the changes are almost parallel
            gram.ravel()[:: held + 1] += 1e-15 * np.trace(gram)
            mixing = np.linalg.solve(gram, past @ now.f)
            step += mixing @ past - mixing @ moves[:held]
        new = _at(margins, log_mu, now.h + step, t)
        place = products % ANDERSON_WINDOW
        np.subtract(new.h, now.h, out=moves[place])
        np.subtract(new.f, now.f, out=changes[place])
        now, products = new, products + 1
        since = since + 1 if now.size > 0.5 * best.size else 0
        if now.size < best.size:
            best = now
    solved = best.size <= max(ENOUGH, 4.0 * floor(best.h, t))
    return Near(best.h if solved else None, products=products)

"""The regularised equilibrium of one game by Newton's method in plain vectors, on the support of μ.

The same residual F(h) = h − tAπ as in :mod:`nashlab.equilibrium.regularised`, without batches, padding or a path: with
ten responses, most of the time would go into them.  Where it does not come near it says so, and the careful methods
take over; what is found is certified like any other answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium.products import Near, evaluate, floor, start

__all__ = ["newton"]

Array = NDArray[np.float64]

FACTORISATIONS = 60  # quadratic once close: usually 1-10, more with damping
LEAST_SHARE = 2.0**-12  # of a Newton step
KEPT = 0.01  # fall of osc F in a step above which the factorisation is made again: it costs about two steps
LAST = 1e-14  # of osc F: what the last step is to leave, if F falls in it as it fell before
USEFUL = 0.5  # fall above which a step by an old factorisation is not taken at all
LARGE = 48  # responses from which a factorisation costs more than ten products, or steps that make up for its digits


def newton(margins: Array, log_mu: Array, t: float) -> Near:
    """Damped Newton from μ by factorisations of I − tAD, each used while osc F falls a hundredfold a step.

    Small games are factorised at every step.  Larger ones begin with products alone, for as long as these are fast, and
    are factorised in single precision: an error of the direction only slows the fall of F, which is evaluated in
    double.  It did not come near if no share of a step lowers osc F before that is rounding.
    """
    if len(log_mu) < LARGE:
        return _damped(margins, margins, log_mu, t, np.zeros(len(log_mu)))
    near = start(margins.dot, log_mu, t)
    if near.h is not None or near.nearest is None:
        return near
    found = _damped(margins, margins.astype(np.float32), log_mu, t, near.nearest)
    return found._replace(products=near.products)


def _damped(margins: Array, matrix: NDArray[Any], log_mu: Array, t: float, h: Array) -> Near:
    """Newton from h, with directions in the precision of the ``matrix``."""
    from scipy.linalg import lapack

    single, multiply, factorisations, direction = matrix is not margins, margins.dot, 0, None
    factorise, solve = (lapack.sgetrf, lapack.sgetrs) if single else (lapack.dgetrf, lapack.dgetrs)
    now = evaluate(multiply, log_mu, h, t)
    while now.size > floor(now.h, t):
        if fresh := direction is None:
            if factorisations == FACTORISATIONS:
                return Near(None, factorisations)
            direction = _direction(matrix, now.pi, t, factorise, solve)
            factorisations += 1
            if direction is None:
                return Near(None, factorisations)
        step = direction(now.f)
        ahead = evaluate(multiply, log_mu, now.h - step, t)
        if not fresh and not ahead.size <= USEFUL * now.size:  # also if it is NaN
            direction = None
            continue
        share = 1.0
        while not ahead.size <= (1.0 - 0.1 * share) * now.size:
            share *= 0.5
            if share < LEAST_SHARE:
                return Near(now.h if now.size <= 1e3 * floor(now.h, t) else None, factorisations)
            ahead = evaluate(multiply, log_mu, now.h - share * step, t)
        # where the next step by this factorisation would end at the level of rounding, it is kept in small games too
        if ahead.size > (KEPT * now.size if single else math.sqrt(LAST * now.size)):
            direction = None
        now = ahead
    return Near(now.h, factorisations)


def _direction(
    matrix: NDArray[Any], pi: Array, t: float, factorise: Any, solve: Any
) -> Callable[[Array], Array] | None:
    """The solver of (I − tAD) d = F for any F, D = diag π − ππᵀ, by one factorisation of I − tA diag π.

    With e = (I − tA diag π)⁻¹1 it is d = d' − (e − 1) (π·d')/(π·e), d' = (I − tA diag π)⁻¹F, since D1 = 0.
    """
    scale = (t * pi).astype(matrix.dtype, copy=False)
    # row by row, (I − tA diag π)ᵀ = I + t diag(π) A: LAPACK reads columns
    system = matrix * scale[:, None]
    system.ravel()[:: len(pi) + 1] = 1.0
    factors, pivots, singular = factorise(system.T, overwrite_a=True)
    if singular:
        return None
    # e − 1 = (I − tA diag π)⁻¹ tAπ
    lead = solve(factors, pivots, matrix.dot(scale))[0].astype(np.float64, copy=False)
    lead /= 1.0 + pi.dot(lead)

    def direction(f: Array) -> Array:
        d: Array = solve(factors, pivots, f)[0]
        return d - pi.dot(d) * lead

    return direction

"""The regularised equilibrium of one game by Newton's method in plain vectors, on the support of μ.

The same residual F(h) = h − tAπ as in :mod:`nashlab.equilibrium.regularised`, without batches, padding or a path: with
ten responses, most of the time would go into them.  Where it does not come near it says so, and the careful methods
take over; what is found is certified like any other answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium.products import At, Near, evaluate, floor

__all__ = ["newton"]

Array = NDArray[np.float64]

FACTORISATIONS = 60  # quadratic once close: usually 1-10, more with damping
LEAST_SHARE = 2.0**-12  # of a Newton step
KEPT = 0.01  # fall of osc F in a step above which the factorisation is made again: it costs about two steps
USEFUL = 0.5  # fall above which a step by an old factorisation is not taken at all
SINGLE_FROM = 48  # responses from which a factorisation costs more than the steps that keep it and make up its digits


def newton(margins: Array, log_mu: Array, t: float) -> Near:
    """Damped Newton from μ by factorisations of I − tAD, each used while osc F falls a hundredfold a step.

    Small games are factorised at every step, larger ones in single precision: an error of the direction only slows the
    fall of F, which is evaluated in double.  It did not come near if no share of a step lowers osc F before that is
    rounding.
    """
    single = len(log_mu) >= SINGLE_FROM
    matrix: NDArray[Any] = margins.astype(np.float32) if single else margins
    factorisations, direction = 0, None

    def at(h: Array) -> At:
        return evaluate(margins.__matmul__, log_mu, h, t)

    now = at(np.zeros(len(log_mu)))
    while now.size > floor(now.h, t):
        if fresh := direction is None:
            if factorisations == FACTORISATIONS:
                return Near(None, factorisations)
            direction = _direction(matrix, now.pi, t)
            factorisations += 1
            if direction is None:
                return Near(None, factorisations)
        step = direction(now.f)
        ahead = at(now.h - step)
        if not fresh and not ahead.size <= USEFUL * now.size:  # also if it is NaN
            direction = None
            continue
        share = 1.0
        while not ahead.size <= (1.0 - 0.1 * share) * now.size:
            share *= 0.5
            if share < LEAST_SHARE:
                return Near(now.h if now.size <= 1e3 * floor(now.h, t) else None, factorisations)
            ahead = at(now.h - share * step)
        if not single or ahead.size > KEPT * now.size:
            direction = None
        now = ahead
    return Near(now.h, factorisations)


def _direction(matrix: NDArray[Any], pi: Array, t: float) -> Callable[[Array], Array] | None:
    """The solver of (I − tAD) d = F for any F, D = diag π − ππᵀ, by one factorisation of I − tA diag π.

    With e = (I − tA diag π)⁻¹1 it is d = d' − (e − 1) (π·d')/(π·e), d' = (I − tA diag π)⁻¹F, since D1 = 0.
    """
    from scipy.linalg import lapack

    factorise, solve = (lapack.dgetrf, lapack.dgetrs) if matrix.dtype == np.float64 else (lapack.sgetrf, lapack.sgetrs)
    # row by row, (I − tA diag π)ᵀ = I + t diag(π) A: LAPACK reads columns
    system = matrix * (t * pi).astype(matrix.dtype)[:, None]
    system.ravel()[:: len(pi) + 1] = 1.0
    factors, pivots, singular = factorise(system.T, overwrite_a=True)
    if singular:
        return None
    constant = solve(factors, pivots, np.ones(len(pi)))[0].astype(np.float64)
    scaled: Array = (constant - 1.0) / (pi @ constant)

    def direction(f: Array) -> Array:
        d: Array = solve(factors, pivots, f)[0]
        return d - (pi @ d) * scaled

    return direction

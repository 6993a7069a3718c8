"""Products and linear systems in floating point, with a-priori bounds of all rounding errors.

For a sum of k products in any order, with unit roundoff u (Higham 2002, §3.1, and the smallest number for underflow):

    |fl(xᵀy) − xᵀy| ≤ γ_k |x|ᵀ|y|,   γ_k = ku/(1 − ku)

and for an approximate inverse R of M (Rump 1999):  ‖I − RM‖_∞ ≤ c < 1  proves that M is regular and

    |M⁻¹b − x̃| ≤ |R r| + c/(1 − c) ‖R r‖_∞,   r = b − M x̃
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Solved", "product", "solve", "unit_scale"]

Array = NDArray[np.float64]
Long = NDArray[np.longdouble]

UNIT = float(np.finfo(np.float64).eps) / 2
LONG_UNIT = float(np.finfo(np.longdouble).eps) / 2
TINY = 1e-300  # far above the underflow of one product
ABOVE = 1.0 + 1e-9  # factor on a bound computed in float64, whose own rounding is at most k · 1e-16
ROWS = 256  # widened to extended precision at a time


class Solved(NamedTuple):
    """The solution of M x = b lies within ``error`` of ``x``, entry by entry."""

    x: Long
    error: Array


def unit_scale(margins: Array) -> tuple[Array, NDArray[np.intc]]:
    """(A over the power of two that brings its largest entry into [½, 1), its exponent), [..., n, n]; without rounding.

    >>> scaled, exponent = unit_scale(np.array([[0.0, 6.0], [-6.0, 0.0]]))
    >>> float(scaled[0, 1]), int(exponent)
    (0.75, 3)
    """
    exponent = np.frexp(np.max(margins, axis=(-1, -2)))[1]
    return np.asarray(np.ldexp(margins, -exponent[..., None, None])), exponent


def product(matrix: Array, vector: Long) -> tuple[Long, Array]:
    """(M v, a bound of its error), [m, k] · [k] -> [m], [m]: summed in extended precision, if the platform has it."""
    m, k = matrix.shape
    values = np.empty(m, dtype=np.longdouble)
    for first in range(0, m, ROWS):
        rows = slice(first, first + ROWS)
        values[rows] = matrix[rows].astype(np.longdouble) @ vector
    size = np.abs(matrix) @ np.abs(vector.astype(np.float64))
    return values, _gamma(k + 2, LONG_UNIT) * ABOVE * size + k * TINY


def solve(matrix: Array, right: Array, blur: float = 0.0) -> Solved | None:
    """An enclosure of the solution of M x = b for every M within ``blur`` · |M| of the given one; None: not proved.

    >>> found = solve(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([1.0, 0.0]))
    >>> [float(v) for v in found.x], bool(np.max(found.error) < 1e-15)
    ([-1.0, 1.0], True)
    """
    k = len(matrix)
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return None
    if not np.all(np.isfinite(inverse)):
        return None
    size, one = np.abs(inverse), np.ones(k)
    norm = np.abs(matrix)
    off = np.abs(np.eye(k) - inverse @ matrix) @ one
    contraction = float(np.max(off + (_gamma(k + 2, UNIT) + blur) * ABOVE * (size @ (norm @ one) + one) + TINY)) * ABOVE
    if not contraction < 0.5:
        return None
    x = (inverse @ right).astype(np.longdouble)
    for _ in range(2):
        values, _ = product(matrix, x)
        x = x + (inverse @ (right - values).astype(np.float64)).astype(np.longdouble)
    values, error = product(matrix, x)
    residual = np.abs((right - values).astype(np.float64)) + error + LONG_UNIT * np.abs(right) * ABOVE
    residual += blur * ABOVE * (norm @ np.abs(x.astype(np.float64)))
    moved = (size @ residual) * ABOVE + k * TINY
    return Solved(x, (moved + contraction / (1.0 - contraction) * np.max(moved)) * ABOVE)


def _gamma(k: int, unit: float) -> float:
    return k * unit / (1.0 - k * unit)

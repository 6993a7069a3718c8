"""Products and linear systems in floating point, with a-priori bounds of all rounding errors.

For a sum of k products in any order, with unit roundoff u (Higham 2002, §3.1, and the smallest number for underflow):

    |fl(xᵀy) − xᵀy| ≤ γ_k |x|ᵀ|y|,   γ_k = ku/(1 − ku)

and for an approximate inverse R of M (Rump 1999):  ‖I − RM‖_∞ ≤ c < 1  proves that M is regular and

    |M⁻¹b − x̃| ≤ |R r| + c/(1 − c) ‖R r‖_∞,   r = b − M x̃

The exponential is a Taylor sum of our own, since no standard bounds the error of a library's.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Solved",
    "exponential",
    "extended",
    "inverse_of",
    "largest",
    "printed",
    "product",
    "product_error",
    "solve",
    "unit_scale",
]

Array = NDArray[np.float64]
Long = NDArray[np.longdouble]

UNIT = float(np.finfo(np.float64).eps) / 2
LONG_UNIT = float(np.finfo(np.longdouble).eps) / 2
TINY = 1e-300  # far above the underflow of one product
ABOVE = 1.0 + 1e-9  # factor on a bound computed in float64, whose own rounding is at most k · 1e-16
ROWS = 256  # widened to extended precision at a time
ONCE = 1e-8  # of ‖I − RM‖: one refinement brings an error of that order below that of extended precision
LN2 = (float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33"))  # of 32 and 53 bits: log 2 to 2e-26
TERMS = 17  # of e^r with |r| ≤ ½ log 2: the rest is below 2e-24
EXP_ERROR = 16  # unit roundoffs of e^x, relative: 18 of Σ_{j>0} |r|^j/j! ≤ .42, j of each power, over e^r ≥ .7: 14
FACTORS = 1 / np.array([math.factorial(j) for j in range(1, TERMS + 1)], dtype=np.longdouble)
FAR = 1400.0  # e^−1400 is below TINY, and 1400/log 2 has 11 bits


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
    if margins.ndim == 2:  # of short arrays, the place of the maximum is found in a quarter of the time of a reduction
        whole = margins.ravel()
        power = math.frexp(float(whole[whole.argmax()]))[1]
        if abs(power) < 1000:  # its power is a double: a product is faster than ldexp
            return margins * 2.0**-power, np.asarray(power, dtype=np.intc)
    exponent = np.frexp(margins.max(axis=(-1, -2)))[1]
    return np.asarray(np.ldexp(margins, -exponent[..., None, None])), exponent


def product(matrix: Array, vector: Long) -> tuple[Long, Array]:
    """(M v, a bound of its error), [m, k] · [k] -> [m], [m]: summed in extended precision, if the platform has it."""
    return extended(matrix, vector), product_error(np.abs(matrix), vector)


def product_error(size: Array, vector: Long) -> Array:
    """The bound of the error of ``extended`` for a matrix of size |M|, [m, k] · [k] -> [m]."""
    k = len(vector)
    return size.dot(np.abs(vector.astype(np.float64))) * (_gamma(k + 2, LONG_UNIT) * ABOVE) + k * TINY


def extended(matrix: NDArray[np.floating[Any]], vector: Long) -> Long:
    """M v in extended precision, if the platform has it, without a bound; M may be in extended precision already."""
    if len(matrix) <= ROWS:
        return np.asarray(matrix.astype(np.longdouble, copy=False).dot(vector))
    values = np.empty(len(matrix), dtype=np.longdouble)
    for first in range(0, len(matrix), ROWS):
        rows = slice(first, first + ROWS)
        values[rows] = matrix[rows].astype(np.longdouble) @ vector
    return values


def inverse_of(matrix: Array) -> Array | None:
    """An approximate inverse, [k, k]; None if there is none.  numpy's takes twice as long."""
    from scipy.linalg import lapack

    # row by row, (Mᵀ)⁻¹ = (M⁻¹)ᵀ: LAPACK reads columns
    factors, pivots, singular = lapack.dgetrf(matrix.T)
    if singular:
        return None
    inverse: Array = lapack.dgetri(factors, pivots, overwrite_lu=True)[0].T
    return inverse if math.isfinite(np.add.reduce(inverse, axis=None)) else None


def solve(matrix: Array, right: Array, blur: float = 0.0) -> Solved | None:
    """An enclosure of the solution of M x = b for every M within ``blur`` · |M| of the given one; None: not proved.

    >>> found = solve(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([1.0, 0.0]))
    >>> [float(v) for v in found.x], bool(np.max(found.error) < 1e-15)
    ([-1.0, 1.0], True)
    """
    k = len(matrix)
    inverse = inverse_of(matrix)
    if inverse is None:
        return None
    size, norm, ones = np.abs(inverse), np.abs(matrix), np.ones(k)
    off = inverse.dot(matrix)
    off.ravel()[:: k + 1] -= 1.0
    # I − RM, its rounding, and what the blur adds, row by row; NaN fails the comparison
    slack = (size.dot(norm.dot(ones)) + 1.0) * ((_gamma(k + 2, UNIT) + blur) * ABOVE)
    contraction = largest(np.abs(off, out=off).dot(ones) + slack + TINY) * ABOVE
    if not contraction < 0.5:
        return None
    wide = matrix.astype(np.longdouble) if k <= ROWS else matrix
    x = inverse.dot(right).astype(np.longdouble)
    for _ in range(1 if contraction < ONCE else 2):
        x = x + inverse.dot((right - extended(wide, x)).astype(np.float64))
    residual = np.abs((right - extended(wide, x)).astype(np.float64)) + product_error(norm, x)
    residual += np.abs(right) * (LONG_UNIT * ABOVE)
    if blur:
        residual += norm.dot(np.abs(x.astype(np.float64))) * (blur * ABOVE)
    moved = size.dot(residual) * ABOVE + k * TINY
    return Solved(x, (moved + contraction / (1.0 - contraction) * largest(moved)) * ABOVE)


def largest(x: Array) -> float:
    """max x, NaN if there is one."""
    return float(x[x.argmax()])


def exponential(x: Array) -> tuple[Long, Array]:
    """(e^x, a bound of its error), [k] -> [k], [k], for x ≤ 1400: with k = round(x/log 2), 2^k Σ (x − k log 2)^j/j!.

    >>> value, error = exponential(np.array([1.0]))
    >>> bool(abs(value[0] - np.longdouble("2.718281828459045235")) <= error[0] + 5e-19)
    True
    """
    x = np.maximum(x, -FAR)
    turns = np.rint(x / LN2[0])
    # exact but for the last subtraction: turns · LN2[0] has 43 bits and lies within a factor of two of x, or is 0
    rest = (x - turns * LN2[0]).astype(np.longdouble) - turns.astype(np.longdouble) * LN2[1]
    powers = np.multiply.accumulate(rest[None].repeat(TERMS, axis=0))
    value = np.ldexp(1 + FACTORS.dot(powers), turns.astype(np.intc))
    return value, value.astype(np.float64) * (EXP_ERROR * LONG_UNIT * ABOVE) + TINY


def printed(x: Array) -> Array:
    """How far the shortest decimal text of each double may lie from it: half a unit in the last place, or 0.

    >>> printed(np.array([0.25, 0.1])).tolist()
    [0.0, 6.938893903907228e-18]
    """
    fine = 1024.0 * x
    short = (np.rint(fine) == fine) & (np.abs(fine) < 1e9)  # at most 16 digits: the text is the double
    away = np.abs(np.spacing(x)) / 2 + 5e-324  # half of the smallest double would be 0
    away[short] = 0.0
    return away


def _gamma(k: int, unit: float) -> float:
    return k * unit / (1.0 - k * unit)

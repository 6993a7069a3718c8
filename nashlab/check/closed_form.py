"""The optimum d*(p) as a formula: solved from the function (symbolic.py), else recognised among the usual shapes.

Either has to fit the curve at every p of it.  The shapes typical of preference losses:

    c (p − ½)        squares and squared hinges, EXO-pair (linear: additive preferences have additive optima)
    c logit(q)       logistic and exponential losses, with q = p or p with added or removed noise: ε + (1 − 2ε)p
    c sign(p − ½)    hinges: the strength of a preference does not matter

c is shown as an integer, a fraction or a logarithm if it is one to 2e-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nashlab.check.offline import GRID, Curve

__all__ = ["closed_form", "number", "of_the_curve"]

Array = NDArray[np.float64]

FITS = 5e-6  # of τd*, relative to its largest value; a kink of a numpy function is located to 1e-6


def closed_form(curve: Curve) -> str | None:
    """A formula for d*(p) in p and tau, or None.

    >>> number(2 * np.log(9)), number(0.25), number(0.7123)
    ('2*log(9)', '1/4', '0.7123')
    """
    k = curve.law()
    points = [(p, curve.at(p).best) for p in GRID if np.isfinite(curve.at(p).best) and p != 0.5]
    if len(points) < 6 or k is None:
        return None
    p, d = (np.array(x) for x in zip(*points, strict=True))
    x = d * curve.tau**k
    for shape in (_linear, _logit, _step):
        found = shape(p, x, complete=len(points) == len(GRID) - 1)
        if found is not None:
            return found.removeprefix("1*") + {0: "", 1: "/tau", 2: "/tau**2"}[k]
    return None


def of_the_curve(curve: Curve, formulas: Sequence[tuple[str, Sequence[float | None]]]) -> str | None:
    """The formula whose values at the grid are the curve's: finite where there is an optimum, and nowhere else."""
    there = [curve.at(p) for p in GRID]
    for text, values in formulas:
        pairs = [(m.best if np.isfinite(m.best) else None, d) for m, d in zip(there, values, strict=True)
                 if not m.several]  # fmt: skip
        both = np.array([(x, d) for x, d in pairs if x is not None and d is not None])
        if len(both) == sum(x is not None or d is not None for x, d in pairs) > 0 and _fits(*both.T):
            return text
    return None


def _fits(x: Array, y: Array) -> bool:
    return bool(np.max(np.abs(x - y)) <= FITS * np.max(np.abs(x)))


def _linear(p: Array, x: Array, *, complete: bool) -> str | None:
    c = float(x @ (p - 0.5) / ((p - 0.5) @ (p - 0.5)))
    return f"{number(c)}*(p - 1/2)" if complete and _fits(x, c * (p - 0.5)) else None


def _logit(p: Array, x: Array, *, complete: bool) -> str | None:
    from scipy.optimize import least_squares

    def model(c: float, noise: float) -> Array:
        q = np.clip(noise + (1 - 2 * noise) * p, 1e-12, 1 - 1e-12)
        return np.asarray(c * np.log(q / (1 - q)))

    plain = model(1.0, 0.0)
    c = float(x @ plain / (plain @ plain))
    if _fits(x, c * plain):
        return f"{number(c)}*log(p/(1 - p))"
    # finite outside its own range means no de-noised logit, which has no optimum there
    lowest = -(1.0 - float(p.max())) / (2.0 * float(p.max()) - 1.0) + 1e-9
    guess = least_squares(lambda v: model(*v) - x, (c, 0.05 if complete else lowest / 2), xtol=1e-15, ftol=1e-15,
                          gtol=1e-15, bounds=((-np.inf, lowest), (np.inf, 0.5)))  # fmt: skip
    if not _fits(x, model(*guess.x)):
        return None
    c, noise = (float(v) for v in guess.x)
    e = Fraction(noise).limit_denominator(1000)
    if abs(float(e) - noise) > 1e-6:
        return None
    if noise < 0:  # p = ε + (1 − 2ε)q, solved for q
        rate = -e / (1 - 2 * e)
        return f"{number(c)}*log((p - {rate})/({1 - rate} - p))"
    return f"{number(c)}*log(({e} + {1 - 2 * e}*p)/({1 - e} - {1 - 2 * e}*p))"


def _step(p: Array, x: Array, *, complete: bool) -> str | None:
    c = float(np.mean(np.abs(x)))
    return f"{number(c)}*sign(p - 1/2)" if complete and _fits(x, c * np.sign(p - 0.5)) else None


def number(c: float) -> str:
    """A constant in its usual notation if it has one: an integer, a small fraction, a small multiple of a logarithm."""
    near = Fraction(c).limit_denominator(64)
    if abs(float(near) - c) <= 2e-6 * abs(c):
        return str(near)
    found = []
    for factor in (Fraction(1), Fraction(2), Fraction(1, 2)):
        inside = Fraction(float(np.exp(min(abs(c) / float(factor), 50.0)))).limit_denominator(20)
        if inside > 1 and abs(float(factor) * float(np.log(float(inside))) - abs(c)) <= 2e-6 * abs(c):
            front = "" if factor == 1 else f"{factor}*"
            found.append((inside.numerator + inside.denominator, f"{'-' if c < 0 else ''}{front}log({inside})"))
    return min(found)[1] if found else f"{c:.7g}"

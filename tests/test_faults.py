"""Small faults that a sound-looking answer can hide: tests for lines that others run without looking at closely."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from nashlab.certificate import rounding

# -- a-priori bounds of rounding -------------------------------------------------------------------------------------


def exact(x: np.longdouble) -> Fraction:
    high = float(x)
    return Fraction(high) + Fraction(float(x - np.longdouble(high)))


def test_the_unit_roundoffs_are_those_of_the_machine() -> None:
    for one, unit in ((np.float64(1), rounding.UNIT), (np.longdouble(1), rounding.LONG_UNIT)):
        # a tie goes to the even neighbour, 1; anything above it does not
        assert one + type(one)(unit) == one
        assert one + type(one)(unit * 1.001) > one


@pytest.mark.parametrize("k", [1, 2, 3])
def test_short_products_are_enclosed_tightly(k: int) -> None:
    rng = np.random.default_rng(k)
    worst = Fraction(0)
    for _ in range(300):
        row, v = rng.uniform(0.5, 1, (1, k)), rng.uniform(0.5, 1, k).astype(np.longdouble) / 3
        values, errors = rounding.product(row, v)
        true = sum((Fraction(float(a)) * exact(x) for a, x in zip(row[0], v, strict=True)), Fraction(0))
        off, bound = abs(exact(values[0]) - true), Fraction(float(errors[0]))
        assert off <= bound
        worst = max(worst, off / bound)
    assert worst > Fraction(1, 10)  # canary: a tenth of the bound is not enough


def solution(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """By Cramer's rule, for orders 1 and 2."""
    if len(matrix) == 1:
        return [right[0] / matrix[0][0]]
    (a, b), (c, d) = matrix
    determinant = a * d - b * c
    return [(right[0] * d - b * right[1]) / determinant, (a * right[1] - c * right[0]) / determinant]


@pytest.mark.parametrize(
    "matrix", [[[2.0]], [[2.0, 1.0], [-1.0, 3.0]], [[0.0, 1.0], [1.0, 1.0]], [[5.0, 4.0], [1.0, 1.5]]], ids=str
)
def test_every_matrix_within_the_blur_has_its_solution_in_the_enclosure(matrix: list[list[float]]) -> None:
    k, blur = len(matrix), 0.02
    right = [1.0, -0.5][:k]
    found = rounding.solve(np.array(matrix), np.array(right), blur)
    assert found is not None
    reach = np.zeros(k)
    for signs in itertools.product((-1, 0, 1), repeat=k * k):
        moved = [
            [Fraction(x) * (1 + s * Fraction(blur)) for x, s in zip(row, signs[i * k :], strict=False)]
            for i, row in enumerate(matrix)
        ]
        true = solution(moved, [Fraction(v) for v in right])
        off = [abs(t - exact(x)) for t, x in zip(true, found.x, strict=True)]
        assert all(o <= Fraction(float(e)) for o, e in zip(off, found.error, strict=True)), signs
        reach = np.maximum(reach, [float(o) for o in off])
    # canary: half of the largest error would leave some of them out
    assert np.max(reach) > 0.5 * np.max(found.error)

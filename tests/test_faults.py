"""Small faults that a sound-looking answer can hide: tests for lines that others run without looking at closely."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nashlab.certificate import rounding
from nashlab.certify import certify_answer

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


# -- the verifier's rows, one at a time ------------------------------------------------------------------------------

CYCLE = [["0", "1/2", "-1/2"], ["-1/2", "0", "1/2"], ["1/2", "-1/2", "0"]]
EVEN = {"tau": "0", "margins_exact": CYCLE, "policy": ["0.3333333333333333"] * 3}


def held(answer: dict[str, Any]) -> dict[str, bool | None]:
    """What the verifier says of each thing that it looks at."""
    return {what: holds for what, holds, _ in certify_answer(answer)}


def test_a_negative_probability_is_seen_among_others() -> None:
    assert held(EVEN)["no probability is negative"] is True
    assert held({**EVEN, "policy": ["0.6", "0.6", "-0.2"]})["no probability is negative"] is False


@pytest.mark.parametrize(("off", "holds"), [("0.9e-9", True), ("1.1e-9", False)])
def test_probabilities_may_miss_1_by_a_billionth(off: str, holds: bool) -> None:
    moved = str(Fraction(1, 3) + Fraction(off))
    for name in ("policy", "log_policy"):
        values = [moved, "1/3", "1/3"]
        answer = {**EVEN, "policy": values} if name == "policy" else {
            **EVEN, "policy": None, "log_policy": [repr(math.log(Fraction(v))) for v in values]
        }
        assert held(answer)[f"the probabilities of {name} sum to 1"] is holds


def test_a_policy_is_the_exponential_of_its_logarithms_to_two_roundings() -> None:
    logs = [repr(math.log(1 / 3))] * 3
    same = held({**EVEN, "log_policy": logs})
    assert same["policy is exp(log_policy)"] is True
    # a tolerance of 2⁻⁴⁹ (1 + |log p|), relative: 1.2e-15 here
    moved = [repr(math.log(1 / 3) + 3e-14)] * 3
    assert held({**EVEN, "log_policy": moved})["policy is exp(log_policy)"] is False
    gone = held({**EVEN, "log_policy": [logs[0], logs[0], None]})
    assert gone["policy is exp(log_policy)"] is False


@pytest.mark.parametrize(
    ("stated", "holds"),
    [("1e-15", True), ("2", True), ("2.000001", False), ("-1e-30", False), ("1e-18", False)],
)
def test_a_stated_bound_lies_between_what_is_proved_and_two(stated: str, holds: bool) -> None:
    # an exact third is 1.9e-17 away from each of its doubles
    answer = {**EVEN, "policy_exact": ["1/3"] * 3, "certificate": {"l1_bound": stated, "kind": "rational",
                                                                   "rigorous": True}}
    assert held(answer)["‖policy − exact policy‖₁ is at most the stated bound"] is holds


@pytest.mark.parametrize(
    ("stated", "holds"),
    [("0.1", True), ("0.10000000005", True), ("0.2", False), ("0.0999", False), ("-0.1", False), ("0.1002", False)],
)
def test_a_stated_exploitability_is_an_upper_bound_and_no_loose_one(stated: str, holds: bool) -> None:
    # (0.4, 0.4, 0.2) loses 0.1 to the second response and 0 to the third
    answer = {**EVEN, "policy": ["0.4", "0.4", "0.2"], "exploitability": stated}
    assert held(answer)["exploitability is what the answer states"] is holds

"""What the verifier computes with: exact numbers read from text, ranks modulo a prime, sums of logarithms.

Every number of an answer is read as the decimal or ratio that its text says, never through a double.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

__all__ = ["CertifyError", "decimal", "exact", "integers_of_any_length", "logarithms", "rank", "spread"]

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?|[+-]?\d+/\d+", re.ASCII)
DIGITS = 200_000  # of one number: beyond, reading it alone takes seconds
PRIME = (1 << 61) - 1  # a rank modulo a prime is never above the true one
FACTORS = 64  # coprime factors of the ratios in one sum of logarithms; more are not taken apart


class CertifyError(ValueError):
    """The answer or the game cannot be read, or is too large to be judged."""


@contextmanager
def integers_of_any_length() -> Iterator[None]:
    """Lift Python's limit on the digits of an integer in text; :func:`exact` has its own."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(DIGITS + 1)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


def exact(text: Any, where: str) -> Fraction:
    """The number that a text (or an integer) says.

    >>> exact("1e-3", "here"), exact("5/9", "here")
    (Fraction(1, 1000), Fraction(5, 9))
    """
    word = text if isinstance(text, str) else str(text) if type(text) in (int, float) else ""
    if len(word) > DIGITS:
        raise CertifyError(f"{where} has {len(word)} characters, must have at most {DIGITS}")
    if not NUMBER.fullmatch(word.strip()):
        raise CertifyError(f"{where} = {str(text)[:40]!r}, must be a number")
    try:
        return Fraction(word)
    except ZeroDivisionError:
        raise CertifyError(f"{where} = {word[:40]}, must not divide by 0") from None


def decimal(x: Fraction) -> Decimal:
    """x to the digits of the current context."""
    return Decimal(x.numerator) / Decimal(x.denominator)


def rank(rows: Sequence[Sequence[Fraction]]) -> int:
    """A lower bound of the rank of a rational matrix: that modulo a prime, which is nearly always the rank itself.

    >>> rank([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(4)]])
    1
    """
    matrix = []
    for row in rows:
        common = math.lcm(*(x.denominator for x in row))
        matrix.append([x.numerator * (common // x.denominator) % PRIME for x in row])
    found = 0
    for column in range(len(matrix[0]) if matrix else 0):
        pivot = next((r for r in range(found, len(matrix)) if matrix[r][column]), None)
        if pivot is None:
            continue
        matrix[found], matrix[pivot] = matrix[pivot], matrix[found]
        inverse = pow(matrix[found][column], -1, PRIME)
        top = matrix[found]
        for r in range(found + 1, len(matrix)):
            if factor := matrix[r][column] * inverse % PRIME:
                matrix[r] = [(u - factor * v) % PRIME for u, v in zip(matrix[r], top, strict=True)]
        found += 1
    return found


def spread(values: Sequence[Decimal]) -> Decimal:
    """max − min."""
    return max(values) - min(values)


def logarithms(
    weights: Sequence[Fraction], ratios: Sequence[Fraction], logs: Sequence[Decimal], small: Decimal
) -> int | None:
    """The sign of Σ w log(ratio), or None: too near 0 to tell, and not 0 by its factors; ``logs`` to 40 digits or more.

    Logarithms of pairwise coprime numbers are independent over the rationals, so the sum is 0 exactly if the weights of
    every such factor sum to 0.

    >>> logs = [Decimal(9).ln(), Decimal(3).ln()]
    >>> logarithms([Fraction(1), Fraction(-2)], [Fraction(9), Fraction(3)], logs, Decimal("1e-20"))
    0
    """
    total = sum((decimal(w) * log for w, log in zip(weights, logs, strict=True) if w), Decimal(0))
    if abs(total) > small:
        return 1 if total > 0 else -1
    base: list[int] = []
    waiting = [v for r in ratios for v in (r.numerator, r.denominator) if v > 1]
    while waiting and len(base) <= FACTORS:
        v = waiting.pop()
        met = next((b for b in base if math.gcd(v, b) > 1), None)
        if met is None:
            base.append(v)
        elif met != v:
            base.remove(met)
            common = math.gcd(v, met)
            waiting += [w for w in (common, v // common, met // common) if w > 1]
    if waiting:
        return None
    powers = ([_times(r.numerator, b) - _times(r.denominator, b) for r in ratios] for b in base)
    return None if any(sum(w * k for w, k in zip(weights, each, strict=True)) for each in powers) else 0


def _times(number: int, base: int) -> int:
    count = 0
    while number % base == 0:
        number, count = number // base, count + 1
    return count

"""The verifier's arithmetic: exact numbers read from text, ranks modulo a prime, sums of logarithms.

Every number of an answer is read as the decimal or ratio of its text, never through a double.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from typing import Any

__all__ = [
    "CertifyError",
    "at_most",
    "decimal",
    "exact",
    "logarithms",
    "rank",
    "ratio",
    "rationed",
    "spend",
    "spread",
    "total",
    "whole",
]

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?|[+-]?\d+/\d+", re.ASCII)
DIGITS = 200_000  # of one number: a longer one takes seconds to read
PRIME = (1 << 61) - 1  # a rank modulo a prime is never above the true one
RATION = 5 * 10**9  # about nanoseconds: the work that one answer may cost, beyond reading short numbers
FACTORS = 64  # coprime factors of the ratios in one sum of logarithms; with more, they are not factored


_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


class CertifyError(ValueError):
    """The answer or the game cannot be read, or is too large to be judged."""


@contextmanager
def rationed() -> Iterator[None]:
    """Inside, all work together is limited to :data:`RATION`, and integers in text may have any length."""
    if _left.get() is not None:
        yield  # the prompts of an answer share its ration
        return
    before, token = sys.get_int_max_str_digits(), _left.set([RATION])
    sys.set_int_max_str_digits(DIGITS + 1)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)
        _left.reset(token)


@contextmanager
def at_most(work: int) -> Iterator[None]:
    """Inside, work may use at most ``work`` of the ration."""
    outer = _left.get()
    if outer is None:
        yield
        return
    given = min(work, outer[0])
    inner = [given]
    token = _left.set(inner)
    try:
        yield
    finally:
        _left.reset(token)
        outer[0] -= given - max(inner[0], 0)


def spend(work: int) -> None:
    """Take ``work``, in about nanoseconds, from the ration before doing it, so that the limit is met in time.

    The amounts are estimated from lengths, not measured: an answer gets the same result on every machine.
    """
    left = _left.get()
    if left is not None:
        left[0] -= work
        if left[0] < 0:
            raise CertifyError("is too much to judge in a few seconds: its numbers are too long, or too many")


def exact(text: Any, where: str) -> Fraction:
    """The number that a text (or an integer) stands for.

    >>> exact("1e-3", "here"), exact("5/9", "here")
    (Fraction(1, 1000), Fraction(5, 9))
    """
    word = text if isinstance(text, str) else str(text) if type(text) in (int, float) else ""
    if len(word) > DIGITS:
        raise CertifyError(f"{where} has {len(word)} characters, must have at most {DIGITS}")
    if not NUMBER.fullmatch(word.strip()):
        raise CertifyError(f"{where} = {str(text)[:40]!r}, must be a number")
    spend(max(map(len, word.split("/"))) ** 2 // 32)
    try:
        return Fraction(word)
    except ZeroDivisionError:
        raise CertifyError(f"{where} = {word[:40]}, must not divide by 0") from None


def decimal(x: Fraction) -> Decimal:
    """x rounded to the precision of the current context."""
    return Decimal(x.numerator) / Decimal(x.denominator)


def whole(numbers: Sequence[Fraction]) -> tuple[list[int], int]:
    """Integers and the smallest common denominator of the numbers.

    >>> whole([Fraction(1, 2), Fraction(-1, 3)])
    ([3, -2], 6)
    """
    common = 1
    for x in numbers:
        if (d := x.denominator) != 1:
            spend(common.bit_length() * d.bit_length() // 150)
            common = math.lcm(common, d)
    longest = max((x.numerator.bit_length() + x.denominator.bit_length() for x in numbers), default=0)
    spend(len(numbers) * (200 + common.bit_length() * longest // 300))
    return [x.numerator * (common // x.denominator) for x in numbers], common


def ratio(numerator: int, denominator: int) -> Fraction:
    """A fraction in lowest terms; its cost is taken from the ration."""
    spend(max(numerator.bit_length(), denominator.bit_length()) ** 2 // 300)
    return Fraction(numerator, denominator)


def total(numbers: Iterable[Fraction]) -> Fraction:
    """Σx without rounding."""
    integers, common = whole(list(numbers))
    return ratio(sum(integers), common)


def rank(rows: Sequence[Sequence[Fraction]]) -> int:
    """A lower bound of the rank of a rational matrix: its rank modulo a prime, nearly always the rank itself.

    >>> rank([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(4)]])
    1
    """
    matrix = [[x % PRIME for x in whole(row)[0]] for row in rows]
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
    """The sign of Σ w log(ratio), or None: too near 0 to tell, not 0 by its factors; ``logs`` to 40 digits or more.

    Logarithms of pairwise coprime numbers are independent over the rationals, so the sum is 0 exactly if the weights of
    every such factor sum to 0.

    >>> logs = [Decimal(9).ln(), Decimal(3).ln()]
    >>> logarithms([Fraction(1), Fraction(-2)], [Fraction(9), Fraction(3)], logs, Decimal("1e-20"))
    0
    """
    value = sum((decimal(w) * log for w, log in zip(weights, logs, strict=True) if w), Decimal(0))
    if abs(value) > small:
        return 1 if value > 0 else -1
    base: list[int] = []
    waiting = [v for r in ratios for v in (r.numerator, r.denominator) if v > 1]
    while waiting and len(base) <= FACTORS:
        v = waiting.pop()
        spend(sum(200 + v.bit_length() * b.bit_length() // 600 for b in base))
        met = next((b for b in base if math.gcd(v, b) > 1), None)
        if met is None:
            base.append(v)
        elif met != v:
            base.remove(met)
            common = math.gcd(v, met)
            waiting += [w for w in (common, v // common, met // common) if w > 1]
    if waiting:
        return None
    size = sum(r.numerator.bit_length() + r.denominator.bit_length() for r in ratios)
    spend(len(base) * (size**2 // 900 // max(1, len(ratios)) + 1000 * len(ratios)))
    powers = ([_times(r.numerator, b) - _times(r.denominator, b) for r in ratios] for b in base)
    return None if any(sum(w * k for w, k in zip(weights, each, strict=True)) for each in powers) else 0


def _times(number: int, base: int) -> int:
    count = 0
    while number % base == 0:
        number, count = number // base, count + 1
    return count

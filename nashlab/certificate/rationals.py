"""Certificates in rational arithmetic for maximal lotteries: a proof of optimality itself (E6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from nashlab.game import BadInput

__all__ = ["ExactCheck", "check_lottery"]


@dataclass(frozen=True)
class ExactCheck:
    """The exact optimality conditions of a maximal lottery x: x ≥ 0, Σx = 1, Ax ≤ 0 (E6).

    valid    all of them hold.
    slacks   −(Ax)_y for every response: 0 on the support; elsewhere the margin by which y loses to x.
    strict   every slack off the support is positive.
    unique   strict, and the kernel of A on the support is one line: x is the only equilibrium (proved).
    """

    valid: bool
    slacks: tuple[Fraction, ...]
    strict: bool
    unique: bool


def check_lottery(margins: Sequence[Sequence[Fraction]], policy: Sequence[Fraction]) -> ExactCheck:
    """Check a rational policy against rational margins, without any rounding.

    >>> third = Fraction(1, 3)
    >>> rps = [[Fraction(x) for x in row] for row in ([0, 1, -1], [-1, 0, 1], [1, -1, 0])]
    >>> check_lottery(rps, [third] * 3).unique
    True
    """
    from flint import fmpq, fmpq_mat

    if len(policy) != len(margins):
        raise BadInput(f"policy has {len(policy)} entries, must have {len(margins)} like the margins")
    n = len(policy)
    held = [i for i in range(n) if policy[i] > 0]
    a = fmpq_mat(
        n, len(held), [fmpq(margins[i][j].numerator, margins[i][j].denominator) for i in range(n) for j in held]
    )
    x = fmpq_mat(len(held), 1, [fmpq(policy[j].numerator, policy[j].denominator) for j in held])
    product = a * x
    slacks = tuple(-Fraction(int(product[i, 0].p), int(product[i, 0].q)) for i in range(n))
    valid = min(policy) >= 0 and sum(policy) == 1 and min(slacks) >= 0
    strict = all(slacks[i] > 0 for i in range(n) if policy[i] == 0)
    unique = False
    if valid and strict:
        square = fmpq_mat(len(held), len(held), [a[i, k] for i in held for k in range(len(held))])
        unique = square.rank() == len(held) - 1
    return ExactCheck(valid, slacks, strict, unique)

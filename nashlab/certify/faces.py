"""Every vertex of the set of maximal lotteries, by the verifier's own double description method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from nashlab.certify.numbers import CertifyError, at_most, spend, whole

__all__ = ["every_vertex"]

Vector = tuple[Fraction, ...]

RAYS = 3000  # at a time: beyond, the enumeration gives up
PAIRS = 2 * 10**5  # of rays combined by one inequality
WORK = 2 * 10**9  # of an answer's ration
COMPARISONS = 5 * 10**7  # of rays with pairs of rays in all: a few seconds


def every_vertex(margins: Sequence[Sequence[Fraction]], held: Sequence[int]) -> set[Vector] | None:
    """The extreme points of {x ≥ 0 on B, 0 elsewhere, Σx = 1, Ax = 0 on B, Ax ≤ 0}, or None: too many on the way.

    In coordinates c of x = Kc, K a basis of ker A_BB: it starts with the cone of as many independent inequalities as
    there are coordinates and adds the others one by one.  Rays that satisfy the new inequality stay, and each adjacent
    pair with one ray on either side contributes the ray between them.

    >>> tie = ((Fraction(0),) * 2,) * 2
    >>> len(every_vertex(tie, [0, 1]))
    2
    """
    try:
        with at_most(WORK):
            return _enumerated(margins, held)
    except CertifyError:  # the intermediate numbers are too long
        return None


def _enumerated(margins: Sequence[Sequence[Fraction]], held: Sequence[int]) -> set[Vector] | None:
    kernel = _kernel([[margins[i][j] for j in held] for i in held])
    rest = [i for i in range(len(margins)) if i not in set(held)]
    walls = [_whole([basis[k] for basis in kernel]) for k in range(len(held))]
    walls += [_whole([-sum(margins[i][j] * v for j, v in zip(held, b, strict=True)) for b in kernel]) for i in rest]
    walls = sorted(set(walls) - {(0,) * len(kernel)})
    rays = _extreme_rays(walls, len(kernel))
    if rays is None:
        return None
    found = set()
    for c in rays:
        used = [(w, basis) for w, basis in zip(c, kernel, strict=True) if w]
        x = [sum((w * basis[k] for w, basis in used), Fraction(0)) for k in range(len(held))]
        total = sum(x, Fraction(0))
        shares = dict(zip(held, (v / total for v in x), strict=True))
        found.add(tuple(shares.get(i, Fraction(0)) for i in range(len(margins))))
    return found


def _extreme_rays(walls: list[tuple[int, ...]], size: int) -> list[tuple[int, ...]] | None:
    """The extreme rays of the pointed cone {c : g·c ≥ 0 for all walls g}."""
    first = _reduced(list(zip(*walls, strict=True)))[1]
    if len(first) < size:
        return None
    # the ray off wall k and on all others is column k of the inverse of their matrix
    square = [[*walls[k], *(int(i == k) for i in first)] for k in first]
    inverse = [row[size:] for row in _reduced(square)[0]]
    rays = [_whole([row[k] for row in inverse]) for k in range(size)]
    zeros = [frozenset(i for i in first if i != k) for k in first]
    left = COMPARISONS
    for number in (k for k in range(len(walls)) if k not in first):
        longest = max(v.bit_length() for line in (walls[number], *rays) for v in line)
        spend(size * len(rays) * (200 + longest**2 // 900))
        values = [sum(g * x for g, x in zip(walls[number], ray, strict=True)) for ray in rays]
        ahead = [k for k, v in enumerate(values) if v > 0]
        behind = [k for k, v in enumerate(values) if v < 0]
        left -= len(ahead) * len(behind) * len(rays)
        if len(ahead) * len(behind) > PAIRS or len(rays) > RAYS or left < 0:
            return None
        kept = [(rays[k], zeros[k] | ({number} if v == 0 else frozenset())) for k, v in enumerate(values) if v >= 0]
        for p in ahead:
            for m in behind:
                shared = zeros[p] & zeros[m]
                if len(shared) < size - 2 or any(shared <= z for k, z in enumerate(zeros) if k not in (p, m)):
                    continue
                spend(size * longest**2 // 300)
                between = [values[p] * u - values[m] * w for u, w in zip(rays[m], rays[p], strict=True)]
                kept.append((_whole(between), shared | {number}))
        rays, zeros = [ray for ray, _ in kept], [z for _, z in kept]
    return rays


def _whole(row: Sequence[Fraction | int]) -> tuple[int, ...]:
    """The integer vector of the same direction without common factor."""
    integers = whole([Fraction(v) for v in row])[0]
    divisor = math.gcd(*integers) or 1
    return tuple(v // divisor for v in integers)


def _reduced(rows: Sequence[Sequence[Fraction | int]]) -> tuple[list[list[Fraction]], list[int]]:
    """(reduced row echelon form, its pivot columns)."""
    matrix = [[Fraction(v) for v in row] for row in rows]
    pivots: list[int] = []
    for column in range(len(matrix[0])):
        top = len(pivots)
        found = next((r for r in range(top, len(matrix)) if matrix[r][column]), None)
        if found is None:
            continue
        matrix[top], matrix[found] = matrix[found], matrix[top]
        matrix[top] = [v / matrix[top][column] for v in matrix[top]]
        longest = max(v.numerator.bit_length() + v.denominator.bit_length() for v in matrix[top])
        spend(len(matrix[top]) * len(matrix) * (100 + longest**2 // 300))
        for r in range(len(matrix)):
            if r != top and (factor := matrix[r][column]):
                matrix[r] = [u - factor * v for u, v in zip(matrix[r], matrix[top], strict=True)]
        pivots.append(column)
    return matrix, pivots


def _kernel(rows: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """A basis of {x : rows · x = 0}."""
    matrix, pivots = _reduced(rows)
    size = len(rows[0])
    basis = []
    for free in (k for k in range(size) if k not in pivots):
        vector = [Fraction(int(k == free)) for k in range(size)]
        for row, pivot in zip(matrix, pivots, strict=False):
            vector[pivot] = -row[free]
        basis.append(vector)
    return basis

"""Every vertex of the set of maximal lotteries, by a double description of the verifier's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from nashlab.certify.numbers import spend, whole

__all__ = ["every_vertex"]

Vector = tuple[Fraction, ...]

RAYS = 3000  # at a time: beyond, the enumeration gives way
PAIRS = 2 * 10**5  # of rays that one inequality may combine
COMPARISONS = 5 * 10**7  # of rays with pairs of rays, at most, in all: a few seconds


def every_vertex(margins: Sequence[Sequence[Fraction]], held: Sequence[int]) -> set[Vector] | None:
    """The extreme points of {x ≥ 0 on B, 0 elsewhere, Σx = 1, Ax ≤ 0}, or None: too many on the way.

    Starts with the corners of the simplex over B and cuts one inequality after the other: what lies on the right side
    stays, and each pair of adjacent rays on different sides leaves the point between them.

    >>> tie = ((Fraction(0),) * 2,) * 2
    >>> len(every_vertex(tie, [0, 1]))
    2
    """
    size = len(held)
    rows = [[-x for x in whole([row[j] for j in held])[0]] for row in margins]
    left = COMPARISONS
    rays = [tuple(int(i == j) for j in range(size)) for i in range(size)]
    zeros = [frozenset(j for j in range(size) if j != i) for i in range(size)]
    for number, row in enumerate(rows, size):
        longest = [max(x.bit_length() for x in line) for line in (row, *rays)]
        spend(size * sum(200 + longest[0] * each // 900 for each in longest[1:]))
        values = [sum(g * x for g, x in zip(row, ray, strict=True)) for ray in rays]
        ahead = [k for k, v in enumerate(values) if v > 0]
        behind = [k for k, v in enumerate(values) if v < 0]
        left -= len(ahead) * len(behind) * len(rays)
        if len(ahead) * len(behind) > PAIRS or len(rays) > RAYS or left < 0:
            return None
        kept = [(rays[k], zeros[k] | ({number} if v == 0 else frozenset())) for k, v in enumerate(values) if v >= 0]
        for p in ahead:
            for m in behind:
                shared = zeros[p] & zeros[m]
                if any(shared <= z for k, z in enumerate(zeros) if k not in (p, m)):
                    continue
                spend(size * max(longest) ** 2 // 300)
                between = [values[p] * u - values[m] * w for u, w in zip(rays[m], rays[p], strict=True)]
                divisor = math.gcd(*between)
                kept.append((tuple(v // divisor for v in between), shared | {number}))
        rays, zeros = [ray for ray, _ in kept], [z for _, z in kept]
    found = set()
    for ray in rays:
        shares = dict(zip(held, (Fraction(v, sum(ray)) for v in ray), strict=True))
        found.add(tuple(shares.get(i, Fraction(0)) for i in range(len(margins))))
    return found

"""Maximal lotteries in rational arithmetic: the whole optimal face, even if the float guess is wrong.

Let B be the responses that some equilibrium uses.  Every equilibrium lives on B, where Ax = 0, so the face is

    {x_B = Kc ≥ 0,  −A_NB Kc ≥ 0,  Σx = 1},    K a basis of ker A_BB,

and one point of it at which every inequality is strict proves B (E6).  A float guess nearly always supplies such a
point; otherwise Tucker's theorem does: x ≥ 0, −Ax ≥ 0, x − Ax ≥ 1 is feasible for every skew A, and an exact simplex
solves it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactFace", "exact_face", "guessed_face", "inner_lottery", "strictly_complementary"]

Rational = tuple[Fraction, ...]

VERTEX_LIMIT = 1000  # vertices reported
RAY_LIMIT = 2000  # rays of the double description, beyond which vertices are sampled
SLIDES = 50  # further vertices sought where there are too many to list
PAIR_LIMIT = 10**5  # pairs of rays that one inequality may combine (about a second)
DENOMINATOR = 10**6  # limit for the coordinates of an interior point guessed from floats


@dataclass(frozen=True)
class ExactFace:
    """All maximal lotteries of a game.

    support   B, the responses that some equilibrium uses.
    kernel    K, shape [|B|][k], rational; the lotteries are the x_B = Kc that satisfy the inequalities.
    middle    one equilibrium in the relative interior, [n].
    vertices  the face's vertices, [·][n]; ``complete`` unless there are more.
    pivots    exact pivots used (0 if the float guess was right).
    """

    support: tuple[int, ...]
    kernel: tuple[Rational, ...]
    middle: Rational
    vertices: tuple[Rational, ...]
    complete: bool
    pivots: int

    @property
    def dimension(self) -> int:
        """0 if the equilibrium is unique."""
        return len(self.kernel[0]) - 1


def exact_face(margins: Sequence[Rational], guess: NDArray[np.float64], support: NDArray[np.intp]) -> ExactFace:
    """The optimal face of rational skew margins; ``guess`` and ``support`` only make it faster.

    >>> ties = [(Fraction(0),) * 2] * 2
    >>> exact_face(ties, np.array([0.5, 0.5]), np.array([0, 1])).dimension
    1
    """
    found = guessed_face(margins, guess, support)
    if found is not None:
        return found
    whole = integers(margins)
    point, pivots = strictly_complementary(whole)
    held = tuple(i for i, x in enumerate(point) if x > 0)
    return _face(whole, held, kernel_of(whole, held, held), point, pivots)


def inner_lottery(
    margins: Sequence[Rational], guess: NDArray[np.float64], support: NDArray[np.intp], limit: int
) -> tuple[tuple[int, ...], Rational] | None:
    """(B, a lottery inside the face) without its vertices; None if the guess is wrong and there are more responses
    than ``limit``, so that an exact simplex would take its time.

    >>> ties = [(Fraction(0),) * 2] * 2
    >>> inner_lottery(ties, np.array([1.0, 0.0]), np.array([0]), 2)[0]
    (0, 1)
    """
    whole, held = integers(margins), tuple(int(i) for i in support)
    found = _interior(whole, held, guess)
    if found is not None:
        return held, found[1]
    if len(whole) > limit:
        return None
    point, _ = strictly_complementary(whole)
    return tuple(i for i, x in enumerate(point) if x > 0), point


def guessed_face(
    margins: Sequence[Rational], guess: NDArray[np.float64], support: NDArray[np.intp]
) -> ExactFace | None:
    """The optimal face if the float guess names its support; None if it does not."""
    whole, held = integers(margins), tuple(int(i) for i in support)
    found = _interior(whole, held, guess)
    return None if found is None else _face(whole, held, *found, 0)


def _face(
    a: list[list[int]], held: tuple[int, ...], kernel: tuple[Rational, ...], middle: Rational, pivots: int
) -> ExactFace:
    vertices, complete = ((middle,), True) if len(kernel[0]) == 1 else _vertices(a, held, kernel, middle)
    return ExactFace(held, kernel, middle, vertices, complete, pivots)


def integers(margins: Sequence[Rational]) -> list[list[int]]:
    """The margins times their common denominator; the scale of A does not matter."""
    common = math.lcm(*(x.denominator for row in margins for x in row))
    return [[x.numerator * (common // x.denominator) for x in row] for row in margins]


def _null_space(rows: Sequence[Sequence[int]], columns: int) -> list[list[Fraction]]:
    """A basis of {c : rows · c = 0}: reduced, so that some coordinates are the identity."""
    from flint import fmpz_mat

    if not rows:
        return [[Fraction(i == j) for j in range(columns)] for i in range(columns)]
    reduced, denominator, rank = fmpz_mat(len(rows), columns, [v for row in rows for v in row]).rref()
    pivots = [next(j for j in range(columns) if reduced[r, j] != 0) for r in range(rank)]
    basis = []
    for free in sorted(set(range(columns)) - set(pivots)):
        vector = [Fraction(j == free) for j in range(columns)]
        for r, p in enumerate(pivots):
            vector[p] = Fraction(-int(reduced[r, free]), int(denominator))
        basis.append(vector)
    return basis


def kernel_of(a: list[list[int]], held: Sequence[int], rows: Sequence[int]) -> tuple[Rational, ...]:
    """A basis of ker A_RB as columns, [|B|][k]: the vectors on B that are even with every response of R ⊇ B."""
    basis = _null_space([[a[i][j] for j in held] for i in rows], len(held))
    return tuple(tuple(vector[i] for vector in basis) for i in range(len(held)))


def coordinates(kernel: Sequence[Rational]) -> list[int]:
    """The rows of K that form the identity: there x is c."""
    found: dict[int, int] = {}
    for i, row in enumerate(kernel):
        filled = [j for j, v in enumerate(row) if v]
        if len(filled) == 1 and row[filled[0]] == 1:
            found.setdefault(filled[0], i)
    return [found[j] for j in range(len(kernel[0]))]


def _interior(
    a: list[list[int]], held: tuple[int, ...], guess: NDArray[np.float64]
) -> tuple[tuple[Rational, ...], Rational] | None:
    """(K, a strictly complementary x) on the guessed support, or None if the guess was wrong."""
    if not held:
        return None
    single = _single(a, held)
    if single is not None:
        weights = tuple(single[i] for i in held)
        return (tuple((w,) for w in weights), single) if _strict(a, held, single) else None
    kernel = kernel_of(a, held, held)
    if not kernel[0]:
        return None
    near = [Fraction(float(guess[held[i]])).limit_denominator(DENOMINATOR) for i in coordinates(kernel)]
    x = combine(kernel, near, held, len(a))
    return (kernel, x) if x is not None and _strict(a, held, x) else None


def _single(a: list[list[int]], held: tuple[int, ...]) -> Rational | None:
    """The x with A_BB x = 0, Σx = 1 if there is exactly one (flint's p-adic solver), [n]."""
    from flint import fmpz_mat

    k = len(held)
    if k % 2 == 0:
        return None
    entries = [v for i in held for v in (*(a[i][j] for j in held), 1)] + [1] * k + [0]
    try:
        solved = fmpz_mat(k + 1, k + 1, entries).solve(fmpz_mat(k + 1, 1, [0] * k + [1]))
    except ZeroDivisionError:
        return None
    x = [Fraction(0)] * len(a)
    for row, i in enumerate(held):
        x[i] = Fraction(int(solved[row, 0].p), int(solved[row, 0].q))
    return tuple(x)


def is_lottery(a: list[list[int]], x: Rational) -> bool:
    """x ≥ 0, Σx = 1 and Ax ≤ 0, exactly."""
    if min(x) < 0 or sum(x, Fraction(0)) != 1:
        return False
    common = math.lcm(*(v.denominator for v in x))
    whole = [(i, v.numerator * (common // v.denominator)) for i, v in enumerate(x) if v]
    return all(sum(row[j] * w for j, w in whole) <= 0 for row in a)


def combine(kernel: Sequence[Rational], c: Sequence[Fraction], held: Sequence[int], n: int) -> Rational | None:
    """Kc as a policy over all n responses; None if its sum is not positive."""
    given = [(j, x) for j, x in enumerate(c) if x]
    weights = [sum((row[j] * x for j, x in given if row[j]), Fraction(0)) for row in kernel]
    total = sum(weights, Fraction(0))
    if total <= 0:
        return None
    x = [Fraction(0)] * n
    for i, w in zip(held, weights, strict=True):
        x[i] = w / total
    return tuple(x)


def _strict(a: list[list[int]], held: Sequence[int], x: Rational) -> bool:
    """x > 0 on B, Ax = 0 on B and Ax < 0 elsewhere, exactly."""
    common = math.lcm(*(v.denominator for v in x))
    whole = [(i, v.numerator * (common // v.denominator)) for i, v in enumerate(x) if v]
    inside = set(held)
    if any(x[i] <= 0 for i in held):
        return False
    products = [sum(row[j] * w for j, w in whole) for row in a]
    return all((p == 0) if i in inside else (p < 0) for i, p in enumerate(products))


# -- without a guess ------------------------------------------------------------------------------------------------


def strictly_complementary(a: list[list[int]]) -> tuple[Rational, int]:
    """(an equilibrium x with x − Ax > 0, pivots): an exact simplex on Tucker's system, never a rounding.

    min Σx subject to x − Ax ≥ 1, −Ax ≥ 0, x ≥ 0, solved through its dual, whose slack basis is feasible; the integers
    of the tableau share one denominator (Edmonds), so every division is exact.

    >>> x, _ = strictly_complementary([[0, 1], [-1, 0]])
    >>> [str(v) for v in x]
    ['1', '0']
    """
    n = len(a)
    skew = np.array(a, dtype=object)
    unit = max((abs(v) for row in a for v in row), default=0) or 1
    identity = np.array([[unit * (i == j) for j in range(n)] for i in range(n)], dtype=object)
    # rows: the n constraints Gᵀy ≤ 1 with Gᵀ = [I − Aᵀ, −Aᵀ] = [I + A, A]; last row: the objective −g; last column: 1
    table = np.zeros((n + 1, 2 * n + 1), dtype=object)
    table[:n, :n], table[:n, n : 2 * n], table[:n, 2 * n] = identity + skew, skew, 1
    table[n, :n] = -1
    basis, nonbasis = list(range(2 * n, 3 * n)), list(range(2 * n))
    denominator, pivots, stalled = 1, 0, 0
    while True:
        costs = table[n, : 2 * n]
        entering = [j for j in range(2 * n) if costs[j] < 0]
        if not entering:
            break
        # the steepest cost is fast, Bland's least index cannot cycle: switch when nothing improves
        c = min(entering, key=lambda j: nonbasis[j]) if stalled > n else min(entering, key=lambda j: costs[j])
        rows = [i for i in range(n) if table[i, c] > 0]
        ratio = min(Fraction(table[i, 2 * n], table[i, c]) for i in rows)
        tied = [i for i in rows if table[i, 2 * n] * ratio.denominator == table[i, c] * ratio.numerator]
        r = min(tied, key=lambda i: basis[i])
        stalled = stalled + 1 if ratio == 0 else 0
        denominator = _pivot(table, r, c, denominator)
        basis[r], nonbasis[c] = nonbasis[c], basis[r]
        pivots += 1
    # x_i is the price of constraint i: the final cost of its slack, 0 while that slack is basic
    x = [Fraction(0)] * n
    for j, name in enumerate(nonbasis):
        if name >= 2 * n:
            x[name - 2 * n] = Fraction(table[n, j], denominator)
    total = sum(x, Fraction(0))
    return tuple(v / total for v in x), pivots


def _pivot(table: Any, r: int, c: int, denominator: int) -> int:
    """Exchange row r with column c in place; entries are integers over one denominator, and the new one is returned."""
    p = table[r, c]
    row, column = table[r].copy(), table[:, c].copy()
    table *= p
    table -= np.outer(column, row)
    table //= denominator
    table[r], table[:, c] = row, -column
    table[r, c] = denominator
    return int(p)


# -- the face ---------------------------------------------------------------------------------------------------------


def _vertices(
    a: list[list[int]], held: tuple[int, ...], kernel: tuple[Rational, ...], middle: Rational
) -> tuple[tuple[Rational, ...], bool]:
    """(the vertices, whether these are all), from the extreme rays of the cone of c with Kc ≥ 0, −A_NB Kc ≥ 0."""
    n, k = len(a), len(kernel[0])
    inside = set(held)
    outside = [
        [-sum((a[i][j] * row[c] for j, row in zip(held, kernel, strict=True)), Fraction(0)) for c in range(k)]
        for i in range(n)
        if i not in inside
    ]
    constraints = sorted({_primitive(row) for row in (*kernel, *outside)} - {(0,) * k})
    rays = _extreme_rays(constraints, k)
    complete = rays is not None and len(rays) <= VERTEX_LIMIT
    if rays is None:
        rays = _sampled_vertices(constraints, [middle[held[i]] for i in coordinates(kernel)])
    if not complete:
        rays = _inside_first(rays, constraints)
    points = [combine(kernel, [Fraction(v) for v in ray], held, n) for ray in rays[:VERTEX_LIMIT]]
    return tuple(sorted((p for p in points if p is not None), reverse=True)), complete


def _primitive(row: Sequence[Fraction] | Sequence[int]) -> tuple[int, ...]:
    """The integer vector of the same direction without common factor."""
    values = [Fraction(x) for x in row]
    common = math.lcm(*(x.denominator for x in values))
    whole = [x.numerator * (common // x.denominator) for x in values]
    divisor = math.gcd(*whole) or 1
    return tuple(x // divisor for x in whole)


def _dot(u: Sequence[Any], v: Sequence[Any]) -> Any:
    return sum(x * y for x, y in zip(u, v, strict=True))


def _extreme_rays(constraints: list[tuple[int, ...]], k: int) -> list[tuple[int, ...]] | None:
    """Double description (Motzkin; Fukuda & Prodon 1996) of a pointed cone in Zᵏ; None if it outgrows RAY_LIMIT."""
    from flint import fmpq_mat

    chosen: list[int] = []
    for i in range(len(constraints)):
        rows = [constraints[j] for j in (*chosen, i)]
        if fmpq_mat(len(rows), k, [v for row in rows for v in row]).rank() == len(rows):
            chosen.append(i)
        if len(chosen) == k:
            break
    inverse = fmpq_mat(k, k, [v for i in chosen for v in constraints[i]]).inv()
    rays = [_primitive([Fraction(int(inverse[i, j].p), int(inverse[i, j].q)) for i in range(k)]) for j in range(k)]
    zeros = [sum(1 << i for i in chosen if i != chosen[j]) for j in range(k)]
    for i, g in enumerate(constraints):
        if i in chosen:
            continue
        values = [_dot(g, ray) for ray in rays]
        kept = [(ray, z | (1 << i if v == 0 else 0)) for ray, z, v in zip(rays, zeros, values, strict=True) if v >= 0]
        ahead = [j for j, v in enumerate(values) if v > 0]
        behind = [j for j, v in enumerate(values) if v < 0]
        if len(ahead) * len(behind) > PAIR_LIMIT:
            return None
        for p in ahead:
            for m in behind:
                common = zeros[p] & zeros[m]
                if common.bit_count() < k - 2:
                    continue
                if any(common & ~z == 0 for j, z in enumerate(zeros) if j not in (p, m)):
                    continue  # not adjacent: another ray lies on every face shared by the two
                new = [values[p] * u - values[m] * w for u, w in zip(rays[m], rays[p], strict=True)]
                kept.append((_primitive(new), common | 1 << i))
        rays, zeros = [ray for ray, _ in kept], [z for _, z in kept]
        if len(rays) > RAY_LIMIT:
            return None
    return rays


def _inside_first(rays: list[tuple[int, ...]], constraints: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The rays, ordered so that the mean of the first few satisfies every inequality strictly."""
    needed = dict.fromkeys(next(ray for ray in rays if _dot(g, ray) > 0) for g in constraints)
    return [*needed, *(ray for ray in rays if ray not in needed)]


def _sampled_vertices(constraints: list[tuple[int, ...]], start: list[Fraction]) -> list[tuple[int, ...]]:
    """Some extreme rays: for every inequality at least one at which it is strict.

    From an interior point, slide along random directions that do not lower the chosen inequality, facet by facet, until
    no direction is left.
    """
    rng = np.random.default_rng(0)
    found: dict[tuple[int, ...], None] = {}
    for kept in constraints:
        if not any(_dot(kept, ray) > 0 for ray in found):
            found[_slid(constraints, kept, start, rng)] = None
    for _ in range(SLIDES):
        found[_slid(constraints, constraints[int(rng.integers(len(constraints)))], start, rng)] = None
    return list(found)


def _slid(
    constraints: list[tuple[int, ...]], kept: tuple[int, ...], start: list[Fraction], rng: np.random.Generator
) -> tuple[int, ...]:
    point, size = _primitive(start), len(start)
    tight: list[tuple[int, ...]] = []
    while len(directions := [_primitive(d) for d in _null_space(tight, size)]) > 1:
        mix = [int(v) for v in rng.integers(-99, 100, len(directions))]
        move = [sum(m * d[c] for m, d in zip(mix, directions, strict=True)) for c in range(size)]
        # moving along the ray itself reaches no facet: both directions are taken modulo it, so that `kept` stays
        height, rise = _dot(kept, point), _dot(kept, move)
        move = [height * m - rise * p for m, p in zip(move, point, strict=True)]
        speeds = [_dot(g, move) for g in constraints]
        if not any(v < 0 for v in speeds):
            speeds, move = [-v for v in speeds], [-v for v in move]
        heights = [_dot(g, point) for g in constraints]
        reach = min((Fraction(h, -v) for h, v in zip(heights, speeds, strict=True) if v < 0), default=None)
        if reach is None:  # the move was along the ray itself
            continue
        point = _primitive([reach.denominator * p + reach.numerator * m for p, m in zip(point, move, strict=True)])
        tight = [g for g in constraints if _dot(g, point) == 0]
    return point

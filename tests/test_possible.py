"""Who is in the lottery over all tables of a box: proofs are read again in Fractions, verdicts are enumerated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from nashlab.equilibrium import Membership, who_is_in
from nashlab.game import BadInput

HALF = Fraction(1, 2)
Matrix = list[list[Fraction]]
GRID = [Fraction(k, 4) for k in range(5)]


def solved(rows: Matrix, right: list[Fraction]) -> list[Fraction] | None:
    """Gauss: the only solution, or None."""
    n = len(right)
    table = [[*row, b] for row, b in zip(rows, right, strict=True)]
    for c in range(n):
        r = next((r for r in range(c, n) if table[r][c]), None)
        if r is None:
            return None
        table[c], table[r] = table[r], table[c]
        table[c] = [x / table[c][c] for x in table[c]]
        for i in range(n):
            if i != c and table[i][c]:
                f = table[i][c]
                table[i] = [x - f * z for x, z in zip(table[i], table[c], strict=True)]
    return [row[n] for row in table]


def support(a: Matrix) -> set[int]:
    """Who is in some maximal lottery: the vertices of {x ≥ 0, Ax ≤ 0, Σx = 1}, each by n − 1 equalities."""
    n = len(a)
    walls = [*a, *([Fraction(i == j) for j in range(n)] for i in range(n))]
    found: set[int] = set()
    for tight in itertools.combinations(walls, n - 1):
        x = solved([*tight, [Fraction(1)] * n], [Fraction(0)] * (n - 1) + [Fraction(1)])
        if x is not None and min(x) >= 0 and all(sum(p * q for p, q in zip(row, x, strict=True)) <= 0 for row in a):
            found |= {i for i in range(n) if x[i] > 0}
    return found


def boxes() -> Iterator[tuple[Matrix, Matrix, list[tuple[int, int]]]]:
    """(L, U, the free pairs): small tables of eighths, ties and unanimous pairs among them, with one to three pairs
    that never met."""
    rng = np.random.default_rng(3)
    for n, unmet, count in ((3, 1, 5), (3, 2, 4), (3, 3, 1), (4, 1, 6), (4, 2, 3)):
        for _ in range(count):
            low = [[HALF] * n for _ in range(n)]
            pairs = list(itertools.combinations(range(n), 2))
            for i, j in pairs:
                low[i][j] = Fraction(int(rng.integers(0, 9)), 8)
                low[j][i] = 1 - low[i][j]
            free = [pairs[k] for k in rng.choice(len(pairs), unmet, replace=False)]
            high = [list(row) for row in low]
            for i, j in free:
                low[i][j] = low[j][i] = Fraction(0)
                high[i][j] = high[j][i] = Fraction(1)
            yield low, high, free


def tables(low: Matrix, free: list[tuple[int, int]]) -> Iterator[Matrix]:
    """A of every filling on the grid."""
    n = len(low)
    for values in itertools.product(GRID, repeat=len(free)):
        a = [[low[i][j] - HALF for j in range(n)] for i in range(n)]
        for (i, j), p in zip(free, values, strict=True):
            a[i][j], a[j][i] = p - HALF, HALF - p
        yield a


def enumerated(low: Matrix, free: list[tuple[int, int]]) -> tuple[set[int], set[int]]:
    """Who is in the support of every table on the grid, and of some."""
    every = [support(a) for a in tables(low, free)]
    return set.intersection(*every), set.union(*every)


def over(row: list[Fraction], u: tuple[Fraction, ...]) -> Fraction:
    return sum(((p - HALF) * x for p, x in zip(row, u, strict=True)), Fraction(0))


def proved(member: Membership, low: Matrix, high: Matrix) -> bool:
    """Every verdict's witness, by its definition, in Fractions."""
    n = len(low)
    good = all(min(u) >= 0 for u in (*member.carried.values(), member.beaten_by or (HALF,)))
    if member.never:
        assert member.beaten_by is not None
        good &= all(over(row, member.beaten_by) <= 0 for row in high)
        good &= all(over(high[y], member.beaten_by) < 0 for y in member.never)
    for y in member.necessary:
        u = member.carried[y]
        good &= u[y] > 0 and all(over(high[j], u) <= 0 for j in range(n) if j != y)
    inside, outside = set(), set()
    for filling in member.fillings:
        p = [[HALF] * n for _ in range(n)]
        for i, j in itertools.combinations(range(n), 2):
            p[i][j] = low[i][j] + (high[i][j] - low[i][j]) * Fraction(int(filling.parts[i, j]), 1024)
            p[j][i] = 1 - p[i][j]
            good &= low[i][j] <= p[i][j] <= high[i][j]
        x = filling.lottery
        values = [over(row, x) for row in p]
        good &= sum(x) == 1 and min(x) >= 0 and max(values) <= 0
        inside |= {i for i in range(n) if x[i] > 0}
        outside |= {i for i in range(n) if values[i] < 0}
    sure = set(range(n)) - set(member.undecided)
    good &= set(member.possible) <= inside | set(member.necessary)
    good &= {y for y in sure if y not in member.necessary and y not in member.never} <= outside
    return bool(good)


def test_verdicts_are_those_of_all_fillings_and_carry_their_proofs() -> None:
    """Nineteen boxes, every filling in quarters; the canary ranges over less than it says, and is caught.

    Four responses of the 66 stay undecided: no table on the grid has them in, and the mixtures, which let each row have
    a table of its own, cannot say so.
    """
    open_ones, caught = 0, 0
    for low, high, free in boxes():
        always, ever = enumerated(low, free)
        member = who_is_in(low, high)
        assert proved(member, low, high)
        assert set(member.necessary) <= always
        assert ever <= {*member.possible, *member.undecided}
        assert not ever & set(member.never)
        assert {*member.possible, *member.never, *member.undecided} == set(range(len(low)))
        assert set(member.reasons) == set(member.undecided)
        open_ones += len(member.undecided)
        inner_low, inner_high = [list(row) for row in low], [list(row) for row in high]
        for i, j in (*free, *((j, i) for i, j in free)):
            inner_low[i][j], inner_high[i][j] = Fraction(3, 8), Fraction(5, 8)
        less = who_is_in(inner_low, inner_high)
        caught += not (set(less.necessary) <= always and not ever & set(less.never))
    assert open_ones <= 4
    assert caught > 0


def test_a_proof_that_is_off_by_a_millionth_is_no_proof() -> None:
    p = [[HALF, Fraction(3, 5), Fraction(2, 5), HALF], [Fraction(2, 5), HALF, Fraction(7, 10), HALF],
         [Fraction(3, 5), Fraction(3, 10), HALF, HALF], [Fraction(0)] * 3 + [HALF]]  # fmt: skip
    for i in range(3):
        p[i][3] = Fraction(1, 2) + Fraction(1, 10)
        p[3][i] = 1 - p[i][3]
    low, high = [list(row) for row in p], [list(row) for row in p]
    low[0][3], high[0][3], low[3][0], high[3][0] = Fraction(9, 20), Fraction(1), Fraction(0), Fraction(11, 20)
    member = who_is_in(low, high)
    assert member.necessary == (0, 1, 2)
    assert member.never == (3,)
    assert proved(member, low, high)
    assert member.beaten_by == (HALF, Fraction(1, 4), Fraction(1, 4), 0)
    for k, sign in itertools.product(range(3), (1, -1)):
        moved = tuple(x + sign * Fraction(i == k, 10**6) for i, x in enumerate(member.beaten_by))
        assert not proved(replace(member, beaten_by=moved), low, high)


@pytest.mark.parametrize("far", [Fraction(1, 10**12), Fraction(-1, 10**12)])
def test_what_floats_cannot_tell_is_proved_or_left_undecided(far: Fraction) -> None:
    """1 and 2 are ½ + 10⁻¹² apart, 3 loses to both, and 3 and 4 never met; 4 loses to 1 and 2."""
    p = [[HALF] * 4 for _ in range(4)]
    for i, j, value in ((0, 1, HALF + far), (0, 2, Fraction(3, 4)), (1, 2, Fraction(3, 4)), (0, 3, Fraction(3, 4)),
                        (1, 3, Fraction(3, 4))):  # fmt: skip
        p[i][j], p[j][i] = value, 1 - value
    low, high = [list(row) for row in p], [list(row) for row in p]
    low[2][3] = low[3][2] = Fraction(0)
    high[2][3] = high[3][2] = Fraction(1)
    member = who_is_in(low, high)
    best, second = (0, 1) if far > 0 else (1, 0)
    always, ever = enumerated(low, [(2, 3)])
    assert (always, ever) == ({best}, {best})
    assert proved(member, low, high)
    assert second not in member.possible
    assert second not in member.necessary
    assert best in member.necessary or best in member.undecided


def test_a_table_without_free_pairs_is_answered_exactly() -> None:
    """Thirds are no doubles: of rock, paper, scissors in thirds and a tie with a fourth, all four are in."""
    third, two = Fraction(1, 3), Fraction(2, 3)
    p = [[HALF, two, third, HALF], [third, HALF, two, HALF], [two, third, HALF, HALF], [HALF] * 4]
    member = who_is_in(p, p)
    assert member.necessary == member.possible == (0, 1, 2, 3)
    assert proved(member, p, p)
    p[3][0], p[0][3] = HALF - Fraction(1, 10**15), HALF + Fraction(1, 10**15)
    assert who_is_in(p, p).never == (3,)


def test_one_response_and_nothing_known() -> None:
    assert who_is_in([[0.5]], [[0.5]]).necessary == (0,)
    free = np.array([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]])
    member = who_is_in(free, 1 - free.T)
    assert (member.necessary, member.possible, member.never) == ((), (0, 1, 2), ())
    two = who_is_in(free[:2, :2], 1 - free[:2, :2].T)
    assert (two.necessary, two.possible, two.undecided) == ((), (0, 1), ())
    assert repr(member) == repr(who_is_in(free, 1 - free.T))


@pytest.mark.parametrize("upper", [[[0.5, 0.4], [0.6, 0.5]], [[0.5, 0.9]], [[0.5, 0.8], [0.3, 0.5]]])
def test_bounds_that_are_no_box_are_refused(upper: list[list[float]]) -> None:
    with pytest.raises(BadInput, match="lower and upper must be square"):
        who_is_in([[0.5, 0.6], [0.1, 0.5]], upper)

"""Over all tables of a box L ≤ P ≤ U: who has mass in a maximal lottery necessarily, possibly, never; proved.

Every verdict has a rational witness, which is found in floats and then checked exactly:

    never       a mixture u ≥ 0 with (U−½)u ≤ 0 that beats y in every table: (U−½)_y·u < 0.  Then no lottery has y: u
                ties with any lottery x of any table, and 0 ≥ uᵀAx ≥ −x_y(U−½)_y·u.
    necessary   a mixture u ≥ 0 with u_y > 0 that only y may beat, in every table: (U−½)_j·u ≤ 0 for j ≠ y.  Then no
                lottery x beats y, because u_yA_y·x ≥ −Σ_{j≠y} u_jA_j·x ≥ 0.
    possible    a table of the box and a lottery of it, x ≥ 0, Ax ≤ 0, with x_y > 0;  for "not necessary", one with
                A_y·x < 0.

The mixtures range over relaxed tables (each row may have its own), so a response may have neither a proof nor a table:
it is "undecided", with the reason.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate.rounding import unit_scale
from nashlab.equilibrium.batch import quick_lottery
from nashlab.equilibrium.exact import combine, coordinates, inner_lottery, kernel_of
from nashlab.equilibrium.interior import interior_point
from nashlab.equilibrium.uncertainty import Bounds
from nashlab.game import BadInput

__all__ = ["Filling", "Membership", "who_is_in"]

Array = NDArray[np.float64]
Row = tuple[Fraction, ...]

HALF = Fraction(1, 2)
HIGHS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}  # its smallest
SAME = 1e-9  # float bounds closer than this are one number
HELD = 1e-9  # for weights of size 1: a smaller result of a float programme counts as 0
ROUNDED = (10**6, 10**12, 2**60)  # denominators tried for the free coordinates of a mixture
PARTS = 1024  # fillings use multiples of 1/PARTS of each interval
DRAWN = 48  # fillings drawn at random before the search
CLIMBS, STEPS = 6, 120  # starts and steps of the search for a filling with one response in, or out
MOST_STEPS, WORK = 4000, 10**9  # steps in all, and those times n³
FEW = 4  # free pairs: up to here all fillings by 0, 1/2 and 1 are tried
SIMPLEX_LIMIT = 12  # responses up to which an exact simplex replaces a wrong guess
LEVEL = 1e-12  # for a slope: below, it is rounding
NOT_SEEN = "no table with it in the support was found, and no mixture that excludes it from all"
ONLY_SEEN = "in the support of some table; no table without it was found, and no mixture that keeps it in all"


@dataclass(frozen=True)
class Filling:
    """One table of the box, P = L + (U−L)·parts/1024, with a maximal lottery of it that beats all others.

    parts  [n, n] integers, for pairs i < j;  lottery  [n], rational.
    """

    parts: NDArray[np.int64]
    lottery: Row


@dataclass(frozen=True)
class Membership:
    """Indices of the responses that are in the support for every table of the box, for some, for none; all proved.

    undecided  responses for which one of the three is open, with ``reasons`` (some are ``possible``).
    beaten_by  u, a mixture that beats those in ``never`` in every table, [n];  carried  y -> its mixture, for
    ``necessary``;  fillings  tables that show who is ``possible``, and who is not necessary.
    """

    necessary: tuple[int, ...]
    possible: tuple[int, ...]
    never: tuple[int, ...]
    undecided: tuple[int, ...]
    reasons: Mapping[int, str] = field(default_factory=dict)
    beaten_by: Row | None = None
    carried: Mapping[int, Row] = field(default_factory=dict)
    fillings: tuple[Filling, ...] = ()

    @property
    def verdicts(self) -> tuple[tuple[int, ...], ...]:
        """(necessary, possible, never, undecided)."""
        return self.necessary, self.possible, self.never, self.undecided


class _Box:
    """L − ½ and U − ½, as rationals and as doubles, determined by their upper triangles."""

    def __init__(self, lower: Any, upper: Any):
        self.low, self.high = _bounds(lower, upper)
        self.n = len(self.low)
        self.floor, self.roof = (np.array([[float(x) for x in row] for row in a]) for a in (self.low, self.high))
        self.free = np.array(
            [[x < y for x, y in zip(*rows, strict=True)] for rows in zip(self.low, self.high, strict=True)]
        )
        # the scale of a row does not matter: use integers row by row
        self.whole = [_whole(row) for row in self.high]

    def parts_of(self, a: Array) -> NDArray[np.int64]:
        """The filling nearest to margins in the box."""
        width = np.where(self.free, self.roof - self.floor, 1.0)
        return np.where(self.free, np.clip(np.round(PARTS * (a - self.floor) / width), 0, PARTS), 0).astype(np.int64)

    def table(self, parts: NDArray[np.int64]) -> list[Row]:
        """The margins of a filling, exactly."""
        rows = [list(row) for row in self.low]
        for i, j in np.argwhere(np.triu(self.free, 1)).tolist():
            rows[i][j] = self.low[i][j] + (self.high[i][j] - self.low[i][j]) * int(parts[i, j]) / PARTS
            rows[j][i] = -rows[i][j]
        return [tuple(row) for row in rows]

    def margins(self, parts: NDArray[np.int64]) -> Array:
        """The margins of a filling in floats."""
        upper = np.triu(self.floor + (self.roof - self.floor) * parts / PARTS, 1)
        return np.asarray(upper - upper.T)


def _bounds(lower: Any, upper: Any) -> tuple[list[Row], list[Row]]:
    exact = all(isinstance(x, (Fraction, int)) for rows in (lower, upper) for row in rows for x in np.ravel(row))
    low, high = ([[Fraction(x) for x in row] for row in np.atleast_2d(np.asarray(a, dtype=object)).tolist()]
                 for a in (lower, upper))  # fmt: skip
    n, near = len(low), Fraction(0) if exact else Fraction(SAME)
    square = all(len(row) == n for a in (low, high) for row in a) and len(high) == n
    pairs = [(i, j) for i in range(n) for j in range(n)] if square else []
    if not square or any(abs(low[i][j] + high[j][i] - 1) > near or low[i][j] > high[i][j] + near for i, j in pairs):
        raise BadInput("lower and upper must be square, lower ≤ upper, and lower + upperᵀ = 1")
    for i, j in pairs:
        if i == j:
            low[i][j] = high[i][j] = Fraction(0)
        elif i < j:
            low[i][j] -= HALF
            high[i][j] = low[i][j] if high[i][j] - HALF - low[i][j] <= near else high[i][j] - HALF
            low[j][i], high[j][i] = -high[i][j], -low[i][j]
    return [tuple(row) for row in low], [tuple(row) for row in high]


def _whole(row: Row) -> list[int]:
    common = math.lcm(*(x.denominator for x in row))
    return [x.numerator * (common // x.denominator) for x in row]


def who_is_in(lower: Bounds, upper: Bounds, *, seed: int = 0) -> Membership:
    """Who has mass in a maximal lottery over all P with L ≤ P ≤ U (the ``necessary`` are also ``possible``).

    lower, upper  [n, n], rows of Fractions, or doubles, which are rationals too (bounds closer than 1e-9 are equal).
    seed          of the random fillings.

    "In the support" means that of some maximal lottery, hence of those in the interior of the face.  Source: N22, N27.
    Errors: BadInput for bounds that are not a box of preference matrices.

    >>> free = np.array([[0.5, 0.7, 0.0], [0.3, 0.5, 0.6], [0.0, 0.4, 0.5]])  # 1 and 3 never met
    >>> found = who_is_in(free, 1 - free.T)
    >>> found.necessary, found.possible, found.never, found.undecided
    ((0,), (0, 1, 2), (), ())
    """
    box = _Box(lower, upper)
    if not np.any(box.free):
        return _settled(box)
    beaten_by, never = _mixture(box, None)
    rest = [y for y in range(box.n) if y not in never]
    seen = _Seen(box, np.random.default_rng(seed))
    seen.draw(rest)
    seen.look_for([y for y in rest if y not in seen.inside], inside=True)
    carried = {}
    for y in rest:
        if y not in seen.outside:
            u, _ = _mixture(box, y)
            if u is not None:
                carried[y] = u
    seen.look_for([y for y in rest if y not in seen.outside and y not in carried], inside=False)
    possible = {*seen.inside, *carried}
    reasons = {y: NOT_SEEN if y not in possible else ONLY_SEEN for y in rest if y not in carried}
    reasons = {y: why for y, why in reasons.items() if why == NOT_SEEN or y not in seen.outside}
    return Membership(
        necessary=tuple(sorted(carried)),
        possible=tuple(sorted(possible)),
        never=tuple(sorted(never)),
        undecided=tuple(sorted(reasons)),
        reasons=reasons,
        beaten_by=beaten_by if never else None,
        carried=carried,
        fillings=tuple(seen.fillings),
    )


def _settled(box: _Box) -> Membership:
    """The result for a single table, from its face."""
    guess = interior_point(unit_scale(box.floor)[0])
    found = inner_lottery(box.low, guess.policy, guess.support, box.n)
    assert found is not None
    held, middle = found
    never = tuple(y for y in range(box.n) if y not in set(held))
    return Membership(held, held, never, (), {}, middle if never else None, dict.fromkeys(held, middle))


# -- mixtures: what holds for every table ------------------------------------------------------------------------------


def _mixture(box: _Box, spared: int | None) -> tuple[Row | None, frozenset[int]]:
    """(u, whom it beats) with u ≥ 0, (U−½)_j·u ≤ 0 for j ≠ ``spared``, u_spared > 0, beating as many as possible.

    The mixtures form a cone, so one programme, max Σ min(1, −(U−½)_j·u), finds all rows that any of them can beat; the
    others are equalities, which are solved exactly.
    """
    from scipy.optimize import linprog

    n = box.n
    rows = [j for j in range(n) if j != spared]
    bounds = [(1.0 if i == spared else 0.0, None) for i in range(n)] + [(0.0, 1.0)] * len(rows)
    table = np.hstack([box.roof[rows], np.eye(len(rows))])
    goal = np.append(np.zeros(n), -np.ones(len(rows)))
    found = linprog(goal, A_ub=table, b_ub=np.zeros(len(rows)), bounds=bounds, options=HIGHS)
    if found.status != 0:
        return None, frozenset()
    u, gained = np.maximum(found.x[:n], 0.0), found.x[n:]
    if not np.any(u):
        return None, frozenset()
    u = u / u.sum()
    even = [j for j, g in zip(rows, gained, strict=True) if g < 0.5]
    exact = _exactly(box, u, even, rows)
    if exact is None or (spared is not None and exact[spared] <= 0):
        return None, frozenset()
    return exact, frozenset(j for j in rows if _dot(box.whole[j], exact) < 0)


def _exactly(box: _Box, u: Array, even: Sequence[int], rows: Sequence[int]) -> Row | None:
    """A rational mixture near u: equal on the ``even`` rows, at most even on the others; None if there is none."""
    held = [int(i) for i in np.flatnonzero(u > HELD)]
    kernel = kernel_of(box.whole, held, even)
    if not kernel or not kernel[0]:
        return None
    free = [float(u[held[k]]) for k in coordinates(kernel)]
    for denominator in ROUNDED:
        near = [Fraction(x).limit_denominator(denominator) for x in free]
        exact = combine(kernel, near, held, box.n)
        if exact is not None and min(exact) >= 0 and all(_dot(box.whole[j], exact) <= 0 for j in rows):
            return exact
    return None


def _dot(row: Sequence[int], u: Row) -> Fraction:
    return sum((a * x for a, x in zip(row, u, strict=True) if a and x), Fraction(0))


# -- fillings: what holds for some table -------------------------------------------------------------------------------


class _Seen:
    """The responses seen inside and outside the support of a table's lottery, proved by ``fillings``."""

    def __init__(self, box: _Box, rng: np.random.Generator):
        self.box, self.rng = box, rng
        self.inside: set[int] = set()
        self.outside: set[int] = set()
        self.fillings: list[Filling] = []

    def draw(self, rest: Sequence[int]) -> None:
        """Random fillings and, for few free pairs, all of 0, 1/2 and 1; only those that show something new are kept."""
        wanted = {(y, side) for y in rest for side in (True, False)}
        found = [(parts, self._guess(parts)) for parts in self._drawn()]

        def shown(guess: Array) -> set[tuple[int, bool]]:
            return {(y, bool(guess[y] > HELD)) for y in rest} & wanted

        while found:
            best = max(found, key=lambda pair: len(shown(pair[1])))
            if not shown(best[1]):
                return
            found = [pair for pair in found if pair is not best]
            wanted -= {(y, side) for side, group in self._prove(*best) for y in group}

    def _drawn(self) -> Iterator[NDArray[np.int64]]:
        box = self.box
        first, second = np.nonzero(np.triu(box.free, 1))
        if first.size <= FEW:
            for values in itertools.product((0, PARTS // 2, PARTS), repeat=first.size):
                parts = np.zeros((box.n, box.n), dtype=np.int64)
                parts[first, second] = values
                yield parts
        for k in range(DRAWN):
            share = self.rng.random((box.n, box.n))
            yield np.where(box.free, np.round(PARTS * (share if k % 4 == 0 else share > 0.5)), 0).astype(np.int64)

    def _guess(self, parts: NDArray[np.int64]) -> Array:
        return quick_lottery(self.box.margins(parts))[0]

    def _prove(self, parts: NDArray[np.int64], guess: Array) -> tuple[tuple[bool, set[int]], ...]:
        """Who is in and who is out of a filling's lottery, checked exactly; empty if the guess is too rough."""
        found = inner_lottery(self.box.table(parts), guess, np.flatnonzero(guess > HELD), SIMPLEX_LIMIT)
        if found is None:
            return ()
        held = set(found[0])
        rest = set(range(self.box.n)) - held
        if not (held <= self.inside and rest <= self.outside):
            self.inside |= held
            self.outside |= rest
            self.fillings.append(Filling(parts, found[1]))
        return (True, held), (False, rest)

    def look_for(self, wanted: Sequence[int], *, inside: bool) -> None:
        """Search for tables with these in the support, or outside: each as strong (or weak) as possible, the other
        pairs by ascent; all start once before any starts again, as long as the work allows."""
        shown = self.inside if inside else self.outside
        left = min(MOST_STEPS, WORK // self.box.n**3)
        for y in [*wanted] * CLIMBS:
            for parts in () if y in shown else self._climb(y, 1.0 if inside else -1.0):
                left -= 1
                if parts is not None and ((guess := self._guess(parts))[y] > HELD) == inside:
                    self._prove(parts, guess)
                if y in shown or left <= 0:
                    break
            if left <= 0:
                return

    def _climb(self, y: int, sign: float) -> Iterator[NDArray[np.int64] | None]:
        """Step towards tables with y in (``sign`` 1) or out (−1); yields such a table when it seems found, else None.

        With x the lottery of the others, y is in iff g = A_y·x ≥ 0.  With prices λ of the rows, λ_y = 1 and
        (λᵀA)_j = g on the support of x, raising A_ij and lowering A_ji changes g by λ_ix_j − λ_jx_i.
        """
        box = self.box
        upper = np.triu(box.floor + (box.roof - box.floor) * self.rng.random((box.n, box.n)), 1)
        a = upper - upper.T
        a[y] = box.roof[y] if sign > 0 else box.floor[y]
        a[:, y] = -a[y]
        for step in range(STEPS):
            x, price = _prices(a, y)
            gain = sign * float(a[y] @ x)
            yield box.parts_of(a) if gain > -LEVEL else None
            slope = sign * (np.outer(price, x) - np.outer(x, price))
            goal = np.where(slope > LEVEL, box.roof, np.where(slope < -LEVEL, box.floor, a))
            goal[y], goal[:, y] = a[y], a[:, y]
            a = a + (goal - a) * (2.0 / (step + 3.0))


def _prices(a: Array, y: int) -> tuple[Array, Array]:
    """(x, λ) as in :meth:`_Seen._climb`."""
    n = len(a)
    others = np.delete(np.arange(n), y)
    x, price = np.zeros(n), np.zeros(n)
    x[others] = quick_lottery(a[np.ix_(others, others)])[0]
    held = np.flatnonzero(x > HELD)
    # λ is free along x, without effect on slopes; 11ᵀ makes the matrix regular, as Σx = 1
    square = a[np.ix_(held, held)].T + 1.0
    with contextlib.suppress(np.linalg.LinAlgError):
        price[held] = np.linalg.solve(square, a[y] @ x - a[y, held])
    price[y] = 1.0
    return x, price

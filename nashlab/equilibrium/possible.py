"""Over all tables in a box L ≤ P ≤ U: who has mass in a maximal lottery necessarily, possibly, never.

y is in the support of some lottery of A iff no lottery of the others beats y:   no x ≥ 0 with A₋x ≤ 0, A_y·x < 0.

    never       max {x_y : (L−½)x ≤ 0, Σx = 1, x ≥ 0} = 0
    necessary   min {(L−½)_y·x : (L−½)₋x ≤ 0, Σx = 1, x ≥ 0, x_y = 0} ≥ 0

Both linear programmes relax "one A in the box" to "a separate A for each row", so their conclusions hold for every A.
The other answers need a witness A: on the support S of x the skew flow x_iA_ijx_j must balance (a linear programme,
N22), off it each row may take its lowest value.  Without a witness y is reported as "undecided".

The programmes are solved in floats, to 1e-10; responses that differ by less than 1e-9 in a table are not told apart.
There is no rational proof here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.game import BadInput

__all__ = ["Membership", "who_is_in"]

Array = NDArray[np.float64]

FEASIBLE = 1e-10  # HiGHS's smallest; its default, 1e-7, is too coarse for the tolerance below
TOLERANCE = 1e-9  # for the linear programmes, whose numbers have size 1
HIGHS = {"primal_feasibility_tolerance": FEASIBLE, "dual_feasibility_tolerance": FEASIBLE}


class Membership(NamedTuple):
    """Indices of the responses found to be in the support for every table of the box, for some, for none (in floats).
    For the ``undecided``: not in the support of every table, or not proved to be, and no table with them in the support
    was found."""

    necessary: tuple[int, ...]
    possible: tuple[int, ...]
    never: tuple[int, ...]
    undecided: tuple[int, ...]


def who_is_in(lower: ArrayLike, upper: ArrayLike) -> Membership:
    """Who has mass in a maximal lottery over all P with L ≤ P ≤ U (the ``necessary`` are also ``possible``).

    "In the support" means that of some maximal lottery, hence of those in the interior of the face.  Source: N22, N27.

    >>> free = np.array([[0.5, 0.7, 0.0], [0.3, 0.5, 0.6], [0.0, 0.4, 0.5]])  # 1 and 3 never met
    >>> who_is_in(free, 1 - free.T)
    Membership(necessary=(0,), possible=(0, 1, 2), never=(), undecided=())
    """
    low = np.asarray(lower, dtype=np.float64) - 0.5
    high = np.asarray(upper, dtype=np.float64) - 0.5
    if low.ndim != 2 or low.shape != high.shape or np.any(np.abs(low + high.T) > 1e-9) or np.any(low > high + 1e-12):
        raise BadInput("lower and upper must be square, lower ≤ upper, and lower + upperᵀ = 1")
    n = len(low)
    necessary, possible, never, undecided = [], [], [], []
    for y in range(n):
        most = _programme(-np.eye(n)[y], low, None)
        if most is not None and most[y] <= TOLERANCE:
            never.append(y)
            continue
        worst = _programme(low[y], low, y) if n > 1 else None
        if n == 1 or (worst is not None and float(low[y] @ worst) >= -TOLERANCE):
            necessary.append(y)
            possible.append(y)
        elif (most is not None and _balances(most, low, high)) or _has_mass(low, high, y):
            possible.append(y)
        else:
            undecided.append(y)
    return Membership(tuple(necessary), tuple(possible), tuple(never), tuple(undecided))


def _programme(goal: Array, low: Array, without: int | None) -> Array | None:
    """argmin goal·x over x ≥ 0, Σx = 1 with (L−½)x ≤ 0 in every row except ``without``, whose x is 0."""
    from scipy.optimize import linprog

    n = len(low)
    bounds = [(0.0, 0.0 if i == without else None) for i in range(n)]
    rows = [i for i in range(n) if i != without]
    whole = {"A_eq": np.ones((1, n)), "b_eq": [1.0], "bounds": bounds, "options": HIGHS}
    answer = linprog(goal, A_ub=low[rows], b_ub=np.zeros(len(rows)), **whole)
    return None if answer.status != 0 else np.maximum(answer.x, 0.0)


def _balances(x: Array, low: Array, high: Array) -> bool:
    """Is x a maximal lottery of some A of the box?  A skew A on its support with Ax = 0 there, lowest rows off it."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix

    held = np.flatnonzero(x > TOLERANCE)
    rest = np.setdiff1d(np.arange(len(x)), held)
    if rest.size and np.max(low[np.ix_(rest, held)] @ x[held]) > TOLERANCE:
        return False
    if held.size == 1:
        return True
    i, j = np.triu_indices(held.size, 1)
    pair = np.arange(i.size)
    rows, columns = np.concatenate([i, j]), np.concatenate([pair, pair])
    values = np.concatenate([x[held[j]], -x[held[i]]])
    balance = coo_matrix((values, (rows, columns)), shape=(held.size, i.size))
    bounds = np.stack([low[held[i], held[j]], high[held[i], held[j]]], axis=1)
    found = linprog(np.zeros(i.size), A_eq=balance, b_eq=np.zeros(held.size), bounds=bounds, options=HIGHS)
    return bool(found.status == 0)


def _has_mass(low: Array, high: Array, y: int) -> bool:
    """Does y have mass where it is as strong as the box allows, and the other pairs are in the middle, or favour those
    that y does not lose to?

    Raising row y never removes y from the support, so only the other pairs are a guess.
    """
    middle = 0.5 * (low + high)
    friends = high[y] >= 0
    favoured = np.where(np.logical_and.outer(friends, ~friends), high, middle)
    favoured = np.where(np.logical_and.outer(~friends, friends), low, favoured)
    return any(_carries(guess, high, y) for guess in (middle, favoured))


def _carries(guess: Array, high: Array, y: int) -> bool:
    a = 0.5 * (guess - guess.T)
    a[y], a[:, y] = high[y], -high[y]
    a[y, y] = 0.0
    worst = _programme(a[y], a, y)
    return worst is not None and float(a[y] @ worst) >= -TOLERANCE

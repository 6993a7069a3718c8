"""The support of a small game's lottery by a simplex in float64, in less time than an interior point method takes.

With |A| < 1 the game B = 1 + A has only positive payoffs, so  max Σy, By ≤ 1, y ≥ 0  starts at a feasible basis and its
optimum y is x up to scale.  What it finds is a guess: it can cycle, or stop at a wrong basis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["simplex_support"]

Array = NDArray[np.float64]

TOLERANCE = 1e-11  # relative to a tableau that starts with entries in (0, 2)
PIVOTS = 4  # for each response: random games of 30 need less than two


def simplex_support(margins: Array) -> NDArray[np.intp] | None:
    """The responses with mass at the end of the simplex, ascending, for |A| < 1, [n, n]; None: it does not end."""
    from scipy.linalg.blas import dger

    n = len(margins)
    table = np.ones((n + 1, n + 1))
    table[:n, :n] += margins
    gains, most, turned = table[n, :n], table[:n, n], table.T
    gains -= 2.0
    table[n, n] = 0.0
    rows, columns = list(range(n, 2 * n)), list(range(n))  # responses, and n + slacks
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(PIVOTS * n):
            c = gains.argmin()
            if gains[c] >= -TOLERANCE:
                return np.array(sorted(j for j, y in zip(rows, most.tolist(), strict=True) if j < n and y > TOLERANCE))
            column = table[:, c].copy()
            r = (column[:n] / most).argmax()
            pivot = column[r]
            if not pivot > TOLERANCE:  # also if a tie has led to 0/0
                return None
            row = table[r]
            row /= pivot
            column[r] = 0.0
            table[:, c] = 0.0
            row[c] = 1.0 / pivot
            dger(-1.0, row, column, 1, 1, turned, 1, 1, 1)  # the last 1: in the memory of the table
            rows[r], columns[c] = columns[c], rows[r]
    return None

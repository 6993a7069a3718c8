"""A two-sided zero-sum game as a symmetric one, and its solution read back.

    B = [[0, M, −1], [−Mᵀ, 0, 1], [1ᵀ, −1ᵀ, 0]],  M > 0:   a maximal lottery (x, y, λ) of B has Σx = Σy,
    x/Σx is best for the rows, y/Σy for the columns, and λ/Σx is the value of M.

M is first shifted to be positive, which changes only the value.  Source: Gale, Kuhn and Tucker 1950.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from nashlab.game import BadInput, PreferenceGame

__all__ = ["Sides", "embedded", "sides"]


class Sides(NamedTuple):
    """The optimal mixes of rows and columns, and the value of the game for the rows."""

    rows: tuple[Any, ...]
    columns: tuple[Any, ...]
    value: Any


def embedded(payoffs: Any, labels: Sequence[str] | None = None, **names: Any) -> tuple[PreferenceGame, Fraction]:
    """The symmetric game of a payoff matrix [m, k] (the row's gain is the column's loss), and the shift of its value.

    labels  of the rows, then of the columns.  Errors: BadInput for an empty matrix or one with invalid numbers.

    >>> game, shift = embedded([[1, 0], [0, 1]])
    >>> game.n, shift
    (5, Fraction(1, 1))
    """
    rows = [[_number(x, i, j) for j, x in enumerate(row)] for i, row in enumerate(payoffs)]
    if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise BadInput("the payoff matrix must have rows of equal length, and at least one")
    m, k = len(rows), len(rows[0])
    shift = 1 - min(min(row) for row in rows)
    zero, one = Fraction(0), Fraction(1)
    up = [[zero] * m + [x + shift for x in row] + [-one] for row in rows]
    down = [[-(rows[i][j] + shift) for i in range(m)] + [zero] * k + [one] for j in range(k)]
    margins = [*up, *down, [one] * m + [-one] * k + [zero]]
    return PreferenceGame.from_margins(margins, labels=_labels(labels, m, k), **names), shift


def _number(x: Any, i: int, j: int) -> Fraction:
    if x is None or (isinstance(x, (float, np.floating)) and not np.isfinite(x)):
        raise BadInput(f"row {i + 1}, column {j + 1}: is not a finite number")
    return Fraction(x) if isinstance(x, (int, Fraction, float)) else Fraction(x.item())


def _labels(labels: Sequence[str] | None, m: int, k: int) -> list[str]:
    if labels is None:
        labels = [*(f"row {i + 1}" for i in range(m)), *(f"column {j + 1}" for j in range(k))]
    elif len(labels) != m + k:
        raise BadInput(f"labels has {len(labels)} names, must have {m + k}: of the {m} rows, then of the {k} columns")
    if len(set(labels)) < len(labels):
        labels = [f"{'row' if i < m else 'column'}: {x}" for i, x in enumerate(labels)]
    return [*labels, "(value)"]


def sides(policy: Sequence[Any], rows: int, columns: int, shift: Any) -> Sides:
    """Both sides' optimal mixes and the value, from a maximal lottery of the symmetric game; exact if it is exact.

    >>> game, shift = embedded([[3, 0], [0, 1]])
    >>> from nashlab.equilibrium import maximal_lottery
    >>> sides(maximal_lottery(game).policy_exact, 2, 2, shift).value
    Fraction(3, 4)
    """
    x, y, level = policy[:rows], policy[rows : rows + columns], policy[-1]
    return Sides(
        tuple(p / sum(x) for p in x),
        tuple(p / sum(y) for p in y),
        level / sum(x) - (shift if isinstance(level, Fraction) else float(shift)),
    )

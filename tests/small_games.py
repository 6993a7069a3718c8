"""Small games by hand, and the distance of two policies, for the tests of solvers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nashlab.game import PreferenceGame

RPS = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
WEIGHTED = [[0, 3, -1], [-3, 0, 2], [1, -2, 0]]
SHARES = (Fraction(1, 3), Fraction(1, 6), Fraction(1, 2))


def game(rows: object, **kwargs: object) -> PreferenceGame:
    return PreferenceGame.from_margins(rows, **kwargs)  # type: ignore[arg-type]


def distance(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.abs(p - q).sum())

"""Simulated votes, for tests and benchmarks of plans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nashlab.votes import Votes, parse_votes

__all__ = ["counted", "judged"]

Array = NDArray[np.float64]


def judged(p: Array, each: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """Wins of every response over every other in ``each`` judgments of a pair, [n, n]."""
    i, j = np.triu_indices(len(p), 1)
    wins = np.zeros(p.shape)
    wins[i, j] = rng.binomial(each[i, j], p[i, j])
    wins[j, i] = each[i, j] - wins[i, j]
    return wins


def counted(wins: Array) -> Votes:
    """The votes of a file with these wins."""
    text = "\n".join(",".join(str(int(x)) for x in row) for row in wins)
    return parse_votes(text.encode(), "sim", ".csv", kind="wins", fill="half")

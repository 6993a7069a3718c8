"""The bootstrap of votes: whole voters drawn again where the file names them, else the judgments of each pair.

A voter who gave many judgments gave dependent ones; drawing voters keeps that, drawing judgments does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput
from nashlab.votes.build import Votes

__all__ = ["FEWEST_VOTERS", "by_voters", "resampled_wins"]

Array = NDArray[np.float64]

FEWEST_VOTERS = 10  # below, drawing them again says little about voters who were not asked
CHUNK = 2**27  # bytes of one block of tables


def by_voters(votes: Votes) -> bool:
    """Are there enough voters to draw them, not their judgments, again?"""
    return votes.ballots is not None and float(votes.ballots.times.sum()) >= FEWEST_VOTERS


def resampled_wins(votes: Votes, count: int, *, seed: int = 0) -> Iterator[Array]:
    """``count`` tables of wins [b, n, n] in blocks, of as many voters (or judgments a pair) drawn again.

    Errors: BadInput for a file without counts, and for a count below 1.
    """
    if votes.wins is None:
        raise BadInput(f"{votes.reading.source} holds no counts: there is nothing to draw again")
    if count < 1:
        raise BadInput(f"bootstrap = {count}, must be at least 1")
    rng = np.random.default_rng(seed)
    n = len(votes.wins)
    block = max(1, CHUNK // (8 * n * n))
    draw = _voters(votes, rng) if by_voters(votes) else _judgments(votes, rng)
    for start in range(0, count, block):
        yield draw(min(block, count - start))


def _voters(votes: Votes, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    from scipy.sparse import csr_matrix

    ballots, n = votes.ballots, len(votes.wins)  # type: ignore[arg-type]
    assert ballots is not None
    times = np.maximum(ballots.times, 0.0)
    total = max(1, round(float(times.sum())))
    place = ballots.winner * n + ballots.loser
    table = csr_matrix((ballots.weight, (ballots.voter, place)), shape=(times.size, n * n))

    def draw(count: int) -> Array:
        drawn = rng.multinomial(total, times / times.sum(), size=count)
        return np.asarray((table.T @ drawn.T.astype(np.float64)).T).reshape(count, n, n)

    return draw


def _judgments(votes: Votes, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    w = votes.wins
    assert w is not None
    n = len(w)
    first, second = np.nonzero(np.triu(w + w.T, 1))
    won, lost = w[first, second], w[second, first]
    each = won + lost
    number = np.maximum(1, np.round(each)).astype(np.int64)
    even = np.zeros_like(won) if votes.drawn is None else np.minimum(votes.drawn[first, second], each)
    shares = np.clip(np.stack([won - even / 2, even, lost - even / 2], axis=1) / each[:, None], 0.0, 1.0)
    shares /= shares.sum(axis=1, keepdims=True)

    def draw(count: int) -> Array:
        if np.any(even):
            counts = rng.multinomial(number, shares, size=(count, number.size)).astype(np.float64)
            mine = counts[:, :, 0] + counts[:, :, 1] / 2
        else:
            mine = rng.binomial(number, shares[:, 0], size=(count, number.size)).astype(np.float64)
        tables = np.zeros((count, n, n))
        tables[:, first, second] = mine * (each / number)
        tables[:, second, first] = (number - mine) * (each / number)
        return tables

    return draw

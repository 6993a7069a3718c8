"""The bootstrap of votes: whole voters are resampled if the file names them, else the judgments of each pair.

Judgments of one voter are dependent; resampling voters preserves that, resampling judgments does not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium import lottery_batch
from nashlab.game import BadInput
from nashlab.votes.build import Votes
from nashlab.votes.tournaments import smith_sets

__all__ = [
    "FEWEST_VOTERS",
    "Draw",
    "by_voters",
    "drawn_wins",
    "grown_lottery",
    "resampled_lotteries",
    "resampled_wins",
    "tabled_wins",
]

Array = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Array]

FEWEST_VOTERS = 10  # below, resampling them says little about other voters
FEW, MANY_PAIRS = 64, 5000  # judgments per pair with a tabulated distribution, and pairs for which that pays
WORKING = 64  # responses on which a large game is first solved
SLACK = 1e-9  # margin by which a response must lose to be left out, for a game of size 1
BLOCK = 2**25  # bytes of the tables that a thread holds at once
THREADS = 2


def by_voters(votes: Votes) -> bool:
    """Are there enough voters to resample voters instead of judgments?"""
    return votes.ballots is not None and float(votes.ballots.times.sum()) >= FEWEST_VOTERS


def resampled_lotteries(votes: Votes, count: int, *, seed: int = 0) -> Array:
    """The maximal lottery of each of ``count`` resampled tables, [count, n]; a pair that a resample leaves without
    votes is even.

    Each block of tables has its own random numbers, so the result does not depend on the number of threads.

    Errors: BadInput for a file without counts, and for a count below 1.
    """
    draw, sizes = _prepared(votes, count)
    n = votes.game.n
    filled = np.clip(votes.game.margins, -0.5, 0.5)
    met_at_all = votes.wins is not None and (votes.wins + votes.wins.T) > 0
    base = np.where(met_at_all, 0.0, filled)

    def block(k: int) -> Array:
        wins = draw(sizes[k], np.random.default_rng([seed, k]))
        back = np.swapaxes(wins, 1, 2)
        met = wins + back
        margins = np.where(met > 0, (wins - back) / (2 * np.maximum(met, 1e-300)), base)
        margins[:, np.arange(n), np.arange(n)] = 0.0
        return _lotteries(margins)

    pool = ThreadPoolExecutor(THREADS)
    try:
        return np.concatenate(list(pool.map(block, range(len(sizes)))))
    finally:
        pool.shutdown(cancel_futures=True)


def _lotteries(margins: Array) -> Array:
    """Maximal lotteries, [b, n]: only the game on the Smith set is solved, since all mass is inside."""
    policies = np.zeros(margins.shape[:2])
    for x, held in enumerate(smith_sets(margins)):
        policies[x, held] = 1.0 if held.size == 1 else grown_lottery(margins[x][np.ix_(held, held)])
    return policies


def grown_lottery(margins: Array) -> Array:
    """The lottery of one game, [n, n], from its strongest responses, to which those that it does not beat are added.

    What strictly loses to one lottery has no mass in any, so once all others lose this is the answer.
    """
    n = len(margins)
    working = np.sort(np.argsort(-margins.sum(axis=1), kind="stable")[:WORKING])
    while working.size < n:
        found = np.zeros(n)
        found[working] = lottery_batch(margins[np.ix_(working, working)])
        joining = np.setdiff1d(np.flatnonzero(margins @ found > -SLACK), working)
        if not joining.size:
            return found
        working = np.sort(np.concatenate([working, joining]))
    return lottery_batch(margins)


def resampled_wins(votes: Votes, count: int, *, seed: int = 0) -> Array:
    """``count`` tables of wins, [count, n, n], from as many resampled voters (or judgments per pair).

    Errors: BadInput for a file without counts, and for a count below 1.
    """
    draw, sizes = _prepared(votes, count)
    return np.concatenate([draw(size, np.random.default_rng([seed, k])) for k, size in enumerate(sizes)])


def _prepared(votes: Votes, count: int) -> tuple[Draw, list[int]]:
    """The sampler of tables, and the sizes of the blocks."""
    if votes.wins is None:
        raise BadInput(f"{votes.reading.source} holds no counts: there is nothing to resample")
    if count < 1:
        raise BadInput(f"bootstrap = {count}, must be at least 1")
    each = max(1, BLOCK // (8 * len(votes.wins) ** 2))
    sizes = [min(each, count - start) for start in range(0, count, each)]
    return (_voters(votes) if by_voters(votes) else _judgments(votes)), sizes


def _voters(votes: Votes) -> Draw:
    from scipy.sparse import csr_matrix

    ballots, n = votes.ballots, len(votes.wins)  # type: ignore[arg-type]
    assert ballots is not None
    times = np.maximum(ballots.times, 0.0)
    total = max(1, round(float(times.sum())))
    place = ballots.winner * n + ballots.loser
    table = csr_matrix((ballots.weight, (ballots.voter, place)), shape=(times.size, n * n)).T.tocsr()

    def draw(count: int, rng: np.random.Generator) -> Array:
        drawn = rng.multinomial(total, times / times.sum(), size=count)
        return np.asarray((table @ drawn.T.astype(np.float64)).T).reshape(count, n, n)

    return draw


def _judgments(votes: Votes) -> Draw:
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
    few = number <= FEW if first.size >= MANY_PAIRS else np.zeros(first.size, dtype=bool)
    quick = tabled_wins(number[few], shares[few])
    slow = drawn_wins(number[~few], shares[~few])

    def draw(count: int, rng: np.random.Generator) -> Array:
        mine = np.empty((count, number.size))
        mine[:, few], mine[:, ~few] = quick(count, rng), slow(count, rng)
        tables = np.zeros((count, n, n))
        tables[:, first, second] = mine * (each / number)
        tables[:, second, first] = (number - mine) * (each / number)
        return tables

    return draw


def drawn_wins(number: NDArray[np.int64], shares: Array) -> Draw:
    """Wins of the first of each pair among ``number`` judgments, a tie half a win, [count, pairs]."""
    if np.any(shares[:, 1]):

        def with_ties(count: int, rng: np.random.Generator) -> Array:
            counts = rng.multinomial(number, shares, size=(count, number.size))
            return np.asarray(counts[:, :, 0] + counts[:, :, 1] / 2)

        return with_ties
    return lambda count, rng: rng.binomial(number, shares[:, 0], size=(count, number.size)).astype(np.float64)


def tabled_wins(number: NDArray[np.int64], shares: Array) -> Draw:
    """The same for few judgments per pair, from a table of their distribution: ten times as fast."""
    if not number.size:
        return lambda count, rng: np.zeros((count, 0))
    distributions, look_up = _compiled()
    start = np.concatenate([[0], np.cumsum(2 * number + 1)])
    table = distributions(number, shares, start)
    return lambda count, rng: np.asarray(look_up(table, start, rng.random((number.size, count))))


@functools.cache
def _compiled() -> Any:
    import numba

    @numba.njit(cache=True, nogil=True)
    def distributions(number: Any, shares: Array, start: Any) -> Array:  # pragma: no cover - compiled
        table = np.zeros(start[-1])
        for k in range(number.size):
            part = table[start[k] : start[k + 1]]
            part[0] = 1.0
            for judged in range(number[k]):  # one judgment more moves the wins by 0, 1 or 2 halves
                for h in range(2 * judged + 2, -1, -1):
                    value = part[h] * shares[k, 2]
                    if h > 0:
                        value += part[h - 1] * shares[k, 1]
                    if h > 1:
                        value += part[h - 2] * shares[k, 0]
                    part[h] = value
            for h in range(1, part.size):
                part[h] += part[h - 1]
        return table

    @numba.njit(cache=True, nogil=True)
    def look_up(table: Array, start: Any, uniform: Array) -> Array:  # pragma: no cover - compiled
        found = np.empty((uniform.shape[1], uniform.shape[0]))
        for k in range(uniform.shape[0]):
            for b in range(uniform.shape[1]):
                low, high, u = start[k], start[k + 1] - 1, uniform[k, b]
                while low < high:
                    middle = (low + high) // 2
                    if table[middle] > u:
                        high = middle
                    else:
                        low = middle + 1
                found[b, k] = (low - start[k]) / 2
        return found

    return distributions, look_up

"""Maximal lotteries of many small games: a compiled simplex whose answers are verified; failures are solved again.

With |A| < 1 the game B = 1 + A has only positive payoffs, so  max Σy, By ≤ 1, y ≥ 0  starts at a feasible basis and its
optimum y is x up to scale.  A float simplex can stop at a wrong basis, so the weights are solved again from the support
alone, and if weights or slacks are too close to 0 for float64 the game goes to :func:`maximal_lottery`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.certificate.rounding import unit_scale
from nashlab.equilibrium.interior import MARGIN
from nashlab.equilibrium.lottery import maximal_lottery
from nashlab.game import PreferenceGame

__all__ = ["lottery_batch", "quick_lottery"]

Array = NDArray[np.float64]

PIVOT_TOLERANCE = 1e-11  # relative to a tableau that starts with entries in (0, 2)
SMALL_FACE = 16  # responses: up to here the face takes milliseconds in rationals
LOSES = 1e-6  # for margins of size 1: far above the errors of a float64 simplex


def lottery_batch(margins: ArrayLike, reference: ArrayLike | None = None) -> Array:
    """The maximal lotteries of X independent games, [X, n, n] -> [X, n]; for sweeps, without certificates.

    reference  [n], selects among several lotteries (default uniform).  Source: E6.

    >>> rps = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / 2
    >>> lottery_batch(np.stack([rps, 1e-9 * rps])).round(12).tolist()[1]
    [0.333333333333, 0.333333333333, 0.333333333333]
    """
    game = PreferenceGame.from_margins(margins, reference=reference)
    a = game.margins if game.batch else game.margins[None]
    scaled, _ = unit_scale(a)
    policies, rough, sure = _compiled()(scaled, MARGIN)
    for x in np.flatnonzero(~sure):
        policies[x] = _careful(scaled[x], rough[x], game.reference if game.reference.ndim == 1 else game.reference[x])
    return policies if game.batch else policies[0]


def quick_lottery(margins: Array) -> tuple[Array, bool]:
    """(a lottery by the float simplex alone, whether its support is clear) of one game, [n, n]; for searches."""
    # another memory layout would be compiled anew, for seconds
    policies, rough, sure = _compiled()(np.ascontiguousarray(unit_scale(margins)[0])[None], MARGIN)
    return (policies if sure[0] else rough)[0], bool(sure[0])


def _careful(a: Array, rough: Array, reference: Array) -> Array:
    """The lottery of one game, [n, n] and the weights of a float simplex (or 0) -> [n].

    Responses that clearly lose to the rough lottery are left out.  This is right if they also clearly lose to the
    answer: a response that strictly loses to one lottery has no mass in any.
    """
    keep = np.flatnonzero(a @ rough > -LOSES) if np.any(rough) else np.arange(len(a))
    if 0 < keep.size < len(a):
        found = np.zeros(len(a))
        found[keep] = _alone(a[np.ix_(keep, keep)], reference[keep] / reference[keep].sum())
        if np.max(np.delete(a @ found, keep)) < -LOSES / 2:
            return found
    return _alone(a, reference)


def _alone(a: Array, reference: Array) -> Array:
    """In rationals where that is fast, else in float64: a large table with many ties takes minutes in rationals."""
    game = PreferenceGame.from_margins(a, reference=reference)
    return maximal_lottery(game, exact=None if game.n <= SMALL_FACE else False).policy


@functools.cache
def _compiled() -> Any:
    import numba

    @numba.njit(cache=True, error_model="numpy", nogil=True)
    def simplex(a: Array, margin: float) -> tuple[Array, Array, NDArray[np.bool_]]:  # pragma: no cover - compiled
        games, n = a.shape[0], a.shape[1]
        policies, rough = np.zeros((games, n)), np.zeros((games, n))
        sure = np.zeros(games, dtype=np.bool_)
        table = np.empty((n + 1, n + 1))
        rows, columns = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        bordered = np.empty((n + 1, n + 2))
        held = np.empty(n, dtype=np.int64)
        for g in range(games):
            for i in range(n):
                for j in range(n):
                    table[i, j] = 1.0 + a[g, i, j]
                table[i, n] = 1.0
                table[n, i] = -1.0
                rows[i], columns[i] = n + i, i
            table[n, n] = 0.0
            finished = False
            for _ in range(20 * n + 50):
                c = 0
                for j in range(1, n):
                    if table[n, j] < table[n, c]:
                        c = j
                if table[n, c] >= -PIVOT_TOLERANCE:
                    finished = True
                    break
                r, best = -1, np.inf
                for i in range(n):
                    if table[i, c] > PIVOT_TOLERANCE and table[i, n] < best * table[i, c]:
                        r, best = i, table[i, n] / table[i, c]
                if r < 0:
                    break
                p = 1.0 / table[r, c]
                for j in range(n + 1):
                    table[r, j] *= p
                table[r, c] = p
                for i in range(n + 1):
                    if i != r:
                        f = table[i, c]
                        table[i, c] = 0.0
                        for j in range(n + 1):
                            table[i, j] -= f * table[r, j]
                rows[r], columns[c] = columns[c], rows[r]
            if not finished:
                continue
            k = 0
            for i in range(n):
                if rows[i] < n and table[i, n] > PIVOT_TOLERANCE:
                    held[k] = rows[i]
                    rough[g, rows[i]] = table[i, n]
                    k += 1
            rough[g] /= max(rough[g].sum(), 1e-300)
            if k % 2 == 0:
                continue
            # the weights again, from the support alone: A_BB x + w = 0, Σx = 1
            for i in range(k):
                for j in range(k):
                    bordered[i, j] = a[g, held[i], held[j]]
                bordered[i, k] = 1.0
                bordered[i, k + 1] = 0.0
                bordered[k, i] = 1.0
            bordered[k, k], bordered[k, k + 1] = 0.0, 1.0
            good = True
            for c in range(k + 1):
                r = c
                for i in range(c + 1, k + 1):
                    if abs(bordered[i, c]) > abs(bordered[r, c]):
                        r = i
                if abs(bordered[r, c]) < margin:
                    good = False
                    break
                for j in range(c, k + 2):
                    bordered[c, j], bordered[r, j] = bordered[r, j], bordered[c, j]
                p = 1.0 / bordered[c, c]
                for i in range(c + 1, k + 1):
                    f = bordered[i, c] * p
                    for j in range(c + 1, k + 2):
                        bordered[i, j] -= f * bordered[c, j]
            if not good:
                continue
            for i in range(k, -1, -1):
                total = bordered[i, k + 1]
                for j in range(i + 1, k + 1):
                    total -= bordered[i, j] * bordered[j, k + 1]
                bordered[i, k + 1] = total / bordered[i, i]
            for i in range(k):
                policies[g, held[i]] = bordered[i, k + 1]
                good = good and bordered[i, k + 1] > margin
            for i in range(n):
                if policies[g, i] == 0.0:
                    value = 0.0
                    for j in range(k):
                        value += a[g, i, held[j]] * policies[g, held[j]]
                    good = good and value < -margin
            sure[g] = good
        return policies, rough, sure

    return simplex

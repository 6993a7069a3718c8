"""Random families of games: from transitive to cyclic, from voters' rankings, near ties, tournaments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput, PreferenceGame, suggestion

__all__ = ["FAMILIES", "random_game"]

Array = NDArray[np.float64]
Generator = np.random.Generator


def _skew(values: Array) -> Array:
    upper = np.triu(values, 1)
    return upper - upper.T


def _uniform(n: int, rng: Generator) -> Array:
    return _skew(rng.uniform(-0.5, 0.5, (n, n)))


def _bradley_terry(n: int, rng: Generator) -> Array:
    r = rng.normal(size=n)
    return np.asarray(0.5 * np.tanh(0.5 * (r[:, None] - r[None, :])))


def _cyclic(n: int, rng: Generator) -> Array:
    i, j = np.indices((n, n))
    return _skew(0.4 * np.where((j - i) % n <= n // 2, 1.0, -1.0) + rng.uniform(-0.1, 0.1, (n, n)))


def _low_rank(n: int, rng: Generator) -> Array:
    """σ(uᵀRv) − ½ with R skew: a preference that no scalar reward represents (theory §6)."""
    u = rng.normal(size=(n, 4))
    r = _skew(rng.normal(size=(4, 4)))
    return _skew(0.5 * np.tanh(0.5 * u @ r @ u.T))


def _majorities(orders: NDArray[np.int_]) -> Array:
    """Margins of a profile of rankings, [voters, n], best first."""
    wins = np.zeros((orders.shape[1],) * 2)
    for place in np.argsort(orders, axis=1):  # one voter at a time: all at once would take 101 n² bytes
        wins += np.less.outer(place, place)
    return _skew(wins / len(orders) - 0.5)


VOTERS = 101  # odd, so that no pair ties
DISPERSION = 0.8  # of Mallows' model: 0 is unanimity, 1 is noise


def _mallows(n: int, rng: Generator) -> Array:
    """Repeated insertion: response k moves j places up from the identity with probability ∝ dispersion^j."""
    orders: list[list[int]] = [[] for _ in range(VOTERS)]
    for k in range(n):
        share = np.cumsum(DISPERSION ** np.arange(k + 1))
        up = np.searchsorted(share, rng.uniform(size=VOTERS) * share[-1], side="right")
        for order, j in zip(orders, np.minimum(up, k), strict=True):
            order.insert(k - int(j), k)
    return _majorities(np.array(orders, dtype=np.int_))


def _plackett_luce(n: int, rng: Generator) -> Array:
    strength = rng.normal(size=n)
    return _majorities(np.argsort(-(strength + rng.gumbel(size=(VOTERS, n))), axis=1))


def _single_peaked(n: int, rng: Generator) -> Array:
    """Voters and responses on a line: the median voter's favourite is a Condorcet winner."""
    responses, voters = rng.uniform(size=n), rng.uniform(size=VOTERS)
    return _majorities(np.argsort(np.abs(voters[:, None] - responses[None, :]), axis=1))


def _near_ties(n: int, rng: Generator) -> Array:
    return _skew(np.asarray(1e-9 * rng.choice([-1.0, 1.0], (n, n)), dtype=np.float64))


def _tournament(n: int, rng: Generator) -> Array:
    return _skew(np.asarray(0.5 * rng.choice([-1.0, 1.0], (n, n)), dtype=np.float64))


_FAMILIES: dict[str, Callable[[int, Generator], Array]] = {
    "uniform": _uniform,
    "bradley-terry": _bradley_terry,
    "cyclic": _cyclic,
    "low-rank": _low_rank,
    "mallows": _mallows,
    "plackett-luce": _plackett_luce,
    "single-peaked": _single_peaked,
    "near-ties": _near_ties,
    "tournament": _tournament,
}
FAMILIES: tuple[str, ...] = tuple(_FAMILIES)


def random_game(family: str, n: int, rng: np.random.Generator) -> PreferenceGame:
    """A random game of n responses with |A| ≤ ½ and uniform reference, from one of :data:`FAMILIES`.

    "mixed:C" is (1 − C) times a Bradley-Terry game plus C times a cyclic one: C in [0, 1] measures intransitivity.
    Errors: BadInput for an unknown family (with the nearest known one) or n < 1.  Source: theory §5.

    >>> random_game("tournament", 5, np.random.default_rng(0)).n
    5
    """
    if n < 1:
        raise BadInput(f"n = {n}, must be at least 1")
    kind, colon, share = family.partition(":")
    if kind == "mixed" and colon:
        try:
            cyclic = float(share)
        except ValueError:
            raise BadInput(f"family {family!r}: {share!r} must be a number") from None
        if not 0 <= cyclic <= 1:
            raise BadInput(f"family {family!r}: {share} must be in [0, 1]")
        margins = (1 - cyclic) * _bradley_terry(n, rng) + cyclic * _cyclic(n, rng)
    elif family in _FAMILIES:
        margins = _FAMILIES[family](n, rng)
    else:
        raise BadInput(f"family {family!r} is unknown{suggestion(family, [*_FAMILIES, 'mixed:0.5'])}")
    return PreferenceGame.from_margins(margins, name=family, source=f"random family {family}")

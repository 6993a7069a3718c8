"""Properties of the signs of the margins: the Smith set, and the cyclic share of a tournament."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["cyclic_share", "smith_set", "smith_sets"]


def smith_set(margins: ArrayLike) -> NDArray[np.intp]:
    """The smallest set whose members beat every response outside: indices, [k].

    With the responses by Copeland score (win 1, tie ½), the first k are such a set iff their scores sum to
    k(n−k) + k(k−1)/2.  Source: Smith 1973.

    >>> smith_set([[0, 1, -1, 1], [-1, 0, 1, 1], [1, -1, 0, 1], [-1, -1, -1, 0]]).tolist()
    [0, 1, 2]
    """
    return smith_sets(np.asarray(margins, dtype=np.float64)[None])[0]


def smith_sets(margins: ArrayLike) -> list[NDArray[np.intp]]:
    """The Smith sets of many tables, [b, n, n] -> b arrays of indices in order."""
    a = np.asarray(margins, dtype=np.float64)
    n = a.shape[-1]
    scores = (a > 0).sum(axis=-1) + 0.5 * ((a == 0).sum(axis=-1) - 1)
    order = np.argsort(-scores, axis=-1, kind="stable")
    total = np.cumsum(np.take_along_axis(scores, order, axis=-1), axis=-1)
    k = np.arange(1, n + 1)
    closed = np.abs(total - (k * (n - k) + k * (k - 1) / 2)) < 0.25
    size = np.argmax(closed, axis=-1) + 1
    return [np.sort(row[:s]) for row, s in zip(order, size, strict=True)]


def cyclic_share(margins: ArrayLike) -> float:
    """The share of all triples that are cycles i ≻ j ≻ k ≻ i: tr B³/3 over C(n, 3), B the majorities.

    >>> cyclic_share([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    1.0
    """
    b = (np.asarray(margins, dtype=np.float64) > 0).astype(np.float64)
    n = len(b)
    return float(np.einsum("ij,ji->", b @ b, b) / 3 / (n * (n - 1) * (n - 2) / 6)) if n > 2 else 0.0

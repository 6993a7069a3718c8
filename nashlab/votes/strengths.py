"""Bradley-Terry strengths of a table of wins, and the connectivity of its graph of pairs.

    p_ij = σ(r_i − r_j),   Σ_j N_ij (p̂_ij − σ(r_i − r_j)) = 0 for every i,   Σr = 0

The maximum exists if every response can be reached from every other along wins.  Otherwise each response is given half
a win and half a loss, spread over all others, and the result says so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.arrays import sigmoid

__all__ = ["Strengths", "bradley_terry", "components"]

Array = NDArray[np.float64]

TOLERANCE = 1e-10  # for a Newton step, in nats
ITERATIONS = 100


class Strengths(NamedTuple):
    """log-strengths r with Σr = 0, [n]; their covariance, [n, n]; whether the half win and half loss were needed."""

    values: Array
    covariance: Array
    regularised: bool

    @property
    def probabilities(self) -> Array:
        """σ(r_i − r_j), [n, n]."""
        return np.asarray(sigmoid(self.values[:, None] - self.values[None, :]))


def components(wins: ArrayLike, *, strong: bool = False) -> NDArray[np.int64]:
    """The index of each response's component, [n]: of pairs that met, or, ``strong``, of mutual reachability by wins.

    >>> components([[0, 1, 0], [0, 0, 0], [0, 0, 0]]).tolist()
    [0, 0, 1]
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    found = connected_components(csr_matrix(np.asarray(wins) > 0), connection="strong" if strong else "weak")[1]
    return np.asarray(found, dtype=np.int64)


def bradley_terry(wins: ArrayLike) -> Strengths:
    """The maximum-likelihood strengths for the wins w_ij (a tie is half a win each), with the inverse information.

    Newton's method with halved steps; the log-likelihood is concave.  Source: Bradley & Terry 1952, Ford 1957.

    >>> [round(float(x), 6) for x in bradley_terry([[0, 3], [1, 0]]).values]  # half of log 3
    [0.549306, -0.549306]
    """
    w = np.array(wins, dtype=np.float64)
    np.fill_diagonal(w, 0.0)
    n = len(w)
    regularised = n > 1 and bool(np.any(components(w, strong=True) > 0))
    if regularised:
        w += 0.5 / (n - 1) * (1 - np.eye(n))
    met = w + w.T
    r = np.zeros(n)

    def likelihood(x: Array) -> float:
        return float(-np.sum(w * np.logaddexp(0.0, x[None, :] - x[:, None])))

    value = likelihood(r)
    for _ in range(ITERATIONS):
        p = np.asarray(sigmoid(r[:, None] - r[None, :]))
        step = _inverse(_information(met, p)) @ (w - met * p).sum(axis=1)
        size = 1.0
        while size > 1e-8 and likelihood(r + size * step) < value - 1e-12 * abs(value):
            size /= 2
        r = r + size * step
        r -= r.mean()
        value = likelihood(r)
        if np.max(np.abs(step), initial=0.0) * size < TOLERANCE:
            break
    return Strengths(r, _inverse(_information(met, np.asarray(sigmoid(r[:, None] - r[None, :])))), regularised)


def _information(met: Array, p: Array) -> Array:
    part = met * p * (1 - p)
    np.fill_diagonal(part, 0.0)
    return np.diag(part.sum(axis=1)) - part


def _inverse(information: Array) -> Array:
    """The pseudo-inverse on Σr = 0, where constants are removed."""
    n = len(information)
    centre = np.full((n, n), 1.0 / n)
    scale = max(float(np.trace(information)) / n, 1e-300)
    return np.asarray(np.linalg.inv(information + scale * centre) - centre / scale)

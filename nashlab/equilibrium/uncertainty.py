"""How uncertain an equilibrium is when P is estimated from judgments: by resampling, and by the delta method.

p̂_ij = w_ij/N_ij, w_ij ~ Binomial(N_ij, p_ij) independently for each pair i < j, so that to first order

    Cov π*_τ = Σ_{i<j} (p_ij(1 − p_ij)/N_ij) g_ij g_ijᵀ,     g_ij = dπ*_τ/dP_ij  (P_ji moving by the opposite)

The judgments are taken as independent.  Where one rater gave many of them both methods are too sure of themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.equilibrium.sensitivity import sensitivity
from nashlab.game import BadInput, PreferenceGame

__all__ = ["equilibrium_covariance", "resampled"]

Array = NDArray[np.float64]


def resampled(game: PreferenceGame, judgments: ArrayLike, count: int, *, seed: int = 0) -> PreferenceGame:
    """The bootstrap: ``count`` games whose win rates are those of as many judgments drawn again, [count, n, n].

    judgments  N, how many judgments each pair has: one number, or a symmetric [n, n] table.  Drawing the judgments of a
               pair again with replacement is Binomial(N_ij, p_ij)/N_ij.

    Errors: BadInput for counts below 1 or not whole, and for a game of margins that are no probabilities.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> again = resampled(game, 100, 1000)
    >>> again.margins.shape, bool(abs(np.std(again.margins[:, 0, 1]) - np.sqrt(0.7 * 0.3 / 100)) < 0.005)
    ((1000, 2, 2), True)
    """
    first, second, each, p = _pairs(game, judgments)
    if count < 1:
        raise BadInput(f"count = {count}, must be at least 1")
    wins = np.random.default_rng(seed).binomial(each.astype(np.int64), p, size=(count, each.size))
    margins = np.zeros((count, game.n, game.n))
    margins[:, first, second] = wins / each - 0.5
    margins -= np.swapaxes(margins, 1, 2)
    return PreferenceGame.from_margins(
        margins, reference=game.reference, labels=game.labels, name=f"{game.name}, resampled", source=game.source
    )


def equilibrium_covariance(game: PreferenceGame, temperature: float, judgments: ArrayLike) -> Array:
    """The covariance of π*_τ to first order in the errors of P, [n, n]; judgments as for :func:`resampled`.

    Good while a standard error of P times 1/(√3 τ) is small (N16); at τ = 0 the equilibrium has no derivative.
    Source: N16, E4.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> bool(np.all(np.abs(equilibrium_covariance(game, 1.0, 100).sum(axis=0)) < 1e-18))  # Σπ stays 1
    True
    """
    first, second, each, p = _pairs(game, judgments)
    gradient = sensitivity(game, temperature).preferences[:, first, second]
    return np.asarray((gradient * (p * (1.0 - p) / each)) @ gradient.T)


def _pairs(game: PreferenceGame, judgments: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """(i, j, N_ij, p_ij) of the pairs i < j."""
    if game.batch:
        raise BadInput("game is contextual: judgments are a matter of one prompt; use game.prompt(x)")
    n = game.n
    table = np.asarray(judgments, dtype=np.float64)
    if table.shape not in ((), (n, n)) or (table.ndim and np.any(table != table.T)):
        raise BadInput(f"judgments has shape {table.shape}, must be one number or a symmetric {(n, n)} table")
    first, second = np.triu_indices(n, 1)
    each = np.broadcast_to(table, (n, n))[first, second]
    if not np.all(np.isfinite(each) & (each >= 1) & (each == np.round(each))):
        bad = int(np.argmin(np.isfinite(each) & (each >= 1) & (each == np.round(each))))
        raise BadInput(f"judgments[{first[bad]}, {second[bad]}] = {each[bad]:g}, must be a whole number of at least 1")
    return first, second, each, game.preferences[first, second]

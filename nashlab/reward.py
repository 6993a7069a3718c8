"""The Bradley-Terry reward of a game, which a reward model learns from its comparisons (E7).

r = argmin_r  − Σ_ij ν_i ν_j p_ij log σ(r_i − r_j),     Σ_i ν_i r_i = 0
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import sigmoid
from nashlab.game import BadInput, PreferenceGame

__all__ = ["bradley_terry_reward"]

GRADIENT_TOLERANCE = 1e-13  # of a gradient whose terms are at most 1; Newton converges quadratically, far below this
REWARD_LIMIT = 30.0  # a fitted win probability of 1 − 1e-13 is a diverging fit


def bradley_terry_reward(game: PreferenceGame, sampling: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """The maximum-likelihood reward r, shape [n], of comparisons drawn from ν ⊗ ν (``sampling``; default μ).

    It is exact if P = σ(r_y − r_y').  If some responses never lose to the others the likelihood has no maximum:
    :class:`BadInput` then names them.  Source: E7; Bradley & Terry 1952.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> r = bradley_terry_reward(game)
    >>> round(float(1 / (1 + np.exp(r[1] - r[0]))), 12)
    0.7
    """
    if game.batch:
        parts = [None if sampling is None else sampling[x] for x in range(game.batch[0])]
        rewards = np.zeros(game.margins.shape[:-1])
        for x, nu in enumerate(parts):
            inside = game.support[x]
            rewards[x][inside] = bradley_terry_reward(game.prompt(x), None if nu is None else nu[inside])
        return rewards
    nu = game.reference if sampling is None else sampling
    p = game.preferences
    if np.any(nu <= 0):
        i = int(np.argmin(nu))
        raise BadInput(f"the sampling policy is 0 on {game.labels[i]!r}: the reward is not determined there")
    _require_strongly_connected(game)
    pair = nu[:, None] * nu[None, :]
    r = np.zeros(game.n)
    loss = _negative_log_likelihood(r, pair, p)
    for step in range(200):
        s = sigmoid(r[:, None] - r[None, :])
        # every row is divided by its ν_i, so that a rare response is fitted as well as a frequent one
        gradient = np.sum(nu * (p - s), axis=1)
        if np.max(np.abs(gradient)) <= GRADIENT_TOLERANCE * np.max(nu) and step > 0:
            break
        curvature = nu * s * (1 - s)
        laplacian = np.diag(curvature.sum(axis=1)) - curvature
        # the all-ones direction is the reward's free constant: fix it by Σ ν r = 0
        direction = np.linalg.solve(laplacian + nu * np.mean(curvature) / np.mean(nu), gradient)
        size = 1.0
        while size > 1e-12:
            trial = _negative_log_likelihood(r + size * direction, pair, p)
            if trial <= loss + 1e-16:
                break
            size *= 0.5
        r = r + size * direction
        loss = _negative_log_likelihood(r, pair, p)
        if size * np.max(np.abs(direction)) <= 4e-16 * max(1.0, float(np.max(np.abs(r)))):
            break
    if np.ptp(r) > 2 * REWARD_LIMIT:
        raise BadInput(f"the Bradley-Terry reward of {game.name!r} spreads over {np.ptp(r):.0f} nats: the fit diverges")
    return r - np.sum(nu * r) / np.sum(nu)


def _negative_log_likelihood(r: NDArray[np.float64], pair: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    gap = r[:, None] - r[None, :]
    return float(np.sum(pair * p * np.logaddexp(0.0, -gap)))


def _require_strongly_connected(game: PreferenceGame) -> None:
    """Ford 1957: the maximum exists iff every response can reach every other along p > 0."""
    loses_to = game.preferences.T > 0
    reach = loses_to | np.eye(game.n, dtype=bool)
    for _ in range(int(np.ceil(np.log2(max(game.n, 2))))):
        reach = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
    closed = reach[np.argmin(reach.sum(axis=1))]  # the smallest set that never loses to the rest
    if not np.all(closed):
        names = ", ".join(game.labels[i] for i in np.flatnonzero(closed)[:5])
        raise BadInput(f"no Bradley-Terry reward fits {game.name!r}: {names} never lose(s) to the rest (Ford 1957)")

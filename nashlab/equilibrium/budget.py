"""KL budgets: the τ whose equilibrium has a given divergence from the reference, and what one can buy (N23)."""

from __future__ import annotations

import math

import numpy as np

from nashlab.equilibrium.regularised import regularised_nash
from nashlab.game import BadInput, PreferenceGame

__all__ = ["temperature_for", "win_rate_bound"]

COLDEST = 1e-6  # the lowest temperature tried
LEAST = 1e-12  # the smallest divergence: of a smaller one, log π − log μ is known to fewer than nine digits


def temperature_for(game: PreferenceGame, divergence: float) -> float:
    """The temperature τ at which KL(π*_τ‖μ) = κ, in nats.

    KL(π*_τ‖μ) grows with 1/τ, so this τ is unique; KL ≤ 1/(24τ²) gives the start, and bisection in log τ finds it to a
    relative 1e-9.  The divergence of a contextual game is averaged over its prompts.

    Errors: BadInput if κ is below 1e-12, or exceeds the divergence at every temperature down to 1e-6.
    Source: N23 (b), (c).

    >>> from nashlab.arrays import kl
    >>> rps = PreferenceGame.from_margins([[0, 0.5, -0.5], [-0.5, 0, 0.5], [0.5, -0.5, 0]], reference=[0.5, 0.3, 0.2])
    >>> tau = temperature_for(rps, 0.01)
    >>> round(tau, 4), round(float(kl(regularised_nash(rps, tau).log_policy, rps.log_reference)), 9)
    (0.6411, 0.01)
    """
    if not LEAST <= divergence < np.inf:
        raise BadInput(f"kl = {divergence:g}, must be at least {LEAST:g} and finite")
    if game.batch and game.weights is None:
        raise BadInput("kl: a budget applies to one game, not to a batch")
    high = 1.0 / np.sqrt(24.0 * divergence)
    low, spent = high, _spent(game, high)
    while spent < divergence:
        high, low = low, low / 4
        if low < COLDEST and spent < LEAST:
            raise BadInput(f"kl = {divergence:g}: the reference is the equilibrium, at every temperature")
        if low < COLDEST:
            raise BadInput(f"kl = {divergence:g}, must be at most {spent:.6g}: no temperature gives more on this game")
        spent = _spent(game, low)
    while high / low > 1 + 1e-9:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _spent(game, middle) >= divergence else (low, middle)
    return float(np.sqrt(low * high))


def _spent(game: PreferenceGame, temperature: float) -> float:
    """KL(π*_τ‖μ), averaged over prompts, as Σ μ(he^h − e^h + 1): of small h, the terms of Σ πh cancel."""
    held = np.isfinite(game.log_reference)
    h = np.where(held, regularised_nash(game, temperature).log_policy - np.where(held, game.log_reference, 0.0), 0.0)
    grown = np.expm1(h)
    return game.mean(np.sum(game.reference * (h * grown - (grown - h)), axis=-1))


def win_rate_bound(divergence: float) -> float:
    """W(κ), the largest P(π ≻ ν) of any preferences and policies with KL(π‖ν) = κ, in nats.

    W(κ) = inf_λ (κ + log((e^λ − 1)/λ))/λ ≤ ½ + √(κ/6).  It is the mean of the density ∝ e^{λu} on [0, 1] whose
    divergence from the uniform density is κ.  W is concave, so the mean divergence bounds the mean win rate.

    Errors: BadInput where κ is negative or not a number.
    Source: N23 (d).

    >>> [round(win_rate_bound(kappa), 3) for kappa in (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 1e6)]
    [0.5, 0.628, 0.774, 0.865, 0.95, 0.998, 1.0]
    """
    from scipy.optimize import brentq

    if not divergence >= 0:
        raise BadInput(f"divergence = {divergence}, must be at least 0")
    if divergence < 1e-6:
        return 0.5 + math.sqrt(divergence / 6)  # W to 1e-9
    if divergence > 40:
        return 1.0  # to rounding
    rate = brentq(lambda rate: _tilted(rate)[1] - divergence, 1e-4, math.exp(divergence + 2), xtol=1e-12)
    return min(1.0, _tilted(rate)[0])


def _tilted(rate: float) -> tuple[float, float]:
    """(mean, divergence from uniform) of the density ∝ e^{λu} on [0, 1]."""
    below = -math.expm1(-rate)
    mean = 1.0 / below - 1.0 / rate
    return mean, rate * (mean - 1.0) - math.log(below / rate)

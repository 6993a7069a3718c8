"""Methods at equal KL: what a budget of KL(π‖μ) buys at best, and what each method makes of it.

    equilibrium of the budget    q = π*_τ with mean KL(q‖μ) = κ:  it beats every π of that KL, by τ KL(π‖q)   (N23a)
    best response of the budget  ∝ μ exp(p(· ≻ μ)/τ) with mean KL κ:  the largest win rate against μ          (N23d)

KL and win rates are means over texts, and τ is the same for all texts: the game restricted to a mean KL.  A run is
brought to a budget along its own path: the geometric mixture of two snapshots with exactly that KL.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax

from nashlab.arrays import kl
from nashlab.equilibrium import regularised_nash, temperature_for
from nashlab.game import BadInput, PreferenceGame

__all__ = ["Budget", "along", "budget", "geometric", "win_rate"]

Array = NDArray[np.float64]
COLDEST, HOTTEST = 1e-3, 1e3
"""The temperatures between which the best response's own is sought."""


@dataclass(frozen=True)
class Budget:
    """What a mean KL to μ can buy.

    kl      κ;  temperature, log_equilibrium  τ and log π*_τ [X, K] with that KL.
    best_temperature, log_best  the same of the best response to μ, whose win rate against μ is the largest.
    """

    kl: float
    temperature: float
    log_equilibrium: Array
    best_temperature: float
    log_best: Array


def budget(margins: Array, log_mu: Array, kappa: float) -> Budget:
    """The equilibrium and the best response to μ of a mean KL; both KLs decrease in τ (N23b).

    margins [X, K, K];  log_mu [X, K].
    Raises :class:`BadInput` for a KL that no temperature has.

    >>> rps = np.array([[[0, 0.4, -0.4], [-0.4, 0, 0.4], [0.4, -0.4, 0]]])
    >>> round(budget(rps, np.log([[0.6, 0.3, 0.1]]), 0.1).temperature, 4)
    0.2164
    """
    mu = np.exp(log_mu)
    everywhere = np.full(len(mu), 1 / len(mu))
    game = PreferenceGame.from_margins(margins, reference=mu / mu.sum(axis=1, keepdims=True), weights=everywhere)
    temperature = temperature_for(game, kappa)
    log_equilibrium = np.asarray(regularised_nash(game, temperature).log_policy)
    against_mu = np.einsum("xij,xj->xi", margins, mu)

    def best_response(log_temperature: float) -> Array:
        return np.asarray(log_softmax(log_mu + against_mu / np.exp(log_temperature), axis=1))

    def excess(log_temperature: float) -> float:
        return float(kl(best_response(log_temperature), log_mu).mean()) - kappa

    low, high = np.log(COLDEST), np.log(HOTTEST)
    if excess(low) < 0:
        raise BadInput(f"kl = {kappa:g}, must be at most {excess(low) + kappa:.6g}, that of the best response to μ")
    best = float(brentq(excess, low, high, xtol=1e-13, rtol=1e-14))
    return Budget(kappa, temperature, log_equilibrium, float(np.exp(best)), best_response(best))


def geometric(log_one: Array, log_other: Array, share: float) -> Array:
    """log of the normalised mixture π^(1−share) π'^share, [X, K]."""
    return np.asarray(log_softmax((1 - share) * log_one + share * log_other, axis=-1))


def along(snapshots: Sequence[Array], log_mu: Array, kappa: float) -> Array | None:
    """The policy of mean KL κ on a run's path through its snapshots [X, K]; None if the run does not get there.

    Among two neighbouring snapshots on either side of κ, the first pair; between them the geometric mixture.
    """
    kls = [float(kl(log_pi, log_mu).mean()) for log_pi in snapshots]
    for (before, start), (after, end) in itertools.pairwise(zip(kls, snapshots, strict=True)):
        if before <= kappa <= after and before < after:

            def excess(share: float, start: Array = start, end: Array = end) -> float:
                return float(kl(geometric(start, end, share), log_mu).mean()) - kappa

            return geometric(start, end, float(brentq(excess, 0.0, 1.0, xtol=1e-14, rtol=1e-14)))
    return None


def win_rate(margins: Array, log_ours: Array, log_theirs: Array) -> Array:
    """P(ours ≻ theirs) text by text, [X]."""
    return np.asarray(0.5 + np.einsum("xi,xij,xj->x", np.exp(log_ours), margins, np.exp(log_theirs)))

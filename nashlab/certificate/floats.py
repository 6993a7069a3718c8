"""Certificates in float64: fast, batched, on any array library; they ignore their own rounding.

    BR(π) ∝ μ exp(Aπ/τ),   G(π) = τ KL(π ‖ BR(π))                                   exploitability, E2
    r = log π − log μ − Aπ/τ,   ‖π − π*_τ‖₁ ≤ 2 tanh(osc(r)/4)                       residual bound, E3
    ‖π − π*_τ‖₁ ≤ √(2G/τ)                                                            gap bound, N14
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import Array, array_namespace, log_softmax, logsumexp, oscillation
from nashlab.game import PreferenceGame, check_temperature

__all__ = ["Certificate", "best_response", "certify", "exploitability", "gap", "residual"]

TAME = 500.0  # e⁵⁰⁰ is far from overflow
FLAT = 1e-250  # a temperature below which G = τ·KL may leave float64 where KL is still a distance


@dataclass(frozen=True)
class Certificate:
    """What is proved about a policy: each field is one number, or one per prompt, shape [X].

    exploitability  G(π) in units of preference (an upper bound where ``rigorous``).
    l1_bound        an upper bound of ‖π − equilibrium‖₁ in [0, 2]; None if none is known.
    kind            "float", "ball" or "rational": the arithmetic it was computed in.
    rigorous        True if no rounding error was neglected, including that of the printed numbers.
    witness         anything else a verifier needs to check the bound, or None (see :func:`enclose_projection`).
    """

    exploitability: Any
    l1_bound: Any
    kind: str
    rigorous: bool
    witness: Mapping[str, Any] | None = None

    @property
    def worst_l1_bound(self) -> float:
        """The largest bound over prompts; ∞ if none is known."""
        return math.inf if self.l1_bound is None else float(np.max(self.l1_bound))


def best_response(advantage: Array, log_reference: Array, temperature: float | Array) -> Array:
    """log BR ∝ log μ + Aπ/τ, shape [..., n] (E2)."""
    return log_softmax(log_reference + advantage / temperature)


def residual(advantage: Array, log_reference: Array, log_policy: Array, temperature: float | Array) -> Array:
    """r = log π − log μ − Aπ/τ, shape [..., n]; constant on the support exactly at π*_τ (E1, E3); 0 on padding."""
    xp = array_namespace(log_policy)
    inside = xp.isfinite(log_reference)
    zero = xp.zeros_like(log_policy)
    return xp.where(inside, log_policy, zero) - xp.where(inside, log_reference + advantage / temperature, zero)


def gap(advantage: Array, log_reference: Array, log_policy: Array, temperature: float | Array) -> Array:
    """G(π) = τ KL(π ‖ BR(π)), shape [..., n] -> [...], for τ > 0 and any policy on the support of μ (E2).

    KL is a small difference of large terms, so it is computed as log(1 + E_π[e^{−r} − 1 + r]) with E_π r = 0 (N15): a
    sum of non-negative terms, with relative accuracy down to r ~ 1e-15.  Only if e^{−r} would overflow, or π leaves out
    part of the support of μ, it is computed as E_π r + log Σ μ e^{Aπ/τ}.
    """
    xp = array_namespace(log_policy)
    held, inside = xp.isfinite(log_policy), xp.isfinite(log_reference)
    zero, weight = xp.zeros_like(log_policy), xp.exp(log_policy)
    reply = xp.where(inside, log_reference + advantage / temperature, zero)
    r = xp.where(held, log_policy, zero) - xp.where(held, reply, zero)
    mean = xp.sum(weight * r, axis=-1)
    r = r - mean[..., None]
    # clipped before the sum, selected after it: selecting first would keep compilers from fusing the two
    series = _excess(weight, xp.where(r > -TAME, r, zero - TAME))
    plain = mean + logsumexp(xp.where(inside, reply, zero - xp.inf))[..., 0]
    rough = xp.any(xp.where(held, r <= -TAME, inside), axis=-1)
    value = xp.where(rough, plain, series)
    return temperature * xp.where(value > 0, value, xp.zeros_like(value))


def _excess(weight: Array, r: Array) -> Array:
    """log E[e^{−r}] for weights with E r = 0, [..., n] -> [...]."""
    xp = array_namespace(r)
    return xp.log1p(xp.sum(weight * (xp.expm1(-r) + r), axis=-1))


def exploitability(game: PreferenceGame, log_policy: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """G(π) = max_π' J(π', π) − ½, shape [..., n] -> [...]: what the best reply gains; 0 exactly at an equilibrium.

    At τ = 0 it is max_y p(y ≻ π) − ½.  Source: E2, E6.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> round(float(exploitability(game, np.log([0.5, 0.5]), 0.0)), 12)
    0.1
    """
    tau = check_temperature(temperature)
    advantage = game.advantage(log_policy)
    if tau == 0:
        # max_y (Aπ)_y ≥ π·Aπ = 0 in exact arithmetic: anything below 0 is rounding
        return np.maximum(np.max(np.where(game.support, advantage, -np.inf), axis=-1), 0.0)
    return gap(advantage, game.log_reference, log_policy, tau)


def certify(game: PreferenceGame, log_policy: NDArray[np.float64], temperature: float) -> Certificate:
    """The float64 certificate: G(π) and the smaller of the bounds of E3 and N14, per prompt.

    At τ = 0 a small gap bounds no distance (E6b), so ``l1_bound`` is None there.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> round(float(certify(game, np.log([0.5498339973, 0.4501660027]), 1.0).l1_bound), 8)
    0.0
    """
    tau = check_temperature(temperature)
    if tau == 0:
        return Certificate(exploitability(game, log_policy, tau), None, "float", rigorous=False)
    advantage = game.advantage(log_policy)
    if not game.batch:
        found = _certify_tame(advantage, game.log_reference, log_policy, tau)
        if found is not None:
            return found
    value = gap(advantage, game.log_reference, log_policy, tau)
    r = residual(advantage, game.log_reference, log_policy, tau)
    with np.errstate(invalid="ignore"):
        spread = oscillation(r, game.support)
    spread = np.where(np.isnan(spread), np.inf, spread)
    by_gap = np.sqrt(2.0 * value / tau) if tau > FLAT else np.inf
    bound = np.minimum(2.0 * np.tanh(spread / 4.0), by_gap)
    return Certificate(value, np.minimum(bound, 2.0), "float", rigorous=False)


def _certify_tame(
    advantage: NDArray[np.float64], log_mu: NDArray[np.float64], log_policy: NDArray[np.float64], tau: float
) -> Certificate | None:
    """The same for one game whose residual, [n], is finite and tame, as near every equilibrium; None: it is not."""
    weight = np.exp(log_policy)
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves float64 is not tame
        r = advantage / tau
        r += log_mu
        np.subtract(log_policy, r, out=r)
        r -= weight.dot(r)
    low, high = float(r[r.argmin()]), float(r[r.argmax()])
    if not (low > -TAME and high < math.inf):  # also if a response has no mass
        return None
    excess = max(math.log1p(float(weight.dot(np.expm1(-r) + r))), 0.0)  # as in _excess
    value = tau * excess
    bound = min(2.0 * math.tanh((high - low) / 4.0), math.sqrt(2.0 * (value / tau if tau > FLAT else excess)), 2.0)
    return Certificate(np.float64(value), np.float64(bound), "float", rigorous=False)

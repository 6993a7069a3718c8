"""Diagnostics from a few completions of a policy: log-ratios h = log π − log μ, and p(y ≻ y') between two of a prompt.

If π is the equilibrium of every prompt's game, pairs y, y' sampled from it satisfy

    E[(p − ½)(h − h')] = τ E[(h − h')²]       N28: the slope of wins on log-ratios is τ
    E[(h − h')²] ≤ E|h − h'| / (2τ)           N22, integrated over all thresholds of h: whatever the preferences are

and for any two policies and any preferences

    P(π ≻ μ) ≤ W(KL(π‖μ))                     N23: the largest win rate at a given divergence; W is concave

All three are stated for means over prompts.  With one pair per prompt, ratios of means come with Fieller's interval.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from nashlab.equilibrium import win_rate_bound
from nashlab.game import BadInput

__all__ = ["log_ratio_slope", "quotient", "ratio_stretch", "upper_mean", "win_rate_most"]


def quotient(above: ArrayLike, below: ArrayLike, level: float = 0.95) -> tuple[float, float, float] | None:
    """E u/E v with its confidence interval, from independent pairs (u, v), [n] each: (estimate, low, high).

    Fieller's interval: the numbers s for which Student's t does not reject E[u − s v] = 0; asymptotically exact.
    None if the interval is unbounded, as when E v = 0 is not rejected.

    Source: Fieller 1954, Some problems in interval estimation.

    >>> [round(x, 3) for x in quotient([1.0, 2.0, 3.1, 3.9], [2.0, 4.0, 6.0, 8.0])]
    [0.5, 0.471, 0.571]
    """
    from scipy.stats import t

    u, v = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if u.shape != v.shape or u.ndim != 1:
        raise BadInput(f"above has the shape {u.shape} and below {v.shape}, must be [n] both")
    if len(u) < 2 or not v.any():
        return None
    share = float(t.ppf(0.5 + level / 2, len(u) - 1)) ** 2 / len(u)
    (uu, uv), (_, vv) = share * np.cov(u, v)
    a, b, c = v.mean() ** 2 - vv, u.mean() * v.mean() - uv, u.mean() ** 2 - uu
    if a <= 0:
        return None
    root = math.sqrt(max(0.0, b * b - a * c))
    return float(u.mean() / v.mean()), float((b - root) / a), float((b + root) / a)


def log_ratio_slope(p: ArrayLike, gaps: ArrayLike, level: float = 0.95) -> tuple[float, float, float] | None:
    """The effective temperature E[(p − ½) d]/E[d²], d = h − h', with its interval; τ at π*_τ (N28).

    p, gaps  of one pair per prompt, sampled from the policy, [n].  None if no log-ratios differ.
    """
    d = np.asarray(gaps, dtype=np.float64)
    return quotient((np.asarray(p, dtype=np.float64) - 0.5) * d, d**2, level)


def ratio_stretch(gaps: ArrayLike, tau: float, level: float = 0.95) -> tuple[float, float, float] | None:
    """2τ E[d²]/E|d|, d = h − h', with its interval; above 1 the policy is π*_τ for no preferences at all (N22)."""
    d = np.asarray(gaps, dtype=np.float64)
    found = quotient(2 * tau * d**2, np.abs(d), level)
    return None if found is None else (found[0], max(0.0, found[1]), found[2])


def upper_mean(values: ArrayLike, level: float = 0.95) -> float:
    """The upper end of Student's interval for the mean of independent numbers, [n]; inf for a single one."""
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return math.inf
    return float(x.mean() + t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))


def win_rate_most(log_ratios: ArrayLike, level: float = 0.95) -> float:
    """W(KL(π‖μ)), the largest win rate against μ for any preferences (N23), with KL at its interval's upper end.

    log_ratios  log π − log μ of completions of the policy, averaged within each prompt, [n].
    """
    return win_rate_bound(max(0.0, upper_mean(log_ratios, level)))

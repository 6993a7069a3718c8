"""Diagnostics from a few completions of a policy: log-ratios h = log π − log μ, and p(y ≻ y') between two of a prompt.

If π is the equilibrium of every prompt's game, pairs y, y' sampled from it satisfy

    E[(p − ½)(h − h')] = τ E[(h − h')²]       N28: the slope of wins on log-ratios is τ
    E[(h − h')²] ≤ E|h − h'| / (2τ)           N22, integrated over all thresholds of h: whatever the preferences are

and for any two policies and any preferences

    P(π ≻ μ) ≤ W(KL(π‖μ))                     N23: the largest win rate at a given divergence; W is concave
    G ≤ τ KL(π‖μ) − ½ + τ log E e^{p(y₀ ≻ y)/τ}    N15, and Jensen: y₀ from μ and y from π, independently

and for the mixture ν of two completions' S = log ν − (1−β) log π − β log μ, made token by token,

    Var S = ½ E (S − S')²                     N25: of 0, ν is the sequence-level mixture

All are stated for means over prompts.  With one pair per prompt, ratios of means come with Fieller's interval.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from nashlab.equilibrium import win_rate_bound
from nashlab.game import BadInput

__all__ = [
    "gap_most",
    "log_ratio_slope",
    "mixture_sd",
    "quotient",
    "ratio_stretch",
    "share_interval",
    "upper_mean",
    "win_rate_most",
]


def share_interval(wins: float, total: int, level: float = 0.95) -> tuple[float, float]:
    """A confidence interval for the mean of ``total`` independent numbers in [0, 1] whose sum is ``wins``.

    Clopper-Pearson's, at a sum that need not be whole: numbers in [0, 1] vary no more than coins of the same mean
    (Hoeffding 1963), so for shares it is conservative, and for coins it is the exact one.

    >>> [round(v, 4) for v in share_interval(0, 10)]
    [0.0, 0.3085]
    """
    from scipy.stats import beta

    if not 0 <= wins <= total:
        raise BadInput(f"wins = {wins}, must be between 0 and total = {total}")
    if not 0 < level < 1:
        raise BadInput(f"level = {level}, must be between 0 and 1")
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, wins, total - wins + 1)) if wins > 0 else 0.0
    high = float(beta.ppf(1 - tail, wins + 1, total - wins)) if wins < total else 1.0
    return low, high


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
    return win_rate_bound(max(upper_mean(log_ratios, level), 0.0))


def gap_most(losses: ArrayLike, log_ratios: ArrayLike, tau: float, level: float = 0.95) -> float | None:
    """An upper bound of G(π) = max_π' J(π', π) − ½, averaged over prompts, from what μ's completions win (N15).

    losses      p(y₀ ≻ y) of completions of μ against the policy's, [n, k]: n prompts, k pairs of each.
    log_ratios  log π − log μ of completions of the policy, averaged within each prompt, [n].

    Each of the two terms is at the upper end of its interval, Student's for KL and :func:`share_interval` for the
    other, whose numbers e^{(p − 1)/τ} are in [0, 1]; so it holds at ``level``.  ‖π − π*_τ‖₁ ≤ √(2G/τ) (N14).  None for
    one prompt, which bounds nothing.

    >>> round(gap_most([[0.5]] * 400, [0.0] * 400, 1.0), 3)  # π = μ, all even: G = 0
    0.076
    """
    lost, spent = np.asarray(losses, dtype=np.float64), upper_mean(log_ratios, level)
    if not 0 < tau < math.inf:
        raise BadInput(f"tau = {tau}, must be positive and finite")
    if not math.isfinite(spent):
        return None
    grown = np.exp((lost - 1) / tau).mean(axis=1)
    most = share_interval(min(float(grown.sum()), len(grown)), len(grown), level)[1]
    return max(0.0, tau * spent + 0.5 + tau * math.log(most))


def mixture_sd(tilts: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """(sd of S within a prompt, its upper confidence bound), from the S of two completions of ν for each, [n, 2] (N25).

    At a fixed point ν is the equilibrium for the reference μe^S, not μ: where S does not vary that is the same.
    """
    s = np.asarray(tilts, dtype=np.float64)
    halves = 0.5 * (s[:, 0] - s[:, 1]) ** 2
    return math.sqrt(float(halves.mean())), math.sqrt(upper_mean(halves, level))

"""The bounds of :func:`nashlab.certificate.certify_ball` near an equilibrium, by a-priori bounds of every rounding.

For x = r − m with any number m, KL(π‖BR) = E r + log E e^{−r} ≤ ½ e^{max|x|} E x², since e^{−x} − 1 + x ≤ ½x² e^{|x|}.
What is not near, not in doubles, or not of ordinary size is left to balls.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate import rounding
from nashlab.certificate.floats import Certificate
from nashlab.certificate.lotteries import printed_apart
from nashlab.certificate.rounding import ABOVE, LONG_UNIT, TINY
from nashlab.game import PreferenceGame

__all__ = ["certified", "refined"]

Array = NDArray[np.float64]
Long = NDArray[np.longdouble]

NEAR = 1e-6  # of max|x|: the bound of KL is then too large by a millionth at most
ORDINARY = 1e100  # margins and τ between this and its inverse neither overflow nor come near TINY
REFINEMENTS = 60  # of N18(c)'s bound: each reduces it by at least a tenth


class Policy(NamedTuple):
    """π = softmax(log π) of the given doubles, [n], each within ``error``, and log π − log μ up to a constant."""

    pi: Long
    error: Array
    h: Long
    h_error: Array


def certified(game: PreferenceGame, log_policy: Array, tau: float) -> Certificate | None:
    """A rigorous certificate of one game of doubles at τ > 0; None: not by these bounds."""
    largest = float(game.largest)
    ordinary = game.exact is None and all(1 / ORDINARY < x < ORDINARY for x in (largest, tau))
    if not ordinary or not np.isfinite(log_policy).all():
        return None
    policy = _policy(game, log_policy)
    if policy is None:
        return None
    n, lost = game.n, float(policy.error.sum())
    advantage = rounding.extended(game.margins, policy.pi)
    # |A||π| ≤ max|A|: one number bounds the error of all products
    slack = (largest * (2 * (n + 2) * LONG_UNIT + lost) + n * TINY) * ABOVE
    judged = [_judged(policy, advantage, slack, t) for t in _readings(tau)]
    value, bound = (max(each) for each in zip(*judged, strict=True))
    if not value <= largest:  # also if it is NaN
        return None
    apart, mass = printed_apart(log_policy, np.exp(log_policy), policy.pi)
    total = (bound + float(apart.sum()) + lost) * ABOVE
    return Certificate(value, min(total, 1.0 + mass), "ball", rigorous=True)


def _policy(game: PreferenceGame, log_policy: Array) -> Policy | None:
    n = game.n
    mass, _ = rounding.exponential(log_policy)
    total = mass.sum()
    if not 0.5 < float(total) < 2.0:
        return None
    pi = mass / total
    # the exponential's error twice, that of a sum of n, and of a quotient
    error = pi.astype(np.float64) * ((2 * rounding.EXP_ERROR + n + 2) * LONG_UNIT * ABOVE) + 4 * TINY
    size = LONG_UNIT * np.abs(log_policy)
    if game.given is None:  # log μ is a constant
        return Policy(pi, error, log_policy.astype(np.longdouble), np.zeros(n))
    if not all(isinstance(x, float) for x in game.given):
        return None
    mu = np.array(game.given)
    rough = np.log(mu)
    value, _ = rounding.exponential(-rough)
    rest = mu * value - 1  # log μ = rough + log(1 + rest)
    if not float(np.abs(rest).max()) < 1e-10:
        return None
    missing = rest.astype(np.float64) ** 2 + ((rounding.EXP_ERROR + 4) * LONG_UNIT + size + LONG_UNIT * np.abs(rough))
    return Policy(pi, error, (log_policy - rough.astype(np.longdouble)) - rest, 2 * missing * ABOVE)


def _readings(tau: float) -> list[np.longdouble]:
    """A printed temperature as the double and, if different, as its text, to twice the unit of extended precision."""
    away = float(Fraction(repr(tau)) - Fraction(tau))
    return [np.longdouble(tau)] + ([np.longdouble(tau) + np.longdouble(away)] if away else [])


def _judged(policy: Policy, advantage: Long, slack: float, tau: np.longdouble) -> tuple[float, float]:
    """(G(π), a bound of ‖π − π*_τ‖₁), rounded upwards, for Aπ within ``slack``; NaN or ∞ if it is not near."""
    n, t = len(policy.pi), float(tau)
    pull = advantage / tau
    r = policy.h - pull
    m = (policy.pi * r).sum()
    x = (r - m).astype(np.float64)
    sizes = np.abs(policy.h).astype(np.float64) + 2 * np.abs(pull).astype(np.float64) + abs(float(m))
    error = (policy.h_error + slack / t + 4 * LONG_UNIT * sizes + 2 * rounding.UNIT * np.abs(x)) * ABOVE
    weight, size = policy.pi.astype(np.float64) * ABOVE + policy.error, np.abs(x) + error
    largest = float(size.max())
    if not largest < NEAR:
        return math.inf, 2.0
    first, square = float(weight @ size) * ABOVE, float(weight @ (size * size)) * ABOVE
    # |E x|: of the numbers computed, and what their errors, those of π and of the sum add
    off = abs(float((policy.pi * x).sum())) + float(weight @ error) + float(policy.error.sum()) * largest
    off = (off + (n + 2) * LONG_UNIT * first) * ABOVE
    divergence = square * math.exp(largest) / 2 * ABOVE
    spread = (float((x + error).max()) - float((x - error).min())) * ABOVE
    best = min(math.sqrt(2 * divergence) * ABOVE, spread / 2, 2.0)
    return t * divergence * ABOVE, refined(best, first + off, square, largest + off)


def refined(best: float, first: float, square: float, largest: float) -> float:
    """N18(c) from a bound ``best``: (E|r̃| + uM/4 + √(E r̃² + uM²/4))/2 for u = the bound so far, while it helps."""
    for _ in range(REFINEMENTS):
        u = best / 4
        better = min(best, (first + u * largest + math.sqrt(square + u * largest * largest)) / 2 * ABOVE)
        if not better < 0.9 * best:
            return better
        best = better
    return best

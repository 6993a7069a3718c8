"""The regularised equilibrium by products with A alone: extragradient, and faster steps kept where they help.

With h = log π − log μ up to a constant, w = ητ/(1+ητ) and η = 2(τ + √(1+τ²)) for |A| ≤ ½, extragradient is

    h½ = (1−w) h + wt Aπ,   h₊ = (1−w) h + wt Aπ½              KL(π*‖π₊) ≤ e^{−2 arcsinh τ} KL(π*‖π), from anywhere: N26

Two faster methods are tried first.  Newton's matrix in the coordinates √π is I − S, S skew (E4), for which a recurrence
of three terms takes the place of a basis of all vectors before (Concus and Golub 1976, Widlund 1978).  While it is fast
it is applied to F itself,

    h₊ = h₋ + ω (tAπ − h₋),   1/ω = 1 + ρ/(ρ₋ω₋),   ρ = Var_π F,   F = h − tAπ

then to Newton's directions, with products in single precision if there are any.  A direction is followed only if that
halves osc F, which can happen only so often; extragradient converges from wherever it stands, so the whole ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["At", "Near", "Product", "evaluate", "floor", "solve", "start"]

Array = NDArray[np.float64]
Product = Callable[[Array], Array]

EPS = float(np.finfo(np.float64).eps)
ENOUGH = 1e-12  # of osc F: by E3 a distance of at most 5e-13, half the promised bound
UP_TO = 1e6  # of t: far beyond what products can solve, far below overflow of their sums
WINDOW = 4  # steps of the recurrence over which osc F is to fall, so that it goes on: ...
FALL = 0.1  # ... to this share, else directions take fewer products,
FASTER = 0.004  # or to this, else a factorisation, which costs as much as ten steps, takes less time
FORCING = 0.03  # relative accuracy of Newton's first directions
SHARES = (1.0, 0.5, 0.25, 0.125)  # of a Newton direction that are tried
INNER = 4000  # products for one direction
FEWEST = 8  # extragradient steps before the fast methods are tried again, doubled each time


class Near(NamedTuple):
    """What a method found: h, [n], or None if it did not come near; its work; and the nearest h, if it says so."""

    h: Array | None
    factorisations: int = 0
    products: int = 0
    nearest: Array | None = None


class At(NamedTuple):
    """An iterate: h, π, F = h − tAπ, each [n], and osc F."""

    h: Array
    pi: Array
    f: Array
    size: float


def evaluate(multiply: Product, log_mu: Array, h: Array, t: float) -> At:
    """π ∝ μ eʰ and F; h carries its constant, so that F, not only its oscillation, is 0 at the equilibrium."""
    x = log_mu + h
    x -= x[x.argmax()]  # of short vectors, the place of the maximum is found in a quarter of the time of a reduction
    pi: Array = np.exp(x, out=x)
    pi /= np.add.reduce(pi)
    f = t * multiply(pi)
    np.subtract(h, f, out=f)
    return At(h, pi, f, float(f[f.argmax()] - f[f.argmin()]))


def floor(h: Array, t: Any) -> Any:
    """The oscillation of F due to rounding, [..., n] -> [...], below which no method can go."""
    if h.ndim == 1:
        return 4.0 * EPS * (1.0 + max(float(h[h.argmax()]), -float(h[h.argmin()])) + t)
    return 4.0 * EPS * (1.0 + np.maximum.reduce(np.abs(h), axis=-1) + t)


def solve(
    multiply: Product, log_mu: Array, t: float, effective: float, patience: int, rough: Product | None = None
) -> Near:
    """h, [n], with osc F at the level of rounding, in at most about ``patience`` products; ``nearest`` if they are not
    enough.

    effective  τ/(2 max|A|), which gives extragradient its step;  rough  the product in less precision, for directions.
    """
    if t > UP_TO:
        return Near(None)
    work = _Work(multiply, rough or multiply, log_mu, t)
    now = _recurred(work, FALL)
    steps = FEWEST
    while not work.solved(now) and work.products < patience:
        ahead = _newton_step(work, now, patience)
        if ahead is None:
            now, steps = _extragradient(work, now, effective, steps), 2 * steps
        else:
            now = ahead
    return Near(now.h if work.solved(now) else None, 0, work.products, now.h)


def start(multiply: Product, log_mu: Array, t: float) -> Near:
    """The recurrence alone, for as long as it is very fast: h if it reaches the level of rounding, and the nearest."""
    work = _Work(multiply, multiply, log_mu, t, enough=0.0)
    now = _recurred(work, FASTER)
    return Near(now.h if work.solved(now) else None, 0, work.products, now.h)


class _Work:
    """One problem, and the number of products spent on it."""

    def __init__(self, multiply: Product, rough: Product, log_mu: Array, t: float, enough: float = ENOUGH):
        self.log_mu, self.t, self.enough, self.products = log_mu, t, enough, 0
        self._multiply, self._rough = multiply, rough

    def at(self, h: Array) -> At:
        self.products += 1
        return evaluate(self._multiply, self.log_mu, h, self.t)

    def rough(self, v: Array) -> Array:
        self.products += 1
        return self._rough(v)

    def solved(self, now: At) -> bool:
        return now.size <= self.enough or now.size <= 4.0 * floor(now.h, self.t)


def _recurred(work: _Work, fall: float) -> At:
    """The best point of the recurrence from μ, which ends when osc F has not fallen so much over a window of steps."""
    now = best = work.at(np.zeros_like(work.log_mu))
    before, share, size, sizes = now.h, 1.0, _variance(now), [now.size]
    while not work.solved(now) and (len(sizes) <= WINDOW or sizes[-1] <= fall * sizes[-1 - WINDOW]):
        before, now = now.h, work.at(_between(before, now.h - now.f, share))
        share, size = _next_share(share, size, moved := _variance(now)), moved
        best = now if now.size < best.size else best
        sizes.append(best.size)
    return best


def _variance(now: At) -> float:
    """Var_π F."""
    centred = now.f - now.pi.dot(now.f)
    return float(now.pi.dot(np.multiply(centred, centred, out=centred)))


def _between(a: Array, b: Array, share: float) -> Array:
    """a + share · (b − a), in the memory of b."""
    b -= a
    b *= share
    b += a
    return b


def _next_share(share: float, before: float, now: float) -> float:
    """ω from the last one and the squares of two residuals."""
    return share * before / (share * before + now) if now else 1.0


def _newton_step(work: _Work, now: At, patience: int) -> At | None:
    """The first share of Newton's direction, solved as well as it can help, that halves osc F; None: none does."""
    accuracy = max(min(FORCING, 0.1 * now.size), 0.1 * ENOUGH / now.size)
    shift = _shift(work, now, accuracy, patience)
    if shift is None:
        return None
    step = work.t * work.rough(shift) - now.f
    for share in SHARES:
        ahead = work.at(now.h + share * step)
        if ahead.size <= 0.5 * now.size or work.solved(ahead):
            return ahead
    return None


def _shift(work: _Work, now: At, accuracy: float, patience: int) -> Array | None:
    """The shift Dd of π for (I − tAD) d = −F: the recurrence on I − S in the coordinates √π."""
    root = np.sqrt(now.pi)
    scaled = work.t * root
    residual = -root * now.f
    residual -= root.dot(residual) * root  # orthogonal to √π, as all vectors here
    z = before = last = np.zeros_like(residual)
    share, size = 1.0, float(residual.dot(residual))
    goal = accuracy**2 * size
    for _ in range(INNER):
        if size <= goal:
            return root * z
        if work.products >= patience:
            return None
        # z₊ = z₋ + ω (z + r − z₋),  r₊ = r₋ + ω (Sr − r₋)
        z, before = _between(before, z + residual, share), z
        pull = work.rough(root * residual)
        pull *= scaled
        pull -= root.dot(pull) * root
        residual, last = _between(last, pull, share), residual
        share, size = _next_share(share, size, square := float(residual.dot(residual))), square
    return None


def _extragradient(work: _Work, now: At, effective: float, steps: int) -> At:
    """The given number of steps of N26, or fewer if the equilibrium is reached."""
    share = 2.0 * effective * (effective + np.hypot(1.0, effective))  # ητ
    w = share / (1.0 + share)
    for _ in range(steps):
        if work.solved(now):
            break
        half = work.at(now.h - w * now.f)
        now = work.at((1.0 - w) * now.h + w * (half.h - half.f))
    return now

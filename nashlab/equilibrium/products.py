"""The regularised equilibrium by products with A alone: extragradient, and faster steps kept where they help.

With h = log π − log μ up to a constant, w = ητ/(1+ητ) and η = 2(τ + √(1+τ²)) for |A| ≤ ½, extragradient is

    h½ = (1−w) h + wt Aπ,   h₊ = (1−w) h + wt Aπ½              KL(π*‖π₊) ≤ e^{−2 arcsinh τ} KL(π*‖π), from anywhere: N26

Two faster methods are tried first: Anderson's mixing while tλ is small, then Newton's directions by conjugate gradients
with products in single precision if there are any.  A direction is followed only if that halves osc F, F = h − tAπ,
which can happen only so often; extragradient converges from wherever it stands, so the whole ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["At", "Near", "Product", "evaluate", "floor", "solve"]

Array = NDArray[np.float64]
Product = Callable[[Array], Array]

EPS = float(np.finfo(np.float64).eps)
ENOUGH = 1e-12  # of osc F: by E3 a distance of at most 5e-13, half the promised bound
UP_TO = 1e6  # of t: far beyond what products can solve, far below overflow of their sums
WINDOW = 8  # of Anderson's mixing
MIXING = 0.25  # fall of osc F over two mixing steps above which conjugate gradients take fewer products
FORCING = 0.03  # relative accuracy of Newton's first directions
SHARES = (1.0, 0.5, 0.25, 0.125)  # of a Newton direction that are tried
INNER = 2000  # iterations of conjugate gradients for one direction
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
    x -= np.maximum.reduce(x)
    pi: Array = np.exp(x, out=x)
    pi /= np.add.reduce(pi)
    f = h - t * multiply(pi)
    return At(h, pi, f, float(np.maximum.reduce(f) - np.minimum.reduce(f)))


def floor(h: Array, t: Any) -> Any:
    """The oscillation of F due to rounding, [..., n] -> [...], below which no method can go."""
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
    now = _mixed(work, work.at(np.zeros_like(log_mu)))
    steps = FEWEST
    while not work.solved(now) and work.products < patience:
        ahead = _newton_step(work, now, patience)
        if ahead is None:
            now, steps = _extragradient(work, now, effective, steps), 2 * steps
        else:
            now = ahead
    return Near(now.h if work.solved(now) else None, 0, work.products, now.h)


class _Work:
    """One problem, and the number of products spent on it."""

    def __init__(self, multiply: Product, rough: Product, log_mu: Array, t: float):
        self.log_mu, self.t, self.products = log_mu, t, 0
        self._multiply, self._rough = multiply, rough

    def at(self, h: Array) -> At:
        return evaluate(self.product, self.log_mu, h, self.t)

    def product(self, v: Array) -> Array:
        self.products += 1
        return self._multiply(v)

    def rough(self, v: Array) -> Array:
        self.products += 1
        return self._rough(v)

    def solved(self, now: At) -> bool:
        return bool(now.size <= max(ENOUGH, 4.0 * floor(now.h, self.t)))


def _mixed(work: _Work, now: At) -> At:
    """Anderson acceleration of h ← tAπ for as long as it is fast: the best point found."""
    moves, changes = np.zeros((2, WINDOW, len(now.h)))
    gram = np.zeros((WINDOW, WINDOW))
    best, before, k = now, np.inf, 0
    while not work.solved(now) and now.size <= MIXING * before:
        step = -now.f
        if held := min(k, WINDOW):
            past = changes[:held]
            inner = gram[:held, :held].copy()
            # a trace of the identity: near the end the changes are almost parallel
            inner.ravel()[:: held + 1] *= 1.0 + 1e-15 * held
            mixing = np.linalg.solve(inner, past @ now.f)
            step += mixing @ past - mixing @ moves[:held]
        ahead = work.at(now.h + step)
        place = k % WINDOW
        np.subtract(ahead.h, now.h, out=moves[place])
        np.subtract(ahead.f, now.f, out=changes[place])
        gram[place] = gram[:, place] = changes @ changes[place]
        before, now, k = best.size if k % 2 else before, ahead, k + 1
        best = min(best, now, key=lambda x: x.size)
    return best


def _newton_step(work: _Work, now: At, patience: int) -> At | None:
    """The first share of Newton's direction, solved as well as it can help, that halves osc F; None: none does."""
    accuracy = max(min(FORCING, 0.1 * now.size), 0.1 * ENOUGH / now.size)
    shift = _shift(work, now, accuracy, patience)
    if shift is None:
        return None
    step = work.t * work.product(shift) - now.f
    for share in SHARES:
        ahead = work.at(now.h + share * step)
        if ahead.size <= 0.5 * now.size or work.solved(ahead):
            return ahead
    return None


def _shift(work: _Work, now: At, accuracy: float, patience: int) -> Array | None:
    """The shift Dd of π for (I − tAD) d = −F: conjugate gradients on I + SᵀS in the coordinates √π, S skew (E4)."""
    root = np.sqrt(now.pi)
    scaled = work.t * root

    def skew(v: Array) -> Array:  # for v orthogonal to √π, as all are here
        v = scaled * work.rough(root * v)
        return v - root * (root @ v)

    right = -root * now.f
    right -= root * (root @ right)
    z = np.zeros_like(right)
    left = right + skew(right)  # (I − S)ᵀ = I + S
    step, size = left.copy(), float(left @ left)
    goal = accuracy**2 * size
    for _ in range(INNER):
        if size <= goal:
            return root * z
        if work.products >= patience:
            return None
        moved = step - skew(step)
        curved = moved + skew(moved)
        a = size / float(step @ curved)
        z += a * step
        left -= a * curved
        size, before = float(left @ left), size
        step = left + (size / before) * step
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

"""Where several lotteries exist: argmin KL(π‖μ) over the face, the limit of π*_τ as τ → 0 (E5).

minimise Σ x log(x/μ)   over   x = Kc,  Σx = 1,  Hx ≥ 0      (x ≥ 0 takes care of itself: the slope at 0 is −∞)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium.exact import ExactFace, on_face

__all__ = ["project", "rational_projection"]

Array = NDArray[np.float64]

BARRIERS = 10.0 ** -np.arange(2, 21, 2)  # of −ε Σ log(Hx); the last is below float64's resolution of the objective
NEWTON_STEPS = 60
DENOMINATORS = (10**3, 10**6)  # tried for the projection's coordinates
EXPONENT_LIMIT = 64  # of the integer powers in the exact stationarity condition


def project(start: Array, kernel: Array, slack: Array, reference: Array) -> Array:
    """The KL-projection of μ on {x = Kc, Σx = 1, x ≥ 0, Hx ≥ 0}, [k], by Newton inside a vanishing barrier.

    start  a point with x > 0 and Hx > 0, [k];  kernel  K, [k, d+1];  slack  H, [m, k];  reference  μ there, [k].
    """
    basis = np.linalg.qr(kernel)[0]
    total = np.sum(basis, axis=0)
    # directions of the face: combinations of the kernel with sum 0
    tangent = basis @ np.linalg.svd(total[None, :])[2][1:].T
    x = np.asarray(start, dtype=np.float64)
    for barrier in BARRIERS if len(slack) else BARRIERS[-1:]:
        x = _newton(x, tangent, slack, np.log(reference), float(barrier))
    return x / np.sum(x)


def _newton(x: Array, tangent: Array, slack: Array, log_mu: Array, barrier: float) -> Array:
    """Minimise Σ x (log x − log μ) − ε Σ log(Hx) along the tangent directions."""

    def value(y: Array) -> float:
        h = slack @ y
        if np.min(y) <= 0 or (h.size and np.min(h) <= 0):
            return math.inf
        return float(np.sum(y * (np.log(y) - log_mu)) - barrier * np.sum(np.log(h)))

    now = value(x)
    for _ in range(NEWTON_STEPS):
        h = slack @ x
        gradient = tangent.T @ (np.log(x) - log_mu - barrier * slack.T @ (1.0 / h))
        scaled, walls = tangent / np.sqrt(x)[:, None], np.sqrt(barrier) * (slack @ tangent) / h[:, None]
        step = tangent @ np.linalg.solve(scaled.T @ scaled + walls.T @ walls, -gradient)
        length = 1.0
        while (new := value(x + length * step)) > now + 1e-15 * (1.0 + abs(now)) and length > 1e-14:
            length *= 0.5
        if not new <= now + 1e-15 * (1.0 + abs(now)):
            break
        x, now = x + length * step, new
        if length * np.max(np.abs(step) / x) <= 1e-15:
            break
    return x


def rational_projection(
    face: ExactFace, weights: Array, margins: Sequence[tuple[Fraction, ...]]
) -> tuple[Fraction, ...] | None:
    """The projection of the uniform reference as rationals, if it is rational and that can be proved; else None.

    At the optimum Σ_i k_i log x_i = 0 for every direction k of the face, that is Π x_i^{k_i} = 1 for integer k: an
    equation between rationals.
    """
    for limit in DENOMINATORS:
        x = on_face(face, weights, limit, margins)
        if x is not None and all(_stationary(x, face.support, k) for k in _directions(face)):
            return x
    return None


def _directions(face: ExactFace) -> list[list[int]]:
    """Integer vectors that span the face's directions, over its support."""
    columns = [[row[k] for row in face.kernel] for k in range(face.dimension + 1)]
    sums = [sum(c, Fraction(0)) for c in columns]
    anchor = max(range(len(sums)), key=lambda k: abs(sums[k]))
    result = []
    for k, column in enumerate(columns):
        if k == anchor:
            continue
        vector = [u * sums[anchor] - v * sums[k] for u, v in zip(column, columns[anchor], strict=True)]
        common = math.lcm(*(v.denominator for v in vector))
        whole = [int(v * common) for v in vector]
        divisor = math.gcd(*whole) or 1
        result.append([v // divisor for v in whole])
    return result


def _stationary(x: tuple[Fraction, ...], support: tuple[int, ...], k: list[int]) -> bool:
    if max(map(abs, k)) > EXPONENT_LIMIT:
        return False
    product = Fraction(1)
    for i, power in zip(support, k, strict=True):
        product *= x[i] ** power
    return product == 1

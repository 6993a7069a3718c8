"""The theory's side of every check: losses, fields, derivatives and polytopes written out in numpy alone.

Nothing here uses the library, so no mistake can hide on both sides of a comparison.  Policies are log-probabilities;
games are their margins A = P − ½ and log μ.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ROUNDING",
    "Array",
    "Complex",
    "Model",
    "all_vertices",
    "binomial",
    "damped",
    "defect",
    "derivatives",
    "dpo",
    "field",
    "gradient",
    "ipo",
    "kl",
    "kl_nearby",
    "l1",
    "least_residual",
    "log_softmax",
    "log_sum",
    "logistic_fit",
    "loss",
    "loss_gradient",
    "mixture",
    "models",
    "momentum_radius",
    "nearby",
    "objective",
    "objective_gradient",
    "reverse_projection",
    "segment_rate",
    "size",
    "slic",
    "symmetric_kl",
    "transitive_chain",
]

Array = NDArray[np.float64]
Complex = NDArray[Any]

ROUNDING = "both sides are sums of n² terms in float64; complex steps add no error of their own"
STEP = 1e-30


# -- policies ----------------------------------------------------------------------------------------------------------


def log_softmax(logits: Complex) -> Any:
    """x − log Σ eˣ along the last axis, of real or complex logits."""
    shifted = logits - np.maximum.reduce(logits.real, axis=-1, keepdims=True)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=-1, keepdims=True))


def mixture(log_p: Array, log_q: Array, beta: float) -> Array:
    """log m_β, m_β ∝ p^{1−β} q^β."""
    return np.asarray(log_softmax((1 - beta) * log_p + beta * log_q))


def log_sum(x: Array) -> float:
    """log Σ eˣ."""
    top = float(x.max())
    return top + float(np.log(np.exp(x - top).sum()))


def kl(log_p: Array, log_q: Array) -> float:
    """KL(p‖q) of two policies of full support."""
    return float(np.sum(np.exp(log_p) * (log_p - log_q)))


def kl_nearby(log_p: Array, log_q: Array) -> float:
    """KL(p‖q) as Σ (q − p + p log(p/q)): the same number for normalised policies, without its cancellation."""
    p = np.exp(log_p)
    return float(np.sum(np.exp(log_q) - p + p * (log_p - log_q)))


def symmetric_kl(log_p: Array, log_q: Array) -> float:
    """KL(p‖q) + KL(q‖p)."""
    return kl(log_p, log_q) + kl(log_q, log_p)


def l1(log_p: Array, log_q: Array) -> float:
    """‖p − q‖₁."""
    return float(np.sum(np.abs(np.exp(log_p) - np.exp(log_q))))


def size(x: Array) -> float:
    """‖x‖_∞."""
    return float(np.max(np.abs(x)))


def nearby(log_q: Array, rng: np.random.Generator, nearest: float = -6) -> Array:
    """A policy at a random distance from q, from 10 to the power ``nearest`` up to far away."""
    return np.asarray(log_softmax(log_q + 10.0 ** rng.uniform(nearest, 1) * rng.normal(size=log_q.shape)))


def binomial(count: int, p: float) -> Array:
    """The probabilities of 0, 1, ..., ``count`` wins of ``count`` ≤ 1,000 comparisons, [count + 1]."""
    wins = np.arange(count + 1)
    return np.array([math.comb(count, k) for k in wins], dtype=np.float64) * p**wins * (1 - p) ** (count - wins)


# -- derivatives of losses ---------------------------------------------------------------------------------------------


def gradient(f: Callable[[Complex], Any], theta: Array) -> Array:
    """∇f by complex steps: f′(x) = Im f(x + ih)/h with h = 1e-30 has no truncation and no cancellation."""
    shifts = 1j * STEP * np.eye(theta.size)
    return np.array([np.imag(f(theta + shift)) / STEP for shift in shifts])


@dataclass(frozen=True)
class Model:
    """A smooth parametrisation θ -> log π; by default the tabular one, whose θ are logits."""

    theta: Array
    log_policy: Callable[[Complex], Complex] = log_softmax

    def gradient(self, f: Callable[[Complex], Any]) -> Array:
        """∇_θ f(log π_θ)."""
        return gradient(lambda theta: f(self.log_policy(theta)), self.theta)

    def moved(self) -> Any:
        """log π after a complex step of each parameter, [parameters, n]: for functions that take all at once."""
        return self.log_policy(self.theta + 1j * STEP * np.eye(self.theta.size))

    def mixed(self, log_mu: Array, beta: float) -> Model:
        """Its mixture with μ, differentiated through π."""
        return Model(self.theta, lambda theta: log_softmax((1 - beta) * self.log_policy(theta) + beta * log_mu))


def models(log_policy: Array, rng: np.random.Generator) -> list[Model]:
    """The tabular model at a policy, and a two-layer network with fewer parameters, shared between responses."""
    n = log_policy.size
    parameters = max(1, n - 1)
    first, second = rng.normal(size=(n + 2, parameters)), rng.normal(size=(n, n + 2))
    network = Model(rng.normal(size=parameters), lambda theta: log_softmax(np.tanh(theta @ first.T) @ second.T))
    return [Model(log_policy), network]


def loss(value: Callable[[Any, Any, Any], Any], p: Array, h: Complex, log_nu: Array, tau: float) -> Any:
    """The expected pairwise loss of log-ratios h, [..., n], under frozen samples from ν ⊗ ν."""
    nu = np.exp(log_nu.real)
    return nu @ value(h[..., :, None] - h[..., None, :], p, tau) @ nu


def loss_gradient(
    value: Callable[[Any, Any, Any], Any], model: Model, p: Array, log_mu: Array, log_nu: Array, tau: float
) -> Array:
    """∇_θ of :func:`loss` at h = log π_θ − log μ."""
    return np.asarray(np.imag(loss(value, p, model.moved() - log_mu, log_nu, tau)) / STEP)


def ipo(d: Any, p: Any, tau: float) -> Any:
    """IPO's table form."""
    return p * (d - 0.5 / tau) ** 2 + (1 - p) * (-d - 0.5 / tau) ** 2


def dpo(d: Any, p: Any, tau: float) -> Any:
    """DPO's."""
    return p * np.log(1 + np.exp(-tau * d)) + (1 - p) * np.log(1 + np.exp(tau * d))


def slic(d: Any, p: Any, tau: float) -> Any:
    """SLiC's, a hinge."""

    def hinge(x: Any) -> Any:
        return np.where(np.real(x) > 0, x, 0.0)

    return p * hinge(1 - tau * d) + (1 - p) * hinge(1 + tau * d)


def objective(p: Array, log_opponent: Array, log_mu: Array, tau: float, log_pi: Complex) -> Any:
    """P(π ≻ SG ν) − τ KL(π‖μ) of policies [..., n]."""
    return np.sum(np.exp(log_pi) * (p @ np.exp(log_opponent) - tau * (log_pi - log_mu)), axis=-1)


def objective_gradient(model: Model, p: Array, log_opponent: Array, log_mu: Array, tau: float) -> Array:
    """∇_θ of :func:`objective`."""
    return np.asarray(np.imag(objective(p, log_opponent, log_mu, tau, model.moved())) / STEP)


def defect(wrong: Array, right: Array) -> float:
    """The sine of the angle between two gradients: 0 if one is a multiple of the other."""
    a, b = np.linalg.norm(wrong), np.linalg.norm(right)
    if a == 0 or b == 0:
        return 0.0
    across = wrong - (wrong @ right) / b**2 * right
    return float(np.linalg.norm(across) / a)


def logistic_fit(p: Array, nu: Array) -> Array:
    """The r of Σ_j ν_i ν_j (p_ij − σ(r_i − r_j)) = 0, by Newton steps of at most 1."""
    pair, r = np.outer(nu, nu), np.zeros(nu.size)
    for _ in range(40):
        s = 1 / (1 + np.exp(r[None, :] - r[:, None]))
        curvature = pair * s * (1 - s)
        hessian = np.diag(curvature.sum(axis=1)) - curvature
        step = np.linalg.lstsq(hessian, (pair * (p - s)).sum(axis=1), rcond=None)[0]
        r = r + step / max(1.0, size(step))
    return np.asarray(r)


# -- equilibria --------------------------------------------------------------------------------------------------------


def damped(
    margins: Array,
    log_mu: Array,
    tau: float,
    start: Array,
    mixing: float,
    *,
    towards: Array | None = None,
    beta: float = 0.0,
    steps: int = 20_000,
) -> Array:
    """π ∝ μ exp(p(y ≻ m_β(π, other))/τ) by log π ← (1−m) log π + m log BR; β = 0 is the regularised equilibrium."""
    log_pi, floor = start, 1e-15 * max(1.0, 1.0 / tau)
    for _ in range(steps):
        opponent = log_pi if towards is None else mixture(log_pi, towards, beta)
        reply = log_mu + margins @ np.exp(opponent) / tau
        new = np.asarray(log_softmax((1 - mixing) * log_pi + mixing * reply))
        if size(new - log_pi) <= floor:
            return new
        log_pi = new
    return log_pi


def reverse_projection(vertices: tuple[tuple[Fraction, ...], ...], mu: Array, rng: np.random.Generator) -> Array:
    """log argmin KL(μ‖π) over the convex hull of vertices, by multiplicative updates of the weights (EM)."""
    corners = np.array([[float(x) for x in v] for v in vertices])
    weights = np.full(len(corners), 1.0 / len(corners))
    for _ in range(5000):
        mix = weights @ corners
        weights = weights * (corners @ np.where(mix > 0, mu / np.where(mix > 0, mix, 1.0), 0.0))
        weights /= weights.sum()
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(weights @ corners))


def all_vertices(a: list[list[int]]) -> set[tuple[Fraction, ...]]:
    """Every vertex of {x ≥ 0, Ax ≤ 0, Σx = 1}: all choices of n − 1 tight inequalities, solved by elimination."""
    n = len(a)
    rows = [[int(i == j) for j in range(n)] for i in range(n)] + [[-v for v in row] for row in a]
    found = set()
    for tight in itertools.combinations(rows, n - 1):
        x = _eliminate([[*map(Fraction, row), Fraction(0)] for row in tight] + [[Fraction(1)] * (n + 1)])
        if x is not None and all(sum(c * v for c, v in zip(row, x, strict=True)) >= 0 for row in rows):
            found.add(tuple(x))
    return found


def _eliminate(system: list[list[Fraction]]) -> list[Fraction] | None:
    """The solution of a square system [M | b], or None if M is singular."""
    n = len(system)
    for k in range(n):
        pivot = next((r for r in range(k, n) if system[r][k] != 0), None)
        if pivot is None:
            return None
        system[k], system[pivot] = system[pivot], system[k]
        system[k] = [v / system[k][k] for v in system[k]]
        for r in range(n):
            if r != k and system[r][k] != 0:
                system[r] = [u - system[r][k] * v for u, v in zip(system[r], system[k], strict=True)]
    return [row[n] for row in system]


def transitive_chain(n: int) -> Array:
    """Margins of n responses each of which beats all later ones."""
    upper = np.triu(np.ones((n, n)), 1)
    return 0.5 * (upper - upper.T)


# -- dynamics ----------------------------------------------------------------------------------------------------------


def field(margins: Array, log_mu: Array, tau: float, theta: Array) -> Array:
    """g = D_π(Aπ − τh) at logits θ."""
    log_pi = log_softmax(theta)
    pi = np.exp(log_pi)
    push = margins @ pi - tau * (log_pi - log_mu)
    return np.asarray(pi * (push - pi @ push))


def derivatives(margins: Array, log_mu: Array, tau: float, log_q: Array) -> tuple[Array, Array]:
    """The Jacobians at log q of Aπ − τh and of g in θ: by complex steps, exact to rounding."""
    theta = log_q[:, None] + 1j * STEP * np.eye(log_q.size)
    weight = np.exp(theta)
    pi = weight / weight.sum(axis=0)
    push = margins @ pi - tau * (theta - log_mu[:, None])
    pulled = pi * (push - np.sum(pi * push, axis=0))
    return np.asarray(push.imag / STEP), np.asarray(pulled.imag / STEP)


def momentum_radius(alpha: float, omega: float, step: float, momentum: float, averaged: bool) -> float:
    """The spectral radius of x₊ = x − a v, v = m v + (1 or 1−m) z x, for z = α + iω, from its companion matrix."""
    z = complex(alpha, omega)
    gain = step * z * ((1 - momentum) if averaged else 1.0)
    companion = np.array([[1 + momentum - gain, -momentum], [1.0, 0.0]])
    return float(np.max(np.abs(np.linalg.eigvals(companion))))


def segment_rate(tau: float, frequency: float, step: Any, momentum: Any) -> Array:
    """The rate of heavy ball on the whole spectrum τ + i[−λ, λ]: the largest root of x² − (1+m−ηz)x + m, any shape."""
    z = tau + 1j * np.linspace(0, frequency, 9).reshape(-1, 1, 1)
    middle = 0.5 * (1 + momentum - step * z)
    root = np.sqrt(middle**2 - momentum)
    return np.squeeze(np.max(np.maximum(np.abs(middle + root), np.abs(middle - root)), axis=0))


def least_residual(tau: float, frequency: float, degree: int) -> list[float]:
    """min ‖p(z)‖ over polynomials of each degree with p(0) = 1, in mean square over τ + i[−λ, λ]: by Gram-Schmidt.

    A mean is below a maximum, so this is a lower bound for any method with that many gradients.
    """
    nodes = 8 * degree
    z = tau + 1j * frequency * np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    residual, direction = np.ones(nodes, dtype=complex), z
    basis: list[NDArray[np.complex128]] = []
    sizes: list[float] = []
    for _ in range(degree):
        for _ in range(2):  # twice, because the first pass leaves rounding
            for v in basis:
                direction = direction - v * np.vdot(v, direction)
        basis.append(direction / np.linalg.norm(direction))
        residual = residual - basis[-1] * np.vdot(basis[-1], residual)
        sizes.append(float(np.linalg.norm(residual)))
        direction = z * basis[-1]
    return sizes

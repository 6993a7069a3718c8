"""Equilibria of the game with another divergence in the place of KL(π‖μ): the regulariser as data.

    J(π, π') = P(π ≻ π') − τ D(π‖μ) + τ D(π'‖μ),   D(π‖μ) = Σ μ f(π/μ),  f convex,  f′(1) = 0

For a strictly convex f there is exactly one equilibrium, π = μ g((Aπ − c)/τ) with g the inverse of f′ and c such that
Σπ = 1: the game term is monotone, since A is skew, and −D strictly so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import Array, array_namespace
from nashlab.game import BadInput, PreferenceGame, check_temperature

__all__ = ["CHI_SQUARED", "DIVERGENCES", "FORWARD_KL", "HELLINGER", "KL", "Divergence", "divergence_nash", "renyi_nash"]

STEEPEST = 60.0  # −h beyond which the slopes with a pole stay constant: e⁶⁰ is finite in float32
HALVINGS = 100  # more than enough for any interval of doubles
CLOSED = 4e-16  # of c: rounding
NEWTON_STEPS = 100
SOLVED = 1e-12  # for ‖π − reply(π)‖₁

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Divergence:
    """D(π‖μ) = Σ μ f(π/μ) as the functions that algorithms and the solver need.

    slope          f′(e^h) of the log-ratio h = log(π/μ), elementwise on any array library; 0 at h = 0.
    density        π/μ where f′ has the value v: the inverse of f′, ≥ 0, infinite at and above a pole.
    density_slope  its derivative.

    >>> [round(float(d.slope(np.log(2.0))), 3) for d in DIVERGENCES.values()]
    [0.693, 0.5, 2.0, 0.293]
    """

    name: str
    formula: str
    slope: Callable[[Array], Array]
    density: Callable[[Vector], Vector]
    density_slope: Callable[[Vector], Vector]


def _falling(h: Array) -> Array:
    """h, but not below −60."""
    xp = array_namespace(h)
    return xp.where(h > -STEEPEST, h, xp.zeros_like(h) - STEEPEST)


def _same(h: Array) -> Array:
    return h


def _forward_slope(h: Array) -> Array:
    return 1.0 - array_namespace(h).exp(-_falling(h))


def _chi_slope(h: Array) -> Array:
    return 2.0 * (array_namespace(h).exp(h) - 1.0)


def _hellinger_slope(h: Array) -> Array:
    return 1.0 - array_namespace(h).exp(-0.5 * _falling(h))


def _pole(power: int) -> Callable[[Vector], Vector]:
    """(1 − v)^−power below the pole at v = 1."""

    def density(v: Vector) -> Vector:
        below = v < 1.0
        return np.where(below, (1.0 - np.where(below, v, 0.0)) ** -power, np.inf)

    return density


def _twice_cubed(v: Vector) -> Vector:
    return 2.0 * _pole(3)(v)


def _half_positive(v: Vector) -> Vector:
    return np.where(v > -2.0, 0.5, 0.0)


def _chi_density(v: Vector) -> Vector:
    return np.maximum(0.0, 1.0 + 0.5 * v)


def _exponential(v: Vector) -> Vector:
    return np.exp(np.minimum(v, 700.0))  # far above 1 already, and finite


KL = Divergence("kl", "KL(π‖μ)", _same, _exponential, _exponential)
FORWARD_KL = Divergence("forward-kl", "KL(μ‖π)", _forward_slope, _pole(1), _pole(2))
CHI_SQUARED = Divergence("chi2", "χ²(π‖μ) = Σ (π − μ)²/μ", _chi_slope, _chi_density, _half_positive)
HELLINGER = Divergence("hellinger", "2 − 2 Σ √(πμ)", _hellinger_slope, _pole(2), _twice_cubed)

DIVERGENCES: dict[str, Divergence] = {d.name: d for d in (KL, FORWARD_KL, CHI_SQUARED, HELLINGER)}


def divergence_nash(game: PreferenceGame, temperature: float, divergence: Divergence) -> Vector:
    """The equilibrium's probabilities at τ > 0, [..., n], prompt by prompt; χ² can leave responses at exactly 0.

    Newton on π = reply(π), whose Jacobian I − KA/τ is never singular for K ⪰ 0 and A skew.
    Errors: :class:`BadInput` for τ = 0, and where Newton fails.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> [round(float(x), 4) for x in divergence_nash(game, 1.0, CHI_SQUARED)]  # ½ + (p − ½)/8τ, not KL's .5498
    [0.525, 0.475]
    """
    return _each(game, temperature, lambda margins, mu, tau: _solved(margins, mu, tau, divergence))


def renyi_nash(game: PreferenceGame, temperature: float) -> Vector:
    """The same with the Rényi divergence of order ½, −2 log Σ√(πμ).

    Its slope is that of 2 − 2Z at the temperature τ' = τ/Z, Z = Σ√(πμ); of these games one has the right τ'.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> [round(float(x), 4) for x in renyi_nash(game, 1.0)]
    [0.5972, 0.4028]
    """
    from scipy.optimize import brentq

    def one(margins: Vector, mu: Vector, tau: float) -> Vector:
        def excess(hot: float) -> float:
            return hot * float(np.sum(np.sqrt(_solved(margins, mu, hot, HELLINGER) * mu))) - tau

        top = tau
        while excess(top) < 0:
            top *= 2.0
        hot = tau if top == tau else float(brentq(excess, tau, top, xtol=1e-15 * tau, rtol=1e-15))
        return _solved(margins, mu, hot, HELLINGER)

    return _each(game, temperature, one)


def _each(game: PreferenceGame, temperature: float, solve: Callable[[Vector, Vector, float], Vector]) -> Vector:
    """The solution of every prompt, 0 on padding."""
    tau = check_temperature(temperature)
    if tau == 0:
        raise BadInput("temperature = 0, must be positive: without a divergence nothing selects an equilibrium")
    whole = np.zeros(game.margins.shape[:-1])
    for place in np.ndindex(game.batch):
        inside = game.support[place]
        mu = np.exp(game.log_reference[place][inside])
        whole[place][inside] = solve(game.margins[place][np.ix_(inside, inside)], mu, tau)
    return whole


def _solved(margins: Vector, mu: Vector, tau: float, divergence: Divergence) -> Vector:
    pi, solved = _newton(margins, mu, tau, divergence, mu)
    if not solved:  # follow the path down from τ = 1
        pi = mu
        for rung in np.geomspace(max(tau, 1.0), tau, 2 + int(np.log2(max(1.0 / tau, 1.0)))):
            pi, solved = _newton(margins, mu, float(rung), divergence, pi)
    if not solved:
        raise BadInput(f"temperature = {tau:g}: the equilibrium with {divergence.formula} was not found; raise it")
    return pi


def _newton(margins: Vector, mu: Vector, tau: float, divergence: Divergence, pi: Vector) -> tuple[Vector, bool]:
    """(the last reply, whether it is the equilibrium) from a first policy, halving steps that do not help."""
    reply, curvature = _reply(margins @ pi, mu, tau, divergence)
    for _ in range(NEWTON_STEPS):
        defect = reply - pi
        size = float(np.sum(np.abs(defect)))
        if size <= SOLVED * 1e-3:
            break
        spread = np.diag(curvature) - np.outer(curvature, curvature) / max(float(curvature.sum()), 1e-300)
        step = np.linalg.solve(np.eye(mu.size) - spread @ margins / tau, defect)
        share = 1.0
        while True:
            trial = pi + share * step
            reply, curvature = _reply(margins @ trial, mu, tau, divergence)
            if np.sum(np.abs(reply - trial)) < (1.0 - 0.1 * share) * size or share < 1e-6:
                break
            share /= 2.0
        pi = trial
        if share < 1e-6:
            break
    return reply, float(np.sum(np.abs(reply - pi))) <= SOLVED


def _reply(advantage: Vector, mu: Vector, tau: float, divergence: Divergence) -> tuple[Vector, Vector]:
    """(argmax ⟨π, a⟩ − τ D(π‖μ), μ g′(v) at v = (a − c)/τ), c between the least and the largest a.

    Σ μ g is convex and decreasing in c, so Newton from the left never passes the root; halving keeps it short.
    """
    low, high = float(advantage.min()), float(advantage.max())
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if mu @ divergence.density((advantage - middle) / tau) > 1.0:
            low = middle
        else:
            high = middle
        v = (advantage - low) / tau
        mass = float(mu @ divergence.density(v))
        if not np.isfinite(mass):
            continue
        before = low
        low = min(low + tau * (mass - 1.0) / float(mu @ divergence.density_slope(v)), high)
        if abs(low - before) <= CLOSED * max(abs(low), tau):
            break
    v = (advantage - low) / tau
    weight = mu * divergence.density(v)
    return weight / weight.sum(), mu * divergence.density_slope(v)

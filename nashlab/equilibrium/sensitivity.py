"""Derivatives of the regularised equilibrium, by implicit differentiation of its fixed-point equation (E4, N16).

log π = log μ + Aπ/τ + const   ⇒   dπ = J (d log μ + (dA) π/τ − (Aπ) dτ/τ²),    J = D (I − AD/τ)⁻¹
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.equilibrium.regularised import regularised_nash
from nashlab.game import BadInput, PreferenceGame, check_temperature

__all__ = ["Sensitivity", "sensitivity"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """The first-order change of π*_τ with its data.

    policy  π*_τ, [n];  temperature  τ;  advantage  Aπ*, [n];
    response  J, [n, n]: dπ for a change of the logits; response[:, j] for the logit of response j.
    """

    policy: Array
    temperature: float
    advantage: Array
    reference: Array
    response: Array

    @property
    def to_temperature(self) -> Array:
        """dπ*/dτ, [n]."""
        return -self.response @ self.advantage / self.temperature**2

    def to_preferences(self, change: ArrayLike) -> Array:
        """dπ* for a skew change of P (or of A), [n, n] -> [n]; by N16 its ℓ₁ norm is at most max|dP|/(√3 τ)."""
        d = np.asarray(change, dtype=np.float64)
        if d.shape != self.response.shape or np.any(d != -d.T):
            raise BadInput(f"change has shape {d.shape}, must be a skew {self.response.shape} matrix")
        return np.asarray(self.response @ (d @ self.policy) / self.temperature)

    def to_reference(self, change: ArrayLike) -> Array:
        """dπ* for a change of μ that keeps Σμ = 1, [n] -> [n]."""
        d = np.asarray(change, dtype=np.float64)
        if d.shape != self.policy.shape:
            raise BadInput(f"change has shape {d.shape}, must be {self.policy.shape}")
        return np.asarray(self.response @ (d / self.reference))

    @property
    def preferences(self) -> Array:
        """dπ*[k]/dP[i, j] with P[j, i] moving by the opposite, [n, n, n]."""
        left = self.response[:, :, None] * self.policy[None, None, :]
        return (left - np.swapaxes(left, 1, 2)) / self.temperature


def sensitivity(game: PreferenceGame, temperature: float) -> Sensitivity:
    """The derivatives of π*_τ of one game (of contextual games: one prompt).  Source: E4, N16.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> derivative = sensitivity(game, 1.0)
    >>> float(derivative.to_temperature[0]) < 0  # more temperature, less of the better response
    True
    """
    tau = check_temperature(temperature, positive=True)
    if game.batch:
        raise BadInput("game is contextual: derivatives exist for one prompt at a time; use game.prompt(x)")
    log_policy = regularised_nash(game, tau).log_policy
    pi = np.exp(log_policy)
    root = np.exp(0.5 * log_policy)
    # in the coordinates √π, orthogonal to √π, the system is I minus a skew matrix: never singular (E4)
    across = np.eye(game.n) - np.outer(root, root)
    skew = across @ (root[:, None] * game.margins * root[None, :]) @ across / tau
    response = root[:, None] * np.linalg.solve(np.eye(game.n) - skew, across * root[None, :])
    return Sensitivity(pi, tau, game.advantage(log_policy), game.reference, response)

"""Equilibria of preference games: the regularised one, the maximal lottery, and their derivatives.

nash               either, with a rigorous certificate          E1-E6
regularised_nash   π ∝ μ exp(Aπ/τ)                            E1, E4
maximal_lottery    max_π min_y (πᵀA)_y, exactly if wanted      E6, E6b
lottery_batch      thousands of small games at a time          E6
sensitivity        dπ*/dτ, dπ*/dP, dπ*/dμ                      E4, N16
resampled, equilibrium_covariance    when P is estimated        N16
"""

from nashlab.equilibrium.batch import lottery_batch
from nashlab.equilibrium.lottery import maximal_lottery
from nashlab.equilibrium.nash import nash, proved
from nashlab.equilibrium.regularised import METHODS, regularised_nash
from nashlab.equilibrium.sensitivity import Sensitivity, sensitivity
from nashlab.equilibrium.uncertainty import equilibrium_covariance, resampled

__all__ = [
    "METHODS",
    "Sensitivity",
    "equilibrium_covariance",
    "lottery_batch",
    "maximal_lottery",
    "nash",
    "proved",
    "regularised_nash",
    "resampled",
    "sensitivity",
]

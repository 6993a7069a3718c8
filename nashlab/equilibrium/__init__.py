"""Equilibria of preference games: the regularised one, the maximal lottery, and their derivatives.

regularised_nash   π ∝ μ exp(Aπ/τ)                            E1, E4
maximal_lottery    max_π min_y (πᵀA)_y, exactly if wanted      E6, E6b
sensitivity        dπ*/dτ, dπ*/dP, dπ*/dμ                      E4, N16
"""

from nashlab.equilibrium.regularised import METHODS, regularised_nash

__all__ = ["METHODS", "regularised_nash"]

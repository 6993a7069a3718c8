"""Equilibria of preference games: the regularised one, the maximal lottery, and their derivatives.

nash               either, with a rigorous certificate          E1-E6
regularised_nash   π ∝ μ exp(Aπ/τ)                            E1, E4
operator_nash      the regularised one from products v ↦ Av alone: OperatorGame, for matrices that never fit    N26
maximal_lottery    max_π min_y (πᵀA)_y, exactly if wanted      E6, E6b
divergence_nash, renyi_nash    the regularised one with another divergence than KL(π‖μ)    E1
temperature_for    the τ at which KL(π*_τ‖μ) has a given value   N23
win_rate_bound     the largest win rate at a given divergence     N23
lottery_batch      thousands of small games in one call          E6
sensitivity        dπ*/dτ, dπ*/dP, dπ*/dμ                      E4, N16
resampled, equilibrium_covariance, log_errors    when P is estimated: error bars        N16, N20
claim_test, lottery_claim_test, confidence_box, lottery_ranges    when P is estimated: tests and ranges    N20, N27
independent_judgments    the effective number of judgments from repeating voters, for claim_test    N20
who_is_in    over all tables in a box: who has mass necessarily, possibly, never    N22, N27
"""

from nashlab.equilibrium.batch import lottery_batch
from nashlab.equilibrium.budget import temperature_for, win_rate_bound
from nashlab.equilibrium.divergence import Divergence, divergence_nash, renyi_nash
from nashlab.equilibrium.lottery import maximal_lottery
from nashlab.equilibrium.nash import nash, proved
from nashlab.equilibrium.operator import OperatorGame, operator_nash
from nashlab.equilibrium.possible import Membership, who_is_in
from nashlab.equilibrium.regularised import METHODS, regularised_nash
from nashlab.equilibrium.sensitivity import Sensitivity, sensitivity
from nashlab.equilibrium.uncertainty import (
    claim_test,
    confidence_box,
    equilibrium_covariance,
    independent_judgments,
    log_errors,
    lottery_claim_test,
    lottery_ranges,
    resampled,
)

__all__ = [
    "METHODS",
    "Divergence",
    "Membership",
    "OperatorGame",
    "Sensitivity",
    "claim_test",
    "confidence_box",
    "divergence_nash",
    "equilibrium_covariance",
    "independent_judgments",
    "log_errors",
    "lottery_batch",
    "lottery_claim_test",
    "lottery_ranges",
    "maximal_lottery",
    "nash",
    "operator_nash",
    "proved",
    "regularised_nash",
    "renyi_nash",
    "resampled",
    "sensitivity",
    "temperature_for",
    "who_is_in",
    "win_rate_bound",
]

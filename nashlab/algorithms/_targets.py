"""Where algorithms converge: the fixed points known from theory, as log-policies of a :class:`Problem`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import Problem
from nashlab.certificate import best_response
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.game import PreferenceGame
from nashlab.reward import bradley_terry_reward

LogPolicy = NDArray[np.float64]


def regularised(problem: Problem) -> LogPolicy:
    """π*_τ (E1); at τ = 0 the maximal lottery that E5 selects."""
    return nash(problem.game, problem.temperature)


def nash(game: PreferenceGame, temperature: float) -> LogPolicy:
    """The Nash equilibrium at τ ≥ 0."""
    if temperature == 0:
        return maximal_lottery(game).log_policy
    return regularised_nash(game, temperature).log_policy


def displaced(game: PreferenceGame, temperature: float, beta: float) -> LogPolicy:
    """π*_β ∝ μ exp(p(y ≻ m_β(π*_β))/τ) = BR_τ(π*_{τ/(1−β)}): L6, L7, N10; β = 1 is the best response to μ."""
    opponent = game.log_reference if beta == 1 else nash(game, temperature / (1.0 - beta))
    return best_response(game.advantage(opponent), game.log_reference, temperature)


def mixture_fixed_point(problem: Problem) -> LogPolicy:
    """π*_β of IPO-MD and Nash-MD-PG (L6)."""
    return displaced(problem.game, problem.temperature, problem.beta)


def offline_ipo(problem: Problem) -> LogPolicy:
    """∝ μ exp(p(y ≻ μ_b)/τ) (L4)."""
    return best_response(problem.game.advantage(problem.log_behaviour), problem.game.log_reference, problem.temperature)


def reward_optimum(problem: Problem) -> LogPolicy:
    """π_R ∝ μ exp(r/τ), r the Bradley-Terry reward of comparisons drawn from the data policy (E7)."""
    reward = bradley_terry_reward(problem.game, np.exp(problem.log_behaviour))
    return best_response(reward, problem.game.log_reference, problem.temperature)

"""IPO-MD(β): the IPO loss on pairs sampled from the geometric mixture of policy and reference.

θ ← θ + η E_ν[s (p(·≻ν) − ½ − τ(h − E_ν h))],   ν = m_β   (L5, corrected)
"""

from nashlab.algorithm import AlgorithmSpec, Pairwise, Problem
from nashlab.algorithms._targets import LogPolicy, mixture_fixed_point, nash
from nashlab.arrays import geometric_mixture
from nashlab.certificate import best_response
from nashlab.losses import ipo

ipo_md = AlgorithmSpec(
    name="ipo-md",
    title="IPO-MD",
    citation="Calandriello et al. 2024, arXiv 2403.08635, Section 5",
    claim="π*_β ∝ μ exp(p(y ≻ m_β(π*_β))/τ) (L6); its mixture is the Nash equilibrium at τ/(1−β) (L7)",
    left="mixture",
    right="mixture",
    objective=Pairwise(ipo),
    target=mixture_fixed_point,
)

ipo_md_entropic = AlgorithmSpec(
    name="ipo-md-entropic",
    title="IPO-MD, entropic geometry",
    citation="Calandriello et al. 2024, arXiv 2403.08635, Section 5",
    claim="π*_β (L6), by mirror descent on the mixture's objective (L5b)",
    left="mixture",
    right="mixture",
    objective=Pairwise(ipo),
    geometry="entropic",
    target=mixture_fixed_point,
)


def interpolated(problem: Problem) -> LogPolicy:
    """BR_τ of the mixture m_β(π, μ_b), which is Nash at τ/(1−β) for the reference ∝ μ^{1−β} μ_b^β (L7, L8)."""
    game, tau, beta, log_data = problem.game, problem.temperature, problem.beta, problem.log_behaviour
    opponent = log_data
    if beta < 1:
        import numpy as np

        pulled = geometric_mixture(game.log_reference, log_data, beta)
        opponent = nash(game.with_reference(np.exp(pulled)), tau / (1.0 - beta))
    return best_response(game.advantage(opponent), game.log_reference, tau)


ipo_md_behaviour = AlgorithmSpec(
    name="ipo-md-behaviour",
    title="IPO-MD towards a data policy",
    citation="Calandriello et al. 2024, arXiv 2403.08635, Section 5",
    claim="interpolates online IPO (β = 0) and offline IPO on μ_b (β = 1) (L8); limit by L7 with μ_b",
    left="behaviour-mixture",
    right="behaviour-mixture",
    objective=Pairwise(ipo),
    target=interpolated,
)

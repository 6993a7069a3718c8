"""Best response to the reference: Nash-MD-PG at β = 1, a convex problem with the solution ∝ μ exp(p(y ≻ μ)/τ)."""

from nashlab.algorithm import AlgorithmSpec, Pointwise, Problem
from nashlab.algorithms._targets import LogPolicy, displaced
from nashlab.losses import self_play_advantage


def target(problem: Problem) -> LogPolicy:
    """BR_τ(μ)."""
    return displaced(problem.game, problem.temperature, 1.0)


best_response = AlgorithmSpec(
    name="best-response",
    title="best response to μ",
    citation="Munos et al. 2024, arXiv 2312.00886; L9 with β = 1",
    claim="∝ μ exp(p(y ≻ μ)/τ), not an equilibrium",
    left="policy",
    right="reference",
    objective=Pointwise(self_play_advantage),
    target=target,
)

"""Online IPO: the IPO loss on pairs that the policy itself samples.

θ ← θ + η D_π(Aπ − τh),   which is gradient descent on the loss at learning rate ητ/4 (L1)
"""

import numpy as np

from nashlab.algorithm import AlgorithmSpec, Guarantee, Pairwise, Problem
from nashlab.algorithms._targets import regularised
from nashlab.algorithms.omd import omd
from nashlab.losses import ipo


def safe_step(problem: Problem) -> float:
    """τ/(3(1 + 2τ²(1 + L₀))), L₀ = 1/τ + log(1/μ_min): the Lyapunov function falls at every step (N2)."""
    tau, log_mu = problem.temperature, problem.game.log_reference
    if tau == 0:
        return 0.0
    first = 1.0 / tau + float(np.max(-log_mu[np.isfinite(log_mu)]))
    return tau / (3.0 * (1.0 + 2.0 * tau**2 * (1.0 + first)))


N2 = Guarantee(safe_step, source="N2, a guarantee, not a recommendation")

online_ipo = AlgorithmSpec(
    name="online-ipo",
    title="online IPO",
    citation="Calandriello et al. 2024, arXiv 2403.08635; loss: Azar et al. 2023, arXiv 2310.12036",
    claim="π*_τ (L3): the gradient flow globally (N1), steps η ≤ τ/(3(1 + 2τ²(1 + L₀))) too (N2); local rate by R3",
    objective=Pairwise(ipo),
    target=regularised,
    guarantee=N2,
)

online_ipo_entropic = AlgorithmSpec(
    name="online-ipo-entropic",
    title="online IPO, entropic geometry",
    citation="Calandriello et al. 2024, arXiv 2403.08635",
    claim="π*_τ: the natural gradient of online IPO is online mirror descent, step for step",
    objective=Pairwise(ipo),
    geometry="entropic",
    target=regularised,
    guarantee=omd.guarantee,
    aliases=("online-ipo-natural",),
)

"""Online IPO: the IPO loss on pairs that the policy itself samples.

θ ← θ + η D_π(Aπ − τh),   which is gradient descent on the loss at learning rate ητ/4 (L1)
"""

from nashlab.algorithm import AlgorithmSpec, Pairwise
from nashlab.algorithms._targets import regularised
from nashlab.losses import ipo

online_ipo = AlgorithmSpec(
    name="online-ipo",
    title="online IPO",
    citation="Calandriello et al. 2024, arXiv 2403.08635; loss: Azar et al. 2023, arXiv 2310.12036",
    claim="π*_τ (L3): the gradient flow globally (N1), steps η ≤ τ/(3(1 + 2τ²(1 + L₀))) too (N2); local rate by R3",
    objective=Pairwise(ipo),
    target=regularised,
)

online_ipo_entropic = AlgorithmSpec(
    name="online-ipo-entropic",
    title="online IPO, entropic geometry",
    citation="Calandriello et al. 2024, arXiv 2403.08635",
    claim="π*_τ: the natural gradient of online IPO is online mirror descent, step for step",
    objective=Pairwise(ipo),
    geometry="entropic",
    target=regularised,
)

"""Offline IPO: the IPO loss on pairs of a fixed data policy μ_b."""

from nashlab.algorithm import AlgorithmSpec, Pairwise
from nashlab.algorithms._targets import offline_ipo as target
from nashlab.losses import ipo

offline_ipo = AlgorithmSpec(
    name="offline-ipo",
    title="offline IPO",
    citation="Azar et al. 2023, arXiv 2310.12036",
    claim="∝ μ exp(p(y ≻ μ_b)/τ), which moves with the data policy (L4); not unique where μ_b has zeros (L14)",
    left="behaviour",
    right="behaviour",
    objective=Pairwise(ipo),
    target=target,
)

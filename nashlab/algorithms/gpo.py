"""Online GPO(f): any convex f on pairs from the policy; here f(x) = e⁻ˣ. Another f is another specification."""

from nashlab.algorithm import AlgorithmSpec, Pairwise
from nashlab.losses import gpo_exponential

online_gpo = AlgorithmSpec(
    name="online-gpo",
    title="online GPO, f = exp(−x)",
    citation="Tang et al. 2024, arXiv 2402.05749",
    claim="a stationary point of its own; not π*_τ in general",
    objective=Pairwise(gpo_exponential),
)

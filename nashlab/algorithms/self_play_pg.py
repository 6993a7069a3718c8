"""Self-play policy gradient: θ += η E_π[s(y) (p(y ≻ π) − ½ − τh(y))]."""

from nashlab.algorithm import AlgorithmSpec, Pointwise
from nashlab.algorithms._targets import regularised
from nashlab.algorithms.online_ipo import N2
from nashlab.losses import self_play_advantage

self_play_pg = AlgorithmSpec(
    name="self-play-pg",
    title="self-play policy gradient",
    citation="Calandriello et al. 2024, arXiv 2403.08635, Section 4; the same field as online IPO (L1)",
    claim="π*_τ: its gradient flow converges globally (N1), small steps too (N2); local rate by R3",
    objective=Pointwise(self_play_advantage),
    target=regularised,
    guarantee=N2,
    temperature_role="any",
)

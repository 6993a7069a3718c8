"""RLHF by policy gradient: θ += η E_π[s(y)(r(y) − τh(y))], r the Bradley-Terry reward; self-play judged by rewards."""

from nashlab.algorithm import AlgorithmSpec, Pointwise
from nashlab.algorithms._targets import reward_optimum
from nashlab.losses import self_play_advantage

rlhf_pg = AlgorithmSpec(
    name="rlhf-pg",
    title="RLHF",
    citation="Ziegler et al. 2019, arXiv 1909.08593; Stiennon et al. 2020, arXiv 2009.01325",
    claim="π_R ∝ μ exp(r/τ) (E7): the equilibrium only where preferences are Bradley-Terry with the right scale",
    judge="reward",
    objective=Pointwise(self_play_advantage),
    target=reward_optimum,
    aliases=("rlhf",),
)

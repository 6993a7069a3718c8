"""XPO: DPO on a response of the policy against one of the reference, with a bonus for moving away from the reference.

ℓ(h(y) − h(y'), p, τ) + α log π(y'),   y ~ π, y' ~ μ
"""

from nashlab.algorithm import AlgorithmSpec, Exploring
from nashlab.losses import dpo

xpo = AlgorithmSpec(
    name="xpo",
    title="XPO",
    citation="Xie et al. 2024, arXiv 2405.21046, Algorithm 1",
    claim="under Bradley-Terry preferences the RLHF optimum π_R up to the bonus, which pulls there by α (π_R − μ)",
    right="reference",
    objective=Exploring(dpo, bonus=1e-5),
)

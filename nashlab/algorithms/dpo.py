"""Online and offline DPO: the logistic loss on pairs from the policy, or from a fixed data policy."""

from nashlab.algorithm import AlgorithmSpec, Pairwise
from nashlab.algorithms._targets import reward_optimum
from nashlab.losses import dpo

online_dpo = AlgorithmSpec(
    name="online-dpo",
    title="online DPO",
    citation="Guo et al. 2024, arXiv 2402.04792; loss: Rafailov et al. 2023, arXiv 2305.18290",
    claim="a stationary point that is not π*_τ in general (L11); the RLHF optimum under Bradley-Terry (L12)",
    objective=Pairwise(dpo),
)

offline_dpo = AlgorithmSpec(
    name="offline-dpo",
    title="offline DPO",
    citation="Rafailov et al. 2023, arXiv 2305.18290",
    claim="π_R ∝ μ exp(r/τ), r fitted on the data policy; not unique where that policy has zeros (L14)",
    left="behaviour",
    right="behaviour",
    objective=Pairwise(dpo),
    target=reward_optimum,
)

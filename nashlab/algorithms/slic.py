"""Online and offline SLiC: the hinge loss on pairs."""

from nashlab.algorithm import AlgorithmSpec, Pairwise
from nashlab.losses import slic

online_slic = AlgorithmSpec(
    name="online-slic",
    title="online SLiC",
    citation="Zhao et al. 2023, arXiv 2305.10425; online: Calandriello et al. 2024",
    claim="no restoring force while osc(τh) < 1 (N12), so not π*_τ unless Aμ = 0; n = 2 ends at h₁ − h₂ = 1/τ (N13)",
    objective=Pairwise(slic),
    limit="other",
    aliases=("slic",),
)

offline_slic = AlgorithmSpec(
    name="offline-slic",
    title="offline SLiC",
    citation="Zhao et al. 2023, arXiv 2305.10425",
    claim="a minimiser of a piecewise linear convex loss, in general on a kink",
    left="behaviour",
    right="behaviour",
    objective=Pairwise(slic),
    limit="other",
)

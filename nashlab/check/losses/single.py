"""Losses that score the chosen and the rejected response separately, and losses of whole batches."""

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import sigmoid, softplus

Array = NDArray[np.float64]

__all__ = ["aot", "aot_unpaired", "apo_down", "apo_zero", "bco", "kto", "nca"]


def nca(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """NCA on pairs, arXiv 2402.05369 (TRL: nca_pair)."""
    return softplus(-tau * h_chosen) + 0.5 * softplus(tau * h_chosen) + 0.5 * softplus(tau * h_rejected)


def bco(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """BCO on pairs, arXiv 2404.04656 (TRL: bco_pair), its running mean at 0."""
    return softplus(-tau * h_chosen) + softplus(tau * h_rejected)


def kto(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """KTO, arXiv 2402.01306, both weights 1 and its reference point at 0."""
    return 2 - sigmoid(tau * h_chosen) - sigmoid(-tau * h_rejected)


def apo_zero(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """APO-zero, arXiv 2408.06266 (TRL: apo_zero): the winner up, the loser down."""
    return 1 - sigmoid(tau * h_chosen) + sigmoid(tau * h_rejected)


def apo_down(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """APO-down, arXiv 2408.06266 (TRL: apo_down): both down, the loser more."""
    return sigmoid(tau * h_chosen) + 1 - sigmoid(tau * (h_chosen - h_rejected))


def aot(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """AOT, arXiv 2406.05882 (TRL: aot): the batch's chosen and rejected log-ratios, each sorted."""
    return softplus(-tau * (np.sort(h_chosen) - np.sort(h_rejected)))


def aot_unpaired(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *, tau: float
) -> Array:
    """AOT as TRL pairs it (aot): gaps of the policy and of the reference, each sorted over the batch."""
    policy, reference = np.sort(policy_chosen - policy_rejected), np.sort(reference_chosen - reference_rejected)
    return softplus(-tau * (policy - reference))

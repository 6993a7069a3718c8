"""Losses without a reference policy: on log-probabilities themselves, summed or averaged over tokens."""

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import softplus

Array = NDArray[np.float64]

__all__ = ["alphapo", "cpo", "cpo_hinge", "cpo_ipo", "orpo", "rrhf", "sft", "simpo"]


def simpo(
    policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, length_rejected: Array, tau: float
) -> Array:
    """SimPO, arXiv 2405.14734 (TRL's CPO: simpo), β = τ and γ/β = ½."""
    gap = policy_chosen / length_chosen - policy_rejected / length_rejected
    return softplus(-tau * (gap - 0.5))


def alphapo(
    policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, length_rejected: Array, tau: float
) -> Array:
    """AlphaPO, arXiv 2501.03884 (TRL's CPO: alphapo), α = ¼, β = τ, γ/β = ½: (1 − p^(−α))/α for log p."""
    chosen = (1 - np.exp(-0.25 * policy_chosen / length_chosen)) / 0.25
    rejected = (1 - np.exp(-0.25 * policy_rejected / length_rejected)) / 0.25
    return softplus(-tau * (chosen - rejected - 0.5))


def orpo(
    policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, length_rejected: Array, tau: float
) -> Array:
    """ORPO, arXiv 2403.07691, λ = τ: likelihood of the chosen response and its odds ratio to the rejected one."""
    chosen, rejected = policy_chosen / length_chosen, policy_rejected / length_rejected
    odds = chosen - rejected - np.log(-np.expm1(chosen)) + np.log(-np.expm1(rejected))
    return -chosen + tau * softplus(-odds)


def cpo(policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, tau: float) -> Array:
    """CPO, arXiv 2401.08417 (TRL's CPO: sigmoid): DPO without a reference, plus the likelihood per token."""
    return softplus(-tau * (policy_chosen - policy_rejected)) - policy_chosen / length_chosen


def cpo_hinge(policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, tau: float) -> Array:
    """TRL's CPO with the hinge, plus the likelihood per token."""
    return np.maximum(0, 1 - tau * (policy_chosen - policy_rejected)) - policy_chosen / length_chosen


def cpo_ipo(
    policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, length_rejected: Array, tau: float
) -> Array:
    """TRL's CPO with ipo: squares of averages over tokens, no reference, plus the likelihood per token."""
    gap = policy_chosen / length_chosen - policy_rejected / length_rejected
    return (gap - 1 / (2 * tau)) ** 2 - policy_chosen / length_chosen


def rrhf(
    policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, length_rejected: Array, tau: float
) -> Array:
    """RRHF, arXiv 2304.05302: a hinge at 0 on averages over tokens, plus τ times the likelihood per token."""
    chosen, rejected = policy_chosen / length_chosen, policy_rejected / length_rejected
    return np.maximum(0, rejected - chosen) - tau * chosen


def sft(policy_chosen: Array, policy_rejected: Array, *, length_chosen: Array, tau: float) -> Array:
    """Supervised fine-tuning on the chosen response (TRL: sft), times τ."""
    return -tau * policy_chosen / length_chosen

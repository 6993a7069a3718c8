"""DPO and its relatives: logistic losses of a gap of log-ratios."""

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import sigmoid, softplus
from nashlab.check.forms import objective

Array = NDArray[np.float64]

__all__ = [
    "alpha_dpo", "beta_dpo", "cal_dpo", "cdpo", "chi_po", "d2po", "discopop", "dpo", "dpo_alpha", "dpo_chi_squared",
    "dpo_forward_kl", "dpo_jeffreys", "dpo_js", "dpo_per_token", "dpop", "exo_pair", "exo_pair_sharp", "ld_dpo", "odpo",
    "r_dpo", "robust_dpo", "rpo", "wpo", "xpo",
]  # fmt: skip

NOISE = 0.1  # ε of the smoothed losses


def dpo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """DPO, arXiv 2305.18290 (TRL: sigmoid): −log σ(τd)."""
    return softplus(-tau * (h_chosen - h_rejected))


def cdpo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """Conservative DPO, E. Mitchell 2023: labels smoothed by ε = .1."""
    x = tau * (h_chosen - h_rejected)
    return (1 - NOISE) * softplus(-x) + NOISE * softplus(x)


def robust_dpo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """Robust DPO, arXiv 2403.00409 (TRL: robust): noise of ε = .1 removed from the labels."""
    x = tau * (h_chosen - h_rejected)
    return ((1 - NOISE) * softplus(-x) - NOISE * softplus(x)) / (1 - 2 * NOISE)


def odpo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """DPO with an offset, arXiv 2402.10571, here the constant 1/2: −log σ(τd − ½)."""
    return softplus(0.5 - tau * (h_chosen - h_rejected))


def dpop(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """DPO-positive, arXiv 2402.13228, λ = 1: a penalty inside σ if the chosen response loses probability."""
    return softplus(-tau * (h_chosen - h_rejected - np.maximum(0, -h_chosen)))


def cal_dpo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """Calibrated DPO, arXiv 2412.14516: a logistic loss plus the two squares of SPPO."""
    squares = (h_chosen - 0.5 / tau) ** 2 + (h_rejected + 0.5 / tau) ** 2
    return softplus(-(h_chosen - h_rejected)) + squares


def chi_po(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """χPO, arXiv 2407.13399, without its clip: DPO with h + e^h instead of h."""
    return softplus(-tau * (h_chosen + np.exp(h_chosen) - h_rejected - np.exp(h_rejected)))


def dpo_forward_kl(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """f-DPO with the forward KL, arXiv 2309.16240: −e^(−h) instead of h."""
    return softplus(-tau * (np.exp(-h_rejected) - np.exp(-h_chosen)))


def dpo_js(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """f-DPO with the Jensen-Shannon divergence, arXiv 2309.16240: log(2u/(1 + u)), u = e^h."""
    return softplus(-tau * (h_chosen - softplus(h_chosen) - h_rejected + softplus(h_rejected)))


def dpo_alpha(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """f-DPO with an α-divergence, arXiv 2309.16240, α = ½: (1 − u^(−α))/α."""
    return softplus(-tau * 2 * (np.exp(-0.5 * h_rejected) - np.exp(-0.5 * h_chosen)))


def dpo_jeffreys(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """f-DPO with Jeffreys' divergence, the sum of both KLs, arXiv 2309.16240: h − e^(−h) instead of h."""
    return softplus(-tau * (h_chosen - np.exp(-h_chosen) - h_rejected + np.exp(-h_rejected)))


def dpo_chi_squared(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """f-DPO with the χ² divergence alone, arXiv 2309.16240: e^h instead of h."""
    return softplus(-tau * (np.exp(h_chosen) - np.exp(h_rejected)))


def discopop(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """DiscoPOP, arXiv 2406.08414 (temperature .05): logistic and exponential losses, blended by σ(τd/.05)."""
    x = tau * (h_chosen - h_rejected)
    blend = sigmoid(x / 0.05)
    return (1 - blend) * softplus(-x) + blend * np.exp(-x)


def _exo(h_chosen: Array, h_rejected: Array, tau: float, noise: float) -> Array:
    x = tau * (h_chosen - h_rejected)
    return sigmoid(x) * (-softplus(-x) - np.log(1 - noise)) + sigmoid(-x) * (-softplus(x) - np.log(noise))


def exo_pair(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """EXO on pairs, arXiv 2402.00856, ε = .1: KL((σ, 1 − σ) ‖ (1 − ε, ε)), σ = σ(τd).  L17."""
    return _exo(h_chosen, h_rejected, tau, NOISE)


def exo_pair_sharp(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """EXO on pairs with ε = .001, the usual default."""
    return _exo(h_chosen, h_rejected, tau, 1e-3)


def dpo_per_token(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    length_chosen: Array, length_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """Length-normalised DPO, arXiv 2411.15124 (TRL: sigmoid_norm): averages over tokens."""
    gap = (policy_chosen - reference_chosen) / length_chosen - (policy_rejected - reference_rejected) / length_rejected
    return softplus(-tau * gap)


def r_dpo(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    length_chosen: Array, length_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """Length-regularised DPO, arXiv 2403.19159, α = .05: a penalty per token of the chosen response."""
    gap = policy_chosen - reference_chosen - policy_rejected + reference_rejected
    return softplus(-tau * gap - 0.05 * (length_chosen - length_rejected))


def rpo(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    length_chosen: Array, tau: float,
) -> Array:  # fmt: skip
    """RPO, arXiv 2404.19733 (TRL: sigmoid + sft): DPO plus the likelihood per token of the chosen response."""
    gap = policy_chosen - reference_chosen - policy_rejected + reference_rejected
    return softplus(-tau * gap) - policy_chosen / length_chosen


def beta_dpo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """β-DPO, arXiv 2407.08639, α = .6: the temperature depends on the mean gap of the batch."""
    gap = h_chosen - h_rejected
    return softplus(-tau * (1 + 0.6 * np.mean(tau * gap)) * gap)


def alpha_dpo(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    length_chosen: Array, length_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """α-DPO, arXiv 2410.10148, γ = .5, α = .1: SimPO with a margin from the batch's standardised gaps."""
    gap = policy_chosen / length_chosen - policy_rejected / length_rejected
    beyond = gap - reference_chosen / length_chosen + reference_rejected / length_rejected
    margin = 0.5 + 0.1 * (beyond - np.mean(beyond)) / (np.std(beyond) + 1e-6)
    return softplus(-tau * gap + margin)


def ld_dpo(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    length_chosen: Array, length_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """LD-DPO, arXiv 2409.06411 (TRL: ld_alpha), α = ½: tokens beyond the shorter length count half.

    Here the tokens of a response are equally likely: sums alone do not say what each contributes.
    """
    shared = np.minimum(length_chosen, length_rejected)
    chosen = (policy_chosen - reference_chosen) * (0.5 + 0.5 * shared / length_chosen)
    rejected = (policy_rejected - reference_rejected) * (0.5 + 0.5 * shared / length_rejected)
    return softplus(-tau * (chosen - rejected))


def d2po(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    length_chosen: Array, length_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """D²PO, arXiv 2502.14340, γ = .98: token t counts γ^t.  The tokens of a response are equally likely here."""
    chosen = (policy_chosen - reference_chosen) * (1 - 0.98**length_chosen) / (0.02 * length_chosen)
    rejected = (policy_rejected - reference_rejected) * (1 - 0.98**length_rejected) / (0.02 * length_rejected)
    return softplus(-tau * (chosen - rejected))


def wpo(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    previous_chosen: Array, previous_rejected: Array, length_chosen: Array, length_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """WPO, arXiv 2406.11827, not aligned: DPO weighted by the policy's probabilities per token, held fixed."""
    weight = np.exp(previous_chosen / length_chosen + previous_rejected / length_rejected)
    gap = policy_chosen - reference_chosen - policy_rejected + reference_rejected
    return weight * softplus(-tau * gap)


@objective(behaviour="reference")
def xpo(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *, tau: float
) -> Array:
    """XPO's first iteration, arXiv 2405.21046, α = .05, when policy and reference are one: DPO and α log π(y')."""
    gap = policy_chosen - reference_chosen - policy_rejected + reference_rejected
    return softplus(-tau * gap) + 0.05 * (policy_chosen + policy_rejected) / 2

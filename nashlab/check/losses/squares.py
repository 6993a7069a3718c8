"""IPO and its relatives: squares, hinges and exponentials."""

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import sigmoid
from nashlab.check.forms import objective

Array = NDArray[np.float64]

__all__ = [
    "gpo_exponential", "gpo_savage", "gpo_squared_hinge", "inpo", "ipo", "ipo_md", "ipo_per_token", "ipo_soft",
    "offline_ipo", "online_ipo", "rebel", "slic", "slic_sft", "sppo", "sppo_iterated",
]  # fmt: skip


def ipo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """IPO, arXiv 2310.12036, eq. 17 (TRL's OnlineDPO: ipo): (d − 1/(2τ))²."""
    return (h_chosen - h_rejected - 1 / (2 * tau)) ** 2


def ipo_soft(h_gap: Array, p: Array, *, tau: float) -> Array:
    """IPO on soft labels: (d − (p − ½)/τ)²."""
    return (h_gap - (p - 0.5) / tau) ** 2


offline_ipo = objective(behaviour="reference")(lambda h_chosen, h_rejected, *, tau: ipo(h_chosen, h_rejected, tau=tau))
offline_ipo.__doc__ = "IPO on a fixed data set, drawn from the reference (L4)."
online_ipo = objective(behaviour="policy")(lambda h_chosen, h_rejected, *, tau: ipo(h_chosen, h_rejected, tau=tau))
online_ipo.__doc__ = "Online IPO, arXiv 2403.08635 (L1)."
ipo_md = objective(behaviour="mixture", beta=0.125)(
    lambda h_chosen, h_rejected, *, tau: ipo(h_chosen, h_rejected, tau=tau)
)
ipo_md.__doc__ = "IPO-MD, arXiv 2403.08635, β = .125 (L5, L6)."


def ipo_per_token(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    length_chosen: Array, length_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """The loss called ipo in TRL's DPO and CPO and in LLaMA-Factory: averages over tokens (L18)."""
    gap = (policy_chosen - reference_chosen) / length_chosen - (policy_rejected - reference_rejected) / length_rejected
    return (gap - 1 / (2 * tau)) ** 2


def sppo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """SPPO on hard labels, arXiv 2405.00675 (TRL: sppo_hard), against a fixed reference.  L16."""
    return (h_chosen - 0.5 / tau) ** 2 + (h_rejected + 0.5 / tau) ** 2


@objective(behaviour="policy", anchor="previous")
def sppo_iterated(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """SPPO as published, arXiv 2405.00675: log-ratios against the previous policy, which also samples."""
    return (h_chosen - 0.5 / tau) ** 2 + (h_rejected + 0.5 / tau) ** 2


@objective(behaviour="policy", anchor="previous")
def rebel(h_gap: Array, p: Array, *, tau: float) -> Array:
    """REBEL, arXiv 2404.16767, with p − ½ as the difference of rewards and η = 1/τ."""
    return (h_gap - (p - 0.5) / tau) ** 2


@objective(behaviour="policy")
def inpo(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
    previous_chosen: Array, previous_rejected: Array, tau: float,
) -> Array:  # fmt: skip
    """INPO, arXiv 2407.00617, η = 1: one step of mirror descent, regularised towards the reference.

    MNPO, arXiv 2509.23102, with one past opponent is the same.
    """
    old = (1 - tau) * (previous_chosen - previous_rejected) + tau * (reference_chosen - reference_rejected)
    return (policy_chosen - policy_rejected - old - 0.5) ** 2


def slic(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """SLiC, arXiv 2305.10425 (TRL: hinge): max(0, 1 − τd).  N12, N13."""
    return np.maximum(0, 1 - tau * (h_chosen - h_rejected))


def slic_sft(
    policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *, tau: float
) -> Array:
    """SLiC-HF with its regulariser, arXiv 2305.10425: the hinge plus a tenth of the chosen response's likelihood."""
    gap = policy_chosen - reference_chosen - policy_rejected + reference_rejected
    return np.maximum(0, 1 - tau * gap) - 0.1 * policy_chosen


def gpo_exponential(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """GPO with an exponential, arXiv 2402.05749: e^(−τd)."""
    return np.exp(-tau * (h_chosen - h_rejected))


def gpo_squared_hinge(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """GPO with a squared hinge, arXiv 2402.05749: max(0, 1 − τd)²."""
    return np.maximum(0, 1 - tau * (h_chosen - h_rejected)) ** 2


def gpo_savage(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    """GPO with Savage's loss, arXiv 2402.05749: σ(−τd)²."""
    return sigmoid(-tau * (h_chosen - h_rejected)) ** 2

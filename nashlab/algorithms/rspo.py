"""RSPO: self-play against another divergence from μ than KL(π‖μ), or against a Rényi divergence.

θ += η E_π[s(y) (p(y ≻ π) − ½ − τ f′(π(y)/μ(y)))],   the gradient of P(π ≻ SG π) − τ D_f(π‖μ)

A step of RSPO's squared loss from the policy that drew the samples is this gradient.  KL(π‖μ) is self-play-pg.
"""

from dataclasses import dataclass

import numpy as np

from nashlab.algorithm import AlgorithmSpec, Environment, Pointwise, Problem, Setting, State
from nashlab.algorithms._targets import LogPolicy
from nashlab.arrays import Array, array_namespace, centred, log_ratio, log_softmax
from nashlab.equilibrium.divergence import CHI_SQUARED, FORWARD_KL, HELLINGER, Divergence, divergence_nash, renyi_nash


@dataclass(frozen=True)
class SelfPlay:
    """p − ½ − τ f′(e^h): the weight of s(y) in self-play with a divergence, as a function of (h, h', p, τ)."""

    divergence: Divergence

    def __call__(self, h_left: Array, h_right: Array, p: Array, temperature: Array) -> Array:
        """Elementwise; h' is unused."""
        return p - 0.5 - temperature * self.divergence.slope(h_left)


@dataclass(frozen=True)
class Equilibrium:
    """The equilibrium with a divergence, as a target."""

    divergence: Divergence

    def __call__(self, problem: Problem) -> LogPolicy:
        """log π; −∞ where χ² leaves no mass."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(divergence_nash(problem.game, problem.temperature, self.divergence)))


def renyi_update(state: State, s: Setting, env: Environment) -> State:
    """θ += η π (w − E_π w), w = Aπ + τ e^{−h/2}/E_π e^{−h/2}: exact, since the mean is over all responses."""
    log_policy = state["log_policy"]
    xp = array_namespace(log_policy)
    h = log_ratio(log_policy, s.log_reference)
    root = HELLINGER.slope(h) - 1.0  # −e^{−h/2}
    policy = xp.exp(log_policy)
    pushed = env.advantage(log_policy) + s.temperature * root / xp.sum(policy * root, axis=-1, keepdims=True)
    return {**state, "log_policy": log_softmax(log_policy + s.step_size * policy * centred(pushed, log_policy))}


def renyi_target(problem: Problem) -> LogPolicy:
    """Its equilibrium, log π."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(renyi_nash(problem.game, problem.temperature)))


rspo_forward_kl = AlgorithmSpec(
    name="rspo-forward-kl",
    title="RSPO with KL(μ‖π)",
    citation="Tang et al. 2025, arXiv 2503.00030; GRPO's estimator of KL: Shao et al. 2024, arXiv 2402.03300",
    claim="the only equilibrium with KL(μ‖π) in KL(π‖μ)'s place (E1.divergence); also the mean step of pairwise GRPO "
    "without division by the standard deviation, its KL estimated by k3 (L1.grpo); local rate by R3",
    objective=Pointwise(SelfPlay(FORWARD_KL)),
    target=Equilibrium(FORWARD_KL),
    aliases=("pairwise-grpo",),
)

rspo_chi2 = AlgorithmSpec(
    name="rspo-chi2",
    title="RSPO with χ²",
    citation="Tang et al. 2025, arXiv 2503.00030",
    claim="the only equilibrium with χ²(π‖μ) in KL(π‖μ)'s place, which can leave responses out (E1.divergence); "
    "local rate by R3 where it leaves out none",
    objective=Pointwise(SelfPlay(CHI_SQUARED)),
    target=Equilibrium(CHI_SQUARED),
)

rspo_renyi = AlgorithmSpec(
    name="rspo-renyi",
    title="RSPO with the Rényi divergence of order ½",
    citation="Tang et al. 2025, arXiv 2503.00030",
    claim="the only equilibrium with −2 log Σ√(πμ) in KL(π‖μ)'s place; above order 1 there can be several "
    "(E1.divergence); local rate by R3",
    update=renyi_update,
    target=renyi_target,
)

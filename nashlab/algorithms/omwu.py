"""Optimistic multiplicative weights: step against a guess of the next opponent, 2π_t − π_{t−1}.

log π ← (1−ητ) log π + ητ log μ + η P(2π_t − π_{t−1})
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.arrays import blend, log_softmax


def update(state: State, s: Setting, env: Environment) -> State:
    """One optimistic step; the previous policy is kept in the state."""
    log_policy = state["log_policy"]
    guess = 2.0 * env.advantage(log_policy) - env.advantage(state["log_previous"])
    pulled = blend(log_policy, s.log_reference, s.step_size * s.temperature)
    return {**state, "log_policy": log_softmax(pulled + s.step_size * guess), "log_previous": log_policy}


omwu = AlgorithmSpec(
    name="omwu",
    title="optimistic MWU",
    citation="Daskalakis & Panageas 2019, arXiv 1807.04252; regularised: Cen et al. 2021, arXiv 2105.15186; "
    "ONPO: Zhang et al. 2025, arXiv 2502.16852",
    claim="π*_τ locally linearly (R3); at τ = 0 the unique maximal lottery, last iterate, for ηλ < 1/√3",
    update=update,
    init=lambda log_policy: {"log_previous": log_policy},
    target=regularised,
    temperature_role="any",
    aliases=("onpo",),
)

"""Optimistic magnetic mirror descent: an MMD step against a guess of the next opponent, 2π_t − π_{t−1}.

log π ← (log π + ητ log μ + η P(2π_t − π_{t−1}))/(1 + ητ); at τ = 0 it is optimistic multiplicative weights.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.algorithms.mmd import magnetic_step


def update(state: State, s: Setting, env: Environment) -> State:
    """One optimistic step towards the reference; the previous policy is kept in the state."""
    log_policy = state["log_policy"]
    guess = 2.0 * env.advantage(log_policy) - env.advantage(state["log_previous"])
    moved = magnetic_step(log_policy, s.log_reference, guess, s.step_size, s.temperature)
    return {**state, "log_policy": moved, "log_previous": log_policy}


optimistic_mmd = AlgorithmSpec(
    name="optimistic-mmd",
    title="optimistic MMD",
    citation="MMD: Sokota et al. 2023, arXiv 2206.05825; optimism: Rakhlin & Sridharan 2013, arXiv 1311.1869",
    claim="π*_τ is its only fixed point with full support; local rate by R3; at τ = 0 it is optimistic MWU",
    update=update,
    init=lambda log_policy: {"log_previous": log_policy},
    target=regularised,
    temperature_role="any",
)

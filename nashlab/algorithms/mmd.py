"""Magnetic mirror descent: log π ← (log π + ητ log μ + η Pπ)/(1 + ητ)."""

from nashlab.algorithm import AlgorithmSpec, Environment, Guarantee, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.arrays import Array, blend, log_softmax


def magnetic_step(
    log_policy: Array, log_magnet: Array, advantage: Array, step_size: Array, temperature: Array
) -> Array:
    """One MMD step towards any magnet, [..., n]."""
    whole = 1.0 + step_size * temperature
    return log_softmax(blend(log_policy, log_magnet, step_size * temperature / whole) + step_size / whole * advantage)


def update(state: State, s: Setting, env: Environment) -> State:
    """One step with the reference as the magnet."""
    log_policy = state["log_policy"]
    moved = magnetic_step(log_policy, s.log_reference, env.advantage(log_policy), s.step_size, s.temperature)
    return {**state, "log_policy": moved}


mmd = AlgorithmSpec(
    name="mmd",
    title="magnetic mirror descent",
    citation="Sokota et al. 2023, arXiv 2206.05825",
    claim="π*_τ, linearly with KL factor 1/(1 + ητ) for η ≤ 4τ; locally: any η if τ ≥ λ, else η < 2τ/(λ² − τ²)",
    update=update,
    target=regularised,
    guarantee=Guarantee(
        factor=lambda p: 1.0 / (1.0 + p.step_size * p.temperature),
        largest_step=lambda p: 4.0 * p.temperature,
        source="theory section 4, N11",
    ),
    temperature_role="any",
)

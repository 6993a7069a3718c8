"""EGPO, the extragradient method: take a trial step, then step with the preferences seen at the trial policy.

log π½ ← (1−ητ) log π + ητ log μ + η Pπ,   log π ← (1−ητ) log π + ητ log μ + η Pπ½
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Guarantee, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.arrays import blend, log_softmax


def update(state: State, s: Setting, env: Environment) -> State:
    """One extragradient step: two questions to the game."""
    log_policy = state["log_policy"]
    pulled = blend(log_policy, s.log_reference, s.step_size * s.temperature)
    ahead = log_softmax(pulled + s.step_size * env.advantage(log_policy))
    return {**state, "log_policy": log_softmax(pulled + s.step_size * env.advantage(ahead))}


egpo = AlgorithmSpec(
    name="egpo",
    title="EGPO (extragradient)",
    citation="Zhou et al. 2025, arXiv 2503.08942",
    claim="π*_τ, linearly with KL factor 1 − ητ for η ≤ 1/(1 + τ); locally stable iff (a−b²)² + a²b² < 1 (R3)",
    update=update,
    target=regularised,
    guarantee=Guarantee(
        factor=lambda p: 1.0 - p.step_size * p.temperature,
        largest_step=lambda p: 1.0 / (p.temperature + 1.0),
        source="Zhou et al. 2025",
    ),
    temperature_role="any",
)

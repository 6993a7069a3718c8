"""Online mirror descent, also regularised multiplicative weights and exact INPO.

log π ← (1 − ητ) log π + ητ log μ + η Pπ
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Guarantee, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.arrays import blend, log_softmax


def update(state: State, s: Setting, env: Environment) -> State:
    """One mirror-descent step on the regularised game."""
    log_policy = state["log_policy"]
    pulled = blend(log_policy, s.log_reference, s.step_size * s.temperature)
    return {**state, "log_policy": log_softmax(pulled + s.step_size * env.advantage(log_policy))}


omd = AlgorithmSpec(
    name="omd",
    title="online mirror descent",
    citation="Nemirovski & Yudin 1983; INPO: Zhang et al. 2024, arXiv 2407.00617",
    claim="π*_τ, linearly with KL factor 1 − ητ for η ≤ 4τ/(1 + 4τ²); locally stable iff η < 2τ/(τ² + λ²) (R3)",
    update=update,
    target=regularised,
    guarantee=Guarantee(
        factor=lambda p: 1.0 - p.step_size * p.temperature,
        largest_step=lambda p: 4.0 * p.temperature / (1.0 + 4.0 * p.temperature**2),
        source="theory section 4: OMD(η) is MMD(η/(1 − ητ))",
    ),
    temperature_role="any",
    aliases=("inpo", "regularised-mwu"),
)

"""Nash Mirror Prox: extragradient with magnetic steps, both of which start at the same policy.

log π½ ← (log π + ητ log μ + η Pπ)/(1 + ητ),   log π ← (log π + ητ log μ + η Pπ½)/(1 + ητ)
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Guarantee, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.algorithms.mmd import magnetic_step


def update(state: State, s: Setting, env: Environment) -> State:
    """One step: two questions to the game."""
    log_policy, numbers = state["log_policy"], (s.step_size, s.temperature)
    ahead = magnetic_step(log_policy, s.log_reference, env.advantage(log_policy), *numbers)
    return {**state, "log_policy": magnetic_step(log_policy, s.log_reference, env.advantage(ahead), *numbers)}


nash_mirror_prox = AlgorithmSpec(
    name="nash-mirror-prox",
    title="Nash Mirror Prox",
    citation="Tiapkin et al. 2025, arXiv 2505.19731, first version; Nemirovski 2004",
    claim="π*_τ, with KL factor 1/(1 + ητ) for η ≤ 2(τ + √(1 + τ²)) from any start (N26): "
    "at η = 2 the stated (1 + 2τ)^{−N/2} in N questions; local rate by R3",
    update=update,
    target=regularised,
    guarantee=Guarantee(
        factor=lambda p: 1.0 / (1.0 + p.step_size * p.temperature),
        largest_step=lambda p: 2.0 * (p.temperature + (1.0 + p.temperature**2) ** 0.5),
        source="N26",
    ),
    temperature_role="any",
    aliases=("nash-mp",),
)

"""Nash-EMA-PG(β): policy gradient against the policy's own past, θ̄ ← (1−β) θ̄ + βθ."""

from nashlab.algorithm import AlgorithmSpec, Environment, Pointwise, Setting, State, gradient_step
from nashlab.algorithms._targets import regularised
from nashlab.arrays import geometric_mixture
from nashlab.losses import self_play_advantage


def update(state: State, s: Setting, env: Environment) -> State:
    """A gradient step against the average, then the average is updated in log-space (it averages parameters)."""
    state = gradient_step(nash_ema_pg, state, s, env)
    return {**state, "log_average": geometric_mixture(state["log_average"], state["log_policy"], s.beta)}


nash_ema_pg = AlgorithmSpec(
    name="nash-ema-pg",
    title="Nash-EMA-PG",
    citation="Munos et al. 2024, arXiv 2312.00886",
    claim="π*_τ is its only fixed point (average and policy meet there); local rate by R3",
    left="policy",
    right="average",
    objective=Pointwise(self_play_advantage),
    update=update,
    init=lambda log_policy: {"log_average": log_policy},
    target=regularised,
)

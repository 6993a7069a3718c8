"""COMAL, the proximal point method (MPO's moving reference): solve the τ game, make its solution the reference, repeat.

outer: ν ← π when the inner problem is solved well enough;   inner: an MMD step with the magnet ν

"Well enough" is the relative criterion: the inner residual is a tenth of the distance travelled from ν, both as
oscillations of log-policies; it keeps the proximal point method's convergence without a schedule of inner steps.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms.mmd import magnetic_step
from nashlab.arrays import Array, array_namespace, log_ratio, oscillation

RELATIVE_ERROR = 0.1  # any constant below 1 keeps convergence; a tenth needs few inner steps


def next_centre(log_policy: Array, log_centre: Array, residual: Array, s: Setting) -> Array:
    """The policy where it solves the inner problem well enough, elsewhere the old centre."""
    xp = array_namespace(log_policy)
    inside = xp.isfinite(s.log_reference)
    travelled = oscillation(log_ratio(log_policy, log_centre), inside)
    solved = oscillation(residual, inside) <= RELATIVE_ERROR * travelled
    return xp.where(solved[..., None], log_policy, log_centre)


def update(state: State, s: Setting, env: Environment) -> State:
    """One inner step; the outer loop is a comparison in the state."""
    log_policy, log_magnet = state["log_policy"], state["log_magnet"]
    advantage = env.advantage(log_policy)
    residual = log_ratio(log_policy, log_magnet) - advantage / s.temperature
    log_magnet = next_centre(log_policy, log_magnet, residual, s)
    moved = magnetic_step(log_policy, log_magnet, advantage, s.step_size, s.temperature)
    return {**state, "log_policy": moved, "log_magnet": log_magnet}


comal = AlgorithmSpec(
    name="comal",
    title="COMAL (proximal point)",
    citation="Liu et al. 2024, arXiv 2410.23223; MPO: Wang et al. 2024, arXiv 2410.16714; Rockafellar 1976",
    claim="a maximal lottery, last iterate; which one depends on the path where there are several (not E5's selection)",
    update=update,
    init=lambda log_policy: {"log_magnet": log_policy},
    limit="other",
    temperature_role="proximal",
    aliases=("proximal-point", "mpo"),
)

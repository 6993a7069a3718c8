"""COMAL, the proximal point method (MPO's moving reference): solve the τ game, make its answer the reference, repeat.

outer: ν ← π when the inner problem is solved well enough;   inner: an MMD step with the magnet ν

"Well enough" is the relative criterion: the inner residual is a tenth of the distance travelled from ν, both as
oscillations of log-policies; it keeps the proximal point method's convergence without a schedule of inner steps.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms.mmd import magnetic_step
from nashlab.arrays import array_namespace, oscillation

RELATIVE_ERROR = 0.1  # any constant below 1 keeps convergence; a tenth costs few inner steps


def update(state: State, s: Setting, env: Environment) -> State:
    """One inner step; the outer loop is a comparison in the state."""
    log_policy, log_magnet = state["log_policy"], state["log_magnet"]
    xp = array_namespace(log_policy)
    inside = xp.isfinite(s.log_reference)
    travelled = xp.where(inside, log_policy, xp.zeros_like(log_policy)) - xp.where(
        inside, log_magnet, xp.zeros_like(log_policy)
    )
    residual = travelled - env.advantage(log_policy) / s.temperature
    solved = oscillation(residual, inside) <= RELATIVE_ERROR * oscillation(travelled, inside)
    log_magnet = xp.where(solved[..., None], log_policy, log_magnet)
    moved = magnetic_step(log_policy, log_magnet, env.advantage(log_policy), s.step_size, s.temperature)
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

"""Nash Prox, the proximal point method on the regularised game: solve it with a penalty KL(·‖ν)/η, make the answer ν.

outer: log ν ← (log ν + ητ log μ + ηPπ)/(1 + ητ) at its own solution π, any η;   inner: extragradient steps (N26)

The inner game has temperature τ + 1/η and the reference ∝ (ν μ^{ητ})^{1/(1+ητ)}.  It counts as solved by COMAL's
criterion: its residual is a tenth of the distance travelled from ν.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.algorithms.comal import RELATIVE_ERROR
from nashlab.algorithms.mmd import magnetic_step
from nashlab.arrays import Array, array_namespace, blend, oscillation


def update(state: State, s: Setting, env: Environment) -> State:
    """One inner step, at the step size that needs no tuning; the outer loop is a comparison in the state."""
    log_policy, log_centre = state["log_policy"], state["log_centre"]
    xp = array_namespace(log_policy)
    inside, nothing = xp.isfinite(s.log_reference), xp.zeros_like(log_policy)
    hot = s.temperature + 1.0 / s.step_size

    def finite(log_p: Array) -> Array:
        return xp.where(inside, log_p, nothing)

    def magnet(log_centre: Array) -> Array:
        return blend(log_centre, s.log_reference, s.temperature / hot)

    residual = finite(log_policy) - finite(magnet(log_centre)) - env.advantage(log_policy) / hot
    travelled = finite(log_policy) - finite(log_centre)
    solved = oscillation(residual, inside) <= RELATIVE_ERROR * oscillation(travelled, inside)
    log_centre = xp.where(solved[..., None], log_policy, log_centre)
    step = 2.0 * (hot + (1.0 + hot**2) ** 0.5)
    log_magnet = magnet(log_centre)
    ahead = magnetic_step(log_policy, log_magnet, env.advantage(log_policy), step, hot)
    moved = magnetic_step(log_policy, log_magnet, env.advantage(ahead), step, hot)
    return {**state, "log_policy": moved, "log_centre": log_centre}


nash_prox = AlgorithmSpec(
    name="nash-prox",
    title="Nash Prox (proximal point)",
    citation="Tiapkin et al. 2025, arXiv 2505.19731; Rockafellar 1976",
    claim="π*_τ, last iterate, any η: an exact proximal step divides KL(π*_τ‖ν) by 1 + ητ or more",
    update=update,
    init=lambda log_policy: {"log_centre": log_policy},
    target=regularised,
    limit="other",
    aliases=("nash-mp",),
)

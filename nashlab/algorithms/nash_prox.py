"""Nash Prox, the proximal point method on the regularised game: solve it with a penalty KL(·‖ν)/η, then move ν there.

outer: log ν ← (log ν + ητ log μ + ηPπ)/(1 + ητ) at its own solution π, any η;   inner: extragradient steps (N26)

The inner game has temperature τ + 1/η and the reference ∝ (ν μ^{ητ})^{1/(1+ητ)}.  It counts as solved by COMAL's
criterion: its residual is a tenth of the distance travelled from ν.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.algorithms.comal import next_centre
from nashlab.algorithms.mmd import magnetic_step
from nashlab.arrays import blend, log_ratio


def update(state: State, s: Setting, env: Environment) -> State:
    """One inner step, at the step size that needs no tuning; the outer loop is a comparison in the state."""
    log_policy, log_centre = state["log_policy"], state["log_centre"]
    hot = s.temperature + 1.0 / s.step_size
    share, step = s.temperature / hot, 2.0 * (hot + (1.0 + hot**2) ** 0.5)
    advantage = env.advantage(log_policy)
    residual = log_ratio(log_policy, blend(log_centre, s.log_reference, share)) - advantage / hot
    log_centre = next_centre(log_policy, log_centre, residual, s)
    log_magnet = blend(log_centre, s.log_reference, share)
    ahead = magnetic_step(log_policy, log_magnet, advantage, step, hot)
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
)

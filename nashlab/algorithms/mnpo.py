"""MNPO with mixtures of past policies for both players: step from one average of past policies against another.

log π ← (1 − ητ) L + ητ log μ + ηPν,   L ← (1−β)L + β log π,   ν ← (1−β)ν + βπ  (both averages include the last π)

β = 1 remembers only the last policy, which is OMD.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._targets import regularised
from nashlab.arrays import Array, array_namespace, blend, log_softmax


def start(log_policy: Array) -> dict[str, Array]:
    """Both averages hold the first policy."""
    return {"log_past": log_policy, "opponent": array_namespace(log_policy).exp(log_policy)}


def update(state: State, s: Setting, env: Environment) -> State:
    """One step, then both averages are updated."""
    xp = array_namespace(state["log_policy"])
    pulled = blend(state["log_past"], s.log_reference, s.step_size * s.temperature)
    log_policy = log_softmax(pulled + s.step_size * env.advantage(xp.log(state["opponent"])))
    return {
        **state,
        "log_policy": log_policy,
        "log_past": blend(state["log_past"], log_policy, s.beta),
        "opponent": (1.0 - s.beta) * state["opponent"] + s.beta * xp.exp(log_policy),
    }


mnpo = AlgorithmSpec(
    name="mnpo",
    title="MNPO, mixtures of past opponents",
    citation="Wu et al. 2025, arXiv 2509.23102",
    claim="π*_τ is its only fixed point with full support; local rate by R3; β = 1 is OMD",
    update=update,
    init=start,
    target=regularised,
    temperature_role="any",
)

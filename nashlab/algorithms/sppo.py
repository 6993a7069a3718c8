"""SPPO: multiplicative weights on the unregularised game, log π ← log π + ηPπ, evaluated by the average iterate.

SPO plays the same update with the step η/√(t+1).
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._averages import average_policy, start_average, with_average
from nashlab.arrays import log_softmax


def update(state: State, s: Setting, env: Environment) -> State:
    """One step of multiplicative weights."""
    log_policy = state["log_policy"]
    state = with_average(state, log_policy, s.time)
    return {**state, "log_policy": log_softmax(log_policy + s.step_size * env.advantage(log_policy))}


def slowing(state: State, s: Setting, env: Environment) -> State:
    """The same at η/√(t+1)."""
    return update(state, s._replace(step_size=s.step_size / (s.time + 1.0) ** 0.5), env)


sppo = AlgorithmSpec(
    name="sppo",
    title="SPPO (MWU), average iterate",
    citation="Wu et al. 2024, arXiv 2405.00675; Freund & Schapire 1999",
    claim="average iterate: unregularised gap ≤ log n/(ηT) + η/24; the last iterate spirals to the boundary",
    update=update,
    init=start_average,
    answer=average_policy,
    limit="average",
    temperature_role="ignored",
    aliases=("mwu",),
)

spo = AlgorithmSpec(
    name="spo",
    title="SPO, average iterate",
    citation="Swamy et al. 2024, arXiv 2401.04056",
    claim="average iterate: unregularised gap O(1/√T) with the step η/√(t+1), the horizon unknown",
    update=slowing,
    init=start_average,
    answer=average_policy,
    limit="average",
    temperature_role="ignored",
)

"""Fictitious play: best response to the average of all policies played so far; ties share the mass equally."""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._averages import average_policy, start_average, with_average
from nashlab.arrays import array_namespace

TIE = 1e-12  # in units of preference: replies that are best up to rounding share the mass


def update(state: State, s: Setting, env: Environment) -> State:
    """One best response, added to the average."""
    xp = array_namespace(state["log_mean"])
    inside = xp.isfinite(s.log_reference)
    minus_infinity = xp.zeros_like(state["log_mean"]) - xp.inf
    value = xp.where(inside, env.advantage(state["log_mean"]), minus_infinity)
    best = value >= xp.max(value, axis=-1, keepdims=True) - TIE
    count = xp.sum(xp.where(best, xp.ones_like(value), xp.zeros_like(value)), axis=-1, keepdims=True)
    reply = xp.where(best, -xp.log(count), minus_infinity)
    return {**with_average(state, reply, s.time + 1.0), "log_policy": reply}


fictitious_play = AlgorithmSpec(
    name="fictitious-play",
    title="fictitious play, average iterate",
    citation="Brown 1951; Robinson 1951",
    claim="average iterate: a maximal lottery; gap about 1/√T seen",
    update=update,
    init=start_average,
    answer=average_policy,
    limit="average",
    temperature_role="ignored",
)

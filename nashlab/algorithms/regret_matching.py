"""Regret matching⁺ and its predictive form: play in proportion to the positive part of accumulated regret.

R ← max(0, R + Aπ),   π ∝ R   (predictive: π ∝ max(0, R + the last Aπ));   the regret of y against π is (Aπ)(y)

Forms with smooth steps, whose last iterates converge, are in :mod:`nashlab.algorithms.smooth_regret_matching`.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms._averages import average_policy, start_average, with_average
from nashlab.arrays import Array, array_namespace


def start(log_policy: Array) -> dict[str, Array]:
    """No regret yet, and no last observation."""
    xp = array_namespace(log_policy)
    return {**start_average(log_policy), "regret": xp.zeros_like(log_policy)}


def proportional(regret: Array, log_policy: Array) -> Array:
    """log of R/ΣR, or the old policy if no regret is positive."""
    xp = array_namespace(regret)
    total = xp.sum(regret, axis=-1, keepdims=True)
    held = regret > 0
    log_share = xp.log(xp.where(held, regret, xp.ones_like(regret)))
    log_total = xp.log(xp.where(total > 0, total, xp.ones_like(total)))
    new = xp.where(held, log_share - log_total, xp.zeros_like(regret) - xp.inf)
    return xp.where(total > 0, new, log_policy)


def accumulated(state: State, s: Setting, env: Environment) -> tuple[Array, Array]:
    """(R, Aπ) after the policy just played; padded responses have no regret."""
    xp = array_namespace(state["regret"])
    zero = xp.zeros_like(state["regret"])
    seen = xp.where(xp.isfinite(s.log_reference), env.advantage(state["log_policy"]), zero)
    total = state["regret"] + seen
    return xp.where(total > 0, total, zero), seen


def update(state: State, s: Setting, env: Environment) -> State:
    """One step of regret matching⁺; uniform average."""
    regret, _ = accumulated(state, s, env)
    averaged = with_average(state, state["log_policy"], s.time)
    return {**averaged, "regret": regret, "log_policy": proportional(regret, state["log_policy"])}


def predictive_update(state: State, s: Setting, env: Environment) -> State:
    """One step that predicts the last observation again; quadratic average."""
    regret, seen = accumulated(state, s, env)
    xp = array_namespace(regret)
    expected = regret + seen
    expected = xp.where(expected > 0, expected, xp.zeros_like(expected))
    averaged = with_average(state, state["log_policy"], s.time, power=2)
    return {**averaged, "regret": regret, "log_policy": proportional(expected, state["log_policy"])}


regret_matching = AlgorithmSpec(
    name="regret-matching-plus",
    title="regret matching⁺, average iterate",
    citation="Hart & Mas-Colell 2000; Tammelin 2014, arXiv 1407.5042",
    claim="average iterate: a maximal lottery; gap O(1/√T)",
    update=update,
    init=start,
    answer=average_policy,
    limit="average",
    temperature_role="ignored",
)

predictive_regret_matching = AlgorithmSpec(
    name="predictive-regret-matching-plus",
    title="predictive regret matching⁺, average iterate",
    citation="Farina et al. 2021, arXiv 2007.14358",
    claim="average iterate: a maximal lottery; gap about 1/T seen",
    update=predictive_update,
    init=start,
    answer=average_policy,
    limit="average",
    temperature_role="ignored",
)

"""Average iterates: the running mean of the policies played, kept in the state as a log-policy."""

from nashlab.algorithm import Setting, State
from nashlab.arrays import Array, array_namespace


def start_average(log_policy: Array) -> dict[str, Array]:
    """Before the first step the average is the initial policy."""
    return {"log_mean": log_policy}


def with_average(state: State, log_played: Array, time: Array, power: int = 0) -> dict[str, Array]:
    """The state with ``log_played`` averaged in, at weight ∝ (t+1)^power: plain mean, linear, ..."""
    xp = array_namespace(log_played)
    share = (power + 1.0) / (time + power + 1.0)
    mean = (1.0 - share) * xp.exp(state["log_mean"]) + share * xp.exp(log_played)
    # a response never played has log 0 = −∞, on purpose; the double where avoids the warning
    held = mean > 0
    log_mean = xp.where(held, xp.log(xp.where(held, mean, xp.ones_like(mean))), xp.zeros_like(mean) - xp.inf)
    return {**state, "log_mean": log_mean}


def average_policy(state: State, s: Setting) -> Array:
    """The policy that an average-iterate method is evaluated by."""
    return state["log_mean"]

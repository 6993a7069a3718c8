"""SLHF: a leader commits to a response y, a follower answers it with a draw from ω(· | y); both pay for KL to μ.

max_π min_ω  E_{y~π, y'~ω(·|y)}[p(y ≻ y')] − τ KL(π‖μ) + τ E_π KL(ω(·|y)‖μ)

Both play magnetic mirror descent.  A follower's best answers do not depend on π, so the leader's problem is that of one
agent with the reward v(y) = −τ log E_{y'~μ} exp(−p(y ≻ y')/τ): no game is left to solve.
"""

import numpy as np

from nashlab.algorithm import AlgorithmSpec, Environment, Problem, Setting, State
from nashlab.algorithms._targets import LogPolicy
from nashlab.algorithms.mmd import magnetic_step
from nashlab.arrays import Array, array_namespace, kl, logsumexp
from nashlab.certificate import best_response


def start(log_policy: Array) -> dict[str, Array]:
    """The follower starts with the leader's policy, whatever the response."""
    shape = (*log_policy.shape, log_policy.shape[-1])
    return {"log_follower": array_namespace(log_policy).broadcast_to(log_policy[..., None, :], shape)}


def update(state: State, s: Setting, env: Environment) -> State:
    """One magnetic step of each player against the other."""
    log_policy, log_follower, log_mu = state["log_policy"], state["log_follower"], s.log_reference[..., None, :]
    xp = array_namespace(log_policy)
    same = xp.eye(log_policy.shape[-1]) > 0
    certain = xp.where(same, xp.zeros_like(log_follower), xp.zeros_like(log_follower) - xp.inf)
    answers = env.advantages(certain)  # p(y' ≻ y) − ½ in row y
    value = s.temperature * kl(log_follower, log_mu) - xp.sum(xp.exp(log_follower) * answers, axis=-1)
    return {
        **state,
        "log_policy": magnetic_step(log_policy, s.log_reference, value, s.step_size, s.temperature),
        "log_follower": magnetic_step(log_follower, log_mu, answers, s.step_size, s.temperature),
    }


def leader_weight(h_left: Array, h_right: Array, p: Array, temperature: float) -> Array:
    """τ(1 − e^{h(y) − (p − ½)/τ}): the weight of s(y), y ~ π and y' ~ μ, on the way to the leader's optimum q.

        E_{y~π, y'~μ}[weight · s(y)] = −(τ/2c) ∇χ²(π‖q),   c = E_{y~μ} e^{(v(y) − ½)/τ}

    It is unbiased though v is the logarithm of a mean over y', and to first order self-play's p − ½ − τh.  It is not
    linear in p, so it needs p itself.

    Source: theory E7.leader.

    >>> import numpy as np
    >>> mu, p = np.array([0.7, 0.3]), np.array([[0.5, 0.9], [0.1, 0.5]])
    >>> h = -np.log(np.exp(-(p - 0.5) / 0.2) @ mu)  # of the optimum, up to a constant
    >>> float(np.ptp(leader_weight(h[:, None], 0.0, p, 0.2) @ mu)) < 1e-12  # the same for all: no pull is left
    True
    """
    xp = array_namespace(h_left)
    return temperature * (1.0 - xp.exp(h_left - (p - 0.5) / temperature))


def target(problem: Problem) -> LogPolicy:
    """The leader's optimum, ∝ μ exp(v/τ)."""
    log_mu, tau = problem.game.log_reference, problem.temperature
    value = -tau * logsumexp(log_mu[..., None, :] - problem.game.margins / tau)[..., 0]
    return np.asarray(best_response(value, log_mu, tau))


slhf = AlgorithmSpec(
    name="slhf",
    title="SLHF, the leader",
    citation="Pásztor et al. 2025, arXiv 2512.16626",
    claim="∝ μ exp(v/τ), v(y) = −τ log E_{y'~μ} e^{−p(y ≻ y')/τ}, at rate 1/(1 + ητ); π*_τ for n = 2, not in general",
    update=update,
    init=start,
    target=target,
    aliases=("stackelberg-gda",),
)

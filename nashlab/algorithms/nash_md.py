"""Nash mirror descent: a mirror step from, and against, the geometric mixture.

m = m_{ητ}(π),   log π ← log m + η Pm

With a constant step its fixed point is BR_τ(π*_{τ/(1−ητ)}), not π*_τ; run at τ/(1 + ητ) and evaluated by its mixture
it is exactly unbiased (N10).
"""

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import AlgorithmSpec, Environment, Guarantee, Problem, Setting, State
from nashlab.algorithms._targets import displaced, regularised
from nashlab.arrays import Array, geometric_mixture, log_softmax


def mixture(state: State, s: Setting) -> Array:
    """log m_{ητ}(π)."""
    return geometric_mixture(state["log_policy"], s.log_reference, s.step_size * s.temperature)


def update(state: State, s: Setting, env: Environment) -> State:
    """One Nash-MD step."""
    log_m = mixture(state, s)
    return {**state, "log_policy": log_softmax(log_m + s.step_size * env.advantage(log_m))}


def target(problem: Problem) -> NDArray[np.float64] | None:
    """BR_τ(π*_{τ/(1−ητ)}) (N10); None for ητ > 1, where the mixture has a negative weight."""
    share = problem.step_size * problem.temperature
    return displaced(problem.game, problem.temperature, share) if share <= 1 else None


def corrected(s: Setting) -> Setting:
    """The setting at the temperature τ/(1 + ητ), whose displaced mixture is π*_τ itself."""
    return s._replace(temperature=s.temperature / (1.0 + s.step_size * s.temperature))


nash_md = AlgorithmSpec(
    name="nash-md",
    title="Nash-MD",
    citation="Munos et al. 2024, arXiv 2312.00886",
    claim="KL(π*, π_t) ≤ (1−ητ)^t KL(π*, π_0) + η/(24τ) (R2); its own limit is BR_τ(π*_{τ/(1−ητ)}), exactly (N10)",
    update=update,
    target=target,
    guarantee=Guarantee(
        largest_step=lambda p: 1.0 / p.temperature if p.temperature > 0 else np.inf,
        source="R1, R2: to within η/(24τ) of π*_τ in KL",
    ),
    temperature_role="any",
    unbiased="nash-md-debiased",
)

nash_md_debiased = AlgorithmSpec(
    name="nash-md-debiased",
    title="Nash-MD, de-biased",
    citation="Munos et al. 2024, arXiv 2312.00886; correction N10",
    claim="π*_τ: Nash-MD at τ/(1 + ητ), judged by its mixture, which is MMD(η, τ) (N10)",
    update=lambda state, s, env: update(state, corrected(s), env),
    answer=lambda state, s: mixture(state, corrected(s)),
    target=regularised,
    guarantee=Guarantee(
        factor=lambda p: 1.0 / (1.0 + p.step_size * p.temperature),
        largest_step=lambda p: 4.0 * p.temperature,
        source="N10: the mixture sequence is MMD(η, τ)",
    ),
)

"""The library's side of every check: its equilibria, and its algorithms stepped in plain numpy through the registry."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import AlgorithmSpec, Problem, Setting, State
from nashlab.algorithms import REGISTRY
from nashlab.claims import Case
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame

__all__ = ["direction", "environment", "last", "problem", "pull", "setting", "settled", "solved", "steps", "target"]

Array = NDArray[np.float64]


@functools.lru_cache(maxsize=4096)
def solved(game: PreferenceGame, temperature: float) -> Array:
    """log π*_τ (games hash by identity, and each claim sees the same ones)."""
    return regularised_nash(game, temperature).log_policy


def setting(case: Case, beta: float = 0.125, step: float = 1.0, log_behaviour: Array | None = None) -> Setting:
    """The setting of a step on a case; without μ_b, data come from μ."""
    log_mu = case.game.log_reference
    return Setting(log_mu, log_mu if log_behaviour is None else log_behaviour, case.temperature, step, beta, 0.0)


def pull(case: Case, objective: Any, log_left: Array, log_right: Array) -> Array:
    """The expected ascent direction of an objective at the case's policy, for two samplers."""
    environment = ExactEnvironment(case.game.margins)
    return np.asarray(environment.pull(objective, case.log_policy, log_left, log_right, setting(case)))


def environment(game: PreferenceGame) -> ExactEnvironment:
    """Exact feedback about a game."""
    return ExactEnvironment(game.margins)


def direction(name: str, case: Case, beta: float = 0.125, log_behaviour: Array | None = None) -> Array:
    """The ascent direction of a method: one step of η · unit = 1 in plain θ."""
    spec = REGISTRY[name]
    assert spec.objective is not None
    held = setting(case, beta, 1.0 / spec.objective.unit(case.temperature), log_behaviour)
    after = spec.step(spec.start(case.log_policy), held, ExactEnvironment(case.game.margins))
    moved = np.asarray(after["log_policy"]) - case.log_policy
    return np.asarray(moved - moved.mean(axis=-1, keepdims=True))  # a direction in θ sums to 0; log-softmax shifts it


def steps(spec: AlgorithmSpec, case: Case, step_size: float, count: int = 1) -> Iterator[Array]:
    """The log-policies of a run, after each step."""
    held, environment = setting(case, step=step_size), ExactEnvironment(case.game.margins)
    state: State = spec.start(case.log_policy)
    for t in range(count):
        state = spec.step(state, held._replace(time=float(t)), environment)
        yield np.asarray(spec.answer(state, held._replace(time=float(t + 1))))


def last(spec: AlgorithmSpec, case: Case, step_size: float, count: int = 1) -> Array:
    """The last of :func:`steps`."""
    return deque(steps(spec, case, step_size, count), maxlen=1)[0]


def settled(spec: AlgorithmSpec, case: Case) -> Array:
    """The limit of a method with a kink: long steps to approach it, short ones to settle."""
    for count, step in ((1500, 0.5), (600, 0.1), (200, 0.03), (200, 0.005)):
        case = case._replace(log_policy=last(spec, case, step, count))
    return case.log_policy


def problem(case: Case, beta: float = 0.125, log_behaviour: Array | None = None) -> Problem:
    """The case as the :class:`Problem` of a declared fixed point."""
    log_data = case.game.log_reference if log_behaviour is None else log_behaviour
    return Problem(case.game, case.temperature, 0.1, beta, log_data)


def target(name: str, at: Problem) -> Array:
    """The fixed point that an algorithm declares."""
    declared = REGISTRY[name].target
    found = None if declared is None else declared(at)
    assert found is not None
    return found

"""XPO's claim: under Bradley-Terry preferences all that is left at the RLHF optimum is the bonus, α (π_R − μ)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.algorithm import Exploring, Objective, Setting
from nashlab.algorithms import get
from nashlab.environment import ExactEnvironment
from nashlab.losses import dpo


class Backwards(Exploring):
    """The wrong twin: a bonus for saying what the reference says."""

    def weights(self, h_left, h_right, p, temperature):  # type: ignore[no-untyped-def]
        slope = self.loss.slope(h_left - h_right, p, temperature)
        return -slope, slope + self.bonus


def left_at_the_optimum(objective: Objective, seed: int, tau: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(the step from π_R ∝ μ exp(r/τ) over its size, π_R − μ)."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 7))
    reward, mu = rng.normal(size=size), rng.dirichlet(np.ones(size))
    margins = 1 / (1 + np.exp(reward[None, :] - reward[:, None])) - 0.5
    log_pi = np.log(mu) + reward / tau
    log_pi -= np.logaddexp.reduce(log_pi)
    setting = Setting(np.log(mu), np.log(mu), tau, 1e-3, 0.0, 0.0)
    spec = replace(get("xpo"), objective=objective)
    after = spec.step({"log_policy": log_pi}, setting, ExactEnvironment(margins))["log_policy"]
    moved = (after - log_pi) / 1e-3
    return moved - moved.mean(), np.exp(log_pi) - mu - (np.exp(log_pi) - mu).mean()


@pytest.mark.parametrize("tau", [0.2, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_bonus_alone_is_left_at_the_reward_optimum(seed: int, tau: float) -> None:
    """Logits move by η · unit · α (π_R − μ) there, unit = 1/(2τ); without the bonus they stay."""
    for bonus in (0.0, 1e-3, 0.1):
        moved, away = left_at_the_optimum(Exploring(dpo, bonus), seed, tau)
        # rounding of log-probabilities of size 10, over a step of 1e-3
        assert np.abs(moved - bonus / (2 * tau) * away).max() < 1e-11
    twin, away = left_at_the_optimum(Backwards(dpo, 0.1), seed, tau)
    assert np.abs(twin - 0.1 / (2 * tau) * away).max() > 1e-3


def test_both_responses_are_scored_and_y_comes_from_the_policy_alone() -> None:
    spec = get("xpo")
    assert (spec.contrastive, spec.online, spec.left, spec.right) == (True, True, "policy", "reference")

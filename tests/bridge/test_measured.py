"""What a run measures of its policy while it trains: win rate, KL and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arena import NAMES, PROMPTS, enumerated
from scipy.stats import binom, binomtest

from llm_bridge.judges import OneOrder
from llm_bridge.policy import Prompts
from llm_bridge.training import HeldOut, Players, share_interval
from llm_bridge.verify import LANGUAGE, tiny
from nashlab.game import BadInput


def test_win_rate_and_kl_are_those_of_the_enumerated_language() -> None:
    """Within four standard errors of πᵀPπ₀ and Σ π log π/μ over all sequences, which shares no code with it."""
    start, policy = tiny("gpt2", seed=1), tiny("gpt2", seed=4)
    log_pi, log_mu = enumerated(policy), enumerated(start)
    pi, mu, gain = np.exp(log_pi), np.exp(log_mu), log_pi - log_mu
    wins = 0.5 + 0.5 * np.sign(gain[:, None] - gain[None, :])  # what the policy says more often, always
    judge = OneOrder(lambda x, y, z: [wins[NAMES[a], NAMES[b]] for a, b in zip(y, z, strict=True)])
    count = 600
    held_out = HeldOut(Prompts(["a"] * count, [PROMPTS.rows[0]] * count), judge, 3, batch=200)
    held_out.begin(start)
    found = held_out(Players(policy, start.reference(), start.reference()))
    truth = float(pi @ wins @ mu)
    error = 0.5 / math.sqrt(2 * count)  # of a mean of numbers in [0, 1], two pairs a prompt
    assert abs(found["win_rate"] - truth) < 4 * error
    assert abs(truth - 0.5) > 4 * error  # canary: the policy against itself
    kl = float(pi @ (log_pi - log_mu))
    spread = math.sqrt(float(pi @ (log_pi - log_mu - kl) ** 2) / (2 * count))
    assert abs(found["held_out_kl"] - kl) < 4 * spread
    assert abs(float(mu @ (log_mu - log_pi)) - kl) > 4 * spread  # canary: the other way round
    assert found["win_rate_low"] < truth < found["win_rate_high"]
    ends = np.array([y[-1] == LANGUAGE.eos_id for y in LANGUAGE.sequences])
    assert abs(found["held_out_ended"] - float(pi @ ends)) < 4 * error


def test_the_interval_is_clopper_and_pearson_s_and_covers() -> None:
    for wins in (0, 3, 10):
        theirs = binomtest(wins, 10).proportion_ci(0.95, method="exact")
        assert share_interval(wins, 10) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    for p, n in ((0.5, 8), (0.9, 12), (0.97, 20)):
        assert sum(binom.pmf(k, n, p) for k in range(n + 1) if not _covers(k, n, p)) <= 0.05
    shares = np.random.default_rng(0).beta(0.9, 0.1, (500, 12)).sum(axis=1)  # of mean .9, nearly coins
    four_errors = 4 * math.sqrt(0.05 * 0.95 / 500)
    assert np.mean([not _covers(float(wins), 12, 0.9) for wins in shares]) <= 0.05 + four_errors
    # canary: an interval of another level
    assert sum(binom.pmf(k, 8, 0.5) for k in range(9) if not _covers(k, 8, 0.5, 0.5)) > 0.05
    with pytest.raises(BadInput, match="wins = 11, must be between 0 and total = 10"):
        share_interval(11, 10)


def _covers(wins: float, total: int, p: float, level: float = 0.95) -> bool:
    low, high = share_interval(wins, total, level)
    return low <= p <= high


def test_pairs_left_out_are_left_out_of_the_measurement() -> None:
    def shy(x: list[str], y: list[str], z: list[str]) -> list[float | None]:
        return [None if prompt == "a" else 1.0 if a < b else 0.0 for prompt, a, b in zip(x, y, z, strict=True)]

    held_out = HeldOut(Prompts(["a"] * 8 + ["b"] * 8, [PROMPTS.rows[0]] * 16), OneOrder(shy), 3)
    policy = tiny("gpt2", seed=1)
    found = held_out(Players(policy, policy.reference(), policy.reference()))
    assert found["win_rate"] == 0.5
    assert 0 < found["held_out_left_out"] <= 0.5  # equal answers need no judge

"""What a learner sees, in small: pairs of given samples, labels, draws and moments, against sums written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab import environment
from nashlab.algorithm import Exploring, Objective, Pairwise, Pointwise, Setting
from nashlab.algorithms import REGISTRY
from nashlab.environment import BanditEnvironment, ExactEnvironment, Feedback, estimate, moments, rater_labels
from nashlab.game import BadInput
from nashlab.losses import ipo, self_play_advantage

Array = NDArray[np.float64]

MARGINS = np.array([[0.0, 0.3, -0.2], [-0.3, 0.0, 0.4], [0.2, -0.4, 0.0]])
POLICY, LEFT, RIGHT, MU = (np.array(x) for x in ([0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]))
TAU = 0.5
SETTING = Setting(np.log(MU), np.log(MU), TAU, 0.1, 0.4)
OBJECTIVES: dict[str, Objective] = {
    "pairwise": Pairwise(ipo),
    "exploring": Exploring(ipo, 0.3),
    "pointwise": Pointwise(self_play_advantage),
}
EACH = pytest.mark.parametrize("name", OBJECTIVES)


def one_pair(name: str, i: int, j: int, p: float) -> Array:
    """c s(y) + c' s(y') of one annotated pair, with the weights written out."""
    h = np.log(POLICY / MU)
    slope = float(ipo.slope(h[i] - h[j], p, TAU))
    c, other = {
        "pairwise": (-slope, slope),
        "exploring": (-slope, slope - 0.3),
        "pointwise": (p - 0.5 - TAU * h[i], 0.0),
    }[name]
    return np.asarray(c * (np.eye(3)[i] - POLICY) + other * (np.eye(3)[j] - POLICY))


@EACH
def test_an_estimate_is_the_mean_over_its_pairs(name: str) -> None:
    """Of three annotated pairs, one of them twice the same response."""
    pairs = [(0, 1, 1.0), (2, 2, 0.5), (1, 2, 0.0)]
    left, right, p = (np.array(x) for x in zip(*pairs, strict=True))
    found = estimate(OBJECTIVES[name], np.log(POLICY), SETTING, left, right, p)
    known = np.mean([one_pair(name, *pair) for pair in pairs], axis=0)
    assert np.abs(found - known).max() <= 1e-14


@EACH
def test_moments_are_those_of_all_pairs(name: str) -> None:
    """Mean and total variance over the nine pairs of a left and a right response, each annotated with its p."""
    found = moments(OBJECTIVES[name], MARGINS, np.log(POLICY), np.log(LEFT), np.log(RIGHT), SETTING)
    seen = [(LEFT[i] * RIGHT[j], one_pair(name, i, j, 0.5 + MARGINS[i, j])) for i in range(3) for j in range(3)]
    mean = sum(mass * x for mass, x in seen)
    assert np.abs(found.mean - mean).max() <= 1e-14
    assert float(found.variance) == pytest.approx(sum(mass * x @ x for mass, x in seen) - mean @ mean, rel=1e-12)
    exact = ExactEnvironment(MARGINS).pull(OBJECTIVES[name], np.log(POLICY), np.log(LEFT), np.log(RIGHT), SETTING)
    assert np.abs(exact - mean).max() <= 1e-14


@EACH
def test_an_exact_pull_of_one_sampler_counts_both_orders_of_a_pair(name: str) -> None:
    """The same array on both sides, or a copy of it, is the same expectation."""
    log_left = np.log(LEFT)
    both = [
        ExactEnvironment(MARGINS).pull(OBJECTIVES[name], np.log(POLICY), log_left, other, SETTING)
        for other in (log_left, log_left.copy())
    ]
    assert np.abs(both[0] - both[1]).max() <= 1e-14


def test_payoffs_against_one_and_several_opponents() -> None:
    """Aν, opponent by opponent."""
    exact = ExactEnvironment(MARGINS)
    assert np.abs(exact.advantage(np.log(LEFT)) - MARGINS @ LEFT).max() <= 1e-15
    several = exact.advantages(np.log(np.stack([LEFT, RIGHT])))
    assert np.abs(several - np.stack([MARGINS @ LEFT, MARGINS @ RIGHT])).max() <= 1e-15


@EACH
@pytest.mark.parametrize("turn", [1.0, 2.5])
def test_a_sampled_pull_is_the_estimate_of_the_pairs_that_are_drawn(
    name: str, turn: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sampler: all pairs of k responses, in both orders where the sides differ; two: k/2 from each; times the turn.

    Labels are the probabilities, so that the samples alone decide.
    """
    import jax

    asked: list[tuple[float, int]] = []

    def given(key: Any, log_policy: Any, count: int) -> Any:
        asked.append((round(float(np.exp(log_policy[0])), 3), count))
        return jax.numpy.asarray([0, 2, 1, 1][:count] if log_policy[0] == log_left[0] else [1, 2][:count])

    monkeypatch.setattr(environment, "_sample", given)
    with jax.enable_x64(True):
        log_left, log_right, log_policy = (jax.numpy.asarray(np.log(x)) for x in (LEFT, RIGHT, POLICY))
        env = BanditEnvironment(jax.numpy.asarray(MARGINS), jax.random.PRNGKey(0), Feedback(4, "soft"), turn)
        same = np.asarray(env.pull(OBJECTIVES[name], log_policy, log_left, log_left, SETTING))
        two = np.asarray(env.pull(OBJECTIVES[name], log_policy, log_left, log_right, SETTING))
    drawn = [0, 2, 1, 1]
    pairs = [(drawn[a], drawn[b]) for a in range(4) for b in range(a + 1, 4)]
    if name != "pairwise":
        pairs += [(j, i) for i, j in pairs]
    known = [np.mean([one_pair(name, i, j, 0.5 + MARGINS[i, j]) for i, j in each], axis=0)
             for each in (pairs, [(0, 1), (2, 2)])]  # fmt: skip
    assert np.abs(same - turn * known[0]).max() <= 1e-13
    assert np.abs(two - turn * known[1]).max() <= 1e-13
    assert asked == [(0.6, 4), (0.6, 2), (0.1, 2)]
    assert BanditEnvironment(MARGINS, None, Feedback()).turn == 1.0


def test_the_two_samplers_and_the_labels_have_numbers_of_their_own() -> None:
    """Three equal policies: what is drawn for the left says nothing of the right, nor of the labels."""
    import jax

    even = np.log([0.5, 0.5])
    with jax.enable_x64(True):
        env = BanditEnvironment(np.zeros((2, 2)), jax.random.PRNGKey(3), Feedback(400))
        draw, other, annotate = jax.random.split(env.key, 3)
        left, right = (np.asarray(environment._sample(key, even, 200)) for key in (draw, other))
        labels = np.asarray(env._annotated(annotate, left, right))
        own = ExactEnvironment(np.zeros((2, 2)))
        setting = Setting(even, even, TAU, 0.1, 0.4)
        found = np.asarray(env.pull(OBJECTIVES["pointwise"], jax.numpy.asarray(even), jax.numpy.asarray(even),
                                    jax.numpy.asarray(even.copy()), setting))  # fmt: skip
    assert np.abs(found - estimate(OBJECTIVES["pointwise"], even, setting, left, right, labels)).max() <= 1e-14
    assert np.abs(own.pull(OBJECTIVES["pointwise"], even, even, even, setting)).max() == 0
    for one, two in ((left, right), (left, labels), (right, labels)):
        assert abs(np.mean(one == two) - 0.5) <= 0.15  # four standard deviations of 200 coins


def test_draws_invert_the_distribution_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly spread uniforms give each response its share, and one without mass nothing, at the ends neither."""
    import jax

    p = np.array([0.0, 0.5, 0.0, 0.125, 0.375, 0.0])
    grid = {8: (np.arange(8) + 0.5) / 8, 2: np.array([0.0, 1 - 2.0**-53])}
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jax.numpy.asarray(grid[shape[0]], dtype))
    with jax.enable_x64(True), np.errstate(divide="ignore"):
        drawn = np.asarray(environment._sample(None, jax.numpy.asarray(np.log(p)), 8))
        ends = [np.asarray(environment._sample(None, jax.numpy.asarray(np.log(scale * p)), 2)).tolist()
                for scale in (1.0, 0.3, 1.7)]  # fmt: skip
    assert np.bincount(drawn, minlength=6).tolist() == [0, 4, 0, 1, 3, 0]
    assert ends == [[1, 4]] * 3


def test_labels_are_probabilities_coins_or_one_rater() -> None:
    """Soft: p itself. Hard: a coin of p for each pair. Rater: the same number answers a pair and its reverse."""
    import jax

    left, right = np.repeat([0, 1, 2], 400), np.repeat([1, 2, 2], 400)
    p = 0.5 + MARGINS[left, right]
    with jax.enable_x64(True):
        env = BanditEnvironment(jax.numpy.asarray(MARGINS), jax.random.PRNGKey(0), Feedback())
        found = {
            name: np.asarray(replace(env, feedback=Feedback(2, name))._annotated(env.key, left, right))
            for name in ("soft", "hard", "rater")
        }
        u = float(jax.random.uniform(env.key, dtype=np.float64))
    assert np.array_equal(found["soft"], p)
    assert set(found["hard"].tolist()) == {0.0, 1.0}
    for k in range(3):
        share = found["hard"][400 * k : 400 * (k + 1)].mean()
        assert abs(share - p[400 * k]) <= 0.1  # four standard deviations of 400 coins
    assert np.array_equal(found["rater"], (u < p) * 1.0)
    for each in np.linspace(0.01, 0.99, 25):
        ahead = rater_labels(each, left, right, p)
        back = rater_labels(each, right, left, 1 - p)
        apart = left != right
        assert np.array_equal(ahead[apart] + back[apart], np.ones(apart.sum()))
        assert np.array_equal(ahead, (each < p) * 1.0)
    assert rater_labels(0.31, np.array([1]), np.array([0]), np.array([0.7])).tolist() == [1.0]
    assert rater_labels(0.2, np.array([1]), np.array([0]), np.array([0.7])).tolist() == [0.0]


def test_a_sampled_environment_refuses_whole_payoffs_and_feedback_what_cannot_be_paired() -> None:
    """By name; what is just large enough is taken."""
    env = BanditEnvironment(MARGINS, None, Feedback())
    for ask in (env.advantage, env.advantages):
        with pytest.raises(BadInput, match="needs exact feedback"):
            ask(np.log(LEFT))
    assert Feedback() == Feedback(2, "hard")
    for labels in ("hard", "soft", "rater"):
        fits = Feedback(2, labels)
        assert fits.check(REGISTRY["online-ipo"]) == fits
    assert Feedback(3).check(REGISTRY["online-ipo"]) == Feedback(3)
    with pytest.raises(BadInput, match="completions = 1, must be at least 2"):
        Feedback(1).check(REGISTRY["online-ipo"])
    with pytest.raises(BadInput, match="completions = 3, must be even for nash-md-pg"):
        Feedback(3).check(REGISTRY["nash-md-pg"])
    with pytest.raises(BadInput, match="labels = 'sure', must be one of hard, soft, rater"):
        Feedback(2, "sure").check(REGISTRY["online-ipo"])  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="has no sampled form"):
        Feedback(2).check(REGISTRY["omd"])

"""Equilibria of estimated preferences: resampling and the delta method; mean and variance of sampled gradients."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom
from strategies import games, policies

from nashlab import plots
from nashlab.algorithm import Pairwise, Pointwise, Setting
from nashlab.arrays import geometric_mixture
from nashlab.environment import ExactEnvironment, estimate, moments
from nashlab.equilibrium import (
    equilibrium_covariance,
    lottery_batch,
    maximal_lottery,
    regularised_nash,
    resampled,
)
from nashlab.equilibrium.uncertainty import (
    claim_test,
    confidence_box,
    independent_judgments,
    lottery_claim_test,
    lottery_ranges,
)
from nashlab.gallery import get
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import dpo, ipo, self_play_advantage

COARSE = ("uniform", "cyclic", "bradley-terry")


# -- resampling ------------------------------------------------------------------------------------------------------


def test_resampled_win_rates_are_binomial() -> None:
    game, judgments = get("soundquality"), np.full((8, 8), 783)
    judgments[0, 1] = judgments[1, 0] = 4
    again = resampled(game, judgments, 4000, seed=3)
    assert again.labels == game.labels
    assert np.array_equal(again.margins, -np.swapaxes(again.margins, 1, 2))
    p = game.preferences
    error = np.sqrt(p * (1 - p) / judgments)
    off = ~np.eye(8, dtype=bool)
    wins = (again.margins + 0.5) * judgments
    assert np.max(np.abs(wins - np.round(wins))[:, off]) < 1e-9  # whole numbers of wins
    # 4,000 draws: five standard errors of a mean and of a standard deviation
    assert np.max(np.abs(again.margins.mean(axis=0) - game.margins)[off] / error[off]) < 5 / np.sqrt(4000)
    assert np.max(np.abs(again.margins.std(axis=0)[off] / error[off] - 1)) < 5 / np.sqrt(8000)
    assert np.array_equal(again.margins, resampled(game, judgments, 4000, seed=3).margins)
    assert not np.array_equal(again.margins, resampled(game, judgments, 4000, seed=4).margins)


@pytest.mark.parametrize(
    ("judgments", "count", "message"),
    [
        (0, 1, "must be a whole number"),
        (2.5, 1, "must be a whole number"),
        (float("nan"), 1, "must be a whole number"),
        (np.ones((2, 3)), 1, "must be one number or a symmetric"),
        (np.triu(np.full((8, 8), 7.0)), 1, "must be one number or a symmetric"),
        (783, 0, "count = 0"),
    ],
)
def test_what_is_no_count_is_refused(judgments: object, count: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        resampled(get("soundquality"), judgments, count)  # type: ignore[arg-type]


def test_margins_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(BadInput, match="probabilities"):
        resampled(get("weighted-cycle"), 10, 1)
    with pytest.raises(BadInput, match="contextual"):
        equilibrium_covariance(get("rps").repeated(2), 0.1, 10)


# -- the delta method ------------------------------------------------------------------------------------------------


@given(games(max_n=5, families=COARSE), st.sampled_from([0.1, 0.3, 1.0]), st.integers(1, 1000))
def test_the_covariance_is_that_of_finite_differences(game: PreferenceGame, tau: float, judgments: int) -> None:
    step, known = 1e-5 * tau, np.zeros((game.n, game.n))
    for i, j in itertools.combinations(range(game.n), 2):
        change = np.zeros((game.n, game.n))
        change[i, j], change[j, i] = step, -step
        ends = [PreferenceGame.from_margins(game.margins + s * change, reference=game.reference) for s in (1, -1)]
        high, low = (regularised_nash(end, tau).policy for end in ends)
        gradient = (high - low) / (2 * step)
        p = game.preferences[i, j]
        known += p * (1 - p) / judgments * np.outer(gradient, gradient)
    # central differences: rounding 1e-12/1e-6 of gradients up to 1/τ, their truncation is below
    scale = 1 / (tau**2 * judgments)
    assert np.max(np.abs(equilibrium_covariance(game, tau, judgments) - known)) < 1e-5 * scale


def test_two_responses_have_a_closed_form_and_a_limit() -> None:
    p, tau, previous = 0.7, 0.2, 1.0
    game = PreferenceGame.from_preferences([[0.5, p], [1 - p, 0.5]], reference=[0.4, 0.6])
    first = regularised_nash(game, tau).policy[0]
    for judgments in (100, 1000, 10_000):
        closed = (first * (1 - first) / tau) ** 2 * p * (1 - p) / judgments
        assert equilibrium_covariance(game, tau, judgments)[0, 0] == pytest.approx(closed, rel=1e-10)
        wins = np.arange(judgments + 1)
        ends = 1 / (1 + 0.6 / 0.4 * np.exp((0.5 - wins / judgments) / tau))
        mass = binom.pmf(wins, judgments, p)
        exact = mass @ ends**2 - (mass @ ends) ** 2  # all outcomes, enumerated
        error = abs(exact / closed - 1)
        assert error < 12 / judgments  # a second-order term: ten times the judgments, a tenth of it
        assert error < 0.2 * previous
        previous = error


def test_bootstrap_and_delta_method_agree_where_the_table_is_sure() -> None:
    game, tau, count = get("soundquality"), 0.3, 2000
    seen = regularised_nash(resampled(game, 783, count, seed=5), tau).policy
    known = equilibrium_covariance(game, tau, 783)
    scale = np.sqrt(np.outer(np.diag(known), np.diag(known)))
    # five sampling errors of a covariance, and 2 % for the second order at this τ
    assert np.max(np.abs(np.cov(seen.T) - known) / scale) < 5 * np.sqrt(2 / count) + 0.02
    wrong = equilibrium_covariance(game, tau, 2 * 783)
    assert np.max(np.abs(np.cov(seen.T) - wrong) / scale) > 0.3


@given(games(min_n=3, max_n=6, families=COARSE), st.sampled_from([0.03, 0.1, 1.0]), st.integers(5, 500))
def test_no_resampled_equilibrium_leaves_the_bound_of_n16(game: PreferenceGame, tau: float, judgments: int) -> None:
    again = resampled(game, judgments, 20)
    moved = np.abs(regularised_nash(again, tau).policy - regularised_nash(game, tau).policy).sum(axis=1)
    size = np.abs(again.margins - game.margins).max(axis=(1, 2))
    assert np.all(moved <= size / (np.sqrt(3) * tau) + 1e-11)


def test_figures_of_uncertainty_show_the_numbers(tmp_path: Path) -> None:
    game, tables = get("soundquality"), resampled(get("soundquality"), 783, 50)
    taus = np.array([0.01, 0.1, 1.0])
    policies_ = np.array([regularised_nash(game, t).policy for t in taus])
    moved = np.array([regularised_nash(tables, t).policy for t in taus])
    errors = np.array([np.sqrt(np.diag(equilibrium_covariance(game, t, 783))) for t in taus])
    lotteries = lottery_batch(tables.margins)
    seen = plots.Estimates(taus, policies_, moved, errors, maximal_lottery(game).policy, lotteries)
    bands = plots.equilibrium_bands(game, seen, shown=2)
    assert [axes.get_title(loc="left") for axes in bands.axes] == ["Stereo", "Original"]
    size = np.abs(tables.margins - game.margins).max(axis=(1, 2))
    accuracy = plots.equilibrium_accuracy(game, seen, size, np.abs(moved - policies_[:, None]).sum(axis=2))
    bars = [bar.get_width() for bar in accuracy.axes[0].patches]
    assert sum(bars) == pytest.approx(1)  # every resample is in one bar
    own = np.mean(np.all((lotteries > 0) == (maximal_lottery(game).policy > 0), axis=1))
    assert any(width == pytest.approx(own) for width in bars)
    for name, figure in (("bands", bands), ("accuracy", accuracy)):
        plots.save(figure, tmp_path / f"{name}.png")


# -- moments of sampled gradients ------------------------------------------------------------------------------------


def _one_sided(h: float, other: float, p: float, tau: float) -> float:
    return p - 0.5 - tau * (h - other)


@pytest.mark.parametrize(
    "objective", [Pairwise(ipo), Pairwise(dpo), Pointwise(self_play_advantage), Pointwise(_one_sided)]
)
@given(data=st.data())
def test_moments_are_those_of_all_estimates(objective: Pairwise | Pointwise, data: st.DataObject) -> None:
    game, beta, tau = data.draw(games(max_n=4, families=COARSE)), 0.4, 0.3
    log_pi, log_mu = data.draw(policies(game.n)), game.log_reference
    log_nu = geometric_mixture(log_pi, log_mu, beta)
    setting = Setting(log_mu, log_mu, tau, 1.0, beta)
    mean, second = np.zeros(game.n), 0.0
    for y, z in itertools.product(range(game.n), repeat=2):
        value = estimate(objective, log_pi, setting, np.array([y]), np.array([z]), np.array([game.preferences[y, z]]))
        mass = np.exp(log_pi[y] + log_nu[z])
        mean += mass * value
        second += mass * float(value @ value)
    found = moments(objective, game.margins, log_pi, log_pi, log_nu, setting)
    scale = 1 + second
    assert np.max(np.abs(found.mean - mean)) < 1e-12 * scale
    assert abs(found.variance - (second - mean @ mean)) < 1e-12 * scale
    pull = ExactEnvironment(game.margins).pull(objective, log_pi, log_pi, log_nu, setting)
    assert np.max(np.abs(found.mean - pull)) < 1e-12 * scale


@given(games(max_n=6, families=COARSE), st.data())
def test_the_printed_form_is_biased_by_the_term_that_l5_restores(game: PreferenceGame, data: st.DataObject) -> None:
    log_pi, log_mu, tau = data.draw(policies(game.n)), game.log_reference, 0.3
    for beta in (0.0, 0.3, 0.9):
        log_nu = geometric_mixture(log_pi, log_mu, beta)
        log_nu = log_nu - np.log(np.sum(np.exp(log_nu)))
        setting = Setting(log_mu, log_mu, tau, 1.0, beta)

        def mean(objective: Pairwise | Pointwise, at: np.ndarray = log_nu, here: Setting = setting) -> np.ndarray:
            return objective.unit(tau) * moments(objective, game.margins, log_pi, at, at, here).mean

        nu, h = np.exp(log_nu), log_pi - log_mu
        missing = tau * (nu @ h) * (nu - np.exp(log_pi))
        off = mean(Pairwise(ipo)) - mean(Pointwise(self_play_advantage))
        assert np.max(np.abs(off - missing)) < 1e-13
        if beta == 0:
            assert np.max(np.abs(missing)) < 1e-13


def test_moments_of_many_games_are_those_of_each() -> None:
    rng, n, contrast = np.random.default_rng(0), 4, Pairwise(ipo)
    upper = np.triu(rng.uniform(-0.5, 0.5, (10, n, n)), 1)
    margins = upper - np.swapaxes(upper, 1, 2)
    log_pi, log_mu = np.log(rng.dirichlet(np.ones(n), size=(2, 10)))
    all_at_once = moments(contrast, margins, log_pi, log_pi, log_pi, Setting(log_mu, log_mu, 0.3, 1.0, 0.0))
    for x in range(10):
        one = moments(contrast, margins[x], *[log_pi[x]] * 3, Setting(log_mu[x], log_mu[x], 0.3, 1.0, 0.0))
        assert np.max(np.abs(all_at_once.mean[x] - one.mean)) < 1e-12
        assert abs(all_at_once.variance[x] - one.variance) < 1e-12 * one.variance


def test_dependent_judgments_of_a_voter_count_as_one_and_those_of_many_as_many() -> None:
    """One judgment each: all count.  Of k judgments that one voter made of one pair, all k are worth one."""
    policy, counts = np.full(3, 1 / 3), np.array([[0.0, 6, 4], [6, 0, 2], [4, 2, 0]])
    first, second = np.array([0] * 6 + [2] * 4 + [1] * 2), np.array([1] * 6 + [0] * 4 + [2] * 2)
    ones = np.ones(12)

    def worth(voter: list[int]) -> NDArray[np.float64]:
        clusters = SimpleNamespace(voter=np.array(voter), winner=first, loser=second, weight=ones, times=ones)
        return independent_judgments(policy, counts, clusters)

    assert np.abs(worth(list(range(12))) - counts).max() <= 1e-12
    each = worth([0] * 6 + [1] * 4 + [2] * 2)
    assert np.abs(each - (counts > 0)).max() <= 1e-12
    # half of the voters are one: between the two
    half = worth([0, 0, 0, 1, 2, 3, *range(4, 10)])
    assert half[0, 1] == pytest.approx(36 / (3 * 3 + 3), abs=1e-12)


def test_intervals_of_a_response_against_itself_are_one_half() -> None:
    for ties in (False, True):
        low, high = confidence_box([[0, 3, 0], [1, 0, 2], [0, 2, 0]], 0.9, ties=ties)
        assert np.diag(low).tolist() == np.diag(high).tolist() == [0.5, 0.5, 0.5]
        assert np.allclose(low + high.T, 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("wins", "message"),
    [
        ([[0, -1], [2, 0]], r"wins\[0, 1\] = -1, must be at least 0 and finite"),
        ([[0, 3], [float("nan"), 0]], r"wins\[1, 0\] = nan, must be at least 0 and finite"),
        ([[0, 1, 2], [1, 0, 3]], r"wins has shape \(2, 3\), must be square"),
        ([], r"wins has shape \(0,\), must be square"),
    ],
)
def test_what_is_no_table_of_wins_is_refused(wins: list[list[float]], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        confidence_box(wins, 0.9)
    with pytest.raises(BadInput, match=message):
        lottery_claim_test(wins, [0.5, 0.5])


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_claim_is_tested_at_a_temperature_that_is_one(temperature: float) -> None:
    with pytest.raises(BadInput, match=f"temperature = {temperature}, must be positive and finite"):
        claim_test(get("rps"), temperature, [0.2, 0.3, 0.5], 10)


@pytest.mark.parametrize("bound", [[[0.5, 0.8], [0.3, 0.5]], [[0.5, 0.8]], [[0.5, float("nan")], [0.3, 0.5]]])
def test_ranges_of_no_box_are_refused(bound: list[list[float]]) -> None:
    with pytest.raises(BadInput, match="must be square, lower ≤ upper, and lower"):
        lottery_ranges(bound, [[0.5, 0.7], [0.2, 0.5]])


@pytest.mark.parametrize("size", [0.5, 1e-5, 1e-9, 1e-12])
def test_ranges_do_not_depend_on_the_size_of_margins(size: float) -> None:
    p = 0.5 + size * np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    assert np.allclose(lottery_ranges(p, p), 1 / 3, rtol=0, atol=1e-16 / size + 1e-9)  # what of p a double keeps


def test_a_box_around_a_tie_leaves_every_share_open_and_one_beside_it_none() -> None:
    """From 0 to 1 where either may win; the winner's 1 and the loser's 0 where the first wins throughout."""
    for first, known in (((0.4, 0.6), [[0.0, 1.0], [0.0, 1.0]]), ((0.6, 0.7), [[1.0, 1.0], [0.0, 0.0]])):
        least, most = first
        found = lottery_ranges([[0.5, least], [1 - most, 0.5]], [[0.5, most], [1 - least, 0.5]])
        assert np.abs(found - known).max() <= 1e-9

"""Regularised equilibria: every method, extreme temperatures, metamorphic relations, derivatives, budgets.

Every comparison has its canary: the same assertion must fail on a deliberately broken answer.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import strategies as own
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import xlogy
from small_games import RPS, SHARES, WEIGHTED, distance, game

from nashlab.certificate import certify, certify_ball
from nashlab.equilibrium import METHODS, maximal_lottery, nash, regularised_nash, sensitivity, temperature_for
from nashlab.gallery import FAMILIES, get, random_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.solution import NotSolved, Status

# -- the regularised equilibrium -------------------------------------------------------------------------------------


@given(own.games(max_n=10), own.temperatures)
def test_every_method_meets_the_promised_bound(g: PreferenceGame, tau: float) -> None:
    for method in METHODS:
        answer = regularised_nash(g, tau, method=method)
        assert answer.status is Status.CONVERGED
        assert answer.certificate.worst_l1_bound <= 1e-12


@given(own.games(max_n=8), st.sampled_from([1e-3, 1e-4, 1e-5, 1e-6]))
def test_the_path_solves_down_to_1e_6(g: PreferenceGame, tau: float) -> None:
    answer = regularised_nash(g, tau)
    assert answer.status is Status.CONVERGED
    # 1e-14/τ is what rounding in Aπ allows, τ in units of the largest margin
    assert answer.certificate.worst_l1_bound <= max(1e-12, 1e-14 * 2 * np.max(np.abs(g.margins)) / tau)


@given(own.games(max_n=6), own.temperatures)
def test_an_equilibrium_is_proved_in_balls_and_its_neighbour_is_as_far_away_as_it_is(
    g: PreferenceGame, tau: float
) -> None:
    answer = regularised_nash(g, tau)
    ball = certify_ball(g, answer.log_policy, tau)
    assert ball.rigorous
    assert ball.l1_bound <= 1e-12
    # canary: a policy moved by up to 2e-9 is told apart by what its mass moves
    moved = answer.log_policy + 1e-9 * np.eye(g.n)[0]
    moved -= np.log(np.sum(np.exp(moved)))
    assert certify_ball(g, moved, tau).l1_bound >= distance(np.exp(moved), answer.policy) - 1e-12


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e15, 1e300])
def test_margins_and_temperature_scale_together(scale: float) -> None:
    a = np.array(WEIGHTED) / 6.0
    known = regularised_nash(game(a), 0.05).policy
    assert distance(regularised_nash(game(a * scale), 0.05 * scale).policy, known) <= 1e-12


def test_temperatures_at_the_ends_of_float64() -> None:
    g = game(WEIGHTED, reference=[0.5, 0.3, 0.2])
    assert distance(regularised_nash(g, 1e12).policy, g.reference) <= 1e-9
    for tau in (1e-12, 1e-100, 1e-250):
        answer = regularised_nash(g, tau)
        # the lottery itself, to which π*_τ is within O(τ); how near is not proved there, and that is said
        assert distance(answer.policy, np.array([float(x) for x in SHARES])) <= 1e-11
        assert distance(answer.policy, np.array([float(x) for x in SHARES])) <= answer.certificate.l1_bound <= 2
        assert answer.status is Status.STALLED
    with pytest.raises(BadInput, match="use 0"):
        regularised_nash(g, 5e-324)


def test_a_stalled_answer_says_so_and_can_raise() -> None:
    answer = regularised_nash(game(WEIGHTED), 1e-200)
    assert answer.status is Status.STALLED
    with pytest.raises(NotSolved, match="distance to the equilibrium"):
        regularised_nash(game(WEIGHTED), 1e-200, throw=True)


def test_batch_equals_loop_with_padded_prompts() -> None:
    rng = np.random.default_rng(0)
    parts = [random_game("uniform", n, rng) for n in (5, 3, 4)]
    margins, mu = np.zeros((3, 5, 5)), np.zeros((3, 5))
    for x, part in enumerate(parts):
        margins[x, : part.n, : part.n] = part.margins
        mu[x, : part.n] = part.reference
    batch = game(margins, reference=mu, weights=[0.5, 0.2, 0.3])
    for tau in (1.0, 0.01, 1e-4):
        whole = regularised_nash(batch, tau)
        for x, part in enumerate(parts):
            assert distance(whole.policy[x, : part.n], regularised_nash(part, tau).policy) <= 1e-12
            assert np.all(whole.policy[x, part.n :] == 0)
    lotteries = maximal_lottery(batch)
    for x, part in enumerate(parts):
        assert distance(lotteries.policy[x, : part.n], maximal_lottery(part).policy) <= 1e-12


@pytest.mark.parametrize("family", FAMILIES)
def test_large_games_need_products_only(family: str) -> None:
    g = random_game(family, 150, np.random.default_rng(1))
    answer = regularised_nash(g, 0.1, method="products")
    assert answer.status is Status.CONVERGED
    assert answer.stats["factorisations"] == 0
    assert distance(answer.policy, regularised_nash(g, 0.1, method="newton").policy) <= 1e-11


def test_two_responses_have_the_closed_form_of_a_logit_equilibrium() -> None:
    """π₁/π₂ = exp((p − ½)/τ)."""
    for p, tau in itertools.product((0.6, 0.9), (0.1, 1.0)):
        g = PreferenceGame.from_preferences([[0.5, p], [1 - p, 0.5]])
        ratio = np.exp((p - 0.5) / tau)
        assert abs(regularised_nash(g, tau).policy[0] - ratio / (1 + ratio)) <= 1e-14


@given(own.games(max_n=7), own.temperatures)
def test_regularised_equilibria_commute_with_relabelling_and_clones(g: PreferenceGame, tau: float) -> None:
    order = np.random.default_rng(0).permutation(g.n)
    q = regularised_nash(g, tau).policy
    moved = game(g.margins[np.ix_(order, order)], reference=g.reference[order])
    assert distance(regularised_nash(moved, tau).policy, q[order]) <= 1e-11
    copies = [*range(g.n), 0]
    mu = np.append(g.reference, 0.25 * g.reference[0])
    mu[0] *= 0.75
    cloned = regularised_nash(game(g.margins[np.ix_(copies, copies)], reference=mu), tau).policy
    assert abs(cloned[0] - 0.75 * q[0]) <= 1e-11
    assert distance(cloned[1 : g.n], q[1:]) <= 1e-11


# -- derivatives -----------------------------------------------------------------------------------------------------


@given(own.games(min_n=2, max_n=6, families=("uniform", "cyclic", "bradley-terry")), st.sampled_from([0.05, 0.3, 1.0]))
def test_derivatives_are_finite_differences_and_obey_n16(g: PreferenceGame, tau: float) -> None:
    derivative, step = sensitivity(g, tau), 1e-5 * tau
    rng = np.random.default_rng(0)
    change = np.triu(rng.uniform(-1, 1, (g.n, g.n)), 1)
    change = (change - change.T) / np.max(np.abs(change))

    def at(margins: np.ndarray, t: float) -> np.ndarray:
        return regularised_nash(game(margins, reference=g.reference), t).policy

    # truncation ~ step² · third derivative, rounding ~ 1e-13/step
    by_p = (at(g.margins + step * change, tau) - at(g.margins - step * change, tau)) / (2 * step)
    assert distance(by_p, derivative.to_preferences(change)) <= 1e-6 / tau
    by_tau = (at(g.margins, tau + step) - at(g.margins, tau - step)) / (2 * step)
    assert distance(by_tau, derivative.to_temperature) <= 1e-6 / tau
    tangent = g.reference * (np.eye(g.n)[0] - g.reference[0])  # of sum 0
    ends = [regularised_nash(game(g.margins, reference=g.reference + s * 1e-5 * tangent), tau).policy for s in (1, -1)]
    assert distance((ends[0] - ends[1]) / 2e-5, derivative.to_reference(tangent)) <= 1e-6 / tau
    assert np.abs(derivative.to_preferences(change)).sum() <= 1 / (np.sqrt(3) * tau) + 1e-12
    assert np.abs(derivative.to_temperature).sum() <= 1 / (np.sqrt(12) * tau**2) + 1e-12
    # canary: half the change is told apart
    assert distance(0.5 * by_p, derivative.to_preferences(change)) > 1e-6 / tau or np.abs(by_p).sum() < 1e-4
    full = np.tensordot(derivative.preferences, np.triu(change, 1), axes=([1, 2], [0, 1]))
    assert distance(full, derivative.to_preferences(change)) <= 1e-10 / tau


def test_sensitivity_names_bad_changes() -> None:
    derivative = sensitivity(game(WEIGHTED), 1.0)
    with pytest.raises(BadInput, match=r"change has shape \(3, 3\), must be a skew \(3, 3\) matrix"):
        derivative.to_preferences(np.ones((3, 3)))
    with pytest.raises(BadInput, match=r"change has shape \(2,\), must be \(3,\)"):
        derivative.to_reference(np.ones(2))
    with pytest.raises(BadInput, match="game is contextual"):
        sensitivity(game(np.zeros((2, 2, 2))), 1.0)


@pytest.mark.parametrize("tau", [-1.0, 0.0, float("nan"), float("inf")])
def test_bad_temperatures_are_refused(tau: float) -> None:
    with pytest.raises(BadInput, match=f"temperature = {tau}, must be positive and finite"):
        regularised_nash(game(RPS), tau)


def test_a_certificate_bounds_the_distance_of_any_policy() -> None:
    """Of the uniform one, by E3 and N14 written out; it asks no solver for π*_τ."""
    g, tau = get("figure-6"), 0.1
    uniform = np.log(np.full(3, 1 / 3))
    r = uniform - g.log_reference - g.margins @ np.exp(uniform) / tau
    gap = tau * float(np.log(g.reference @ np.exp(g.margins @ np.exp(uniform) / tau)) + np.mean(r))
    bound = certify(g, uniform, tau).l1_bound
    assert bound == pytest.approx(min(2 * np.tanh(np.ptp(r) / 4), np.sqrt(2 * gap / tau)), rel=1e-12)
    assert distance(np.exp(uniform), regularised_nash(g, tau).policy) <= bound


def test_status_is_what_the_bound_deserves() -> None:
    certificate = maximal_lottery(game(WEIGHTED)).certificate
    for effective, enough in ((1.0, 1e-12), (1e-2, 1e-12), (1e-4, 1e-10), (1e-12, 1e-6), (0.0, 1e-10)):
        assert Status.of(effective, replace(certificate, l1_bound=0.99 * enough)) is Status.CONVERGED
        assert Status.of(effective, replace(certificate, l1_bound=1.01 * enough)) is Status.STALLED
    assert Status.of(1.0, replace(certificate, l1_bound=None)) is Status.STALLED
    # a game of rank two in doubles: float64's lottery is unique and far off, and does not pass for solved
    rng = np.random.default_rng(1)
    for _ in range(40):
        u = rng.normal(size=(6, 2))
        flat = u[:, :1] * u[:, 1] - u[:, 1:] * u[:, 0]
        answer = nash(game(flat - flat.T))
        assert answer.status.ok
        assert answer.certificate.l1_bound <= 1e-10


@pytest.mark.parametrize("tau", [1e308, 1e-10])
def test_no_temperature_brings_a_warning(tau: float) -> None:
    for name in ("rps-weighted", "all-ties", "condorcet"):
        for scale in (1e-300, 1.0, 1e100):
            answer = nash(game(np.array(get(name).margins) * scale), max(tau, 1e-270 * scale))
            assert np.all(np.isfinite(answer.policy))
            assert np.isfinite(answer.certificate.exploitability)


@pytest.mark.parametrize("tau", [1e-250, 4e-292, 5e-324, 1e308])
def test_where_all_tie_every_temperature_has_the_reference_as_equilibrium(tau: float) -> None:
    mu = np.array([0.2, 0.7, 0.1])
    ties = PreferenceGame.from_margins(np.zeros((3, 3)), reference=mu)
    for answer in (nash(ties, tau), *(regularised_nash(ties, tau, method=method) for method in METHODS)):
        assert answer.policy == pytest.approx(mu, rel=1e-15)
        assert answer.status.ok
        assert answer.certificate.l1_bound <= 1e-15
    with pytest.raises(BadInput, match="below 1e-280 of the largest margin"):
        regularised_nash(game(np.array([[0.0, 0.5], [-0.5, 0.0]])), 1e-281)


def test_a_gap_below_the_smallest_double_bounds_no_distance() -> None:
    """G = τ·KL is 0 in float64 at τ = 3e-301, a policy 1e-13 away notwithstanding."""
    a = np.array([[0.0, 2.0, -1.0], [-2.0, 0.0, 3.0], [1.0, -3.0, 0.0]]) / 8
    small = PreferenceGame.from_margins(a * 2.0**-1000)
    tau = 0.3 * 2.0**-1000
    q = regularised_nash(PreferenceGame.from_margins(a), 0.3).policy
    away = q + np.array([1e-12, -1e-12, 0.0])
    for log_policy in (np.log(away), np.log(away)[None]):
        batch = small if log_policy.ndim == 1 else PreferenceGame.from_margins(a[None] * 2.0**-1000)
        found = certify(batch, log_policy, tau)
        assert float(np.max(found.exploitability)) < 1e-320
        assert 1.9e-12 <= found.worst_l1_bound <= 1e-11


def test_newton_alone_far_beyond_its_reach_stalls_without_a_warning() -> None:
    wide = PreferenceGame.from_margins(np.array([[0.0, -4e120], [4e120, 0.0]]), reference=[0.75, 0.25])
    answer = regularised_nash(wide, 1.9, method="newton")
    assert answer.status is Status.STALLED
    assert np.all(np.isfinite(answer.log_policy))
    assert answer.certificate.l1_bound >= np.abs(answer.policy - [0.0, 1.0]).sum()
    assert regularised_nash(wide, 1.9).policy.tolist() == [0.0, 1.0]


# -- a divergence for a temperature ----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.75])
def test_a_budget_is_spent_at_its_temperature(share: float) -> None:
    """KL of the equilibrium that a fixed-point iteration finds there, to 1e-6 of it; twice τ spends visibly less."""
    game = get("soundquality")
    lottery = maximal_lottery(game).policy
    most = float(xlogy(lottery, game.n * lottery).sum())  # what the limit at τ = 0 spends, from uniform
    tau = temperature_for(game, share * most)

    def spent(tau: float) -> float:
        log_pi = game.log_reference
        step = tau / (tau**2 + 0.1)
        for _ in range(200_000):
            moved = (1 - step * tau) * log_pi + step * (tau * game.log_reference + game.margins @ np.exp(log_pi))
            moved -= np.log(np.exp(moved).sum())
            if np.max(np.abs(moved - log_pi)) < 1e-14:
                break
            log_pi = moved
        return float(np.exp(log_pi) @ (log_pi - game.log_reference))

    assert spent(tau) == pytest.approx(share * most, rel=1e-6)
    assert spent(1.001 * tau) < share * most * (1 - 1e-6)


@pytest.mark.parametrize("kl", [1e-12, 1e-10, 1e-8])
def test_a_small_budget_has_its_temperature(kl: float) -> None:
    """KL is Var_μ(p(· ≻ μ))/(2τ²) up to 1/τ⁴: cubic terms vanish by skewness and the symmetry of this game."""
    game = PreferenceGame.from_margins([[0, 0.3, 0.3], [-0.3, 0, 0.3], [-0.3, -0.3, 0]])
    assert temperature_for(game, kl) == pytest.approx(np.sqrt(0.08 / 3 / (2 * kl)), rel=kl + 1e-8)


@pytest.mark.parametrize("kl", [0.0, -1.0, 1e-13, float("nan"), float("inf"), 5.0])
def test_a_budget_that_cannot_be_spent_is_refused(kl: float) -> None:
    rule = "must be at most 1.29435" if kl == 5 else "must be at least 1e-12 and finite"
    with pytest.raises(BadInput, match=f"kl = {kl:g}, {rule}"):
        temperature_for(get("soundquality"), kl)


def test_no_budget_can_be_spent_where_the_reference_is_the_equilibrium() -> None:
    with pytest.raises(BadInput, match=r"kl = 0\.2: the reference is the equilibrium, at every temperature"):
        temperature_for(get("rps"), 0.2)

"""The claims about losses and gradients, and the theorems behind them by finite differences in extended precision.

``nashlab verify`` checks these statements by complex steps; here central differences in numpy's longdouble do it again,
so that neither technique is trusted alone.  Counterexamples to tempting wrong statements are kept at their smallest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import games, policies, temperatures

from nashlab.algorithm import SAMPLERS, Problem, Setting
from nashlab.algorithms import REGISTRY
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.verify import CHECKS, Cases, equivalence, evaluate, oracle

STEP = np.longdouble(1e-6)
# central differences: h² f‴/6 = 1e-12 of truncation and eps/h = 1e-13 of rounding, where numpy has 80-bit numbers;
# elsewhere longdouble is a double, and eps/h is 2e-10
TOLERANCE = 1e-9

Scalar = Callable[[np.ndarray], np.floating]


def numeric_gradient(f: Scalar, theta: np.ndarray) -> np.ndarray:
    """∂f/∂θ by central differences in extended precision."""
    shifts = STEP * np.eye(theta.size, dtype=np.longdouble)
    theta = theta.astype(np.longdouble)
    return np.array([float((f(theta + e) - f(theta - e)) / (2 * STEP)) for e in shifts])


def log_policy(theta: np.ndarray) -> np.ndarray:
    return theta - theta.max() - np.log(np.exp(theta - theta.max()).sum())


def expected_ipo(game: PreferenceGame, nu: np.ndarray, tau: float) -> Scalar:
    """Σ_ij ν_i ν_j [p (d − 1/(2τ))² + (1−p)(−d − 1/(2τ))²], pair by pair, samples frozen."""
    p = game.preferences.astype(np.longdouble)
    edge = 1 / (2 * np.longdouble(tau))

    def loss(theta: np.ndarray) -> np.floating:
        h = log_policy(theta) - game.log_reference
        d = h[:, None] - h[None, :]
        return np.sum(nu[:, None] * nu[None, :] * (p * (d - edge) ** 2 + (1 - p) * (-d - edge) ** 2))

    return loss


def preference_objective(game: PreferenceGame, opponent: np.ndarray, tau: float) -> Scalar:
    """P(π ≻ SG opponent) − τ KL(π‖μ)."""
    p = game.preferences.astype(np.longdouble)

    def value(theta: np.ndarray) -> np.floating:
        log_pi = log_policy(theta)
        pi = np.exp(log_pi)
        return pi @ p @ opponent - tau * (pi @ (log_pi - game.log_reference))

    return value


def mixture(log_pi: np.ndarray, log_mu: np.ndarray, beta: float) -> np.ndarray:
    return np.exp(log_policy((1 - beta) * log_pi + beta * log_mu))


def library_direction(name: str, game: PreferenceGame, log_pi: np.ndarray, tau: float, beta: float) -> np.ndarray:
    """The ascent direction of a registered method, from its own samplers and objective."""
    spec = REGISTRY[name]
    assert spec.objective is not None
    setting = Setting(game.log_reference, game.log_reference, tau, 1.0, beta)
    left, right = (SAMPLERS[who]({"log_policy": log_pi}, setting) for who in (spec.left, spec.right))
    return np.asarray(ExactEnvironment(game.margins).pull(spec.objective, log_pi, left, right, setting))


def library_target(name: str, problem: Problem) -> np.ndarray:
    """The fixed point that a registered method declares."""
    target = REGISTRY[name].target
    found = None if target is None else target(problem)
    assert found is not None
    return found


@st.composite
def points(draw: st.DrawFn, min_n: int = 2, max_n: int = 5) -> tuple[PreferenceGame, np.ndarray, float]:
    """A game with its μ, a policy and a temperature."""
    game = draw(games(min_n=min_n, max_n=max_n))
    return game, draw(policies(game.n)), draw(temperatures)


PAIR = PreferenceGame.from_preferences([[0.5, 0.3], [0.7, 0.5]], reference=[0.1, 0.9], name="pair")
L5_SMALLEST = (PAIR, np.log([0.5, 0.5]), 1.0)


# -- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["L2.i", "L2.ii", "L2.iii", "L2.iv", "L2.v", "L5", "L11", "L15"])
def test_a_counterexample_is_kept_in_the_report(id: str) -> None:
    assert evaluate(CHECKS[id], Cases(samples=10)).counterexample


# -- L1: the equivalence ---------------------------------------------------------------------------------------------


@given(points())
def test_l1_the_gradient_of_online_ipo_is_minus_four_over_tau_that_of_self_play(
    point: tuple[PreferenceGame, np.ndarray, float],
) -> None:
    game, log_pi, tau = point
    pi = np.exp(log_pi)
    contrast = numeric_gradient(expected_ipo(game, pi, tau), log_pi) * tau / 4
    play = numeric_gradient(preference_objective(game, pi, tau), log_pi)
    # the terms that cancel in the loss are of size 1/(4τ)
    size = 1 + 1 / tau
    assert np.abs(contrast + play).max() < TOLERANCE * size
    assert np.abs(library_direction("online-ipo", game, log_pi, tau, 0) * tau / 4 - play).max() < TOLERANCE * size
    assert np.abs(library_direction("self-play-pg", game, log_pi, tau, 0) - play).max() < TOLERANCE * size


def test_l1_canary_the_printed_factor_is_caught() -> None:
    pi = np.array([0.5, 0.5])
    contrast = numeric_gradient(expected_ipo(PAIR, pi, 1.0), np.log(pi))
    play = numeric_gradient(preference_objective(PAIR, pi, 1.0), np.log(pi))
    assert np.abs(contrast * 1.0 / 2 + play).max() > 0.1


def test_complex_steps_agree_with_finite_differences_and_see_a_wrong_derivative() -> None:
    theta = np.array([0.3, -1.1, 0.7])

    def f(t: np.ndarray) -> np.floating:
        return np.sum(np.tanh(t) * np.exp(t[0]))

    exact = oracle.gradient(f, theta)
    assert np.abs(exact - numeric_gradient(f, theta)).max() < TOLERANCE
    # the canary: a derivative that forgets the factor exp(θ₀)
    assert np.abs(exact - (1 - np.tanh(theta) ** 2)).max() > 0.01


# -- L2: the negative controls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["L2.i", "L2.ii", "L2.iii", "L2.v"])
def test_l2_each_control_keeps_a_counterexample_of_three_responses(id: str) -> None:
    found = evaluate(CHECKS[id], Cases(samples=10)).counterexample
    assert found is not None
    assert len(found["policy"]) == 3
    assert found["sine of the angle"] > equivalence.COLLINEAR


# -- L4: offline IPO --------------------------------------------------------------------------------------------------


@given(games(min_n=2, max_n=6), temperatures, st.data())
def test_l4_the_optimum_of_offline_ipo_moves_with_the_data_only_from_three_responses_on(
    game: PreferenceGame, tau: float, data: st.DataObject
) -> None:
    logs = [data.draw(policies(game.n)) for _ in range(2)]
    found = [library_target("offline-ipo", Problem(game, tau, 0.1, 0.0, log_nu)) for log_nu in logs]
    for log_nu, log_pi in zip(logs, found, strict=True):
        residual = tau * (log_pi - game.log_reference) - game.preferences @ np.exp(log_nu)
        assert np.ptp(residual) < 1e-13  # log π ≤ 1/τ in size, so τ log π is right to a few units of 1e-16
    if game.n == 2:
        assert np.abs(found[0] - found[1]).max() < 1e-13 / tau


def test_l4_canary_three_dice_the_optimum_does_move() -> None:
    one, other = (
        library_target("offline-ipo", Problem(get("dice"), 0.1, 0.1, 0.0, np.log(nu)))
        for nu in ([0.6, 0.3, 0.1], [0.1, 0.3, 0.6])
    )
    assert np.abs(np.exp(one) - np.exp(other)).max() > 0.05


# -- L5: IPO-MD, corrected ---------------------------------------------------------------------------------------------


def formula_l5(game: PreferenceGame, log_pi: np.ndarray, tau: float, beta: float, *, centre: float) -> np.ndarray:
    """−(4/τ) E_ν[s (p(·≻ν) − ½ − τ(h − centre · E_ν h))]: 1 is L5, 0 the printed form."""
    nu, h = mixture(log_pi, game.log_reference, beta), log_pi - game.log_reference
    weight = nu * (game.preferences @ nu - 0.5 - tau * (h - centre * (nu @ h)))
    return -(4 / tau) * (weight - np.exp(log_pi) * weight.sum())


@given(points(), st.sampled_from([0.125, 0.5, 0.9]))
@example(L5_SMALLEST, 0.5)
def test_l5_the_gradient_of_ipo_md_has_the_term_that_the_paper_drops(
    point: tuple[PreferenceGame, np.ndarray, float], beta: float
) -> None:
    game, log_pi, tau = point
    nu = mixture(log_pi, game.log_reference, beta)
    exact = numeric_gradient(expected_ipo(game, nu, tau), log_pi)
    size = 4 / tau * (1 + 1 / tau)
    assert np.abs(exact - formula_l5(game, log_pi, tau, beta, centre=1)).max() < TOLERANCE * size
    assert np.abs(exact + library_direction("ipo-md", game, log_pi, tau, beta)).max() < TOLERANCE * size


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_l5_canary_the_printed_form_is_off_by_the_same_amount_for_every_game_and_temperature(
    p: float, tau: float
) -> None:
    game = PreferenceGame.from_preferences([[0.5, p], [1 - p, 0.5]], reference=[0.1, 0.9])
    log_pi = np.log([0.5, 0.5])
    exact = numeric_gradient(expected_ipo(game, mixture(log_pi, game.log_reference, 0.5), tau), log_pi)
    missing = exact - formula_l5(game, log_pi, tau, 0.5, centre=0)
    assert missing[0] == pytest.approx(-0.03848, abs=5e-6)


@given(points(), st.sampled_from([0.125, 0.5, 0.9]))
def test_l5b_ipo_md_is_online_ipo_played_by_the_mixture_at_a_higher_temperature(
    point: tuple[PreferenceGame, np.ndarray, float], beta: float
) -> None:
    game, log_pi, tau = point
    hot, nu = tau / (1 - beta), mixture(log_pi, game.log_reference, beta)
    own = numeric_gradient(expected_ipo(game, nu, tau), log_pi)
    online = expected_ipo(game, nu, hot)
    played = numeric_gradient(lambda t: online((1 - beta) * log_policy(t) + beta * game.log_reference), log_pi)
    size = 4 / tau * (1 + 1 / tau)
    assert np.abs(own - played / (1 - beta) ** 2).max() < TOLERANCE * size / (1 - beta) ** 2


# -- L6, L7: where IPO-MD and Nash-MD-PG rest ------------------------------------------------------------------------


@given(games(max_n=6), st.sampled_from([0.1, 0.3, 1.0]), st.sampled_from([0.125, 0.5, 0.9]))
def test_l6_l7_both_rest_where_the_mixture_is_the_equilibrium_at_a_higher_temperature(
    game: PreferenceGame, tau: float, beta: float
) -> None:
    log_pi = library_target("ipo-md", Problem(game, tau, 0.1, beta, game.log_reference))
    for name, unit in (("ipo-md", tau / 4), ("nash-md-pg", 1.0)):
        # the equilibrium is right to 1e-12 (E3), the fields have slopes of at most 1 + τ
        assert np.abs(library_direction(name, game, log_pi, tau, beta) * unit).max() < 1e-11
    nash = regularised_nash(game, tau / (1 - beta)).policy
    assert np.abs(mixture(log_pi, game.log_reference, beta) - nash).sum() < 1e-11


# -- other losses ----------------------------------------------------------------------------------------------------


@given(st.floats(0.51, 0.99), st.sampled_from([0.1, 0.3, 1.0]))
def test_l11_with_two_responses_dpo_rests_at_the_equilibrium_only_for_a_tie(p: float, tau: float) -> None:
    game = PreferenceGame.from_preferences([[0.5, p], [1 - p, 0.5]])
    nash = regularised_nash(game, tau).log_policy
    force = library_direction("online-dpo", game, nash, tau, 0) / np.exp(nash).prod() / tau
    # σ(p − ½) < p for p > ½: DPO always pulls further
    assert force[0] == pytest.approx(2 * (p - 1 / (1 + np.exp(0.5 - p))), rel=1e-9)
    assert force[0] > 0


def test_l11_canary_a_tie_is_the_exception() -> None:
    game = PreferenceGame.from_preferences([[0.5, 0.5], [0.5, 0.5]], reference=[0.3, 0.7])
    assert np.abs(library_direction("online-dpo", game, game.log_reference, 0.5, 0)).max() < 1e-15


@given(games(max_n=6), temperatures)
def test_n12_the_equilibrium_lies_inside_the_hinge_where_slic_has_no_restoring_force(
    game: PreferenceGame, tau: float
) -> None:
    q = regularised_nash(game, tau).log_policy
    pi = np.exp(q)
    assert np.ptp(tau * (q - game.log_reference)) < 1
    unregularised = 4 * tau * (pi * (game.margins @ pi) - pi * (pi @ game.margins @ pi))
    # sums of n² terms of at most τ
    assert np.abs(library_direction("online-slic", game, q, tau, 0) - unregularised).max() < 1e-14 * (1 + tau)


def test_n12_canary_a_policy_outside_the_hinge_feels_something_else() -> None:
    pi = np.array([0.99, 0.01])  # h₁ − h₂ = 4.6 + 2.2 at τ = 1
    unregularised = 4 * (pi * (PAIR.margins @ pi))
    assert np.abs(library_direction("online-slic", PAIR, np.log(pi), 1.0, 0) - unregularised).max() > 1e-3


def test_n13_a_certain_preference_has_no_last_word() -> None:
    """At p = 1 every h₁ − h₂ ≥ 1/τ is stationary for SLiC: N13 needs p < 1."""
    for p, rests in ((1.0, True), (0.99, False)):
        game = PreferenceGame.from_preferences([[0.5, p], [1 - p, 0.5]])
        far = np.array([5.0, 0.0]) - np.log(1 + np.exp(5.0))
        assert bool(np.all(library_direction("online-slic", game, far, 1.0, 0) == 0)) is rests

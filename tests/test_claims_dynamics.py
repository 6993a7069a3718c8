"""Claims about dynamics (R1-R3, N1-N3, N5, N6, N8-N11), as properties.

The properties use only the library's algorithms and equilibria; what they should do is written out again here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import games, policies, temperatures

from nashlab.algorithm import Setting
from nashlab.algorithms import REGISTRY
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame

Array = NDArray[np.float64]

ROUNDING = 1e-12  # of divergences of at most about 100, the largest that temperatures from .01 on make


# -- written out -----------------------------------------------------------------------------------------------------


def normalise(log_weight: Array) -> Array:
    return log_weight - np.logaddexp.reduce(log_weight)


def kl(log_p: Array, log_q: Array) -> float:
    return float(np.exp(log_p) @ (log_p - log_q))


def distance(log_p: Array, log_q: Array) -> float:
    return float(np.abs(np.exp(log_p) - np.exp(log_q)).sum())


def mixture(log_pi: Array, log_mu: Array, share: float) -> Array:
    return normalise((1 - share) * log_pi + share * log_mu)


def step(name: str, game: PreferenceGame, tau: float, log_pi: Array, eta: float) -> Array:
    """One step of the library's algorithm."""
    setting = Setting(game.log_reference, game.log_reference, tau, eta, 0.125, 0.0)
    spec = REGISTRY[name]
    return np.asarray(spec.step(spec.start(log_pi), setting, ExactEnvironment(game.margins))["log_policy"])


def transitive_chain(n: int) -> PreferenceGame:
    upper = np.triu(np.full((n, n), 0.5), 1)
    return PreferenceGame.from_margins(upper - upper.T)


ROCK_PAPER_SCISSORS = 0.5 * np.array([[0.0, 1, -1], [-1, 0, 1], [1, -1, 0]])

shares = st.floats(0.01, 0.99)


# -- Nash-MD ---------------------------------------------------------------------------------------------------------


def r2_excess(game: PreferenceGame, tau: float, log_pi: Array, eta: float, constant: float) -> float:
    """KL(π*,π₊) less its bound in R2."""
    q, m = regularised_nash(game, tau).log_policy, mixture(log_pi, game.log_reference, eta * tau)
    bound = (1 - eta * tau) * (kl(q, log_pi) - kl(m, log_pi)) + constant * eta**2
    return kl(q, step("nash-md", game, tau, log_pi, eta)) - bound


@given(st.data(), games(), temperatures, shares)
def test_r2_a_step_of_nash_md_contracts_up_to_a_24th_of_its_square(
    data: st.DataObject, game: PreferenceGame, tau: float, share: float
) -> None:
    log_pi, eta = data.draw(policies(game.n)), share / tau
    scale = max(1.0, eta)  # divergences after a step are of this size
    assert r2_excess(game, tau, log_pi, eta, 1 / 24) <= ROUNDING * scale


def test_r2_a_smaller_constant_fails_on_a_long_transitive_chain() -> None:
    game, tau, eta = transitive_chain(200), 1.0, 0.05
    q = regularised_nash(game, tau).log_policy
    # the policy whose mixture is π* itself: nothing is left but the last term
    log_pi = normalise((q - eta * tau * game.log_reference) / (1 - eta * tau))
    assert r2_excess(game, tau, log_pi, eta, 1 / 24) <= ROUNDING
    assert r2_excess(game, tau, log_pi, eta, 1 / 24.2) > 1e-7
    # and a short chain needs less, by N9's factor 1 − Σm³: at n = 2 the constant 1/26 does
    assert r2_excess(transitive_chain(2), tau, np.log([0.5, 0.5]), eta, 1 / 26) < 0


def r1_excess(margins: Array, tau: float, pi: list[float], eta: float) -> float:
    game = PreferenceGame.from_margins(margins)
    q = regularised_nash(game, tau).log_policy
    log_pi = np.log(pi)
    return kl(q, step("nash-md", game, tau, log_pi, eta)) - (1 - eta * tau) * kl(q, log_pi) - 2 * eta**2


def test_r1_needs_both_of_its_conditions() -> None:
    assert r1_excess(ROCK_PAPER_SCISSORS, 1.0, [0.6, 0.2, 0.2], 0.5) < 0
    # P outside [0, 1]: margins of 20
    assert r1_excess(40 * ROCK_PAPER_SCISSORS, 1.0, [0.6, 0.2, 0.2], 0.5) > 0.1
    # ητ = 2 > 1, on a game without preferences
    assert r1_excess(np.zeros((2, 2)), 20.0, [0.9, 0.1], 0.1) > 0.5
    assert r1_excess(np.zeros((2, 2)), 20.0, [0.9, 0.1], 0.05) < 0


@given(st.data(), games(), temperatures, shares)
def test_n8_the_step_of_nash_md_is_an_identity(
    data: st.DataObject, game: PreferenceGame, tau: float, share: float
) -> None:
    log_pi, eta = data.draw(policies(game.n)), share / max(tau, 0.1)
    q, m = regularised_nash(game, tau).log_policy, mixture(log_pi, game.log_reference, eta * tau)
    tilt = np.log(np.exp(m) @ np.exp(eta * (game.margins @ np.exp(m))))
    right = (1 - eta * tau) * (kl(q, log_pi) - kl(m, log_pi)) - eta * tau * kl(m, q) + tilt
    # 1e-10: an equilibrium right to 1e-12, divergences up to 100
    assert abs(kl(q, step("nash-md", game, tau, log_pi, eta)) - right) <= 1e-10


@given(st.data(), games(), st.floats(0.0, 1.0))
def test_n9_win_rates_are_below_uniform_in_convex_order(
    data: st.DataObject, game: PreferenceGame, threshold: float
) -> None:
    m = np.exp(data.draw(policies(game.n)))
    win = game.preferences @ m
    assert abs(m @ win - 0.5) <= ROUNDING
    assert m @ np.maximum(win - threshold, 0) <= (1 - threshold) ** 2 / 2 + ROUNDING
    assert m @ (win - 0.5) ** 2 <= (1 - np.sum(m**3)) / 12 + ROUNDING


@given(st.data(), st.integers(2, 30))
def test_n9_is_attained_by_every_policy_on_a_transitive_chain(data: st.DataObject, n: int) -> None:
    m = np.exp(data.draw(policies(n)))
    m /= m.sum()
    variance = m @ (transitive_chain(n).margins @ m) ** 2
    assert abs(variance - (1 - np.sum(m**3)) / 12) <= ROUNDING
    assert variance > (1 - np.sum(m**2)) / 12  # the canary: with squares for cubes it would be violated


@given(st.data(), games(), temperatures, shares)
def test_n10_nash_md_solves_a_hotter_game(data: st.DataObject, game: PreferenceGame, tau: float, share: float) -> None:
    eta = share / max(tau, 0.3)
    hot, log_mu = tau / (1 - eta * tau), game.log_reference
    q, q_hot = (regularised_nash(game, t).log_policy for t in (tau, hot))
    limit = normalise(log_mu + game.margins @ np.exp(q_hot) / tau)
    # 1e-9: the win rate of an equilibrium right to 1e-12, over τ ≥ .01
    assert distance(step("nash-md", game, tau, limit, eta), limit) <= 1e-9
    assert distance(mixture(limit, log_mu, eta * tau), q_hot) <= 1e-9
    assert distance(limit, q) <= eta / (4 * np.sqrt(3) * tau) + 1e-9
    # its mixture takes exactly the steps that MMD(η, τ') and OMD(η(1−ητ), τ') take
    log_pi = data.draw(policies(game.n))
    m = mixture(log_pi, log_mu, eta * tau)
    after = mixture(step("nash-md", game, tau, log_pi, eta), log_mu, eta * tau)
    assert distance(after, step("mmd", game, hot, m, eta)) <= ROUNDING
    assert distance(after, step("omd", game, hot, m, eta * (1 - eta * tau))) <= ROUNDING


def test_n10_nash_md_misses_the_equilibrium_of_its_own_temperature() -> None:
    game = PreferenceGame.from_margins(ROCK_PAPER_SCISSORS, reference=[0.5, 0.3, 0.2])
    q = regularised_nash(game, 0.1).log_policy
    assert distance(step("nash-md", game, 0.1, q, 1.0), q) > 5e-3


@given(st.data(), games(), temperatures, st.floats(0.01, 3.0))
def test_n11_the_step_of_mmd_is_an_identity(data: st.DataObject, game: PreferenceGame, tau: float, eta: float) -> None:
    log_pi, log_mu = data.draw(policies(game.n)), game.log_reference
    q, after = regularised_nash(game, tau).log_policy, step("mmd", game, tau, log_pi, eta)
    tilted = log_pi + eta * (game.margins @ np.exp(log_pi))
    psi = float(np.logaddexp.reduce(tilted))
    left = (1 + eta * tau) * kl(q, after) + eta * tau * kl(after, log_mu)
    right = kl(q, log_pi) + eta * tau * (kl(log_pi, log_mu) - kl(log_pi, q)) + psi - kl(after, normalise(tilted))
    assert abs(left - right) <= 1e-10 * (1 + eta * tau)
    assert psi <= eta**2 / 24 + ROUNDING


# -- the gradient flow of online IPO ---------------------------------------------------------------------------------


def gradient(game: PreferenceGame, tau: float, theta: Array) -> Array:
    """g = D_π(Aπ − τh)."""
    log_pi = normalise(theta)
    push = game.margins @ np.exp(log_pi) - tau * (log_pi - game.log_reference)
    return np.asarray(np.exp(log_pi) * (push - np.exp(log_pi) @ push))


def lyapunov(q: Array, theta: Array) -> float:
    return float(np.sum(np.exp(q - theta)))


@given(st.data(), games(max_n=5), st.sampled_from([0.1, 0.3, 1.0]))
def test_n1_the_lyapunov_function_falls_at_its_rate_along_the_flow(
    data: st.DataObject, game: PreferenceGame, tau: float
) -> None:
    q = regularised_nash(game, tau).log_policy
    theta = data.draw(policies(game.n))
    h = 1e-3

    def flow(h: float) -> Array:
        return np.asarray(theta + h * gradient(game, tau, theta + h / 2 * gradient(game, tau, theta)))

    seen = (lyapunov(q, flow(h)) - lyapunov(q, flow(-h))) / (2 * h)
    pi = normalise(theta)
    expected = -tau / np.sum(np.exp(theta)) * (kl(pi, q) + kl(q, pi))
    # midpoint steps and a central difference: h² times third derivatives of V
    assert abs(seen - expected) <= 1e-5 * lyapunov(q, theta)


@given(st.data(), games(), temperatures, st.floats(0.01, 10.0))
def test_n2_small_constant_steps_descend_from_anywhere(
    data: st.DataObject, game: PreferenceGame, tau: float, spread: float
) -> None:
    q = regularised_nash(game, tau).log_policy
    start = spread * data.draw(policies(game.n))
    theta = start - start.mean()
    eta = tau / (3 * (1 + 2 * tau**2 * (1 + 1 / tau - np.min(game.log_reference))))
    for _ in range(5):
        log_pi, g = normalise(theta), gradient(game, tau, theta)
        weight = np.exp(q - theta)
        fall = -float(weight @ np.expm1(-eta * g))
        needed = 0.4 * eta * tau * (kl(log_pi, q) + kl(q, log_pi)) / np.sum(np.exp(theta))
        assert fall >= needed - 1e-13 * np.sum(weight)
        theta = theta + eta * g


def test_n2_a_long_step_can_climb() -> None:
    game, tau = PreferenceGame.from_margins(ROCK_PAPER_SCISSORS), 0.01
    q, theta = np.log([1 / 3] * 3), np.array([0.1, 0.0, -0.1])
    assert lyapunov(q, theta + 1.0 * gradient(game, tau, theta)) > lyapunov(q, theta)


# -- momentum --------------------------------------------------------------------------------------------------------


def radius(alpha: float, omega: float, eta: float, m: float, gain: float) -> float:
    """Of x₊ = x − η v, v₊ = m v + gain·z x, z = α + iω."""
    z = complex(alpha, omega)
    return float(np.max(np.abs(np.linalg.eigvals(np.array([[1 - eta * gain * z, -eta * m], [gain * z, m]])))))


rates = st.floats(-3.0, 0.0).map(lambda x: 10.0**x)


@given(rates, rates, rates, st.floats(-0.9, 0.95))
def test_n5_stability_is_decided_by_the_closed_forms(alpha: float, omega: float, eta: float, m: float) -> None:
    heavy = (1 - eta * alpha / (1 + m)) ** 2 + (eta * omega / (1 - m)) ** 2
    seen = radius(alpha, omega, eta, m, 1.0)
    if abs(heavy - 1) > 1e-9 and abs(seen - 1) > 1e-12:  # on the edge itself rounding decides
        assert (heavy < 1) == (seen < 1)
    root = np.sqrt(max(0.0, 1 - (eta * omega) ** 2))
    low, high = (alpha * (1 + sign * root) / (eta * omega**2) for sign in (-1, 1))
    u, seen = (1 + m) / (1 - m), radius(alpha, omega, eta, m, 1 - m)
    if min(abs(u / low - 1), abs(u / high - 1)) > 1e-9 and abs(seen - 1) > 1e-12:
        assert (eta * omega < 1 and low < u < high) == (seen < 1)


def test_n5_without_the_factors_of_momentum_the_condition_is_wrong() -> None:
    alpha, omega, eta, m = 0.1 / 3, np.sqrt(3) / 18, 1.0, 0.9
    assert (1 - eta * alpha) ** 2 + (eta * omega) ** 2 < 1  # says stable
    assert radius(alpha, omega, eta, m, 1.0) > 1


@given(st.floats(0.01, 1.0), st.floats(0.01, 1 / np.pi), st.floats(0.02, 20.0), st.floats(-0.98, 0.98))
def test_n6_no_step_and_momentum_beat_the_best(tau: float, frequency: float, step: float, m: float) -> None:
    best = frequency / (tau + np.hypot(tau, frequency))
    spectrum = np.linspace(0, frequency, 5)
    # 1e-7: the double root at the end of the segment is right to the root of rounding
    reached = max(radius(tau, w, (1 - best**2) / tau, -(best**2), 1.0) for w in spectrum)
    assert abs(reached - best) <= 1e-7
    assert max(radius(tau, w, step / tau, m, 1.0) for w in spectrum) >= best - 1e-7
    # with the sign turned it is worse
    assert max(radius(tau, w, (1 - best**2) / tau, best**2, 1.0) for w in spectrum) > best

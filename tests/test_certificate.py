"""Games and certificates: rules of input, identities E2/E3/N14/N15, array libraries, ball arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import strategies as own
from hypothesis import given
from hypothesis import strategies as st

from nashlab.arrays import geometric_mixture, kl, log_softmax, logsumexp
from nashlab.certificate import best_response, certify, certify_ball, enclose_lottery, exploitability, gap
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import get
from nashlab.game import BadInput, PreferenceGame


@given(own.games(max_n=6), own.temperatures, st.data())
def test_no_policy_is_farther_than_its_certificate_says(g: PreferenceGame, tau: float, data: st.DataObject) -> None:
    log_pi = data.draw(own.policies(g.n))
    q = regularised_nash(g, tau)
    off = np.abs(np.exp(log_pi) - q.policy).sum()
    assert off <= certify(g, log_pi, tau).l1_bound + 1e-12
    assert off <= certify_ball(g, log_pi, tau).l1_bound
    # N18(c) makes the rigorous bound the tighter one
    assert certify_ball(g, log_pi, tau).l1_bound <= certify(g, log_pi, tau).l1_bound + 1e-9


@given(own.games(max_n=6), own.temperatures, st.data())
def test_exploitability_is_what_the_best_reply_gains(g: PreferenceGame, tau: float, data: st.DataObject) -> None:
    log_pi = data.draw(own.policies(g.n))

    def payoff(log_p: np.ndarray) -> float:
        p, pi = np.exp(log_p), np.exp(log_pi)
        mu = g.log_reference
        return float(p @ g.margins @ pi - tau * kl(log_p, mu) + tau * kl(log_pi, mu))

    reply = best_response(g.advantage(log_pi), g.log_reference, tau)
    value = float(exploitability(g, log_pi, tau))
    assert payoff(reply) == pytest.approx(value, abs=1e-12)
    assert payoff(log_softmax(reply + 0.1 * np.eye(g.n)[0])) <= value + 1e-12


def test_the_gap_keeps_its_digits_near_the_equilibrium() -> None:
    g = get("figure-6")
    q = regularised_nash(g, 0.1).log_policy

    def curvature(size: float) -> float:
        # G is quadratic at the equilibrium: G/size² is a constant of the direction
        return float(exploitability(g, log_softmax(q + size * np.array([1.0, -1.0, 0.0])), 0.1)) / size**2

    for size in (1e-6, 1e-9, 1e-12):
        assert curvature(size) == pytest.approx(curvature(1e-3), rel=2e-2)


def test_certificates_run_on_every_array_library() -> None:
    import jax
    import torch

    g = get("figure-6")
    log_pi = np.log([0.2, 0.3, 0.5])
    known = float(gap(g.advantage(log_pi), g.log_reference, log_pi, 0.1))
    with jax.enable_x64(True):
        ours = jax.jit(gap)(*map(jax.numpy.asarray, (g.advantage(log_pi), g.log_reference, log_pi)), 0.1)
    theirs = gap(*map(torch.tensor, (g.advantage(log_pi), np.array(g.log_reference), log_pi)), 0.1)
    assert float(ours) == pytest.approx(known, abs=1e-15)
    assert float(theirs) == pytest.approx(known, abs=1e-15)


def test_vertices_and_unsupported_policies_are_judged() -> None:
    g = get("figure-6")
    with np.errstate(divide="ignore"):
        vertex = np.log(np.array([1.0, 0.0, 0.0]))
    certificate = certify(g, vertex, 0.1)
    assert np.isfinite(certificate.exploitability)
    assert 0 < certificate.l1_bound <= 2


def test_a_lottery_is_enclosed_only_with_the_right_support() -> None:
    g = get("soundquality")
    lottery = maximal_lottery(g)
    proof = enclose_lottery(g, lottery.log_policy)
    assert proof is not None
    assert proof.l1_bound <= 1e-15
    wrong = np.where(np.isfinite(lottery.log_policy), np.log(1 / 4), -np.inf)
    wrong[0] = np.log(1 / 4)
    assert enclose_lottery(g, wrong) is None
    assert enclose_lottery(get("all-ties"), np.full(6, -np.log(6))) is None


@given(own.games(max_n=5))
def test_mixtures_and_divergences(g: PreferenceGame) -> None:
    rng = np.random.default_rng(0)
    log_p = log_softmax(rng.normal(size=g.n))
    assert np.allclose(geometric_mixture(log_p, g.log_reference, 0.0), log_p, atol=1e-15)
    assert np.allclose(geometric_mixture(log_p, g.log_reference, 1.0), g.log_reference, atol=1e-15)
    assert float(kl(log_p, log_p)) == 0
    assert float(kl(log_p, g.log_reference)) >= -1e-16
    assert float(logsumexp(log_p)[0]) == pytest.approx(0, abs=1e-15)


BAD = [
    ([[0.5, 0.7, 0.1], [0.3, 0.5, 0.6]], "must be square"),
    ([[0.5, float("nan")], [0.3, 0.5]], r"preferences\[0, 1\] = nan, must be finite"),
    ([[0.5, float("inf")], [0.3, 0.5]], r"preferences\[0, 1\] = inf, must be finite"),
    ([[0.5, 1.2], [-0.2, 0.5]], r"must be in \[0, 1\]"),
    ([[0.5, 0.7], [0.5, 0.5]], r"preferences\[0, 1\] \+ preferences\[1, 0\] = 1.2, must be 1"),
    ([[0.6, 0.7], [0.3, 0.5]], r"preferences\[0, 0\] \+ preferences\[0, 0\] = 1.2"),
    ([], "must be square|empty"),
    ([["a", "b"], ["c", "d"]], "must hold numbers"),
]


@pytest.mark.parametrize(("rows", "message"), BAD)
def test_bad_preferences_are_named(rows: list[list[float]], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        PreferenceGame.from_preferences(rows)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ([0.5, 0.5, 0.0], r"reference\[2\] = 0, must be positive"),
        ([0.5, 0.3, 0.3], "must sum to 1"),
        ([0.5, 0.5], "must be"),
        ([0.5, float("nan"), 0.5], r"reference\[1\]"),
        ([1.5, -0.25, -0.25], r"reference\[1\]"),
    ],
)
def test_bad_references_are_named(reference: list[float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        get("rps").with_reference(reference)


def test_labels_weights_and_fill_are_checked() -> None:
    rows = [[0, 1], [-1, 0]]
    with pytest.raises(BadInput, match="more than once"):
        PreferenceGame.from_margins(rows, labels=["a", "a"])
    with pytest.raises(BadInput, match="must have 2"):
        PreferenceGame.from_margins(rows, labels=["a"])
    with pytest.raises(BadInput, match="one weight a prompt"):
        PreferenceGame.from_margins(np.zeros((2, 2, 2)), weights=[1.0])
    with pytest.raises(BadInput, match=r"never met \(1 - 2\)"):
        PreferenceGame.from_wins([[0, 0], [0, 0]])
    with pytest.raises(BadInput, match="fill"):
        PreferenceGame.from_wins([[0, 0], [0, 0]], fill=0.3)
    filled = PreferenceGame.from_wins([[0, 0], [0, 0]], fill=Fraction(1, 2))
    assert filled.exact == ((0, 0), (0, 0))


def test_a_hundred_thousand_responses_are_refused_with_the_memory_they_need() -> None:
    class Huge:
        shape = (100_000, 100_000)

    with pytest.raises(BadInput, match=r"100000 responses need 75 GiB"):
        PreferenceGame.from_margins(Huge())  # type: ignore[arg-type]


def test_near_ties_in_floats_are_a_game() -> None:
    g = PreferenceGame.from_preferences([[0.5, 0.5 + 8e-10], [0.5 - 8e-10, 0.5]])
    assert g.margins[0, 1] == pytest.approx(8e-10, rel=1e-6)
    assert g.margins[0, 1] == -g.margins[1, 0]


def test_wins_become_exact_probabilities() -> None:
    g = PreferenceGame.from_wins([[0, 2], [1, 0]])
    assert g.exact == ((Fraction(0), Fraction(1, 6)), (Fraction(-1, 6), Fraction(0)))
    assert g.preferences[0, 1] == pytest.approx(2 / 3)


def test_games_are_frozen() -> None:
    g = get("rps")
    with pytest.raises(ValueError, match="read-only"):
        g.margins[0, 1] = 3.0
    with pytest.raises(AttributeError):
        g.name = "other"  # type: ignore[misc]

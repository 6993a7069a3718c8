"""The verdict on a loss against computations that share no code with it, and against losses that differ by little."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.check import objective
from nashlab.check.evaluation import Loss, loss_of
from nashlab.check.fields import UPDATES, Bundle, Table, behaviour_of
from nashlab.check.forms import GAP, form_of
from nashlab.check.likeness import likeness
from nashlab.check.losses import NAMED
from nashlab.check.offline import Curve, offline
from nashlab.check.online import (
    convergence,
    equilibria,
    gallery_equilibria,
    gallery_tables,
    parallel,
    rlhf_optima,
    sizes_at,
)
from nashlab.check.verdict import judge, length_of, needs_reference, verdict_on

Array = NDArray[np.float64]

TAU = 0.5
COUPLED = {"alpha_dpo", "beta_dpo", "aot", "aot_unpaired"}
PAIRWISE = sorted(set(NAMED) - COUPLED)
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


def loss(function: Callable[..., Any], tau: float = TAU) -> Loss:
    return loss_of(function, form_of(function), tau)


# -- online ----------------------------------------------------------------------------------------------------------

NASH = {"inpo", "ipo", "ipo_soft", "online_ipo", "sppo"}
RLHF = {"dpo", "gpo_savage", "wpo"}  # proper losses of a Bradley-Terry probability, weighed evenly within a pair


def hand_gradient(function: Callable[..., Any], p: Array, log_mu: Array, log_policy: Array, length: Array) -> Array:
    """∇_θ of the expected loss with samples held still, by differences of a sum over pairs; log π = θ − log Σ e^θ."""
    form = form_of(function)
    n = len(log_mu)
    nu = np.exp(behaviour_of(form.spec)(log_policy, log_mu))

    def expected(theta: Array) -> float:
        now = theta - np.log(np.exp(theta).sum())
        i, j = (k.ravel() for k in np.indices((n, n)))
        anchor = log_policy if form.spec.anchor == "previous" else log_mu
        extra = {}
        for name in form.optional:
            source = length if "length" in name else log_policy
            extra[name] = source[i] if "chosen" in name else source[j]
        if form.arguments == GAP:
            values = function(now[i] - anchor[i] - now[j] + anchor[j], p[i, j], tau=TAU, **extra)
            return float(nu[i] * nu[j] @ values)
        if form.arguments[0] == "h_chosen":
            values = function(now[i] - anchor[i], now[j] - anchor[j], tau=TAU, **extra)
        else:
            values = function(*(now[i], now[j], log_mu[i], log_mu[j])[: len(form.arguments)], tau=TAU, **extra)
        return float((2 * nu[i] * nu[j] * p[i, j]) @ values)

    step = 1e-5
    return np.array([(expected(log_policy + e) - expected(log_policy - e)) / (2 * step) for e in step * np.eye(n)])


def fixed_point(p: Array, log_mu: Array) -> Array:
    """log π*_τ by damped iteration of π ∝ μ exp(Pπ/τ)."""
    log_policy = log_mu
    for _ in range(3000):
        log_policy = 0.7 * log_policy + 0.3 * (log_mu + p @ np.exp(log_policy) / TAU)
        log_policy = log_policy - np.log(np.exp(log_policy).sum())
    return log_policy


@pytest.mark.parametrize("name", PAIRWISE)
def test_where_the_online_gradient_vanishes_is_told_as_differences_find_it(name: str) -> None:
    mine = loss(NAMED[name])
    behaviour, lengths = behaviour_of(mine.form.spec), "length_chosen" in mine.form.optional
    at_nash = sizes_at(mine, behaviour, TAU, "general", equilibria("general", TAU), lengths=lengths).max() <= 1e-6
    at_rlhf = sizes_at(mine, behaviour, TAU, "bradley-terry", rlhf_optima(TAU), lengths=lengths).max() <= 1e-6
    assert at_nash == (name in NASH)
    assert at_rlhf == (name in RLHF)

    rng = np.random.default_rng(3)
    upper = np.triu(rng.uniform(-0.4, 0.4, (4, 4)), 1)
    p, log_mu, length = 0.5 + upper - upper.T, np.log(rng.dirichlet(np.full(4, 3.0))), np.array([1.0, 3, 2, 5])
    scale = np.abs(hand_gradient(NAMED[name], p, log_mu, log_mu, length)).max()
    there = np.abs(hand_gradient(NAMED[name], p, log_mu, fixed_point(p, log_mu), length)).max()
    assert (there <= 1e-6 * scale) == (name in NASH)  # differences at 1e-5 of a smooth loss: 1e-9
    r = rng.normal(size=4)
    elo = 1 / (1 + np.exp(r[None, :] - r[:, None]))
    optimum = log_mu + r / TAU
    optimum = optimum - np.log(np.exp(optimum).sum())
    there = np.abs(hand_gradient(NAMED[name], elo, log_mu, optimum, length)).max()
    assert (there <= 1e-6 * scale) == (name in RLHF)


@pytest.mark.parametrize(
    ("name", "constant"), [("ipo", 4 / TAU), ("sppo", 4 / TAU), ("ipo_soft", 4 / TAU), ("inpo", 4.0)]
)
def test_the_constant_of_an_identity_is_that_of_theory(name: str, constant: float) -> None:
    mine = loss(NAMED[name])
    found = parallel(mine, behaviour_of(mine.form.spec), TAU, lengths=False)
    assert found.how == "identity"
    assert found.constant == pytest.approx(constant, rel=1e-9)


def test_sppo_with_a_fixed_reference_is_online_ipo_in_expectation() -> None:
    """L16, by enumeration: the two gradients agree on games that the verdict does not know."""
    rng = np.random.default_rng(8)
    for n in (2, 3, 5):
        upper = np.triu(rng.uniform(-0.5, 0.5, (n, n)), 1)
        p, log_mu = 0.5 + upper - upper.T, np.log(rng.dirichlet(np.ones(n)))
        policy = np.log(rng.dirichlet(np.ones(n)))
        gradients = [hand_gradient(NAMED[name], p, log_mu, policy, np.ones(n)) for name in ("sppo", "ipo", "cal_dpo")]
        np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-7 * np.abs(gradients[1]).max())
        assert np.abs(gradients[2] - gradients[1]).max() > 1e-3 * np.abs(gradients[1]).max()  # canary


@pytest.mark.parametrize("noise", [0.1, 0.01])
def test_exo_pair_is_offline_ipo_on_additive_preferences(noise: float) -> None:
    """L17, by enumeration: at offline IPO's optimum of temperature τ/(2 log((1−ε)/ε)) EXO's offline gradient is 0."""

    def exo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
        s = 1 / (1 + np.exp(-tau * (h_chosen - h_rejected)))
        return s * np.log(s / (1 - noise)) + (1 - s) * np.log((1 - s) / noise)

    rng = np.random.default_rng(9)
    u, log_mu = rng.uniform(-0.12, 0.12, 4), np.log(rng.dirichlet(np.full(4, 3.0)))
    additive = 0.5 + u[:, None] - u[None, :]
    curved = 1 / (1 + np.exp(-12 * (u[:, None] - u[None, :])))  # canary: Bradley-Terry is not additive
    offline_exo = _offline(exo)
    temperature = TAU / (2 * np.log((1 - noise) / noise))
    sizes = []
    for p in (additive, curved):
        optimum = log_mu + p @ np.exp(log_mu) / temperature
        optimum = optimum - np.log(np.exp(optimum).sum())
        sizes.append(np.abs(hand_gradient(offline_exo, p, log_mu, optimum, np.ones(4))).max())
    assert sizes[0] < 1e-8
    assert sizes[1] > 1e-5


def _offline(function: Callable[..., Any]) -> Callable[..., Any]:
    return objective(behaviour="reference")(function)


# -- the whole verdict -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRWISE if DEEP else ["dpo", "ipo_per_token", "gpo_squared_hinge"])
def test_counterexamples_are_what_they_say(name: str) -> None:
    verdict = verdict_on(loss(NAMED[name]), TAU)
    assert verdict["looks_like"].count(name) == 1
    found = verdict["counterexample"]
    assert (found is None) == (name in NASH)
    if found is None:
        return
    p, log_mu = np.array(found["preferences"]), np.log(found["reference"])
    goal = fixed_point(p, log_mu)
    np.testing.assert_allclose(np.exp(goal), found["goal"], atol=1e-9)
    length = np.array(found["lengths"] or [1.0] * len(log_mu))
    gradient = hand_gradient(NAMED[name], p, log_mu, goal, length)
    np.testing.assert_allclose(gradient, found["gradient_at_goal"], atol=1e-7)
    assert np.abs(gradient).max() > 1e-4
    assert found["distance"] == pytest.approx(np.abs(np.array(found["policy"]) - found["goal"]).sum(), abs=1e-12)
    if found["settled"]:
        rests = hand_gradient(NAMED[name], p, log_mu, np.log(found["policy"]), length)
        assert np.abs(rests).max() < 1e-4 * np.abs(gradient).max()


def test_lengths_that_do_nothing_change_nothing() -> None:
    def counted(
        policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
        length_chosen: Array, length_rejected: Array, tau: float,
    ) -> Array:  # fmt: skip
        gap = policy_chosen - reference_chosen - policy_rejected + reference_rejected
        return np.asarray((gap - 1 / (2 * tau)) ** 2 + 0 * (length_chosen - length_rejected))

    verdict = verdict_on(loss(counted), TAU)
    assert (verdict["length"], verdict["counterexample"]) == ("summed", None)
    assert verdict["online"]["vanishes_at_nash"]
    assert verdict["online"]["constant"] == pytest.approx(4 / TAU, rel=1e-9)


def test_averaged_ipo_is_ipo_at_tau_over_the_common_length() -> None:
    """L18, and L2.iv: at one length another temperature, at unequal lengths no member of the family."""
    online = verdict_on(loss(NAMED["ipo_per_token"]), TAU)["online"]
    assert online["common_length"]["effective_temperature"] == pytest.approx(TAU / 4, rel=1e-8)
    assert not online["parallel"]
    assert online["distance_to_nash"] > 0.1


def test_losses_of_whole_batches_are_no_losses_of_pairs() -> None:
    assert {name for name in NAMED if loss(NAMED[name]).reduction == "coupled"} == COUPLED
    verdict = judge("aot")
    assert verdict["online"] is None
    assert "batch" in verdict["counterexample"]["why"]


# -- updates ---------------------------------------------------------------------------------------------------------


def test_updates_are_what_they_say() -> None:
    """One step each, on a game that the verdict does not know, against differences and against its own definition."""
    rng = np.random.default_rng(12)
    upper = np.triu(rng.uniform(-0.4, 0.4, (3, 3)), 1)
    p, log_mu = 0.5 + upper - upper.T, np.log(rng.dirichlet(np.full(3, 3.0)))
    log_policy = np.log(rng.dirichlet(np.full(3, 3.0)))
    mine = loss(NAMED["ipo"])
    bundle = Bundle(mine, [Table(p, log_mu, np.ones(3))], behaviour_of(mine.form.spec))
    step = np.full((1, 1), 0.05)
    way = {name: u.direction(bundle, log_policy[None, :], step, TAU)[0] for name, u in UPDATES.items()}
    plain = hand_gradient(NAMED["ipo"], p, log_mu, log_policy, np.ones(3))
    np.testing.assert_allclose(way["gradient"], 3 * plain, atol=1e-7)
    np.testing.assert_allclose(way["natural"], plain / np.exp(log_policy), atol=1e-6)

    def moved(by: Array) -> Array:
        there = log_policy - 0.05 * by
        return np.asarray(there - np.log(np.exp(there).sum()))

    there = moved(way["proximal"])
    end = hand_gradient(NAMED["ipo"], p, log_mu, there, np.ones(3)) / np.exp(there)
    np.testing.assert_allclose(way["proximal"], end / 2, atol=1e-6)
    assert np.abs(way["proximal"] - way["natural"] / 2).max() > 1e-2  # canary: the start of the step is told apart


def test_every_update_of_ipo_gets_to_the_equilibrium_and_says_how_soon() -> None:
    found = {}
    for update in UPDATES:
        say = objective(update=update)
        mine = loss(say(lambda h_chosen, h_rejected, *, tau: (h_chosen - h_rejected - 0.5 / tau) ** 2))
        found[update] = convergence(mine, behaviour_of(mine.form.spec), TAU, lengths=False)["rps-weighted"]
    for update, game in found.items():
        assert game["distance"] < 1e-9, update
        assert game["steps"] > 0
    # natural gradient P(τh − Aπ), P = I − 1πᵀ; its Jacobian in θ at the equilibrium, and |1 − ηx| over its spectrum
    nash, margins = np.exp(gallery_equilibria(TAU)[0]), gallery_tables()[0].margins
    eta = TAU / (TAU**2 + np.pi**-2)
    projection = np.eye(3) - nash[None, :]
    jacobian = projection @ (TAU * np.eye(3) - margins @ (np.diag(nash) - np.outer(nash, nash)))

    def rate(matrix: Array, factor: Callable[[Any], Any]) -> float:
        return max(abs(factor(x)) for x in np.linalg.eigvals(matrix) if abs(x) > 1e-9)

    expected = {
        "natural": rate(jacobian, lambda x: 1 - eta * x),
        "gradient": rate(3 * nash[:, None] * jacobian, lambda x: 1 - eta * x),
        "proximal": rate(jacobian, lambda x: 1 / (1 + 0.5 * eta * x)),
    }
    for update, theirs in expected.items():
        assert found[update]["rate"] == pytest.approx(theirs, abs=0.03), update  # complex pairs: it wobbles
    assert abs(expected["gradient"] - expected["proximal"]) > 0.06  # canary: they are told apart


# -- canaries: losses that differ by little --------------------------------------------------------------------------


def verdict_of(function: Callable[..., Any], part: str) -> Any:
    mine = loss(function)
    if part in ("bounded", "unique_at_half", "at_certainty", "monotone", "dead_zones"):
        return offline(Curve(mine, TAU))[part]
    if part == "looks_like":
        return likeness(mine, TAU, mine.form.spec).equal
    behaviour = behaviour_of(mine.form.spec)
    if part == "parallel":
        return parallel(mine, behaviour, TAU, lengths=False).how != "no"
    if part == "constant":
        return parallel(mine, behaviour, TAU, lengths=False).constant
    if part == "vanishes_at_nash":
        return bool(sizes_at(mine, behaviour, TAU, "general", equilibria("general", TAU)).max() <= 1e-6)
    if part == "vanishes_at_rlhf":
        return bool(sizes_at(mine, behaviour, TAU, "bradley-terry", rlhf_optima(TAU)).max() <= 1e-6)
    return verdict_on(mine, TAU)[part]


SMALL = 1e-3


def ipo_of_another_temperature(h_gap: Array, p: Array, *, tau: float) -> Array:
    return np.asarray((h_gap - (1 + SMALL) * (p - 0.5) / tau) ** 2)


def nearly_dpo(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    d = h_chosen - h_rejected
    return np.asarray(np.logaddexp(0, -tau * d) + SMALL * d**2)


def barely_smoothed(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    x = tau * (h_chosen - h_rejected)
    return np.asarray(np.logaddexp(0, -x) + SMALL * np.logaddexp(0, x))


def slic_with_a_pull(h_chosen: Array, h_rejected: Array, *, tau: float) -> Array:
    x = tau * (h_chosen - h_rejected)
    return np.asarray(np.maximum(0, 1 - x) + SMALL * x**2)


@pytest.mark.parametrize(
    ("function", "part", "expected", "named", "theirs"),
    [
        (ipo_of_another_temperature, "vanishes_at_nash", False, "ipo_soft", True),
        (ipo_of_another_temperature, "parallel", False, "ipo_soft", True),
        (ipo_of_another_temperature, "looks_like", [], "ipo_soft", ["ipo", "ipo_soft"]),
        (nearly_dpo, "vanishes_at_rlhf", False, "dpo", True),
        (nearly_dpo, "bounded", True, "dpo", False),
        (nearly_dpo, "looks_like", [], "dpo", ["dpo"]),
        (barely_smoothed, "bounded", True, "dpo", False),
        (slic_with_a_pull, "unique_at_half", True, "slic", False),
    ],
)
def test_a_loss_that_differs_by_a_thousandth_is_told_apart(
    function: Callable[..., Any], part: str, expected: Any, named: str, theirs: Any
) -> None:
    assert verdict_of(function, part) == expected
    assert verdict_of(NAMED[named], part) == theirs


def test_lengths_and_the_reference_are_told_from_a_thousandth_of_them() -> None:
    def nearly_averaged(
        policy_chosen: Array, policy_rejected: Array, reference_chosen: Array, reference_rejected: Array, *,
        length_chosen: Array, length_rejected: Array, tau: float,
    ) -> Array:  # fmt: skip
        chosen = (policy_chosen - SMALL * reference_chosen) / length_chosen ** (1 - SMALL)
        rejected = (policy_rejected - SMALL * reference_rejected) / length_rejected ** (1 - SMALL)
        return np.asarray((chosen - rejected - 1 / (2 * tau)) ** 2 - SMALL * policy_chosen)

    assert (length_of(loss(nearly_averaged), TAU), needs_reference(loss(nearly_averaged), TAU)) == ("other", True)
    assert (length_of(loss(NAMED["simpo"]), TAU), needs_reference(loss(NAMED["simpo"]), TAU)) == ("averaged", False)
    assert [length_of(loss(NAMED[name]), TAU) for name in ("inpo", "ipo")] == ["summed", "unknown"]


def test_swapped_labels_are_found() -> None:
    for name, swapped in (
        ("dpo", lambda h_chosen, h_rejected, *, tau: np.logaddexp(0, tau * (h_chosen - h_rejected))),
        ("ipo", lambda h_gap, p, *, tau: (h_gap + (p - 0.5) / tau) ** 2),
    ):
        like = likeness(loss(swapped), TAU, loss(swapped).form.spec)
        assert (like.equal, like.elsewhere, like.nearest) == ([], {}, None)
        assert name in like.swapped
        assert likeness(loss(NAMED[name]), TAU, loss(NAMED[name]).form.spec).swapped == []


def test_temperatures_are_found() -> None:
    def twice(h_gap: Array, p: Array, *, tau: float) -> Array:
        return np.asarray((h_gap - (p - 0.5) / (2 * tau)) ** 2)

    like = likeness(loss(twice), TAU, loss(twice).form.spec)
    assert like.equal == []
    assert like.elsewhere["ipo"] == pytest.approx(2.0, rel=1e-6)
    assert verdict_on(loss(twice), TAU)["online"]["effective_temperature"] == pytest.approx(2 * TAU, rel=1e-8)

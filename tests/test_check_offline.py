"""The optimum offline against formulas, an independent search, and losses that differ by little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from nashlab.arrays import sigmoid
from nashlab.check.closed_form import closed_form
from nashlab.check.evaluation import loss_of
from nashlab.check.forms import GAP, form_of
from nashlab.check.losses import NAMED
from nashlab.check.offline import Curve, offline

TAU = 0.5
COUPLED = {"alpha_dpo", "beta_dpo", "aot", "aot_unpaired"}
PAIRWISE = sorted(set(NAMED) - COUPLED)


def curve_of(function: Callable[..., Any], tau: float = TAU) -> Curve:
    return Curve(loss_of(function, form_of(function), tau), tau)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


BY_HAND: dict[str, Callable[[float], float]] = {
    "dpo": lambda p: logit(p) / TAU,
    "dpo_per_token": lambda p: logit(p) / TAU,
    **dict.fromkeys(("r_dpo", "ld_dpo", "d2po", "wpo"), lambda p: logit(p) / TAU),
    "cdpo": lambda p: logit(0.8 * p + 0.1) / TAU,
    "robust_dpo": lambda p: logit((p - 0.1) / 0.8) / TAU,
    "exo_pair": lambda p: (2 * p - 1) * np.log(9) / TAU,
    "exo_pair_sharp": lambda p: (2 * p - 1) * np.log(999) / TAU,
    "slic": lambda p: np.sign(p - 0.5) / TAU,
    "gpo_exponential": lambda p: logit(p) / 2 / TAU,
    "gpo_squared_hinge": lambda p: (2 * p - 1) / TAU,
    **dict.fromkeys(
        ("inpo", "ipo", "ipo_md", "ipo_per_token", "ipo_soft", "offline_ipo", "online_ipo"), lambda p: (p - 0.5) / TAU
    ),
    "sft": lambda p: logit(0.25 + p / 2),
}


def risk(function: Callable[..., Any], d: float, p: float) -> float:
    """The population risk of two responses, drawn evenly, by a loop over pairs, one call each, values only."""
    form = form_of(function)
    log_policy = [-np.logaddexp(0, -d), -np.logaddexp(0, d)]
    table = [[0.5, p], [1 - p, 0.5]]
    total = 0.0
    for i in (0, 1):
        for j in (0, 1):
            for chosen, rejected, q in ((i, j, table[i][j]), (j, i, table[j][i])):
                if q == 0:
                    continue
                one, two = (np.array([log_policy[k]]) for k in (chosen, rejected))
                anchor = (one, two) if form.spec.anchor == "previous" else (np.log([0.5]),) * 2
                extra = {k: np.ones(1) if "length" in k else (one if "chosen" in k else two) for k in form.optional}
                if form.arguments == GAP:
                    value = function(one - anchor[0] - two + anchor[1], np.array([q]), tau=TAU, **extra) / 2
                elif form.arguments[0] == "h_chosen":
                    value = q * function(one - anchor[0], two - anchor[1], tau=TAU, **extra)
                else:
                    arguments = (one, two, *anchor)[: len(form.arguments)]
                    value = q * function(*arguments, tau=TAU, **extra)
                total += float(np.sum(value)) / 4
    return total


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_the_optimum_is_the_one_found_by_hand(name: str) -> None:
    curve = curve_of(NAMED[name])
    for p in (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9):
        if name == "robust_dpo" and p in (0.1, 0.9):
            assert not np.isfinite(curve.at(p).best)
            continue
        # a numpy function's kink is placed to 1e-6/τ
        assert curve.at(p).best == pytest.approx(BY_HAND[name](p), abs=4e-6), p
        # canary: a preference that is off by .001 is told apart, but for the hinge, which does not see it
        assert name == "slic" or curve.at(p).best != pytest.approx(BY_HAND[name](p + 1e-3), abs=4e-6)


@pytest.mark.parametrize(
    "name", sorted(set(PAIRWISE) - set(BY_HAND) - {"rebel", "sppo_iterated", "apo_zero", "apo_down", "kto"})
)
def test_the_optimum_is_where_scipy_finds_the_lowest_risk(name: str) -> None:
    curve = curve_of(NAMED[name])
    for p in (0.3, 0.7):
        grid = np.linspace(-12, 12, 97)
        start = grid[int(np.argmin([risk(NAMED[name], d, p) for d in grid]))]
        found = minimize_scalar(
            lambda d, p=p: risk(NAMED[name], d, p), bounds=(start - 0.25, start + 0.25), method="bounded",
            options={"xatol": 1e-9},
        )  # fmt: skip
        assert curve.at(p).best == pytest.approx(found.x, abs=2e-5), p  # √ε of a value-only search, and kinks
        assert risk(NAMED[name], found.x + 1e-2, p) > found.fun  # canary: the risk is not flat there


@pytest.mark.parametrize("name", ["apo_zero", "kto", "apo_down", "rebel", "sppo_iterated"])
def test_losses_without_an_interior_optimum_have_none(name: str) -> None:
    curve = curve_of(NAMED[name])
    assert not np.isfinite(curve.at(0.8).best)
    if name not in ("rebel", "sppo_iterated"):  # those stand still against themselves: no risk to speak of
        values = [risk(NAMED[name], d, 0.8) for d in (1.0, 5.0, 10.0, 20.0)]
        assert values == sorted(values, reverse=True)


def test_closed_forms() -> None:
    told = {
        "dpo": "log(p/(1 - p))/tau",
        "ipo": "(p - 1/2)/tau",
        "cdpo": "log((1/10 + 4/5*p)/(9/10 - 4/5*p))/tau",
        "robust_dpo": "log((p - 1/10)/(9/10 - p))/tau",
        "exo_pair": "2*log(9)*(p - 1/2)/tau",
        "gpo_exponential": "1/2*log(p/(1 - p))/tau",
        "slic": "sign(p - 1/2)/tau",
        "discopop": None,
        "bco": None,
    }
    assert {name: closed_form(curve_of(NAMED[name])) for name in told} == told


def test_what_a_curve_says() -> None:
    said = {name: offline(curve_of(NAMED[name])) for name in ("dpo", "cdpo", "slic", "discopop", "robust_dpo")}
    assert {name: o["bounded"] for name, o in said.items()} == {
        "dpo": False, "cdpo": True, "slic": True, "discopop": False, "robust_dpo": False,
    }  # fmt: skip
    assert {name: o["unique_at_half"] for name, o in said.items()} == {
        "dpo": True, "cdpo": True, "slic": False, "discopop": False, "robust_dpo": True,
    }  # fmt: skip
    assert said["cdpo"]["at_certainty"] == pytest.approx(np.log(9) / TAU, abs=1e-9)
    assert said["slic"]["minimisers_at_half"] == pytest.approx([-1 / TAU, 1 / TAU], abs=4e-6)
    assert said["slic"]["dead_zones"] == [[0.05, 0.45], [0.55, 0.95]]
    assert said["discopop"]["tie"] == pytest.approx(0.482 / TAU, abs=1e-3)
    assert not said["robust_dpo"]["bounded_below"]
    assert said["dpo"]["bounded_below"]
    assert [said[n]["monotone"] for n in ("dpo", "slic")] == ["strictly", "weakly"]


def hinge(power: int, margin: float) -> Callable[..., Any]:
    return lambda h_chosen, h_rejected, *, tau: np.maximum(0, margin - tau * (h_chosen - h_rejected)) ** power


def test_chi_squared_dpo_ends_at_two_tau() -> None:
    """2s − 2(1 − s) = logit(p)/τ for the share s of the better of two: s = ½ + logit(p)/(4τ), if that is below 1."""
    curve = curve_of(NAMED["dpo_chi_squared"])
    for p in (0.3, 0.55, 0.7):
        assert curve.at(p).best == pytest.approx(logit(0.5 + logit(p) / (4 * TAU)), abs=4e-6)
    assert not np.isfinite(curve.at(0.75).best)  # logit(.75) = 1.099 > 2τ


def test_jeffreys_dpo_solves_its_own_equation() -> None:
    """d + sinh d = logit(p)/τ, one optimum at p = ½ and none for a certain preference: also where e^d, at τd of order
    one, is far larger than what happens near d = 0."""
    for tau in (0.02, 0.1, 1.0):
        curve = curve_of(NAMED["dpo_jeffreys"], tau)
        for p in (0.2, 0.5, 0.55, 0.9):
            best = curve.at(p).best
            assert best + np.sinh(best) == pytest.approx(logit(p) / tau, rel=1e-6, abs=1e-6), (tau, p)
        assert not curve.at(0.5).several, tau
        assert not np.isfinite(curve.at(1.0).best), tau


def test_a_flat_bottom_is_a_point_and_a_constant_risk_is_none() -> None:
    """(τd − (p − ½))⁴ has one optimum, though its slope is tiny around it;
    σ(−τd) has the risk ½ at p = ½ for every d."""
    for tau in (0.003, 0.5, 20.0):
        quartic = curve_of(lambda h_gap, p, *, tau: (tau * h_gap - (p - 0.5)) ** 4, tau)
        for p in (0.1, 0.5, 0.7):
            assert quartic.at(p).best == pytest.approx((p - 0.5) / tau, abs=2e-5 / tau), (tau, p)
            assert not quartic.at(p).several, (tau, p)
        share = curve_of(lambda h_chosen, h_rejected, *, tau: sigmoid(tau * (h_rejected - h_chosen)), tau)
        assert (share.at(0.5).low, share.at(0.5).high) == (-np.inf, np.inf), tau
        assert offline(share)["dead_zones"] == [], tau  # its optimum at p > ½ is at infinity: it does not stand still


def test_an_optimum_far_from_one_over_tau_is_found() -> None:
    """Losses that ignore τ, or square it, have their optimum beyond the first scan: 3(2p − 1) at τ = 20, and
    (p − ½)/τ² = 5.6e4 at τ = .003."""
    free = curve_of(lambda h_chosen, h_rejected, *, tau: (h_chosen - h_rejected - 3) ** 2, 20.0)
    squared = curve_of(lambda h_gap, p, *, tau: (tau**2 * h_gap - (p - 0.5)) ** 2, 0.003)
    for p in (0.1, 0.5, 0.95, 1.0):
        assert free.at(p).best == pytest.approx(3 * (2 * p - 1), abs=1e-6)
        assert squared.at(p).best == pytest.approx((p - 0.5) / 0.003**2, rel=1e-6, abs=1e-3)


def test_bounded_or_not_by_hand() -> None:
    """A certain preference: −log σ and whatever else falls for ever has no optimum, however fast it fades (e^(−e^d) for
    f-DPO); a hinge of any power ends at its margin."""
    tau, falling = 0.3, ("dpo_forward_kl", "dpo_alpha", "dpo_chi_squared", "gpo_savage", "wpo")
    for name in falling:
        assert not np.isfinite(curve_of(NAMED[name], tau).at(1.0).best), name
    for power in (1, 2, 4):
        for margin in (1.0, 14.0):
            best = curve_of(hinge(power, margin), tau).at(1.0).best
            # where its slope is 1e-9 of its steepest: ((margin + 2)³ · 1e-9)^(1/3) short of the margin
            assert best * tau == pytest.approx(margin, abs=2e-3 * (margin + 2)), (power, margin)

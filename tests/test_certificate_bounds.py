"""Certificates against the worst that their bounds allow: numbers moved by all of a stated error, units of rounding
that are large, and the theorems in fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.certificate import balls, certify, certify_ball, enclose_projection, floats, gap, lotteries, near, rounding
from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame

Array = NDArray[np.float64]


def test_margins_of_any_size_are_scaled_without_rounding() -> None:
    """Into [½, 1) by a power of two, the largest and the smallest doubles and stacks of games too."""
    for size in (1e308, 3.0, 1e-5, 1e-307, 5e-324):
        margins = np.array([[0.0, size], [-size, 0.0]])
        scaled, exponent = rounding.unit_scale(margins)
        assert 0.5 <= scaled.max() < 1
        assert [Fraction(v) * Fraction(2) ** int(exponent) for v in scaled.ravel().tolist()] == [
            Fraction(v) for v in margins.ravel().tolist()
        ]
    many, exponents = rounding.unit_scale(np.array([[[0.0, 6.0], [-6.0, 0.0]], [[0.0, 0.25], [-0.25, 0.0]]]))
    assert many.tolist() == [[[0.0, 0.75], [-0.75, 0.0]], [[0.0, 0.5], [-0.5, 0.0]]]
    assert exponents.tolist() == [3, -1]


def test_the_constant_of_a_sum_is_that_of_the_theorem() -> None:
    """γ_k = ku/(1 − ku), seen at a unit so large that the denominator matters."""
    assert rounding._gamma(2, 0.1) == pytest.approx(0.25, rel=1e-15)


def magnitudes(matrix: NDArray[Any]) -> list[list[Fraction]]:
    return [[abs(Fraction(v)) for v in row] for row in matrix.tolist()]


def times(matrix: list[list[Fraction]], vector: list[Fraction]) -> list[Fraction]:
    return [sum((m * v for m, v in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


@pytest.mark.parametrize("unit", [2.0**-53, 2.0**-9])
@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_the_error_of_a_solution_is_not_below_its_theorem(k: int, unit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """|R r| + c/(1 − c) ‖R r‖ with c ≥ ‖I − RM‖ and r ≥ |b − Mx̃|, each with γ_k for its rounding, in fractions.

    A unit of 1/512 stands for a machine on which the terms of rounding are not hidden by the factor for safety.
    """
    monkeypatch.setattr(rounding, "UNIT", unit)
    monkeypatch.setattr(rounding, "LONG_UNIT", unit)
    rng, seen = np.random.default_rng(k), 0
    gamma = k * Fraction(unit) / (1 - k * Fraction(unit))
    for _ in range(12):
        matrix, right = rng.uniform(0.5, 1, (k, k)) + 2 * k * np.eye(k), rng.uniform(-1, 1, k)
        for blur in (0.0, 0.01):
            found = rounding.solve(matrix, right, blur)
            if found is None:
                continue
            inverse = np.linalg.inv(matrix)
            size, norm = magnitudes(inverse), magnitudes(matrix)
            off = magnitudes(inverse @ matrix - np.eye(k))
            weighed = times(size, [sum(row, Fraction(0)) for row in norm])
            c = max(sum(row, Fraction(0)) + (gamma + Fraction(blur)) * w for row, w in zip(off, weighed, strict=True))
            x = [Fraction(float(v)) for v in found.x]
            exact = times([[Fraction(v) for v in row] for row in matrix.tolist()], x)
            reach = times(norm, [abs(v) for v in x])
            r = [abs(Fraction(b) - e) + (gamma + Fraction(blur)) * w
                 for b, e, w in zip(right.tolist(), exact, reach, strict=True)]  # fmt: skip
            moved = times(size, r)
            for one, error in zip(moved, found.error.tolist(), strict=True):
                # the product of R and r is taken with the safety factor, in place of a γ of its own
                assert Fraction(error) >= (one + c / (1 - c) * max(moved)) * (1 - Fraction(1, 10**12))
            seen += 1
    assert seen > 10


def adversary(rng: np.random.Generator, policy: near.Policy, advantage: Array, slack: float, tau: float) -> Any:
    """(KL, E|r̃|, E r̃², max|r̃|, osc r) for true numbers at the ends of the stated errors."""
    n = len(policy.pi)
    flow = rng.permutation([1.0, -1.0, *np.zeros(n - 2)])
    pi = policy.pi.astype(np.float64) + policy.error * flow
    h = policy.h.astype(np.float64) + policy.h_error * rng.choice([-1.0, 1.0], n)
    r = h - (advantage + slack * rng.choice([-1.0, 1.0], n)) / tau
    r = r - pi @ r
    return math.log1p(pi @ (np.expm1(-r) + r)), pi @ np.abs(r), pi @ r**2, np.abs(r).max(), np.ptp(r)


def best_bound(divergence: float, first: float, square: float, largest: float, spread: float) -> float:
    """The smallest of the bounds of N14, E3 and N18(c), the last one refined as often as it helps at all."""
    best = min(math.sqrt(2 * divergence), 2 * math.tanh(spread / 4), 2.0)
    while (better := n18(best, first, square, largest)) < best * (1 - 1e-9):
        best = better
    return best


def n18(u: float, first: float, square: float, largest: float) -> float:
    """(E|r̃| + uM/4 + √(E r̃² + uM²/4))/2."""
    return (first + u * largest / 4 + math.sqrt(square + u * largest**2 / 4)) / 2


@pytest.mark.parametrize("what", ["pi", "h", "advantage", "none"])
def test_near_an_equilibrium_the_bounds_hold_for_all_numbers_within_their_errors(what: str) -> None:
    """The policy, its log-ratios or the payoffs lie at the ends of errors as large as the residual itself; and no
    bound is twice as large as the worst of them needs."""
    rng = np.random.default_rng(1)
    sharpest = 0.0
    for k in range(40):
        n, tau, size = 2 + k % 3, float(rng.choice([0.25, 1.0, 4.0])), 1e-7
        share = rng.dirichlet(np.ones(n)) * 0.9 + 0.1 / n
        x = size * rng.choice([-1.0, 0.0, 1.0], n) if what != "h" or k % 2 else np.zeros(n)
        # a rare response whose h alone is unsure: there E|r̃| is nearly E|r| + |E r|
        unsure = size * (np.arange(n) == np.argmin(share) if k % 2 else np.ones(n))
        policy = near.Policy(
            share.astype(np.longdouble),
            (0.1 * share.min() if what == "pi" else 0.0) * np.ones(n),
            x.astype(np.longdouble),
            unsure if what == "h" else np.zeros(n),
        )
        slack = size * tau if what == "advantage" else 0.0
        advantage = np.zeros(n, dtype=np.longdouble)
        value, bound = near._judged(policy, advantage, slack, np.longdouble(tau))
        worst = [0.0, 0.0]
        for _ in range(30):
            numbers = adversary(rng, policy, advantage.astype(np.float64), slack, tau)
            worst = [max(worst[0], tau * numbers[0]), max(worst[1], best_bound(*numbers))]
        assert value >= worst[0] * (1 - 1e-9), k
        assert bound >= worst[1] * (1 - 1e-9), k
        sharpest = max(sharpest, worst[1] / bound if bound else 0.0)
    assert sharpest > {"none": 0.99, "h": 0.8}.get(what, 0.6)


def test_what_a_policy_and_a_product_may_be_off_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The products are off by γ_n max|A| and by what π is off; the final bound adds what π is off and what is printed.

    The errors of π are stated as large as its residual: a true π at their ends is as far from the printed policy.
    """
    rng = np.random.default_rng(2)
    judged = near._judged
    for n in (2, 3, 5):
        skew = np.triu(rng.uniform(-1, 1, (n, n)), 1)
        game, pi = PreferenceGame.from_margins(skew - skew.T), np.full(n, 1.0 / n)
        for error in (0.0, 1e-10):
            own = near.Policy(pi.astype(np.longdouble), np.full(n, error), np.zeros(n, np.longdouble), np.zeros(n))
            seen: list[float] = []

            def spy(*given: Any, seen: list[float] = seen) -> tuple[float, float]:
                seen.append(given[2])
                return 1e-12, 1e-12

            monkeypatch.setattr(near, "_judged", spy)
            monkeypatch.setattr(near, "_policy", lambda *_, own=own: own)
            for tau in (0.5, 0.1):  # a tenth has a second reading
                found = near.certified(game, np.log(pi), tau)
            assert found is not None
            assert len(seen) == 3
            lost, largest = n * error, float(game.margins.max())
            assert seen[0] >= largest * (n * rounding.LONG_UNIT + lost)
            assert seen[0] <= largest * (4 * (n + 2) * rounding.LONG_UNIT + 1.001 * lost) + 1e-290
            printed = np.abs(np.exp(np.log(pi)) - pi).sum()
            assert found.l1_bound >= 1e-12 + lost + printed
            assert found.l1_bound <= 1e-12 + lost + 4e-16 * n
    monkeypatch.setattr(near, "_judged", judged)


@pytest.mark.parametrize("given", [True, False])
def test_a_policy_and_its_log_ratios_are_within_their_errors(given: bool) -> None:
    """Of softmax(log π) and of log π − log μ in 200 bits; the errors are not below those of two exponentials, a sum
    of n and a quotient, and not a hundred times what occurs."""
    from flint import arb

    rng, worst = np.random.default_rng(3), [0.0, 0.0]
    for n in (2, 5, 40):
        mu = rng.dirichlet(np.ones(n))
        game = PreferenceGame.from_margins(np.zeros((n, n)), reference=mu if given else None)
        log_policy = np.log(rng.dirichlet(np.ones(n)))
        policy = near._policy(game, log_policy)
        assert policy is not None
        unit = rounding.LONG_UNIT
        assert np.all(policy.error >= policy.pi * (2 * rounding.EXP_ERROR + n) * unit)
        assert np.all(policy.error <= policy.pi * (2 * rounding.EXP_ERROR + n + 2) * unit * (1 + 1e-8) + 1e-299)
        with balls._precision(200):
            mass = [arb(v).exp() for v in log_policy.tolist()]
            total = balls._total(mass)
            true = [log - arb(m).log() for log, m in zip(map(arb, log_policy.tolist()), mu.tolist(), strict=True)]
            for k in range(n):
                pair = [(policy.pi[k], mass[k] / total, policy.error[k])]
                if given:
                    pair.append((policy.h[k], true[k], policy.h_error[k]))
                for place, (found, exact, error) in enumerate(pair):
                    off = abs(arb(float(found)) + arb(float(found - np.longdouble(float(found)))) - exact)
                    assert off <= arb(float(error))
                    worst[place] = max(worst[place], float((off / arb(float(error))).mid()))
    assert worst[0] > 0.01
    assert worst[1] > 0.01 or not given


def test_masses_below_the_smallest_double_are_within_their_errors() -> None:
    """e^−690 to e^−2000 beside 1: what is lost of them is covered by an error of its own, which is never negative."""
    log_policy = np.array([0.0, -690.0, -740.0, -800.0, -2000.0])
    policy = near._policy(PreferenceGame.from_margins(np.zeros((5, 5))), log_policy)
    assert policy is not None
    assert np.all(policy.error >= 4e-300)
    assert np.all(policy.error <= 1e-17)
    for found, log_mass, error in zip(policy.pi, log_policy.tolist(), policy.error.tolist(), strict=True):
        assert abs(float(found) - math.exp(log_mass)) <= error + 2e-16 * math.exp(log_mass)


def test_refinement_ends_where_a_further_one_gains_little() -> None:
    """N18(c): not below the smallest number that it can reach, and less than a tenth above what one more would give."""
    rng = np.random.default_rng(4)
    for _ in range(200):
        first, largest = 10.0 ** rng.uniform(-12, -1), 10.0 ** rng.uniform(-3, 0.3)
        square = first * largest * rng.uniform(0.01, 1)
        best = min(2.0, 10.0 ** rng.uniform(-6, 0.4))
        end = best
        for _ in range(1000):
            end = min(end, n18(end, first, square, largest))
        found = near.refined(best, first, square, largest)
        assert end <= found <= best
        assert n18(found, first, square, largest) >= 0.9 * found * (1 - 1e-9)


def test_lotteries_of_all_margins_within_the_blur_are_enclosed() -> None:
    """Three in a cycle and one outside, each margin moved by a hundredth: weights and payoffs in fractions."""
    margins = np.array([[0, 0.75, -0.5, 0.5], [-0.75, 0, 0.625, 0.25], [0.5, -0.625, 0, 0.75], [-0.5, -0.25, -0.75, 0]])
    blur, held = 0.01, np.array([True, True, True, False])
    found = lotteries.weights_and_payoffs(margins, held, blur)
    assert found is not None
    (x, error), (payoffs, loss) = found
    reach = np.zeros(2)
    for case in range(64):
        sign = [1 - 2 * (case >> k & 1) for k in range(6)]
        a, b, c = (Fraction(v) * (1 + s * Fraction(blur)) for v, s in zip((0.75, 0.5, 0.625), sign, strict=False))
        weights = [w / (a + b + c) for w in (c, b, a)]  # of the cycle 0 > 1 > 2 > 0 with margins a, c, b
        row = [Fraction(v) * (1 + s * Fraction(blur)) for v, s in zip((-0.5, -0.25, -0.75), sign[3:], strict=True)]
        won = sum((v * w for v, w in zip(row, weights, strict=True)), Fraction(0))
        off = [abs(float(w - Fraction(float(v)))) for w, v in zip(weights, x, strict=True)]
        assert np.all(np.array(off) <= error)
        assert abs(float(won - Fraction(float(payoffs[0])))) <= loss[0]
        reach = np.maximum(reach, [max(off) / error.max(), abs(float(won - Fraction(float(payoffs[0])))) / loss[0]])
    assert np.all(reach > 0.2)  # canary: a fifth of the bounds would leave some of them out


def test_the_text_of_a_short_number_is_the_double() -> None:
    """Multiples of 1/1024 up to a million are printed exactly; any other number is within what is allowed for."""
    rng = np.random.default_rng(5)
    whole = np.concatenate([rng.integers(0, 10**9, 200), [10**9 - 1, 2**29 + 1, 1, 0]]) / 1024.0
    others = 10.0 ** rng.uniform(-320, 12, 400)
    assert np.all(rounding.printed(whole) == 0)
    for x, reach in [(v, 0.0) for v in whole.tolist()] + list(zip(others.tolist(), rounding.printed(others),
                                                                  strict=True)):  # fmt: skip
        assert abs(Fraction(repr(x)) - Fraction(x)) <= Fraction(float(reach))


def test_every_certificate_with_all_rounding_enclosed_says_so() -> None:
    """By whole arrays and in balls, near and far, of an equilibrium, of a lottery and of a projection."""
    cycle = PreferenceGame.from_margins([[0, 0.3, -0.1], [-0.3, 0, 0.2], [0.1, -0.2, 0]])
    there, lottery = regularised_nash(cycle, 0.3).log_policy, np.log([1 / 3, 1 / 6, 1 / 2])
    with balls._precision(balls.BITS):
        slow = balls._enclosed(cycle, lottery)
    tie, half = PreferenceGame.from_margins([[0, 0], [0, 0]]), [Fraction(1, 2)] * 2
    found = [
        near.certified(cycle, there, 0.3),
        balls._certified(cycle, there, 0.3),
        certify_ball(cycle, lottery, 0.3),
        lotteries.enclosed(cycle, lottery),
        slow,
        enclose_projection(tie, np.log([0.5, 0.5]), half, [Fraction(0)] * 2),
    ]
    assert [(one.kind, one.rigorous) for one in found if one is not None] == [("ball", True)] * 6
    one = certify(cycle, lottery, 0.3)
    assert (one.kind, one.rigorous) == ("float", False)


@pytest.mark.parametrize("policy", [[0.5, 0.3, 0.2], [0.6, 0.4, 0.0]], ids=["full", "a response left out"])
def test_a_policy_that_is_not_normalised_is_judged_as_its_softmax(policy: list[float]) -> None:
    """By its gap; its bound grows by what the printed numbers lie away from it."""
    game = PreferenceGame.from_margins([[0, 0.3, -0.1], [-0.3, 0, 0.2], [0.1, -0.2, 0]], reference=[0.2, 0.3, 0.5])
    with np.errstate(divide="ignore"):
        log_policy = np.log(policy)
    plain, larger = (certify_ball(game, log_policy + shift, 0.3) for shift in (0.0, 0.25))
    reply = np.log([0.2, 0.3, 0.5]) + game.margins @ policy / 0.3
    held = np.array(policy) > 0
    known = 0.3 * (np.array(policy)[held] @ (log_policy - reply)[held] + np.logaddexp.reduce(reply))
    assert plain.exploitability == pytest.approx(known, rel=1e-12)
    assert larger.exploitability == pytest.approx(known, rel=1e-12)
    assert larger.l1_bound == pytest.approx(min(plain.l1_bound + math.expm1(0.25), 1 + math.exp(0.25)), rel=1e-6)


def test_padding_takes_no_part_in_a_gap_of_any_size() -> None:
    """A prompt with a response that it lacks has the gap that it has alone, also where the residual is huge."""
    margins = np.array([[0.0, 0.5, 0.0], [-0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    mu, policy = np.log([0.4, 0.6]), np.log([0.1, 0.9])
    for tau in (1.0, 1e-4):  # r/τ of 5,000 takes the other branch
        alone = gap(margins[:2, :2] @ np.exp(policy), mu, policy, tau)
        padded = gap(margins @ [0.1, 0.9, 0], np.append(mu, -np.inf), np.append(policy, -np.inf), tau)
        assert 0 < alone == padded
    assert floats.TAME < 0.9 * 0.5 / 1e-4

"""Small faults that a sound-looking answer can hide: tests for lines that others run without looking at closely."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nashlab import certify
from nashlab.certificate import (
    balls,
    certify_ball,
    enclose_lottery,
    enclose_projection,
    exploitability,
    rounding,
)
from nashlab.certificate import certify as certify_in_floats
from nashlab.certify import CertifyError, certify_answer, numbers
from nashlab.certify.faces import every_vertex
from nashlab.equilibrium import lottery_batch, maximal_lottery, regularised_nash
from nashlab.equilibrium.projection import project
from nashlab.game import PreferenceGame
from nashlab.solution import promised

Array = NDArray[np.float64]

# -- a-priori bounds of rounding -------------------------------------------------------------------------------------


def exact(x: np.longdouble) -> Fraction:
    high = float(x)
    return Fraction(high) + Fraction(float(x - np.longdouble(high)))


def test_the_unit_roundoffs_are_those_of_the_machine() -> None:
    for one, unit in ((np.float64(1), rounding.UNIT), (np.longdouble(1), rounding.LONG_UNIT)):
        # a tie goes to the even neighbour, 1; anything above it does not
        assert one + type(one)(unit) == one
        assert one + type(one)(unit * 1.001) > one


@pytest.mark.parametrize("k", [1, 2, 3])
def test_short_products_are_enclosed_tightly(k: int) -> None:
    rng = np.random.default_rng(k)
    worst = Fraction(0)
    for _ in range(300):
        row, v = rng.uniform(0.5, 1, (1, k)), rng.uniform(0.5, 1, k).astype(np.longdouble) / 3
        values, errors = rounding.product(row, v)
        true = sum((Fraction(float(a)) * exact(x) for a, x in zip(row[0], v, strict=True)), Fraction(0))
        off, bound = abs(exact(values[0]) - true), Fraction(float(errors[0]))
        assert off <= bound
        worst = max(worst, off / bound)
    assert worst > Fraction(1, 10)  # canary: a tenth of the bound is not enough


def solution(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """By Cramer's rule, for orders 1 and 2."""
    if len(matrix) == 1:
        return [right[0] / matrix[0][0]]
    (a, b), (c, d) = matrix
    determinant = a * d - b * c
    return [(right[0] * d - b * right[1]) / determinant, (a * right[1] - c * right[0]) / determinant]


@pytest.mark.parametrize(
    "matrix", [[[2.0]], [[2.0, 1.0], [-1.0, 3.0]], [[0.0, 1.0], [1.0, 1.0]], [[5.0, 4.0], [1.0, 1.5]]], ids=str
)
def test_every_matrix_within_the_blur_has_its_solution_in_the_enclosure(matrix: list[list[float]]) -> None:
    k, blur = len(matrix), 0.02
    right = [1.0, -0.5][:k]
    found = rounding.solve(np.array(matrix), np.array(right), blur)
    assert found is not None
    reach = np.zeros(k)
    for signs in itertools.product((-1, 0, 1), repeat=k * k):
        moved = [
            [Fraction(x) * (1 + s * Fraction(blur)) for x, s in zip(row, signs[i * k :], strict=False)]
            for i, row in enumerate(matrix)
        ]
        true = solution(moved, [Fraction(v) for v in right])
        off = [abs(t - exact(x)) for t, x in zip(true, found.x, strict=True)]
        assert all(o <= Fraction(float(e)) for o, e in zip(off, found.error, strict=True)), signs
        reach = np.maximum(reach, [float(o) for o in off])
    # canary: half of the largest error would leave some of them out
    assert np.max(reach) > 0.5 * np.max(found.error)


def test_a_tie_with_the_winner_is_no_proof_of_uniqueness() -> None:
    # one response with all mass has the exact weight 1 in balls too, and the one that ties with it exactly 0
    winner = np.array([0.0, -np.inf, -np.inf])
    tied = PreferenceGame.from_margins([[0, 0, 1], [0, 0, 1], [-1, -1, 0]])
    assert enclose_lottery(tied, winner) is None
    alone = PreferenceGame.from_margins([[0, 1, 1], [-1, 0, 1], [-1, -1, 0]])
    assert enclose_lottery(alone, winner) is not None


def test_a_gap_below_the_rounding_of_one_keeps_its_digits() -> None:
    # a mass of 1e-15 is at half its weight, r = log ½ there: G/τ = 1e-15 (1 - log 2) lies far below the rounding of
    # the numbers around 16 whose difference it is
    from flint import arb, ctx

    tau, log_pi = 0.01, np.log([1 - 1e-15, 1e-15])
    mu = np.array([1.0, 2e-15 * math.exp(50)])
    game = PreferenceGame.from_margins([[0, 0.5], [-0.5, 0]], reference=mu / mu.sum())
    before, ctx.prec = ctx.prec, 300
    try:
        pi = [arb(float(x)).exp() for x in log_pi]
        pi = [p / (pi[0] + pi[1]) for p in pi]
        won = [pi[1] / 2, -pi[0] / 2]
        r = [p.log() - arb(float(m)) - w / arb(tau) for p, m, w in zip(pi, game.log_reference, won, strict=True)]
        tilted = sum((p * (-x).exp() for p, x in zip(pi, r, strict=True)), arb(0)).log()
        true = tau * float((tilted + sum((p * x for p, x in zip(pi, r, strict=True)), arb(0))).mid())
    finally:
        ctx.prec = before
    assert true == pytest.approx(tau * 1e-15 * (1 - math.log(2)), rel=1e-3, abs=0)
    assert float(exploitability(game, log_pi, tau)) == pytest.approx(true, rel=1e-6, abs=0)


# -- the verifier's rows, one at a time ------------------------------------------------------------------------------

CYCLE = [["0", "1/2", "-1/2"], ["-1/2", "0", "1/2"], ["1/2", "-1/2", "0"]]
EVEN = {"tau": "0", "margins_exact": CYCLE, "policy": ["0.3333333333333333"] * 3}


def held(answer: dict[str, Any]) -> dict[str, bool | None]:
    """What the verifier says of each thing that it looks at."""
    return {what: holds for what, holds, _ in certify_answer(answer)}


def test_a_negative_probability_is_seen_among_others() -> None:
    assert held(EVEN)["no probability is negative"] is True
    assert held({**EVEN, "policy": ["0.6", "0.6", "-0.2"]})["no probability is negative"] is False


@pytest.mark.parametrize(("off", "holds"), [("0.9e-9", True), ("1.1e-9", False)])
def test_probabilities_may_miss_1_by_a_billionth(off: str, holds: bool) -> None:
    moved = str(Fraction(1, 3) + Fraction(off))
    for name in ("policy", "log_policy"):
        values = [moved, "1/3", "1/3"]
        answer = {**EVEN, "policy": values} if name == "policy" else {
            **EVEN, "policy": None, "log_policy": [repr(math.log(Fraction(v))) for v in values]
        }
        assert held(answer)[f"the probabilities of {name} sum to 1"] is holds


def test_a_policy_is_the_exponential_of_its_logarithms_to_two_roundings() -> None:
    logs = [repr(math.log(1 / 3))] * 3
    same = held({**EVEN, "log_policy": logs})
    assert same["policy is exp(log_policy)"] is True
    # a tolerance of 2⁻⁴⁹ (1 + |log p|), relative: 1.2e-15 here
    moved = [repr(math.log(1 / 3) + 3e-14)] * 3
    assert held({**EVEN, "log_policy": moved})["policy is exp(log_policy)"] is False
    gone = held({**EVEN, "log_policy": [logs[0], logs[0], None]})
    assert gone["policy is exp(log_policy)"] is False


@pytest.mark.parametrize(
    ("stated", "holds"),
    [("1e-15", True), ("2", True), ("2.000001", False), ("-1e-30", False), ("1e-18", False)],
)
def test_a_stated_bound_lies_between_what_is_proved_and_two(stated: str, holds: bool) -> None:
    # an exact third is 1.9e-17 away from each of its doubles
    answer = {**EVEN, "policy_exact": ["1/3"] * 3, "certificate": {"l1_bound": stated, "kind": "rational",
                                                                   "rigorous": True}}
    assert held(answer)["‖policy − exact policy‖₁ is at most the stated bound"] is holds


@pytest.mark.parametrize(
    ("stated", "holds"),
    [("0.1", True), ("0.10000000005", True), ("0.2", False), ("0.0999", False), ("-0.1", False), ("0.1002", False)],
)
def test_a_stated_exploitability_is_an_upper_bound_and_no_loose_one(stated: str, holds: bool) -> None:
    # (0.4, 0.4, 0.2) loses 0.1 to the second response and 0 to the third
    answer = {**EVEN, "policy": ["0.4", "0.4", "0.2"], "exploitability": stated}
    assert held(answer)["exploitability is what the answer states"] is holds


# -- the bounds of τ > 0, in the verifier and in ball arithmetic, against the formulas in float64 ---------------------


def three_bounds(a: Array, mu: Array, tau: float, log_policy: Array) -> tuple[float, float, float]:
    """(2 tanh(osc r/4), √(2G/τ), N18(c) iterated from 2), for π = softmax(log_policy)."""
    pi = np.exp(log_policy - np.logaddexp.reduce(log_policy))
    r = log_policy - np.log(mu) - a @ pi / tau
    r -= pi @ r
    size, first, second = np.max(np.abs(r)), pi @ np.abs(r), pi @ r**2
    u = 2.0
    for _ in range(200):
        u = min(u, (first + u * size / 4 + np.sqrt(second + u * size**2 / 4)) / 2)
    return 2 * float(np.tanh(np.ptp(r) / 4)), math.sqrt(2 * math.log(pi @ np.exp(-r))), float(u)


def some_policies(count: int) -> Iterator[tuple[Array, Array, float, Array]]:
    """(A, μ, τ, log π): games of two to five responses, from near their equilibrium to far away, lopsided and not."""
    rng = np.random.default_rng(5)
    for k in range(count):
        n = int(rng.integers(2, 6))
        whole = np.triu(rng.integers(-9, 10, (n, n)), 1) / 20
        mu = rng.dirichlet(np.full(n, 1.0 if k % 2 else 0.3)) * 0.999 + 0.001 / n
        game = PreferenceGame.from_margins(whole - whole.T, reference=mu)
        tau = float(rng.choice([0.05, 0.3, 2.0]))
        near = regularised_nash(game, tau).log_policy + 10.0 ** rng.uniform(-6, 0.7) * rng.normal(size=n)
        yield game.margins, game.reference, tau, near - np.logaddexp.reduce(near)


def test_the_bounds_of_a_policy_are_those_of_the_formulas() -> None:
    name = "‖policy − equilibrium‖₁ is at most the stated bound"
    smallest, judged = set(), {True: 0, False: 0}
    for a, mu, tau, log_policy in some_policies(60):
        three = three_bounds(a, mu, tau, log_policy)
        bound = min(*three, 2.0)
        smallest.add(int(np.argmin([*three, 2.0])))
        game = PreferenceGame.from_margins(a, reference=mu)
        ball = certify_ball(game, log_policy, tau).l1_bound
        floats = float(certify_in_floats(game, log_policy, tau).l1_bound)
        assert floats == pytest.approx(min(*three[:2], 2.0), rel=1e-3, abs=1e-8)
        # N18(c) stops being iterated where a round gains less than a tenth
        assert bound * (1 - 1e-9) <= ball <= bound * 1.12 + 1e-14
        answer = {
            "tau": repr(tau),
            "margins_exact": [[str(Fraction(x)) for x in row] for row in a.tolist()],
            "reference": [repr(x) for x in mu.tolist()],
            "log_policy": [repr(x) for x in log_policy.tolist()],
        }
        for factor, holds in ((1 + 1e-7, True), (1 - 1e-7, False)):
            # what is printed adds its own rounding, an amount of 1e-16
            stated = {"l1_bound": repr(min(bound * factor + 1e-15 * holds, 2.0))}
            if bound > 1e-7 and (holds or bound < 2):
                assert held({**answer, "certificate": stated})[name] is holds, (three, factor)
                judged[holds] += 1
    assert {0, 1, 2} <= smallest  # each of the three is the best somewhere
    assert min(judged.values()) > 40  # of 60


def test_the_gap_in_balls_and_in_the_verifier_is_that_of_the_formula() -> None:
    for a, mu, tau, log_policy in some_policies(30):
        pi = np.exp(log_policy)
        reply = np.log(mu) + a @ pi / tau
        gap = tau * float(pi @ (log_policy - reply) + np.logaddexp.reduce(reply))
        game = PreferenceGame.from_margins(a, reference=mu)
        found = certify_ball(game, log_policy, tau).exploitability
        assert gap - 1e-13 <= found <= gap * (1 + 1e-9) + 1e-13
        answer = {
            "tau": repr(tau),
            "margins_exact": [[str(Fraction(x)) for x in row] for row in a.tolist()],
            "reference": [repr(x) for x in mu.tolist()],
            "log_policy": [repr(x) for x in log_policy.tolist()],
        }
        less, more = gap * (1 - 1e-5) - 1e-12, gap * (1 + 1e-8) + 1e-12
        for stated, holds in ((more, True), (less, False), (2 * gap + 1, False)):
            assert held({**answer, "exploitability": repr(stated)})["exploitability is what the answer states"] is holds


# -- projections -----------------------------------------------------------------------------------------------------


def test_the_float_projection_ends_on_a_binding_inequality() -> None:
    # three ties with x₀ ≥ x₁ and μ on the other side: the two share the geometric mean of their references
    mu, slack = np.array([0.2, 0.5, 0.3]), np.array([[1.0, -1.0, 0.0]])
    known = np.array([math.sqrt(0.1), math.sqrt(0.1), 0.3])
    found = project(np.array([0.5, 0.2, 0.3]), np.eye(3), slack, mu)
    assert np.abs(found - known / known.sum()).max() <= 1e-13


# -- words that follow from numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", ["1/2", "3", "1/10000000"])
@pytest.mark.parametrize("tau", ["0", "1e-12", "1e-9", "1e-6", "1e-4", "0.003", "1", "1000"])
def test_both_sides_promise_the_same_bound(tau: str, largest: str) -> None:
    effective = float(Fraction(tau) / (2 * Fraction(largest)))
    assert float(certify._promised(Fraction(tau), Fraction(largest))) == pytest.approx(
        float(promised(effective)), rel=1e-9, abs=0
    )


@pytest.mark.parametrize(
    ("bound", "status", "holds"),
    [
        ("0.999e-12", "converged", True),
        ("1.001e-12", "converged", False),
        ("0.999e-12", "stalled", False),
        ("1.001e-12", "stalled", True),
        ("1e-12", "stalled", True),  # on the very limit either word will do
        ("1e-12", "converged", True),
        ("0.999e-12", "exact", False),
        (None, "stalled", True),
        (None, "converged", False),
    ],
)
def test_the_status_follows_from_the_bound(bound: str | None, status: str, holds: bool) -> None:
    third = repr(math.log(1 / 3))
    answer = {"tau": "0.5", "margins_exact": CYCLE, "log_policy": [third] * 3, "status": status,
              "certificate": {"l1_bound": bound, "kind": "ball" if bound else "float", "rigorous": bool(bound)}}
    assert held(answer)["the status follows from the bound"] is holds


@pytest.mark.parametrize(
    ("kind", "rigorous", "bound", "holds"),
    [
        ("ball", True, "1e-14", True),
        ("ball", False, "1e-14", False),
        ("float", True, "1e-14", False),
        ("float", False, "1e-14", False),
        ("float", False, None, True),
        ("ball", True, None, False),
        ("rational", True, "1e-14", False),
    ],
)
def test_the_kind_of_a_certificate_is_that_of_the_answer(
    kind: str, rigorous: bool, bound: str | None, holds: bool
) -> None:
    answer = {"tau": "0.5", "margins_exact": CYCLE, "log_policy": [repr(math.log(1 / 3))] * 3,
              "certificate": {"l1_bound": bound, "kind": kind, "rigorous": rigorous}}
    assert held(answer)["the kind of certificate is that of the answer"] is holds


@pytest.mark.parametrize(
    ("reference", "exact", "holds"),
    [
        (["0.25", "0.25", "0.5"], ["1/4", "1/4", "1/2"], True),
        (["0.25", "0.25", "0.5000000000001"], ["1/4", "1/4", "1/2"], False),
        (["0.25", "0.25", "0.5"], ["1/4", "1/4", "50000001/100000000"], False),
        (["0.3", "0.3", "0.4"], ["3/10", "3/10", "2/5"], True),
        (["0.3", "0.4", "0.3"], ["3/10", "3/10", "2/5"], False),
    ],
)
def test_a_reference_and_its_exact_form_are_one(reference: list[str], exact: list[str], holds: bool) -> None:
    seen = held({**EVEN, "reference": reference, "reference_exact": exact})
    assert seen["reference and reference_exact are one policy"] is holds


@pytest.mark.parametrize("reference", [["0.5", "0.5", "0"], ["0.6", "0.6", "-0.2"], ["0.5", "0.3", "0.20001"]])
def test_a_reference_that_is_no_policy_is_refused(reference: list[str]) -> None:
    with pytest.raises(CertifyError, match="must be positive and sum to 1"):
        certify_answer({**EVEN, "reference": reference})


# -- batches ---------------------------------------------------------------------------------------------------------


def test_batches_leave_nearly_singular_supports_to_the_careful_solver() -> None:
    # a cycle of clones that differ by 1e-10 inside a cycle: float64 knows their shares to six digits only
    rng = np.random.default_rng(0)

    def cycle() -> Array:
        a, b, c = rng.uniform(0.1, 0.5, 3)
        return np.array([[0, a, -b], [-a, 0, c], [b, -c, 0]])

    clones = [0, 0, 0, 1, 2]
    games = np.stack([cycle()[np.ix_(clones, clones)] for _ in range(30)])
    games[:, :3, :3] = [1e-10 * cycle() for _ in range(30)]
    for margins, policy in zip(games, lottery_batch(games), strict=True):
        careful = maximal_lottery(PreferenceGame.from_margins(margins)).policy
        assert np.abs(policy - careful).sum() <= 1e-12


# -- enclosures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [True, False])
def test_enclosures_of_lotteries_hold_the_exact_weights_and_losses(exact: bool) -> None:
    rng = np.random.default_rng(4)
    seen = 0
    for _ in range(60):
        n = int(rng.integers(3, 8))
        whole = np.triu(rng.integers(-50, 51, (n, n)), 1)
        # sevenths of large and small numbers are no doubles, so the doubles of an exact game are off by half a unit
        rows = [[Fraction(int(v), 7 * 10**3) for v in row] for row in whole - whole.T]
        game = PreferenceGame.from_margins(rows if exact else [[float(v) for v in row] for row in rows])
        truth = maximal_lottery(game, exact=True)
        if not truth.unique or truth.policy_exact is None:
            continue
        x = truth.policy_exact
        support = np.array([i for i in range(n) if x[i] > 0])
        margins = game.exact or [[Fraction(v) for v in row] for row in game.margins.tolist()]
        unit = Fraction(2) ** -int(np.frexp(np.max(game.margins))[1])
        lost = [sum((unit * margins[i][j] * x[j] for j in range(n)), Fraction(0)) for i in range(n) if x[i] == 0]
        with balls._precision(balls.BITS):
            for solve in (balls._solved_by_inverse, balls._solved_in_balls):
                found = solve(game, support)
                assert found is not None
                for ball, true in zip([*found[0], *found[1]], [*(x[i] for i in support), *lost], strict=True):
                    assert ball.contains(balls._exactly(true))
                    assert float(ball.rad()) < 1e-12
                seen += 1
    assert seen > 40


def test_large_products_of_doubles_hold_the_exact_ones() -> None:
    from flint import arb

    rng = np.random.default_rng(6)
    n = balls.IN_BALLS + 6
    whole = np.triu(rng.normal(size=(n, n)), 1)
    game = PreferenceGame.from_margins(whole - whole.T)
    with balls._precision(balls.BITS):
        pi = [arb(float(v)) / 3 for v in rng.dirichlet(np.ones(n)) * 3]  # thirds: no doubles
        found = balls._advantage(game, pi)
        for row, ball in zip(game.margins.tolist(), found, strict=True):
            true = balls._total([arb(a) * p for a, p in zip(row, pi, strict=True)])
            assert ball.contains(true.mid())
            assert 0 < float(ball.rad()) < 1e-15


def test_the_distance_of_what_is_printed_is_that_of_its_readings() -> None:

    with balls._precision(balls.BITS):
        # 0.1 is the text of a double that is 5.6e-18 above a tenth
        double, text = balls._readings(0.1)
        assert (double - text).abs_lower() > 5e-18
        assert balls._printed(0.1).contains(double)
        assert balls._printed(0.1).contains(text)
        assert len(balls._readings(0.5)) == 1
        assert balls._printed(0.5).is_exact()


@given(st.floats(-800, 0) | st.floats(0, 1) | st.sampled_from([5e-324, 2.0**-1074, 1 / 1024, 1023 / 1024, 1e-308]))
def test_a_printed_number_s_ball_holds_the_double_and_its_text(x: float) -> None:
    from flint import arb, fmpq

    with balls._precision(balls.BITS):
        ball = balls._printed(x)
        for reading in (Fraction(x), Fraction(repr(x))):
            assert ball.contains(arb(fmpq(reading.numerator, reading.denominator)).mid())
        assert float(ball.rad()) <= max(math.ulp(x) * 0.5000001, math.ulp(0.0))


def test_the_printed_policy_s_readings() -> None:
    from flint import arb

    with balls._precision(balls.BITS):
        log_policy = np.array([math.log(0.25), math.log(0.75), -math.inf])
        truth = [arb(1) / 2, arb(1) / 4, arb(1) / 4]
        printed = balls._forms(log_policy)
        assert float(balls._total(balls._apart(printed, truth)).mid()) == pytest.approx(1.0, abs=1e-15)
        assert 2 <= balls._trivial(printed) < 2 + 1e-14
    assert balls._bits(np.array([3.0])) == balls.BITS + 2
    assert balls._bits(np.array([-(2.0**100)])) == balls.BITS + 101


# -- the verifier's numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "ratios", "sign"),
    [
        ((1, -2), (10**40, 10**20), 0),
        ((1, -2), (10**40 + 1, 10**20), None),  # 1e-40 from 0: below what is told apart, and not 0
        ((1, -2), (10**20 + 1, 10**10), 1),
        ((1, -2), (10**20 - 1, 10**10), -1),
        ((1, 1), (Fraction(2, 3), Fraction(3, 2)), 0),
        ((2, -1, -1), (6, 4, 9), 0),
        ((0, 1), (5, 1), 0),
        ((Fraction(1, 10**40),), (2,), None),
        ((1,), (Fraction(1, 7),), -1),
    ],
)
def test_signs_of_sums_of_logarithms(weights: Any, ratios: Any, sign: int | None) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = [Fraction(r) for r in ratios]
        logs = [numbers.decimal(r).ln() for r in exact]
        found = numbers.logarithms([Fraction(w) for w in weights], exact, logs, Decimal("1e-30"))
    assert found == sign


def test_too_many_factors_are_not_taken_apart() -> None:
    primes = [p for p in range(2, 600) if all(p % d for d in range(2, p))]
    for count, found in ((60, 0), (90, None)):
        ratios = [Fraction(p) for p in primes[:count]]
        both = [*ratios, *(1 / r for r in ratios)]
        logs = [numbers.decimal(r).ln() for r in both]
        assert numbers.logarithms([Fraction(1)] * len(both), both, logs, Decimal("1e-20")) == found


def test_ranks_of_rectangles_and_of_rows_that_must_change_places() -> None:
    assert numbers.rank([]) == 0
    for rows, known in (
        ([[0, 1, 2], [3, 4, 5]], 2),
        ([[0, 0], [0, 0], [0, 1]], 1),
        ([[1, 2, 3], [2, 4, 6], [1, 1, 1], [0, 1, 2]], 2),
        ([[0, 0, 1], [0, 1, 0], [1, 0, 0]], 3),
        ([["1/2", "1/3"], ["3/4", "1/2"]], 1),
    ):
        assert numbers.rank([[Fraction(v) for v in row] for row in rows]) == known  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "1e1000", "0x1", "1_000", "١", "1/0", "nan", "--1", "1/-2", "e5"])
def test_what_is_no_number_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(CertifyError, match=r"^here"):
        numbers.exact(text, "here")


@pytest.mark.parametrize(
    ("text", "value"),
    [(" 5 ", 5), ("-.5", "-1/2"), ("+2.", 2), ("1E3", 1000), ("7/21", "1/3"), (3, 3), ("1e-999", None)],
)
def test_numbers_are_what_their_text_says(text: Any, value: Any) -> None:
    known = Fraction(1, 10**999) if value is None else Fraction(value)
    assert numbers.exact(text, "here") == known


def test_the_safety_factor_covers_sums_of_a_million_terms() -> None:
    assert rounding.ABOVE - 1 >= 10**6 * 2 * rounding.UNIT


def test_one_good_row_does_not_vouch_for_the_others() -> None:
    # the first row stands alone; the other two are singular for some matrix within the blur
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.001]])
    assert rounding.solve(matrix, np.ones(3), blur=1e-2) is None
    assert rounding.solve(matrix, np.ones(3), blur=1e-6) is not None


def test_refinement_that_is_cut_short_leaves_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    a, mu, tau, log_policy = next(case for case in some_policies(60) if np.argmin(three_bounds(*case)) == 2)
    game = PreferenceGame.from_margins(a, reference=mu)
    whole = certify_ball(game, log_policy, tau).l1_bound
    monkeypatch.setattr(balls, "REFINEMENTS", 1)
    assert whole < certify_ball(game, log_policy, tau).l1_bound <= min(*three_bounds(a, mu, tau, log_policy)[:2])


def test_the_bound_of_a_projection_adds_what_the_point_and_the_print_are_off() -> None:
    third = Fraction(1, 3)
    tie = PreferenceGame.from_margins([[0, 0], [0, 0]], reference=[third, 1 - third])
    nothing = [Fraction(0)] * 2
    moved = np.log([1 / 3 + 1e-3, 2 / 3 - 1e-3])
    found = enclose_projection(tie, moved, [third, 1 - third], nothing)
    assert found.l1_bound == pytest.approx(2e-3, rel=1e-9, abs=0)
    # a point that is not the projection: its residual log(x/μ) spreads by g, and √(2g) is added
    x = [Fraction(34, 100), Fraction(66, 100)]
    spread = math.log(0.34 * 3) - math.log(0.66 * 1.5)
    off = 2 * (0.34 - 1 / 3 - 1e-3)
    assert enclose_projection(tie, moved, x, nothing).l1_bound == pytest.approx(math.sqrt(2 * spread) + off, rel=1e-9)


def test_vertices_do_not_depend_on_the_scale_of_the_margins() -> None:
    # four ties, of which the last two may weigh at most half and a third of what the first weighs
    whole = np.zeros((6, 6), dtype=int)
    whole[4, :4], whole[5, :4] = (-1, 0, 2, 0), (-1, 0, 0, 3)
    whole = whole - whole.T
    known = every_vertex([[Fraction(int(v)) for v in row] for row in whole], range(4))
    assert known is not None
    assert (Fraction(2, 3), 0, Fraction(1, 3), 0, 0, 0) in known
    assert every_vertex([[Fraction(int(v), 7) for v in row] for row in whole], range(4)) == known


def test_a_cut_of_many_ties_is_enumerated() -> None:
    # 22 ties, and one response that half of them beat: 11 corners stay, 121 edges are cut
    row = [Fraction(v) for v in [1] * 11 + [-1] * 11 + [0]]
    margins = [[Fraction(0)] * 22 + [-v] for v in row[:-1]] + [row]
    found = every_vertex(margins, range(22))  # type: ignore[arg-type]
    assert found is not None
    assert len(found) == 11 + 121

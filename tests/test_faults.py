"""Small faults that a sound-looking answer can hide, of solvers and enclosures: for lines that others run unseen."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nashlab.certificate import balls, enclose_lottery, enclose_projection, exploitability, lotteries, rounding
from nashlab.equilibrium import lottery_batch, maximal_lottery
from nashlab.equilibrium.projection import project
from nashlab.game import PreferenceGame

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


# -- projections -----------------------------------------------------------------------------------------------------


def test_the_float_projection_ends_on_a_binding_inequality() -> None:
    # three ties with x₀ ≥ x₁ and μ on the other side: the two share the geometric mean of their references
    mu, slack = np.array([0.2, 0.5, 0.3]), np.array([[1.0, -1.0, 0.0]])
    known = np.array([math.sqrt(0.1), math.sqrt(0.1), 0.3])
    found = project(np.array([0.5, 0.2, 0.3]), np.eye(3), slack, mu)
    assert np.abs(found - known / known.sum()).max() <= 1e-13


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


def in_arrays(game: PreferenceGame, support: np.ndarray) -> tuple[list[Any], list[Any]] | None:
    """The weights and the payoffs of the others as balls, from the enclosure by whole arrays."""
    from flint import arb

    def ball(value: np.longdouble, error: float) -> Any:
        return arb(float(value), error) + arb(float(value - np.longdouble(float(value))))

    margins, _ = rounding.unit_scale(game.margins)
    blur = 0.0 if game.exact is None else rounding.UNIT
    found = lotteries.weights_and_payoffs(margins, np.isin(np.arange(game.n), support), blur)
    return found and tuple([ball(v, e) for v, e in zip(*pair, strict=True)] for pair in found)


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
            for solve in (in_arrays, balls._solved):
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


def test_the_safety_factor_covers_sums_of_a_million_terms() -> None:
    assert rounding.ABOVE - 1 >= 10**6 * 2 * rounding.UNIT


def test_one_good_row_does_not_vouch_for_the_others() -> None:
    # the first row stands alone; the other two are singular for some matrix within the blur
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.001]])
    assert rounding.solve(matrix, np.ones(3), blur=1e-2) is None
    assert rounding.solve(matrix, np.ones(3), blur=1e-6) is not None


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

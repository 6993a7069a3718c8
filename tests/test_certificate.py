"""Games and certificates: rules of input, identities E2/E3/N14/N15, array libraries, ball arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import strategies as own
from hypothesis import given
from hypothesis import strategies as st

from nashlab.arrays import geometric_mixture, kl, log_softmax, logsumexp
from nashlab.certificate import (
    Certificate,
    balls,
    best_response,
    bound_rational,
    certify,
    certify_ball,
    enclose_lottery,
    exploitability,
    gap,
    lotteries,
    near,
    rounding,
)
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import get, random_game
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


def test_the_bound_from_moments_covers_an_exact_distance_and_a_tenth_less_does_not() -> None:
    """N18 (c) in balls, where π*_τ is rational: uniform, for margins whose rows sum to 0 and a uniform reference."""
    rng, sharp, caught = np.random.default_rng(0), 0, 0
    for k in range(120):
        n, tau = int(rng.choice([3, 5, 7])), float(rng.choice([0.02, 0.1, 0.5]))
        row = np.concatenate([[0], ahead := rng.integers(-8, 9, (n - 1) // 2), -ahead[::-1]])
        g = PreferenceGame.from_margins([[Fraction(int(row[(j - i) % n]), 16) for j in range(n)] for i in range(n)])
        log_pi = log_softmax(10.0 ** rng.uniform(-4, 0.5) * rng.normal(size=n))
        policy = [Fraction(x) for x in np.exp(log_pi).tolist()]
        off = sum((abs(x - Fraction(1, n)) for x in policy), Fraction(0))
        bound = certify_ball(g, log_pi, tau).l1_bound
        assert off <= Fraction(bound), k
        # the third bound is the one that decides, and it is right by little: a tenth less is no bound
        pi, r = np.exp(log_pi), log_pi - g.margins @ np.exp(log_pi) / tau
        r = r - pi @ r
        mean, square, size = pi @ np.abs(r), pi @ r**2, np.abs(r).max()
        moments = 0.5 * (mean + bound * size / 4 + np.sqrt(square + bound * size**2 / 4))
        sharp += abs(moments / bound - 1) < 0.02 and bound < 0.98 * certify(g, log_pi, tau).l1_bound
        caught += off > 0.9 * bound
    assert sharp > 20
    assert caught > 5


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


def _true_distance(policy: np.ndarray, truth: tuple[Fraction, ...]) -> Fraction:
    """The larger ‖p − truth‖₁ of a printed policy read as doubles and as decimal texts."""
    readings = ([Fraction(x) for x in policy.tolist()], [Fraction(repr(x)) for x in policy.tolist()])
    return max(sum((abs(p - q) for p, q in zip(r, truth, strict=True)), Fraction(0)) for r in readings)


def test_bounds_cover_what_printing_rounds() -> None:
    rng = np.random.default_rng(0)
    tight = 0
    for k in range(150):
        g = random_game(("uniform", "cyclic", "tournament")[k % 3], int(rng.integers(2, 9)), rng)
        floats = maximal_lottery(g, exact=False)
        truth = maximal_lottery(g, exact=True).policy_exact
        if truth is None or not floats.status.ok:
            continue
        off = _true_distance(floats.policy, truth)
        assert off <= Fraction(floats.certificate.l1_bound)
        assert off <= Fraction(bound_rational(floats.log_policy, truth))
        tight += off > Fraction(floats.certificate.l1_bound) / 4
    assert tight > 50  # canary: a quarter of these bounds would be wrong that often


def test_upper_ends_of_balls_are_rounded_upwards() -> None:
    from flint import arb, fmpq

    rng = np.random.default_rng(0)
    with balls._precision(128):
        for _ in range(200):
            x = Fraction(int(rng.integers(1, 10**9)), int(rng.integers(1, 10**9)))
            for ball, value in ((arb(fmpq(x.numerator, x.denominator)), x), (arb(float(x)), Fraction(float(x)))):
                upper = balls._upper(ball)
                assert Fraction(upper) > value
                # and no further than the double after the next: the end of a ball need not be one
                assert Fraction(math.nextafter(math.nextafter(upper, 0), 0)) <= value


def test_exact_margins_are_judged_exactly() -> None:
    # as doubles the three are equal, and r would be that of another game by 1e-17/τ
    one, tiny = Fraction(1, 2), Fraction(1, 10**18)
    rows = [[0, one, -one + tiny], [-one, 0, one - 2 * tiny], [one - tiny, -one + 2 * tiny, 0]]
    g = PreferenceGame.from_margins(rows)
    with balls._precision(128):
        found = balls._advantage(g, [balls._exactly(Fraction(1, 3))] * 3)
        for row, ball in zip(rows, found, strict=True):
            true = sum(row, Fraction(0)) / 3
            assert ball.contains(balls._exactly(true))
            assert not ball.contains(balls._exactly(true + tiny / 9))


@pytest.mark.parametrize("n", [100, 400])
def test_products_and_systems_enclose_the_exact_ones(n: int) -> None:
    rng = np.random.default_rng(n)
    m, v = rng.normal(size=(5, n)) * 10.0 ** rng.integers(-3, 4, (5, 1)), rng.dirichlet(np.ones(n))
    values, errors = rounding.product(m, v.astype(np.longdouble))
    for row, value, error in zip(m.tolist(), values, errors, strict=True):
        exact = sum((Fraction(a) * Fraction(b) for a, b in zip(row, v.tolist(), strict=True)), Fraction(0))
        high = float(value)
        assert abs(Fraction(high) + Fraction(float(value - high)) - exact) <= Fraction(float(error))
        assert error <= 1e-15 * np.abs(row) @ v
    k = 12
    a = rng.integers(-9, 10, (k, k)).astype(float)
    found = rounding.solve(a, np.eye(k)[0])
    assert found is not None
    x = [Fraction(float(v)) for v in found.x]
    products = [sum((Fraction(v) * w for v, w in zip(row, x, strict=True)), Fraction(0)) for row in a.tolist()]
    assert max(abs(p - (i == 0)) for i, p in enumerate(products)) < Fraction(1, 10**12)
    # a singular matrix is never solved, nor one that its blur could make singular
    a[1] = a[0]
    assert rounding.solve(a, np.eye(k)[0]) is None
    assert rounding.solve(np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]]), np.ones(2), blur=1e-8) is None


def test_the_bound_of_a_product_is_not_below_its_theorem() -> None:
    """γ_k |M||v| and the underflow of k products, exactly: no run attains it, but nothing less is proved."""
    rng = np.random.default_rng(3)
    for k in (1, 2, 7, 300):
        m, v = rng.normal(size=(3, k)), rng.dirichlet(np.ones(k)).astype(np.longdouble)
        m[2] *= 1e-310
        _, errors = rounding.product(m, v)
        unit = Fraction(rounding.LONG_UNIT)
        for row, error in zip(np.abs(m).tolist(), errors.tolist(), strict=True):
            size = sum((Fraction(a) * Fraction(float(x)) for a, x in zip(row, v, strict=True)), Fraction(0))
            assert Fraction(error) >= k * unit / (1 - k * unit) * size + k * Fraction(5, 10**324)


def test_a_solution_that_underflows_is_enclosed() -> None:
    found = rounding.solve(np.array([[1e200]]), np.array([1e-200]))
    assert found is not None
    true = Fraction(1e-200) / Fraction(1e200)
    assert abs(Fraction(float(found.x[0])) - true) <= Fraction(float(found.error[0]))


def test_the_gap_near_a_lottery_is_not_below_its_formula() -> None:
    """max_y Σ_j |A_yj| |p_j − x_j| in fractions: what bounds the exploitability of a p that is printed for x."""
    rng = np.random.default_rng(5)
    for n in (2, 5, 9):
        g = random_game("uniform", n, rng)
        p, x = rng.dirichlet(np.ones(n), 2).tolist()
        with balls._precision(128):
            found = balls._near_a_lottery(g, [balls._exactly(Fraction(v)) for v in p],
                                          [balls._exactly(Fraction(v)) for v in x])  # fmt: skip
        apart = [abs(Fraction(a) - Fraction(b)) for a, b in zip(p, x, strict=True)]
        rows = [[abs(Fraction(a)) for a in row] for row in g.margins.tolist()]
        worst = max(sum((a * d for a, d in zip(row, apart, strict=True)), Fraction(0)) for row in rows)
        assert worst <= Fraction(float(found.exploitability)) <= worst * (1 + Fraction(1, 10**8))
        assert found.l1_bound is not None
        assert sum(apart, Fraction(0)) <= Fraction(float(found.l1_bound))


def test_large_games_are_enclosed_as_small_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    g = random_game("uniform", 40, np.random.default_rng(0))
    answer = regularised_nash(g, 0.1)
    small = certify_ball(g, answer.log_policy, 0.1).l1_bound
    monkeypatch.setattr(balls, "IN_BALLS", 10)
    assert certify_ball(g, answer.log_policy, 0.1).l1_bound == pytest.approx(small, rel=0.5, abs=0)


@pytest.mark.parametrize("n", [2, 3, 9, 30, 70])
def test_near_an_equilibrium_whole_arrays_prove_what_balls_prove(n: int) -> None:
    rng = np.random.default_rng(n)
    for k in range(24):
        g = random_game(("uniform", "cyclic", "tournament")[k % 3], n, rng)
        g = g if k % 2 else g.with_reference(rng.dirichlet(np.ones(n)) * 0.9 + 0.1 / n)
        tau = float(rng.choice([0.1, 0.3, 1.0, 7.0]))
        log_policy = regularised_nash(g, tau).log_policy + 10.0 ** rng.uniform(-18, -7.5) * rng.normal(size=n)
        quick, slow = near.certified(g, log_policy, tau), balls._certified(g, log_policy, tau)
        assert quick is not None
        # extended precision leaves an error of r of some dozen units of 5e-20, over τ; G is a quadratic form of r
        error = (n + 10) * 1e-18 * max(1.0, 1.0 / tau)
        assert quick.l1_bound == pytest.approx(slow.l1_bound, rel=1e-4, abs=error)
        if n > balls.IN_BALLS:  # there balls lose what is of first order in r
            assert quick.exploitability <= slow.exploitability * (1 + 1e-9)
        else:
            close = error * math.sqrt(tau * slow.exploitability) + tau * error**2
            assert quick.exploitability == pytest.approx(slow.exploitability, rel=1e-4, abs=close)
            assert quick.exploitability >= slow.exploitability * (1 - 1e-7)


def test_near_an_equilibrium_a_bound_covers_an_exact_distance_and_a_tenth_less_does_not() -> None:
    """π*_τ is uniform for margins whose rows sum to 0; the bound is the smallest of three, and right by little."""
    rng, caught = np.random.default_rng(0), 0
    for k in range(200):
        n, tau = int(rng.choice([3, 5, 7])), float(rng.choice([0.05, 0.1, 0.5]))
        row = np.concatenate([[0], ahead := rng.integers(-8, 9, (n - 1) // 2), -ahead[::-1]]) / 16.0
        g = PreferenceGame.from_margins([[float(row[(j - i) % n]) for j in range(n)] for i in range(n)])
        if not np.any(row):
            continue
        log_pi = log_softmax(10.0 ** rng.uniform(-15, -8) * rng.normal(size=n))
        found = near.certified(g, log_pi, tau)
        assert found is not None, k
        off = _true_distance(np.exp(log_pi), (Fraction(1, n),) * n)
        assert off <= Fraction(found.l1_bound), k
        caught += off > Fraction(found.l1_bound) * Fraction(9, 10)
    assert caught > 5


def test_what_is_not_near_not_in_doubles_or_of_no_ordinary_size_is_left_to_balls() -> None:
    g = random_game("uniform", 4, np.random.default_rng(0))
    log_policy = regularised_nash(g, 0.1).log_policy
    assert near.certified(g, log_policy, 0.1) is not None
    assert near.certified(g, log_policy, 0.101) is None
    assert near.certified(g, log_policy + 2.0, 0.1) is None
    with np.errstate(divide="ignore"):
        assert near.certified(g, np.log([0.0, 0.2, 0.3, 0.5]), 0.1) is None
    thirds = g.with_reference([Fraction(1, 3), Fraction(1, 3), Fraction(1, 6), Fraction(1, 6)])
    assert near.certified(thirds, regularised_nash(thirds, 0.1).log_policy, 0.1) is None
    whole = PreferenceGame.from_margins([[0, 1], [-1, 0]])
    assert near.certified(whole, regularised_nash(whole, 1.0).log_policy, 1.0) is None
    tiny = PreferenceGame.from_margins(1e-150 * g.margins)
    assert near.certified(tiny, regularised_nash(tiny, 1e-151).log_policy, 1e-151) is None


def test_a_contextual_certificate_is_that_of_each_prompt() -> None:
    """Bounds and gaps prompt by prompt, in balls, and rigorous."""
    games = [random_game("uniform", 3, np.random.default_rng(k)) for k in range(2)]
    both = PreferenceGame.from_margins(np.stack([g.margins for g in games]))
    log_pi = np.log([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    found = certify_ball(both, log_pi, 0.3)
    parts = [certify_ball(g, x, 0.3) for g, x in zip(games, log_pi, strict=True)]
    assert found.l1_bound.tolist() == [part.l1_bound for part in parts]
    assert found.exploitability.tolist() == [part.exploitability for part in parts]
    assert (found.kind, found.rigorous) == ("ball", True)


def test_enclosures_need_strict_inequalities() -> None:
    even_weight = PreferenceGame.from_margins([[0, 1, 0], [-1, 0, 1], [0, -1, 0]])  # its kernel is (1, 0, 1)
    copy = PreferenceGame.from_margins([[0, 1, -1, 0], [-1, 0, 1, -1], [1, -1, 0, 1], [0, 1, -1, 0]])
    third = np.log(np.array([1, 1, 1, 0]) / 3, where=[True, True, True, False], out=np.full(4, -np.inf))
    for enclosed in (lotteries.enclosed, in_balls):
        assert enclosed(even_weight, np.log(np.full(3, 1 / 3))) is None
        assert enclosed(copy, third) is None
        # canary: a millionth of slack is enough
        loses = np.array(copy.margins)
        loses[3, :3] -= 1e-6
        loses[:3, 3] += 1e-6
        assert enclosed(PreferenceGame.from_margins(loses), third) is not None


def in_balls(game: PreferenceGame, log_policy: np.ndarray) -> Certificate | None:
    """The slow way: every entry a ball."""
    with balls._precision(balls.BITS):
        return balls._enclosed(game, log_policy)


@pytest.mark.parametrize("n", [1, 2, 5, 11, 25, 40])
def test_lotteries_are_enclosed_by_whole_arrays_as_entry_by_entry_in_balls(n: int) -> None:
    rng, compared = np.random.default_rng(n), 0
    for k in range(12):
        g = random_game(("uniform", "cyclic", "tournament")[k % 3], n, rng)
        g = g if k % 2 else PreferenceGame.from_margins(1e3 * g.margins)
        log_policy = maximal_lottery(g, exact=False).log_policy
        quick, slow = lotteries.enclosed(g, log_policy), in_balls(g, log_policy)
        if quick is None:  # it may prove less, where the kernel is near singular
            continue
        assert slow is not None
        for one, other in ((quick.l1_bound, slow.l1_bound), (quick.exploitability, slow.exploitability)):
            # the a-priori bounds add some units of 5e-20, multiplied by the condition number
            assert one == pytest.approx(other, rel=0.2, abs=1e-17 * np.max(g.margins, initial=1.0))
        compared += n > 1
        # and not for another policy: a response with mass moved by a billionth is that far away
        off = log_policy + 1e-9 * (np.arange(n) == np.argmax(log_policy))
        moved = np.abs(np.exp(off) - np.exp(log_policy)).sum()
        far = lotteries.enclosed(g, off)
        assert far is not None
        assert far.l1_bound == pytest.approx(moved, rel=1e-5)
    assert compared > 6 or n == 1


def test_the_exponential_is_enclosed_tightly() -> None:
    from flint import arb

    x = np.concatenate([-(10.0 ** np.linspace(-18, 2.84, 400)), [0.0, 1e-300, 0.5, 0.34657359, 0.34657360, 700.0]])
    value, error = rounding.exponential(x)
    worst = 0.0
    with balls._precision(200):
        for one, v, e in zip(x.tolist(), value, error.tolist(), strict=True):
            high = float(v)
            off = abs(arb(high) + arb(float(v - np.longdouble(high))) - arb(one).exp())
            assert off <= arb(e), one
            worst = max(worst, float((off / arb(e)).mid()))
    assert worst > 0.05  # canary: a twentieth of the bound is not enough
    # what is below 1e-300 is 0 within its bound
    assert np.all(rounding.exponential(np.array([-800.0, -1e5, -1e300]))[1] >= 1e-300)


def test_padding_is_nobodys_best_reply() -> None:
    margins = np.zeros((1, 3, 3))
    margins[0] = [[0, 0.1, -0.4], [-0.1, 0, -0.4], [0.4, 0.4, 0]]
    g = PreferenceGame.from_margins(margins, reference=[[0.5, 0.5, 0.0]])
    log_pi = np.log([[1.0, 1e-300, 1e-300]])
    assert float(exploitability(g, log_pi, 0.0)[0]) == 0


def test_a_gap_carried_by_a_rare_response_keeps_its_digits() -> None:
    # r = -0.7 where π is 1e-12: the sum of non-negative terms sees it, a difference of logarithms would lose it
    from flint import arb

    g = PreferenceGame.from_margins(np.zeros((2, 2)), reference=[0.5, 0.5])
    log_pi = np.log([1.0 - 1e-12, 1e-12])
    tied = g.with_reference([1.0 - 2e-12, 2e-12])
    found = float(exploitability(tied, log_pi, 1.0))
    with balls._precision(256):
        pi = [arb(x).exp() for x in log_pi.tolist()]
        mu = [arb(float(x)).exp() for x in tied.log_reference]
        total = pi[0] + pi[1]
        true = float(sum((p / total * (p / total / m).log() for p, m in zip(pi, mu, strict=True)), arb(0)).mid())
    assert found == pytest.approx(true, rel=1e-3, abs=0)


def test_vertices_and_unsupported_policies_are_judged() -> None:
    g = get("figure-6")
    with np.errstate(divide="ignore"):
        vertex = np.log(np.array([1.0, 0.0, 0.0]))
    certificate = certify(g, vertex, 0.1)
    # against a vertex e₁: τ KL(e₁ ‖ BR(e₁)) = −τ log BR(e₁)₁
    weight = g.reference * np.exp(g.margins[:, 0] / 0.1)
    assert certificate.exploitability == pytest.approx(-0.1 * np.log(weight[0] / weight.sum()), rel=1e-12)
    assert np.abs(np.eye(3)[0] - regularised_nash(g, 0.1).policy).sum() <= certificate.l1_bound <= 2


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
    p, mu = np.exp(log_p), g.reference
    for share in (0.0, 0.3, 1.0):
        weight = p ** (1 - share) * mu**share
        # logarithms of at most 7 in size, a few roundings each
        assert np.abs(geometric_mixture(log_p, g.log_reference, share) - np.log(weight / weight.sum())).max() <= 1e-14
    assert float(kl(log_p, log_p)) == 0
    assert float(kl(log_p, g.log_reference)) == pytest.approx(float(np.sum(p * np.log(p / mu))), abs=1e-14)
    assert float(logsumexp(log_p)[0]) == pytest.approx(0, abs=1e-15)
    assert float(logsumexp(log_p + 800)[0]) == pytest.approx(800, abs=1e-12)


BAD = [
    ([[0.5, 0.7, 0.1], [0.3, 0.5, 0.6]], "must be square"),
    ([[0.5, float("nan")], [0.3, 0.5]], r"preferences\[0, 1\] = nan, must be finite"),
    ([[0.5, float("inf")], [0.3, 0.5]], r"preferences\[0, 1\] = inf, must be finite"),
    ([[0.5, 1.2], [-0.2, 0.5]], r"must be in \[0, 1\]"),
    ([[0.5, 0.7], [0.5, 0.5]], r"preferences\[0, 1\] \+ preferences\[1, 0\] = 1.2, must be 1"),
    ([[0.6, 0.7], [0.3, 0.5]], r"preferences\[0, 0\] \+ preferences\[0, 0\] = 1.2"),
    ([], r"preferences has shape \(0,\), must be square"),
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
        ([0.5, 0.5], r"reference has shape \(2,\), must be \(3,\) like the 3 responses"),
        ([0.5, float("nan"), 0.5], r"reference\[1\] = nan, must be positive and finite"),
        ([1.5, -0.25, -0.25], r"reference\[1\] = -0.25, must be positive and finite"),
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
    with pytest.raises(BadInput, match="one weight per prompt"):
        PreferenceGame.from_margins(np.zeros((2, 2, 2)), weights=[1.0])
    with pytest.raises(BadInput, match=r"never met \(1 - 2\)"):
        PreferenceGame.from_wins([[0, 0], [0, 0]])
    with pytest.raises(BadInput, match=r"fill = 0\.3, must be 1/2"):
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
    with pytest.raises(AttributeError, match="name"):
        g.name = "other"  # type: ignore[misc]

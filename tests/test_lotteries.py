"""Maximal lotteries: the peers' failure cases, faces and projections, metamorphic relations, independent solvers.

Every comparison has its canary: the same assertion must fail on a deliberately broken answer.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_games import RPS, SHARES, WEIGHTED, distance, game

from nashlab.certificate import balls, certify, check_lottery
from nashlab.equilibrium import lottery_batch, maximal_lottery, nash, projection, regularised_nash
from nashlab.equilibrium.exact import _sampled_vertices, exact_face, strictly_complementary
from nashlab.equilibrium.interior import kernel_policy
from nashlab.equilibrium.lottery import together
from nashlab.gallery import FAMILIES, GALLERY, compose, get, random_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.solution import Status

# -- maximal lotteries: where peers go wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e-9, 1e-6, 1.0, 5e7, 1e15, 1e300])
def test_scaled_margins_have_the_same_lottery(scale: float) -> None:
    known = np.array([float(x) for x in SHARES])
    assert distance(maximal_lottery(game(np.array(WEIGHTED) * scale)).policy, known) <= 1e-12
    assert distance(lottery_batch(np.array(WEIGHTED) * scale), known) <= 1e-12
    exact = [[Fraction(x) * Fraction(scale) for x in row] for row in WEIGHTED]
    assert maximal_lottery(game(exact)).policy_exact == SHARES


@pytest.mark.parametrize(
    ("rows", "known"),
    [
        ([[1e-7 * x for x in row] for row in RPS], (1 / 3, 1 / 3, 1 / 3)),
        ([[0, 2e-9], [-2e-9, 0]], (1, 0)),
        ([[0, 1, -1, -1e-7], [-1, 0, 1, -1e-7], [1, -1, 0, -1e-7], [1e-7, 1e-7, 1e-7, 0]], (0, 0, 0, 1)),
        ([[0, 1, -2e-12], [-1, 0, 1], [2e-12, -1, 0]], (1 / (2 + 2e-12), 2e-12 / (2 + 2e-12), 1 / (2 + 2e-12))),
    ],
    ids=["1e-7 RPS", "dominance by 2e-9", "trap", "2e-12 closes the cycle"],
)
def test_small_differences_decide(rows: list[list[float]], known: tuple[float, ...]) -> None:
    for exact in (True, None):
        answer = maximal_lottery(game(np.array(rows)), exact=exact)
        assert answer.status.ok
        assert answer.unique
        assert distance(answer.policy, np.array(known)) <= 1e-12
    assert distance(lottery_batch(np.array(rows)), np.array(known)) <= 1e-12


def test_degenerate_games_hang_nobody() -> None:
    rng = np.random.default_rng(2)
    n = 41
    circulant = [[0 if i == j else 1 if (j - i) % n <= n // 2 else -1 for j in range(n)] for i in range(n)]
    assert maximal_lottery(game(circulant)).policy_exact == (Fraction(1, n),) * n
    nested = maximal_lottery(game(compose(RPS, compose(RPS, RPS))))
    assert nested.policy_exact == (Fraction(1, 27),) * 27
    for values in ([-1, 1], [-1, 0, 1], [-1, 0, 0, 0, 0, 1], [0]):
        whole = np.triu(rng.choice(values, (20, 20)), 1)
        answer = maximal_lottery(game(whole - whole.T))
        assert answer.status.ok
        assert np.max((whole - whole.T) @ answer.policy) <= 1e-12
        assert answer.unique is not None


def test_preferences_in_floats_are_constant_sum_within_the_stated_tolerance() -> None:
    p = np.array([[0.5, 0.7, 0.1], [0.3, 0.5, 0.6], [0.9, 0.4, 0.5]])
    noisy = p + 1e-12 * np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert maximal_lottery(PreferenceGame.from_preferences(noisy)).status.ok
    with pytest.raises(BadInput, match=r"preferences\[0, 1\] \+ preferences\[1, 0\]"):
        PreferenceGame.from_preferences(p + 1e-6 * np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]]))


@pytest.mark.parametrize("name", [n for n, e in GALLERY.items() if e.lottery is not None])
def test_known_answers_of_the_gallery(name: str) -> None:
    answer = maximal_lottery(get(name))
    assert answer.status is Status.EXACT
    assert answer.policy_exact == GALLERY[name].lottery


def test_one_response_is_a_trivial_game() -> None:
    answer = maximal_lottery(game([[0]]))
    assert answer.policy_exact == (Fraction(1),)
    assert answer.unique
    assert regularised_nash(game([[0]]), 0.1).policy.tolist() == [1.0]


# -- non-unique games ------------------------------------------------------------------------------------------------


def vertices_by_enumeration(a: np.ndarray) -> set[tuple[Fraction, ...]]:
    """Every vertex of {x ≥ 0, Ax ≤ 0, Σx = 1}, by solving all choices of n − 1 tight inequalities with sympy-free
    Fractions (Cramer by cofactor expansion: slow, obvious)."""
    n = len(a)

    def determinant(m: list[list[int]]) -> int:
        if not m:
            return 1
        return sum((-1) ** j * m[0][j] * determinant([r[:j] + r[j + 1 :] for r in m[1:]]) for j in range(len(m)))

    rows = np.vstack([np.eye(n, dtype=int), -a]).tolist()
    found = set()
    for tight in itertools.combinations(rows, n - 1):
        # the null vector of n − 1 rows is the vector of their signed minors
        x = [(-1) ** j * determinant([r[:j] + r[j + 1 :] for r in tight]) for j in range(n)]
        if sum(x) == 0:
            continue
        point = tuple(Fraction(v, sum(x)) for v in x)
        if all(sum(c * v for c, v in zip(row, point, strict=True)) >= 0 for row in rows):
            found.add(point)
    return found


@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([1, 2, 9]))
def test_the_face_has_exactly_the_enumerated_vertices(seed: int, n: int, size: int) -> None:
    whole = np.triu(np.random.default_rng(seed).integers(-size, size + 1, (n, n)), 1)
    a = whole - whole.T
    answer = maximal_lottery(game(a))
    found = set(answer.face.vertices) if answer.face else {answer.policy_exact}
    assert found == vertices_by_enumeration(a)
    assert answer.unique == (len(found) == 1)
    # with no float guess at all the exact simplex finds the same face
    blind = exact_face(game(a).exact or (), np.zeros(n), np.arange(0))
    assert set(blind.vertices) == found


@given(st.integers(0, 10**6), st.integers(2, 6))
def test_the_choice_on_a_face_is_the_limit_of_small_temperature(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    whole = np.triu(rng.integers(-1, 2, (n, n)), 1)
    g = game(whole - whole.T, reference=rng.dirichlet(np.ones(n)) * 0.9 + 0.1 / n)
    assert distance(maximal_lottery(g).policy, regularised_nash(g, 1e-7).policy) <= 1e-4


def test_peers_examples_of_non_unique_games() -> None:
    duplicated = [[RPS[i][j] for j in (0, 0, 0, 0, 1, 2)] for i in (0, 0, 0, 0, 1, 2)]
    answer = maximal_lottery(game(duplicated))
    assert answer.policy_exact == tuple(map(Fraction, ("1/12", "1/12", "1/12", "1/12", "1/3", "1/3")))
    assert answer.face is not None
    assert answer.face.dimension == 3
    beside = np.zeros((5, 5), dtype=int)
    beside[:3, :3], beside[3, 4], beside[4, 3] = RPS, 1, -1
    assert maximal_lottery(game(beside)).policy_exact == tuple(map(Fraction, ("1/4", "1/4", "1/4", "1/4", 0)))
    weak = maximal_lottery(game([[0, 0, 5], [0, 0, 1], [-5, -1, 0]]))
    assert weak.unique is False


def test_a_large_face_is_cut_at_a_thousand_vertices_and_says_so() -> None:
    # eleven pairs of clones inside a cycle: 2^11 vertices
    n = 11
    circulant = [[0 if i == j else 1 if (j - i) % n <= n // 2 else -1 for j in range(n)] for i in range(n)]
    twice = [[circulant[i // 2][j // 2] for j in range(2 * n)] for i in range(2 * n)]
    answer = maximal_lottery(game(twice))
    assert answer.face is not None
    assert answer.face.dimension == n
    assert not answer.face.complete
    assert len(answer.face.vertices) <= 1000
    assert all(check_lottery(game(twice).exact or (), v).valid for v in answer.face.vertices[:20])
    assert answer.policy_exact == (Fraction(1, 2 * n),) * (2 * n)


# -- metamorphic relations -------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(3, 7))
def test_permutation_clones_domination_composition(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    whole = np.triu(rng.integers(-9, 10, (n, n)), 1)
    a = whole - whole.T
    base = maximal_lottery(game(a))
    if not base.unique or base.policy_exact is None:
        return
    order = rng.permutation(n)
    assert maximal_lottery(game(a[np.ix_(order, order)])).policy_exact == tuple(base.policy_exact[i] for i in order)
    copies = [*range(n), 0]
    cloned = maximal_lottery(game(a[np.ix_(copies, copies)])).policy
    assert abs(cloned[0] + cloned[n] - base.policy[0]) <= 1e-12
    assert abs(cloned[0] - cloned[n]) <= 1e-12  # uniform μ: the clones share alike
    beaten = np.block([[a, np.full((n, 1), 10)], [np.full((1, n), -10), np.zeros((1, 1), dtype=int)]])
    assert maximal_lottery(game(beaten.astype(int))).policy_exact == (*base.policy_exact, Fraction(0))
    product = maximal_lottery(game(compose(a.tolist(), WEIGHTED))).policy_exact
    assert product == tuple(p * q for p in base.policy_exact for q in SHARES)


# -- independent solvers ---------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_highs_finds_the_same_value_and_policy(seed: int, n: int) -> None:
    from scipy.optimize import linprog

    a = random_game("uniform", n, np.random.default_rng(seed)).margins
    solved = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.c_[a, np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    assert abs(solved.fun) <= 1e-9
    # its feasibility tolerance of 1e-7, times the conditioning of a random support
    assert distance(solved.x[:n], maximal_lottery(game(a)).policy) <= 1e-4


def test_batch_equals_the_careful_solver() -> None:
    rng = np.random.default_rng(3)
    for family, n in itertools.product(FAMILIES, (2, 5, 10)):
        a = np.stack([random_game(family, n, rng).margins for _ in range(20)])
        found = lottery_batch(a)
        known = np.stack([maximal_lottery(game(one)).policy for one in a])
        assert distance(found, known) <= 1e-9 * len(a)


def test_exact_simplex_needs_no_guess() -> None:
    point, pivots = strictly_complementary([[0, 3, -1], [-3, 0, 2], [1, -2, 0]])
    assert point == SHARES
    assert pivots > 0


def test_float_answers_are_proved_in_balls() -> None:
    answer = maximal_lottery(random_game("uniform", 60, np.random.default_rng(4)))
    assert answer.certificate.kind == "ball"
    assert answer.certificate.rigorous
    assert answer.unique
    assert answer.certificate.l1_bound <= 1e-12


def test_the_exact_certificate_refutes_a_moved_policy() -> None:
    exact = get("soundquality").exact
    policy = list(maximal_lottery(get("soundquality")).policy_exact or ())
    assert exact is not None
    assert check_lottery(exact, policy).unique
    moved = next(i for i, p in enumerate(policy) if p > 0)
    policy[moved] -= Fraction(1, 10**30)
    policy[moved - 1] += Fraction(1, 10**30)
    assert not check_lottery(exact, policy).valid


# -- small cases that once went wrong, and checks that once could be left out -----------------------------------------

CASES = json.loads((Path(__file__).parent / "cases" / "games.json").read_text())


@pytest.mark.parametrize("case", [c for c in CASES if "margins" in c], ids=lambda c: c["name"])
def test_faces_of_integer_games_are_exact(case: dict[str, Any]) -> None:
    answer = maximal_lottery(game(case["margins"]))
    assert answer.status.ok
    assert answer.unique is False
    assert answer.face is not None
    assert {tuple(map(str, v)) for v in answer.face.vertices} == {tuple(v) for v in case["vertices"]}
    if case["projection_of_uniform"] is None:
        assert answer.policy_exact is None
        assert answer.certificate.l1_bound < 1e-15
    else:
        assert [str(x) for x in answer.policy_exact or ()] == case["projection_of_uniform"]


def _projected(vertices: Any, mu: np.ndarray, steps: int = 200_000) -> np.ndarray:
    """argmin KL(π‖μ) over a convex hull, by exponentiated gradient on the vertices' weights: no code of the library."""
    corners = np.array([[float(x) for x in v] for v in vertices])
    weights = np.full(len(corners), 1 / len(corners))
    for k in range(steps):
        x = weights @ corners
        slope = corners @ np.where(x > 0, np.log(np.maximum(x, 1e-300) / mu), 0.0)
        if weights @ slope - np.min(slope) < 1e-12:
            break
        weights *= np.exp(-(slope - np.min(slope)) * 2.0 / (1 + k / 2000))
        weights /= weights.sum()
    return np.asarray(weights @ corners)


def test_projections_are_the_nearest_lotteries() -> None:
    rng = np.random.default_rng(7)
    seen = apart = 0
    while seen < 25:
        n = int(rng.integers(3, 7))
        whole = np.triu(rng.integers(-1, 2, (n, n)) * (rng.random((n, n)) < 0.7), 1)
        mu = rng.dirichlet(np.full(n, 3.0))
        answer = maximal_lottery(game((whole - whole.T).tolist(), reference=mu))
        if answer.face is None:
            continue
        seen += 1
        near = _projected(answer.face.vertices, mu)
        # the other solver stops at a gap of 1e-12, that is within √(2e-12) in ℓ₁
        assert distance(answer.policy, near) <= 2e-6
        assert answer.certificate.l1_bound <= 1e-15
        # canary: the middle of the face is told apart, unless it is the answer
        middle = np.mean([[float(x) for x in v] for v in answer.face.vertices], axis=0)
        assert distance(middle, near) > 2e-6 or distance(middle, answer.policy) <= 4e-6
        apart += distance(middle, near) > 2e-6
    assert apart > 20


def test_a_projection_near_a_vertex_is_found_though_a_loss_near_zero_looked_like_a_tie() -> None:
    """The weights of 6 and 8 are (1/3) (μ_6, μ_8)/(μ_6 + μ_8); response 3 loses by only .0002 there."""
    margins = [[0, 1, 0, 1, 1, -1, 1, -1], [-1, 0, 0, -1, -1, 0, 1, 1], [0, 0, 0, 0, 0, -1, -1, 0],
               [-1, 1, 0, 0, 0, 1, 1, 1], [-1, 1, 0, 0, 0, 1, -1, -1], [1, 0, 1, -1, -1, 0, 1, 0],
               [-1, -1, 1, -1, 1, -1, 0, 0], [1, -1, 0, -1, 1, 0, 0, 0]]  # fmt: skip
    shares = [Fraction(k, 10000) for k in (219, 700, 2171, 613, 1370, 3, 321, 4603)]
    answer = maximal_lottery(PreferenceGame.from_margins(margins, reference=shares))
    third = Fraction(1, 3)
    assert answer.status is Status.EXACT
    assert answer.policy_exact == (third, 0, 0, third, 0, third * Fraction(3, 4606), 0, third * Fraction(4603, 4606))


def test_ties_guessed_wrongly_are_given_up_one_at_a_time() -> None:
    """Responses 2 and 5 both look like ties; with both nothing is left of 3, whose share of the reference is 1e-15."""
    margins = [[0, -1, 0, 2, -2, 1, 0], [1, 0, 1, 0, 0, 1, -1], [0, -1, 0, 1, 1, 2, 0], [-2, 0, -1, 0, 0, 1, -1],
               [2, 0, -1, 0, 0, -2, -2], [-1, -1, -2, -1, 2, 0, 0], [0, 1, 0, 1, 2, 0, 0]]  # fmt: skip
    shares = np.array([25.0, 5521.0, 5e-14, 2898.0, 240.0, 1309.0, 6.0])
    answer = maximal_lottery(PreferenceGame.from_margins(margins, reference=shares / shares.sum()))
    mu = answer.game.reference_exact
    half = Fraction(1, 2)
    assert answer.policy_exact == (half * mu[0] / (mu[0] + mu[2]), 0, half * mu[2] / (mu[0] + mu[2]), 0, 0, 0, half)


def test_the_gap_of_an_unproved_policy_is_rounded_up() -> None:
    """Of the printed policy, as doubles and as text; the plain float64 gap lies below some of them (canary)."""
    rng = np.random.default_rng(3)
    below = 0
    for _ in range(60):
        u = rng.normal(size=(6, 2))
        margins = (u[:, :1] * u[:, 1] - u[:, 1:] * u[:, 0]) * 0.2
        answer = maximal_lottery(game(np.triu(margins, 1) - np.triu(margins, 1).T), exact=False)
        if answer.status is not Status.STALLED:
            continue
        a = [[Fraction(x) for x in row] for row in answer.game.margins.tolist()]
        for reading in (Fraction, lambda x: Fraction(repr(x))):
            p = [reading(x) for x in answer.policy.tolist()]
            gap = max(sum(x * q for x, q in zip(row, p, strict=True)) for row in a)
            assert gap <= answer.certificate.exploitability <= gap + Fraction(1, 10**13)
            below += certify(answer.game, answer.log_policy, 0.0).exploitability < gap
    assert below > 0


def test_a_barrier_steeper_than_floats_ends_no_projection() -> None:
    """Margins from 4e-20 to 3e12: no warning (the suite's are errors), and the answer is exact."""
    upper = {(0, 1): 2553556035923.7524, (0, 2): -3.945e-20, (0, 3): 1.081, (0, 4): -1.145e-08, (1, 2): 3.127e-15,
             (1, 4): -24322.53, (2, 3): -5165.2, (3, 4): 0.016}  # fmt: skip
    margins = np.zeros((5, 5))
    for (i, j), x in upper.items():
        margins[i, j], margins[j, i] = x, -x
    reference = np.array([3.69e-07, 2.743e-05, 3.682e-08, 0.0154, 0.98457])
    answer = maximal_lottery(PreferenceGame.from_margins(margins, reference=reference / reference.sum()))
    assert answer.status is Status.EXACT
    assert np.max(answer.policy @ -margins) <= 1e-12 * np.abs(margins).max()


def test_only_rational_projections_are_called_exact() -> None:
    assert maximal_lottery(get("four-cycle").with_reference([0.4, 0.3, 0.2, 0.1])).policy_exact is None
    third, fifth = Fraction(1, 3), Fraction(1, 5)
    tie = game([[0, 0], [0, 0]], reference=[third, 1 - third])
    assert maximal_lottery(tie).policy_exact == (third, 1 - third)
    copies = game([[0, 0, 1], [0, 0, 1], [-1, -1, 0]], reference=[fifth, 2 * fifth, 2 * fifth])
    assert maximal_lottery(copies).policy_exact == (third, 1 - third, 0)
    with balls._precision(projection.BITS):
        assert projection._sign([Fraction(1, 2), Fraction(-1, 2)], [Fraction(4), Fraction(4)]) == 0
        assert projection._sign([Fraction(1), Fraction(-2)], [Fraction(10**40), Fraction(10**20)]) == 0
        assert projection._sign([Fraction(1), Fraction(-2)], [Fraction(10**40 + 1), Fraction(10**20)]) == 1
        assert projection._sign([Fraction(1), Fraction(-2)], [Fraction(10**40 - 1), Fraction(10**20)]) == -1


def test_an_irrational_projection_of_one_prompt_is_no_exact_answer() -> None:
    """Asked for exactly, a game without a rational answer is refused, and two prompts where one of them has none."""
    cycle = get("four-cycle").margins
    with pytest.raises(BadInput, match="the one nearest to the reference is irrational"):
        nash(get("four-cycle").with_reference([0.4, 0.3, 0.2, 0.1]), exact=True)
    both = game(np.array([cycle, cycle]))
    for reference, exact in (([0.25] * 4, True), ([0.4, 0.3, 0.2, 0.1], False)):
        asked = both.with_reference([[0.25] * 4, reference])
        if exact:
            assert nash(asked, exact=True).status is Status.EXACT
        else:
            with pytest.raises(BadInput, match="the one nearest to the reference is irrational"):
                nash(asked, exact=True)


def test_cut_faces_keep_their_middle() -> None:
    # 11 two-sided ties in a cycle of clones: 2^11 vertices, more than are kept
    n, parts = 24, 8
    a = np.zeros((n, n), dtype=int)
    for i in range(parts):
        a[3 * i, 3 * i + 1], a[3 * i + 1, 3 * i + 2], a[3 * i, 3 * i + 2] = 1, 1, -1
    answer = maximal_lottery(game((a - a.T).tolist()))
    assert answer.face is not None
    mean = [sum(column, Fraction(0)) / len(answer.face.vertices) for column in zip(*answer.face.vertices, strict=True)]
    assert all(x > 0 for x in mean)
    sampled = _sampled_vertices([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, -1)], [Fraction(1)] * 3)
    assert all(any(v[i] > 0 for v in sampled) for i in range(3))


def test_a_kernel_without_slack_is_no_proof() -> None:
    copies = np.array([[0, 1, -1, 0], [-1, 0, 1, -1], [1, -1, 0, 1], [0, 1, -1, 0]]) / 2
    assert kernel_policy(copies, np.array([0, 1, 2])) is None
    assert kernel_policy(copies[:3, :3], np.array([0, 1, 2])) is not None


def test_contextual_answers_are_as_good_as_their_worst_prompt() -> None:
    good = maximal_lottery(game(WEIGHTED))
    poor = replace(good, status=Status.STALLED, certificate=replace(good.certificate, rigorous=False, l1_bound=None))
    both = game(np.array([WEIGHTED, WEIGHTED]))
    for parts in ((good, poor), (poor, good)):
        whole = together(both, 0.0, parts)
        assert whole.status is Status.STALLED
        assert whole.certificate.rigorous is False
        assert whole.certificate.l1_bound is None
    assert together(both, 0.0, (good, good)).certificate.rigorous is True


def test_batches_agree_with_exact_lotteries_on_degenerate_games() -> None:
    rng = np.random.default_rng(11)
    whole = np.triu(rng.integers(-1, 2, (60, 5, 5)), 1)
    a = whole - np.swapaxes(whole, 1, 2)
    found = lottery_batch(a / 2)
    for margins, policy in zip(a.tolist(), found, strict=True):
        assert distance(policy, maximal_lottery(game(margins)).policy) <= 1e-12


def test_batches_of_clear_games_leave_none_to_the_careful_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled simplex alone solves games without near ties, each as the careful solver does."""
    rng = np.random.default_rng(3)
    games = np.stack([random_game("uniform", 5, rng).margins for _ in range(40)])
    known = [maximal_lottery(game(a), exact=False).policy for a in games]

    def refuse(*given: Any) -> Any:
        raise AssertionError("left to the careful solver")

    monkeypatch.setattr("nashlab.equilibrium.batch._careful", refuse)
    for policy, careful in zip(lottery_batch(games), known, strict=True):
        assert distance(policy, careful) <= 1e-12
    with pytest.raises(AssertionError, match="careful"):  # canary: ties are
        lottery_batch(np.zeros((1, 5, 5)))


def test_large_lotteries_are_proved_unique() -> None:
    g = random_game("uniform", 400, np.random.default_rng(5))
    answer = maximal_lottery(g)
    assert answer.unique is True
    assert answer.certificate.rigorous
    assert answer.certificate.l1_bound <= 1e-10
    # ties all over: nothing is known of the distance, and it is said
    tied = maximal_lottery(game(np.zeros((400, 400))))
    assert tied.status is Status.STALLED
    assert tied.certificate.l1_bound is None
    assert tied.unique is None

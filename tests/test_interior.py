"""Lotteries in float64, by the interior point method and the simplex: supports against enumeration, repairs, ties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.equilibrium import interior, maximal_lottery, tableau
from nashlab.equilibrium.interior import interior_point, kernel_policy
from nashlab.equilibrium.tableau import simplex_support
from nashlab.game import PreferenceGame

Array = NDArray[np.float64]


def drawn(n: int, rng: np.random.Generator) -> Array:
    upper = np.triu(rng.uniform(-1, 1, (n, n)), 1)
    return upper - upper.T


def support_by_enumeration(a: Array) -> list[int]:
    """The support of the only lottery: of all kernels of submatrices of odd order, the one without a better reply."""
    n = len(a)
    for k in range(1, n + 1, 2):
        for held in itertools.combinations(range(n), k):
            x = np.zeros(n)
            x[list(held)] = np.linalg.svd(a[np.ix_(held, held)])[2][-1]
            x /= x.sum()
            if x.min() > -1e-9 and np.max(a @ x) < 1e-9:
                return list(held)
    raise AssertionError("a skew game has a lottery")


@pytest.mark.parametrize("n", range(1, 9))
def test_the_support_is_the_one_found_by_enumeration(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(12):
        a = drawn(n, rng)
        found = interior_point(a)
        assert found.sure
        assert found.support.tolist() == simplex_support(a).tolist() == support_by_enumeration(a)
        assert np.max(a @ found.policy) <= 1e-13
        assert found.policy.sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("n", [12, 40, 90])
def test_a_support_that_is_wrong_by_one_response_is_put_right_and_by_three_is_not(n: int) -> None:
    rng, worse = np.random.default_rng(n), 0
    a = drawn(n, rng)
    held = np.isin(np.arange(n), interior_point(a).support)
    for wrong in rng.permutation(n)[:20]:
        near = interior._flipped(held, int(wrong))
        support, rest = np.flatnonzero(near), np.flatnonzero(~near)
        assert interior._change(a, support, rest) == wrong
        policy, right = interior._proved_near(a, near) or (None, None)
        assert policy is not None
        assert right is not None
        assert np.array_equal(right, np.flatnonzero(held))
        assert np.array_equal(policy, kernel_policy(a, right))
    for _ in range(20):  # canary: the repair proves what it returns, so it is silent where it cannot
        far = held.copy()
        far[rng.permutation(n)[:3]] ^= True
        worse += interior._proved_near(a, far) is None
    assert worse > 15


@pytest.mark.parametrize("n", [70, 150])
def test_single_precision_finds_the_support_of_double_precision(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n)
    for _ in range(4):
        a = drawn(n, rng)
        quick = interior_point(a)
        with monkeypatch.context() as patch:
            patch.setattr(interior, "SINGLE_FROM", n + 1)
            careful = interior_point(a)
        assert quick.sure
        assert careful.sure
        assert np.array_equal(quick.policy, careful.policy)  # both solve the same kernel


def test_ties_are_never_called_sure_and_close_races_are_decided() -> None:
    copies = np.array([[0, 1, -1, 0], [-1, 0, 1, -1], [1, -1, 0, 1], [0, 1, -1, 0]]) / 2
    assert not interior_point(copies).sure
    assert not interior_point(np.zeros((5, 5))).sure
    for slack in (1e-3, 1e-6):
        apart = copies.copy()
        apart[3, :3] -= slack
        apart[:3, 3] += slack
        found = interior_point(apart)
        assert found.sure
        assert found.support.tolist() == [0, 1, 2]


@pytest.mark.parametrize("n", [9, 30, 40])
def test_the_simplex_finds_the_lottery_of_the_interior_point_method_to_the_last_bit(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(8):
        a = drawn(n, rng)
        support = simplex_support(a)
        assert support is not None
        assert np.array_equal(kernel_policy(a, support), interior_point(a).policy)


def test_a_simplex_that_stops_too_soon_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its supports are wrong then, and none is proved; where responses tie, it proves nothing either."""
    rng, wrong = np.random.default_rng(0), 0
    games = [PreferenceGame.from_margins(drawn(n, rng)) for n in range(5, 25)]
    right = [maximal_lottery(game, exact=False) for game in games]
    monkeypatch.setattr(tableau, "TOLERANCE", 0.3)
    for game, answer in zip(games, right, strict=True):
        support = simplex_support(game.margins)
        wrong += support is None or not np.array_equal(support, np.flatnonzero(answer.policy))
        again = maximal_lottery(game, exact=False)
        assert np.array_equal(again.policy, answer.policy)
        assert again.status is answer.status
    assert wrong > 10
    monkeypatch.undo()
    even = np.zeros((4, 4))
    support = simplex_support(even)
    assert support is None or kernel_policy(even, support) is None

"""One game by Newton and by products alone, against damped iteration by a plain loop; extragradient against N26."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.equilibrium import products, regularised_nash
from nashlab.equilibrium.alone import newton
from nashlab.equilibrium.products import Near
from nashlab.game import PreferenceGame

Array = NDArray[np.float64]


def damped(margins: Array, mu: Array, t: float) -> Array:
    """π*: log π ← (1 − c) log π + c (log μ + tAπ), c = 1/(1 + t²‖A‖²), a contraction because A is skew."""
    c = 1 / (1 + (t * np.linalg.norm(margins, 2)) ** 2)
    log_policy = np.log(mu)
    for _ in range(int(40 / c)):
        policy = np.exp(log_policy - log_policy.max())
        log_policy = (1 - c) * log_policy + c * (np.log(mu) + t * margins @ (policy / policy.sum()))
    policy = np.exp(log_policy - log_policy.max())
    return np.asarray(policy / policy.sum())


def drawn(n: int, seed: int) -> tuple[Array, Array]:
    """Margins and a reference whose probabilities differ by up to e⁶."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(-0.5, 0.5, (n, n)), 1)
    mu = np.exp(rng.uniform(-3, 3, n))
    return upper - upper.T, mu / mu.sum()


def by_products(margins: Array, log_mu: Array, t: float) -> Near:
    return products.solve(margins.__matmul__, log_mu, t, 1 / (2 * t * margins.max()), 100_000)


@pytest.mark.parametrize("t", [0.3, 3.0, 10.0])
@pytest.mark.parametrize("find", [newton, by_products])
@pytest.mark.parametrize("n", [2, 7, 60])
def test_one_game_is_solved_as_by_damped_iteration(
    find: Callable[[Array, Array, float], Near], t: float, n: int
) -> None:
    """ℓ₁ to 1e-12; the canary, a temperature off by a billionth, is told apart."""
    margins, mu = drawn(n, n)
    found = find(margins, np.log(mu), t).h
    assert found is not None
    policy = mu * np.exp(found)
    policy /= policy.sum()
    assert np.abs(policy - damped(margins, mu, t)).sum() <= 1e-12
    assert np.abs(policy - damped(margins, mu, t * (1 + 1e-9))).sum() > 1e-12


def test_a_factorisation_is_kept_in_large_games_and_made_again_in_small_ones() -> None:
    for n, most in ((60, 2), (40, 5)):
        margins, mu = drawn(n, 1)
        assert newton(margins, np.log(mu), 1.0).factorisations <= most
    margins, mu = drawn(60, 1)
    part = newton(margins[:40, :40], np.log(mu[:40]), 10.0)
    assert newton(margins, np.log(mu), 10.0).factorisations < part.factorisations


def kl(q: Array, p: Array) -> float:
    return float(np.sum(q * np.log(q / p)))


@pytest.mark.parametrize("tau", [0.02, 0.2])
def test_extragradient_contracts_as_n26_says_and_the_plain_step_of_that_length_does_not(tau: float) -> None:
    """KL(π*‖π₊) ≤ e^{−2 arcsinh τ} KL(π*‖π) on every step of games with |A| = ½."""
    rng, ratios, plain = np.random.default_rng(0), [], []
    for _ in range(40):
        n = int(rng.integers(2, 6))
        signs = np.triu(rng.choice([-0.5, 0.5], (n, n)), 1)
        margins, mu = signs - signs.T, rng.dirichlet(np.ones(n)) * 0.9 + 0.1 / n
        truth = regularised_nash(PreferenceGame.from_margins(margins, reference=mu), tau).policy
        work = products._Work(margins.__matmul__, margins.__matmul__, np.log(mu), 1 / tau)
        now = work.at(rng.normal(size=n) / tau**0.5)
        share = 2.0 * tau * (tau + math.hypot(1.0, tau))
        for _ in range(6):
            ahead = products._extragradient(work, now, tau, 1)
            before = kl(truth, now.pi)
            if before > 1e-9:
                ratios.append(kl(truth, ahead.pi) / before)
                plain.append(kl(truth, work.at(now.h - share / (1 + share) * now.f).pi) / before)
            now = ahead
    assert len(ratios) > 50
    assert max(ratios) <= math.exp(-2 * math.asinh(tau))
    assert max(plain) > math.exp(-2 * math.asinh(tau))


def test_each_method_of_the_product_solver_is_used_and_what_is_out_of_reach_is_said() -> None:
    margins, mu = drawn(40, 1)
    used: dict[str, int] = {}

    def counted(name: str) -> Callable[..., Any]:
        method = getattr(products, name)

        def call(*given: Any) -> Any:
            used[name] = used.get(name, 0) + 1
            return method(*given)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_recurred", "_newton_step", "_extragradient"):
            patch.setattr(products, name, counted(name))
        assert by_products(margins, np.log(mu), 0.1).h is not None
        assert used == {"_recurred": 1}
        assert by_products(margins, np.log(mu), 10.0).h is not None
        assert used["_newton_step"] > 0
        assert by_products(margins, np.log(mu), 300.0).h is not None
        assert used["_extragradient"] > 0
    assert products.solve(margins.__matmul__, np.log(mu), 300.0, 0.01, 50).h is None
    assert by_products(margins, np.log(mu), 1e7) == Near(None)


def test_the_recurrence_falls_as_fast_as_theory_says_and_without_its_shares_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """osc F per product falls by s/(1 + √(1 + s²)) for I − S with |S| ≤ s; plainly iterated, h ← tAπ, by s."""
    margins, _ = drawn(300, 2)
    log_mu, t = np.full(300, -np.log(300.0)), 20.0
    found = products.start(margins.dot, log_mu, t)
    assert found.h is None  # slow enough for a factorisation
    whole = by_products(margins, log_mu, t)
    assert whole.h is not None
    root = np.exp(0.5 * (log_mu + whole.h - np.logaddexp.reduce(log_mu + whole.h)))
    centred = np.eye(300) - np.outer(root, root)
    s = np.linalg.norm(centred @ (t * root[:, None] * margins * root) @ centred, 2)
    most = math.log(1e-12 / (t * margins.max())) / math.log(s / (1 + math.hypot(1, s)))
    assert whole.products <= most + 2
    monkeypatch.setattr(products, "_next_share", lambda *given: 1.0)
    plain = by_products(margins, log_mu, t)
    assert plain.products > 2 * most


@pytest.mark.parametrize("t", [1.0, 8.0])
def test_a_direction_of_newton_solves_its_linear_system(t: float) -> None:
    """(I − tAD) d = −F up to a constant, to the accuracy asked for, by a dense solve; and None when out of patience."""
    margins, mu = drawn(30, 4)
    work = products._Work(margins.__matmul__, margins.__matmul__, np.log(mu), t)
    now = work.at(np.random.default_rng(5).normal(size=30))
    covariance = np.diag(now.pi) - np.outer(now.pi, now.pi)
    known = covariance @ np.linalg.solve(np.eye(30) - t * margins @ covariance, -now.f)
    for accuracy in (1e-2, 1e-10):
        shift = products._shift(work, now, accuracy, 10**6)
        assert shift is not None
        assert np.linalg.norm((shift - known) / np.sqrt(now.pi)) <= accuracy * np.linalg.norm(now.f) * (1 + t)
    assert products._shift(work, now, 1e-10, work.products + 4) is None


def test_directions_in_single_precision_cost_no_digits() -> None:
    margins, mu = drawn(80, 3)
    single = margins.astype(np.float32)

    def rough(v: Array) -> Array:
        return np.asarray(single @ v.astype(np.float32), dtype=np.float64)

    for t in (5.0, 30.0):
        found = products.solve(margins.__matmul__, np.log(mu), t, 1 / (2 * t * margins.max()), 10_000, rough)
        careful = newton(margins, np.log(mu), t)
        assert found.h is not None
        assert careful.h is not None
        policies = [mu * np.exp(h - h.max()) for h in (found.h, careful.h)]
        assert np.abs(policies[0] / policies[0].sum() - policies[1] / policies[1].sum()).sum() <= 2e-12

"""Newton and Anderson on one game near its reference, against damped iteration of the fixed point by a plain loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.equilibrium.alone import Near, anderson, newton

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


@pytest.mark.parametrize(("find", "t"), [(newton, 0.3), (newton, 10.0), (anderson, 0.3), (anderson, 3.0)])
@pytest.mark.parametrize("n", [2, 7, 40])
def test_one_game_is_solved_as_by_damped_iteration(
    find: Callable[[Array, Array, float], Near], t: float, n: int
) -> None:
    """ℓ₁ to 1e-12; the canary, a temperature off by a billionth, is told apart."""
    margins, mu = drawn(n, n)
    found = find(margins, np.log(mu), t).h
    assert found is not None
    policy = mu * np.exp(found)
    assert policy.sum() == pytest.approx(1.0, abs=1e-13)
    assert np.abs(policy - damped(margins, mu, t)).sum() <= 1e-12
    assert np.abs(policy - damped(margins, mu, t * (1 + 1e-9))).sum() > 1e-12


def test_a_factorisation_is_kept_and_what_is_out_of_reach_is_said() -> None:
    """Fewer factorisations than steps at n = 40; no answer of Anderson's where tλ is far above 1."""
    margins, mu = drawn(40, 1)
    assert newton(margins, np.log(mu), 1.0).factorisations <= 2
    assert anderson(margins, np.log(mu), 300.0).h is None
    assert anderson(margins, np.log(mu), 1e7) == Near(None)

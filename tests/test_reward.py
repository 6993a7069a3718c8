"""The Bradley-Terry reward of a game, also where the sampling policy hardly ever draws a response."""

from __future__ import annotations

import numpy as np
import pytest

from nashlab.game import BadInput, PreferenceGame
from nashlab.reward import bradley_terry_reward

REWARD = np.array([0.3, -1.2, 2.0, 0.1])
GAME = PreferenceGame.from_preferences(1 / (1 + np.exp(-(REWARD[:, None] - REWARD))))


@pytest.mark.parametrize(
    "masses", [[1, 1, 1, 1], [1, 1e-31, 1e-31, 1e-31], [1e-300, 1, 1e-300, 1e-10], [1e-160, 1e-160, 1e-170, 1]]
)
def test_the_reward_of_a_ranking_does_not_depend_on_who_is_sampled(masses: list[float]) -> None:
    """To 1e-12; with masses of 1e-31 the fit used to meet a singular matrix."""
    nu = np.array(masses) / np.sum(masses)
    found = bradley_terry_reward(GAME, nu)
    assert np.ptp(found - REWARD) < 1e-12
    assert abs(float(nu @ found)) < 1e-12


def test_every_response_of_any_game_wins_as_often_as_the_fit_says() -> None:
    """Σ_j ν_j (p_ij − σ(r_i − r_j)) = 0 for each i, the condition for the maximum, divided by ν_i; rare or not."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(2, 7))
        a = np.triu(rng.uniform(-0.49, 0.49, (n, n)), 1)
        game = PreferenceGame.from_margins(a - a.T)
        nu = np.exp(rng.uniform(-300, 0, n))
        nu /= nu.sum()
        r = bradley_terry_reward(game, nu)
        off = (game.preferences - 1 / (1 + np.exp(r - r[:, None]))) @ nu
        assert np.abs(off).max() < 1e-12
    r[0] += 1e-9  # canary
    assert np.abs((game.preferences - 1 / (1 + np.exp(r - r[:, None]))) @ nu).max() > 1e-12


def test_no_reward_fits_who_never_loses() -> None:
    with pytest.raises(BadInput, match=r"no Bradley-Terry reward fits .*: 1 never lose"):
        bradley_terry_reward(PreferenceGame.from_preferences([[0.5, 1.0], [0.0, 0.5]]))

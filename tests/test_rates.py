"""Local rates in small: Newton's search for a fixed point, decay read off a trajectory, and what is printed of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.algorithms import get
from nashlab.environment import Feedback
from nashlab.gallery import get as gallery
from nashlab.game import BadInput, PreferenceGame
from nashlab.rates import _fixed_point, local_rate, rate_answer, rated_run, run_answer, trajectory_rate

Flat = NDArray[np.float64]
GAME = gallery("figure-6").with_reference([0.5, 0.3, 0.2])
TWO = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]], reference=[0.3, 0.7])


class ArcTangent:
    """The map x ↦ x − (arctan x₁, x₂, ...): its fixed point is 0; Newton's full steps diverge from |x₁| > 1.4 and solve
    the other coordinates at once."""

    def start(self, guess: Flat) -> Flat:
        return guess

    def __call__(self, x: Flat) -> tuple[Flat, Flat]:
        moved = np.concatenate([[np.arctan(x[0])], x[1:]])
        slopes = np.concatenate([[1 / (1 + x[0] ** 2)], np.ones(len(x) - 1)])
        return x - moved, np.eye(len(x)) - np.diag(slopes)


class Shift:
    """x₁ ↦ x₁ + 1, which has no fixed point though the others stay; its Jacobian is given as if it contracted."""

    def start(self, guess: Flat) -> Flat:
        return guess

    def __call__(self, x: Flat) -> tuple[Flat, Flat]:
        return x + np.eye(len(x))[0], 0.5 * np.eye(len(x))


@pytest.mark.parametrize("guess", [[3.0], [-20.0], [3.0, 1.0], [3.0, 0.0]])
def test_newton_finds_a_fixed_point_that_full_steps_miss(guess: list[float]) -> None:
    found = _fixed_point(ArcTangent(), np.array(guess))  # type: ignore[arg-type]
    assert found is not None
    assert np.abs(found).max() <= 1e-12


def test_what_has_no_fixed_point_has_none() -> None:
    assert _fixed_point(Shift(), np.zeros(2)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("rate", [0.9, 1.05])
def test_the_rate_of_a_spiral_is_a_rate_per_step(rate: float, every: int) -> None:
    t = np.arange(0, 120, every)
    size = (1e-3 if rate < 1 else 1e-9) * rate**t
    spiral = size[:, None] * np.stack([np.cos(0.1 * t), np.sin(0.1 * t)], axis=1)
    found = trajectory_rate(spiral, every)
    assert found is not None
    assert abs(found - rate) <= 1e-9


def test_an_orbit_and_a_run_that_begins_at_its_end_have_no_rate() -> None:
    t = np.arange(60)
    orbit = np.stack([np.cos(0.1 * t), np.sin(0.1 * t)], axis=1)
    assert trajectory_rate(orbit) is None
    assert trajectory_rate(0.01 * orbit) is None
    assert trajectory_rate(np.zeros((60, 2))) is None
    assert trajectory_rate(1e-3 * 0.5 ** np.arange(9.0)[:, None]) is None  # nine displacements are too few


def test_a_run_that_came_near_and_circles_there_has_the_rate_one() -> None:
    """It is the distance at the start that says whether a run came near, not the one a record later."""
    t = np.arange(60)
    circle = 1e-4 * np.stack([np.cos(0.1 * t), np.sin(0.1 * t)], axis=1)
    found = trajectory_rate(np.concatenate([[[1e-2, 0.0]], circle]))
    assert found is not None
    assert abs(found - 1) <= 1e-9
    assert trajectory_rate(np.concatenate([[[1.2e-3, 0.0]], 8 * circle])) is None


def test_an_answer_says_whether_a_step_is_stable() -> None:
    spec = get("omd")
    said = [rate_answer(spec, GAME, local_rate("omd", GAME, 0.05, step_size=s, measure=False)) for s in (0.5, 6.0)]
    assert [answer.stable for answer in said] == [True, False]
    for answer in said:
        assert answer.predicted_rate is not None
        assert answer.eigenvalues is not None
        sizes = [np.hypot(*z) for z in answer.eigenvalues]
        assert sizes == sorted(sizes, reverse=True)
        assert answer.predicted_rate == pytest.approx(sizes[0], rel=1e-15)  # two ways to take a modulus
        assert answer.stable == (answer.predicted_rate < 1)
    assert rate_answer(spec, GAME, None).stable is None


def test_an_answer_tells_where_the_method_goes_and_how_far_that_is_from_the_equilibrium() -> None:
    biased = run_answer(rated_run("nash-md", GAME, 0.3, step_size=0.3, steps=40))
    assert biased.target is not None
    assert abs(np.sum(biased.target) - 1) <= 1e-12
    assert biased.target_to_equilibrium > 1e-4
    assert biased.unbiased == "nash-md-debiased"
    sound = run_answer(rated_run("omd", GAME, 0.3, step_size=0.3, steps=40))
    assert sound.target_to_equilibrium <= 1e-12
    unknown = run_answer(rated_run("fictitious-play", GAME, 0.3, step_size=0.3, steps=40))
    assert unknown.target is None
    assert unknown.target_to_equilibrium is None


def test_a_method_that_reports_another_policy_than_its_iterate_is_measured_at_what_it_reports() -> None:
    """Nash-MD, debiased, reports its mixture: measured from the fixed point of its iterates it never arrives."""
    run = rated_run("nash-md-debiased", TWO, 0.5, step_size=0.3, steps=4000)
    assert run.predicted is not None
    assert run.measured == pytest.approx(run.predicted, abs=1e-6)


def test_a_rate_belongs_to_one_game_run_exactly_with_a_constant_step() -> None:
    """A contextual game, sampled feedback and a shrinking step leave both rates open."""
    numbers: dict[str, Any] = {"step_size": 0.3, "steps": 20}
    two = PreferenceGame.from_margins(np.stack([TWO.margins, -TWO.margins]), weights=[0.5, 0.5])
    assert rated_run("online-ipo", TWO, 0.5, **numbers).predicted is not None
    open_ones = [
        rated_run("online-ipo", two, 0.5, **numbers),
        rated_run("online-ipo", TWO, 0.5, feedback=Feedback(2), **numbers),
        rated_run("online-ipo", TWO, 0.5, schedule="harmonic", **numbers),
    ]
    assert [(run.predicted, run.measured) for run in open_ones] == [(None, None)] * 3
    with pytest.raises(BadInput, match="rates belong to one prompt"):
        local_rate("online-ipo", two, 0.5, step_size=0.3)


def test_a_rate_is_measured_unless_it_is_not_asked_for() -> None:
    """By a run from near the fixed point, to six digits."""
    rate = local_rate("mmd", TWO, 0.5, step_size=0.3)
    assert rate is not None
    assert rate.measured == pytest.approx(rate.predicted, abs=1e-6)
    quick = local_rate("mmd", TWO, 0.5, step_size=0.3, measure=False)
    assert quick is not None
    assert (quick.predicted, quick.measured) == (rate.predicted, None)


@pytest.mark.parametrize("p", [0.51, 0.7, 0.9])
def test_a_single_mode_is_measured_without_a_second_of_noise(p: float) -> None:
    """Recorded every few steps a real mode has no second one; fitted to rounding, its rate was .95 or .999, not .87."""
    game = PreferenceGame.from_preferences([[0.5, p], [1 - p, 0.5]], reference=[0.3, 0.7])
    run = rated_run("mmd", game, 0.5, step_size=0.3, steps=4000)
    assert run.predicted is not None
    assert run.measured == pytest.approx(run.predicted, abs=1e-6)

"""Runs in small: which steps are recorded, of which games, from which data; each compiles for a second."""

from __future__ import annotations

import numpy as np
import pytest

from nashlab import solve as solver
from nashlab.algorithms import REGISTRY
from nashlab.certificate import exploitability
from nashlab.environment import Feedback
from nashlab.gallery import get
from nashlab.game import BadInput, PreferenceGame
from nashlab.solve import solve

GAME = get("figure-6").with_reference([0.5, 0.3, 0.2])
TAU, STEP = 0.3, 0.3


@pytest.mark.parametrize(("every", "moments"), [(4, [0, 4, 8, 10]), (5, [0, 5, 10])])
def test_every_so_many_steps_are_recorded_and_the_last(every: int, moments: list[int]) -> None:
    run = solve("omd", GAME, TAU, step_size=STEP, steps=10, every=every, keep_path=True)
    path = run.history["log_policy"]
    assert run.history["steps"].tolist() == moments
    assert path.shape == (len(moments), 3)
    assert path[0].tolist() == GAME.log_reference.tolist()
    assert path[-1].tolist() == run.log_policy.tolist()
    truth = run.course
    assert truth is not None
    for k, log_policy in enumerate(path):
        assert abs(run.history["exploitability"][k] - exploitability(GAME, log_policy, TAU)) <= 1e-14
        assert abs(run.history["distance"][k] - np.abs(np.exp(log_policy) - np.exp(truth.nash)).sum()) <= 1e-14


def test_games_run_in_blocks_as_they_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    upper = np.triu(rng.uniform(-0.5, 0.5, (5, 3, 3)), 1)
    games = PreferenceGame.from_margins(upper - np.swapaxes(upper, 1, 2))
    together = solve("omd", games, TAU, step_size=STEP, steps=6)
    monkeypatch.setattr(solver, "BLOCK", 2)
    blocks = solve("omd", games, TAU, step_size=STEP, steps=6)
    assert blocks.log_policy.shape == (5, 3)
    # a block of another size is compiled anew: the order of sums may differ
    assert np.abs(blocks.log_policy - together.log_policy).max() <= 1e-14
    assert blocks.history["exploitability"].shape == together.history["exploitability"].shape == (5, 7)
    assert np.abs(blocks.history["distance"] - together.history["distance"]).max() <= 1e-14


def test_an_offline_method_learns_from_the_behaviour_that_is_given() -> None:
    numbers = {"step_size": STEP, "steps": 4000}
    own = solve("offline-ipo", GAME, TAU, **numbers)  # type: ignore[arg-type]
    same = solve("offline-ipo", GAME, TAU, behaviour=[0.5, 0.3, 0.2], **numbers)  # type: ignore[arg-type]
    other = solve("offline-ipo", GAME, TAU, behaviour=[0.1, 0.1, 0.8], **numbers)  # type: ignore[arg-type]
    assert np.abs(own.policy - same.policy).max() <= 1e-12
    reply = np.array([0.5, 0.3, 0.2]) * np.exp(GAME.margins @ np.array([0.1, 0.1, 0.8]) / TAU)  # L4
    assert np.abs(other.policy - reply / reply.sum()).max() <= 1e-6
    assert np.abs(other.policy - own.policy).max() > 0.05


def test_a_theorem_s_largest_step_is_one_of_exact_runs() -> None:
    name = next(s.name for s in REGISTRY.values() if s.guarantee is not None and s.objective is not None)
    exact = solve(name, GAME, TAU, step_size=0.01, steps=2)
    sampled = solve(name, GAME, TAU, step_size=0.01, steps=2, feedback=Feedback(2))
    assert exact.course is not None
    assert sampled.course is not None
    assert exact.course.largest_step is not None
    assert exact.course.largest_step > 0
    assert sampled.course.largest_step is None
    free = solve("fictitious-play", GAME, 0.0, step_size=0.1, steps=2)
    assert free.course is not None
    assert free.course.largest_step is None


def test_raters_answer_with_probabilities_up_to_certainty() -> None:
    sure = PreferenceGame.from_margins([[0, 0.5], [-0.5, 0]])
    assert solve("online-ipo", sure, TAU, step_size=STEP, steps=2, feedback=Feedback(2)).status is not None
    with pytest.raises(BadInput, match="margins exceed ½"):
        solve("online-ipo", PreferenceGame.from_margins([[0, 0.6], [-0.6, 0]]), TAU, step_size=STEP, steps=2,
              feedback=Feedback(2))  # fmt: skip


def test_each_step_draws_one_prompt_and_weighs_it_by_its_rarity() -> None:
    """The mean over steps is then the mean over prompts: Σ_x ρ(x) · 1/ρ(x) · gradient(x) if each step draws x ~ ρ."""
    import jax

    rho = np.array([0.5, 0.2, 0.3])
    high = np.cumsum(rho)
    drawn = np.zeros(3)
    for time in range(60):
        with jax.enable_x64(True):
            turns = [float(solver._Stream(7, k, high[k] - rho[k], high[k]).draw(time)[1]) for k in range(3)]
        (one,) = np.flatnonzero(turns)
        assert abs(turns[one] * rho[one] - 1) <= 1e-12
        drawn[one] += 1
    # three standard deviations of 60 draws are below 12
    assert np.abs(drawn - 60 * rho).max() <= 12


def test_a_run_that_leaves_the_floats_ends_at_its_last_finite_record() -> None:
    wild = PreferenceGame.from_margins([[0, 1e200, -1e200], [-1e200, 0, 1e200], [1e200, -1e200, 0]],
                                       reference=[0.5, 0.3, 0.2])  # fmt: skip
    run = solve("omd", wild, TAU, step_size=1e150, steps=8)
    assert run.status.token == "diverged"
    assert np.isfinite(run.policy).all()
    assert all(np.isfinite(series).all() for series in run.history.values())


def test_two_completions_are_the_least_that_can_be_compared() -> None:
    both, sides = REGISTRY["online-ipo"], REGISTRY["nash-md-pg"]
    assert Feedback(2).check(both) == Feedback(2).check(sides) == Feedback(2)
    assert Feedback(3).check(both) == Feedback(3)
    for spec in (both, sides):
        with pytest.raises(BadInput, match="at least 2"):
            Feedback(1).check(spec)
    with pytest.raises(BadInput, match="must be even"):
        Feedback(3).check(sides)

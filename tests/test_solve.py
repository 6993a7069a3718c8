"""Runs in small: which steps are recorded, of which games, from which data; each compiles for a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nashlab import solve as solver
from nashlab.algorithms import REGISTRY
from nashlab.certificate import exploitability
from nashlab.environment import Feedback
from nashlab.gallery import get
from nashlab.game import BadInput, PreferenceGame
from nashlab.solution import NotSolved
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


def test_a_run_that_leaves_the_floats_is_the_run_up_to_there() -> None:
    """Its policy is that of a run of as many steps as were finite, and its records stay there."""
    numbers: dict[str, Any] = {"step_size": 1e40, "every": 2}  # log π grows by 1e39 a step
    run = solve("omd", GAME, TAU, steps=11, keep_path=True, **numbers)
    assert run.status.token == "diverged"
    path = run.history["log_policy"]
    assert run.history["steps"].tolist() == [0, 2, 4, 6, 8, 10, 11]
    assert path.shape == (7, 3)
    last = int(np.argmax(np.all(path == path[-1], axis=1)))
    assert 0 < last < 6
    short = solve("omd", GAME, TAU, steps=2 * last, **numbers)
    assert short.status.token != "diverged"
    assert np.array_equal(run.log_policy, short.log_policy)
    assert np.array_equal(run.log_policy, path[-1])
    for name in ("exploitability", "distance"):
        assert run.history[name][: last + 1].tolist() == short.history[name].tolist()
        assert set(run.history[name][last:].tolist()) == {short.history[name][-1]}


def test_prompts_move_with_their_share_of_the_step_and_are_averaged_by_it() -> None:
    """Prompt x is the run of its game with step ηρ(x); the series are means over ρ; a batch without ρ is neither."""
    rho = np.array([0.7, 0.3])
    margins = np.stack([GAME.margins, 0.5 * GAME.margins.T])
    both = PreferenceGame.from_margins(margins, weights=rho)
    whole = solve("online-ipo", both, TAU, step_size=STEP, steps=12)
    alone = [
        solve("online-ipo", PreferenceGame.from_margins(a), TAU, step_size=STEP * share, steps=12)
        for a, share in zip(margins, rho, strict=True)
    ]
    assert np.abs(whole.log_policy - np.stack([run.log_policy for run in alone])).max() <= 1e-13
    for name in ("exploitability", "distance", "target_distance"):
        mean = sum(share * run.history[name] for share, run in zip(rho, alone, strict=True))
        assert np.abs(whole.history[name] - mean).max() <= 1e-13
    batch = solve("online-ipo", PreferenceGame.from_margins(margins), TAU, step_size=STEP, steps=12)
    assert batch.history["distance"].shape == (2, 13)
    assert np.abs(batch.log_policy[0] - alone[0].log_policy).max() > 1e-3


def test_what_is_not_given_is_what_is_documented() -> None:
    """β = 1/8, the reference as the start, a record every step up to a thousand, and no seed but 0."""
    name = "ipo-md"  # its opponent depends on β
    plain = solve(name, GAME, TAU, step_size=STEP, steps=6)
    same = solve(name, GAME, TAU, step_size=STEP, steps=6, beta=0.125, start=GAME.log_reference, every=1)
    assert np.array_equal(plain.log_policy, same.log_policy)
    assert len(plain.history["steps"]) == 7
    for other in ({"start": np.log([0.2, 0.2, 0.6])}, {"beta": 0.25}):
        moved = solve(name, GAME, TAU, step_size=STEP, steps=6, **other)  # type: ignore[arg-type]
        assert np.abs(moved.policy - plain.policy).max() > 1e-5
    long = solve(name, GAME, TAU, step_size=STEP, steps=2002)
    assert long.history["steps"].tolist() == [*range(0, 2002, 3), 2002]
    drawn = [
        solve("online-ipo", GAME, TAU, step_size=STEP, steps=6, feedback=Feedback(2), **seed)  # type: ignore[arg-type]
        for seed in ({}, {"seed": 0}, {"seed": 1})
    ]
    assert np.array_equal(drawn[0].policy, drawn[1].policy)
    assert not np.array_equal(drawn[0].policy, drawn[2].policy)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"step_size": -1.0}, "step_size = -1"),
        ({"beta": 1.5}, "beta = 1.5"),
        ({"temperature": -0.1}, "temperature = -0.1"),
        ({"steps": 0}, "steps = 0, must be at least 1"),
        ({"schedule": "slow"}, "schedule = 'slow', must be one of constant, inverse-root, harmonic"),
        ({"feedback": Feedback(3)}, "completions = 3, must be even"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_numbers_that_no_run_can_have_are_refused_by_name(wrong: dict[str, Any], words: str) -> None:
    """Before anything is compiled."""
    numbers: dict[str, Any] = {"temperature": TAU, "step_size": STEP, "steps": 2} | wrong
    with pytest.raises(BadInput, match=words):
        solve("nash-md-pg", GAME, **numbers)


def test_a_run_has_converged_at_its_target_or_where_it_no_longer_moves() -> None:
    """Within 1e-8 in ℓ₁; with neither it has run out of steps, which ``throw`` raises."""
    near = solve("omd", GAME, TAU, step_size=STEP, steps=400)
    assert near.status.token == "converged"
    assert near.history["target_distance"][-1] <= 1e-8
    short = solve("omd", GAME, TAU, step_size=STEP, steps=5, every=1)
    assert short.status.token == "steps_exhausted"
    assert short.history["target_distance"][-1] > 1e-8
    with pytest.raises(NotSolved):
        solve("omd", GAME, TAU, step_size=STEP, steps=5, every=1, throw=True)
    for steps, word in ((3, "steps_exhausted"), (400, "converged")):
        run = solve("nash-md", GAME, TAU, step_size=STEP, steps=steps)
        assert run.status.token == word


def test_two_completions_are_the_least_that_can_be_compared() -> None:
    both, sides = REGISTRY["online-ipo"], REGISTRY["nash-md-pg"]
    assert Feedback(2).check(both) == Feedback(2).check(sides) == Feedback(2)
    assert Feedback(3).check(both) == Feedback(3)
    for spec in (both, sides):
        with pytest.raises(BadInput, match="at least 2"):
            Feedback(1).check(spec)
    with pytest.raises(BadInput, match="must be even"):
        Feedback(3).check(sides)

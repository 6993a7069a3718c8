"""Sampled feedback: the same specifications, seen through responses and annotations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_algorithms import COMPILED

from nashlab.algorithm import SAMPLERS, AlgorithmSpec, Pairwise, Setting
from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, random_policy
from nashlab.cli import main
from nashlab.compiling import quickly
from nashlab.environment import BanditEnvironment, ExactEnvironment, Feedback, moments
from nashlab.gallery import get, random_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import ipo
from nashlab.solve import solve
from nashlab.verify.estimators import bias

GAME = get("figure-6").with_reference([0.5, 0.3, 0.2])
SAMPLED = [s for s in REGISTRY.values() if s.objective is not None]
STARVED = [s for s in REGISTRY.values() if s.objective is None]


def test_the_exact_pull_is_the_mean_over_all_pairs_whoever_draws_them() -> None:
    """A contrastive loss whose two responses come from different policies, which no algorithm of the registry has."""
    policy, left, right = np.log([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    setting = Setting(GAME.log_reference, GAME.log_reference, 0.5, 0.1, 0.4)
    margins = np.array(GAME.margins)
    for other in (left, right):
        pull = ExactEnvironment(margins).pull(Pairwise(ipo), policy, left, other, setting)
        mean = moments(Pairwise(ipo), margins, policy, left, other, setting).mean
        assert np.abs(pull - mean).max() <= 1e-14
    # canary: both from the one or from the other is another pull
    assert np.abs(moments(Pairwise(ipo), margins, policy, left, left, setting).mean - mean).max() > 0.01


@pytest.mark.parametrize("feedback", [Feedback(2), Feedback(6), Feedback(4, "soft"), Feedback(4, "rater")], ids=str)
@pytest.mark.parametrize("name", ["online-ipo", "ipo-md", "nash-md-pg", "offline-ipo", "online-dpo"])
def test_the_mean_of_many_draws_is_the_exact_pull(name: str, feedback: Feedback) -> None:
    import jax

    spec, log_pi, draws = REGISTRY[name], np.log([0.2, 0.5, 0.3]), 40_000
    assert spec.objective is not None
    with jax.enable_x64(True):
        as_jax = jax.numpy.asarray
        setting = Setting(
            *(as_jax(np.asarray(x)) for x in (GAME.log_reference, np.log([0.3, 0.3, 0.4]), 0.5, 0.1, 0.4)), time=0
        )
        state = {"log_policy": as_jax(log_pi)}
        left = SAMPLERS[spec.left](state, setting)
        right = left if spec.left == spec.right else SAMPLERS[spec.right](state, setting)
        margins = as_jax(np.array(GAME.margins))

        def one(key: object) -> object:
            environment = BanditEnvironment(margins, key, feedback)
            return environment.pull(spec.objective, state["log_policy"], left, right, setting)  # type: ignore[arg-type]

        seen = np.asarray(quickly(jax.vmap(one))(jax.random.split(jax.random.PRNGKey(0), draws)))
        exact = np.asarray(ExactEnvironment(margins).pull(spec.objective, state["log_policy"], left, right, setting))
    error = seen.std(axis=0) / np.sqrt(draws)
    # four and a half standard errors for three coordinates: one false alarm in 50,000 seeds
    assert np.all(np.abs(seen.mean(axis=0) - exact) <= 4.5 * error)
    assert np.abs(seen.sum(axis=1)).max() <= 1e-9
    # canary: the pull of the game with its labels swapped is many standard errors away
    plain = Setting(*(np.asarray(x) for x in setting))
    other = ExactEnvironment(-np.array(GAME.margins))
    swapped = other.pull(spec.objective, log_pi, np.asarray(left), np.asarray(right), plain)
    assert np.any(np.abs(seen.mean(axis=0) - swapped) > 10 * error)


@pytest.mark.parametrize("spec", [s for s in SAMPLED if s in COMPILED], ids=lambda s: s.name)
def test_every_sampled_form_runs_and_repeats_bit_by_bit(spec: object) -> None:
    runs = [
        solve(spec, GAME.repeated(3), 0.3, step_size=0.05, steps=40, feedback=Feedback(4), seed=7)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    assert np.array_equal(runs[0].log_policy, runs[1].log_policy)
    assert np.all(np.isfinite(runs[0].history["exploitability"]))
    # every seed has a stream of its own
    assert np.abs(runs[0].policy[0] - runs[0].policy[1]).sum() > 0


@pytest.mark.parametrize("spec", STARVED, ids=lambda s: s.name)
def test_what_has_no_sampled_form_says_so_by_name(spec: object) -> None:
    with pytest.raises(BadInput, match=f"{spec.name} has no sampled form"):  # type: ignore[attr-defined]
        solve(spec, GAME, 0.3, step_size=0.05, steps=5, feedback=Feedback())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["online-ipo", "ipo-md", "nash-md-pg"])
def test_small_steps_settle_around_the_exact_target(name: str) -> None:
    run = solve(name, GAME.repeated(8), 0.3, step_size=0.02, steps=6000, feedback=Feedback(8), seed=1)
    assert run.history["target_distance"][:, 0].min() > 0.2
    assert run.history["target_distance"][:, -100:].mean() <= 0.08


def test_more_completions_less_noise() -> None:
    spread = [
        solve("online-ipo", GAME.repeated(64), 0.3, step_size=0.05, steps=1500, feedback=Feedback(k), seed=2)
        .history["target_distance"][:, -50:]
        .mean()
        for k in (2, 8)
    ]
    assert spread[1] < 0.7 * spread[0]


def test_the_command_line_gives_one_history_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "online-ipo", "--game", "rps-weighted", "--tau", "0.3", "--steps", "30", "--step-size", "0.05"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--feedback", "bandit", "--seeds", "3", "--seed", "5", "--json"])
    assert stop.value.code == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert len(run["policy"]) == len(run["exploitability"]) == 3
    assert len(run["exploitability"][0]) == len(run["steps"])
    for extra in (
        ["--seeds", "3"],
        ["--feedback", "bandit", "--completions", "1"],
        ["--labels", "soft"],
        ["--feedback", "bandit", "--seeds", "0"],
    ):
        with pytest.raises(SystemExit) as stop:
            main([*arguments, *extra])
        assert stop.value.code == 2
        assert extra[-2].removeprefix("--") in capsys.readouterr().err


# -- unbiasedness, and the three ways to lose it -----------------------------------------------------------------------


def _case(seed: int) -> tuple[Case, np.ndarray]:
    rng = np.random.default_rng(seed)
    game = random_game("uniform", 3, rng).with_reference(random_policy(3, rng))
    return Case(game, 0.3, np.log(random_policy(3, rng))), np.log(random_policy(3, rng))


@pytest.mark.parametrize("spec", SAMPLED, ids=lambda s: s.name)
def test_the_enumerated_mean_is_the_exact_pull_and_swapped_labels_are_not(spec: AlgorithmSpec) -> None:
    for seed in range(3):
        case, log_behaviour = _case(seed)
        assert bias(spec, case, log_behaviour) <= 1e-12
        assert bias(spec, case, log_behaviour, "labels") > 1e-3


@pytest.mark.parametrize("name", ["ipo-md", "nash-md-pg", "nash-ema-pg", "online-ipo"])
def test_samples_of_another_policy_are_a_bias(name: str) -> None:
    case, log_behaviour = _case(0)
    assert bias(REGISTRY[name], case, log_behaviour, "sampler") > 1e-3


def test_a_forgotten_baseline_is_a_bias_exactly_where_the_sampler_is_not_the_policy() -> None:
    """E_π[s] = 0, so on-policy any constant may go; E_ν[s] ≠ 0 for a mixture or a data policy (L5)."""
    for seed in range(3):
        case, log_behaviour = _case(seed)
        assert bias(REGISTRY["ipo-md"], case, log_behaviour, "baseline") > 1e-4
        assert bias(REGISTRY["offline-ipo"], case, log_behaviour, "baseline") > 1e-4
        # half of the contrast's weight on each of two identically distributed terms: the same mean
        assert bias(REGISTRY["online-ipo"], case, log_behaviour, "baseline") <= 1e-12


# -- contextual games --------------------------------------------------------------------------------------------------


def _contextual() -> PreferenceGame:
    rng = np.random.default_rng(4)
    margins = np.stack([random_game("uniform", 3, rng).margins for _ in range(3)])
    return PreferenceGame.from_margins(margins, weights=[0.5, 0.3, 0.2])


def test_each_step_draws_one_prompt_in_its_share() -> None:
    import jax

    from nashlab.solve import _Stream

    rho = np.array([0.5, 0.3, 0.2, 0.0])
    high = np.cumsum(rho)
    with jax.enable_x64(True):
        stream = _Stream(np.full(4, 11), np.arange(4), high - rho, high)
        times = np.arange(20_000)
        draw = jax.vmap(lambda s, t: s.draw(t)[1], in_axes=(0, None))
        turns = np.asarray(jax.jit(jax.vmap(draw, in_axes=(None, 0)))(stream, times))
    assert np.array_equal(np.sum(turns > 0, axis=1), np.ones(20_000))
    assert np.allclose(turns.max(axis=0), [2.0, 1 / 0.3, 5.0, 0.0], rtol=1e-12)
    # 1/ρ with probability ρ has standard deviation √(1/ρ − 1), at most 2; five of them over √20,000
    assert np.abs(turns.mean(axis=0)[:3] - 1).max() <= 5 * 2 / np.sqrt(20_000)


@pytest.mark.parametrize("name", ["online-ipo", "nash-md-pg"])
def test_a_contextual_game_is_learnt_from_samples(name: str) -> None:
    run = solve(name, _contextual(), 0.5, step_size=0.03, steps=30_000, feedback=Feedback(8, "soft"), seed=3)
    assert run.history["target_distance"][0] > 0.15
    assert run.history["target_distance"][-100:].mean() <= 0.06


def test_large_seeds_are_not_rounded() -> None:
    answers = [
        solve("online-ipo", GAME, 0.3, step_size=0.05, steps=30, feedback=Feedback(), seed=seed).policy
        for seed in (2**53, 2**53 + 1)
    ]
    assert np.abs(answers[0] - answers[1]).sum() > 0


def test_halves_of_two_samplers_need_an_even_number() -> None:
    with pytest.raises(BadInput, match="completions = 3, must be even for nash-md-pg: half are drawn from its policy"):
        solve("nash-md-pg", GAME, 0.3, step_size=0.05, steps=5, feedback=Feedback(3))
    with pytest.raises(BadInput, match="did you mean 'soft'"):
        solve("online-ipo", GAME, 0.3, step_size=0.05, steps=5, feedback=Feedback(4, "sotf"))  # type: ignore[arg-type]

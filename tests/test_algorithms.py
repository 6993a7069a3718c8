"""The contract of the registry: every algorithm of theory §4, one table of tests."""

from __future__ import annotations

import os

import numpy as np
import pytest

from nashlab.algorithm import AlgorithmSpec, Problem, Setting
from nashlab.algorithms import REGISTRY, get
from nashlab.arrays import kl, log_softmax
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import PAPER_TABLE_1, random_game
from nashlab.gallery import get as gallery
from nashlab.game import BadInput, PreferenceGame
from nashlab.rates import local_rate
from nashlab.solution import NotSolved, Status
from nashlab.solve import solve

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
# a compiled engine of these differs from another method's in one elementwise function; compiling each costs seconds
ALIKE = (
    "nash-mirror-prox", "rspo-forward-kl", "rspo-chi2", "rspo-renyi", "smooth-predictive-regret-matching-plus"
)  # fmt: skip
COMPILED = [s for s in REGISTRY.values() if DEEP or s.name not in ALIKE]

SPECS = pytest.mark.parametrize("spec", REGISTRY.values(), ids=list(REGISTRY))
ENGINES = pytest.mark.parametrize("spec", COMPILED, ids=lambda s: s.name)
WITH_TARGET = [s for s in REGISTRY.values() if s.target is not None]

GAME = gallery("figure-6").with_reference([0.5, 0.3, 0.2])
TAU, STEP, BETA = 0.3, 0.3, 0.25
COUNT = 40  # steps of every short run: an engine is compiled once for a method, a number of steps and a shape


def steps(spec: AlgorithmSpec, game: PreferenceGame, start: np.ndarray, count: int, step: float = STEP) -> np.ndarray:
    """The answer after a number of plain numpy steps."""
    log_data = game.log_reference
    setting = Setting(game.log_reference, log_data, TAU, step, BETA, 0.0)
    environment, state = ExactEnvironment(spec.judged(game, log_data)), spec.start(start)
    for t in range(count):
        state = spec.step(state, setting._replace(time=float(t)), environment)
    return np.asarray(spec.answer(state, setting._replace(time=float(count))))


@pytest.mark.parametrize("spec", WITH_TARGET, ids=lambda s: s.name)
def test_the_target_is_a_fixed_point_and_its_neighbour_is_not(spec: AlgorithmSpec) -> None:
    assert spec.target is not None
    target = spec.target(Problem(GAME, TAU, STEP, BETA, GAME.log_reference))
    at = target
    if spec.name == "nash-md-debiased":  # its answer is a mixture of its state, which rests where Nash-MD does
        cold = TAU / (1 + STEP * TAU)
        at = log_softmax((target - STEP * cold * GAME.log_reference) / (1 - STEP * cold))
    count = 500 if spec.name == "slhf" else 1  # its follower has to learn its answers first, at rate 1/(1 + ητ)
    assert np.abs(np.exp(steps(spec, GAME, at, count)) - np.exp(target)).sum() <= 1e-12
    # canary: one step from a point 1e-3 away moves
    moved = log_softmax(target + 1e-3 * np.array([1.0, -1.0, 0.0]))
    assert np.abs(np.exp(steps(spec, GAME, moved, 1)) - np.exp(moved)).sum() > 1e-7


@pytest.mark.parametrize("spec", [s for s in COMPILED if s.target is not None], ids=lambda s: s.name)
def test_runs_end_at_the_declared_target(spec: AlgorithmSpec) -> None:
    run = solve(spec, GAME, TAU, step_size=STEP, steps=60_000 if spec.name == "rlhf-pg" else 12_000, beta=BETA)
    assert run.status is Status.CONVERGED
    assert run.history["target_distance"][-1] <= 1e-8
    assert run.history["target_distance"][0] > 1e-3


@SPECS
def test_relabelling_the_responses_relabels_the_run(spec: AlgorithmSpec) -> None:
    order = np.array([2, 0, 1])
    moved = PreferenceGame.from_margins(GAME.margins[np.ix_(order, order)], reference=GAME.reference[order])
    plain = steps(spec, GAME, GAME.log_reference, 7)
    with np.errstate(invalid="ignore"):
        assert np.abs(np.exp(steps(spec, moved, moved.log_reference, 7)) - np.exp(plain[order])).max() <= 1e-13


@ENGINES
def test_the_engine_equals_plain_numpy_and_a_batch_equals_a_loop(spec: AlgorithmSpec) -> None:
    rng = np.random.default_rng(0)
    games = [GAME.margins, random_game("cyclic", 3, rng).margins]
    batch = PreferenceGame.from_margins(np.stack(games), reference=[0.5, 0.3, 0.2])
    whole = solve(spec, batch, TAU, step_size=STEP, steps=COUNT, beta=BETA)
    for x, margins in enumerate(games):
        one = PreferenceGame.from_margins(margins, reference=[0.5, 0.3, 0.2])
        single = solve(spec, one, TAU, step_size=STEP, steps=COUNT, beta=BETA)
        assert np.abs(whole.policy[x] - single.policy).max() <= 1e-13
        assert np.abs(single.policy - np.exp(steps(spec, one, one.log_reference, COUNT))).max() <= 1e-12
        assert np.allclose(whole.history["distance"][x], single.history["distance"], rtol=0, atol=1e-12)


@ENGINES
def test_runs_are_repeatable_bit_by_bit(spec: AlgorithmSpec) -> None:
    runs = [solve(spec, GAME, TAU, step_size=STEP, steps=COUNT, beta=BETA) for _ in range(2)]
    assert np.array_equal(runs[0].log_policy, runs[1].log_policy)
    assert np.array_equal(runs[0].history["exploitability"], runs[1].history["exploitability"])


@ENGINES
def test_a_starved_run_says_so(spec: AlgorithmSpec) -> None:
    run = solve(spec, GAME, TAU, step_size=1e-3, steps=COUNT, beta=BETA)
    assert run.status is Status.STEPS_EXHAUSTED
    assert np.all(np.isfinite(run.history["exploitability"]))
    with pytest.raises(NotSolved):
        solve(spec, GAME, TAU, step_size=1e-3, steps=COUNT, beta=BETA, throw=True)


@ENGINES
def test_absurd_steps_never_give_nan(spec: AlgorithmSpec) -> None:
    run = solve(spec, GAME, TAU, step_size=1e6, steps=COUNT, beta=BETA)
    assert not np.any(np.isnan(run.log_policy))
    assert abs(run.policy.sum() - 1) <= 1e-9


@ENGINES
def test_padded_prompts_get_no_mass(spec: AlgorithmSpec) -> None:
    two = PreferenceGame.from_margins([[0, 0.3], [-0.3, 0]], reference=[0.6, 0.4])
    margins = np.stack([GAME.margins, np.pad(two.margins, ((0, 1), (0, 1)))])
    game = PreferenceGame.from_margins(margins, reference=[GAME.reference, [0.6, 0.4, 0.0]])
    run = solve(spec, game, TAU, step_size=STEP, steps=COUNT, beta=BETA)
    assert run.policy[1, 2] == 0
    for x, one in enumerate((GAME, two)):
        alone = np.exp(steps(spec, one, one.log_reference, COUNT))
        assert np.abs(run.policy[x, : one.n] - alone).max() <= 1e-12


CONTRACTIONS = [s for s in REGISTRY.values() if s.guarantee and s.guarantee.factor]


@pytest.mark.parametrize("spec", CONTRACTIONS, ids=lambda s: s.name)
def test_the_declared_guarantee_holds_on_random_games(spec: AlgorithmSpec) -> None:
    assert spec.guarantee is not None
    assert spec.guarantee.factor is not None
    rng = np.random.default_rng(2)
    for family in ("uniform", "cyclic", "tournament", "bradley-terry"):
        game = random_game(family, 5, rng)
        for tau in (0.05, 0.3, 2.0):
            q = regularised_nash(game, tau).log_policy
            largest = spec.guarantee.largest_step(Problem(game, tau, 0.1, BETA, game.log_reference))
            problem = Problem(game, tau, largest, BETA, game.log_reference)
            factor = spec.guarantee.factor(problem)
            run = solve(spec, game, tau, step_size=largest, steps=60, keep_path=True)
            divergence = kl(q[None, :], run.history["log_policy"])
            # below 1e-13 a divergence is rounding
            held = divergence[:-1] > 1e-13
            assert np.all(divergence[1:][held] <= factor * divergence[:-1][held] * (1 + 1e-6) + 1e-13)


# what may be left to exploit after 20,000 steps, a little more than is found; SPO, of steps η/√t, promises
# log n/(η√T) = .078, SPPO log n/(ηT) + η/24 = .0047
AVERAGES = {
    "sppo": 1e-3,
    "spo": 0.03,
    "fictitious-play": 1.5e-3,
    "regret-matching-plus": 1e-3,
    "predictive-regret-matching-plus": 1e-5,
}


@pytest.mark.parametrize("name", AVERAGES)
def test_average_iterates_approach_a_maximal_lottery(name: str) -> None:
    game = gallery("weighted-cycle")
    game = PreferenceGame.from_margins(game.margins / 6, name="weighted cycle")
    run = solve(name, game, 0.0, step_size=0.1, steps=20_000)
    gap = float(np.max(game.margins @ run.policy))
    assert 0 <= gap <= AVERAGES[name]
    # v = A(π − π*) ≤ gap and π*·v = 0: at the worst corner of these v, (1, −5, 1) gap, the distance is 12 gap
    assert np.abs(run.policy - maximal_lottery(game).policy).sum() <= 12 * gap * (1 + 1e-9)


def test_averages_of_mwu_obey_their_bound() -> None:
    game = gallery("circulant-41")
    for step, count in ((0.5, 100), (0.1, 2000)):
        run = solve("sppo", game, 0.0, step_size=step, steps=count)
        assert np.max(game.margins @ run.policy) <= np.log(41) / (step * count) + step / 24


def test_comal_finds_a_maximal_lottery_with_its_last_iterate() -> None:
    game = gallery("figure-6").with_reference([0.5, 0.3, 0.2])
    run = solve("comal", game, 0.5, step_size=1.0, steps=20_000)
    assert np.abs(run.policy - maximal_lottery(game).policy).sum() <= 1e-6


def test_optimism_converges_without_regularisation_and_mwu_does_not() -> None:
    game = gallery("figure-6").with_reference([0.5, 0.3, 0.2])
    lottery = maximal_lottery(game).policy
    assert np.abs(solve("omwu", game, 0.0, step_size=1.0, steps=20_000).policy - lottery).sum() <= 1e-8
    assert np.abs(solve("omd", game, 0.0, step_size=1.0, steps=20_000).policy - lottery).sum() > 0.5


def test_the_papers_table_1_is_read_off_the_specifications() -> None:
    for name, row in PAPER_TABLE_1.items():
        spec = get(name)
        assert (spec.contrastive, spec.online, spec.regularised_sampling) == row


def test_xpo_scores_both_responses_and_explores_against_the_reference() -> None:
    """Algorithm 1 of arXiv 2405.21046: y ~ π, y' ~ π_ref; what its step is, claim L12.xpo says."""
    spec = get("xpo")
    assert (spec.contrastive, spec.online, spec.left, spec.right) == (True, True, "policy", "reference")


def test_contextual_games_average_exploitability_and_gradient() -> None:
    rng = np.random.default_rng(3)
    parts = [random_game("cyclic", 3, rng) for _ in range(2)]
    rho = np.array([0.8, 0.2])
    game = PreferenceGame.from_margins(np.stack([p.margins for p in parts]), weights=rho)
    run = solve("online-ipo", game, TAU, step_size=STEP, steps=30)
    for x, part in enumerate(parts):
        # a shared step size: prompt x sees its own gradient times ρ(x)
        assert (
            np.abs(run.policy[x] - np.exp(steps(get("online-ipo"), part, part.log_reference, 30, STEP * rho[x]))).max()
            <= 1e-12
        )
    gaps = [
        solve("online-ipo", p, TAU, step_size=STEP * r, steps=30).history["exploitability"]
        for p, r in zip(parts, rho, strict=True)
    ]
    assert np.allclose(run.history["exploitability"], rho @ np.array(gaps), rtol=0, atol=1e-12)
    assert run.certificate.l1_bound.shape == (2,)


@pytest.mark.parametrize("name", ["omd", "egpo", "online-ipo", "ipo-md", "nash-md-pg", "rlhf-pg", "online-dpo"])
def test_predicted_and_measured_rates_agree(name: str) -> None:
    rate = local_rate(name, GAME, TAU, step_size=STEP, beta=BETA)
    assert rate is not None
    assert rate.measured is not None
    assert abs(rate.predicted - rate.measured) <= 1e-5


def test_an_unstable_step_is_predicted_and_seen() -> None:
    rate = local_rate("omd", GAME, 0.05, step_size=6.0)
    assert rate is not None
    assert rate.measured is not None
    assert rate.predicted > 1.1
    assert abs(rate.predicted - rate.measured) <= 1e-3
    closed = local_rate("omd", gallery("rps"), 0.1, step_size=2.0)
    assert closed is not None
    assert abs(closed.predicted - abs(1 - 0.2 + 2j * np.sqrt(3) / 6)) <= 1e-12


def test_the_limit_of_nash_md_is_known_up_to_a_mixture_that_is_the_reference() -> None:
    """At ητ = 1 it is the best reply to μ; beyond, where the mixture would have a negative weight, nothing is said."""
    target = REGISTRY["nash-md"].target
    assert target is not None
    at_one = target(Problem(GAME, 0.5, 2.0, BETA, GAME.log_reference))
    reply = GAME.log_reference + GAME.margins @ np.exp(GAME.log_reference) / 0.5
    assert at_one is not None
    assert np.abs(at_one - log_softmax(reply)).max() <= 1e-14
    assert target(Problem(GAME, 0.5, 2.001, BETA, GAME.log_reference)) is None


def test_nash_md_names_its_limit_and_offers_the_unbiased_form() -> None:
    spec = get("nash-md")
    assert spec.unbiased == "nash-md-debiased"
    assert spec.target is not None
    limit = spec.target(Problem(GAME, TAU, 0.5, BETA, GAME.log_reference))
    off = np.abs(np.exp(limit) - regularised_nash(GAME, TAU).policy).sum()
    assert 1e-4 < off <= 0.5 / (4 * np.sqrt(3) * TAU)  # N10
    run = solve("nash-md-debiased", GAME, TAU, step_size=0.5, steps=2000)
    assert run.history["distance"][-1] <= 1e-9


@pytest.mark.parametrize(
    ("arguments", "change", "message"),
    [
        (("no-such", GAME, TAU), {}, "algorithm 'no-such' is unknown"),
        (("online-ip", GAME, TAU), {}, "did you mean 'online-ipo'"),
        (("online-ipo", GAME, 0.0), {}, "temperature = 0, must be positive for online-ipo"),
        (("omd", GAME, -1.0), {}, "temperature = -1.0, must be finite and at least 0"),
        (("omd", GAME, TAU), {"step_size": -1}, "step_size = -1, must be positive and finite"),
        (("ipo-md", GAME, TAU), {"beta": 2}, r"beta = 2, must be in \[0, 1\]"),
        (("omd", GAME, TAU), {"steps": 0}, "steps = 0, must be at least 1"),
    ],
)
def test_bad_input_is_named(
    arguments: tuple[str, PreferenceGame, float], change: dict[str, float], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        solve(*arguments, **({"step_size": STEP, "steps": 5} | change))

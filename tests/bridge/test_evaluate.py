"""Win rates against loops over everything, intervals against the binomial test, averages against a programme."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import binomtest

from llm_bridge.experiment import agreement, evaluate
from llm_bridge.experiment.evaluate import (
    PAPER,
    Answers,
    clopper_pearson,
    closed_tables,
    judged_tables,
    nash_average,
    pairings,
    rouge,
    win_rates,
)
from nashlab.certificate import exploitability
from nashlab.gallery import random_game
from nashlab.game import BadInput, PreferenceGame

RNG = np.random.default_rng(3)
PROMPTS, CANDIDATES, SEEDS = 5, 4, 3
MARGINS = np.stack([random_game("uniform", CANDIDATES, RNG).margins for _ in range(PROMPTS)])


def policies(seeds: int = SEEDS) -> list[np.ndarray]:
    return [RNG.dirichlet(np.ones(CANDIDATES), PROMPTS) for _ in range(seeds)]


@pytest.mark.parametrize("canary", [False, True], ids=["", "canary: column against row"])
def test_pairings_are_the_double_sum_over_candidates(canary: bool) -> None:
    ours, theirs = policies(2), policies(3)
    found = pairings(MARGINS, theirs, ours) if canary else pairings(MARGINS, ours, theirs)
    worst = 0.0
    for s, t, x in itertools.product(range(2), range(3), range(PROMPTS)):
        p = sum(
            ours[s][x, i] * theirs[t][x, j] * (0.5 + MARGINS[x, i, j])
            for i, j in itertools.product(range(CANDIDATES), repeat=2)
        )
        worst = max(worst, abs(p - (found[t, s, x] if canary else found[s, t, x])))
    assert (worst < 1e-14) != canary  # sums of 16 products below 1


def test_shapes_that_do_not_fit_are_refused() -> None:
    shapes = r"margins \(5, 4, 4\), policies \(1, 2, 2\) and \(3, 5, 4\), must be \[X, K, K\] and \[S, X, K\]"
    with pytest.raises(BadInput, match=shapes):
        pairings(MARGINS, [np.ones((2, 2))], policies())


def test_the_table_is_mean_and_std_over_pairings_and_antisymmetric() -> None:
    each = {"a": policies(), "b": policies(), "c": policies(1)}
    table = win_rates(list(each), lambda x, y: pairings(MARGINS, each[x], each[y]))
    mean, std = np.array(table["mean"]), np.array(table["std"])
    assert np.abs(mean + mean.T - 1).max() < 1e-15
    assert np.abs(std - std.T).max() < 1e-15
    nine = [pairings(MARGINS, [s], [t]).mean() for s in each["a"] for t in each["b"]]
    assert abs(mean[0, 1] - np.mean(nine)) < 1e-15
    assert abs(std[0, 1] - np.std(nine, ddof=1)) < 1e-15
    won = table["won"][0][1]
    by_prompt = pairings(MARGINS, each["a"], each["b"]).mean(axis=(0, 1))
    assert won["wins"] == int((by_prompt > 0.5).sum())
    assert won["losses"] == table["won"][1][0]["wins"]
    assert table["won"][0][0] is None


@pytest.mark.parametrize(("wins", "total"), [(0, 7), (7, 7), (3, 9), (50, 64), (0, 0)])
def test_intervals_are_those_of_the_binomial_test(wins: int, total: int) -> None:
    low, high = clopper_pearson(wins, total)
    if total == 0:
        assert (low, high) == (0.0, 1.0)
        return
    known = binomtest(wins, total).proportion_ci(0.95, "exact")
    assert abs(low - known.low) < 1e-9
    assert abs(high - known.high) < 1e-9
    # canary: the normal approximation is another interval
    half = 1.96 * np.sqrt(wins / total * (1 - wins / total) / total)
    assert max(abs(low - (wins / total - half)), abs(high - (wins / total + half))) > 1e-3


def test_nash_averaging_solves_the_programme() -> None:
    for seed in range(5):
        p = random_game("uniform", 6, np.random.default_rng(seed)).preferences
        found = nash_average(p)
        a = p - 0.5
        best = linprog(np.r_[np.zeros(6), -1], A_ub=np.c_[-a.T, np.ones(6)], b_ub=np.zeros(6),
                       A_eq=[[1] * 6 + [0]], b_eq=[1], bounds=[(0, None)] * 6 + [(None, None)])  # fmt: skip
        assert abs(best.fun) < 1e-9
        assert np.abs(np.array(found["policy"]) - best.x[:6]).sum() < 1e-8  # generic games have one equilibrium
        assert found["exploitability"] < 1e-12
        assert np.abs(np.full(6, 1 / 6) - best.x[:6]).sum() > 1e-2  # canary: the uniform average is not it


def test_support_shares_are_by_resampled_prompts() -> None:
    sure = np.full((2, 2, 30), 0.5)
    sure[0, 1], sure[1, 0] = 0.8, 0.2
    assert nash_average(sure.mean(axis=2), sure.tolist())["support_share"] == [1.0, 0.0]


def test_agreement_counts_pairs_in_another_order() -> None:
    table = np.array(PAPER["win_rates"])
    assert agreement(PAPER["methods"], table)["kendall"] == pytest.approx(1.0)
    swapped = ["ipo-md", "online-ipo", *PAPER["methods"][2:]]
    found = agreement(swapped, table)
    assert (found["discordant_pairs"], found["pairs"]) == (1, 15)
    assert found["order_here"][:2] == ["ipo-md", "online-ipo"]
    assert agreement(["online-ipo", "omd"], np.full((2, 2), 0.5)) is None


def test_the_papers_table_is_antisymmetric_as_printed() -> None:
    table = np.array(PAPER["win_rates"])
    assert np.abs(table + table.T - 1).max() < 1.5e-3  # three printed digits


def test_the_equilibrium_is_a_player_that_nobody_exploits() -> None:
    log_mu = np.log(policies(1)[0])
    logs = {"all": {"reference": log_mu, "policies": {("a", 0): np.log(policies(1)[0]), ("b", 0): log_mu}}}
    table = closed_tables(["a", "b"], {"all": MARGINS}, logs, 0.2)["all"]
    quality = table["quality"]
    assert quality["equilibrium"]["exploitability"][0] < 1e-12
    assert quality["equilibrium"]["distance"][0] < 1e-9
    mu = np.exp(log_mu)
    game = PreferenceGame.from_margins(MARGINS, reference=mu / mu.sum(axis=1, keepdims=True))
    known = float(exploitability(game, logs["all"]["policies"]["a", 0], 0.2).mean())
    assert quality["a"]["exploitability"][0] == pytest.approx(known, abs=1e-15)
    assert quality["b"]["kl"] == [0.0]
    assert table["methods"] == ["a", "b", "reference", "equilibrium"]
    assert len(table["nash_averaging"]["policy"]) == 2


# -- completions -----------------------------------------------------------------------------------------------------

TEXTS = ["x1", "x2", "x3"]


def longer(prompts, left, right):
    return np.array([1 / (1 + np.exp(-(len(a) - len(b)))) for a, b in zip(left, right, strict=True)])


def answers() -> dict[str, list[Answers]]:
    return {
        "online-ipo": [Answers.of(["aaa", "b", "cc"]), Answers.of(["a", "bb", "c"])],
        "rlhf-pg": [Answers.of(["a", "bb", "c"]), Answers.of(["dd", "d", "dddd"])],
        "human": [Answers.of(["aa", "bb", "cc"])],
    }


@pytest.mark.parametrize("canary", [False, True], ids=["", "canary: judged in the other order"])
def test_judged_tables_are_means_over_texts_and_pairings(canary: bool) -> None:
    judge = (lambda x, y, z: longer(x, z, y)) if canary else longer
    given = answers()
    table = judged_tables(["online-ipo", "rlhf-pg"], TEXTS, given, {"raters": judge}, {})["raters"]
    expected = np.mean([
        longer([x], [a.texts[i]], [b.texts[i]])[0]
        for a in given["online-ipo"] for b in given["rlhf-pg"] for i, x in enumerate(TEXTS)
    ])  # fmt: skip
    assert (abs(table["mean"][0][1] - expected) < 1e-15) != canary
    assert table["methods"][2] == "human"


def test_a_judge_that_scores_picks_the_larger_score() -> None:
    scores = {name: [[float(len(t)) for t in a.texts] for a in rows] for name, rows in answers().items()}
    table = judged_tables(["online-ipo", "rlhf-pg"], TEXTS, answers(), {}, scores)["likelihood judge"]
    gaps = [np.sign(a - b) for s in scores["online-ipo"] for t in scores["rlhf-pg"] for a, b in zip(s, t, strict=True)]
    assert table["mean"][0][1] == pytest.approx(0.5 + 0.5 * np.mean(gaps), abs=1e-15)


def test_arguments_that_cannot_be_are_refused() -> None:
    for level in (0.0, 1.0, 1.5, -0.5, float("nan")):
        with pytest.raises(BadInput, match=f"level = {level}, must be between 0 and 1"):
            clopper_pearson(3, 10, level)
    for wins, total in ((-1, 10), (11, 10)):
        with pytest.raises(BadInput, match=f"wins = {wins}, must be between 0 and total = {total}"):
            clopper_pearson(wins, total)
    with pytest.raises(BadInput, match="2 texts and 1 human ones, must be equally many"):
        rouge(["a", "b"], ["a"])


def test_rouge_counts_words_and_order() -> None:
    found = rouge(["the cat sat", "dogs"], ["the cat ran fast", "dog"])
    assert found["rouge1"] == pytest.approx([2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4), 1.0])  # stems agree
    assert found["rouge2"] == pytest.approx([2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3), 0.0])


def test_answers_survive_their_file(tmp_path) -> None:
    one = Answers.of(["é", "b"], ["é", "c"], [0.5, -0.1], [2, 3], [True, False])
    one.write(tmp_path / "a.json")
    assert Answers.read(tmp_path / "a.json") == one
    assert one.quality()["kl"] == pytest.approx(0.2)
    assert one.quality()["ended"] == 0.5
    assert "kl" not in Answers.of(["x"]).quality()


def test_every_public_name_is_there() -> None:
    assert all(hasattr(evaluate, name) for name in evaluate.__all__)

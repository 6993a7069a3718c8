"""Raters: features by hand, rules by enumeration, cycles on games with known answers, and what the docstring claims."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import minimize

from llm_bridge.data import Example, load_corpus
from llm_bridge.judges import (
    CANDIDATE_KINDS,
    FEATURES,
    Criterion,
    Lexicographic,
    Majority,
    NGram,
    RaterPopulation,
    SummaryFeatures,
    candidate_sets,
    content_words,
    intransitivity,
    matrix,
    summary_raters,
)
from llm_bridge.judges.raters import Rule
from nashlab.game import BadInput

Array = NDArray[np.float64]

TEXT = "Foo edits maps. Foo draws maps of rivers, and it exports the maps."
EXAMPLES = [
    Example(TEXT, "map editor for rivers"),
    Example("Bar plays music and edits it.", "music player"),
    Example("Baz plays games.", "game of chess"),
]
REFERENCES = {e.prompt: e.summary for e in EXAMPLES}


# -- features --------------------------------------------------------------------------------------------------------


def feature(name: str, summary: str, text: str = TEXT) -> float:
    return float(SummaryFeatures(EXAMPLES, REFERENCES)([text], [summary])[0, FEATURES.index(name)])


def test_coverage_by_hand() -> None:
    # key words: count × log((1 + 3)/(½ + frequency)); "edits" is in two texts, the others in one
    rare, common = math.log(4 / 1.5), math.log(4 / 2.5)
    weights = {"foo": 2 * rare, "maps": 3 * rare, "draws": rare, "rivers": rare, "exports": rare, "edits": common}
    total = sum(weights.values())
    assert feature("coverage", "Maps, rivers; and MAPS!") == pytest.approx((4 * rare) / total)
    assert feature("coverage", " ".join(weights)) == pytest.approx(1)
    assert feature("coverage", "the and of") == 0
    assert feature("coverage", "anything", "") == 0


def test_brevity_and_overlap_by_hand() -> None:
    assert feature("brevity", "an editor, for maps") == -4
    assert feature("brevity", "") == 0
    # {map, editor, rivers} and {editor, rivers, lakes, big}: 2 · 2 / (3 + 4)
    assert feature("overlap", "editor of rivers, lakes; big") == pytest.approx(4 / 7)
    assert feature("overlap", "map editor for rivers") == 1
    assert feature("overlap", "") == 0
    assert feature("overlap", "map editor", "a text without a human summary") == 0


def test_every_text_has_finite_features() -> None:
    strange = ["", " ", "\n\n", "the", "\x00\x03", "日本語 😀", "a" * 5000, "?!"]
    features = SummaryFeatures(EXAMPLES, REFERENCES)
    assert np.isfinite(features([TEXT] * len(strange), strange)).all()
    assert np.isfinite(features(strange, [TEXT] * len(strange))).all()
    with pytest.raises(BadInput, match="fluency of 'a'"):
        SummaryFeatures(EXAMPLES, REFERENCES, lambda text: math.nan)([TEXT], ["a"])
    with pytest.raises(BadInput, match="examples is empty"):
        SummaryFeatures([], {})


def test_fluency_is_pluggable() -> None:
    features = SummaryFeatures(EXAMPLES, REFERENCES, lambda text: -7.0 * len(text))
    assert features([TEXT], ["abc"])[0, FEATURES.index("fluency")] == -21


def naive_witten_bell(texts: list[str], history: str, order: int) -> dict[str, float]:
    """p(· | history) over all 256 symbols, by counting anew for each order."""
    lines = ["\x02" * (order - 1) + text + "\x03" for text in texts]
    p = {chr(c): 1 / 256 for c in range(256)}
    for length in range(order):
        context = history[len(history) - length :]
        # only symbols that were predicted in training count: the starts themselves were not
        follow = [line[i] for line in lines for i in range(order - 1, len(line)) if line[i - length : i] == context]
        if not follow:
            break
        kinds = len(set(follow))
        p = {c: (follow.count(c) + kinds * q) / (len(follow) + kinds) for c, q in p.items()}
    return p


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_n_gram_model_is_witten_bell_and_sums_to_one(order: int) -> None:
    texts = ["abab", "abc", "b"]
    model = NGram(texts, order)
    for text in ("ab", "abz", ""):
        line, total = "\x02" * (order - 1) + text + "\x03", 0.0
        for i in range(order - 1, len(line)):
            p = naive_witten_bell(texts, line[:i], order)
            assert sum(p.values()) == pytest.approx(1, abs=1e-12)
            total += math.log(p[line[i]])
        assert model.log_prob(text) == pytest.approx(total, rel=1e-12)
        assert model(text) == pytest.approx(total / (len(text) + 1), rel=1e-12)


def test_the_n_gram_model_refuses_nothing_to_learn_from() -> None:
    with pytest.raises(BadInput, match="texts is empty"):
        NGram([])
    with pytest.raises(BadInput, match="order = 0"):
        NGram(["a"], 0)


# -- rules -----------------------------------------------------------------------------------------------------------

THREE = tuple(Criterion(name, 1.0) for name in FEATURES[:3])
RULES: list[Rule] = [Lexicographic(THREE), Majority(THREE), Lexicographic(THREE[:1]), Majority(THREE[:1], 0.5)]
differences = arrays(np.float64, (4, 3), elements=st.floats(-1e3, 1e3))


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def enumerated_majority(d: Array, sharpness: float) -> float:
    """The probability of more than half of the votes, over all 2^C outcomes."""
    total = 0.0
    for votes in itertools.product((0, 1), repeat=len(d)):
        if sum(votes) > len(d) / 2:
            total += math.prod(sigma(sharpness * (x if v else -x)) for x, v in zip(d, votes, strict=True))
    return total


def recursive_lexicographic(d: Array, sharpness: float) -> float:
    own = sigma(sharpness * d[0])
    if len(d) == 1:
        return own
    decides = d[0] ** 4 / (1 + d[0] ** 4)
    return decides * own + (1 - decides) * recursive_lexicographic(d[1:], sharpness)


@given(differences)
def test_rules_are_what_they_say(d: Array) -> None:
    # sums of at most eight products of numbers in [0, 1]
    np.testing.assert_allclose(Majority(THREE)(d), [enumerated_majority(row, 2.0) for row in d], rtol=0, atol=1e-14)
    truth = [recursive_lexicographic(row, 2.0) for row in d]
    np.testing.assert_allclose(Lexicographic(THREE)(d), truth, rtol=0, atol=1e-14)


@given(differences)
def test_rules_are_antisymmetric(d: Array) -> None:
    for rule in RULES:
        x = d[:, : len(rule.criteria)]
        np.testing.assert_allclose(rule(x) + rule(-x), 1, rtol=0, atol=1e-14)


def test_the_antisymmetry_check_catches_a_rule_with_an_odd_weight() -> None:
    """The canary: g(d) = σ(d) is not even."""

    def broken(d: Array) -> Array:
        g = 1 / (1 + np.exp(-d[:, 0]))
        return g / (1 + np.exp(-d[:, 0])) + (1 - g) / (1 + np.exp(-d[:, 1]))

    d = np.array([[1.0, 0.3, 0.0]])
    assert abs(float((broken(d) + broken(-d) - 1)[0])) > 0.05


def test_a_clear_difference_decides_and_a_small_one_does_not() -> None:
    rule = Lexicographic(THREE)
    assert rule(np.array([[10.0, -10.0, -10.0]]))[0] > 0.999
    assert rule(np.array([[0.05, -10.0, 0.0]]))[0] < 0.001
    assert rule(np.zeros((1, 3)))[0] == 0.5
    assert Majority(THREE)(np.array([[10.0, 10.0, -1e6]]))[0] > 0.999


# -- populations -----------------------------------------------------------------------------------------------------


def lengths(prompts: list[str], answers: list[str]) -> Array:
    return np.array([[len(y), y.count("a"), y.count("b")] for y in answers], dtype=float).reshape(-1, 3)


def population(**raters: tuple[float, Rule]) -> RaterPopulation:
    return RaterPopulation(lengths, raters, ("length", "a", "b"))


MIXED = {
    "long": (0.25, Lexicographic((Criterion("length", 2), Criterion("a", 1)))),
    "short": (0.75, Majority((Criterion("b", 1),), 3.0)),
}


def test_a_population_is_the_weighted_mean_of_its_types() -> None:
    raters = population(**MIXED)
    args = (["x"] * 2, ["aab", "b"], ["abbb", "aaaa"])
    types = raters.by_type(*args)
    expected = 0.25 * types["long"] + 0.75 * types["short"]
    np.testing.assert_allclose(raters(*args), expected, rtol=0, atol=2e-16)
    d = np.array([(3 - 4) / 2, 2 - 1])
    assert types["long"][0] == pytest.approx(recursive_lexicographic(d, 2.0))
    assert types["short"][0] == pytest.approx(sigma(3.0 * (1 - 3)))
    p = matrix(raters, ["x"], [["aab", "abbb", "b", ""]])[0]
    assert (p + p.T == 1).all()


@pytest.mark.parametrize(
    ("raters", "message"),
    [
        ({"one": (0.9, MIXED["long"][1])}, "sum to 0.9, must be at least 0 and sum to 1"),
        ({}, "sum to 0"),
        ({"one": (-1, MIXED["long"][1]), "two": (2, MIXED["short"][1])}, "must be at least 0"),
        ({"one": (1, Majority((Criterion("a", 1), Criterion("b", 1))))}, "'one' has 2 criteria, a majority needs"),
        ({"one": (1, Majority((Criterion("lenght", 1),)))}, "'lenght' is not a feature.*did you mean 'length'"),
        ({"one": (1, Majority((Criterion("a", 0),)))}, "tolerance of 'a' = 0, must be positive"),
    ],
)
def test_a_population_that_is_none_is_refused(raters: dict[str, tuple[float, Rule]], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        population(**raters)


# -- is it a ranking? ------------------------------------------------------------------------------------------------


def bradley_terry(strengths: list[float]) -> Array:
    r = np.array(strengths)
    return 1 / (1 + np.exp(-(r[:, None] - r[None, :])))


CYCLE = np.array([[0.5, 0.8, 0.2], [0.2, 0.5, 0.8], [0.8, 0.2, 0.5]])


def test_a_three_cycle_is_all_cycle() -> None:
    found = intransitivity([CYCLE])
    assert (found.cyclic_triads, found.without_condorcet, found.triads) == (1, 1, 1)
    assert found.cyclic_energy == pytest.approx(1, abs=1e-15)
    assert found.margin_energy == pytest.approx(1, abs=1e-15)
    # the best Bradley-Terry model of a fair cycle is the coin: KL(.8 ‖ .5) a judgment
    assert found.excess == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4), abs=1e-9)


def test_bradley_terry_is_no_cycle() -> None:
    found = intransitivity([bradley_terry([0.0, 1.0, -2.0, 0.3]), bradley_terry([1.0, 0.5, 0.2])])
    assert (found.cyclic_triads, found.without_condorcet, found.triads) == (0, 0, 5)
    assert found.cyclic_energy < 1e-25
    # the ridge of 1e-9 and the Newton tolerance
    assert found.excess < 1e-8
    # margins of Bradley-Terry are no difference of potentials: this one is not 0, and says why log-odds are used
    assert 1e-4 < found.margin_energy < 0.05


def test_sure_preferences_and_ties_are_finite() -> None:
    sure = np.array([[0.5, 1.0, 1.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]])
    found = intransitivity([sure])
    # three equal log-odds ±m, where a ranking asks for 2m = m + m: residual ±m/3 in each of three pairs
    assert found.cyclic_energy == pytest.approx(1 / 9)
    # a sure ranking is the limit of Bradley-Terry models
    assert found.excess < 1e-6
    ties = intransitivity([np.full((4, 4), 0.5)])
    assert (ties.cyclic_triads, ties.cyclic_energy, ties.margin_energy, ties.triads) == (0, 0, 0, 0)
    assert ties.without_condorcet == 1  # nobody beats anybody
    assert ties.excess == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("size", [3, 5, 8])
def test_measures_equal_slow_recomputations(size: int) -> None:
    rng = np.random.default_rng(size)
    p = np.triu(rng.uniform(0.05, 0.95, (size, size)), 1)
    p = p + np.tril(1 - p.T, -1) + 0.5 * np.eye(size)
    found = intransitivity([p])
    cycles = sum(
        p[i, j] > 0.5 and p[j, k] > 0.5 and p[k, i] > 0.5 for i, j, k in itertools.permutations(range(size), 3)
    )
    assert found.cyclic_triads == pytest.approx(cycles / 3 / math.comb(size, 3))
    winner = any(all(p[i, j] > 0.5 for j in range(size) if j != i) for i in range(size))
    assert found.without_condorcet == float(not winner)
    # least squares over an explicit incidence matrix instead of row means
    pairs = list(itertools.combinations(range(size), 2))
    incidence = np.array([[(k == i) - (k == j) for k in range(size)] for i, j in pairs], dtype=float)
    odds = np.array([math.log(p[i, j] / p[j, i]) for i, j in pairs])
    rest = odds - incidence @ np.linalg.lstsq(incidence, odds)[0]
    assert found.cyclic_energy == pytest.approx(float(rest @ rest / (odds @ odds)), rel=1e-12)
    given = np.array([p[pair] for pair in pairs])

    def divergence(r: Array) -> float:
        gap = incidence @ r
        entropy = -(given * np.log(given) + (1 - given) * np.log(1 - given))
        return float(np.mean(np.logaddexp(0, gap) - given * gap - entropy))

    best = minimize(divergence, np.zeros(size), method="BFGS", options={"gtol": 1e-9})
    assert found.excess == pytest.approx(best.fun, abs=1e-7)


def test_the_energy_check_catches_a_wrong_potential() -> None:
    """The canary: a potential of row sums over n − 1 instead of n leaves energy in Bradley-Terry log-odds."""
    p = bradley_terry([0.0, 1.0, -2.0])
    odds = np.log(p / (1 - p))
    wrong = odds.sum(axis=1) / (len(p) - 1)
    assert ((odds - (wrong[:, None] - wrong[None, :])) ** 2).sum() / (odds**2).sum() > 0.1


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        ([], "matrices is empty"),
        ([[[0.5, 0.5], [0.5, 0.5]]], r"matrices\[0\] has the shape \(2, 2\)"),
        ([CYCLE, CYCLE + 0.1], r"matrices\[1\] must hold probabilities"),
        ([CYCLE, np.where(CYCLE > 0.7, np.nan, CYCLE)], r"matrices\[1\] must hold probabilities"),
    ],
)
def test_what_is_no_preference_matrix_is_refused(matrices: list[Array], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        intransitivity(matrices)


# -- the population of the experiment --------------------------------------------------------------------------------


class Measured(NamedTuple):
    raters: RaterPopulation
    features: SummaryFeatures
    test: list[Example]
    candidates: list[list[str]]
    matrices: list[Array]

    @property
    def prompts(self) -> list[str]:
        return [example.prompt for example in self.test]


@pytest.fixture(scope="module")
def measured() -> Measured:
    test = load_corpus("debian", "test")
    raters = summary_raters(load_corpus("debian", "train"), test)
    assert isinstance(raters.features, SummaryFeatures)
    candidates = candidate_sets(test, raters.features)
    matrices = matrix(raters, [example.prompt for example in test], candidates)
    return Measured(raters, raters.features, test, candidates, matrices)


def test_the_numbers_of_the_docstring(measured: Measured) -> None:
    found = intransitivity(measured.matrices)
    said = " ".join((summary_raters.__doc__ or "").split())
    assert found.prompts == 406
    assert f"cyclic triads {found.cyclic_triads:.3f}".replace("0.", ".") in said
    assert f"without a Condorcet winner {found.without_condorcet:.3f}".replace("0.", ".") in said
    energies = f"of the log-odds {found.cyclic_energy:.3f}, of the margins {found.margin_energy:.3f}".replace("0.", ".")
    assert energies in said
    assert f"of each text {found.excess:.3f} nats".replace("0.", ".") in said
    wins = np.mean([(p.sum(axis=1) - 0.5) / (len(p) - 1) for p in measured.matrices], axis=0)
    for kind, rate in zip(CANDIDATE_KINDS, wins, strict=True):
        assert f"{kind} {rate:.3f}".replace("0.", ".") in said


def test_the_population_is_clearly_no_ranking_and_still_sensible(measured: Measured) -> None:
    found = intransitivity(measured.matrices)
    assert found.cyclic_energy > 0.2
    assert found.without_condorcet > 0.5
    assert found.excess > 0.05
    wins = dict(zip(CANDIDATE_KINDS, np.mean(measured.matrices, axis=(0, 2)), strict=True))
    assert max(wins, key=lambda kind: wins[kind]) == "human"
    assert min(wins, key=lambda kind: wins[kind]) == "foreign"


def test_the_same_measure_finds_no_cycles_in_one_feature(measured: Measured) -> None:
    """The canary: the same texts under raters who look at one feature alone, which is Bradley-Terry."""
    plain = RaterPopulation(measured.features, {"one": (1.0, Majority((Criterion("coverage", 0.5),)))})
    found = intransitivity(matrix(plain, measured.prompts[:40], measured.candidates[:40]))
    assert (found.cyclic_triads, round(found.cyclic_energy, 12)) == (0, 0)


def test_candidates_are_of_the_kinds_they_are_called(measured: Measured) -> None:
    test, features = measured.test, measured.features
    humans = {example.summary for example in test}
    for example, texts in zip(test, measured.candidates, strict=True):
        by_kind = dict(zip(CANDIDATE_KINDS, texts, strict=True))
        assert by_kind["human"] == example.summary
        assert example.summary.startswith(by_kind["truncated"])
        assert sorted(by_kind["shuffled"].split()) == sorted(example.summary.split())
        assert by_kind["foreign"] in humans - {example.summary}
        flat = " ".join(example.prompt.split())
        assert all(flat.startswith(by_kind[kind]) for kind in ("sentence", "lead", "extract"))
        assert set(by_kind["terse"].split()) <= set(content_words(example.prompt))
    assert candidate_sets(test[:3], features) == candidate_sets(test[:3], features)
    assert candidate_sets(test[:9], features, seed=1) != candidate_sets(test[:9], features)
    with pytest.raises(BadInput, match="must hold at least 2"):
        candidate_sets(test[:1], features)


def test_fluency_prefers_human_order(measured: Measured) -> None:
    def fluency(kind: str) -> Array:
        texts = [candidates[CANDIDATE_KINDS.index(kind)] for candidates in measured.candidates]
        return measured.features(measured.prompts, texts)[:, FEATURES.index("fluency")]

    assert np.mean(fluency("human") > fluency("shuffled")) > 0.85

"""Judges on strings: complementary to the last bit, each pair asked once, equal to naive recomputation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from bridge.words import word_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from llm_bridge.data import Comparison
from llm_bridge.judges import (
    Cached,
    FunctionJudge,
    Judge,
    OneOrder,
    ReconstructionScore,
    RelevanceScore,
    ScoreJudge,
    SequenceClassifier,
    TableJudge,
    annotated,
    fit_scale,
    games,
    judged,
    matrix,
)
from llm_bridge.judges.scores import LikelihoodScore
from llm_bridge.policy import Policy
from nashlab.game import BadInput

torch.set_num_threads(1)

Texts = Sequence[str]
Array = NDArray[np.float64]
TEXTS = ["red", "red green", "blue", "green blue red", "", "grey"]


def noise(*texts: str) -> float:
    """A number in (0, 1) that depends on the texts and their order, without any structure."""
    return (math.sin(sum(ord(c) * (i + 1) for i, c in enumerate("|".join(texts)))) + 1.000001) / 2.000002


def arbitrary(prompts: Texts, left: Texts, right: Texts) -> list[float]:
    return [noise(x, y, z) for x, y, z in zip(prompts, left, right, strict=True)]


def length_score(prompts: Texts, answers: Texts) -> list[float]:
    return [len(y) / 3 - len(x) for x, y in zip(prompts, answers, strict=True)]


def table() -> TableJudge:
    rng = np.random.default_rng(0)
    p = np.triu(rng.random((len(TEXTS), len(TEXTS))), 1)
    p += np.tril(1 - p.T, -1) + 0.5 * np.eye(len(TEXTS))
    return TableJudge(["x", "y"], [TEXTS, TEXTS], [p, p.T])


JUDGES: dict[str, Callable[[], Judge]] = {
    "one order": lambda: OneOrder(arbitrary),
    "both orders": lambda: FunctionJudge(arbitrary),
    "table": table,
    "score": lambda: ScoreJudge(length_score, 0.7),
    "cached": lambda: Cached(FunctionJudge(arbitrary)),
}


def order_swap_error(judge: Judge, texts: Texts = TEXTS, prompt: str = "x") -> float:
    """The largest |p(y, y') + p(y', y) − 1| over all pairs, equal ones included."""
    left, right = map(list, zip(*itertools.product(texts, repeat=2), strict=True))
    forward = judge([prompt] * len(left), left, right)
    backward = judge([prompt] * len(left), right, left)
    return float(np.abs(forward + backward - 1).max())


@pytest.mark.parametrize("name", JUDGES)
def test_orders_are_complementary_to_the_last_bit(name: str) -> None:
    judge = JUDGES[name]()
    assert order_swap_error(judge) == 0.0
    same = judge(["x"] * len(TEXTS), TEXTS, TEXTS)
    assert same.dtype == np.float64
    assert same.tolist() == [0.5] * len(TEXTS)


def test_a_judge_that_likes_the_first_position_is_caught() -> None:
    """The canary: the same check on the bare function, which knows no symmetry."""

    def bare(prompts: Texts, left: Texts, right: Texts) -> Array:
        return np.array(arbitrary(prompts, left, right))

    assert order_swap_error(bare) > 0.1


@given(st.floats(0, 1))
def test_one_minus_p_and_p_sum_to_one_in_floats(p: float) -> None:
    judge = OneOrder(lambda x, y, z: [p] * len(x))
    forward, backward = judge(["x", "x"], ["a", "b"], ["b", "a"])
    assert forward + backward == 1.0
    assert forward == p


def test_a_preference_for_a_position_falls_out_of_the_mean_of_both_orders() -> None:
    fair = OneOrder(lambda x, y, z: [0.5 + 0.2 * (noise(a) - noise(b)) for a, b in zip(y, z, strict=True)])

    def biased(prompts: Texts, left: Texts, right: Texts) -> Array:
        return fair(prompts, left, right) + 0.3

    args = (["x"] * 3, TEXTS[:3], TEXTS[1:4])
    # three sums of numbers below 1 in float64
    np.testing.assert_allclose(FunctionJudge(biased)(*args), fair(*args), rtol=0, atol=1e-15)
    assert np.abs(OneOrder(biased)(*args) - fair(*args)).max() > 0.2


def test_a_table_gives_back_its_entries() -> None:
    p = [[0.5, 0.9, 0.2], [0.1, 0.5, 1.0], [0.8, 0.0, 0.5]]
    judge = TableJudge(["x"], [["b", "a", "c"]], [p])
    names = ["b", "a", "c"]
    for i, j in itertools.product(range(3), repeat=2):
        # one minus one minus an entry may differ in the last bit
        assert judge(["x"], [names[i]], [names[j]])[0] == pytest.approx(p[i][j], rel=0, abs=1.2e-16)
    with pytest.raises(BadInput, match="the table does not hold prompt 'x', answers 'a' and 'z'"):
        judge(["x"], ["a"], ["z"])
    with pytest.raises(BadInput, match="the table does not hold prompt 'y'"):
        judge(["y"], ["a"], ["b"])


@pytest.mark.parametrize(
    ("prompts", "candidates", "matrices", "message"),
    [
        (["x"], [["a", "b"]], [[[0.5, 0.7], [0.4, 0.5]]], r"matrices\[0\]: preferences\[0, 1\] \+ .* must be 1"),
        (["x"], [["a", "b"]], [[[0.5, 1.7], [-0.7, 0.5]]], r"matrices\[0\]: preferences.* must be in \[0, 1\]"),
        (["x"], [["a", "b"]], [[[0.5]]], r"matrices\[0\] has the shape \(1, 1\), must be \[2, 2\]"),
        (["x"], [["a", "a"]], [[[0.5, 0.5], [0.5, 0.5]]], r"a candidate of prompts\[0\] occurs twice"),
        (["x", "x"], [["a"], ["a"]], [[[0.5]], [[0.5]]], r"prompts\[1\] occurs twice"),
        (["x"], [], [], "must be equally many"),
    ],
)
def test_a_wrong_table_is_refused(prompts: Any, candidates: Any, matrices: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        TableJudge(prompts, candidates, matrices)


@pytest.mark.parametrize("answer", [[float("nan")], [1.5], [-0.1], [0.5] * 3])
def test_an_answer_that_is_no_probability_is_refused(answer: list[float]) -> None:
    for judge in (OneOrder(lambda x, y, z: answer), FunctionJudge(lambda x, y, z: answer)):
        with pytest.raises(BadInput, match="the judge returned"):
            judge(["x"], ["a"], ["b"])
    with pytest.raises(BadInput, match="2 prompts, 1 left and 1 right answers"):
        OneOrder(arbitrary)(["x", "x"], ["a"], ["b"])


def test_a_score_judge_is_bradley_terry_and_asks_each_answer_once() -> None:
    asked: list[tuple[str, str]] = []

    def score(prompts: Texts, answers: Texts) -> list[float]:
        asked.extend(zip(prompts, answers, strict=True))
        return length_score(prompts, answers)

    judge = ScoreJudge(score, scale=0.7)
    pairs = list(itertools.permutations(TEXTS, 2))
    p = judge(["x"] * len(pairs), [y for y, _ in pairs], [z for _, z in pairs])
    truth = [1 / (1 + math.exp(-0.7 * (len(y) - len(z)) / 3)) for y, z in pairs]
    # a sigmoid and its complement, each rounded once
    np.testing.assert_allclose(p, truth, rtol=0, atol=4e-16)
    assert sorted(asked) == sorted(("x", y) for y in TEXTS)
    with pytest.raises(BadInput, match="the score of answer 'a' to prompt 'x' is not a finite number"):
        ScoreJudge(lambda x, y: [math.inf] * len(x))(["x"], ["a"], ["b"])
    with pytest.raises(BadInput, match="scale = 0"):
        ScoreJudge(score, 0)


def test_large_scores_overflow_nowhere() -> None:
    judge = ScoreJudge(lambda x, y: [1e4 * len(a) for a in y])
    assert judge(["x", "x"], ["a", "aaa"], ["aaa", "a"]).tolist() == [0.0, 1.0]


def test_the_scale_is_that_of_a_general_minimiser() -> None:
    rng = np.random.default_rng(1)
    d = rng.normal(size=60)
    p = (rng.random(60) < 1 / (1 + np.exp(-1.7 * d))).astype(float)

    def loss(s: float) -> float:
        return float(np.sum(np.logaddexp(0, s * d) - p * s * d))

    found = minimize_scalar(loss, bounds=(1e-3, 20), method="bounded", options={"xatol": 1e-10})
    # a minimum is known to the square root of the rounding of its value
    assert fit_scale(d, p) == pytest.approx(found.x, rel=1e-6)
    assert fit_scale(d, d > 0) == pytest.approx(1e3)
    assert fit_scale(d, d < 0) == pytest.approx(1e-3)
    # differences that say nothing; one that says something among them is enough
    assert fit_scale([0.0, 0.0], [1, 0.2]) == 1e-3
    assert fit_scale([0.0, 1e-9], [0, 1]) == pytest.approx(1e3)
    sizes, numbers = r"must be \[B\] both, B at least 1", "differences must be finite and p between 0 and 1"
    for bad, rule in (
        (([], []), sizes),
        (([1.0, 2.0], [1.0]), sizes),
        (([1.0], [2.0]), numbers),
        (([np.nan], [1.0]), numbers),
    ):
        with pytest.raises(BadInput, match=rule):
            fit_scale(*bad)


# -- many pairs ------------------------------------------------------------------------------------------------------


class Counting:
    """A judge that writes down what it is asked."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, str, str]]] = []

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        self.calls.append(list(zip(prompts, left, right, strict=True)))
        return FunctionJudge(arbitrary)(prompts, left, right)


def test_a_matrix_asks_each_unordered_pair_once_in_one_call() -> None:
    judge = Counting()
    candidates = [["b", "a", "c", "a"], ["c", "d", "b"]]
    found = matrix(judge, ["x", "y"], candidates)
    (asked,) = judge.calls
    assert sorted((x, *sorted(pair)) for x, *pair in asked) == [
        ("x", "a", "b"), ("x", "a", "c"), ("x", "b", "c"), ("y", "b", "c"), ("y", "b", "d"), ("y", "c", "d"),
    ]  # fmt: skip
    for prompt, texts, p in zip(["x", "y"], candidates, found, strict=True):
        naive = [[float(FunctionJudge(arbitrary)([prompt], [y], [z])[0]) for z in texts] for y in texts]
        assert p.tolist() == naive
        assert (p + p.T == 1).all()
    assert found[0][1, 3] == 0.5
    assert matrix(judge, ["x"], [["a", "a"]])[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(BadInput, match="1 prompts and 2 candidate lists"):
        matrix(judge, ["x"], candidates)


def test_the_cache_asks_for_what_is_new_and_changes_nothing() -> None:
    inner = Counting()
    cached = Cached(inner)
    first = cached(["x", "x", "x"], ["a", "b", "a"], ["b", "a", "c"])
    again = cached(["x", "x", "y"], ["c", "b", "a"], ["a", "c", "b"])
    assert [len(call) for call in inner.calls] == [2, 2]
    assert cached.asked == 4
    assert first.tolist() == FunctionJudge(arbitrary)(["x", "x", "x"], ["a", "b", "a"], ["b", "a", "c"]).tolist()
    assert again[0] == 1 - first[2]
    # another prompt is another question
    assert again[2] != first[0]


def test_candidate_sets_become_exact_games() -> None:
    (game,) = games(table(), ["x"], [TEXTS[:3]], [[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(game.preferences, matrix(table(), ["x"], [TEXTS[:3]])[0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.exp(game.log_reference), [0.2, 0.3, 0.5], rtol=1e-14)


def test_labels_are_soft_or_drawn() -> None:
    judge = table()
    args = (["x"] * 3000, [TEXTS[0]] * 3000, [TEXTS[1]] * 3000)
    p = float(judge(["x"], TEXTS[:1], TEXTS[1:2])[0])
    assert judged(judge, *args)[0] == Comparison("x", TEXTS[0], TEXTS[1], p)
    drawn = annotated(judge, *args, np.random.default_rng(0))
    assert {c.p for c in drawn} == {0.0, 1.0}
    # five standard deviations of a mean of 3,000 draws
    assert abs(np.mean([c.p for c in drawn]) - p) < 5 * math.sqrt(p * (1 - p) / 3000)
    assert annotated(judge, *args, np.random.default_rng(0)) == drawn


def test_a_judge_may_answer_with_a_list_and_is_checked_everywhere() -> None:
    args = (["x", "x"], ["a", "b"], ["b", "c"])
    for judge, same in ((arbitrary, OneOrder(arbitrary)), (Cached(OneOrder(arbitrary)), Cached(arbitrary))):
        assert judged(judge, *args) == judged(same, *args)
        assert matrix(judge, ["x"], [["a", "b"]])[0].tolist() == matrix(same, ["x"], [["a", "b"]])[0].tolist()
        drawn = [annotated(each, *args, np.random.default_rng(0), raters=9) for each in (judge, same)]
        assert drawn[0] == drawn[1]
    askers: list[Callable[[Any], Any]] = [
        lambda j: judged(j, *args),
        lambda j: annotated(j, *args, np.random.default_rng(0)),
        lambda j: Cached(j)(*args),
        lambda j: matrix(j, ["x"], [["a", "b", "c"]]),
    ]
    for asker, wrong in itertools.product(askers, ([math.nan, 0.5], [0.5, 1.5], [0.5])):
        with pytest.raises(BadInput, match="the judge returned"):
            asker(lambda x, y, z, wrong=wrong: wrong)


def test_lists_of_different_lengths_and_no_raters_are_refused() -> None:
    rng = np.random.default_rng(0)
    for make in (judged, lambda *args: annotated(*args, rng)):
        with pytest.raises(BadInput, match="1 prompts, 2 left and 1 right answers, must be equally many"):
            make(OneOrder(arbitrary), ["x"], ["a", "b"], ["b"])
    for raters in (0, -1, 1.5):
        with pytest.raises(BadInput, match=f"raters = {raters}, must be a whole number, at least 1"):
            annotated(OneOrder(arbitrary), ["x"], ["a"], ["b"], rng, raters=raters)


# -- transformers ----------------------------------------------------------------------------------------------------

WORDS = "red green blue grey Summary in one line: Description: Describe"
SIZE = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.3}


def seeded(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


@pytest.fixture(scope="module")
def language_model() -> Policy:
    tokenizer = word_tokenizer(WORDS)
    config = GPT2Config(vocab_size=len(tokenizer), eos_token_id=1, bos_token_id=None, pad_token_id=0, **SIZE)
    return Policy(seeded(lambda: GPT2LMHeadModel(config)).double(), tokenizer)


def naive_log_prob(policy: Policy, context: str, text: str) -> float:
    """One row, no padding, no batch: Σ_t log softmax(logits)_t of the text and the end."""
    before = policy.tokenizer(context)["input_ids"] or [1]
    after = [*policy.tokenizer(text)["input_ids"], 1]
    with torch.no_grad():
        logits = policy.model(torch.tensor([before + after])).logits[0].log_softmax(-1)
    return float(sum(logits[len(before) - 1 + t, token] for t, token in enumerate(after)))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_likelihoods_are_sums_over_the_text_and_its_end(language_model: Policy, batch_size: int) -> None:
    score = LikelihoodScore(language_model, batch_size=batch_size)
    contexts = ["red green ", "", "blue grey ", "red red red "]
    texts = ["blue", "", "grey red", "green"]
    truth = [naive_log_prob(language_model, c, t) for c, t in zip(contexts, texts, strict=True)]
    # float64 sums in another order
    np.testing.assert_allclose(score.log_likelihood(contexts, texts), truth, rtol=1e-10)


def test_relevance_is_conditional_minus_unconditional_likelihood(language_model: Policy) -> None:
    score = RelevanceScore(language_model)
    prompts, answers = ["red green", "grey", "red green"], ["blue", "blue", "grey grey"]
    cue = "Summary in one line: "
    informed = [naive_log_prob(language_model, f"{x} {cue}", y) for x, y in zip(prompts, answers, strict=True)]
    plain = [naive_log_prob(language_model, cue, y) for y in answers]
    found = score(prompts, answers)
    np.testing.assert_allclose(found, np.array(informed) - plain, rtol=1e-9)
    assert order_swap_error(ScoreJudge(score)) == 0.0
    # the canary: the bare likelihood is another number to the same check
    assert np.abs(found - informed).max() > 0.1


def test_reconstruction_scores_the_text_after_the_answer(language_model: Policy) -> None:
    score = ReconstructionScore(language_model)
    prompts, answers = ["red green", "grey"], ["blue", "blue grey"]
    truth = [naive_log_prob(language_model, f"{y} Description: ", x) for x, y in zip(prompts, answers, strict=True)]
    np.testing.assert_allclose(score(prompts, answers), truth, rtol=1e-9)


def test_a_long_text_is_cut_and_the_instruction_is_not(language_model: Policy) -> None:
    score = RelevanceScore(language_model, max_length=4)
    short, long = "red green blue grey", "red green blue grey red red red"
    np.testing.assert_allclose(score([long], ["blue"]), score([short], ["blue"]), rtol=1e-12)


def classifier(family: str) -> SequenceClassifier:
    tokenizer = word_tokenizer(WORDS)
    if family == "gpt2":
        causal = GPT2Config(vocab_size=len(tokenizer), eos_token_id=1, bos_token_id=None, pad_token_id=0, num_labels=1,
                            **SIZE)  # fmt: skip
        return SequenceClassifier(
            seeded(lambda: GPT2ForSequenceClassification(causal)).double(), tokenizer, "{prompt} Summary {answer}", 3
        )
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=64, num_labels=1, initializer_range=0.3,
    )  # fmt: skip
    return SequenceClassifier(seeded(lambda: BertForSequenceClassification(config)).double(), tokenizer, None, 3)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_a_classifier_scores_each_answer_as_it_would_alone(family: str) -> None:
    score = classifier(family)
    score.model.train()
    answers = ["red", "red green blue", "grey", "blue blue"]
    batched = score(["red green"] * 4, answers)
    assert score.model.training
    score.model.eval()
    for value, answer in zip(batched, answers, strict=True):
        if family == "gpt2":
            inputs = score.tokenizer(f"red green Summary {answer}", return_tensors="pt")
        else:
            inputs = score.tokenizer("red green", answer, return_tensors="pt")
        # float64 models; padding changes the order of sums
        assert value == pytest.approx(float(score.model(**inputs).logits.detach()), rel=1e-9)
    assert order_swap_error(ScoreJudge(score)) == 0.0


def shown_to_the_model(score: SequenceClassifier, prompts: list[str], answers: list[str]) -> torch.Tensor:
    """The token ids of the one batch that these are."""
    seen: list[torch.Tensor] = []
    hook = score.model.register_forward_pre_hook(
        lambda model, arguments, named: seen.append(named["input_ids"]), with_kwargs=True
    )
    score(prompts, answers)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_a_long_prompt_is_cut_and_its_answer_is_not(family: str) -> None:
    score = classifier(family)
    score.max_length = 8
    long = "red green " * 20
    shown = shown_to_the_model(score, [long, "red"], ["blue grey", "blue grey"])
    for row in shown.tolist():
        assert "blue grey" in score.tokenizer.decode([token for token in row if token != 0])
    assert shown.shape[1] == 8
    assert classifier("gpt2")._filled("{answer}", "{prompt}") == "{answer} Summary {prompt}"
    # the canary: the tokenizer's own truncation loses the answer
    cut = score.tokenizer(f"{long} Summary blue grey", truncation=True, max_length=8)["input_ids"]
    assert "blue grey" not in score.tokenizer.decode(cut)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_an_answer_that_does_not_fit_is_refused_and_not_cut(family: str) -> None:
    score = classifier(family)
    score.max_length = 6  # the template is one word, a pair has no more around it
    longest = "blue " * (5 if family == "gpt2" else 6)
    shown = shown_to_the_model(score, ["red green " * 9], [longest.strip()])
    assert shown.shape[1] == 6
    assert score.tokenizer.decode(shown[0]).count("blue") == len(longest.split())
    with pytest.raises(BadInput, match=r"answer 'blue blue .*' has 7 tokens .* must have at most max_length = 6"):
        score(["red", "red"], ["blue", longest + "blue"])


def test_a_prompt_that_grows_when_it_is_cut_is_cut_further() -> None:
    """A tokenizer of single letters: unknown ones come back as the five of "[UNK]"."""
    score = classifier("gpt2")
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[EOS]": 1, "[UNK]": 2, "a": 3, "b": 4}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", eos_token="[EOS]")
    grows = SequenceClassifier(score.model, letters, "{prompt}{answer}", max_length=8)
    assert len(letters("z" * 12)["input_ids"]) == 12
    assert len(letters(letters.decode(letters("z" * 8)["input_ids"]))["input_ids"]) > 8
    shown = shown_to_the_model(grows, ["z" * 12], ["abba"])
    assert shown.shape[1] <= 8
    assert shown[0, -4:].tolist() == letters("abba")["input_ids"]


def test_a_classifier_that_cannot_be_one_is_refused() -> None:
    good = classifier("gpt2")
    with pytest.raises(BadInput, match=r"must contain \{prompt\} and \{answer\}"):
        SequenceClassifier(good.model, good.tokenizer, "{prompt}")
    good.model.config.num_labels = 2
    with pytest.raises(BadInput, match="model has 2 labels, must have one"):
        SequenceClassifier(good.model, good.tokenizer)

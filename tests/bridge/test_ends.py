"""Every end of sequence that a model declares ends one: drawn, counted, scored, written, and never followed."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from llm_bridge.judges import OneOrder
from llm_bridge.policy import (
    Policy,
    Prompts,
    Tokens,
    completions_of,
    ends_of,
    load_policy,
    mixture_log_probs,
    pad_left,
    pad_right,
    sample,
    texts_of,
)
from llm_bridge.training import IMITATION, Examples, Generated, Recorded, Settings, train
from nashlab.game import BadInput

sys.path.insert(0, str(Path(__file__).parent))
from tiny import FAMILIES, tiny_policy
from tokenizers_like import CHATML, GEMMA, LLAMA2, TRIMMING, tokenizer_like

EACH = pytest.mark.parametrize("family", FAMILIES)
ENDS = (1, 4, 6)
COUNTS = {"max_new_tokens": 12, "completions": 40}


def many_ends(family: str, **options: Any) -> Policy:
    """A tiny policy whose configuration lists three ends."""
    return tiny_policy(family, vocab=9, eos_token_id=list(ENDS), **options)


def rows_of(completion: Tokens) -> list[list[int]]:
    return [ids[mask].tolist() for ids, mask in zip(completion.ids, completion.mask, strict=True)]


def test_every_end_is_found_where_it_is_declared() -> None:
    qwen, gemma = tokenizer_like("qwen2", CHATML), tokenizer_like("gemma", GEMMA)
    end = qwen.convert_tokens_to_ids("<|im_end|>")
    turn = gemma.convert_tokens_to_ids("<end_of_turn>")
    assert ends_of(None, qwen) == (qwen.eos_token_id, end)
    assert ends_of(None, gemma) == (gemma.eos_token_id, turn)
    assert ends_of(None, tokenizer_like("llama2", LLAMA2)) == (2,)  # its turns end as sequences do
    assert ends_of(None, tokenizer_like("bert", TRIMMING)) == (3,)  # a line's end is no token of its own
    assert ends_of(GenerationConfig(eos_token_id=[7, turn]), gemma) == (gemma.eos_token_id, turn, 7)
    assert ends_of(GenerationConfig(eos_token_id=[7, turn]), gemma, 5) == (5,)
    assert ends_of(GenerationConfig(eos_token_id=[7, turn]), gemma, [5, 3]) == (5, 3)
    model = tiny_policy("llama", eos_token_id=[3, 4]).model
    model.generation_config.eos_token_id = [5, 4]
    assert ends_of(model, None) == (3, 4, 5)
    assert ends_of(None, None, np.array([5, 3])) == (*ends_of(None, None, np.int64(5)), 3)  # type: ignore[arg-type]
    for wrong in ("end", [], [1.5], True):
        with pytest.raises(BadInput, match=r"eos_id = .* must be a token's id, or several"):
            ends_of(model, None, wrong)  # type: ignore[arg-type]


def test_an_end_that_the_tokenizer_reads_as_a_word_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = tokenizer_like("qwen2")
    word = tokenizer("river")["input_ids"][0]
    with caplog.at_level(logging.WARNING, "llm_bridge"):
        assert ends_of(GenerationConfig(eos_token_id=word), tokenizer) == (tokenizer.eos_token_id, word)
    assert f"declares token {word} as an end of sequence" in caplog.text


@EACH
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_nothing_follows_a_drawn_end_and_it_is_scored(family: str, beta: float) -> None:
    """Policy, mixture and reference: all three ends are drawn, each stops its row, log m counts it."""
    policy = many_ends(family)
    reference = many_ends(family, seed=3).reference()
    prompt = pad_left([[2, 3], [5]], 0)
    drawn: dict[int, list[float]] = {}

    def see(rows: torch.Tensor, log_probs: torch.Tensor) -> None:
        for row, values in zip(rows.tolist(), log_probs, strict=True):
            drawn.setdefault(row, []).append(values)  # type: ignore[arg-type]

    found = sample(policy, prompt, beta=beta, reference=reference, observer=see,
                   generator=torch.Generator().manual_seed(0), **COUNTS)  # fmt: skip
    rows = rows_of(found)
    for row in rows:
        assert not any(token in ENDS for token in row[:-1])
        assert row[-1] in ENDS or len(row) == 12
    assert {row[-1] for row in rows} >= set(ENDS)
    assert policy.ended(found).tolist() == [row[-1] in ENDS for row in rows]
    parts = [[values[token] for token, values in zip(row, drawn[i], strict=True)] for i, row in enumerate(rows)]
    log_m = [float(sum(values)) for values in parts]
    each = Tokens(prompt.ids.repeat_interleave(40, 0), prompt.mask.repeat_interleave(40, 0))
    scored = mixture_log_probs(policy, reference, each, found, beta).gather(2, found.ids.unsqueeze(2)).squeeze(2)
    # float64 sums of a dozen terms, of weights in another order
    assert (scored * found.mask).sum(1).tolist() == pytest.approx(log_m, rel=0, abs=1e-10)
    if beta == 0:
        assert policy.log_prob(prompt, found).tolist() == pytest.approx(log_m, rel=0, abs=1e-10)


def test_canary_with_one_end_the_others_are_followed() -> None:
    """What was done before: the first end alone, which the test above would have caught."""
    policy = many_ends("llama")
    policy.ends = ENDS[:1]
    rows = rows_of(sample(policy, pad_left([[2, 3]], 0), generator=torch.Generator().manual_seed(0), **COUNTS))
    assert any(token in ENDS for row in rows for token in row[:-1])


def test_no_end_is_drawn_before_the_least_number_of_tokens() -> None:
    policy = many_ends("gpt2")
    found = sample(policy, pad_left([[2]], 0), min_new_tokens=5, **COUNTS)
    assert not any(token in ENDS for row in rows_of(found) for token in row[:5])
    early = mixture_log_probs(policy, None, pad_left([[2]], 0), found.rows(slice(0, 1)), 0.0, min_new_tokens=2)
    assert early[0, :2, list(ENDS)].isinf().all()
    assert early[0, 2:, list(ENDS)].isfinite().all()


@EACH
def test_the_probabilities_of_all_that_may_be_drawn_sum_to_one(family: str) -> None:
    """Sequences that end within two tokens, and those of two tokens that go on: nothing else has a probability."""
    policy = tiny_policy(family, vocab=6, eos_token_id=[1, 4])
    words = [i for i in range(6) if i not in (1, 4)]
    ended = [[end] for end in (1, 4)] + [[word, end] for word in words for end in (1, 4)]
    going = [[word, other] for word in words for other in words]
    all_rows = pad_right([*ended, *going], 0)
    prompt = pad_left([[2, 3]] * len(all_rows.ids), 0)
    with torch.no_grad():
        assert abs(float(policy.log_prob(prompt, all_rows).exp().sum()) - 1) < 1e-9


def test_texts_stop_before_the_end_even_where_it_is_an_ordinary_token() -> None:
    tokenizer = tokenizer_like("qwen2")
    ids = tokenizer("The river. It")["input_ids"]
    stop = tokenizer(".")["input_ids"][0]
    model = tiny_policy("llama", vocab=len(tokenizer)).model
    assert texts_of(Policy(model, tokenizer, eos_id=[0, stop]), pad_right([ids])) == ["The river"]
    assert texts_of(Policy(model, tokenizer, eos_id=0), pad_right([ids])) == ["The river. It"]


@pytest.mark.parametrize(
    ("family", "template", "end"),
    [("qwen2", CHATML, "<|im_end|>"), ("gemma", GEMMA, "<end_of_turn>"), ("qwen2", None, "<|endoftext|>")],
)
def test_recorded_answers_are_closed_by_the_end_that_the_policy_would_draw(
    family: str, template: str | None, end: str
) -> None:
    tokenizer = tokenizer_like(family, template)
    model = tiny_policy("llama", vocab=len(tokenizer)).model
    model.config.eos_token_id = model.generation_config.eos_token_id = None
    policy = Policy(model, tokenizer)
    row = completions_of(policy, ["The river"])[0]
    assert row[-1] == tokenizer.convert_tokens_to_ids(end)
    assert row[:-1] == tokenizer("The river", add_special_tokens=False)["input_ids"]
    assert completions_of(Policy(policy.model, tokenizer, eos_id=7), ["The river"])[0][-1] == 7


def test_a_folder_with_several_ends_stops_at_each_of_them(tmp_path: Path) -> None:
    """As people have it: config and generation_config beside the weights, a tokenizer with a chat template."""
    tokenizer = tokenizer_like("gemma", GEMMA)
    model = tiny_policy("llama", vocab=len(tokenizer), eos_token_id=1, dtype=torch.float32).model
    model.generation_config = GenerationConfig(eos_token_id=[1, 7])
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy = load_policy(tmp_path)
    assert policy.ends == (1, tokenizer.convert_tokens_to_ids("<end_of_turn>"), 7)
    assert load_policy(tmp_path, eos_id=[7]).ends == (7,)
    with pytest.raises(BadInput, match=r"eos_id = 999, must be one of the model's \d+ tokens"):
        load_policy(tmp_path, eos_id=[7, 999])


SETTINGS = {"steps": 1, "batch": 2, "learning_rate": 1e-3}


def test_training_counts_every_end() -> None:
    seen: list[str] = []

    def judge(x: list[str], y: list[str], z: list[str]) -> list[float]:
        seen.extend([*y, *z])
        return [0.5] * len(x)

    policy = many_ends("gpt2")
    prompts = Prompts(["a", "b"], [[2, 3], [5]])
    source = Generated(prompts, OneOrder(judge), completions=8, max_new_tokens=4)
    record = train(policy, "online-ipo", source, Settings(**SETTINGS))[-1]
    assert not any(str(end) in text.split() for text in seen for end in ENDS)
    canary = many_ends("gpt2")
    canary.ends = ENDS[:1]
    fewer = train(canary, "online-ipo", source, Settings(**SETTINGS))[-1]
    assert 0 < record["ended"] < 1
    assert fewer["ended"] < record["ended"]
    assert any(str(end) in text.split() for text in seen for end in ENDS)


def test_judges_are_told_what_was_cut_off_and_it_may_cost() -> None:
    """p(y ≻ y') loses the penalty where y alone has no end; what two of a kind get is left alone."""
    policy, prompts = many_ends("gpt2"), Prompts(["a", "b"], [[2, 3], [5]])
    told: set[str] = set()

    def judge(x: list[str], y: list[str], z: list[str]) -> list[float]:
        told.update([*y, *z])
        return [0.5] * len(x)

    def preference(penalty: float, **more: Any) -> tuple[float, float]:
        source = Generated(prompts, OneOrder(judge), completions=8, max_new_tokens=3, unended_penalty=penalty, **more)
        record = train(many_ends("gpt2"), "online-ipo", source, Settings(**SETTINGS))[-1]
        return record["spread"], record["ended"]

    none, ended = preference(0.0, cut_mark=" [cut off]")
    marked = {text for text in told if text.endswith(" [cut off]")}
    assert marked
    assert all(len(text.split()) == 3 + 2 for text in marked)  # three tokens, and the mark
    assert all(len(text.split()) < 3 for text in told - marked)
    assert none == 0
    part, _ = preference(0.2)
    whole, _ = preference(5.0)  # never beyond 0 and 1
    assert part == pytest.approx(0.4 * whole, abs=1e-12)
    assert 0 < whole <= 0.5
    assert 0 < ended < 1
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(BadInput, match=r"unended_penalty = .* must be finite and at least 0"):
            preference(wrong)
    assert policy.ends == ENDS


def test_a_penalty_teaches_to_end() -> None:
    """A judge that finds all answers alike, and a penalty: the share of answers that end by themselves rises."""
    policy, prompts = many_ends("gpt2"), Prompts(["a"] * 8, [[2, 3]] * 8)
    source = Generated(prompts, OneOrder(lambda x, y, z: [0.5] * len(x)), completions=8, max_new_tokens=3,
                       unended_penalty=0.5)  # fmt: skip
    records = train(policy, "online-ipo", source, Settings(steps=25, batch=8, learning_rate=0.03, tau=0.05))
    assert records[-1]["ended"] > records[0]["ended"] + 0.1


def test_what_goes_on_behind_an_end_is_refused_before_the_first_step() -> None:
    policy, prompts = many_ends("llama"), Prompts(["a", "b"], [[2], [3]])
    right = [[2, 4], [3, 1]]
    wrong = [[2, 4], [2, 4, 3, 1]]
    with pytest.raises(BadInput, match=r"left\[1\] continues after token 4 at place 1, must end there"):
        train(policy, "offline-ipo", Recorded(prompts, wrong, right, [1.0, 1.0]), Settings(**SETTINGS))
    with pytest.raises(BadInput, match=r"completions\[1\] continues after token 4"):
        train(policy, IMITATION, Examples(prompts, wrong), Settings(**SETTINGS))
    train(policy, "offline-ipo", Recorded(prompts, right, right[::-1], [1.0, 1.0]), Settings(**SETTINGS))


def test_prompts_without_room_are_refused_before_the_first_step() -> None:
    policy = tiny_policy("gpt2", n_positions=8)
    judge = OneOrder(lambda x, y, z: [0.5] * len(x))
    source = Generated(Prompts(["a", "b", "c"], [[2], [3] * 7, []]), judge, max_new_tokens=4)
    with pytest.raises(BadInput, match=r"2 of 3 prompts do not fit: prompts\[1\] has 7 tokens, must have 5 at most"):
        train(policy, "online-ipo", source, Settings(**SETTINGS))

"""Prompts are what the tokenizer itself makes of the whole text, for tokenizers that imitate each family."""

from __future__ import annotations

import logging
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_bridge.judges import ReconstructionScore, RelevanceScore
from llm_bridge.policy import (
    Chat,
    Policy,
    Prompts,
    completions_of,
    continued,
    encoded,
    pad_left,
    pad_right,
    prompt_ids,
    shortened,
)
from nashlab.game import BadInput

sys.path.insert(0, str(Path(__file__).parent))
from tiny import tiny_policy
from tokenizers_like import CHATML, FAMILIES, GEMMA, LLAMA2, TRIMMING, tokenizer_like

EACH = pytest.mark.parametrize("family", FAMILIES)
CHATS = {"qwen2": CHATML, "gemma": GEMMA, "llama2": LLAMA2, "mistral": LLAMA2, "t5": TRIMMING, "bert": TRIMMING}
OPENINGS = {"gemma": [2], "llama2": [1], "mistral": [1], "bert": [2]}
TEMPLATES = ("{prompt}\n\nTL;DR:", "Summarize: {prompt}", "  {prompt} ", "{prompt}", "POST:\n{prompt}\n\n")

# what breaks pieces: blanks and line ends at the borders, marks that join with them, letters of several bytes
texts = st.lists(
    st.sampled_from([" ", "\n", "\n\n", ".", ":", "\t", "The", "river", "late", "é", "漢", "🙂", "don't", "42", "["]),
    min_size=1,
    max_size=12,
).map("".join)
spoken = texts.filter(lambda text: text.strip())


def whole(tokenizer: Any, text: str, *, causal: bool = True) -> list[int]:
    """The tokenizer's own ids of a text, without what it puts behind one."""
    ids = tokenizer(text)["input_ids"]
    return ids[:-1] if causal and ids[-1:] == [tokenizer.eos_token_id] else ids


def policy_with(tokenizer: Any, family: str = "llama", **changes: Any) -> Policy:
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id or 0}
    policy = tiny_policy(family, vocab=len(tokenizer) + 2, **ends, **changes)
    return Policy(policy.model, tokenizer)


@EACH
@given(text=texts, template=st.sampled_from(TEMPLATES))
def test_a_text_in_a_template_is_read_as_the_tokenizer_reads_the_whole(family: str, text: str, template: str) -> None:
    tokenizer = tokenizer_like(family)
    found = prompt_ids(tokenizer, [text], template=template)
    assert found == [whole(tokenizer, template.replace("{prompt}", text))]


@EACH
@given(text=spoken, before=spoken, answer=spoken)
def test_messages_are_read_as_the_chat_template_renders_them(family: str, text: str, before: str, answer: str) -> None:
    """One turn or several; the beginning of sequence is there once where the tokenizer puts one."""
    tokenizer = tokenizer_like(family, CHATS[family])
    turns = [
        {"role": "user", "content": before},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": text},
    ]
    for messages in ([turns[-1]], turns):
        own = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)["input_ids"]
        opening = OPENINGS.get(family, [])
        assert prompt_ids(tokenizer, [messages]) == [own if own[: len(opening)] == opening else [*opening, *own]]
    assert prompt_ids(tokenizer, [text]) == prompt_ids(tokenizer, [[turns[-1]]])  # a text is the user's message


def test_canary_pieces_tokenised_apart_are_other_tokens() -> None:
    """What was done before: the template's parts and the text on their own."""
    text, template = "It was late.", "{prompt}\n\nTL;DR:"
    for family in ("qwen2", "llama2", "mistral", "t5"):
        tokenizer = tokenizer_like(family)
        opening = tokenizer("x")["input_ids"][:1] if family in ("llama2", "mistral") else []
        pieces = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (text, "\n\nTL;DR:")]
        assert [*opening, *pieces[0], *pieces[1]] != prompt_ids(tokenizer, [text], template=template)[0]


@EACH
@given(context=texts, text=texts)
def test_a_text_behind_another_is_read_as_the_tokenizer_reads_both(family: str, context: str, text: str) -> None:
    """Both rows are the whole's ids and an end, and the first holds nothing but what the context begins with."""
    policy = scorer(family)
    tokenizer = policy.tokenizer
    (before,), (after,) = continued(policy, [context], [text])
    assert [*before, *after] == [*whole(tokenizer, context + text), policy.eos_id]
    assert before == whole(tokenizer, context)[: len(before)]


@EACH
def test_an_answer_in_a_chat_is_read_as_the_template_renders_the_conversation(family: str) -> None:
    policy = chatting(family)
    tokenizer = policy.tokenizer
    contexts, answers = [" It was late. ", "hello"], ["Nothing at all...", " a quiet river"]
    before, after = continued(policy, contexts, answers)
    assert before == prompt_ids(tokenizer, contexts)
    assert after == completions_of(policy, answers, encoded(policy, contexts))


@lru_cache
def scorer(family: str) -> Policy:
    """A causal policy, whatever the tokenizer's own family is: double weights, to be compared to rounding."""
    return policy_with(tokenizer_like(family))


@lru_cache
def chatting(family: str) -> Policy:
    """The same with a chat template."""
    return policy_with(tokenizer_like(family, CHATS[family]))


@pytest.mark.parametrize("family", ["qwen2", "llama2", "mistral", "gemma"])
def test_likelihood_scores_read_contexts_and_answers_as_one_text(family: str) -> None:
    """Against log-probabilities of the tokenizer's own ids, one row at a time; pieces read apart are other numbers."""
    policy = scorer(family)
    tokenizer = policy.tokenizer
    prompts, answers = ["The river was wide.", "It was late, and nobody spoke."], ["a quiet river", "(late)"]

    def own(context: str, text: str) -> float:
        ids = torch.tensor([[*whole(tokenizer, context + text), policy.eos_id]])
        alone = whole(tokenizer, context)
        first = next((i for i, (a, b) in enumerate(zip(ids[0].tolist(), alone, strict=False)) if a != b), len(alone))
        with torch.no_grad():
            log_prob = policy.model(ids).logits[0, :-1].double().log_softmax(-1)
        return float(log_prob.gather(1, ids[0, 1:, None])[first - 1 :].sum())

    def apart(context: tuple[str, ...], text: str) -> float:
        before = [i for part in context for i in tokenizer(part, add_special_tokens=False)["input_ids"]]
        after = [*tokenizer(text, add_special_tokens=False)["input_ids"], policy.eos_id]
        with torch.no_grad():
            return float(policy.log_prob(pad_left([before]), pad_right([after])))

    instruction = "Summarize: "
    relevance = RelevanceScore(policy, template="{prompt}\n\nSummarize: ", without=instruction)
    found = relevance(prompts, answers)
    pairs = list(zip(prompts, answers, strict=True))
    expected = [own(f"{x}\n\n{instruction}", y) - own(instruction, y) for x, y in pairs]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)  # sums of float64 in another order
    pieces = [apart((x, "\n\nSummarize: "), y) - apart((instruction,), y) for x, y in pairs]
    assert max(abs(a - b) for a, b in zip(pieces, expected, strict=True)) > 1e-2
    reconstructed = ReconstructionScore(policy, template="{answer}\n\nEnd: ")(prompts, answers)
    assert reconstructed.tolist() == pytest.approx([own(f"{y}\n\nEnd: ", x) for x, y in pairs], abs=1e-9)


@EACH
@given(text=spoken, longest=st.integers(0, 12))
def test_a_shortened_text_is_a_beginning_that_fits(family: str, text: str, longest: int) -> None:
    tokenizer = scorer(family).tokenizer
    kept = shortened(tokenizer, text, longest)
    assert text.startswith(kept)
    assert len(tokenizer(kept, add_special_tokens=False)["input_ids"]) <= longest
    if len(tokenizer(text, add_special_tokens=False)["input_ids"]) <= longest:
        assert kept == text


@EACH
@given(text=spoken, less=st.integers(1, 8), cut=st.sampled_from(["start", "end"]))
def test_a_cut_prompt_is_the_whole_reading_of_a_part_of_the_text(family: str, text: str, less: int, cut: str) -> None:
    """It fits, keeps the template, is the tokenizer's own reading of a beginning or end of the text, and of a long one:
    eight letters more, a token at least, would not fit."""
    tokenizer, template = tokenizer_like(family), "Summarize: {prompt}\n\nTL;DR:"
    full = prompt_ids(tokenizer, [text], template=template)[0]
    longest = len(full) - less
    readings = [whole(tokenizer, template.replace("{prompt}", part)) for part in parts(text, cut)]
    if len(readings[1]) >= longest:  # a single letter fills it
        return
    found = prompt_ids(tokenizer, [text], template=template, longest=longest, cut=cut)[0]
    assert len(found) <= longest
    assert found in readings
    kept = max(k for k, reading in enumerate(readings) if reading == found)
    assert kept > 0
    assert kept + 8 >= len(readings) or len(readings[kept + 8]) > longest


def parts(text: str, cut: str) -> list[str]:
    """All beginnings, or ends, of a text, the empty one first."""
    return [text[:i] if cut == "end" else text[len(text) - i :] for i in range(len(text) + 1)]


def test_of_several_messages_the_last_user_text_is_cut_and_everything_else_stays() -> None:
    tokenizer = tokenizer_like("qwen2", CHATML)
    chat = [
        {"role": "system", "content": "Nobody spoke."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "What is it?"},
        {"role": "user", "content": "The river was wide. It was late"},
    ]
    full = prompt_ids(tokenizer, [chat])[0]
    for cut, kept in (("end", "The river"), ("start", "was late")):
        found = prompt_ids(tokenizer, [chat], longest=len(full) - 3, cut=cut)[0]
        text = tokenizer.decode(found)
        assert len(found) == len(full) - 3
        assert kept in text
        assert all(part in text for part in ("Nobody spoke.", "hello", "What is it?", "<|im_start|>assistant\n"))
    with pytest.raises(BadInput, match=r"prompts\[0\]: 9 tokens at most, must be more than the \d+ around"):
        prompt_ids(tokenizer, [chat], longest=9)


def test_tools_and_options_reach_the_template() -> None:
    tokenizer = tokenizer_like("qwen2", CHATML)
    asked, tools = [{"role": "user", "content": "hello"}], [{"type": "function", "function": {"name": "river"}}]
    options = {"enable_thinking": False}
    ways = [
        prompt_ids(tokenizer, [asked], tools=tools, chat_template_kwargs=options),
        prompt_ids(tokenizer, [Chat(asked, tools, options)]),
    ]
    own = tokenizer.apply_chat_template(asked, tools=tools, add_generation_prompt=True, tokenize=True, **options)
    assert ways == [[own["input_ids"]]] * 2
    text = tokenizer.decode(ways[0][0])
    assert '"river"' in text
    assert text.endswith("assistant\nquiet\n")
    assert prompt_ids(tokenizer, [asked]) != ways[0]


def test_an_answer_that_was_begun_goes_on() -> None:
    tokenizer = tokenizer_like("qwen2", CHATML)
    begun = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "The river"}]
    own = tokenizer.apply_chat_template(begun, continue_final_message=True, tokenize=True)["input_ids"]
    assert prompt_ids(tokenizer, [begun]) == [own]
    assert tokenizer.decode(own).endswith("assistant\nThe river")


def test_templates_that_read_lists_of_parts_get_them() -> None:
    """Those of some vision-language models: a text would be passed over in silence."""
    parts_only = (
        "{% for m in messages %}<|im_start|>{% for part in m['content'] %}{% if part['type'] == 'text' %}"
        "{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{% endfor %}"
    )
    tokenizer = tokenizer_like("qwen2", parts_only)
    expected = tokenizer("<|im_start|>hello<|im_end|>")["input_ids"]
    assert prompt_ids(tokenizer, ["hello"]) == [expected]
    assert prompt_ids(tokenizer, [[{"role": "user", "content": [{"type": "text", "text": "hello"}]}]]) == [expected]
    cut = prompt_ids(tokenizer, [[{"role": "user", "content": [{"type": "text", "text": "hello world"}]}]], longest=3)
    assert tokenizer.decode(cut[0]).startswith("<|im_start|>he")


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("hello", "prompts = 'hello' is a single str, must be a list"),
        ({"role": "user", "content": "hello"}, "is a single dict, must be a list"),
        ([{"role": "user", "content": "hello"}], r"prompts\[0\] is one message, must be a text or a list of messages"),
        ([{"prompt": "a", "tools": []}], r"prompts\[0\] is a row with 'prompt', 'tools', must be a text or a list"),
        (["a", None], r"prompts\[1\] = None, must be a text or a list of messages"),
        ([[{"role": "user"}]], r"prompts\[0\]\[0\] has the content None, must be a text"),
        ([[{"content": "a"}]], r"prompts\[0\]\[0\] = .* must be a message with a role"),
        ([[{"role": "user", "content": [{"type": "image"}]}]], "images and sounds are not read here"),
        ([[{"role": "system", "content": "a"}]], r"prompts\[0\] is refused by the chat template: System role not"),
        ([[]], r"prompts\[0\] = \[\], must be a text or a list of messages"),
    ],
)
def test_what_is_no_list_of_prompts_is_refused_by_name(prompts: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        prompt_ids(tokenizer_like("gemma", GEMMA), prompts)


def test_options_that_would_be_ignored_are_refused() -> None:
    bare, chat = tokenizer_like("qwen2"), tokenizer_like("qwen2", CHATML)
    asked = [{"role": "user", "content": "a"}]
    with pytest.raises(BadInput, match=r"prompts\[0\] is a list of messages, but the tokenizer has no chat template"):
        prompt_ids(bare, [asked])
    with pytest.raises(BadInput, match="tools are for a chat template"):
        prompt_ids(bare, ["a"], tools=[{}])
    with pytest.raises(BadInput, match=r"template = '{prompt}!' is for texts"):
        prompt_ids(chat, [asked], template="{prompt}!")
    with pytest.raises(BadInput, match=r"template = 'a', must hold {prompt}"):
        prompt_ids(bare, ["a"], template="a")
    with pytest.raises(BadInput, match="cut = 'head', must be one of"):
        prompt_ids(bare, ["a"], cut="head")
    with pytest.raises(BadInput, match="unfit = 'skip', must be one of"):
        encoded(policy_with(bare), ["a"], unfit="skip")


def test_prompts_that_do_not_fit_are_named_before_anything_runs(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = tokenizer_like("qwen2")
    policy = policy_with(tokenizer, "gpt2", n_positions=24, bos_token_id=0)
    asked = ["The river was wide.", "", "late " * 30, " \n", "hello"]
    message = (
        r"3 of 5 prompts do not fit: prompts\[1\] is empty; prompts\[2\] has \d+ tokens, must have 17 at most; "
        r"prompts\[3\] is empty"
    )
    with pytest.raises(BadInput, match=message):
        encoded(policy, asked, new_tokens=8)
    with caplog.at_level(logging.WARNING, "llm_bridge"):
        found = encoded(policy, asked, new_tokens=8, unfit="drop")
    assert "3 of 5 prompts are left out: prompts[1] is empty; prompts[2] has" in caplog.text
    assert found.kept == [0, 4]
    assert found.texts == [asked[0], asked[4]]
    assert found.rows == prompt_ids(tokenizer, found.texts)
    cut = encoded(policy, [asked[0], asked[2]], new_tokens=8, max_tokens=17)
    assert [len(row) for row in cut.rows] == [len(prompt_ids(tokenizer, [asked[0]])[0]), 17]
    with pytest.raises(BadInput, match="2 of 2 prompts do not fit"):
        encoded(policy, ["", " "], unfit="drop")


def test_judges_read_what_was_said() -> None:
    policy = policy_with(tokenizer_like("qwen2", CHATML))
    chat = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    found = encoded(policy, ["hello", chat, [chat[1]]])
    assert found.texts == ["hello", "System: a\n\nUser: b", "b"]


def test_encoders_get_the_end_that_their_tokenizer_puts() -> None:
    tokenizer = tokenizer_like("t5")
    policy = policy_with(tokenizer, "t5")
    assert encoded(policy, ["The river"], template="Summarize: {prompt}").rows == [
        tokenizer("Summarize: The river")["input_ids"]
    ]
    full = encoded(policy, ["The river was wide"], template="Summarize: {prompt}").rows[0]
    cut = encoded(policy, ["The river was wide"], template="Summarize: {prompt}", max_tokens=len(full) - 2).rows[0]
    assert len(cut) <= len(full) - 2
    assert cut[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("family", ["qwen2", "gemma", "llama2", "mistral"])
@given(text=spoken, answer=spoken)
@settings(max_examples=25)
def test_recorded_answers_are_what_the_template_makes_of_the_conversation(family: str, text: str, answer: str) -> None:
    policy = chatting(family)
    tokenizer, prompts = policy.tokenizer, encoded(policy, [text])
    ids = completions_of(policy, [answer], prompts)[0]
    told = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    own = tokenizer.apply_chat_template(told, tokenize=True)["input_ids"]
    assert [*prompts.rows[0], *ids] == own[: len(prompts.rows[0]) + len(ids)]
    assert ids[-1] == tokenizer(ENDS[family], add_special_tokens=False)["input_ids"][-1]
    assert not any(token in policy.ends for token in ids[:-1])


ENDS = {"qwen2": "<|im_end|>", "gemma": "<end_of_turn>", "llama2": "</s>", "mistral": "</s>"}


def test_answers_with_an_end_inside_are_refused_and_one_at_the_end_is_not_doubled() -> None:
    policy = policy_with(tokenizer_like("qwen2", CHATML))
    plain = completions_of(policy, ["The river", "late"])
    assert completions_of(policy, ["The river<|im_end|>", "late<|endoftext|>"]) == plain
    with pytest.raises(BadInput, match=r"texts\[1\] continues after '<\|im_end\|>', must end there"):
        completions_of(policy, ["late", "The<|im_end|> river"])
    with pytest.raises(BadInput, match="texts = 'The river' is a single str"):
        completions_of(policy, "The river")
    with pytest.raises(BadInput, match="texts holds 1, must be one for each of the 2"):
        completions_of(policy, ["late"], encoded(policy, ["a", "b"]))


def test_prompts_by_hand_are_checked_against_the_model() -> None:
    policy = policy_with(tokenizer_like("qwen2"), "gpt2", n_positions=12, bos_token_id=0)
    Prompts(["", "a"], [[1], [2] * 9]).check_room(policy, 4)
    with pytest.raises(BadInput, match=r"2 of 3 prompts do not fit: prompts\[0\] is empty; prompts\[2\] has 10 tokens"):
        Prompts(["", "a", "b"], [[], [2] * 9, [3] * 10]).check_room(policy, 4)


def test_prompts_are_named_by_their_rows_and_long_ones_are_told(caplog: pytest.LogCaptureFixture) -> None:
    policy = policy_with(tokenizer_like("qwen2"))  # 128 positions, which are computed
    with pytest.raises(BadInput, match=r"1 of 2 prompts do not fit: a\.jsonl, row 7 is empty \("):
        encoded(policy, ["hello", " "], names=["a.jsonl, row 6", "a.jsonl, row 7"])
    rows = encoded(policy, ["hello", "river " * 130], names=["row 1", "row 2"], new_tokens=8).rows
    told = "1 of 2 prompts with their answers exceed the model's 128 positions, such as row 2 with"
    assert caplog.messages == [f"{told} {len(rows[1])} tokens"]
    caplog.clear()
    encoded(policy, ["hello"], new_tokens=8)
    assert not caplog.messages

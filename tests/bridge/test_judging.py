"""What judges may answer, and what they may not; reward models in folders; judges behind a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serving import StandIn, running
from transformers import GPT2Config, GPT2ForSequenceClassification, LlamaConfig, LlamaForSequenceClassification
from words import word_tokenizer

from llm_bridge.judges import (
    Cached,
    FunctionJudge,
    JudgeFailed,
    OneOrder,
    ScoreJudge,
    SequenceClassifier,
    ServedModel,
    Server,
    ask,
    check_judge,
    each,
    judge_named,
    judged,
    matrix,
)
from llm_bridge.policy import Prompts
from llm_bridge.training import Generated, Settings, train
from llm_bridge.verify import PROMPT, tiny
from nashlab.game import BadInput

PAIR = (["x"], ["a"], ["b"])

# -- what is said ----------------------------------------------------------------------------------------------------


async def later(prompts: list[str], left: list[str], right: list[str]) -> list[float]:
    await asyncio.sleep(0)
    return [0.75] * len(prompts)


SAID: dict[str, Callable[..., Any]] = {
    "list": lambda x, y, z: [0.75] * len(x),
    "booleans": lambda x, y, z: [True] * len(x),
    "float32 array": lambda x, y, z: np.full(len(x), 0.75, np.float32),
    "bf16 tensor": lambda x, y, z: torch.full((len(x),), 0.75, dtype=torch.bfloat16),
    "tensor with a gradient": lambda x, y, z: torch.full((len(x),), 0.75, requires_grad=True),
    "list of tensors": lambda x, y, z: [torch.tensor(0.75, dtype=torch.bfloat16)] * len(x),
    "coroutine": later,
    "list of coroutines": lambda x, y, z: [asyncio.sleep(0, 0.75) for _ in x],
    "of one pair": each(lambda prompt, left, right: 0.75),
    "a coroutine of one pair": each(lambda prompt, left, right: asyncio.sleep(0, 0.75)),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_a_judge_may_answer_with(kind: str) -> None:
    expected = 1.0 if kind == "booleans" else 0.75
    assert ask(OneOrder(SAID[kind]), *PAIR).tolist() == [expected]
    assert ask(FunctionJudge(SAID[kind]), *PAIR).tolist() == [0.5]  # it says the same of both orders


def test_a_coroutine_is_awaited_where_a_loop_runs_already() -> None:
    async def notebook() -> float:
        return float(OneOrder(later)(*PAIR)[0])

    assert asyncio.run(notebook()) == 0.75


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([1], r"the integer 1 for prompt 'x', answers 'a' and 'b', .*index of the better answer, .*opposite"),
        ([0], "the integer 0 .* an index of the better answer"),
        (np.array([1]), "the integer 1 .* an index of the better answer"),
        (torch.tensor([0]), "the integer 0 .* an index of the better answer"),
        ([-1], "the integer -1 .* must be a probability"),
        ([7], "the integer 7 .* must be a probability"),
        (["A"], "returned 'A' for prompt 'x'"),
        ("A", "returned 'A', must be a list of 1 probabilities"),
        ([-0.5], r"returned -0.5 .* must be a probability in \[0, 1\]"),
        ([float("nan")], r"returned nan .* must be a probability in \[0, 1\]"),
        ([[0.5]], r"returned \[0.5\] for prompt"),
        ([0.5, 0.5], r"array of shape \(2,\) for 1 pairs"),
        (None, "returned None, must be a list"),
        ({"p": 0.5}, "returned {'p': 0.5}, must be a list"),
    ],
)
def test_anything_else_is_refused_with_the_value(answer: Any, words: str) -> None:
    for judge in (OneOrder(lambda x, y, z: answer), lambda x, y, z: answer):
        with pytest.raises(BadInput, match=words):
            ask(judge, *PAIR)


def test_an_error_of_the_judge_is_a_judge_that_failed() -> None:
    def broken(x: list[str], y: list[str], z: list[str]) -> list[float]:
        raise KeyError("server")

    with pytest.raises(JudgeFailed, match=r"the judge failed \(KeyError: "):
        FunctionJudge(broken)(*PAIR)


def test_a_pair_may_be_left_out_and_only_where_that_is_possible() -> None:
    def shy(x: list[str], y: list[str], z: list[str]) -> list[float | None]:
        return [None if "b" in (a, b) else 0.8 for a, b in zip(y, z, strict=True)]

    args = (["x", "x"], ["a", "a"], ["b", "c"])
    for judge in (OneOrder(shy), FunctionJudge(shy), Cached(OneOrder(shy)), shy):
        p = ask(judge, *args)
        assert np.isnan(p).tolist() == [True, False]
        assert [c.right for c in judged(judge, *args)] == ["c"]
        with pytest.raises(BadInput, match="the judge left out prompt 'x', answers 'a' and 'b'"):
            matrix(judge, ["x"], [["a", "b"]])


def test_columns_reach_the_judge_that_asks_for_them() -> None:
    def reference(x: list[str], y: list[str], z: list[str], *, target: list[str]) -> list[float]:
        return [0.5 + 0.5 * (a == t) - 0.5 * (b == t) for a, b, t in zip(y, z, target, strict=True)]

    columns = {"target": ["a", "b"], "unused": [1, 2]}
    for judge in (FunctionJudge(reference), Cached(FunctionJudge(reference)), reference):
        # the same texts twice: what differs is the column
        assert ask(judge, ["x", "x"], ["a", "a"], ["b", "b"], columns=columns).tolist() == [1.0, 0.0]
    with pytest.raises(BadInput, match=r"asks for the column 'target', .* \(there are targets\).*targets"):
        ask(FunctionJudge(reference), *PAIR, columns={"targets": ["a"]})
    seen = ScoreJudge(lambda x, y, *, target: [float(a == t) for a, t in zip(y, target, strict=True)], 100.0)
    assert ask(seen, ["x", "x"], ["a", "a"], ["b", "b"], columns=columns).round(6).tolist() == [1.0, 0.0]


# -- training --------------------------------------------------------------------------------------------------------


def game(judge: Any, **options: Any) -> Generated:
    return Generated(Prompts(["1", "2"], [list(PROMPT), [1, 1, 2]]), judge, max_new_tokens=3, **options)


def moved(judge: Any) -> float:
    policy = tiny("gpt2", seed=1)
    before = [p.detach().clone() for p in policy.model.parameters()]
    train(policy, "online-ipo", game(judge, completions=4), Settings(steps=6, batch=2, learning_rate=0.02, tau=0.0001))
    return max(float((p.detach() - b).abs().max()) for p, b in zip(policy.model.parameters(), before, strict=True))


def test_a_judge_that_likes_a_position_cannot_move_a_policy() -> None:
    """It says ½ of every pair, so the gradient is τ times that of the KL, which is 0 at the start: bit for bit."""

    def first(x: list[str], y: list[str], z: list[str]) -> list[float]:
        return [0.8] * len(x)

    assert moved(FunctionJudge(first)) == 0.0
    assert moved(OneOrder(first)) > 1e-3  # the canary: one order asked, what stands first in the alphabet is learned


def test_pairs_that_are_left_out_are_counted_and_the_others_share_their_weight() -> None:
    def shy(x: list[str], y: list[str], z: list[str]) -> list[float | None]:
        return [None if prompt == "1" else 0.5 + 0.25 * (len(a) > len(b)) for prompt, a, b in zip(x, y, z, strict=True)]

    for method in ("online-ipo", "nash-md-pg", "self-play-pg"):
        policy = tiny("gpt2", seed=1)
        source = game(OneOrder(shy), completions=4, labels="hard")
        (record,) = train(policy, method, source, Settings(steps=1, batch=2))
        assert record["left_out"] == 0.5
        assert np.isfinite([record["loss"], record["grad_norm"], record["preference"]]).all()
    with pytest.warns(UserWarning, match="left out all 2 pairs of a step"):
        train(tiny("gpt2"), "online-ipo", game(lambda x, y, z: [None] * len(x)), Settings(steps=1, batch=2))


# -- reward models ---------------------------------------------------------------------------------------------------

WORDS = "red green blue grey user assistant : [BOS]"
TURNS = "[BOS] {% for m in messages %}{{ m.role }} : {{ m.content }} [EOS] {% endfor %}"


def scorer(family: str, *, chat: bool, pad: str | None) -> SequenceClassifier:
    tokenizer = word_tokenizer(WORDS)
    tokenizer.chat_template = TURNS if chat else None
    tokenizer.pad_token = pad
    tokens = {"vocab_size": len(tokenizer), "eos_token_id": 1, "bos_token_id": None}
    tokens |= {"pad_token_id": tokenizer.pad_token_id, "initializer_range": 0.5, "num_labels": 1}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if family == "gpt2":
            shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
            model: Any = GPT2ForSequenceClassification(GPT2Config(**shape, **tokens))
        else:
            shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
            model = LlamaForSequenceClassification(LlamaConfig(**shape, **tokens))
    return SequenceClassifier(model.double().eval(), tokenizer, None if chat else "{prompt} : {answer} [EOS]")


def by_hand(score: SequenceClassifier, prompt: str, answer: str) -> float:
    """One row, no padding: the score at its last token, from the model's own parts."""
    text = f"[BOS] user : {prompt} [EOS] assistant : {answer} [EOS]" if score.has_chat_template else (
        f"{prompt} : {answer} [EOS]"
    )  # fmt: skip
    ids = torch.tensor([[score.tokenizer.convert_tokens_to_ids(word) for word in text.split()]])
    with torch.no_grad():
        states = score.model.base_model(ids)[0]
        return float(score.model.score(states)[0, -1, 0])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("pad", ["[PAD]", "[EOS]", None])
@pytest.mark.parametrize("chat", [True, False])
def test_a_reward_model_scores_what_its_template_makes_whatever_its_padding(family: str, pad: str, chat: bool) -> None:
    score = scorer(family, chat=chat, pad=pad)
    answers = ["red", "green blue grey grey", "blue blue", "grey red green blue red red"]
    prompts = ["red green", "blue", "grey", "green green grey"]
    expected = [by_hand(score, x, y) for x, y in zip(prompts, answers, strict=True)]
    np.testing.assert_allclose(score(prompts, answers), expected, rtol=0, atol=1e-9)  # float64, other orders of sums
    assert score.padded
    if pad == "[EOS]":  # the canary: what the library does by itself reads the token before the end
        texts = [score._rendered([{"role": "user", "content": x}, {"role": "assistant", "content": y}]) if chat
                 else score._ids(score._filled(x, y)) for x, y in zip(prompts, answers, strict=True)]  # fmt: skip
        inputs = score.tokenizer.pad({"input_ids": texts}, return_tensors="pt", padding_side="right")
        off = score.model(**inputs).logits[:, 0].detach().numpy() - expected
        assert np.abs(off).max() > 0.1 * np.std(expected)


def test_a_reward_model_whose_scores_depend_on_padding_is_asked_for_one_length_at_a_time() -> None:
    score = scorer("gpt2", chat=True, pad="[PAD]")
    inner = score.model.forward

    def leaning(**inputs: Any) -> Any:
        found = inner(**inputs)
        found.logits = found.logits + inputs["input_ids"].shape[1]
        return found

    score.model.forward = leaning
    again = SequenceClassifier(score.model, score.tokenizer)
    assert not again.padded
    alone = [float(again(["red"], [y])[0]) for y in ("red", "green blue")]
    assert again(["red", "red"], ["red", "green blue"]).tolist() == pytest.approx(alone)


def test_a_conversation_reaches_the_reward_model_as_one() -> None:
    score = scorer("llama", chat=True, pad="[PAD]")
    said = [("user", "red"), ("assistant", "blue"), ("user", "grey")]
    turns = [{"role": role, "content": content} for role, content in said]
    shown = score._row("any", "green", turns)["input_ids"]
    text = "[BOS] user : red [EOS] assistant : blue [EOS] user : grey [EOS] assistant : green [EOS]"
    assert shown == [score.tokenizer.convert_tokens_to_ids(word) for word in text.split()]


def test_a_folder_alone_is_a_reward_model(tmp_path: Path) -> None:
    score = scorer("llama", chat=True, pad=None)
    score.model.save_pretrained(tmp_path)
    score.tokenizer.save_pretrained(tmp_path)
    check_judge(str(tmp_path))
    named = judge_named(str(tmp_path))
    args = (["red"], ["green"], ["blue grey"])
    np.testing.assert_allclose(named(*args), ScoreJudge(score)(*args), rtol=0, atol=1e-12)


# -- servers ---------------------------------------------------------------------------------------------------------


class Stand(StandIn):
    """A stand-in for a served model: ``script`` says of the n-th request a status, a body, and how long to wait."""

    def __init__(self, script: Callable[[int, dict[str, Any]], tuple[int, Any, float]]) -> None:
        super().__init__()
        self.script, self.count, self.at_once, self.most = script, 0, 0, 0

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        with self.lock:
            number = self.count
            self.count += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        status, said, wait = self.script(number, body)
        time.sleep(wait)
        with self.lock:
            self.at_once -= 1
        return status, said


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, **more}]}


@pytest.fixture
def stand() -> Iterator[Callable[..., Stand]]:
    with ExitStack() as opened:
        yield lambda script: opened.enter_context(running(Stand(script)))


def served(server: Stand, **options: Any) -> ServedModel:
    judge = ServedModel(server.url, **({"retries": 4, "timeout": 5.0} | options))
    judge.server.first_wait = 0.001
    return judge


def shorter(number: int, body: dict[str, Any]) -> tuple[int, Any, float]:
    text = body["messages"][0]["content"]
    a, b = (text.split(f"[Answer {side}]\n")[1].split("\n")[0] for side in "AB")
    return 200, says("A" if len(a) < len(b) else "B" if len(b) < len(a) else "C"), 0.0


def test_a_served_model_judges_and_both_orders_are_asked(stand: Callable[..., Stand]) -> None:
    server = stand(shorter)
    judge = judge_named({"name": server.url, "retries": 0})
    assert judge(["x", "x", "x"], ["a", "bbb", "cc"], ["bb", "a", "dd"]).tolist() == [1.0, 0.0, 0.5]
    assert server.count == 6
    likes_first = stand(lambda n, body: (200, says("A"), 0.0))
    assert judge_named(likes_first.url)(*PAIR).tolist() == [0.5]


def test_a_server_that_fails_and_lags_is_asked_again(stand: Callable[..., Stand]) -> None:
    failing = [(500, "oops", 0.0), (429, "slow down", 0.0), (200, "no JSON", 0.0), (200, {"choices": []}, 0.0)]
    server = stand(lambda n, body: failing[n] if n < 4 else (200, says("A."), 0.0))
    assert served(server)(*PAIR) == [1.0]
    assert server.count == 5
    lagging = stand(lambda n, body: (200, says("B"), 0.5 if n == 0 else 0.0))
    assert served(lagging, timeout=0.1)(*PAIR) == [0.0]


def test_a_server_that_is_gone_or_refuses_is_a_judge_that_failed(stand: Callable[..., Stand]) -> None:
    with pytest.raises(JudgeFailed, match=r"cannot be reached .* 2 times"):
        _gone()
    with pytest.raises(JudgeFailed, match="it said 503 busy, 5 times"):
        served(stand(lambda n, body: (503, "busy", 0.0)))(*PAIR)
    unknown = stand(lambda n, body: (404, "no such model", 0.0))
    with pytest.raises(JudgeFailed, match="it said 404 no such model"):
        served(unknown)(*PAIR)
    assert unknown.count == 1  # asking again would not help
    with pytest.raises(JudgeFailed, match=r"is OPENAI_API_KEY set\?"):
        served(stand(lambda n, body: (401, "who?", 0.0)))(*PAIR)


def _gone() -> None:
    with StandIn() as server:
        port = server.server_port
    judge = ServedModel(f"http://127.0.0.1:{port}/v1", retries=1)
    judge.server.first_wait = 0.001
    judge(*PAIR)


def test_nonsense_leaves_the_pair_out_and_is_counted(stand: Callable[..., Stand], tmp_path: Path) -> None:
    judge = served(stand(lambda n, body: (200, says("As a model I like both."), 0.0)), cache=tmp_path / "answers")
    assert np.isnan(FunctionJudge(judge)(*PAIR)).all()
    assert judge.nonsense == 2
    assert judge(*PAIR) == [None]  # nor is it remembered


def test_log_probabilities_are_used_where_there_are_some(stand: Callable[..., Stand]) -> None:
    shares = {"A": 0.6, " B": 0.2, "I": 0.05}
    tops = [{"token": token, "logprob": np.log(p)} for token, p in shares.items()]
    server = stand(lambda n, body: (200, says("A", logprobs={"content": [{"top_logprobs": tops}]}), 0.0))
    judge = served(server, request={"logprobs": True, "top_logprobs": 5, "temperature": None})
    assert judge(*PAIR) == [pytest.approx(0.75)]
    assert server.bodies[0]["logprobs"] is True
    assert "temperature" not in server.bodies[0]


def test_answers_are_kept_on_disk_and_belong_to_the_question(stand: Callable[..., Stand], tmp_path: Path) -> None:
    server = stand(shorter)
    judge = served(server, cache=tmp_path / "answers", model="m")
    assert judge(["x", "y"], ["a", "bb"], ["bb", "a"]) == [1.0, 0.0]
    again = served(server, cache=tmp_path / "answers", model="m")
    assert again(["y", "x", "z"], ["bb", "a", "a"], ["a", "bb", "bb"]) == [0.0, 1.0, 1.0]
    assert server.count == 3  # z alone was new
    served(server, cache=tmp_path / "answers", model="other")(["x"], ["a"], ["bb"])
    assert server.count == 4
    (tmp_path / "notes").write_text("hello, this is no database at all, but a text")
    with pytest.raises(BadInput, match="is not a file of answers"):
        served(server, cache=tmp_path / "notes")


def test_questions_go_out_together_but_not_faster_than_allowed(stand: Callable[..., Stand]) -> None:
    server = stand(lambda n, body: (200, says("A"), 0.1))
    args = (["x"] * 8, [str(i) for i in range(8)], ["b"] * 8)
    served(server, concurrent=8)(*args)
    assert server.most >= 4  # of eight at once, on a busy machine
    slow = stand(lambda n, body: (200, says("A"), 0.0))
    started = time.monotonic()
    served(slow, rate=20.0)(*args)
    assert time.monotonic() - started >= 7 / 20  # eight starts are seven gaps


def test_what_cannot_be_a_server_is_refused() -> None:
    for options, words in (
        ({"url": "localhost"}, "url = 'localhost', must begin with http"),
        ({"concurrent": 0}, "concurrent = 0, must be at least 1"),
        ({"retries": -1}, "retries = -1, must be at least 0"),
        ({"rate": -1.0}, "rate = -1.0, must be at least 0"),
    ):
        with pytest.raises(BadInput, match=words):
            Server(**({"url": "http://x"} | options))
    with pytest.raises(BadInput, match=r"has no \{right\}"):
        ServedModel("http://x", question="{prompt} {left}")
    with pytest.raises(BadInput, match=r"'modl' is unknown.*model"):
        check_judge({"name": "http://x", "modl": "m"})

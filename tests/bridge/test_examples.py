"""The examples run, with a tiny model, to a policy that loads again and a record of how it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from serving import StandIn, running
from transformers import LlamaConfig, LlamaForSequenceClassification
from words import word_tokenizer

from llm_bridge.examples import http_judge, messages, own_judge, reward_model
from llm_bridge.policy import load_policy
from llm_bridge.training import Settings

WORDS = "Name a colour. fruit. metal. river. tree. red fig tin Rhine oak Be brief. system : user assistant"
TURNS = (
    "{% for m in messages %}{{ m.role }} : {{ m.content }} [EOS] {% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)
SHAPE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
         "max_position_embeddings": 96, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}  # fmt: skip
QUICK = Settings(steps=4, batch=4, learning_rate=0.03, measure_every=0, schedule="constant")
OPTIONS: dict[str, Any] = {"max_new_tokens": 5, "device": "cpu"}
PROMPTS = [{"prompt": f"Name a {kind}."} for kind in ("colour", "fruit", "metal", "river", "tree")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base")
    tokenizer = word_tokenizer(WORDS)
    tokenizer.chat_template = TURNS
    policy = load_policy(LlamaConfig(vocab_size=len(tokenizer), **SHAPE), tokenizer=tokenizer)
    policy.model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def check(record: dict[str, Any], folder: Path) -> None:
    assert record["step"] == 4
    assert 0 <= record["win_rate_low"] <= record["win_rate"] <= record["win_rate_high"] <= 1
    assert load_policy(folder / "policy").tokenizer.chat_template == TURNS


def test_own_judge(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(own_judge.run(base, tmp_path, QUICK, **OPTIONS), tmp_path)
    assert own_judge.better(["x"], ["a tin"], ["a fig"], expected=["tin"]) == [0.9]
    assert own_judge.better(["x"], [""], [""], expected=["tin"]) == [None]


def test_reward_model(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = word_tokenizer(WORDS)
    tokenizer.chat_template = TURNS
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(vocab_size=len(tokenizer), num_labels=1, initializer_range=0.5, **SHAPE)
        LlamaForSequenceClassification(config).save_pretrained(tmp_path / "scorer")
    tokenizer.save_pretrained(tmp_path / "scorer")
    folder = tmp_path / "out"
    check(reward_model.run(base, str(tmp_path / "scorer"), [PROMPTS], folder, QUICK, held_out=2, **OPTIONS), folder)


class Short(StandIn):
    """A server that says that the shorter answer is better."""

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        text = body["messages"][0]["content"]
        a, b = (len(text.split(f"[Answer {side}]\n")[1].split("\n")[0]) for side in "AB")
        said = "A" if a < b else "B" if b < a else "C"
        return 200, {"choices": [{"message": {"content": said}}]}


def test_http_judge(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(Short()) as server:
        where = (base, server.url, "judge", [PROMPTS], tmp_path, QUICK)
        check(http_judge.run(*where, held_out=2, **OPTIONS), tmp_path)
        asked = len(server.bodies)
        assert asked > 0
        http_judge.run(*where, held_out=2, **OPTIONS)  # it is done already
        assert len(server.bodies) == asked


def test_messages(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(messages.run(base, tmp_path, QUICK, **OPTIONS), tmp_path)
    system = [[{"role": "system", "content": "Be brief."}]]
    assert messages.brief(["x"], ["a"], ["aa"], messages=system) == [0.9]

"""Judges by name: each is the one that Python would build, and what is not understood is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bridge.tiny import tiny_config
from bridge.words import word_tokenizer
from transformers import GPT2ForSequenceClassification

from llm_bridge.data import load_corpus
from llm_bridge.judges import (
    JUDGES,
    Judge,
    ReconstructionScore,
    RelevanceScore,
    ScoreJudge,
    SequenceClassifier,
    check_judge,
    judge_named,
    summary_raters,
)
from llm_bridge.policy import load_policy, seeded
from llm_bridge.preferences import SkewEmbedding, load_encoder, save_model
from nashlab.game import BadInput

WORDS = ("red", "green", "blue", "grey", "Description", "Summary", "in", "one", "line", ":")
ASKED = (["red green"] * 3, ["blue", "grey blue", "red"], ["grey", "red", "red"])


def answers(judge: Judge) -> list[float]:
    return np.asarray(judge(*ASKED)).tolist()


def reward_model(folder: Path) -> tuple[str, Judge]:
    tokenizer, config = word_tokenizer(*WORDS), tiny_config("gpt2", 32)
    config.num_labels = 1
    tokenizer.pad_token = tokenizer.eos_token
    config.pad_token_id = tokenizer.pad_token_id
    with seeded(1):
        model = GPT2ForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"reward-model:{folder}", ScoreJudge(SequenceClassifier(model, tokenizer, "{prompt} {answer}"), 5.0)


def language_model(folder: Path) -> Any:
    policy = load_policy(tiny_config("gpt2", 32), tokenizer=word_tokenizer(*WORDS), seed=1)
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    return load_policy(folder)


def likelihood(folder: Path) -> tuple[str, Judge]:
    return f"likelihood:{folder}", ScoreJudge(RelevanceScore(language_model(folder)), 5.0)


def reconstruction(folder: Path) -> tuple[str, Judge]:
    return f"reconstruction:{folder}", ScoreJudge(ReconstructionScore(language_model(folder)), 5.0)


@pytest.mark.parametrize(
    ("made", "options"),
    [
        (reward_model, {"scale": 5.0, "template": "{prompt} {answer}"}),
        (likelihood, {"scale": 5.0}),
        (reconstruction, {"scale": 5.0}),
    ],
)
def test_a_score_by_name_is_the_one_that_python_builds(
    made: Callable[[Path], tuple[str, Judge]], options: dict[str, Any], tmp_path: Path
) -> None:
    name, ours = made(tmp_path)
    check_judge({"name": name, **options})
    found = answers(judge_named({"name": name, **options}))
    assert found == answers(ours)
    assert abs(found[0] - 0.5) > 1e-6  # it says something
    assert found != answers(judge_named({"name": name, **options, "scale": 1.0}))  # canary: options are heard


def test_a_preference_model_by_name(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(*WORDS, "First", "Second", "answer", "Answer")
    model = SkewEmbedding(load_encoder(tiny_config("gpt2", 32), tokenizer, seed=1)).eval()
    save_model(model, tmp_path)
    assert answers(judge_named(f"preference-model:{tmp_path}")) == answers(model.judge())


def test_a_table_by_name(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    p = [[0.5, 0.7, 0.2, 0.5], [0.3, 0.5, 0.5, 0.5], [0.8, 0.5, 0.5, 0.1], [0.5, 0.5, 0.9, 0.5]]
    content = {"prompts": ["red green"], "candidates": [["blue", "grey", "grey blue", "red"]], "matrices": [p]}
    path.write_text(json.dumps(content))
    assert answers(judge_named(f"table:{path}")) == pytest.approx([0.7, 0.1, 0.5], abs=1e-15)


def test_the_raters_by_name_know_the_texts_that_they_are_given() -> None:
    examples = load_corpus("debian", count=12)
    asked = ([e.prompt for e in examples], [e.summary for e in examples], [e.summary[:9] for e in examples])
    found = judge_named("raters", training=examples[:6], evaluation=examples[6:])(*asked)
    np.testing.assert_array_equal(found, summary_raters(examples[:6], examples[6:])(*asked))


def test_a_function_of_the_working_directory_is_asked_in_both_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_judge_of_names.py").write_text(
        "def shorter(prompts, left, right):\n"
        "    return [0.6 + 0.4 * (len(y) < len(z)) - 0.4 * (len(y) > len(z)) for y, z in zip(left, right)]\n"
    )
    monkeypatch.chdir(tmp_path)
    # a liking of .1 for the first place falls out: .5 (1.0 + .8) for the shorter one
    assert answers(judge_named("my_judge_of_names:shorter")) == pytest.approx([0.5, 0.1, 0.5], abs=1e-15)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ratters", "judge = 'ratters' is unknown.*did you mean 'raters'"),
        ("raters:debian", "judge = 'raters:debian', must be raters"),
        ("likelihood", "judge = 'likelihood', must be likelihood:SOURCE"),
        ({"scale": 2}, "must be a name or a table with a name"),
        ({"name": "likelihood:x", "scael": 2}, "judge = 'likelihood:x': 'scael' is unknown.*did you mean 'scale'"),
        ({"name": "raters", "scale": 2}, "judge = 'raters': 'scale' is unknown: it takes no options"),
        ("no_such_module:f", "judge = 'no_such_module:f' cannot be imported: .*no_such_module"),
        ("json:dmups", "judge = 'json:dmups' cannot be imported: .*dmups"),
        ("math:pi", "judge = 'math:pi' is a float, must be a function"),
        ("reward-model:nowhere", "judge = 'reward-model:nowhere': nowhere does not exist"),
        ("table:nowhere.json", "judge = 'table:nowhere.json': nowhere.json does not exist"),
    ],
)
def test_what_is_no_judge_is_refused_before_anything_is_made(given: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_judge(given)


@pytest.mark.parametrize("content", ["[1]", "{}", '{"prompts": ["x"]}', "no JSON"])
def test_a_table_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(BadInput, match="cannot be read: "):
        judge_named(f"table:{tmp_path / 't.json'}")


def test_every_name_can_be_resolved() -> None:
    for name in JUDGES:
        given = name if name == "raters" else f"{name}:{Path(__file__).parent}"
        check_judge(given)

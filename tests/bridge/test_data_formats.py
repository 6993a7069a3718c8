"""Prompts and comparisons as people keep them: layouts, files, data sets, lists, mixtures, and rows that do not fit."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from llm_bridge.data import (
    Comparison,
    Conversation,
    Message,
    Question,
    held_out,
    load_comparisons,
    load_pairs,
    load_prompts,
    mixed,
)
from nashlab.game import BadInput


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [user("Hi"), assistant("Ho"), user("And?")]

PROMPTS: dict[str, tuple[dict[str, Any], Any]] = {
    "prompt alone": ({"prompt": "Hi"}, "Hi"),
    "messages": ({"prompt": [SYSTEM, user("Hi")]}, [SYSTEM, user("Hi")]),
    "a conversation to its last question": ({"messages": [*TURNS, assistant("No.")]}, TURNS),
    "ShareGPT": ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}, [user("Hi")]),
    "instruction and input": ({"instruction": "Translate.", "input": "Hallo", "output": "x"}, "Translate.\n\nHallo"),
    "question": ({"question": "1 + 1?", "answer": "2"}, "1 + 1?"),
    "implicit, as messages": (
        {"chosen": [user("Hi"), assistant("a")], "rejected": [user("Hi"), assistant("b")]}, [user("Hi")],
    ),
    "implicit, as HH": (
        {"chosen": "\n\nHuman: Hi\n\nAssistant: Ho", "rejected": "\n\nHuman: Hi\n\nAssistant: Hm"},
        "\n\nHuman: Hi\n\nAssistant:",
    ),
    "UltraFeedback": (
        {"prompt": "Hi", "prompt_id": "7", "chosen": [user("Hi"), assistant("a")],
         "rejected": [user("Hi"), assistant("b")], "messages": [user("Hi"), assistant("a")],
         "score_chosen": 8.0, "score_rejected": 5.0},
        "Hi",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROMPTS)
def test_a_prompt_is_found_in_its_layout(kind: str) -> None:
    row, expected = PROMPTS[kind]
    (found,) = load_prompts([row])
    assert found.prompt == expected
    assert not set(found.columns) & {"prompt", "messages", "conversations"} or kind == "UltraFeedback"


def test_other_columns_come_along_and_a_column_may_be_named() -> None:
    (found,) = load_prompts([{"ask": "Hi", "target": 3, "prompt": "not this"}], column="ask")
    assert (found.prompt, found.columns) == ("Hi", {"target": 3, "prompt": "not this"})
    with pytest.raises(BadInput, match=r"row 1, column 'aks': is missing .*; did you mean 'ask'"):
        load_prompts([{"ask": "Hi"}], column="aks")


PAIRS: dict[str, tuple[dict[str, Any], Comparison]] = {
    "texts": ({"prompt": "Hi", "chosen": "a", "rejected": "b"}, Comparison("Hi", "a", "b", 1.0)),
    "soft": ({"prompt": "Hi", "left": "a", "right": "b", "p": 0.25}, Comparison("Hi", "a", "b", 0.25)),
    "messages after a prompt": (
        {"prompt": [user("Hi")], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        Comparison("Hi", "a", "b", 1.0),
    ),
    "UltraFeedback": (PROMPTS["UltraFeedback"][0], Comparison("Hi", "a", "b", 1.0)),
    "implicit, several turns": (
        {"chosen": [*TURNS, assistant("a")], "rejected": [*TURNS, assistant("b")]},
        Comparison("User: Hi\n\nAssistant: Ho\n\nUser: And?", "a", "b", 1.0),
    ),
    "HH": (PROMPTS["implicit, as HH"][0], Comparison("\n\nHuman: Hi\n\nAssistant:", "Ho", "Hm", 1.0)),
    "arena, won by b": (
        {"conversation_a": [user("Hi"), assistant("a")], "conversation_b": [user("Hi"), assistant("b")],
         "winner": "model_b", "model_a": "x", "model_b": "y"},
        Comparison("Hi", "a", "b", 0.0),
    ),
    "arena, a tie": ({"prompt": "Hi", "response_a": "a", "response_b": "b", "winner": "tie (bothbad)"},
                     Comparison("Hi", "a", "b", 0.5)),
    "arena, as columns of JSON": (
        {"prompt": '["Hi"]', "response_a": '["a"]', "response_b": '["b"]', "winner_model_a": 0, "winner_model_b": 0,
         "winner_tie": 1},
        Comparison("Hi", "a", "b", 0.5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PAIRS)
def test_a_comparison_is_found_in_its_layout(kind: str) -> None:
    row, expected = PAIRS[kind]
    assert load_pairs([row]) == [expected]


def test_a_conversation_keeps_its_messages() -> None:
    prompt = load_pairs([PAIRS["implicit, several turns"][0]])[0].prompt
    for same in (prompt, pickle.loads(pickle.dumps(prompt)), copy.deepcopy(prompt)):
        assert isinstance(same, Conversation)
        assert same.messages == tuple(Message(m["role"], m["content"]) for m in TURNS)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "Hi"}, "row 2: has the columns text, must have a prompt"),
        ({"prompt": 7}, "row 2, column 'prompt': is 7, must be a list of messages"),
        ({"prompt": []}, r"row 2, column 'prompt': is \[\], must be a list of messages"),
        ({"prompt": [user("Hi"), assistant("Ho")]}, "column 'prompt': ends with an answer"),
        ({"prompt": [{"role": "user"}]}, "column 'prompt', message 0: .* must have a role and a content"),
        ({"messages": [assistant("Ho")]}, "column 'messages': holds only answers"),
        ({"conversations": [{"from": "humen", "value": "Hi"}]}, "is from 'humen', .*human"),
        ({"chosen": "The cat sat", "rejected": "The cat ran"}, "has no prompt, and chosen no turn 'Assistant:'"),
        (["not", "messages"], "column 'prompt', message 0: is 'not'"),
        (5, "row 2: is 5, must be a text, a list of messages, or an object"),
    ],
)
def test_a_row_without_a_prompt_is_named(row: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_prompts(["fine", row])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "Hi", "completion": "a", "label": True}, "must have two answers: .* one answer with a label"),
        ({"prompt": "Hi", "response_a": "a", "response_b": "b"}, "has two answers, but neither p nor winner"),
        ({"prompt": "Hi", "response_a": "a", "response_b": "b", "winner": "modle_a"}, "is 'modle_a', .*model_a"),
        ({"prompt": "Hi", "left": "a", "right": "b", "p": 2}, "column 'p': is 2, must be a probability"),
        ({"prompt": "Hi", "chosen": "a", "rejected": [assistant("b")]}, "are a text and messages"),
        ({"chosen": [user("Hi"), assistant("a"), user("b")], "rejected": [user("Hi"), assistant("c")]},
         "column 'chosen': 2 messages follow the common beginning"),
        ({"chosen": "\n\nHuman: Hi\n\nAssistant: a", "rejected": "\n\nHuman: Ho\n\nAssistant: a"},
         "differ before their last answer"),
        ({"prompt": "Hi", "chosen": "a", "rejected": None}, "column 'rejected': is missing"),
        ({"prompt": '["Hi", "And?"]', "response_a": "a", "response_b": "b", "winner": "tie"}, "holds 2 turns"),
        ({"prompt": "Hi", "response_a": "a", "response_b": "b", "winner_model_a": 1, "winner_model_b": 1,
          "winner_tie": 0}, "sets 2 of winner_model_a"),
    ],
)  # fmt: skip
def test_a_row_without_a_comparison_is_named(row: Any, words: str) -> None:
    with pytest.raises(BadInput, match="row 1.*" + words):
        load_pairs([row])


ROWS = [{"prompt": f"Say {i}", "target": i} for i in range(3)]


def written(folder: Path, kind: str) -> Any:
    path = folder / f"rows.{kind}"
    match kind:
        case "jsonl":
            path.write_text("\n".join(map(json.dumps, ROWS)))
        case "json":
            path.write_text(json.dumps({"data": ROWS, "version": 1}))
        case "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), path)
        case "saved":
            Dataset.from_list(ROWS).save_to_disk(str(path))
        case "Dataset":
            return Dataset.from_list(ROWS)
        case "streamed":
            return Dataset.from_list(ROWS).to_iterable_dataset()
        case "generator":
            return iter(ROWS)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "saved", "Dataset", "streamed", "generator"])
def test_prompts_come_from_anywhere(tmp_path: Path, kind: str) -> None:
    found = load_prompts(written(tmp_path, kind))
    assert [(q.prompt, q.columns) for q in found] == [(row["prompt"], {"target": row["target"]}) for row in ROWS]


def test_json_files_hold_one_list_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([{"prompt": "Hi", "chosen": "a", "rejected": "b"}]))
    assert load_comparisons(path) == load_pairs(path) == [Comparison("Hi", "a", "b")]
    lines = [{"prompt": prompt, "chosen": "a", "rejected": "b"} for prompt in ("Hi", "Ho")]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert [c.prompt for c in load_pairs(path)] == ["Hi", "Ho"]  # one object a line all the same
    for content, words in (
        ("{", "is not JSON"),
        ('{"a": [], "b": []}', "must be a list of objects, or an object with one such list"),
        ("7", "must be a list of objects"),
        ("[7]", "row 1: is 7, must be an object with columns"),
        ('[{"a": 1, "a": 2}]', "has the column 'a' more than once"),
    ):
        path.write_text(content)
        with pytest.raises(BadInput, match="pairs.json.*" + words):
            load_prompts(path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.jsonl", "is not a file, a folder or a hub name"),
        ([], "holds no rows"),
        (DatasetDict({"train": Dataset.from_list(ROWS)}), "source holds the splits train, must be one of them"),
        (7, "source = 7, must be a file, a hub name, or an iterable of rows"),
    ],
)
def test_what_is_no_source_is_refused(source: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_prompts(source)


def test_a_hub_name_is_asked_for_with_its_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, config: Any, split: str) -> list[dict[str, Any]]:
        asked.append((name, config, split))
        return ROWS

    monkeypatch.setattr("datasets.load_dataset", load)
    assert [q.prompt for q in load_prompts("owner/name:test")] == ["Say 0", "Say 1", "Say 2"]
    assert load_prompts("owner/name")[0].where == "owner/name, row 1"
    assert asked == [("owner/name", None, "test"), ("owner/name", None, "train")]


def test_mixtures_go_by_weight_in_every_stretch() -> None:
    def many(name: str, count: int) -> list[Question]:
        return [Question(f"{name}{i}") for i in range(count)]

    found, counts = mixed([(many("a", 30), 1.0), (many("b", 90), 3.0), (many("c", 500), 6.0)])
    assert counts == [30, 90, 180]
    names = [str(q.prompt)[0] for q in found]
    for start in range(0, 300, 30):
        part = names[start : start + 30]
        assert abs(part.count("a") - 3) <= 1
        assert abs(part.count("b") - 9) <= 1
    assert len({q.key for q in found}) == 300  # none twice
    for weight in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(BadInput, match=r"weight of source 0 = .*, must be positive and finite"):
            mixed([(many("a", 1), weight)])


def test_held_out_prompts_are_not_trained_on() -> None:
    questions = [Question(f"p{i % 20}", {"row": i}) for i in range(60)]
    training, aside = held_out(questions, 5)
    assert len(aside) == 5
    assert len(training) == 45
    assert not {q.key for q in training} & {q.key for q in aside}
    assert {q.key for q in held_out(questions[::-1], 5)[1]} == {q.key for q in aside}
    with pytest.raises(BadInput, match="held_out = 20, must be less than the 20 different prompts"):
        held_out(questions, 20)

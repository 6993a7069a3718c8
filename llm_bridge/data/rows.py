"""Reads a row as a prompt or as a comparison of two answers, in the common layouts.

    prompts      prompt | instruction (+ input) | question | query | messages | conversations, as texts or messages; of
                 chosen and rejected alone, their common beginning
    comparisons  chosen, rejected | left, right, p | response_a, response_b | conversation_a, conversation_b, with a
                 winner (model_a, model_b, tie, ...) or winner_model_a, winner_model_b, winner_tie

Messages are lists of {"role", "content"}, or of {"from", "value"} as in ShareGPT.  Texts may be whole dialogues with
"\\n\\nHuman:" and "\\n\\nAssistant:", as in HH.  Nothing missing is guessed: such a row is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llm_bridge.data.files import Row, probability_in, shown, text_in
from llm_bridge.data.records import Comparison, Conversation, Message
from nashlab.game import BadInput, suggestion

__all__ = ["comparison_in", "messages_in", "prompt_in"]

TEXTS = ("prompt", "instruction", "question", "query")
CHATS = ("messages", "conversations", "conversation")
ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system",
         "tool": "tool", "model": "assistant", "bot": "assistant"}  # fmt: skip
PAIRS = (("chosen", "rejected"), ("left", "right"), ("response_a", "response_b"), ("conversation_a", "conversation_b"))
WINNERS = {"model_a": 1.0, "a": 1.0, "left": 1.0, "model_b": 0.0, "b": 0.0, "right": 0.0,
           "tie": 0.5, "tie (bothbad)": 0.5, "both_bad": 0.5, "bothbad": 0.5}  # fmt: skip
TURN = "\n\nAssistant:"
Prompt = str | list[dict[str, Any]]


def prompt_in(row: Row, where: str, column: str | None = None) -> tuple[Prompt, set[str]]:
    """The prompt of a row, a text or messages, and the columns from which it was read.

    >>> prompt_in({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}, "row 1")[0]
    [{'role': 'user', 'content': 'Hi'}]
    """
    if column is not None:
        return _asking(_cell_of(row, column, where), f"{where}, column {column!r}"), {column}
    for name in TEXTS:
        if row.get(name) is not None:
            if name == "prompt" and "response_a" in row:
                return _arena_prompt(row, where), {name}
            prompt = _asking(row[name], f"{where}, column {name!r}")
            if name == "instruction" and isinstance(prompt, str) and row.get("input"):
                return f"{prompt}\n\n{text_in(row, 'input', where)}", {name, "input"}
            return prompt, {name}
    for name in CHATS:
        if row.get(name) is not None:
            return _asked_in(messages_in(row[name], f"{where}, column {name!r}"), f"{where}, column {name!r}"), {name}
    for pair in PAIRS:
        if pair[0] in row and pair[1] in row:
            return _shared(row, pair, where)[0], set(pair)
    raise BadInput(f"{where}: has the columns {', '.join(map(str, row))}, must have a prompt "
                   f"({', '.join((*TEXTS, *CHATS))})")  # fmt: skip


def comparison_in(row: Row, where: str) -> Comparison:
    """The comparison of a row; ties are ½."""
    pair = next((p for p in PAIRS if p[0] in row and p[1] in row), None)
    if pair is None:
        why = ""
        if "label" in row and "completion" in row:
            why = "; one answer with a label is not a comparison"
        raise BadInput(f"{where}: has the columns {', '.join(map(str, row))}, must have two answers: "
                       + ", ".join(" and ".join(p) for p in PAIRS) + why)  # fmt: skip
    prompt, left, right = _shared(row, pair, where)
    p = 1.0 if pair == PAIRS[0] else probability_in(row, "p", where) if "p" in row else _winner(row, where)
    return Comparison(_hashable(prompt, where), left, right, p)


def messages_in(value: Any, where: str) -> list[dict[str, Any]]:
    """Messages with role and content, from any known names of the two."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise BadInput(f"{where}: is {shown(value)}, must be a list of messages")
    found = []
    for i, message in enumerate(value):
        if not isinstance(message, Mapping):
            raise BadInput(f"{where}, message {i}: is {shown(message)}, must have a role and a content")
        role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if not isinstance(role, str) or (not isinstance(content, (str, list)) and not message.get("tool_calls")):
            raise BadInput(f"{where}, message {i}: is {shown(message)}, must have a role and a content")
        others = {k: v for k, v in message.items() if k not in ("role", "from", "content", "value") and v is not None}
        if role.lower() not in ROLES and "from" in message:
            raise BadInput(f"{where}, message {i}: is from {role!r}, must be from one of {', '.join(ROLES)}"
                           f"{suggestion(role, ROLES)}")  # fmt: skip
        found.append({"role": ROLES.get(role.lower(), role), "content": content, **others})
    return found


# -- prompts ---------------------------------------------------------------------------------------------------------


def _asking(value: Any, where: str) -> Prompt:
    """A prompt by itself: a text, or messages that end before an answer."""
    if isinstance(value, str):
        return value
    messages = messages_in(value, where)
    if messages[-1]["role"] == "assistant":
        raise BadInput(f"{where}: ends with an answer, must end with the message to answer")
    return messages


def _asked_in(messages: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """A conversation up to the last turn not written by the assistant."""
    while messages and messages[-1]["role"] == "assistant":
        messages = messages[:-1]
    if not messages:
        raise BadInput(f"{where}: holds only answers, must hold a question")
    return messages


def _arena_prompt(row: Row, where: str) -> Prompt:
    """The prompt of an arena row, which stores the user's turns as JSON."""
    value = row["prompt"]
    if isinstance(value, str) and value.startswith("["):
        turns = _decoded(value)
        if isinstance(turns, list) and all(isinstance(turn, str) for turn in turns):
            if len(turns) != 1:
                raise BadInput(f"{where}, column 'prompt': holds {len(turns)} turns, must hold one: the answers "
                               "between them differ")  # fmt: skip
            return str(turns[0])
    return _asking(value, f"{where}, column 'prompt'")


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# -- comparisons -----------------------------------------------------------------------------------------------------


def _shared(row: Row, pair: tuple[str, str], where: str) -> tuple[Prompt, str, str]:
    """(prompt, left answer, right answer), where the prompt is given or is the common beginning of both sides."""
    cells = [_unpacked(_cell_of(row, name, where)) for name in pair]
    given = row.get("prompt")
    if all(isinstance(cell, str) for cell in cells):
        if given is not None:
            return prompt_in(row, where)[0], cells[0], cells[1]
        return _split_dialogues(cells[0], cells[1], pair, where)
    if any(isinstance(cell, str) for cell in cells):
        raise BadInput(f"{where}: {pair[0]} and {pair[1]} are a text and messages, must be of one kind")
    left, right = (messages_in(cell, f"{where}, column {name!r}") for cell, name in zip(cells, pair, strict=True))
    common = 0
    while common < min(len(left), len(right)) - 1 and left[common] == right[common]:
        common += 1
    tails = [side[common:] for side in (left, right)]
    for tail, name in zip(tails, pair, strict=True):
        if len(tail) != 1 or tail[0]["role"] != "assistant" or not isinstance(tail[0]["content"], str):
            raise BadInput(f"{where}, column {name!r}: {len(tail)} messages follow the common beginning, must be one "
                           "answer of the assistant")  # fmt: skip
    prompt: Prompt = left[:common] or (prompt_in(row, where)[0] if given is not None else [])
    if not prompt:
        raise BadInput(f"{where}: has no prompt, and {pair[0]} and {pair[1]} share none")
    return prompt, str(tails[0][0]["content"]), str(tails[1][0]["content"])


def _unpacked(value: Any) -> Any:
    """An answer; the arena stores the assistant's turns as JSON."""
    if isinstance(value, str) and value.startswith("["):
        turns = _decoded(value)
        if isinstance(turns, list) and len(turns) == 1 and isinstance(turns[0], str):
            return turns[0]
    return value


def _split_dialogues(left: str, right: str, pair: tuple[str, str], where: str) -> tuple[str, str, str]:
    """Two dialogues with turns, as in HH: the prompt ends where the last answer starts."""
    place = left.rfind(TURN)
    if place < 0:
        raise BadInput(f"{where}: has no prompt, and {pair[0]} no turn {TURN.strip()!r}; must have one of them")
    place += len(TURN)
    if right[:place] != left[:place]:
        raise BadInput(f"{where}: {pair[0]} and {pair[1]} differ before their last answer, must share the prompt")
    return left[:place], left[place:].strip(), right[place:].strip()


def _winner(row: Row, where: str) -> float:
    """p of the left answer, from the winner's column."""
    flags = {"winner_model_a": 1.0, "winner_model_b": 0.0, "winner_tie": 0.5}
    if "winner_model_a" in row:
        said = [p for name, p in flags.items() if str(row.get(name)) in ("1", "1.0", "True")]
        if len(said) != 1:
            raise BadInput(f"{where}: sets {len(said)} of {', '.join(flags)}, must set one")
        return said[0]
    if "winner" not in row:
        raise BadInput(f"{where}: has two answers, but neither p nor winner")
    name = str(row["winner"]).strip().lower()
    if name not in WINNERS:
        raise BadInput(f"{where}, column 'winner': is {shown(row['winner'])}, must be one of {', '.join(WINNERS)}"
                       f"{suggestion(name, WINNERS)}")  # fmt: skip
    return WINNERS[name]


def _hashable(prompt: Prompt, where: str) -> str:
    """A prompt as comparisons store it: a single user message becomes its text."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and prompt[0]["role"] == "user" and isinstance(prompt[0]["content"], str):
        return str(prompt[0]["content"])
    for i, message in enumerate(prompt):
        if set(message) != {"role", "content"} or not isinstance(message["content"], str):
            raise BadInput(f"{where}, message {i}: has {', '.join(message)}, must have role and content alone")
    return Conversation.of([Message(str(m["role"]), str(m["content"])) for m in prompt])


def _cell_of(row: Row, column: str, where: str) -> Any:
    if row.get(column) is None:
        known = [str(name) for name in row]
        raise BadInput(f"{where}, column {column!r}: is missing (there are {', '.join(known)})"
                       f"{suggestion(column, known)}")  # fmt: skip
    return row[column]

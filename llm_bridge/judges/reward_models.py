"""A reward model from a folder as a score, with its own template for prompt and answer and with sound padding.

Two errors are common and silent.  A reward model trained on its chat template is shown bare texts.  And causal
classifiers read the score at the last token that is not ``pad_token_id``: if padding is the end of sequence, which ends
every answer, that is the token before it.  Here a row is padded with a token that occurs in no row of the batch, and a
model whose scores still depend on padding is called with rows of one length at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llm_bridge.judges.answers import Array
from llm_bridge.judges.judge import Texts
from nashlab.game import BadInput, first_line

__all__ = ["SequenceClassifier"]

Row = dict[str, list[int]]
NO_TOKEN = -1
"""A padding id that matches no token."""


@dataclass
class SequenceClassifier:
    """r(x, y) = the single logit of a Hugging Face sequence classifier (a reward model) on prompt and answer.

    model      with one label;  tokenizer  its tokenizer.
    template   joins the two, with {prompt} and {answer}.  None: the tokenizer's chat template, with the prompt as the
               user's turn and the answer as the assistant's; without a chat template, a pair of texts.
    padded     whether rows of different lengths share a batch: only if a test at the start shows no effect.

    Overlong prompts are cut at their end, answers are not.

    Raises :class:`BadInput` for an answer that leaves no room within ``max_length`` tokens, and if the chat template
    refuses the two turns.
    """

    model: Any
    tokenizer: Any
    template: str | None = None
    batch_size: int = 16
    max_length: int = 2048
    padded: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        labels = getattr(self.model.config, "num_labels", None)
        if labels != 1:
            raise BadInput(f"model has {labels} labels, must have one: the score of an answer")
        if self.template is not None and not ("{prompt}" in self.template and "{answer}" in self.template):
            raise BadInput(f"template = {self.template!r}, must contain {{prompt}} and {{answer}}")
        places = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if places is not None:
            self.max_length = min(self.max_length, places)
        self.padded = self._padding_is_sound()

    @property
    def has_chat_template(self) -> bool:
        """Whether prompt and answer are shown as turns of a conversation."""
        return self.template is None and bool(getattr(self.tokenizer, "chat_template", None))

    def __call__(self, prompts: Texts, answers: Texts, *, messages: Sequence[Any] | None = None) -> Array:
        """Scores, [B]; ``messages`` are the prompts as conversations, None for plain texts."""
        given = messages if messages is not None and self.has_chat_template else [None] * len(prompts)
        rows = [self._row(*each) for each in zip(prompts, answers, given, strict=True)]
        return self._in_batches(rows, one_length=not self.padded)

    def _in_batches(self, rows: Sequence[Row], *, one_length: bool) -> Array:
        scores = np.empty(len(rows))
        for index in _batches(rows, self.batch_size, one_length=one_length):
            scores[index] = self._scores([rows[i] for i in index])
        return scores

    def _scores(self, rows: Sequence[Row]) -> Array:
        import torch

        fill = self._filler(rows)
        if fill is None:  # these rows use every token of the vocabulary
            return self._in_batches(rows, one_length=True)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), self._padding_with(fill):
                logits = self.model(**self._together(rows, fill)).logits
        finally:
            self.model.train(was_training)
        found: Array = logits[:, 0].double().cpu().numpy()
        return found

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _row(self, prompt: str, answer: str, messages: Any) -> Row:
        if self.template is None and not self.has_chat_template:
            return self._pair(prompt, answer)
        if self.template is not None:
            return self._fitted_row(prompt, answer, lambda x: self._ids(self._filled(x, answer)))
        before = [] if messages is None else list(messages[:-1])
        prompt = prompt if messages is None else messages[-1]["content"]
        role = "user" if messages is None else messages[-1]["role"]
        turns = [{"role": "assistant", "content": answer}]
        return self._fitted_row(
            prompt, answer, lambda x: self._rendered([*before, {"role": role, "content": x}, *turns])
        )

    def _pair(self, prompt: str, answer: str) -> Row:
        length = len(self.tokenizer("", answer)["input_ids"])
        self._check_length(answer, length)
        # tokenizers do not truncate a text to length 0
        prompt = prompt if length < self.max_length else ""
        found = self.tokenizer(prompt, answer, truncation="only_first", max_length=self.max_length)
        return {name: list(found[name]) for name in ("input_ids", "token_type_ids") if name in found}

    def _fitted_row(self, prompt: str, answer: str, ids_of: Callable[[str], list[int]]) -> Row:
        """The row, with the prompt shortened until it fits, since cut texts may be tokenised into more tokens."""
        row = ids_of(prompt)
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] if len(row) > self.max_length else []
        while len(row) > self.max_length:
            if not ids:
                self._check_length(answer, len(row))
            ids = ids[: max(0, len(ids) - (len(row) - self.max_length))]
            row = ids_of(self.tokenizer.decode(ids) if ids else "")
        return {"input_ids": row}

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text)["input_ids"])

    def _rendered(self, turns: list[dict[str, str]]) -> list[int]:
        """The ids of the chat template's rendering, with a beginning of sequence only if the template puts one."""
        try:
            found = self.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
        except Exception as error:  # templates may raise any error
            raise BadInput(f"the reward model's chat template refuses the turns ({first_line(error)}); "
                           "give a template with {prompt} and {answer}") from error  # fmt: skip
        return list(found)

    def _check_length(self, answer: str, length: int) -> None:
        if length > self.max_length:
            raise BadInput(f"answer {answer[:40]!r} has {length} tokens including its template, "
                           f"must have at most max_length = {self.max_length}")  # fmt: skip

    def _filled(self, prompt: str, answer: str) -> str:
        # all places at once, because a text may contain a placeholder
        places = {"{prompt}": prompt, "{answer}": answer}
        return "".join(places.get(part, part) for part in re.split(r"(\{prompt\}|\{answer\})", self.template or ""))

    # -- padding -------------------------------------------------------------------------------------------------------

    def _filler(self, rows: Sequence[Row]) -> int | None:
        """The tokenizer's padding if it occurs in no row, else a token that occurs in none; None if there is none."""
        if len({len(row["input_ids"]) for row in rows}) == 1:
            return NO_TOKEN
        used = {token for row in rows for token in row["input_ids"]}
        own = getattr(self.tokenizer, "pad_token_id", None)
        if own is not None and own not in used:
            return int(own)
        size = self.model.config.get_text_config().vocab_size
        return next((token for token in range(size) if token not in used), None)

    @contextmanager
    def _padding_with(self, fill: int) -> Iterator[None]:
        """Inside, the model treats this token, and no other, as padding."""
        configs = {id(c): c for c in (self.model.config, self.model.config.get_text_config())}.values()
        before = [c.pad_token_id for c in configs]
        for config in configs:
            config.pad_token_id = fill
        try:
            yield
        finally:
            for config, token in zip(configs, before, strict=True):
                config.pad_token_id = token

    def _together(self, rows: Sequence[Row], fill: int) -> dict[str, Any]:
        """Rows as tensors, padded on the right."""
        import torch

        longest = max(len(row["input_ids"]) for row in rows)
        fills = {"input_ids": fill, "token_type_ids": 0}
        found = {
            name: [[*row[name], *[fills[name]] * (longest - len(row[name]))] for row in rows] for name in rows[0]
        }
        found["attention_mask"] = [[int(i < len(row["input_ids"])) for i in range(longest)] for row in rows]
        return {name: torch.tensor(values, device=self.model.device) for name, values in found.items()}

    def _padding_is_sound(self) -> bool:
        """Whether an answer to a short prompt has the same score alone and in a batch with a long prompt."""
        short, long = (self._row(prompt, "a", None) for prompt in ("a", "a b c d e f g h"))
        if len(short["input_ids"]) == len(long["input_ids"]):
            return True
        alone, beside = self._scores([short])[0], self._scores([short, long])[0]
        coarse = 2.0**-7 if self.model.dtype.itemsize < 4 else 1e-4  # rounding in half and in single precision
        return bool(abs(alone - beside) <= coarse * (1 + abs(alone)))


def _batches(rows: Sequence[Mapping[str, list[int]]], size: int, *, one_length: bool) -> Iterator[list[int]]:
    """Batches of row indices, shortest first: with little padding, or none."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    batch: list[int] = []
    for i in order:
        other = one_length and batch and len(rows[i]["input_ids"]) != len(rows[batch[0]]["input_ids"])
        if len(batch) == size or other:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch

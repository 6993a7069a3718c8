"""Texts to vectors: a transformer's state at the last token of a prompt and one or two answers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from llm_bridge.policy import located, read_weights, seeded, tokenizer_at
from nashlab.game import BadInput

__all__ = ["TextEncoder", "load_encoder"]

POSITION_TABLE = re.compile(r"(^|\.)(wpe|(embed_)?positions?(_embeddings?)?)$")
ANSWER_MARKS = {1: ("\n\nAnswer: ",), 2: ("\n\nFirst answer: ", "\n\nSecond answer: ")}


class TextEncoder(nn.Module):
    """A transformer's standardised state at the last real token of (prompt, answer) or (prompt, answer, answer).

    model       any Hugging Face model: an encoder-decoder's encoder, or the body of a model with a head.
    tokenizer   with a vocabulary and an end (or separator) token, which closes every text.
    max_prompt, max_answer   token limits of the parts, which are cut at their end.
    mixed_precision   whether the body computes in bfloat16; the pooled state is always float32.

    Padding is on the right, masked and never pooled: a text has the same vector in every batch.

    Raises :class:`BadInput` for a tokenizer without vocabulary or end, limits below 1, and, when called, for a text
    with more tokens than the model has positions.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        max_prompt: int = 384,
        max_answer: int = 96,
        mixed_precision: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("max_prompt", max_prompt), ("max_answer", max_answer)):
            if type(value) is not int or value < 1:
                raise BadInput(f"{name} = {value!r}, must be a whole number, at least 1")
        if type(mixed_precision) is not bool:
            raise BadInput(f"mixed_precision = {mixed_precision!r}, must be true or false")
        self.config: Any = model.config
        self.body: Any = body_of(model)
        self.tokenizer = tokenizer
        self.max_prompt, self.max_answer, self.mixed_precision = max_prompt, max_answer, mixed_precision
        # OPT projects its last state back to the width of its embeddings
        self.width = int(getattr(self.body.config, "word_embed_proj_dim", self.body.config.hidden_size))
        self._positions = _positions(self.body)
        known = set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab()) - set(tokenizer.all_special_tokens)
        if len(known) < 2:  # even a tokenizer made without files knows a blank
            raise BadInput("tokenizer has no vocabulary (are its files missing?), must have one")
        ends = (tokenizer.eos_token_id, tokenizer.sep_token_id)
        if ends == (None, None):
            raise BadInput("tokenizer knows neither an end-of-sequence nor a separator token, must know one")
        self._end = int(next(token for token in ends if token is not None))
        self._pad = self._end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments besides model and tokenizer."""
        return {name: getattr(self, name) for name in ("max_prompt", "max_answer", "mixed_precision")}

    def token_ids(self, prompt: str, *answers: str) -> list[int]:
        """The tokens of one text: prompt, each answer after its marker, then the end."""
        ids = self._ids(prompt)[: self.max_prompt]
        for mark, answer in zip(ANSWER_MARKS[len(answers)], answers, strict=True):
            ids += self._ids(mark) + self._ids(answer)[: self.max_answer]
        return [*ids, self._end]

    def forward(self, texts: Sequence[tuple[str, ...]]) -> Tensor:
        """States [B, width] in float32, or float64 for float64 models."""
        rows = [self.token_ids(*text) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        if lengths.max() > self._positions:
            raise BadInput(f"a text has {lengths.max()} tokens, must have {self._positions} at most (the positions of "
                           f"the model); lower max_prompt = {self.max_prompt} or max_answer = {self.max_answer}"
                           )  # fmt: skip
        ids = torch.full((len(rows), int(lengths.max())), self._pad)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        device = next(self.body.parameters()).device
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            states = self.body(input_ids=ids.to(device), attention_mask=mask.long()).last_hidden_state
        pooled = states[torch.arange(len(rows), device=device), lengths.to(device) - 1]
        # final states differ greatly in size between families; the head's first logits should not
        return functional.layer_norm(pooled if pooled.dtype == torch.float64 else pooled.float(), (self.width,))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def body_of(model: Any) -> Any:
    model = model.get_base_model() if hasattr(model, "peft_config") else model  # adapters are inside its layers
    if getattr(model.config, "is_encoder_decoder", False):
        return model.get_encoder()
    return getattr(model, "base_model", model)


def _positions(body: nn.Module) -> float:
    """The number of usable rows of a table of positions; infinite if positions are computed."""
    tables = [m for name, m in body.named_modules() if isinstance(m, nn.Embedding) and POSITION_TABLE.search(name)]
    # families with fairseq's tables leave the rows before the first position unused
    unused = [getattr(t, "offset", 0) if t.padding_idx is None else t.padding_idx + 1 for t in tables]
    return min((t.num_embeddings - rows for t, rows in zip(tables, unused, strict=True)), default=math.inf)


def load_encoder(
    source: Any,
    tokenizer: Any = None,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    max_prompt: int = 384,
    max_answer: int = 96,
    mixed_precision: bool = False,
) -> TextEncoder:
    """An encoder from a configuration (random weights), or from any source of weights that ``load_policy`` takes.

    tokenizer  a tokenizer or its folder; by default the source's own.  Weights are safetensors; no model code is run.

    Raises :class:`BadInput` if the source cannot be read, lacks weights of the body, or has no tokenizer.
    """
    from transformers import AutoModel, PretrainedConfig

    if isinstance(source, PretrainedConfig):
        if tokenizer is None:
            raise BadInput("tokenizer is missing, must be given with a configuration")
        with seeded(seed):
            model = AutoModel.from_config(source, trust_remote_code=False).to(dtype)
    else:
        name, local = located(source)
        with seeded(seed):  # a pooler that was not stored is random: it is unused, but counts as a weight
            model = read_weights(AutoModel, name, local=local, beside=["pooler"], dtype=dtype)
        tokenizer = tokenizer if tokenizer is not None else tokenizer_at(name, local=local)
    if isinstance(tokenizer, str | Path):
        tokenizer = tokenizer_at(str(tokenizer), local=Path(tokenizer).is_dir())
    return TextEncoder(model, tokenizer, max_prompt=max_prompt, max_answer=max_answer, mixed_precision=mixed_precision)

"""Texts as policies read and write them: templates and chat templates, prompts and completions as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llm_bridge.policy.policy import Policy
from llm_bridge.policy.tokens import Tokens, pad_left
from nashlab.game import BadInput

__all__ = ["Prompts", "completions_of", "encoded", "texts_of"]


class Prompts(NamedTuple):
    """The same prompts as judges read them (``texts``) and as policies do (``rows`` of token ids)."""

    texts: Sequence[str]
    rows: Sequence[Sequence[int]]

    def tokens(self, policy: Policy, index: Sequence[int]) -> Tokens:
        """Those of the index, padded on the left, on the policy's device."""
        return pad_left([self.rows[i] for i in index], policy.pad_id).to(policy.device)

    def check(self, **each: Sequence[Any]) -> None:
        """Refuse texts, or what else there must be one of for each prompt, that are more or fewer than the rows."""
        for name, given in {"prompts.texts": self.texts, **each}.items():
            if len(given) != len(self.rows):
                raise BadInput(f"{name} holds {len(given)}, must be one for each of the {len(self.rows)} prompts")


def encoded(
    policy: Policy, texts: Sequence[str], *, template: str = "{prompt}", max_tokens: int | None = None
) -> Prompts:
    """Texts as prompts: the template's {prompt} filled in, at most ``max_tokens`` tokens, the text's end cut off first.

    A tokenizer with a chat template is asked for the user's turn and the start of the answer.  Models get the beginning
    of sequence that their tokenizer puts, and encoder-decoder models the end, as they were trained with them.
    """
    tokenizer = _tokenizer(policy)
    if "{prompt}" not in template:
        raise BadInput(f"template = {template!r}, must hold {{prompt}}")
    before, after = (_wrapped(tokenizer, template.partition("{prompt}")[i], i) for i in (0, 2))
    head, tail = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (before, after))
    opening = _opening(tokenizer)
    head = head if head[: len(opening)] == opening else [*opening, *head]  # a chat template may have it already
    tail = [*tail, policy.eos_id] if policy.is_encoder_decoder else tail
    room = None if max_tokens is None else max_tokens - len(head) - len(tail)
    if room is not None and room < 1:
        raise BadInput(f"max_tokens = {max_tokens}, must be more than the template's {len(head) + len(tail)}")
    bodies = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return Prompts(list(texts), [[*head, *body[:room], *tail] for body in bodies])


def _opening(tokenizer: Any) -> list[int]:
    """What a tokenizer puts before any text, where it does: the beginning of the sequence."""
    bare, full = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    before = (i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return list(full[: next(before, 0)])


def _wrapped(tokenizer: Any, part: str, side: int) -> str:
    """A side of the template with what a chat template puts around the user's words."""
    if not getattr(tokenizer, "chat_template", None):
        return part
    mark = "\u241f"
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": mark}], tokenize=False, add_generation_prompt=True
    )
    opening, _, closing = chat.partition(mark)
    return opening + part if side == 0 else part + closing


def texts_of(policy: Policy, completion: Tokens) -> list[str]:
    """Completions as judges read them; without a tokenizer, the ids of the tokens before the end, with blanks between.

    >>> from transformers import GPT2Config
    >>> from llm_bridge.policy import load_policy, pad_right
    >>> tiny = load_policy(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=5, eos_token_id=0, pad_token_id=0))
    >>> texts_of(tiny, pad_right([[3, 4, 0], [0]], 0))
    ['3 4', '']
    """
    rows = [ids[mask].tolist() for ids, mask in zip(completion.ids.cpu(), completion.mask.cpu(), strict=True)]
    if policy.tokenizer is not None:
        return [text.strip() for text in policy.tokenizer.batch_decode(rows, skip_special_tokens=True)]
    return [" ".join(str(i) for i in row if i != policy.eos_id) for row in rows]


def completions_of(policy: Policy, texts: Sequence[str]) -> list[list[int]]:
    """Texts as completions, end of sequence included."""
    rows = _tokenizer(policy)(list(texts), add_special_tokens=False)["input_ids"]
    return [[*row, policy.eos_id] for row in rows]


def _tokenizer(policy: Policy) -> Any:
    if policy.tokenizer is None:
        raise BadInput("policy has no tokenizer, must have one to read texts")
    return policy.tokenizer

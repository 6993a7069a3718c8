"""Messages, the chat template that renders them as text, and the tokens that end a sequence.

A chat model ends its turn with a special token (``<|im_end|>``, ``<end_of_turn>``) that may differ from the tokenizer's
``eos_token``; a generation configuration may list several.  Each of them ends a sequence.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from nashlab.game import BadInput, first_line

__all__ = ["Chat", "Message", "Template", "end_of_turn", "ends_of", "text_of"]

Message = Mapping[str, Any]

logger = logging.getLogger(__name__)

MARK = "\u241f"


@dataclass(frozen=True)
class Chat:
    """A prompt of several messages, with further inputs of the chat template.

    messages  each with a ``role`` and a ``content``: system, user, assistant, tool, as far as the template knows them.
              If the last message is the assistant's, the answer continues it.
    tools     functions or JSON schemas that the model may call.
    options   other variables of the template (``chat_template_kwargs``), such as ``enable_thinking``.
    """

    messages: Sequence[Message]
    tools: Sequence[Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cut_at(self) -> int:
        """The index of the message that may be shortened: the user's last one, else the last one."""
        users = [i for i, message in enumerate(self.messages) if message["role"] == "user"]
        return users[-1] if users else len(self.messages) - 1

    @property
    def body(self) -> str:
        """The text that may be shortened."""
        return text_of(self.messages[self.cut_at])

    def having(self, body: str) -> Chat:
        """The same chat with another text as :attr:`body`."""
        messages, content = list(self.messages), self.messages[self.cut_at]["content"]
        changed: Any = body
        if content and not isinstance(content, str):
            last = len(content) - 1
            changed = [{**part, "text": body} if i == last else part for i, part in enumerate(content)]
        messages[self.cut_at] = {**messages[self.cut_at], "content": changed}
        return Chat(messages, self.tools, self.options)

    @property
    def transcript(self) -> str:
        """The text for judges: a single user message as it is, otherwise each message under its role.

        >>> Chat([{"role": "user", "content": "Hello?"}]).transcript
        'Hello?'
        >>> Chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]).transcript
        'System: Be brief.\\n\\nUser: Hello?'
        """
        if [message["role"] for message in self.messages] == ["user"]:
            return text_of(self.messages[0])
        return "\n\n".join(f"{message['role'].capitalize()}: {text_of(message)}" for message in self.messages)


class Template:
    """The chat template of a tokenizer.

    parts  whether it reads text only in lists of parts, like those of some vision-language models.

    Raises :class:`BadInput` if the tokenizer has none.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise BadInput("the tokenizer has no chat template, must have one to read messages")
        self.tokenizer = tokenizer
        self.parts = False
        self.parts = not self._shows_mark() and self._shows_mark(parts=True)

    def text(self, chat: Chat, answer: str | None = None) -> str:
        """The prompt as text, ready for the answer; or, given an answer, the whole conversation.

        Raises :class:`BadInput` if the template refuses these messages.
        """
        messages = [dict(message) for message in chat.messages]
        goes_on = messages[-1]["role"] == "assistant"
        if answer is not None and goes_on:
            messages[-1]["content"] = text_of(messages[-1]) + answer
        elif answer is not None:
            messages.append({"role": "assistant", "content": answer})
        for message in messages:
            if self.parts and isinstance(message.get("content"), str):
                message["content"] = [{"type": "text", "text": message["content"]}]
        turn = {} if answer is not None else {"continue_final_message" if goes_on else "add_generation_prompt": True}
        options = {**chat.options, **turn, "tools": chat.tools, "tokenize": False}
        try:
            return str(self.tokenizer.apply_chat_template(messages, **options))
        except Exception as error:  # templates are programs and raise their own errors
            raise BadInput(f"is refused by the chat template: {first_line(error)}") from error

    @property
    def end(self) -> int | None:
        """The token that it puts after an answer; None if that is not a single special token."""
        try:
            _, mark, behind = self.text(Chat([{"role": "user", "content": "?"}]), MARK).rpartition(MARK)
        except BadInput:
            return None
        ids = self.tokenizer(behind, add_special_tokens=False)["input_ids"] if mark else []
        return next((int(i) for i in ids if int(i) in _added(self.tokenizer)), None)

    def _shows_mark(self, parts: bool = False) -> bool:
        content: Any = [{"type": "text", "text": MARK}] if parts else MARK
        try:
            return MARK in self.text(Chat([{"role": "user", "content": content}]))
        except BadInput:
            return False


def text_of(message: Message) -> str:
    """The text of a message: its content, or the last text of several parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else []
    return next((str(part.get("text", "")) for part in reversed(parts) if part.get("type") == "text"), "")


def end_of_turn(tokenizer: Any) -> int | None:
    """The token that the chat template puts after an answer; None without a template or a single special token."""
    return Template(tokenizer).end if getattr(tokenizer, "chat_template", None) else None


def ends_of(model: Any, tokenizer: Any, given: int | Sequence[int] | None = None) -> tuple[int, ...]:
    """Every token that ends a sequence, the tokenizer's own first.

    model      a model, or one of its configurations: its ``config`` and ``generation_config`` may list several.
    tokenizer  its ``eos_token``, and the token that its chat template puts after an answer; may be None.
    given      overrides all others.

    Raises :class:`BadInput` for a value that is not a token's id.

    >>> from transformers import GenerationConfig
    >>> ends_of(GenerationConfig(eos_token_id=[1, 106]), None), ends_of(GenerationConfig(eos_token_id=1), None, [2, 3])
    ((1, 106), (2, 3))
    """
    if given is not None:
        return _ids(given)
    configurations = [model, getattr(model, "config", None), getattr(model, "generation_config", None)]
    configurations += [getattr(each, "text_config", None) for each in configurations]
    by_model = [getattr(each, "eos_token_id", None) for each in configurations if each is not None]
    by_tokenizer = [getattr(tokenizer, "eos_token_id", None), end_of_turn(tokenizer)]
    found = [_ids(value) for value in (*by_tokenizer, *by_model) if value is not None]
    ends = tuple(dict.fromkeys(i for ids in found for i in ids))
    for end in ends:
        if tokenizer is not None and hasattr(tokenizer, "added_tokens_decoder") and end not in _added(tokenizer):
            logger.warning("the model's configuration declares token %d as an end of sequence, which the tokenizer "
                           "reads as the word %r; give eos_id if it is none", end, tokenizer.decode([end]))  # fmt: skip
    return ends


def _ids(value: Any) -> tuple[int, ...]:
    found = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if not found or not all(isinstance(i, Integral) and not isinstance(i, bool) for i in found):
        raise BadInput(f"eos_id = {value!r}, must be a token's id, or several of them")
    return tuple(int(i) for i in found)


def _added(tokenizer: Any) -> set[int]:
    """The tokens that are never part of ordinary text: special ones, and others that were added."""
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    return {*added, *(getattr(tokenizer, "all_special_ids", None) or ())}

"""The data of training and judging: a text with its summary, and a judgment of two answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Comparison", "Conversation", "Example", "Message", "words"]

WORD = re.compile(r"[^\W_]+(?:['’+#.-][^\W_]+)*")


class Example(NamedTuple):
    """A text and its human summary; ``group`` determines the split (the text itself if it is empty)."""

    prompt: str
    summary: str
    group: str = ""


class Message(NamedTuple):
    """A turn of a conversation."""

    role: str
    content: str


class Conversation(str):
    """A prompt of several messages, as the text read by judges and encoders; policies take its ``messages``.

    >>> Conversation.of([Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "And?")])
    'User: Hi\\n\\nAssistant: Ho\\n\\nUser: And?'
    """

    messages: tuple[Message, ...] = ()

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Conversation:
        """The messages as one text, each under its role."""
        made = cls("\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in messages))
        made.messages = tuple(messages)
        return made


class Comparison(NamedTuple):
    """p(left ≻ right | prompt) in [0, 1]: 1 or 0 for a choice, ½ for a tie, otherwise the share of raters.

    prompt  a text; a :class:`Conversation` if it has more than one message.
    """

    prompt: str
    left: str
    right: str
    p: float = 1.0


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation around them.

    >>> words("C++-like X11 toolkit (3.2.1), it's fast.")
    ['c', 'like', 'x11', 'toolkit', '3.2.1', "it's", 'fast']
    """
    return WORD.findall(text.lower())

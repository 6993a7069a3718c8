"""What is learned from and judged: a text with its summary, and a judgment of two answers."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Comparison", "Conversation", "Example", "Message", "words"]

WORD = re.compile(r"[^\W_]+(?:['’+#.-][^\W_]+)*")


class Example(NamedTuple):
    """A text and its human summary; ``group`` is what the split goes by (the text itself where it is empty)."""

    prompt: str
    summary: str
    group: str = ""


class Message(NamedTuple):
    """A turn of a conversation."""

    role: str
    content: str


Conversation = tuple[Message, ...]


class Comparison(NamedTuple):
    """p(left ≻ right | prompt) in [0, 1]: 1 or 0 for a choice, ½ for a tie, between them for a share of raters.

    prompt  a text; a conversation where there is more to it than one message.
    """

    prompt: str | Conversation
    left: str
    right: str
    p: float = 1.0


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation around them.

    >>> words("C++-like X11 toolkit (3.2.1), it's fast.")
    ['c', 'like', 'x11', 'toolkit', '3.2.1', "it's", 'fast']
    """
    return WORD.findall(text.lower())

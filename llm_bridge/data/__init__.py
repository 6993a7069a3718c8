"""Texts, prompts and comparisons: shipped, from a hub, from files, from lists."""

from llm_bridge.data.prompts import Question, held_out, load_pairs, load_prompts, mixed
from llm_bridge.data.records import Comparison, Conversation, Example, Message, words
from llm_bridge.data.texts import SPLITS, comparisons_at, load_comparisons, load_corpus, split_of, write_comparisons

__all__ = [
    "SPLITS",
    "Comparison",
    "Conversation",
    "Example",
    "Message",
    "Question",
    "comparisons_at",
    "held_out",
    "load_comparisons",
    "load_corpus",
    "load_pairs",
    "load_prompts",
    "mixed",
    "split_of",
    "words",
    "write_comparisons",
]

"""Texts to summarise and comparisons of answers: shipped, from a hub, or from a file."""

from llm_bridge.data.records import Comparison, Example, words
from llm_bridge.data.texts import SPLITS, comparisons_at, load_comparisons, load_corpus, split_of, write_comparisons

__all__ = [
    "SPLITS",
    "Comparison",
    "Example",
    "comparisons_at",
    "load_comparisons",
    "load_corpus",
    "split_of",
    "words",
    "write_comparisons",
]

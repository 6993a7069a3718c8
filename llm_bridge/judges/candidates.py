"""Closed candidate sets for real texts: nine summaries of each, good and bad."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from llm_bridge.data import Example
from llm_bridge.judges.features import SummaryFeatures
from nashlab.game import BadInput

__all__ = ["CANDIDATE_KINDS", "candidate_sets"]


def candidate_sets(examples: Sequence[Example], features: SummaryFeatures, *, seed: int = 0) -> list[list[str]]:
    """Nine summaries of each text, good and bad, in the order of :data:`CANDIDATE_KINDS`.

    human (the human summary), truncated (its first half), shuffled (its words in another order), foreign (the human
    summary of another text), sentence (the text's first), lead (its first 10 words), extract (its first 35 words),
    keywords (its 8 most characteristic words), terse (the 3 most characteristic).
    """
    if len(examples) < 2:
        raise BadInput(f"examples holds {len(examples)}, must hold at least 2: each needs the summary of another text")
    rng = np.random.default_rng(seed)
    shift = int(rng.integers(1, len(examples)))
    return [
        [make(example, examples[(i + shift) % len(examples)], features, rng) for make in _MAKERS.values()]
        for i, example in enumerate(examples)
    ]


def _shuffled(text: str, rng: np.random.Generator) -> str:
    return " ".join(rng.permutation(text.split()).tolist())


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split())
    return SENTENCE.split(flat, maxsplit=1)[0].rstrip(".!?")


def _first_words(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")
_Maker = Callable[[Example, Example, SummaryFeatures, np.random.Generator], str]
_MAKERS: dict[str, _Maker] = {
    "human": lambda e, other, f, rng: e.summary,
    "truncated": lambda e, other, f, rng: _first_words(e.summary, (len(e.summary.split()) + 1) // 2),
    "shuffled": lambda e, other, f, rng: _shuffled(e.summary, rng),
    "foreign": lambda e, other, f, rng: other.summary,
    "sentence": lambda e, other, f, rng: _first_sentence(e.prompt),
    "lead": lambda e, other, f, rng: _first_words(e.prompt, 10),
    "extract": lambda e, other, f, rng: _first_words(e.prompt, 35),
    "keywords": lambda e, other, f, rng: " ".join(list(f.key_words(e.prompt))[:8]),
    "terse": lambda e, other, f, rng: " ".join(list(f.key_words(e.prompt))[:3]),
}
CANDIDATE_KINDS = tuple(_MAKERS)

"""Closed candidate sets for real texts: summaries of each, good and bad, by people, rules and a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from llm_bridge.data import Example
from llm_bridge.judges.features import SummaryFeatures
from nashlab.game import BadInput, suggestion

__all__ = ["CANDIDATE_KINDS", "candidate_sets", "check_kinds"]


def candidate_sets(
    examples: Sequence[Example],
    features: SummaryFeatures,
    *,
    kinds: Sequence[str] | None = None,
    samples: Sequence[Sequence[str]] = (),
    seed: int = 0,
) -> list[list[str]]:
    """Summaries of each text, good and bad: the given kinds, then the text's ``samples`` (say, a model's), if any.

    kinds  of :data:`CANDIDATE_KINDS` (default: all nine, in their order).

    human (the human summary), truncated (its first half), shuffled (its words in another order), foreign (the human
    summary of another text), sentence (the text's first), lead (its first 10 words), extract (its first 35 words),
    keywords (its 8 most characteristic words), terse (the 3 most characteristic).
    """
    if len(examples) < 2:
        raise BadInput(f"examples holds {len(examples)}, must hold at least 2: each needs the summary of another text")
    if samples and len(samples) != len(examples):
        raise BadInput(f"samples holds {len(samples)}, must be one list for each of the {len(examples)} examples")
    makers = [_MAKERS[kind] for kind in check_kinds(CANDIDATE_KINDS if kinds is None else kinds)]
    rng = np.random.default_rng(seed)
    shift = int(rng.integers(1, len(examples)))
    return [
        [make(example, examples[(i + shift) % len(examples)], features, rng) for make in makers]
        + list(samples[i] if samples else ())
        for i, example in enumerate(examples)
    ]


def check_kinds(kinds: Sequence[str]) -> Sequence[str]:
    """The kinds, if each is one of :data:`CANDIDATE_KINDS` and none is there twice; else a BadInput."""
    for kind in kinds:
        if kind not in _MAKERS:
            known = f"{', '.join(_MAKERS)}{suggestion(str(kind), _MAKERS)}"
            raise BadInput(f"kinds: {kind!r} is unknown, must be one of {known}")
    if len(set(kinds)) < len(kinds):
        raise BadInput(f"kinds = {list(kinds)}, must name none twice")
    return kinds


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

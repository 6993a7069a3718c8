"""Features of a summary that raters judge by: coverage, brevity, fluency and overlap."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from llm_bridge.data import Example, words
from llm_bridge.judges.answers import Array
from llm_bridge.judges.judge import Texts
from nashlab.game import BadInput

__all__ = ["FEATURES", "NGram", "SummaryFeatures", "content_words"]

FEATURES = ("coverage", "brevity", "fluency", "overlap")
KEY_WORDS = 10

_STOPS = """
    a about after all also an and any are as at be been being between both but by can do does each either etc few for
    from had has have he her his how if in into is it its itself just like many may might more most much must no not of
    on one only or other our out over own package packages provide provides s same she should so some such than that the
    their them then there these they this those through to too under up us use used using very via was we were what when
    where which while who will with within without you your
"""
STOP_WORDS = frozenset(_STOPS.split())


def content_words(text: str) -> list[str]:
    """The words that carry a text's content.

    >>> content_words("This package provides a fast editor for the X11 system")
    ['fast', 'editor', 'x11', 'system']
    """
    return [word for word in words(text) if word not in STOP_WORDS]


class NGram:
    """A character n-gram model, interpolated over orders by Witten-Bell, with an end symbol.

    texts  the training texts, at least one.

    log p(y) = Σ_c log p(c | the n − 1 characters before it), including the end, in lower case.
    p_k(c | h) = (count(h c) + d(h) p_{k−1}(c | h')) / (count(h) + d(h)), d(h) = how many different characters follow h,
    down to the uniform distribution over 256 symbols: no text has probability 0.

    Source: Witten & Bell 1991.

    >>> model = NGram(["the cat sat", "the cat ran"], order=3)
    >>> model("the cat sat") > model("tac teh sat")
    True
    """

    ALPHABET = 256
    START, END = "\x02", "\x03"

    def __init__(self, texts: Iterable[str], order: int = 5) -> None:
        if order < 1:
            raise BadInput(f"order = {order}, must be at least 1")
        self.order = order
        self._counts: dict[str, int] = Counter()
        self._totals: dict[str, int] = Counter()
        self._kinds: dict[str, int] = Counter()
        lines = [self._padded(text) for text in texts]
        if not lines:
            raise BadInput("texts is empty, must hold at least one text")
        for line in lines:
            for end in range(order - 1, len(line)):
                for start in range(end - order + 1, end + 1):
                    self._counts[line[start : end + 1]] += 1
        for gram, count in self._counts.items():
            self._totals[gram[:-1]] += count
            self._kinds[gram[:-1]] += 1

    def _padded(self, text: str) -> str:
        return self.START * (self.order - 1) + " ".join(text.lower().split()) + self.END

    def log_prob(self, text: str) -> float:
        """log p(text) including its end, in nats."""
        line = self._padded(text)
        return sum(math.log(self._probability(line, end)) for end in range(self.order - 1, len(line)))

    def __call__(self, text: str) -> float:
        """log p per symbol, counting the end as one."""
        return self.log_prob(text) / (len(self._padded(text)) - self.order + 1)

    def _probability(self, line: str, end: int) -> float:
        p = 1.0 / self.ALPHABET
        for start in range(end, end - self.order, -1):
            history = line[start:end]
            total = self._totals.get(history, 0)
            if not total:
                break  # longer histories were not seen either
            kinds = self._kinds[history]
            p = (self._counts.get(line[start : end + 1], 0) + kinds * p) / (total + kinds)
        return p


class SummaryFeatures:
    """The four features of (text, summary) pairs, [B, 4] in the order of :data:`FEATURES`, cached.

    examples  their human summaries train the fluency model, their texts give the rarity of words.
    references  the human summary of each text to be judged; a text without one has overlap 0.
    fluency   text -> number, by default :class:`NGram` of order 5 on the examples' summaries.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        references: Mapping[str, str],
        fluency: Callable[[str], float] | None = None,
    ) -> None:
        if not examples:
            raise BadInput("examples is empty, must hold the training split")
        self._documents = len(examples)
        self._frequency = Counter(w for e in examples for w in set(content_words(e.prompt)))
        self._fluency = fluency or NGram(e.summary for e in examples)
        self._references = {text: set(content_words(summary)) for text, summary in references.items()}
        self._keys: dict[str, dict[str, float]] = {}
        self._known: dict[tuple[str, str], tuple[float, ...]] = {}

    def __call__(self, prompts: Texts, summaries: Texts) -> Array:
        """Features, [B, 4], all finite."""
        pairs = list(zip(prompts, summaries, strict=True))
        for pair in pairs:
            if pair not in self._known:
                self._known[pair] = self._of(*pair)
        return np.array([self._known[pair] for pair in pairs], dtype=np.float64).reshape(len(pairs), len(FEATURES))

    def key_words(self, text: str) -> dict[str, float]:
        """The text's most characteristic words in order, with weights that sum to 1: count × log(N/frequency)."""
        if text not in self._keys:
            counts = Counter(content_words(text))
            weights = {
                word: count * math.log((1 + self._documents) / (0.5 + self._frequency[word]))
                for word, count in counts.items()
            }
            top = sorted(weights, key=lambda word: (-weights[word], word))[:KEY_WORDS]
            total = sum(weights[word] for word in top)
            self._keys[text] = {word: weights[word] / total for word in top}
        return self._keys[text]

    def _of(self, text: str, summary: str) -> tuple[float, ...]:
        said = set(content_words(summary))
        coverage = sum(weight for word, weight in self.key_words(text).items() if word in said)
        human = self._references.get(text, set())
        overlap = 2 * len(said & human) / (len(said) + len(human)) if said and human else 0.0
        values = (coverage, -float(len(words(summary))), float(self._fluency(summary)), overlap)
        if not all(map(math.isfinite, values)):
            raise BadInput(f"fluency of {summary[:40]!r} is {values[2]}, must be a finite number")
        return values

"""Populations of raters over texts with known soft preferences: synthetic, documented, and not a ranking.

A rater type t compares two summaries of a text by its own features and a soft rule p_t, and a judgment comes from a
type drawn at random:

    p(y ≻ y' | x) = Σ_t w_t p_t(y ≻ y' | x).

Features (of a summary y, given the text x and where needed the human summary; larger is better):
    coverage  share of the text's key words that y mentions, weighted by how often it has them and how rare they are
    brevity   minus the number of words
    fluency   log-likelihood per character under an n-gram model of human summaries (or any score of yours)
    overlap   F1 of y's content words and the human summary's

Rules, with d_f = f(y) − f(y') in units of the feature's own tolerance:
    :class:`Lexicographic`  the first feature decides where it differs clearly, else the next:
                            p = g(d_1) σ(d_1·s) + (1 − g(d_1)) (g(d_2) σ(d_2·s) + ...),  g(d) = d⁴/(1 + d⁴)
    :class:`Majority`       each feature votes y with probability σ(d_f·s); the majority of an odd number wins

Both are antisymmetric, as g is even and σ(d) + σ(−d) = 1.  Neither is transitive: noticeable differences in the first
feature may add up from unnoticeable ones (Tversky 1969), and majorities cycle (Condorcet 1785).  These raters are
synthetic.  They stand for the fact that human judgments are not a ranking (theory §5), not for anybody's taste.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llm_bridge.data import Example, words
from llm_bridge.judges import canonical
from nashlab.game import BadInput, suggestion

__all__ = [
    "CANDIDATE_KINDS",
    "FEATURES",
    "SUMMARY_RATERS",
    "Criterion",
    "Intransitivity",
    "Lexicographic",
    "Majority",
    "NGram",
    "RaterPopulation",
    "SummaryFeatures",
    "candidate_sets",
    "content_words",
    "intransitivity",
    "summary_raters",
]

Array = NDArray[np.float64]
Texts = Sequence[str]
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


# -- features --------------------------------------------------------------------------------------------------------


def content_words(text: str) -> list[str]:
    """The words that say what a text is about.

    >>> content_words("This package provides a fast editor for the X11 system")
    ['fast', 'editor', 'x11', 'system']
    """
    return [word for word in words(text) if word not in STOP_WORDS]


class NGram:
    """An n-gram model of characters, interpolated over orders by Witten-Bell, with an end symbol.

    texts  what it is trained on, at least one.

    log p(y) = Σ_c log p(c | the n − 1 characters before it), the end included, in lower case.
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
        """log p(text), its end included, in nats."""
        line = self._padded(text)
        return sum(math.log(self._probability(line, end)) for end in range(self.order - 1, len(line)))

    def __call__(self, text: str) -> float:
        """log p per symbol, the end being one."""
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
    """The four features of (text, summary) pairs, [B, 4] in the order of :data:`FEATURES`, remembered once computed.

    examples  whose human summaries train the fluency and whose texts say how rare a word is.
    references  the human summary of each text that will be asked about; a text without one has overlap 0.
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
        """The text's most telling words, most telling first, with weights that sum to 1: count × log(N/frequency)."""
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


# -- rules -----------------------------------------------------------------------------------------------------------


class Criterion(NamedTuple):
    """A feature by name, and the difference in it that a rater notices."""

    feature: str
    tolerance: float


class Rule(Protocol):
    """p(y ≻ y') from differences of features."""

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What it looks at."""
        ...

    def __call__(self, differences: Array) -> Array:
        """Probabilities [B] from the criteria's differences in units of their tolerance, [B, C]."""
        ...


@dataclass(frozen=True)
class Lexicographic:
    """The first criterion decides where it differs clearly, else the next: d [B, C] -> p [B].

    p = g(d_1) σ(s d_1) + (1 − g(d_1)) (...), g(d) = d⁴/(1 + d⁴), and for the last criterion σ(s d) alone.

    Source: the lexicographic semiorder of Tversky 1969, made soft.
    """

    criteria: tuple[Criterion, ...]
    sharpness: float = 2.0

    def __call__(self, differences: Array) -> Array:
        """p(y ≻ y'), [B]."""
        votes = _sigmoid(self.sharpness * differences)
        fourth = np.minimum(differences**2, 1e60) ** 2
        p = votes[:, -1]
        for k in range(len(self.criteria) - 2, -1, -1):
            decides = fourth[:, k] / (1.0 + fourth[:, k])
            p = decides * votes[:, k] + (1.0 - decides) * p
        return p


@dataclass(frozen=True)
class Majority:
    """An odd number of criteria vote, each for y with probability σ(s d), independently: d [B, C] -> p(majority) [B].

    Source: Condorcet 1785; NLHF §3.2 for populations of raters.
    """

    criteria: tuple[Criterion, ...]
    sharpness: float = 2.0

    def __call__(self, differences: Array) -> Array:
        """p(y ≻ y'), [B]."""
        votes = _sigmoid(self.sharpness * differences)
        size = len(self.criteria)
        won = np.zeros((len(votes), size + 1))  # the distribution of the number of votes for y
        won[:, 0] = 1.0
        for k in range(size):
            gained = np.concatenate([np.zeros((len(votes), 1)), won[:, :-1]], axis=1)
            won = votes[:, k, None] * gained + (1.0 - votes[:, k, None]) * won
        return won[:, size // 2 + 1 :].sum(axis=1).clip(0.0, 1.0)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


# -- the population --------------------------------------------------------------------------------------------------


@dataclass
class RaterPopulation:
    """A judge: p = Σ_t w_t p_t over rater types; antisymmetric exactly, ½ for equal answers.

    features  (prompts, answers) -> [B, F];  names  of its columns.
    raters    name -> (weight, rule); weights are positive and sum to 1.

    Raises :class:`BadInput` for weights that do not sum to 1, unknown features, tolerances that are not positive, or a
    majority of an even number of criteria.
    """

    features: Callable[[Texts, Texts], Array]
    raters: Mapping[str, tuple[float, Rule]]
    names: tuple[str, ...] = FEATURES
    _columns: dict[str, list[int]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        total = sum(weight for weight, _ in self.raters.values())
        if not self.raters or min(w for w, _ in self.raters.values()) < 0 or abs(total - 1) > 1e-9:
            raise BadInput(f"the weights of the raters sum to {total:.6g}, must be at least 0 and sum to 1")
        for name, (_, rule) in self.raters.items():
            if isinstance(rule, Majority) and len(rule.criteria) % 2 == 0:
                raise BadInput(f"rater {name!r} has {len(rule.criteria)} criteria, a majority needs an odd number")
            for feature, tolerance in rule.criteria:
                if feature not in self.names:
                    raise BadInput(f"rater {name!r}: {feature!r} is not a feature ({', '.join(self.names)})"
                                   f"{suggestion(feature, self.names)}")  # fmt: skip
                if not (math.isfinite(tolerance) and tolerance > 0):
                    raise BadInput(f"rater {name!r}: tolerance of {feature!r} = {tolerance}, must be positive")
            self._columns[name] = [self.names.index(feature) for feature, _ in rule.criteria]

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._mean)

    def by_type(self, prompts: Texts, left: Texts, right: Texts) -> dict[str, Array]:
        """p_t(left ≻ right) of each rater type, [B] each."""
        differences = self.features(prompts, left) - self.features(prompts, right)
        return {name: self._of_type(name, differences) for name in self.raters}

    def _of_type(self, name: str, differences: Array) -> Array:
        rule = self.raters[name][1]
        tolerances = np.array([tolerance for _, tolerance in rule.criteria])
        return rule(differences[:, self._columns[name]] / tolerances)

    def _mean(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        found = self.by_type(prompts, left, right)
        total = sum(weight * found[name] for name, (weight, _) in self.raters.items())
        return np.clip(total, 0.0, 1.0)


_NOTICED = {"coverage": 0.05, "brevity": 3.0, "fluency": 0.15, "overlap": 0.2}


def _criteria(*features: str) -> tuple[Criterion, ...]:
    return tuple(Criterion(feature, _NOTICED[feature]) for feature in features)


SUMMARY_RATERS: dict[str, tuple[float, Rule]] = {
    "panel": (0.50, Majority(_criteria("coverage", "brevity", "fluency"))),
    "reviewer": (0.25, Majority(_criteria("overlap", "coverage", "fluency"))),
    "headline": (0.10, Majority(_criteria("coverage", "brevity", "overlap"))),
    "informed": (0.10, Lexicographic(_criteria("coverage", "fluency", "brevity"))),
    "busy": (0.05, Lexicographic(_criteria("brevity", "coverage", "fluency"))),
}


def summary_raters(
    training: Sequence[Example],
    evaluation: Sequence[Example] = (),
    fluency: Callable[[str], float] | None = None,
) -> RaterPopulation:
    """The population of the summarisation experiment: five synthetic types, known preferences, clearly no ranking.

    training    trains the fluency and says how rare words are;  evaluation  more texts, whose human summaries are known
                to the raters as well.
    fluency     a score of a text instead of the n-gram model's.

    A difference of .05 in coverage, 3 words, .15 nats a character or .2 in overlap is noticed.  Weights and tolerances
    were chosen on the Debian validation split, among those where the human summary wins most and a foreign one loses
    most, for their cyclic energy.  Measured on its test split, 406 texts x 9 candidates (:func:`candidate_sets`,
    :func:`intransitivity`):

        cyclic triads .131, texts without a Condorcet winner .818, cyclic energy of the log-odds .342, of the margins
        .394, best Bradley-Terry model of each text .088 nats a judgment from the truth;
        mean win rate: human .678, truncated .591, keywords .569, shuffled .562, terse .560, sentence .485,
        extract .408, lead .367, foreign .279.

    Source: NLHF §3.2 (cycles from populations of raters); theory §5.
    """
    references = {example.prompt: example.summary for example in (*training, *evaluation)}
    return RaterPopulation(SummaryFeatures(training, references, fluency), SUMMARY_RATERS)


# -- is it a ranking? ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Intransitivity:
    """How far preferences over candidate sets are from a ranking; every number is 0 for Bradley-Terry.

    cyclic_triads       share of the triples of candidates, without ties, that form a cycle (1/4 for fair coins).
    without_condorcet   share of the prompts where no candidate beats every other one (p > ½).
    cyclic_energy       share of the squared log-odds that no potential explains (0: Bradley-Terry, 1: purely cyclic).
    margin_energy       the same of the margins P − ½.
    excess              mean KL, in nats a judgment, of the truth from the best Bradley-Terry model of each prompt.
    prompts, triads     what was looked at.
    """

    cyclic_triads: float
    without_condorcet: float
    cyclic_energy: float
    margin_energy: float
    excess: float
    prompts: int
    triads: int


def intransitivity(matrices: Iterable[ArrayLike], *, clip: float = 1e-3) -> Intransitivity:
    """Measure the cycles of preference matrices P [K, K], one for each prompt; K may differ, at least 3.

    The Hodge decomposition of a skew matrix M on the complete graph: M_ij = r_i − r_j + C_ij with r_i = mean_j M_ij and
    C orthogonal to every potential, so that ‖M‖² = ‖grad r‖² + ‖C‖², and the cyclic energy is Σ ‖C‖² / Σ ‖M‖², summed
    over prompts.  Log-odds are taken of P clipped to [clip, 1 − clip].

    Raises :class:`BadInput` for a matrix that is smaller than 3 x 3 or no preference matrix.

    Source: Jiang, Lim, Yao & Ye 2011 (Hodge rank); theory §5.

    >>> cycle = [[0.5, 0.8, 0.2], [0.2, 0.5, 0.8], [0.8, 0.2, 0.5]]
    >>> measured = intransitivity([cycle])
    >>> measured.cyclic_triads, measured.without_condorcet, round(measured.cyclic_energy, 12)
    (1.0, 1.0, 1.0)
    """
    found = [_checked(matrix, i) for i, matrix in enumerate(matrices)]
    if not found:
        raise BadInput("matrices is empty, must hold at least one preference matrix")
    cyclic, triads = np.sum([_triads(p) for p in found], axis=0)
    log_odds = [np.log(q) - np.log1p(-q) for q in (p.clip(clip, 1 - clip) for p in found)]
    pairs = sum(len(p) * (len(p) - 1) // 2 for p in found)
    return Intransitivity(
        cyclic_triads=float(cyclic / triads) if triads else 0.0,
        without_condorcet=float(np.mean([not _has_condorcet_winner(p) for p in found])),
        cyclic_energy=_cyclic_share(log_odds),
        margin_energy=_cyclic_share([p - 0.5 for p in found]),
        excess=float(sum(map(_bradley_terry_excess, found)) / pairs),
        prompts=len(found),
        triads=int(triads),
    )


def _checked(matrix: ArrayLike, i: int) -> Array:
    p = np.asarray(matrix, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] != p.shape[1] or len(p) < 3:
        raise BadInput(f"matrices[{i}] has the shape {p.shape}, must be [K, K] with K at least 3")
    if not (np.all((p >= 0) & (p <= 1)) and np.allclose(p + p.T, 1.0, rtol=0, atol=1e-9)):
        raise BadInput(f"matrices[{i}] must hold probabilities with P + Pᵀ = 1 (tolerance 1e-9)")
    return p


def _triads(p: Array) -> tuple[int, int]:
    """(cyclic, all) triples of different candidates without a tie."""
    i, j, k = np.array(list(itertools.combinations(range(len(p)), 3))).T
    untied = (p[i, j] != 0.5) & (p[j, k] != 0.5) & (p[i, k] != 0.5)
    ahead = p > 0.5
    cyclic = (ahead[i, j] == ahead[j, k]) & (ahead[i, j] != ahead[i, k])
    return int((cyclic & untied).sum()), int(untied.sum())


def _has_condorcet_winner(p: Array) -> bool:
    wins = (p > 0.5) | np.eye(len(p), dtype=bool)
    return bool(wins.all(axis=1).any())


def _cyclic_share(skew: Sequence[Array]) -> float:
    """Σ ‖M − grad r‖² / Σ ‖M‖², r the potential nearest to M; 0 where all M are 0."""
    total = sum(float(np.sum(m**2)) for m in skew)
    residual = 0.0
    for m in skew:
        r = m.mean(axis=1)
        residual += float(np.sum((m - (r[:, None] - r[None, :])) ** 2))
    return residual / total if total > 0 else 0.0


def _bradley_terry_excess(p: Array, steps: int = 100) -> float:
    """Σ_{i<j} KL(p_ij ‖ σ(r_i − r_j)) at its minimum over r, by damped Newton on a convex function.

    Potentials are kept within 30 of each other by a ridge of 1e-9: where one candidate always wins, the infimum is at
    infinity.
    """
    size = len(p)
    pairs = np.triu_indices(size, 1)

    def loss(r: Array) -> float:
        gap = r[:, None] - r[None, :]
        return float(np.sum((np.logaddexp(0.0, gap) - p * gap)[pairs])) + 0.5e-9 * float(r @ r)

    r = np.zeros(size)
    for _ in range(steps):
        q = _sigmoid(r[:, None] - r[None, :])
        slope = (q - p).sum(axis=1) + 1e-9 * r
        weight = q * (1.0 - q)
        np.fill_diagonal(weight, 0.0)
        hessian = np.diag(weight.sum(axis=1) + 1e-9) - weight + 1.0 / size  # constants do not matter: 1 1ᵀ fixes them
        step = np.linalg.solve(hessian, slope)
        size_of_step, before = 1.0, loss(r)
        while loss(r - size_of_step * step) > before and size_of_step > 1e-6:
            size_of_step /= 2
        r = r - size_of_step * step
        if float(np.abs(slope).max()) < 1e-10:
            break
    given = p[pairs]
    entropy = -sum(float(np.sum(x[x > 0] * np.log(x[x > 0]))) for x in (given, 1.0 - given))
    return max(loss(r) - entropy, 0.0)


# -- real candidate sets ---------------------------------------------------------------------------------------------


def candidate_sets(examples: Sequence[Example], features: SummaryFeatures, *, seed: int = 0) -> list[list[str]]:
    """Nine summaries of each text, good and bad, in the order of :data:`CANDIDATE_KINDS`.

    human (the person's own), truncated (its first half), shuffled (its words in another order), foreign (the human
    summary of another text), sentence (the text's first), lead (its first 10 words), extract (its first 35 words),
    keywords (its 8 most telling words), terse (the 3 most telling).
    """
    if len(examples) < 2:
        raise BadInput(f"examples holds {len(examples)}, must hold at least 2: one's summary is another's foreign one")
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

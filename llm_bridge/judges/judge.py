"""Judges: p(y ≻ y' | x) for strings, from a function, a table, a score, a model's likelihoods, or known raters.

A judge is called with lists of prompts, left and right answers and returns float64 [B] with

    p(y, y') + p(y', y) = 1 exactly,    p(y, y) = ½,

by construction: each unordered pair is judged in one order only (the lexicographic one) and the other order is one
minus that; in floats (1 − p) + p is 1 for every p in [0, 1].  A judge that reads the pair in one go may favour a
position; :class:`FunctionJudge` takes the mean of both orders, so that nothing of it is left.

Source: theory §1 (P + Pᵀ = 1), §6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llm_bridge.data import Comparison
from nashlab.game import BadInput, PreferenceGame

__all__ = [
    "Cached",
    "FunctionJudge",
    "Judge",
    "OneOrder",
    "TableJudge",
    "annotated",
    "ask",
    "canonical",
    "check_lengths",
    "games",
    "judged",
    "matrix",
]

Array = NDArray[np.float64]
Texts = Sequence[str]
Triple = tuple[str, str, str]


class Judge(Protocol):
    """p(left ≻ right | prompt) for B triples of strings: float64 [B], antisymmetric, ½ for equal answers."""

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """The preference probabilities, [B]."""
        ...


PairFunction = Callable[[Texts, Texts, Texts], ArrayLike]


def canonical(prompts: Texts, left: Texts, right: Texts, function: PairFunction) -> Array:
    """p from a function that sees each different unordered pair once, in lexicographic order: [B].

    ``function`` gets lists without repetition and returns numbers in [0, 1]; the opposite order gets 1 − p and equal
    answers ½, without being asked.

    Raises :class:`BadInput` for lists of different lengths, answers outside [0, 1], NaN, or too few of them.

    >>> canonical(["x", "x"], ["b", "c"], ["a", "c"], lambda x, y, z: [0.25]).tolist()
    [0.75, 0.5]
    """
    check_lengths(prompts, left, right)
    triples = [(x, min(y, z), max(y, z)) for x, y, z in zip(prompts, left, right, strict=True)]
    unique = {triple: None for triple in triples if triple[1] != triple[2]}
    places = {triple: i for i, triple in enumerate(unique)}
    values = np.full(len(places) + 1, 0.5)  # the last place serves equal answers
    if places:
        columns = [list(column) for column in zip(*places, strict=True)]
        values[:-1] = _probabilities(function(*columns), list(places))
    found = values[[places.get(triple, len(places)) for triple in triples]]
    swapped = np.array([y > z for y, z in zip(left, right, strict=True)], dtype=bool)
    return np.where(swapped, 1.0 - found, found)


def check_lengths(prompts: Texts, left: Texts, right: Texts) -> None:
    """BadInput where there are not as many left and right answers as prompts."""
    if not len(prompts) == len(left) == len(right):
        raise BadInput(f"{len(prompts)} prompts, {len(left)} left and {len(right)} right answers, must be as many each")


def ask(judge: PairFunction, prompts: Texts, left: Texts, right: Texts, *, bounded: bool = True) -> Array:
    """What the judge says, as float64 [B]; BadInput where it is not one probability for each triple.

    Not ``bounded``, it may be any finite number: ½ and a difference of rewards.

    >>> ask(lambda x, y, z: [0.75] * len(x), ["x"], ["a"], ["b"]).tolist()
    [0.75]
    """
    check_lengths(prompts, left, right)
    return _probabilities(judge(prompts, left, right), list(zip(prompts, left, right, strict=True)), bounded=bounded)


def _probabilities(answer: ArrayLike, triples: Sequence[Triple], *, bounded: bool = True) -> Array:
    values = np.asarray(answer, dtype=np.float64)
    if values.shape != (len(triples),):
        raise BadInput(f"the judge returned an array of shape {values.shape} for {len(triples)} pairs")
    wrong = ~((values >= 0) & (values <= 1)) if bounded else ~np.isfinite(values)
    if wrong.any():
        i, rule = int(wrong.argmax()), "a probability in [0, 1]" if bounded else "finite"
        raise BadInput(f"the judge returned {values[i]} for {_named(triples[i])}, must be {rule}")
    return values


def _named(triple: Triple) -> str:
    prompt, left, right = (text if len(text) <= 40 else text[:37] + "..." for text in triple)
    return f"prompt {prompt!r}, answers {left!r} and {right!r}"


@dataclass(frozen=True)
class OneOrder:
    """A judge from a function that is antisymmetric already: it is asked for one order of each pair.

    >>> shorter = OneOrder(lambda x, y, z: [0.5 + 0.5 * np.sign(len(b) - len(a)) for a, b in zip(y, z)])
    >>> shorter(["x", "x"], ["a", "bb"], ["bb", "a"]).tolist()
    [1.0, 0.0]
    """

    function: PairFunction

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self.function)


@dataclass(frozen=True)
class FunctionJudge:
    """A judge from any function q(x, y, y') in [0, 1]: p = ½ (q(x, y, y') + 1 − q(x, y', y)), two questions a pair.

    A liking for the first position adds the same to both terms and falls out.

    >>> FunctionJudge(lambda x, y, z: [0.9] * len(x))(["x"], ["a"], ["b"]).tolist()
    [0.5]
    """

    function: PairFunction

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._both_orders)

    def _both_orders(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        both = self.function([*prompts, *prompts], [*left, *right], [*right, *left])
        orders = list(zip([*prompts, *prompts], [*left, *right], [*right, *left], strict=True))
        forward, backward = np.split(_probabilities(both, orders), 2)
        return 0.5 * (forward + (1.0 - backward))


class TableJudge:
    """A judge that looks up given matrices: for each prompt its candidates and P [K, K] with P + Pᵀ = 1.

    Raises :class:`BadInput` for matrices that are no preferences, and for a prompt or an answer not in the table.

    >>> table = TableJudge(["x"], [["a", "b"]], [[[0.5, 0.7], [0.3, 0.5]]])
    >>> table(["x"], ["b"], ["a"]).tolist()
    [0.30000000000000004]
    """

    def __init__(self, prompts: Texts, candidates: Sequence[Texts], matrices: Sequence[ArrayLike]) -> None:
        if not len(prompts) == len(candidates) == len(matrices):
            raise BadInput(f"{len(prompts)} prompts, {len(candidates)} candidate lists and {len(matrices)} matrices, "
                           "must be as many each")  # fmt: skip
        self._tables: dict[str, tuple[dict[str, int], Array]] = {}
        for i, (prompt, texts, given) in enumerate(zip(prompts, candidates, matrices, strict=True)):
            places = {text: k for k, text in enumerate(texts)}
            if prompt in self._tables or len(places) < len(texts):
                what = f"prompts[{i}]" if prompt in self._tables else f"a candidate of prompts[{i}]"
                raise BadInput(f"{what} occurs twice, must be different texts")
            self._tables[prompt] = places, _preferences(given, len(texts), f"matrices[{i}]")

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._looked_up)

    def _looked_up(self, prompts: Texts, left: Texts, right: Texts) -> list[float]:
        found = []
        for triple in zip(prompts, left, right, strict=True):
            places, values = self._tables.get(triple[0], ({}, np.empty((0, 0))))
            if triple[1] not in places or triple[2] not in places:
                raise BadInput(f"the table does not hold {_named(triple)}")
            found.append(float(values[places[triple[1]], places[triple[2]]]))
        return found


def _preferences(given: ArrayLike, size: int, name: str) -> Array:
    """A matrix of probabilities, checked by the rules of a game."""
    values = np.asarray(given, dtype=np.float64)
    if values.shape != (size, size):
        raise BadInput(f"{name} has the shape {values.shape}, must be [{size}, {size}] like its candidates")
    try:
        return PreferenceGame.from_preferences(values).preferences
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


@dataclass
class Cached:
    """A judge that asks another one once for each (x, {y, y'}) and remembers the answer.

    judge  who is asked;  asked  how many pairs it has judged so far.

    >>> cached = Cached(OneOrder(lambda x, y, z: [0.75] * len(x)))
    >>> cached(["x", "x", "x"], ["a", "b", "a"], ["b", "a", "b"]).tolist(), cached.asked
    ([0.75, 0.25, 0.75], 1)
    """

    judge: Judge
    asked: int = 0
    _known: dict[Triple, float] = field(default_factory=dict, repr=False)

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._remembered)

    def _remembered(self, prompts: Texts, left: Texts, right: Texts) -> list[float]:
        triples = list(zip(prompts, left, right, strict=True))
        new = [triple for triple in triples if triple not in self._known]
        if new:
            answers = ask(self.judge, *map(list, zip(*new, strict=True)))
            self.asked += len(new)
            self._known.update(zip(new, answers.tolist(), strict=True))
        return [self._known[triple] for triple in triples]


def matrix(judge: Judge, prompts: Texts, candidates: Sequence[Texts]) -> list[Array]:
    """P [K, K] for each prompt's K candidates, all in one call of the judge, each different unordered pair once.

    Equal candidates have ½ between them and equal rows; P + Pᵀ = 1 exactly.

    >>> matrix(OneOrder(lambda x, y, z: [0.75] * len(x)), ["x"], [["a", "b"]])[0].tolist()
    [[0.5, 0.75], [0.25, 0.5]]
    """
    if len(prompts) != len(candidates):
        raise BadInput(f"{len(prompts)} prompts and {len(candidates)} candidate lists, must be as many")
    asked: dict[Triple, None] = {}
    for prompt, texts in zip(prompts, candidates, strict=True):
        unique = sorted(set(texts))
        asked.update({(prompt, y, z): None for i, y in enumerate(unique) for z in unique[i + 1 :]})
    values = ask(judge, *map(list, zip(*asked, strict=True))) if asked else np.zeros(0)
    known = dict(zip(asked, values.tolist(), strict=True))
    return [_filled(prompt, texts, known) for prompt, texts in zip(prompts, candidates, strict=True)]


def _filled(prompt: str, texts: Texts, known: Mapping[Triple, float]) -> Array:
    p = np.full((len(texts), len(texts)), 0.5)
    for i, y in enumerate(texts):
        for j, z in enumerate(texts):
            if y < z:
                p[i, j] = known[prompt, y, z]
                p[j, i] = 1.0 - p[i, j]
    return p


def games(
    judge: Judge, prompts: Texts, candidates: Sequence[Texts], references: Sequence[ArrayLike] | None = None
) -> list[PreferenceGame]:
    """The exact game of each prompt's closed candidate set, with its reference policy [K] (uniform where None)."""
    chosen: Sequence[ArrayLike | None] = references if references is not None else [None] * len(prompts)
    return [
        PreferenceGame.from_preferences(p, reference=mu)
        for p, mu in zip(matrix(judge, prompts, candidates), chosen, strict=True)
    ]


def judged(judge: Judge, prompts: Texts, left: Texts, right: Texts) -> list[Comparison]:
    """Comparisons with the judge's probabilities as soft labels."""
    p = ask(judge, prompts, left, right).tolist()
    return [Comparison(*row) for row in zip(prompts, left, right, p, strict=True)]


def annotated(
    judge: Judge, prompts: Texts, left: Texts, right: Texts, rng: np.random.Generator, *, raters: int = 1
) -> list[Comparison]:
    """Comparisons by raters drawn at random: a label is the share of ``raters`` draws from the probability.

    Raises :class:`BadInput` for raters below 1, and where the judge does not give a probability for each triple.
    """
    if not (isinstance(raters, Integral) and raters >= 1):
        raise BadInput(f"raters = {raters!r}, must be a whole number, at least 1")
    wins = rng.binomial(raters, ask(judge, prompts, left, right)) / raters
    return [Comparison(*row) for row in zip(prompts, left, right, wins.tolist(), strict=True)]

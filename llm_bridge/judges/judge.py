"""Judges: p(y ≻ y' | x) for texts, from a function, a table, a score, a model's likelihoods, or known raters.

A judge is called with lists of prompts, left and right answers and returns float64 [B] with

    p(y, y') + p(y', y) = 1 exactly,    p(y, y) = ½,

by construction: each unordered pair is judged in one order only (the lexicographic one), and the other order gets one
minus that; in floats (1 − p) + p is 1 for every p in [0, 1].  A judge that reads the pair at once may favour a
position; :class:`FunctionJudge` takes the mean over both orders, which cancels the bias.

A judge may leave a pair out with None, which becomes NaN here; see :mod:`llm_bridge.judges.answers` for other answers.
A judge receives the columns of the data set that are its keyword arguments:
``def judge(prompts, left, right, *, reference)``.

Source: theory §1 (P + Pᵀ = 1), §6.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from llm_bridge.data import Comparison
from llm_bridge.judges.answers import Array, Triple, answered, called, named
from nashlab.game import BadInput, PreferenceGame, suggestion

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
    "each",
    "games",
    "judged",
    "matrix",
    "wanted_columns",
]

Texts = Sequence[str]


class Judge(Protocol):
    """p(left ≻ right | prompt) for B triples of strings: float64 [B], antisymmetric, ½ for equal answers."""

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """The preference probabilities, [B]."""
        ...


PairFunction = Callable[..., Any]
"""(prompts, left, right, columns by name) -> what :mod:`llm_bridge.judges.answers` reads."""


def canonical(
    prompts: Texts,
    left: Texts,
    right: Texts,
    function: PairFunction,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> Array:
    """p from a function that is called with each different unordered pair once, in lexicographic order: [B].

    ``function`` gets lists without repetition and returns numbers in [0, 1]; the opposite order gets 1 − p, and equal
    answers ½ without a call.  ``columns`` are further data of each prompt, by name: they are passed on, and pairs that
    differ in them count as different.

    Raises :class:`BadInput` for lists of different lengths, and for answers outside [0, 1], NaN, or missing.

    >>> canonical(["x", "x"], ["b", "c"], ["a", "c"], lambda x, y, z: [0.25]).tolist()
    [0.75, 0.5]
    """
    columns = columns or {}
    check_lengths(prompts, left, right)
    triples = [(x, min(y, z), max(y, z)) for x, y, z in zip(prompts, left, right, strict=True)]
    about = [repr(values) for values in zip(*columns.values(), strict=True)] if columns else [""] * len(triples)
    keys = list(zip(triples, about, strict=True))
    first: dict[tuple[Triple, str], int] = {}  # the first occurrence of each different pair
    for i, key in enumerate(keys):
        if key[0][1] != key[0][2]:
            first.setdefault(key, i)
    places = {key: i for i, key in enumerate(first)}
    values = np.full(len(places) + 1, 0.5)  # the last entry is for equal answers
    if places:
        texts = [list(column) for column in zip(*(triple for triple, _ in places), strict=True)]
        beside = {name: [given[i] for i in first.values()] for name, given in columns.items()}
        values[:-1] = answered(called(function, *texts, **beside), [triple for triple, _ in places])
    found = values[[places.get(key, len(places)) for key in keys]]
    swapped = np.array([y > z for y, z in zip(left, right, strict=True)], dtype=bool)
    return np.where(swapped, 1.0 - found, found)


def check_lengths(prompts: Texts, left: Texts, right: Texts) -> None:
    """BadInput unless there are as many left and right answers as prompts."""
    if not len(prompts) == len(left) == len(right):
        raise BadInput(f"{len(prompts)} prompts, {len(left)} left and {len(right)} right answers, must be equally many")


def ask(
    judge: PairFunction,
    prompts: Texts,
    left: Texts,
    right: Texts,
    *,
    bounded: bool = True,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> Array:
    """The judge's answers as float64 [B], NaN for pairs that it leaves out; BadInput for anything else.

    If not ``bounded``, any finite number is allowed: ½ plus a difference of rewards.  Of the ``columns`` the judge gets
    those that are its keyword arguments.

    >>> ask(lambda x, y, z: [0.75] * len(x), ["x"], ["a"], ["b"]).tolist()
    [0.75]
    """
    check_lengths(prompts, left, right)
    beside = {name: (columns or {})[name] for name in wanted_columns(judge, columns or {})}
    answer = called(judge, prompts, left, right, **beside)
    if hasattr(judge, "columns_of"):  # a judge that wraps another one and turns its None into NaN
        answer = [None if np.isnan(value) else value for value in answer]
    return answered(answer, list(zip(prompts, left, right, strict=True)), bounded=bounded)


def wanted_columns(judge: Any, there: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """The available columns that are keyword arguments of a judge.

    Raises :class:`BadInput` for a keyword argument without a default that is not a column, with the nearest one.

    >>> def judge(prompts, left, right, *, reference, style="plain"): ...
    >>> wanted_columns(judge, ["reference", "length"])
    ['reference']
    """
    if hasattr(judge, "columns_of"):  # a judge that wraps a function
        return list(judge.columns_of(there))
    try:
        parameters = list(inspect.signature(judge).parameters.values())
    except (TypeError, ValueError):  # built-in functions have no signature
        return []
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return list(there)
    asked = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    for p in asked:
        if p.default is p.empty and p.name not in there:
            known = f" (there are {', '.join(there)})" if there else " (there are no columns)"
            raise BadInput(f"the judge asks for the column {p.name!r}, which is not in the data{known}"
                           f"{suggestion(p.name, list(there))}")  # fmt: skip
    return [p.name for p in asked if p.name in there]


@dataclass(frozen=True)
class OneOrder:
    """A judge from an already antisymmetric function, which is asked for one order of each pair.

    >>> shorter = OneOrder(lambda x, y, z: [0.5 + 0.5 * np.sign(len(b) - len(a)) for a, b in zip(y, z)])
    >>> shorter(["x", "x"], ["a", "bb"], ["bb", "a"]).tolist()
    [1.0, 0.0]
    """

    function: PairFunction

    def __call__(self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self.function, columns)

    def columns_of(self, there: Sequence[str]) -> list[str]:
        """The columns of the data that are keyword arguments of the function."""
        return wanted_columns(self.function, there)


@dataclass(frozen=True)
class FunctionJudge:
    """A judge from any function q(x, y, y') in [0, 1]: p = ½ (q(x, y, y') + 1 − q(x, y', y)), two questions per pair.

    A bias towards the first position adds the same to both terms and cancels.  A pair is left out if the function
    answers None to either question.

    >>> FunctionJudge(lambda x, y, z: [0.9] * len(x))(["x"], ["a"], ["b"]).tolist()
    [0.5]
    """

    function: PairFunction

    def __call__(self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._both_orders, columns)

    def columns_of(self, there: Sequence[str]) -> list[str]:
        """The columns of the data that are keyword arguments of the function."""
        return wanted_columns(self.function, there)

    def _both_orders(
        self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]
    ) -> list[float | None]:
        beside = {name: [*values, *values] for name, values in columns.items()}
        both = called(self.function, [*prompts, *prompts], [*left, *right], [*right, *left], **beside)
        orders = list(zip([*prompts, *prompts], [*left, *right], [*right, *left], strict=True))
        forward, backward = np.split(answered(both, orders), 2)
        return [None if np.isnan(p) else float(p) for p in 0.5 * (forward + (1.0 - backward))]


def each(function: Callable[..., Any], *, concurrent: int = 8) -> PairFunction:
    """A judge of lists from one of single pairs, ``function(prompt, left, right)``, up to ``concurrent`` at a time.

    A coroutine function is awaited for all pairs together.

    >>> FunctionJudge(each(lambda prompt, left, right: float(len(left) < len(right))))(["x"], ["a"], ["bb"]).tolist()
    [1.0]
    """
    if concurrent < 1:
        raise BadInput(f"concurrent = {concurrent}, must be at least 1")

    def asked(*lists: Sequence[Any], **columns: Sequence[Any]) -> list[Any]:
        def one(i: int) -> Any:
            return function(*(values[i] for values in lists), **{name: values[i] for name, values in columns.items()})

        if concurrent == 1 or inspect.iscoroutinefunction(function):
            return [one(i) for i in range(len(lists[0]))]
        with ThreadPoolExecutor(concurrent) as threads:
            return list(threads.map(one, range(len(lists[0]))))

    asked.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return asked


class TableJudge:
    """A judge that looks up given matrices: for each prompt its candidates and P [K, K] with P + Pᵀ = 1.

    Raises :class:`BadInput` for invalid preference matrices, and for a prompt or an answer that the table lacks.

    >>> table = TableJudge(["x"], [["a", "b"]], [[[0.5, 0.7], [0.3, 0.5]]])
    >>> table(["x"], ["b"], ["a"]).tolist()
    [0.30000000000000004]
    """

    def __init__(self, prompts: Texts, candidates: Sequence[Texts], matrices: Sequence[ArrayLike]) -> None:
        if not len(prompts) == len(candidates) == len(matrices):
            raise BadInput(f"{len(prompts)} prompts, {len(candidates)} candidate lists and {len(matrices)} matrices, "
                           "must be equally many")  # fmt: skip
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
                raise BadInput(f"the table does not hold {named(triple)}")
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

    judge  the judge that it asks;  asked  the number of pairs judged so far.

    >>> cached = Cached(OneOrder(lambda x, y, z: [0.75] * len(x)))
    >>> cached(["x", "x", "x"], ["a", "b", "a"], ["b", "a", "b"]).tolist(), cached.asked
    ([0.75, 0.25, 0.75], 1)
    """

    judge: Judge
    asked: int = 0
    _known: dict[tuple[Triple, str], float] = field(default_factory=dict, repr=False)

    def __call__(self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._remembered, columns)

    def columns_of(self, there: Sequence[str]) -> list[str]:
        """The columns of the data that are keyword arguments of the judge."""
        return wanted_columns(self.judge, there)

    def _remembered(
        self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]
    ) -> list[float | None]:
        about = [repr(values) for values in zip(*columns.values(), strict=True)] if columns else [""] * len(prompts)
        keys = list(zip(zip(prompts, left, right, strict=True), about, strict=True))
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            texts = ([each[i] for i in new] for each in (prompts, left, right))
            answers = ask(self.judge, *texts, columns={name: [v[i] for i in new] for name, v in columns.items()})
            self.asked += len(new)
            self._known.update(zip((keys[i] for i in new), answers.tolist(), strict=True))
        return [None if np.isnan(p) else p for p in (self._known[key] for key in keys)]


def matrix(judge: Judge, prompts: Texts, candidates: Sequence[Texts]) -> list[Array]:
    """P [K, K] for each prompt's K candidates, from one call of the judge with each different unordered pair once.

    Equal candidates have ½ between them and equal rows; P + Pᵀ = 1 exactly.

    >>> matrix(OneOrder(lambda x, y, z: [0.75] * len(x)), ["x"], [["a", "b"]])[0].tolist()
    [[0.5, 0.75], [0.25, 0.5]]
    """
    if len(prompts) != len(candidates):
        raise BadInput(f"{len(prompts)} prompts and {len(candidates)} candidate lists, must be equally many")
    asked: dict[Triple, None] = {}
    for prompt, texts in zip(prompts, candidates, strict=True):
        unique = sorted(set(texts))
        asked.update({(prompt, y, z): None for i, y in enumerate(unique) for z in unique[i + 1 :]})
    values = ask(judge, *map(list, zip(*asked, strict=True))) if asked else np.zeros(0)
    check_all_judged(values, list(asked))
    known = dict(zip(asked, values.tolist(), strict=True))
    return [_filled(prompt, texts, known) for prompt, texts in zip(prompts, candidates, strict=True)]


def check_all_judged(values: Array, triples: Sequence[Triple]) -> None:
    """BadInput if a pair was left out where every one is needed."""
    if np.isnan(values).any():
        left_out = named(triples[int(np.isnan(values).argmax())])
        raise BadInput(f"the judge left out {left_out}, must judge every pair here")


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
    """Comparisons with the judge's probabilities as soft labels, without the pairs that it leaves out."""
    p = ask(judge, prompts, left, right).tolist()
    return [Comparison(*row) for row in zip(prompts, left, right, p, strict=True) if not np.isnan(row[-1])]


def annotated(
    judge: Judge, prompts: Texts, left: Texts, right: Texts, rng: np.random.Generator, *, raters: int = 1
) -> list[Comparison]:
    """Comparisons by raters drawn at random: a label is the share of ``raters`` draws from the probability.

    Raises :class:`BadInput` for raters below 1, and if the judge does not give a probability for each triple.
    """
    if not (isinstance(raters, Integral) and raters >= 1):
        raise BadInput(f"raters = {raters!r}, must be a whole number, at least 1")
    p = ask(judge, prompts, left, right)
    check_all_judged(p, list(zip(prompts, left, right, strict=True)))
    wins = rng.binomial(raters, p) / raters
    return [Comparison(*row) for row in zip(prompts, left, right, wins.tolist(), strict=True)]

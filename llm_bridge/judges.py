"""Judges: p(y ≻ y' | x) for strings, from a function, a table, a score, a model's likelihoods, or known raters.

A judge is called with lists of prompts, left and right answers and returns float64 [B] with

    p(y, y') + p(y', y) = 1 exactly,    p(y, y) = ½,

by construction: each unordered pair is judged in one order only (the lexicographic one) and the other order is one
minus that; in floats (1 − p) + p is 1 for every p in [0, 1].  A judge that reads the pair in one go may favour a
position; :class:`FunctionJudge` takes the mean of both orders, so that nothing of it is left.

Source: theory §1 (P + Pᵀ = 1), §6.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llm_bridge.data import Comparison
from nashlab.game import BadInput, PreferenceGame

__all__ = [
    "Cached",
    "FunctionJudge",
    "Judge",
    "OneOrder",
    "ReconstructionScore",
    "RelevanceScore",
    "ScoreJudge",
    "SequenceClassifier",
    "TableJudge",
    "annotated",
    "ask",
    "canonical",
    "check_lengths",
    "fit_scale",
    "games",
    "judged",
    "matrix",
    "pair_score",
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
Score = Callable[[Texts, Texts], ArrayLike]


# -- one order of each pair ------------------------------------------------------------------------------------------


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


# -- judges ----------------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class ScoreJudge:
    """Bradley-Terry: p = σ(scale · (r(x, y) − r(x, y'))), each different (x, y) scored once.

    score  (prompts, answers) -> [B] numbers;  scale  one over the noise of the scores (:func:`fit_scale`).

    >>> brief = ScoreJudge(lambda prompts, answers: [-len(y) for y in answers])
    >>> round(float(brief(["x"], ["a"], ["bb"])[0]), 3)
    0.731
    """

    score: Score
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise BadInput(f"scale = {self.scale}, must be positive and finite")

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._probability)

    def differences(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """r(x, y) − r(x, y'), [B], without the scale."""
        return pair_score(self.score, prompts, left, right)

    def _probability(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        return _sigmoid(self.scale * self.differences(prompts, left, right))


def pair_score(score: Score, prompts: Texts, left: Texts, right: Texts) -> Array:
    """r(x, y) − r(x, y'), [B], each different (x, y) scored once; BadInput where a score is not a finite number."""
    asked = [*zip(prompts, left, strict=True), *zip(prompts, right, strict=True)]
    places = {pair: i for i, pair in enumerate(dict.fromkeys(asked))}
    if not places:
        return np.zeros(0)
    values = np.asarray(score(*map(list, zip(*places, strict=True))), dtype=np.float64)
    if values.shape != (len(places),):
        raise BadInput(f"the score returned an array of shape {values.shape} for {len(places)} answers")
    if not np.isfinite(values).all():
        prompt, answer = list(places)[int((~np.isfinite(values)).argmax())]
        raise BadInput(f"the score of answer {answer[:40]!r} to prompt {prompt[:40]!r} is not a finite number")
    first, second = np.split(values[[places[pair] for pair in asked]], 2)
    return first - second


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def fit_scale(differences: ArrayLike, p: ArrayLike, *, limits: tuple[float, float] = (1e-3, 1e3)) -> float:
    """The s within ``limits`` for which σ(s·d) explains p best: argmin_s Σ [log(1 + e^{s d}) − p s d], convex in s.

    ``differences`` d and labels ``p`` are [B].  The derivative Σ d (σ(s d) − p) rises with s and is bisected.  The
    lower limit is the answer where the differences are 0 or say the opposite, the upper one where they never err.

    >>> round(fit_scale([2.0, 2.0, 2.0, 2.0], [1, 1, 1, 0]), 6) == round(float(np.log(3)) / 2, 6)
    True
    """
    d, labels = np.asarray(differences, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if d.shape != labels.shape or d.ndim != 1 or not d.size:
        raise BadInput(f"differences have the shape {d.shape} and p {labels.shape}, must be [B] both, B at least 1")
    if not (np.isfinite(d).all() and ((labels >= 0) & (labels <= 1)).all()):
        raise BadInput("differences must be finite and p between 0 and 1")
    if not d.any():
        return limits[0]  # every scale explains p as well
    low, high = (math.log(limit) for limit in limits)
    for _ in range(100):
        middle = 0.5 * (low + high)
        slope = float(d @ (_sigmoid(math.exp(middle) * d) - labels))
        low, high = (low, middle) if slope > 0 else (middle, high)
    # every step went the same way: the minimum lies at, or beyond, the limit
    return min(max(math.exp(0.5 * (low + high)), limits[0]), limits[1])


# -- scores from transformers ----------------------------------------------------------------------------------------


@dataclass
class SequenceClassifier:
    """r(x, y) = the single logit of a Hugging Face sequence classifier (a reward model) on prompt and answer.

    model      with one label;  tokenizer  its own.
    template   how they are put together; None gives them as a pair, the way the tokenizer joins pairs.

    Prompts that are too long are cut at their end, answers are not; padding is never counted.

    Raises :class:`BadInput` for an answer that leaves no room within ``max_length`` tokens.
    """

    model: Any
    tokenizer: Any
    template: str | None = None
    batch_size: int = 16
    max_length: int = 512

    def __post_init__(self) -> None:
        labels = getattr(self.model.config, "num_labels", None)
        if labels != 1:
            raise BadInput(f"model has {labels} labels, must have one: the score of an answer")
        if self.template is not None and not ("{prompt}" in self.template and "{answer}" in self.template):
            raise BadInput(f"template = {self.template!r}, must contain {{prompt}} and {{answer}}")
        if self.tokenizer.pad_token_id is None:
            raise BadInput("tokenizer has no padding token, must have one (e.g. tokenizer.pad_token = its eos_token)")
        if self.model.config.pad_token_id is None:  # how a causal classifier finds the last real token
            raise BadInput("model.config.pad_token_id is missing, must be the tokenizer's padding token")

    def __call__(self, prompts: Texts, answers: Texts) -> Array:
        """Scores, [B]."""
        import torch

        scores = []
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            for batch in _batches(list(zip(prompts, answers, strict=True)), self.batch_size):
                inputs = self._encoded(*map(list, zip(*batch, strict=True))).to(self.model.device)
                scores.append(self.model(**inputs).logits[:, 0].double().cpu().numpy())
        self.model.train(was_training)
        return np.concatenate(scores) if scores else np.zeros(0)

    def _encoded(self, prompts: list[str], answers: list[str]) -> Any:
        if self.template is not None:
            texts = [self._fitted(x, y) for x, y in zip(prompts, answers, strict=True)]
            return self.tokenizer(texts, return_tensors="pt", padding=True)
        lengths = [len(self.tokenizer("", answer)["input_ids"]) for answer in answers]
        for answer, length in zip(answers, lengths, strict=True):
            self._check_length(answer, length)
        # tokenizers do not cut a text down to nothing
        prompts = [x if length < self.max_length else "" for x, length in zip(prompts, lengths, strict=True)]
        options = {"return_tensors": "pt", "padding": True, "truncation": "only_first", "max_length": self.max_length}
        return self.tokenizer(prompts, answers, **options)

    def _fitted(self, prompt: str, answer: str) -> str:
        """The filled template, the prompt shortened until it fits: cut texts may come back as more tokens."""
        text = self._filled(prompt, answer)
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        while (length := len(self.tokenizer(text)["input_ids"])) > self.max_length:
            if not ids:
                self._check_length(answer, length)
            ids = ids[: max(0, len(ids) - (length - self.max_length))]
            text = self._filled(self.tokenizer.decode(ids) if ids else "", answer)
        return text

    def _check_length(self, answer: str, length: int) -> None:
        if length > self.max_length:
            raise BadInput(f"answer {answer[:40]!r} has {length} tokens with what stands around it, "
                           f"must have max_length = {self.max_length} at most")  # fmt: skip

    def _filled(self, prompt: str, answer: str) -> str:
        # not one replacement after the other: a text may contain what looks like a place
        places = {"{prompt}": prompt, "{answer}": answer}
        return "".join(places.get(part, part) for part in re.split(r"(\{prompt\}|\{answer\})", self.template or ""))


@dataclass
class LikelihoodScore:
    """Sums of log-probabilities of one text after another under a language model.

    policy      anything with ``log_prob(prompt: Tokens, completion: Tokens) -> [B]``, ``tokenizer``, ``eos_id`` and
                ``pad_id`` (:class:`llm_bridge.policy.Policy`), preferably of another family than the judged policies.
                Where it is an encoder-decoder, contexts feed the encoder, closed by the end of sequence.
    max_length  tokens of a text at most, cut at its end (never the instruction around it).
    """

    policy: Any
    batch_size: int = 16
    max_length: int = 256

    def log_likelihood(self, contexts: Sequence[Texts], texts: Texts) -> Array:
        """log p(text, end | context), [B]; a context is a sequence of parts, tokenised one by one."""
        import torch

        from llm_bridge.policy import pad_left, pad_right

        values = []
        closing = [self.policy.eos_id] if getattr(self.policy, "is_encoder_decoder", False) else []
        for batch in _batches(list(zip(contexts, texts, strict=True)), self.batch_size):
            opened = [[i for part in context for i in self._ids(part)] for context, _ in batch]
            before = [[*ids, *closing] or [self.policy.eos_id] for ids in opened]
            after = [[*self._ids(text), self.policy.eos_id] for _, text in batch]
            with torch.inference_mode():
                summed = self.policy.log_prob(
                    pad_left(before, self.policy.pad_id), pad_right(after, self.policy.pad_id)
                )
            values.append(summed.double().cpu().numpy())
        return np.concatenate(values) if values else np.zeros(0)

    def _ids(self, text: str) -> list[int]:
        return list(self.policy.tokenizer(text, add_special_tokens=False)["input_ids"][: self.max_length])


@dataclass
class RelevanceScore(LikelihoodScore):
    """r(x, y) = log p(y | x, instruction) − log p(y | instruction): what the text tells about the answer.

    The second term takes out how likely the answer is anyway, so that blandness is not rewarded.

    template, without  the context with ``{prompt}``, and the one that knows nothing of it.
    """

    template: str = "{prompt}\n\nSummary in one line: "
    without: str = "Summary in one line: "

    def __call__(self, prompts: Texts, answers: Texts) -> Array:
        """Scores, [B]; the unconditional part is computed once for each different answer."""
        unique = {answer: i for i, answer in enumerate(dict.fromkeys(answers))}
        plain = self.log_likelihood([[self.without]] * len(unique), list(unique))
        before, _, after = self.template.partition("{prompt}")
        informed = self.log_likelihood([[before, x, after] for x in prompts], answers)
        return informed - plain[[unique[answer] for answer in answers]]


@dataclass
class ReconstructionScore(LikelihoodScore):
    """r(x, y) = log p(x | y): how well the text can be foretold from the answer.

    It lets nothing be left out, and likes long answers.

    template  the context with ``{answer}``, after which the text is scored.
    """

    template: str = "{answer}\n\nDescription: "

    def __call__(self, prompts: Texts, answers: Texts) -> Array:
        """Scores, [B]."""
        before, _, after = self.template.partition("{answer}")
        return self.log_likelihood([[before, y, after] for y in answers], prompts)


def _batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))


# -- many pairs ------------------------------------------------------------------------------------------------------


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

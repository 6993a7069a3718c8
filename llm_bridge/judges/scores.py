"""Scores r(x, y) of single answers, and the Bradley-Terry judge from a score: σ(s · (r(x, y) − r(x, y')))."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from llm_bridge.judges.answers import Array, called
from llm_bridge.judges.judge import Texts, canonical, wanted_columns
from nashlab.arrays import sigmoid
from nashlab.game import BadInput

if TYPE_CHECKING:
    from llm_bridge.policy import Policy

__all__ = ["ReconstructionScore", "RelevanceScore", "ScoreJudge", "fit_scale", "pair_score"]

Score = Callable[..., ArrayLike]


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

    def __call__(self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(prompts, left, right, self._probability, columns)

    def columns_of(self, there: Sequence[str]) -> list[str]:
        """The columns of the data that are keyword arguments of the score."""
        return wanted_columns(self.score, there)

    def differences(self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]) -> Array:
        """r(x, y) − r(x, y'), [B], without the scale."""
        return pair_score(self.score, prompts, left, right, **columns)

    def _probability(self, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]) -> Array:
        return sigmoid(self.scale * self.differences(prompts, left, right, **columns))


def pair_score(score: Score, prompts: Texts, left: Texts, right: Texts, **columns: Sequence[Any]) -> Array:
    """r(x, y) − r(x, y'), [B], each different (x, y) scored once; BadInput if a score is not a finite number."""
    texts = [*zip(prompts, left, strict=True), *zip(prompts, right, strict=True)]
    about = [repr(values) for values in zip(*columns.values(), strict=True)] if columns else [""] * len(prompts)
    asked = list(zip(texts, [*about, *about], strict=True))
    first: dict[tuple[tuple[str, str], str], int] = {}  # the first occurrence of each different answer
    for i, key in enumerate(asked):
        first.setdefault(key, i)
    if not first:
        return np.zeros(0)
    pairs = [pair for pair, _ in first]
    beside = {name: [values[i % len(prompts)] for i in first.values()] for name, values in columns.items()}
    values = answered_scores(called(score, *map(list, zip(*pairs, strict=True)), **beside), pairs)
    places = {key: i for i, key in enumerate(first)}
    one, other = np.split(values[[places[key] for key in asked]], 2)
    return one - other


def answered_scores(answer: Any, pairs: Sequence[tuple[str, str]]) -> Array:
    """One finite number for each (prompt, answer), [B]: a list, an array or a tensor of any type."""
    answer = answer.detach().double().cpu().numpy() if hasattr(answer, "detach") else answer
    try:
        values = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"the score returned {repr(answer)[:60]}, must be {len(pairs)} numbers") from error
    if values.shape != (len(pairs),):
        raise BadInput(f"the score returned an array of shape {values.shape} for {len(pairs)} answers")
    if not np.isfinite(values).all():
        prompt, text = pairs[int((~np.isfinite(values)).argmax())]
        raise BadInput(f"the score of answer {text[:40]!r} to prompt {prompt[:40]!r} is not a finite number")
    return values


def fit_scale(differences: ArrayLike, p: ArrayLike, *, limits: tuple[float, float] = (1e-3, 1e3)) -> float:
    """The s within ``limits`` for which σ(s·d) fits p best: argmin_s Σ [log(1 + e^{s d}) − p s d], convex in s.

    ``differences`` d and labels ``p`` are [B].  The derivative Σ d (σ(s d) − p) increases with s; its zero is found by
    bisection.  The result is the lower limit if the differences are 0 or misleading, the upper one if they never err.

    >>> round(fit_scale([2.0, 2.0, 2.0, 2.0], [1, 1, 1, 0]), 6) == round(float(np.log(3)) / 2, 6)
    True
    """
    d, labels = np.asarray(differences, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if d.shape != labels.shape or d.ndim != 1 or not d.size:
        raise BadInput(f"differences have the shape {d.shape} and p {labels.shape}, must be [B] both, B at least 1")
    if not (np.isfinite(d).all() and ((labels >= 0) & (labels <= 1)).all()):
        raise BadInput("differences must be finite and p between 0 and 1")
    if not d.any():
        return limits[0]  # every scale fits p equally well
    low, high = (math.log(limit) for limit in limits)
    for _ in range(100):
        middle = 0.5 * (low + high)
        slope = float(d @ (sigmoid(math.exp(middle) * d) - labels))
        low, high = (low, middle) if slope > 0 else (middle, high)
    # every step went the same way: the minimum is at or beyond the limit
    return min(max(math.exp(0.5 * (low + high)), limits[0]), limits[1])


@dataclass
class LikelihoodScore:
    """Summed log-probabilities of texts given contexts under a language model.

    policy      a :class:`llm_bridge.policy.Policy`, preferably from another family than the judged policies.  For an
                encoder-decoder, contexts feed the encoder, closed by the end of sequence; if its tokenizer has a chat
                template, the context is the user's turn and the text the answer.
    max_length  token limit of a text, which is cut at its end (never the instruction around it).
    """

    policy: Policy
    batch_size: int = 16
    max_length: int = 256

    def log_likelihood(self, contexts: Texts, texts: Texts) -> Array:
        """log p(text, end | context), [B]; the tokens are those of the whole, see
        :func:`llm_bridge.policy.prompts.continued`."""
        import torch

        from llm_bridge.policy import continued, pad_left, pad_right

        values = []
        rows = list(zip(*continued(self.policy, contexts, texts), strict=True))
        for batch in _batches(rows, self.batch_size):
            before = [ids or [self.policy.eos_id] for ids, _ in batch]
            after = [ids for _, ids in batch]
            with torch.inference_mode():
                summed = self.policy.log_prob(
                    pad_left(before, self.policy.pad_id), pad_right(after, self.policy.pad_id)
                )
            values.append(summed.double().cpu().numpy())
        return np.concatenate(values) if values else np.zeros(0)

    def _cut(self, texts: Texts) -> list[str]:
        from llm_bridge.policy import shortened

        return [shortened(self.policy.tokenizer, text, self.max_length) for text in texts]


@dataclass
class RelevanceScore(LikelihoodScore):
    """r(x, y) = log p(y | x, instruction) − log p(y | instruction): what the text tells about the answer.

    The second term removes the answer's prior probability, so that bland answers are not rewarded.

    template, without  the context with ``{prompt}``, directly followed by the answer, and the context without the text.
    """

    template: str = "{prompt}\n\nSummary in one line: "
    without: str = "Summary in one line: "

    def __call__(self, prompts: Texts, answers: Texts) -> Array:
        """Scores, [B]; the unconditional part is computed once for each different answer."""
        answers = self._cut(answers)
        unique = {answer: i for i, answer in enumerate(dict.fromkeys(answers))}
        plain = self.log_likelihood([self.without] * len(unique), list(unique))
        before, _, after = self.template.partition("{prompt}")
        informed = self.log_likelihood([before + x + after for x in self._cut(prompts)], answers)
        return informed - plain[[unique[answer] for answer in answers]]


@dataclass
class ReconstructionScore(LikelihoodScore):
    """r(x, y) = log p(x | y): how well the text can be predicted from the answer.

    It penalises omissions and favours long answers.

    template  the context with ``{answer}``, directly after which the text is scored.
    """

    template: str = "{answer}\n\nDescription: "

    def __call__(self, prompts: Texts, answers: Texts) -> Array:
        """Scores, [B]."""
        before, _, after = self.template.partition("{answer}")
        return self.log_likelihood([before + y + after for y in self._cut(answers)], self._cut(prompts))


def _batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))

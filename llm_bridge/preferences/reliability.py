"""The agreement of a preference model with held-out labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llm_bridge.data import Comparison
from llm_bridge.judges import Judge, ask, intransitivity, matrix
from llm_bridge.preferences.fitting import check_labels
from llm_bridge.preferences.models import Array, PreferenceModel, Texts
from nashlab.files import plain
from nashlab.game import BadInput

__all__ = ["Quality", "quality"]


@dataclass(frozen=True)
class Bin:
    """Comparisons whose likelier answer has p̂ in [low, high): mean p̂, observed frequency, and count."""

    low: float
    high: float
    predicted: float
    observed: float
    count: int


@dataclass(frozen=True)
class Quality:
    """The agreement of predictions p̂ with labels p; soft labels count as the share of raters for the left.

    accuracy            mean share of raters who prefer the likelier answer (½ if p̂ = ½).
    ceiling             the accuracy of a model that knows p: mean max(p, 1 − p).
    log_loss, entropy   mean −p log p̂ − (1 − p) log(1 − p̂), and its least value, at p̂ = p.
    brier               mean p (1 − p̂)² + (1 − p) p̂².
    calibration_error   Σ_bins share · |predicted − observed|, over equal bins of the likelier answer's p̂ in [½, 1].
    bins                the bins behind the calibration error.
    order_swap_error    largest |p̂(y, y') + p̂(y', y) − 1|.
    cyclic_triads       share of cycles among the triples of answers to one prompt; None if there are none.
    count               the number of comparisons.
    """

    accuracy: float
    ceiling: float
    log_loss: float
    entropy: float
    brier: float
    calibration_error: float
    order_swap_error: float
    cyclic_triads: float | None
    count: int
    bins: tuple[Bin, ...]

    def as_json(self) -> dict[str, Any]:
        """The numbers in the form of JSON."""
        return dict(plain(asdict(self)))


def quality(
    model: PreferenceModel | Judge, comparisons: Sequence[Comparison], *, bins: int = 10, batch_size: int = 32
) -> Quality:
    """Accuracy, log loss, Brier score, calibration, order-swap error and cycles on held-out comparisons.

    A model is called directly, not through its judge, so that the order-swap error tests the model.  Predictions are
    clipped to [1e-12, 1 − 1e-12] for the log loss.
    """
    check_labels(comparisons, "comparisons")
    if bins < 1:
        raise BadInput(f"bins = {bins}, must be at least 1")
    predict: Judge = model
    if isinstance(model, PreferenceModel):
        predict = _direct(model, batch_size)
    prompts, left, right, labels = map(list, zip(*comparisons, strict=True))
    p, q = np.array(labels, dtype=np.float64), ask(predict, prompts, left, right)
    found = _reliability(q, p, bins)
    return Quality(
        accuracy=float(np.where(q == 0.5, 0.5, np.where(q > 0.5, p, 1 - p)).mean()),
        ceiling=float(np.maximum(p, 1 - p).mean()),
        log_loss=float(_cross_entropy(p, q.clip(1e-12, 1 - 1e-12)).mean()),
        entropy=float(_cross_entropy(p, p).mean()),
        brier=float((p * (1 - q) ** 2 + (1 - p) * q**2).mean()),
        calibration_error=sum(b.count * abs(b.predicted - b.observed) for b in found) / len(p),
        order_swap_error=float(np.abs(q + ask(predict, prompts, right, left) - 1).max()),
        cyclic_triads=_cyclic_triads(predict, comparisons),
        count=len(p),
        bins=found,
    )


def _direct(model: PreferenceModel, batch_size: int) -> Judge:
    def predict(prompts: Texts, left: Texts, right: Texts) -> Array:
        return model.probabilities(prompts, left, right, batch_size=batch_size)

    return predict


def _cross_entropy(p: Array, q: Array) -> Array:
    """−p log q − (1 − p) log(1 − q), where 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        yes, no = p * np.log(q), (1 - p) * np.log1p(-q)
    return -(np.where(p > 0, yes, 0.0) + np.where(p < 1, no, 0.0))


def _reliability(q: Array, p: Array, bins: int) -> tuple[Bin, ...]:
    """Bins of the likelier answer's probability, independent of which answer is called left."""
    confidence = np.maximum(q, 1 - q)
    preferred = np.where(q == 0.5, 0.5, np.where(q > 0.5, p, 1 - p))
    edges = np.linspace(0.5, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    return tuple(
        Bin(float(edges[b]), float(edges[b + 1]), float(confidence[m].mean()), float(preferred[m].mean()), int(m.sum()))
        for b in range(bins)
        if (m := place == b).any()
    )


def _cyclic_triads(predict: Judge, comparisons: Sequence[Comparison], largest: int = 12) -> float | None:
    """The share of cyclic triples among at most ``largest`` answers to each prompt that has three."""
    answers: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for comparison in comparisons:
        answers[comparison.prompt].update({comparison.left: None, comparison.right: None})
    sets = {prompt: sorted(found)[:largest] for prompt, found in answers.items() if len(found) >= 3}
    if not sets:
        return None
    return intransitivity(matrix(predict, list(sets), list(sets.values()))).cyclic_triads

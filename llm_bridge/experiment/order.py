"""The order of methods with its uncertainty: texts and seeds are drawn again, for all methods the same.

    value[m] = mean over seeds s and texts x of v[m, s, x];  smaller is better

A bootstrap sample draws S seeds and X texts with replacement, so the intervals are paired over both, and differences
between methods are not blurred by how hard the texts happen to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llm_bridge.experiment.evaluate import PAPER
from nashlab.game import BadInput

__all__ = ["differ", "order_by_wins", "order_of", "resampled"]

Array = NDArray[np.float64]


def resampled(values: ArrayLike, resamples: int = 2000, seed: int = 0) -> Array:
    """Means of v [M, S, X] over drawn seeds and texts, [resamples, M]; every method sees the same draws.

    >>> resampled([[[1.0, 1.0]], [[2.0, 2.0]]], resamples=2).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 3 or not v.size or not np.isfinite(v).all():
        raise BadInput(f"values of the shape {v.shape}, must be finite and [M, S, X], none of them 0")
    rng = np.random.default_rng(seed)
    _, s, x = v.shape
    seeds = rng.multinomial(s, np.full(s, 1 / s), size=resamples) / s
    texts = rng.multinomial(x, np.full(x, 1 / x), size=resamples) / x
    return np.asarray(np.einsum("bs,msx,bx->bm", seeds, v, texts, optimize=True))


def order_of(methods: Sequence[str], values: ArrayLike, resamples: int = 2000, level: float = 0.95) -> dict[str, Any]:
    """Means with intervals, the probability that a method is ahead of another, and agreement with the paper's order.

    values  [M, S, X], smaller is better, ties are half.  ``difference``: row minus column with its paired interval.
    """
    v = np.asarray(values, dtype=np.float64)
    drawn = resampled(v, resamples)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(drawn, tails, axis=0)
    gaps = drawn[:, :, None] - drawn[:, None, :]
    ahead = (gaps < 0).mean(axis=0) + 0.5 * (gaps == 0).mean(axis=0)
    mean = v.mean(axis=(1, 2))
    return {
        "methods": list(methods),
        "mean": mean.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "by_seed": v.mean(axis=2).tolist(),
        "order": [methods[i] for i in np.argsort(mean, kind="stable")],
        "ahead": ahead.tolist(),
        "difference": (mean[:, None] - mean[None, :]).tolist(),
        "difference_low": np.quantile(gaps, tails[0], axis=0).tolist(),
        "difference_high": np.quantile(gaps, tails[1], axis=0).tolist(),
        "paper": _agreement(methods, mean, drawn, tails),
    }


def order_by_wins(methods: Sequence[str], win_rates: ArrayLike, resamples: int = 2000) -> dict[str, Any]:
    """:func:`order_of` for win rates, [M, S, X]: larger is better, and every number is of the win rate itself."""
    lost = order_of(methods, 1 - np.asarray(win_rates, dtype=np.float64), resamples)
    turned = {"mean": "mean", "low": "high", "high": "low", "by_seed": "by_seed"}
    found = {name: (1 - np.asarray(lost[other])).tolist() for name, other in turned.items()}
    ends = {"difference": "difference", "difference_low": "difference_high", "difference_high": "difference_low"}
    return lost | found | {name: (-np.asarray(lost[other])).tolist() for name, other in ends.items()}


def _agreement(methods: Sequence[str], mean: Array, drawn: Array, tails: list[float]) -> dict[str, Any] | None:
    """Kendall's τ with the paper's order by mean win rate, over the bootstrap; None with fewer than three in common."""
    from scipy.stats import kendalltau

    common = [m for m in PAPER["methods"] if m in methods]
    if len(common) < 3:
        return None
    here, there = [methods.index(m) for m in common], [PAPER["methods"].index(m) for m in common]
    theirs = np.array(PAPER["win_rates"])[np.ix_(there, there)].mean(axis=1)
    i, j = np.triu_indices(len(common), 1)
    concordant = np.sign(drawn[:, here][:, j] - drawn[:, here][:, i]) * np.sign(theirs[i] - theirs[j])
    taus = concordant.mean(axis=1)  # without ties, Kendall's own
    low, high = np.quantile(taus, tails)
    return {"kendall": float(kendalltau(-mean[here], theirs).statistic), "low": float(low), "high": float(high),
            "positive": float((taus > 0).mean()), "methods": common}  # fmt: skip


def differ(values: ArrayLike) -> dict[str, float]:
    """Do the methods differ at all?  Friedman's test with texts as blocks, and with seeds as blocks.

    values  [M, S, X].  The p-value over texts takes the trained policies as given; that over seeds (of means over
    texts) asks whether another training would show the same, and with S seeds it cannot fall far.
    Source: Friedman 1937.
    """
    from scipy.stats import friedmanchisquare

    v = np.asarray(values, dtype=np.float64)
    found = {"methods": float(len(v)), "spread": float(np.ptp(v.mean(axis=(1, 2))))}
    for name, blocks in (("texts", v.mean(axis=1)), ("seeds", v.mean(axis=2))):
        enough = len(v) >= 3 and blocks.shape[1] >= 2
        found[f"p_over_{name}"] = float(friedmanchisquare(*blocks).pvalue) if enough else 1.0
    return found

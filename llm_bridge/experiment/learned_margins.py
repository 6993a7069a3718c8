"""What methods learn from instead of the judge's exact preferences: a model fitted to single judgments of their texts.

N judgments: a training text, two of its candidates, and one draw from the judge's p.  A cross-encoder on the frozen
states of both, p̂ = σ(f(y, y') − f(y', y)) with one hidden layer as wide as the head, is fitted to nine tenths of them;
the last tenth stops the fit and sets its temperature.  It can represent cycles, and is wrong where judgments are few.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from llm_bridge.data import Comparison
from llm_bridge.judges import matrix
from llm_bridge.policy import seeded
from llm_bridge.preferences import CrossEncoder, Training, calibrate, train_preference_model

__all__ = ["RECIPE", "StatesEncoder", "drawn", "fit_margins", "quality"]

Array = NDArray[np.float64]
EPOCHS, BATCH, RATE, PATIENCE = 6, 64, 3e-4, 12
RECIPE = {"model": "cross-encoder", "epochs": EPOCHS, "batch": BATCH, "rate": RATE, "patience": PATIENCE}
"""What a stage of it is named after."""
SURE = 0.999
"""The largest p̂: a fit to few judgments may claim certainty, which no reward can express."""


class StatesEncoder(nn.Module):
    """tanh of a linear map of φ(x, y) and φ(x, y'), for texts and candidates whose states are known.

    features  φ, [X, K, F];  texts, candidates  [X] and [X][K];  width  of the map;  seed  of its start.
    """

    def __init__(
        self, features: Tensor, texts: Sequence[str], candidates: Sequence[Sequence[str]], *, width: int, seed: int
    ) -> None:
        super().__init__()
        pairs = [(text, answer) for text, row in zip(texts, candidates, strict=True) for answer in row]
        self._rows = {pair: i for i, pair in enumerate(pairs)}
        self._features = features.reshape(-1, features.shape[-1])
        self.width = width
        with seeded(seed):
            self.hidden = nn.Sequential(nn.Linear(2 * features.shape[-1], width), nn.Tanh())

    def forward(self, texts: Sequence[tuple[str, str, str]]) -> Tensor:
        """One vector for each (text, candidate, candidate), [B, width]."""
        left, right = ([self._rows[text[0], text[k]] for text in texts] for k in (1, 2))
        found: Tensor = self.hidden(torch.cat([self._features[left], self._features[right]], dim=1))
        return found


def drawn(
    margins: Array, texts: Sequence[str], candidates: Sequence[Sequence[str]], count: int, seed: int
) -> list[Comparison]:
    """Single judgments: a text, two different candidates, and one draw from p = margin + ½, all at random."""
    rng = np.random.default_rng([seed, count])
    x = rng.integers(len(texts), size=count)
    left = rng.integers(len(candidates[0]), size=count)
    right = (left + rng.integers(1, len(candidates[0]), size=count)) % len(candidates[0])
    won = rng.random(count) < margins[x, left, right] + 0.5
    return [Comparison(texts[i], candidates[i][a], candidates[i][b], float(p))
            for i, a, b, p in zip(x, left, right, won, strict=True)]  # fmt: skip


def fit_margins(
    features: Tensor,
    margins: Array,
    texts: Sequence[str],
    candidates: Sequence[Sequence[str]],
    *,
    count: int,
    width: int,
    seed: int,
    part: Path,
) -> None:
    """Fit a model to ``count`` judgments; keep its margins p̂ − ½ [X, K, K], and how good they are, in a folder."""
    encoder: Any = StatesEncoder(features, texts, candidates, width=width, seed=seed)
    model = CrossEncoder(encoder, seed=seed)
    judgments = drawn(margins, texts, candidates, count, seed)
    held_out = judgments[: count // 10]
    settings = Training(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, patience=PATIENCE, seed=seed)
    train_preference_model(model, judgments[count // 10 :], held_out, settings)
    calibrate(model, held_out)
    learned = np.stack(matrix(model.judge(batch_size=1024), texts, candidates)).clip(1 - SURE, SURE) - 0.5
    learned = (learned - learned.swapaxes(1, 2)) / 2  # 1 − SURE is rounded
    np.save(part / "margins.npy", learned)
    (part / "quality.json").write_text(json.dumps(quality(learned, margins)), encoding="utf-8")


def quality(learned: Array, margins: Array) -> dict[str, float]:
    """Of learned margins [X, K, K] against the exact ones, over all pairs: root mean square error, the share of decided
    pairs that it orders right (1 if none is decided), and the mean KL of the truth from it in nats per judgment.

    >>> exact = np.array([[[0.0, 0.3], [-0.3, 0.0]]])
    >>> quality(exact, exact)
    {'error': 0.0, 'ordered': 1.0, 'excess': 0.0}
    """
    i, j = np.triu_indices(margins.shape[-1], 1)
    truth, guess = margins[:, i, j], learned[:, i, j]
    decided = truth != 0
    p, q = truth + 0.5, np.clip(guess + 0.5, 1e-12, 1 - 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(a > 0, a * (np.log(a) - np.log(b)), 0.0) for a, b in ((p, q), (1 - p, 1 - q))]
    return {
        "error": float(np.sqrt(np.mean((guess - truth) ** 2))),
        "ordered": float(np.mean(np.sign(guess[decided]) == np.sign(truth[decided]))) if decided.any() else 1.0,
        "excess": float(np.mean(sum(parts))),
    }

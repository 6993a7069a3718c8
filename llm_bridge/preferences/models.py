"""Preference models that are antisymmetric by construction, and a scalar reward for comparison.

    cross-encoder     p(y ≻ y' | x) = σ(f(x, y, y') − f(x, y', y))           one encoding per ordered pair
    skew embedding    p(y ≻ y' | x) = σ(v(x, y)ᵀ R v(x, y')), R = W − Wᵀ     one encoding per answer
    Bradley-Terry     p(y ≻ y' | x) = σ(r(x, y) − r(x, y'))                  one encoding per answer

f, v and r are linear maps of a transformer's state at the last real token.  The first two can represent cycles; a
reward cannot.  Models are trained on soft or hard labels by cross-entropy, −p log p̂ − (1 − p) log(1 − p̂), with early
stopping, and calibrated by one temperature on held-out comparisons.

Source: theory §6; Munos et al. (arXiv 2312.00886) for preference models, Balduzzi et al. 2018 for skew embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from llm_bridge.judges import canonical, check_lengths
from llm_bridge.policy import seeded
from llm_bridge.preferences.encoder import TextEncoder
from nashlab.game import BadInput

__all__ = ["MODELS", "BradleyTerry", "CrossEncoder", "ModelJudge", "PreferenceModel", "SkewEmbedding"]

Array = NDArray[np.float64]
Texts = Sequence[str]


class PreferenceModel(nn.Module):
    """p(y ≻ y' | x) = σ(z / temperature) with a logit z(x, y, y') = −z(x, y', y), and z(x, y, y) = 0.

    Subclasses define :meth:`pair_logits`, antisymmetric as a formula.  :meth:`logit` calls it once for each different
    unordered pair, in one order, and is therefore antisymmetric to the last bit.

    encoder      texts -> [B, width];  temperature  a buffer, 1 until :func:`calibrate` sets it.
    """

    kind = ""
    temperature: Tensor

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments besides the encoder."""
        return {}

    def pair_logits(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """z before the temperature, [B], differentiable; called for different answers only."""
        raise NotImplementedError

    def logit(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """z / temperature, [B], differentiable."""
        ordered = [(x, min(y, z), max(y, z)) for x, y, z in zip(prompts, left, right, strict=True)]
        places = {triple: i for i, triple in enumerate(dict.fromkeys(t for t in ordered if t[1] != t[2]))}
        if not places:
            return torch.zeros(len(ordered), device=self.temperature.device)
        values = self.pair_logits(*map(list, zip(*places, strict=True)))
        index = torch.tensor([places.get(triple, 0) for triple in ordered], device=values.device)
        sign = [float(z > y) - float(y > z) for y, z in zip(left, right, strict=True)]
        return values[index] * torch.tensor(sign).to(values) / self.temperature.to(values)

    def forward(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """The logit, [B]."""
        return self.logit(prompts, left, right)

    def logits_of_many(self, prompts: Texts, left: Texts, right: Texts, batch_size: int = 32) -> Array:
        """:meth:`logit` without gradient, in batches, float64 [B]."""
        parts = [
            self.logit(prompts[i : i + batch_size], left[i : i + batch_size], right[i : i + batch_size])
            for i in range(0, len(prompts), batch_size)
        ]
        return torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)

    def probabilities(self, prompts: Texts, left: Texts, right: Texts, *, batch_size: int = 32) -> Array:
        """p(left ≻ right | prompt), float64 [B], in evaluation mode and without gradient.

        Raises :class:`BadInput` for lists of different lengths.
        """
        check_lengths(prompts, left, right)
        with evaluating(self):
            z = self.logits_of_many(list(prompts), list(left), list(right), batch_size)
        small = np.exp(-np.abs(z))
        p = 1.0 / (1.0 + small)  # for the likelier answer, so that one minus it is exactly the other's
        return np.where(z >= 0, p, 1.0 - p)

    def judge(self, batch_size: int = 32) -> ModelJudge:
        """This model as a judge."""
        return ModelJudge(self, batch_size)


class CrossEncoder(PreferenceModel):
    """z = f(x, y, y') − f(x, y', y), f linear in the state of an encoder that reads both answers.

    The most general of the three; K candidates cost K(K−1) encodings.
    """

    kind = "cross-encoder"

    def __init__(self, encoder: TextEncoder, *, seed: int = 0) -> None:
        super().__init__(encoder)
        self.head = _linear(encoder, 1, seed)

    def pair_logits(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """f(x, y, y') − f(x, y', y), [B]."""
        forward = list(zip(prompts, left, right, strict=True))
        backward = list(zip(prompts, right, left, strict=True))
        first, second = self.head(self.encoder(forward + backward)).squeeze(1).chunk(2)
        return first - second


class AnswerModel(PreferenceModel):
    """A model that represents each answer by one vector: K candidates cost K encodings."""

    def vectors(self, prompts: Texts, answers: Texts) -> Tensor:
        """One vector for each (prompt, answer), [B, k], differentiable."""
        raise NotImplementedError

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """z [B] from the vectors [B, k] of two answers."""
        raise NotImplementedError

    def pair_logits(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """z, [B], from one vector for each different (prompt, answer)."""
        unique, first, second = _different(prompts, left, right)
        vectors = self.vectors(*map(list, zip(*unique, strict=True)))
        return self.compare(vectors[first], vectors[second])

    def logits_of_many(self, prompts: Texts, left: Texts, right: Texts, batch_size: int = 32) -> Array:
        """:meth:`logit` without gradient; each different answer among all pairs is encoded once."""
        if not prompts:
            return np.zeros(0)
        ordered = [(min(y, z), max(y, z)) for y, z in zip(left, right, strict=True)]
        unique, first, second = _different(prompts, *map(list, zip(*ordered, strict=True)))
        # texts of similar length together, for less padding
        order = sorted(range(len(unique)), key=lambda i: len(unique[i][0]) + len(unique[i][1]))
        parts = [
            self.vectors(*map(list, zip(*(unique[i] for i in order[k : k + batch_size]), strict=True)))
            for k in range(0, len(order), batch_size)
        ]
        vectors = torch.cat(parts)[torch.argsort(torch.tensor(order)).to(parts[0].device)]
        values = self.compare(vectors[first], vectors[second]).double().cpu().numpy()
        sign = np.array([float(z > y) - float(y > z) for y, z in zip(left, right, strict=True)])
        return values * sign / float(self.temperature)


class SkewEmbedding(AnswerModel):
    """z = v(x, y)ᵀ R v(x, y') with R = W − Wᵀ [k, k] skew and v linear in the encoder's state.

    Two dimensions (r, 1) with R a rotation give a reward difference; every further pair of dimensions adds a cycle.
    """

    kind = "skew-embedding"

    def __init__(self, encoder: TextEncoder, *, rank: int = 16, seed: int = 0) -> None:
        super().__init__(encoder)
        if type(rank) is not int or rank < 2:
            raise BadInput(f"rank = {rank!r}, must be a whole number, at least 2: a skew form in one dimension is 0")
        self.rank = rank
        self.head = _linear(encoder, rank, seed)
        # Half rotations of pairs of dimensions, no common offset: with an arbitrary form z starts mostly linear in what
        # all answers share, learns to remove that, and ends at v = 0, where the gradient is 0 too.
        form = torch.zeros(rank, rank)
        first = torch.arange(0, rank - 1, 2)
        form[first, first + 1] = 0.5
        self.form = nn.Parameter(form.to(self.head.weight))
        nn.init.zeros_(self.head.bias)

    @property
    def settings(self) -> dict[str, Any]:
        """The rank."""
        return {"rank": self.rank}

    def vectors(self, prompts: Texts, answers: Texts) -> Tensor:
        """v(x, y), [B, k]."""
        return self.head(self.encoder(list(zip(prompts, answers, strict=True))))

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """vᵀ R v', [B]."""
        return ((left @ (self.form - self.form.T)) * right).sum(dim=1)


class BradleyTerry(AnswerModel):
    """z = r(x, y) − r(x, y'), r linear in the encoder's state: the reward of RLHF."""

    kind = "bradley-terry"

    def __init__(self, encoder: TextEncoder, *, seed: int = 0) -> None:
        super().__init__(encoder)
        self.head = _linear(encoder, 1, seed)

    def vectors(self, prompts: Texts, answers: Texts) -> Tensor:
        """r(x, y), [B, 1]."""
        return self.head(self.encoder(list(zip(prompts, answers, strict=True))))

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """r − r', [B]."""
        return (left - right).squeeze(1)

    def rewards(self, prompts: Texts, answers: Texts, *, batch_size: int = 32) -> Array:
        """r(x, y) / temperature, float64 [B], without gradient."""
        with evaluating(self):
            parts = [
                self.vectors(prompts[i : i + batch_size], answers[i : i + batch_size]).squeeze(1)
                for i in range(0, len(prompts), batch_size)
            ]
        values = torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)
        return values / float(self.temperature)


MODELS: dict[str, type[PreferenceModel]] = {m.kind: m for m in (CrossEncoder, SkewEmbedding, BradleyTerry)}


@dataclass(frozen=True)
class ModelJudge:
    """A preference model as a judge of texts; p(y, y') + p(y', y) = 1 exactly."""

    model: PreferenceModel
    batch_size: int = 32

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(
            prompts, left, right, lambda x, y, z: self.model.probabilities(x, y, z, batch_size=self.batch_size)
        )


def _different(prompts: Texts, left: Texts, right: Texts) -> tuple[list[tuple[str, str]], Tensor, Tensor]:
    """The different (prompt, answer), and the indices of the left and the right answers among them."""
    asked = [*zip(prompts, left, strict=True), *zip(prompts, right, strict=True)]
    places = {pair: i for i, pair in enumerate(dict.fromkeys(asked))}
    first, second = torch.tensor([places[pair] for pair in asked]).chunk(2)
    return list(places), first, second


def _linear(encoder: TextEncoder, size: int, seed: int) -> nn.Linear:
    weight = next(encoder.parameters())
    dtype = weight.dtype if weight.dtype == torch.float64 else torch.float32
    with seeded(seed):
        return nn.Linear(encoder.width, size).to(device=weight.device, dtype=dtype)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)

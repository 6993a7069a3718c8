"""Enumerable languages: a transformer's policy becomes a vector, and its gradient and its game are exact.

With s symbols besides the end of sequence and at most L tokens there are Σ_{l ≤ L} s^l sequences (341 for s = L = 4).
Those shorter than L end with end-of-sequence, the longest end by the limit, so their probabilities sum to 1 for all
weights.  A *closed candidate set* is the same idea for a real model: π restricted to K texts per prompt,
π(y) ∝ π_model(y | x).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_bridge.policy import Policy, Reference, Tokens, pad_left, pad_right
from llm_bridge.training.objective import Samples
from nashlab.game import BadInput, PreferenceGame

__all__ = ["Language", "expected_samples", "restricted"]


@dataclass(frozen=True)
class Language:
    """All sequences of given symbols up to a length.

    symbols  token ids, without the end of sequence;  eos_id  ends the shorter ones;  max_length  L.

    >>> len(Language((1, 2), 0, 3)), len(Language((1, 2, 3, 4), 0, 4))
    (15, 341)
    """

    symbols: tuple[int, ...]
    eos_id: int
    max_length: int

    def __post_init__(self) -> None:
        if self.eos_id in self.symbols or len(set(self.symbols)) < len(self.symbols) or not self.symbols:
            raise BadInput(f"symbols = {self.symbols}, must be distinct and without the end of sequence {self.eos_id}")
        if self.max_length < 1:
            raise BadInput(f"max_length = {self.max_length}, must be at least 1")

    def __len__(self) -> int:
        return sum(len(self.symbols) ** length for length in range(self.max_length + 1))

    @property
    def sequences(self) -> list[tuple[int, ...]]:
        """Every sequence as it is sampled, by length, including the end of sequence where there is one."""
        found: list[tuple[int, ...]] = []
        for length in range(self.max_length + 1):
            ending = () if length == self.max_length else (self.eos_id,)
            found += [(*words, *ending) for words in itertools.product(self.symbols, repeat=length)]
        return found

    @property
    def completions(self) -> Tokens:
        """The sequences as a batch, [n, L]."""
        return pad_right(self.sequences, self.eos_id)

    def prompts(self, prompt: Sequence[int]) -> Tokens:
        """One prompt before every sequence, [n, P]."""
        return pad_left([list(prompt)] * len(self), self.eos_id)

    def log_policy(self, policy: Policy | Reference, prompt: Sequence[int], *, temperature: float = 1.0) -> Tensor:
        """log π of every sequence, [n], with its gradient; exp of it sums to 1.

        Raises :class:`BadInput` otherwise: the policy has other tokens, or another end of sequence.
        """
        log_pi = policy.log_prob(self.prompts(prompt), self.completions, temperature=temperature)
        mass = float(log_pi.detach().double().exp().sum())
        # in half precision the logits of a prefix round differently in another batch, by about 2⁻⁹ each
        if not abs(mass - 1) <= 0.01:
            raise BadInput(
                f"symbols = {self.symbols} and eos_id = {self.eos_id} have probabilities that sum to {mass:.4g}, "
                "must be all tokens of the policy"
            )
        return log_pi

    def game(self, margins: NDArray[np.float64], log_reference: Tensor) -> PreferenceGame:
        """The game of these responses with a transformer's distribution as the reference."""
        mu = np.exp(log_reference.detach().double().cpu().numpy())
        return PreferenceGame.from_margins(margins, reference=mu / mu.sum(), name=f"language of {len(self)}")


def restricted(log_prob: Tensor) -> Tensor:
    """log π on a closed candidate set: the candidates' own log-probabilities normalised, [..., K]."""
    return log_prob - torch.logsumexp(log_prob, dim=-1, keepdim=True)


def expected_samples(
    prompt: Tokens, completion: Tokens, log_anchor: Tensor, p: Tensor, log_left: Tensor, log_right: Tensor
) -> Samples:
    """All n² ordered pairs of n responses, each with its probability ν(y) ν'(y') of being drawn.

    p  p(y ≻ y'), [n, n];  log_left, log_right  log ν and log ν' of the samplers of y and y', [n], used as data.
    With a leading axis [X] of prompts, whose responses form blocks of n, pairs stay within a prompt.
    """
    n = p.shape[-1]
    weight = torch.exp(log_left.detach())[..., :, None] * torch.exp(log_right.detach())[..., None, :]
    rows = torch.arange(weight[..., 0].numel(), device=weight.device).view(-1, n)
    left, right = rows.repeat_interleave(n, dim=1).reshape(-1), rows.repeat(1, n).reshape(-1)
    return Samples(prompt, completion, log_anchor.detach(), left, right, p.reshape(-1), weight.reshape(-1))

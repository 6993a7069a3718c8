"""nashlab's objectives on a transformer: log-ratios and preferences become one scalar to descend on.

    h(y) = log π(y | x) − log μ(y | x)                                   summed over tokens, one per completion
    pairwise objective:    Σ w · ℓ(h(y) − h(y'), p, τ)                   with the loss ℓ from nashlab.losses
    any other objective:  −Σ w · SG[c(y) log π(y) + c'(y') log π(y')]    its weights: E[c s(y) + c' s(y')]

Samples are data: a completion is scored once, however many pairs contain it.  If the samples are all sequences of a
language, weighted by their probabilities, the scalar's gradient is the exact expected gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from llm_bridge.policy import NotFinite, Tokens
from nashlab.algorithm import Objective, Pairwise

__all__ = ["Samples", "all_pairs", "cross_pairs", "surrogate"]


class Samples(NamedTuple):
    """Completions, their pairwise preferences, and the weight of each pair.

    prompt, completion  [N, P] and [N, T]: a prompt is repeated for each of its completions.
    log_anchor   log μ(y | x) of the policy to which log-ratios are relative, [N].
    left, right  rows of the two responses of a pair, [M];  p  p(y ≻ y'), [M];  weight  of a pair, [M], summing to 1.
    """

    prompt: Tokens
    completion: Tokens
    log_anchor: Tensor
    left: Tensor
    right: Tensor
    p: Tensor
    weight: Tensor


def all_pairs(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (i, j), i < j, of every pair of completions of one prompt, [M] each; ``groups`` [N] identifies the prompts.

    >>> [t.tolist() for t in all_pairs(torch.tensor([0, 0, 0, 1, 1]))]
    [[0, 0, 1, 3], [1, 2, 2, 4]]
    """
    same = groups[:, None] == groups[None, :]
    left, right = torch.nonzero(torch.triu(same, 1), as_tuple=True)
    return left, right


def cross_pairs(left_groups: Tensor, right_groups: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (i, j) of every left and right completion of one prompt, [M] each, with j an index into the right ones."""
    left, right = torch.nonzero(left_groups[:, None] == right_groups[None, :], as_tuple=True)
    return left, right


def surrogate(objective: Objective, log_prob: Tensor, samples: Samples, temperature: float) -> Tensor:
    """The scalar whose gradient is the objective's on these samples; ``log_prob`` [N] is log π with its gradient.

    A pairwise loss has the factor of its table form (4/τ for IPO, L1); a policy gradient has none, and its sign is
    changed so that both are descended on.  Errors: :class:`NotFinite` if a log-ratio is not finite.
    Source: theory §3; Calandriello et al. 2024 (arXiv 2403.08635).

    >>> from nashlab.losses import ipo
    >>> none = Tokens(torch.zeros(2, 0), torch.zeros(2, 0))
    >>> one, two = torch.tensor([0]), torch.tensor([1])
    >>> data = Samples(none, none, torch.zeros(2), one, two, torch.tensor([0.7]), torch.ones(1))
    >>> surrogate(Pairwise(ipo), torch.tensor([0.5, 0.5]), data, 1.0).item()
    0.25
    """
    h = log_prob - samples.log_anchor.to(log_prob)
    if not bool(torch.isfinite(h).all()):
        row = int(torch.nonzero(~torch.isfinite(h))[0])
        raise NotFinite(f"log-ratio of completion {row} is {float(h[row].detach())}, must be finite")
    left, right = h[samples.left], h[samples.right]
    p, weight = samples.p.to(h), samples.weight.to(h)
    if isinstance(objective, Pairwise):
        values = objective.loss.value(left - right, p, temperature)
    else:
        score, other = objective.weights(left.detach(), right.detach(), p, temperature)
        values = -score * log_prob[samples.left]
        if other is not None:
            values = values - other * log_prob[samples.right]
    return (weight * values).sum()

"""The theory's side of every check: the model's own forward pass, one sequence at a time, without padding or cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["own_log_prob", "regularised_win", "sequence_mixture"]


def own_log_prob(policy: Any, prompt: tuple[int, ...], completion: tuple[int, ...], temperature: float = 1.0) -> Tensor:
    """log π(y_t | x, y_<t) of each token by the model's own forward pass on this one sequence, [T]."""
    model, words = policy.model, torch.tensor([completion])
    if policy.is_encoder_decoder:
        start = torch.tensor([[model.config.decoder_start_token_id]])
        fed = torch.cat([start, words], dim=1)[:, :-1]
        logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=fed).logits[0]
    else:
        ids = torch.cat([torch.tensor([prompt]), words], dim=1)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return (logits / temperature).log_softmax(dim=-1).gather(1, words[0][:, None]).squeeze(1)


def regularised_win(log_pi: Tensor, nu: Tensor, p: Tensor, log_mu: Tensor, tau: float) -> Tensor:
    """P(π ≻ SG ν) − τ KL(π‖μ)."""
    pi = log_pi.exp()
    return pi @ (p @ nu.detach()) - tau * (pi * (log_pi - log_mu)).sum()


def sequence_mixture(log_pi: Tensor, log_mu: Tensor, beta: float) -> Tensor:
    """The sequence-level mixture, log m_β."""
    mixed = (1 - beta) * log_pi + beta * log_mu
    return mixed - torch.logsumexp(mixed, dim=-1, keepdim=True)

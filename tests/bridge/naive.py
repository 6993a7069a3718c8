"""What log-probabilities and mixtures are, a row at a time: no padding, no cache, the model's own logits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from llm_bridge.policy import Policy, Tokens

__all__ = ["EXACT", "error_against_naive", "gradients", "naive_log_prob", "naive_mixture", "naive_next"]

# sums of a dozen float64 terms of size 1 to 10, in another order
EXACT = 1e-12


def naive_next(policy: Policy, prompt: list[int], completion: list[int]) -> Tensor:
    """log π(· | x, y_<t) for t = 0 ... T, from the model's own forward pass over one sequence, [T + 1, V]."""
    model: Any = policy.model
    prompt_ids = torch.tensor([prompt], device=policy.device)
    if policy.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        logits = model(input_ids=prompt_ids, decoder_input_ids=prompt_ids.new_tensor([[start, *completion]])).logits[0]
    else:
        ids = prompt_ids.new_tensor([prompt + completion])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, len(prompt) - 1 :]
    return logits.log_softmax(dim=-1)


def row(tokens: Tokens, index: int) -> list[int]:
    """The counted tokens of one row."""
    return tokens.ids[index][tokens.mask[index]].tolist()


def naive_log_prob(policy: Policy, prompt: Tokens, completion: Tokens) -> Tensor:
    """Σ_t log π(y_t | x, y_<t), [B]."""
    sums = []
    for i in range(len(prompt.ids)):
        chosen = row(completion, i)
        steps = naive_next(policy, row(prompt, i), chosen)
        sums.append(sum((steps[t, token] for t, token in enumerate(chosen)), steps.new_zeros(())))
    return torch.stack(sums)


def adapters_disabled(policy: Policy) -> AbstractContextManager[None]:
    """PEFT's own switch, which the code under test does not use."""
    return policy.model.disable_adapter() if policy.has_adapters else nullcontext()


def naive_mixture(policy: Policy, frozen: Policy, prompt: list[int], completion: list[int], beta: float) -> Tensor:
    """log m(· | x, y_<t) for t = 0 ... T with μ = ``frozen``, its adapters off where it has some, [T + 1, V]."""
    with torch.no_grad():
        ours = naive_next(policy, prompt, completion)
        with adapters_disabled(frozen):
            theirs = naive_next(frozen, prompt, completion)
    unnormalised = (ours.exp() ** (1 - beta)) * (theirs.exp() ** beta)
    return (unnormalised / unnormalised.sum(dim=-1, keepdim=True)).log()


def gradients(policy: Policy, values: Tensor) -> list[Tensor]:
    """∂(Σ_i c_i values_i)/∂θ for every trainable weight, with different c_i."""
    weights = torch.arange(1, len(values) + 1, dtype=values.dtype)
    trainable = [p for p in policy.model.parameters() if p.requires_grad]
    found = torch.autograd.grad((weights * values).sum(), trainable, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(trainable, found, strict=True)]


def error_against_naive(policy: Policy, values: Tensor, prompt: Tokens, completion: Tokens) -> float:
    """The worst relative error of values and gradients."""
    truth = naive_log_prob(policy, prompt, completion)
    slopes = zip(gradients(policy, values), gradients(policy, truth), strict=True)
    pairs = [(values.detach(), truth.detach()), *slopes]
    return max(float((a - b).abs().max() / (1 + b.abs().max())) for a, b in pairs)

"""Tiny models with an enumerable language, and games on it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_bridge.policy import LoraOptions, Policy, Reference, load_policy, reference_of
from llm_bridge.training import Language, expected_samples, surrogate
from llm_bridge.verify.oracle import own_log_prob
from nashlab.algorithm import Objective
from nashlab.claims import Cases, Check, claim
from nashlab.gallery import random_game

__all__ = ["CHECKS", "LANGUAGE", "tiny"]

CHECKS: dict[str, Check] = {}
MODEL_FAMILIES = ("gpt2", "llama", "t5")
LANGUAGE = Language((1, 2), 0, 3)
PROMPT = (2, 1)
ROUNDING = "float64 sums over 15 sequences and all their pairs; relative to the largest entry of the gradient"

bridge_claim = functools.partial(claim, registry=CHECKS)


def tiny(family: str, symbols: int = 2, *, lora: bool = False, seed: int = 0) -> Policy:
    """A random two-layer float64 model, far from uniform: its vocabulary is end-of-sequence (0) and 1, 2, ..."""
    from transformers import GPT2Config, LlamaConfig, T5Config

    tokens: dict[str, Any] = {"vocab_size": symbols + 1, "eos_token_id": 0, "pad_token_id": 0, "bos_token_id": None}
    seq2seq: dict[str, Any] = tokens | {"decoder_start_token_id": 0}
    config = {
        "gpt2": lambda: GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, **tokens),
        "llama": lambda: LlamaConfig(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            **tokens,
        ),
        "t5": lambda: T5Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, **seq2seq),
    }[family]()
    options = LoraOptions(rank=2, alpha=4) if lora else None
    policy = load_policy(config, dtype=torch.float64, seed=seed, lora=options)
    push(policy, 0.3, seed + 1)
    return policy


def push(policy: Policy, size: float, seed: int) -> None:
    """Move every trainable weight by a random step."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(size * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))


class Play(NamedTuple):
    """A policy away from its reference, in a random game over the language, with its exact vectors."""

    policy: Policy
    reference: Reference
    p: Tensor
    tau: float
    margins: NDArray[np.float64]

    @property
    def log_mu(self) -> Tensor:
        """log μ of every sequence, as data."""
        with torch.no_grad():
            return LANGUAGE.log_policy(self.reference, PROMPT)

    def own_log_policy(self, temperature: float = 1.0) -> Tensor:
        """log π of every sequence by :func:`own_log_prob`, with its gradient."""
        return torch.stack([own_log_prob(self.policy, PROMPT, y, temperature).sum() for y in LANGUAGE.sequences])

    def gradient(self, objective: Objective, log_left: Tensor, log_right: Tensor) -> Tensor:
        """The trainer's gradient: that of the surrogate on all weighted pairs."""
        prompt, completion = LANGUAGE.prompts(PROMPT), LANGUAGE.completions
        samples = expected_samples(prompt, completion, self.log_mu, self.p, log_left, log_right)
        scalar = surrogate(objective, self.policy.log_prob(prompt, completion), samples, self.tau)
        return flat_gradient(scalar, self.policy)


def play_of(family: str, rng: np.random.Generator, *, lora: bool = False, tau: float = 0.5) -> Play:
    policy = tiny(family, lora=lora, seed=int(rng.integers(2**31)))
    reference = reference_of(policy)
    push(policy, 0.2, int(rng.integers(2**31)))
    game = random_game("uniform", len(LANGUAGE), rng)
    return Play(policy, reference, torch.tensor(game.preferences), tau, game.margins)


def plays_of(cases: Cases, salt: str) -> Iterator[tuple[str, Play]]:
    rng = cases.rng(salt)
    for family in MODEL_FAMILIES:
        for lora in (False, True):
            yield f"{family}{', LoRA' if lora else ''}", play_of(family, rng, lora=lora)


def flat_gradient(scalar: Tensor, policy: Policy, *, again: bool = False) -> Tensor:
    """The gradient in all trainable weights as one vector; ``again``: keep the graph for a further gradient."""
    weights = [w for w in policy.model.parameters() if w.requires_grad]
    parts = torch.autograd.grad(scalar, weights, allow_unused=True, retain_graph=again)
    return torch.cat(
        [(torch.zeros_like(w) if g is None else g).reshape(-1) for w, g in zip(weights, parts, strict=True)]
    )


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest entry."""
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))

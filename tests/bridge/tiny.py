"""Tiny random models of the four families, with weights large enough that their distributions are far from uniform."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import GPT2Config, LlamaConfig, PretrainedConfig, Qwen2Config, T5Config

from llm_bridge.policy import LoraOptions, Policy, Tokens, load_policy, pad_left, pad_right

__all__ = ["EOS", "FAMILIES", "PAD", "completions", "prompts", "tiny_config", "tiny_policy"]

FAMILIES = ("gpt2", "llama", "qwen2", "t5")
EOS, PAD = 1, 0


def tiny_config(family: str, vocab: int = 7, **changes: Any) -> PretrainedConfig:
    """Two layers, sixteen dimensions; token 0 is padding, token 1 the end of a sequence."""
    tokens = {"vocab_size": vocab, "eos_token_id": EOS, "pad_token_id": PAD, "bos_token_id": None}
    decoder = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    rotary = decoder | {"num_key_value_heads": 2, "max_position_embeddings": 128}
    match family:
        case "gpt2":
            return GPT2Config(**({"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64} | tokens | changes))
        case "llama":
            return LlamaConfig(**(rotary | tokens | changes))
        case "qwen2":
            return Qwen2Config(**(rotary | {"tie_word_embeddings": True} | tokens | changes))
        case "t5":
            shape = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
            return T5Config(**(shape | {"decoder_start_token_id": PAD} | tokens | changes))
    raise ValueError(f"family = {family!r}, must be one of {FAMILIES}")


def tiny_policy(
    family: str,
    *,
    vocab: int = 7,
    lora: bool = False,
    dtype: torch.dtype = torch.float64,
    gradient_checkpointing: bool = False,
    seed: int = 0,
    size: float = 0.3,
    **changes: Any,
) -> Policy:
    """A random policy of the family; each weight, adapters included, gets a normal step of deviation ``size``."""
    options = LoraOptions(rank=2, alpha=4) if lora else None
    policy = load_policy(
        copy.deepcopy(tiny_config(family, vocab, **changes)),
        lora=options,
        dtype=dtype,
        gradient_checkpointing=gradient_checkpointing,
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return policy


def prompts(*, padded: bool = True, vocab: int = 7, rows: int = 3) -> Tokens:
    """Prompts of 4, 1, 3, 4, 1, ... tokens padded on the left, or all of 3."""
    generator = torch.Generator().manual_seed(5)
    lengths = [(4, 1, 3)[i % 3] if padded else 3 for i in range(rows)]
    return pad_left([torch.randint(2, vocab, (n,), generator=generator).tolist() for n in lengths], PAD)


def completions() -> Tokens:
    """Completions of 3, 1 and 5 tokens; two end with end-of-sequence, the last is cut off."""
    return pad_right([[3, 4, EOS], [EOS], [2, 6, 6, PAD, 5]], PAD)

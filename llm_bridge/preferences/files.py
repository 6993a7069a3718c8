"""Preference models as folders of safetensors and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from llm_bridge.judges import Judge
from llm_bridge.policy import seeded, tokenizer_at
from llm_bridge.preferences.encoder import TextEncoder, body_of
from llm_bridge.preferences.models import MODELS, PreferenceModel
from nashlab.files import replacing
from nashlab.game import BadInput, first_line, suggestion

__all__ = ["judge_in", "load_model", "save_model"]

WEIGHTS = "weights.safetensors"
DESCRIPTION = "preference.json"


def save_model(model: PreferenceModel, folder: str | Path) -> None:
    """Save the model with its tokenizer in a folder; the description is written last and makes the folder valid.

    Raises :class:`BadInput` for an encoder whose weights differ from its configuration, such as one with adapters.
    """
    from safetensors.torch import save_file

    with torch.device("meta"):
        plain = _body_from(model.encoder.config)
    _check_same(_tensors(plain), _tensors(model.encoder.body), "model.encoder has other weights than its configuration")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    model.encoder.config.save_pretrained(folder)
    model.encoder.tokenizer.save_pretrained(folder)
    # copies, as safetensors does not store memory that two tensors share
    tensors = {k: t.detach().cpu().clone(memory_format=torch.contiguous_format) for k, t in _tensors(model).items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part)
    about = {"kind": model.kind, "settings": model.settings, "encoder": model.encoder.settings}
    with replacing(folder / DESCRIPTION) as part:
        part.write_text(json.dumps(about, indent=2) + "\n")


def load_model(folder: str | Path, device: torch.device | str = "cpu") -> PreferenceModel:
    """The model saved by :func:`save_model`, bit for bit; BadInput if the folder is incomplete."""
    folder = Path(folder)
    try:
        model = _read(folder)
    except Exception as error:  # every layer below the readers raises its own errors
        why = first_line(error)
        raise BadInput(f"folder = {str(folder)!r} holds no readable preference model ({why})") from error
    return model.to(device).eval()


def judge_in(source: str, *, batch_size: int = 32, device: str = "cpu") -> Judge:
    """The judge of that name (:mod:`llm_bridge.judges.registry`): a preference model in a folder."""
    return load_model(source, device).judge(batch_size)


def _read(folder: Path) -> PreferenceModel:
    from safetensors.torch import load_file
    from transformers import AutoConfig

    kind, settings, encoder_settings = _description(folder / DESCRIPTION)
    weights = load_file(folder / WEIGHTS)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    encoder = TextEncoder(_body_from(config), tokenizer_at(str(folder), local=True), **encoder_settings)
    model = MODELS[kind](encoder, **settings)
    if (model.settings, encoder.settings) != (settings, encoder_settings):
        raise BadInput(
            f"{DESCRIPTION} has {settings | encoder_settings}, must have {model.settings | encoder.settings}"
        )
    _restore(_tensors(model), weights, folder)
    return model


def _body_from(config: Any) -> Any:
    from transformers import AutoModel

    with seeded(0):
        return body_of(AutoModel.from_config(config, trust_remote_code=False))


def _description(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    about = json.loads(path.read_text(encoding="utf-8"))
    kinds = {"kind": str, "settings": dict, "encoder": dict}
    if not isinstance(about, dict) or {name: type(value) for name, value in about.items()} != kinds:
        raise BadInput(f"{path.name} must have a kind, settings and an encoder's settings")
    if about["kind"] not in MODELS:
        raise BadInput(f"kind = {about['kind']!r}, must be one of {', '.join(MODELS)}"
                       f"{suggestion(about['kind'], MODELS)}")  # fmt: skip
    return about["kind"], about["settings"], about["encoder"]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter once, and the buffers: those of a state_dict, and others (of rotations) that a cast changes."""
    stored = model.state_dict().keys()
    buffers = {name: b for name, b in model.named_buffers() if name in stored or b.is_floating_point()}
    return {**dict(model.named_parameters()), **buffers}


def _restore(tensors: Mapping[str, Tensor], weights: dict[str, Tensor], source: Path) -> None:
    """Set tensors to their stored values, in their stored types."""
    _check_same(tensors, weights, f"{source} holds the weights of another model")
    for name, tensor in tensors.items():
        # a copy, because the rounding of sums depends on the memory alignment
        tensor.data = weights[name].to(tensor.device, copy=True)


def _check_same(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], otherwise: str) -> None:
    shapes, others = ({(name, tuple(t.shape)) for name, t in group.items()} for group in (expected, found))
    if odd := sorted({name for name, _ in shapes ^ others}):
        raise BadInput(f"{otherwise} (first differences: {', '.join(odd[:3])})")

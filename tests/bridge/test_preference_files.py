"""Preference models and their encoders in files: the same to the last bit, or refused."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bridge.preferring import EACH_FAMILY, EACH_MODEL, TOKENIZER, config, encoder, model, same_bits, triples
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoTokenizer, DeepseekV3Config

from llm_bridge.policy import LoraOptions, load_policy
from llm_bridge.preferences import BradleyTerry, SkewEmbedding, TextEncoder, load_encoder, load_model, save_model
from nashlab.game import BadInput

torch.set_num_threads(1)


@EACH_MODEL
@EACH_FAMILY
def test_a_saved_model_comes_back_with_the_same_preferences(kind: str, family: str, tmp_path: Path) -> None:
    found = model(kind, family)
    found.temperature.fill_(1.7)
    save_model(found, tmp_path)
    back = load_model(tmp_path)
    prompts, left, right = triples(12, 3)
    assert type(back) is type(found)
    assert back.probabilities(prompts, left, right).tolist() == found.probabilities(prompts, left, right).tolist()
    assert not list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pt")) + list(tmp_path.glob("*.pkl"))


DTYPES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])


@DTYPES
@EACH_FAMILY
@pytest.mark.parametrize("cast", [False, True])
def test_a_saved_model_comes_back_to_the_last_bit(family: str, dtype: torch.dtype, cast: bool, tmp_path: Path) -> None:
    AutoModel.from_config(config(family)).save_pretrained(tmp_path / "source")
    # what was loaded in a type and what was cast to it differ: the frequencies of rotations stay exact or do not
    found = (
        BradleyTerry(load_encoder(tmp_path / "source", TOKENIZER, dtype=torch.float32 if cast else dtype))
        .to(dtype if cast else None)
        .eval()
    )
    with torch.no_grad():
        found.head.weight.add_(1e-3)  # float32 digits that half precision has not
    save_model(found, tmp_path / "model")
    back = load_model(tmp_path / "model")
    assert same_bits(back, found)
    if not cast:
        prompts, left, right = triples(6, 3)
        assert back.probabilities(prompts, left, right).tolist() == found.probabilities(prompts, left, right).tolist()
    # the canary: one bit of one weight is seen
    with torch.no_grad():
        back.head.bias.mul_(2)
    assert not same_bits(back, found)


def test_buffers_and_shared_memory_come_back(tmp_path: Path) -> None:
    mixture = DeepseekV3Config(
        vocab_size=len(TOKENIZER), hidden_size=32, intermediate_size=32, moe_intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, n_group=1,
        topk_group=1, first_k_dense_replace=0, kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4,
        v_head_dim=8, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    found = BradleyTerry(load_encoder(mixture, TOKENIZER)).eval()
    corrections = [b for name, b in found.named_buffers() if name.endswith("e_score_correction_bias")]
    assert corrections
    for buffer in corrections:
        buffer.copy_(torch.tensor([3.0, -3.0, 2.0, -2.0]))
    first, second = (layer.input_layernorm.weight for layer in found.encoder.body.layers)
    second.data = first.data
    save_model(found, tmp_path)
    assert same_bits(load_model(tmp_path), found)


def test_adapters_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    adapted = load_policy(config(), lora=LoraOptions(rank=2, targets=("c_attn",))).model
    found = BradleyTerry(TextEncoder(adapted, TOKENIZER))
    with pytest.raises(BadInput, match=r"model\.encoder has other weights than its configuration .*c_attn"):
        save_model(found, tmp_path / "model")
    assert not list(tmp_path.iterdir())
    merged = BradleyTerry(TextEncoder(adapted.merge_and_unload(), TOKENIZER))
    save_model(merged, tmp_path / "model")
    assert same_bits(load_model(tmp_path / "model"), merged)


def test_what_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no readable preference model"):
        load_model(tmp_path)
    save_model(model("bradley-terry"), tmp_path)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(BadInput, match="holds no readable preference model"):
        load_model(tmp_path)


LIMITS: dict[str, Any] = {"max_prompt": 9, "max_answer": 9, "mixed_precision": False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "Expecting"),
        ("[]", "must have a kind, settings and an encoder's settings"),
        ({"kind": ...}, "must have a kind, settings and an encoder's settings"),
        ({"kind": 3}, "must have a kind, settings and an encoder's settings"),
        ({"kind": "skew"}, "kind = 'skew', must be one of .*did you mean 'skew-embedding'"),
        ({"settings": {}}, "must have {'rank': 16"),
        ({"settings": {"rank": 2.0}}, "rank = 2.0, must be a whole number"),
        ({"settings": {"rank": 6}}, "first differences: form, head.bias, head.weight"),
        ({"settings": {"rang": 4}}, "unexpected keyword argument 'rang'"),
        ({"encoder": {}}, "must have .*'max_prompt': 384"),
        ({"encoder": LIMITS | {"max_prompt": "9"}}, "max_prompt = '9', must be a whole"),
        ({"encoder": LIMITS | {"max_answer": -1}}, "max_answer = -1, must be a whole"),
        ({"encoder": LIMITS | {"mixed_precision": None}}, "mixed_precision = None, must be true"),
    ],
)  # fmt: skip
def test_a_damaged_description_is_refused(change: str | dict[str, Any], message: str, tmp_path: Path) -> None:
    save_model(SkewEmbedding(encoder(), rank=4), tmp_path)
    path = tmp_path / "preference.json"
    if isinstance(change, dict):
        about = json.loads(path.read_text()) | change
        change = json.dumps({name: value for name, value in about.items() if value is not ...})
    path.write_text(change)
    with pytest.raises(BadInput, match=f"holds no readable preference model .*{message}"):
        load_model(tmp_path)


def test_a_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    save_model(model("bradley-terry"), tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    for load in (lambda: load_model(tmp_path), lambda: load_encoder(config(), tmp_path)):
        with pytest.raises(BadInput, match=r"tokenizer of .* cannot be read"):
            load()


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tokenizer is missing"):
        load_encoder(config())
    with pytest.raises(BadInput, match="is neither a folder nor a hub name"):
        load_encoder("./nowhere")
    with pytest.raises(BadInput, match="cannot be read as a folder"):
        load_encoder(tmp_path)


def test_an_encoder_is_read_from_a_folder(tmp_path: Path) -> None:
    found = encoder("llama")
    found.body.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    back = load_encoder(tmp_path)
    with torch.no_grad():
        assert torch.equal(back.eval()([("red", "answer0")]), found.eval()([("red", "answer0")]))


@pytest.fixture
def foreign_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose model, configuration and tokenizer are code of its own, at a keyboard that says yes to all."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    code = f"""
        from pathlib import Path
        from transformers import BertConfig, BertModel
        Path({str(tmp_path / "ran")!r}).touch()
        class ForeignConfig(BertConfig):
            model_type = "foreign"
        class Foreign(BertModel):
            config_class = ForeignConfig
    """
    (folder / "code.py").write_text(textwrap.dedent(code))
    places = {"AutoConfig": "code.ForeignConfig", "AutoModel": "code.Foreign"}
    (folder / "config.json").write_text(json.dumps({"model_type": "foreign", "auto_map": places}))
    about = {"tokenizer_class": "Foreign", "auto_map": {"AutoTokenizer": ["code.Foreign", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda question="": "y")
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


def test_no_code_of_a_folder_is_run(foreign_code: Path, tmp_path: Path) -> None:
    description = {"kind": "bradley-terry", "settings": {}, "encoder": LIMITS}
    (foreign_code / "preference.json").write_text(json.dumps(description))
    save_file({"head.weight": torch.zeros(1, 1)}, foreign_code / "weights.safetensors")
    loads: list[Callable[[], Any]] = [
        lambda: load_encoder(foreign_code, TOKENIZER),
        lambda: load_encoder(config(), foreign_code),
        lambda: load_model(foreign_code),
    ]
    for load in loads:
        with pytest.raises(BadInput):
            load()
        assert not (tmp_path / "ran").exists()
    # the canary: the code is such that transformers runs it where it may
    AutoConfig.from_pretrained(foreign_code)
    assert (tmp_path / "ran").exists()


@EACH_FAMILY
def test_a_folder_without_a_tokenizer_is_refused(family: str, tmp_path: Path) -> None:
    AutoModel.from_config(config(family)).save_pretrained(tmp_path)
    for load in (lambda: load_encoder(tmp_path), lambda: load_encoder(config(), tmp_path)):
        with pytest.raises(BadInput, match=r"tokenizer of .* (is missing|cannot be read)"):
            load()
    assert load_encoder(tmp_path, TOKENIZER).width == 32


def test_a_tokenizer_without_words_is_refused(tmp_path: Path) -> None:
    """transformers makes one of these where a family's vocabulary is missing: every text would look the same."""
    for family in ("gpt2", "bert", "t5"):
        config(family).save_pretrained(tmp_path)
        with pytest.raises(BadInput, match="tokenizer has no vocabulary"):
            load_encoder(config(), AutoTokenizer.from_pretrained(tmp_path))


def test_an_encoder_without_all_of_its_weights_is_refused(tmp_path: Path) -> None:
    encoder("bert").body.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")

    def keep(unwanted: str) -> None:
        left = {name: value for name, value in weights.items() if unwanted not in name}
        assert len(left) < len(weights)
        save_file(left, tmp_path / "model.safetensors", {"format": "pt"})

    keep("layer.1.")
    with pytest.raises(BadInput, match=r"lacks the weights \['encoder\.layer\.1\."):
        load_encoder(tmp_path, TOKENIZER)
    keep("pooler")  # which is not read: many checkpoints have none
    one, other = load_encoder(tmp_path, TOKENIZER), load_encoder(tmp_path, TOKENIZER)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("damage", ["weights", "shape", "activation"])
def test_a_damaged_encoder_is_refused(damage: str, tmp_path: Path) -> None:
    encoder().body.save_pretrained(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text())
    match damage:
        case "weights":
            (tmp_path / "model.safetensors").write_bytes(b"xx")
        case "shape":
            about["n_embd"] = 16
        case "activation":
            about["activation_function"] = "none such"
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(BadInput, match="cannot be read as a folder"):
        load_encoder(tmp_path, TOKENIZER)

"""Loading policies: from folders and names, what is refused, and what reading leaves as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bridge.naive import EXACT, gradients
from bridge.tiny import EOS, FAMILIES, PAD, completions, prompts, tiny_config, tiny_policy
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GPT2Config,
    MixtralConfig,
    PretrainedConfig,
    T5GemmaConfig,
)

from llm_bridge.policy import LoraOptions, Policy, encoded, load_policy, pad_left, pad_right, sample, seeded
from llm_bridge.policy.loading import _without_dropout
from nashlab.game import BadInput

torch.set_num_threads(1)

EACH = pytest.mark.parametrize("family", FAMILIES)


@EACH
def test_a_folder_gives_back_the_policy_that_was_saved(family: str, tmp_path: Path) -> None:
    policy, prompt, completion = tiny_policy(family, dtype=torch.float32), prompts(), completions()
    policy.model.save_pretrained(tmp_path)
    again = load_policy(tmp_path)
    assert torch.equal(again.log_prob(prompt, completion), policy.log_prob(prompt, completion))
    assert again.eos_id == EOS
    assert again.tokenizer is None


def test_random_weights_follow_the_seed_and_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    options = LoraOptions(rank=2)
    one, two, other = (load_policy(tiny_config("llama"), lora=options, seed=s) for s in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    flat = [torch.cat([p.flatten() for p in policy.model.parameters()]) for policy in (one, two, other)]
    assert torch.equal(flat[0], flat[1])
    assert not torch.equal(flat[0], flat[2])


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_dropout_is_switched_off_so_that_a_policy_is_one_distribution(family: str) -> None:
    config = tiny_config(family)
    policy, prompt, completion = load_policy(config), prompts(), completions()
    policy.model.train()
    values = [policy.log_prob(prompt, completion) for _ in range(3)]
    assert torch.equal(values[0], values[1])
    kind = AutoModelForSeq2SeqLM if policy.is_encoder_decoder else AutoModelForCausalLM
    with_dropout = Policy(kind.from_config(config).train())
    assert not torch.equal(with_dropout.log_prob(prompt, completion), with_dropout.log_prob(prompt, completion))


def test_noise_is_switched_off_wherever_a_configuration_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = T5GemmaConfig(dropout_rate=0.3, attention_dropout=0.3, router_jitter_noise=0.3)  # in its parts too
    quiet = _without_dropout(parts)
    assert (quiet.encoder.dropout_rate, quiet.decoder.attention_dropout, quiet.router_jitter_noise) == (0, 0, 0)
    assert parts.encoder.dropout_rate == 0.3  # ours is a copy

    def spread() -> float:
        config = MixtralConfig(vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                               num_key_value_heads=1, intermediate_size=24, router_jitter_noise=0.5,
                               eos_token_id=EOS)  # fmt: skip
        policy = load_policy(config)
        assert policy.model.training
        with seeded(0):
            values = [policy.log_prob(prompts(), completions()) for _ in range(2)]
        return float((values[0] - values[1]).detach().abs().max())

    assert spread() == 0
    monkeypatch.setattr("llm_bridge.policy.loading._without_dropout", lambda config: config)
    assert spread() > 1e-6


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_layers_of_a_loaded_model_are_recomputed_and_nothing_else_changes(family: str, tmp_path: Path) -> None:
    tiny_policy(family).model.save_pretrained(tmp_path)
    found, calls = [], []
    for again in (False, True):
        policy = load_policy(tmp_path, gradient_checkpointing=again)
        base = policy.model.base_model
        layer = (base.h if family == "gpt2" else base.layers)[0]
        count: list[int] = []
        layer.mlp.register_forward_pre_hook(lambda *arguments, count=count: count.append(1))
        values = policy.log_prob(prompts(), completions())
        found.append([values.detach(), *gradients(policy, values)])
        calls.append(len(count))
    assert calls == [1, 2]
    assert max(float((a - b).abs().max()) for a, b in zip(*found, strict=True)) <= EXACT


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    policy = tiny_policy("gpt2", dtype=torch.float32)
    policy.model.config.save_pretrained(tmp_path)
    torch.save(policy.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(BadInput, match="cannot be read as a folder: "):
        load_policy(tmp_path)


@pytest.mark.parametrize("damage", ["cut off", "no safetensors", "other shapes"])
def test_damaged_weights_are_refused(damage: str, tmp_path: Path) -> None:
    tiny_policy("llama", dtype=torch.float32).model.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    if damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "no safetensors":
        weights.write_bytes(b"\xff" * 100)
    else:
        tiny_config("llama", intermediate_size=32).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match=r"source = .* cannot be read as a folder: ") as caught:
        load_policy(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"rank": 0}, {"alpha": 0}, {"dropout": 2.0}, {"dropout": -0.1}])
def test_impossible_adapters_are_refused(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(BadInput, match=f"{name} = {value}, must be"):
        LoraOptions(**options)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
@pytest.mark.parametrize("way", ["pissa", "olora", "gaussian"])
def test_adapters_that_changed_the_weights_cannot_be_switched_off(way: Any) -> None:
    from peft import LoraConfig, get_peft_model

    plain, prompt, completion = tiny_policy("llama", dtype=torch.float32), prompts(), completions()
    before = plain.log_prob(prompt, completion).detach()
    model = plain.copied().model
    policy = Policy(get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=way)))
    if way == "gaussian":
        found = policy.reference("adapters-off").log_prob(prompt, completion)
    else:
        with pytest.raises(BadInput, match=f"init_lora_weights = '{way}' has changed the weights; must be 'copy'"):
            policy.reference("adapters-off")
        assert policy.reference().kind == "copy"
        found = policy.reference("copy").log_prob(prompt, completion)
    # a dozen terms of size 1 to 10, of weights that were split and added up again in float32
    assert float((found - before).abs().max()) <= 1e-4


def test_incomplete_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tiny_policy("llama", dtype=torch.float32).model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"lacks the weights \['model.norm.weight'\]"):
        load_policy(tmp_path)


@pytest.mark.parametrize("part", ["model", "tokenizer", "configuration"])
def test_code_of_a_folder_is_not_run_even_if_somebody_would_agree(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks whether it may where it is not told: here everybody says yes."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("builtins.input", lambda *question: "y")
    folder, marker = tmp_path / "folder", tmp_path / "marker"
    folder.mkdir()
    names = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (folder / "config.json").write_text(json.dumps({"model_type": "nowhere", "auto_map": names}))
    mapped = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["code.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(mapped))
    (folder / "code.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\n")
    mapped_config = PretrainedConfig(auto_map={"AutoModelForCausalLM": f"{folder}--code.Model"})
    source = {"model": folder, "tokenizer": tiny_config("gpt2"), "configuration": mapped_config}[part]
    with pytest.raises(BadInput, match=r"trust_remote_code|custom code"):
        load_policy(source, tokenizer=folder if part == "tokenizer" else None)
    assert not marker.exists()


@pytest.mark.parametrize("source", ["./nowhere/at/all", "no-such-model", "/nowhere", "a/b/c"])
def test_what_is_neither_folder_nor_hub_name_never_reaches_the_network(source: str) -> None:
    with pytest.raises(BadInput, match="is neither a folder nor a hub name"):
        load_policy(source)


@pytest.mark.parametrize("source", ["hub:nobody/nothing", "nobody/nothing"])
def test_without_a_network_a_hub_name_fails_in_one_line(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="cannot be read as a hub name") as caught:
        load_policy(source)
    assert "\n" not in str(caught.value)


def test_tokens_and_lengths_that_a_model_has_no_room_for_are_refused() -> None:
    shape = {"vocab_size": 50, "n_embd": 8, "n_layer": 1, "n_head": 1, "n_positions": 16}
    for name, given in (("eos_id", {"eos_token_id": 50}), ("pad_id", {"eos_token_id": 0, "pad_token_id": 51})):
        with pytest.raises(BadInput, match=rf"{name} = 5\d, must be one of the model's 50 tokens"):
            load_policy(GPT2Config(bos_token_id=0, **shape, **given))
    policy, prompt = load_policy(GPT2Config(bos_token_id=0, eos_token_id=0, **shape)), pad_left([[1, 2], [3]])
    with pytest.raises(BadInput, match="a row has 17 tokens to read, must have at most the model's 16 positions"):
        sample(policy, prompt, max_new_tokens=16)
    full = sample(policy, prompt, max_new_tokens=15, min_new_tokens=15)  # the last token is not read
    assert full.mask.all()
    assert torch.isfinite(policy.log_prob(prompt, full)).all()


def test_trained_adapters_come_back_from_their_folder(tmp_path: Path) -> None:
    tiny_policy("gpt2").model.save_pretrained(tmp_path / "base")
    policy = load_policy(tmp_path / "base", lora=LoraOptions(rank=2))
    with torch.no_grad():
        for p in policy.model.parameters():
            if p.requires_grad:
                p.add_(0.1)
    policy.model.save_pretrained(tmp_path / "adapters")
    back, prompt = load_policy(tmp_path / "adapters"), prompts(rows=3)
    completion = pad_right([[3, EOS], [1, 2, EOS], [EOS]], PAD)
    with torch.no_grad():
        assert torch.equal(back.log_prob(prompt, completion), policy.log_prob(prompt, completion))
        off = back.reference("adapters-off").log_prob(prompt, completion)
        assert torch.equal(off, load_policy(tmp_path / "base").log_prob(prompt, completion))
        assert (off - back.log_prob(prompt, completion)).abs().max() > 1e-3  # canary: the adapters are at work
    assert [p.requires_grad for p in back.model.parameters()] == [p.requires_grad for p in policy.model.parameters()]
    with pytest.raises(BadInput, match=r"must be omitted: .* has adapters already"):
        load_policy(tmp_path / "adapters", lora=LoraOptions(rank=2))
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=r"has adapters of .*base', must be an existing folder or a hub name"):
        load_policy(tmp_path / "adapters")


def test_prompts_begin_as_their_tokenizer_begins_texts() -> None:
    """Once, and not where it does not; a chat template may bring the beginning itself."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "?": 2, "a": 3, "b": 4}
    for opened in (True, False):
        raw = Tokenizer(models.WordLevel(words, unk_token="?"))
        raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        if opened:
            raw.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
        policy = tiny_policy("llama")
        policy.tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="?", pad_token="</s>"
        )
        assert encoded(policy, ["a b", "b"]).rows == ([[0, 3, 4], [0, 4]] if opened else [[3, 4], [4]])
        assert encoded(policy, ["a b"], max_tokens=2).rows == ([[0, 3]] if opened else [[3, 4]])
        assert encoded(policy, []).rows == []
        policy.tokenizer.chat_template = "<s> {{ messages[0]['content'] }} b"
        assert encoded(policy, ["a"]).rows == [[0, 3, 4]]


def test_random_numbers_of_a_seed_leave_the_global_ones_as_they_were() -> None:
    before = torch.get_rng_state()
    with seeded(7):
        first = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(7):
        assert torch.equal(torch.rand(4), first)
    with pytest.raises(RuntimeError, match="-4"), seeded(7):  # after a failure too
        torch.rand(-4)
    assert torch.equal(torch.get_rng_state(), before)


def test_importing_the_package_loads_no_torch() -> None:
    command = "import sys, llm_bridge; print(llm_bridge.__version__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"

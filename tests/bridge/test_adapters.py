"""Adapters and references: what a loaded adapter starts from, where its base is found, quantised bases."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_bridge.judges import OneOrder
from llm_bridge.policy import LoraOptions, Policy, Prompts, check_reference, load_policy, pad_right, save_policy
from llm_bridge.training import Generated, Settings, train
from nashlab.game import BadInput

sys.path.insert(0, str(Path(__file__).parent))
from tiny import EOS, PAD, prompts, tiny_policy

COMPLETION = pad_right([[3, EOS], [1, 2, EOS], [EOS]], PAD)
SETTINGS = Settings(steps=1, batch=2, learning_rate=1e-3)


def moved(policy: Policy) -> Policy:
    """The policy after a step of all that is trained."""
    with torch.no_grad():
        for p in policy.model.parameters():
            if p.requires_grad:
                p.add_(0.1)
    return policy


def saved(tmp_path: Path, base: str = "base", name: str = "adapters") -> Path:
    """Fine-tuned adapters in one folder, and the base that they name in another."""
    tiny_policy("llama", dtype=torch.float32).model.save_pretrained(tmp_path / "base")
    policy = moved(load_policy(tmp_path / "base", lora=LoraOptions(rank=2)))
    policy.model.save_pretrained(tmp_path / name)
    file = tmp_path / name / "adapter_config.json"
    told = json.loads(file.read_text()) | {"base_model_name_or_path": base}
    file.write_text(json.dumps(told))
    return tmp_path / name


def values(policy: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = policy.log_prob(prompts(), COMPLETION)
    return found


def test_the_default_reference_of_a_loaded_adapter_is_the_policy_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(tmp_path, str(tmp_path / "base"))
    policy = load_policy(tmp_path / "adapters")
    with caplog.at_level(logging.INFO, "llm_bridge"):
        reference = policy.reference()
    assert reference.kind == "copy"
    assert "the reference is the policy as it is now, adapters included (kind = 'copy')" in caplog.text
    assert torch.equal(values(reference), values(policy))
    with caplog.at_level(logging.INFO, "llm_bridge"):
        off = policy.reference("adapters-off")
    assert off.kind == "adapters-off"
    assert "without its adapters (kind = 'adapters-off')" in caplog.text
    assert float((values(off) - values(policy)).abs().max()) > 1e-2  # canary: another reference
    check_reference(policy, reference)
    before = values(policy)
    moved(policy)
    assert torch.equal(values(reference), before)
    assert float((values(policy) - before).abs().max()) > 1e-2


def test_the_first_step_of_a_loaded_adapter_has_no_divergence(tmp_path: Path) -> None:
    saved(tmp_path, str(tmp_path / "base"))
    source = Generated(Prompts(["a", "b"], [[2, 3], [5]]), OneOrder(lambda x, y, z: [0.5] * len(x)), max_new_tokens=4)
    policy = load_policy(tmp_path / "adapters")
    assert train(policy, "online-ipo", source, SETTINGS)[0]["kl"] == pytest.approx(0, abs=1e-6)
    again = load_policy(tmp_path / "adapters")
    off = again.reference("adapters-off")
    assert abs(train(again, "online-ipo", source, SETTINGS, reference=off)[0]["kl"]) > 1e-3  # what it was before


def test_a_copy_holds_what_is_not_trained_once(tmp_path: Path) -> None:
    saved(tmp_path, str(tmp_path / "base"))
    policy = load_policy(tmp_path / "adapters")
    ours, theirs = (dict(p.model.named_parameters()) for p in (policy, policy.reference().policy))
    shared = {name for name in ours if ours[name] is theirs[name]}
    assert shared == {name for name, p in ours.items() if not p.requires_grad}
    assert shared
    full = tiny_policy("llama")
    ours, theirs = (dict(p.model.named_parameters()) for p in (full, full.reference().policy))
    assert not any(ours[name] is theirs[name] for name in ours)


@pytest.mark.parametrize("lora", [{}, {"use_dora": True}, {"bias": "lora_only"}, {"modules_to_save": ["lm_head"]}])
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*lm_head.*:UserWarning")
def test_only_adapters_that_change_nothing_yet_are_switched_off_by_default(lora: dict[str, Any]) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_policy("llama").model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], **lora))
    policy = Policy(model)
    reference = policy.reference()
    assert reference.kind == ("copy" if {"use_dora", "modules_to_save"} & lora.keys() else "adapters-off")
    assert float((values(reference) - values(policy)).abs().max()) < 1e-9
    assert moved(policy).reference().kind == "copy"
    assert torch.equal(values(policy.reference()), values(policy))


@pytest.mark.parametrize("named", ["base", "./base", "models/../base", "runs/base"])
def test_a_relative_base_is_found_from_any_folder(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved by a process in one folder, loaded by one in another."""
    folder = saved(tmp_path, named, "runs/adapters" if named == "runs/base" else "adapters")
    (tmp_path / "models").mkdir()
    if named == "runs/base":
        shutil.copytree(tmp_path / "base", tmp_path / "runs" / "base")
    expected = values(load_policy(folder, base=tmp_path / "base"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert torch.equal(values(load_policy(folder)), expected)
    assert torch.equal(values(load_policy(os.path.relpath(folder))), expected)


@pytest.mark.parametrize("given", [False, True])
def test_adapters_saved_in_another_folder_find_their_base(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base was named relative to the old folder, or by hand; there is another model where that path leads now."""
    folder = saved(tmp_path, "../base", "runs/adapters")
    loaded = load_policy(folder, base=tmp_path / "base" if given else None)
    new = tmp_path / "results" / "deep" / "adapters"
    save_policy(loaded, new)
    shutil.copytree(tmp_path / "base", tmp_path / "results" / "deep" / "base")
    other = load_policy(tmp_path / "base", seed=5)
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.add_(1.0)
    save_policy(other, tmp_path / "results" / "deep" / "base")
    monkeypatch.chdir(tmp_path / "results")
    assert torch.equal(values(load_policy(new)), values(loaded))


def test_a_base_that_was_moved_is_given_by_hand(tmp_path: Path) -> None:
    folder = saved(tmp_path, str(tmp_path / "base"))
    expected = values(load_policy(folder))
    (tmp_path / "base").rename(tmp_path / "moved")
    with pytest.raises(BadInput, match=r"has adapters of .*base', must be an existing folder .* location as base"):
        load_policy(folder)
    assert torch.equal(values(load_policy(folder, base=tmp_path / "moved")), expected)
    with pytest.raises(BadInput, match=r"base = .* is for adapters, which source does not have"):
        load_policy(tmp_path / "moved", base=tmp_path / "moved")
    tiny_policy("llama", vocab=9, hidden_size=24, dtype=torch.float32).model.save_pretrained(tmp_path / "other")
    with pytest.raises(BadInput, match=r"its adapters do not fit .*other"):
        load_policy(folder, base=tmp_path / "other")


def in_hub_cache(cache: Path, name: str, folder: Path) -> None:
    """A folder as the hub's client keeps what it has fetched."""
    kept = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, kept / "snapshots" / "0")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0")


def test_adapters_of_a_hub_base_and_adapters_on_the_hub_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of the cache of the hub's client: there is no network here."""
    folder, cache = saved(tmp_path, "owner/base"), tmp_path / "cache"
    expected = values(load_policy(folder, base=tmp_path / "base"))
    in_hub_cache(cache, "owner/base", tmp_path / "base")
    in_hub_cache(cache, "owner/adapters", folder)
    shutil.rmtree(tmp_path / "base")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for place in ("huggingface_hub.constants.HF_HUB_CACHE", "transformers.utils.hub.constants.HF_HUB_CACHE"):
        monkeypatch.setattr(place, str(cache))
    monkeypatch.chdir(cache)
    assert torch.equal(values(load_policy(folder)), expected)
    assert torch.equal(values(load_policy("owner/adapters")), expected)


def test_quantised_bases_are_refused_by_name_where_they_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, str(tmp_path / "base"))
    with pytest.raises(BadInput, match=r"quantised = '3bit', must be one of .*did you mean '[48]bit'"):
        load_policy(tmp_path / "base", quantised="3bit")
    with pytest.raises(BadInput, match="quantised = '4bit' is for weights of a folder or the hub"):
        load_policy(tiny_policy("llama").model.config, quantised="4bit")
    monkeypatch.setattr("llm_bridge.policy.loading.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="quantised = '8bit' needs the package bitsandbytes"):
        load_policy(tmp_path / "base", quantised="8bit")


@pytest.mark.parametrize("kind", ["4bit", "8bit"])
@pytest.mark.filterwarnings("ignore")
def test_adapters_on_a_quantised_base_are_trained_and_come_back(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    shape = {"hidden_size": 64, "intermediate_size": 64, "vocab": 64, "size": 0.05}
    tiny_policy("llama", dtype=torch.float32, **shape).model.save_pretrained(tmp_path / "base")
    plain = load_policy(tmp_path / "base")
    policy = load_policy(tmp_path / "base", quantised=kind, lora=LoraOptions(rank=2), dtype=torch.float32)
    assert 0 < float((values(policy) - values(plain)).abs().max()) < 0.5
    source = Generated(Prompts(["a", "b"], [[2, 3], [5]]), OneOrder(lambda x, y, z: [1.0] * len(x)), max_new_tokens=4)
    record = train(policy, "online-ipo", source, SETTINGS)[0]
    # int8 rounds what goes into a product as well, and not the same way with and without a gradient
    assert record["kl"] == pytest.approx(0, abs=1e-5 if kind == "4bit" else 1e-2)
    policy.model.save_pretrained(tmp_path / "adapters")
    back = load_policy(tmp_path / "adapters", quantised=kind, dtype=torch.float32)
    assert torch.allclose(values(back), values(policy), rtol=0, atol=1e-5)
    assert all(p.requires_grad == ("lora" in name) for name, p in back.model.named_parameters())
    with pytest.raises(BadInput, match="no weight has requires_grad"):
        train(load_policy(tmp_path / "base", quantised=kind), "online-ipo", source, SETTINGS)

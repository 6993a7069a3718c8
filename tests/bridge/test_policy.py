"""Policies: summed log-probabilities against the model's own logits, references that stay, loading."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from bridge.naive import naive_log_prob
from bridge.tiny import EOS, FAMILIES, PAD, prompts, tiny_config, tiny_policy
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BertConfig,
    BertGenerationConfig,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaForCausalLM,
    MambaConfig,
    MixtralConfig,
    MptConfig,
    OpenAIGPTConfig,
    PhiConfig,
    PretrainedConfig,
    RecurrentGemmaConfig,
    RobertaConfig,
    RwkvConfig,
    SwitchTransformersConfig,
    T5GemmaConfig,
    TrOCRConfig,
    XLNetConfig,
)

from llm_bridge.policy import (
    LoraOptions,
    Policy,
    Reference,
    Tokens,
    check_reference,
    encoded,
    load_policy,
    pad_left,
    pad_right,
    sample,
    seeded,
)
from llm_bridge.policy.loading import _without_dropout
from nashlab.game import BadInput

torch.set_num_threads(1)

EACH = pytest.mark.parametrize("family", FAMILIES)
ADAPTERS = pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])

# sums of a dozen float64 terms of size 1 to 10, in another order
EXACT = 1e-12


def completions() -> Tokens:
    """Completions of 3, 1 and 5 tokens; two end with end-of-sequence, the last is cut off."""
    return pad_right([[3, 4, EOS], [EOS], [2, 6, 6, PAD, 5]], PAD)


def gradients(policy: Policy, values: Tensor) -> list[Tensor]:
    """∂(Σ_i c_i values_i)/∂θ for every trainable weight, with different c_i."""
    weights = torch.arange(1, len(values) + 1, dtype=values.dtype)
    trainable = [p for p in policy.model.parameters() if p.requires_grad]
    found = torch.autograd.grad((weights * values).sum(), trainable, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(trainable, found, strict=True)]


def error_against_naive(policy: Policy, values: Tensor, prompt: Tokens, completion: Tokens) -> float:
    """The worst relative error of values and gradients."""
    truth = naive_log_prob(policy, prompt, completion)
    slopes = zip(gradients(policy, values), gradients(policy, truth), strict=True)
    pairs = [(values.detach(), truth.detach()), *slopes]
    return max(float((a - b).abs().max() / (1 + b.abs().max())) for a, b in pairs)


@EACH
@ADAPTERS
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("padded", [False, True], ids=["", "padded"])
def test_log_prob_and_its_gradient_equal_the_naive_ones(
    family: str, lora: bool, checkpointing: bool, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_bridge.policy.policy.CHUNK_ELEMENTS", 14)  # two positions a chunk
    policy = tiny_policy(family, lora=lora, gradient_checkpointing=checkpointing)
    policy.model.train()
    assert policy.chunked
    prompt, completion = prompts(padded=padded), completions()
    values = policy.log_prob(prompt, completion)
    assert values.dtype == torch.float64
    assert error_against_naive(policy, values, prompt, completion) <= EXACT


@EACH
def test_the_head_sees_counted_positions_only_a_chunk_at_a_time(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_bridge.policy.policy.CHUNK_ELEMENTS", 14)
    policy, sizes = tiny_policy(family), []
    head = policy.model.get_output_embeddings()
    head.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].shape[:-1].numel()))
    completion = completions()
    values = policy.log_prob(prompts(), completion)
    assert sizes == [2, 2, 2, 2, 1]
    assert sum(sizes) == int(completion.mask.sum())
    values.sum().backward()
    assert sorted(sizes) == sorted([2, 2, 2, 2, 1] * 2)  # once more each in the backward pass


@EACH
def test_canaries_the_check_catches_the_field_s_faults(family: str) -> None:
    policy, prompt, completion = tiny_policy(family), prompts(), completions()
    per_token = policy.token_log_probs(prompt, completion)
    averaged = per_token.sum(1) / completion.mask.sum(1)
    all_counted = policy.log_prob(prompt, Tokens(completion.ids, torch.ones_like(completion.mask)))
    without_end = policy.log_prob(prompt, Tokens(completion.ids, completion.mask & (completion.ids != EOS)))
    other_temperature = policy.log_prob(prompt, completion, temperature=0.9)
    shifted = torch.roll(per_token, 1, dims=0).sum(1)
    for broken in (averaged, all_counted, without_end, other_temperature, shifted):
        assert error_against_naive(policy, broken, prompt, completion) > 1e-2
    prompt_padding = Tokens(prompt.ids, torch.ones_like(prompt.mask))
    counted = policy.log_prob(prompt_padding, completion)
    assert error_against_naive(policy, counted, prompt, completion) > 1e-2


@EACH
def test_token_log_probs_are_zero_on_padding_and_tempered(family: str) -> None:
    policy, prompt, completion = tiny_policy(family), prompts(), completions()
    cold = policy.token_log_probs(prompt, completion, temperature=0.5)
    assert cold.shape == completion.ids.shape
    assert bool((cold[~completion.mask] == 0).all())
    whole = (policy.logits(prompt, completion) / 0.5).log_softmax(dim=-1)
    chosen = whole.gather(2, completion.ids.unsqueeze(2)).squeeze(2)
    assert float((cold - chosen).detach()[completion.mask].abs().max()) <= EXACT


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.2)])
def test_lower_precision_sums_in_float32(dtype: torch.dtype, near: float) -> None:
    exact, prompt, completion = tiny_policy("llama"), prompts(), completions()
    policy = Policy(exact.frozen_copy().model.to(dtype))
    found = policy.log_prob(prompt, completion)
    assert found.dtype == torch.float32
    # five tokens, each off by the rounding of logits of size 10: 5 x 10 x 2^-24 and 5 x 10 x 2^-9
    assert float((found - exact.log_prob(prompt, completion)).detach().abs().max()) <= near


SHAPE = {"vocab_size": 7, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
         "eos_token_id": EOS, "pad_token_id": PAD, "bos_token_id": None}  # fmt: skip
OTHER_FAMILIES = {
    "soft cap": Gemma2Config(**SHAPE, num_key_value_heads=2, head_dim=4, final_logit_softcapping=2.0),
    "logits multiplied": CohereConfig(**SHAPE, num_key_value_heads=2, logit_scale=0.3),
    "logits divided": GraniteConfig(**SHAPE, num_key_value_heads=2, logits_scaling=3.0),
    "bias in the head": PhiConfig(**SHAPE),
    "bias after the head": BartConfig(vocab_size=7, d_model=16, encoder_layers=1, decoder_layers=1, eos_token_id=EOS,
                                      encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
                                      decoder_ffn_dim=16, pad_token_id=PAD, decoder_start_token_id=EOS,
                                      bos_token_id=None, forced_eos_token_id=None),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHER_FAMILIES)
def test_what_families_do_to_their_logits_is_done(what: str) -> None:
    policy = load_policy(OTHER_FAMILIES[what], dtype=torch.float64)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
        if hasattr(policy.model, "final_logits_bias"):
            policy.model.final_logits_bias.copy_(torch.linspace(-1, 1, 7))
    assert policy.chunked
    # Gemma's attention and padding do not go together in float64; some of the others have norms in float32
    prompt, completion = prompts(padded=what != "soft cap"), completions()
    assert error_against_naive(policy, policy.log_prob(prompt, completion), prompt, completion) <= 1e-6


def test_padding_that_would_make_nan_is_refused() -> None:
    policy = tiny_policy("llama", attn_implementation="eager")
    assert bool(policy.log_prob(prompts(padded=False), completions()).isfinite().all())
    with pytest.raises(BadInput, match="eager attention in float64 makes NaN"):
        policy.log_prob(prompts(), completions())


def finite_difference_error(policy: Policy) -> float:
    """Central difference against autograd along a random direction of all embeddings, the padding token's too."""
    prompt, completion = prompts(padded=False), completions()
    weight = policy.model.get_input_embeddings().weight
    (slope,) = torch.autograd.grad(policy.log_prob(prompt, completion).sum(), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)).to(weight)
    sides = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight += step * direction
            sides.append(policy.log_prob(prompt, completion).sum())
            weight -= step * direction
    return float(abs((sides[0] - sides[1]) / 2e-6 - (slope * direction).sum()))


@EACH
def test_float64_is_float64_all_the_way_down(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # central differences at 1e-6: truncation 1e-12 times a third derivative of 1e4, rounding 1e-15 x 30 / 1e-6
    assert finite_difference_error(tiny_policy(family)) <= 1e-7
    if family != "gpt2":  # whose norms need no widening
        monkeypatch.setattr("llm_bridge.policy.loading._widen_norms", lambda model: None)
        assert finite_difference_error(tiny_policy(family)) > 1e-3


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_canary_a_padding_token_that_is_never_trained_is_noticed(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_bridge.policy.loading._train_every_embedding", lambda model: None)
    assert finite_difference_error(tiny_policy(family)) > 1e-2


class Peculiar(LlamaForCausalLM):
    """A model whose logits are bent after the head in a way that no configuration tells."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        output.logits = output.logits + 0.1 * torch.sin(output.logits)
        return output


def test_an_unknown_head_is_noticed_and_the_model_s_own_forward_used() -> None:
    model = Peculiar(tiny_config("llama")).double()
    with pytest.warns(RuntimeWarning, match="Peculiar treats its logits"):
        policy = Policy(model)
    assert not policy.chunked
    prompt, completion = prompts(), completions()
    # this model has been loaded by nobody: its norms are in float32
    assert error_against_naive(policy, policy.log_prob(prompt, completion), prompt, completion) <= 1e-6
    policy.forward.chunked = True  # what would have come out without the check
    assert error_against_naive(policy, policy.log_prob(prompt, completion), prompt, completion) > 1e-4


ENCODER = {"vocab_size": 9, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "eos_token_id": 2,
           "intermediate_size": 24, "max_position_embeddings": 32, "pad_token_id": 1, "bos_token_id": 0}  # fmt: skip
NO_POLICIES = {
    "BERT is an encoder": (BertConfig(**ENCODER), "must be causal"),
    "so is its generator": (BertGenerationConfig(**ENCODER), "must be causal"),
    "XLNet reads both ways": (XLNetConfig(vocab_size=9, d_model=16, n_layer=2, n_head=2, d_inner=24, eos_token_id=2,
                                          pad_token_id=1), "must be causal"),
    "RWKV reads padding": (RwkvConfig(vocab_size=9, hidden_size=16, attention_hidden_size=16, num_hidden_layers=2,
                                      intermediate_size=24, eos_token_id=0), "must heed attention_mask"),
    "RecurrentGemma too": (RecurrentGemmaConfig(vocab_size=9, hidden_size=16, num_hidden_layers=3, lru_width=16,
                                                num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                                                intermediate_size=24, attention_window_size=8, bos_token_id=0,
                                                pad_token_id=0, eos_token_id=1), "must heed attention_mask"),
    "TrOCR counts padding": (TrOCRConfig(vocab_size=9, d_model=16, decoder_layers=2, decoder_attention_heads=2,
                                         decoder_ffn_dim=24, eos_token_id=2, pad_token_id=1),
                             "must heed attention_mask"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*treats its logits:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning")
@pytest.mark.parametrize("why", NO_POLICIES)
def test_what_would_be_another_distribution_is_refused(why: str) -> None:
    config, rule = NO_POLICIES[why]
    with pytest.raises(BadInput, match=rf"model = \w+, {rule}"):
        load_policy(config)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_that_is_hardly_not_causal_is_refused_in_half_precision_too(dtype: torch.dtype) -> None:
    with pytest.raises(BadInput, match="must be causal"):
        load_policy(BertGenerationConfig(**ENCODER, initializer_range=1e-3), dtype=dtype)
    assert load_policy(BertGenerationConfig(**ENCODER, is_decoder=True), dtype=dtype).chunked


@pytest.mark.filterwarnings("ignore:.*is sampled without a cache:RuntimeWarning")
def test_canary_without_the_check_such_models_are_other_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_bridge.policy.soundness.check_distribution", lambda policy: None)
    prompt, completion = prompts(), completions()
    for why in ("so is its generator", "RWKV reads padding"):
        policy = load_policy(NO_POLICIES[why][0])
        with torch.no_grad():
            for parameter in policy.model.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
        found, truth = policy.log_prob(prompt, completion), naive_log_prob(policy, prompt, completion)
        assert float((found - truth).detach().abs().max()) > 1e-2


@pytest.mark.filterwarnings("ignore:.*treats its logits:RuntimeWarning")
@pytest.mark.parametrize("kind", [RobertaConfig, BertConfig])
def test_positions_that_start_behind_that_of_padding_are_found(kind: type[PretrainedConfig]) -> None:
    policy = load_policy(kind(**ENCODER, is_decoder=True, initializer_range=0.3), dtype=torch.float64)
    prompt = Tokens(prompts().ids.clamp(min=2), prompts().mask)  # the model itself would not count padding's token
    completion = pad_right([[3, 4, 2], [2], [2, 6, 6, 8, 5]], 1)
    assert not policy.chunked
    assert error_against_naive(policy, policy.log_prob(prompt, completion), prompt, completion) <= 1e-6
    stream = policy.stream(prompt)
    stream.push(completion.ids[:, 0])
    whole = policy.logits(prompt, completion)
    assert float((stream.logits - whole[:, 1]).detach().abs().max()) <= 1e-6


OTHERS = {
    "no scale": (MptConfig(vocab_size=7, d_model=16, n_layers=1, n_heads=2, eos_token_id=EOS, pad_token_id=PAD), True),
    "an encoder's own outputs": (SwitchTransformersConfig(vocab_size=7, d_model=16, d_kv=8, d_ff=24, num_layers=2,
                                                          num_decoder_layers=2, num_heads=2, num_experts=2,
                                                          eos_token_id=EOS, pad_token_id=PAD), False),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*treats its logits:RuntimeWarning")
@pytest.mark.parametrize("what", OTHERS)
def test_other_families_work(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, chunked = OTHERS[what]
    config.decoder_start_token_id = PAD
    policy = load_policy(config)
    assert policy.chunked == chunked
    found, truth = (of(prompts(), completions()) for of in (policy.log_prob, partial(naive_log_prob, policy)))
    assert float((found - truth).detach().abs().max()) <= 1e-5  # five terms of size 2, in float32
    policy.forward.chunked = False
    found = policy.log_prob(prompts(), completions())
    assert float((found - truth).detach().abs().max()) <= 1e-5


OTHER_CACHES = {
    "states that cannot be cut": MambaConfig(vocab_size=7, hidden_size=16, num_hidden_layers=2, state_size=4,
                                             eos_token_id=EOS, pad_token_id=PAD),
    "no cache": OpenAIGPTConfig(vocab_size=7, n_embd=16, n_layer=2, n_head=2, eos_token_id=EOS, pad_token_id=PAD),
}  # fmt: skip


@pytest.mark.parametrize("why", OTHER_CACHES)
def test_models_with_a_wrong_cache_or_none_are_scored_and_decoded_without(why: str) -> None:
    """Mamba's own forgets which tokens are padding once it decodes."""
    reason = "it has none" if why == "no cache" else "logits are off by"
    with pytest.warns(RuntimeWarning, match=rf"is sampled without a cache.*{reason}"):
        policy, prompt = load_policy(OTHER_CACHES[why]), prompts()
    assert not policy.forward.caches
    stream, written = policy.stream(prompt), pad_right([[3, 4, 5], [2, 3, 2], [4, 4, 2]])
    stream.push(written.ids[:, 0])
    stream.keep(torch.tensor([2, 0]))
    stream.push(written.ids[[2, 0], 1])
    with torch.no_grad():
        whole = policy.logits(prompt, written)[[2, 0], 2]
    assert float((stream.logits - whole).abs().max()) <= 1e-5
    completion = pad_right([[3, EOS], [4], [2, 2], [EOS], [5, 6, 3], [6]], PAD)
    several = policy.log_prob(prompt, completion)
    truth = naive_log_prob(policy, prompt.rows(torch.arange(3).repeat_interleave(2)), completion)
    assert float((several - truth).detach().abs().max()) <= 1e-5  # three terms of size 2, in float32


@pytest.mark.parametrize("shared", [False, True], ids=["", "shared"])
def test_a_row_needs_no_more_positions_than_its_own(shared: bool) -> None:
    """12 positions: a long prompt with a short completion, beside a short prompt with a long one."""
    policy = tiny_policy("gpt2", n_positions=12)
    asked, answers = [[2, 3] * 5, [6]], [[3, EOS], [4, 5, EOS], [3] * 7 + [EOS], [4] * 12]
    if not shared:
        asked = [asked[0], asked[0], asked[1], asked[1]]
    together = policy.log_prob(pad_left(asked), pad_right(answers))
    rows = zip([asked[0]] * 2 + [asked[-1]] * 2, answers, strict=True)
    alone = torch.cat([policy.log_prob(pad_left([x]), pad_right([y])) for x, y in rows])
    assert float((together - alone).detach().abs().max()) <= EXACT
    for x, y in ((asked[0], [3] * 4), ([2] * 13, [3])):
        with pytest.raises(BadInput, match=r"a row has 13 tokens to read, must have at most the model's 12 positions"):
            policy.log_prob(pad_left([x]), pad_right([y]))
    with pytest.raises(BadInput, match="a row has 13 tokens"):
        policy.stream(pad_left([[2] * 13]))
    rotary = tiny_policy("llama", max_position_embeddings=4)  # a number that rotations do not need
    assert bool(rotary.log_prob(pad_left(asked), pad_right(answers)).isfinite().all())


def test_bad_input_is_named() -> None:
    policy, prompt, completion = tiny_policy("gpt2"), prompts(), completions()
    with pytest.raises(BadInput, match="prompt: each row must hold a token and be padded on the left"):
        policy.log_prob(Tokens(prompt.ids, prompt.mask.flip(1)), completion)
    with pytest.raises(BadInput, match="completion: each row must be padded on the right"):
        policy.log_prob(prompt, Tokens(completion.ids, completion.mask.flip(1)))
    with pytest.raises(BadInput, match="3 prompts and 2 completions"):
        policy.log_prob(prompt, completion.rows(slice(0, 2)))
    with pytest.raises(BadInput, match="the mask boolean"):
        policy.log_prob(prompt, Tokens(completion.ids, completion.mask.long()))
    with pytest.raises(BadInput, match="temperature = 0"):
        policy.log_prob(prompt, completion, temperature=0.0)
    with pytest.raises(BadInput, match=r"kind = 'copi'.*did you mean 'copy'"):
        policy.reference("copi")
    with pytest.raises(BadInput, match="the model has no adapters"):
        policy.reference("adapters-off")
    with pytest.raises(BadInput, match="eos_id is neither given nor known"):
        Policy(AutoModelForCausalLM.from_config(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=5,
                                                           eos_token_id=None, bos_token_id=None)))  # fmt: skip


def test_an_empty_completion_has_probability_one() -> None:
    policy = tiny_policy("t5")
    nothing = pad_right([[], [3, EOS], []], PAD)
    values = policy.log_prob(prompts(), nothing)
    assert values[0] == values[2] == 0
    assert values[1] < 0


# references


def snapshot(policy: Policy) -> list[tuple[Tensor, bool]]:
    return [(p.detach().clone(), p.requires_grad) for p in policy.model.parameters()]


@EACH
@pytest.mark.parametrize(("lora", "kind"), [(False, "copy"), (True, "copy"), (True, "adapters-off")])
def test_a_right_reference_passes_and_the_weights_come_back_bit_for_bit(family: str, lora: bool, kind: str) -> None:
    policy = tiny_policy(family, lora=lora)
    policy.model.train()
    reference = policy.reference(kind)
    before, state = snapshot(policy), torch.get_rng_state()
    check_reference(policy, reference)
    check_reference(policy, reference, prompts(), completions())
    for (value, trained), (p_value, p_trained) in zip(before, snapshot(policy), strict=True):
        assert torch.equal(value, p_value)
        assert trained == p_trained
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in policy.model.modules())


@EACH
def test_canaries_references_that_move_are_refused(family: str) -> None:
    full, adapted = tiny_policy(family), tiny_policy(family, lora=True)
    for policy in (full, adapted):
        with pytest.raises(BadInput, match="reference moves with the policy"):
            check_reference(policy, Reference(policy, "copy"))  # the same weights; with LoRA, adapters left on
    for name, parameter in adapted.model.named_parameters():
        parameter.requires_grad_("norm" in name or "ln_" in name or "lora" in name)
    with pytest.raises(BadInput, match="reference moves with the policy"):
        check_reference(adapted, adapted.reference("adapters-off"))  # more than the adapters is trained
    full.model.requires_grad_(False)
    with pytest.raises(BadInput, match="no weight has requires_grad"):
        check_reference(full, full.reference())


def test_adapters_that_are_trained_but_never_used_are_noticed() -> None:
    policy = tiny_policy("gpt2")
    unused = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    policy.model.requires_grad_(False)
    policy.model.register_parameter("unused", unused)
    with pytest.raises(BadInput, match="does not change its distribution"):
        check_reference(policy, policy.reference())


@EACH
def test_adapters_off_is_the_model_before_adapters_and_leaves_gradients_alone(family: str) -> None:
    policy, prompt, completion = tiny_policy(family, lora=True), prompts(), completions()
    reference = policy.reference("adapters-off")
    value = policy.log_prob(prompt, completion)
    found = reference.log_prob(prompt, completion)  # between forward and backward
    with policy.model.disable_adapter():
        expected = naive_log_prob(policy, prompt, completion)
    assert not found.requires_grad
    assert float((found - expected).abs().max()) <= EXACT
    assert float((found - value).detach().abs().max()) > 1e-2
    assert error_against_naive(policy, value, prompt, completion) <= EXACT


def test_a_copy_keeps_the_distribution_it_was_taken_at() -> None:
    policy, prompt, completion = tiny_policy("qwen2"), prompts(), completions()
    before = policy.log_prob(prompt, completion).detach()
    reference = policy.reference()
    (-policy.log_prob(prompt, completion).sum()).backward()
    torch.optim.SGD(policy.model.parameters(), lr=0.1).step()
    assert torch.equal(reference.log_prob(prompt, completion), before)
    assert float((policy.log_prob(prompt, completion) - before).detach().abs().max()) > 1e-2
    assert not any(p.requires_grad for p in reference.policy.model.parameters())


# loading


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
    with pytest.raises(BadInput, match="is no folder, and no hub name"):
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
    with pytest.raises(BadInput, match=r"must be left out: .* has adapters already"):
        load_policy(tmp_path / "adapters", lora=LoraOptions(rank=2))
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=r"has adapters of .*base', must be a folder that is there or a hub name"):
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

"""Policies: summed log-probabilities against the model's own logits."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from bridge.naive import EXACT, error_against_naive, naive_log_prob
from bridge.tiny import EOS, FAMILIES, PAD, completions, prompts, tiny_config, tiny_policy
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BertConfig,
    BertGenerationConfig,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaForCausalLM,
    MambaConfig,
    MptConfig,
    OpenAIGPTConfig,
    PhiConfig,
    PretrainedConfig,
    RecurrentGemmaConfig,
    RobertaConfig,
    RwkvConfig,
    SwitchTransformersConfig,
    TrOCRConfig,
    XLNetConfig,
)

from llm_bridge.policy import Policy, Tokens, load_policy, pad_left, pad_right
from nashlab.game import BadInput

torch.set_num_threads(1)

EACH = pytest.mark.parametrize("family", FAMILIES)
ADAPTERS = pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])


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
    with pytest.warns(RuntimeWarning, match="Peculiar changes its logits"):
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


@pytest.mark.filterwarnings("ignore:.*changes its logits:RuntimeWarning")
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


@pytest.mark.filterwarnings("ignore:.*changes its logits:RuntimeWarning")
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


@pytest.mark.filterwarnings("ignore:.*changes its logits:RuntimeWarning")
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

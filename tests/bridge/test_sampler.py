"""The sampler is exact: total variation 0 to a full recomputation, in every configuration; then chi-square."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from bridge.naive import naive_mixture, row
from bridge.tiny import EOS, FAMILIES, PAD, prompts, tiny_config, tiny_policy
from scipy import stats
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from llm_bridge.policy import (
    Decoder,
    NotFinite,
    Policy,
    Reference,
    Tokens,
    draw,
    mixture_log_probs,
    mixture_tilt,
    pad_right,
    sample,
    seeded,
)
from llm_bridge.policy.forward import Forward
from llm_bridge.policy.stream import Stream
from nashlab.game import BadInput

torch.set_num_threads(1)

EACH = pytest.mark.parametrize("family", FAMILIES)
ADAPTERS = pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
BETAS = (0.0, 0.125, 0.5, 1.0)
LENGTH = 6


def pair(family: str, lora: bool, **options: Any) -> tuple[Policy, Reference, Policy]:
    """A policy in training mode, its reference, and the policy whose naive forward pass is the reference's."""
    policy = tiny_policy(family, lora=lora, **options)
    policy.model.train()
    if lora:
        return policy, policy.reference("adapters-off"), policy
    other = tiny_policy(family, seed=7, **options)
    return policy, other.reference(), other


class Recorder:
    """What the sampler drew from: log m [V] for each row and position."""

    def __init__(self, rows: int) -> None:
        self.steps: list[list[Tensor]] = [[] for _ in range(rows)]
        self.batch_sizes: list[int] = []

    def __call__(self, rows: Tensor, log_probs: Tensor) -> None:
        self.batch_sizes.append(len(rows))
        for i, distribution in zip(rows.tolist(), log_probs, strict=True):
            self.steps[i].append(distribution)


def observed(
    policy: Policy, reference: Reference | None, prompt: Tokens, beta: float, **options: Any
) -> tuple[Tokens, Recorder]:
    recorder = Recorder(len(prompt.ids))
    generator = torch.Generator().manual_seed(1)
    drawn = sample(policy, prompt, max_new_tokens=LENGTH, beta=beta, reference=reference, generator=generator,
                   observer=recorder, **options)  # fmt: skip
    return drawn, recorder


def distance(one: Tensor, other: Tensor) -> float:
    """The largest total variation of two stacks of log-distributions."""
    return float(0.5 * (one.double().exp() - other.double().exp()).detach().abs().sum(-1).max())


def distance_to_truth(
    drawn: Tokens, recorder: Recorder, policy: Policy, frozen: Policy, prompt: Tokens, beta: float
) -> float:
    """Between what was drawn from and a row-by-row recomputation with neither cache nor padding."""
    worst = 0.0
    for i, steps in enumerate(recorder.steps):
        completion = row(drawn, i)
        assert len(steps) == len(completion)
        truth = naive_mixture(policy, frozen, row(prompt, i), completion, beta)[: len(completion)]
        worst = max(worst, distance(torch.stack(steps), truth))
    return worst


@EACH
@ADAPTERS
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
def test_cached_distributions_equal_recomputed_ones(family: str, lora: bool, checkpointing: bool) -> None:
    policy, reference, frozen = pair(family, lora, gradient_checkpointing=checkpointing)
    for padded, beta in itertools.product((False, True), BETAS):
        prompt = prompts(padded=padded, rows=5)
        drawn, recorder = observed(policy, reference, prompt, beta)
        assert distance_to_truth(drawn, recorder, policy, frozen, prompt, beta) <= 1e-12
        full = mixture_log_probs(policy, reference, prompt, drawn, beta)
        for i, steps in enumerate(recorder.steps):
            assert distance(torch.stack(steps), full[i, : len(steps)]) <= 1e-12


@EACH
@ADAPTERS
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_lower_precision_differs_by_its_rounding(family: str, lora: bool, dtype: torch.dtype, near: float) -> None:
    # bfloat16 rounds by 2^-9 of the value; a logit of size 3 that is off by one rounding moves 0.006/4 of probability
    policy, reference, frozen = pair(family, lora, dtype=dtype)
    for beta in BETAS:
        prompt = prompts(rows=5)
        drawn, recorder = observed(policy, reference, prompt, beta)
        assert recorder.steps[0][0].dtype == torch.float32
        assert distance_to_truth(drawn, recorder, policy, frozen, prompt, beta) <= near


@EACH
@ADAPTERS
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_a_batch_may_hold_the_policy_s_rows_and_the_mixture_s(family: str, lora: bool, beta: float) -> None:
    """Each row is drawn from its own model whatever ends beside it; the canary takes all of them for the mixture's."""
    policy, reference, frozen = pair(family, lora)
    k, plain, prompt = 3, 2, prompts(rows=5)
    recorder = Recorder(5 * k)
    drawn = sample(policy, prompt, completions=k, plain=plain, max_new_tokens=LENGTH, beta=beta, reference=reference,
                   generator=torch.Generator().manual_seed(1), observer=recorder)  # fmt: skip
    assert len(set(recorder.batch_sizes)) > 1  # some rows have ended before others
    worst, mistaken = 0.0, 0.0
    for i, steps in enumerate(recorder.steps):
        completion, context = row(drawn, i), row(prompt, i // k)
        own, other = (naive_mixture(policy, frozen, context, completion, b)[: len(steps)] for b in (0.0, beta))
        worst = max(worst, distance(torch.stack(steps), own if i % k < plain else other))
        mistaken = max(mistaken, distance(torch.stack(steps), other))
    assert worst <= 1e-12
    assert (mistaken > 1e-3) == (beta > 0)
    with pytest.raises(BadInput, match="plain = 4"):
        sample(policy, prompt, completions=3, plain=4, max_new_tokens=LENGTH)


def share_one_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What TRL 1.13 does without gradient checkpointing: both models write into one cache after the prompt."""
    begin = Decoder.__init__

    def begin_with_one(decoder: Decoder, *args: Any, **options: Any) -> None:
        begin(decoder, *args, **options)
        (_, first), (_, second) = decoder.parts
        second.cache = first.cache

    def keep_once(stream: Stream, rows: Tensor) -> None:
        cache = stream.cache
        keys = getattr(cache, "self_attention_cache", cache).layers[0].keys
        if len(keys) == len(stream.logits):  # the second stream's turn comes when the rows are gone
            cache.batch_select_indices(rows)
        stream.logits = stream.logits[rows]
        stream.mask = None if stream.mask is None else stream.mask[rows]
        stream.encoded = None if stream.encoded is None else stream.encoded.rows(rows)

    monkeypatch.setattr(Decoder, "__init__", begin_with_one)
    monkeypatch.setattr(Stream, "keep", keep_once)


def leave_adapters_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("reference", "stream"):
        monkeypatch.setattr(f"llm_bridge.policy.{module}.adapters_off", lambda layers: nullcontext())


def count_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Forward.decode

    def decode(forward: Forward, ids: Tensor, mask: Tensor | None, **options: Any) -> tuple[Tensor, Any]:
        return original(forward, ids, None if mask is None else torch.ones_like(mask), **options)

    monkeypatch.setattr(Forward, "decode", decode)


def count_encoder_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Forward.encode
    monkeypatch.setattr(Forward, "encode", lambda forward, prompt: original(
        forward, Tokens(prompt.ids, torch.ones_like(prompt.mask))))  # fmt: skip


def swap_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_bridge.policy import sampler

    original = sampler._mixed
    monkeypatch.setattr(sampler, "_mixed", lambda parts: original([(1 - weight, logits) for weight, logits in parts]))


FAULTS = {
    "one cache for two models": (share_one_cache, ("gpt2", "llama", "qwen2", "t5"), False),
    "one cache for two models, LoRA": (share_one_cache, ("gpt2", "llama", "qwen2", "t5"), True),
    "adapters left on": (leave_adapters_on, FAMILIES, True),
    "padding counted": (count_padding, ("gpt2", "llama", "qwen2"), False),
    "padding encoded": (count_encoder_padding, ("t5",), False),
    "beta for 1 - beta": (swap_the_weights, FAMILIES, False),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_canaries_the_check_catches_the_field_s_faults(
    fault: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking, families, lora = FAULTS[fault]
    pairs = [pair(family, lora, dtype=dtype) for family in families]  # a policy looks itself for some of the faults
    breaking(monkeypatch)
    for policy, reference, frozen in pairs:
        prompt = prompts(rows=5)
        drawn, recorder = observed(policy, reference, prompt, 0.3)
        assert distance_to_truth(drawn, recorder, policy, frozen, prompt, 0.3) > 0.1


@EACH
def test_canary_a_mismatch_of_temperature(family: str) -> None:
    policy, prompt = tiny_policy(family), prompts(rows=5)
    drawn, recorder = observed(policy, None, prompt, 0.0, temperature=0.9)
    assert distance_to_truth(drawn, recorder, policy, policy, prompt, 0.0) > 1e-3
    full = mixture_log_probs(policy, None, prompt, drawn, 0.0, temperature=0.9)
    chosen = full.gather(2, drawn.ids.unsqueeze(2)).squeeze(2).masked_fill(~drawn.mask, 0).sum(1)
    assert float((chosen - policy.log_prob(prompt, drawn, temperature=0.9)).detach().abs().max()) <= 1e-12
    assert float((chosen - policy.log_prob(prompt, drawn)).detach().abs().max()) > 1e-2


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_dropout_is_off_while_sampling(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a model that has it and is in training mode; the canary leaves the mode as it is."""
    kind = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
    with seeded(3):
        noisy = Policy(kind.from_config(tiny_config(family)).double())
    prompt, still = prompts(rows=5), noisy.frozen_copy()
    still.model.eval()

    def error() -> float:
        noisy.model.train()
        drawn, recorder = observed(noisy, None, prompt, 0.0)
        assert noisy.model.training
        return distance_to_truth(drawn, recorder, still, still, prompt, 0.0)

    assert error() <= 1e-6  # nobody has widened the norms of this T5 to float64
    monkeypatch.setattr("llm_bridge.policy.stream.flags", lambda *arguments: nullcontext())
    assert error() > 1e-4


class Untouchable:
    """A model that must not be asked anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked of a model of weight 0")


def test_beta_zero_never_touches_the_reference_and_beta_one_never_the_policy() -> None:
    policy, prompt = tiny_policy("gpt2"), prompts()
    untouchable: Any = Untouchable()
    drawn = sample(policy, prompt, max_new_tokens=4, beta=0.0, reference=untouchable)
    mixture_log_probs(policy, untouchable, prompt, drawn, 0.0)
    reference = tiny_policy("gpt2", seed=3).reference()

    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError("the policy was asked")

    policy.model.forward = policy.forward.base.transformer.forward = refuse
    sample(policy, prompt, max_new_tokens=4, beta=1.0, reference=reference)
    with pytest.raises(AssertionError, match="was asked"):
        sample(policy, prompt, max_new_tokens=4, beta=0.5, reference=reference)


# samples


def language(length: int, letters: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every completion: ended by end-of-sequence before ``length`` tokens, or cut off there."""
    ended = [(*word, EOS) for n in range(length) for word in itertools.product(letters, repeat=n)]
    return ended + list(itertools.product(letters, repeat=length))


def p_value(drawn: Tokens, probabilities: dict[tuple[int, ...], float]) -> float:
    """Chi-square of completions against their exact probabilities; cells below five expected counts are pooled."""
    counts = Counter(tuple(row(drawn, i)) for i in range(len(drawn.ids)))
    assert set(counts) <= set(probabilities)
    expected = {word: p * len(drawn.ids) for word, p in probabilities.items()}
    large = [word for word, value in expected.items() if value >= 5]
    observed = [counts[word] for word in large]
    theory = [expected[word] for word in large]
    rest = len(drawn.ids) - sum(theory)
    if rest > 1e-6:
        observed.append(len(drawn.ids) - sum(observed))
        theory.append(rest)
    return float(stats.chisquare(observed, theory, sum_check=False).pvalue)


@EACH
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_samples_have_their_enumerated_probabilities(family: str, beta: float) -> None:
    policy, reference, _ = pair(family, True, vocab=5, size=0.2)
    words = language(3, (0, 2, 3, 4))
    one, many = prompts(vocab=5, rows=1), 4000
    everything, whole = pad_right(words, PAD), Tokens(one.ids.repeat(len(words), 1), one.mask.repeat(len(words), 1))
    with torch.no_grad():
        steps = mixture_log_probs(policy, reference, whole, everything, beta)
    log_m = steps.gather(2, everything.ids.unsqueeze(2)).squeeze(2).masked_fill(~everything.mask, 0).sum(1)
    assert abs(float(log_m.exp().sum()) - 1) <= 1e-12
    if beta == 0:
        assert float((log_m - policy.log_prob(whole, everything)).detach().abs().max()) <= 1e-12
    exact = dict(zip(words, log_m.exp().tolist(), strict=True))
    repeated = Tokens(one.ids.repeat(many, 1), one.mask.repeat(many, 1))

    def test(temperature: float) -> float:
        drawn = sample(policy, repeated, max_new_tokens=3, beta=beta, reference=reference, temperature=temperature,
                       generator=torch.Generator().manual_seed(11))  # fmt: skip
        return p_value(drawn, exact)

    # eight tests with fixed seeds; a right sampler fails one of them in a thousand choices of seeds
    assert test(1.0) > 1e-4
    assert test(0.7) < 1e-4  # canary: sampled at another temperature


def test_draw_inverts_the_distribution_function() -> None:
    p = torch.tensor([0.0, 0.5, 0.0, 0.25, 0.25, 0.0], dtype=torch.float64)
    uniforms = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
    tokens = draw(p.log().expand(4096, -1), uniforms)
    assert torch.bincount(tokens, minlength=6).tolist() == [0, 2048, 0, 1024, 1024, 0]
    edges = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    for scale in (1.0, 0.3, 0.9999999):  # sums that rounding has left off 1
        assert draw((scale * p).log().expand(2, -1), edges).tolist() == [1, 4]


def test_weights_without_probabilities_are_named_and_spoil_no_other_row() -> None:
    p = torch.tensor([[0.25, 0.75, 0.0], [torch.nan] * 3, [0.0, 0.0, 1.0]])
    drawn = draw(p.log(), torch.tensor([0.5, 0.5, 0.5]))
    assert drawn[[0, 2]].tolist() == [1, 2]
    assert 0 <= int(drawn[1]) < 3
    policy = tiny_policy("gpt2")
    with torch.no_grad():
        next(policy.model.parameters()).fill_(torch.nan)
    with pytest.raises(NotFinite, match="the next token's probabilities are NaN"):
        sample(policy, prompts(rows=2), max_new_tokens=3)


def test_rare_tokens_of_large_vocabularies_keep_their_probability() -> None:
    size = 150_000
    log_probs = torch.full((1, size), -torch.log(torch.tensor(float(size))).item())
    tokens = draw(log_probs.expand(40, -1), (torch.arange(40) + 0.5).double() / 40)
    assert (tokens - (torch.arange(40) + 0.5) * size / 40).abs().max() <= 2


@EACH
def test_ended_rows_leave_the_batch_and_change_nobody_s_sample(family: str) -> None:
    policy, reference, _ = pair(family, True)
    prompt = prompts(rows=24)
    drawn, recorder = observed(policy, reference, prompt, 0.5)
    lengths = drawn.mask.sum(1)
    assert recorder.batch_sizes == [int((lengths > t).sum()) for t in range(drawn.ids.shape[1])]
    assert recorder.batch_sizes[-1] < recorder.batch_sizes[0]
    ended = drawn.ids.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1) == EOS
    assert bool((ended | (lengths == LENGTH)).all())
    assert not bool((drawn.ids[drawn.mask] == EOS)[: int(lengths[0]) - 1].any())
    assert bool((drawn.ids[~drawn.mask] == policy.pad_id).all())
    # a row of a padded batch is drawn as alone, with the same uniform numbers
    uniforms = torch.rand(24, LENGTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for i in (0, 1, 5):
        decoder = Decoder(policy, prompt.rows(slice(i, i + 1)), beta=0.5, reference=reference)
        alone = []
        for t in range(int(lengths[i])):
            token = draw(decoder.log_probs, uniforms[i, t : t + 1])
            alone.append(int(token))
            decoder.push(token)
        assert alone == row(drawn, i)


def test_min_new_tokens_excludes_the_end_and_renormalises() -> None:
    policy, prompt = tiny_policy("llama"), prompts(rows=40)
    drawn, recorder = observed(policy, None, prompt, 0.0, min_new_tokens=2)
    assert int(drawn.mask.sum(1).min()) >= 2
    assert not bool((drawn.ids[:, :2] == EOS).any())
    full = mixture_log_probs(policy, None, prompt, drawn, 0.0, min_new_tokens=2)
    free = mixture_log_probs(policy, None, prompt, drawn, 0.0)
    for i, steps in enumerate(recorder.steps):
        assert distance(torch.stack(steps), full[i, : len(steps)]) <= 1e-12
    assert float((full.exp().sum(-1) - 1).detach().abs().max()) <= 1e-12
    assert distance(full[:, 2:], free[:, 2:]) == 0
    assert distance(full[:, :2], free[:, :2]) > 1e-2


@ADAPTERS
def test_sampling_leaves_modes_gradients_and_the_random_state_as_they_were(lora: bool) -> None:
    policy, reference, _ = pair("gpt2", lora, gradient_checkpointing=True)
    list(policy.model.modules())[3].eval()
    modes = [module.training for module in policy.model.modules()]
    trained = [p.requires_grad for p in policy.model.parameters()]
    cached = policy.model.config.use_cache
    state = torch.get_rng_state()
    one, two = (observed(policy, reference, prompts(), 0.5)[0] for _ in range(2))
    assert torch.equal(one.ids, two.ids)
    assert torch.equal(state, torch.get_rng_state())
    assert modes == [module.training for module in policy.model.modules()]
    assert trained == [p.requires_grad for p in policy.model.parameters()]
    assert policy.model.config.use_cache == cached


def test_uniform_numbers_take_the_place_of_a_generator() -> None:
    """The same numbers give the same completions; their row by row slices give those of a part of the batch."""
    policy, prompt = tiny_policy("gpt2"), prompts(rows=3)
    one = sample(policy, prompt, max_new_tokens=4, completions=2, generator=torch.Generator().manual_seed(5))
    numbers = torch.rand(6, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    two = sample(policy, prompt, max_new_tokens=4, completions=2, uniforms=numbers)
    assert [row(one, i) for i in range(6)] == [row(two, i) for i in range(6)]
    part = sample(policy, prompt.rows(slice(1, 2)), max_new_tokens=4, completions=2, uniforms=numbers[2:4])
    assert [row(part, i) for i in range(2)] == [row(two, i) for i in (2, 3)]
    other = sample(policy, prompt, max_new_tokens=4, completions=2, uniforms=1 - numbers)
    assert [row(other, i) for i in range(6)] != [row(two, i) for i in range(6)]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_tilt_is_what_a_mixture_made_token_by_token_lacks(temperature: float) -> None:
    """log m(y) − (1−β) log π(y) − β log μ(y) over the tokens of each completion, never negative, and 0 at β = 0, 1."""
    policy, reference, _ = pair("gpt2", False)
    prompt, beta = prompts(rows=4), 0.3
    with torch.no_grad():
        drawn = sample(policy, prompt, max_new_tokens=LENGTH, generator=torch.Generator().manual_seed(2))
        mixed, own, theirs = (
            mixture_log_probs(policy, reference, prompt, drawn, b, temperature=temperature) for b in (beta, 0.0, 1.0)
        )
        off = (mixed - (1 - beta) * own - beta * theirs).gather(2, drawn.ids.unsqueeze(2)).squeeze(2)
        known = (off * drawn.mask).sum(1)
        found = mixture_tilt(policy, reference, prompt, drawn, beta, temperature=temperature)
        ends = [mixture_tilt(policy, reference, prompt, drawn, b, temperature=temperature) for b in (0.0, 1.0)]
    assert len(set(drawn.mask.sum(1).tolist())) > 1
    assert float((found - known).abs().max()) <= 1e-12
    assert float(found.min()) > 1e-3
    assert max(float(end.abs().max()) for end in ends) <= 1e-12
    with pytest.raises(BadInput, match="temperature = 0"):
        mixture_tilt(policy, reference, prompt, drawn, beta, temperature=0.0)


def test_bad_input_is_named() -> None:
    policy, prompt = tiny_policy("gpt2"), prompts()
    with pytest.raises(BadInput, match=r"beta = 1.5, must be between 0 and 1"):
        sample(policy, prompt, max_new_tokens=2, beta=1.5)
    with pytest.raises(BadInput, match="reference is missing"):
        sample(policy, prompt, max_new_tokens=2, beta=0.5)
    with pytest.raises(BadInput, match=r"min_new_tokens = 3, max_new_tokens = 2"):
        sample(policy, prompt, max_new_tokens=2, min_new_tokens=3)
    with pytest.raises(BadInput, match="temperature = 0"):
        sample(policy, prompt, max_new_tokens=2, temperature=0.0)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"max_new_tokens": 0}, "min_new_tokens = 0, max_new_tokens = 0"),
        ({"min_new_tokens": -1}, "min_new_tokens = -1"),
        ({"beta": -0.1}, "beta = -0.1"),
        ({"completions": 0}, "completions = 0, must be at least 1"),
        ({"plain": -1}, "plain = -1"),
        ({"plain": 1, "beta": 1.0, "reference": policy.reference()}, "plain = 1 at beta = 1"),
        ({"uniforms": torch.zeros(len(prompt.ids), 3)}, r"uniforms of shape .*, must be"),
        ({"uniforms": torch.zeros(len(prompt.ids), 2), "generator": torch.Generator()}, "without a generator"),
    ]
    for options, words in refused:
        with pytest.raises(BadInput, match=words):
            sample(policy, prompt, **{"max_new_tokens": 2, **options})
    # canary: what is next to them is taken
    least = {"max_new_tokens": 1, "min_new_tokens": 1, "completions": 1, "plain": 1}
    sample(policy, prompt, **least, uniforms=torch.zeros(len(prompt.ids), 1))
    with pytest.raises(BadInput, match="vocabularies of"):
        sample(policy, prompt, max_new_tokens=2, beta=0.5, reference=tiny_policy("gpt2", vocab=9).reference())

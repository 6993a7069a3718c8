"""Decoding in fixed buffers: the same distributions, whatever is dropped, moved, repeated or used again.

There is no GPU here.  A graph of PyTorch operations that is traced once and replayed stands in for a CUDA graph: it too
knows nothing of Python any more, only of the buffers that it was captured with; and a run on tensors without values
shows that nothing waits for a value to be computed, which no CUDA graph could.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bridge.naive import naive_mixture, row
from bridge.test_sampler import BETAS, LENGTH, Recorder, distance, distance_to_truth, pair
from bridge.test_sampler import observed as drawn_with
from bridge.tiny import EOS, FAMILIES, PAD, prompts, tiny_policy
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from transformers import DynamicCache, LlamaModel, MistralConfig

from llm_bridge.policy import Decoder, Policy, Tokens, cuda_graphs, load_policy, pad_left, pad_right, sample
from llm_bridge.policy.cuda_graphs import CapturedStream, opened
from llm_bridge.policy.forward import Forward
from llm_bridge.training import Weights

torch.set_num_threads(1)

pytestmark = pytest.mark.filterwarnings("error:.*decoded kernel by kernel:RuntimeWarning")
EACH = pytest.mark.parametrize("family", FAMILIES)
ADAPTERS = pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
Run = Callable[[], None]


@pytest.fixture
def capturing(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers is told what it finds by itself while a GPU records: that no value may be looked at."""
    monkeypatch.setattr("transformers.utils.import_utils.is_cuda_stream_capturing", lambda: True)


def traced(run: Run, device: torch.device) -> Run:
    """A stand-in for a CUDA graph: the operations of one run, again and again on the same tensors."""
    run()
    again: Run = torch.no_grad()(make_fx(run)())
    return again


def small(monkeypatch: pytest.MonkeyPatch, places: int, shrink: int) -> None:
    """Buffers that are soon full, and left soon."""
    monkeypatch.setattr(cuda_graphs, "PLACES", places)
    monkeypatch.setattr(cuda_graphs, "SHRINK", shrink)


def error(policy: Policy, reference: Any, frozen: Policy, prompt: Tokens, beta: float, **options: Any) -> float:
    drawn, seen = drawn_with(policy, reference, prompt, beta, captured=True, **options)
    return distance_to_truth(drawn, seen, policy, frozen, prompt, beta)


# -- the same distributions ------------------------------------------------------------------------------------------


@EACH
@ADAPTERS
@pytest.mark.parametrize(("places", "shrink"), [(128, 4), (4, 1), (8, 2)], ids=["roomy", "always moving", "moving"])
def test_distributions_equal_recomputed_ones(
    family: str, lora: bool, places: int, shrink: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, places, shrink)
    policy, reference, frozen = pair(family, lora)
    for padded, beta in itertools.product((False, True), BETAS):
        assert error(policy, reference, frozen, prompts(padded=padded, rows=5), beta) <= 1e-12


class Recordings:
    """How many were made, and for what a step was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self.asked: list[tuple[Any, ...]] = []
        step_for = cuda_graphs._step_for

        def recording(run: Run, device: torch.device) -> Run:
            self.made += 1
            return traced(run, device)

        def asking(stream: CapturedStream) -> Any:
            step = step_for(stream)
            self.asked.append((stream.forward, step.key))
            return step

        monkeypatch.setattr(cuda_graphs, "_capture", recording)
        monkeypatch.setattr(cuda_graphs, "_step_for", asking)


@EACH
@ADAPTERS
def test_a_replayed_recording_knows_nothing_but_its_buffers(
    family: str, lora: bool, monkeypatch: pytest.MonkeyPatch, capturing: None
) -> None:
    """Other prompts, rows and values of the weights: one recording for each model and shape."""
    recordings = Recordings(monkeypatch)
    policy, reference, frozen = pair(family, lora)
    for padded, beta, factor in ((False, 0.0, 1.5), (True, 0.5, 0.8), (False, 0.5, 1.5), (True, 0.0, 0.8)):
        assert error(policy, reference, frozen, prompts(padded=padded, rows=5), beta) <= 1e-12
        with torch.no_grad():
            for weight in policy.model.parameters():
                if weight.requires_grad:
                    weight.mul_(factor)
    assert recordings.made == len({(policy, key[:2]) for policy, key in recordings.asked}) < len(recordings.asked)


def test_other_tensors_are_recorded_anew_and_old_recordings_come_back(
    monkeypatch: pytest.MonkeyPatch, capturing: None
) -> None:
    """Weights that are put on and off lie at two places: each has its own recording, of its own distribution."""
    recordings = Recordings(monkeypatch)
    policy, prompt = tiny_policy("llama"), prompts(rows=4)
    earlier = Weights(policy)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.mul_(1.5)
    for _ in range(2):
        assert error(policy, None, policy, prompt, 0.0) <= 1e-12
        with earlier.worn():
            assert error(policy, None, policy, prompt, 0.0) <= 1e-12
    assert recordings.made == len(set(recordings.asked)) < len(recordings.asked)
    assert len({key[-2] for _, key in recordings.asked}) == 2  # the places of the weights


@EACH
def test_lower_precision_differs_by_its_rounding(family: str) -> None:
    """As in test_sampler, where the numbers are explained; under autocast weights are in float32 all the same."""
    prompt = prompts(rows=5)
    for dtype, near in ((torch.float32, 1e-5), (torch.bfloat16, 0.02)):
        policy, reference, frozen = pair(family, True, dtype=dtype)
        assert error(policy, reference, frozen, prompt, 0.5) <= near
    policy, reference, frozen = pair(family, False, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        drawn, seen = drawn_with(policy, reference, prompt, 0.5, captured=True)
    assert 1e-5 < distance_to_truth(drawn, seen, policy, frozen, prompt, 0.5) <= 0.05


@EACH
@ADAPTERS
def test_a_batch_may_hold_the_policy_s_rows_and_the_mixture_s(
    family: str, lora: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, 8, 2)
    policy, reference, frozen = pair(family, lora)
    k, plain, prompt, seen = 3, 2, prompts(rows=5), Recorder(15)
    drawn = sample(policy, prompt, completions=k, plain=plain, max_new_tokens=LENGTH, beta=0.5, reference=reference,
                   generator=torch.Generator().manual_seed(1), observer=seen, captured=True)  # fmt: skip
    for i, steps in enumerate(seen.steps):
        truth = naive_mixture(policy, frozen, row(prompt, i // k), row(drawn, i), 0.0 if i % k < plain else 0.5)
        assert distance(torch.stack(steps), truth[: len(steps)]) <= 1e-12


@EACH
def test_rows_may_come_more_than_once_at_any_time(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 8, 4)
    policy, prompt = tiny_policy(family), prompts(rows=3)
    completions: list[list[int]] = [[] for _ in range(3)]
    decoder = Decoder(policy, prompt, captured=True)
    origin = torch.arange(3)
    for step, rows in enumerate([[0, 1, 2], [2, 0, 1], [1, 1, 0, 2, 2], [0, 1, 4], [2, 1, 1, 0], [3], [0, 0, 0]]):
        chosen = torch.tensor(rows)
        decoder.keep(chosen)
        origin, completions = origin[chosen], [list(completions[i]) for i in rows]
        for i, (context, said) in enumerate(zip(origin.tolist(), completions, strict=True)):
            truth = naive_mixture(policy, policy, row(prompt, context), said, 0.0)[-1]
            assert distance(decoder.log_probs[i], truth) <= 1e-12
        tokens = torch.tensor([2 + (step + i) % 5 for i in range(len(rows))])
        decoder.push(tokens)
        for said, token in zip(completions, tokens.tolist(), strict=True):
            said.append(token)


def test_two_streams_of_one_model_have_buffers_of_their_own() -> None:
    policy, prompt = tiny_policy("llama"), prompts(rows=3)
    streams = [opened(policy, prompt, captured=True) for _ in range(2)]
    for tokens in ([2, 3, 4], [5, 6, 2]):
        for k, stream in enumerate(streams):
            stream.push(torch.tensor(tokens).roll(k))
    for k, stream in enumerate(streams):
        for i in range(3):
            said = [torch.tensor(tokens).roll(k)[i].item() for tokens in ([2, 3, 4], [5, 6, 2])]
            truth = naive_mixture(policy, policy, row(prompt, i), said, 0.0)[-1]
            assert distance(stream.logits[i].log_softmax(-1), truth) <= 1e-12
    assert not cuda_graphs._idle[policy.forward]
    del stream
    streams.clear()
    assert len(cuda_graphs._idle[policy.forward]) == 2


def test_a_row_that_has_ended_does_not_run_out_of_positions() -> None:
    """A long prompt ends at once, a short one goes on to the last place of a table of positions."""
    policy = tiny_policy("gpt2", n_positions=8)
    decoder = Decoder(policy, pad_left([[2, 3, 4, 5, 6, 2], [3]], PAD), captured=True)
    decoder.push(torch.tensor([2, 3]))
    decoder.keep(torch.tensor([1]))
    for token in (4, 5, 6, 2, 3, 4):
        decoder.push(torch.tensor([token]))
    truth = naive_mixture(policy, policy, [3], [3, 4, 5, 6, 2, 3, 4], 0.0)[-1]
    assert distance(decoder.log_probs[0], truth) <= 1e-12


def test_what_an_earlier_batch_left_behind_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers full of NaN, as a run that diverged would leave them."""
    small(monkeypatch, 128, 100)
    policy, prompt = tiny_policy("t5"), prompts(rows=5)
    assert error(policy, None, policy, prompt, 0.0) <= 1e-12
    (step,) = cuda_graphs._idle[policy.forward]
    for layer in (*step._own, *step._crossing):
        layer.keys.fill_(torch.nan)
        layer.values.fill_(torch.nan)
    assert error(policy, None, policy, prompt, 0.0) <= 1e-12
    assert cuda_graphs._idle[policy.forward] == [step]


def test_idle_steps_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy("gpt2")
    monkeypatch.setattr(cuda_graphs, "KEPT", 2**22)
    for rows in range(1, 40):
        stream = opened(policy, prompts(rows=rows), captured=True)
        stream.push(torch.full((rows,), 2))
    del stream
    held = [step.bytes for step in cuda_graphs._idle[policy.forward]]
    assert 0 < sum(held) <= 2**22


# -- canaries --------------------------------------------------------------------------------------------------------


def forget_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Forward.decode

    def decode(forward: Forward, *arguments: Any, positions: Tensor | None = None, **options: Any) -> Any:
        return original(forward, *arguments, **options)

    monkeypatch.setattr(Forward, "decode", decode)


def forget_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    original = cuda_graphs._Step.load

    def load(step: Any, cache: Any, mask: Tensor | None, encoded: Tokens | None) -> None:
        original(step, cache, mask, encoded)
        step._mask.fill_(True)

    monkeypatch.setattr(cuda_graphs._Step, "load", load)


def mix_up_the_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    original = cuda_graphs._Step.after
    monkeypatch.setattr(cuda_graphs._Step, "after", lambda step, tokens, slots, forward: original(
        step, tokens.roll(1), slots, forward))  # fmt: skip


@pytest.mark.parametrize("fault", [forget_positions, forget_padding, mix_up_the_slots])
def test_canaries_a_wrong_recording_is_noticed_and_not_used(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    policy = tiny_policy("llama")
    with pytest.warns(RuntimeWarning, match="kernel by kernel.*logits are off by"):
        assert error(policy, None, policy, prompts(rows=5), 0.0) <= 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert error(policy, None, policy, prompts(rows=5), 0.0) <= 1e-12


def test_canary_a_fault_after_the_first_token_is_seen_by_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing one token would not see positions that stand still: the tests above do."""
    original = cuda_graphs._Step.after

    def after(step: Any, tokens: Tensor, slots: Tensor, forward: Forward) -> Tensor:
        if step.trusted and step.held > 5:
            step._positions[slots] -= 1
        return original(step, tokens, slots, forward)

    monkeypatch.setattr(cuda_graphs._Step, "after", after)
    policy = tiny_policy("gpt2")
    assert error(policy, None, policy, prompts(rows=5), 0.0) > 0.01


def test_canary_a_recording_with_a_number_of_python_s_in_it_is_seen(
    monkeypatch: pytest.MonkeyPatch, capturing: None
) -> None:
    """How many tokens are held, as a number of the host, would be the same at every replay."""
    monkeypatch.setattr(cuda_graphs, "_capture", traced)
    update = cuda_graphs._FixedLayer.update

    def updated(layer: Any, keys: Tensor, values: Tensor, *arguments: Any, **options: Any) -> Any:
        layer._index = torch.tensor([int(layer.cumulative_length)])
        return update(layer, keys, values, *arguments, **options)

    monkeypatch.setattr(cuda_graphs._FixedLayer, "update", updated)
    policy = tiny_policy("llama")
    with pytest.warns(RuntimeWarning, match="kernel by kernel"):
        error(policy, None, policy, prompts(rows=5), 0.0)


@EACH
@ADAPTERS
def test_nothing_waits_for_the_device(
    family: str, lora: bool, monkeypatch: pytest.MonkeyPatch, capturing: None
) -> None:
    """A forward pass on tensors without values; the canary asks for one."""
    ran = []

    def valueless(run: Run, device: torch.device) -> None:
        with FakeTensorMode(allow_non_fake_inputs=True):
            run()
            ran.append(run)

    small(monkeypatch, 128, 100)
    monkeypatch.setattr(cuda_graphs, "_capture", valueless)
    policy, reference, frozen = pair(family, lora)
    assert error(policy, reference, frozen, prompts(rows=5), 0.5) <= 1e-12
    assert len(ran) == 2
    original = Forward.to_logits

    def clipped(forward: Forward, states: Tensor) -> Tensor:
        logits = original(forward, states)
        return logits.clamp(max=20.0) if bool((logits > 20).any()) else logits

    policy = tiny_policy(family, lora=lora)
    monkeypatch.setattr(Forward, "to_logits", clipped)
    with pytest.warns(RuntimeWarning, match=DataDependentOutputException.__name__):
        error(policy, None, policy, prompts(rows=5), 0.0)


def test_models_with_other_caches_go_on_with_the_ordinary_stream() -> None:
    config = MistralConfig(vocab_size=7, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                           num_attention_heads=4, num_key_value_heads=2, sliding_window=4, eos_token_id=EOS,
                           pad_token_id=PAD, bos_token_id=None)  # fmt: skip
    policy = load_policy(config, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match="MistralForCausalLM is decoded kernel by kernel.*DynamicSlidingWindow"):
        assert error(policy, None, policy, prompts(rows=5), 0.0) <= 1e-12


class Counting(DynamicCache):
    """A cache that holds more than layers: every token that the model has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []


def test_a_cache_that_holds_more_than_layers_gets_each_token_once(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, prompt, tokens = tiny_policy("llama"), prompts(rows=4), torch.tensor([2, 3, 4, 5])
    original, name = LlamaModel.forward, policy.forward._cache_name

    def forward(model: LlamaModel, **inputs: Any) -> Any:
        if inputs["use_cache"] and inputs[name] is None:
            inputs[name] = Counting()
        output, cache = original(model, **inputs), inputs[name]
        if isinstance(cache, Counting):
            cache.seen.append(inputs["input_ids"])
            output.last_hidden_state = output.last_hidden_state + 0.1 * len(cache.seen)
        return output

    monkeypatch.setattr(LlamaModel, "forward", forward)
    ordinary, other = policy.stream(prompt), opened(policy, prompt, captured=True)
    ordinary.push(tokens)
    with pytest.warns(RuntimeWarning, match="decoded kernel by kernel.*the cache is a Counting"):
        other.push(tokens)
    assert distance(ordinary.logits, other.logits) <= 1e-12
    ordinary.push(tokens)
    other.push(tokens)
    assert distance(ordinary.logits, other.logits) <= 1e-12
    assert len(other.cache.seen) == 3
    completion = pad_right([[2, 3], [4, 5]] * 4)
    several, each = policy.log_prob(prompt, completion), prompt.rows(torch.arange(4).repeat_interleave(2))
    monkeypatch.undo()
    assert distance(several, policy.log_prob(each, completion)) <= 1e-12  # nothing of it is shared

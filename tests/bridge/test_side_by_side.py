"""A mixture's two models in one forward pass a token: the distributions of two passes, or two passes and the reason."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bridge.naive import naive_mixture, row
from bridge.test_families import HYBRIDS, SEEING, decoder, loud
from bridge.test_sampler import LENGTH, Recorder, distance
from bridge.tiny import EOS, FAMILIES, prompts, tiny_policy
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from llm_bridge.policy import Decoder, Policy, Reference, Tokens, load_policy, pad_left, rows, sample
from llm_bridge.policy import side_by_side as together
from llm_bridge.policy.stream import merged

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def soon_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the few tokens of these tests."""
    monkeypatch.setattr(together, "WORTH_IT", 3)


EACH = pytest.mark.parametrize("family", FAMILIES)
Patch = pytest.MonkeyPatch


def another(policy: Policy) -> Reference:
    """A frozen copy of the policy as it was before its trained weights moved on."""
    reference = policy.reference("copy")
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.requires_grad:
                weight.add_(0.15 * torch.randn(weight.shape, generator=generator).to(weight.dtype))
    return reference


def pair(family: str, kind: str, **options: Any) -> tuple[Policy, Reference]:
    """A policy in training mode and a reference of the kind: a copy, the same without adapters, a copy with others."""
    policy = tiny_policy(family, lora=kind != "copy", size=0.15, **options)
    policy.model.train()
    return policy, policy.reference("adapters-off") if kind == "adapters off" else another(policy)


KINDS = pytest.mark.parametrize("kind", ["copy", "adapters off", "copied adapters"])


def drawn(policy: Policy, reference: Any, beta: float = 0.4, **options: Any) -> tuple[Tokens, Recorder]:
    """Three completions a prompt, of which the first is the policy's own; with what they were drawn from."""
    given: dict[str, Any] = {"completions": 3, "plain": 1, "max_new_tokens": LENGTH} | options
    prompt = given.pop("prompt", prompts(rows=4))
    recorder = Recorder(len(prompt.ids) * given["completions"])
    found = sample(policy, prompt, beta=beta, reference=reference, generator=torch.Generator().manual_seed(1),
                   observer=recorder, **given)  # fmt: skip
    return found, recorder


def in_two_passes(monkeypatch: Patch, *arguments: Any, **options: Any) -> tuple[Tokens, Recorder]:
    """The same, each model by itself."""

    def refuse(*_: Any) -> None:
        raise rows.Unlike("not now")

    with monkeypatch.context() as patched:
        patched.setattr(together, "swaps", refuse)
        return drawn(*arguments, **options)


def passes(policy: Policy, reference: Any, pushed: int = 2) -> int:
    """Forward passes that a token takes after so many."""
    mixed = Decoder(policy, prompts(rows=4), beta=0.4, reference=reference)
    for _ in range(pushed):
        mixed.push(torch.full((4,), 3))
    return mixed.passes


def apart(one: tuple[Tokens, Recorder], other: tuple[Tokens, Recorder]) -> float:
    """The largest total variation of what two calls with the same random numbers drew from."""
    assert torch.equal(one[0].ids, other[0].ids)
    pairs = zip(one[1].steps, other[1].steps, strict=True)
    return max(distance(torch.stack(a), torch.stack(b)) for a, b in pairs)


# -- the same distributions ------------------------------------------------------------------------------------------


@EACH
@KINDS
def test_one_pass_gives_the_distributions_and_tokens_of_two(family: str, kind: str, monkeypatch: Patch) -> None:
    """In float64 to 1e-12 and to brute force, in others to their rounding; rows end, and are of unequal number."""
    policy, reference = pair(family, kind)
    assert passes(policy, reference) == 1
    found, seen = drawn(policy, reference)
    assert len(set(seen.batch_sizes)) > 2
    assert apart((found, seen), in_two_passes(monkeypatch, policy, reference)) <= 1e-12
    frozen = reference.policy
    for i, steps in enumerate(seen.steps):
        context, beta = row(prompts(rows=4), i // 3), 0.0 if i % 3 == 0 else 0.4
        if kind == "copied adapters":  # brute force switches a frozen policy's adapters off
            continue
        truth = naive_mixture(policy, frozen, context, row(found, i), beta)
        assert distance(torch.stack(steps), truth[: len(steps)]) <= 1e-12
    for dtype, near in ((torch.float32, 1e-5), (torch.bfloat16, 0.02)):
        policy, reference = pair(family, kind, dtype=dtype)
        assert passes(policy, reference) == 1
        one, two = drawn(policy, reference)[1], in_two_passes(monkeypatch, policy, reference)[1]
        assert max(distance(a[0], b[0]) for a, b in zip(one.steps, two.steps, strict=True)) == 0  # from the prompt
        second = [(a[1], b[1]) for a, b in zip(one.steps, two.steps, strict=True) if len(a) > 1 < len(b)]
        assert max(distance(a, b) for a, b in second) <= near


@EACH
@KINDS
def test_a_policy_may_be_the_reference_and_the_reference_the_policy(family: str, kind: str, monkeypatch: Patch) -> None:
    """Rows without adapters may come first; and all rows of the mixture may end before the policy's own."""
    policy, reference = pair(family, kind)
    swapped: Any = (reference, policy)
    assert passes(*swapped) == 1
    assert apart(drawn(*swapped), in_two_passes(monkeypatch, *swapped)) <= 1e-12
    mixed = Decoder(policy, prompts(rows=3), beta=0.4, reference=reference)
    alone = Decoder(policy, prompts(rows=3))
    for step, kept in enumerate([[0, 1, 2], [2, 0], [1, 1, 0], [2, 0]]):
        tokens = torch.arange(2, 2 + len(kept))
        for each in (mixed, alone):
            each.keep(torch.tensor(kept))
            if step == 2:
                mixed.unmix(torch.ones(3, dtype=torch.bool))
            each.push(tokens)
    assert mixed.passes == 1
    assert distance(mixed.log_probs, alone.log_probs) <= 1e-12


def test_all_completions_may_be_the_policy_s_own() -> None:
    policy, reference = pair("llama", "copy")
    own, none = drawn(policy, reference, plain=3), drawn(policy, None, beta=0.0, plain=0)
    assert apart(own, none) == 0


def test_mixed_precision_differs_by_its_rounding(monkeypatch: Patch) -> None:
    policy, reference = pair("llama", "copy", dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert passes(policy, reference) == 1
        one, two = drawn(policy, reference)[1], in_two_passes(monkeypatch, policy, reference)[1]
    assert max(distance(a[1], b[1]) for a, b in zip(one.steps, two.steps, strict=True) if len(a) > 1 < len(b)) <= 0.02


@EACH
def test_modes_and_weights_are_as_before(family: str) -> None:
    """Nothing that was replaced for a token stays replaced, also if the token fails."""
    policy, reference = pair(family, "copy")

    def state() -> list[Any]:
        modules = [*policy.model.modules(), *reference.policy.model.modules()]
        return [(sorted(vars(m)), m.training, [id(p) for p in m._parameters.values()]) for m in modules]

    before = state()
    drawn(policy, reference)
    assert state() == before
    mixed = Decoder(policy, prompts(rows=2), beta=0.4, reference=reference)
    mixed.push(torch.tensor([2, 3]))
    with pytest.raises(IndexError):
        mixed.push(torch.tensor([2, 3000]))
    assert state() == before


@EACH
def test_weights_are_laid_out_for_long_completions_and_only_within_bounds(family: str, monkeypatch: Patch) -> None:
    """The same distributions before and after; the canary lays out the first model's weights for both."""
    policy, reference = pair(family, "copy")
    asked: list[int] = []
    original = rows.lay_out

    def counted(replaced: Any) -> None:
        original(replaced)
        layers = [layer for swap in replaced for layer in swap.products if type(layer) is nn.Linear]
        asked.append(sum(not layer.weight.is_contiguous() for layer in layers))

    def mistaken(replaced: Any) -> None:
        original(replaced)
        for swap in replaced:
            for layer in swap.products[1:]:
                layer._parameters = swap.products[0]._parameters

    two = in_two_passes(monkeypatch, policy, reference)
    monkeypatch.setattr(together, "lay_out", counted)
    assert apart(drawn(policy, reference), two) <= 1e-12
    monkeypatch.setattr(rows, "ROOM", 100)
    assert apart(drawn(policy, reference), two) <= 1e-12
    assert asked[0] > asked[1] == 0
    monkeypatch.setattr(rows, "ROOM", 10**9)
    monkeypatch.setattr(together, "lay_out", mistaken)
    late = zip(drawn(policy, reference)[1].steps, two[1].steps, strict=True)
    assert max(distance(a[-1], b[-1]) for a, b in late if len(a) == len(b) == LENGTH) > 1e-3


# -- two passes, and why ---------------------------------------------------------------------------------------------


def with_another_size(policy: Policy) -> Any:
    return tiny_policy("llama", intermediate_size=16).reference()


def of_another_family(policy: Policy) -> Any:
    return tiny_policy("qwen2").reference()


def with_a_hook(policy: Policy) -> Any:
    reference = policy.reference()
    list(reference.policy.model.modules())[5].register_forward_hook(lambda *_: None)
    return reference


def with_other_adapters(policy: Policy) -> Any:
    return tiny_policy("llama", lora=True, seed=4).reference("copy")


def without_the_adapters_of_another(policy: Policy) -> Any:
    return tiny_policy("llama", lora=True, seed=4).reference("adapters-off")


REASONS: dict[Callable[[Policy], Any], str] = {
    with_another_size: "configurations differ in intermediate_size",
    of_another_family: "a LlamaConfig and a Qwen2Config",
    with_a_hook: "has hooks",
    with_other_adapters: "they have 32 and 172 layers",
    without_the_adapters_of_another: "one of two models has its adapters off",
}


@pytest.mark.parametrize("made", REASONS)
def test_models_that_cannot_share_a_pass_take_two_and_the_log_says_why_once(
    made: Callable[[Policy], Any], monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    policy = tiny_policy("llama")
    reference = made(policy)
    with caplog.at_level(logging.INFO, together.__name__):
        assert [passes(policy, reference) for _ in range(2)] == [2, 2]
        found = drawn(policy, reference)
    (line,) = [record.getMessage() for record in caplog.records if "two passes" in record.getMessage()]
    assert line.startswith("LlamaForCausalLM and its reference decode in two passes a token: ")
    assert REASONS[made] in line
    assert apart(found, in_two_passes(monkeypatch, policy, reference)) == 0


def hook_an_embedding(policy: Policy, reference: Any) -> None:
    policy.model.get_input_embeddings().register_forward_hook(lambda module, given, found: found + 0.5)


def scale_attention(policy: Policy, reference: Any) -> None:
    attention = next(m for m in policy.model.modules() if hasattr(m, "scaling") and hasattr(m, "q_proj"))
    attention.scaling *= 2


def steer_a_layer(policy: Policy, reference: Any) -> None:
    layer = next(m for name, m in policy.model.named_modules() if name.endswith("layers.0"))
    layer.register_forward_hook(lambda module, given, found: found - found.mean(0))


def call_another_function(policy: Policy, reference: Any) -> None:
    factor = next(m for name, m in policy.model.named_modules() if name.endswith("lora_A.default"))
    factor.forward = lambda x: 2 * torch.nn.functional.linear(x, factor.weight)


CHANGES = [
    (hook_an_embedding, "copy"),
    (scale_attention, "copy"),
    (hook_an_embedding, "adapters off"),
    (steer_a_layer, "adapters off"),
    (call_another_function, "adapters off"),
]


@pytest.mark.parametrize(("change", "kind"), CHANGES)
def test_a_pair_that_shared_a_pass_and_has_changed_since_takes_two(
    change: Callable[[Policy, Any], None], kind: str, monkeypatch: Patch
) -> None:
    """What somebody put around a layer is still there afterwards."""
    policy, reference = pair("llama", kind)
    assert passes(policy, reference) == 1
    change(policy, reference)
    put_there = [module for module in policy.model.modules() if "forward" in vars(module)]
    assert passes(policy, reference) == 2
    assert apart(drawn(policy, reference), in_two_passes(monkeypatch, policy, reference)) == 0
    assert [module for module in policy.model.modules() if "forward" in vars(module)] == put_there


def test_an_interrupted_pass_leaves_the_model_as_it_was(monkeypatch: Patch) -> None:
    policy, reference = pair("llama", "copy")
    before = {name: weight.clone() for name, weight in policy.model.state_dict().items()}
    calls = itertools.count()
    check = rows.Rows.check

    def interrupted(self: rows.Rows, x: torch.Tensor, in_head: bool) -> None:
        if next(calls) == 40:  # in the third pass or so, with methods replaced
            raise KeyboardInterrupt
        check(self, x, in_head)

    monkeypatch.setattr(rows.Rows, "check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drawn(policy, reference)
    assert next(calls) > 40
    assert not any("forward" in vars(module) for module in policy.model.modules())
    after = policy.model.state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_what_is_undone_is_undone_even_if_that_is_interrupted() -> None:
    undone: list[int] = []

    def undo() -> None:
        undone.append(1)
        if len(undone) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), rows.surely(undo):
        pass
    assert len(undone) == 2


def test_a_sample_in_another_thread_takes_two_passes() -> None:
    """Methods of a model are replaced during a joint pass, which another thread would meet."""
    policy, reference = pair("llama", "copy")
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(passes(policy, reference)))
    thread.start()
    thread.join()
    assert found == [2]
    assert passes(policy, reference) == 1


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_that_are_more_than_products_take_two_passes() -> None:
    """Weight-decomposed ones scale the whole product."""
    adapters = LoraConfig(r=2, use_dora=True, target_modules=["q_proj", "up_proj"], task_type="CAUSAL_LM")
    policy = Policy(get_peft_model(tiny_policy("llama").model, adapters), eos_id=EOS)
    assert passes(policy, policy.reference("adapters-off")) == 2


def test_a_sliding_window_takes_two_passes() -> None:
    config = decoder("mistral", sliding_window=4)
    policy = load_policy(config)
    assert passes(policy, policy.reference()) == 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", [*HYBRIDS.values(), *SEEING.values()], ids=[*HYBRIDS, *SEEING])
def test_every_family_draws_from_what_two_passes_draw_from(config: Callable[[], Any], monkeypatch: Patch) -> None:
    """In one pass or in two, whichever the family allows."""
    policy = loud(load_policy(config()))
    reference = another(policy)
    asked: dict[str, Any] = {"prompt": pad_left([[2, 3, 4, 5], [6], [3, 3, 7]]), "completions": 2}
    one, two = drawn(policy, reference, **asked)[1], in_two_passes(monkeypatch, policy, reference, **asked)[1]
    for a, b in zip(one.steps, two.steps, strict=True):
        assert distance(torch.stack(a), torch.stack(b)[: len(a)]) <= 1e-4


# -- canaries --------------------------------------------------------------------------------------------------------


def give_all_to_the_first(monkeypatch: Patch) -> None:
    monkeypatch.setattr(rows, "_each", lambda name, a, b, counts: rows.Swap(a, "forward", rows._own(a), a))


def divide_one_row_too_late(monkeypatch: Patch) -> None:
    original = rows._each

    def each(name: str, a: nn.Module, b: nn.Module, counts: Any) -> Any:
        wrong = rows.Rows(*counts.counts)
        wrong.counts = [counts.counts[0] + 1, counts.counts[1] - 1]
        return original(name, a, b, wrong if "down_proj" in name else counts)

    monkeypatch.setattr(rows, "_each", each)


def scale_by_the_first(monkeypatch: Patch) -> None:
    original = rows._scaled
    monkeypatch.setattr(rows, "_scaled", lambda a, b, counts: original(a, a, counts))


def share_all_products(monkeypatch: Patch) -> None:
    original = rows._shared
    monkeypatch.setattr(rows, "_shared", lambda a, b: type(a) is nn.Linear or original(a, b))


def mix_up_the_caches(monkeypatch: Patch) -> None:
    original = merged
    monkeypatch.setattr(together, "merged", lambda first, second: original(second, first))


@pytest.mark.parametrize(
    "fault", [give_all_to_the_first, divide_one_row_too_late, scale_by_the_first, share_all_products, mix_up_the_caches]
)
def test_canaries_a_wrong_pass_is_noticed_and_not_used(
    fault: Callable[[Patch], None], monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    policy, reference = pair("llama", "copy")
    two = in_two_passes(monkeypatch, policy, reference)
    fault(monkeypatch)
    with caplog.at_level(logging.INFO, together.__name__):
        assert passes(policy, reference) == 2
    assert "one pass is off by" in caplog.text
    assert apart(drawn(policy, reference), two) <= 1e-12


def test_canary_weights_used_past_their_layer_are_noticed_though_both_models_are_equal(monkeypatch: Patch) -> None:
    """A gate multiplied by its weight and not by a call of it; without NaN in the weights' place nothing would show."""

    def forward(layer: Any, x: Tensor) -> Tensor:
        gate = nn.functional.linear(x, layer.gate_proj.weight)
        found: Tensor = layer.down_proj(layer.act_fn(gate) * layer.up_proj(x))
        return found

    policy = tiny_policy("llama")
    monkeypatch.setattr(LlamaMLP, "forward", forward)
    assert passes(policy, policy.reference()) == 2
    monkeypatch.setattr(together, "spoiled", lambda replaced: monkeypatch.context())
    assert passes(policy, policy.reference()) == 1


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_canaries_adapters_for_all_rows_or_for_the_other_ones(family: str, monkeypatch: Patch) -> None:
    original = rows._beside_adapters
    for wrong in (lambda *_: [], lambda forward, counts, silent: original(forward, counts, not silent)):
        monkeypatch.setattr(rows, "_beside_adapters", wrong)
        assert passes(*pair(family, "adapters off")) == 2


def test_canary_rows_that_were_dropped_from_one_model_alone(monkeypatch: Patch) -> None:
    """After the compared token nothing but these tests sees a wrong split."""
    policy, reference = pair("llama", "copy")
    two = in_two_passes(monkeypatch, policy, reference)
    original = together._Joint.keep_each

    def keep_each(joint: Any, first: Tensor, second: Tensor) -> None:
        original(joint, first, second.flip(0))

    monkeypatch.setattr(together._Joint, "keep_each", keep_each)
    steps = itertools.zip_longest(drawn(policy, reference)[1].steps, two[1].steps)
    assert max(distance(a[i], b[i]) for a, b in steps for i in range(min(len(a), len(b)))) > 1e-3


def test_a_configuration_of_the_same_shape_but_another_constant_is_another_model() -> None:
    """Whereas a name does not matter."""
    policy, other = tiny_policy("llama"), tiny_policy("llama", rms_norm_eps=1e-2)
    assert isinstance(policy.model.config, LlamaConfig)
    assert passes(policy, other.reference()) == 2
    other.model.config._name_or_path = policy.model.config._name_or_path = "x"
    assert passes(policy, policy.reference()) == 1

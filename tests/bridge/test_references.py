"""References: the distribution that they were taken at stays."""

from __future__ import annotations

import pytest
import torch
from bridge.naive import EXACT, error_against_naive, naive_log_prob
from bridge.tiny import FAMILIES, completions, prompts, tiny_policy
from torch import Tensor

from llm_bridge.policy import Policy, Reference, check_reference
from nashlab.game import BadInput

torch.set_num_threads(1)

EACH = pytest.mark.parametrize("family", FAMILIES)


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

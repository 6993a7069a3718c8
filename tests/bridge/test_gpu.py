"""On a GPU: decoding is captured for real and exact, log-probabilities and trained weights are those of a CPU."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arena import SETTINGS, generated
from bridge.naive import naive_mixture, row
from bridge.test_sampler import BETAS, LENGTH, Recorder, distance, pair
from bridge.tiny import FAMILIES, prompts, tiny_policy

from llm_bridge.policy import Policy, Reference, Tokens, cuda_graphs, sample, seeded
from llm_bridge.training import BRIDGED, Settings, Weights, bridged, train
from llm_bridge.verify import tiny

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.filterwarnings("error:.*decoded kernel by kernel:RuntimeWarning"),
]
EACH = pytest.mark.parametrize("family", FAMILIES)
ADAPTERS = pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])


def pair_there(family: str, lora: bool, **options: Any) -> tuple[Policy, Reference, Policy]:
    """As :func:`bridge.test_sampler.pair`, on the GPU."""
    policy, reference, frozen = pair(family, lora, **options)
    for each in (policy, reference.policy, frozen):
        each.model.to("cuda")
    return policy, reference, frozen


def error(
    policy: Policy, reference: Reference | None, frozen: Policy, prompt: Tokens, beta: float, k: int = 1
) -> float:
    """The largest total variation between what is drawn from and a recomputation, row by row, on the same GPU."""
    seen = Recorder(len(prompt.ids) * k)
    drawn = sample(policy, prompt, completions=k, max_new_tokens=LENGTH, beta=beta, reference=reference,
                   generator=torch.Generator().manual_seed(1), observer=seen)  # fmt: skip
    worst = 0.0
    for i, steps in enumerate(seen.steps):
        said = row(drawn, i)
        truth = naive_mixture(policy, frozen, row(prompt, i // k), said, beta)[: len(said)]
        worst = max(worst, distance(torch.stack(steps), truth))
    return worst


def are_captured(*policies: Policy) -> bool:
    """Whether steps of these have been captured as CUDA graphs."""
    steps = [cuda_graphs._idle.get(policy.forward, []) for policy in policies]
    return all(any(step.replay is not None for step in each) for each in steps)


@EACH
@ADAPTERS
@pytest.mark.parametrize(("places", "shrink"), [(128, 4), (8, 2)], ids=["roomy", "moving"])
def test_captured_distributions_equal_recomputed_ones(
    family: str, lora: bool, places: int, shrink: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other prompts, rows, mixtures and values of the weights after the first recording."""
    monkeypatch.setattr(cuda_graphs, "PLACES", places)
    monkeypatch.setattr(cuda_graphs, "SHRINK", shrink)
    policy, reference, frozen = pair_there(family, lora)
    for padded, beta, k in itertools.product((False, True), BETAS, (1, 3)):
        assert error(policy, reference, frozen, prompts(padded=padded, rows=5), beta, k) <= 1e-12
        with torch.no_grad():
            for weight in policy.model.parameters():
                if weight.requires_grad:
                    weight.mul_(1.05)
    assert are_captured(policy, reference.policy)


@EACH
def test_weights_that_are_put_on_have_recordings_of_their_own(family: str) -> None:
    policy, prompt = tiny_policy(family), prompts(rows=4)
    policy.model.to("cuda")
    earlier = Weights(policy)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.mul_(1.5)
    for _ in range(2):
        assert error(policy, None, policy, prompt, 0.0) <= 1e-12
        with earlier.worn():
            assert error(policy, None, policy, prompt, 0.0) <= 1e-12
    assert are_captured(policy)


@EACH
def test_lower_precision_differs_by_its_rounding(family: str) -> None:
    """As on a CPU (test_sampler explains the numbers), where fewer kinds of kernels round in fewer places."""
    prompt = prompts(rows=5)
    for dtype, near in ((torch.float32, 1e-5), (torch.bfloat16, 0.04)):
        policy, reference, frozen = pair_there(family, True, dtype=dtype)
        assert error(policy, reference, frozen, prompt, 0.5) <= near
    policy, reference, frozen = pair_there(family, False, dtype=torch.float32)
    with torch.autocast("cuda", torch.bfloat16):
        assert error(policy, reference, frozen, prompt, 0.5) <= 0.05
    assert are_captured(policy, reference.policy)


def trained(device: str, method: str, folder: Path | None = None, progress: Any = lambda record: None, **changes: Any):
    policy = tiny("gpt2", lora=method == "ipo-md", seed=1)
    policy.model.to(device)
    settings = Settings(**(SETTINGS | changes))
    train(policy, bridged(method), generated(), settings, folder=folder, progress=progress)
    return [p.detach().cpu().numpy() for p in policy.model.parameters() if p.requires_grad]


def largest(ours: list[Any], theirs: list[Any]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("method", sorted(BRIDGED))
def test_every_method_learns_what_it_learns_on_a_cpu(method: str) -> None:
    # float64 sums in another order, off by 1e-16, over six steps of SGD; the canary learns with another temperature
    here, there = (trained(device, method, optimiser="sgd") for device in ("cpu", "cuda"))
    assert largest(here, there) <= 1e-10
    assert largest(here, trained("cuda", method, optimiser="sgd", learning_rate=0.021)) > 1e-8


@pytest.mark.parametrize("method", ["ipo-md", "egpo", "nash-ema-pg"])
def test_stopped_and_resumed_it_ends_with_the_same_weights(method: str, tmp_path: Path) -> None:
    whole = trained("cuda", method)
    with pytest.raises(KeyboardInterrupt):
        trained("cuda", method, tmp_path, progress=_stop_at_three)
    # float64 sums of which some are added in no fixed order, and AdamW divides them by their size plus 1e-8
    assert largest(trained("cuda", method, tmp_path), whole) <= 1e-8


def _stop_at_three(record: dict[str, Any]) -> None:
    if record["step"] == 3:
        raise KeyboardInterrupt


@EACH
def test_log_probabilities_and_their_gradients_equal_a_cpu_s(family: str) -> None:
    prompt, said, found = prompts(rows=5), prompts(padded=False, rows=5), []
    for device in ("cpu", "cuda"):
        policy = tiny_policy(family)
        policy.model.to(device)
        values = policy.log_prob(prompt, said)
        values.sum().backward()
        slopes = [p.grad.cpu() for p in policy.model.parameters() if p.grad is not None]
        found.append([values.detach().cpu(), *slopes])
    # angles of rotary positions are float32 in every model of transformers: off by 1e-7 of up to a hundred
    near = 1e-4 if family in ("llama", "qwen2") else 1e-10
    assert max(float((a - b).abs().max()) for a, b in zip(*found, strict=True)) <= near


def test_random_numbers_of_every_device_are_left_as_they_were() -> None:
    before = torch.cuda.get_rng_state()
    with seeded(3):
        torch.rand(5, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)

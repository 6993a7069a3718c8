"""The reference μ: the policy as it is, kept as a frozen copy, or as the same weights with the LoRA adapters off."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_bridge.policy.stream import Stream
from llm_bridge.policy.switches import adapter_layers, adapters_are_fresh, adapters_off, evaluating
from llm_bridge.policy.tokens import Tokens, pad_left, pad_right
from nashlab.game import BadInput, suggestion

if TYPE_CHECKING:
    from llm_bridge.policy.policy import Policy

__all__ = ["REFERENCE_KINDS", "Reference", "check_reference", "reference_of"]

REFERENCE_KINDS = ("copy", "adapters-off")

KINDS_IN_WORDS = {"copy": "as it is now", "adapters-off": "without its adapters"}

logger = logging.getLogger(__name__)

# ways of initialising LoRA that take the adapters' first product out of the weights under them
INTO_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


class Reference:
    """μ: a policy that no update changes, with the policy's interface; made by :func:`reference_of`.

    policy  the holder of the weights: a frozen copy (kind "copy"), or the trained policy itself, whose adapters are off
            whenever the reference computes (kind "adapters-off").

    Nothing here is differentiable, and everything runs in evaluation mode.
    """

    def __init__(self, policy: Policy, kind: str) -> None:
        self.policy = policy
        self.kind = kind

    def log_prob(self, prompt: Tokens, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log μ(y | x), shape [B]; see :meth:`Policy.log_prob`."""
        return self.token_log_probs(prompt, completion, temperature=temperature).sum(dim=1)

    def token_log_probs(self, prompt: Tokens, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log μ(y_t | x, y_<t), shape [B, T]; see :meth:`Policy.token_log_probs`."""
        with self._at_work():
            return self.policy.token_log_probs(prompt, completion, temperature=temperature)

    def logits(self, prompt: Tokens, completion: Tokens) -> Tensor:
        """See :meth:`Policy.logits`."""
        with self._at_work():
            return self.policy.logits(prompt, completion)

    def stream(self, prompt: Tokens) -> Stream:
        """Start decoding after ``prompt`` with a separate cache; see :class:`Stream`."""
        if self.kind == "copy":
            return self.policy.stream(prompt)
        return Stream(self.policy.forward, self.policy.checked(prompt)[0], adapters_off=True)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        off = adapters_off(adapter_layers(self.policy.model)) if self.kind == "adapters-off" else nullcontext()
        with torch.no_grad(), evaluating(self.policy.model), off:
            yield


def reference_of(policy: Policy, kind: str | None = None) -> Reference:
    """μ: "copy", the policy as it is now, or "adapters-off", its weights without the adapters.

    The default is the policy as it is, so that KL(π‖μ) starts at 0: fresh adapters, which change nothing yet, are
    switched off; loaded or trained ones are copied.  Untrained weights are never copied, so a copy of a model with
    adapters holds the adapters twice and the model once.  The log names the kind.
    Raises :class:`BadInput` for another kind, and for "adapters-off" on a model without adapters, or with adapters
    whose initialisation has changed the weights themselves (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA).
    """
    chosen = kind or ("adapters-off" if adapters_are_fresh(policy.model) else "copy")
    if chosen not in REFERENCE_KINDS:
        raise BadInput(f"kind = {chosen!r}, must be one of {REFERENCE_KINDS}{suggestion(chosen, REFERENCE_KINDS)}")
    told = "as it is now, adapters included" if policy.has_adapters and chosen == "copy" else KINDS_IN_WORDS[chosen]
    logger.info("the reference is the policy %s (kind = %r)", told, chosen)
    if chosen == "copy":
        return Reference(policy.frozen_copy(), chosen)
    if not policy.has_adapters:
        raise BadInput("kind = 'adapters-off', but the model has no adapters; must be 'copy'")
    for config in getattr(policy.model, "peft_config", {}).values():
        way = getattr(config, "init_lora_weights", None)
        if str(way).startswith(INTO_THE_BASE):
            raise BadInput(
                f"kind = 'adapters-off', but init_lora_weights = {way!r} has changed the weights; must be 'copy'"
            )
    return Reference(policy, chosen)


def check_reference(
    policy: Policy, reference: Reference, prompt: Tokens | None = None, completion: Tokens | None = None
) -> None:
    """Move the policy as an update would, check that the reference does not move, and restore the policy.

    Every trainable weight gets a random step.  Between before and after, the policy's log-probabilities of
    ``completion`` must change, those of the reference and its first cached distribution after ``prompt`` must not.  The
    weights are restored bit for bit (from one copy of the trainable weights); no random state is touched.

    Raises :class:`BadInput` if the reference moves with the policy (shared weights, adapters left on) or if the policy
    does not move (nothing to train).

    Source: theory §6; the published trainers' fault that it detects: a "reference" with the adapters left on.
    """
    trainable = [p for p in policy.model.parameters() if p.requires_grad]
    if not trainable:
        raise BadInput("policy: no weight has requires_grad, so no update could move it")
    # ordinary tokens, because a padding token's embedding may be 0, which hides every adapter
    special = {*policy.ends, policy.pad_id}
    first, second = ([i for i in range(policy.forward.vocabulary) if i not in special] * 2 or [policy.eos_id] * 2)[:2]
    prompt = prompt or pad_left([[first, second]])
    completion = completion or pad_right([[second, policy.eos_id]] * len(prompt.ids))

    def look(model: Policy | Reference) -> Tensor:
        with torch.no_grad(), evaluating(policy.model):
            first = model.stream(prompt).logits.log_softmax(dim=-1)
            return torch.cat([first.flatten(), model.log_prob(prompt, completion)])

    before, again = ((look(policy), look(reference)) for _ in range(2))
    with _pushed(trainable):
        after = look(policy), look(reference)
    # a second call may sum in another order, so the difference of two calls on the same weights is measured: the
    # rounding of half precision alone would not bound it
    repeated = max(float((a - b).abs().max()) for a, b in zip(again, before, strict=True))
    finest = min(torch.finfo(policy.dtype).eps, torch.finfo(torch.float32).eps)
    noise = 4 * repeated + 64 * finest * (1 + float(before[0].abs().max()))
    moved, drift = ((a - b).abs().max() for a, b in zip(after, before, strict=True))
    if not moved > noise:
        raise BadInput("policy: a random step of its trainable weights does not change its distribution")
    if not drift <= noise:
        raise BadInput(
            f"reference moves with the policy (by {drift:.2g} nats when the policy moves by {moved:.2g}); "
            "it must have its own weights, or the adapters must be off and nothing but adapters be trained"
        )


@contextmanager
def _pushed(parameters: list[nn.Parameter], size: float = 0.1) -> Iterator[None]:
    """Parameters displaced at random inside the block, and restored exactly after it."""
    saved = [p.detach().clone() for p in parameters]
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for p in parameters:
                scale = size * (p.float().square().mean().sqrt() if p.any() else 1.0)  # LoRA's B starts at zero
                p.add_((torch.randn(p.shape, generator=generator).to(p.device) * scale).to(p.dtype))
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(parameters, saved, strict=True):
                p.copy_(value)

"""Checks on a few tokens that a model really is the policy it is used as.

Decoder, head and the operations after it must be the model's own (else its own forward pass is used); logits must not
depend on later tokens, on padding before a prompt, or on how positions are given.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from llm_bridge.policy.stream import Stream
from llm_bridge.policy.switches import evaluating
from llm_bridge.policy.tokens import Tokens, pad_left, pad_right
from nashlab.game import BadInput, first_line

if TYPE_CHECKING:
    from llm_bridge.policy.forward import Forward
    from llm_bridge.policy.policy import Policy

__all__ = ["close", "precision", "settle"]


def settle(policy: Policy) -> None:
    """Decide how the model is used: with its parts or its own forward pass, with its cache or without.

    Raises :class:`BadInput` for a model that is not a policy, or cannot be run; warns about a cost in memory or time.
    """
    forward = policy.forward
    try:
        forward.chunked = reproduces_own_logits(policy)
        check_distribution(policy)
        why = distrust_of_cache(policy)
    except BadInput:
        raise
    except Exception as error:  # models fail in many ways
        raise BadInput(f"model = {forward.name} cannot be run on text alone: {first_line(error)}") from error
    forward.caches = why is None
    if not forward.chunked:
        _warn(f"{forward.name} changes its logits in an unknown way: "
              "its own forward is used, which holds the logits of all positions in memory")  # fmt: skip
    if why is not None:
        _warn(f"{forward.name} is sampled without a cache, reading all tokens again for each new one: {why}")


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=5)


def check_distribution(policy: Policy) -> None:
    """BadInput if a few tokens show that log π would be another model's, or not a distribution.

    Masked columns of a causal model have weight 0 in any precision, so any nonzero slope reveals a dependence, however
    small. Positions that shift with the padding show only in the logits.
    """
    forward = policy.forward
    name = f"model = {forward.name}"
    a, b, c, d = _ordinary_tokens(policy, 4)
    near = _nearness(policy)
    other = [c, d] if forward.padding_makes_nan else [d, c, a, b]
    prompt, completion = (tokens.to(forward.device) for tokens in (pad_left([[a, b]]), pad_right([[c, d, a]])))
    with evaluating(policy.model):
        with torch.no_grad():
            alone, changed = policy.logits(prompt, completion), policy.logits(prompt, pad_right([[c, c, a]]))
            theirs = alone if forward.chunked else forward.own_logits(prompt, completion)
            padding = getattr(forward.base.config, "pad_token_id", None)
            if forward.takes_positions and padding is not None and not close(alone, theirs, near):
                forward.first_position = padding + 1  # the first position of Roberta and its relatives
                alone, changed = policy.logits(prompt, completion), policy.logits(prompt, pad_right([[c, c, a]]))
        beside, read = _looked_at(policy, pad_left([[a, b], other]), pad_right([[c, d, a]] * 2))
    behind = any(columns[-1] for columns in read[-1:])
    before = any((columns[2:] if forward.is_encoder_decoder else columns[:-4]).any() for columns in read[:1])
    if behind or not close(changed[:, :2], alone[:, :2], near):
        raise BadInput(f"{name}, must be causal: its logits depend on later tokens (see its is_decoder)")
    if not close(alone, theirs, near):
        raise BadInput(f"{name}, must compute the same logits with position_ids as without them")
    if before or not close(beside, alone, near):
        raise BadInput(f"{name}, must heed attention_mask: padding before a prompt changes its logits")


def reproduces_own_logits(policy: Policy) -> bool:
    """Whether decoder, head and the rest are this model's: compared at the head's input and output.

    The operations after the head are tested on a wide range of logits, because those of a random model are too small to
    show a soft cap.
    """
    forward = policy.forward
    head = forward.base.get_output_embeddings()
    if head is None:
        return False
    sweep = torch.linspace(-100, 100, forward.vocabulary, dtype=forward.dtype, device=forward.device)
    seen: list[Tensor] = []

    def replace(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.append(inputs[0])
        return sweep.expand_as(output)

    a, b, c = _ordinary_tokens(policy, 3)
    prompt, completion = (pad([ids]).to(forward.device) for pad, ids in ((pad_left, [a, b]), (pad_right, [c])))
    with torch.no_grad(), evaluating(policy.model):
        handle = head.register_forward_hook(replace)
        try:
            theirs = forward.own_logits(prompt, completion)
        finally:
            handle.remove()
        try:
            states = forward.before_head(policy.states(prompt, completion))
        except (AttributeError, TypeError):  # a decoder with another signature
            return False
        near = 8 * torch.finfo(forward.dtype).eps
        return (
            len(seen) == 1
            and close(states, seen[0][:, -1:], near**0.75)
            and close(forward.after_head(sweep).expand_as(theirs), theirs, near)
        )


def distrust_of_cache(policy: Policy) -> str | None:
    """The reason why a model cannot use its cache, or None: its logits differ after rows were repeated and dropped.

    Two prompts of different lengths, the shorter one continued twice, are compared with reading without a cache.
    """
    forward = policy.forward
    a, b, c, d = _ordinary_tokens(policy, 4)
    rows = torch.tensor([1, 1, 0], device=forward.device)
    prompt = pad_left([[a, b, c], [b, d, a] if forward.padding_makes_nan else [d]], policy.pad_id).to(forward.device)
    written = torch.tensor([[c, a, d], [b, c, a]], device=forward.device)

    def decoded() -> Tensor:
        stream = Stream(forward, policy.checked(prompt)[0])
        stream.keep(rows)
        for tokens in written:
            stream.push(tokens)
        stream.keep(rows[1:])
        stream.push(written[0, :2])
        return stream.logits

    forward.caches = False
    again = decoded()
    forward.caches = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = decoded()
    except Exception as error:  # caches fail in many ways
        return first_line(error)
    if close(ours, again, _nearness(policy)):
        return None
    return f"its logits are off by {float((ours - again).abs().max()):.2g}"


def _looked_at(policy: Policy, prompt: Tokens, completion: Tokens) -> tuple[Tensor, list[Tensor]]:
    """The first row's logits [1, T, V] and the columns [L] (bool) that the logits of its first two tokens depend on.

    Columns are those of the encoder, if there is one, and those of the decoder.
    """
    with torch.enable_grad(), _embeddings_kept(policy.forward.base, policy.is_encoder_decoder) as kept:
        logits = policy.logits(prompt, completion)[:1]
        value = (logits[:, :2] * torch.linspace(1, 2, logits.shape[2]).to(logits)).sum()
        slopes = torch.autograd.grad(value, kept, allow_unused=True)
    # a slope of 0 / 0, or rows that a model has turned into columns, prove nothing
    told = [slope[0].nan_to_num(0.0) for slope in slopes if slope is not None and len(slope) == len(prompt.ids)]
    return logits.detach(), [slope.any(dim=-1) for slope in told]


@contextmanager
def _embeddings_kept(base: Any, is_encoder_decoder: bool) -> Iterator[list[Tensor]]:
    """The embedded tokens, in the order in which parts of the model request them, with their gradients kept."""
    parts = [base.get_encoder(), base.get_decoder()] if is_encoder_decoder else [base]
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()  # the model may change it in place

    handles = [m.register_forward_hook(keep) for m in {part.get_input_embeddings() for part in parts}]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _ordinary_tokens(policy: Policy, count: int) -> list[int]:
    """The first ids that are neither padding nor an end of sequence, repeated if there are too few."""
    special = {*policy.ends, policy.pad_id}
    known = range(min(policy.forward.vocabulary, count + len(special)))
    found = [i for i in known if i not in special] or [policy.eos_id]
    return (found * count)[:count]


def _nearness(policy: Policy) -> float:
    """The tolerance for logits computed in another order; parts of every model compute in float32."""
    rounding = _rounding_of_products(policy.forward.dtype, policy.forward.device)
    return float((8 * max(rounding, torch.finfo(torch.float32).eps)) ** 0.75)


def _rounding_of_products(dtype: torch.dtype, device: torch.device) -> float:
    """Relative rounding of a matrix product: TensorFloat-32, if switched on, keeps ten bits of a factor."""
    factor = torch.full((64, 64), 1 + 2**-12, dtype=dtype, device=device)
    return max(torch.finfo(dtype).eps, float((factor @ factor / 64 - factor**2).abs().max()))


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    """Whether tensors of one shape differ by at most ``tolerance``, relative to the largest entry of the second."""
    ours, theirs = ours.double(), theirs.double()
    scale = theirs.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return ours.shape == theirs.shape and bool((ours - theirs).abs().max() <= tolerance * scale)


def precision(forward: Forward) -> torch.dtype:
    """The precision of the forward pass."""
    kind = forward.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else forward.dtype

"""Decoding in fixed buffers, so that a GPU needs one launch per token instead of one per kernel.

A small transformer decodes faster than its kernels can be launched one by one.  A CUDA graph launches all of them at
once, but uses the memory addresses of its capture.  So keys, values, masks, tokens and logits stay in place here, the
number of stored tokens is kept on the device, and finished rows are skipped instead of removed.

    tokens [S] → captured forward pass of one token → logits [S, V]        S slots, C places for keys and values

Captured steps are reused by later batches; they belong to a shape, a precision and the addresses of the weights.  Every
new capture is compared with the ordinary stream at its first token.  If it cannot be made, or differs, the policy
continues with the ordinary stream, and logs this once.  On a CPU the same buffers and forward pass run without capture,
which is how the tests check them.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import StaticLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from llm_bridge.policy.forward import Forward
from llm_bridge.policy.policy import Policy
from llm_bridge.policy.reference import Reference
from llm_bridge.policy.soundness import close, precision
from llm_bridge.policy.stream import Stream, filled, give_room, holding, layers_of
from llm_bridge.policy.tokens import Tokens

__all__ = ["CapturedStream", "opened"]

PLACES = 128  # capacities are multiples of it, to capture few shapes
SHRINK = 4  # rows move to fewer slots when one in SHRINK is left: each size needs a capture
KEPT = 2**31  # bytes of idle steps kept for a policy

_idle: weakref.WeakKeyDictionary[Forward, list[_Step]] = weakref.WeakKeyDictionary()
_refused: weakref.WeakSet[Forward] = weakref.WeakSet()


def opened(model: Policy | Reference, prompt: Tokens, *, captured: bool | None = None) -> Stream:
    """A stream of the model after the prompt; captured if its weights are on a GPU, unless ``captured`` decides."""
    policy = model.policy if isinstance(model, Reference) else model
    if not policy.forward.caches or not (policy.device.type == "cuda" if captured is None else captured):
        return model.stream(prompt)
    silent = isinstance(model, Reference) and model.kind == "adapters-off"
    return CapturedStream(policy.forward, policy.checked(prompt)[0], adapters_off=silent)


class CapturedStream(Stream):
    """A :class:`Stream` that uses fixed buffers from its first pushed token on, if its model allows it."""

    def __init__(self, forward: Forward, prompt: Tokens, *, adapters_off: bool = False) -> None:
        super().__init__(forward, prompt, adapters_off=adapters_off)
        self._step: _Step | None = None
        self._slots: Tensor  # of the step that hold our rows
        self._let_go: Any

    def push(self, tokens: Tensor) -> None:
        """Append one token [B] to each row; :attr:`logits` then refer to the next one."""
        if self._step is not None and self._step.held == self._step.places:
            self._leave(self._slots)
        if self._step is not None:
            self.logits = self._after(self._step, tokens, self._slots)
        elif self.forward in _refused:
            super().push(tokens)
        else:
            self._enter(tokens)

    def keep(self, rows: Tensor) -> None:
        """Continue with the rows of these indices only."""
        if self._step is None:
            super().keep(rows)
            return
        slots, self.logits = self._slots[rows], self.logits[rows]
        if len(rows) * SHRINK <= self._step.slots or len(rows.unique()) < len(rows):
            self._leave(slots)
        else:
            self._slots = slots

    def _after(self, step: _Step, tokens: Tensor, slots: Tensor) -> Tensor:
        # the capture was made with the flags set, and setting them again takes as long as a token of a small model
        with nullcontext() if step.replay else self._at_work():
            return step.after(tokens, slots, self.forward)

    def _enter(self, tokens: Tensor) -> None:
        """Push the tokens into a step's buffers, and stay there unless the step fails."""
        slots = torch.arange(len(tokens), device=tokens.device)
        try:
            with self._at_work():
                step = _step_for(self)
                step.load(self.cache, self.mask, self.encoded)
            logits = self._after(step, tokens, slots)
        except Exception as error:  # for any error, fall back to the ordinary stream
            self._refuse(f"{type(error).__name__}: {error}")
            super().push(tokens)
            return
        if not step.trusted:
            super().push(tokens)
            if not close(logits, self.logits, (8 * torch.finfo(precision(self.forward)).eps) ** 0.75):
                self._refuse(f"its logits are off by {float((logits - self.logits).abs().max()):.2g}")
                return
            step.trusted = True
        self._step, self._slots, self.logits = step, slots, logits
        self.cache = self.mask = self.encoded = None
        self._let_go = weakref.finalize(self, _lay_down, weakref.ref(self.forward), step)
        self._let_go.atexit = False

    def _leave(self, slots: Tensor) -> None:
        """Return to growing buffers with the rows of these slots; a slot may occur more than once."""
        assert self._step is not None
        self.cache, self.mask, self.encoded = self._step.unload(slots)
        self._step = None
        self._let_go()

    def _refuse(self, why: str) -> None:
        _refused.add(self.forward)
        name = type(self.forward.model).__name__
        message = f"{name} is decoded kernel by kernel: its forward pass cannot be captured ({why})"
        warnings.warn(message, RuntimeWarning, stacklevel=2)


class _Step:
    """The forward pass of one token in fixed buffers with S slots and C places for keys and values.

    key      what it was made for;    held      places in use, including the prompt's padding;
    trusted  whether its first token was compared with the ordinary stream's;    replay   the captured graph, or None.
    """

    def __init__(self, key: tuple[Any, ...], slots: int, places: int, stream: CapturedStream) -> None:
        self.key, self.slots, self.places = key, slots, places
        self.held, self.trusted = 0, False
        device = stream.logits.device
        own, crossing = layers_of(stream.cache)
        self._place = torch.zeros((), dtype=torch.long, device=device)  # of the next token, in all layers
        self._own: list[Any] = [_FixedLayer(layer, slots, places, self._place) for layer in own]
        width = _rounded(crossing[0].keys.shape[2]) if crossing else 0
        self._crossing: list[Any] = [
            filled(*(t.new_zeros(slots, t.shape[1], width, t.shape[3]) for t in (layer.keys, layer.values)))
            for layer in crossing
        ]
        self.bytes = sum(t.nbytes for layer in (*self._own, *self._crossing) for t in (layer.keys, layer.values))
        self._cache = holding(stream.cache, self._own, self._crossing)
        self._tokens = torch.zeros(slots, dtype=torch.long, device=device)
        self._positions = torch.zeros(slots, 1, dtype=torch.long, device=device)
        self._mask = None if stream.mask is None else stream.mask.new_ones(slots, places)
        self._encoded: Tokens | None = None
        if stream.encoded is not None:
            states, mask = stream.encoded
            self._encoded = Tokens(states.new_zeros(slots, width, states.shape[2]), mask.new_ones(slots, width))
        self._logits = stream.logits.new_zeros(slots, stream.logits.shape[1])
        self._width = 0  # of the encoded prompt
        forward = stream.forward
        self.replay = _capture(lambda: self._run(forward), device)

    def load(self, cache: Any, mask: Tensor | None, encoded: Tokens | None) -> None:
        """Take over a stream's state; everything else is zero, so that nothing remains from an earlier batch."""
        own, crossing = layers_of(cache)
        rows, self.held = len(own[0].keys), own[0].keys.shape[2]
        for fixed, layer in zip([*self._own, *self._crossing], [*own, *crossing], strict=True):
            for there, here in ((fixed.keys, layer.keys), (fixed.values, layer.values)):
                there.zero_()
                there[:rows, :, : here.shape[2]] = here
        self._place.fill_(self.held)
        self._positions.zero_()
        if mask is not None and self._mask is not None:
            self._mask.fill_(True)
            self._mask[:rows, : self.held] = mask
            self._positions[:rows, 0] = mask.sum(1) - 1
        if encoded is not None and self._encoded is not None:
            self._width = encoded.ids.shape[1]
            self._encoded.ids.zero_()
            self._encoded.mask.zero_()
            self._encoded.mask[:, 0] = True  # an empty slot needs at least one visible token too
            self._encoded.ids[:rows, : self._width] = encoded.ids
            self._encoded.mask[:rows, : self._width] = encoded.mask

    def unload(self, slots: Tensor) -> tuple[Any, Tensor | None, Tokens | None]:
        """Cache, mask and encoded prompt of the rows in these slots, as a stream holds them."""
        own, crossing = (
            [filled(*(t[slots, :, :width] for t in (layer.keys, layer.values))) for layer in layers]
            for layers, width in ((self._own, self.held), (self._crossing, self._width))
        )
        cache = holding(self._cache, own, crossing)
        give_room(cache)
        mask = None if self._mask is None else self._mask[slots, : self.held]
        encoded = None if self._encoded is None else Tokens(*(t[slots, : self._width] for t in self._encoded))
        return cache, mask, encoded

    def after(self, tokens: Tensor, slots: Tensor, forward: Forward) -> Tensor:
        """Logits of the rows in these slots after one more token each; other slots hold meaningless values."""
        self._tokens[slots] = tokens
        self._positions[slots] += 1  # for these rows only, since a table of positions may end there
        if self.replay is None:
            self._run(forward)
        else:
            self.replay()
        self.held += 1
        return self._logits[slots]

    def _run(self, forward: Forward) -> None:
        """The captured part: nothing here may wait for the device, or depend on its results."""
        # copies of weights in another precision belong to it, and must not be cached from outside
        kind = self._tokens.device.type
        enabled, precision = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        with torch.autocast(kind, precision, enabled, cache_enabled=False), _attending_in_groups(forward):
            states, _ = forward.decode(self._tokens.unsqueeze(1), self._mask, positions=self._positions,
                                       encoded=self._encoded, cache=self._cache, caching=True)  # fmt: skip
            self._logits.copy_(forward.to_logits(states[:, -1]))
        self._place.add_(1)


class _FixedLayer(StaticLayer):
    """Keys and values of a layer, each in its own precision, in C places; one number marks the next free place."""

    keys: Tensor
    values: Tensor

    def __init__(self, layer: Any, slots: int, places: int, place: Tensor) -> None:
        super().__init__(max_cache_len=places)
        self.keys, self.values = (
            t.new_zeros(slots, t.shape[1], places, t.shape[3]) for t in (layer.keys, layer.values)
        )
        self.cumulative_length = place
        self._index = place.view(1)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Store the states of one token, and return all keys and values."""
        self.keys.index_copy_(2, self._index, key_states.to(self.keys.dtype))
        self.values.index_copy_(2, self._index, value_states.to(self.values.dtype))
        return self.keys, self.values


# -- attention -------------------------------------------------------------------------------------------------------

GROUPED = "sdpa-in-groups"


def _attention_in_groups(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention for one token: heads that share keys and values are computed together instead of repeating them."""
    rows, heads, length, width = query.shape
    if length > 1 or options.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    together = query.reshape(rows, key.shape[1], -1, width)
    output = functional.scaled_dot_product_attention(together, key, value, attn_mask=attention_mask, scale=scaling)
    return output.reshape(rows, length, heads, -1), None


def _additive_mask(**about: Any) -> Tensor | None:
    """0 or −∞, once for all layers; from a boolean mask each layer would compute it again."""
    mask = sdpa_mask(**about)
    return None if mask is None else torch.zeros_like(mask, dtype=about["dtype"]).masked_fill_(~mask, -torch.inf)


AttentionInterface.register(GROUPED, _attention_in_groups)
AttentionMaskInterface.register(GROUPED, _additive_mask)


@contextmanager
def _attending_in_groups(forward: Forward) -> Iterator[None]:
    """Inside, the same attention with fewer kernels and bytes; encoder-decoder models keep their own."""
    config = forward.model.config
    if forward.is_encoder_decoder or config._attn_implementation != "sdpa":
        yield
        return
    config._attn_implementation = GROUPED
    try:
        yield
    finally:
        config._attn_implementation = "sdpa"


def _step_for(stream: CapturedStream) -> _Step:
    """A free step with enough slots and places: an idle one, or a new one."""
    forward = stream.forward
    own, crossing = layers_of(stream.cache)
    rows, held = len(own[0].keys), own[0].keys.shape[2]
    slots, places = 1 << (rows - 1).bit_length(), _rounded(held + 1)
    weights = (*forward.model.parameters(), *forward.model.buffers())
    kind = stream.logits.device.type
    key = (
        bool(stream.silent), slots, places, _rounded(crossing[0].keys.shape[2]) if crossing else 0,
        torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind),
        # the active adapters show in the trained parameters
        tuple(w.data_ptr() for w in weights), tuple(w.requires_grad for w in weights),
    )  # fmt: skip
    idle = _idle.setdefault(forward, [])
    for i, step in enumerate(idle):
        if step.key == key:
            return idle.pop(i)
    return _Step(key, slots, places, stream)


def _lay_down(owner: weakref.ref[Forward], step: _Step) -> None:
    """Return a step that is no longer used; to stay within the limit, the oldest idle one may be dropped."""
    forward = owner()
    if forward is not None:
        idle = _idle.setdefault(forward, [])
        idle.append(step)
        while sum(each.bytes for each in idle) > KEPT:
            idle.pop(0)


def _capture(run: Callable[[], None], device: torch.device) -> Callable[[], None] | None:
    """A function that launches the kernels of ``run`` again; None on a CPU.  Two warm-up runs come first."""
    if device.type != "cuda":
        return None
    aside = torch.cuda.Stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        for _ in range(2):
            run()
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def _rounded(length: int) -> int:
    return -(-length // PLACES) * PLACES

"""Decoding with one model, token by token, with a cache that has room for coming tokens."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import (
    DynamicCache,
    DynamicLayer,
    EncoderDecoderCache,
    LinearAttentionCacheLayerMixin,
)

from llm_bridge.policy.forward import Forward
from llm_bridge.policy.switches import adapter_layers, adapters_off, flags
from llm_bridge.policy.tokens import Tokens
from nashlab.game import BadInput

__all__ = ["Stream"]


class Stream:
    """Decoding with one model, one token at a time, with its own key-value cache.

    forward  of the model;  prompt  as returned by :meth:`Policy.checked`;  adapters_off  whether its adapters are off.
    logits   of the next token given prompt and pushed tokens, shape [B, V], float32 (float64 for float64 models).

    A model with an unreliable cache (``forward.caches``) reads all tokens again for each new one.

    The training flags and the adapters are set for each forward pass and restored after it, so streams of the same
    weights, with and without adapters, may alternate.
    """

    def __init__(self, forward: Forward, prompt: Tokens, *, adapters_off: bool = False) -> None:
        self.forward = forward
        self._modules = list(forward.model.modules())
        self.silent = adapter_layers(forward.model) if adapters_off else []
        self.logits: Tensor
        self.cache: Any = None
        self.encoded: Tokens | None = None
        self.mask: Tensor | None = None
        self._read: Tensor  # all tokens so far, if they are read again
        with self._at_work():
            if forward.is_encoder_decoder:
                self.encoded = forward.encode(prompt)
                self._read = forward.start(prompt)
            else:
                self.mask, self._read = prompt.mask, prompt.ids
            self._feed(self._read)

    def push(self, tokens: Tensor) -> None:
        """Append one token [B] to each row; :attr:`logits` then refer to the next one."""
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        if not self.forward.caches:
            self._read = torch.cat([self._read, tokens.unsqueeze(1)], dim=1)
        with self._at_work():
            self._feed(tokens.unsqueeze(1) if self.forward.caches else self._read)

    def keep(self, rows: Tensor) -> None:
        """Continue with the rows of these indices only."""
        if self.forward.caches:
            keep_rows(self.cache, rows)
        else:
            self._read = self._read[rows]
        self.logits = self.logits[rows]
        self.mask = None if self.mask is None else self.mask[rows]
        self.encoded = None if self.encoded is None else self.encoded.rows(rows)

    def _feed(self, ids: Tensor) -> None:
        first, caching = self.cache is None, self.forward.caches
        states, self.cache = self.forward.decode(
            ids, self.mask, encoded=self.encoded, cache=self.cache, caching=caching
        )
        if first and caching:
            if self.cache is None:
                raise BadInput("it has none")
            give_room(self.cache)
        self.logits = self.forward.to_logits(states[:, -1])

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with torch.no_grad(), flags(self._modules, "training", False), adapters_off(self.silent):
            yield


class _RoomyLayer(DynamicLayer):
    """A layer's keys and values [B, H, L, d] with free places after them, doubled when full.

    The layer that it replaces copies all of them at each token.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        vars(self).update(vars(layer))
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Append the states of new tokens, and return all keys and values."""
        held, end = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            self._make_room([self], end)
        assert self._buffers is not None
        keys, values = self._buffers
        keys[:, :, held:end], values[:, :, held:end] = key_states, value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def _make_room(self, layers: Sequence[Any], end: int) -> None:
        """Buffers for twice as many tokens, which begin with the rows of these layers, one layer's after another's."""
        buffers = []
        for held in ([layer.keys for layer in layers], [layer.values for layer in layers]):
            first = held[0]
            room = first.new_empty(sum(map(len, held)), first.shape[1], 2 * end, first.shape[3])
            torch.cat(held, out=room[:, :, : first.shape[2]])
            buffers.append(room)
        self._buffers = buffers[0], buffers[1]

    @classmethod
    def of_rows(cls, layers: Sequence[Any]) -> _RoomyLayer:
        """One layer of the rows of all these, which hold as many tokens each."""
        joined, held = cls(layers[0]), layers[0].keys.shape[-2]
        joined._make_room(layers, held + 1)
        assert joined._buffers is not None
        joined.keys, joined.values = (room[:, :, :held] for room in joined._buffers)
        return joined

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows of these indices."""
        self._buffers = None
        super().batch_select_indices(indices)


def keep_rows(cache: Any, rows: Tensor) -> None:
    """Select rows of a cache in place; an index may occur more than once.

    Layers with states of a convolution or a recurrence select as in a beam search, because their other way of selecting
    drops the states.
    """
    if hasattr(cache, "self_attention_cache") or not hasattr(cache, "layers"):
        cache.batch_select_indices(rows)
        return
    recurrent = [isinstance(layer, LinearAttentionCacheLayerMixin) for layer in cache.layers]
    if not any(recurrent):
        cache.batch_select_indices(rows)  # on the whole cache, since some hold more than their layers
        return
    for layer, has_states in zip(cache.layers, recurrent, strict=True):
        choose = layer.reorder_cache if has_states else layer.batch_select_indices
        choose(rows)


def is_plain(cache: Any) -> bool:
    """Whether the cache consists of its layers alone: anything else would be shared with a copy of the layers."""
    return type(cache) in (DynamicCache, EncoderDecoderCache)


def give_room(cache: Any) -> None:
    """Make room for coming tokens in every plain layer of the self-attention's cache; other layers stay unchanged."""
    layers = getattr(getattr(cache, "self_attention_cache", cache), "layers", [])
    for i, layer in enumerate(layers):
        if type(layer) is DynamicLayer:
            layers[i] = _RoomyLayer(layer)


def layers_of(cache: Any) -> tuple[list[Any], list[Any]]:
    """The layers that grow with each token, and those with a decoder's view of its encoder."""
    if not is_plain(cache):
        raise TypeError(f"the cache is a {type(cache).__name__}")
    own = getattr(cache, "self_attention_cache", cache).layers
    crossing = cache.cross_attention_cache.layers if own is not getattr(cache, "layers", None) else []
    plain = all(isinstance(layer, DynamicLayer) and not layer.is_sliding for layer in [*own, *crossing])
    if not own or not plain:
        kinds = sorted({type(layer).__name__ for layer in [*own, *crossing]})
        raise TypeError(f"the cache has layers of kind {', '.join(kinds) or 'unknown'}")
    return own, crossing


def holding(cache: Any, own: list[Any], crossing: list[Any]) -> Any:
    """A cache like this one, with other layers."""
    twin = copy.copy(cache)
    if not crossing:
        twin.layers = own
        return twin
    for name, layers in (("self_attention_cache", own), ("cross_attention_cache", crossing)):
        part = copy.copy(getattr(cache, name))
        part.layers = layers
        setattr(twin, name, part)
    return twin


def filled(keys: Tensor, values: Tensor) -> DynamicLayer:
    layer = DynamicLayer()
    layer.update(keys, values)
    return layer


def merged(first: Any, second: Any) -> Any:
    """A cache of the rows of two caches after as many tokens.  Raises TypeError for caches with other layers."""
    both = layers_of(first), layers_of(second)
    own, crossing = ([list(pair) for pair in zip(*layers, strict=True)] for layers in zip(*both, strict=True))
    views = [filled(*(torch.cat([getattr(layer, name) for layer in pair]) for name in ("keys", "values")))
             for pair in crossing]  # fmt: skip
    return holding(first, [_RoomyLayer.of_rows(pair) for pair in own], views)

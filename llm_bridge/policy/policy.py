"""A transformer as a policy: log π(y | x) = Σ_t log π(y_t | x, y_<t), summed over the completion's tokens.

The end-of-sequence token counts, padding does not, and nothing is divided by a length: an average is another objective
(theory §6, L2.iv).  Only the hidden states of counted tokens reach the head, one chunk at a time, and each chunk is
computed again in the backward pass, so float32 logits of all positions never exist at once.

A reference μ is a frozen copy of the policy, or the same weights with the LoRA adapters off; `check_reference` moves
the policy, checks that the reference stays, and restores the policy.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import DynamicLayer

from llm_bridge.policy.chats import ends_of
from llm_bridge.policy.forward import Forward
from llm_bridge.policy.reference import Reference, reference_of
from llm_bridge.policy.soundness import settle
from llm_bridge.policy.stream import Stream, is_plain
from llm_bridge.policy.switches import adapter_layers
from llm_bridge.policy.tokens import Tokens, is_left_padded
from nashlab.game import BadInput, check_temperature

__all__ = ["Policy"]

# float32 logits in memory at once: 64 MiB, and about three times that in the backward pass of a chunk
CHUNK_ELEMENTS = 2**24


class Policy:
    """A Hugging Face causal or encoder-decoder model, with or without LoRA adapters, as a conditional distribution.

    model, tokenizer    as given; the tokenizer may be None.
    ends                the tokens that end a sequence: ``eos_id`` if given, else all that tokenizer, chat template and
                        the model's configurations declare (:func:`llm_bridge.policy.ends_of`).
    eos_id              the first of them, which closes texts written without a chat template.
    pad_id              from the arguments, the tokenizer, the model's configuration, or ``eos_id``, in this order.
    is_encoder_decoder  whether prompts feed an encoder.
    forward             the parts of the model's forward pass; if the model changes its logits in an unknown way, its
                        own forward is used, with a warning, and logits of all positions are materialised.

    Raises :class:`BadInput` for a model for which a few tokens show that π would be wrong: logits depend on later
    tokens or on a prompt's padding, or differ from those of the model's own forward.

    Dropout is up to the model: :meth:`log_prob` runs in the model's current mode (`load_policy` switches dropout off,
    so that sampled and scored distributions agree); references and sampling always run in evaluation mode and restore
    the training flags.

    Source: theory §6.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any = None,
        *,
        eos_id: int | Sequence[int] | None = None,
        pad_id: int | None = None,
    ) -> None:
        self.model: Any = model
        self.tokenizer = tokenizer
        self.forward = Forward(model)
        base = self.forward.base
        self.is_encoder_decoder = self.forward.is_encoder_decoder
        self.ends = ends_of(base, tokenizer, eos_id)
        if not self.ends:
            raise BadInput("eos_id is neither given nor known to tokenizer or configuration, must be a token's id")
        self.eos_id = self.ends[0]
        self.pad_id = _pad_id(pad_id, tokenizer, base, otherwise=self.eos_id)
        known = len(base.get_input_embeddings().weight)
        for name, token in (*(("eos_id", end) for end in self.ends), ("pad_id", self.pad_id)):
            if not 0 <= token < known:
                raise BadInput(f"{name} = {token}, must be one of the model's {known} tokens")
        settle(self)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.forward.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.forward.dtype

    @property
    def chunked(self) -> bool:
        """Whether the model's operations on its logits are known, so that logits need not be held all at once."""
        return self.forward.chunked

    @property
    def has_adapters(self) -> bool:
        """Whether the model has LoRA adapters."""
        return bool(adapter_layers(self.model))

    def log_prob(self, prompt: Tokens, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log π(y | x) = Σ_t log π(y_t | x, y_<t), shape [B], differentiable; float32, or float64 for float64 models.

        There may be k completions per prompt, in consecutive blocks: prompts [B/k, P] are read once.  ``temperature``
        divides the logits; it must be the temperature of sampling.
        Raises :class:`BadInput` for prompts not padded on the left or completions not padded on the right.
        """
        return self.token_log_probs(prompt, completion, temperature=temperature).sum(dim=1)

    def token_log_probs(self, prompt: Tokens, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log π(y_t | x, y_<t), shape [B, T], 0 where the completion is padding; see :meth:`log_prob`."""
        return self.scored(self.states(prompt, completion), completion, temperature=temperature)

    def scored(self, states: Tensor, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log π(y_t | x, y_<t), shape [B, T], from the :meth:`states` that predict the completion's tokens."""
        check_temperature(temperature, positive=True)
        mask = completion.mask.to(states.device)
        counted, targets = states[mask], completion.ids.to(states.device)[mask]
        values = self._chosen(counted, targets, temperature)
        return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)

    def logits(self, prompt: Tokens, completion: Tokens) -> Tensor:
        """Logits of the token at each completion position, shape [B, T, V], all in memory: for short texts."""
        return self.forward.to_logits(self.states(prompt, completion))

    def stream(self, prompt: Tokens) -> Stream:
        """Start decoding after ``prompt`` with a separate cache; see :class:`Stream`."""
        return Stream(self.forward, self.checked(prompt)[0])

    def reference(self, kind: str | None = None) -> Reference:
        """μ = this policy, frozen in its present state; see :func:`reference_of`."""
        return reference_of(self, kind)

    def copied(self) -> Policy:
        """The same policy with its own copy of the weights."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        twin.forward = self.forward.around(twin.model)
        return twin

    def frozen_copy(self) -> Policy:
        """The same distribution without gradients: trained weights are copied, frozen ones are shared."""
        frozen = {id(p): p for p in self.model.parameters() if not p.requires_grad}
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model, frozen)
        twin.forward = self.forward.around(twin.model)
        twin.model.eval()
        for parameter in twin.model.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        return twin

    def states(self, prompt: Tokens, completion: Tokens) -> Tensor:
        """The decoder's states that predict the completion's tokens, shape [B, T, d]."""
        prompt, completion = self.checked(prompt, completion)
        length = completion.ids.shape[1]
        each = torch.arange(len(prompt.ids), device=self.device).repeat_interleave(
            len(completion.ids) // max(1, len(prompt.ids))
        )
        counted = torch.cat([prompt.mask[each], completion.mask], dim=1).long()
        # padding after a row stays at its last position, since a table of positions may end there
        positions = (counted.cumsum(1)[:, :-1] - 1).clamp(min=0, max=self.forward.last_position)
        if self.is_encoder_decoder:
            encoded = self.forward.encode(prompt)
            encoded = encoded if len(each) == len(prompt.ids) else encoded.rows(each)
            ids = torch.cat([self.forward.start(completion), completion.ids], dim=1)[:, :-1]
            return self.forward.decode(ids, None, encoded=encoded)[0][:, :length]
        if len(each) > len(prompt.ids):
            shared = self._states_after_shared(prompt, completion, each, positions)
            if shared is not None:
                return shared
            prompt = prompt.rows(each)
        # padding after the prompt comes after every counted token, so it needs no mask
        ids = torch.cat([prompt.ids, completion.ids], dim=1)[:, :-1]
        mask = torch.cat([prompt.mask, torch.ones_like(completion.mask)], dim=1)[:, :-1]
        return self.forward.decode(ids, mask, positions=positions)[0][:, prompt.ids.shape[1] - 1 :][:, :length]

    def _states_after_shared(
        self, prompt: Tokens, completion: Tokens, each: Tensor, positions: Tensor
    ) -> Tensor | None:
        """The same states for a causal model that reads each prompt once; None if it has no plain cache to share."""
        if self.forward.recomputes or not self.chunked or not self.forward.caches:
            return None
        states, cache = self.forward.decode(prompt.ids, prompt.mask, caching=True)
        layers = cache.layers if is_plain(cache) else []
        if not layers or any(type(layer) is not DynamicLayer for layer in layers):
            return None
        for layer in layers:
            layer.keys, layer.values = layer.keys[each], layer.values[each]
        first = states[:, -1:][each]
        if completion.ids.shape[1] <= 1:
            return first[:, : completion.ids.shape[1]]
        mask = torch.cat([prompt.mask[each], torch.ones_like(completion.mask)], dim=1)[:, :-1]
        positions = positions[:, prompt.ids.shape[1] :]
        rest, _ = self.forward.decode(completion.ids[:, :-1], mask, positions=positions, cache=cache, caching=True)
        return torch.cat([first, rest], dim=1)

    def checked(self, prompt: Tokens, completion: Tokens | None = None) -> tuple[Tokens, Tokens]:
        """Both on the device, ids under the mask only; or a :class:`BadInput` that names the fault."""
        empty = Tokens(prompt.ids[:, :0], prompt.mask[:, :0])
        prompt, completion = prompt.to(self.device), (completion or empty).to(self.device)
        for name, (ids, mask) in {"prompt": prompt, "completion": completion}.items():
            if ids.ndim != 2 or ids.shape != mask.shape or mask.dtype != torch.bool:
                raise BadInput(f"{name} has ids {tuple(ids.shape)} and a {mask.dtype} mask {tuple(mask.shape)}; "
                               "both must be [B, L], the mask boolean")  # fmt: skip
        if len(prompt.ids) != len(completion.ids) and (
            len(prompt.ids) == 0 or len(completion.ids) % len(prompt.ids) or not len(completion.ids)
        ):
            raise BadInput(
                f"{len(prompt.ids)} prompts and {len(completion.ids)} completions, must be as many, or k of each prompt"
            )
        if prompt.ids.shape[1] == 0 or not is_left_padded(prompt.mask):
            raise BadInput("prompt: each row must hold a token and be padded on the left (mask False ... True)")
        if not is_left_padded(completion.mask.flip(1), may_be_empty=True):
            raise BadInput("completion: each row must be padded on the right (mask True ... False)")
        if self.forward.padding_makes_nan and not prompt.mask.all():
            raise BadInput(
                "prompt: padding with eager attention in float64 makes NaN (transformers masks with float64's lowest "
                "number and takes the softmax in float32); prompts must have one length, or the model be in float32"
            )
        self._check_lengths(prompt.mask.sum(1), completion.mask.sum(1))
        filler = self.pad_id
        return (
            Tokens(prompt.ids.masked_fill(~prompt.mask, filler), prompt.mask),
            Tokens(completion.ids.masked_fill(~completion.mask, filler), completion.mask),
        )

    def _check_lengths(self, prompt: Tensor, completion: Tensor) -> None:
        """BadInput if a row has more tokens than the model's table of positions."""
        if self.forward.last_position is None or not len(prompt):
            return
        places = self.forward.last_position + 1
        fed = completion if self.is_encoder_decoder else (completion - 1).clamp(min=0)
        if not self.is_encoder_decoder and len(completion):
            fed = fed + prompt.repeat_interleave(len(completion) // len(prompt))
        longest = int(torch.cat([prompt, fed]).max())
        if longest > places:
            raise BadInput(f"a row has {longest} tokens to read, must have at most the model's {places} positions")

    def room(self, new_tokens: int = 0) -> int | None:
        """The largest number of prompt tokens before ``new_tokens`` more; None if positions are computed."""
        last = self.forward.last_position
        if last is None or self.is_encoder_decoder:
            return None if last is None else last + 1
        return last + 1 - max(0, new_tokens - 1)  # the last one is not read

    def is_end(self, ids: Tensor) -> Tensor:
        """Which of these tokens end a sequence."""
        found = ids == self.ends[0]
        for end in self.ends[1:]:  # a loop over few: a tensor of them would be sent to the device for every token
            found |= ids == end
        return found

    def ended(self, completion: Tokens) -> Tensor:
        """Which completions contain an end of sequence, [B]: the others were cut off."""
        return (self.is_end(completion.ids) & completion.mask).any(dim=1)

    def check_room(self, prompt: Tokens, new_tokens: int) -> None:
        """BadInput if the prompt plus ``new_tokens`` exceeds the model's positions."""
        last = torch.ones(len(prompt.ids), dtype=torch.long, device=prompt.mask.device) * new_tokens
        self._check_lengths(prompt.mask.sum(1), last)

    def _chosen(self, states: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """log softmax(logits / temperature)[target] of N states [N, d], shape [N], without all logits at once."""

        def of_chunk(states: Tensor, targets: Tensor) -> Tensor:
            logits = self.forward.to_logits(states)
            logits = logits if temperature == 1 else logits / temperature
            return logits.gather(1, targets.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)

        rows = max(1, CHUNK_ELEMENTS // self.forward.vocabulary)
        if len(states) <= rows:
            return of_chunk(states, targets)
        pairs = zip(states.split(rows), targets.split(rows), strict=True)
        # the head has no randomness, so no random state is kept
        again = [checkpoint(of_chunk, *pair, use_reentrant=False, preserve_rng_state=False) for pair in pairs]
        return torch.cat(again)


def _pad_id(given: int | None, tokenizer: Any, base: Any, otherwise: int) -> int:
    """The padding token: masks keep it out of every counted term, so any token will do."""
    sources = (tokenizer, base.config, getattr(base, "generation_config", None))
    known = [given, *(getattr(source, "pad_token_id", None) for source in sources)]
    return int(next((value for value in known if value is not None), otherwise))

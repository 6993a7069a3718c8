"""A transformer as a policy: log π(y | x) = Σ_t log π(y_t | x, y_<t), summed over the completion's tokens.

The end-of-sequence token is one of them, padding is not, and nothing is divided by a length: an average is another
objective (theory §6, L2.iv).  Only the hidden states of counted tokens reach the head, a chunk at a time, and each
chunk is computed again in the backward pass, so float32 logits of all positions never exist together.

A reference μ is a frozen copy of the policy, or the same weights with the LoRA adapters off; `check_reference` moves
the policy, looks whether the reference stays, and puts the policy back.
"""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.modeling_outputs import MoeModelOutputWithPast

from nashlab.game import BadInput, check_temperature, suggestion

__all__ = [
    "REFERENCE_KINDS",
    "Policy",
    "Reference",
    "Stream",
    "Tokens",
    "check_reference",
    "pad_left",
    "pad_right",
    "reference_of",
    "seeded",
]

REFERENCE_KINDS = ("copy", "adapters-off")

# ways of initialising LoRA that take the adapters' first product out of the weights under them
INTO_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")

# float32 logits that are alive at once: 64 MiB, and about three times that in the backward pass of a chunk
CHUNK_ELEMENTS = 2**24

# what families multiply their logits by after the head, or divide by: Cohere and Falcon-H1, Granite
MULTIPLIERS = ("logit_scale", "lm_head_multiplier")
DIVISORS = ("logits_scaling",)
SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")


class NotFinite(BadInput):
    """Weights give probabilities that are no numbers, or none to what was drawn from them."""


class Tokens(NamedTuple):
    """A batch of token sequences: ``ids`` [B, L] (int64) and ``mask`` [B, L] (bool, True on counted tokens).

    Prompts are padded on the left, completions on the right; the mask of a completion covers its end-of-sequence.
    """

    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device | str) -> Tokens:
        """The same tokens on another device."""
        return Tokens(self.ids.to(device), self.mask.to(device))

    def rows(self, index: Tensor | slice) -> Tokens:
        """The chosen rows."""
        return Tokens(self.ids[index], self.mask[index])


def pad_right(rows: Sequence[Sequence[int]], pad_id: int = 0) -> Tokens:
    """Completions of different lengths as one batch, padded on the right.

    >>> pad_right([[5, 6, 1], [7]], pad_id=9).ids.tolist()
    [[5, 6, 1], [7, 9, 9]]
    """
    length = max((len(row) for row in rows), default=0)
    ids = [[*row, *[pad_id] * (length - len(row))] for row in rows]
    mask = [[True] * len(row) + [False] * (length - len(row)) for row in rows]
    shape = (len(rows), length)
    return Tokens(torch.tensor(ids, dtype=torch.long).view(shape), torch.tensor(mask, dtype=torch.bool).view(shape))


def pad_left(rows: Sequence[Sequence[int]], pad_id: int = 0) -> Tokens:
    """Prompts of different lengths as one batch, padded on the left.

    >>> pad_left([[5, 6, 1], [7]], pad_id=9).ids.tolist()
    [[5, 6, 1], [9, 9, 7]]
    """
    mirrored = pad_right([[*reversed(row)] for row in rows], pad_id)
    return Tokens(mirrored.ids.flip(1), mirrored.mask.flip(1))


class Policy:
    """A Hugging Face causal or encoder-decoder model, with or without LoRA adapters, as a conditional distribution.

    model, tokenizer    as given; the tokenizer may be None.
    eos_id, pad_id      from the arguments, the tokenizer or the model's configuration, in this order.
    is_encoder_decoder  whether prompts feed an encoder.
    chunked             False where the model does something to its logits that is not known here: its own forward is
                        used then, with a warning, and logits of all positions are materialised.

    Raises :class:`BadInput` for a model of which a few tokens show that π would be none, or another one: logits depend
    on the tokens behind them or on a prompt's padding, or are not those of the model's own forward.

    Dropout is the model's own affair: :meth:`log_prob` runs in the mode the model is in (:func:`models.load_policy`
    switches dropout off, so that sampled and scored distributions are the same); references and sampling always run
    in evaluation mode and put the training flags back.

    Source: theory §6.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any = None, *, eos_id: int | None = None, pad_id: int | None = None
    ) -> None:
        self.model: Any = model
        self.tokenizer = tokenizer
        self._base: Any = _without_wrapper(model)
        self.is_encoder_decoder = bool(getattr(self._base.config, "is_encoder_decoder", False))
        self.eos_id = _token_id("eos", eos_id, tokenizer, self._base, otherwise=None)
        self.pad_id = _token_id("pad", pad_id, tokenizer, self._base, otherwise=self.eos_id)
        known = len(self._base.get_input_embeddings().weight)
        for name, token in (("eos_id", self.eos_id), ("pad_id", self.pad_id)):
            if not 0 <= token < known:
                raise BadInput(f"{name} = {token}, must be one of the model's {known} tokens")
        parameters = inspect.signature(self._base.base_model.forward).parameters
        self._takes_positions = "position_ids" in parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"  # renamed in transformers 5.24
        self._first_position = 0
        self._places = _places(self._base)
        self.chunked = True
        self.chunked = self._reproduces_own_logits()
        if not self.chunked:
            warnings.warn(
                f"{type(self._base).__name__} treats its logits in a way that is not known here: "
                "its own forward is used, which holds the logits of all positions in memory",
                RuntimeWarning,
                stacklevel=2,
            )
        self._check_its_distribution()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return next(self.model.parameters()).dtype

    @property
    def has_adapters(self) -> bool:
        """Whether LoRA adapters sit on the model."""
        return bool(_adapter_layers(self.model))

    def log_prob(self, prompt: Tokens, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log π(y | x) = Σ_t log π(y_t | x, y_<t), shape [B], differentiable; float32, or float64 for float64 models.

        There may be k completions of each prompt, those of a prompt in a block: prompts [B/k, P] are read once.
        ``temperature`` divides the logits: it must be the one that the completions were sampled at.
        Raises :class:`BadInput` for prompts not padded on the left or completions not padded on the right.
        """
        return self.token_log_probs(prompt, completion, temperature=temperature).sum(dim=1)

    def token_log_probs(self, prompt: Tokens, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log π(y_t | x, y_<t), shape [B, T], 0 where the completion is padding; see :meth:`log_prob`."""
        check_temperature(temperature, positive=True)
        states = self._completion_states(prompt, completion)
        mask = completion.mask.to(states.device)
        counted, targets = states[mask], completion.ids.to(states.device)[mask]
        values = self._chosen(counted, targets, temperature)
        return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)

    def logits(self, prompt: Tokens, completion: Tokens) -> Tensor:
        """Logits of the token at each completion position, shape [B, T, V], in memory all at once: for short texts."""
        return self._to_logits(self._completion_states(prompt, completion))

    def stream(self, prompt: Tokens) -> Stream:
        """Start decoding after ``prompt`` with a cache of its own; see :class:`Stream`."""
        return Stream(self, prompt)

    def reference(self, kind: str | None = None) -> Reference:
        """μ = this policy, frozen here and now; see :func:`reference_of`."""
        return reference_of(self, kind)

    def copied(self) -> Policy:
        """The same policy with weights of its own."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        twin._base = _without_wrapper(twin.model)
        return twin

    def frozen_copy(self) -> Policy:
        """The same distribution with weights of its own that no gradient reaches."""
        twin = self.copied()
        twin.model.eval()
        for parameter in twin.model.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        return twin

    def _completion_states(self, prompt: Tokens, completion: Tokens) -> Tensor:
        """The decoder's states that predict the completion's tokens, shape [B, T, d]."""
        prompt, completion = self._checked(prompt, completion)
        length = completion.ids.shape[1]
        each = torch.arange(len(prompt.ids), device=self.device).repeat_interleave(
            len(completion.ids) // max(1, len(prompt.ids))
        )
        counted = torch.cat([prompt.mask[each], completion.mask], dim=1).long()
        # padding behind a row stays at its last position: a table of positions may be no longer than the row needs
        positions = (counted.cumsum(1)[:, :-1] - 1).clamp(min=0, max=self._last_position)
        if self.is_encoder_decoder:
            encoded = self._encode(prompt)
            encoded = encoded if len(each) == len(prompt.ids) else encoded.rows(each)
            ids = torch.cat([self._start(completion), completion.ids], dim=1)[:, :-1]
            return self._decode(ids, None, encoded=encoded)[0][:, :length]
        if len(each) > len(prompt.ids):
            shared = self._states_after_shared(prompt, completion, each, positions)
            if shared is not None:
                return shared
            prompt = prompt.rows(each)
        # what is fed after the prompt may be padding: it is behind every counted token, so no mask is needed there
        ids = torch.cat([prompt.ids, completion.ids], dim=1)[:, :-1]
        mask = torch.cat([prompt.mask, torch.ones_like(completion.mask)], dim=1)[:, :-1]
        return self._decode(ids, mask, positions=positions)[0][:, prompt.ids.shape[1] - 1 :][:, :length]

    def _states_after_shared(
        self, prompt: Tokens, completion: Tokens, each: Tensor, positions: Tensor
    ) -> Tensor | None:
        """The same states of a causal model that reads each prompt once; None where it has no plain cache to share."""
        checkpointed = any(getattr(module, "gradient_checkpointing", False) for module in self._base.modules())
        if checkpointed or not self.chunked:
            return None
        states, cache = self._decode(prompt.ids, prompt.mask, caching=True)
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
        rest, _ = self._decode(completion.ids[:, :-1], mask, positions=positions, cache=cache, caching=True)
        return torch.cat([first, rest], dim=1)

    def _checked(self, prompt: Tokens, completion: Tokens | None = None) -> tuple[Tokens, Tokens]:
        """Both on the device, ids under the mask only; or a :class:`BadInput` that says what is wrong."""
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
        if prompt.ids.shape[1] == 0 or not _is_left_padded(prompt.mask):
            raise BadInput("prompt: each row must hold a token and be padded on the left (mask False ... True)")
        if not _is_left_padded(completion.mask.flip(1), may_be_empty=True):
            raise BadInput("completion: each row must be padded on the right (mask True ... False)")
        if self._padding_makes_nan and not prompt.mask.all():
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
        """A :class:`BadInput` where a row has more tokens than the model has a table of positions for."""
        if self._last_position is None or not len(prompt):
            return
        places = self._last_position + 1
        fed = completion if self.is_encoder_decoder else (completion - 1).clamp(min=0)
        if not self.is_encoder_decoder and len(completion):
            fed = fed + prompt.repeat_interleave(len(completion) // len(prompt))
        longest = int(torch.cat([prompt, fed]).max())
        if longest > places:
            raise BadInput(f"a row has {longest} tokens to read, must have at most the model's {places} positions")

    def check_room(self, prompt: Tokens, new_tokens: int) -> None:
        """A :class:`BadInput` where so many tokens after a prompt would be more than the model has positions for."""
        last = torch.ones(len(prompt.ids), dtype=torch.long, device=prompt.mask.device) * new_tokens
        self._check_lengths(prompt.mask.sum(1), last)

    @property
    def _last_position(self) -> int | None:
        return None if self._places is None else self._places - self._first_position - 1

    @property
    def _padding_makes_nan(self) -> bool:
        eager = getattr(self._base.config, "_attn_implementation", None) == "eager"
        return eager and self.dtype == torch.float64 and not self.is_encoder_decoder

    def _start(self, prompt: Tokens) -> Tensor:
        """The decoder's first input of an encoder-decoder model, shape [B, 1]."""
        for config in (self._base.config, getattr(self._base, "generation_config", None)):
            start = getattr(config, "decoder_start_token_id", None)
            if start is not None:
                return torch.full_like(prompt.ids[:, :1], int(start))
        raise BadInput("model.config.decoder_start_token_id is missing, must be set for an encoder-decoder model")

    def _encode(self, prompt: Tokens) -> Tokens:
        """Encoder states [B, P, d] with their mask, padding moved to the right."""
        # encoders with absolute positions count from the first column, which must hold a token
        order = torch.argsort(~prompt.mask, dim=1, stable=True)
        ids, mask = prompt.ids.gather(1, order), prompt.mask.gather(1, order)
        states = self._base.get_encoder()(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return Tokens(states, mask)

    def _decode(
        self,
        ids: Tensor,
        mask: Tensor | None,
        *,
        positions: Tensor | None = None,
        encoded: Tokens | None = None,
        cache: Any = None,
        caching: bool = False,
    ) -> tuple[Tensor, Any]:
        """States that :meth:`_to_logits` turns into logits, shape [B, len(ids), .], and the cache."""
        inputs: dict[str, Any] = {self._cache_name: cache, "use_cache": caching}
        if encoded is not None:
            inputs |= self._after_encoder(ids, encoded)
        else:
            assert mask is not None
            inputs |= {"input_ids": ids, "attention_mask": mask.long()}
            if self._takes_positions:
                # counted from the first token: absolute positions must not depend on the padding
                if positions is None:
                    positions = (mask.long().cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
                inputs["position_ids"] = positions + self._first_position
        output = self._decoder(**inputs)
        states = output.last_hidden_state if self.chunked else output.logits
        return states, getattr(output, self._cache_name, None) if caching else None

    def _after_encoder(self, ids: Tensor, encoded: Tokens) -> dict[str, Any]:
        """What the decoder is told about the prompt: the whole model, used as decoder, has other names for it."""
        mask = encoded.mask.long()
        if self.chunked:
            return {"input_ids": ids, "encoder_hidden_states": encoded.ids, "encoder_attention_mask": mask}
        outputs = MoeModelOutputWithPast(last_hidden_state=encoded.ids)  # with every field that may be asked for
        return {"decoder_input_ids": ids, "encoder_outputs": outputs, "attention_mask": mask}

    @property
    def _decoder(self) -> Any:
        """What makes states of tokens: the part below the head, or the whole model where the head is not known."""
        if not self.chunked:
            return self._base
        return self._base.get_decoder() if self.is_encoder_decoder else self._base.base_model

    def _to_logits(self, states: Tensor) -> Tensor:
        """Logits [..., V] of states [..., d], in float32 or float64."""
        if not self.chunked:
            return _widened(states)
        return self._after_head(self._base.get_output_embeddings()(self._before_head(states)))

    def _before_head(self, states: Tensor) -> Tensor:
        """T5 with tied embeddings scales its states by d^-1/2."""
        config = self._base.config
        return states * config.d_model**-0.5 if getattr(config, "scale_decoder_outputs", False) else states

    def _after_head(self, logits: Tensor) -> Tensor:
        """Scale, bias and soft cap of the families that have them."""
        logits, config = _widened(logits), self._base.config
        above, below = ([getattr(config, name, None) for name in names] for names in (MULTIPLIERS, DIVISORS))
        scale = math.prod(1.0 if factor is None else factor for factor in above)
        scale /= math.prod(1.0 if factor is None else factor for factor in below)
        logits = logits if scale == 1 else logits * scale  # a copy of large logits is not free
        bias = getattr(self._base, "final_logits_bias", None)
        if bias is not None:
            logits = logits + bias
        for cap in (getattr(config, name, None) for name in SOFT_CAPS):
            logits = cap * torch.tanh(logits / cap) if cap else logits
        return logits

    def _chosen(self, states: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """log softmax(logits / temperature)[target] of N states [N, d], shape [N], without all logits at once."""

        def of_chunk(states: Tensor, targets: Tensor) -> Tensor:
            logits = self._to_logits(states)
            logits = logits if temperature == 1 else logits / temperature
            return logits.gather(1, targets.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)

        rows = max(1, CHUNK_ELEMENTS // self._vocabulary)
        if len(states) <= rows:
            return of_chunk(states, targets)
        pairs = zip(states.split(rows), targets.split(rows), strict=True)
        # nothing in the head is random, so no random state need be kept
        again = [checkpoint(of_chunk, *pair, use_reentrant=False, preserve_rng_state=False) for pair in pairs]
        return torch.cat(again)

    def _check_its_distribution(self) -> None:
        """A :class:`BadInput` where a few tokens show that log π would be another model's, or that of no policy.

        What a causal model masks has the weight 0, in any precision: a slope that is not 0 betrays what is looked at,
        however little.  Positions that shift with the padding show in the logits alone.
        """
        name = f"model = {type(self._base).__name__}"
        a, b, c, d = self._ordinary_tokens(4)
        near = (8 * max(_rounding_of_products(self.dtype, self.device), torch.finfo(torch.float32).eps)) ** 0.75
        other = [c, d] if self._padding_makes_nan else [d, c, a, b]
        prompt, completion = (tokens.to(self.device) for tokens in (pad_left([[a, b]]), pad_right([[c, d, a]])))
        with _evaluating(self.model):
            with torch.no_grad():
                alone, changed = self.logits(prompt, completion), self.logits(prompt, pad_right([[c, c, a]]))
                theirs = alone if self.chunked else self._own_logits(prompt, completion)
                padding = getattr(self._base.config, "pad_token_id", None)
                if self._takes_positions and padding is not None and not close(alone, theirs, near):
                    self._first_position = padding + 1  # from which Roberta and its relatives count
                    alone, changed = self.logits(prompt, completion), self.logits(prompt, pad_right([[c, c, a]]))
            beside, read = self._looked_at(pad_left([[a, b], other]), pad_right([[c, d, a]] * 2))
        behind = any(columns[-1] for columns in read[-1:])
        before = any((columns[2:] if self.is_encoder_decoder else columns[:-4]).any() for columns in read[:1])
        if behind or not close(changed[:, :2], alone[:, :2], near):
            raise BadInput(f"{name}, must be causal: its logits depend on tokens behind them (see its is_decoder)")
        if not close(alone, theirs, near):
            raise BadInput(f"{name}, must compute the same logits from position_ids as it does without them")
        if before or not close(beside, alone, near):
            raise BadInput(f"{name}, must heed attention_mask: padding before a prompt changes its logits")

    def _looked_at(self, prompt: Tokens, completion: Tokens) -> tuple[Tensor, list[Tensor]]:
        """The first row's logits [1, T, V] and the columns that those of its first two tokens depend on [L], bool.

        Columns are those of the encoder, where there is one, and those of the decoder.
        """
        with torch.enable_grad(), self._embeddings_kept() as kept:
            logits = self.logits(prompt, completion)[:1]
            value = (logits[:, :2] * torch.linspace(1, 2, logits.shape[2]).to(logits)).sum()
            slopes = torch.autograd.grad(value, kept, allow_unused=True)
        # nothing is told by a slope of 0 / 0, or by rows that a model has turned into columns
        told = [slope[0].nan_to_num(0.0) for slope in slopes if slope is not None and len(slope) == len(prompt.ids)]
        return logits.detach(), [slope.any(dim=-1) for slope in told]

    @contextmanager
    def _embeddings_kept(self) -> Iterator[list[Tensor]]:
        """The embedded tokens, in the order in which the parts of the model ask for them, with what is made of them."""
        parts = [self._base.get_encoder(), self._base.get_decoder()] if self.is_encoder_decoder else [self._base]
        kept: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            kept.append(output.detach().requires_grad_())
            return kept[-1].clone()  # which may be changed in place

        handles = [m.register_forward_hook(keep) for m in {part.get_input_embeddings() for part in parts}]
        try:
            yield kept
        finally:
            for handle in handles:
                handle.remove()

    def _own_logits(self, prompt: Tokens, completion: Tokens) -> Tensor:
        """What :meth:`logits` gives, by the model's own forward, for one prompt without padding."""
        fed = completion.ids[:, :-1]
        inputs = {"input_ids": torch.cat([prompt.ids, fed], dim=1)}
        if self.is_encoder_decoder:
            inputs = {"input_ids": prompt.ids, "decoder_input_ids": torch.cat([self._start(prompt), fed], dim=1)}
        output = self._base(attention_mask=torch.ones_like(inputs["input_ids"]), **inputs)
        return _widened(output.logits)[:, -completion.ids.shape[1] :]

    def _ordinary_tokens(self, count: int) -> list[int]:
        """The first ids that are neither padding nor an end of sequence, again and again where there are too few."""
        special = {self.eos_id, self.pad_id}
        found = [i for i in range(min(self._vocabulary, count + 2)) if i not in special] or [self.eos_id]
        return (found * count)[:count]

    @property
    def _vocabulary(self) -> int:
        return int(self._base.get_output_embeddings().weight.shape[0])

    def _reproduces_own_logits(self) -> bool:
        """Whether decoder, head and what follows it are this model's: compared at the head's input and output.

        What follows the head is tried on a wide range of logits, since a random model's own are too small to show a
        soft cap.
        """
        head = self._base.get_output_embeddings()
        if head is None:
            return False
        sweep = torch.linspace(-100, 100, self._vocabulary, dtype=self.dtype, device=self.device)
        seen: list[Tensor] = []

        def replace(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            seen.append(inputs[0])
            return sweep.expand_as(output)

        a, b, c = self._ordinary_tokens(3)
        prompt, completion = (pad([ids]).to(self.device) for pad, ids in ((pad_left, [a, b]), (pad_right, [c])))
        with torch.no_grad(), _evaluating(self.model):
            handle = head.register_forward_hook(replace)
            try:
                theirs = self._own_logits(prompt, completion)
            finally:
                handle.remove()
            try:
                states = self._before_head(self._completion_states(prompt, completion))
            except (AttributeError, TypeError):  # a decoder with another signature
                return False
            near = 8 * torch.finfo(self.dtype).eps
            return (
                len(seen) == 1
                and close(states, seen[0][:, -1:], near**0.75)
                and close(self._after_head(sweep).expand_as(theirs), theirs, near)
            )


class Reference:
    """μ: a policy that no update reaches, with the policy's own interface; made by :func:`reference_of`.

    policy  whose weights these are: a frozen copy (kind "copy"), or the trained policy itself, of which the adapters
            are off whenever the reference computes (kind "adapters-off").

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
        """Start decoding after ``prompt`` with a cache of its own; see :class:`Stream`."""
        return Stream(self.policy, prompt, adapters_off=self.kind == "adapters-off")

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        off = _adapters_off(_adapter_layers(self.policy.model)) if self.kind == "adapters-off" else nullcontext()
        with torch.no_grad(), _evaluating(self.policy.model), off:
            yield


def reference_of(policy: Policy, kind: str | None = None) -> Reference:
    """μ: "copy", a frozen deep copy of the policy as it is now, or "adapters-off", its weights without the adapters.

    By default adapters are switched off where there are any, and the model is copied where there are none.
    Raises :class:`BadInput` for another kind, or for "adapters-off" on a model without adapters, or with adapters of
    which the initialisation has changed the weights themselves (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA).
    """
    chosen = kind or ("adapters-off" if policy.has_adapters else "copy")
    if chosen not in REFERENCE_KINDS:
        raise BadInput(f"kind = {chosen!r}, must be one of {REFERENCE_KINDS}{suggestion(chosen, REFERENCE_KINDS)}")
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


class Stream:
    """Decoding with one model, one token at a time, with a key-value cache that no other stream shares.

    logits  of the next token given prompt and pushed tokens, shape [B, V], float32 (float64 for float64 models).

    The training flags and the adapters are set for each forward pass and put back after it, so streams of one set of
    weights, with and without adapters, may take turns.
    """

    def __init__(self, policy: Policy, prompt: Tokens, *, adapters_off: bool = False) -> None:
        self._policy = policy
        self._modules = list(policy.model.modules())
        self._silent = _adapter_layers(policy.model) if adapters_off else []
        self.logits: Tensor
        prompt, _ = policy._checked(prompt)
        self._cache: Any = None
        self._encoded: Tokens | None = None
        self._mask: Tensor | None = None
        with self._at_work():
            if policy.is_encoder_decoder:
                self._encoded = policy._encode(prompt)
                self._feed(policy._start(prompt))
            else:
                self._mask = prompt.mask
                self._feed(prompt.ids)

    def push(self, tokens: Tensor) -> None:
        """Append one token [B] to each row; :attr:`logits` then belong to the next."""
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        with self._at_work():
            self._feed(tokens.unsqueeze(1))

    def keep(self, rows: Tensor) -> None:
        """Go on with the rows of these indices only."""
        self._cache.batch_select_indices(rows)
        self.logits = self.logits[rows]
        self._mask = None if self._mask is None else self._mask[rows]
        self._encoded = None if self._encoded is None else self._encoded.rows(rows)

    def _feed(self, ids: Tensor) -> None:
        first = self._cache is None
        states, self._cache = self._policy._decode(
            ids, self._mask, encoded=self._encoded, cache=self._cache, caching=True
        )
        if first:
            layers = getattr(getattr(self._cache, "self_attention_cache", self._cache), "layers", [])
            if not all(hasattr(part, "batch_select_indices") for part in (self._cache, *layers)):
                name = type(self._policy._base).__name__
                raise BadInput(f"model = {name}, must have a cache of which rows can be chosen, to be decoded")
            give_room(self._cache)
        self.logits = self._policy._to_logits(states[:, -1])

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with torch.no_grad(), _flags(self._modules, "training", False), _adapters_off(self._silent):
            yield


class _RoomyLayer(DynamicLayer):
    """A layer's keys and values [B, H, L, d] with free places behind them, doubled when full.

    The layer that it replaces copies all of them at each token.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        vars(self).update(vars(layer))
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Append states of new tokens; all keys and values come back."""
        held, end = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            shapes = ((*t.shape[:2], 2 * end, t.shape[3]) for t in (self.keys, self.values))
            keys, values = (key_states.new_empty(shape) for shape in shapes)
            keys[:, :, :held], values[:, :, :held] = self.keys, self.values
            self._buffers = keys, values
        keys, values = self._buffers
        keys[:, :, held:end], values[:, :, held:end] = key_states, value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows of these indices."""
        self._buffers = None
        super().batch_select_indices(indices)


def is_plain(cache: Any) -> bool:
    """Whether the cache is nothing but its layers: one that holds more would share it with a copy of the layers."""
    return type(cache) in (DynamicCache, EncoderDecoderCache)


def give_room(cache: Any) -> None:
    """Room for coming tokens in every plain layer of the self-attention's cache; other kinds stay as they are."""
    layers = getattr(getattr(cache, "self_attention_cache", cache), "layers", [])
    for i, layer in enumerate(layers):
        if type(layer) is DynamicLayer:
            layers[i] = _RoomyLayer(layer)


def check_reference(
    policy: Policy, reference: Reference, prompt: Tokens | None = None, completion: Tokens | None = None
) -> None:
    """Move the policy as an update would, see that the reference stays where it was, and put the policy back.

    Every trainable weight gets a random step; log-probabilities of ``completion`` and the first cached distribution
    after ``prompt`` are compared before and after, the policy's must change and the reference's must not.  The weights
    are restored bit for bit (one copy of the trainable weights is held meanwhile); no random state is touched.

    Raises :class:`BadInput` where the reference moves with the policy (shared weights, adapters left on) or where the
    policy does not move (nothing to train).

    Source: theory §6; the faults of published trainers that it is made for: a "reference" with the adapters left on.
    """
    trainable = [p for p in policy.model.parameters() if p.requires_grad]
    if not trainable:
        raise BadInput("policy: no weight has requires_grad, so no update could move it")
    # ordinary tokens: the embedding of a padding token may be 0, and then no adapter sees anything
    special = {policy.eos_id, policy.pad_id}
    first, second = ([i for i in range(policy._vocabulary) if i not in special] * 2 or [policy.eos_id] * 2)[:2]
    prompt = prompt or pad_left([[first, second]])
    completion = completion or pad_right([[second, policy.eos_id]] * len(prompt.ids))

    def look(model: Policy | Reference) -> Tensor:
        with torch.no_grad(), _evaluating(policy.model):
            first = model.stream(prompt).logits.log_softmax(dim=-1)
            return torch.cat([first.flatten(), model.log_prob(prompt, completion)])

    before, again = ((look(policy), look(reference)) for _ in range(2))
    with _pushed(trainable):
        after = look(policy), look(reference)
    # a reduction may be summed in another order on a second call, but no more than that: what two looks at the same
    # weights differ by is measured, since rounding of half precision says nothing about it
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
    """Parameters displaced at random inside the block, exactly restored after it."""
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


def _without_wrapper(model: Any) -> Any:
    """The Hugging Face model inside a PEFT one; adapters stay where they are, in its layers."""
    if not hasattr(model, "peft_config"):
        return model
    if any(config.is_prompt_learning for config in model.peft_config.values()):
        raise BadInput(
            "model: adapters that lengthen the prompt are not supported, must be LoRA or another layer adapter"
        )
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _token_id(name: str, given: int | None, tokenizer: Any, base: Any, otherwise: int | None) -> int:
    """The id of a special token; models that name several ends of a sequence are taken at the first."""
    attribute = f"{name}_token_id"
    known = [given, getattr(tokenizer, attribute, None)]
    known += [getattr(c, attribute, None) for c in (base.config, getattr(base, "generation_config", None))]
    found = next((value for value in [*known, otherwise] if value is not None), None)
    if found is None:
        raise BadInput(f"{name}_id is neither given nor known to tokenizer or configuration, must be a token's id")
    return int(found[0] if isinstance(found, list | tuple) else found)


def _places(base: Any) -> int | None:
    """How many positions a model has, if they are a table; others can be computed."""
    tables = (name for name, module in base.named_modules() if isinstance(module, nn.Embedding))
    hard = any("wpe" in name or "position" in name for name in tables)
    return getattr(base.config, "max_position_embeddings", None) if hard else None


def _is_left_padded(mask: Tensor, *, may_be_empty: bool = False) -> bool:
    """Whether each row is False ... False True ... True, with at least one True unless it may be empty."""
    falls = (mask[:, :-1] & ~mask[:, 1:]).any()
    return not bool(falls) and (may_be_empty or bool(mask[:, -1].all()))


def _widened(logits: Tensor) -> Tensor:
    """Float64 stays; every other type becomes float32."""
    return logits if logits.dtype == torch.float64 else logits.float()


def _rounding_of_products(dtype: torch.dtype, device: torch.device) -> float:
    """Relative rounding of a matrix product: TensorFloat-32, where it is switched on, keeps ten bits of a factor."""
    factor = torch.full((64, 64), 1 + 2**-12, dtype=dtype, device=device)
    return max(torch.finfo(dtype).eps, float((factor @ factor / 64 - factor**2).abs().max()))


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    ours, theirs = ours.double(), theirs.double()
    scale = theirs.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return ours.shape == theirs.shape and bool((ours - theirs).abs().max() <= tolerance * scale)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers from this seed inside the block; the global state is left as it was, on every device."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _adapter_layers(model: nn.Module) -> list[nn.Module]:
    """The layers that PEFT has put adapters, or trained copies, into."""
    return [module for module in model.modules() if hasattr(module, "_disable_adapters")]


def _adapters_off(layers: Iterable[nn.Module]) -> AbstractContextManager[None]:
    """Adapters off inside the block.  PEFT's own switch also flips requires_grad, and walks the model each time."""
    return _flags(layers, "_disable_adapters", True)


def _evaluating(model: nn.Module) -> AbstractContextManager[None]:
    """Evaluation mode inside the block, each module's own training flag after it."""
    return _flags(model.modules(), "training", False)


@contextmanager
def _flags(modules: Iterable[nn.Module], name: str, value: bool) -> Iterator[None]:
    """A boolean attribute set on modules inside the block, and put back as it was."""
    changed = [module for module in modules if getattr(module, name) is not value]
    for module in changed:
        vars(module)[name] = value  # a module's own setattr looks for parameters first: too slow for every token
    try:
        yield
    finally:
        for module in changed:
            vars(module)[name] = not value

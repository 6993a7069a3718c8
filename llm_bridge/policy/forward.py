"""The computation of Hugging Face models, family by family: an encoded prompt, decoder states, logits."""

from __future__ import annotations

import copy
import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import MoeModelOutputWithPast

from llm_bridge.policy.tokens import Tokens
from nashlab.game import BadInput

__all__ = ["Forward", "NotFinite"]

# factors by which families multiply or divide their logits after the head: Cohere and Falcon-H1, Granite
MULTIPLIERS = ("logit_scale", "lm_head_multiplier")
DIVISORS = ("logits_scaling",)
SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")


class NotFinite(BadInput):
    """The weights give log-probabilities that are not finite."""


class Forward:
    """The parts of a model's forward pass: encoder, decoder, head and the operations after it.

    model, base         as given, and without the PEFT wrapper: adapters stay in its layers.
    is_encoder_decoder  whether prompts feed an encoder.
    chunked             False if the model changes its logits in an unknown way: states are then the logits of its own
                        forward pass.
    caches              False if its cache gives different logits than reading all tokens again.
    takes_positions     whether it needs positions;  first_position  of the first token (Roberta: padding + 1).
    """

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model
        self.base: Any = without_wrapper(model)
        self.is_encoder_decoder = bool(getattr(self.base.config, "is_encoder_decoder", False))
        parameters = inspect.signature(self.base.base_model.forward).parameters
        self.takes_positions = "position_ids" in parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"  # renamed in transformers 5.24
        self.first_position = 0
        self._places = places_of(self.base)
        self.chunked = True
        self.caches = True

    def around(self, model: nn.Module) -> Forward:
        """The same for a copy of the model."""
        twin = copy.copy(self)
        twin.model, twin.base = model, without_wrapper(model)
        return twin

    @property
    def name(self) -> str:
        """The class of the model."""
        return type(self.base).__name__

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights that are not quantised."""
        return next(p.dtype for p in self.model.parameters() if p.is_floating_point())

    @property
    def vocabulary(self) -> int:
        """The number of tokens with a logit."""
        return int(self.base.get_output_embeddings().weight.shape[0])

    @property
    def last_position(self) -> int | None:
        """The last entry of a table of positions; None if positions are computed."""
        return None if self._places is None else self._places - self.first_position - 1

    @property
    def padding_makes_nan(self) -> bool:
        """Whether padding gives NaN: transformers masks with float64's lowest number, eager softmax is in float32."""
        eager = getattr(self.base.config, "_attn_implementation", None) == "eager"
        return eager and self.dtype == torch.float64 and not self.is_encoder_decoder

    @property
    def recomputes(self) -> bool:
        """Whether layers are computed again in the backward pass."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.base.modules())

    # -- states ------------------------------------------------------------------------------------------------------

    def start(self, prompt: Tokens) -> Tensor:
        """The decoder's first input in an encoder-decoder model, shape [B, 1]."""
        for config in (self.base.config, getattr(self.base, "generation_config", None)):
            start = getattr(config, "decoder_start_token_id", None)
            if start is not None:
                return torch.full_like(prompt.ids[:, :1], int(start))
        raise BadInput("model.config.decoder_start_token_id is missing, must be set for an encoder-decoder model")

    def encode(self, prompt: Tokens) -> Tokens:
        """Encoder states [B, P, d] with their mask, padding moved to the right."""
        # encoders with absolute positions count from the first column, so it must hold a token
        order = torch.argsort(~prompt.mask, dim=1, stable=True)
        ids, mask = prompt.ids.gather(1, order), prompt.mask.gather(1, order)
        states = self.base.get_encoder()(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return Tokens(states, mask)

    def decode(
        self,
        ids: Tensor,
        mask: Tensor | None,
        *,
        positions: Tensor | None = None,
        encoded: Tokens | None = None,
        cache: Any = None,
        caching: bool = False,
    ) -> tuple[Tensor, Any]:
        """States that :meth:`to_logits` turns into logits, shape [B, len(ids), .], and the cache."""
        inputs: dict[str, Any] = {self._cache_name: cache, "use_cache": caching}
        if encoded is not None:
            inputs |= self._after_encoder(ids, encoded)
        else:
            assert mask is not None
            inputs |= {"input_ids": ids, "attention_mask": mask.long()}
            if self.takes_positions:
                # counted from the first token: absolute positions must not depend on the padding
                if positions is None:
                    positions = (mask.long().cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
                inputs["position_ids"] = positions + self.first_position
        output = self.decoder(**inputs)
        states = output.last_hidden_state if self.chunked else output.logits
        return states, getattr(output, self._cache_name, None) if caching else None

    def _after_encoder(self, ids: Tensor, encoded: Tokens) -> dict[str, Any]:
        """The decoder's inputs about the prompt, whose names differ if the whole model serves as decoder."""
        mask = encoded.mask.long()
        if self.chunked:
            return {"input_ids": ids, "encoder_hidden_states": encoded.ids, "encoder_attention_mask": mask}
        outputs = MoeModelOutputWithPast(last_hidden_state=encoded.ids)  # has every field that may be read
        return {"decoder_input_ids": ids, "encoder_outputs": outputs, "attention_mask": mask}

    @property
    def decoder(self) -> Any:
        """The module that computes states: the part below the head, or the whole model if the head is unknown."""
        if not self.chunked:
            return self.base
        return self.base.get_decoder() if self.is_encoder_decoder else self.base.base_model

    # -- logits ------------------------------------------------------------------------------------------------------

    def to_logits(self, states: Tensor) -> Tensor:
        """Logits [..., V] of states [..., d], in float32 or float64."""
        if not self.chunked:
            return widened(states)
        return self.after_head(self.base.get_output_embeddings()(self.before_head(states)))

    def before_head(self, states: Tensor) -> Tensor:
        """T5 with tied embeddings scales its states by d^-1/2."""
        config = self.base.config
        return states * config.d_model**-0.5 if getattr(config, "scale_decoder_outputs", False) else states

    def after_head(self, logits: Tensor) -> Tensor:
        """Scale, bias and soft cap, for families that have them."""
        logits, config = widened(logits), self.base.config.get_text_config()
        above, below = ([getattr(config, name, None) for name in names] for names in (MULTIPLIERS, DIVISORS))
        scale = math.prod(1.0 if factor is None else factor for factor in above)
        scale /= math.prod(1.0 if factor is None else factor for factor in below)
        logits = logits if scale == 1 else logits * scale  # copying large logits is expensive
        bias = getattr(self.base, "final_logits_bias", None)
        if bias is not None:
            logits = logits + bias
        for cap in (getattr(config, name, None) for name in SOFT_CAPS):
            logits = cap * torch.tanh(logits / cap) if cap else logits
        return logits

    def own_logits(self, prompt: Tokens, completion: Tokens) -> Tensor:
        """The completion's logits [1, T, V] by the model's own forward pass, for one prompt without padding."""
        fed = completion.ids[:, :-1]
        inputs = {"input_ids": torch.cat([prompt.ids, fed], dim=1)}
        if self.is_encoder_decoder:
            inputs = {"input_ids": prompt.ids, "decoder_input_ids": torch.cat([self.start(prompt), fed], dim=1)}
        output = self.base(attention_mask=torch.ones_like(inputs["input_ids"]), use_cache=False, **inputs)
        return widened(output.logits)[:, -completion.ids.shape[1] :]


def without_wrapper(model: Any) -> Any:
    """The Hugging Face model inside a PEFT model; adapters stay in its layers."""
    if not hasattr(model, "peft_config"):
        return model
    if any(config.is_prompt_learning for config in model.peft_config.values()):
        raise BadInput(
            "model: adapters that lengthen the prompt are not supported, must be LoRA or another layer adapter"
        )
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def places_of(base: Any) -> int | None:
    """The number of positions of a model with a table of them; None if they are computed."""
    config = base.config.get_text_config()
    text = base if config is base.config or base.config.is_encoder_decoder else base.get_decoder()
    tables = (name for name, module in text.named_modules() if isinstance(module, nn.Embedding))
    hard = any("wpe" in name or "position" in name for name in tables)
    return getattr(config, "max_position_embeddings", None) if hard else None


def widened(logits: Tensor) -> Tensor:
    """Float64 stays, every other type becomes float32."""
    return logits if logits.dtype == torch.float64 else logits.float()

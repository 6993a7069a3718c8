"""A transformer as a policy: loading, scoring, sampling, and its reference."""

from llm_bridge.policy.chats import Chat, ends_of
from llm_bridge.policy.forward import NotFinite
from llm_bridge.policy.heads import HeadPolicy
from llm_bridge.policy.loading import (
    LoraOptions,
    load_policy,
    located,
    read_weights,
    save_policy,
    smollm2,
    title_t5,
    tokenizer_at,
)
from llm_bridge.policy.policy import Policy
from llm_bridge.policy.prompts import Prompts, completions_of, continued, encoded, prompt_ids, shortened, texts_of
from llm_bridge.policy.reference import REFERENCE_KINDS, Reference, check_reference, reference_of
from llm_bridge.policy.sampler import Decoder, draw, mixture_log_probs, mixture_tilt, sample
from llm_bridge.policy.switches import seeded
from llm_bridge.policy.tokens import Tokens, pad_left, pad_right

__all__ = [
    "REFERENCE_KINDS",
    "Chat",
    "Decoder",
    "HeadPolicy",
    "LoraOptions",
    "NotFinite",
    "Policy",
    "Prompts",
    "Reference",
    "Tokens",
    "check_reference",
    "completions_of",
    "continued",
    "draw",
    "encoded",
    "ends_of",
    "load_policy",
    "located",
    "mixture_log_probs",
    "mixture_tilt",
    "pad_left",
    "pad_right",
    "prompt_ids",
    "read_weights",
    "reference_of",
    "sample",
    "save_policy",
    "seeded",
    "shortened",
    "smollm2",
    "texts_of",
    "title_t5",
    "tokenizer_at",
]

"""Old names of what is in :mod:`llm_bridge.policy`."""

from llm_bridge.moved import moved
from llm_bridge.policy import LoraOptions, load_policy, located, smollm2, title_t5, tokenizer_at

__all__ = ["LoraOptions", "load_policy", "located", "smollm2", "title_t5", "tokenizer_at"]

moved("llm_bridge.models", "llm_bridge.policy")

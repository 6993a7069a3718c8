"""``llm-bridge verify``: the transformer code against the theory, on enumerable languages.

Tiny GPT-2, Llama and T5 models in float64 over all sequences of two symbols of length at most three.  The trainer's
result (`surrogate` on :meth:`Policy.log_prob`) is compared with the theory's formula on the model's own logits, one
sequence at a time, without padding, cache or chunks: the two sides share only the weights.
"""

from llm_bridge.verify import candidates, equilibria, gradients, sampling
from llm_bridge.verify.oracle import own_log_prob
from llm_bridge.verify.tiny_models import CHECKS, LANGUAGE, PROMPT, tiny

__all__ = ["CHECKS", "LANGUAGE", "PROMPT", "candidates", "equilibria", "gradients", "own_log_prob", "sampling", "tiny"]

"""A trained head on a frozen model's states: a policy over the numbered candidates of numbered texts.

    π(y | x) ∝ μ(y | x)^(1/T) exp f_θ(φ(x, y)),   f_θ = 0 at the start, so that π starts at μ restricted

φ are states of a frozen model, computed once; f_θ is a small network, the only part that is trained.  A prompt is one
token, the number of a text; a completion is one token, the number of a candidate, after which the end is certain.  So
every method trains it through the same loop as a whole transformer, at the price of the small network.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from llm_bridge.policy.policy import Policy
from llm_bridge.policy.switches import seeded
from llm_bridge.policy.tokens import Tokens
from nashlab.game import BadInput

__all__ = ["HeadPolicy"]


class HeadPolicy(Policy):
    """log π(y | x) = log softmax_y (b(x, y) + f_θ(φ(x, y))), for all candidates of a text at once.

    features  φ, [X, K, F];  log_base  b = log μ / T, [X, K];  width  of f_θ's hidden layer;  seed  of its start.

    Raises :class:`BadInput` for features and log_base of other shapes, or that are not finite.

    >>> policy = HeadPolicy(torch.randn(2, 3, 4), torch.zeros(2, 3), width=8)
    >>> text, candidates = Tokens(torch.tensor([[1]]), torch.ones(1, 1).bool()), torch.arange(3).view(3, 1)
    >>> round(policy.log_prob(text, Tokens(candidates, torch.ones(3, 1).bool())).exp().sum().item(), 6)
    1.0
    """

    def __init__(self, features: Tensor, log_base: Tensor, *, width: int = 64, seed: int = 0) -> None:
        if features.ndim != 3 or features.shape[:2] != log_base.shape or not log_base.numel():
            raise BadInput(f"features {tuple(features.shape)} and log_base {tuple(log_base.shape)}, "
                           "must be [X, K, F] and [X, K]")  # fmt: skip
        for name, given in (("features", features), ("log_base", log_base)):
            if not bool(torch.isfinite(given).all()):
                raise BadInput(f"{name}[{torch.nonzero(~torch.isfinite(given))[0].tolist()}] is not finite")
        with seeded(seed):
            last = nn.Linear(width, 1)
            self.model: Any = nn.Sequential(nn.Linear(features.shape[-1], width), nn.Tanh(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.model.to(features)
        self._features, self._base = features, log_base.to(features)
        texts, candidates = log_base.shape
        self.tokenizer = None
        self.is_encoder_decoder = False
        self.ends, self.eos_id, self.pad_id = (candidates,), candidates, candidates
        # what loop and checks ask of a transformer's parts
        self.forward: Any = SimpleNamespace(vocabulary=min(texts, candidates), last_position=None, chunked=True,
                                            device=features.device, dtype=features.dtype)  # fmt: skip

    def log_policy(self, texts: Tensor) -> Tensor:
        """log π of every candidate of these texts [B], shape [B, K]."""
        texts = texts.to(self.device)
        return (self._base[texts] + self.model(self._features[texts]).squeeze(-1)).log_softmax(dim=-1)

    def token_log_probs(self, prompt: Tokens, completion: Tokens, *, temperature: float = 1.0) -> Tensor:
        """log π of each candidate's number, 0 for an end after it; shape [B, T].

        Raises :class:`BadInput` for another temperature than 1: the policy has no tokens to draw one by one.
        """
        if temperature != 1:
            raise BadInput(f"temperature = {temperature}, must be 1: a head's temperature is in its log_base")
        log_policy = self.log_policy(prompt.ids[:, -1])
        certain = log_policy.new_zeros(len(log_policy), 1)
        ids = completion.ids.to(self.device)
        each = torch.cat([log_policy, certain], dim=1).repeat_interleave(len(ids) // len(log_policy), dim=0)
        return each.gather(1, ids) * completion.mask.to(self.device)

    def stream(self, prompt: Tokens) -> Any:
        """The distribution over a text's candidates, as the logits of a first token."""
        return SimpleNamespace(logits=self.log_policy(prompt.ids[:, -1]))

    def frozen_copy(self) -> HeadPolicy:
        """The same distribution without gradients; the states are shared."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model).eval().requires_grad_(False)
        return twin

    def copied(self) -> HeadPolicy:
        """The same policy with its own copy of the weights; the states are shared."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        return twin

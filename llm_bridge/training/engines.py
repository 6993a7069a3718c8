"""Sampling by a server, for methods that sample from the policy alone.

Completions arrive as token ids.  The server's log-probabilities are not used, because an engine's differ from the
trainer's in the last bits or, if it truncates or quantises, by more; they are computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from llm_bridge.judges import Server
from llm_bridge.policy import Policy, Reference, Tokens, pad_right, sample
from nashlab.game import BadInput

__all__ = ["Sampling", "ServedPolicy", "here"]

Sampling = Callable[..., Tokens]
"""The signature of :func:`llm_bridge.policy.sample`: completions [B, T] of prompts [X, P]."""
here: Sampling = sample


@dataclass
class ServedPolicy:
    """A server with OpenAI's ``/completions`` that answers with token ids, as vLLM does, in place of the sampler.

    url, model  of the server, and the policy's name there.
    push        brings the policy's weights to it: called with the policy before the first question about new weights.
    request     further fields of a request.
    key, concurrent, timeout, retries, rate   see :class:`llm_bridge.judges.Server`.

    A row's seed is made from its uniform numbers, so a step requests the same completions however it is split; whether
    the server reproduces its draws is up to the server.

    Raises :class:`BadInput` for a mixture, which needs both models' logits at every token, and for tokens after an end
    of sequence or outside the vocabulary; :class:`llm_bridge.judges.JudgeFailed` if the server stays unreachable.
    """

    url: str
    model: str
    push: Callable[[Policy], None] | None = None
    request: dict[str, Any] = field(default_factory=dict)
    key: str = "OPENAI_API_KEY"
    concurrent: int = 8
    timeout: float = 600.0
    retries: int = 5
    rate: float = 0.0

    def __post_init__(self) -> None:
        self.server = Server(self.url, self.key, self.concurrent, self.timeout, self.retries, self.rate)
        self._pushed: Sequence[int] | None = None

    def __call__(
        self,
        policy: Policy | Reference,
        prompt: Tokens,
        *,
        max_new_tokens: int,
        completions: int = 1,
        plain: int = 0,
        beta: float = 0.0,
        reference: Policy | Reference | None = None,
        temperature: float = 1.0,
        uniforms: Tensor | None = None,
    ) -> Tokens:
        """Completions [B, T], consecutive for each prompt; the server's text is never read."""
        if beta > 0 or isinstance(policy, Reference):
            raise BadInput(
                f"sampler = {self.url!r} samples from the policy alone, must be omitted for a mixture or a reference"
            )
        self._bring(policy)
        rows = [ids[mask].tolist() for ids, mask in zip(prompt.ids.cpu(), prompt.mask.cpu(), strict=True)]
        asked = [
            (row, self._seed(uniforms, i * completions + k)) for i, row in enumerate(rows) for k in range(completions)
        ]

        def one(question: tuple[list[int], int | None]) -> list[int]:
            ids, seed = question
            body = {"model": self.model, "prompt": ids, "max_tokens": max_new_tokens, "temperature": temperature,
                    "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "n": 1, "seed": seed,
                    "return_token_ids": True, "skip_special_tokens": False, **self.request}  # fmt: skip
            body = {name: value for name, value in body.items() if value is not None}
            return self.server.post("/completions", body, lambda answer: _token_ids(answer, max_new_tokens))

        found = [_ended(policy, ids, max_new_tokens) for ids in self.server.all(asked, one)]
        return pad_right(found, policy.pad_id).to(policy.device)

    def _bring(self, policy: Policy) -> None:
        """Push new weights once, before any question about them."""
        versions = [p._version for p in policy.model.parameters() if p.requires_grad]
        if self.push is not None and versions != self._pushed:
            self.push(policy)
            self._pushed = versions

    @staticmethod
    def _seed(uniforms: Tensor | None, row: int) -> int | None:
        return None if uniforms is None else int(float(uniforms[row, 0]) * 2**31)


def _token_ids(answer: Any, most: int) -> list[int]:
    """The tokens of an answer; a LookupError if it has none."""
    choice = answer["choices"][0]
    ids = choice["token_ids"]
    if not ids or len(ids) > most or not all(isinstance(token, int) for token in ids):
        raise ValueError(f"{len(ids)} tokens came back, must be 1 to {most}")
    return list(ids)


def _ended(policy: Policy, ids: list[int], most: int) -> list[int]:
    """The tokens up to the first end of sequence; an engine may omit the one at which it stopped."""
    size = policy.forward.vocabulary
    outside = next((token for token in ids if not 0 <= token < size), None)
    if outside is not None:
        raise BadInput(f"the server returned token {outside}, must be one of the policy's {size}")
    place = next((i for i, token in enumerate(ids) if token in policy.ends), None)
    if place is not None:
        return ids[: place + 1]
    return ids if len(ids) == most else [*ids, policy.eos_id]

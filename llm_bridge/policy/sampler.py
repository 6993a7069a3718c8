"""Sampling with caches from the token-level mixture log m(· | prefix) = (1−β) log π + β log μ + C(prefix).

Each model has its own keys and values; β = 0 never uses the reference, β = 1 never the policy.  The temperature T
divides the logits, and :meth:`Policy.log_prob` takes the same T, so the sampled and scored distributions agree.  The
product of m over tokens is in general not the sequence-level mixture m_β ∝ π^(1−β) μ^β (theory §6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from llm_bridge.policy.cuda_graphs import opened
from llm_bridge.policy.forward import NotFinite
from llm_bridge.policy.policy import Policy
from llm_bridge.policy.reference import Reference
from llm_bridge.policy.side_by_side import Together
from llm_bridge.policy.stream import Stream
from llm_bridge.policy.tokens import Tokens
from nashlab.game import BadInput, check_temperature

__all__ = ["Decoder", "draw", "mixture_log_probs", "mixture_tilt", "sample"]

# rows still decoding [b], log m of their next token [b, V]
Observer = Callable[[Tensor, Tensor], None]


def sample(
    policy: Policy | Reference,
    prompt: Tokens,
    *,
    max_new_tokens: int,
    completions: int = 1,
    plain: int = 0,
    beta: float = 0.0,
    reference: Policy | Reference | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    uniforms: Tensor | None = None,
    min_new_tokens: int = 0,
    captured: bool | None = None,
    observer: Observer | None = None,
) -> Tokens:
    """Completions [B, T] of the prompts [X, P], T ≤ ``max_new_tokens``, each ended by an end of sequence or the limit.

    B = X · ``completions``: those of a prompt are consecutive, and each prompt is read once.  The first ``plain`` of
    them are the policy's own (β = 0), in one batch with the others.  ``uniforms`` in [0, 1), [B, max_new_tokens], may
    replace the generator: then a split batch gives the same tokens.  Finished rows are dropped from batch and caches.
    A row's uniform numbers depend only on the generator and the row, not on when other rows end.  With
    ``min_new_tokens`` the ends of a sequence are excluded from m for that many tokens, which :meth:`Policy.log_prob`
    ignores.  ``observer`` receives the rows still decoding and the log m from which their token is drawn.
    ``captured``: whether to decode with :mod:`llm_bridge.policy.cuda_graphs`; by default on a GPU.

    Raises :class:`BadInput` for β outside [0, 1], β > 0 without a reference, counts or temperatures out of range, and
    more tokens than the model's positions; :class:`NotFinite` if the weights give no valid probabilities.
    Source: theory §6; Munos et al. 2024 (arXiv 2312.00886), the token-level mixture of Nash-MD.
    """
    if not 0 <= min_new_tokens <= max_new_tokens or max_new_tokens < 1:
        raise BadInput(
            f"min_new_tokens = {min_new_tokens}, max_new_tokens = {max_new_tokens}, must be 0 ≤ min ≤ max, max ≥ 1"
        )
    if completions < 1:
        raise BadInput(f"completions = {completions}, must be at least 1")
    if not 0 <= plain <= completions or (plain > 0 and beta == 1):
        raise BadInput(f"plain = {plain} at beta = {beta}, must be 0 ... {completions}, and 0 where beta is 1")
    decoder = Decoder(
        policy,
        prompt,
        beta=beta,
        reference=reference,
        temperature=temperature,
        min_new_tokens=min_new_tokens,
        captured=captured,
    )
    owner = _policy(policy)
    owner.check_room(prompt, max_new_tokens)
    device = owner.device
    shape = (len(prompt.ids) * completions, max_new_tokens)
    uniforms = _uniforms(shape, generator, uniforms).to(device)
    if completions > 1:
        decoder.keep(torch.arange(len(prompt.ids), device=device).repeat_interleave(completions))
    if plain > 0:
        decoder.unmix((torch.arange(shape[0], device=device) % completions) < plain)
    ids = torch.full(shape, owner.pad_id, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    rows = torch.arange(len(ids), device=device)
    broken = torch.zeros((), dtype=torch.bool, device=device)  # read once at the end: reading waits for the device
    for position in range(max_new_tokens):
        log_probs = decoder.log_probs
        if observer is not None:
            observer(rows, log_probs)
        broken |= log_probs[:, 0].isnan().any()  # one NaN logit makes its whole row NaN
        tokens = draw(log_probs, uniforms[rows, position])
        ids[rows, position], mask[rows, position] = tokens, True
        alive = (~owner.is_end(tokens)).nonzero().squeeze(1)
        if len(alive) == 0 or position + 1 == max_new_tokens:
            break
        if len(alive) < len(rows):
            decoder.keep(alive)
            rows, tokens = rows[alive], tokens[alive]
        decoder.push(tokens)
    if bool(broken):
        raise NotFinite("the next token's probabilities are NaN, weights must give finite logits")
    length = position + 1
    return Tokens(ids[:, :length], mask[:, :length])


class Decoder:
    """log m(· | x, y_<t) of (1−β) log π + β log μ, token by token: the distributions from which :func:`sample` draws.

    log_probs  of the next token, shape [B, V], float32 (float64 for float64 models).

    Two models of one shape decode in one forward pass from the first pushed token on, if nothing stands against it:
    see :mod:`llm_bridge.policy.side_by_side`.
    """

    def __init__(
        self,
        policy: Policy | Reference,
        prompt: Tokens,
        *,
        beta: float = 0.0,
        reference: Policy | Reference | None = None,
        temperature: float = 1.0,
        min_new_tokens: int = 0,
        captured: bool | None = None,
    ) -> None:
        check_temperature(temperature, positive=True)
        self._temperature = temperature
        found = _weighted(policy, reference, beta)
        self._weights = [weight for weight, _ in found]
        self._streams = Together([opened(model, prompt, captured=captured) for _, model in found])
        self._owner = _policy(policy)
        self._mixed_rows: Tensor | None = None  # the rows that the second model decodes; None: all of them
        self._still_barred = min_new_tokens
        sizes = {logits.shape[-1] for logits in self._streams.logits}
        if len(sizes) > 1:
            raise BadInput(f"policy and reference have vocabularies of {sorted(sizes)} tokens, must be the same")

    @property
    def parts(self) -> list[tuple[float, Stream]]:
        """The models of m with a positive exponent, each with its exponent and its stream until they go on together."""
        return list(zip(self._weights, self._streams.streams, strict=True))

    @property
    def passes(self) -> int:
        """Forward passes that the last token took: 2 for a mixture whose models cannot share one."""
        return 1 if self._streams.joint is not None else len(self._weights)

    @property
    def log_probs(self) -> Tensor:
        """log m of the next token of each row."""
        parts = list(zip(self._weights, self._streams.logits, strict=True))
        if self._mixed_rows is None:
            logits = _mixed(parts)
        else:
            (rest, first), second = parts
            rows = self._mixed_rows.nonzero().squeeze(1)
            logits = first.index_copy(0, rows, _mixed([(rest, first[rows]), second]))
        return _normalised(logits, self._temperature, self._owner.ends if self._still_barred > 0 else None)

    def push(self, tokens: Tensor) -> None:
        """Append one token [B] to each row."""
        self._still_barred -= 1
        mixed = tokens if self._mixed_rows is None else tokens[self._mixed_rows]
        self._streams.push([tokens, mixed][: len(self._weights)])

    def keep(self, rows: Tensor) -> None:
        """Continue with the rows of these indices only; an index may occur more than once."""
        if self._mixed_rows is None:
            self._streams.keep([rows] * len(self._weights))
        else:
            self._keep_mixed(rows, (self._mixed_rows.cumsum(0) - 1)[rows], self._mixed_rows[rows])

    def unmix(self, rows: Tensor) -> None:
        """Rows marked True, [B], continue with the first model alone; the second one drops them."""
        if len(self._weights) > 1:
            mixed = torch.ones_like(rows) if self._mixed_rows is None else self._mixed_rows
            every = torch.arange(len(rows), device=rows.device)
            self._keep_mixed(every, mixed.cumsum(0) - 1, mixed & ~rows)

    def _keep_mixed(self, rows: Tensor, places: Tensor, mixed: Tensor) -> None:
        """Continue with these rows of the first model, and the second's at those of ``places`` that are mixed."""
        if mixed.any():
            self._streams.keep([rows, places[mixed]])
            self._mixed_rows = None if mixed.all() else mixed
        else:
            self._streams.leave(rows)
            self._mixed_rows, self._weights[1:] = None, []


def mixture_log_probs(
    policy: Policy | Reference,
    reference: Policy | Reference | None,
    prompt: Tokens,
    completion: Tokens,
    beta: float,
    *,
    temperature: float = 1.0,
    min_new_tokens: int = 0,
) -> Tensor:
    """log m(· | x, y_<t) at each position of the completion, [B, T, V], from full forward passes without any cache."""
    check_temperature(temperature, positive=True)
    logits = _mixed([(w, model.logits(prompt, completion)) for w, model in _weighted(policy, reference, beta)])
    early = _normalised(logits[:, :min_new_tokens], temperature, _policy(policy).ends)
    return torch.cat([early, _normalised(logits[:, min_new_tokens:], temperature, None)], dim=1)


def mixture_tilt(
    policy: Policy | Reference,
    reference: Policy | Reference,
    prompt: Tokens,
    completion: Tokens,
    beta: float,
    *,
    temperature: float = 1.0,
) -> Tensor:
    """S(y) = log m(y) − (1−β) log π(y) − β log μ(y) = Σ_t C(prefix) ≥ 0 of the mixture made token by token, [B].

    Source: theory, N25.
    """
    check_temperature(temperature, positive=True)
    parts = [
        weight * _normalised(model.logits(prompt, completion).double(), temperature, None)
        for weight, model in _weighted(policy, reference, beta)
    ]
    return -(torch.stack(parts).sum(dim=0).logsumexp(dim=-1) * completion.mask).sum(dim=1)


def draw(log_probs: Tensor, uniforms: Tensor) -> Tensor:
    """One token [B] for each row of log m [B, V], by inverting its distribution function at uniforms [B] in [0, 1).

    The sums run in float64, so that rare tokens of large vocabularies keep their probability; a token of probability 0
    is never drawn.

    >>> draw(torch.tensor([[0.25, 0.0, 0.75]] * 3).log(), torch.tensor([0.0, 0.25, 0.99])).tolist()
    [0, 2, 2]
    """
    p = log_probs.exp()
    rows, size = p.shape
    width = 1 << ((size - 1).bit_length() + 1) // 2  # about √V: a row is searched by blocks, then inside one block
    blocks = functional.pad(p, (0, -size % width)).view(rows, -1, width)
    heights = blocks.sum(dim=-1, dtype=torch.float64).cumsum(dim=-1)
    targets = uniforms.to(torch.float64).unsqueeze(1) * heights[:, -1:]
    block = _above(heights, targets)
    below = functional.pad(heights, (1, 0)).gather(1, block)
    inside = blocks[torch.arange(rows, device=p.device), block.squeeze(1)].cumsum(dim=-1, dtype=torch.float64)
    return (block * width + _above(inside, targets - below)).squeeze(1).clamp(max=size - 1)


def _above(heights: Tensor, targets: Tensor) -> Tensor:
    """The first place [B, 1] at which sums [B, n] exceed a target [B, 1]; if there is none, their last increase.

    >>> _above(torch.tensor([[0.2, 0.2, 0.9, 0.9]] * 3), torch.tensor([[0.0], [0.2], [0.9]])).ravel().tolist()
    [0, 2, 2]
    """
    total = heights[:, -1:]
    place = torch.searchsorted(heights, torch.minimum(targets, total.nextafter(torch.zeros_like(total))), right=True)
    return place.clamp(max=heights.shape[-1] - 1)  # a valid place even if everything is NaN


def _weighted(
    policy: Policy | Reference, reference: Policy | Reference | None, beta: float
) -> list[tuple[float, Policy | Reference]]:
    """The models of m with their exponents, without those of exponent 0."""
    if not 0 <= beta <= 1:
        raise BadInput(f"beta = {beta}, must be between 0 and 1")
    if beta == 0:
        return [(1.0, policy)]
    if reference is None:
        raise BadInput(f"reference is missing, must be given for beta = {beta} > 0")
    return [(1.0, reference)] if beta == 1 else [(1 - beta, policy), (beta, reference)]


def _mixed(parts: list[tuple[float, Tensor]]) -> Tensor:
    """Σ weight · logits: the normalisers of the parts are constants of the prefix and cancel in m."""
    if len(parts) == 1:
        return parts[0][1]
    (rest, first), (weight, second) = parts
    return torch.add(rest * first, second, alpha=weight)


def _normalised(logits: Tensor, temperature: float, barred: Sequence[int] | None) -> Tensor:
    logits = logits if temperature == 1 else logits / temperature
    if barred is not None:
        logits = logits.clone()
        logits[..., list(barred)] = -torch.inf
    return logits.log_softmax(dim=-1)


def _policy(model: Policy | Reference) -> Policy:
    return model.policy if isinstance(model, Reference) else model


def _uniforms(shape: tuple[int, int], generator: torch.Generator | None, given: Tensor | None) -> Tensor:
    if given is not None:
        if generator is not None or given.shape != shape:
            raise BadInput(f"uniforms of shape {tuple(given.shape)}, must be {shape}, without a generator")
        return given
    device = "cpu" if generator is None else generator.device
    return torch.rand(*shape, generator=generator, dtype=torch.float64, device=device)

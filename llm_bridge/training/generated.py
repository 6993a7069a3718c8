"""Completions sampled by the players of a method, and a judge's preferences between them.

k completions per prompt are sampled and judged, and all their pairs count (a U-statistic).  The judge works in a
separate thread: meanwhile the next portion of a step's prompts is sampled, and reference and policy compute.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor

from llm_bridge.judges import Judge, ask, wanted_columns
from llm_bridge.policy import Policy, Prompts, Tokens, texts_of
from llm_bridge.training.engines import Sampling, here
from llm_bridge.training.methods import sampler_of
from llm_bridge.training.objective import Samples
from llm_bridge.training.sources import Tally, Turn, lengths, on_device, pairs_within
from nashlab.algorithm import Sampler
from nashlab.game import BadInput, check_temperature

__all__ = ["LABELS", "Generated"]

LABELS = ("soft", "hard")


@dataclass(frozen=True)
class Generated:
    """Completions sampled by the players, and a judge's preferences between them.

    completions  k per prompt: all pairs if one player draws both sides, else k/2 by k/2 of them.
    labels       "soft": p itself;  "hard": one Bernoulli draw from it.
    temperature  of sampling and scoring.
    judge        p(y ≻ y' | x) on texts, or ½ + r(x, y) − r(x, y') for methods that maximise a reward.
    columns      further columns of each prompt, for judges that ask for them by name.
    cut_mark     text appended for judges to a completion cut off by the token limit, such as " [cut off]".
    unended_penalty  penalty for such a completion: p becomes p − penalty if only y was cut off, p + penalty if only y'
                 was, within [0, 1] (a reward is not clipped); if both or neither were, p is unchanged.
    portions     parts of a step's prompts: one is judged, in a separate thread, while the next is sampled.
    sampler      :func:`llm_bridge.policy.sample`, or a server (:class:`llm_bridge.training.ServedPolicy`).

    If the judge leaves a pair out, the other pairs of its prompt share its weight; a prompt without pairs is ignored.

    Source: theory §3, §6; the U-statistic over all pairs.
    """

    prompts: Prompts
    judge: Judge
    completions: int = 2
    max_new_tokens: int = 64
    temperature: float = 1.0
    labels: str = "soft"
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    cut_mark: str = ""
    unended_penalty: float = 0.0
    portions: int = 1
    sampler: Sampling = here

    def __post_init__(self) -> None:
        for name, least in (("completions", 2), ("max_new_tokens", 1), ("portions", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise BadInput(f"{name} = {value!r}, must be an integer of at least {least}")
        check_temperature(self.temperature, positive=True)
        self.prompts.check(**{f"columns[{name!r}]": values for name, values in self.columns.items()})
        wanted_columns(self.judge, self.columns)
        if self.labels not in LABELS:
            raise BadInput(f"labels = {self.labels!r}, must be one of {', '.join(LABELS)}")
        if not 0 <= self.unended_penalty < math.inf:
            raise BadInput(f"unended_penalty = {self.unended_penalty}, must be finite and at least 0")

    def check(self, policy: Policy) -> None:
        """Refuse prompts that hold no token, or leave no room for ``max_new_tokens``."""
        self.prompts.check_room(policy, self.max_new_tokens)

    def __len__(self) -> int:
        return len(self.prompts.rows)

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        """New completions of the turn's prompts, judged in pairs, and statistics about them."""
        policy, k = turn.players.policy, self.completions
        turn.method.check_labels(self.labels)
        prompt = self.prompts.tokens(policy, turn.rows)
        counts = [k] if turn.left == turn.right else [k // 2, k - k // 2]
        left, right = pairs_within(len(turn.rows), counts, symmetric=turn.method.objective.symmetric)
        with ThreadPoolExecutor(1) as judging:  # one portion is judged while the next one is written
            drawn, asked = [], []
            for part, share in _portions(turn, self.portions):
                drawn.append(self._completions(share, prompt.rows(part), counts))
                mine = (left >= part.start * k) & (left < part.stop * k)
                pairs = (left[mine] - part.start * k, right[mine] - part.start * k)
                asked.append((mine, judging.submit(self._judged, share, drawn[-1], *pairs)))
            completion = _joined(drawn, policy.pad_id)
            scored, to_scored = completion, None
            if len(counts) == 2 and not turn.method.reads_right:  # only y is scored, y' is no longer needed
                to_scored = left.unique()
                scored = completion.rows(to_scored.to(completion.ids.device))
            log_anchor = turn.anchored(
                lambda model: model.log_prob(prompt, scored, temperature=self.temperature).detach()
            )
            p = torch.full((len(left),), torch.nan, dtype=torch.float64)
            turn.meanwhile(on_device(policy, Samples(prompt, scored, log_anchor, left, right, p, p)))
            for mine, answer in asked:
                p[mine] = answer.result()
        tally = _agreement(p) | lengths(completion, policy)
        weight = torch.full((len(left),), len(turn.rows) / (len(left) * turn.total))
        left, right, p, weight = _judged_pairs(left, right, self._labelled(turn, p), weight, left // k)
        if to_scored is not None:
            left = right = torch.searchsorted(to_scored, left)
        return on_device(policy, Samples(prompt, scored, log_anchor, left, right, p, weight)), tally

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        """log π of the completions at the sampling temperature, with its gradient, [N]."""
        return policy.log_prob(samples.prompt, samples.completion, temperature=self.temperature)

    def _completions(self, turn: Turn, prompt: Tokens, counts: Sequence[int]) -> Tokens:
        """Completions of one side or both, consecutive for each prompt."""
        left, right = sampler_of(turn.left), sampler_of(turn.right)
        if len(counts) == 1:
            return self._drawn(turn, prompt, left, counts[0])
        if left == Sampler(right.player) and 0 < turn.beta < 1:  # the same weights: one batch
            return self._drawn(turn, prompt, right, sum(counts), plain=counts[0])
        drawn = [self._drawn(turn, prompt, side, n) for side, n in zip((left, right), counts, strict=True)]
        return _side_by_side(drawn, counts, turn.players.policy.pad_id)

    def _drawn(self, turn: Turn, prompt: Tokens, side: Sampler, count: int, plain: int = 0) -> Tokens:
        uniforms = turn.uniforms(count * self.max_new_tokens).reshape(-1, self.max_new_tokens)
        with turn.players.playing(side.player) as model:
            return self.sampler(
                model,
                prompt,
                completions=count,
                plain=plain,
                max_new_tokens=self.max_new_tokens,
                beta=turn.beta if side.pull else 0.0,
                reference=getattr(turn.players, side.pull) if side.pull else None,
                temperature=self.temperature,
                uniforms=uniforms,
            )

    @torch.no_grad()
    def _judged(self, turn: Turn, completion: Tokens, left: Tensor, right: Tensor) -> Tensor:
        """p of pairs, NaN for pairs that the judge leaves out; runs in a separate thread."""
        ended = turn.players.policy.ended(completion).cpu()
        texts = texts_of(turn.players.policy, completion)
        texts = [text if whole else text + self.cut_mark for text, whole in zip(texts, ended.tolist(), strict=True)]
        rows = [turn.rows[i // self.completions] for i in left.tolist()]
        asked = [self.prompts.texts[row] for row in rows]
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        bounded = turn.method.spec.judge == "preference"
        sides = ([texts[i] for i in left], [texts[j] for j in right])
        p = torch.from_numpy(ask(self.judge, asked, *sides, bounded=bounded, columns=columns))
        p += self.unended_penalty * (ended[left].double() - ended[right].double())
        return p.clamp(0, 1) if bounded else p

    def _labelled(self, turn: Turn, p: Tensor) -> Tensor:
        """p itself, or a draw from it."""
        if self.labels == "soft":
            return p
        # the symmetric half of a pointwise method's pairs is the same annotation in reverse
        half = len(p) if turn.method.objective.symmetric or turn.left != turn.right else len(p) // 2
        noise = turn.uniforms(half // max(1, len(turn.rows))).reshape(-1)
        wins = (noise[: len(p[:half])] < p[:half]).double().where(~p[:half].isnan(), torch.nan)
        return torch.cat([wins, 1 - wins])[: len(p)]


def _portions(turn: Turn, count: int) -> Iterator[tuple[slice, Turn]]:
    """The turn split into ``count`` parts, each with its prompts and their random numbers."""
    size, drawn = -(-len(turn.rows) // count), list[Tensor]()
    for start in range(0, len(turn.rows), size):
        part = slice(start, min(start + size, len(turn.rows)))
        yield part, turn._replace(rows=turn.rows[part], uniforms=_numbers(turn, drawn, part))


def _numbers(turn: Turn, drawn: list[Tensor], part: slice) -> Callable[[int], Tensor]:
    """The part's rows of the turn's random numbers: the n-th call returns the same draw in every part."""
    calls = count()

    def uniforms(columns: int) -> Tensor:
        call = next(calls)
        if call == len(drawn):
            drawn.append(turn.uniforms(columns))
        return drawn[call][part]

    return uniforms


def _joined(parts: Sequence[Tokens], pad_id: int) -> Tokens:
    """Batches of completions, concatenated."""
    length = max(part.ids.shape[1] for part in parts)
    pad = torch.nn.functional.pad
    ids = [pad(part.ids, (0, length - part.ids.shape[1]), value=pad_id) for part in parts]
    masks = [pad(part.mask, (0, length - part.mask.shape[1]), value=False) for part in parts]
    return Tokens(torch.cat(ids), torch.cat(masks))


def _agreement(p: Tensor) -> Tally:
    """The judge's mean preference, its clarity, and the number of pairs left out."""
    judged = p[~p.isnan()]
    count, left_out = float(len(judged)), float(len(p) - len(judged))
    if len(p) and not count:
        warnings.warn(f"the judge left out all {len(p)} pairs of a step: nothing is learned from it", stacklevel=2)
    return {
        "preference": (float(judged.sum()), count),
        "spread": (float((judged - 0.5).abs().sum()), count),
        "left_out": (left_out, float(len(p))),
    }


def _judged_pairs(
    left: Tensor, right: Tensor, p: Tensor, weight: Tensor, prompts: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The judged pairs; those of a prompt share the weight of its pairs that were left out."""
    judged = ~p.isnan()
    if bool(judged.all()):
        return left, right, p, weight
    count = int(prompts.max()) + 1
    whole, kept = (torch.bincount(each, minlength=count).to(weight) for each in (prompts, prompts[judged]))
    share = whole[prompts[judged]] / kept[prompts[judged]]
    return left[judged], right[judged], p[judged], weight[judged] * share


def _side_by_side(parts: Sequence[Tokens], counts: Sequence[int], pad_id: int) -> Tokens:
    """Completions of both sides in one batch, consecutive for each prompt."""
    length = max(part.ids.shape[1] for part in parts)
    ids, masks = [], []
    for part, number in zip(parts, counts, strict=True):
        missing = length - part.ids.shape[1]
        ids.append(torch.nn.functional.pad(part.ids, (0, missing), value=pad_id).view(-1, number, length))
        masks.append(torch.nn.functional.pad(part.mask, (0, missing), value=False).view(-1, number, length))
    return Tokens(torch.cat(ids, 1).view(-1, length), torch.cat(masks, 1).view(-1, length))

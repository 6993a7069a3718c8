"""Does a trainer's step leave the gradient of the method it names?  Checked by enumeration on a tiny model.

The model is a torch module ``policy(ids) -> logits [B, L, V]`` like any causal language model, batches have the usual
layout of trainers, and the expected gradient is computed pair by pair in plain loops over tokens:

    (1/N) Σ_pairs  ∂ℓ/∂log π(chosen) ∇log π(chosen) + ∂ℓ/∂log π(rejected) ∇log π(rejected),   log π = Σ_t log π(y_t | ·)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nashlab.check.conformance import target_named, told
from nashlab.check.deviations import DEVIATIONS, Deviation, Found, miss, recognised
from nashlab.check.evaluation import Loss
from nashlab.check.forms import pairs_of
from nashlab.check.likeness import named
from nashlab.check.losses import NAMED
from nashlab.game import BadInput, check_temperature

__all__ = ["TinyPolicy", "assert_gradient", "assert_mixture", "assert_policy_gradient", "micro_batches"]

Array = NDArray[np.float64]
Batch = dict[str, torch.Tensor]
Step = Callable[[torch.nn.Module, torch.nn.Module, list[Batch]], Any]

PAD, END, PROMPTS = 0, 1, ((4,), (4, 2))
SYMBOLS, LONGEST, VOCABULARY, CONTEXT = (2, 3), 2, 5, 8
EXACT = 1e-6  # relative: everything here is float64, but a step may use float32 in places


class TinyPolicy(torch.nn.Module):
    """logits(t) = table[token t] + place[t] in float64, so that every weight matters and nothing is random.

    >>> TinyPolicy(seed=0)(torch.tensor([[4, 2, 1]])).shape
    torch.Size([1, 3, 5])
    """

    def __init__(self, seed: int, scale: float = 1.0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.table = torch.nn.Parameter(
            scale * torch.randn(VOCABULARY, VOCABULARY, generator=draw, dtype=torch.float64)
        )
        self.place = torch.nn.Parameter(scale * torch.randn(CONTEXT, VOCABULARY, generator=draw, dtype=torch.float64))

    def forward(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        """[B, L] -> [B, L, V]; the attention mask is ignored, since the model sees one token at a time."""
        return self.table[input_ids] + self.place[: input_ids.shape[1]]


@dataclass(frozen=True)
class Example:
    """A prompt and a completion, which ends with the end-of-sequence token."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]


def completions() -> list[tuple[int, ...]]:
    """All completions: up to two of two symbols, then the end of the sequence."""
    found: list[tuple[int, ...]] = [()]
    for length in range(1, LONGEST + 1):
        found += [(*c, s) for c in found if len(c) == length - 1 for s in SYMBOLS]
    return [(*c, END) for c in found]


def pairs_of_sequences() -> list[tuple[Example, Example]]:
    """Every ordered pair of different completions of every prompt, in an order that mixes lengths."""
    every = [
        (Example(prompt, a), Example(prompt, b))
        for prompt in PROMPTS
        for a in completions()
        for b in completions()
        if a != b
    ]
    order = np.random.default_rng(11).permutation(len(every))
    return [every[k] for k in order]


def micro_batches(pairs: Sequence[tuple[Example, Example]], count: int) -> list[Batch]:
    """The pairs as ``count`` padded batches.

    Each holds, for side = chosen, rejected: ``input_ids_{side}`` [B, L] (prompt, completion, then padding 0),
    ``attention_mask_{side}`` (1 on all tokens but padding), ``completion_mask_{side}`` (1 on the completion with its
    end-of-sequence token).
    """
    return [_batch(pairs[len(pairs) * k // count : len(pairs) * (k + 1) // count]) for k in range(count)]


def _batch(pairs: Sequence[tuple[Example, Example]]) -> Batch:
    batch: Batch = {}
    for k, side in enumerate(("chosen", "rejected")):
        sequences = [pair[k] for pair in pairs]
        longest = max(len(s.prompt) + len(s.completion) for s in sequences)
        ids, attention, completion = (torch.zeros(len(pairs), longest, dtype=torch.long) for _ in range(3))
        for row, s in enumerate(sequences):
            start, end = len(s.prompt), len(s.prompt) + len(s.completion)
            ids[row, :end] = torch.tensor((*s.prompt, *s.completion))
            attention[row, :end] = 1
            completion[row, start:end] = 1
        batch |= {f"input_ids_{side}": ids, f"attention_mask_{side}": attention, f"completion_mask_{side}": completion}
    return batch


@dataclass(frozen=True)
class Reading:
    """Which tokens of a sequence a trainer sums over."""

    words: str
    from_prompt: bool = False
    to_padding: bool = False
    without_end: bool = False
    unshifted: bool = False

    def log_probability(self, policy: torch.nn.Module, s: Example, padded: int) -> torch.Tensor:
        """Σ_t log π(y_t | ·) over the tokens of this reading, by a loop."""
        ids = [*s.prompt, *s.completion, *([PAD] * (padded - len(s.prompt) - len(s.completion)))]
        log_policy = torch.log_softmax(policy(torch.tensor([ids]))[0], dim=-1)
        first = 1 if self.from_prompt else len(s.prompt)
        last = padded if self.to_padding else len(s.prompt) + len(s.completion) - (1 if self.without_end else 0)
        terms = [log_policy[t if self.unshifted else t - 1, ids[t]] for t in range(first, last)]
        return torch.stack(terms).sum() if terms else 0.0 * log_policy.sum()


RIGHT, PLAIN = Reading(""), DEVIATIONS["temperature"]
READINGS = (
    Reading("padding is counted as tokens", to_padding=True),
    Reading("the prompt's tokens are counted as the completion's", from_prompt=True),
    Reading("prompt and padding are counted", from_prompt=True, to_padding=True),
    Reading("the end-of-sequence token is left out", without_end=True),
    Reading("logits are not shifted by one position", unshifted=True),
)


class Task:
    """The pairs of one step in micro-batches, and models whose log-ratios span the relevant range for τ."""

    def __init__(self, accumulation: int, pairs: int, tau: float):
        self.accumulation, self.pairs = accumulation, pairs_of_sequences()[:pairs]
        self.policy, self.reference = (TinyPolicy(seed, scale=max(1.0, 0.5 / tau)) for seed in (1, 2))
        self._read: dict[Reading, tuple[dict[str, Array], Array]] = {}

    def groups(self) -> list[list[tuple[Example, Example]]]:
        """The pairs of each micro-batch."""
        n, count = len(self.pairs), self.accumulation
        return [self.pairs[n * k // count : n * (k + 1) // count] for k in range(count)]

    def gradients(self, loss: Loss, tau: float, deviation: Deviation = PLAIN, x: float = 0.0,
                  reading: Reading = RIGHT) -> Array:  # fmt: skip
        """The sum of the gradients of each micro-batch's pairs, [micro-batches, weights]."""
        if reading not in self._read:
            self._read[reading] = self._reading(reading)
        pairs, scores = self._read[reading]
        slopes = np.stack(deviation.slopes(loss, pairs, tau, x))
        each = np.einsum("sn,snw->nw", slopes, scores)
        ends = np.cumsum([len(group) for group in self.groups()])[:-1]
        return np.stack([part.sum(axis=0) for part in np.split(each, ends)])

    def _reading(self, reading: Reading) -> tuple[dict[str, Array], Array]:
        """The columns of all pairs, and ∇log π of both sides, [2, pairs, weights]."""
        columns: dict[str, list[list[float]]] = {"policy": [[], []], "reference": [[], []]}
        scores: list[list[Array]] = [[], []]
        weights = list(self.policy.parameters())
        for group in self.groups():
            for side in (0, 1):
                padded = max(len(pair[side].prompt) + len(pair[side].completion) for pair in group)
                for pair in group:
                    log_p = reading.log_probability(self.policy, pair[side], padded)
                    columns["policy"][side].append(log_p.item())
                    theirs = reading.log_probability(self.reference, pair[side], padded)
                    columns["reference"][side].append(theirs.item())
                    scores[side].append(_flat(torch.autograd.grad(log_p, weights)))
        policy, reference = ((np.array(a), np.array(b)) for a, b in columns.values())
        chosen, rejected = (np.array([float(len(pair[side].completion)) for pair in self.pairs]) for side in (0, 1))
        return pairs_of(policy, reference, p=1.0, length=(chosen, rejected)), np.stack([np.stack(s) for s in scores])


def _numbers(x: torch.Tensor) -> Array:
    return np.asarray(x.detach(), dtype=np.float64)


def _flat(tensors: Sequence[torch.Tensor | None]) -> Array:
    return np.concatenate([_numbers(t).ravel() for t in tensors if t is not None])


def _left_by(step: Step, policy: TinyPolicy, reference: TinyPolicy, batches: list[Batch]) -> Array:
    """The gradient that a step leaves, or that of the loss it returns."""
    policy.zero_grad()
    returned = step(policy, reference, batches)
    if (
        isinstance(returned, torch.Tensor)
        and returned.requires_grad
        and all(p.grad is None for p in policy.parameters())
    ):
        returned.backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in policy.parameters()]
    found = _flat(gradients)
    if not np.all(np.isfinite(found)):
        raise AssertionError("the step left a gradient that is not finite")
    if not np.any(found):
        raise AssertionError("the step left no gradient: it has to return a loss, or to call backward on it")
    return found


def assert_gradient(step: Step, name: str, *, tau: float, accumulation: int = 1, pairs: int = 6) -> None:
    """Fail unless a trainer's step leaves the gradient of the mean of the loss ``name`` over all its pairs.

    step          step(policy, reference, batches): computes the loss of a list of micro-batches (see
                  :func:`micro_batches`) and calls backward, or returns the loss; no optimiser runs.
    accumulation  the number of micro-batches; pairs: the number of pairs in all micro-batches together.
    Errors: AssertionError with the known deviation that it resembles; BadInput.
    """
    check_temperature(tau, positive=True, name="tau")
    if not 1 <= accumulation <= pairs <= len(pairs_of_sequences()):
        raise BadInput(
            f"accumulation = {accumulation} and pairs = {pairs}: at least one pair per micro-batch, at most 84"
        )
    loss, task = target_named(name), Task(accumulation, pairs, tau)
    found = _left_by(step, task.policy, task.reference, micro_batches(task.pairs, accumulation))
    right = task.gradients(loss, tau)
    expected = right.sum(axis=0) / pairs
    off = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    if off <= EXACT:
        return
    reasons = [*_scale(found, right, task)] or [*_readings(found, loss, tau, task)]
    if not reasons:
        reasons = recognised(found, lambda d, t, x: task.gradients(loss, t, d, x).sum(axis=0), tau)
    why = told(reasons, "" if reasons else " or ".join(_other_losses(found, tau, task)))
    raise AssertionError(
        f"the step's gradient is not that of {name} at tau = {tau:g}, it is {100 * off:.2g} % off: {why}"
    )


def _other_losses(found: Array, tau: float, task: Task) -> Iterator[str]:
    """The named losses with this gradient, up to a factor."""
    for name in NAMED:
        other = named(name)
        if other is not None and miss(found, task.gradients(other, tau).sum(axis=0)) <= EXACT:
            yield name


def _scale(found: Array, right: Array, task: Task) -> Iterator[Found]:
    """Explanations by a wrong factor, or by wrong weights of the micro-batches."""
    total, n, count = right.sum(axis=0), len(task.pairs), task.accumulation
    off = miss(found, total)
    if off <= EXACT:
        factor = float(found @ total) / float(total @ total) * n
        words = {count: "micro-batches are added up, not averaged", n: "pairs are added up, not averaged",
                 1 / count: "it is divided by the number of micro-batches twice"}  # fmt: skip
        why = next(
            (f" ({w})" for size, w in words.items() if count > 1 or size == n if abs(factor / size - 1) < 1e-4), ""
        )
        yield Found(f"it is {factor:.4g} times too large{why}", off)
        return
    if count == 1:
        return
    tokens = np.array([sum(len(s.completion) for pair in group for s in pair) for group in task.groups()], dtype=float)
    sizes = np.array([len(group) for group in task.groups()], dtype=float)
    for name, weight in (
        ("micro-batches are weighed by their tokens, not by their pairs", tokens / sizes),
        ("micro-batches of unequal size are averaged as if they were equal", 1 / sizes),
        ("only the last micro-batch counts", np.eye(count)[-1]),
        ("only the first micro-batch counts", np.eye(count)[0]),
    ):
        off = miss(found, weight @ right)
        if off <= EXACT:
            yield Found(name, off)


def _readings(found: Array, loss: Loss, tau: float, task: Task) -> Iterator[Found]:
    for reading in READINGS:
        off = miss(found, task.gradients(loss, tau, reading=reading).sum(axis=0))
        if off <= EXACT:
            yield Found(reading.words, off)


# -- policy gradients and mixtures -----------------------------------------------------------------------------------


def assert_policy_gradient(step: Step, *, tau: float) -> None:
    """Fail unless a step leaves −(1/N) Σ ∇log π(y) (p(y ≻ y') − ½ − τ log π(y)/μ(y)): self-play's (L9).

    step  as in :func:`assert_gradient`; the one batch has ``input_ids``, ``attention_mask``, ``completion_mask`` and
          ``preference`` [B], the probability that the completion is preferred to its opponent.
    Errors: AssertionError with the known deviation that it resembles.
    """
    check_temperature(tau, positive=True, name="tau")
    policy, reference = TinyPolicy(seed=1), TinyPolicy(seed=2)
    sequences = [Example(PROMPTS[k % 2], c) for k, c in enumerate(completions())]
    p = 0.1 + 0.8 * torch.rand(len(sequences), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    batch = {k.removesuffix("_chosen"): x for k, x in _batch([(s, s) for s in sequences]).items() if "chosen" in k}
    found = _left_by(step, policy, reference, [batch | {"preference": p}])
    terms = [_token_terms(policy, reference, s) for s in sequences]

    def gradient(weigh: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]) -> Array:
        total = torch.stack([weigh(log_p, h, p[k]) for k, (log_p, h) in enumerate(terms)]).mean()
        return _flat(torch.autograd.grad(-total, list(policy.parameters()), retain_graph=True))

    right = gradient(lambda log_p, h, q: log_p.sum() * (q - 0.5 - tau * h.sum()))
    if np.linalg.norm(found - right) <= EXACT * np.linalg.norm(right):
        return
    known = {
        "the KL term multiplies token by token and drops the cross terms": lambda log_p, h, q: (
            log_p.sum() * (q - 0.5) - tau * (log_p * h).sum()
        ),
        "the KL term is missing": lambda log_p, h, q: log_p.sum() * (q - 0.5),
        "the KL term has the wrong sign": lambda log_p, h, q: log_p.sum() * (q - 0.5 + tau * h.sum()),
        "the KL term is half of its correct value": lambda log_p, h, q: log_p.sum() * (q - 0.5 - 0.5 * tau * h.sum()),
        "the KL term is twice its correct value": lambda log_p, h, q: log_p.sum() * (q - 0.5 - 2 * tau * h.sum()),
        "the KL term is averaged over tokens": lambda log_p, h, q: log_p.sum() * (q - 0.5 - tau * h.mean()),
        "log-probabilities are averaged over tokens": lambda log_p, h, q: log_p.mean() * (q - 0.5 - tau * h.sum()),
        "the log-ratio itself is differentiated (k1 as a loss)": lambda log_p, h, q: log_p.sum() * (q - 0.5 - tau),
        "there is no baseline of ½ (unbiased, and noisier)": lambda log_p, h, q: log_p.sum() * (q - tau * h.sum()),
        "preferences are those of the opponent": lambda log_p, h, q: log_p.sum() * (0.5 - q - tau * h.sum()),
    }  # fmt: skip
    reasons = [Found(words, off) for words, f in known.items() if (off := miss(found, gradient(f))) <= EXACT]
    if miss(found, right) <= EXACT:
        factor = float(found @ right) / float(right @ right)
        reasons = [Found(f"it is {factor:.4g} times too large", miss(found, right))]
    share = 100 * float(np.linalg.norm(found - right) / np.linalg.norm(right))
    raise AssertionError(
        f"the step's gradient is not the policy gradient at tau = {tau:g}, it is {share:.2g} % off: {told(reasons)}"
    )


def _token_terms(policy: TinyPolicy, reference: TinyPolicy, s: Example) -> tuple[torch.Tensor, torch.Tensor]:
    """log π of each completion token, and its log-ratio as a number."""
    ids, first = [*s.prompt, *s.completion], len(s.prompt)
    own, theirs = (torch.log_softmax(m(torch.tensor([ids]))[0], dim=-1) for m in (policy, reference))
    places = range(first, len(ids))
    log_p = torch.stack([own[t - 1, ids[t]] for t in places])
    return log_p, (log_p - torch.stack([theirs[t - 1, ids[t]] for t in places])).detach()


def assert_mixture(mix: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], *, beta: float) -> None:
    """Fail unless ``mix`` of log π and log μ over the next token is the geometric mixture ∝ π^(1−β) μ^β.

    mix   mix(policy_logits [B, V], reference_logits [B, V]) -> logits of the mixture, up to a constant per row.
    Errors: AssertionError with the known deviation that it resembles.
    """
    if not 0 < beta < 1:
        raise BadInput(f"beta = {beta}, must be in (0, 1)")
    draw = torch.Generator().manual_seed(5)
    policy, reference = (2 * torch.randn(6, VOCABULARY, generator=draw, dtype=torch.float64) for _ in range(2))
    found = torch.softmax(torch.as_tensor(mix(policy, reference)), dim=-1)
    log_p, log_q = torch.log_softmax(policy, -1), torch.log_softmax(reference, -1)

    def geometric(weight: float) -> torch.Tensor:
        return torch.softmax((1 - weight) * log_p + weight * log_q, dim=-1)

    def off(other: torch.Tensor) -> float:
        return float((found - other).abs().max())

    if off(geometric(beta)) <= EXACT:
        return
    known: Mapping[str, torch.Tensor] = {
        f"beta weighs the policy, not the reference: it is the mixture of {1 - beta:g}": geometric(1 - beta),
        "probabilities are averaged, not log-probabilities": (1 - beta) * log_p.exp() + beta * log_q.exp(),
        "it is the policy alone": log_p.exp(),
        "it is the reference alone": log_q.exp(),
        "log-probabilities are added without 1 − beta": torch.softmax(log_p + beta * log_q, dim=-1),
    }
    reasons = [Found(words, off(other)) for words, other in known.items() if off(other) <= EXACT]
    if not reasons:
        from scipy.optimize import minimize_scalar

        best = minimize_scalar(
            lambda w: off(geometric(w)), bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-10}
        )
        reasons = [Found(f"it is the mixture of {best.x:.4g}", best.fun)] if best.fun <= EXACT else []
    raise AssertionError(f"it is not the mixture of beta = {beta:g}, {off(geometric(beta)):.2g} off: {told(reasons)}")

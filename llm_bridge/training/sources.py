"""The data of a training step: prompts, completions drawn by the method's players, and their preferences.

    Generated   k completions per prompt are sampled and judged, see :mod:`llm_bridge.training.generated`
    Closed      each prompt has K fixed candidates and an exact game; all K² pairs count, with their probabilities
    Recorded    comparisons from a file or a behaviour policy: offline methods
    Examples    texts to imitate: supervised fine-tuning, a policy gradient in which every score is 1

A source turns a :class:`Turn` (the players, the prompts, the random numbers) into :class:`Samples`.  Random numbers
depend on step and prompt, so a step gives the same samples however it is split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_bridge.policy import Policy, Prompts, Reference, Tokens, pad_right
from llm_bridge.training.enumerable import expected_samples, restricted
from llm_bridge.training.methods import IMITATION, Bridged, sampler_of
from llm_bridge.training.objective import Samples, all_pairs, cross_pairs
from llm_bridge.training.players import Players
from nashlab.algorithm import Sampler
from nashlab.arrays import kl, l1
from nashlab.certificate import exploitability
from nashlab.equilibrium import regularised_nash
from nashlab.game import BadInput, PreferenceGame, check_temperature

__all__ = [
    "Closed",
    "Examples",
    "Recorded",
    "Source",
    "Tally",
    "Turn",
    "described",
    "lengths",
    "on_device",
    "pairs_within",
]

Tally = dict[str, tuple[float, float]]
"""Running means: name -> (sum, count)."""


class Turn(NamedTuple):
    """The request of a step to its source.

    method, players   of the step;  left, right  the samplers of y and y' this time.
    rows      the items of this process's share of the step;  total  the number of items in all shares.
    uniforms  columns -> numbers in [0, 1) for this share, [len(rows), columns] float64.
    tau, beta, step_size  the method's numbers.
    meanwhile  called with samples whose p is still unknown: it may score them at once, while a judge works, and then
               returns log π of the completions, which need not be computed again.
    """

    method: Bridged
    players: Players
    left: str
    right: str
    rows: Sequence[int]
    total: int
    uniforms: Callable[[int], Tensor]
    tau: float
    beta: float
    step_size: float
    meanwhile: Callable[[Samples], Tensor | None] = lambda samples: None

    @property
    def temperature(self) -> float:
        """The objective's temperature."""
        return self.method.form.temperature(self)

    def anchored(self, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        """log of the policy to which log-ratios are relative."""
        return self.method.form.anchor(self.players, self, log_prob)


class Source(Protocol):
    """A set of training items."""

    def __len__(self) -> int: ...

    def check(self, policy: Policy) -> None:
        """Refuse, before the first step, anything that this policy cannot read."""
        ...

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        """The samples of a turn, and statistics about them."""
        ...

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        """log π of the samples' completions with its gradient, [N]."""
        ...


def described(source: Source) -> dict[str, Any]:
    """A source's data in a form short enough to compare: its numbers, and checksums of its data.

    Judges are not described: their answers are the responsibility of the caller.
    """
    found: dict[str, Any] = {"kind": type(source).__name__, "items": len(source)}
    for name, value in vars(source).items():
        if isinstance(value, (str, int, float)):
            found[name] = value
        elif isinstance(value, np.ndarray):
            found[name] = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        elif isinstance(value, Sequence):
            found[name] = hashlib.sha256(repr(list(value)).encode()).hexdigest()
    return found


@dataclass(frozen=True, eq=False)
class Closed:
    """K candidates for each prompt and their exact game, so that every expectation is exact.

    The policy on a closed set is π_x(y) ∝ π(y | x)^(1/T): a softmax of summed log-probabilities over ``temperature`` T,
    one number for candidates of all lengths (dividing by lengths would be another objective, L2.iv).

    candidates  token ids of each prompt's K completions, [X][K].
    margins     P − ½ of each prompt, [X, K, K].

    Source: theory §6; E2 and E3 hold for each prompt.
    """

    prompts: Prompts
    candidates: Sequence[Sequence[Sequence[int]]]
    margins: NDArray[np.float64]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        sizes = {len(rows) for rows in self.candidates}
        if len(sizes) != 1 or self.margins.shape != (len(self.prompts.rows), *sizes, *sizes):
            raise BadInput(
                f"candidates of sizes {sorted(sizes)} and margins of shape {self.margins.shape} for "
                f"{len(self.prompts.rows)} prompts, must be one size K and [X, K, K]"
            )
        self.prompts.check(candidates=self.candidates)
        check_temperature(self.temperature, positive=True)
        PreferenceGame.from_preferences(self.margins + 0.5)  # skew, and within ½

    def check(self, policy: Policy) -> None:
        """Refuse prompts without a token or room for candidates, and candidates that continue after their end."""
        self.prompts.check_room(policy, max(len(ids) for rows in self.candidates for ids in rows))
        for i, rows in enumerate(self.candidates):
            _check_ends(policy, rows, f"candidates[{i}]")

    def __len__(self) -> int:
        return len(self.prompts.rows)

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        """Every pair of each prompt's candidates, weighted by its exact probability."""
        players = turn.players
        prompt, completion = self._tokens(players.policy, turn.rows)
        log_mu = self.log_reference(players, turn.rows)
        moves = "policy" in {sampler_of(side).player for side in (turn.left, turn.right)}
        scored = turn.meanwhile(_unjudged(prompt, completion)) if moves else None
        now = None if scored is None else scored.detach().view(log_mu.shape)

        def log_policy(model: Policy | Reference) -> Tensor:
            if isinstance(model, Reference) and model is players.reference:
                return log_mu
            with torch.no_grad():
                return self._restricted(model, prompt, completion)

        def log_side(side: Sampler) -> Tensor:
            with players.playing(side.player) as model:
                own = now if side.player == "policy" and now is not None else log_policy(model)
            other = log_policy(getattr(players, side.pull)) if side.pull else own
            return restricted((1 - turn.beta) * own + turn.beta * other)

        log_left = log_side(sampler_of(turn.left))
        log_right = log_left if turn.right == turn.left else log_side(sampler_of(turn.right))
        anchor = turn.anchored(log_policy).reshape(-1)
        p = torch.as_tensor(self._judged(turn)[list(turn.rows)] + 0.5).to(anchor.device)
        samples = expected_samples(prompt, completion, anchor, p, log_left, log_right)
        return samples._replace(weight=samples.weight / turn.total), {}

    def _judged(self, turn: Turn) -> NDArray[np.float64]:
        """The margins that the method's judge sees: A, or r(y) − r(y') of the reward fitted on μ_b's responses."""
        spec, players = turn.method.spec, turn.players
        if spec.judge == "preference":
            return self.margins
        rewards = players.known.setdefault((self, "rewards"), {})
        if spec.name not in rewards:
            game = self.game(self.log_policies(players.reference))
            rewards[spec.name] = spec.judged(game, self.log_policies(players.behaviour))
        found: NDArray[np.float64] = rewards[spec.name]
        return found

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        """log π_x of the candidates, within the closed set, [N]."""
        return self._restricted(policy, samples.prompt, samples.completion).reshape(-1)

    def _restricted(self, model: Policy | Reference, prompt: Tokens, completion: Tokens) -> Tensor:
        k = len(self.candidates[0])
        return restricted(model.log_prob(prompt, completion).view(-1, k) / self.temperature)

    def log_reference(self, players: Players, rows: Sequence[int]) -> Tensor:
        """log μ on the candidates, [X, K], cached per prompt."""
        known = players.known.setdefault((self, "log_mu"), {})
        for i in rows:
            if i not in known:  # separately, so that its last bits do not depend on the other prompts
                known[i] = self._restricted(players.reference, *self._tokens(players.policy, [i]))[0]
        return torch.stack([known[i] for i in rows])

    def log_policies(self, model: Policy | Reference, batch: int = 16) -> NDArray[np.float64]:
        """log π of every prompt's candidates, [X, K]."""
        policy = model.policy if isinstance(model, Reference) else model
        parts = []
        for start in range(0, len(self), batch):
            prompt, completion = self._tokens(policy, range(start, min(start + batch, len(self))))
            with torch.no_grad():
                parts.append(self._restricted(model, prompt, completion).double().cpu())
        return torch.cat(parts).numpy()

    def game(self, log_reference: NDArray[np.float64]) -> PreferenceGame:
        """The exact games of all prompts, a batch [X, K, K]."""
        mu = np.exp(log_reference)
        return PreferenceGame.from_margins(self.margins, reference=mu / mu.sum(axis=1, keepdims=True))

    def measure(self, players: Players, tau: float) -> dict[str, float]:
        """Means over prompts: exploitability (E2) at τ, ‖π − π*_τ‖₁, KL(π‖μ), win rate."""
        log_mu, game, log_target = self._fixed(players, tau)
        log_pi = self.log_policies(players.policy)
        pi, mu = np.exp(log_pi), np.exp(log_mu)
        wins = 0.5 + np.einsum("xi,xij,xj->x", pi, self.margins, mu)
        return {
            "exploitability": float(exploitability(game, log_pi, tau).mean()),
            "distance": float(l1(log_pi, log_target).mean()),
            "exact_kl": float(kl(log_pi, log_mu).mean()),
            "win_rate": float(wins.mean()),
        }

    def _fixed(self, players: Players, tau: float) -> tuple[NDArray[np.float64], PreferenceGame, NDArray[np.float64]]:
        """log μ, the games and their equilibria, which no step changes: computed once for all measurements."""
        known = players.known.setdefault((self, "fixed"), {})
        if tau not in known:
            log_mu = self.log_policies(players.reference)
            game = self.game(log_mu)
            known[tau] = log_mu, game, np.asarray(regularised_nash(game, tau).log_policy)
        found: tuple[NDArray[np.float64], PreferenceGame, NDArray[np.float64]] = known[tau]
        return found

    def _tokens(self, policy: Policy, rows: Sequence[int]) -> tuple[Tokens, Tokens]:
        completions = [candidate for i in rows for candidate in self.candidates[i]]
        return self.prompts.tokens(policy, rows), pad_right(completions, policy.pad_id).to(policy.device)


@dataclass(frozen=True)
class Recorded:
    """Comparisons made in advance: two completions of each prompt, and the label p of the left one.

    temperature  of the policy, as if it sampled: π^(1/T) token by token.
    """

    prompts: Prompts
    left: Sequence[Sequence[int]]
    right: Sequence[Sequence[int]]
    p: Sequence[float]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        self.prompts.check(left=self.left, right=self.right, p=self.p)
        for i, p in enumerate(self.p):
            if not 0 <= p <= 1:
                raise BadInput(f"p[{i}] = {p}, must be in [0, 1]")
        check_temperature(self.temperature, positive=True)

    def check(self, policy: Policy) -> None:
        """Refuse prompts without a token or room for completions, and completions that continue after their end."""
        self.prompts.check_room(policy, max(len(ids) for ids in (*self.left, *self.right)))
        _check_ends(policy, self.left, "left")
        _check_ends(policy, self.right, "right")

    def __len__(self) -> int:
        return len(self.prompts.rows)

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        """Comparisons as they were recorded; refused for methods that draw their own responses."""
        if not turn.method.offline:
            name = turn.method.spec.name
            raise BadInput(f"{name} draws its own responses; recorded comparisons are for offline methods")
        policy = turn.players.policy
        prompt = self.prompts.tokens(policy, turn.rows)
        both = [row for i in turn.rows for row in (self.left[i], self.right[i])]
        completion = pad_right(both, policy.pad_id).to(policy.device)
        log_anchor = turn.anchored(
            lambda model: model.log_prob(prompt, completion, temperature=self.temperature).detach()
        )
        left, right = pairs_within(len(turn.rows), [1, 1], symmetric=True)
        p = torch.tensor([self.p[i] for i in turn.rows], dtype=torch.float64)
        weight = torch.full((len(left),), 1 / turn.total)
        samples = Samples(prompt, completion, log_anchor, left, right, p, weight)
        return on_device(policy, samples), lengths(completion, policy)

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        """log π of the recorded completions with its gradient, [N]."""
        return policy.log_prob(samples.prompt, samples.completion, temperature=self.temperature)


@dataclass(frozen=True)
class Examples:
    """Texts to imitate, including their end of sequence."""

    prompts: Prompts
    completions: Sequence[Sequence[int]]

    def __post_init__(self) -> None:
        self.prompts.check(completions=self.completions)

    def check(self, policy: Policy) -> None:
        """Refuse prompts without a token or room for a completion, and completions that continue after their end."""
        self.prompts.check_room(policy, max(map(len, self.completions)))
        _check_ends(policy, self.completions, "completions")

    def __len__(self) -> int:
        return len(self.prompts.rows)

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        """Texts to imitate; refused for methods that compare responses."""
        if turn.method is not IMITATION:
            raise BadInput(f"{turn.method.spec.name} compares responses; examples are for supervised fine-tuning")
        policy = turn.players.policy
        prompt = self.prompts.tokens(policy, turn.rows)
        completion = pad_right([self.completions[i] for i in turn.rows], policy.pad_id).to(policy.device)
        rows = torch.arange(len(turn.rows))
        none = torch.zeros(len(rows), dtype=torch.float64)
        weight = torch.full((len(rows),), 1 / turn.total)
        return on_device(policy, Samples(prompt, completion, none, rows, rows, none + 0.5, weight)), {}

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        """log π of the texts with its gradient, [N]."""
        return policy.log_prob(samples.prompt, samples.completion)

    def measure(self, players: Players, batch: int = 16) -> dict[str, float]:
        """Mean −log π per token of these texts."""
        total, count = 0.0, 0.0
        for start in range(0, len(self), batch):
            rows = range(start, min(start + batch, len(self)))
            prompt = self.prompts.tokens(players.policy, rows)
            completion = pad_right([self.completions[i] for i in rows], players.policy.pad_id).to(players.policy.device)
            with torch.no_grad():
                total -= float(players.policy.log_prob(prompt, completion).sum())
            count += float(completion.mask.sum())
        return {"nats_per_token": total / count}


def _unjudged(prompt: Tokens, completion: Tokens) -> Samples:
    """Completions to be scored, without pairs."""
    none = torch.zeros(0)
    return Samples(prompt, completion, none, none.long(), none.long(), none, none)


def pairs_within(prompts: int, counts: Sequence[int], *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Rows of all pairs of one prompt's completions, which are consecutive; of both sides if there are two."""
    k = sum(counts)
    groups, place = torch.arange(prompts).repeat_interleave(k), torch.arange(k).repeat(prompts)
    if len(counts) == 1:
        left, right = all_pairs(groups)
        return (left, right) if symmetric else (torch.cat([left, right]), torch.cat([right, left]))
    ours, theirs = (place < counts[0]).nonzero().squeeze(1), (place >= counts[0]).nonzero().squeeze(1)
    left, right = cross_pairs(groups[ours], groups[theirs])
    return ours[left], theirs[right]


def lengths(completion: Tokens, policy: Policy) -> Tally:
    rows = float(len(completion.ids))
    return {"length": (float(completion.mask.sum()), rows), "ended": (float(policy.ended(completion).sum()), rows)}


def _check_ends(policy: Policy, rows: Sequence[Sequence[int]], name: str) -> None:
    """Refuse tokens after an end of sequence: they are never sampled, so their probability cannot be learned."""
    for i, row in enumerate(rows):
        for place, token in enumerate(row[:-1]):
            if token in policy.ends:
                raise BadInput(f"{name}[{i}] continues after token {token} at place {place}, must end there: "
                               "it is an end of sequence")  # fmt: skip


def on_device(policy: Policy, samples: Samples) -> Samples:
    """Every tensor on the policy's device."""
    prompt, completion, *tensors = samples
    return Samples(prompt, completion, *(t.to(policy.device) for t in tensors))

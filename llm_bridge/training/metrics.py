"""Measurements on held-out prompts that tell whether training works, the same for every method.

    win_rate                   E p(y ≻ y₀), y from the policy, y₀ from the initial policy; exactly ½ at the start
    win_rate_low, _high        its 95 % interval, with prompts as independent units
    held_out_kl                KL(π‖μ) in nats per completion, unbiased, for any sampler of the method
    held_out_length, _ended    tokens per completion, and the share that ends by itself
    held_out_left_out          the share of pairs that the judge left out
    win_rate_most              the largest win rate at this KL for any preference, if the reference is the start (N23)
    slope, slope_low, _high    of wins on log-ratios between two completions of the policy: τ at π*_τ (N28)
    stretch, stretch_low       of log-ratios; above 1 the policy is the equilibrium of no preference (N22)
    gap_most                   a bound of the exploitability at τ, if the reference is the start (N15)
    mixture_sd, _high          of the log-normaliser S of the method's token-level mixture; 0: a sequence's (N25)

y and y₀ share their random numbers crosswise: with two completions each, y₁ meets y₀₂ and y₂ meets y₀₁.  These are
independent, hence unbiased, and at the start one comparison is the reverse of the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from llm_bridge.judges import Judge, ask
from llm_bridge.policy import Policy, Prompts, Reference, Tokens, mixture_tilt, sample, texts_of
from llm_bridge.training.diagnostics import (
    gap_most,
    log_ratio_slope,
    mixture_sd,
    ratio_stretch,
    share_interval,
    win_rate_most,
)
from llm_bridge.training.players import Players
from nashlab.game import BadInput

__all__ = ["HeldOut", "share_interval"]


@dataclass
class HeldOut:
    """The measurement for ``train(..., measure=)``: see the module docstring.

    prompts   held out;  judge  also used in training;  columns, cut_mark  its further inputs.
    tau       temperature of the game; 0: no stretch, and no bound of the exploitability.
    beta      β of the mixture with the reference from which the method samples; 0: none.
    start     completions of the policy before the first step: call :meth:`begin` before a run is resumed.
    answers   of the last measurement, two per prompt.
    """

    prompts: Prompts
    judge: Judge
    max_new_tokens: int
    temperature: float = 1.0
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    cut_mark: str = ""
    tau: float = 0.0
    beta: float = 0.0
    batch: int = 16
    seed: int = 2
    start: list[str] = field(default_factory=list, init=False)
    answers: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not self.prompts.rows:
            raise BadInput("held out: there are no prompts, must be at least one")

    def begin(self, policy: Policy) -> None:
        """Store this policy's completions as the start."""
        self.start = [text for tokens, _ in self._drawn(policy) for text in self._texts(policy, tokens)]

    def __call__(self, players: Players) -> dict[str, float]:
        """The numbers at this moment."""
        policy, reference = players.policy, players.reference
        if not self.start:
            self.begin(policy)
        ratios: list[float] = []
        lengths: list[int] = []
        ended: list[bool] = []
        self.answers = []
        tilts = self._tilts(policy, reference) if 0 < self.beta < 1 else None
        for tokens, rows in self._drawn(policy):
            self.answers += self._texts(policy, tokens)
            ratios += self._log_ratios(policy, reference, tokens, rows)
            lengths += tokens.mask.sum(dim=1).tolist()
            ended += policy.ended(tokens).tolist()
        means: dict[str, Sequence[float]] = {"held_out_kl": ratios, "held_out_length": lengths, "held_out_ended": ended}
        told, p, own = self._judged()
        found = told | {name: float(np.mean(values)) for name, values in means.items()}
        found |= self._diagnosed(p, own, np.array(ratios).reshape(-1, 2))
        return found if tilts is None else found | dict(zip(("mixture_sd", "mixture_sd_high"), tilts, strict=True))

    def examples(self, count: int = 3) -> list[dict[str, str]]:
        """Prompts with their answers at the start and now."""
        texts = self.prompts.texts[:count]
        return [
            {"prompt": x, "start": self.start[2 * i], "now": self.answers[2 * i]} for i, x in enumerate(texts)
        ]

    def _judged(self) -> tuple[dict[str, float], NDArray[np.float64], NDArray[np.float64]]:
        """The win rate against the start; p of its pairs, [prompts, 2]; and p(first answer ≻ second answer) of the
        policy itself, [prompts]."""
        thrice = [x for x in self.prompts.texts for _ in range(3)]
        columns = {name: [v for v in values for _ in range(3)] for name, values in self.columns.items()}
        answers, start = (np.array(texts, dtype=object).reshape(-1, 2) for texts in (self.answers, self.start))
        left = np.column_stack([answers, answers[:, 0]]).ravel().tolist()
        right = np.column_stack([start[:, ::-1], answers[:, 1]]).ravel().tolist()
        asked = ask(self.judge, thrice, left, right, columns=columns).reshape(-1, 3)
        p, own = asked[:, :2], asked[:, 2]
        judged = p[~np.isnan(p).any(axis=1)].mean(axis=1)  # one without the other would not give ½ at the start
        left_out = {"held_out_left_out": 1 - len(judged) / len(p)}
        if not len(judged):
            return {"win_rate": math.nan, "win_rate_low": 0.0, "win_rate_high": 1.0, **left_out}, p, own
        low, high = share_interval(min(float(judged.sum()), len(judged)), len(judged))
        return {"win_rate": float(judged.mean()), "win_rate_low": low, "win_rate_high": high, **left_out}, p, own

    def _diagnosed(
        self, p: NDArray[np.float64], own: NDArray[np.float64], ratios: NDArray[np.float64]
    ) -> dict[str, float]:
        """The diagnostics of log-ratios and of p against the start, [prompts, 2] both, and of p between the policy's
        own answers, [prompts], where defined."""
        gaps, judged, both = ratios[:, 0] - ratios[:, 1], ~np.isnan(own), ~np.isnan(p).any(axis=1)
        found = {"win_rate_most": win_rate_most(ratios.mean(axis=1))}
        if (slope := log_ratio_slope(own[judged], gaps[judged])) is not None:
            found |= dict(zip(("slope", "slope_low", "slope_high"), slope, strict=True))
        if self.tau > 0 and (stretch := ratio_stretch(gaps, self.tau)) is not None:
            found |= {"stretch": stretch[0], "stretch_low": stretch[1]}
        if self.tau > 0 and (gap := gap_most(1 - p[both], ratios[both].mean(axis=1), self.tau)) is not None:
            found["gap_most"] = gap
        return found

    def _tilts(self, policy: Policy, reference: Reference) -> tuple[float, float]:
        """The sd of S and its upper bound, from two completions of the mixture for every prompt."""
        found = []
        for tokens, rows in self._drawn(policy, reference):
            for k, row in enumerate(rows):  # one prompt at a time: all tokens' probabilities at once need much memory
                both = Tokens(tokens.ids[2 * k : 2 * k + 2], tokens.mask[2 * k : 2 * k + 2])
                prompt = self.prompts.tokens(policy, range(row, row + 1))
                with torch.no_grad():
                    tilt = mixture_tilt(policy, reference, prompt, both, self.beta, temperature=self.temperature)
                found.append(tilt.double().tolist())
        return mixture_sd(found)

    def _drawn(self, policy: Policy, mixed: Reference | None = None) -> list[tuple[Tokens, range]]:
        """Two completions of every prompt, of the policy or a mixture, in batches; random numbers go by prompt."""
        found = []
        for first in range(0, len(self.prompts.rows), self.batch):
            rows = range(first, min(first + self.batch, len(self.prompts.rows)))
            shape = (2, self.max_new_tokens)
            uniforms = np.concatenate([np.random.default_rng([self.seed, i]).random(shape) for i in rows])
            with torch.no_grad():
                tokens = sample(
                    policy,
                    self.prompts.tokens(policy, rows),
                    completions=2,
                    max_new_tokens=self.max_new_tokens,
                    beta=0.0 if mixed is None else self.beta,
                    reference=mixed,
                    temperature=self.temperature,
                    uniforms=torch.from_numpy(uniforms),
                )
            found.append((tokens, rows))
        return found

    def _texts(self, policy: Policy, tokens: Tokens) -> list[str]:
        """Completions in the form that the judge reads."""
        both = zip(texts_of(policy, tokens), policy.ended(tokens).tolist(), strict=True)
        return [text if ended else text + self.cut_mark for text, ended in both]

    def _log_ratios(self, policy: Policy, reference: Reference, tokens: Tokens, rows: range) -> list[float]:
        """log π − log μ of the policy's completions."""
        prompt = self.prompts.tokens(policy, rows)
        with torch.no_grad():
            ours, theirs = (m.log_prob(prompt, tokens, temperature=self.temperature) for m in (policy, reference))
        ratios: list[float] = (ours - theirs).double().tolist()
        return ratios

"""Which method wins: win rates of all pairs over all pairings of their seeds, exploitability, Nash averaging.

    closed sets   w(a, b) = mean over prompts x and seeds s, s' of  π_a,s(· | x)ᵀ P_x π_b,s'(· | x)
    completions   w(a, b) = mean over prompts x and seeds s, s' of  p(y_a,s ≻ y_b,s' | x)

On closed candidate sets this is an expectation, not a sample; the remaining randomness is in the seeds (std over their
pairings, 9 for 3 x 3, as in the paper's Table 2) and in the choice of prompts (intervals).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llm_bridge.judges import Judge
from llm_bridge.training import share_interval
from nashlab.arrays import kl, l1
from nashlab.certificate import exploitability
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.files import plain
from nashlab.gallery import PAPER_TABLE_2
from nashlab.game import BadInput, PreferenceGame

__all__ = [
    "PAPER",
    "Answers",
    "agreement",
    "clopper_pearson",
    "closed_tables",
    "judged_tables",
    "nash_average",
    "pairings",
    "rouge",
    "win_rates",
]

Array = NDArray[np.float64]

_NAMES = {"IPO": "online-ipo", "IPO-MD": "ipo-md", "DPO": "online-dpo", "Nash-MD-PG": "nash-md-pg",
          "SLiC": "online-slic", "RL": "rlhf-pg"}  # fmt: skip

PAPER: dict[str, Any] = {
    "methods": [_NAMES[label] for label in PAPER_TABLE_2],
    "win_rates": [[float(p) for p in row] for row in PAPER_TABLE_2.values()],
}
"""Table 2 of Calandriello et al. 2024 (arXiv 2403.08635): T5-large on XSum, row against column."""


def pairings(margins: ArrayLike, ours: Sequence[ArrayLike], theirs: Sequence[ArrayLike]) -> Array:
    """Win rates [S, S', X] of every seed's policies [X, K] against every other seed's, prompt by prompt.

    >>> pairings([[[0.0, 0.5], [-0.5, 0.0]]], [[[1.0, 0.0]]], [[[0.0, 1.0]]]).ravel().tolist()
    [1.0]
    """
    a, left, right = (np.asarray(v, dtype=np.float64) for v in (margins, ours, theirs))
    if left.ndim != 3 or left.shape[1:] != a.shape[:2] or right.shape[1:] != a.shape[:2]:
        raise BadInput(f"margins {a.shape}, policies {left.shape} and {right.shape}, must be [X, K, K] and [S, X, K]")
    return 0.5 + np.einsum("sxi,xij,txj->stx", left, a, right)


def win_rates(names: Sequence[str], rates: Callable[[str, str], Array]) -> dict[str, Any]:
    """The table of all players: mean and std over pairings of seeds, and the share of prompts won with its interval.

    rates  (a, b) -> win rates [S, S', X] of every seed of a against every seed of b, prompt by prompt; called once per
           unordered pair.

    A player against itself is ½ by definition.  ``won``: prompts whose mean over seeds is above ½ and below ½; the
    interval is Clopper-Pearson's for the decided prompts, which are the independent units.
    """
    mean, std = np.full((len(names), len(names)), 0.5), np.zeros((len(names), len(names)))
    won: list[list[dict[str, float] | None]] = [[None] * len(names) for _ in names]
    by_prompt: dict[tuple[int, int], Array] = {}
    for i, a in enumerate(names):
        for j in range(i + 1, len(names)):
            each = rates(a, names[j])
            for (r, c), values in (((i, j), each), ((j, i), 1.0 - each)):
                mean[r, c] = values.mean()
                std[r, c] = values.mean(axis=2).std(ddof=1) if values[..., 0].size > 1 else 0.0
                by_prompt[r, c] = values.mean(axis=(0, 1))
                wins, losses = (int((sign * (by_prompt[r, c] - 0.5) > 1e-12).sum()) for sign in (1, -1))
                low, high = clopper_pearson(wins, wins + losses)
                won[r][c] = {"wins": wins, "losses": losses, "prompts": values.shape[2], "low": low, "high": high}
    draw = np.full_like(next(iter(by_prompt.values())), 0.5) if by_prompt else np.full(1, 0.5)
    return {
        "methods": list(names),
        "mean": mean.tolist(),
        "std": std.tolist(),
        "won": won,
        "by_prompt": [[by_prompt.get((i, j), draw).tolist() for j in range(len(names))] for i in range(len(names))],
    }


def clopper_pearson(wins: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval for a share of ``total`` independent trials at a ``level`` in (0, 1); (0, 1) without trials.

    Raises :class:`BadInput` for wins outside [0, total] and a level outside (0, 1).

    >>> tuple(round(v, 4) for v in clopper_pearson(0, 10))
    (0.0, 0.3085)
    """
    return share_interval(wins, total, level)


def nash_average(
    mean: ArrayLike, by_prompt: Sequence[Sequence[Any]] | None = None, *, resamples: int = 200
) -> dict[str, Any]:
    """The maximal lottery over methods for their win rates, its certificate, and how often each is in the support.

    ``by_prompt``  win rates per prompt, [M, M, X], resampled with replacement for ``support_share``.

    >>> nash_average([[0.5, 0.9], [0.1, 0.5]])["policy"]
    [1.0, 0.0]
    """
    p = np.asarray(mean, dtype=np.float64)
    solution = maximal_lottery(PreferenceGame.from_margins((p - p.T) / 2))
    found: dict[str, Any] = {
        "policy": np.asarray(solution.policy).tolist(),
        "exploitability": float(exploitability(solution.game, solution.log_policy, 0.0)),
        "status": solution.status.name,
    }
    if by_prompt is not None:
        each = np.asarray(by_prompt)
        rng, counts = np.random.default_rng(0), np.zeros(len(p))
        for _ in range(resamples):
            sample = each[..., rng.integers(0, each.shape[2], each.shape[2])].mean(axis=2)
            counts += np.asarray(maximal_lottery(PreferenceGame.from_margins((sample - sample.T) / 2)).policy) > 1e-9
        found["support_share"] = (counts / resamples).tolist()
    return found


def agreement(methods: Sequence[str], mean: ArrayLike) -> dict[str, Any] | None:
    """Kendall's τ between the order by mean win rate here and in the paper's table; None with fewer than two in common.

    >>> agreement(["rlhf-pg", "online-ipo"], [[0.5, 0.2], [0.8, 0.5]])["kendall"]
    1.0
    """
    from scipy.stats import kendalltau

    common = [m for m in PAPER["methods"] if m in methods]
    if len(common) < 2:
        return None
    here, there = [methods.index(m) for m in common], [PAPER["methods"].index(m) for m in common]
    ours = np.asarray(mean)[np.ix_(here, here)].mean(axis=1)
    theirs = np.array(PAPER["win_rates"])[np.ix_(there, there)].mean(axis=1)
    order = [common[i] for i in np.argsort(-ours, kind="stable")]
    swapped = sum(bool((ours[i] - ours[j]) * (theirs[i] - theirs[j]) < 0) for i in range(len(common)) for j in range(i))
    return {
        "kendall": float(kendalltau(ours, theirs).statistic),
        "discordant_pairs": swapped,
        "pairs": len(common) * (len(common) - 1) // 2,
        "order_here": order,
        "order_paper": [common[i] for i in np.argsort(-theirs, kind="stable")],
    }


# -- closed sets -----------------------------------------------------------------------------------------------------


def closed_tables(
    methods: Sequence[str], margins: Mapping[str, Array], logs: Mapping[str, Mapping[str, Any]], tau: float
) -> dict[str, Any]:
    """Tables by set of prompts.

    margins  [X, K, K] of each set;  logs  for each set log μ [X, K] as "reference" and log π by (method, seed) as
    "policies".  The equilibrium at τ and the reference are additional players.
    """
    tables = {}
    for which, a in margins.items():
        log_mu = logs[which]["reference"]
        mu = np.exp(log_mu)
        game = PreferenceGame.from_margins(a, reference=mu / mu.sum(axis=1, keepdims=True))
        target = regularised_nash(game, tau)
        everyone = {m: [v for (mm, _), v in logs[which]["policies"].items() if mm == m] for m in methods}
        everyone |= {"reference": [log_mu], "equilibrium": [np.asarray(target.log_policy)]}
        policies = {m: [np.exp(v) for v in rows] for m, rows in everyone.items()}
        quality = {m: _quality(game, rows, np.asarray(target.log_policy), log_mu, tau) for m, rows in everyone.items()}

        def rates(x: str, y: str, a: Array = a, policies: dict[str, list[Array]] = policies) -> Array:
            return pairings(a, policies[x], policies[y])

        tables[which] = _summarised(methods, win_rates(list(everyone), rates), quality)
    return tables


def _summarised(methods: Sequence[str], table: dict[str, Any], quality: dict[str, Any]) -> dict[str, Any]:
    """A table with Nash averaging and the comparison with the paper's order, for the methods alone."""
    count = len(methods)
    own = np.array(table["mean"])[:count, :count]
    blocks = [row[:count] for row in table.pop("by_prompt")[:count]]
    return table | {
        "quality": quality,
        "nash_averaging": nash_average(own, blocks if count > 1 else None),
        "agreement": agreement(methods, own),
    }


def _quality(
    game: PreferenceGame, rows: Sequence[Array], log_target: Array, log_mu: Array, tau: float
) -> dict[str, list[float]]:
    """Means over prompts, one number per seed."""
    return {
        "exploitability": [float(exploitability(game, v, tau).mean()) for v in rows],
        "exploitability_unregularised": [float(exploitability(game, v, 0.0).mean()) for v in rows],
        "distance": [float(l1(v, log_target).mean()) for v in rows],
        "kl": [float(kl(v, log_mu).mean()) for v in rows],
    }


# -- completions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """One completion of each of X texts, with its statistics.

    texts, lengths (tokens including the end), ended (whether the end was reached), log_ratios log π − log μ, and ROUGE
    F1 with the human summary.  Lists of X; empty if unknown.
    """

    texts: list[str]
    log_ratios: list[float]
    lengths: list[int]
    ended: list[bool]
    rouge: dict[str, list[float]]

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        humans: Sequence[str] = (),
        log_ratios: Sequence[float] = (),
        lengths: Sequence[int] = (),
        ended: Sequence[bool] = (),
    ) -> Answers:
        """Answers with their ROUGE, if human summaries are given."""
        return cls(list(texts), list(log_ratios), list(lengths), list(ended), rouge(texts, humans) if humans else {})

    @classmethod
    def read(cls, path: Path) -> Answers:
        """From a file of :meth:`write`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(plain(asdict(self)), ensure_ascii=False), encoding="utf-8")

    def quality(self) -> dict[str, float]:
        """Means over the texts; lengths in words if tokens are unknown."""
        found: dict[str, Sequence[float]] = {
            "kl": self.log_ratios,
            "tokens": self.lengths,
            "ended": self.ended,
            "words": [len(t.split()) for t in self.texts],
            **self.rouge,
        }
        return {name: float(np.mean(values)) for name, values in found.items() if values}


def rouge(texts: Sequence[str], humans: Sequence[str]) -> dict[str, list[float]]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 of each text with the human one, stemmed; BadInput for different counts.

    >>> rouge(["a fast editor"], ["a fast text editor"])["rouge1"] == [2 * 0.75 * 1.0 / 1.75]
    True
    """
    from rouge_score.rouge_scorer import RougeScorer

    if len(texts) != len(humans):
        raise BadInput(f"{len(texts)} texts and {len(humans)} human ones, must be equally many")
    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names, use_stemmer=True)
    found = [scorer.score(human, text) for text, human in zip(texts, humans, strict=True)]
    return {name: [float(score[name].fmeasure) for score in found] for name in names}


def judged_tables(
    methods: Sequence[str],
    prompts: Sequence[str],
    answers: Mapping[str, Sequence[Answers]],
    judges: Mapping[str, Judge],
    scores: Mapping[str, Sequence[Sequence[float]]],
) -> dict[str, Any]:
    """Tables by judge.

    answers  of each player, one entry per seed; players that are not methods (reference, human) come last.
    judges   name -> p(y ≻ y' | x);  scores  from a judge that gives numbers, player -> [S][X]: the larger one wins,
             ties are half a win; may be empty.
    """
    quality = {name: _columns([a.quality() for a in seeds]) for name, seeds in answers.items()}
    tables: dict[str, Any] = {}
    for which, judge in judges.items():

        def rates(x: str, y: str, judge: Judge = judge) -> Array:
            ours, theirs = answers[x], answers[y]
            asked = [(p, a, b) for one in ours for other in theirs
                     for p, a, b in zip(prompts, one.texts, other.texts, strict=True)]  # fmt: skip
            found = np.asarray(judge(*map(list, zip(*asked, strict=True))), dtype=np.float64)
            return found.reshape(len(ours), len(theirs), len(prompts))

        tables[which] = _summarised(methods, win_rates(list(answers), rates), quality)
    if any(scores.values()):

        def ahead(x: str, y: str) -> Array:
            gap = np.asarray(scores[x])[:, None, :] - np.asarray(scores[y])[None, :, :]
            return 0.5 + 0.5 * np.sign(gap)

        tables["likelihood judge"] = _summarised(methods, win_rates(list(answers), ahead), quality)
    return tables


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """One list per name, over seeds."""
    return {name: [row[name] for row in rows] for name in rows[0]}

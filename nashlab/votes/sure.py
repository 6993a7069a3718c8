"""The statistical uncertainty of an answer from counts: intervals, support frequencies, ranges, tests of claims.

Proofs are about the table.  The table is a sample; this module is about the voters behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium import claim_test, confidence_box, log_errors, lottery_claim_test, lottery_ranges
from nashlab.game import BadInput, PreferenceGame
from nashlab.votes.build import Votes
from nashlab.votes.resample import by_voters, resampled_lotteries

__all__ = ["NORMAL", "OPEN_LIMIT", "RANGE", "equilibrium_interval", "has_ties", "how_sure", "rates"]

Array = NDArray[np.float64]

RANGE = (2.5, 97.5)  # percentiles of a 95 % interval ...
NORMAL = 1.959963984540054  # ... and its half width in standard errors
OPEN_LIMIT = 100  # responses up to which 4n linear programmes are solved in seconds
PROVED = "of this table of counts, not of the voters behind it"


def rates(votes: Votes, diagonal: float = 0.0) -> Array:
    """P, with ½ for pairs that never met unless the game fills them otherwise; the diagonal as given."""
    w = votes.wins
    assert w is not None
    met = w + w.T
    filled = 0.5 + np.clip(votes.game.margins, -0.5, 0.5)
    p = np.where(met > 0, w / np.where(met > 0, met, 1.0), filled)
    np.fill_diagonal(p, diagonal)
    return p


def equilibrium_interval(votes: Votes, policy: Array, temperature: float) -> Array:
    """95 % intervals for each response of π*_τ, [n, 2], by the delta method on log π; by voters if they are known.

    Source: N20 (f).
    """
    w = votes.wins
    assert w is not None
    counts = (w + w.T) * ~np.eye(len(w), dtype=bool)
    clusters = votes.ballots if by_voters(votes) else None
    spread = np.exp(NORMAL * log_errors(_as_rates(votes), temperature, counts, clusters))
    return np.stack([policy / spread, np.minimum(1.0, policy * spread)], axis=1)


def _as_rates(votes: Votes) -> PreferenceGame:
    """The game of win rates, for any kind of margins."""
    game = votes.game
    return game if np.all(np.abs(game.margins) <= 0.5) else replace(game, margins=rates(votes, diagonal=0.5) - 0.5)


def has_ties(votes: Votes) -> bool:
    """Are some judgments ties, so that a judgment is not a coin flip?"""
    return votes.drawn is not None and bool(np.any(votes.drawn))


def how_sure(
    votes: Votes,
    policy: Array,
    *,
    temperature: float = 0.0,
    bootstrap: int = 0,
    confidence: float | None = None,
    claim: Sequence[Any] | None = None,
    seed: int = 0,
) -> dict[str, Any] | None:
    """The uncertainty of an equilibrium of counted comparisons, in the form of JSON; None if the file has no counts.

    judgments  of the pairs with the least, the median and the most, and the number of pairs without any.
    interval   of 95 % for each response: at τ > 0 by the delta method on log π (N20 f), else from ``bootstrap`` tables.
    range      at τ = 0 with ``confidence``: the least and the largest probability in any lottery of any table of the
               confidence region (N27).
    claim      with a policy: the p-value of its being the equilibrium behind the votes (N20 d and e; N27 at τ = 0).

    Errors: BadInput for a claim, a bootstrap or a confidence level with a file without counts.

    >>> from nashlab.gallery import load_votes
    >>> from nashlab.equilibrium import regularised_nash
    >>> votes = load_votes("soundquality")
    >>> how_sure(votes, regularised_nash(votes.game, 0.1).policy, temperature=0.1)["judgments"]["median"]
    783.0
    """
    w = votes.wins
    if w is None or votes.game.batch or votes.game.n < 2:
        for name, given in (("bootstrap", bootstrap), ("confidence", confidence), ("claim", claim)):
            if given:
                raise BadInput(
                    f"{name}: {votes.reading.source} holds no counts, so its uncertainty is unknown"
                )
        return None
    counts = (w + w.T)[np.triu_indices(len(w), 1)]
    told: dict[str, Any] = {
        "judgments": {
            "least": float(counts.min()),
            "median": float(np.median(counts)),
            "most": float(counts.max()),
            "unmet_pairs": int(np.count_nonzero(counts == 0)),
        },
        "proved": PROVED,
    }
    told |= _of_equilibrium(votes, policy, temperature) if temperature > 0 else _of_lottery(votes, bootstrap, seed)
    if confidence is not None:
        told |= _ranges(w, confidence, has_ties(votes), temperature)
    if claim is not None:
        told["claim"] = _tested(votes, temperature, claim)
    return told


def _of_equilibrium(votes: Votes, policy: Array, temperature: float) -> dict[str, Any]:
    by = ", by voters" if by_voters(votes) else ""
    interval = equilibrium_interval(votes, policy, temperature)
    return {"method": f"delta method on log π{by}", "interval": interval.tolist()}


def _of_lottery(votes: Votes, bootstrap: int, seed: int) -> dict[str, Any]:
    if bootstrap == 0:
        return {"method": None}
    lotteries = resampled_lotteries(votes, bootstrap, seed=seed)
    return {
        "method": f"bootstrap of {'voters' if by_voters(votes) else 'judgments'}, {bootstrap} tables",
        "interval": np.percentile(lotteries, RANGE, axis=0).T.tolist(),
        "support_frequency": np.mean(lotteries > 1e-9, axis=0).tolist(),
    }


def _ranges(wins: Array, confidence: float, ties: bool, temperature: float) -> dict[str, Any]:
    if temperature > 0:
        raise BadInput("confidence is for the maximal lottery (τ = 0); at τ > 0 the interval is of 95 %")
    low, high = confidence_box(wins, confidence, ties=ties)
    if len(wins) > OPEN_LIMIT:
        return {"confidence": confidence, "range": None}
    return {"confidence": confidence, "range": lottery_ranges(low, high).tolist()}


def _tested(votes: Votes, temperature: float, claim: Sequence[Any]) -> dict[str, Any]:
    """The test of a claim; its judgments are treated as independent, although those of one voter may not be."""
    w = votes.wins
    assert w is not None
    pi = np.array([float(x) for x in claim])
    pi = pi / pi.sum() if pi.sum() > 0 else pi
    if temperature == 0:
        p_value, test = lottery_claim_test(w, pi, ties=has_ties(votes)), "simultaneous confidence region of win rates"
    else:
        counts = (w + w.T) * ~np.eye(len(w), dtype=bool)
        p_value, test = claim_test(_as_rates(votes), temperature, pi, counts), "sub-Gaussian tail, exact"
    return {"p_value": p_value, "test": test, "policy": pi.tolist()}

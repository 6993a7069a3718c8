"""The statistical uncertainty of an answer from counts: intervals, support frequencies, ranges, tests of claims.

Proofs are about the table.  The table is a sample; this module is about the voters behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium import (
    claim_test,
    confidence_box,
    independent_judgments,
    log_errors,
    lottery_claim_test,
    lottery_ranges,
    who_is_in,
)
from nashlab.game import BadInput, PreferenceGame
from nashlab.votes.build import Votes
from nashlab.votes.resample import by_voters, resampled_lotteries

__all__ = [
    "NORMAL",
    "OPEN_LIMIT",
    "RANGE",
    "equilibrium_interval",
    "fillings",
    "how_sure",
    "rates",
    "region",
    "repeats",
]

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


def repeats(votes: Votes) -> Array | None:
    """The most judgments of each pair by one voter, [n, n]; None if the file does not name the voters."""
    ballots = votes.ballots
    if ballots is None or votes.wins is None:
        return None
    n = len(votes.wins)
    low, high = np.minimum(ballots.winner, ballots.loser), np.maximum(ballots.winner, ballots.loser)
    of_pair, place = np.unique((ballots.voter * n + low) * n + high, return_inverse=True)
    most = np.zeros((n, n))
    np.maximum.at(most, (of_pair // n % n, of_pair % n), np.bincount(place, weights=ballots.weight))
    return np.maximum(most, most.T)


def fillings(wins: Array) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
    """(L, U) over all results of the pairs that never met, in rationals; the other pairs are taken as counted.

    >>> fillings(np.array([[0.0, 2.0], [1.0, 0.0]]))[0][0][1], fillings(np.zeros((2, 2)))[1][0][1]
    (Fraction(2, 3), Fraction(1, 1))
    """
    w = [[Fraction(x) for x in row] for row in wins.tolist()]
    n = range(len(w))
    half = Fraction(1, 2)

    def rate(i: int, j: int, unmet: int) -> Fraction:
        met = w[i][j] + w[j][i]
        return half if i == j else w[i][j] / met if met else Fraction(unmet)

    return [[rate(i, j, 0) for j in n] for i in n], [[rate(i, j, 1) for j in n] for i in n]


def region(votes: Votes, confidence: float) -> tuple[Array, Array]:
    """(L, U) of :func:`confidence_box` for these votes, accounting for ties and for voters with repeated judgments."""
    assert votes.wins is not None
    return confidence_box(votes.wins, confidence, ties=has_ties(votes), repeats=repeats(votes))


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
    unmet      at τ = 0, if pairs never met: who is in the support for every filling, some, none; which of the first the
               answer omits, and which responses in its support another filling may remove (N22).
    claim      with a policy: the p-value of its being the equilibrium behind the votes (N20 d and e; N27 at τ = 0), and
               its independent units: voters if the file names them, else judgments.

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
    if temperature == 0 and told["judgments"]["unmet_pairs"] and len(w) <= OPEN_LIMIT:
        told["unmet"] = _unmet(votes, policy)
    told |= _of_equilibrium(votes, policy, temperature) if temperature > 0 else _of_lottery(votes, bootstrap, seed)
    if confidence is not None:
        told |= _ranges(votes, confidence, temperature)
    if claim is not None:
        told["claim"] = _tested(votes, temperature, claim)
    return told


def _unmet(votes: Votes, policy: Array) -> dict[str, Any]:
    """How the answer depends on the filling of the pairs that never met."""
    assert votes.wins is not None
    member = who_is_in(*fillings(votes.wins))
    named = {
        name: [votes.game.labels[y] for y in group]
        for name, group in zip(("necessary", "possible", "never", "undecided"), member.verdicts, strict=True)
    }
    often = np.argsort(-(votes.wins + votes.wins.T).sum(axis=1), kind="stable").tolist()
    lost = [votes.game.labels[y] for y in often if y in member.possible and policy[y] <= 1e-12]
    won = [votes.game.labels[y] for y in np.flatnonzero(policy > 1e-12) if y not in member.necessary]
    return named | {"left_out_here": lost, "held_here": won}


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


def _ranges(votes: Votes, confidence: float, temperature: float) -> dict[str, Any]:
    if temperature > 0:
        raise BadInput("confidence is for the maximal lottery (τ = 0); at τ > 0 the interval is of 95 %")
    low, high = region(votes, confidence)
    if len(low) > OPEN_LIMIT:
        return {"confidence": confidence, "range": None}
    return {"confidence": confidence, "range": lottery_ranges(low, high).tolist()}


def _tested(votes: Votes, temperature: float, claim: Sequence[Any]) -> dict[str, Any]:
    """The test of a claim, by voters if the file names them, since one voter's judgments may be dependent."""
    w = votes.wins
    assert w is not None
    pi = np.array([float(x) for x in claim])
    pi = pi / pi.sum() if pi.sum() > 0 else pi
    if temperature == 0:
        p_value = lottery_claim_test(w, pi, ties=has_ties(votes), repeats=repeats(votes))
        test = "simultaneous confidence region of win rates"
    else:
        counts = (w + w.T) * ~np.eye(len(w), dtype=bool)
        worth = counts if votes.ballots is None else independent_judgments(pi, counts, votes.ballots)
        p_value, test = claim_test(_as_rates(votes), temperature, pi, worth), "sub-Gaussian tail, exact"
    return {
        "p_value": p_value,
        "test": test,
        "independent": "judgments, since no voters are named" if votes.ballots is None else "voters",
        "policy": pi.tolist(),
    }

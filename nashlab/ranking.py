"""A leaderboard of counted comparisons, with its uncertainty: the lottery, the equilibrium, and what other rules say.

lottery, equilibrium    maximal lottery (τ = 0) and π*_τ, with intervals                             E5, N20
support frequency       of the bootstrap's tables, how many have the response in their lottery
necessary, possible     over all tables that the unmet pairs (and the confidence region) leave open  N22, N27
other rules             Condorcet, Smith, Copeland, Borda, minimax, Bradley-Terry and Elo, cyclic triads
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.equilibrium import (
    Membership,
    confidence_box,
    log_errors,
    lottery_batch,
    lottery_ranges,
    maximal_lottery,
    regularised_nash,
    who_is_in,
)
from nashlab.game import BadInput, PreferenceGame, check_temperature
from nashlab.votes import Strengths, Votes, bradley_terry, components
from nashlab.votes.resample import by_voters, resampled_wins

__all__ = ["Plan", "Ranking", "cyclic_share", "how_sure", "plan", "rank", "smith_set"]

Array = NDArray[np.float64]

RANGE = (2.5, 97.5)  # percentiles of an interval of 95 % ...
NORMAL = 1.959963984540054  # ... and its half width in standard errors
ELO = 400 / np.log(10)  # points a nat: 400 points are odds of 10 to 1 ...
MIDDLE = 1500.0  # ... around this
THIN = 5  # votes: pairs with fewer are warned of
OPEN_LIMIT = 100  # responses up to which 4n linear programmes are solved in seconds
CLONE_LIMIT = 60  # responses up to which each is cloned
PILOT = 0.3  # of a plan, spread evenly: the optimal design fails where p̂ = 0 or 1 (N21)


@dataclass(frozen=True)
class Ranking:
    """What is known of each response, [n] arrays in the order of ``votes.game.labels``.

    votes, temperature        the data, and τ of the regularised equilibrium.
    lottery, equilibrium      policies;  interval, equilibrium_interval  of 95 %, [n, 2];  lotteries  resampled, [B, n].
    support_frequency         of the resampled lotteries.
    strengths                 Bradley-Terry, with covariance.
    copeland, borda, minimax  wins + ½ ties; mean win rate; worst margin (the larger the better).
    membership, ranges        over everything that the data leave open; None above 100 responses.
    confidence                level of the region that ``membership`` and ``ranges`` range over; None: counts as such.
    clones                    for each response, how a clone of it would change the rules; None above 60 responses.
    """

    votes: Votes
    temperature: float
    lottery: Array
    lottery_exact: tuple[Any, ...] | None
    interval: Array | None
    support_frequency: Array | None
    equilibrium: Array
    equilibrium_interval: Array
    strengths: Strengths
    copeland: Array
    borda: Array
    minimax: Array
    smith: tuple[int, ...]
    cyclic_triads: float
    misfit: dict[str, Any]
    membership: Membership | None
    ranges: Array | None
    confidence: float | None
    clones: list[dict[str, Any]] | None
    bootstrap: int
    unit: str

    @property
    def order(self) -> NDArray[np.intp]:
        """Best first: by the lottery, then the equilibrium."""
        return np.lexsort((-self.equilibrium, -np.round(self.lottery, 12)))

    @property
    def condorcet(self) -> tuple[int | None, int | None]:
        """The response that beats every other, and the one that every other beats."""
        n = self.votes.game.n
        wins = (self.votes.game.margins > 0).sum(axis=1)
        losses = (self.votes.game.margins < 0).sum(axis=1)
        best, worst = np.flatnonzero(wins == n - 1), np.flatnonzero(losses == n - 1)
        return (int(best[0]) if best.size and n > 1 else None), (int(worst[0]) if worst.size and n > 1 else None)


def rank(
    votes: Votes,
    *,
    temperature: float = 0.1,
    bootstrap: int = 1000,
    confidence: float | None = None,
    seed: int = 0,
    advance: Callable[[str], None] = lambda name: None,
) -> Ranking:
    """Rank the responses of counted comparisons.

    bootstrap   how many times voters (or the judgments of each pair) are drawn again; 0: no intervals of the lottery.
    confidence  level of the region of all tables that ``membership`` ranges over; None: met pairs are taken as counted.

    Errors: BadInput for votes without counts.

    >>> from nashlab.gallery import load_votes
    >>> ranking = rank(load_votes("soundquality"), bootstrap=50)
    >>> ranking.condorcet[0] is None, len(ranking.smith)
    (True, 3)
    """
    game, wins = votes.game, votes.wins
    if wins is None or game.batch:
        raise BadInput(
            f"{votes.reading.source} holds no counts: a ranking with its uncertainty needs the votes themselves"
        )
    tau = check_temperature(temperature, positive=True, name="tau")
    counts = game.comparisons if game.comparisons is not None else wins + wins.T
    advance("lottery")
    solution = maximal_lottery(game)
    equilibrium = regularised_nash(game, tau).policy
    errors = log_errors(_as_rates(votes), tau, counts)
    spread = np.exp(NORMAL * errors)
    advance("bootstrap")
    lotteries = _resampled_lotteries(votes, bootstrap, seed) if bootstrap else None
    advance("other rules")
    strengths = bradley_terry(wins)
    advance("what the data leave open")
    membership, ranges = _left_open(votes, confidence)
    signs = np.sign(game.margins)
    return Ranking(
        votes=votes,
        temperature=tau,
        lottery=solution.policy,
        lottery_exact=solution.policy_exact,
        interval=None if lotteries is None else np.percentile(lotteries, RANGE, axis=0).T,
        support_frequency=None if lotteries is None else np.mean(lotteries > 1e-9, axis=0),
        equilibrium=equilibrium,
        equilibrium_interval=np.stack([equilibrium / spread, np.minimum(1.0, equilibrium * spread)], axis=1),
        strengths=strengths,
        copeland=(signs > 0).sum(axis=1) + 0.5 * ((signs == 0).sum(axis=1) - 1),
        borda=_rates(votes).sum(axis=1) / max(1, game.n - 1),
        minimax=_worst_margin(game.margins),
        smith=tuple(smith_set(game.margins).tolist()),
        cyclic_triads=cyclic_share(game.margins),
        misfit=_misfit(wins, strengths, game.labels),
        membership=membership,
        ranges=ranges,
        confidence=confidence,
        clones=_clones(votes, tau, equilibrium) if game.n <= CLONE_LIMIT else None,
        bootstrap=bootstrap,
        unit="voters" if by_voters(votes) else "judgments",
    )


def _as_rates(votes: Votes) -> PreferenceGame:
    """The game of win rates, whatever the margins are."""
    game = votes.game
    return game if np.all(np.abs(game.margins) <= 0.5) else replace(game, margins=_rates(votes, diagonal=0.5) - 0.5)


def _rates(votes: Votes, diagonal: float = 0.0) -> Array:
    """P, with ½ for pairs that never met unless the game fills them otherwise; the diagonal as given."""
    w = votes.wins
    assert w is not None
    met = w + w.T
    filled = 0.5 + np.clip(votes.game.margins, -0.5, 0.5)
    p = np.where(met > 0, w / np.where(met > 0, met, 1.0), filled)
    np.fill_diagonal(p, diagonal)
    return p


def _worst_margin(margins: Array) -> Array:
    off = margins + np.where(np.eye(len(margins), dtype=bool), np.inf, 0.0)
    return np.min(off, axis=1) if len(margins) > 1 else np.zeros(1)


def how_sure(
    votes: Votes, policy: Array, *, temperature: float = 0.0, bootstrap: int = 1000, seed: int = 0
) -> dict[str, Any] | None:
    """How sure an equilibrium of counted comparisons is, as JSON has it; None where the file has no counts.

    At τ = 0 intervals and support frequencies of the bootstrap, at τ > 0 the delta method on log π (N20 f), both of
    95 %; ``judgments`` says how many are behind the thinnest, the middle and the thickest pair.

    >>> from nashlab.gallery import load_votes
    >>> votes = load_votes("soundquality")
    >>> how_sure(votes, regularised_nash(votes.game, 0.1).policy, temperature=0.1)["judgments"]
    {'least': 783.0, 'median': 783.0, 'most': 783.0}
    """
    w = votes.wins
    if w is None or votes.game.batch or votes.game.n < 2:
        return None
    counts = (w + w.T)[np.triu_indices(len(w), 1)]
    told: dict[str, Any] = {
        "judgments": {"least": float(counts.min()), "median": float(np.median(counts)), "most": float(counts.max())},
        "proved": "of this table of counts, not of the voters behind it",
    }
    if temperature > 0:
        spread = np.exp(NORMAL * log_errors(_as_rates(votes), temperature, w + w.T))
        interval = np.stack([policy / spread, np.minimum(1.0, policy * spread)], axis=1)
        return told | {"method": "delta method on log π", "interval": interval.tolist()}
    if bootstrap < 1:
        return told
    lotteries = _resampled_lotteries(votes, bootstrap, seed)
    return told | {
        "method": f"bootstrap of {'voters' if by_voters(votes) else 'judgments'}, {bootstrap} tables",
        "interval": np.percentile(lotteries, RANGE, axis=0).T.tolist(),
        "support_frequency": np.mean(lotteries > 1e-9, axis=0).tolist(),
    }


# -- tournaments -----------------------------------------------------------------------------------------------------


def smith_set(margins: ArrayLike) -> NDArray[np.intp]:
    """The smallest set whose members beat every response outside: indices, [k].

    With the responses by Copeland score (win 1, tie ½), the first k are such a set iff their scores sum to
    k(n−k) + k(k−1)/2.  Source: Smith 1973.

    >>> smith_set([[0, 1, -1, 1], [-1, 0, 1, 1], [1, -1, 0, 1], [-1, -1, -1, 0]]).tolist()
    [0, 1, 2]
    """
    a = np.asarray(margins, dtype=np.float64)
    return np.sort(_smith_prefixes(a[None])[0])


def _smith_prefixes(margins: Array) -> list[NDArray[np.intp]]:
    n = margins.shape[-1]
    signs = np.sign(margins)
    scores = (signs > 0).sum(axis=-1) + 0.5 * ((signs == 0).sum(axis=-1) - 1)
    order = np.argsort(-scores, axis=-1, kind="stable")
    total = np.cumsum(np.take_along_axis(scores, order, axis=-1), axis=-1)
    k = np.arange(1, n + 1)
    closed = np.abs(total - (k * (n - k) + k * (k - 1) / 2)) < 0.25
    size = np.argmax(closed, axis=-1) + 1
    return [row[:s] for row, s in zip(order, size, strict=True)]


def cyclic_share(margins: ArrayLike) -> float:
    """Of all triples, how many are cycles i ≻ j ≻ k ≻ i: tr B³/3 over C(n, 3), B the majorities.

    >>> cyclic_share([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    1.0
    """
    b = (np.asarray(margins, dtype=np.float64) > 0).astype(np.float64)
    n = len(b)
    return float(np.einsum("ij,ji->", b @ b, b) / 3 / (n * (n - 1) * (n - 2) / 6)) if n > 2 else 0.0


# -- uncertainty -----------------------------------------------------------------------------------------------------


def _resampled_lotteries(votes: Votes, count: int, seed: int) -> Array:
    """The maximal lottery of each table drawn again, [count, n]; a pair that a draw leaves without votes is even."""
    found = []
    n = votes.game.n
    filled = np.clip(votes.game.margins, -0.5, 0.5)
    met_at_all = votes.wins is not None and (votes.wins + votes.wins.T) > 0
    for wins in resampled_wins(votes, count, seed=seed):
        met = wins + np.swapaxes(wins, 1, 2)
        base = np.where(met_at_all, 0.0, filled)
        lead = wins - np.swapaxes(wins, 1, 2)
        margins = np.where(met > 0, lead / (2 * np.where(met > 0, met, 1.0)), base)
        margins[:, np.arange(n), np.arange(n)] = 0.0
        found.append(_lotteries(margins))
    return np.concatenate(found)


def _lotteries(margins: Array) -> Array:
    """Maximal lotteries, [b, n]: no mass is outside the Smith set, so only its game is solved."""
    policies = np.zeros(margins.shape[:2])
    for x, held in enumerate(_smith_prefixes(margins)):
        if held.size == 1:
            policies[x, held] = 1.0
        else:
            policies[x, held] = lottery_batch(margins[x][np.ix_(held, held)])
    return policies


def _left_open(votes: Votes, confidence: float | None) -> tuple[Membership | None, Array | None]:
    """Over all fillings of unmet pairs and, with ``confidence``, all tables of its region."""
    w = votes.wins
    assert w is not None
    if len(w) > OPEN_LIMIT:
        return None, None
    met = w + w.T > 0
    if confidence is None:
        p = _rates(votes, diagonal=0.5)
        free = ~met & ~np.eye(len(w), dtype=bool)
        low, high = np.where(free, 0.0, p), np.where(free, 1.0, p)
    else:
        drawn = votes.drawn is not None and bool(np.any(votes.drawn))
        low, high = confidence_box(w, confidence, ties=drawn)
    return who_is_in(low, high), lottery_ranges(low, high)


# -- other rules -----------------------------------------------------------------------------------------------------


def _misfit(wins: Array, strengths: Strengths, labels: tuple[str, ...]) -> dict[str, Any]:
    """How far Bradley-Terry is from the data: deviance against the table itself, and the pair that it misses most."""
    from scipy.special import xlogy
    from scipy.stats import chi2

    p = strengths.probabilities
    met = wins + wins.T
    rate = np.where(met > 0, wins / np.where(met > 0, met, 1.0), p)
    deviance = float(2 * np.sum(xlogy(wins, np.where(wins > 0, rate / p, 1.0))))
    freedom = int(np.count_nonzero(np.triu(met, 1))) - len(wins) + int(components(met).max()) + 1
    off = np.abs(rate - p)
    i, j = np.unravel_index(int(np.argmax(np.where(met >= THIN, off, 0.0))), off.shape)
    first, second = (i, j) if rate[i, j] > p[i, j] else (j, i)
    return {
        "deviance": deviance,
        "degrees_of_freedom": freedom,
        "p_value": float(chi2.sf(deviance, freedom)) if freedom > 0 else None,
        "farthest_pair": [labels[first], labels[second]],
        "observed": float(rate[first, second]),
        "fitted": float(p[first, second]),
        "regularised": strengths.regularised,
    }


def _clones(votes: Votes, tau: float, equilibrium: Array) -> list[dict[str, Any]]:
    """What a clone of each response would change.  The lottery: nothing but the clone's share of its original's mass.
    The equilibrium: as if the reference gave the response twice the weight.  Borda and Bradley-Terry: their leaders."""
    w = votes.wins
    assert w is not None
    n = votes.game.n
    labels = votes.game.labels
    p = _rates(votes, diagonal=0.5)
    borda, strongest = p.sum(axis=1), bradley_terry(w).values
    found = []
    for y in range(n):
        weight = votes.game.reference * np.where(np.arange(n) == y, 2.0, 1.0)
        moved = regularised_nash(votes.game.with_reference(weight / weight.sum()), tau).policy
        keep = [*range(n), y]
        cloned = w[np.ix_(keep, keep)]
        cloned[y, n] = cloned[n, y] = 0.0
        leader, other = int(np.argmax((borda + p[:, y])[:n])), int(np.argmax(bradley_terry(cloned).values[:n]))
        found.append(
            {
                "label": labels[y],
                "lottery_l1": 0.0,
                "equilibrium_l1": float(np.abs(moved - equilibrium).sum()),
                "borda_leader": labels[leader] if leader != int(np.argmax(borda)) else None,
                "bradley_terry_leader": labels[other] if other != int(np.argmax(strongest)) else None,
            }
        )
    return found


# -- what next -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Which pairs to ask next.

    judgments  how many more of each pair, [n, n], symmetric;  error  E‖π̂ − π*‖₁ ≤, now, after the plan, and after as
    many judgments spread evenly;  needed  judgments in all for an error of .2, .1 and .05, by n/(8τ²ε²).
    """

    judgments: NDArray[np.int64]
    error: tuple[float, float, float]
    needed: dict[float, int]


def plan(votes: Votes, count: int, *, temperature: float = 0.1) -> Plan:
    """How to spend ``count`` more judgments: 30 % where a pair has fewest, the rest by √(q_iq_j(q_i+q_j)).

    That rule minimises V = Σ q_iq_j(q_i+q_j)/N_ij, and E KL(q‖π̂) ≤ V/(8τ²) to first order, so the error is at most
    √(V/4τ²).  Source: N20 (b), N21.

    Errors: BadInput for a count below 1 and for votes without counts.
    """
    if count < 1:
        raise BadInput(f"plan = {count}, must be at least 1")
    if votes.wins is None or votes.game.n < 2:
        raise BadInput(f"{votes.reading.source} holds no counts of pairs: nothing can be planned from it")
    tau = check_temperature(temperature, positive=True, name="tau")
    w = votes.wins
    n = len(w)
    first, second = np.triu_indices(n, 1)
    counts = (w + w.T)[first, second]
    q = regularised_nash(votes.game, tau).policy
    cost = q[first] * q[second] * (q[first] + q[second])
    pilot = _poured(counts, np.ones_like(cost), round(PILOT * count))
    rest = _poured(counts + pilot, np.sqrt(cost), count - int(pilot.sum()))
    evenly = _poured(counts, np.ones_like(cost), count)

    def error(number: Array) -> float:
        return float(min(2.0, np.sqrt(np.sum(cost / np.maximum(number, 0.25)) / (4 * tau**2))))

    table = np.zeros((n, n), dtype=np.int64)
    table[first, second] = table[second, first] = pilot + rest
    errors = (error(counts), error(counts + pilot + rest), error(counts + evenly))
    return Plan(table, errors, {e: int(np.ceil(n / (8 * tau**2 * e**2))) for e in (0.2, 0.1, 0.05)})


def _poured(counts: Array, wanted: Array, more: int) -> NDArray[np.int64]:
    """``more`` whole judgments that bring counts as near to ∝ ``wanted`` as adding can: water into unequal vessels."""
    if more <= 0:
        return np.zeros(counts.size, dtype=np.int64)
    wanted = np.maximum(wanted, 1e-12 * wanted.max())
    level = counts / wanted
    order = np.argsort(level, kind="stable")
    volume, filled = np.cumsum(wanted[order]), np.cumsum(counts[order])
    heights = (more + filled) / volume  # the level if the first k vessels share it
    k = int(np.flatnonzero(np.append(level[order][1:], np.inf) >= heights)[0])
    share = np.maximum(0.0, heights[k] * wanted - counts)
    whole = np.floor(share).astype(np.int64)
    short = more - int(whole.sum())
    whole[np.argsort(-(share - whole), kind="stable")[:short]] += 1
    return whole

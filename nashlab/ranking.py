"""A leaderboard of counted comparisons with its uncertainty: the lottery, the equilibrium, and other rules.

lottery, equilibrium    maximal lottery (τ = 0) and π*_τ, with intervals                             E5, N20
support frequency       the share of bootstrap tables whose lottery includes the response
necessary, possible     over all tables that the unmet pairs (and the confidence region) leave open  N22, N27
other rules             Condorcet, Smith, Copeland, Borda, minimax, Bradley-Terry and Elo, cyclic triads
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium import (
    Membership,
    lottery_ranges,
    maximal_lottery,
    regularised_nash,
    who_is_in,
)
from nashlab.game import BadInput, check_temperature
from nashlab.votes import Strengths, Votes, bradley_terry, components
from nashlab.votes.resample import by_voters, resampled_lotteries
from nashlab.votes.sure import OPEN_LIMIT, RANGE, equilibrium_interval, fillings, rates, region
from nashlab.votes.tournaments import cyclic_share, smith_set

__all__ = ["Plan", "Ranking", "check_counted", "plan", "rank"]

Array = NDArray[np.float64]

ELO = 400 / np.log(10)  # points per nat: 400 points are odds of 10 to 1 ...
MIDDLE = 1500.0  # ... around this mean
THIN = 5  # votes: pairs with fewer get a warning
CLONE_LIMIT = 60  # responses up to which each is cloned
PILOT = 0.3  # share of a plan spread evenly: the optimal design fails where p̂ = 0 or 1 (N21)


@dataclass(frozen=True)
class Ranking:
    """The results for each response, as [n] arrays in the order of ``votes.game.labels``.

    votes, temperature        the data, and τ of the regularised equilibrium.
    lottery, equilibrium      policies;  interval, equilibrium_interval  of 95 %, [n, 2];  lotteries  resampled, [B, n].
    support_frequency         over the resampled lotteries.
    strengths                 Bradley-Terry, with covariance.
    copeland, borda, minimax  wins + ½ ties; mean win rate; worst margin (the larger the better).
    membership, ranges        over all tables that the data allow; None above 100 responses.
    confidence                level of the region that ``membership`` and ``ranges`` cover; None: counts taken as exact.
    clones                    for each response, how a clone of it would change each rule; None above 60 responses.
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
        """Best first: by the lottery, then by the equilibrium."""
        return np.lexsort((-self.equilibrium, -np.round(self.lottery, 12)))

    @property
    def condorcet(self) -> tuple[int | None, int | None]:
        """The response that beats every other, and the one that loses to every other."""
        n = self.votes.game.n
        wins = (self.votes.game.margins > 0).sum(axis=1)
        losses = (self.votes.game.margins < 0).sum(axis=1)
        best, worst = np.flatnonzero(wins == n - 1), np.flatnonzero(losses == n - 1)
        return (int(best[0]) if best.size and n > 1 else None), (int(worst[0]) if worst.size and n > 1 else None)


def check_counted(votes: Votes) -> Votes:
    """The votes, refused where their file holds no counts or one response."""
    if votes.wins is None or votes.game.batch:
        raise BadInput(
            f"{votes.reading.source} holds no counts: a ranking with its uncertainty needs the votes themselves"
        )
    if votes.game.n < 2:
        raise BadInput(f"{votes.reading.source} holds {votes.game.n} response, a ranking needs two at least")
    return votes


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

    bootstrap   how many times voters (or the judgments of each pair) are resampled; 0: no intervals of the lottery.
    confidence  level of the region of tables that ``membership`` covers; None: pairs that met are taken as counted.

    Errors: BadInput for votes without counts, or of one response.

    >>> from nashlab.gallery import load_votes
    >>> ranking = rank(load_votes("soundquality"), bootstrap=50)
    >>> ranking.condorcet[0] is None, len(ranking.smith)
    (True, 3)
    """
    game, wins = check_counted(votes).game, votes.wins
    assert wins is not None
    tau = check_temperature(temperature, positive=True, name="tau")
    advance("lottery")
    solution = maximal_lottery(game)
    equilibrium = regularised_nash(game, tau).policy
    advance("bootstrap")
    lotteries = resampled_lotteries(votes, bootstrap, seed=seed) if bootstrap else None
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
        equilibrium_interval=equilibrium_interval(votes, equilibrium, tau),
        strengths=strengths,
        copeland=(signs > 0).sum(axis=1) + 0.5 * ((signs == 0).sum(axis=1) - 1),
        borda=rates(votes).sum(axis=1) / max(1, game.n - 1),
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


def _worst_margin(margins: Array) -> Array:
    off = margins + np.where(np.eye(len(margins), dtype=bool), np.inf, 0.0)
    return np.min(off, axis=1) if len(margins) > 1 else np.zeros(1)


# -- uncertainty -----------------------------------------------------------------------------------------------------


def _left_open(votes: Votes, confidence: float | None) -> tuple[Membership | None, Array | None]:
    """Membership and ranges over all fillings of unmet pairs and, with ``confidence``, all tables of its region."""
    w = votes.wins
    assert w is not None
    if len(w) > OPEN_LIMIT:
        return None, None
    low, high = fillings(w) if confidence is None else region(votes, confidence)
    return who_is_in(low, high), lottery_ranges(low, high)


# -- other rules -----------------------------------------------------------------------------------------------------


def _misfit(wins: Array, strengths: Strengths, labels: tuple[str, ...]) -> dict[str, Any]:
    """The misfit of Bradley-Terry: deviance against the saturated table, and the pair with the largest residual."""
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
    """The effect of a clone of each response.  The lottery only gives the clone a share of its original's mass.  The
    equilibrium changes as if the reference gave the response twice the weight.  Borda and Bradley-Terry: new
    leaders."""
    w = votes.wins
    assert w is not None
    n = votes.game.n
    labels = votes.game.labels
    p = rates(votes, diagonal=0.5)
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

    judgments  how many more of each pair, [n, n], symmetric;  error  bounds of E‖π̂ − π*‖₁ now, after the plan, and
    after as many judgments spread evenly;  needed  total judgments for an error of .2, .1 and .05, by n/(8τ²ε²).
    """

    judgments: NDArray[np.int64]
    error: tuple[float, float, float]
    needed: dict[float, int]


def plan(votes: Votes, count: int, *, temperature: float = 0.1) -> Plan:
    """How to allot ``count`` more judgments: 30 % to the pairs with fewest, the rest by √(q_iq_j(q_i+q_j)).

    This minimises V = Σ q_iq_j(q_i+q_j)/N_ij, and E KL(q‖π̂) ≤ V/(8τ²) to first order, so the error is at most
    √(V/4τ²).  Source: N20 (b), N21.

    Errors: BadInput for a count below 1 and for votes without counts.
    """
    if count < 1:
        raise BadInput(f"plan = {count}, must be at least 1")
    if votes.wins is None or votes.game.n < 2:
        raise BadInput(f"{votes.reading.source} holds no counts of pairs: a plan needs them")
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
    """``more`` whole judgments that bring counts as close to ∝ ``wanted`` as additions can (water-filling)."""
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

"""`nashlab rank`'s other rules against slow versions of their definitions, and against libraries that we did not write.

    pip install "nashlab[peers]"; python -m pytest tests/test_ranking_peers.py

evalica       Bradley-Terry, sequential Elo, average win rate          (in the extra `test` too)
pref_voting   Copeland, minimax, Borda, Smith set, Condorcet winner and loser, maximal lottery

Where a library means something else by a rule's name, the test says what in a line, and that the two are related so.
"""

from __future__ import annotations

import itertools
import warnings
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.equilibrium import maximal_lottery
from nashlab.ranking import ELO, MIDDLE, Ranking, rank
from nashlab.votes import Votes, parse_votes

Array = NDArray[np.float64]
Judgment = tuple[int, int, str]  # first, second, model_a | model_b | tie


def peer(name: str) -> ModuleType:
    with warnings.catch_warnings():  # of the peer's own imports
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f'{name} is not installed: pip install "nashlab[peers]"')


def judgments(seed: int, *, unmet: float = 0.0) -> tuple[int, list[Judgment]]:
    """(n, a random log): uneven numbers of judgments, a cycle in the win rates, some pairs that never meet."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 8))
    log: list[Judgment] = []
    for i, j in itertools.combinations(range(n), 2):
        if j > i + 1 and rng.random() < unmet:
            continue
        p = 1 / (1 + np.exp((i - j) * 0.4 + (2.0 if (i + j) % 3 == 0 else 0)))
        for _ in range(int(rng.integers(1, 9))):
            first, second = (i, j) if rng.random() < 0.5 else (j, i)
            won = "model_a" if (rng.random() < p) == (first == i) else "model_b"
            log.append((first, second, "tie" if rng.random() < 0.2 else won))
    return n, renumbered([log[k] for k in rng.permutation(len(log))])


def renumbered(log: list[Judgment]) -> list[Judgment]:
    """Responses numbered as they appear, which is the order of a reading's labels."""
    order = {i: k for k, i in enumerate(dict.fromkeys(i for row in log for i in row[:2]))}
    return [(order[i], order[j], how) for i, j, how in log]


def votes_of(log: list[Judgment]) -> Votes:
    rows = "".join(f"m{i},m{j},{how}\n" for i, j, how in log)
    return parse_votes(b"model_a,model_b,winner\n" + rows.encode(), "log", ".csv", fill="half", weigh="votes")


def ranked(log: list[Judgment]) -> Ranking:
    votes = votes_of(log)
    assert list(votes.game.labels) == [f"m{i}" for i in range(votes.game.n)]
    return rank(votes, bootstrap=0)


LOGS = [judgments(seed, unmet=0.4 * (seed % 2)) for seed in range(8)]
cached = cache(lambda k: ranked(LOGS[k][1]))


def table(n: int, log: list[Judgment]) -> list[list[float]]:
    """w_ij, one judgment at a time; a tie is half a win each."""
    w = [[0.0] * n for _ in range(n)]
    for i, j, how in log:
        w[i][j] += {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}[how]
        w[j][i] += {"model_a": 0.0, "model_b": 1.0, "tie": 0.5}[how]
    return w


# -- slow versions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", range(len(LOGS)))
def test_rules_are_their_definitions(k: int) -> None:
    n, log = LOGS[k]
    w, board = table(n, log), cached(k)
    others = [[j for j in range(n) if j != i] for i in range(n)]
    margin = [[(w[i][j] - w[j][i]) for j in range(n)] for i in range(n)]
    met = [[w[i][j] + w[j][i] for j in range(n)] for i in range(n)]
    rate = [[w[i][j] / met[i][j] if met[i][j] else 0.5 for j in range(n)] for i in range(n)]
    for i in range(n):
        assert board.copeland[i] == sum(1.0 if margin[i][j] > 0 else 0.5 * (margin[i][j] == 0) for j in others[i])
        assert board.minimax[i] == min(margin[i][j] for j in others[i])
        assert board.borda[i] == pytest.approx(sum(rate[i][j] for j in others[i]) / (n - 1), abs=1e-12)
    winners = [i for i in range(n) if all(margin[i][j] > 0 for j in others[i])]
    losers = [i for i in range(n) if all(margin[i][j] < 0 for j in others[i])]
    assert board.condorcet == (winners[0] if winners else None, losers[0] if losers else None)
    closed = [
        set(s)
        for size in range(1, n + 1)
        for s in itertools.combinations(range(n), size)
        if all(margin[i][j] > 0 for i in s for j in range(n) if j not in s)
    ]
    assert set(board.smith) == min(closed, key=len)
    cycles = sum(
        margin[a][b] > 0 and margin[b][c] > 0 and margin[c][a] > 0 for a, b, c in itertools.permutations(range(n), 3)
    )
    assert board.cyclic_triads == pytest.approx(cycles / 3 / (n * (n - 1) * (n - 2) / 6))
    if not board.strengths.regularised:
        strength = board.strengths.values  # the likelihood's equations: expected wins are the wins
        for i in range(n):
            expected = sum(met[i][j] / (1 + np.exp(strength[j] - strength[i])) for j in others[i])
            assert expected == pytest.approx(sum(w[i]), abs=1e-7)


# -- evalica -----------------------------------------------------------------------------------------------------------


def evalica_input(log: list[Judgment]) -> tuple[Any, ...]:
    evalica = peer("evalica")
    meant = {"model_a": evalica.Winner.X, "model_b": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    first, second, how = zip(*log, strict=True)
    return evalica, [f"m{i}" for i in first], [f"m{i}" for i in second], [meant[x] for x in how]


@pytest.mark.parametrize("k", range(len(LOGS)))
def test_bradley_terry_is_evalica_s(k: int) -> None:
    """Newman's iteration to 1e-12 there, Newton's here.  Where no finite fit exists evalica's scores go on with its
    limit of iterations, while ours are finite and said to be regularised."""
    n, log = LOGS[k]
    evalica, first, second, how = evalica_input(log)
    board = cached(k)
    found = evalica.bradley_terry(first, second, how, tolerance=1e-12, limit=20_000)
    theirs = np.log([found.scores[f"m{i}"] for i in range(n)])
    if board.strengths.regularised:
        assert found.iterations == 20_000 or np.ptp(theirs) > 10
    else:
        assert board.strengths.values == pytest.approx(theirs - theirs.mean(), abs=1e-6)


def test_elo_here_is_where_sequential_elo_settles() -> None:
    """evalica's Elo depends on the order of the log, by ten points here; ours is Bradley-Terry in Elo's units, in which
    no order counts.  With K → 0 and the log over and over, the former tends to the latter (K = 0.1: to 2 points)."""
    log = renumbered([x for seed in (2, 12) for x in judgments(seed)[1] if max(x[:2]) < 4] * 3)
    evalica, first, second, how = evalica_input(log)
    board = ranked(log)
    assert not board.strengths.regularised
    ours = MIDDLE + ELO * board.strengths.values

    def theirs(order: NDArray[np.intp], k: float) -> Array:
        picked = [[column[i] for i in order] for column in (first, second, how)]
        scores = evalica.elo(*picked, initial=MIDDLE, k=k).scores
        return np.array([scores[f"m{i}"] for i in range(4)])

    forth = np.arange(len(log))
    rng = np.random.default_rng(0)
    assert np.max(np.abs(theirs(forth, 32.0) - theirs(forth[::-1], 32.0))) > 10
    again = np.concatenate([rng.permutation(len(log)) for _ in range(1500)])
    assert theirs(again, 0.1) == pytest.approx(ours, abs=2)
    reverse = rank(votes_of(log[::-1]), bootstrap=0)
    back = [reverse.strengths.values[reverse.votes.game.labels.index(f"m{i}")] for i in range(4)]
    assert back == pytest.approx(board.strengths.values, abs=1e-9)


@pytest.mark.parametrize("k", range(len(LOGS)))
def test_borda_is_the_average_win_rate(k: int) -> None:
    """evalica averages over the opponents that a response met; ours over all, unmet pairs with what --fill says: ½."""
    n, log = LOGS[k]
    evalica, first, second, how = evalica_input(log)
    found = evalica.average_win_rate(first, second, how).scores
    theirs = np.array([found[f"m{i}"] for i in range(n)])
    met = (np.array(table(n, log)) + np.array(table(n, log)).T > 0).sum(axis=1)
    assert cached(k).borda * (n - 1) == pytest.approx(theirs * met + 0.5 * (n - 1 - met), abs=1e-12)


# -- pref_voting -------------------------------------------------------------------------------------------------------


def margin_graph(n: int, log: list[Judgment]) -> Any:
    """Whole margins: two per judgment."""
    graphs = peer("pref_voting.weighted_majority_graphs")
    w = np.array(table(n, log))
    margin = np.round(2 * (w - w.T)).astype(int)
    edges = [(i, j, int(margin[i, j])) for i in range(n) for j in range(n) if margin[i, j] > 0]
    return graphs.MarginGraph(list(range(n)), edges)


@pytest.mark.parametrize("k", range(len(LOGS)))
def test_social_choice_is_pref_voting_s(k: int) -> None:
    """Its Copeland counts 1, 0, −1 where ours counts 1, ½, 0; its minimax is 0 for whoever loses to nobody, where ours
    goes on to the narrowest win (its margins are doubled here: it takes whole ones)."""
    n, log = LOGS[k]
    graph, board = margin_graph(n, log), cached(k)
    c1, margins = peer("pref_voting.c1_methods"), peer("pref_voting.margin_based_methods")
    copeland, minimax = graph.copeland_scores(), margins.minimax_scores(graph)
    for i in range(n):
        assert copeland[i] == 2 * board.copeland[i] - (n - 1)
        assert minimax[i] == 2 * min(0.0, board.minimax[i])
    assert c1.top_cycle(graph) == sorted(board.smith)
    assert graph.condorcet_winner() == board.condorcet[0]
    assert graph.condorcet_loser() == board.condorcet[1]


@pytest.mark.parametrize("k", range(len(LOGS)))
def test_the_lottery_of_majority_margins_is_pref_voting_s(k: int) -> None:
    """Its answer is one equilibrium in floats; it is compared where the equilibrium is unique."""
    n, log = LOGS[k]
    graph, board = margin_graph(n, log), cached(k)
    margins = peer("pref_voting.margin_based_methods")
    theirs = margins.maximal_lottery(graph)
    mixed = np.array([float(theirs[i]) for i in range(n)])
    assert np.max(np.array(graph.strength_matrix()[0], dtype=float) @ mixed) < 1e-6
    if maximal_lottery(board.votes.game).unique:
        assert mixed == pytest.approx(board.lottery, abs=1e-6)


def test_borda_of_ballots_is_pref_voting_s() -> None:
    """Complete ballots: Borda's score is the number of voters times the sum of the win rates."""
    profiles = peer("pref_voting.profiles")
    rng = np.random.default_rng(5)
    orders = [rng.permutation(5).tolist() for _ in range(7)]
    times = [int(x) for x in rng.integers(1, 9, 7)]
    profile = profiles.Profile(orders, times)
    scores = profile.borda_scores()
    rows = "".join(f"{c},{','.join(f'm{i}' for i in order)}\n" for order, c in zip(orders, times, strict=True))
    votes = parse_votes(("count,rank1,rank2,rank3,rank4,rank5\n" + rows).encode(), "ballots", ".csv")
    board = rank(votes, bootstrap=0)
    for i, name in enumerate(f"m{i}" for i in range(5)):
        assert board.borda[votes.game.labels.index(name)] * 4 * sum(times) == pytest.approx(scores[i], abs=1e-9)

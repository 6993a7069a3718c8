"""The leaderboard: every rule against a slow version of its definition, intervals against enumeration and draws."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from simulated_votes import counted, judged

from nashlab import leaderboard
from nashlab.equilibrium import (
    claim_test,
    confidence_box,
    equilibrium_covariance,
    log_errors,
    lottery_ranges,
    maximal_lottery,
    regularised_nash,
    sensitivity,
    who_is_in,
)
from nashlab.gallery import get, load_votes, random_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.ranking import ELO, plan, rank
from nashlab.votes import bradley_terry, components, parse_votes
from nashlab.votes.resample import resampled_wins
from nashlab.votes.tournaments import cyclic_share, smith_set

Array = NDArray[np.float64]
TOURNAMENTS = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.sampled_from([-1, 0, 1]), min_size=n * n, max_size=n * n).map(lambda x: skew(x, n))
)


def skew(entries: list[int], n: int) -> Array:
    upper = np.triu(np.array(entries, dtype=float).reshape(n, n), 1)
    return upper - upper.T


# -- rules -----------------------------------------------------------------------------------------------------------


@given(TOURNAMENTS)
def test_the_smith_set_is_the_smallest_that_beats_the_rest(a: Array) -> None:
    n = len(a)
    dominating = [
        set(s)
        for k in range(1, n + 1)
        for s in itertools.combinations(range(n), k)
        if all(a[i, j] > 0 for i in s for j in range(n) if j not in s)
    ]
    assert set(smith_set(a).tolist()) == min(dominating, key=len)


@given(TOURNAMENTS)
def test_cycles_are_counted_one_by_one(a: Array) -> None:
    n = len(a)
    found = sum(
        (a[i, j] > 0 and a[j, k] > 0 and a[k, i] > 0) or (a[j, i] > 0 and a[k, j] > 0 and a[i, k] > 0)
        for i, j, k in itertools.combinations(range(n), 3)
    )
    assert cyclic_share(a) == pytest.approx(found / max(1, n * (n - 1) * (n - 2) / 6))


def minorise(wins: Array, steps: int = 20_000) -> Array:
    """Bradley-Terry by Zermelo's iteration, s_i ← w_i / Σ_j N_ij/(s_i + s_j): slow, and no Newton in it."""
    met, strength = wins + wins.T, np.ones(len(wins))
    for _ in range(steps):
        strength = wins.sum(axis=1) / (met / (strength[:, None] + strength[None, :])).sum(axis=1)
        strength /= np.exp(np.log(strength).mean())
    return np.asarray(np.log(strength))


def test_bradley_terry_is_that_of_a_slow_iteration() -> None:
    rng = np.random.default_rng(4)
    wins = rng.integers(1, 20, (6, 6)).astype(float)
    np.fill_diagonal(wins, 0)
    fitted = bradley_terry(wins)
    assert fitted.values == pytest.approx(minorise(wins), abs=1e-8)
    assert not fitted.regularised
    # the curvature of the log-likelihood by finite differences, on Σr = 0
    off = np.linalg.pinv(fitted.covariance)
    step, n = 1e-4, 6

    def slope(r: Array) -> Array:
        return (wins - (wins + wins.T) / (1 + np.exp(r[None, :] - r[:, None]))).sum(axis=1)

    numeric = np.stack([slope(fitted.values - step * e) - slope(fitted.values + step * e) for e in np.eye(n)])
    assert off == pytest.approx(numeric / (2 * step), abs=1e-5)


def test_a_response_that_always_wins_gets_a_finite_strength_and_says_so() -> None:
    fitted = bradley_terry([[0, 9, 9], [0, 0, 5], [0, 5, 0]])
    assert fitted.regularised
    assert np.all(np.isfinite(fitted.values))
    assert fitted.values[0] > fitted.values[1]
    assert components([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0]]).tolist() == [0, 0, 1, 1]


# -- intervals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_log_errors_are_those_of_the_covariance(tau: float) -> None:
    game = random_game("uniform", 5, np.random.default_rng(2))
    known = np.sqrt(np.diag(equilibrium_covariance(game, tau, 40))) / regularised_nash(game, tau).policy
    assert log_errors(game, tau, 40) == pytest.approx(known, rel=1e-8)


def test_a_pair_that_was_always_won_is_not_certain() -> None:
    game = PreferenceGame.from_preferences([[0.5, 1.0], [0.0, 0.5]])
    rest = 1 - regularised_nash(game, 1.0).policy[0]
    assert log_errors(game, 1.0, 3)[0] == pytest.approx(np.sqrt(0.875 * 0.125 / 3) * rest)  # (3 + ½)/(3 + 1)
    assert log_errors(game, 1.0, 0)[0] > log_errors(game, 1.0, 3)[0]  # never met: less is known
    assert equilibrium_covariance(game, 1.0, 3)[0, 0] > 0


def test_the_box_without_ties_is_clopper_and_pearsons() -> None:
    wins = np.array([[0, 7, 0], [3, 0, 5], [4, 0, 0]])
    low, high = confidence_box(wins, 0.9)
    for i, j in itertools.combinations(range(3), 2):
        known = binomtest(int(wins[i, j]), int(wins[i, j] + wins[j, i])).proportion_ci(1 - 0.1 / 3, "exact")
        assert (low[i, j], high[i, j]) == pytest.approx((known.low, known.high), abs=1e-9)
    assert np.abs(low + high.T - 1).max() <= 1e-15
    wider, _ = confidence_box(wins, 0.9, ties=True)
    off = ~np.eye(3, dtype=bool) & (low > 0)
    assert np.all(wider[off] < low[off])


def test_an_exact_test_rejects_a_wrong_claim_and_spares_the_truth() -> None:
    """The null rate, by simulation: at most α; a version with 3/10 of the noise rejects far more often."""
    rng = np.random.default_rng(0)
    game, tau, each = random_game("uniform", 4, rng), 0.5, 30
    truth = regularised_nash(game, tau).policy
    first, second = np.triu_indices(4, 1)
    values, bold = [], []
    for _ in range(300):
        p = np.full((4, 4), 0.5)
        p[first, second] = rng.binomial(each, game.preferences[first, second]) / each
        p[second, first] = 1 - p[first, second]
        seen = PreferenceGame.from_preferences(p)
        values.append(claim_test(seen, tau, truth, each))
        bold.append(claim_test(seen, tau, truth, each * 11))
    assert np.mean(np.array(values) < 0.1) <= 0.1
    assert np.mean(np.array(bold) < 0.1) > 0.3
    assert claim_test(game, tau, np.full(4, 0.25), 10**6) < 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_no_lottery_leaves_its_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle = rng.uniform(-0.3, 0.3, (4, 4))
    low = 0.5 + np.triu(middle, 1) - np.triu(rng.uniform(0, 0.2, (4, 4)), 1)
    high = low + np.triu(rng.uniform(0, 0.3, (4, 4)), 1)
    lower = np.where(np.triu(np.ones((4, 4)), 1) > 0, low, 0) + np.tril(1 - high.T, -1) + 0.5 * np.eye(4)
    upper = 1 - lower.T
    ranges, member = lottery_ranges(lower, upper), who_is_in(lower, upper)
    seen = np.zeros(4, dtype=bool)
    always = np.ones(4, dtype=bool)
    for _ in range(200):
        u = np.triu(lower + rng.choice([0, rng.uniform(), 1], (4, 4)) * (upper - lower), 1)
        policy = maximal_lottery(PreferenceGame.from_margins((u - u.T) - np.sign(np.triu(np.ones((4, 4)), 1)
                                 - np.tril(np.ones((4, 4)), -1)) * 0.5)).policy  # fmt: skip
        assert np.all(policy >= ranges[:, 0] - 1e-7)
        assert np.all(policy <= ranges[:, 1] + 1e-7)
        seen |= policy > 1e-9
        always &= policy > 1e-9
    assert set(np.flatnonzero(seen)) <= {*member.possible, *member.undecided}
    assert set(member.necessary) <= set(np.flatnonzero(always))
    assert not set(member.never) & set(np.flatnonzero(seen))
    assert sorted({*member.possible, *member.never, *member.undecided}) == [0, 1, 2, 3]


def test_a_met_table_leaves_nothing_open() -> None:
    game = get("rps-weighted")
    member = who_is_in(game.preferences, game.preferences)
    assert member.necessary == member.possible == (0, 1, 2)
    condorcet = get("condorcet").preferences
    alone = who_is_in(condorcet, condorcet)
    assert (alone.necessary, alone.possible, alone.never, alone.undecided) == ((0,), (0,), (1, 2, 3), ())


def test_voters_are_drawn_as_a_whole() -> None:
    """Twenty voters who judge both pairs alike: only a bootstrap by voters moves both together."""
    log = "winner,loser,voter\n" + "".join(
        f"{a},{b},{v}\n"
        for v in range(20)
        for a, b in ([("x", "y"), ("x", "z")] if v < 12 else [("y", "x"), ("z", "x")])
    )
    votes = parse_votes(log.encode(), "log", ".csv", fill="half")
    tables = resampled_wins(votes, 500, seed=1)
    assert tables.shape == (500, 3, 3)
    assert np.all(tables[:, 0, 1] == tables[:, 0, 2])
    assert np.std(tables[:, 0, 1]) == pytest.approx(np.sqrt(20 * 0.6 * 0.4), rel=0.15)
    alone = parse_votes(log.replace(",voter", ",prompt").encode(), "log", ".csv", fill="half")
    apart = resampled_wins(alone, 500, seed=1)
    assert np.any(apart[:, 0, 1] != apart[:, 0, 2])
    assert np.std(apart[:, 0, 1]) == pytest.approx(np.sqrt(20 * 0.6 * 0.4), rel=0.15)


def test_resampled_voters_do_not_bring_thin_pairs_back() -> None:
    log = "winner,loser,voter\n" + "".join(f"x,y,{v}\ny,z,{v}\n" for v in range(12)) + "x,z,0\n"
    for least, seen in ((2, False), (0, True)):
        votes = parse_votes(log.encode(), "log", ".csv", fill="half", min_votes=least)
        tables = resampled_wins(votes, 200, seed=1)
        assert np.any(tables[:, 0, 2] > 0) == seen
        assert np.all(tables[:, 0, 1] == 12)


# -- the whole -------------------------------------------------------------------------------------------------------


def test_a_ranking_agrees_with_its_parts_and_repeats() -> None:
    votes = load_votes("pudding")
    ranking = rank(votes, bootstrap=60, seed=3)
    assert [str(x) for x in ranking.lottery_exact or ()] == ["0", "270/413", "0", "0", "44/413", "99/413"]
    assert ranking.interval is not None
    assert np.all(ranking.interval[:, 0] <= ranking.interval[:, 1])
    assert np.all(ranking.equilibrium_interval[:, 0] < ranking.equilibrium)
    assert np.all(ranking.equilibrium < ranking.equilibrium_interval[:, 1])
    assert ranking.condorcet == (None, 0)
    assert ranking.unit == "judgments"
    told = leaderboard.content(ranking)
    json.dumps(told, allow_nan=False)
    assert told["responses"][0]["label"] == "brand 1"
    assert told["responses"][0]["elo"] == pytest.approx(1500 + ELO * ranking.strengths.values[1])
    assert told["condorcet_loser"] == "brand 0"
    assert json.dumps(told) == json.dumps(leaderboard.content(rank(votes, bootstrap=60, seed=3)))


def test_a_lottery_outside_its_own_intervals_is_said() -> None:
    """Sixty responses without any difference: noise added to noise spreads the lottery further than one table does."""
    even = judged(np.full((60, 60), 0.5), np.full((60, 60), 9), np.random.default_rng(3))
    ranking = rank(counted(even), bootstrap=40, seed=1)
    assert ranking.interval is not None
    (low, high), lottery = ranking.interval.T, ranking.lottery
    outside = sum(not a - 1e-9 <= x <= b + 1e-9 for a, x, b in zip(low, lottery, high, strict=True))
    assert outside > 0
    begins = f"{outside} lottery probabilities lie outside"
    assert sum(said.startswith(begins) for said in leaderboard.remarks(ranking)) == 1
    clear = rank(load_votes("pudding"), bootstrap=60, seed=3)
    assert not any("lie outside" in said for said in leaderboard.remarks(clear))


def test_a_clone_of_each_response_is_what_the_definition_says() -> None:
    votes = load_votes("pudding")
    ranking = rank(votes, bootstrap=0)
    assert ranking.clones is not None
    assert votes.wins is not None
    y, keep = 1, [*range(6), 1]
    cloned = np.asarray(votes.game.margins)[np.ix_(keep, keep)]
    larger = regularised_nash(PreferenceGame.from_margins(cloned), 0.1).policy
    merged = larger[:6] + np.where(np.arange(6) == y, larger[6], 0)
    assert ranking.clones[y]["equilibrium_l1"] == pytest.approx(
        float(np.abs(merged - ranking.equilibrium).sum()), abs=1e-9
    )


def test_a_plan_spends_what_it_is_given_and_helps_more_than_spreading() -> None:
    votes = load_votes("soundquality")
    planned = plan(votes, 5000, temperature=0.05)
    assert np.array_equal(planned.judgments, planned.judgments.T)
    assert planned.judgments.sum() == 2 * 5000
    now, after, evenly = planned.error
    assert after < evenly < now


@pytest.mark.parametrize("form", ["html", "csv", "latex", "markdown", "json"])
def test_each_form_is_written_with_every_response(tmp_path: Path, form: str) -> None:
    log = b"winner,loser\n<b>,c_1\nc_1,d&e\nd&e,<b>\n<b>,d&e\n"
    ranking = rank(parse_votes(log, "log", ".csv"), bootstrap=20)
    leaderboard.write(tmp_path / "board", form, ranking, plan(ranking.votes, 10))
    text = (tmp_path / "board").read_text(encoding="utf-8")
    escaped = {"html": ("&lt;b&gt;", "c_1", "d&amp;e"), "latex": ("<b>", r"c\_1", r"d\&e")}
    names = escaped.get(form, ("<b>", "c_1", "d&e"))
    assert all(name in text for name in names)
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org", "")
    with pytest.raises(BadInput, match="cannot be written"):
        leaderboard.write(tmp_path / "no" / "board", form, ranking)


def test_votes_without_counts_are_refused() -> None:
    with pytest.raises(BadInput, match="holds no counts"):
        rank(parse_votes(b"0.5,0.7\n0.3,0.5", "p", ".csv"))


def test_planned_judgments_err_less_than_spread_ones() -> None:
    """Bradley-Terry games of 8, τ = .1: the error KL(π*‖π̂) after 1,000 more judgments, summed over games and draws.

    (Twelve games of 10 and 2,000 judgments, by family, planned / spread: Bradley-Terry .37, Plackett-Luce .37,
    Mallows .64, single-peaked .70, uniform .84, cyclic .90.)
    """
    rng = np.random.default_rng(0)
    n, tau, total = 8, 0.1, np.zeros(2)
    for _ in range(5):
        p = random_game("bradley-terry", n, rng).preferences
        q = regularised_nash(PreferenceGame.from_preferences(p), tau).policy
        wins = judged(p, np.full((n, n), 6), rng)
        planned = plan(counted(wins), 1000, temperature=tau).judgments
        evenly = np.full((n, n), round(1000 / 28))
        for k, extra in enumerate((planned, evenly)):
            for _ in range(5):
                seen = regularised_nash(counted(wins + judged(p, extra, rng)).game, tau).policy
                total[k] += float(np.sum(q * np.log(q / seen)))
    assert total[0] < 0.75 * total[1]


def test_the_plain_optimum_fails_where_all_judgments_agree() -> None:
    """Shares ∝ σ̂_ij|g_ij| with σ̂² = p̂(1 − p̂): a pair that went one way twice gets no judgment, however many there
    are, and the error stays; the plan asks every pair (N21).  Four models, two judgments a pair, 600 more."""
    rng = np.random.default_rng(1)
    tau, first, second = 0.1, *np.triu_indices(4, 1)
    strength = np.array([0.8, 0.5, 0.2, 0.0])
    p = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    q = regularised_nash(PreferenceGame.from_preferences(p), tau).policy
    total, idle = np.zeros(2), 0
    for _ in range(30):
        wins = judged(p, np.full((4, 4), 2), rng)
        seen = counted(wins)
        planned = plan(seen, 600, temperature=tau).judgments
        assert np.all(planned[first, second] > 0)
        gradient = sensitivity(seen.game, tau).preferences[:, first, second]
        share = seen.game.preferences[first, second]
        wanted = np.sqrt(share * (1 - share)) * np.linalg.norm(gradient, axis=0)
        plain = np.zeros((4, 4), dtype=np.int64)
        if wanted.sum() > 0:
            plain[first, second] = np.floor(600 * wanted / wanted.sum())
        plain = plain + plain.T
        idle += int(np.count_nonzero(plain[first, second] == 0))
        for k, extra in enumerate((planned, plain)):
            found = regularised_nash(counted(wins + judged(p, extra, rng)).game, tau).policy
            total[k] += float(np.sum(q * np.log(q / found)))
    assert idle > 30
    assert total[1] > 5 * total[0]

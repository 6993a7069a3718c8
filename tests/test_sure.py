"""How sure `nashlab solve` is of the voters behind a table: voters who answer often, claims, unmet pairs."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from nashlab.cli import main
from nashlab.equilibrium import (
    claim_test,
    confidence_box,
    independent_judgments,
    log_errors,
    lottery_batch,
    lottery_claim_test,
    maximal_lottery,
    regularised_nash,
)
from nashlab.gallery import load_votes
from nashlab.game import BadInput, PreferenceGame
from nashlab.votes import Votes, parse_votes
from nashlab.votes.resample import Draw, drawn_wins, grown_lottery, tabled_wins
from nashlab.votes.sure import equilibrium_interval, how_sure, repeats

TAU = 0.2


def log_of(rng: np.random.Generator, copies: int, voters: int = 40) -> Votes:
    """Each voter judges every pair of three once, and says each judgment ``copies`` times."""
    p = {("a", "b"): 0.7, ("b", "c"): 0.6, ("c", "a"): 0.65}
    lines = ["winner,loser,voter"]
    for voter in range(voters):
        for (x, y), share in p.items():
            winner, loser = (x, y) if rng.random() < share else (y, x)
            lines += [f"{winner},{loser},v{voter}"] * copies
    return parse_votes("\n".join(lines).encode(), "x", ".csv")


# -- voters ----------------------------------------------------------------------------------------------------------


def test_voters_of_one_judgment_each_are_the_independent_formula() -> None:
    """Σ_v over single judgments is p(1 − p)/N for each pair; the factor K/(K − 1) is all that differs."""
    rng = np.random.default_rng(0)
    lines = ["winner,loser,voter"]
    for voter in range(60):
        x, y = [("a", "b"), ("b", "c"), ("c", "a")][voter % 3]
        lines.append(f"{x},{y},v{voter}" if rng.random() < 0.6 else f"{y},{x},v{voter}")
    votes = parse_votes("\n".join(lines).encode(), "x", ".csv")
    assert votes.ballots is not None
    plain = log_errors(votes.game, TAU, votes.game.comparisons)
    by_voters = log_errors(votes.game, TAU, votes.game.comparisons, votes.ballots)
    assert by_voters == pytest.approx(plain * np.sqrt(60 / 59), rel=1e-9)  # sums of 60 doubles of one size


def test_a_voter_who_repeats_herself_makes_nobody_surer() -> None:
    once, often = (log_of(np.random.default_rng(1), copies) for copies in (1, 25))
    errors = [log_errors(v.game, TAU, v.game.comparisons, v.ballots) for v in (once, often)]
    assert errors[1] == pytest.approx(errors[0], rel=1e-9)
    # canary: the formula of independent judgments believes the copies, by a factor of 5
    naive = [log_errors(v.game, TAU, v.game.comparisons) for v in (once, often)]
    assert naive[1] == pytest.approx(naive[0] / 5, rel=1e-9)


def test_one_unanimous_pair_is_not_certain_among_voters_either() -> None:
    lines = [f"a,b,v{k}\n" for k in range(20)] + [f"b,c,v{k}\nc,a,v{k}\n" for k in range(20)]
    votes = parse_votes(("winner,loser,voter\n" + "".join(lines)).encode(), "x", ".csv")
    errors = log_errors(votes.game, TAU, votes.game.comparisons, votes.ballots)
    plain = log_errors(votes.game, TAU, votes.game.comparisons)
    assert errors == pytest.approx(plain, rel=1e-12)
    assert np.all(errors > 0.04)  # half a win of 20 moves P by .025, and log q by some .025/τ


# -- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("free", [0.0, 0.3, 0.9, 1.0])
def test_a_claim_is_spared_if_some_result_of_the_unmet_pair_makes_it_true(free: float) -> None:
    """N20 (e): 1 and 3 never met; whatever their win rate is, the equilibrium that it makes is not rejected."""
    seen = np.array([[0.5, 0.8, 0.5], [0.2, 0.5, 0.7], [0.5, 0.3, 0.5]])
    counts = np.array([[0, 10**6, 0], [10**6, 0, 10**6], [0, 10**6, 0]])
    true = seen.copy()
    true[0, 2], true[2, 0] = free, 1 - free
    claim = regularised_nash(PreferenceGame.from_preferences(true), TAU).policy
    game = PreferenceGame.from_preferences(seen)
    assert claim_test(game, TAU, claim, counts) == 1.0
    full = np.where(np.eye(3, dtype=bool), 0, 10**6)
    assert claim_test(game, TAU, claim, full) < 1e-6  # canary: a pair that met a million times says something
    assert claim_test(game, TAU, [0.05, 0.05, 0.9], counts) < 1e-6


def test_the_test_of_a_lottery_is_the_inverse_of_the_confidence_region() -> None:
    votes = load_votes("soundquality")
    assert votes.wins is not None
    assert lottery_claim_test(votes.wins, maximal_lottery(votes.game).policy) == 1.0
    claim = np.eye(8)[list(votes.game.labels).index("WideStereo")]
    p = lottery_claim_test(votes.wins, claim)
    for alpha, allowed in ((p * 0.99, True), (p * 1.01, False)):
        low, _ = confidence_box(votes.wins, 1 - alpha)
        assert bool(np.max(low @ claim) <= 0.5) is allowed
    assert lottery_claim_test(votes.wins, np.full(8, 1 / 8)) < 1e-6


@pytest.mark.parametrize("temperature", [0.0, TAU])
def test_a_claim_is_not_rejected_by_one_voter_who_repeats_herself(temperature: float) -> None:
    """Twelve voters, of whom one says 400 times that a cycle runs the other way: the truth, an even table, stands."""
    lines = [f"{x},{y},v{k}" for k in range(12) for x, y in (("a", "b"), ("b", "c"), ("c", "a"))]
    lines += [f"{y},{x},v{k}" for k in range(12, 24) for x, y in (("a", "b"), ("b", "c"), ("c", "a"))]
    lines += [f"{x},{y},loud" for x, y in (("a", "b"), ("a", "c"), ("b", "c"))] * 400
    log = "winner,loser,voter\n" + "\n".join(lines)
    uniform = [1, 1, 1]
    named = how_sure(parse_votes(log.encode(), "x", ".csv"), np.ones(3) / 3, temperature=temperature, claim=uniform)
    # canary: the same judgments without the voters' names
    alone = log.replace(",voter", ",prompt").encode()
    unnamed = how_sure(parse_votes(alone, "x", ".csv"), np.ones(3) / 3, temperature=temperature, claim=uniform)
    assert named is not None
    assert unnamed is not None
    assert named["claim"]["p_value"] > 0.5
    assert unnamed["claim"]["p_value"] < 1e-9
    assert named["claim"]["independent"] == "voters"
    assert unnamed["claim"]["independent"] == "judgments, since no voters are named"


def test_one_judgment_a_voter_is_worth_one() -> None:
    """Then the test by voters is that of judgments; ten copies by each voter are worth as much, not ten times."""
    claim = np.array([0.5, 0.3, 0.2])
    lines = [f"{x},{y},v{k}-{x}" for k in range(30) for x, y in (("a", "b"), ("b", "c"), ("c", "a"))]
    once, often = (
        parse_votes(("winner,loser,voter\n" + "\n".join(lines * copies)).encode(), "x", ".csv") for copies in (1, 10)
    )
    assert once.ballots is not None
    assert often.ballots is not None
    full = 30 * (1 - np.eye(3))
    assert independent_judgments(claim, full, once.ballots) == pytest.approx(full, rel=1e-12)
    assert independent_judgments(claim, 10 * full, often.ballots) == pytest.approx(full, rel=1e-12)
    assert repeats(once) == pytest.approx(1 - np.eye(3))
    assert repeats(often) == pytest.approx(10 * (1 - np.eye(3)))


def test_the_test_by_voters_spares_the_truth() -> None:
    """N20 (d) by voters: 200 samples of 40 voters, each for a or against it in both of its pairs, five times."""
    rng = np.random.default_rng(8)
    game = PreferenceGame.from_preferences([[0.5, 0.6, 0.6], [0.4, 0.5, 0.5], [0.4, 0.5, 0.5]])
    truth = regularised_nash(game, TAU).policy
    values, bold = [], []
    for _ in range(200):
        lines = ["winner,loser,voter"]
        for voter in range(40):
            keen, other = rng.random() < 0.6, rng.random() < 0.5
            for x, y, first in (("a", "b", keen), ("a", "c", keen), ("b", "c", other)):
                lines += [f"{x},{y},{voter}" if first else f"{y},{x},{voter}"] * 5
        votes = parse_votes("\n".join(lines).encode(), "x", ".csv")
        sure = how_sure(votes, truth, temperature=TAU, claim=truth.tolist())
        assert sure is not None
        values.append(sure["claim"]["p_value"])
        bold.append(claim_test(votes.game, TAU, truth, votes.game.comparisons))
    assert np.mean(np.array(values) < 0.1) <= 0.1
    assert np.mean(np.array(bold) < 0.1) > 0.1  # canary: the same judgments as if they were independent


# -- what is said ----------------------------------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_solve_says_how_sure_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = told(
        capsys, "solve", "soundquality", "--bootstrap", "200", "--confidence", "0.95", "--claim", "uniform", "--json"
    )
    answer = json.loads(out)
    sure = answer["uncertainty"]
    assert code == 0
    assert answer["reading"]["layout"] == "matrix"
    assert sure["judgments"] == {"least": 783, "median": 783, "most": 783, "unmet_pairs": 0}
    assert sure["proved"] == "of this table of counts, not of the voters behind it"
    ranges = dict(zip(answer["labels"], sure["range"], strict=True))
    assert [round(ranges[x][1], 3) for x in ("Mono", "PhantomMono")] == [0.086, 0.098]  # N27's numbers
    assert sure["claim"]["p_value"] < 1e-6
    assert 0.4 < sure["support_frequency"][answer["labels"].index("Stereo")] < 1
    saved = tmp_path / "answer.json"
    saved.write_text(out, encoding="utf-8")
    assert told(capsys, "certify", str(saved))[0] == 0


def test_solve_has_intervals_of_the_regularised_equilibrium(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "solve", "soundquality", "--tau", "0.1")
    votes = load_votes("soundquality")
    policy = regularised_nash(votes.game, 0.1).policy
    low, high = equilibrium_interval(votes, policy, 0.1)[votes.game.labels.index("Stereo")]
    assert code == 0
    assert f"{low:.4f}-{high:.4f}" in out
    assert policy[votes.game.labels.index("Stereo")] == pytest.approx(0.249, abs=0.0005)  # N27: .249 ± .016
    assert (high - low) / 2 / 1.96 == pytest.approx(0.016, abs=0.0006)
    assert "judgments per pair: 783 to 783" in out


@pytest.mark.parametrize("given", [("--bootstrap", "9"), ("--confidence", "0.9"), ("--claim", "uniform")])
def test_what_needs_counts_is_refused_without_them(capsys: pytest.CaptureFixture[str], given: tuple[str, str]) -> None:
    code, out, err = told(capsys, "solve", "rps", *given)
    assert (code, out) == (2, "")
    assert given[0].removeprefix("--") in err
    assert "holds no counts" in err


def test_no_counts_no_doubt() -> None:
    votes = load_votes("rps")
    assert how_sure(votes, np.full(3, 1 / 3)) is None
    with pytest.raises(BadInput, match="confidence is for the maximal lottery"):
        how_sure(load_votes("soundquality"), np.full(8, 1 / 8), temperature=0.1, confidence=0.9)


def test_lotteries_of_large_tables_with_many_ties_are_lotteries() -> None:
    """Half of the pairs even: float64 cannot tell the support, and rationals would take minutes."""
    rng = np.random.default_rng(5)
    a = np.triu(rng.integers(-2, 3, (3, 40, 40)) * (rng.random((3, 40, 40)) < 0.5), 1) / 8
    a = a - np.swapaxes(a, 1, 2)
    found = lottery_batch(a)
    assert np.all(found >= 0)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-9)
    assert np.max(np.einsum("xij,xj->xi", a, found)) < 1e-8


def test_certify_reads_a_filled_table_as_solve_does(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The verifier's own reader knows no wins added to each side: it must not blame the answer for that."""
    votes, answer = tmp_path / "votes.csv", tmp_path / "answer.json"
    votes.write_text("winner,loser\na,b\na,b\nb,c\nc,a\n", encoding="utf-8")
    answer.write_text(told(capsys, "solve", str(votes), "--fill", "add-1/3", "--json")[1], encoding="utf-8")
    code, out, _ = told(capsys, "certify", str(answer), str(votes), "--fill", "add-1/3")
    assert code == 0
    assert "REFUTED" not in out
    assert told(capsys, "certify", str(answer), str(votes))[0] == 1  # canary: without the fill it is another table


# -- pairs that never met --------------------------------------------------------------------------------------------


def sparse_arena() -> str:
    """57 Bradley-Terry models, the strongest first, of whose 1,596 pairs 595 never met; the others some 12 times."""
    rng = np.random.default_rng(0)
    strength = np.sort(rng.normal(0, 0.6, 57))[::-1]
    first, second = np.triu_indices(57, 1)
    lines = ["model_a,model_b,winner,count"]
    for k in rng.permutation(first.size)[:1001]:
        i, j, each = int(first[k]), int(second[k]), int(rng.geometric(1 / 12))
        won = int(rng.binomial(each, 1 / (1 + np.exp(strength[j] - strength[i]))))
        lines += [f"m{i:02d},m{j:02d},model_{side},{c}" for side, c in (("a", won), ("b", each - won)) if c]
    return "\n".join(lines) + "\n"


def test_the_best_model_gets_no_zero_silently(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With 412 votes it has probability 0 under --fill half, and under bradley-terry: the answer says what that owes to
    the 595 pairs, and that other results of them have it in; without --fill there is no answer."""
    log = tmp_path / "arena.csv"
    log.write_text(sparse_arena(), encoding="utf-8")
    code, out, err = told(capsys, "solve", str(log))
    assert (code, out) == (2, "")
    assert "never met" in err
    code, out, err = told(capsys, "solve", str(log), "--fill", "half", "--json")
    answer = json.loads(out)
    assert code == 0
    assert "595 pairs that never met: filled with p = 1/2" in err
    assert answer["policy"][answer["labels"].index("m00")] == 0
    unmet = answer["uncertainty"]["unmet"]
    assert "m00" in unmet["possible"]
    assert "m00" in unmet["left_out_here"]
    code, out, err = told(capsys, "rank", str(log), "--bootstrap", "0", "--json")
    board = json.loads(out)
    best = next(row for row in board["responses"] if row["label"] == "m00")
    assert (best["votes"], best["lottery"]) == (412, 0)
    assert "m00" in board["possible"]
    assert "595 of 1596 pairs never met: the ranking depends on their fill." in board["remarks"]
    said = [x for x in board["remarks"] if x.startswith("0 in the lottery above, but not in every one")]
    assert len(said) == 1


def test_people_are_warned_of_pairs_that_never_met(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """a beats b, b beats c, a and c never met: even, a and c share all; were c to win, all three would be in."""
    log = tmp_path / "log.csv"
    log.write_text("winner,loser\na,b\na,b\nb,a\nb,c\nb,c\nc,b\n", encoding="utf-8")
    code, out, _ = told(capsys, "solve", str(log), "--fill", "half")
    assert code == 0
    assert "WARNING: 1 pair(s) never met, and the answer depends on how they are filled" in out
    assert "in the support, necessary: 1: a" in out
    assert "0 here, but not for every filling: 1: b\n" in out
    assert "here, but perhaps not for every filling: 1: c\n" in out
    met = tmp_path / "met.csv"
    met.write_text("winner,loser\na,b\nb,c\na,c\n", encoding="utf-8")
    assert "WARNING" not in told(capsys, "solve", str(met))[1]


# -- drawing large arenas again ---------------------------------------------------------------------------------------


def test_tabled_draws_have_the_distribution_of_drawn_ones() -> None:
    """5,050 pairs of 5 judgments, of which half, a fifth and three tenths are wins, ties and losses: the halves won are
    counted against the sum over all 3⁵ sequences (five standard errors); numpy's multinomial passes the same test."""
    exact = np.zeros(11)
    for ends in itertools.product((2, 1, 0), repeat=5):
        exact[sum(ends)] += math.prod({2: 0.5, 1: 0.2, 0: 0.3}[x] for x in ends)
    number, shares = np.full(5050, 5), np.tile([0.5, 0.2, 0.3], (5050, 1))

    def errors(draw: Draw, expected: np.ndarray) -> float:
        seen = np.bincount((2 * draw(20, np.random.default_rng(3))).astype(int).ravel(), minlength=11) / (20 * 5050)
        return float(np.max(np.abs(seen - expected) / np.sqrt(expected * (1 - expected) / (20 * 5050))))

    assert errors(tabled_wins(number, shares), exact) < 5
    assert errors(drawn_wins(number, shares), exact) < 5
    moved = np.tile([0.49, 0.21, 0.3], (5050, 1))
    assert errors(tabled_wins(number, moved), exact) > 5  # canary: one win in fifty a tie
    rare = tabled_wins(np.array([0, 1]), np.array([[0.3, 0.3, 0.4], [0.0, 0.0, 1.0]]))(7, np.random.default_rng(0))
    assert not np.any(rare)


def test_a_large_game_is_solved_from_its_strongest_responses() -> None:
    """90 responses, more than are tried at first; the last, or three alike, lose to all but the best, and have mass."""
    rng = np.random.default_rng(6)
    lean = rng.normal(0, 0.3, 90)
    for copies in (1, 3):
        a = np.tanh(lean[:, None] - lean[None, :] + skew_of(rng.normal(0, 0.1, (90, 90)))) / 2
        best = int(np.argmax(maximal_lottery(PreferenceGame.from_margins(a), exact=False).policy))
        for k in range(90 - copies, 90):
            a[k] = -0.3
            a[k, best], a[k, 90 - copies :] = 0.4, 0
            a[:, k] = -a[k]
        whole = maximal_lottery(PreferenceGame.from_margins(a), exact=False).policy
        assert whole[-1] > 0.005
        assert grown_lottery(a) == pytest.approx(whole, abs=1e-9)
        strongest = np.sort(np.argsort(-a.sum(axis=1), kind="stable")[:64])
        alone = np.zeros(90)
        alone[strongest] = lottery_batch(a[np.ix_(strongest, strongest)])
        assert np.max(np.abs(alone - whole)) > 0.005  # canary: the 64 strongest alone


def skew_of(x: np.ndarray) -> np.ndarray:
    upper = np.triu(x, 1)
    return upper - upper.T

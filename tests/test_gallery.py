"""The gallery's known answers, each judged by exact arithmetic that knows no solver; what random families promise."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nashlab.certificate import certify, check_lottery
from nashlab.gallery import (
    FAMILIES,
    GALLERY,
    PAPER_TABLE_1,
    PAPER_TABLE_2,
    circulant_tournament,
    compose,
    get,
    load_game,
    random_game,
    rater_population,
)
from nashlab.game import BadInput, PreferenceGame

HALF = Fraction(1, 2)
KNOWN = [name for name, entry in GALLERY.items() if entry.lottery is not None]
REGULARISED = [(name, *case) for name, entry in GALLERY.items() for case in entry.regularised]

# games with several equilibria: integer directions that span the face's differences
FACES = {
    "duplicates": [(1, -1, 0, 0, 0, 0), (1, 0, -1, 0, 0, 0), (1, 0, 0, -1, 0, 0)],
    "rps-and-loser": [(1, 1, 1, -3, 0)],
    "four-cycle": [(1, -1, 1, -1)],
    "weak-dominance": [(1, -1, 0)],
    "all-ties": [(1, *(-1 if k == j else 0 for k in range(5))) for j in range(5)],
}


# -- known answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_lottery_satisfies_E6_exactly(name: str) -> None:
    game, lottery = get(name), GALLERY[name].lottery
    assert game.exact is not None
    assert lottery is not None
    check = check_lottery(game.exact, lottery)
    assert check.valid
    assert check.unique == (name not in FACES)


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "all-ties"])  # no policy is wrong there
def test_a_lottery_that_is_off_by_a_millionth_is_caught(name: str) -> None:
    """The canary: mass moved from any response to any other is no equilibrium, but along a face of them."""
    game, lottery = get(name), GALLERY[name].lottery
    assert game.exact is not None
    assert lottery is not None
    step = min(Fraction(1, 10**6), min(x for x in lottery if x > 0) / 2)
    accepted = [
        check_lottery(game.exact, [x + step * ((k == i) - (k == j)) for k, x in enumerate(lottery)]).valid
        for j in [k for k, x in enumerate(lottery) if x > 0][:6]
        for i in range(game.n)
        if i != j
    ]
    assert not all(accepted)
    assert name in FACES or not any(accepted)


@pytest.mark.parametrize("name", FACES)
def test_among_several_equilibria_the_projection_of_the_reference_is_given(name: str) -> None:
    """At the KL-projection of uniform μ, Σ v log x = 0 along the face: Π x^v = 1, decided in integers (E5)."""
    game, lottery = get(name), GALLERY[name].lottery
    assert game.exact is not None
    assert lottery is not None
    assert np.ptp(game.log_reference) == 0
    for direction in FACES[name]:
        step = Fraction(1, 1000)
        moved = [x + step * v for x, v in zip(lottery, direction, strict=True)]
        assert check_lottery(game.exact, moved).valid, "the direction stays on the face"
        assert math.prod(x**v for x, v in zip(lottery, direction, strict=True) if v) == 1


@pytest.mark.parametrize(("name", "temperature", "policy", "tolerance"), REGULARISED)
def test_a_known_regularised_equilibrium_is_within_its_tolerance(
    name: str, temperature: float, policy: tuple[float, ...], tolerance: float
) -> None:
    """Judged by the bounds E3 and N14, which need no solver."""
    log_policy = np.log(np.array(policy) / sum(policy))
    assert certify(get(name), log_policy, temperature).l1_bound <= tolerance
    off = np.array(policy) / sum(policy) + 5 * tolerance * (np.eye(len(policy))[0] - np.eye(len(policy))[1])
    assert certify(get(name), np.log(off), temperature).l1_bound > tolerance, "canary: a wrong policy is caught"


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_two_responses_have_the_logistic_answer(tau: float) -> None:
    """A₁₂ = .2: log π₁/π₂ = .2 (π₁ + π₂)/τ."""
    first = 1 / (1 + math.exp(-0.2 / tau))
    bound = certify(get("two-responses"), np.log([first, 1 - first]), tau).l1_bound
    assert bound < 1e-14  # rounding of two logarithms


# -- the games are what they say -------------------------------------------------------------------------------------


def test_dice_are_the_dice() -> None:
    faces = ((2, 4, 9), (1, 6, 8), (3, 5, 7))
    wins = [[Fraction(sum(a > b for a in x for b in y), 9) - HALF for y in faces] for x in faces]
    exact = get("dice").exact
    assert exact is not None
    assert all(exact[i][j] == wins[i][j] for i in range(3) for j in range(3) if i != j)


@pytest.mark.parametrize("epsilon", [Fraction(-2, 3), Fraction(-1, 4), Fraction(0), Fraction(1, 6), Fraction(1, 3)])
def test_rater_population_is_its_three_types(epsilon: Fraction) -> None:
    """The table from rankings 1≻2≻3, 2≻3≻1, 3≻1≻2 and their weights; the equilibrium of NLHF §3.2, exactly."""
    weights = (Fraction(1, 3) - epsilon / 4, Fraction(1, 3) + epsilon / 2, Fraction(1, 3) - epsilon / 4)
    rankings = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    exact = rater_population(epsilon).exact
    assert exact is not None
    for i in range(3):
        for j in range(3):
            share = sum(w for w, r in zip(weights, rankings, strict=True) if r.index(i) < r.index(j))
            assert i == j or exact[i][j] == share - HALF
    nash = (Fraction(1, 3) + epsilon / 2, Fraction(1, 3) + epsilon / 2, Fraction(1, 3) - epsilon)
    assert check_lottery(exact, nash).valid


def test_the_best_average_reward_of_the_raters_jumps_where_the_equilibrium_does_not() -> None:
    best = []
    for epsilon in (Fraction(-1, 1000), Fraction(1, 1000)):
        exact = rater_population(epsilon).exact
        assert exact is not None
        best.append(max(range(3), key=lambda i, a=exact: sum(a[i])))
    assert best == [0, 1]


def test_rater_population_outside_its_range_is_refused() -> None:
    with pytest.raises(BadInput, match=r"epsilon = 1/2, must be in \[-2/3, 1/3\]"):
        rater_population(HALF)


def test_restricted_elo_prefers_what_the_reward_does_not() -> None:
    """On π₁ = 2π₂ the reward optimum (2/3, 1/3, 0) loses against (0, 0, 1), which wins 50/99."""
    exact = get("restricted-elo").exact
    assert exact is not None
    assert HALF + Fraction(2, 3) * exact[2][0] + Fraction(1, 3) * exact[2][1] == Fraction(50, 99)
    rewards = (0.0, math.log(9), math.log(2))
    assert 2 / 3 * rewards[0] + 1 / 3 * rewards[1] > rewards[2]
    for i in range(3):
        for j in range(3):
            assert float(HALF + exact[i][j]) == pytest.approx(1 / (1 + math.exp(rewards[j] - rewards[i])), abs=1e-15)


def test_who_has_a_condorcet_winner() -> None:
    def condorcet_winners(name: str) -> list[str]:
        exact = get(name).exact
        assert exact is not None
        labels = get(name).labels
        return [labels[i] for i, row in enumerate(exact) if all(x > 0 for j, x in enumerate(row) if j != i)]

    assert condorcet_winners("condorcet") == ["1"]
    assert condorcet_winners("top-cycle") == []
    assert condorcet_winners("soundquality") == []
    assert condorcet_winners("firstnames") == ["Lucas"]
    assert condorcet_winners("germanparties2009") == ["Gruene"]


def test_real_tables_are_row_beat_column_and_complete() -> None:
    text = (files("nashlab") / "data" / "soundquality.csv").read_text(encoding="utf-8")
    wins = [line.split(",") for line in text.splitlines()]
    counts = np.array([[int(x) for x in row[1:]] for row in wins[1:]])
    assert counts.sum() == 21_924
    assert np.array_equal(counts + counts.T, 783 * (1 - np.eye(8)))
    exact = get("soundquality").exact
    assert exact is not None
    assert exact[0][1] == Fraction(268, 783) - HALF


def test_composition_multiplies_equilibria() -> None:
    """The equilibrium of a composition is the product of equilibria (composition consistency)."""
    outer, inner = get("figure-6"), get("weighted-cycle")
    assert outer.exact is not None
    assert inner.exact is not None
    x, y = GALLERY["figure-6"].lottery, GALLERY["weighted-cycle"].lottery
    assert x is not None
    assert y is not None
    assert check_lottery(compose(outer.exact, inner.exact), [p * q for p in x for q in y]).unique


@pytest.mark.parametrize("n", [1, 3, 5, 21])
def test_circulant_tournaments_have_the_uniform_equilibrium(n: int) -> None:
    assert check_lottery(circulant_tournament(n), [Fraction(1, n)] * n).unique


def test_circulant_tournament_of_even_size_is_refused() -> None:
    with pytest.raises(BadInput, match="n = 4, must be odd"):
        circulant_tournament(4)


def test_paper_table_1_is_consistent_with_what_the_methods_are() -> None:
    assert PAPER_TABLE_1["ipo-md"] == (True, True, True)
    assert PAPER_TABLE_1["online-ipo"] == (True, True, False)
    assert not PAPER_TABLE_1["nash-md-pg"][0]
    assert not PAPER_TABLE_1["offline-ipo"][1]


def test_paper_table_2_is_a_preference_matrix() -> None:
    p = [[Fraction(x) for x in row] for row in PAPER_TABLE_2.values()]
    assert all(p[i][j] + p[j][i] == 1 for i in range(6) for j in range(6))


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GALLERY)
def test_every_entry_says_what_it_is(name: str) -> None:
    entry, game = GALLERY[name], get(name)
    assert entry.name == name == game.name
    assert entry.description
    assert game.source == entry.source
    if name == "llmfao":
        assert game.exact is None, "pairs that never met are filled by a fit, which is not rational"
    else:
        assert game.exact is not None, "every other game of the gallery is rational"
        assert np.array_equal(game.margins, np.array(game.exact, dtype=float))
    assert all(get(alias) is game for alias in entry.aliases)


def test_names_and_aliases_do_not_collide() -> None:
    names = [x for e in GALLERY.values() for x in (e.name, *e.aliases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("call", [get, load_game])
def test_an_unknown_name_is_refused_with_the_nearest(call: Callable[[str], PreferenceGame]) -> None:
    with pytest.raises(BadInput, match="did you mean 'soundquality'"):
        call("soundqality")
    with pytest.raises(BadInput, match="neither a file nor a game of the gallery"):
        call("")


def test_a_missing_file_is_told_from_a_game() -> None:
    with pytest.raises(BadInput, match=r"soundquality\.csv: no such file; did you mean 'soundquality'"):
        load_game("soundquality.csv")
    with pytest.raises(BadInput, match="nowhere/rps: no such file"):
        load_game("nowhere/rps")


@pytest.mark.parametrize("name", ["\0", "x" * 5000, "a\0b.csv", "🎲"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    rule = "no such file" if name.endswith(".csv") else "neither a file nor a game of the gallery"
    with pytest.raises(BadInput, match=rule) as error:
        load_game(name)
    assert "\n" not in str(error.value)


def test_a_file_comes_before_the_gallery_and_a_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rps").mkdir()
    assert load_game("rps").n == 3
    Path("dice").write_text("0.5,0.7\n0.3,0.5")
    assert load_game("dice").n == 2
    with pytest.raises(BadInput, match="cannot be read"):
        load_game(str(tmp_path))


def test_file_options_are_refused_for_gallery_games() -> None:
    with pytest.raises(BadInput, match="kind = 'wins' applies to files"):
        load_game("rps", kind="wins")
    with pytest.raises(BadInput, match="fill = 'half' applies to files"):
        load_game("rps", fill="half")


def test_a_reference_file_replaces_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "mu.txt"
    path.write_text("Upmix1,0.3\n" + "\n".join(f"{x},0.1" for x in get("soundquality").labels if x != "Upmix1"))
    game = load_game("soundquality", reference=str(path))
    assert game.reference[game.labels.index("Upmix1")] == pytest.approx(0.3, abs=1e-15)


# -- random families -------------------------------------------------------------------------------------------------


@given(family=st.sampled_from(FAMILIES), n=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_random_games_are_preferences_and_repeat(family: str, n: int, seed: int) -> None:
    game = random_game(family, n, np.random.default_rng(seed))
    assert game.n == n
    assert np.max(np.abs(game.margins)) <= 0.5
    assert np.array_equal(game.margins, -game.margins.T)
    assert np.ptp(game.log_reference) == 0
    assert np.array_equal(game.margins, random_game(family, n, np.random.default_rng(seed)).margins)


def upper(family: str, n: int = 7) -> np.ndarray:
    return np.abs(random_game(family, n, np.random.default_rng(1)).margins[np.triu_indices(n, 1)])


def test_families_are_what_they_are_called() -> None:
    assert np.all(upper("tournament") == 0.5)
    assert np.all(upper("near-ties") == 1e-9)
    assert np.all(upper("cyclic") >= 0.3 - 1e-12)
    bt = random_game("bradley-terry", 6, np.random.default_rng(0)).preferences
    odds = np.log(bt / (1 - bt))
    assert odds[0, 1] + odds[1, 2] == pytest.approx(odds[0, 2], abs=1e-12)  # log-odds are differences of rewards
    logits = np.log(p := random_game("low-rank", 9, np.random.default_rng(0)).preferences) - np.log(1 - p)
    assert np.linalg.matrix_rank(logits, tol=1e-9) == 4


def test_voters_on_a_line_elect_the_median_and_mallows_its_centre() -> None:
    for seed in range(20):
        a = random_game("single-peaked", 7, np.random.default_rng(seed)).margins
        assert np.any(np.sum(a > 0, axis=1) == 6), "an odd number of single-peaked voters has a Condorcet winner"
    a = np.mean([random_game("mallows", 5, np.random.default_rng(s)).margins for s in range(20)], axis=0)
    assert np.all(a[np.triu_indices(5, 1)] > 0), "the centre of Mallows' model is the identity"
    # neighbours at the end of the list: p(k ≻ k+1) of repeated insertion is 1/(1 + φ) for the last two at n = 2
    pair = np.mean([random_game("mallows", 2, np.random.default_rng(s)).preferences[0, 1] for s in range(200)])
    assert pair == pytest.approx(1 / 1.8, abs=0.015)  # 4 standard errors of 20,200 votes


def test_an_unknown_family_or_size_is_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'mallows'"):
        random_game("malows", 3, np.random.default_rng(0))
    with pytest.raises(BadInput, match="n = 0, must be at least 1"):
        random_game("uniform", 0, np.random.default_rng(0))

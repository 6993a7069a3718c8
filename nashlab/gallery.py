"""The gallery: named games with their source and, if known, their solution; random families; human data.

Every game has exact margins and a uniform reference unless its description says otherwise.  A known solution is derived
by hand or taken from the source; it serves to test solvers and is never their input:

    lottery x:               x ≥ 0, Σx = 1, Ax ≤ 0; the KL-projection of μ if there are several     E6, E5
    regularised (τ, π, ε):   π ∝ μ exp(Aπ/τ) within ε in ℓ₁                                           E1
"""

from __future__ import annotations

import functools
import os.path
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from nashlab.families import FAMILIES, random_game
from nashlab.game import BadInput, PreferenceGame, suggestion
from nashlab.votes import Options, Reading, Votes, parse_votes, read_reference, read_votes

__all__ = [
    "FAMILIES",
    "GALLERY",
    "PAPER_TABLE_1",
    "PAPER_TABLE_2",
    "Entry",
    "circulant_tournament",
    "compose",
    "get",
    "load_game",
    "load_votes",
    "random_game",
    "rater_population",
]

PAPER = "Calandriello et al. 2024, arXiv 2403.08635"
NLHF = "Munos et al. 2024, arXiv 2312.00886"
HALF = Fraction(1, 2)

Rows = Sequence[Sequence[int | Fraction]]

PAPER_TABLE_1: dict[str, tuple[bool, bool, bool]] = {
    "offline-ipo": (True, False, False),
    "nash-md-pg": (False, True, True),
    "online-ipo": (True, True, False),
    "ipo-md": (True, True, True),
}
"""Table 1 of the paper: method -> (contrastive, online, regularised sampling)."""

PAPER_TABLE_2: dict[str, tuple[str, ...]] = {
    "IPO": (".500", ".515", ".608", ".621", ".608", ".791"),
    "IPO-MD": (".485", ".500", ".600", ".608", ".594", ".778"),
    "DPO": (".392", ".400", ".500", ".520", ".493", ".727"),
    "Nash-MD-PG": (".379", ".392", ".480", ".500", ".479", ".729"),
    "SLiC": (".392", ".406", ".507", ".521", ".500", ".728"),
    "RL": (".209", ".222", ".273", ".271", ".272", ".500"),
}
"""Table 2 of the paper: how often the row's method was preferred to the column's (same order), means of 3 × 3 seeds."""


@dataclass(frozen=True)
class Entry:
    """A named game.

    name, description, source  its name, what it shows, where it comes from.
    build        constructs the game.
    lottery      its known maximal lottery (the projection of μ if there are several), or None.
    aliases      other names accepted by :func:`get`.
    regularised  known regularised equilibria: (τ, policy, tolerance in ℓ₁).
    table        its file of votes in ``nashlab/data``, if it consists of human judgments.
    """

    name: str
    description: str
    source: str
    build: Callable[[], PreferenceGame]
    lottery: tuple[Fraction, ...] | None = None
    aliases: tuple[str, ...] = ()
    regularised: tuple[tuple[float, tuple[float, ...], float], ...] = ()
    table: str | None = None


def get(name: str) -> PreferenceGame:
    """The gallery's game of that name or alias; an unknown name is refused (BadInput) with the nearest known one.

    >>> get("rps").n
    3
    """
    names = {alias: e.name for e in GALLERY.values() for alias in (e.name, *e.aliases)}
    if name in names:
        return _built(names[name])
    hint = suggestion(name, names)
    raise BadInput(f"game {name!r} is neither a file nor a game of the gallery{hint} (`nashlab gallery` lists them)")


@functools.cache
def _built(name: str) -> PreferenceGame:
    entry = GALLERY[name]
    return replace(entry.build(), name=entry.name, source=entry.source)


def load_game(name: str, *, reference: str | None = None, **given: Any) -> PreferenceGame:
    """The game of :func:`load_votes`.

    >>> load_game("rps", reference="uniform").name
    'rps'
    """
    return load_votes(name, reference=reference, **given).game


def load_votes(name: str, *, reference: str | None = None, **given: Any) -> Votes:
    """Votes by file name, gallery name or ``-`` (standard input); ``reference`` replaces theirs if given.

    A file takes precedence over a game of the gallery; ``reference`` is "uniform" or a file (see
    :func:`nashlab.votes.read_reference`); ``given`` are fields of :class:`nashlab.votes.Options`, which games of the
    gallery without counts refuse.  Errors: BadInput with the file or the nearest known name.

    >>> load_votes("soundquality").reading.votes
    Fraction(21924, 1)
    """
    known = {alias: e.name for e in GALLERY.values() for alias in (e.name, *e.aliases)}
    # os.path.lexists: unlike Path.exists it returns False for impossible file names, and True for links in a loop
    if name == "-" or os.path.isfile(name) or (os.path.lexists(name) and name not in known):
        votes = read_votes(name, **given)
    elif Path(name).suffix or os.path.dirname(name):
        raise BadInput(f"{name}: no such file{suggestion(Path(name).stem, known)}")
    else:
        votes = _gallery_votes(name, known, given)
    if reference is None:
        return votes
    game = votes.game.with_reference(read_reference(reference, votes.game.labels))
    return replace(votes, game=game)


def _gallery_votes(name: str, known: Mapping[str, str], given: Mapping[str, Any]) -> Votes:
    """A table of the gallery, read with the given options; a game without counts refuses them."""
    options = Options(**given)
    entry = GALLERY.get(known.get(name, ""))
    if entry is not None and entry.table is not None:
        votes = parse_votes(_data(entry.table), entry.table, ".csv", options)
        return replace(votes, game=replace(votes.game, name=entry.name, source=entry.source))
    game = get(name)
    plain = Options()
    for argument, value in vars(options).items():
        if value != getattr(plain, argument):
            raise BadInput(
                f"{argument} = {value!r} applies to files of votes; {name!r} is a game of the gallery without counts"
            )
    pairs = game.n * (game.n - 1) // 2
    return Votes(game, Reading(game.name, "game of the gallery", "margins", game.n, pairs))


# -- games ------------------------------------------------------------------------------------------------------------


def _margins(
    rows: Rows, labels: Sequence[str] | None = None, reference: Sequence[float] | None = None
) -> PreferenceGame:
    return PreferenceGame.from_margins([list(map(Fraction, row)) for row in rows], labels=labels, reference=reference)


def _cycle(first: Fraction, second: Fraction, third: Fraction) -> list[list[Fraction]]:
    """1 ≻ 2 ≻ 3 ≻ 1 with margins A₁₂, A₂₃, A₃₁: the equilibrium is ∝ (A₂₃, A₃₁, A₁₂)."""
    zero = Fraction(0)
    return [[zero, first, -third], [-first, zero, second], [third, -second, zero]]


ROCK_PAPER_SCISSORS = _cycle(HALF, HALF, HALF)


def compose(outer: Rows, inner: Rows) -> list[list[Fraction]]:
    """Each response of ``outer`` replaced by a copy of ``inner``; a product of equilibria is an equilibrium.

    >>> len(compose(ROCK_PAPER_SCISSORS, ROCK_PAPER_SCISSORS))
    9
    """
    m = len(inner)
    size = range(len(outer) * m)
    return [[Fraction(inner[i % m][j % m] if i // m == j // m else outer[i // m][j // m]) for j in size] for i in size]


def circulant_tournament(n: int) -> list[list[Fraction]]:
    """An odd number of responses, each beating the (n−1)/2 that follow it; the only equilibrium is uniform (N4).

    >>> circulant_tournament(3) == ROCK_PAPER_SCISSORS
    True
    """
    if n < 1 or n % 2 == 0:
        raise BadInput(f"n = {n}, must be odd and positive: each response beats as many as beat it")
    return [[Fraction(0) if i == j else HALF if (j - i) % n <= n // 2 else -HALF for j in range(n)] for i in range(n)]


def _duplicated(rows: Rows, copies: Sequence[int]) -> list[list[Fraction]]:
    """The game whose responses are copies of the given rows."""
    return [[Fraction(rows[i][j]) for j in copies] for i in copies]


def _above(margin: Fraction, first: Rows, second: Rows) -> list[list[Fraction]]:
    """Both games side by side, every response of the first ahead of every one of the second by ``margin``."""
    k, m = len(first), len(second)
    upper = [[*map(Fraction, row), *[margin] * m] for row in first]
    return upper + [[*[-margin] * k, *map(Fraction, row)] for row in second]


def rater_population(epsilon: Fraction | int) -> PreferenceGame:
    """Three types of raters whose joint preferences form a cycle (NLHF §3.2), with weights ⅓−ε/4, ⅓+ε/2, ⅓−ε/4.

    Convention: their rankings are 1≻2≻3, 2≻3≻1, 3≻1≻2, so p(1≻2) = ⅔−ε/2 and p(2≻3) = p(3≻1) = ⅔+ε/4.  The
    equilibrium is (⅓+ε/2, ⅓+ε/2, ⅓−ε), continuous in ε ∈ [−⅔, ⅓]; the best response by average reward jumps from 1
    to 2 at ε = 0.

    >>> rater_population(0).exact[0][1]
    Fraction(1, 6)
    """
    e = Fraction(epsilon)
    if not Fraction(-2, 3) <= e <= Fraction(1, 3):
        raise BadInput(f"epsilon = {e}, must be in [-2/3, 1/3]")
    sixth = Fraction(1, 6)
    return _margins(_cycle(sixth - e / 2, sixth + e / 4, sixth + e / 4))


def _bradley_terry(strengths: Sequence[int]) -> PreferenceGame:
    """p(i ≻ j) = sᵢ/(sᵢ + sⱼ), exactly."""
    return PreferenceGame.from_preferences([[Fraction(s, s + t) for t in strengths] for s in strengths])


def _data(table: str) -> bytes:
    return Path(__file__).with_name("data").joinpath(table).read_bytes()


def _table(table: str, fill: str | None = None) -> PreferenceGame:
    return parse_votes(_data(table), table, ".csv", Options(fill=fill)).game


def _paper_table_2() -> PreferenceGame:
    rows = [[Fraction(p) for p in row] for row in PAPER_TABLE_2.values()]
    return PreferenceGame.from_preferences(rows, labels=list(PAPER_TABLE_2))


def _uniform_at(n: int, *temperatures: float) -> tuple[tuple[float, tuple[float, ...], float], ...]:
    """Uniform at every τ: Aπ = 0 there, and μ is uniform (tolerance: rounding of n terms of size 1/τ)."""
    return tuple((tau, (1 / n,) * n, 1e-12) for tau in temperatures)


def _trap() -> list[list[Fraction]]:
    tiny = Fraction(1, 10**7)
    return [[*row, -tiny] for row in ROCK_PAPER_SCISSORS] + [[tiny, tiny, tiny, Fraction(0)]]


FOUR_CYCLE: Rows = [[0, HALF, 0, -HALF], [-HALF, 0, HALF, 0], [0, -HALF, 0, HALF], [HALF, 0, -HALF, 0]]
TINY = Fraction(2, 10**12)


def _fractions(*values: int | str | Fraction) -> tuple[Fraction, ...]:
    return tuple(Fraction(value) for value in values)


_THIRDS = _fractions("1/3", "1/3", "1/3")
PSYCHOTOOLS = "R package psychotools"

_ENTRIES = (
    Entry(
        "soundquality",
        "8 audio reproduction modes, 783 rounds of 28 comparisons by 40 listeners; no Condorcet winner",
        f"Choisel & Wickelmaier 2007; {PSYCHOTOOLS}",
        lambda: _table("soundquality.csv"),
        table="soundquality.csv",
    ),
    Entry(
        "firstnames",
        "6 boys' first names compared by 192 respondents",
        f"survey of the University of Tübingen, June 2009; {PSYCHOTOOLS}",
        lambda: _table("firstnames.csv"),
        table="firstnames.csv",
    ),
    Entry(
        "germanparties2009",
        "5 German parties and abstention, compared by 192 respondents before the election of 2009",
        f"survey of the University of Tübingen, June 2009; {PSYCHOTOOLS}",
        lambda: _table("germanparties2009.csv"),
        table="germanparties2009.csv",
    ),
    Entry(
        "schoolsubjects",
        "11 school subjects compared by 25 girls; no Condorcet winner",
        "Kendall & Babington Smith 1940; R package eba",
        lambda: _table("schoolsubjects.csv"),
        _fractions("1/19", "13/19", "5/19", *[0] * 8),
        table="schoolsubjects.csv",
    ),
    Entry(
        "pudding",
        "6 brands of chocolate pudding in 745 comparisons with ties; no Condorcet winner",
        "Davidson 1970; R package PlackettLuce",
        lambda: _table("pudding.csv"),
        _fractions(0, "270/413", 0, 0, "44/413", "99/413"),
        table="pudding.csv",
    ),
    Entry(
        "llmfao",
        "59 chat models, 8,931 votes of 124 crowd workers, 927 of 1,711 pairs met (read with --fill)",
        "Ustalov 2023, dustalov/llmfao, from llmonitor's benchmark; CC BY 4.0",
        lambda: _table("llmfao.csv", fill="bradley-terry"),
        table="llmfao.csv",
    ),
    Entry(
        "rps",
        "rock, paper, scissors with win probabilities 1",
        "folklore",
        lambda: _margins(ROCK_PAPER_SCISSORS),
        _THIRDS,
        ("rock-paper-scissors",),
        _uniform_at(3, 0.01, 1.0),
    ),
    Entry(
        "rps-weighted",
        "the same with the reference (.5, .3, .2)",
        "theory section 4, facts to reproduce",
        lambda: _margins(ROCK_PAPER_SCISSORS, reference=(0.5, 0.3, 0.2)),
        _THIRDS,
    ),
    Entry(
        "dice",
        "three dice {2,4,9}, {1,6,8}, {3,5,7}: a cycle of win probabilities 5/9",
        "non-transitive dice, after Gardner 1970",
        lambda: _margins(_cycle(*_fractions("1/18", "1/18", "1/18"))),
        _THIRDS,
        ("three-dice",),
        _uniform_at(3, 0.1),
    ),
    Entry(
        "figure-6",
        "a cycle with p(1≻2) = .9, p(2≻3) = .8, p(3≻1) = .7: trajectories on the simplex at τ = .1",
        f"after Figure 6 of {PAPER}; the numbers are ours",
        lambda: _margins(_cycle(*_fractions("2/5", "3/10", "1/5"))),
        _fractions("1/3", "2/9", "4/9"),
    ),
    Entry(
        "raters",
        "three equally frequent types of raters in a cycle (ε = 0)",
        f"after section 3.2 of {NLHF}",
        lambda: rater_population(0),
        _THIRDS,
    ),
    Entry(
        "raters-tilted",
        "the same with ε = 1/6: the equilibrium moves continuously, the best reward jumps",
        f"after section 3.2 of {NLHF}",
        lambda: rater_population(Fraction(1, 6)),
        _fractions("5/12", "5/12", "1/6"),
    ),
    Entry(
        "restricted-elo",
        "Bradley-Terry with rewards (0, log 9, log 2): on π₁ = 2π₂ reward and preference disagree",
        f"appendix A of {NLHF}",
        lambda: _bradley_terry((1, 9, 2)),
        _fractions(0, 1, 0),
    ),
    Entry(
        "two-responses",
        "p = .7",
        f"after section 4 of {PAPER}",
        lambda: _margins([[0, Fraction(1, 5)], [Fraction(-1, 5), 0]]),
        _fractions(1, 0),
        # π₁ = σ(.2/τ), to the four decimals of the theory
        regularised=((1.0, (0.5498, 0.4502), 2e-4), (0.1, (0.8808, 0.1192), 2e-4)),
    ),
    Entry(
        "lengths",
        "three sequences of lengths 1, 2, 2: averaging log-probabilities over tokens misses the equilibrium (L2.iv)",
        "theory L2",
        lambda: _margins(
            _cycle(*_fractions("3/10", "2/5", "-1/10")), labels=("E", "aE", "aa"), reference=(0.5, 0.25, 0.25)
        ),
        _fractions(1, 0, 0),
        # three decimals of the theory: half a unit in each is 1.5e-3 in ℓ₁, and the bound is about twice the distance
        regularised=((0.5, (0.601, 0.208, 0.192), 4e-3),),
    ),
    Entry(
        "paper-table-2",
        "published win rates between trained methods: online IPO beats all",
        f"Table 2 of {PAPER}",
        _paper_table_2,
        _fractions(1, 0, 0, 0, 0, 0),
    ),
    Entry(
        "gap-trap",
        "rock, paper, scissors and a row that beats all by 1e-7: a small gap, the wrong policy (E6b)",
        "theory E6b",
        lambda: _margins(_trap()),
        _fractions(0, 0, 0, 1),
    ),
    Entry(
        "weighted-cycle",
        "a cycle of margins 3, 2, 1: at scale 1e-6 or 1e15 several solvers err",
        "theory E6b; scales by the test suite",
        lambda: _margins(_cycle(*_fractions(3, 2, 1))),
        _fractions("1/3", "1/6", "1/2"),
    ),
    Entry(
        "tiny-rps",
        "rock, paper, scissors with margins 1e-7",
        "theory E6b",
        lambda: _margins(_cycle(*[Fraction(1, 10**7)] * 3)),
        _THIRDS,
        ("near-ties-rps",),
    ),
    Entry(
        "tiny-margin",
        "a cycle closed by a margin of 2e-12",
        "theory E6b",
        lambda: _margins(_cycle(Fraction(1, 2), Fraction(1, 2), TINY / 2)),
        (1 / (2 + TINY), TINY / (2 + TINY), 1 / (2 + TINY)),
    ),
    Entry(
        "duplicates",
        "rock, paper, scissors with rock four times: a face of dimension 3, uniform's projection splits the share",
        "theory E6, clone consistency",
        lambda: _margins(_duplicated(ROCK_PAPER_SCISSORS, (0, 0, 0, 0, 1, 2))),
        _fractions("1/12", "1/12", "1/12", "1/12", "1/3", "1/3"),
        ("duplicate-rps",),
    ),
    Entry(
        "rps-and-loser",
        "rock, paper, scissors and a pair whose first beats its second: two components, one of them a point",
        "theory E6",
        lambda: _margins(_above(Fraction(0), ROCK_PAPER_SCISSORS, [[0, HALF], [-HALF, 0]])),
        _fractions("1/4", "1/4", "1/4", "1/4", 0),
    ),
    Entry(
        "four-cycle",
        "1≻2≻3≻4≻1 with ties 1~3, 2~4: the equilibria are (a, b, a, b), none of odd support",
        "theory E6",
        lambda: _margins(FOUR_CYCLE),
        _fractions("1/4", "1/4", "1/4", "1/4"),
    ),
    Entry(
        "weak-dominance",
        "1 weakly dominates 2 (A₁₂ = 0, A₁₃ = .5, A₂₃ = .1): every mix of the two is an equilibrium",
        "theory E6",
        lambda: _margins([[0, 0, HALF], [0, 0, Fraction(1, 10)], [-HALF, Fraction(-1, 10), 0]]),
        _fractions("1/2", "1/2", 0),
    ),
    Entry(
        "all-ties",
        "six responses, every comparison even: every policy is an equilibrium",
        "degenerate on purpose",
        lambda: _margins([[0] * 6] * 6),
        _fractions(*["1/6"] * 6),
    ),
    Entry(
        "condorcet",
        "a Condorcet winner by 7 to 3 above a cycle of certain wins: it gets all the mass, however narrow its wins",
        "Condorcet 1785",
        lambda: _margins(_above(Fraction(1, 5), [[0]], ROCK_PAPER_SCISSORS)),
        _fractions(1, 0, 0, 0),
    ),
    Entry(
        "top-cycle",
        "two cycles, each of the first beats each of the second by 7 to 3: the first is the support",
        "after Smith 1973",
        lambda: _margins(_above(Fraction(1, 5), ROCK_PAPER_SCISSORS, ROCK_PAPER_SCISSORS)),
        _fractions("1/3", "1/3", "1/3", 0, 0, 0),
    ),
    Entry(
        "nested-rps",
        "rock, paper, scissors of rock, paper, scissors of rock, paper, scissors: 27 responses",
        "composition consistency, Laslier 1997",
        lambda: _margins(compose(ROCK_PAPER_SCISSORS, compose(ROCK_PAPER_SCISSORS, ROCK_PAPER_SCISSORS))),
        _fractions(*["1/27"] * 27),
        ("nested-rps-27",),
        _uniform_at(27, 0.1),
    ),
    Entry(
        "circulant-41",
        "41 responses, each beats the 20 that follow it: near the largest frequency 1/π (N4)",
        "theory N4",
        lambda: _margins(circulant_tournament(41)),
        _fractions(*["1/41"] * 41),
        regularised=_uniform_at(41, 0.1),
    ),
)

GALLERY: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}

"""Claims of social choice about alignment: Smith sets (S1), Condorcet winners (S2), clones (S3), distortion (S4, S5).

A profile is a list of rankings, best first; its margins are how many more voters prefer i to j than j to i.  RLHF
without a KL term plays the winner of the Bradley-Terry fit; with even sampling that is the Borda winner, for both order
the responses by Σ_j p_ij.  NLHF without one plays a maximal lottery.  Smith sets, Borda scores, P and utilities are
written out here.

Sources: Fishburn 1984; Laffond, Laslier & Le Breton 1997; arXiv 2505.20627 for S1 and S2; Brandl, Brandt & Seedig 2016
for S3; Gölz, Haghtalab & Yang, arXiv 2505.23749 for S4 and S5: (½ + o(1))β and (1 − o(1))β.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from nashlab.claims import Cases, Observation, claim
from nashlab.equilibrium import maximal_lottery
from nashlab.gallery import GALLERY, get
from nashlab.game import PreferenceGame
from nashlab.reward import bradley_terry_reward
from nashlab.verify import oracle
from nashlab.verify.oracle import Array

Profile = Sequence[Sequence[int]]
Rows = list[list[Fraction]]

EXACT = "rational arithmetic throughout"
PARADOX = ((0, 1, 2),) * 3 + ((1, 2, 0),) * 2  # response 0 beats both others, and response 1 has the best Borda score
CYCLE = ((0, 1, 2), (1, 2, 0), (2, 0, 1))


def _rows(profile: Profile) -> Rows:
    """The margins of a profile."""
    n = len(profile[0])
    place = [{y: k for k, y in enumerate(ranking)} for ranking in profile]
    return [[Fraction(sum((at[j] > at[i]) - (at[j] < at[i]) for at in place)) for j in range(n)] for i in range(n)]


def _profiles(cases: Cases, salt: str, share: float = 0.25) -> Iterator[list[list[int]]]:
    """Random profiles of an odd number of voters, so that no two responses tie and the lottery is unique."""
    rng = cases.rng(salt)
    for _ in range(max(10, int(cases.samples * share))):
        n, voters = int(rng.integers(3, 7)), 2 * int(rng.integers(1, 8)) + 1
        yield [rng.permutation(n).tolist() for _ in range(voters)]


def _tables(cases: Cases, salt: str) -> Iterator[tuple[str, Rows]]:
    """(name, margins) of every table of human judgments, of the paradox, and of random profiles."""
    for name, entry in GALLERY.items():
        exact = get(name).exact if entry.table is not None else None
        if exact is not None:
            yield name, [list(row) for row in exact]
    yield "paradox", _rows(PARADOX)
    for profile in _profiles(cases, salt):
        yield f"profile {profile}", _rows(profile)


def _smith(rows: Rows) -> set[int]:
    """The responses from which chains of majorities and ties lead to every other."""
    n = len(rows)
    reach = [[rows[i][j] >= 0 for j in range(n)] for i in range(n)]
    for k, i, j in itertools.product(range(n), repeat=3):
        reach[i][j] = reach[i][j] or (reach[i][k] and reach[k][j])
    return {i for i in range(n) if all(reach[i])}


def _lotteries(rows: Rows) -> list[list[Fraction]]:
    """Every vertex of the set of maximal lotteries, as the library finds them."""
    answer = maximal_lottery(PreferenceGame.from_margins(rows))
    found = answer.face.vertices if answer.face else (answer.policy_exact,)
    assert None not in found
    return [list(map(Fraction, vertex)) for vertex in found if vertex is not None]


def _best(rows: Rows) -> set[int]:
    """The responses of the largest Borda score Σ_j A_ij."""
    scores = [sum(row) for row in rows]
    return {i for i, score in enumerate(scores) if score == max(scores)}


def _rlhf(profile: Profile) -> int:
    """The winner of the library's Bradley-Terry fit."""
    margins = [[x / (2 * len(profile)) for x in row] for row in _rows(profile)]
    return int(np.argmax(bradley_terry_reward(PreferenceGame.from_margins(margins))))


@claim(
    "S1",
    "every maximal lottery stays inside the Smith set, which the Bradley-Terry winner can leave, with 5 voters first",
    tolerance=0.0,
    because=EXACT + "; the Smith set by chains of majorities, the smallest profile by enumeration",
    twin="a lottery with 1e-6 of its mass moved out of the Smith set",
)
def s1(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, rows in _tables(cases, "S1"):
        inside = _smith(rows)
        outside = [y for y in range(len(rows)) if y not in inside]
        worst = Fraction(0)
        for lottery in _lotteries(rows):
            if twin and outside:
                most = lottery.index(max(lottery))
                lottery[most] -= Fraction(1, 10**6)
                lottery[outside[0]] += Fraction(1, 10**6)
            worst = max(worst, sum((lottery[y] for y in outside), Fraction(0)))
        yield Observation(float(worst), lambda name=name, s=inside: {"table": name, "Smith set": sorted(s)})
    smallest = next(p for p in _small_profiles() if not _best(_rows(p)) & _smith(_rows(p)))
    inside, winner = _smith(_rows(smallest)), _rlhf(smallest)
    left = len(smallest) == 5 and winner in _best(_rows(smallest)) and winner not in inside
    found = {"profile": [list(r) for r in smallest], "winner": winner, "Smith set": sorted(inside)}
    yield Observation(0.0 if left else 1.0, lambda: found, witness=True)


def _small_profiles() -> Iterator[Profile]:
    """All profiles of three responses by number of voters, up to their order."""
    for voters in itertools.count(1):
        yield from itertools.combinations_with_replacement(tuple(itertools.permutations(range(3))), voters)


@claim(
    "S2",
    "a response that beats every other gets probability 1 in the only maximal lottery",
    tolerance=0.0,
    because=EXACT,
    twin="probability 1 for the Borda winner, whom RLHF plays",
)
def s2(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, rows in _tables(cases, "S2"):
        n = len(rows)
        champion = next((i for i in range(n) if all(rows[i][j] > 0 for j in range(n) if j != i)), None)
        if champion is None:
            continue
        lotteries = _lotteries(rows)
        if twin:
            lotteries = [[Fraction(int(y == min(_best(rows)))) for y in range(n)]]
        off = max(1 - lottery[champion] for lottery in lotteries) + len(lotteries) - 1
        yield Observation(float(off), lambda name=name, c=champion: {"table": name, "Condorcet winner": c})


@claim(
    "S3",
    "a response split into clones, next to each other in every ranking, changes nothing for the others in the maximal "
    "lottery, and the clones share by their own; with 5 voters a clone can make the Bradley-Terry winner lose",
    tolerance=0.0,
    because=EXACT + "; odd numbers of voters, for which the lottery is unique (Laffond, Laslier & Le Breton 1997)",
    twin="clones of which one loses a thousandth of a vote more to one opponent",
)
def s3(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("S3.clones")
    for profile in itertools.chain([CYCLE], _profiles(cases, "S3")):
        n, count = len(profile[0]), int(rng.integers(2, 4))
        orders = [[n + k for k in rng.permutation(count).tolist()] for _ in profile]
        split = int(rng.integers(n))
        cloned = [
            [z for y in ranking for z in (own if y == split else [y])]
            for ranking, own in zip(profile, orders, strict=True)
        ]
        names = [y for y in range(n + count) if y != split]
        whole = _rows([[names.index(y) for y in ranking] for ranking in cloned])
        (before,) = _lotteries(_rows(profile))
        (among,) = _lotteries(_rows([[y - n for y in own] for own in orders]))
        if twin:
            clone, opponent = names.index(n + among.index(max(among))), 0
            whole[clone][opponent] -= Fraction(1, 1000)
            whole[opponent][clone] += Fraction(1, 1000)
        (after,) = _lotteries(whole)
        expected = [before[y] if y < n else before[split] * among[y - n] for y in names]
        off = max(abs(a - b) for a, b in zip(after, expected, strict=True))
        yield Observation(float(off), lambda p=profile, c=split, o=orders: {"profile": p, "split": c, "clones": o})
    yield _flipped_by_a_clone()


def _flipped_by_a_clone() -> Observation:
    """The fewest voters for whom response 0 beats 1, and a clone 2 beside 1 makes 1 or 2 the Bradley-Terry winner."""
    smallest = next(
        p
        for p in _small_profiles()
        if all(ranking[1] != 0 for ranking in p) and _rows(p)[0][1] > 0 and 0 not in _best(_rows(p))
    )
    pair = [[y for y in ranking if y != 2] for ranking in smallest]
    flipped = len(smallest) == 5 and _rlhf(pair) == 0 and _rlhf(smallest) != 0
    return Observation(0.0 if flipped else 1.0, lambda: {"profile": [list(r) for r in smallest]}, witness=True)


# -- distortion --------------------------------------------------------------------------------------------------------


def _preferences(utilities: Array, weights: Array, beta: float) -> Array:
    """P = E over users of σ(β(u(y) − u(y'))), from utilities [users, n] in [0, 1]."""
    x = beta * (utilities[:, :, None] - utilities[:, None, :])
    return np.asarray(np.einsum("u,uij->ij", weights, 0.5 + 0.5 * np.tanh(x / 2)))


def _bound(beta: float) -> float:
    """(β/2) coth(β/2)."""
    return float(beta / 2 / np.tanh(beta / 2))


def _hard(beta: float) -> tuple[Array, Array]:
    """Two responses on which the bound is attained as βδ → 0: few users gain 1 by the first, many δ by the second."""
    small = 1e-3 / beta
    loud, quiet = np.tanh(beta / 2), np.tanh(beta * small / 2) * (1 - 1e-6)
    share = quiet / (loud + quiet)
    return np.array([[1.0, 0.0], [0.0, small]]), np.array([share, 1 - share])


@claim(
    "S4",
    "NLHF's distortion is (β/2) coth(β/2) = (½ + o(1))β: the best mean utility is at most that times the lottery's, "
    "and no smaller factor will do",
    tolerance=1e-9,
    because="a lottery certified to 1e-12 and P to rounding; attained up to (βδ)²/12 and a margin of 1e-6",
    twin="a factor that is one per cent smaller",
)
def s4(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("S4")
    for k in range(max(20, cases.samples // 2)):
        beta = float(10 ** rng.uniform(-1, 2))
        users, n = int(rng.integers(1, 7)), int(rng.integers(2, 7))
        utilities = rng.uniform(size=(users, n)) ** float(rng.choice([0.2, 1.0, 8.0]))
        weights = rng.dirichlet(np.ones(users))
        if attained := k % 4 == 0:
            utilities, weights = _hard(beta)
        game = PreferenceGame.from_preferences(_preferences(utilities, weights, beta))
        welfare = weights @ utilities
        reached = float(welfare @ maximal_lottery(game, exact=False).policy)
        factor = _bound(beta) * (0.99 if twin else 1.0)
        off = max(0.0, float(welfare.max()) - factor * reached)
        if attained:
            off = max(off, 1 - 2e-6 - float(welfare.max()) / reached / _bound(beta))
        about: dict[str, Any] = {"beta": beta, "utilities": utilities.tolist(), "weights": weights.tolist()}
        yield Observation(off, lambda about=about: about)


def _misled(beta: float, sampling: Array) -> tuple[Array, Array]:
    """Responses y*, y', w, w': users who like y* like w or w' a little more, so that sampled pairs hide it; the others
    find δ in y' alone.  As many users of the first kind as leave y' the Bradley-Terry winner."""
    less, small = 1 - np.log(beta) / beta, 1e-2 / beta
    utilities = np.array([[less, 0.0, 1.0, 0.0], [less, 0.0, 0.0, 1.0], [0.0, small, 0.0, 0.0]])
    first, others = (_preferences(utilities, np.array(w), beta) @ sampling for w in ((0.5, 0.5, 0.0), (0.0, 0.0, 1.0)))
    lead, lag = others[1] - others, first - first[1]
    share = min(lead[y] / (lead[y] + lag[y]) for y in (0, 2, 3)) * (1 - 1e-3)
    return utilities, np.array([share / 2, share / 2, 1 - share])


@claim(
    "S5",
    "on four responses RLHF's distortion without a KL term is at least β − log β − 2 for 8 ≤ β ≤ 100, above NLHF's",
    tolerance=0.0,
    because="a strict inequality: sampling y* and y' (1e-4) and users left out (1e-3) cost less than its room",
    twin="β − log β − 1, which these responses do not reach",
)
def s5(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("S5")
    sampling = np.array([1e-4, 1e-4, 0.4999, 0.4999])
    for beta in (8.0, 12.0, 100.0, *10 ** rng.uniform(np.log10(8), 2, max(6, cases.samples // 10))):
        utilities, weights = _misled(beta, sampling)
        p = _preferences(utilities, weights, beta)
        reward = bradley_terry_reward(PreferenceGame.from_preferences(p), sampling)
        fitted = oracle.logistic_fit(p, sampling)
        welfare = weights @ utilities
        distortion = float(welfare.max() / welfare[int(np.argmax(reward))])
        least = max(_bound(beta), beta - np.log(beta) - (1 if twin else 2))
        off = max(0.0, least - distortion, float(np.argmax(fitted) != np.argmax(reward)))
        about = {"beta": beta, "distortion": distortion, "NLHF's at most": _bound(beta), "weights": weights.tolist()}
        yield Observation(off, lambda about=about: about, witness=True)

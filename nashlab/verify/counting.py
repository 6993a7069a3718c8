"""Claims about equilibria from counts and from drawn feedback, by enumeration of outcomes (N20, N21, N24, N27)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import claim_test, lottery_ranges, maximal_lottery, regularised_nash
from nashlab.game import PreferenceGame
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array

PAIRS = ((0, 1), (0, 2), (1, 2))


def _tables(wins: Array, counts: tuple[int, ...]) -> Iterator[tuple[float, Array]]:
    """Every table of wins of two or three responses with its probability; counts are the comparisons of each pair."""
    n = len(wins)
    pairs = PAIRS[: len(counts)]
    chances = [oracle.binomial(m, wins[pair]) for pair, m in zip(pairs, counts, strict=True)]
    for drawn in itertools.product(*(range(m + 1) for m in counts)):
        table, chance = np.full((n, n), 0.5), 1.0
        for (i, j), k, m, each in zip(pairs, drawn, counts, chances, strict=True):
            table[i, j], table[j, i] = k / m, 1 - k / m
            chance *= float(each[k])
        yield chance, table


def _small(case: Case, rng: np.random.Generator) -> tuple[Case, tuple[int, ...]]:
    """The case's first two or three responses, with one to three comparisons per pair; τ at least .1."""
    n = int(rng.integers(2, 4))
    game = PreferenceGame.from_margins(case.game.margins[:n, :n], reference=random_policy(n, rng))
    counts = tuple(int(m) for m in rng.integers(1, 4, size=n * (n - 1) // 2))
    return Case(game, max(case.temperature, 0.1), np.log(random_policy(n, rng))), counts


def _solve_all(tables: list[Array], reference: Array, tau: float) -> Array:
    margins = np.array(tables) - 0.5
    games = PreferenceGame.from_margins(margins, reference=np.broadcast_to(reference, margins.shape[:2]))
    return np.asarray(regularised_nash(games, tau).log_policy)


@claim(
    "N20",
    "KL(q‖π̂) ≤ log E_q e^X, X = (P̂ − P)q/τ, and its mean is at most log Σ_y q_y exp(Σ_{j≠y} q_j²/(8τ²m_yj)); "
    "‖π̂ − q‖₁ ≤ M²/8 + √(f² + M⁴/64), f² = E_q X², M = max|X|, of which f ≤ (√V + √(2Λ log 1/α))/(2τ) with probability "
    "1 − α, and M ≤ max_y √(½ log(2n/α) Σ_j q_j²/m_yj)/τ; over every outcome of the comparisons",
    tolerance=1e-9,
    because="relative to the bound, which is 1e-3 or more; up to 64 equilibria known to 1e-12 in ℓ₁",
    twin="X a hundredth smaller",
)
def n20(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N20")
    less = 0.99 if twin else 1.0
    tie = Case(PreferenceGame.from_margins(np.zeros((2, 2))), 3.0, np.log([0.5, 0.5]))
    known = [(tie, (1,)), (tie, (3,))]  # two equal responses at a high temperature attain both
    for case, counts in itertools.chain(known, (_small(c, rng) for c in cases.random("N20", min_n=3, share=0.5))):
        game, tau, _ = case
        log_q = subject.solved(game, tau)
        q, wins = np.exp(log_q), game.margins + 0.5
        chances, tables = zip(*_tables(wins, counts), strict=True)
        found = _solve_all(list(tables), game.reference, tau)
        spent = np.array([oracle.kl(log_q, row) for row in found])
        each = np.array([oracle.log_sum(log_q + less * (table - wins) @ q / tau) for table in tables])
        rows = np.zeros(game.n)
        for (i, j), m in zip(PAIRS, counts, strict=False):
            rows[i] += q[j] ** 2 / m
            rows[j] += q[i] ** 2 / m
        mean = oracle.log_sum(log_q + less**2 * rows / (8 * tau**2))
        off = max(float(np.max((spent - each) / np.maximum(each, 1e-3))), float(np.array(chances) @ spent) / mean - 1.0)
        pulls = (np.array(tables) - wins) @ q / tau
        apart = np.array([oracle.l1(log_q, row) for row in found])
        off = max(off, _radius(pulls, q, apart), _tails(pulls, np.array(chances), q, counts, rows, tau))
        about = case.describe()
        yield Observation(max(0.0, off), lambda about=about, counts=counts: {**about, "comparisons": counts})


def _radius(pulls: Array, q: Array, apart: Array) -> float:
    """How far ‖π̂ − q‖₁ is above M²/8 + √(f² + M⁴/64), over all tables."""
    top = np.max(np.abs(pulls), axis=1)
    return float(np.max(apart - top**2 / 8 - np.sqrt(pulls**2 @ q + top**4 / 64)))


def _tails(pulls: Array, chances: Array, q: Array, counts: tuple[int, ...], rows: Array, tau: float) -> float:
    """How much more often than α, relatively, f and M are above their bounds."""
    shares = np.array([q[i] * q[j] / m for (i, j), m in zip(PAIRS, counts, strict=False)])
    sums = np.array([q[i] + q[j] for (i, j), _ in zip(PAIRS, counts, strict=False)])
    excess = [0.0]
    for level in (0.5, 0.1, 0.01):
        spread = (np.sqrt(shares @ sums) + np.sqrt(2 * shares.max() * np.log(1 / level))) / (2 * tau)
        top = np.sqrt(0.5 * np.log(2 * q.size / level) * np.max(rows)) / tau
        for seen, most in ((np.sqrt(pulls**2 @ q), spread), (np.max(np.abs(pulls), axis=1), top)):
            excess.append(float(chances[seen > most * (1 + 1e-12)].sum()) / level - 1)
    return max(excess)


@claim(
    "N20.test",
    "the exact test that π is the equilibrium rejects a true one with probability at most α, whatever α, n, m and τ",
    tolerance=1e-12,
    because="sums of binomial probabilities; p-values that differ only by rounding are merged",
    twin="comparison errors understated by a factor of 1.25",
)
def n20_test(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N20.test")
    tie = Case(PreferenceGame.from_margins(np.zeros((2, 2))), 1.0, np.log([0.5, 0.5]))
    drawn = (_small(c, rng) for c in itertools.islice(cases.random("N20.test", min_n=3), 12))
    for case, counts in itertools.chain([(tie, (1,)), (tie, (100,))], drawn):
        game, tau, _ = case
        q = np.exp(subject.solved(game, tau))
        wins = game.margins + 0.5
        judged = np.zeros((game.n, game.n))
        for (i, j), m in zip(PAIRS, counts, strict=False):
            judged[i, j] = judged[j, i] = m
        rejected: list[tuple[float, float]] = []
        for chance, table in _tables(wins, counts):
            seen = np.clip(wins + (1.25 if twin else 1.0) * (table - wins), 0.0, 1.0)
            counted = PreferenceGame.from_margins(seen - 0.5, reference=game.reference)
            rejected.append((claim_test(counted, tau, q, judged), chance))
        excess, total = 0.0, 0.0
        for p_value, chance in sorted(rejected):
            total += chance
            excess = max(excess, total - p_value * (1 + 1e-9))
        about = case.describe()
        yield Observation(max(0.0, excess), lambda about=about, counts=counts: {**about, "comparisons": counts})


@claim(
    "N20.unplayed",
    "pairs that were never compared, read as p̂ = ½, add at most √(E_q b²)/τ to f and max b/τ to M, b_y = ½ Σ q_j over "
    "the y's unplayed pairs, and with both (a) still bounds ‖π̂ − q‖₁",
    tolerance=1e-11,
    because="f, M and ‖π̂ − q‖₁ of equilibria known to 1e-12; sums of n terms",
    twin="b a thousandth smaller",
)
def n20_unplayed(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N20.unplayed")
    for case in cases.all("N20.unplayed"):
        game, tau, true = case.game, max(case.temperature, 0.01), case.game.margins
        unplayed = np.triu(rng.uniform(size=true.shape) < 0.5, 1)
        unplayed |= unplayed.T
        if rng.uniform() < 0.5:  # where nobody looked one side always wins, and elsewhere the counts are right
            true = counted = np.where(unplayed, np.triu(np.ones_like(true), 1) - 0.5, true)
        else:
            upper = np.triu(rng.binomial(10, true + 0.5) / 10 - 0.5, 1)
            counted = upper - upper.T
        truth, table = (
            PreferenceGame.from_margins(margins, reference=game.reference)
            for margins in (true, np.where(unplayed, 0.0, counted))
        )
        q, found = (np.exp(subject.solved(each, tau)) for each in (truth, table))
        pull = (table.margins - true) @ q / tau
        played = np.where(unplayed, 0.0, counted - true) @ q / tau
        missed = (0.999 if twin else 1.0) * 0.5 * (unplayed @ q) / tau
        f = float(np.sqrt(played**2 @ q) + np.sqrt(missed**2 @ q))
        top = float(np.max(np.abs(played)) + np.max(missed))
        off = [float(np.sqrt(pull**2 @ q)) - f, float(np.max(np.abs(pull))) - top]
        off = [each / max(top, 1e-3) for each in off]
        off.append(float(np.abs(found - q).sum()) - top**2 / 8 - np.sqrt(f**2 + top**4 / 64))
        yield Observation(max(0.0, *off), case.describe)


@claim(
    "N21",
    "V = Σ q_iq_j(q_i+q_j)/m_ij is least at m_ij ∝ √(q_iq_j(q_i+q_j)); self-play's pairs give (n−1)/(2M); "
    "for even n no estimator has a risk below ½ tanh(√(n/(64M+8n))/2τ)",
    tolerance=1e-11,
    because="relative; sums of n² terms, and the least risk of two responses from every outcome of M comparisons",
    twin="the power .55 of q_iq_j(q_i+q_j) in place of its root",
)
def n21(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N21")
    for case in cases.all("N21"):
        q = np.exp(subject.solved(case.game, case.temperature))
        i, j = np.triu_indices(case.game.n, 1)
        cost, total = q[i] * q[j] * (q[i] + q[j]), 1000.0

        def spread(weight: Array, cost: Array = cost, total: float = total) -> float:
            return float(np.sum(cost / (total * weight / weight.sum())))

        asked = cost ** (0.55 if twin else 0.5)
        best = float(np.sum(np.sqrt(cost))) ** 2 / total
        errors = [abs(spread(asked) / best - 1.0)]
        errors += [1.0 - spread(asked * rng.uniform(0.5, 2.0, size=cost.size)) / best for _ in range(3)]
        # q_iq_j/Σ: the frequency with which self-play draws the pair
        errors.append(abs(spread(q[i] * q[j]) / ((case.game.n - 1) * float(np.sum(q[i] * q[j])) / total) - 1.0))
        yield Observation(max(0.0, *errors), case.describe)
    for asked_of, tau in itertools.product((1, 4, 25, 100), (0.1, 1.0)):
        least = 0.5 * np.tanh(np.sqrt(2 / (64 * asked_of + 16)) / (2 * tau))
        below = max(0.0, least / _least_risk(asked_of, tau) - 1.0)
        yield Observation(below, lambda m=asked_of, tau=tau: {"responses": 2, "comparisons": m, "temperature": tau})


def _least_risk(count: int, tau: float) -> float:
    """The least mean ‖π̂ − q‖₁ of any estimator on Assouad's two games of two responses, after ``count`` comparisons.

    The best estimator answers one of two mirror images, and is wrong with probability ½ Σ min of the two likelihoods.
    """
    delta = np.sqrt(2 / (64 * count + 16))
    ends = [oracle.binomial(count, 0.5 + s * delta) for s in (1, -1)]
    distance = 2 * np.tanh(delta / (2 * tau))
    return float(distance * 0.5 * np.sum(np.minimum(*ends)))


@claim(
    "N24",
    "on drawn opponents E KL₊ ≤ (1−ητ)(KL − KL(m,π)) + η²/8 for Nash-MD, with η²(1/24 + 1/(12k)) for the mean of k, "
    "with .1358 nη² for one comparison, ηn ≤ 2; (1−ητ)KL − ητKL(π,q) + η²/2 for OMD, osc(τh) ≤ 1, as in a run from μ",
    tolerance=1e-10,
    because="every outcome is enumerated: sums of 2ⁿn terms with q known to 1e-12",
    twin="a fifth less than η²/8, and than the mean's",
)
def n24(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N24")
    less = 0.8 if twin else 1.0
    even = Case(PreferenceGame.from_margins(np.zeros((9, 9))), 0.3, np.full(9, -np.log(9)))  # nearly attains Nash-MD's
    for case in itertools.chain([even], _on_the_way(cases.random("N24", max_n=4, share=0.5), rng)):
        game, tau, log_pi = case
        step = float(10.0 ** rng.uniform(-2, 0)) * min(1.0, 1.0 / tau)
        log_q = subject.solved(game, tau)
        log_m = oracle.mixture(log_pi, game.log_reference, step * tau)
        before = oracle.kl(log_q, log_pi)
        kept = (1 - step * tau) * (before - oracle.kl(log_m, log_pi))
        nash_md = max(
            _after(game, log_q, log_m, log_m, step, k) - kept - less * (1 / 24 + 1 / (12 * k)) * step**2
            for k in ((1, 2, 3) if game.n <= 4 else (1,))
        )
        played = (1 - step * tau) * before - step * tau * oracle.kl(log_pi, log_q)
        omd = _after(game, log_q, log_m, log_pi, step) - played - step**2 / 2
        one = min(step, 2.0 / game.n)
        log_m = oracle.mixture(log_pi, game.log_reference, one * tau)
        kept = (1 - one * tau) * (before - oracle.kl(log_m, log_pi))
        single = _after_one(game, log_q, log_m, one) - kept - 0.5431 / 4 * game.n * one**2
        about = case.describe()
        yield Observation(max(0.0, nash_md, omd, single), lambda about=about, step=step: {**about, "step": step})


def _on_the_way(cases: Iterator[Case], rng: np.random.Generator) -> Iterator[Case]:
    """The cases with policies that satisfy 0 ≤ τh ≤ 1, as in every step of a run from μ."""
    for case in cases:
        moved = case.game.log_reference + rng.uniform(size=case.game.n) / case.temperature
        yield case._replace(log_policy=np.asarray(oracle.log_softmax(moved)))


def _after(game: PreferenceGame, log_q: Array, log_m: Array, log_opponent: Array, step: float, count: int = 1) -> float:
    """E KL(q, π₊), π₊ ∝ m e^{ηo}: draw an opponent, then a win or a loss of every response against it; o is the mean of
    ``count`` such outcomes."""
    wins, n = game.margins + 0.5, game.n
    outcomes = np.array(list(itertools.product((0.0, 1.0), repeat=n)))
    drift = oracle.kl(log_q, log_m) - step * float(np.exp(log_q) @ wins @ np.exp(log_opponent))
    columns = [np.prod(np.where(outcomes == 1.0, column, 1.0 - column), axis=1) for column in wins.T]
    once = np.exp(log_opponent) @ columns
    totals, chances = outcomes, once
    for _ in range(count - 1):
        totals, chances = (totals[:, None] + outcomes).reshape(-1, n), np.outer(chances, once).ravel()
    return drift + float(chances @ np.log(np.exp(step / count * totals) @ np.exp(log_m)))


def _after_one(game: PreferenceGame, log_q: Array, log_m: Array, step: float) -> float:
    """E KL(q, π₊), π₊ ∝ m e^{ηĝ}: ĝ = n(o − ½)e_Y for a uniform Y and one opponent from m."""
    n, wins = game.n, (game.margins + 0.5) @ np.exp(log_m)
    drift = oracle.kl(log_q, log_m) - step * float(np.exp(log_q) @ (wins - 0.5))
    up, down = (np.log1p(np.exp(log_m) * np.expm1(s * step * n / 2)) for s in (1.0, -1.0))
    return drift + float(np.mean(wins * up + (1 - wins) * down))


@claim(
    "N27",
    "every maximal lottery of a P in the box L ≤ P ≤ U solves Lπ ≤ ½: the ranges hold it, and shrink with the box",
    tolerance=1e-6,
    because="ranges are linear programmes in floats, good to 1e-8; the last box is 1e-9 wide around a unique lottery",
    twin="a box shifted by a hundredth",
)
def n27(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N27")
    for case in cases.random("N27", max_n=6, share=0.15):
        game = case.game
        wins = game.margins + 0.5
        solution = maximal_lottery(game)
        lottery = np.exp(solution.log_policy)
        known = solution.unique and _steep(game, lottery)
        width = 10.0 ** rng.uniform(-2, 0) * rng.uniform(size=wins.shape)
        for spread in (width, np.full_like(width, 1e-9)):
            around = np.triu(spread, 1)
            shift = 0.01 * np.triu(np.ones_like(wins), 1) if twin else 0.0  # shifts the whole box
            low = wins - around - around.T + shift - np.transpose(shift)
            np.fill_diagonal(low, 0.5)
            ranges = lottery_ranges(low, 1.0 - low.T)
            outside = max(float(np.max(ranges[:, 0] - lottery)), float(np.max(lottery - ranges[:, 1])))
            wide = float(np.max(np.ptp(ranges, axis=1))) if known and spread is not width else 0.0
            yield Observation(max(0.0, outside, wide), case.describe)


def _steep(game: PreferenceGame, lottery: Array) -> bool:
    """Is the lottery determined so well that a change of 1e-9 moves it by less than 1e-7?"""
    held = lottery > 0
    inner = game.margins[np.ix_(held, held)]
    bordered = np.block([[inner, np.ones((held.sum(), 1))], [np.ones((1, held.sum())), np.zeros((1, 1))]])
    slack = -(game.margins @ lottery)[~held]
    return bool(np.linalg.svd(bordered)[1][-1] > 0.02 and (slack.size == 0 or slack.min() > 0.02))

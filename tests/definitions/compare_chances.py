"""Counted comparisons, independent draws, hinges and moving policies: what the transcriptions are held against."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import binom

from definitions.in_gradients import log_softmax, slic_loss
from definitions.samples import Comparison, Pair, Sample
from definitions.transcribed import Matrix, Transcription, vector
from nashlab.algorithms import get
from nashlab.arrays import blend, centred, logsumexp
from nashlab.arrays import log_softmax as stable_log_softmax
from nashlab.certificate import residual as nashlab_residual
from nashlab.equilibrium import claim_test, regularised_nash
from nashlab.game import PreferenceGame

Mean = Callable[[Callable[[Any], float]], float]


def weighted(outcomes: Sequence[Any], chances: Sequence[float]) -> Mean:
    return lambda F: math.fsum(p * F(o) for o, p in zip(outcomes, chances, strict=True))


def means(f: Transcription, s: Sample) -> list[Pair]:
    inside = range(s.n)
    less, wrong = [0.9 * p for p in s.pi], [s.pi[0] + 2, *s.pi[1:-1], s.pi[-1] - 2]
    square = lambda F: weighted(inside, s.pi)(F) ** 2  # noqa: E731
    return [
        (f(inside, weighted(inside, s.pi)), True),
        *((f(inside, weighted(inside, p)), False) for p in (less, wrong)),
        (f(inside, square), False),
    ]


def wave(o: Sequence[int]) -> float:
    return math.sin(o[0] + 2 * o[1] + 5 * o[2])


def mean_wave(s: Sample, *laws: Sequence[float]) -> float:
    """Over all outcomes of three draws."""
    table = [[[wave((i, j, k)) for k in range(s.n)] for j in range(s.n)] for i in range(s.n)]
    return float(np.einsum("ijk,i,j,k->", np.array(table), *laws))


def draws(f: Transcription, s: Sample) -> list[Pair]:
    laws = [s.pi, s.nu, s.mu]
    return [(f(0, lambda c, G: weighted(range(s.n), laws[c])(G), 3, wave), mean_wave(s, *laws))]


def tosses(f: Transcription, s: Sample) -> list[Pair]:
    weights = np.array(s.vector)
    return [
        (f(s.n, lambda r: math.exp(sum(w * x for w, x in zip(weights, r, strict=True)))), np.prod(np.cosh(weights)))
    ]


def tops(f: Transcription, s: Sample) -> list[Pair]:
    """Just above and just below numpy's largest eigenvalue, and a matrix that is not symmetric."""
    square = s.game.preferences @ s.game.preferences.T
    top = float(np.linalg.eigvalsh(square)[-1])
    turned = square + np.triu(np.ones((s.n, s.n)), 1)
    return [
        (f(s.n, x.tolist(), u * top), yes)
        for x, u, yes in ((square, 1.01, True), (square, 0.99, False), (turned, 9.0, False))
    ]


def judged(s: Sample) -> tuple[np.ndarray, np.ndarray, PreferenceGame]:
    """Counts of 1 to 4 for every pair, 1/m, and a game read from drawn comparisons."""
    rng = np.random.default_rng([s.seed, 20])
    counts = np.triu(rng.integers(1, 5, (s.n, s.n)), 1)
    won = np.triu(rng.binomial(counts, s.game.preferences), 1)
    counts, won = counts + counts.T, won + np.tril((counts - won).T, -1)
    rates = np.where(counts > 0, won / np.maximum(counts, 1), 0.5)
    precision = np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0)
    return counts, precision, PreferenceGame.from_preferences(rates, reference=s.game.reference)


def of_the_test(s: Sample) -> tuple[float, float, float, float]:
    """V, tr B², the largest eigenvalue of B and 4F² for π, read off nashlab's test: B from pulls of e_i − e_j."""
    _, precision, table = judged(s)
    far = s.tau * nashlab_residual(table.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau)
    far = centred(far, s.log_pi)
    b = np.zeros((s.n, s.n))
    for i, j in itertools.combinations(range(s.n), 2):
        u = np.sqrt(s.pi[i] * s.pi[j]) * (np.sqrt(s.pi[j]) * np.eye(s.n)[i] - np.sqrt(s.pi[i]) * np.eye(s.n)[j])
        b += precision[i, j] * np.outer(u, u)
    return np.trace(b), np.sum(b * b), np.linalg.eigvalsh(b)[-1], 4 * np.exp(s.log_pi) @ far**2


def spreads(f: Transcription, s: Sample) -> list[Pair]:
    _, precision, _ = judged(s)
    return [(f(s.n, s.pi, precision.tolist()), of_the_test(s)[0])]


def spread_matrices(f: Transcription, s: Sample) -> list[Pair]:
    """tr B, tr B², the top and, by them, nashlab's p-value e^−t: V + 2√(Tt) + 2Λt = 4F²."""
    counts, precision, table = judged(s)
    b = np.array([[f(s.n, s.pi, precision.tolist(), i, j) for j in range(s.n)] for i in range(s.n)])
    trace, square, top, far = of_the_test(s)
    found = [np.trace(b), np.sum(b * b), np.linalg.eigvalsh(b)[-1]]
    seen: list[Pair] = [(found, np.array([trace, square, top]))]
    p_value = claim_test(table, s.tau, s.pi, counts)
    if 1e-100 < p_value < 1:
        t = -math.log(p_value)
        level = found[0] + 2 * math.sqrt(found[1] * t) + 2 * found[2] * t
        seen.append((level, far))
    return seen


def binomial(wins: np.ndarray, counts: np.ndarray) -> tuple[range, list[float], list[Matrix]]:
    """Every table of wins of at most three responses, with its probability."""
    pairs = list(itertools.combinations(range(len(wins)), 2))
    chances, tables = [], []
    for drawn in itertools.product(*(range(int(counts[i, j]) + 1) for i, j in pairs)):
        table, chance = np.full(wins.shape, 0.5), 1.0
        for (i, j), k in zip(pairs, drawn, strict=True):
            table[i, j], table[j, i] = k / counts[i, j], 1 - k / counts[i, j]
            chance *= float(binom.pmf(k, counts[i, j], wins[i, j]))
        chances.append(chance)
        tables.append(table.tolist())
    return range(len(tables)), chances, tables


def counted_tables(f: Transcription, s: Sample) -> list[Pair]:
    n = min(s.n, 3)
    wins = 0.5 + 0.2 * (s.game.preferences[:n, :n] - 0.5)  # near ties, where Hoeffding's lemma is nearly attained
    counts = np.minimum(judged(s)[0][:n, :n], 2)
    precision = np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0)
    inside, chances, tables = binomial(wins, counts)
    mean = weighted(inside, chances)
    table = lambda o: tables[o]  # noqa: E731
    lopsided = precision + np.triu(np.ones((n, n)), 1)
    return [
        (f(inside, mean, n, wins.tolist(), precision.tolist(), table), True),
        (f(inside, mean, n, wins.tolist(), (0.8 * precision).tolist(), table), False),
        (f(inside, mean, n, wins.tolist(), lopsided.tolist(), table), False),
        (f(inside, mean, n, (1 - wins).tolist(), precision.tolist(), table), bool(np.allclose(wins, 0.5))),
    ]


def pulls(f: Transcription, s: Sample) -> list[Pair]:
    """From the residual of nashlab at q for the counted game."""
    table = judged(s)[2]
    still = -centred(nashlab_residual(table.advantage(s.log_q), s.log_mu, s.log_q, s.tau), s.log_q)
    found = {
        "pull": lambda: (vector(s.n, lambda y: f(s.n, s.tau, s.P, table.preferences.tolist(), s.q, y)), still),
        "pull2": lambda: (f(s.n, s.tau, s.P, table.preferences.tolist(), s.q), np.exp(s.log_q) @ still**2),
        "pull_max": lambda: (f(s.n, s.tau, s.P, table.preferences.tolist(), s.q), np.max(np.abs(still))),
    }
    return [found[f.__name__]()]


def row_spreads(f: Transcription, s: Sample) -> list[Pair]:
    precision = judged(s)[1]
    return [(vector(s.n, lambda y: f(s.n, s.pi, precision.tolist(), y)), precision @ np.exp(s.log_pi) ** 2)]


def asked(s: Sample) -> tuple[list[int], list[int], list[float], np.ndarray]:
    """Twenty comparisons, the pair (1, 0) never: of which pair, and won by the first or tied; the wins as a table."""
    rng = np.random.default_rng([s.seed, 21])
    first = rng.integers(1, s.n, 20)
    second = np.array([rng.integers(0, k) for k in first])
    kept = (first != 1) | (second != 0)
    first, second = first[kept], second[kept]
    won = rng.choice([0.0, 0.5, 1.0], len(first))
    wins = np.zeros((s.n, s.n))
    np.add.at(wins, (first, second), won)
    np.add.at(wins, (second, first), 1 - won)
    return first.tolist(), second.tolist(), won.tolist(), wins


def comparisons(f: Transcription, s: Sample) -> list[Pair]:
    """Against nashlab's reading of the wins; a pair without any reads ½ there."""
    first, second, won, wins = asked(s)
    met = wins + wins.T
    half = np.full((s.n, s.n), 0.5).tolist()
    lower = [(i, j) for i in range(s.n) for j in range(i)]
    head = (len(first), first, second)
    if f.__name__ == "count":
        return [([f(*head, i, j) for i, j in lower], np.array([met[i, j] for i, j in lower]))]
    if f.__name__ == "precision":
        known = np.array([met[i, j] for i, j in lower])
        return [([f(*head, i, j) * k for (i, j), k in zip(lower, known, strict=True)], (known > 0).astype(float))]
    rates = PreferenceGame.from_wins(wins, fill=0.5).preferences
    if f.__name__ == "average":
        return [([f(*head, half, won, i, j) for i, j in lower], np.array([rates[i, j] for i, j in lower]))]
    return [([[f(*head, half, won, i, j) for j in range(s.n)] for i in range(s.n)], rates)]


def flatness(f: Transcription, s: Sample) -> list[Pair]:
    """Two responses: N13's place, h₁ − h₂ = 1/τ, and two others."""
    tau, P = max(s.tau, 0.3), [[0.5, 0.8], [0.2, 0.5]]
    even = [0.5, 0.5]
    loss = lambda l: slic_loss(2, tau, P, even, even, l)  # noqa: E731
    places = ((1 / tau, True), (0.5 / tau, False), (1.5 / tau, False))
    return [(f(2, loss, log_softmax(2, [d, 0.0])), flat) for d, flat in places]


def moving(f: Transcription, s: Sample) -> list[Pair]:
    """nashlab's OMD from policies that move: (1 − ητ)v + ηADv, and no other velocity."""
    velocity = np.array(s.vector)
    omd = get("omd")

    def stepped(log_policy: np.ndarray) -> np.ndarray:
        return np.exp(omd.step(omd.start(log_policy), s.setting._replace(time=0.0), s.environment)["log_policy"])

    def along(t: float) -> list[float]:
        return stepped(stable_log_softmax(s.log_pi + t * velocity)).tolist()

    pull = s.game.margins @ (np.exp(s.log_pi) * centred(velocity, s.log_pi))
    right = (1 - s.eta * s.tau) * velocity + s.eta * pull
    return [
        (f(s.n, along, along(0.0), (right + 3).tolist()), True),
        (f(s.n, along, along(0.0), (right + 0.1 * np.eye(s.n)[0]).tolist()), False),
        (f(s.n, along, s.nu, right.tolist()), False),
    ]


def optimistic_steps(f: Transcription, s: Sample) -> list[Pair]:
    run = s.steps("omwu", 2, s.log_pi)
    return [(f(s.n, s.eta, s.tau, s.P, s.mu, run[1].tolist(), run[0].tolist()), run[2])]


def kernel(s: Sample) -> tuple[Callable[[int, int], float], np.ndarray]:
    table = np.array(s.P) ** 2 + (np.array(s.P) ** 2).T + np.add.outer(s.vector, s.vector)
    return (lambda y, z: float(table[y, z])), table


def pair_components(f: Transcription, s: Sample) -> list[Pair]:
    value, table = kernel(s)
    nu = np.exp(s.log_nu)
    mean = nu @ table @ nu
    theirs = {
        "pair_mean": mean,
        "zeta1": nu @ (table @ nu - mean) ** 2,
        "zeta2": nu @ (table - mean) ** 2 @ nu,
    }
    return [(f(s.n, s.nu, value), theirs[f.__name__])]


def estimates_of_pairs(f: Transcription, s: Sample) -> list[Pair]:
    value, table = kernel(s)
    drawn = np.random.default_rng([s.seed, 22]).integers(0, s.n, 5)
    chosen = table[np.ix_(drawn, drawn)]
    return [(f(value, 5, drawn.tolist()), np.mean(chosen[np.triu_indices(5, 1)]))]


def strategy(s: Sample) -> Callable[[tuple[bool, ...]], tuple[int, int]]:
    """A pair for every history, the last answer first."""
    return lambda h: (sum(h) % s.n, (len(h) + 3 * sum(k * x for k, x in enumerate(h))) % s.n)


def trees(f: Transcription, s: Sample) -> list[Pair]:
    """Over all sixteen ways that four answers can go, each by the product of its probabilities."""
    ask = strategy(s)
    cost = lambda pair: math.sin(pair[0] + 2 * pair[1])  # noqa: E731
    value = lambda h: math.sin(sum((k + 1) * x for k, x in enumerate(h)))  # noqa: E731
    mean, paid = 0.0, 0.0
    for path in itertools.product([False, True], repeat=4):
        chance, bill, history = 1.0, 0.0, ()
        for won in path:
            i, j = ask(history)
            chance *= s.game.preferences[i, j] if won else 1 - s.game.preferences[i, j]
            bill, history = bill + cost((i, j)), (won, *history)
        mean, paid = mean + chance * value(history), paid + chance * bill
    if f.__name__ == "answers":
        return [(f(ask, s.P, 4, (), value), mean)]
    return [(f(ask, s.P, cost, 4, ()), paid)]


def histories(f: Transcription, s: Sample) -> list[Pair]:
    """Over all ways that three draws can go; whose law comes next depends on those before."""
    laws = lambda h: (s.pi, s.nu, s.mu)[(len(h) + 2 * sum(h)) % 3]  # noqa: E731
    value = lambda h: math.sin(sum((k + 1) * x for k, x in enumerate(h)))  # noqa: E731
    mean = 0.0
    for i, j, k in itertools.product(range(s.n), repeat=3):
        mean += laws(())[i] * laws((i,))[j] * laws((j, i))[k] * value((k, j, i))
    return [(f(lambda h, G: weighted(range(s.n), laws(h))(G), 3, (), value), mean)]


def signs(s: Sample) -> list[float]:
    return np.where(np.random.default_rng([s.seed, 23]).random(s.n) < 0.5, -1.0, 1.0).tolist()


def signed(f: Transcription, s: Sample) -> list[Pair]:
    """The games of N21's lower bound and, from nashlab, their equilibria; 2n responses of n signs."""
    r, d, n = signs(s), 0.3, 2 * s.n
    spelled = np.kron(r, [1.0, -1.0])
    margins = d * (spelled[:, None] - spelled[None, :]) / 2
    if f.__name__ == "sign_of":
        return [(vector(n, lambda y: f(r, y)), spelled)]
    if f.__name__ == "signed_game":
        return [([[f(d, r, y, z) for z in range(n)] for y in range(n)], 0.5 + margins)]
    q = np.exp(regularised_nash(PreferenceGame.from_margins(margins), s.tau).log_policy)
    return [(vector(n, lambda y: f(n, d / (2 * s.tau), r, y)), q)]


def krylov(f: Transcription, s: Sample) -> list[Pair]:
    k = np.array(s.game.margins)
    m = np.eye(s.n) - k
    made = np.array(s.vector) + sum(a * np.linalg.matrix_power(m, j + 1) @ s.vector for j, a in enumerate(s.pi))
    if f.__name__ == "minus_turn":
        return [(vector(s.n, lambda y: f(s.n, k.tolist(), s.vector, y)), m @ np.array(s.vector))]
    return [(vector(s.n, lambda y: f(s.n, k.tolist(), s.pi, s.n, s.vector, y)), made)]


CHANCES: dict[str, Comparison] = {
    "Chance.is_mean": means,
    "Chance.above": lambda f, s: [
        ([f(x, 0.0) for x in s.vector], (np.array(s.vector) < 0).astype(float)), (f(1, 1), 0.0)
    ],
    "Chance.upd": lambda f, s: [(f(s.vector, 1, 7.0), np.where(np.arange(s.n) == 1, 7.0, s.vector))],
    "Chance.product": draws,
    "Chance.coin": lambda f, s: [(f(0, lambda x, v=v: math.exp(x * v)), np.cosh(v)) for v in s.vector],
    "Chance.sides": lambda f, s: [([float(f(0, x)) for x in (1, -1, 0, 0.5)], np.array([1.0, 1.0, 0.0, 0.0]))],
    "Chance.coins": tosses,
    "Chance.quad": lambda f, s: [(f(s.n, s.P, s.vector), np.array(s.vector) @ s.game.preferences @ np.array(s.vector))],
    "Chance.trace": lambda f, s: [(f(s.n, s.P), np.trace(s.game.preferences))],
    "Chance.trace2": lambda f, s: [(f(s.n, s.P), np.linalg.norm(s.game.preferences) ** 2)],
    "Chance.at_most": tops,
    "Chance.drawn": lambda f, s: [
        (
            [[f(s.n - 1, s.P, c, d) for d in range(s.n - 1)] for c in range(s.n - 1)],
            s.game.preferences[:-1, :-1] + np.outer(s.game.preferences[:-1, -1], s.game.preferences[:-1, -1]),
        )
    ],
    "Chance.spread_out": lambda f, s: [
        ([[f(3, s.tau, s.P, c, d) for d in range(3 * s.n)] for c in range(3 * s.n)],
         s.tau / 3 * np.kron(s.game.preferences, np.ones((3, 3))))
    ],
    "Counts.pairs": lambda f, s: [(f(s.n, lambda i, j: s.P[i][j]), np.tril(s.game.preferences, -1).sum())],
    "Counts.off": lambda f, s: [([[f(i, j) for j in range(s.n)] for i in range(s.n)], 1 - np.eye(s.n))],
    "Counts.counted": counted_tables,
    "Counts.pull": pulls,
    "Counts.pull2": pulls,
    "Counts.pull_max": pulls,
    "Counts.spread": spreads,
    "Counts.spread_matrix": spread_matrices,
    "Counts.row_spread": row_spreads,
    "Comparisons.count": comparisons,
    "Comparisons.precision": comparisons,
    "Comparisons.average": comparisons,
    "Comparisons.table": comparisons,
    "Comparisons.both_ways": lambda f, s: [
        ([[f(lambda a, b: s.P[a][b], i, j) for j in range(s.n)] for i in range(s.n)],
         np.tril(s.game.preferences) + np.tril(s.game.preferences, -1).T)
    ],
    "LowerBound.answers": trees,
    "LowerBound.spent": trees,
    "LowerBound.asks_in": lambda f, s: [(f(strategy(s), s.n), True), (f(strategy(s), 1), False)],
    "LowerBound.divergence_cost": lambda f, s: [
        (f(s.P, (np.array(s.P) / 2 + 0.25).tolist(), (0, 1)),
         (s.P[0][1] / 2 - 0.25) ** 2 / (1 / 4 - (s.P[0][1] / 2 - 0.25) ** 2))
    ],
    "LowerBound.flip": lambda f, s: [(f(1, s.vector), np.where(np.arange(s.n) == 1, -1, 1) * np.array(s.vector))],
    "LowerBound.sign_of": signed,
    "LowerBound.signed_game": signed,
    "LowerBound.signed_policy": signed,
    "LowerBound.share": lambda f, s: [(f(0, s.pi, s.mu), np.abs(np.exp(s.log_pi) - np.exp(s.log_mu))[:2].sum())],
    "Runs.runs": histories,
    "Runs.possible": lambda f, s: [(f(s.n.__gt__, (0, s.n - 1)), True), (f(s.n.__gt__, (0, s.n)), False)],
    "Products.path": lambda f, s: [
        ([[f(s.tau, i, j) for j in range(s.n)] for i in range(s.n)],
         s.tau * (np.eye(s.n, k=1) - np.eye(s.n, k=-1)))
    ],
    "Products.minus_turn": krylov,
    "Products.combined": krylov,
    "Tokens.token_normaliser": lambda f, s: [
        (f(s.n, s.beta, s.pi, s.mu), -float(logsumexp(blend(s.log_pi, s.log_mu, s.beta))[0]))
    ],
    "Hinges.lifted": lambda f, s: [
        (vector(s.n, lambda y: f(s.theta, [True] + [False] * (s.n - 1), s.tau, y)),
         np.array(s.theta) + s.tau * np.eye(s.n)[0])
    ],
    "Hinges.flat": flatness,
    "Hinges.at_or_below": lambda f, s: [
        (vector(s.n, lambda k: f(s.n, s.vector, k)), 1.0 + np.argsort(np.argsort(s.vector)))
    ],
    "Linearised.moves": moving,
    "Linearised.omwu_step": optimistic_steps,
    "Pairs.completions": lambda f, s: [(f(s.n, s.nu, 3, wave), mean_wave(s, s.nu, s.nu, s.nu))],
    "Pairs.all_pairs": estimates_of_pairs,
    "Pairs.pair_mean": pair_components,
    "Pairs.zeta1": pair_components,
    "Pairs.zeta2": pair_components,
    "Pairs.fresh_pair": lambda f, s: [
        (f(s.n, s.nu, lambda p: s.P[p[0]][p[1]] ** 2), np.exp(s.log_nu) @ s.game.preferences**2 @ np.exp(s.log_nu))
    ],
}  # fmt: skip

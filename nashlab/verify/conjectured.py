"""Conjectures about equilibria from counts, checked by enumeration of outcomes, not proved: N20 (f) and (g)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np

from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import log_errors, regularised_nash
from nashlab.game import PreferenceGame
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array

FEWER = ((0.74, 0.5, 0.3, 22, 0.86), (0.75, 1 / (1 + np.exp(2.06275)), 0.12838178, 54, 0.8912))
"""Games with fewer judgments that N20 (f) does not hold for: p, μ₁, τ, judgments, and the coverage at most."""
SEEN = 3e-4
"""How often N20 (g) misses at α = .05: 2Φ(−1 − √(2 log 40)) = 2.0e-4 in a tie with many judgments at a high τ, 2.6e-4
with 74 of them, and less in all other games that were tried."""
RARE = 1e-9  # tables of a smaller probability are left out: all of them have less than 1e-6


def _outcomes(case: Case, count: int) -> tuple[Array, Array, Array]:
    """The tables that ``count`` comparisons of each pair can give, as margins, [K, n, n]; their probabilities, [K], and
    log equilibria, [K, n]."""
    game = case.game
    pairs = list(itertools.combinations(range(game.n), 2))
    each = [oracle.binomial(count, game.margins[i, j] + 0.5) for i, j in pairs]
    joint = functools.reduce(np.multiply.outer, each)
    drawn = np.argwhere(joint > RARE)
    margins = np.zeros((len(drawn), game.n, game.n))
    for k, (i, j) in enumerate(pairs):
        margins[:, i, j] = drawn[:, k] / count - 0.5
        margins[:, j, i] = -margins[:, i, j]
    references = np.broadcast_to(game.reference, margins.shape[:2])
    tables = PreferenceGame.from_margins(margins, reference=references)
    return margins, joint[joint > RARE], regularised_nash(tables, case.temperature).log_policy


def _game(n: int, near: float, rng: np.random.Generator) -> PreferenceGame:
    """Win rates within ``near`` of a tie, and any reference."""
    upper = np.triu(rng.uniform(-near, near, (n, n)), 1)
    return PreferenceGame.from_margins(upper - upper.T, reference=random_policy(n, rng))


def _errors(margins: Array, log_q: Array, tau: float, count: int) -> Array:
    """N20 (f): the standard errors of log π̂ to first order, [K, n]; from d log q = (I − AD/τ)⁻¹ dA q/τ + const."""
    q, n = np.exp(log_q), log_q.shape[-1]
    solved = np.linalg.inv(np.eye(n) - margins * q[:, None, :] / tau)
    ones = solved.sum(axis=2)
    # the constant keeps Σ q d log q = 0
    solved -= ones[:, :, None] * (np.einsum("ki,kij->kj", q, solved) / np.sum(q * ones, axis=1)[:, None])[:, None, :]
    p = margins + 0.5
    p = np.where((p <= 0) | (p >= 1), (count * p + 0.5) / (count + 1), p)
    total = np.zeros_like(q)
    for i, j in itertools.combinations(range(n), 2):
        pull = solved[:, :, i] * q[:, j, None] - solved[:, :, j] * q[:, i, None]
        total += pull**2 * (p[:, i, j] * (1 - p[:, i, j]) / count)[:, None]
    return np.sqrt(total) / tau


def _coverage(case: Case, count: int, share: float) -> tuple[Array, float]:
    """How often log q is within 1.96 ``share`` standard errors, each response; and the largest error at q itself."""
    log_q = subject.solved(case.game, case.temperature)
    margins, chances, found = _outcomes(case, count)
    errors = _errors(margins, found, case.temperature, count)
    at_q = _errors(case.game.margins[None], log_q[None], case.temperature, count)
    return chances @ (np.abs(found - log_q) <= 1.96 * share * errors), float(np.max(at_q))


@claim(
    "N20.f",
    "conjectured for two responses: by the delta method log π̂ ± 1.96 standard errors covers log q with a probability "
    "of .90 to .97 where p is in [¼, ¾], the pair has 80 judgments or more and the errors are at most ¼ (and in a game "
    "of three with 30 a pair); not with fewer: .891 with 54, .86 with 22",
    tolerance=1e-6,
    because="probabilities over all outcomes but those below 1e-9; equilibria known to 1e-12",
    twin="standard errors understated by a factor of 1.25",
)
def n20_f(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N20.f")
    share = 0.8 if twin else 1.0
    sizes = itertools.chain([3], itertools.repeat(2, max(20, cases.samples // 8)))
    for n in sizes:
        count = 30 if n == 3 else int(rng.integers(80, 200))
        case = Case(_game(n, 0.25, rng), float(10 ** rng.uniform(-1, 0.5)), np.zeros(n))
        covered, error = _coverage(case, count, share)
        if error > 0.25:
            continue
        off = max(0.0, 0.90 - float(covered.min()), float(covered.max()) - 0.97)
        about = {**case.describe(), "judgments of each pair": count, "coverage": covered.tolist()}
        yield Observation(off, lambda about=about: about)
    yield from _the_same_errors(rng)
    if not twin:
        for p, odds, tau, count, most in FEWER:
            game = PreferenceGame.from_preferences([[0.5, p], [1 - p, 0.5]], reference=[odds, 1 - odds])
            covered, error = _coverage(Case(game, tau, np.zeros(2)), count, 1.0)
            off = max(0.0, float(covered.min()) - most, error - 0.25)
            about = {"judgments": count, "coverage": covered.tolist()}
            yield Observation(off, lambda about=about: about, witness=True)


def _the_same_errors(rng: np.random.Generator) -> Iterator[Observation]:
    """What nashlab gives, by the inverse of another matrix."""
    case = Case(_game(4, 0.5, rng), 0.3, np.zeros(4))
    ours = _errors(case.game.margins[None], subject.solved(case.game, 0.3)[None], 0.3, 40)[0]
    yield Observation(float(np.max(np.abs(log_errors(case.game, 0.3, 40) / ours - 1))), case.describe)


@claim(
    "N20.g",
    "conjectured: (c)'s bounds of f and M at π̂ in the place of q, each at α/2, put into N18 (c), miss ‖π̂ − q‖₁ with a "
    "probability of at most α; at α = .05 and with equally many judgments of each pair, over every outcome in games of "
    "two and three, never seen above .0003",
    tolerance=1e-6,
    because="probabilities over all outcomes but those below 1e-9; equilibria known to 1e-12",
    twin="the term with Λ a fiftieth smaller",
)
def n20_g(cases: Cases, twin: bool) -> Iterator[Observation]:
    tie = Case(PreferenceGame.from_margins(np.zeros((2, 2))), 5.66, np.zeros(2))
    for case, count in itertools.chain([(tie, 50)], _judged(cases)):
        log_q = subject.solved(case.game, case.temperature)
        _, chances, found = _outcomes(case, count)
        apart = np.abs(np.exp(found) - np.exp(log_q)).sum(axis=1)
        radius = _plugged(np.exp(found), case.temperature, count, 0.05, 0.98 if twin else 1.0)
        missed = float(chances[apart > radius].sum())
        about = {**case.describe(), "judgments of each pair": count, "missed": missed}
        yield Observation(max(0.0, missed - SEEN), lambda about=about: about)


def _judged(cases: Cases) -> Iterator[tuple[Case, int]]:
    """Games of two and three responses with the number of judgments of each pair."""
    rng = cases.rng("N20.g")
    for k in range(max(30, cases.samples // 4)):
        n = 3 if k % 10 == 0 else 2
        count = int(rng.integers(1, 6)) if n == 3 else int(np.exp(rng.uniform(0, 6)))
        tau = float(np.exp(rng.uniform(-1, 3)) / np.sqrt(count))  # no bound says anything about a smaller one
        yield Case(_game(n, 0.5, rng), tau, np.zeros(n)), count


def _plugged(q: Array, tau: float, count: int, alpha: float, share: float) -> Array:
    """The radius from each q, [K, n] -> [K]: N20 (c) at α/2 each, then N18 (c) with E|X| ≤ f, from 2 downwards."""
    log, n = np.log(2 / alpha), q.shape[1]
    squares = np.sum(q**2, axis=1)
    v = (squares - np.sum(q**3, axis=1)) / count
    largest = np.max(np.where(np.eye(n, dtype=bool), 0.0, q[:, :, None] * q[:, None, :]), axis=(1, 2)) / count
    f = (np.sqrt(v) + share * np.sqrt(2 * largest * log)) / (2 * tau)
    rows = np.max(squares[:, None] - q**2, axis=1) / count
    top = np.sqrt(0.5 * (log + np.log(2 * n)) * rows) / tau
    x = np.full(len(q), 2.0)
    for _ in range(60):
        x = np.minimum(x, 0.5 * (f + x * top / 4 + np.sqrt(f**2 + x * top**2 / 4)))
    return x

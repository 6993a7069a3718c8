"""What is compared with what, a function for every kind of definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from definitions.in_games import total
from definitions.in_gradients import ipo_loss
from definitions.in_lotteries import bordered
from definitions.samples import Comparison, Pair, Sample, estimator_moments, pointwise
from definitions.transcribed import Matrix, Transcription, Vector, slope, vector
from nashlab.algorithm import Pairwise, Pointwise
from nashlab.algorithms import get
from nashlab.algorithms.nash_md import mixture as nash_md_mixture
from nashlab.arrays import centred, geometric_mixture, kl
from nashlab.arrays import log_softmax as stable_log_softmax
from nashlab.certificate import best_response, certify, check_lottery, enclose_lottery, exploitability
from nashlab.certificate import residual as nashlab_residual
from nashlab.check.losses import NAMED
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import get as gallery_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import dpo, gpo_exponential, ipo
from nashlab.rates import game_frequency

# -- comparisons -------------------------------------------------------------------------------------------------------


def broken(P: Matrix) -> Matrix:
    """P with one entry moved: P + Pᵀ is no longer 1."""
    return [[*P[0][:-1], P[0][-1] / 2 + 0.1], *P[1:]]


def accepted(build: Callable[..., Any], table: Any) -> bool:
    """Whether nashlab takes a table as a game."""
    try:
        build(table)
    except BadInput:
        return False
    return True


def preference_tables(f: Transcription, s: Sample) -> list[Pair]:
    wide = [[0.5 + 5 * (x - 0.5) for x in row] for row in s.P]
    tables = (s.P, broken(s.P), wide, uniform_table(s.n))
    if f.__name__.startswith("is_skew"):
        margins = [np.array(t) - 0.5 for t in tables]
        return [(f(s.n, m.tolist()), accepted(PreferenceGame.from_margins, m)) for m in margins]
    if f.__name__.startswith("is_pref"):
        return [(f(s.n, t), accepted(PreferenceGame.from_margins, np.array(t) - 0.5)) for t in tables]
    return [(f(s.n, t), accepted(PreferenceGame.from_preferences, t)) for t in tables]


def uniform_table(n: int) -> Matrix:
    return [[0.5] * n for _ in range(n)]


def distributions(f: Transcription, s: Sample) -> list[Pair]:
    corner = [1.0] + [0.0] * (s.n - 1)
    full = f.__name__ == "policy"
    bad = [[1.5, -0.5, *corner[2:]], [0.5 * x for x in s.pi]]
    return [(f(s.n, s.q), True), (f(s.n, corner), not full), *((f(s.n, p), False) for p in bad)]


def answers(f: Transcription, s: Sample) -> list[Pair]:
    """What the rational check says of each answer."""
    checks = {
        "accepted": lambda x: check_lottery(s.ties.exact, x).valid,
        "unbeaten": lambda x: check_lottery(s.ties.exact, x).valid,
        "strict": lambda x: check_lottery(s.ties.exact, x).strict,
        "loose": lambda x: np.count_nonzero(x) + np.count_nonzero(check_lottery(s.ties.exact, x).slacks),
    }
    said = checks[f.__name__.removeprefix("is_")]
    pairs = [(f(s.n, s.ties.exact, x), said(x)) for x in s.answers]
    if said in (checks["accepted"], checks["unbeaten"]):
        # beyond a vertex: of sum 1, perhaps unbeaten, but of a negative weight if the face goes on
        beyond = [2 * x - y for x, y in zip(s.lotteries[0], s.middle, strict=True)]
        pairs.append((f(s.n, s.ties.exact, beyond), said(beyond)))
    return pairs


def supports(f: Transcription, s: Sample) -> list[Pair]:
    held = [{y for y in range(s.n) if x[y] != 0} for x in s.answers]
    return [(f(s.n, s.answers[i], s.answers[j]), b <= a) for i, a in enumerate(held) for j, b in enumerate(held)]


def balances(f: Transcription, s: Sample) -> list[Pair]:
    slacks = [check_lottery(s.ties.exact, z).slacks for z in s.answers]
    zero = [[all(slack[y] == 0 for y in range(s.n) if x[y] != 0) for slack in slacks] for x in s.answers]
    assert all(all(row[: len(s.lotteries) + 1]) for row in zero[: len(s.lotteries) + 1]), "lotteries are balanced"
    return [(f(s.n, s.ties.exact, x, z), zero[i][j]) for i, x in enumerate(s.answers) for j, z in enumerate(s.answers)]


def vertices(f: Transcription, s: Sample) -> list[Pair]:
    # nashlab's vertices come from a double description; their mean is one only if it is alone
    good = [(f(s.n, s.ties.exact, v), True) for v in s.lotteries]
    return [*good, (f(s.n, s.ties.exact, s.middle), len(s.lotteries) == 1)]


def directions(f: Transcription, s: Sample) -> list[Pair]:
    moves = [[x - y for x, y in zip(v, s.middle, strict=True)] for v in s.lotteries]
    turned = [[*d[1:], d[0] + 1] for d in moves]
    return [(f(s.n, s.ties.exact, s.middle, d), d in moves) for d in [*moves, *s.lotteries, *turned]]


def bordered_systems(f: Transcription, s: Sample) -> list[Pair]:
    held = sorted(s.rng.permutation(s.n)[: 1 + s.n // 2].tolist())
    k, one = len(held), np.ones((len(held), 1))
    ours = [[f(k, s.ties.margins.tolist(), held, i, j) for j in range(k + 1)] for i in range(k + 1)]
    return [(ours, np.block([[s.ties.margins[np.ix_(held, held)], one], [one.T, np.zeros((1, 1))]]))]


def regular_systems(f: Transcription, s: Sample) -> list[Pair]:
    # the bordered system on the support is nonsingular exactly where the ball arithmetic proves one lottery
    n, games, pairs = s.n, [s.ties], []
    for game in [*games, s.game]:
        found = maximal_lottery(game)
        held = [y for y in range(n) if np.isfinite(found.log_policy[y])]
        square = [[bordered(len(held), game.margins.tolist(), held, i, j) for j in range(len(held) + 1)]
                  for i in range(len(held) + 1)]  # fmt: skip
        pairs.append((f(len(held) + 1, square), enclose_lottery(game, found.log_policy) is not None))
    flat = [[x * y for y in s.vector] for x in s.vector]
    return [*pairs, (f(n, flat), n == 1), (f(n, np.eye(n).tolist()), True)]


def weighted_means(f: Transcription, s: Sample) -> list[Pair]:
    # the logarithmic mean is the mean of a^(1-t) b^t over t in [0, 1]
    nodes, weights = np.polynomial.legendre.leggauss(40)
    t = (nodes + 1) / 2
    pairs = [*zip(s.pi, s.mu, strict=True), (0.3, 0.3)]
    return [(f(a, b), float(weights @ (a ** (1 - t) * b**t) / 2)) for a, b in pairs]


def spheres(f: Transcription, s: Sample) -> list[Pair]:
    # N18: both are SymKL(π, q), whatever the constant
    ell = (s.log_pi - s.log_q).tolist()
    r = (nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau) + 0.7).tolist()
    truth = kl(s.log_pi, s.log_q) + kl(s.log_q, s.log_pi)
    return [(f(s.n, s.pi, s.q, ell, ell), truth), (f(s.n, s.pi, s.q, ell, r), truth)]


def slopes(f: Transcription, s: Sample) -> list[Pair]:
    # N28: −2τ Cov_π(r, g) in nashlab's residual, for any g
    r = nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau)
    return [(f(s.n, s.tau, s.P, s.mu, s.pi, s.vector), -2 * s.tau * (np.array(s.pi) * centred(r, s.log_pi)) @ s.vector)]


def sharpened(f: Transcription, s: Sample) -> list[Pair]:
    # from π alone, and never below the distance to nashlab's equilibrium
    r = centred(nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau), s.log_pi)
    e, f2, M = np.exp(s.log_pi) @ np.abs(r), np.exp(s.log_pi) @ r**2, np.max(np.abs(r))
    distance, u = np.abs(np.exp(s.log_pi) - np.exp(s.log_q)).sum(), certify(s.game, s.log_pi, s.tau).l1_bound
    value = f(e, f2, M, u)
    root = 2 * value - e - u * M / 4
    return [(bool(value >= distance), True), (root**2 / max(1.0, f2, M**2), (f2 + u * M**2 / 4) / max(1.0, f2, M**2))]


def projections(f: Transcription, s: Sample) -> list[Pair]:
    # KL(z ‖ μ) = KL(x ‖ μ) + growth + KL(z ‖ x)
    log = [s.log_pi, s.log_nu, s.log_q]
    return [
        (f(s.n, s.mu, np.exp(x), np.exp(z)), kl(z, s.log_mu) - kl(x, s.log_mu) - kl(z, x)) for x in log for z in log
    ]


def readings(f: Transcription, s: Sample) -> list[Pair]:
    # weights and log-weights that are not normalised: two constants more
    w, theta = [3 * m for m in s.mu], [1.3 + x for x in s.lpi]
    ours = vector(s.n, lambda y: f(s.n, s.tau, s.game.margins.tolist(), w, theta, y) - 1.3 + math.log(3))
    return [(ours, nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau))]


def least_gaps(f: Transcription, s: Sample) -> list[Pair]:
    # N22's bound is attained by e^{(1/(2τ) + v) 1_S} where S always wins against the rest
    inside, v = np.arange(s.n) == 0, abs(s.vector[0])
    game = PreferenceGame.from_margins((inside[:, None] - inside.astype(float)) / 2, reference=s.mu)
    log_pi = stable_log_softmax(s.log_mu + (0.5 / s.tau + v) * inside)
    return [(f(float(np.exp(log_pi[0])), v), math.exp(float(exploitability(game, log_pi, s.tau)) / s.tau))]


def tilted_uniforms(f: Transcription, s: Sample) -> list[Pair]:
    from scipy.stats import truncexpon

    rates = (0.5 + abs(s.vector[0]), 5.0 + s.tau)
    densities = [(rate, truncexpon(b=rate, scale=1 / rate)) for rate in rates]
    return [(f(-float(density.entropy()), rate), 1.0 - float(density.mean())) for rate, density in densities]


def boxes(f: Transcription, s: Sample) -> list[Pair]:
    lower = np.minimum(s.game.preferences, 0.5) - 0.01
    inside = 0.5 + 0.9 * s.game.margins
    raised = lower + 0.5 * (np.arange(s.n) == 0)  # .99 on the diagonal, which no P has
    tables = [(lower, inside), (lower, np.array(broken(s.P))), (raised, inside)]
    return [
        (f(s.n, low, 1 - low.T, P), bool(np.allclose(P + P.T, 1) and np.all(low <= P) and np.all(P <= 1 - low.T)))
        for low, P in tables
    ]


def cycles(pairs: Comparison) -> Comparison:
    """A comparison for games of three only."""
    return lambda f, s: pairs(f, s) if s.n == 3 else []


def warm(pairs: Comparison) -> Comparison:
    """A comparison for τ ≥ 1 only: below, the construction of Existence.v comes near too slowly for a test."""
    return lambda f, s: pairs(f, s) if s.tau >= 1 else []


def eigenvectors(f: Transcription, s: Sample) -> list[Pair]:
    pi = np.array(s.pi)
    values, columns = np.linalg.eig(s.game.margins @ (np.diag(pi) - np.outer(pi, pi)))
    good = [(f(*s.cycle(), z, *x), True) for z, x in zip(values, columns.T, strict=True)]
    return [*good, *((f(*s.cycle(), z + 0.1, *x), False) for z, x in zip(values, columns.T, strict=True))]


def eigenvalues(f: Transcription, s: Sample) -> list[Pair]:
    rate = game_frequency(s.game, s.log_pi)[0]
    return [
        *((f(*s.cycle(), z), True) for z in (0j, 1j * rate, -1j * rate)),
        *((f(*s.cycle(), z), False) for z in (0.1, 1j * rate + 0.1, 1j * (rate + 0.1))),
    ]


def characteristic(f: Transcription, s: Sample) -> list[Pair]:
    rate, z = game_frequency(s.game, s.log_pi)[0], complex(*s.vector[:2])
    return [(f(*s.cycle(), z), z * (z * z + rate**2))]


def determinants(f: Transcription, s: Sample) -> list[Pair]:
    m = s.rng.normal(size=(3, 3)) + 1j * s.rng.normal(size=(3, 3))
    return [(f(*m.ravel()), np.linalg.det(m))]


def smoothness(f: Transcription, s: Sample) -> list[Pair]:
    def path(t: float) -> np.ndarray:
        return stable_log_softmax(np.array(s.theta) + t * np.eye(s.n)[0])

    def unnormalised(t: float) -> np.ndarray:
        return path(t) + t

    score = np.array(s.scores)[:, 0]
    return [
        (f(s.n, path, 0.0, score), True),
        (f(s.n, path, 0.0, score + 0.1), False),
        (f(s.n, unnormalised, 0.0, score + 1), False),
    ]


def objective_values(f: Transcription, s: Sample) -> list[Pair]:
    # J(BR(ν), ν) − ½ = G(ν), and J differs from the objective by τ KL(ν‖μ)
    reply = best_response(s.game.advantage(s.log_nu), s.log_mu, s.tau)
    best = exploitability(s.game, s.log_nu, s.tau) + 0.5 - s.tau * kl(s.log_nu, s.log_mu)
    direct = np.exp(s.log_pi) @ s.win(s.log_nu) - s.tau * kl(s.log_pi, s.log_mu)
    return [(f(s.n, s.tau, s.P, s.mu, s.nu, reply), best), (f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi), direct)]


def dpo_gradient(f: Transcription, s: Sample) -> list[Pair]:
    weighted = np.array([s.nu[y] * f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi, y) for y in range(s.n)])
    return [(2 * s.tau * (weighted - np.array(s.pi) * weighted.sum()), s.pull(Pairwise(dpo), s.log_nu, s.log_nu))]


def printed_counterexample(f: Transcription, s: Sample) -> list[Pair]:
    # the exact gradient is off the printed form by E_ν h = −.03848 for every P and τ (L5)
    game = PreferenceGame.from_margins(s.game.margins[:2, :2], reference=[0.1, 0.9])
    even = np.log([0.5, 0.5])
    nu = geometric_mixture(even, game.log_reference, 0.5)
    setting = s.setting._replace(log_reference=game.log_reference)
    exact = -ExactEnvironment(game.margins).pull(Pairwise(ipo), even, nu, nu, setting)[0]
    missing = 0.25 * np.log(5) + 0.75 * np.log(5 / 9)
    assert abs(missing + 0.03848) < 5e-6
    return [(f(s.tau, game.preferences.tolist()), exact - missing)]


def newton(f: Transcription, s: Sample) -> list[Pair]:
    # the derivative of E3's residual along v, which moves log π by v − E_π v
    v = np.array(s.vector)

    def at(t: float) -> np.ndarray:
        log_pi = stable_log_softmax(s.log_pi + t * v)
        return nashlab_residual(s.game.advantage(log_pi), s.log_mu, log_pi, s.tau)

    ours = vector(s.n, lambda y: f(s.n, s.tau, s.P, s.pi, s.vector, y))
    return [(ours, slope(at) + np.array(s.pi) @ v)]


def stationarity(f: Transcription, s: Sample) -> list[Pair]:
    def at(nu: Vector, log_pi: np.ndarray) -> bool:
        return f(s.n, lambda lpi: ipo_loss(s.n, s.tau, s.P, s.mu, nu, lpi), log_pi.tolist())

    offline = best_response(s.game.advantage(s.log_nu), s.log_mu, s.tau)
    return [(at(s.q, s.log_q), True), (at(s.nu, offline), True), (at(s.pi, s.log_pi), False)]


def other_sampling(f: Transcription, s: Sample) -> list[Pair]:
    # L2 (ii): at the equilibrium, IPO on these samples still has the slope 1/(8τ) in the second coordinate
    game = gallery_game("rps")
    log_nu = np.log(vector(3, f))
    setting = s.setting._replace(log_reference=game.log_reference)
    pull = ExactEnvironment(game.margins).pull(Pairwise(ipo), game.log_reference, log_nu, log_nu, setting)
    return [(-pull[1], 1 / (8 * s.tau))]


def moments(which: int) -> Comparison:
    def pairs(f: Transcription, s: Sample) -> list[Pair]:
        x = s.estimates(Pointwise(pointwise))
        return [(f(s.n, s.nu, s.n, lambda y, z, c: float(x[y, z, c])), estimator_moments(x, s.nu)[which])]

    return pairs


def half_variance(f: Transcription, s: Sample) -> list[Pair]:
    # L10: Var (X₁+X₂)/2 − ½ Var X₁ = −½ (E[s·s' f²] + |E X₁|²)
    single, both = s.estimates(Pointwise(pointwise)), s.tau / 4 * s.estimates(Pairwise(ipo))
    _, mean, spread = estimator_moments(single, s.nu)
    return [(f(s.n, s.n, s.nu, s.scores, s.f), spread - 2 * estimator_moments(both, s.nu)[2] - mean)]


def exact_identity(f: Transcription, s: Sample) -> list[Pair]:
    # N8 at the equilibrium: what is left of it is log E_m e^{η(p(·≻m) − ½)}
    share = s.eta * s.tau
    log_m = geometric_mixture(s.log_pi, s.log_mu, share)
    after = np.log(s.step("nash-md"))
    rest = (1 - share) * (kl(s.log_q, s.log_pi) - kl(log_m, s.log_pi)) - share * kl(log_m, s.log_q)
    return [(f(s.n, s.P, s.eta, np.exp(log_m).tolist()), kl(s.log_q, after) - rest)]


def averages(f: Transcription, s: Sample) -> list[Pair]:
    played = s.steps("sppo", 4, s.log_pi)[:4]
    state = get("sppo").start(s.log_pi)
    for t in range(4):
        state = get("sppo").step(state, s.setting._replace(time=float(t)), s.environment)
    return [(f(s.n, 4, lambda t: played[t].tolist()), np.exp(get("sppo").answer(state, s.setting)))]


def mixtures_of_a_run(s: Sample, N: int, count: int) -> list[np.ndarray]:
    """The mixtures that nashlab's Nash-MD plays from μ at the step 1/N."""
    setting = s.setting._replace(step_size=1 / N)
    run = s.steps("nash-md", count - 1, s.log_mu, step_size=1 / N)
    return [np.exp(nash_md_mixture({"log_policy": np.log(pi)}, setting)) for pi in run]


def construction(f: Transcription, s: Sample) -> list[Pair]:
    K, k = math.floor(s.tau) + 1, 2
    mean = np.mean(mixtures_of_a_run(s, k + K, (k + K) ** 2), axis=0)
    reply = np.exp(best_response(s.game.advantage(np.log(mean)), s.log_mu, s.tau))
    return [(f(s.n, s.tau, s.P, s.mu, K, k), mean if f.__name__ == "approximate" else reply)]


def flow(f: Transcription, s: Sample) -> list[Pair]:
    # N1: V̇ = −(τ/Σe^θ) SymKL(π, q) along θ̇ = g, g the library's online IPO
    spec, theta = get("online-ipo"), np.array(s.theta)
    g = spec.objective.unit(s.tau) * s.pull(spec.objective, s.log_pi, s.log_pi)
    symmetric = kl(s.log_pi, s.log_q) + kl(s.log_q, s.log_pi)
    rate = slope(lambda t: f(s.n, s.q, lambda u: theta + u * g, t))
    return [(rate, -s.tau / np.exp(theta).sum() * symmetric)]


def nearest(value: complex, values: np.ndarray) -> complex:
    return values[np.argmin(np.abs(values - value))]


def multipliers(name: str) -> Comparison:
    def pairs(f: Transcription, s: Sample) -> list[Pair]:
        seen = np.linalg.eigvals(s.jacobian(name))
        ours = [f(s.tau, sign * rate, s.eta) for rate in s.frequencies for sign in (1, -1)]
        return [(x, nearest(x, seen)) for x in ours]

    return pairs


def recurrences(f: Transcription, s: Sample) -> list[Pair]:
    c, q = complex(*s.rng.normal(size=2)), complex(*s.rng.normal(size=2)) / 2
    return [(f(c, q), bool(max(abs(np.roots([1, -c, q]))) < 1))]


def momentum(optimiser: Callable[[float], Any]) -> Comparison:
    def radius(a: float, alpha: float, omega: float, m: float) -> float:
        pull = np.array([[-alpha, omega], [-omega, -alpha]])  # θ̇ = −(α + iω) θ

        def moved(x: np.ndarray) -> np.ndarray:
            movement, memory = optimiser(m).step(pull @ x[:2], {"velocity": x[2:]}, a, 0)
            return np.concatenate([x[:2] + movement, memory["velocity"]])

        return float(max(abs(np.linalg.eigvals(np.array([moved(e) for e in np.eye(4)]).T))))

    def pairs(f: Transcription, s: Sample) -> list[Pair]:
        cases = [(*s.rng.uniform(0.1, 1.2, 3), s.rng.uniform(-0.9, 0.9)) for _ in range(10)]
        return [(f(*case), radius(*case) < 1) for case in cases if abs(radius(*case) - 1) > 1e-9]

    return pairs


def optimistic(f: Transcription, s: Sample) -> list[Pair]:
    radius = max(abs(np.linalg.eigvals(s.jacobian("omwu"))))
    return [(all(f(s.tau, rate, s.eta) for rate in s.frequencies), bool(radius < 1))] if abs(radius - 1) > 1e-4 else []


def ranks(win_rates: np.ndarray) -> np.ndarray:
    """Place in the order by win rate, ties by index."""
    place = np.empty(len(win_rates), dtype=int)
    place[np.lexsort((np.arange(len(win_rates)), win_rates))] = np.arange(len(win_rates))
    return place


def orders(f: Transcription, s: Sample) -> list[Pair]:
    x = np.round(s.win(s.log_nu), 1)
    place = ranks(x)
    return [(f(x.tolist(), i, j), bool(place[i] < place[j])) for i in range(s.n) for j in range(s.n)]


def midpoints(f: Transcription, s: Sample) -> list[Pair]:
    place, m = ranks(s.win(s.log_nu)), np.array(s.nu)
    below = np.array([m[place < place[i]].sum() for i in range(s.n)])
    ours = vector(s.n, lambda i: f(s.n, s.P, s.nu, i))
    return [(ours, below + m / 2), (total(s.n, lambda i: m[i] * (ours[i] - 0.5) ** 2), (1 - (m**3).sum()) / 12)]


def transitive(f: Transcription, s: Sample) -> list[Pair]:
    table = [[f(i, j) for j in range(s.n)] for i in range(s.n)]
    if not accepted(PreferenceGame.from_preferences, table):
        return [(False, True)]
    game, m = PreferenceGame.from_preferences(table), np.exp(s.log_nu)
    return [(m @ game.advantage(s.log_nu) ** 2, (1 - (m**3).sum()) / 12)]  # N9's bound, attained


def convexity(f: Transcription, s: Sample) -> list[Pair]:
    def at(slope_of: Callable[[Any], Any]) -> bool:
        return f(lambda x: float(gpo_exponential.convex(np.array(x))), lambda x: float(slope_of(np.array(x))))

    return [(at(gpo_exponential.convex_slope), True), (at(lambda x: -gpo_exponential.convex_slope(x)), False)]


def heights(f: Transcription, s: Sample) -> list[Pair]:
    def q(tau: float) -> Vector:
        return np.exp(regularised_nash(s.game, tau).log_policy).tolist()

    return [
        (f(s.n, s.mu, q, s.tau), kl(s.log_q, s.log_mu)),
        (f(s.n, s.mu, q, s.tau) >= f(s.n, s.mu, q, 2 * s.tau), True),
    ]


def sppo_by_pairs(s: Sample) -> float:
    """The named loss of every ordered pair, weighed by ν, ν and P; each label has its winner first."""
    h, nu = np.array(s.lpi) - s.log_mu, np.exp(s.log_nu)
    won = NAMED["sppo"](*np.broadcast_arrays(h[:, None], h[None, :]), tau=s.tau)
    p = np.array(s.P)
    return float(nu @ (p * won + (1 - p) * won.T) @ nu)

"""Claims about equilibria: E1-E7, N4, N14, N15, N16."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import kl, log_softmax
from nashlab.certificate import best_response, certify, check_lottery, exploitability, residual
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import maximal_lottery, regularised_nash, sensitivity
from nashlab.gallery import GALLERY, circulant_tournament, compose, get
from nashlab.game import PreferenceGame
from nashlab.rates import game_frequency
from nashlab.reward import bradley_terry_reward

Array = NDArray[np.float64]


def _distance(log_p: Array, log_q: Array) -> float:
    """‖p − q‖₁."""
    return float(np.sum(np.abs(np.exp(log_p) - np.exp(log_q))))


def _symmetric_kl(log_p: Array, log_q: Array) -> float:
    return float(kl(log_p, log_q) + kl(log_q, log_p))


def _nearby(q: Array, rng: np.random.Generator) -> Array:
    """A policy at a random distance from q, from 1e-6 to far."""
    return log_softmax(q + 10.0 ** rng.uniform(-6, 1) * rng.normal(size=q.shape))


@functools.lru_cache(maxsize=4096)
def _solved(game: PreferenceGame, temperature: float) -> Array:
    """π*_τ of the library (games hash by identity, and each claim sees the same ones)."""
    return regularised_nash(game, temperature).log_policy


def _iterated(case: Case, start: Array, mixing: float, steps: int = 20_000) -> Array:
    """The equilibrium by a method of this file: damped fixed-point iteration log π ← (1−m) log π + m log BR(π)."""
    log_pi = start
    for _ in range(steps):
        new = log_softmax(
            (1 - mixing) * log_pi
            + mixing * (case.game.log_reference + case.game.margins @ np.exp(log_pi) / case.temperature)
        )
        if np.max(np.abs(new - log_pi)) <= 1e-15 * max(1.0, 1.0 / case.temperature):
            return new
        log_pi = new
    return log_pi


@claim(
    "E1",
    "the regularised game has one Nash equilibrium, π ∝ μ exp(p(y ≻ π)/τ), whatever start it is approached from",
    tolerance=1e-9,
    because="the damped iteration stops at float64's floor, which its slowest mode multiplies by up to 1e4",
    twin="margins a millionth larger than those that were iterated",
)
def e1(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E1")
    for case in cases.all("E1", share=0.5):
        # contraction in the natural geometry needs m < 2τ²/(τ² + λ²) with λ < 2 max|A| / π (N4)
        frequency = 2.0 * float(np.max(np.abs(case.game.margins))) / np.pi
        tau = max(case.temperature, 0.1)
        mixing = min(1.0, tau**2 / (tau**2 + frequency**2))
        case = case._replace(temperature=tau)
        larger = 1.0 + (1e-6 if twin else 0.0)
        judged = PreferenceGame.from_margins(larger * case.game.margins, reference=case.game.reference)
        found = regularised_nash(judged, tau).log_policy
        other = _iterated(case, np.log(random_policy(case.game.n, rng)), mixing)
        yield Observation(_distance(found, other), case.describe)


@claim(
    "E2",
    "max_π' J(π', π) − ½ = τ KL(π ‖ BR(π)), BR(π) ∝ μ exp(Pπ/τ); the duality gap of (π, π) is twice that",
    tolerance=1e-12,
    because="both sides are sums of n terms of size at most 1 + τ log(1/μ_min)",
    twin="a gap that is a millionth larger",
)
def e2(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E2")
    for case in cases.all("E2"):
        game, tau, log_pi = case
        pi, mu = np.exp(log_pi), game.reference
        reply = best_response(game.advantage(log_pi), game.log_reference, tau)

        def payoff(log_p: Array, p: Array = pi, tau: float = tau, mu: Array = mu, game: PreferenceGame = game) -> float:
            q = np.exp(log_p)
            regularisation = np.sum(q * np.log(q / mu)) - np.sum(p * np.log(p / mu))
            return float(q @ game.margins @ p - tau * regularisation)

        gap = (1.0 + (1e-6 if twin else 0.0)) * float(exploitability(game, log_pi, tau))
        off = abs(payoff(np.maximum(reply, -700.0)) - gap)
        # nothing does better than BR: random competitors, near it and far from it
        rivals = [payoff(_nearby(np.maximum(reply, -700.0), rng)) - gap for _ in range(5)]
        yield Observation(max(off, *rivals), case.describe)


@claim(
    "E3",
    "‖π − π*‖₁ ≤ 2 tanh(osc(r)/4) and SymKL ≤ osc·tanh(osc/4) for r = log π − log μ − Pπ/τ; nearly attained",
    tolerance=1e-10,
    because="rounding of r is multiplied by 1/τ ≤ 100; attainment is tested to 1e-3 of the bound",
    twin="a bound that is a millionth smaller",
)
def e3(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E3")
    factor = 1.0 - (1e-6 if twin else 0.0)
    for case in cases.all("E3"):
        game, tau, _ = case
        q = _solved(game, tau)
        for _ in range(4):
            log_pi = _nearby(q, rng)
            osc = float(np.ptp(residual(game.advantage(log_pi), game.log_reference, log_pi, tau)))
            l1 = _distance(log_pi, q) - factor * 2 * np.tanh(osc / 4)
            divergence = _symmetric_kl(log_pi, q) - factor * osc * np.tanh(osc / 4)
            yield Observation(max(l1, divergence, 0.0), case._replace(log_policy=log_pi).describe)
    # attained: without a game, two responses whose masses swap
    tie = PreferenceGame.from_margins(np.zeros((2, 2)), reference=[0.3, 0.7])
    log_pi = np.log(tie.reference[::-1])
    bound = 2 * np.tanh(float(np.ptp(residual(np.zeros(2), tie.log_reference, log_pi, 1.0))) / 4)
    away = _distance(log_pi, tie.log_reference)
    off = max(bound - away - 1e-3 * bound, away - factor * bound, 0.0)
    yield Observation(off, lambda: {"attainment": "μ = (.3, .7), π = (.7, .3), no game"})


@claim(
    "E4",
    "Newton never meets a singular Jacobian: every singular value of D^½(I − AD/τ)D^-½ across √π is at least 1",
    tolerance=1e-9,
    because="singular values of matrices of norm 1 + λ/τ ≤ 33, to n·1e-16 of that; solutions are judged by E3",
    twin="a symmetric part in A, as from preferences with P + Pᵀ ≠ 1",
)
def e4(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E4")
    for case in cases.all("E4"):
        game, tau, log_pi = case
        a = game.margins
        if twin:
            noise = rng.uniform(0, 0.2, a.shape)
            a = a + noise + noise.T
        pi = np.exp(log_pi)
        root = np.sqrt(pi)
        matrix = np.eye(game.n) - a @ (np.diag(pi) - np.outer(pi, pi)) / tau
        scaled = root[:, None] * matrix / root[None, :]
        # an orthonormal basis of the complement of √π
        basis = np.linalg.svd(root[None, :])[2][1:].T
        smallest = float(np.linalg.svd(basis.T @ scaled @ basis, compute_uv=False)[-1])
        yield Observation(max(0.0, 1.0 - smallest), case.describe)
        if not twin:
            bounds = [regularised_nash(game, t).certificate.worst_l1_bound for t in (tau, 1e-2)]
            yield Observation(max(0.0, *(b - 1e-12 for b in bounds)), case.describe)
    for case in itertools.islice(() if twin else cases.random("E4 path", max_n=20), 20):
        answer = regularised_nash(case.game, 1e-6)
        yield Observation(0.0 if answer.status.ok else 1.0, case.describe)


@claim(
    "E5",
    "τ → ∞: π*_τ → μ; τ → 0: π*_τ → argmin KL(π‖μ) over the equilibria of P, at a rate that can be only O(τ)",
    tolerance=1e-3,
    because="the limit is approached like τ times a constant of the game, below 100 here, at τ = 1e-5 and 1e-6",
    twin="the projection argmin KL(μ‖π), the other direction",
)
def e5(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E5")
    rps = np.array(get("rps").margins)
    faces = [np.asarray(get(name).margins) for name in ("duplicates", "four-cycle", "all-ties", "rps-and-loser")]
    faces += [rps[np.ix_(copies, copies)] for copies in ((0, 0, 1, 2), (0, 1, 1, 2, 2))]
    for margins in faces:
        n = len(margins)
        game = PreferenceGame.from_margins(margins, reference=random_policy(n, rng), name="non-unique")
        lottery = maximal_lottery(game)
        limit = lottery.log_policy
        if twin and lottery.face is not None:
            limit = _reverse_projection(lottery.face.vertices, game.reference, rng)
        for tau in (1e-5, 1e-6):
            log_pi = regularised_nash(game, tau).log_policy
            case = Case(game, tau, log_pi)
            yield Observation(_distance(log_pi, limit), case.describe)
    for case in itertools.islice(cases.random("E5"), 30):
        hot = regularised_nash(case.game, 1e4).log_policy
        yield Observation(_distance(hot, case.game.log_reference), case.describe)
    # only O(τ): the distance of the two-component game is τ times a constant that does not vanish
    game = get("rps-weighted")
    away = [_distance(regularised_nash(game, t).log_policy, maximal_lottery(game).log_policy) / t for t in (1e-4, 1e-5)]
    yield Observation(abs(away[0] / away[1] - 1.0), lambda: {"game": game.name, "distance over τ": away})


def _reverse_projection(vertices: tuple[tuple[Fraction, ...], ...], mu: Array, rng: np.random.Generator) -> Array:
    """argmin KL(μ‖π) over the convex hull of vertices, by multiplicative updates of the weights (EM)."""
    corners = np.array([[float(x) for x in v] for v in vertices])
    weights = np.full(len(corners), 1.0 / len(corners))
    for _ in range(5000):
        mix = weights @ corners
        weights = weights * (corners @ np.where(mix > 0, mu / np.where(mix > 0, mix, 1.0), 0.0))
        weights /= weights.sum()
    with np.errstate(divide="ignore"):
        return np.log(weights @ corners)


@claim(
    "E6",
    "the maximal lotteries {x ≥ 0, Ax ≤ 0, Σx = 1}: exact, all vertices of the face, uniqueness proved; the value is ½",
    tolerance=0.0,
    because="rational arithmetic throughout: known answers, KKT conditions, and every vertex found by enumeration",
    twin="the equilibrium with 1e-6 of its mass moved from its first response to the next",
)
def e6(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, entry in GALLERY.items():
        game = get(name)
        if game.exact is None:
            continue
        answer = maximal_lottery(game)
        policy = list(answer.policy_exact or ())
        if twin and policy:
            moved = next(i for i, p in enumerate(policy) if p > 0)
            shift = min(policy[moved], Fraction(1, 10**6))
            policy[moved] -= shift
            policy[(moved + 1) % game.n] += shift
        off = 0.0
        if policy:
            check = check_lottery(game.exact, policy)
            off = max(0.0, float(-min(check.slacks))) / max(1e-300, float(np.max(np.abs(game.margins)) or 1.0))
            if answer.unique and not check.unique:
                off = max(off, 1.0)
        if entry.lottery is not None and policy:
            off = max(off, float(sum(abs(p - q) for p, q in zip(policy, entry.lottery, strict=True))))
        yield Observation(off, lambda game=game: {"game": game.name, "margins": game.margins.tolist()})
    if twin:
        return
    rng = cases.rng("E6")
    for _ in range(max(10, cases.samples // 4)):
        n = int(rng.integers(1, 5))
        whole = np.triu(rng.integers(-2, 3, (n, n)), 1)
        game = PreferenceGame.from_margins(whole - whole.T, name="small integers")
        answer = maximal_lottery(game)
        found = set(answer.face.vertices) if answer.face else {answer.policy_exact}
        off = 0.0 if found == _all_vertices((whole - whole.T).tolist()) else 1.0
        yield Observation(off, Case(game, 0.0, game.log_reference).describe)


def _all_vertices(a: list[list[int]]) -> set[tuple[Fraction, ...]]:
    """Every vertex of {x ≥ 0, Ax ≤ 0, Σx = 1}: all choices of n − 1 tight inequalities, solved by elimination."""
    n = len(a)
    rows = [[int(i == j) for j in range(n)] for i in range(n)] + [[-v for v in row] for row in a]
    found = set()
    for tight in itertools.combinations(rows, n - 1):
        x = _eliminate([[*map(Fraction, row), Fraction(0)] for row in tight] + [[Fraction(1)] * (n + 1)])
        if x is not None and all(sum(c * v for c, v in zip(row, x, strict=True)) >= 0 for row in rows):
            found.add(tuple(x))
    return found


def _eliminate(system: list[list[Fraction]]) -> list[Fraction] | None:
    """The solution of a square system [M | b], or None if M is singular."""
    n = len(system)
    for k in range(n):
        pivot = next((r for r in range(k, n) if system[r][k] != 0), None)
        if pivot is None:
            return None
        system[k], system[pivot] = system[pivot], system[k]
        system[k] = [v / system[k][k] for v in system[k]]
        for r in range(n):
            if r != k and system[r][k] != 0:
                system[r] = [u - system[r][k] * v for u, v in zip(system[r], system[k], strict=True)]
    return [row[n] for row in system]


@claim(
    "E6b",
    "a small gap does not certify π: any scale of A has the same lottery, and the trap's answer is its fourth row",
    tolerance=1e-12,
    because="scaling by a power of ten rounds each margin once",
    twin="the policy that the gap alone would accept (uniform on rock, paper, scissors, gap 1e-7)",
)
def e6b(cases: Cases, twin: bool) -> Iterator[Observation]:
    trap = get("gap-trap")
    wrong = np.log([1 / 3, 1 / 3, 1 / 3, 1e-300])
    found = wrong if twin else maximal_lottery(trap, exact=False).log_policy
    gap = float(exploitability(trap, wrong, 0.0))
    yield Observation(
        _distance(found, np.log([1e-300, 1e-300, 1e-300, 1.0])),
        lambda: {"game": "gap-trap", "gap of the uniform policy": gap, "its distance to the equilibrium": 2.0},
        witness=True,
    )
    yield Observation(abs(gap - 1e-7), lambda: {"game": "gap-trap", "gap": gap})
    for name in ("weighted-cycle", "soundquality", "figure-6", "condorcet"):
        game = get(name)
        lottery = maximal_lottery(game, exact=False).log_policy
        for exponent in (-12, -9, -6, 6, 12):
            scaled = PreferenceGame.from_margins(game.margins * 10.0**exponent, name=f"{name} x 1e{exponent}")
            off = _distance(maximal_lottery(scaled, exact=False).log_policy, lottery)
            yield Observation(off, Case(scaled, 0.0, lottery).describe)


@claim(
    "E7",
    "if P = σ(r_y − r_y'), the RLHF optimum is ∝ μ exp(r/τ), found from P alone; in general it is not π*_τ",
    tolerance=1e-9,
    because="the fitted reward is a Newton solution to 1e-13 whose error is divided by τ ≥ 0.01",
    twin="a reward that is a millionth larger",
)
def e7(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E7")
    for _ in range(max(10, cases.samples // 4)):
        n = int(rng.integers(2, 8))
        r = rng.normal(size=n)
        p = 1.0 / (1.0 + np.exp(r[None, :] - r[:, None]))
        game = PreferenceGame.from_preferences(p, reference=random_policy(n, rng), name="bradley-terry")
        tau = float(rng.choice([0.05, 0.3, 1.0]))
        known = log_softmax(game.log_reference + r / tau)
        fitted = (1.0 + (1e-6 if twin else 0.0)) * bradley_terry_reward(game)
        found = best_response(fitted, game.log_reference, tau)
        case = Case(game, tau, found)
        yield Observation(_distance(found, known), case.describe)
        # and it is another policy than the equilibrium
        same = _distance(known, _solved(game, tau)) < 1e-6
        yield Observation(1.0 if same else 0.0, case.describe)


@claim(
    "N4",
    "λ < 1/π for every preference matrix and policy, sharp: odd cyclic tournaments reach cot(π/2n)/(2n); n = 3 in full",
    tolerance=1e-12,
    because="singular values of a skew matrix of norm below 1/π",
    twin="the bound 0.3 in place of 1/π = .3183",
)
def n4(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N4")
    limit = 0.3 if twin else 1.0 / np.pi
    for case in cases.all("N4"):
        largest = float(game_frequency(case.game, case.log_policy)[0])
        yield Observation(max(0.0, largest - limit), case.describe)
        if case.game.n == 3:
            a, p = case.game.margins, np.exp(case.log_policy)
            formula = np.sqrt(np.prod(p)) * abs(a[0, 1] + a[1, 2] + a[2, 0])
            eigenvalue = np.max(np.abs(np.linalg.eigvals(a @ (np.diag(p) - np.outer(p, p)))))
            yield Observation(max(abs(formula - largest), abs(formula - eigenvalue) * 1e-3), case.describe)
    for n in (3, 5, 11, 41, 101):
        game = PreferenceGame.from_margins(circulant_tournament(n), name=f"cyclic tournament {n}")
        largest = float(game_frequency(game, game.log_reference)[0])
        value = 1.0 / np.tan(np.pi / (2 * n)) / (2 * n)
        case = Case(game, 1.0, game.log_reference)
        yield Observation(max(abs(largest - value), 0.0, largest - limit), case.describe)
    # searching does not beat it: climb from random tournaments by moving the policy
    for _ in range(5):
        n = int(rng.integers(3, 9))
        signs = np.triu(rng.choice([-0.5, 0.5], (n, n)), 1)
        game = PreferenceGame.from_margins(signs - signs.T, name="tournament")
        log_pi = np.log(random_policy(n, rng))
        for _ in range(30):
            trial = log_softmax(log_pi + 0.3 * rng.normal(size=n))
            if game_frequency(game, trial)[0] > game_frequency(game, log_pi)[0]:
                log_pi = trial
        case = Case(game, 1.0, log_pi)
        yield Observation(max(0.0, float(game_frequency(game, log_pi)[0]) - limit), case.describe)


@claim(
    "N14",
    "τKL(π‖q) ≤ G(π) ≤ (τ + 1/(4τ)) KL(π‖q), so ‖π − q‖₁ ≤ √(2G/τ) ≤ osc(r)/2: never looser than E3's",
    tolerance=1e-9,
    because="relative to KL, or to 1e-6 where it is smaller: rounding of log π ~ 30 is 1e-14",
    twin="the exploitability halved, as if the gap of the pair were that of one player",
)
def n14(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N14")
    for case in cases.all("N14"):
        game, tau, _ = case
        q = _solved(game, tau)
        for _ in range(4):
            # not too near: KL(π‖q) here is the plain difference of logarithms
            log_pi = log_softmax(q + 10.0 ** rng.uniform(-2, 1) * rng.normal(size=q.shape))
            gap = (0.5 if twin else 1.0) * float(exploitability(game, log_pi, tau))
            d = log_pi - q
            # KL as Σ π(e^{−d} − 1 + d): the same number for normalised policies, without its cancellation
            divergence = float(np.sum(np.exp(q) - np.exp(log_pi) + np.exp(log_pi) * d))
            osc = float(np.ptp(residual(game.advantage(log_pi), game.log_reference, log_pi, tau)))
            scale = max(gap / tau, 1e-6)
            low = (divergence - gap / tau) / scale
            high = (gap / tau - (1 + 0.25 / tau**2) * divergence) / scale
            # squares: a root would make 1e-8 of the rounding in G
            wide = 2 * gap / tau - osc**2 / 4
            far = _distance(log_pi, q) ** 2 - 2 * gap / tau
            worse = float(certify(game, log_pi, tau).l1_bound) ** 2 - min(
                2 * exploitability(game, log_pi, tau) / tau, 4 * np.tanh(osc / 4) ** 2
            )
            yield Observation(max(0.0, low, high, wide, far, worse), case._replace(log_policy=log_pi).describe)


def _log_sum(x: Array) -> float:
    """log Σ eˣ, written out."""
    top = float(np.max(x))
    return top + float(np.log(np.sum(np.exp(x - top))))


@claim(
    "N15",
    "G = τ log E_π e^{−(r − E_π r)} = τKL(π‖μ) − ½ + τ log E_μ e^{Pπ/τ}; with a candidate subset the bound covers G",
    tolerance=1e-11,
    because="logarithms of sums of size up to e^{1/τ}; errors of 1e-16/τ ≤ 1e-14 and cancellation of ½ and τ log",
    twin="the subset's sum without the term μ(Sᶜ)e^{1/τ} of what was not enumerated",
)
def n15(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N15")
    for case in cases.all("N15", min_n=3):
        game, tau, log_pi = case
        pi, mu = np.exp(log_pi), game.reference
        win = 0.5 + game.advantage(log_pi)
        gap = float(exploitability(game, log_pi, tau))
        r = residual(game.advantage(log_pi), game.log_reference, log_pi, tau)
        tilt = np.log(pi) - (r - pi @ r)
        first = tau * _log_sum(tilt)
        divergence = float(np.sum(pi * np.log(pi / mu)))
        second = tau * divergence - 0.5 + tau * _log_sum(np.log(mu) + win / tau)
        held = rng.permutation(game.n)[: int(rng.integers(1, game.n))]
        rest = np.setdiff1d(np.arange(game.n), held)
        known = 0.5 * pi[held].sum() + game.margins[np.ix_(held, held)] @ pi[held]
        inner = np.log(mu[held]) + np.minimum(1.0, known + pi[rest].sum()) / tau
        outer = np.log(mu[rest].sum()) + 1.0 / tau
        terms = inner if twin else np.append(inner, outer)
        bound = tau * divergence - 0.5 + tau * _log_sum(terms)
        yield Observation(max(abs(first - gap), abs(second - gap), gap - bound), case.describe)


@claim(
    "N16",
    "‖q_P − q_Q‖₁ ≤ ‖P − Q‖_max/(√3 τ); ‖q_τ − q_τ'‖₁ ≤ |1/τ − 1/τ'|/√12; derivatives equal finite differences",
    tolerance=2e-6,
    because="central differences of step 1e-5·τ: truncation 1e-8 relative, rounding 1e-12/1e-6",
    twin="the derivative for P alone, its mirror entry p(y' ≻ y) = 1 − p(y ≻ y') left in place",
)
def n16(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N16")
    for case in cases.random("N16", max_n=7, share=0.5):
        game, tau, _ = case
        tau = max(tau, 0.05)
        q = regularised_nash(game, tau).log_policy
        change = np.triu(rng.uniform(-1, 1, game.margins.shape), 1)
        change = change - change.T
        size = 10.0 ** rng.uniform(-3, -1)
        moved = PreferenceGame.from_margins(game.margins + size * change, reference=game.reference)
        by_p = _distance(regularised_nash(moved, tau).log_policy, q)
        over = by_p - size * np.max(np.abs(change)) / (np.sqrt(3) * tau)
        other = tau * float(np.exp(rng.normal()))
        by_tau = _distance(regularised_nash(game, other).log_policy, q) - abs(1 / tau - 1 / other) / np.sqrt(12)
        derivative, step = sensitivity(game, tau), 1e-5 * tau

        def difference(direction: Array, game: PreferenceGame = game, tau: float = tau, step: float = step) -> Array:
            ends = (
                PreferenceGame.from_margins(game.margins + s * step * direction, reference=game.reference)
                for s in (1, -1)
            )
            high, low = (regularised_nash(end, tau).policy for end in ends)
            return np.asarray((high - low) / (2 * step))

        half = np.triu(change, 1) @ derivative.policy
        predicted = derivative.response @ half / tau if twin else derivative.to_preferences(change)
        scale = 1.0 / tau
        errors = [np.max(np.abs(difference(change) - predicted)) / scale]
        hot, cold = (regularised_nash(game, tau + s * step).policy for s in (1, -1))
        errors.append(np.max(np.abs((hot - cold) / (2 * step) - derivative.to_temperature)) * tau)
        tangent = rng.normal(size=game.n)
        tangent = 0.1 * game.reference * (tangent - game.reference @ tangent)
        high, low = (regularised_nash(game.with_reference(game.reference + s * 1e-5 * tangent), tau) for s in (1, -1))
        errors.append(np.max(np.abs((high.policy - low.policy) / 2e-5 - derivative.to_reference(tangent))))
        yield Observation(max(0.0, over, by_tau, *map(float, errors)), case._replace(temperature=tau).describe)


@claim(
    "E6.composition",
    "lotteries are invariant under relabelling and scale, split clones' shares, drop dominated responses, compose",
    tolerance=1e-12,
    because="float64 answers of well-separated games; exact ones differ by nothing",
    twin="a clone given the whole share instead of a part",
)
def composition(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E6.composition")
    for case in itertools.islice(cases.random("E6.composition", min_n=3, max_n=6), 30):
        n = case.game.n
        whole = rng.integers(-9, 10, (n, n))
        rows = [[Fraction(int(np.sign(j - i) * whole[min(i, j), max(i, j)])) for j in range(n)] for i in range(n)]
        base = maximal_lottery(PreferenceGame.from_margins(rows))
        if not base.unique or base.policy_exact is None:
            continue
        order = rng.permutation(n)
        shuffled = maximal_lottery(PreferenceGame.from_margins([[rows[i][j] for j in order] for i in order]))
        off = sum(abs(a - base.policy_exact[i]) for a, i in zip(shuffled.policy_exact or (), order, strict=True))
        copies = [*range(n), 0]
        cloned = maximal_lottery(PreferenceGame.from_margins([[rows[i][j] for j in copies] for i in copies])).policy
        share = cloned[0] if twin else cloned[0] + cloned[n]
        off = max(float(off), abs(share - base.policy[0]), float(np.max(np.abs(cloned[1:n] - base.policy[1:]))))
        bad = [[*row, Fraction(10)] for row in rows] + [[Fraction(-10)] * n + [Fraction(0)]]
        off = max(off, float(maximal_lottery(PreferenceGame.from_margins(bad)).policy[n]))
        inner = get("figure-6").exact
        assert inner is not None
        product = maximal_lottery(PreferenceGame.from_margins(compose(rows, inner))).policy_exact
        known = GALLERY["figure-6"].lottery or ()
        if product is not None:
            off = max(off, float(sum(abs(p - base.policy_exact[i // 3] * known[i % 3]) for i, p in enumerate(product))))
        yield Observation(off, lambda rows=rows: {"margins": [[str(x) for x in row] for row in rows]})

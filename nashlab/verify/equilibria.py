"""Claims about equilibria: what they are, how to find them, and their limits in τ (E1, E4, E5, E7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from nashlab.certificate import best_response
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.reward import bradley_terry_reward
from nashlab.verify import oracle, subject


@claim(
    "E1",
    "the regularised game has one Nash equilibrium, π ∝ μ exp(p(y ≻ π)/τ), whatever start it is approached from",
    tolerance=1e-9,
    because="the damped iteration stops at float64's floor, which its slowest mode multiplies by up to 1e4",
    twin="margins a millionth larger than the iterated ones",
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
        other = oracle.damped(
            case.game.margins, case.game.log_reference, tau, np.log(random_policy(case.game.n, rng)), mixing
        )
        yield Observation(oracle.l1(found, other), case.describe)


@claim(
    "E4",
    "Newton never meets a singular Jacobian: every singular value of D^½(I − AD/τ)D^-½ across √π is at least 1",
    tolerance=1e-9,
    because="singular values of matrices of norm 1 + λ/τ ≤ 33, to n·1e-16 of that; solutions are certified by E3",
    twin="a symmetric part of up to 2e-4 in A, as from preferences with P + Pᵀ ≠ 1",
)
def e4(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E4")
    for case in cases.all("E4"):
        game, tau, log_pi = case
        a = game.margins
        if twin:
            noise = rng.uniform(0, 1e-4, a.shape)
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
            limit = oracle.reverse_projection(lottery.face.vertices, game.reference, rng)
        for tau in (1e-5, 1e-6):
            log_pi = regularised_nash(game, tau).log_policy
            case = Case(game, tau, log_pi)
            yield Observation(oracle.l1(log_pi, limit), case.describe)
    for case in itertools.islice(cases.random("E5"), 30):
        hot = regularised_nash(case.game, 1e4).log_policy
        yield Observation(oracle.l1(hot, case.game.log_reference), case.describe)
    # only O(τ): the distance of the two-component game is τ times a constant that does not vanish
    game = get("rps-weighted")
    away = [oracle.l1(regularised_nash(game, t).log_policy, maximal_lottery(game).log_policy) / t for t in (1e-4, 1e-5)]
    yield Observation(abs(away[0] / away[1] - 1.0), lambda: {"game": game.name, "distance over τ": away})


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
        known = oracle.log_softmax(game.log_reference + r / tau)
        fitted = (1.0 + (1e-6 if twin else 0.0)) * bradley_terry_reward(game)
        found = best_response(fitted, game.log_reference, tau)
        case = Case(game, tau, found)
        yield Observation(oracle.l1(found, known), case.describe)
        # and it is another policy than the equilibrium
        same = oracle.l1(known, subject.solved(game, tau)) < 1e-6
        yield Observation(1.0 if same else 0.0, case.describe)

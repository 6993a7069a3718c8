"""Claims about the methods of 2023 to 2026: RSPO, pairwise GRPO, SLHF, Nash Prox, MNPO, smooth regret matching⁺."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.rates import game_frequency, trajectory_rate
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import ROUNDING, Array, Complex, Model

# D(π‖μ) of log π, written out
DIVERGENCES: dict[str, Callable[[Complex, Array], Any]] = {
    "rspo-forward-kl": lambda log_pi, log_mu: np.sum(np.exp(log_mu) * (log_mu - log_pi)),
    "rspo-chi2": lambda log_pi, log_mu: np.sum(np.exp(2 * log_pi - log_mu)) - 1,
    "rspo-renyi": lambda log_pi, log_mu: -2 * np.log(np.sum(np.exp((log_pi + log_mu) / 2))),
}


def _of_masses(divergence: Callable[[Complex, Array], Any], log_mu: Array, pi: Complex) -> Any:
    return divergence(np.log(pi), log_mu)


def _step(name: str, case: Case) -> Array:
    """The direction of one step of size 1 in θ."""
    moved = subject.last(REGISTRY[name], case, 1.0) - case.log_policy
    return np.asarray(moved - moved.mean())


@claim(
    "E1.divergence",
    "with KL(μ‖π), χ² or the Rényi divergence of order ½ for KL(π‖μ) there is one equilibrium, found from P alone, and "
    "RSPO climbs ∇[P(π ≻ SG π) − τD(π‖μ)], which is 0 there; at order 2 a game of two responses has two equilibria",
    tolerance=1e-9,
    because="a gradient of size up to 100τ; an equilibrium's conditions divided by the size of their terms",
    twin="a temperature a ten-thousandth larger",
)
def e1_divergence(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.random("E1.divergence", max_n=6, share=0.1):
        game, tau, log_pi = case
        p, log_mu = game.preferences, game.log_reference
        hot = tau * (1.0001 if twin else 1.0)
        for name, divergence in DIVERGENCES.items():

            def value(log_policy: Complex, case: Case = case, divergence: Any = divergence, hot: float = hot) -> Any:
                frozen = case.game.preferences @ np.exp(case.log_policy)
                return np.sum(np.exp(log_policy) * frozen) - hot * divergence(log_policy, case.game.log_reference)

            climbed = Model(log_pi).gradient(value)
            off = oracle.size(_step(name, case) - climbed) / (1.0 + oracle.size(climbed))
            # at the equilibrium no response is worth more than those that are played
            q = np.exp(subject.target(name, subject.problem(case)))
            slope = oracle.gradient(functools.partial(_of_masses, divergence, log_mu), np.maximum(q, 1e-300))
            worth = p @ q - hot * slope
            played = q > 0
            excess = float(np.max(worth) - np.min(worth[played])) / (1.0 + hot * oracle.size(slope[played]))
            yield Observation(max(off, excess, abs(float(q.sum()) - 1)), case.describe)
    yield _two_equilibria()


def _two_equilibria() -> Observation:
    """Two responses, μ = (.1, .9), p₁₂ = .9, the Rényi divergence of order 2: a mixed and a pure equilibrium at one τ.

    With n = 2, P(π ≻ π') − ½ = (p − ½)(x − x'), so each player maximises (p − ½)x − τD alone; D is not convex in x.
    """
    from scipy.optimize import brentq, minimize_scalar

    def divergence(x: Any) -> Any:
        return np.log(x**2 / 0.1 + (1 - x) ** 2 / 0.9)

    def mixed(tau: float) -> float:
        return float(minimize_scalar(lambda x: tau * divergence(x) - 0.4 * x, bounds=(0.0, 0.5), method="bounded").x)

    def ahead(tau: float) -> float:
        x = mixed(tau)
        return 0.4 * x - tau * divergence(x) - (0.4 - tau * float(divergence(1.0)))

    tau = float(brentq(ahead, 0.1, 0.4))
    x = mixed(tau)
    every = np.linspace(0, 1, 100_001)
    best = float(np.max(0.4 * every - tau * divergence(every)))
    both = [0.4 * y - tau * float(divergence(y)) for y in (x, 1.0)]
    wrong = max(best - min(both), 0.0) + (0.0 if 1.0 - x > 0.5 else 1.0)
    found = {"reference": [0.1, 0.9], "p": 0.9, "τ": tau, "equilibria": [[x, 1 - x], [1.0, 0.0]]}
    return Observation(wrong, lambda: found, witness=True)


# -- pairwise GRPO -----------------------------------------------------------------------------------------------------


def _grpo(p: Array, log_pi: Array, k: int, *, divide: bool = False, hard: bool = True, share: float = 1.0) -> Array:
    """E (1/k) Σ_i A_i s(y_i) over groups of k draws and their labels; A_i = r_i − mean r, r_i the mean win of y_i.

    divide  A_i over the group's standard deviation (0 where it is 0);  share  a factor of the rewards.
    """
    pi, n = np.exp(log_pi), log_pi.size
    group = np.array(list(itertools.product(range(n), repeat=k)))
    first, second = np.triu_indices(k, 1)
    q = p[group[:, first], group[:, second]][:, None, :]  # [groups, labels, pairs]
    o = np.array(list(itertools.product((0.0, 1.0), repeat=first.size)))[None] if hard else q
    chance = np.prod(pi[group], axis=1)[:, None] * (np.prod(np.where(o == 1, q, 1 - q), axis=2) if hard else 1.0)
    won = share * (o @ np.eye(k)[first] + (1 - o) @ np.eye(k)[second]) / (k - 1)
    above = won - won.mean(axis=2, keepdims=True)
    if divide:
        spread = np.sqrt(np.mean(above**2, axis=2, keepdims=True))
        above = np.where(spread > 0, above / np.where(spread > 0, spread, 1.0), 0.0)
    mean = np.zeros(n)
    np.add.at(mean, group, np.sum(chance[:, :, None] * above, axis=1) / k)
    return np.asarray(mean - pi * mean.sum())


@claim(
    "L1.grpo",
    "pairwise GRPO's mean gradient is ∇P(π ≻ SG π), with groups of any size k; in the loss, its KL estimators k1, k2, "
    "k3 pull with 0, ∇KL(π‖μ), ∇KL(μ‖π); divided by the standard deviation it is 2 and √6 times as long for k = 2, 3 "
    "and hard labels, so ends at π*_{τ/2} and π*_{τ/√6}, no multiple for k = 4, and blind to strengths with soft ones",
    tolerance=1e-12,
    because=ROUNDING + "; no multiple: the sine of an angle above 1e-3",
    twin="wins averaged over k responses in the place of k − 1",
)
def l1_grpo(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.random("L1.grpo", min_n=2, max_n=3, share=0.1):
        game, _, log_pi = case
        p, log_mu = game.preferences, game.log_reference
        for k in (2, 3):
            share = (k - 1) / k if twin else 1.0
            self_play = oracle.objective_gradient(Model(log_pi), p, log_pi, log_mu, 0.0)
            found = [_grpo(p, log_pi, k, share=share), _grpo(p, log_pi, k, hard=False, share=share)]
            yield Observation(max(oracle.size(g - self_play) for g in found), case.describe)
        larger = [_grpo(p, log_pi, 4), _grpo(p, log_pi, 6, hard=False)]
        yield Observation(max(oracle.size(g - self_play) for g in larger), case.describe)
        divided = max(
            oracle.size(_grpo(p, log_pi, k, divide=True) - scale * self_play) for k, scale in ((2, 2.0), (3, 6**0.5))
        )
        majority = _grpo(0.5 + 0.5 * np.sign(p - 0.5), log_pi, 2, hard=False)
        soft = _grpo(p, log_pi, 2, divide=True, hard=False)
        nearest = float(np.min(np.abs(p - 0.5) + np.eye(game.n)))  # of near ties, only the sign of rounding is left
        blind = oracle.size(soft - 2 * majority) if nearest > 1e-3 else 0.0
        yield Observation(max(divided, blind, _estimators(case)), case.describe)
    yield _grpo_of_four()


def _estimators(case: Case) -> float:
    """How far the estimators' gradients under frozen samples from π are from what the statement says."""
    log_pi, log_mu = case.log_policy, case.game.log_reference
    pi, model = np.exp(log_pi), Model(log_pi)

    def of(estimator: Callable[[Complex], Any]) -> Array:
        return model.gradient(lambda x: np.sum(pi * estimator(x - log_mu)))

    reverse = model.gradient(lambda x: np.sum(np.exp(x) * (x - log_mu)))
    forward = model.gradient(lambda x: np.sum(np.exp(log_mu) * (log_mu - x)))
    k1, k2, k3 = of(lambda h: h), of(lambda h: h**2 / 2), of(lambda h: np.exp(-h) - 1 + h)
    return max(oracle.size(k1), oracle.size(k2 - reverse), oracle.size(k3 - forward))


def _grpo_of_four() -> Observation:
    """Where groups of k end at p = .7, uniform μ, τ = 1; and the angle between divided and not, for k = 4 and n = 3."""
    from scipy.optimize import brentq

    p = np.array([[0.5, 0.7], [0.3, 0.5]])

    def push(x: float, k: int) -> float:
        log_pi = np.log([x, 1 - x])
        h = log_pi - np.log(0.5)
        pull = np.exp(log_pi) * (h - np.exp(log_pi) @ h)  # k2 in the loss
        return float((_grpo(p, log_pi, k, divide=True) - pull)[0])

    ends = [float(brentq(push, 0.52, 0.75, args=(k,), xtol=1e-11)) for k in (2, 3, 4)]
    known = [1 / (1 + np.exp(-0.2 * scale)) for scale in (2.0, 6**0.5)]
    cycle = get("figure-6")
    log_pi = np.log([0.6, 0.3, 0.1])
    flat = oracle.objective_gradient(Model(log_pi), cycle.preferences, log_pi, log_pi, 0.0)
    sine = oracle.defect(_grpo(cycle.preferences, log_pi, 4, divide=True), flat)
    fine = oracle.size(np.array(ends[:2]) - known) < 1e-9 and sine > 1e-3
    found = {"p": 0.7, "τ": 1.0, "π(1), divided, k = 2, 3, 4": ends, "sine of the angle, k = 4, figure-6": sine}
    return Observation(0.0 if fine else 1.0, lambda: found, witness=True)


# -- SLHF --------------------------------------------------------------------------------------------------------------


@claim(
    "E7.leader",
    "SLHF's leader ends at ∝ μ exp(v/τ), v(y) = −τ log E_{y'~μ} e^{−p(y ≻ y')/τ}, with no game left to solve, at rate "
    "1/(1 + ητ): π*_τ for n = 2, not for n = 3; the follower's answer to a response that beats all others loses",
    tolerance=1e-9,
    because=ROUNDING + "; gradients of log-probabilities up to 100; the rate of one late step to 1e-4",
    twin="the value v at a temperature a thousandth larger",
)
def e7_leader(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.random("E7.leader", share=0.15):
        game, tau, _ = case
        log_mu, n = game.log_reference, game.n
        leader = subject.target("slhf", subject.problem(case))
        if twin:
            hot = 1.001 * tau
            value = -hot * np.array([oracle.log_sum(log_mu - row / hot) for row in game.margins])
            leader = oracle.log_softmax(log_mu + value / tau)
        follower = np.array([oracle.log_softmax(log_mu - row / tau) for row in game.margins])

        def payoff(theta: Complex, case: Case = case) -> Any:
            """Of both players' logits: rows 1 to n are the follower's."""
            game, tau, _ = case
            table = oracle.log_softmax(theta.reshape(-1, game.n))
            first, answers = table[0], np.exp(table[1:])
            won = np.sum(answers * (game.margins + tau * (table[1:] - game.log_reference)), axis=1)
            return np.sum(np.exp(first) * (won - tau * (first - game.log_reference)))

        both = oracle.gradient(payoff, np.concatenate([leader, follower.ravel()]))
        yield Observation(oracle.size(both) / (1.0 + tau), case.describe)
        if n == 2:
            yield Observation(oracle.l1(leader, subject.solved(game, tau)), case.describe)
    yield from _leaders_of_three()


def _leaders_of_three() -> Iterator[Observation]:
    """Figure 6's cycle with μ = (.5, .3, .2), τ = .1; and the answer to a response that wins .9 against the other."""
    case = Case(get("figure-6").with_reference([0.5, 0.3, 0.2]), 0.1, np.log([0.2, 0.3, 0.5]))
    leader, nash = subject.target("slhf", subject.problem(case)), subject.solved(case.game, 0.1)
    answer = oracle.log_softmax(np.log([0.5, 0.5]) + np.array([0.5, 0.1]) / 0.1)
    win = float(np.exp(answer) @ [0.5, 0.1])
    fine = oracle.l1(leader, nash) > 0.01 and win < 0.5
    found = {"leader": np.exp(leader).tolist(), "equilibrium": np.exp(nash).tolist(), "the answer's win rate": win}
    yield Observation(0.0 if fine else 1.0, lambda: found, witness=True)
    for share in (0.1, 1.0):
        count = round(25 / np.log1p(share))
        path = np.array(list(subject.steps(REGISTRY["slhf"], case, share / case.temperature, count)))
        # its error is a sum of powers of 1/(1 + ητ): the follower's is the square in the leader's reward
        rate = np.max(np.abs(path[-1] - leader)) / np.max(np.abs(path[-2] - leader))
        off = max(0.0, abs(rate * (1 + share) - 1) - 1e-4)
        yield Observation(off, lambda rate=rate, share=share: {"ητ": share, "measured": rate})


# -- rates -------------------------------------------------------------------------------------------------------------


@claim(
    "R3.optimistic",
    "optimistic MMD's rate is the larger root of (1+ητ)z² = (1+2iηλ)z − iηλ, OMWU's (ONPO) of z² = (1−ητ+2iηλ)z − iηλ, "
    "MNPO's with memory β |1 − β(ητ − iηλ)|",
    tolerance=1e-5,
    because="a recurrence fitted to iterates between 1e-6 and 1e-10 of the fixed point: quadratic terms, rounding",
    twin="a rate that is a ten-thousandth smaller",
)
def r3_optimistic(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R3.optimistic")
    game = get("figure-6").with_reference([0.5, 0.3, 0.2])
    for tau, step in ((0.2, 0.4), (0.05, 1.5)):
        log_q = subject.solved(game, tau)
        pull, turn = step * tau, step * float(game_frequency(game, log_q)[0])
        # the same state under the real eigenvalue of what is left of the tangent: there is none for n = 3
        roots = {
            "optimistic-mmd": np.roots([1 + pull, -(1 + 2j * turn), 1j * turn]),
            "omwu": np.roots([1, -(1 - pull + 2j * turn), 1j * turn]),
            "mnpo": np.array([1 - 0.125 * (pull - 1j * turn)]),
        }
        for name, found in roots.items():
            predicted = float(np.max(np.abs(found))) * (1.0 - (1e-4 if twin else 0.0))
            start = Case(game, tau, oracle.log_softmax(log_q + 1e-3 * rng.normal(size=3)))
            path = np.exp(np.array(list(subject.steps(REGISTRY[name], start, step, 700))))
            measured = trajectory_rate(path - np.exp(log_q)) or np.nan

            def describe(n: str = name, p: float = predicted, m: float = measured, t: float = tau) -> dict[str, Any]:
                return {"algorithm": n, "τ": t, "predicted": p, "measured": m}

            yield Observation(abs(predicted - measured), describe)


@claim(
    "N26.prox",
    "a proximal step divides by 1 + ητ: KL(q‖ν) = (1+ητ)KL(q‖π) + ητKL(π‖q) + KL(π‖ν), any η; an extragradient step "
    "does for η ≤ 2(τ + √(1+τ²)), so at η = 2 Nash Mirror Prox's (1 + 2τ)^{−N/2} in N queries, from any start",
    tolerance=1e-9,
    because="relative to KL(q‖ν), or 1e-6: sums of terms known to 1e-16 of their size, of a solved equilibrium",
    twin="the term KL(π‖ν) a thousandth smaller, and a step of twice the largest",
)
def n26_prox(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N26.prox")
    for case in cases.random("N26.prox", share=0.5):
        game, tau, log_nu = case
        log_q = subject.solved(game, tau)
        step = float(10 ** rng.uniform(-1, 2))
        centre = oracle.log_softmax((log_nu + step * tau * game.log_reference) / (1 + step * tau))
        log_pi = subject.solved(game.with_reference(np.exp(centre)), tau + 1 / step)
        before = oracle.kl(log_q, log_nu)
        written = (1 + step * tau) * oracle.kl(log_q, log_pi) + step * tau * oracle.kl(log_pi, log_q)
        written += (0.999 if twin else 1.0) * oracle.kl(log_pi, log_nu)
        yield Observation(abs(before - written) / max(before, step * 1e-3, 1e-6), case.describe)
        largest = 2 * (tau + np.sqrt(1 + tau**2))
        for size in (2 * largest,) if twin else (2.0, largest * float(rng.uniform(0.1, 1))):
            log_half = _magnetic(game, tau, log_nu, log_nu, size)
            after = oracle.kl(log_q, _magnetic(game, tau, log_nu, log_half, size))
            yield Observation(max(0.0, after - before / (1 + size * tau)) / max(before, 1e-6), case.describe)


def _magnetic(game: PreferenceGame, tau: float, log_pi: Array, log_opponent: Array, step: float) -> Array:
    """(log π + ητ log μ + ηAν)/(1 + ητ), normalised."""
    pulled = log_pi + step * (tau * game.log_reference + game.margins @ np.exp(log_opponent))
    return np.asarray(oracle.log_softmax(pulled / (1 + step * tau)))


@claim(
    "R3.regret",
    "extragradient regret matching⁺ with η ≤ 1/(√n‖A‖₂): no step moves R away from cπ*, c ≥ 1, for any lottery π*; "
    "near one of full support the policy's rate is √(1 − a² + a⁴), a = ηω/ΣR, iω in the spectrum of A; smooth "
    "predictive: the larger root of z² = (1 + 2ia)z − ia",
    tolerance=1e-5,
    because="a rate of .99 fitted between 1e-3 and 1e-10, while ΣR settles; distances of size 1 are right to rounding",
    twin="plain steps in the place of extragradient ones, whose rate is √(1 + a²)",
)
def r3_regret(cases: Cases, twin: bool) -> Iterator[Observation]:
    from nashlab.equilibrium import maximal_lottery

    for case in cases.random("R3.regret", min_n=3, share=0.1):
        game = case.game
        lottery = maximal_lottery(game).policy
        largest = 1 / (np.sqrt(game.n) * max(float(np.linalg.norm(game.margins, 2)), 1e-12))
        spec, step = REGISTRY["extragradient-regret-matching-plus"], min(largest, 1e3)
        held, state = subject.setting(case, step=step), dict(spec.start(case.log_policy))
        environment = subject.environment(game)
        for _ in range(20):
            after = dict(spec.step(state, held, environment))
            if twin:
                after["regret"] = np.maximum(state["regret"] + step * game.margins @ np.exp(state["log_policy"]), 0)
                after["log_policy"] = np.log(np.maximum(after["regret"] / after["regret"].sum(), 1e-300))
            for c in (1.0, 3.0):
                gone = [float(np.linalg.norm(s["regret"] - c * lottery)) for s in (state, after)]
                yield Observation(max(0.0, gone[1] - gone[0]), case.describe)
            state = after
    yield from _regret_rates(twin)


def _regret_rates(twin: bool) -> Iterator[Observation]:
    """On the weighted cycle, from near its equilibrium: the rates at the sum that the regrets settle at."""
    game = PreferenceGame.from_margins([[0, 0.5, -0.25], [-0.5, 0, 0.4], [0.25, -0.4, 0]])
    lottery = np.array([0.4, 0.25, 0.5]) / 1.15
    omega = float(np.sqrt(0.5**2 + 0.25**2 + 0.4**2))
    for name in ("extragradient-regret-matching-plus", "smooth-predictive-regret-matching-plus"):
        case = Case(game, 0.0, np.log(lottery + np.array([1e-3, -1e-3, 0.0])))
        held, state = subject.setting(case, step=0.8), dict(REGISTRY[name].start(case.log_policy))
        path, environment = [], subject.environment(game)
        for _ in range(120):
            state = dict(REGISTRY[name].step(state, held, environment))
            path.append(np.exp(state["log_policy"]) - lottery)
        a = 0.8 * omega / float(state["regret"].sum())
        smooth = float(np.max(np.abs(np.roots([1, -(1 + 2j * a), 1j * a]))))
        predicted = np.sqrt(1 + a**2) if twin else np.sqrt(1 - a**2 + a**4) if name[0] == "e" else smooth
        measured = trajectory_rate(np.array(path)) or np.nan

        def describe(n: str = name, p: float = float(predicted), m: float = measured) -> dict[str, Any]:
            return {"algorithm": n, "predicted": p, "measured": m}

        yield Observation(abs(measured - float(predicted)), describe)

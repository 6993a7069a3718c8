"""Claims about rates of convergence, local and global: R3 with its corollaries, N3, N4."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from nashlab.algorithm import AlgorithmSpec, Setting, State
from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import circulant_tournament, get
from nashlab.game import PreferenceGame
from nashlab.rates import game_frequency, local_rate, trajectory_rate
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array

MEASURED = (
    "omd",
    "nash-md",
    "mmd",
    "egpo",
    "omwu",
    "online-ipo",
    "ipo-md",
    "nash-md-pg",
    "nash-ema-pg",
    "online-dpo",
)


@claim(
    "R3",
    "at its own fixed point each algorithm's linearised map has a spectral radius, and its last iterates decay at it",
    tolerance=1e-5,
    because="a recurrence fitted to iterates between 1e-6 and 1e-10 of the fixed point: quadratic terms, rounding",
    twin="a rate that is a ten-thousandth smaller",
)
def r3(cases: Cases, twin: bool) -> Iterator[Observation]:
    game, tau, step = get("figure-6").with_reference([0.5, 0.3, 0.2]), 0.2, 0.4
    rng = cases.rng("R3")
    for name in MEASURED:
        rate = local_rate(name, game, tau, step_size=step, measure=False)
        assert rate is not None
        start = Case(game, tau, oracle.log_softmax(rate.fixed_point + 1e-3 * rng.normal(size=game.n)))
        away = []
        for log_policy in subject.steps(REGISTRY[name], start, step, 1200):
            away.append(np.exp(log_policy) - np.exp(rate.fixed_point))
            if oracle.size(away[-1]) < 1e-11:  # a tenth of where displacements are lost in rounding
                break
        measured = trajectory_rate(np.array(away)) or np.nan
        predicted = rate.predicted * (1.0 - (1e-4 if twin else 0.0))

        def describe(name: str = name, predicted: float = predicted, measured: float = measured) -> dict[str, Any]:
            return {"algorithm": name, "game": "figure-6", "predicted": predicted, "measured": measured}

        yield Observation(abs(predicted - measured), describe)


def _jacobian(spec: AlgorithmSpec, case: Case, step: float) -> Array:
    """The derivative of one step at case.log_policy by central differences, on log π (constants map to 0)."""
    h = 1e-5 * np.eye(case.game.n)
    ahead, behind = (
        subject.last(spec, case._replace(log_policy=oracle.log_softmax(case.log_policy + sign * h)), step)
        for sign in (1, -1)
    )
    return np.asarray((ahead - behind).T / 2e-5)


def _radius(name: str, case: Case, step: float) -> float:
    return float(np.max(np.abs(np.linalg.eigvals(_jacobian(REGISTRY[name], case, step)))))


@claim(
    "R3.local",
    "radii: OMD |1−ητ+iηλ|, MMD |1+iηλ|/(1+ητ), EGPO |a−b²+iab|, Nash-MD (1−ητ)|1+iηλ'|; OMD stable iff η < 2τ/(τ²+λ²)",
    tolerance=2e-6,
    because="central differences of width 1e-5, conditioned like the root of π*'s smallest mass at temperature .1",
    twin="EGPO's radius with its second-order term a hundredth smaller",
)
def r3_local(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R3.local")
    for case in cases.all("R3.local", share=0.25):
        game, tau = case.game, max(case.temperature, 0.1)
        step = float(rng.uniform(0.05, 0.9)) / max(tau, 0.3)
        q, q_hot = (regularised_nash(game, t).log_policy for t in (tau, tau / (1 - step * tau)))
        case = case._replace(temperature=tau, log_policy=q)
        # the n-th, smallest frequency belongs to the constants, which are not a direction of a policy
        frequency, hot = game_frequency(game, q)[:-1], game_frequency(game, q_hot)[:-1]
        a, b = 1 - step * tau, step * frequency
        expected = {
            "omd": np.abs(a + 1j * b),
            "mmd": np.abs(1 + 1j * b) / (1 + step * tau),
            "egpo": np.abs(a - (0.99 if twin else 1.0) * b**2 + 1j * a * b),
        }
        off = max(abs(_radius(name, case, step) - float(np.max(rho))) for name, rho in expected.items())
        displaced = oracle.log_softmax(game.log_reference + game.margins @ np.exp(q_hot) / tau)
        rho = a * float(np.max(np.abs(1 + 1j * step * hot)))
        off = max(off, abs(_radius("nash-md", case._replace(log_policy=displaced), step) - rho))
        yield Observation(off, case.describe)
        # the edges of stability, from both sides
        top = float(frequency[0])
        edges = [("omd", 2 * tau / (tau**2 + top**2))]
        if top > 1.1 * tau:
            edges.append(("mmd", 2 * tau / (top**2 - tau**2)))
        elif top <= tau:
            yield Observation(0.0 if _radius("mmd", case, 100.0) < 1 else 1.0, case.describe)
        for name, edge in edges:
            apart = _radius(name, case, 0.98 * edge) < 1 < _radius(name, case, 1.02 * edge)
            yield Observation(0.0 if apart else 1.0, case.describe)
    # optimistic updates at τ = 0: the edge ηλ = 1/√3, on the iteration itself
    game = get("rps")
    top = float(game_frequency(game, game.log_reference)[0])
    start = Case(game, 0.0, oracle.log_softmax(game.log_reference + 1e-6 * np.array([1.0, -1.0, 0.0])))
    for share in (0.9, 1.1):
        step = share / np.sqrt(3) / top
        size = [float(np.linalg.norm(x - game.log_reference)) for x in subject.steps(REGISTRY["omwu"], start, step, 60)]
        growth = (size[-1] / size[29]) ** (1 / 30)
        b = step * top
        rho = float(np.max(np.abs(np.roots([1, -1 - 2j * b, 1j * b]))))
        wrong = (rho < 1) != (share < 1)
        yield Observation(1.0 if wrong else max(0.0, abs(growth - rho) - 1e-4), start.describe)


@claim(
    "R3.global",
    "KL(π*,π₊) ≤ f KL(π*,π): EGPO f = 1−ητ for η ≤ 1/(1+τ); MMD 1/(1+ητ) for η ≤ 4τ; OMD 1−ητ for η ≤ 4τ/(1+4τ²)",
    tolerance=1e-12,
    because="relative to a divergence of size up to 1/τ",
    twin="the squared factors, which hold near π* only",
)
def r3_global(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R3.global")
    power = 2 if twin else 1
    for case in cases.all("R3.global"):
        tau = case.temperature
        q = regularised_nash(case.game, tau).log_policy
        before = oracle.kl(q, case.log_policy)
        for share in (1.0, float(rng.uniform(0, 1))):
            largest = {"egpo": 1 / (1 + tau), "mmd": 4 * tau, "omd": 4 * tau / (1 + 4 * tau**2)}
            for name, edge in largest.items():
                step = share * edge
                factor = 1 / (1 + step * tau) if name == "mmd" else 1 - step * tau
                over = oracle.kl(q, subject.last(REGISTRY[name], case, step)) - factor**power * before
                yield Observation(max(0.0, over) / max(1.0, before), case.describe)


# as printed, with the place of the last digit
FACTS = {"omd": (2.0e-4, 1e-5), "nash-md": (1.9e-4, 1e-5), "mmd": (2.0e-4, 1e-5), "egpo": (5.2e-8, 1e-9)}


@claim(
    "R3.facts",
    "rock, paper, scissors, μ = (.5, .3, .2), τ = .01: KL(π*,π) after 5,000 steps of .1; at η = 1 only EGPO settles",
    tolerance=0.5,
    because="in units of the last of the two printed digits: half a unit is rounding",
    twin="a tenth more than the stated step",
)
def facts(cases: Cases, twin: bool) -> Iterator[Observation]:
    game, tau = get("rps-weighted"), 0.01
    q = regularised_nash(game, tau).log_policy
    start = Case(game, tau, game.log_reference)
    for name, (known, unit) in FACTS.items():
        seen = oracle.kl(q, subject.last(REGISTRY[name], start, 0.11 if twin else 0.1, 5000))
        off = abs(seen - known) / unit
        yield Observation(off, lambda name=name, seen=seen: {"algorithm": name, "KL(π*,π) after 5,000 steps": seen})
    for name in ("omd", "nash-md", "mmd"):
        tail = [oracle.kl(q, x) for x in itertools.islice(subject.steps(REGISTRY[name], start, 1.0, 1000), 900, None)]
        off = max(0.0, 1.11 - min(tail), max(tail) - 1.19) / 0.01
        yield Observation(off, lambda name=name, tail=tail: {"algorithm": name, "range": [min(tail), max(tail)]})
    floor = oracle.l1(q, subject.last(REGISTRY["egpo"], start, 1.0, 1000))
    yield Observation(0.0 if floor < 1e-12 else 1.0, lambda: {"egpo at η = 1, ℓ₁ after 1,000 steps": floor})
    mantissa = 10 ** (_egpo_exact(1000) + 46)
    yield Observation(abs(mantissa - 8.7) / 0.1, lambda: {"10⁴⁶ KL in 400 bits": mantissa})


def _egpo_exact(steps: int) -> float:
    """log₁₀ KL(π*, π_t) of EGPO at η = 1 in 400-bit arithmetic."""
    from flint import arb, ctx

    bits, ctx.prec = ctx.prec, 400
    try:
        half, tau = arb(1) / 2, arb(1) / 100
        margins = [[arb(0), half, -half], [-half, arb(0), half], [half, -half, arb(0)]]
        mu = [(arb(k) / 10).log() for k in (5, 3, 2)]

        def normalised(log_p: list[Any]) -> list[Any]:
            total = sum((x.exp() for x in log_p), arb(0)).log()
            return [arb((x - total).mid()) for x in log_p]  # midpoints: here 400 bits are a number, not an enclosure

        def step(log_p: list[Any], log_at: list[Any], eta: Any) -> list[Any]:
            seen = [x.exp() for x in log_at]
            push = [sum((a * p for a, p in zip(row, seen, strict=True)), arb(0)) for row in margins]
            return normalised(
                [(1 - eta * tau) * x + eta * tau * m + eta * u for x, m, u in zip(log_p, mu, push, strict=True)]
            )

        log_p = normalised(mu)
        for t in range(steps + 3000):
            if t == steps:
                after = log_p
            log_p = step(log_p, step(log_p, log_p, arb(1)), arb(1))
        divergence = sum((x.exp() * (x - y) for x, y in zip(log_p, after, strict=True)), arb(0))
        return float(divergence.log().mid()) / float(np.log(10))
    finally:
        ctx.prec = bits


@claim(
    "R3.sppo",
    "SPPO's average iterate: unregularised gap ≤ log n/(ηT) + η/24; OMD(η) is MMD(η/(1−ητ)) exactly",
    tolerance=1e-12,
    because="averages of policies, rounding only",
    twin="the last iterate instead of the average",
)
def sppo(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in itertools.islice(cases.all("R3.sppo"), 60):
        game, step, steps = case.game, 0.5, 200
        uniform = np.full(game.n, -np.log(game.n))
        start = case._replace(log_policy=uniform, game=game.with_reference(None))
        environment = ExactEnvironment(game.margins)
        state: State = REGISTRY["sppo"].start(uniform)
        setting = Setting(uniform, uniform, 1.0, step, 0.0, 0.0)
        for t in range(steps):
            state = REGISTRY["sppo"].step(state, setting._replace(time=float(t)), environment)
        policy = np.exp(state["log_policy"] if twin else state["log_mean"])
        gap = float(np.max(game.margins @ policy))
        yield Observation(max(0.0, gap - np.log(game.n) / (step * steps) - step / 24), start.describe)
        tau = case.temperature
        eta = 0.5 / max(tau, 0.5)
        omd, mmd = (subject.last(REGISTRY[k], case, e) for k, e in (("omd", eta), ("mmd", eta / (1 - eta * tau))))
        yield Observation(oracle.l1(omd, mmd), case.describe)
    for n in (3, 11):
        game = PreferenceGame.from_margins(circulant_tournament(n))
        # τ = 0: the last iterate moves away from the equilibrium at every step, to the boundary
        case = Case(game, 0.0, np.log(random_policy(n, cases.rng("spiral"))))
        away = [oracle.kl(game.log_reference, x) for x in subject.steps(REGISTRY["omd"], case, 0.5, 2000)]
        rises = float(np.max(-np.diff(away))) <= 1e-12 and away[-1] > 3.0
        yield Observation(0.0 if rises else 1.0, lambda n=n: {"game": f"cyclic tournament {n}"})


@claim(
    "N3",
    "natural-gradient linearisation τ ± iλ_j; for every positive preconditioner C |Im z| ≤ (λ/τ) Re z, Re z ≤ τ d_max",
    tolerance=1e-9,
    because="eigenvalues of a matrix of norm about 1, conditioned like the policy's smallest mass at temperature .05",
    twin="frequencies that are a millionth larger",
)
def n3(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N3")
    for case in cases.all("N3", share=0.5):
        game, tau = case.game, max(case.temperature, 0.1)
        q = regularised_nash(game, tau).log_policy
        n = game.n
        across = np.eye(n) - np.ones((n, n)) / n
        push, slope = oracle.derivatives(game.margins, game.log_reference, tau, q)
        # the natural gradient field Aπ − τh, on θ modulo constants
        natural = np.linalg.eigvals(across @ push @ across)
        natural = natural[np.abs(natural) > 0.1 * tau]
        frequency = (1.0 + (1e-6 if twin else 0.0)) * game_frequency(game, q)
        expected = np.sort(frequency)[::-1][: natural.size]
        off = float(np.max(np.abs(np.sort(np.abs(natural.imag))[::-1] - expected), initial=0.0))
        off = max(off, float(np.max(np.abs(natural.real + tau), initial=0.0)))
        for _ in range(2):
            preconditioner = np.exp(rng.normal(size=n))
            z = -np.linalg.eigvals(slope / preconditioner[:, None])
            covariance = np.diag(np.exp(q)) - np.outer(np.exp(q), np.exp(q))
            largest = float(np.max(np.linalg.eigvals(covariance / preconditioner[:, None]).real))
            off = max(off, float(np.max(np.abs(z.imag) - game_frequency(game, q)[0] / tau * z.real, initial=0.0)))
            off = max(off, float(np.max(z.real, initial=0.0)) - tau * largest)
        yield Observation(off, case._replace(temperature=tau).describe)


@claim(
    "N4",
    "λ < 1/π for every preference matrix and policy, sharp: odd cyclic tournaments reach cot(π/2n)/(2n); n = 3 in full",
    tolerance=1e-12,
    because="singular values of a skew matrix of norm below 1/π",
    twin="a bound that is a thousandth below 1/π",
)
def n4(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N4")
    limit = (1.0 - (1e-3 if twin else 0.0)) / np.pi
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
    # a search does not beat it: hill climbing over policies from random tournaments
    for _ in range(5):
        n = int(rng.integers(3, 9))
        signs = np.triu(rng.choice([-0.5, 0.5], (n, n)), 1)
        game = PreferenceGame.from_margins(signs - signs.T, name="tournament")
        log_pi = np.log(random_policy(n, rng))
        for _ in range(30):
            trial = oracle.log_softmax(log_pi + 0.3 * rng.normal(size=n))
            if game_frequency(game, trial)[0] > game_frequency(game, log_pi)[0]:
                log_pi = trial
        case = Case(game, 1.0, log_pi)
        yield Observation(max(0.0, float(game_frequency(game, log_pi)[0]) - limit), case.describe)

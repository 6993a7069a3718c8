"""Claims about dynamics: R1-R3 and the facts beside them, N1-N3, N5, N6, N8-N11.

Algorithms are stepped in plain numpy through the registry; what they should do is written out here again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import AlgorithmSpec, Problem, Setting, State
from nashlab.algorithms import REGISTRY
from nashlab.algorithms import get as algorithm
from nashlab.arrays import geometric_mixture, kl, log_softmax
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import circulant_tournament, get
from nashlab.game import PreferenceGame
from nashlab.rates import game_frequency, local_rate, trajectory_rate
from nashlab.solve import solve

Array = NDArray[np.float64]


def _step(spec: AlgorithmSpec, case: Case, step_size: float, steps: int = 1, beta: float = 0.125) -> Iterator[Array]:
    """The log-policies of a run of the library's algorithm, after each step."""
    log_mu = case.game.log_reference
    setting = Setting(log_mu, log_mu, case.temperature, step_size, beta, 0.0)
    environment = ExactEnvironment(case.game.margins)
    state: State = spec.start(case.log_policy)
    for t in range(steps):
        state = spec.step(state, setting._replace(time=float(t)), environment)
        yield np.asarray(spec.answer(state, setting._replace(time=float(t + 1))))


def _last(spec: AlgorithmSpec, case: Case, step_size: float, steps: int = 1) -> Array:
    return deque(_step(spec, case, step_size, steps), maxlen=1)[0]


def _kl(log_p: Array, log_q: Array) -> float:
    return float(kl(log_p, log_q))


def _l1(log_p: Array, log_q: Array) -> float:
    return float(np.abs(np.exp(log_p) - np.exp(log_q)).sum())


# -- Nash-MD and its relatives ---------------------------------------------------------------------------------------


@claim(
    "R1",
    "Nash-MD, ητ ≤ 1: KL(π*,π₊) ≤ (1−ητ)KL(π*,π) + 2η²; with η_t = 2/(τ(t+2)): KL(π*,π_T) ≤ 8/(τ²(T+1))",
    tolerance=1e-12,
    because="divergences of normalised policies, rounding only",
    twin="the contraction (1−2ητ), as from a step taken twice",
)
def r1(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R1")
    spec = REGISTRY["nash-md"]
    for case in cases.all("R1"):
        tau = case.temperature
        q = regularised_nash(case.game, tau).log_policy
        for step in (float(rng.uniform(0, 1)) / tau, min(0.1, 1 / tau), min(0.01, 1 / tau)):
            after = _last(spec, case, step)
            contraction = 1 - (2 if twin else 1) * step * tau
            over = _kl(q, after) - contraction * _kl(q, case.log_policy) - 2 * step**2
            yield Observation(max(0.0, over) * min(1.0, tau), case.describe)
    for case in itertools.islice(cases.random("R1 decreasing"), 10):
        tau = max(case.temperature, 0.1)
        bound = [8 / (tau**2 * (t + 2)) for t in range(200)]
        yield Observation(max(0.0, float(np.max(_decreasing(case, tau) - bound))), case.describe)


def _decreasing(case: Case, tau: float) -> Array:
    """KL(π*, π_t) of Nash-MD with the steps η_t = 2/(τ(t+2)), t = 0..199."""
    q = regularised_nash(case.game, tau).log_policy
    log_pi, divergences = case.log_policy, []
    for t in range(200):
        log_pi = _last(REGISTRY["nash-md"], case._replace(log_policy=log_pi, temperature=tau), 2 / (tau * (t + 2)))
        divergences.append(_kl(q, log_pi))
    return np.array(divergences)


def _transitive_chain(n: int) -> Array:
    """Every response beats all that follow it."""
    upper = np.triu(np.ones((n, n)), 1)
    return 0.5 * (upper - upper.T)


@claim(
    "R2",
    "Nash-MD, ητ ≤ 1: KL(π*,π₊) ≤ (1−ητ)[KL(π*,π) − KL(m,π)] + η²/24, and the constant 1/24 is sharp",
    tolerance=1e-12,
    because="divergences of normalised policies; sharpness is tested at 1.5 % of the constant",
    twin="the constant 1/26",
)
def r2(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R2")
    constant = 1 / 26 if twin else 1 / 24
    spec = REGISTRY["nash-md"]
    for case in cases.all("R2"):
        tau = case.temperature
        q = regularised_nash(case.game, tau).log_policy
        for step in (float(rng.uniform(0, 1)) / tau, min(0.1, 1 / tau)):
            mixture = geometric_mixture(case.log_policy, case.game.log_reference, step * tau)
            inner = _kl(q, case.log_policy) - _kl(mixture, case.log_policy)
            over = _kl(q, _last(spec, case, step)) - (1 - step * tau) * inner - constant * step**2
            yield Observation(max(0.0, over) / max(1.0, step, abs(inner)), case.describe)
    yield from _iterated(cases, constant)
    # sharp: on a long chain, from the policy whose mixture is π* itself, the last term is all that there is
    chain = PreferenceGame.from_margins(_transitive_chain(200), name="transitive chain of 200")
    tau, step = 1.0, 0.05
    q = regularised_nash(chain, tau).log_policy
    start = log_softmax((q - step * tau * chain.log_reference) / (1 - step * tau))
    case = Case(chain, tau, start)
    left = _kl(q, _last(spec, case, step))
    yield Observation(max(0.0, left - constant * step**2, (1 - 0.015) * step**2 / 24 - left), case.describe)


def _iterated(cases: Cases, constant: float) -> Iterator[Observation]:
    """R2 many times over: the floor cη/τ at a constant step, and 4c/(τ²(T+1)) = 1/(6τ²(T+1)) with R1's steps."""
    for case in itertools.islice(cases.random("R2 iterated"), 10):
        tau = max(case.temperature, 0.1)
        bound = [4 * constant / (tau**2 * (t + 2)) for t in range(200)]
        yield Observation(max(0.0, float(np.max(_decreasing(case, tau) - bound))), case.describe)
        case = case._replace(temperature=tau)
        q, step = regularised_nash(case.game, tau).log_policy, 0.3 / tau
        start = _kl(q, case.log_policy)
        for t, log_pi in enumerate(_step(REGISTRY["nash-md"], case, step, 50), 1):
            over = _kl(q, log_pi) - (1 - step * tau) ** t * start - constant * step / tau
            yield Observation(max(0.0, over), case.describe)


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
    twin="the rate 1 − ητ that the global theorem gives, for every algorithm",
)
def r3(cases: Cases, twin: bool) -> Iterator[Observation]:
    game, tau, step = get("figure-6").with_reference([0.5, 0.3, 0.2]), 0.2, 0.4
    rng = cases.rng("R3")
    for name in MEASURED:
        rate = local_rate(name, game, tau, step_size=step, measure=False)
        assert rate is not None
        start = Case(game, tau, log_softmax(rate.fixed_point + 1e-3 * rng.normal(size=game.n)))
        path = np.exp(np.array(list(_step(REGISTRY[name], start, step, 1200))))
        measured = trajectory_rate(path - np.exp(rate.fixed_point)) or np.nan
        predicted = 1 - step * tau if twin else rate.predicted

        def describe(name: str = name, predicted: float = predicted, measured: float = measured) -> dict[str, Any]:
            return {"algorithm": name, "game": "figure-6", "predicted": predicted, "measured": measured}

        yield Observation(abs(predicted - measured), describe)


def _jacobian(spec: AlgorithmSpec, case: Case, step: float) -> Array:
    """The derivative of one step at case.log_policy by central differences, on log π (constants map to 0)."""
    h = 1e-5 * np.eye(case.game.n)
    ahead, behind = (
        _last(spec, case._replace(log_policy=log_softmax(case.log_policy + sign * h)), step) for sign in (1, -1)
    )
    return np.asarray((ahead - behind).T / 2e-5)


def _radius(name: str, case: Case, step: float) -> float:
    return float(np.max(np.abs(np.linalg.eigvals(_jacobian(REGISTRY[name], case, step)))))


@claim(
    "R3.local",
    "radii: OMD |1−ητ+iηλ|, MMD |1+iηλ|/(1+ητ), EGPO |a−b²+iab|, Nash-MD (1−ητ)|1+iηλ'|; OMD stable iff η < 2τ/(τ²+λ²)",
    tolerance=2e-6,
    because="central differences of width 1e-5, conditioned like the root of π*'s smallest mass at temperature .1",
    twin="EGPO's radius without its second-order term: |a+iab|",
)
def r3_local(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("R3.local")
    for case in cases.all("R3.local", share=0.25):
        game, tau = case.game, max(case.temperature, 0.1)
        step = float(rng.uniform(0.05, 0.9)) / max(tau, 0.3)
        q, q_hot = (regularised_nash(game, t).log_policy for t in (tau, tau / (1 - step * tau)))
        case = case._replace(temperature=tau, log_policy=q)
        # the n-th, smallest frequency is that of the constants, which are no direction of a policy
        frequency, hot = game_frequency(game, q)[:-1], game_frequency(game, q_hot)[:-1]
        a, b = 1 - step * tau, step * frequency
        expected = {
            "omd": np.abs(a + 1j * b),
            "mmd": np.abs(1 + 1j * b) / (1 + step * tau),
            "egpo": np.abs(a - (0.0 if twin else b**2) + 1j * a * b),
        }
        off = max(abs(_radius(name, case, step) - float(np.max(rho))) for name, rho in expected.items())
        displaced = log_softmax(game.log_reference + game.margins @ np.exp(q_hot) / tau)
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
    start = Case(game, 0.0, log_softmax(game.log_reference + 1e-6 * np.array([1.0, -1.0, 0.0])))
    for share in (0.9, 1.1):
        step = share / np.sqrt(3) / top
        size = [float(np.linalg.norm(x - game.log_reference)) for x in _step(REGISTRY["omwu"], start, step, 60)]
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
        before = _kl(q, case.log_policy)
        for share in (1.0, float(rng.uniform(0, 1))):
            largest = {"egpo": 1 / (1 + tau), "mmd": 4 * tau, "omd": 4 * tau / (1 + 4 * tau**2)}
            for name, edge in largest.items():
                step = share * edge
                factor = 1 / (1 + step * tau) if name == "mmd" else 1 - step * tau
                over = _kl(q, _last(REGISTRY[name], case, step)) - factor**power * before
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
        seen = _kl(q, _last(REGISTRY[name], start, 0.11 if twin else 0.1, 5000))
        off = abs(seen - known) / unit
        yield Observation(off, lambda name=name, seen=seen: {"algorithm": name, "KL(π*,π) after 5,000 steps": seen})
    for name in ("omd", "nash-md", "mmd"):
        tail = [_kl(q, x) for x in itertools.islice(_step(REGISTRY[name], start, 1.0, 1000), 900, None)]
        off = max(0.0, 1.11 - min(tail), max(tail) - 1.19) / 0.01
        yield Observation(off, lambda name=name, tail=tail: {"algorithm": name, "range": [min(tail), max(tail)]})
    floor = _l1(q, _last(REGISTRY["egpo"], start, 1.0, 1000))
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
            return [arb((x - total).mid()) for x in log_p]  # midpoints: 400 bits are a number here, not an enclosure

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
    "N8",
    "Nash-MD exactly: KL(q,π₊) = (1−ητ)[KL(q,π) − KL(m,π)] − ητ KL(m,q) + log E_m e^{η(p(·≻m) − ½)}",
    tolerance=1e-10,
    because="an identity between divergences of size up to 1/τ, at an equilibrium right to 1e-12",
    twin="the term ητ KL(m,q) left out",
)
def n8(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N8")
    for case in cases.all("N8"):
        tau = case.temperature
        step = float(rng.uniform(0.05, 1)) / max(tau, 0.3)
        q = regularised_nash(case.game, tau).log_policy
        m = geometric_mixture(case.log_policy, case.game.log_reference, step * tau)
        tilt = float(np.log(np.sum(np.exp(m + step * (case.game.margins @ np.exp(m))))))
        right = (1 - step * tau) * (_kl(q, case.log_policy) - _kl(m, case.log_policy)) + tilt
        if not twin:
            right -= step * tau * _kl(m, q)
        yield Observation(abs(_kl(q, _last(REGISTRY["nash-md"], case, step)) - right), case.describe)


@claim(
    "N9",
    "under y ~ m, p(y ≻ m) is below Uniform(0,1) in convex order: Var ≤ (1 − Σm³)/12, log E e^{η(p−½)} ≤ η²/24; sharp",
    tolerance=1e-12,
    because="expectations of n terms; sharpness is tested to 1e-9 (the chain's variance is (1 − Σm³)/12 exactly)",
    twin="the variance bound (1 − Σm²)/12",
)
def n9(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N9")
    thresholds = np.linspace(0, 1, 101)
    for case in cases.all("N9"):
        m = np.exp(case.log_policy)
        win = case.game.preferences @ m
        power = 2 if twin else 3
        variance = float(m @ (win - 0.5) ** 2) - (1 - np.sum(m**power)) / 12
        step = float(10 ** rng.uniform(-1, 1))
        tilt = float(np.log(m @ np.exp(step * (win - 0.5))))
        sinh = float(np.log(np.sinh(step / 2) / (step / 2)))
        stop_loss = np.maximum(win[None, :] - thresholds[:, None], 0) @ m - 0.5 * (1 - thresholds) ** 2
        # a set of mass w collects at most w − w²/2 of win mass
        order = np.argsort(-win)
        mass, collected = np.cumsum(m[order]), np.cumsum((m * win)[order])
        sets = float(np.max(collected - mass + mass**2 / 2))
        off = max(variance, tilt - sinh, sinh - step**2 / 24, float(np.max(stop_loss)), sets)
        yield Observation(max(0.0, off), case.describe)
    for n in (2, 5, 50):
        chain = PreferenceGame.from_margins(_transitive_chain(n), name=f"transitive chain of {n}")
        m = random_policy(n, rng)
        variance = float(m @ (chain.margins @ m) ** 2)
        power = 2 if twin else 3
        yield Observation(abs(variance - (1 - np.sum(m**power)) / 12), Case(chain, 1.0, np.log(m)).describe)


@claim(
    "N10",
    "constant-step Nash-MD ends at BR_τ(π*_τ'), τ' = τ/(1−ητ); its mixtures are MMD(η, τ') and OMD(η(1−ητ), τ')",
    tolerance=1e-9,
    because="fixed points are tested by one step, right to 1e-12/τ; sequences agree to rounding over 20 steps",
    twin="π*_τ as the fixed point",
)
def n10(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N10")
    spec = REGISTRY["nash-md"]
    for case in cases.all("N10", share=0.5):
        game, tau, _ = case
        step = float(rng.uniform(0.05, 0.9)) / max(tau, 0.3)
        hot = tau / (1 - step * tau)
        q, q_hot = (regularised_nash(game, t).log_policy for t in (tau, hot))
        limit = q if twin else log_softmax(game.log_reference + game.margins @ np.exp(q_hot) / tau)
        still = _l1(_last(spec, case._replace(log_policy=limit), step), limit)
        assert spec.target is not None
        stated = spec.target(Problem(game, tau, step, 0.1, game.log_reference))
        declared = np.inf if stated is None else _l1(stated, limit)
        biased = max(0.0, _l1(limit, q) - step / (4 * np.sqrt(3) * tau))
        yield Observation(max(still, declared, biased), case.describe)

        yield Observation(_mixtures_apart(case, step), case.describe)
    for case in itertools.islice(cases.random("N10 de-biased", max_n=6), 10):
        tau = max(case.temperature, 0.3)
        # MMD contracts for η ≤ 4τ, here by 1.3 at least
        found = _last(REGISTRY["nash-md-debiased"], case._replace(temperature=tau), 1.0, 200)
        yield Observation(_l1(found, regularised_nash(case.game, tau).log_policy), case.describe)


def _mixtures_apart(case: Case, step: float) -> float:
    """How far Nash-MD's mixtures get, in 20 steps, from MMD and OMD written out, and the de-biased form's from MMD."""
    log_mu, tau = case.game.log_reference, case.temperature
    hot, eta = tau / (1 - step * tau), step * (1 - step * tau)

    def push(log_p: Array) -> Array:
        return case.game.margins @ np.exp(log_p)

    mmd = omd = geometric_mixture(case.log_policy, log_mu, step * tau)
    worst = 0.0
    for log_pi in _step(REGISTRY["nash-md"], case, step, 20):
        mmd = log_softmax((mmd + step * hot * log_mu + step * push(mmd)) / (1 + step * hot))
        omd = log_softmax((1 - eta * hot) * omd + eta * hot * log_mu + eta * push(omd))
        mixture = geometric_mixture(log_pi, log_mu, step * tau)
        worst = max(worst, _l1(mixture, mmd), _l1(mixture, omd))
    share = step * tau / (1 + step * tau)
    mmd = geometric_mixture(case.log_policy, log_mu, share)
    for log_m in _step(REGISTRY["nash-md-debiased"], case, step, 20):
        mmd = log_softmax((mmd + step * tau * log_mu + step * push(mmd)) / (1 + step * tau))
        worst = max(worst, _l1(log_m, mmd))
    return worst


@claim(
    "N11",
    "MMD one step: (1+ητ)KL(q,π₊) + ητKL(π₊‖μ) = KL(q,π) + ητKL(π‖μ) + ψ − ητKL(π‖q) − KL(π₊‖π̂), ψ ≤ η²/24",
    tolerance=1e-10,
    because="an identity between divergences of size up to 1/τ, at an equilibrium right to 1e-12",
    twin="a KL(π‖q) that is a millionth larger",
)
def n11(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N11")
    for case in cases.all("N11"):
        game, tau, log_pi = case
        step = float(rng.uniform(0.05, 3))
        q, log_mu = regularised_nash(game, tau).log_policy, game.log_reference
        after = _last(REGISTRY["mmd"], case, step)
        win = game.margins @ np.exp(log_pi)
        ahead = log_softmax(log_pi + step * win)
        psi = float(np.log(np.sum(np.exp(log_pi + step * win))))
        left = (1 + step * tau) * _kl(q, after) + step * tau * _kl(after, log_mu)
        middle = (1.0 + (1e-6 if twin else 0.0)) * _kl(log_pi, q)
        right = _kl(q, log_pi) + step * tau * (_kl(log_pi, log_mu) - middle) + psi - _kl(after, ahead)
        scale = 1 + step * tau
        yield Observation(max(abs(left - right) / scale, psi - step**2 / 24, 0.0), case.describe)


# -- the gradient flow of online IPO ---------------------------------------------------------------------------------


def _field(case: Case, theta: Array) -> Array:
    """g = D_π(Aπ − τh), written out."""
    log_pi = log_softmax(theta)
    pi = np.exp(log_pi)
    push = case.game.margins @ pi - case.temperature * (log_pi - case.game.log_reference)
    return np.asarray(pi * (push - pi @ push))


@claim(
    "N1",
    "along θ̇ = g, Σθ is constant and V = Σ q e^{−θ} obeys V̇ = −(τ/Σe^θ) SymKL(π); at τ = 0 V is conserved",
    tolerance=1e-9,
    because="V̇ is −Σ q e^{−θ} g, relative to V; orbits at τ = 0 are integrated to 1e-12 a step",
    twin="a SymKL of which KL(q‖π) is a thousandth smaller",
)
def n1(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N1")
    library = REGISTRY["online-ipo"]
    for case in cases.all("N1"):
        game, tau, log_pi = case
        q = regularised_nash(game, tau).log_policy
        theta = log_pi - np.mean(log_pi)
        g = _field(case, theta)
        slope = -float(np.sum(np.exp(q - theta) * g))
        divergence = _kl(log_pi, q) + (0.999 if twin else 1.0) * _kl(q, log_pi)
        value = float(np.sum(np.exp(q - theta)))
        off = abs(slope + tau / np.sum(np.exp(theta)) * divergence) / value
        # the library's online IPO is this field
        moved = _last(library, case, 1e-3)
        ours = log_softmax(log_pi + 1e-3 * g)
        yield Observation(max(off, abs(float(np.sum(g))), _l1(moved, ours)), case.describe)
    yield from _flows(cases, rng)


def _flows(cases: Cases, rng: np.random.Generator) -> Iterator[Observation]:
    from scipy.integrate import solve_ivp

    for case in itertools.islice(cases.random("N1 flow", max_n=5), 8):
        tau = max(case.temperature, 0.1)
        case = case._replace(temperature=tau)
        q = regularised_nash(case.game, tau).log_policy
        # the slowest mode near π* decays at τ · min π* or faster
        end = 60 / (tau * min(float(np.exp(np.min(q))), 0.01))
        flow = solve_ivp(lambda t, x: _field(case, x), (0, end), case.log_policy, "LSODA", rtol=1e-8, atol=1e-10)  # noqa: B023
        value = np.sum(np.exp(q[:, None] - (flow.y - flow.y.mean(axis=0))), axis=0)
        rises = float(np.max(np.diff(value), initial=0.0)) / float(value[-1])
        yield Observation(0.0 if rises < 1e-9 and _l1(log_softmax(flow.y[:, -1]), q) < 1e-6 else 1.0, case.describe)
    for game in (get("figure-6"), get("weighted-cycle")):
        # τ = 0: self-play orbits on a level set of V
        case = Case(game, 0.0, np.log(random_policy(3, rng)))
        q = np.log([1 / 3, 2 / 9, 4 / 9] if game.name == "figure-6" else [1 / 3, 1 / 6, 1 / 2])
        flow = solve_ivp(lambda t, x: _field(case, x), (0, 200), case.log_policy, "DOP853", rtol=1e-12, atol=1e-12)  # noqa: B023
        value = np.sum(np.exp(q[:, None] - flow.y), axis=0)
        yield Observation(float(np.ptp(value)) / float(value[0]), case.describe)


@claim(
    "N2",
    "constant step η ≤ τ/(3(1+2τ²(1+L₀))) on g: V falls by at least .4 ητ SymKL/Σe^θ each step, from any start",
    tolerance=1e-13,
    because="relative to V, whose rounding is n·1e-16",
    twin="a decrease of 1.2 ητ SymKL/Σe^θ",
)
def n2(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N2")
    for case in cases.all("N2"):
        game, tau, _ = case
        n = game.n
        q, log_mu = regularised_nash(game, tau).log_policy, game.log_reference
        step = tau / (3 * (1 + 2 * tau**2 * (1 + 1 / tau - float(np.min(log_mu)))))
        # 200 starts at a time, near and far
        start = q + 10.0 ** rng.uniform(-2, 1.3, (200, 1)) * rng.normal(size=(200, n))
        theta = start - start.mean(axis=1, keepdims=True)
        for _ in range(3):
            log_pi = log_softmax(theta)
            pi = np.exp(log_pi)
            push = pi @ game.margins.T - tau * (log_pi - log_mu)
            g = pi * (push - np.sum(pi * push, axis=1, keepdims=True))
            log_weight = q - theta
            # V₊ − V through expm1: V itself may be huge
            top = np.max(log_weight, axis=1, keepdims=True)
            fall = -np.sum(np.exp(log_weight - top) * np.expm1(-step * g), axis=1)
            value = np.sum(np.exp(log_weight - top), axis=1)
            symmetric = np.sum((pi - np.exp(q)) * (log_pi - q), axis=1)
            total = np.log(np.sum(np.exp(theta), axis=1)) + top[:, 0]
            needed = (1.2 if twin else 0.4) * step * tau * symmetric * np.exp(-total)
            yield Observation(float(np.max((needed - fall) / value, initial=0.0)), case.describe)
            theta = theta + step * g


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
        push, slope = _derivatives(game, tau, q)
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


def _derivatives(game: PreferenceGame, tau: float, log_q: Array) -> tuple[Array, Array]:
    """The Jacobians at log q of the fields r = Aπ − τh and D_π r in θ: by complex steps, exact to rounding."""
    theta = log_q[:, None] + 1e-30j * np.eye(game.n)
    weight = np.exp(theta)
    pi = weight / weight.sum(axis=0)
    push = game.margins @ pi - tau * (theta - game.log_reference[:, None])
    field = pi * (push - np.sum(pi * push, axis=0))
    return np.asarray(push.imag / 1e-30), np.asarray(field.imag / 1e-30)


# -- momentum --------------------------------------------------------------------------------------------------------


def _momentum_radius(alpha: float, omega: float, step: float, momentum: float, averaged: bool) -> float:
    """The spectral radius of x₊ = x − a v, v = m v + (1 or 1−m) z x, for z = α + iω, from its companion matrix."""
    z = complex(alpha, omega)
    gain = step * z * ((1 - momentum) if averaged else 1.0)
    companion = np.array([[1 + momentum - gain, -momentum], [1.0, 0.0]])
    return float(np.max(np.abs(np.linalg.eigvals(companion))))


@claim(
    "N5",
    "heavy ball is stable iff (1 − aα/(1+m))² + (aω/(1−m))² < 1; averaged iff aω < 1 and u₋ < u < u₊, u = (1+m)/(1−m)",
    tolerance=1e-6,
    because="spectral radii at 1e-4 on either side of the predicted edge; printed radii have six decimals",
    twin="the condition without momentum's factors 1 ± m",
)
def n5(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N5")
    for k in range(max(50, cases.samples)):
        alpha, omega, step = (float(10 ** rng.uniform(-3, 0)) for _ in range(3))
        m = float(rng.uniform(-0.9, 0.95))
        if k % 2:  # near heavy ball's edge, where a wrong condition shows
            real, imaginary = alpha / (1 + m), omega / (1 - m)
            step = 2 * real / (real**2 + imaginary**2) * float(np.exp(0.3 * rng.normal()))
        up, down = (1.0, 1.0) if twin else (1 + m, 1 - m)
        heavy = (1 - step * alpha / up) ** 2 + (step * omega / down) ** 2
        radius = _momentum_radius(alpha, omega, step, m, averaged=False)
        wrong = abs(heavy - 1) > 1e-6 and abs(radius - 1) > 1e-9 and (heavy < 1) != (radius < 1)
        u, root = (1 + m) / (1 - m), np.sqrt(complex(1 - step**2 * omega**2)).real
        low, high = (alpha * (1 + s * root) / (step * omega**2) for s in (-1, 1))
        averaged = step * omega < 1 and low < u < high
        mean_radius = _momentum_radius(alpha, omega, step, m, averaged=True)
        clear = min(abs(u / low - 1), abs(u / high - 1)) > 1e-6 and abs(mean_radius - 1) > 1e-9
        wrong = wrong or (clear and not twin and averaged != (mean_radius < 1))
        parameters = {"alpha": alpha, "omega": omega, "step": step, "momentum": m}
        yield Observation(1.0 if wrong else 0.0, lambda parameters=parameters: parameters)
    yield from _critical_momentum()


def _critical_momentum() -> Iterator[Observation]:
    """Rock, paper, scissors, uniform μ, τ = .1, a = 1, averaged momentum: m_c = .7556, on the field and linearised."""
    from scipy.optimize import brentq

    game, tau = get("rps"), 0.1
    # D at the uniform policy is I/3 on the tangent, so z = (τ ± iλ)/3
    frequency = float(game_frequency(game, game.log_reference)[0])
    alpha, omega = tau / 3, frequency / 3
    edge = brentq(lambda m: _momentum_radius(alpha, omega, 1.0, m, averaged=True) - 1, 0.5, 0.9)
    yield Observation(max(0.0, abs(edge - 0.7556) - 5e-5), lambda: {"critical averaged momentum": edge})
    heavy = brentq(lambda m: _momentum_radius(alpha, omega, 1.0, m, averaged=False) - 1, 0.3, 0.9)
    formula = (1 - alpha / (1 + heavy)) ** 2 + (omega / (1 - heavy)) ** 2
    yield Observation(abs(formula - 1), lambda: {"critical momentum of the heavy ball": heavy})
    for m, printed in ((0.7506, 0.999477), (0.7606, 1.000530)):
        radius = _momentum_radius(alpha, omega, 1.0, m, averaged=True)
        yield Observation(max(0.0, abs(radius - printed) - 5e-7), lambda m=m, r=radius: {"m": m, "radius": r})
    # the real, nonlinear iteration near its fixed point grows or shrinks accordingly, on both sides of both edges
    for averaged, critical in ((True, edge), (False, heavy)):
        for m in (critical - 0.005, critical + 0.005):
            radius = _momentum_radius(alpha, omega, 1.0, m, averaged=averaged)
            spec = algorithm(f"online-ipo+{'averaged-' if averaged else ''}momentum:{m}")
            rate = local_rate(spec, game, tau, step_size=1.0)
            assert rate is not None
            assert rate.measured is not None
            wrong = (rate.measured < 1) != (m < critical)
            off = max(abs(rate.predicted - radius), max(0.0, abs(rate.measured - radius) - 2e-6))
            yield Observation(
                1.0 if wrong else off,
                lambda m=m, g=rate.measured, averaged=averaged: {"m": m, "averaged": averaged, "measured growth": g},
            )
    # τ ≪ λ: β₁ = .9 shrinks the stable step about (1+β₁)/(1−β₁) = 19-fold
    alpha = 1e-4 * omega
    plain, slow = (
        brentq(lambda a: _momentum_radius(alpha, omega, a, m, averaged=True) - 1, 1e-8, 0.5)  # noqa: B023
        for m in (0.0, 0.9)
    )
    yield Observation(max(0.0, abs(plain / slow - 19) - 0.01), lambda: {"stable steps": [plain, slow]})


@claim(
    "N6",
    "in the OMD geometry r* = λ/(τ+√(τ²+λ²)), momentum m = −r*², step (1−r*²)/τ give local rate r*, the best of all",
    tolerance=1e-6,
    because="a double root: spectral radii and measured slopes are right to the root of rounding",
    twin="the positive momentum m = +r*²",
)
def n6(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N6")
    steps, momenta = np.geomspace(0.03, 30, 61), np.linspace(-0.98, 0.98, 50)
    for _ in range(max(10, cases.samples // 8)):
        tau, frequency = float(10 ** rng.uniform(-2, 0)), float(rng.uniform(0.01, 1 / np.pi))
        best = frequency / (tau + np.sqrt(tau**2 + frequency**2))
        m, step = (1 if twin else -1) * best**2, (1 - best**2) / tau
        off = abs(float(_segment_rate(tau, frequency, step, m)) - best)
        # no (step, momentum) of a grid does better
        rivals = _segment_rate(tau, frequency, steps[:, None] / tau, momenta[None, :])
        beaten = best - float(np.min(rivals))
        yield Observation(max(off, beaten, 0.0), lambda tau=tau, f=frequency: {"τ": tau, "λ": f})
    for ratio in (0.4, 1.0):
        # nor does any polynomial: the least residual of all of degree k falls by r* a degree
        best = 1 / (ratio + np.sqrt(ratio**2 + 1))
        floor = _least_residual(ratio, 1.0, 16)
        fall = np.sqrt(floor[-1] / floor[-3])
        yield Observation(max(0.0, abs(fall - best) - 1e-4), lambda r=ratio, f=fall: {"τ/λ": r, "least fall": f})
    yield _best_momentum_on_a_game(rng, twin)


def _segment_rate(tau: float, frequency: float, step: Any, momentum: Any) -> Array:
    """The rate of heavy ball on the whole spectrum τ + i[−λ, λ]: the largest root of x² − (1+m−ηz)x + m, any shape."""
    z = tau + 1j * np.linspace(0, frequency, 9).reshape(-1, 1, 1)
    middle = 0.5 * (1 + momentum - step * z)
    root = np.sqrt(middle**2 - momentum)
    return np.squeeze(np.max(np.maximum(np.abs(middle + root), np.abs(middle - root)), axis=0))


def _least_residual(tau: float, frequency: float, degree: int) -> list[float]:
    """min ‖p(z)‖ over polynomials of each degree with p(0) = 1, in mean square over τ + i[−λ, λ]: by Gram-Schmidt.

    A mean is below a maximum, so this bounds from below what any method of that many gradients can do.
    """
    nodes = 8 * degree
    z = tau + 1j * frequency * np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    residual, direction = np.ones(nodes, dtype=complex), z
    basis: list[NDArray[np.complex128]] = []
    sizes: list[float] = []
    for _ in range(degree):
        for _ in range(2):  # once more: the first pass leaves rounding
            for v in basis:
                direction = direction - v * np.vdot(v, direction)
        basis.append(direction / np.linalg.norm(direction))
        residual = residual - basis[-1] * np.vdot(basis[-1], residual)
        sizes.append(float(np.linalg.norm(residual)))
        direction = z * basis[-1]
    return sizes


def _best_momentum_on_a_game(rng: np.random.Generator, twin: bool) -> Observation:
    """Parameter-free on a real game: λ = 1/π gives the rate e^{−arcsinh(πτ)}."""
    game, tau = get("circulant-41"), 0.1
    best = float(np.exp(-np.arcsinh(np.pi * tau)))
    log_mu = game.log_reference
    start = log_softmax(log_mu + 1e-3 * rng.normal(size=game.n))
    spec = algorithm(f"online-ipo-entropic+momentum:{(1 if twin else -1) * best**2}")
    run = solve(spec, game, tau, step_size=(1 - best**2) / tau, steps=70, start=start)
    sizes = run.history["distance"][1:]
    # every root of the segment has modulus r*; windows of ten, because they turn
    slope = (max(sizes[60:]) / max(sizes[20:30])) ** (1 / 40)
    describe = {"game": game.name, "measured": slope, "r*": best}
    return Observation(max(0.0, abs(slope - best) - 0.01), lambda: describe)


@claim(
    "R3.sppo",
    "SPPO's average iterate: unregularised gap ≤ log n/(ηT) + η/24; OMD(η) is MMD(η/(1−ητ)) exactly",
    tolerance=1e-12,
    because="averages of policies, rounding only",
    twin="the last iterate in the place of the average",
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
        omd, mmd = (_last(REGISTRY[k], case, e) for k, e in (("omd", eta), ("mmd", eta / (1 - eta * tau))))
        yield Observation(_l1(omd, mmd), case.describe)
    for n in (3, 11):
        game = PreferenceGame.from_margins(circulant_tournament(n))
        # τ = 0: the last iterate moves away from the equilibrium at every step, to the boundary
        case = Case(game, 0.0, np.log(random_policy(n, cases.rng("spiral"))))
        away = [_kl(game.log_reference, x) for x in _step(REGISTRY["omd"], case, 0.5, 2000)]
        rises = float(np.max(-np.diff(away))) <= 1e-12 and away[-1] > 3.0
        yield Observation(0.0 if rises else 1.0, lambda n=n: {"game": f"cyclic tournament {n}"})

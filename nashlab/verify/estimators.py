"""Claims about sampled feedback: unbiasedness, L10, N7, N17; expectations are enumerated, never simulated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import SAMPLERS, Objective, Pairwise, Setting
from nashlab.algorithms import REGISTRY
from nashlab.environment import ExactEnvironment, estimate
from nashlab.gallery import FAMILIES, random_game
from nashlab.losses import ipo
from nashlab.verify.claim import Case, Cases, Observation, claim, random_policy

Array = NDArray[np.float64]


def _setting(case: Case, beta: float, log_behaviour: Array) -> Setting:
    return Setting(case.game.log_reference, log_behaviour, case.temperature, 1.0, beta, 0.0)


def _batch(objective: Objective, case: Case, setting: Setting, drawn: tuple[int, ...], labels: Array) -> Array:
    """The library's estimate from k responses of one sampler, all pairs annotated, each speaking for both orders."""
    first, second = np.triu_indices(len(drawn), 1)
    left, right = np.array(drawn)[first], np.array(drawn)[second]
    both = np.concatenate([left, right]), np.concatenate([right, left])
    return np.asarray(estimate(objective, case.log_policy, setting, *both, np.concatenate([labels, 1 - labels])))


@claim(
    "L10.unbiased",
    "every sampled algorithm's estimate has the exact gradient as its mean: soft and hard labels, 2 and 3 completions",
    tolerance=1e-12,
    because="a sum over all draws of responses and annotations; relative to the largest term, τ⁻² for IPO",
    twin="the labels of each pair swapped",
)
def unbiased(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L10.unbiased")
    for spec in REGISTRY.values():
        if spec.objective is None or spec.judge == "reward":
            continue
        case = next(cases.random(f"L10.unbiased {spec.name}", min_n=3, max_n=3))
        game, n = case.game, case.game.n
        setting = _setting(case, 0.3, np.log(random_policy(n, rng)))
        state = {**spec.start(case.log_policy), "log_average": np.log(random_policy(n, rng))}
        log_left, log_right = (SAMPLERS[side](state, setting) for side in (spec.left, spec.right))
        exact = ExactEnvironment(game.margins).pull(spec.objective, case.log_policy, log_left, log_right, setting)
        p = 1.0 - game.preferences if twin else game.preferences
        means = [np.zeros(n), np.zeros(n)]
        for y, z in itertools.product(range(n), repeat=2):
            mass = np.exp(log_left[y] + log_right[z])
            one = np.array([y]), np.array([z])
            means[0] += mass * estimate(spec.objective, case.log_policy, setting, *one, np.array([p[y, z]]))
            for label in (0.0, 1.0):
                chance = p[y, z] if label else 1 - p[y, z]
                means[1] += mass * chance * estimate(spec.objective, case.log_policy, setting, *one, np.array([label]))
        if spec.left == spec.right:
            means.append(np.zeros(n))
            for drawn in itertools.product(range(n), repeat=3):
                labels = np.array([p[drawn[i], drawn[j]] for i, j in zip(*np.triu_indices(3, 1), strict=True)])
                mass = np.exp(sum(log_left[y] for y in drawn))
                means[-1] += mass * _batch(spec.objective, case, setting, drawn, labels)
        scale = 1.0 + np.max(np.abs(exact)) + case.temperature**-2
        off = max(float(np.max(np.abs(mean - exact))) for mean in means) / scale

        def describe(case: Case = case, name: str = spec.name) -> dict[str, Any]:
            return {"algorithm": name, **case.describe()}

        yield Observation(off, describe)


def _moments(values: Array, mass: Array) -> tuple[Array, float]:
    """(mean, total variance) of vectors [n, n, d] under a mass [n, n]."""
    mean = np.einsum("ij,ijd->d", mass, values)
    return mean, float(np.einsum("ij,ijd->", mass, values**2) - mean @ mean)


def _terms(case: Case) -> tuple[Array, Array, Array, Array]:
    """(mass, f, X₁, X₂) over all pairs of online IPO, with f = P − ½ − τ(h − h'), X₁ = s(y)f, X₂ = −s(y')f."""
    game, tau, log_pi = case
    pi, h = np.exp(log_pi), log_pi - game.log_reference
    f = game.margins - tau * (h[:, None] - h[None, :])
    scores = np.eye(game.n) - pi[None, :]
    return np.outer(pi, pi), f, scores[:, None, :] * f[:, :, None], -scores[None, :, :] * f[:, :, None]


@claim(
    "L10",
    "the contrast (X₁+X₂)/2 never has more variance than X₁, and at most half iff E[s·s' f²] + |E X₁|² ≥ 0",
    tolerance=1e-12,
    because="variances of size 1/τ² at most, by enumeration; relative to them",
    twin="the contrast with the second score added instead of subtracted",
)
def l10(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.all("L10"):
        mass, f, x1, x2 = _terms(case)
        contrast = 0.5 * (x1 - x2 if twin else x1 + x2)
        mean, single = _moments(x1, mass)
        both_mean, both = _moments(contrast, mass)
        scale = 1.0 + single
        scores = np.eye(case.game.n) - np.exp(case.log_policy)[None, :]
        condition = float(np.sum(mass * (scores @ scores.T) * f**2)) + float(mean @ mean)
        gap = both - 0.5 * single  # = −condition/2
        off = max(both - single, abs(gap + 0.5 * condition), float(np.max(np.abs(mean - both_mean)))) / scale
        # the library's estimator is this contrast, up to IPO's unit
        library = (
            np.array(
                [
                    [
                        estimate(
                            Pairwise(ipo),
                            case.log_policy,
                            _setting(case, 0.0, case.game.log_reference),
                            np.array([y]),
                            np.array([z]),
                            np.array([case.game.preferences[y, z]]),
                        )
                        for z in range(case.game.n)
                    ]
                    for y in range(case.game.n)
                ]
            )
            if case.game.n <= 4
            else contrast * 4 / case.temperature
        )
        off = max(off, float(np.max(np.abs(library * case.temperature / 4 - contrast))) / scale)
        # sampling noise and annotation noise: hard labels add exactly E[|s − s'|² p(1 − p)]/4 to the variance
        p, apart = case.game.preferences, scores[:, None, :] - scores[None, :, :]
        length = np.sum(apart**2, axis=2)
        hard = sum(
            float(np.sum(mass * chance * length * (f + label - p) ** 2)) / 4 for label, chance in ((1, p), (0, 1 - p))
        )
        noise = float(np.sum(mass * length * p * (1 - p))) / 4
        if not twin:
            off = max(off, abs(hard - float(both_mean @ both_mean) - both - noise) / scale)
        yield Observation(off, case.describe)
    yield from _shares(cases)
    even = Case(random_game("uniform", 2, cases.rng("L10 even")), 0.3, np.log([0.5, 0.5]))
    _, _, x1, x2 = _terms(even)
    yield Observation(float(np.max(np.abs(x1 - x2))), even.describe)


def _shares(cases: Cases) -> Iterator[Observation]:
    """How often D.1 holds, and how often Nash-MD-PG's own integrand beats the contrast, by family: a measurement."""
    rng, shares = cases.rng("L10 shares"), {}
    for family in FAMILIES:
        seen = []
        for _ in range(max(10, cases.samples // 4)):
            n = int(rng.integers(2, 9))
            game = random_game(family, n, rng).with_reference(random_policy(n, rng))
            case = Case(game, float(rng.choice([0.1, 0.3, 1.0])), np.log(random_policy(n, rng)))
            mass, f, x1, x2 = _terms(case)
            scores = np.eye(n) - np.exp(case.log_policy)[None, :]
            own = game.margins - case.temperature * (case.log_policy - game.log_reference)[:, None]
            d1 = float(np.sum(mass * (scores @ scores.T) * f**2)) >= 0
            alone = _moments(scores[:, None, :] * own[:, :, None], mass)[1]
            seen.append((d1, alone < _moments(0.5 * (x1 + x2), mass)[1]))
        shares[family] = [float(x) for x in np.mean(seen, axis=0)]
    yield Observation(0.0, lambda: {"share with D.1, share where Nash-MD-PG has less variance": shares}, witness=True)


@claim(
    "N17",
    "k completions, all pairs, against k/2 fresh pairs: variance ratio (1 + 2(k−2)ρ)/(k−1), ρ ∈ [0, ½]; the best k",
    tolerance=1e-9,
    because="enumeration of all nᵏ draws; the best k is found again by minimising on a line, flat to 1e-8",
    twin="the ratio 1/(k−1), as if pairs that share a response were independent",
)
def n17(cases: Cases, twin: bool) -> Iterator[Observation]:
    from scipy.optimize import minimize_scalar

    rng = cases.rng("N17")
    for case in itertools.islice(cases.random("N17", min_n=2, max_n=3), max(10, cases.samples // 10)):
        n, tau = case.game.n, max(case.temperature, 0.1)
        case = case._replace(temperature=tau)
        mass, _, x1, x2 = _terms(case)
        kernel, pi = 0.5 * (x1 + x2), np.exp(case.log_policy)
        mean, second = _moments(kernel, mass)
        projected = np.einsum("j,ijd->id", pi, kernel)
        first = float(pi @ np.sum(projected**2, axis=1) - mean @ mean)
        rho = first / second
        setting = _setting(case, 0.0, case.game.log_reference)
        off = max(0.0, -rho, rho - 0.5)
        for k in (2, 3, 4):
            total = 0.0
            for drawn in itertools.product(range(n), repeat=k):
                pairs = zip(*np.triu_indices(k, 1), strict=True)
                labels = np.array([case.game.preferences[drawn[i], drawn[j]] for i, j in pairs])
                value = _batch(Pairwise(ipo), case, setting, drawn, labels) * tau / 4
                total += float(np.prod(pi[list(drawn)])) * float(np.sum((value - mean) ** 2))
            ratio = total / (second / (k / 2))
            formula = 1 / (k - 1) if twin else (1 + 2 * (k - 2) * rho) / (k - 1)
            off = max(off, abs(ratio - formula))
        yield Observation(off, case.describe)
        prompts, generation, label = (float(np.exp(rng.normal())) for _ in range(3))

        def variance(k: float, first: float = first, second: float = second) -> float:
            return (4 * (k - 2) * first + 2 * second) / (k * (k - 1))

        if second > 2.001 * first > 0:
            best = 1 + np.sqrt(2 * (second - 2 * first) / (prompts * second))
            found = minimize_scalar(lambda k: k * (prompts * second + variance(k)), (1.01, best, 1 + 9 * best)).x  # noqa: B023
            cost = 1 + np.sqrt((1 / rho - 2) * generation / label)
            cheapest = minimize_scalar(
                lambda k: (generation * k + label * k * (k - 1) / 2) * variance(k),  # noqa: B023
                (1.01, cost, 1 + 9 * cost),
            ).x
            # a minimum is flat: its place is known to the root of rounding
            yield Observation(max(0.0, max(abs(found / best - 1), abs(cheapest / cost - 1)) - 1e-5), case.describe)


@claim(
    "N7",
    "Adam on uniform rock, paper, scissors settles on a circle of radius lr·√3(ω²u + α²/u)/(2α|z|), u = (1+β₁)/(1−β₁)",
    tolerance=0.03,
    because="relative: the derivation is heuristic and linear, and the largest circle has radius .09",
    twin="the formula without momentum, u = 1",
)
def n7(cases: Cases, twin: bool) -> Iterator[Observation]:
    tau, rate = 0.1, 1e-3
    momentum = np.array([0.0, 0.5, 0.9, 0.95])
    alpha, omega = tau / 3, np.sqrt(3) / 18
    u = np.ones(4) if twin else (1 + momentum) / (1 - momentum)
    predicted = rate * np.sqrt(3) * (omega**2 * u + alpha**2 / u) / (2 * alpha * np.hypot(alpha, omega))
    margins = np.array([[0, 0.5, -0.5], [-0.5, 0, 0.5], [0.5, -0.5, 0]])
    theta = np.outer(predicted, [1.0, -0.5, -0.5])
    first, second = np.zeros((4, 3)), np.zeros((4, 3))
    sizes: list[Array] = []
    distances: list[Array] = []
    for t in range(1, 20_001):
        weight = np.exp(theta - theta.max(axis=1, keepdims=True))
        pi = weight / weight.sum(axis=1, keepdims=True)
        push = pi @ margins.T - tau * theta
        g = pi * (push - np.sum(pi * push, axis=1, keepdims=True))
        first = momentum[:, None] * first + (1 - momentum[:, None]) * g
        second = 0.999 * second + 0.001 * g**2
        step = first / (1 - momentum[:, None] ** t) / np.sqrt(second / (1 - 0.999**t) + 1e-300)
        theta = theta + rate * step
        theta = theta - theta.mean(axis=1, keepdims=True)
        if t > 15_000:
            distances.append(np.abs(pi - 1 / 3).sum(axis=1))
            sizes.append(np.sum(theta**2, axis=1))
    radius, farthest = np.sqrt(np.mean(sizes, axis=0)), np.max(distances, axis=0)
    # θ on a circle of radius R has π within 4R/(3√6) of uniform in ℓ₁: the printed numbers
    for k, m in enumerate(momentum):
        known = (predicted[k], 4 / (3 * np.sqrt(6)) * predicted[k])
        seen = (radius[k], farthest[k])

        def describe(m: float = float(m), known: Any = known, seen: Any = seen) -> dict[str, Any]:
            names = ("radius of θ", "largest ℓ₁ distance of π")
            return {
                "β₁": m,
                **{
                    n: {"predicted": float(p), "measured": float(v)} for n, p, v in zip(names, known, seen, strict=True)
                },
            }

        off = max(abs(v / p - 1) for p, v in zip(known, seen, strict=True))
        yield Observation(off, describe, witness=bool(m == 0.9))
    if not twin:
        printed = np.array([0.00144, 0.00391, 0.0244, 0.0501])
        known_distance = 4 / (3 * np.sqrt(6)) * predicted
        yield Observation(float(np.max(np.abs(known_distance / printed - 1))), lambda: {"printed": printed.tolist()})

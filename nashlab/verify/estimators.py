"""Claims about sampled feedback: unbiasedness, L10, N7, N17; expectations are enumerated, never simulated."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import SAMPLERS, AlgorithmSpec, Objective, Pairwise, Pointwise, Setting
from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.compiling import quickly
from nashlab.environment import BanditEnvironment, ExactEnvironment, Feedback, estimate, rater_labels
from nashlab.gallery import FAMILIES, random_game
from nashlab.gallery import get as gallery_game
from nashlab.losses import ipo
from nashlab.verify import oracle, subject

Array = NDArray[np.float64]


def _pairs(drawn: tuple[int, ...]) -> tuple[Array, Array]:
    """(left, right): all pairs of k responses, [k(k−1)/2]."""
    first, second = np.triu_indices(len(drawn), 1)
    return np.array(drawn)[first], np.array(drawn)[second]


def _batch(objective: Objective, case: Case, setting: Setting, drawn: tuple[int, ...], labels: Array) -> Array:
    """The library's estimate from k responses of one sampler, all pairs annotated, each used in both orders."""
    left, right = _pairs(drawn)
    both = np.concatenate([left, right]), np.concatenate([right, left])
    return np.asarray(estimate(objective, case.log_policy, setting, *both, np.concatenate([labels, 1 - labels])))


def _no_baseline(h_left: Array, h_right: Array, p: Array, temperature: float) -> Array:
    """The weight of s(y) in online IPO without its baseline τh(y'): harmless only on-policy, where E[s] = 0."""
    return 4 / temperature * (p - 0.5 - temperature * h_left)


def mean_estimates(spec: AlgorithmSpec, case: Case, log_behaviour: Array, wrong: str | None = None) -> list[Array]:
    """The estimate's mean over all draws: one pair with soft and with hard labels, 3 responses with soft labels and
    with one rater's.

    wrong  "labels": swapped in each pair; "sampler": responses drawn from μ, scored as before; "baseline": each
           response scored without its opponent's log-ratio.
    """
    n, setting = case.game.n, subject.setting(case, 0.3, log_behaviour=log_behaviour)
    objective = Pointwise(_no_baseline) if wrong == "baseline" else spec.objective
    assert objective is not None
    log_left, log_right = _samplers(spec, case, setting)
    if wrong == "sampler":
        log_left = log_right = setting.log_reference
    margins = spec.judged(case.game, log_behaviour)
    p = 0.5 + (-margins if wrong == "labels" else margins)
    chosen = [np.zeros(n), np.zeros(n)]
    for y, z in itertools.product(range(n), repeat=2):
        mass, one = np.exp(log_left[y] + log_right[z]), (np.array([y]), np.array([z]))
        chosen[0] += mass * estimate(objective, case.log_policy, setting, *one, p[y, z][None])
        for label, chance in ((1.0, p[y, z]), (0.0, 1 - p[y, z])):
            chosen[1] += mass * chance * estimate(objective, case.log_policy, setting, *one, np.array([label]))
    if spec.left == spec.right:
        # all raters between two neighbouring probabilities answer alike
        edges = np.unique(np.concatenate([[0.0, 1.0], np.clip(p, 0, 1).ravel()]))
        triples = [np.zeros(n), np.zeros(n)]
        for drawn in itertools.product(range(n), repeat=3):
            left, right = _pairs(drawn)
            mass = np.exp(sum(log_left[y] for y in drawn))
            triples[0] += mass * _batch(objective, case, setting, drawn, p[left, right])
            for low, high in itertools.pairwise(edges):
                labels = rater_labels(0.5 * (low + high), left, right, p[left, right])
                triples[1] += mass * (high - low) * _batch(objective, case, setting, drawn, labels)
        chosen += triples
    # a fitted reward is not a probability, so it has no hard labels
    return chosen if spec.judge == "preference" else chosen[::2]


def _samplers(spec: AlgorithmSpec, case: Case, setting: Setting) -> tuple[Array, Array]:
    """(log left, log right); a stored average policy differs from the current one."""
    state = {**spec.start(case.log_policy), "log_average": 0.5 * (case.log_policy + setting.log_behaviour)}
    state["log_average"] = np.asarray(oracle.log_softmax(state["log_average"]))
    return SAMPLERS[spec.left](state, setting), SAMPLERS[spec.right](state, setting)


def bias(spec: AlgorithmSpec, case: Case, log_behaviour: Array, wrong: str | None = None) -> float:
    """The largest difference of a mean estimate from the exact pull, relative to the pull's largest term."""
    setting = subject.setting(case, 0.3, log_behaviour=log_behaviour)
    assert spec.objective is not None
    environment = ExactEnvironment(spec.judged(case.game, log_behaviour))
    exact = environment.pull(spec.objective, case.log_policy, *_samplers(spec, case, setting), setting)
    means = mean_estimates(spec, case, log_behaviour, wrong)
    scale = 1.0 + np.max(np.abs(exact)) + case.temperature**-2
    return max(float(np.max(np.abs(mean - exact))) for mean in means) / scale


@claim(
    "L10.unbiased",
    "every sampled algorithm's estimate has the exact gradient as its mean: soft, hard, one rater's labels; k = 2, 3",
    tolerance=1e-12,
    because="a sum over all draws of responses and annotations; relative to the largest term, τ⁻² for IPO",
    twin="the labels of each pair swapped",
)
def unbiased(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L10.unbiased")
    for spec in REGISTRY.values():
        if spec.objective is None:
            continue
        case = next(cases.random(f"L10.unbiased {spec.name}", min_n=3, max_n=3))
        off = bias(spec, case, np.log(random_policy(3, rng)), "labels" if twin else None)

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
    twin="a contrast whose second score is a millionth too small",
)
def l10(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.all("L10"):
        mass, f, x1, x2 = _terms(case)
        contrast = 0.5 * (x1 + (1.0 - (1e-6 if twin else 0.0)) * x2)
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
                            subject.setting(case, 0.0),
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
    """By family: how often D.1 holds, and how often Nash-MD-PG's own integrand has less variance than the contrast."""
    rng, shares = cases.rng("L10 shares"), {}
    for family in FAMILIES:
        seen = []
        for _ in range(max(10, cases.samples)):
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
    yield Observation(0.0, measured=shares)


def hoeffding(case: Case) -> tuple[Array, float, float]:
    """(mean, ζ₁, ζ₂) for online IPO's contrast on a pair of responses: the variance of its projection, and its own."""
    mass, _, x1, x2 = _terms(case)
    kernel, pi = 0.5 * (x1 + x2), np.exp(case.log_policy)
    mean, second = _moments(kernel, mass)
    projected = np.einsum("j,ijd->id", pi, kernel)
    return mean, float(pi @ np.sum(projected**2, axis=1) - mean @ mean), second


def pairs_variance(k: float, first: float, second: float) -> float:
    """(4(k−2)ζ₁ + 2ζ₂)/(k(k−1)): the variance of the mean over all pairs of k responses (Hoeffding 1948)."""
    return (4 * (k - 2) * first + 2 * second) / (k * (k - 1))


@claim(
    "N17",
    "k completions, all pairs, against k/2 fresh pairs: variance ratio (1 + 2(k−2)ρ)/(k−1), ρ ∈ [0, ½]; the best k",
    tolerance=1e-9,
    because="enumeration of all nᵏ draws; the best k is found again by minimising on a line and by simulation",
    twin="a ρ that is a millionth larger",
)
def n17(cases: Cases, twin: bool) -> Iterator[Observation]:
    from scipy.optimize import minimize_scalar

    rng = cases.rng("N17")
    for case in itertools.islice(cases.random("N17", min_n=2, max_n=3), max(10, cases.samples // 10)):
        tau = max(case.temperature, 0.1)
        case = case._replace(temperature=tau)
        pi = np.exp(case.log_policy)
        mean, first, second = hoeffding(case)
        rho = first / second
        setting = subject.setting(case, 0.0)
        off = max(0.0, -rho, rho - 0.5)
        for k in (2, 3, 4):
            total = 0.0
            for drawn in itertools.product(range(case.game.n), repeat=k):
                value = _batch(Pairwise(ipo), case, setting, drawn, case.game.preferences[_pairs(drawn)]) * tau / 4
                total += float(np.prod(pi[list(drawn)])) * float(np.sum((value - mean) ** 2))
            ratio = total / (second / (k / 2))
            formula = (1 + 2 * (k - 2) * rho * (1.0 + (1e-6 if twin else 0.0))) / (k - 1)
            off = max(off, abs(ratio - formula))
        yield Observation(off, case.describe)
        prompts, generation, label = (float(np.exp(rng.normal())) for _ in range(3))
        variance = functools.partial(pairs_variance, first=first, second=second)
        if second > 2.001 * first > 0:
            best = 1 + np.sqrt(2 * (second - 2 * first) / (prompts * second))
            found = minimize_scalar(lambda k: k * (prompts * second + variance(k)), (1.01, best, 1 + 9 * best)).x  # noqa: B023
            cost = 1 + np.sqrt((1 / rho - 2) * generation / label)
            cheapest = minimize_scalar(
                lambda k: (generation * k + label * k * (k - 1) / 2) * variance(k),  # noqa: B023
                (1.01, cost, 1 + 9 * cost),
            ).x
            # a minimum is flat: its location is accurate to the root of rounding
            yield Observation(max(0.0, max(abs(found / best - 1), abs(cheapest / cost - 1)) - 1e-5), case.describe)
    if not twin:
        yield _simulated_best()


def _simulated_best() -> Observation:
    """The k with the least cost × variance, found by running the bandit environment."""
    case = Case(gallery_game("rps-weighted"), 0.3, np.log([0.5, 0.2, 0.3]))
    mean, first, second = hoeffding(case)
    ratio = 9.0 * first / (second - 2 * first)  # the cost of a response over that of a label: the best k is 1 + √9 = 4
    counts = (2, 3, 4, 5, 6)
    seen = np.array([_sampled_variance(case, k, mean) for k in counts])
    known = np.array([pairs_variance(k, first, second) for k in counts])
    costs = np.array([ratio * k + k * (k - 1) / 2 for k in counts])
    # 40,000 draws determine a variance to about 1 %
    off = max(0.0, float(np.max(np.abs(seen / known - 1))) - 0.04)
    if counts[int(np.argmin(costs * seen))] != 4:
        off = 1.0
    measured = {"k": counts, "simulated": costs * seen, "formula": costs * known}
    return Observation(off, lambda: {"k": counts, "cost × variance": (costs * seen).tolist()}, True, measured)


def _sampled_variance(case: Case, completions: int, mean: Array, draws: int = 40_000) -> float:
    """E‖estimate − mean‖² of online IPO's contrast from k responses with soft labels, by simulation."""
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        margins, log_policy = jnp.asarray(case.game.margins), jnp.asarray(case.log_policy)
        setting = Setting(*(jnp.asarray(x) for x in subject.setting(case, 0.0)))
        feedback = Feedback(completions, "soft")

        def one(key: Any) -> Any:
            environment = BanditEnvironment(margins, key, feedback)
            pulled = environment.pull(Pairwise(ipo), log_policy, log_policy, log_policy, setting)
            return jnp.sum((pulled * case.temperature / 4 - mean) ** 2)

        # keys that differ; to split one for each draw would be compiled for longer than it runs
        keys = np.stack([np.full(draws, completions), np.arange(draws)], axis=1).astype(np.uint32)
        return float(np.mean(quickly(jax.vmap(one))(keys)))

"""Every algorithm of the registry against its own formula, written out once more with loops and lists of who samples.

A fault in one line of a method (who samples, a sign, an average's weight) changes its first steps by far more than the
rounding that is allowed here, whether or not the limit of a long run would show it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab.algorithm import Setting
from nashlab.algorithms import REGISTRY
from nashlab.environment import ExactEnvironment
from nashlab.game import PreferenceGame

Array = NDArray[np.float64]

TAU, ETA, BETA = 0.3, 0.4, 0.25
MU = np.array([0.4, 0.3, 0.2, 0.1])
DATA = np.array([0.1, 0.2, 0.3, 0.4])
FIRST = np.array([0.3, 0.1, 0.35, 0.25])
P = np.array([[0.5, 0.9, 0.2, 0.6], [0.1, 0.5, 0.7, 0.3], [0.8, 0.3, 0.5, 0.55], [0.4, 0.7, 0.45, 0.5]])
GAME = PreferenceGame.from_preferences(P, reference=MU)
A = P - 0.5
STEPS = 4


def scaled(weights: Array) -> Array:
    return np.asarray(weights / weights.sum())


def mixture(pi: Array, nu: Array, share: float) -> Array:
    return scaled(pi ** (1 - share) * nu**share)


# -- gradient methods: who samples y and y', and the slope of the loss at a gap d ------------------------------------


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


# -dl/dd of p f(τd) + (1 − p) f(−τd) in the unit where it is (2p − 1)/4 at d = 0 (L1)
PULLS: dict[str, Callable[[float, float], float]] = {
    "ipo": lambda d, p: (2 * p - 1) / 4 - TAU * d / 2,
    "dpo": lambda d, p: (p * sigmoid(-TAU * d) - (1 - p) * sigmoid(TAU * d)) / 2,
    "slic": lambda d, p: (p * (TAU * d < 1) - (1 - p) * (TAU * d > -1)) / 4,
    "exponential": lambda d, p: (p * np.exp(-TAU * d) - (1 - p) * np.exp(TAU * d)) / 4,
}

PAIRWISE = {
    "online-ipo": ("ipo", "policy"),
    "online-ipo-entropic": ("ipo", "policy"),
    "ipo-md": ("ipo", "mixture"),
    "ipo-md-entropic": ("ipo", "mixture"),
    "ipo-md-behaviour": ("ipo", "mixture with the data"),
    "offline-ipo": ("ipo", "data"),
    "online-dpo": ("dpo", "policy"),
    "offline-dpo": ("dpo", "data"),
    "online-slic": ("slic", "policy"),
    "offline-slic": ("slic", "data"),
    "online-gpo": ("exponential", "policy"),
}
POINTWISE = {"self-play-pg": "policy", "nash-md-pg": "mixture", "best-response": "reference", "rlhf-pg": "policy"}


def sampler(who: str, pi: Array) -> Array:
    return {
        "policy": pi,
        "mixture": mixture(pi, MU, BETA),
        "mixture with the data": mixture(pi, DATA, BETA),
        "data": DATA,
        "reference": MU,
    }[who]


def pairwise(name: str) -> Iterator[Array]:
    loss, who = PAIRWISE[name]
    pi = FIRST
    while True:
        h, nu = np.log(pi / MU), sampler(who, pi)
        pull = np.zeros(4)
        for i in range(4):
            for j in range(4):
                weight = nu[i] * nu[j] * PULLS[loss](h[i] - h[j], P[i, j])
                pull[i] += weight
                pull[j] -= weight
        pull = pull / nu if name.endswith("entropic") else pull
        pi = scaled(pi * np.exp(ETA * pull))
        yield pi


def fitted_reward() -> Array:
    """The Bradley-Terry reward of pairs drawn from the data policy, by gradient ascent on its likelihood."""
    r = np.zeros(4)
    pairs = np.outer(DATA, DATA)
    for _ in range(4000):
        r += 2 * np.sum(pairs * (P - 1 / (1 + np.exp(r[None, :] - r[:, None]))), axis=1)
    return r


def pointwise(name: str) -> Iterator[Array]:
    pi = FIRST
    reward = fitted_reward() if name == "rlhf-pg" else None
    while True:
        h, nu = np.log(pi / MU), sampler(POINTWISE[name], pi)
        won = A @ nu if reward is None else reward - reward @ nu
        f = won - TAU * h
        pi = scaled(pi * np.exp(ETA * pi * (f - pi @ f)))
        yield pi


def xpo() -> Iterator[Array]:
    """E[ℓ(h(y) − h(y')) + α log π(y')], y ~ π, y' ~ μ, one score at a time; the unit is 1/(2τ)."""
    pi = FIRST
    while True:
        h, pull = np.log(pi / MU), np.zeros(4)
        for i in range(4):
            for j in range(4):
                weight = pi[i] * MU[j] * PULLS["dpo"](h[i] - h[j], P[i, j])
                pull += weight * ((np.arange(4) == i) * 1.0 - (np.arange(4) == j))
        for j in range(4):  # ∇ log π(y') = e − π in the logits
            pull -= MU[j] * 1e-5 / (2 * TAU) * ((np.arange(4) == j) - pi)
        pi = scaled(pi * np.exp(ETA * pull))
        yield pi


# -- methods with a memory, and updates of the simplex ---------------------------------------------------------------


def nash_ema_pg() -> Iterator[Array]:
    pi = average = FIRST
    while True:
        f = A @ average - TAU * np.log(pi / MU)
        pi = scaled(pi * np.exp(ETA * pi * (f - pi @ f)))
        average = mixture(average, pi, BETA)
        yield pi


def omd() -> Iterator[Array]:
    pi = FIRST
    while True:
        pi = scaled(pi ** (1 - ETA * TAU) * MU ** (ETA * TAU) * np.exp(ETA * (A @ pi)))
        yield pi


def mmd() -> Iterator[Array]:
    pi = FIRST
    while True:
        pi = scaled((pi * MU ** (ETA * TAU) * np.exp(ETA * (A @ pi))) ** (1 / (1 + ETA * TAU)))
        yield pi


def egpo() -> Iterator[Array]:
    pi = FIRST
    while True:
        pulled = pi ** (1 - ETA * TAU) * MU ** (ETA * TAU)
        ahead = scaled(pulled * np.exp(ETA * (A @ pi)))
        pi = scaled(pulled * np.exp(ETA * (A @ ahead)))
        yield pi


def omwu() -> Iterator[Array]:
    pi = before = FIRST
    while True:
        new = scaled(pi ** (1 - ETA * TAU) * MU ** (ETA * TAU) * np.exp(ETA * (A @ (2 * pi - before))))
        pi, before = new, pi
        yield pi


def nash_md() -> Iterator[Array]:
    pi = FIRST
    while True:
        m = mixture(pi, MU, ETA * TAU)
        pi = scaled(m * np.exp(ETA * (A @ m)))
        yield pi


def nash_md_debiased() -> Iterator[Array]:
    pi, share = FIRST, ETA * TAU / (1 + ETA * TAU)
    while True:
        m = mixture(pi, MU, share)
        pi = scaled(m * np.exp(ETA * (A @ m)))
        yield mixture(pi, MU, share)


def multiplicative_weights(size: Callable[[int], float]) -> Iterator[Array]:
    pi, played = FIRST, []
    while True:
        played.append(pi)
        pi = scaled(pi * np.exp(size(len(played)) * (A @ pi)))
        yield np.mean(played, axis=0)


def fictitious_play() -> Iterator[Array]:
    played = [FIRST]
    while True:
        value = A @ np.mean(played, axis=0)
        best = value >= value.max() - 1e-12
        played.append(best / best.sum())
        yield np.mean(played, axis=0)


def regret_matching(predictive: bool) -> Iterator[Array]:
    pi, regret, played = FIRST, np.zeros(4), []
    while True:
        played.append(pi)
        seen = A @ pi
        regret = np.maximum(regret + seen, 0)
        expected = np.maximum(regret + seen, 0) if predictive else regret
        pi = expected / expected.sum() if expected.sum() > 0 else pi
        mean = played[0]
        for t, each in enumerate(played):
            share = 3 / (t + 3) if predictive else 1 / (t + 1)
            mean = (1 - share) * mean + share * each
        yield mean


def comal() -> Iterator[Array]:
    pi = magnet = FIRST
    while True:
        travelled = np.log(pi / magnet)
        residual = travelled - A @ pi / TAU
        if np.ptp(residual) <= 0.1 * np.ptp(travelled):
            magnet = pi
        pi = scaled((pi * magnet ** (ETA * TAU) * np.exp(ETA * (A @ pi))) ** (1 / (1 + ETA * TAU)))
        yield pi


def optimistic_mmd() -> Iterator[Array]:
    before = pi = FIRST
    while True:
        weight = pi * MU ** (ETA * TAU) * np.exp(ETA * (A @ (2 * pi - before)))
        before, pi = pi, scaled(weight ** (1 / (1 + ETA * TAU)))
        yield pi


def nash_prox() -> Iterator[Array]:
    pi = centre = FIRST
    hot = TAU + 1 / ETA
    step = 2 * (hot + np.sqrt(1 + hot**2))

    def magnet() -> Array:
        return (centre * MU ** (ETA * TAU)) ** (1 / (1 + ETA * TAU))

    def towards(opponent: Array) -> Array:
        return scaled((pi * magnet() ** (step * hot) * np.exp(step * (A @ opponent))) ** (1 / (1 + step * hot)))

    while True:
        residual = np.log(pi / magnet()) - A @ pi / hot
        if np.ptp(residual) <= 0.1 * np.ptp(np.log(pi / centre)):
            centre = pi
        pi = towards(towards(pi))
        yield pi


def nash_mirror_prox() -> Iterator[Array]:
    pi = FIRST
    while True:
        ahead = scaled((pi * MU ** (ETA * TAU) * np.exp(ETA * (A @ pi))) ** (1 / (1 + ETA * TAU)))
        pi = scaled((pi * MU ** (ETA * TAU) * np.exp(ETA * (A @ ahead))) ** (1 / (1 + ETA * TAU)))
        yield pi


def mnpo() -> Iterator[Array]:
    past = [FIRST]
    while True:
        age = np.arange(len(past))[::-1]
        share = np.where(age == len(past) - 1, 1.0, BETA) * (1 - BETA) ** age
        mean = np.exp(share @ np.log(past))
        opponent = share @ np.array(past)
        past.append(scaled(mean ** (1 - ETA * TAU) * MU ** (ETA * TAU) * np.exp(ETA * (A @ opponent))))
        yield past[-1]


SLOPES: dict[str, Callable[[Array], Array]] = {
    "rspo-forward-kl": lambda pi: -MU / pi,
    "rspo-chi2": lambda pi: 2 * pi / MU,
    "rspo-renyi": lambda pi: -np.sqrt(MU / pi) / np.sum(np.sqrt(MU * pi)),
}


def rspo(name: str) -> Iterator[Array]:
    """θ_y += η ∂/∂θ_y of Σ π_y SG(Aπ)_y − τ D(π‖μ), ∂π_z/∂θ_y = π_z (δ_yz − π_y), one response at a time."""
    pi = FIRST
    while True:
        per_mass = A @ pi - TAU * SLOPES[name](pi)
        theta = np.log(pi)
        for y in range(4):
            for z in range(4):
                theta[y] += ETA * per_mass[z] * pi[z] * ((y == z) - pi[y])
        pi = scaled(np.exp(theta))
        yield pi


def slhf() -> Iterator[Array]:
    leader, follower = FIRST, [FIRST] * 4
    share = 1 / (1 + ETA * TAU)
    while True:
        value = np.array([f @ (A[y] + TAU * np.log(f / MU)) for y, f in enumerate(follower)])
        leader = scaled((leader * MU ** (ETA * TAU) * np.exp(ETA * value)) ** share)
        follower = [scaled((f * MU ** (ETA * TAU) * np.exp(ETA * A[:, y])) ** share) for y, f in enumerate(follower)]
        yield leader


def nearest(r: Array) -> Array:
    """The projection of r onto {R ≥ 0, ΣR ≥ 1}, by trying every set of positive entries."""
    if np.maximum(r, 0).sum() >= 1:
        return np.maximum(r, 0)
    tried = []
    for k in range(1, 2 ** len(r)):
        on = np.array([bool(k >> i & 1) for i in range(len(r))])
        x = np.where(on, r - (r[on].sum() - 1) / on.sum(), 0.0)
        if x.min() >= 0:
            tried.append(x)
    return min(tried, key=lambda x: float(np.sum((x - r) ** 2)))


def smooth_regret_matching(predictive: bool) -> Iterator[Array]:
    regret, pi = FIRST, FIRST
    while True:
        first = nearest(regret + ETA * (A @ pi))
        if predictive:
            regret = first
            pi = scaled(nearest(regret + ETA * (A @ pi)))
        else:
            regret = nearest(regret + ETA * (A @ scaled(first)))
            pi = scaled(regret)
        yield pi


OTHERS: dict[str, Callable[[], Iterator[Array]]] = {
    "nash-ema-pg": nash_ema_pg,
    "omd": omd,
    "mmd": mmd,
    "egpo": egpo,
    "omwu": omwu,
    "nash-md": nash_md,
    "nash-md-debiased": nash_md_debiased,
    "sppo": lambda: multiplicative_weights(lambda t: ETA),
    "spo": lambda: multiplicative_weights(lambda t: ETA / np.sqrt(t)),
    "fictitious-play": fictitious_play,
    "regret-matching-plus": lambda: regret_matching(False),
    "predictive-regret-matching-plus": lambda: regret_matching(True),
    "comal": comal,
    "optimistic-mmd": optimistic_mmd,
    "nash-prox": nash_prox,
    "nash-mirror-prox": nash_mirror_prox,
    "mnpo": mnpo,
    "xpo": xpo,
    **{name: functools.partial(rspo, name) for name in SLOPES},
    "slhf": slhf,
    "extragradient-regret-matching-plus": lambda: smooth_regret_matching(False),
    "smooth-predictive-regret-matching-plus": lambda: smooth_regret_matching(True),
}


def written(name: str) -> Iterator[Array]:
    return pairwise(name) if name in PAIRWISE else pointwise(name) if name in POINTWISE else OTHERS[name]()


def test_every_algorithm_is_written_out() -> None:
    assert {*PAIRWISE, *POINTWISE, *OTHERS} == set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_the_first_steps_are_those_of_the_formula(name: str) -> None:
    spec = REGISTRY[name]
    # outer loops turn after some inner steps only
    count = 60 if name in ("comal", "nash-prox") else STEPS
    setting = Setting(np.log(MU), np.log(DATA), TAU, ETA, BETA, 0.0)
    environment, state = ExactEnvironment(spec.judged(GAME, np.log(DATA))), spec.start(np.log(FIRST))
    formula = written(name)
    for t in range(count):
        state = spec.step(state, setting._replace(time=float(t)), environment)
        answer = np.exp(spec.answer(state, setting._replace(time=float(t + 1))))
        assert np.abs(answer - next(formula)).max() <= (1e-9 if name == "rlhf-pg" else 1e-13), t


@pytest.mark.parametrize("name", REGISTRY)
def test_games_side_by_side_step_like_each_alone(name: str) -> None:
    spec = REGISTRY[name]
    order = np.array([2, 0, 3, 1])
    games = [A, 0.7 * A[np.ix_(order, order)]]
    starts = [np.log(FIRST), np.log(FIRST[::-1])]
    setting = Setting(np.log(MU), np.log(DATA), TAU, ETA, BETA, 0.0)

    def run(margins: Array, start: Array) -> Array:
        state, environment = spec.start(start), ExactEnvironment(margins)
        for t in range(STEPS):
            state = spec.step(state, setting._replace(time=float(t)), environment)
        return np.exp(spec.answer(state, setting._replace(time=float(STEPS))))

    both = run(np.stack(games), np.stack(starts))
    for x in range(2):
        assert np.abs(both[x] - run(games[x], starts[x])).max() <= 1e-14

"""Random games with everything that a definition may ask for, and nashlab's side."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from definitions.transcribed import Matrix, Transcription, Vector, slope
from nashlab.algorithm import Setting
from nashlab.algorithms import get
from nashlab.arrays import log_ratio
from nashlab.arrays import log_softmax as stable_log_softmax
from nashlab.environment import ExactEnvironment, estimate
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.game import PreferenceGame
from nashlab.rates import game_frequency

Pair = tuple[Any, Any]  # what the transcription says, what nashlab says


class Sample:
    """A random game with everything that a definition may ask for; lists for the transcriptions, arrays for nashlab."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, (rng := np.random.default_rng(seed))
        self.n = n = 2 + seed % 4
        share = rng.random((n, n))
        if seed % 3 == 2:
            share = np.round(share)  # a tournament
        upper = np.triu(share - 0.5, 1)
        mu, pi, nu, nub = (rng.dirichlet(np.ones(n)) * 0.95 + 0.05 / n for _ in range(4))
        self.game = PreferenceGame.from_margins(upper - upper.T, reference=mu)
        self.P: Matrix = self.game.preferences.tolist()
        self.mu, self.pi, self.nu, self.nub = (p.tolist() for p in (np.exp(self.game.log_reference), pi, nu, nub))
        self.log_mu, self.log_pi, self.log_nu, self.log_nub = (
            self.game.log_reference,
            np.log(pi),
            np.log(nu),
            np.log(nub),
        )
        self.lpi: Vector = self.log_pi.tolist()
        self.theta: Vector = (self.log_pi + rng.normal()).tolist()
        self.vector: Vector = rng.normal(size=n).tolist()
        self.tau = (0.1, 0.3, 1.0, 3.0)[seed // 4 % 4]
        self.eta = min(float(rng.uniform(0.1, 0.9)) / self.tau, 2.0)
        self.beta = float(rng.uniform(0.05, 0.95))
        self.environment = ExactEnvironment(self.game.margins)
        self.setting = Setting(self.log_mu, self.log_nub, self.tau, self.eta, self.beta, 0.0)

    @cached_property
    def log_q(self) -> np.ndarray:
        """log of the equilibrium."""
        return regularised_nash(self.game, self.tau).log_policy

    @cached_property
    def q(self) -> Vector:
        return np.exp(self.log_q).tolist()

    @cached_property
    def frequencies(self) -> np.ndarray:
        """λ for the n − 1 directions that a policy can move in; the constant direction has the smallest, 0."""
        return game_frequency(self.game, self.log_q)[: self.n - 1]

    @cached_property
    def ties(self) -> PreferenceGame:
        """A game with margins -1, 0 and 1: most have a whole face of lotteries."""
        upper = np.triu(np.random.default_rng([self.seed, 18]).integers(-1, 2, (self.n, self.n)), 1)
        return PreferenceGame.from_margins((upper - upper.T).tolist())

    @cached_property
    def lotteries(self) -> list[list[Fraction]]:
        """The vertices of the face of that game, exactly."""
        found = maximal_lottery(self.ties)
        assert found.face is None or found.face.complete
        return [list(v) for v in (found.face.vertices if found.face else (found.policy_exact,))]

    @cached_property
    def middle(self) -> list[Fraction]:
        """The mean of the vertices: no vertex unless it is the only one."""
        return [sum(weights, Fraction(0)) / len(self.lotteries) for weights in zip(*self.lotteries, strict=True)]

    @cached_property
    def answers(self) -> list[list[Fraction]]:
        """Lotteries of that game, and vectors that may be none."""
        even, corner = [Fraction(1, self.n)] * self.n, [Fraction(y == 0) for y in range(self.n)]
        return [*self.lotteries, self.middle, even, corner, [x / 2 for x in self.middle]]

    def win(self, log_nu: np.ndarray) -> np.ndarray:
        return self.game.advantage(log_nu) + 0.5

    def steps(self, name: str, count: int, start: np.ndarray, **changed: Any) -> list[np.ndarray]:
        """The policies of a run, the first included."""
        spec, state = get(name), get(name).start(start)
        seen = [np.exp(start)]
        for t in range(count):
            state = spec.step(state, self.setting._replace(time=float(t), **changed), self.environment)
            seen.append(np.exp(state["log_policy"]))
        return seen

    def step(self, name: str) -> np.ndarray:
        return self.steps(name, 1, self.log_pi)[1]

    def pull(self, objective: Any, log_left: np.ndarray, log_right: np.ndarray) -> np.ndarray:
        """The ascent direction in θ at π: minus the gradient of a loss."""
        return self.environment.pull(objective, self.log_pi, log_left, log_right, self.setting)

    def loss(self, loss: Any) -> float:
        """E ℓ(h(y) − h(y'), p) under y, y' ~ ν."""
        h = log_ratio(self.log_pi, self.log_mu)
        values = loss.value(h[:, None] - h[None, :], self.game.preferences, self.tau)
        return float(np.exp(self.log_nu) @ values @ np.exp(self.log_nu))

    def f(self, y: int, z: int) -> float:
        """L10's antisymmetric f, read from the tables."""
        h = log_ratio(self.log_pi, self.log_mu)
        return float(self.game.margins[y, z] - self.tau * (h[y] - h[z]))

    @cached_property
    def scores(self) -> Matrix:
        """s(y) = e_y − π."""
        return (np.eye(self.n) - np.exp(self.log_pi)).tolist()

    def estimates(self, objective: Any) -> np.ndarray:
        """What nashlab's sampled feedback estimates from the one pair (y, y'), [n, n, coordinates]."""
        pair = [[([y], [z], [self.P[y][z]]) for z in range(self.n)] for y in range(self.n)]
        one = [[estimate(objective, self.log_pi, self.setting, *map(np.array, x)) for x in row] for row in pair]
        return np.array(one)

    def by_coordinate(self, f: Transcription) -> list:
        """An estimator of Variance.v on every (y, y', c)."""
        order = range(self.n)
        return [[[f(self.scores, self.f, y, z, c) for c in order] for z in order] for y in order]

    def cycle(self) -> tuple[float, ...]:
        """p1, p2, p3, a12, a23, a31 of a game of three."""
        a = self.game.margins
        return (*self.pi, float(a[0, 1]), float(a[1, 2]), float(a[2, 0]))

    def jacobian(self, name: str) -> np.ndarray:
        """One step linearised at π*_τ, on log-policies modulo constants and all that the method remembers."""
        keys = sorted(get(name).start(self.log_q))

        def moved(x: np.ndarray) -> np.ndarray:
            state = {key: stable_log_softmax(part) for key, part in zip(keys, np.split(x, len(keys)), strict=True)}
            state = get(name).step(state, self.setting, self.environment)
            return np.concatenate([state[key] for key in keys])

        here = np.concatenate([self.log_q] * len(keys))
        return np.array([slope(lambda t, e=e: moved(here + t * e)) for e in np.eye(len(here))]).T


def estimator_moments(x: np.ndarray, mass: Vector) -> tuple[float, float, float]:
    """E|X|², |E X|² and the total variance of X[y, y', c] under independent y, y'."""
    weights = np.outer(mass, mass)[..., None]
    mean = (weights * x).sum((0, 1))
    return (weights * x**2).sum(), mean @ mean, (weights * (x - mean) ** 2).sum()


def pointwise(h_left: Any, h_right: Any, p: Any, tau: Any) -> Any:
    """f as the advantage of a policy gradient: its estimate from a pair is X1."""
    return p - 0.5 - tau * (h_left - h_right)


Comparison = Callable[[Transcription, Sample], list[Pair]]

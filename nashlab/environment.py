"""Environments: the interface through which an algorithm sees the game.

``ExactEnvironment`` answers with full expectations, ``E_{y~left, y'~right}``, over all n² pairs:

    pull = Σ_ij left_i right_j [c_left(i, j) s_i + c_right(i, j) s_j],   s_y = e_y − π.

``BanditEnvironment`` answers with an unbiased estimate of it from sampled responses and annotated pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from nashlab.algorithm import AlgorithmSpec, Objective, Setting
from nashlab.arrays import Array, array_namespace, log_ratio, matvec
from nashlab.game import BadInput, suggestion

__all__ = ["BanditEnvironment", "ExactEnvironment", "Feedback", "Moments", "estimate", "moments", "rater_labels"]


Labels = Literal["hard", "soft", "rater"]


@dataclass(frozen=True)
class ExactEnvironment:
    """Exact feedback: every expectation is a sum over all responses.

    margins  A = P − ½ (or r(y) − r(y') for a reward judge), [..., n, n], of any array library.

    >>> import numpy as np
    >>> env = ExactEnvironment(np.array([[0.0, 0.2], [-0.2, 0.0]]))
    >>> env.advantage(np.log([0.5, 0.5])).tolist()
    [0.1, -0.1]
    """

    margins: Array

    def advantage(self, log_opponent: Array) -> Array:
        """(Aν)(y), [..., n]."""
        return matvec(self.margins, array_namespace(log_opponent).exp(log_opponent))

    def advantages(self, log_opponents: Array) -> Array:
        """(Aν_k)(y), [..., k, n]."""
        xp = array_namespace(log_opponents)
        return xp.matmul(xp.exp(log_opponents), xp.matrix_transpose(self.margins))

    def pull(
        self, objective: Objective, log_policy: Array, log_left: Array, log_right: Array, setting: Setting
    ) -> Array:
        """The expected ascent direction in θ of a tabular softmax, [..., n]; it sums to 0."""
        xp = array_namespace(log_policy)
        h = log_ratio(log_policy, setting.log_reference)
        c_left, c_right = objective.weights(h[..., :, None], h[..., None, :], 0.5 + self.margins, setting.temperature)
        mass_left, mass_right = xp.exp(log_left), xp.exp(log_right)
        if objective.symmetric and log_left is log_right:
            # both orders of a pair contribute equally; doubled before the product, so that compilers fuse it
            scored = 2.0 * mass_left * matvec(c_left, mass_right)
        else:
            scored = mass_left * matvec(c_left, mass_right)
            if c_right is not None:
                scored = scored + mass_right * matvec(xp.matrix_transpose(c_right), mass_left)
        return scored - xp.exp(log_policy) * xp.sum(scored, axis=-1, keepdims=True)


class Feedback(NamedTuple):
    """What a learner observes of the game in one step.

    completions  k responses; if both sides share a sampler, all k(k−1)/2 pairs are annotated (a
                 U-statistic), else the k/2 pairs of a left and a right response.
    labels       "hard": a Bernoulli draw of p(y ≻ y') for every pair; "soft": the probability itself; "rater": one
                 rater answers all pairs of the step, a k-way comparison.  A rater is a number u ~ U(0, 1) who prefers y
                 to y' > y iff u < p(y ≻ y'): every label has the right mean, but labels of one step are dependent.
    """

    completions: int = 2
    labels: Labels = "hard"

    def check(self, spec: AlgorithmSpec) -> Feedback:
        """Refuse a number of completions that cannot be paired, and a method without a sampled form."""
        if spec.objective is None:
            raise BadInput(
                f"{spec.name} has no sampled form: its update needs p(y ≻ π) for every y; use exact feedback"
            )
        if self.labels not in get_args(Labels):
            hint = suggestion(self.labels, get_args(Labels))
            raise BadInput(f"labels = {self.labels!r}, must be one of {', '.join(get_args(Labels))}{hint}")
        if self.completions < 2:
            raise BadInput(f"completions = {self.completions}, must be at least 2: they are compared in pairs")
        if spec.left != spec.right and self.completions % 2:
            raise BadInput(
                f"completions = {self.completions}, must be even for {spec.name}: half are drawn from its "
                f"{spec.left}, half from its {spec.right}"
            )
        return self


def estimate(objective: Objective, log_policy: Array, setting: Setting, left: Array, right: Array, p: Array) -> Array:
    """The mean over annotated pairs of c_left s(y) + c_right s(y'), [n]: the pull estimated from one batch.

    left, right  indices of the responses, [m];  p  their annotations in [0, 1], [m].

    >>> import numpy as np
    >>> from nashlab.algorithm import Pairwise
    >>> from nashlab.losses import ipo
    >>> even = np.log([0.5, 0.5])
    >>> setting = Setting(even, even, 1.0, 0.1, 0.0)
    >>> estimate(Pairwise(ipo), even, setting, np.array([0]), np.array([1]), np.array([1.0])).tolist()
    [1.0, -1.0]
    """
    xp = array_namespace(log_policy)
    h = log_ratio(log_policy, setting.log_reference)
    c_left, c_right = objective.weights(xp.take(h, left), xp.take(h, right), p, setting.temperature)
    names = xp.arange(log_policy.shape[0])
    one, zero = xp.ones_like(log_policy), xp.zeros_like(log_policy)
    scored = sum(
        xp.sum(xp.where(side[:, None] == names[None, :], one, zero) * c[:, None], axis=0)
        for side, c in ((left, c_left), (right, c_right))
        if c is not None
    )
    return (scored - xp.exp(log_policy) * xp.sum(scored)) / left.shape[0]


class Moments(NamedTuple):
    """The mean of a random vector, [..., n], and its total variance E|X|² − |E X|², [...]."""

    mean: Array
    variance: Array


def moments(
    objective: Objective, margins: Array, log_policy: Array, log_left: Array, log_right: Array, setting: Setting
) -> Moments:
    """Mean and variance of :func:`estimate` from one pair with soft labels, by enumeration of all n² pairs (L10).

    margins  A, [..., n, n], of any number of games in a batch;  the log-policies  [..., n].

    >>> import numpy as np
    >>> from nashlab.algorithm import Pairwise
    >>> from nashlab.losses import ipo
    >>> even = np.log([0.5, 0.5])
    >>> setting, sure = Setting(even, even, 1.0, 0.1, 0.0), np.array([[0.0, 0.5], [-0.5, 0.0]])
    >>> found = moments(Pairwise(ipo), sure, even, even, even, setting)
    >>> found.mean.tolist(), float(found.variance)  # two draws of four show a pair, whose estimate is (1, -1)
    ([0.5, -0.5], 0.5)
    """
    xp = array_namespace(log_policy)
    policy, h = xp.exp(log_policy), log_ratio(log_policy, setting.log_reference)
    c_left, c_right = objective.weights(h[..., :, None], h[..., None, :], 0.5 + margins, setting.temperature)
    c_right = xp.zeros_like(c_left) if c_right is None else c_right
    mass = xp.exp(log_left)[..., :, None] * xp.exp(log_right)[..., None, :]
    # s(y) = e_y − π:  s(i)·s(j) = δ_ij − π_i − π_j + |π|²
    inner = xp.eye(log_policy.shape[-1]) - policy[..., :, None] - policy[..., None, :]
    inner = inner + xp.sum(policy**2, axis=-1)[..., None, None]
    own = 1.0 - 2.0 * policy + xp.sum(policy**2, axis=-1, keepdims=True)  # its diagonal, |s(y)|²
    length = c_left**2 * own[..., :, None] + c_right**2 * own[..., None, :] + 2.0 * c_left * c_right * inner
    scored = xp.sum(mass * c_left, axis=-1) + xp.sum(mass * c_right, axis=-2)
    mean = scored - policy * xp.sum(scored, axis=-1, keepdims=True)
    return Moments(mean, xp.sum(mass * length, axis=(-2, -1)) - xp.sum(mean**2, axis=-1))


def _sample(key: Any, log_policy: Array, count: int) -> Array:
    """``count`` responses of a policy, by inverting its distribution function with one random number each."""
    import jax
    import jax.numpy as jnp

    below = jnp.cumsum(jnp.exp(log_policy))
    # strictly below the total mass, so that a response without mass is never drawn
    u = jnp.minimum(jax.random.uniform(key, (count,), below.dtype) * below[-1], jnp.nextafter(below[-1], 0.0))
    return jnp.sum(below[None, :] <= u[:, None], axis=1)


def rater_labels(u: Array, left: Array, right: Array, p: Array) -> Array:
    """The answers of rater u ∈ [0, 1] on pairs of responses, [m]: a pair and its reverse get opposite answers.

    >>> import numpy as np
    >>> rater_labels(0.6, np.array([0, 1, 0]), np.array([1, 0, 2]), np.array([0.7, 0.3, 0.5])).tolist()
    [1.0, 0.0, 0.0]
    """
    return array_namespace(p).where(left <= right, u < p, u >= 1.0 - p).astype(p.dtype)


@dataclass(frozen=True)
class BanditEnvironment:
    """Sampled feedback: the learner sees only responses and annotations, never the matrix (jax).

    margins   A of the judge, [n, n];  key  a jax random key, used once;  feedback  what is observed.
    turn      weight of the observation: in a contextual game 1/ρ(x) if this step's prompt is x, else 0.
    """

    margins: Array
    key: Any
    feedback: Feedback
    turn: Array = 1.0

    def advantage(self, log_opponent: Array) -> Array:
        """Refused: samples cannot give p(y ≻ π) for every y, so such an algorithm has no sampled form."""
        raise BadInput("p(y ≻ π) for every y cannot be sampled: this algorithm needs exact feedback")

    def advantages(self, log_opponents: Array) -> Array:
        """Refused, like :meth:`advantage`."""
        return self.advantage(log_opponents)

    def pull(
        self, objective: Objective, log_policy: Array, log_left: Array, log_right: Array, setting: Setting
    ) -> Array:
        """An unbiased estimate of :meth:`ExactEnvironment.pull`; a shared sampler is passed as the same array twice."""
        import jax
        import jax.numpy as jnp

        draw, other, annotate = jax.random.split(self.key, 3)
        k = self.feedback.completions
        if log_left is log_right:
            first, second = jnp.triu_indices(k, 1)
            sample = _sample(draw, log_left, k)
            left, right = sample[first], sample[second]
        else:
            left, right = _sample(draw, log_left, k // 2), _sample(other, log_right, k // 2)
        p = self._annotated(annotate, left, right)
        if log_left is log_right and not objective.symmetric:
            # each annotation covers both orders of its pair
            left, right, p = (jnp.concatenate(pair) for pair in ((left, right), (right, left), (p, 1.0 - p)))
        return self.turn * estimate(objective, log_policy, setting, left, right, p)

    def _annotated(self, key: Any, left: Array, right: Array) -> Array:
        """The labels of pairs, [m]."""
        import jax

        p = 0.5 + self.margins[left, right]
        if self.feedback.labels == "hard":
            return jax.random.bernoulli(key, p).astype(p.dtype)
        if self.feedback.labels == "rater":
            return rater_labels(jax.random.uniform(key, dtype=p.dtype), left, right, p)
        return p

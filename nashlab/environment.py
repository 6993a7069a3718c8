"""Environments: the game as an algorithm may ask about it.

``ExactEnvironment`` answers with full expectations, ``E_{y~left, y'~right}``, over all n² pairs:

    pull = Σ_ij left_i right_j [c_left(i, j) s_i + c_right(i, j) s_j],   s_y = e_y − π.

``BanditEnvironment`` answers with an unbiased estimate of the same: sampled responses, annotated pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from nashlab.algorithm import Objective, Setting
from nashlab.arrays import Array, array_namespace, log_ratio, matvec
from nashlab.game import BadInput

__all__ = ["BanditEnvironment", "ExactEnvironment", "Feedback", "estimate"]


@dataclass(frozen=True)
class ExactEnvironment:
    """Exact feedback: every expectation is a sum.

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

    def pull(
        self, objective: Objective, log_policy: Array, log_left: Array, log_right: Array, setting: Setting
    ) -> Array:
        """The expected ascent direction in θ of a tabular softmax, [..., n]; it sums to 0."""
        xp = array_namespace(log_policy)
        h = log_ratio(log_policy, setting.log_reference)
        c_left, c_right = objective.weights(h[..., :, None], h[..., None, :], 0.5 + self.margins, setting.temperature)
        pair = xp.exp(log_left)[..., :, None] * xp.exp(log_right)[..., None, :]
        scored = xp.sum(pair * c_left, axis=-1) + xp.sum(pair * c_right, axis=-2)
        return scored - xp.exp(log_policy) * xp.sum(scored, axis=-1, keepdims=True)


class Feedback(NamedTuple):
    """What a learner sees of the game in one step.

    completions  k responses; where both sides of a pair have the same sampler all k(k−1)/2 pairs are annotated (a
                 U-statistic), else the k/2 pairs of a left and a right response.
    soft         annotations are the probabilities p(y ≻ y') themselves; else Bernoulli draws of them.
    """

    completions: int = 2
    soft: bool = False

    def check(self) -> Feedback:
        """Refuse numbers of completions that make no pairs."""
        if self.completions < 2 or self.completions % 2:
            raise BadInput(f"completions = {self.completions}, must be even and at least 2: they are compared in pairs")
        return self


def estimate(objective: Objective, log_policy: Array, setting: Setting, left: Array, right: Array, p: Array) -> Array:
    """The mean over annotated pairs of c_left s(y) + c_right s(y'), [n]: what one batch of samples says of the pull.

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
    )
    return (scored - xp.exp(log_policy) * xp.sum(scored)) / left.shape[0]


@dataclass(frozen=True)
class BanditEnvironment:
    """Sampled feedback: the learner sees responses and annotations only, never the matrix (jax).

    margins   A of the judge, [n, n];  key  a jax random key, used once;  feedback  what is seen.
    """

    margins: Array
    key: Any
    feedback: Feedback

    def advantage(self, log_opponent: Array) -> Array:
        """Not to be had from samples: an algorithm that asks has no sampled form."""
        raise BadInput("p(y ≻ π) for every y cannot be sampled: this algorithm needs exact feedback")

    def pull(
        self, objective: Objective, log_policy: Array, log_left: Array, log_right: Array, setting: Setting
    ) -> Array:
        """An unbiased estimate of :meth:`ExactEnvironment.pull`; one sampler for both sides is the same array twice."""
        import jax
        import jax.numpy as jnp

        draw, other, annotate = jax.random.split(self.key, 3)
        k = self.feedback.completions
        if log_left is log_right:
            first, second = jnp.triu_indices(k, 1)
            sample = jax.random.categorical(draw, log_left, shape=(k,))
            left, right = sample[first], sample[second]
        else:
            left = jax.random.categorical(draw, log_left, shape=(k // 2,))
            right = jax.random.categorical(other, log_right, shape=(k // 2,))
        p = 0.5 + self.margins[left, right]
        if not self.feedback.soft:
            p = jax.random.bernoulli(annotate, p).astype(p.dtype)
        if log_left is log_right:
            # each annotation speaks for both orders of its pair
            left, right, p = (jnp.concatenate(pair) for pair in ((left, right), (right, left), (p, 1.0 - p)))
        return estimate(objective, log_policy, setting, left, right, p)

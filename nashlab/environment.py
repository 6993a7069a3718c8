"""Environments: the game as an algorithm may ask about it.

``ExactEnvironment`` answers with full expectations, ``E_{y~left, y'~right}``, over all n² pairs:

    pull = Σ_ij left_i right_j [c_left(i, j) s_i + c_right(i, j) s_j],   s_y = e_y − π.
"""

from __future__ import annotations

from dataclasses import dataclass

from nashlab.algorithm import Objective, Setting
from nashlab.arrays import Array, array_namespace, log_ratio, matvec

__all__ = ["ExactEnvironment"]


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

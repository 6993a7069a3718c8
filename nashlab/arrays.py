"""Array-API helpers: the few functions of probability vectors that everything else is built from.

Each works unchanged on numpy, jax (also under ``jit``) and torch arrays, along the last axis, and stays finite
where the naive formula does not.  Policies travel as log-probabilities; ``-inf`` is a response outside the support.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

__all__ = [
    "array_namespace",
    "centred",
    "geometric_mixture",
    "kl",
    "l1",
    "log_ratio",
    "log_softmax",
    "logsumexp",
    "matvec",
    "oscillation",
    "sigmoid",
    "softplus",
]

Array = Any  # any array of the array-API standard; the library never asks which


def array_namespace(*arrays: Array) -> Any:
    """The library of the arrays, as a namespace of the array-API standard.

    >>> import numpy as np
    >>> array_namespace(np.zeros(3)) is np
    True
    """
    # numpy 2 is such a namespace itself, and looking further takes longer than most sums of small games
    for x in arrays:
        if type(x) is not np.ndarray:
            return array_api_compat.array_namespace(*arrays)
    return np


def logsumexp(x: Array) -> Array:
    """log Σ_y exp x(y), shape [..., n] -> [..., 1]; -inf entries count as zero mass.

    >>> import numpy as np
    >>> float(logsumexp(np.log([0.25, 0.25]))[0]) == float(np.log(0.5))
    True
    """
    if type(x) is np.ndarray:  # the same, without the wrappers, which take most of the time on small games
        top = np.maximum.reduce(x, axis=-1, keepdims=True, initial=np.finfo(x.dtype).min)
        return top + np.log(np.add.reduce(np.exp(x - top), axis=-1, keepdims=True))
    xp = array_namespace(x)
    # a finite maximum even if every mass is 0; clipped before the maximum, so that compilers fuse it
    lowest = xp.finfo(x.dtype).min
    top = xp.max(xp.where(x > lowest, x, xp.zeros_like(x) + lowest), axis=-1, keepdims=True)
    return top + xp.log(xp.sum(xp.exp(x - top), axis=-1, keepdims=True))


def log_softmax(x: Array) -> Array:
    """x − log Σ exp x, shape [..., n] -> [..., n]: the normalised log-policy of the logits x.

    >>> import numpy as np
    >>> bool(abs(log_softmax(np.array([800.0, 800.0]))[0] + np.log(2)) < 1e-12)
    True
    """
    return x - logsumexp(x)


def softplus(x: Array) -> Array:
    """log(1 + eˣ), elementwise, without overflow: softplus(800) = 800.

    >>> import numpy as np
    >>> float(softplus(np.array(800.0)))
    800.0
    """
    xp = array_namespace(x)
    return xp.logaddexp(x, xp.zeros_like(x))


def sigmoid(x: Array) -> Array:
    """σ(x) = 1/(1 + e⁻ˣ), elementwise, exact to rounding in both tails.

    >>> import numpy as np
    >>> [float(v) for v in sigmoid(np.array([-800.0, 0.0, 800.0]))]
    [0.0, 0.5, 1.0]
    """
    return 0.5 + 0.5 * array_namespace(x).tanh(0.5 * x)


def kl(log_p: Array, log_q: Array) -> Array:
    """KL(p‖q) = Σ p (log p − log q) in nats, shape [..., n] -> [...], with 0 · log 0 = 0.

    >>> import numpy as np
    >>> float(kl(np.log([0.5, 0.5]), np.log([0.5, 0.5])))
    0.0
    """
    xp = array_namespace(log_p)
    outside = xp.isinf(log_p)
    gap = xp.where(outside, 0.0, log_p) - xp.where(outside, 0.0, log_q)
    return xp.sum(xp.exp(log_p) * gap, axis=-1)


def l1(log_p: Array, log_q: Array) -> Array:
    """‖p − q‖₁ = Σ |p − q|, shape [..., n] -> [...], in [0, 2].

    >>> import numpy as np
    >>> round(float(l1(np.log([0.5, 0.5]), np.log([0.75, 0.25]))), 12)
    0.5
    """
    xp = array_namespace(log_p)
    return xp.sum(xp.abs(xp.exp(log_p) - xp.exp(log_q)), axis=-1)


def geometric_mixture(log_p: Array, log_q: Array, beta: float | Array) -> Array:
    """Log of m_β ∝ p^{1−β} q^β, shape [..., n]: β = 0 gives p, β = 1 gives q, both on their common support.

    >>> import numpy as np
    >>> m = np.exp(geometric_mixture(np.log([0.9, 0.1]), np.log([0.1, 0.9]), 0.5))
    >>> bool(abs(m[0] - 0.5) < 1e-15)
    True
    """
    return log_softmax(blend(log_p, log_q, beta))


def blend(log_p: Array, log_q: Array, beta: float | Array) -> Array:
    """(1−β) log p + β log q, with 0 · (−inf) read as −inf where either policy has no mass."""
    xp = array_namespace(log_p)
    outside = xp.isinf(log_p) | xp.isinf(log_q)
    mixed = (1.0 - beta) * xp.where(outside, 0.0, log_p) + beta * xp.where(outside, 0.0, log_q)
    return xp.where(outside, -xp.inf, mixed)


def log_ratio(log_policy: Array, log_reference: Array) -> Array:
    """h = log π − log μ, [n]; 0 for a padded response, where both are −∞."""
    xp = array_namespace(log_policy)
    inside = xp.isfinite(log_reference)
    return xp.where(inside, log_policy, 0.0) - xp.where(inside, log_reference, 0.0)


def matvec(matrix: Array, vector: Array) -> Array:
    """Σ_j M[..., i, j] v[..., j], shape [..., n]; leading axes broadcast."""
    xp = array_namespace(matrix, vector)
    return xp.matmul(matrix, vector[..., None])[..., 0]


def centred(x: Array, log_policy: Array) -> Array:
    """x − E_π x, shape [..., n]: the part of x that changes a normalised policy."""
    xp = array_namespace(x)
    return x - xp.sum(xp.exp(log_policy) * x, axis=-1, keepdims=True)


def oscillation(x: Array, support: Array) -> Array:
    """max x − min x over the support (a mask), shape [..., n] -> [...].

    >>> import numpy as np
    >>> float(oscillation(np.array([1.0, 4.0, 9.0]), np.array([True, True, False])))
    3.0
    """
    xp = array_namespace(x)
    high = xp.max(xp.where(support, x, -xp.inf), axis=-1)
    low = xp.min(xp.where(support, x, xp.inf), axis=-1)
    return high - low

"""L1.grpo.  Pairwise GRPO without the division: its mean gradient over groups is self-play's; what its penalties pull.

A group y₁..y_k ~ π, a label o_ij for every pair, r_i the mean win of y_i, advantage A_i = r_i − mean r = r_i − ½, and
the gradient (1/k) Σ A_i s(y_i).  Penalties are differentiated under samples from SG π.
"""

import itertools
from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import Rational, at, gradient, half, interior, kl, log, logs, ones, preferences, simplex, weights
from sympy import Matrix, zeros


def group_gradient(P: Matrix, pi: Matrix, k: int) -> Matrix:
    """E (1/k) Σ A_i s(y_i) over all groups and labels."""
    n, pairs = len(pi), list(itertools.combinations(range(k), 2))
    mean = zeros(n, 1)
    for group in itertools.product(range(n), repeat=k):
        for labels in itertools.product((0, 1), repeat=len(pairs)):
            chance, won = Rational(1), [Rational(0)] * k
            for (i, j), o in zip(pairs, labels, strict=True):
                chance *= P[group[i], group[j]] if o else P[group[j], group[i]]
                won[i if o else j] += Rational(1, k - 1)
            for y in group:
                chance *= pi[y]
            for i, y in enumerate(group):
                weight = chance * (won[i] - sum(won) / k) / k
                mean += weight * (Matrix([int(z == y) for z in range(n)]) - pi)
    return mean


@derivation("L1.grpo", "pairwise GRPO's mean gradient is self-play's; k1, k2, k3 pull with 0, ∇KL(π‖μ), ∇KL(μ‖π)")
def pairwise_grpo() -> Iterator[Identity]:
    for n, k in ((2, 2), (3, 2), (2, 3)):
        P, pi = preferences(n), interior("π", n)
        self_play = Matrix([p * w for p, w in zip(pi, P * pi - half * ones(n, 1), strict=True)])
        yield Identity(f"groups, n = {n}, k = {k}", group_gradient(P, pi, k) - K * self_play, true=1, false=half)
    n = 2
    w, frozen, mu = weights("w", n), weights("f", n), interior("μ", n)
    pi = simplex(w)
    h = logs(pi) - logs(mu)
    ratio = Matrix([m / p for m, p in zip(mu, pi, strict=True)])
    reverse, forward = kl(pi, logs(pi), logs(mu)), kl(mu, logs(mu), logs(pi))
    for name, estimator, divergence, share in (
        ("k1", h, reverse, 0),
        ("k2", h.applyfunc(lambda x: x**2 / 2), reverse, 1),
        ("k3", ratio.applyfunc(lambda x: x - 1 - log(x)), forward, 1),
    ):
        pull = at(gradient(frozen.dot(estimator), w), frozen, pi)
        yield Identity(f"{name}, n = {n}", pull - K * gradient(divergence, w), true=share, false=half)

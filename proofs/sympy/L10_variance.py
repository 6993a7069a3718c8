"""L10.  The contrast of a pair never has more variance, and at most half under an exact condition.

For (y, y') i.i.d. ~ π and a skew f(y, y'), let X₁ = s(y) f and X₂ = −s(y') f, which have the same distribution.
"Variance" is the trace of the covariance matrix.  With C = (X₁ + X₂)/2,

    Var X₁ − Var C  =  ¼ E|X₁ − X₂|²  ≥ 0,
    Var C − ½ Var X₁ = −½ ( E[s(y)·s(y') f²] + |E X₁|² ).
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from losses import ipo
from notation import Matrix, at, gradient, half, interior, logs, preferences, simplex, skew, tau, weights
from sympy import Expr, Rational, eye


def pairs_mean(nu: Matrix, x: list[list[Expr]]) -> Expr:
    """E over independent y, y' ~ ν of x(y, y')."""
    n = len(nu)
    return sum((nu[y] * nu[z] * x[y][z] for y in range(n) for z in range(n)), start=0 * x[0][0])


@derivation("L10", "Var X₁ − Var (X₁+X₂)/2 = ¼E|X₁ − X₂|²; Var (X₁+X₂)/2 − ½Var X₁ = −½(E[s·s' f²] + |E X₁|²)")
def contrast() -> Iterator[Identity]:
    for n in (2, 3):
        pi, f = interior("π", n), skew(n, "f")
        scores = [eye(n)[:, y] - pi for y in range(n)]
        first = [[scores[y] * f[y, z] for z in range(n)] for y in range(n)]
        second = [[-scores[z] * f[y, z] for z in range(n)] for y in range(n)]
        both = [[(first[y][z] + second[y][z]) / 2 for z in range(n)] for y in range(n)]

        def variance(x: list[list[Matrix]], pi: Matrix = pi) -> Expr:
            square = pairs_mean(pi, [[entry.dot(entry) for entry in line] for line in x])
            centre = pairs_mean(pi, x)
            return square - centre.dot(centre)

        pairs = range(n)
        apart = [[first[y][z] - second[y][z] for z in pairs] for y in pairs]
        apart_square = pairs_mean(pi, [[entry.dot(entry) for entry in line] for line in apart])
        gain = variance(first) - variance(both) - K * apart_square
        yield Identity(f"the contrast gains ¼E|X₁ − X₂|², n = {n}", gain, true=Rational(1, 4), false=half)

        aligned = pairs_mean(pi, [[scores[y].dot(scores[z]) * f[y, z] ** 2 for z in pairs] for y in pairs])
        centre = pairs_mean(pi, first)
        halved = variance(both) - variance(first) / 2 + K * (aligned + centre.dot(centre))
        yield Identity(f"at most half iff E[s·s' f²] + |E X₁|² ≥ 0, n = {n}", halved, true=half, false=1)

    pi, f = simplex(Matrix([1, K])), skew(2, "f")
    scores = [eye(2)[:, y] - pi for y in range(2)]
    coincide = scores[0] * f[0, 1] + scores[1] * f[0, 1]
    yield Identity("two actions, π = ½: X₁ = X₂", coincide, true=1, false=2)


@derivation("L10.unbiased", "with f = p − ½ − τ(h − h'), E X₁ = E X₂ = −(τ/4) ∇ IPO at ν = π: the contrast is unbiased")
def unbiased() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu, w, v = preferences(n), logs(weights("μ", n)), weights("w", n), weights("v", n)
        pi = simplex(w)
        h = logs(pi) - log_mu
        f = Matrix(n, n, lambda y, z, P=P, h=h: P[y, z] - half - tau * (h[y] - h[z]))
        scores = [eye(n)[:, y] - pi for y in range(n)]
        descent = at(gradient(ipo(h, simplex(v), P), w), v, w)
        for name, sign, end in (("X₁", 1, 0), ("X₂", -1, 1)):
            x = [[sign * scores[(y, z)[end]] * f[y, z] for z in range(n)] for y in range(n)]
            yield Identity(f"E {name}, n = {n}", pairs_mean(pi, x) + tau / K * descent, true=4, false=2)

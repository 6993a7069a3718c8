"""N9.  The win rate of policy m against itself is no more spread than a uniform variable.

A set of mass w collects at most w − w²/2 of win mass: exactly w²/2 inside itself, at most w(1 − w) outside.  So under y
~ m the win rate p(y ≻ m) is below Uniform(0, 1) in convex order, and

    Var_m p(·≻m) ≤ (1 − Σm³)/12,     log E_m e^{η(p − ½)} ≤ log( sinh(η/2)/(η/2) ) ≤ η²/24,

the first with equality for the transitive chain 1 ≻ 2 ≻ ... ≻ n.  The last holds term by term: with
x = η/2, sinh(x)/x = Σ x^{2k}/(2k+1)!,  e^{x²/6} = Σ x^{2k}/(6^k k!),  and (2k+1)! ≥ 6^k k!, since the ratio of the two
starts at 1 and grows by (2k+3)/3 ≥ 1.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from notation import Matrix, eta, exp, half, mean, preferences, simplex, weights
from sympy import Integer, Rational, Symbol, factorial, gammasimp, integrate, log, series, sinh


def chain(n: int) -> Matrix:
    """1 ≻ 2 ≻ ... ≻ n, each with certainty."""
    return Matrix(n, n, lambda i, j: half if i == j else Integer(1 if i < j else 0))


@derivation("N9", "Var_m p(·≻m) = (1 − Σm³)/12 for the transitive chain; log(sinh(η/2)/(η/2)) ≤ η²/24, term by term")
def win_rate() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, m = preferences(n), simplex(weights("m", n))
        inside = sum(m[i] * m[j] * P[i, j] for i in range(n - 1) for j in range(n - 1))
        mass = sum(m[: n - 1])
        yield Identity(f"a set of mass w wins w²/2 inside itself, n = {n}", inside - K * mass**2, true=half, false=1)

        wins = chain(n) * m
        variance = mean(m, wins.applyfunc(lambda x: x**2)) - Rational(1, 4)
        extreme = (1 - sum(x**3 for x in m)) / K
        yield Identity(f"the chain's variance, n = {n}", variance - extreme, true=12, false=24)

    P, m = preferences(2), simplex(weights("m", 2))
    variance = mean(m, (P * m).applyfunc(lambda x: x**2)) - Rational(1, 4)
    slack = m[0] * m[1] * (half - P[0, 1] + half) * P[0, 1]  # p(1 − p) ≥ 0
    yield Identity(
        "n = 2: the bound's slack is m₁m₂ p(1−p)",
        (1 - sum(x**3 for x in m)) / 12 - variance - K * slack,
        true=1,
        false=2,
    )

    u = Symbol("u", positive=True)
    uniform = integrate(exp(eta * (u - half)), (u, 0, 1))
    yield Identity("E e^{η(U − ½)} = sinh(η/2)/(η/2)", uniform - K * sinh(eta / 2).rewrite(exp) / eta, true=2, false=1)

    k = Symbol("k", integer=True, nonnegative=True)
    ratio = factorial(2 * k + 1) / (6**k * factorial(k))
    growth = gammasimp(ratio.subs(k, k + 1) / ratio)
    yield Identity("(2k+1)!/(6^k k!) starts at 1", ratio.subs(k, 0) - K, true=1, false=2)
    yield Identity("and grows: its step is 1 + 2k/3", growth - K - nonnegative(2 * k / 3), true=1, false=half)

    x = Symbol("x", positive=True)
    expansion = series(log(series(sinh(x / 2) / (x / 2), x, 0, 8).removeO()), x, 0, 6).removeO()
    yield Identity(
        "log(sinh(η/2)/(η/2)) = η²/24 − η⁴/2880 + ...", expansion - x**2 / 24 + x**4 / K, true=2880, false=24**2
    )

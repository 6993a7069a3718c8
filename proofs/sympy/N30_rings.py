"""N30.  The rings of Adam's orbit (N7), without momentum: the averaged system and its eigenvalues.

The gradient is −zθ in the plane Σθ = 0, z = α + iω, and turns by the angle of ζ = 1 − az a step, |ζ| = 1.  Each
coordinate's v averages the squares of its gradient over 1/ε steps, ε = 1 − β₂; what is left of their ripple at twice
the orbit's frequency turns a step by a term of order ε.  To that order the logarithms x of ρ² and y of the mean of v,
measured from the circle, move by

    Δx = −a k y + εκ(x − y),   Δy = ε(x − y),   k = d log|ζ|/da,   κ = −¼.

Derived here: the ripple, κ, the characteristic polynomial, the shortfall, and k = α.  That the averaged system
describes Adam for small ε is what the claim N30 measures, and for β₁ > 0 also its κ and the drift of the mode's shape.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import Matrix
from sympy import Expr, I, Rational, cos, exp, eye, log, re, sin, sqrt, symbols

alpha, omega, epsilon = symbols("α ω ε", positive=True)
z, step = alpha + I * omega, 2 * alpha / (alpha**2 + omega**2)  # a where |1 − az| = 1


def coordinates(angle: Expr) -> Matrix:
    """The unit vector of the plane Σθ = 0 at this angle."""
    return Matrix([1, -1, 0]) / sqrt(2) * cos(angle) + Matrix([1, 1, -2]) / sqrt(6) * sin(angle)


@derivation("N30", "β₁ = 0: κ = −¼, s² + (1−κ)εs + εa_ck = 0 and k = α, so rings decay in 1.6/(1−β₂) steps")
def rings() -> Iterator[Identity]:
    now, earlier, across = symbols("φ χ ψ", real=True)
    u, v, w = (coordinates(angle) for angle in (now, earlier, across))
    # v = (|g|²/3)(1 + ripple): g/√v is g less half its ripple, which turns g to the angle 2χ − φ at half its length
    turned = sum(w[y] * u[y] * (3 * v[y] ** 2 - 1) for y in range(3))
    turned = turned.expand(trig=True).subs({sin(x) ** 2: 1 - cos(x) ** 2 for x in (now, earlier, across)}).expand()
    image = cos(2 * earlier - now - across).expand(trig=True)
    yield Identity("a ripple's effect on a step", turned - K * image, true=Rational(1, 2), false=1)

    # v's ripple is ε Σ_j (1−ε)^j e^{2i(φ − jγ)}, γ the angle of ζ: a fixed point of its recursion
    angle = symbols("γ", real=True)
    ripple = epsilon / (1 - (1 - epsilon) * exp(-2 * I * angle))
    renewed = (1 - epsilon) * ripple * exp(-2 * I * angle) + K * epsilon
    yield Identity("the ripple that v keeps", ripple - renewed, true=1, false=2)

    # a step is −azθ(1 − ¼ ripple), so log ρ² gains ½ Re(az ripple/ζ) = κε with az = 1 − ζ
    zeta = (1 + I * (t := symbols("t", real=True))) / (1 - I * t)  # any number of modulus 1 but −1
    gained = Rational(1, 2) * (1 - zeta) / (zeta * (1 - zeta**-2))
    yield Identity("κ does not depend on ζ", re(gained.cancel().expand(complex=True)).simplify() - K,
                   true=Rational(-1, 4), false=Rational(-1, 2))  # fmt: skip

    k, a, kappa, s = symbols("k a κ s", real=True)
    moves = Matrix([[epsilon * kappa, -a * k - epsilon * kappa], [epsilon, -epsilon]])
    stated = s**2 + (1 - kappa) * epsilon * s + K * epsilon * a * k
    yield Identity("the characteristic polynomial, exactly", (s * eye(2) - moves).det() - stated, true=1, false=2)

    size = symbols("a", positive=True)
    modulus = log((1 - size * alpha) ** 2 + (size * omega) ** 2) / 2
    yield Identity("|ζ| = 1", modulus.subs(size, K * step), true=1, false=2)
    yield Identity("k = α", modulus.diff(size).subs(size, step) - K * alpha, true=1, false=2)

    # at rest 2k δa + κε = 0; the radius goes as 1/a
    short = Rational(1, 4) * epsilon / (2 * step * alpha)
    yield Identity("the radius is short by ε/(8 a_cα)", short - epsilon / (K * step * alpha), true=8, false=16)

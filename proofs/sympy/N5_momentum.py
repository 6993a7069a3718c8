"""N5, N6, N7.  Momentum in a rotating field.

Heavy ball, θ += a g + mΔθ, has for an eigenvalue ζ = α + iω of −∂g the equation  z² − (1 + m − aζ) z + m = 0.  On the
unit circle z + m/z = (1+m) cos φ + i(1−m) sin φ is an ellipse, and both roots are inside iff 1 + m − aζ is inside it,

    (1 − aα/(1+m))² + (aω/(1−m))² < 1.

Averaged momentum, v = mv + (1−m)g, is the same with (1−m)a for a; in u = (1+m)/(1−m) the condition is a quadratic.
N6: on the spectrum τ ± iλ the given step and momentum make both roots meet at modulus r* (that no fixed choice does
better is not derived here).  N7: Adam's normaliser tunes a to the edge of stability; the algebra of that heuristic.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import Matrix, tau
from sympy import Expr, I, Rational, Symbol, asinh, cos, exp, eye, integrate, log, pi, sin, sqrt, symbols

a, alpha, omega, m, u = symbols("a α ω m u", positive=True)


def heavy_ball(step: Expr, zeta: Expr, momentum: Expr) -> Matrix:
    """(θ, θ₋) → (θ − aζθ + m(θ − θ₋), θ)."""
    return Matrix([[1 + momentum - step * zeta, -momentum], [1, 0]])


@derivation(
    "N5", "heavy ball: (1 − aα/(1+m))² + (aω/(1−m))² < 1; averaged: u between α(1 ± √(1−a²ω²))/(aω²), u = (1+m)/(1−m)"
)
def critical_momentum() -> Iterator[Identity]:
    z, c, s = symbols("z c s", real=True)
    zeta = alpha + I * omega
    polynomial = (z * eye(2) - heavy_ball(a, zeta, m)).det()
    stated = z**2 - (K + m - a * zeta) * z + m
    yield Identity("the characteristic polynomial", polynomial - stated, true=1, false=2)

    on_circle = (c + I * s) + m * (c - I * s)  # z + m/z with |z| = 1, z = c + is
    real, imaginary = on_circle.as_real_imag()
    ellipse = ((real / (1 + m)) ** 2 + (imaginary / (1 - m)) ** 2).cancel().subs(s**2, 1 - c**2)
    yield Identity("|z| = 1 is an ellipse", ellipse - K, true=1, false=2)

    # Schur–Cohn for z² − bz + m, b = 1 + m − aζ: both roots inside iff |b − m b̄| < 1 − m²
    b, conjugate = 1 + m - a * zeta, 1 + m - a * (alpha - I * omega)
    schur_cohn = (b - m * conjugate) * (conjugate - m * b) - (1 - m**2) ** 2
    condition = (1 - a * alpha / (1 + m)) ** 2 + (a * omega / (1 - m)) ** 2 - 1
    yield Identity("Schur–Cohn gives the same", schur_cohn - K * (1 - m**2) ** 2 * condition, true=1, false=2)

    averaged = condition.subs(a, (1 - m) * a).subs(m, (u - 1) / (u + 1))
    quadratic = a * omega**2 * u**2 - K * alpha * u + a * alpha**2
    yield Identity("averaged: the condition is a quadratic in u", averaged - a / u**2 * quadratic, true=2, false=1)
    for sign, name in ((1, "u₊"), (-1, "u₋")):
        edge = alpha * (1 + sign * sqrt(1 - a**2 * omega**2)) / (a * omega**2)
        yield Identity(f"{name} is its root", quadratic.subs(u, edge), true=2, false=1)
    slow = ((1 + m) / (1 - m)).subs(m, Rational(9, 10))
    yield Identity("β₁ = .9: u = 19", slow - K, true=19, false=10)

    # rock, paper, scissors, uniform μ, τ = 1/10, a = 1: α = τ/3 and ω = λ/3 = √3/18
    upper = alpha * (1 + sqrt(1 - a**2 * omega**2)) / (a * omega**2)
    here = upper.subs({a: 1, alpha: Rational(1, 30), omega: sqrt(3) / 18})
    closed = K * (1 + sqrt(Rational(107, 108)))  # m_c = (u₊ − 1)/(u₊ + 1) = .7556
    yield Identity("there u₊ = (18/5)(1 + √(107/108))", here - closed, true=Rational(18, 5), false=Rational(19, 5))


@derivation("N6", "r* = λ/(τ+√(τ²+λ²)), m = −r*², step (1−r*²)/τ: a double root of modulus r* = e^{−arcsinh(τ/λ)}")
def best_momentum() -> Iterator[Identity]:
    lam, r, z = symbols("λ r z", positive=True)
    best = lam / (tau + sqrt(tau**2 + lam**2))
    yield Identity("λ/τ = 2r*/(1 − r*²)", lam / tau * (1 - best**2) - K * best, true=2, false=1)
    zeta = tau * (1 + I * 2 * r / (1 - r**2))  # τ + iλ
    polynomial = (z * eye(2) - heavy_ball((1 - r**2) / tau, zeta, -(r**2))).det()
    yield Identity("a double root at −ir*", polynomial - (z + K * I * r) ** 2, true=1, false=2)
    hyperbolic = exp(-K * asinh(tau / lam).rewrite(log))
    yield Identity("r* = e^{−arcsinh(τ/λ)}", best - hyperbolic, true=1, false=2)


@derivation(
    "N7", "the edge of stability, a = 2αu/(ω²u² + α²), at Adam's step a = √3 lr/(|z|·‖θ‖₂) gives the orbit's radius"
)
def adam_orbit() -> Iterator[Identity]:
    lr, radius, z = symbols("lr R z", positive=True)
    edge = 2 * alpha * u / (omega**2 * u**2 + alpha**2)
    quadratic = a * omega**2 * u**2 - K * alpha * u + a * alpha**2
    yield Identity("the edge is N5's quadratic solved for a", quadratic.subs(a, edge), true=2, false=1)

    # on a circle in the plane Σθ = 0 the gradient has norm |z|R, a third of whose square is each coordinate's mean
    # square: what √v̂ settles to when β₂ → 1
    phase = Symbol("φ", real=True)
    first, second = Matrix([1, -1, 0]) / sqrt(2), Matrix([1, 1, -2]) / sqrt(6)
    circle = z * radius * (first * cos(phase) + second * sin(phase))
    for y in range(3):
        mean_square = integrate(circle[y] ** 2, (phase, 0, 2 * pi)) / (2 * pi)
        yield Identity(f"mean square of coordinate {y + 1}", mean_square - (z * radius) ** 2 / K, true=3, false=2)
    orbit = lr * sqrt(K) * (omega**2 * u + alpha**2 / u) / (2 * alpha * z)
    step = sqrt(3) * lr / (z * orbit)
    yield Identity("‖θ‖₂ = lr·√3(ω²u + α²/u)/(2α|z|)", step - edge, true=3, false=2)

    # what theory.md tabulates: the largest ‖π − q‖₁ on it, where π − q = θ/3 to first order
    farthest = sum(abs(x) for x in Matrix([2, -1, -1]) / sqrt(6)) / 3
    yield Identity(
        "the largest ‖π − q‖₁ is √(8/27)‖θ‖₂", farthest - sqrt(K), true=Rational(8, 27), false=Rational(1, 3)
    )

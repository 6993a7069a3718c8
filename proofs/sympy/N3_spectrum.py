"""N3, N4.  The spectrum behind every local rate.

Natural-gradient flow θ̇ = Pπ − τh has the linearisation −(τI − AD): eigenvalues −(τ ± iλ).  A frozen positive
preconditioner C turns plain flow into  C ẋ = −D(τI − AD)x.  For x = u + iv and z C x = D(τI − AD)x, times x*:

    z x*Cx = τ x*Dx − (Dx)*A(Dx),     (Dx)*A(Dx) = 2i (Du)ᵀA(Dv):

separating real and imaginary part.  For three responses Lagrange's identity bounds the latter,

    [(Du)ᵀA(Dv)]² = λ² [ (uᵀDu)(vᵀDv) − (uᵀDv)² ],      λ = √(π₁π₂π₃) |a₁₂ + a₂₃ + a₃₁|,

so |Im z| ≤ (λ/τ) Re z.  N4: λ < 1/π always; odd cyclic tournaments reach cot(π/2n)/(2n) → 1/π.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from notation import (
    Matrix,
    covariance,
    cycle,
    exp,
    half,
    interior,
    log,
    logs,
    ones,
    preferences,
    reals,
    simplex,
    skew,
    tau,
    weights,
)
from sympy import I, Rational, Symbol, cos, cot, eye, limit, oo, sin, sqrt, symbols
from sympy import pi as circle


@derivation(
    "N3",
    "natural gradient linearises to τI − AD; for any preconditioner Re z = τ x*Dx/x*Cx; n = 3: |Im z| ≤ (λ/τ) Re z",
)
def preconditioned() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, w, log_mu = preferences(n), weights("w", n), logs(weights("μ", n))
        r = P * simplex(w) - tau * (w.applyfunc(log) - log_mu)
        linear = Matrix(n, n, lambda i, j, r=r, w=w: w[j] * r[i].diff(w[j]))
        expected = tau * eye(n) - K * skew(n) * covariance(simplex(w))
        yield Identity(f"∂(Pπ − τh)/∂θ = −(τI − AD), n = {n}", linear + expected, true=1, false=2)

    p, A = interior("π", 3), skew(3)
    u, v = Matrix([*reals("u", 2), 0]), Matrix([*reals("v", 2), 0])  # up to constants, which D annuls
    D, square = covariance(p), p[0] * p[1] * p[2] * (A[0, 1] + A[1, 2] + A[2, 0]) ** 2
    form = ((u - I * v).T * D * (tau * eye(3) - A * D) * (u + I * v))[0]
    real = tau * ((u.T * D * u)[0] + (v.T * D * v)[0])
    twist = ((D * u).T * A * (D * v))[0]
    yield Identity("x*D(τI − AD)x = τ x*Dx − 2i (Du)ᵀA(Dv), n = 3", form - real + K * I * twist, true=2, false=1)

    gram = (u.T * D * u)[0] * (v.T * D * v)[0] - ((u.T * D * v)[0]) ** 2
    lagrange = ((D * u).T * A * (D * v))[0] ** 2 - K * square * gram
    yield Identity("[(Du)ᵀA(Dv)]² = λ²[(uᵀDu)(vᵀDv) − (uᵀDv)²], n = 3", lagrange, true=1, false=2)


@derivation("N4", "n = 3: λ = √(π₁π₂π₃)|a₁₂+a₂₃+a₃₁|; odd cyclic tournaments: cot(π/2n)/(2n) → 1/π, the bound")
def cycle_bound() -> Iterator[Identity]:
    x, p, A = Symbol("x", real=True), simplex(weights("w", 3)), skew(3)
    square = K * p[0] * p[1] * p[2] * (A[0, 1] + A[1, 2] + A[2, 0]) ** 2
    polynomial = (x * eye(3) - A * covariance(p)).det() - x * (x**2 + square)
    yield Identity("n = 3: det(xI − AD) = x(x² + λ²)", polynomial, true=1, false=2)

    # so λ² ≤ (1/27)(3/2)², by the inequality of the means; in increasing order w ≤ w + u ≤ w + u + v
    w, u, v = symbols("w u v", positive=True)
    entries = Matrix([w, w + u, w + u + v])
    product = entries[0] * entries[1] * entries[2]
    slack = nonnegative(w * (u**2 + u * v + v**2) / 3 + (2 * u + v) ** 3 / 27)
    yield Identity("π₁π₂π₃ ≤ 1/27", sum(entries) ** 3 / K - product - slack, true=27, false=26)

    uniform = ones(3, 1) / 3
    omega = Rational(-1, 2) + I * sqrt(3) / 2  # e^{2πi/3}
    mode = Matrix([1, omega, omega**2])
    turning = (cycle() - ones(3, 3) / 2) * covariance(uniform) * mode - I * K * mode
    yield Identity("rock, paper, scissors: λ = cot(π/6)/6", turning, true=cot(circle / 6) / 6, false=1 / circle)

    # odd n: y beats the next m = (n−1)/2 round the circle, λ = (1/n) Σ_{k≤m} sin kx at x = 2π/n, where (m + ½)x = π
    x = Symbol("x", positive=True)
    for m in (1, 2, 3):
        waves = 2 * sin(x / 2) * sum(sin(k * x) for k in range(1, m + 1))
        telescoped = cos(x / 2) - cos((m + K) * x)
        difference = (waves - telescoped).rewrite(exp)
        yield Identity(f"Σ_k 2 sin(x/2) sin kx telescopes, n = {2 * m + 1}", difference, true=half, false=1)
    closed = (1 + cos(x / 2)) / (2 * sin(x / 2)) - cot(x / 4) / K
    yield Identity("(1 + cos(x/2))/(2 sin(x/2)) = ½ cot(x/4)", closed.rewrite(exp), true=2, false=1)
    n = Symbol("n", positive=True)
    yield Identity("cot(π/2n)/(2n) → 1/π", limit(cot(circle / (2 * n)) / (2 * n), n, oo) - 1 / K, true=circle, false=3)

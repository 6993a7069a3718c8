"""R3.  How fast each algorithm settles: its update of θ = log π (modulo constants), linearised at its fixed point.

A softmax answers a small change x of θ with D x, and P D = A D.  So everything is a polynomial in M = AD, whose
eigenvalues are iλ (E4); with a = 1 − ητ and b = ηλ,

    OMD      θ₊ = aθ + ητ log μ + ηPπ          z = a + ib              stable iff η < 2τ/(τ² + λ²)
    MMD      θ₊ = (θ + ητ log μ + ηPπ)/(1+ητ)  z = (1 + ib)/(1 + ητ)   stable iff η(λ² − τ²) < 2τ
    Nash-MD  θ₊ = m + ηP softmax(m)            z = a (1 + ib)
    EGPO     OMD's step, redone with its Pπ½   z = a + ib(a + ib)      stable iff (a − b²)² + a²b² < 1
    OMWU     Pπ replaced by P(2π − π₋)         z² − (1 + 2ib) z + ib = 0 at τ = 0: stable iff ηλ < 1/√3
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import (
    Matrix,
    covariance,
    eta,
    half,
    interior,
    log,
    logs,
    nash_reference,
    preferences,
    simplex,
    skew,
    spread,
    tau,
    weights,
)
from sympy import Expr, I, Symbol, expand_complex, eye, sqrt, symbols

a = 1 - eta * tau
lam = Symbol("λ", positive=True)


def jacobian(theta: Matrix, w: Matrix) -> Matrix:
    """∂/∂θ of a map written in w = e^θ."""
    n = len(w)
    return Matrix(n, n, lambda i, j: w[j] * theta[i].diff(w[j]))


@derivation("R3", "OMD at π*_τ: Jacobian (1−ητ)I + ηAD, eigenvalue 1−ητ+iηλ, locally stable iff η < 2τ/(τ²+λ²)")
def omd() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, w, log_mu = preferences(n), weights("w", n), logs(weights("μ", n))
        M = skew(n) * covariance(simplex(w))
        update = a * w.applyfunc(log) + eta * tau * log_mu + eta * P * simplex(w)
        yield Identity(f"the Jacobian, n = {n}", jacobian(update, w) - a * eye(n) - K * eta * M, true=1, false=2)
    growth = (a + I * eta * lam) * (a - I * eta * lam) - 1
    threshold = eta * (tau**2 + lam**2) * (eta - K * tau / (tau**2 + lam**2))
    yield Identity("|z|² − 1 = η(τ²+λ²)(η − 2τ/(τ²+λ²))", growth - threshold, true=2, false=1)


@derivation("R3.mmd", "OMD(η) is MMD(η/(1−ητ)); MMD locally: (1+iηλ)/(1+ητ), stable iff η(λ²−τ²) < 2τ")
def mmd() -> Iterator[Identity]:
    def mmd_step(theta: Matrix, log_mu: Matrix, payoff: Matrix, step: Expr) -> Matrix:
        return (theta + step * tau * log_mu + step * payoff) / (1 + step * tau)

    for n in (2, 3):
        P, w, log_mu = preferences(n), weights("w", n), logs(weights("μ", n))
        theta, M = w.applyfunc(log), skew(n) * covariance(simplex(w))
        omd_step = a * theta + eta * tau * log_mu + eta * P * simplex(w)
        same = omd_step - mmd_step(theta, log_mu, P * simplex(w), eta / (1 - K * eta * tau))
        yield Identity(f"OMD(η) = MMD(η/(1−ητ)), n = {n}", same, true=1, false=0)
        local = jacobian(mmd_step(theta, log_mu, P * simplex(w), eta), w)
        yield Identity(f"the Jacobian, n = {n}", (1 + eta * tau) * local - eye(n) - K * eta * M, true=1, false=2)
    slack = (1 + eta * tau) ** 2 - (1 + I * eta * lam) * (1 - I * eta * lam)
    yield Identity(
        "(1+ητ)²(1 − |z|²) = η(2τ − η(λ²−τ²))", slack - eta * (K * tau - eta * (lam**2 - tau**2)), true=2, false=1
    )
    # MMD contracts by 1/(1 + η'τ) for η' ≤ 4τ: in OMD's own step
    step = eta / (1 - eta * tau)
    condition = (4 * tau - step) * (1 - eta * tau) - (4 * tau - eta * (1 + K * tau**2))
    yield Identity("η/(1−ητ) ≤ 4τ iff η ≤ 4τ/(1+4τ²)", condition, true=4, false=1)


@derivation("R3.nash-md", "Nash-MD at its fixed point: (1−ητ)(I + ηAD_m), eigenvalue (1−ητ)(1+iηλ')")
def nash_md() -> Iterator[Identity]:
    for n in (2, 3):
        P, m = preferences(n), weights("m", n)  # in the coordinates of the mixture, which moves by (1−ητ)x
        update = m.applyfunc(log) + eta * P * simplex(m)
        M = skew(n) * covariance(simplex(m))
        yield Identity(f"the Jacobian, n = {n}", a * jacobian(update, m) - a * (eye(n) + K * eta * M), true=1, false=2)
    modulus = a * (1 + I * eta * lam) * a * (1 - I * eta * lam)
    yield Identity("|z|² = (1−ητ)²(1 + η²λ²)", modulus - a**2 * (1 + K * eta**2 * lam**2), true=1, false=2)


@derivation("R3.egpo", "EGPO at π*_τ: a + ib(a + ib), a = 1−ητ, b = ηλ; locally stable iff (a − b²)² + a²b² < 1")
def egpo() -> Iterator[Identity]:
    for n in (2, 3):
        P, q = preferences(n), interior("q", n)
        log_mu = nash_reference(q, P, tau)
        half_step = a * logs(q) + K * (eta * tau * log_mu + eta * P * q)
        yield Identity(f"at q the half step stays at q, n = {n}", spread(half_step - logs(q)), true=1, false=2)

        x, D, A = weights("x", n), covariance(q), skew(n)
        half_moves = a * x + eta * P * D * x
        full_moves = a * x + eta * P * D * half_moves
        M = A * D
        expected = (a * eye(n) + eta * M * (K * a * eye(n) + eta * M)) * x
        yield Identity(f"the linear map, n = {n}", full_moves - expected, true=1, false=2)
    b = Symbol("b", positive=True)
    z, conjugate = a + I * b * (a + I * b), a - I * b * (a - I * b)
    yield Identity("|z|² = (a − b²)² + a²b²", z * conjugate - (a - b**2) ** 2 - K * a**2 * b**2, true=1, false=2)


@derivation(
    "R3.omwu", "OMWU at τ = 0 has z² − (1+2ib)z + ib = 0, b = ηλ; a root meets the circle at z = 1 and at b = 1/√3"
)
def omwu() -> Iterator[Identity]:
    b, z = symbols("b z", positive=True)
    state = Matrix([[1 + K * I * b, -I * b], [1, 0]])  # (x, x₋) → (x + ib(2x − x₋), x)
    polynomial = z**2 - (1 + 2 * I * b) * z + I * b
    yield Identity("the characteristic polynomial", (z * eye(2) - state).det() - polynomial, true=2, false=1)

    # ib = (z² − z)/(2z − 1): on the circle, c = Re z, its real part vanishes only at c = 1 and c = ½
    c, s = symbols("c s", real=True)  # z = c + is, s² = 1 − c²
    ratio = ((c + I * s) ** 2 - (c + I * s)) * (2 * (c - I * s) - 1)
    real_part = expand_complex(ratio).as_real_imag()[0].expand().subs(s**2, 1 - c**2)
    yield Identity("Re[(z²−z)(2z̄−1)] = (1−c)(2c−1)", real_part - (1 - c) * (K * c - 1), true=2, false=1)
    at_sixty = polynomial.subs(z, half + I * sqrt(3) / 2).subs(b, 1 / sqrt(K))
    yield Identity("z = e^{iπ/3} is a root at b = 1/√3", at_sixty, true=3, false=2)

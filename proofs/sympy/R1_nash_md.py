"""R1, R2, N8.  One step of Nash-MD, exactly:  m ∝ π^{1−ητ} μ^{ητ},  π₊ ∝ m e^{ηPm}.  For any policy q

    KL(q, m)  = (1−ητ)[KL(q, π) − KL(m, π)] + ητ[KL(q, μ) − KL(m, μ)],
    KL(q, π₊) = KL(q, m) − η(qᵀPm − ½) + log E_m e^{η(Pm − ½)};

together, with J(q, m) = qᵀPm − τKL(q, μ) + τKL(m, μ),

    KL(q, π₊) = (1−ητ)[KL(q, π) − KL(m, π)] − η(J(q, m) − ½) + log E_m e^{η(Pm − ½)}.

At the equilibrium q the middle term is exactly J(q, m) − ½ = τ KL(m, q): N8.  Dropping it, and bounding the last by
Hoeffding's η²/8 or by N9's η²/24, is R2.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from notation import (
    J,
    Matrix,
    eta,
    exp,
    half,
    interior,
    kl,
    log,
    logs,
    mean,
    nash_reference,
    ones,
    preferences,
    simplex,
    tau,
    weights,
)
from sympy import Expr, Rational, Symbol


def unmixed(m: Matrix, log_mu: Matrix) -> Matrix:
    """log π from its mixture, log m = (1−ητ) log π + ητ log μ − log Z, whatever the normaliser Z."""
    return (logs(m) - eta * tau * log_mu + Symbol("logZ", real=True) * ones(len(m), 1)) / (1 - eta * tau)


def centred(m: Matrix, P: Matrix) -> Matrix:
    """η(Pm − ½)."""
    return eta * (P * m - half * ones(len(m), 1))


def log_mgf(m: Matrix, P: Matrix) -> Expr:
    """log E_m e^{η(Pm − ½)}."""
    return log(mean(m, centred(m, P).applyfunc(exp)))


def step(m: Matrix, P: Matrix) -> Matrix:
    """log π₊."""
    return logs(m) + centred(m, P) - log_mgf(m, P) * ones(len(m), 1)


@derivation("N8", "KL(q,π₊) = (1−ητ)[KL(q,π) − KL(m,π)] − ητ KL(m,q) + log E_m e^{η(p(·≻m) − ½)} at the equilibrium q")
def exact_step() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, q, m = preferences(n), interior("q", n), interior("m", n)
        log_mu = nash_reference(q, P, tau)
        log_pi = unmixed(m, log_mu)
        value = J(q, logs(q), m, logs(m), P, log_mu)
        yield Identity(
            f"J(q, m) − ½ = τ KL(m, q), n = {n}", value - half - K * tau * kl(m, logs(m), logs(q)), true=1, false=0
        )
        left = kl(q, logs(q), step(m, P))
        progress = (1 - eta * tau) * (kl(q, logs(q), log_pi) - kl(m, logs(m), log_pi))
        right = progress - K * eta * tau * kl(m, logs(m), logs(q)) + log_mgf(m, P)
        yield Identity(f"the identity, n = {n}", left - right, true=1, false=0)


@derivation("R2", "KL(q,π₊) = (1−ητ)[KL(q,π) − KL(m,π)] − η(J(q,m) − ½) + log E_m e^{η(p−½)} for any q; then Hoeffding")
def expansion() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu = preferences(n), logs(weights("μ", n))
        q, m = interior("q", n), interior("m", n)
        log_pi = unmixed(m, log_mu)
        progress = (1 - eta * tau) * (kl(q, logs(q), log_pi) - kl(m, logs(m), log_pi))
        pull = eta * tau * (kl(q, logs(q), log_mu) - kl(m, logs(m), log_mu))
        yield Identity(f"the mixture, n = {n}", kl(q, logs(q), logs(m)) - progress - K * pull, true=1, false=0)

        value = J(q, logs(q), m, logs(m), P, log_mu)
        right = progress - eta * (value - K) + log_mgf(m, P)
        yield Identity(f"the expansion, n = {n}", kl(q, logs(q), step(m, P)) - right, true=half, false=0)

    # Hoeffding: (log E e^{ηp})'' is a variance, and a variance on [0, 1] is at most ¼
    for n in (2, 3, 4):
        m, p = interior("m", n), weights("p", n)
        tilted = simplex(Matrix([x * exp(eta * y) for x, y in zip(m, p, strict=True)]))
        cumulant = log(mean(m, p.applyfunc(lambda y: exp(eta * y))))
        variance = mean(tilted, p.applyfunc(lambda y: y**2)) - mean(tilted, p) ** 2
        yield Identity(f"ψ'' = Var, n = {n}", cumulant.diff(eta, 2) - K * variance, true=1, false=half)
        p_times_loss = mean(m, p.applyfunc(lambda y: y * (1 - y)))  # ≥ 0 for p in [0, 1]
        variance = mean(m, p.applyfunc(lambda y: y**2)) - mean(m, p) ** 2
        slack = p_times_loss + (mean(m, p) - half) ** 2
        yield Identity(
            f"¼ − Var = E[p(1−p)] + (E p − ½)², n = {n}", K - variance - slack, true=Rational(1, 4), false=half
        )


def induction(c: Expr | int) -> Iterator[Identity]:
    """From x_{t+1} ≤ (1 − η_tτ) x_t + c η_t² with η_t = 2/(τ(t+2)) to x_T ≤ 4c/(τ²(T+1)): the step of the induction."""
    t = Symbol("t", positive=True, integer=True)
    rate = 2 / (tau * (t + 2))
    bound = K / (tau**2 * (t + 1))
    kept = (1 - rate * tau) * bound + c * rate**2
    slack = nonnegative(4 * c / (tau**2 * (t + 1) * (t + 2) ** 2))
    yield Identity(f"the induction step, c = {c}", bound.subs(t, t + 1) - kept - slack, true=4 * c, false=2 * c)
    first = (1 - rate * tau).subs(t, 0) + c * rate.subs(t, 0) ** 2  # ητ = 1: the start is forgotten
    yield Identity(f"the first step lands at half the bound, c = {c}", first - K * c / tau**2, true=1, false=2)


@derivation("R1", "with η_t = 2/(τ(t+2)), KL(q,π₊) ≤ (1−ητ)KL(q,π) + cη² gives 4c/(τ²(T+1)): 8 for c = 2, 1/6 for 1/24")
def decreasing_steps() -> Iterator[Identity]:
    yield from induction(2)
    yield from induction(Rational(1, 24))
    T, start = Symbol("T", positive=True, integer=True), Symbol("x0", positive=True)
    keep, c = 1 - eta * tau, Symbol("c", positive=True)
    iterated = keep**T * start + (1 - keep**T) * c * eta / tau
    once = keep * iterated + K * c * eta**2
    yield Identity("constant step: (1−ητ)^T x₀ + (1 − (1−ητ)^T) cη/τ", iterated.subs(T, T + 1) - once, true=1, false=2)

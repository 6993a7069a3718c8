"""N14, N15.  The gap G(π) = max_π' J(π', π) − ½ as a certificate.

E2 says G = τ KL(π‖BR).  Skewness splits it at the equilibrium q, as in E3:  G = τ KL(π‖q) + τ KL(q‖BR) ≥ τ KL(π‖q).
Since log BR − log q = v + const with v = A(π − q)/τ, the rest is a centred cumulant,

    KL(q‖BR) = log E_q e^v − E_q v  ≤  osc(v)²/8  ≤  ‖π − q‖₁²/(8τ²)  ≤  KL(π‖q)/(4τ²)

by Hoeffding, |A| ≤ ½, and Pinsker.  N15 writes G with expectations only.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import (
    Matrix,
    exp,
    half,
    interior,
    kl,
    log,
    logs,
    mean,
    nash_reference,
    normalise,
    preferences,
    residual,
    simplex,
    skew,
    tau,
    weights,
)
from sympy import Rational


@derivation("N14", "G = τKL(π‖q) + τKL(q‖BR), KL(q‖BR) = log E_q e^v − E_q v, v = A(π−q)/τ: so τKL ≤ G ≤ (τ + 1/4τ)KL")
def gap_certificate() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, q, pi = preferences(n), interior("q", n), interior("π", n)
        log_best = normalise(nash_reference(q, P, tau) + P * pi / tau)
        G = tau * kl(pi, logs(pi), log_best)
        split = K * tau * kl(pi, logs(pi), logs(q)) + tau * kl(q, logs(q), log_best)
        yield Identity(f"G = τKL(π‖q) + τKL(q‖BR), n = {n}", G - split, true=1, false=half)

        v = P * (pi - q) / tau
        yield Identity(f"v = A(π − q)/τ, n = {n}", v - K * skew(n) * (pi - q) / tau, true=1, false=2)
        cumulant = log(mean(q, v.applyfunc(exp))) - K * mean(q, v)
        yield Identity(f"KL(q‖BR) = log E_q e^v − E_q v, n = {n}", kl(q, logs(q), log_best) - cumulant, true=1, false=0)

    hoeffding, pinsker = Rational(1, 8), 2  # KL(q‖BR) ≤ osc(v)²/8, osc(v) ≤ ‖π − q‖₁/τ, ‖π − q‖₁² ≤ 2 KL(π‖q)
    yield Identity("the constants make 1/(4τ)", tau * hoeffding * pinsker / tau**2 - 1 / (K * tau), true=4, false=2)


@derivation("N15", "G = τ log E_π e^{−(r − E_π r)} = τKL(π‖μ) − ½ + τ log E_μ e^{Pπ/τ}; what a subset leaves out")
def expectations() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, mu, pi = preferences(n), interior("μ", n), interior("π", n)
        G = tau * kl(pi, logs(pi), normalise(logs(mu) + P * pi / tau))
        by_reference = tau * kl(pi, logs(pi), logs(mu)) - K + tau * log(mean(mu, (P * pi / tau).applyfunc(exp)))
        yield Identity(f"under μ, n = {n}", G - by_reference, true=half, false=0)
        r = residual(logs(pi), pi, logs(mu), P, tau)
        by_residual = tau * (log(mean(pi, (-r).applyfunc(exp))) + K * mean(pi, r))
        yield Identity(f"under π, n = {n}", G - by_residual, true=1, false=0)

    # with only S = {1, 2} of three responses enumerated, P_{yS}π_S + π(Sᶜ) overstates (Pπ)_y by what 3 wins against y
    P, pi = preferences(3), simplex(weights("w", 3))
    overstated = Matrix([P[y, 0] * pi[0] + P[y, 1] * pi[1] + pi[2] for y in range(3)]) - P * pi
    won = Matrix([P[2, y] * pi[2] for y in range(3)])  # ≥ 0
    yield Identity("the subset's bound overstates Pπ by π(3) p(3 ≻ y)", overstated - K * won, true=1, false=0)

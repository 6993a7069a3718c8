"""N23, N28, N29.  Three identities around the equilibrium q: the win rate at a divergence, the slope of wins, the gap.

At q, Pq = τ(log q − log μ) + const.  Inserted into P(π ≻ q), only divergences remain; into self-play's pairs, the
covariance with the residual r, which is constant at q; into the gap, a cumulant under q.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import (
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
    reals,
    residual,
    skew,
    tau,
)


@derivation("N23", "P(π≻q) = ½ + τ[KL(π‖μ) − KL(q‖μ) − KL(π‖q)]: at equal divergence all lose to q, by τKL(π‖q)")
def budget() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, q, pi = preferences(n), interior("q", n), interior("π", n)
        log_mu = nash_reference(q, P, tau)
        spent = kl(pi, logs(pi), log_mu) - kl(q, logs(q), log_mu)
        win = mean(pi, P * q) - half - tau * spent
        yield Identity(f"P(π≻q), n = {n}", win + K * tau * kl(pi, logs(pi), logs(q)), true=1, false=half)


@derivation("N28", "E[(o − ½ − τ(h − h'))(g − g')] = −2τ Cov_π(r, g): at q the slope of wins on log-ratios is τ")
def slope() -> Iterator[Identity]:
    for n in (2, 3):
        P, mu, pi, g = preferences(n), interior("μ", n), interior("π", n), reals("g", n)
        h = logs(pi) - logs(mu)
        pairs = [(y, z) for y in range(n) for z in range(n)]
        seen = sum(pi[y] * pi[z] * (P[y, z] - half - tau * (h[y] - h[z])) * (g[y] - g[z]) for y, z in pairs)
        r = residual(logs(pi), pi, logs(mu), P, tau)
        covariance = mean(pi, r.multiply_elementwise(g)) - mean(pi, r) * mean(pi, g)
        yield Identity(f"−2τ Cov(r, g), n = {n}", seen + K * tau * covariance, true=2, false=1)


@derivation("N29", "G = τ{KL(π‖q) + log E_q e^{x − E_q x}}, x = A(π − q)/τ")
def gap() -> Iterator[Identity]:
    for n in (2, 3):
        P, q, pi = preferences(n), interior("q", n), interior("π", n)
        log_best = normalise(nash_reference(q, P, tau) + P * pi / tau)
        x = skew(n) * (pi - q) / tau
        cumulant = log(mean(q, x.applyfunc(exp))) - mean(q, x)
        gap = tau * kl(pi, logs(pi), log_best)
        written = K * tau * (kl(pi, logs(pi), logs(q)) + cumulant)
        yield Identity(f"G, n = {n}", gap - written, true=1, false=half)

"""L6, L7, L8, L9.  The mixture family: stationary points of IPO-MD and Nash-MD-PG, and special cases.

Nash-MD-PG(β) averages s(y)(p(y≻y') − ½ − τh(y)) over y ~ π, y' ~ m_β.  Write u = P m_β − τh.  Tabular softmax:

    Nash-MD-PG ascends  π_y (u_y − E_π u),      IPO-MD descends  −(4/τ) m_y (u_y − E_m u):

with the same zeros: u constant, π ∝ μ e^{P m/τ} (L6).  Mixing that with μ once more gives m ∝ μ e^{(1−β) P m/τ} (L7).
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from losses import ipo
from notation import (
    Matrix,
    at,
    beta,
    gradient,
    half,
    interior,
    kl,
    logs,
    mean,
    ones,
    preferences,
    residual,
    simplex,
    spread,
    tau,
    weights,
)


def score_weighted(pi: Matrix, x: Matrix) -> Matrix:
    """E_π[s x] with s(y) = e_y − π."""
    return pi.multiply_elementwise(x) - pi * mean(pi, x)


@derivation("L6", "IPO-MD(β) and Nash-MD-PG(β) rest at the same policy π ∝ μ exp(p(y ≻ m_β)/τ)")
def shared_rest() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu, w, m = preferences(n), logs(weights("μ", n)), weights("w", n), interior("m", n)
        h = logs(simplex(w)) - log_mu
        u = P * m - tau * h
        centred = m.multiply_elementwise(u - ones(n, 1) * mean(m, u))
        yield Identity(f"IPO-MD's gradient, n = {n}", gradient(ipo(h, m, P), w) + K / tau * centred, true=4, false=2)

        r = residual(logs(simplex(w)), m, log_mu, P, tau)
        yield Identity(f"u constant iff π ∝ μ e^(Pm/τ), n = {n}", spread(u) + K * tau * spread(r), true=1, false=2)
        resting = K * P * m / tau  # h there, up to the constant that no gradient sees
        force = score_weighted(simplex(w), P * m - half * ones(n, 1) - tau * resting)
        yield Identity(f"Nash-MD-PG is at rest there, n = {n}", force, true=1, false=2)


@derivation(
    "L7", "m_β(π*_β) is the equilibrium at temperature τ/(1−β); mixed towards μ_b, for the reference ∝ μ^{1−β} μ_b^β"
)
def mixture_is_nash() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu, log_b = preferences(n), logs(weights("μ", n)), logs(weights("b", n))
        m = simplex(weights("m", n))
        log_pi = log_mu + P * m / tau  # L6, up to a constant
        plain = (1 - beta) * log_pi + beta * log_mu
        r = residual(plain, m, log_mu, P, tau / (K - beta))
        yield Identity(f"towards μ, n = {n}", spread(r), true=1, false=2)
        behaviour = (1 - beta) * log_pi + beta * log_b
        r = residual(behaviour, m, (1 - beta) * log_mu + beta * log_b, P, tau / (K - beta))
        yield Identity(f"towards μ_b, n = {n}", spread(r), true=1, false=2)


@derivation("L8", "IPO-MD mixed towards a behaviour policy μ_b is online IPO at β = 0 and offline IPO on μ_b at β = 1")
def interpolation() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu, w, b, v = preferences(n), logs(weights("μ", n)), weights("w", n), weights("b", n), weights("v", n)
        loss = gradient(ipo(logs(simplex(w)) - log_mu, simplex(v), P), w)
        mixture = Matrix([x ** (1 - K) * y**K for x, y in zip(w, b, strict=True)])  # towards μ_b, at β = K
        at_mixture = at(loss, v, mixture)
        yield Identity(f"β = 0 is online, n = {n}", at_mixture - at(loss, v, w), true=0, false=half)
        yield Identity(f"β = 1 is offline, n = {n}", at_mixture - at(loss, v, b), true=1, false=half)


@derivation("L9", "E[s(y)(P[y,y'] − ½ − τh(y))], y ~ π, y' ~ m, is ∇[P(π ≻ SG m) − τKL(π‖μ)]; self-play at β = 0")
def policy_gradient() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, mu, w, m = preferences(n), weights("μ", n), weights("w", n), interior("m", n)
        pi, log_mu = simplex(w), logs(mu)
        h = logs(pi) - log_mu
        estimate = score_weighted(pi, P * m - half * ones(n, 1) - tau * h)
        game = gradient(mean(pi, P * m) - tau * kl(pi, logs(pi), log_mu), w)
        yield Identity(f"the estimator's mean, n = {n}", estimate - K * game, true=1, false=2)

    P, w, mu = preferences(3), weights("w", 3), weights("μ", 3)
    opponent = simplex(Matrix([x ** (1 - K) * y**K for x, y in zip(w, mu, strict=True)]))  # m_β at β = K
    yield Identity("β = 0 plays against π", P * (opponent - simplex(w)), true=0, false=half)
    yield Identity("β = 1 plays against μ", P * (opponent - simplex(mu)), true=1, false=half)

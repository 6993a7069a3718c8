"""L3, L4, L14.  The stationary points of IPO (tabular softmax, s(y) = e_y − π).

With samples from ν the covariance identity of L1 becomes, coordinate by coordinate,

    ∂IPO/∂θ_y = −(4/τ) ν(y) (u_y − E_ν u),   u = Pν − τh,

so, where ν > 0, stationarity means that u is constant:  π ∝ μ e^{Pν/τ}.  Online ν = π, and that is the equilibrium
(L3); offline ν is data, and the optimum moves with it (L4), except for n = 2.  A response with ν(y) = 0 has no gradient
(L14).
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from losses import dpo, ipo
from notation import (
    Matrix,
    at,
    gradient,
    half,
    interior,
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


@derivation("L3", "online IPO rests exactly at π*_τ: ∇_y = −(4/τ) π_y (u_y − E_π u), u = Pπ − τh, and u = −τr")
def online() -> Iterator[Identity]:
    for n in (2, 3):
        P, log_mu, w, v = preferences(n), logs(weights("μ", n)), weights("w", n), weights("v", n)
        pi = simplex(w)
        h = logs(pi) - log_mu
        u = P * pi - tau * h
        loss = at(gradient(ipo(h, simplex(v), P), w), v, w)
        centred = pi.multiply_elementwise(u - ones(n, 1) * mean(pi, u))
        yield Identity(f"the gradient, n = {n}", loss + K / tau * centred, true=4, false=2)
        r = residual(logs(pi), pi, log_mu, P, tau)
        yield Identity(f"u is −τ times E1's residual, n = {n}", u + K * tau * r, true=1, false=2)


@derivation("L4", "offline IPO rests at π ∝ μ exp(p(y ≻ ν)/τ), which moves with ν, except for n = 2")
def offline() -> Iterator[Identity]:
    for n in (2, 3):
        P, log_mu, w, nu = preferences(n), logs(weights("μ", n)), weights("w", n), interior("ν", n)
        h = logs(simplex(w)) - log_mu
        u = P * nu - tau * h
        centred = nu.multiply_elementwise(u - ones(n, 1) * mean(nu, u))
        yield Identity(f"the gradient, n = {n}", gradient(ipo(h, nu, P), w) + K / tau * centred, true=4, false=2)
        resting = at(gradient(ipo(P * nu * K / tau + logs(w), nu, P), w), w, ones(n, 1))  # h = Pν/τ + const
        yield Identity(f"at h = Pν/τ it vanishes, n = {n}", resting, true=1, false=2)

    nu, P = interior("ν", 2), preferences(2)
    yield Identity("n = 2: p(1≻ν) − p(2≻ν) = p − ½ for every ν", spread(P * nu)[0] - P[0, 1] + K, true=half, false=0)
    P = preferences(3)
    lead = [P[0, y] - P[2, y] for y in range(3)]  # p(1≻ν) − p(3≻ν) for ν all on y
    around = P[0, 1] + P[1, 2] + P[2, 0] - 3 * half
    yield Identity(
        "n = 3: moving ν from 3 to 2 shifts it by a₁₂ + a₂₃ + a₃₁", lead[1] - lead[2] - K * around, true=1, false=2
    )


@derivation("L14", "offline IPO and DPO have no gradient in θ_y where ν(y) = 0: their optima are not unique")
def unseen_response() -> Iterator[Identity]:
    P, log_mu, w = preferences(3), logs(weights("μ", 3)), weights("w", 3)
    seen = weights("v", 2)
    nu = simplex(Matrix([*seen, K]))  # the third response is seen with probability ∝ K
    for name, loss in (("IPO", ipo), ("DPO", dpo)):
        free = gradient(loss(logs(simplex(w)) - log_mu, nu, P), w)[2]
        yield Identity(f"offline {name}, n = 3", free, true=0, false=1)

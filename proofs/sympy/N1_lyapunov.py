"""N1.  A Lyapunov function for tabular online IPO.

The gradient flow is θ̇ = g = D(Pπ − τh), g_y = π_y (r_y − E_π r) with r = Pπ − τh.  Since π_y e^{−θ_y} = 1/Σe^θ,

    V = Σ q_y e^{−θ_y}:   V̇ = −Σ q_y e^{−θ_y} g_y = −⟨q − π, r⟩ / Σe^θ = −(τ/Σe^θ) [KL(π‖q) + KL(q‖π)],

the last step by E3's cancellation.  At τ = 0 and Aq = 0 the right side is 0: V is conserved, and self-play orbits.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import (
    Matrix,
    covariance,
    half,
    interior,
    kl,
    logs,
    mean,
    nash_reference,
    ones,
    preferences,
    simplex,
    skew,
    tau,
    weights,
)


def flow(w: Matrix, payoff: Matrix) -> Matrix:
    """θ̇ = D(Pπ − τh) at θ = log w."""
    return covariance(simplex(w)) * payoff


@derivation(
    "N1", "along θ̇ = D(Pπ − τh), Σθ is constant and V = Σ q e^{−θ} obeys V̇ = −(τ/Σe^θ) SymKL(π); τ = 0: conserved"
)
def lyapunov() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, w, q = preferences(n), weights("w", n), interior("q", n)
        pi, log_mu = simplex(w), nash_reference(q, P, tau)
        r = P * pi - tau * (logs(pi) - log_mu)
        velocity = pi.multiply_elementwise(r - ones(n, 1) * mean(pi, r))
        if n < 4:
            yield Identity(f"g_y = π_y(r_y − E_π r), n = {n}", flow(w, r) - K * velocity, true=1, false=2)
        total = mean(pi, r) - K * sum(pi) * mean(pi, r)  # Σg, as Σ π_y r_y = E_π r
        yield Identity(f"Σθ is constant, n = {n}", total, true=1, false=2)

        descent = -sum(q[y] / w[y] * velocity[y] for y in range(n))  # V̇, with e^{−θ} = 1/w
        symmetric_kl = kl(pi, logs(pi), logs(q)) + kl(q, logs(q), logs(pi))
        yield Identity(f"V̇ = −(τ/Σe^θ) SymKL, n = {n}", descent + K * tau / sum(w) * symmetric_kl, true=1, false=2)

    # τ = 0: the equilibrium of three responses is the kernel of A, q ∝ (a₂₃, a₃₁, a₁₂)
    A, w = skew(3), weights("w", 3)
    q = Matrix([A[1, 2], K * A[2, 0], A[0, 1]])
    conserved = sum(q[y] / w[y] * flow(w, (A + half * ones(3, 3)) * simplex(w))[y] for y in range(3))
    yield Identity("τ = 0: V is conserved, n = 3", conserved, true=1, false=2)

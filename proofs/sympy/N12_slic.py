"""N12, N13.  SLiC has no restoring force.

    SLiC(θ) = E_{y,y'~SG π}[ p max(0, 1 − τd) + (1−p) max(0, 1 + τd) ].

While every |τd| < 1 the hinge is linear and the gradient is −4τ D A π: self-play without its regularisation.  At the
equilibrium q osc(τh) < 1 (τh = Pq + const, and the entries of Pq lie within (0, 1)), so q is stationary iff D A q = 0,
iff Aq = 0, iff q = μ.  For two responses, p > ½, the force vanishes only at the hinge, h₁ − h₂ = 1/τ.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from losses import slic_inside
from notation import (
    Matrix,
    at,
    covariance,
    cycle,
    gradient,
    half,
    logs,
    ones,
    preferences,
    residual,
    simplex,
    skew,
    spread,
    tau,
    weights,
)
from sympy import Symbol


@derivation("N12", "while osc(τh) < 1 the online SLiC gradient is −4τ D A π; at the equilibrium it vanishes iff Aμ = 0")
def no_restoring_force() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, A, w, v, log_mu = preferences(n), skew(n), weights("w", n), weights("v", n), logs(weights("μ", n))
        pi = simplex(w)
        slope = at(gradient(slic_inside(logs(pi) - log_mu, simplex(v), P), w), v, w)
        yield Identity(f"the gradient, n = {n}", slope + K * tau * covariance(pi) * A * pi, true=4, false=2)
        # D x = 0 only for constant x, and the constant is πᵀAπ = 0: the force vanishes iff Aπ does
        force = covariance(pi) * A * pi
        yield Identity(f"D A π = π·(Aπ), n = {n}", force - K * pi.multiply_elementwise(A * pi), true=1, false=2)

    P, mu = cycle(), simplex(Matrix([K, 1, 1]))
    yield Identity("rock, paper, scissors: Aμ = 0 at uniform μ", P * mu - half * ones(3, 1), true=1, false=2)
    yield Identity("and then μ is the equilibrium", spread(residual(logs(mu), mu, logs(mu), P, tau)), true=1, false=2)


@derivation("N13", "n = 2, ½ < p < 1: SLiC rests at h₁ − h₂ = 1/τ whatever p is; the equilibrium at (p − ½)/τ")
def two_responses() -> Iterator[Identity]:
    d, gap = Symbol("d", real=True), Symbol("g", positive=True)
    p = (1 + gap) / (2 + gap)  # ½ < p < 1
    below = (p * (1 - tau * d) + (1 - p) * (1 + tau * d)).diff(d)  # both hinges open, |τd| < 1
    pull = nonnegative(tau * gap / (2 + gap))
    yield Identity("below the hinge it falls at the rate (2p−1)τ", below + K * pull, true=1, false=2)
    above = ((1 - p) * (1 + tau * d)).diff(d)  # τd > 1: the first hinge is shut
    push = nonnegative(tau / (2 + gap))
    yield Identity("above it rises at the rate (1−p)τ", above - K * push, true=1, false=2)

    pi, mu = simplex(weights("w", 2)), weights("μ", 2)
    P = Matrix([[half, p], [1 - p, half]])
    r = residual(logs(pi), pi, logs(mu), P, tau)
    at_nash = spread(logs(pi) - logs(mu))[0] - spread(r)[0] - (p - K) / tau
    yield Identity("the equilibrium has h₁ − h₂ = (p − ½)/τ", at_nash, true=half, false=0)

"""E7.  Rewards against preferences.

Reward maximisation, max_π E_π[r] − τ KL(π‖μ), gives π_R ∝ μ e^{r/τ}.  When P is Bradley–Terry, p = σ(r_y − r_y'), the
equilibrium is another policy: for two responses its log-ratio gap is (p − ½)/τ, that of π_R is (r₁ − r₂)/τ, and

    Δ − (σ(Δ) − ½) = Δ − ½ tanh(Δ/2)

has slope ≥ ¾ and vanishes at Δ = 0 only.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from notation import Matrix, at, half, kl, logs, mean, ones, reals, sigmoid, simplex, spread, tau, weights
from sympy import Rational, Symbol, exp, tanh


@derivation("E7", "the RLHF optimum is ∝ μ exp(r/τ); under Bradley–Terry, n = 2, it is π*_τ only where r is equal")
def bradley_terry() -> Iterator[Identity]:
    kappa, log_z = Symbol("κ", real=True), Symbol("logZ", real=True)
    for n in (2, 3, 4):
        mu, r, pi = weights("μ", n), reals("r", n), weights("x", n)
        lagrangian = mean(pi, r) - tau * kl(pi, logs(pi), logs(mu)) - kappa * (sum(pi) - 1)
        slope = Matrix([lagrangian.diff(x) for x in pi])
        optimum = logs(mu) + r / tau - log_z * ones(n, 1)
        stationary = at(slope, logs(pi), optimum).subs(kappa, tau * (log_z - K))
        yield Identity(f"μ e^(r/τ)/Z is stationary, n = {n}", stationary, true=1, false=0)

    gap = Symbol("Δ", real=True)  # r₁ − r₂
    p, pi = sigmoid(gap), simplex(weights("w", 2))
    P = Matrix([[half, p], [1 - p, half]])
    apart = spread(P * pi)[0] - (K * tanh(gap / 2) / 2).rewrite(exp)
    yield Identity("n = 2: p(1≻π) − p(2≻π) = ½ tanh(Δ/2), whatever π", apart, true=1, false=2)
    slope = (gap - (p - half)).diff(gap)
    bound = slope - K - nonnegative((p - half) ** 2)
    yield Identity("n = 2: Δ − ½ tanh(Δ/2) has slope ¾ + (p − ½)²", bound, true=Rational(3, 4), false=half)

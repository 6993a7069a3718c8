"""L1.  Online IPO is self-play in the regularised game (paper Prop 4.2, with the constant of the loss as written).

    IPO(θ) = E_{y,y' ~ SG ν} [ p (d − 1/2τ)² + (1−p) (−d − 1/2τ)² ],   d = h(y) − h(y'),  h = log π − log μ.

For every sampling policy ν its gradient is −(4/τ) Cov_ν(s, p(·≻ν) − τh), s = ∇ log π.  At ν = π, where E_π[s] = 0, the
covariance is E_π[s (p(·≻π) − τh)], the gradient of  P(π ≻ SG π) − τ KL(π‖μ).  The paper prints 2/τ: the control.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from losses import ipo
from notation import Matrix, at, curve, gradient, half, interior, kl, logs, mean, preferences, simplex, tau, weights
from sympy import Function, Symbol


@derivation("L1", "∇ IPO at ν = SG π is −(4/τ) ∇[P(π ≻ SG π) − τ KL(π‖μ)]: softmax and any smooth parametrisation")
def equivalence() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu, w, v = preferences(n), logs(weights("μ", n)), weights("w", n), weights("v", n)
        pi, opponent = simplex(w), simplex(v)
        loss = gradient(ipo(logs(pi) - log_mu, opponent, P), w)
        game = gradient(mean(pi, P * opponent) - tau * kl(pi, logs(pi), log_mu), w)
        equal = at(loss + K / tau * game, v, w)  # opens the stop-gradient
        yield Identity(f"tabular softmax, n = {n}", equal, true=4, false=2)

    for n in (2, 3, 4):
        P, log_mu, t = preferences(n), logs(weights("μ", n)), Symbol("t", real=True)
        pi, frozen = curve("π", n, t), weights("v", n)
        loss = ipo(logs(pi) - log_mu, frozen, P).diff(t)
        game = (mean(pi, P * frozen) - tau * kl(pi, logs(pi), log_mu)).diff(t)
        yield Identity(f"any parametrisation, n = {n}", at(loss + K / tau * game, frozen, pi), true=4, false=2)


@derivation("L1.covariance", "∇ IPO = −(4/τ) Cov_ν(s, p(·≻ν) − τh) for every sampling policy ν and every score s")
def covariance_identity() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu, nu, t = preferences(n), logs(weights("μ", n)), interior("ν", n), Symbol("t", real=True)
        log_pi = Matrix([Function(f"l{y + 1}", real=True)(t) for y in range(n)])  # need not even be normalised
        h, s = log_pi - log_mu, log_pi.diff(t)
        payoff = P * nu - tau * h
        cov = mean(nu, s.multiply_elementwise(payoff)) - mean(nu, s) * mean(nu, payoff)
        yield Identity(f"any ν, n = {n}", ipo(h, nu, P).diff(t) + K / tau * cov, true=4, false=2)


@derivation("L1.forms", "IPO's three forms: per pair with p; −d + τd² per ordered pair; (d − (p−½)/τ)² per soft pair")
def forms() -> Iterator[Identity]:
    d, p = Symbol("d", real=True), Symbol("p", positive=True)
    pair = p * (d - 1 / (2 * tau)) ** 2 + (1 - p) * (-d - 1 / (2 * tau)) ** 2
    soft = (d - (p - K) / tau) ** 2
    yield Identity("(d − (p − ½)/τ)² has the same slope", (pair - soft).diff(d), true=half, false=0)
    ordered = p * (-d + tau * d**2) + (1 - p) * (d + tau * d**2)
    yield Identity("−d + τd² has the slope times τ", (tau * pair - K * ordered).diff(d), true=1, false=2)
    both_orders = ipo(Matrix([d, 0]), Matrix([1, 1]), Matrix([[half, p], [1 - p, half]]))
    yield Identity("both orders of a pair count twice", (both_orders - K * pair).diff(d), true=2, false=1)

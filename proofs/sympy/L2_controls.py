"""L2.  What breaks the equivalence L1, and by exactly how much.

Conditions of the theorem are dropped in turn and the difference to  −(4/τ) ∇[P(π ≻ SG π) − τ KL(π‖μ)]  is computed in
closed form (s: scores, h = log π − log μ): L1 survives only where that difference vanishes.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from losses import ipo
from notation import Matrix, at, curve, interior, kl, logs, mean, ones, preferences, tau, weights
from sympy import Expr, Function, Symbol


def square(x: Expr) -> Expr:
    return x**2


@derivation("L2.i", "without the stop-gradient the gradient gains 2 E[s(y) ℓ(y, y')], y, y' ~ π, ℓ the loss of a pair")
def without_stop_gradient() -> Iterator[Identity]:
    t = Symbol("t", real=True)
    for n in (2, 3, 4):
        P, log_mu, pi, nu = preferences(n), logs(weights("μ", n)), curve("π", n, t), weights("v", n)
        h = logs(pi) - log_mu
        frozen = at(ipo(h, nu, P).diff(t), nu, pi)

        gap = h * ones(1, n) - ones(n, 1) * h.T  # h(y) − h(y')
        up, down = ((sign * gap - ones(n, n) / (2 * tau)).applyfunc(square) for sign in (1, -1))
        loss = P.multiply_elementwise(up) + P.T.multiply_elementwise(down)  # of a pair, 1 − p = Pᵀ
        gained = (pi.diff(t).T * loss * pi)[0]  # πs = dπ/dt
        yield Identity(f"n = {n}", ipo(h, pi, P).diff(t) - frozen - K * gained, true=2, false=1)


@derivation("L2.ii", "with samples from ν the gradient is off by −(4/τ) {Cov_ν(s, p(·≻ν) − τh) − E_π[s (p(·≻ν) − τh)]}")
def other_samples() -> Iterator[Identity]:
    t = Symbol("t", real=True)
    for n in (2, 3, 4):
        P, log_mu, pi, nu = preferences(n), logs(weights("μ", n)), curve("π", n, t), interior("ν", n)
        h = logs(pi) - log_mu
        s, payoff = logs(pi).diff(t), P * nu - tau * h
        game = (mean(pi, P * nu) - tau * kl(pi, logs(pi), log_mu)).diff(t)
        cov = mean(nu, s.multiply_elementwise(payoff)) - mean(nu, s) * mean(nu, payoff)
        off = cov - mean(pi, s.multiply_elementwise(payoff))
        yield Identity(f"n = {n}", ipo(h, nu, P).diff(t) + 4 / tau * game + K / tau * off, true=4, false=2)


@derivation(
    "L2.iv", "averaged over tokens, IPO has scores and log-ratios over length; at one length T it is IPO(τ/T)/T²"
)
def averaged_over_tokens() -> Iterator[Identity]:
    t, T = Symbol("t", real=True), Symbol("T", positive=True)
    for n in (2, 3, 4):
        P, nu, lengths = preferences(n), interior("ν", n), weights("T", n)
        h = Matrix([Function(f"h{y + 1}", real=True)(t) for y in range(n)])
        common = ipo(h / T, nu, P) - T**-K * ipo(h, nu, P, tau / T)
        yield Identity(f"one common length, n = {n}", common, true=2, false=1)

        # unequal lengths: the optimum is no longer h = Pν/τ + c, but h/length = Pν/τ + c
        per_token = Matrix([h[y] / lengths[y] for y in range(n)])
        s, payoff = per_token.diff(t), P * nu - tau * per_token
        cov = mean(nu, s.multiply_elementwise(payoff)) - mean(nu, s) * mean(nu, payoff)
        yield Identity(f"any lengths, n = {n}", ipo(per_token, nu, P).diff(t) + K / tau * cov, true=4, false=2)


@derivation("L2.v", "where P + Pᵀ = 1 + S the gradient is off by (2/τ) E_π[s (Sπ)]: only P − Pᵀ can be learned")
def inconsistent_preferences() -> Iterator[Identity]:
    t = Symbol("t", real=True)
    for n in (2, 3, 4):
        S = Matrix(n, n, lambda i, j: Symbol(f"S{min(i, j) + 1}{max(i, j) + 1}", real=True))
        P, log_mu, pi, nu = preferences(n) + S / 2, logs(weights("μ", n)), curve("π", n, t), weights("v", n)
        loss = at(ipo(logs(pi) - log_mu, nu, P).diff(t), nu, pi)
        game = at((mean(pi, P * nu) - tau * kl(pi, logs(pi), log_mu)).diff(t), nu, pi)
        off = mean(pi.diff(t), S * pi)
        yield Identity(f"P + Pᵀ = 1 + S, n = {n}", loss + 4 / tau * game - K / tau * off, true=2, false=4)

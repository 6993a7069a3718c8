"""L16, L17.  Two named losses are IPO in another form.

SPPO on hard labels, (h(w) − 1/(2τ))² + (h(l) + 1/(2τ))², is for each pair IPO plus 2 h(y) h(y'), up to a constant.  So
its gradient is IPO's plus 4 E_ν[h] E_ν[s], and online, where E_π[s] = 0, it is IPO's.

EXO on pairs, KL((σ, 1 − σ) ‖ (1 − ε, ε)) with σ = σ(x), x = τd, has the slope σ(1 − σ)(x − (2p − 1) log((1 − ε)/ε)) at
preference p: its optimum is linear in p, like IPO's, and on additive preferences it is offline IPO's at temperature
τ/(2 log((1 − ε)/ε)).
"""

from collections.abc import Iterator

import sympy as sp
from derivation import Identity, K, derivation
from losses import ipo
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
    reals,
    simplex,
    spread,
    tau,
    weights,
)
from sympy import Symbol


def sppo(h: Matrix, nu: Matrix, P: Matrix) -> sp.Expr:
    """E_{y,y'~ν} of the winner's and the loser's square, the labels drawn with P."""

    def squares(winner: sp.Expr, loser: sp.Expr) -> sp.Expr:
        return (winner - 1 / (2 * tau)) ** 2 + (loser + 1 / (2 * tau)) ** 2

    total = sp.Integer(0)
    for y in range(len(h)):
        for z in range(len(h)):
            total += nu[y] * nu[z] * (P[y, z] * squares(h[y], h[z]) + P[z, y] * squares(h[z], h[y]))
    return total


@derivation("L16", "SPPO is IPO + 2 (E_ν h)² + 1/(4τ²): online, with a fixed reference, it is IPO in expectation")
def sppo_is_online_ipo() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, h, nu = preferences(n), reals("h", n), interior("ν", n)
        rest = sppo(h, nu, P) - ipo(h, nu, P) - 1 / (2 * tau) ** 2
        yield Identity(f"the difference, n = {n}", rest - K * mean(nu, h) ** 2, true=2, false=1)
        w, v = weights("w", n), weights("v", n)
        online = at(gradient(mean(simplex(v), logs(simplex(w)) + (K - 1) * w), w), v, w)
        yield Identity(f"E_π s = 0, so online ∇(E_ν h)² = 2 E_ν[h] E_ν[s] is 0, n = {n}", online, true=1, false=2)


def exo(z: sp.Expr, log_right: sp.Expr, log_wrong: sp.Expr) -> sp.Expr:
    """KL((σ(x), σ(−x)) ‖ (1 − ε, ε)) at x = log z, where σ(x) = z/(1 + z); the last two are log(1 − ε) and log ε."""
    own, other = z / (1 + z), 1 / (1 + z)
    return own * (sp.log(z) - sp.log(1 + z) - log_right) + other * (-sp.log(1 + z) - log_wrong)


@derivation("L17", "EXO-pair's optimum is τd = (2p − 1) log((1 − ε)/ε): offline IPO's on additive preferences")
def exo_is_offline_ipo() -> Iterator[Identity]:
    z, p = Symbol("z", positive=True), Symbol("p", positive=True)
    right, wrong = Symbol("log(1−ε)", real=True), Symbol("log ε", real=True)
    risk = p * exo(z, right, wrong) + (1 - p) * exo(1 / z, right, wrong)
    claimed = z / (1 + z) ** 2 * (sp.log(z) - K * (p - half) * (right - wrong))
    yield Identity("the slope by x = log z", z * risk.diff(z) - claimed, true=2, false=1)

    # on additive preferences offline IPO's optimum at any temperature has gaps proportional to p − ½, for every ν
    u, nu = reals("u", 3), simplex(weights("v", 3))
    P = half * ones(3, 3) + u * ones(1, 3) - ones(3, 1) * u.T
    for y, lead in enumerate(spread(P * nu)):
        yield Identity(f"(Pν)_{y + 1} − (Pν)_3", lead - K * (P[y, 2] - half), true=1, false=2)

"""L11, L12, L13.  Online DPO is stationary elsewhere.

    DPO(θ) = E_{y,y'~SG ν}[ −p log σ(τd) − (1−p) log σ(−τd) ],
    ∇ = −2τ E_ν[ s(y) g(y) ],   g(y) = p(y ≻ ν) − E_{y'~ν} σ(τ(h(y) − h(y'))).

The loss depends on θ only through h, so it is enough to differentiate in h.  For the tabular online case (ν = π) it is
stationary iff g is constant, and E_ν g = 0 makes that g = 0.  At the equilibrium q the gaps are
τ(h − h') = p(y≻q) − p(y'≻q), which gives the condition of the paper's Lemma F.5.  Two responses: p = σ(p − ½).
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from losses import dpo
from notation import (
    Matrix,
    cycle,
    half,
    interior,
    logs,
    mean,
    nash_reference,
    ones,
    preferences,
    reals,
    sigmoid,
    simplex,
    tau,
    weights,
)
from sympy import Expr, Rational, Symbol, cancel


def imbalance(nu: Matrix, gaps: Matrix, P: Matrix) -> Matrix:
    """g(y) = p(y ≻ ν) − E_{y'~ν} σ(x(y) − x(y')), x = τh."""
    return P * nu - Matrix([mean(nu, Matrix([sigmoid(cancel(x - z)) for z in gaps])) for x in gaps])


@derivation("L11", "π*_τ is at rest for online DPO iff p(y≻q) = Σ q(y')σ(p(y≻q) − p(y'≻q)); for n = 2 only at p = ½")
def not_nash() -> Iterator[Identity]:
    for n in (2, 3):
        P, nu, h = preferences(n), interior("ν", n), reals("h", n)
        slope = Matrix([dpo(h, nu, P).diff(x) for x in h])
        g = imbalance(nu, tau * h, P)
        yield Identity(
            f"∂DPO/∂h_y = −2τ ν_y g_y, n = {n}", slope + K * tau * nu.multiply_elementwise(g), true=2, false=1
        )
        yield Identity(f"E_ν g = 0, n = {n}", mean(nu, g + (K - half) * ones(n, 1)), true=half, false=0)

        q = interior("q", n)
        at_nash = imbalance(q, tau * (logs(q) - nash_reference(q, P, tau)), P)
        yield Identity(f"τh = Pq at the equilibrium, n = {n}", at_nash - imbalance(q, K * P * q, P), true=1, false=2)

    p = Symbol("p", positive=True)
    P, q = Matrix([[half, p], [1 - p, half]]), simplex(weights("q", 2))
    g = imbalance(q, P * q, P)
    yield Identity("n = 2: g₁ = q₂ (p − σ(p − ½))", g[0] - q[1] * (p - sigmoid(p - K)), true=half, false=0)

    def crossing(k: Expr | int) -> Expr:
        return p - sigmoid(k * (p - half))

    lift = (sigmoid(p - half) - half) ** 2
    only_root = crossing(1).diff(p) - K - nonnegative(lift)
    yield Identity("p − σ(p − ½) has slope ≥ ¾: one root, p = ½", only_root, true=Rational(3, 4), false=half)
    k = Symbol("k", positive=True)
    turning = crossing(k).diff(p).subs(p, half) - (1 - k / K)
    yield Identity("at temperature kτ its slope at ½ is 1 − k/4: more roots beyond k = 4", turning, true=4, false=2)


@derivation("L12", "under Bradley–Terry the RLHF optimum, τh = r + const, is at rest for online DPO")
def rlhf_optimum() -> Iterator[Identity]:
    for n in (2, 3, 4):
        r, pi = reals("r", n), simplex(weights("w", n))
        P = Matrix(n, n, lambda y, z, r=r: sigmoid(r[y] - r[z]))
        yield Identity(f"n = {n}", imbalance(pi, K * r, P), true=1, false=2)


@derivation(
    "L13", "rock, paper, scissors with uniform μ: the equilibrium is at rest for online DPO; only where it is uniform"
)
def exception() -> Iterator[Identity]:
    P = cycle()
    q = simplex(Matrix([K, 1, 1]))  # the equilibrium for the μ of nash_reference; uniform at K = 1
    gaps = tau * (logs(q) - nash_reference(q, P, tau))
    yield Identity("g = 0 at the equilibrium", imbalance(q, gaps, P), true=1, false=2)
    log_mu = nash_reference(q, P, tau)
    yield Identity("whose μ is uniform", log_mu - ones(3, 1) * log_mu[2], true=1, false=2)

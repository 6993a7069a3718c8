"""The paper's notation: responses 1..n, preferences P = ½ + A with A skew, policies on the open simplex.

A policy has homogeneous coordinates, π = w/Σw with w > 0 (`simplex`), so that every full-support policy is covered and
every logarithm has a positive argument; they are also those of a tabular softmax, w = e^θ, ∂/∂θ_y = w_y ∂/∂w_y.  Where
that makes long fractions the last entry is 1 − Σ instead (`interior`), and a derivation for any smooth parametrisation
follows an arbitrary `curve` of policies.
Vectors over the responses are column matrices.
"""

from __future__ import annotations

import sympy as sp
from sympy import Matrix, Rational, Symbol, exp, log, ones, symbols

half = Rational(1, 2)
tau, eta, beta = symbols("τ η β", positive=True)


def weights(name: str, n: int) -> Matrix:
    """n positive symbols."""
    return Matrix(symbols(f"{name}1:{n + 1}", positive=True))


def reals(name: str, n: int) -> Matrix:
    """n real symbols."""
    return Matrix(symbols(f"{name}1:{n + 1}", real=True))


def simplex(w: Matrix) -> Matrix:
    """The policy with homogeneous coordinates w: w/Σw."""
    return w / sum(w)


def interior(name: str, n: int) -> Matrix:
    """The policy (π₁, ..., π_{n−1}, 1 − π₁ − ...): fewer denominators, where no sign has to be deduced."""
    free = weights(name, n)[: n - 1]
    return Matrix([*free, 1 - sum(free)])


def curve(name: str, n: int, t: Symbol) -> Matrix:
    """An arbitrary smooth curve of policies, (π₁(t), ..., π_{n−1}(t), 1 − π₁(t) − ...)."""
    free = [sp.Function(f"{name}{y + 1}", positive=True)(t) for y in range(n - 1)]
    return Matrix([*free, 1 - sum(free)])


def logs(policy: Matrix) -> Matrix:
    """The vector of log-probabilities."""
    return policy.applyfunc(lambda entry: sp.expand_log(log(entry)))


def skew(n: int, name: str = "a") -> Matrix:
    """The margins A = P − ½: a skew matrix of n(n−1)/2 real symbols."""

    def entry(i: int, j: int) -> sp.Expr:
        if i == j:
            return sp.Integer(0)
        return Symbol(f"{name}{i + 1}{j + 1}", real=True) if i < j else -Symbol(f"{name}{j + 1}{i + 1}", real=True)

    return Matrix(n, n, entry)


def preferences(n: int, name: str = "a") -> Matrix:
    """P = ½ + A."""
    return half * ones(n, n) + skew(n, name)


def cycle() -> Matrix:
    """Rock, paper, scissors: 1 ≻ 2 ≻ 3 ≻ 1, each with certainty."""
    return Matrix([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / 2 + half * ones(3, 3)


def mean(nu: Matrix, x: Matrix) -> sp.Expr:
    """E_ν[x]."""
    return nu.dot(x)


def kl(p: Matrix, log_p: Matrix, log_q: Matrix) -> sp.Expr:
    """KL(p‖q) = E_p[log p − log q]."""
    return mean(p, log_p - log_q)


def J(x: Matrix, log_x: Matrix, y: Matrix, log_y: Matrix, P: Matrix, log_mu: Matrix) -> sp.Expr:
    """The regularised game, J(x, y) = P(x ≻ y) − τ KL(x‖μ) + τ KL(y‖μ)."""
    return mean(x, P * y) - tau * kl(x, log_x, log_mu) + tau * kl(y, log_y, log_mu)


def normalise(logits: Matrix) -> Matrix:
    """The log-probabilities of the policy ∝ e^logits."""
    return logits - ones(len(logits), 1) * log(sum(exp(entry) for entry in logits))


def covariance(p: Matrix) -> Matrix:
    """D = diag p − p pᵀ, the derivative of a softmax at p."""
    return sp.diag(*p) - p * p.T


def gradient(f: sp.Expr, w: Matrix) -> Matrix:
    """∇_θ f at θ = log w."""
    return Matrix([entry * f.diff(entry) for entry in w])


def at(expression: sp.Expr | Matrix, variables: Matrix, values: Matrix) -> sp.Expr | Matrix:
    """The expression with the symbols ``variables`` set to ``values``: how a stop-gradient is opened again."""
    return expression.subs(dict(zip(variables, values, strict=True)), simultaneous=True)


def spread(x: Matrix) -> Matrix:
    """The differences x_y − x_n: zero exactly when x is constant over the responses."""
    return Matrix([entry - x[-1] for entry in x[:-1]])


def sigmoid(x: sp.Expr) -> sp.Expr:
    """σ(x) = 1/(1 + e^{−x})."""
    return 1 / (1 + exp(-x))


def residual(log_policy: Matrix, opponent: Matrix, log_reference: Matrix, P: Matrix, temperature: sp.Expr) -> Matrix:
    """r = log π − log μ − Pν/τ: constant exactly when π is the regularised best response to ν."""
    return log_policy - log_reference - P * opponent / temperature


def nash_reference(q: Matrix, P: Matrix, temperature: sp.Expr) -> Matrix:
    """log μ up to a constant, for the one μ that makes q the equilibrium: μ ∝ q e^{−Pq/τ} (E1 read backwards).

    Every pair (q, μ) with q = π*_τ arises so, which turns "let q be the equilibrium" into a formula.
    """
    return logs(q) - P * q / temperature

"""N16.  How far an equilibrium moves when the preferences or the temperature do.

Let p be the equilibrium of (P, τ), log p = log μ + Pp/τ + c, and q that of (Q, τ'), with the same μ.
Skewness of P removes the part of ⟨p − q, log p − log q⟩ in which p plays itself:

    KL(p‖q) + KL(q‖p) = ⟨p − q, (P/τ − Q/τ') q⟩.

(With |⟨p − q, x⟩| ≤ ½ osc(x)‖p − q‖₁ and Pinsker this already gives ‖p − q‖₁ ≤ ‖P − Q‖_max/τ; N16's constants 1/√3 and
1/√12 are smaller, and not derived here.)
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import interior, logs, mean, ones, preferences, tau, weights
from sympy import Symbol


@derivation(
    "N16", "SymKL(q_P, q_Q) = ⟨q_P − q_Q, (P − Q) q_Q⟩/τ and SymKL(q_τ, q_τ') = (1/τ − 1/τ')⟨q_τ − q_τ', P q_τ'⟩"
)
def sensitivity() -> Iterator[Identity]:
    other, c = Symbol("τ'", positive=True), Symbol("c", real=True)
    for n in (2, 3, 4):
        P, Q, p, q = preferences(n), preferences(n, "b"), interior("p", n), interior("q", n)
        log_mu, one = logs(weights("μ", n)), ones(n, 1)
        log_p = log_mu + P * p / tau + c * one
        moved = mean(p - q, log_p - (log_mu + Q * q / tau))
        yield Identity(f"other preferences, n = {n}", moved - K * mean(p - q, (P - Q) * q) / tau, true=1, false=2)
        moved = mean(p - q, log_p - (log_mu + P * q / other))
        gap = (1 / tau - 1 / other) * mean(p - q, P * q)
        yield Identity(f"other temperature, n = {n}", moved - K * gap, true=1, false=2)

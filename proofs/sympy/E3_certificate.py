"""E3.  A policy contains a proof of its own distance to the equilibrium q = π*_τ.

Let r = log π − log μ − Pπ/τ and r* the same at q, which is constant (E1).  Then

    ⟨π − q, r − r*⟩ = ⟨π − q, log π − log q⟩ − ⟨π − q, P(π − q)⟩/τ = KL(π‖q) + KL(q‖π),

for P = ½ + A, since the differences sum to zero and A is skew, so the game term cancels.  As ⟨π − q, 1⟩ = 0, the left
side is at most ½ osc(r) ‖π − q‖₁, and Pinsker's inequality gives the bound.  The sharp form, with tanh(osc/4), is
attained without a game: two responses, A = 0, π the mirror image of μ.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import exp, kl, logs, mean, ones, preferences, residual, simplex, tau, weights
from sympy import Matrix, Symbol, tanh


@derivation(
    "E3", "⟨π − q, r − r*⟩ = KL(π‖q) + KL(q‖π), by skewness of A; 2 tanh(osc/4) and osc·tanh(osc/4) are attained"
)
def certificate() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu = preferences(n), logs(weights("μ", n))
        pi, q = simplex(weights("w", n)), simplex(weights("q", n))
        # a symmetric part K in P would remain: the game term cancels only at weight 0
        game = mean(pi - q, (P + K * Matrix(n, n, lambda i, j: int(i == j))) * (pi - q))
        yield Identity(f"⟨π − q, P(π − q)⟩ = 0, n = {n}", game, true=0, false=1)

        r, r_star = residual(logs(pi), pi, log_mu, P, tau), residual(logs(q), q, log_mu, P, tau)
        symmetric_kl = kl(pi, logs(pi), logs(q)) + kl(q, logs(q), logs(pi))
        cancellation = mean(pi - q, r - r_star) - K * symmetric_kl
        yield Identity(f"⟨π − q, r − r*⟩ = SymKL, n = {n}", cancellation, true=1, false=2)

    osc = Symbol("o", positive=True)
    q = simplex(Matrix([exp(-osc / 4), exp(osc / 4)]))  # = μ, for A = 0
    pi = Matrix([q[1], q[0]])
    r = residual(logs(pi), pi, logs(q), ones(2, 2) / 2, tau)
    distance = (pi[0] - q[0]) + (q[1] - pi[1])  # ‖π − q‖₁
    rewritten = tanh(osc / 4).rewrite(exp)
    yield Identity("the mirror image has osc(r) = o", K * (r[0] - r[1]) - osc, true=1, false=2)
    yield Identity("attained: ‖π − q‖₁ = 2 tanh(o/4)", distance - K * rewritten, true=2, false=1)
    attained = kl(pi, logs(pi), logs(q)) + kl(q, logs(q), logs(pi)) - K * osc * rewritten
    yield Identity("attained: SymKL = o·tanh(o/4)", attained, true=1, false=2)

"""E4.  Newton's method for the equilibrium never meets a singular matrix.

F(θ) = θ − log μ − P softmax(θ)/τ  has the Jacobian  I − P D/τ = I − A D/τ,  D = diag π − ππᵀ  (1ᵀD = 0 removes the ½).
With s = √π,  D = B Bᵀ  for  B = diag(s)(I − s sᵀ),  because I − ssᵀ is a projection.  So AD = A B Bᵀ has the spectrum
of BᵀAB, which is skew: purely imaginary eigenvalues iλ, and |1 − iλ/τ| ≥ 1.  (Two responses: BᵀAB = 0, AD is
nilpotent.)
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from notation import Matrix, covariance, log, logs, preferences, simplex, skew, tau, weights
from sympy import Symbol, diag, eye


@derivation("E4", "the Jacobian of θ − log μ − P softmax(θ)/τ is I − AD/τ, and AD has the spectrum of a skew matrix")
def newton() -> Iterator[Identity]:
    for n in (2, 3):
        w, P, A, mu = weights("w", n), preferences(n), skew(n), weights("μ", n)
        pi = simplex(w)
        F = w.applyfunc(log) - logs(mu) - P * pi / tau
        jacobian = Matrix(n, n, lambda i, j, F=F, w=w: w[j] * F[i].diff(w[j]))  # ∂/∂θ_j at θ = log w
        expected = eye(n) - K * A * covariance(pi) / tau
        yield Identity(f"the Jacobian is I − AD/τ, n = {n}", jacobian - expected, true=1, false=2)

    x = Symbol("x", real=True)
    for n in (3, 4):
        A, root = skew(n), weights("s", n)
        length = sum(entry**2 for entry in root)  # s of any length: π = s²/|s|²
        D = covariance(root.applyfunc(lambda entry: entry**2) / length)
        B = diag(*root) * (eye(n) - root * root.T / length)
        yield Identity(f"D = BBᵀ, n = {n}", length * D - K * B * B.T, true=1, false=2)
        similar = (B.T * A * B) / length
        yield Identity(f"BᵀAB is skew, n = {n}", similar + K * similar.T, true=1, false=2)
        if n == 3:
            same = (x * eye(n) - A * D).det() - (x * eye(n) - K * similar).det()
            yield Identity(f"AD has the spectrum of BᵀAB, n = {n}", same, true=1, false=2)

    nilpotent = (x * eye(2) - skew(2) * covariance(simplex(weights("w", 2)))).det()
    yield Identity("AD is nilpotent, n = 2", nilpotent - K * x**2, true=1, false=2)

    pi, A = simplex(weights("w", 3)), skew(3)
    determinant = (eye(3) - A * covariance(pi) / tau).det()
    square = pi[0] * pi[1] * pi[2] * (A[0, 1] + A[1, 2] + A[2, 0]) ** 2 / tau**2
    yield Identity("det(I − AD/τ) = 1 + λ²/τ² ≥ 1, n = 3", determinant - 1 - K * nonnegative(square), true=1, false=2)

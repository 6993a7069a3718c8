"""N18.  The log-ratio lies on a sphere: a certificate from the residual's moments.

With ℓ = log π − log q, L = (π − q)/ℓ is entry by entry the logarithmic mean of π and q, so that Lℓ = π − q and, r the
residual of π, in ⟨f, g⟩_L = Σ L f g

    ⟨ℓ, 1⟩_L = 0,     ‖ℓ‖²_L = SymKL(π, q) = ⟨ℓ, r − c⟩_L  for every c :

ℓ is on the sphere of diameter r − c, and ⟨s, ℓ⟩_L ≤ ½(⟨s, r − c⟩_L + ‖s‖_L ‖r − c‖_L) for s = sgn ℓ is the bound of
‖π − q‖₁.  L ≤ (π + q)/2, whose means are those of π but for ‖π − q‖₁/4 times the range, makes it one from π alone.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation, nonnegative
from notation import (
    Matrix,
    half,
    interior,
    kl,
    log,
    logs,
    mean,
    nash_reference,
    ones,
    preferences,
    reals,
    residual,
    tau,
    weights,
)
from sympy import Rational, Symbol, simplify, sqrt, symbols


@derivation(
    "N18",
    "⟨ℓ,1⟩_L = 0 and ‖ℓ‖²_L = SymKL(π,q) = ⟨ℓ, r−c⟩_L: √SymKL ≤ ‖r‖_L, and x = ‖π−q‖₁ ≤ ½(E_π|r̃| + xM/4 + √(f²+xM²/4))",
)
def sphere() -> Iterator[Identity]:
    c, quarter = Symbol("c", real=True), Rational(1, 4)
    for n in (2, 3, 4):
        P, q, pi, one = preferences(n), interior("q", n), interior("π", n), ones(n, 1)
        ell = logs(pi) - logs(q)
        log_mean = Matrix([(p - x) / gap for p, x, gap in zip(pi, q, ell, strict=True)])
        L = K * log_mean + (1 - K) * (pi + q) / 2  # the control: weights that are the arithmetic mean
        weighted = Matrix([(w * gap).expand() for w, gap in zip(L, ell, strict=True)])
        yield Identity(f"⟨ℓ, 1⟩_L = 0, n = {n}", mean(weighted, one), true=1, false=0)
        sym_kl = kl(pi, logs(pi), logs(q)) + kl(q, logs(q), logs(pi))
        yield Identity(f"‖ℓ‖²_L = SymKL, n = {n}", mean(pi - q, ell) - K * sym_kl, true=1, false=half)
        r = residual(logs(pi), pi, nash_reference(q, P, tau), P, tau)
        yield Identity(f"⟨ℓ, r − c⟩_L = SymKL, n = {n}", mean(pi - q, r - c * one) - K * sym_kl, true=1, false=half)

        # with d = l + e:  ‖l − d/2‖²_w = ‖d‖²_w/4 − ⟨l, e⟩_w, and the last is 0 where ‖l‖²_w = ⟨l, d⟩_w
        w, e, free = weights("w", n), reals("e", n), reals("l", n)
        d = free + e
        radius = mean(w, (free - d / 2).applyfunc(lambda x: x**2)) - K * mean(w, d.applyfunc(lambda x: x**2))
        across = mean(w, free.multiply_elementwise(e))
        yield Identity(f"the sphere of diameter d, n = {n}", radius + across, true=quarter, false=half)

    # L ≤ (π + q)/2: log(1+t) − log(1−t) − 2t starts at 0 and grows, t = (π − q)/(π + q) in (0, 1), here 1/(1 + s)
    t, s = Symbol("t", real=True), Symbol("s", positive=True)
    slope = (log(1 + t) - log(1 - t) - 2 * t).diff(t).subs(t, 1 / (1 + s))
    yield Identity("L ≤ (π + q)/2", K * nonnegative(simplify(slope)) - 2 / (s * (s + 2)), true=1, false=half)

    # ‖π − q‖₁² ≤ SymKL ≤ f² + xM²/4, whose positive root is the closed form
    M, f2 = symbols("M f2", positive=True)
    x = M**2 / 8 + sqrt(f2 + M**4 / 64)
    yield Identity("x² = f² + xM²/4", x**2 - f2 - K * x * M**2, true=quarter, false=half)

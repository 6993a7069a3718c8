"""N17.  The value of k completions of a prompt, which make k(k−1)/2 pairs.

U = average of a symmetric kernel g over all pairs.  Two pairs share both, one or no completion; with Hoeffding's
ζ₁ = Cov(g(y,y'), g(y,y'')), ζ₂ = Var g, counting them gives

    Var U = 2 [2(k−2) ζ₁ + ζ₂] / (k(k−1)),

against 2ζ₂/k for k/2 fresh pairs: ratio (1 + 2(k−2)ρ)/(k−1), ρ = ζ₁/ζ₂ ≤ ½.
"""

from collections.abc import Iterator
from itertools import combinations, product

from derivation import Identity, K, derivation
from notation import Matrix, interior
from sympy import Expr, Integer, Symbol, binomial, sqrt, symbols

zeta0, zeta1, zeta2, k = symbols("ζ0 ζ1 ζ2 k", positive=True)
var_pairs = 2 * (2 * (k - 2) * zeta1 + zeta2) / (k * (k - 1))


def kernel(n: int) -> Matrix:
    """A symmetric kernel g(y, y') of real symbols."""
    return Matrix(n, n, lambda i, j: Symbol(f"g{min(i, j) + 1}{max(i, j) + 1}", real=True))


def components(p: Matrix, g: Matrix) -> tuple[Expr, Expr]:
    """ζ₁ and ζ₂ of a kernel under p."""
    centre = (p.T * g * p)[0]
    first = g * p  # E[g | y]
    zeta_1 = sum(p[y] * first[y] ** 2 for y in range(len(p))) - centre**2
    zeta_2 = sum(p[y] * p[z] * g[y, z] ** 2 for y in range(len(p)) for z in range(len(p))) - centre**2
    return zeta_1, zeta_2


def enumerated_variance(p: Matrix, g: Matrix, size: int) -> Expr:
    """Var U by listing every outcome of ``size`` independent completions."""
    moments = [Integer(0), Integer(0)]
    for draw in product(range(len(p)), repeat=size):
        chance = Integer(1)
        for y in draw:
            chance *= p[y]
        value = sum(g[y, z] for y, z in combinations(draw, 2)) / binomial(size, 2)
        moments = [moments[0] + chance * value, moments[1] + chance * value**2]
    return moments[1] - moments[0] ** 2


@derivation("N17", "Var U = 2[2(k−2)ζ₁ + ζ₂]/(k(k−1)); ratio (1 + 2(k−2)ρ)/(k−1), ρ ≤ ½; both best k")
def pairs() -> Iterator[Identity]:
    p = interior("p", 2)
    z1, z2 = components(p, kernel(2))
    for size in (2, 3, 4):
        stated = (K * 2 * (2 * (size - 2) * z1 + z2)) / (size * (size - 1))
        yield Identity(
            f"every outcome listed, k = {size}", enumerated_variance(p, kernel(2), size) - stated, true=1, false=2
        )

    sharing_one, sharing_two = binomial(k, 2).expand(func=True) * 2 * (k - 2), binomial(k, 2).expand(func=True)
    counted = (sharing_one * zeta1 + sharing_two * zeta2) / binomial(k, 2).expand(func=True) ** 2
    yield Identity("counting shared completions, any k", counted - K * var_pairs, true=1, false=2)

    rho = zeta1 / zeta2
    ratio = var_pairs / (2 * zeta2 / k)
    yield Identity("the ratio", ratio - (1 + K * (k - 2) * rho) / (k - 1), true=2, false=1)

    # ζ₂ − 2ζ₁ is the variance of what is left of g without its two one-completion parts
    g = kernel(2)
    first, centre = g * p, (p.T * g * p)[0]
    left = sum(p[y] * p[z] * (g[y, z] - first[y] - first[z] + centre) ** 2 for y in range(2) for z in range(2))
    yield Identity("ρ ≤ ½: ζ₂ − 2ζ₁ is a variance", z2 - K * z1 - left, true=2, false=1)

    # N completions in all, prompts of variance ζ₀: N/k prompts, variance ∝ k(ζ₀ + Var U)
    best = 1 + sqrt(K * (zeta2 - 2 * zeta1) / zeta0)
    slope = (k * (zeta0 + var_pairs)).diff(k)
    yield Identity("best k with between-prompt variance", slope.subs(k, best), true=2, false=1)

    # a completion costs c_g and a label c_l; the cost of a given variance is ∝ cost per prompt × Var U
    generation, label = symbols("c_g c_l", positive=True)
    best = 1 + sqrt((zeta2 / zeta1 - K) * generation / label)
    slope = ((generation * k + label * k * (k - 1) / 2) * var_pairs).diff(k)
    yield Identity("best k with completion and label costs", slope.subs(k, best), true=2, false=1)

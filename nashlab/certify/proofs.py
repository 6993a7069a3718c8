"""The checks and what each one proves; the theorems are named in proofs/README.md, "The verifier".

A row is (what was checked, whether it holds, detail); None in the middle means not checked, and the detail says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal, getcontext
from fractions import Fraction
from operator import mul

from nashlab.certify.faces import every_vertex
from nashlab.certify.fields import Answer, Vector
from nashlab.certify.numbers import CertifyError, decimal, logarithms, rank, ratio, spend, spread, total, whole

__all__ = ["Row", "lottery", "printed", "regularised"]

Row = tuple[str, bool | None, str]
Matrix = Sequence[Sequence[Fraction]]

ELIMINATION = 10**7  # steps of one elimination, k³/3: a few seconds
SOLVED = 300  # order of the largest linear system that is enclosed: a few seconds
POINT = 90  # binary places of an approximate inverse
FINE = 160  # binary places of the solution that it refines
ROUNDED = Decimal(2) ** -49  # relative error of two roundings and an exponential of a double
TINY = Decimal("1e-300")
GAIN = Fraction(1, 10**9)  # of the largest margin or of τ: how far a stated exploitability may exceed the true one
SAFE = 1 + Decimal("1e-25")  # factor on a bound that is itself rounded, 35 digits below
DEEPEST = Decimal(-(10**6))  # e to this power is 0 in every sum here


def dot(u: Sequence[Decimal], v: Sequence[Decimal]) -> Decimal:
    """Σ uv."""
    return sum(map(mul, u, v), Decimal(0))


def product(matrix: Matrix, x: Vector) -> list[Fraction]:
    """Mx without rounding."""
    held = [j for j, v in enumerate(x) if v]
    weights, below = whole([x[j] for j in held])
    found = []
    for row in matrix:
        integers, common = whole([row[j] for j in held])
        spend(sum(400 + u.bit_length() * w.bit_length() // 900 for u, w in zip(integers, weights, strict=True)))
        found.append(ratio(sum(map(mul, integers, weights)), common * below))
    return found


def is_lottery(margins: Matrix, x: Vector) -> bool:
    """x ≥ 0, Σx = 1, Ax ≤ 0 (E6)."""
    return min(x) >= 0 and total(x) == 1 and max(product(margins, x)) <= 0


def printed(answer: Answer) -> tuple[list[Row], list[Decimal]]:
    """Rows about the printed probabilities, and e^log_policy (or the policy if log_policy is missing)."""
    rows: list[Row] = []
    policy = None if answer.policy is None else [decimal(x) for x in answer.policy]
    if answer.log_policy is None:
        mass = policy or []
    else:
        # anything above e is certainly not a probability
        mass = [Decimal(0) if x is None else min(max(decimal(x), DEEPEST), Decimal(1)).exp() for x in answer.log_policy]
    if not mass:
        raise CertifyError("the answer has no policy")
    if policy is not None:
        low = min(policy, default=Decimal(0))
        rows.append(("no probability is negative", low >= 0, f"smallest {low:.3g}"))
        logs = answer.log_policy or (Fraction(0),) * len(policy)
        allowed = [ROUNDED * (1 + abs(decimal(x or Fraction(0)))) * m + TINY for x, m in zip(logs, mass, strict=True)]
        same = all(abs(p - m) <= a for p, m, a in zip(policy, mass, allowed, strict=True))
        rows.append(("policy is exp(log_policy)", same, ""))
    for name, values in (("policy", policy), ("log_policy", mass)):
        if values is not None:
            off = abs(sum(values, Decimal(0)) - 1)
            rows.append((f"the probabilities of {name} sum to 1", off <= Decimal("1e-9"), f"off by {off:.1E}"))
    return rows, mass


def away(answer: Answer, mass: Sequence[Decimal], truth: Sequence[Decimal]) -> Decimal:
    """The larger ‖p − truth‖₁ over the two printed forms of a policy."""
    forms = [mass] + ([] if answer.policy is None else [[decimal(x) for x in answer.policy]])
    return max(sum((abs(p - q) for p, q in zip(form, truth, strict=True)), Decimal(0)) for form in forms)


def bounded(answer: Answer, mass: Sequence[Decimal], bound: Decimal, what: str) -> Row:
    """The distance row: the proved bound is at most the stated one, which is at most 2."""
    bound = min(bound, 1 + away(answer, mass, [Decimal(0)] * len(mass)))
    name = f"‖policy − {what}‖₁ is at most the stated bound"
    if answer.bound is None:
        return name, None, f"the answer states none; proved here: {bound:.2E}"
    stated = decimal(answer.bound)
    return name, 0 <= stated <= 2 + ROUNDED and bound * SAFE <= stated, f"proved {bound:.3E}, stated {stated:.3E}"


def gained(answer: Answer, gap: Decimal, scale: Fraction) -> Row:
    """The exploitability row: the stated number is an upper bound, and not a loose one."""
    name = "exploitability is what the answer states"
    if answer.exploitability is None:
        return name, None, f"the answer states none; proved here: {gap:.2E}"
    stated = decimal(answer.exploitability)
    # the two readings of the printed policy are at most as far apart as the bound
    near = gap * Decimal("1.001") + decimal((GAIN + (answer.bound or 0)) * scale) + TINY
    return name, gap <= stated * SAFE + TINY and 0 <= stated <= near, f"at most {gap:.2E}, stated {stated:.2E}"


# -- τ > 0 -----------------------------------------------------------------------------------------------------------


def regularised(margins: Matrix, mu: Vector, answer: Answer, mass: Sequence[Decimal]) -> Iterator[Row]:
    """N14, E3 and N18(c): the distance from π = softmax(log_policy) to π*_τ, plus that to the printed policy."""
    if answer.log_policy is None or None in answer.log_policy or min(mass) < 0:
        yield "every response has mass", False, "at tau > 0 the equilibrium has full support (E1)"
        return
    tau, n = decimal(answer.tau), len(mass)
    mass_in_all = sum(mass, Decimal(0))
    pi = [m / mass_in_all for m in mass]
    a = [[decimal(x) for x in row] for row in margins]
    logs = [decimal(x) for x in answer.log_policy if x is not None]
    r = [logs[i] - decimal(mu[i]).ln() - dot(a[i], pi) / tau for i in range(n)]
    mean = dot(pi, r)
    r = [x - mean for x in r]
    # π e^(-r) as one exponential, since r is arbitrary where π is almost 0
    tilted = [(x - y - mass_in_all.ln()).max(DEEPEST).min(-DEEPEST).exp() for x, y in zip(logs, r, strict=True)]
    divergence = max(sum(tilted, Decimal(0)).ln(), Decimal(0))
    size, first, second = max(map(abs, r)), dot(pi, list(map(abs, r))), dot(pi, [x * x for x in r])
    half = min(spread(r) / 2, Decimal(200)).exp()
    bound = min((2 * divergence).sqrt(), 2 * (half - 1) / (half + 1), Decimal(2))
    for _ in range(100):
        bound = min(bound, (first + bound * size / 4 + (second + bound * size * size / 4).sqrt()) / 2)
    yield bounded(answer, mass, bound + away(answer, mass, pi), "equilibrium")
    largest = max((abs(x) for row in margins for x in row), default=Fraction(0))
    yield gained(answer, tau * divergence, max(answer.tau, largest))
    yield "it is the only equilibrium", answer.unique is not False, "at tau > 0 there is one (E1)"
    extra = [name for name in ("policy_exact", "slacks", "dimension", "vertices", "point", "multipliers")
             if getattr(answer, name) is not None]
    yield "it states nothing that belongs to tau = 0", not extra, ", ".join(extra)


# -- τ = 0 -----------------------------------------------------------------------------------------------------------


def lottery(margins: Matrix, mu: Vector, answer: Answer, mass: Sequence[Decimal]) -> Iterator[Row]:
    """E6 and E5: is it a maximal lottery, the only one, or the one nearest to the reference?"""
    if answer.policy_exact is not None:
        yield from _exact(margins, answer, mass)
    elif answer.unique and answer.point is None:
        yield from _enclosed(margins, answer, mass)
    else:
        yield _beaten(margins, answer, mass)
    if answer.unique is False or answer.vertices is not None:
        yield from _face(margins, answer)
    if answer.point is not None or answer.multipliers is not None:
        yield from _near_projection(margins, mu, answer, mass)
    if answer.policy_exact is not None and answer.vertices is not None:
        yield _projection(mu, answer.policy_exact, answer.vertices, answer.complete)
    if answer.bound is not None and answer.policy_exact is None and answer.unique is not True and answer.point is None:
        yield "the distance is at most the stated bound", False, "nothing in the answer bounds it"


def _exact(margins: Matrix, answer: Answer, mass: Sequence[Decimal]) -> Iterator[Row]:
    x = answer.policy_exact
    assert x is not None
    won = product(margins, x)
    worst = max(range(len(x)), key=won.__getitem__)
    reply = f"best reply {answer.labels[worst] if answer.labels else worst}: {_short(won[worst])}"
    yield "no exact probability is negative", min(x) >= 0, f"smallest {decimal(min(x)):.3g}"
    yield "the exact probabilities sum to 1", total(x) == 1, ""
    yield "no response beats it: it is a maximal lottery", max(won) <= 0, reply
    if answer.slacks is not None:
        yield "the slacks are what each response loses by", list(answer.slacks) == [-v for v in won], ""
    yield "its exploitability is 0", answer.exploitability in (None, 0), ""
    yield bounded(answer, mass, away(answer, mass, [decimal(v) for v in x]), "exact policy")
    held = [i for i, v in enumerate(x) if v > 0]
    strict = all(v < 0 for i, v in enumerate(won) if x[i] == 0)
    if len(held) ** 3 > 3 * ELIMINATION:
        yield "it is the only equilibrium", None, f"a support of {len(held)} is too large to eliminate here"
        return
    alone = strict and rank([[margins[i][j] for j in held] for i in held]) == len(held) - 1
    if alone or answer.unique:  # otherwise the face has to show that there are others
        why = "all others lose strictly, the support has a kernel of one dimension" if alone else "there may be others"
        yield "it is the only equilibrium", alone and answer.unique is not False, why


def _enclosed(margins: Matrix, answer: Answer, mass: Sequence[Decimal]) -> Iterator[Row]:
    """A_BB x = 0, Σx = 1 on the support: x is known up to proved errors, is positive, and all others lose strictly."""
    held = [i for i, m in enumerate(mass) if m > 0]
    if len(held) > SOLVED:
        yield "it is the only equilibrium", None, f"a support of {len(held)} is too large to solve here"
        return
    found = _solved(margins, held)
    if found is None:
        yield "it is the only equilibrium", False, "the support's equations have no certain solution"
        return
    x, error = found
    rest = [i for i in range(len(mass)) if i not in set(held)]
    values = product([[margins[i][j] for j in held] for i in rest], tuple(x))
    reach = [total(abs(margins[i][j]) for j in held) * error for i in rest]
    positive = all(v > error for v in x)
    lost = all(v + e < 0 for v, e in zip(values, reach, strict=True))
    yield "it is the only equilibrium", positive and lost, "its weights solve the support's equations, all others lose"
    truth = [Decimal(0)] * len(mass)
    for i, v in zip(held, x, strict=True):
        truth[i] = decimal(v)
    bound = away(answer, mass, truth) + decimal(error) * len(held)
    yield bounded(answer, mass, bound, "equilibrium")
    yield _beaten(margins, answer, mass)


def _beaten(margins: Matrix, answer: Answer, mass: Sequence[Decimal]) -> Row:
    """max_y (Ap)_y for the printed p."""
    gap = max(dot([decimal(x) for x in row], mass) for row in margins)
    return gained(answer, max(gap, Decimal(0)), max(abs(x) for row in margins for x in row))


def _solved(margins: Matrix, held: list[int]) -> tuple[list[Fraction], Fraction] | None:
    """(x, a bound of every entry's error) for A_BB x = 0, Σx = 1, by an approximate inverse R with ‖I − RM‖ < 1.

    In integers: M has FINE and R has POINT binary places, so every product is exact.
    """
    k = len(held)
    longest = max(x.numerator.bit_length() + x.denominator.bit_length() for row in margins for x in row)
    spend(k * k * longest**2 // 200)
    unit = max((abs(margins[i][j]) for i in held for j in held), default=Fraction(1)) or Fraction(1)
    m = [[round(margins[i][j] / unit * 2**FINE) for j in held] + [1 << FINE] for i in held]
    m.append([1 << FINE] * k + [0])
    inverse = _inverse([[v / 2**FINE for v in row] for row in m])
    if inverse is None:
        return None
    r = [[round(v * 2**POINT) for v in row] for row in inverse]
    columns = list(zip(*m, strict=True))
    size = max(sum(map(abs, row)) for row in r)
    off = max(
        sum(abs((i == j) * 2 ** (FINE + POINT) - sum(map(mul, row, column))) for j, column in enumerate(columns))
        for i, row in enumerate(r)
    )
    # the entries of M were rounded by at most one half
    c = Fraction(off + size * (k + 1), 2 ** (FINE + POINT))
    if c >= Fraction(1, 2):
        return None
    x = [0] * k + [0]
    for _ in range(6):
        left = [(i == k) * 2 ** (2 * FINE) - sum(map(mul, row, x)) for i, row in enumerate(m)]
        x = [v + (sum(map(mul, row, left)) >> (FINE + POINT)) for v, row in zip(x, r, strict=True)]
    left = [abs((i == k) * 2 ** (2 * FINE) - sum(map(mul, row, x))) + sum(map(abs, x)) for i, row in enumerate(m)]
    worst = Fraction(max(sum(map(mul, map(abs, row), left)) for row in r), 2 ** (2 * FINE + POINT))
    return [Fraction(v, 2**FINE) for v in x[:k]], worst / (1 - c)


def _inverse(matrix: list[list[float]]) -> list[list[float]] | None:
    """The inverse in floats, by elimination with pivots; None if a pivot is 0."""
    n = len(matrix)
    rows = [[*row, *(float(i == j) for j in range(n))] for i, row in enumerate(matrix)]
    for k in range(n):
        p = max(range(k, n), key=lambda r: abs(rows[r][k]))
        if not 1e-200 < abs(rows[p][k]) < 1e200:
            return None
        rows[k], rows[p] = rows[p], rows[k]
        scale = 1.0 / rows[k][k]
        top = rows[k] = [v * scale for v in rows[k]]
        for r in range(n):
            if r != k and (factor := rows[r][k]):
                rows[r] = [u - factor * v for u, v in zip(rows[r], top, strict=True)]
    result = [row[n:] for row in rows]
    return result if all(math.isfinite(v) for row in result for v in row) else None


# -- several lotteries -----------------------------------------------------------------------------------------------


def _face(margins: Matrix, answer: Answer) -> Iterator[Row]:
    """Each vertex is an extreme lottery; at their mean every inequality is strict, which gives the dimension."""
    vertices = answer.vertices
    if vertices is None:
        yield "it is not the only equilibrium", None, "the answer shows no other"
        return
    n = len(margins)
    sizes = [sum(map(bool, vertex)) for vertex in vertices]
    used = sum(map(any, zip(*vertices, strict=True)))
    # two products and an elimination per vertex, then one elimination over all and one over the responses used
    steps = n * sum(k * (k + 20) for k in sizes) + len(sizes) * n * min(len(sizes), n) + used**3 // 3
    if steps > ELIMINATION or not vertices:
        yield "the vertices of the face", None, f"{len(vertices)} of them: none, or too many to check here"
        return
    good = sum(len(v) == n and is_lottery(margins, v) for v in vertices)
    yield "every vertex is a maximal lottery", good == len(vertices), f"{good} of {len(vertices)}"
    if good < len(vertices):
        return
    extreme = sum(_extreme(margins, v) for v in vertices)
    distinct = len(set(vertices)) == len(vertices)
    detail = f"{extreme} of {len(vertices)}"
    yield "every vertex is extreme, and none occurs twice", extreme == len(vertices) and distinct, detail
    yield "it is not the only equilibrium", len(vertices) > 1 and answer.unique is not True, f"unique: {answer.unique}"
    mean = tuple(total(column) / len(vertices) for column in zip(*vertices, strict=True))
    held = [i for i, v in enumerate(mean) if v > 0]
    strict = all(v < 0 for i, v in enumerate(product(margins, mean)) if mean[i] == 0)
    most = len(held) - rank([[margins[i][j] for j in held] for i in held]) - 1
    least = rank(vertices) - 1
    if answer.dimension is not None:
        if answer.dimension > most or answer.dimension < least or not strict:
            why = f"it is from {least} to {most}" if strict else "vertices are missing"
            yield "the dimension of the face", False, why
        else:
            proved = True if least == most else None
            yield f"the face has dimension {answer.dimension}", proved, "" if proved else "the vertices shown span less"
    if answer.complete is False:
        yield "these are all vertices", None, "the answer says that there are more"
        return
    found = every_vertex(margins, held) if strict else set()
    if found is None:
        yield "these are all vertices", None, "too many to enumerate here"
    else:
        yield "these are all vertices", found == set(vertices), f"enumerated: {len(found)}"


def _extreme(margins: Matrix, v: Vector) -> bool:
    """No direction other than v keeps every 0 of v and of Av at 0."""
    held = [i for i, x in enumerate(v) if x > 0]
    tight = [[row[j] for j in held] for row, won in zip(margins, product(margins, v), strict=True) if won == 0]
    return rank(tight) == len(held) - 1


def _projection(mu: Vector, x: Vector, vertices: Matrix, complete: bool | None) -> Row:
    """Σ (v − x) log(x/μ) ≥ 0 for every vertex v: no point of the face is nearer to μ in KL(·‖μ)."""
    name = "it is the lottery nearest to the reference, argmin KL(·‖μ)"
    held = [i for i, v in enumerate(x) if v > 0]
    if any(v[i] > 0 and x[i] == 0 for v in vertices for i in range(len(x))):
        return name, False, "it gives no mass to a response that some lottery uses"
    if not complete:
        return name, None, "not all vertices are known"
    ratios = [x[i] / mu[i] for i in held]
    spend(len(ratios) * getcontext().prec ** 2 * 10)
    logs = [decimal(r).ln() for r in ratios]
    signs = [logarithms([v[i] - x[i] for i in held], ratios, logs, Decimal("1e-40")) for v in vertices]
    if -1 in signs:
        return name, False, "a vertex is nearer"
    return (name, None, "too near to tell") if None in signs else (name, True, "")


def _near_projection(margins: Matrix, mu: Vector, answer: Answer, mass: Sequence[Decimal]) -> Iterator[Row]:
    """The witness (x, u): log(x/μ) = α + Au up to g, u ≥ 0 off the support; then ‖x − nearest lottery‖₁ ≤ √(2g)."""
    x, u = answer.point or answer.policy_exact, answer.multipliers
    name = "the witness proves how near the nearest lottery is"
    if x is None or u is None or len(x) != len(u) or len(x) != len(mass):
        yield name, False, "it lacks its point or its multipliers"
        return
    held = [i for i, v in enumerate(x) if v > 0]
    won = product(margins, x)
    if not is_lottery(margins, x) or any(u[i] < 0 for i in range(len(u)) if x[i] == 0):
        yield name, False, "its point is not a lottery, or a multiplier is negative"
        return
    # a lottery's support lies in B if some lottery has mass on all of B and all others lose strictly against it
    corners = answer.vertices or (x,)
    mean = tuple(total(column) / len(corners) for column in zip(*corners, strict=True))
    if any((m > 0) != (v > 0) for m, v in zip(mean, x, strict=True)) or any(
        w >= 0 for w, m in zip(product(margins, mean), mean, strict=True) if m == 0
    ):
        yield name, False, "its support is not that of all lotteries together"
        return
    pull = product(margins, u)
    left = [decimal(x[i]).ln() - decimal(mu[i]).ln() - decimal(pull[i]) for i in held]
    cost = -total(ratio(u[i].numerator * won[i].numerator, u[i].denominator * won[i].denominator)
                  for i in range(len(x)) if x[i] == 0)
    near = (2 * (spread(left) + decimal(cost))).sqrt()
    bound = near + away(answer, mass, [decimal(v) for v in x])
    if answer.policy_exact is None:
        yield bounded(answer, mass, bound, "lottery nearest to the reference")
    else:
        yield name, near < Decimal("1e-9"), f"‖policy − nearest lottery‖₁ ≤ {near:.1E}"


def _short(x: Fraction) -> str:
    text = f"{decimal(x):.6g}" if max(x.numerator.bit_length(), x.denominator.bit_length()) > 60 else str(x)
    return f"p − ½ = {text}"

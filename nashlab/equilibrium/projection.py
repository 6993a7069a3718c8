"""If there are several lotteries: argmin KL(π‖μ) over the face, the limit of π*_τ as τ → 0 (E5).

    minimise Σ x log(x/μ)   over   x = Kc,  Σx = 1,  Ax ≤ 0 off the support      (x ≥ 0 holds by itself)

A barrier method in float64 finds which inequalities are binding; Newton's method in many digits finishes on the face
where they are equalities.  A rational x is proved to be the answer; for an irrational one, the multipliers u of
log(x/μ) = α + Au  (u ≥ 0 off the support) prove how near it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium.exact import ExactFace, Rational, combine, coordinates, integers, is_lottery, kernel_of

__all__ = ["Projection", "nearest", "project"]

Array = NDArray[np.float64]

BARRIERS = 10.0 ** -np.arange(2, 21, 2)  # of −ε Σ log(Hx); the last is below float64's resolution of the objective
NEWTON_STEPS = 60
DENOMINATORS = (10**3, 10**6, 10**12, 10**24, 10**48)  # tried for the projection's coordinates
BITS = 800  # of the final steps, and the reference's span; rationals with such denominators differ by at least 2^-320
MOST_BITS = 4096  # that a span adds: double precision needs 2,100 at most
SAME = Fraction(1, 2**600)  # numbers relatively closer than this are equal
SHORT = 160  # bits of the witness of an irrational answer: a proof to 1e-24
POLISH = 400  # Newton steps at the end: quadratic once undamped
FINE = 380  # relative bits of the last step: the error after it is its square
ROUNDS = 40  # of exchanging binding inequalities
BINDING = 1e-7  # a multiplier below this share of the largest counts as 0 at first
NEAR = 1e-3  # of the largest slack: inequalities that may bind
KEPT = 150  # bits below the smallest mass: how far a point outside by rounding is moved inside


def project(start: Array, kernel: Array, slack: Array, reference: Array) -> Array:
    """The KL-projection of μ on {x = Kc, Σx = 1, x ≥ 0, Hx ≥ 0}, [k], by Newton inside a vanishing barrier.

    start  a point with x > 0 and Hx > 0, [k];  kernel  K, [k, d+1];  slack  H, [m, k];  reference  μ there, [k].
    """
    basis = np.linalg.qr(kernel)[0]
    total = np.sum(basis, axis=0)
    # directions of the face: combinations of the kernel with sum 0
    tangent = basis @ np.linalg.svd(total[None, :])[2][1:].T
    x = np.asarray(start, dtype=np.float64)
    slack = slack[slack @ x > 0]  # ignore inequalities that float64 cannot tell from 0 at an interior point
    for barrier in BARRIERS if len(slack) else BARRIERS[-1:]:
        x = _newton(x, tangent, slack, np.log(reference), float(barrier))
    return x / np.sum(x)


def _newton(x: Array, tangent: Array, slack: Array, log_mu: Array, barrier: float) -> Array:
    """Minimise Σ x (log x − log μ) − ε Σ log(Hx) along the tangent directions."""

    def value(y: Array) -> float:
        h = slack @ y
        if np.min(y) <= 0 or (h.size and np.min(h) <= 0):
            return math.inf
        return float(np.sum(y * (np.log(y) - log_mu)) - barrier * np.sum(np.log(h)))

    now = value(x)
    for _ in range(NEWTON_STEPS):
        h = slack @ x
        gradient = tangent.T @ (np.log(x) - log_mu - barrier * slack.T @ (1.0 / h))
        scaled, walls = tangent / np.sqrt(x)[:, None], np.sqrt(barrier) * (slack @ tangent) / h[:, None]
        with np.errstate(over="ignore"):
            curvature = scaled.T @ scaled + walls.T @ walls
        if not np.all(np.isfinite(curvature)):  # a barrier so close that its curvature is too large for a float,
            break
        try:
            step = tangent @ np.linalg.solve(curvature, -gradient)
        except np.linalg.LinAlgError:  # or swamps all others
            break
        length = 1.0
        while (new := value(x + length * step)) > now + 1e-15 * (1.0 + abs(now)) and length > 1e-14:
            length *= 0.5
        if not new <= now + 1e-15 * (1.0 + abs(now)):
            break
        x, now = x + length * step, new
        if length * np.max(np.abs(step) / x) <= 1e-15:
            break
    return x


@dataclass(frozen=True)
class Projection:
    """argmin KL(π‖μ) over a face.

    exact        the projection as rationals, if it is rational and that is proved; else None.
    point        a rational lottery next to it (itself, if it is rational), [n].
    multipliers  u, rational, ≥ 0 off the support: log(x/μ) = α + Au up to the point's error, [n].
    """

    exact: Rational | None
    point: Rational
    multipliers: Rational


def nearest(face: ExactFace, margins: Sequence[Rational], reference: Rational, guess: Array) -> Projection | None:
    """The projection of μ on a face, from a float64 guess on its support, [|B|]; None if the guess fails."""
    from flint import ctx

    whole, held = integers(margins), face.support
    before, ctx.prec = ctx.prec, BITS + 2 * _span([reference[i] for i in held])
    try:
        found = _finished(face, whole, reference, held, guess)
    finally:
        ctx.prec = before
    if found is None:
        return None
    # the integers are the margins times this factor, which rescales the multipliers
    common = math.lcm(*(x.denominator for row in margins for x in row))
    return replace(found, multipliers=tuple(common * u for u in found.multipliers))


def _finished(
    face: ExactFace, a: list[list[int]], mu: Rational, held: tuple[int, ...], guess: Array
) -> Projection | None:
    unit = max(abs(v) for row in a for v in row)
    waiting = [_binding(a, held, mu, face, guess)]
    seen: set[frozenset[int]] = set()
    while waiting and len(seen) < ROUNDS:
        binding = waiting.pop()
        if binding in seen:
            continue
        seen.add(binding)
        kernel = kernel_of(a, held, sorted({*held, *binding}))
        start = _start(kernel, held, guess, None if binding else face.middle) if kernel[0] else None
        x = None if start is None else _stationary_point(kernel, held, mu, start)
        point = None if x is None else combine(kernel, [x[i] for i in coordinates(kernel)], held, len(a))
        if point is None or min(point[i] for i in held) <= 0:
            # too many of them: nothing lies inside with all
            waiting += [frozenset(), *(binding - {i} for i in sorted(binding))]
            continue
        products = {i: sum(row[j] * point[j] for j in held) for i, row in enumerate(a) if i not in set(held)}
        broken = [i for i, p in products.items() if p > SAME * unit]
        multipliers = _multipliers(a, held, mu, point, sorted(binding))
        if broken:
            waiting.append(binding | {max(broken, key=lambda i: products[i])})
        elif negative := [i for i in binding if multipliers[i] < 0]:
            waiting.append(binding - {min(negative, key=lambda i: multipliers[i])})
        else:
            return _judged(face, a, mu, kernel, point, multipliers)
    return None


def _judged(
    face: ExactFace, a: list[list[int]], mu: Rational, kernel: Any, point: Rational, multipliers: Rational
) -> Projection:
    exact = _rational(face, a, mu, kernel, point)
    if exact is not None:
        return Projection(exact, exact, multipliers)
    # the smallest mass keeps its digits: what it is of its reference is proved, too
    span = _span([point[i] for i in face.support])
    cut = [_cut(point[face.support[i]], SHORT + span) for i in coordinates(kernel)]
    short = combine(kernel, cut, face.support, len(a))
    assert short is not None
    share = Fraction(1, 2 ** (KEPT + span))
    while not is_lottery(a, short):  # rounding may have violated an inequality that holds with equality
        short = tuple((1 - share) * x + share * m for x, m in zip(short, face.middle, strict=True))
        share *= 2
    return Projection(None, short, multipliers)


def _binding(
    a: list[list[int]], held: tuple[int, ...], mu: Rational, face: ExactFace, x: Array
) -> frozenset[int]:
    """The binding inequalities off the support: those with a positive multiplier at a float64 solution."""
    from scipy.optimize import nnls

    rest = [i for i in range(len(a)) if i not in set(held)]
    unit = max(abs(v) for row in a for v in row) or 1
    rows = np.array([[a[i][j] / unit for j in held] for i in rest], dtype=np.float64).reshape(len(rest), len(held))
    slack = -(rows @ x)
    near = np.flatnonzero(slack <= NEAR * max(float(np.max(slack, initial=0.0)), 1e-12))
    if not near.size:
        return frozenset()
    basis = np.linalg.qr(np.array([[float(v) for v in row] for row in face.kernel]))[0]
    total = np.sum(basis, axis=0)
    tangent = basis @ np.linalg.svd(total[None, :])[2][1:].T
    pull = np.log(x) - np.log([float(mu[i]) for i in held])
    # along the face only the inequalities may push log(x/μ): Tᵀ log(x/μ) = −(HT)ᵀ u with H = A_NB
    weights, _ = nnls(-(rows[near] @ tangent).T, tangent.T @ pull)
    least = BINDING * max(float(np.max(weights, initial=0.0)), 1e-9)
    return frozenset(rest[i] for i, w in zip(near.tolist(), weights, strict=True) if w > least)


def _start(
    kernel: Sequence[Rational], held: tuple[int, ...], guess: Array, middle: Rational | None
) -> Rational | None:
    """Some x = Kc with x > 0 and Σx = 1, [|B|]: near the guess, the middle, or from a linear programme."""
    k = len(held)
    near = combine(kernel, [Fraction(float(guess[i])) for i in coordinates(kernel)], range(k), k)
    if near is not None and min(near) > 0:
        return near
    return tuple(middle[i] for i in held) if middle is not None else _inside(kernel, k)


def _stationary_point(
    kernel: Sequence[Rational], held: tuple[int, ...], mu: Rational, near: Rational
) -> list[Fraction] | None:
    """The minimiser of KL(x‖μ) over x = Kc, Σx = 1, to BITS bits, [|B|], from a feasible point; None: stuck."""
    from flint import arb, arb_mat

    tangent = _directions(kernel)
    k, m = len(held), len(tangent)
    if not tangent:
        return list(near)
    t = arb_mat(k, m, [vector[i] for i in range(k) for vector in tangent])
    log_mu = [_ball(mu[i]).log() for i in held]
    x = [_ball(v) for v in near]
    for _ in range(POLISH):
        slope = arb_mat(k, 1, [v.log() - g for v, g in zip(x, log_mu, strict=True)])
        scaled = arb_mat(k, m, [t[i, j] / x[i] for i in range(k) for j in range(m)])
        try:
            move = t * _middle(t.transpose() * scaled).solve(_middle(t.transpose() * slope))
        except ZeroDivisionError:
            return None
        shrink = max((float((move[i, 0] / x[i]).mid()) for i in range(k)), default=0.0)
        length = min(1.0, 0.9 / shrink) if shrink > 0 else 1.0
        x = [(v - move[i, 0] * length).mid() for i, v in enumerate(x)]
        if length == 1.0 and all(abs(move[i, 0]) < x[i] * arb(2) ** -FINE for i in range(k)):
            return [_fraction(v) for v in x]
    return None


def _inside(kernel: Sequence[Rational], k: int) -> Rational | None:
    """Some x = Kc with x > 0 and Σx = 1 by linear programming in float64, made rational; None: not found."""
    from scipy.optimize import linprog

    numbers = np.array([[float(v) for v in row] for row in kernel])
    columns = numbers.shape[1]
    # maximise the smallest weight
    found = linprog(
        np.append(np.zeros(columns), -1.0),
        A_ub=np.hstack([-numbers, np.ones((k, 1))]),
        b_ub=np.zeros(k),
        A_eq=np.append(numbers.sum(axis=0), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(None, None)] * (columns + 1),
    )
    if not found.success or not found.x[-1] > 0:
        return None
    near = combine(kernel, [Fraction(float(v)) for v in found.x[:-1]], range(k), k)
    return near if near is not None and min(near) > 0 else None


def _multipliers(
    a: list[list[int]], held: tuple[int, ...], mu: Rational, point: Rational, binding: Sequence[int]
) -> Rational:
    """u with log(x/μ) = α + Au on the support to about BITS bits; u = 0 off it unless an inequality binds.

    Solved on as many independent rows and columns as there are, binding inequalities first; the other rows follow.
    """
    from flint import arb_mat, fmpz_mat

    columns = [*binding, None, *held]  # None: α
    table = [[1 if j is None else a[i][j] for j in columns] for i in held]
    chosen = _pivots(fmpz_mat(table))
    rows = _pivots(fmpz_mat([[row[c] for row in table] for c in chosen]))
    goal = [[_ball(point[held[r]]).log() - _ball(mu[held[r]]).log()] for r in rows]
    result = [Fraction(0)] * len(a)
    try:
        u = arb_mat([[table[r][c] for c in chosen] for r in rows]).solve(arb_mat(goal))
    except ZeroDivisionError:  # numbers of more than BITS bits
        return tuple(result)
    for k, c in enumerate(chosen):
        j = columns[c]
        if j is not None:
            result[j] = _cut(_fraction(u[k, 0]))
    return tuple(result)


def _pivots(matrix: Any) -> list[int]:
    """The columns that are independent of the preceding ones."""
    reduced, _, rank = matrix.rref()
    return [next(j for j in range(reduced.ncols()) if reduced[r, j] != 0) for r in range(rank)]


# -- rationals -------------------------------------------------------------------------------------------------------


def _rational(
    face: ExactFace, a: list[list[int]], mu: Rational, kernel: Sequence[Rational], point: Rational
) -> Rational | None:
    """The rational near the point that is the projection, if one exists and can be proved; else None."""
    rows = coordinates(kernel)
    for limit in DENOMINATORS:
        c = [point[face.support[i]].limit_denominator(limit) for i in rows]
        x = combine(kernel, c, face.support, len(a))
        if x is None or any(abs(u - v) > SAME * v for u, v in zip(x, point, strict=True)):
            continue
        if is_lottery(a, x) and _optimal(face, x, mu, kernel):
            return x
    return None


def _optimal(face: ExactFace, x: Rational, mu: Rational, kernel: Sequence[Rational]) -> bool:
    """Σ (v − x) log(x/μ) ≥ 0 for every vertex v of the face; for an incomplete face, = 0 along the face around x."""
    held = face.support
    if min(x[i] for i in held) <= 0:
        return False
    if face.complete:
        return all(_sign([v[i] - x[i] for i in held], [x[i] / mu[i] for i in held]) >= 0 for v in face.vertices)
    ratios = [x[i] / mu[i] for i in held]
    return all(_sign([Fraction(v) for v in direction], ratios) == 0 for direction in _directions(kernel))


def _sign(weights: Sequence[Fraction], ratios: Sequence[Fraction]) -> int:
    """The sign of Σ w log(ratio) for rationals, exactly; −1 if BITS bits cannot tell it from 0 and it is not 0."""
    total = sum((_ball(w) * _ball(r).log() for w, r in zip(weights, ratios, strict=True)), _ball(Fraction(0)))
    if total > 0 or total < 0:
        return 1 if total > 0 else -1
    # logarithms of pairwise coprime numbers are linearly independent over the rationals
    base = _coprime_base([v for r in ratios for v in (r.numerator, r.denominator)])
    sums = (sum((w * _exponent(r, b) for w, r in zip(weights, ratios, strict=True)), Fraction(0)) for b in base)
    return -1 if any(sums) else 0


def _coprime_base(numbers: Sequence[int]) -> list[int]:
    """Pairwise coprime numbers above 1 whose products include all the given ones.

    >>> sorted(_coprime_base([12, 18]))
    [2, 3]
    """
    base: list[int] = []
    waiting = [v for v in numbers if v > 1]
    while waiting:
        v = waiting.pop()
        met = next((b for b in base if math.gcd(v, b) > 1), None)
        if met is None:
            base.append(v)
        elif met != v:
            base.remove(met)
            common = math.gcd(v, met)
            waiting += [w for w in (common, v // common, met // common) if w > 1]
    return base


def _exponent(ratio: Fraction, base: int) -> int:
    """How often a number of a coprime base divides the numerator minus how often it divides the denominator."""
    count, up, down = 0, ratio.numerator, ratio.denominator
    while up % base == 0:
        up, count = up // base, count + 1
    while down % base == 0:
        down, count = down // base, count - 1
    return count


def _directions(kernel: Sequence[Rational]) -> list[list[int]]:
    """Integer vectors that span {Kc : Σ Kc = 0}."""
    columns = [[row[k] for row in kernel] for k in range(len(kernel[0]))]
    sums = [sum(c, Fraction(0)) for c in columns]
    anchor = max(range(len(sums)), key=lambda k: abs(sums[k]))
    result = []
    for k, column in enumerate(columns):
        if k == anchor:
            continue
        vector = [u * sums[anchor] - v * sums[k] for u, v in zip(column, columns[anchor], strict=True)]
        common = math.lcm(*(v.denominator for v in vector))
        whole = [int(v * common) for v in vector]
        divisor = math.gcd(*whole) or 1
        result.append([v // divisor for v in whole])
    return result


def _ball(x: Fraction) -> Any:
    from flint import arb, fmpq

    return arb(fmpq(x.numerator, x.denominator))


def _fraction(ball: Any) -> Fraction:
    """The midpoint of a ball."""
    mantissa, exponent = (int(v) for v in ball.mid().man_exp())
    return Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)


def _span(masses: Sequence[Fraction]) -> int:
    """How many powers of two lie between the smallest and the largest of some positive numbers, rounded down.

    >>> _span([Fraction(1, 9), Fraction(8, 9)])
    3
    """
    return min(math.floor(max(masses) / min(masses)).bit_length() - 1, MOST_BITS)


def _cut(x: Fraction, bits: int = SHORT) -> Fraction:
    """x to so many bits."""
    shift = bits - (x.numerator.bit_length() - x.denominator.bit_length())
    return Fraction(math.floor(x * Fraction(2) ** shift)) / Fraction(2) ** shift


def _middle(matrix: Any) -> Any:
    """The matrix of midpoints."""
    from flint import arb_mat

    rows, columns = matrix.nrows(), matrix.ncols()
    return arb_mat(rows, columns, [matrix[i, j].mid() for i in range(rows) for j in range(columns)])

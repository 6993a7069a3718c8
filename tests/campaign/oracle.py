"""What is true of a game, found and proved without nashlab, numpy or floats: flint's integers, rationals and balls.

    lottery    x ≥ 0, Σx = 1, Ax ≤ 0; all of its vertices by a double description that starts from the simplex itself
    projection argmin KL(x‖μ) over all lotteries, by its Karush-Kuhn-Tucker conditions with the facets tried in turn
    regularised π ∝ μ exp(Aπ/τ), by Newton along a path in 1/τ at some 100 digits

Where a candidate comes from does not matter, only that it is proved here: uniqueness by the exact conditions of E6, the
projection by stationarity and the signs of its multipliers (the problem is convex), π*_τ by osc(log π − log μ − Aπ/τ),
half of which bounds the distance (E3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, arb_mat, ctx, fmpq, fmpz_mat

__all__ = ["Truth", "Undecided", "distance", "is_unique", "lotteries", "projection", "regularised", "vertex_set"]

BITS = 384  # of the solves; grown with 1/τ and with the range of the reference
CLOSE = arb(2) ** -160  # the radius that π*_τ must reach
SLOPE = arb(2) ** -240  # of the dual of a projection, where Newton may stop
SIGN = arb(2) ** -200  # what a multiplier or a slack of the wrong sign may have: KL errs by as much, ℓ₁ by its root
NEAR = arb(2) ** -90  # so this is the radius of a projection
STEPS = 80  # of one Newton solve
DUAL_STEPS = 3000  # of a projection's: a reference of 1e-300 is far away from any start
FARTHEST = 16  # of a step in the dual, as a change of log x: the model of an exponential holds no farther
PATH_STEPS = 4000

Whole = Sequence[Sequence[int]]
Rational = tuple[Fraction, ...]


class Undecided(Exception):
    """The oracle could not prove its own answer: the case is counted, not judged."""


@dataclass(frozen=True)
class Truth:
    """An equilibrium: its entries as balls, which contain those of the exact one to ``radius`` in ℓ₁."""

    policy: tuple[arb, ...]
    radius: arb


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """flint's working precision for a while."""
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def distance(numbers: Sequence[Fraction | float | arb], truth: Truth) -> arb:
    """A ball around ‖numbers − truth‖₁, for numbers read as the rationals that they are."""
    with precision(BITS):
        total = sum((abs(_ball(p) - q) for p, q in zip(numbers, truth.policy, strict=True)), arb(0))
        return total + truth.radius * arb(0, 1)


def _ball(x: Fraction | float | int | arb) -> arb:
    return arb(x) if isinstance(x, (float, arb)) else arb(fmpq(*Fraction(x).as_integer_ratio()))


def whole(margins: Sequence[Sequence[Fraction]]) -> list[list[int]]:
    """Rational margins times their common denominator."""
    common = math.lcm(*(x.denominator for row in margins for x in row))
    return [[x.numerator * (common // x.denominator) for x in row] for row in margins]


# -- maximal lotteries ------------------------------------------------------------------------------------------------


def is_lottery(a: Whole, x: Rational) -> bool:
    """x ≥ 0, Σx = 1, Ax ≤ 0."""
    return min(x) >= 0 and sum(x) == 1 and max(_products(a, x)) <= 0


def is_unique(a: Whole, x: Rational) -> bool:
    """Whether x is a lottery whose exact conditions prove that there is no other: strict off B, ker A_BB a line."""
    held = [i for i, p in enumerate(x) if p > 0]
    slack = _products(a, x)
    if not is_lottery(a, x) or any(slack[i] == 0 for i in range(len(x)) if x[i] == 0):
        return False
    return int(fmpz_mat(len(held), len(held), [a[i][j] for i in held for j in held]).rank()) == len(held) - 1


def _products(a: Whole, x: Rational) -> list[int]:
    common = math.lcm(*(p.denominator for p in x))
    weights = [p.numerator * (common // p.denominator) for p in x]
    return [sum(v * w for v, w in zip(row, weights, strict=True)) for row in a]


def lotteries(a: Whole, limit: int = 3000) -> list[Rational]:
    """All vertices of {x ≥ 0, Σx = 1, Ax ≤ 0}, sorted; Undecided beyond ``limit`` rays on the way.

    The cone starts as the orthant; each row of −Ax ≥ 0 cuts it (Motzkin's double description): a ray is born between
    two neighbours on either side, and two rays are neighbours if no third lies on all the walls that they share.

    >>> [[str(p) for p in v] for v in lotteries([[0, 0], [0, 0]])]
    [['0', '1'], ['1', '0']]
    """
    n = len(a)
    rays = [tuple(int(i == j) for j in range(n)) for i in range(n)]
    walls = [((1 << n) - 1) ^ (1 << i) for i in range(n)]
    for y in range(n):
        height = [-sum(v * r for v, r in zip(a[y], ray, strict=True)) for ray in rays]
        bit = 1 << (n + y)
        new = [
            (ray, wall | bit if h == 0 else wall) for ray, wall, h in zip(rays, walls, height, strict=True) if h >= 0
        ]
        below = [k for k, h in enumerate(height) if h < 0]
        for p, m in itertools.product((k for k, h in enumerate(height) if h > 0), below):
            shared = walls[p] & walls[m]
            if shared.bit_count() < n - 2:
                continue
            if sum(wall & shared == shared for wall in walls) > 2:
                continue
            ray = [height[p] * u - height[m] * v for u, v in zip(rays[m], rays[p], strict=True)]
            divisor = math.gcd(*ray)
            new.append((tuple(v // divisor for v in ray), shared | bit))
        rays, walls = [ray for ray, _ in new], [wall for _, wall in new]
        if len(rays) > limit:
            raise Undecided(f"more than {limit} rays")
    return sorted(tuple(Fraction(v, sum(ray)) for v in ray) for ray in rays)


def vertex_set(a: Whole) -> list[Rational]:
    """The same vertices by another method, slow: every choice of n − 1 walls, solved in rationals."""
    from flint import fmpq_mat

    n = len(a)
    rows = [[int(i == j) for j in range(n)] for i in range(n)] + [[-v for v in row] for row in a]
    right = fmpq_mat(n, 1, [0] * (n - 1) + [1])
    found = set()
    for tight in itertools.combinations(rows, n - 1):
        try:
            solved = fmpq_mat(n, n, [v for row in tight for v in row] + [1] * n).solve(right)
        except ZeroDivisionError:
            continue
        x = tuple(Fraction(int(solved[i, 0].p), int(solved[i, 0].q)) for i in range(n))
        if is_lottery(a, x):
            found.add(x)
    return sorted(found)


def dimension(vertices: Sequence[Rational]) -> int:
    """That of their convex hull."""
    rows = [[int(v * math.lcm(*(p.denominator for p in x))) for v in x] for x in vertices]
    return int(fmpz_mat(len(rows), len(rows[0]), [v for row in rows for v in row]).rank()) - 1


def projection(a: Whole, vertices: Sequence[Rational], reference: Sequence[Fraction]) -> Truth:
    """argmin KL(x‖μ) over the convex hull of all vertices, proved by its optimality conditions.

    On B, the responses that some vertex uses, x > 0 (the slope of x log x at 0 is −∞) and (Ax)_B = 0, so what remains
    are facets (Ax)_y ≤ 0, y off B.  Each set T of them is tried as equalities: minimise there, through the dual

        x_i = μ_i exp((Mᵀλ)_i),   Mx = e,   M = the rows of A in B ∪ T, and the row of ones,

    and accept when the other slacks are ≥ 0 and the multipliers of T push inwards.
    """
    n = len(a)
    if len(vertices) == 1:
        with precision(BITS):
            return Truth(tuple(_ball(p) for p in vertices[0]), arb(0))
    held = [i for i in range(n) if any(v[i] > 0 for v in vertices)]
    rest = [y for y in range(n) if y not in held]
    inner = [[sum(c * p for c, p in zip(a[y], v, strict=True)) for y in rest] for v in vertices]
    # facets that touch the face somewhere but not everywhere; the others are never or always equalities
    loose = [k for k in range(len(rest)) if any(s[k] == 0 for s in inner)]
    for size in range(len(loose) + 1):
        for tight in itertools.combinations(loose, size):
            on = [v for v, s in zip(vertices, inner, strict=True) if all(s[k] == 0 for k in tight)]
            if {i for i in held if any(v[i] > 0 for v in on)} != set(held):
                continue  # no point of this facet has all of B in it: the minimiser is not here
            found = _stationary(a, held, [rest[k] for k in tight], [rest[k] for k in loose], reference)
            if found is not None:
                policy = [arb(0)] * n
                for i, p in zip(held, found, strict=True):
                    policy[i] = p
                return Truth(tuple(policy), NEAR)
    raise Undecided("no set of facets satisfied the optimality conditions of the projection")


def _stationary(
    a: Whole, held: list[int], tight: list[int], loose: list[int], reference: Sequence[Fraction]
) -> list[arb] | None:
    """The minimiser with the facets of ``tight`` as equalities if it obeys all other conditions, else None."""
    k = len(held)
    # the rows of T come last, so that they are the ones left out where rows depend on each other: then another,
    # smaller T represents the same point
    rows = _independent([[1] * k] + [[a[i][j] for j in held] for i in held], k)
    base = len(rows)
    rows = _independent(rows + [[a[y][j] for j in held] for y in tight], k)
    if len(rows) - base < len(tight):
        return None
    # rows of size 1: scale is no part of the problem
    spread = max(reference) / min(reference)
    sizes = [abs(v).bit_length() for row in rows for v in row if v]
    grown = 2 * (spread.numerator.bit_length() - spread.denominator.bit_length()) + 4 * (max(sizes) - min(sizes))
    with precision(BITS + grown):
        scaled = [[arb(fmpq(v, max(map(abs, row)))) for v in row] for row in rows]
        log_mu = [_ball(reference[i]).log().mid() for i in held]
        top = log_mu[0]
        for v in log_mu:
            top = top.max(v)
        found = _dual([[v.mid() for v in row] for row in scaled], [v - top for v in log_mu])
        if found is None:
            return None
        x, multipliers = found
        slack = [-sum((arb(a[y][j]) * p for j, p in zip(held, x, strict=True)), arb(0)) for y in loose]
        size = [arb(max((abs(a[y][j]) for j in held), default=1) or 1) for y in loose]
        if any(s < -SIGN * u for s, u in zip(slack, size, strict=True)):
            return None
        # L = KL − λ·Mx: a facet (Ax)_y ≤ 0 may only push (Ax)_y down, so its λ is at most 0
        if any(m > SIGN for m in multipliers[base:]):
            return None
        return x


def _independent(rows: list[list[int]], k: int) -> list[list[int]]:
    """The first rows that are linearly independent of the earlier ones."""
    kept: list[list[int]] = []
    for row in rows:
        trial = [*kept, row]
        if fmpz_mat(len(trial), k, [v for r in trial for v in r]).rank() == len(trial):
            kept = trial
    return kept


def _dual(rows: list[list[arb]], log_mu: list[arb]) -> tuple[list[arb], list[arb]] | None:
    """(x, λ) with x = μ exp(Mᵀλ), Mx = (1, 0, ..., 0): damped Newton on the convex dual; None: no minimum."""
    m, k = len(rows), len(log_mu)
    matrix = arb_mat(rows)
    goal = [arb(1)] + [arb(0)] * (m - 1)
    λ = [arb(0)] * m

    def primal(λ: list[arb]) -> list[arb]:
        return [(log_mu[i] + sum((rows[r][i] * λ[r] for r in range(m)), arb(0))).exp().mid() for i in range(k)]

    def value(λ: list[arb], x: list[arb]) -> arb:
        return (sum(x, arb(0)) - λ[0]).mid()

    # start on Σx = 1: it is the scale of μ that may be far off
    λ[0] = -sum(primal(λ), arb(0)).log().mid()
    x = primal(λ)
    now = value(λ, x)
    for _ in range(DUAL_STEPS):
        slope = [(sum((rows[r][i] * x[i] for i in range(k)), arb(0)) - goal[r]).mid() for r in range(m)]
        if max(abs(s) for s in slope) < SLOPE:
            return x, λ
        weighted = arb_mat(m, k, [rows[r][i] * x[i] for r in range(m) for i in range(k)])
        hessian = (weighted * matrix.transpose()).mid()
        try:
            step = hessian.solve(arb_mat(m, 1, slope), nonstop=True).mid()
        except ZeroDivisionError:
            return None
        down = sum((step[r, 0] * slope[r] for r in range(m)), arb(0)).mid()
        if not down.is_finite():
            return None
        moved = max(abs(sum((rows[r][i] * step[r, 0] for r in range(m)), arb(0)).mid()) for i in range(k))
        length = (FARTHEST / moved).min(arb(1)).mid() if moved > 0 else arb(1)
        for _ in range(60):
            trial = [(λ[r] - length * step[r, 0]).mid() for r in range(m)]
            x = primal(trial)
            new = value(trial, x)
            if new <= now - length * down * arb("0.1") or abs(down) < arb(2) ** -200:
                break
            length /= 2
        else:
            return None
        λ, now = trial, new
    return None


# -- the regularised equilibrium --------------------------------------------------------------------------------------


def regularised(
    margins: Sequence[Sequence[Fraction]], reference: Sequence[Fraction], tau: Fraction, start: Sequence[float]
) -> tuple[Truth, Callable[[Sequence[float]], arb]]:
    """(π*_τ, the exploitability of softmax(h) as a function of h) for exact A, μ and τ.

    ``start`` is a log-policy that only makes it faster.
    """
    largest = max(abs(x) for row in margins for x in row)
    size = largest / tau
    grown = max(0, math.frexp(float(size))[1] if size < Fraction(2) ** 1000 else 1000)
    with precision(BITS + 4 * grown):
        n = len(margins)
        log_mu = [_ball(p).log().mid() for p in reference]
        pull = arb_mat(n, n, [_ball(x / tau) for row in margins for x in row])
        h = _nearest_start(pull, log_mu, start)
        h, good = _newton(pull.mid(), log_mu, h)
        if not good:
            h = _follow(pull.mid(), log_mu, size)
        log_pi = _normalised(log_mu, h)
        # the proof, in balls from the given numbers: osc(r)/2 bounds the distance of softmax(log_pi) to π*_τ
        pi = [v.exp() for v in log_pi]
        total = sum(pi, arb(0))
        pi = [p / total for p in pi]
        advantage = pull * arb_mat(n, 1, pi)
        r = [log_pi[i] - _ball(reference[i]).log() - advantage[i, 0] for i in range(n)]
        high, low = r[0], r[0]
        for v in r[1:]:
            high, low = high.max(v), low.min(v)
        radius = ((high - low) / 2).abs_upper()
        if not radius < CLOSE:
            raise Undecided(f"the residual stays at {float(radius):.1e}")
        bits = BITS + 4 * grown
        return Truth(tuple(pi), radius), lambda policy: _gap(pull, reference, tau, policy, bits)


def _gap(pull: arb_mat, reference: Sequence[Fraction], tau: Fraction, log_policy: Sequence[float], bits: int) -> arb:
    """τ KL(π ‖ BR(π)) = τ (Σ π (log π − log μ − Aπ/τ) + log Σ μ exp(Aπ/τ)), π = softmax(log_policy)."""
    with precision(bits):
        n = len(log_policy)
        mass = [arb(v).exp() if v > -math.inf else arb(0) for v in log_policy]
        total = sum(mass, arb(0))
        pi = [m / total for m in mass]
        product = pull * arb_mat(n, 1, pi)
        reply = [_ball(reference[i]).log() + product[i, 0] for i in range(n)]
        top = reply[0].mid()
        for v in reply[1:]:
            top = top.max(v.mid())
        whole = sum(((v - top).exp() for v in reply), arb(0)).log() + top
        held = [i for i in range(n) if log_policy[i] > -math.inf]
        return _ball(tau) * sum((pi[i] * (pi[i].log() - reply[i] + whole) for i in held), arb(0))


def _normalised(log_mu: list[arb], h: list[arb]) -> list[arb]:
    top = log_mu[0] + h[0]
    for u, v in zip(log_mu, h, strict=True):
        top = top.max(u + v)
    total = sum(((u + v - top).exp() for u, v in zip(log_mu, h, strict=True)), arb(0)).log() + top
    return [(u + v - total).mid() for u, v in zip(log_mu, h, strict=True)]


def _residual(pull: arb_mat, log_mu: list[arb], h: list[arb]) -> tuple[list[arb], list[arb], list[arb], arb]:
    """(π, Aπ/τ, F = log π − log μ − Aπ/τ, osc F)."""
    n = len(h)
    log_pi = _normalised(log_mu, h)
    pi = [v.exp().mid() for v in log_pi]
    product = (pull * arb_mat(n, 1, pi)).mid()
    advantage = [product[i, 0] for i in range(n)]
    f = [(log_pi[i] - log_mu[i] - advantage[i]).mid() for i in range(n)]
    return pi, advantage, f, (max(f) - min(f)).mid()


def _nearest_start(pull: arb_mat, log_mu: list[arb], start: Sequence[float]) -> list[arb]:
    """The log-policy given, or what one application of h = Aπ/τ makes of it, whichever has the smaller residual."""
    finite = [arb(v) if math.isfinite(v) else arb(-1e6) for v in start]
    given = [(v - u).mid() for v, u in zip(finite, log_mu, strict=True)]
    _, applied, _, size = _residual(pull.mid(), log_mu, given)
    return applied if _residual(pull.mid(), log_mu, applied)[3] < size else given


def _direction(pull: arb_mat, pi: list[arb], advantage: list[arb], right: list[arb]) -> list[arb]:
    """(I − (A/τ)(diag π − ππᵀ))⁻¹ right: the matrix is never singular (E4)."""
    n = len(pi)
    entries = [int(i == j) - (pull[i, j] - advantage[i]) * pi[j] for i in range(n) for j in range(n)]
    solved = arb_mat(n, n, entries).mid().solve(arb_mat(n, 1, right), nonstop=True)
    return [solved[i, 0].mid() for i in range(n)]


def _newton(pull: arb_mat, log_mu: list[arb], h: list[arb], goal: arb = CLOSE / 16) -> tuple[list[arb], bool]:
    """Damped Newton for F(h) = h − (A/τ)π = 0 modulo constants."""
    pi, advantage, f, size = _residual(pull, log_mu, h)
    for _ in range(STEPS):
        if size < goal:
            return h, True
        step = _direction(pull, pi, advantage, f)
        length = arb(1)
        for _ in range(8):
            trial = [(u - length * v).mid() for u, v in zip(h, step, strict=True)]
            state = _residual(pull, log_mu, trial)
            if state[3] < size * (1 - length / 8):
                break
            length /= 2
        else:
            return h, False
        h, (pi, advantage, f, size) = trial, state
    return h, False


def _follow(pull: arb_mat, log_mu: list[arb], size: Fraction) -> list[arb]:
    """Along t from 0, where π = μ, to 1, for (tA)/τ: tangent steps that grow while Newton finds back quickly."""
    t, stride, h = arb(0), arb(fmpq(*min(Fraction(1), 1 / (2 * size)).as_integer_ratio())).mid(), [arb(0)] * len(log_mu)
    for _ in range(PATH_STEPS):
        pi, advantage, _, _ = _residual((t * pull).mid(), log_mu, h)
        whole_advantage = (pull * arb_mat(len(pi), 1, pi)).mid()
        tangent = _direction((t * pull).mid(), pi, advantage, [whole_advantage[i, 0] for i in range(len(pi))])
        ahead = (t + stride).min(arb(1)).mid()
        goal = CLOSE / 16 if ahead == 1 else arb(2) ** -30
        guess = [(u + (ahead - t) * v).mid() for u, v in zip(h, tangent, strict=True)]
        found, good = _newton((ahead * pull).mid(), log_mu, guess, goal)
        if good:
            if ahead == 1:
                return found
            h, t, stride = found, ahead, (stride * 2).mid()
        else:
            stride = (stride / 4).mid()
    raise Undecided("the path did not arrive")

"""Certificates with every rounding enclosed, for the numbers as printed and the input as given.

A printed number may be read as a double or as its shortest decimal text.  A bound here holds for both, and also for
readers who take exp(log_policy) instead of policy.  Exact margins are used where the game has them, otherwise its
doubles.  The reference is μ as given, normalised.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate import lotteries, near, rounding
from nashlab.certificate.floats import Certificate
from nashlab.certificate.near import REFINEMENTS
from nashlab.game import PreferenceGame, check_temperature

__all__ = ["bound_rational", "certify_ball", "enclose_lottery", "enclose_projection"]

Array = NDArray[np.float64]
Ball = Any  # flint's arb, which is loaded only where it is used

BITS = 128  # 128 bits round 22 digits below the float64 log-policy that is certified
MOST_BITS = 4096
IN_BALLS = 64  # responses up to which products with doubles use balls: beyond, they are slower
SOLVED_IN_BALLS = 300  # order up to which a linear system is solved in balls (about a second there)


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    from flint import ctx

    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def _bits(values: Array) -> int:
    """Precision that leaves BITS after the binary point for numbers as large as these."""
    largest = float(np.max(np.abs(values), initial=1.0))
    return min(BITS + max(0, math.frexp(largest)[1]), MOST_BITS)


def _exactly(x: Fraction | float) -> Ball:
    from flint import arb, fmpq

    return arb(fmpq(x.numerator, x.denominator)) if isinstance(x, Fraction) else arb(float(x))


def _printed(x: float) -> Ball:
    """A ball with the double x and its shortest decimal text, which lies within half a unit in the last place."""
    from flint import arb

    if (1024 * x).is_integer() and abs(x) < 1e6:  # at most 16 digits: the text is the double
        return arb(x)
    return arb(x, max(math.ulp(x) / 2, math.ulp(0.0)))  # half of the smallest double would be 0


def _upper(ball: Ball) -> float:
    """A float64 upper bound of every number in the ball."""
    return math.nextafter(float(ball.upper().mid()), math.inf)  # the upper end is exact, its float64 the nearest


def _total(balls: Sequence[Ball]) -> Ball:
    from flint import arb

    return sum(balls, arb(0))


def _largest(balls: Sequence[Ball]) -> Ball:
    return functools.reduce(lambda a, b: a.max(b), balls)


def _forms(log_policy: Array) -> list[Ball]:
    """The printed policy p: np.exp(log_policy) or exp(log_policy), as doubles or as their texts."""
    from flint import arb

    pairs = zip(log_policy.tolist(), np.exp(log_policy).tolist(), strict=True)
    return [arb(0) if x == -math.inf else _printed(p).union(_printed(x).exp()) for x, p in pairs]


def _apart(printed: Sequence[Ball], truth: Sequence[Ball]) -> list[Ball]:
    """|p − truth|, response by response."""
    return [abs(p - q) for p, q in zip(printed, truth, strict=True)]


def _trivial(printed: Sequence[Ball]) -> float:
    """The trivial bound of ‖p − q‖₁ for any policy q: 1 + Σp, which is 2 up to rounding."""
    return _upper(1 + _total(printed))


# -- τ > 0 -----------------------------------------------------------------------------------------------------------


def certify_ball(game: PreferenceGame, log_policy: Array, temperature: float) -> Certificate:
    """Rigorous bounds by E3, N14 and N18: the smallest of them, plus the rounding of the printed policy.

    π = softmax(log_policy) of the float64 numbers given, G(π) its exploitability;

        ‖p − π*_τ‖₁ ≤ ‖p − π‖₁ + min(2 tanh(osc r/4), √(2G/τ), ½(E|r̃| + uM/4 + √(E r̃² + uM²/4)))

    for the printed p (policy or log_policy), a bound u of ‖π − π*_τ‖₁, M = max|r̃|, r̃ = r − E_π r.  Contextual games:
    one prompt at a time.  Cost n² ball operations for exact margins, one extended product for doubles.
    Source: E3, N14, N15, N18.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]], reference=[0.2, 0.8])
    >>> round(certify_ball(game, np.log([0.21, 0.79]), 10.0).l1_bound, 3)
    0.015
    """
    tau = check_temperature(temperature, positive=True)
    if game.batch:
        parts = [certify_ball(game.prompt(x), log_policy[x][game.support[x]], tau) for x in range(game.batch[0])]
        gaps, bounds = zip(*((p.exploitability, p.l1_bound) for p in parts), strict=True)
        return Certificate(np.array(gaps), np.array(bounds), "ball", rigorous=True)
    return near.certified(game, log_policy, tau) or _certified(game, log_policy, tau)


def _certified(game: PreferenceGame, log_policy: Array, tau: float) -> Certificate:
    """The certificate of one game in ball arithmetic."""
    from flint import arb

    held = np.isfinite(log_policy)
    with _precision(_bits(np.append(log_policy[held], np.max(np.abs(game.margins)) / tau))):
        mass = [arb(x).exp() for x in log_policy[held].tolist()]
        total = _total(mass)
        pi = np.full(game.n, arb(0))
        pi[held] = [m / total for m in mass]
        advantage = _advantage(game, pi.tolist())
        # a printed temperature is a double or its text: bounded at both, since one ball would be too wide
        judged = [_judged(game, log_policy, pi, advantage, t) for t in _readings(tau)]
        value, bound = (max(each) for each in zip(*judged, strict=True))
        printed = _forms(log_policy)
        bound = _upper(arb(bound) + _total(_apart(printed, pi.tolist())))
        return Certificate(value, _least([bound, _trivial(printed)]), "ball", rigorous=True)


def _judged(game: PreferenceGame, log_policy: Array, pi: Any, advantage: list[Ball], t: Ball) -> tuple[float, float]:
    """(G(π), a bound of ‖π − π*_τ‖₁), rounded upwards, for π = softmax(log_policy)."""
    from flint import arb

    held = np.isfinite(log_policy)
    mu = np.array([_exactly(m).log() for m in game.reference_exact])
    reply = mu + np.array(advantage) / t
    # no need to normalise the softmax: r may be off by a constant
    h = np.array([arb(x) for x in log_policy[held].tolist()])
    inside = pi[held].tolist()
    r = (h - reply[held]).tolist()
    mean = _total([p * x for p, x in zip(inside, r, strict=True)])
    total = _total([x.exp() for x in h]).log()
    if np.all(held):
        divergence = _total([p * (mean - x).exp() for p, x in zip(inside, r, strict=True)]).log()
        bound = _bounds(inside, [x - mean for x in r], divergence)
    else:  # π leaves out responses: only the gap accounts for them
        peak = _largest(reply.tolist())
        divergence = mean - total + _total([(x - peak).exp() for x in reply]).log() + peak
        bound = _least([_root(2 * divergence), 2.0])
    # however much rounding has widened it: no reply gains more than max|A| + τ KL(π‖μ)
    most = _upper(float(np.max(np.abs(game.margins))) * rounding.ABOVE + t * _largest((h - total - mu[held]).tolist()))
    return _least([max(_upper(t * divergence), 0.0), most]), bound


def _readings(x: float) -> list[Ball]:
    """A printed double as the double and, if different, as its text."""
    from flint import arb, fmpq

    exact, text = Fraction(x), Fraction(repr(x))
    return [arb(fmpq(v.numerator, v.denominator)) for v in dict.fromkeys((exact, text))]


def _bounds(pi: list[Ball], r: list[Ball], divergence: Ball) -> float:
    """The smallest upper bound of ‖π − π*_τ‖₁ by N14, E3 and N18(c), at most 2, for a residual r with E_π r = 0."""
    from flint import arb

    spread = _largest(r) + _largest([-x for x in r])
    size = _largest([abs(x) for x in r])
    mean = _total([p * abs(x) for p, x in zip(pi, r, strict=True)])
    square = _total([p * x * x for p, x in zip(pi, r, strict=True)])
    best = _least([_root(2 * divergence), _upper(2 * (spread / 4).tanh()), 2.0])
    for _ in range(REFINEMENTS):
        u = arb(best) / 4
        better = _least([best, _upper((mean + u * size + (square + u * size * size).sqrt()) / 2)])
        if not better < 0.9 * best:
            return better
        best = better
    return best


def _least(values: Sequence[float]) -> float:
    """The smallest number among values that may be NaN, where a ball has become the whole line."""
    return min(x for x in values if x == x)


def _root(ball: Ball) -> float:
    """An upper bound of √max(ball, 0)."""
    from flint import arb

    top = _upper(ball)
    return _upper(arb(max(top, 0.0)).sqrt()) if math.isfinite(top) else 2.0


def _advantage(game: PreferenceGame, pi: Sequence[Ball]) -> list[Ball]:
    """Aπ in balls; for large games of doubles by one product in extended precision with an a-priori bound."""
    from flint import arb, arb_mat

    n = game.n
    if game.exact is not None or n <= IN_BALLS:
        product = arb_mat(n, n, _entries(game)) * arb_mat(n, 1, list(pi))
        return [product[i, 0] for i in range(n)]
    vector, cut = _extended(pi)
    values, errors = rounding.product(game.margins, vector)
    errors = errors + float(np.max(np.abs(game.margins))) * cut * rounding.ABOVE
    high = values.astype(np.float64)
    low = (values - high).astype(np.float64)
    rows = zip(high.tolist(), low.tolist(), errors.tolist(), strict=True)
    return [arb(h, e) + arb(x) for h, x, e in rows]


def _extended(pi: Sequence[Ball]) -> tuple[NDArray[np.longdouble], float]:
    """(π in extended precision, a bound of the ℓ₁ distance lost by rounding)."""
    from flint import arb

    high = [float(arb(p).mid()) for p in pi]
    low = [float((arb(p) - h).mid()) for p, h in zip(pi, high, strict=True)]
    vector = np.array(high, dtype=np.longdouble) + np.array(low, dtype=np.longdouble)
    first = vector.astype(np.float64)
    rest = (vector - first).astype(np.float64)
    parts = zip(pi, first.tolist(), rest.tolist(), strict=True)
    return vector, _upper(_total([abs(arb(p) - h - x) for p, h, x in parts]))


def _entries(game: PreferenceGame) -> list[Ball]:
    from flint import arb

    if game.exact is not None:
        return [_exactly(x) for row in game.exact for x in row]
    return [arb(x) for x in game.margins.ravel().tolist()]


# -- τ = 0 -----------------------------------------------------------------------------------------------------------


def bound_rational(log_policy: Array, policy: Sequence[Fraction]) -> float:
    """An upper bound of ‖p − x‖₁ for the printed p and a rational policy x.

    >>> 0 < bound_rational(np.log([1 / 3, 2 / 3]), [Fraction(1, 3), Fraction(2, 3)]) < 2e-16
    True
    """
    with _precision(_bits(log_policy[np.isfinite(log_policy)])):
        return _upper(_total(_apart(_forms(log_policy), [_exactly(x) for x in policy])))


def enclose_lottery(game: PreferenceGame, log_policy: Array) -> Certificate | None:
    """Prove that a policy's support is that of the only maximal lottery, and bound its distance to the printed policy.

    Encloses the solution of A_BB x = 0, Σx = 1 on the policy's support B.  If every weight and every slack off B is
    certainly positive, x is the only equilibrium (E6).  None: not proved.  Cost: one inverse, or ball arithmetic where
    that is too coarse and the game small.

    >>> rps = PreferenceGame.from_margins([[0, 0.3, -0.1], [-0.3, 0, 0.2], [0.1, -0.2, 0]])
    >>> enclose_lottery(rps, np.log([1 / 3, 1 / 6, 1 / 2])).l1_bound < 1e-15
    True
    """
    found = lotteries.enclosed(game, log_policy)
    if found is not None or game.n > SOLVED_IN_BALLS:
        return found
    with _precision(_bits(log_policy[np.isfinite(log_policy)])):
        return _enclosed(game, log_policy)


def _enclosed(game: PreferenceGame, log_policy: Array) -> Certificate | None:
    """The same in ball arithmetic throughout."""
    from flint import arb

    held = np.flatnonzero(np.isfinite(log_policy))
    found = _solved(game, held)
    # the multiplier of the border is 0 because xᵀA_BB x = 0, so A_BB x = 0; |B| is odd or the solve failed
    if found is None:
        return None
    weights, outside = found
    if not (all(w > 0 for w in weights) and all(p < 0 for p in outside)):
        return None
    truth = [arb(0)] * game.n
    for i, w in zip(held.tolist(), weights, strict=True):
        truth[i] = w
    return _near_a_lottery(game, _forms(log_policy), truth)


def _near_a_lottery(
    game: PreferenceGame, printed: Sequence[Ball], truth: Sequence[Ball], slip: float = 0.0
) -> Certificate:
    """For the printed p near a lottery x (Ax ≤ 0) that is ``slip`` at most from the policy in question:

        ‖p − x‖₁ + slip,   (Ap)_y ≤ Σ_j |A_yj| |p_j − x_j|
    """
    from flint import arb

    apart = _apart(printed, truth)
    worst = lotteries.moved_payoff(*rounding.unit_scale(game.margins), np.array([_upper(each) for each in apart]))
    return Certificate(worst, min(_upper(_total(apart) + arb(slip)), _trivial(printed)), "ball", rigorous=True)


def _solved(game: PreferenceGame, held: NDArray[np.intp]) -> tuple[list[Ball], list[Ball]] | None:
    """(weights on B, advantages of the others)."""
    from flint import arb, arb_mat

    n, k = game.n, held.size
    whole = arb_mat(n, n, _entries(game)) * arb(2) ** -int(rounding.unit_scale(game.margins)[1])
    inside = held.tolist()
    entries = [v for i in inside for v in (*(whole[i, j] for j in inside), arb(1))] + [arb(1)] * k + [arb(0)]
    try:
        x = arb_mat(k + 1, k + 1, entries).solve(arb_mat(k + 1, 1, [arb(0)] * k + [arb(1)]))
    except ZeroDivisionError:
        return None
    weights = [x[row, 0] for row in range(k)]
    outside = sorted(set(range(n)) - set(inside))
    return weights, [_total([whole[i, j] * w for j, w in zip(inside, weights, strict=True)]) for i in outside]


def enclose_projection(
    game: PreferenceGame, log_policy: Array, point: Sequence[Fraction], multipliers: Sequence[Fraction]
) -> Certificate:
    """An upper bound of the distance from a printed policy to argmin KL(π‖μ) over all maximal lotteries (E5's limit).

    point        x, a rational lottery, positive wherever some lottery is, [n];
    multipliers  u, rational, u ≥ 0 off the support, that is wherever (Ax)_y < 0 is possible for a lottery, [n].

    With g = osc_B(log(x/μ) − Au) − u·Ax (the last sum off the support B), duality gives KL(x*‖x) ≤ g, so that

        ‖p − x*‖₁ ≤ ‖p − x‖₁ + √(2g)

    Both are kept as the certificate's witness.  The caller ensures that x is a lottery, B the common support and u ≥ 0
    off B.  Source: E5, E6.
    """
    n = game.n
    held = [i for i in range(n) if point[i] > 0]
    with _precision(2 * BITS):
        from flint import arb_mat

        a = arb_mat(n, n, _entries(game))
        x, u = (arb_mat(n, 1, [_exactly(v) for v in vector]) for vector in (point, multipliers))
        pull, product = a * u, a * x
        mu = game.reference_exact
        w = [x[i, 0].log() - _exactly(mu[i]).log() - pull[i, 0] for i in held]
        cost = _total([-u[i, 0] * product[i, 0] for i in range(n) if point[i] == 0])
        gap = _largest(w) + _largest([-v for v in w]) + cost
        near = _near_a_lottery(game, _forms(log_policy), [_exactly(v) for v in point], _root(2 * gap))
    return replace(near, witness={"point": tuple(point), "multipliers": tuple(multipliers)})

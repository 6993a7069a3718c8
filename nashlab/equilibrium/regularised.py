"""The regularised equilibrium π*_τ: damped Newton, a path in 1/τ, and a method that uses only matrix-vector products.

All three find the zero, modulo constants, of E3's residual as a function of the log-ratio h = log π − log μ:

    F(h) = h − t Aπ,    π ∝ μ eʰ,    t = 1/τ

whose Newton direction solves (I − tAD) d = −F with D = diag π − ππᵀ.  In the coordinates √π that matrix is I minus a
skew one, so it is normal and never singular (E4), also where π underflows.  The equilibrium is unique (E1), so any zero
found is the right one, and :mod:`nashlab.certificate` bounds the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import log_ratio, log_softmax, matvec, oscillation
from nashlab.certificate import certify
from nashlab.equilibrium.alone import newton
from nashlab.equilibrium.interior import interior_point
from nashlab.equilibrium.products import Near, floor
from nashlab.equilibrium.products import solve as by_products
from nashlab.game import BadInput, PreferenceGame, check_temperature
from nashlab.solution import Solution, Status, effective_temperature

__all__ = ["METHODS", "regularised_nash"]

Array = NDArray[np.float64]
Solver = Callable[[Array, Array, Array, float], Array]
Method = Literal["auto", "newton", "path", "products"]
METHODS: tuple[Method, ...] = ("auto", "newton", "path", "products")

LEAST_TEMPERATURE = 1e-280  # of the largest margin: keeps A/τ finite; π has lost its last digit long before
NEWTON_STEPS = 60  # quadratic once close: usually 5-15, more with damping
NEWTON_UP_TO = 300.0  # of t: beyond, damping fails so often that the path is faster
COLD = 100.0  # of t/n²: a lottery's weights and slacks are about 1/n² apart, and τ must be far below
HALVINGS = 12
PATIENCE = 100_000  # products, if factorisations are only the last resort
CORRECTIONS = 8  # Newton steps at one point of the path; more mean that the tangent step was too long
CLOSE = 1e-3  # of osc F while on the way: close enough for the next tangent; the end is refined
PATH_START = 1.0  # the t at which |A| < 1 gives tλ < 1 (N4), where Newton from μ needs no damping
PATH_STEPS = 2000  # a path down to τ = 1e-6 takes about 40 factorisations
PRODUCTS_FROM = 200  # responses from which products are cheaper than a factorisation


def regularised_nash(
    game: PreferenceGame, temperature: float, *, method: Method = "auto", throw: bool = False
) -> Solution:
    """The unique equilibrium π ∝ μ exp(Aπ/τ) of the regularised game, for every τ > 0; also for batches and prompts.

    method  "newton" (damped, dense), "path" (predictor-corrector in 1/τ, dense), "products" (extragradient, with faster
            steps kept where they help: only products with A), "auto": the cheapest first, the path last.

    Status CONVERGED means that the certificate's bound on ‖π − π*_τ‖₁ is at most 1e-12 (below τ = 1e-2 it is 1e-14/τ,
    to 1e-6; τ relative to 2 max|A|, so that A and 1e-9·A are the same problem); STALLED means that float64 gives no
    more. The bound ignores float64 rounding; :func:`nashlab.equilibrium.nash` proves it.
    Errors: BadInput for τ ≤ 0 or below 1e-280 of the largest margin; NotSolved with ``throw``.
    Source: E1, E3, E4, N26.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> answer = regularised_nash(game, 0.1)
    >>> round(float(answer.policy[0]), 4), answer.status.token
    (0.8808, 'converged')
    """
    tau = check_temperature(temperature, positive=True)
    if method not in METHODS:
        raise ValueError(f"method = {method!r}, must be one of {', '.join(METHODS)}")
    n = game.n
    margins, log_mu = game.margins.reshape(-1, n, n), game.log_reference.reshape(-1, n)
    sizes = game.largest.reshape(-1).tolist()
    # scaling A and τ by a power of two brings max|A| into [¼, 1) without rounding; preferences need none
    exponents = [0 if exponent == -1 else exponent for exponent in (math.frexp(size)[1] for size in sizes)]
    if any(exponents):
        margins = np.ldexp(margins, -np.array(exponents)[:, None, None])
    # where all responses tie π* is μ at any temperature
    least = [_over_power(tau, exponent) if size else 1.0 for size, exponent in zip(sizes, exponents, strict=True)]
    if min(least) < LEAST_TEMPERATURE:
        raise BadInput(
            f"temperature = {tau:g} is below {LEAST_TEMPERATURE:g} of the largest margin, where 1/τ leaves float64; "
            "use 0, its limit"
        )
    effective = effective_temperature(game.largest, tau)
    work = _Work()
    h = _solve(margins, log_mu, 1.0 / np.array(least), effective.reshape(-1), method, work)
    # twice, because the first sum of large log-ratios is rounded to the unit of the largest
    if game.batch:
        log_policy = log_softmax(log_softmax(np.where(np.isfinite(log_mu), log_mu + h, -np.inf)))
    else:
        log_policy = _normalised(_normalised(log_mu[0] + h[0]))
    certificate = certify(game, log_policy, tau)
    stats = {"factorisations": work.factorisations, "products": work.products}
    status = Status.of(effective, certificate)
    return Solution(game, tau, log_policy, status, certificate, unique=True, stats=stats).checked(throw)


def _normalised(x: Array) -> Array:
    """log softmax of a finite vector: one game is solved in less time than the general function takes."""
    x = x - x[x.argmax()]
    return x - math.log(np.add.reduce(np.exp(x)))


def _over_power(temperature: float, exponent: int) -> float:
    """τ/2^e; an infinite one is harmless: π* is μ."""
    try:
        return math.ldexp(temperature, -exponent)
    except OverflowError:
        return math.inf


@dataclass
class _Work:
    """Counts of the work done."""

    factorisations: int = 0
    products: int = 0


def _solve(margins: Array, log_mu: Array, t: Array, effective: Array, method: Method, work: _Work) -> Array:
    """Log-ratios h up to constants, [X, n], of X games with |A| ≤ ½."""
    h = np.zeros_like(log_mu)
    if method == "products" or (method == "auto" and h.shape[1] >= PRODUCTS_FROM):
        # as many products as take the time of a few factorisations
        patience = PATIENCE if method == "products" else h.shape[1]
        for x in range(len(h)):

            def find(a: Array, log_mu: Array, t: float, effective: float = float(effective[x])) -> Near:
                return by_products(a.__matmul__, log_mu, t, effective, patience, _in_single_precision(a))

            if not _near(h[x], margins[x], log_mu[x], float(t[x]), work, find):
                h[x] = _cold(margins[x], log_mu[x], t[x], _dense(work), work, method)
        return h
    alone = method == "auto" and len(h) == 1 and t[0] <= NEWTON_UP_TO
    if alone and _near(h[0], margins[0], log_mu[0], float(t[0]), work, newton):
        return h
    todo = np.ones(len(h), dtype=bool)
    if method != "path":
        rows = np.flatnonzero(todo & (t <= NEWTON_UP_TO)) if method == "auto" else np.arange(len(h))
        if rows.size:
            h[rows], found = _newton(margins[rows], log_mu[rows], t[rows], work)
            todo[rows[found]] = False
    if method != "newton":
        for x in map(int, np.flatnonzero(todo)):
            h[x] = _cold(margins[x], log_mu[x], t[x], _dense(work), work, method)
    return h


def _in_single_precision(margins: Array) -> Callable[[Array], Array]:
    """v ↦ Av in single precision, in half the time; the copy of A is made at the first call."""
    copies: list[NDArray[np.float32]] = []

    def multiply(v: Array) -> Array:
        if not copies:
            copies.append(margins.astype(np.float32))
        return np.asarray((copies[0] @ v.astype(np.float32)).astype(np.float64))

    return multiply


def _near(h: Array, margins: Array, log_mu: Array, t: float, work: _Work, find: Callable[..., Near]) -> bool:
    """Fill h, [n], by a method for one game on the support of μ; whether it came near."""
    inside = None if log_mu[log_mu.argmin()] > -np.inf else np.isfinite(log_mu)
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves float64 is not near
        found = find(*((margins, log_mu) if inside is None else (margins[np.ix_(inside, inside)], log_mu[inside])), t)
    work.factorisations += found.factorisations
    work.products += found.products
    if found.h is not None:
        h[... if inside is None else inside] = found.h
    return found.h is not None


def _cold(margins: Array, log_mu: Array, t: float, shift: Solver, work: _Work, method: Method) -> Array:
    """Log-ratios at large t, [n]: Newton from the limiting lottery, or the path if that fails."""
    if method == "auto" and t > COLD * len(log_mu) ** 2:
        h = _from_lottery(margins, log_mu, t, shift)
        if h is not None:
            return h
    return _path(margins, log_mu, t, shift, work)


def _from_lottery(margins: Array, log_mu: Array, t: float, shift: Solver) -> Array | None:
    """Newton from h = log(x/μ) on the support of the lottery x and tAx off it; None if x is not proved or too far."""
    inside = np.flatnonzero(np.isfinite(log_mu))
    guess = interior_point(margins[np.ix_(inside, inside)])
    if not guess.sure:
        return None
    x = np.zeros_like(log_mu)
    x[inside] = guess.policy
    h = np.where(np.isfinite(log_mu), t * (margins @ x), 0.0)
    h[x > 0] = np.log(x[x > 0]) - log_mu[x > 0]
    point, steps = _correct(margins, log_mu, h, t, shift, 0.0)
    return None if steps is None else point.h


# -- the residual and its Newton direction -----------------------------------------------------------------------


class _Point(NamedTuple):
    """An iterate: h = log π − log μ, log π, Aπ and the residual F, each [..., n]; h and F are 0 on padding."""

    h: Array
    log_pi: Array
    advantage: Array
    f: Array


def _point(margins: Array, log_mu: Array, h: Array, t: Array | float) -> _Point:
    """Evaluate at h, normalised so that it stays small on the support and keeps its digits; F has π-mean 0."""
    log_pi = log_softmax(log_mu + h)  # padding stays at −∞
    pi = np.exp(log_pi)
    advantage = matvec(margins, pi)
    h = log_ratio(log_pi, log_mu)
    f = h - np.asarray(t)[..., None] * advantage
    f = f - np.sum(pi * f, axis=-1, keepdims=True)
    return _Point(h, log_pi, advantage, np.where(np.isfinite(log_mu), f, 0.0))


def _direction(margins: Array, f: Array, shift: Array, t: Array | float) -> Array:
    """d = −F + tA(Dd), [..., n], given the shift Dd of the policy from a linear solver."""
    return -f + np.asarray(t)[..., None] * matvec(margins, shift)


def _dense_shift(margins: Array, log_pi: Array, f: Array, t: Array | float) -> Array:
    """Dd for (I − tAD) d = −F, [..., n], by one factorisation of I − skew in the coordinates √π (E4)."""
    root = np.exp(0.5 * log_pi)
    skew = (np.asarray(t)[..., None] * root)[..., :, None] * margins * root[..., None, :]
    pull = matvec(skew, root)
    # the projection orthogonal to √π on both sides; √π·(skew √π) = 0 saves its quadratic term
    skew += root[..., :, None] * pull[..., None, :] - pull[..., :, None] * root[..., None, :]
    right = root * f
    right -= root * np.sum(root * right, axis=-1, keepdims=True)
    z = np.linalg.solve(np.eye(f.shape[-1]) - skew, -right[..., None])[..., 0]
    return root * z


def _dense(work: _Work) -> Solver:
    """The dense solver of one game, factorising only the responses with noticeable mass."""

    def shift(margins: Array, log_pi: Array, f: Array, t: float) -> Array:
        work.factorisations += 1
        felt = np.flatnonzero(log_pi > np.log(1e-20 / max(t, 1.0)))
        if 10 * felt.size > 9 * f.size:
            return _dense_shift(margins, log_pi, f, t)
        full = np.zeros_like(f)
        full[felt] = _dense_shift(margins[np.ix_(felt, felt)], log_pi[felt], f[felt], t)
        return full

    return shift


# -- three methods -------------------------------------------------------------------------------------------------


@np.errstate(over="ignore", invalid="ignore")  # no part of a direction that leaves float64 is ever taken
def _newton(margins: Array, log_mu: Array, t: Array, work: _Work) -> tuple[Array, NDArray[np.bool_]]:
    """Damped Newton from μ for X games at once: (h [X, n], which of them were solved)."""
    inside = np.isfinite(log_mu)
    now = _point(margins, log_mu, np.zeros_like(log_mu), t)
    size = oscillation(now.f, inside)
    solved = size <= floor(now.h, t)
    active = ~solved
    for _ in range(NEWTON_STEPS):
        rows = np.flatnonzero(active)
        if not rows.size:
            break
        a, s = margins[rows], t[rows]
        try:
            d = _direction(a, now.f[rows], _dense_shift(a, now.log_pi[rows], now.f[rows], s), s)
        except np.linalg.LinAlgError:
            break
        work.factorisations += rows.size
        moved, was = np.zeros(rows.size, dtype=bool), size[rows]
        length = 1.0
        for _ in range(HALVINGS):
            k = np.flatnonzero(~moved)
            trial = _point(a[k], log_mu[rows[k]], now.h[rows[k]] + length * d[k], s[k])
            new_size = oscillation(trial.f, inside[rows[k]])
            ok = new_size <= (1.0 - 0.1 * length) * was[k]
            for held, new in zip((*now, size), (*trial, new_size), strict=True):
                held[rows[k[ok]]] = new[ok]
            moved[k[ok]] = True
            if np.all(moved):
                break
            length *= 0.5
        done = size[rows] <= floor(now.h[rows], s)
        # no step helps: at the rounding floor that is success, otherwise the path takes over
        solved[rows] = done | (~moved & (was <= 1e3 * floor(now.h[rows], s)))
        active[rows] = moved & ~done
    return now.h, solved


def _path(margins: Array, log_mu: Array, t: float, shift: Solver, work: _Work) -> Array:
    """Follow the equilibrium from t = 1 to 1/τ: a tangent step, Newton corrections, an adaptive step size."""
    t, at = float(t), min(float(t), PATH_START)
    now, _ = _correct(margins, log_mu, np.zeros_like(log_mu), at, shift, CLOSE)
    stride = 0.5  # of log t
    for _ in range(PATH_STEPS):
        if at >= t or stride < 1e-9:
            break
        # dh/dt solves (I − tAD) h' = Aπ
        pull = -now.advantage
        try:
            tangent = _direction(margins, pull, shift(margins, now.log_pi, pull, at), at)
        except np.linalg.LinAlgError:  # tA has left float64's range: end the path
            break
        ahead = min(at * float(np.exp(stride)), t)
        trial, steps = _correct(margins, log_mu, now.h + (ahead - at) * tangent, ahead, shift, CLOSE)
        if steps is None:
            stride *= 0.3
            continue
        now, at = trial, ahead
        stride = min(stride * (2.0 if steps <= 1 else 1.4 if steps <= 3 else 0.7), 3.0)
    if at < t:  # float64 is exhausted: far along the path h grows like t
        return now.h * (t / at)
    return _correct(margins, log_mu, now.h, t, shift, 0.0)[0].h


def _correct(
    margins: Array, log_mu: Array, h: Array, t: float, shift: Solver, goal: float
) -> tuple[_Point, int | None]:
    """Newton at fixed t until osc F ≤ ``goal`` or rounding: (the best point, steps), None if it does not contract."""
    inside = np.isfinite(log_mu)
    now = _point(margins, log_mu, h, t)
    size = float(oscillation(now.f, inside))
    for k in range(CORRECTIONS):
        if size <= max(goal, float(floor(now.h, t))):
            return now, k
        try:
            step = _direction(margins, now.f, shift(margins, now.log_pi, now.f, t), t)
        except np.linalg.LinAlgError:
            break
        trial = _point(margins, log_mu, now.h + step, t)
        new = float(oscillation(trial.f, inside))
        if not new < 0.9 * size:
            break
        now, size = trial, new
    return now, CORRECTIONS if size <= max(goal, 1e3 * float(floor(now.h, t))) else None

"""The regularised equilibrium π*_τ: damped Newton, a path in 1/τ, and a method of matrix-vector products only.

All three look for the zero, modulo constants, of the residual of E3 as a function of the log-ratio h = log π − log μ:

    F(h) = h − t Aπ,    π ∝ μ eʰ,    t = 1/τ

whose Newton direction solves (I − tAD) d = −F with D = diag π − ππᵀ.  In the coordinates √π that matrix is I minus a
skew one, so it is normal and never singular (E4); it also stays harmless where π underflows.  The equilibrium is
unique (E1), so whatever zero a method finds is the right one, and :mod:`nashlab.certificate` judges how well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import centred, log_softmax, matvec, oscillation
from nashlab.certificate import certify
from nashlab.game import PreferenceGame, check_temperature
from nashlab.solution import Solution, Status

__all__ = ["METHODS", "regularised_nash"]

Array = NDArray[np.float64]
Direction = Callable[[Array, Array, Array, float], Array]
Method = Literal["auto", "newton", "path", "products"]
METHODS: tuple[Method, ...] = ("auto", "newton", "path", "products")

TOLERANCE = 1e-12  # of ‖π − π*_τ‖₁ down to an effective τ of 1e-2 ...
TOLERANCE_PER_T = 1e-14  # ... and this over τ below: rounding in Aπ is multiplied by 1/τ
EPS = float(np.finfo(np.float64).eps)
NEWTON_STEPS = 60  # quadratic once close: 5-15 are used, more only where the damping fights
NEWTON_UP_TO = 300.0  # of t: beyond, damping fails often enough that the path is the shorter way
HALVINGS = 12
CORRECTIONS = 8  # Newton steps at one point of the path; more means that the tangent step was too long
CLOSE = 1e-3  # of osc F while on the way: near enough for the next tangent, the end is polished
PATH_START = 2.0  # the t at which |A| ≤ ½ gives tλ < 1 (N4), so that Newton from μ has nothing to fight
PATH_STEPS = 2000  # a path down to τ = 1e-6 takes about 40 factorisations
PRODUCTS_FROM = 100  # responses from which products are cheaper than a factorisation
ANDERSON_STEPS = 40  # beyond, the contraction tλ is too weak for it and Newton-Krylov takes over
ANDERSON_WINDOW = 8


def regularised_nash(
    game: PreferenceGame, temperature: float, *, method: Method = "auto", throw: bool = False
) -> Solution:
    """The unique equilibrium π ∝ μ exp(Aπ/τ) of the regularised game, for every τ > 0; batches and prompts at once.

    method  "newton" (damped, dense), "path" (predictor-corrector in 1/τ, dense), "products" (Anderson acceleration,
            then Newton-Krylov along the path: only products with A), "auto": the cheapest first, the path last.

    Status CONVERGED means that the certificate's bound on ‖π − π*_τ‖₁ is at most 1e-12 (1e-14/τ below τ = 1e-2; τ in
    units of the largest margin, so that A and 1e-9·A are the same problem); STALLED, that float64 gives no more.
    Errors: BadInput for τ ≤ 0; NotSolved with ``throw``.  Source: E1, E3, E4.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> answer = regularised_nash(game, 0.1)
    >>> round(float(answer.policy[0]), 4), answer.status.token
    (0.8808, 'converged')
    """
    tau = check_temperature(temperature, positive=True)
    if method not in METHODS:
        raise ValueError(f"method = {method!r}, must be one of {', '.join(METHODS)}")
    n = game.n
    margins = game.margins.reshape(-1, n, n)
    log_mu = np.broadcast_to(game.log_reference, (*game.batch, n)).reshape(-1, n)
    scale = 2.0 * np.max(np.abs(margins), axis=(-1, -2))
    # t = 1/τ for the game scaled to |A| ≤ ½; no larger than 1e300, so that tA stays finite
    t = np.minimum(np.where(scale > 0, scale, 1.0) * min(1.0 / tau, 1e300) if tau > 1e-300 else 1e300, 1e300)
    unit = np.where(scale > 0, scale, 1.0)[:, None, None]
    work = _Work()
    h = _solve(margins / unit, log_mu, t, method, work)
    log_policy = log_softmax(np.where(np.isfinite(log_mu), log_mu + h, -np.inf)).reshape(*game.batch, n)
    certificate = certify(game, log_policy, tau)
    allowed = np.maximum(TOLERANCE, TOLERANCE_PER_T * t).reshape(game.batch)
    good = bool(np.all(certificate.l1_bound <= allowed))
    status = Status.CONVERGED if good else Status.STALLED
    stats = {"factorisations": work.factorisations, "products": work.products}
    return Solution(game, tau, log_policy, status, certificate, unique=True, stats=stats).checked(throw)


@dataclass
class _Work:
    """What was spent."""

    factorisations: int = 0
    products: int = 0


def _solve(margins: Array, log_mu: Array, t: Array, method: Method, work: _Work) -> Array:
    """Log-ratios h, [X, n], of X games with |A| ≤ ½."""
    h = np.zeros_like(log_mu)
    todo = np.ones(len(h), dtype=bool)
    if method == "products" or (method == "auto" and h.shape[1] >= PRODUCTS_FROM):
        for x in range(len(h)):
            h[x], found = _anderson(margins[x], log_mu[x], t[x], work)
            todo[x] = not found
            if method == "products" and not found:
                h[x] = _path(margins[x], log_mu[x], t[x], _krylov_direction(work), work)
        if method == "products":
            return h
    rows = np.flatnonzero(todo & (t <= NEWTON_UP_TO) if method == "auto" else todo)
    if method != "path" and rows.size:
        h[rows], found = _newton(margins[rows], log_mu[rows], t[rows], work)
        todo[rows[found]] = False
    if method != "newton":
        for x in np.flatnonzero(todo):
            h[x] = _path(margins[x], log_mu[x], t[x], _dense_direction, work)
    return h


# -- the residual and its Newton direction -----------------------------------------------------------------------


def _residual(margins: Array, log_mu: Array, h: Array, t: Array | float) -> tuple[Array, Array, Array]:
    """(log π, Aπ, F), each [..., n]; F has π-mean 0, for a constant means nothing, and is 0 on padding."""
    inside = np.isfinite(log_mu)
    log_pi = log_softmax(np.where(inside, log_mu + h, -np.inf))
    advantage = matvec(margins, np.exp(log_pi))
    f = np.where(inside, h - np.asarray(t)[..., None] * advantage, 0.0)
    return log_pi, advantage, np.where(inside, centred(f, log_pi), 0.0)


def _moved(log_mu: Array, h: Array, step: Array) -> Array:
    """h + step with the constant that makes it log π − log μ: on the support it stays small, where digits matter."""
    inside = np.isfinite(log_mu)
    log_pi = log_softmax(np.where(inside, log_mu + h + step, -np.inf))
    return np.where(inside, log_pi, 0.0) - np.where(inside, log_mu, 0.0)


def _dense_direction(margins: Array, log_pi: Array, f: Array, t: Array | float) -> Array:
    """d with (I − tAD) d = −F, [..., n], by one factorisation of I − skew in the coordinates √π (E4)."""
    t = np.asarray(t)[..., None]
    root = np.exp(0.5 * log_pi)
    skew = (t * root)[..., :, None] * margins * root[..., None, :]
    pull = matvec(skew, root)
    # the projection orthogonal to √π on both sides; √π·(skew √π) = 0 saves its quadratic term
    skew += root[..., :, None] * pull[..., None, :] - pull[..., :, None] * root[..., None, :]
    right = root * f
    right -= root * np.sum(root * right, axis=-1, keepdims=True)
    z = np.linalg.solve(np.eye(f.shape[-1]) - skew, -right[..., None])[..., 0]
    return -f + t * matvec(margins, root * z)


def _krylov_direction(work: _Work) -> Direction:
    """The same direction from products with A only: conjugate gradients on (I − S)ᵀ(I − S) = I + SᵀS, S skew."""

    def direction(margins: Array, log_pi: Array, f: Array, t: float) -> Array:
        root = np.exp(0.5 * log_pi)

        def skew(v: Array) -> Array:
            work.products += 1
            v = t * root * (margins @ (root * (v - root * (root @ v))))
            return v - root * (root @ v)

        right = -root * f
        right -= root * (root @ right)
        z = np.zeros_like(f)
        left = right + skew(right)  # (I − S)ᵀ = I + S
        step, size = left.copy(), float(left @ left)
        target = max(1e-24 * size, 1e-300)  # twelve digits of a direction are more than a Newton step can use
        for _ in range(20 * f.size):
            if size <= target:
                break
            moved = step - skew(step)
            curved = moved + skew(moved)
            a = size / float(step @ curved)
            z += a * step
            left -= a * curved
            size, before = float(left @ left), size
            step = left + (size / before) * step
        return -f + t * (margins @ (root * z))

    return direction


def _floor(h: Array, t: Array | float) -> Array:
    """The oscillation of F that rounding leaves: what no method can go below."""
    return 4.0 * EPS * (1.0 + np.max(np.abs(h), axis=-1) + np.asarray(t))


# -- three methods -------------------------------------------------------------------------------------------------


def _newton(margins: Array, log_mu: Array, t: Array, work: _Work) -> tuple[Array, NDArray[np.bool_]]:
    """Damped Newton from μ, X games side by side: (h [X, n], which of them were solved)."""
    h, inside = np.zeros_like(log_mu), np.isfinite(log_mu)
    log_pi, _, f = _residual(margins, log_mu, h, t)
    size = oscillation(f, inside)
    solved, active = size <= _floor(h, t), size > _floor(h, t)
    for _ in range(NEWTON_STEPS):
        rows = np.flatnonzero(active)
        if not rows.size:
            break
        a, mu, s = margins[rows], log_mu[rows], t[rows]
        d = _dense_direction(a, log_pi[rows], f[rows], s)
        work.factorisations += rows.size
        moved, was = np.zeros(rows.size, dtype=bool), size[rows]
        length = 1.0
        for _ in range(HALVINGS):
            k = np.flatnonzero(~moved)
            trial = _moved(mu[k], h[rows[k]], length * d[k])
            new_pi, _, new_f = _residual(a[k], mu[k], trial, s[k])
            new_size = oscillation(new_f, inside[rows[k]])
            ok = new_size <= (1.0 - 0.1 * length) * size[rows[k]]
            r = rows[k[ok]]
            h[r], log_pi[r], f[r], size[r] = trial[ok], new_pi[ok], new_f[ok], new_size[ok]
            moved[k[ok]] = True
            if np.all(moved):
                break
            length *= 0.5
        done = size[rows] <= _floor(h[rows], s)
        # no step helps any more: at the rounding floor that is success, elsewhere the path must do it
        stuck = ~moved
        close = was <= 1e3 * _floor(h[rows], s)
        solved[rows] = done | (stuck & close)
        active[rows] = ~(done | stuck)
    return h, solved


def _path(margins: Array, log_mu: Array, t: float, direction: Direction, work: _Work) -> Array:
    """Follow the equilibrium from t = 2 to 1/τ: a tangent step, Newton corrections, a step size that adapts."""
    t, now = float(t), min(float(t), PATH_START)
    h, _ = _correct(margins, log_mu, np.zeros_like(log_mu), now, direction, work, CLOSE)
    stride = 0.5  # of log t
    for _ in range(PATH_STEPS):
        if now >= t or stride < 1e-9:
            break
        log_pi, advantage, _ = _residual(margins, log_mu, h, now)
        tangent = direction(margins, log_pi, -advantage, now)  # dh/dt solves (I − tAD) h' = Aπ
        work.factorisations += 1
        ahead = min(now * float(np.exp(stride)), t)
        guess = _moved(log_mu, h, (ahead - now) * tangent)
        trial, steps = _correct(margins, log_mu, guess, ahead, direction, work, CLOSE)
        if steps is None:
            stride *= 0.3
            continue
        h, now = trial, ahead
        stride = min(stride * (2.0 if steps <= 1 else 1.4 if steps <= 3 else 0.7), 3.0)
    if now < t:  # float64 ends here: far along the path h grows like t
        return h * (t / now)
    return _correct(margins, log_mu, h, t, direction, work, 0.0)[0]


def _correct(
    margins: Array, log_mu: Array, h: Array, t: float, direction: Direction, work: _Work, goal: float
) -> tuple[Array, int | None]:
    """Newton at fixed t until osc F ≤ ``goal`` or rounding: (the best h, steps), None for steps if it fails to contract."""
    inside = np.isfinite(log_mu)
    log_pi, _, f = _residual(margins, log_mu, h, t)
    size = float(oscillation(f, inside))
    for k in range(CORRECTIONS):
        if size <= max(goal, float(_floor(h, t))):
            return h, k
        trial = _moved(log_mu, h, direction(margins, log_pi, f, t))
        work.factorisations += 1
        log_pi, _, f = _residual(margins, log_mu, trial, t)
        new = float(oscillation(f, inside))
        if not new < 0.9 * size:
            break
        h, size = trial, new
    return (h, CORRECTIONS) if size <= max(goal, 1e3 * float(_floor(h, t))) else (h, None)


def _anderson(margins: Array, log_mu: Array, t: float, work: _Work) -> tuple[Array, bool]:
    """Anderson acceleration of h ← tAπ: one product a step, good while tλ is below about 1; (h, solved)."""
    inside = np.isfinite(log_mu)
    n = log_mu.size
    h = np.zeros(n)
    moves, changes = np.zeros((ANDERSON_WINDOW, n)), np.zeros((ANDERSON_WINDOW, n))
    _, _, f = _residual(margins, log_mu, h, t)
    best, best_size, since = h, float(oscillation(f, inside)), 0
    for k in range(ANDERSON_STEPS):
        floor = float(_floor(h, t))
        if best_size <= floor or (best_size <= 16 * floor and since >= 2):
            return best, True
        if since >= 6:
            break
        held = min(k, ANDERSON_WINDOW)
        step = -f
        if held:
            mixing = np.linalg.lstsq(changes[:held] @ changes[:held].T, changes[:held] @ f, rcond=1e-14)[0]
            step = -(f - mixing @ changes[:held]) - mixing @ moves[:held]
        h_new = _moved(log_mu, h, step)
        _, _, f_new = _residual(margins, log_mu, h_new, t)
        work.products += 1
        row = k % ANDERSON_WINDOW
        moves[row], changes[row] = h_new - h, f_new - f
        h, f = h_new, f_new
        size = float(oscillation(f, inside))
        since = since + 1 if size > 0.5 * best_size else 0
        if size < best_size:
            best, best_size = h, size
    return best, best_size <= 16 * float(_floor(best, t))

"""What any policy proves about itself: exploitability, distance to the exact equilibrium, exact optimality.

Everything here is a function of (game, log-policy, τ) alone and knows no solver:

    BR(π) ∝ μ exp(Aπ/τ),   G(π) = τ KL(π ‖ BR(π))                                   exploitability, E2
    r = log π − log μ − Aπ/τ,   ‖π − π*_τ‖₁ ≤ 2 tanh(osc(r)/4)                       residual bound, E3
    ‖π − π*_τ‖₁ ≤ √(2G/τ)                                                            gap bound, N14

The bounds come in three strengths: float64 (fast, batched, rounding not accounted for), ball arithmetic (a proof: every
rounding error is enclosed) and, for maximal lotteries (τ = 0), rational arithmetic (a proof of optimality itself).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import Array, array_namespace, log_softmax, logsumexp, oscillation
from nashlab.game import BadInput, PreferenceGame, check_temperature

__all__ = [
    "Certificate",
    "ExactCheck",
    "best_response",
    "certify",
    "certify_ball",
    "check_lottery",
    "enclose_lottery",
    "exploitability",
    "gap",
    "residual",
]

TAME = 500.0  # e⁵⁰⁰ is far from overflow
BALL_BITS = 128  # rounding in 128 bits is 22 digits below that of the float64 log-policy under judgment


@dataclass(frozen=True)
class Certificate:
    """What is known of a policy: each field one number, or one for each prompt, shape [X].

    exploitability  G(π) in units of preference (an upper bound where ``rigorous``).
    l1_bound        an upper bound of ‖π − equilibrium‖₁ in [0, 2]; None where none is known.
    kind            "float", "ball" or "rational": the arithmetic it was computed in.
    rigorous        True if no rounding error was neglected.
    """

    exploitability: Any
    l1_bound: Any
    kind: str
    rigorous: bool

    @property
    def worst_l1_bound(self) -> float:
        """The largest bound over prompts; ∞ where none is known."""
        return math.inf if self.l1_bound is None else float(np.max(self.l1_bound))


# -- float64, array-API, batched -----------------------------------------------------------------------------------


def best_response(advantage: Array, log_reference: Array, temperature: float | Array) -> Array:
    """log BR ∝ log μ + Aπ/τ, shape [..., n] (E2)."""
    return log_softmax(log_reference + advantage / temperature)


def residual(advantage: Array, log_reference: Array, log_policy: Array, temperature: float | Array) -> Array:
    """r = log π − log μ − Aπ/τ, shape [..., n]; constant on the support exactly at π*_τ (E1, E3); 0 on padding."""
    xp = array_namespace(log_policy)
    inside = xp.isfinite(log_reference)
    zero = xp.zeros_like(log_policy)
    return xp.where(inside, log_policy, zero) - xp.where(inside, log_reference + advantage / temperature, zero)


def gap(advantage: Array, log_reference: Array, log_policy: Array, temperature: float | Array) -> Array:
    """G(π) = τ KL(π ‖ BR(π)), shape [..., n] -> [...], for τ > 0 and any policy on the support of μ (E2).

    KL is a small difference of large terms, so it is computed as log(1 + E_π[e^{−r} − 1 + r]) with E_π r = 0 (N15): a
    sum of non-negative terms, which keeps its relative accuracy down to r ~ 1e-15; only where e^{−r} would overflow, or
    π leaves some of the support of μ out, it is taken as E_π r + log Σ μ e^{Aπ/τ}.
    """
    xp = array_namespace(log_policy)
    held, inside = xp.isfinite(log_policy), xp.isfinite(log_reference)
    zero, weight = xp.zeros_like(log_policy), xp.exp(log_policy)
    reply = xp.where(inside, log_reference + advantage / temperature, zero)
    r = xp.where(held, log_policy, zero) - xp.where(held, reply, zero)
    mean = xp.sum(weight * r, axis=-1)
    r = r - mean[..., None]
    # cut before it is summed, judged after: selecting between the two first would stop compilers from fusing them
    cut = xp.where(r > -TAME, r, zero - TAME)
    series = xp.log1p(xp.sum(weight * (xp.expm1(-cut) + cut), axis=-1))
    plain = mean + logsumexp(xp.where(inside, reply, zero - xp.inf))[..., 0]
    rough = xp.any(xp.where(held, r <= -TAME, inside), axis=-1)
    value = xp.where(rough, plain, series)
    return temperature * xp.where(value > 0, value, xp.zeros_like(value))


def exploitability(game: PreferenceGame, log_policy: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """G(π) = max_π' J(π', π) − ½, shape [..., n] -> [...]: what the best reply gains; 0 exactly at an equilibrium.

    At τ = 0 it is max_y p(y ≻ π) − ½.  Source: E2, E6.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> round(float(exploitability(game, np.log([0.5, 0.5]), 0.0)), 12)
    0.1
    """
    tau = check_temperature(temperature)
    advantage = game.advantage(log_policy)
    if tau == 0:
        # max_y (Aπ)_y ≥ π·Aπ = 0 in exact arithmetic: what is below 0 is rounding
        return np.maximum(np.max(np.where(game.support, advantage, -np.inf), axis=-1), 0.0)
    return gap(advantage, game.log_reference, log_policy, tau)


def certify(game: PreferenceGame, log_policy: NDArray[np.float64], temperature: float) -> Certificate:
    """The float64 certificate: G(π) and the smaller of the bounds of E3 and N14, per prompt.

    At τ = 0 a small gap bounds no distance (E6b), so ``l1_bound`` is None there.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> round(float(certify(game, np.log([0.5498339973, 0.4501660027]), 1.0).l1_bound), 8)
    0.0
    """
    tau = check_temperature(temperature)
    if tau == 0:
        return Certificate(exploitability(game, log_policy, tau), None, "float", rigorous=False)
    advantage = game.advantage(log_policy)
    value = gap(advantage, game.log_reference, log_policy, tau)
    r = residual(advantage, game.log_reference, log_policy, tau)
    with np.errstate(invalid="ignore"):
        spread = oscillation(r, game.support)
    spread = np.where(np.isnan(spread), np.inf, spread)
    bound = np.minimum(2.0 * np.tanh(spread / 4.0), np.sqrt(2.0 * value / tau))
    return Certificate(value, np.minimum(bound, 2.0), "float", rigorous=False)


# -- ball arithmetic -------------------------------------------------------------------------------------------------


def certify_ball(game: PreferenceGame, log_policy: NDArray[np.float64], temperature: float) -> Certificate:
    """The same bounds as a proof: evaluated in 128-bit ball arithmetic on the stored numbers, rounded upwards.

    The policy judged is softmax(log_policy) of the float64 numbers given; the margins are the game's exact ones where
    it has them, its float64 ones otherwise; μ ∝ exp(game.log_reference).  One game (contextual games: one prompt at a
    time).  Cost n² ball operations.  Source: E3, N14, in ball arithmetic.
    """
    from flint import arb, arb_mat, ctx

    tau = check_temperature(temperature, positive=True)
    if game.batch:
        parts = [certify_ball(game.prompt(x), log_policy[x][game.support[x]], tau) for x in range(game.batch[0])]
        gaps, bounds = zip(*((p.exploitability, p.l1_bound) for p in parts), strict=True)
        return Certificate(np.array(gaps), np.array(bounds), "ball", rigorous=True)
    bits, ctx.prec = ctx.prec, BALL_BITS
    try:
        n = game.n
        log_pi = [arb(float(x)) for x in log_policy]
        mass = [x.exp() for x in log_pi]
        total = sum(mass, arb(0))
        pi = [x / total for x in mass]
        product = arb_mat(n, n, _balls(game)) * arb_mat(n, 1, pi)
        r = [log_pi[i] - arb(float(game.log_reference[i])) - product[i, 0] / arb(tau) for i in range(n)]
        spread = _upper(_largest(r) - _smallest(r))
        mean = sum((p * x for p, x in zip(pi, r, strict=True)), arb(0))
        tilt = sum((p * ((mean - x).exp()) for p, x in zip(pi, r, strict=True)), arb(0))
        divergence = max(_upper(tilt.log()), 0.0)
        value = _upper(arb(tau) * arb(divergence))
        by_gap = _upper((arb(2) * arb(divergence)).sqrt())
        by_residual = _upper(arb(2) * (arb(spread) / 4).tanh())
        return Certificate(value, min(by_gap, by_residual, 2.0), "ball", rigorous=True)
    finally:
        ctx.prec = bits


def enclose_lottery(game: PreferenceGame, log_policy: NDArray[np.float64]) -> Certificate | None:
    """Prove in ball arithmetic that the support of a policy is that of the only maximal lottery, and how near it is.

    Solves A_BB x = 0, Σx = 1 in balls on the policy's support B; if every weight is certainly positive and every slack
    off B certainly too, x is the unique equilibrium (E6) and ‖π − x‖₁ is bounded by the balls.  None: not proved.

    >>> rps = PreferenceGame.from_margins([[0, 0.3, -0.1], [-0.3, 0, 0.2], [0.1, -0.2, 0]])
    >>> enclose_lottery(rps, np.log([1 / 3, 1 / 6, 1 / 2])).l1_bound < 1e-15
    True
    """
    from flint import arb, arb_mat, ctx

    held = [int(i) for i in np.flatnonzero(np.isfinite(log_policy))]
    k, n = len(held), game.n
    bits, ctx.prec = ctx.prec, BALL_BITS
    try:
        whole = _balls(game)
        # a power of two, so that the border and the margins are of one size
        unit = arb(2) ** -int(np.frexp(np.max(np.abs(game.margins)))[1])
        entries = (
            [v for i in held for v in (*(whole[i * n + j] * unit for j in held), arb(1))] + [arb(1)] * k + [arb(0)]
        )
        try:
            x = arb_mat(k + 1, k + 1, entries).solve(arb_mat(k + 1, 1, [arb(0)] * k + [arb(1)]))
        except ZeroDivisionError:
            return None
        weights = [x[row, 0] for row in range(k)]
        outside = set(range(n)) - set(held)
        products = [sum((whole[i * n + j] * w for j, w in zip(held, weights, strict=True)), arb(0)) for i in outside]
        # the border's own unknown is 0 because xᵀA_BB x is, so A_BB x = 0 holds with it; k is odd or the solve failed
        if not (all(w > 0 for w in weights) and all(p < 0 for p in products)):
            return None
        mass = [arb(float(log_policy[i])).exp() for i in held]
        distance = sum((abs(m - w) for m, w in zip(mass, weights, strict=True)), arb(0))
        judged = [sum((whole[i * n + j] * m for j, m in zip(held, mass, strict=True)), arb(0)) for i in range(n)]
        return Certificate(max(_upper(_largest(judged)), 0.0), _upper(distance), "ball", rigorous=True)
    finally:
        ctx.prec = bits


def _balls(game: PreferenceGame) -> list[Any]:
    from flint import arb, fmpq

    if game.exact is not None:
        return [arb(fmpq(x.numerator, x.denominator)) for row in game.exact for x in row]
    return [arb(float(x)) for x in game.margins.ravel()]


def _upper(ball: Any) -> float:
    """A float64 that is certainly at least the ball."""
    top = ball.abs_upper() if ball > 0 else ball.upper()
    value = float(top.mid()) if top.is_exact() else float(top.upper().mid())
    return math.nextafter(value, math.inf)


def _largest(balls: Sequence[Any]) -> Any:
    best = balls[0]
    for ball in balls[1:]:
        best = best.max(ball)
    return best


def _smallest(balls: Sequence[Any]) -> Any:
    best = balls[0]
    for ball in balls[1:]:
        best = best.min(ball)
    return best


# -- rational arithmetic ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExactCheck:
    """The exact optimality conditions of a maximal lottery x: x ≥ 0, Σx = 1, Ax ≤ 0 (E6).

    valid    they all hold.
    slacks   −(Ax)_y for every response: 0 on the support, how much y loses against x elsewhere.
    strict   every slack off the support is positive.
    unique   strict, and the kernel of A on the support is one line: x is the only equilibrium (proved).
    """

    valid: bool
    slacks: tuple[Fraction, ...]
    strict: bool
    unique: bool


def check_lottery(margins: Sequence[Sequence[Fraction]], policy: Sequence[Fraction]) -> ExactCheck:
    """Judge a rational policy against rational margins, with no rounding anywhere.

    >>> third = Fraction(1, 3)
    >>> rps = [[Fraction(x) for x in row] for row in ([0, 1, -1], [-1, 0, 1], [1, -1, 0])]
    >>> check_lottery(rps, [third] * 3).unique
    True
    """
    from flint import fmpq, fmpq_mat

    if len(policy) != len(margins):
        raise BadInput(f"policy has {len(policy)} entries, must have {len(margins)} like the margins")
    n = len(policy)
    held = [i for i in range(n) if policy[i] > 0]
    a = fmpq_mat(
        n, len(held), [fmpq(margins[i][j].numerator, margins[i][j].denominator) for i in range(n) for j in held]
    )
    x = fmpq_mat(len(held), 1, [fmpq(policy[j].numerator, policy[j].denominator) for j in held])
    product = a * x
    slacks = tuple(-Fraction(int(product[i, 0].p), int(product[i, 0].q)) for i in range(n))
    valid = min(policy) >= 0 and sum(policy) == 1 and min(slacks) >= 0
    strict = all(slacks[i] > 0 for i in range(n) if policy[i] == 0)
    unique = False
    if valid and strict:
        square = fmpq_mat(len(held), len(held), [a[i, k] for i in held for k in range(len(held))])
        unique = square.rank() == len(held) - 1
    return ExactCheck(valid, slacks, strict, unique)

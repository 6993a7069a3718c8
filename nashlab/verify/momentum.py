"""Claims about momentum and Adam: N5, N6, N7, N30."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nashlab.algorithms import get as algorithm
from nashlab.claims import Cases, Observation, claim
from nashlab.gallery import get
from nashlab.rates import game_frequency, local_rate
from nashlab.solve import solve
from nashlab.verify import oracle


@claim(
    "N5",
    "heavy ball is stable iff (1 − aα/(1+m))² + (aω/(1−m))² < 1; averaged iff aω < 1 and u₋ < u < u₊, u = (1+m)/(1−m)",
    tolerance=1e-6,
    because="spectral radii at 1e-4 on either side of the predicted edge; printed radii have six decimals",
    twin="the condition without momentum's factors 1 ± m",
)
def n5(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N5")
    for k in range(max(50, cases.samples)):
        alpha, omega, step = (float(10 ** rng.uniform(-3, 0)) for _ in range(3))
        m = float(rng.uniform(-0.9, 0.95))
        if k % 2:  # near heavy ball's edge, where a wrong condition is visible
            real, imaginary = alpha / (1 + m), omega / (1 - m)
            step = 2 * real / (real**2 + imaginary**2) * float(np.exp(0.3 * rng.normal()))
        up, down = (1.0, 1.0) if twin else (1 + m, 1 - m)
        heavy = (1 - step * alpha / up) ** 2 + (step * omega / down) ** 2
        radius = oracle.momentum_radius(alpha, omega, step, m, averaged=False)
        wrong = abs(heavy - 1) > 1e-6 and abs(radius - 1) > 1e-9 and (heavy < 1) != (radius < 1)
        u, root = (1 + m) / (1 - m), np.sqrt(complex(1 - step**2 * omega**2)).real
        low, high = (alpha * (1 + s * root) / (step * omega**2) for s in (-1, 1))
        averaged = step * omega < 1 and low < u < high
        mean_radius = oracle.momentum_radius(alpha, omega, step, m, averaged=True)
        clear = min(abs(u / low - 1), abs(u / high - 1)) > 1e-6 and abs(mean_radius - 1) > 1e-9
        wrong = wrong or (clear and not twin and averaged != (mean_radius < 1))
        parameters = {"alpha": alpha, "omega": omega, "step": step, "momentum": m}
        yield Observation(1.0 if wrong else 0.0, lambda parameters=parameters: parameters)
    yield from _critical_momentum()


def _critical_momentum() -> Iterator[Observation]:
    """Rock, paper, scissors, uniform μ, τ = .1, a = 1, averaged momentum: m_c = .7556, on the field and linearised."""
    from scipy.optimize import brentq

    game, tau = get("rps"), 0.1
    # D at the uniform policy is I/3 on the tangent, so z = (τ ± iλ)/3
    frequency = float(game_frequency(game, game.log_reference)[0])
    alpha, omega = tau / 3, frequency / 3
    edge = brentq(lambda m: oracle.momentum_radius(alpha, omega, 1.0, m, averaged=True) - 1, 0.5, 0.9)
    yield Observation(max(0.0, abs(edge - 0.7556) - 5e-5), lambda: {"critical averaged momentum": edge})
    heavy = brentq(lambda m: oracle.momentum_radius(alpha, omega, 1.0, m, averaged=False) - 1, 0.3, 0.9)
    formula = (1 - alpha / (1 + heavy)) ** 2 + (omega / (1 - heavy)) ** 2
    yield Observation(abs(formula - 1), lambda: {"critical momentum of the heavy ball": heavy})
    for m, printed in ((0.7506, 0.999477), (0.7606, 1.000530)):
        radius = oracle.momentum_radius(alpha, omega, 1.0, m, averaged=True)
        yield Observation(max(0.0, abs(radius - printed) - 5e-7), lambda m=m, r=radius: {"m": m, "radius": r})
    # the real, nonlinear iteration near its fixed point grows or shrinks as predicted, on both sides of both edges
    for averaged, critical in ((True, edge), (False, heavy)):
        for m in (critical - 0.005, critical + 0.005):
            radius = oracle.momentum_radius(alpha, omega, 1.0, m, averaged=averaged)
            spec = algorithm(f"online-ipo+{'averaged-' if averaged else ''}momentum:{m}")
            rate = local_rate(spec, game, tau, step_size=1.0)
            assert rate is not None
            assert rate.measured is not None
            wrong = (rate.measured < 1) != (m < critical)
            off = max(abs(rate.predicted - radius), max(0.0, abs(rate.measured - radius) - 2e-6))
            yield Observation(
                1.0 if wrong else off,
                lambda m=m, g=rate.measured, averaged=averaged: {"m": m, "averaged": averaged, "measured growth": g},
            )
    # τ ≪ λ: β₁ = .9 shrinks the stable step about (1+β₁)/(1−β₁) = 19-fold
    alpha = 1e-4 * omega
    plain, slow = (
        brentq(lambda a: oracle.momentum_radius(alpha, omega, a, m, averaged=True) - 1, 1e-8, 0.5)  # noqa: B023
        for m in (0.0, 0.9)
    )
    yield Observation(max(0.0, abs(plain / slow - 19) - 0.01), lambda: {"stable steps": [plain, slow]})


@claim(
    "N6",
    "in the OMD geometry r* = λ/(τ+√(τ²+λ²)), momentum m = −r*², step (1−r*²)/τ give local rate r*, "
    "best of all steps and momenta",
    tolerance=1e-6,
    because="a double root: spectral radii and measured slopes are right to the root of rounding",
    twin="the positive momentum m = +r*²",
)
def n6(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N6")
    steps, momenta = np.geomspace(0.03, 30, 61), np.linspace(-0.98, 0.98, 50)
    for _ in range(max(10, cases.samples // 8)):
        tau, frequency = float(10 ** rng.uniform(-2, 0)), float(rng.uniform(0.01, 1 / np.pi))
        best = frequency / (tau + np.sqrt(tau**2 + frequency**2))
        m, step = (1 if twin else -1) * best**2, (1 - best**2) / tau
        off = abs(float(oracle.segment_rate(tau, frequency, step, m)) - best)
        # no (step, momentum) on a grid does better
        rivals = oracle.segment_rate(tau, frequency, steps[:, None] / tau, momenta[None, :])
        beaten = best - float(np.min(rivals))
        yield Observation(max(off, beaten, 0.0), lambda tau=tau, f=frequency: {"τ": tau, "λ": f})
    for ratio in (0.4, 1.0):
        # nor does any polynomial: the least residual of degree k falls by r* per degree
        best = 1 / (ratio + np.sqrt(ratio**2 + 1))
        floor = oracle.least_residual(ratio, 1.0, 16)
        fall = np.sqrt(floor[-1] / floor[-3])
        yield Observation(max(0.0, abs(fall - best) - 1e-4), lambda r=ratio, f=fall: {"τ/λ": r, "least fall": f})
    yield _best_momentum_on_a_game(rng, twin)


def _best_momentum_on_a_game(rng: np.random.Generator, twin: bool) -> Observation:
    """Parameter-free on a real game: λ = 1/π gives the rate e^{−arcsinh(πτ)}."""
    game, tau = get("circulant-41"), 0.1
    best = float(np.exp(-np.arcsinh(np.pi * tau)))
    log_mu = game.log_reference
    start = oracle.log_softmax(log_mu + 1e-3 * rng.normal(size=game.n))
    spec = algorithm(f"online-ipo-entropic+momentum:{(1 if twin else -1) * best**2}")
    run = solve(spec, game, tau, step_size=(1 - best**2) / tau, steps=70, start=start)
    sizes = run.history["distance"][1:]
    # all roots on the segment have modulus r*; windows of ten, because they rotate
    slope = (max(sizes[60:]) / max(sizes[20:30])) ** (1 / 40)
    describe = {"game": game.name, "measured": slope, "r*": best}
    return Observation(max(0.0, abs(slope - best) - 0.01), lambda: describe)


@claim(
    "N7",
    "Adam on uniform rock, paper, scissors settles on a circle of radius lr·√3(ω²u + α²/u)/(2α|z|), u = (1+β₁)/(1−β₁)",
    tolerance=0.03,
    because="relative: the derivation is heuristic and linear, and the largest circle has radius .09",
    twin="the formula without momentum, u = 1",
)
def n7(cases: Cases, twin: bool) -> Iterator[Observation]:
    tau, rate = 0.1, 1e-3
    momentum = np.array([0.0, 0.5, 0.9, 0.95])
    alpha, omega = tau / 3, np.sqrt(3) / 18
    u = np.ones(4) if twin else (1 + momentum) / (1 - momentum)
    predicted = rate * np.sqrt(3) * (omega**2 * u + alpha**2 / u) / (2 * alpha * np.hypot(alpha, omega))
    game = get("rps")
    radius, farthest = np.empty(4), np.empty(4)
    for k, m in enumerate(momentum):
        start = oracle.log_softmax(predicted[k] * np.array([1.0, -0.5, -0.5]))
        spec = algorithm(f"online-ipo+adam:{m:g}")
        run = solve(spec, game, tau, step_size=rate, steps=20_000, every=10, start=start, keep_path=True)
        theta = run.history["log_policy"][1500:]
        theta = theta - theta.mean(axis=1, keepdims=True)
        radius[k] = np.sqrt(np.mean(np.sum(theta**2, axis=1)))
        farthest[k] = np.max(run.history["distance"][1500:])
    # θ on a circle of radius R has π within 4R/(3√6) of uniform in ℓ₁: the printed numbers
    for k, m in enumerate(momentum):
        known = (predicted[k], 4 / (3 * np.sqrt(6)) * predicted[k])
        seen = (radius[k], farthest[k])

        def describe(m: float = float(m), known: Any = known, seen: Any = seen) -> dict[str, Any]:
            names = ("radius of θ", "largest ℓ₁ distance of π")
            return {
                "β₁": m,
                **{
                    n: {"predicted": float(p), "measured": float(v)} for n, p, v in zip(names, known, seen, strict=True)
                },
            }

        off = max(abs(v / p - 1) for p, v in zip(known, seen, strict=True))
        yield Observation(off, describe, witness=bool(m == 0.9))
    if not twin:
        printed = np.array([0.00144, 0.00391, 0.0244, 0.0501])
        known_distance = 4 / (3 * np.sqrt(6)) * predicted
        yield Observation(float(np.max(np.abs(known_distance / printed - 1))), lambda: {"printed": printed.tolist()})


@claim(
    "N30",
    "derived by averaging to first order in 1−β₂, not proved: about N7's circle log ρ², log v move as s² + "
    "(1−c)(1−β₂)s + (1−β₂)a_ck = 0, k = d log|ζ|/da, a_c where |ζ| = 1: rings of period 2π/√((1−β₂)a_ck) that decay "
    "in 2/((1−c)(1−β₂)) steps; c = −¼ without momentum; the radius is short by the share −κ(1−β₂)/(2a_ck), κ the part "
    "of c from the ripple of v",
    tolerance=0.02,
    because="relative, the share to a tenth: first order in 1−β₂ = 1e-3 over frequencies of .03 to .6, a kick of 2 %",
    twin="c = 0, the decay in 2/(1−β₂) steps",
)
def n30(cases: Cases, twin: bool) -> Iterator[Observation]:
    settings = ((0.1, 0.0), (0.1, 0.5), (0.1, 0.9), (0.3, 0.9))
    predicted = [_rings(tau, momentum) for tau, momentum in settings]
    seen = _adam_orbits(np.array(settings), predicted)
    for (tau, momentum), known, log_square in zip(settings, predicted, seen, strict=True):
        decay, period, radius = _ringing(log_square, known["decay"], known["period"])
        told = 2000.0 if twin else known["decay"]
        # the radius is short by parts in a thousand: the share itself is compared, to a tenth
        short = abs((1 - radius / known["radius"]) / known["shortfall"] - 1) / 5
        off = max(abs(decay / told - 1), abs(period / known["period"] - 1), short)
        row = {"τ": tau, "β₁": momentum, "decay": [told, decay], "period": [known["period"], period]}
        yield Observation(off, lambda row=row: row, witness=momentum == 0)


def _rings(tau: float, momentum: float, second: float = 0.999) -> dict[str, Any]:
    """The circle's radius over lr, its shortfall, the rings' decay and period, and m/θ; exact gradients, ε → 0."""
    z = complex(tau / 3, np.sqrt(3) / 18)
    u = (1 + momentum) / (1 - momentum)
    spread = z.imag**2 * u + z.real**2 / u
    critical = 2 * z.real / spread

    def multiplier(a: float) -> complex:
        roots = np.roots([1, -(1 + momentum - (1 - momentum) * a * z), momentum])
        return complex(roots[np.argmax(np.abs(roots))])

    zeta, width = multiplier(critical), 1e-6
    slope = (multiplier(critical + width) - multiplier(critical - width)) / (2 * width)
    growth = (slope / zeta).real
    # v has a ripple at twice the orbit's frequency, which beats with the momentum and pulls inwards
    ripple = 1 / (1 - np.exp(-2j * np.angle(zeta)))
    inner = 1 - (1 - zeta) * (momentum / zeta**2) / (1 - momentum / zeta)
    kappa = 0.5 * (ripple * (z / z.conjugate()) * (1 - zeta.conjugate()) / (zeta * inner)).real
    # and a mode's shape follows a slowly moving step size
    drift = -critical * momentum * (((1 - 1 / zeta) / critical - slope / zeta**2) / (zeta - momentum / zeta)).real
    small, c = 1 - second, kappa + drift
    s = np.roots([1, small * (1 - c), small * critical * growth])[0]
    return {
        "velocity": (1 - momentum) * z / (zeta - momentum),
        "radius": float(np.sqrt(3) * spread / (2 * z.real * abs(z))),
        "shortfall": float(-kappa * small / (2 * critical * growth)),
        "decay": float(-1 / s.real),
        "period": float(2 * np.pi / abs(s.imag)),
    }


def _adam_orbits(
    settings: oracle.Array, circles: list[dict[str, Any]], rate: float = 1e-4, second: float = 0.999
) -> oracle.Array:
    """log |θ|² of Adam on uniform rock, paper, scissors, from 2 % outside the circle; [settings, steps]."""
    tau, momentum = settings.T[:, :, None]
    margins = np.array([[0, 0.5, -0.5], [-0.5, 0, 0.5], [0.5, -0.5, 0]])
    plane = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / np.sqrt([[2.0], [6.0]])  # where g = −zθ for θ = x + iy
    size = rate * np.array([c["radius"] for c in circles])[:, None]
    theta, turned = 1.02 * size * plane[0], np.array([c["velocity"] for c in circles])[:, None]
    velocity = -1.02 * size * (turned.real * plane[0] + turned.imag * plane[1])
    square = np.broadcast_to(size**2 * np.abs(tau / 3 + 1j * np.sqrt(3) / 18) ** 2 / 3, theta.shape)
    seen = []
    for _ in range(8000):
        log_pi = oracle.log_softmax(theta)
        pi = np.exp(log_pi)
        push = pi @ margins.T - tau * (log_pi + np.log(3))
        g = pi * (push - np.sum(pi * push, axis=1, keepdims=True))
        velocity = momentum * velocity + (1 - momentum) * g
        square = second * square + (1 - second) * g * g
        theta = theta + rate * velocity / np.sqrt(square)
        seen.append(np.log(np.sum((theta - theta.mean(axis=1, keepdims=True)) ** 2, axis=1)) - 2 * np.log(rate))
    return np.asarray(seen).T


def _ringing(log_square: oracle.Array, decay: float, period: float) -> tuple[float, float, float]:
    """(decay, period, radius) of a damped wave fitted to log ρ² after the first half period."""
    from scipy.optimize import least_squares

    t = np.arange(log_square.size)[int(0.5 * period) :: 5]
    y = log_square[t]

    def defect(x: oracle.Array) -> oracle.Array:
        phase = 2 * np.pi * t / (period * x[1])
        wave = np.exp(-t / (decay * x[0])) * (x[3] * np.cos(phase) + x[4] * np.sin(phase))
        return np.asarray(x[2] + wave - y)

    x = least_squares(defect, [1.0, 1.0, y[-1], 0.02, 0.01], x_scale=[0.1, 0.1, 0.01, 0.01, 0.01]).x
    return float(decay * x[0]), float(period * x[1]), float(np.exp(x[2] / 2))

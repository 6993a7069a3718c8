"""Offline: the population optimum on two responses, as a function of the preference p between them.

Both responses are drawn from a uniform reference and labelled with p.  The policy is one number, its gap of log-ratios
d = h(1) − h(2), with π = (σ(d), σ(−d)):

    d*(p) = argmin_d  Σ_ij ¼ [P_ij ℓ(i ≻ j) + P_ji ℓ(j ≻ i)],     P_12 = p

For a loss of the gap alone this is argmin_d p ℓ(d) + (1−p) ℓ(−d), for every reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import sigmoid, softplus
from nashlab.check.fields import Judged
from nashlab.check.forms import Form, pairs_of

__all__ = ["GRID", "Curve", "Minima", "offline"]

Array = NDArray[np.float64]

GRID = tuple(round(0.05 * k, 2) for k in range(1, 20))  # preferences at which the optimum is computed
REPORTED = tuple(round(0.1 * k, 1) for k in range(1, 10))
REACH = 40.0  # of τ|d|: the end of the scan (logit of 1 − 4e-18); an optimum there is at infinity,
FARTHER = 2.0 ** np.arange(1, 25)  # unless the slope, not faded there, turns at one of these times the end
INSIDE = 10.0  # of τ|d|: up to here the function must be finite
POINTS = 320  # of the scan, on each side of 0
FLAT = 1e-7  # of the risk, relative to its spread near 0: an end as low as the minimum
AS_LOW = 1e-9  # the same for two refined minima
STEEP = 1e-9  # of the steepest slope near 0: counts as flat
CANCELS = 1e-8  # relative: differences are accurate to 1e-9
FADED = 1e3  # times that: between the two a slope that fades is followed,
FADING = 0.03  # over so much of the gap: a hinge to the fourth power less, e^(−e^d) .04
NARROW = 1e-4  # of τd: a set of minimisers that counts as a point,
EDGE, RISES = 0.05, 0.1  # and so does one whose slope, so near its ends, is so much of "flat" (d⁴, not a dead zone)
ROUNDING = 1e-9  # of τd: counts as 0
LAW = 1e-4  # relative: accuracy of the exponent of τ
ROUNDS, COARSE = 40, 12  # of bisection: 1e-12 and 2e-4 of a bracket


@dataclass(frozen=True)
class Minima:
    """The minimisers of the risk at one p: an interval, a point, or several points.

    low, high  the ends of the set of minimisers nearest to 0; ±inf if the risk keeps falling.
    several    whether there are other minimisers as well.
    falls      whether the risk is unbounded below.
    """

    low: float
    high: float
    several: bool
    falls: bool

    @property
    def best(self) -> float:
        """The minimiser nearest to 0 (of two equally near, the positive one); ±inf if there is none."""
        return float(min(max(0.0, self.low), self.high))


class Curve:
    """d*(p) for the preferences of the grid and for 0 and 1."""

    def __init__(self, loss: Judged, tau: float):
        self.loss, self.tau = loss, tau
        self.preferences = np.array([0.0, *GRID, 1.0])
        self.remark: str | None = None
        self.scan = _scanned(REACH / tau, tau)
        self.cancels = self._cancels()
        self.risks, self.slopes = self._on_the_scan()
        if farther := self._turns():
            self.scan = _scanned(2 * farther, tau)
            self.risks, self.slopes = self._on_the_scan()
        if loss.form.held:
            self.risks = self._integrated()
        outside = [self._at_infinity(k) for k in range(len(self.preferences))]
        brackets = [(k, i, j) for k, out in enumerate(outside) if out is None for i, j in self._basins(k)]
        polished = self._polished(brackets)
        self.found = [
            out or self._chosen(k, [ends for (owner, *_), ends in zip(brackets, polished, strict=True) if owner == k])
            for k, out in enumerate(outside)
        ]

    def _on_the_scan(self) -> tuple[Array, Array]:
        """The risk and its slope for every preference and every gap of the scan."""
        risks, slopes = self._risk(*self._all(self.scan), tails=True)
        shape = (len(self.preferences), len(self.scan))
        return self._finite(risks.reshape(shape), slopes.reshape(shape))

    def _turns(self) -> float:
        """The largest gap beyond the scan by which a risk that still falls at its end rises again; 0 if none does: for
        functions that do not depend on τ, or on its square."""
        level, found = self._flat(), 0.0
        for side, end in ((-1, 0), (1, -1)):
            falling = self.preferences[(-side * self.slopes[:, end] > level) & self.known[:, end]]
            if falling.size:
                gaps = side * FARTHER * np.abs(self.scan[end])
                p, d = (x.ravel() for x in np.meshgrid(falling, gaps, indexing="ij"))
                rises = np.reshape(side * self._risk(d, p, tails=True)[1] > level, (len(falling), len(gaps)))
                turns = np.argmax(rises[rises.any(axis=1)], axis=1)
                found = max(found, *np.abs(gaps[turns]), 0.0)
        return float(found)

    def _integrated(self) -> Array:
        """The risk with this slope, for losses whose own risk would also move a fixed policy."""
        slopes = np.where(np.abs(self.slopes) <= self._flat(), 0.0, self.slopes)
        parts = 0.5 * (slopes[:, 1:] + slopes[:, :-1]) * np.diff(self.scan)
        return np.concatenate([np.zeros((len(self.slopes), 1)), np.cumsum(parts, axis=1)], axis=1)

    def law(self) -> int | None:
        """The k in d*(p; τ) ∝ τ^−k, from a second temperature 2τ; None if d* is not such a power."""
        points = [(p, m.best) for p, m in zip(self.preferences, self.found, strict=True) if 0.5 < p < 1]
        points = [(p, d) for p, d in points if np.isfinite(d) and abs(d) * self.tau > STILL]
        if not points:
            return None
        p, d = (np.array(x) for x in zip(*points, strict=True))
        for k in (1, 0, 2):
            there = d / 2.0**k
            left, right = (self._risk(there * (1 + e), p, tau=2 * self.tau)[1] for e in (-LAW, LAW))
            if np.all(left <= 0) and np.all(right >= 0) and np.any(left < 0) and np.any(right > 0):
                return k
        return None

    def at(self, p: float) -> Minima:
        """The minimisers at a preference of the grid."""
        return self.found[int(np.argmin(np.abs(self.preferences - p)))]

    def _all(self, gaps: Array) -> tuple[Array, Array]:
        """Every preference with every gap, flattened."""
        p, d = np.meshgrid(self.preferences, gaps, indexing="ij")
        return d.ravel(), p.ravel()

    def _risk(self, d: Array, p: Array, *, tails: bool = False, tau: float | None = None) -> tuple[Array, Array]:
        """The risk at gap d and preference p, and its derivative by d, elementwise."""
        form: Form = self.loss.form
        gaps, inverse = (np.unique(d, return_inverse=True)) if not form.soft else (d, np.arange(len(d)))
        one, two = -softplus(-gaps), -softplus(gaps)
        half, n = np.full(len(gaps), -np.log(2.0)), len(gaps)
        sides = ((one, two), (two, one), (one, one), (two, two))
        q = (p, 1 - p, np.full_like(p, 0.5), np.full_like(p, 0.5)) if form.soft else (1.0,) * 4
        blocks = [pairs_of(side, (half, half), p=q[k]) for k, side in enumerate(sides)]
        found = self.loss(
            {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}, tau or self.tau, tails=tails
        )
        moves = {0: sigmoid(-gaps), 1: -sigmoid(gaps)}  # dlog π/dd of either response
        risk, slope = np.zeros(len(d)), np.zeros(len(d))
        members = ((0, 1), (1, 0), (0, 0), (1, 1))
        weights = (0.25,) * 4 if form.soft else (0.5 * p, 0.5 * (1 - p), 0.25, 0.25)
        with np.errstate(invalid="ignore", over="ignore"):
            for k, (first, second) in enumerate(members):
                part = slice(k * n, (k + 1) * n)
                own = found.chosen[part] * moves[first] + found.rejected[part] * moves[second]
                if first == second and self.cancels:
                    own = np.zeros_like(own)  # the rest is rounding of differences
                risk = risk + np.where(weights[k] == 0, 0.0, weights[k] * found.value[part][inverse])
                slope = slope + np.where(weights[k] == 0, 0.0, weights[k] * own[inverse])
        return risk, slope

    def _cancels(self) -> bool:
        """Whether a response paired with itself has no gradient, tested where differences are smooth."""
        own = -softplus(-self.scan[np.abs(self.scan) <= min(4.0, 2.0 / self.tau)])
        half = np.full(len(own), -np.log(2.0))
        chosen, rejected = self.loss.slopes(pairs_of((own, own), (half, half), p=0.5 if self.loss.form.soft else 1.0),
                                            self.tau)  # fmt: skip
        return bool(np.all(np.abs(chosen + rejected) <= CANCELS * np.abs(chosen)))

    def _finite(self, risks: Array, slopes: Array) -> tuple[Array, Array]:
        """Overflow far out counts as infinite risk, with a remark; inside, it is the function's fault."""
        bad = ~(np.isfinite(risks) & np.isfinite(slopes))
        self.known = ~bad
        if bad.any():
            k, i = (int(x) for x in min(np.argwhere(bad), key=lambda at: abs(self.scan[at[1]])))
            if self.tau * abs(self.scan[i]) <= INSIDE:
                self._risk(self.scan[[i]], self.preferences[[k]])  # raises with the input
            self.remark = f"its value or derivative is not finite from a gap of {self.scan[i]:.3g} on"
            outward = np.sign(self.scan)[None, :]
            risks, slopes = np.where(bad, np.inf, risks), np.where(bad, outward, slopes)
        return risks, slopes

    def _at_infinity(self, k: int) -> Minima | None:
        """The result if the risk is lowest at an end of the scan: no optimum, or one beyond the scan."""
        risk, d = self.risks[k], self.scan
        scale = self._scale(k, self._near)
        lowest = float(np.min(risk[np.abs(d) * self.tau <= REACH / 2]))
        known = np.flatnonzero(self.known[k])
        ends = {-1: known[0], 1: known[-1]}
        sides = [side for side, end in ends.items() if risk[end] <= lowest + FLAT * scale]
        outward = [side for side in sides if self._falls_on(k, side, self._flat())]
        if not outward:
            return None
        end = ends[outward[-1]]
        return Minima(outward[-1] * np.inf, outward[-1] * np.inf, len(outward) > 1, bool(risk[end] < lowest - scale))

    def _falls_on(self, k: int, side: int, level: float) -> bool:
        """Whether the risk falls towards this end for ever: its slope fades instead of reaching 0 at a point (as
        hinges of all powers do)."""
        outer = np.flatnonzero((side * self.scan > 0) & self.known[k])[::side]
        fall = -side * self.slopes[k, outer]
        seen = np.flatnonzero(np.abs(fall) > level)
        if not seen.size or fall[last := int(seen[-1])] < 0:
            return False
        if last == len(fall) - 1:
            return True
        steep = max(last - 1, 0)
        while steep > 0 and level < fall[steep] <= FADED * level:
            steep -= 1
        ends = np.sort(np.repeat(self.scan[outer[[steep, last + 1]]], 2)).reshape(2, 2)
        p = np.full(2, self.preferences[k])
        at = np.abs(self._crossing(p, ends[0], ends[1], -side * level * np.array([FADED, 1.0]), rounds=COARSE))
        return bool(at[1] - at[0] > FADING * at[1])

    @property
    def _moderate(self) -> NDArray[np.bool_]:
        """The gaps of the scan that are moderate for a function of τd."""
        return np.abs(self.scan) * self.tau <= 2.0

    @property
    def _near(self) -> NDArray[np.bool_]:
        """The gaps that are moderate for a function of d as well (e^d in f-DPO); more if nothing moves there."""
        near = self._moderate & (np.abs(self.scan) <= 2.0)
        return near if np.any(self.slopes[:, near]) else self._moderate

    def _flat(self) -> float:
        """The slope that counts as flat."""
        return STEEP * float(np.max(np.abs(self.slopes[:, self._near])))

    def _scale(self, k: int, gaps: NDArray[np.bool_]) -> float:
        """How much the risk varies over these gaps."""
        spread = np.ptp(self.risks[:, gaps], axis=1)
        return max(float(spread[k]), 1e-6 * float(np.max(spread))) or 1.0

    def _basins(self, k: int) -> list[tuple[int, int]]:
        """Brackets of the scan, by index, around each local minimum that may be the lowest."""
        risk, n = self.risks[k], len(self.scan)
        scale = self._scale(k, self._moderate)
        level = float(np.min(risk)) + 1e-3 * scale
        rounding = max(1e-12 * scale, 4 * np.finfo(float).eps * float(np.abs(risk[self._near]).max()))
        padded = np.concatenate([[np.inf], risk, [np.inf]]) + rounding
        lowest = (risk <= level) & (risk <= padded[:-2]) & (risk <= padded[2:])
        groups: list[list[int]] = []
        for i in np.flatnonzero(lowest):
            if groups and i - groups[-1][1] <= 1:
                groups[-1][1] = int(i)
            else:
                groups.append([int(i), int(i)])
        return [(max(a - 1, 0), min(b + 1, n - 1)) for a, b in groups]

    def _polished(self, brackets: list[tuple[int, int, int]]) -> list[tuple[float, float, float]]:
        """The ends of the set of minimisers in each bracket (k, i, j), and the risk in its middle."""
        if not brackets:
            return []
        k, i, j = (np.array(x) for x in zip(*brackets, strict=True))
        level = np.full(len(k), self._flat())
        p = self.preferences[k]
        low, high = (self._crossing(p, self.scan[i], self.scan[j], sign * level) for sign in (-1.0, 1.0))
        low, high = np.minimum(low, high), np.maximum(low, high)
        point = (high - low <= NARROW / self.tau) | self._rises(p, low, high, level)
        centre = 0.5 * (low + high)
        centre = np.where(np.abs(centre) * self.tau < ROUNDING, 0.0, centre)
        low, high = np.where(point, centre, low), np.where(point, centre, high)
        end = self.scan[-1] * (1 - NARROW)
        beyond = [np.where(low < -end, -np.inf, low), np.where(high > end, np.inf, high)]
        if self.loss.form.held:
            risks = np.array([np.interp(x, self.scan, self.risks[own]) for x, own in zip(centre, k, strict=True)])
        else:
            risks = np.fmin.reduce([self._risk(x, p, tails=True)[0] for x in (low, centre, high)])
            risks = np.where(np.isnan(risks), np.inf, risks)
        return list(zip(*(x.tolist() for x in beyond), risks.tolist(), strict=True))

    def _rises(self, p: Array, low: Array, high: Array, level: Array) -> NDArray[np.bool_]:
        """Whether the slope changes sign all the way between two gaps, instead of being 0 there."""
        near = (low + EDGE * (high - low), high - EDGE * (high - low))
        left, right = (self._risk(d, p, tails=True)[1] for d in near)
        return (left < -RISES * level) & (right > RISES * level)

    def _crossing(self, p: Array, low: Array, high: Array, level: Array, rounds: int = ROUNDS) -> Array:
        """Where the slope first exceeds the level, by bisection of all brackets at once."""
        for _ in range(rounds):
            middle = 0.5 * (low + high)
            above = self._risk(middle, p, tails=True)[1] > level
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return 0.5 * (low + high)

    def _chosen(self, k: int, polished: list[tuple[float, float, float]]) -> Minima:
        """The lowest local minimum; among equally low ones, the nearest to 0."""
        best = min(risk for *_, risk in polished)
        kept = [(low, high) for low, high, risk in polished if risk <= best + AS_LOW * self._scale(k, self._near)]
        low, high = min(kept, key=lambda ends: (abs(min(max(0.0, ends[0]), ends[1])), -ends[0]))
        return Minima(low, high, high > low or len(kept) > 1, falls=False)


def _scanned(reach: float, tau: float) -> Array:
    """Gaps of both signs up to ``reach``: dense where τd is small, wide outside."""
    t = np.linspace(0.0, 1.0, POINTS + 1)[1:]
    side = np.sinh(t * np.arcsinh(40 * tau * reach)) / 40 / tau
    return np.concatenate([-side[::-1], [0.0], side])


def offline(found: Curve) -> dict[str, Any]:
    """A summary of the curve: the optimum at nine preferences, boundedness, ties, dead zones, monotonicity."""
    best = {p: found.at(p).best for p in GRID}
    certain, impossible = found.at(1.0), found.at(0.0)
    half = found.at(0.5)
    values = np.array([best[p] for p in GRID])
    with np.errstate(invalid="ignore"):
        moves = np.where(values[1:] == values[:-1], 0.0, np.diff(values) * found.tau)
    return {
        "optimum": {f"{p:g}": best[p] if np.isfinite(best[p]) else None for p in REPORTED},
        "bounded": bool(np.all(np.isfinite([*values, certain.best, impossible.best]))),
        "bounded_below": not any(m.falls for m in found.found),
        "at_certainty": certain.best if np.isfinite(certain.best) else None,
        "unique_at_half": not half.several and bool(np.isfinite(half.low)),
        "tie": half.best if np.isfinite(half.best) else None,
        "minimisers_at_half": [x if np.isfinite(x) else None for x in (half.low, half.high)],
        "monotone": _monotone(moves),
        "dead_zones": _dead_zones(np.where(np.isfinite(values[1:]), moves, np.inf)),
        "remark": found.remark,
    }


STILL = 1e-6  # of τ d*: a smaller change between two preferences counts as none


def _monotone(moves: Array) -> str:
    if np.all(moves > STILL):
        return "strictly"
    return "weakly" if np.all(moves > -STILL) else "no"


def _dead_zones(moves: Array) -> list[list[float]]:
    """Ranges of p in which the optimum is constant."""
    zones: list[list[float]] = []
    for i in np.flatnonzero(np.abs(moves) <= STILL):
        if zones and zones[-1][1] == GRID[i]:
            zones[-1][1] = GRID[i + 1]
        else:
            zones.append([GRID[i], GRID[i + 1]])
    return zones

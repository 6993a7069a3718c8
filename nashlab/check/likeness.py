"""The named losses that a loss equals, up to a factor that a learning rate absorbs, and at which temperature.

Two losses are compared by their expected derivatives on the same pairs, with unequal lengths, different anchors,
log-ratios of both signs, and preferences that are certain or not: loss values may differ by a constant, derivatives by
a factor, and a loss of hard labels can equal one of p.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.check.deviations import miss
from nashlab.check.evaluation import Loss, loss_of
from nashlab.check.fields import Judged
from nashlab.check.forms import Pairs, Spec, exchanged, form_of, pairs_of

__all__ = ["Likeness", "expected", "fingerprint", "likeness", "named", "probes"]

Array = NDArray[np.float64]

EQUAL = 1e-6  # relative
NEAR = 0.2  # relative: a nearest loss further off is not reported
WIDEST = 8.0  # times τ, and its inverse: the range of other temperatures
PROBES = 24
SHAPE = 0.3  # of the gradient, at the nearest temperature of the grid: beyond, no temperature in between makes it equal


@cache
def named(name: str) -> Loss | None:
    """A named loss, evaluated in this process; None for a loss of whole batches."""
    from nashlab.check.losses import NAMED

    loss = loss_of(NAMED[name], form_of(NAMED[name], name), 0.5)
    return None if loss.reduction == "coupled" else loss


@cache
def probes(tau: float) -> dict[str, Array]:
    """The pairs on which losses are compared: the first of every other is preferred for certain, lengths 1 to 5, τd
    mostly within ±3."""
    rng = np.random.default_rng(5)
    draws = max(1.0, 0.75 / tau) * rng.normal(-2.5, 0.8, (6, PROBES))
    length = rng.integers(1, 6, (2, PROBES)).astype(float)
    policy, reference, previous = (tuple(np.minimum(draws[k : k + 2], -0.05)) for k in (0, 2, 4))
    p = np.where(np.arange(PROBES) % 2, rng.uniform(size=PROBES), 1.0)
    return pairs_of(policy, reference, p=p, previous=previous, length=tuple(length))


def expected(slopes: Callable[[Pairs], tuple[Array, Array]], pairs: Pairs, *, soft: bool) -> Array:
    """Both derivatives on pairs in either order, averaged over the label if the loss sees one, [2 · pairs]."""
    turned = exchanged(pairs)
    (first, second), (second_turned, first_turned) = slopes(pairs), slopes(turned)
    p, q = (0.5, 0.5) if soft else (pairs["p"], turned["p"])
    return np.concatenate([p * first + q * first_turned, p * second + q * second_turned])


def fingerprint(loss: Judged, tau: float, pairs: Pairs) -> Array:
    """The loss's expected derivatives on pairs, [2 · pairs]."""
    return expected(lambda some: loss.slopes(some, tau), pairs, soft=loss.form.soft)


@cache
def named_fingerprint(name: str, factor: float, tau: float) -> Array:
    """The fingerprint of a named loss at ``factor`` · τ, on the pairs of τ; cached for many verdicts."""
    loss = named(name)
    assert loss is not None
    return fingerprint(loss, factor * tau, probes(tau))


class Likeness(NamedTuple):
    """equal: names at the same τ; elsewhere: name -> the multiple of τ; swapped: names of losses that take the other
    response for the preferred one; nearest: a name and its distance."""

    equal: list[str]
    elsewhere: dict[str, float]
    swapped: list[str]
    nearest: tuple[str, float] | None


def likeness(loss: Judged, tau: float, spec: Spec) -> Likeness:
    """The named losses that this one equals at its own or another temperature; if none, the nearest."""
    from nashlab.check.losses import NAMED

    own = fingerprint(loss, tau, probes(tau))
    equal, elsewhere, misses = [], {}, {}
    for name in NAMED:
        other = named(name)
        if other is None or other.form.spec.behaviour not in (None, spec.behaviour):
            continue
        misses[name] = miss(own, named_fingerprint(name, 1.0, tau))
        if misses[name] <= EQUAL:
            equal.append(name)
        elif _of_gaps(own) == _of_gaps(named_fingerprint(name, 1.0, tau)):
            factor, there = _other_temperature(own, name, tau)
            if there <= EQUAL:
                elsewhere[name] = factor
    turned = fingerprint(loss, tau, probes(tau) | {"p": 1 - probes(tau)["p"]})
    swapped = [name for name in misses if miss(turned, named_fingerprint(name, 1.0, tau)) <= EQUAL]
    closest = min(misses, key=lambda name: misses[name])
    near = None if equal or elsewhere or swapped or misses[closest] > NEAR else (closest, misses[closest])
    return Likeness(equal, elsewhere, swapped, near)


def _of_gaps(fingerprint: Array) -> bool:
    """Whether both responses are pulled equally, which no temperature changes."""
    chosen, rejected = np.split(fingerprint, 2)
    return bool(np.max(np.abs(chosen + rejected)) <= 10 * EQUAL * np.max(np.abs(chosen)))


def _other_temperature(own: Array, name: str, tau: float) -> tuple[float, float]:
    """The multiple of τ at which the named loss is nearest, and its distance there."""
    from scipy.optimize import minimize_scalar

    other = named(name)
    assert other is not None
    grid = np.log(WIDEST) * np.linspace(-1, 1, 13)
    coarse = [miss(own, named_fingerprint(name, float(np.exp(x)), tau)) for x in grid]
    k = int(np.argmin(coarse))
    if coarse[k] > SHAPE:
        return float(np.exp(grid[k])), coarse[k]

    def off(log_factor: float) -> float:
        return miss(own, fingerprint(other, tau * float(np.exp(log_factor)), probes(tau)))

    between = (grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)])
    best = minimize_scalar(off, bounds=between, method="bounded", options={"xatol": 1e-9})
    return float(np.exp(best.x)), float(best.fun)

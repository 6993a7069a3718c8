"""Known deviations: what losses have been found to compute under a name, as changes to the named loss.

A deviation maps a target to another loss and may have one parameter, which is fitted, besides a change of temperature.
A loss is recognised if its derivatives are those of a deviation, up to a positive factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.check.evaluation import Loss
from nashlab.check.forms import Pairs, exchanged

__all__ = ["DEVIATIONS", "Deviation", "Found", "miss", "recognised"]

Array = NDArray[np.float64]
Slopes = tuple[Array, Array]

RECOGNISED = 1e-5  # of the gradient
GRID = 17  # values of a parameter tried before the best is refined


@dataclass(frozen=True)
class Deviation:
    """words: its description, with {:.4g} for the parameter; slopes: its derivatives on pairs by log π of both
    responses; between: the range of the parameter."""

    words: str
    slopes: Callable[[Loss, Pairs, float, float], Slopes]
    between: tuple[float, float] | None = None


class Found(NamedTuple):
    """The deviation in words, and the relative part of the gradient that it leaves unexplained."""

    words: str
    rest: float


def _named(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    return loss.slopes(pairs, tau)


def _swapped(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    chosen, rejected = loss.slopes(exchanged(pairs) | {"p": pairs["p"]}, tau)
    return rejected, chosen


def _smoothed(loss: Loss, pairs: Pairs, tau: float, noise: float) -> Slopes:
    right, wrong = loss.slopes(pairs, tau), _swapped(loss, pairs, tau, 0.0)
    return (1 - noise) * right[0] + noise * wrong[0], (1 - noise) * right[1] + noise * wrong[1]


def _averaged(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    sides = ("chosen", "rejected")
    scaled = {
        f"{what}_{side}": pairs[f"{what}_{side}"] / pairs[f"length_{side}"]
        for what in ("policy", "reference", "previous")
        for side in sides
    }
    chosen, rejected = loss.slopes({**pairs, **scaled}, tau)
    return chosen / pairs["length_chosen"], rejected / pairs["length_rejected"]


def _without_reference(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    nothing = np.zeros_like(pairs["p"])
    return loss.slopes({**pairs, "reference_chosen": nothing, "reference_rejected": nothing}, tau)


def _averaged_without_reference(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    nothing = np.zeros_like(pairs["p"])
    return _averaged(loss, {**pairs, "reference_chosen": nothing, "reference_rejected": nothing}, tau, 0.0)


def _same_reference(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    own = {f"reference_{side}": pairs[f"policy_{side}"] for side in ("chosen", "rejected")}
    return loss.slopes({**pairs, **own}, tau)


def _margin(loss: Loss, pairs: Pairs, tau: float, margin: float) -> Slopes:
    return loss.slopes({**pairs, "policy_chosen": pairs["policy_chosen"] - margin / tau}, tau)


def _chosen_only(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    chosen, rejected = loss.slopes(pairs, tau)
    return chosen, np.zeros_like(rejected)


def _rejected_only(loss: Loss, pairs: Pairs, tau: float, _: float) -> Slopes:
    chosen, rejected = loss.slopes(pairs, tau)
    return np.zeros_like(chosen), rejected


def _with_likelihood(loss: Loss, pairs: Pairs, tau: float, weight: float) -> Slopes:
    chosen, rejected = loss.slopes(pairs, tau)
    return chosen - weight, rejected


def _with_likelihood_a_token(loss: Loss, pairs: Pairs, tau: float, weight: float) -> Slopes:
    chosen, rejected = loss.slopes(pairs, tau)
    return chosen - weight / pairs["length_chosen"], rejected


DEVIATIONS: dict[str, Deviation] = {
    "temperature": Deviation("another temperature", _named),
    "swapped": Deviation("chosen and rejected are swapped", _swapped),
    "averaged": Deviation("log-probabilities are averaged over tokens (L2.iv)", _averaged),
    "smoothing": Deviation("labels are smoothed by {:.4g}", _smoothed, (-0.45, 0.45)),
    "no-reference": Deviation("the reference is left out", _without_reference),
    "averaged-without-reference": Deviation(
        "log-probabilities are averaged over tokens and the reference is left out", _averaged_without_reference
    ),
    "own-reference": Deviation("the reference is the policy itself (adapters left on?)", _same_reference),
    "margin": Deviation("a margin of {:.4g} is subtracted from tau times the gap", _margin, (-4.0, 4.0)),
    "chosen-only": Deviation("only the chosen response is trained", _chosen_only),
    "rejected-only": Deviation("only the rejected response is trained", _rejected_only),
    "likelihood": Deviation("{:.4g} times the chosen response's likelihood is added", _with_likelihood, (-4.0, 4.0)),
    "likelihood-a-token": Deviation(
        "{:.4g} times the chosen response's likelihood per token is added", _with_likelihood_a_token, (-4.0, 4.0)
    ),
}


def miss(own: Array, other: Array) -> float:
    """The part of one gradient that is not a positive multiple of the other, relative to its norm."""
    size, length = float(np.linalg.norm(own)), float(np.linalg.norm(other))
    if size == 0 or length == 0:
        return 0.0 if size == length else 1.0
    factor = max(0.0, float(own @ other) / length**2)
    return float(np.linalg.norm(own - factor * other)) / size


def recognised(gradient: Array, of: Callable[[Deviation, float, float], Array], tau: float) -> list[Found]:
    """The deviations that explain a gradient, the simplest first; ``of(deviation, τ, parameter)`` is their gradient.

    A deviation is tried first at τ, then at other temperatures.
    """
    named, *others = DEVIATIONS.values()
    found = list(_at_another_temperature(gradient, of, tau, named))
    found += _explained(gradient, lambda d, x: of(d, tau, x), others)
    if not found:
        for deviation in others:
            if deviation.between is None:
                found += _at_another_temperature(gradient, of, tau, deviation)
    return found


def _at_another_temperature(
    gradient: Array, of: Callable[[Deviation, float, float], Array], tau: float, deviation: Deviation
) -> Iterator[Found]:
    log_factor, rest = _best(lambda x: miss(gradient, of(deviation, tau * float(np.exp(x)), 0.0)), (-2.1, 2.1))
    if rest <= RECOGNISED:
        also = "" if deviation is DEVIATIONS["temperature"] else f" and {deviation.words}"
        yield Found(f"its temperature is {np.exp(log_factor):.4g} tau{also}", rest)


def _explained(
    gradient: Array, of: Callable[[Deviation, float], Array], deviations: list[Deviation]
) -> Iterator[Found]:
    for deviation in deviations:
        if deviation.between is None:
            x, rest = 0.0, miss(gradient, of(deviation, 0.0))
        else:
            x, rest = _best(lambda x, d=deviation: miss(gradient, of(d, x)), deviation.between)  # type: ignore[misc]
        if rest <= RECOGNISED:
            yield Found(deviation.words.format(x), rest)


def _best(f: Callable[[float], float], between: tuple[float, float]) -> tuple[float, float]:
    """The minimum of a function of one parameter: the best point of a grid, refined."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(*between, GRID)
    values = [f(float(x)) for x in grid]
    k = int(np.argmin(values))
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, GRID - 1)]
    best = minimize_scalar(f, bounds=(low, high), method="bounded", options={"xatol": 1e-11})
    return (float(best.x), float(best.fun)) if best.fun < values[k] else (float(grid[k]), values[k])

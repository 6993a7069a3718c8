"""Optimisers, which turn a gradient into a step (SGD, momentum, Adam, Adafactor), and step-size schedules.

    movement, memory  ←  optimiser.step(gradient, memory, step size, time),      θ ← θ + movement

A game has no potential to descend: near its equilibrium the gradient field rotates (N3), and the optimiser's effect on
a rotation decides whether a method converges or orbits (N5-N7).  A suffix to an algorithm's name selects one:
``online-ipo+adam:0`` is online IPO by Adam with β₁ = 0; without a suffix it is SGD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nashlab.arrays import Array, array_namespace
from nashlab.game import BadInput, suggestion

__all__ = ["OPTIMISERS", "SCHEDULES", "SGD", "Optimiser", "get_optimiser"]

Memory = Mapping[str, Array]
Step = Callable[[Array, Memory, Array, Array], tuple[Array, dict[str, Array]]]

SECOND = 0.999  # Adam's β₂ ...
TINY = 1e-8  # ... and its usual ε
DECAY = 0.8  # Adafactor: the average of squares decays by 1 − t^−.8
CLIP = 1.0  # Adafactor: largest root mean square of a step, in units of the step size


@dataclass(frozen=True)
class Optimiser:
    """An optimiser of θ, as two pure functions.

    name, citation  its name in a suffix, and its source.
    step     (gradient, memory, step size, number of steps done) -> (movement of θ, memory), all [n].
    memory   names of its state arrays, zero at first.
    smooth   whether its step is differentiable at a fixed point, so that a local rate exists (R3).

    >>> import numpy as np
    >>> SGD.step(np.array([1.0, -1.0]), {}, 0.5, 0)[0].tolist()
    [0.5, -0.5]
    """

    name: str
    citation: str
    step: Step
    memory: tuple[str, ...] = ()
    smooth: bool = True


SGD = Optimiser("sgd", "Robbins & Monro 1951", lambda g, memory, size, time: (size * g, {}))
"""θ += η g."""


def heavy_ball(momentum: float) -> Optimiser:
    """v ← m v + g, θ += η v: momentum as in Polyak and torch's SGD; stable by N5's first condition."""
    _check(momentum)

    def step(g: Array, memory: Memory, size: Array, time: Array) -> tuple[Array, dict[str, Array]]:
        velocity = momentum * memory["velocity"] + g
        return size * velocity, {"velocity": velocity}

    return Optimiser(f"momentum:{momentum:g}", "Polyak 1964", step, ("velocity",))


def averaged_momentum(momentum: float) -> Optimiser:
    """v ← m v + (1 − m) g, θ += η v: the momentum in Adam; stable by N5's second condition."""
    _check(momentum)

    def step(g: Array, memory: Memory, size: Array, time: Array) -> tuple[Array, dict[str, Array]]:
        velocity = momentum * memory["velocity"] + (1.0 - momentum) * g
        return size * velocity, {"velocity": velocity}

    return Optimiser(f"averaged-momentum:{momentum:g}", "Polyak 1964; Kingma & Ba 2015", step, ("velocity",))


def adam(momentum: float) -> Optimiser:
    """θ += η v̂/(√ŝ + ε), v̂ and ŝ the unbiased averages of g and g²: at a constant η it orbits the equilibrium (N7)."""
    _check(momentum)

    def step(g: Array, memory: Memory, size: Array, time: Array) -> tuple[Array, dict[str, Array]]:
        xp = array_namespace(g)
        velocity = momentum * memory["velocity"] + (1.0 - momentum) * g
        square = SECOND * memory["square"] + (1.0 - SECOND) * g * g
        first, second = velocity / (1.0 - momentum ** (time + 1)), square / (1.0 - SECOND ** (time + 1))
        return size * first / (xp.sqrt(second) + TINY), {"velocity": velocity, "square": square}

    return Optimiser(f"adam:{momentum:g}", "Kingma & Ba 2015, arXiv 1412.6980", step, ("velocity", "square"), False)


def _adafactor_step(g: Array, memory: Memory, size: Array, time: Array) -> tuple[Array, dict[str, Array]]:
    xp = array_namespace(g)
    forget = 1.0 - (time + 1.0) ** -DECAY
    square = forget * memory["square"] + (1.0 - forget) * (g * g + 1e-30)
    u = g / xp.sqrt(square)
    rms = xp.sqrt(xp.mean(u * u, axis=-1, keepdims=True))
    over = 0.5 * (rms / CLIP + 1.0 + xp.abs(rms / CLIP - 1.0))  # max(1, rms/clip)
    return size * u / over, {"square": square}


ADAFACTOR = Optimiser("adafactor", "Shazeer & Stern 2018, arXiv 1804.04235", _adafactor_step, ("square",), False)
"""θ += η u / max(1, rms(u)), u = g/√s with s the average of g² with decay 1 − t^−.8: the paper's optimiser; a vector
has nothing to factor."""

OPTIMISERS: dict[str, tuple[float | None, Callable[[float], Optimiser]]] = {
    "sgd": (None, lambda _: SGD),
    "momentum": (0.9, heavy_ball),
    "averaged-momentum": (0.9, averaged_momentum),
    "adam": (0.9, adam),
    "adafactor": (None, lambda _: ADAFACTOR),
}
"""name -> (default momentum, or None if it has no momentum; the optimiser with a given momentum)."""


def _check(momentum: float) -> None:
    if not -1 < momentum < 1:
        raise BadInput(f"momentum = {momentum:g}, must be in (-1, 1)")


def get_optimiser(text: str) -> Optimiser:
    """The optimiser of a suffix NAME[:MOMENTUM]; an unknown one is refused with the nearest known name.

    >>> get_optimiser("adam:0.5").name, get_optimiser("momentum").name
    ('adam:0.5', 'momentum:0.9')
    """
    name, _, number = text.partition(":")
    if name not in OPTIMISERS:
        hint = suggestion(name, OPTIMISERS, f"; known are {', '.join(OPTIMISERS)}")
        raise BadInput(f"optimiser {name!r} is unknown{hint}")
    usual, make = OPTIMISERS[name]
    if number and usual is None:
        raise BadInput(f"optimiser {text!r}: {name} takes no momentum")
    try:
        momentum = float(number) if number else usual or 0.0
    except ValueError:
        raise BadInput(f"optimiser {text!r}: {number!r} must be a number") from None
    return make(momentum)


SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "constant": lambda time: 1.0,
    "inverse-root": lambda time: (1.0 + time) ** -0.5,
    "harmonic": lambda time: 1.0 / (1.0 + 0.5 * time),
}
"""Step size at time t over the initial one; harmonic from η = 1/τ is R1's η_t = 2/(τ(t+2))."""

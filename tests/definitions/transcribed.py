"""The register of the transcriptions, and the few words that they are written in.

The transcriptions carry no Python types: the Coq text that each of them quotes has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Vector = Sequence[float]
Matrix = Sequence[Sequence[float]]
Transcription = Callable[..., Any]

EXACT = 1e-12  # float64 sums of at most 25 terms of size at most 1/τ² = 100, relative to max(1, |value|)
NEAR = 1e-12  # of an equality or inequality inside a predicate: the same
SLOPE = 1e-8  # against central differences of width 1e-5: truncation 1e-10, rounding 1e-11, times the curvature
WIDTH = 1e-5

TRANSCRIPTIONS: dict[str, Transcription] = {}

TYPES = {"Variance.estimator": "a type, X(y, y', coordinate): it has no value"}


def coq(name: str) -> Callable[[Transcription], Transcription]:
    """Register a transcription under its Coq name; its docstring is the Coq text."""

    def register(function: Transcription) -> Transcription:
        assert name not in TRANSCRIPTIONS, name
        TRANSCRIPTIONS[name] = function
        return function

    return register


def ln(x: float) -> float:
    """Coq's ln: 0 where there is no logarithm, so that 0 · (ln 0 − ln q) = 0."""
    return math.log(x) if x > 0 else 0.0


def vector(n: int, f: Callable[[int], float]) -> list[float]:
    """The values of a Coq function nat -> R that matter: f 0 ... f (n-1)."""
    return [f(y) for y in range(n)]


def slope(f: Callable[[float], Any]) -> Any:
    """f'(0) by central differences: what is_derive asks for, to SLOPE."""
    return (np.asarray(f(WIDTH)) - np.asarray(f(-WIDTH))) / (2 * WIDTH)

"""``nashlab verify``: every statement of the theory that concerns exact computation, checked here and now.

One module a topic, each over :mod:`nashlab.verify.oracle` (the theory written out in numpy) and
:mod:`nashlab.verify.subject` (the library's side); importing this package registers them all.
"""

from __future__ import annotations

from nashlab.claims import CHECKS, Cases, Check, Result, environment_of, evaluate, recorded, run, select
from nashlab.verify import (
    certificates,
    equilibria,
    equivalence,
    estimators,
    flow,
    lotteries,
    mixtures,
    momentum,
    nash_md,
    rates,
    slic,
    stationary,
)

__all__ = [
    "CHECKS",
    "Cases",
    "Check",
    "Result",
    "certificates",
    "environment_of",
    "equilibria",
    "equivalence",
    "estimators",
    "evaluate",
    "flow",
    "lotteries",
    "mixtures",
    "momentum",
    "nash_md",
    "rates",
    "recorded",
    "run",
    "select",
    "slic",
    "stationary",
]

"""``nashlab verify``: every statement of the theory that concerns exact computation, checked on the spot.

One module per topic, each over :mod:`nashlab.verify.oracle` (the theory written out in numpy) and
:mod:`nashlab.verify.subject` (the library's side); importing this package registers all claims.
"""

from __future__ import annotations

from nashlab.claims import CHECKS, Cases, Check, Result, environment_of, evaluate, recorded, run, select
from nashlab.verify import (
    certificates,
    conjectured,
    contemporaries,
    counting,
    equilibria,
    equivalence,
    estimators,
    extragradient,
    flow,
    lotteries,
    mixtures,
    momentum,
    named,
    nash_md,
    rates,
    reach,
    slic,
    social_choice,
    sphere,
    stationary,
    tokens,
)

__all__ = [
    "CHECKS",
    "Cases",
    "Check",
    "Result",
    "certificates",
    "conjectured",
    "contemporaries",
    "counting",
    "environment_of",
    "equilibria",
    "equivalence",
    "estimators",
    "evaluate",
    "extragradient",
    "flow",
    "lotteries",
    "mixtures",
    "momentum",
    "named",
    "nash_md",
    "rates",
    "reach",
    "recorded",
    "run",
    "select",
    "slic",
    "social_choice",
    "sphere",
    "stationary",
    "tokens",
]

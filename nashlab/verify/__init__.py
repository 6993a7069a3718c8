"""``nashlab verify``: every statement of the theory that concerns exact computation, checked here and now.

The statements live in one module a topic; importing this package registers them all.
"""

from __future__ import annotations

from nashlab.claims import CHECKS, Cases, Check, Result, environment_of, evaluate, recorded, run, select
from nashlab.verify import dynamics, equilibria, estimators, gradients

__all__ = [
    "CHECKS",
    "Cases",
    "Check",
    "Result",
    "dynamics",
    "environment_of",
    "equilibria",
    "estimators",
    "evaluate",
    "gradients",
    "recorded",
    "run",
    "select",
]

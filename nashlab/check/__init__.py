"""Bring your own objective: what does a preference loss optimise, and does a trainer compute the loss that it names?

objective      decorator that declares how a loss is used: who samples, relative to which policy
judge          the verdict on a function in a file, as `nashlab check` prints it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nashlab.check.forms import objective

if TYPE_CHECKING:
    from nashlab.check.verdict import judge

__all__ = ["judge", "objective"]


def __getattr__(name: str) -> Any:
    """Load the verdict on demand: it needs the solvers and the gallery, a file with only ``@objective`` does not."""
    if name == "judge":
        from nashlab.check.verdict import judge

        return judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Named losses of the literature, each in a file like a user's: `nashlab check simpo` checks one.

They serve as examples to copy, as the references of ``looks_like``, and as tests of the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nashlab.check.losses import dpo, reference_free, single, squares

__all__ = ["NAMED"]

NAMED: dict[str, Callable[..., Any]] = {
    name: getattr(module, name) for module in (dpo, squares, single, reference_free) for name in module.__all__
}

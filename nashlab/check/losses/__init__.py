"""Named losses of the literature, each a file of a user's kind: `nashlab check simpo` judges one.

They are examples to copy from, what ``looks_like`` compares with, and tests of the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nashlab.check.losses import dpo, reference_free, single, squares

__all__ = ["NAMED"]

NAMED: dict[str, Callable[..., Any]] = {
    name: getattr(module, name) for module in (dpo, squares, single, reference_free) for name in module.__all__
}

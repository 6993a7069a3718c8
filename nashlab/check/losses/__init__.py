"""Named losses of the literature, each in a file like a user's: `nashlab check simpo` checks one.

They serve as examples to copy, as the references of ``looks_like``, and as tests of the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nashlab.check.losses import dpo, reference_free, single, squares

__all__ = ["NAMED", "REFUSED"]

NAMED: dict[str, Callable[..., Any]] = {
    name: getattr(module, name) for module in (dpo, squares, single, reference_free) for name in module.__all__
}

REFUSED = {
    "tdpo": "TDPO (arXiv 2404.11999) takes the KL divergence of every token's distribution, which sequence "
    "log-probabilities do not say; on responses of one token TDPO-1 is dpo",
    "tpo": "TPO (arXiv 2405.16681) is a loss of three responses",
    "nash_md": "Nash-MD has no pairwise loss: nashlab run nash-md, and assert_policy_gradient for a trainer",
}  # names in the literature that are not pairwise losses, and why

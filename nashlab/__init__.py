"""nashlab: preference games, their equilibria with certificates, and the algorithms that look for them.

Importing it loads nothing else: ``BadInput`` and ``PreferenceGame`` are fetched when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nashlab.game import BadInput, PreferenceGame

__version__ = "0.2.0"

__all__ = ["BadInput", "PreferenceGame", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("BadInput", "PreferenceGame", "game"):
        from importlib import import_module

        game = import_module("nashlab.game")
        return game if name == "game" else getattr(game, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

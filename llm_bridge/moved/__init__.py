"""Old names of modules that have since moved into rooms, such as ``llm_bridge.models``; importing one warns."""

import warnings

__all__ = ["moved"]


def moved(old: str, new: str) -> None:
    """Warn the importer of an old module, with the name of the new one."""
    warnings.warn(f"{old} has moved: import from {new}", DeprecationWarning, stacklevel=3)

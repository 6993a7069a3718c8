"""What to paste into an issue: the version, Python, the system, and the packages that are installed."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata

__all__ = ["about", "lines", "show"]


def about(program: str, version: str) -> dict[str, object]:
    """Version and environment as JSON; of the packages that nashlab names, None where one is not installed.

    >>> about("nashlab", "0.2.0")["nashlab"]
    '0.2.0'
    """
    found: dict[str, object] = {program: version, "python": platform.python_version()}
    found |= {"system": platform.platform(), "processors": os.cpu_count()}
    return found | {"packages": {name: _version(name) for name in _named()}}


def lines(content: dict[str, object]) -> list[str]:
    """The same for people: one line a fact, packages that are missing together on the last one."""
    packages = content["packages"]
    assert isinstance(packages, dict)
    facts = {name: value for name, value in content.items() if name != "packages"}
    installed = {name: version for name, version in packages.items() if version is not None}
    missing = [name for name in packages if name not in installed]
    found = [f"{name} {value}" for name, value in (facts | installed).items()]
    return [*found, *([f"not installed: {', '.join(missing)}"] if missing else [])]


def show(program: str, version: str, *, json_output: bool) -> None:
    """Print both on stdout, for people or as JSON."""
    from nashlab.display import print_json

    content = about(program, version)
    if json_output:
        print_json(content)
    else:
        print("\n".join(lines(content)))


def _named() -> list[str]:
    """Every package that our own metadata names, with an extra or without."""
    try:
        required = metadata.requires("nashlab") or []
    except metadata.PackageNotFoundError:  # used from a folder of sources
        return []
    names = [found[0] for text in required if (found := re.match(r"[\w.-]+", text))]
    return [name for name in dict.fromkeys(names) if name != "nashlab"]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

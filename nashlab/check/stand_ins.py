"""Stand-ins for what a framework imports and this environment does not have, so that its loss can be reached.

A loss of pairs is arithmetic on tensors, yet the module that holds it imports serving engines, kernels and loggers.
While :func:`standing_in` holds, the packages that it names are modules whose every name is an empty class.  A loss that
took a number from there would fail on it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["standing_in"]


class _Meta(type):
    """A class whose attributes are stand-ins too; decorators leave what they decorate."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _named(name)

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        if cls.__module__ == __name__ and len(arguments) == 1 and callable(arguments[0]) and not named:
            return arguments[0]
        return super().__call__(*arguments, **named)


def _named(name: str) -> Any:
    return _Meta(name, (), {"__init__": lambda self, *arguments, **named: None, "__module__": __name__,
                            "__call__": lambda self, x=None, *arguments, **named: x})  # fmt: skip


class _Module(ModuleType):
    __path__: list[str] = []  # noqa: RUF012 (a package)
    __version__ = "0.0.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = _named(name)
        setattr(self, name, found)
        return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last to be asked for a module."""

    def __init__(self, packages: Sequence[str]):
        self.packages, self.made = packages, list[str]()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if self._ours(name) else None

    def _ours(self, name: str) -> bool:
        return any(name == p or name.startswith(f"{p}.") for p in self.packages)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        self.made.append(spec.name)
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return None


@contextmanager
def standing_in(*packages: str) -> Iterator[None]:
    """Those of these packages that are not installed are stand-ins until this ends."""
    finder = _Finder(packages)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.made:
            sys.modules.pop(name, None)

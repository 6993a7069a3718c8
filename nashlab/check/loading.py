"""Loads the function of ``PATH.py[:NAME]``: from a user's file, or one of the named losses of the package."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nashlab.check.forms import Form, form_of
from nashlab.game import BadInput, suggestion

__all__ = ["Source", "load", "located", "shipped"]

Source = tuple[Path, str | None]


def located(target: str) -> Source:
    """The file and the name of ``PATH.py[:NAME]``; a bare name means one of the named losses of the package.

    >>> located("simpo")[1]
    'simpo'
    """
    path, _, name = target.partition(":") if not Path(target).is_file() else (target, "", "")
    if Path(path).is_file():
        return Path(path), name or None
    if path.endswith(".py") or "/" in path or name:
        if os.path.lexists(path):
            raise BadInput(f"{path}: is not a file")
        near = [str(p) for p in Path(path).parent.glob("*.py")] if Path(path).parent.is_dir() else []
        raise BadInput(f"{path}: no such file{suggestion(path, near)}")
    from nashlab.check.losses import REFUSED

    if target in REFUSED:
        raise BadInput(f"{target}: {REFUSED[target]}")
    known = shipped()
    if target not in known:
        raise BadInput(f"{target}: neither a file nor a named loss{suggestion(target, known)}")
    return known[target], target


def shipped() -> dict[str, Path]:
    """The named losses of this package: name -> file."""
    from nashlab.check.losses import NAMED

    return {name: Path(inspect.getfile(function)) for name, function in NAMED.items()}


def load(source: Source) -> tuple[str, Callable[..., Any], Form]:
    """Run the file and return the function's name, the function and its form.

    Without a name it is ``loss``, or the only function in the file with the arguments of a loss.
    Errors: BadInput; anything that the file itself raises.
    """
    path, wanted = source
    module = _module(path)
    own = {
        name: x
        for name, x in vars(module).items()
        if callable(x) and getattr(x, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    if wanted is not None:
        found = own.get(wanted, getattr(module, wanted, None))
        if not callable(found):
            raise BadInput(f"{path}: has no function {wanted!r}{suggestion(wanted, own)}")
        return wanted, found, form_of(found, wanted)
    if "loss" in own:
        return path.stem, own["loss"], form_of(own["loss"])
    forms = {}
    for name, function in own.items():
        try:
            forms[name] = form_of(function, name)
        except (BadInput, ValueError, TypeError):
            continue
    if len(forms) == 1:
        ((name, form),) = forms.items()
        return name, own[name], form
    if len(own) == 1:  # explain what is wrong with the only candidate
        form_of(next(iter(own.values())), next(iter(own)))
    listed = ", ".join(forms) if forms else "none"
    raise BadInput(f"{path}: has no function 'loss'; say which with {path}:NAME (functions of a loss's form: {listed})")


def _module(path: Path) -> Any:
    """The file as a module; the package's own files keep their names, so that each is imported once."""
    for name, module in list(sys.modules.items()):
        if name.startswith("nashlab.") and getattr(module, "__file__", None) == str(path):
            return module
    name = f"nashlab_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.resolve().parent))  # last: a neighbour called random.py is not the library's
    spec.loader.exec_module(module)
    return module

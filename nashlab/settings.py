"""Settings in TOML, from a file or from the package by bare name, and their validation against a dataclass."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from nashlab.files import read_bytes
from nashlab.game import BadInput, suggestion

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["checked", "read_settings"]

T = TypeVar("T")

LONGEST = 2**20  # bytes of a settings file


def read_settings(source: str | Path, shipped: Path) -> dict[str, Any]:
    """The content of a TOML file, or of the one with this bare name in the folder ``shipped``.

    Raises :class:`BadInput` for a file that cannot be read or is not TOML, and for an unknown name.
    """
    path = Path(source)
    if not path.suffix and not path.is_file():  # a folder of this name is left by an earlier run
        known = {p.stem: p for p in shipped.glob("*.toml")}
        if str(source) not in known:
            raise BadInput(f"{source}: no such file{suggestion(str(source), known)}")
        path = known[str(source)]
    try:
        return tomllib.loads(read_bytes(path, LONGEST).decode())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not TOML ({error})") from None


def checked(kind: type[T], table: Any, where: str) -> T:
    """A dataclass from a table, with every key and every type checked.

    Values stay as written, because folders of experiments are named after them.  Errors: BadInput naming the table
    (``where``), the entry and the rule, with the nearest known key.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Walk:
    ...     steps: int
    >>> checked(Walk, {"steps": 3}, "walk.toml")
    Walk(steps=3)
    >>> checked(Walk, {"step": 3}, "walk.toml")
    Traceback (most recent call last):
    nashlab.game.BadInput: walk.toml: 'step' is unknown; did you mean 'steps'?
    """
    if not isinstance(table, dict):
        raise BadInput(f"{where} = {table!r}, must be a table")
    from pydantic import ValidationError

    try:
        _model_of(kind).model_validate(table)
        return kind(**table)
    except ValidationError as error:
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")  # a slip is missed too
        raise BadInput(f"{where}: {_in_words(first, kind)}") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def _model_of(kind: type[Any]) -> type[BaseModel]:
    """A pydantic model of a dataclass: no other keys, no conversions except of whole numbers."""
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(kind)
    optional = {f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING}
    given: dict[str, Any] = {name: (hint, None if name in optional else ...) for name, hint in hints.items()}
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(kind.__name__, __config__=config, **given)


def _in_words(error: Any, kind: type[Any]) -> str:
    """A pydantic error in our words: the entry and the rule, with the nearest known key."""
    known = {f.name: f for f in fields(kind)}
    key = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"{key!r} is unknown{suggestion(key, known, ', must be one of ' + ', '.join(known))}"
    if error["type"] == "missing":
        return f"{key} is missing, must be given"
    inside = "".join(f"[{part!r}]" for part in error["loc"][1:])
    return f"{key}{inside} = {error['input']!r}, must be of type {known[key].type}"

"""Settings in TOML: a file, or one of those that are shipped, by its bare name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from nashlab.files import read_bytes
from nashlab.game import BadInput, suggestion

__all__ = ["read_settings"]

LONGEST = 2**20  # bytes of a file of settings


def read_settings(source: str | Path, shipped: Path) -> dict[str, Any]:
    """The content of a TOML file, or of the one of this bare name in the folder ``shipped``.

    Raises :class:`BadInput` for a file that cannot be read or is not TOML, and for a name that is not shipped.
    """
    path = Path(source)
    if not path.suffix and not path.is_file():  # a folder of this name is what an earlier run left
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

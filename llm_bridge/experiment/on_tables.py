"""The same question without a transformer: the order of methods on tables, from a sweep of :mod:`nashlab.sweep`.

    nashlab sweep paper-order
    python -m llm_bridge.experiment.on_tables paper-order/sweep.parquet paper-order.json

The measure is that of :func:`llm_bridge.experiment.order.order_of`, with games in the place of texts.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_bridge.experiment.order import order_of
from nashlab.claims import environment_of
from nashlab.display import one_line
from nashlab.ending import ending
from nashlab.files import replacing
from nashlab.game import BadInput

__all__ = ["orders_on_tables"]

Array = NDArray[np.float64]
COLUMNS = ("algorithm", "family", "game", "seed", "step", "temperature", "step_size", "beta", "exploitability")


def orders_on_tables(table: Path) -> dict[str, Any]:
    """Of each family of games, and of all games together: the order by exploitability at the end, with intervals, and
    the exploitability at the start, which is one policy for all methods.

    Each method has the step size and β with the least mean over the family's games and seeds; games of families are
    pooled at the settings of their own family.

    Errors: BadInput for a file that is no sweep's, more than one temperature, or runs that are missing.
    """
    rows = _read(table)
    first, last = (rows["step"] == moment for moment in (rows["step"].min(), rows["step"].max()))
    _check_whole(table, rows, last)
    start = {f: float(rows["exploitability"][first & (rows["family"] == f)].mean())
             for f in np.unique(rows["family"]).tolist()}  # fmt: skip
    rows = {k: v[last] for k, v in rows.items()}
    methods, families = (list(dict.fromkeys(rows[k].tolist())) for k in ("algorithm", "family"))
    values = {f: np.stack([_best(rows, (rows["algorithm"] == m) & (rows["family"] == f)) for m in methods])
              for f in families}  # fmt: skip
    return {
        "tau": float(rows["temperature"].max()),
        "games": {f: v.shape[2] for f, v in values.items()},
        "seeds": int(values[families[0]].shape[1]),
        "start": start,
        "families": {f: order_of(methods, v) for f, v in values.items()},
        "all": order_of(methods, np.concatenate(list(values.values()), axis=2)),
        "environment": environment_of(("numpy", "scipy")),
    }


def _read(table: Path) -> dict[str, Any]:
    """The columns of a sweep."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(table).to_pydict()
    except OSError as error:
        raise BadInput(f"table = {table}: cannot be read ({error.strerror or 'no such file'})") from None
    except pa.ArrowException as error:
        raise BadInput(f"table = {table}: is not the table of a sweep ({one_line(error)})") from None
    missing = [name for name in COLUMNS if not found.get(name)]
    if missing:
        raise BadInput(f"table = {table}: {', '.join(missing)} is missing or empty, must be a column of a sweep")
    return {k: np.asarray(found[k]) for k in COLUMNS}


def _check_whole(table: Path, rows: Mapping[str, Any], last: NDArray[np.bool_]) -> None:
    """Refuse several temperatures, and settings without the last step of every game and seed that others have."""
    temperatures = np.unique(rows["temperature"]).tolist()
    if len(temperatures) > 1:
        raise BadInput(f"table = {table}: temperature = {temperatures}, must be one: exploitability depends on it")
    settings = {"algorithm": rows["algorithm"], "step_size": rows["step_size"], "beta": rows["beta"].astype(str)}
    units, runs = (list(zip(*(column.tolist() for column in columns), strict=True))
                   for columns in (settings.values(), (rows["family"], rows["game"], rows["seed"])))  # fmt: skip
    ended = Counter((unit, run) for unit, run, at_end in zip(units, runs, last.tolist(), strict=True) if at_end)
    for unit in dict.fromkeys(units):
        for run in dict.fromkeys(runs):
            if ended[unit, run] != 1:
                where = ", ".join(f"{k} = {v}" for k, v in zip((*settings, "family", "game", "seed"), (*unit, *run),
                                                               strict=True))  # fmt: skip
                raise BadInput(f"table = {table}: has {ended[unit, run]} rows of the last step at {where}, must have 1")


def _best(rows: dict[str, Any], here: NDArray[np.bool_]) -> Array:
    """Exploitability [seeds, games] of a method on a family, at the setting with the least mean."""
    found = []
    for step_size, beta in sorted(set(zip(rows["step_size"][here], rows["beta"][here], strict=True))):
        chosen = here & (rows["step_size"] == step_size) & (rows["beta"] == beta)
        seeds = [chosen & (rows["seed"] == s) for s in np.unique(rows["seed"][chosen])]
        found.append(np.array([rows["exploitability"][s][np.argsort(rows["game"][s])] for s in seeds]))
    return min(found, key=lambda v: float(v.mean()))


@ending("on_tables")
def main(arguments: Sequence[str]) -> None:
    """Read a sweep, write its orders; bad input is one line and exit code 2."""
    try:
        if len(arguments) != 2:
            raise BadInput(f"arguments = {list(arguments)}, must be a sweep's table and a file to write")
        found = orders_on_tables(Path(arguments[0]))
    except BadInput as error:
        print(f"on_tables: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    with replacing(Path(arguments[1])) as part:
        part.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

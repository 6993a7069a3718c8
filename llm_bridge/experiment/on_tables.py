"""The same question without a transformer: the order of methods on tables, from a sweep of :mod:`nashlab.sweep`.

    nashlab sweep paper-order
    python -m llm_bridge.experiment.on_tables paper-order/sweep.parquet paper-order.json

The measure is that of :func:`llm_bridge.experiment.order.order_of`, with games in the place of texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_bridge.experiment.order import order_of
from nashlab.claims import environment_of
from nashlab.files import replacing

__all__ = ["orders_on_tables"]

Array = NDArray[np.float64]


def orders_on_tables(table: Path) -> dict[str, Any]:
    """Of each family of games, and of all games together: the order by exploitability at the end, with intervals, and
    the exploitability at the start, which is one policy for all methods.

    Each method has the step size and β with the least mean over the family's games and seeds; games of families are
    pooled at the settings of their own family.
    """
    import pyarrow.parquet as pq

    rows = {k: np.asarray(v) for k, v in pq.read_table(table).to_pydict().items()}
    first, last = (rows["step"] == moment for moment in (rows["step"].min(), rows["step"].max()))
    start = {f: float(rows["exploitability"][first & (rows["family"] == f)].mean()) for f in rows["family"]}
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


def _best(rows: dict[str, Any], here: NDArray[np.bool_]) -> Array:
    """Exploitability [seeds, games] of a method on a family, at the setting with the least mean."""
    found = []
    for step_size, beta in sorted(set(zip(rows["step_size"][here], rows["beta"][here], strict=True))):
        chosen = here & (rows["step_size"] == step_size) & (rows["beta"] == beta)
        seeds = [chosen & (rows["seed"] == s) for s in np.unique(rows["seed"][chosen])]
        found.append(np.array([rows["exploitability"][s][np.argsort(rows["game"][s])] for s in seeds]))
    return min(found, key=lambda v: float(v.mean()))


if __name__ == "__main__":
    source, target = (Path(argument) for argument in sys.argv[1:3])
    with replacing(target) as part:
        part.write_text(json.dumps(orders_on_tables(source), indent=1), encoding="utf-8")

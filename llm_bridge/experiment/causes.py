"""Causes of an order of methods, one at a time: the same experiment with one thing changed, level by level.

Levels share the stages of one folder, so a level that is the experiment itself costs nothing, and a killed run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llm_bridge.experiment.configuration import Experiment, Level
from llm_bridge.experiment.pipeline import check_sources, results_of
from nashlab.files import replacing
from nashlab.game import BadInput
from nashlab.parallel import Cluster

__all__ = ["run_causes"]

NUMBERS = ("mean", "low", "high", "by_seed")
"""Of every quantity; of exploitability also the order, the table of probabilities, and agreement with the paper."""


def run_causes(
    experiment: Experiment,
    folder: Path,
    advance: Callable[[str], object] = lambda name: None,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Run what is missing of every level of every cause; writes causes.json and returns its content.

    Of each level: what was changed, each quantity's mean, interval and values by seed on the held-out texts, the order
    with its agreement with the paper's, and how cyclic the games and how good the preference model were.
    """
    if not experiment.causes:
        raise BadInput(f"{experiment.name}: causes is empty, must hold lists of changes, [[causes.NAME]]")
    for levels in experiment.causes.values():
        for level in levels:
            check_sources(level.experiment)  # refused now, not after the levels before it
    causes = {name: [_level(level, folder, advance, cluster) for level in levels]
              for name, levels in experiment.causes.items()}  # fmt: skip
    last = next(reversed(causes.values()))[-1]
    found = {
        "name": experiment.name,
        "kind": "causes",
        "methods": experiment.methods,
        "seeds": experiment.seeds,
        "environment": last["environment"],
        "causes": {name: [{k: v for k, v in row.items() if k != "environment"} for row in rows]
                   for name, rows in causes.items()},
    }  # fmt: skip
    with replacing(folder / "causes.json") as part:
        part.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _level(
    level: Level, folder: Path, advance: Callable[[str], object], cluster: Cluster | None
) -> dict[str, Any]:
    """What the notebook and the table need of one level."""
    results = results_of(level.experiment, folder, advance, cluster)
    evidence = results["evidence"]
    return {
        "at": level.at,
        "change": level.change,
        "tau": results["tau"],
        "methods": results["methods"],
        "seeds": evidence["seeds"],
        "exploitability": _of(evidence["order"]["exploitability"], *NUMBERS, "order", "ahead", "paper"),
        **{name: _of(evidence["order"][name], *NUMBERS) for name in ("distance", "kl", "win_rate")},
        "chosen": evidence["chosen"],
        "unstopped": {curve["method"]: curve["exploitability"][-1] for curve in evidence["curves"]},
        "ends": evidence["ends"],
        "intransitivity": results["intransitivity"]["held out"],
        "preference_model": results["preference_model"],
        "environment": results["environment"],
    }


def _of(order: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: order[name] for name in names}

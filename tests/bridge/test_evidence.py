"""Heads on frozen states, methods at equal KL, and the order with its uncertainty: against code that shares nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bridge.experiments import texts_in, written

from llm_bridge.experiment import read_experiment, run_experiment


HEAD: dict[str, Any] = {
    "methods": ["online-ipo", "nash-md-pg", "nash-prox", "egpo"],
    "closed": {"temperature": 5.0, "kinds": ["human", "foreign", "lead", "terse"], "samples": 2, "max_new_tokens": 4},
    "head": {"width": 4, "snapshot_every": 2},
    "grid": {"tau": [0.1, 0.3], "beta": [0.2], "seeds": [0, 1]},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts_in(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("head")
    config = written(folder / "c.toml", corpus, **HEAD)
    return config, folder, run_experiment(read_experiment(config), folder)


def test_runs(ran):
    r = ran[2]
    import json
    print(json.dumps(r["evidence"])[:3000])

"""Rooms: few doors, few arrows between them, and every old name where it was."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

import llm_bridge

ROOT = Path(llm_bridge.__file__).parent
ROOMS = ("data", "policy", "judges", "training", "preferences", "verify", "experiment", "examples", "cli")

OLD = {
    "models": ("policy", "LoraOptions load_policy smollm2 title_t5"),
    "rollout": ("training", "Closed Generated Recorded Examples Weights"),
    "trainer": ("training", "Settings train Trainer Diverged rate"),
    "objective": ("training", "bridged BRIDGED Samples surrogate"),
    "plots": ("experiment.plots", "curves tables averaging"),
    "evaluate": ("experiment.evaluate", "agreement clopper_pearson"),
}


@pytest.mark.parametrize("name", OLD)
def test_old_import_paths_give_the_same_objects_and_name_the_new_ones(name: str) -> None:
    room, names = OLD[name]
    sys.modules.pop(f"llm_bridge.{name}", None)
    with pytest.warns(DeprecationWarning, match=rf"llm_bridge\.{name} has moved: .*llm_bridge\.{re.escape(room)}"):
        old = importlib.import_module(f"llm_bridge.{name}")
    new = importlib.import_module(f"llm_bridge.{room}")
    assert all(getattr(old, each) is getattr(new, each) for each in names.split())


def arrows() -> set[tuple[str, str]]:
    """(room, room that it imports)."""
    found = set()
    for room in ROOMS:
        for path in [ROOT / "cli.py"] if room == "cli" else (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llm_bridge."):
                    found.add((room, str(node.module).split(".")[1]))
    return {(a, b) for a, b in found if a != b}


def test_there_are_few_rooms_and_few_arrows_between_them() -> None:
    top = {p.stem for p in ROOT.glob("*.py")} | {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert top - {"__init__", "__main__"} == {*ROOMS, "moved"}
    assert {("training", "policy"), ("experiment", "training"), ("cli", "experiment")} <= arrows()  # they are found
    assert len({(a, b) for a, b in arrows() if a != "examples"}) <= 21
    assert not {(b, a) for a, b in arrows()} & arrows()

"""The map of the proofs and the book's matrix say what the sources and the results say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from definitions.sources import PROOFS, script

from nashlab.verify import CHECKS


def test_proofs_readme_has_the_map_of_the_sources() -> None:
    table = script("map")
    assert not table.stale(table.MAP)


def test_the_list_of_new_statements_is_that_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = script("map")
    assert not table.stale(table.PAPER)
    text = table.PAPER.read_text(encoding="utf-8")
    for id in CHECKS:
        new = id[0] == "N" or id.split(".")[0] in table.paper.BESIDES or id in table.paper.PARTS
        assert (f"**{id}.**" in text) == new
    monkeypatch.setattr(table, "PAPER", tmp_path / "PAPER.md")
    table.PAPER.write_text(text.replace("`N19_by_size`, ", ""), encoding="utf-8")
    assert table.stale(table.PAPER)


def test_the_matrix_has_a_cell_for_all_that_is_proved_or_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = script("map")
    assert not table.stale(table.MATRIX)
    text = table.MATRIX.read_text(encoding="utf-8")
    monkeypatch.setattr(table, "MATRIX", tmp_path / "evidence.md")
    table.MATRIX.write_text(text.replace("| L1 | ✓ |", "| L1 |  |"), encoding="utf-8")
    assert table.stale(table.MATRIX)


def test_writing_without_results_ticks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = script("map")
    for name in ("MAP", "MATRIX", "PAPER"):
        copy = tmp_path / f"{name}.md"
        text = getattr(table, name).read_text(encoding="utf-8").replace("✓", "✗")
        copy.write_text(text.replace("| L1 | ✗ |", "| L1 |  |"), encoding="utf-8")
        monkeypatch.setattr(table, name, copy)
    assert table.main(["--write"]) == 0
    written = table.MATRIX.read_text(encoding="utf-8")
    assert "✓" not in written
    assert "| L1 | not run | ✗ |" in written
    assert table.main(["--write", "--results", str(results(tmp_path, ["numpy"], L3="pass"))]) == 0
    assert table.MATRIX.read_text(encoding="utf-8").count("✓") == 1


def test_the_map_finds_every_theorem_derivation_and_claim() -> None:
    items = script("map").evidence()
    found = {column: {item.key for item in items if item.column == column} for column in script("map").COLUMNS}
    assert found["property tests"] | found["bandit enumeration"] == set(CHECKS)
    assert found["bandit enumeration"] == {"L10", "L10.unbiased", "N17"}
    names = [item.name for item in items if item.column == "Coq"]
    headlines = [s.name for s in script("check_axioms").statements(PROOFS / "coq") if s.is_headline]
    assert sorted(names) == sorted(headlines)
    run = subprocess.run(
        [sys.executable, "-c", "import run, json; print(json.dumps(list(run.load())))"],
        cwd=PROOFS / "sympy", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found["SymPy"] == {f"{id} sympy" for id in json.loads(run.stdout)}


def results(tmp_path: Path, packages: Sequence[str], canary: bool = False, **statuses: str) -> Path:
    """A verify.json."""
    path = tmp_path / f"{'-'.join(packages)}.json"
    rows = [{"id": id.replace("_", " "), "status": status} for id, status in statuses.items()]
    environment = {"packages": dict.fromkeys(packages), "canary": canary}
    path.write_text(json.dumps({"claims": rows, "environment": environment}), encoding="utf-8")
    return path


def test_the_matrix_takes_its_ticks_from_results(tmp_path: Path) -> None:
    table = script("map")
    checked = {"L1": "pass", "L1.grpo": "pass"}
    ours = results(tmp_path, ["numpy"], **checked, L2_sympy="pass", coq="skipped", L1_sympy="fail")
    bridge = results(tmp_path, ["torch"], L1="fail")
    items = table.evidence()
    found = table.by_row(items)["L1"]
    seen = table.read_results([ours, bridge])
    cells = {column: table.cell([i for i in found if i.column == column], seen) for column in table.COLUMNS}
    assert cells == {
        "SymPy": "✗", "Coq": "skipped", "property tests": "✓", "bandit enumeration": "", "transformer enumeration": "✗"
    }  # fmt: skip
    unknown = [i for i in table.by_row(items)["E1"] if i.column == "property tests"]
    assert table.cell(unknown, seen) == "not run"
    assert table.matrix_table(items, {}, {}).count("✓") == 0
    with pytest.raises(SystemExit, match="wrong twins"):
        table.read_results([results(tmp_path, ["numpy"], canary=True)])


def test_a_file_that_is_not_up_to_date_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = script("map")
    monkeypatch.setattr(table, "MAP", tmp_path / "README.md")
    text = (PROOFS / "README.md").read_text(encoding="utf-8")
    table.MAP.write_text(text.replace("L5_corrected`, ", ""), encoding="utf-8")
    assert table.stale(table.MAP)
    table.MAP.write_text(table.wanted(table.MAP), encoding="utf-8")
    assert table.MAP.read_text(encoding="utf-8") == text
    table.MAP.write_text(text.replace("<!-- map -->", ""), encoding="utf-8")
    with pytest.raises(SystemExit, match="must have <!-- map -->"):
        table.stale(table.MAP)

"""What frameworks compute is what the record says, where one of the recorded versions is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nashlab.check.conformance import conformity
from nashlab.check.frameworks import CELLS, WITHOUT, installed, page_of, rows, stand_in
from nashlab.check.losses import NAMED

GUIDE = Path(__file__).resolve().parent.parent / "notebooks" / "guide"
RECORD = json.loads((GUIDE / "conformance.json").read_text(encoding="utf-8"))
DEVIATIONS = [(name, row) for name, found in RECORD.items() for row in found if row["finding"] == "deviates"]


def test_the_page_is_the_record_s() -> None:
    assert (GUIDE / "conformance.md").read_text(encoding="utf-8") == page_of(RECORD)


def test_every_cell_of_a_framework_is_recorded() -> None:
    promised = {package: [c.key for c in CELLS if c.package == package] for package in {c.package for c in CELLS}}
    assert {name.split()[0] for name in RECORD} == set(promised) | set(WITHOUT)
    for name, found in RECORD.items():
        assert [row["loss"] for row in found] == promised.get(name.split()[0], [])
        assert {row["promises"] for row in found} <= set(NAMED)


@pytest.mark.parametrize("package", sorted({name.split()[0] for name in RECORD}))
def test_an_installed_framework_has_not_drifted(package: str) -> None:
    version = installed().get(package)
    if version is None:
        pytest.skip(f"{package} is not installed")
    name = f"{package} {version}"
    if name not in RECORD:
        pytest.skip(f"{name} is not recorded: python -m nashlab.check.frameworks --record shows what has changed")
    assert rows(package) == RECORD[name]


@pytest.mark.parametrize(("name", "row"), DEVIATIONS, ids=[f"{name}: {row['loss']}" for name, row in DEVIATIONS])
def test_a_recorded_deviation_is_still_there(name: str, row: dict[str, str]) -> None:
    package, version = name.split()
    if installed().get(package) != version:
        pytest.skip(f"{name} is not installed")
    (cell,) = [c for c in CELLS if (c.package, c.key) == (package, row["loss"])]
    assert conformity(cell.build(), cell.target, tau=0.5) == row["why"]


def test_the_stand_in_has_the_log_probabilities_that_it_is_given() -> None:
    """Two words: the log-softmax of its logits at every token, and its tokens' sums, are what was asked for."""
    sums, lengths = torch.tensor([-1.5, -4.0], dtype=torch.float64), torch.tensor([1.0, 3.0], dtype=torch.float64)
    output, mask = stand_in(sums, lengths)
    assert mask.tolist() == [[False, True, False, False], [False, True, True, True]]
    torch.testing.assert_close(output.log_probs.sum(1), sums)
    words = torch.log_softmax(output.logits[:, :-1], -1)[..., 1]
    torch.testing.assert_close((words * mask[:, 1:]).sum(1), sums)

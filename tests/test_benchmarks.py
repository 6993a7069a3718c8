"""The tables of speed in the book are those that the benchmarks have written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import bench_solvers
import page

BOOK = page.PAGE.read_text(encoding="utf-8")


def test_the_book_holds_the_tables_of_the_benchmarks_figures_and_no_other_figure() -> None:
    results = page.kept()
    assert page.written(BOOK, results) == BOOK
    assert sorted(page.marks(BOOK)) == sorted(results)
    assert BOOK.count("|---|") == sum(page.table(found).count("|---|") for found in results.values())


@pytest.mark.parametrize("script", page.marks(BOOK))
def test_another_figure_machine_or_date_is_another_table(script: str) -> None:
    found = page.kept()[script]
    for name in ("date", "machine", "how"):
        assert page.written(BOOK, {script: {**found, name: "x"}}) != BOOK
    first, *rest = found["rows"]
    assert page.written(BOOK, {script: {**found, "rows": [{**first, "ours": 2 * first["ours"]}, *rest]}}) != BOOK


def lines(*rows: page.Row) -> list[str]:
    table = page.table({"how": "h", "date": "d", "machine": "m", "rows": list(rows)})
    return table.replace(page.HELD, " ").splitlines()


def test_a_row_is_printed_in_its_unit_with_the_ratio_in_our_favour() -> None:
    row = {"what": "a game", "ours": 0.002, "peers": {"HiGHS": 0.006}, "limits": {"12 products": 1e-6}, "work": "7 LU"}
    rate = {"what": "a loop", "unit": "steps/s", "ours": 6.0, "peers": {"TRL": 3.0, "another": None}}
    head, _, names, _, *body = lines(row, rate)
    assert head == "h; d, m."
    assert names == "| | ours | peer or limit | ratio | work |"
    assert body == [
        "| a game | 2 ms | HiGHS 6 ms; 12 products 1 µs | 3x; 2e+03 times the limit | 7 LU |",
        "| a loop | 6 steps/s | TRL 3 steps/s; another none | 2x | |",
    ]
    assert lines(rate)[2:] == ["| | ours | peer or limit | ratio |", "|---|---|---|---|",
                               "| a loop | 6 steps/s | TRL 3 steps/s; another none | 2x |"]  # fmt: skip


def test_a_slow_call_is_made_once() -> None:
    import time

    calls = []

    def slow() -> None:
        calls.append(1)
        began = time.process_time()
        while time.process_time() - began < 0.02:
            pass

    assert bench_solvers.timed(slow, 0.001) == pytest.approx(0.02, rel=0.5)
    assert len(calls) == 1

"""The tables of speed in the book are those that the benchmarks have written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import bench_solvers


def test_the_book_holds_the_table_of_the_benchmark_s_figures() -> None:
    results = json.loads(bench_solvers.RESULTS.read_text())
    page = bench_solvers.PAGE.read_text()
    assert bench_solvers.written(page, results) == page
    # the canary: another figure, machine or date is another table
    for name in ("date", "machine"):
        assert bench_solvers.written(page, {**results, name: "x"}) != page
    first, *rest = results["rows"]
    assert bench_solvers.written(page, {**results, "rows": [{**first, "ours": 2 * first["ours"]}, *rest]}) != page


def test_seconds_are_printed_in_their_unit() -> None:
    row = {"what": "a game", "ours": 0.002, "HiGHS": 0.006, "12 products": 1e-6, "products": 7, "peak bytes": 3 * 2**20}
    line = bench_solvers.table({"date": "d", "machine": "m", "rows": [row]}).splitlines()[-1]
    assert line == "| a game | 2 ms | HiGHS 6 ms; 12 products 1 µs | 3x; 2e+03 times the limit | 7 products, 3.0 MiB |"


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

"""The tables of notebooks/background/speed.md: a script keeps its rows beside itself, and this writes them there.

    python tests/benchmarks/page.py        writes all tables again, without measuring

A row says ``what`` was measured, ``ours``, its ``peers`` and ``limits`` by name, and ``work``, in words; figures are in
its ``unit``: s, MiB, or one with "/s", where more is better.  A peer that does not do this has None.
"""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "notebooks" / "background" / "speed.md"
H200 = ROOT / "llm_bridge" / "results" / "h200.json"
BEGIN, END = "<!-- {} writes from here -->\n", "<!-- to here -->\n"
HELD = "\N{NO-BREAK SPACE}"  # between a figure and its unit
Row = dict[str, Any]


def keep(script: str, how: str, rows: list[Row], libraries: tuple[str, ...] = ("numpy",)) -> None:
    """Write the rows of a script, with machine and date, beside it and into its table on the page, and print them.

    how  what the figures are, as the page says it: "CPU time of one thread, the best of several calls".
    """
    found = {"how": how, "date": date.today().isoformat(), "machine": machine(libraries), "rows": rows}
    (HERE / f"{script}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), {script: found}), encoding="utf-8")
    print(table(found))


def kept() -> dict[str, Row]:
    """What every script has kept, by its name, and what was measured on a GPU."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("bench_*.json"))}
    return found | {"h200": on_h200(json.loads(H200.read_text(encoding="utf-8")))}


def written(page: str, results: dict[str, Row]) -> str:
    """The page with these tables between their marks."""
    for script, found in results.items():
        before, rest = page.split(BEGIN.format(script))
        page = before + BEGIN.format(script) + table(found) + END + rest.split(END, 1)[1]
    return page


def marks(page: str) -> list[str]:
    """The scripts that have a table on the page."""
    return re.findall(BEGIN.format("(.*)"), page)


def machine(libraries: tuple[str, ...]) -> str:
    """The processor as Linux names it, the number of cores, how busy they were, and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores{load}; Python "
        f"{platform.python_version()}, {versions}"
    )


def table(found: Row) -> str:
    """Results as the page prints them."""
    head = ["", "ours", "peer or limit", "ratio", "work"]
    lines = [_cells(row) for row in found["rows"]]
    width = 5 if any(line[4] for line in lines) else 4
    return "\n".join(
        [
            f"{found['how']}; {found['date']}, {found['machine']}.",
            "",
            _line(head[:width]),
            "|" + "---|" * width,
            *(_line(line[:width]) for line in lines),
            "",
        ]
    )


def _cells(row: Row) -> list[str]:
    unit, ours = row.get("unit", "s"), row["ours"]
    others = row.get("peers", {}) | row.get("limits", {})
    ratios = [ours / x if "/s" in unit else x / ours for x in row.get("peers", {}).values() if x is not None]
    limits = [f"{ours / x:.0%} of the limit" if "/s" in unit else f"{ours / x:.2g} times the limit"
              for x in row.get("limits", {}).values()]  # fmt: skip
    return [
        row["what"],
        figure(ours, unit),
        "; ".join(f"{name} {'none' if x is None else figure(x, unit)}" for name, x in others.items()),
        "; ".join([*(f"{x:.2g}x" for x in ratios), *limits]),
        row.get("work", ""),
    ]


def _line(cells: list[str]) -> str:
    return re.sub(r"  +", " ", f"| {' | '.join(cells)} |")


def figure(x: float, unit: str) -> str:
    """Three digits and the unit: 1.61 ms, 398 MiB, 6.8 M updates/s."""
    if unit != "s":
        return f"{x:,.0f}{HELD}{unit}" if x >= 100 else f"{x:.3g}{HELD}{unit}"
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if x >= size or name == "µs":
            return f"{x / size:.3g}{HELD}{name}"
    raise AssertionError


def on_h200(results: Row) -> Row:
    """The rows of the H200's figures: seconds a token."""
    now = results["decoding"]
    rows: list[Row] = [
        {"what": "a token after 256, 64 rows of SmolLM2-135M's shape", "ours": now["milliseconds_a_token"] / 1e3,
         "limits": {"on the device": now["of_them_on_the_device"] / 1e3},
         "work": f"{now['kernels_a_token']:,} kernels"}
    ]  # fmt: skip
    names = {"generate": "transformers' generate", "kernel_by_kernel": "ours, kernel by kernel"}
    for tokens in (32, 128):
        seconds = {name: x / tokens for name, x in results["sampler"][str(tokens)].items()}
        rows += [
            {"what": f"the same before the last improvement, {tokens} tokens", "ours": seconds["plain"],
             "peers": {words: seconds[name] for name, words in names.items()}},
            {"what": f"then of the mixture, {tokens} tokens", "ours": seconds["mixture"],
             "peers": {"TRL 1.13.0's mixture, cache off": seconds["trl_mixture"]}},
        ]  # fmt: skip
    chunked, naive = (results["log_prob"][name]["peak_mib"] for name in ("chunked", "naive"))
    rows.append({"what": "log-probabilities, 152k tokens of vocabulary, T = 1024", "unit": "MiB", "ours": chunked,
                 "peers": {"all logits at once": naive}})  # fmt: skip
    about = results["environment"]
    versions = ", ".join(f"{name} {about[name]}" for name in ("torch", "transformers", "trl"))
    return {"how": "bfloat16, what passes until the device is done", "date": results["date"],
            "machine": f"{about['device']}; {versions}", "rows": rows}  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), kept()), encoding="utf-8")

"""The report of ``nashlab verify``: figures and one self-contained HTML page, no script, nothing from a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol

from nashlab.files import replacing
from nashlab.plots.checks import Outcome, claims
from nashlab.plots.style import save

__all__ = ["CSS", "Figures", "Row", "claims_figure", "write_verify_report"]


class Row(Protocol):
    """What the report needs of a result; see :class:`nashlab.claims.Result`."""

    @property
    def id(self) -> str: ...
    @property
    def statement(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def worst_error(self) -> float: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def cases(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def excess(self) -> float: ...
    @property
    def counterexample(self) -> Mapping[str, Any] | None: ...


CSS = """
:root { color-scheme: light dark; --ink: #222; --muted: #6b6b6b; --line: #dcdcdc; --paper: #fff; --good: #00704f;
  --bad: #b33c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --muted: #a3a3a3; --line: #3a3a3a; --paper: #161616;
  --good: #4cc79d; --bad: #ff9a5c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2.4rem; }
p.lead, figcaption, .small { color: var(--muted); }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.pass { color: var(--good); } .fail { color: var(--bad); font-weight: 700; } .skipped { color: var(--muted); }
figure { margin: 1.2rem 0; } figure img { width: 100%; background: #fff; border-radius: 4px; }
details { margin: .4rem 0; } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .78rem; }
@media print { body { margin: 0; max-width: none; } details { break-inside: avoid; } }
"""


Figures = Mapping[str, tuple[str, Any]]


def write_verify_report(
    folder: Path,
    rows: Sequence[Row],
    environment: Mapping[str, Any],
    figures: Figures,
    where: str = "on named games, on human judgments and on random games",
) -> None:
    """Draw figures (name -> caption, figure) into a folder and write ``report.html`` beside
    them; every file appears whole or not at all."""
    images = []
    for name, (caption, figure) in figures.items():
        path = folder / f"{name}.png"
        save(figure, path)
        images.append(_image(path, caption))
    with replacing(folder / "report.html") as part:
        part.write_text(_page(rows, environment, images, where), encoding="utf-8")


def claims_figure(rows: Sequence[Row]) -> dict[str, tuple[str, Any]]:
    """The claims at a glance; a machine-checked proof ("E1 coq") has no error to draw."""
    drawn = [r for r in rows if " " not in r.id]
    outcomes = [Outcome(r.id, r.worst_error, r.tolerance, r.status == "pass") for r in drawn]
    return {"claims": ("Worst error of every claim, relative to its stated tolerance.", claims(outcomes))}


def _image(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _page(rows: Sequence[Row], environment: Mapping[str, Any], images: Sequence[str], where: str) -> str:
    good = sum(r.status == "pass" for r in rows)
    canary = bool(environment.get("canary"))
    what = "wrong twins were caught" if canary else "claims hold"
    table = "\n".join(_table_row(r, canary) for r in rows)
    excess = '\n<th class="number">error/tolerance</th>' if canary else ""
    shown = "\n".join(_example(r) for r in rows if r.counterexample)
    samples, seed = (escape(str(environment.get(key))) for key in ("samples", "seed"))
    skipped = sum(r.status == "skipped" for r in rows)
    good_of = f"{good} of {len(rows) - skipped}"
    beside = f" ({skipped} skipped)" if skipped else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Verified: {good_of}</title><style>{CSS}</style></head><body>
<h1>{good_of} {what}{beside}</h1>
<p class="lead">Each row is a statement of the theory of preference games, checked by computation {where}, with up to
{samples} random cases a claim (seed {seed}).</p>
<table><thead><tr><th>id</th><th>statement</th><th>status</th><th class="number">worst error</th>
<th class="number">tolerance</th>{excess}<th class="number">cases</th><th class="number">seconds</th></tr></thead>
<tbody>{table}</tbody></table>
<h2>Figures</h2>
{"".join(images)}
<h2>Counterexamples and witnesses</h2>
{shown or '<p class="small">None.</p>'}
<h2>Environment</h2>
<pre>{escape(json.dumps(environment, indent=1, ensure_ascii=False))}</pre>
</body></html>
"""


def _table_row(r: Row, canary: bool) -> str:
    excess = f'<td class="number">{r.excess:.1e}</td>' if canary else ""
    return (
        f"<tr><td>{escape(r.id)}</td><td>{escape(r.statement)}</td>"
        f'<td class="{escape(r.status)}">{escape(r.status)}</td>'
        f'<td class="number">{r.worst_error:.1e}</td><td class="number">{r.tolerance:.0e}</td>{excess}'
        f'<td class="number">{r.cases}</td><td class="number">{r.seconds:.1f}</td></tr>'
    )


def _example(r: Row) -> str:
    content = escape(json.dumps(r.counterexample, ensure_ascii=False, default=str))
    return f"<details><summary>{escape(r.id)}: {escape(r.statement)}</summary><pre>{content}</pre></details>"

"""The page of ``nashlab check --html``: the verdict's sentences, its optimum as a curve, the JSON; no script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from nashlab.check.words import headline, sentences
from nashlab.files import plain, replacing
from nashlab.game import BadInput
from nashlab.report import CSS

__all__ = ["write_verdict"]

WIDTH, HEIGHT, MARGIN = 420, 220, 30  # of the curve, in pixels


def write_verdict(path: Path, verdict: Mapping[str, Any]) -> None:
    """Write the page whole or not at all."""
    try:
        with replacing(path) as part:
            part.write_text(_page(plain(verdict)), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"html = {path}: cannot be written ({error.strerror or error})") from None


def _page(verdict: Mapping[str, Any]) -> str:
    rows = "\n".join(f"<tr><th>{escape(topic)}</th><td>{escape(said)}</td></tr>" for topic, said in sentences(verdict))
    content = escape(json.dumps(verdict, indent=1, ensure_ascii=False))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Verdict on {escape(verdict["name"])}</title><style>{CSS}</style></head><body>
<h1>{escape(headline(verdict))}</h1>
<p class="lead">{escape(verdict["summary"])} Judged by <code>nashlab check</code> at τ = {verdict["tau"]:g}.</p>
{_curve(verdict["offline"])}
<table><tbody>{rows}</tbody></table>
<details><summary>Everything, as JSON</summary><pre>{content}</pre></details>
</body></html>
"""


def _curve(offline: Mapping[str, Any] | None) -> str:
    """d*(p) where it exists, against p."""
    points = [] if offline is None else [(float(p), d) for p, d in offline["optimum"].items() if d is not None]
    if len(points) < 2:
        return ""
    highest = max(abs(d) for _, d in points) or 1.0
    at = [
        (MARGIN + p * (WIDTH - 2 * MARGIN), HEIGHT / 2 - d / highest * (HEIGHT / 2 - MARGIN)) for p, d in points
    ]  # fmt: skip
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in at)
    return f"""<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" fill="currentColor"
 aria-label="the optimal gap against the preference">
<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{HEIGHT / 2}" y2="{HEIGHT / 2}" stroke="currentColor" opacity=".3"/>
<polyline points="{line}" fill="none" stroke="currentColor"/>{dots}
<text x="{MARGIN}" y="{HEIGHT - 6}" font-size="11">p = 0</text>
<text x="{WIDTH - MARGIN - 30}" y="{HEIGHT - 6}" font-size="11">p = 1</text>
<text x="2" y="{MARGIN - 8}" font-size="11">{highest:.4g}</text></svg>
<figcaption>The optimal gap of log-ratios d*(p) offline, on two responses.</figcaption></figure>"""

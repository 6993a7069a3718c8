"""The page of ``nashlab check --html``: the verdict's sentences, its optimum as a curve, the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nashlab.check.words import headline, sentences
from nashlab.files import plain, replacing
from nashlab.game import BadInput
from nashlab.report import page

__all__ = ["write_verdict"]

LEFT, WIDTH, MIDDLE, RISE = 30, 360, 110, 80  # pixels of the curve in its picture


def write_verdict(path: Path, verdict: Mapping[str, Any]) -> None:
    """Write the page atomically."""
    shown = plain(verdict)
    curve, highest = _curve(shown["offline"])
    text = page("verdict.html", title=headline(shown), verdict=shown, sentences=sentences(shown), curve=curve,
                highest=highest)  # fmt: skip
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"html = {path}: cannot be written ({error.strerror or error})") from None


def _curve(offline: Mapping[str, Any] | None) -> tuple[list[tuple[float, float]], float]:
    """The points of d*(p) in pixels, where it exists, and the largest |d*|."""
    found = [] if offline is None else [(float(p), d) for p, d in offline["optimum"].items() if d is not None]
    highest = max((abs(d) for _, d in found), default=0.0) or 1.0
    return [(round(LEFT + WIDTH * p, 1), round(MIDDLE - RISE * d / highest, 1)) for p, d in found], highest

"""A game as a small picture: who beats whom, row over column, blue where the row wins and orange where it loses.

In a terminal two rows share a line of half blocks; without colours a sign stands for each cell; in HTML it is an SVG.
Games of more than ``LARGEST`` responses are averaged over blocks of neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.text import Text

    from nashlab.game import PreferenceGame

__all__ = ["LARGEST", "cells_of", "colour", "coloured", "signs", "svg"]

LARGEST = 16
WIN, LOSS, EVEN = (0, 114, 178), (213, 94, 0), (238, 238, 238)  # of a palette that colour-blind readers can tell apart
FAINT = 0.05  # of the largest margin: drawn as a dot where there are only signs

Cells = NDArray[np.float64]


def cells_of(game: PreferenceGame) -> Cells:
    """The margins over their largest, in [−1, 1], [m, m] with m at most ``LARGEST``; of prompts, the first one.

    >>> from nashlab.gallery import get
    >>> cells_of(get("rps")).tolist()
    [[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]
    """
    margins = (game.prompt(0) if game.batch else game).margins
    largest = float(np.max(np.abs(margins), initial=0.0))
    scaled = margins / largest if largest > 0 else np.zeros_like(margins)
    groups = np.array_split(np.arange(len(scaled)), min(len(scaled), LARGEST))
    return np.array([[scaled[np.ix_(a, b)].mean() for b in groups] for a in groups])


def colour(value: float) -> str:
    """The colour of a cell in [−1, 1], as #rrggbb.

    >>> colour(1.0), colour(0.0), colour(-1.0)
    ('#0072b2', '#eeeeee', '#d55e00')
    """
    end, share = (WIN if value > 0 else LOSS), abs(value)
    return "#" + "".join(f"{round(e + share * (f - e)):02x}" for e, f in zip(EVEN, end, strict=True))


def signs(cells: Cells) -> str:
    """A sign for each cell, a line for each row: + wins, - loses, · is about even.

    >>> print(signs(np.array([[0.0, 1.0], [-1.0, 0.0]])))
    ·+
    -·
    """
    return "\n".join("".join("·" if abs(v) < FAINT else "+" if v > 0 else "-" for v in row) for row in cells)


def coloured(cells: Cells) -> Text:
    """Two rows of cells in a line of half blocks, for a terminal with colours."""
    from rich.text import Text

    text = Text()
    for k in range(0, len(cells), 2):
        upper, lower = cells[k], cells[k + 1] if k + 1 < len(cells) else None
        for j, value in enumerate(upper):
            under = "" if lower is None else f" on {colour(float(lower[j]))}"
            text.append("▀", style=colour(float(value)) + under)
        text.append("\n" if k + 2 < len(cells) else "")
    return text


def svg(cells: Cells, size: int = 96) -> str:
    """The picture as an SVG element of ``size`` pixels."""
    n = len(cells)
    squares = "".join(
        f'<rect x="{j}" y="{i}" width="1.02" height="1.02" fill="{colour(float(cells[i, j]))}"/>'
        for i in range(n)
        for j in range(n)
    )
    label = "heat map: blue where the row is preferred to the column"
    return (
        f'<svg viewBox="0 0 {n} {n}" width="{size}" height="{size}" role="img" aria-label="{label}" '
        f'shape-rendering="crispEdges">{squares}</svg>'
    )

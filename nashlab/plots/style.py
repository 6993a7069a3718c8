"""The look of every figure: palette, sizes, and how a figure is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nashlab.files import replacing
from nashlab.game import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

# Okabe & Ito's palette, told apart by all common kinds of colour vision
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A6D3B")
INK, MUTED, GRID = "#222222", "#767676", "#E4E4E4"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
}
SUFFIXES = (".png", ".svg", ".pdf")
FLOOR = 1e-17  # where a log axis ends: below, a float64 history is rounding


def check_figure_path(path: Path) -> None:
    """Refuse a figure file that cannot be written, before the work and not after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"{path}: a figure must end in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: the folder {path.parent} does not exist")


def save(figure: Figure, path: Path) -> None:
    """Write a figure under its final name only when it is complete."""
    check_figure_path(path)
    # no time stamp: the same data give the same bytes
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
    with replacing(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower(), bbox_inches="tight", metadata=metadata)


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, laid out so that nothing overlaps; inside :func:`styled`."""
    from matplotlib.figure import Figure as NewFigure

    return NewFigure(figsize=(width, height), layout="constrained")


def styled() -> Any:
    """A context in which every figure has the project's look."""
    from matplotlib import rc_context

    rc: Any = STYLE  # the stubs list every key
    return rc_context(rc)

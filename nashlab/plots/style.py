"""The common look of all figures: palette, sizes, and saving."""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithms import REGISTRY, get
from nashlab.files import replacing
from nashlab.game import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

# Okabe & Ito's palette, distinguishable with all common kinds of colour vision
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
NOTEBOOK_DPI = 130  # for a figure in a notebook: sharp at page width, about 50 kB
STAR: dict[str, Any] = {"marker": "*", "ms": 11, "mec": "white", "mew": 0.6, "ls": "none", "zorder": 6}
FLOOR = 1e-17  # the end of a log axis: below, a float64 history is rounding

SOLID: Any = "-"
DASHED: Any = (0, (5, 2))
DOTTED: Any = (0, (1.2, 1.6))
DASH_DOT: Any = (0, (6, 2, 1.2, 2))
LONG_DASH: Any = (0, (10, 3))

METHODS: dict[str, tuple[int, Any]] = {
    "online-ipo": (0, SOLID),
    "self-play-pg": (0, DOTTED),
    "online-ipo-entropic": (0, DASH_DOT),
    "offline-ipo": (0, DASHED),
    "ipo-md": (1, SOLID),
    "ipo-md-entropic": (1, DASH_DOT),
    "ipo-md-behaviour": (1, DOTTED),
    "online-dpo": (2, SOLID),
    "offline-dpo": (2, DASHED),
    "online-gpo": (2, DOTTED),
    "xpo": (2, DASH_DOT),
    "nash-md-pg": (3, SOLID),
    "nash-md": (3, DASH_DOT),
    "nash-md-debiased": (3, LONG_DASH),
    "nash-ema-pg": (3, DOTTED),
    "best-response": (3, DASHED),
    "online-slic": (4, SOLID),
    "offline-slic": (4, DASHED),
    "rlhf-pg": (5, SOLID),
    "fictitious-play": (5, DASHED),
    "regret-matching-plus": (5, DOTTED),
    "predictive-regret-matching-plus": (5, DASH_DOT),
    "omd": (6, SOLID),
    "mmd": (6, DASHED),
    "comal": (6, DASH_DOT),
    "egpo": (7, SOLID),
    "omwu": (7, DASHED),
    "sppo": (7, DOTTED),
    "spo": (7, DASH_DOT),
}
"""name -> (index in PALETTE, line style): colour shows the family, dashes offline forms, dash-dots mirror steps."""


def method_style(name: str) -> dict[str, Any]:
    """The colour and line style of a method (name or alias, any optimiser suffix ignored), the same in every figure.

    >>> method_style("online-ipo+adam:0") == method_style("online-ipo")
    True
    >>> method_style("offline-ipo")["color"] == method_style("online-ipo")["color"]
    True
    >>> len({str(method_style(name)) for name in REGISTRY}) == len(REGISTRY)
    True
    """
    colour, dashes = _look(get(name.partition("+")[0]).name)
    return {"color": PALETTE[colour], "linestyle": dashes}


def _look(name: str) -> tuple[int, Any]:
    """The entry of METHODS, or for an unknown algorithm the next free combination."""
    if name in METHODS:
        return METHODS[name]
    dashes = (SOLID, DASHED, DOTTED, DASH_DOT, LONG_DASH)
    free = [(k, line) for line in dashes for k in range(len(PALETTE)) if (k, line) not in METHODS.values()]
    return free[[other for other in REGISTRY if other not in METHODS].index(name) % len(free)]


def line_styles(names: Sequence[str]) -> list[dict[str, Any]]:
    """A style for each line of one figure: :func:`method_style`, with shades if one method is drawn twice or three
    times; further repetitions and unknown names take free colours of the palette in turn."""
    known = {alias for spec in REGISTRY.values() for alias in (spec.name, *spec.aliases)}
    plain = [name.partition("+")[0] for name in names]
    plain = [get(name).name if name in known else "" for name in plain]
    count = Counter(plain)
    taken = {_look(name)[0] for name in count if name and count[name] <= len(SHADES)}
    free = [colour for k, colour in enumerate(PALETTE) if k not in taken] or list(PALETTE)
    seen, strangers = Counter[str](), 0
    styles: list[dict[str, Any]] = []
    for name in plain:
        if name and count[name] <= len(SHADES):
            style = method_style(name)
            shades = SHADES[count[name]]
            styles.append({**style, "color": shade(style["color"], shades[seen[name]])})
            seen[name] += 1
        else:
            styles.append({"color": free[strangers % len(free)], "linestyle": SOLID})
            strangers += 1
    return styles


SHADES: dict[int, tuple[float, ...]] = {1: (0.0,), 2: (-0.25, 0.4), 3: (-0.45, 0.0, 0.5)}


def shade(colour: str, by: float) -> str:
    """A colour mixed with white (by > 0) or black (by < 0), as #RRGGBB.

    >>> shade("#0080FF", 0.5)
    '#80c0ff'
    """
    end = 255.0 if by > 0 else 0.0
    parts = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(x + abs(by) * (end - x)):02x}" for x in parts)


def check_figure_path(path: Path) -> None:
    """Refuse a figure file that cannot be written, before the work instead of after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"{path}: a figure must end in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: the folder {path.parent} does not exist")


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically."""
    check_figure_path(path)
    from matplotlib import rc_context

    # no time stamp, and no names drawn at random: the same data give the same bytes
    kind = path.suffix[1:].lower()
    stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with replacing(path) as part, rc_context({"svg.hashsalt": "nashlab"}):
        figure.savefig(part, format=kind, bbox_inches="tight", metadata=stamp)


@functools.cache
def _shown_figure() -> type[Figure]:
    """A Figure that notebooks display without pyplot; matplotlib is imported when the first one is made."""
    from matplotlib.figure import Figure as Plain

    class Shown(Plain):
        def _repr_png_(self) -> bytes:
            from PIL import Image

            whole, small = io.BytesIO(), io.BytesIO()
            self.savefig(whole, format="png", dpi=NOTEBOOK_DPI, bbox_inches="tight")
            # notebooks are under version control: 256 flat colours suffice and take a third of the bytes
            Image.open(whole).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
            return small.getvalue()

    return Shown


def new_figure(width: float, height: float) -> Figure:
    """A figure of the given size in inches, laid out without overlaps; call it inside :func:`styled`."""
    return _shown_figure()(figsize=(width, height), layout="constrained")


TICKS = (0.2, 0.4, 0.6, 0.8)  # at the corners they would stand on the labels; finding better ones takes a second


def ternary(figure: Figure, place: tuple[int, int, int], labels: Sequence[str], *, ticks: bool = True) -> Any:
    """Ternary axes at (rows, columns, index) with three corner labels; call it inside :func:`styled`."""
    import mpltern  # noqa: F401 - registers the projection

    axes: Any = figure.add_subplot(*place, projection="ternary")
    axes.set_tlabel(labels[0])
    axes.set_llabel(labels[1])
    axes.set_rlabel(labels[2])
    for axis in (axes.taxis, axes.laxis, axes.raxis):
        axis.set_label_rotation_mode("horizontal")
        axis.set_ticks(TICKS if ticks else [])
    if ticks:
        axes.tick_params(labelsize=6, colors=MUTED)
        axes.grid(color=GRID, lw=0.5)
    else:
        axes.grid(visible=False)
    return axes


def styled() -> Any:
    """A context in which every figure has the project's look."""
    from matplotlib import rc_context

    rc: Any = STYLE  # the stubs list every key
    return rc_context(rc)

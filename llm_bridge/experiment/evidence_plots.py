"""Figures of the evidence: methods at equal KL, their order with its uncertainty, and one figure a cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nashlab.plots.style import MUTED, method_style, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRONTIERS = {"best response of that KL": "-", "equilibrium of that KL": ":", "any preferences (N23d)": "-"}
"""How what a KL can buy is drawn."""

__all__ = ["ahead", "at_equal_kl", "by_cause", "nearness", "paths"]


def paths(evidence: Mapping[str, Any]) -> Figure:
    """Every path from μ, by KL: win rate against μ and, where it is known, exploitability, with what a KL can buy."""
    shown = {"win_rate": "win rate against μ", "exploitability": "exploitability at τ"}
    shown = {key: label for key, label in shown.items() if key in evidence["curves"][0]}
    with styled():
        figure = new_figure(4.6 * len(shown) + 0.6 * (2 - len(shown)), 4.2)
        for axes, (key, label) in zip(np.ravel(figure.subplots(1, len(shown))), shown.items(), strict=True):
            for curve in evidence["curves"]:
                axes.plot(curve["kl"], curve[key], lw=0.9, alpha=0.75, **method_style(curve["method"]))
            for name, line in evidence["frontier"].items():
                if key in line:
                    axes.plot(line["kl"], line[key], FRONTIERS[name], color="black", lw=1.6, label=name)
            axes.set(xlabel="KL(π‖μ), nats, mean over unseen texts", ylabel=label)
        _legend(figure, dict.fromkeys(curve["method"] for curve in evidence["curves"]))
    return figure


def at_equal_kl(evidence: Mapping[str, Any]) -> Figure:
    """What each method loses to the best of its own KL; right, minus the first method's loss, text by text.

    95 % intervals over texts and seeds.
    """
    rows, methods = evidence["equal_kl"], list(evidence["chosen"])
    with styled():
        figure = new_figure(9.2, 4.2)
        left, right = figure.subplots(1, 2)
        for k, method in enumerate(methods):
            there = [row for row in rows if method in row["loss"]["methods"]]
            if there:
                _losses(left, there, method, 1.02 ** (k - len(methods) / 2))
            paired = [row for row in there if methods[0] in row["loss"]["methods"]]
            if paired and k:
                _differences(right, paired, method, methods[0], 1.035 ** (k - len(methods) / 2))
        left.set(title=evidence["loss"])
        right.set(title=f"minus {methods[0]}'s")
        right.axhline(0.0, color=method_style(methods[0])["color"], lw=1.0)
        for axes in (left, right):
            axes.set(xscale="log", xlabel="KL(π‖μ), nats")
            axes.set_xticks([row["kl"] for row in rows], [f"{row['kl']:g}" for row in rows])
            axes.minorticks_off()
        _legend(figure, methods)
    return figure


def _losses(axes: Axes, rows: Sequence[Mapping[str, Any]], method: str, shift: float) -> None:
    places = [row["loss"]["methods"].index(method) for row in rows]
    found = {name: np.array([row["loss"][name][i] for row, i in zip(rows, places, strict=True)])
             for name in ("mean", "low", "high")}  # fmt: skip
    _bars(axes, rows, found, method, shift)


def _differences(axes: Axes, rows: Sequence[Mapping[str, Any]], method: str, other: str, shift: float) -> None:
    names = {"mean": "difference", "low": "difference_low", "high": "difference_high"}
    pairs = [[row["loss"]["methods"].index(m) for m in (method, other)] for row in rows]
    found = {name: np.array([row["loss"][key][i][j] for row, (i, j) in zip(rows, pairs, strict=True)])
             for name, key in names.items()}  # fmt: skip
    _bars(axes, rows, found, method, shift)


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any], method: str, shift: float) -> None:
    x = np.array([row["kl"] for row in rows]) * shift
    spread = [found["mean"] - found["low"], found["high"] - found["mean"]]
    axes.errorbar(x, found["mean"], spread, lw=1.0, elinewidth=0.7, marker="o", ms=3, **method_style(method))


def nearness(evidence: Mapping[str, Any], keys: Sequence[str] = ("exploitability", "distance")) -> Figure:
    """Every method at its chosen setting, nearest first, with 95 % intervals; dots are the seeds."""
    labels = {"exploitability": "exploitability at τ", "distance": "‖π − π*‖₁",
              "exploitability_unregularised": "exploitability at 0"}  # fmt: skip
    with styled():
        order = evidence["order"]
        figure = new_figure(9.2, 0.28 * len(order[keys[0]]["methods"]) + 1.1)
        sequence = np.argsort(order[keys[0]]["mean"])
        for axes, key in zip(np.ravel(figure.subplots(1, len(keys), sharey=True)), keys, strict=True):
            found = order[key]
            for place, i in enumerate(sequence):
                colour = method_style(found["methods"][i])["color"]
                axes.plot([found["low"][i], found["high"][i]], [place, place], color=colour, lw=1.4)
                axes.plot(found["by_seed"][i], [place] * len(found["by_seed"][i]), "|", color=colour, ms=9)
                axes.plot(found["mean"][i], place, "o", color=colour, ms=5)
            axes.set(xlabel=f"{labels[key]}, unseen texts")
            axes.grid(axis="y", visible=False)
            axes.set_yticks(range(len(sequence)), [found["methods"][i] for i in sequence])
        axes.invert_yaxis()
    return figure


def ahead(order: Mapping[str, Any], title: str = "") -> Figure:
    """The probability that the row is nearer than the column, over drawn texts and seeds; nearest first."""
    with styled():
        figure = new_figure(6.2, 4.8)
        axes = figure.subplots()
        sequence = np.argsort(order["mean"])
        values = np.array(order["ahead"])[np.ix_(sequence, sequence)]
        np.fill_diagonal(values, np.nan)
        names = [order["methods"][i] for i in sequence]
        axes.imshow(values, cmap="PuOr_r", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.grid(visible=False)
        axes.set_title(title)
        for (i, j), value in np.ndenumerate(values):
            if i != j:
                strong = abs(value - 0.5) > 0.35
                axes.text(j, i, f"{value:.2f}".removeprefix("0"), ha="center", va="center", fontsize=6.5,
                          color="white" if strong else "black")  # fmt: skip
    return figure


def by_cause(
    values: Mapping[str, Mapping[float, float]], label: str, ylabel: str, ticks: Mapping[float, str] | None = None
) -> Figure:
    """One number of each method against what was changed: method -> {value of the cause: number}.

    ticks  places and names on the axis of the cause (default: its values).
    """
    with styled():
        figure = new_figure(6.6, 3.9)
        axes: Axes = figure.subplots()
        for k, (method, numbers) in enumerate(values.items()):
            x = np.array(list(numbers), dtype=float)
            step = (x.max() - x.min()) / 150 if len(x) > 1 else 0.0
            y = np.array(list(numbers.values()))
            across = x + step * (k - (len(values) - 1) / 2)
            axes.plot(across, y, marker="o", ms=3.5, lw=1.3, **method_style(method))
        axes.set(xlabel=label, ylabel=ylabel)
        named = ticks or {v: f"{v:g}" for numbers in values.values() for v in numbers}
        axes.set_xticks(list(named), list(named.values()))
        axes.xaxis.label.set_color(MUTED)
        _legend(figure, values)
    return figure


def _legend(figure: Figure, methods: Any) -> None:
    """The methods' lines, and whatever is labelled, under the figure."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], lw=1.6, label=method, **method_style(method)) for method in methods]
    known, _ = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles=[*lines, *known], loc="outside lower center", ncols=6, frameon=False)

"""Figures of the evidence: methods at equal KL, their order with its uncertainty, and one figure a cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nashlab.plots.style import MUTED, method_style, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ahead", "at_equal_kl", "by_cause", "nearness", "paths"]


def paths(evidence: Mapping[str, Any]) -> Figure:
    """Every setting's path from μ, by KL: win rate against μ and exploitability, with what the budget can buy."""
    with styled():
        figure = new_figure(9.2, 4.2)
        shown = {"win_rate": "win rate against μ", "exploitability": "exploitability at τ"}
        for axes, (key, label) in zip(figure.subplots(1, 2), shown.items(), strict=True):
            for curve in evidence["curves"]:
                axes.plot(curve["kl"], curve[key], lw=0.9, alpha=0.75, **method_style(curve["method"]))
            rows = evidence["equal_kl"]
            for name, look in (("best response", "-"), ("equilibrium", ":")):
                axes.plot([0.0, *(row["kl"] for row in rows)],
                          [evidence["ends"]["reference"][key], *(row["frontier"][name][key] for row in rows)],
                          look, color="black", lw=1.6, label=f"{name} of that KL")  # fmt: skip
            axes.set(xlabel="KL(π‖μ), nats, mean over unseen texts", ylabel=label)
        _legend(figure, dict.fromkeys(curve["method"] for curve in evidence["curves"]))
    return figure


def at_equal_kl(evidence: Mapping[str, Any]) -> Figure:
    """What each method loses to the equilibrium of its own KL, with 95 % intervals over texts and seeds."""
    with styled():
        figure = new_figure(9.2, 4.0)
        axes = figure.subplots()
        rows = evidence["equal_kl"]
        methods = list(evidence["chosen"])
        for k, method in enumerate(methods):
            there = [(row["kl"], row["loss"], row["loss"]["methods"].index(method)) for row in rows
                     if method in row["loss"]["methods"]]  # fmt: skip
            if not there:
                continue
            x = np.array([kappa for kappa, _, _ in there]) * 1.035 ** (k - len(methods) / 2)
            mean, low, high = (np.array([loss[name][i] for _, loss, i in there]) for name in ("mean", "low", "high"))
            style = method_style(method)
            axes.errorbar(x, mean, [mean - low, high - mean], lw=1.0, elinewidth=0.7, marker="o", ms=3, **style)
        axes.set(xscale="log", yscale="log", xlabel="KL(π‖μ), nats", ylabel="P(equilibrium ≻ method) − ½  =  τ KL(π‖q)")
        axes.set_xticks([row["kl"] for row in rows], [f"{row['kl']:g}" for row in rows])
        axes.minorticks_off()
        _legend(figure, methods)
    return figure


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


def by_cause(values: Mapping[str, Mapping[float, float]], label: str, ylabel: str, spans: Any = None) -> Figure:
    """One number of each method against what was changed: method -> {value of the cause: number}.

    spans  method -> {value: (low, high)}, or None.
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
            if spans:
                low, high = np.array([spans[method][v] for v in numbers]).T
                axes.vlines(across, low, high, color=method_style(method)["color"], lw=0.8)
        axes.set(xlabel=label, ylabel=ylabel)
        axes.set_xticks(sorted({v for numbers in values.values() for v in numbers}))
        axes.xaxis.label.set_color(MUTED)
        _legend(figure, values)
    return figure


def _legend(figure: Figure, methods: Any) -> None:
    """The methods' lines, and whatever is labelled, under the figure."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], lw=1.6, label=method, **method_style(method)) for method in methods]
    known, _ = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles=[*lines, *known], loc="outside lower center", ncols=6, frameon=False)

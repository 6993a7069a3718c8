"""Figures of an experiment: the course of training, and win rates next to the paper's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nashlab.plots.style import PALETTE, method_style, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["averaging", "curves", "descent", "responses", "tables"]

PANELS = {
    "closed": (
        ("step", "exploitability", "exploitability at τ (E2), mean over prompts", "log"),
        ("step", "distance", "‖π − π*‖₁, mean over prompts", "log"),
    ),
    "sampled": (
        ("step", "win_rate", "win rate against the reference, preference model", "linear"),
        ("validation_kl", "win_rate", "win rate against the reference", "linear"),
        ("step", "validation_length", "tokens per completion", "linear"),
    ),
}
"""The axes of each figure: two keys of a record, the label of the second, its scale."""

LABELS = {"step": "steps", "validation_kl": "KL(π‖μ), nats per completion"}


def descent(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Methods on an enumerable language, against steps: exploitability, and the distance to the exact equilibrium with
    its bound proved from the policy alone (E3, N14), dotted.

    runs  method -> records with "step", "exploitability", "distance" and "proved".
    """
    with styled():
        figure = new_figure(9.2, 3.9)
        left, right = figure.subplots(1, 2)
        for method, records in runs.items():
            style = method_style(method)
            steps = [r["step"] for r in records]
            left.plot(steps, [r["exploitability"] for r in records], label=method, lw=1.6, **style)
            right.plot(steps, [r["distance"] for r in records], lw=1.6, **style)
            right.plot(steps, [r["proved"] for r in records], lw=1.1, color=style["color"], linestyle=":")
        for axes, title in ((left, "exploitability  G(π)"), (right, "distance  ‖π − π*‖₁,  dotted: proved")):
            axes.set(yscale="log", xlabel="steps", title=title)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(runs), frameon=False)
    return figure


def responses(
    names: Sequence[str], equilibrium: Sequence[float], reference: Sequence[float], policies: Mapping[str, Any]
) -> Figure:
    """Probabilities of all n sequences: the exact equilibrium as bars, the reference as ticks, each method's policy [n]
    as a dot; sequences by decreasing equilibrium probability."""
    with styled():
        figure = new_figure(9.2, 3.4)
        axes = figure.subplots()
        order = np.argsort(-np.asarray(equilibrium), kind="stable")
        places = np.arange(len(order))
        axes.bar(places, np.asarray(equilibrium)[order], color="#D9D9D9", width=0.8, label="exact equilibrium π*")
        axes.plot(places, np.asarray(reference)[order], "_", ms=13, color="#767676", label="reference μ")
        for k, (method, policy) in enumerate(policies.items()):
            shift = 0.22 * (k - (len(policies) - 1) / 2)
            axes.plot(places + shift, np.asarray(policy)[order], "o", ms=4.5, color=method_style(method)["color"],
                      label=method)  # fmt: skip
        axes.set_xticks(places, [names[i] for i in order])
        axes.grid(axis="x", visible=False)
        axes.set(xlabel="sequence", ylabel="probability")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2 + len(policies),
                      frameon=False)  # fmt: skip
    return figure


def averaging(results: Mapping[str, Any]) -> Figure:
    """Nash averaging of the methods by table: the maximal lottery over methods, and how often each is in its support
    when prompts are resampled with replacement."""
    with styled():
        methods, shown = results["methods"], results["tables"]
        figure = new_figure(9.2, 0.33 * len(methods) + 1.2)
        for k, (axes, (which, table)) in enumerate(
            zip(np.ravel(figure.subplots(1, len(shown), sharey=True)), shown.items(), strict=True)
        ):
            found, places = table["nash_averaging"], np.arange(len(methods))
            shares = found.get("support_share", found["policy"])
            colours = [method_style(m)["color"] for m in methods]
            axes.barh(places, shares, color=PALETTE[-1], alpha=0.18, height=0.8)
            axes.barh(places, found["policy"], color=colours, height=0.45)
            axes.set(title=which, xlim=(0, 1), xlabel="weight;  pale: share of resamples in the support")
            axes.xaxis.label.set_fontsize(7)
            axes.grid(axis="y", visible=False)
            if k == 0:
                axes.set_yticks(places, methods)
                axes.invert_yaxis()
    return figure


def curves(results: Mapping[str, Any]) -> Figure:
    """The measurements during training: means over seeds, with the seeds' range or, against KL, every seed's end."""
    with styled():
        wanted = PANELS[results["kind"]]
        figure = new_figure(4.2 * len(wanted), 4.0)
        for axes, (across, key, label, scale) in zip(figure.subplots(1, len(wanted)), wanted, strict=True):
            for method, runs in results["curves"].items():
                x, y = (np.array([[r[k] for r in run] for run in runs]) for k in (across, key))
                style = method_style(method)
                axes.plot(x.mean(axis=0), y.mean(axis=0), label=method, lw=1.6, **style)
                if across == "step":
                    axes.fill_between(x[0], y.min(axis=0), y.max(axis=0), color=style["color"], alpha=0.15, lw=0)
                else:
                    axes.plot(x[:, -1], y[:, -1], "o", ms=4.5, color=style["color"])
            axes.set(yscale=scale, xlabel=LABELS[across], ylabel=label)
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(6, max(1, len(names))), frameon=False)
        return figure


def tables(results: Mapping[str, Any], which: str) -> Figure:
    """Win rates of row against column, ours and the paper's."""
    with styled():
        figure = new_figure(11.0, 4.6)
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        table, paper = results["tables"][which], results["paper"]
        _matrix(left, table["methods"], table["mean"], table["std"], f"here: {which}")
        _matrix(right, paper["methods"], paper["win_rates"], None, "Calandriello et al. 2024, Table 2")
        return figure


def _matrix(
    axes: Axes, names: Sequence[str], mean: Sequence[Sequence[float]], std: Sequence[Sequence[float]] | None, title: str
) -> None:
    values = np.asarray(mean)
    image = axes.imshow(values, cmap="PuOr_r", vmin=0.2, vmax=0.8)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.grid(visible=False)
    axes.set_title(title)
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:.3f}".removeprefix("0")
        if std is not None and std[i][j] > 0:  # a single pairing of seeds has no spread
            text += f"\n({std[i][j]:.3f})".replace("(0.", "(.")
        brightness = np.dot([0.2126, 0.7152, 0.0722], image.cmap(image.norm(value))[:3])
        axes.text(j, i, text, ha="center", va="center", fontsize=6, color="white" if brightness < 0.4 else "black")

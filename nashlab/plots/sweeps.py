"""Sweeps: bands over games and seeds, by steps and by family of games."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nashlab.plots.style import FLOOR, Array, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sweep_bands(table: Path) -> Figure:
    """Exploitability against steps from a sweep's parquet table: geometric mean over games and seeds with its 95 % band
    (normal, of the logarithms), one panel per temperature; of several step sizes or β the one that ends lowest."""
    import pyarrow.parquet as pq

    columns = {k: np.asarray(v) for k, v in pq.read_table(table).to_pydict().items()}
    temperatures = np.unique(columns["temperature"])
    names = list(dict.fromkeys(columns["algorithm"].tolist()))
    with styled():
        figure = new_figure(4.2 * len(temperatures), 3.6)
        panels = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
        for axes, tau in zip(panels, temperatures, strict=True):
            for name, style in zip(names, line_styles(names), strict=True):
                rows = (columns["algorithm"] == name) & (columns["temperature"] == tau)
                moments, mean, factor = _best_band({key: values[rows] for key, values in columns.items()})
                axes.plot(moments, mean, lw=1.4, label=name, **style)
                axes.fill_between(moments, mean / factor, mean * factor, color=style["color"], alpha=0.2, lw=0)
            axes.set_yscale("log")
            axes.set_xlabel("steps")
            axes.set_title(f"τ = {tau:g}")
        panels[0].set_ylabel("exploitability, geometric mean")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(names)))
    return figure


def sweep_families(table: Path) -> Figure:
    """Exploitability at the end of a sweep, by family of games and algorithm: geometric mean over games and seeds with
    its 95 % band, at the largest temperature; of several step sizes or β the one that ends lowest."""
    import pyarrow.parquet as pq

    columns = {k: np.asarray(v) for k, v in pq.read_table(table).to_pydict().items()}
    families, names = (list(dict.fromkeys(columns[k].tolist())) for k in ("family", "algorithm"))
    tau = columns["temperature"].max()
    with styled():
        figure = new_figure(max(4.6, 1.1 * len(families) + 2.0), 3.8)
        axes = figure.subplots()
        for k, (name, style) in enumerate(zip(names, line_styles(names), strict=True)):
            ends = []
            for family in families:
                rows = (columns["algorithm"] == name) & (columns["temperature"] == tau) & (columns["family"] == family)
                _, mean, factor = _best_band({key: values[rows] for key, values in columns.items()})
                ends.append((mean[-1], factor[-1]))
            mean, factor = np.array(ends).T
            place = np.arange(len(families)) + 0.06 * (k - (len(names) - 1) / 2)
            error = np.abs(np.stack([mean / factor, mean * factor]) - mean)
            axes.errorbar(place, mean, error, marker="o", ms=4, lw=1.2, label=name, **style)
        axes.set_xticks(range(len(families)), families)
        axes.set_yscale("log")
        axes.set_ylabel("exploitability at the end")
        axes.set_title(f"by family of games, τ = {tau:g}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(names)))
    return figure


def _best_band(rows: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """(steps, geometric mean, factor of its band) for the settings whose mean ends lowest."""
    best: tuple[Array, Array, Array] | None = None
    for numbers in sorted(set(zip(rows["step_size"].tolist(), rows["beta"].tolist(), strict=True))):
        here = (rows["step_size"] == numbers[0]) & (rows["beta"] == numbers[1])
        moments = np.unique(rows["step"][here])
        values = np.array([rows["exploitability"][here & (rows["step"] == t)] for t in moments])
        logs = np.log(np.maximum(values, FLOOR))
        error = logs.std(axis=1, ddof=min(1, logs.shape[1] - 1)) / np.sqrt(logs.shape[1])
        band = (moments, np.exp(logs.mean(axis=1)), np.exp(1.96 * error))
        if best is None or band[1][-1] < best[1][-1]:
            best = band
    assert best is not None
    return best

"""Results of checks: worst errors of all claims, and the cost of sampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nashlab.plots.style import GRID, MUTED, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Outcome(NamedTuple):
    """One row of :func:`claims`: identifier, worst error, tolerance, and whether the claim holds."""

    id: str
    worst_error: float
    tolerance: float
    holds: bool


def estimators(
    shares: Mapping[str, Sequence[float]], counts: Sequence[int], simulated: Sequence[float], formula: Sequence[float]
) -> Figure:
    """The cost of sampling (L10, N17): how often D.1 holds and how often Nash-MD-PG's own integrand has less variance
    than the contrast, by family; and cost × variance against the number of completions, simulated and by formula.

    shares  family -> (share of games with D.1, share where Nash-MD-PG has less variance).
    """
    with styled():
        figure = new_figure(9.2, 3.6)
        left, right = figure.subplots(1, 2, width_ratios=(1.3, 1.0))
        rows = np.arange(len(shares))
        labels = ("D.1 holds", "Nash-MD-PG varies less than the contrast")
        for k, label in enumerate(labels):
            values = [100 * s[k] for s in shares.values()]
            left.barh(rows + 0.4 * k - 0.2, values, height=0.36, color=PALETTE[k], label=label)
            for row, value in zip(rows, values, strict=True):
                left.text(value + 0.6, row + 0.4 * k - 0.2, f"{value:.1f}", va="center", fontsize=7, color=MUTED)
        left.set_yticks(rows, list(shares))
        left.invert_yaxis()
        left.grid(axis="y", visible=False)
        left.set_xlabel("% of random games and policies")
        left.set_title("variance, by family of games")
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=2)
        right.plot(counts, formula, color=PALETTE[0], lw=1.4, label="Hoeffding's formula")
        right.plot(counts, simulated, "o", color=PALETTE[1], ms=5, label="simulated")
        best = int(np.argmin(simulated))
        right.annotate(
            f"best k = {counts[best]}",
            (counts[best], simulated[best]),
            (0, -16),
            textcoords="offset points",
            ha="center",
        )
        right.margins(y=0.2)
        right.set_xticks(list(counts))
        right.set_xlabel("completions k, all pairs labelled")
        right.set_title("cost × variance")
        right.legend()
    return figure


def claims(rows: Sequence[Outcome]) -> Figure:
    """Worst error over tolerance of every claim, on a log axis: below 1 it holds; hollow marks are exact zeros."""
    least = 1e-16
    with styled():
        half = (len(rows) + 1) // 2
        figure = new_figure(9.2, 0.17 * half + 0.9)
        for axes, part in zip(figure.subplots(1, 2), (rows[:half], rows[half:]), strict=True):
            for k, row in enumerate(part):
                ratio = (
                    row.worst_error / row.tolerance if row.tolerance > 0 else (np.inf if row.worst_error > 0 else 0.0)
                )
                colour = PALETTE[2] if row.holds else PALETTE[1]
                x = float(np.clip(ratio, least, 1e6))
                axes.plot([least, x], [k, k], color=GRID, lw=1.2, zorder=1)
                axes.plot(x, k, "o", ms=4.5, mec=colour, mfc=colour if ratio > 0 else "white", zorder=2)
            axes.axvline(1.0, color=MUTED, lw=0.8)
            axes.set_xscale("log")
            axes.set_xlim(least / 3, 1e3)
            axes.set_yticks(range(len(part)), [row.id for row in part], fontsize=7)
            axes.set_ylim(max(len(part), 1) - 0.4, -0.6)
            axes.grid(axis="y", visible=False)
            axes.set_xlabel("worst error / tolerance")
    return figure

"""A leaderboard: the lottery with its intervals next to the head-to-head table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nashlab.plots.style import INK, MUTED, PALETTE, Array, new_figure, shade, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nashlab.ranking import Ranking

SHOWN = 25  # responses


def leaderboard(ranking: Ranking, shown: int = SHOWN) -> Figure:
    """The first ``shown`` responses: lottery and equilibrium with 95 % intervals (left), win rates (right; blank: never
    met)."""
    order = ranking.order[:shown]
    names = [ranking.votes.game.labels[i] for i in order]
    wins = ranking.votes.wins
    assert wins is not None
    height = 1.6 + 0.24 * len(order)
    with styled():
        figure = new_figure(10.0, height)
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
        rows = np.arange(len(order))
        for offset, values, interval, colour, label in (
            (-0.16, ranking.lottery, ranking.interval, PALETTE[0], "maximal lottery"),
            (0.16, ranking.equilibrium, ranking.equilibrium_interval, INK, f"equilibrium, τ = {ranking.temperature:g}"),
        ):
            if interval is not None:
                left.hlines(rows + offset, *interval[order].T, color=shade(colour, 0.5), lw=3)
            left.plot(values[order], rows + offset, "o", ms=4, color=colour, label=label)
        left.set_yticks(rows, names)
        left.set_ylim(len(order) - 0.5, -0.5)
        left.set_xlim(-0.02, 1.02)
        left.set_xlabel("probability, with 95% intervals")
        left.legend(loc="lower right")
        _head_to_heads(right, wins, order)
    return figure


def _head_to_heads(axes: Axes, wins: Array, order: NDArray[np.intp]) -> None:
    met = (wins + wins.T)[np.ix_(order, order)]
    rate = np.where(met > 0, wins[np.ix_(order, order)] / np.where(met > 0, met, 1.0), np.nan)
    np.fill_diagonal(rate, np.nan)
    axes.imshow(rate, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title("win rate of row over column")
    axes.set_xlabel("blue: the row wins; blank: never met", color=MUTED)

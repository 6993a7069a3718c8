"""The uncertainty of an equilibrium: bands along the path in τ, the supports that occur, distances against N16."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nashlab.game import PreferenceGame
from nashlab.plots.style import DASHED, GRID, INK, MUTED, PALETTE, Array, new_figure, shade, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANGE = (2.5, 97.5)  # percentiles of a 95 % interval ...
NORMAL = 1.96  # ... and its half width in standard errors
RARE = 0.03  # of the resamples: rarer supports are summed up


class Estimates(NamedTuple):
    """An equilibrium and its uncertainty, at T temperatures; B resamples.

    temperatures  τ, [T];  policies  π*_τ, [T, n];  resamples  of it, [T, B, n];  errors  by the delta method, [T, n];
    lottery       the maximal lottery, [n];  lotteries  its resamples, [B, n].
    """

    temperatures: Array
    policies: Array
    resamples: Array
    errors: Array
    lottery: Array
    lotteries: Array


def equilibrium_bands(game: PreferenceGame, seen: Estimates, shown: int = 4) -> Figure:
    """π*_τ(y) against τ for the likeliest responses, one panel each, with 95 % intervals: bootstrap shaded, delta
    method dashed; left of the axis the maximal lottery, τ = 0."""
    zero = seen.temperatures[0] / 2.2
    with styled():
        figure = new_figure(9.2, 3.3)
        panels = figure.subplots(1, shown, sharey=True)
        order = np.argsort(-seen.policies[len(seen.policies) // 2], kind="stable")[:shown]
        for axes, i in zip(panels, order, strict=True):
            low, high = np.percentile(seen.resamples[:, :, i], RANGE, axis=1)
            axes.fill_between(seen.temperatures, low, high, color=shade(PALETTE[0], 0.65), lw=0, label="95%, bootstrap")
            middle, half = seen.policies[:, i], NORMAL * seen.errors[:, i]
            axes.plot(seen.temperatures, middle, color=PALETTE[0], lw=1.8, label="equilibrium π*")
            for side, label in ((-1, "95%, delta method"), (1, None)):
                axes.plot(seen.temperatures, middle + side * half, color=INK, lw=1.1, ls=DASHED, label=label)
            bottom, top = np.percentile(seen.lotteries[:, i], RANGE)
            axes.plot([zero, zero], [bottom, top], color=shade(PALETTE[0], 0.65), lw=5, solid_capstyle="butt")
            axes.plot(zero, seen.lottery[i], "o", ms=5.5, color=PALETTE[0], mec="white", mew=0.8)
            axes.axhline(1 / game.n, color=MUTED, lw=0.8, ls=":", zorder=0)
            axes.set_xscale("log")
            axes.set_xlim(zero / 1.6, seen.temperatures[-1])
            ticks = [t for t in (0.01, 0.1, 1.0) if seen.temperatures[0] <= t <= seen.temperatures[-1]]
            axes.set_xticks([zero, *ticks], ["0", *(f"{t:g}" for t in ticks)])
            axes.minorticks_off()
            axes.set_ylim(-0.03, 1.03)
            axes.set_xlabel("temperature τ")
            axes.set_title(game.labels[i])
        panels[0].set_ylabel("probability")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def equilibrium_accuracy(game: PreferenceGame, seen: Estimates, errors: Array, delta: Array) -> Figure:
    """What a table of judgments determines: the supports of the lottery in resampled tables (left), and how far π*_τ
    moves in ℓ₁, with the bound of N16 (right).

    errors  ‖P̂ − P‖_max of the resamples, [B];  delta  ‖π̂ − π‖₁ drawn from the delta method's normal law, [T, B].
    """
    with styled():
        figure = new_figure(9.2, 3.5)
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.15))
        _supports(left, game, seen)
        distance = np.abs(seen.resamples - seen.policies[:, None, :]).sum(axis=-1)
        low, middle, high = np.percentile(distance, (RANGE[0], 50, RANGE[1]), axis=1)
        tau = seen.temperatures
        right.fill_between(tau, low, high, color=shade(PALETTE[0], 0.65), lw=0, label="bootstrap, 95%")
        right.plot(tau, middle, color=PALETTE[0], lw=1.8, label="bootstrap, median")
        low, middle, high = np.percentile(delta, (RANGE[0], 50, RANGE[1]), axis=1)
        right.plot(tau, middle, color=INK, lw=1.1, ls=DASHED, label="delta method, median and 95%")
        for edge in (low, high):
            right.plot(tau, edge, color=INK, lw=0.8, ls=DASHED)
        bound = np.percentile(errors, RANGE[1]) / (np.sqrt(3) * tau)
        right.plot(tau, bound, color=INK, lw=1.8, label="bound ε/(√3 τ), N16")
        right.axhline(2.0, color=MUTED, lw=0.8, ls=":")
        right.text(tau[-1], 2.08, "largest possible", ha="right", va="bottom", fontsize=7.5, color=MUTED)
        right.set_xscale("log")
        right.set_yscale("log")
        right.set_xlim(tau[0], tau[-1])
        right.set_ylim(top=5.0)
        right.set_xlabel("temperature τ")
        right.set_title("τ > 0: how far the equilibrium moves, ‖Δπ*‖₁")
        right.legend(loc="lower left")
    return figure


def _supports(axes: Axes, game: PreferenceGame, seen: Estimates) -> None:
    """Bars: how often each support occurs among the resampled lotteries."""
    from matplotlib.ticker import PercentFormatter

    own = tuple(np.flatnonzero(seen.lottery > 0).tolist())
    found = Counter(tuple(np.flatnonzero(x > 0).tolist()) for x in seen.lotteries)
    count = len(seen.lotteries)
    bars: list[tuple[str, int, bool]] = [
        (" + ".join(game.labels[i] for i in support), number, support == own)
        for support, number in found.most_common()
        if number >= RARE * count
    ]
    rest = len(found) - len(bars)
    if rest:
        bars.append((f"{rest} others", count - sum(number for _, number, _ in bars), False))
    for row, (name, number, mine) in enumerate(bars):
        axes.barh(row, number / count, height=0.44, color=PALETTE[0] if mine else shade(PALETTE[0], 0.65))
        axes.text(number / count + 0.01, row, f"{100 * number / count:.0f}%", va="center", fontsize=8, color=MUTED)
        axes.text(0.0, row - 0.27, name, va="bottom", fontsize=8.5, color=INK)
    axes.set_ylim(len(bars) - 0.6, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=GRID)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("of the resampled tables")
    axes.set_title("τ = 0: who is in the lottery")

"""Figures.  Each function returns a matplotlib Figure that belongs to nobody else (no pyplot, no global state).

style   palette, one look for all;  save writes a figure whole or not at all
runs    convergence with its predicted rate, trajectories on the simplex
games   lotteries, paths in τ
sweeps  bands over games and seeds
checks  claims, and what sampling costs
"""

from nashlab.plots.checks import Outcome, claims, estimators
from nashlab.plots.games import lottery, temperature_path
from nashlab.plots.runs import Trajectory, convergence, figure_6, simplex
from nashlab.plots.style import PALETTE, check_figure_path, new_figure, save, styled
from nashlab.plots.sweeps import sweep_bands, sweep_families

__all__ = [
    "PALETTE",
    "Outcome",
    "Trajectory",
    "check_figure_path",
    "claims",
    "convergence",
    "estimators",
    "figure_6",
    "lottery",
    "new_figure",
    "save",
    "simplex",
    "styled",
    "sweep_bands",
    "sweep_families",
    "temperature_path",
]

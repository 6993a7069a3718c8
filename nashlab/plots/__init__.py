"""Figures.  Each function returns its own matplotlib Figure (no pyplot, no global state).

style   palette and a common look;  save writes a figure atomically
runs    convergence with its predicted rate, trajectories on the simplex, last and average iterates
fields  gradient fields on the simplex;  stability  largest steps, orbits, displaced limits
games   lotteries, paths in τ
sweeps  bands over games and seeds
checks  claims, and the cost of sampling
limits  where methods converge;  mixture  IPO-MD, its gradient and its mixture
uncertainty  an equilibrium from judgments and its uncertainty;  boards  leaderboards
"""

from nashlab.plots.boards import leaderboard
from nashlab.plots.checks import Outcome, claims, estimators
from nashlab.plots.fields import Field, angle, field_angles, lattice, proportional_fields
from nashlab.plots.games import lottery, temperature_path
from nashlab.plots.limits import limits_on_simplex, raters, resting_points
from nashlab.plots.mixture import Bias, Pull, estimator_costs, mixture_on_simplex, printed_form
from nashlab.plots.runs import (
    Iterates,
    Trajectory,
    certificates_and_rates,
    certified_distance,
    convergence,
    figure_6,
    iterates,
    last_and_average,
    simplex,
)
from nashlab.plots.stability import (
    Displaced,
    Edge,
    displaced_limits,
    largest_stable_step,
    orbits,
    side_by_side,
    stability_map,
)
from nashlab.plots.style import PALETTE, check_figure_path, line_styles, method_style, new_figure, save, styled
from nashlab.plots.sweeps import sweep_bands, sweep_families
from nashlab.plots.uncertainty import Estimates, equilibrium_accuracy, equilibrium_bands

__all__ = [
    "PALETTE",
    "Bias",
    "Displaced",
    "Edge",
    "Estimates",
    "Field",
    "Iterates",
    "Outcome",
    "Pull",
    "Trajectory",
    "angle",
    "certificates_and_rates",
    "certified_distance",
    "check_figure_path",
    "claims",
    "convergence",
    "displaced_limits",
    "equilibrium_accuracy",
    "equilibrium_bands",
    "estimator_costs",
    "estimators",
    "field_angles",
    "figure_6",
    "iterates",
    "largest_stable_step",
    "last_and_average",
    "lattice",
    "leaderboard",
    "limits_on_simplex",
    "line_styles",
    "lottery",
    "method_style",
    "mixture_on_simplex",
    "new_figure",
    "orbits",
    "printed_form",
    "proportional_fields",
    "raters",
    "resting_points",
    "save",
    "side_by_side",
    "simplex",
    "stability_map",
    "styled",
    "sweep_bands",
    "sweep_families",
    "temperature_path",
]

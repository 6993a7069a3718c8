"""Games: a lottery next to the win rates, and the path of equilibria in τ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame
from nashlab.plots.style import GRID, INK, MUTED, PALETTE, new_figure, styled
from nashlab.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def lottery(solution: Solution) -> Figure:
    """A policy as bars next to the win probabilities that justify it, rows and columns by decreasing mass."""
    game = solution.game
    order = np.argsort(-solution.policy, kind="stable")
    names = [game.labels[i] for i in order]
    p = game.preferences[np.ix_(order, order)]
    with styled():
        figure = new_figure(9.2, 0.42 * game.n + 1.1)
        bars, heat = figure.subplots(1, 2, width_ratios=(1.0, 1.35))
        mass = solution.policy[order]
        bars.barh(range(game.n), mass, color=[PALETTE[0] if m > 0 else GRID for m in mass], height=0.62)
        bars.set_yticks(range(game.n), names)
        bars.invert_yaxis()
        bars.grid(axis="y", visible=False)
        bars.set_xlim(0, 1.25 * float(np.max(mass)))
        exact = solution.policy_exact
        for row, i in enumerate(order):
            text = str(exact[i]) if exact is not None and len(str(exact[i])) < 10 else f"{mass[row]:.3g}"
            bars.text(mass[row], row, f" {text}", va="center", fontsize=8, color=INK if mass[row] > 0 else MUTED)
        kind = "maximal lottery" if solution.temperature == 0 else f"equilibrium at τ = {solution.temperature:g}"
        bars.set_title(f"{game.name}: {kind}")
        heat.imshow(p, cmap="PuOr_r", vmin=0, vmax=1, aspect="auto")
        heat.grid(visible=False)
        heat.set_xticks(range(game.n), names, rotation=35, ha="right")
        heat.set_yticks(range(game.n), [""] * game.n)
        heat.tick_params(length=0)
        heat.set_title("how often the row beats the column")
        if game.n <= 12:
            for i, j in np.ndindex(p.shape):
                shade = "white" if abs(p[i, j] - 0.5) > 0.3 else INK
                if i != j:
                    heat.text(j, i, f"{p[i, j]:.2f}", ha="center", va="center", fontsize=7, color=shade)
    return figure


def temperature_path(game: PreferenceGame, temperatures: Sequence[float] | None = None) -> Figure:
    """π*_τ(y) against τ: from the maximal lottery on the left to the reference on the right (E5)."""
    taus = np.geomspace(1e-4, 10.0, 80) if temperatures is None else np.asarray(temperatures)
    policies = np.array([regularised_nash(game, float(t)).policy for t in taus])
    with styled():
        figure = new_figure(6.4, 3.6)
        axes = figure.subplots()
        for k, i in enumerate(np.argsort(-policies[0], kind="stable")):
            axes.plot(taus, policies[:, i], color=PALETTE[k % len(PALETTE)], lw=1.5, label=game.labels[i])
        axes.set_xscale("log")
        axes.set_xlim(taus[0], taus[-1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("temperature τ")
        axes.set_title(f"{game.name}: the equilibrium between lottery (left) and reference (right)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure

"""Runs: convergence with its predicted rate, trajectories on the simplex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame
from nashlab.plots.style import FLOOR, GRID, INK, MUTED, PALETTE, Array, new_figure, styled
from nashlab.rates import Run
from nashlab.solve import solve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Trajectory(NamedTuple):
    """One path of :func:`simplex`: log-policies [R, 3], and the point it goes to (or None)."""

    label: str
    log_path: Array
    log_target: Array | None


# -- convergence -----------------------------------------------------------------------------------------------------


def convergence(runs: Sequence[Run]) -> Figure:
    """Exploitability and ‖π − π*_τ‖₁ against steps; thin lines have the predicted rate (R3), dashed ones show the
    distance to the algorithm's own limit where that is another point."""
    with styled():
        figure = new_figure(9.2, 3.9)
        left, right = figure.subplots(1, 2)
        for k, run in enumerate(runs):
            _convergence_lines(left, right, run, PALETTE[k % len(PALETTE)])
        for axes, title in ((left, "exploitability  G(π)"), (right, "distance  ‖π − π*‖₁")):
            axes.set_yscale("log")
            axes.set_xlabel("steps")
            axes.set_title(title)
            axes.margins(x=0.01)
        figure.legend(loc="outside lower center", ncols=min(3, len(runs)))
    return figure


def _convergence_lines(left: Axes, right: Axes, run: Run, colour: str) -> None:
    history = {k: np.asarray(v) for k, v in run.solution.history.items() if k != "log_policy"}
    steps = history["steps"]

    def curve(name: str) -> Array:
        values = history[name]
        while values.ndim > 1:  # independent games: the worst one
            values = np.max(values, axis=0)
        return np.where(values > FLOOR, values, np.nan)

    numbers = {"predicted": run.predicted, "measured": run.measured}
    rates = ", ".join(f"{word} {rate:.5f}" for word, rate in numbers.items() if rate is not None)
    schedule = run.solution.stats.get("schedule", "constant")
    name = run.spec.name if schedule == "constant" else f"{run.spec.name}, {schedule} steps"
    label = f"{name}: ρ {rates}" if rates else name
    left.plot(steps, curve("exploitability"), color=colour, lw=1.4)
    right.plot(steps, curve("distance"), color=colour, lw=1.4, label=label)
    followed = curve("distance")
    if "target_distance" in history:
        own = curve("target_distance")
        if np.nanmax(np.abs(np.nan_to_num(own) - np.nan_to_num(followed)), initial=0.0) > 1e-9:
            right.plot(steps, own, color=colour, lw=1.1, ls=(0, (4, 2)))
        followed = own
    if run.predicted is not None and run.predicted < 1:
        _rate_line(right, steps, followed, run.predicted, colour)


def _rate_line(axes: Axes, steps: Array, distance: Array, rate: float, colour: str) -> None:
    """A thin line of slope log ρ through the middle of what is above rounding, a little above the curve."""
    seen = np.flatnonzero(np.nan_to_num(distance) > 1e-12)
    if seen.size < 4:
        return
    middle = seen[seen.size // 2]
    reference = 3.0 * distance[middle] * np.exp((steps[seen] - steps[middle]) * np.log(rate))
    shown = (reference > 1e-14) & (reference < 4.0)
    axes.plot(steps[seen][shown], reference[shown], color=colour, lw=1.0, ls=":")


# -- the simplex -----------------------------------------------------------------------------------------------------


def simplex(
    panels: Mapping[str, Sequence[Trajectory]], log_nash: Array, labels: Sequence[str] = ("1", "2", "3")
) -> Figure:
    """Trajectories of three-response policies on ternary axes, one panel a family; ★ is the equilibrium, ○ a method's
    own limit where it is another point."""
    import mpltern  # noqa: F401 - registers the ternary projection

    with styled():
        figure = new_figure(3.3 * len(panels), 3.9)
        for k, (title, trajectories) in enumerate(panels.items()):
            axes: Any = figure.add_subplot(1, len(panels), k + 1, projection="ternary")
            axes.set_title(title, pad=14)
            axes.set_tlabel(labels[0])
            axes.set_llabel(labels[1])
            axes.set_rlabel(labels[2])
            axes.tick_params(labelsize=6, colors=MUTED)
            axes.grid(color=GRID, lw=0.5)
            for i, path in enumerate(trajectories):
                colour = PALETTE[i % len(PALETTE)]
                policy = np.exp(path.log_path)
                axes.plot(*policy.T, color=colour, lw=1.2, label=path.label)
                axes.plot(*policy[:1].T, marker=".", ms=4, color=MUTED, ls="none")
                if path.log_target is not None and np.abs(np.exp(path.log_target) - np.exp(log_nash)).sum() > 1e-3:
                    target = np.exp(path.log_target)[None].T
                    axes.plot(*target, marker="o", ms=5, mfc="white", mec=colour, ls="none", zorder=5)
            star: dict[str, Any] = {"marker": "*", "ms": 11, "mec": "white", "mew": 0.6, "ls": "none", "zorder": 6}
            axes.plot(*np.exp(log_nash)[None].T, color=INK, **star)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=1, handlelength=1.4)
    return figure


def figure_6(game: PreferenceGame, temperature: float = 0.1, steps: int = 4000) -> Figure:
    """The paper's Figure 6 for any three-response game: online, offline and mirror-descent variants of IPO.

    Online methods circle into π*_τ; offline IPO goes elsewhere, to a point that depends on the data policy (L4); IPO-MD
    and Nash-MD-PG go to π*_β, between the two (L6).
    """
    start = np.log([0.08, 0.12, 0.8])

    def path(label: str, name: str, *, beta: float = 0.0, behaviour: Sequence[float] | None = None) -> Trajectory:
        numbers: dict[str, Any] = {"beta": beta, "behaviour": behaviour, "start": start}
        run = solve(name, game, temperature, step_size=0.5, steps=steps, keep_path=True, **numbers)
        return Trajectory(label, run.history["log_policy"], run.stats["target"])

    data = ([0.6, 0.3, 0.1], [0.1, 0.3, 0.6])
    panels = {
        "online: sampled by π": [
            path("online IPO", "online-ipo"),
            path("online IPO, natural gradient (OMD)", "omd"),
            path("online DPO", "online-dpo"),
        ],
        "offline: sampled by a data policy": [
            path("offline IPO, μ_b = μ", "offline-ipo"),
            *(path(f"offline IPO, μ_b = ({', '.join(f'{p:g}' for p in b)})", "offline-ipo", behaviour=b) for b in data),
        ],
        "mirror descent: sampled by m_β": [
            *(path(f"IPO-MD, β = {beta:g}", "ipo-md", beta=beta) for beta in (0.125, 0.5, 0.9)),
            path("Nash-MD-PG, β = 0.5", "nash-md-pg", beta=0.5),
        ],
    }
    return simplex(panels, regularised_nash(game, temperature).log_policy, game.labels)

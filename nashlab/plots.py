"""Figures: convergence with its predicted rate, trajectories on the simplex, lotteries, paths in τ, claims.

Every function returns a matplotlib Figure that belongs to nobody else (no pyplot, no global state); :func:`save` writes
it atomically.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.equilibrium import regularised_nash
from nashlab.files import replacing
from nashlab.game import BadInput, PreferenceGame
from nashlab.rates import Run
from nashlab.solution import Solution
from nashlab.solve import solve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Outcome",
    "Trajectory",
    "check_figure_path",
    "claims",
    "convergence",
    "estimators",
    "figure_6",
    "lottery",
    "save",
    "simplex",
    "sweep_bands",
    "sweep_families",
    "temperature_path",
]

Array = NDArray[np.float64]

# Okabe & Ito's palette, told apart by all common kinds of colour vision
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A6D3B")
INK, MUTED, GRID = "#222222", "#767676", "#E4E4E4"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
}
SUFFIXES = (".png", ".svg", ".pdf")
FLOOR = 1e-17  # where a log axis ends: below, a float64 history is rounding


class Trajectory(NamedTuple):
    """One path of :func:`simplex`: log-policies [R, 3], and the point it goes to (or None)."""

    label: str
    log_path: Array
    log_target: Array | None


class Outcome(NamedTuple):
    """One row of :func:`claims`: identifier, worst error, tolerance, and whether the claim holds."""

    id: str
    worst_error: float
    tolerance: float
    holds: bool


def check_figure_path(path: Path) -> None:
    """Refuse a figure file that cannot be written, before the work and not after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"{path}: a figure must end in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: the folder {path.parent} does not exist")


def save(figure: Figure, path: Path) -> None:
    """Write a figure under its final name only when it is complete."""
    check_figure_path(path)
    # no time stamp: the same data give the same bytes
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
    with replacing(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower(), bbox_inches="tight", metadata=metadata)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure as NewFigure

    return NewFigure(figsize=(width, height), layout="constrained")


def _styled() -> Any:
    from matplotlib import rc_context

    rc: Any = STYLE  # the stubs list every key
    return rc_context(rc)


# -- convergence -----------------------------------------------------------------------------------------------------


def convergence(runs: Sequence[Run]) -> Figure:
    """Exploitability and ‖π − π*_τ‖₁ against steps; thin lines have the predicted rate (R3), dashed ones show the
    distance to the algorithm's own limit where that is another point."""
    with _styled():
        figure = _figure(9.2, 3.9)
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

    with _styled():
        figure = _figure(3.3 * len(panels), 3.9)
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


# -- equilibria ------------------------------------------------------------------------------------------------------


def lottery(solution: Solution) -> Figure:
    """A policy as bars beside the win probabilities that make it one, rows and columns by falling mass."""
    game = solution.game
    order = np.argsort(-solution.policy, kind="stable")
    names = [game.labels[i] for i in order]
    p = game.preferences[np.ix_(order, order)]
    with _styled():
        figure = _figure(9.2, 0.42 * game.n + 1.1)
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
    with _styled():
        figure = _figure(6.4, 3.6)
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


def sweep_bands(table: Path) -> Figure:
    """Exploitability against steps from a sweep's parquet table: geometric mean over games and seeds with its 95 % band
    (normal, of the logarithms), a panel a temperature; of several step sizes or β the one that ends lowest is shown."""
    import pyarrow.parquet as pq

    columns = {k: np.asarray(v) for k, v in pq.read_table(table).to_pydict().items()}
    temperatures = np.unique(columns["temperature"])
    names = list(dict.fromkeys(columns["algorithm"].tolist()))
    with _styled():
        figure = _figure(4.2 * len(temperatures), 3.6)
        panels = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
        for axes, tau in zip(panels, temperatures, strict=True):
            for k, name in enumerate(names):
                rows = (columns["algorithm"] == name) & (columns["temperature"] == tau)
                moments, mean, factor = _best_band({key: values[rows] for key, values in columns.items()})
                colour = PALETTE[k % len(PALETTE)]
                axes.plot(moments, mean, color=colour, lw=1.4, label=name)
                axes.fill_between(moments, mean / factor, mean * factor, color=colour, alpha=0.2, lw=0)
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
    with _styled():
        figure = _figure(max(4.6, 1.1 * len(families) + 2.0), 3.8)
        axes = figure.subplots()
        for k, name in enumerate(names):
            ends = []
            for family in families:
                rows = (columns["algorithm"] == name) & (columns["temperature"] == tau) & (columns["family"] == family)
                _, mean, factor = _best_band({key: values[rows] for key, values in columns.items()})
                ends.append((mean[-1], factor[-1]))
            mean, factor = np.array(ends).T
            place = np.arange(len(families)) + 0.06 * (k - (len(names) - 1) / 2)
            error = np.abs(np.stack([mean / factor, mean * factor]) - mean)
            axes.errorbar(place, mean, error, color=PALETTE[k % len(PALETTE)], marker="o", ms=4, lw=1.2, label=name)
        axes.set_xticks(range(len(families)), families)
        axes.set_yscale("log")
        axes.set_ylabel("exploitability at the end")
        axes.set_title(f"by family of games, τ = {tau:g}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(names)))
    return figure


def _best_band(rows: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """(steps, geometric mean, factor of its band) of the numbers whose mean ends lowest."""
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


def estimators(
    shares: Mapping[str, Sequence[float]], counts: Sequence[int], simulated: Sequence[float], formula: Sequence[float]
) -> Figure:
    """What sampling costs (L10, N17): how often D.1 holds and how often Nash-MD-PG's own integrand varies less than the
    contrast, by family; and the cost of one variance against the number of completions, simulated and by formula.

    shares  family -> (share of games with D.1, share where Nash-MD-PG has less variance).
    """
    with _styled():
        figure = _figure(9.2, 3.6)
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
    """Worst error over tolerance of every claim, on a log axis: left of 1 it holds; hollow marks are exact zeros."""
    least = 1e-16
    with _styled():
        half = (len(rows) + 1) // 2
        figure = _figure(9.2, 0.17 * half + 0.9)
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

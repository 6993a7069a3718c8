"""Runs: convergence with its predicted rate, trajectories on the simplex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nashlab.algorithm import AlgorithmSpec, Problem, Setting
from nashlab.algorithms import get
from nashlab.arrays import l1, oscillation
from nashlab.certificate import exploitability, residual
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame
from nashlab.plots.style import (
    DASHED,
    DOTTED,
    FLOOR,
    GRID,
    INK,
    MUTED,
    SOLID,
    STAR,
    Array,
    line_styles,
    method_style,
    new_figure,
    styled,
    ternary,
)
from nashlab.rates import Run
from nashlab.solve import DEFAULT_BETA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SEEN = 1e-16  # the end of the log axis of exploitability: values below it are rounding


class Trajectory(NamedTuple):
    """One path of :func:`simplex`: log-policies [R, 3], its limit (or None), and the method's name."""

    label: str
    log_path: Array
    log_target: Array | None
    method: str = ""


# -- convergence -----------------------------------------------------------------------------------------------------


def convergence(runs: Sequence[Run]) -> Figure:
    """Exploitability and ‖π − π*_τ‖₁ against steps; thin lines have the predicted rate (R3), dashed ones show the
    distance to the algorithm's own limit if that is not π*_τ."""
    with styled():
        figure = new_figure(9.2, 3.9)
        left, right = figure.subplots(1, 2)
        for run, style in zip(runs, line_styles([run.spec.name for run in runs]), strict=True):
            _convergence_lines(left, right, run, style)
        for axes, title in ((left, "exploitability  G(π)"), (right, "distance  ‖π − π*‖₁")):
            axes.set_yscale("log")
            axes.set_xlabel("steps")
            axes.set_title(title)
            axes.margins(x=0.01)
        figure.legend(loc="outside lower center", ncols=min(3, len(runs)))
    return figure


def _convergence_lines(left: Axes, right: Axes, run: Run, style: dict[str, Any]) -> None:
    history = {k: np.asarray(v) for k, v in run.solution.history.items() if k != "log_policy"}
    steps = history["steps"]

    def curve(name: str) -> Array:
        values = history[name]
        while values.ndim > 1:  # independent games: show the worst
            values = np.max(values, axis=0)
        return np.where(values > FLOOR, values, np.nan)

    numbers = {"predicted": run.predicted, "measured": run.measured}
    rates = ", ".join(f"{word} {rate:.5f}" for word, rate in numbers.items() if rate is not None)
    schedule = run.solution.course.schedule if run.solution.course else "constant"
    name = run.spec.name if schedule == "constant" else f"{run.spec.name}, {schedule} steps"
    label = f"{name}: ρ {rates}" if rates else name
    left.plot(steps, curve("exploitability"), lw=1.4, **style)
    right.plot(steps, curve("distance"), lw=1.4, label=label, **style)
    colour = style["color"]
    followed = curve("distance")
    if "target_distance" in history:
        own = curve("target_distance")
        if np.nanmax(np.abs(np.nan_to_num(own) - np.nan_to_num(followed)), initial=0.0) > 1e-9:
            right.plot(steps, own, color=colour, lw=1.1, ls=(0, (4, 2)))
        followed = own
    if run.predicted is not None and run.predicted < 1:
        _rate_line(right, steps, followed, run.predicted, colour)


def _rate_line(axes: Axes, steps: Array, distance: Array, rate: float, colour: str) -> None:
    """A thin line of slope log ρ, a little above the curve in the middle of the part above rounding."""
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
    """Trajectories of three-response policies on ternary axes, one panel per family; ★ is the equilibrium, ○ a method's
    own limit if that is another point."""
    with styled():
        figure = new_figure(3.5 * len(panels), 3.9)
        figure.set_layout_engine("constrained", wspace=0.08)  # neighbouring panels have corner labels too
        for k, (title, trajectories) in enumerate(panels.items()):
            axes = ternary(figure, (1, len(panels), k + 1), labels)
            axes.set_title(title, y=1.12)  # placed by hand: to find the place, every label is laid out again
            for path, style in zip(trajectories, line_styles([path.method for path in trajectories]), strict=True):
                policy = np.exp(path.log_path)
                axes.plot(*policy.T, lw=1.4, label=path.label, **style)
                axes.plot(*policy[:1].T, marker=".", ms=4, color=MUTED, ls="none")
                if path.log_target is not None and l1(path.log_target, log_nash) > 1e-3:
                    target = np.exp(path.log_target)[None].T
                    axes.plot(*target, marker="o", ms=5, mfc="white", mec=style["color"], ls="none", zorder=5)
            axes.plot(*np.exp(log_nash)[None].T, color=INK, **STAR)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=1, handlelength=2.2)
    return figure


def figure_6(game: PreferenceGame, temperature: float = 0.1, steps: int = 2000) -> Figure:
    """The paper's Figure 6 for any three-response game: online, offline and mirror-descent variants of IPO.

    Online methods spiral into π*_τ; offline IPO converges to a point that depends on the data policy (L4); IPO-MD and
    Nash-MD-PG converge to π*_β, between the two (L6).
    """
    start = np.log([0.08, 0.12, 0.8])

    def path(label: str, name: str, *, beta: float = 0.0, behaviour: Sequence[float] | None = None) -> Trajectory:
        log_data = game.log_reference if behaviour is None else np.log(behaviour)
        numbers: dict[str, Any] = {"beta": beta, "log_behaviour": log_data, "start": start}
        run = iterates(name, game, temperature, step_size=0.5, steps=steps, **numbers)
        goal = run.spec.target
        target = None if goal is None else goal(Problem(game, temperature, 0.5, beta, log_data))
        return Trajectory(label, run.last, target, name)

    skewed = ([0.6, 0.3, 0.1], [0.1, 0.3, 0.6])
    panels = {
        "online: sampled by π": [
            path("online IPO", "online-ipo"),
            path("online IPO, natural gradient (OMD)", "omd"),
            path("online DPO", "online-dpo"),
        ],
        "offline: sampled by a data policy": [
            path("offline IPO, $μ_b = μ$", "offline-ipo"),
            *(path(f"offline IPO, $μ_b$ = {tuple(data)}", "offline-ipo", behaviour=data) for data in skewed),
        ],
        "mirror descent: sampled by $m_β$": [
            *(path(f"IPO-MD, β = {beta:g}", "ipo-md", beta=beta) for beta in (0.125, 0.5, 0.9)),
            path("Nash-MD-PG, β = 0.5", "nash-md-pg", beta=0.5),
        ],
    }
    return simplex(panels, regularised_nash(game, temperature).log_policy, game.labels)


# -- last and average iterates ---------------------------------------------------------------------------------------


class Iterates(NamedTuple):
    """A run with every last iterate and every average of iterates, log-policies [T + 1, n].

    temperature  for evaluating both: τ, or 0 for methods of the unregularised game.
    """

    spec: AlgorithmSpec
    game: PreferenceGame
    temperature: float
    last: Array
    average: Array


def iterates(
    name: str,
    game: PreferenceGame,
    temperature: float,
    *,
    step_size: float,
    steps: int,
    beta: float = DEFAULT_BETA,
    log_behaviour: Array | None = None,
    start: Array | None = None,
) -> Iterates:
    """Step a method in plain numpy and keep everything, which for a few thousand steps of a small game is faster than
    compiling it.  The average is the method's own if it has one, else the plain mean.  Arguments as for
    :func:`nashlab.solve.solve`, with the data policy as log μ_b.

    >>> from nashlab.gallery import get
    >>> run = iterates("omd", get("rps-weighted"), 0.1, step_size=0.5, steps=50)
    >>> run.last.shape, run.temperature
    ((51, 3), 0.1)
    """
    spec, log_mu = get(name), game.log_reference
    spec.check(temperature, step_size, beta)
    log_data = log_mu if log_behaviour is None else log_behaviour
    environment = ExactEnvironment(spec.judged(game, log_data))
    setting = Setting(log_mu, log_data, temperature, step_size, beta, 0.0)
    state: Any = spec.start(log_mu if start is None else start)
    own = spec.limit == "average"
    last, average = [], []
    for t in range(steps + 1):
        setting = setting._replace(time=float(t))
        answer = np.asarray(spec.answer(state, setting))
        last.append(np.asarray(state["log_policy"]) if own else answer)
        average.append(answer)
        state = spec.step(state, setting, environment)
    if not own:
        average = list(np.log(np.cumsum(np.exp(last), axis=0) / np.arange(1, steps + 2)[:, None]))
    unregularised = spec.temperature_role in ("ignored", "proximal")
    return Iterates(spec, game, 0.0 if unregularised else temperature, np.array(last), np.array(average))


def certified_distance(run: Iterates) -> dict[str, Array]:
    """‖π_t − π*_τ‖₁ of the last iterates and its bounds that do not use π*_τ, [T + 1] each: "distance", "N14"
    √(2G/τ), "E3" 2 tanh(osc(r)/4)."""
    tau, game = run.temperature, run.game
    r = residual(game.advantage(run.last), game.log_reference, run.last, tau)
    return {
        "distance": l1(run.last, regularised_nash(game, tau).log_policy),
        "N14": np.sqrt(2 * exploitability(game, run.last, tau) / tau),
        "E3": 2 * np.tanh(oscillation(r, game.support) / 4),
    }


def last_and_average(runs: Sequence[Iterates], rates: Mapping[str, float], columns: int = 5) -> Figure:
    """Exploitability of the last iterate (solid) and of the average (grey) against steps, one panel per method; dotted:
    the slope ρ² that R3 predicts from ``rates``, name -> ρ, if the last iterate converges to the equilibrium."""
    from matplotlib.lines import Line2D

    rows = -(-len(runs) // columns)
    with styled():
        figure = new_figure(1.9 * columns, 1.35 * rows + 0.4)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[len(runs) :]:
            axes.set_visible(False)
        for axes, run in zip(panels.flat, runs, strict=False):
            steps = np.arange(len(run.last), dtype=np.float64)
            last, average = (
                np.maximum(exploitability(run.game, path, run.temperature), SEEN) for path in (run.last, run.average)
            )
            style = method_style(run.spec.name)
            axes.plot(steps, average, color=MUTED, lw=1.2, label="average iterate")
            axes.plot(steps, last, lw=1.5, label="last iterate", **style)
            rate = rates.get(run.spec.name)
            if rate is not None and last[-1] < 1e-6:
                _rate_line(axes, steps, last, rate**2, INK)
            axes.set_yscale("log")
            axes.set_ylim(SEEN, 3.0)
            axes.set_yticks([1e-12, 1e-8, 1e-4, 1.0])
            axes.set_xlim(0, steps[-1])
            name = run.spec.name.replace("regret-matching", "rm")  # as wide as a panel
            axes.set_title(name, fontsize=8)
            if run.temperature == 0:
                axes.text(0.97, 0.06, "judged at τ = 0", transform=axes.transAxes, ha="right", fontsize=7, color=MUTED)
            axes.tick_params(labelsize=7)
        figure.supxlabel("steps", fontsize=9)
        figure.supylabel("exploitability  G(π)", fontsize=9)
        key: dict[str, dict[str, Any]] = {
            "last iterate (in the method's style)": {"color": INK, "lw": 1.5},
            "average iterate": {"color": MUTED, "lw": 1.2},
            "predicted slope ρ² (R3)": {"color": INK, "lw": 1.0, "ls": ":"},
        }
        lines = [Line2D([], [], **look) for look in key.values()]
        figure.legend(lines, list(key), loc="outside upper center", ncols=3)
    return figure


def certificates_and_rates(runs: Sequence[Iterates], rates: Mapping[str, tuple[float, float]]) -> Figure:
    """Left: the distance to π*_τ along runs, under the two bounds that need no π*_τ (E3, N14).  Right: 1 − ρ of every
    method, predicted (ring) and measured (dot), ``rates`` being name -> (predicted ρ, measured ρ) (R3)."""
    with styled():
        figure = new_figure(9.2, 0.19 * len(rates) + 0.9)
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
        for run in runs:
            seen, colour = certified_distance(run), method_style(run.spec.name)["color"]
            steps = np.arange(len(run.last))
            for key, dashes in (("E3", DOTTED), ("N14", DASHED), ("distance", SOLID)):
                curve = np.where(seen[key] > 1e-13, seen[key], np.nan)
                what = key if key == "distance" else f"bound {key}"
                left.plot(steps, curve, color=colour, ls=dashes, lw=1.4, label=f"{run.spec.name}: {what}")
        left.set_yscale("log")
        left.set_xlabel("steps")
        left.set_title("distance  ‖π − π*‖₁  and its certificates")
        left.legend(loc="upper right")
        order = sorted(rates, key=lambda name: rates[name][0])
        for row, name in enumerate(order):
            predicted, measured = rates[name]
            colour = method_style(name)["color"]
            right.plot([1e-4, 1 - predicted], [row, row], color=GRID, lw=1.0, zorder=1)
            right.plot(1 - predicted, row, "o", ms=8, mfc="none", mec=colour, mew=1.3)
            right.plot(1 - measured, row, "o", ms=3.2, color=colour)
        right.plot([], [], "o", ms=8, mfc="none", mec=INK, mew=1.3, label="predicted")
        right.plot([], [], "o", ms=3.2, color=INK, label="measured")
        right.set_xscale("log")
        right.set_xlim(left=0.6 * min(1 - rates[name][0] for name in order))
        right.set_yticks(range(len(order)), order, fontsize=7)
        right.invert_yaxis()
        right.grid(axis="y", visible=False)
        right.set_xlabel("1 − ρ,  the share of the distance lost in a step")
        right.set_title("local rates (R3)")
        right.legend(loc="lower right")
    return figure

"""Largest stable steps (R3, N5), Adam's orbits (N7), and Nash-MD's displaced limits (N10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nashlab.algorithm import Setting
from nashlab.algorithms import get
from nashlab.arrays import log_softmax
from nashlab.environment import ExactEnvironment
from nashlab.game import PreferenceGame
from nashlab.plots.style import (
    DASHED,
    DOTTED,
    INK,
    MUTED,
    PALETTE,
    SOLID,
    STAR,
    Array,
    line_styles,
    method_style,
    new_figure,
    styled,
    ternary,
)
from nashlab.rates import trajectory_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BESIDE = 1e-7  # of a displacement in θ: growth by four orders stays linear


class Edge(NamedTuple):
    """A method's largest stable step: predicted on a fine grid and measured on a coarse one, (x, step size) each."""

    predicted: tuple[Array, Array]
    measured: tuple[Array, Array]


# -- runs ------------------------------------------------------------------------------------------------------------


def side_by_side(
    name: str, game: PreferenceGame, temperature: float, *, step_sizes: ArrayLike, steps: int, start: Array
) -> Array:
    """log π_t of runs that differ in their step size, [steps + 1, B, n], in plain numpy from log π₀, [n] or [B, n].

    >>> from nashlab.gallery import get
    >>> side_by_side("omd", get("dice"), 0.1, step_sizes=[0.1, 0.2], steps=5, start=np.log([0.5, 0.3, 0.2])).shape
    (6, 2, 3)
    """
    spec, size = get(name), np.atleast_1d(np.asarray(step_sizes, dtype=np.float64))[:, None]
    for one in size.ravel():
        spec.check(temperature, float(one), 0.0)
    environment = ExactEnvironment(game.margins)
    setting = Setting(game.log_reference, game.log_reference, temperature, size, 0.0, 0.0)
    state = spec.start(np.broadcast_to(start, (size.size, game.n)))
    path = [spec.answer(state, setting)]
    for t in range(steps):
        setting = setting._replace(time=float(t))
        state = dict(spec.step(state, setting, environment))
        path.append(spec.answer(state, setting))
    return np.array(path)


def largest_stable_step(
    name: str, game: PreferenceGame, temperature: float, log_fixed: Array, step_sizes: Array, steps: int = 400
) -> float:
    """The step size at which runs started near a fixed point turn from decay to growth, [B]; NaN if they never do.

    Their rates are those that R3 measures (:func:`nashlab.rates.trajectory_rate`).  The interval that contains the turn
    is divided once more, and log ρ interpolated there.
    """
    # orthogonal to constants, and not a symmetry of any game
    kick = BESIDE * np.cos(1.0 + 2.4 * np.arange(game.n))
    start = log_softmax(log_fixed + kick - kick.mean())

    def turn(sizes: Array) -> tuple[Array, Array] | None:
        """The two neighbouring step sizes, and their rates, between which ρ crosses 1."""
        path = np.exp(side_by_side(name, game, temperature, step_sizes=sizes, steps=steps, start=start))
        away = path - np.exp(log_fixed)
        rates = np.array([trajectory_rate(away[:, run]) or np.nan for run in range(away.shape[1])])
        below = np.flatnonzero((rates[:-1] < 1) & (rates[1:] >= 1))
        return None if below.size == 0 else (sizes[below[0] : below[0] + 2], rates[below[0] : below[0] + 2])

    coarse = turn(step_sizes)
    fine = None if coarse is None else turn(np.geomspace(coarse[0][0], coarse[0][1], 12))
    if fine is None:
        return float("nan")
    (low, high), (decay, growth) = np.log(fine)
    return float(np.exp(low - decay * (high - low) / (growth - decay)))


# -- figures ---------------------------------------------------------------------------------------------------------


def stability_map(
    temperatures: Mapping[str, Edge], momenta: Mapping[str, Edge], critical: tuple[float, float]
) -> Figure:
    """The largest stable step, predicted (lines) and measured (dots): for several methods against τ (R3), for online
    IPO with two kinds of momentum against m (N5); ``critical`` (m, step) is marked."""
    with styled():
        figure = new_figure(9.2, 3.9)
        left, right = figure.subplots(1, 2)
        for name, edge in temperatures.items():
            style = method_style(name)
            left.plot(*edge.predicted, lw=1.6, label=name, **style)
            left.plot(*edge.measured, "o", ms=4.5, color=style["color"], mec="white", mew=0.5, zorder=4)
        left.set_xscale("log")
        left.set_xlabel("temperature τ")
        left.set_title("without momentum (R3)")
        looks = line_styles(["online-ipo", "online-ipo"])
        for (name, edge), look, dashes in zip(momenta.items(), looks, (SOLID, DASHED), strict=True):
            colour = look["color"]
            right.fill_between(*edge.predicted, 1e-9, color=colour, alpha=0.12, lw=0)
            right.plot(*edge.predicted, lw=1.6, color=colour, ls=dashes, label=name)
            right.plot(*edge.measured, "o", ms=4.5, color=colour, mec="white", mew=0.5, zorder=4)
        right.plot(*critical, "D", ms=6, mfc="white", mec=INK, mew=1.2, zorder=5)
        right.annotate(f"m = {critical[0]:.4f}", critical, (7, 5), textcoords="offset points", color=INK, fontsize=8)
        right.set_xlim(-1.0, 1.2)
        right.set_xticks(np.linspace(-1, 1, 5))
        right.set_xlabel("momentum m")
        right.set_title("online IPO with momentum (N5)")
        for axes, edges in ((left, temperatures), (right, momenta)):
            measured = np.concatenate([edge.measured[1] for edge in edges.values()])
            axes.set_yscale("log")
            axes.set_ylim(0.5 * np.nanmin(measured), 2.5 * np.nanmax(measured))
            axes.set_ylabel("largest stable step")
            axes.plot([], [], "o", ms=4.5, color=MUTED, label="measured on runs")
        left.legend(loc="upper left")
        right.legend(loc="lower left")
    return figure


def orbits(
    paths: Mapping[str, Array], radii: Mapping[str, float], sizes: Sequence[float], measured: Mapping[str, Array]
) -> Figure:
    """Adam settles on circles (N7).  Left: θ in the plane of policies, radius on a log scale; dotted: predicted.
    Right: the radius ‖θ − θ*‖₂ against the learning rate, lines predicted and dots measured.

    paths     name -> θ − θ*, centred, [T, 3];  radii  name -> predicted radius over learning rate;
    sizes     learning rates, [S];  measured  name -> radii at these, [S].
    """
    from matplotlib.ticker import NullFormatter, NullLocator

    plane = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / np.sqrt([[2.0], [6.0]])
    with styled():
        figure = new_figure(9.2, 4.1)
        left: Any = figure.add_subplot(1, 2, 1, projection="polar")
        right = figure.add_subplot(1, 2, 2)
        turn = np.linspace(0, 2 * np.pi, 200)
        middle = sizes[len(sizes) // 2]
        for k, name in enumerate(paths):
            colour = PALETTE[(7, 4, 2, 0)[k % 4]]
            x, y = plane @ paths[name].T
            left.plot(np.unwrap(np.arctan2(y, x)), np.hypot(x, y), color=colour, lw=0.9)
            left.plot(turn, np.full(turn.shape, middle * radii[name]), color=INK, lw=1.2, ls=DOTTED, zorder=4)
            scale = np.array([0.6 * min(sizes), 1.7 * max(sizes)])
            right.plot(scale, radii[name] * scale, color=colour, lw=1.5, label=name)
            right.plot(sizes, measured[name], "o", ms=5.5, color=colour, mec="white", mew=0.5, zorder=4)
        left.set_rscale("log")
        left.set_rlim(0.3 * middle * min(radii.values()), 3 * middle * max(radii.values()))
        left.set_xticks([])
        left.set_rticks([0.001, 0.01, 0.1], ["0.001", "0.01", "0.1"], fontsize=7, zorder=6)
        left.set_rlabel_position(67)
        left.yaxis.set_minor_locator(NullLocator())
        left.spines["polar"].set_visible(False)
        left.set_title(f"settled orbits of θ, learning rate {middle:g}", pad=10)
        right.set_xscale("log")
        right.set_yscale("log")
        right.set_xticks(sizes, [f"{size:g}" for size in sizes])
        right.xaxis.set_minor_formatter(NullFormatter())
        right.set_xlabel("learning rate")
        right.set_ylabel("radius of the orbit  ‖θ − θ*‖₂")
        right.set_title("radius against learning rate (N7)")
        right.plot([], [], color=INK, lw=1.2, ls=DOTTED, label="predicted, on the left")
        right.plot([], [], "o", ms=5.5, color=MUTED, label="measured on runs")
        right.legend(loc="upper left")
    return figure


class Displaced(NamedTuple):
    """Nash-MD's limits at several step sizes.

    step_sizes        [S];  bias, predicted, corrected  ‖limit − π*_τ‖₁: measured, by N10, unbiased variant, [S].
    log_limits        limits of runs, [S, 3];  log_mixtures  their mixtures with μ, [S, 3];
    log_limit_path, log_nash_path  predicted on a fine grid of step sizes, [F, 3].
    """

    step_sizes: Array
    bias: Array
    predicted: Array
    corrected: Array
    log_limits: Array
    log_mixtures: Array
    log_limit_path: Array
    log_nash_path: Array


def displaced_limits(game: PreferenceGame, temperature: float, seen: Displaced, log_nash: Array) -> Figure:
    """Nash-MD's displaced limit and its exact correction (N10): the bias against the step size, below its bound
    η/(4√3τ); and, on the simplex, the limits on BR_τ(π*_τ'), their mixtures on the path of equilibria π*_τ'."""
    plain, fixed = method_style("nash-md"), method_style("nash-md-debiased")
    with styled():
        figure = new_figure(9.2, 3.9)
        left = figure.add_subplot(1, 2, 1)
        bound = seen.step_sizes / (4 * np.sqrt(3) * temperature)
        left.plot(seen.step_sizes, bound, color=MUTED, lw=1.2, ls="--", label="bound η/(4√3 τ)")
        left.plot(seen.step_sizes, seen.predicted, lw=1.6, label="Nash-MD, predicted", **plain)
        left.plot(seen.step_sizes, seen.bias, "o", ms=5.5, color=plain["color"], mec="white", label="Nash-MD, measured")
        left.plot(
            seen.step_sizes,
            np.maximum(seen.corrected, 1e-17),
            "D",
            ms=4.5,
            mfc="white",
            mec=fixed["color"],
            label="de-biased, measured",
        )
        left.set_xscale("log")
        left.set_yscale("log")
        left.set_ylim(1e-17, 30.0)
        left.set_xlabel("step size η")
        left.set_ylabel("distance of the limit  ‖π − π*‖₁")
        left.set_title("bias of the last iterate")
        left.legend(loc="center left", bbox_to_anchor=(0.0, 0.5))
        axes = ternary(figure, (1, 2, 2), game.labels)
        axes.set_title("limits from η → 0 (★) to η → 1/τ", pad=14)
        axes.plot(*np.exp(seen.log_nash_path).T, color=INK, lw=1.3, label="equilibria π*, τ rising")
        axes.plot(*np.exp(seen.log_mixtures).T, "o", ms=4.5, mfc="white", mec=INK, label="mixtures of Nash-MD's limits")
        axes.plot(*np.exp(seen.log_limit_path).T, lw=1.5, label="best replies to them (N10)", **plain)
        dots = {"color": plain["color"], "ms": 5, "mec": "white", "mew": 0.5}
        axes.plot(*np.exp(seen.log_limits).T, "o", label="Nash-MD's limits", **dots)
        axes.plot(*np.exp(log_nash)[None].T, color=INK, **STAR)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, handlelength=2.2)
    return figure

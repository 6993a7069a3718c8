"""Where methods converge: on two responses, from transitive to cyclic games, on the simplex, among raters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nashlab.algorithms import get
from nashlab.arrays import log_softmax
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.game import PreferenceGame
from nashlab.plots.style import DASHED, INK, MUTED, SOLID, Array, method_style, new_figure, shade, styled, ternary
from nashlab.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUARTILES = (25, 50, 75)
STILL = 1e-2  # in ℓ₁ over the second half of a run: less movement counts as convergence at the scale of a figure
EDGE = 0.07  # of each probability: the margin that a panel of the simplex cuts off
JUMP = 0.5  # change of a probability between neighbouring points that is drawn as a jump
HEXAGON = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], dtype=np.float64)


def resting_points(
    predicted: Mapping[str, tuple[Array, Array]],
    runs: Mapping[str, tuple[Array, Array]],
    shares: Sequence[float],
    distances: Mapping[str, Array],
) -> Figure:
    """Limits of methods (E7, L11, L15, N13): π(1) against p(1 ≻ 2) on two responses, predicted (lines) and run (marks);
    and ‖π − π*_τ‖₁ against the cyclic share in random games, median and quartiles.

    predicted, runs  method -> (p, π(1));  shares  cyclic shares, [C];  distances  method -> [C, games].
    """
    with styled():
        figure = new_figure(9.2, 3.7)
        left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.08})
        names = list(predicted)
        for k, name in enumerate(names):
            style = method_style(name)
            # coinciding methods are drawn one inside the other
            wide = _covered(names[k + 1 :], predicted, name)
            left.plot(*predicted[name], **style, lw=4.0 if wide else 1.6)
            marker = {"marker": "o", "ls": "none", "color": style["color"], "mec": "white", "zorder": 4}
            left.plot(*runs[name], **marker, ms=10 if wide else 5.5, mew=0.5)
        left.set_xlabel("win rate  p(1 ≻ 2)")
        left.set_ylabel("limit:  π(1)")
        left.set_title("two responses")
        for k, (name, values) in enumerate(distances.items()):
            low, middle, high = np.percentile(values, QUARTILES, axis=1)
            if np.max(high) < 1e-3:
                right.plot(shares, middle, **method_style(name), lw=1.8, label=get(name).title, clip_on=False)
                continue
            offset = 0.012 * (k - 0.5 * (len(distances) - 1)) * (shares[-1] - shares[0])
            right.plot(np.asarray(shares) + offset, middle, **method_style(name), lw=1.8, label=get(name).title)
            right.vlines(np.asarray(shares) + offset, low, high, color=method_style(name)["color"], lw=1.2)
        right.set_ylim(bottom=0)
        right.set_xlabel("Bradley–Terry  ←  share of a cycle  →  cyclic")
        right.set_ylabel("distance  ‖π − π*‖₁")
        right.set_title("random games, five responses")
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=len(distances))
    return figure


def _covered(later: Sequence[str], lines: Mapping[str, tuple[Array, Array]], name: str) -> bool:
    """Whether a line drawn later coincides with this one."""
    mine = lines[name][1]
    return any(mine.shape == lines[x][1].shape and np.max(np.abs(mine - lines[x][1])) < 1e-3 for x in later)


def limits_on_simplex(panels: Mapping[str, Mapping[str, Solution]]) -> Figure:
    """Paths of several methods on games of three responses, one panel per game; ★ is π*_τ, ✚ the maximal lottery, ○ a
    method's limit; in the shaded hexagon osc(τh) < 1, where online SLiC is self-play without temperature (N12).

    panels  title -> method -> a run with its path; later ones are drawn on top.
    """
    with styled():
        figure = new_figure(4.6 * len(panels), 4.4)
        for k, (title, runs) in enumerate(panels.items()):
            game, tau = next((run.game, run.temperature) for run in runs.values())
            axes: Any = ternary(figure, (1, len(panels), k + 1), game.labels)
            axes.set_ternary_min(EDGE, EDGE, EDGE)
            axes.set_title(title, pad=16)
            inside = {"fc": "#F3F1EA", "ec": MUTED, "lw": 1.0, "ls": (0, (4, 2)), "zorder": 0.5}
            axes.fill(*_hinge(game, tau).T, **inside, label="osc(τh) < 1")
            ends = {name: run.policy for name, run in runs.items()}
            for m, (name, run) in enumerate(runs.items()):
                later = list(ends.values())[m + 1 :]
                _path(axes, name, run, any(np.abs(ends[name] - end).sum() < STILL for end in later))
            point: dict[str, Any] = {"mec": "white", "mew": 0.7, "ls": "none", "zorder": 6}
            axes.plot(*game.reference[:, None], marker=".", ms=8, color=MUTED, **point, label="start, μ")
            lottery = maximal_lottery(game).policy
            if np.min(lottery) > EDGE:
                axes.plot(*lottery[:, None], marker="P", ms=9, color=INK, **point, label="maximal lottery")
            nash = regularised_nash(game, tau).policy
            axes.plot(*nash[:, None], marker="*", ms=14, color=INK, **point, label="equilibrium π*")
        seen: dict[str, Any] = {}
        for axes in figure.axes:
            seen |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        legend = figure.legend(seen.values(), seen, loc="outside lower center", ncols=(len(seen) + 1) // 2)
        for line in legend.get_lines():
            line.set_linewidth(1.7)
    return figure


def _path(axes: Any, name: str, run: Solution, wide: bool) -> None:
    """One run on the simplex, with a ring at its limit if that is not an equilibrium; wide, to show below another."""
    style, path = method_style(name), np.exp(run.history["log_policy"])
    still = np.abs(path[len(path) // 2 :] - path[-1]).sum(axis=1).max() < STILL
    axes.plot(*path.T, **style, lw=4.0 if wide else 1.7, label=get(name).title, zorder=3)
    if still and run.history["distance"][-1] > STILL:
        axes.plot(*path[-1:].T, "o", ms=11 if wide else 7, mfc="white", mec=style["color"], mew=1.7, zorder=5)


def _hinge(game: PreferenceGame, temperature: float, points: int = 40) -> Array:
    """The closed curve osc(τh) = 1 on the simplex of three responses, [6·points, 3]."""
    along = np.linspace(0.0, 1.0, points, endpoint=False)[:, None]
    h = np.concatenate([(1 - along) * a + along * b for a, b in itertools.pairwise(HEXAGON)])
    return np.exp(log_softmax(game.log_reference + h / temperature))


def raters(
    epsilons: Sequence[float], equilibria: Mapping[float, Array], optima: Mapping[float, Array], labels: Sequence[str]
) -> Figure:
    """Three types of raters whose shares shift by ε (theory §5): the equilibrium is continuous in ε, while the RLHF
    optimum jumps at ε = 0 as τ → 0 (E7).

    equilibria, optima  τ -> policies, [E, n]; τ = 0 is the limit, drawn solid.
    """
    with styled():
        figure = new_figure(9.2, 3.3)
        panels = figure.subplots(1, len(labels), sharey=True)
        for i, (axes, label) in enumerate(zip(panels, labels, strict=True)):
            for name, found, title in (
                ("rlhf-pg", optima, "RLHF optimum"),
                ("online-ipo", equilibria, "equilibrium"),
            ):
                for tau in sorted(found, reverse=True):
                    at, values = np.asarray(epsilons, dtype=np.float64), found[tau][:, i]
                    breaks = np.flatnonzero(np.abs(np.diff(values)) > JUMP) + 1
                    axes.plot(
                        np.insert(at, breaks, np.nan),
                        np.insert(values, breaks, np.nan),
                        color=shade(method_style(name)["color"], 0.35 if tau else 0.0),
                        lw=1.3 if tau else 2.2,
                        ls=DASHED if tau else SOLID,
                        label=f"{title}, τ = {tau:g}" if tau else f"{title}, τ → 0",
                    )
            axes.axvline(0.0, color=MUTED, lw=0.8, ls=":", zorder=0)
            axes.set_xlabel("shift ε of the raters' shares")
            axes.set_title(f"response {label}")
            axes.set_ylim(-0.03, 1.03)
        panels[0].set_ylabel("probability")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2 * len(equilibria))
    return figure

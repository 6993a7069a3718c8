"""IPO-MD and its mixture: the printed gradient and the exact one, limits on the simplex, the cost of estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nashlab.algorithm import Problem
from nashlab.algorithms import get
from nashlab.arrays import geometric_mixture
from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame
from nashlab.plots.style import (
    DASHED,
    DOTTED,
    INK,
    MUTED,
    PALETTE,
    SOLID,
    Array,
    method_style,
    new_figure,
    styled,
    ternary,
)
from nashlab.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRINTED: dict[str, Any] = {"color": INK, "linestyle": DASHED}
HOTTEST = 1e3  # times τ: the equilibrium is then μ to within a pixel


class Pull(NamedTuple):
    """The ascent direction for θ₁ of two responses as a function of π(1), [K] each.

    exact, printed   the gradient of the loss, and the form printed in the paper;  rests  their zeros.
    at, differences  finite differences of the loss, [D].
    """

    policies: Array
    exact: Array
    printed: Array
    at: Array
    differences: Array
    rests: tuple[float, float]


def printed_form(pull: Pull, betas: Sequence[float], rests: Mapping[str, Array], mixture: Array, nash: Array) -> Figure:
    """L5 on two responses: the ascent direction of IPO-MD's loss, which the printed form misses, and the limit of each
    for every β; the mixture m_β of IPO-MD's limit is the equilibrium at τ/(1−β) (L6, L7).

    rests  "ipo-md", "nash-md-pg", "printed" -> π(1) where a run ended, [β];  mixture, nash  [β].
    """
    ours = method_style("ipo-md")
    with styled():
        figure = new_figure(9.2, 3.8)
        left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.08})
        left.axhline(0.0, color=MUTED, lw=0.8)
        left.plot(pull.policies, pull.exact, **ours, lw=1.8, label="exact gradient (L5)")
        left.plot(pull.policies, pull.printed, **PRINTED, lw=1.4, label="printed form")
        dots = {"marker": "o", "ls": "none", "ms": 4.5, "color": ours["color"], "mec": "white", "mew": 0.6}
        left.plot(pull.at, pull.differences, **dots, label="finite differences of the loss", zorder=4)
        for place, colour, side in zip(pull.rests, (ours["color"], INK), (0.5, -0.4), strict=True):
            left.plot(place, 0.0, "o", ms=8, mfc="white", mec=colour, mew=1.6, zorder=5)
            left.annotate(
                f"{place:.3f}",
                (place, 0.0),
                (0, 14 if side > 0 else -20),
                textcoords="offset points",
                ha="center",
                color=colour,
            )
        left.set_xlabel("policy  π(1)")
        left.set_ylabel("pull on θ(1)")
        left.set_xlim(0, 1)
        size = float(np.max(np.abs(pull.exact)))
        left.set_ylim(-2.2 * size, 1.2 * size)  # the printed form leaves the picture, only the zeros matter
        left.set_title("what pulls")
        left.legend(loc="lower left")
        right.plot(betas, nash, color=PALETTE[0], lw=1.6, label="equilibrium at τ/(1−β)")
        dots["ms"] = 5.5
        right.plot(
            betas,
            mixture,
            **{**dots, "marker": "D", "color": PALETTE[0]},
            label=r"IPO-MD's mixture $m_\beta$",
            zorder=4,
        )
        right.plot(betas, rests["nash-md-pg"], "o", ms=10, mfc="none", mec=PALETTE[3], mew=1.6, label="Nash-MD-PG")
        right.plot(betas, rests["ipo-md"], **{**dots, "ls": SOLID}, label="IPO-MD", zorder=4)
        right.plot(betas, rests["printed"], **PRINTED, lw=1.2, marker="o", ms=3.5, label="printed form")
        right.set_xlabel("mixture weight β")
        right.set_ylabel("limit:  π(1)")
        right.set_title("limits by method")
        right.legend(loc="lower left")
        right.set_ylim(0, 1.04)
    return figure


def mixture_on_simplex(runs: Mapping[float, Mapping[str, Solution]]) -> Figure:
    """IPO-MD(β) and Nash-MD-PG(β) on three responses: the policies take different paths to one point π*_β (L6), and
    their mixtures m_β end at τ/(1−β) on the curve of equilibria at all temperatures above τ (L7).

    runs  β -> method -> a run with its path, all for one game and τ.
    """
    from matplotlib.patheffects import withStroke

    first = next(iter(next(iter(runs.values())).values()))
    game, tau = first.game, first.temperature
    equilibria = np.array([regularised_nash(game, t).policy for t in np.geomspace(tau, HOTTEST * tau, 60)])
    limits = _displaced(game, tau)
    panels = (r"the policy ends at $\mathbf{\pi^*_\beta}$", r"its mixture $\mathbf{m_\beta}$ ends at an equilibrium")
    with styled():
        figure = new_figure(9.2, 4.5)
        for k, title in enumerate(panels):
            axes = ternary(figure, (1, 2, k + 1), game.labels)
            axes.set_title(title, pad=16)
            axes.plot(*equilibria.T, color=PALETTE[0], lw=2.4, label="equilibria, τ to ∞", zorder=2)
            if k == 0:
                axes.plot(*limits.T, color=MUTED, lw=1.2, ls=DOTTED, label=r"$\pi^*_\beta$, β from 0 to 1", zorder=2)
            for beta, methods in runs.items():
                for name, run in methods.items():
                    log_path = run.history["log_policy"]
                    if k:
                        log_path = geometric_mixture(log_path, game.log_reference[None], beta)
                    path = np.exp(log_path)
                    name_shown = get(name).title if beta == next(iter(runs)) else None
                    axes.plot(*path.T, **method_style(name), lw=1.1, label=name_shown, zorder=3)
                end: dict[str, Any] = {"mfc": "white", "mec": PALETTE[1], "mew": 1.6, "ls": "none", "zorder": 5}
                axes.plot(*path[-1:].T, marker="o", ms=7, **end)
                text = axes.text(*path[-1], f"   β = {beta:g}", fontsize=8, va="center", zorder=7)
                text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
            point: dict[str, Any] = {"mec": "white", "mew": 0.7, "ls": "none", "zorder": 6}
            axes.plot(*game.reference[:, None], marker="s", ms=6, color=MUTED, **point, label="reference μ")
            axes.plot(*equilibria[:1].T, marker="*", ms=14, color=INK, **point, label="equilibrium π*")
        seen: dict[str, Any] = {}
        for axes in figure.axes:
            seen |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(seen.values(), seen, loc="outside lower center", ncols=len(seen))
    return figure


def _displaced(game: PreferenceGame, temperature: float) -> Array:
    """π*_β for β from 0 to 1, [K, n]."""
    target = get("ipo-md").target
    assert target is not None
    found = (target(Problem(game, temperature, 1.0, b, game.log_reference)) for b in np.linspace(0, 1, 60))
    return np.exp(np.array([x for x in found if x is not None]))


class Bias(NamedTuple):
    """The bias of an estimate in one component, against β: by enumeration, and from samples.

    betas, exact  [K];  sampled_at, sampled, errors  [S], with their standard errors.
    """

    betas: Array
    exact: Array
    sampled_at: Array
    sampled: Array
    errors: Array


def estimator_costs(biases: Mapping[str, Bias], one_sided: Array, own: Mapping[float, Array]) -> Figure:
    """The cost of an estimate of IPO-MD's gradient (L5, L10), in bias and in variance.

    Left: the bias against β, by enumeration (lines) and from samples (marks, ±2 standard errors).  Right: the variance
    of the contrast relative to estimates that score one response, as the share of random games below a ratio; 1 means
    equal, ½ is what D.1 promises.

    biases  "ipo-md", "printed";  one_sided  Var contrast / Var X₁, [games];  own  τ -> the same for Nash-MD-PG's
    integrand, [games].
    """
    names = {"ipo-md": "contrast (X₁+X₂)/2", "printed": "without τh(y′), as printed"}
    with styled():
        figure = new_figure(9.2, 3.8)
        left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.08})
        for name, bias in biases.items():
            style = PRINTED if name == "printed" else method_style(name)
            left.plot(bias.betas, bias.exact, **style, lw=1.8, label=names[name])
            bars: dict[str, Any] = {"fmt": "o", "ms": 4.5, "color": style["color"], "mec": "white", "elinewidth": 1.2}
            left.errorbar(bias.sampled_at, bias.sampled, 2 * bias.errors, **bars, mew=0.6, zorder=4)
        left.set_xlabel("mixture weight β")
        left.set_ylabel("bias of the pull on θ(1)")
        left.set_title("bias: the term that L5 restores")
        left.legend(loc="lower left")
        share = np.arange(1, len(one_sided) + 1) / len(one_sided)
        right.plot(np.sort(one_sided), share, color=MUTED, lw=2.2, label="... X₁ alone")
        for (tau, values), dashes in zip(own.items(), (DOTTED, DASHED, SOLID), strict=False):
            line = {"color": method_style("nash-md-pg")["color"], "lw": 1.6, "ls": dashes}
            right.plot(np.sort(values), share, **line, label=f"... Nash-MD-PG, τ = {tau:g}")
        for place in (0.5, 1.0):
            right.axvline(place, color=INK, lw=0.8)
        right.set_xscale("log")
        right.set_xlim(0.3, 4.0)
        right.set_xticks([0.3, 0.5, 1.0, 2.0, 4.0], ["0.3", "0.5\nD.1", "1\nequal", "2", "4"])
        right.minorticks_off()
        right.set_ylim(0, 1.0)
        right.yaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f}%")
        right.set_xlabel("variance of the contrast, relative to that of ...")
        right.set_ylabel("random games below")
        right.set_title("variance")
        right.legend(loc="lower right")
    return figure

"""The figures of ``nashlab verify``: each is drawn if one of the claims that it illustrates was selected.

Those of :data:`DRAWINGS` need no result, so they are drawn while claims are still being checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nashlab import plots
from nashlab.equilibrium import maximal_lottery
from nashlab.gallery import get
from nashlab.rates import Run, rated_run
from nashlab.report import Row, claims_figure

__all__ = ["draw", "figures_of", "illustrations"]


class Drawing(NamedTuple):
    """A figure: the claims that it illustrates, its caption, and the function that draws it."""

    claims: tuple[str, ...]
    caption: str
    draw: Callable[[], Any]


DRAWINGS: dict[str, Drawing] = {
    "figure-6": Drawing(
        ("L3", "L6", "N10"),
        "Figure 6 of the paper: a three-response cycle, τ = 0.1, uniform μ. ★ the equilibrium π*, ○ the point that "
        "a method goes to where it is another one.",
        lambda: plots.figure_6(get("figure-6")),
    ),
    "convergence": Drawing(
        ("R3",),
        "Rock, paper, scissors with μ = (.5, .3, .2), τ = 0.1, η = 0.3. Dotted: the predicted local rate. Dashed: "
        "the distance to the method's own limit, where that is not π*.",
        lambda: plots.convergence(_runs()),
    ),
    "optimisers": Drawing(
        ("N5", "N7"),
        "Online IPO by several optimisers, τ = 0.05: SGD converges, momentum beyond its critical value and Adam at a "
        "constant step orbit (N5, N7), and a decreasing step size makes Adam converge.",
        lambda: plots.convergence(_optimised()),
    ),
    "soundquality": Drawing(
        ("E4",),
        "21,924 human judgments of eight ways to reproduce music: the exact maximal lottery and its data.",
        lambda: plots.lottery(maximal_lottery(get("soundquality"))),
    ),
    "temperature": Drawing(
        ("E5",),
        "The same game's equilibrium at every temperature (E5).",
        lambda: plots.temperature_path(get("soundquality")),
    ),
}


def illustrations(claims: Iterable[str]) -> list[str]:
    """The names of the figures that illustrate one of these claims.

    >>> illustrations(["E2", "E4"])
    ['soundquality']
    """
    asked = set(claims)
    return [name for name, drawing in DRAWINGS.items() if asked.intersection(drawing.claims)]


def draw(name: str, folder: Path) -> None:
    """Draw one illustration into a folder."""
    plots.save(DRAWINGS[name].draw(), folder / f"{name}.png")


def figures_of(rows: Sequence[Row]) -> dict[str, tuple[str, Any]]:
    """name -> (caption, figure) of what these results measured."""
    drawn = claims_figure(rows)
    measured = {r.id: r.measured for r in rows if r.measured}
    if "L10" in measured and "N17" in measured:
        pairs = measured["N17"]
        drawn["estimators"] = (
            "Sampled gradients: where the contrast halves the variance (L10), and how many completions to draw (N17).",
            plots.estimators(measured["L10"], pairs["k"], pairs["simulated"], pairs["formula"]),
        )
    return drawn


def _runs() -> list[Run]:
    names = ("omd", "nash-md", "egpo", "online-ipo", "ipo-md")
    return [rated_run(name, get("rps-weighted"), 0.1, step_size=0.3, steps=3000) for name in names]


def _optimised() -> list[Run]:
    game, tau = get("rps-weighted"), 0.05
    sizes = {"online-ipo": 0.3, "online-ipo+momentum:0.9": 0.3, "online-ipo+adam:0.9": 0.01, "online-ipo+adam:0": 0.01}
    runs = [rated_run(name, game, tau, step_size=size, steps=6000) for name, size in sizes.items()]
    return [*runs, rated_run("online-ipo+adam:0", game, tau, step_size=0.1, steps=6000, schedule="harmonic")]

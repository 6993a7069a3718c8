"""Gradient fields on the simplex of three responses: two that differ by a constant factor, and others (L1, L2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nashlab.plots.style import INK, PALETTE, STAR, Array, new_figure, styled, ternary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARROWS = 11  # an arrow every 1/ARROWS of a side
HIDDEN = 0.04  # half the width of a marker
SMALL = 1e-12  # of the largest gradient: below, the direction is rounding


class Field(NamedTuple):
    """Ascent directions in θ at the policies of a lattice, [G, 3], the field they should be a multiple of, [G, 3], and
    the log-policy where the first vanishes, [3], or None."""

    direction: Array
    right: Array
    log_zero: Array | None = None


def lattice(resolution: int) -> Array:
    """log π on a regular grid of the simplex, π = (k + ¼)/(resolution + ¾) with Σk = resolution, [G, 3].

    >>> np.exp(lattice(10)).sum(axis=1).round(12).min()
    np.float64(1.0)
    """
    first, second = np.meshgrid(np.arange(resolution + 1), np.arange(resolution + 1), indexing="ij")
    inside = first + second <= resolution
    mass = np.stack([first[inside], second[inside], resolution - first[inside] - second[inside]], axis=1)
    return np.log((mass + 0.25) / (resolution + 0.75))


def angle(left: Array, right: Array) -> Array:
    """Degrees between two fields, [G, 3] -> [G]; NaN where either vanishes."""
    a, b = (np.linalg.norm(x, axis=-1) for x in (left, right))
    clear = (a > SMALL * a.max()) & (b > SMALL * b.max())
    # from differences and sums of unit vectors: an arccosine loses half the digits of a small angle
    u, v = (x / np.where(clear, size, 1.0)[:, None] for x, size in ((left, a), (right, b)))
    apart = 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))
    return np.where(clear, np.degrees(apart), np.nan)


def proportional_fields(
    fields: Mapping[str, Array], factor: float, log_policy: Array, log_nash: Array, labels: Sequence[str]
) -> Figure:
    """Two gradient fields, [G, 3] each, with all their components against each other, on a line of slope ``factor``
    (L1). Arrows: where a step along ±gradient moves the policy; shade: the gradient's length."""
    (left_name, left), (right_name, right) = fields.items()
    signs = (np.sign(factor), 1.0)
    with styled():
        figure = new_figure(9.6, 3.5)
        for k, (name, field) in enumerate(fields.items()):
            axes = ternary(figure, (1, 3, k + 1), labels, ticks=False)
            axes.set_title(name, pad=12)
            size = np.linalg.norm(field, axis=-1)
            top = np.linalg.norm(right, axis=-1).max() * (abs(factor) if k == 0 else 1.0)
            levels = top * np.linspace(0, 1, 11)
            shade = axes.tricontourf(*np.exp(log_policy).T, size, levels=levels, cmap="Blues", extend="max", alpha=0.75)
            _arrows(axes, log_policy, signs[k] * field, [log_nash])
            axes.plot(*np.exp(log_nash)[None].T, color=INK, **STAR)
            bar = figure.colorbar(shade, ax=axes, location="bottom", shrink=0.7, pad=0.08, ticks=levels[[0, 5, 10]])
            bar.set_label("length of the gradient")
            bar.outline.set_visible(False)
            bar.ax.set_xticklabels([f"{x:.2g}" for x in levels[[0, 5, 10]]])
        axes = figure.add_subplot(1, 3, 3)
        x = np.array([right.min(), right.max()]) * 1.05
        axes.plot(x, factor * x, color=PALETTE[1], lw=1.4, label=f"slope {factor:g}".replace("-", "−"))
        axes.plot(right.ravel(), left.ravel(), ".", color=INK, ms=2.5, zorder=3)
        axes.set_xlabel(right_name)
        axes.set_ylabel(left_name)
        axes.set_title("component by component")
        axes.legend()
    return figure


def field_angles(
    panels: Mapping[str, Field], log_policy: Array, log_nash: Array, labels: Sequence[str], columns: int = 3
) -> Figure:
    """Fields that should be a multiple of another and are not (L2): arrows show where they move the policy, the shade
    the angle to the correct field; ★ the equilibrium, ○ where the wrong field vanishes."""
    rows = -(-len(panels) // columns)
    with styled():
        figure = new_figure(3.1 * columns, 2.9 * rows + 0.5)
        drawn = []
        for k, (title, field) in enumerate(panels.items()):
            axes = ternary(figure, (rows, columns, k + 1), labels, ticks=False)
            axes.set_title(title, pad=12)
            off = angle(field.direction, field.right)
            held = np.isfinite(off)
            shade = axes.tricontourf(
                *np.exp(log_policy[held]).T, np.minimum(off[held], 179.9), levels=np.linspace(0, 180, 13), cmap="YlOrBr"
            )
            zeros = [log_nash] if field.log_zero is None else [log_nash, field.log_zero]
            _arrows(axes, log_policy, field.direction, zeros)
            axes.plot(*np.exp(zeros[0])[None].T, color=INK, **STAR)
            for zero in zeros[1:]:
                axes.plot(*np.exp(zero)[None].T, marker="o", ms=6, mfc="white", mec=INK, mew=1.2, ls="none", zorder=7)
            drawn.append(axes)
        bar = figure.colorbar(shade, ax=drawn, location="right", shrink=0.5, ticks=range(0, 181, 45))
        bar.set_label("angle to the right field, degrees")
        bar.outline.set_visible(False)
    return figure


def _arrows(axes: Any, log_policy: Array, direction: Array, marked: Sequence[Array]) -> None:
    """Arrows π̇ = π(θ̇ − E_π θ̇) on a coarse lattice, of equal length (shade shows the size), none under a marker."""
    policy = np.exp(log_policy)
    resolution = round((np.sqrt(8 * len(policy) + 1) - 3) / 2)  # of a lattice of (r+1)(r+2)/2 policies
    index = np.rint(policy * (resolution + 0.75) - 0.25)
    every = max(1, resolution // ARROWS)
    chosen = np.all(index[:, :2] % every == every // 2, axis=1)
    for log_point in marked:
        chosen &= np.max(np.abs(policy - np.exp(log_point)), axis=1) > HIDDEN
    motion = policy * (direction - np.sum(policy * direction, axis=1, keepdims=True))
    size = np.linalg.norm(motion, axis=1, keepdims=True)
    motion = np.where(size > SMALL * size.max(), motion / np.where(size > 0, size, 1.0), 0.0)
    axes.quiver(
        *policy[chosen].T, *motion[chosen].T, color=INK, scale=20, width=0.007, headwidth=4, pivot="mid", zorder=4
    )

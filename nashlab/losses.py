"""All alignment objectives, elementwise and array-API: IPO, DPO, SLiC, GPO(f) and the policy-gradient terms.

A pairwise loss is a function of the gap ``d = h(y) − h(y')`` of log-ratios ``h = log π − log μ`` and of the preference
``p = p(y ≻ y')``.  It is linear in p, so soft labels and Bernoulli annotations share one form (theory §3).  ``value``
is the loss, ``slope`` its derivative ∂/∂d in closed form, so the tabular side needs no autodiff.  Only d is
differentiated: samples, targets and anchors enter as data, which makes the stop-gradient structural.

Sequence log-ratios arrive *summed* over tokens; nothing in this file divides by a length (L2.iv).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from nashlab.arrays import Array, array_namespace, sigmoid, softplus

__all__ = ["LOSSES", "PairwiseLoss", "dpo", "gpo", "gpo_exponential", "ipo", "self_play_advantage", "slic"]

Elementwise = Callable[[Array], Array]


@dataclass(frozen=True)
class PairwiseLoss:
    """A loss ℓ(d, p, τ) = s(τ) · [p f(τd) + (1−p) f(−τd)] with f convex: a member of the GPO family.

    convex, convex_slope  f and f′, elementwise on arrays of any shape.
    scale                 s(τ), the factor in the literature's table form (τ⁻² for IPO, 1 for the others).

    Source: theory §3 (GPO row); Tang et al. 2024 (arXiv 2402.05749).

    >>> import numpy as np
    >>> float(ipo.value(np.array(0.0), 0.7, 1.0))
    0.25
    """

    name: str
    citation: str
    convex: Elementwise
    convex_slope: Elementwise
    scale: Callable[[float], float] = lambda temperature: 1.0

    def value(self, h_gap: Array, p: Array, temperature: float) -> Array:
        """ℓ(d, p, τ), elementwise."""
        x = temperature * h_gap
        return self.scale(temperature) * (p * self.convex(x) + (1 - p) * self.convex(-x))

    def slope(self, h_gap: Array, p: Array, temperature: float) -> Array:
        """∂ℓ/∂d, elementwise (at the hinge's kinks, the mean of both sides)."""
        x = temperature * h_gap
        inner = p * self.convex_slope(x) - (1 - p) * self.convex_slope(-x)
        return self.scale(temperature) * temperature * inner

    def unit(self, temperature: float) -> float:
        """The factor that makes −∇ equal D(Aπ) at d = 0: 1/(4 |∂ℓ/∂d| at d = 0, p = 1).

        It is τ/4 for IPO (L1), 1/(2τ) for DPO and 1/(4τ) for SLiC; a tabular step size E means E · unit · (−∇).
        """
        return 1.0 / (4.0 * abs(self._slope_at_zero) * self.scale(temperature) * temperature)

    @functools.cached_property
    def _slope_at_zero(self) -> float:
        """f′(0), the same at every τ."""
        import numpy as np

        return float(self.slope(np.zeros(()), 1.0, 1.0)) / self.scale(1.0)


def gpo(
    name: str,
    convex: Elementwise,
    convex_slope: Elementwise,
    *,
    citation: str = "Tang et al. 2024, arXiv 2402.05749",
    scale: Callable[[float], float] = lambda temperature: 1.0,
) -> PairwiseLoss:
    """GPO(f): p f(τd) + (1−p) f(−τd) for any convex f with slope f′.

    >>> import numpy as np
    >>> square = gpo("square", lambda x: (x - 1) ** 2, lambda x: 2 * (x - 1))
    >>> float(square.slope(np.array(0.0), 1.0, 0.5))
    -1.0
    """
    return PairwiseLoss(name, citation, convex, convex_slope, scale)


def _half_square(x: Array) -> Array:
    return (x - 0.5) ** 2


def _half_square_slope(x: Array) -> Array:
    return 2.0 * (x - 0.5)


def _logistic(x: Array) -> Array:
    return softplus(-x)


def _logistic_slope(x: Array) -> Array:
    return -sigmoid(-x)


def _hinge(x: Array) -> Array:
    gap = 1.0 - x
    return 0.5 * (gap + array_namespace(gap).abs(gap))


def _hinge_slope(x: Array) -> Array:
    return 0.5 * (array_namespace(x).sign(x - 1.0) - 1.0)


def _exponential(x: Array) -> Array:
    # e⁻ˣ, continued by its tangent left of −30, so that it is convex, C¹ and finite at |d| = 800
    xp = array_namespace(x)
    cut = xp.where(x > -30.0, x, xp.zeros_like(x) - 30.0)
    return xp.exp(-cut) * (1.0 + (cut - x))


def _exponential_slope(x: Array) -> Array:
    xp = array_namespace(x)
    return -xp.exp(-xp.where(x > -30.0, x, xp.zeros_like(x) - 30.0))


def _inverse_square(temperature: float) -> float:
    return temperature**-2


ipo = gpo("ipo", _half_square, _half_square_slope, scale=_inverse_square, citation="Azar et al. 2023, arXiv 2310.12036")
"""IPO, table form: p(d − 1/(2τ))² + (1−p)(−d − 1/(2τ))²; online, its gradient is −(4/τ) of self-play's (L1)."""

dpo = gpo("dpo", _logistic, _logistic_slope, citation="Rafailov et al. 2023, arXiv 2305.18290")
"""DPO: −p log σ(τd) − (1−p) log σ(−τd)."""

slic = gpo("slic", _hinge, _hinge_slope, citation="Zhao et al. 2023, arXiv 2305.10425")
"""SLiC: p max(0, 1−τd) + (1−p) max(0, 1+τd)."""

gpo_exponential = gpo("gpo-exponential", _exponential, _exponential_slope)
"""GPO with f(x) = e⁻ˣ (its tangent line left of x = −30)."""

LOSSES: dict[str, PairwiseLoss] = {loss.name: loss for loss in (ipo, dpo, slic, gpo_exponential)}


def self_play_advantage(h_left: Array, h_right: Array, p: Array, temperature: float) -> Array:
    """p − ½ − τ h(y): the pointwise weight of s(y) in self-play and Nash-MD-PG (L1, L9); h(y') is unused.

    Source: Munos et al. 2024 (arXiv 2312.00886), eq. of Nash-MD-PG; theory L9.
    """
    return p - 0.5 - temperature * h_left

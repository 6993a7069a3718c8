"""Distance of preferences from a ranking: cyclic triads, Condorcet winners, cyclic energy, Bradley-Terry excess."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llm_bridge.judges.answers import Array
from nashlab.arrays import sigmoid
from nashlab.game import BadInput

__all__ = ["Intransitivity", "intransitivity", "with_cycles"]


@dataclass(frozen=True)
class Intransitivity:
    """Distance of preferences over candidate sets from a ranking; all but margin_energy are 0 for Bradley-Terry.

    cyclic_triads       share of the triples of candidates, without ties, that form a cycle (1/4 for fair coins).
    without_condorcet   share of the prompts at which no candidate beats every other one (p > ½).
    cyclic_energy       share of the squared log-odds not explained by a potential (0: Bradley-Terry, 1: purely cyclic).
    margin_energy       the same for the margins P − ½.
    excess              mean KL, in nats per judgment, of the truth from the best Bradley-Terry model of each prompt.
    prompts, triads     the numbers examined.
    """

    cyclic_triads: float
    without_condorcet: float
    cyclic_energy: float
    margin_energy: float
    excess: float
    prompts: int
    triads: int


def intransitivity(matrices: Iterable[ArrayLike], *, clip: float = 1e-3) -> Intransitivity:
    """Measure the cycles of preference matrices P [K, K], one for each prompt; K ≥ 3 may differ.

    The Hodge decomposition of a skew matrix M on the complete graph: M_ij = r_i − r_j + C_ij with r_i = mean_j M_ij and
    C orthogonal to every potential, so that ‖M‖² = ‖grad r‖² + ‖C‖², and the cyclic energy is Σ ‖C‖² / Σ ‖M‖², summed
    over prompts.  Log-odds are taken of P clipped to [clip, 1 − clip].

    Raises :class:`BadInput` for a matrix that is smaller than 3 x 3 or not a preference matrix.

    Source: Jiang, Lim, Yao & Ye 2011 (Hodge rank); theory §5.

    >>> cycle = [[0.5, 0.8, 0.2], [0.2, 0.5, 0.8], [0.8, 0.2, 0.5]]
    >>> measured = intransitivity([cycle])
    >>> measured.cyclic_triads, measured.without_condorcet, round(measured.cyclic_energy, 12)
    (1.0, 1.0, 1.0)
    """
    found = [_checked(matrix, i) for i, matrix in enumerate(matrices)]
    if not found:
        raise BadInput("matrices is empty, must hold at least one preference matrix")
    cyclic, triads = np.sum([_triads(p) for p in found], axis=0)
    log_odds = [np.log(q) - np.log1p(-q) for q in (p.clip(clip, 1 - clip) for p in found)]
    pairs = sum(len(p) * (len(p) - 1) // 2 for p in found)
    return Intransitivity(
        cyclic_triads=float(cyclic / triads) if triads else 0.0,
        without_condorcet=float(np.mean([not _has_condorcet_winner(p) for p in found])),
        cyclic_energy=_cyclic_share(log_odds),
        margin_energy=_cyclic_share([p - 0.5 for p in found]),
        excess=float(sum(map(_bradley_terry_excess, found)) / pairs),
        prompts=len(found),
        triads=int(triads),
    )


def _checked(matrix: ArrayLike, i: int) -> Array:
    p = np.asarray(matrix, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] != p.shape[1] or len(p) < 3:
        raise BadInput(f"matrices[{i}] has the shape {p.shape}, must be [K, K] with K at least 3")
    if not (np.all((p >= 0) & (p <= 1)) and np.allclose(p + p.T, 1.0, rtol=0, atol=1e-9)):
        raise BadInput(f"matrices[{i}] must hold probabilities with P + Pᵀ = 1 (tolerance 1e-9)")
    return p


def _triads(p: Array) -> tuple[int, int]:
    """(cyclic, all) triples of different candidates without a tie."""
    i, j, k = np.array(list(itertools.combinations(range(len(p)), 3))).T
    untied = (p[i, j] != 0.5) & (p[j, k] != 0.5) & (p[i, k] != 0.5)
    ahead = p > 0.5
    cyclic = (ahead[i, j] == ahead[j, k]) & (ahead[i, j] != ahead[i, k])
    return int((cyclic & untied).sum()), int(untied.sum())


def _has_condorcet_winner(p: Array) -> bool:
    wins = (p > 0.5) | np.eye(len(p), dtype=bool)
    return bool(wins.all(axis=1).any())


def _cyclic_share(skew: Sequence[Array]) -> float:
    """Σ ‖M − grad r‖² / Σ ‖M‖², r the potential nearest to M; 0 if all M are 0."""
    total = sum(float(np.sum(m**2)) for m in skew)
    residual = 0.0
    for m in skew:
        r = m.mean(axis=1)
        residual += float(np.sum((m - (r[:, None] - r[None, :])) ** 2))
    return residual / total if total > 0 else 0.0


def _bradley_terry_excess(p: Array, steps: int = 100) -> float:
    """Σ_{i<j} KL(p_ij ‖ σ(r_i − r_j)) at its minimum over r, by damped Newton on a convex function.

    A ridge of 1e-9 keeps potentials within 30 of each other: if one candidate always wins, the infimum is at infinity.
    """
    size = len(p)
    pairs = np.triu_indices(size, 1)

    def loss(r: Array) -> float:
        gap = r[:, None] - r[None, :]
        return float(np.sum((np.logaddexp(0.0, gap) - p * gap)[pairs])) + 0.5e-9 * float(r @ r)

    r = np.zeros(size)
    for _ in range(steps):
        q = sigmoid(r[:, None] - r[None, :])
        slope = (q - p).sum(axis=1) + 1e-9 * r
        weight = q * (1.0 - q)
        np.fill_diagonal(weight, 0.0)
        hessian = np.diag(weight.sum(axis=1) + 1e-9) - weight + 1.0 / size  # constants do not matter: 1 1ᵀ fixes them
        step = np.linalg.solve(hessian, slope)
        size_of_step, before = 1.0, loss(r)
        while loss(r - size_of_step * step) > before and size_of_step > 1e-6:
            size_of_step /= 2
        r = r - size_of_step * step
        if float(np.abs(slope).max()) < 1e-10:
            break
    given = p[pairs]
    entropy = -sum(float(np.sum(x[x > 0] * np.log(x[x > 0]))) for x in (given, 1.0 - given))
    return max(loss(r) - entropy, 0.0)


def with_cycles(p: ArrayLike, factor: float, *, clip: float = 1e-3) -> Array:
    """Preferences [X, K, K] whose cyclic part is scaled: 1 leaves them as they are, 0 makes them Bradley-Terry.

    log-odds M = grad r + C with r_i = mean_j M_ij;  P' = σ(grad r + factor · C).  Other factors than 1 clip P to
    [clip, 1 − clip] first.  Raises :class:`BadInput` for a negative or infinite factor.

    >>> with_cycles([[[0.5, 0.8, 0.2], [0.2, 0.5, 0.8], [0.8, 0.2, 0.5]]], 0.0).round(12).tolist()[0][0]
    [0.5, 0.5, 0.5]
    """
    given = np.asarray(p, dtype=np.float64)
    if not 0 <= factor < np.inf:
        raise BadInput(f"factor = {factor}, must be finite and at least 0")
    if factor == 1:
        return given
    bounded = given.clip(clip, 1 - clip)
    odds = np.log(bounded) - np.log1p(-bounded)
    rating = odds.mean(axis=-1)
    ranking = rating[..., :, None] - rating[..., None, :]
    return np.asarray(sigmoid(ranking + factor * (odds - ranking)))

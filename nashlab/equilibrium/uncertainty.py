"""The uncertainty of an equilibrium when P is estimated from judgments: by resampling and by the delta method.

p̂_ij = w_ij/N_ij, w_ij ~ Binomial(N_ij, p_ij) independently for each pair i < j, so that to first order

    Cov π*_τ = Σ_{i<j} (p_ij(1 − p_ij)/N_ij) g_ij g_ijᵀ,     g_ij = dπ*_τ/dP_ij  (P_ji moving by the opposite)

Judgments count as independent or, if their authors are known, as independent only between voters.  For a pair that was
always won, or never met, the variance is that of (w + ½)/(N + 1), or ¼.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.equilibrium.regularised import regularised_nash
from nashlab.equilibrium.sensitivity import sensitivity
from nashlab.game import BadInput, PreferenceGame

__all__ = [
    "Clusters",
    "claim_test",
    "confidence_box",
    "equilibrium_covariance",
    "independent_judgments",
    "log_errors",
    "lottery_claim_test",
    "lottery_ranges",
    "resampled",
]

Array = NDArray[np.float64]
Bounds = ArrayLike | Sequence[Sequence[Fraction]]  # of a box of preference matrices, [n, n]


class Clusters(Protocol):
    """The authors of judgments, [m] each: ``voter`` made ``winner`` beat ``loser`` by ``weight``; ``times``, [K]: the
    number of identical voters behind each."""

    @property
    def voter(self) -> NDArray[np.int64]: ...
    @property
    def winner(self) -> NDArray[np.int64]: ...
    @property
    def loser(self) -> NDArray[np.int64]: ...
    @property
    def weight(self) -> Array: ...
    @property
    def times(self) -> Array: ...


def resampled(game: PreferenceGame, judgments: ArrayLike, count: int, *, seed: int = 0) -> PreferenceGame:
    """The bootstrap: ``count`` games whose win rates come from judgments drawn again with replacement, [count, n, n].

    judgments  N, the number of judgments of each pair: one number, or a symmetric [n, n] table.  Resampling the
               judgments of a pair is Binomial(N_ij, p_ij)/N_ij.

    Errors: BadInput for counts that are below 1 or not whole, and for margins that are not probabilities.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> again = resampled(game, 100, 1000)
    >>> again.margins.shape, bool(abs(np.std(again.margins[:, 0, 1]) - np.sqrt(0.7 * 0.3 / 100)) < 0.005)
    ((1000, 2, 2), True)
    """
    first, second, each, p = _pairs(game, judgments)
    if count < 1:
        raise BadInput(f"count = {count}, must be at least 1")
    wins = np.random.default_rng(seed).binomial(each.astype(np.int64), p, size=(count, each.size))
    margins = np.zeros((count, game.n, game.n))
    margins[:, first, second] = wins / each - 0.5
    margins -= np.swapaxes(margins, 1, 2)
    return PreferenceGame.from_margins(
        margins, reference=game.reference, labels=game.labels, name=f"{game.name}, resampled", source=game.source
    )


def equilibrium_covariance(game: PreferenceGame, temperature: float, judgments: ArrayLike) -> Array:
    """The covariance of π*_τ to first order in the errors of P, [n, n]; judgments as in :func:`resampled`.

    Valid while a standard error of P times 1/(√3 τ) is small (N16); at τ = 0 the equilibrium has no derivative.
    Source: N16, E4.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> bool(np.all(np.abs(equilibrium_covariance(game, 1.0, 100).sum(axis=0)) < 1e-18))  # Σπ stays 1
    True
    """
    first, second, each, p = _pairs(game, judgments, least=0)
    gradient = sensitivity(game, temperature).preferences[:, first, second]
    return np.asarray((gradient * _variance(p, each)) @ gradient.T)


def _variance(p: Array, each: Array) -> Array:
    """The variance of p̂, never 0: unanimous pairs use (w + ½)/(N + 1) for p̂, pairs without judgments ¼."""
    known = np.maximum(each, 1.0)
    certain = (p <= 0) | (p >= 1)
    shrunk = np.where(certain, (p * each + 0.5) / (each + 1.0), p)
    return np.where(each > 0, shrunk * (1.0 - shrunk) / known, 0.25)


def log_errors(
    game: PreferenceGame, temperature: float, judgments: ArrayLike, clusters: Clusters | None = None
) -> Array:
    """The standard error of log π*_τ(y) to first order, [n]; judgments as in :func:`equilibrium_covariance`.

        d log q = R (dA q)/τ,   R = M⁻¹ − M⁻¹1 qᵀM⁻¹/(qᵀM⁻¹1),   M = I − A diag(q)/τ

    So q·exp(± 1.96 s) is an interval of about 95 % that stays positive.  With ``clusters`` the variance is K/(K−1)
    times the sum over voters of the squared change of log q due to each, because one voter's judgments may be
    dependent. Pairs that all went one way, or never met, keep the variance of :func:`equilibrium_covariance`.  Source:
    N20 (f), E4.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> log_errors(game, 1.0, 100).round(6).tolist()  # √(.21/100) · (1 − q)
    [0.020629, 0.025197]
    """
    first, second, each, p = _pairs(game, judgments, least=0)
    n = game.n
    q = regularised_nash(game, temperature).policy
    inverse = np.linalg.inv(np.eye(n) - game.margins * q / temperature)
    ones = inverse.sum(axis=1)
    r = inverse - np.outer(ones, q @ inverse) / (q @ ones)
    uncertain = _variance(p, each)
    known = (each > 0) & (p > 0) & (p < 1)
    if clusters is not None:
        uncertain = np.where(known, 0.0, uncertain)
    variance = np.zeros((n, n))
    variance[first, second] = variance[second, first] = uncertain
    weighted = r * q
    total = (r**2) @ (variance @ q**2) - np.einsum("yi,ij,yj->y", weighted, variance, weighted, optimize=True)
    if clusters is not None:
        counts = np.zeros((n, n))
        counts[first, second] = counts[second, first] = each
        moved = _moved_by(clusters, game.preferences, counts, q) @ r.T
        voters = float(clusters.times.sum())
        total = total + voters / max(1.0, voters - 1.0) * (clusters.times @ moved**2)
    return np.sqrt(np.maximum(total, 0.0)) / temperature


def _moved_by(clusters: Clusters, p: Array, counts: Array, q: Array) -> Array:
    """Each voter's contribution to dA q, [K, n]: for a pair (w_v − N_v p)/N, the voter's share in its error."""
    i, j = clusters.winner, clusters.loser
    share = clusters.weight * p[j, i] / np.maximum(counts[i, j], 1e-300)
    moved = np.zeros((clusters.times.size, q.size))
    np.add.at(moved, (clusters.voter, i), share * q[j])
    np.subtract.at(moved, (clusters.voter, j), share * q[i])
    return moved


def claim_test(game: PreferenceGame, temperature: float, policy: ArrayLike, judgments: ArrayLike) -> float:
    """An exact test of the claim that ``policy`` is the equilibrium at τ > 0: a p-value, valid for every n and N.

    Under the claim Pπ = ½ + τ(h − KL(π‖μ)) is known, and F² = E_π(P̂π − that)² has the sub-Gaussian tail
    V + 2√(Tt) + 2Λt = 4F²,  V = tr B, T = tr B², Λ = λ_max(B),  B = Σ_{i<j} v vᵀ/N_ij,
    v = √(π_iπ_j)(√π_j e_i − √π_i e_j).
    Pairs that never met (N_ij = 0) may have any win rate, which accounts for (E_π b²)^½ of F, b_y = ½Σ_{unmet j} π_j.
    The policies that are not rejected form a confidence region.  Source: N20 (d), (e).

    >>> game = PreferenceGame.from_preferences([[0.5, 0.9], [0.1, 0.5]])
    >>> claim_test(game, 1.0, [0.5, 0.5], 1000) < 1e-9, claim_test(game, 1.0, regularised_nash(game, 1.0).policy, 1000)
    (True, 1.0)
    """
    if not 0 < temperature < np.inf:
        raise BadInput(f"temperature = {temperature}, must be positive and finite")
    first, second, each, p = _pairs(game, judgments, least=0)
    pi = _claimed(policy, game.n, positive=True)
    met = each > 0
    table = np.full((game.n, game.n), 0.5)
    table[first, second], table[second, first] = np.where(met, p, 0.5), np.where(met, 1 - p, 0.5)
    h = np.log(pi) - game.log_reference
    off = table @ pi - 0.5 - temperature * (h - pi @ h)
    blind = np.zeros((game.n, game.n))
    blind[first, second] = blind[second, first] = 0.5 * ~met
    far = max(0.0, float(np.sqrt(pi @ off**2)) - float(np.sqrt(pi @ (blind @ pi) ** 2)))
    first, second, each = first[met], second[met], each[met]
    v = np.zeros((game.n, first.size))
    pair = np.arange(first.size)
    v[first, pair] = pi[second] * np.sqrt(pi[first])
    v[second, pair] = -pi[first] * np.sqrt(pi[second])
    b = (v / each) @ v.T
    trace, square, largest = float(np.trace(b)), float(np.sum(b * b)), float(np.linalg.eigvalsh(b)[-1])
    excess = 4 * far**2 - trace
    if excess <= 0 or largest <= 0:
        return 1.0
    # V + 2√(Tt) + 2Λt = 4F², a quadratic in √t
    root = (-np.sqrt(square) + np.sqrt(square + 2 * largest * excess)) / (2 * largest)
    return float(np.exp(-(root**2)))


def independent_judgments(policy: ArrayLike, judgments: ArrayLike, clusters: Clusters) -> Array:
    """The effective number of independent judgments of each pair, [n, n], for :func:`claim_test`, if those of one voter
    may be dependent in any way.

        N_ij² / Σ_{k on ij} w_k² (Σ_{l of k's voter} a_l)/a_k,   a_k = w_k√(π_iπ_j(π_i+π_j))/N_ij

    Along any direction a voter's part moves by at most Σ|c_k|, c_k the part of one judgment, and by Cauchy and Schwarz
    (Σ|c_k|)² ≤ Σa_k · Σc_k²/a_k for any a > 0; these a make the trace of B smallest.  The only judgment of a voter is
    worth one.  Source: N20 (d), with Hoeffding's lemma for each voter instead of each judgment.
    """
    counts = np.asarray(judgments, dtype=np.float64)
    pi = _claimed(policy, len(counts), positive=True)
    i, j, w = clusters.winner, clusters.loser, clusters.weight
    known = counts[i, j] > 0
    a = np.where(known, w * np.sqrt(pi[i] * pi[j] * (pi[i] + pi[j])), 0.0) / np.where(known, counts[i, j], 1.0)
    of_voter = np.bincount(clusters.voter, weights=a, minlength=clusters.times.size)
    spent = clusters.times[clusters.voter] * w**2 * of_voter[clusters.voter] / np.maximum(a, 1e-300)
    total = np.zeros_like(counts)
    np.add.at(total, (i, j), spent)
    total = total + total.T
    return np.where(total > 0, counts**2 / np.where(total > 0, total, 1.0), 0.0)


def lottery_claim_test(
    wins: ArrayLike, policy: ArrayLike, *, ties: bool = False, repeats: ArrayLike | None = None
) -> float:
    """A test of the claim that ``policy`` is a maximal lottery of the win rates behind ``wins``: a p-value.

    A lottery of some P ≥ L has Lπ ≤ ½; the p-value is the largest α at which the box of :func:`confidence_box` at level
    1 − α allows that.  Conservative; needs no uniqueness.  ``ties`` and ``repeats`` as there.  Source: N27.

    >>> lottery_claim_test([[0, 90], [10, 0]], [0, 1]) < 1e-9, lottery_claim_test([[0, 90], [10, 0]], [1, 0])
    (True, 1.0)
    """
    w = _counted(wins)
    pi = _claimed(policy, len(w), positive=False)

    def allowed(alpha: float) -> bool:
        low, _ = confidence_box(w, 1.0 - alpha, ties=ties, repeats=repeats)
        return bool(np.max(low @ pi) <= 0.5 + 1e-12)

    least, most = -30.0, np.log(1.0 - 1e-12)  # of log α: below e⁻³⁰ a double cannot represent 1 − α
    if allowed(float(np.exp(most))):
        return 1.0
    for _ in range(50):
        middle = 0.5 * (least + most)
        least, most = (middle, most) if allowed(float(np.exp(middle))) else (least, middle)
    return float(np.exp(most))


def _counted(wins: ArrayLike) -> Array:
    w = np.array(wins, dtype=np.float64)
    if w.ndim != 2 or w.shape[0] != w.shape[1] or w.size == 0:
        raise BadInput(f"wins has shape {w.shape}, must be square")
    bad = np.argwhere(~(np.isfinite(w) & (w >= 0)))
    if bad.size:
        i, j = bad[0]
        raise BadInput(f"wins[{i}, {j}] = {w[i, j]:g}, must be at least 0 and finite")
    return w


def _claimed(policy: ArrayLike, n: int, *, positive: bool) -> Array:
    pi = np.asarray(policy, dtype=np.float64)
    bad = pi.shape != (n,) or not np.all(np.isfinite(pi)) or np.any(pi < 0) or (positive and np.any(pi == 0))
    if bad or abs(pi.sum() - 1) > 1e-6:
        raise BadInput(f"policy must be {n} {'positive ' if positive else ''}numbers that sum to 1")
    return np.asarray(pi / pi.sum())


def confidence_box(
    wins: ArrayLike, level: float, *, ties: bool = False, repeats: ArrayLike | None = None
) -> tuple[Array, Array]:
    """(L, U), [n, n] each, that cover all win rates jointly with probability ``level``; [0, 1] for unmet pairs.

    Clopper-Pearson at (1 − level)/#pairs.  With ties a judgment is not a coin flip, and Chernoff's bound
    N·KL(p̂‖p) ≤ log(2/α) is used instead.  L + Uᵀ = 1.  Source: N27.

    repeats  [n, n], the most judgments of that pair by one voter: those may be dependent, and the mean of N judgments
             by voters of at most m each is as close to p as Chernoff's bound for N/m says (Jensen).  None: independent.

    >>> low, high = confidence_box([[0, 10], [0, 0]], 0.95)
    >>> round(float(low[0, 1]), 4), float(high[0, 1])
    (0.6915, 1.0)
    """
    from scipy.special import betaincinv

    if not 0 < level < 1:
        raise BadInput(f"confidence = {level}, must be above 0 and below 1")
    w = _counted(wins)
    n = len(w)
    first, second = np.triu_indices(n, 1)
    won, lost = w[first, second], w[second, first]
    each = won + lost
    alpha = (1.0 - level) / max(1, int(np.count_nonzero(each)))
    most = np.ones_like(won)
    if repeats is not None:
        most = np.maximum(most, np.asarray(repeats, dtype=np.float64)[first, second])
    if ties or np.any(won != np.round(won)) or np.any(most > 1):
        low, high = _chernoff(won, each, alpha, most), 1.0 - _chernoff(lost, each, alpha, most)
    else:
        low = np.where(won > 0, betaincinv(np.maximum(won, 1), lost + 1, alpha / 2), 0.0)
        high = np.where(lost > 0, 1.0 - betaincinv(np.maximum(lost, 1), won + 1, alpha / 2), 1.0)
    lower, upper = np.full((n, n), 0.5), np.full((n, n), 0.5)
    lower[first, second], upper[first, second] = low, high
    lower[second, first], upper[second, first] = 1.0 - high, 1.0 - low
    return lower, upper


def _chernoff(won: Array, each: Array, alpha: float, most: Array) -> Array:
    """The least p with (N/m)·KL(p̂‖p) ≤ log(2/α), by bisection."""
    from scipy.special import rel_entr

    mean = np.where(each > 0, won / np.maximum(each, 1e-300), 0.0)
    low, high = np.zeros_like(mean), mean.copy()
    for _ in range(60):
        middle = 0.5 * (low + high)
        far = each / most * (rel_entr(mean, middle) + rel_entr(1 - mean, 1 - middle)) > np.log(2 / alpha)
        low, high = np.where(far, middle, low), np.where(far, high, middle)
    return low


def lottery_ranges(lower: Bounds, upper: Bounds) -> Array:
    """The least and the largest probability of each response in any maximal lottery of any P with L ≤ P ≤ U, [n, 2].

    Every such lottery satisfies Lπ ≤ ½, which gives 2n linear programmes; uniqueness is not needed.  Source: N27.

    >>> p = np.array([[0.5, 0.7], [0.3, 0.5]])
    >>> lottery_ranges(p, p).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    from scipy.optimize import linprog

    low, high = (np.array(bound, dtype=np.float64) - 0.5 for bound in (lower, upper))
    square = low.ndim == 2 and low.shape == low.shape[::-1] == high.shape
    if not square or not np.all(np.abs(low + high.T) <= 1e-9) or not np.all(low <= high + 1e-9):
        raise BadInput("lower and upper must be square, lower ≤ upper, and lower + upperᵀ = 1")
    n = len(low)
    size = np.max(np.abs(low), axis=1, keepdims=True)  # no scale of a row matters, but for the tolerance
    low = low / np.where(size > 0, size, 1.0)
    found = np.zeros((n, 2))
    for y in range(n):
        for k, sign in enumerate((1.0, -1.0)):
            answer = linprog(
                sign * np.eye(n)[y], A_ub=low, b_ub=np.zeros(n), A_eq=np.ones((1, n)), b_eq=[1.0],
                options={"primal_feasibility_tolerance": 1e-10},
            )  # fmt: skip
            value = sign * float(answer.fun) if answer.status == 0 else (0.0, 1.0)[k]
            found[y, k] = min(1.0, max(0.0, round(value, 12)))
    return found


def _pairs(
    game: PreferenceGame, judgments: ArrayLike, least: int = 1
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """(i, j, N_ij, p_ij) of the pairs i < j."""
    if game.batch:
        raise BadInput("game is contextual: judgments belong to one prompt; use game.prompt(x)")
    n = game.n
    table = np.asarray(judgments, dtype=np.float64)
    if table.shape not in ((), (n, n)) or (table.ndim and np.any(table != table.T)):
        raise BadInput(f"judgments has shape {table.shape}, must be one number or a symmetric {(n, n)} table")
    first, second = np.triu_indices(n, 1)
    each = np.broadcast_to(table, (n, n))[first, second]
    good = np.isfinite(each) & (each >= least) & ((each == np.round(each)) | (least == 0))
    if not np.all(good):
        bad = int(np.argmin(good))
        rule = f"must be a whole number of at least {least}" if least else "must be at least 0"
        raise BadInput(f"judgments[{first[bad]}, {second[bad]}] = {each[bad]:g}, {rule}")
    return first, second, each, game.preferences[first, second]

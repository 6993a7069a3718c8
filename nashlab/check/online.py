"""Online: both responses come from the policy. Is the expected gradient that of self-play, and where does it vanish?

Every question is answered by enumeration on a fixed set of small games (cyclic, general and Bradley-Terry, three to
five responses, non-uniform references).  A relative size below 1e-6 counts as zero: differences of a smooth numpy
function are accurate to 1e-9, and a temperature that is off by one part in ten thousand shows as 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import log_softmax, sigmoid
from nashlab.check.fields import FLOW_STEPS, UPDATES, Behaviour, Bundle, Field, Judged, Rest, Table, rest, self_play
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get
from nashlab.game import PreferenceGame

__all__ = [
    "GALLERY_NAMES",
    "ZERO",
    "Parallel",
    "convergence",
    "effective_temperature",
    "equilibrium",
    "estimate",
    "parallel",
    "sizes_at",
    "tables",
]

Array = NDArray[np.float64]

ZERO = 1e-6  # relative size of a gradient that vanishes
SAME = 1e-5  # relative spread below which a factor or temperature counts as constant
GALLERY_NAMES = ("rps-weighted", "rps", "dice", "soundquality", "restricted-elo")
NEAR = 1e-3  # ‖π − π*_τ‖₁ that counts as converged


@cache
def tables(kind: str, *, lengths: bool = False) -> tuple[Table, ...]:
    """The fixed games of a kind ("general" or "bradley-terry"), with sequences of one token, or of one to five."""
    rng = np.random.default_rng(20240313 if kind == "general" else 20230529)
    counts = np.random.default_rng(5)  # a separate generator: the games are the same with and without lengths
    made = []
    for n in (3, 3, 4, 5):
        if kind == "general":
            upper = np.triu(rng.uniform(-0.45, 0.45, (n, n)), 1)
            margins = upper - upper.T
        else:
            r = rng.normal(size=n)
            margins = sigmoid(r[:, None] - r[None, :]) - 0.5
        mu = rng.dirichlet(np.full(n, 4.0))
        tokens = np.asarray(counts.permutation(5)[:n] + 1.0) if lengths else np.ones(n)
        made.append(Table(0.5 + margins, np.log(mu), tokens))
    return tuple(made)


def equilibrium(table: Table, tau: float) -> Array:
    """log π*_τ, [n], by the library's solver."""
    game = PreferenceGame.from_margins(table.margins, reference=np.exp(table.log_reference))
    return np.asarray(regularised_nash(game, tau).log_policy)


@cache
def equilibria(kind: str, tau: float) -> tuple[Array, ...]:
    """log π*_τ of the fixed games."""
    return tuple(equilibrium(table, tau) for table in tables(kind))


@cache
def policies(kind: str) -> tuple[tuple[Array, ...], ...]:
    """Three generic policies of each fixed game, log-probabilities."""
    rng = np.random.default_rng(7)
    return tuple(tuple(log_softmax(rng.normal(size=t.n)) for _ in range(3)) for t in tables(kind))


@dataclass(frozen=True)
class Parallel:
    """Whether −(expected gradient) is self-play's up to a factor.

    how       "identity" (one constant everywhere), "scaled" (the factor depends on the policy), "no".
    constant  the factor of an identity: 4/τ for IPO (L1).
    worst     the largest relative part of the gradient that is not parallel to self-play's.
    """

    how: str
    constant: float | None
    worst: float


def parallel(loss: Judged, behaviour: Behaviour, tau: float, *, lengths: bool) -> Parallel:
    """The expected gradient compared with self-play's on every fixed game and policy.  Source: L1."""
    games = tables("general", lengths=lengths)
    flat = [(t, p) for t, some in zip(games, policies("general"), strict=True) for p in some]
    fields = Bundle(loss, [t for t, _ in flat], behaviour).gradients([p for _, p in flat], tau)
    factors, misses = [], []
    for (table, policy), field in zip(flat, fields, strict=True):
        g = self_play(table, policy, tau)
        factor = -float(field.plain @ g) / float(g @ g)
        size = float(np.linalg.norm(field.plain))
        factors.append(factor)
        misses.append(float(np.linalg.norm(field.plain + factor * g)) / size if size > 0 else np.inf)
    worst, c = max(misses), np.array(factors)
    if worst > ZERO or np.min(c) <= 0:
        return Parallel("no", None, worst)
    one = np.ptp(c) <= SAME * np.mean(c)
    return Parallel("identity" if one else "scaled", float(np.mean(c)) if one else None, worst)


def sizes_at(
    loss: Judged, behaviour: Behaviour, tau: float, kind: str, points: Sequence[Array], *, lengths: bool = False
) -> Array:
    """The size of the gradient at one policy of each fixed game, relative to generic policies, [games]."""
    games = tables(kind, lengths=lengths)
    bundle = Bundle(loss, games, behaviour)
    here = bundle.gradients(points, tau)
    generic = [bundle.gradients([some[k] for some in policies(kind)], tau) for k in range(3)]
    return np.array([_norm(f) / max(max(_norm(g[i]) for g in generic), 1e-300) for i, f in enumerate(here)])


def _norm(field: Field) -> float:
    return float(np.linalg.norm(field.plain))


def rlhf_optima(tau: float) -> list[Array]:
    """log of π ∝ μ exp(r/τ) on the Bradley-Terry games (E7), whose rewards are the logits of the first column."""
    rewards = [np.log(t.preferences[:, 0] / (1 - t.preferences[:, 0])) for t in tables("bradley-terry")]
    return [log_softmax(t.log_reference + r / tau) for t, r in zip(tables("bradley-terry"), rewards, strict=True)]


def mixture_points(tau: float, beta: float) -> list[Array]:
    """log π*_β: the best response at τ to the equilibrium at τ/(1−β), which is its own mixture with μ (L6, L7)."""
    mixed = equilibria("general", tau / (1 - beta))
    games = zip(tables("general"), mixed, strict=True)
    return [log_softmax(t.log_reference + t.margins @ np.exp(m) / tau) for t, m in games]


def effective_temperature(
    loss: Judged, behaviour: Behaviour, tau: float, *, length: float = 1.0
) -> tuple[float | None, list[Rest]]:
    """The τ' at which the stationary points are equilibria, if there is one, and the ends of the flows.

    All sequences have the same length.  At a regularised equilibrium h = Aπ/τ' + constant (E1), so τ' follows from the
    slope of h against the advantages at the stationary point.
    """
    games = [t._replace(lengths=np.full(t.n, length)) for t in tables("general")]
    found = rest(Bundle(loss, games, behaviour), tau, list(equilibria("general", tau)), rounds=2)
    slopes = []
    for table, point in zip(games, found, strict=True):
        if not point.settled:
            return None, found
        policy = np.exp(behaviour(point.log_policy, table.log_reference))
        h = point.log_policy - table.log_reference
        a = table.margins @ np.exp(point.log_policy)
        h, a = h - h.mean(), a - a.mean()
        slope = float(h @ a) / float(a @ a)
        if slope <= 0 or np.linalg.norm(h - slope * a) > SAME * np.linalg.norm(h) or not np.all(policy > 0):
            return None, found
        slopes.append(slope)
    one = np.ptp(slopes) <= SAME * np.mean(slopes)
    return (float(1 / np.mean(slopes)) if one else None), found


@cache
def gallery_tables(lengths: bool = False) -> tuple[Table, ...]:
    """The games of the gallery on which convergence is tested; sequences of one token, or of 1, 2, 3, 1, 2, ..."""
    found = []
    for name in GALLERY_NAMES:
        game = get(name)
        tokens = np.array([1.0 + (i % 3 if lengths else 0) for i in range(game.n)])
        found.append(Table(game.preferences, np.asarray(game.log_reference), tokens))
    return tuple(found)


@cache
def gallery_equilibria(tau: float) -> tuple[Array, ...]:
    """log π*_τ of the gallery's games."""
    return tuple(equilibrium(t, tau) for t in gallery_tables())


def convergence(loss: Judged, behaviour: Behaviour, tau: float, *, lengths: bool) -> dict[str, Any]:
    """The limit of the loss's own update from μ on each gallery game, its distance from π*_τ and the number of steps.

    steps is the number of steps after which ‖π − π*_τ‖₁ stays below 1e-3, rate the factor by which it shrinks in one
    near the end; null if it never gets there.  If the flow does not settle, distance is the mean over the second half
    of the run.
    """
    games, goals = gallery_tables(lengths), gallery_equilibria(tau)
    update = UPDATES[loss.form.spec.update]
    found = rest(Bundle(loss, games, behaviour), tau, [t.log_reference for t in games], goals, update=update)
    report = {}
    for name, table, goal, point in zip(GALLERY_NAMES, games, goals, found, strict=True):
        distance = float(np.abs(np.exp(point.log_policy) - np.exp(goal)).sum())
        if not point.settled:
            distance = float(np.mean(point.distances[len(point.distances) // 2 :]))
        far = np.flatnonzero(point.distances > NEAR)
        arrived = (int(far[-1]) + 1 if far.size else 0) if distance <= NEAR else None
        report[name] = {
            "distance": distance,
            "exploitability": exploitability(table, point.log_policy, tau),
            "settled": point.settled,
            "steps": None if arrived is None or arrived >= len(point.distances) else arrived,
            "rate": None if arrived is None else _rate(point.distances),
            "policy": np.exp(point.log_policy).tolist() if table.n <= 5 else None,
        }
    return report


def _rate(distances: Array) -> float | None:
    """The factor of one step at the first step size, over the second half of the steps down to 1e-9."""
    first = distances[:FLOW_STEPS]
    seen = np.flatnonzero(first > 1e-9)
    if len(seen) < 8:
        return None
    start, end = int(seen[len(seen) // 2]), int(seen[-1])
    return float((first[end] / first[start]) ** (1 / (end - start)))


def exploitability(table: Table, log_policy: Array, tau: float) -> float:
    """G(π) = τ KL(π ‖ BR(π)), by E2."""
    policy = np.exp(log_policy)
    reply = log_softmax(table.log_reference + table.margins @ policy / tau)
    inside = policy > 0
    return float(max(0.0, tau * (policy[inside] @ (log_policy - reply)[inside])))


def estimate(loss: Judged, behaviour: Behaviour, tau: float) -> dict[str, float | None]:
    """Bias and variance of the gradient of one labelled pair, against self-play's gradient and against IPO's estimate.

    At π = m_½ between π*_τ and μ of rps-weighted, with drawn labels.  ``bias`` is the part of the mean that is not
    parallel to self-play's gradient, relative to it; ``variance_over_ipo`` compares total variances after both
    estimates are scaled so that their means agree with self-play's gradient in its direction.  Source: L10.
    """
    table = gallery_tables()[0]
    policy = log_softmax(0.5 * (gallery_equilibria(tau)[0] + table.log_reference))
    own = _moments(_single_pair(loss, table, policy, tau), table, policy, behaviour)
    ipo = _moments(_ipo_pair(table, policy, tau), table, policy, lambda log_policy, log_reference: log_policy)
    g = self_play(table, policy, tau)

    def scaled(mean: Array, variance: float) -> tuple[float, float] | None:
        factor = -float(mean @ g) / float(g @ g)
        if factor <= 0:
            return None
        return float(np.linalg.norm(mean / factor + g) / np.linalg.norm(g)), variance / factor**2

    mine, theirs = scaled(*own), scaled(*ipo)
    assert theirs is not None
    if mine is None:
        return {"bias": None, "variance_over_ipo": None}
    return {"bias": mine[0], "variance_over_ipo": mine[1] / theirs[1]}


def _single_pair(loss: Judged, table: Table, log_policy: Array, tau: float) -> tuple[Array, Array]:
    """The two derivatives for every ordered pair with the first preferred, [n, n] each."""
    from nashlab.check.forms import pairs_of

    i, j = (k.ravel() for k in np.indices((table.n, table.n)))
    mu, one = table.log_reference, np.ones(len(i))
    slopes = loss.slopes(pairs_of((log_policy[i], log_policy[j]), (mu[i], mu[j]), p=1.0, length=(one, one)), tau)
    return slopes[0].reshape(table.n, -1), slopes[1].reshape(table.n, -1)


def _ipo_pair(table: Table, log_policy: Array, tau: float) -> tuple[Array, Array]:
    h = log_policy - table.log_reference
    slope = 2 * (h[:, None] - h[None, :] - 1 / (2 * tau))
    return slope, -slope


def _moments(slopes: tuple[Array, Array], table: Table, log_policy: Array, behaviour: Behaviour) -> tuple[Array, float]:
    """Mean and total variance of ∂ℓ/∂log π(y) s(y) + ∂ℓ/∂log π(y') s(y') over samples and labels."""
    policy = np.exp(log_policy)
    nu = np.exp(behaviour(log_policy, table.log_reference))
    scores = np.eye(table.n) - policy[None, :]
    draws = slopes[0][:, :, None] * scores[:, None, :] + slopes[1][:, :, None] * scores[None, :, :]
    weight = 2 * nu[:, None] * nu[None, :] * table.preferences  # of "i and j were drawn, in either order, and i won"
    mean = np.einsum("ij,ijk->k", weight, draws)
    second = float(np.einsum("ij,ijk,ijk->", weight, draws, draws))
    return mean, second - float(mean @ mean)

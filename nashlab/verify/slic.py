"""Claims about online SLiC: L15, N12, N13."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import ROUNDING, Array, Model


@claim(
    "L15",
    "online SLiC misses π*_τ: at p = .7, τ = 1, uniform μ it ends at .7311, the equilibrium is .5498",
    tolerance=2e-3,
    because="a kink is approached to within a step; printed numbers have four decimals",
    twin="online IPO, which does not miss it",
)
def l15(cases: Cases, twin: bool) -> Iterator[Observation]:
    spec = REGISTRY["online-ipo" if twin else "online-slic"]
    game = get("two-responses")
    case = Case(game, 1.0, game.log_reference)
    found, nash = np.exp(subject.settled(spec, case)), regularised_nash(game, 1.0).policy
    yield Observation(abs(found[0] - 0.7311), lambda: _missed(case, found, nash))
    yield Observation(abs(nash[0] - 0.5498), case.describe)
    # random transitive games of three responses: where SLiC ends, and how far that is from the equilibrium
    r = cases.rng("L15").normal(size=(12, 3))
    r = r[np.ptp(r, axis=1) > 0.5]
    games = PreferenceGame.from_preferences(1 / (1 + np.exp(r[:, None, :] - r[:, :, None])), name="bradley-terry")
    ends = np.exp(subject.settled(spec, Case(games, 1.0, games.log_reference)))
    equilibria = regularised_nash(games, 1.0).policy
    distance = np.abs(ends - equilibria).sum(axis=-1)
    farthest = int(np.argmax(distance))
    for x in np.argsort(distance):
        one = Case(games.prompt(int(x)), 1.0, games.log_reference[x])

        def describe(one: Case = one, x: int = int(x)) -> dict[str, Any]:
            return _missed(one, ends[x], equilibria[x])

        yield Observation(max(0.0, 0.1 - float(distance[x])), describe, witness=x == farthest)


def _missed(case: Case, found: Array, nash: Array) -> dict[str, Any]:
    ends = {"SLiC": found.tolist(), "Nash": nash.tolist(), "distance": float(np.abs(found - nash).sum())}
    return {**case.describe(), **ends}


@claim(
    "N12",
    "while osc(τh) < 1, ∇ online SLiC = −4τ D A π: no restoring force; osc(τh*) < 1 always; stationary iff Aμ = 0",
    tolerance=1e-11,
    because=ROUNDING,
    twin="a factor that is a millionth larger",
)
def n12(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.all("N12"):
        game, tau, log_pi = case
        # move the policy so close to μ that every pair is inside the hinge
        h = log_pi - game.log_reference
        h = h * min(1.0, 0.9 / (tau * float(np.ptp(h)) + 1e-300))
        point = case._replace(log_policy=oracle.log_softmax(game.log_reference + h))
        pi = np.exp(point.log_policy)
        covariance = np.diag(pi) - np.outer(pi, pi)
        formula = -4 * (1.0 + (1e-6 if twin else 0.0)) * tau * covariance @ game.margins @ pi
        gradient = oracle.loss_gradient(
            oracle.slic, Model(point.log_policy), game.preferences, game.log_reference, point.log_policy, tau
        )
        library = subject.direction("online-slic", point)
        scale = 1.0 + tau
        yield Observation(max(oracle.size(gradient - formula), oracle.size(gradient + library)) / scale, point.describe)
        q = regularised_nash(game, tau).log_policy
        spread = float(np.ptp(tau * (q - game.log_reference)))
        # where Aμ ≠ 0 the field at the equilibrium, in natural coordinates, is not 0 either
        push = game.margins @ np.exp(q)
        moves = float(np.ptp(push)) > 1e-3 * float(np.ptp(game.margins @ game.reference))
        still = float(np.ptp(game.margins @ game.reference)) < 1e-15
        wrong = still and float(np.ptp(push)) > 1e-12
        yield Observation(1.0 if spread >= 1 or wrong or not (moves or still) else 0.0, case.describe)


@claim(
    "N13",
    "for n = 2 and ½ < p < 1 online SLiC ends at h₁ − h₂ = 1/τ whatever p is; "
    "osc(h) ≤ (n−1)/τ where it stops, if 0 < p < 1",
    tolerance=1e-2,
    because="relative to 1/τ; the kink is approached to within a step of η = .005",
    twin="h₁ − h₂ = (p − ½)/τ, the equilibrium's",
)
def n13(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N13")
    p = np.array([0.55, 0.7, 0.95])
    for tau in (0.5, 1.0, 2.0):
        first = 0.5 + 0.2 * rng.uniform(-1, 1, size=3)
        rows = np.stack([np.full(3, 0.5), p, 1 - p, np.full(3, 0.5)], axis=-1).reshape(3, 2, 2)
        pairs = PreferenceGame.from_preferences(rows, reference=np.stack([first, 1 - first], axis=-1), name="pairs")
        case = Case(pairs, tau, pairs.log_reference)
        h = subject.settled(REGISTRY["online-slic"], case) - pairs.log_reference
        end = (p - 0.5) / tau if twin else 1 / tau
        yield Observation(oracle.size(h[:, 0] - h[:, 1] - end) * tau, case.describe)
        for side in (-1, 1):
            # on both sides of the kink the field points towards it
            at = pairs.log_reference + np.array([1.0, 0.0]) * (1 + side * 1e-9) / tau
            force = subject.direction("online-slic", case._replace(log_policy=oracle.log_softmax(at)))[:, 0]
            yield Observation(0.0 if np.all(side * force < 0) else 1.0, case.describe)
    for case in cases.random("N13", share=0.5):
        yield _gap_closes(case, rng)
    r = rng.normal(size=(5, 4))
    games = PreferenceGame.from_preferences(1 / (1 + np.exp(r[:, None, :] - r[:, :, None])), name="bradley-terry")
    case = Case(games, 1.0, games.log_reference)
    h = subject.settled(REGISTRY["online-slic"], case) - games.log_reference
    yield Observation(max(0.0, float(np.max(np.ptp(h, axis=-1))) - 3), case.describe)


def _gap_closes(case: Case, rng: np.random.Generator) -> Observation:
    """osc(h) > (n−1)/τ implies a gap above 1/τ, across which the upper group U is pulled down: h is not stationary.

    Σ_U pull = −2τ Σ_{i∈U, j∉U} π_i π_j (1 − p_ij), below 0 as soon as no preference is certain.
    """
    n, tau = case.game.n, case.temperature
    margins = 0.9 * case.game.margins
    upper = np.arange(n) < int(rng.integers(1, n))
    h = (1.5 * upper + rng.uniform(0, 0.4, size=n)) / tau
    # μ is chosen so that π is any policy: neither group's mass vanishes
    reference = np.exp(oracle.log_softmax(case.log_policy - h))
    game = PreferenceGame.from_margins(margins, reference=np.maximum(reference, 1e-300), name=case.game.name)
    at = Case(game, tau, oracle.log_softmax(game.log_reference + h))
    pi = np.exp(at.log_policy)
    known = -2 * tau * float(pi[upper] @ (0.5 - margins[np.ix_(upper, ~upper)]) @ pi[~upper])
    off = abs(float(subject.direction("online-slic", at)[upper].sum()) - known) / tau
    return Observation(off if known < 0 else 1.0, at.describe)

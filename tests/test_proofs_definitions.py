"""The Coq definitions are about the objects that nashlab computes: every one of them, transcribed and compared.

A theorem about the wrong object proves nothing.  Each transcription (in definitions/) quotes its Coq text, which must
be that of the sources word for word, and follows it symbol by symbol: plain loops over range(n), math.exp, math.log, no
numpy and no nashlab.  On random games its values are then held against nashlab's.  Two kinds of canary: every
transcription moved a little, and transcriptions with a plausible slip, must be caught by the same comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from definitions.in_chances import all_pairs, omwu_step, pull, row_spread, runs, signed_policy, spread_matrix
from definitions.in_dynamics import heavy_ball_stable, log_moment, md_mix, omd_step
from definitions.in_games import KL, J, best_reply, geo_mix, gibbs, total, win
from definitions.in_gradients import contrast, dpo_loss, ipo_loss, nash_md_pg, second_moment
from definitions.in_lotteries import is_accepted, is_strict, nonsingular, rank, two_cells
from definitions.samples import Sample
from definitions.sources import definitions
from definitions.table import AUXILIARY, COMPARISONS, TOLERANCES
from definitions.transcribed import EXACT, NEAR, TRANSCRIPTIONS, TYPES, Transcription, ln, vector

SAMPLES = [Sample(seed) for seed in range(16)]  # every n with every τ; a tournament in three


def difference(ours: Any, theirs: Any) -> float:
    """Relative to max(1, |theirs|); a wrong truth value is infinitely wrong, and so is NaN."""
    if isinstance(theirs, bool):
        return 0.0 if ours is theirs else math.inf
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    error = float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))
    return error if math.isfinite(error) else math.inf


def worst(name: str, f: Transcription, samples: Iterable[Sample] = SAMPLES) -> float:
    """The largest difference of a transcription from nashlab over the samples."""
    errors = [difference(*pair) for s in samples for pair in COMPARISONS[name](f, s)]
    assert errors, f"{name} was compared with nothing"
    return max(errors)


def tolerance(name: str) -> float:
    return TOLERANCES.get(name, (EXACT, ""))[0]


def moved(name: str) -> Transcription:
    """The transcription with its values a thousand tolerances off, or denied."""
    honest, by = TRANSCRIPTIONS[name], 1000 * tolerance(name)

    def f(*arguments: Any) -> Any:
        value = honest(*arguments)
        if isinstance(value, bool):
            return not value
        return [x * (1 + by) + by for x in value] if isinstance(value, list) else value * (1 + by) + by

    f.__name__ = honest.__name__
    return f


def test_every_definition_is_transcribed_and_nothing_else() -> None:
    assert set(TRANSCRIPTIONS) | set(TYPES) == set(definitions())
    assert not set(TRANSCRIPTIONS) & set(TYPES)
    assert set(COMPARISONS) == set(TRANSCRIPTIONS)
    assert set(AUXILIARY) | set(TOLERANCES) <= set(TRANSCRIPTIONS)


def test_the_quoted_definitions_are_those_of_the_sources() -> None:
    quoted = {name: " ".join((f.__doc__ or "").split()) for name, f in TRANSCRIPTIONS.items()}
    assert quoted == {name: text for name, text in definitions().items() if name not in TYPES}


@pytest.mark.parametrize("name", sorted(TRANSCRIPTIONS))
def test_the_definition_is_what_nashlab_computes(name: str) -> None:
    assert worst(name, TRANSCRIPTIONS[name]) <= tolerance(name)


@pytest.mark.parametrize("name", sorted(TRANSCRIPTIONS))
def test_a_moved_transcription_is_caught(name: str) -> None:
    assert worst(name, moved(name)) > tolerance(name)


def named(honest: Transcription, f: Transcription) -> Transcription:
    """f under the name of the transcription in whose place it stands."""
    f.__name__ = honest.__name__
    return f


#: Slips that a transcription, or a definition, could well have.
SLIPS: dict[str, tuple[str, Transcription]] = {
    "KL with its arguments swapped": ("Game.KL", lambda n, p, q: KL(n, q, p)),
    "the mixture's exponents swapped": ("Game.geo_mix", lambda n, b, mu, pi: geo_mix(n, 1 - b, mu, pi)),
    "the skew part without its ½": ("Slic.skew_apply", win),
    "the preference matrix transposed": ("Basics.win", lambda n, P, nu, y: total(n, lambda z: P[z][y] * nu[z])),
    "half of the symmetrised divergence": ("Game.sym_kl", KL),
    "the regularisers of J with the other sign": (
        "Game.J", lambda n, tau, P, mu, pi, nu: J(n, -tau, P, mu, pi, nu)),
    "the best reply to the opponent's losses": (
        "Game.best_reply", lambda n, tau, P, mu, nu: best_reply(n, tau, list(zip(*P, strict=True)), mu, nu)),
    "IPO's target 1/τ": (
        "Gradients.ipo_loss", lambda n, tau, P, mu, nu, l: ipo_loss(n, tau / 2, P, mu, nu, l)),
    "DPO without its temperature": (
        "Gradients.dpo_loss", lambda n, tau, P, mu, nu, l: dpo_loss(n, 1.5 * tau, P, mu, nu, l)),
    "Nash-MD against the policy, not the mixture": (
        "NashMD.md_step",
        lambda n, eta, tau, P, mu, pi: gibbs(
            n, md_mix(n, eta, tau, mu, pi), vector(n, lambda y: eta * win(n, P, pi, y)))),
    "MMD without its division": ("NashMD.mmd_step", omd_step),
    "EGPO without its look ahead": ("Rates.egpo_step", omd_step),
    "Nash-MD-PG with the mixture's score": (
        "Stationary.nash_md_pg",
        lambda n, tau, beta, P, mu, theta, k: nash_md_pg(n, tau, 1 - beta, P, mu, theta, k)),
    "the log-moment not centred": (
        "NashMD.log_moment", lambda n, P, eta, m: log_moment(n, P, eta, m) + eta / 2),
    "the variance of one estimator without its mean": ("Variance.total_variance", second_moment),
    "the contrast not halved": (
        "Variance.contrast", lambda s, f, y, z, c: 2 * contrast(s, f, y, z, c)),
    "EGPO's multiplier without its second order": (
        "LocalStability.egpo_multiplier", lambda tau, lam, eta: complex(1 - eta * tau, (1 - eta * tau) * eta * lam)),
    "averaged momentum as the heavy ball": ("LocalStability.averaged_momentum_stable", heavy_ball_stable),
    "the chain with ties for wins": (
        "WinRate.chain", lambda i, j: 1 / 2),
    "a slack of 0 off the support taken for strict": (
        "MaximalLottery.strict", named(is_strict, lambda n, A, x: is_accepted(n, A, x))),
    "a lottery whose weights need no sign": (
        "MaximalLottery.accepted",
        named(is_accepted, lambda n, A, x: sum(x) == 1 and all(win(n, A, x, y) <= NEAR for y in range(n)))),
    "a vertex by the equations on its support alone": (
        "Faces.vertex_rank",
        lambda n, A, v: rank(
            [[float(y == i) for y in range(n)] for i in range(n) if v[i] == 0]
            + [[float(a) for a in A[y]] for y in range(n) if v[y] != 0]) == n - 1),
    "the bordered system without its border": (
        "LinearSolve.nonsingular", lambda m, M: nonsingular(m - 1, M)),
    "the frontier's simple form for the frontier": ("KlBudget.frontier", lambda kappa: 0.5 + math.sqrt(kappa / 6)),
    "the cells of N22's bound swapped": ("Reach.two_cells", lambda w, v: two_cells(1 - w, v)),
    "runs whose laws forget what was drawn": (
        "Runs.runs", named(runs, lambda E, T, h, F: runs(lambda h, G: E((), G), T, h, F))),
    "the arithmetic mean for the logarithmic": ("LogMean.log_mean", lambda a, b: (a + b) / 2),
    "the rows' spread with weights not squared": (
        "Counts.row_spread", named(row_spread, lambda n, q, v, y: total(n, lambda j: (j != y) * q[j] * v[y][j]))),
    "B without its off-diagonal": (
        "Counts.spread_matrix",
        named(spread_matrix, lambda n, q, v, i, j: spread_matrix(n, q, v, i, j) if i == j else 0.0)),
    "errors of the win rates, not over the temperature": (
        "Counts.pull", named(pull, lambda n, tau, P, T, q, y: 1.5 * tau * pull(n, tau, P, T, q, y))),
    "all pairs with each counted in both orders": (
        "Pairs.all_pairs", named(all_pairs, lambda f, k, o: 2 * all_pairs(f, k, o))),
    "the lower bound's equilibria at half the temperature": (
        "LowerBound.signed_policy", named(signed_policy, lambda n, x, r, y: signed_policy(n, 2 * x, r, y))),
    "OMWU without its guess": (
        "Linearised.omwu_step",
        named(omwu_step, lambda n, eta, tau, P, mu, pi, _: omd_step(n, eta, tau, P, mu, pi))),
    "the residual of the reference itself": (
        "Verifier.read_residual",
        lambda n, tau, A, w, theta, y: theta[y] - ln(w[y]) - win(n, A, gibbs(n, w, [0.0] * n), y) / tau),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_caught(slip: str) -> None:
    name, wrong = SLIPS[slip]
    assert worst(name, wrong) > 1e6 * EXACT

"""Which comparison a definition is held against, to what tolerance, and what serves a proof alone."""

from __future__ import annotations

import math

import numpy as np

from definitions.compare import (
    answers,
    averages,
    balances,
    bordered_systems,
    boxes,
    characteristic,
    construction,
    convexity,
    cycles,
    determinants,
    directions,
    distributions,
    dpo_gradient,
    eigenvalues,
    eigenvectors,
    exact_identity,
    flow,
    half_variance,
    heights,
    least_gaps,
    midpoints,
    mixtures_of_a_run,
    moments,
    momentum,
    multipliers,
    newton,
    objective_values,
    optimistic,
    orders,
    other_sampling,
    preference_tables,
    printed_counterexample,
    projections,
    readings,
    recurrences,
    regular_systems,
    sharpened,
    slopes,
    smoothness,
    spheres,
    sppo_by_pairs,
    stationarity,
    supports,
    tilted_uniforms,
    transitive,
    vertices,
    warm,
    weighted_means,
)
from definitions.compare_chances import CHANCES
from definitions.in_games import best_reply, osc
from definitions.samples import Comparison, pointwise
from definitions.transcribed import SLOPE, vector
from nashlab.algorithm import Pairwise, Pointwise
from nashlab.algorithms.nash_md import mixture as nash_md_mixture
from nashlab.arrays import blend, centred, geometric_mixture, kl, log_ratio, logsumexp, oscillation
from nashlab.arrays import log_softmax as stable_log_softmax
from nashlab.arrays import sigmoid as stable_sigmoid
from nashlab.certificate import best_response, exploitability
from nashlab.certificate import residual as nashlab_residual
from nashlab.check.losses import NAMED
from nashlab.equilibrium import maximal_lottery, win_rate_bound
from nashlab.gallery import get as gallery_game
from nashlab.game import PreferenceGame
from nashlab.losses import dpo, gpo_exponential, ipo, self_play_advantage, slic
from nashlab.optimiser import averaged_momentum, heavy_ball
from nashlab.rates import game_frequency

#: Coq name -> (the transcription to judge, a sample) -> pairs of what it says and what nashlab says.
COMPARISONS: dict[str, Comparison] = {
    "Basics.sum": lambda f, s: [(f(s.n, s.vector.__getitem__), math.fsum(s.vector))],
    "Basics.delta": lambda f, s: [([[f(k, y) for y in range(s.n)] for k in range(s.n)], np.eye(s.n))],
    "Basics.top": lambda f, s: [(f(s.n, s.vector), np.max(s.vector)), (f(0, s.vector), s.vector[0])],
    "Basics.bottom": lambda f, s: [(f(s.n, s.vector), np.min(s.vector))],
    "Basics.osc": lambda f, s: [(f(s.n, s.vector), oscillation(np.array(s.vector), np.full(s.n, True)))],
    "Basics.expect": lambda f, s: [
        (f(s.n, s.pi, s.vector), s.vector[0] - centred(np.array(s.vector), s.log_pi)[0])
    ],
    "Basics.win": lambda f, s: [(vector(s.n, lambda y: f(s.n, s.P, s.nu, y)), s.win(s.log_nu))],
    "Basics.is_pref": preference_tables,
    "Game.dist": distributions,
    "Game.policy": distributions,
    "Game.same": lambda f, s: [(f(s.n, s.pi, np.exp(s.log_pi)), True), (f(s.n, s.pi, s.nu), False)],
    "Game.pref": preference_tables,
    "Game.beats": lambda f, s: [(f(s.n, s.P, s.pi, s.nu), np.exp(s.log_pi) @ s.win(s.log_nu))],
    "Game.KL": lambda f, s: [(f(s.n, s.pi, s.mu), kl(s.log_pi, s.log_mu))],
    "Game.sym_kl": lambda f, s: [(f(s.n, s.pi, s.mu), kl(s.log_pi, s.log_mu) + kl(s.log_mu, s.log_pi))],
    "Game.l1": lambda f, s: [(f(s.n, s.pi, s.mu), np.abs(np.exp(s.log_pi) - np.exp(s.log_mu)).sum())],
    "Game.J": lambda f, s: [
        (
            f(s.n, s.tau, s.P, s.mu, best_reply(s.n, s.tau, s.P, s.mu, s.pi), s.pi),
            0.5 + exploitability(s.game, s.log_pi, s.tau),
        ),
        (f(s.n, s.tau, s.P, s.mu, s.pi, s.pi), 0.5),
    ],
    "Game.gibbs_norm": lambda f, s: [(f(s.n, s.mu, s.vector), np.exp(logsumexp(s.log_mu + np.array(s.vector)))[0])],
    "Game.gibbs": lambda f, s: [(f(s.n, s.mu, s.vector), np.exp(stable_log_softmax(s.log_mu + np.array(s.vector))))],
    "Game.best_reply": lambda f, s: [
        (f(s.n, s.tau, s.P, s.mu, s.pi), np.exp(best_response(s.game.advantage(s.log_pi), s.log_mu, s.tau)))
    ],
    "Game.is_nash": lambda f, s: [(f(s.n, s.tau, s.P, s.mu, s.q), True), (f(s.n, s.tau, s.P, s.mu, s.pi), False)],
    "Game.geo_mix": lambda f, s: [
        (f(s.n, s.beta, s.mu, s.pi), np.exp(geometric_mixture(s.log_pi, s.log_mu, s.beta)))
    ],
    "Equilibrium.equilibrium": lambda f, s: [
        (f(s.n, s.tau, s.P, s.mu, s.q, s.q), True),
        (f(s.n, s.tau, s.P, s.mu, s.pi, s.q), False),
        (f(s.n, s.tau, s.P, s.mu, s.q, s.pi), False),
    ],
    "Equilibrium.gap": lambda f, s: [(f(s.n, s.tau, s.P, s.mu, s.pi), exploitability(s.game, s.log_pi, s.tau))],
    # E3's bound t = 2 tanh(osc/4) solves log_odds_gap(t/2) = osc/2
    "Certificate.log_odds_gap": lambda f, s: [(f(np.tanh(osc(s.n, s.vector) / 4)), osc(s.n, s.vector) / 2)],
    "Certificate.residual": lambda f, s: [  # nashlab's has A for P: a constant less
        (
            vector(s.n, lambda y: f(s.n, s.tau, s.P, s.mu, s.pi, y) + 0.5 / s.tau),
            nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau),
        )
    ],
    "Cycle.cycle_frequency": cycles(lambda f, s: [(f(*s.cycle()), game_frequency(s.game, s.log_pi)[0])]),
    "Cycle.AD_eigen": cycles(eigenvectors),
    "Cycle.AD_eigenvalue": cycles(eigenvalues),
    "Cycle.det3": determinants,
    "Cycle.AD_char_poly": cycles(characteristic),
    "Zonogon.width": lambda f, s: [
        (f(7, s.n, s.pi, range(s.n), l), np.exp(s.log_pi) @ abs(np.exp(1j * np.pi * (l - np.arange(s.n)) / 7).imag))
        for l in range(7)
    ],
    "Gradients.pair_expect": lambda f, s: [
        (f(s.n, s.nu, lambda y, z: s.P[y][z] ** 2), np.exp(s.log_nu) @ s.game.preferences**2 @ np.exp(s.log_nu))
    ],
    "Gradients.Cov": lambda f, s: [
        (f(s.n, s.pi, s.vector, s.lpi), np.exp(s.log_pi) @ (np.array(s.vector) * centred(s.log_pi, s.log_pi)))
    ],
    "Gradients.smooth_policy": smoothness,
    "Gradients.policy_at": lambda f, s: [
        (vector(s.n, lambda y: f(lambda t: s.log_pi + t * np.eye(s.n)[0], 0.0, y)), np.array(s.pi))
    ],
    "Gradients.logratio": lambda f, s: [(vector(s.n, lambda y: f(s.mu, s.lpi, y)), log_ratio(s.log_pi, s.log_mu))],
    "Gradients.gpo_loss": lambda f, s: [
        (f(s.n, s.tau, s.P, s.mu, s.nu, lambda x: math.exp(-x), s.lpi), s.loss(gpo_exponential))
    ],
    "Gradients.ipo_loss": lambda f, s: [(f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi), s.loss(ipo))],
    "Gradients.sigmoid": lambda f, s: [(vector(s.n, lambda y: f(s.vector[y])), stable_sigmoid(np.array(s.vector)))],
    "Named.sppo_loss": lambda f, s: [(f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi), sppo_by_pairs(s))],
    "Named.exo": lambda f, s: [(f(0.1, s.tau * d), NAMED["exo_pair"](np.array(d), np.array(0.0), tau=s.tau))
                               for d in s.vector],
    "Gradients.dpo_loss": lambda f, s: [(f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi), s.loss(dpo))],
    "Gradients.slic_loss": lambda f, s: [(f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi), s.loss(slic))],
    "Gradients.advantage": lambda f, s: [
        (
            vector(s.n, lambda y: f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi, y)),
            s.win(s.log_nu) - s.tau * log_ratio(s.log_pi, s.log_mu),
        )
    ],
    "Gradients.game_objective": objective_values,
    "Gradients.dpo_residual": dpo_gradient,
    "Gradients.partition": lambda f, s: [(f(s.n, s.theta), np.exp(logsumexp(np.array(s.theta)))[0])],
    "Gradients.log_softmax": lambda f, s: [(f(s.n, s.theta), stable_log_softmax(np.array(s.theta)))],
    "Gradients.softmax": lambda f, s: [(f(s.n, s.theta), np.exp(stable_log_softmax(np.array(s.theta))))],
    "Gradients.along": lambda f, s: [(f(s.theta, 1, s.tau), np.array(s.theta) + s.tau * np.eye(s.n)[1])],
    "Gradients.mix_log_weight": lambda f, s: [(f(s.beta, s.mu, s.lpi), blend(s.log_pi, s.log_mu, s.beta))],
    "Gradients.mix_normaliser": lambda f, s: [
        (f(s.n, s.beta, s.mu, s.lpi), np.exp(logsumexp(blend(s.log_pi, s.log_mu, s.beta)))[0])
    ],
    "Gradients.log_mixture": lambda f, s: [
        (f(s.n, s.beta, s.mu, s.lpi), geometric_mixture(s.log_pi, s.log_mu, s.beta))
    ],
    "Gradients.mixture": lambda f, s: [
        (f(s.n, s.beta, s.mu, s.lpi), np.exp(geometric_mixture(s.log_pi, s.log_mu, s.beta)))
    ],
    "Gradients.ref2": lambda f, s: [(vector(2, f), np.array([0.1, 0.9]))],
    "Gradients.theta2": lambda f, s: [(vector(2, f), np.zeros(2))],
    "Gradients.l2": lambda f, s: [(f(s.tau), stable_log_softmax(np.array([s.tau, 0.0])))],
    "Gradients.score2": lambda f, s: [
        (vector(2, f), np.eye(2)[0] - np.exp(stable_log_softmax(np.zeros(2))))
    ],
    "Gradients.printed_form": printed_counterexample,
    "Slic.no_active_hinge": lambda f, s: [
        (f(s.n, tau, s.mu, s.lpi), bool(tau * np.ptp(log_ratio(s.log_pi, s.log_mu)) < 1)) for tau in (0.05, s.tau, 50.0)
    ],
    "Slic.skew_apply": lambda f, s: [(vector(s.n, lambda y: f(s.n, s.P, s.nu, y)), s.game.advantage(s.log_nu))],
    "Slic.D_apply": lambda f, s: [
        (vector(s.n, lambda y: f(s.n, s.pi, s.vector, y)), np.array(s.pi) * centred(np.array(s.vector), s.log_pi))
    ],
    "Slic.slic_pair": lambda f, s: [
        (f(s.tau, s.P[0][1], d), slic.value(np.array(d), s.P[0][1], s.tau)) for d in s.vector
    ],
    "Newton.variance": lambda f, s: [
        (f(s.n, s.pi, s.vector), np.exp(s.log_pi) @ centred(np.array(s.vector), s.log_pi) ** 2)
    ],
    "Newton.newton_jacobian": newton,
    "Stationary.stationary": stationarity,
    "Stationary.nash_md_pg": lambda f, s: [
        (
            vector(s.n, lambda k: f(s.n, s.tau, s.beta, s.P, s.mu, s.theta, k)),
            s.pull(Pointwise(self_play_advantage), s.log_pi, geometric_mixture(s.log_pi, s.log_mu, s.beta)),
        )
    ],
    "Stationary.blended_reference": lambda f, s: [
        (vector(s.n, lambda y: f(s.beta, s.mu, s.nub, y)), np.exp(blend(s.log_mu, s.log_nub, s.beta)))
    ],
    "Stationary.rock_paper_scissors": lambda f, s: [
        ([[f(p, y, z) for z in range(3)] for y in range(3)], 0.5 + (2 * p - 1) * gallery_game("rps").margins)
        for p in (1.0, s.beta)
    ],
    "Stationary.skewed_sampling": other_sampling,
    "Variance.second_moment": moments(0),
    "Variance.mean_norm2": moments(1),
    "Variance.total_variance": moments(2),
    "Variance.X1": lambda f, s: [(s.by_coordinate(f), s.estimates(Pointwise(pointwise)))],
    "Variance.X2": lambda f, s: [(s.by_coordinate(f), s.estimates(Pointwise(pointwise)).swapaxes(0, 1))],
    "Variance.contrast": lambda f, s: [(s.by_coordinate(f), s.tau / 4 * s.estimates(Pairwise(ipo)))],
    "Variance.overlap": half_variance,
    "NashMD.md_mix": lambda f, s: [
        (f(s.n, s.eta, s.tau, s.mu, s.pi), np.exp(nash_md_mixture({"log_policy": s.log_pi}, s.setting)))
    ],
    "NashMD.md_step": lambda f, s: [(f(s.n, s.eta, s.tau, s.P, s.mu, s.pi), s.step("nash-md"))],
    "NashMD.md_iterate": lambda f, s: [
        (f(s.n, lambda _: s.eta, s.tau, s.P, s.mu, s.pi, 4), s.steps("nash-md", 4, s.log_pi)[-1])
    ],
    "NashMD.mmd_step": lambda f, s: [(f(s.n, s.eta, s.tau, s.P, s.mu, s.pi), s.step("mmd"))],
    "NashMD.omd_step": lambda f, s: [(f(s.n, s.eta, s.tau, s.P, s.mu, s.pi), s.step("omd"))],
    "NashMD.log_moment": exact_identity,
    "Rates.egpo_half": lambda f, s: [(f(s.n, s.eta, s.tau, s.P, s.mu, s.pi), s.step("omd"))],
    "Rates.egpo_step": lambda f, s: [(f(s.n, s.eta, s.tau, s.P, s.mu, s.pi), s.step("egpo"))],
    "Rates.mwu_step": lambda f, s: [(f(s.n, s.eta, s.P, s.pi), s.step("sppo"))],
    "Rates.uniform": lambda f, s: [(f(s.n), np.exp(PreferenceGame.from_margins(s.game.margins).log_reference))],
    "Rates.mwu_iterate": lambda f, s: [
        (f(s.n, s.eta, s.P, 4), s.steps("sppo", 4, stable_log_softmax(np.zeros(s.n)))[-1])
    ],
    "Existence.average": averages,
    "Existence.mixtures": lambda f, s: [(f(s.n, s.tau, s.P, s.mu, 5, 3), mixtures_of_a_run(s, 5, 4)[3])],
    "Existence.approximate": construction,
    "Existence.refined": construction,
    "Existence.limit": warm(lambda f, s: [(f(s.n, s.tau, s.P, s.mu, math.floor(s.tau) + 2), np.array(s.q))]),
    "Existence.nash_policy_of": warm(lambda f, s: [(f(s.n, s.tau, s.P, s.mu), np.array(s.q))]),
    "Lyapunov.ipo_field": lambda f, s: [
        (f(s.n, s.tau, s.P, s.mu, s.theta), ipo.unit(s.tau) * s.pull(Pairwise(ipo), s.log_pi, s.log_pi))
    ],
    "Lyapunov.lyapunov": flow,
    "LocalStability.Cnorm2": lambda f, s: [(f(complex(*s.vector[:2])), abs(complex(*s.vector[:2])) ** 2)],
    "LocalStability.omd_multiplier": multipliers("omd"),
    "LocalStability.mmd_multiplier": multipliers("mmd"),
    "LocalStability.egpo_multiplier": multipliers("egpo"),
    "LocalStability.stable_recurrence": recurrences,
    "LocalStability.heavy_ball_stable": momentum(heavy_ball),
    "LocalStability.averaged_momentum_stable": momentum(averaged_momentum),
    "LocalStability.omwu_stable": optimistic,
    "WinRate.indicator": lambda f, s: [(f(True), 1.0), (f(False), 0.0)],
    "WinRate.mass_below": lambda f, s: [
        (vector(s.n, lambda i: f(lambda j, k: j < k, s.nu, s.n, i)), np.cumsum(s.nu) - np.array(s.nu))
    ],
    "WinRate.ranked": orders,
    "WinRate.convex_with_slope": convexity,
    "WinRate.position": midpoints,
    "WinRate.win_variance": lambda f, s: [
        (f(s.n, s.P, s.nu), np.exp(s.log_nu) @ s.game.advantage(s.log_nu) ** 2)
    ],
    "WinRate.chain": transitive,
    "ZeroTemperature.lottery": lambda f, s: [
        (f(s.n, s.P, maximal_lottery(s.game).policy.tolist()), True), (f(s.n, s.P, s.pi), False)
    ],
    "ZeroTemperature.cold": lambda f, s: [(f(k) * (k + 1), 1.0) for k in range(4)],
    "ZeroTemperature.height": heights,
    "LinearSolve.nonsingular": regular_systems,
    "LinearSolve.defect": lambda f, s: [
        (
            [[f(s.n, s.P, s.scores, i, j) for j in range(s.n)] for i in range(s.n)],
            np.eye(s.n) - np.array(s.P) @ np.array(s.scores),
        )
    ],
    "LinearSolve.skip": lambda f, s: [
        ([f(p, j) for j in range(s.n)], np.delete(np.arange(s.n + 1), p)) for p in range(s.n + 1)
    ],
    "KlBudget.mass": lambda f, s: [(f(s.n, s.pi, [y % 2 == 0 for y in range(s.n)]), np.exp(s.log_pi)[::2].sum())],
    "KlBudget.lift": lambda f, s: [
        (f(s.n, s.pi, s.vector, [y % 2 == 0 for y in range(s.n)]),
         np.exp(s.log_pi)[::2] @ centred(np.array(s.vector), s.log_pi)[::2])
    ],
    "KlBudget.frontier_at": tilted_uniforms,
    "KlBudget.frontier": lambda f, s: [
        (f(min(kappa, 4.0)), win_rate_bound(min(kappa, 4.0)))
        for kappa in (float(kl(s.log_pi, s.log_mu)), float(kl(s.log_mu, s.log_pi)), s.tau)
    ],
    "Reach.mean_in": lambda f, s: [
        (f(s.n, s.pi, s.vector, [y % 2 == 0 for y in range(s.n)]), np.average(s.vector[::2], weights=s.pi[::2]))
    ],
    "Reach.others": lambda f, s: [(f([True, False], 0), False), (f([True, False], 1), True)],
    "Reach.proper": lambda f, s: [
        (f(s.n, [y == s.n - 1 for y in range(s.n)]), True),
        *((f(s.n, [b] * s.n + [not b]), False) for b in (True, False)),
    ],
    "Reach.two_cells": least_gaps,
    "Witness.in_box": boxes,
    "Extragradient.pulled": lambda f, s: [(f(s.n, s.eta, s.tau, s.P, s.mu, s.pi, s.pi), s.step("mmd"))],
    "Extragradient.extragradient": lambda f, s: [
        # nashlab's EGPO with the step η/(1 + ητ)
        (f(s.n, s.eta / (1 - s.eta * s.tau), s.tau, s.P, s.mu, s.pi), s.step("egpo"))
    ],
    "Identities.covariance": lambda f, s: [
        (f(s.n, s.pi, s.vector, s.nu), np.cov(s.vector, s.nu, aweights=s.pi, ddof=0)[0, 1])
    ],
    "Identities.slope": slopes,
    "LogMean.log_mean": weighted_means,
    "LogMean.log_mean_inner": spheres,
    "LogMean.sharpen": sharpened,
    "MaximalLottery.skew": preference_tables,
    "MaximalLottery.accepted": answers,
    "MaximalLottery.unbeaten": answers,
    "MaximalLottery.within": supports,
    "MaximalLottery.strict": answers,
    "MaximalLottery.balanced": balances,
    "MaximalLottery.bordered": bordered_systems,
    "MaximalLottery.spread": lambda f, s: [
        (vector(s.n, lambda y: f(2, [s.n - 1, 0], s.vector, y)), np.eye(s.n)[[s.n - 1, 0]].T @ s.vector[:2])
    ],
    "Faces.combine": lambda f, s: [
        (vector(s.n, lambda y: f(s.n, s.nu, s.P, y)), np.exp(s.log_nu) @ s.game.preferences)
    ],
    "Faces.extreme": vertices,
    "Faces.vertex_rank": vertices,
    "Faces.direction": directions,
    "Faces.loose": answers,
    "Verifier.growth": projections,
    "Verifier.read_residual": readings,
    **CHANCES,
}  # fmt: skip

#: What is not EXACT, and why.
TOLERANCES: dict[str, tuple[float, str]] = {
    "Newton.newton_jacobian": (10 * SLOPE, "nashlab's side is a central difference, of size 1/τ"),
    "Lyapunov.lyapunov": (SLOPE, "its derivative is a central difference"),
    "LocalStability.omd_multiplier": (1e-6, "eigenvalues of central differences, badly conditioned where π* is small"),
    "LocalStability.mmd_multiplier": (1e-6, "as above"),
    "LocalStability.egpo_multiplier": (1e-6, "as above"),
    "Existence.limit": (1e-4, "a limit read at k = 10 and about 20; what is left after extrapolation is of order 1/k²"),
    "Existence.nash_policy_of": (1e-4, "as above"),
}

#: Definitions that serve one proof and have no counterpart in nashlab: judged by what the proof uses of them.
AUXILIARY: dict[str, str] = {
    "Basics.sum": "Σ itself, against an exactly rounded sum",
    "Basics.top": "the maximum that osc is made of",
    "Basics.bottom": "the minimum that osc is made of",
    "Game.same": "equality where it matters, y < n",
    "Certificate.log_odds_gap": "2 artanh, whose inverse is the tanh of E3's bound",
    "Cycle.AD_eigen": "an eigenvector of AD written out for n = 3, against numpy's",
    "Cycle.det3": "a determinant written out, against numpy's",
    "Zonogon.width": "a zonogon's width at a multiple of π/m: cross products of unit vectors, by complex numbers",
    "Gradients.smooth_policy": "the hypothesis of L1: differentiable, and normalised throughout",
    "Gradients.theta2": "the point of L5's counterexample",
    "Gradients.ref2": "the reference of L5's counterexample",
    "Gradients.l2": "the path of L5's counterexample",
    "Gradients.score2": "the score of L5's counterexample",
    "Gradients.printed_form": "what the paper prints: off the exact gradient by −.03848 for every P and τ",
    "Stationary.skewed_sampling": "the sampling policy of L2's counterexample",
    "Lyapunov.lyapunov": "N1's V: falls at −(τ/Σe^θ) SymKL along nashlab's online IPO",
    "NashMD.log_moment": "the last term of N8: what nashlab's step leaves of the identity",
    "LocalStability.Cnorm2": "the squared modulus",
    "LocalStability.stable_recurrence": "both roots inside the unit circle, against numpy's roots",
    "WinRate.indicator": "a truth value as a number",
    "WinRate.mass_below": "the mass before i in an order: a cumulative sum",
    "WinRate.ranked": "the order by win rate, ties by index, against a stable sort",
    "WinRate.position": "midpoints of intervals laid end to end, of variance (1 − Σm³)/12",
    "WinRate.chain": "the transitive chain, where N9 is attained",
    "ZeroTemperature.cold": "a sequence of temperatures that falls to 0",
    "LinearSolve.defect": "I − QM, against numpy's",
    "LinearSolve.skip": "the indices without one: numpy's delete",
    "KlBudget.mass": "the probability of a set",
    "KlBudget.lift": "an expectation over a set, of what is above its mean",
    "KlBudget.frontier_at": "at a density ∝ e^{λu} on [0, 1] and its divergence: the density's mean, scipy's",
    "Reach.mean_in": "numpy's weighted average over a set",
    "Reach.others": "the complement",
    "Reach.proper": "sets that are neither empty nor everything",
    "Witness.in_box": "preferences between two tables, against numpy's comparison",
    "Identities.covariance": "numpy's, with weights",
    "LogMean.log_mean": "against the integral that it is",
    "LogMean.sharpen": "a bound of nashlab's distance to the equilibrium, and the square that it solves",
    "MaximalLottery.within": "supports as sets",
    "MaximalLottery.bordered": "the system that nashlab's ball arithmetic solves, against numpy's blocks",
    "MaximalLottery.spread": "weights put where they belong, by a product with units",
    "Faces.combine": "a mixture: a product of matrices",
    "Faces.direction": "from the middle of nashlab's face to its vertices",
    "Faces.loose": "how many weights and slacks are not 0, of the exact check's",
    "Verifier.growth": "the first order of KL, by the identity that the proof uses",
    "Chance.is_mean": "weights that are a distribution, against weights that are none",
    "Chance.above": "a truth value as a number",
    "Chance.upd": "a vector with one entry replaced",
    "Chance.product": "a mean over independent draws, against the sum over all outcomes",
    "Chance.coin": "the mean of 1 and -1: a hyperbolic cosine",
    "Chance.sides": "1 and -1",
    "Chance.coins": "many coins: a product of hyperbolic cosines",
    "Chance.quad": "a quadratic form",
    "Chance.trace": "numpy's",
    "Chance.trace2": "numpy's norm, squared",
    "Chance.at_most": "against numpy's largest eigenvalue",
    "Chance.drawn": "a matrix and an outer product of its last column",
    "Chance.spread_out": "a Kronecker product",
    "Counts.pairs": "a sum over the lower half of a table",
    "Counts.off": "1 minus the unit matrix",
    "Comparisons.both_ways": "the lower half of a table, mirrored",
    "Hinges.lifted": "logits with a set of them moved",
    "Hinges.flat": "N13's place for two responses, 1/τ, and no other",
    "Hinges.at_or_below": "ranks by a sort",
    "LowerBound.answers": "a mean over a strategy's answers, against the sum over all of them",
    "LowerBound.spent": "as above, of what its questions cost",
    "LowerBound.asks_in": "questions about the game's own responses",
    "LowerBound.divergence_cost": "χ² of one answer under two games",
    "LowerBound.flip": "one sign changed",
    "LowerBound.sign_of": "a Kronecker product",
    "LowerBound.share": "the part of ‖p − q‖₁ from one pair of responses",
    "Runs.runs": "a mean over draws, each by a law that depends on those before: the sum over all of them",
    "Runs.possible": "the outcomes that count",
    "Products.path": "numpy's shifted unit matrices",
    "Products.minus_turn": "a product with I − K",
    "Products.combined": "powers of I − K, by numpy",
    "Pairs.completions": "as Chance.product, of one law",
    "Pairs.all_pairs": "the mean over pairs, by numpy",
    "Pairs.pair_mean": "weighted moments, by numpy",
    "Pairs.zeta1": "as above",
    "Pairs.zeta2": "as above",
    "Pairs.fresh_pair": "as Gradients.pair_expect, of pairs",
}

"""The Coq definitions are about the objects that nashlab computes: every one of them, transcribed and compared.

A theorem about the wrong object proves nothing.  Each transcription below quotes its Coq text, which must be that of
the sources word for word, and follows it symbol by symbol: plain loops over range(n), math.exp, math.log, no numpy and
no nashlab.  On random games its values are then held against nashlab's.  Two kinds of canary: every transcription
moved a little, and transcriptions with a plausible slip, must be caught by the same comparison.

The transcriptions carry no Python types: the Coq text that each of them quotes has them.
"""

from __future__ import annotations

import cmath
import importlib.util
import itertools
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nashlab.algorithm import Pairwise, Pointwise, Setting
from nashlab.algorithms import get
from nashlab.algorithms.nash_md import mixture as nash_md_mixture
from nashlab.arrays import blend, centred, geometric_mixture, kl, log_ratio, logsumexp, oscillation
from nashlab.arrays import log_softmax as stable_log_softmax
from nashlab.arrays import sigmoid as stable_sigmoid
from nashlab.certificate import best_response, certify, check_lottery, enclose_lottery, exploitability
from nashlab.certificate import residual as nashlab_residual
from nashlab.check.losses import NAMED
from nashlab.environment import ExactEnvironment, estimate
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import get as gallery_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import dpo, gpo_exponential, ipo, self_play_advantage, slic
from nashlab.optimiser import averaged_momentum, heavy_ball
from nashlab.rates import game_frequency
from nashlab.verify import CHECKS

PROOFS = Path(__file__).resolve().parent.parent / "proofs"

Vector = Sequence[float]
Matrix = Sequence[Sequence[float]]
Transcription = Callable[..., Any]

EXACT = 1e-12  # float64 sums of at most 25 terms of size at most 1/τ² = 100, relative to max(1, |value|)
NEAR = 1e-12  # of an equality or inequality inside a predicate: the same
SLOPE = 1e-8  # against central differences of width 1e-5: truncation 1e-10, rounding 1e-11, times the curvature
WIDTH = 1e-5

TRANSCRIPTIONS: dict[str, Transcription] = {}

TYPES = {"Variance.estimator": "a type, X(y, y', coordinate): it has no value"}


def coq(name: str) -> Callable[[Transcription], Transcription]:
    """Register a transcription under its Coq name; its docstring is the Coq text."""

    def register(function: Transcription) -> Transcription:
        assert name not in TRANSCRIPTIONS, name
        TRANSCRIPTIONS[name] = function
        return function

    return register


def ln(x: float) -> float:
    """Coq's ln: 0 where there is no logarithm, so that 0 · (ln 0 − ln q) = 0."""
    return math.log(x) if x > 0 else 0.0


def vector(n: int, f: Callable[[int], float]) -> list[float]:
    """The values of a Coq function nat -> R that matter: f 0 ... f (n-1)."""
    return [f(y) for y in range(n)]


def slope(f: Callable[[float], Any]) -> Any:
    """f'(0) by central differences: what is_derive asks for, to SLOPE."""
    return (np.asarray(f(WIDTH)) - np.asarray(f(-WIDTH))) / (2 * WIDTH)


# -- Basics.v ----------------------------------------------------------------------------------------------------------


@coq("Basics.sum")
def total(n, f):
    """Fixpoint sum (n : nat) (f : nat -> R) : R := match n with O => 0 | S k => sum k f + f k end."""
    total = 0.0
    for k in range(n):
        total = total + f(k)
    return total


@coq("Basics.delta")
def delta(k, y):
    """Definition delta (k y : nat) : R := if Nat.eqb y k then 1 else 0."""
    return 1.0 if y == k else 0.0


@coq("Basics.top")
def top(n, f):
    """Fixpoint top (n : nat) (f : nat -> R) : R := match n with O => f O | S k => Rmax (top k f) (f k) end."""
    if n == 0:
        return f[0]
    return max(top(n - 1, f), f[n - 1])


@coq("Basics.bottom")
def bottom(n, f):
    """Definition bottom (n : nat) (f : nat -> R) : R := - top n (fun i => - f i)."""
    return -top(n, [-x for x in f])


@coq("Basics.osc")
def osc(n, f):
    """Definition osc (n : nat) (f : nat -> R) : R := top n f - bottom n f."""
    return top(n, f) - bottom(n, f)


@coq("Basics.expect")
def expect(n, nu, f):
    """Definition expect (n : nat) (nu f : nat -> R) : R := sum n (fun y => nu y * f y)."""
    return total(n, lambda y: nu[y] * f[y])


@coq("Basics.win")
def win(n, P, nu, y):
    """Definition win (n : nat) (P : nat -> nat -> R) (nu : nat -> R) (y : nat) : R := sum n (fun y' => P y y' * nu
    y')."""
    return total(n, lambda z: P[y][z] * nu[z])


@coq("Basics.is_pref")
def is_pref(n, P):
    """Definition is_pref (n : nat) (P : nat -> nat -> R) : Prop := forall y y', (y < n)%nat -> (y' < n)%nat -> P y y'
    + P y' y = 1."""
    return all(abs(P[y][z] + P[z][y] - 1) <= NEAR for y in range(n) for z in range(n))


# -- Game.v ------------------------------------------------------------------------------------------------------------


@coq("Game.dist")
def dist(n, p):
    r"""Definition dist (n : nat) (p : nat -> R) : Prop := (forall y, (y < n)%nat -> 0 <= p y) /\ sum n p = 1."""
    return all(p[y] >= 0 for y in range(n)) and abs(total(n, lambda y: p[y]) - 1) <= NEAR


@coq("Game.policy")
def policy(n, p):
    r"""Definition policy (n : nat) (p : nat -> R) : Prop := (forall y, (y < n)%nat -> 0 < p y) /\ sum n p = 1."""
    return all(p[y] > 0 for y in range(n)) and abs(total(n, lambda y: p[y]) - 1) <= NEAR


@coq("Game.same")
def same(n, p, q):
    """Definition same (n : nat) (p q : nat -> R) : Prop := forall y, (y < n)%nat -> p y = q y."""
    return all(abs(p[y] - q[y]) <= NEAR for y in range(n))


@coq("Game.pref")
def pref(n, P):
    r"""Definition pref (n : nat) (P : nat -> nat -> R) : Prop := is_pref n P /\ forall y y', (y < n)%nat -> (y' <
    n)%nat -> 0 <= P y y' <= 1."""
    return is_pref(n, P) and all(0 <= P[y][z] <= 1 for y in range(n) for z in range(n))


@coq("Game.beats")
def beats(n, P, pi, nu):
    """Definition beats (n : nat) (P : nat -> nat -> R) (pi nu : nat -> R) : R := expect n pi (win n P nu)."""
    return expect(n, pi, vector(n, lambda y: win(n, P, nu, y)))


@coq("Game.KL")
def KL(n, p, q):
    """Definition KL (n : nat) (p q : nat -> R) : R := sum n (fun y => p y * (ln (p y) - ln (q y)))."""
    return total(n, lambda y: p[y] * (ln(p[y]) - ln(q[y])))


@coq("Game.sym_kl")
def sym_kl(n, p, q):
    """Definition sym_kl (n : nat) (p q : nat -> R) : R := sum n (fun y => (p y - q y) * (ln (p y) - ln (q y)))."""
    return total(n, lambda y: (p[y] - q[y]) * (ln(p[y]) - ln(q[y])))


@coq("Game.l1")
def l1(n, p, q):
    """Definition l1 (n : nat) (p q : nat -> R) : R := sum n (fun y => Rabs (p y - q y))."""
    return total(n, lambda y: abs(p[y] - q[y]))


@coq("Game.J")
def J(n, tau, P, mu, pi, pi2):
    """Definition J (n : nat) (tau : R) (P : nat -> nat -> R) (mu pi pi' : nat -> R) : R := beats n P pi pi' - tau * KL
    n pi mu + tau * KL n pi' mu."""
    return beats(n, P, pi, pi2) - tau * KL(n, pi, mu) + tau * KL(n, pi2, mu)


@coq("Game.gibbs_norm")
def gibbs_norm(n, mu, f):
    """Definition gibbs_norm (n : nat) (mu f : nat -> R) : R := sum n (fun z => mu z * exp (f z))."""
    return total(n, lambda z: mu[z] * math.exp(f[z]))


@coq("Game.gibbs")
def gibbs(n, mu, f):
    """Definition gibbs (n : nat) (mu f : nat -> R) (y : nat) : R := mu y * exp (f y) / gibbs_norm n mu f."""
    return vector(n, lambda y: mu[y] * math.exp(f[y]) / gibbs_norm(n, mu, f))


@coq("Game.best_reply")
def best_reply(n, tau, P, mu, nu):
    """Definition best_reply n tau P mu nu : nat -> R := gibbs n mu (fun y => win n P nu y / tau)."""
    return gibbs(n, mu, vector(n, lambda y: win(n, P, nu, y) / tau))


@coq("Game.is_nash")
def is_nash(n, tau, P, mu, pi):
    """Definition is_nash n tau P mu pi : Prop := forall y, (y < n)%nat -> pi y = best_reply n tau P mu pi y."""
    reply = best_reply(n, tau, P, mu, pi)
    return all(abs(pi[y] - reply[y]) <= NEAR for y in range(n))


@coq("Game.geo_mix")
def geo_mix(n, beta, mu, pi):
    """Definition geo_mix n beta (mu pi : nat -> R) : nat -> R := gibbs n mu (fun y => (1 - beta) * (ln (pi y) - ln (mu
    y)))."""
    return gibbs(n, mu, vector(n, lambda y: (1 - beta) * (ln(pi[y]) - ln(mu[y]))))


# -- Equilibrium.v -----------------------------------------------------------------------------------------------------


@coq("Equilibrium.equilibrium")
def equilibrium(n, tau, P, mu, p, q):
    r"""Definition equilibrium n tau P mu (p q : nat -> R) : Prop := dist n p /\ dist n q /\ (forall p', dist n p' -> J
    n tau P mu p' q <= J n tau P mu p q) /\ (forall q', dist n q' -> J n tau P mu p q <= J n tau P mu p q')."""
    corners = [vector(n, lambda y, k=k: float(y == k)) for k in range(n)]
    blends = [vector(n, lambda y, c=c: 0.9 * p[y] + 0.1 * c[y]) for c in corners]
    others = [*corners, *blends, mu, p, q, best_reply(n, tau, P, mu, q), best_reply(n, tau, P, mu, p)]
    value = J(n, tau, P, mu, p, q)
    return (
        dist(n, p)
        and dist(n, q)
        and all(J(n, tau, P, mu, other, q) <= value + NEAR for other in others)
        and all(value <= J(n, tau, P, mu, p, other) + NEAR for other in others)
    )


@coq("Equilibrium.gap")
def gap(n, tau, P, mu, pi):
    """Definition gap n tau P mu (pi : nat -> R) : R := tau * KL n pi (best_reply n tau P mu pi)."""
    return tau * KL(n, pi, best_reply(n, tau, P, mu, pi))


# -- Certificate.v -----------------------------------------------------------------------------------------------------


@coq("Certificate.log_odds_gap")
def log_odds_gap(x):
    """Definition log_odds_gap (x : R) : R := ln (1 + x) - ln (1 - x)."""
    return ln(1 + x) - ln(1 - x)


@coq("Certificate.residual")
def residual(n, tau, P, mu, pi, y):
    """Definition residual n tau P (mu pi : nat -> R) (y : nat) : R := ln (pi y) - ln (mu y) - win n P pi y / tau."""
    return ln(pi[y]) - ln(mu[y]) - win(n, P, pi, y) / tau


# -- Cycle.v -----------------------------------------------------------------------------------------------------------


@coq("Cycle.cycle_frequency")
def cycle_frequency(p1, p2, p3, a12, a23, a31):
    """Definition cycle_frequency (p1 p2 p3 a12 a23 a31 : R) : R := sqrt (p1 * p2 * p3) * Rabs (a12 + a23 + a31)."""
    return math.sqrt(p1 * p2 * p3) * abs(a12 + a23 + a31)


def ad_defect(p1, p2, p3, a12, a23, a31, z, x1, x2, x3):
    """The three differences that AD_eigen sets to zero."""
    e = p1 * x1 + p2 * x2 + p3 * x3
    d1, d2, d3 = p1 * (x1 - e), p2 * (x2 - e), p3 * (x3 - e)
    return a12 * d2 - a31 * d3 - z * x1, a23 * d3 - a12 * d1 - z * x2, a31 * d1 - a23 * d2 - z * x3


@coq("Cycle.AD_eigen")
def AD_eigen(p1, p2, p3, a12, a23, a31, z, x1, x2, x3):
    r"""Definition AD_eigen (p1 p2 p3 a12 a23 a31 z x1 x2 x3 : C) : Prop := let e := (p1 * x1 + p2 * x2 + p3 * x3)%C in
    let d1 := (p1 * (x1 - e))%C in let d2 := (p2 * (x2 - e))%C in let d3 := (p3 * (x3 - e))%C in (a12 * d2 - a31 *
    d3 = z * x1)%C /\ (a23 * d3 - a12 * d1 = z * x2)%C /\ (a31 * d1 - a23 * d2 = z * x3)%C."""
    return all(abs(d) <= NEAR for d in ad_defect(p1, p2, p3, a12, a23, a31, z, x1, x2, x3))


@coq("Cycle.AD_eigenvalue")
def AD_eigenvalue(p1, p2, p3, a12, a23, a31, z):
    r"""Definition AD_eigenvalue (p1 p2 p3 a12 a23 a31 : R) (z : C) : Prop := exists x1 x2 x3 : C, ~ (x1 = 0%C /\ x2 =
    0%C /\ x3 = 0%C) /\ AD_eigen p1 p2 p3 a12 a23 a31 z x1 x2 x3."""
    # linear in x: a solution other than 0 exists iff the determinant of its columns vanishes
    columns = [ad_defect(p1, p2, p3, a12, a23, a31, z, *unit) for unit in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    return abs(det3(*columns[0], *columns[1], *columns[2])) <= NEAR


@coq("Cycle.det3")
def det3(m11, m12, m13, m21, m22, m23, m31, m32, m33):
    """Definition det3 (m11 m12 m13 m21 m22 m23 m31 m32 m33 : C) : C := (m11 * (m22 * m33 - m23 * m32) - m12 * (m21 *
    m33 - m23 * m31) + m13 * (m21 * m32 - m22 * m31))%C."""
    return m11 * (m22 * m33 - m23 * m32) - m12 * (m21 * m33 - m23 * m31) + m13 * (m21 * m32 - m22 * m31)


@coq("Cycle.AD_char_poly")
def AD_char_poly(p1, p2, p3, a12, a23, a31, z):
    """Definition AD_char_poly (p1 p2 p3 a12 a23 a31 z : C) : C := let c1 := (a12 * p2 - a31 * p3)%C in let c2 := (a23
    * p3 - a12 * p1)%C in let c3 := (a31 * p1 - a23 * p2)%C in (det3 (z - p1 * (0 - c1)) (- (p2 * (a12 - c1))) (-
    (p3 * (- a31 - c1))) (- (p1 * (- a12 - c2))) (z - p2 * (0 - c2)) (- (p3 * (a23 - c2))) (- (p1 * (a31 - c3))) (-
    (p2 * (- a23 - c3))) (z - p3 * (0 - c3)))%C."""
    c1 = a12 * p2 - a31 * p3
    c2 = a23 * p3 - a12 * p1
    c3 = a31 * p1 - a23 * p2
    return det3(
        *(z - p1 * (0 - c1), -(p2 * (a12 - c1)), -(p3 * (-a31 - c1))),
        *(-(p1 * (-a12 - c2)), z - p2 * (0 - c2), -(p3 * (a23 - c2))),
        *(-(p1 * (a31 - c3)), -(p2 * (-a23 - c3)), z - p3 * (0 - c3)),
    )


# -- Gradients.v -------------------------------------------------------------------------------------------------------


@coq("Gradients.pair_expect")
def pair_expect(n, nu, F):
    """Definition pair_expect (n : nat) (nu : nat -> R) (F : nat -> nat -> R) : R := expect n nu (fun y => expect n nu
    (fun y' => F y y'))."""
    return expect(n, nu, vector(n, lambda y: expect(n, nu, vector(n, lambda z: F(y, z)))))


@coq("Gradients.Cov")
def Cov(n, nu, f, g):
    """Definition Cov (n : nat) (nu f g : nat -> R) : R := expect n nu (fun y => f y * g y) - expect n nu f * expect n
    nu g."""
    return expect(n, nu, vector(n, lambda y: f[y] * g[y])) - expect(n, nu, f) * expect(n, nu, g)


@coq("Gradients.smooth_policy")
def smooth_policy(n, l, t0, s):
    """Record smooth_policy (n : nat) (l : R -> nat -> R) (t0 : R) (s : nat -> R) : Prop := { score_is : forall y, (y <
    n)%nat -> is_derive (fun t => l t y) t0 (s y); normalised : locally t0 (fun t => sum n (fun y => exp (l t y)) =
    1) }."""
    ahead, here, behind = l(t0 + WIDTH), l(t0), l(t0 - WIDTH)
    score_is = all(abs((ahead[y] - behind[y]) / (2 * WIDTH) - s[y]) <= SLOPE for y in range(n))
    normalised = all(abs(total(n, lambda y, x=x: math.exp(x[y])) - 1) <= NEAR for x in (ahead, here, behind))
    return score_is and normalised


@coq("Gradients.policy_at")
def policy_at(l, t, y):
    """Definition policy_at (l : R -> nat -> R) (t : R) (y : nat) : R := exp (l t y)."""
    return math.exp(l(t)[y])


@coq("Gradients.logratio")
def logratio(mu, lpi, y):
    """Definition logratio (mu lpi : nat -> R) (y : nat) : R := lpi y - ln (mu y)."""
    return lpi[y] - ln(mu[y])


@coq("Gradients.gpo_loss")
def gpo_loss(n, tau, P, mu, nu, f, lpi):
    """Definition gpo_loss n tau (P : nat -> nat -> R) mu nu f (lpi : nat -> R) : R := pair_expect n nu (fun y y' =>
    let d := logratio mu lpi y - logratio mu lpi y' in P y y' * f (tau * d) + (1 - P y y') * f (- (tau * d)))."""

    def pair(y, z):
        d = logratio(mu, lpi, y) - logratio(mu, lpi, z)
        return P[y][z] * f(tau * d) + (1 - P[y][z]) * f(-(tau * d))

    return pair_expect(n, nu, pair)


@coq("Gradients.ipo_loss")
def ipo_loss(n, tau, P, mu, nu, lpi):
    """Definition ipo_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R := pair_expect n nu (fun y y' => let
    d := logratio mu lpi y - logratio mu lpi y' in P y y' * (d - 1 / (2 * tau)) ^ 2 + (1 - P y y') * (- d - 1 / (2 *
    tau)) ^ 2)."""

    def pair(y, z):
        d = logratio(mu, lpi, y) - logratio(mu, lpi, z)
        return P[y][z] * (d - 1 / (2 * tau)) ** 2 + (1 - P[y][z]) * (-d - 1 / (2 * tau)) ** 2

    return pair_expect(n, nu, pair)


@coq("Gradients.sigmoid")
def sigmoid(x):
    """Definition sigmoid (x : R) : R := / (1 + exp (- x))."""
    return 1 / (1 + math.exp(-x))


@coq("Gradients.dpo_loss")
def dpo_loss(n, tau, P, mu, nu, lpi):
    """Definition dpo_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R := pair_expect n nu (fun y y' => let
    d := logratio mu lpi y - logratio mu lpi y' in - P y y' * ln (sigmoid (tau * d)) - (1 - P y y') * ln (sigmoid (-
    (tau * d))))."""

    def pair(y, z):
        d = logratio(mu, lpi, y) - logratio(mu, lpi, z)
        return -P[y][z] * ln(sigmoid(tau * d)) - (1 - P[y][z]) * ln(sigmoid(-(tau * d)))

    return pair_expect(n, nu, pair)


@coq("Gradients.slic_loss")
def slic_loss(n, tau, P, mu, nu, lpi):
    """Definition slic_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R := pair_expect n nu (fun y y' => let
    d := logratio mu lpi y - logratio mu lpi y' in P y y' * Rmax 0 (1 - tau * d) + (1 - P y y') * Rmax 0 (1 + tau *
    d))."""

    def pair(y, z):
        d = logratio(mu, lpi, y) - logratio(mu, lpi, z)
        return P[y][z] * max(0, 1 - tau * d) + (1 - P[y][z]) * max(0, 1 + tau * d)

    return pair_expect(n, nu, pair)


@coq("Named.sppo_loss")
def sppo_loss(n, tau, P, mu, nu, lpi):
    """Definition sppo_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R := pair_expect n nu (fun y y' => let
    h := logratio mu lpi y in let h' := logratio mu lpi y' in P y y' * ((h - 1 / (2 * tau)) ^ 2 + (h' + 1 / (2 * tau))
    ^ 2) + (1 - P y y') * ((h' - 1 / (2 * tau)) ^ 2 + (h + 1 / (2 * tau)) ^ 2))."""

    def pair(y, z):
        h, k, a = logratio(mu, lpi, y), logratio(mu, lpi, z), 1 / (2 * tau)
        return P[y][z] * ((h - a) ** 2 + (k + a) ** 2) + (1 - P[y][z]) * ((k - a) ** 2 + (h + a) ** 2)

    return pair_expect(n, nu, pair)


@coq("Named.exo")
def exo(e, x):
    """Definition exo e x : R := sigmoid x * (ln (sigmoid x) - ln (1 - e)) + sigmoid (- x) * (ln (sigmoid (- x)) - ln
    e)."""
    return sigmoid(x) * (ln(sigmoid(x)) - ln(1 - e)) + sigmoid(-x) * (ln(sigmoid(-x)) - ln(e))


@coq("Gradients.advantage")
def advantage(n, tau, P, mu, nu, lpi, y):
    """Definition advantage n tau P mu nu (lpi : nat -> R) (y : nat) : R := win n P nu y - tau * logratio mu lpi y."""
    return win(n, P, nu, y) - tau * logratio(mu, lpi, y)


@coq("Gradients.game_objective")
def game_objective(n, tau, P, mu, nu, lpi):
    """Definition game_objective n tau P mu nu (lpi : nat -> R) : R := let pi := fun y => exp (lpi y) in beats n P pi
    nu - tau * KL n pi mu."""
    pi = vector(n, lambda y: math.exp(lpi[y]))
    return beats(n, P, pi, nu) - tau * KL(n, pi, mu)


@coq("Gradients.dpo_residual")
def dpo_residual(n, tau, P, mu, nu, lpi, y):
    """Definition dpo_residual n tau P mu nu (lpi : nat -> R) (y : nat) : R := win n P nu y - expect n nu (fun y' =>
    sigmoid (tau * (logratio mu lpi y - logratio mu lpi y')))."""
    ratio = vector(n, lambda z: sigmoid(tau * (logratio(mu, lpi, y) - logratio(mu, lpi, z))))
    return win(n, P, nu, y) - expect(n, nu, ratio)


@coq("Gradients.partition")
def partition(n, theta):
    """Definition partition n (theta : nat -> R) : R := sum n (fun y => exp (theta y))."""
    return total(n, lambda y: math.exp(theta[y]))


@coq("Gradients.log_softmax")
def log_softmax(n, theta):
    """Definition log_softmax n (theta : nat -> R) (y : nat) : R := theta y - ln (partition n theta)."""
    return vector(n, lambda y: theta[y] - ln(partition(n, theta)))


@coq("Gradients.softmax")
def softmax(n, theta):
    """Definition softmax n (theta : nat -> R) (y : nat) : R := exp (log_softmax n theta y)."""
    return vector(n, lambda y: math.exp(log_softmax(n, theta)[y]))


@coq("Gradients.along")
def along(theta, k, t):
    """Definition along (theta : nat -> R) (k : nat) (t : R) (y : nat) : R := theta y + t * delta k y."""
    return vector(len(theta), lambda y: theta[y] + t * delta(k, y))


@coq("Gradients.mix_log_weight")
def mix_log_weight(beta, mu, lpi):
    """Definition mix_log_weight beta (mu lpi : nat -> R) (y : nat) : R := (1 - beta) * lpi y + beta * ln (mu y)."""
    return vector(len(mu), lambda y: (1 - beta) * lpi[y] + beta * ln(mu[y]))


@coq("Gradients.mix_normaliser")
def mix_normaliser(n, beta, mu, lpi):
    """Definition mix_normaliser n beta mu lpi : R := partition n (mix_log_weight beta mu lpi)."""
    return partition(n, mix_log_weight(beta, mu, lpi))


@coq("Gradients.log_mixture")
def log_mixture(n, beta, mu, lpi):
    """Definition log_mixture n beta mu lpi : nat -> R := log_softmax n (mix_log_weight beta mu lpi)."""
    return log_softmax(n, mix_log_weight(beta, mu, lpi))


@coq("Gradients.mixture")
def mixture(n, beta, mu, lpi):
    """Definition mixture n beta mu lpi : nat -> R := softmax n (mix_log_weight beta mu lpi)."""
    return softmax(n, mix_log_weight(beta, mu, lpi))


@coq("Gradients.ref2")
def ref2(y):
    """Definition ref2 (y : nat) : R := match y with O => 1 / 10 | _ => 9 / 10 end."""
    return 1 / 10 if y == 0 else 9 / 10


@coq("Gradients.theta2")
def theta2(_):
    """Definition theta2 (_ : nat) : R := 0."""
    return 0.0


@coq("Gradients.l2")
def l2(t):
    """Definition l2 (t : R) : nat -> R := log_softmax 2 (along theta2 0 t)."""
    return log_softmax(2, along(vector(2, theta2), 0, t))


@coq("Gradients.score2")
def score2(y):
    """Definition score2 (y : nat) : R := delta 0 y - 1 / 2."""
    return delta(0, y) - 1 / 2


@coq("Gradients.printed_form")
def printed_form(tau, P):
    """Definition printed_form tau (P : nat -> nat -> R) : R := let nu := mixture 2 (1 / 2) ref2 (l2 0) in - (4 / tau)
    * expect 2 nu (fun y => score2 y * (win 2 P nu y - 1 / 2 - tau * logratio ref2 (l2 0) y))."""
    mu = vector(2, ref2)
    nu = mixture(2, 1 / 2, mu, l2(0))
    return -(4 / tau) * expect(
        2, nu, vector(2, lambda y: score2(y) * (win(2, P, nu, y) - 1 / 2 - tau * logratio(mu, l2(0), y)))
    )


# -- Slic.v, Newton.v --------------------------------------------------------------------------------------------------


@coq("Slic.no_active_hinge")
def no_active_hinge(n, tau, mu, lpi):
    """Definition no_active_hinge n tau mu (lpi : nat -> R) : Prop := forall y y', (y < n)%nat -> (y' < n)%nat -> tau *
    (logratio mu lpi y - logratio mu lpi y') < 1."""
    return all(tau * (logratio(mu, lpi, y) - logratio(mu, lpi, z)) < 1 for y in range(n) for z in range(n))


@coq("Slic.skew_apply")
def skew_apply(n, P, nu, y):
    """Definition skew_apply n (P : nat -> nat -> R) nu (y : nat) : R := sum n (fun y' => (P y y' - 1 / 2) * nu y')."""
    return total(n, lambda z: (P[y][z] - 1 / 2) * nu[z])


@coq("Slic.D_apply")
def D_apply(n, pi, v, y):
    """Definition D_apply n (pi v : nat -> R) (y : nat) : R := pi y * (v y - sum n (fun y' => pi y' * v y'))."""
    return pi[y] * (v[y] - total(n, lambda z: pi[z] * v[z]))


@coq("Slic.slic_pair")
def slic_pair(tau, p, d):
    """Definition slic_pair tau p d : R := p * Rmax 0 (1 - tau * d) + (1 - p) * Rmax 0 (1 + tau * d)."""
    return p * max(0, 1 - tau * d) + (1 - p) * max(0, 1 + tau * d)


@coq("Newton.variance")
def variance(n, pi, v):
    """Definition variance n (pi v : nat -> R) : R := sum n (fun y => v y * D_apply n pi v y)."""
    return total(n, lambda y: v[y] * D_apply(n, pi, v, y))


@coq("Newton.newton_jacobian")
def newton_jacobian(n, tau, P, pi, v, y):
    """Definition newton_jacobian (v : nat -> R) (y : nat) : R := v y - skew_apply n P (D_apply n pi v) y / tau."""
    return v[y] - skew_apply(n, P, vector(n, lambda z: D_apply(n, pi, v, z)), y) / tau


# -- Stationary.v ------------------------------------------------------------------------------------------------------


@coq("Stationary.stationary")
def stationary(n, L, theta):
    """Definition stationary (n : nat) (L : (nat -> R) -> R) (theta : nat -> R) : Prop := forall k, (k < n)%nat ->
    is_derive (fun t => L (log_softmax n (along theta k t))) 0 0."""
    slopes = vector(n, lambda k: slope(lambda t: L(log_softmax(n, along(theta, k, t)))))
    return all(abs(x) <= 100 * SLOPE for x in slopes)  # a loss of size 1/τ², where SLOPE is for sizes of 1


@coq("Stationary.nash_md_pg")
def nash_md_pg(n, tau, beta, P, mu, theta, k):
    """Definition nash_md_pg n tau beta P mu theta k : R := expect n (softmax n theta) (fun y => expect n (mixture n
    beta mu (log_softmax n theta)) (fun y' => (delta k y - softmax n theta k) * (P y y' - 1 / 2 - tau * logratio mu
    (log_softmax n theta) y)))."""
    lpi, pi = log_softmax(n, theta), softmax(n, theta)
    m = mixture(n, beta, mu, lpi)

    def term(y, z):
        return (delta(k, y) - pi[k]) * (P[y][z] - 1 / 2 - tau * logratio(mu, lpi, y))

    return expect(n, pi, vector(n, lambda y: expect(n, m, vector(n, lambda z: term(y, z)))))


@coq("Stationary.blended_reference")
def blended_reference(beta, mu, mub, y):
    """Definition blended_reference beta (mu mub : nat -> R) (y : nat) : R := exp ((1 - beta) * ln (mu y) + beta * ln
    (mub y))."""
    return math.exp((1 - beta) * ln(mu[y]) + beta * ln(mub[y]))


@coq("Stationary.rock_paper_scissors")
def rock_paper_scissors(p, y, z):
    """Definition rock_paper_scissors (p : R) (y y' : nat) : R := match y, y' with | 0%nat, 1%nat | 1%nat, 2%nat |
    2%nat, 0%nat => p | 1%nat, 0%nat | 2%nat, 1%nat | 0%nat, 2%nat => 1 - p | _, _ => 1 / 2 end."""
    if (y, z) in ((0, 1), (1, 2), (2, 0)):
        return p
    if (y, z) in ((1, 0), (2, 1), (0, 2)):
        return 1 - p
    return 1 / 2


@coq("Stationary.skewed_sampling")
def skewed_sampling(y):
    """Definition skewed_sampling (y : nat) : R := match y with O => 1 / 2 | _ => 1 / 4 end."""
    return 1 / 2 if y == 0 else 1 / 4


# -- Variance.v: scores s[y][c], an antisymmetric f(y, z), estimators X(y, z, c) ---------------------------------------


@coq("Variance.second_moment")
def second_moment(n, nu, d, X):
    """Definition second_moment n nu d (X : estimator) : R := sum d (fun c => pair_expect n nu (fun y y' => X y y' c ^
    2))."""
    return total(d, lambda c: pair_expect(n, nu, lambda y, z: X(y, z, c) ** 2))


@coq("Variance.mean_norm2")
def mean_norm2(n, nu, d, X):
    """Definition mean_norm2 n nu d (X : estimator) : R := sum d (fun c => pair_expect n nu (fun y y' => X y y' c) ^
    2)."""
    return total(d, lambda c: pair_expect(n, nu, lambda y, z: X(y, z, c)) ** 2)


@coq("Variance.total_variance")
def total_variance(n, nu, d, X):
    """Definition total_variance n nu d (X : estimator) : R := sum d (fun c => pair_expect n nu (fun y y' => (X y y' c
    - pair_expect n nu (fun z z' => X z z' c)) ^ 2))."""

    def spread(c):
        mean = pair_expect(n, nu, lambda y, z: X(y, z, c))
        return pair_expect(n, nu, lambda y, z: (X(y, z, c) - mean) ** 2)

    return total(d, spread)


@coq("Variance.X1")
def X1(s, f, y, z, c):
    """Definition X1 : estimator := fun y y' c => s y c * f y y'."""
    return s[y][c] * f(y, z)


@coq("Variance.X2")
def X2(s, f, y, z, c):
    """Definition X2 : estimator := fun y y' c => - s y' c * f y y'."""
    return -s[z][c] * f(y, z)


@coq("Variance.contrast")
def contrast(s, f, y, z, c):
    """Definition contrast : estimator := fun y y' c => (X1 y y' c + X2 y y' c) / 2."""
    return (X1(s, f, y, z, c) + X2(s, f, y, z, c)) / 2


@coq("Variance.overlap")
def overlap(n, d, nu, s, f):
    """Definition overlap : R := pair_expect n nu (fun y y' => sum d (fun c => s y c * s y' c) * f y y' ^ 2)."""
    return pair_expect(n, nu, lambda y, z: total(d, lambda c: s[y][c] * s[z][c]) * f(y, z) ** 2)


# -- NashMD.v, Rates.v -------------------------------------------------------------------------------------------------


@coq("NashMD.md_mix")
def md_mix(n, eta, tau, mu, pi):
    """Definition md_mix n eta tau mu (pi : nat -> R) : nat -> R := geo_mix n (eta * tau) mu pi."""
    return geo_mix(n, eta * tau, mu, pi)


@coq("NashMD.md_step")
def md_step(n, eta, tau, P, mu, pi):
    """Definition md_step n eta tau P mu (pi : nat -> R) : nat -> R := gibbs n (md_mix n eta tau mu pi) (fun y => eta *
    win n P (md_mix n eta tau mu pi) y)."""
    m = md_mix(n, eta, tau, mu, pi)
    return gibbs(n, m, vector(n, lambda y: eta * win(n, P, m, y)))


@coq("NashMD.md_iterate")
def md_iterate(n, eta, tau, P, mu, start, t):
    """Fixpoint md_iterate n (eta : nat -> R) tau P mu (start : nat -> R) (t : nat) : nat -> R := match t with O =>
    start | S k => md_step n (eta k) tau P mu (md_iterate n eta tau P mu start k) end."""
    if t == 0:
        return start
    return md_step(n, eta(t - 1), tau, P, mu, md_iterate(n, eta, tau, P, mu, start, t - 1))


@coq("NashMD.mmd_step")
def mmd_step(n, eta, tau, P, mu, pi):
    """Definition mmd_step n eta tau P mu (pi : nat -> R) : nat -> R := gibbs n mu (fun y => (ln (pi y) - ln (mu y) +
    eta * win n P pi y) / (1 + eta * tau))."""
    return gibbs(n, mu, vector(n, lambda y: (ln(pi[y]) - ln(mu[y]) + eta * win(n, P, pi, y)) / (1 + eta * tau)))


@coq("NashMD.omd_step")
def omd_step(n, eta, tau, P, mu, pi):
    """Definition omd_step n eta tau P mu (pi : nat -> R) : nat -> R := gibbs n mu (fun y => (1 - eta * tau) * (ln (pi
    y) - ln (mu y)) + eta * win n P pi y)."""
    return gibbs(n, mu, vector(n, lambda y: (1 - eta * tau) * (ln(pi[y]) - ln(mu[y])) + eta * win(n, P, pi, y)))


@coq("NashMD.log_moment")
def log_moment(n, P, eta, m):
    """Definition log_moment (eta : R) (m : nat -> R) : R := ln (expect n m (fun y => exp (eta * (win n P m y - 1 /
    2))))."""
    return ln(expect(n, m, vector(n, lambda y: math.exp(eta * (win(n, P, m, y) - 1 / 2)))))


@coq("Rates.egpo_half")
def egpo_half(n, eta, tau, P, mu, pi):
    """Definition egpo_half n eta tau P mu (pi : nat -> R) : nat -> R := omd_step n eta tau P mu pi."""
    return omd_step(n, eta, tau, P, mu, pi)


@coq("Rates.egpo_step")
def egpo_step(n, eta, tau, P, mu, pi):
    """Definition egpo_step n eta tau P mu (pi : nat -> R) : nat -> R := gibbs n mu (fun y => (1 - eta * tau) * (ln (pi
    y) - ln (mu y)) + eta * win n P (egpo_half n eta tau P mu pi) y)."""
    half = egpo_half(n, eta, tau, P, mu, pi)
    return gibbs(n, mu, vector(n, lambda y: (1 - eta * tau) * (ln(pi[y]) - ln(mu[y])) + eta * win(n, P, half, y)))


@coq("Rates.mwu_step")
def mwu_step(n, eta, P, pi):
    """Definition mwu_step n eta P (pi : nat -> R) : nat -> R := gibbs n pi (fun y => eta * win n P pi y)."""
    return gibbs(n, pi, vector(n, lambda y: eta * win(n, P, pi, y)))


@coq("Rates.uniform")
def uniform(n):
    """Definition uniform n (_ : nat) : R := / INR n."""
    return vector(n, lambda _: 1 / n)


@coq("Rates.mwu_iterate")
def mwu_iterate(n, eta, P, t):
    """Fixpoint mwu_iterate n eta P (t : nat) : nat -> R := match t with O => uniform n | S k => mwu_step n eta P
    (mwu_iterate n eta P k) end."""
    return uniform(n) if t == 0 else mwu_step(n, eta, P, mwu_iterate(n, eta, P, t - 1))


# -- Existence.v -------------------------------------------------------------------------------------------------------


@coq("Existence.average")
def average(n, T, m):
    """Definition average (T : nat) (m : nat -> nat -> R) (y : nat) : R := sum T (fun t => m t y) / INR T."""
    return vector(n, lambda y: total(T, lambda t: m(t)[y]) / T)


@coq("Existence.mixtures")
def mixtures(n, tau, P, mu, N, t):
    """Definition mixtures (N : nat) (t : nat) : nat -> R := md_mix n (/ INR N) tau mu (md_iterate n (fun _ => / INR N)
    tau P mu mu t)."""
    return md_mix(n, 1 / N, tau, mu, md_iterate(n, lambda _: 1 / N, tau, P, mu, mu, t))


@coq("Existence.approximate")
def approximate(n, tau, P, mu, K, k):
    """Definition approximate (k : nat) : nat -> R := average ((k + K) * (k + K)) (mixtures (k + K))."""
    # `mixtures (k + K)` at t = 0, 1, ..., each from the one before
    N, pi, played = k + K, mu, []
    for _ in range(N * N):
        played.append(md_mix(n, 1 / N, tau, mu, pi))
        pi = md_step(n, 1 / N, tau, P, mu, pi)
    return average(n, N * N, lambda t: played[t])


@coq("Existence.refined")
def refined(n, tau, P, mu, K, k):
    """Definition refined (k : nat) : nat -> R := BR (approximate k)."""
    return best_reply(n, tau, P, mu, approximate(n, tau, P, mu, K, k))


LATE = 10  # the limit over k is read from here and from twice as far


@coq("Existence.limit")
def limit(n, tau, P, mu, K):
    """Definition limit (y : nat) : R := real (Lim_seq (fun k => refined k y))."""
    # the error falls like 1/(k + K), so this combination is nearer than both by an order
    near, far = refined(n, tau, P, mu, K, LATE), refined(n, tau, P, mu, K, 2 * LATE + K)
    return vector(n, lambda y: 2 * far[y] - near[y])


@coq("Existence.nash_policy_of")
def nash_policy_of(n, tau, P, mu):
    """Definition nash_policy_of : nat -> R := limit (S (Z.to_nat (up tau)))."""
    return limit(n, tau, P, mu, 1 + (math.floor(tau) + 1))


# -- Lyapunov.v, LocalStability.v --------------------------------------------------------------------------------------


@coq("Lyapunov.ipo_field")
def ipo_field(n, tau, P, mu, theta):
    """Definition ipo_field n tau P mu (theta : nat -> R) : nat -> R := D_apply n (softmax n theta) (advantage n tau P
    mu (softmax n theta) (log_softmax n theta))."""
    pi, lpi = softmax(n, theta), log_softmax(n, theta)
    r = vector(n, lambda y: advantage(n, tau, P, mu, pi, lpi, y))
    return vector(n, lambda y: D_apply(n, pi, r, y))


@coq("Lyapunov.lyapunov")
def lyapunov(n, q, theta, t):
    """Definition lyapunov (t : R) : R := sum n (fun y => q y * exp (- theta t y))."""
    return total(n, lambda y: q[y] * math.exp(-theta(t)[y]))


@coq("LocalStability.Cnorm2")
def Cnorm2(z):
    """Definition Cnorm2 (z : C) : R := fst z * fst z + snd z * snd z."""
    return z.real * z.real + z.imag * z.imag


@coq("LocalStability.omd_multiplier")
def omd_multiplier(tau, lam, eta):
    """Definition omd_multiplier (tau lam eta : R) : C := (1 - eta * tau, eta * lam)."""
    return complex(1 - eta * tau, eta * lam)


@coq("LocalStability.mmd_multiplier")
def mmd_multiplier(tau, lam, eta):
    """Definition mmd_multiplier (tau lam eta : R) : C := (1 / (1 + eta * tau), eta * lam / (1 + eta * tau))."""
    return complex(1 / (1 + eta * tau), eta * lam / (1 + eta * tau))


@coq("LocalStability.egpo_multiplier")
def egpo_multiplier(tau, lam, eta):
    """Definition egpo_multiplier (tau lam eta : R) : C := let a := RtoC (1 - eta * tau) in let ib := (0, eta * lam) :
    C in (a + ib * (a + ib))%C."""
    a, ib = complex(1 - eta * tau), complex(0, eta * lam)
    return a + ib * (a + ib)


@coq("LocalStability.stable_recurrence")
def stable_recurrence(c, q):
    """Definition stable_recurrence (c q : C) : Prop := forall z : C, (z * z = c * z - q)%C -> Cmod z < 1."""
    root = cmath.sqrt(c * c - 4 * q)
    return all(abs(z) < 1 for z in ((c + root) / 2, (c - root) / 2))


@coq("LocalStability.heavy_ball_stable")
def heavy_ball_stable(a, alpha, omega, m):
    """Definition heavy_ball_stable (a alpha omega m : R) : Prop := stable_recurrence ((1 + m - a * alpha)%R, (- (a *
    omega))%R) (RtoC m)."""
    return stable_recurrence(complex(1 + m - a * alpha, -(a * omega)), complex(m))


@coq("LocalStability.averaged_momentum_stable")
def averaged_momentum_stable(a, alpha, omega, m):
    """Definition averaged_momentum_stable (a alpha omega m : R) : Prop := heavy_ball_stable (a * (1 - m)) alpha omega
    m."""
    return heavy_ball_stable(a * (1 - m), alpha, omega, m)


@coq("LocalStability.omwu_stable")
def omwu_stable(tau, lam, eta):
    """Definition omwu_stable (tau lam eta : R) : Prop := stable_recurrence ((1 - eta * tau)%R, (2 * (eta * lam))%R)
    (0, (eta * lam)%R)."""
    return stable_recurrence(complex(1 - eta * tau, 2 * (eta * lam)), complex(0, eta * lam))


# -- WinRate.v, ZeroTemperature.v --------------------------------------------------------------------------------------


@coq("WinRate.indicator")
def indicator(b):
    """Definition indicator (b : bool) : R := if b then 1 else 0."""
    return 1.0 if b else 0.0


@coq("WinRate.mass_below")
def mass_below(lt, m, n, i):
    """Definition mass_below (n : nat) (i : nat) : R := sum n (fun j => m j * indicator (lt j i))."""
    return total(n, lambda j: m[j] * indicator(lt(j, i)))


@coq("WinRate.ranked")
def ranked(x, i, j):
    """Definition ranked (x : nat -> R) (i j : nat) : bool := if Rlt_dec (x i) (x j) then true else if Rlt_dec (x j) (x
    i) then false else Nat.ltb i j."""
    if x[i] < x[j]:
        return True
    return False if x[j] < x[i] else i < j


@coq("WinRate.convex_with_slope")
def convex_with_slope(f, g):
    """Definition convex_with_slope (f g : R -> R) : Prop := forall x y, 0 <= x <= 1 -> 0 <= y <= 1 -> f x + g x * (y -
    x) <= f y."""
    grid = [k / 16 for k in range(17)]
    return all(f(x) + g(x) * (y - x) <= f(y) + NEAR for x in grid for y in grid)


@coq("WinRate.position")
def position(n, P, m, i):
    """Definition position (i : nat) : R := mass_below (ranked X) m n i + m i / 2."""
    X = vector(n, lambda y: win(n, P, m, y))
    return mass_below(lambda j, k: ranked(X, j, k), m, n, i) + m[i] / 2


@coq("WinRate.win_variance")
def win_variance(n, P, m):
    """Definition win_variance : R := expect n m (fun i => (X i - 1 / 2) ^ 2)."""
    return expect(n, m, vector(n, lambda i: (win(n, P, m, i) - 1 / 2) ** 2))


@coq("WinRate.chain")
def chain(i, j):
    """Definition chain (i j : nat) : R := if Nat.ltb j i then 1 else if Nat.eqb i j then 1 / 2 else 0."""
    return 1.0 if j < i else 1 / 2 if i == j else 0.0


@coq("ZeroTemperature.lottery")
def lottery(n, P, nu):
    r"""Definition lottery n P (nu : nat -> R) : Prop := dist n nu /\ forall p, dist n p -> beats n P p nu <= 1 / 2."""
    # beats is linear in p, so the corners speak for every distribution
    corners = [vector(n, lambda y, k=k: float(y == k)) for k in range(n)]
    return dist(n, nu) and all(beats(n, P, p, nu) <= 1 / 2 + NEAR for p in corners)


@coq("ZeroTemperature.cold")
def cold(k):
    """Definition cold (k : nat) : R := / (INR k + 1)."""
    return 1 / (k + 1)


@coq("ZeroTemperature.height")
def height(n, mu, q, tau):
    """Definition height (tau : R) : R := KL n (q tau) mu."""
    return KL(n, q(tau), mu)


# -- LinearSolve.v -----------------------------------------------------------------------------------------------------


def rank(rows):
    """The rank of a matrix, by elimination with the largest pivots."""
    rows, found = [list(row) for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        best = max(range(found, len(rows)), key=lambda i: abs(rows[i][column]), default=None)
        if best is None or abs(rows[best][column]) <= NEAR:
            continue
        rows[found], rows[best] = rows[best], rows[found]
        for i in range(found + 1, len(rows)):
            share = rows[i][column] / rows[found][column]
            rows[i] = [x - share * y for x, y in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


@coq("LinearSolve.nonsingular")
def nonsingular(m, M):
    """Definition nonsingular m (M : nat -> nat -> R) : Prop := forall z, (forall i, (i < m)%nat -> win m M z i = 0) ->
    forall j, (j < m)%nat -> z j = 0."""
    # a solution other than 0 exists iff elimination leaves a column without a pivot
    return rank([[M[i][j] for j in range(m)] for i in range(m)]) == m


@coq("LinearSolve.defect")
def defect(m, Q, M, i, j):
    """Definition defect m (Q M : nat -> nat -> R) (i j : nat) : R := delta i j - win m Q (fun l => M l j) i."""
    return delta(i, j) - win(m, Q, vector(m, lambda y: M[y][j]), i)


@coq("LinearSolve.skip")
def skip(p, j):
    """Definition skip (p j : nat) : nat := if Nat.ltb j p then j else S j."""
    return j if j < p else j + 1


# -- KlBudget.v --------------------------------------------------------------------------------------------------------


@coq("KlBudget.mass")
def mass(n, pi, S):
    """Definition mass n (pi : nat -> R) (S : nat -> bool) : R := sum n (fun y => if S y then pi y else 0)."""
    return total(n, lambda y: pi[y] if S[y] else 0.0)


@coq("KlBudget.lift")
def lift(n, pi, h, S):
    """Definition lift n (pi h : nat -> R) (S : nat -> bool) : R := sum n (fun y => if S y then pi y * (h y - expect n
    pi h) else 0)."""
    return total(n, lambda y: pi[y] * (h[y] - expect(n, pi, h)) if S[y] else 0.0)


# -- Extragradient.v ---------------------------------------------------------------------------------------------------


@coq("Extragradient.pulled")
def pulled(n, eta, tau, P, mu, pi, nu):
    """Definition pulled n eta tau P (mu pi nu : nat -> R) : nat -> R := gibbs n mu (fun y => (ln (pi y) - ln (mu y) +
    eta * win n P nu y) / (1 + eta * tau))."""
    return gibbs(n, mu, vector(n, lambda y: (ln(pi[y]) - ln(mu[y]) + eta * win(n, P, nu, y)) / (1 + eta * tau)))


@coq("Extragradient.extragradient")
def extragradient(n, eta, tau, P, mu, pi):
    """Definition extragradient n eta tau P mu pi : nat -> R := pulled n eta tau P mu pi (pulled n eta tau P mu pi
    pi)."""
    return pulled(n, eta, tau, P, mu, pi, pulled(n, eta, tau, P, mu, pi, pi))


# -- Identities.v ------------------------------------------------------------------------------------------------------


@coq("Identities.covariance")
def covariance(n, pi, f, g):
    """Definition covariance n (pi f g : nat -> R) : R := expect n pi (fun y => f y * g y) - expect n pi f * expect n pi
    g."""
    return expect(n, pi, vector(n, lambda y: f[y] * g[y])) - expect(n, pi, f) * expect(n, pi, g)


@coq("Identities.slope")
def slope_of_wins(n, tau, P, mu, pi, g):
    """Definition slope n tau P (mu pi g : nat -> R) : R := sum n (fun y => sum n (fun z => pi y * pi z * (P y z - 1 / 2
    - tau * ((ln (pi y) - ln (mu y)) - (ln (pi z) - ln (mu z)))) * (g y - g z)))."""
    h = vector(n, lambda y: ln(pi[y]) - ln(mu[y]))
    return total(
        n,
        lambda y: total(n, lambda z: pi[y] * pi[z] * (P[y][z] - 1 / 2 - tau * (h[y] - h[z])) * (g[y] - g[z])),
    )


# -- LogMean.v ---------------------------------------------------------------------------------------------------------


@coq("LogMean.log_mean")
def log_mean(a, b):
    """Definition log_mean (a b : R) : R := if Req_EM_T a b then a else (a - b) / (ln a - ln b)."""
    return a if a == b else (a - b) / (ln(a) - ln(b))


@coq("LogMean.log_mean_inner")
def log_mean_inner(n, p, q, f, g):
    """Definition log_mean_inner n (p q f g : nat -> R) : R := sum n (fun y => log_mean (p y) (q y) * f y * g y)."""
    return total(n, lambda y: log_mean(p[y], q[y]) * f[y] * g[y])


@coq("LogMean.sharpen")
def sharpen(e, f2, M, u):
    """Definition sharpen (e f2 M u : R) : R := (e + u * M / 4 + sqrt (f2 + u * M ^ 2 / 4)) / 2."""
    return (e + u * M / 4 + math.sqrt(f2 + u * M**2 / 4)) / 2


# -- MaximalLottery.v --------------------------------------------------------------------------------------------------


@coq("MaximalLottery.skew")
def is_skew(n, A):
    """Definition skew n (A : nat -> nat -> R) : Prop := forall y y', (y < n)%nat -> (y' < n)%nat -> A y y' = - A y'
    y."""
    return all(abs(A[y][z] + A[z][y]) <= NEAR for y in range(n) for z in range(n))


@coq("MaximalLottery.accepted")
def is_accepted(n, A, x):
    r"""Definition accepted n A (x : nat -> R) : Prop := dist n x /\ forall y, (y < n)%nat -> win n A x y <= 0."""
    return dist(n, x) and all(win(n, A, x, y) <= NEAR for y in range(n))


@coq("MaximalLottery.unbeaten")
def is_unbeaten(n, A, x):
    r"""Definition unbeaten n A (x : nat -> R) : Prop := dist n x /\ forall p, dist n p -> beats n A p x <= 0."""
    # beats is linear in p, so the corners speak for every distribution
    corners = [vector(n, lambda y, k=k: float(y == k)) for k in range(n)]
    return dist(n, x) and all(beats(n, A, p, x) <= NEAR for p in corners)


@coq("MaximalLottery.within")
def is_within(n, x, z):
    """Definition within n (x z : nat -> R) : Prop := forall y, (y < n)%nat -> x y = 0 -> z y = 0."""
    return all(z[y] == 0 for y in range(n) if x[y] == 0)


@coq("MaximalLottery.strict")
def is_strict(n, A, x):
    """Definition strict n A (x : nat -> R) : Prop := forall y, (y < n)%nat -> x y = 0 -> win n A x y < 0."""
    return all(win(n, A, x, y) < -NEAR for y in range(n) if x[y] == 0)


@coq("MaximalLottery.balanced")
def is_balanced(n, A, x, z):
    """Definition balanced n A (x z : nat -> R) : Prop := forall y, (y < n)%nat -> x y <> 0 -> win n A z y = 0."""
    return all(abs(win(n, A, z, y)) <= NEAR for y in range(n) if x[y] != 0)


@coq("MaximalLottery.bordered")
def bordered(k, A, held, i, j):
    """Definition bordered k (A : nat -> nat -> R) (held : nat -> nat) (i j : nat) : R := if Nat.ltb i k then if
    Nat.ltb j k then A (held i) (held j) else 1 else if Nat.ltb j k then 1 else 0."""
    if i < k:
        return A[held[i]][held[j]] if j < k else 1
    return 1 if j < k else 0


@coq("MaximalLottery.spread")
def spread(k, held, w, y):
    """Definition spread k (held : nat -> nat) (w : nat -> R) (y : nat) : R := sum k (fun i => w i * delta (held i)
    y)."""
    return total(k, lambda i: w[i] * delta(held[i], y))


# -- Faces.v -----------------------------------------------------------------------------------------------------------


@coq("Faces.combine")
def combine(k, lam, v, y):
    """Definition combine k (lam : nat -> R) (v : nat -> nat -> R) (y : nat) : R := sum k (fun i => lam i * v i y)."""
    return total(k, lambda i: lam[i] * v[i][y])


@coq("Faces.extreme")
def extreme(n, A, v):
    r"""Definition extreme v : Prop := unbeaten n A v /\ forall a b, unbeaten n A a -> unbeaten n A b -> (forall y, (y <
    n)%nat -> v y = (a y + b y) / 2) -> same n a v /\ same n b v."""
    # if v is a midpoint at all, then of a short segment towards some basic solution and as far beyond v
    steps = [vector(n, lambda y, w=w: (w[y] - v[y]) / 64) for w in basic_solutions(n, A)]
    pairs = [(vector(n, lambda y, d=d: v[y] + d[y]), vector(n, lambda y, d=d: v[y] - d[y])) for d in steps]
    return is_unbeaten(n, A, v) and all(
        same(n, a, v) and same(n, b, v) for a, b in pairs if is_unbeaten(n, A, a) and is_unbeaten(n, A, b)
    )


def basic_solutions(n, A):
    """Every lottery in which n − 1 of the inequalities x ≥ 0, Ax ≤ 0 are equations: solved as Σ = 1 and these."""
    rows = [[float(y == i) for y in range(n)] for i in range(n)] + [[float(x) for x in row] for row in A]
    found = []
    for tight in itertools.combinations(rows, n - 1):
        system = np.array([[1.0] * n, *tight])
        if rank(system.tolist()) == n:
            x = np.linalg.solve(system, np.eye(n)[0])
            x = np.where(np.abs(x) < NEAR, 0.0, x).tolist()
            found += [x] if is_unbeaten(n, A, x) else []
    return found


@coq("Faces.vertex_rank")
def vertex_rank(n, A, v):
    """Definition vertex_rank v : Prop := forall d, within n v d -> (forall y, (y < n)%nat -> win n A v y = 0 -> win n
    A d y = 0) -> exists c, forall y, (y < n)%nat -> d y = c * v y."""
    # v is such a d itself, so the others are its multiples iff the equations have rank n - 1
    off = [[float(y == i) for y in range(n)] for i in range(n) if v[i] == 0]
    on = [[float(x) for x in A[y]] for y in range(n) if abs(win(n, A, v, y)) <= NEAR]
    return rank([*off, *on]) == n - 1


@coq("Faces.direction")
def direction(n, A, m, d):
    r"""Definition direction d : Prop := within n m d /\ balanced n A m d /\ sum n d = 0."""
    return is_within(n, m, d) and is_balanced(n, A, m, d) and abs(total(n, lambda y: d[y])) <= NEAR


@coq("Faces.loose")
def loose(n, A, z):
    """Definition loose z : R := sum n (fun y => if Req_EM_T (z y) 0 then 0 else 1) + sum n (fun y => if Req_EM_T (win
    n A z y) 0 then 0 else 1)."""
    count = total(n, lambda y: 0 if z[y] == 0 else 1)
    return count + total(n, lambda y: 0 if abs(win(n, A, z, y)) <= NEAR else 1)


# -- Verifier.v --------------------------------------------------------------------------------------------------------


@coq("Verifier.growth")
def growth(n, mu, x, z):
    """Definition growth n (mu x z : nat -> R) : R := sum n (fun y => (z y - x y) * (ln (x y) - ln (mu y)))."""
    return total(n, lambda y: (z[y] - x[y]) * (ln(x[y]) - ln(mu[y])))


@coq("Verifier.read_residual")
def read_residual(n, tau, A, w, theta, y):
    """Definition read_residual n tau A (w theta : nat -> R) (y : nat) : R := theta y - ln (w y) - win n A (gibbs n
    (fun _ => 1) theta) y / tau."""
    return theta[y] - ln(w[y]) - win(n, A, gibbs(n, [1.0] * n, theta), y) / tau


# -- random games, and nashlab's side ----------------------------------------------------------------------------------

Pair = tuple[Any, Any]  # what the transcription says, what nashlab says


class Sample:
    """A random game with everything that a definition may ask for; lists for the transcriptions, arrays for nashlab."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, (rng := np.random.default_rng(seed))
        self.n = n = 2 + seed % 4
        share = rng.random((n, n))
        if seed % 3 == 2:
            share = np.round(share)  # a tournament
        upper = np.triu(share - 0.5, 1)
        mu, pi, nu, nub = (rng.dirichlet(np.ones(n)) * 0.95 + 0.05 / n for _ in range(4))
        self.game = PreferenceGame.from_margins(upper - upper.T, reference=mu)
        self.P: Matrix = self.game.preferences.tolist()
        self.mu, self.pi, self.nu, self.nub = (p.tolist() for p in (np.exp(self.game.log_reference), pi, nu, nub))
        self.log_mu, self.log_pi, self.log_nu, self.log_nub = (
            self.game.log_reference,
            np.log(pi),
            np.log(nu),
            np.log(nub),
        )
        self.lpi: Vector = self.log_pi.tolist()
        self.theta: Vector = (self.log_pi + rng.normal()).tolist()
        self.vector: Vector = rng.normal(size=n).tolist()
        self.tau = (0.1, 0.3, 1.0, 3.0)[seed // 4 % 4]
        self.eta = min(float(rng.uniform(0.1, 0.9)) / self.tau, 2.0)
        self.beta = float(rng.uniform(0.05, 0.95))
        self.environment = ExactEnvironment(self.game.margins)
        self.setting = Setting(self.log_mu, self.log_nub, self.tau, self.eta, self.beta, 0.0)

    @cached_property
    def log_q(self) -> np.ndarray:
        """log of the equilibrium."""
        return regularised_nash(self.game, self.tau).log_policy

    @cached_property
    def q(self) -> Vector:
        return np.exp(self.log_q).tolist()

    @cached_property
    def frequencies(self) -> np.ndarray:
        """λ for the n − 1 directions that a policy can move in; the constant direction has the smallest, 0."""
        return game_frequency(self.game, self.log_q)[: self.n - 1]

    @cached_property
    def ties(self) -> PreferenceGame:
        """A game with margins -1, 0 and 1: most have a whole face of lotteries."""
        upper = np.triu(np.random.default_rng([self.seed, 18]).integers(-1, 2, (self.n, self.n)), 1)
        return PreferenceGame.from_margins((upper - upper.T).tolist())

    @cached_property
    def lotteries(self) -> list[list[Fraction]]:
        """The vertices of the face of that game, exactly."""
        found = maximal_lottery(self.ties)
        assert found.face is None or found.face.complete
        return [list(v) for v in (found.face.vertices if found.face else (found.policy_exact,))]

    @cached_property
    def middle(self) -> list[Fraction]:
        """The mean of the vertices: no vertex unless it is the only one."""
        return [sum(weights, Fraction(0)) / len(self.lotteries) for weights in zip(*self.lotteries, strict=True)]

    @cached_property
    def answers(self) -> list[list[Fraction]]:
        """Lotteries of that game, and vectors that may be none."""
        even, corner = [Fraction(1, self.n)] * self.n, [Fraction(y == 0) for y in range(self.n)]
        return [*self.lotteries, self.middle, even, corner, [x / 2 for x in self.middle]]

    def win(self, log_nu: np.ndarray) -> np.ndarray:
        return self.game.advantage(log_nu) + 0.5

    def steps(self, name: str, count: int, start: np.ndarray, **changed: Any) -> list[np.ndarray]:
        """The policies of a run, the first included."""
        spec, state = get(name), get(name).start(start)
        seen = [np.exp(start)]
        for t in range(count):
            state = spec.step(state, self.setting._replace(time=float(t), **changed), self.environment)
            seen.append(np.exp(state["log_policy"]))
        return seen

    def step(self, name: str) -> np.ndarray:
        return self.steps(name, 1, self.log_pi)[1]

    def pull(self, objective: Any, log_left: np.ndarray, log_right: np.ndarray) -> np.ndarray:
        """The ascent direction in θ at π: minus the gradient of a loss."""
        return self.environment.pull(objective, self.log_pi, log_left, log_right, self.setting)

    def loss(self, loss: Any) -> float:
        """E ℓ(h(y) − h(y'), p) under y, y' ~ ν."""
        h = log_ratio(self.log_pi, self.log_mu)
        values = loss.value(h[:, None] - h[None, :], self.game.preferences, self.tau)
        return float(np.exp(self.log_nu) @ values @ np.exp(self.log_nu))

    def f(self, y: int, z: int) -> float:
        """L10's antisymmetric f, read from the tables."""
        h = log_ratio(self.log_pi, self.log_mu)
        return float(self.game.margins[y, z] - self.tau * (h[y] - h[z]))

    @cached_property
    def scores(self) -> Matrix:
        """s(y) = e_y − π."""
        return (np.eye(self.n) - np.exp(self.log_pi)).tolist()

    def estimates(self, objective: Any) -> np.ndarray:
        """What nashlab's sampled feedback estimates from the one pair (y, y'), [n, n, coordinates]."""
        pair = [[([y], [z], [self.P[y][z]]) for z in range(self.n)] for y in range(self.n)]
        one = [[estimate(objective, self.log_pi, self.setting, *map(np.array, x)) for x in row] for row in pair]
        return np.array(one)

    def by_coordinate(self, f: Transcription) -> list:
        """An estimator of Variance.v on every (y, y', c)."""
        order = range(self.n)
        return [[[f(self.scores, self.f, y, z, c) for c in order] for z in order] for y in order]

    def cycle(self) -> tuple[float, ...]:
        """p1, p2, p3, a12, a23, a31 of a game of three."""
        a = self.game.margins
        return (*self.pi, float(a[0, 1]), float(a[1, 2]), float(a[2, 0]))

    def jacobian(self, name: str) -> np.ndarray:
        """One step linearised at π*_τ, on log-policies modulo constants and all that the method remembers."""
        keys = sorted(get(name).start(self.log_q))

        def moved(x: np.ndarray) -> np.ndarray:
            state = {key: stable_log_softmax(part) for key, part in zip(keys, np.split(x, len(keys)), strict=True)}
            state = get(name).step(state, self.setting, self.environment)
            return np.concatenate([state[key] for key in keys])

        here = np.concatenate([self.log_q] * len(keys))
        return np.array([slope(lambda t, e=e: moved(here + t * e)) for e in np.eye(len(here))]).T


def estimator_moments(x: np.ndarray, mass: Vector) -> tuple[float, float, float]:
    """E|X|², |E X|² and the total variance of X[y, y', c] under independent y, y'."""
    weights = np.outer(mass, mass)[..., None]
    mean = (weights * x).sum((0, 1))
    return (weights * x**2).sum(), mean @ mean, (weights * (x - mean) ** 2).sum()


def pointwise(h_left: Any, h_right: Any, p: Any, tau: Any) -> Any:
    """f as the advantage of a policy gradient: its estimate from a pair is X1."""
    return p - 0.5 - tau * (h_left - h_right)


Comparison = Callable[[Transcription, Sample], list[Pair]]

# -- comparisons -------------------------------------------------------------------------------------------------------


def broken(P: Matrix) -> Matrix:
    """P with one entry moved: P + Pᵀ is no longer 1."""
    return [[*P[0][:-1], P[0][-1] / 2 + 0.1], *P[1:]]


def accepted(build: Callable[..., Any], table: Any) -> bool:
    """Whether nashlab takes a table as a game."""
    try:
        build(table)
    except BadInput:
        return False
    return True


def preference_tables(f: Transcription, s: Sample) -> list[Pair]:
    wide = [[0.5 + 5 * (x - 0.5) for x in row] for row in s.P]
    tables = (s.P, broken(s.P), wide, uniform_table(s.n))
    if f.__name__.startswith("is_skew"):
        margins = [np.array(t) - 0.5 for t in tables]
        return [(f(s.n, m.tolist()), accepted(PreferenceGame.from_margins, m)) for m in margins]
    if f.__name__.startswith("is_pref"):
        return [(f(s.n, t), accepted(PreferenceGame.from_margins, np.array(t) - 0.5)) for t in tables]
    return [(f(s.n, t), accepted(PreferenceGame.from_preferences, t)) for t in tables]


def uniform_table(n: int) -> Matrix:
    return [[0.5] * n for _ in range(n)]


def distributions(f: Transcription, s: Sample) -> list[Pair]:
    corner = [1.0] + [0.0] * (s.n - 1)
    full = f.__name__ == "policy"
    bad = [[1.5, -0.5, *corner[2:]], [0.5 * x for x in s.pi]]
    return [(f(s.n, s.q), True), (f(s.n, corner), not full), *((f(s.n, p), False) for p in bad)]


def answers(f: Transcription, s: Sample) -> list[Pair]:
    """What the rational check says of each answer."""
    checks = {
        "accepted": lambda x: check_lottery(s.ties.exact, x).valid,
        "unbeaten": lambda x: check_lottery(s.ties.exact, x).valid,
        "strict": lambda x: check_lottery(s.ties.exact, x).strict,
        "loose": lambda x: np.count_nonzero(x) + np.count_nonzero(check_lottery(s.ties.exact, x).slacks),
    }
    said = checks[f.__name__.removeprefix("is_")]
    pairs = [(f(s.n, s.ties.exact, x), said(x)) for x in s.answers]
    if said in (checks["accepted"], checks["unbeaten"]):
        # beyond a vertex: of sum 1, perhaps unbeaten, but of a negative weight if the face goes on
        beyond = [2 * x - y for x, y in zip(s.lotteries[0], s.middle, strict=True)]
        pairs.append((f(s.n, s.ties.exact, beyond), said(beyond)))
    return pairs


def supports(f: Transcription, s: Sample) -> list[Pair]:
    held = [{y for y in range(s.n) if x[y] != 0} for x in s.answers]
    return [(f(s.n, s.answers[i], s.answers[j]), b <= a) for i, a in enumerate(held) for j, b in enumerate(held)]


def balances(f: Transcription, s: Sample) -> list[Pair]:
    slacks = [check_lottery(s.ties.exact, z).slacks for z in s.answers]
    zero = [[all(slack[y] == 0 for y in range(s.n) if x[y] != 0) for slack in slacks] for x in s.answers]
    assert all(all(row[: len(s.lotteries) + 1]) for row in zero[: len(s.lotteries) + 1]), "lotteries are balanced"
    return [(f(s.n, s.ties.exact, x, z), zero[i][j]) for i, x in enumerate(s.answers) for j, z in enumerate(s.answers)]


def vertices(f: Transcription, s: Sample) -> list[Pair]:
    # nashlab's vertices come from a double description; their mean is one only if it is alone
    good = [(f(s.n, s.ties.exact, v), True) for v in s.lotteries]
    return [*good, (f(s.n, s.ties.exact, s.middle), len(s.lotteries) == 1)]


def directions(f: Transcription, s: Sample) -> list[Pair]:
    moves = [[x - y for x, y in zip(v, s.middle, strict=True)] for v in s.lotteries]
    turned = [[*d[1:], d[0] + 1] for d in moves]
    return [(f(s.n, s.ties.exact, s.middle, d), d in moves) for d in [*moves, *s.lotteries, *turned]]


def bordered_systems(f: Transcription, s: Sample) -> list[Pair]:
    held = sorted(s.rng.permutation(s.n)[: 1 + s.n // 2].tolist())
    k, one = len(held), np.ones((len(held), 1))
    ours = [[f(k, s.ties.margins.tolist(), held, i, j) for j in range(k + 1)] for i in range(k + 1)]
    return [(ours, np.block([[s.ties.margins[np.ix_(held, held)], one], [one.T, np.zeros((1, 1))]]))]


def regular_systems(f: Transcription, s: Sample) -> list[Pair]:
    # the bordered system on the support is nonsingular exactly where the ball arithmetic proves one lottery
    n, games, pairs = s.n, [s.ties], []
    for game in [*games, s.game]:
        found = maximal_lottery(game)
        held = [y for y in range(n) if np.isfinite(found.log_policy[y])]
        square = [[bordered(len(held), game.margins.tolist(), held, i, j) for j in range(len(held) + 1)]
                  for i in range(len(held) + 1)]  # fmt: skip
        pairs.append((f(len(held) + 1, square), enclose_lottery(game, found.log_policy) is not None))
    flat = [[x * y for y in s.vector] for x in s.vector]
    return [*pairs, (f(n, flat), n == 1), (f(n, np.eye(n).tolist()), True)]


def weighted_means(f: Transcription, s: Sample) -> list[Pair]:
    # the logarithmic mean is the mean of a^(1-t) b^t over t in [0, 1]
    nodes, weights = np.polynomial.legendre.leggauss(40)
    t = (nodes + 1) / 2
    pairs = [*zip(s.pi, s.mu, strict=True), (0.3, 0.3)]
    return [(f(a, b), float(weights @ (a ** (1 - t) * b**t) / 2)) for a, b in pairs]


def spheres(f: Transcription, s: Sample) -> list[Pair]:
    # N18: both are SymKL(π, q), whatever the constant
    ell = (s.log_pi - s.log_q).tolist()
    r = (nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau) + 0.7).tolist()
    truth = kl(s.log_pi, s.log_q) + kl(s.log_q, s.log_pi)
    return [(f(s.n, s.pi, s.q, ell, ell), truth), (f(s.n, s.pi, s.q, ell, r), truth)]


def slopes(f: Transcription, s: Sample) -> list[Pair]:
    # N28: −2τ Cov_π(r, g) in nashlab's residual, for any g
    r = nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau)
    return [(f(s.n, s.tau, s.P, s.mu, s.pi, s.vector), -2 * s.tau * (np.array(s.pi) * centred(r, s.log_pi)) @ s.vector)]


def sharpened(f: Transcription, s: Sample) -> list[Pair]:
    # from π alone, and never below the distance to nashlab's equilibrium
    r = centred(nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau), s.log_pi)
    e, f2, M = np.exp(s.log_pi) @ np.abs(r), np.exp(s.log_pi) @ r**2, np.max(np.abs(r))
    distance, u = np.abs(np.exp(s.log_pi) - np.exp(s.log_q)).sum(), certify(s.game, s.log_pi, s.tau).l1_bound
    value = f(e, f2, M, u)
    root = 2 * value - e - u * M / 4
    return [(bool(value >= distance), True), (root**2 / max(1.0, f2, M**2), (f2 + u * M**2 / 4) / max(1.0, f2, M**2))]


def projections(f: Transcription, s: Sample) -> list[Pair]:
    # KL(z ‖ μ) = KL(x ‖ μ) + growth + KL(z ‖ x)
    log = [s.log_pi, s.log_nu, s.log_q]
    return [
        (f(s.n, s.mu, np.exp(x), np.exp(z)), kl(z, s.log_mu) - kl(x, s.log_mu) - kl(z, x)) for x in log for z in log
    ]


def readings(f: Transcription, s: Sample) -> list[Pair]:
    # weights and log-weights that are not normalised: two constants more
    w, theta = [3 * m for m in s.mu], [1.3 + x for x in s.lpi]
    ours = vector(s.n, lambda y: f(s.n, s.tau, s.game.margins.tolist(), w, theta, y) - 1.3 + math.log(3))
    return [(ours, nashlab_residual(s.game.advantage(s.log_pi), s.log_mu, s.log_pi, s.tau))]


def cycles(pairs: Comparison) -> Comparison:
    """A comparison for games of three only."""
    return lambda f, s: pairs(f, s) if s.n == 3 else []


def warm(pairs: Comparison) -> Comparison:
    """A comparison for τ ≥ 1 only: below, the construction of Existence.v comes near too slowly for a test."""
    return lambda f, s: pairs(f, s) if s.tau >= 1 else []


def eigenvectors(f: Transcription, s: Sample) -> list[Pair]:
    pi = np.array(s.pi)
    values, columns = np.linalg.eig(s.game.margins @ (np.diag(pi) - np.outer(pi, pi)))
    good = [(f(*s.cycle(), z, *x), True) for z, x in zip(values, columns.T, strict=True)]
    return [*good, *((f(*s.cycle(), z + 0.1, *x), False) for z, x in zip(values, columns.T, strict=True))]


def eigenvalues(f: Transcription, s: Sample) -> list[Pair]:
    rate = game_frequency(s.game, s.log_pi)[0]
    return [
        *((f(*s.cycle(), z), True) for z in (0j, 1j * rate, -1j * rate)),
        *((f(*s.cycle(), z), False) for z in (0.1, 1j * rate + 0.1, 1j * (rate + 0.1))),
    ]


def characteristic(f: Transcription, s: Sample) -> list[Pair]:
    rate, z = game_frequency(s.game, s.log_pi)[0], complex(*s.vector[:2])
    return [(f(*s.cycle(), z), z * (z * z + rate**2))]


def determinants(f: Transcription, s: Sample) -> list[Pair]:
    m = s.rng.normal(size=(3, 3)) + 1j * s.rng.normal(size=(3, 3))
    return [(f(*m.ravel()), np.linalg.det(m))]


def smoothness(f: Transcription, s: Sample) -> list[Pair]:
    def path(t: float) -> np.ndarray:
        return stable_log_softmax(np.array(s.theta) + t * np.eye(s.n)[0])

    def unnormalised(t: float) -> np.ndarray:
        return path(t) + t

    score = np.array(s.scores)[:, 0]
    return [
        (f(s.n, path, 0.0, score), True),
        (f(s.n, path, 0.0, score + 0.1), False),
        (f(s.n, unnormalised, 0.0, score + 1), False),
    ]


def objective_values(f: Transcription, s: Sample) -> list[Pair]:
    # J(BR(ν), ν) − ½ = G(ν), and J differs from the objective by τ KL(ν‖μ)
    reply = best_response(s.game.advantage(s.log_nu), s.log_mu, s.tau)
    best = exploitability(s.game, s.log_nu, s.tau) + 0.5 - s.tau * kl(s.log_nu, s.log_mu)
    direct = np.exp(s.log_pi) @ s.win(s.log_nu) - s.tau * kl(s.log_pi, s.log_mu)
    return [(f(s.n, s.tau, s.P, s.mu, s.nu, reply), best), (f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi), direct)]


def dpo_gradient(f: Transcription, s: Sample) -> list[Pair]:
    weighted = np.array([s.nu[y] * f(s.n, s.tau, s.P, s.mu, s.nu, s.lpi, y) for y in range(s.n)])
    return [(2 * s.tau * (weighted - np.array(s.pi) * weighted.sum()), s.pull(Pairwise(dpo), s.log_nu, s.log_nu))]


def printed_counterexample(f: Transcription, s: Sample) -> list[Pair]:
    # the exact gradient is off the printed form by E_ν h = −.03848 for every P and τ (L5)
    game = PreferenceGame.from_margins(s.game.margins[:2, :2], reference=[0.1, 0.9])
    even = np.log([0.5, 0.5])
    nu = geometric_mixture(even, game.log_reference, 0.5)
    setting = s.setting._replace(log_reference=game.log_reference)
    exact = -ExactEnvironment(game.margins).pull(Pairwise(ipo), even, nu, nu, setting)[0]
    missing = 0.25 * np.log(5) + 0.75 * np.log(5 / 9)
    assert abs(missing + 0.03848) < 5e-6
    return [(f(s.tau, game.preferences.tolist()), exact - missing)]


def newton(f: Transcription, s: Sample) -> list[Pair]:
    # the derivative of E3's residual along v, which moves log π by v − E_π v
    v = np.array(s.vector)

    def at(t: float) -> np.ndarray:
        log_pi = stable_log_softmax(s.log_pi + t * v)
        return nashlab_residual(s.game.advantage(log_pi), s.log_mu, log_pi, s.tau)

    ours = vector(s.n, lambda y: f(s.n, s.tau, s.P, s.pi, s.vector, y))
    return [(ours, slope(at) + np.array(s.pi) @ v)]


def stationarity(f: Transcription, s: Sample) -> list[Pair]:
    def at(nu: Vector, log_pi: np.ndarray) -> bool:
        return f(s.n, lambda lpi: ipo_loss(s.n, s.tau, s.P, s.mu, nu, lpi), log_pi.tolist())

    offline = best_response(s.game.advantage(s.log_nu), s.log_mu, s.tau)
    return [(at(s.q, s.log_q), True), (at(s.nu, offline), True), (at(s.pi, s.log_pi), False)]


def other_sampling(f: Transcription, s: Sample) -> list[Pair]:
    # L2 (ii): at the equilibrium, IPO on these samples still has the slope 1/(8τ) in the second coordinate
    game = gallery_game("rps")
    log_nu = np.log(vector(3, f))
    setting = s.setting._replace(log_reference=game.log_reference)
    pull = ExactEnvironment(game.margins).pull(Pairwise(ipo), game.log_reference, log_nu, log_nu, setting)
    return [(-pull[1], 1 / (8 * s.tau))]


def moments(which: int) -> Comparison:
    def pairs(f: Transcription, s: Sample) -> list[Pair]:
        x = s.estimates(Pointwise(pointwise))
        return [(f(s.n, s.nu, s.n, lambda y, z, c: float(x[y, z, c])), estimator_moments(x, s.nu)[which])]

    return pairs


def half_variance(f: Transcription, s: Sample) -> list[Pair]:
    # L10: Var (X₁+X₂)/2 − ½ Var X₁ = −½ (E[s·s' f²] + |E X₁|²)
    single, both = s.estimates(Pointwise(pointwise)), s.tau / 4 * s.estimates(Pairwise(ipo))
    _, mean, spread = estimator_moments(single, s.nu)
    return [(f(s.n, s.n, s.nu, s.scores, s.f), spread - 2 * estimator_moments(both, s.nu)[2] - mean)]


def exact_identity(f: Transcription, s: Sample) -> list[Pair]:
    # N8 at the equilibrium: what is left of it is log E_m e^{η(p(·≻m) − ½)}
    share = s.eta * s.tau
    log_m = geometric_mixture(s.log_pi, s.log_mu, share)
    after = np.log(s.step("nash-md"))
    rest = (1 - share) * (kl(s.log_q, s.log_pi) - kl(log_m, s.log_pi)) - share * kl(log_m, s.log_q)
    return [(f(s.n, s.P, s.eta, np.exp(log_m).tolist()), kl(s.log_q, after) - rest)]


def averages(f: Transcription, s: Sample) -> list[Pair]:
    played = s.steps("sppo", 4, s.log_pi)[:4]
    state = get("sppo").start(s.log_pi)
    for t in range(4):
        state = get("sppo").step(state, s.setting._replace(time=float(t)), s.environment)
    return [(f(s.n, 4, lambda t: played[t].tolist()), np.exp(get("sppo").answer(state, s.setting)))]


def mixtures_of_a_run(s: Sample, N: int, count: int) -> list[np.ndarray]:
    """The mixtures that nashlab's Nash-MD plays from μ at the step 1/N."""
    setting = s.setting._replace(step_size=1 / N)
    run = s.steps("nash-md", count - 1, s.log_mu, step_size=1 / N)
    return [np.exp(nash_md_mixture({"log_policy": np.log(pi)}, setting)) for pi in run]


def construction(f: Transcription, s: Sample) -> list[Pair]:
    K, k = math.floor(s.tau) + 1, 2
    mean = np.mean(mixtures_of_a_run(s, k + K, (k + K) ** 2), axis=0)
    reply = np.exp(best_response(s.game.advantage(np.log(mean)), s.log_mu, s.tau))
    return [(f(s.n, s.tau, s.P, s.mu, K, k), mean if f.__name__ == "approximate" else reply)]


def flow(f: Transcription, s: Sample) -> list[Pair]:
    # N1: V̇ = −(τ/Σe^θ) SymKL(π, q) along θ̇ = g, g the library's online IPO
    spec, theta = get("online-ipo"), np.array(s.theta)
    g = spec.objective.unit(s.tau) * s.pull(spec.objective, s.log_pi, s.log_pi)
    symmetric = kl(s.log_pi, s.log_q) + kl(s.log_q, s.log_pi)
    rate = slope(lambda t: f(s.n, s.q, lambda u: theta + u * g, t))
    return [(rate, -s.tau / np.exp(theta).sum() * symmetric)]


def nearest(value: complex, values: np.ndarray) -> complex:
    return values[np.argmin(np.abs(values - value))]


def multipliers(name: str) -> Comparison:
    def pairs(f: Transcription, s: Sample) -> list[Pair]:
        seen = np.linalg.eigvals(s.jacobian(name))
        ours = [f(s.tau, sign * rate, s.eta) for rate in s.frequencies for sign in (1, -1)]
        return [(x, nearest(x, seen)) for x in ours]

    return pairs


def recurrences(f: Transcription, s: Sample) -> list[Pair]:
    c, q = complex(*s.rng.normal(size=2)), complex(*s.rng.normal(size=2)) / 2
    return [(f(c, q), bool(max(abs(np.roots([1, -c, q]))) < 1))]


def momentum(optimiser: Callable[[float], Any]) -> Comparison:
    def radius(a: float, alpha: float, omega: float, m: float) -> float:
        pull = np.array([[-alpha, omega], [-omega, -alpha]])  # θ̇ = −(α + iω) θ

        def moved(x: np.ndarray) -> np.ndarray:
            movement, memory = optimiser(m).step(pull @ x[:2], {"velocity": x[2:]}, a, 0)
            return np.concatenate([x[:2] + movement, memory["velocity"]])

        return float(max(abs(np.linalg.eigvals(np.array([moved(e) for e in np.eye(4)]).T))))

    def pairs(f: Transcription, s: Sample) -> list[Pair]:
        cases = [(*s.rng.uniform(0.1, 1.2, 3), s.rng.uniform(-0.9, 0.9)) for _ in range(10)]
        return [(f(*case), radius(*case) < 1) for case in cases if abs(radius(*case) - 1) > 1e-9]

    return pairs


def optimistic(f: Transcription, s: Sample) -> list[Pair]:
    radius = max(abs(np.linalg.eigvals(s.jacobian("omwu"))))
    return [(all(f(s.tau, rate, s.eta) for rate in s.frequencies), bool(radius < 1))] if abs(radius - 1) > 1e-4 else []


def ranks(win_rates: np.ndarray) -> np.ndarray:
    """Place in the order by win rate, ties by index."""
    place = np.empty(len(win_rates), dtype=int)
    place[np.lexsort((np.arange(len(win_rates)), win_rates))] = np.arange(len(win_rates))
    return place


def orders(f: Transcription, s: Sample) -> list[Pair]:
    x = np.round(s.win(s.log_nu), 1)
    place = ranks(x)
    return [(f(x.tolist(), i, j), bool(place[i] < place[j])) for i in range(s.n) for j in range(s.n)]


def midpoints(f: Transcription, s: Sample) -> list[Pair]:
    place, m = ranks(s.win(s.log_nu)), np.array(s.nu)
    below = np.array([m[place < place[i]].sum() for i in range(s.n)])
    ours = vector(s.n, lambda i: f(s.n, s.P, s.nu, i))
    return [(ours, below + m / 2), (total(s.n, lambda i: m[i] * (ours[i] - 0.5) ** 2), (1 - (m**3).sum()) / 12)]


def transitive(f: Transcription, s: Sample) -> list[Pair]:
    table = [[f(i, j) for j in range(s.n)] for i in range(s.n)]
    if not accepted(PreferenceGame.from_preferences, table):
        return [(False, True)]
    game, m = PreferenceGame.from_preferences(table), np.exp(s.log_nu)
    return [(m @ game.advantage(s.log_nu) ** 2, (1 - (m**3).sum()) / 12)]  # N9's bound, attained


def convexity(f: Transcription, s: Sample) -> list[Pair]:
    def at(slope_of: Callable[[Any], Any]) -> bool:
        return f(lambda x: float(gpo_exponential.convex(np.array(x))), lambda x: float(slope_of(np.array(x))))

    return [(at(gpo_exponential.convex_slope), True), (at(lambda x: -gpo_exponential.convex_slope(x)), False)]


def heights(f: Transcription, s: Sample) -> list[Pair]:
    def q(tau: float) -> Vector:
        return np.exp(regularised_nash(s.game, tau).log_policy).tolist()

    return [
        (f(s.n, s.mu, q, s.tau), kl(s.log_q, s.log_mu)),
        (f(s.n, s.mu, q, s.tau) >= f(s.n, s.mu, q, 2 * s.tau), True),
    ]


def sppo_by_pairs(s: Sample) -> float:
    """The named loss of every ordered pair, weighed by ν, ν and P; each label has its winner first."""
    h, nu = np.array(s.lpi) - s.log_mu, np.exp(s.log_nu)
    won = NAMED["sppo"](*np.broadcast_arrays(h[:, None], h[None, :]), tau=s.tau)
    p = np.array(s.P)
    return float(nu @ (p * won + (1 - p) * won.T) @ nu)


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
}

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


# -- the tests ---------------------------------------------------------------------------------------------------------


@cache
def script(name: str) -> ModuleType:
    """A script of proofs/, which is no package."""
    sys.path.append(str(PROOFS))
    try:
        spec = importlib.util.spec_from_file_location(f"nashlab_definitions_{name}", PROOFS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(PROOFS))


DEFINITION = re.compile(
    r"^\s*((?:Local\s+|Global\s+)?(?:Definition|(?:Co)?Fixpoint|Function|Record|Inductive)\s+([\w']+).*?\.)(?=\s)",
    re.DOTALL | re.MULTILINE,
)


def definitions() -> dict[str, str]:
    """Every definition of the sources by name, its text on one line."""
    axioms = script("check_axioms")
    return {
        f"{path.stem}.{name}": " ".join(text.split())
        for path in sorted((PROOFS / "coq").glob("*.v"))
        for text, name in DEFINITION.findall(axioms.without_comments(path.read_text(encoding="utf-8")))
    }


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
    "the arithmetic mean for the logarithmic": ("LogMean.log_mean", lambda a, b: (a + b) / 2),
    "the residual of the reference itself": (
        "Verifier.read_residual",
        lambda n, tau, A, w, theta, y: theta[y] - ln(w[y]) - win(n, A, gibbs(n, w, [0.0] * n), y) / tau),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_caught(slip: str) -> None:
    name, wrong = SLIPS[slip]
    assert worst(name, wrong) > 1e6 * EXACT


# -- the map -----------------------------------------------------------------------------------------------------------


def test_proofs_readme_has_the_map_of_the_sources() -> None:
    table = script("map")
    assert not table.stale(table.MAP)


def test_the_readme_has_a_cell_of_the_matrix_for_all_that_is_proved_or_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = script("map")
    assert not table.stale(table.MATRIX)
    text = table.MATRIX.read_text(encoding="utf-8")
    monkeypatch.setattr(table, "MATRIX", tmp_path / "README.md")
    table.MATRIX.write_text(text.replace("| L1 | ✓ |", "| L1 |  |"), encoding="utf-8")
    assert table.stale(table.MATRIX)


def test_writing_without_results_ticks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = script("map")
    for name in ("MAP", "MATRIX"):
        copy = tmp_path / f"{name}.md"
        text = getattr(table, name).read_text(encoding="utf-8").replace("✓", "✗")
        copy.write_text(text.replace("| L1 | ✗ |", "| L1 |  |"), encoding="utf-8")
        monkeypatch.setattr(table, name, copy)
    assert table.main(["--write"]) == 0
    written = table.MATRIX.read_text(encoding="utf-8")
    assert "✓" not in written
    assert "| L1 | not run | ✗ |" in written
    assert table.main(["--write", "--results", str(results(tmp_path, ["numpy"], L1="pass"))]) == 0
    assert table.MATRIX.read_text(encoding="utf-8").count("✓") == 1


def test_the_map_finds_every_theorem_derivation_and_claim() -> None:
    items = script("map").evidence()
    found = {column: {item.key for item in items if item.column == column} for column in script("map").COLUMNS}
    assert found["property tests"] | found["bandit enumeration"] == set(CHECKS)
    assert found["bandit enumeration"] == {"L10", "L10.unbiased", "N17"}
    names = [item.name for item in items if item.column == "Coq"]
    headlines = [s.name for s in script("check_axioms").statements(PROOFS / "coq") if s.is_headline]
    assert sorted(names) == sorted(headlines)
    run = subprocess.run(
        [sys.executable, "-c", "import run, json; print(json.dumps(list(run.load())))"],
        cwd=PROOFS / "sympy", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found["SymPy"] == {f"{id} sympy" for id in json.loads(run.stdout)}


def results(tmp_path: Path, packages: Sequence[str], canary: bool = False, **statuses: str) -> Path:
    """A verify.json."""
    path = tmp_path / f"{'-'.join(packages)}.json"
    rows = [{"id": id.replace("_", " "), "status": status} for id, status in statuses.items()]
    environment = {"packages": dict.fromkeys(packages), "canary": canary}
    path.write_text(json.dumps({"claims": rows, "environment": environment}), encoding="utf-8")
    return path


def test_the_matrix_takes_its_ticks_from_results(tmp_path: Path) -> None:
    table = script("map")
    ours = results(tmp_path, ["numpy"], L1="pass", L2_sympy="pass", coq="skipped", L1_sympy="fail")
    bridge = results(tmp_path, ["torch"], L1="fail")
    items = table.evidence()
    found = table.by_row(items)["L1"]
    seen = table.read_results([ours, bridge])
    cells = {column: table.cell([i for i in found if i.column == column], seen) for column in table.COLUMNS}
    assert cells == {
        "SymPy": "✗", "Coq": "skipped", "property tests": "✓", "bandit enumeration": "", "transformer enumeration": "✗"
    }  # fmt: skip
    unknown = [i for i in table.by_row(items)["E1"] if i.column == "property tests"]
    assert table.cell(unknown, seen) == "not run"
    assert table.matrix_table(items, {}, {}).count("✓") == 0
    with pytest.raises(SystemExit, match="wrong twins"):
        table.read_results([results(tmp_path, ["numpy"], canary=True)])


def test_a_file_that_is_not_up_to_date_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = script("map")
    monkeypatch.setattr(table, "MAP", tmp_path / "README.md")
    text = (PROOFS / "README.md").read_text(encoding="utf-8")
    table.MAP.write_text(text.replace("L5_corrected`, ", ""), encoding="utf-8")
    assert table.stale(table.MAP)
    table.MAP.write_text(table.wanted(table.MAP), encoding="utf-8")
    assert table.MAP.read_text(encoding="utf-8") == text
    table.MAP.write_text(text.replace("<!-- map -->", ""), encoding="utf-8")
    with pytest.raises(SystemExit, match="must have <!-- map -->"):
        table.stale(table.MAP)

"""Gradients.v, Slic.v, Newton.v, Stationary.v and Variance.v, transcribed."""

from __future__ import annotations

import math

from definitions.in_games import KL, beats, delta, expect, total, win
from definitions.transcribed import NEAR, SLOPE, WIDTH, coq, ln, slope, vector

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

"""Cycle.v, Zonogon.v, NashMD.v, Rates.v, Existence.v, Lyapunov.v, LocalStability.v and Extragradient.v, transcribed."""

from __future__ import annotations

import cmath
import math

from definitions.in_games import best_reply, expect, geo_mix, gibbs, total, win
from definitions.in_gradients import D_apply, advantage, log_softmax, softmax
from definitions.transcribed import NEAR, coq, ln, vector

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


# -- Zonogon.v ---------------------------------------------------------------------------------------------------------


@coq("Zonogon.width")
def width(m, k, a, j, l):
    """Definition width (l : nat) : R := sum k (fun i => a i * Rabs (sin ((INR l - INR (j i)) * (PI / INR m))))."""
    return total(k, lambda i: a[i] * abs(math.sin((l - j[i]) * (math.pi / m))))


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

"""Basics.v, Game.v, Equilibrium.v and Certificate.v, transcribed."""

from __future__ import annotations

import math

from definitions.transcribed import NEAR, coq, ln, vector

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

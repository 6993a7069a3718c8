"""The sources about win rates, lotteries and their faces, linear systems, means and readers, transcribed."""

from __future__ import annotations

import itertools
import math

import numpy as np

from definitions.in_games import KL, beats, delta, dist, expect, gibbs, is_pref, same, total, win
from definitions.transcribed import NEAR, coq, ln, vector

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


@coq("KlBudget.frontier_at")
def frontier_at(kappa, lam):
    """Definition frontier_at (kappa lam : R) : R := (kappa + ln ((exp lam - 1) / lam)) / lam."""
    return (kappa + ln((math.exp(lam) - 1) / lam)) / lam


@coq("KlBudget.frontier")
def frontier(kappa):
    r"""Definition frontier (kappa : R) : R := real (Glb_Rbar (fun w => exists lam, 0 < lam /\ w = frontier_at kappa
    lam))."""
    # it falls and then rises: the least of ever finer grids around the least so far
    centre, width = 0.0, 6.0  # of log λ
    for _ in range(12):
        grid = (centre + width * k / 10 for k in range(-10, 11))
        centre, width = min(grid, key=lambda x: frontier_at(kappa, math.exp(x))), width / 5
    return frontier_at(kappa, math.exp(centre))


# -- Reach.v, Witness.v ------------------------------------------------------------------------------------------------


@coq("Reach.mean_in")
def mean_in(n, pi, f, S):
    """Definition mean_in n (pi f : nat -> R) (S : nat -> bool) : R := sum n (fun y => if S y then pi y * f y else 0) /
    mass n pi S."""
    return total(n, lambda y: pi[y] * f[y] if S[y] else 0.0) / mass(n, pi, S)


@coq("Reach.others")
def others(S, y):
    """Definition others (S : nat -> bool) (y : nat) : bool := negb (S y)."""
    return not S[y]


@coq("Reach.proper")
def proper(n, S):
    r"""Definition proper n (S : nat -> bool) : Prop := (exists y, (y < n)%nat /\ S y = true) /\ (exists y, (y < n)%nat
    /\ S y = false)."""
    return any(S[y] is True for y in range(n)) and any(S[y] is False for y in range(n))


@coq("Reach.two_cells")
def two_cells(w, v):
    """Definition two_cells (w v : R) : R := w * exp (- ((1 - w) * v)) + (1 - w) * exp (w * v)."""
    return w * math.exp(-((1 - w) * v)) + (1 - w) * math.exp(w * v)


@coq("Witness.in_box")
def in_box(n, L, U, P):
    r"""Definition in_box n (L U P : nat -> nat -> R) : Prop := is_pref n P /\ forall y z, (y < n)%nat -> (z < n)%nat ->
    L y z <= P y z <= U y z."""
    pairs = list(itertools.product(range(n), repeat=2))
    return is_pref(n, P) and all(L[y][z] <= P[y][z] <= U[y][z] for y, z in pairs)


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

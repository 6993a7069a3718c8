"""Counts, comparisons, draws, hinges, tokens and linearised steps: what the newest Coq files define, transcribed."""

from __future__ import annotations

import math
from itertools import product as product_of_sets

from definitions.in_games import delta, expect, gibbs, policy, pref, same, top, total, win
from definitions.in_gradients import log_softmax, pair_expect
from definitions.transcribed import NEAR, WIDTH, coq, ln, slope, vector

# -- Chance.v ----------------------------------------------------------------------------------------------------------


@coq("Chance.is_mean")
def is_mean(inside, E):
    r"""Definition is_mean {O : Type} (inside : O -> Prop) (E : (O -> R) -> R) : Prop := (forall F G, (forall o,
    inside o -> F o <= G o) -> E F <= E G) /\ (forall F G, E (fun o => F o + G o) = E F + E G) /\ (forall c F, E
    (fun o => c * F o) = c * E F) /\ E (fun _ => 1) = 1."""
    # a finite list of outcomes: functions are combinations of its indicators
    units = [lambda o, k=k: float(o == k) for k in inside]
    plus = all(abs(E(lambda o, F=F, G=G: F(o) + G(o)) - E(F) - E(G)) <= NEAR for F in units for G in units)
    scaled = all(abs(E(lambda o, F=F, c=c: c * F(o)) - c * E(F)) <= NEAR for F in units for c in (-2.0, 0.5))
    return all(E(F) >= 0 for F in units) and plus and scaled and abs(E(lambda _: 1.0) - 1) <= NEAR


@coq("Chance.above")
def above(a, b):
    """Definition above (a b : R) : R := if Rlt_dec a b then 1 else 0."""
    return 1.0 if a < b else 0.0


@coq("Chance.upd")
def upd(o, c, x):
    """Definition upd {A : Type} (o : nat -> A) (c : nat) (x : A) : nat -> A := fun i => if Nat.eqb i c then x else
    o i."""
    return [x if i == c else o[i] for i in range(len(o))]


@coq("Chance.product")
def product(a, E, N, F):
    """Fixpoint product {A : Type} (a : A) (E : nat -> (A -> R) -> R) (N : nat) (F : (nat -> A) -> R) : R := match
    N with Datatypes.O => F (fun _ => a) | S c => E c (fun x => product a E c (fun o => F (upd o c x))) end."""

    def drawn_from(k, o):
        if k == 0:
            return F(o)
        return E(k - 1, lambda x: drawn_from(k - 1, upd(o, k - 1, x)))

    return drawn_from(N, [a] * N)


@coq("Chance.coin")
def coin(_, F):
    """Definition coin (_ : nat) (F : R -> R) : R := (F 1 + F (-1)) / 2."""
    return (F(1) + F(-1)) / 2


@coq("Chance.sides")
def sides(_, x):
    r"""Definition sides (_ : nat) (x : R) : Prop := x = 1 \/ x = -1."""
    return x == 1 or x == -1


@coq("Chance.coins")
def coins(N, F):
    """Definition coins := product 0 coin."""
    return product(0, coin, N, F)


@coq("Chance.quad")
def quad(n, X, v):
    """Definition quad n (X : nat -> nat -> R) (v : nat -> R) : R := sum n (fun c => sum n (fun d => X c d * (v c *
    v d)))."""
    return total(n, lambda c: total(n, lambda d: X[c][d] * (v[c] * v[d])))


@coq("Chance.trace")
def trace(n, X):
    """Definition trace n (X : nat -> nat -> R) : R := sum n (fun c => X c c)."""
    return total(n, lambda c: X[c][c])


@coq("Chance.trace2")
def trace2(n, X):
    """Definition trace2 n (X : nat -> nat -> R) : R := sum n (fun c => sum n (fun d => X c d ^ 2))."""
    return total(n, lambda c: total(n, lambda d: X[c][d] ** 2))


@coq("Chance.at_most")
def at_most(n, X, u):
    r"""Definition at_most n (X : nat -> nat -> R) u : Prop := (forall c d, (c < n)%nat -> (d < n)%nat -> X c d = X
    d c) /\ (forall c, (c < n)%nat -> 0 <= X c c) /\ (forall v, quad n X v <= u * sum n (fun c => v c ^ 2))."""
    order = range(n)
    symmetric = all(abs(X[c][d] - X[d][c]) <= NEAR for c in order for d in order)
    # uI − X has no negative pivot
    left = [[u * (c == d) - X[c][d] for d in order] for c in order]
    for k in order:
        if left[k][k] <= -NEAR:
            return False
        for c in range(k + 1, n):
            share = left[c][k] / left[k][k] if abs(left[k][k]) > NEAR else 0.0
            left[c] = [left[c][d] - share * left[k][d] for d in order]
    return symmetric and all(X[c][c] >= 0 for c in order)


@coq("Chance.drawn")
def drawn(n, X, c, d):
    """Definition drawn n (X : nat -> nat -> R) (c d : nat) : R := X c d + X c n * X d n."""
    return X[c][d] + X[c][n] * X[d][n]


@coq("Chance.spread_out")
def spread_out(k, s, C, c, d):
    """Definition spread_out k s (C : nat -> nat -> R) (c d : nat) : R := s / INR k * C (c / k)%nat (d / k)%nat."""
    return s / k * C[c // k][d // k]


# -- Counts.v ----------------------------------------------------------------------------------------------------------


@coq("Counts.pairs")
def pairs(n, F):
    """Definition pairs n (F : nat -> nat -> R) : R := sum n (fun i => sum i (fun j => F i j))."""
    return total(n, lambda i: total(i, lambda j: F(i, j)))


@coq("Counts.off")
def off(i, j):
    """Definition off (i j : nat) : R := if Nat.eqb i j then 0 else 1."""
    return 0.0 if i == j else 1.0


@coq("Counts.counted")
def counted(inside, E, n, P, v, T):
    r"""Definition counted {O} (inside : O -> Prop) (E : (O -> R) -> R) n P (v : nat -> nat -> R) (T : O -> nat ->
    nat -> R) : Prop := is_mean inside E /\ (forall o, inside o -> pref n (T o)) /\ (forall i j, (i < n)%nat -> (j
    < n)%nat -> v i j = v j i /\ 0 <= v i j) /\ forall a, E (fun o => exp (pairs n (fun i j => a i j * (T o i j - P
    i j)))) <= exp (pairs n (fun i j => a i j ^ 2 * v i j / 8))."""
    order = range(n)
    precise = all(v[i][j] == v[j][i] and v[i][j] >= 0 for i in order for j in order)

    def bounded(a):  # for the tables a of a grid
        left = E(lambda o: math.exp(pairs(n, lambda i, j: a[i][j] * (T(o)[i][j] - P[i][j]))))
        return left <= math.exp(pairs(n, lambda i, j: a[i][j] ** 2 * v[i][j] / 8)) * (1 + NEAR)

    grid = ([[size * math.cos(k + i + 2 * j) for j in order] for i in order] for k in order for size in (0.1, 1.0, 9.0))
    return is_mean(inside, E) and all(pref(n, T(o)) for o in inside) and precise and all(bounded(a) for a in grid)


@coq("Counts.pull")
def pull(n, tau, P, T, q, y):
    """Definition pull n tau (P T : nat -> nat -> R) q (y : nat) : R := (win n T q y - win n P q y) / tau."""
    return (win(n, T, q, y) - win(n, P, q, y)) / tau


@coq("Counts.pull2")
def pull2(n, tau, P, T, q):
    """Definition pull2 n tau P T q : R := expect n q (fun y => pull n tau P T q y ^ 2)."""
    return expect(n, q, vector(n, lambda y: pull(n, tau, P, T, q, y) ** 2))


@coq("Counts.pull_max")
def pull_max(n, tau, P, T, q):
    """Definition pull_max n tau P T q : R := top n (fun y => Rabs (pull n tau P T q y))."""
    return top(n, vector(n, lambda y: abs(pull(n, tau, P, T, q, y))))


@coq("Counts.spread")
def spread(n, q, v):
    """Definition spread n q (v : nat -> nat -> R) : R := pairs n (fun i j => q i * q j * (q i + q j) * v i j)."""
    return pairs(n, lambda i, j: q[i] * q[j] * (q[i] + q[j]) * v[i][j])


@coq("Counts.spread_matrix")
def spread_matrix(n, q, v, i, j):
    """Definition spread_matrix n q (v : nat -> nat -> R) (i j : nat) : R := if Nat.eqb i j then sum n (fun k =>
    off i k * (q i * q k ^ 2 * v i k)) else - (q i * q j * (sqrt (q i) * sqrt (q j)) * v i j)."""
    if i == j:
        return total(n, lambda k: off(i, k) * (q[i] * q[k] ** 2 * v[i][k]))
    return -(q[i] * q[j] * (math.sqrt(q[i]) * math.sqrt(q[j])) * v[i][j])


@coq("Counts.row_spread")
def row_spread(n, q, v, y):
    """Definition row_spread y : R := sum n (fun j => off y j * (q j ^ 2 * v y j))."""
    return total(n, lambda j: off(y, j) * (q[j] ** 2 * v[y][j]))


# -- Comparisons.v -----------------------------------------------------------------------------------------------------


@coq("Comparisons.count")
def count(N, a, b, i, j):
    """Definition count (i j : nat) : R := sum N (fun c => delta (a c) i * delta (b c) j)."""
    return total(N, lambda c: delta(a[c], i) * delta(b[c], j))


@coq("Comparisons.precision")
def precision(N, a, b, i, j):
    """Definition precision (i j : nat) : R := if Req_EM_T (count i j) 0 then 0 else / count i j."""
    met = count(N, a, b, i, j)
    return 0.0 if met == 0 else 1 / met


@coq("Comparisons.average")
def average(N, a, b, D, o, i, j):
    """Definition average (D : nat -> nat -> R) (o : nat -> R) (i j : nat) : R := if Req_EM_T (count i j) 0 then D
    i j else sum N (fun c => delta (a c) i * delta (b c) j * o c) / count i j."""
    met = count(N, a, b, i, j)
    if met == 0:
        return D[i][j]
    return total(N, lambda c: delta(a[c], i) * delta(b[c], j) * o[c]) / met


@coq("Comparisons.table")
def table(N, a, b, D, o, i, j):
    """Definition table D (o : nat -> R) (i j : nat) : R := if Nat.ltb j i then average D o i j else if Nat.ltb i j
    then 1 - average D o j i else 1 / 2."""
    if j < i:
        return average(N, a, b, D, o, i, j)
    return 1 - average(N, a, b, D, o, j, i) if i < j else 1 / 2


@coq("Comparisons.both_ways")
def both_ways(f, i, j):
    """Definition both_ways (f : nat -> nat -> R) (i j : nat) : R := if Nat.ltb j i then f i j else f j i."""
    return f(i, j) if j < i else f(j, i)


# -- LowerBound.v ------------------------------------------------------------------------------------------------------


@coq("LowerBound.answers")
def answers(ask, P, t, h, F):
    """Fixpoint answers (P : nat -> nat -> R) (t : nat) (h : list bool) (F : list bool -> R) : R := match t with |
    O => F h | S m => let p := P (fst (ask h)) (snd (ask h)) in p * answers P m (true :: h) F + (1 - p) * answers P
    m (false :: h) F end."""
    if t == 0:
        return F(h)
    p = P[ask(h)[0]][ask(h)[1]]
    return p * answers(ask, P, t - 1, (True, *h), F) + (1 - p) * answers(ask, P, t - 1, (False, *h), F)


@coq("LowerBound.spent")
def spent(ask, P, cost, t, h):
    """Fixpoint spent (P : nat -> nat -> R) (cost : nat * nat -> R) (t : nat) (h : list bool) : R := match t with |
    O => 0 | S m => let p := P (fst (ask h)) (snd (ask h)) in cost (ask h) + (p * spent P cost m (true :: h) + (1 -
    p) * spent P cost m (false :: h)) end."""
    if t == 0:
        return 0.0
    p = P[ask(h)[0]][ask(h)[1]]
    after = p * spent(ask, P, cost, t - 1, (True, *h)) + (1 - p) * spent(ask, P, cost, t - 1, (False, *h))
    return cost(ask(h)) + after


@coq("LowerBound.asks_in")
def asks_in(ask, n):
    r"""Definition asks_in (n : nat) : Prop := forall h, (fst (ask h) < n)%nat /\ (snd (ask h) < n)%nat."""
    # after up to three answers
    histories = [h for t in range(4) for h in product_of_sets([False, True], repeat=t)]
    return all(ask(h)[0] < n and ask(h)[1] < n for h in histories)


@coq("LowerBound.divergence_cost")
def divergence_cost(P, P2, pair):
    """Definition divergence_cost (P P' : nat -> nat -> R) (pair : nat * nat) : R := let p := P (fst pair) (snd
    pair) in let p' := P' (fst pair) (snd pair) in (p - p') ^ 2 / (p' * (1 - p'))."""
    p, p2 = P[pair[0]][pair[1]], P2[pair[0]][pair[1]]
    return (p - p2) ** 2 / (p2 * (1 - p2))


@coq("LowerBound.flip")
def flip(i, r):
    """Definition flip (i : nat) (r : nat -> R) : nat -> R := upd r i (- r i)."""
    return upd(r, i, -r[i])


@coq("LowerBound.sign_of")
def sign_of(r, y):
    """Definition sign_of (r : nat -> R) (y : nat) : R := if Nat.even y then r (y / 2)%nat else - r (y / 2)%nat."""
    return r[y // 2] if y % 2 == 0 else -r[y // 2]


@coq("LowerBound.signed_game")
def signed_game(d, r, y, z):
    """Definition signed_game d (r : nat -> R) (y z : nat) : R := 1 / 2 + d * (sign_of r y - sign_of r z) / 2."""
    return 1 / 2 + d * (sign_of(r, y) - sign_of(r, z)) / 2


@coq("LowerBound.signed_policy")
def signed_policy(n, x, r, y):
    """Definition signed_policy n x (r : nat -> R) (y : nat) : R := exp (x * sign_of r y) / (INR n * cosh x)."""
    return math.exp(x * sign_of(r, y)) / (n * math.cosh(x))


@coq("LowerBound.share")
def share(i, p, q):
    """Definition share i (p q : nat -> R) : R := Rabs (p (i * 2)%nat - q (i * 2)%nat) + Rabs (p (i * 2 + 1)%nat -
    q (i * 2 + 1)%nat)."""
    return abs(p[i * 2] - q[i * 2]) + abs(p[i * 2 + 1] - q[i * 2 + 1])


# -- Runs.v ------------------------------------------------------------------------------------------------------------


@coq("Runs.runs")
def runs(E, T, h, F):
    """Fixpoint runs {A : Type} (E : list A -> (A -> R) -> R) (T : nat) (h : list A) (F : list A -> R) : R := match T
    with O => F h | S t => E h (fun x => runs E t (x :: h) F) end."""
    return F(h) if T == 0 else E(h, lambda x: runs(E, T - 1, (x, *h), F))


@coq("Runs.possible")
def possible(inside, h):
    """Definition possible {A : Type} (inside : A -> Prop) (h : list A) : Prop := List.Forall inside h."""
    return all(inside(x) for x in h)


# -- Pairs.v -----------------------------------------------------------------------------------------------------------


@coq("Pairs.completions")
def completions(n, nu, k, F):
    """Definition completions (k : nat) : ((nat -> nat) -> R) -> R := product 0%nat (fun _ => E1) k."""
    return product(0, lambda _, G: expect(n, nu, vector(n, G)), k, F)


@coq("Pairs.all_pairs")
def all_pairs(f, k, o):
    """Definition all_pairs k (o : nat -> nat) : R := 2 / (INR k * (INR k - 1)) * sum k (fun i => sum i (fun j => f
    (o i) (o j)))."""
    return 2 / (k * (k - 1)) * total(k, lambda i: total(i, lambda j: f(o[i], o[j])))


@coq("Pairs.pair_mean")
def pair_mean(n, nu, f):
    """Definition pair_mean : R := pair_expect n nu f."""
    return pair_expect(n, nu, f)


@coq("Pairs.zeta1")
def zeta1(n, nu, f):
    """Definition zeta1 : R := E1 (fun y => (E1 (f y) - pair_mean) ^ 2)."""
    mean = pair_mean(n, nu, f)
    return expect(n, nu, vector(n, lambda y: (expect(n, nu, vector(n, lambda z: f(y, z))) - mean) ** 2))


@coq("Pairs.zeta2")
def zeta2(n, nu, f):
    """Definition zeta2 : R := pair_expect n nu (fun y z => (f y z - pair_mean) ^ 2)."""
    mean = pair_mean(n, nu, f)
    return pair_expect(n, nu, lambda y, z: (f(y, z) - mean) ** 2)


@coq("Pairs.fresh_pair")
def fresh_pair(n, nu, F):
    """Definition fresh_pair (F : nat * nat -> R) : R := pair_expect n nu (fun y z => F (y, z))."""
    return pair_expect(n, nu, lambda y, z: F((y, z)))


# -- Hinges.v ----------------------------------------------------------------------------------------------------------


@coq("Hinges.lifted")
def lifted(theta, S, t, y):
    """Definition lifted (theta : nat -> R) (S : nat -> bool) (t : R) (y : nat) : R := theta y + (if S y then t
    else 0)."""
    return theta[y] + (t if S[y] else 0)


@coq("Hinges.flat")
def flat(n, L, theta):
    """Definition flat n (L : (nat -> R) -> R) (theta : nat -> R) : Prop := forall S (c : R), is_derive (fun t => L
    (log_softmax n (lifted theta S t))) 0 c -> c = 0."""

    def rise(S, t):
        return (L(log_softmax(n, vector(n, lambda y: lifted(theta, S, t, y)))) - L(log_softmax(n, theta))) / t

    # a derivative is where both sides agree
    sides = [(rise(S, WIDTH), rise(S, -WIDTH)) for S in product_of_sets([False, True], repeat=n)]
    return all(abs(right - left) > 1e-3 or abs(right) <= 1e-3 for right, left in sides)


@coq("Hinges.at_or_below")
def at_or_below(n, f, k):
    """Definition at_or_below n (f : nat -> R) (k : nat) : R := sum n (fun y => if Rle_dec (f y) (f k) then 1 else
    0)."""
    return total(n, lambda y: 1 if f[y] <= f[k] else 0)


# -- Linearised.v ------------------------------------------------------------------------------------------------------


@coq("Linearised.moves")
def moves(n, p, pi, v):
    r"""Definition moves n (p : R -> nat -> R) (pi v : nat -> R) : Prop := (forall t, policy n (p t)) /\ same n (p
    0) pi /\ exists c : R, forall y, (y < n)%nat -> is_derive (fun t => ln (p t y)) 0 (v y + c)."""
    speed = slope(lambda t: vector(n, lambda y: ln(p(t)[y])))
    apart = [float(speed[y] - v[y] - (speed[0] - v[0])) for y in range(n)]
    return all(policy(n, p(t)) for t in (-1.0, 0.0, 1.0)) and same(n, p(0.0), pi) and max(map(abs, apart)) <= 1e-6


@coq("Linearised.omwu_step")
def omwu_step(n, eta, tau, P, mu, pi, before):
    """Definition omwu_step n eta tau P mu (pi before : nat -> R) : nat -> R := gibbs n mu (fun y => (1 - eta *
    tau) * (ln (pi y) - ln (mu y)) + eta * (2 * win n P pi y - win n P before y))."""

    def exponent(y):
        pull = 2 * win(n, P, pi, y) - win(n, P, before, y)
        return (1 - eta * tau) * (ln(pi[y]) - ln(mu[y])) + eta * pull

    return gibbs(n, mu, vector(n, exponent))


# -- Products.v --------------------------------------------------------------------------------------------------------


@coq("Products.path")
def path(h, i, j):
    """Definition path (h : R) (i j : nat) : R := if Nat.eqb j (S i) then h else if Nat.eqb i (S j) then - h else
    0."""
    if j == i + 1:
        return h
    return -h if i == j + 1 else 0.0


@coq("Products.minus_turn")
def minus_turn(n, K, v, y):
    """Definition minus_turn n (K : nat -> nat -> R) (v : nat -> R) (y : nat) : R := v y - win n K v y."""
    return v[y] - win(n, K, v, y)


@coq("Products.combined")
def combined(n, K, a, k, x, y):
    """Definition combined n K (a : nat -> R) k (x : nat -> R) (y : nat) : R := x y + sum k (fun j => a j *
    Nat.iter (S j) (minus_turn n K) x y)."""
    powers = [x]
    for _ in range(k):
        powers.append(vector(n, lambda z: minus_turn(n, K, powers[-1], z)))
    return x[y] + total(k, lambda j: a[j] * powers[j + 1][y])


# -- Tokens.v ----------------------------------------------------------------------------------------------------------


@coq("Tokens.token_normaliser")
def token_normaliser(n, beta, p, m):
    """Definition token_normaliser n beta (p m : nat -> R) : R := - ln (sum n (fun y => exp ((1 - beta) * ln (p y)
    + beta * ln (m y))))."""
    return -ln(total(n, lambda y: math.exp((1 - beta) * ln(p[y]) + beta * ln(m[y]))))

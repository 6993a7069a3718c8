(** * Other divergences than KL(pi || mu): the equilibrium is still unique (RSPO).

    With D(pi || mu) = sum mu f(pi / mu) in its place, a policy of full support is an equilibrium iff
    p(y > pi) - tau g(pi(y) / mu(y)) is the same for every y, g = f'.  Only that g increases is used: g = log gives E1. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Nashlab Require Import Basics Game.
Open Scope R_scope.

Theorem E1_unique_for_any_divergence n tau P (mu p q : nat -> R) g c d : 0 < tau -> is_pref n P -> policy n mu ->
  (forall u v, 0 < u -> u < v -> g u < g v) -> policy n p -> policy n q ->
  (forall y, (y < n)%nat -> win n P p y - tau * g (p y / mu y) = c) ->
  (forall y, (y < n)%nat -> win n P q y - tau * g (q y / mu y) = d) -> same n p q.
Proof.
  intros Ht HP [Pm _] Inc [Pp Sp] [Pq Sq] Hp Hq y Hy.
  assert (Term : forall z, (z < n)%nat -> 0 <= (p z - q z) * (g (p z / mu z) - g (q z / mu z))
                 /\ ((p z - q z) * (g (p z / mu z) - g (q z / mu z)) = 0 -> p z = q z)).
  { intros z Hz. pose proof (Pm z Hz) as M. pose proof (Pp z Hz). pose proof (Pq z Hz).
    assert (I : 0 < / mu z) by (apply Rinv_0_lt_compat, M).
    assert (Pos : forall a, 0 < a -> 0 < a / mu z) by (intros a Ha; apply Rmult_lt_0_compat; assumption).
    assert (Less : forall a b, 0 < a -> a < b -> g (a / mu z) < g (b / mu z)).
    { intros a b Ha L. apply Inc; [apply Pos, Ha |]. apply Rmult_lt_compat_r; assumption. }
    destruct (Rtotal_order (p z) (q z)) as [L | [E | L]].
    - pose proof (Less (p z) (q z) ltac:(assumption) L). split; [nra | intro Z; nra].
    - rewrite E. split; [lra | reflexivity].
    - pose proof (Less (q z) (p z) ltac:(assumption) L). split; [nra | intro Z; nra]. }
  assert (Zero : sum n (fun z => (p z - q z) * (g (p z / mu z) - g (q z / mu z))) = 0).
  { pose proof (beats_skew n P p q HP ltac:(lra)) as K. unfold beats, expect in K.
    transitivity (/ tau * sum n (fun z => (p z - q z) * win n P (fun w => p w - q w) z)
                  - / tau * (c - d) * sum n (fun z => p z - q z)); [| rewrite K, sum_minus, Sp, Sq; ring].
    rewrite <- !sum_scal, <- sum_minus. apply sum_ext. intros z Hz. rewrite win_minus.
    rewrite <- (Hp z Hz), <- (Hq z Hz). field. lra. }
  apply (Term y Hy). apply (sum_nonneg_zero n _ (fun z Hz => proj1 (Term z Hz)) Zero y Hy).
Qed.

(** * The regularised equilibrium: best responses, exploitability, uniqueness (E1, E2, E5, N14 lower half). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game.
Open Scope R_scope.

(** (p, q) is a Nash equilibrium of J: no deviation, of full support or not, helps either player.
    The row player maximises J, the column player minimises it. *)
Definition equilibrium n tau P mu (p q : nat -> R) : Prop :=
  dist n p /\ dist n q /\
  (forall p', dist n p' -> J n tau P mu p' q <= J n tau P mu p q) /\
  (forall q', dist n q' -> J n tau P mu p q <= J n tau P mu p q').

(** G(pi) = tau KL(pi || BR(pi)); [E2_gap_is_the_maximum] shows that it is max_pi' J(pi', pi) - 1/2. *)
Definition gap n tau P mu (pi : nat -> R) : R := tau * KL n pi (best_reply n tau P mu pi).

Section Equilibrium.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

Local Notation BR := (best_reply n tau P mu).
Local Notation G := (gap n tau P mu).

Lemma cancel_tau x : tau * x = 0 -> x = 0.
Proof. intro E. apply Rmult_integral in E. destruct E; lra. Qed.

Lemma BR_policy nu : policy n (BR nu).
Proof. apply best_reply_policy, mu_policy. Qed.

(** tau KL(p || BR(nu)) = tau KL(p || mu) - P(p > nu) + tau log Z. *)
Lemma kl_best_reply nu p : sum n p = 1 ->
  tau * KL n p (BR nu) = tau * KL n p mu - beats n P p nu + tau * ln (gibbs_norm n mu (fun y => win n P nu y / tau)).
Proof.
  intro Sp. unfold best_reply.
  rewrite kl_gibbs by (apply (policy_n_pos n mu mu_policy) || apply mu_policy || exact Sp).
  rewrite (expect_ext n p _ (fun y => / tau * win n P nu y)) by (intros; unfold Rdiv; ring).
  rewrite expect_scal. unfold beats. field. lra.
Qed.

(** ** E2 *)

(** E2, as an identity for every deviation pi', of full support or not:
    J(pi', pi) - 1/2 = tau KL(pi || BR(pi)) - tau KL(pi' || BR(pi)). *)
Theorem E2_exploitability_identity pi pi' : dist n pi -> dist n pi' ->
  J n tau P mu pi' pi - 1 / 2 = tau * KL n pi (BR pi) - tau * KL n pi' (BR pi).
Proof.
  intros [_ S] [_ S']. rewrite (kl_best_reply pi pi S), (kl_best_reply pi pi' S').
  unfold J. rewrite beats_self by assumption. lra.
Qed.

(** E2.  G(pi) = max_pi' J(pi', pi) - 1/2, attained at BR(pi) and nowhere else. *)
Theorem E2_gap_is_the_maximum pi : dist n pi ->
  (forall pi', dist n pi' -> J n tau P mu pi' pi - 1 / 2 <= G pi) /\
  J n tau P mu (BR pi) pi - 1 / 2 = G pi /\
  (forall pi', dist n pi' -> J n tau P mu pi' pi - 1 / 2 = G pi -> same n pi' (BR pi)).
Proof.
  intro Hp. unfold gap. repeat split.
  - intros pi' H'. rewrite E2_exploitability_identity by assumption.
    pose proof (kl_nonneg n pi' (BR pi) H' (BR_policy pi)). nra.
  - rewrite E2_exploitability_identity by (assumption || apply policy_dist, BR_policy). rewrite kl_self. ring.
  - intros pi' H' E. rewrite E2_exploitability_identity in E by assumption.
    apply kl_zero; [exact H' | apply BR_policy |]. apply cancel_tau. lra.
Qed.

Theorem E2_gap_nonneg pi : dist n pi -> 0 <= G pi.
Proof. intro Hp. apply Rmult_le_pos; [lra | apply kl_nonneg; [exact Hp | apply BR_policy]]. Qed.

(** E2.  G(pi) = 0 iff pi(y) is proportional to mu(y) exp(p(y > pi) / tau). *)
Theorem E2_gap_zero_iff pi : dist n pi -> G pi = 0 <-> is_nash n tau P mu pi.
Proof.
  intro Hp. split.
  - intro E. apply kl_zero; [exact Hp | apply BR_policy |]. unfold gap in E. apply cancel_tau; lra.
  - intro H. unfold gap. rewrite (kl_same n pi (BR pi) pi pi); [rewrite kl_self; ring | | apply same_sym, H].
    intros y _. reflexivity.
Qed.

(** E2.  The duality gap of (pi, pi), the sum of both players' best improvements, is 2 G(pi). *)
Theorem E2_duality_gap pi : dist n pi ->
  (forall p q, dist n p -> dist n q -> J n tau P mu p pi - J n tau P mu pi q <= 2 * G pi) /\
  J n tau P mu (BR pi) pi - J n tau P mu pi (BR pi) = 2 * G pi.
Proof.
  intro Hp. destruct (E2_gap_is_the_maximum pi Hp) as [Max [Att _]]. pose proof Hp as [_ S]. split.
  - intros p q [Hpp Sp] Hq. pose proof (Max p (conj Hpp Sp)). pose proof (Max q Hq).
    pose proof (J_constant_sum n tau P mu pi q P_pref S (proj2 Hq)). lra.
  - pose proof (J_constant_sum n tau P mu pi (BR pi) P_pref S (proj2 (BR_policy pi))). lra.
Qed.

(** ** E1: uniqueness *)

(** Two policies that are best responses to each other coincide: the game term is skew. *)
Lemma mutual_best_replies p q : policy n p -> policy n q -> same n p (BR q) -> same n q (BR p) -> same n p q.
Proof.
  intros Hp Hq Ep Eq. apply sym_kl_zero; [exact Hp | exact Hq |].
  assert (T : tau * sym_kl n p q = - beats n P (fun y => p y - q y) (fun y => p y - q y)); cycle 1.
  { rewrite beats_skew in T by (exact P_pref || (destruct Hp, Hq; lra)). apply cancel_tau; lra. }
  set (c := ln (gibbs_norm n mu (fun z => win n P p z / tau)) - ln (gibbs_norm n mu (fun z => win n P q z / tau))).
  transitivity (sum n (fun y => tau * c * (p y - q y) - (p y - q y) * win n P (fun z => p z - q z) y)).
  - unfold sym_kl. rewrite <- sum_scal. apply sum_ext. intros y Hy.
    rewrite win_minus.
    assert (Lp : ln (p y) = _) by (rewrite (Ep y Hy); apply (best_reply_log n tau P mu q y mu_policy Hy)).
    assert (Lq : ln (q y) = _) by (rewrite (Eq y Hy); apply (best_reply_log n tau P mu p y mu_policy Hy)).
    rewrite Lp, Lq. unfold c. field. lra.
  - rewrite sum_minus, sum_scal, sum_minus. destruct Hp as [_ Sp], Hq as [_ Sq]. rewrite Sp, Sq. unfold beats, expect. ring.
Qed.

(** E1.  An equilibrium, symmetric or not, against deviations of full support or not, is a pair of best responses. *)
Lemma equilibrium_best_replies p q : equilibrium n tau P mu p q -> same n p (BR q) /\ same n q (BR p).
Proof.
  intros [Hp [Hq [R C]]].
  assert (A : forall u v, dist n u -> dist n v ->
    (forall u', dist n u' -> J n tau P mu u' v <= J n tau P mu u v) -> same n u (BR v)).
  { intros u v Hu Hv M. apply (E2_gap_is_the_maximum v Hv); [exact Hu |].
    destruct (E2_gap_is_the_maximum v Hv) as [Max [Att _]].
    pose proof (Max u Hu). pose proof (M (BR v) (policy_dist n _ (BR_policy v))). lra. }
  split; [apply A; assumption |]. apply A; try assumption.
  intros q' Hq'. pose proof (C q' Hq').
  pose proof (J_constant_sum n tau P mu p q P_pref (proj2 Hp) (proj2 Hq)).
  pose proof (J_constant_sum n tau P mu p q' P_pref (proj2 Hp) (proj2 Hq')). lra.
Qed.

(** E1.  (p, q) is a Nash equilibrium iff p = q on every response and p solves
    p(y) proportional to mu(y) exp(p(y > p) / tau). *)
Theorem E1_equilibria_are_fixed_points p q : dist n p -> dist n q ->
  equilibrium n tau P mu p q <-> same n p q /\ is_nash n tau P mu p.
Proof.
  intros Hp Hq. split.
  - intro E. destruct (equilibrium_best_replies p q E) as [Ep Eq].
    assert (S : same n p q).
    { apply mutual_best_replies; try assumption.
      - apply (policy_same n (BR q)); [apply same_sym, Ep | apply BR_policy].
      - apply (policy_same n (BR p)); [apply same_sym, Eq | apply BR_policy]. }
    split; [exact S |]. apply (same_trans n p (BR q)); [exact Ep |].
    apply best_reply_same; [exact mu_policy | apply same_sym, S].
  - intros [S N].
    assert (V : forall u v, same n u v -> dist n u -> is_nash n tau P mu u ->
      forall u', dist n u' -> J n tau P mu u' v <= 1 / 2).
    { intros u v Suv Hu Nu u' Hu'.
      assert (Jv : J n tau P mu u' v = J n tau P mu u' u).
      { unfold J. rewrite (beats_same n P u' u' v u), (kl_same n v mu u mu);
          try reflexivity; (apply same_sym, Suv) || (intros y _; reflexivity). }
      rewrite Jv. destruct (E2_gap_is_the_maximum u Hu) as [Max _]. pose proof (Max u' Hu').
      apply (E2_gap_zero_iff u Hu) in Nu. lra. }
    assert (Half : J n tau P mu p q = 1 / 2).
    { rewrite <- (J_self n tau P mu p P_pref (proj2 Hp)). unfold J.
      rewrite (beats_same n P p p q p), (kl_same n q mu p mu);
        try reflexivity; (apply same_sym, S) || (intros y _; reflexivity). }
    repeat split; try apply Hp; try apply Hq; rewrite Half.
    + apply (V p q S Hp N).
    + intros q' Hq'. pose proof (V p p (fun y _ => eq_refl) Hp N q' Hq').
      pose proof (J_constant_sum n tau P mu p q' P_pref (proj2 Hp) (proj2 Hq')). lra.
Qed.

(** E1, uniqueness.  Any two equilibria, symmetric or not, are the same policy played by everybody, of full support. *)
Theorem E1_unique p q p' q' : equilibrium n tau P mu p q -> equilibrium n tau P mu p' q' ->
  same n p q /\ same n p' q' /\ same n p p' /\ policy n p.
Proof.
  intros E E'. pose proof E as [Hp [Hq _]]. pose proof E' as [Hp' [Hq' _]].
  destruct (proj1 (E1_equilibria_are_fixed_points p q Hp Hq) E) as [S N].
  destruct (proj1 (E1_equilibria_are_fixed_points p' q' Hp' Hq') E') as [S' N'].
  assert (same n p p').
  { (* interchangeability: (p, p') is again an equilibrium *)
    assert (X : equilibrium n tau P mu p p').
    { destruct (proj2 (E1_equilibria_are_fixed_points p p Hp Hp) (conj (fun y _ => eq_refl) N)) as [_ [_ [_ C]]].
      destruct (proj2 (E1_equilibria_are_fixed_points p' p' Hp' Hp') (conj (fun y _ => eq_refl) N')) as [_ [_ [R _]]].
      pose proof (R p Hp) as R1. pose proof (C p' Hp') as C1.
      rewrite J_self in R1, C1 by (exact P_pref || apply Hp || apply Hp').
      assert (V : J n tau P mu p p' = 1 / 2) by lra.
      repeat split; try apply Hp; try apply Hp'; rewrite V.
      - intros u Hu. pose proof (R u Hu) as K. rewrite J_self in K by (exact P_pref || apply Hp'). exact K.
      - intros u Hu. pose proof (C u Hu) as K. rewrite J_self in K by (exact P_pref || apply Hp). exact K. }
    apply (E1_equilibria_are_fixed_points p p' Hp Hp') in X. apply X. }
  repeat split; try assumption; [apply (nash_policy n tau P mu p mu_policy N) | apply Hp].
Qed.

(** E1.  The fixed-point equation has at most one solution. *)
Theorem E1_unique_fixed_point p q : is_nash n tau P mu p -> is_nash n tau P mu q -> same n p q.
Proof.
  intros Np Nq. pose proof (policy_dist n p (nash_policy n tau P mu p mu_policy Np)) as Hp.
  pose proof (policy_dist n q (nash_policy n tau P mu q mu_policy Nq)) as Hq.
  assert (Refl : forall u : nat -> R, same n u u) by (intros u y _; reflexivity).
  apply (E1_unique p p q q); apply E1_equilibria_are_fixed_points; auto.
Qed.

(** ** Playing the equilibrium *)

(** J(pi, q) = 1/2 - tau KL(pi || q) for the equilibrium q. *)
Lemma J_against_nash q pi : is_nash n tau P mu q -> dist n pi -> J n tau P mu pi q = 1 / 2 - tau * KL n pi q.
Proof.
  intros N Hpi. pose proof (policy_dist n q (nash_policy n tau P mu q mu_policy N)) as Hq.
  pose proof (E2_exploitability_identity q pi Hq Hpi) as E.
  rewrite (kl_same n q (BR q) q q), kl_self, (kl_same n pi (BR q) pi q) in E;
    [lra | intros y _; reflexivity | apply same_sym, N | intros y _; reflexivity | apply same_sym, N].
Qed.

Lemma J_of_nash q pi : is_nash n tau P mu q -> dist n pi -> J n tau P mu q pi = 1 / 2 + tau * KL n pi q.
Proof.
  intros N Hpi. pose proof (nash_policy n tau P mu q mu_policy N) as [_ Sq].
  pose proof (J_constant_sum n tau P mu q pi P_pref Sq (proj2 Hpi)) as E.
  rewrite (J_against_nash q pi N Hpi) in E. lra.
Qed.

(** N14, lower half: tau KL(pi || q) <= G(pi). *)
Theorem N14_lower q pi : is_nash n tau P mu q -> dist n pi -> tau * KL n pi q <= G pi.
Proof.
  intros N Hpi. destruct (E2_gap_is_the_maximum pi Hpi) as [Max _].
  pose proof (Max q (policy_dist n q (nash_policy n tau P mu q mu_policy N))) as M.
  rewrite (J_of_nash q pi N Hpi) in M. lra.
Qed.

(** E7.  The RLHF optimum for a reward R is proportional to mu exp(R / tau): E_pi R - tau KL(pi || mu) falls short of
    its maximum tau log Z by exactly tau times the divergence to it. *)
Theorem E7_rlhf_optimum reward pi : dist n pi ->
  expect n pi reward - tau * KL n pi mu =
    tau * ln (gibbs_norm n mu (fun y => reward y / tau)) - tau * KL n pi (gibbs n mu (fun y => reward y / tau)).
Proof.
  intros [_ S]. rewrite kl_gibbs by (apply (policy_n_pos n mu mu_policy) || apply mu_policy || exact S).
  rewrite (expect_ext n pi (fun y => reward y / tau) (fun y => / tau * reward y)) by (intros; unfold Rdiv; ring). rewrite expect_scal. field. lra.
Qed.

End Equilibrium.

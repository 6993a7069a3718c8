(** * Newton's method never meets a singular Jacobian (E4).

    F(theta) = theta - log mu - P softmax(theta) / tau has the Jacobian I - A D / tau,
    D = diag(pi) - pi pi^T.  <v, D v> is the variance of v under pi. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Slic.
Open Scope R_scope.

(** Var_pi(v) = <v, D v>: the squared norm of D^(1/2) v. *)
Definition variance n (pi v : nat -> R) : R := sum n (fun y => v y * D_apply n pi v y).

Lemma variance_centred n pi v : sum n pi = 1 -> variance n pi v = expect n pi (fun y => (v y - expect n pi v) ^ 2).
Proof.
  intro S. unfold variance, D_apply. fold (expect n pi v). set (e := expect n pi v).
  transitivity (sum n (fun y => pi y * (v y - e) ^ 2) + e * (sum n (fun y => pi y * v y) - e * sum n pi)).
  - rewrite <- (sum_scal n e pi), <- sum_minus, <- sum_scal, <- sum_plus. apply sum_ext. intros; ring.
  - fold (expect n pi v). fold e. rewrite S. unfold expect. ring.
Qed.

Section Newton.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (pi : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis pi_policy : policy n pi.

(** J v = v - A D v / tau. *)
Definition newton_jacobian (v : nat -> R) (y : nat) : R := v y - skew_apply n P (D_apply n pi v) y / tau.

(** <w, A w> = 0. *)
Lemma skew_form w : sum n (fun y => w y * skew_apply n P w y) = 0.
Proof.
  unfold skew_apply. rewrite (sum_ext n _ (fun y => sum n (fun z => w y * ((P y z - 1 / 2) * w z)))) by (intros; symmetry; apply sum_scal).
  apply sum_skew. intros y z Hy Hz. pose proof (P_pref y z Hy Hz). replace (P z y) with (1 - P y z) by lra. field.
Qed.

(** E4.  In the coordinates D^(1/2) every singular value of the Jacobian is at least 1:
    Var(J v) = Var(v) + Var(A D v) / tau^2 >= Var(v). *)
Theorem E4_expanding v :
  variance n pi (newton_jacobian v) = variance n pi v + variance n pi (skew_apply n P (D_apply n pi v)) / tau ^ 2 /\
  variance n pi v <= variance n pi (newton_jacobian v).
Proof.
  destruct pi_policy as [Pos S]. set (a := skew_apply n P (D_apply n pi v)).
  pose proof (skew_form (D_apply n pi v)) as K. fold a in K.
  assert (Lin : expect n pi (newton_jacobian v) = expect n pi v - expect n pi a / tau).
  { unfold newton_jacobian. fold a. rewrite (expect_ext n pi _ (fun y => v y - / tau * a y)) by (intros; field; lra).
    rewrite expect_minus, expect_scal. field. lra. }
  assert (E : variance n pi (newton_jacobian v) = variance n pi v + variance n pi a / tau ^ 2).
  { rewrite !variance_centred, Lin by exact S. set (ev := expect n pi v). set (ea := expect n pi a).
    assert (Cross : expect n pi (fun y => (v y - ev) * (a y - ea)) = 0).
    { transitivity (sum n (fun y => D_apply n pi v y * a y) - ea * (expect n pi v - ev * sum n pi)).
      - unfold expect. rewrite <- (sum_scal n ev pi), <- sum_minus, <- sum_scal, <- sum_minus. apply sum_ext. intros y _.
        unfold D_apply. fold (expect n pi v). fold ev. ring.
      - rewrite K, S. unfold ev. ring. }
    transitivity (expect n pi (fun y => (v y - ev) ^ 2) + expect n pi (fun y => (a y - ea) ^ 2) / tau ^ 2
      - 2 / tau * expect n pi (fun y => (v y - ev) * (a y - ea))); [| rewrite Cross; ring].
    replace (expect n pi (fun y => (a y - ea) ^ 2) / tau ^ 2) with (/ tau ^ 2 * expect n pi (fun y => (a y - ea) ^ 2)) by (field; lra).
    rewrite <- !expect_scal, <- expect_plus, <- expect_minus. apply expect_ext. intros y _. unfold newton_jacobian. fold a. field. lra. }
  split; [exact E |]. rewrite E.
  assert (0 <= variance n pi a / tau ^ 2); [| lra].
  apply Rdiv_le_0_compat; [| apply pow_lt, tau_pos]. rewrite variance_centred by exact S.
  apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [apply Rlt_le, Pos, Hy | apply pow2_ge_0].
Qed.

(** E4.  The Jacobian is injective, whatever the policy, the preferences and tau > 0. *)
Theorem E4_nonsingular v : (forall y, (y < n)%nat -> newton_jacobian v y = 0) -> forall y, (y < n)%nat -> v y = 0.
Proof.
  intros Z. destruct pi_policy as [Pos S]. destruct (E4_expanding v) as [_ L].
  assert (V0 : variance n pi (newton_jacobian v) = 0).
  { unfold variance. rewrite (sum_ext n _ (fun _ => 0)); [apply sum_zero |]. intros y Hy. rewrite (Z y Hy). ring. }
  rewrite V0, variance_centred in L by exact S. set (e := expect n pi v) in *.
  assert (Const : forall y, (y < n)%nat -> v y = e).
  { intros y Hy.
    assert (N : forall z, (z < n)%nat -> 0 <= pi z * (v z - e) ^ 2)
      by (intros z Hz; apply Rmult_le_pos; [apply Rlt_le, Pos, Hz | apply pow2_ge_0]).
    pose proof (sum_nonneg n _ N) as L'. fold (expect n pi (fun z => (v z - e) ^ 2)) in L'.
    pose proof (sum_nonneg_zero n _ N ltac:(unfold expect in *; lra) y Hy) as T. cbv beta in T.
    pose proof (Pos y Hy). apply Rmult_integral in T. destruct T as [T | T]; [lra |].
    assert (v y - e = 0) by (apply Rsqr_0_uniq; unfold Rsqr; lra). lra. }
  assert (D0 : forall y, (y < n)%nat -> D_apply n pi v y = 0).
  { intros y Hy. unfold D_apply. fold (expect n pi v). fold e. rewrite (Const y Hy). ring. }
  intros y Hy. pose proof (Z y Hy) as J. unfold newton_jacobian, skew_apply in J.
  rewrite (sum_ext n _ (fun _ => 0)), sum_zero in J by (intros z Hz; rewrite (D0 z Hz); ring). lra.
Qed.

End Newton.

(** * L10: contrast and variance.

    y, y' ~ nu independently; f(y, y') = P[y, y'] - 1/2 - tau (h(y) - h(y')) is antisymmetric.
    X1 = s(y) f, X2 = -s(y') f; the contrastive estimator is (X1 + X2)/2.  Scores are vectors with
    d coordinates: s y c is coordinate c of s(y). *)

From Coq Require Import Reals Lra Psatz Lia.
From Nashlab Require Import Basics Gradients.
Open Scope R_scope.

(** ** Pair expectations *)

Lemma pair_ext n nu F G : (forall y y', (y < n)%nat -> (y' < n)%nat -> F y y' = G y y') ->
  pair_expect n nu F = pair_expect n nu G.
Proof. intro H. apply expect_ext. intros y Hy. apply expect_ext. intros y' Hy'. apply H; assumption. Qed.

Lemma pair_plus n nu F G : pair_expect n nu (fun y y' => F y y' + G y y') = pair_expect n nu F + pair_expect n nu G.
Proof.
  unfold pair_expect. rewrite <- expect_plus. apply expect_ext. intros y _. apply expect_plus.
Qed.

Lemma pair_scal n nu c F : pair_expect n nu (fun y y' => c * F y y') = c * pair_expect n nu F.
Proof.
  unfold pair_expect. rewrite <- expect_scal. apply expect_ext. intros y _. apply expect_scal.
Qed.

Lemma pair_swap n nu F : pair_expect n nu F = pair_expect n nu (fun y y' => F y' y).
Proof. unfold pair_expect. apply expect_swap. Qed.

Lemma pair_nonneg n nu F : (forall y, (y < n)%nat -> 0 <= nu y) ->
  (forall y y', (y < n)%nat -> (y' < n)%nat -> 0 <= F y y') -> 0 <= pair_expect n nu F.
Proof.
  intros Hnu HF. apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [apply Hnu; exact Hy |].
  apply sum_nonneg. intros y' Hy'. apply Rmult_le_pos; [apply Hnu | apply HF]; assumption.
Qed.

(** ** Vector-valued estimators *)

Definition estimator := nat -> nat -> nat -> R.  (* y, y', coordinate *)

(** E|X|^2, |E X|^2 and the total variance E|X - E X|^2. *)
Definition second_moment n nu d (X : estimator) : R :=
  sum d (fun c => pair_expect n nu (fun y y' => X y y' c ^ 2)).
Definition mean_norm2 n nu d (X : estimator) : R :=
  sum d (fun c => pair_expect n nu (fun y y' => X y y' c) ^ 2).
Definition total_variance n nu d (X : estimator) : R :=
  sum d (fun c => pair_expect n nu (fun y y' => (X y y' c - pair_expect n nu (fun z z' => X z z' c)) ^ 2)).

Lemma total_variance_moments n nu d X : sum n nu = 1 ->
  total_variance n nu d X = second_moment n nu d X - mean_norm2 n nu d X.
Proof.
  intro Hn. unfold total_variance, second_moment, mean_norm2. rewrite <- sum_minus.
  apply sum_ext. intros c _. set (m := pair_expect n nu (fun z z' => X z z' c)).
  rewrite (pair_ext n nu _ (fun y y' => (X y y' c ^ 2 + (-2 * m) * X y y' c) + m ^ 2)) by (intros; ring).
  rewrite !pair_plus, pair_scal. fold m.
  replace (pair_expect n nu (fun _ _ => m ^ 2)) with (m ^ 2); [ring |].
  unfold pair_expect. rewrite !expect_const by exact Hn. reflexivity.
Qed.

(** ** The estimators of L10 *)

Section Contrast.

Variables (n d : nat) (nu : nat -> R) (s : nat -> nat -> R) (f : nat -> nat -> R).
Hypothesis nu_pos : forall y, (y < n)%nat -> 0 <= nu y.
Hypothesis nu_sum : sum n nu = 1.
Hypothesis f_antisymmetric : forall y y', (y < n)%nat -> (y' < n)%nat -> f y' y = - f y y'.

Definition X1 : estimator := fun y y' c => s y c * f y y'.
Definition X2 : estimator := fun y y' c => - s y' c * f y y'.
Definition contrast : estimator := fun y y' c => (X1 y y' c + X2 y y' c) / 2.

(** E[ s(y).s(y') f^2 ]. *)
Definition overlap : R :=
  pair_expect n nu (fun y y' => sum d (fun c => s y c * s y' c) * f y y' ^ 2).

(** X1 and X2 are identically distributed: exchanging y and y' maps one to the other. *)
Lemma X1_X2_exchange y y' c : (y < n)%nat -> (y' < n)%nat -> X2 y y' c = X1 y' y c.
Proof. intros Hy Hy'. unfold X1, X2. rewrite (f_antisymmetric y y') by assumption. ring. Qed.

Lemma contrast_mean c : pair_expect n nu (fun y y' => contrast y y' c) = pair_expect n nu (fun y y' => X1 y y' c).
Proof.
  set (m := pair_expect n nu (fun y y' => X1 y y' c)).
  rewrite (pair_ext n nu _ (fun y y' => / 2 * X1 y y' c + / 2 * X2 y y' c)) by (intros; unfold contrast; field).
  rewrite pair_plus, !pair_scal. fold m.
  replace (pair_expect n nu (fun y y' => X2 y y' c)) with m; [field |].
  unfold m. rewrite pair_swap. apply pair_ext. intros. symmetry. apply X1_X2_exchange; assumption.
Qed.

Lemma sum_pair_swap (F : nat -> nat -> nat -> R) :
  sum d (fun c => pair_expect n nu (fun y y' => F y y' c)) = pair_expect n nu (fun y y' => sum d (fun c => F y y' c)).
Proof.
  unfold pair_expect, expect.
  rewrite (sum_swap d n (fun c y => nu y * sum n (fun y' => nu y' * F y y' c))).
  apply sum_ext. intros y _. rewrite sum_scal. f_equal.
  rewrite (sum_swap d n (fun c y' => nu y' * F y y' c)). apply sum_ext. intros y' _. apply sum_scal.
Qed.

(** E|(X1 + X2)/2|^2 = (E|X1|^2 - E[s.s' f^2]) / 2. *)
Lemma contrast_second_moment : second_moment n nu d contrast = (second_moment n nu d X1 - overlap) / 2.
Proof.
  assert (Q2 : second_moment n nu d X2 = second_moment n nu d X1).
  { apply sum_ext. intros c _. rewrite pair_swap. apply pair_ext. intros y y' Hy Hy'.
    rewrite X1_X2_exchange by assumption. reflexivity. }
  assert (O : overlap = sum d (fun c => pair_expect n nu (fun y y' => s y c * s y' c * f y y' ^ 2))).
  { rewrite sum_pair_swap. apply pair_ext. intros y y' _ _. rewrite Rmult_comm, <- sum_scal.
    apply sum_ext. intros; ring. }
  assert (S : second_moment n nu d contrast
              = / 4 * second_moment n nu d X1 + / 4 * second_moment n nu d X2 - / 2 * overlap).
  { rewrite O. unfold second_moment. rewrite <- !sum_scal, <- sum_plus, <- sum_minus. apply sum_ext. intros c _.
    rewrite <- !pair_scal, <- pair_plus.
    rewrite (pair_ext n nu _ (fun y y' => (/ 4 * X1 y y' c ^ 2 + / 4 * X2 y y' c ^ 2)
               + (-1) * (/ 2 * (s y c * s y' c * f y y' ^ 2)))) by (intros; unfold contrast, X1, X2; field).
    rewrite pair_plus, pair_scal. ring. }
  rewrite S, Q2. field.
Qed.

Lemma contrast_mean_norm2 : mean_norm2 n nu d contrast = mean_norm2 n nu d X1.
Proof. apply sum_ext. intros c _. rewrite contrast_mean. reflexivity. Qed.

(** Var((X1 + X2)/2) = Var(X1)/2 - (E[s.s' f^2] + |E X1|^2)/2. *)
Theorem L10_exact : total_variance n nu d contrast =
  total_variance n nu d X1 / 2 - (overlap + mean_norm2 n nu d X1) / 2.
Proof.
  rewrite !total_variance_moments, contrast_second_moment, contrast_mean_norm2 by exact nu_sum. field.
Qed.

(** L10 (first part).  The contrastive estimator never has larger total variance than X1. *)
Theorem L10_never_worse : total_variance n nu d contrast <= total_variance n nu d X1.
Proof.
  rewrite !total_variance_moments, contrast_second_moment, contrast_mean_norm2 by exact nu_sum.
  (* 2 (E|X1|^2 + E[s.s' f^2]) = E|X1 - X2|^2 >= 0 *)
  assert (H : 0 <= second_moment n nu d X1 + overlap).
  { assert (Q : 0 <= second_moment n nu d (fun y y' c => X1 y y' c - X2 y y' c)).
    { apply sum_nonneg. intros c _. apply pair_nonneg; [exact nu_pos |]. intros. apply pow2_ge_0. }
    assert (E : second_moment n nu d (fun y y' c => X1 y y' c - X2 y y' c)
                = 2 * second_moment n nu d X1 + 2 * second_moment n nu d X2 - 4 * second_moment n nu d contrast).
    { unfold second_moment. rewrite <- !sum_scal, <- sum_plus, <- sum_minus. apply sum_ext. intros c _.
      rewrite <- !pair_scal, <- pair_plus.
      rewrite (pair_ext n nu _ (fun y y' => (2 * X1 y y' c ^ 2 + 2 * X2 y y' c ^ 2) + (-1) * (4 * contrast y y' c ^ 2)))
        by (intros; unfold contrast; field).
      rewrite pair_plus, (pair_scal _ _ (-1)). ring. }
    assert (Q2 : second_moment n nu d X2 = second_moment n nu d X1).
    { apply sum_ext. intros c _. rewrite pair_swap. apply pair_ext. intros y y' Hy Hy'.
      rewrite X1_X2_exchange by assumption. reflexivity. }
    rewrite E, Q2, contrast_second_moment in Q. lra. }
  lra.
Qed.

(** L10 (second part).  It has at most half the variance iff E[s.s' f^2] + |E X1|^2 >= 0. *)
Theorem L10_half_iff :
  total_variance n nu d contrast <= total_variance n nu d X1 / 2 <-> 0 <= overlap + mean_norm2 n nu d X1.
Proof. rewrite L10_exact. split; lra. Qed.

(** In particular under the paper's condition D.1, E[s.s' f^2] >= 0. *)
Corollary L10_half_under_D1 : 0 <= overlap -> total_variance n nu d contrast <= total_variance n nu d X1 / 2.
Proof.
  intro H. apply L10_half_iff.
  assert (0 <= mean_norm2 n nu d X1) by (apply sum_nonneg; intros; apply pow2_ge_0). lra.
Qed.

End Contrast.

(** The f of the theory is antisymmetric. *)
Lemma L10_f_antisymmetric n tau P (h : nat -> R) : is_pref n P ->
  let f := fun y y' => P y y' - 1 / 2 - tau * (h y - h y') in
  forall y y', (y < n)%nat -> (y' < n)%nat -> f y' y = - f y y'.
Proof. intros HP f y y' Hy Hy'. unfold f. pose proof (HP y y' Hy Hy'). lra. Qed.

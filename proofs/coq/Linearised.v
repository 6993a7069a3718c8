(** * The algorithms near their fixed points (R3, N3): derivatives of the steps themselves, in n dimensions.

    A curve of policies moves with velocity v if its log-policies do, up to a constant; then the curve of the steps taken from it
    moves with the velocity given here, A D v being D = diag(p) - p p^T at the policy where the opponent stands, then A. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Gradients Slic NashMD Rates Cycling.
Open Scope R_scope.

Definition moves n (p : R -> nat -> R) (pi v : nat -> R) : Prop :=
  (forall t, policy n (p t)) /\ same n (p 0) pi /\
  exists c : R, forall y, (y < n)%nat -> is_derive (fun t => ln (p t y)) 0 (v y + c).

(** OMWU, log pi <- (1 - eta tau) log pi + eta tau log mu + eta P (2 pi - pi_before). *)
Definition omwu_step n eta tau P mu (pi before : nat -> R) : nat -> R :=
  gibbs n mu (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * (2 * win n P pi y - win n P before y)).

Section Linearised.

Variables (n : nat) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis mu_policy : policy n mu.

Local Notation AD pi v := (skew_apply n P (D_apply n pi v)).

Lemma n_pos : (0 < n)%nat.
Proof. apply (policy_n_pos n mu mu_policy). Qed.

(** Up to a constant. *)
Lemma moves_shift p pi v v' (c : R) : (forall y, (y < n)%nat -> v' y = v y + c) -> moves n p pi v -> moves n p pi v'.
Proof.
  intros Hc [Pp [S [k D]]]. split; [exact Pp | split; [exact S |]]. exists (k - c). intros y Hy.
  replace (v' y + (k - c)) with (v y + k) by (rewrite (Hc y Hy); ring). apply D, Hy.
Qed.

Lemma moves_same p p' pi v : (forall t, same n (p t) (p' t)) -> moves n p pi v -> moves n p' pi v.
Proof.
  intros E [Pp [S [k D]]]. split; [intro t; apply (policy_same n (p t)); [exact (E t) | apply Pp] |].
  split; [apply (same_trans n _ (p 0)); [apply same_sym, E | exact S] |]. exists k. intros y Hy.
  apply (is_derive_ext (fun t => ln (p t y))); [intro t; rewrite (E t y Hy); reflexivity | apply D, Hy].
Qed.

(** The win rates against a moving opponent. *)
Lemma moves_win p pi v y : moves n p pi v -> is_derive (fun t => win n P (p t) y) 0 (AD pi v y).
Proof.
  intros [Pp [S [c D]]]. pose proof n_pos as Hn.
  assert (Each : forall z, (z < n)%nat -> is_derive (fun t => p t z) 0 (pi z * (v z + c))).
  { intros z Hz. apply (is_derive_ext (fun t => exp (ln (p t z)))); [intro t; apply exp_ln, (Pp t), Hz |].
    evar_last; [apply (is_derive_comp exp (fun t => ln (p t z))); [apply is_derive_exp | apply D, Hz] |].
    unfold scal; simpl; unfold mult; simpl. rewrite exp_ln by apply (Pp 0), Hz. rewrite (S z Hz). ring. }
  assert (Pi : sum n pi = 1) by (rewrite <- (proj2 (Pp 0)); apply sum_ext; intros z Hz; symmetry; apply S, Hz).
  assert (C : c = - sum n (fun z => pi z * v z)).
  { pose proof (is_derive_sum n (fun z t => p t z) (fun z => pi z * (v z + c)) 0 Each) as Tot.
    assert (K : is_derive (fun t => sum n (fun z => p t z)) 0 0).
    { apply (is_derive_ext (fun _ => 1)); [intro t; symmetry; apply (Pp t) | apply (is_derive_const 1)]. }
    pose proof (is_derive_unique _ _ _ Tot) as U1. pose proof (is_derive_unique _ _ _ K) as U2. rewrite U1 in U2.
    rewrite (sum_ext n _ (fun z => pi z * v z + pi z * c)), sum_plus, sum_scal_r, Pi in U2 by (intros; ring). lra. }
  evar_last; [apply (is_derive_sum n (fun z t => P y z * p t z) (fun z => P y z * (pi z * (v z + c)))) |].
  - intros z Hz. apply is_derive_scal. apply Each, Hz.
  - unfold skew_apply, D_apply. rewrite C.
    transitivity (sum n (fun z => P y z * (pi z * (v z - sum n (fun w => pi w * v w))))
      - 1 / 2 * (sum n (fun z => pi z * v z) - sum n (fun w => pi w * v w) * sum n pi)).
    + rewrite Pi. rewrite (sum_ext n (fun z => P y z * (pi z * (v z + - sum n (fun w => pi w * v w))))
        (fun z => P y z * (pi z * (v z - sum n (fun w => pi w * v w))))) by (intros; ring). ring.
    + rewrite <- (sum_scal n (sum n (fun w => pi w * v w))), <- sum_minus, <- (sum_scal n (1 / 2)), <- sum_minus.
      apply sum_ext. intros; ring.
Qed.

(** A Gibbs policy moves with its exponent. *)
Lemma moves_gibbs (f : R -> nat -> R) g : (forall y, (y < n)%nat -> is_derive (fun t => f t y) 0 (g y)) ->
  moves n (fun t => gibbs n mu (f t)) (gibbs n mu (f 0)) g.
Proof.
  intro D. pose proof n_pos as Hn. pose proof (proj1 mu_policy) as Hm.
  split; [intro t; apply gibbs_policy; assumption | split; [intros y _; reflexivity |]].
  assert (Z : is_derive (fun t => gibbs_norm n mu (f t)) 0 (sum n (fun z => mu z * (exp (f 0 z) * g z)))).
  { apply (is_derive_sum n (fun z t => mu z * exp (f t z)) (fun z => mu z * (exp (f 0 z) * g z))). intros z Hz.
    apply is_derive_scal. evar_last; [apply (is_derive_comp exp (fun t => f t z)); [apply is_derive_exp | apply D, Hz] |].
    unfold scal; simpl; unfold mult; simpl. ring. }
  pose proof (gibbs_norm_pos n mu Hn Hm (f 0)) as Zp. pose proof (is_derive_log 0 (fun t => gibbs_norm n mu (f t)) _ Zp Z) as LZ.
  cbv beta in LZ.
  exists (- (sum n (fun z => mu z * (exp (f 0 z) * g z)) / gibbs_norm n mu (f 0))). intros y Hy.
  apply (is_derive_ext (fun t => (ln (mu y) + f t y) - ln (gibbs_norm n mu (f t)))).
  { intro t. rewrite gibbs_log by assumption. reflexivity. }
  evar_last; [apply (is_derive_minus (fun t => ln (mu y) + f t y)); [apply (is_derive_plus (fun _ => ln (mu y)));
    [apply (is_derive_const (ln (mu y))) | apply D, Hy] | exact LZ] |].
  unfold minus, plus, opp, zero; simpl. ring.
Qed.

(** What all steps have in common: an exponent a (log p - log mu) + b P p' of two moving policies. *)
Lemma moves_step p p' pi pi' v v' a b : moves n p pi v -> moves n p' pi' v' ->
  moves n (fun t => gibbs n mu (fun y => a * (ln (p t y) - ln (mu y)) + b * win n P (p' t) y))
    (gibbs n mu (fun y => a * (ln (pi y) - ln (mu y)) + b * win n P pi' y)) (fun y => a * v y + b * AD pi' v' y).
Proof.
  intros M M'. pose proof M as [Pp [S [c D]]]. pose proof M' as [Pp' [S' _]]. pose proof n_pos as Hn.
  apply (moves_shift _ _ (fun y => a * (v y + c) + b * AD pi' v' y) _ (- (a * c))); [intros; ring |].
  assert (G : moves n (fun t => gibbs n mu (fun y => a * (ln (p t y) - ln (mu y)) + b * win n P (p' t) y))
    (gibbs n mu (fun y => a * (ln (p 0 y) - ln (mu y)) + b * win n P (p' 0) y)) (fun y => a * (v y + c) + b * AD pi' v' y)).
  { apply (moves_gibbs (fun t y => a * (ln (p t y) - ln (mu y)) + b * win n P (p' t) y)). intros y Hy.
    evar_last; [apply (is_derive_plus (fun t => a * (ln (p t y) - ln (mu y))) (fun t => b * win n P (p' t) y)) |].
    - apply is_derive_scal. apply (is_derive_minus (fun t => ln (p t y)) (fun _ => ln (mu y))); [apply D, Hy | apply (is_derive_const (ln (mu y)))].
    - apply is_derive_scal. apply moves_win, M'.
    - unfold minus, plus, opp, zero; simpl. ring. }
  destruct G as [Gp [_ Gd]]. split; [exact Gp | split; [| exact Gd]].
  apply gibbs_ext; [exact Hn | apply mu_policy |]. intros y Hy. rewrite (S y Hy), (win_same n P (p' 0) pi') by exact S'. reflexivity.
Qed.

(** R3 (OMD): v <- (1 - eta tau) v + eta A D v. *)
Theorem R3_omd_linearised eta tau p pi v : moves n p pi v ->
  moves n (fun t => omd_step n eta tau P mu (p t)) (omd_step n eta tau P mu pi) (fun y => (1 - eta * tau) * v y + eta * AD pi v y).
Proof. intro M. apply (moves_step p p); exact M. Qed.

(** R3 (MMD): v <- (v + eta A D v) / (1 + eta tau). *)
Theorem R3_mmd_linearised eta tau p pi v : 0 < 1 + eta * tau -> moves n p pi v ->
  moves n (fun t => mmd_step n eta tau P mu (p t)) (mmd_step n eta tau P mu pi)
    (fun y => / (1 + eta * tau) * v y + eta / (1 + eta * tau) * AD pi v y).
Proof.
  intros H M. pose proof (moves_step p p pi pi v v (/ (1 + eta * tau)) (eta / (1 + eta * tau)) M M) as S.
  assert (E : forall p, same n (gibbs n mu (fun y => / (1 + eta * tau) * (ln (p y) - ln (mu y)) + eta / (1 + eta * tau) * win n P p y))
    (mmd_step n eta tau P mu p)).
  { intro r. apply gibbs_ext; [apply n_pos | apply mu_policy |]. intros y _. field. lra. }
  apply (moves_same _ _ _ _ (fun t => E (p t))) in S. destruct S as [Sp [S0 Sd]].
  split; [exact Sp | split; [apply (same_trans n _ _ _ S0), E | exact Sd]].
Qed.

(** R3 (EGPO), at an equilibrium: v <- a v + eta A D (a v + eta A D v), a = 1 - eta tau. *)
Theorem R3_egpo_linearised eta tau p q v : 0 < tau -> is_nash n tau P mu q -> moves n p q v ->
  moves n (fun t => egpo_step n eta tau P mu (p t)) q
    (fun y => (1 - eta * tau) * v y + eta * AD q (fun z => (1 - eta * tau) * v z + eta * AD q v z) y).
Proof.
  intros Ht N M. pose proof (nash_policy n tau P mu q mu_policy N) as Hq. pose proof n_pos as Hn.
  assert (Fixed : same n (omd_step n eta tau P mu q) q).
  { destruct (gibbs_log_const n mu (fun y => (1 - eta * tau) * (ln (q y) - ln (mu y)) + eta * win n P q y) mu_policy) as [c Hc].
    set (k := - ln (gibbs_norm n mu (fun z => win n P q z / tau))).
    apply (policy_by_log n _ _ (c - eta * tau * k)); [apply gibbs_policy; [exact Hn | apply mu_policy] | exact Hq |].
    intros y Hy. unfold omd_step. rewrite (Hc y Hy).
    assert (L : ln (q y) = ln (mu y) + win n P q y / tau + k).
    { rewrite (N y Hy) at 1. unfold k. rewrite best_reply_log by assumption. ring. }
    replace (win n P q y) with (tau * (ln (q y) - ln (mu y) - k)) by (rewrite L; field; lra). ring. }
  pose proof (R3_omd_linearised eta tau p q v M) as H. destruct H as [Hp [H0 Hd]].
  assert (Half : moves n (fun t => egpo_half n eta tau P mu (p t)) q (fun y => (1 - eta * tau) * v y + eta * AD q v y)).
  { split; [exact Hp | split; [apply (same_trans n _ _ _ H0), Fixed | exact Hd]]. }
  destruct (moves_step p _ q q v _ (1 - eta * tau) eta M Half) as [Sp [S0 Sd]].
  split; [exact Sp | split; [apply (same_trans n _ _ _ S0), Fixed | exact Sd]].
Qed.

(** R3 (Nash-MD): v <- (1 - eta tau)(v + eta A D v), D at the mixture m that is played against. *)
Theorem R3_nash_md_linearised eta tau p pi v : moves n p pi v ->
  moves n (fun t => md_step n eta tau P mu (p t)) (md_step n eta tau P mu pi)
    (fun y => (1 - eta * tau) * (v y + eta * AD (md_mix n eta tau mu pi) v y)).
Proof.
  intro M. pose proof n_pos as Hn.
  assert (Mix : moves n (fun t => md_mix n eta tau mu (p t)) (md_mix n eta tau mu pi) (fun y => (1 - eta * tau) * v y)).
  { pose proof (moves_step p p pi pi v v (1 - eta * tau) 0 M M) as S.
    assert (E : forall r, same n (gibbs n mu (fun y => (1 - eta * tau) * (ln (r y) - ln (mu y)) + 0 * win n P r y)) (md_mix n eta tau mu r)).
    { intro r. apply gibbs_ext; [exact Hn | apply mu_policy |]. intros y _. ring. }
    apply (moves_same _ _ _ _ (fun t => E (p t))) in S. destruct S as [Sp [S0 Sd]].
    apply (moves_shift _ _ (fun y => (1 - eta * tau) * v y + 0 * AD pi v y) _ 0); [intros; ring |].
    split; [exact Sp | split; [apply (same_trans n _ _ _ S0), E | exact Sd]]. }
  set (m := md_mix n eta tau mu pi) in *.
  pose proof (moves_step _ _ m m _ _ 1 eta Mix Mix) as S. cbv beta in S.
  assert (E : forall r, same n (gibbs n mu (fun y => 1 * (ln (md_mix n eta tau mu r y) - ln (mu y)) + eta * win n P (md_mix n eta tau mu r) y))
    (md_step n eta tau P mu r)).
  { intro r. pose proof (md_mix_policy n eta tau mu r mu_policy) as Hr. set (w := md_mix n eta tau mu r) in *.
    assert (Term : forall z, (z < n)%nat ->
      mu z * exp (1 * (ln (w z) - ln (mu z)) + eta * win n P w z) = w z * exp (eta * win n P w z)).
    { intros z Hz. rewrite Rmult_1_l, exp_plus. unfold Rminus. rewrite exp_plus, exp_Ropp, !exp_ln by (apply Hr, Hz || apply mu_policy, Hz).
      field. apply Rgt_not_eq, mu_policy, Hz. }
    intros y Hy. unfold md_step. fold w. unfold gibbs, gibbs_norm. rewrite (Term y Hy), (sum_ext n _ _ Term). reflexivity. }
  apply (moves_same _ _ _ _ (fun t => E (p t))) in S. destruct S as [Sp [S0 Sd]].
  assert (Lin : forall y, AD m (fun z => (1 - eta * tau) * v z) y = (1 - eta * tau) * AD m v y).
  { intro y. unfold skew_apply, D_apply. rewrite <- sum_scal. apply sum_ext. intros z _.
    rewrite (sum_ext n (fun y' => m y' * ((1 - eta * tau) * v y')) (fun y' => (1 - eta * tau) * (m y' * v y'))), sum_scal by (intros; ring). ring. }
  apply (moves_shift _ _ (fun y => 1 * ((1 - eta * tau) * v y) + eta * AD m (fun z => (1 - eta * tau) * v z) y) _ 0);
    [intros y Hy; cbv beta; rewrite Lin; ring |].
  split; [exact Sp | split; [apply (same_trans n _ _ _ S0), E | exact Sd]].
Qed.

(** R3 (OMWU), from two policies at the same place: v <- (1 - eta tau) v + eta A D (2 v - v_before). *)
Theorem R3_omwu_linearised eta tau p p' pi v v' : moves n p pi v -> moves n p' pi v' ->
  moves n (fun t => omwu_step n eta tau P mu (p t) (p' t)) (omwu_step n eta tau P mu pi pi)
    (fun y => (1 - eta * tau) * v y + eta * (2 * AD pi v y - AD pi v' y)).
Proof.
  intros M M'. pose proof M as [_ [S [c D]]]. pose proof M' as [_ [S' _]]. pose proof n_pos as Hn.
  apply (moves_shift _ _ (fun y => (1 - eta * tau) * (v y + c) + eta * (2 * AD pi v y - AD pi v' y)) _ (- ((1 - eta * tau) * c))); [intros; ring |].
  destruct (moves_gibbs (fun t y => (1 - eta * tau) * (ln (p t y) - ln (mu y)) + eta * (2 * win n P (p t) y - win n P (p' t) y))
    (fun y => (1 - eta * tau) * (v y + c) + eta * (2 * AD pi v y - AD pi v' y))) as [Gp [_ Gd]].
  { intros y Hy. evar_last; [apply (is_derive_plus (fun t => (1 - eta * tau) * (ln (p t y) - ln (mu y)))
      (fun t => eta * (2 * win n P (p t) y - win n P (p' t) y))) |].
    - apply is_derive_scal. apply (is_derive_minus (fun t => ln (p t y)) (fun _ => ln (mu y))); [apply D, Hy | apply (is_derive_const (ln (mu y)))].
    - apply is_derive_scal. apply (is_derive_minus (fun t => 2 * win n P (p t) y) (fun t => win n P (p' t) y)).
      + apply is_derive_scal. apply moves_win, M.
      + apply moves_win, M'.
    - unfold minus, plus, opp, zero; simpl. ring. }
  split; [exact Gp | split; [| exact Gd]]. apply gibbs_ext; [exact Hn | apply mu_policy |]. intros y Hy. rewrite (S y Hy).
  rewrite (win_same n P (p 0) pi), (win_same n P (p' 0) pi) by assumption. reflexivity.
Qed.

(** N3.  The natural gradient P pi - tau h moves with A D v - tau v, up to a constant. *)
Theorem N3_natural_gradient_linearised tau p pi v : moves n p pi v ->
  exists c : R, forall y, (y < n)%nat ->
    is_derive (fun t => win n P (p t) y - tau * (ln (p t y) - ln (mu y))) 0 (AD pi v y - tau * v y + c).
Proof.
  intro M. pose proof M as [_ [_ [c D]]]. exists (- (tau * c)). intros y Hy.
  evar_last; [apply (is_derive_minus (fun t => win n P (p t) y) (fun t => tau * (ln (p t y) - ln (mu y)))) |].
  - apply moves_win, M.
  - apply is_derive_scal. apply (is_derive_minus (fun t => ln (p t y)) (fun _ => ln (mu y))); [apply D, Hy | apply (is_derive_const (ln (mu y)))].
  - unfold minus, plus, opp, zero; simpl. ring.
Qed.

End Linearised.

(** ** What the linear maps do *)

Section Maps.

Variables (n : nat) (P : nat -> nat -> R) (pi : nat -> R).
Hypothesis P_pref : pref n P.
Hypothesis pi_dist : dist n pi.

Local Notation AD u := (skew_apply n P (D_apply n pi u)).
Local Notation mean u := (sum n (fun y => pi y * u y)).
Local Notation var u := (sum n (fun y => pi y * (u y - mean u) ^ 2)).

(** A D on combinations, and on constants. *)
Lemma AD_linear a b u v y : AD (fun z => a * u z + b * v z) y = a * AD u y + b * AD v y.
Proof.
  unfold skew_apply, D_apply. rewrite <- !sum_scal, <- sum_plus. apply sum_ext. intros z _.
  rewrite (sum_ext n (fun y' => pi y' * (a * u y' + b * v y')) (fun y' => a * (pi y' * u y') + b * (pi y' * v y'))) by (intros; ring).
  rewrite sum_plus, !sum_scal. ring.
Qed.

Lemma AD_shift u c y : AD (fun z => u z + c) y = AD u y.
Proof.
  unfold skew_apply, D_apply. apply sum_ext. intros z _. f_equal.
  rewrite (sum_ext n (fun y' => pi y' * (u y' + c)) (fun y' => pi y' * u y' + pi y' * c)) by (intros; ring).
  rewrite sum_plus, sum_scal_r, (proj2 pi_dist). ring.
Qed.

(** N3.  The natural gradient's eigenvalues are tau -+ i omega, i omega an eigenvalue of A D: an eigenvector of tau - A D modulo
    constants, not itself one, has an eigenvalue with real part tau and imaginary part below 1/pi. *)
Theorem N3_natural_gradient tau x w u v (c d : R) :
  (forall y, (y < n)%nat -> tau * u y - AD u y = x * u y - w * v y + c /\ tau * v y - AD v y = x * v y + w * u y + d) ->
  (exists y z, (y < n)%nat /\ (z < n)%nat /\ (u y <> u z \/ v y <> v z)) -> x = tau /\ Rabs w < 1 / PI.
Proof.
  intros Eig [y0 [z0 [Hy0 [Hz0 Ne]]]]. set (a := tau - x).
  destruct (Req_dec (a ^ 2 + w ^ 2) 0) as [Z | Z].
  { assert (A0 : a = 0) by nra. assert (w = 0) by nra. subst w. unfold a in A0. split; [lra |].
    rewrite Rabs_R0. pose proof PI_RGT_0. apply Rdiv_lt_0_compat; lra. }
  (* shift both parts so that the equation holds exactly *)
  set (r := (w * d - a * c) / (a ^ 2 + w ^ 2)). set (s := - (w * c + a * d) / (a ^ 2 + w ^ 2)).
  assert (R1 : - c = a * r - (- w) * s) by (unfold r, s; field; exact Z).
  assert (R2 : - d = a * s + (- w) * r) by (unfold r, s; field; exact Z).
  destruct (N4_every_n n P pi P_pref pi_dist a (- w) (fun y => u y + r) (fun y => v y + s)) as [A0 W].
  - intros y Hy. rewrite !AD_shift. destruct (Eig y Hy) as [E1 E2]. unfold a in *. split; nra.
  - destruct (Req_dec (u y0 + r) 0) as [U |]; [| exists y0; auto]. destruct (Req_dec (v y0 + s) 0) as [V |]; [| exists y0; auto].
    exists z0. split; [exact Hz0 |]. destruct Ne as [Ne | Ne]; [left | right]; lra.
  - split; [unfold a in A0; lra | rewrite <- Rabs_Ropp; exact W].
Qed.

Variable lam : R.
Hypothesis AD_short : forall v, var (AD v) <= lam ^ 2 * var v.

(** R3 (EGPO): the variance falls at least by the larger of the multipliers' squared moduli at 0 and i lambda. *)
Theorem R3_egpo_every_n tau eta v : let a := 1 - eta * tau in let b := eta * lam in
  var (fun y => a * v y + eta * AD (fun z => a * v z + eta * AD v z) y)
    <= Rmax (a ^ 2) ((a - b ^ 2) ^ 2 + a ^ 2 * b ^ 2) * var v.
Proof.
  intros a b. set (w := AD v). set (k := fun z => a * v z + eta * w z).
  pose proof (variance_split n P pi P_pref pi_dist a eta w) as Vk.
  assert (Ek : forall y, AD k y = a * w y + eta * AD w y) by (intro y; unfold k; rewrite AD_linear; reflexivity).
  set (V := var v). set (W := var w) in *. set (W2 := var (AD w)) in *. cbv beta in Vk.
  assert (Mk : mean (AD k) = mean (fun y => a * w y + eta * AD w y)) by (apply sum_ext; intros; rewrite Ek; reflexivity).
  assert (VAk : var (AD k) = a ^ 2 * W + eta ^ 2 * W2).
  { rewrite <- Vk. rewrite Mk. apply sum_ext. intros y _. rewrite Ek. reflexivity. }
  assert (Cross : sum n (fun y => pi y * (v y - mean v) * (AD k y - mean (AD k))) = - (eta * W)).
  { rewrite <- (inner_variance n pi pi_dist v (AD k)), (form_skew n P pi P_pref v k). f_equal.
    change (sum n (fun y => D_apply n pi k y * w y) = eta * W).
    rewrite (sum_ext n _ (fun y => a * (D_apply n pi v y * w y) + eta * (D_apply n pi w y * w y))).
    - rewrite sum_plus, !sum_scal. pose proof (form_skew n P pi P_pref v v) as K. fold w in K.
      rewrite (inner_variance n pi pi_dist w w).
      rewrite (sum_ext n (fun y => pi y * (w y - mean w) * (w y - mean w)) (fun y => pi y * (w y - mean w) ^ 2)) by (intros; ring).
      fold W. assert (sum n (fun y => D_apply n pi v y * w y) = 0) by lra. rewrite H. ring.
    - intros y _. unfold D_apply, k.
      rewrite (sum_ext n (fun y' => pi y' * (a * v y' + eta * w y')) (fun y' => a * (pi y' * v y') + eta * (pi y' * w y'))) by (intros; ring).
      rewrite sum_plus, !sum_scal. ring. }
  assert (Mt : mean (fun y => a * v y + eta * AD k y) = a * mean v + eta * mean (AD k)).
  { rewrite <- !sum_scal, <- sum_plus. apply sum_ext. intros; ring. }
  assert (Total : var (fun y => a * v y + eta * AD k y) = a ^ 2 * V + eta ^ 2 * (a ^ 2 * W + eta ^ 2 * W2) - 2 * a * eta * (eta * W)).
  { cbv beta in Mt |- *. rewrite Mt.
    transitivity (a ^ 2 * V + eta ^ 2 * var (AD k) + 2 * a * eta * sum n (fun y => pi y * (v y - mean v) * (AD k y - mean (AD k)))).
    - unfold V. rewrite <- (sum_scal n (a ^ 2)), <- (sum_scal n (eta ^ 2)), <- (sum_scal n (2 * a * eta)), <- !sum_plus.
      apply sum_ext. intros; ring.
    - rewrite Cross, VAk. ring. }
  change (var (fun y => a * v y + eta * AD k y) <= Rmax (a ^ 2) ((a - b ^ 2) ^ 2 + a ^ 2 * b ^ 2) * V).
  cbv beta in Total |- *. rewrite Total.
  pose proof (AD_short v) as S1. pose proof (AD_short w) as S2. cbv beta in S1, S2. fold w in S1. fold V in S1. fold W in S1, S2. fold W2 in S2.
  assert (V0 : 0 <= V) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply pi_dist, Hy | apply pow2_ge_0]).
  assert (W0 : 0 <= W) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply pi_dist, Hy | apply pow2_ge_0]).
  set (g := (a ^ 2 - 2 * a + b ^ 2) * eta ^ 2).
  assert (E4 : 0 <= eta ^ 2 * eta ^ 2) by (pose proof (pow2_ge_0 eta); nra).
  assert (Le : a ^ 2 * V + eta ^ 2 * (a ^ 2 * W + eta ^ 2 * W2) - 2 * a * eta * (eta * W) <= a ^ 2 * V + g * W).
  { assert (eta ^ 2 * eta ^ 2 * W2 <= eta ^ 2 * eta ^ 2 * (lam ^ 2 * W)) by (apply Rmult_le_compat_l; assumption). unfold g, b. nra. }
  eapply Rle_trans; [exact Le |]. destruct (Rle_lt_dec g 0) as [G | G].
  - apply Rle_trans with (a ^ 2 * V); [nra |]. apply Rmult_le_compat_r; [exact V0 | apply Rmax_l].
  - apply Rle_trans with (((a - b ^ 2) ^ 2 + a ^ 2 * b ^ 2) * V); [| apply Rmult_le_compat_r; [exact V0 | apply Rmax_r]].
    assert (g * W <= g * (lam ^ 2 * V)) by (apply Rmult_le_compat_l; lra). unfold g, b in *. nra.
Qed.

(** R3 (Nash-MD), D at the mixture. *)
Theorem R3_nash_md_every_n tau eta v :
  var (fun y => (1 - eta * tau) * (v y + eta * AD v y)) <= (1 - eta * tau) ^ 2 * (1 + (eta * lam) ^ 2) * var v.
Proof.
  pose proof (variance_split n P pi P_pref pi_dist (1 - eta * tau) ((1 - eta * tau) * eta) v) as E. cbv beta in E.
  assert (F : var (fun y => (1 - eta * tau) * (v y + eta * AD v y))
    = var (fun y => (1 - eta * tau) * v y + (1 - eta * tau) * eta * AD v y)).
  { assert (M : mean (fun y => (1 - eta * tau) * (v y + eta * AD v y)) = mean (fun y => (1 - eta * tau) * v y + (1 - eta * tau) * eta * AD v y))
      by (apply sum_ext; intros; ring).
    cbv beta in M |- *. rewrite M. apply sum_ext. intros; ring. }
  cbv beta in F |- *. rewrite F, E. pose proof (AD_short v) as S. cbv beta in S. pose proof (pow2_ge_0 ((1 - eta * tau) * eta)) as Q.
  apply (Rmult_le_compat_l _ _ _ Q) in S. nra.
Qed.

(** R3 (OMWU).  On an eigenvector u + i w of A D, with A D (u + i w) = i omega (u + i w), the recursion is the scalar one of
    [omwu_stable]: from Re z (u + i w) and Re z' (u + i w) it goes to Re z'' (u + i w), z'' = (a + 2 i b) z - i b z'. *)
Theorem R3_omwu_splits omega tau eta u w x y x' y' :
  (forall k, (k < n)%nat -> AD u k = - omega * w k /\ AD w k = omega * u k) ->
  let a := 1 - eta * tau in let b := eta * omega in
  forall k, (k < n)%nat ->
    a * (x * u k - y * w k) + eta * (2 * AD (fun z => x * u z + (- y) * w z) k - AD (fun z => x' * u z + (- y') * w z) k)
    = (a * x - 2 * b * y + b * y') * u k - (a * y + 2 * b * x - b * x') * w k.
Proof. intros Eig a b k Hk. destruct (Eig k Hk) as [E1 E2]. rewrite !AD_linear, E1, E2. unfold b. ring. Qed.

End Maps.

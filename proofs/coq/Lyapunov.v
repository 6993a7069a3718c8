(** * N1 and N2: tabular online IPO converges globally.

    With g = D_pi (P pi - tau h), which is -tau/4 times the gradient of online IPO, and q = pi*_tau:
    along theta' = g the sum of theta is constant and V = sum_y q(y) exp(-theta_y) obeys
    V' = -(tau / sum e^theta) SymKL(pi, q) (N1); the step theta + eta g lowers V by at least
    0.4 eta tau SymKL / sum e^theta when eta <= tau / (3 (1 + 2 tau^2 (1 + L0))) (N2).  V - min V is
    bounded by a multiple of SymKL / sum e^theta on a level set, so both converge exponentially. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Gradients Stationary Slic.
Open Scope R_scope.

(** ** The field and the game term *)

(** g = D_pi (P pi - tau h): -tau/4 times the gradient of online IPO (L1). *)
Definition ipo_field n tau P mu (theta : nat -> R) : nat -> R :=
  D_apply n (softmax n theta) (advantage n tau P mu (softmax n theta) (log_softmax n theta)).

Lemma ipo_field_is_gradient n tau P mu theta k : (k < n)%nat -> tau <> 0 -> is_pref n P ->
  is_derive (fun t => ipo_loss n tau P mu (softmax n theta) (log_softmax n (along theta k t))) 0
    (- (4 / tau) * ipo_field n tau P mu theta k).
Proof.
  intros Hk Ht HP. assert (Hn : (0 < n)%nat) by lia. pose proof (softmax_sums n theta Hn) as Hs.
  evar_last; [apply (L1_covariance_softmax n tau P mu (softmax n theta) theta k Ht HP Hs Hk) |].
  f_equal. unfold ipo_field, D_apply. set (pi := softmax n theta) in *.
  set (a := advantage n tau P mu pi (log_softmax n theta)).
  fold (expect n pi a). unfold a. unfold advantage at 2. rewrite expect_minus, expect_scal, expect_win_half
    by assumption.
  unfold advantage. change (fun y => logratio mu (log_softmax n theta) y) with (logratio mu (log_softmax n theta)).
  ring.
Qed.

(** The field leaves the sum of theta alone. *)
Lemma ipo_field_sum n tau P mu theta : (0 < n)%nat -> sum n (ipo_field n tau P mu theta) = 0.
Proof.
  intro Hn. unfold ipo_field, D_apply. set (pi := softmax n theta).
  set (r := advantage n tau P mu pi (log_softmax n theta)). set (m := sum n (fun y' => pi y' * r y')).
  transitivity (m - m * sum n pi).
  - unfold m at 2. rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros; ring.
  - unfold pi. rewrite softmax_sums by exact Hn. ring.
Qed.

(** u^T P u = 0 when sum u = 0, u = q - pi: skewness kills the game term. *)
Lemma skew_term n P u : is_pref n P -> sum n u = 0 -> sum n (fun y => u y * win n P u y) = 0.
Proof.
  intros HP Hu. set (T := sum n (fun y => sum n (fun y' => u y * u y' * P y y'))).
  assert (E : sum n (fun y => u y * win n P u y) = T).
  { apply sum_ext. intros y _. unfold win. rewrite <- sum_scal. apply sum_ext. intros; ring. }
  assert (S : T + T = 0).
  { transitivity (T + sum n (fun y => sum n (fun y' => u y * u y' * P y' y))).
    - f_equal. unfold T. rewrite sum_swap. apply sum_ext. intros. apply sum_ext. intros; ring.
    - unfold T. rewrite <- sum_plus. transitivity (sum n (fun y => u y * sum n u)).
      + apply sum_ext. intros y Hy. rewrite <- sum_plus, <- sum_scal. apply sum_ext. intros y' Hy'.
        replace (P y' y) with (1 - P y y') by (pose proof (HP y y' Hy Hy'); lra). ring.
      + rewrite Hu, (sum_ext n _ (fun _ => 0)) by (intros; ring). apply sum_zero. }
  rewrite E. lra.
Qed.

(** The advantage of pi, with the equilibrium equation of q taken off:
    r(y) = -(P u)(y) - tau (log pi(y) - log q(y)) + const, u = q - pi. *)
Lemma advantage_split n tau P mu theta q c y : tau <> 0 ->
  ln (q y) - ln (mu y) = win n P q y / tau + c ->
  let pi := softmax n theta in
  advantage n tau P mu pi (log_softmax n theta) y
  = - win n P (fun z => q z - pi z) y - tau * (ln (pi y) - ln (q y)) - tau * c.
Proof.
  intros Ht E pi. rewrite win_minus. unfold advantage, logratio. unfold pi at 3, softmax at 1. rewrite ln_exp.
  replace (win n P q y) with (tau * (ln (q y) - ln (mu y) - c)) by (rewrite E; field; exact Ht). ring.
Qed.

(** E_q[r] - E_pi[r] = tau SymKL(pi, q), r = P pi - tau h. *)
Lemma advantage_gap n tau P mu theta q c : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  sum n q = 1 ->
  (forall y, (y < n)%nat -> ln (q y) - ln (mu y) = win n P q y / tau + c) ->
  let pi := softmax n theta in let r := advantage n tau P mu pi (log_softmax n theta) in
  sum n (fun y => q y * r y) - sum n (fun y => pi y * r y) = tau * sym_kl n pi q.
Proof.
  intros Hn Ht HP Hq Hc pi r.
  assert (Hpi : sum n pi = 1) by (apply softmax_sums; exact Hn).
  set (u := fun y => q y - pi y).
  assert (Hu : sum n u = 0) by (unfold u; rewrite sum_minus; lra).
  rewrite <- sum_minus.
  transitivity (tau * sym_kl n pi q - sum n (fun y => u y * win n P u y) - tau * c * sum n u).
  - unfold sym_kl. rewrite <- !sum_scal, <- !sum_minus. apply sum_ext. intros y Hy.
    assert (E : r y = - win n P u y - tau * (ln (pi y) - ln (q y)) - tau * c)
      by exact (advantage_split n tau P mu theta q c y Ht (Hc y Hy)).
    rewrite E. unfold u. ring.
  - rewrite skew_term, Hu by assumption. ring.
Qed.

(** ** N1 *)

Section Flow.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu q : nat -> R) (theta : R -> nat -> R) (t0 : R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis pref : is_pref n P.

(** theta follows the flow at time t0. *)
Hypothesis flow : forall y, (y < n)%nat -> is_derive (fun t => theta t y) t0 (ipo_field n tau P mu (theta t0) y).

Definition lyapunov (t : R) : R := sum n (fun y => q y * exp (- theta t y)).

(** The sum of theta is conserved. *)
Theorem N1_sum_conserved : is_derive (fun t => sum n (theta t)) t0 0.
Proof.
  evar_last; [apply (is_derive_sum n (fun y t => theta t y) (ipo_field n tau P mu (theta t0))); exact flow |].
  apply ipo_field_sum; exact n_pos.
Qed.

Lemma lyapunov_derivative : sum n q = 1 ->
  let pi := softmax n (theta t0) in let r := advantage n tau P mu pi (log_softmax n (theta t0)) in
  is_derive lyapunov t0
    (- (/ partition n (theta t0)) * (sum n (fun y => q y * r y) - sum n (fun y => pi y * r y))).
Proof.
  intros Hq pi r.
  evar_last.
  - apply (is_derive_sum n (fun y t => q y * exp (- theta t y))
             (fun y => q y * (- ipo_field n tau P mu (theta t0) y * exp (- theta t0 y)))).
    intros y Hy. apply is_derive_scal.
    evar_last; [apply (is_derive_comp exp (fun t => - theta t y)); [apply is_derive_exp |] |].
    + apply (is_derive_opp (fun t => theta t y)). apply flow; exact Hy.
    + unfold scal, opp; simpl; unfold mult; simpl. ring.
  - set (Z := partition n (theta t0)). assert (HZ : 0 < Z) by (apply partition_pos; exact n_pos).
    set (m := sum n (fun y => pi y * r y)).
    transitivity (- / Z * (sum n (fun y => q y * r y) - m * sum n q)); [| rewrite Hq; ring].
    rewrite <- sum_scal, <- sum_minus, <- sum_scal. apply sum_ext. intros y _.
    unfold ipo_field, D_apply. fold pi r m. unfold pi at 1. rewrite softmax_ratio, exp_Ropp by exact n_pos. fold Z.
    pose proof (exp_pos (theta t0 y)). field. split; lra.
Qed.

(** N1.  V' = -(tau / sum_y e^theta_y) SymKL(pi, pi*_tau). *)
Theorem N1_lyapunov : tau <> 0 -> (forall y, (y < n)%nat -> 0 < mu y) ->
  (forall y, (y < n)%nat -> 0 < q y) -> sum n q = 1 -> is_nash n tau P mu q ->
  is_derive lyapunov t0 (- (tau / partition n (theta t0)) * sym_kl n (softmax n (theta t0)) q).
Proof.
  intros Ht Hmu Hq0 Hq Hnash.
  set (lq := fun y => ln (q y)).
  assert (E : forall y, (y < n)%nat -> exp (lq y) = q y) by (intros y Hy; apply exp_ln, Hq0; exact Hy).
  assert (S : sum n (fun y => exp (lq y)) = 1) by (rewrite (sum_ext n _ q E); exact Hq).
  destruct (proj1 (gibbs_characterised n mu n_pos Hmu _ lq S) (fun y Hy => eq_trans (E y Hy) (Hnash y Hy))) as [c Hc].
  evar_last; [apply lyapunov_derivative; exact Hq |].
  rewrite (advantage_gap n tau P mu (theta t0) q c n_pos Ht pref Hq Hc). unfold Rdiv. ring.
Qed.

(** V never increases, and V' = 0 only at the equilibrium. *)
Corollary N1_decreases : 0 < tau -> (forall y, (y < n)%nat -> 0 < mu y) ->
  (forall y, (y < n)%nat -> 0 < q y) -> sum n q = 1 -> is_nash n tau P mu q ->
  Derive lyapunov t0 <= 0 /\
  (Derive lyapunov t0 = 0 -> forall y, (y < n)%nat -> softmax n (theta t0) y = q y).
Proof.
  intros Ht Hmu Hq0 Hq Hnash.
  assert (D : Derive lyapunov t0 = - (tau / partition n (theta t0)) * sym_kl n (softmax n (theta t0)) q)
    by (apply is_derive_unique; apply N1_lyapunov; try assumption; lra).
  assert (K : 0 < tau / partition n (theta t0)) by (apply Rdiv_lt_0_compat;
    [exact Ht | apply partition_pos; exact n_pos]).
  assert (Sk : 0 <= sym_kl n (softmax n (theta t0)) q) by (apply sym_kl_nonneg;
    [apply softmax_policy; exact n_pos | split; assumption]).
  rewrite D. split; [nra |]. intro E. apply sym_kl_zero; [apply softmax_policy; exact n_pos | split; assumption |].
  apply Ropp_eq_0_compat in E. rewrite Ropp_mult_distr_l, Ropp_involutive in E.
  apply Rmult_integral in E. destruct E; lra.
Qed.

(** tau = 0, q an equilibrium of full support (A q = 0): V is conserved, self-play orbits. *)
Theorem N1_conserved_without_regularisation : tau = 0 -> sum n q = 1 ->
  (forall y, (y < n)%nat -> skew_apply n P q y = 0) -> is_derive lyapunov t0 0.
Proof.
  intros Ht Hq HA. evar_last; [apply lyapunov_derivative; exact Hq |].
  set (pi := softmax n (theta t0)). assert (Hpi : sum n pi = 1) by (apply softmax_sums; exact n_pos).
  assert (R : forall y, advantage n tau P mu pi (log_softmax n (theta t0)) y = win n P pi y)
    by (intro y; unfold advantage; rewrite Ht; ring).
  rewrite (sum_ext n (fun y => q y * _) (fun y => q y * win n P pi y)) by (intros; rewrite R; reflexivity).
  rewrite (sum_ext n (fun y => pi y * _) (fun y => pi y * win n P pi y)) by (intros; rewrite R; reflexivity).
  fold (expect n pi (win n P pi)). rewrite expect_win_half by assumption.
  assert (Q : sum n (fun y => q y * win n P pi y) = 1 / 2).
  { set (u := fun y => q y - pi y).
    assert (Hu : sum n u = 0) by (unfold u; rewrite sum_minus; lra).
    assert (W : forall y, (y < n)%nat -> win n P q y = 1 / 2)
      by (intros y Hy; pose proof (HA y Hy) as H; rewrite skew_apply_win in H by exact Hq; lra).
    pose proof (skew_term n P u pref Hu) as Sk.
    assert (Ex : sum n (fun y => u y * win n P u y)
                 = 1 / 2 * sum n u - (sum n (fun y => q y * win n P pi y) - sum n (fun y => pi y * win n P pi y))).
    { rewrite <- sum_scal, <- !sum_minus. apply sum_ext. intros y Hy.
      rewrite (win_minus n P q pi y : win n P u y = _), W by exact Hy. unfold u. ring. }
    rewrite Ex, Hu in Sk. fold (expect n pi (win n P pi)) in Sk. rewrite expect_win_half in Sk by assumption. lra. }
  rewrite Q. ring.
Qed.

End Flow.

(** ** Global convergence of the flow *)

(** Elementary bounds on exp over [-B, B]. *)
Lemma exp_ge_tangent x : 1 + x <= exp x.
Proof. destruct (Req_dec x 0) as [-> | E]; [rewrite exp_0; lra | apply Rlt_le, exp_ineq1; exact E]. Qed.

Lemma exp_le x y : x <= y -> exp x <= exp y.
Proof. intros [L | ->]; [apply Rlt_le, exp_increasing; exact L | apply Rle_refl]. Qed.

Lemma exp_gap_upper u B : Rabs u <= B -> exp u - 1 - u <= exp B * u ^ 2.
Proof.
  intro H. apply Rabs_le_between in H.
  pose proof (exp_ge_tangent (- u)) as T. pose proof (exp_ge_tangent u) as T'.
  assert (E : exp u * exp (- u) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  pose proof (exp_pos u). pose proof (exp_pos (- u)).
  assert (L1 : exp u - 1 <= u * exp u) by nra.
  destruct (Rle_dec 0 u) as [U | U].
  - assert (exp u <= exp B) by (apply exp_le; lra). nra.
  - assert (exp 0 <= exp B) by (apply exp_le; lra). rewrite exp_0 in *. nra.
Qed.

Lemma exp_gap_lower u B : Rabs u <= B -> u ^ 2 / (4 + 2 * B) <= exp u - 1 - u.
Proof.
  intro H. apply Rabs_le_between in H. apply Rmult_le_reg_r with (4 + 2 * B); [lra |].
  replace (u ^ 2 / (4 + 2 * B) * (4 + 2 * B)) with (u ^ 2) by (field; lra).
  destruct (Rle_dec (-2) u) as [U | U].
  - assert (Q : 1 + u + u ^ 2 / 4 <= exp u).
    { replace u with (u / 2 + u / 2) at 3 by field. rewrite exp_plus.
      pose proof (exp_ge_tangent (u / 2)). nra. }
    assert (0 <= (exp u - 1 - u - u ^ 2 / 4) * (4 + 2 * B)) by (apply Rmult_le_pos; lra).
    assert (0 <= u ^ 2 * B) by (apply Rmult_le_pos; [apply pow2_ge_0 | lra]). nra.
  - pose proof (exp_pos u). nra.
Qed.

Lemma exp_monotone_gap a b B : Rabs a <= B -> Rabs b <= B -> exp (- B) * (a - b) ^ 2 <= (exp a - exp b) * (a - b).
Proof.
  intros Ha Hb. apply Rabs_le_between in Ha, Hb.
  assert (Half : forall x y, - B <= y -> y <= x -> exp (- B) * (x - y) <= exp x - exp y).
  { intros x y Hy Hxy. pose proof (exp_ge_tangent (x - y)) as T.
    replace (exp x) with (exp y * exp (x - y)) by (rewrite <- exp_plus; f_equal; ring).
    assert (exp (- B) <= exp y) by (apply exp_le; lra). pose proof (exp_pos (- B)).
    assert (exp y * (1 + (x - y)) <= exp y * exp (x - y)) by (apply Rmult_le_compat_l; lra).
    assert (exp (- B) * (x - y) <= exp y * (x - y)) by (apply Rmult_le_compat_r; lra). lra. }
  destruct (Rle_dec b a) as [L | L].
  - pose proof (Half a b ltac:(lra) L). nra.
  - pose proof (Half b a ltac:(lra) ltac:(lra)). nra.
Qed.

(** A function with nonpositive derivative on t >= 0 stays below its start. *)
Lemma nonincreasing f df : (forall t, 0 <= t -> is_derive f t (df t)) -> (forall t, 0 <= t -> df t <= 0) ->
  forall t, 0 <= t -> f t <= f 0.
Proof.
  intros D N t Ht.
  destruct (MVT_gen f 0 t df) as [c [Hc E]]; rewrite ?Rmin_left, ?Rmax_right in * by exact Ht.
  - intros x Hx. apply D; lra.
  - intros x Hx. apply derivable_continuous_pt. exists (df x). apply is_derive_Reals. apply D; lra.
  - pose proof (N c ltac:(lra)). nra.
Qed.

(** *** The displacement delta = theta - (log q + c), which sums to 0 *)

Section Displacement.

Variables (n : nat) (q d : nat -> R) (c a B : R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis a_pos : 0 < a.
Hypothesis q_min : forall y, (y < n)%nat -> a <= q y.
Hypothesis q_sum : sum n q = 1.
Hypothesis d_sum : sum n d = 0.
Hypothesis d_bound : forall y, (y < n)%nat -> Rabs (d y) <= B.

Let theta (y : nat) : R := ln (q y) + c + d y.
Let W : R := sum n (fun y => q y * exp (d y)).

Let q_pos y : (y < n)%nat -> 0 < q y.
Proof. intro Hy. pose proof (q_min y Hy). lra. Qed.

Lemma W_bounds D : (forall y, (y < n)%nat -> Rabs (d y) <= D) -> exp (- D) <= W <= exp D.
Proof.
  intro HD. rewrite <- (Rmult_1_r (exp (- D))), <- (Rmult_1_r (exp D)), <- q_sum, <- !sum_scal.
  split; apply sum_le; intros y Hy; pose proof (HD y Hy) as H; apply Rabs_le_between in H; pose proof (q_pos y Hy).
  - rewrite Rmult_comm. apply Rmult_le_compat_l; [lra | apply exp_le; lra].
  - rewrite (Rmult_comm (exp D)). apply Rmult_le_compat_l; [lra | apply exp_le; lra].
Qed.

Lemma W_pos : 0 < W.
Proof. pose proof (W_bounds B d_bound). pose proof (exp_pos (- B)). lra. Qed.

Lemma displaced_partition : partition n theta = exp c * W.
Proof.
  unfold partition, W. rewrite <- sum_scal. apply sum_ext. intros y Hy. unfold theta.
  rewrite !exp_plus, exp_ln by (apply q_pos; exact Hy). ring.
Qed.

Lemma displaced_log y : (y < n)%nat -> ln (softmax n theta y) = ln (q y) + d y - ln W.
Proof.
  intro Hy. unfold softmax. rewrite ln_exp. unfold log_softmax. rewrite displaced_partition.
  rewrite ln_mult, ln_exp by (try apply exp_pos; apply W_pos). unfold theta. ring.
Qed.

(** SymKL(pi, q) = Cov_q(e^d, d) / E_q[e^d]. *)
Lemma displaced_sym_kl : sym_kl n (softmax n theta) q = / W * Cov n q (fun y => exp (d y)) d.
Proof.
  pose proof W_pos as HW.
  assert (Epi : forall y, (y < n)%nat -> softmax n theta y = / W * (q y * exp (d y))).
  { intros y Hy. rewrite softmax_ratio, displaced_partition by exact n_pos. unfold theta.
    rewrite !exp_plus, exp_ln by (apply q_pos; exact Hy). pose proof (exp_pos c). field. split; lra. }
  transitivity (sum n (fun y => / W * (q y * (exp (d y) * d y)) - q y * d y - ln W * (softmax n theta y - q y))).
  - apply sum_ext. intros y Hy. rewrite displaced_log by exact Hy. rewrite Epi by exact Hy. ring.
  - rewrite !sum_minus, !sum_scal, sum_minus, softmax_sums, q_sum by exact n_pos. unfold Cov, expect. fold W. field.
    lra.
Qed.

(** SymKL >= a^2 n e^(-2B) sum d^2. *)
Lemma sym_kl_lower : a ^ 2 * INR n * exp (- (2 * B)) * sum n (fun y => d y ^ 2) <= sym_kl n (softmax n theta) q.
Proof.
  rewrite displaced_sym_kl. pose proof W_pos as HW. pose proof (W_bounds B d_bound) as [_ HWB].
  set (S2 := sum n (fun y => d y ^ 2)).
  assert (C : a ^ 2 * exp (- B) * (2 * INR n * S2) <= 2 * Cov n q (fun y => exp (d y)) d).
  { rewrite <- pair_cov by exact q_sum.
    assert (E : 2 * INR n * S2 = sum n (fun y => sum n (fun y' => (d y - d y') ^ 2))).
    { transitivity (sum n (fun y => INR n * d y ^ 2 + S2)).
      - rewrite sum_plus, sum_scal, sum_const. fold S2. ring.
      - apply sum_ext. intros y _. transitivity (sum n (fun _ => d y ^ 2) - 2 * d y * sum n d + S2).
        + rewrite sum_const, d_sum. ring.
        + unfold S2. rewrite <- sum_scal, <- sum_minus, <- sum_plus. apply sum_ext. intros; ring. }
    rewrite E, <- sum_scal. unfold pair_expect, expect. apply sum_le. intros y Hy.
    rewrite <- !sum_scal. apply sum_le. intros y' Hy'.
    pose proof (exp_monotone_gap (d y) (d y') B (d_bound y Hy) (d_bound y' Hy')) as G.
    pose proof (q_min y Hy). pose proof (q_min y' Hy'). pose proof (exp_pos (- B)).
    assert (0 <= exp (- B) * (d y - d y') ^ 2) by (apply Rmult_le_pos; [lra | apply pow2_ge_0]).
    assert (a ^ 2 <= q y * q y') by nra.
    replace (a ^ 2 * exp (- B) * (d y - d y') ^ 2) with (a ^ 2 * (exp (- B) * (d y - d y') ^ 2)) by ring.
    replace (q y * (q y' * ((exp (d y) - exp (d y')) * (d y - d y'))))
      with (q y * q y' * ((exp (d y) - exp (d y')) * (d y - d y'))) by ring.
    apply Rmult_le_compat; try assumption. apply pow2_ge_0. }
  assert (S0 : 0 <= S2) by (apply sum_nonneg; intros; apply pow2_ge_0).
  replace (- (2 * B)) with (- B + - B) by ring. rewrite exp_plus.
  assert (Iw : exp (- B) <= / W).
  { rewrite exp_Ropp. apply Rinv_le_contravar; assumption. }
  assert (N0 : 0 <= a ^ 2 * INR n * exp (- B) * S2).
  { repeat apply Rmult_le_pos; try exact S0; try apply pos_INR; try (apply Rlt_le, exp_pos); lra. }
  replace (a ^ 2 * INR n * (exp (- B) * exp (- B)) * S2) with (exp (- B) * (a ^ 2 * INR n * exp (- B) * S2)) by ring.
  apply Rmult_le_compat; [apply Rlt_le, exp_pos | exact N0 | exact Iw | lra].
Qed.

(** The excess of V over its minimum n e^(-c), between multiples of sum d^2. *)
Lemma excess_formula : sum n (fun y => q y * exp (- theta y)) - INR n * exp (- c)
                       = exp (- c) * sum n (fun y => exp (- d y) - 1 - - d y).
Proof.
  assert (E : sum n (fun y => q y * exp (- theta y)) = exp (- c) * sum n (fun y => exp (- d y))).
  { rewrite <- sum_scal. apply sum_ext. intros y Hy. unfold theta.
    replace (- (ln (q y) + c + d y)) with (- ln (q y) + (- c + - d y)) by ring.
    rewrite !exp_plus, (exp_Ropp (ln (q y))), exp_ln by (apply q_pos; exact Hy). pose proof (q_pos y Hy). field.
    lra. }
  rewrite E. transitivity (exp (- c) * (sum n (fun y => exp (- d y)) - INR n * 1 + sum n d)).
  - rewrite d_sum. ring.
  - f_equal. rewrite <- sum_const, <- sum_minus, <- sum_plus. apply sum_ext. intros; ring.
Qed.

Lemma excess_upper : sum n (fun y => q y * exp (- theta y)) - INR n * exp (- c)
                     <= exp (- c) * (exp B * sum n (fun y => d y ^ 2)).
Proof.
  rewrite excess_formula. apply Rmult_le_compat_l; [apply Rlt_le, exp_pos |].
  rewrite <- sum_scal. apply sum_le. intros y Hy.
  replace (d y ^ 2) with ((- d y) ^ 2) by ring. apply exp_gap_upper. rewrite Rabs_Ropp. apply d_bound; exact Hy.
Qed.

Lemma excess_lower y : (y < n)%nat ->
  exp (- c) * (d y ^ 2 / (4 + 2 * B)) <= sum n (fun y => q y * exp (- theta y)) - INR n * exp (- c).
Proof.
  intro Hy. rewrite excess_formula. apply Rmult_le_compat_l; [apply Rlt_le, exp_pos |].
  apply Rle_trans with (exp (- d y) - 1 - - d y).
  - replace (d y ^ 2) with ((- d y) ^ 2) by ring. apply exp_gap_lower. rewrite Rabs_Ropp. apply d_bound; exact Hy.
  - apply (sum_lower_bound n (fun z => exp (- d z) - 1 - - d z)); [| exact Hy].
    intros z _. pose proof (exp_ge_tangent (- d z)). lra.
Qed.

(** SymKL / sum e^theta is at least a multiple of the excess of V. *)
Lemma rate_static : a ^ 2 * INR n * exp (- (4 * B)) * (sum n (fun y => q y * exp (- theta y)) - INR n * exp (- c))
                    <= / partition n theta * sym_kl n (softmax n theta) q.
Proof.
  pose proof sym_kl_lower as Low. pose proof excess_upper as Up. pose proof displaced_partition as Zt.
  pose proof (W_bounds B d_bound) as [_ Wt].
  set (S2 := sum n (fun y => d y ^ 2)) in *.
  assert (S0 : 0 <= S2) by (apply sum_nonneg; intros; apply pow2_ge_0).
  assert (N0 : 0 <= INR n) by apply pos_INR.
  assert (Iz : exp (- (c + B)) <= / partition n theta).
  { rewrite exp_Ropp. apply Rinv_le_contravar; [apply partition_pos; exact n_pos |].
    rewrite Zt, exp_plus. apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | exact Wt]. }
  apply Rle_trans with (exp (- (c + B)) * (a ^ 2 * INR n * exp (- (2 * B)) * S2)).
  - assert (E1 : exp (- B) * exp B = 1) by (rewrite <- exp_plus, Rplus_opp_l; apply exp_0).
    replace (exp (- (c + B)) * (a ^ 2 * INR n * exp (- (2 * B)) * S2))
      with (a ^ 2 * INR n * exp (- (4 * B)) * (exp (- c) * (exp B * S2))).
    + apply Rmult_le_compat_l; [| exact Up].
      repeat apply Rmult_le_pos; try (apply Rlt_le, exp_pos); lra.
    + replace (- (c + B)) with (- c + - B) by ring.
      replace (- (4 * B)) with (- B + (- (2 * B) + - B)) by ring. rewrite !exp_plus.
      transitivity (a ^ 2 * INR n * exp (- c) * exp (- B) * exp (- (2 * B)) * S2 * (exp (- B) * exp B)); [ring |].
      rewrite E1. ring.
  - apply Rmult_le_compat; [apply Rlt_le, exp_pos | | exact Iz | exact Low].
    repeat apply Rmult_le_pos; try exact S0; try (apply Rlt_le, exp_pos); lra.
Qed.

(** The distance of the policy to q, from the excess of V. *)
Lemma policy_error y : (y < n)%nat -> Rabs (ln (softmax n theta y) - ln (q y))
  <= 2 * sqrt ((4 + 2 * B) * (sum n (fun y => q y * exp (- theta y)) - INR n * exp (- c)) / exp (- c)).
Proof.
  intro Hy. set (X := sum n (fun y => q y * exp (- theta y)) - INR n * exp (- c)).
  set (D := sqrt ((4 + 2 * B) * X / exp (- c))).
  assert (B0 : 0 <= B) by (eapply Rle_trans; [apply Rabs_pos | apply (d_bound y Hy)]).
  pose proof (exp_pos (- c)) as Ec.
  assert (HD : forall z, (z < n)%nat -> Rabs (d z) <= D).
  { intros z Hz. pose proof (excess_lower z Hz) as Low. fold X in Low.
    replace (Rabs (d z)) with (sqrt (d z ^ 2)) by (rewrite <- Rsqr_pow2; apply sqrt_Rsqr_abs).
    apply sqrt_le_1_alt.
    apply Rmult_le_reg_l with (exp (- c) / (4 + 2 * B)); [apply Rdiv_lt_0_compat; lra |].
    replace (exp (- c) / (4 + 2 * B) * d z ^ 2) with (exp (- c) * (d z ^ 2 / (4 + 2 * B))) by (field; lra).
    replace (exp (- c) / (4 + 2 * B) * ((4 + 2 * B) * X / exp (- c))) with X by (field; lra). exact Low. }
  destruct (W_bounds D HD) as [W1 W2].
  assert (LW : - D <= ln W <= D).
  { pose proof (ln_le _ _ (exp_pos (- D)) W1) as L1. rewrite ln_exp in L1.
    pose proof (ln_le W (exp D) W_pos W2) as L2. rewrite ln_exp in L2. split; assumption. }
  rewrite displaced_log by exact Hy. pose proof (HD y Hy) as Hd. apply Rabs_le_between in Hd. apply Rabs_le. lra.
Qed.

End Displacement.

(** The level set of V: exp(-d) <= V0 / e^(-c). *)
Lemma displacement_level n q theta d c V0 : (forall y, theta y = ln (q y) + c + d y) ->
  (forall y, (y < n)%nat -> 0 < q y) -> sum n (fun y => q y * exp (- theta y)) <= V0 ->
  forall z, (z < n)%nat -> exp (- d z) <= V0 / exp (- c).
Proof.
  intros Eth Hq HV z Hz. apply Rmult_le_reg_r with (exp (- c)); [apply exp_pos |].
  replace (V0 / exp (- c) * exp (- c)) with V0 by (field; apply Rgt_not_eq, exp_pos).
  eapply Rle_trans; [| exact HV].
  replace (exp (- d z) * exp (- c)) with (q z * exp (- theta z)).
  - apply (sum_lower_bound n (fun y => q y * exp (- theta y))); [| exact Hz].
    intros i Hi. apply Rmult_le_pos; [apply Rlt_le, Hq; exact Hi | apply Rlt_le, exp_pos].
  - rewrite Eth. replace (- (ln (q z) + c + d z)) with (- ln (q z) + (- d z + - c)) by ring.
    rewrite (exp_plus (- ln (q z))), (exp_Ropp (ln (q z))), exp_ln, exp_plus by (apply Hq; exact Hz).
    pose proof (Hq z Hz). field. lra.
Qed.

(** A bound on V bounds every displacement. *)
Lemma displacement_bounded n d M : (forall y, (y < n)%nat -> exp (- d y) <= M) -> sum n d = 0 -> (0 < n)%nat ->
  forall y, (y < n)%nat -> Rabs (d y) <= INR n * ln M.
Proof.
  intros HM Hd Hn y Hy.
  assert (M0 : 0 < M) by (pose proof (HM y Hy); pose proof (exp_pos (- d y)); lra).
  assert (L : forall z, (z < n)%nat -> 0 <= d z + ln M).
  { intros z Hz. assert (- d z <= ln M); [| lra].
    rewrite <- (ln_exp (- d z)). apply ln_le; [apply exp_pos | apply HM; exact Hz]. }
  assert (U : d y + ln M <= INR n * ln M).
  { replace (INR n * ln M) with (sum n (fun z => d z + ln M)) by (rewrite sum_plus, sum_const, Hd; ring).
    apply (sum_lower_bound n (fun z => d z + ln M)); assumption. }
  assert (P : 0 <= INR n * ln M).
  { replace (INR n * ln M) with (sum n (fun z => d z + ln M)) by (rewrite sum_plus, sum_const, Hd; ring).
    apply sum_nonneg. exact L. }
  assert (N1 : 1 <= INR n) by (change 1 with (INR 1); apply le_INR; lia).
  assert (0 <= ln M) by nra.
  pose proof (L y Hy). apply Rabs_le. split; nra.
Qed.

(** Half the rate for the square root. *)
Lemma sqrt_decay w b x y r : 0 < w / b -> x <= y * exp (- r) ->
  sqrt (w * x / b) <= sqrt (w * y / b) * exp (- (r / 2)).
Proof.
  intros Hw Hx.
  replace (exp (- (r / 2))) with (sqrt (exp (- r))).
  - rewrite (Rmult_comm (sqrt (w * y / b))), <- sqrt_mult_alt by (apply Rlt_le, exp_pos).
    apply sqrt_le_1_alt. unfold Rdiv in *.
    replace (w * x * / b) with (w * / b * x) by ring.
    replace (exp (- r) * (w * y * / b)) with (w * / b * (y * exp (- r))) by ring.
    apply Rmult_le_compat_l; lra.
  - apply sqrt_lem_1; [apply Rlt_le, exp_pos | apply Rlt_le, exp_pos |].
    rewrite <- exp_plus. f_equal. field.
Qed.

Section Convergence.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu q : nat -> R) (theta : R -> nat -> R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis tau_pos : 0 < tau.
Hypothesis pref : is_pref n P.
Hypothesis mu_pos : forall y, (y < n)%nat -> 0 < mu y.
Hypothesis q_pos : forall y, (y < n)%nat -> 0 < q y.
Hypothesis q_sum : sum n q = 1.
Hypothesis q_nash : is_nash n tau P mu q.
Hypothesis flow : forall t y, 0 <= t -> (y < n)%nat -> is_derive (fun t => theta t y) t (ipo_field n tau P mu (theta t) y).

Lemma flow_sum t : 0 <= t -> sum n (theta t) = sum n (theta 0).
Proof.
  intro Ht.
  assert (D : forall u, 0 <= u -> is_derive (fun t => sum n (theta t)) u 0).
  { intros u Hu. apply (N1_sum_conserved n tau P mu theta u n_pos). intros y Hy. apply flow; assumption. }
  apply Rle_antisym.
  - apply (nonincreasing (fun t => sum n (theta t)) (fun _ => 0)); [exact D | intros; lra | exact Ht].
  - apply Ropp_le_cancel.
    apply (nonincreasing (fun t => - sum n (theta t)) (fun _ => 0)); [| intros; lra | exact Ht].
    intros u Hu. evar_last; [apply (is_derive_opp _ _ _ (D u Hu)) | apply Ropp_0].
Qed.

Lemma flow_converges : exists kappa K, 0 < kappa /\
  forall t y, 0 <= t -> (y < n)%nat -> Rabs (ln (softmax n (theta t) y) - ln (q y)) <= K * exp (- kappa * t).
Proof.
  destruct (positive_minimum n q q_pos) as [a [Ha Hq]].
  assert (Nn : 0 < INR n) by (apply lt_0_INR; exact n_pos).
  set (c := (sum n (theta 0) - sum n (fun y => ln (q y))) / INR n).
  set (d := fun t y => theta t y - (ln (q y) + c)).
  assert (Dsum : forall t, 0 <= t -> sum n (d t) = 0).
  { intros t Ht. unfold d. rewrite sum_minus, sum_plus, sum_const, flow_sum by exact Ht. unfold c. field. lra. }
  assert (Eth : forall t y, theta t y = ln (q y) + c + d t y) by (intros; unfold d; ring).
  set (V := lyapunov n q theta).
  set (Vmin := INR n * exp (- c)).
  set (V' := fun t => - (tau / partition n (theta t)) * sym_kl n (softmax n (theta t)) q).
  assert (DV : forall t, 0 <= t -> is_derive V t (V' t)).
  { intros t Ht. apply (N1_lyapunov n tau P mu q theta t n_pos pref); try assumption; [| lra].
    intros y Hy. apply flow; assumption. }
  assert (Zpos : forall t, 0 < partition n (theta t)) by (intro; apply partition_pos; exact n_pos).
  assert (Decr : forall t, 0 <= t -> V t <= V 0).
  { apply (nonincreasing V V'); [exact DV |]. intros t Ht. unfold V'.
    assert (0 < tau / partition n (theta t)) by (apply Rdiv_lt_0_compat; [exact tau_pos | apply Zpos]).
    assert (0 <= sym_kl n (softmax n (theta t)) q) by (apply sym_kl_nonneg;
      [apply softmax_policy; exact n_pos | split; assumption]).
    nra. }
  (* all the displacements stay within [-B, B] *)
  set (M := V 0 / exp (- c)). set (B := INR n * ln M).
  assert (Bound : forall t y, 0 <= t -> (y < n)%nat -> Rabs (d t y) <= B).
  { intros t y Ht Hy. apply displacement_bounded; try assumption; [| apply Dsum; exact Ht].
    intros z Hz. apply (displacement_level n q (theta t) (d t) c (V 0)); try assumption;
      [apply Eth | apply Decr; exact Ht]. }
  assert (Eth' : forall t, theta t = (fun y => ln (q y) + c + d t y))
    by (intro; apply functional_extensionality; apply Eth).
  assert (B0 : 0 <= B) by (eapply Rle_trans; [apply Rabs_pos | apply (Bound 0 0%nat); [lra | exact n_pos]]).
  set (kappa := tau * a ^ 2 * INR n * exp (- (4 * B))).
  assert (Kpos : 0 < kappa).
  { unfold kappa. apply Rmult_lt_0_compat; [| apply exp_pos]. repeat apply Rmult_lt_0_compat; lra. }
  (* the differential inequality V' <= -kappa (V - Vmin) *)
  assert (Rate : forall t, 0 <= t -> V' t <= - kappa * (V t - Vmin)).
  { intros t Ht.
    pose proof (rate_static n q (d t) c a B n_pos Ha Hq q_sum (Dsum t Ht) (fun y => Bound t y Ht)) as R.
    rewrite <- (Eth' t) in R. change (sum n (fun y => q y * exp (- theta t y))) with (V t) in R. fold Vmin in R.
    apply (Rmult_le_compat_l tau) in R; [| lra]. unfold V', kappa, Rdiv. lra. }
  (* Gronwall *)
  assert (Gron : forall t, 0 <= t -> V t - Vmin <= (V 0 - Vmin) * exp (- kappa * t)).
  { intros t Ht.
    assert (F : (V t - Vmin) * exp (kappa * t) <= (V 0 - Vmin) * exp (kappa * 0)).
    { apply (nonincreasing (fun t => (V t - Vmin) * exp (kappa * t))
               (fun t => (V' t + kappa * (V t - Vmin)) * exp (kappa * t))); [| | exact Ht].
      - intros u Hu. evar_last.
        + apply (is_derive_mult (fun t => V t - Vmin) (fun t => exp (kappa * t)) u (V' u) (kappa * exp (kappa * u))).
          * evar_last; [apply (is_derive_minus V (fun _ => Vmin));
              [apply DV; exact Hu | apply (is_derive_const Vmin)] |].
            unfold minus, plus, opp, zero; simpl; ring.
          * auto_derive; [exact I | ring].
          * intros; apply Rmult_comm.
        + unfold plus, mult; simpl; ring.
      - intros u Hu. pose proof (Rate u Hu). pose proof (exp_pos (kappa * u)). nra. }
    rewrite Rmult_0_r, exp_0, Rmult_1_r in F.
    replace (- kappa * t) with (- (kappa * t)) by ring. rewrite exp_Ropp.
    apply Rmult_le_reg_r with (exp (kappa * t)); [apply exp_pos |].
    replace ((V 0 - Vmin) * / exp (kappa * t) * exp (kappa * t)) with (V 0 - Vmin)
      by (field; apply Rgt_not_eq, exp_pos). exact F. }
  (* back to the policies *)
  exists (kappa / 2), (2 * sqrt ((4 + 2 * B) * (V 0 - Vmin) / exp (- c))). split; [lra |]. intros t y Ht Hy.
  pose proof (policy_error n q (d t) c a B Ha Hq q_sum (Dsum t Ht) (fun y => Bound t y Ht) y Hy) as PE.
  rewrite <- (Eth' t) in PE. change (sum n (fun y => q y * exp (- theta t y))) with (V t) in PE. fold Vmin in PE.
  eapply Rle_trans; [exact PE |]. rewrite Rmult_assoc. apply Rmult_le_compat_l; [lra |].
  replace (- (kappa / 2) * t) with (- (kappa * t / 2)) by field.
  apply sqrt_decay; [apply Rdiv_lt_0_compat; [lra | apply exp_pos] |].
  replace (- (kappa * t)) with (- kappa * t) by ring. exact (Gron t Ht).
Qed.

End Convergence.

(** N1, consequence.  From any start, for every P, mu and tau > 0, every solution of tabular online IPO's
    gradient flow converges to pi*_tau, exponentially: |log pi_t - log pi*_tau| <= K e^(-kappa t). *)
Theorem N1_global_convergence n tau P mu q (theta : R -> nat -> R) :
  0 < tau -> is_pref n P -> policy n mu -> is_nash n tau P mu q ->
  (forall t y, 0 <= t -> (y < n)%nat -> is_derive (fun t => theta t y) t (ipo_field n tau P mu (theta t) y)) ->
  exists kappa K, 0 < kappa /\
  forall t y, 0 <= t -> (y < n)%nat -> Rabs (ln (softmax n (theta t) y) - ln (q y)) <= K * exp (- kappa * t).
Proof.
  intros Ht HP Hmu Hnash Hflow. destruct (nash_policy n tau P mu q Hmu Hnash) as [Hq Sq].
  apply (flow_converges n tau P mu q theta); try assumption; [apply (policy_n_pos n mu Hmu) | apply Hmu].
Qed.

(** ** N2: the constant step *)

(** 2 (a - b)^2 / (a + b) <= (a - b)(log a - log b): the arithmetic mean exceeds the logarithmic one. *)
Lemma log_mean_exp x : 0 <= x -> 2 * (exp x - 1) <= x * (exp x + 1).
Proof.
  intro Hx. set (f := fun x => 2 * (exp x - 1) - x * (exp x + 1)).
  assert (f x <= f 0); [| unfold f in *; rewrite exp_0 in *; lra].
  apply (nonincreasing f (fun x => - (1 + (x - 1) * exp x))); [| | exact Hx].
  - intros t _. unfold f. auto_derive; [exact I | ring].
  - intros t _. pose proof (exp_ge_tangent (- t)) as T. pose proof (exp_pos t).
    assert (E : exp t * exp (- t) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0). nra.
Qed.

Lemma exp_log_ratio a b : 0 < a -> 0 < b -> exp (ln a - ln b) = a / b.
Proof. intros Ha Hb. unfold Rminus. rewrite exp_plus, exp_Ropp, !exp_ln by assumption. reflexivity. Qed.

Lemma log_mean a b N : 0 < a -> 0 < b ->
  2 * N * Rabs (a - b) <= (a - b) * (ln a - ln b) + N ^ 2 * ((a + b) / 2).
Proof.
  intros Ha Hb.
  assert (Ord : forall a b, 0 < a -> 0 < b -> b <= a -> 2 * (a - b) <= (ln a - ln b) * (a + b)).
  { clear. intros a b Ha Hb L. pose proof (log_mean_exp (ln a - ln b)) as M.
    assert (ln b <= ln a) by (apply ln_le; assumption).
    rewrite exp_log_ratio in M by assumption.
    specialize (M ltac:(lra)). apply (Rmult_le_compat_r b) in M; [| lra].
    replace (2 * (a / b - 1) * b) with (2 * (a - b)) in M by (field; lra).
    replace ((ln a - ln b) * (a / b + 1) * b) with ((ln a - ln b) * (a + b)) in M by (field; lra). exact M. }
  assert (Sq : 2 * (a - b) ^ 2 <= (a - b) * (ln a - ln b) * (a + b)).
  { destruct (Rle_dec b a) as [L | L].
    - pose proof (Ord a b Ha Hb L). nra.
    - pose proof (Ord b a Hb Ha ltac:(lra)). nra. }
  (* 2 N |u| (a + b) <= 2 u^2 + N^2 (a + b)^2 / 2 *)
  apply Rmult_le_reg_r with (a + b); [lra |].
  pose proof (pow2_abs (a - b)) as A2. pose proof (pow2_ge_0 (2 * Rabs (a - b) - N * (a + b))). nra.
Qed.

Lemma product_log a b : 0 < a -> 0 < b -> a <= 1 -> b <= 1 ->
  a * b * (ln a - ln b) ^ 2 <= (a - b) * (ln a - ln b).
Proof.
  assert (Ord : forall a b, 0 < a -> 0 < b -> a <= 1 -> b <= a -> 0 <= ln a - ln b /\ a * b * (ln a - ln b) <= a - b).
  { clear. intros a b Ha Hb A1 L.
    assert (Lg : 0 <= ln a - ln b) by (pose proof (ln_le b a Hb L); lra). split; [exact Lg |].
    pose proof (exp_ge_tangent (ln a - ln b)) as T. rewrite exp_log_ratio in T by assumption.
    apply (Rmult_le_compat_r b) in T; [| lra]. replace (a / b * b) with a in T by (field; lra).
    assert (0 <= b * (ln a - ln b)) by (apply Rmult_le_pos; lra). nra. }
  intros Ha Hb A1 B1. destruct (Rle_dec b a) as [L | L].
  - destruct (Ord a b Ha Hb A1 L). nra.
  - destruct (Ord b a Hb Ha B1 ltac:(lra)). nra.
Qed.

(** e^u <= 1 + u + 0.9 u^2 for |u| <= 1/6. *)
Lemma exp_quadratic u : Rabs u <= 1 / 6 -> exp u <= 1 + u + 9 / 10 * u ^ 2.
Proof.
  intro H. apply Rabs_le_between in H. pose proof (exp_ge_tangent (- (u / 2))) as T.
  assert (E : exp u * (exp (- (u / 2)) * exp (- (u / 2))) = 1).
  { rewrite <- !exp_plus. replace (u + (- (u / 2) + - (u / 2))) with 0 by field. apply exp_0. }
  assert (Hs : (1 - u / 2) * (1 - u / 2) <= exp (- (u / 2)) * exp (- (u / 2))) by nra.
  pose proof (exp_pos u).
  assert (K : exp u * ((1 - u / 2) * (1 - u / 2)) <= 1) by (eapply Rle_trans; [apply Rmult_le_compat_l;
    [lra | exact Hs] | lra]).
  assert (K' : 1 <= (1 + u + 9 / 10 * u ^ 2) * ((1 - u / 2) * (1 - u / 2))).
  { replace ((1 + u + 9 / 10 * u ^ 2) * ((1 - u / 2) * (1 - u / 2)))
      with (1 + u ^ 2 * (3 / 20 - 13 / 20 * u + 9 / 40 * u ^ 2)) by field.
    assert (0 <= u ^ 2 * (3 / 20 - 13 / 20 * u + 9 / 40 * u ^ 2)); [| lra].
    apply Rmult_le_pos; [apply pow2_ge_0 |]. pose proof (pow2_ge_0 u). lra. }
  apply (Rmult_le_reg_r ((1 - u / 2) * (1 - u / 2))); nra.
Qed.

Section Step.

Variables (n : nat) (tau eta Lmu : R) (P : nat -> nat -> R) (mu q : nat -> R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis tau_pos : 0 < tau.
Hypothesis eta_pos : 0 <= eta.
Hypothesis pref : is_pref n P.
Hypothesis P_nonneg : forall y y', (y < n)%nat -> (y' < n)%nat -> 0 <= P y y'.
Hypothesis mu_pos : forall y, (y < n)%nat -> 0 < mu y.
Hypothesis mu_sum : sum n mu = 1.
Hypothesis mu_min : forall y, (y < n)%nat -> - ln (mu y) <= Lmu.
Hypothesis q_pos : forall y, (y < n)%nat -> 0 < q y.
Hypothesis q_sum : sum n q = 1.
Hypothesis q_nash : is_nash n tau P mu q.

(** L0 = 1/tau + log(1/mu_min), and eta <= tau / (3 (1 + 2 tau^2 (1 + L0))). *)
Let L0 : R := 1 / tau + Lmu.
Hypothesis eta_small : eta * (3 * (1 + 2 * tau ^ 2 * (1 + L0))) <= tau.

Let prob_le_one p : (forall y, (y < n)%nat -> 0 < p y) -> sum n p = 1 -> forall y, (y < n)%nat -> p y <= 1.
Proof.
  intros Hp Sp y Hy. rewrite <- Sp. apply (sum_lower_bound n p); [intros; apply Rlt_le, Hp |]; assumption.
Qed.

Let P_le_one y y' : (y < n)%nat -> (y' < n)%nat -> P y y' <= 1.
Proof. intros Hy Hy'. pose proof (pref y y' Hy Hy'). pose proof (P_nonneg y' y Hy' Hy). lra. Qed.

Lemma Lmu_nonneg : 0 <= Lmu.
Proof.
  pose proof (mu_min 0%nat n_pos). pose proof (prob_le_one mu mu_pos mu_sum 0%nat n_pos) as M1.
  pose proof (ln_le (mu 0%nat) 1 (mu_pos 0%nat n_pos) M1) as L. rewrite ln_1 in L. lra.
Qed.

Lemma win_range nu y : (forall z, (z < n)%nat -> 0 < nu z) -> sum n nu = 1 -> (y < n)%nat -> 0 <= win n P nu y <= 1.
Proof.
  intros Hnu Sn Hy. pose proof (win_strict n P nu y pref P_nonneg Hnu Sn Hy). lra.
Qed.

(** -log q <= L0. *)
Lemma q_floor y : (y < n)%nat -> - ln (q y) <= L0.
Proof.
  intro Hy. rewrite (q_nash y Hy). unfold best_reply. rewrite (gibbs_log n mu n_pos mu_pos) by exact Hy.
  pose proof (mu_min y Hy). destruct (win_range q y q_pos q_sum Hy) as [W0 _].
  assert (0 <= win n P q y / tau) by (apply Rdiv_le_0_compat; lra).
  assert (Z : gibbs_norm n mu (fun z => win n P q z / tau) <= exp (1 / tau)).
  { unfold gibbs_norm. replace (exp (1 / tau)) with (exp (1 / tau) * sum n mu) by (rewrite mu_sum; ring).
    rewrite <- sum_scal. apply sum_le. intros z Hz. rewrite Rmult_comm.
    destruct (win_range q z q_pos q_sum Hz). pose proof (mu_pos z Hz). apply Rmult_le_compat_r; [lra |].
    apply exp_le. unfold Rdiv. apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; exact tau_pos
      | assumption]. }
  apply ln_le in Z; [| apply (gibbs_norm_pos n mu n_pos mu_pos)]. rewrite ln_exp in Z. unfold L0. lra.
Qed.

Variable theta : nat -> R.
Let pi : nat -> R := softmax n theta.
Let r : nat -> R := advantage n tau P mu pi (log_softmax n theta).
Let rbar : R := sum n (fun y => pi y * r y).
Let g : nat -> R := ipo_field n tau P mu theta.
Let S : R := sym_kl n pi q.
Let l (y : nat) : R := ln (pi y) - ln (q y).
Let m : R := sum n (fun y => pi y * l y).

Let pi_pos y : 0 < pi y.
Proof. apply softmax_pos. Qed.
Let pi_sum : sum n pi = 1.
Proof. apply softmax_sums; exact n_pos. Qed.
Let pi_le_one y : (y < n)%nat -> pi y <= 1.
Proof. apply (prob_le_one pi); [intros; apply pi_pos | exact pi_sum]. Qed.
Let q_le_one y : (y < n)%nat -> q y <= 1.
Proof. apply (prob_le_one q q_pos q_sum). Qed.
Let S_nonneg : 0 <= S.
Proof. apply sym_kl_nonneg; [apply softmax_policy; exact n_pos | split; assumption]. Qed.

(** KL(pi || q) lies between 0 and both SymKL and L0. *)
Lemma m_range : 0 <= m <= S /\ m <= L0.
Proof.
  assert (K : forall y, (y < n)%nat -> 0 < pi y) by (intros; apply pi_pos).
  assert (K1 : 0 <= m) by exact (kl_nonneg n pi q (policy_dist n pi (conj K pi_sum)) (conj q_pos q_sum)).
  pose proof (kl_nonneg n q pi (policy_dist n q (conj q_pos q_sum)) (conj K pi_sum)) as K2.
  assert (E : S = m + KL n q pi) by exact (sym_kl_is_the_sum n pi q).
  split; [split; [exact K1 | lra] |].
  rewrite <- (Rmult_1_r L0), <- pi_sum, <- sum_scal. apply sum_le. intros y Hy. rewrite Rmult_comm.
  apply Rmult_le_compat_r; [apply Rlt_le, pi_pos |]. unfold l.
  pose proof (ln_le (pi y) 1 (pi_pos y) (pi_le_one y Hy)) as L. rewrite ln_1 in L. pose proof (q_floor y Hy). lra.
Qed.

(** ||pi - q||_1^2 <= SymKL. *)
Let N : R := sum n (fun y => Rabs (pi y - q y)).
Lemma l1_bound : N ^ 2 <= S.
Proof.
  assert (H : 2 * N * N <= S + N ^ 2 * 1).
  { replace 1 with (/ 2 * (sum n pi + sum n q)) by (rewrite pi_sum, q_sum; field).
    unfold N at 2. rewrite <- sum_plus, <- !sum_scal. unfold S, sym_kl. rewrite <- sum_plus.
    apply sum_le. intros y Hy. pose proof (log_mean (pi y) (q y) N (pi_pos y) (q_pos y Hy)). lra. }
  lra.
Qed.

(** |r - E_pi r| in two parts: the game, at most ||pi - q||_1, and tau (l - E_pi l). *)
Lemma centred_advantage y : (y < n)%nat -> exists x, Rabs x <= N /\ r y - rbar = x - tau * (l y - m).
Proof.
  intro Hy.
  set (lq := fun z => ln (q z)).
  assert (E : forall z, (z < n)%nat -> exp (lq z) = q z) by (intros; apply exp_ln, q_pos; assumption).
  assert (Sq : sum n (fun z => exp (lq z)) = 1) by (rewrite (sum_ext n _ q E); exact q_sum).
  destruct (proj1 (gibbs_characterised n mu n_pos mu_pos _ lq Sq) (fun z Hz => eq_trans (E z Hz) (q_nash z Hz))) as [c Hc].
  set (w := win n P (fun z => q z - pi z)).
  assert (Er : forall z, (z < n)%nat -> r z = - w z - tau * l z - tau * c).
  { intros z Hz. apply (advantage_split n tau P mu theta q c z); [lra | exact (Hc z Hz)]. }
  exists (sum n (fun z => pi z * (w z - w y))). split.
  - apply Rle_trans with (sum n (fun z => pi z * N)).
    + eapply Rle_trans; [apply sum_abs |]. apply sum_le. intros z Hz.
      rewrite Rabs_mult, (Rabs_pos_eq (pi z)) by apply Rlt_le, pi_pos.
      apply Rmult_le_compat_l; [apply Rlt_le, pi_pos |].
      unfold w, win. rewrite <- sum_minus. eapply Rle_trans; [apply sum_abs |]. apply sum_le. intros x Hx.
      replace (P z x * (q x - pi x) - P y x * (q x - pi x)) with ((P y x - P z x) * (pi x - q x)) by ring.
      rewrite Rabs_mult. apply Rle_trans with (1 * Rabs (pi x - q x)); [| lra].
      apply Rmult_le_compat_r; [apply Rabs_pos |]. apply Rabs_le.
      pose proof (P_nonneg y x Hy Hx). pose proof (P_nonneg z x Hz Hx). pose proof (P_le_one y x Hy Hx).
      pose proof (P_le_one z x Hz Hx). lra.
    + rewrite (sum_ext n _ (fun z => N * pi z)) by (intros; ring). rewrite sum_scal, pi_sum. lra.
  - assert (Eb : rbar = - sum n (fun z => pi z * w z) - tau * m - tau * c).
    { unfold rbar. rewrite (sum_ext n _ (fun z => (-1) * (pi z * w z) - tau * (pi z * l z) - tau * c * pi z)).
      - rewrite !sum_minus, !sum_scal, pi_sum. fold m. ring.
      - intros z Hz. rewrite Er by exact Hz. ring. }
    rewrite Eb, Er by exact Hy.
    rewrite (sum_ext n (fun z => pi z * (w z - w y)) (fun z => pi z * w z - w y * pi z)) by (intros; ring).
    rewrite sum_minus, sum_scal, pi_sum. ring.
Qed.

(** sum q pi (r - E_pi r)^2 <= 2 (1 + 2 tau^2 (1 + L0)) SymKL. *)
Lemma second_order : sum n (fun y => q y * pi y * (r y - rbar) ^ 2) <= 2 * (1 + 2 * tau ^ 2 * (1 + L0)) * S.
Proof.
  destruct m_range as [[M0 MS] ML]. pose proof l1_bound as HN.
  assert (Q : sum n (fun y => q y * pi y * l y ^ 2) <= S).
  { apply sum_le. intros y Hy. rewrite (Rmult_comm (q y)).
    apply product_log; [apply pi_pos | apply q_pos; exact Hy | apply pi_le_one; exact Hy
      | apply q_le_one; exact Hy]. }
  apply Rle_trans with (sum n (fun y => 2 * N ^ 2 * pi y + 4 * tau ^ 2 * (q y * pi y * l y ^ 2) + 4 * tau ^ 2 * m ^ 2 * pi y)).
  - apply sum_le. intros y Hy. destruct (centred_advantage y Hy) as [x [Hx E]]. rewrite E.
    pose proof (pi_pos y). pose proof (q_pos y Hy). pose proof (q_le_one y Hy).
    assert (X2 : x ^ 2 <= N ^ 2) by (rewrite <- (pow2_abs x); pose proof (Rabs_pos x); nra).
    assert (T : (x - tau * (l y - m)) ^ 2 <= 2 * N ^ 2 + 4 * tau ^ 2 * l y ^ 2 + 4 * tau ^ 2 * m ^ 2).
    { pose proof (pow2_ge_0 (x + tau * (l y - m))). pose proof (pow2_ge_0 (tau * (l y + m))). nra. }
    assert (U : 0 <= 2 * N ^ 2 + 4 * tau ^ 2 * m ^ 2) by (pose proof (pow2_ge_0 N); pose proof (pow2_ge_0 (tau * m));
      nra).
    assert (QP : 0 <= q y * pi y) by nra. assert (QP1 : q y * pi y <= pi y) by nra.
    apply Rle_trans with (q y * pi y * (2 * N ^ 2 + 4 * tau ^ 2 * l y ^ 2 + 4 * tau ^ 2 * m ^ 2));
      [apply Rmult_le_compat_l; assumption |].
    apply Rle_trans with (q y * pi y * (2 * N ^ 2 + 4 * tau ^ 2 * m ^ 2) + 4 * tau ^ 2 * (q y * pi y * l y ^ 2));
      [right; ring |].
    assert (q y * pi y * (2 * N ^ 2 + 4 * tau ^ 2 * m ^ 2) <= pi y * (2 * N ^ 2 + 4 * tau ^ 2 * m ^ 2))
      by (apply Rmult_le_compat_r; assumption).
    lra.
  - rewrite !sum_plus, !sum_scal, pi_sum.
    assert (T2 : 0 <= tau ^ 2) by apply pow2_ge_0.
    assert (M2 : m ^ 2 <= L0 * S) by (assert (m * m <= L0 * S) by (apply Rmult_le_compat; lra); lra).
    assert (tau ^ 2 * sum n (fun y => q y * pi y * l y ^ 2) <= tau ^ 2 * S) by (apply Rmult_le_compat_l; assumption).
    assert (tau ^ 2 * m ^ 2 <= tau ^ 2 * (L0 * S)) by (apply Rmult_le_compat_l; assumption).
    lra.
Qed.

(** The step keeps every |eta g| below 1/6. *)
Lemma small_step y : (y < n)%nat -> Rabs (eta * g y) <= 1 / 6.
Proof.
  intro Hy. pose proof Lmu_nonneg as HL.
  assert (G : Rabs (g y) <= 1 / 2 + tau * (1 + Lmu)).
  { set (w := win n P pi). set (h := logratio mu (log_softmax n theta)). set (H := sum n (fun z => pi z * h z)).
    assert (K : forall z, (z < n)%nat -> 0 < pi z) by (intros; apply pi_pos).
    assert (Eh : forall z, h z = ln (pi z) - ln (mu z)) by (intro; unfold h, logratio, pi, softmax; rewrite ln_exp;
      reflexivity).
    assert (Eg : g y = pi y * (w y - 1 / 2) - tau * (pi y * h y - pi y * H)).
    { assert (EA : expect n pi r = 1 / 2 - tau * H).
      { unfold r, advantage. rewrite expect_minus, expect_scal, expect_win_half by assumption. reflexivity. }
      change (g y) with (pi y * (w y - tau * h y - expect n pi r)). rewrite EA. ring. }
    assert (Hup : forall z, (z < n)%nat -> h z <= Lmu).
    { intros z Hz. rewrite Eh. pose proof (ln_le (pi z) 1 (pi_pos z) (pi_le_one z Hz)) as L. rewrite ln_1 in L.
      pose proof (mu_min z Hz). lra. }
    assert (H0 : 0 <= H <= Lmu).
    { split.
      - unfold H. rewrite (sum_ext n _ (fun z => pi z * (ln (pi z) - ln (mu z))))
          by (intros; rewrite Eh; reflexivity).
        apply (kl_nonneg n pi mu (policy_dist n pi (conj K pi_sum)) (conj mu_pos mu_sum)).
      - rewrite <- (Rmult_1_r Lmu), <- pi_sum, <- sum_scal. apply sum_le. intros z Hz. rewrite Rmult_comm.
        apply Rmult_le_compat_r; [apply Rlt_le, pi_pos | apply Hup; exact Hz]. }
    assert (Hlow : - 1 <= pi y * h y).
    { rewrite Eh. pose proof (exp_ge_tangent (ln (mu y) - ln (pi y))) as T.
      rewrite (exp_log_ratio (mu y) (pi y) (mu_pos y Hy) (pi_pos y)) in T. pose proof (pi_pos y).
      apply (Rmult_le_compat_r (pi y)) in T; [| lra]. replace (mu y / pi y * pi y) with (mu y) in T by (field; lra).
      pose proof (prob_le_one mu mu_pos mu_sum y Hy). lra. }
    pose proof (pi_pos y) as Pp. pose proof (pi_le_one y Hy) as P1. pose proof (Hup y Hy) as Hu.
    assert (P2 : pi y * h y <= Lmu) by nra. assert (P3 : 0 <= pi y * H <= Lmu) by (split; nra).
    destruct (win_range pi y K pi_sum Hy) as [W0 W1]. fold w in W0, W1.
    assert (A1 : Rabs (pi y * (w y - 1 / 2)) <= 1 / 2) by (apply Rabs_le; split; nra).
    assert (A2 : Rabs (pi y * h y - pi y * H) <= 1 + Lmu) by (apply Rabs_le; split; lra).
    rewrite Eg. unfold Rminus at 1. eapply Rle_trans; [apply Rabs_triang |].
    rewrite Rabs_Ropp, (Rabs_mult tau), (Rabs_pos_eq tau) by lra.
    apply Rplus_le_compat; [exact A1 | apply Rmult_le_compat_l; [lra | exact A2]]. }
  rewrite Rabs_mult, (Rabs_pos_eq eta) by exact eta_pos.
  apply Rle_trans with (eta * (1 / 2 + tau * (1 + Lmu))); [apply Rmult_le_compat_l; assumption |].
  apply (Rmult_le_reg_l (6 * tau)); [lra |].
  replace (6 * tau * (1 / 6)) with tau by field.
  apply Rle_trans with (eta * (3 * (1 + 2 * tau ^ 2 * (1 + L0)))); [| exact eta_small].
  replace (6 * tau * (eta * (1 / 2 + tau * (1 + Lmu)))) with (eta * (6 * tau * (1 / 2 + tau * (1 + Lmu)))) by ring.
  apply Rmult_le_compat_l; [exact eta_pos |]. unfold L0.
  replace (3 * (1 + 2 * tau ^ 2 * (1 + (1 / tau + Lmu)))) with (3 + 6 * tau + 6 * tau ^ 2 * (1 + Lmu))
    by (field; lra). nra.
Qed.

(** N2.  One step theta + eta g lowers V by at least 0.4 eta tau SymKL / sum e^theta, from any theta. *)
Theorem N2_descent :
  sum n (fun y => q y * exp (- (theta y + eta * g y)))
  <= sum n (fun y => q y * exp (- theta y)) - 2 / 5 * eta * tau * (/ partition n theta * S).
Proof.
  set (Z := partition n theta). assert (HZ : 0 < Z) by (apply partition_pos; exact n_pos).
  assert (Ez : forall y, exp (- theta y) * pi y = / Z).
  { intro y. unfold pi. rewrite softmax_ratio, exp_Ropp by exact n_pos. fold Z. pose proof (exp_pos (theta y)).
    field. split; lra. }
  assert (Eg : forall y, g y = pi y * (r y - rbar)) by (intro; reflexivity).
  assert (Gap : sum n (fun y => q y * r y) - rbar = tau * S).
  { set (lq := fun z => ln (q z)).
    assert (E : forall z, (z < n)%nat -> exp (lq z) = q z) by (intros; apply exp_ln, q_pos; assumption).
    assert (Sq : sum n (fun z => exp (lq z)) = 1) by (rewrite (sum_ext n _ q E); exact q_sum).
    destruct (proj1 (gibbs_characterised n mu n_pos mu_pos _ lq Sq) (fun z Hz => eq_trans (E z Hz) (q_nash z Hz))) as [c Hc].
    apply (advantage_gap n tau P mu theta q c n_pos ltac:(lra) pref q_sum Hc). }
  apply Rle_trans with (sum n (fun y => q y * exp (- theta y) - eta * / Z * (q y * r y - rbar * q y)
                                        + 9 / 10 * eta ^ 2 * / Z * (q y * pi y * (r y - rbar) ^ 2))).
  - apply sum_le. intros y Hy.
    replace (- (theta y + eta * g y)) with (- theta y + - (eta * g y)) by ring. rewrite exp_plus.
    assert (U : Rabs (- (eta * g y)) <= 1 / 6) by (rewrite Rabs_Ropp; apply small_step; exact Hy).
    pose proof (exp_quadratic _ U) as Q. pose proof (exp_pos (- theta y)) as Et. pose proof (q_pos y Hy).
    replace (q y * exp (- theta y) - eta * / Z * (q y * r y - rbar * q y) + 9 / 10 * eta ^ 2 * / Z * (q y * pi y * (r y - rbar) ^ 2))
      with (q y * (exp (- theta y) * (1 + - (eta * g y) + 9 / 10 * (- (eta * g y)) ^ 2))).
    + apply Rmult_le_compat_l; [lra |]. apply Rmult_le_compat_l; [lra | exact Q].
    + rewrite Eg, <- (Ez y). ring.
  - rewrite sum_plus, sum_minus, !sum_scal, sum_minus, sum_scal, q_sum, Rmult_1_r, Gap.
    pose proof second_order as SO. set (Q2 := sum n (fun y => q y * pi y * (r y - rbar) ^ 2)) in *.
    assert (Iz : 0 < / Z) by (apply Rinv_0_lt_compat; exact HZ).
    assert (B : eta ^ 2 * Q2 <= 2 / 3 * eta * tau * S).
    { apply Rle_trans with (eta ^ 2 * (2 * (1 + 2 * tau ^ 2 * (1 + L0)) * S)); [apply Rmult_le_compat_l;
        [apply pow2_ge_0 | exact SO] |].
      replace (eta ^ 2 * (2 * (1 + 2 * tau ^ 2 * (1 + L0)) * S))
        with (2 / 3 * eta * S * (eta * (3 * (1 + 2 * tau ^ 2 * (1 + L0))))) by field.
      replace (2 / 3 * eta * tau * S) with (2 / 3 * eta * S * tau) by ring.
      apply Rmult_le_compat_l; [| exact eta_small]. apply Rmult_le_pos; [lra | exact S_nonneg]. }
    apply (Rmult_le_compat_l (/ Z)) in B; [| lra]. lra.
Qed.

End Step.

(** N2, consequence.  Tabular online IPO with the constant step converges to pi*_tau from any start,
    linearly: |log pi_k - log pi*_tau| <= K e^(-kappa k). *)
Theorem N2_global_convergence n tau eta Lmu P mu q (theta : nat -> nat -> R) :
  0 < tau -> 0 < eta -> pref n P -> policy n mu -> is_nash n tau P mu q ->
  (forall y, (y < n)%nat -> - ln (mu y) <= Lmu) ->
  eta * (3 * (1 + 2 * tau ^ 2 * (1 + (1 / tau + Lmu)))) <= tau ->
  (forall k y, (y < n)%nat -> theta (S k) y = theta k y + eta * ipo_field n tau P mu (theta k) y) ->
  exists kappa K, 0 < kappa /\
  forall k y, (y < n)%nat -> Rabs (ln (softmax n (theta k) y) - ln (q y)) <= K * exp (- kappa * INR k).
Proof.
  intros Ht He [HP HPb] Hpolicy Hnash Hmin Heta Step.
  pose proof (policy_n_pos n mu Hpolicy) as Hn. destruct (nash_policy n tau P mu q Hpolicy Hnash) as [Hq0 Hqs].
  destruct Hpolicy as [Hmu Hmus].
  assert (HP0 : forall y y', (y < n)%nat -> (y' < n)%nat -> 0 <= P y y') by (intros; apply HPb; assumption).
  destruct (positive_minimum n q Hq0) as [a [Ha Hq]].
  assert (Nn : 0 < INR n) by (apply lt_0_INR; exact Hn).
  set (c := (sum n (theta 0%nat) - sum n (fun y => ln (q y))) / INR n).
  set (d := fun k y => theta k y - (ln (q y) + c)).
  assert (Sum : forall k, sum n (theta k) = sum n (theta 0%nat)).
  { induction k as [| k IH]; [reflexivity |]. rewrite <- IH.
    rewrite (sum_ext n (theta (S k)) _ (Step k)), sum_plus, sum_scal, ipo_field_sum by exact Hn. ring. }
  assert (Dsum : forall k, sum n (d k) = 0).
  { intro k. unfold d. rewrite sum_minus, sum_plus, sum_const, Sum. unfold c. field. lra. }
  assert (Eth : forall k, theta k = (fun y => ln (q y) + c + d k y)).
  { intro k. apply functional_extensionality. intro y. unfold d. ring. }
  set (V := fun k => sum n (fun y => q y * exp (- theta k y))).
  set (Vmin := INR n * exp (- c)).
  assert (Descent : forall k, V (S k) <= V k - 2 / 5 * eta * tau * (/ partition n (theta k) * sym_kl n (softmax n (theta k)) q)).
  { intro k. replace (V (S k)) with (sum n (fun y => q y * exp (- (theta k y + eta * ipo_field n tau P mu (theta k) y))))
      by (apply sum_ext; intros y Hy; rewrite Step by exact Hy; reflexivity).
    apply (N2_descent n tau eta Lmu P mu q); try assumption. lra. }
  assert (Zpos : forall k, 0 < / partition n (theta k)) by (intro; apply Rinv_0_lt_compat, partition_pos; exact Hn).
  assert (Decr : forall k, V k <= V 0%nat).
  { induction k as [| k IH]; [lra |]. pose proof (Descent k) as D. pose proof (Zpos k).
    assert (0 <= sym_kl n (softmax n (theta k)) q) by (apply sym_kl_nonneg;
      [apply softmax_policy; exact Hn | split; assumption]).
    assert (0 <= 2 / 5 * eta * tau * (/ partition n (theta k) * sym_kl n (softmax n (theta k)) q))
      by (repeat apply Rmult_le_pos; lra). lra. }
  set (M := V 0%nat / exp (- c)). set (B := INR n * ln M).
  assert (Bound : forall k y, (y < n)%nat -> Rabs (d k y) <= B).
  { intros k y Hy. apply displacement_bounded; try assumption; [| apply Dsum].
    intros z Hz. apply (displacement_level n q (theta k) (d k) c (V 0%nat)); try assumption; [| apply Decr].
    intro x. unfold d. ring. }
  assert (B0 : 0 <= B) by (eapply Rle_trans; [apply Rabs_pos | apply (Bound 0%nat 0%nat); exact Hn]).
  set (kappa := 2 / 5 * eta * tau * (a ^ 2 * INR n * exp (- (4 * B)))).
  assert (Kpos : 0 < kappa) by (unfold kappa; repeat apply Rmult_lt_0_compat; try apply exp_pos; lra).
  assert (Excess : forall k, 0 <= V k - Vmin).
  { intro k. pose proof (excess_lower n q (d k) c a B Ha Hq (Dsum k) (Bound k) 0%nat Hn) as Low.
    rewrite <- (Eth k) in Low. fold (V k) Vmin in Low.
    assert (0 <= exp (- c) * (d k 0%nat ^ 2 / (4 + 2 * B))); [| lra].
    apply Rmult_le_pos; [apply Rlt_le, exp_pos | apply Rdiv_le_0_compat; [apply pow2_ge_0 | lra]]. }
  assert (Contract : forall k, V (S k) - Vmin <= (V k - Vmin) * exp (- kappa)).
  { intro k.
    pose proof (rate_static n q (d k) c a B Hn Ha Hq Hqs (Dsum k) (Bound k)) as R0.
    rewrite <- (Eth k) in R0. fold (V k) Vmin in R0.
    apply (Rmult_le_compat_l (2 / 5 * eta * tau)) in R0; [| repeat apply Rmult_le_pos; lra].
    pose proof (Descent k) as D. pose proof (exp_ge_tangent (- kappa)) as T. pose proof (Excess k) as X.
    apply Rle_trans with ((V k - Vmin) * (1 + - kappa)).
    - unfold kappa. lra.
    - apply Rmult_le_compat_l; assumption. }
  assert (Geo : forall k, V k - Vmin <= (V 0%nat - Vmin) * exp (- (kappa * INR k))).
  { induction k as [| k IH].
    - simpl INR. rewrite Rmult_0_r, Ropp_0, exp_0. lra.
    - rewrite S_INR. replace (- (kappa * (INR k + 1))) with (- (kappa * INR k) + - kappa) by ring.
      rewrite exp_plus, <- Rmult_assoc.
      eapply Rle_trans; [apply Contract |]. apply Rmult_le_compat_r; [apply Rlt_le, exp_pos | exact IH]. }
  exists (kappa / 2), (2 * sqrt ((4 + 2 * B) * (V 0%nat - Vmin) / exp (- c))). split; [lra |]. intros k y Hy.
  pose proof (policy_error n q (d k) c a B Ha Hq Hqs (Dsum k) (Bound k) y Hy) as PE.
  rewrite <- (Eth k) in PE. fold (V k) Vmin in PE.
  eapply Rle_trans; [exact PE |]. rewrite Rmult_assoc. apply Rmult_le_compat_l; [lra |].
  replace (- (kappa / 2) * INR k) with (- (kappa * INR k / 2)) by field.
  apply sqrt_decay; [apply Rdiv_lt_0_compat; [lra | apply exp_pos] | apply Geo].
Qed.

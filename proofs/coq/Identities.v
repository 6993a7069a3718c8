(** * Exact identities: mixtures made token by token (N25), the slope of wins (N28), the gap from the equilibrium (N29). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate.
Open Scope R_scope.

(** Cov_pi(f, g). *)
Definition covariance n (pi f g : nat -> R) : R :=
  expect n pi (fun y => f y * g y) - expect n pi f * expect n pi g.

(** D_g = E[(p(y > y') - 1/2 - tau (h(y) - h(y'))) (g(y) - g(y'))] for y, y' drawn from pi. *)
Definition slope n tau P (mu pi g : nat -> R) : R :=
  sum n (fun y => sum n (fun z => pi y * pi z
    * (P y z - 1 / 2 - tau * ((ln (pi y) - ln (mu y)) - (ln (pi z) - ln (mu z)))) * (g y - g z))).

Lemma pairs_covariance n pi f g : sum n pi = 1 ->
  sum n (fun y => sum n (fun z => pi y * pi z * (f y - f z) * (g y - g z))) = 2 * covariance n pi f g.
Proof.
  intro S. unfold covariance, expect.
  set (fg := sum n (fun y => pi y * (f y * g y))). set (Ef := sum n (fun y => pi y * f y)).
  set (Eg := sum n (fun y => pi y * g y)).
  transitivity (sum n (fun y => pi y * (f y * g y) * 1 - pi y * f y * Eg - pi y * g y * Ef + pi y * fg)).
  - apply sum_ext. intros y _. rewrite <- S. unfold fg, Ef, Eg. rewrite <- !sum_scal.
    rewrite <- !sum_minus, <- sum_plus. apply sum_ext. intros z _. ring.
  - rewrite sum_plus, !sum_minus, !sum_scal_r, S. fold fg Ef Eg. ring.
Qed.

Section Identities.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

Lemma win_pairs pi g : sum n pi = 1 ->
  sum n (fun y => sum n (fun z => pi y * pi z * (P y z - 1 / 2) * (g y - g z))) = 2 * covariance n pi (win n P pi) g.
Proof.
  intro S. pose proof (beats_self n P pi P_pref S) as B. unfold beats in B.
  set (u := fun y => pi y * g y).
  pose proof (beats_transpose n P u pi P_pref) as T. rewrite S, Rmult_1_r in T.
  transitivity ((beats n P u pi - 1 / 2 * sum n u) - (beats n P pi u - 1 / 2 * sum n u)).
  - rewrite !beats_sum.
    assert (E : 1 / 2 * sum n u = sum n (fun y => sum n (fun z => 1 / 2 * (u y * pi z)))).
    { transitivity (1 / 2 * (sum n u * sum n pi)); [rewrite S; ring |].
      rewrite sum_product, <- sum_scal. apply sum_ext. intros y _. rewrite <- sum_scal. reflexivity. }
    assert (F : 1 / 2 * sum n u = sum n (fun y => sum n (fun z => 1 / 2 * (pi y * u z)))).
    { transitivity (1 / 2 * (sum n pi * sum n u)); [rewrite S; ring |].
      rewrite sum_product, <- sum_scal. apply sum_ext. intros y _. rewrite <- sum_scal. reflexivity. }
    rewrite E at 1. rewrite F. rewrite <- !sum_minus. apply sum_ext. intros y _. rewrite <- !sum_minus.
    apply sum_ext. intros z _. unfold u. ring.
  - assert (X : expect n pi (fun y => win n P pi y * g y) = beats n P u pi).
    { unfold beats, expect, u. apply sum_ext. intros. ring. }
    unfold covariance. rewrite X, B. replace (expect n pi g) with (sum n u) by reflexivity. lra.
Qed.

(** N28.  D_g = -2 tau Cov_pi(r, g): zero for every g where r is constant, at the equilibrium. *)
Theorem N28_slope pi g : sum n pi = 1 -> slope n tau P mu pi g = - 2 * tau * covariance n pi (residual n tau P mu pi) g.
Proof.
  intro S. set (h := fun y => ln (pi y) - ln (mu y)).
  transitivity (2 * covariance n pi (win n P pi) g - tau * (2 * covariance n pi h g)).
  - rewrite <- win_pairs by exact S. rewrite <- (pairs_covariance n pi h g S).
    rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros y _. rewrite <- sum_scal, <- sum_minus. apply sum_ext.
    intros z _. unfold h. ring.
  - assert (R1 : expect n pi (fun y => residual n tau P mu pi y * g y)
                 = expect n pi (fun y => h y * g y) - / tau * expect n pi (fun y => win n P pi y * g y)).
    { rewrite <- expect_scal, <- expect_minus. apply expect_ext. intros. unfold residual, h. field. lra. }
    assert (R2 : expect n pi (residual n tau P mu pi) = expect n pi h - / tau * expect n pi (win n P pi)).
    { rewrite <- expect_scal, <- expect_minus. apply expect_ext. intros. unfold residual, h. field. lra. }
    unfold covariance. rewrite R1, R2. field. lra.
Qed.

Corollary N28_zero_at_the_equilibrium q g : is_nash n tau P mu q -> slope n tau P mu q g = 0.
Proof.
  intro N. pose proof (nash_policy n tau P mu q mu_policy N) as [_ Sq]. rewrite N28_slope by exact Sq.
  destruct (residual_nash n tau P mu mu_policy q N) as [c Hc]. unfold covariance.
  rewrite (expect_ext n q (residual n tau P mu q) (fun _ => c) Hc), expect_const by exact Sq.
  rewrite (expect_ext n q (fun y => residual n tau P mu q y * g y) (fun y => c * g y));
    [rewrite expect_scal; ring | intros y Hy; rewrite Hc by exact Hy; reflexivity].
Qed.

(** N28, the bound.  With c = D_g / (4 tau Var_pi g), if 1 + c (g - E_pi g) >= 0, that is, if pi can be tilted so far along g,
    G(pi) >= D_g^2 / (16 tau Var_pi g). *)
Theorem N28_gap_bound pi g : policy n pi -> 0 < covariance n pi g g ->
  let D := slope n tau P mu pi g in
  let c := D / (4 * tau * covariance n pi g g) in
  (forall y, (y < n)%nat -> 0 <= 1 + c * (g y - expect n pi g)) ->
  D ^ 2 / (16 * tau * covariance n pi g g) <= gap n tau P mu pi.
Proof.
  intros Hpi Var D c Tilt. pose proof Hpi as [Pp Sp]. set (v := covariance n pi g g) in *.
  set (b := fun y => c * (g y - expect n pi g)). set (nu := fun y => pi y * (1 + b y)).
  assert (Cov : forall f, expect n pi (fun y => b y * f y) = c * covariance n pi f g).
  { intro f. unfold covariance, expect. set (e := sum n (fun y => pi y * g y)).
    transitivity (c * (sum n (fun y => pi y * (f y * g y)) - e * sum n (fun y => pi y * f y))); [| ring].
    rewrite <- (sum_scal n e), <- sum_minus, <- sum_scal. apply sum_ext. intros y _. unfold b, expect. fold e. ring. }
  assert (Nu : forall f, expect n nu f = expect n pi f + c * covariance n pi f g).
  { intro f. rewrite <- Cov, <- expect_plus. apply sum_ext. intros y _. unfold nu. ring. }
  assert (Flat : covariance n pi (fun _ => 1) g = 0).
  { unfold covariance. rewrite (expect_const n pi 1 Sp), (expect_ext n pi _ g) by (intros; ring). ring. }
  assert (Dnu : dist n nu).
  { split; [intros y Hy; apply Rmult_le_pos; [apply Rlt_le, Pp, Hy | apply Tilt, Hy] |].
    pose proof (Nu (fun _ => 1)) as E. rewrite Flat, (expect_const n pi 1 Sp) in E. rewrite <- (Rmult_1_r (sum n nu)), <- sum_scal_r.
    unfold expect in E. lra. }
  assert (Chi : KL n nu pi <= c ^ 2 * v).
  { apply Rle_trans with (expect n nu b).
    - apply sum_le. intros y Hy. pose proof (Pp y Hy) as Py. pose proof (Tilt y Hy) as T. fold (b y) in T. unfold nu.
      destruct (Req_dec (1 + b y) 0) as [Z | Z]; [rewrite Z, !Rmult_0_r, !Rmult_0_l; lra |].
      apply Rmult_le_compat_l; [apply Rmult_le_pos; lra |]. rewrite ln_mult by lra.
      pose proof (ln_le_line (1 + b y) ltac:(lra)). lra.
    - right. rewrite Nu. rewrite (expect_ext n pi b (fun y => b y * 1)) by (intros; ring). rewrite (Cov (fun _ => 1)), Flat.
      assert (E : covariance n pi b g = c * v); [| rewrite E; ring].
      unfold covariance. rewrite (Cov g). rewrite (expect_ext n pi b (fun y => b y * 1)) by (intros; ring).
      rewrite (Cov (fun _ => 1)), Flat. fold v. ring. }
  apply Rle_trans with (J n tau P mu nu pi - 1 / 2);
    [| apply (E2_gap_is_the_maximum n tau P mu tau_pos P_pref mu_policy pi (policy_dist n pi Hpi)), Dnu].
  set (h := fun y => ln (pi y) - ln (mu y)).
  assert (Kl : KL n nu mu = KL n nu pi + expect n nu h)
    by (unfold KL, expect; rewrite <- sum_plus; apply sum_ext; intros; unfold h; ring).
  assert (R : covariance n pi (residual n tau P mu pi) g = covariance n pi h g - / tau * covariance n pi (win n P pi) g).
  { unfold covariance.
    rewrite (expect_ext n pi _ (fun y => h y * g y - / tau * (win n P pi y * g y))) by (intros; unfold residual, h; field; lra).
    rewrite (expect_ext n pi (residual n tau P mu pi) (fun y => h y - / tau * win n P pi y)) by (intros; unfold residual, h; field; lra).
    rewrite !expect_minus, !expect_scal. change (expect n pi (fun y => win n P pi y)) with (expect n pi (win n P pi)). ring. }
  assert (Gain : J n tau P mu nu pi - 1 / 2 = c * D / 2 - tau * KL n nu pi).
  { unfold J, D. rewrite (N28_slope pi g Sp), R. unfold beats. rewrite Kl, !Nu.
    pose proof (beats_self n P pi P_pref Sp) as B. unfold beats in B. rewrite B.
    change (KL n pi mu) with (expect n pi h). field. lra. }
  rewrite Gain. apply Rle_trans with (c * D / 2 - tau * (c ^ 2 * v)).
  - right. unfold c. field. lra.
  - apply (Rmult_le_compat_l tau) in Chi; lra.
Qed.

(** N29.  G(pi) = tau (KL(pi || q) + log E_q e^(x - E_q x)), x = A (pi - q) / tau. *)
Theorem N29_gap_from_the_equilibrium q pi : is_nash n tau P mu q -> dist n pi ->
  let x := fun y => (win n P pi y - win n P q y) / tau in
  gap n tau P mu pi = tau * (KL n pi q + ln (expect n q (fun y => exp (x y - expect n q x)))).
Proof.
  intros N Hp x. pose proof (nash_policy n tau P mu q mu_policy N) as [Hq Sq].
  pose proof (policy_n_pos n mu mu_policy) as Hn. pose proof (proj1 mu_policy) as mu_pos.
  set (Zp := gibbs_norm n mu (fun y => win n P pi y / tau)). set (Zq := gibbs_norm n mu (fun y => win n P q y / tau)).
  assert (Zp_pos : 0 < Zp) by (apply gibbs_norm_pos; assumption).
  assert (Zq_pos : 0 < Zq) by (apply gibbs_norm_pos; assumption).
  assert (E : expect n q (fun y => exp (x y - expect n q x)) = Zp / Zq * exp (- expect n q x)).
  { unfold expect at 1. transitivity (sum n (fun y => / Zq * exp (- expect n q x) * (mu y * exp (win n P pi y / tau)))).
    - apply sum_ext. intros y Hy. rewrite (N y Hy) at 1. unfold best_reply, gibbs. fold Zq.
      replace (x y - expect n q x) with (win n P pi y / tau + - (win n P q y / tau) + - expect n q x) by (unfold x; field; lra).
      rewrite !exp_plus, (exp_Ropp (win n P q y / tau)). pose proof (exp_pos (win n P q y / tau)). field. lra.
    - rewrite sum_scal. unfold Zp, gibbs_norm. field. lra. }
  assert (M : expect n q x = (beats n P q pi - 1 / 2) / tau).
  { pose proof (beats_self n P q P_pref Sq) as B. unfold beats in B |- *. rewrite <- B.
    unfold x, Rdiv. rewrite <- expect_minus.
    rewrite (expect_ext n q _ (fun y => / tau * (win n P pi y - win n P q y))) by (intros; ring).
    rewrite expect_scal. ring. }
  rewrite E, ln_mult, ln_div, ln_exp by (try apply Rdiv_lt_0_compat; try apply exp_pos; assumption).
  rewrite M. unfold gap.
  rewrite (kl_same n pi q pi (best_reply n tau P mu q)) by (exact N || (intros y _; reflexivity)).
  unfold best_reply. rewrite !kl_gibbs by (assumption || apply Hp). fold Zp Zq.
  assert (Ep : forall v, expect n pi (fun y => win n P v y / tau) = beats n P pi v / tau).
  { intro v. unfold beats. rewrite (expect_ext n pi _ (fun y => / tau * win n P v y)) by (intros; unfold Rdiv; ring).
    rewrite expect_scal. unfold Rdiv. ring. }
  rewrite !Ep, (beats_self n P pi P_pref (proj2 Hp)).
  pose proof (beats_constant_sum n P pi q P_pref (proj2 Hp) Sq) as T.
  replace (beats n P q pi) with (1 - beats n P pi q) by lra. field. lra.
Qed.

(** N25.  Where pi = BR(nu) for any nu with log nu = (1 - beta) log pi + beta log mu + S, nu is the equilibrium at
    tau / (1 - beta) for the reference proportional to mu e^S. *)
Theorem N25_tilted_equilibrium beta pi nu S : beta < 1 -> policy n nu ->
  (forall y, (y < n)%nat -> pi y = best_reply n tau P mu nu y) ->
  (forall y, (y < n)%nat -> ln (nu y) = (1 - beta) * ln (pi y) + beta * ln (mu y) + S y) ->
  is_nash n (tau / (1 - beta)) P (gibbs n mu S) nu.
Proof.
  intros Hb Hnu Hpi Hmix. pose proof (policy_n_pos n mu mu_policy) as Hn. pose proof (proj1 mu_policy) as mu_pos.
  pose proof (gibbs_policy n mu Hn mu_pos S) as Hg.
  set (Z := ln (gibbs_norm n mu (fun z => win n P nu z / tau))).
  apply (gibbs_unique n (gibbs n mu S) Hn (proj1 Hg) _ nu (ln (gibbs_norm n mu S) - (1 - beta) * Z) Hnu).
  intros y Hy. rewrite Hmix, Hpi, best_reply_log, gibbs_log by assumption. fold Z. field. lra.
Qed.

(** So nu is near the equilibrium at tau / (1 - beta) for mu itself: ||nu - q'||_1 <= 2 tanh(osc(S) / 4). *)
Theorem N25_distance beta pi nu S q : beta < 1 -> policy n nu ->
  (forall y, (y < n)%nat -> pi y = best_reply n tau P mu nu y) ->
  (forall y, (y < n)%nat -> ln (nu y) = (1 - beta) * ln (pi y) + beta * ln (mu y) + S y) ->
  is_nash n (tau / (1 - beta)) P mu q -> l1 n nu q <= 2 * tanh (osc n S / 4).
Proof.
  intros Hb Hnu Hpi Hmix N. pose proof (policy_n_pos n mu mu_policy) as Hn.
  assert (Ht : 0 < tau / (1 - beta)) by (apply Rdiv_lt_0_compat; lra).
  set (Z := ln (gibbs_norm n mu (fun z => win n P nu z / tau))).
  assert (E : forall y, (y < n)%nat -> residual n (tau / (1 - beta)) P mu nu y = S y - (1 - beta) * Z).
  { intros y Hy. unfold residual. rewrite Hmix, Hpi, best_reply_log by assumption. fold Z. field. lra. }
  assert (O : osc n (residual n (tau / (1 - beta)) P mu nu) = osc n S).
  { apply Rle_antisym; apply osc_le; try exact Hn; intros i j Hi Hj.
    - rewrite !E by assumption. pose proof (osc_pair n S i j Hi Hj). lra.
    - pose proof (osc_pair n (residual n (tau / (1 - beta)) P mu nu) i j Hi Hj) as O. rewrite !E in O by assumption. lra. }
  rewrite <- O. apply (E3_residual_certificate_tanh n (tau / (1 - beta)) P mu Ht P_pref mu_policy q nu N Hnu).
Qed.

(** In divergence: KL(nu || q') <= log E_nu e^-(S - E_nu S). *)
Theorem N25_divergence beta pi nu S q : beta < 1 -> policy n nu ->
  (forall y, (y < n)%nat -> pi y = best_reply n tau P mu nu y) ->
  (forall y, (y < n)%nat -> ln (nu y) = (1 - beta) * ln (pi y) + beta * ln (mu y) + S y) ->
  is_nash n (tau / (1 - beta)) P mu q -> KL n nu q <= ln (expect n nu (fun y => exp (- (S y - expect n nu S)))).
Proof.
  intros Hb Hnu Hpi Hmix N. pose proof (policy_n_pos n mu mu_policy) as Hn. pose proof Hnu as [_ Sn].
  assert (Ht : 0 < tau / (1 - beta)) by (apply Rdiv_lt_0_compat; lra).
  set (Z := ln (gibbs_norm n mu (fun z => win n P nu z / tau))).
  assert (E : forall y, (y < n)%nat -> residual n (tau / (1 - beta)) P mu nu y = S y - (1 - beta) * Z).
  { intros y Hy. unfold residual. rewrite Hmix, Hpi, best_reply_log by assumption. fold Z. field. lra. }
  pose proof (N14_lower n (tau / (1 - beta)) P mu Ht P_pref mu_policy q nu N (policy_dist n nu Hnu)) as L.
  rewrite (N15_gap_by_residual n (tau / (1 - beta)) P mu Ht P_pref mu_policy nu Hnu) in L.
  rewrite (expect_ext n nu _ (fun y => exp (- (S y - expect n nu S)))) in L.
  - apply Rmult_le_reg_l with (tau / (1 - beta)); assumption.
  - intros y Hy. rewrite E, (expect_ext n nu _ (fun y => S y - (1 - beta) * Z) E), expect_minus, expect_const by assumption.
    f_equal. ring.
Qed.

(** And the best replies to two policies: ||BR(nu) - BR(q')||_1 <= 2 tanh(||nu - q'||_1 / 4 tau). *)
Theorem N25_replies nu q : pref n P -> dist n nu -> dist n q ->
  l1 n (best_reply n tau P mu nu) (best_reply n tau P mu q) <= 2 * tanh (l1 n nu q / tau / 4).
Proof.
  intros [_ Unit] Hnu Hq. pose proof (policy_n_pos n mu mu_policy) as Hn. pose proof (proj1 mu_policy) as mu_pos.
  pose proof (gibbs_policy n mu Hn mu_pos (fun y => win n P nu y / tau)) as Ha. fold (best_reply n tau P mu nu) in Ha.
  pose proof (gibbs_policy n mu Hn mu_pos (fun y => win n P q y / tau)) as Hb. fold (best_reply n tau P mu q) in Hb.
  set (a := best_reply n tau P mu nu) in *. set (b := best_reply n tau P mu q) in *.
  (* b is the equilibrium of the game without preferences whose reference it is *)
  set (T := fun _ _ : nat => 1 / 2). assert (HT : is_pref n T) by (intros y z _ _; unfold T; lra).
  assert (Half : forall v, sum n v = 1 -> forall y, win n T v y = 1 / 2).
  { intros v Sv y. unfold win, T. rewrite sum_scal, Sv. ring. }
  assert (N : is_nash n 1 T b b).
  { apply (gibbs_unique n b Hn (proj1 Hb) _ b (- (1 / 2)) Hb). intros y Hy. rewrite Half by apply Hb. field. }
  eapply Rle_trans; [apply (E3_residual_certificate_tanh n 1 T b Rlt_0_1 HT Hb b a N Ha) |].
  apply Rmult_le_compat_l; [lra |].
  assert (Mono : forall u v, u <= v -> tanh u <= tanh v).
  { intros u v [L | ->]; [| lra]. apply Rlt_le. unfold tanh, sinh, cosh.
    pose proof (exp_pos u). pose proof (exp_pos v). pose proof (exp_pos (- u)). pose proof (exp_pos (- v)).
    apply Rmult_lt_reg_r with (exp u + exp (- u)); [lra |]. apply Rmult_lt_reg_r with (exp v + exp (- v)); [lra |].
    replace ((exp u - exp (- u)) / 2 / ((exp u + exp (- u)) / 2) * (exp u + exp (- u)) * (exp v + exp (- v)))
      with ((exp u - exp (- u)) * (exp v + exp (- v))) by (field; lra).
    replace ((exp v - exp (- v)) / 2 / ((exp v + exp (- v)) / 2) * (exp u + exp (- u)) * (exp v + exp (- v)))
      with ((exp v - exp (- v)) * (exp u + exp (- u))) by (field; lra).
    pose proof (exp_increasing u v L) as I. pose proof (exp_increasing (- v) (- u) ltac:(lra)) as J. nra. }
  apply Mono. apply Rmult_le_compat_r; [lra |]. apply osc_le; [exact Hn |]. intros y z Hy Hz.
  assert (R : forall w, (w < n)%nat -> residual n 1 T b a w = (win n P nu w - win n P q w) / tau
    + (ln (gibbs_norm n mu (fun y => win n P q y / tau)) - ln (gibbs_norm n mu (fun y => win n P nu y / tau)) - 1 / 2)).
  { intros w Hw. unfold residual, a, b. rewrite Half by apply Ha. rewrite !best_reply_log by assumption. field. lra. }
  rewrite !R by assumption.
  assert (D : win n P nu y - win n P q y - (win n P nu z - win n P q z) <= l1 n nu q).
  { pose proof (zero_sum_osc n (fun j => nu j - q j) (fun j => P y j - P z j)) as O. rewrite sum_minus, (proj2 Hnu), (proj2 Hq) in O.
    specialize (O ltac:(ring)). fold (l1 n nu q) in O.
    assert (O2 : osc n (fun j => P y j - P z j) <= 2).
    { apply osc_le; [exact Hn |]. intros i j Hi Hj. pose proof (Unit y i Hy Hi). pose proof (Unit z i Hz Hi).
      pose proof (Unit y j Hy Hj). pose proof (Unit z j Hz Hj). lra. }
    pose proof (l1_nonneg n nu q).
    replace (win n P nu y - win n P q y - (win n P nu z - win n P q z)) with (sum n (fun j => (nu j - q j) * (P y j - P z j))).
    - assert (osc n (fun j => P y j - P z j) / 2 * l1 n nu q <= 1 * l1 n nu q) by (apply Rmult_le_compat_r; lra). lra.
    - unfold win. rewrite <- !sum_minus. apply sum_ext. intros; ring. }
  assert (I : 0 < / tau) by (apply Rinv_0_lt_compat, tau_pos).
  apply Rle_trans with ((win n P nu y - win n P q y - (win n P nu z - win n P q z)) * / tau); [apply Req_le; field; lra |].
  apply Rmult_le_compat_r; lra.
Qed.

End Identities.

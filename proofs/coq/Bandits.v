(** * One step of Nash-MD on comparisons that were drawn (N24).

    An outcome k < K has probability w k and says o k y in [0, 1] of every response y, on average p(y > m): whoever the
    opponent was, and however the judge is random.  The step goes to m e^(eta o).  Where only one response is compared, the
    outcome is which one, Y k, and what was said of it, o k. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate KlBudget.
Open Scope R_scope.

(** Jensen: the mean of logarithms is at most the logarithm of the mean. *)
Lemma mean_of_logarithms K w X : dist K w -> (forall k, (k < K)%nat -> 0 < X k) ->
  expect K w (fun k => ln (X k)) <= ln (expect K w X).
Proof.
  intros [Hw Sw] HX.
  assert (M : 0 < expect K w X).
  { assert (K0 : (0 < K)%nat) by (destruct K; [simpl in Sw; lra | lia]).
    destruct (positive_minimum K X HX) as [a [Ha La]].
    apply Rlt_le_trans with a; [exact Ha |]. rewrite <- (expect_const K w a Sw).
    apply expect_le; [split; assumption | exact La]. }
  apply Rle_trans with (expect K w (fun k => ln (expect K w X) + (/ expect K w X * X k - 1))).
  - apply expect_le; [split; assumption |]. intros k Hk. pose proof (HX k Hk) as Xk.
    assert (Q : 0 < X k / expect K w X) by (apply Rdiv_lt_0_compat; assumption).
    pose proof (ln_le_line (X k / expect K w X) Q) as L. rewrite ln_div in L by assumption.
    replace (/ expect K w X * X k) with (X k / expect K w X) by (unfold Rdiv; ring). lra.
  - rewrite expect_plus, expect_const, expect_minus, expect_scal, expect_const by exact Sw. right. field. lra.
Qed.

(** cosh x - 1 <= .5431 x^2 for 0 <= x <= 1, by the eighth derivative; at x = 1 it is .54308 x^2. *)
Lemma nonneg_by_slope f df x : f 0 = 0 -> (forall t, is_derive f t (df t)) -> (forall t, 0 <= t <= 1 -> 0 <= df t) ->
  0 <= x <= 1 -> 0 <= f x.
Proof.
  intros F0 D Pos Hx. rewrite <- F0. apply (minimum_at f df); intros t Ht; rewrite Rmin_left, Rmax_right in Ht by lra; [apply D |].
  apply Rmult_le_pos; [apply Pos |]; lra.
Qed.

Lemma cosh_below_parabola x : 0 <= x <= 1 -> (exp x + exp (- x)) / 2 - 1 <= 5431 / 10000 * x ^ 2.
Proof.
  intro Hx. set (C := fun t => (exp t + exp (- t)) / 2). set (S := fun t => (exp t - exp (- t)) / 2).
  set (f8 := fun t => 5 / 3 - C t).
  set (f7 := fun t => 5 / 3 * t - S t).
  set (f6 := fun t => 5 / 6 * t ^ 2 + 1 - C t).
  set (f5 := fun t => 5 / 18 * t ^ 3 + t - S t).
  set (f4 := fun t => 5 / 72 * t ^ 4 + t ^ 2 / 2 + 1 - C t).
  set (f3 := fun t => 1 / 72 * t ^ 5 + t ^ 3 / 6 + t - S t).
  set (f2 := fun t => 1 / 432 * t ^ 6 + t ^ 4 / 24 + t ^ 2 / 2 + 1 - C t).
  set (f1 := fun t => 1 / 3024 * t ^ 7 + t ^ 5 / 120 + t ^ 3 / 6 + t - S t).
  set (f0 := fun t => 1 / 24192 * t ^ 8 + t ^ 6 / 720 + t ^ 4 / 24 + t ^ 2 / 2 + 1 - C t).
  assert (G8 : forall t, 0 <= t <= 1 -> 0 <= f8 t).
  { intros t Ht. unfold f8, C. pose proof (exp_pos t) as E. rewrite exp_Ropp.
    assert (L : 1 <= exp t) by (pose proof (exp_ge_line t); lra).
    assert (U : exp t <= 3).
    { apply Rle_trans with (exp 1); [| apply exp_le_3]. destruct (Req_dec t 1) as [-> | N]; [lra | apply Rlt_le, exp_increasing; lra]. }
    apply Rmult_le_reg_l with (2 * exp t); [lra |]. rewrite Rmult_0_r.
    replace (2 * exp t * (5 / 3 - (exp t + / exp t) / 2)) with ((3 - exp t) * (exp t - 1 / 3)) by (field; lra).
    apply Rmult_le_pos; lra. }
  assert (Up : forall f df, (forall t, 0 <= t <= 1 -> 0 <= df t) -> f 0 = 0 -> (forall t, is_derive f t (df t)) ->
    forall t, 0 <= t <= 1 -> 0 <= f t) by (intros f df G F0 D t; apply (nonneg_by_slope f df t F0 D G)).
  assert (G0 : 0 <= f0 x).
  { refine (Up f0 f1 (Up f1 f2 (Up f2 f3 (Up f3 f4 (Up f4 f5 (Up f5 f6 (Up f6 f7 (Up f7 f8 G8 _ _) _ _) _ _) _ _) _ _) _ _) _ _) _ _ x Hx);
      try (unfold f0, f1, f2, f3, f4, f5, f6, f7, f8, C, S; rewrite Ropp_0, exp_0; lra);
      intro t; unfold f0, f1, f2, f3, f4, f5, f6, f7, f8, C, S; auto_derive; exact I || field. }
  unfold f0, C in G0. set (z := x ^ 2) in *. assert (Z : 0 <= z <= 1) by (unfold z; nra).
  replace (x ^ 8) with (z * z * z * z) in G0 by (unfold z; ring). replace (x ^ 6) with (z * z * z) in G0 by (unfold z; ring).
  replace (x ^ 4) with (z * z) in G0 by (unfold z; ring).
  assert (Z2 : z * z <= z) by nra. assert (Z3 : z * z * z <= z) by nra. assert (Z4 : z * z * z * z <= z) by nra. lra.
Qed.

Section Step.

Variables (n : nat) (tau eta : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis eta_pos : 0 < eta.
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

Lemma mixture_divergence q pi : is_nash n tau P mu q ->
  let m := geo_mix n (eta * tau) mu pi in
  KL n q m - eta * beats n P q m + eta / 2
  = (1 - eta * tau) * (KL n q pi - KL n m pi) - eta * tau * KL n m q.
Proof.
  intros N m. pose proof (geo_mix_policy n (eta * tau) mu pi mu_policy) as Hm. fold m in Hm. pose proof (policy_dist n m Hm) as Dm.
  pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  set (f := fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y))).
  assert (F : forall p, expect n p f = (1 - eta * tau) * (KL n p mu - KL n p pi)).
  { intro p. unfold f. rewrite expect_scal. f_equal. unfold expect, KL. rewrite <- sum_minus. apply sum_ext. intros. ring. }
  pose proof (policy_n_pos n mu mu_policy) as Hn. pose proof (proj1 mu_policy) as Mp.
  pose proof (kl_gibbs n mu Hn Mp f q (proj2 Hq)) as Kq. pose proof (kl_gibbs n mu Hn Mp f m (proj2 Hm)) as Km.
  change (gibbs n mu f) with m in Kq, Km. rewrite kl_self, F in Km. rewrite F in Kq.
  pose proof (N23_win_rate_against_the_equilibrium n tau P mu tau_pos P_pref mu_policy q m N Dm) as W.
  pose proof (beats_constant_sum n P m q P_pref (proj2 Dm) (proj2 Hq)) as T.
  replace (beats n P q m) with (1 - beats n P m q) by lra. rewrite W. lra.
Qed.

(** Means over outcomes of means over responses are win rates. *)
Lemma mean_of_wins K w o nu p : (forall y, (y < n)%nat -> expect K w (fun k => o k y) = win n P nu y) ->
  expect K w (fun k => expect n p (fun y => o k y)) = beats n P p nu.
Proof.
  intro Mean. unfold beats, expect. rewrite (sum_ext K _ (fun k => sum n (fun y => w k * (p y * o k y)))).
  2: { intros k _. symmetry. apply sum_scal. }
  rewrite sum_swap. apply sum_ext. intros y Hy. rewrite <- (Mean y Hy). unfold expect. rewrite <- sum_scal.
  apply sum_ext. intros. ring.
Qed.

(** N24 (a).  E KL(q || next) <= (1 - eta tau) (KL(q || pi) - KL(m || pi)) + eta^2 / 8. *)
Theorem N24_nash_md_step q pi K w o : is_nash n tau P mu q -> dist K w ->
  (forall k y, (k < K)%nat -> (y < n)%nat -> 0 <= o k y <= 1) ->
  (forall y, (y < n)%nat -> expect K w (fun k => o k y) = win n P (geo_mix n (eta * tau) mu pi) y) ->
  expect K w (fun k => KL n q (gibbs n (geo_mix n (eta * tau) mu pi) (fun y => eta * o k y)))
  <= (1 - eta * tau) * (KL n q pi - KL n (geo_mix n (eta * tau) mu pi) pi) + eta ^ 2 / 8.
Proof.
  intros N Hw Ho Mean. set (m := geo_mix n (eta * tau) mu pi) in *.
  pose proof (geo_mix_policy n (eta * tau) mu pi mu_policy) as Hm. fold m in Hm. pose proof (policy_dist n m Hm) as Dm.
  pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (policy_n_pos n m Hm) as Hn. pose proof (proj1 Hm) as Mp.
  assert (Swap : forall p, expect K w (fun k => expect n p (fun y => o k y)) = beats n P p m)
    by (intro p; apply mean_of_wins; exact Mean).
  assert (Each : expect K w (fun k => KL n q (gibbs n m (fun y => eta * o k y)))
                 = KL n q m - eta * beats n P q m
                   + expect K w (fun k => ln (gibbs_norm n m (fun y => eta * o k y)))).
  { rewrite (expect_ext K w _ (fun k => (KL n q m - eta * expect n q (fun y => o k y))
                                          + ln (gibbs_norm n m (fun y => eta * o k y)))).
    2: { intros k _. rewrite (kl_gibbs n m Hn Mp _ q (proj2 Hq)), (expect_scal n q eta (fun y => o k y)). ring. }
    rewrite expect_plus, expect_minus, expect_const by apply Hw.
    rewrite expect_scal, Swap. reflexivity. }
  assert (Log : expect K w (fun k => ln (gibbs_norm n m (fun y => eta * o k y))) <= eta / 2 + eta ^ 2 / 8).
  { eapply Rle_trans; [apply mean_of_logarithms; [exact Hw | intros k _; apply gibbs_norm_pos; assumption] |].
    apply Rle_trans with (ln (1 - 1 / 2 + 1 / 2 * exp eta)).
    - apply ln_le_mono.
      + assert (K0 : (0 < K)%nat) by apply (dist_n_pos K w Hw).
        destruct (positive_minimum K (fun k => gibbs_norm n m (fun y => eta * o k y))) as [a [Ha La]];
          [intros k _; apply gibbs_norm_pos; assumption |].
        apply Rlt_le_trans with a; [exact Ha |]. rewrite <- (expect_const K w a (proj2 Hw)). apply expect_le; assumption.
      + replace (1 - 1 / 2 + 1 / 2 * exp eta) with (1 + (exp eta - 1) * beats n P m m)
          by (rewrite (beats_self n P m P_pref (proj2 Dm)); field).
        rewrite <- (Swap m).
        replace (1 + (exp eta - 1) * expect K w (fun k => expect n m (fun y => o k y)))
          with (expect K w (fun k => 1 + (exp eta - 1) * expect n m (fun y => o k y)))
          by (rewrite expect_plus, (expect_const K w 1 (proj2 Hw)), expect_scal; reflexivity).
        apply expect_le; [exact Hw |]. intros k Hk. unfold gibbs_norm. fold (expect n m (fun y => exp (eta * o k y))).
        replace (1 + (exp eta - 1) * expect n m (fun y => o k y))
          with (expect n m (fun y => 1 + (exp eta - 1) * o k y))
          by (rewrite expect_plus, (expect_const n m 1 (proj2 Dm)), expect_scal; reflexivity).
        apply expect_le; [exact Dm |].
        intros y Hy. pose proof (Ho k y Hk Hy) as B.
        pose proof (exp_chord 0 eta (eta * o k y) ltac:(split; nra)) as C. rewrite exp_0 in C.
        apply Rmult_le_reg_l with eta; [exact eta_pos |]. lra.
    - pose proof (bernoulli_log_mgf (1 / 2) eta ltac:(lra)) as B. lra. }
  pose proof (mixture_divergence q pi N) as S. cbv zeta in S. fold m in S.
  pose proof (kl_nonneg n m q Dm Hq) as Pos. rewrite Each.
  assert (0 <= eta * tau * KL n m q) by (apply Rmult_le_pos; [nra | exact Pos]). lra.
Qed.

(** N24 (b).  Mirror descent on outcomes against pi itself, where osc(tau h) <= 1, as in every run from mu:
    E KL(q || next) <= (1 - eta tau) KL(q || pi) - eta tau KL(pi || q) + eta^2 / 2, for any step. *)
Theorem N24_mirror_descent_step q pi K w o : is_nash n tau P mu q -> policy n pi -> dist K w ->
  (forall k y, (k < K)%nat -> (y < n)%nat -> 0 <= o k y <= 1) ->
  (forall y, (y < n)%nat -> expect K w (fun k => o k y) = win n P pi y) ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> tau * ((ln (pi i) - ln (mu i)) - (ln (pi j) - ln (mu j))) <= 1) ->
  expect K w (fun k => KL n q (gibbs n pi (fun y => eta * (o k y - tau * (ln (pi y) - ln (mu y))))))
  <= (1 - eta * tau) * KL n q pi - eta * tau * KL n pi q + eta ^ 2 / 2.
Proof.
  intros N Hpi Hw Ho Mean Near. pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (policy_dist n pi Hpi) as Dpi. pose proof (policy_n_pos n pi Hpi) as Hn. pose proof (proj1 Hpi) as Pp.
  set (h := fun y => ln (pi y) - ln (mu y)).
  set (f := fun k y => eta * (o k y - tau * h y)).
  assert (H : forall p, expect n p h = KL n p mu - KL n p pi).
  { intro p. unfold expect, KL, h. rewrite <- sum_minus. apply sum_ext. intros. ring. }
  assert (Ef : forall k p, expect n p (f k) = eta * (expect n p (fun y => o k y) - tau * (KL n p mu - KL n p pi))).
  { intros k p. unfold f. rewrite expect_scal, expect_minus, expect_scal, H. reflexivity. }
  assert (Each : forall k, (k < K)%nat -> KL n q (gibbs n pi (f k))
    <= KL n q pi + eta * ((expect n pi (fun y => o k y) - tau * KL n pi mu)
                          - (expect n q (fun y => o k y) - tau * (KL n q mu - KL n q pi))) + eta ^ 2 / 2).
  { intros k Hk. rewrite (kl_gibbs n pi Hn Pp (f k) q (proj2 Hq)).
    pose proof (hoeffding n pi (f k) Dpi) as L. fold (gibbs_norm n pi (f k)) in L.
    assert (O : osc n (f k) <= 2 * eta).
    { apply osc_le; [exact Hn |]. intros i j Hi Hj. pose proof (Ho k i Hk Hi). pose proof (Ho k j Hk Hj).
      pose proof (Near i j Hi Hj). pose proof (Near j i Hj Hi). unfold f, h.
      assert (o k i - o k j - tau * ((ln (pi i) - ln (mu i)) - (ln (pi j) - ln (mu j))) <= 2) by lra. nra. }
    assert (0 <= osc n (f k)) by (apply osc_nonneg; exact Hn).
    assert (osc n (f k) ^ 2 <= (2 * eta) ^ 2) by (apply pow_incr; lra).
    rewrite !Ef in *. rewrite kl_self in L.
    unfold gibbs_norm in *. unfold expect at 1 in L. lra. }
  eapply Rle_trans; [apply (expect_le K w _ _ Hw Each) |].
  rewrite !expect_plus, expect_const, expect_const by apply Hw.
  rewrite expect_scal, !expect_minus, !expect_const by apply Hw.
  rewrite (mean_of_wins K w o pi pi Mean), (mean_of_wins K w o pi q Mean).
  pose proof (beats_self n P pi P_pref (proj2 Hpi)) as Half.
  pose proof (N23_win_rate_against_the_equilibrium n tau P mu tau_pos P_pref mu_policy q pi N Dpi) as W.
  pose proof (beats_constant_sum n P pi q P_pref (proj2 Hpi) (proj2 Hq)) as T.
  rewrite Half. replace (beats n P q pi) with (1 - beats n P pi q) by lra. rewrite W. right. field.
Qed.

(** Means over outcomes, by the response that was asked about. *)
Lemma mean_by_response K w (Y : nat -> nat) (o a : nat -> R) : (forall k, (k < K)%nat -> (Y k < n)%nat) ->
  expect K w (fun k => a (Y k) * o k) = sum n (fun y => a y * expect K w (fun k => delta (Y k) y * o k)).
Proof.
  intro HY. unfold expect. rewrite (sum_ext K _ (fun k => sum n (fun y => a y * (w k * (delta (Y k) y * o k))))).
  - rewrite sum_swap. apply sum_ext. intros y _. apply sum_scal.
  - intros k Hk. rewrite <- (sum_delta n (Y k) a (HY k Hk)), <- sum_scal_r, <- sum_scal. apply sum_ext. intros; ring.
Qed.

(** N24 (c).  One comparison: Y is a uniform response, o in [0, 1] is on average p(Y > m), and the step goes to m e^(eta g),
    g = n (o - 1/2) e_Y.  Where eta n <= 2,
    E KL(q || next) <= (1 - eta tau) (KL(q || pi) - KL(m || pi)) + (.5431 / 4) n eta^2. *)
Theorem N24_one_comparison_step q pi K w Y o : is_nash n tau P mu q -> dist K w ->
  (forall k, (k < K)%nat -> (Y k < n)%nat /\ 0 <= o k <= 1) ->
  (forall y, (y < n)%nat -> expect K w (fun k => delta (Y k) y) = / INR n) ->
  (forall y, (y < n)%nat ->
    expect K w (fun k => delta (Y k) y * o k) = / INR n * win n P (geo_mix n (eta * tau) mu pi) y) ->
  eta * INR n <= 2 ->
  expect K w (fun k => KL n q (gibbs n (geo_mix n (eta * tau) mu pi) (fun y => eta * (INR n * (o k - 1 / 2) * delta (Y k) y))))
  <= (1 - eta * tau) * (KL n q pi - KL n (geo_mix n (eta * tau) mu pi) pi) + 5431 / 40000 * INR n * eta ^ 2.
Proof.
  intros N Hw HYo Uniform Mean Small. set (m := geo_mix n (eta * tau) mu pi) in *.
  pose proof (geo_mix_policy n (eta * tau) mu pi mu_policy) as Hm. fold m in Hm. pose proof (policy_dist n m Hm) as Dm.
  pose proof (nash_policy n tau P mu q mu_policy N) as Hq. pose proof (policy_n_pos n m Hm) as Hn. pose proof (proj1 Hm) as Mp.
  assert (N1 : 0 < INR n) by (apply lt_0_INR, Hn). assert (HY : forall k, (k < K)%nat -> (Y k < n)%nat) by (intros k Hk; apply HYo, Hk).
  set (x := eta * INR n / 2). assert (Hx : 0 < x <= 1) by (unfold x; split; [apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |] |]; lra).
  set (g := fun k y => eta * (INR n * (o k - 1 / 2) * delta (Y k) y)).
  assert (Eg : forall k p, (k < K)%nat -> expect n p (g k) = 2 * x * (p (Y k) * (o k - 1 / 2))).
  { intros k p Hk. unfold g, expect. rewrite (sum_ext n _ (fun y => 2 * x * (o k - 1 / 2) * (p y * delta (Y k) y)))
      by (intros; unfold x; field). rewrite sum_scal, sum_delta by (apply HY, Hk). ring. }
  assert (Asked : forall p, expect K w (fun k => p (Y k) * (o k - 1 / 2)) = / INR n * (beats n P p m - 1 / 2 * sum n p)).
  { intro p. rewrite (mean_by_response K w Y _ p HY). unfold beats, expect at 2. rewrite <- sum_scal, <- sum_minus, <- sum_scal.
    apply sum_ext. intros y Hy. rewrite (expect_ext K w _ (fun k => delta (Y k) y * o k - 1 / 2 * delta (Y k) y)) by (intros; ring).
    rewrite expect_minus, expect_scal, (Mean y Hy), (Uniform y Hy). ring. }
  assert (Once : expect K w (fun k => m (Y k)) = / INR n).
  { rewrite (expect_ext K w _ (fun k => m (Y k) * 1)) by (intros; ring). rewrite (mean_by_response K w Y _ m HY).
    rewrite (sum_ext n _ (fun y => m y * / INR n)) by (intros y Hy; rewrite <- (Uniform y Hy); f_equal; apply expect_ext; intros; ring).
    rewrite sum_scal_r, (proj2 Dm). ring. }
  assert (Log : forall k, (k < K)%nat -> ln (gibbs_norm n m (g k))
    <= (exp x - exp (- x)) * (m (Y k) * (o k - 1 / 2)) + ((exp x + exp (- x)) / 2 - 1) * m (Y k)).
  { intros k Hk. destruct (HYo k Hk) as [Hy Ho].
    eapply Rle_trans; [apply ln_le_line, (gibbs_norm_pos n m Hn Mp) |].
    assert (Z : gibbs_norm n m (g k) = 1 + m (Y k) * (exp (2 * x * (o k - 1 / 2)) - 1)).
    { unfold gibbs_norm. rewrite (sum_ext n _ (fun y => m y + m y * (exp (2 * x * (o k - 1 / 2)) - 1) * delta (Y k) y)).
      - rewrite sum_plus, (sum_delta n (Y k) (fun y => m y * (exp (2 * x * (o k - 1 / 2)) - 1)) Hy), (proj2 Dm). reflexivity.
      - intros y _. unfold g, delta. destruct (Nat.eqb y (Y k)).
        + replace (eta * (INR n * (o k - 1 / 2) * 1)) with (2 * x * (o k - 1 / 2)) by (unfold x; field). ring.
        + rewrite !Rmult_0_r, exp_0. ring. }
    rewrite Z. pose proof (exp_chord (- x) x (2 * x * (o k - 1 / 2)) ltac:(nra)) as Ch.
    assert (E : exp (2 * x * (o k - 1 / 2)) <= (1 - o k) * exp (- x) + o k * exp x) by (apply Rmult_le_reg_l with (2 * x); [lra | nra]).
    pose proof (Mp (Y k) Hy) as My. apply (Rmult_le_compat_l (m (Y k))) in E; [nra | lra]. }
  apply Rle_trans with (expect K w (fun k => (KL n q m - 2 * x * (q (Y k) * (o k - 1 / 2)))
    + ((exp x - exp (- x)) * (m (Y k) * (o k - 1 / 2)) + ((exp x + exp (- x)) / 2 - 1) * m (Y k)))).
  - apply expect_le; [exact Hw |]. intros k Hk. fold (g k). rewrite (kl_gibbs n m Hn Mp (g k) q (proj2 Hq)), (Eg k q Hk).
    pose proof (Log k Hk). lra.
  - rewrite !expect_plus, expect_minus, !expect_scal, (expect_const K w _ (proj2 Hw)), !Asked, Once.
    rewrite (beats_self n P m P_pref (proj2 Dm)), (proj2 Dm), (proj2 Hq).
    pose proof (mixture_divergence q pi N) as S. cbv zeta in S. fold m in S.
    pose proof (kl_nonneg n m q Dm Hq) as Pos. assert (0 <= eta * tau * KL n m q) by (apply Rmult_le_pos; [nra | exact Pos]).
    pose proof (cosh_below_parabola x ltac:(lra)) as C. apply (Rmult_le_compat_r (/ INR n)) in C; [| apply Rlt_le, Rinv_0_lt_compat, N1].
    replace (5431 / 10000 * x ^ 2 * / INR n) with (5431 / 40000 * INR n * eta ^ 2) in C by (unfold x; field; lra).
    replace (2 * x * (/ INR n * (beats n P q m - 1 / 2 * 1))) with (eta * beats n P q m - eta / 2) by (unfold x; field; lra).
    lra.
Qed.

End Step.

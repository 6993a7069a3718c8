(** * One step of Nash-MD on comparisons that were drawn (N24).

    An outcome k < K has probability w k and says o k y in [0, 1] of every response y, on average p(y > m): whoever the
    opponent was, and however the judge is random.  The step goes to m e^(eta o). *)

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

End Step.

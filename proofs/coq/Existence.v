(** * Existence of the equilibrium (E1), without Brouwer's theorem.

    Averaged mixtures of Nash-MD have vanishing gap; the best responses to policies of vanishing gap
    have vanishing residuals, so by the residual certificate they form a Cauchy sequence; the limit is
    a fixed point of the best response. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate NashMD.
Open Scope R_scope.

Section Existence.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_unit : pref n P.
Hypothesis mu_policy : policy n mu.

Local Notation BR := (best_reply n tau P mu).
Local Notation G := (gap n tau P mu).

(** ** The average of the mixtures has a small gap *)

Definition average (T : nat) (m : nat -> nat -> R) (y : nat) : R := sum T (fun t => m t y) / INR T.

Lemma average_policy T m : (0 < T)%nat -> (forall t, policy n (m t)) -> policy n (average T m).
Proof.
  intros HT Hm. assert (0 < INR T) by (apply lt_0_INR; exact HT). split.
  - intros y Hy. apply Rdiv_lt_0_compat; [| assumption]. apply sum_pos; [exact HT | intros t _; apply Hm, Hy].
  - unfold average, Rdiv. rewrite sum_scal_r, sum_swap, (sum_ext T _ (fun _ => 1)) by (intros t _; apply Hm).
    rewrite sum_const. field. lra.
Qed.

Lemma average_expect T m f : expect n (average T m) f = sum T (fun t => expect n (m t) f) / INR T.
Proof.
  unfold expect, average, Rdiv. rewrite sum_swap, <- sum_scal_r. apply sum_ext. intros y _.
  rewrite sum_scal_r. ring.
Qed.

(** KL(. || mu) is convex. *)
Lemma average_kl T m : (0 < T)%nat -> (forall t, policy n (m t)) ->
  KL n (average T m) mu <= sum T (fun t => KL n (m t) mu) / INR T.
Proof.
  intros HT Hm. pose proof (average_policy T m HT Hm) as Ha. assert (0 < INR T) by (apply lt_0_INR; exact HT).
  set (f := fun y => ln (average T m y) - ln (mu y)).
  change (KL n (average T m) mu) with (expect n (average T m) f). rewrite average_expect.
  apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; assumption |]. apply sum_le. intros t _.
  pose proof (kl_nonneg n (m t) (average T m) (policy_dist n _ (Hm t)) Ha) as K.
  assert (E : KL n (m t) mu = KL n (m t) (average T m) + expect n (m t) f).
  { unfold KL, expect, f. rewrite <- sum_plus. apply sum_ext. intros; ring. }
  lra.
Qed.

(** The regret of Nash-MD at a constant step. *)
Lemma md_regret eta nu T : dist n nu -> 0 < eta -> eta * tau <= 1 ->
  let x := md_iterate n (fun _ => eta) tau P mu mu in
  sum T (fun t => J n tau P mu nu (md_mix n eta tau mu (x t)) - 1 / 2) <= KL n nu mu / eta + INR T * (eta / 24).
Proof.
  intros Hnu He Het x.
  assert (Hx : forall t, policy n (x t)) by (intro t; apply md_iterate_policy; exact mu_policy).
  enough (eta * sum T (fun t => J n tau P mu nu (md_mix n eta tau mu (x t)) - 1 / 2)
    <= KL n nu mu - KL n nu (x T) + INR T * (eta ^ 2 / 24)) as B.
  { pose proof (kl_nonneg n nu (x T) Hnu (Hx T)). apply Rmult_le_reg_l with eta; [exact He |].
    replace (eta * (KL n nu mu / eta + INR T * (eta / 24))) with (KL n nu mu + INR T * (eta ^ 2 / 24)) by (field; lra). lra. }
  induction T as [| T IH]; [change (x 0%nat) with mu; simpl; lra |]. rewrite S_INR. cbn [sum].
  set (m := md_mix n eta tau mu (x T)) in *. pose proof (md_mix_policy n eta tau mu (x T) mu_policy) as Hm. fold m in Hm.
  pose proof (N8_any_comparator n tau P mu mu_policy eta (x T) nu Hnu) as E. cbv zeta in E. fold m in E.
  change (md_step n eta tau P mu (x T)) with (x (S T)) in E.
  pose proof (N9_subgaussian n P m P_unit (policy_dist n m Hm) eta) as B. fold (log_moment n P eta m) in B.
  pose proof (kl_nonneg n m (x T) (policy_dist n m Hm) (Hx T)) as K1.
  pose proof (kl_nonneg n nu (x T) Hnu (Hx T)) as K2.
  assert (Hb : 0 <= eta * tau) by (apply Rmult_le_pos; lra).
  pose proof (Rmult_le_pos _ _ Hb K2). pose proof (Rmult_le_pos (1 - eta * tau) _ ltac:(lra) K1). lra.
Qed.

(** No policy is further than L = log(1 / min mu) from mu. *)
Lemma kl_reference_bound : exists L, 0 <= L /\ forall nu, policy n nu -> KL n nu mu <= L.
Proof.
  destruct (positive_minimum n mu (proj1 mu_policy)) as [a [Ha Hmin]].
  assert (B : forall nu, policy n nu -> KL n nu mu <= - ln a).
  { intros nu Hnu. pose proof Hnu as [Hp S]. replace (- ln a) with (sum n (fun y => nu y * - ln a)) by (rewrite sum_scal_r, S; ring).
    apply sum_le. intros y Hy. apply Rmult_le_compat_l; [apply Rlt_le, Hp, Hy |].
    pose proof (ln_le_mono (nu y) 1 (Hp y Hy) (dist_le_one n nu y (policy_dist n nu Hnu) Hy)) as U.
    pose proof (ln_le_mono a (mu y) Ha (Hmin y Hy)). rewrite ln_1 in U. lra. }
  exists (- ln a). split; [| exact B]. pose proof (B mu mu_policy) as Z. rewrite kl_self in Z. exact Z.
Qed.

(** Approximate equilibrium of order k: step 1/N, N^2 steps, N = k + K. *)
Section Sequence.

Variables (K : nat) (L : R).
Hypothesis K_large : 0 < INR K /\ tau <= INR K.
Hypothesis L_bound : 0 <= L /\ forall nu, policy n nu -> KL n nu mu <= L.

Definition mixtures (N : nat) (t : nat) : nat -> R :=
  md_mix n (/ INR N) tau mu (md_iterate n (fun _ => / INR N) tau P mu mu t).
Definition approximate (k : nat) : nat -> R := average ((k + K) * (k + K)) (mixtures (k + K)).

Lemma order_pos k : 0 < INR (k + K) /\ tau <= INR (k + K) /\ (0 < (k + K) * (k + K))%nat.
Proof.
  rewrite plus_INR. pose proof (pos_INR k). repeat split; try lra.
  assert (0 < K)%nat by (apply INR_lt; simpl; lra). nia.
Qed.

Lemma approximate_policy k : policy n (approximate k).
Proof.
  destruct (order_pos k) as [_ [_ H]]. apply average_policy; [exact H |]. intro t. apply md_mix_policy, mu_policy.
Qed.

Lemma approximate_gap k : G (approximate k) <= (L + 1) / INR (k + K).
Proof.
  destruct (order_pos k) as [HN [HtN HT]]. set (N := (k + K)%nat) in *.
  set (p := approximate k). pose proof (approximate_policy k) as Hp. fold p in Hp.
  destruct (E2_gap_is_the_maximum n tau P mu tau_pos (proj1 P_unit) mu_policy p (policy_dist n p Hp)) as [_ [Att _]].
  rewrite <- Att. clear Att. set (nu := BR p). pose proof (best_reply_policy n tau P mu p mu_policy) as Hnu. fold nu in Hnu.
  assert (HIT : INR (N * N) = INR N * INR N) by apply mult_INR.
  assert (HI : 0 < / INR N) by (apply Rinv_0_lt_compat; exact HN).
  assert (Hm : forall t, policy n (mixtures N t)) by (intro t; apply md_mix_policy, mu_policy).
  pose proof (md_regret (/ INR N) nu (N * N) (policy_dist n nu Hnu) HI) as Rg.
  cbv zeta in Rg. fold (mixtures N) in Rg.
  assert (Le1 : / INR N * tau <= 1) by (apply Rmult_le_reg_l with (INR N); [exact HN |]; rewrite <- Rmult_assoc, Rinv_r by lra; lra).
  specialize (Rg Le1).
  assert (Cv : J n tau P mu nu p - 1 / 2 <= sum (N * N) (fun t => J n tau P mu nu (mixtures N t) - 1 / 2) / INR (N * N)).
  { pose proof (average_kl (N * N) (mixtures N) HT Hm) as C. change (average (N * N) (mixtures N)) with p in C.
    assert (Bt : beats n P nu p = sum (N * N) (fun t => beats n P nu (mixtures N t)) / INR (N * N)).
    { pose proof (fun v => beats_as_expect n P nu v (proj1 P_unit) (proj2 Hnu)) as E.
      rewrite (E p (proj2 Hp)). unfold p, approximate. fold N. rewrite average_expect.
      rewrite (sum_ext (N * N) (fun t => beats n P nu (mixtures N t)) (fun t => 1 - expect n (mixtures N t) (win n P nu)))
        by (intros t _; apply E, Hm).
      rewrite sum_minus, sum_const. rewrite HIT. field. lra. }
    rewrite (sum_ext (N * N) _ (fun t => beats n P nu (mixtures N t) + tau * KL n (mixtures N t) mu + (- tau * KL n nu mu - 1 / 2)))
      by (intros t _; unfold J; ring).
    rewrite !sum_plus, sum_scal, sum_const. unfold J. rewrite Bt.
    replace ((sum (N * N) (fun t => beats n P nu (mixtures N t)) + tau * sum (N * N) (fun t => KL n (mixtures N t) mu)
        + INR (N * N) * (- tau * KL n nu mu - 1 / 2)) / INR (N * N))
      with (sum (N * N) (fun t => beats n P nu (mixtures N t)) / INR (N * N)
        + tau * (sum (N * N) (fun t => KL n (mixtures N t) mu) / INR (N * N)) - tau * KL n nu mu - 1 / 2)
      by (rewrite HIT; field; lra).
    assert (tau * KL n p mu <= tau * (sum (N * N) (fun t => KL n (mixtures N t) mu) / INR (N * N)))
      by (apply Rmult_le_compat_l; lra). lra. }
  eapply Rle_trans; [exact Cv |].
  apply Rmult_le_reg_r with (INR (N * N)); [rewrite HIT; apply Rmult_lt_0_compat; exact HN |].
  replace (sum (N * N) (fun t => J n tau P mu nu (mixtures N t) - 1 / 2) / INR (N * N) * INR (N * N))
    with (sum (N * N) (fun t => J n tau P mu nu (mixtures N t) - 1 / 2)) by (rewrite HIT; field; lra).
  eapply Rle_trans; [exact Rg |]. rewrite HIT.
  replace (KL n nu mu / / INR N) with (KL n nu mu * INR N) by (field; lra).
  replace ((L + 1) / INR N * (INR N * INR N)) with (L * INR N + INR N) by (field; lra).
  replace (INR N * INR N * (/ INR N / 24)) with (INR N / 24) by (field; lra).
  pose proof (Rmult_le_compat_r (INR N) _ _ ltac:(lra) (proj2 L_bound nu Hnu)). lra.
Qed.

(** ** Their best responses form a Cauchy sequence *)

Definition refined (k : nat) : nat -> R := BR (approximate k).

Lemma refined_policy k : policy n (refined k).
Proof. apply best_reply_policy, mu_policy. Qed.

Lemma refined_distance k : l1 n (approximate k) (refined k) ^ 2 <= 2 * (L + 1) / tau / INR (k + K).
Proof.
  pose proof (E3_pinsker n (approximate k) (refined k) (policy_dist n _ (approximate_policy k)) (refined_policy k)) as Pk.
  pose proof (approximate_gap k) as Gk. unfold gap in Gk. fold (refined k) in Gk. destruct (order_pos k) as [HN _].
  eapply Rle_trans; [exact Pk |]. apply Rmult_le_reg_l with tau; [exact tau_pos |].
  replace (tau * (2 * (L + 1) / tau / INR (k + K))) with (2 * ((L + 1) / INR (k + K))) by (field; lra). lra.
Qed.

(** The residual of a best response oscillates no more than its input moved. *)
Lemma refined_residual k : osc n (residual n tau P mu (refined k)) <= l1 n (approximate k) (refined k) / tau.
Proof.
  set (p := approximate k). set (b := refined k). apply osc_le; [apply (policy_n_pos n mu mu_policy) |]. intros i j Hi Hj.
  assert (R : forall y, (y < n)%nat -> residual n tau P mu b y =
    win n P (fun z => p z - b z) y / tau - ln (gibbs_norm n mu (fun z => win n P p z / tau))).
  { intros y Hy. unfold residual, b, refined. fold p. rewrite best_reply_log by assumption. rewrite win_minus. field. lra. }
  rewrite (R i Hi), (R j Hj).
  replace (win n P (fun z => p z - b z) i / tau - ln (gibbs_norm n mu (fun z => win n P p z / tau))
    - (win n P (fun z => p z - b z) j / tau - ln (gibbs_norm n mu (fun z => win n P p z / tau))))
    with ((win n P (fun z => p z - b z) i - win n P (fun z => p z - b z) j) / tau) by (field; lra).
  apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; exact tau_pos |].
  unfold win. rewrite <- sum_minus. apply sum_le. intros z Hz.
  pose proof (proj2 P_unit i z Hi Hz). pose proof (proj2 P_unit j z Hj Hz).
  replace (P i z * (p z - b z) - P j z * (p z - b z)) with ((P i z - P j z) * (p z - b z)) by ring.
  eapply Rle_trans; [apply Rle_abs |]. rewrite Rabs_mult.
  assert (Rabs (P i z - P j z) <= 1) by (apply Rabs_le; lra). pose proof (Rabs_pos (p z - b z)). nra.
Qed.

Lemma distance_vanishes eps : 0 < eps -> exists N, forall k, (N <= k)%nat -> l1 n (approximate k) (refined k) < eps.
Proof.
  intro He. set (C := 2 * (L + 1) / tau).
  assert (HC : 0 < C) by (apply Rdiv_lt_0_compat; lra).
  destruct (nfloor_ex (C / eps ^ 2)) as [N [_ HN]]; [apply Rlt_le, Rdiv_lt_0_compat; [exact HC | apply pow_lt, He] |].
  exists (S N). intros k Hk. apply le_INR in Hk. rewrite S_INR in Hk.
  destruct (order_pos k) as [Hp _]. assert (HkK : INR k <= INR (k + K)) by (apply le_INR; lia).
  assert (Sm : C / INR (k + K) < eps ^ 2).
  { apply Rmult_lt_reg_r with (INR (k + K)); [exact Hp |]. replace (C / INR (k + K) * INR (k + K)) with C by (field; lra).
    assert (He2 : 0 < eps ^ 2) by (apply pow_lt, He). apply (Rmult_lt_compat_l (eps ^ 2)) in HN; [| exact He2].
    replace (eps ^ 2 * (C / eps ^ 2)) with C in HN by (field; lra).
    pose proof (Rmult_le_compat_l (eps ^ 2) (INR N + 1) (INR (k + K)) ltac:(lra) ltac:(lra)). lra. }
  pose proof (refined_distance k) as D. fold C in D. pose proof (l1_nonneg n (approximate k) (refined k)).
  apply Rsqr_incrst_0; [unfold Rsqr; nra | assumption | lra].
Qed.

Lemma coordinate_le_l1 p q y : (y < n)%nat -> Rabs (p y - q y) <= l1 n p q.
Proof. intro Hy. apply (sum_lower_bound n (fun y => Rabs (p y - q y))); [intros; apply Rabs_pos | exact Hy]. Qed.

Lemma refined_cauchy y : (y < n)%nat -> ex_finite_lim_seq (fun k => refined k y).
Proof.
  intro Hy. apply ex_lim_seq_cauchy_corr. intros [eps He]. simpl.
  destruct (distance_vanishes (eps * tau)) as [N HN]; [apply Rmult_lt_0_compat; assumption |].
  exists N. intros j k Hj Hk. eapply Rle_lt_trans; [apply coordinate_le_l1, Hy |].
  destruct (residual_distance n tau P mu tau_pos (proj1 P_unit) (refined j) (refined k) (refined_policy j) (refined_policy k)) as [_ D].
  pose proof (refined_residual j). pose proof (refined_residual k).
  assert (V : forall i, (N <= i)%nat -> l1 n (approximate i) (refined i) / tau < eps).
  { intros i Hi. apply Rmult_lt_reg_r with tau; [exact tau_pos |].
    replace (l1 n (approximate i) (refined i) / tau * tau) with (l1 n (approximate i) (refined i)) by (field; lra). apply HN, Hi. }
  pose proof (V j Hj). pose proof (V k Hk). lra.
Qed.

(** ** The limit is the equilibrium *)

Definition limit (y : nat) : R := real (Lim_seq (fun k => refined k y)).

Lemma refined_limit y : (y < n)%nat -> is_lim_seq (fun k => refined k y) (limit y).
Proof. intro Hy. apply Lim_seq_correct', refined_cauchy, Hy. Qed.

Lemma approximate_limit y : (y < n)%nat -> is_lim_seq (fun k => approximate k y) (limit y).
Proof.
  intro Hy.
  apply (is_lim_seq_ext (fun k => refined k y + (approximate k y - refined k y))); [intro; ring |].
  replace (limit y) with (limit y + 0) by ring. apply is_lim_seq_plus'; [apply refined_limit, Hy |].
  apply is_lim_seq_spec. intros [eps He]. destruct (distance_vanishes eps He) as [N HN].
  exists N. intros k Hk. simpl. rewrite Rminus_0_r. eapply Rle_lt_trans; [apply coordinate_le_l1, Hy | apply HN, Hk].
Qed.

Lemma is_lim_seq_sum m (u : nat -> nat -> R) (l : nat -> R) :
  (forall i, (i < m)%nat -> is_lim_seq (fun k => u k i) (l i)) -> is_lim_seq (fun k => sum m (u k)) (sum m l).
Proof.
  induction m as [| m IH]; intro H; simpl; [apply is_lim_seq_const |].
  apply is_lim_seq_plus'; [apply IH; intros; apply H; lia | apply H; lia].
Qed.

Lemma limit_is_nash : is_nash n tau P mu limit.
Proof.
  intros y Hy.
  assert (W : forall z, is_lim_seq (fun k => mu z * exp (win n P (approximate k) z / tau)) (mu z * exp (win n P limit z / tau))).
  { intro z. apply (is_lim_seq_scal_l _ (mu z) (exp (win n P limit z / tau))).
    apply (is_lim_seq_continuous exp (fun k => win n P (approximate k) z / tau)).
    - apply derivable_continuous_pt, derivable_pt_exp.
    - apply (is_lim_seq_scal_r _ (/ tau) (win n P limit z)). unfold win.
      apply (is_lim_seq_sum n (fun k j => P z j * approximate k j) (fun j => P z j * limit j)).
      intros j Hj. apply (is_lim_seq_scal_l _ (P z j) (limit j)), approximate_limit, Hj. }
  assert (Lim : is_lim_seq (fun k => refined k y) (BR limit y)).
  { unfold refined, best_reply, gibbs. apply is_lim_seq_div'; [apply W | |].
    - apply (is_lim_seq_sum n (fun k z => mu z * exp (win n P (approximate k) z / tau)) (fun z => mu z * exp (win n P limit z / tau))).
      intros z _. apply W.
    - apply Rgt_not_eq, gibbs_norm_pos; [apply (policy_n_pos n mu mu_policy) | apply mu_policy]. }
  pose proof (is_lim_seq_unique _ _ (refined_limit y Hy)) as U1. pose proof (is_lim_seq_unique _ _ Lim) as U2.
  rewrite U1 in U2. injection U2 as E. exact E.
Qed.

End Sequence.

(** The equilibrium at temperature tau, as a function of tau, P and mu: no choice is made. *)
Definition nash_policy_of : nat -> R := limit (S (Z.to_nat (up tau))).

Theorem E1_constructed : is_nash n tau P mu nash_policy_of.
Proof.
  destruct kl_reference_bound as [L HL]. apply (limit_is_nash _ L); [| exact HL].
  destruct (archimed tau) as [U _]. assert (0 < up tau)%Z by (apply lt_IZR; lra).
  rewrite S_INR, INR_IZR_INZ, Z2Nat.id by lia. lra.
Qed.

(** E1, existence.  The equation pi(y) proportional to mu(y) exp(p(y > pi) / tau) has a solution, of full support. *)
Theorem E1_existence : exists q, policy n q /\ is_nash n tau P mu q.
Proof.
  exists nash_policy_of. pose proof E1_constructed as N. split; [apply (nash_policy n tau P mu _ mu_policy N) | exact N].
Qed.

(** E1.  The regularised game has exactly one Nash equilibrium: it is symmetric, of full support, and the unique
    solution of pi(y) proportional to mu(y) exp(p(y > pi) / tau). *)
Theorem E1_exactly_one : exists q, policy n q /\ equilibrium n tau P mu q q /\
  (forall p p', equilibrium n tau P mu p p' -> same n p q /\ same n p' q) /\
  (forall p, dist n p -> is_nash n tau P mu p <-> same n p q).
Proof.
  destruct E1_existence as [q [Hq N]]. exists q. pose proof (policy_dist n q Hq) as Dq. pose proof (proj1 P_unit) as HP.
  assert (Refl : same n q q) by (intros y _; reflexivity).
  assert (E : equilibrium n tau P mu q q) by (apply E1_equilibria_are_fixed_points; auto).
  repeat split; try apply Hq; try apply E.
  - destruct (E1_unique n tau P mu tau_pos HP mu_policy p p' q q H E) as [_ [_ [S _]]]. exact S.
  - destruct (E1_unique n tau P mu tau_pos HP mu_policy p p' q q H E) as [S0 [_ [S _]]].
    apply (same_trans n p' p q); [apply same_sym, S0 | exact S].
  - intro Np. apply (E1_unique_fixed_point n tau P mu tau_pos HP mu_policy); assumption.
  - intros S y Hy. rewrite (S y Hy), (N y Hy). apply best_reply_same; [exact mu_policy | apply same_sym, S | exact Hy].
Qed.

End Existence.

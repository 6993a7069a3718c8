(** * Nash-MD: the exact one-step identity N8, the rates R1 and R2, the fixed point N10.

    One step of Nash-MD: m = m_{eta tau}(pi), pi_plus proportional to m exp(eta P m). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate.
Open Scope R_scope.

(** The mixture a step plays against, and the step. *)
Definition md_mix n eta tau mu (pi : nat -> R) : nat -> R := geo_mix n (eta * tau) mu pi.
Definition md_step n eta tau P mu (pi : nat -> R) : nat -> R :=
  gibbs n (md_mix n eta tau mu pi) (fun y => eta * win n P (md_mix n eta tau mu pi) y).

(** pi_0, pi_1, ... with step sizes eta_0, eta_1, ... *)
Fixpoint md_iterate n (eta : nat -> R) tau P mu (start : nat -> R) (t : nat) : nat -> R :=
  match t with O => start | S k => md_step n (eta k) tau P mu (md_iterate n eta tau P mu start k) end.

(** MMD: log pi_plus = (log pi + eta tau log mu + eta P pi) / (1 + eta tau) + const. *)
Definition mmd_step n eta tau P mu (pi : nat -> R) : nat -> R :=
  gibbs n mu (fun y => (ln (pi y) - ln (mu y) + eta * win n P pi y) / (1 + eta * tau)).

(** OMD: log pi_plus = (1 - eta tau) log pi + eta tau log mu + eta P pi + const. *)
Definition omd_step n eta tau P mu (pi : nat -> R) : nat -> R :=
  gibbs n mu (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * win n P pi y).

(** ** Logarithms up to a constant *)

(** Policies whose logarithms differ by a constant are equal. *)
Lemma policy_by_log n p q c : policy n p -> policy n q ->
  (forall y, (y < n)%nat -> ln (p y) = ln (q y) + c) -> same n p q.
Proof.
  intros Hp Hq H.
  apply (same_trans n p (gibbs n q (fun _ => 0))).
  - apply (gibbs_unique n q (policy_n_pos n q Hq) (proj1 Hq) (fun _ => 0) p c Hp).
    intros y Hy. rewrite H by exact Hy. ring.
  - apply same_sym. apply (gibbs_unique n q (policy_n_pos n q Hq) (proj1 Hq) (fun _ => 0) q 0 Hq).
    intros y Hy. ring.
Qed.

Lemma gibbs_log_const n mu f : policy n mu ->
  exists c, forall y, (y < n)%nat -> ln (gibbs n mu f y) = ln (mu y) + f y + c.
Proof.
  intro Hmu. exists (- ln (gibbs_norm n mu f)). intros y Hy.
  rewrite gibbs_log by (apply (policy_n_pos n mu Hmu) || apply Hmu || exact Hy). ring.
Qed.

Lemma nash_by_log n tau P mu q c : policy n mu -> policy n q ->
  (forall y, (y < n)%nat -> ln (q y) = ln (mu y) + win n P q y / tau + c) -> is_nash n tau P mu q.
Proof.
  intros Hmu Hq H. apply (gibbs_unique n mu (policy_n_pos n mu Hmu) (proj1 Hmu) _ q c Hq). exact H.
Qed.

Lemma md_mix_policy n eta tau mu pi : policy n mu -> policy n (md_mix n eta tau mu pi).
Proof. apply geo_mix_policy. Qed.

Lemma md_step_policy n eta tau P mu pi : policy n mu -> policy n (md_step n eta tau P mu pi).
Proof.
  intro Hmu. pose proof (md_mix_policy n eta tau mu pi Hmu) as Hm.
  apply gibbs_policy; [apply (policy_n_pos n _ Hm) | apply Hm].
Qed.

Lemma md_iterate_policy n eta tau P mu start t : policy n mu -> policy n start ->
  policy n (md_iterate n eta tau P mu start t).
Proof. intros Hmu Hs. destruct t; [exact Hs | apply md_step_policy, Hmu]. Qed.

(** KL(nu || m_b) = (1-b) [KL(nu || pi) - KL(m_b || pi)] + b [KL(nu || mu) - KL(m_b || mu)]. *)
Lemma kl_geo_mix n b mu pi nu : policy n mu -> dist n nu ->
  let m := geo_mix n b mu pi in
  KL n nu m = (1 - b) * (KL n nu pi - KL n m pi) + b * (KL n nu mu - KL n m mu).
Proof.
  intros Hmu Hnu m. pose proof (geo_mix_policy n b mu pi Hmu) as Hm. fold m in Hm.
  destruct (geo_mix_log n b mu pi Hmu) as [c L]. fold m in L.
  assert (E : forall p, sum n p = 1 -> KL n p m = (1 - b) * KL n p pi + b * KL n p mu - c).
  { intros p Sp. unfold KL. replace c with (sum n (fun y => p y * c)) by (rewrite sum_scal_r, Sp; ring).
    rewrite <- !sum_scal, <- sum_plus, <- sum_minus. apply sum_ext. intros y Hy. rewrite L by exact Hy. ring. }
  pose proof (E m (proj2 Hm)) as Em. rewrite kl_self in Em. rewrite (E nu (proj2 Hnu)). lra.
Qed.

(** ** N8, R1, R2 *)

Section Rates.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

(** The error term log E_m e^(eta (p(. > m) - 1/2)). *)
Definition log_moment (eta : R) (m : nat -> R) : R :=
  ln (expect n m (fun y => exp (eta * (win n P m y - 1 / 2)))).

Lemma gibbs_norm_moment eta m : policy n m ->
  ln (gibbs_norm n m (fun y => eta * win n P m y)) = eta / 2 + log_moment eta m.
Proof.
  intro Hm. unfold log_moment. rewrite <- (ln_exp (eta / 2)), <- ln_mult.
  - f_equal. unfold expect, gibbs_norm. rewrite <- sum_scal. apply sum_ext. intros y _.
    replace (eta * win n P m y) with (eta / 2 + eta * (win n P m y - 1 / 2)) by field. rewrite exp_plus. ring.
  - apply exp_pos.
  - apply (gibbs_norm_pos n m (policy_n_pos n m Hm) (proj1 Hm)).
Qed.

(** Against any comparator nu, of full support or not:
    KL(nu || pi_plus) = (1 - eta tau) [KL(nu || pi) - KL(m || pi)] - eta (J(nu, m) - 1/2) + log-moment. *)
Theorem N8_any_comparator eta pi nu : dist n nu ->
  let m := md_mix n eta tau mu pi in
  KL n nu (md_step n eta tau P mu pi) =
    (1 - eta * tau) * (KL n nu pi - KL n m pi) - eta * (J n tau P mu nu m - 1 / 2) + log_moment eta m.
Proof.
  intros Hnu m. pose proof (md_mix_policy n eta tau mu pi mu_policy) as Hm. fold m in Hm.
  pose proof (policy_n_pos n m Hm) as Hn. unfold md_step. fold m.
  rewrite kl_gibbs by (exact Hn || apply Hm || apply Hnu). rewrite expect_scal. fold (beats n P nu m).
  rewrite (gibbs_norm_moment eta m Hm).
  pose proof (kl_geo_mix n (eta * tau) mu pi nu mu_policy Hnu) as K. cbv zeta in K.
  change (geo_mix n (eta * tau) mu pi) with m in K. rewrite K. unfold J. field.
Qed.

Hypothesis tau_pos : 0 < tau.

(** N8.  KL(q,pi_plus) = (1-eta tau)[KL(q,pi) - KL(m,pi)] - eta tau KL(m,q) + log E_m e^(eta(p(.>m) - 1/2)). *)
Theorem N8_identity eta pi q : is_nash n tau P mu q ->
  let m := md_mix n eta tau mu pi in
  KL n q (md_step n eta tau P mu pi) =
    (1 - eta * tau) * (KL n q pi - KL n m pi) - eta * tau * KL n m q + log_moment eta m.
Proof.
  intros N m. pose proof (policy_dist n m (md_mix_policy n eta tau mu pi mu_policy)) as Dm.
  pose proof (policy_dist n q (nash_policy n tau P mu q mu_policy N)) as Dq.
  rewrite (N8_any_comparator eta pi q Dq). fold m. rewrite (J_of_nash n tau P mu tau_pos P_pref mu_policy q m N Dm). ring.
Qed.

Hypothesis P_unit : pref n P.

(** R2, sharp constant 1/24:
    KL(q, pi_plus) <= (1 - eta tau) [KL(q, pi) - KL(m, pi)] + eta^2 / 24  for 0 <= eta. *)
Theorem R2_one_step eta pi q : is_nash n tau P mu q -> 0 <= eta ->
  let m := md_mix n eta tau mu pi in
  KL n q (md_step n eta tau P mu pi) <= (1 - eta * tau) * (KL n q pi - KL n m pi) + eta ^ 2 / 24.
Proof.
  intros N He m. rewrite (N8_identity eta pi q N). fold m.
  pose proof (md_mix_policy n eta tau mu pi mu_policy) as Hm. fold m in Hm.
  pose proof (kl_nonneg n m q (policy_dist n m Hm) (nash_policy n tau P mu q mu_policy N)).
  pose proof (N9_subgaussian n P m P_unit (policy_dist n m Hm) eta) as B. fold (log_moment eta m) in B.
  assert (0 <= eta * tau) by (apply Rmult_le_pos; lra). nra.
Qed.

(** ... and so, for eta tau <= 1, KL(q, pi_plus) <= (1 - eta tau) KL(q, pi) + eta^2 / 24. *)
Lemma contraction eta pi q : is_nash n tau P mu q -> policy n pi -> 0 <= eta -> eta * tau <= 1 ->
  KL n q (md_step n eta tau P mu pi) <= (1 - eta * tau) * KL n q pi + eta ^ 2 / 24.
Proof.
  intros N Hp He Het. pose proof (R2_one_step eta pi q N He) as B. cbv zeta in B.
  pose proof (kl_nonneg n (md_mix n eta tau mu pi) pi (policy_dist n _ (md_mix_policy n eta tau mu pi mu_policy)) Hp). nra.
Qed.

(** R2 with the constant 1/8 of Hoeffding's lemma, which needs no more than [hoeffding]. *)
Theorem R2_one_step_hoeffding eta pi q : is_nash n tau P mu q -> 0 <= eta ->
  let m := md_mix n eta tau mu pi in
  KL n q (md_step n eta tau P mu pi) <= (1 - eta * tau) * (KL n q pi - KL n m pi) + eta ^ 2 / 8.
Proof.
  intros N He m. rewrite (N8_identity eta pi q N). fold m.
  pose proof (md_mix_policy n eta tau mu pi mu_policy) as Hm. fold m in Hm. pose proof (policy_dist n m Hm) as Dm.
  pose proof (kl_nonneg n m q Dm (nash_policy n tau P mu q mu_policy N)).
  pose proof (hoeffding n m (fun y => eta * (win n P m y - 1 / 2)) Dm) as B.
  cbv beta in B. fold (log_moment eta m) in B.
  rewrite expect_scal, expect_minus, (mean_win_rate n P m P_unit Dm), expect_const in B by apply Dm.
  assert (O : osc n (fun y => eta * (win n P m y - 1 / 2)) <= eta).
  { apply osc_le; [apply (policy_n_pos n m Hm) |]. intros i j Hi Hj.
    pose proof (win_bounds n P m i P_unit Dm Hi). pose proof (win_bounds n P m j P_unit Dm Hj).
    pose proof (Rmult_le_compat_l eta (win n P m i - win n P m j) 1 He ltac:(lra)). lra. }
  pose proof (osc_nonneg n (fun y => eta * (win n P m y - 1 / 2)) (policy_n_pos n m Hm)).
  assert (Sq : osc n (fun y => eta * (win n P m y - 1 / 2)) ^ 2 <= eta ^ 2) by (apply pow_incr; lra).
  assert (0 <= eta * tau * KL n m q) by (apply Rmult_le_pos; [apply Rmult_le_pos |]; lra). lra.
Qed.

(** R1 (NLHF, Theorem 1), implied: KL(q, pi_plus) <= (1 - eta tau) KL(q, pi) + 2 eta^2. *)
Theorem R1_one_step eta pi q : is_nash n tau P mu q -> policy n pi -> 0 <= eta -> eta * tau <= 1 ->
  KL n q (md_step n eta tau P mu pi) <= (1 - eta * tau) * KL n q pi + 2 * eta ^ 2.
Proof. intros N Hp He Het. pose proof (contraction eta pi q N Hp He Het). pose proof (pow2_ge_0 eta). lra. Qed.

(** R2 iterated at a constant step: KL(q, pi_t) <= (1 - eta tau)^t KL(q, pi_0) + eta / (24 tau). *)
Theorem R2_constant_step eta start q t : is_nash n tau P mu q -> policy n start -> 0 < eta -> eta * tau <= 1 ->
  KL n q (md_iterate n (fun _ => eta) tau P mu start t) <= (1 - eta * tau) ^ t * KL n q start + eta / (24 * tau).
Proof.
  intros N Hs He Het. induction t as [| t IH].
  - simpl. assert (0 < eta / (24 * tau)) by (apply Rdiv_lt_0_compat; lra). lra.
  - simpl md_iterate.
    pose proof (contraction eta (md_iterate n (fun _ => eta) tau P mu start t) q N
      (md_iterate_policy n _ tau P mu start t mu_policy Hs) ltac:(lra) Het) as C.
    assert (E : (1 - eta * tau) * (eta / (24 * tau)) + eta ^ 2 / 24 = eta / (24 * tau)) by (field; lra).
    assert (M : (1 - eta * tau) * KL n q (md_iterate n (fun _ => eta) tau P mu start t)
      <= (1 - eta * tau) * ((1 - eta * tau) ^ t * KL n q start + eta / (24 * tau))) by (apply Rmult_le_compat_l; lra).
    simpl pow. lra.
Qed.

(** R2 at the decreasing steps eta_t = 2 / (tau (t + 2)), from any start: KL(q, pi_T) <= 1 / (6 tau^2 (T + 1)), T >= 1. *)
Theorem R2_decreasing_steps start q T : is_nash n tau P mu q -> policy n start -> (1 <= T)%nat ->
  KL n q (md_iterate n (fun t => 2 / (tau * (INR t + 2))) tau P mu start T) <= 1 / (6 * tau ^ 2 * (INR T + 1)).
Proof.
  intros N Hs HT. set (eta := fun t => 2 / (tau * (INR t + 2))). set (x := md_iterate n eta tau P mu start).
  assert (St : forall t, KL n q (x (S t)) <= INR t / (INR t + 2) * KL n q (x t) + 1 / (6 * tau ^ 2 * (INR t + 2) ^ 2)).
  { intro t. pose proof (pos_INR t).
    assert (He : 0 < eta t) by (apply Rdiv_lt_0_compat; [lra | apply Rmult_lt_0_compat; lra]).
    assert (Het : eta t * tau = 2 / (INR t + 2)) by (unfold eta; field; split; lra).
    assert (Ea : 1 - eta t * tau = INR t / (INR t + 2)) by (rewrite Het; field; lra).
    assert (Eb : eta t ^ 2 / 24 = 1 / (6 * tau ^ 2 * (INR t + 2) ^ 2)) by (unfold eta; field; split; lra).
    pose proof (contraction (eta t) (x t) q N (md_iterate_policy n eta tau P mu start t mu_policy Hs) ltac:(lra)) as C.
    assert (Het1 : eta t * tau <= 1).
    { rewrite Het. apply Rmult_le_reg_r with (INR t + 2); [lra |].
      replace (2 / (INR t + 2) * (INR t + 2)) with 2 by (field; lra). lra. }
    specialize (C Het1). rewrite Ea, Eb in C. exact C. }
  destruct T as [| T]; [lia |]. clear HT. induction T as [| T IH].
  - pose proof (St 0%nat) as S0. simpl INR in *. unfold Rdiv in S0 at 1. rewrite !Rmult_0_l, Rplus_0_l in S0.
    eapply Rle_trans; [exact S0 |]. rewrite Rplus_0_l. apply Rmult_le_reg_r with (24 * tau ^ 2); [nra |].
    replace (1 / (6 * tau ^ 2 * 2 ^ 2) * (24 * tau ^ 2)) with 1 by (field; lra).
    replace (1 / (6 * tau ^ 2 * (1 + 1)) * (24 * tau ^ 2)) with 2 by (field; lra). lra.
  - pose proof (St (S T)) as S1. rewrite !S_INR in *. pose proof (pos_INR T) as HT. set (a := INR T) in *.
    eapply Rle_trans; [exact S1 |].
    assert (M : (a + 1) / (a + 1 + 2) * KL n q (x (S T)) <= (a + 1) / (a + 1 + 2) * (1 / (6 * tau ^ 2 * (a + 1 + 1))))
      by (apply Rmult_le_compat_l; [apply Rdiv_le_0_compat; lra | exact IH]).
    eapply Rle_trans; [apply Rplus_le_compat_r; exact M |].
    replace (1 / (6 * tau ^ 2 * (a + 1 + 1 + 1)))
      with ((a + 1) / (a + 1 + 2) * (1 / (6 * tau ^ 2 * (a + 1 + 1))) + 1 / (6 * tau ^ 2 * (a + 1 + 2) ^ 2)
            + 1 / (6 * tau ^ 2) * (1 / ((a + 2) * (a + 3) ^ 2))) by (field; lra).
    assert (0 <= 1 / (6 * tau ^ 2) * (1 / ((a + 2) * (a + 3) ^ 2))); [| lra].
    apply Rmult_le_pos; apply Rdiv_le_0_compat; try lra; [nra |].
    apply Rmult_lt_0_compat; [lra | apply pow_lt; lra].
Qed.

(** R1 (NLHF, Theorem 1) at the same steps: KL(q, pi_T) <= 8 / (tau^2 (T + 1)), T >= 1. *)
Theorem R1_decreasing_steps start q T : is_nash n tau P mu q -> policy n start -> (1 <= T)%nat ->
  KL n q (md_iterate n (fun t => 2 / (tau * (INR t + 2))) tau P mu start T) <= 8 / (tau ^ 2 * (INR T + 1)).
Proof.
  intros N Hs HT. eapply Rle_trans; [apply (R2_decreasing_steps start q T N Hs HT) |]. pose proof (pos_INR T).
  replace (8 / (tau ^ 2 * (INR T + 1))) with (48 * (1 / (6 * tau ^ 2 * (INR T + 1)))) by (field; lra).
  assert (0 < 1 / (6 * tau ^ 2 * (INR T + 1))); [| lra].
  apply Rdiv_lt_0_compat; [lra |]. apply Rmult_lt_0_compat; [nra | lra].
Qed.

End Rates.

(** ** N10: Nash-MD at a constant step, solved *)

Section FixedPoint.

Variables (n : nat) (eta tau : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis eta_pos : 0 < eta.
Hypothesis below_one : eta * tau < 1.
Hypothesis mu_policy : policy n mu.

Local Notation mix := (md_mix n eta tau mu).
Local Notation step := (md_step n eta tau P mu).
Local Notation tau' := (tau / (1 - eta * tau)).

Lemma logs pi : exists c c', (forall y, (y < n)%nat -> ln (mix pi y) = (1 - eta * tau) * ln (pi y) + eta * tau * ln (mu y) + c) /\
  (forall y, (y < n)%nat -> ln (step pi y) = ln (mix pi y) + eta * win n P (mix pi) y + c').
Proof.
  destruct (geo_mix_log n (eta * tau) mu pi mu_policy) as [c L].
  destruct (gibbs_log_const n (mix pi) (fun y => eta * win n P (mix pi) y) (md_mix_policy n eta tau mu pi mu_policy)) as [c' L'].
  exists c, c'. split; assumption.
Qed.

(** N10.  pi is a fixed point of Nash-MD iff its mixture is the equilibrium at tau' = tau/(1 - eta tau) and
    pi is the best response, at tau, to that mixture. *)
Theorem N10_fixed_point pi : policy n pi ->
  same n (step pi) pi <-> is_nash n tau' P mu (mix pi) /\ same n pi (best_reply n tau P mu (mix pi)).
Proof.
  intro Hp. destruct (logs pi) as [c [c' [Lm Ls]]]. pose proof (md_mix_policy n eta tau mu pi mu_policy) as Hm.
  assert (Hb : 0 < eta * tau) by (apply Rmult_lt_0_compat; assumption). split.
  - intro F. assert (Lp : forall y, (y < n)%nat -> ln (pi y) = ln (mix pi y) + eta * win n P (mix pi) y + c').
    { intros y Hy. rewrite <- (F y Hy) at 1. apply Ls, Hy. }
    set (d := ((1 - eta * tau) * c' + c) / (eta * tau)).
    assert (Lmix : forall y, (y < n)%nat -> ln (mix pi y) = ln (mu y) + win n P (mix pi) y / tau' + d).
    { intros y Hy. apply (Rmult_eq_reg_l (eta * tau)); [| lra].
      replace (eta * tau * (ln (mu y) + win n P (mix pi) y / tau' + d))
        with (eta * tau * ln (mu y) + (1 - eta * tau) * (eta * win n P (mix pi) y) + (1 - eta * tau) * c' + c)
        by (unfold d; field; lra).
      pose proof (Lm y Hy) as A. rewrite (Lp y Hy) in A. lra. }
    split; [apply (nash_by_log n tau' P mu (mix pi) d mu_policy Hm Lmix) |].
    apply (gibbs_unique n mu (policy_n_pos n mu mu_policy) (proj1 mu_policy) _ pi (d + c') Hp).
    intros y Hy. rewrite (Lp y Hy), (Lmix y Hy). field. lra.
  - intros [N B]. destruct (nash_log n tau' P mu (mix pi) mu_policy N) as [d Lmix].
    destruct (gibbs_log_const n mu (fun y => win n P (mix pi) y / tau) mu_policy) as [e Lb].
    apply (policy_by_log n (step pi) pi (d + c' - e) (md_step_policy n eta tau P mu pi mu_policy) Hp).
    intros y Hy. rewrite (B y Hy). unfold best_reply. rewrite (Lb y Hy), (Ls y Hy), (Lmix y Hy). field. lra.
Qed.

(** N10.  From the equilibrium q' at tau' the fixed point is BR_tau(q'), and its mixture is q'. *)
Theorem N10_fixed_point_from_nash q' : is_nash n tau' P mu q' ->
  same n (mix (best_reply n tau P mu q')) q' /\
  same n (step (best_reply n tau P mu q')) (best_reply n tau P mu q').
Proof.
  intro N. pose proof (nash_policy n tau' P mu q' mu_policy N) as Hq.
  pose proof (best_reply_policy n tau P mu q' mu_policy) as Hb. set (pi := best_reply n tau P mu q') in *.
  destruct (logs pi) as [c [c' [Lm _]]]. destruct (nash_log n tau' P mu q' mu_policy N) as [d Lq].
  destruct (gibbs_log_const n mu (fun y => win n P q' y / tau) mu_policy) as [e Lb].
  assert (M : same n (mix pi) q').
  { apply (policy_by_log n (mix pi) q' ((1 - eta * tau) * e + c - d) (md_mix_policy n eta tau mu pi mu_policy) Hq).
    intros y Hy. rewrite (Lm y Hy), (Lq y Hy). unfold pi, best_reply. rewrite (Lb y Hy). field. lra. }
  split; [exact M |]. apply N10_fixed_point; [exact Hb |]. split.
  - intros y Hy. rewrite (M y Hy), (N y Hy). apply best_reply_same; [exact mu_policy | apply same_sym, M | exact Hy].
  - apply best_reply_same; [exact mu_policy | apply same_sym, M].
Qed.

(** N10.  The mixtures of Nash-MD are the iterates of MMD(eta, tau') ... *)
Theorem N10_mixture_is_mmd pi : same n (mix (step pi)) (mmd_step n eta tau' P mu (mix pi)).
Proof.
  destruct (logs pi) as [c [c' [_ Ls]]]. destruct (logs (step pi)) as [d [_ [Lm _]]].
  destruct (gibbs_log_const n mu (fun y => (ln (mix pi y) - ln (mu y) + eta * win n P (mix pi) y) / (1 + eta * tau')) mu_policy) as [e Lg].
  apply (policy_by_log n _ _ ((1 - eta * tau) * c' + d - e)); [apply md_mix_policy, mu_policy | |].
  - apply gibbs_policy; [apply (policy_n_pos n mu mu_policy) | apply mu_policy].
  - intros y Hy. unfold mmd_step. rewrite (Lg y Hy), (Lm y Hy), (Ls y Hy).
    replace (1 + eta * tau') with (/ (1 - eta * tau)) by (field; lra). field. lra.
Qed.

(** ... and of OMD(eta (1 - eta tau), tau'). *)
Theorem N10_mixture_is_omd pi : same n (mix (step pi)) (omd_step n (eta * (1 - eta * tau)) tau' P mu (mix pi)).
Proof.
  destruct (logs pi) as [c [c' [_ Ls]]]. destruct (logs (step pi)) as [d [_ [Lm _]]].
  destruct (gibbs_log_const n mu (fun y => (1 - eta * (1 - eta * tau) * tau') * (ln (mix pi y) - ln (mu y))
    + eta * (1 - eta * tau) * win n P (mix pi) y) mu_policy) as [e Lg].
  apply (policy_by_log n _ _ ((1 - eta * tau) * c' + d - e)); [apply md_mix_policy, mu_policy | |].
  - apply gibbs_policy; [apply (policy_n_pos n mu mu_policy) | apply mu_policy].
  - intros y Hy. unfold omd_step. rewrite (Lg y Hy), (Lm y Hy), (Ls y Hy). field. lra.
Qed.

Hypothesis P_unit : pref n P.

(** N10, bias.  The fixed point is within eta / (4 sqrt 3 tau) of the equilibrium at tau. *)
Theorem N10_bias pi q : policy n pi -> same n (step pi) pi -> is_nash n tau P mu q ->
  l1 n pi q <= eta / (4 * sqrt 3 * tau).
Proof.
  intros Hp F N. pose proof (proj1 P_unit) as HP. pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (md_mix_policy n eta tau mu pi mu_policy) as Hm. pose proof (policy_dist n _ Hm) as Dm.
  destruct (proj1 (N10_fixed_point pi Hp) F) as [_ B]. set (m := mix pi) in *.
  assert (S3 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra). assert (Q3 : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  (* the step moves m to pi by at most eta / (2 sqrt 3) *)
  assert (D : l1 n pi m <= eta / (2 * sqrt 3)).
  { assert (K : KL n m pi <= eta ^ 2 / 24).
    { rewrite (kl_same n m pi m (step pi)) by (intros y Hy; try reflexivity; symmetry; apply F, Hy).
      rewrite (N8_any_comparator n tau P mu mu_policy eta pi m Dm). fold m.
      pose proof (N9_subgaussian n P m P_unit Dm eta) as L. fold (log_moment n P eta m) in L.
      rewrite J_self by (exact HP || apply Hm). lra. }
    pose proof (E3_pinsker n m pi Dm Hp) as Pk. rewrite l1_sym in Pk. pose proof (l1_nonneg n pi m).
    apply Rsqr_incr_0_var; [| apply Rdiv_le_0_compat; lra]. unfold Rsqr.
    replace (eta / (2 * sqrt 3) * (eta / (2 * sqrt 3))) with (eta ^ 2 / (4 * (sqrt 3 * sqrt 3))) by (field; lra).
    rewrite Q3. lra. }
  (* the residual of pi at tau is P (m - pi) / tau up to a constant *)
  destruct (gibbs_log_const n mu (fun y => win n P m y / tau) mu_policy) as [e Lb].
  destruct (nash_log n tau P mu q mu_policy N) as [c Lq]. pose proof Hp as [_ Sp]. pose proof Hq as [_ Sq].
  assert (S : sym_kl n pi q = / tau * beats n P (fun y => pi y - q y) (fun y => m y - pi y)).
  { pose proof (beats_skew n P pi q HP ltac:(lra)) as K. unfold beats, expect in K |- *.
    transitivity (/ tau * sum n (fun y => (pi y - q y) * win n P (fun z => m z - pi z) y)
      + / tau * sum n (fun y => (pi y - q y) * win n P (fun z => pi z - q z) y)
      + (e - c) * sum n (fun y => pi y - q y)); [| rewrite K, (sum_minus n pi q), Sp, Sq; ring].
    unfold sym_kl. rewrite <- !sum_scal, <- !sum_plus. apply sum_ext. intros y Hy.
    assert (E : ln (pi y) = ln (mu y) + win n P m y / tau + e) by (rewrite (B y Hy) at 1; apply (Lb y Hy)).
    rewrite E, (Lq y Hy), !win_minus. field. lra. }
  pose proof (beats_l1 n P (fun y => pi y - q y) (fun y => m y - pi y) P_unit
    ltac:(rewrite sum_minus; lra) ltac:(rewrite sum_minus; destruct Hm; lra)) as BL.
  cbv beta in BL. fold (l1 n pi q) in BL. fold (l1 n m pi) in BL. rewrite (l1_sym n m pi) in BL.
  pose proof (pinsker_symmetric n pi q Hp Hq) as Pk. pose proof (l1_nonneg n pi q).
  assert (I : 0 < / tau) by (apply Rinv_0_lt_compat; exact tau_pos).
  replace (eta / (4 * sqrt 3 * tau)) with (/ tau * (eta / (2 * sqrt 3)) / 2) by (field; lra).
  destruct (Req_dec (l1 n pi q) 0) as [Z | Z].
  - rewrite Z. apply Rmult_le_pos; [| lra]. apply Rmult_le_pos; [lra | apply Rdiv_le_0_compat; lra].
  - apply Rmult_le_reg_l with (l1 n pi q); [lra |].
    apply (Rmult_le_compat_l (/ tau)) in BL; [| lra].
    assert (A : / tau * (l1 n pi q * l1 n pi m / 2) <= / tau * (l1 n pi q * (eta / (2 * sqrt 3)) / 2)).
    { apply Rmult_le_compat_l; [lra |]. pose proof (Rmult_le_compat_l (l1 n pi q) _ _ ltac:(lra) D). lra. }
    rewrite <- S in BL. lra.
Qed.

End FixedPoint.

(** N10, exact de-biasing.  Run at tau~ = tau / (1 + eta tau): at the fixed point the mixture is the equilibrium at tau. *)
Theorem N10_debiased n eta tau P mu pi : 0 < tau -> 0 < eta -> policy n mu -> policy n pi ->
  let t := tau / (1 + eta * tau) in
  same n (md_step n eta t P mu pi) pi -> is_nash n tau P mu (md_mix n eta t mu pi).
Proof.
  intros Ht He Hmu Hp t F. assert (Hb : 0 < eta * tau) by (apply Rmult_lt_0_compat; assumption).
  assert (T : 0 < t) by (apply Rdiv_lt_0_compat; lra).
  assert (B : eta * t = eta * tau / (1 + eta * tau)) by (unfold t; field; lra).
  assert (Lt : eta * t < 1).
  { rewrite B. apply Rmult_lt_reg_r with (1 + eta * tau); [lra |].
    replace (eta * tau / (1 + eta * tau) * (1 + eta * tau)) with (eta * tau) by (field; lra). lra. }
  destruct (proj1 (N10_fixed_point n eta t P mu T He Lt Hmu pi Hp) F) as [N _].
  replace tau with (t / (1 - eta * t)); [exact N |]. unfold t. field. split; [lra |].
  replace (1 + eta * tau - eta * tau) with 1 by ring. lra.
Qed.

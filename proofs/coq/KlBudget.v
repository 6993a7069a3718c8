(** * What a divergence buys (N23), and which policies can be equilibria (N22).

    Against the equilibrium q a policy wins by tau (KL(pi || mu) - KL(q || mu) - KL(pi || q)): at equal divergence from
    mu every policy loses to q by exactly tau KL(pi || q).  Said of two equilibria by each other, that is all of (b). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate.
Open Scope R_scope.

(** The mass of a set of responses. *)
Definition mass n (pi : nat -> R) (S : nat -> bool) : R := sum n (fun y => if S y then pi y else 0).

(** E_pi of the deviation of h from its mean, over a set: pi(S) (E_S h - E_pi h). *)
Definition lift n (pi h : nat -> R) (S : nat -> bool) : R :=
  sum n (fun y => if S y then pi y * (h y - expect n pi h) else 0).

(** What a set wins, it wins against the others: sum_S pi (P pi - 1/2) = sum_{S, S^c} pi_y pi_z (P_yz - 1/2). *)
Lemma wins_of_a_set n P pi (S : nat -> bool) : is_pref n P -> sum n pi = 1 ->
  sum n (fun y => (if S y then pi y else 0) * (win n P pi y - 1 / 2))
  = sum n (fun y => sum n (fun z => (if S y then pi y else 0) * (P y z - 1 / 2) * (if S z then 0 else pi z))).
Proof.
  intros HP Sp. set (a := fun y => if S y then pi y else 0).
  assert (Skew : sum n (fun y => sum n (fun z => a y * (P y z - 1 / 2) * a z)) = 0).
  { apply sum_skew. intros i j Hi Hj. pose proof (HP i j Hi Hj). replace (P j i) with (1 - P i j) by lra. field. }
  transitivity (sum n (fun y => sum n (fun z => a y * (P y z - 1 / 2) * pi z))).
  - apply sum_ext. intros y _. change (if S y then pi y else 0) with (a y). unfold win.
    transitivity (a y * (sum n (fun z => P y z * pi z) - 1 / 2 * sum n pi)); [rewrite Sp; ring |].
    rewrite <- sum_scal, <- sum_minus, <- sum_scal. apply sum_ext. intros; ring.
  - transitivity (sum n (fun y => sum n (fun z => a y * (P y z - 1 / 2) * (if S z then 0 else pi z)))
      + sum n (fun y => sum n (fun z => a y * (P y z - 1 / 2) * a z))); [| rewrite Skew, Rplus_0_r; reflexivity].
    rewrite <- sum_plus. apply sum_ext. intros y _. rewrite <- sum_plus. apply sum_ext. intros z _. unfold a. destruct (S z); ring.
Qed.

(** ... and that is at most pi(S) pi(S^c) / 2. *)
Lemma wins_at_most n P pi (S : nat -> bool) : pref n P -> dist n pi ->
  sum n (fun y => sum n (fun z => (if S y then pi y else 0) * (P y z - 1 / 2) * (if S z then 0 else pi z)))
  <= 1 / 2 * (mass n pi S * (1 - mass n pi S)).
Proof.
  intros [_ HP] [Pp Sp].
  assert (C : 1 - mass n pi S = sum n (fun z => if S z then 0 else pi z)).
  { unfold mass. rewrite <- Sp, <- sum_minus. apply sum_ext. intros z _. destruct (S z); ring. }
  rewrite C. unfold mass. rewrite sum_product, <- sum_scal. apply sum_le. intros y Hy. rewrite <- sum_scal. apply sum_le. intros z Hz.
  pose proof (HP y z Hy Hz). pose proof (Rmult_le_pos _ _ (Pp y Hy) (Pp z Hz)). destruct (S y), (S z); lra || nra.
Qed.

Section Budget.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

(** N23 (a).  P(pi > q) = 1/2 + tau (KL(pi || mu) - KL(q || mu) - KL(pi || q)). *)
Theorem N23_win_rate_against_the_equilibrium q pi : is_nash n tau P mu q -> dist n pi ->
  beats n P pi q = 1 / 2 + tau * (KL n pi mu - KL n q mu - KL n pi q).
Proof.
  intros N Hp. pose proof (J_against_nash n tau P mu tau_pos P_pref mu_policy q pi N Hp) as E.
  unfold J in E. lra.
Qed.

(** The equilibrium beats the reference by tau times their symmetric divergence. *)
Theorem N23_win_rate_over_the_reference q : is_nash n tau P mu q ->
  beats n P q mu = 1 / 2 + tau * (KL n q mu + KL n mu q).
Proof.
  intros N. pose proof (N23_win_rate_against_the_equilibrium q mu N (policy_dist n mu mu_policy)) as E.
  pose proof (nash_policy n tau P mu q mu_policy N) as [_ Sq].
  pose proof (beats_constant_sum n P mu q P_pref (proj2 mu_policy) Sq) as T.
  rewrite kl_self in E. lra.
Qed.

(** A policy with no more divergence than q does not beat q, and ties only if it is q. *)
Theorem N23_no_policy_beats_it_within_its_budget q pi : is_nash n tau P mu q -> dist n pi ->
  KL n pi mu <= KL n q mu -> beats n P pi q <= 1 / 2 /\ (beats n P pi q = 1 / 2 -> same n pi q).
Proof.
  intros N Hp B. pose proof (N23_win_rate_against_the_equilibrium q pi N Hp) as E.
  pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (kl_nonneg n pi q Hp Hq) as K. split; [nra |].
  intro T. apply kl_zero; [exact Hp | exact Hq |]. nra.
Qed.

Lemma lift_of_nash q S : is_nash n tau P mu q ->
  tau * lift n q (fun y => ln (q y) - ln (mu y)) S
  = sum n (fun y => sum n (fun z => (if S y then q y else 0) * (P y z - 1 / 2) * (if S z then 0 else q z))).
Proof.
  intro N. pose proof (nash_policy n tau P mu q mu_policy N) as [Hq Sq].
  destruct (residual_nash n tau P mu mu_policy q N) as [c Hc].
  assert (H : forall y, (y < n)%nat -> tau * (ln (q y) - ln (mu y)) = win n P q y + tau * c).
  { intros y Hy. specialize (Hc y Hy). unfold residual in Hc.
    replace (win n P q y) with (tau * (win n P q y / tau)) by (field; lra). rewrite <- Hc. ring. }
  assert (M : tau * expect n q (fun y => ln (q y) - ln (mu y)) = 1 / 2 + tau * c).
  { rewrite <- expect_scal. rewrite (expect_ext n q _ (fun y => win n P q y + tau * c) H).
    rewrite expect_plus, expect_const by exact Sq.
    pose proof (beats_self n P q P_pref Sq) as B. unfold beats in B. lra. }
  rewrite <- (wins_of_a_set n P q S P_pref Sq). unfold lift. rewrite <- sum_scal. apply sum_ext. intros y Hy.
  destruct (S y); [| ring]. specialize (H y Hy).
  replace (tau * (q y * (ln (q y) - ln (mu y) - expect n q (fun z => ln (q z) - ln (mu z)))))
    with (q y * (tau * (ln (q y) - ln (mu y)) - tau * expect n q (fun z => ln (q z) - ln (mu z)))) by ring.
  rewrite H, M. ring.
Qed.

End Budget.

(** N22, necessary for every set S: pi(S) (E_S h - E_pi h) <= pi(S) pi(S^c) / (2 tau) where pi is an equilibrium, that
    is, E_S h - E_{S^c} h <= 1/(2 tau). *)
Theorem N22_necessary n tau P mu q S : 0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q ->
  lift n q (fun y => ln (q y) - ln (mu y)) S <= mass n q S * (1 - mass n q S) / (2 * tau).
Proof.
  intros Ht [P_pref HP] Hmu N. pose proof (nash_policy n tau P mu q Hmu N) as [Hq Sq].
  pose proof (lift_of_nash n tau P mu Ht P_pref Hmu q S N) as E.
  pose proof (wins_at_most n P q S (conj P_pref HP) (policy_dist n q (conj Hq Sq))) as B.
  apply Rmult_le_reg_l with tau; [exact Ht |].
  replace (tau * (mass n q S * (1 - mass n q S) / (2 * tau))) with (1 / 2 * (mass n q S * (1 - mass n q S))) by (field; lra).
  rewrite E. exact B.
Qed.

(** N23 (c).  KL(q || mu) <= log(sinh(1/(2 tau)) / (1/(2 tau))) <= 1/(24 tau^2), for every P and mu. *)
Theorem N23_largest_divergence n tau P mu q : 0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q ->
  KL n q mu <= ln (sinh (/ tau / 2) / (/ tau / 2)) <= 1 / (24 * tau ^ 2).
Proof.
  intros Ht HP Hmu N. pose proof (nash_policy n tau P mu q Hmu N) as [Hq Sq].
  pose proof (policy_n_pos n mu Hmu) as Hn.
  assert (Hi : - / tau <> 0) by (apply Ropp_neq_0_compat, Rinv_neq_0_compat; lra).
  pose proof (N9_log_moment n P q HP (policy_dist n q (conj Hq Sq)) (- / tau) Hi) as [B1 B2].
  assert (E : KL n q mu = ln (expect n q (fun y => exp (- / tau * (win n P q y - 1 / 2))))).
  { set (Z := gibbs_norm n mu (fun y => win n P q y / tau)).
    assert (Z_pos : 0 < Z) by (apply gibbs_norm_pos; [exact Hn | apply Hmu]).
    assert (X : expect n q (fun y => exp (- / tau * (win n P q y - 1 / 2))) = exp (/ (2 * tau)) / Z).
    { unfold expect. transitivity (sum n (fun y => exp (/ (2 * tau)) / Z * mu y)).
      - apply sum_ext. intros y Hy. rewrite (N y Hy) at 1. unfold best_reply, gibbs. fold Z.
        replace (- / tau * (win n P q y - 1 / 2)) with (/ (2 * tau) + - (win n P q y / tau)) by (field; lra).
        rewrite exp_plus, exp_Ropp. pose proof (exp_pos (win n P q y / tau)). field. lra.
      - rewrite sum_scal, (proj2 Hmu). ring. }
    rewrite X, ln_div, ln_exp by (apply exp_pos || exact Z_pos).
    transitivity (expect n q (fun y => win n P q y / tau) - ln Z).
    - unfold KL, expect. rewrite <- (Rmult_1_l (ln Z)), <- Sq, <- sum_scal_r, <- sum_minus. apply sum_ext. intros y Hy.
      rewrite (N y Hy) at 2. rewrite best_reply_log by assumption. fold Z. ring.
    - pose proof (beats_self n P q (proj1 HP) Sq) as W. unfold beats in W.
      rewrite (expect_ext n q _ (fun y => / tau * win n P q y)) by (intros; unfold Rdiv; ring).
      rewrite expect_scal, W. field. lra. }
  rewrite E.
  assert (Even : sinh (- / tau / 2) / (- / tau / 2) = sinh (/ tau / 2) / (/ tau / 2)).
  { rewrite <- (sinh_even (/ tau / 2)) by (apply Rgt_not_eq, Rdiv_lt_0_compat; [apply Rinv_0_lt_compat; exact Ht | lra]).
    f_equal; [f_equal |]; field; lra. }
  rewrite Even in B1, B2. split; [exact B1 |].
  replace (1 / (24 * tau ^ 2)) with ((- / tau) ^ 2 / 24) by (field; lra). exact B2.
Qed.

(** N23 (b).  Two temperatures, exactly: (tau - tau') (KL(q' || mu) - KL(q || mu)) = tau KL(q' || q) + tau' KL(q || q').  So the colder
    equilibrium is the farther from mu, strictly unless they are the same. *)
Theorem N23_two_temperatures n tau tau' P mu q q' : 0 < tau -> 0 < tau' -> is_pref n P -> policy n mu ->
  is_nash n tau P mu q -> is_nash n tau' P mu q' ->
  (tau - tau') * (KL n q' mu - KL n q mu) = tau * KL n q' q + tau' * KL n q q'.
Proof.
  intros Ht Ht' HP Hmu N N'. pose proof (nash_policy n tau P mu q Hmu N) as Hq. pose proof (nash_policy n tau' P mu q' Hmu N') as Hq'.
  pose proof (N23_win_rate_against_the_equilibrium n tau P mu Ht HP Hmu q q' N (policy_dist n q' Hq')) as W.
  pose proof (N23_win_rate_against_the_equilibrium n tau' P mu Ht' HP Hmu q' q N' (policy_dist n q Hq)) as W'.
  pose proof (beats_constant_sum n P q q' HP (proj2 Hq) (proj2 Hq')) as C. lra.
Qed.

Corollary N23_divergence_grows n tau tau' P mu q q' : 0 < tau' < tau -> is_pref n P -> policy n mu ->
  is_nash n tau P mu q -> is_nash n tau' P mu q' ->
  KL n q mu <= KL n q' mu /\ (KL n q mu = KL n q' mu -> same n q q').
Proof.
  intros Ht HP Hmu N N'. pose proof (nash_policy n tau P mu q Hmu N) as Hq. pose proof (nash_policy n tau' P mu q' Hmu N') as Hq'.
  pose proof (N23_two_temperatures n tau tau' P mu q q' ltac:(lra) ltac:(lra) HP Hmu N N') as E.
  pose proof (kl_nonneg n q q' (policy_dist n q Hq) Hq') as K. pose proof (kl_nonneg n q' q (policy_dist n q' Hq') Hq) as K'.
  split; [nra |]. intro Eq. apply (kl_zero n q q' (policy_dist n q Hq) Hq'). rewrite Eq in E. nra.
Qed.

(** ** The frontier, W(kappa) = inf over lambda > 0 of (kappa + log((e^lambda - 1)/lambda))/lambda *)

Definition frontier_at (kappa lam : R) : R := (kappa + ln ((exp lam - 1) / lam)) / lam.
Definition frontier (kappa : R) : R := real (Glb_Rbar (fun w => exists lam, 0 < lam /\ w = frontier_at kappa lam)).

Lemma frontier_at_sinh kappa lam : 0 < lam -> frontier_at kappa lam = 1 / 2 + (kappa + ln (sinh (lam / 2) / (lam / 2))) / lam.
Proof.
  intro L. unfold frontier_at. pose proof (sinh_pos (lam / 2) ltac:(lra)) as S.
  replace ((exp lam - 1) / lam) with (exp (lam / 2) * (sinh (lam / 2) / (lam / 2))).
  - rewrite ln_mult, ln_exp by (apply exp_pos || (apply Rdiv_lt_0_compat; lra)). field. lra.
  - rewrite sinh_exp, exp_Ropp. replace (exp lam) with (exp (lam / 2) * exp (lam / 2)) by (rewrite <- exp_plus; f_equal; field).
    pose proof (exp_pos (lam / 2)). field. lra.
Qed.

Lemma frontier_at_least_half kappa lam : 0 <= kappa -> 0 < lam -> 1 / 2 <= frontier_at kappa lam.
Proof.
  intros K L. rewrite frontier_at_sinh by exact L. set (x := lam / 2). assert (X : 0 < x) by (unfold x; lra).
  assert (S : x <= sinh x).
  { pose proof (minimum_at (fun t => sinh t - t) (fun t => cosh t - 1) 0 x) as M. rewrite Rmin_left, Rmax_right in M by lra.
    cbv beta in M. replace (sinh 0 - 0) with 0 in M by (rewrite sinh_exp, Ropp_0; field).
    enough (0 <= sinh x - x) by lra. apply M.
    - intros t _. unfold sinh, cosh. auto_derive; [exact I | field].
    - intros t Ht. apply Rmult_le_pos; [| lra]. unfold cosh. pose proof (exp_ge_line t). pose proof (exp_ge_line (- t)). lra. }
  assert (0 <= ln (sinh x / x)).
  { rewrite <- ln_1. apply ln_le_mono; [lra |]. apply Rmult_le_reg_r with x; [exact X |]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l; lra. }
  assert (0 <= (kappa + ln (sinh x / x)) / lam) by (apply Rdiv_le_0_compat; lra). lra.
Qed.

(** W is the infimum, not less than 1/2. *)
Lemma frontier_spec kappa : 0 <= kappa -> 1 / 2 <= frontier kappa /\ (forall lam, 0 < lam -> frontier kappa <= frontier_at kappa lam) /\
  forall w, (forall lam, 0 < lam -> w <= frontier_at kappa lam) -> w <= frontier kappa.
Proof.
  intro K. unfold frontier. set (E := fun w => exists lam, 0 < lam /\ w = frontier_at kappa lam).
  destruct (Glb_Rbar_correct E) as [Lower Greatest].
  assert (Above : forall w, (forall lam, 0 < lam -> w <= frontier_at kappa lam) -> is_lb_Rbar E w)
    by (intros w B x [lam [L ->]]; apply B, L).
  pose proof (fun w B => Greatest (Finite w) (Above w B)) as Best.
  pose proof (Best (1 / 2) (fun lam => frontier_at_least_half kappa lam K)) as Half.
  pose proof (fun lam (L : 0 < lam) => Lower (frontier_at kappa lam) (ex_intro _ lam (conj L eq_refl))) as Each.
  destruct (Glb_Rbar E) as [g | |]; simpl in *; [| destruct (Each 1 Rlt_0_1) | destruct Half].
  split; [exact Half |]. split; [exact Each | exact Best].
Qed.

(** N23 (d).  A divergence from any opponent buys a win rate of at most W, ... *)
Theorem N23_frontier n P nu pi : pref n P -> policy n nu -> dist n pi -> beats n P pi nu <= frontier (KL n pi nu).
Proof.
  intros HP Hnu Hpi. apply (frontier_spec _ (kl_nonneg n pi nu Hpi Hnu)). intros lam L. rewrite frontier_at_sinh by exact L.
  pose proof (variational n nu pi (fun y => lam * (win n P nu y - 1 / 2)) Hnu Hpi) as V. cbv beta in V.
  destruct (N9_log_moment n P nu HP (policy_dist n nu Hnu) lam ltac:(lra)) as [M _].
  rewrite expect_scal, expect_minus, expect_const in V by apply Hpi. fold (beats n P pi nu) in V.
  apply Rmult_le_reg_l with lam; [exact L |].
  replace (lam * (1 / 2 + (KL n pi nu + ln (sinh (lam / 2) / (lam / 2))) / lam))
    with (lam / 2 + (KL n pi nu + ln (sinh (lam / 2) / (lam / 2)))) by (field; lra). lra.
Qed.

(** ... and so does any opponent's divergence from oneself. *)
Corollary N23_frontier_reversed n P nu pi : pref n P -> dist n nu -> policy n pi -> beats n P pi nu <= frontier (KL n nu pi).
Proof.
  intros HP Hnu Hpi. set (Q := fun y z => P z y).
  assert (HQ : pref n Q) by (destruct HP as [S B]; split; intros y z Hy Hz; [apply (S z y) | apply B]; assumption).
  pose proof (N23_frontier n Q pi nu HQ Hpi Hnu) as F.
  replace (beats n P pi nu) with (beats n Q nu pi); [exact F |].
  rewrite !beats_sum, sum_swap. apply sum_ext. intros y _. apply sum_ext. intros z _. unfold Q. ring.
Qed.

(** W(kappa) <= 1/2 + sqrt(kappa / 6). *)
Theorem N23_frontier_simple kappa : 0 <= kappa -> frontier kappa <= 1 / 2 + sqrt (kappa / 6).
Proof.
  intro K. destruct (frontier_spec kappa K) as [_ [Each _]].
  assert (Line : forall lam, 0 < lam -> frontier kappa <= 1 / 2 + kappa / lam + lam / 24).
  { intros lam L. eapply Rle_trans; [apply Each, L |]. rewrite frontier_at_sinh by exact L.
    pose proof (log_sinh (lam / 2) ltac:(lra)) as S.
    apply Rmult_le_reg_r with lam; [exact L |].
    replace ((1 / 2 + (kappa + ln (sinh (lam / 2) / (lam / 2))) / lam) * lam) with (lam / 2 + kappa + ln (sinh (lam / 2) / (lam / 2))) by (field; lra).
    replace ((1 / 2 + kappa / lam + lam / 24) * lam) with (lam / 2 + kappa + lam ^ 2 / 24) by (field; lra). lra. }
  destruct K as [K | <-].
  - assert (S : 0 < sqrt (kappa / 6)) by (apply sqrt_lt_R0; lra). pose proof (sqrt_sqrt (kappa / 6) ltac:(lra)) as S2.
    pose proof (Line (12 * sqrt (kappa / 6)) ltac:(lra)) as B.
    replace (kappa / (12 * sqrt (kappa / 6))) with (sqrt (kappa / 6) / 2) in B; [lra |].
    apply Rmult_eq_reg_r with (12 * sqrt (kappa / 6)); [| lra].
    replace (kappa / (12 * sqrt (kappa / 6)) * (12 * sqrt (kappa / 6))) with kappa by (field; lra). lra.
  - replace (0 / 6) with 0 by field. rewrite sqrt_0. apply Rnot_lt_le. intro G.
    pose proof (Line (12 * (frontier 0 - 1 / 2)) ltac:(lra)) as B.
    replace (0 / (12 * (frontier 0 - 1 / 2))) with 0 in B by (field; lra). lra.
Qed.

(** The best replies to mu are on it: none of no more divergence from mu wins more. *)
Theorem N23_best_replies n tau P mu pi : 0 < tau -> policy n mu -> dist n pi ->
  KL n pi mu <= KL n (best_reply n tau P mu mu) mu -> beats n P pi mu <= beats n P (best_reply n tau P mu mu) mu.
Proof.
  intros Ht Hmu Hpi B. pose proof (policy_n_pos n mu Hmu) as Hn. set (b := best_reply n tau P mu mu) in *.
  pose proof (best_reply_policy n tau P mu mu Hmu) as Hb. fold b in Hb.
  assert (E : forall p, sum n p = 1 -> beats n P p mu = tau * (KL n p mu - KL n p b + ln (gibbs_norm n mu (fun y => win n P mu y / tau)))).
  { intros p Sp. unfold b, best_reply. rewrite (kl_gibbs n mu Hn (proj1 Hmu) _ p Sp).
    rewrite (expect_ext n p (fun y => win n P mu y / tau) (fun y => / tau * win n P mu y)) by (intros; field; lra).
    rewrite expect_scal. unfold beats. field. lra. }
  rewrite (E pi (proj2 Hpi)), (E b (proj2 Hb)), kl_self. pose proof (kl_nonneg n pi b Hpi Hb).
  apply Rmult_le_compat_l; lra.
Qed.

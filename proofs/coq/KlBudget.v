(** * What a divergence buys (N23), and which policies can be equilibria (N22).

    Against the equilibrium q a policy wins by tau (KL(pi || mu) - KL(q || mu) - KL(pi || q)): at equal divergence from
    mu every policy loses to q by exactly tau KL(pi || q). *)

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

(** N23 (d), in its simple form: a divergence from any opponent buys a win rate of at most 1/2 + sqrt(KL / 6). *)
Theorem N23_frontier n P nu pi : pref n P -> policy n nu -> dist n pi ->
  beats n P pi nu <= 1 / 2 + sqrt (KL n pi nu / 6).
Proof.
  intros HP Hnu Hpi. pose proof (N9_transport n P nu pi HP Hnu Hpi) as T.
  pose proof (kl_nonneg n pi nu Hpi Hnu) as K.
  destruct (Rle_dec (beats n P pi nu - 1 / 2) 0) as [L | G].
  - pose proof (sqrt_pos (KL n pi nu / 6)). lra.
  - apply sqrt_le_1_alt in T. rewrite sqrt_pow2 in T by lra. lra.
Qed.

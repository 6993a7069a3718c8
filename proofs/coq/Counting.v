(** * Equilibria from counted comparisons: one table (N20), the best design (N21), lotteries of a box (N27), winners (S2). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate MaximalLottery LogMean KlBudget Bandits.
Open Scope R_scope.

(** N20 (a).  With X = (P' - P) q / tau, KL(q || q') <= log E_q e^X for the equilibrium q' of any other table P'.  The
    weights in X are those of q, which is no part of the data: that is why X concentrates. *)
Theorem N20_one_table n tau P P' mu q q' : 0 < tau -> is_pref n P -> is_pref n P' -> policy n mu ->
  is_nash n tau P mu q -> is_nash n tau P' mu q' ->
  KL n q q' <= ln (expect n q (fun y => exp ((win n P' q y - win n P q y) / tau))).
Proof.
  intros Ht HP HP' Hmu N N'.
  pose proof (nash_policy n tau P mu q Hmu N) as Hq. pose proof Hq as [_ Sq].
  pose proof (N14_lower n tau P' mu Ht HP' Hmu q' q N' (policy_dist n q Hq)) as L.
  rewrite (N15_gap_by_residual n tau P' mu Ht HP' Hmu q Hq) in L.
  destruct (residual_nash n tau P mu Hmu q N) as [c Hc].
  assert (R : forall y, (y < n)%nat ->
    residual n tau P' mu q y = c - (win n P' q y - win n P q y) / tau).
  { intros y Hy. rewrite <- (Hc y Hy). unfold residual. field. lra. }
  assert (Mean : expect n q (residual n tau P' mu q) = c).
  { rewrite (expect_ext n q _ (fun y => c - / tau * (win n P' q y - win n P q y)))
      by (intros y Hy; rewrite R by exact Hy; field; lra).
    rewrite expect_minus, expect_const, expect_scal, expect_minus by exact Sq.
    pose proof (beats_self n P q HP Sq) as B. pose proof (beats_self n P' q HP' Sq) as B'.
    unfold beats in B, B'. change (expect n q (fun y => win n P' q y)) with (expect n q (win n P' q)).
    change (expect n q (fun y => win n P q y)) with (expect n q (win n P q)). rewrite B, B'. ring. }
  rewrite (expect_ext n q (fun y => exp (- (residual n tau P' mu q y - expect n q (residual n tau P' mu q))))
    (fun y => exp ((win n P' q y - win n P q y) / tau))) in L.
  - apply Rmult_le_reg_l with tau; assumption.
  - intros y Hy. rewrite Mean, R by exact Hy. f_equal. ring.
Qed.

(** N20 (b), up to Hoeffding's lemma for independent rows: tables T k with probabilities w k, X k = (T k - P) q / tau; if
    E e^(X y) <= e^(s y) for every y, then E KL(q || q') <= log E_q e^s. *)
Theorem N20_mean n tau P mu q K w (T : nat -> nat -> nat -> R) (q' : nat -> nat -> R) s :
  0 < tau -> is_pref n P -> policy n mu -> is_nash n tau P mu q -> dist K w ->
  (forall k, (k < K)%nat -> is_pref n (T k) /\ is_nash n tau (T k) mu (q' k)) ->
  (forall y, (y < n)%nat -> expect K w (fun k => exp ((win n (T k) q y - win n P q y) / tau)) <= exp (s y)) ->
  expect K w (fun k => KL n q (q' k)) <= ln (expect n q (fun y => exp (s y))).
Proof.
  intros Ht HP Hmu N Hw HT Row. pose proof (nash_policy n tau P mu q Hmu N) as Hq.
  set (X := fun k y => exp ((win n (T k) q y - win n P q y) / tau)).
  assert (Pos : forall k, 0 < expect n q (X k)).
  { intro k. apply sum_pos; [apply (policy_n_pos n q Hq) |]. intros y Hy. apply Rmult_lt_0_compat; [apply Hq, Hy | apply exp_pos]. }
  assert (One : forall k, (k < K)%nat -> KL n q (q' k) <= ln (expect n q (X k))).
  { intros k Hk. destruct (HT k Hk) as [Hp Hn]. apply (N20_one_table n tau P (T k) mu); assumption. }
  eapply Rle_trans; [apply (expect_le K w _ _ Hw One) |].
  eapply Rle_trans; [apply mean_of_logarithms; [exact Hw | intros k _; apply Pos] |].
  apply ln_le_mono.
  - assert (K0 : (0 < K)%nat) by apply (dist_n_pos K w Hw).
    destruct (positive_minimum K (fun k => expect n q (X k)) (fun k _ => Pos k)) as [a [Ha La]].
    apply Rlt_le_trans with a; [exact Ha |]. rewrite <- (expect_const K w a (proj2 Hw)). apply expect_le; assumption.
  - assert (Swap : expect K w (fun k => expect n q (X k)) = expect n q (fun y => expect K w (fun k => X k y))).
    { unfold expect. rewrite (sum_ext K _ (fun k => sum n (fun y => w k * (q y * X k y)))).
      2: { intros k _. symmetry. apply sum_scal. }
      rewrite sum_swap. apply sum_ext. intros y _. rewrite <- sum_scal. apply sum_ext. intros. ring. }
    rewrite Swap. apply expect_le; [apply policy_dist, Hq | exact Row].
Qed.

(** N20 (b), the constant: V = sum_{i<j} q_i q_j (q_i + q_j) / m = sum_i q_i^2 (1 - q_i) / m is at most 1/(4m) for every n. *)
Theorem N20_variance_constant n q : dist n q -> sum n (fun i => q i ^ 2 * (1 - q i)) <= 1 / 4.
Proof.
  intros [Hq S]. replace (1 / 4) with (sum n (fun i => q i * (1 / 4))) by (rewrite sum_scal_r, S; ring).
  apply sum_le. intros i Hi. pose proof (Hq i Hi). pose proof (pow2_ge_0 (q i - 1 / 2)).
  replace (q i ^ 2 * (1 - q i)) with (q i * (q i * (1 - q i))) by ring. apply Rmult_le_compat_l; nra.
Qed.

(** N21 (b).  Of all designs m with M comparisons over the pairs, V = sum c/m is least, (sum sqrt c)^2 / M, ... *)
Theorem N21_no_design_is_better k (c m : nat -> R) :
  (forall p, (p < k)%nat -> 0 <= c p) -> (forall p, (p < k)%nat -> 0 < m p) ->
  (sum k (fun p => sqrt (c p))) ^ 2 <= sum k (fun p => c p / m p) * sum k m.
Proof.
  intros Hc Hm. pose proof (sum_cauchy_schwarz k (fun p => sqrt (c p / m p)) (fun p => sqrt (m p))) as C. cbv beta in C.
  rewrite (sum_ext k (fun p => sqrt (c p / m p) * sqrt (m p)) (fun p => sqrt (c p))),
    (sum_ext k (fun p => sqrt (c p / m p) ^ 2) (fun p => c p / m p)),
    (sum_ext k (fun p => sqrt (m p) ^ 2) m) in C; [exact C | | |]; intros p Hp; pose proof (Hc p Hp); pose proof (Hm p Hp).
  - rewrite <- Rsqr_pow2. apply Rsqr_sqrt. lra.
  - rewrite <- Rsqr_pow2. apply Rsqr_sqrt. apply Rdiv_le_0_compat; lra.
  - rewrite <- sqrt_mult_alt by (apply Rdiv_le_0_compat; lra). f_equal. field. lra.
Qed.

(** ... where m is proportional to sqrt c. *)
Theorem N21_best_design k (c : nat -> R) a : 0 < a -> (forall p, (p < k)%nat -> 0 < c p) ->
  sum k (fun p => c p / (a * sqrt (c p))) * sum k (fun p => a * sqrt (c p)) = (sum k (fun p => sqrt (c p))) ^ 2.
Proof.
  intros Ha Hc. rewrite sum_scal, (sum_ext k _ (fun p => / a * sqrt (c p))).
  - rewrite sum_scal. field. lra.
  - intros p Hp. pose proof (Hc p Hp) as H. pose proof (sqrt_lt_R0 _ H). pose proof (sqrt_sqrt (c p) ltac:(lra)) as Q.
    rewrite <- Q at 1. field. lra.
Qed.

(** N27.  A maximal lottery of any P in the box L <= P, P' = 1 - P below, wins at most half against every L. *)
Theorem N27_box n P L x : dist n x -> (forall y, (y < n)%nat -> win n P x y <= 1 / 2) ->
  (forall y z, (y < n)%nat -> (z < n)%nat -> L y z <= P y z) -> forall y, (y < n)%nat -> win n L x y <= 1 / 2.
Proof.
  intros [Hx _] Lottery Box y Hy. eapply Rle_trans; [| apply Lottery, Hy]. unfold win. apply sum_le. intros z Hz.
  apply Rmult_le_compat_r; [apply Hx, Hz | apply Box; assumption].
Qed.

(** S2.  A response that beats every other has all the mass of every maximal lottery. *)
Theorem S2_winner_takes_all n A x k : skew n A -> accepted n A x -> (k < n)%nat ->
  (forall z, (z < n)%nat -> z <> k -> 0 < A k z) -> forall z, (z < n)%nat -> z <> k -> x z = 0.
Proof.
  intros HA [[Hx S] H] Hk Win z Hz Nz.
  pose proof (H k Hk) as W. unfold win in W.
  assert (Diag : A k k = 0) by (pose proof (HA k k Hk Hk); lra).
  assert (Pos : forall i, (i < n)%nat -> 0 <= A k i * x i).
  { intros i Hi. destruct (Nat.eq_dec i k) as [-> | N]; [rewrite Diag, Rmult_0_l; lra |].
    pose proof (Win i Hi N). pose proof (Hx i Hi). apply Rmult_le_pos; lra. }
  assert (Zero : sum n (fun i => A k i * x i) = 0).
  { apply Rle_antisym; [exact W | apply sum_nonneg, Pos]. }
  pose proof (sum_nonneg_zero n (fun i => A k i * x i) Pos Zero z Hz) as E. cbv beta in E.
  pose proof (Win z Hz Nz). apply Rmult_integral in E. destruct E as [E | E]; [lra | exact E].
Qed.

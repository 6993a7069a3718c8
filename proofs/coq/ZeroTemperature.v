(** * The zero-temperature limit (E5): the equilibrium selects the maximal lottery closest to mu.

    Along the path of equilibria KL(q_tau || mu) grows as tau falls and bounds the distance travelled,
    so the path has a limit: the only minimiser of KL(. || mu) among the equilibria of P itself. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate NashMD Existence.
Open Scope R_scope.

(** A maximal lottery: a distribution that no other beats. *)
Definition lottery n P (nu : nat -> R) : Prop := dist n nu /\ forall p, dist n p -> beats n P p nu <= 1 / 2.

Section ZeroTemperature.

Variables (n : nat) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

(** E5.  A Pythagorean inequality for every maximal lottery: KL(nu || q_tau) + KL(q_tau || mu) <= KL(nu || mu). *)
Theorem E5_pythagoras tau q nu : 0 < tau -> is_nash n tau P mu q -> lottery n P nu -> KL n nu q + KL n q mu <= KL n nu mu.
Proof.
  intros Ht N [Dnu L]. pose proof (policy_dist n q (nash_policy n tau P mu q mu_policy N)) as Dq.
  pose proof (J_against_nash n tau P mu Ht P_pref mu_policy q nu N Dnu) as E. unfold J in E.
  pose proof (L q Dq). pose proof (beats_constant_sum n P nu q P_pref (proj2 Dnu) (proj2 Dq)).
  apply Rmult_le_reg_l with tau; lra.
Qed.

(** E5.  q_tau is a maximal lottery up to tau KL(p || mu) against a challenger p. *)
Theorem E5_approximate_lottery tau q p : 0 < tau -> is_nash n tau P mu q -> dist n p ->
  beats n P p q <= 1 / 2 + tau * KL n p mu.
Proof.
  intros Ht N Dp. pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (J_against_nash n tau P mu Ht P_pref mu_policy q p N Dp) as E. unfold J in E.
  pose proof (kl_nonneg n p q Dp Hq). pose proof (kl_nonneg n q mu (policy_dist n q Hq) mu_policy).
  assert (0 <= tau * KL n p q) by (apply Rmult_le_pos; lra). assert (0 <= tau * KL n q mu) by (apply Rmult_le_pos; lra). lra.
Qed.

(** Two points of the path: tau KL(q'||q) + tau' KL(q||q') = (tau - tau') (KL(q'||mu) - KL(q||mu)). *)
Lemma path_identity tau tau' q q' : 0 < tau -> 0 < tau' -> is_nash n tau P mu q -> is_nash n tau' P mu q' ->
  tau * KL n q' q + tau' * KL n q q' = (tau - tau') * (KL n q' mu - KL n q mu).
Proof.
  intros Ht Ht' N N'.
  destruct (nash_log n tau P mu q mu_policy N) as [c L]. destruct (nash_log n tau' P mu q' mu_policy N') as [c' L'].
  destruct (nash_policy n tau P mu q mu_policy N) as [_ S]. destruct (nash_policy n tau' P mu q' mu_policy N') as [_ S'].
  pose proof (beats_skew n P q q' P_pref ltac:(lra)) as K. unfold beats, expect in K.
  assert (Z : sum n (fun y => (q y - q' y) * (tau * (ln (q y) - ln (mu y)) - tau' * (ln (q' y) - ln (mu y)))) = 0).
  { transitivity (sum n (fun y => (q y - q' y) * win n P (fun z => q z - q' z) y) + (tau * c - tau' * c') * sum n (fun y => q y - q' y));
      [| rewrite K, sum_minus, S, S'; ring].
    rewrite <- sum_scal, <- sum_plus. apply sum_ext. intros y Hy. rewrite (L y Hy), (L' y Hy), win_minus. field. lra. }
  enough (E : tau * KL n q' q + tau' * KL n q q' - (tau - tau') * (KL n q' mu - KL n q mu) = 0) by lra.
  rewrite <- Z. unfold KL. rewrite <- (sum_minus n (fun y => q' y * (ln (q' y) - ln (mu y)))).
  rewrite <- !sum_scal, <- sum_plus, <- sum_minus. apply sum_ext. intros; ring.
Qed.

(** Cooling from tau to tau' moves the equilibrium no more than KL(. || mu) grows. *)
Lemma path_distance tau tau' q q' : 0 < tau' -> tau' < tau -> is_nash n tau P mu q -> is_nash n tau' P mu q' ->
  KL n q' q <= KL n q' mu - KL n q mu.
Proof.
  intros Ht' Hlt N N'. pose proof (path_identity tau tau' q q' ltac:(lra) Ht' N N') as E.
  pose proof (nash_policy n tau P mu q mu_policy N) as Hq. pose proof (nash_policy n tau' P mu q' mu_policy N') as Hq'.
  pose proof (kl_nonneg n q' q (policy_dist n q' Hq') Hq) as K1. pose proof (kl_nonneg n q q' (policy_dist n q Hq) Hq') as K2.
  assert (A1 : 0 <= tau * KL n q' q) by (apply Rmult_le_pos; lra). assert (A2 : 0 <= tau' * KL n q q') by (apply Rmult_le_pos; lra).
  assert (D : 0 <= KL n q' mu - KL n q mu) by (apply Rmult_le_reg_l with (tau - tau'); lra).
  assert (A3 : 0 <= tau' * (KL n q' mu - KL n q mu)) by (apply Rmult_le_pos; lra).
  apply Rmult_le_reg_l with tau; lra.
Qed.

(** The path, one equilibrium for every temperature: it exists and is unique by E1. *)
Variable q : R -> nat -> R.
Hypothesis path : forall tau, 0 < tau -> is_nash n tau P mu (q tau).

Definition cold (k : nat) : R := / (INR k + 1).
Definition height (tau : R) : R := KL n (q tau) mu.

Lemma cold_pos k : 0 < cold k.
Proof. apply Rinv_0_lt_compat. pose proof (pos_INR k). lra. Qed.

Lemma path_policy tau : 0 < tau -> policy n (q tau).
Proof. intro Ht. apply (nash_policy n tau P mu _ mu_policy (path tau Ht)). Qed.

Lemma height_decreasing tau tau' : 0 < tau' -> tau' < tau -> height tau <= height tau'.
Proof.
  intros Ht' Hlt. pose proof (path_distance tau tau' _ _ Ht' Hlt (path tau ltac:(lra)) (path tau' Ht')) as D.
  pose proof (kl_nonneg n (q tau') (q tau) (policy_dist n _ (path_policy tau' Ht')) (path_policy tau ltac:(lra))).
  unfold height. lra.
Qed.

Lemma path_l1 tau tau' : 0 < tau' -> tau' < tau -> l1 n (q tau') (q tau) ^ 2 <= 2 * (height tau' - height tau).
Proof.
  intros Ht' Hlt. pose proof (path_distance tau tau' _ _ Ht' Hlt (path tau ltac:(lra)) (path tau' Ht')) as D.
  pose proof (E3_pinsker n (q tau') (q tau) (policy_dist n _ (path_policy tau' Ht')) (path_policy tau ltac:(lra))).
  unfold height. lra.
Qed.

Lemma cold_below tau : 0 < tau -> exists k, cold k < tau.
Proof.
  intro Ht. destruct (nfloor_ex (/ tau)) as [k [_ Hk]]; [apply Rlt_le, Rinv_0_lt_compat, Ht |]. exists k.
  unfold cold. rewrite <- (Rinv_inv tau). apply Rinv_lt_contravar; [| exact Hk].
  pose proof (Rinv_0_lt_compat tau Ht). pose proof (pos_INR k). apply Rmult_lt_0_compat; lra.
Qed.

Lemma cold_step k : cold (S k) < cold k.
Proof.
  unfold cold. rewrite S_INR. pose proof (pos_INR k). apply Rinv_lt_contravar; [apply Rmult_lt_0_compat |]; lra.
Qed.

(** The height converges, and no temperature exceeds its limit. *)
Lemma height_limit : exists A : R, is_lim_seq (fun k => height (cold k)) A /\ forall tau, 0 < tau -> height tau <= A.
Proof.
  destruct (kl_reference_bound n mu mu_policy) as [M [_ HM]].
  assert (Inc : forall k, height (cold k) <= height (cold (S k)))
    by (intro k; apply height_decreasing; [apply cold_pos | apply cold_step]).
  destruct (ex_finite_lim_seq_incr (fun k => height (cold k)) M Inc
    ltac:(intro k; apply HM, path_policy, cold_pos)) as [A HA].
  exists A. split; [exact HA |]. intros tau Ht. destruct (cold_below tau Ht) as [k Hk].
  pose proof (height_decreasing tau (cold k) (cold_pos k) Hk).
  pose proof (is_lim_seq_incr_compare (fun k => height (cold k)) A HA Inc k) as C. simpl in C. lra.
Qed.

Lemma path_cauchy (A : R) : is_lim_seq (fun k => height (cold k)) A -> (forall tau, 0 < tau -> height tau <= A) ->
  forall eps, 0 < eps -> exists T, 0 < T /\
    forall s t, 0 < s -> s < T -> 0 < t -> t < T -> l1 n (q s) (q t) < eps.
Proof.
  intros HA HM eps He. apply is_lim_seq_spec in HA.
  assert (Hd : 0 < eps ^ 2 / 2) by (apply Rdiv_lt_0_compat; [apply pow_lt, He | lra]).
  destruct (HA (mkposreal _ Hd)) as [k Hk].
  specialize (Hk k (Nat.le_refl k)). simpl in Hk. apply Rabs_lt_between in Hk.
  exists (cold k). split; [apply cold_pos |].
  assert (Ord : forall s t, 0 < s -> s < t -> t < cold k -> l1 n (q s) (q t) < eps).
  { intros s t Hs Hst Ht. pose proof (path_l1 t s Hs Hst) as L. pose proof (HM s Hs).
    pose proof (height_decreasing (cold k) t ltac:(lra) Ht). pose proof (l1_nonneg n (q s) (q t)).
    apply Rsqr_incrst_0; [unfold Rsqr; nra | assumption | lra]. }
  intros s t Hs Hsk Ht Htk. destruct (Rtotal_order s t) as [H | [-> | H]].
  - apply Ord; assumption.
  - unfold l1. rewrite (sum_ext n _ (fun _ => 0)); [rewrite sum_zero; exact He |]. intros y _. rewrite Rminus_eq_0. apply Rabs_R0.
  - rewrite l1_sym. apply Ord; assumption.
Qed.

(** E5, tau to 0.  The equilibrium q_tau converges to a maximal lottery nu, and nu is the only minimiser of KL(. || mu)
    among the maximal lotteries. *)
Theorem E5_zero_temperature : exists nu, lottery n P nu /\
  (forall nu', lottery n P nu' -> KL n nu mu <= KL n nu' mu) /\
  (forall nu', lottery n P nu' -> KL n nu' mu <= KL n nu mu -> same n nu' nu) /\
  (forall eps, 0 < eps -> exists T, 0 < T /\ forall tau, 0 < tau -> tau < T -> l1 n (q tau) nu < eps).
Proof.
  destruct height_limit as [A [HA HM]]. pose proof (path_cauchy A HA HM) as Cauchy.
  set (nu := fun y => real (Lim_seq (fun k => q (cold k) y))).
  assert (Small : forall T, 0 < T -> exists N, forall k, (N <= k)%nat -> cold k < T).
  { intros T HT. destruct (cold_below T HT) as [N HN]. exists N. intros k Hk. apply le_INR in Hk.
    eapply Rle_lt_trans; [| exact HN]. unfold cold. pose proof (pos_INR N). apply Rinv_le_contravar; lra. }
  assert (Lim : forall y, (y < n)%nat -> is_lim_seq (fun k => q (cold k) y) (nu y)).
  { intros y Hy. apply Lim_seq_correct', ex_lim_seq_cauchy_corr. intros [eps He]. simpl.
    destruct (Cauchy eps He) as [T [HT C]]. destruct (Small T HT) as [N HN]. exists N. intros j k Hj Hk.
    eapply Rle_lt_trans; [apply coordinate_le_l1, Hy |]. apply C; (apply cold_pos || apply HN; assumption). }
  assert (Near : forall eps, 0 < eps -> exists T, 0 < T /\ forall tau, 0 < tau -> tau < T -> l1 n (q tau) nu < eps).
  { intros eps He. destruct (Cauchy (eps / 2) ltac:(lra)) as [T [HT C]]. exists T. split; [exact HT |]. intros tau Ht HtT.
    apply Rle_lt_trans with (eps / 2); [| lra]. destruct (Small T HT) as [N HN].
    apply (is_lim_seq_le_loc (fun k => l1 n (q tau) (q (cold k))) (fun _ => eps / 2) (l1 n (q tau) nu) (eps / 2)).
    - exists N. intros k Hk. apply Rlt_le, C; (assumption || apply cold_pos || apply HN, Hk).
    - apply (is_lim_seq_sum n (fun k y => Rabs (q tau y - q (cold k) y)) (fun y => Rabs (q tau y - nu y))).
      intros y Hy. apply (is_lim_seq_abs _ (q tau y - nu y)). apply is_lim_seq_minus'; [apply is_lim_seq_const | apply Lim, Hy].
    - apply is_lim_seq_const. }
  assert (Dist : dist n nu).
  { split.
    - intros y Hy. apply (is_lim_seq_le (fun _ => 0) (fun k => q (cold k) y) 0 (nu y));
        [intro k; apply Rlt_le, (path_policy (cold k) (cold_pos k)), Hy | apply is_lim_seq_const | apply Lim, Hy].
    - pose proof (is_lim_seq_sum n (fun k y => q (cold k) y) nu Lim) as L1. apply is_lim_seq_unique in L1.
      rewrite (Lim_seq_ext _ (fun _ => 1)), Lim_seq_const in L1 by (intro k; apply (path_policy (cold k) (cold_pos k))).
      injection L1 as E. symmetry. exact E. }
  assert (Expect : forall f, is_lim_seq (fun k => expect n (q (cold k)) f) (expect n nu f)).
  { intro f. apply (is_lim_seq_sum n (fun k y => q (cold k) y * f y) (fun y => nu y * f y)).
    intros y Hy. apply (is_lim_seq_scal_r _ (f y) (nu y)), Lim, Hy. }
  assert (Cold0 : is_lim_seq cold 0).
  { apply is_lim_seq_spec. intros [eps He]. destruct (Small eps He) as [N HN]. exists N. intros k Hk. simpl.
    rewrite Rminus_0_r, Rabs_pos_eq by apply Rlt_le, cold_pos. apply HN, Hk. }
  assert (Lot : lottery n P nu).
  { split; [exact Dist |]. intros p Dp.
    pose proof (fun v => beats_as_expect n P p v P_pref (proj2 Dp)) as B.
    rewrite (B nu (proj2 Dist)).
    apply (is_lim_seq_le (fun k => 1 - expect n (q (cold k)) (win n P p)) (fun k => 1 / 2 + cold k * KL n p mu)
      (1 - expect n nu (win n P p)) (1 / 2)).
    - intro k. rewrite <- B by apply (path_policy (cold k) (cold_pos k)).
      apply E5_approximate_lottery; [apply cold_pos | apply path, cold_pos | exact Dp].
    - apply is_lim_seq_minus'; [apply is_lim_seq_const | apply Expect].
    - replace (Finite (1 / 2)) with (Finite (1 / 2 + 0 * KL n p mu)) by (f_equal; ring). apply is_lim_seq_plus'; [apply is_lim_seq_const |].
      apply (is_lim_seq_scal_r _ (KL n p mu) 0), Cold0. }
  (* A is KL(nu || mu): at most, by lower semicontinuity; at least, by the Pythagorean inequality. *)
  assert (Below : forall nu', lottery n P nu' -> A <= KL n nu' mu).
  { intros nu' L'. apply (is_lim_seq_le (fun k => height (cold k)) (fun _ => KL n nu' mu) A (KL n nu' mu)); [| exact HA | apply is_lim_seq_const].
    intro k. pose proof (E5_pythagoras (cold k) _ nu' (cold_pos k) (path _ (cold_pos k)) L') as Py.
    pose proof (kl_nonneg n nu' (q (cold k)) (proj1 L') (path_policy _ (cold_pos k))). unfold height. lra. }
  assert (Above : KL n nu mu <= A).
  { assert (Part : forall e, 0 < e -> e < 1 -> KL n nu mu + ln (1 - e) <= A).
    { intros e He He1. set (w := fun y => (1 - e) * nu y + e * mu y).
      assert (Hw : policy n w).
      { split.
        - intros y Hy. pose proof (proj1 Dist y Hy). pose proof (proj1 mu_policy y Hy).
          assert (0 < e * mu y) by (apply Rmult_lt_0_compat; assumption).
          assert (0 <= (1 - e) * nu y) by (apply Rmult_le_pos; lra). unfold w. lra.
        - unfold w. rewrite sum_plus, !sum_scal, (proj2 Dist), (proj2 mu_policy). ring. }
      apply Rle_trans with (expect n nu (fun y => ln (w y) - ln (mu y))).
      - replace (ln (1 - e)) with (sum n (fun y => nu y * ln (1 - e))) by (rewrite sum_scal_r, (proj2 Dist); ring).
        unfold KL, expect. rewrite <- sum_plus. apply sum_le. intros y Hy.
        pose proof (proj1 Dist y Hy) as Hn. pose proof (proj1 mu_policy y Hy) as Hmu.
        destruct Hn as [Hn | Hn]; [| rewrite <- Hn; lra].
        assert (L : ln (nu y) + ln (1 - e) <= ln (w y)).
        { rewrite <- ln_mult by lra. apply ln_le_mono; [apply Rmult_lt_0_compat; lra |].
          assert (0 < e * mu y) by (apply Rmult_lt_0_compat; assumption). unfold w. lra. }
        apply (Rmult_le_compat_l (nu y)) in L; lra.
      - apply (is_lim_seq_le (fun k => expect n (q (cold k)) (fun y => ln (w y) - ln (mu y))) (fun k => height (cold k))
          (expect n nu (fun y => ln (w y) - ln (mu y))) A); [| apply Expect | exact HA].
        intro k. pose proof (kl_nonneg n (q (cold k)) w (policy_dist n _ (path_policy _ (cold_pos k))) Hw) as K.
        unfold height. assert (E : KL n (q (cold k)) mu = KL n (q (cold k)) w + expect n (q (cold k)) (fun y => ln (w y) - ln (mu y))).
        { unfold KL, expect. rewrite <- sum_plus. apply sum_ext. intros; ring. }
        lra. }
    destruct (Rle_dec (KL n nu mu) A) as [H | H]; [exact H | exfalso].
    set (d := KL n nu mu - A) in *. assert (Hd : 0 < d) by (unfold d; lra).
    assert (E1 : 0 < exp (- (d / 2))) by apply exp_pos.
    assert (E2 : exp (- (d / 2)) < 1) by (rewrite <- exp_0; apply exp_increasing; lra).
    pose proof (Part (1 - exp (- (d / 2))) ltac:(lra) ltac:(lra)) as Q.
    replace (1 - (1 - exp (- (d / 2)))) with (exp (- (d / 2))) in Q by ring. rewrite ln_exp in Q. unfold d in *. lra. }
  exists nu. repeat split; try apply Dist; try apply Lot.
  - intros nu' L'. pose proof (Below nu' L'). lra.
  - intros nu' L' Hle y Hy.
    assert (Z : l1 n nu' nu <= 0).
    { apply Rnot_lt_le. intro Pos. set (d := l1 n nu' nu) in *.
      destruct (Near (d / 2) ltac:(lra)) as [T [HT C]]. destruct (Small T HT) as [N HN].
      assert (D : (d / 2) ^ 2 <= 0); [| pose proof (pow_lt (d / 2) 2 ltac:(lra)); lra].
      apply (is_lim_seq_le_loc (fun _ => (d / 2) ^ 2) (fun k => 2 * (A - height (cold k))) ((d / 2) ^ 2) 0).
      - exists N. intros k Hk. pose proof (C (cold k) (cold_pos k) (HN k Hk)) as Ck.
        pose proof (E5_pythagoras (cold k) _ nu' (cold_pos k) (path _ (cold_pos k)) L') as Py.
        pose proof (E3_pinsker n nu' (q (cold k)) (proj1 L') (path_policy _ (cold_pos k))) as Pk.
        pose proof (l1_triangle n nu' (q (cold k)) nu) as Tr. fold d in Tr. fold (height (cold k)) in Py.
        assert ((d / 2) ^ 2 <= l1 n nu' (q (cold k)) ^ 2) by (apply pow_incr; lra). lra.
      - apply is_lim_seq_const.
      - replace (Finite 0) with (Finite (2 * (A - A))) by (f_equal; ring). apply (is_lim_seq_scal_l _ 2 (A - A)), is_lim_seq_minus';
          [apply is_lim_seq_const | exact HA]. }
    pose proof (coordinate_le_l1 n nu' nu y Hy). pose proof (Rabs_pos (nu' y - nu y)).
    destruct (Req_dec (nu' y - nu y) 0) as [E | E]; [lra |]. pose proof (Rabs_pos_lt _ E). lra.
  - exact Near.
Qed.

End ZeroTemperature.

(** E6.  Every preference matrix has a maximal lottery (no fixed-point theorem, no linear programme): it wins at least
    half the time against everybody, and nobody wins more than half the time against it. *)
Theorem E6_maximal_lottery_exists n P : (0 < n)%nat -> pref n P ->
  exists nu, dist n nu /\ forall p, dist n p -> beats n P p nu <= 1 / 2 /\ 1 / 2 <= beats n P nu p.
Proof.
  intros Hn HP. set (mu := fun _ : nat => / INR n).
  assert (Hmu : policy n mu).
  { pose proof (lt_0_INR n Hn). split; [intros; apply Rinv_0_lt_compat; assumption |].
    unfold mu. rewrite sum_const. field. lra. }
  destruct (E5_zero_temperature n P mu (proj1 HP) Hmu (fun tau => nash_policy_of n tau P mu)) as [nu [[D L] _]].
  { intros tau Ht. apply E1_constructed; assumption. }
  exists nu. split; [exact D |]. intros p Dp. pose proof (L p Dp).
  pose proof (beats_constant_sum n P p nu (proj1 HP) (proj2 Dp) (proj2 D)). lra.
Qed.

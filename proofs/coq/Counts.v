(** * How far counted comparisons lead astray: N20 (a) in l1, (b) to (e), for independent comparisons and every n.

    T is a random table of win rates, P the true one, q its equilibrium, X = (T - P) q / tau; v i j = 1 / m_ij, and 0 where a
    pair was never compared, when T reads P there (what (e) then adds for the pairs that nobody compared is a bias). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate LogMean Counting Chance.
Open Scope R_scope.

(** The sum over the pairs j < i. *)
Definition pairs n (F : nat -> nat -> R) : R := sum n (fun i => sum i (fun j => F i j)).

(** 1 off the diagonal. *)
Definition off (i j : nat) : R := if Nat.eqb i j then 0 else 1.

(** The errors of a table are a sum of independent ones: E e^<a, T - P> <= e^(sum a^2 v / 8), as by Hoeffding's lemma. *)
Definition counted {O} (inside : O -> Prop) (E : (O -> R) -> R) n P (v : nat -> nat -> R) (T : O -> nat -> nat -> R) : Prop :=
  is_mean inside E /\ (forall o, inside o -> pref n (T o)) /\
  (forall i j, (i < n)%nat -> (j < n)%nat -> v i j = v j i /\ 0 <= v i j) /\
  forall a, E (fun o => exp (pairs n (fun i j => a i j * (T o i j - P i j)))) <= exp (pairs n (fun i j => a i j ^ 2 * v i j / 8)).

(** X, the errors' weight against q, in units of the temperature; f^2 = E_q X^2 and M = max |X|. *)
Definition pull n tau (P T : nat -> nat -> R) q (y : nat) : R := (win n T q y - win n P q y) / tau.
Definition pull2 n tau P T q : R := expect n q (fun y => pull n tau P T q y ^ 2).
Definition pull_max n tau P T q : R := top n (fun y => Rabs (pull n tau P T q y)).

(** V = sum_{i<j} q_i q_j (q_i + q_j) v_ij, and the matrix B = sum_{i<j} v_ij u u^T, u = sqrt(q_i q_j)(sqrt q_j e_i - sqrt q_i e_j). *)
Definition spread n q (v : nat -> nat -> R) : R := pairs n (fun i j => q i * q j * (q i + q j) * v i j).
Definition spread_matrix n q (v : nat -> nat -> R) (i j : nat) : R :=
  if Nat.eqb i j then sum n (fun k => off i k * (q i * q k ^ 2 * v i k)) else - (q i * q j * (sqrt (q i) * sqrt (q j)) * v i j).

(** ** Sums over pairs *)

Lemma pairs_ext n F G : (forall i j, (j < i < n)%nat -> F i j = G i j) -> pairs n F = pairs n G.
Proof. intro H. apply sum_ext. intros i Hi. apply sum_ext. intros j Hj. apply H. lia. Qed.

Lemma pairs_le n F G : (forall i j, (j < i < n)%nat -> F i j <= G i j) -> pairs n F <= pairs n G.
Proof. intro H. apply sum_le. intros i Hi. apply sum_le. intros j Hj. apply H. lia. Qed.

Lemma pairs_scal n c F : pairs n (fun i j => c * F i j) = c * pairs n F.
Proof. unfold pairs. rewrite <- sum_scal. apply sum_ext. intros. apply sum_scal. Qed.

(** All ordered pairs, each with its mirror image. *)
Lemma pairs_all n F : sum n (fun i => sum n (fun j => F i j)) = pairs n (fun i j => F i j + F j i) + sum n (fun i => F i i).
Proof.
  induction n as [| n IH]; [unfold pairs; simpl; ring |].
  assert (Last : pairs (S n) (fun i j => F i j + F j i) = pairs n (fun i j => F i j + F j i) + (sum n (F n) + sum n (fun j => F j n))).
  { unfold pairs. simpl. rewrite <- (sum_plus n (F n) (fun j => F j n)). reflexivity. }
  rewrite Last. simpl. rewrite (sum_plus n (fun i => sum n (fun j => F i j)) (fun i => F i n)), IH.
  change (sum n (fun j => F n j)) with (sum n (F n)). ring.
Qed.

Lemma pairs_off n F : (forall i j, (i < n)%nat -> (j < n)%nat -> F i j = F j i) ->
  sum n (fun i => sum n (fun j => off i j * F i j)) = 2 * pairs n F.
Proof.
  intro Sym. rewrite pairs_all, (sum_ext n _ (fun _ => 0)), sum_zero, <- pairs_scal.
  - rewrite Rplus_0_r. apply pairs_ext. intros i j Hij. unfold off. rewrite (Sym j i) by lia.
    destruct (Nat.eqb_spec i j), (Nat.eqb_spec j i); try lia. ring.
  - intros i _. unfold off. rewrite Nat.eqb_refl. ring.
Qed.

(** A form of a skew table, from its lower half. *)
Lemma pairs_skew n (b e : nat -> nat -> R) : (forall i j, (i < n)%nat -> (j < n)%nat -> e j i = - e i j) ->
  sum n (fun i => sum n (fun j => b i j * e i j)) = pairs n (fun i j => (b i j - b j i) * e i j).
Proof.
  intro Skew. rewrite pairs_all, (sum_ext n _ (fun _ => 0)), sum_zero, Rplus_0_r.
  - apply pairs_ext. intros i j Hij. rewrite (Skew i j) by lia. ring.
  - intros i Hi. pose proof (Skew i i Hi Hi). replace (e i i) with 0 by lra. ring.
Qed.

(** ** One table *)

Section OneTable.

Variables (n : nat) (tau : R) (P T : nat -> nat -> R) (mu q q' : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis T_pref : is_pref n T.
Hypothesis mu_policy : policy n mu.
Hypothesis q_nash : is_nash n tau P mu q.
Hypothesis q'_nash : is_nash n tau T mu q'.

(** N20 (a).  ||q' - q||_1 <= M^2/8 + sqrt(f^2 + M^4/64): N18 (c) of q in the game of the counts. *)
Theorem N20_radius : l1 n q q' <= pull_max n tau P T q ^ 2 / 8 + sqrt (pull2 n tau P T q + pull_max n tau P T q ^ 4 / 64).
Proof.
  pose proof (nash_policy n tau P mu q mu_policy q_nash) as Hq.
  destruct (residual_nash n tau P mu mu_policy q q_nash) as [c Hc].
  assert (R : forall y, (y < n)%nat -> residual n tau T mu q y - c = - pull n tau P T q y).
  { intros y Hy. rewrite <- (Hc y Hy). unfold residual, pull. field. lra. }
  apply (N18_closed_form n tau T mu q' q tau_pos T_pref mu_policy q'_nash Hq c).
  - intros y Hy. rewrite R, Rabs_Ropp by exact Hy. apply (top_ge n (fun y => Rabs (pull n tau P T q y))), Hy.
  - right. apply expect_ext. intros y Hy. rewrite R by exact Hy. ring.
Qed.

(** N20 (e).  Where some pairs were never compared and T reads anything in [0, 1] within 1/2 of the truth, X is at most
    b = sum of q_j / 2 over them, over tau, from the X of the table U that is right there: in f and in M. *)
Theorem N20_unplayed (U : nat -> nat -> R) (unplayed : nat -> nat -> bool) :
  (forall y, (y < n)%nat -> 0 <= q y) ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> if unplayed i j then U i j = P i j /\ Rabs (T i j - P i j) <= 1 / 2 else U i j = T i j) ->
  let b y := 1 / 2 * sum n (fun j => if unplayed y j then q j else 0) in
  sqrt (pull2 n tau P T q) <= sqrt (pull2 n tau P U q) + sqrt (expect n q (fun y => b y ^ 2)) / tau /\
  forall y, (y < n)%nat -> Rabs (pull n tau P T q y) <= Rabs (pull n tau P U q y) + b y / tau.
Proof.
  intros Hq HU b.
  assert (It : 0 < / tau) by (apply Rinv_0_lt_compat, tau_pos).
  assert (Each : forall y, (y < n)%nat -> Rabs (pull n tau P T q y - pull n tau P U q y) <= b y / tau).
  { intros y Hy. unfold pull, win, b, Rdiv.
    replace ((sum n (fun y' => T y y' * q y') - sum n (fun y' => P y y' * q y')) * / tau - (sum n (fun y' => U y y' * q y')
      - sum n (fun y' => P y y' * q y')) * / tau) with (sum n (fun j => (T y j - U y j) * q j) * / tau).
    - rewrite Rabs_mult, (Rabs_pos_eq (/ tau)) by lra. apply Rmult_le_compat_r; [lra |]. eapply Rle_trans; [apply sum_abs |].
      rewrite <- sum_scal. apply sum_le. intros j Hj. pose proof (Hq j Hj). rewrite Rabs_mult, (Rabs_pos_eq (q j)) by lra.
      pose proof (HU y j Hy Hj) as H1. destruct (unplayed y j).
      + destruct H1 as [-> H1]. apply Rmult_le_compat_r; lra.
      + rewrite H1. replace (T y j - T y j) with 0 by ring. rewrite Rabs_R0. lra.
    - rewrite (sum_ext n _ (fun j => T y j * q j - U y j * q j)), sum_minus by (intros; ring). ring. }
  split.
  - set (x := pull n tau P T q) in *. set (u := pull n tau P U q) in *. unfold pull2. fold x. fold u.
    set (d := fun y => x y - u y).
    set (A := expect n q (fun y => u y ^ 2)). set (D := expect n q (fun y => d y ^ 2)).
    assert (A0 : 0 <= A) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply Hq, Hy | apply pow2_ge_0]).
    assert (D0 : 0 <= D) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply Hq, Hy | apply pow2_ge_0]).
    assert (Le : D <= expect n q (fun y => b y ^ 2) * / tau ^ 2).
    { unfold expect, D. rewrite <- sum_scal_r. apply sum_le. intros y Hy. rewrite Rmult_assoc.
      apply Rmult_le_compat_l; [apply Hq, Hy |]. replace (b y ^ 2 * / tau ^ 2) with ((b y / tau) ^ 2) by (field; lra).
      rewrite <- (pow2_abs (d y)). apply pow_incr. split; [apply Rabs_pos | apply Each, Hy]. }
    apply Rle_trans with (sqrt A + sqrt D).
    + pose proof (sqrt_pos A). pose proof (sqrt_pos D). rewrite <- (sqrt_pow2 (sqrt A + sqrt D)) by lra. apply sqrt_le_1_alt.
      assert (CS : Rabs (sum n (fun y => q y * u y * d y)) <= sqrt A * sqrt D).
      { rewrite <- sqrt_mult by assumption. apply abs_le_sqrt.
        eapply Rle_trans; [apply (weighted_cauchy_schwarz n q u d Hq) |]. right. unfold A, D, expect.
        f_equal; apply sum_ext; intros; ring. }
      pose proof (Rle_abs (sum n (fun y => q y * u y * d y))).
      replace (expect n q (fun y => x y ^ 2)) with (A + 2 * sum n (fun y => q y * u y * d y) + D).
      * pose proof (sqrt_sqrt A A0). pose proof (sqrt_sqrt D D0). nra.
      * unfold A, D, expect. rewrite <- sum_scal, <- !sum_plus. apply sum_ext. intros y _. unfold d. ring.
    + apply Rplus_le_compat_l. apply sqrt_le_1_alt in Le. eapply Rle_trans; [exact Le |]. right.
      rewrite sqrt_mult_alt by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply Hq, Hy | apply pow2_ge_0]).
      unfold Rdiv. f_equal. replace (/ tau ^ 2) with ((/ tau) ^ 2) by (field; lra). apply sqrt_pow2. lra.
  - intros y Hy. pose proof (Each y Hy) as D. pose proof (Rabs_triang (pull n tau P U q y) (pull n tau P T q y - pull n tau P U q y)).
    replace (pull n tau P U q y + (pull n tau P T q y - pull n tau P U q y)) with (pull n tau P T q y) in H by ring. lra.
Qed.

End OneTable.

(** ** Counted tables *)

Section Counted.

Variables (O : Type) (inside : O -> Prop) (E : (O -> R) -> R) (n : nat) (tau : R) (P : nat -> nat -> R) (mu q : nat -> R)
  (v : nat -> nat -> R) (T : O -> nat -> nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : pref n P.
Hypothesis mu_policy : policy n mu.
Hypothesis q_nash : is_nash n tau P mu q.
Hypothesis T_counted : counted inside E n P v T.

Lemma counted_mean : is_mean inside E.
Proof. apply T_counted. Qed.

Lemma q_policy : policy n q.
Proof. apply (nash_policy n tau P mu q mu_policy q_nash). Qed.

(** Any form of the errors has a sub-Gaussian mean. *)
Lemma counted_form b :
  E (fun o => exp (sum n (fun i => sum n (fun j => b i j * (T o i j - P i j)))))
    <= exp (sum n (fun i => sum n (fun j => off i j * ((b i j - b j i) ^ 2 * v i j))) / 16).
Proof.
  destruct T_counted as [M [Tp [Sym Sub]]].
  rewrite (mean_ext _ _ _ M _ (fun o => exp (pairs n (fun i j => (b i j - b j i) * (T o i j - P i j))))).
  - eapply Rle_trans; [apply Sub |]. right. f_equal.
    rewrite (pairs_off n (fun i j => (b i j - b j i) ^ 2 * v i j))
      by (intros i j Hi Hj; destruct (Sym i j Hi Hj) as [-> _]; ring).
    rewrite (pairs_ext n _ (fun i j => 1 / 8 * ((b i j - b j i) ^ 2 * v i j))) by (intros; field). rewrite pairs_scal. field.
  - intros o Ho. f_equal. apply (pairs_skew n b (fun i j => T o i j - P i j)). intros i j Hi Hj.
    pose proof (proj1 (Tp o Ho) i j Hi Hj). pose proof (proj1 P_pref i j Hi Hj). lra.
Qed.

(** sum_{j<>y} q_j^2 v_yj, the variance of X_y but for a factor. *)
Definition row_spread y : R := sum n (fun j => off y j * (q j ^ 2 * v y j)).

Lemma counted_row y b : (y < n)%nat ->
  E (fun o => exp (b * (win n (T o) q y - win n P q y))) <= exp (b ^ 2 * row_spread y / 8).
Proof.
  intro Hy. pose proof counted_mean as M.
  pose proof (counted_form (fun i j => b * delta y i * q j)) as H.
  rewrite (mean_ext _ _ _ M (fun o => exp (b * (win n (T o) q y - win n P q y)))
    (fun o => exp (sum n (fun i => sum n (fun j => b * delta y i * q j * (T o i j - P i j)))))).
  - eapply Rle_trans; [exact H |]. right. f_equal.
    destruct T_counted as [_ [_ [Sym _]]].
    rewrite (sum_ext n _ (fun i => b ^ 2 * row_spread y * delta y i + b ^ 2 * (off y i * (q i ^ 2 * v y i)))).
    + rewrite sum_plus, (sum_delta n y (fun _ => b ^ 2 * row_spread y) Hy), sum_scal. fold (row_spread y). field.
    + intros i Hi. unfold delta at 1 2. destruct (Nat.eqb_spec i y) as [-> | D].
      * rewrite (sum_ext n _ (fun j => b ^ 2 * (off y j * (q j ^ 2 * v y j)))).
        { rewrite sum_scal. fold (row_spread y). unfold delta, off. rewrite !Nat.eqb_refl. ring. }
        intros j Hj. unfold off, delta. destruct (Nat.eqb_spec y j) as [| D]; [ring |].
        destruct (Nat.eqb_spec j y); [lia | ring].
      * rewrite (sum_ext n _ (fun j => b ^ 2 * off i j * (q i ^ 2 * v i j) * delta y j)).
        { rewrite (sum_delta n y (fun j => b ^ 2 * off i j * (q i ^ 2 * v i j)) Hy). unfold off, delta.
          destruct (Nat.eqb_spec i y), (Nat.eqb_spec y i); try lia. destruct (Sym i y Hi Hy) as [-> _]. ring. }
        intros j Hj. unfold delta. destruct (Nat.eqb_spec j y); ring.
  - intros o _. f_equal. rewrite (sum_ext n _ (fun i => sum n (fun j => b * q j * (T o i j - P i j)) * delta y i)).
    + rewrite (sum_delta n y (fun i => sum n (fun j => b * q j * (T o i j - P i j))) Hy). unfold win.
      rewrite <- sum_minus, <- sum_scal. apply sum_ext. intros; ring.
    + intros i _. rewrite <- sum_scal_r. apply sum_ext. intros; ring.
Qed.

(** N20 (b).  E KL(q || q') <= log sum_y q_y exp(sum_{j<>y} q_j^2 v_yj / 8 tau^2), q' the equilibrium of the counted table. *)
Theorem N20_expected_divergence (q' : O -> nat -> R) : (forall o, inside o -> is_nash n tau (T o) mu (q' o)) ->
  E (fun o => KL n q (q' o)) <= ln (expect n q (fun y => exp (row_spread y / (8 * tau ^ 2)))).
Proof.
  intro HN. pose proof counted_mean as M. pose proof q_policy as Hq. destruct T_counted as [_ [Tp _]].
  set (X := fun o => expect n q (fun y => exp ((win n (T o) q y - win n P q y) / tau))).
  assert (One : forall o, inside o -> 1 <= X o).
  { intros o Ho. pose proof (finite_mean n q (policy_dist n q Hq)) as Fm.
    eapply Rle_trans; [| apply (mean_exp _ _ _ Fm (fun y => (win n (T o) q y - win n P q y) / tau))].
    replace (expect n q (fun y => (win n (T o) q y - win n P q y) / tau)) with 0; [rewrite exp_0; lra |].
    rewrite (expect_ext n q _ (fun y => / tau * (win n (T o) q y - win n P q y))) by (intros; field; lra).
    pose proof (beats_self n P q (proj1 P_pref) (proj2 Hq)) as B. pose proof (beats_self n (T o) q (proj1 (Tp o Ho)) (proj2 Hq)) as B'.
    unfold beats in B, B'. rewrite expect_scal, expect_minus.
    change (expect n q (fun y => win n (T o) q y)) with (expect n q (win n (T o) q)).
    change (expect n q (fun y => win n P q y)) with (expect n q (win n P q)). rewrite B, B'. ring. }
  apply Rle_trans with (E (fun o => ln (X o))).
  - apply (mean_le _ _ _ M). intros o Ho. apply (N20_one_table n tau P (T o) mu q (q' o) tau_pos (proj1 P_pref));
      [apply Tp, Ho | exact mu_policy | exact q_nash | apply HN, Ho].
  - eapply Rle_trans; [apply (mean_ln _ _ _ M X One) |]. apply ln_le_mono.
    + apply Rlt_le_trans with 1; [lra |]. rewrite <- (mean_const _ _ _ M 1). apply (mean_le _ _ _ M _ X One).
    + unfold X, expect. rewrite (mean_sum _ _ _ M n (fun y o => q y * exp ((win n (T o) q y - win n P q y) / tau))).
      apply sum_le. intros y Hy. rewrite (mean_scal _ _ _ M). apply Rmult_le_compat_l; [apply Rlt_le, Hq, Hy |].
      pose proof (counted_row y (/ tau) Hy) as H.
      replace (row_spread y / (8 * tau ^ 2)) with ((/ tau) ^ 2 * row_spread y / 8) by (field; lra).
      eapply Rle_trans; [| exact H]. right. apply (mean_ext _ _ _ M). intros o _. f_equal. field. lra.
Qed.

(** N20 (c), the largest X.  With R at least every row's spread, P(M > sqrt(R log(2n/alpha) / 2) / tau) <= alpha. *)
Theorem N20_largest_error R alpha : 0 < alpha < 1 -> 0 < R -> (forall y, (y < n)%nat -> row_spread y <= R) ->
  E (fun o => above (sqrt (R * ln (2 * INR n / alpha) / 2) / tau) (pull_max n tau P (T o) q)) <= alpha.
Proof.
  intros Ha HR Rows. pose proof counted_mean as M. pose proof (policy_n_pos n q q_policy) as Hn.
  assert (N1 : 1 <= INR n) by (apply (le_INR 1 n); lia).
  set (l := ln (2 * INR n / alpha)).
  assert (Big : 1 < 2 * INR n / alpha).
  { apply Rmult_lt_reg_r with alpha; [lra |]. replace (2 * INR n / alpha * alpha) with (2 * INR n) by (field; lra). lra. }
  assert (L0 : 0 < l) by (unfold l; rewrite <- ln_1; apply ln_increasing; lra).
  set (r := sqrt (R * l / 2)). assert (R0 : 0 < r) by (apply sqrt_lt_R0; nra).
  assert (R2 : r ^ 2 = R * l / 2) by (unfold r; rewrite <- Rsqr_pow2; apply Rsqr_sqrt; nra).
  set (d := fun o y => win n (T o) q y - win n P q y). set (b := 4 * r / R).
  assert (B0 : 0 < b) by (apply Rdiv_lt_0_compat; lra).
  apply Rle_trans with (E (fun o => sum n (fun y => exp (b * d o y - b * r) + exp (- b * d o y - b * r)))).
  - apply (mean_le _ _ _ M). intros o _.
    assert (Each : forall y, (y < n)%nat -> 0 <= exp (b * d o y - b * r) + exp (- b * d o y - b * r)).
    { intros y _. pose proof (exp_pos (b * d o y - b * r)). pose proof (exp_pos (- b * d o y - b * r)). lra. }
    unfold above. destruct (Rlt_dec (r / tau) (pull_max n tau P (T o) q)) as [A | A]; [| apply sum_nonneg, Each].
    destruct (top_attained n (fun y => Rabs (pull n tau P (T o) q y)) Hn) as [y [Hy Ey]]. unfold pull_max in A. rewrite Ey in A.
    assert (Far : r < Rabs (d o y)).
    { unfold pull in A. fold (d o y) in A. unfold Rdiv in A. rewrite Rabs_mult, (Rabs_pos_eq (/ tau)) in A
        by (apply Rlt_le, Rinv_0_lt_compat, tau_pos). apply Rmult_lt_reg_r in A; [exact A | apply Rinv_0_lt_compat, tau_pos]. }
    eapply Rle_trans; [| apply (sum_lower_bound n (fun y => exp (b * d o y - b * r) + exp (- b * d o y - b * r)) y Each Hy)].
    pose proof (exp_ge_line (b * d o y - b * r)). pose proof (exp_ge_line (- b * d o y - b * r)).
    pose proof (exp_pos (b * d o y - b * r)). pose proof (exp_pos (- b * d o y - b * r)).
    destruct (Rcase_abs (d o y)); [rewrite Rabs_left in Far by lra | rewrite Rabs_right in Far by lra].
    + assert (0 < b * (- d o y - r)) by (apply Rmult_lt_0_compat; lra). lra.
    + assert (0 < b * (d o y - r)) by (apply Rmult_lt_0_compat; lra). lra.
  - rewrite (mean_sum _ _ _ M n (fun y o => exp (b * d o y - b * r) + exp (- b * d o y - b * r))).
    apply Rle_trans with (sum n (fun _ => alpha / INR n)); [| rewrite sum_const; right; field; lra].
    apply sum_le. intros y Hy. rewrite (mean_plus _ _ _ M).
    assert (Half : forall c, c ^ 2 = b ^ 2 -> E (fun o => exp (c * d o y - b * r)) <= alpha / (2 * INR n)).
    { intros c Hc. rewrite (mean_ext _ _ _ M _ (fun o => exp (- (b * r)) * exp (c * d o y)))
        by (intros o _; rewrite <- exp_plus; f_equal; ring).
      rewrite (mean_scal _ _ _ M). eapply Rle_trans; [apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | apply (counted_row y c Hy)] |].
      rewrite <- exp_plus, Hc.
      replace (alpha / (2 * INR n)) with (exp (- l)) by (unfold l; rewrite exp_Ropp, exp_ln by lra; field; lra).
      assert (Le : - (b * r) + b ^ 2 * row_spread y / 8 <= - l).
      { pose proof (Rows y Hy). apply Rle_trans with (- (b * r) + b ^ 2 * R / 8).
        - apply Rplus_le_compat_l. unfold Rdiv. apply Rmult_le_compat_r; [lra |]. apply Rmult_le_compat_l; [apply pow2_ge_0 | lra].
        - right. unfold b. replace (- (4 * r / R * r) + (4 * r / R) ^ 2 * R / 8) with (- 2 * r ^ 2 / R) by (field; lra).
          rewrite R2. field. lra. }
      destruct Le as [Le | ->]; [apply Rlt_le, exp_increasing, Le | lra]. }
    pose proof (Half b ltac:(ring)). pose proof (Half (- b) ltac:(ring)).
    replace (alpha / INR n) with (alpha / (2 * INR n) + alpha / (2 * INR n)) by (field; lra). lra.
Qed.

(** *** The size of X in the mean *)

Local Notation B := (spread_matrix n q v).

(** z . B z = sum over pairs of q_i q_j v_ij (sqrt q_j z_i - sqrt q_i z_j)^2. *)
Lemma quad_spread_matrix z :
  quad n B z = sum n (fun i => sum n (fun j => off i j * (q i * q j * v i j * (sqrt (q j) * z i - sqrt (q i) * z j) ^ 2))) / 2.
Proof.
  destruct T_counted as [_ [_ [Sym _]]]. pose proof q_policy as [Hq _].
  set (F := fun i j => off i j * (q i * q j ^ 2 * v i j) * z i ^ 2).
  set (K := fun i j => off i j * (q i * q j * (sqrt (q i) * sqrt (q j)) * v i j) * (z i * z j)).
  assert (Left : quad n B z = sum n (fun i => sum n (fun j => F i j)) - sum n (fun i => sum n (fun j => K i j))).
  { rewrite <- sum_minus. apply sum_ext. intros i Hi.
    rewrite (sum_ext n _ (fun j => sum n (fun k => F i k) * delta i j - K i j)).
    - rewrite sum_minus, (sum_delta n i (fun _ => sum n (fun k => F i k)) Hi). reflexivity.
    - intros j Hj. unfold spread_matrix, K, F, delta. rewrite (Nat.eqb_sym j i). destruct (Nat.eqb_spec i j) as [<- | D].
      + replace (off i i) with 0 by (unfold off; rewrite Nat.eqb_refl; reflexivity). rewrite sum_scal_r. ring.
      + replace (off i j) with 1 by (unfold off; destruct (Nat.eqb_spec i j); [lia | reflexivity]). ring. }
  assert (Right : sum n (fun i => sum n (fun j => off i j * (q i * q j * v i j * (sqrt (q j) * z i - sqrt (q i) * z j) ^ 2)))
    = sum n (fun i => sum n (fun j => F i j)) + sum n (fun i => sum n (fun j => F j i)) - 2 * sum n (fun i => sum n (fun j => K i j))).
  { rewrite <- sum_scal, <- sum_plus, <- sum_minus. apply sum_ext. intros i Hi. rewrite <- sum_scal, <- sum_plus, <- sum_minus.
    apply sum_ext. intros j Hj. unfold F, K. pose proof (sqrt_sqrt (q i) (Rlt_le _ _ (Hq i Hi))) as Si.
    pose proof (sqrt_sqrt (q j) (Rlt_le _ _ (Hq j Hj))) as Sj. destruct (Sym i j Hi Hj) as [-> _].
    unfold off. rewrite (Nat.eqb_sym j i). destruct (Nat.eqb_spec i j); [ring |].
    replace ((sqrt (q j) * z i - sqrt (q i) * z j) ^ 2)
      with ((sqrt (q j) * sqrt (q j)) * z i ^ 2 - 2 * (sqrt (q i) * sqrt (q j)) * (z i * z j) + (sqrt (q i) * sqrt (q i)) * z j ^ 2) by ring.
    rewrite Si, Sj. ring. }
  rewrite Left, Right, (sum_swap n n (fun i j => F j i)). field.
Qed.

Lemma quad_spread_nonneg z : 0 <= quad n B z.
Proof.
  rewrite quad_spread_matrix. destruct T_counted as [_ [_ [Sym _]]]. pose proof q_policy as [Hq _].
  apply Rdiv_le_0_compat; [| lra]. apply sum_nonneg. intros i Hi. apply sum_nonneg. intros j Hj.
  destruct (Sym i j Hi Hj) as [_ V]. pose proof (Hq i Hi). pose proof (Hq j Hj).
  apply Rmult_le_pos; [unfold off; destruct (Nat.eqb i j); lra |].
  apply Rmult_le_pos; [apply Rmult_le_pos; [nra | exact V] | apply pow2_ge_0].
Qed.

Lemma trace_spread_matrix : trace n B = spread n q v.
Proof.
  destruct T_counted as [_ [_ [Sym _]]].
  assert (E1 : trace n B = sum n (fun i => sum n (fun j => off i j * (q i * q j ^ 2 * v i j)))).
  { apply sum_ext. intros i _. unfold spread_matrix. rewrite Nat.eqb_refl. reflexivity. }
  rewrite E1, pairs_all, (sum_ext n _ (fun _ => 0)), sum_zero, Rplus_0_r.
  - apply pairs_ext. intros i j Hij. destruct (Sym j i ltac:(lia) ltac:(lia)) as [-> _]. unfold off.
    destruct (Nat.eqb_spec i j), (Nat.eqb_spec j i); try lia. ring.
  - intros i _. unfold off. rewrite Nat.eqb_refl. ring.
Qed.

(** The largest eigenvalue is at most the largest q_i q_j v_ij. *)
Lemma spread_matrix_top L : (forall i j, (i < n)%nat -> (j < n)%nat -> i <> j -> q i * q j * v i j <= L) -> 0 <= L ->
  forall z, quad n B z <= L * sum n (fun i => z i ^ 2).
Proof.
  intros HL L0 z. pose proof q_policy as [Hq Sq]. rewrite quad_spread_matrix.
  apply Rle_trans with (sum n (fun i => sum n (fun j => L * (sqrt (q j) * z i - sqrt (q i) * z j) ^ 2)) / 2).
  - unfold Rdiv. apply Rmult_le_compat_r; [lra |]. apply sum_le. intros i Hi. apply sum_le. intros j Hj. unfold off.
    pose proof (pow2_ge_0 (sqrt (q j) * z i - sqrt (q i) * z j)) as Q.
    destruct (Nat.eqb_spec i j) as [| D]; [rewrite Rmult_0_l; apply Rmult_le_pos; lra |].
    rewrite Rmult_1_l. apply Rmult_le_compat_r; [exact Q | apply HL; assumption].
  - set (Z := sum n (fun i => z i ^ 2)). set (m := sum n (fun i => sqrt (q i) * z i)).
    assert (Full : sum n (fun i => sum n (fun j => L * (sqrt (q j) * z i - sqrt (q i) * z j) ^ 2)) = L * (2 * Z - 2 * m ^ 2)).
    { assert (ZZ : Z = sum n (fun i => sum n (fun j => z i ^ 2 * q j))).
      { unfold Z. apply sum_ext. intros i _. rewrite sum_scal, Sq. ring. }
      assert (MM : m ^ 2 = sum n (fun i => sum n (fun j => sqrt (q i) * z i * (sqrt (q j) * z j)))).
      { unfold m. rewrite <- sum_product. ring. }
      assert (ZZ' : Z = sum n (fun i => sum n (fun j => z j ^ 2 * q i))).
      { rewrite ZZ at 1. apply (sum_swap n n (fun i j => z i ^ 2 * q j)). }
      replace (2 * Z) with (Z + Z) by ring. rewrite ZZ at 1. rewrite ZZ', MM, <- (sum_scal n 2), <- sum_plus, <- sum_minus, <- sum_scal.
      apply sum_ext. intros i Hi. rewrite <- (sum_scal n 2), <- sum_plus, <- sum_minus, <- sum_scal.
      apply sum_ext. intros j Hj. pose proof (sqrt_sqrt (q i) (Rlt_le _ _ (Hq i Hi))) as Si.
      pose proof (sqrt_sqrt (q j) (Rlt_le _ _ (Hq j Hj))) as Sj.
      set (a := sqrt (q i)) in *. set (b := sqrt (q j)) in *. rewrite <- Si, <- Sj. ring. }
    rewrite Full. pose proof (pow2_ge_0 m). nra.
Qed.

(** tr B^2 <= L tr B. *)
Lemma trace2_spread L : 0 < L -> (forall z, quad n B z <= L * sum n (fun i => z i ^ 2)) -> trace2 n B <= L * spread n q v.
Proof.
  intros L0 HL. destruct T_counted as [_ [_ [Sym _]]].
  assert (BSym : forall i j, (i < n)%nat -> (j < n)%nat -> B i j = B j i).
  { intros i j Hi Hj. unfold spread_matrix. rewrite (Nat.eqb_sym j i). destruct (Nat.eqb_spec i j) as [-> |]; [reflexivity |].
    destruct (Sym i j Hi Hj) as [-> _]. ring. }
  rewrite <- trace_spread_matrix. unfold trace2, trace. rewrite <- sum_scal. apply sum_le. intros i Hi.
  set (x := fun j => B i j). set (x2 := sum n (fun j => x j ^ 2)). set (z := fun j => delta i j - / L * x j).
  pose proof (quad_spread_nonneg z) as N. pose proof (HL x) as U. fold x2 in U.
  assert (Z : quad n B z = B i i - 2 / L * x2 + (/ L) ^ 2 * quad n B x).
  { assert (Bz : forall c, (c < n)%nat -> sum n (fun d => B c d * z d) = B c i - / L * sum n (fun d => B c d * x d)).
    { intros c Hc. unfold z. rewrite (sum_ext n _ (fun d => B c d * delta i d - / L * (B c d * x d))) by (intros; ring).
      rewrite sum_minus, sum_scal, (sum_delta n i (fun d => B c d) Hi). reflexivity. }
    assert (Q : forall y, quad n B y = sum n (fun c => y c * sum n (fun d => B c d * y d))).
    { intro y. apply sum_ext. intros c _. rewrite <- sum_scal. apply sum_ext. intros; ring. }
    rewrite !Q. rewrite (sum_ext n _ (fun c => z c * (B c i - / L * sum n (fun d => B c d * x d)))) by (intros c Hc; rewrite Bz by exact Hc; reflexivity).
    set (y := fun c => sum n (fun d => B c d * x d)).
    rewrite (sum_ext n _ (fun c => (B c i - / L * y c) * delta i c - / L * (x c * B c i) + (/ L) ^ 2 * (x c * y c)))
      by (intros; unfold z, y; ring).
    rewrite sum_plus, sum_minus, !sum_scal, (sum_delta n i (fun c => B c i - / L * y c) Hi).
    assert (Yi : y i = x2) by (apply sum_ext; intros; unfold x; ring).
    assert (Xi : sum n (fun c => x c * B c i) = x2).
    { apply sum_ext. intros c Hc. rewrite (BSym c i) by assumption. unfold x. ring. }
    rewrite Yi, Xi.
    change (sum n (fun c => x c * sum n (fun d => B c d * x d))) with (sum n (fun c => x c * y c)). field. lra. }
  assert (I : 0 < / L) by (apply Rinv_0_lt_compat, L0).
  assert ((/ L) ^ 2 * quad n B x <= (/ L) ^ 2 * (L * x2)) by (apply Rmult_le_compat_l; [apply pow2_ge_0 | exact U]).
  replace ((/ L) ^ 2 * (L * x2)) with (/ L * x2) in H by (field; lra).
  assert (Row : / L * x2 <= B i i) by (unfold Rdiv in Z; lra).
  change (sum n (fun d => B i d ^ 2)) with x2. apply Rmult_le_reg_l with (/ L); [exact I |].
  rewrite <- Rmult_assoc, Rinv_l, Rmult_1_l by lra. exact Row.
Qed.

(** N20 (d), its law.  With F^2 = E_q((T - P) q)^2, P(4 F^2 > V + 2 sqrt(S t) + 2 L t) <= e^-t for every t > 0, S >= tr B^2 and
    L >= the largest eigenvalue of B. *)
Theorem N20_quadratic_tail L S t : 0 <= L -> (forall z, quad n B z <= L * sum n (fun i => z i ^ 2)) ->
  0 < S -> trace2 n B <= S -> 0 < t ->
  E (fun o => above (spread n q v + 2 * sqrt (S * t) + 2 * L * t) (4 * expect n q (fun y => (win n (T o) q y - win n P q y) ^ 2)))
    <= exp (- t).
Proof.
  intros L0 HL S0 HS Ht. pose proof counted_mean as M. pose proof q_policy as [Hq Sq].
  destruct T_counted as [_ [Tp [Sym _]]].
  set (w := fun o y => sqrt (q y) * (win n (T o) q y - win n P q y)). set (C := fun i j => B i j / 4).
  assert (QC : forall z, quad n C z = quad n B z / 4).
  { intro z. unfold quad, C, Rdiv. rewrite <- sum_scal_r. apply sum_ext. intros c _. rewrite <- sum_scal_r. apply sum_ext. intros; ring. }
  assert (Bounded : forall o i, inside o -> (i < n)%nat -> Rabs (w o i) <= 1).
  { intros o i Ho Hi. unfold w. rewrite Rabs_mult, Rabs_pos_eq by apply sqrt_pos.
    assert (Q1 : sqrt (q i) <= 1).
    { rewrite <- sqrt_1. apply sqrt_le_1_alt. rewrite <- Sq. apply sum_lower_bound; [| exact Hi]. intros; apply Rlt_le, Hq; assumption. }
    assert (W : Rabs (win n (T o) q i - win n P q i) <= 1).
    { assert (Win : forall K, pref n K -> 0 <= win n K q i <= 1).
      { intros K [_ HK]. unfold win. split.
        - apply sum_nonneg. intros j Hj. pose proof (HK i j Hi Hj). pose proof (Hq j Hj). apply Rmult_le_pos; lra.
        - rewrite <- Sq. apply sum_le. intros j Hj. pose proof (HK i j Hi Hj). pose proof (Hq j Hj). nra. }
      pose proof (Win P P_pref). pose proof (Win (T o) (Tp o Ho)). apply Rabs_le. lra. }
    pose proof (sqrt_pos (q i)). pose proof (Rabs_pos (win n (T o) q i - win n P q i)). nra. }
  assert (At : at_most n C (L / 4)).
  { split; [| split].
    - intros i j Hi Hj. unfold C, spread_matrix. rewrite (Nat.eqb_sym j i). destruct (Nat.eqb_spec i j) as [-> |]; [reflexivity |].
      destruct (Sym i j Hi Hj) as [-> _]. field.
    - intros i Hi. unfold C, spread_matrix. rewrite Nat.eqb_refl. apply Rdiv_le_0_compat; [| lra]. apply sum_nonneg. intros k Hk.
      destruct (Sym i k Hi Hk) as [_ V]. pose proof (Hq i Hi). pose proof (pow2_ge_0 (q k)).
      apply Rmult_le_pos; [unfold off; destruct (Nat.eqb i k); lra |]. apply Rmult_le_pos; [apply Rmult_le_pos; lra | exact V].
    - intro z. rewrite QC. pose proof (HL z). lra. }
  assert (Sub : forall z, E (fun o => exp (sum n (fun i => z i * w o i))) <= exp (quad n C z / 2)).
  { intro z. pose proof (counted_form (fun i j => z i * sqrt (q i) * q j)) as H.
    rewrite (mean_ext _ _ _ M _ (fun o => exp (sum n (fun i => sum n (fun j => z i * sqrt (q i) * q j * (T o i j - P i j)))))).
    - eapply Rle_trans; [exact H |]. right. f_equal. rewrite QC, quad_spread_matrix.
      replace (sum n (fun i => sum n (fun j => off i j * ((z i * sqrt (q i) * q j - z j * sqrt (q j) * q i) ^ 2 * v i j))))
        with (sum n (fun i => sum n (fun j => off i j * (q i * q j * v i j * (sqrt (q j) * z i - sqrt (q i) * z j) ^ 2)))); [field |].
      apply sum_ext. intros i Hi. apply sum_ext. intros j Hj. f_equal.
      pose proof (sqrt_sqrt (q i) (Rlt_le _ _ (Hq i Hi))) as Si. pose proof (sqrt_sqrt (q j) (Rlt_le _ _ (Hq j Hj))) as Sj.
      set (a := sqrt (q i)) in *. set (b := sqrt (q j)) in *. rewrite <- Si, <- Sj. ring.
    - intros o _. f_equal. apply sum_ext. intros i _. unfold w, win. rewrite <- sum_minus, <- !sum_scal. apply sum_ext. intros; ring. }
  assert (T2 : trace2 n C <= S / 16).
  { assert (E2 : trace2 n C = trace2 n B / 16).
    { unfold trace2, C, Rdiv. rewrite <- sum_scal_r. apply sum_ext. intros i _. rewrite <- sum_scal_r. apply sum_ext. intros; field. }
    rewrite E2. lra. }
  pose proof (length_tail O inside E n w C (L / 4) 1 M Bounded ltac:(lra) At Sub (S / 16) t ltac:(lra) T2 Ht) as Tail.
  eapply Rle_trans; [| exact Tail]. apply (mean_le _ _ _ M). intros o _.
  assert (W2 : sum n (fun i => w o i ^ 2) = expect n q (fun y => (win n (T o) q y - win n P q y) ^ 2)).
  { apply sum_ext. intros i Hi. unfold w. rewrite Rpow_mult_distr. f_equal. rewrite <- Rsqr_pow2. apply Rsqr_sqrt, Rlt_le, Hq, Hi. }
  assert (Level : trace n C + 2 * sqrt (S / 16 * t) + 2 * (L / 4) * t = (spread n q v + 2 * sqrt (S * t) + 2 * L * t) / 4).
  { assert (Tr : trace n C = spread n q v / 4).
    { rewrite <- trace_spread_matrix. unfold trace, C, Rdiv. apply sum_scal_r. }
    rewrite Tr. replace (S / 16 * t) with ((/ 4) ^ 2 * (S * t)) by field. rewrite sqrt_mult_alt, sqrt_pow2 by (try apply pow2_ge_0; lra). field. }
  rewrite W2, Level. unfold above.
  destruct (Rlt_dec (spread n q v + 2 * sqrt (S * t) + 2 * L * t) (4 * expect n q (fun y => (win n (T o) q y - win n P q y) ^ 2)));
    destruct (Rlt_dec ((spread n q v + 2 * sqrt (S * t) + 2 * L * t) / 4) (expect n q (fun y => (win n (T o) q y - win n P q y) ^ 2))); lra.
Qed.

(** N20 (d).  Under the hypothesis that q is the equilibrium its win rates are known, P q = 1/2 + tau (h - KL(q || mu)), h = log q/mu:
    F^2 = E_q(T q - 1/2 - tau (h - KL))^2 is a statistic, and the test that rejects at its level e^-t errs at most so often. *)
Theorem N20_test L S t : 0 <= L -> (forall z, quad n B z <= L * sum n (fun i => z i ^ 2)) ->
  0 < S -> trace2 n B <= S -> 0 < t ->
  E (fun o => above (spread n q v + 2 * sqrt (S * t) + 2 * L * t)
    (4 * expect n q (fun y => (win n (T o) q y - 1 / 2 - tau * (ln (q y) - ln (mu y) - KL n q mu)) ^ 2))) <= exp (- t).
Proof.
  intros L0 HL S0 HS Ht. eapply Rle_trans; [| apply (N20_quadratic_tail L S t); assumption].
  right. apply (mean_ext _ _ _ counted_mean). intros o _. f_equal. f_equal. apply expect_ext. intros y Hy. f_equal.
  pose proof q_policy as Hq.
  assert (Known : win n P q y = 1 / 2 + tau * (ln (q y) - ln (mu y) - KL n q mu)); [| rewrite Known; ring].
  destruct (residual_nash n tau P mu mu_policy q q_nash) as [c Hc].
  assert (W : forall z, (z < n)%nat -> win n P q z = tau * (ln (q z) - ln (mu z)) - tau * c).
  { intros z Hz. rewrite <- (Hc z Hz). unfold residual. field. lra. }
  pose proof (beats_self n P q (proj1 P_pref) (proj2 Hq)) as S1. unfold beats in S1.
  rewrite (expect_ext n q _ (fun z => tau * (ln (q z) - ln (mu z)) - tau * c) W), expect_minus, expect_scal, expect_const in S1 by apply Hq.
  change (expect n q (fun y => ln (q y) - ln (mu y))) with (KL n q mu) in S1. rewrite (W y Hy). lra.
Qed.

(** N20 (c).  With L >= q_i q_j / m_ij, P(f > (sqrt V + sqrt(2 L log(1/alpha))) / 2 tau) <= alpha. *)
Theorem N20_mean_error L alpha : 0 < alpha < 1 -> 0 < L -> 0 < spread n q v ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> i <> j -> q i * q j * v i j <= L) ->
  E (fun o => above ((sqrt (spread n q v) + sqrt (2 * L * ln (1 / alpha))) / (2 * tau)) (sqrt (pull2 n tau P (T o) q))) <= alpha.
Proof.
  intros Ha L0 V0 HL. pose proof counted_mean as M. pose proof q_policy as [Hq _]. set (V := spread n q v) in *.
  pose proof (spread_matrix_top L HL (Rlt_le _ _ L0)) as Top. set (t := ln (1 / alpha)).
  assert (A1 : 1 < 1 / alpha).
  { apply Rmult_lt_reg_r with alpha; [lra |]. replace (1 / alpha * alpha) with 1 by (field; lra). lra. }
  assert (T0 : 0 < t) by (unfold t; rewrite <- ln_1; apply ln_increasing; lra).
  apply Rle_trans with (exp (- t)); [| right; unfold t; rewrite exp_Ropp, exp_ln by lra; field; lra].
  eapply Rle_trans; [| apply (N20_quadratic_tail L (L * V) t); try assumption; try lra; [nra | apply trace2_spread; assumption]].
  apply (mean_le _ _ _ M). intros o _. fold V.
  set (F := expect n q (fun y => (win n (T o) q y - win n P q y) ^ 2)).
  assert (F0 : 0 <= F) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply Rlt_le, Hq, Hy | apply pow2_ge_0]).
  assert (Pull : pull2 n tau P (T o) q = F * (/ tau) ^ 2).
  { unfold pull2, F, expect. rewrite <- sum_scal_r. apply sum_ext. intros y _. unfold pull. field. lra. }
  assert (It : 0 < / tau) by (apply Rinv_0_lt_compat, tau_pos).
  rewrite Pull, (sqrt_mult_alt F) by exact F0. rewrite (sqrt_pow2 (/ tau)) by lra. unfold above.
  set (sV := sqrt V). set (sL := sqrt (2 * L * t)). set (sF := sqrt F).
  destruct (Rlt_dec ((sV + sL) / (2 * tau)) (sF * / tau)) as [A | A].
  2: { destruct (Rlt_dec (V + 2 * sqrt (L * V * t) + 2 * L * t) (4 * F)); lra. }
  destruct (Rlt_dec (V + 2 * sqrt (L * V * t) + 2 * L * t) (4 * F)) as [A' | A']; [lra | exfalso; apply A'].
  assert (Sum : sV + sL < 2 * sF).
  { replace ((sV + sL) / (2 * tau)) with ((sV + sL) / 2 * / tau) in A by (field; lra). apply Rmult_lt_reg_r in A; [lra | exact It]. }
  assert (LT : 0 < L * t) by (apply Rmult_lt_0_compat; assumption).
  assert (VV : sV * sV = V) by (apply sqrt_sqrt; lra). assert (LL : sL * sL = 2 * L * t) by (apply sqrt_sqrt; lra).
  assert (FF : sF * sF = F) by (apply sqrt_sqrt, F0). pose proof (sqrt_pos V : 0 <= sV). pose proof (sqrt_pos (2 * L * t) : 0 <= sL).
  assert (Cross : sqrt (L * V * t) <= sV * sL).
  { rewrite <- (sqrt_pow2 (sV * sL)) by (apply Rmult_le_pos; assumption). apply sqrt_le_1_alt.
    replace ((sV * sL) ^ 2) with (sV * sV * (sL * sL)) by ring. rewrite VV, LL. nra. }
  assert ((sV + sL) * (sV + sL) < (2 * sF) * (2 * sF)) by (apply Rmult_le_0_lt_compat; lra). nra.
Qed.

(** N20 (a) with (c).  Whatever bounds f and M have the equilibrium within the radius of (a): for L >= q_i q_j / m_ij and R at least
    every row's spread, P(|q' - q|_1 > M^2/8 + sqrt(f^2 + M^4/64)) <= 2 alpha at the f and M of (c). *)
Theorem N20_distance_tail (q' : O -> nat -> R) L R alpha : (forall o, inside o -> is_nash n tau (T o) mu (q' o)) ->
  0 < alpha < 1 -> 0 < L -> 0 < R -> 0 < spread n q v -> (forall y, (y < n)%nat -> row_spread y <= R) ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> i <> j -> q i * q j * v i j <= L) ->
  let f := (sqrt (spread n q v) + sqrt (2 * L * ln (1 / alpha))) / (2 * tau) in let M := sqrt (R * ln (2 * INR n / alpha) / 2) / tau in
  E (fun o => above (M ^ 2 / 8 + sqrt (f ^ 2 + M ^ 4 / 64)) (l1 n q (q' o))) <= 2 * alpha.
Proof.
  intros N' Ha HL HR V0 Rows Top f M. pose proof counted_mean as Mean. destruct T_counted as [_ [Tp _]].
  pose proof (N20_mean_error L alpha Ha HL V0 Top) as F. fold f in F. pose proof (N20_largest_error R alpha Ha HR Rows) as G. fold M in G.
  apply Rle_trans with (E (fun o => above f (sqrt (pull2 n tau P (T o) q)) + above M (pull_max n tau P (T o) q)));
    [| rewrite (mean_plus _ _ _ Mean); lra].
  apply (mean_le _ _ _ Mean). intros o Ho.
  pose proof (N20_radius n tau P (T o) mu q (q' o) tau_pos (proj1 (Tp o Ho)) mu_policy q_nash (N' o Ho)) as Rad.
  set (x := pull2 n tau P (T o) q) in *. set (m := pull_max n tau P (T o) q) in *.
  unfold above. destruct (Rlt_dec f (sqrt x)), (Rlt_dec M m); try (destruct (Rlt_dec (M ^ 2 / 8 + sqrt (f ^ 2 + M ^ 4 / 64)) (l1 n q (q' o))); lra).
  destruct (Rlt_dec (M ^ 2 / 8 + sqrt (f ^ 2 + M ^ 4 / 64)) (l1 n q (q' o))) as [Far |]; [exfalso | lra].
  assert (X0 : 0 <= x) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply Rlt_le, q_policy, Hy | apply pow2_ge_0]).
  assert (M0 : 0 <= m) by (eapply Rle_trans; [apply (Rabs_pos (pull n tau P (T o) q 0)) |
    apply (top_ge n (fun y => Rabs (pull n tau P (T o) q y)) 0), (policy_n_pos n q q_policy)]).
  assert (X2 : x <= f ^ 2).
  { pose proof (sqrt_sqrt x X0) as S. pose proof (sqrt_pos x). assert (sqrt x * sqrt x <= f * f) by (apply Rmult_le_compat; lra). lra. }
  assert (MM : m ^ 2 <= M ^ 2) by (apply pow_incr; lra). assert (M4 : m ^ 4 <= M ^ 4) by (apply pow_incr; lra).
  pose proof (sqrt_le_1_alt (x + m ^ 4 / 64) (f ^ 2 + M ^ 4 / 64) ltac:(lra)). lra.
Qed.

End Counted.

(** * Independent comparisons make a counted table (N20).

    N comparisons, c of the pair a c > b c, with any outcomes in [0, 1] whose mean is the win rate of that pair (a tie is 1/2);
    a pair may be compared as often as one likes, or never. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate LogMean Counting Chance Counts.
Open Scope R_scope.

Section Comparisons.

Variables (n N : nat) (P : nat -> nat -> R) (a b : nat -> nat) (law : nat -> (R -> R) -> R).
Hypothesis P_pref : pref n P.
Hypothesis each_pair : forall c, (c < N)%nat -> (b c < a c < n)%nat.
Hypothesis each_mean : forall c, (c < N)%nat -> is_mean (fun x => 0 <= x <= 1) (law c).
Hypothesis each_unbiased : forall c, (c < N)%nat -> law c (fun x => x) = P (a c) (b c).

(** How often the pair j < i was compared, and 1 over that; its average, and D where nobody compared it. *)
Definition count (i j : nat) : R := sum N (fun c => delta (a c) i * delta (b c) j).
Definition precision (i j : nat) : R := if Req_EM_T (count i j) 0 then 0 else / count i j.
Definition average (D : nat -> nat -> R) (o : nat -> R) (i j : nat) : R :=
  if Req_EM_T (count i j) 0 then D i j else sum N (fun c => delta (a c) i * delta (b c) j * o c) / count i j.

(** Both halves of the table, and of v. *)
Definition table D (o : nat -> R) (i j : nat) : R :=
  if Nat.ltb j i then average D o i j else if Nat.ltb i j then 1 - average D o j i else 1 / 2.
Definition both_ways (f : nat -> nat -> R) (i j : nat) : R := if Nat.ltb j i then f i j else f j i.

Lemma delta_nonneg k y : 0 <= delta k y.
Proof. unfold delta. destruct (Nat.eqb y k); lra. Qed.

Lemma count_nonneg i j : 0 <= count i j.
Proof. apply sum_nonneg. intros c _. apply Rmult_le_pos; apply delta_nonneg. Qed.

Lemma precision_nonneg i j : 0 <= precision i j.
Proof.
  unfold precision. pose proof (count_nonneg i j). destruct (Req_EM_T (count i j) 0); [lra |].
  apply Rlt_le, Rinv_0_lt_compat. lra.
Qed.

(** A sum over the comparisons, by pairs. *)
Lemma by_pairs (G : nat -> nat -> nat -> R) :
  pairs n (fun i j => sum N (fun c => delta (a c) i * delta (b c) j * G c i j)) = sum N (fun c => G c (a c) (b c)).
Proof.
  unfold pairs. rewrite (sum_ext n _ (fun i => sum N (fun c => sum i (fun j => delta (a c) i * delta (b c) j * G c i j))))
    by (intros; apply sum_swap).
  rewrite sum_swap. apply sum_ext. intros c Hc. pose proof (each_pair c Hc) as [Hb Ha].
  rewrite (sum_ext n _ (fun i => sum i (fun j => G c (a c) j * delta (b c) j) * delta (a c) i)).
  - rewrite (sum_delta n (a c) (fun i => sum i (fun j => G c (a c) j * delta (b c) j)) Ha).
    apply (sum_delta (a c) (b c) (fun j => G c (a c) j) Hb).
  - intros i _. destruct (Nat.eq_dec i (a c)) as [-> | D].
    + replace (delta (a c) (a c)) with 1 by (unfold delta; rewrite Nat.eqb_refl; reflexivity).
      rewrite Rmult_1_r. apply sum_ext. intros; ring.
    + replace (delta (a c) i) with 0 by (unfold delta; destruct (Nat.eqb_spec i (a c)); [contradiction | reflexivity]).
      rewrite Rmult_0_r. transitivity (sum i (fun _ => 0)); [apply sum_ext; intros; ring | apply sum_zero].
Qed.

Lemma average_unit D o i j : (forall c, (c < N)%nat -> 0 <= o c <= 1) -> 0 <= D i j <= 1 -> 0 <= average D o i j <= 1.
Proof.
  intros Ho HD. unfold average. pose proof (count_nonneg i j). destruct (Req_EM_T (count i j) 0); [exact HD |].
  assert (W : forall c, 0 <= delta (a c) i * delta (b c) j) by (intro; apply Rmult_le_pos; apply delta_nonneg).
  split; [apply Rdiv_le_0_compat; [| lra]; apply sum_nonneg; intros c Hc; apply Rmult_le_pos; [apply W | apply Ho, Hc] |].
  apply Rmult_le_reg_r with (count i j); [lra |]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r, Rmult_1_l by lra.
  apply sum_le. intros c Hc. rewrite <- (Rmult_1_r (delta (a c) i * delta (b c) j)) at 2.
  apply Rmult_le_compat_l; [apply W | apply Ho, Hc].
Qed.

Lemma table_pref D o : (forall c, (c < N)%nat -> 0 <= o c <= 1) ->
  (forall i j, (j < i < n)%nat -> 0 <= D i j <= 1) -> pref n (table D o).
Proof.
  intros Ho HD. split; intros i j Hi Hj; unfold table.
  - destruct (Nat.ltb_spec j i), (Nat.ltb_spec i j); try lia; lra.
  - destruct (Nat.ltb_spec j i); [apply average_unit; [exact Ho | apply HD; lia] |].
    destruct (Nat.ltb_spec i j); [| lra].
    pose proof (average_unit D o j i Ho (HD j i ltac:(lia))). lra.
Qed.

(** N20.  Their table is counted, with v = 1 / m, whatever the numbers of comparisons m. *)
Theorem N20_independent_comparisons :
  counted (fun o => forall c, (c < N)%nat -> 0 <= o c <= 1) (product 0 law N) n P (both_ways precision) (table P).
Proof.
  split; [| split; [| split]].
  - apply (product_mean R 0 (fun _ x => 0 <= x <= 1)). exact each_mean.
  - intros o Ho. apply table_pref; [exact Ho |]. intros i j Hij. apply P_pref; lia.
  - intros i j Hi Hj. unfold both_ways. split.
    + destruct (Nat.ltb_spec j i), (Nat.ltb_spec i j); try lia; try reflexivity. replace j with i by lia. reflexivity.
    + destruct (Nat.ltb j i); apply precision_nonneg.
  - intro al. pose proof (product_mean R 0 (fun _ x => 0 <= x <= 1) law N each_mean) as M.
    set (beta := fun c => al (a c) (b c) * precision (a c) (b c)).
    rewrite (mean_ext _ _ _ M _ (fun o => exp (sum N (fun c => beta c * (o c - P (a c) (b c)))))).
    + eapply Rle_trans; [apply (product_exp_le R 0 (fun _ x => 0 <= x <= 1) law N (fun c x => beta c * (x - P (a c) (b c)))
        (fun c => beta c ^ 2 / 8) each_mean) |].
      * intros c Hc. rewrite <- (each_unbiased c Hc).
        apply (mean_hoeffding R (fun x => 0 <= x <= 1) (law c) (each_mean c Hc) (fun x => x)). intros o Ho. exact Ho.
      * right. f_equal. unfold beta.
        rewrite <- (by_pairs (fun _ i j => (al i j * precision i j) ^ 2 / 8)). apply pairs_ext. intros i j Hij.
        rewrite sum_scal_r. fold (count i j). unfold both_ways. replace (Nat.ltb j i) with true by (symmetry; apply Nat.ltb_lt; lia).
        unfold precision. destruct (Req_EM_T (count i j) 0) as [-> | H]; field; exact H.
    + intros o Ho. f_equal. unfold beta.
      rewrite <- (by_pairs (fun c i j => al i j * precision i j * (o c - P i j))). apply pairs_ext. intros i j Hij.
      rewrite (sum_ext N _ (fun c => al i j * precision i j * (delta (a c) i * delta (b c) j * o c)
        - al i j * precision i j * P i j * (delta (a c) i * delta (b c) j))) by (intros; ring).
      rewrite sum_minus, !sum_scal. fold (count i j). unfold table, average, precision.
      replace (Nat.ltb j i) with true by (symmetry; apply Nat.ltb_lt; lia).
      destruct (Req_EM_T (count i j) 0); [ring | field; assumption].
Qed.

End Comparisons.

(** N21 (b).  Self-play's pairs, m_ij = 2 M q_i q_j of M comparisons in all, give V = (n - 1) / (2 M) whatever q is. *)
Theorem N21_self_play n q M : policy n q -> 0 < M -> spread n q (fun i j => / (2 * M * q i * q j)) = (INR n - 1) / (2 * M).
Proof.
  intros [Hq S] HM. unfold spread. rewrite (pairs_ext n _ (fun i j => / (2 * M) * (q i + q j))).
  2: { intros i j Hij. pose proof (Hq i ltac:(lia)). pose proof (Hq j ltac:(lia)). field. repeat split; lra. }
  rewrite pairs_scal. pose proof (pairs_off n (fun i j => q i + q j) (fun i j _ _ => Rplus_comm (q i) (q j))) as P2.
  cbv beta in P2. assert (All : sum n (fun i => sum n (fun j => off i j * (q i + q j))) = 2 * INR n - 2).
  { rewrite (sum_ext n _ (fun i => INR n * q i + 1 - 2 * q i)).
    - rewrite sum_minus, (sum_plus n (fun i => INR n * q i)), !sum_scal, S, sum_const. ring.
    - intros i Hi. rewrite (sum_ext n _ (fun j => (q i + q j) - (q i + q j) * delta i j)).
      + rewrite sum_minus, (sum_plus n (fun _ => q i)), sum_const, S, (sum_delta n i (fun j => q i + q j) Hi). ring.
      + intros j _. unfold off, delta. rewrite (Nat.eqb_sym j i). destruct (Nat.eqb i j); ring. }
  rewrite All in P2. replace (pairs n (fun i j => q i + q j)) with (INR n - 1) by lra. field. lra.
Qed.

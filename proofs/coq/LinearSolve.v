(** * Square systems of linear equations, and a solution proved from an approximate one.

    M is an m x m matrix, (M z)_i = [win m M z i]: the sum of Basics.v, whatever the matrix. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game.
Open Scope R_scope.

(** M z = 0 only for z = 0. *)
Definition nonsingular m (M : nat -> nat -> R) : Prop :=
  forall z, (forall i, (i < m)%nat -> win m M z i = 0) -> forall j, (j < m)%nat -> z j = 0.

(** (I - Q M)_ij. *)
Definition defect m (Q M : nat -> nat -> R) (i j : nat) : R := delta i j - win m Q (fun l => M l j) i.

(** ** More unknowns than equations *)

(** The sum without its p-th term, which comes last. *)
Definition skip (p j : nat) : nat := if Nat.ltb j p then j else S j.

Lemma sum_skip N p f : (p <= N)%nat -> sum (S N) f = sum N (fun j => f (skip p j)) + f p.
Proof.
  induction N as [| N IH]; intro Hp.
  - replace p with O by lia. simpl. ring.
  - destruct (Nat.eq_dec p (S N)) as [-> | E].
    + change (sum (S (S N)) f) with (sum (S N) f + f (S N)). f_equal. apply sum_ext. intros j Hj. unfold skip.
      replace (Nat.ltb j (S N)) with true by (symmetry; apply Nat.ltb_lt; lia). reflexivity.
    + change (sum (S (S N)) f) with (sum (S N) f + f (S N)). rewrite IH by lia. simpl.
      replace (skip p N) with (S N); [ring |]. unfold skip.
      replace (Nat.ltb N p) with false by (symmetry; apply Nat.ltb_ge; lia). reflexivity.
Qed.

(** m homogeneous equations in m + 1 unknowns have a solution other than 0. *)
Lemma homogeneous m : forall M : nat -> nat -> R,
  exists z, (exists j, (j < S m)%nat /\ z j <> 0) /\ forall i, (i < m)%nat -> win (S m) M z i = 0.
Proof.
  induction m as [| m IH]; intro M.
  { exists (fun _ => 1). split; [exists O; split; [lia | lra] | intros; lia]. }
  destruct (Classical_Prop.classic (exists p, (p < S (S m))%nat /\ M m p <> 0)) as [[p [Hp Piv]] | Zero].
  - destruct (IH (fun i j => M i (skip p j) - M i p * M m (skip p j) / M m p)) as [z [[j [Hj Zj]] Hz]].
    set (t := - win (S m) (fun i j => M i (skip p j)) z m / M m p).
    set (u := fun y => if Nat.eqb y p then t else z (if Nat.ltb y p then y else pred y)).
    assert (Uskip : forall l, u (skip p l) = z l).
    { intro l. unfold u, skip. destruct (Nat.ltb_spec l p) as [L | L].
      - replace (Nat.eqb l p) with false by (symmetry; apply Nat.eqb_neq; lia).
        replace (Nat.ltb l p) with true by (symmetry; apply Nat.ltb_lt; lia). reflexivity.
      - replace (Nat.eqb (S l) p) with false by (symmetry; apply Nat.eqb_neq; lia).
        replace (Nat.ltb (S l) p) with false by (symmetry; apply Nat.ltb_ge; lia). reflexivity. }
    assert (Row : forall i, win (S (S m)) M u i = win (S m) (fun i j => M i (skip p j)) z i + M i p * t).
    { intro i. unfold win at 1. rewrite (sum_skip (S m) p) by lia. f_equal.
      - apply sum_ext. intros l _. rewrite Uskip. reflexivity.
      - unfold u. rewrite Nat.eqb_refl. reflexivity. }
    exists u. split.
    + exists (skip p j). split; [unfold skip; destruct (Nat.ltb_spec j p); lia | rewrite Uskip; exact Zj].
    + intros i Hi. rewrite Row. destruct (Nat.eq_dec i m) as [-> | E]; [unfold t; field; exact Piv |].
      rewrite <- (Hz i ltac:(lia)). unfold t, win.
      transitivity (sum (S m) (fun l => M i (skip p l) * z l)
        - M i p / M m p * sum (S m) (fun l => M m (skip p l) * z l)); [field; exact Piv |].
      rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros l _. field. exact Piv.
  - destruct (IH M) as [z [[j [Hj Zj]] Hz]]. set (u := fun y => if Nat.eqb y (S m) then 0 else z y).
    assert (Row : forall i, win (S (S m)) M u i = win (S m) M z i).
    { intro i. unfold win.
      change (sum (S (S m)) (fun y => M i y * u y)) with (sum (S m) (fun y => M i y * u y) + M i (S m) * u (S m)).
      unfold u at 2. rewrite Nat.eqb_refl, Rmult_0_r, Rplus_0_r. apply sum_ext. intros y Hy. unfold u.
      replace (Nat.eqb y (S m)) with false by (symmetry; apply Nat.eqb_neq; lia). reflexivity. }
    exists u. split.
    + exists j. split; [lia |]. unfold u. replace (Nat.eqb j (S m)) with false by (symmetry; apply Nat.eqb_neq; lia).
      exact Zj.
    + intros i Hi. rewrite Row. destruct (Nat.eq_dec i m) as [-> | E]; [| apply Hz; lia].
      unfold win. rewrite (sum_ext (S m) _ (fun _ => 0)); [apply sum_zero |]. intros y Hy.
      replace (M m y) with 0; [ring |]. destruct (Req_dec (M m y) 0) as [-> | E]; [reflexivity |].
      exfalso. apply Zero. exists y. split; [lia | exact E].
Qed.

(** A nonsingular system has exactly one solution. *)
Lemma nonsingular_solution m M b : nonsingular m M -> exists x, forall i, (i < m)%nat -> win m M x i = b i.
Proof.
  intro NS. destruct (homogeneous m (fun i j => if Nat.ltb j m then M i j else - b i)) as [z [[j [Hj Zj]] Hz]].
  assert (Row : forall i, (i < m)%nat -> win m M z i = z m * b i).
  { intros i Hi. pose proof (Hz i Hi) as E. unfold win in E. simpl in E. rewrite Nat.ltb_irrefl in E.
    enough (win m M z i = sum m (fun y => (if Nat.ltb y m then M i y else - b i) * z y)) by lra.
    apply sum_ext. intros y Hy. replace (Nat.ltb y m) with true by (symmetry; apply Nat.ltb_lt, Hy). reflexivity. }
  assert (Last : z m <> 0).
  { intro E. assert (V : forall y, (y < m)%nat -> z y = 0) by (apply NS; intros i Hi; rewrite Row, E by exact Hi; ring).
    apply Zj. destruct (Nat.eq_dec j m) as [-> | N]; [exact E | apply V; lia]. }
  exists (fun y => / z m * z y). intros i Hi. transitivity (/ z m * win m M z i).
  - unfold win. rewrite <- sum_scal. apply sum_ext. intros; ring.
  - rewrite Row by exact Hi. field. exact Last.
Qed.

Lemma nonsingular_unique m M x x' : nonsingular m M -> (forall i, (i < m)%nat -> win m M x i = win m M x' i) ->
  same m x x'.
Proof.
  intros NS E j Hj. enough (x j - x' j = 0) by lra.
  apply (NS (fun y => x y - x' y)); [| exact Hj]. intros i Hi. rewrite win_minus, E by exact Hi. ring.
Qed.

(** ** From a rank *)

(** E6.  l rows of M (of any height, l + 1 columns) that are independent without column q, v in their kernel, v_q <> 0:
    the kernel is the line of v.  Elimination with l pivots finds such rows; q is the column without a pivot. *)
Theorem E6_rank_line l M rows q v : nonsingular l (fun i j => M (rows i) (skip q j)) -> (q <= l)%nat -> v q <> 0 ->
  (forall i, (i < l)%nat -> win (S l) M v (rows i) = 0) ->
  forall z, (forall i, (i < l)%nat -> win (S l) M z (rows i) = 0) -> exists c, forall j, (j < S l)%nat -> z j = c * v j.
Proof.
  intros NS Hq Vq Hv z Hz. exists (z q / v q). set (c := z q / v q). set (d := fun j => z j - c * v j).
  assert (Dq : d q = 0) by (unfold d, c; field; exact Vq).
  assert (Row : forall i, (i < l)%nat -> win l (fun i j => M (rows i) (skip q j)) (fun j => d (skip q j)) i = 0).
  { intros i Hi.
    transitivity (win (S l) M z (rows i) - c * win (S l) M v (rows i)); [| rewrite Hz, Hv by exact Hi; ring].
    unfold win at 2 3. rewrite <- sum_scal, <- sum_minus, (sum_skip l q) by exact Hq.
    replace (M (rows i) q * z q - c * (M (rows i) q * v q)) with (M (rows i) q * d q) by (unfold d; ring).
    rewrite Dq, Rmult_0_r, Rplus_0_r. unfold win. apply sum_ext. intros j _. unfold d. ring. }
  pose proof (NS _ Row) as Zero. intros j Hj. enough (d j = 0) by (unfold d in *; lra).
  destruct (Nat.eq_dec j q) as [-> | N]; [exact Dq |].
  destruct (le_lt_dec q j) as [L | L].
  - pose proof (Zero (pred j) ltac:(lia)) as E. unfold skip in E.
    replace (Nat.ltb (pred j) q) with false in E by (symmetry; apply Nat.ltb_ge; lia).
    replace (S (pred j)) with j in E by lia. exact E.
  - pose proof (Zero j ltac:(lia)) as E. unfold skip in E.
    replace (Nat.ltb j q) with true in E by (symmetry; apply Nat.ltb_lt; exact L). exact E.
Qed.

(** ** From an approximate inverse *)

Section Verified.

Variables (m : nat) (Q M : nat -> nat -> R) (c : R).
Hypothesis c_small : c < 1.
Hypothesis contraction : forall i, (i < m)%nat -> sum m (fun j => Rabs (defect m Q M i j)) <= c.

(** An error is no larger than what Q makes of its residual, over 1 - c. *)
Lemma error_bound e rho : (forall i, (i < m)%nat -> Rabs (win m Q (win m M e) i) <= rho) ->
  forall i, (i < m)%nat -> Rabs (e i) <= rho / (1 - c).
Proof.
  intros H i Hi. set (t := top m (fun j => Rabs (e j))).
  destruct (top_attained m (fun j => Rabs (e j)) ltac:(lia)) as [k [Hk Ek]]. fold t in Ek.
  assert (Split : e k = sum m (fun j => defect m Q M k j * e j) + win m Q (win m M e) k).
  { unfold defect. rewrite (sum_ext m (fun j => (delta k j - win m Q (fun l => M l j) k) * e j)
      (fun j => e j * delta k j - win m Q (fun l => M l j) k * e j)) by (intros; ring).
    rewrite sum_minus, sum_delta by exact Hk.
    enough (sum m (fun j => win m Q (fun l => M l j) k * e j) = win m Q (win m M e) k) by lra. unfold win.
    rewrite (sum_ext m (fun j => sum m (fun l => Q k l * M l j) * e j) (fun j => sum m (fun l => Q k l * M l j * e j)))
      by (intros; symmetry; apply sum_scal_r).
    rewrite sum_swap. apply sum_ext. intros l _. rewrite <- sum_scal. apply sum_ext. intros; ring. }
  assert (T0 : 0 <= t) by (rewrite Ek; apply Rabs_pos).
  assert (Small : Rabs (sum m (fun j => defect m Q M k j * e j)) <= c * t).
  { eapply Rle_trans; [apply sum_abs |].
    apply Rle_trans with (sum m (fun j => Rabs (defect m Q M k j)) * t);
      [| apply Rmult_le_compat_r; [exact T0 | apply contraction, Hk]].
    rewrite <- sum_scal_r. apply sum_le. intros j Hj. rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos |].
    apply (top_ge m (fun j => Rabs (e j)) j Hj). }
  pose proof (Rabs_triang (sum m (fun j => defect m Q M k j * e j)) (win m Q (win m M e) k)) as Tr.
  rewrite <- Split, <- Ek in Tr. pose proof (H k Hk).
  apply Rle_trans with t; [apply (top_ge m (fun j => Rabs (e j)) i Hi) |].
  apply Rmult_le_reg_r with (1 - c); [lra |]. replace (rho / (1 - c) * (1 - c)) with rho by (field; lra). lra.
Qed.

(** E6.  An approximate inverse Q with ||I - Q M|| <= c < 1 proves that M is nonsingular. *)
Theorem E6_verified_nonsingular : nonsingular m M.
Proof.
  intros z Hz j Hj. assert (Z : Rabs (z j) <= 0 / (1 - c)).
  { apply error_bound; [| exact Hj]. intros i Hi. unfold win at 1.
    rewrite (sum_ext m _ (fun _ => 0)), sum_zero, Rabs_R0; [lra |].
    intros l Hl. rewrite Hz by exact Hl. ring. }
  replace (0 / (1 - c)) with 0 in Z by (field; lra). pose proof (Rabs_pos (z j)).
  destruct (Req_dec (z j) 0) as [E | E]; [exact E | pose proof (Rabs_pos_lt _ E); lra].
Qed.

(** E6.  Then M x = b has exactly one solution, and ||x - x'|| <= ||Q (b - M x')|| / (1 - c), in the largest entry. *)
Theorem E6_verified_solve b x' rho : (forall i, (i < m)%nat -> Rabs (win m Q (fun l => b l - win m M x' l) i) <= rho) ->
  exists x, (forall i, (i < m)%nat -> win m M x i = b i) /\
    (forall z, (forall i, (i < m)%nat -> win m M z i = b i) -> same m z x) /\
    (forall i, (i < m)%nat -> Rabs (x i - x' i) <= rho / (1 - c)).
Proof.
  intro H. destruct (nonsingular_solution m M b E6_verified_nonsingular) as [x Hx]. exists x. split; [exact Hx |].
  split.
  - intros z Hz. apply (nonsingular_unique m M z x E6_verified_nonsingular). intros i Hi. rewrite Hz, Hx by exact Hi.
    reflexivity.
  - intros i Hi. apply (error_bound (fun j => x j - x' j)); [| exact Hi]. intros k Hk.
    replace (win m Q (win m M (fun j => x j - x' j)) k) with (win m Q (fun l => b l - win m M x' l) k); [apply H, Hk |].
    apply sum_ext. intros l Hl. rewrite win_minus, Hx by exact Hl. reflexivity.
Qed.

End Verified.

(** E6.  A left inverse proves that M is nonsingular: c = 0. *)
Theorem E6_left_inverse m Q M : (forall i j, (i < m)%nat -> (j < m)%nat -> win m Q (fun l => M l j) i = delta i j) ->
  nonsingular m M.
Proof.
  intro H. apply (E6_verified_nonsingular m Q M 0); [lra |]. intros i Hi.
  rewrite (sum_ext m _ (fun _ => 0)); [rewrite sum_zero; lra |].
  intros j Hj. unfold defect. rewrite H by assumption. rewrite Rminus_eq_0. apply Rabs_R0.
Qed.

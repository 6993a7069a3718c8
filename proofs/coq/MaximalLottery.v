(** * Maximal lotteries (E6): what proves that a vector is one, and the only one.

    A is a skew matrix of margins, of any scale; (A x)_y = [win n A x y] is the margin of y against x and
    p^T A x = [beats n A p x] that of a distribution p: the sums of Basics.v and Game.v, whatever the matrix. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game ZeroTemperature LinearSolve.
Open Scope R_scope.

(** A^T = -A. *)
Definition skew n (A : nat -> nat -> R) : Prop := forall y y', (y < n)%nat -> (y' < n)%nat -> A y y' = - A y' y.

(** What the verifier checks of an answer: x >= 0, sum x = 1, A x <= 0. *)
Definition accepted n A (x : nat -> R) : Prop := dist n x /\ forall y, (y < n)%nat -> win n A x y <= 0.

(** What it claims: a maximal lottery, no distribution has a positive margin against it. *)
Definition unbeaten n A (x : nat -> R) : Prop := dist n x /\ forall p, dist n p -> beats n A p x <= 0.

(** z vanishes off the support of x. *)
Definition within n (x z : nat -> R) : Prop := forall y, (y < n)%nat -> x y = 0 -> z y = 0.

(** Every response off the support of x loses against it. *)
Definition strict n A (x : nat -> R) : Prop := forall y, (y < n)%nat -> x y = 0 -> win n A x y < 0.

(** A z = 0 on the support of x. *)
Definition balanced n A (x z : nat -> R) : Prop := forall y, (y < n)%nat -> x y <> 0 -> win n A z y = 0.

(** v + t d. *)
Lemma win_move n A v t d y : win n A (fun z => v z + t * d z) y = win n A v y + t * win n A d y.
Proof. unfold win. rewrite <- sum_scal, <- sum_plus. apply sum_ext. intros; ring. Qed.

Lemma win_multiple n A c x y : win n A (fun z => c * x z) y = c * win n A x y.
Proof. unfold win. rewrite <- sum_scal. apply sum_ext. intros; ring. Qed.

Lemma dist_delta n k : (k < n)%nat -> dist n (delta k).
Proof.
  intro Hk. split; [intros y _; unfold delta; destruct (Nat.eqb y k); lra |].
  rewrite (sum_ext n _ (fun y => 1 * delta k y)) by (intros; ring). apply (sum_delta n k (fun _ => 1) Hk).
Qed.

Section Lotteries.

Variables (n : nat) (A : nat -> nat -> R).
Hypothesis A_skew : skew n A.

Lemma margin_skew u v : beats n A u v = - beats n A v u.
Proof.
  rewrite !beats_sum, sum_swap, <- sum_opp. apply sum_ext. intros y Hy. rewrite <- sum_opp. apply sum_ext. intros z Hz.
  rewrite (A_skew z y) by assumption. ring.
Qed.

(** ** One lottery *)

(** E6.  Accepted is as much as unbeaten: the check refuses no maximal lottery either. *)
Theorem E6_accepted_iff x : accepted n A x <-> unbeaten n A x.
Proof.
  split; intros [D H]; split; try exact D.
  - intros p [Hp _]. unfold beats, expect. rewrite <- (sum_zero n). apply sum_le. intros y Hy.
    pose proof (Hp y Hy). pose proof (H y Hy). nra.
  - intros y Hy. pose proof (H (delta y) (dist_delta n y Hy)) as L. unfold beats, expect in L.
    rewrite (sum_ext n _ (fun z => win n A x z * delta y z)), sum_delta in L by (intros; ring || exact Hy). exact L.
Qed.

(** E6.  x >= 0, sum x = 1 and A x <= 0 make x a maximal lottery: no distribution beats it, it is beaten by none, and
    the best reply to it gains exactly 0. *)
Theorem E6_accepted_lottery x : accepted n A x ->
  (forall p, dist n p -> beats n A p x <= 0 /\ 0 <= beats n A x p) /\ top n (win n A x) = 0.
Proof.
  intro Hx. destruct (proj1 (E6_accepted_iff x) Hx) as [D U]. split.
  - intros p Hp. pose proof (U p Hp). rewrite (margin_skew x p). lra.
  - destruct (top_attained n (win n A x) (dist_n_pos n x D)) as [k [Hk E]].
    apply Rle_antisym; [rewrite E; apply Hx, Hk |].
    pose proof (margin_skew x x) as Z. replace 0 with (beats n A x x) by lra.
    apply (expect_bounds n x (win n A x) (bottom n (win n A x)) (top n (win n A x)) D).
    intros y Hy. split; [apply bottom_le | apply top_ge]; exact Hy.
Qed.

(** E6.  Of any distribution x, max_y (A x)_y is what the best reply gains: the exploitability at temperature 0. *)
Theorem E6_accepted_exploitability x : (0 < n)%nat -> (forall p, dist n p -> beats n A p x <= top n (win n A x)) /\
  exists p, dist n p /\ beats n A p x = top n (win n A x).
Proof.
  intro Hn. split.
  - intros p Hp. apply (expect_bounds n p (win n A x) (bottom n (win n A x)) (top n (win n A x)) Hp).
    intros y Hy. split; [apply bottom_le | apply top_ge]; exact Hy.
  - destruct (top_attained n (win n A x) Hn) as [y [Hy E]]. exists (delta y). split; [apply dist_delta, Hy |].
    unfold beats, expect.
    rewrite (sum_ext n _ (fun z => win n A x z * delta y z)), sum_delta by (intros; ring || exact Hy).
    symmetry. exact E.
Qed.

(** A maximal lottery leaves no slack where another has weight. *)
Lemma complementary x z y : accepted n A x -> accepted n A z -> (y < n)%nat -> z y * win n A x y = 0.
Proof.
  intros Hx Hz Hy. enough (- (z y * win n A x y) = 0) by lra.
  apply (sum_nonneg_zero n (fun y => - (z y * win n A x y))); [| | exact Hy].
  - intros i Hi. pose proof (proj1 (proj1 Hz) i Hi). pose proof (proj2 Hx i Hi). nra.
  - rewrite sum_opp. fold (expect n z (win n A x)). fold (beats n A z x).
    destruct (proj1 (E6_accepted_iff x) Hx) as [Dx Ux]. destruct (proj1 (E6_accepted_iff z) Hz) as [Dz Uz].
    pose proof (Ux z Dz). pose proof (Uz x Dx). rewrite (margin_skew x z) in *. lra.
Qed.

Lemma lottery_balanced x z : accepted n A x -> accepted n A z -> balanced n A x z.
Proof.
  intros Hx Hz y Hy N. pose proof (complementary z x y Hz Hx Hy) as E. apply Rmult_integral in E.
  destruct E; [contradiction | assumption].
Qed.

Lemma lottery_within x z : accepted n A x -> strict n A x -> accepted n A z -> within n x z.
Proof.
  intros Hx Hs Hz y Hy Z. pose proof (complementary x z y Hx Hz Hy) as E. pose proof (Hs y Hy Z).
  apply Rmult_integral in E. destruct E; [assumption | lra].
Qed.

(** ** Uniqueness *)

(** E6.  If every response off the support loses strictly and the kernel of A on the support is the line of x, then x is
    the only maximal lottery. *)
Theorem E6_accepted_unique x : accepted n A x -> strict n A x ->
  (forall z, within n x z -> balanced n A x z -> exists c, forall y, (y < n)%nat -> z y = c * x y) ->
  forall z, unbeaten n A z -> same n z x.
Proof.
  intros Hx Hs Line z Hz. apply E6_accepted_iff in Hz.
  destruct (Line z (lottery_within x z Hx Hs Hz) (lottery_balanced x z Hx Hz)) as [c Hc].
  assert (c = 1) as ->; [| intros y Hy; rewrite Hc by exact Hy; ring].
  pose proof (proj2 (proj1 Hz)) as S. rewrite (sum_ext n z _ Hc), sum_scal, (proj2 (proj1 Hx)) in S. lra.
Qed.

End Lotteries.

(** ** The bordered system of the ball arithmetic *)

(** [A_BB 1; 1^T 0], with B = {held 0, ..., held (k - 1)}. *)
Definition bordered k (A : nat -> nat -> R) (held : nat -> nat) (i j : nat) : R :=
  if Nat.ltb i k then if Nat.ltb j k then A (held i) (held j) else 1 else if Nat.ltb j k then 1 else 0.

(** The weights w on the responses held, 0 elsewhere. *)
Definition spread k (held : nat -> nat) (w : nat -> R) (y : nat) : R := sum k (fun i => w i * delta (held i) y).

Section Bordered.

Variables (n : nat) (A : nat -> nat -> R) (k : nat) (held : nat -> nat).
Hypothesis A_skew : skew n A.
Hypothesis held_range : forall i, (i < k)%nat -> (held i < n)%nat.
Hypothesis held_once : forall i j, (i < k)%nat -> (j < k)%nat -> held i = held j -> i = j.

Local Notation x := (spread k held).

Lemma sum_spread w f : sum n (fun y => x w y * f y) = sum k (fun i => w i * f (held i)).
Proof.
  unfold spread. rewrite (sum_ext n _ (fun y => sum k (fun i => w i * (f y * delta (held i) y)))).
  - rewrite sum_swap. apply sum_ext. intros i Hi. rewrite sum_scal, sum_delta by apply held_range, Hi. reflexivity.
  - intros y _. rewrite <- sum_scal_r. apply sum_ext. intros; ring.
Qed.

Lemma spread_sum w : sum n (x w) = sum k w.
Proof.
  rewrite (sum_ext n _ (fun y => x w y * 1)) by (intros; ring). rewrite (sum_spread w (fun _ => 1)).
  apply sum_ext. intros; ring.
Qed.

Lemma spread_win w y : win n A (x w) y = sum k (fun i => A y (held i) * w i).
Proof.
  unfold win. rewrite (sum_ext n _ (fun z => x w z * A y z)) by (intros; ring). rewrite sum_spread. apply sum_ext.
  intros; ring.
Qed.

Lemma spread_at w i : (i < k)%nat -> x w (held i) = w i.
Proof.
  intro Hi. unfold spread. rewrite (sum_ext k _ (fun j => w j * delta i j)); [apply sum_delta, Hi |].
  intros j Hj. f_equal. unfold delta.
  destruct (Nat.eqb_spec (held i) (held j)) as [E | E], (Nat.eqb_spec j i) as [F | F]; try reflexivity.
  - exfalso. apply F. symmetry. apply held_once; assumption.
  - exfalso. apply E. rewrite F. reflexivity.
Qed.

Lemma spread_off w y : (forall i, (i < k)%nat -> held i <> y) -> x w y = 0.
Proof.
  intro H. unfold spread. rewrite (sum_ext k _ (fun _ => 0)); [apply sum_zero |]. intros i Hi. unfold delta.
  replace (Nat.eqb y (held i)) with false;
    [ring | symmetry; apply Nat.eqb_neq; intro E; apply (H i Hi); symmetry; exact E].
Qed.

Lemma held_or_not y : (exists i, (i < k)%nat /\ held i = y) \/ (forall i, (i < k)%nat -> held i <> y).
Proof.
  clear held_range held_once. induction k as [| l IH]; [right; intros; lia |].
  destruct IH as [[i [Hi E]] | IH]; [left; exists i; split; [lia | exact E] |].
  destruct (Nat.eq_dec (held l) y) as [E | E]; [left; exists l; split; [lia | exact E] |].
  right. intros i Hi. destruct (Nat.eq_dec i l) as [-> | N]; [exact E | apply IH; lia].
Qed.

(** The rows of the bordered system: A_BB w + t 1, and the sum of w; t is the unknown of the border. *)
Lemma bordered_row w i : (i < k)%nat -> win (S k) (bordered k A held) w i = win n A (x w) (held i) + w k.
Proof.
  intro Hi. unfold win at 1. simpl. unfold bordered at 2. rewrite Nat.ltb_irrefl.
  replace (Nat.ltb i k) with true by (symmetry; apply Nat.ltb_lt; exact Hi). rewrite Rmult_1_l, spread_win. f_equal.
  apply sum_ext. intros j Hj. unfold bordered.
  replace (Nat.ltb i k) with true by (symmetry; apply Nat.ltb_lt; exact Hi).
  replace (Nat.ltb j k) with true by (symmetry; apply Nat.ltb_lt; exact Hj). reflexivity.
Qed.

Lemma bordered_last w : win (S k) (bordered k A held) w k = sum k w.
Proof.
  unfold win. simpl. unfold bordered at 2. rewrite Nat.ltb_irrefl, Rmult_0_l, Rplus_0_r. apply sum_ext. intros j Hj.
  unfold bordered. rewrite Nat.ltb_irrefl. replace (Nat.ltb j k) with true by (symmetry; apply Nat.ltb_lt; exact Hj).
  ring.
Qed.

(** E6.  The bordered system is nonsingular, its solution for (0, ..., 0, 1) has positive weights, and every response
    off B loses strictly: then these weights are the only maximal lottery. *)
Theorem E6_accepted_bordered w : nonsingular (S k) (bordered k A held) ->
  (forall i, (i < S k)%nat -> win (S k) (bordered k A held) w i = delta k i) ->
  (forall i, (i < k)%nat -> 0 < w i) ->
  (forall y, (y < n)%nat -> (forall i, (i < k)%nat -> held i <> y) -> win n A (x w) y < 0) ->
  accepted n A (x w) /\ strict n A (x w) /\ forall z, unbeaten n A z -> same n z (x w).
Proof.
  intros NS Sol Pos Slack.
  assert (Sum : sum k w = 1).
  { rewrite <- bordered_last, Sol by lia. unfold delta. rewrite Nat.eqb_refl. reflexivity. }
  assert (Row : forall i, (i < k)%nat -> win n A (x w) (held i) = - w k).
  { intros i Hi. pose proof (Sol i ltac:(lia)) as E. rewrite bordered_row in E by exact Hi. unfold delta in E.
    replace (Nat.eqb i k) with false in E by (symmetry; apply Nat.eqb_neq; lia). lra. }
  assert (Border : w k = 0).
  { pose proof (margin_skew n A A_skew (x w) (x w)) as Z. unfold beats at 1 in Z. unfold expect in Z.
    rewrite sum_spread in Z.
    rewrite (sum_ext k _ (fun i => w i * - w k)) in Z by (intros i Hi; rewrite Row by exact Hi; reflexivity).
    rewrite sum_scal_r, Sum in Z. unfold beats, expect in Z. rewrite sum_spread in Z.
    rewrite (sum_ext k _ (fun i => w i * - w k)) in Z by (intros i Hi; rewrite Row by exact Hi; reflexivity).
    rewrite sum_scal_r, Sum in Z. lra. }
  assert (Zero : forall i, (i < k)%nat -> win n A (x w) (held i) = 0) by (intros i Hi; rewrite Row by exact Hi; lra).
  assert (Acc : accepted n A (x w)).
  { split; [split |].
    - intros y _.
      destruct (held_or_not y) as [[i [Hi <-]] | Off]; [rewrite spread_at by exact Hi; apply Rlt_le, Pos, Hi |].
      rewrite spread_off by exact Off. lra.
    - rewrite spread_sum. exact Sum.
    - intros y Hy.
      destruct (held_or_not y) as [[i [Hi <-]] | Off];
        [rewrite Zero by exact Hi; lra | apply Rlt_le, Slack; assumption]. }
  assert (Str : strict n A (x w)).
  { intros y Hy Z. apply Slack; [exact Hy |]. intros i Hi E. rewrite <- E, spread_at in Z by exact Hi.
    pose proof (Pos i Hi). lra. }
  split; [exact Acc |]. split; [exact Str |].
  apply (E6_accepted_unique n A A_skew (x w) Acc Str). intros z In Bal.
  set (u := fun i => if Nat.eqb i k then 0 else z (held i) - sum n z * w i).
  assert (Uk : u k = 0) by (unfold u; rewrite Nat.eqb_refl; reflexivity).
  assert (Ui : forall i, (i < k)%nat -> u i = z (held i) - sum n z * w i).
  { intros i Hi. unfold u. replace (Nat.eqb i k) with false by (symmetry; apply Nat.eqb_neq; lia). reflexivity. }
  assert (Xu : forall y, (y < n)%nat -> x u y = z y - sum n z * x w y).
  { intros y Hy. destruct (held_or_not y) as [[i [Hi <-]] | Off]; [rewrite !spread_at, Ui by exact Hi; reflexivity |].
    rewrite !spread_off, (In y Hy) by (exact Off || apply spread_off, Off). ring. }
  assert (U : forall i, (i < S k)%nat -> u i = 0).
  { intros i Hi. apply (NS u); [| exact Hi]. intros j Hj. destruct (Nat.eq_dec j k) as [-> | N].
    - rewrite bordered_last, <- spread_sum, (sum_ext n _ _ Xu), sum_minus, sum_scal, spread_sum, Sum. ring.
    - assert (Hjk : (j < k)%nat) by lia. rewrite bordered_row, Uk by exact Hjk.
      rewrite (win_same n A _ _ _ Xu), win_minus, win_multiple, (Zero j Hjk), (Bal (held j));
        [ring | apply held_range, Hjk |].
      rewrite spread_at by exact Hjk. pose proof (Pos j Hjk). lra. }
  exists (sum n z). intros y Hy. enough (x u y = 0) by (rewrite Xu in * by exact Hy; lra).
  unfold spread. rewrite (sum_ext k _ (fun _ => 0)); [apply sum_zero |]. intros i Hi. rewrite U by lia. ring.
Qed.

(** E6.  The same from floating-point numbers alone: Q an approximate inverse of the bordered matrix, w an approximate
    solution, the error bound rho / (1 - c) less than every weight and every slack.  The only maximal lottery exists,
    and each of its weights is within the bound of w's. *)
Theorem E6_verified_lottery Q w c rho : c < 1 ->
  (forall i, (i < S k)%nat -> sum (S k) (fun j => Rabs (defect (S k) Q (bordered k A held) i j)) <= c) ->
  (forall i, (i < S k)%nat -> Rabs (win (S k) Q (fun l => delta k l - win (S k) (bordered k A held) w l) i) <= rho) ->
  (forall i, (i < k)%nat -> rho / (1 - c) < w i) ->
  (forall y, (y < n)%nat -> (forall i, (i < k)%nat -> held i <> y) ->
    win n A (x w) y + rho / (1 - c) * sum k (fun i => Rabs (A y (held i))) < 0) ->
  exists q, accepted n A q /\ (forall z, unbeaten n A z -> same n z q) /\
    (forall i, (i < k)%nat -> Rabs (q (held i) - w i) <= rho / (1 - c)) /\ l1 n (x w) q <= INR k * (rho / (1 - c)).
Proof.
  intros Hc Con Res Pos Slack. set (b := rho / (1 - c)) in *.
  destruct (E6_verified_solve (S k) Q (bordered k A held) c Hc Con (delta k) w rho Res) as [v [Sol [_ Near]]].
  fold b in Near.
  assert (Near' : forall i, (i < k)%nat -> Rabs (v i - w i) <= b) by (intros i Hi; apply Near; lia).
  destruct (E6_accepted_bordered v) as [Acc [_ Uni]].
  - apply (E6_verified_nonsingular (S k) Q _ c Hc Con).
  - exact Sol.
  - intros i Hi. pose proof (Near' i Hi) as N. pose proof (Pos i Hi). apply Rabs_le_between in N. lra.
  - intros y Hy Off. pose proof (Slack y Hy Off) as L. rewrite spread_win in *.
    assert (D : sum k (fun i => A y (held i) * v i) - sum k (fun i => A y (held i) * w i)
      <= b * sum k (fun i => Rabs (A y (held i)))); [| lra].
    rewrite <- sum_minus, <- sum_scal. apply sum_le. intros i Hi.
    replace (A y (held i) * v i - A y (held i) * w i) with (A y (held i) * (v i - w i)) by ring.
    eapply Rle_trans; [apply Rle_abs |]. rewrite Rabs_mult, Rmult_comm.
    apply Rmult_le_compat_r; [apply Rabs_pos | apply Near', Hi].
  - exists (x v). split; [exact Acc |]. split; [exact Uni |]. split.
    + intros i Hi. rewrite spread_at by exact Hi. apply Near', Hi.
    + rewrite l1_sym, <- sum_const. unfold l1.
      apply Rle_trans with (sum n (fun y => x (fun i => Rabs (v i - w i)) y)).
      * apply sum_le. intros y _.
        destruct (held_or_not y) as [[i [Hi <-]] | Off]; [rewrite !spread_at by exact Hi; lra |].
        rewrite !spread_off by exact Off. rewrite Rminus_0_r, Rabs_R0. lra.
      * rewrite spread_sum. apply sum_le. intros i Hi. apply Near', Hi.
Qed.

(** A vector that vanishes off B is the spread of its entries on B. *)
Lemma spread_self z : (forall y, (y < n)%nat -> (forall i, (i < k)%nat -> held i <> y) -> z y = 0) ->
  same n z (x (fun i => z (held i))).
Proof.
  intros Off y Hy. destruct (held_or_not y) as [[i [Hi <-]] | N]; [rewrite spread_at by exact Hi; reflexivity |].
  rewrite spread_off by exact N. apply Off; assumption.
Qed.

End Bordered.

(** ** Uniqueness from a rank *)

(** E6.  B = {held 0, ..., held l}, x positive on it and 0 off it, strict;
  and l rows of A_BB that are independent without
    one column q, the rank of A_BB is l: x is the only maximal lottery. *)
Theorem E6_accepted_rank n A l held x rows q : skew n A -> accepted n A x -> strict n A x ->
  (forall i, (i < S l)%nat -> (held i < n)%nat) ->
  (forall i j, (i < S l)%nat -> (j < S l)%nat -> held i = held j -> i = j) ->
  (forall y, (y < n)%nat -> x y <> 0 <-> exists i, (i < S l)%nat /\ held i = y) ->
  (forall i, (i < l)%nat -> (rows i < S l)%nat) -> (q <= l)%nat ->
  nonsingular l (fun i j => A (held (rows i)) (held (skip q j))) -> forall z, unbeaten n A z -> same n z x.
Proof.
  intros HA Hx Hs Range Once On Rows Hq NS. apply (E6_accepted_unique n A HA x Hx Hs). intros z In Bal.
  assert (Xheld : forall i, (i < S l)%nat -> x (held i) <> 0) by (intros i Hi; apply On; [apply Range, Hi | exists i;
    auto]).
  assert (Off : forall u, within n x u -> forall y, (y < n)%nat -> (forall i, (i < S l)%nat -> held i <> y) -> u y = 0).
  { intros u Hu y Hy N. apply Hu; [exact Hy |]. destruct (Req_dec (x y) 0) as [E | E]; [exact E |].
    apply (On y Hy) in E. destruct E as [i [Hi E]]. exfalso. exact (N i Hi E). }
  assert (Row : forall u, within n x u -> balanced n A x u -> forall i, (i < l)%nat ->
    win (S l) (fun i j => A (held i) (held j)) (fun j => u (held j)) (rows i) = 0).
  { intros u Hu Bu i Hi. rewrite <- (Bu (held (rows i)) (Range _ (Rows i Hi)) (Xheld _ (Rows i Hi))).
    rewrite (win_same n A u (spread (S l) held (fun j => u (held j)))) by (apply spread_self; auto).
    rewrite spread_win by exact Range. reflexivity. }
  destruct (E6_rank_line l (fun i j => A (held i) (held j)) rows q (fun j => x (held j)) NS Hq)
    with (z := fun j => z (held j))
    as [c Hc].
  - apply Xheld. lia.
  - apply Row; [intros y _ E; exact E | apply lottery_balanced; assumption].
  - apply Row; assumption.
  - exists c. intros y Hy. destruct (held_or_not (S l) held y) as [[i [Hi <-]] | N]; [apply Hc, Hi |].
    rewrite (Off z In y Hy N), (Off x (fun y _ E => E) y Hy N). ring.
Qed.

(** ** In win rates *)

(** E6.  For A = c (P - 1/2), c > 0: accepted is as much as a maximal lottery of P. *)
Theorem E6_accepted_win_rates n P A c x : 0 < c ->
  (forall y y', (y < n)%nat -> (y' < n)%nat -> A y y' = c * (P y y' - 1 / 2)) ->
  accepted n A x <-> lottery n P x.
Proof.
  intros Hc HA. rewrite (E6_accepted_iff n A x).
  enough (E : forall p, dist n p -> dist n x -> beats n A p x = c * (beats n P p x - 1 / 2)).
  { split; intros [D U]; split; try exact D; intros p Hp; pose proof (U p Hp) as L.
    - rewrite E in L by assumption. apply Rnot_lt_le. intro G.
      assert (0 < c * (beats n P p x - 1 / 2)) by (apply Rmult_lt_0_compat; lra). lra.
    - rewrite E by assumption. nra. }
  intros p [_ Sp] [_ Sx].
  rewrite !beats_sum.
  transitivity (c * (sum n (fun y => sum n (fun y' => p y * P y y' * x y')) - 1 / 2 * (sum n p * sum n x)));
    [| rewrite Sp, Sx; ring].
  rewrite sum_product, <- sum_scal, <- sum_minus, <- sum_scal. apply sum_ext. intros y Hy.
  rewrite <- sum_scal, <- sum_minus, <- sum_scal. apply sum_ext. intros z Hz. rewrite HA by assumption. ring.
Qed.

(** E6.  So the value of the game of win rates is 1/2: nobody wins more against an accepted x, and somebody does. *)
Theorem E6_accepted_value n P x : is_pref n P -> accepted n (fun y y' => P y y' - 1 / 2) x ->
  lottery n P x /\ top n (win n P x) = 1 / 2.
Proof.
  intros HP Hx.
  assert (L : lottery n P x)
    by (apply (E6_accepted_win_rates n P (fun y y' => P y y' - 1 / 2) 1 x); [lra | intros; ring | exact Hx]).
  split; [exact L |]. destruct L as [D U]. pose proof (dist_n_pos n x D) as Hn.
  destruct (top_attained n (win n P x) Hn) as [k [Hk E]]. apply Rle_antisym.
  - rewrite E. pose proof (U (delta k) (dist_delta n k Hk)) as B. unfold beats, expect in B.
    rewrite (sum_ext n _ (fun z => win n P x z * delta k z)), sum_delta in B by (intros; ring || exact Hk). exact B.
  - rewrite <- (beats_self n P x HP (proj2 D)).
    apply (expect_bounds n x (win n P x) (bottom n (win n P x)) (top n (win n P x)) D).
    intros y Hy. split; [apply bottom_le | apply top_ge]; exact Hy.
Qed.

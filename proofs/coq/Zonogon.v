(** * Cycling is slower than 1/pi (N4), for every number of responses; N18 (a) with that constant.

    A zonogon's area is at most its perimeter squared over 4 pi: sum |w_i x w_j| <= (2/pi) (sum |w_i|)^2 over all pairs of
    vectors of a plane.  Directions are rounded to multiples of pi/m.  There the widths W of the zonogon, one for each
    direction, satisfy a difference equation, by which the claim is a Poincare inequality for W; the crude constant m^2/12
    of that inequality is enough, because pi^2 < 12.  Then m grows. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Cycle.
Open Scope R_scope.

(** ** Periodic sequences *)

Local Notation periodic m g := (forall l : nat, g (l + m)%nat = g l).

Lemma sum_rotate m g d : periodic m g -> sum m (fun l => g (l + d)%nat) = sum m g.
Proof.
  intro H. induction d as [| d IH]; [apply sum_ext; intros; f_equal; lia |]. rewrite <- IH.
  assert (T : forall k (f : nat -> R), sum k (fun l => f (S l)) = sum k f + f k - f O).
  { intros k f. induction k as [| k IHk]; simpl; [ring | rewrite IHk; ring]. }
  transitivity (sum m (fun l => g (S l + d)%nat)); [apply sum_ext; intros; f_equal; lia |].
  rewrite (T m (fun k => g (k + d)%nat)). replace (m + d)%nat with (0 + d + m)%nat by lia. rewrite H. ring.
Qed.

(** The sum of squared increments. *)
Local Notation energy m W := (sum m (fun l : nat => (W (l + 1)%nat - W l) ^ 2)).

Lemma increment_bound W d s :
  (W (s + d)%nat - W s) ^ 2 <= INR d * sum d (fun k => (W (s + k + 1)%nat - W (s + k)%nat) ^ 2).
Proof.
  assert (T : W (s + d)%nat - W s = sum d (fun k => 1 * (W (s + k + 1)%nat - W (s + k)%nat))).
  { induction d as [| d IH]; simpl; [rewrite Nat.add_0_r; ring |]. rewrite <- IH.
    replace (s + S d)%nat with (s + d + 1)%nat by lia. ring. }
  rewrite T. eapply Rle_trans; [apply (sum_cauchy_schwarz d (fun _ => 1)) |]. cbv beta.
  rewrite (sum_ext d (fun _ => 1 ^ 2) (fun _ => 1)), sum_const by (intros; ring). lra.
Qed.

Lemma sum_triangle k c :
  sum k (fun d => INR d * (c - INR d)) = c * (INR k * (INR k - 1)) / 2 - (INR k - 1) * INR k * (2 * INR k - 1) / 6.
Proof. induction k as [| k IH]; [simpl; field |]. rewrite S_INR. simpl sum. rewrite IH. field. Qed.

(** Poincare's inequality with the constant m^2/12. *)
Lemma poincare m W : periodic m W ->
  2 * INR m * sum m (fun l => W l ^ 2) - 2 * sum m W ^ 2 <= INR m ^ 3 / 6 * energy m W.
Proof.
  intro H. set (E := energy m W). set (x := fun d => sum m (fun s => (W (s + d)%nat - W s) ^ 2)).
  assert (E0 : 0 <= E) by (apply sum_nonneg; intros; apply pow2_ge_0).
  assert (Step : forall d, x d <= INR d ^ 2 * E).
  { intro d. eapply Rle_trans; [apply sum_le; intros s _; apply increment_bound |].
    rewrite sum_scal, sum_swap, (sum_ext d _ (fun _ => E)); [rewrite sum_const; lra |].
    intros k _. unfold E. rewrite <- (sum_rotate m (fun l => (W (l + 1)%nat - W l) ^ 2) k); [reflexivity |].
    intro l. replace (l + m + 1)%nat with (l + 1 + m)%nat by lia. rewrite !H. reflexivity. }
  assert (Other : forall d, (d <= m)%nat -> x d = x (m - d)%nat).
  { intros d Hd. unfold x. symmetry. rewrite <- (sum_rotate m _ d).
    - apply sum_ext. intros s _. replace (s + d + (m - d))%nat with (s + m)%nat by lia. rewrite H. ring.
    - intro l. replace (l + m + (m - d))%nat with (l + (m - d) + m)%nat by lia. rewrite !H. reflexivity. }
  assert (Both : forall d, (d < m)%nat -> x d <= E * (INR d * (INR m - INR d))).
  { intros d Hd. pose proof (pos_INR d). pose proof (le_INR d m ltac:(lia)).
    destruct (Rle_dec (INR d) (INR m - INR d)).
    - eapply Rle_trans; [apply Step |]. rewrite (Rmult_comm E). apply Rmult_le_compat_r; [exact E0 | nra].
    - rewrite Other by lia. eapply Rle_trans; [apply Step |]. rewrite minus_INR by lia.
      rewrite (Rmult_comm E). apply Rmult_le_compat_r; [exact E0 | nra]. }
  assert (Sum : sum m x <= INR m ^ 3 / 6 * E).
  { eapply Rle_trans; [apply sum_le; exact Both |]. rewrite sum_scal, sum_triangle, (Rmult_comm E).
    apply Rmult_le_compat_r; [exact E0 |]. pose proof (pos_INR m). lra. }
  eapply Rle_trans; [| exact Sum]. apply Req_le. unfold x. rewrite sum_swap.
  rewrite (sum_ext m (fun s => sum m (fun d => _)) (fun s => sum m (fun t => W t ^ 2) - 2 * sum m W * W s + INR m * W s ^ 2)).
  - rewrite sum_plus, sum_minus, !sum_scal, sum_const. ring.
  - intros s _. rewrite (sum_ext m _ (fun d => (fun t => (W t - W s) ^ 2) (d + s)%nat)) by (intros; rewrite Nat.add_comm; reflexivity).
    rewrite (sum_rotate m (fun t => (W t - W s) ^ 2) s) by (intro l; rewrite H; reflexivity).
    rewrite (sum_ext m _ (fun t => W t ^ 2 - 2 * W s * W t + W s ^ 2)) by (intros; ring).
    rewrite sum_plus, sum_minus, sum_scal, sum_const. ring.
Qed.

(** ** Widths on a grid of directions *)

Lemma sine_below x : 0 <= x -> sin x <= x.
Proof. intros [H | <-]; [apply Rlt_le, sin_lt_x, H | rewrite sin_0; lra]. Qed.

Lemma sine_above x : 0 <= x <= PI -> x * cos x <= sin x.
Proof.
  intro H. enough (0 <= sin x - x * cos x) by lra.
  replace 0 with (sin 0 - 0 * cos 0) by (rewrite sin_0; ring).
  apply (minimum_at (fun t => sin t - t * cos t) (fun t => t * sin t)).
  - intros t _. auto_derive; [exact I | ring].
  - intros t Ht. rewrite Rmin_left, Rmax_right in Ht by lra.
    pose proof (sin_ge_0 t ltac:(lra) ltac:(lra)). assert (0 <= t * sin t) by (apply Rmult_le_pos; lra). nra.
Qed.

Section Grid.

Variables (m k : nat) (a : nat -> R) (j : nat -> nat).
Hypothesis m_two : (2 <= m)%nat.
Hypothesis j_below : forall i, (i < k)%nat -> (j i < m)%nat.

Local Notation d := (PI / INR m).

Local Notation grid_sine x := (Rabs (sin (x * d))).

(** The zonogon's width in the direction l pi/m. *)
Definition width (l : nat) : R := sum k (fun i => a i * Rabs (sin ((INR l - INR (j i)) * (PI / INR m)))).

Lemma m_real : 2 <= INR m.
Proof. apply (le_INR 2 m) in m_two. simpl in m_two. lra. Qed.

Lemma step_bounds : 0 < d <= PI / 2.
Proof.
  pose proof m_real. pose proof PI_RGT_0. split; [apply Rdiv_lt_0_compat; lra |].
  apply Rmult_le_compat_l; [lra |]. apply Rinv_le_contravar; lra.
Qed.

Lemma whole_turn : INR m * d = PI.
Proof. pose proof m_real. field. lra. Qed.

Lemma grid_sine_positive x : 0 <= x <= INR m -> grid_sine x = sin (x * d).
Proof.
  intro H. pose proof step_bounds. pose proof whole_turn. apply Rabs_pos_eq, sin_ge_0; [apply Rmult_le_pos; lra |].
  apply Rle_trans with (INR m * d); [apply Rmult_le_compat_r; lra | lra].
Qed.

Lemma grid_sine_negative x : - INR m <= x <= 0 -> grid_sine x = sin (- (x * d)).
Proof.
  intro H. replace (- (x * d)) with (- x * d) by ring. rewrite <- (grid_sine_positive (- x)) by lra.
  rewrite <- Ropp_mult_distr_l, sin_neg, Rabs_Ropp. reflexivity.
Qed.

Lemma grid_sine_turn x : grid_sine (x + INR m) = grid_sine x.
Proof.
  rewrite Rmult_plus_distr_r, whole_turn.
  rewrite neg_sin. apply Rabs_Ropp.
Qed.

(** A zonogon of one direction: its width is a sine but for the kink there. *)
Lemma sine_difference l p : (l < m)%nat -> (p < m)%nat ->
  grid_sine (INR (l + 1) - INR p) + grid_sine (INR (l + (m - 1)) - INR p) - 2 * cos d * grid_sine (INR l - INR p)
  = 2 * sin d * delta p l.
Proof.
  intros Hl Hp. pose proof m_real. rewrite !plus_INR, minus_INR by lia. simpl (INR 1).
  replace (INR l + (INR m - 1) - INR p) with (INR l - INR p - 1 + INR m) by ring. rewrite grid_sine_turn.
  replace (INR l + 1 - INR p) with (INR l - INR p + 1) by ring. set (x := INR l - INR p).
  unfold delta. destruct (Nat.eqb_spec l p) as [E | N].
  - assert (X : x = 0) by (unfold x; rewrite E; ring). rewrite X.
    rewrite (grid_sine_positive (0 + 1)), (grid_sine_negative (0 - 1)), (grid_sine_positive 0) by lra.
    replace ((0 + 1) * d) with d by ring. replace (- ((0 - 1) * d)) with d by ring. rewrite Rmult_0_l, sin_0. ring.
  - pose proof (pos_INR l). pose proof (pos_INR p).
    destruct (Nat.lt_ge_cases l p) as [L | L].
    + assert (x <= -1) by (unfold x; apply (le_INR (S l)) in L; rewrite S_INR in L; lra).
      assert (- INR m + 1 <= x).
      { unfold x. apply (le_INR (S p)) in Hp. rewrite S_INR in Hp. lra. }
      rewrite !grid_sine_negative by lra. replace (- ((x + 1) * d)) with (- (x * d) - d) by ring.
      replace (- ((x - 1) * d)) with (- (x * d) + d) by ring. rewrite sin_plus, sin_minus. ring.
    + assert (1 <= x).
      { unfold x. assert (S p <= l)%nat as G by lia. apply le_INR in G. rewrite S_INR in G. lra. }
      assert (x <= INR m - 1).
      { unfold x. apply (le_INR (S l)) in Hl. rewrite S_INR in Hl. lra. }
      rewrite !grid_sine_positive by lra. replace ((x + 1) * d) with (x * d + d) by ring.
      replace ((x - 1) * d) with (x * d - d) by ring. rewrite sin_plus, sin_minus. ring.
Qed.

Lemma width_periodic : periodic m width.
Proof.
  intro l. apply sum_ext. intros i _. rewrite plus_INR.
  replace (INR l + INR m - INR (j i)) with (INR l - INR (j i) + INR m) by ring. rewrite grid_sine_turn. reflexivity.
Qed.

Lemma width_difference l : (l < m)%nat ->
  width (l + 1)%nat + width (l + (m - 1))%nat - 2 * cos d * width l = 2 * sin d * sum k (fun i => a i * delta (j i) l).
Proof.
  intro Hl. unfold width. rewrite <- !sum_scal, <- sum_plus, <- sum_minus. apply sum_ext. intros i Hi.
  pose proof (sine_difference l (j i) Hl (j_below i Hi)) as D. rewrite <- (Rmult_1_l (2 * cos d * _)).
  transitivity (a i * (grid_sine (INR (l + 1) - INR (j i)) + grid_sine (INR (l + (m - 1)) - INR (j i)) -
    2 * cos d * grid_sine (INR l - INR (j i)))); [ring | rewrite D; ring].
Qed.

(** The sum of any function of the directions, over the vectors. *)
Lemma sum_over_directions f : sum m (fun l => f l * sum k (fun i => a i * delta (j i) l)) = sum k (fun i => a i * f (j i)).
Proof.
  rewrite (sum_ext m _ (fun l => sum k (fun i => a i * (f l * delta (j i) l)))).
  - rewrite sum_swap. apply sum_ext. intros i Hi. rewrite sum_scal, sum_delta by (apply j_below, Hi). reflexivity.
  - intros l _. rewrite <- sum_scal. apply sum_ext. intros; ring.
Qed.

(** The claim on a grid. *)
Lemma grid_area : 0 <= sum k a -> sum k (fun i => a i * width (j i)) <= 2 / PI * sum k a ^ 2.
Proof.
  intro A0. set (A := sum k a) in *. set (Q := sum k (fun i => a i * width (j i))).
  pose proof m_real as M2. pose proof PI_RGT_0 as P0. pose proof step_bounds as D0.
  set (S1 := sum m width). set (S2 := sum m (fun l => width l ^ 2)). set (E := energy m width).
  set (kappa := 2 - 2 * cos d).
  assert (Sn : 0 < sin d) by (apply sin_gt_0; lra).
  assert (Half : kappa = 4 * sin (d / 2) ^ 2).
  { unfold kappa. replace (cos d) with (cos (2 * (d / 2))) by (f_equal; lra). rewrite cos_2a_sin. ring. }
  assert (Double : sin d = 2 * sin (d / 2) * cos (d / 2)).
  { replace (sin d) with (sin (2 * (d / 2))) by (f_equal; lra). apply sin_2a. }
  assert (Sh : 0 < sin (d / 2)) by (apply sin_gt_0; lra).
  assert (K0 : 0 < kappa) by (rewrite Half; nra).
  assert (Kd : kappa <= d ^ 2).
  { rewrite Half. pose proof (sine_below (d / 2) ltac:(lra)). nra. }
  assert (Ks : d * sin d <= kappa).
  { rewrite Half, Double. pose proof (sine_above (d / 2) ltac:(lra)). nra. }
  (* the sum of the difference equation *)
  assert (Total : kappa * S1 = 2 * sin d * A).
  { transitivity (sum m (fun l => 1 * (width (l + 1)%nat + width (l + (m - 1))%nat - 2 * cos d * width l))).
    - rewrite sum_scal, sum_minus, sum_plus, sum_scal, !(sum_rotate m width) by apply width_periodic.
      fold S1. unfold kappa. ring.
    - rewrite (sum_ext m _ (fun l => 2 * sin d * (1 * sum k (fun i => a i * delta (j i) l)))).
      + rewrite sum_scal, (sum_over_directions (fun _ => 1)). unfold A. f_equal. apply sum_ext. intros; ring.
      + intros l Hl. rewrite width_difference by exact Hl. ring. }
  (* its product with the width *)
  assert (Product : 2 * sin d * Q = kappa * S2 - E).
  { set (C := sum m (fun l => width l * width (l + 1)%nat)).
    assert (Back : sum m (fun l => width l * width (l + (m - 1))%nat) = C).
    { rewrite <- (sum_rotate m _ 1).
      - apply sum_ext. intros l _. replace (l + 1 + (m - 1))%nat with (l + m)%nat by lia.
        rewrite width_periodic. ring.
      - intro l. replace (l + m + (m - 1))%nat with (l + (m - 1) + m)%nat by lia. rewrite !width_periodic. reflexivity. }
    assert (En : E = 2 * S2 - 2 * C).
    { unfold E. rewrite (sum_ext m _ (fun l => width (l + 1)%nat ^ 2 - 2 * (width l * width (l + 1)%nat) + width l ^ 2))
        by (intros; ring).
      rewrite sum_plus, sum_minus, sum_scal. fold C. fold S2.
      rewrite (sum_rotate m (fun l => width l ^ 2) 1) by (intro l; rewrite width_periodic; reflexivity).
      fold S2. ring. }
    unfold Q. rewrite <- (sum_over_directions width), <- sum_scal.
    rewrite (sum_ext m _ (fun l => width l * width (l + 1)%nat + width l * width (l + (m - 1))%nat - 2 * cos d * width l ^ 2)).
    - rewrite sum_minus, sum_plus, sum_scal, Back. fold C. fold S2. rewrite En. unfold kappa. ring.
    - intros l Hl. transitivity (width l * (2 * sin d * sum k (fun i => a i * delta (j i) l))); [ring |].
      rewrite <- width_difference by exact Hl. ring. }
  pose proof (poincare m width width_periodic) as Po. fold S1 in Po. fold S2 in Po. fold E in Po.
  assert (E0 : 0 <= E) by (apply sum_nonneg; intros; apply pow2_ge_0).
  assert (Pi12 : PI ^ 2 <= 12) by (pose proof PI_upper; nra).
  (* kappa S2 <= kappa S1^2/m + E *)
  assert (Bound : kappa * S2 * INR m <= kappa * S1 ^ 2 + E * INR m).
  { assert (kappa * (INR m ^ 2 * E) <= 12 * E).
    { assert (kappa * INR m ^ 2 <= 12).
      { apply Rle_trans with (d ^ 2 * INR m ^ 2); [apply Rmult_le_compat_r; [nra | exact Kd] |].
        replace (d ^ 2 * INR m ^ 2) with (PI ^ 2) by (field; lra). exact Pi12. }
      replace (kappa * (INR m ^ 2 * E)) with (kappa * INR m ^ 2 * E) by ring. apply Rmult_le_compat_r; assumption. }
    assert (kappa * (2 * INR m * S2 - 2 * S1 ^ 2) <= kappa * (INR m ^ 3 / 6 * E)) by (apply Rmult_le_compat_l; lra).
    assert (kappa * (INR m ^ 3 / 6 * E) = INR m / 6 * (kappa * (INR m ^ 2 * E))) by field.
    assert (INR m / 6 * (kappa * (INR m ^ 2 * E)) <= INR m / 6 * (12 * E)) by (apply Rmult_le_compat_l; lra). lra. }
  assert (G1 : 2 * sin d * Q * INR m <= kappa * S1 ^ 2) by (rewrite Product; lra).
  assert (G2 : kappa * Q * INR m <= 2 * sin d * A ^ 2).
  { apply Rmult_le_reg_l with (2 * sin d); [lra |].
    apply Rle_trans with (kappa * (kappa * S1 ^ 2)).
    - replace (2 * sin d * (kappa * Q * INR m)) with (kappa * (2 * sin d * Q * INR m)) by ring. apply Rmult_le_compat_l; lra.
    - apply Req_le. replace (kappa * (kappa * S1 ^ 2)) with ((kappa * S1) ^ 2) by ring. rewrite Total. ring. }
  assert (G3 : kappa * (Q * PI) <= kappa * (2 * A ^ 2)).
  { replace (kappa * (Q * PI)) with (d * (kappa * Q * INR m)) by (field; lra).
    apply Rle_trans with (d * (2 * sin d * A ^ 2)); [apply Rmult_le_compat_l; lra |].
    replace (d * (2 * sin d * A ^ 2)) with (d * sin d * (2 * A ^ 2)) by ring. apply Rmult_le_compat_r; [nra | exact Ks]. }
  apply Rmult_le_reg_l in G3; [| exact K0]. apply Rmult_le_reg_r with PI; [exact P0 |].
  replace (2 / PI * A ^ 2 * PI) with (2 * A ^ 2) by (field; lra). exact G3.
Qed.

End Grid.

(** ** Vectors of a plane *)

(** Finitely many choices. *)
Lemma choose_below (Q : nat -> nat -> Prop) k :
  (forall i, (i < k)%nat -> exists l, Q i l) -> exists f, forall i, (i < k)%nat -> Q i (f i).
Proof.
  induction k as [| k IH]; intro H; [exists (fun _ => O); intros; lia |].
  destruct IH as [f Hf]; [intros; apply H; lia |]. destruct (H k ltac:(lia)) as [l Hl].
  exists (fun i => if Nat.eqb i k then l else f i). intros i Hi. destruct (Nat.eqb_spec i k) as [-> | N]; [exact Hl |].
  apply Hf. lia.
Qed.

Lemma round_down t d x : (0 < t)%nat -> 0 <= x <= INR t * d -> exists l, (l < t)%nat /\ INR l * d <= x <= INR l * d + d.
Proof.
  induction t as [| t IH]; intros Ht Hx; [lia |]. rewrite S_INR in Hx.
  destruct (Rle_dec (INR t * d) x) as [H | H]; [exists t; split; [lia | lra] |].
  destruct t as [| t]; [simpl in H, Hx; lra |].
  destruct IH as [l [Hl B]]; [lia | lra |]. exists l. split; [lia | exact B].
Qed.

Lemma sine_moves x y : Rabs (sin x) <= Rabs (sin y) + Rabs (x - y).
Proof.
  destruct (mean_value sin cos y x) as [c [_ E]]; [intros t _; apply is_derive_Reals, derivable_pt_lim_sin |].
  assert (Rabs (sin x - sin y) <= Rabs (x - y)).
  { rewrite E, Rabs_mult. pose proof (COS_bound c). assert (Rabs (cos c) <= 1) by (apply Rabs_le; lra).
    pose proof (Rabs_pos (x - y)). nra. }
  pose proof (Rabs_triang (sin y) (sin x - sin y)) as T. replace (sin y + (sin x - sin y)) with (sin x) in T by ring. lra.
Qed.

Lemma directions_area k a theta : (forall i, (i < k)%nat -> 0 <= a i) -> (forall i, (i < k)%nat -> 0 <= theta i <= PI) ->
  sum k (fun i => a i * sum k (fun i' => a i' * Rabs (sin (theta i - theta i')))) <= 2 / PI * sum k a ^ 2.
Proof.
  intros Ha Ht. set (A := sum k a). set (G := sum k (fun i => _)).
  assert (A0 : 0 <= A) by (apply sum_nonneg; exact Ha). pose proof PI_RGT_0 as P0.
  assert (Grid : forall m, (2 <= m)%nat -> G <= 2 / PI * A ^ 2 + PI * A ^ 2 * / INR m).
  { intros m Hm. pose proof (m_real m Hm) as Rm. set (d := PI / INR m).
    assert (D0 : 0 < d) by (apply Rdiv_lt_0_compat; lra).
    destruct (choose_below (fun i l => (l < m)%nat /\ INR l * d <= theta i <= INR l * d + d) k) as [j Hj].
    { intros i Hi. apply round_down; [lia |]. replace (INR m * d) with PI by (unfold d; field; lra). apply Ht, Hi. }
    apply Rle_trans with (sum k (fun i => a i * width m k a j (j i)) + d * A ^ 2).
    - apply Rle_trans with (sum k (fun i => a i * (width m k a j (j i) + d * A))).
      + apply sum_le. intros i Hi. apply Rmult_le_compat_l; [apply Ha, Hi |]. unfold width, A.
        rewrite <- sum_scal, <- sum_plus. apply sum_le. intros i' Hi'. fold d.
        replace (a i' * Rabs (sin ((INR (j i) - INR (j i')) * d)) + d * a i')
          with (a i' * (Rabs (sin ((INR (j i) - INR (j i')) * d)) + d)) by ring.
        apply Rmult_le_compat_l; [apply Ha, Hi' |]. eapply Rle_trans; [apply sine_moves |].
        apply Rplus_le_compat_l, Rabs_le. pose proof (Hj i Hi) as [_ B]. pose proof (Hj i' Hi') as [_ B']. lra.
      + rewrite (sum_ext k _ (fun i => a i * width m k a j (j i) + a i * (d * A))) by (intros; ring).
        rewrite sum_plus, sum_scal_r. fold A. apply Req_le. ring.
    - pose proof (grid_area m k a j Hm (fun i Hi => proj1 (Hj i Hi)) A0) as B. fold A in B.
      replace (PI * A ^ 2 * / INR m) with (d * A ^ 2) by (unfold d; field; lra). lra. }
  destruct (Rle_or_lt G (2 / PI * A ^ 2)) as [H | H]; [exact H | exfalso].
  set (gap := G - 2 / PI * A ^ 2). assert (Gap : 0 < gap) by (unfold gap; lra).
  assert (B0 : 0 < PI * A ^ 2 + 1) by (pose proof (pow2_ge_0 A); nra).
  destruct (archimed_cor1 (gap / (PI * A ^ 2 + 1))) as [N [HN PN]]; [apply Rdiv_lt_0_compat; assumption |].
  set (m := (N + 2)%nat). pose proof (Grid m ltac:(unfold m; lia)) as B.
  assert (I : / INR m < gap / (PI * A ^ 2 + 1)).
  { eapply Rle_lt_trans; [| exact HN]. apply Rinv_le_contravar; [apply lt_0_INR; lia | apply le_INR; unfold m; lia]. }
  assert (J : 0 < / INR m) by (apply Rinv_0_lt_compat, lt_0_INR; unfold m; lia).
  assert (/ INR m * (PI * A ^ 2 + 1) < gap).
  { apply Rmult_lt_compat_r with (r := PI * A ^ 2 + 1) in I; [| exact B0].
    replace (gap / (PI * A ^ 2 + 1) * (PI * A ^ 2 + 1)) with gap in I by (field; lra). exact I. }
  unfold gap in *. pose proof (pow2_ge_0 A). nra.
Qed.

(** Equality needs a width that is the same in every direction, but widths have kinks. *)
Lemma directions_area_strict k a theta :
  (forall i, (i < k)%nat -> 0 <= a i) -> (forall i, (i < k)%nat -> 0 <= theta i <= PI) -> 0 < sum k a ->
  sum k (fun i => a i * sum k (fun i' => a i' * Rabs (sin (theta i - theta i')))) < 2 / PI * sum k a ^ 2.
Proof.
  intros Ha Ht A0. pose proof PI_RGT_0 as P0. pose proof (PI2_3_2) as P3.
  set (W := fun x => sum k (fun i' => a i' * Rabs (sin (x - theta i')))).
  change (sum k (fun i => a i * W (theta i)) < 2 / PI * sum k a ^ 2). set (A := sum k a) in *.
  pose proof (directions_area k a theta Ha Ht) as Le. fold A in Le. change (sum k (fun i => a i * W (theta i)) <= 2 / PI * A ^ 2) in Le.
  destruct Le as [Lt | Eq]; [exact Lt | exfalso]. set (M := 2 / PI * A).
  assert (M0 : 0 < M) by (apply Rmult_lt_0_compat; [apply Rdiv_lt_0_compat; lra | exact A0]).
  assert (Inside : forall x, 0 <= x <= PI -> W x <= M).
  { intros x Hx. enough (H : forall t, 0 < t -> W x <= M + t / PI).
    { destruct (Rle_or_lt (W x) M) as [L | L]; [exact L |]. specialize (H (PI * ((W x - M) / 2)) ltac:(nra)).
      replace (PI * ((W x - M) / 2) / PI) with ((W x - M) / 2) in H by (field; lra). lra. }
    intros t Htt. set (a' := fun i => if Nat.eqb i k then t else a i). set (th := fun i => if Nat.eqb i k then x else theta i).
    assert (Ea : forall i, (i < k)%nat -> a' i = a i) by (intros i Hi; unfold a'; destruct (Nat.eqb_spec i k); [lia | reflexivity]).
    assert (Et : forall i, (i < k)%nat -> th i = theta i) by (intros i Hi; unfold th; destruct (Nat.eqb_spec i k); [lia | reflexivity]).
    assert (Ka : a' k = t) by (unfold a'; rewrite Nat.eqb_refl; reflexivity).
    assert (Kt : th k = x) by (unfold th; rewrite Nat.eqb_refl; reflexivity).
    pose proof (directions_area (S k) a' th) as B. simpl sum in B. rewrite Ka, Kt in B.
    rewrite (sum_ext k a' a Ea) in B. fold A in B.
    rewrite (sum_ext k (fun i' => a' i' * Rabs (sin (x - th i'))) (fun i' => a i' * Rabs (sin (x - theta i')))) in B
      by (intros i Hi; rewrite Ea, Et by exact Hi; reflexivity).
    change (sum k (fun i' => a i' * Rabs (sin (x - theta i')))) with (W x) in B.
    rewrite (sum_ext k _ (fun i => a i * W (theta i) + t * (a i * Rabs (sin (x - theta i))))) in B.
    - rewrite sum_plus, sum_scal, Eq in B. change (sum k (fun i => a i * Rabs (sin (x - theta i)))) with (W x) in B.
      rewrite Rminus_diag_eq, sin_0, Rabs_R0 in B by reflexivity.
      assert (C : 2 / PI * A ^ 2 + t * W x + t * (W x + t * 0) <= 2 / PI * (A + t) ^ 2).
      { apply B.
        - intros i Hi. destruct (Nat.eq_dec i k) as [-> | N]; [rewrite Ka; lra | rewrite Ea by lia; apply Ha; lia].
        - intros i Hi. destruct (Nat.eq_dec i k) as [-> | N]; [rewrite Kt; exact Hx | rewrite Et by lia; apply Ht; lia]. }
      apply Rmult_le_reg_l with (2 * t); [lra |]. unfold M.
      replace (2 * t * (2 / PI * A + t / PI)) with (2 / PI * (A + t) ^ 2 - 2 / PI * A ^ 2) by (field; lra). lra.
    - intros i Hi. rewrite Ea, Et by exact Hi.
      rewrite (sum_ext k (fun i' => a' i' * Rabs (sin (theta i - th i'))) (fun i' => a i' * Rabs (sin (theta i - theta i'))))
        by (intros i' Hi'; rewrite Ea, Et by exact Hi'; reflexivity).
      change (sum k (fun i' => a i' * Rabs (sin (theta i - theta i')))) with (W (theta i)).
      replace (sin (theta i - x)) with (- sin (x - theta i)) by (rewrite <- sin_neg; f_equal; ring). rewrite Rabs_Ropp. ring. }
  assert (Turn : forall x, W (x + PI) = W x).
  { intro x. apply sum_ext. intros i _. f_equal. replace (x + PI - theta i) with (x - theta i + PI) by ring.
    rewrite neg_sin. apply Rabs_Ropp. }
  assert (Near : forall x, - PI <= x <= 2 * PI -> W x <= M).
  { intros x Hx. destruct (Rlt_dec x 0); [rewrite <- Turn; apply Inside; lra |].
    destruct (Rlt_dec PI x); [| apply Inside; lra]. replace x with (x - PI + PI) by ring. rewrite Turn. apply Inside. lra. }
  assert (All : forall i, (i < k)%nat -> a i * (M - W (theta i)) = 0).
  { apply sum_nonneg_zero.
    - intros i Hi. apply Rmult_le_pos; [apply Ha, Hi | pose proof (Inside (theta i) (Ht i Hi)); lra].
    - rewrite (sum_ext k _ (fun i => a i * M - a i * W (theta i))) by (intros; ring).
      rewrite sum_minus, sum_scal_r. fold A. rewrite Eq. unfold M. ring. }
  set (S2 := sum k (fun i => a i ^ 2)).
  assert (S0 : 0 < S2).
  { pose proof (sum_cauchy_schwarz k (fun _ => 1) a) as C. cbv beta in C.
    rewrite (sum_ext k (fun i => 1 * a i) a), (sum_ext k (fun _ => 1 ^ 2) (fun _ => 1)), sum_const in C by (intros; ring).
    fold A in C. fold S2 in C. pose proof (pos_INR k). assert (0 < A ^ 2) by nra.
    assert (0 <= S2) by (apply sum_nonneg; intros; apply pow2_ge_0). nra. }
  (* the kink: M (1 - cos h) >= a_i sin h *)
  assert (Kink : forall h, 0 < h <= 1 -> sin h * S2 <= M * A * (1 - cos h)).
  { intros h Hh. assert (Hc : 0 <= cos h) by (apply cos_ge_0; lra). assert (Hs : 0 <= sin h) by (apply sin_ge_0; lra).
    unfold S2, A. rewrite <- !sum_scal, <- sum_scal_r. apply sum_le. intros i Hi.
    set (e := fun i' => a i' * (Rabs (sin (theta i + h - theta i')) + Rabs (sin (theta i - h - theta i'))
      - 2 * cos h * Rabs (sin (theta i - theta i')))).
    assert (Each : forall i', (i' < k)%nat -> 0 <= e i').
    { intros i' Hi'. apply Rmult_le_pos; [apply Ha, Hi' |]. set (x := theta i - theta i').
      replace (theta i + h - theta i') with (x + h) by (unfold x; ring). replace (theta i - h - theta i') with (x - h) by (unfold x; ring).
      pose proof (Rabs_triang (sin (x + h)) (sin (x - h))) as T.
      replace (sin (x + h) + sin (x - h)) with (2 * cos h * sin x) in T by (rewrite sin_plus, sin_minus; ring).
      rewrite Rabs_mult, (Rabs_pos_eq (2 * cos h)) in T by lra. lra. }
    pose proof (sum_lower_bound k e i Each Hi) as B. unfold e in B at 1.
    replace (theta i + h - theta i) with h in B by ring. replace (theta i - h - theta i) with (- h) in B by ring.
    replace (theta i - theta i) with 0 in B by ring. rewrite sin_neg, Rabs_Ropp, (Rabs_pos_eq (sin h)), sin_0, Rabs_R0 in B by exact Hs.
    assert (E : sum k e = W (theta i + h) + W (theta i - h) - 2 * cos h * W (theta i)).
    { unfold e, W. rewrite <- sum_scal, <- sum_plus, <- sum_minus. apply sum_ext. intros; ring. }
    rewrite E in B. pose proof (Ht i Hi). pose proof (Near (theta i + h) ltac:(lra)). pose proof (Near (theta i - h) ltac:(lra)).
    pose proof (All i Hi) as Z. pose proof (Ha i Hi) as [Pos | Zero].
    - assert (Wi : W (theta i) = M) by (apply Rmult_integral in Z; lra). rewrite Wi in B.
      assert (a i * sin h <= M * (1 - cos h)) by lra. nra.
    - rewrite <- Zero. lra. }
  set (h := Rmin 1 (S2 / (2 * (M * A)))).
  assert (MA : 0 < M * A) by (apply Rmult_lt_0_compat; assumption).
  assert (H0 : 0 < h <= 1).
  { split; [apply Rmin_glb_lt; [lra | apply Rdiv_lt_0_compat; lra] | apply Rmin_l]. }
  assert (H1 : h * (2 * (M * A)) <= S2).
  { replace S2 with (S2 / (2 * (M * A)) * (2 * (M * A))) by (field; lra). apply Rmult_le_compat_r; [lra | apply Rmin_r]. }
  pose proof (Kink h H0) as K.
  assert (C1 : 1 - cos h <= h ^ 2 / 2).
  { replace (cos h) with (cos (2 * (h / 2))) by (f_equal; lra). rewrite cos_2a_sin.
    pose proof (sine_below (h / 2) ltac:(lra)). assert (0 <= sin (h / 2)) by (apply sin_ge_0; lra). nra. }
  assert (C2 : h / 2 <= sin h) by (pose proof (sine_above h ltac:(lra)); assert (1 / 2 <= cos h) by nra; nra).
  assert (h / 2 * S2 <= M * A * (h ^ 2 / 2)).
  { apply Rle_trans with (sin h * S2); [apply Rmult_le_compat_r; lra |]. eapply Rle_trans; [exact K |].
    apply Rmult_le_compat_l; lra. }
  assert (Last : S2 <= h * (M * A)) by (apply Rmult_le_reg_l with h; lra). assert (0 < h * (M * A)) by nra. lra.
Qed.

Local Notation norm x y := (sqrt (x ^ 2 + y ^ 2)).

Lemma norm_nonneg x y : 0 <= norm x y.
Proof. apply sqrt_pos. Qed.

Lemma norm_squared x y : norm x y ^ 2 = x ^ 2 + y ^ 2.
Proof. rewrite <- Rsqr_pow2. apply Rsqr_sqrt. nra. Qed.

(** Up to a sign, every vector has a direction in [0, pi]. *)
Lemma direction x y : exists theta, 0 <= theta <= PI /\
  ((x = norm x y * cos theta /\ y = norm x y * sin theta) \/ (x = - (norm x y * cos theta) /\ y = - (norm x y * sin theta))).
Proof.
  assert (Up : forall u v, 0 <= v -> exists theta, 0 <= theta <= PI /\ u = norm u v * cos theta /\ v = norm u v * sin theta).
  { intros u v Hv. pose proof (norm_nonneg u v) as [Pos | Zero].
    - pose proof (norm_squared u v) as Sq. set (r := norm u v) in *.
      assert (B : -1 <= u / r <= 1).
      { assert (- r <= u <= r) by nra.
        split; apply Rmult_le_reg_r with r; try exact Pos; unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra. }
      exists (acos (u / r)). split; [apply acos_bound |]. rewrite cos_acos, sin_acos by exact B.
      split; [field; lra |].
      replace (1 - (u / r)²) with ((v / r) ^ 2).
      + rewrite sqrt_pow2; [field; lra | apply Rdiv_le_0_compat; lra].
      + unfold Rsqr. apply Rmult_eq_reg_r with (r ^ 2); [| nra].
        replace ((v / r) ^ 2 * r ^ 2) with (v ^ 2) by (field; lra).
        replace ((1 - u / r * (u / r)) * r ^ 2) with (r ^ 2 - u ^ 2) by (field; lra). lra.
    - exists 0. pose proof PI_RGT_0. pose proof (norm_squared u v) as Sq. rewrite <- Zero in *. split; [lra |].
      assert (u = 0) by nra. assert (v = 0) by nra. split; lra. }
  assert (Flip : norm (- x) (- y) = norm x y) by (f_equal; ring).
  destruct (Rle_dec 0 y) as [H | H].
  - destruct (Up x y H) as [t [B E]]. exists t. split; [exact B | left; exact E].
  - destruct (Up (- x) (- y) ltac:(lra)) as [t [B [E1 E2]]]. rewrite Flip in E1, E2.
    exists t. split; [exact B | right; lra].
Qed.

(** Sum of |w_i x w_i'| over all ordered pairs, at most (2/pi) times the square of the sum of the lengths; less, if they are
    not all 0. *)
Lemma zonogon_area k (x y : nat -> R) :
  let area := sum k (fun i => sum k (fun i' => Rabs (x i * y i' - x i' * y i))) in
  let length := sum k (fun i => norm (x i) (y i)) in
  area <= 2 / PI * length ^ 2 /\ (0 < length -> area < 2 / PI * length ^ 2).
Proof.
  assert (T : exists theta, forall i, (i < k)%nat -> 0 <= theta i <= PI /\
    ((x i = norm (x i) (y i) * cos (theta i) /\ y i = norm (x i) (y i) * sin (theta i)) \/
     (x i = - (norm (x i) (y i) * cos (theta i)) /\ y i = - (norm (x i) (y i) * sin (theta i))))).
  { induction k as [| k [theta Ht]]; [exists (fun _ => 0); intros; lia |].
    destruct (direction (x k) (y k)) as [t Hk].
    exists (fun i => if Nat.eqb i k then t else theta i). intros i Hi. destruct (Nat.eqb_spec i k) as [-> | N]; [exact Hk |].
    apply Ht. lia. }
  destruct T as [theta Ht]. set (r := fun i => norm (x i) (y i)).
  pose proof (fun i (_ : (i < k)%nat) => norm_nonneg (x i) (y i)) as P. cbv beta in P.
  assert (E : sum k (fun i => sum k (fun i' => Rabs (x i * y i' - x i' * y i)))
    = sum k (fun i => r i * sum k (fun i' => r i' * Rabs (sin (theta i - theta i'))))).
  { apply sum_ext. intros i Hi. rewrite <- sum_scal. apply sum_ext. intros i' Hi'.
    pose proof (norm_nonneg (x i) (y i)) as Pi. pose proof (norm_nonneg (x i') (y i')) as Pi'.
    fold (r i) in Pi. fold (r i') in Pi'.
    transitivity (Rabs (r i * (r i' * sin (theta i - theta i')))).
    - rewrite sin_minus. destruct (Ht i Hi) as [_ D]. destruct (Ht i' Hi') as [_ D']. fold (r i) in D. fold (r i') in D'.
      destruct D as [[-> ->] | [-> ->]]; destruct D' as [[-> ->] | [-> ->]].
      + rewrite <- Rabs_Ropp. f_equal. ring.
      + f_equal. ring.
      + f_equal. ring.
      + rewrite <- Rabs_Ropp. f_equal. ring.
    - rewrite !Rabs_mult, (Rabs_pos_eq (r i)), (Rabs_pos_eq (r i')) by assumption. reflexivity. }
  cbv zeta. rewrite E. split.
  - apply (directions_area k r theta); [exact P | intros i Hi; apply Ht, Hi].
  - intro H. apply (directions_area_strict k r theta); [exact P | intros i Hi; apply Ht, Hi | exact H].
Qed.

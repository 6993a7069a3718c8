(** * How much win rates can vary (N9), and what follows for the sensitivity of the equilibrium (N16).

    Draw y ~ m.  The win rate p(y > m) is below Uniform(0, 1) in convex order: rank the responses by
    win rate; the preference matrix in which the better ranked always wins spreads the win rates most,
    and there response i sits at the midpoint of its own interval of length m(i) in [0, 1]. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat Bool.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate.
Open Scope R_scope.

(** ** Intervals laid end to end along a linear order *)

Definition indicator (b : bool) : R := if b then 1 else 0.

Section Telescope.

Variables (lt : nat -> nat -> bool) (m : nat -> R).
Hypothesis lt_irrefl : forall i, lt i i = false.
Hypothesis lt_trans : forall i j k, lt i j = true -> lt j k = true -> lt i k = true.
Hypothesis lt_total : forall i j, i <> j -> lt i j = true \/ lt j i = true.

(** The mass strictly below response i. *)
Definition mass_below (n : nat) (i : nat) : R := sum n (fun j => m j * indicator (lt j i)).

Lemma lt_asym i j : lt i j = true -> lt j i = false.
Proof.
  intro H. destruct (lt j i) eqn:E; [| reflexivity].
  pose proof (lt_trans i j i H E). rewrite lt_irrefl in *. discriminate.
Qed.

(** The increments of F over the intervals of a down-closed set d add up to F(mass of d) - F(0). *)
Lemma telescope n : forall (F : R -> R) (d : nat -> bool),
  (forall i j, (i < n)%nat -> (j < n)%nat -> d i = true -> lt j i = true -> d j = true) ->
  sum n (fun i => indicator (d i) * (F (mass_below n i + m i) - F (mass_below n i))) =
  F (sum n (fun i => indicator (d i) * m i)) - F 0.
Proof.
  induction n as [| n IH]; intros F d Down; [simpl; ring |].
  assert (Down' : forall i j, (i < n)%nat -> (j < n)%nat -> d i = true -> lt j i = true -> d j = true)
    by (intros i j Hi Hj; apply Down; lia).
  cbn [sum]. destruct (d n) eqn:Dn; cbn [indicator].
  - (* The last response belongs to d: responses below it keep their interval, those above it move up by m n. *)
    pose proof (IH F (fun i => lt i n) ltac:(intros i j _ _ H1 H2; exact (lt_trans j i n H2 H1))) as I1.
    pose proof (IH (fun w => F (w + m n)) (fun i => lt i n) ltac:(intros i j _ _ H1 H2; exact (lt_trans j i n H2 H1))) as I2.
    pose proof (IH (fun w => F (w + m n)) d Down') as I3. cbv beta in I1, I2, I3.
    assert (Last : sum n (fun i => indicator (lt i n) * m i) = mass_below n n)
      by (apply sum_ext; intros; ring).
    rewrite Last in I1, I2.
    assert (Here : mass_below (S n) n = mass_below n n)
      by (unfold mass_below; cbn [sum]; rewrite lt_irrefl; cbn [indicator]; ring).
    rewrite Here.
    transitivity (sum n (fun i => indicator (lt i n) * (F (mass_below n i + m i) - F (mass_below n i)))
      + (sum n (fun i => indicator (d i) * (F (mass_below n i + m i + m n) - F (mass_below n i + m n)))
         - sum n (fun i => indicator (lt i n) * (F (mass_below n i + m i + m n) - F (mass_below n i + m n))))
      + (F (mass_below n n + m n) - F (mass_below n n))).
    + rewrite <- sum_minus, <- sum_plus. rewrite Rmult_1_l. f_equal. apply sum_ext. intros i Hi.
      change (mass_below (S n) i) with (mass_below n i + m n * indicator (lt n i)).
      destruct (lt i n) eqn:L.
      * rewrite (lt_asym i n L), (Down n i ltac:(lia) ltac:(lia) Dn L). cbn [indicator].
        rewrite Rmult_0_r, Rplus_0_r. ring.
      * destruct (lt_total i n ltac:(lia)) as [X | X]; [congruence |]. rewrite X. cbn [indicator].
        replace (mass_below n i + m n * 1 + m i) with (mass_below n i + m i + m n) by ring.
        rewrite Rmult_1_r. ring.
    + rewrite I1, I2, I3, Rmult_1_l, Rplus_0_l. ring.
  - (* It does not: nothing of d lies above it. *)
    rewrite !Rmult_0_l, !Rplus_0_r, <- (IH F d Down'). apply sum_ext. intros i Hi.
    destruct (d i) eqn:Di; cbn [indicator]; [| ring].
    change (mass_below (S n) i) with (mass_below n i + m n * indicator (lt n i)).
    destruct (lt n i) eqn:L; [rewrite (Down i n ltac:(lia) ltac:(lia) Di L) in Dn; discriminate |].
    cbn [indicator]. rewrite Rmult_0_r, Rplus_0_r. reflexivity.
Qed.

Lemma telescope_all n F : sum n m = 1 ->
  sum n (fun i => F (mass_below n i + m i) - F (mass_below n i)) = F 1 - F 0.
Proof.
  intro S. pose proof (telescope n F (fun _ => true) ltac:(reflexivity)) as T. cbn [indicator] in T.
  rewrite (sum_ext n (fun i => 1 * m i) m), S in T by (intros; ring). rewrite <- T.
  apply sum_ext. intros; ring.
Qed.

Lemma mass_below_range n i : (forall j, (j < n)%nat -> 0 <= m j) -> sum n m = 1 -> (i < n)%nat ->
  0 <= mass_below n i /\ mass_below n i + m i <= 1.
Proof.
  intros Hm S Hi.
  assert (I : forall j, 0 <= indicator (lt j i) <= 1) by (intro j; destruct (lt j i); simpl; lra).
  split; [apply sum_nonneg; intros j Hj; apply Rmult_le_pos; [apply Hm, Hj | apply I] |].
  assert (L : m i <= sum n (fun j => m j - m j * indicator (lt j i))).
  { replace (m i) with (m i - m i * indicator (lt i i)) at 1 by (rewrite lt_irrefl; simpl; ring).
    apply (sum_lower_bound n (fun j => m j - m j * indicator (lt j i))); [| exact Hi].
    intros j Hj. pose proof (Hm j Hj). pose proof (I j). nra. }
  rewrite sum_minus, S in L. unfold mass_below. lra.
Qed.

End Telescope.

(** Responses ranked by x, ties by index. *)
Definition ranked (x : nat -> R) (i j : nat) : bool :=
  if Rlt_dec (x i) (x j) then true else if Rlt_dec (x j) (x i) then false else Nat.ltb i j.

Lemma ranked_le x i j : ranked x i j = true -> x i <= x j.
Proof. unfold ranked. destruct (Rlt_dec (x i) (x j)), (Rlt_dec (x j) (x i)); intro; (lra || discriminate). Qed.

Lemma ranked_irrefl x i : ranked x i i = false.
Proof. unfold ranked. destruct (Rlt_dec (x i) (x i)); [lra | apply Nat.ltb_irrefl]. Qed.

Lemma ranked_trans x i j k : ranked x i j = true -> ranked x j k = true -> ranked x i k = true.
Proof.
  unfold ranked. destruct (Rlt_dec (x i) (x j)), (Rlt_dec (x j) (x i)), (Rlt_dec (x j) (x k)), (Rlt_dec (x k) (x j)),
    (Rlt_dec (x i) (x k)), (Rlt_dec (x k) (x i)); intros A B; try reflexivity; try discriminate; try lra.
  apply Nat.ltb_lt in A, B. apply Nat.ltb_lt. lia.
Qed.

Lemma ranked_total x i j : i <> j -> ranked x i j = true \/ ranked x j i = true.
Proof.
  intro H. unfold ranked. destruct (Rlt_dec (x i) (x j)), (Rlt_dec (x j) (x i)); auto.
  destruct (Nat.lt_ge_cases i j); [left | right]; apply Nat.ltb_lt; lia.
Qed.

(** ** N9 *)

Lemma half_diagonal n m i : (i < n)%nat -> sum n (fun j => m j * (if Nat.eqb i j then 1 / 2 else 0)) = m i / 2.
Proof.
  induction n as [| k IH]; intro Hi; [lia |]. cbn [sum]. destruct (Nat.eq_dec i k) as [-> | N].
  - rewrite Nat.eqb_refl, (sum_ext k _ (fun _ => 0)), sum_zero; [field |].
    intros j Hj. replace (Nat.eqb k j) with false by (symmetry; apply Nat.eqb_neq; lia). ring.
  - rewrite IH by lia. replace (Nat.eqb i k) with false by (symmetry; apply Nat.eqb_neq; lia). ring.
Qed.

(** f is convex on [0, 1] with slope g: it lies above its tangents. *)
Definition convex_with_slope (f g : R -> R) : Prop :=
  forall x y, 0 <= x <= 1 -> 0 <= y <= 1 -> f x + g x * (y - x) <= f y.

Lemma slope_monotone f g : convex_with_slope f g ->
  forall x y, 0 <= x <= 1 -> 0 <= y <= 1 -> x <= y -> g x <= g y.
Proof.
  intros C x y Hx Hy L. destruct (Req_dec x y) as [-> | N]; [lra |].
  pose proof (C x y Hx Hy). pose proof (C y x Hy Hx). apply Rmult_le_reg_r with (y - x); lra.
Qed.

(** The value at the midpoint is at most the average. *)
Lemma midpoint_average f g F : convex_with_slope f g -> (forall u, 0 <= u <= 1 -> is_derive F u (f u)) ->
  forall a w, 0 <= a -> 0 <= w -> a + w <= 1 -> w * f (a + w / 2) <= F (a + w) - F a.
Proof.
  intros C D a w Ha Hw Haw. set (c := a + w / 2).
  set (h := fun s => F (c + s) - F (c - s) - 2 * s * f c).
  assert (H : h 0 <= h (w / 2)).
  { apply (minimum_at h (fun s => f (c + s) + f (c - s) - 2 * f c)); rewrite Rmin_left, Rmax_right by lra; intros s Hs.
    - assert (D1 : is_derive F (c + s) (f (c + s))) by (apply D; unfold c; lra).
      assert (D2 : is_derive F (c - s) (f (c - s))) by (apply D; unfold c; lra).
      unfold h. auto_derive; [repeat split; eexists; eassumption |].
      replace (Derive (fun x => F x) (c + s)) with (f (c + s)) by (symmetry; apply is_derive_unique, D1).
      replace (Derive (fun x => F x) (c + - s)) with (f (c - s)) by (symmetry; apply is_derive_unique, D2). ring.
    - pose proof (C c (c + s) ltac:(unfold c; lra) ltac:(unfold c; lra)).
      pose proof (C c (c - s) ltac:(unfold c; lra) ltac:(unfold c; lra)). apply Rmult_le_pos; lra. }
  unfold h in H. rewrite Rplus_0_r, Rminus_0_r in H.
  replace (c + w / 2) with (a + w) in H by (unfold c; field). replace (c - w / 2) with a in H by (unfold c; ring). lra.
Qed.

Section WinRate.

Variables (n : nat) (P : nat -> nat -> R) (m : nat -> R).
Hypothesis P_unit : pref n P.
Hypothesis m_dist : dist n m.

Local Notation X := (win n P m).

(** Where response i sits when the better ranked always wins. *)
Definition position (i : nat) : R := mass_below (ranked X) m n i + m i / 2.

Lemma X_unit i : (i < n)%nat -> 0 <= X i <= 1.
Proof. intro Hi. apply win_bounds; assumption. Qed.

Lemma position_unit i : (i < n)%nat -> 0 <= position i <= 1.
Proof.
  intro Hi. destruct m_dist as [Hm S]. pose proof (Hm i Hi).
  destruct (mass_below_range (ranked X) m (ranked_irrefl X) n i Hm S Hi). unfold position. lra.
Qed.

(** Making the better ranked always win spreads the win rates: E f(X) <= E f(position). *)
Lemma spread f g : convex_with_slope f g -> expect n m (fun i => f (X i)) <= expect n m (fun i => f (position i)).
Proof.
  intro C. destruct m_dist as [Hm S]. destruct P_unit as [HP HU].
  set (Q := fun i j => indicator (ranked X j i) + (if Nat.eqb i j then 1 / 2 else 0)).
  assert (QP : forall i, (i < n)%nat -> position i - X i = sum n (fun j => m j * (Q i j - P i j))).
  { intros i Hi. unfold position, mass_below. change (X i) with (sum n (fun j => P i j * m j)).
    assert (E : sum n (fun j => m j * (if Nat.eqb i j then 1 / 2 else 0)) = m i / 2) by (apply half_diagonal, Hi).
    rewrite <- E, <- sum_plus, <- sum_minus. apply sum_ext. intros j _. unfold Q. ring. }
  assert (Skew : forall i j, (i < n)%nat -> (j < n)%nat -> Q j i - P j i = - (Q i j - P i j)).
  { intros i j Hi Hj. pose proof (HP i j Hi Hj). unfold Q. destruct (Nat.eq_dec i j) as [-> | N].
    - rewrite Nat.eqb_refl, ranked_irrefl. simpl. lra.
    - replace (Nat.eqb i j) with false by (symmetry; apply Nat.eqb_neq; lia).
      replace (Nat.eqb j i) with false by (symmetry; apply Nat.eqb_neq; lia).
      destruct (ranked_total X i j N) as [R | R];
        rewrite R, (lt_asym (ranked X) (ranked_irrefl X) (ranked_trans X) _ _ R); simpl; lra. }
  set (T := sum n (fun i => sum n (fun j => m i * m j * g (X i) * (Q i j - P i j)))).
  assert (HT : 0 <= T).
  { assert (E : T + T = sum n (fun i => sum n (fun j => m i * m j * ((g (X i) - g (X j)) * (Q i j - P i j))))).
    { unfold T at 2. rewrite sum_swap. unfold T. rewrite <- sum_plus. apply sum_ext. intros i Hi.
      rewrite <- sum_plus. apply sum_ext. intros j Hj. rewrite (Skew i j Hi Hj). ring. }
    enough (0 <= T + T) by lra. rewrite E. apply sum_nonneg. intros i Hi. apply sum_nonneg. intros j Hj.
    apply Rmult_le_pos; [apply Rmult_le_pos; apply Hm; assumption |].
    pose proof (HU i j Hi Hj) as B. unfold Q. destruct (Nat.eq_dec i j) as [-> | N]; [rewrite Rminus_eq_0; lra |].
    replace (Nat.eqb i j) with false by (symmetry; apply Nat.eqb_neq; lia).
    destruct (ranked_total X i j N) as [R | R].
    - rewrite (lt_asym (ranked X) (ranked_irrefl X) (ranked_trans X) _ _ R). simpl.
      pose proof (slope_monotone f g C (X i) (X j) (X_unit i Hi) (X_unit j Hj) (ranked_le X i j R)). nra.
    - rewrite R. simpl.
      pose proof (slope_monotone f g C (X j) (X i) (X_unit j Hj) (X_unit i Hi) (ranked_le X j i R)). nra. }
  assert (L : expect n m (fun i => f (X i)) + T <= expect n m (fun i => f (position i))); [| lra].
  unfold T, expect. rewrite <- sum_plus. apply sum_le. intros i Hi.
  pose proof (C (X i) (position i) (X_unit i Hi) (position_unit i Hi)) as K. rewrite (QP i Hi) in K.
  apply (Rmult_le_compat_l (m i)) in K; [| apply Hm, Hi].
  replace (sum n (fun j => m i * m j * g (X i) * (Q i j - P i j)))
    with (m i * (g (X i) * sum n (fun j => m j * (Q i j - P i j)))); [lra |].
  rewrite <- !sum_scal. apply sum_ext. intros; ring.
Qed.

(** N9, convex order.  For every f convex on [0, 1], with antiderivative F:
    E_m f(p(y > m)) <= F(1) - F(0), the mean of f under Uniform(0, 1). *)
Theorem N9_convex_order f g F : convex_with_slope f g -> (forall u, 0 <= u <= 1 -> is_derive F u (f u)) ->
  expect n m (fun i => f (X i)) <= F 1 - F 0.
Proof.
  intros C D. eapply Rle_trans; [apply (spread f g C) |]. destruct m_dist as [Hm S].
  rewrite <- (telescope_all (ranked X) m (ranked_irrefl X) (ranked_trans X) (ranked_total X) n F S).
  apply sum_le. intros i Hi. destruct (mass_below_range (ranked X) m (ranked_irrefl X) n i Hm S Hi).
  apply (midpoint_average f g F C D); [assumption | apply Hm, Hi | assumption].
Qed.

(** N9, win mass.  A set of responses of mass w (or weights 0 <= s <= 1) collects at most w - w^2 / 2. *)
Theorem N9_win_mass s : (forall i, (i < n)%nat -> 0 <= s i <= 1) ->
  let w := expect n m s in expect n m (fun i => s i * X i) <= w - w ^ 2 / 2.
Proof.
  intros Hs w. destruct m_dist as [Hm S]. destruct P_unit as [HP HU].
  set (u := fun i => m i * s i).
  assert (Su : sum n u = w) by reflexivity.
  replace (expect n m (fun i => s i * X i)) with (beats n P u m) by (apply sum_ext; intros; unfold u; ring).
  assert (Split : beats n P u m = beats n P u u + beats n P u (fun i => m i - u i)).
  { rewrite beats_minus_r. ring. }
  rewrite Split. pose proof (beats_transpose n P u u HP) as Half. rewrite Su in Half.
  assert (B : beats n P u (fun i => m i - u i) <= sum n u * sum n (fun i => m i - u i)).
  { rewrite beats_sum, sum_product. apply sum_le. intros i Hi. apply sum_le. intros j Hj.
    pose proof (Hm i Hi). pose proof (Hm j Hj). pose proof (Hs i Hi). pose proof (Hs j Hj). pose proof (HU i j Hi Hj).
    assert (0 <= u i) by (unfold u; apply Rmult_le_pos; lra). assert (0 <= m j - u j) by (unfold u; nra).
    assert (0 <= u i * (m j - u j)) by (apply Rmult_le_pos; assumption). nra. }
  rewrite sum_minus, Su, S in B. lra.
Qed.

(** E_m p(y > m) = 1/2. *)
Lemma mean_win_rate : expect n m X = 1 / 2.
Proof. apply beats_self; [apply P_unit | apply m_dist]. Qed.

Definition win_variance : R := expect n m (fun i => (X i - 1 / 2) ^ 2).

Lemma win_variance_raw : win_variance = expect n m (fun i => X i ^ 2) - 1 / 4.
Proof.
  unfold win_variance. rewrite (expect_ext n m _ (fun i => X i ^ 2 - X i + 1 / 4)) by (intros; field).
  rewrite expect_plus, expect_minus, mean_win_rate, expect_const by apply m_dist. lra.
Qed.

Lemma cubes_telescope (lt : nat -> nat -> bool) :
  (forall i, lt i i = false) -> (forall i j k, lt i j = true -> lt j k = true -> lt i k = true) ->
  (forall i j, i <> j -> lt i j = true \/ lt j i = true) ->
  expect n m (fun i => (mass_below lt m n i + m i / 2) ^ 2) = 1 / 3 - sum n (fun i => m i ^ 3) / 12.
Proof.
  intros I T C. pose proof (telescope_all lt m I T C n (fun w => w ^ 3 / 3) (proj2 m_dist)) as E. cbv beta in E.
  replace (1 / 3) with (1 ^ 3 / 3 - 0 ^ 3 / 3) by field. rewrite <- E.
  replace (sum n (fun i => m i ^ 3) / 12) with (sum n (fun i => m i ^ 3 * / 12)) by (rewrite sum_scal_r; reflexivity).
  unfold expect. rewrite <- sum_minus. apply sum_ext. intros i _. field.
Qed.

(** N9, variance.  Var_m p(. > m) <= (1 - sum m^3) / 12. *)
Theorem N9_variance : win_variance <= (1 - sum n (fun i => m i ^ 3)) / 12.
Proof.
  rewrite win_variance_raw.
  pose proof (spread (fun x => x ^ 2) (fun x => 2 * x)
    ltac:(intros x y _ _; pose proof (pow2_ge_0 (y - x)); lra)) as L. cbv beta in L. unfold position in L.
  rewrite (cubes_telescope (ranked X) (ranked_irrefl X) (ranked_trans X) (ranked_total X)) in L. lra.
Qed.

(** ... and so it is below 1/12, strictly. *)
Theorem N9_variance_strict : win_variance < 1 / 12.
Proof.
  pose proof N9_variance as L. destruct m_dist as [Hm S].
  assert (Pos : 0 <= sum n (fun i => m i ^ 3)) by (apply sum_nonneg; intros; apply pow_le, Hm; assumption).
  destruct Pos as [Pos | Z]; [lra |]. exfalso.
  assert (A : forall i, (i < n)%nat -> m i = 0).
  { intros i Hi. pose proof (sum_nonneg_zero n (fun i => m i ^ 3) ltac:(intros; apply pow_le, Hm; assumption) (eq_sym Z) i Hi) as E.
    cbv beta in E. apply Rmult_integral in E. destruct E as [E | E]; [exact E |].
    apply Rmult_integral in E. destruct E as [E | E]; [exact E |]. rewrite Rmult_1_r in E. exact E. }
  rewrite (sum_ext n m (fun _ => 0) A), sum_zero in S. lra.
Qed.

End WinRate.

(** N9 is sharp: on the transitive chain, where the larger index always wins, the variance bound is attained. *)
Definition chain (i j : nat) : R := if Nat.ltb j i then 1 else if Nat.eqb i j then 1 / 2 else 0.

Lemma chain_pref n : pref n chain.
Proof.
  unfold chain. split; intros i j _ _; destruct (Nat.ltb_spec j i), (Nat.eqb_spec i j); try lra; try lia;
    destruct (Nat.ltb_spec i j), (Nat.eqb_spec j i); try lra; lia.
Qed.

Theorem N9_variance_attained n m : dist n m -> win_variance n chain m = (1 - sum n (fun i => m i ^ 3)) / 12.
Proof.
  intro Hm. rewrite (win_variance_raw n chain m (chain_pref n) Hm).
  rewrite (expect_ext n m _ (fun i => (mass_below Nat.ltb m n i + m i / 2) ^ 2)).
  - rewrite (cubes_telescope n m Hm Nat.ltb); [lra | apply Nat.ltb_irrefl | |].
    + intros i j k A B. apply Nat.ltb_lt in A, B. apply Nat.ltb_lt. lia.
    + intros i j N. destruct (Nat.lt_ge_cases i j); [left | right]; apply Nat.ltb_lt; lia.
  - intros i Hi. f_equal. unfold win, mass_below.
    assert (E : sum n (fun j => m j * (if Nat.eqb i j then 1 / 2 else 0)) = m i / 2) by (apply half_diagonal, Hi).
    rewrite <- E, <- sum_plus. apply sum_ext. intros j _. unfold chain.
    destruct (Nat.ltb_spec j i), (Nat.eqb_spec i j); simpl; try lia; ring.
Qed.

(** ** The logarithmic moment *)

Lemma sinh_exp x : sinh x = (exp x - exp (- x)) / 2.
Proof. reflexivity. Qed.

(** 0 <= x cosh x - sinh x. *)
Lemma cosh_dominates x : 0 <= x -> 0 <= x * ((exp x + exp (- x)) / 2) - (exp x - exp (- x)) / 2.
Proof.
  intro Hx. set (l := fun t => t * ((exp t + exp (- t)) / 2) - (exp t - exp (- t)) / 2).
  assert (L : l 0 <= l x).
  { apply (minimum_at l (fun t => t * ((exp t - exp (- t)) / 2))); rewrite Rmin_left, Rmax_right by lra; intros t Ht.
    - unfold l. auto_derive; [trivial |]. field.
    - assert (exp (- t) <= exp t) by (destruct (Req_dec t 0) as [-> | ]; [rewrite Ropp_0; lra | apply Rlt_le, exp_increasing; lra]).
      apply Rmult_le_pos; [apply Rmult_le_pos; lra | lra]. }
  unfold l in L. rewrite Rmult_0_l, Ropp_0 in L. unfold Rdiv in L at 1. rewrite Rminus_eq_0, Rmult_0_l in L. lra.
Qed.

(** coth x - 1/x <= x/3, multiplied out. *)
Lemma langevin x : 0 <= x ->
  0 <= x ^ 2 * ((exp x - exp (- x)) / 2) / 3 - x * ((exp x + exp (- x)) / 2) + (exp x - exp (- x)) / 2.
Proof.
  intro Hx. set (k := fun t => t ^ 2 * ((exp t - exp (- t)) / 2) / 3 - t * ((exp t + exp (- t)) / 2) + (exp t - exp (- t)) / 2).
  assert (L : k 0 <= k x).
  { apply (minimum_at k (fun t => t / 3 * (t * ((exp t + exp (- t)) / 2) - (exp t - exp (- t)) / 2)));
      rewrite Rmin_left, Rmax_right by lra; intros t Ht.
    - unfold k. auto_derive; [trivial |]. field.
    - pose proof (cosh_dominates t ltac:(lra)). apply Rmult_le_pos; [apply Rmult_le_pos; lra | lra]. }
  unfold k in L. rewrite Ropp_0 in L. lra.
Qed.

Lemma sinh_pos x : 0 < x -> 0 < sinh x.
Proof. intro Hx. rewrite sinh_exp. pose proof (exp_increasing (- x) x ltac:(lra)). lra. Qed.

(** log(sinh x / x) grows no faster than x^2 / 6. *)
Lemma log_sinh_growth x y : 0 < x <= y -> ln (sinh y / y) - ln (sinh x / x) <= (y ^ 2 - x ^ 2) / 6.
Proof.
  intro Hxy. set (h := fun t => t ^ 2 / 6 - (ln ((exp t - exp (- t)) / 2) - ln t)).
  assert (H : h x <= h y).
  { apply (minimum_at h (fun t => (t ^ 2 * ((exp t - exp (- t)) / 2) / 3 - t * ((exp t + exp (- t)) / 2)
        + (exp t - exp (- t)) / 2) / (t * ((exp t - exp (- t)) / 2))));
      rewrite Rmin_left, Rmax_right by lra; intros t Ht; pose proof (sinh_pos t ltac:(lra)) as S; rewrite sinh_exp in S.
    - unfold h. auto_derive; [split; [unfold Rdiv in S; exact S | lra] |]. field. lra.
    - apply Rmult_le_pos; [| lra]. apply Rdiv_le_0_compat; [apply langevin; lra | apply Rmult_lt_0_compat; lra]. }
  rewrite !ln_div by (apply sinh_pos || idtac; lra). rewrite !sinh_exp. unfold h in H. lra.
Qed.

(** log(sinh x / x) <= x^2 / 6. *)
Lemma log_sinh x : 0 < x -> ln (sinh x / x) <= x ^ 2 / 6.
Proof.
  intro Hx.
  assert (Small : forall e, 0 < e -> e <= x -> ln (sinh x / x) <= x ^ 2 / 6 + e).
  { intros e He Hex. pose proof (log_sinh_growth e x ltac:(lra)) as G.
    assert (ln (sinh e / e) <= e).
    { rewrite <- (ln_exp e) at 3. pose proof (sinh_pos e He) as S. apply ln_le_mono; [apply Rdiv_lt_0_compat; assumption |].
      apply Rmult_le_reg_r with e; [exact He |]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r, sinh_exp by lra.
      pose proof (cosh_dominates e ltac:(lra)). pose proof (exp_increasing (- e) e ltac:(lra)). nra. }
    pose proof (pow2_ge_0 e). lra. }
  destruct (Rle_dec (ln (sinh x / x)) (x ^ 2 / 6)) as [H | H]; [exact H |].
  set (d := ln (sinh x / x) - x ^ 2 / 6) in *.
  pose proof (Small (Rmin x (d / 2)) ltac:(apply Rmin_glb_lt; unfold d; lra) (Rmin_l _ _)).
  pose proof (Rmin_r x (d / 2)). unfold d in *. lra.
Qed.

Lemma sinh_even x : x <> 0 -> sinh (- x) / (- x) = sinh x / x.
Proof. intro H. rewrite !sinh_exp, Ropp_involutive. field. exact H. Qed.

Section LogMoment.

Variables (n : nat) (P : nat -> nat -> R) (m : nat -> R).
Hypothesis P_unit : pref n P.
Hypothesis m_dist : dist n m.

(** N9.  E_m e^(eta (p - 1/2)) <= sinh(eta/2) / (eta/2). *)
Theorem N9_moment eta : eta <> 0 ->
  expect n m (fun y => exp (eta * (win n P m y - 1 / 2))) <= sinh (eta / 2) / (eta / 2).
Proof.
  intro He.
  pose proof (N9_convex_order n P m P_unit m_dist (fun u => exp (eta * (u - 1 / 2)))
    (fun u => eta * exp (eta * (u - 1 / 2))) (fun u => exp (eta * (u - 1 / 2)) / eta)) as B. cbv beta in B.
  replace (sinh (eta / 2) / (eta / 2)) with (exp (eta * (1 - 1 / 2)) / eta - exp (eta * (0 - 1 / 2)) / eta).
  - apply B.
    + intros x y _ _. pose proof (exp_ge_line (eta * (y - 1 / 2) - eta * (x - 1 / 2))) as L.
      replace (exp (eta * (y - 1 / 2))) with (exp (eta * (x - 1 / 2)) * exp (eta * (y - 1 / 2) - eta * (x - 1 / 2)))
        by (rewrite <- exp_plus; f_equal; ring).
      pose proof (exp_pos (eta * (x - 1 / 2))) as Pos. apply (Rmult_le_compat_l _ _ _ (Rlt_le _ _ Pos)) in L. lra.
    + intros u _. auto_derive; [trivial |]. change (u + - (1 / 2)) with (u - 1 / 2). field. exact He.
  - rewrite sinh_exp. replace (eta * (1 - 1 / 2)) with (eta / 2) by field.
    replace (eta * (0 - 1 / 2)) with (- (eta / 2)) by field. field. exact He.
Qed.

Lemma moment_pos eta : 0 < expect n m (fun y => exp (eta * (win n P m y - 1 / 2))).
Proof.
  apply Rlt_le_trans with (exp (- Rabs eta)); [apply exp_pos |].
  rewrite <- (expect_const n m (exp (- Rabs eta)) (proj2 m_dist)). apply expect_le; [exact m_dist |].
  intros y Hy. pose proof (win_bounds n P m y P_unit m_dist Hy) as B.
  set (x := eta * (win n P m y - 1 / 2)). assert (- Rabs eta <= x).
  { unfold x. pose proof (Rabs_pos eta).
    destruct (Rle_dec 0 eta); [rewrite Rabs_pos_eq by lra | rewrite Rabs_left by lra]; nra. }
  destruct (Req_dec (- Rabs eta) x) as [-> | ]; [lra | apply Rlt_le, exp_increasing; lra].
Qed.

(** N9.  log E_m e^(eta (p - 1/2)) <= log(sinh(eta/2) / (eta/2)) <= eta^2 / 24. *)
Theorem N9_log_moment eta : eta <> 0 ->
  ln (expect n m (fun y => exp (eta * (win n P m y - 1 / 2)))) <= ln (sinh (eta / 2) / (eta / 2)) /\
  ln (sinh (eta / 2) / (eta / 2)) <= eta ^ 2 / 24.
Proof.
  intro He. split; [apply ln_le_mono; [apply moment_pos | apply N9_moment, He] |].
  destruct (Rlt_dec 0 eta) as [H | H].
  - pose proof (log_sinh (eta / 2) ltac:(lra)). lra.
  - rewrite <- sinh_even by lra. pose proof (log_sinh (- (eta / 2)) ltac:(lra)). lra.
Qed.

(** N9.  log E_m e^(eta (p - 1/2)) <= eta^2 / 24, for every real eta. *)
Theorem N9_subgaussian eta : ln (expect n m (fun y => exp (eta * (win n P m y - 1 / 2)))) <= eta ^ 2 / 24.
Proof.
  destruct (Req_dec eta 0) as [-> | He]; [| destruct (N9_log_moment eta He); lra].
  rewrite (expect_ext n m _ (fun _ => 1)) by (intros; rewrite Rmult_0_l; apply exp_0).
  rewrite expect_const, ln_1 by apply m_dist. lra.
Qed.

End LogMoment.

(** ** Transport and sensitivity *)

(** Gibbs' variational inequality: E_nu f <= KL(nu || m) + log E_m e^f. *)
Lemma variational n m nu f : policy n m -> dist n nu ->
  expect n nu f <= KL n nu m + ln (expect n m (fun y => exp (f y))).
Proof.
  intros Hm Hnu. pose proof (policy_n_pos n m Hm) as Hn.
  pose proof (kl_nonneg n nu (gibbs n m f) Hnu (gibbs_policy n m Hn (proj1 Hm) f)) as K.
  rewrite kl_gibbs in K by (exact Hn || apply Hm || apply Hnu). unfold gibbs_norm in K. unfold expect at 2. lra.
Qed.

(** N9 as a transport inequality: (P(nu > m) - 1/2)^2 <= KL(nu || m) / 6. *)
Theorem N9_transport n P m nu : pref n P -> policy n m -> dist n nu -> (beats n P nu m - 1 / 2) ^ 2 <= KL n nu m / 6.
Proof.
  intros HP Hm Hnu. set (d := beats n P nu m - 1 / 2).
  pose proof (variational n m nu (fun y => 12 * d * (win n P m y - 1 / 2)) Hm Hnu) as V. cbv beta in V.
  pose proof (N9_subgaussian n P m HP (policy_dist n m Hm) (12 * d)) as B.
  rewrite expect_scal, expect_minus, expect_const in V by apply Hnu. fold (beats n P nu m) in V. fold d in V. nra.
Qed.

(** Two policies whose divergence is an advantage of one over the other are close. *)
Lemma advantage_distance n P p q k : pref n P -> policy n p -> policy n q ->
  sym_kl n p q = k * (1 / 2 - beats n P q p) -> sym_kl n p q <= k ^ 2 / 12.
Proof.
  intros HP Hp Hq E. pose proof (policy_dist n p Hp) as Dp. pose proof (policy_dist n q Hq) as Dq.
  pose proof (N9_transport n P p q HP Hp Dq) as A. pose proof (N9_transport n P q p HP Hq Dp) as B.
  pose proof (beats_constant_sum n P p q (proj1 HP) (proj2 Hp) (proj2 Hq)) as C.
  pose proof (sym_kl_is_the_sum n p q) as S. pose proof (sym_kl_nonneg n p q Hp Hq).
  set (s := sym_kl n p q) in *. set (d := beats n P q p - 1 / 2) in *.
  assert (D : 12 * d ^ 2 <= s).
  { replace (beats n P p q - 1 / 2) with (- d) in B by (unfold d; lra). replace ((- d) ^ 2) with (d ^ 2) in B by ring. lra. }
  assert (E2 : s ^ 2 <= k ^ 2 / 12 * s).
  { rewrite E at 1. replace ((k * (1 / 2 - beats n P q p)) ^ 2) with (k ^ 2 * d ^ 2) by (unfold d; ring).
    pose proof (pow2_ge_0 k). pose proof (Rmult_le_compat_l (k ^ 2) _ _ ltac:(assumption) D). lra. }
  destruct (Req_dec s 0) as [Z | Z]; [pose proof (pow2_ge_0 k); lra |].
  apply Rmult_le_reg_r with s; lra.
Qed.

Lemma l1_from_sym_kl n p q a : policy n p -> policy n q -> 0 <= a -> sym_kl n p q <= a ^ 2 -> l1 n p q <= a.
Proof.
  intros Hp Hq Ha S. pose proof (pinsker_symmetric n p q Hp Hq). pose proof (l1_nonneg n p q).
  apply Rsqr_incr_0_var; [unfold Rsqr; nra | exact Ha].
Qed.

(** log of a fixed point. *)
Lemma nash_log n tau P mu q : policy n mu -> is_nash n tau P mu q ->
  exists c, forall y, (y < n)%nat -> ln (q y) = ln (mu y) + win n P q y / tau + c.
Proof.
  intros Hmu N. exists (- ln (gibbs_norm n mu (fun z => win n P q z / tau))). intros y Hy. rewrite (N y Hy) at 1.
  rewrite best_reply_log by assumption. ring.
Qed.

(** N16, temperature: ||q_tau - q_tau'||_1 <= |1/tau - 1/tau'| / sqrt 12. *)
Theorem N16_temperature n P mu tau tau' p q : 0 < tau -> 0 < tau' -> pref n P -> policy n mu ->
  is_nash n tau P mu p -> is_nash n tau' P mu q -> l1 n p q <= Rabs (1 / tau - 1 / tau') / sqrt 12.
Proof.
  intros Ht Ht' HP Hmu Np Nq.
  pose proof (nash_policy n tau P mu p Hmu Np) as Hp. pose proof (nash_policy n tau' P mu q Hmu Nq) as Hq.
  pose proof Hp as [_ Sp]. pose proof Hq as [_ Sq]. set (k := 1 / tau - 1 / tau').
  destruct (nash_log n tau P mu p Hmu Np) as [c Lp]. destruct (nash_log n tau' P mu q Hmu Nq) as [c' Lq].
  assert (S12 : 0 < sqrt 12) by (apply sqrt_lt_R0; lra).
  assert (Q12 : sqrt 12 * sqrt 12 = 12) by (apply sqrt_sqrt; lra).
  apply l1_from_sym_kl; [exact Hp | exact Hq | apply Rdiv_le_0_compat; [apply Rabs_pos | exact S12] |].
  replace ((Rabs k / sqrt 12) ^ 2) with (k ^ 2 / 12).
  - apply (advantage_distance n P p q k HP Hp Hq). fold (beats n P q p).
    rewrite <- (beats_self n P p (proj1 HP) Sp), <- beats_minus_l.
    pose proof (beats_skew n P p q (proj1 HP) ltac:(lra)) as K. unfold beats, expect in K |- *.
    transitivity (k * sum n (fun y => (p y - q y) * win n P p y)
      + / tau' * sum n (fun y => (p y - q y) * win n P (fun z => p z - q z) y)
      + (c - c') * sum n (fun y => p y - q y)); [| rewrite K, sum_minus, Sp, Sq; ring].
    unfold sym_kl. rewrite <- !sum_scal, <- !sum_plus. apply sum_ext. intros y Hy.
    rewrite Lp, Lq, win_minus by exact Hy. unfold k. field. lra.
  - rewrite <- (pow2_abs k). rewrite <- Q12 at 1. field. lra.
Qed.

(** E5 with the constant of N9: ||mu - q_tau||_1 <= 1/(sqrt 12 tau). *)
Theorem E5_reference_distance_sharp n P mu tau q : 0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q ->
  l1 n mu q <= 1 / tau / sqrt 12.
Proof.
  intros Ht HP Hmu N. pose proof (nash_policy n tau P mu q Hmu N) as Hq.
  pose proof Hmu as [_ Sm]. pose proof Hq as [_ Sq]. destruct (nash_log n tau P mu q Hmu N) as [c Lq].
  assert (S12 : 0 < sqrt 12) by (apply sqrt_lt_R0; lra).
  assert (Q12 : sqrt 12 * sqrt 12 = 12) by (apply sqrt_sqrt; lra).
  assert (Pos : 0 < 1 / tau) by (apply Rdiv_lt_0_compat; lra).
  apply l1_from_sym_kl; [exact Hmu | exact Hq | apply Rdiv_le_0_compat; lra |].
  replace ((1 / tau / sqrt 12) ^ 2) with ((- (1 / tau)) ^ 2 / 12) by (rewrite <- Q12 at 1; field; lra).
  apply (advantage_distance n P mu q _ HP Hmu Hq).
  rewrite <- (beats_self n P mu (proj1 HP) Sm), <- beats_minus_l.
  pose proof (beats_skew n P mu q (proj1 HP) ltac:(lra)) as K. unfold beats, expect in K |- *.
  transitivity (- (1 / tau) * sum n (fun y => (mu y - q y) * win n P mu y)
    + / tau * sum n (fun y => (mu y - q y) * win n P (fun z => mu z - q z) y)
    + (- c) * sum n (fun y => mu y - q y)); [| rewrite K, sum_minus, Sm, Sq; ring].
  unfold sym_kl. rewrite <- !sum_scal, <- !sum_plus. apply sum_ext. intros y Hy.
  rewrite Lq, win_minus by exact Hy. field. lra.
Qed.

(** N16, preferences: ||q_P - q_Q||_1 <= ||P - Q||_max / (sqrt 3 tau). *)
Theorem N16_preferences n tau P Q mu p q eps : 0 < tau -> 0 < eps -> is_pref n P -> is_pref n Q -> policy n mu ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> Rabs (P i j - Q i j) <= eps) ->
  is_nash n tau P mu p -> is_nash n tau Q mu q -> l1 n p q <= eps / (sqrt 3 * tau).
Proof.
  intros Ht He HP HQ Hmu Close Np Nq.
  pose proof (nash_policy n tau P mu p Hmu Np) as Hp. pose proof (nash_policy n tau Q mu q Hmu Nq) as Hq.
  pose proof Hp as [_ Sp]. pose proof Hq as [_ Sq].
  destruct (nash_log n tau P mu p Hmu Np) as [c Lp]. destruct (nash_log n tau Q mu q Hmu Nq) as [c' Lq].
  assert (S3 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (Q3 : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  (* P - Q, rescaled, is itself a preference matrix. *)
  set (R := fun i j => 1 / 2 + (P i j - Q i j) / (2 * eps)).
  assert (HR : pref n R).
  { split; intros i j Hi Hj; unfold R.
    - pose proof (HP i j Hi Hj). pose proof (HQ i j Hi Hj).
      replace (P j i) with (1 - P i j) by lra. replace (Q j i) with (1 - Q i j) by lra. field. lra.
    - pose proof (Close i j Hi Hj) as B. apply Rabs_le_between in B.
      assert (D : forall x, - eps <= x <= eps -> 0 <= 1 / 2 + x / (2 * eps) <= 1).
      { intros x Hx. replace (1 / 2 + x / (2 * eps)) with ((eps + x) * / (2 * eps)) by (field; lra).
        assert (I : 0 < / (2 * eps)) by (apply Rinv_0_lt_compat; lra). split; [apply Rmult_le_pos; lra |].
        apply Rmult_le_reg_r with (2 * eps); [lra |]. rewrite Rmult_assoc, Rinv_l by lra. lra. }
      apply D. exact B. }
  set (k := 2 * eps / tau).
  apply l1_from_sym_kl; [exact Hp | exact Hq | apply Rdiv_le_0_compat; [lra | apply Rmult_lt_0_compat; assumption] |].
  replace ((eps / (sqrt 3 * tau)) ^ 2) with (k ^ 2 / 12).
  - apply (advantage_distance n R p q k HR Hp Hq).
    rewrite <- (beats_self n R p (proj1 HR) Sp), <- beats_minus_l.
    pose proof (beats_skew n Q p q HQ ltac:(lra)) as K. unfold beats, expect in K |- *.
    assert (W : forall y, win n R p y = 1 / 2 + (win n P p y - win n Q p y) / (2 * eps)).
    { intro y. transitivity (1 / 2 * sum n p + (win n P p y - win n Q p y) * / (2 * eps)); [| rewrite Sp; field; lra].
      unfold win, R. rewrite <- sum_minus, <- sum_scal_r, <- sum_scal, <- sum_plus.
      apply sum_ext. intros j _. field. lra. }
    transitivity (k * sum n (fun y => (p y - q y) * win n R p y)
      + / tau * sum n (fun y => (p y - q y) * win n Q (fun z => p z - q z) y)
      + (c - c' - k / 2) * sum n (fun y => p y - q y)); [| rewrite K, sum_minus, Sp, Sq; ring].
    unfold sym_kl. rewrite <- !sum_scal, <- !sum_plus. apply sum_ext. intros y Hy.
    rewrite Lp, Lq, win_minus, W by exact Hy. unfold k. field. lra.
  - unfold k. replace ((eps / (sqrt 3 * tau)) ^ 2) with (eps ^ 2 / (sqrt 3 * sqrt 3 * tau ^ 2)) by (field; lra).
    rewrite Q3. field. lra.
Qed.

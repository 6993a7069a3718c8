(** * Policies that no preference makes an equilibrium (N22).

    w = pi(S) and v = E_S h - E_{S^c} h - 1/(2 tau), h = log pi - log mu.  Where v > 0, the gap of pi is at least
    tau log(w e^(-(1-w) v) + (1-w) e^(w v)), whatever the preference is.  Of all sets only {h >= c} need to be looked at. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate KlBudget.
Open Scope R_scope.

(** E_S f = sum_S pi f / pi(S). *)
Definition mean_in n (pi f : nat -> R) (S : nat -> bool) : R := sum n (fun y => if S y then pi y * f y else 0) / mass n pi S.

(** S^c. *)
Definition others (S : nat -> bool) (y : nat) : bool := negb (S y).

(** S is neither empty nor everything. *)
Definition proper n (S : nat -> bool) : Prop := (exists y, (y < n)%nat /\ S y = true) /\ (exists y, (y < n)%nat /\ S y = false).

(** ** Two cells *)

Lemma split_sum n f (S : nat -> bool) : sum n f = sum n (fun y => if S y then f y else 0) + sum n (fun y => if others S y then f y else 0).
Proof. rewrite <- sum_plus. apply sum_ext. intros y _. unfold others. destruct (S y); simpl; ring. Qed.

Lemma mass_others n pi S : dist n pi -> mass n pi (others S) = 1 - mass n pi S.
Proof. intros [_ Sp]. rewrite <- Sp, (split_sum n pi S). unfold mass. ring. Qed.

Lemma mass_positive n pi S y : policy n pi -> (y < n)%nat -> S y = true -> 0 < mass n pi S.
Proof.
  intros [Pp _] Hy E. apply Rlt_le_trans with (pi y); [apply Pp, Hy |].
  pose proof (sum_lower_bound n (fun z => if S z then pi z else 0) y) as L. cbv beta in L. rewrite E in L.
  apply L; [| exact Hy]. intros z Hz. pose proof (Pp z Hz). destruct (S z); lra.
Qed.

Lemma proper_mass n pi S : policy n pi -> proper n S -> 0 < mass n pi S < 1.
Proof.
  intros Hp [[y [Hy E]] [z [Hz F]]]. pose proof (mass_positive n pi S y Hp Hy E).
  pose proof (mass_positive n pi (others S) z Hp Hz ltac:(unfold others; rewrite F; reflexivity)) as M.
  rewrite mass_others in M by (apply policy_dist, Hp). lra.
Qed.

Lemma flat_cell n (pi g : nat -> R) x (T : nat -> bool) : (forall y, (y < n)%nat -> T y = true -> g y = x) ->
  sum n (fun y => if T y then pi y * g y else 0) = mass n pi T * x.
Proof.
  intro E. unfold mass. rewrite <- sum_scal_r. apply sum_ext. intros y Hy.
  destruct (T y) eqn:Ey; [rewrite (E y Hy Ey); reflexivity | ring].
Qed.

(** Jensen in a cell: sum_S pi e^f >= pi(S) e^(E_S f). *)
Lemma cell_jensen n pi f S : policy n pi -> 0 < mass n pi S ->
  mass n pi S * exp (mean_in n pi f S) <= sum n (fun y => if S y then pi y * exp (f y) else 0).
Proof.
  intros [Pp _] M. set (c := mean_in n pi f S).
  apply Rle_trans with (sum n (fun y => exp c * ((1 - c) * (if S y then pi y else 0) + (if S y then pi y * f y else 0)))).
  - rewrite sum_scal, sum_plus, sum_scal. fold (mass n pi S). right.
    replace (sum n (fun y => if S y then pi y * f y else 0)) with (c * mass n pi S) by (unfold c, mean_in; field; lra). ring.
  - apply sum_le. intros y Hy. destruct (S y); [| lra]. pose proof (Pp y Hy) as Py. pose proof (exp_ge_line (f y - c)) as L.
    replace (exp (f y)) with (exp c * exp (f y - c)) by (rewrite <- exp_plus; f_equal; ring).
    replace (exp c * ((1 - c) * pi y + pi y * f y)) with (pi y * (exp c * (1 + (f y - c)))) by ring.
    apply Rmult_le_compat_l; [lra |]. apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | exact L].
Qed.

Lemma mean_in_minus n pi f g S c : mean_in n pi (fun y => f y - c * g y) S = mean_in n pi f S - c * mean_in n pi g S.
Proof.
  unfold mean_in, Rdiv. rewrite <- Rmult_assoc, <- Rmult_minus_distr_r. f_equal. rewrite <- sum_scal, <- sum_minus.
  apply sum_ext. intros y _. destruct (S y); ring.
Qed.

Lemma expect_cells n pi f S : 0 < mass n pi S -> 0 < mass n pi (others S) ->
  expect n pi f = mass n pi S * mean_in n pi f S + mass n pi (others S) * mean_in n pi f (others S).
Proof. intros M M'. unfold expect. rewrite (split_sum n _ S). unfold mean_in. field. split; lra. Qed.

(** pi(S) (E_S h - E_pi h) = pi(S) pi(S^c) (E_S h - E_{S^c} h): the two forms of the condition are the same. *)
Lemma lift_of_cells n pi h S : policy n pi -> proper n S ->
  lift n pi h S = mass n pi S * (1 - mass n pi S) * (mean_in n pi h S - mean_in n pi h (others S)).
Proof.
  intros Hp HS. pose proof (proper_mass n pi S Hp HS) as M. pose proof (mass_others n pi S (policy_dist n pi Hp)) as O.
  unfold lift. set (e := expect n pi h).
  transitivity (sum n (fun y => if S y then pi y * h y else 0) - e * mass n pi S).
  - unfold mass. rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros y _. destruct (S y); ring.
  - unfold e. rewrite (expect_cells n pi h S) by lra. rewrite O.
    replace (sum n (fun y => if S y then pi y * h y else 0)) with (mean_in n pi h S * mass n pi S) by (unfold mean_in; field; lra). ring.
Qed.

(** A set wins at most half more than its complement: E_S P pi - E_{S^c} P pi <= 1/2. *)
Lemma cells_win n P pi S : pref n P -> policy n pi -> proper n S ->
  mean_in n pi (win n P pi) S - mean_in n pi (win n P pi) (others S) <= 1 / 2.
Proof.
  intros HP Hp HS. pose proof (proper_mass n pi S Hp HS) as M. pose proof Hp as [_ Sp].
  pose proof (wins_at_most n P pi S HP (policy_dist n pi Hp)) as B. rewrite <- (wins_of_a_set n P pi S (proj1 HP) Sp) in B.
  pose proof (lift_of_cells n pi (win n P pi) S Hp HS) as L. set (w := mass n pi S) in *.
  assert (E : lift n pi (win n P pi) S = sum n (fun y => (if S y then pi y else 0) * (win n P pi y - 1 / 2))).
  { pose proof (beats_self n P pi (proj1 HP) Sp) as Half. unfold beats in Half. unfold lift. rewrite Half.
    apply sum_ext. intros y _. destruct (S y); ring. }
  assert (W : 0 < w * (1 - w)) by (apply Rmult_lt_0_compat; lra). apply Rmult_le_reg_l with (w * (1 - w)); [exact W | lra].
Qed.

(** w e^(-(1-w) v) + (1-w) e^(w v): E e^-X of an X that is v apart on two cells, and 0 on average. *)
Definition two_cells (w v : R) : R := w * exp (- ((1 - w) * v)) + (1 - w) * exp (w * v).

Lemma two_cells_monotone w v d : 0 <= w <= 1 -> 0 <= v <= d -> two_cells w v <= two_cells w d.
Proof.
  intros Hw Hv. apply (minimum_at (two_cells w) (fun x => w * (1 - w) * (exp (w * x) - exp (- ((1 - w) * x))))).
  - intros x _. unfold two_cells. auto_derive; [exact I | ring].
  - intros x Hx. rewrite Rmin_left, Rmax_right in Hx by lra.
    assert (E : exp (- ((1 - w) * x)) <= exp (w * x)).
    { destruct (Req_dec x 0) as [-> | N]; [right; f_equal; ring | apply Rlt_le, exp_increasing; nra]. }
    apply Rmult_le_pos; [| lra]. apply Rmult_le_pos; [| lra]. apply Rmult_le_pos; lra.
Qed.

Lemma two_cells_positive w v : 0 <= w <= 1 -> 0 < two_cells w v.
Proof. intro Hw. unfold two_cells. pose proof (exp_pos (- ((1 - w) * v))). pose proof (exp_pos (w * v)). destruct (Req_dec w 0); nra. Qed.

(** 1 < w e^(-(1-w) v) + (1-w) e^(w v) where v > 0: the bound says something. *)
Lemma two_cells_above_one w v : 0 < w < 1 -> 0 < v -> 1 < two_cells w v.
Proof.
  intros Hw Hv. unfold two_cells.
  pose proof (exp_ineq1 (- ((1 - w) * v)) ltac:(nra)) as L. pose proof (exp_ineq1 (w * v) ltac:(nra)) as U.
  apply (Rmult_lt_compat_l w) in L; [| lra]. apply (Rmult_lt_compat_l (1 - w)) in U; [| lra]. nra.
Qed.

(** N22, for every preference: with w = pi(S) and v = E_S h - E_{S^c} h - 1/(2 tau) >= 0, h = log pi - log mu,
    G_P(pi) >= tau log(w e^(-(1-w) v) + (1-w) e^(w v)). *)
Theorem N22_gap_bound n tau P mu pi S : 0 < tau -> pref n P -> policy n mu -> policy n pi -> proper n S ->
  let h y := ln (pi y) - ln (mu y) in
  let w := mass n pi S in
  let v := mean_in n pi h S - mean_in n pi h (others S) - 1 / (2 * tau) in
  0 <= v -> tau * ln (w * exp (- ((1 - w) * v)) + (1 - w) * exp (w * v)) <= gap n tau P mu pi.
Proof.
  intros Ht HP Hmu Hp HS h w v Hv. pose proof (proper_mass n pi S Hp HS) as M. fold w in M.
  pose proof (mass_others n pi S (policy_dist n pi Hp)) as O. fold w in O. fold (two_cells w v).
  rewrite (N15_gap_by_residual n tau P mu Ht (proj1 HP) Hmu pi Hp).
  set (r := residual n tau P mu pi). set (e := expect n pi r). set (f := fun y => - (r y - e)).
  set (d := mean_in n pi r S - mean_in n pi r (others S)).
  assert (D : v <= d).
  { pose proof (cells_win n P pi S HP Hp HS) as C. unfold d.
    assert (R : forall T, mean_in n pi r T = mean_in n pi h T - / tau * mean_in n pi (win n P pi) T).
    { intro T. rewrite <- mean_in_minus. unfold mean_in. f_equal. apply sum_ext. intros y _. unfold r, residual, h.
      destruct (T y); [| reflexivity].
      f_equal. unfold Rdiv. ring. }
    rewrite !R. unfold v. apply (Rmult_le_compat_l (/ tau)) in C; [| apply Rlt_le, Rinv_0_lt_compat, Ht].
    replace (1 / (2 * tau)) with (/ tau * (1 / 2)) by (field; lra). lra. }
  assert (E : e = w * mean_in n pi r S + (1 - w) * mean_in n pi r (others S)).
  { unfold e. rewrite (expect_cells n pi r S) by (fold w; lra). rewrite O. reflexivity. }
  assert (F : forall T, 0 < mass n pi T -> mean_in n pi f T = e - mean_in n pi r T).
  { intros T HT. unfold mean_in, f. apply Rmult_eq_reg_r with (mass n pi T); [| lra].
    unfold Rdiv. rewrite Rmult_minus_distr_r, !Rmult_assoc, !Rinv_l, !Rmult_1_r by lra. unfold mass. rewrite <- sum_scal, <- sum_minus.
    apply sum_ext. intros y _. destruct (T y); ring. }
  apply Rmult_le_compat_l; [lra |].
  apply Rle_trans with (ln (two_cells w d)).
  - apply ln_le_mono; [apply two_cells_positive; lra | apply two_cells_monotone; lra].
  - apply ln_le_mono; [apply two_cells_positive; lra |]. unfold expect. rewrite (split_sum n _ S).
    pose proof (cell_jensen n pi f S Hp ltac:(fold w; lra)) as J. pose proof (cell_jensen n pi f (others S) Hp ltac:(lra)) as J'.
    rewrite F in J by (fold w; lra). rewrite F in J' by lra. rewrite O in J'. fold w in J. rewrite E in J, J'.
    unfold two_cells, d. unfold f in J, J'.
    replace (- ((1 - w) * (mean_in n pi r S - mean_in n pi r (others S))))
      with (w * mean_in n pi r S + (1 - w) * mean_in n pi r (others S) - mean_in n pi r S) by ring.
    replace (w * (mean_in n pi r S - mean_in n pi r (others S)))
      with (w * mean_in n pi r S + (1 - w) * mean_in n pi r (others S) - mean_in n pi r (others S)) by ring.
    rewrite <- E in *. apply Rplus_le_compat; assumption.
Qed.

(** So a policy with an excess has a gap under every preference; none makes it an equilibrium. *)
Corollary N22_over_optimised n tau P mu pi S : 0 < tau -> pref n P -> policy n mu -> policy n pi -> proper n S ->
  let h y := ln (pi y) - ln (mu y) in
  1 / (2 * tau) < mean_in n pi h S - mean_in n pi h (others S) -> 0 < gap n tau P mu pi /\ ~ is_nash n tau P mu pi.
Proof.
  intros Ht HP Hmu Hp HS h L.
  pose proof (N22_gap_bound n tau P mu pi S Ht HP Hmu Hp HS) as B. cbv zeta in B. fold h in B.
  set (v := mean_in n pi h S - mean_in n pi h (others S) - 1 / (2 * tau)) in *.
  assert (Hv : 0 < v) by (unfold v; lra). specialize (B ltac:(lra)). pose proof (proper_mass n pi S Hp HS) as M.
  fold (two_cells (mass n pi S) v) in B. pose proof (two_cells_above_one _ v M Hv) as A.
  assert (0 < ln (two_cells (mass n pi S) v)) by (rewrite <- ln_1; apply ln_increasing; lra).
  assert (G : 0 < gap n tau P mu pi) by (assert (0 < tau * ln (two_cells (mass n pi S) v)) by (apply Rmult_lt_0_compat; assumption); lra).
  split; [exact G |]. intro N. apply (E2_gap_zero_iff n tau P mu Ht Hmu pi (policy_dist n pi Hp)) in N. lra.
Qed.

(** The bound is attained, at every mu, tau, S and v >= 0: pi proportional to mu e^((1/(2 tau) + v) 1_S) has the excess v,
    and the least gap where S always wins against the rest. *)
Theorem N22_gap_bound_attained n tau mu S v : 0 < tau -> policy n mu -> proper n S -> 0 <= v ->
  exists pi P, policy n pi /\ pref n P /\
    let h y := ln (pi y) - ln (mu y) in
    let w := mass n pi S in
    mean_in n pi h S - mean_in n pi h (others S) - 1 / (2 * tau) = v /\
    gap n tau P mu pi = tau * ln (w * exp (- ((1 - w) * v)) + (1 - w) * exp (w * v)).
Proof.
  intros Ht Hmu HS Hv. set (a := 1 / (2 * tau) + v). set (f := fun y => if S y then a else 0).
  pose proof (policy_n_pos n mu Hmu) as Hn. set (pi := gibbs n mu f). set (c := - ln (gibbs_norm n mu f)).
  set (P := fun y z : nat => if S y then (if S z then 1 / 2 else 1) else (if S z then 0 else 1 / 2)).
  assert (Hp : policy n pi) by (apply gibbs_policy; [exact Hn | apply Hmu]). pose proof Hp as [Pp Sp].
  assert (HP : pref n P) by (split; intros y z _ _; unfold P; destruct (S y), (S z); lra).
  exists pi, P. split; [exact Hp |]. split; [exact HP |]. intros h w.
  pose proof (proper_mass n pi S Hp HS) as M. pose proof (mass_others n pi S (policy_dist n pi Hp)) as O. fold w in M, O.
  assert (H : forall y, (y < n)%nat -> h y = f y + c).
  { intros y Hy. unfold h, pi. rewrite gibbs_log by (exact Hn || apply Hmu || exact Hy). unfold c. ring. }
  assert (Flat : forall g x T, 0 < mass n pi T -> (forall y, (y < n)%nat -> T y = true -> g y = x) -> mean_in n pi g T = x).
  { intros g x T HT E. unfold mean_in. rewrite (flat_cell n pi g x T E). field. lra. }
  rewrite (Flat h (a + c) S ltac:(fold w; lra)) by (intros y Hy E; rewrite H by exact Hy; unfold f; rewrite E; ring).
  rewrite (Flat h c (others S) ltac:(lra))
    by (intros y Hy E; rewrite H by exact Hy; unfold f, others in *; destruct (S y); [discriminate | ring]).
  split; [unfold a; ring |].
  rewrite (N15_gap_by_residual n tau P mu Ht (proj1 HP) Hmu pi Hp). f_equal. f_equal.
  assert (W : forall y, win n P pi y = if S y then 1 - w / 2 else (1 - w) / 2).
  { intro y. unfold win. rewrite (sum_ext n _ (fun z => (if S y then 1 / 2 else 0) * (if S z then pi z else 0)
      + (if S y then 1 else 1 / 2) * (if others S z then pi z else 0))).
    - rewrite sum_plus, !sum_scal. fold (mass n pi S). fold (mass n pi (others S)). rewrite O. fold w. destruct (S y); field.
    - intros z _. unfold P, others. destruct (S y), (S z); simpl; ring. }
  set (r := residual n tau P mu pi). set (low := c - (1 - w) / (2 * tau)).
  assert (R : forall y, (y < n)%nat -> r y = if S y then low + v else low).
  { intros y Hy. unfold r, residual. fold (h y). rewrite H, W by exact Hy. unfold f, low, a. destruct (S y); field; lra. }
  assert (E : expect n pi r = low + w * v).
  { rewrite (expect_cells n pi r S) by (fold w; lra). rewrite O. fold w.
    rewrite (Flat r (low + v) S ltac:(fold w; lra)) by (intros y Hy E; rewrite R, E by exact Hy; reflexivity).
    rewrite (Flat r low (others S) ltac:(lra))
      by (intros y Hy E; rewrite R by exact Hy; unfold others in E; destruct (S y); [discriminate | reflexivity]). ring. }
  rewrite E. unfold expect. rewrite (split_sum n _ S).
  rewrite (flat_cell n pi _ (exp (- ((1 - w) * v))) S)
    by (intros y Hy Ey; rewrite R, Ey by exact Hy; f_equal; ring).
  rewrite (flat_cell n pi _ (exp (w * v)) (others S))
    by (intros y Hy Ey; rewrite R by exact Hy; unfold others in Ey; destruct (S y); [discriminate | f_equal; ring]).
  rewrite O. reflexivity.
Qed.

(** ** Threshold sets are enough *)

(** Finitely many sets: one of them has the largest value. *)
Lemma largest_set n : forall F : (nat -> bool) -> R,
  (forall S T, (forall y, (y < n)%nat -> S y = T y) -> F S = F T) -> exists S, forall T, F T <= F S.
Proof.
  induction n as [| n IH]; intros F HF.
  - exists (fun _ => true). intro T. right. apply HF. intros; lia.
  - set (last := fun (b : bool) (S : nat -> bool) y => if Nat.eqb y n then b else S y).
    assert (Sub : forall b, exists S, forall T, F (last b T) <= F (last b S)).
    { intro b. apply (IH (fun S => F (last b S))). intros S T E. apply HF. intros y Hy. unfold last.
      destruct (Nat.eqb_spec y n); [reflexivity | apply E; lia]. }
    destruct (Sub true) as [S1 H1]. destruct (Sub false) as [S0 H0].
    assert (Each : forall T, F T = F (last (T n) T))
      by (intro T; apply HF; intros y _; unfold last; destruct (Nat.eqb_spec y n) as [-> |]; reflexivity).
    destruct (Rle_dec (F (last true S1)) (F (last false S0))) as [L | L].
    + exists (last false S0). intro T. rewrite (Each T). destruct (T n); [specialize (H1 T); lra | apply H0].
    + exists (last true S1). intro T. rewrite (Each T). destruct (T n); [apply H1 | specialize (H0 T); lra].
Qed.

Lemma sum_changed n f g i : (i < n)%nat -> (forall y, (y < n)%nat -> y <> i -> g y = f y) -> sum n g = sum n f + (g i - f i).
Proof.
  intros Hi E. rewrite <- (sum_delta n i (fun y => g y - f y) Hi), <- sum_plus. apply sum_ext. intros y Hy. unfold delta.
  destruct (Nat.eqb_spec y i) as [-> | N]; [ring | rewrite (E y Hy N); ring].
Qed.

(** N22: if the sets {h >= c} satisfy the condition, all do, h being any numbers. *)
Theorem N22_threshold_sets n tau pi h : 0 < tau -> policy n pi ->
  (forall c, let S y := if Rle_dec c (h y) then true else false in
    lift n pi h S <= mass n pi S * (1 - mass n pi S) / (2 * tau)) ->
  forall S, lift n pi h S <= mass n pi S * (1 - mass n pi S) / (2 * tau).
Proof.
  intros Ht [Pp Sp] Thr. set (e := expect n pi h).
  set (F := fun S => lift n pi h S - mass n pi S * (1 - mass n pi S) / (2 * tau)).
  assert (Lext : forall S T, (forall y, (y < n)%nat -> S y = T y) -> lift n pi h S = lift n pi h T /\ mass n pi S = mass n pi T).
  { intros S T E. split; apply sum_ext; intros y Hy; rewrite (E y Hy); reflexivity. }
  destruct (largest_set n F) as [S HS].
  { intros S T E. unfold F. destruct (Lext S T E) as [-> ->]. reflexivity. }
  set (flip := fun i y => if Nat.eqb y i then negb (S y) else S y).
  assert (Flip : forall i, (i < n)%nat -> let s := if S i then -1 else 1 in
    lift n pi h (flip i) = lift n pi h S + s * (pi i * (h i - e)) /\ mass n pi (flip i) = mass n pi S + s * pi i).
  { intros i Hi s.
    assert (Off : forall y, y <> i -> flip i y = S y)
      by (intros y N; unfold flip; destruct (Nat.eqb_spec y i); [contradiction | reflexivity]).
    assert (At : flip i i = negb (S i)) by (unfold flip; rewrite Nat.eqb_refl; reflexivity).
    split.
    - unfold lift. fold e. rewrite (sum_changed n (fun y => if S y then pi y * (h y - e) else 0) _ i Hi)
        by (intros y _ N; rewrite (Off y N); reflexivity).
      rewrite At. unfold s. destruct (S i); simpl; ring.
    - unfold mass. rewrite (sum_changed n (fun y => if S y then pi y else 0) _ i Hi) by (intros y _ N; rewrite (Off y N); reflexivity).
      rewrite At. unfold s. destruct (S i); simpl; ring. }
  assert (Order : forall i j, (i < n)%nat -> (j < n)%nat -> S i = true -> S j = false -> h j < h i).
  { intros i j Hi Hj Ei Ej. pose proof (HS (flip i)) as Bi. pose proof (HS (flip j)) as Bj. unfold F in Bi, Bj.
    destruct (Flip i Hi) as [Li Mi]. destruct (Flip j Hj) as [Lj Mj]. rewrite Ei in Li, Mi. rewrite Ej in Lj, Mj.
    rewrite Li, Mi in Bi. rewrite Lj, Mj in Bj. pose proof (Pp i Hi) as Pi. pose proof (Pp j Hj) as Pj.
    set (w := mass n pi S) in *. set (k := / (2 * tau)). assert (K : 0 < k) by (apply Rinv_0_lt_compat; lra).
    unfold Rdiv in Bi, Bj. fold k in Bi, Bj.
    assert (Bi' : k * (1 - 2 * w + pi i) <= h i - e) by (apply Rmult_le_reg_l with (pi i); [exact Pi | nra]).
    assert (Bj' : h j - e <= k * (1 - 2 * w - pi j)) by (apply Rmult_le_reg_l with (pi j); [exact Pj | nra]).
    nra. }
  assert (Is_threshold : exists c, forall y, (y < n)%nat -> S y = if Rle_dec c (h y) then true else false).
  { assert (Hn : (0 < n)%nat) by (destruct n; [simpl in Sp; lra | lia]).
    set (level := fun y => if S y then h y else top n h + 1). exists (bottom n level).
    destruct (bottom_attained n level Hn) as [i [Hi Ei]].
    intros y Hy. pose proof (bottom_le n level y Hy) as B. pose proof (top_ge n h y Hy) as T. rewrite Ei in *. unfold level in *.
    destruct (S y) eqn:Ey, (S i) eqn:Ei', (Rle_dec _ (h y)) as [L | L]; try reflexivity; exfalso; try lra.
    pose proof (Order i y Hi Hy Ei' Ey). lra. }
  destruct Is_threshold as [c Hc]. destruct (Lext _ _ Hc) as [El Em]. pose proof (Thr c) as B. cbv zeta in B. rewrite <- El, <- Em in B.
  intro T. pose proof (HS T) as Best. unfold F in Best. lra.
Qed.

(** * N4 for three responses: the universal bound on cycling.

    For n = 3 the spectrum of A D, D = diag(p) - p p^T, is {0, i lambda, -i lambda} with
    lambda = sqrt(p1 p2 p3) |a12 + a23 + a31|, and lambda < 1 / pi for every preference matrix. *)

From Coq Require Import Reals Lra Psatz.
From Coquelicot Require Import Coquelicot.
Open Scope R_scope.

(** ** The constant: pi < 2 sqrt 3 *)

(** Five terms of Leibniz's series. *)
Lemma PI_upper : PI < 3.34.
Proof.
  destruct (PI_ineq 2) as [_ H].
  unfold tg_alt, PI_tg in H; simpl in H. lra.
Qed.

Lemma half_over_sqrt3_lt_inv_PI : 1 / (2 * sqrt 3) < 1 / PI.
Proof.
  pose proof PI_upper. pose proof PI_RGT_0.
  assert (0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  assert (PI < 2 * sqrt 3) by nra.
  unfold Rdiv. rewrite !Rmult_1_l. apply Rinv_lt_contravar; nra.
Qed.

(** ** The frequency and its bound *)

Definition cycle_frequency (p1 p2 p3 a12 a23 a31 : R) : R :=
  sqrt (p1 * p2 * p3) * Rabs (a12 + a23 + a31).

Lemma amgm3 p1 p2 p3 : 0 <= p1 -> 0 <= p2 -> 0 <= p3 -> p1 + p2 + p3 = 1 -> p1 * p2 * p3 <= 1 / 27.
Proof.
  intros H1 H2 H3 Hs.
  pose proof (Rle_0_sqr (p1 - p2)). pose proof (Rle_0_sqr (p2 - p3)). pose proof (Rle_0_sqr (p3 - p1)).
  unfold Rsqr in *.
  assert (K : 27 * (p1 * p2 * p3) <= (p1 + p2 + p3) ^ 3).
  { assert (0 <= p1 * ((p2 - p3) * (p2 - p3))) by nra.
    assert (0 <= p2 * ((p3 - p1) * (p3 - p1))) by nra.
    assert (0 <= p3 * ((p1 - p2) * (p1 - p2))) by nra.
    assert (0 <= (p1 + p2 + p3) * ((p1 - p2) * (p1 - p2) + (p2 - p3) * (p2 - p3) + (p3 - p1) * (p3 - p1)))
      by (rewrite Hs; lra).
    nra. }
  rewrite Hs in K. lra.
Qed.

(** The weakest explicit form: lambda <= 1 / (2 sqrt 3), attained at the uniform policy and the
    deterministic cycle. *)
Theorem N4_bound_explicit p1 p2 p3 a12 a23 a31 :
  0 <= p1 -> 0 <= p2 -> 0 <= p3 -> p1 + p2 + p3 = 1 ->
  Rabs a12 <= 1 / 2 -> Rabs a23 <= 1 / 2 -> Rabs a31 <= 1 / 2 ->
  cycle_frequency p1 p2 p3 a12 a23 a31 <= 1 / (2 * sqrt 3).
Proof.
  intros H1 H2 H3 Hs B1 B2 B3. unfold cycle_frequency.
  assert (S3 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (Q3 : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  assert (A : Rabs (a12 + a23 + a31) <= 3 / 2).
  { eapply Rle_trans; [apply Rabs_triang |].
    pose proof (Rabs_triang a12 a23). lra. }
  assert (R27 : sqrt (p1 * p2 * p3) <= 1 / (3 * sqrt 3)).
  { replace (1 / (3 * sqrt 3)) with (sqrt (1 / 27)).
    - apply sqrt_le_1_alt, amgm3; assumption.
    - apply sqrt_lem_1.
      + lra.
      + apply Rlt_le, Rdiv_lt_0_compat; nra.
      + replace (1 / (3 * sqrt 3) * (1 / (3 * sqrt 3))) with (1 / (9 * (sqrt 3 * sqrt 3))) by (field; lra).
        rewrite Q3. field. }
  replace (1 / (2 * sqrt 3)) with (1 / (3 * sqrt 3) * (3 / 2)) by (field; lra).
  apply Rmult_le_compat; try assumption; [apply sqrt_pos | apply Rabs_pos].
Qed.

Theorem N4_bound p1 p2 p3 a12 a23 a31 :
  0 <= p1 -> 0 <= p2 -> 0 <= p3 -> p1 + p2 + p3 = 1 ->
  Rabs a12 <= 1 / 2 -> Rabs a23 <= 1 / 2 -> Rabs a31 <= 1 / 2 ->
  cycle_frequency p1 p2 p3 a12 a23 a31 < 1 / PI.
Proof.
  intros. eapply Rle_lt_trans; [apply N4_bound_explicit; assumption |].
  apply half_over_sqrt3_lt_inv_PI.
Qed.

(** The explicit bound is attained. *)
Lemma N4_bound_attained : cycle_frequency (1/3) (1/3) (1/3) (1/2) (1/2) (1/2) = 1 / (2 * sqrt 3).
Proof.
  unfold cycle_frequency.
  assert (S3 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (Q3 : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  rewrite Rabs_pos_eq by lra.
  replace (1 / 3 * (1 / 3) * (1 / 3)) with (1 / 27) by field.
  replace (sqrt (1 / 27)) with (1 / (3 * sqrt 3)); [field; lra |].
  symmetry. apply sqrt_lem_1; [lra | apply Rlt_le, Rdiv_lt_0_compat; nra |].
  replace (1 / (3 * sqrt 3) * (1 / (3 * sqrt 3))) with (1 / (9 * (sqrt 3 * sqrt 3))) by (field; lra).
  rewrite Q3. field.
Qed.

(** ** The spectrum of A D *)

(** The product A D applied to a complex vector (x1, x2, x3): first d = D x, that is
    d_i = p_i (x_i - sum_j p_j x_j), then A d with the skew matrix
    A = [0, a12, -a31; -a12, 0, a23; a31, -a23, 0]. *)
Definition AD_eigen (p1 p2 p3 a12 a23 a31 z x1 x2 x3 : C) : Prop :=
  let e := (p1 * x1 + p2 * x2 + p3 * x3)%C in
  let d1 := (p1 * (x1 - e))%C in let d2 := (p2 * (x2 - e))%C in let d3 := (p3 * (x3 - e))%C in
  (a12 * d2 - a31 * d3 = z * x1)%C /\ (a23 * d3 - a12 * d1 = z * x2)%C /\ (a31 * d1 - a23 * d2 = z * x3)%C.

(** The adjugate of z - A D applied to (z - A D) x = 0: the characteristic polynomial
    z (z^2 + p1 p2 p3 (a12 + a23 + a31)^2) annihilates every coordinate of x. *)
Lemma AD_characteristic (p1 p2 p3 a12 a23 a31 z x1 x2 x3 : C) : (p1 + p2 + p3 = 1)%C ->
  AD_eigen p1 p2 p3 a12 a23 a31 z x1 x2 x3 ->
  let chi := (z * (z * z + p1 * p2 * p3 * ((a12 + a23 + a31) * (a12 + a23 + a31))))%C in
  (chi * x1 = 0)%C /\ (chi * x2 = 0)%C /\ (chi * x3 = 0)%C.
Proof.
  intros Hs [E1 [E2 E3]] chi.
  assert (Hp : p3 = (1 - p1 - p2)%C) by (rewrite <- Hs; ring).
  set (e := (p1 * x1 + p2 * x2 + p3 * x3)%C) in *.
  set (r1 := (z * x1 - (a12 * (p2 * (x2 - e)) - a31 * (p3 * (x3 - e))))%C).
  set (r2 := (z * x2 - (a23 * (p3 * (x3 - e)) - a12 * (p1 * (x1 - e))))%C).
  set (r3 := (z * x3 - (a31 * (p1 * (x1 - e)) - a23 * (p2 * (x2 - e))))%C).
  assert (R1 : r1 = 0%C) by (unfold r1; rewrite E1; ring).
  assert (R2 : r2 = 0%C) by (unfold r2; rewrite E2; ring).
  assert (R3 : r3 = 0%C) by (unfold r3; rewrite E3; ring).
  (* entries of A D *)
  set (c1 := (a12 * p2 - a31 * p3)%C). set (c2 := (a23 * p3 - a12 * p1)%C). set (c3 := (a31 * p1 - a23 * p2)%C).
  set (m11 := (- p1 * c1)%C). set (m12 := (a12 * p2 - p2 * c1)%C). set (m13 := (- (a31 * p3) - p3 * c1)%C).
  set (m21 := (- (a12 * p1) - p1 * c2)%C). set (m22 := (- p2 * c2)%C). set (m23 := (a23 * p3 - p3 * c2)%C).
  set (m31 := (a31 * p1 - p1 * c3)%C). set (m32 := (- (a23 * p2) - p2 * c3)%C). set (m33 := (- p3 * c3)%C).
  assert (D1 : (chi * x1 = ((z - m22) * (z - m33) - m23 * m32) * r1
                 + (m12 * (z - m33) + m13 * m32) * r2 + (m12 * m23 + m13 * (z - m22)) * r3)%C).
  { unfold chi, r1, r2, r3, e, m11, m12, m13, m21, m22, m23, m31, m32, m33, c1, c2, c3; rewrite Hp; ring. }
  assert (D2 : (chi * x2 = (m21 * (z - m33) + m23 * m31) * r1
                 + ((z - m11) * (z - m33) - m13 * m31) * r2 + ((z - m11) * m23 + m13 * m21) * r3)%C).
  { unfold chi, r1, r2, r3, e, m11, m12, m13, m21, m22, m23, m31, m32, m33, c1, c2, c3; rewrite Hp; ring. }
  assert (D3 : (chi * x3 = (m21 * m32 + m31 * (z - m22)) * r1
                 + ((z - m11) * m32 + m12 * m31) * r2 + ((z - m11) * (z - m22) - m12 * m21) * r3)%C).
  { unfold chi, r1, r2, r3, e, m11, m12, m13, m21, m22, m23, m31, m32, m33, c1, c2, c3; rewrite Hp; ring. }
  rewrite D1, D2, D3, R1, R2, R3. repeat split; ring.
Qed.

Definition AD_eigenvalue (p1 p2 p3 a12 a23 a31 : R) (z : C) : Prop :=
  exists x1 x2 x3 : C, ~ (x1 = 0%C /\ x2 = 0%C /\ x3 = 0%C) /\
    AD_eigen p1 p2 p3 a12 a23 a31 z x1 x2 x3.

Lemma cycle_frequency_squared p1 p2 p3 a12 a23 a31 : 0 <= p1 -> 0 <= p2 -> 0 <= p3 ->
  cycle_frequency p1 p2 p3 a12 a23 a31 * cycle_frequency p1 p2 p3 a12 a23 a31
  = p1 * p2 * p3 * ((a12 + a23 + a31) * (a12 + a23 + a31)).
Proof.
  intros H1 H2 H3. unfold cycle_frequency. set (s := sqrt (p1 * p2 * p3)). set (a := a12 + a23 + a31).
  replace (s * Rabs a * (s * Rabs a)) with (s * s * (Rabs a * Rabs a)) by ring.
  unfold s. rewrite sqrt_sqrt by (repeat apply Rmult_le_pos; assumption).
  rewrite <- Rabs_mult, Rabs_pos_eq by apply Rle_0_sqr. reflexivity.
Qed.

Lemma Cmult_integral (z w : C) : (z * w = 0)%C -> z = 0%C \/ w = 0%C.
Proof.
  intro H. destruct (Ceq_dec z 0%C) as [E | E]; [left; exact E | right].
  replace w with (/ z * (z * w))%C by (field; exact E). rewrite H. ring.
Qed.

(** N4 (n = 3).  Every eigenvalue of A D is 0 or +- i lambda, lambda = sqrt(p1 p2 p3) |a12+a23+a31|. *)
Theorem N4_spectrum p1 p2 p3 a12 a23 a31 z :
  0 <= p1 -> 0 <= p2 -> 0 <= p3 -> p1 + p2 + p3 = 1 -> AD_eigenvalue p1 p2 p3 a12 a23 a31 z ->
  let lam := cycle_frequency p1 p2 p3 a12 a23 a31 in
  z = 0%C \/ z = (0, lam) \/ z = (0, (- lam)%R).
Proof.
  intros H1 H2 H3 Hs [x1 [x2 [x3 [Hx He]]]] lam.
  assert (Hs' : (RtoC p1 + RtoC p2 + RtoC p3 = 1)%C) by (rewrite <- !RtoC_plus, Hs; reflexivity).
  destruct (AD_characteristic _ _ _ _ _ _ _ _ _ _ Hs' He) as [C1 [C2 C3]].
  assert (Z : (z * (z * z + RtoC (lam * lam)) = 0)%C).
  { unfold lam. rewrite cycle_frequency_squared by assumption. rewrite !RtoC_mult, !RtoC_plus.
    destruct (Cmult_integral _ _ C1) as [E | E1]; [exact E |].
    destruct (Cmult_integral _ _ C2) as [E | E2]; [exact E |].
    destruct (Cmult_integral _ _ C3) as [E | E3]; [exact E | exfalso; auto]. }
  destruct (Cmult_integral _ _ Z) as [E | E]; [left; exact E | right].
  assert (F : ((z - (0, lam)) * (z - (0, (- lam)%R)) = 0)%C).
  { rewrite <- E. destruct z as [a b].
    unfold Cmult, Cminus, Cplus, Copp, RtoC; simpl; f_equal; ring. }
  destruct (Cmult_integral _ _ F) as [G | G]; [left | right];
    rewrite <- (Cplus_0_l (0, _)), <- G; ring.
Qed.

(** N4 (n = 3).  Every eigenvalue of A D is imaginary, of modulus below 1 / pi. *)
Theorem N4_cycle_bound p1 p2 p3 a12 a23 a31 z :
  0 <= p1 -> 0 <= p2 -> 0 <= p3 -> p1 + p2 + p3 = 1 ->
  Rabs a12 <= 1 / 2 -> Rabs a23 <= 1 / 2 -> Rabs a31 <= 1 / 2 ->
  AD_eigenvalue p1 p2 p3 a12 a23 a31 z -> fst z = 0 /\ Cmod z < 1 / PI.
Proof.
  intros H1 H2 H3 Hs B1 B2 B3 Hz.
  pose proof (N4_bound p1 p2 p3 a12 a23 a31 H1 H2 H3 Hs B1 B2 B3) as Hl.
  assert (L0 : 0 <= cycle_frequency p1 p2 p3 a12 a23 a31)
    by (apply Rmult_le_pos; [apply sqrt_pos | apply Rabs_pos]).
  assert (M : forall y, Cmod (0, y) = Rabs y).
  { intro y. unfold Cmod; simpl. replace (0 * (0 * 1) + y * (y * 1)) with (Rsqr y) by (unfold Rsqr; ring).
    apply sqrt_Rsqr_abs. }
  destruct (N4_spectrum _ _ _ _ _ _ _ H1 H2 H3 Hs Hz) as [E | [E | E]]; subst z; simpl;
    split; try reflexivity.
  - rewrite Cmod_0. apply Rdiv_lt_0_compat; [lra | apply PI_RGT_0].
  - rewrite M, Rabs_pos_eq; assumption.
  - rewrite M, Rabs_Ropp, Rabs_pos_eq; assumption.
Qed.

(** The determinant of z - A D, entry by entry: (A D)_ij = p_j (A_ij - sum_k A_ik p_k). *)
Definition det3 (m11 m12 m13 m21 m22 m23 m31 m32 m33 : C) : C :=
  (m11 * (m22 * m33 - m23 * m32) - m12 * (m21 * m33 - m23 * m31) + m13 * (m21 * m32 - m22 * m31))%C.

Definition AD_char_poly (p1 p2 p3 a12 a23 a31 z : C) : C :=
  let c1 := (a12 * p2 - a31 * p3)%C in let c2 := (a23 * p3 - a12 * p1)%C in
  let c3 := (a31 * p1 - a23 * p2)%C in
  (det3 (z - p1 * (0 - c1)) (- (p2 * (a12 - c1))) (- (p3 * (- a31 - c1)))
       (- (p1 * (- a12 - c2))) (z - p2 * (0 - c2)) (- (p3 * (a23 - c2)))
       (- (p1 * (a31 - c3))) (- (p2 * (- a23 - c3))) (z - p3 * (0 - c3)))%C.

(** N4 (n = 3).  det(z - A D) = z (z^2 + p1 p2 p3 (a12 + a23 + a31)^2): all three of 0, +- i lambda occur. *)
Theorem N4_characteristic_polynomial (p1 p2 p3 a12 a23 a31 z : C) : (p1 + p2 + p3 = 1)%C ->
  AD_char_poly p1 p2 p3 a12 a23 a31 z
  = (z * (z * z + p1 * p2 * p3 * ((a12 + a23 + a31) * (a12 + a23 + a31))))%C.
Proof.
  intro Hs. assert (Hp : p3 = (1 - p1 - p2)%C) by (rewrite <- Hs; ring).
  unfold AD_char_poly, det3. rewrite Hp. ring.
Qed.

(** * Local stability of the linearised algorithms (R3, N5).

    Near its fixed point each algorithm is, on log pi modulo constants, a linear map.  On an
    eigendirection of A D with eigenvalue [i lambda] the map is multiplication by a complex number,
    or a two-term recurrence; the algorithm is locally stable there when the modulus of that number,
    or of both roots of the recurrence, is below 1. *)

From Coq Require Import Reals Lra Psatz.
From Coquelicot Require Import Coquelicot.
Open Scope R_scope.

(** ** Modulus of a complex number *)

Definition Cnorm2 (z : C) : R := fst z * fst z + snd z * snd z.

Lemma Cnorm2_nonneg z : 0 <= Cnorm2 z.
Proof. unfold Cnorm2; nra. Qed.

Lemma Cmod_lt_one z : Cmod z < 1 <-> Cnorm2 z < 1.
Proof.
  assert (E : Cmod z * Cmod z = Cnorm2 z).
  { unfold Cmod, Cnorm2. rewrite sqrt_sqrt; [ring | nra]. }
  pose proof (Cmod_ge_0 z). rewrite <- E. split; nra.
Qed.

Lemma Cnorm2_mult z w : Cnorm2 (z * w)%C = Cnorm2 z * Cnorm2 w.
Proof. unfold Cnorm2, Cmult; simpl; ring. Qed.

(** ** R3: the one-step maps *)

(** OMD, log pi <- (1 - eta tau) log pi + eta tau log mu + eta P pi, multiplies an eigendirection by
    1 - eta tau + i eta lambda. *)
Definition omd_multiplier (tau lam eta : R) : C := (1 - eta * tau, eta * lam).

(** R3 (OMD).  |1 - eta tau + i eta lambda| < 1 iff eta < 2 tau / (tau^2 + lambda^2). *)
Theorem R3_omd_stability tau lam eta : 0 < tau -> 0 < eta ->
  Cmod (omd_multiplier tau lam eta) < 1 <-> eta < 2 * tau / (tau ^ 2 + lam ^ 2).
Proof.
  intros Ht He. rewrite Cmod_lt_one. unfold Cnorm2, omd_multiplier; simpl.
  assert (S : 0 < tau * tau + lam * lam) by nra.
  replace (tau * (tau * 1) + lam * (lam * 1)) with (tau * tau + lam * lam) by ring.
  rewrite <- (Rlt_div_r eta (2 * tau) (tau * tau + lam * lam)) by exact S.
  split; intro H; nra.
Qed.

(** MMD, (log pi + eta tau log mu + eta P pi) / (1 + eta tau). *)
Definition mmd_multiplier (tau lam eta : R) : C := (1 / (1 + eta * tau), eta * lam / (1 + eta * tau)).

(** R3 (MMD).  Stable iff eta (lambda^2 - tau^2) < 2 tau: for every eta when tau >= lambda, and for
    eta < 2 tau / (lambda^2 - tau^2) otherwise. *)
Theorem R3_mmd_stability tau lam eta : 0 < tau -> 0 < eta ->
  Cmod (mmd_multiplier tau lam eta) < 1 <-> eta * (lam ^ 2 - tau ^ 2) < 2 * tau.
Proof.
  intros Ht He. rewrite Cmod_lt_one. unfold Cnorm2, mmd_multiplier; simpl.
  assert (S : 0 < 1 + eta * tau) by nra.
  replace (1 / (1 + eta * tau) * (1 / (1 + eta * tau))
           + eta * lam / (1 + eta * tau) * (eta * lam / (1 + eta * tau)))
    with ((1 + eta * lam * (eta * lam)) / ((1 + eta * tau) * (1 + eta * tau))) by (field; lra).
  rewrite -> Rlt_div_l by nra.
  replace (1 + eta * lam * (eta * lam)) with (1 + eta * (eta * lam ^ 2)) by ring.
  replace (1 * ((1 + eta * tau) * (1 + eta * tau))) with (1 + eta * (2 * tau + eta * tau ^ 2)) by ring.
  split; intro H.
  - apply Rplus_lt_reg_l, Rmult_lt_reg_l in H; lra.
  - assert (eta * (eta * lam ^ 2) < eta * (2 * tau + eta * tau ^ 2)) by (apply Rmult_lt_compat_l; lra). lra.
Qed.

Corollary R3_mmd_always_stable tau lam eta : 0 < tau -> 0 < eta -> lam ^ 2 <= tau ^ 2 ->
  Cmod (mmd_multiplier tau lam eta) < 1.
Proof. intros Ht He Hl. apply R3_mmd_stability; try assumption. nra. Qed.

Corollary R3_mmd_small_step tau lam eta : 0 < tau -> 0 < eta -> tau ^ 2 < lam ^ 2 ->
  Cmod (mmd_multiplier tau lam eta) < 1 <-> eta < 2 * tau / (lam ^ 2 - tau ^ 2).
Proof.
  intros Ht He Hl. rewrite R3_mmd_stability by assumption. apply Rlt_div_r. lra.
Qed.

(** EGPO: the half step multiplies by a + i b, the full step by a + i b (a + i b), where
    a = 1 - eta tau and b = eta lambda. *)
Definition egpo_multiplier (tau lam eta : R) : C :=
  let a := RtoC (1 - eta * tau) in let ib := (0, eta * lam) : C in (a + ib * (a + ib))%C.

(** R3 (EGPO).  Stable iff (a - b^2)^2 + a^2 b^2 < 1. *)
Theorem R3_egpo_stability tau lam eta : let a := 1 - eta * tau in let b := eta * lam in
  Cmod (egpo_multiplier tau lam eta) < 1 <-> (a - b ^ 2) ^ 2 + a ^ 2 * b ^ 2 < 1.
Proof.
  intros a b. rewrite Cmod_lt_one.
  replace (Cnorm2 (egpo_multiplier tau lam eta)) with ((a - b ^ 2) ^ 2 + a ^ 2 * b ^ 2); [reflexivity |].
  unfold Cnorm2, egpo_multiplier, a, b, Cplus, Cmult, RtoC; simpl; ring.
Qed.

(** ** N5: heavy-ball momentum *)

(** Schur's criterion for z^2 - c z + m with real m, |m| < 1, in terms of the two roots. *)
Lemma schur_identity z w :
  (1 - Cnorm2 z * Cnorm2 w) ^ 2
  - Cnorm2 (RtoC (1 - Cnorm2 w) * z + RtoC (1 - Cnorm2 z) * w)%C
  = (1 - Cnorm2 z) * (1 - Cnorm2 w) * Cnorm2 (1 - z * Cconj w)%C.
Proof. destruct z, w; unfold Cminus, Cnorm2, Cconj, Cmult, Cplus, Copp, RtoC; simpl; ring. Qed.

Lemma one_minus_nonzero z : Cnorm2 z < 1 -> 0 < Cnorm2 (1 - z)%C.
Proof.
  destruct z as [x y]; unfold Cnorm2, Cminus, Cplus, Copp, RtoC; simpl. intro H.
  assert (x < 1) by nra. nra.
Qed.

(** Schur's criterion.  The roots of X^2 - c X + q, |q| < 1, lie in the open unit disc iff
    |c - conj(c) q| < 1 - |q|^2. *)
Lemma roots_in_disc (z w c q : C) : Cnorm2 q < 1 -> (z + w)%C = c -> (z * w)%C = q ->
  (Cmod z < 1 /\ Cmod w < 1) <-> Cnorm2 (c - Cconj c * q)%C < (1 - Cnorm2 q) ^ 2.
Proof.
  intros Hq Hs Hp. rewrite !Cmod_lt_one.
  assert (Np : Cnorm2 z * Cnorm2 w = Cnorm2 q) by (rewrite <- Cnorm2_mult, Hp; reflexivity).
  assert (Comb : (RtoC (1 - Cnorm2 w) * z + RtoC (1 - Cnorm2 z) * w = c - Cconj c * q)%C).
  { rewrite <- Hs, <- Hp. destruct z, w.
    unfold Cminus, Cnorm2, Cconj, Cmult, Cplus, Copp, RtoC; simpl; f_equal; ring. }
  pose proof (schur_identity z w) as Sch. rewrite Np, Comb in Sch.
  assert (Crit : Cnorm2 (c - Cconj c * q)%C < (1 - Cnorm2 q) ^ 2 <->
                 0 < (1 - Cnorm2 z) * (1 - Cnorm2 w) * Cnorm2 (1 - z * Cconj w)%C)
    by (rewrite <- Sch; split; lra).
  rewrite Crit.
  pose proof (Cnorm2_nonneg z). pose proof (Cnorm2_nonneg w).
  set (r := Cnorm2 z) in *. set (s := Cnorm2 w) in *.
  split.
  - intros [Hz Hw]. apply Rmult_lt_0_compat; [nra |].
    apply one_minus_nonzero. rewrite Cnorm2_mult.
    replace (Cnorm2 (Cconj w)) with s by (unfold s, Cnorm2, Cconj; simpl; ring).
    fold r. nra.
  - intro H1. pose proof (Cnorm2_nonneg (1 - z * Cconj w)%C).
    assert (0 < (1 - r) * (1 - s)) by nra.
    destruct (Rlt_dec r 1); [split; nra | exfalso; nra].
Qed.

(** Every complex number has a square root, so the quadratic has its two roots. *)
Lemma Csqrt_exists (z : C) : exists w : C, (w * w)%C = z.
Proof.
  destruct z as [x y]. set (r := sqrt (x * x + y * y)).
  assert (Hr : r * r = x * x + y * y) by (apply sqrt_sqrt; nra).
  assert (Hr0 : 0 <= r) by apply sqrt_pos.
  assert (Hx : 0 <= r + x /\ 0 <= r - x) by (split; nra).
  set (a := sqrt ((r + x) / 2)). set (b := sqrt ((r - x) / 2)).
  assert (Ha : a * a = (r + x) / 2) by (apply sqrt_sqrt; lra).
  assert (Hb : b * b = (r - x) / 2) by (apply sqrt_sqrt; lra).
  assert (Ha0 : 0 <= a) by apply sqrt_pos. assert (Hb0 : 0 <= b) by apply sqrt_pos.
  assert (Hab : (2 * (a * b)) * (2 * (a * b)) = y * y).
  { replace (2 * (a * b) * (2 * (a * b))) with (4 * (a * a) * (b * b)) by ring.
    rewrite Ha, Hb. nra. }
  assert (Hab0 : 0 <= a * b) by nra.
  destruct (Rle_dec 0 y).
  - exists (a, b). unfold Cmult; simpl. f_equal; [lra | nra].
  - exists (a, - b). unfold Cmult; simpl. f_equal; [lra | nra].
Qed.

Lemma quadratic_splits (c q : C) : exists z w : C, (z + w)%C = c /\ (z * w)%C = q.
Proof.
  set (two := (1 + 1)%C).
  assert (two_neq_0 : two <> 0%C).
  { unfold two. rewrite <- RtoC_plus. intro K. apply RtoC_inj in K. lra. }
  destruct (Csqrt_exists (c * c - two * two * q)%C) as [e He].
  exists ((c + e) / two)%C, ((c - e) / two)%C. split.
  - unfold two; field; exact two_neq_0.
  - replace ((c + e) / two * ((c - e) / two))%C with ((c * c - e * e) / (two * two))%C
      by (field; exact two_neq_0).
    rewrite He. field. exact two_neq_0.
Qed.

(** All roots of z^2 = c z - q lie inside the unit disc. *)
Definition stable_recurrence (c q : C) : Prop := forall z : C, (z * z = c * z - q)%C -> Cmod z < 1.

Lemma stable_recurrence_iff (c q : C) : Cnorm2 q < 1 ->
  stable_recurrence c q <-> Cnorm2 (c - Cconj c * q)%C < (1 - Cnorm2 q) ^ 2.
Proof.
  intro Hq. split.
  - intro H. destruct (quadratic_splits c q) as [z [w [Hs Hp]]].
    apply (roots_in_disc z w c q Hq Hs Hp).
    split; apply H; rewrite <- Hs, <- Hp; ring.
  - intros H z Hz. apply (roots_in_disc z (c - z)%C c q Hq); [ring | | exact H].
    replace (z * (c - z))%C with (c * z - z * z)%C by ring. rewrite Hz. ring.
Qed.

(** The product of the roots is q: stability needs |q| < 1. *)
Lemma stable_recurrence_product (c q : C) : stable_recurrence c q -> Cnorm2 q < 1.
Proof.
  intro H. destruct (quadratic_splits c q) as [z [w [Hs Hp]]].
  assert (Hz : Cnorm2 z < 1) by (apply Cmod_lt_one, H; rewrite <- Hs, <- Hp; ring).
  assert (Hw : Cnorm2 w < 1) by (apply Cmod_lt_one, H; rewrite <- Hs, <- Hp; ring).
  rewrite <- Hp, Cnorm2_mult. pose proof (Cnorm2_nonneg z). pose proof (Cnorm2_nonneg w). nra.
Qed.

(** Heavy ball theta_{t+1} = theta_t - a (alpha + i omega) theta_t + m (theta_t - theta_{t-1}) has
    the characteristic equation z^2 = (1 + m - a (alpha + i omega)) z - m. *)
Definition heavy_ball_stable (a alpha omega m : R) : Prop :=
  stable_recurrence ((1 + m - a * alpha)%R, (- (a * omega))%R) (RtoC m).

(** N5 (heavy ball).  Locally stable iff (1 - a alpha / (1 + m))^2 + (a omega / (1 - m))^2 < 1. *)
Theorem N5_heavy_ball a alpha omega m : -1 < m < 1 ->
  heavy_ball_stable a alpha omega m <-> (1 - a * alpha / (1 + m)) ^ 2 + (a * omega / (1 - m)) ^ 2 < 1.
Proof.
  intro Hm.
  assert (Nq : Cnorm2 (RtoC m) = m ^ 2) by (unfold Cnorm2, RtoC; simpl; ring).
  unfold heavy_ball_stable. rewrite stable_recurrence_iff by (rewrite Nq; nra). rewrite Nq.
  set (u := 1 + m - a * alpha). set (v := - (a * omega)).
  replace (Cnorm2 ((u, v) - Cconj (u, v) * RtoC m)%C) with ((u * (1 - m)) ^ 2 + (v * (1 + m)) ^ 2)
    by (unfold Cminus, Cnorm2, Cconj, Cmult, Cplus, Copp, RtoC; simpl; ring).
  replace ((1 - a * alpha / (1 + m)) ^ 2 + (a * omega / (1 - m)) ^ 2)
    with (((u * (1 - m)) ^ 2 + (v * (1 + m)) ^ 2) / (1 - m ^ 2) ^ 2) by (unfold u, v; field; split; nra).
  assert (0 < (1 - m ^ 2) ^ 2) by (apply pow_lt; nra).
  rewrite -> Rlt_div_l by assumption. split; lra.
Qed.

(** Averaged momentum v = m v + (1 - m) g, theta += a v, is heavy ball with the step a (1 - m). *)
Definition averaged_momentum_stable (a alpha omega m : R) : Prop := heavy_ball_stable (a * (1 - m)) alpha omega m.

(** N5 (averaged momentum).  Locally stable iff a omega < 1 and u_- < u < u_+, u = (1 + m)/(1 - m),
    u_+- = alpha (1 +- sqrt(1 - a^2 omega^2)) / (a omega^2). *)
Theorem N5_averaged_momentum a alpha omega m : -1 < m < 1 -> 0 < a -> 0 < alpha -> 0 < omega ->
  let u := (1 + m) / (1 - m) in let s := sqrt (1 - a ^ 2 * omega ^ 2) in
  averaged_momentum_stable a alpha omega m <->
  a * omega < 1 /\ alpha * (1 - s) / (a * omega ^ 2) < u < alpha * (1 + s) / (a * omega ^ 2).
Proof.
  intros Hm Ha Hal Ho u s. unfold averaged_momentum_stable. rewrite N5_heavy_ball by exact Hm.
  assert (Hu : 0 < u) by (apply Rdiv_lt_0_compat; lra).
  set (x := a * alpha / u).
  assert (Hx : 0 < x) by (apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; assumption | exact Hu]).
  replace (a * (1 - m) * alpha / (1 + m)) with x by (unfold x, u; field; split; lra).
  replace (a * (1 - m) * omega / (1 - m)) with (a * omega) by (field; lra).
  assert (Hao : 0 < a * omega) by (apply Rmult_lt_0_compat; assumption).
  assert (Hk : 0 < a * omega ^ 2) by (apply Rmult_lt_0_compat; [exact Ha | apply pow_lt; exact Ho]).
  assert (Band : a * omega < 1 -> s * s = 1 - (a * omega) ^ 2 /\ 0 < s < 1).
  { intro L. assert (P : 0 < 1 - a ^ 2 * omega ^ 2) by nra.
    assert (S2 : s * s = 1 - a ^ 2 * omega ^ 2) by (apply sqrt_sqrt; lra).
    assert (S0 : 0 < s) by (apply sqrt_lt_R0; exact P). split; [rewrite S2; ring | nra]. }
  assert (Ends : a * omega < 1 ->
    (alpha * (1 - s) / (a * omega ^ 2) < u <-> x < 1 + s) /\ (u < alpha * (1 + s) / (a * omega ^ 2) <-> 1 - s < x)).
  { intro L. destruct (Band L) as [S2 S0].
    assert (K : a * omega ^ 2 * a = (1 - s) * (1 + s)) by (replace ((1 - s) * (1 + s)) with (1 - s * s)
      by ring; rewrite S2; ring).
    assert (Ex : x * u = a * alpha) by (unfold x; field; lra).
    rewrite -> (Rlt_div_l (alpha * (1 - s))) by exact Hk.
    rewrite <- (Rlt_div_r u (alpha * (1 + s))) by exact Hk.
    (* multiply by a and use a^2 omega^2 = (1 - s)(1 + s), a alpha = x u *)
    split; split; intro H.
    - apply (Rmult_lt_compat_l a) in H; [| exact Ha].
      replace (a * (alpha * (1 - s))) with (u * (1 - s) * x) in H by (rewrite <- Rmult_assoc, <- Ex; ring).
      replace (a * (u * (a * omega ^ 2))) with (u * (1 - s) * (1 + s)) in H
        by (rewrite (Rmult_assoc u), <- K; ring).
      apply (Rmult_lt_reg_l (u * (1 - s))); [nra | exact H].
    - apply (Rmult_lt_reg_l a); [exact Ha |].
      replace (a * (alpha * (1 - s))) with (u * (1 - s) * x) by (rewrite <- Rmult_assoc, <- Ex; ring).
      replace (a * (u * (a * omega ^ 2))) with (u * (1 - s) * (1 + s)) by (rewrite (Rmult_assoc u), <- K; ring).
      apply Rmult_lt_compat_l; [nra | exact H].
    - apply (Rmult_lt_compat_l a) in H; [| exact Ha].
      replace (a * (alpha * (1 + s))) with (u * (1 + s) * x) in H by (rewrite <- Rmult_assoc, <- Ex; ring).
      replace (a * (u * (a * omega ^ 2))) with (u * (1 + s) * (1 - s)) in H
        by (rewrite (Rmult_assoc u), (Rmult_comm (1 + s)), <- K; ring).
      apply (Rmult_lt_reg_l (u * (1 + s))); [nra | exact H].
    - apply (Rmult_lt_reg_l a); [exact Ha |].
      replace (a * (alpha * (1 + s))) with (u * (1 + s) * x) by (rewrite <- Rmult_assoc, <- Ex; ring).
      replace (a * (u * (a * omega ^ 2))) with (u * (1 + s) * (1 - s))
        by (rewrite (Rmult_assoc u), (Rmult_comm (1 + s)), <- K; ring).
      apply Rmult_lt_compat_l; [nra | exact H]. }
  split.
  - intro H. pose proof (pow2_ge_0 (1 - x)).
    assert (L : a * omega < 1) by nra. destruct (Band L) as [S2 S0]. destruct (Ends L) as [E1 E2].
    rewrite E1, E2. assert (Q : (1 - x) ^ 2 < s * s) by (rewrite S2; lra).
    split; [exact L | split; nra].
  - intros [L H]. destruct (Band L) as [S2 S0]. destruct (Ends L) as [E1 E2]. rewrite E1, E2 in H.
    assert ((1 - x) ^ 2 < s * s) by nra. rewrite S2 in *. lra.
Qed.

(** ** Adam's circle (N7) *)

(** N7.  With averaged momentum the step a is stable iff it is below a_c = 2 alpha / (omega^2 u + alpha^2 / u), u = (1 + m)/(1 - m). *)
Theorem N7_critical_step a alpha omega m : -1 < m < 1 -> 0 < a -> 0 < alpha -> 0 < omega ->
  let u := (1 + m) / (1 - m) in
  averaged_momentum_stable a alpha omega m <-> a < 2 * alpha / (omega ^ 2 * u + alpha ^ 2 / u).
Proof.
  intros Hm Ha Hal Ho u. unfold averaged_momentum_stable. rewrite N5_heavy_ball by exact Hm.
  assert (Hu : 0 < u) by (apply Rdiv_lt_0_compat; lra).
  assert (D : 0 < omega ^ 2 * u + alpha ^ 2 / u).
  { apply Rplus_lt_0_compat; [apply Rmult_lt_0_compat; [apply pow_lt, Ho | exact Hu] | apply Rdiv_lt_0_compat; [apply pow_lt, Hal | exact Hu]]. }
  replace (a * (1 - m) * alpha / (1 + m)) with (a * alpha / u) by (unfold u; field; split; lra).
  replace (a * (1 - m) * omega / (1 - m)) with (a * omega) by (field; lra).
  replace ((1 - a * alpha / u) ^ 2 + (a * omega) ^ 2) with (1 + a / u * (a * (omega ^ 2 * u + alpha ^ 2 / u) - 2 * alpha)) by (field; lra).
  set (w := omega ^ 2 * u + alpha ^ 2 / u) in *. assert (Q : 0 < a / u) by (apply Rdiv_lt_0_compat; assumption).
  assert (E : 2 * alpha / w * w = 2 * alpha) by (field; lra). split; intro H.
  - apply Rmult_lt_reg_r with w; [exact D |]. rewrite E. assert (a * w - 2 * alpha < 0); [| lra].
    apply Rmult_lt_reg_l with (a / u); [exact Q | lra].
  - apply (Rmult_lt_compat_r _ _ _ D) in H. rewrite E in H.
    assert (a / u * (a * w - 2 * alpha) < a / u * 0) by (apply Rmult_lt_compat_l; lra). lra.
Qed.

(** N7.  Gradients z theta, |z|^2 = alpha^2 + omega^2, on a circle of radius rho have a mean square of |z|^2 rho^2 / 3 in each of three
    coordinates; with Adam's step for it, lr over its root, the iteration contracts outside N7's radius and not inside. *)
Theorem N7_circle lr rho alpha omega m : -1 < m < 1 -> 0 < lr -> 0 < rho -> 0 < alpha -> 0 < omega ->
  let u := (1 + m) / (1 - m) in let z := sqrt (alpha ^ 2 + omega ^ 2) in
  averaged_momentum_stable (lr / sqrt (z ^ 2 * rho ^ 2 / 3)) alpha omega m
    <-> lr * (sqrt 3 * (omega ^ 2 * u + alpha ^ 2 / u) / (2 * alpha * z)) < rho.
Proof.
  intros Hm Hl Hr Hal Ho u z. assert (Hu : 0 < u) by (apply Rdiv_lt_0_compat; lra).
  assert (Z0 : 0 < z) by (apply sqrt_lt_R0, Rplus_lt_0_compat; apply pow_lt; assumption).
  assert (S3 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra). assert (Q3 : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  assert (Root : sqrt (z ^ 2 * rho ^ 2 / 3) = z * rho / sqrt 3).
  { rewrite <- (sqrt_pow2 (z * rho / sqrt 3)) by (apply Rlt_le, Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |]; assumption).
    f_equal. replace ((z * rho / sqrt 3) ^ 2) with (z ^ 2 * rho ^ 2 / (sqrt 3 * sqrt 3)) by (field; apply Rgt_not_eq, S3). rewrite Q3. reflexivity. }
  rewrite Root. replace (lr / (z * rho / sqrt 3)) with (lr * sqrt 3 / z / rho) by (field; lra).
  set (w := omega ^ 2 * u + alpha ^ 2 / u).
  assert (W : 0 < w).
  { apply Rplus_lt_0_compat; [apply Rmult_lt_0_compat; [apply pow_lt, Ho | exact Hu] | apply Rdiv_lt_0_compat; [apply pow_lt, Hal | exact Hu]]. }
  assert (A0 : 0 < lr * sqrt 3 / z / rho) by (apply Rdiv_lt_0_compat; [apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |] |]; assumption).
  rewrite (N7_critical_step _ alpha omega m Hm A0 Hal Ho). fold u. fold w.
  set (c := w / (2 * alpha)). assert (C0 : 0 < c) by (apply Rdiv_lt_0_compat; lra).
  replace (2 * alpha / w) with (/ c) by (unfold c; field; lra).
  replace (lr * (sqrt 3 * w / (2 * alpha * z))) with (lr * sqrt 3 / z * c) by (unfold c; field; lra).
  set (b := lr * sqrt 3 / z). assert (B0 : 0 < b) by (apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |]; assumption).
  split; intro H.
  - apply (Rmult_lt_compat_r (c * rho)) in H; [| apply Rmult_lt_0_compat; assumption].
    replace (b / rho * (c * rho)) with (b * c) in H by (field; lra). replace (/ c * (c * rho)) with rho in H by (field; lra). exact H.
  - apply Rmult_lt_reg_r with (c * rho); [apply Rmult_lt_0_compat; assumption |].
    replace (b / rho * (c * rho)) with (b * c) by (field; lra). replace (/ c * (c * rho)) with rho by (field; lra). exact H.
Qed.

(** ** R3: optimistic multiplicative weights *)

(** OMWU, log pi <- (1 - eta tau) log pi + eta tau log mu + eta P (2 pi_t - pi_{t-1}):
    z^2 = (a + 2 i b) z - i b with a = 1 - eta tau, b = eta lambda. *)
Definition omwu_stable (tau lam eta : R) : Prop :=
  stable_recurrence ((1 - eta * tau)%R, (2 * (eta * lam))%R) (0, (eta * lam)%R).

(** R3 (OMWU).  Stable iff |b| < 1 and (a - 2 b^2)^2 + b^2 (2 - a)^2 < (1 - b^2)^2. *)
Theorem R3_omwu_stability tau lam eta : let a := 1 - eta * tau in let b := eta * lam in
  omwu_stable tau lam eta <-> b ^ 2 < 1 /\ (a - 2 * b ^ 2) ^ 2 + b ^ 2 * (2 - a) ^ 2 < (1 - b ^ 2) ^ 2.
Proof.
  intros a b. unfold omwu_stable. fold a b.
  assert (Nq : Cnorm2 (0, b) = b ^ 2) by (unfold Cnorm2; simpl; ring).
  assert (Nc : Cnorm2 ((a, (2 * b)%R) - Cconj (a, (2 * b)%R) * (0, b))%C = (a - 2 * b ^ 2) ^ 2 + b ^ 2 * (2 - a) ^ 2)
    by (unfold Cminus, Cnorm2, Cconj, Cmult, Cplus, Copp; simpl; ring).
  split.
  - intro H. pose proof (stable_recurrence_product _ _ H) as Hq.
    apply stable_recurrence_iff in H; [| exact Hq]. rewrite Nq in Hq, H. rewrite Nc in H. split; assumption.
  - intros [Hq H]. apply stable_recurrence_iff; rewrite Nq; [exact Hq | rewrite Nc; exact H].
Qed.

(** R3 (OMWU, tau = 0).  Stable on the eigenvalue i lambda, lambda > 0, iff eta lambda < 1/sqrt 3. *)
Corollary R3_omwu_unregularised lam eta : 0 < lam -> 0 < eta ->
  omwu_stable 0 lam eta <-> eta * lam < / sqrt 3.
Proof.
  intros Hl He. rewrite R3_omwu_stability. set (b := eta * lam).
  assert (Hb : 0 < b) by (apply Rmult_lt_0_compat; assumption).
  assert (S3 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (Q3 : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  assert (I3 : / sqrt 3 * / sqrt 3 = / 3) by (rewrite <- Rinv_mult, Q3; reflexivity).
  assert (I0 : 0 < / sqrt 3) by (apply Rinv_0_lt_compat; exact S3).
  replace ((1 - eta * 0 - 2 * b ^ 2) ^ 2 + b ^ 2 * (2 - (1 - eta * 0)) ^ 2) with (1 - 3 * b ^ 2 + 4 * b ^ 4) by ring.
  assert (E : b < / sqrt 3 <-> b ^ 2 < / 3).
  { split; intro H; [rewrite <- I3; nra |].
    destruct (Rlt_le_dec b (/ sqrt 3)) as [L | L]; [exact L |].
    assert (/ sqrt 3 * / sqrt 3 <= b * b) by (apply Rmult_le_compat; lra). rewrite I3 in *. lra. }
  rewrite E. assert (B2 : 0 < b ^ 2) by (apply pow_lt; exact Hb).
  assert (F : (1 - b ^ 2) ^ 2 - (1 - 3 * b ^ 2 + 4 * b ^ 4) = b ^ 2 * (1 - 3 * b ^ 2)) by ring.
  split.
  - intros [_ H]. assert (0 < b ^ 2 * (1 - 3 * b ^ 2)) by lra.
    assert (0 < 1 - 3 * b ^ 2) by (apply (Rmult_lt_reg_l (b ^ 2)); lra). lra.
  - intro H. split; [lra |]. assert (0 < b ^ 2 * (1 - 3 * b ^ 2)) by (apply Rmult_lt_0_compat; lra). lra.
Qed.

(** ** The best momentum (N6) *)

(** r = lambda / (tau + sqrt(tau^2 + lambda^2)) solves 1 - r^2 = 2 (tau/lambda) r. *)
Lemma best_rate_equation tau lam : 0 < tau -> 0 < lam ->
  let r := lam / (tau + sqrt (tau ^ 2 + lam ^ 2)) in 0 < r < 1 /\ lam * (1 - r ^ 2) = 2 * tau * r.
Proof.
  intros Ht Hl. cbv zeta. set (s := sqrt (tau ^ 2 + lam ^ 2)).
  assert (S2 : s ^ 2 = tau ^ 2 + lam ^ 2) by (unfold s; rewrite <- Rsqr_pow2; apply Rsqr_sqrt; nra).
  assert (S0 : lam < s) by (apply Rnot_le_lt; intro H; assert (0 <= s) by apply sqrt_pos; nra).
  split; [split; [apply Rdiv_lt_0_compat; lra | apply Rmult_lt_reg_r with (tau + s); [lra |]]; unfold Rdiv; rewrite Rmult_assoc, Rinv_l; lra |].
  apply Rmult_eq_reg_r with ((tau + s) ^ 2); [| nra].
  replace (lam * (1 - (lam / (tau + s)) ^ 2) * (tau + s) ^ 2) with (lam * ((tau + s) ^ 2 - lam ^ 2)) by (field; lra).
  replace (2 * tau * (lam / (tau + s)) * (tau + s) ^ 2) with (2 * tau * lam * (tau + s)) by (field; lra).
  replace ((tau + s) ^ 2) with (tau ^ 2 + 2 * tau * s + s ^ 2) by ring. rewrite S2. ring.
Qed.

(** N6.  Heavy ball with the momentum -r^2 and the step (1 - r^2)/tau has the rate r exactly at every eigenvalue tau + i w,
    |w| <= lambda. *)
Theorem N6_best_rate tau lam w z : 0 < tau -> 0 < lam -> Rabs w <= lam ->
  let r := lam / (tau + sqrt (tau ^ 2 + lam ^ 2)) in let m := - r ^ 2 in let a := (1 - r ^ 2) / tau in
  (z * z = ((1 + m - a * tau)%R, (- (a * w))%R) * z - RtoC m)%C -> Cmod z = r.
Proof.
  intros Ht Hl Hw. cbv zeta. pose proof (best_rate_equation tau lam Ht Hl) as [R0 Re]. cbv zeta in R0, Re.
  set (r := lam / (tau + sqrt (tau ^ 2 + lam ^ 2))) in *. set (c := - ((1 - r ^ 2) / tau * w)).
  replace (1 + - r ^ 2 - (1 - r ^ 2) / tau * tau) with 0 by (field; lra). destruct z as [x y]. intro Hz.
  assert (Hx : x * x - y * y = - (c * y) + r ^ 2) by (apply (f_equal fst) in Hz; simpl in Hz; lra).
  assert (Hy : 2 * x * y = c * x) by (apply (f_equal snd) in Hz; simpl in Hz; lra).
  assert (C2 : c ^ 2 <= (2 * r) ^ 2).
  { assert (E : c * lam = - (2 * r * w)).
    { unfold c. replace (- ((1 - r ^ 2) / tau * w) * lam) with (- (lam * (1 - r ^ 2) / tau * w)) by (field; lra).
      rewrite Re. field. lra. }
    assert (W2 : w ^ 2 <= lam ^ 2) by (rewrite <- (pow2_abs w); apply pow_incr; split; [apply Rabs_pos | exact Hw]).
    apply Rmult_le_reg_r with (lam ^ 2); [nra |]. replace (c ^ 2 * lam ^ 2) with ((c * lam) ^ 2) by ring. rewrite E.
    replace ((- (2 * r * w)) ^ 2) with ((2 * r) ^ 2 * w ^ 2) by ring. apply Rmult_le_compat_l; [nra | exact W2]. }
  assert (N : x * x + y * y = r ^ 2).
  { assert (D : x * (2 * y - c) = 0) by lra. destruct (Rmult_integral _ _ D) as [X | Y]; [| nra].
    subst x. assert (Q : (2 * y - c) ^ 2 = c ^ 2 - 4 * r ^ 2) by lra. pose proof (pow2_ge_0 (2 * y - c)). nra. }
  unfold Cmod. simpl. replace (x * (x * 1) + y * (y * 1)) with (r ^ 2) by lra. apply sqrt_pow2. lra.
Qed.

(** N6.  No step and no momentum has a better rate at the eigenvalue tau + i lambda. *)
Theorem N6_no_better tau lam a m rho : 0 < tau -> 0 < lam -> 0 < rho ->
  (forall z : C, (z * z = ((1 + m - a * tau)%R, (- (a * lam))%R) * z - RtoC m)%C -> Cmod z < rho) ->
  lam / (tau + sqrt (tau ^ 2 + lam ^ 2)) < rho.
Proof.
  intros Ht Hl Hr Roots. pose proof (best_rate_equation tau lam Ht Hl) as [R0 Re]. cbv zeta in R0, Re.
  set (r := lam / (tau + sqrt (tau ^ 2 + lam ^ 2))) in *. apply Rnot_le_lt. intro Le.
  set (mu := m / rho ^ 2). set (u := (1 + m - a * tau) / rho). set (v := a * lam / rho).
  assert (Rho2 : 0 < rho ^ 2) by nra.
  assert (Stable : stable_recurrence (u, (- v)%R) (RtoC mu)).
  { intros z Hz. apply Rmult_lt_reg_l with rho; [exact Hr |]. rewrite Rmult_1_r.
    replace (rho * Cmod z) with (Cmod (RtoC rho * z)%C) by (rewrite Cmod_mult, Cmod_R, Rabs_pos_eq by lra; reflexivity).
    apply Roots. transitivity (RtoC (rho * rho) * (z * z))%C; [rewrite RtoC_mult; ring |]. rewrite Hz.
    destruct z as [x y]. unfold u, v, mu, RtoC, Cmult, Cminus, Cplus, Copp; simpl. f_equal; field; lra. }
  pose proof (stable_recurrence_product _ _ Stable) as Mu.
  pose proof (proj1 (stable_recurrence_iff _ _ Mu) Stable) as Disc.
  replace (Cnorm2 (RtoC mu)) with (mu ^ 2) in * by (unfold Cnorm2, RtoC; simpl; ring).
  replace (Cnorm2 ((u, (- v)%R) - Cconj (u, (- v)%R) * RtoC mu)%C) with ((u * (1 - mu)) ^ 2 + (v * (1 + mu)) ^ 2) in Disc
    by (unfold Cminus, Cnorm2, Cconj, Cmult, Cplus, Copp, RtoC; simpl; ring).
  assert (M1 : -1 < mu < 1) by (split; nra).
  set (k := tau / lam). assert (K0 : 0 < k) by (apply Rdiv_lt_0_compat; assumption).
  assert (Kr : 1 - r ^ 2 = 2 * k * r) by (apply Rmult_eq_reg_l with lam; [unfold k; rewrite Re; field | ]; lra).
  assert (Krho : 2 * k * rho <= 1 - rho ^ 2) by nra.
  set (X := u / (1 + mu)). set (Y := v / (1 - mu)).
  assert (XY : X ^ 2 + Y ^ 2 < 1).
  { replace (X ^ 2 + Y ^ 2) with (((u * (1 - mu)) ^ 2 + (v * (1 + mu)) ^ 2) / (1 - mu ^ 2) ^ 2) by (unfold X, Y; field; split; nra).
    assert (0 < (1 - mu ^ 2) ^ 2) by (apply pow_lt; nra). rewrite -> Rlt_div_l by assumption. lra. }
  assert (Id : 1 + mu * rho ^ 2 = rho * ((1 + mu) * X + k * (1 - mu) * Y)).
  { unfold X, Y, k, u, v, mu. field. unfold mu in M1. repeat split; try lra.
    - intro E. apply (Rmult_eq_compat_r (/ rho ^ 2)) in E. replace ((rho ^ 2 - m) * / rho ^ 2) with (1 - m / rho ^ 2) in E by (field; lra). lra.
    - intro E. apply (Rmult_eq_compat_r (/ rho ^ 2)) in E. replace ((rho ^ 2 + m) * / rho ^ 2) with (1 + m / rho ^ 2) in E by (field; lra). lra. }
  assert (CS : ((1 + mu) * X + k * (1 - mu) * Y) ^ 2 <= ((1 + mu) ^ 2 + (k * (1 - mu)) ^ 2) * (X ^ 2 + Y ^ 2)).
  { pose proof (pow2_ge_0 ((1 + mu) * Y - k * (1 - mu) * X)). nra. }
  assert (Pos : 0 < (1 + mu) ^ 2 + (k * (1 - mu)) ^ 2).
  { pose proof (pow_lt (1 + mu) 2 ltac:(lra)). pose proof (pow2_ge_0 (k * (1 - mu))). lra. }
  assert (Less : (1 + mu * rho ^ 2) ^ 2 < rho ^ 2 * ((1 + mu) ^ 2 + (k * (1 - mu)) ^ 2)).
  { rewrite Id. replace ((rho * ((1 + mu) * X + k * (1 - mu) * Y)) ^ 2)
      with (rho ^ 2 * ((1 + mu) * X + k * (1 - mu) * Y) ^ 2) by ring. apply Rmult_lt_compat_l; [exact Rho2 |].
    eapply Rle_lt_trans; [exact CS |]. rewrite <- (Rmult_1_r ((1 + mu) ^ 2 + (k * (1 - mu)) ^ 2)) at 2.
    apply Rmult_lt_compat_l; [exact Pos | exact XY]. }
  (* (1 + mu rho^2)^2 - rho^2 (1 + mu)^2 = (1 - rho^2)(1 - mu^2 rho^2), and 4 k^2 rho^2 <= (1 - rho^2)^2 *)
  assert (S1 : rho ^ 2 < 1) by nra.
  assert (Kk : 4 * (k * rho) ^ 2 <= (1 - rho ^ 2) ^ 2).
  { replace (4 * (k * rho) ^ 2) with ((2 * k * rho) ^ 2) by ring. apply pow_incr.
    split; [apply Rmult_le_pos; lra | exact Krho]. }
  assert (Gap : (1 - rho ^ 2) * (1 - mu) ^ 2 <= 4 * (1 - mu ^ 2 * rho ^ 2)).
  { assert (0 <= (1 - rho ^ 2) * ((1 + mu) * (3 - mu))) by (apply Rmult_le_pos; [lra | apply Rmult_le_pos; lra]).
    assert (0 <= rho ^ 2 * ((1 - mu) * (1 + mu))) by (apply Rmult_le_pos; [lra | apply Rmult_le_pos; lra]). nra. }
  assert (Last : (k * rho) ^ 2 * (1 - mu) ^ 2 <= (1 - rho ^ 2) * (1 - mu ^ 2 * rho ^ 2)).
  { assert (4 * (k * rho) ^ 2 * (1 - mu) ^ 2 <= (1 - rho ^ 2) ^ 2 * (1 - mu) ^ 2)
      by (apply Rmult_le_compat_r; [apply pow2_ge_0 | exact Kk]).
    assert ((1 - rho ^ 2) * ((1 - rho ^ 2) * (1 - mu) ^ 2) <= (1 - rho ^ 2) * (4 * (1 - mu ^ 2 * rho ^ 2)))
      by (apply Rmult_le_compat_l; lra). lra. }
  lra.
Qed.

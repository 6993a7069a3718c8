(** * A-posteriori certificates: Pinsker, the residual certificate E3, the gap certificate N14, E5. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium.
Open Scope R_scope.

(** ** Three inequalities *)

(** sum_y u(y) f(y) <= osc(f) ||u||_1 / 2 for u summing to zero. *)
Lemma zero_sum_osc n u f : sum n u = 0 ->
  sum n (fun y => u y * f y) <= osc n f / 2 * sum n (fun y => Rabs (u y)).
Proof.
  intro S. set (c := (top n f + bottom n f) / 2).
  replace (sum n (fun y => u y * f y)) with (sum n (fun y => u y * (f y - c))).
  - rewrite <- sum_scal. apply sum_le. intros y Hy.
    assert (B : Rabs (f y - c) <= osc n f / 2).
    { pose proof (top_ge n f y Hy). pose proof (bottom_le n f y Hy). unfold c, osc. apply Rabs_le. lra. }
    pose proof (Rle_abs (u y * (f y - c))) as L. rewrite Rabs_mult in L.
    pose proof (Rmult_le_compat_l (Rabs (u y)) _ _ (Rabs_pos _) B). lra.
  - transitivity (sum n (fun y => u y * f y) - c * sum n u); [| rewrite S; ring].
    rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros; ring.
Qed.

(** u^T P v <= ||u||_1 ||v||_1 / 2 for u and v summing to zero and P with entries in [0, 1]. *)
Lemma beats_l1 n P u v : pref n P -> sum n u = 0 -> sum n v = 0 ->
  beats n P u v <= sum n (fun y => Rabs (u y)) * sum n (fun y => Rabs (v y)) / 2.
Proof.
  intros [_ HP] Su Sv.
  replace (beats n P u v) with (sum n (fun y => sum n (fun y' => u y * v y' * (P y y' - 1 / 2)))).
  - unfold Rdiv. rewrite sum_product, <- sum_scal_r. apply sum_le. intros y Hy. rewrite <- sum_scal_r.
    apply sum_le. intros y' Hy'. pose proof (HP y y' Hy Hy') as B.
    assert (A : Rabs (P y y' - 1 / 2) <= 1 / 2) by (apply Rabs_le; lra).
    pose proof (Rle_abs (u y * v y' * (P y y' - 1 / 2))) as L. rewrite !Rabs_mult in L.
    pose proof (Rmult_le_compat_l (Rabs (u y) * Rabs (v y')) _ _ ltac:(apply Rmult_le_pos; apply Rabs_pos) A). lra.
  - transitivity (beats n P u v - 1 / 2 * (sum n u * sum n v)); [| rewrite Su; ring].
    rewrite beats_sum, sum_product, <- sum_scal, <- sum_minus. apply sum_ext. intros y _.
    rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros; ring.
Qed.

(** Pinsker's inequality, ||p - q||_1^2 <= 2 KL(p || q), wherever KL(p || q) is finite. *)
Theorem E3_pinsker_on_support n p q : dist n p -> dist n q -> (forall y, (y < n)%nat -> q y = 0 -> p y = 0) ->
  l1 n p q ^ 2 <= 2 * KL n p q.
Proof.
  intros [Hp Sp] [Hq Sq] Sup. set (L := l1 n p q).
  assert (W : sum n (fun y => (2 * p y + 4 * q y) / 3) = 2)
    by (unfold Rdiv; rewrite sum_scal_r, sum_plus, !sum_scal, Sp, Sq; field).
  assert (M : sum n (fun y => Rabs (p y - q y)) * L <= KL n p q + L ^ 2 / 4 * sum n (fun y => (2 * p y + 4 * q y) / 3));
    [| rewrite W in M; fold (l1 n p q) L in M; nra].
  rewrite kl_as_terms by lra. rewrite <- sum_scal_r, <- sum_scal, <- sum_plus.
  apply sum_le. intros y Hy. pose proof (Hp y Hy). destruct (Hq y Hy) as [Q | Q]; cycle 1.
  { rewrite <- Q, (Sup y Hy) by (symmetry; exact Q). rewrite Rminus_0_r, Rabs_R0. lra. }
  pose proof (kl_term (p y) (q y) ltac:(lra) ltac:(lra)) as T.
  set (d := Rabs (p y - q y)). assert (D : (p y - q y) ^ 2 = d ^ 2) by (unfold d; rewrite pow2_abs; reflexivity).
  rewrite D in T. set (w := 2 * p y + 4 * q y) in *. assert (0 < w) by (unfold w; lra).
  assert (A : 0 <= 3 * d ^ 2 / w + L ^ 2 / 4 * (w / 3) - d * L); [| lra].
  replace (3 * d ^ 2 / w + L ^ 2 / 4 * (w / 3) - d * L) with (3 / w * (d - L * w / 6) ^ 2) by (field; lra).
  apply Rmult_le_pos; [apply Rdiv_le_0_compat; lra | apply pow2_ge_0].
Qed.

(** Pinsker's inequality, ||p - q||_1^2 <= 2 KL(p || q), for any number of responses. *)
Theorem E3_pinsker n p q : dist n p -> policy n q -> l1 n p q ^ 2 <= 2 * KL n p q.
Proof.
  intros Hp Hq. apply E3_pinsker_on_support; [exact Hp | apply policy_dist, Hq |].
  intros y Hy Z. pose proof (proj1 Hq y Hy). lra.
Qed.

(** ||p - q||_1^2 <= KL(p || q) + KL(q || p). *)
Lemma pinsker_symmetric n p q : policy n p -> policy n q -> l1 n p q ^ 2 <= sym_kl n p q.
Proof.
  intros Hp Hq. rewrite sym_kl_is_the_sum.
  pose proof (E3_pinsker n p q (policy_dist n p Hp) Hq) as A.
  pose proof (E3_pinsker n q p (policy_dist n q Hq) Hp) as B. rewrite l1_sym in B. lra.
Qed.

(** ** Total variation against the symmetrised divergence, exactly *)

(** A(x) = log(1 + x) - log(1 - x) = 2 artanh x is convex on [0, 1). *)
Definition log_odds_gap (x : R) : R := ln (1 + x) - ln (1 - x).

Lemma log_odds_gap_tangent t u : 0 <= t < 1 -> 0 <= u < 1 ->
  log_odds_gap t + 2 / (1 - t ^ 2) * (u - t) <= log_odds_gap u /\ 0 <= (u - t) * (log_odds_gap u - log_odds_gap t).
Proof.
  intros Ht Hu.
  assert (B : forall x, Rmin t u <= x <= Rmax t u -> 0 <= x < 1).
  { intros x Hx. destruct (Rle_dec t u);
      [rewrite Rmin_left, Rmax_right in Hx by lra | rewrite Rmin_right, Rmax_left in Hx by lra]; lra. }
  destruct (mean_value log_odds_gap (fun x => 2 / (1 - x ^ 2)) t u) as [c [Hc E]].
  { intros x Hx. pose proof (B x Hx). unfold log_odds_gap. auto_derive; [lra |]. field. repeat split; nra. }
  pose proof (B c Hc). rewrite E.
  assert (0 < 1 - c ^ 2) by nra. assert (0 < 1 - t ^ 2) by nra.
  assert (0 < 2 / (1 - c ^ 2)) by (apply Rdiv_lt_0_compat; lra). split; cycle 1.
  { replace ((u - t) * (2 / (1 - c ^ 2) * (u - t))) with (2 / (1 - c ^ 2) * (u - t) ^ 2) by ring.
    apply Rmult_le_pos; [lra | apply pow2_ge_0]. }
  assert (K : (2 / (1 - c ^ 2) - 2 / (1 - t ^ 2)) * (u - t) = 2 * ((c - t) * (u - t)) * (c + t) / ((1 - c ^ 2) * (1 - t ^ 2)))
    by (field; split; lra).
  assert (0 <= (c - t) * (u - t)).
  { destruct (Rle_dec t u);
      [rewrite Rmin_left, Rmax_right in Hc by lra | rewrite Rmin_right, Rmax_left in Hc by lra]; nra. }
  assert (0 <= (2 / (1 - c ^ 2) - 2 / (1 - t ^ 2)) * (u - t)); [| lra].
  rewrite K. apply Rdiv_le_0_compat; [| apply Rmult_lt_0_compat; assumption].
  apply Rmult_le_pos; lra.
Qed.

(** With T = ||p - q||_1 / 2:  SymKL(p, q) >= 2 T (log(1 + T) - log(1 - T)). *)
Lemma sym_kl_total_variation n p q : policy n p -> policy n q ->
  l1 n p q / 2 < 1 /\ l1 n p q * log_odds_gap (l1 n p q / 2) <= sym_kl n p q.
Proof.
  intros Hp Hq. pose proof (policy_n_pos n p Hp) as Hn. pose proof Hp as [Pp Sp]. pose proof Hq as [Pq Sq].
  assert (Two : sum n (fun y => p y + q y) = 2) by (rewrite sum_plus; lra).
  assert (Small : forall y, (y < n)%nat -> Rabs (p y - q y) < p y + q y).
  { intros y Hy. pose proof (Pp y Hy). pose proof (Pq y Hy). apply Rabs_def1; lra. }
  assert (L : l1 n p q < 2).
  { assert (0 < sum n (fun y => p y + q y - Rabs (p y - q y)))
      by (apply sum_pos; [exact Hn | intros y Hy; pose proof (Small y Hy); lra]).
    rewrite sum_minus, Two in *. unfold l1. lra. }
  pose proof (l1_nonneg n p q). set (t := l1 n p q / 2). split; [unfold t; lra |].
  set (K := log_odds_gap t + 2 * t / (1 - t ^ 2)).
  replace (l1 n p q * log_odds_gap t)
    with (sum n (fun y => t * log_odds_gap t * (p y + q y) + K * (Rabs (p y - q y) - t * (p y + q y)))).
  - apply sum_le. intros y Hy. pose proof (Pp y Hy). pose proof (Pq y Hy). pose proof (Small y Hy) as Sm.
    pose proof (Rabs_pos (p y - q y)). set (s := p y + q y) in *. set (u := Rabs (p y - q y) / s).
    assert (Hs : 0 < s) by (unfold s; lra).
    assert (Hu : 0 <= u < 1).
    { unfold u. split; [apply Rdiv_le_0_compat; assumption |]. apply Rmult_lt_reg_r with s; [exact Hs |].
      replace (Rabs (p y - q y) / s * s) with (Rabs (p y - q y)) by (field; lra). lra. }
    assert (E : (p y - q y) * (ln (p y) - ln (q y)) = s * (u * log_odds_gap u)).
    { assert (O : forall a b, 0 < a -> 0 < b -> b <= a ->
        (a - b) * (ln a - ln b) = (a + b) * ((a - b) / (a + b) * log_odds_gap ((a - b) / (a + b)))).
      { intros a b Ha Hb _. unfold log_odds_gap.
        replace (1 + (a - b) / (a + b)) with (2 * a / (a + b)) by (field; lra).
        replace (1 - (a - b) / (a + b)) with (2 * b / (a + b)) by (field; lra).
        rewrite !ln_div, !ln_mult by lra. field. lra. }
      unfold u, s. destruct (Rle_dec (q y) (p y)).
      - rewrite Rabs_pos_eq by lra. apply O; lra.
      - rewrite Rabs_left by lra. replace (- (p y - q y)) with (q y - p y) by ring. rewrite (Rplus_comm (p y)).
        rewrite <- O by lra. ring. }
    rewrite E. replace (Rabs (p y - q y)) with (s * u) by (unfold u; field; lra).
    destruct (log_odds_gap_tangent t u ltac:(unfold t; lra) Hu) as [T M].
    assert (0 <= t) by (unfold t; lra). assert (0 < 1 - t ^ 2) by (unfold t in *; nra).
    assert (C : t * log_odds_gap t + K * (u - t) <= u * log_odds_gap u).
    { unfold K. replace (2 * t / (1 - t ^ 2)) with (t * (2 / (1 - t ^ 2))) by (field; lra). nra. }
    apply (Rmult_le_compat_l s) in C; [| lra]. lra.
  - rewrite sum_plus, !sum_scal, sum_minus, sum_scal, Two. fold (l1 n p q). unfold t. field.
Qed.

(** ** Hoeffding's lemma *)

(** log(1 - w + w e^h) <= w h + h^2 / 8. *)
Lemma bernoulli_log_mgf w h : 0 <= w <= 1 -> ln (1 - w + w * exp h) <= w * h + h ^ 2 / 8.
Proof.
  intro Hw.
  assert (Pos : forall t, 0 < 1 - w + w * exp t) by (intro t; pose proof (exp_pos t); destruct (Req_dec w 0); nra).
  set (L := fun t => ln (1 - w + w * exp t)). set (dL := fun t => w * exp t / (1 - w + w * exp t)).
  assert (B : L h <= L 0 + dL 0 * h + 1 / 4 * h ^ 2 / 2); cycle 1.
  { unfold L, dL in B. rewrite exp_0 in B. replace (1 - w + w * 1) with 1 in B by ring. rewrite ln_1 in B. lra. }
  apply (parabola_bound L dL (fun t => w * exp t * (1 - w) / (1 - w + w * exp t) ^ 2)).
  - intro t. pose proof (Pos t). unfold L, dL. auto_derive; [lra |]. field. lra.
  - intro t. pose proof (Pos t). unfold dL. auto_derive; [lra |]. field. lra.
  - intro t. pose proof (Pos t). set (a := 1 - w) in *. set (b := w * exp t) in *.
    apply Rmult_le_reg_r with ((a + b) ^ 2); [apply pow_lt; lra |].
    replace (b * a / (a + b) ^ 2 * (a + b) ^ 2) with (b * a) by (field; lra). pose proof (pow2_ge_0 (a - b)). nra.
Qed.

(** The chord of exp over [a, b]. *)
Lemma exp_chord a b x : a <= x <= b -> (b - a) * exp x <= (b - x) * exp a + (x - a) * exp b.
Proof.
  intro H.
  assert (T : forall z, exp x * (1 + (z - x)) <= exp z).
  { intro z. pose proof (exp_ge_line (z - x)). replace (exp z) with (exp x * exp (z - x))
      by (rewrite <- exp_plus; f_equal; ring). pose proof (exp_pos x). apply Rmult_le_compat_l; lra. }
  pose proof (T a) as Ta. pose proof (T b) as Tb.
  apply (Rmult_le_compat_l (b - x)) in Ta; [| lra]. apply (Rmult_le_compat_l (x - a)) in Tb; [| lra]. lra.
Qed.

(** log E_p e^f <= E_p f + osc(f)^2 / 8. *)
Lemma hoeffding n p f : dist n p -> ln (expect n p (fun y => exp (f y))) <= expect n p f + osc n f ^ 2 / 8.
Proof.
  intro Hp. pose proof (dist_n_pos n p Hp) as Hn. pose proof Hp as [_ Sp].
  set (a := bottom n f). set (b := top n f). set (e := expect n p f).
  assert (Bd : forall y, (y < n)%nat -> a <= f y <= b) by (intros y Hy; split; [apply bottom_le | apply top_ge]; exact Hy).
  pose proof (expect_bounds n p f a b Hp Bd) as He. fold e in He.
  assert (Pos : 0 < expect n p (fun y => exp (f y))).
  { apply Rlt_le_trans with (exp a); [apply exp_pos |]. apply (expect_bounds n p _ (exp a) (exp b) Hp).
    intros y Hy. destruct (Bd y Hy). split.
    - destruct (Req_dec a (f y)) as [-> | ]; [lra | apply Rlt_le, exp_increasing; lra].
    - destruct (Req_dec (f y) b) as [-> | ]; [lra | apply Rlt_le, exp_increasing; lra]. }
  unfold osc. fold a b. destruct (Req_dec a b) as [Eab | Nab].
  - replace (expect n p (fun y => exp (f y))) with (exp a).
    + rewrite ln_exp. pose proof (pow2_ge_0 (b - a)). lra.
    + rewrite <- (expect_const n p (exp a) Sp). apply expect_ext. intros y Hy. f_equal. destruct (Bd y Hy). lra.
  - set (w := (e - a) / (b - a)). assert (Hab : 0 < b - a) by lra.
    assert (Hw : 0 <= w <= 1).
    { unfold w. split; [apply Rdiv_le_0_compat; lra |]. apply Rmult_le_reg_r with (b - a); [exact Hab |].
      replace ((e - a) / (b - a) * (b - a)) with (e - a) by (field; lra). lra. }
    apply Rle_trans with (ln (exp a * (1 - w + w * exp (b - a)))).
    + apply ln_le_mono; [exact Pos |]. apply Rmult_le_reg_l with (b - a); [exact Hab |].
      replace ((b - a) * (exp a * (1 - w + w * exp (b - a)))) with ((b - e) * exp a + (e - a) * exp b).
      * rewrite <- expect_scal.
        replace ((b - e) * exp a + (e - a) * exp b)
          with (expect n p (fun y => (b * exp a - a * exp b) + (exp b - exp a) * f y))
          by (rewrite expect_plus, expect_const, expect_scal by exact Sp; fold e; ring).
        apply expect_le; [exact Hp |]. intros y Hy. pose proof (exp_chord a b (f y) (Bd y Hy)). lra.
      * unfold w. replace (exp b) with (exp a * exp (b - a)) by (rewrite <- exp_plus; f_equal; ring). field. lra.
    + pose proof (exp_pos (b - a)). rewrite ln_mult, ln_exp by (apply exp_pos || (destruct (Req_dec w 0); nra)).
      pose proof (bernoulli_log_mgf w (b - a) Hw) as B. replace (w * (b - a)) with (e - a) in B by (unfold w; field; lra). lra.
Qed.

(** ** Certificates *)

(** r = log pi - log mu - P pi / tau. *)
Definition residual n tau P (mu pi : nat -> R) (y : nat) : R := ln (pi y) - ln (mu y) - win n P pi y / tau.

Section Certificate.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

Local Notation BR := (best_reply n tau P mu).
Local Notation G := (gap n tau P mu).
Local Notation r := (residual n tau P mu).

(** The residual is constant at the equilibrium. *)
Lemma residual_nash q : is_nash n tau P mu q -> exists c, forall y, (y < n)%nat -> r q y = c.
Proof.
  intro N. eexists. intros y Hy. unfold residual. rewrite (N y Hy) at 1.
  rewrite best_reply_log by assumption. ring_simplify. reflexivity.
Qed.

(** Skewness removes the game: SymKL(p, q) = <p - q, r_p - r_q>. *)
Lemma sym_kl_residuals p q : policy n p -> policy n q ->
  sym_kl n p q = sum n (fun y => (p y - q y) * (r p y - r q y)).
Proof.
  intros [_ Sp] [_ Sq].
  pose proof (beats_skew n P p q P_pref ltac:(lra)) as K. unfold beats, expect in K.
  transitivity (sum n (fun y => (p y - q y) * (r p y - r q y))
    + / tau * sum n (fun y => (p y - q y) * win n P (fun z => p z - q z) y)); [| rewrite K; ring].
  unfold sym_kl. rewrite <- sum_scal, <- sum_plus. apply sum_ext. intros y _.
  rewrite win_minus. unfold residual. field. lra.
Qed.

(** Two policies are no further apart than their residuals oscillate. *)
Lemma residual_distance p q : policy n p -> policy n q ->
  sym_kl n p q <= (osc n (r p) + osc n (r q)) / 2 * l1 n p q /\ l1 n p q <= (osc n (r p) + osc n (r q)) / 2.
Proof.
  intros Hp Hq. pose proof Hp as [_ Sp]. pose proof Hq as [_ Sq].
  assert (S : sym_kl n p q <= (osc n (r p) + osc n (r q)) / 2 * l1 n p q).
  { rewrite sym_kl_residuals by assumption.
    replace (sum n (fun y => (p y - q y) * (r p y - r q y)))
      with (sum n (fun y => (p y - q y) * r p y) + sum n (fun y => (q y - p y) * r q y))
      by (rewrite <- sum_plus; apply sum_ext; intros; ring).
    pose proof (zero_sum_osc n (fun y => p y - q y) (r p) ltac:(rewrite sum_minus; lra)) as A.
    pose proof (zero_sum_osc n (fun y => q y - p y) (r q) ltac:(rewrite sum_minus; lra)) as B.
    cbv beta in A, B. fold (l1 n p q) in A. fold (l1 n q p) in B. rewrite (l1_sym n q p) in B. lra. }
  split; [exact S |].
  pose proof (pinsker_symmetric n p q Hp Hq). pose proof (l1_nonneg n p q).
  destruct (Req_dec (l1 n p q) 0) as [Z | Z].
  - rewrite Z. pose proof (osc_nonneg n (r p) (policy_n_pos n p Hp)). pose proof (osc_nonneg n (r q) (policy_n_pos n p Hp)). lra.
  - apply Rmult_le_reg_r with (l1 n p q); lra.
Qed.

(** SymKL(pi, q) <= osc(r) ||pi - q||_1 / 2. *)
Lemma sym_kl_osc q pi : is_nash n tau P mu q -> policy n pi -> sym_kl n pi q <= osc n (r pi) / 2 * l1 n pi q.
Proof.
  intros N Hp. pose proof (nash_policy n tau P mu q mu_policy N) as Hq. pose proof Hp as [_ Sp]. pose proof Hq as [_ Sq].
  rewrite sym_kl_residuals by assumption. destruct (residual_nash q N) as [c Hc].
  replace (sum n (fun y => (pi y - q y) * (r pi y - r q y))) with (sum n (fun y => (pi y - q y) * r pi y)).
  - apply zero_sum_osc. rewrite sum_minus. lra.
  - transitivity (sum n (fun y => (pi y - q y) * r pi y) - c * sum n (fun y => pi y - q y)); [rewrite sum_minus; rewrite Sp, Sq; ring |].
    rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros y Hy. rewrite Hc by exact Hy. ring.
Qed.

(** E3.  ||pi - q||_1 <= osc(r) / 2 and KL(pi || q) + KL(q || pi) <= osc(r)^2 / 4, q the equilibrium. *)
Theorem E3_residual_certificate q pi : is_nash n tau P mu q -> policy n pi ->
  l1 n pi q <= osc n (r pi) / 2 /\ KL n pi q + KL n q pi <= osc n (r pi) ^ 2 / 4.
Proof.
  intros N Hp. pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (sym_kl_osc q pi N Hp) as S. pose proof (pinsker_symmetric n pi q Hp Hq).
  pose proof (l1_nonneg n pi q). pose proof (osc_nonneg n (r pi) (policy_n_pos n pi Hp)).
  assert (L : l1 n pi q <= osc n (r pi) / 2).
  { destruct (Req_dec (l1 n pi q) 0) as [Z | Z]; [lra | apply Rmult_le_reg_r with (l1 n pi q); lra]. }
  split; [exact L |]. rewrite <- sym_kl_is_the_sum. nra.
Qed.

(** E3, sharp form.  ||pi - q||_1 <= 2 tanh(osc(r)/4) and SymKL(pi, q) <= osc(r) tanh(osc(r)/4). *)
Theorem E3_residual_certificate_tanh q pi : is_nash n tau P mu q -> policy n pi ->
  l1 n pi q <= 2 * tanh (osc n (r pi) / 4) /\ KL n pi q + KL n q pi <= osc n (r pi) * tanh (osc n (r pi) / 4).
Proof.
  intros N Hp. pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (sym_kl_osc q pi N Hp) as S. destruct (sym_kl_total_variation n pi q Hp Hq) as [T1 T2].
  pose proof (l1_nonneg n pi q). pose proof (osc_nonneg n (r pi) (policy_n_pos n pi Hp)).
  set (z := osc n (r pi) / 4) in *. set (t := l1 n pi q / 2) in *.
  assert (Ht : t <= tanh z).
  { pose proof (exp_pos z). pose proof (exp_pos (- z)). unfold tanh, sinh, cosh.
    assert (E1 : exp z * exp (- z) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
    assert (Odds : 1 + t <= exp z * exp z * (1 - t)).
    { destruct (Req_dec t 0) as [-> | Nt].
      - pose proof (exp_ge_line z). unfold z in *. nra.
      - assert (A : log_odds_gap t <= 2 * z).
        { apply Rmult_le_reg_l with (2 * t); [unfold t in *; lra |]. unfold t, z in *. lra. }
        unfold log_odds_gap in A. rewrite <- exp_plus, <- (exp_ln (1 + t)), <- (exp_ln (1 - t)) by (unfold t in *; lra).
        rewrite <- exp_plus. replace (1 + t) with (1 + t) by reflexivity.
        destruct (Req_dec (ln (1 + t)) (z + z + ln (1 - t))) as [-> | X]; [lra |].
        apply Rlt_le, exp_increasing. lra. }
    apply Rmult_le_reg_r with (exp z + exp (- z)); [lra |].
    replace ((exp z - exp (- z)) / 2 / ((exp z + exp (- z)) / 2) * (exp z + exp (- z))) with (exp z - exp (- z)) by (field; lra).
    apply Rmult_le_reg_l with (exp z); [lra |]. nra. }
  split; [unfold t in Ht; lra |]. rewrite <- sym_kl_is_the_sum. unfold t, z in *. nra.
Qed.

(** N14, l1 bound.  ||pi - q||_1 <= sqrt(2 G(pi) / tau). *)
Theorem N14_distance q pi : is_nash n tau P mu q -> dist n pi -> l1 n pi q <= sqrt (2 * G pi / tau).
Proof.
  intros N Hpi. pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (N14_lower n tau P mu tau_pos P_pref mu_policy q pi N Hpi) as L.
  pose proof (E3_pinsker n pi q Hpi Hq) as K. rewrite <- (sqrt_pow2 (l1 n pi q)) by apply l1_nonneg.
  apply sqrt_le_1_alt. eapply Rle_trans; [exact K |]. apply Rmult_le_reg_r with tau; [exact tau_pos |].
  replace (2 * G pi / tau * tau) with (2 * G pi) by (field; lra). lra.
Qed.

(** N15.  G(pi) = tau KL(pi || mu) - 1/2 + tau log E_mu e^(P pi / tau). *)
Theorem N15_gap_by_reference pi : dist n pi ->
  G pi = tau * KL n pi mu - 1 / 2 + tau * ln (expect n mu (fun y => exp (win n P pi y / tau))).
Proof.
  intros [_ Sp]. unfold gap. rewrite kl_best_reply by assumption. rewrite beats_self by assumption. reflexivity.
Qed.

(** N15.  G(pi) = tau log E_pi e^(-(r - E_pi r)). *)
Theorem N15_gap_by_residual pi : policy n pi ->
  G pi = tau * ln (expect n pi (fun y => exp (- (r pi y - expect n pi (r pi))))).
Proof.
  intros Hp. pose proof Hp as [Pp Sp]. rewrite (N15_gap_by_reference pi) by (apply policy_dist, Hp).
  set (e := expect n pi (r pi)).
  assert (Ee : tau * e = tau * KL n pi mu - 1 / 2).
  { rewrite <- (beats_self n P pi P_pref Sp). unfold e, KL, beats, expect. rewrite <- !sum_scal, <- sum_minus.
    apply sum_ext. intros y _. unfold residual. field. lra. }
  assert (Ex : expect n pi (fun y => exp (- (r pi y - e))) = exp e * expect n mu (fun y => exp (win n P pi y / tau))).
  { unfold expect. rewrite <- sum_scal. apply sum_ext. intros y Hy. unfold residual.
    replace (- (ln (pi y) - ln (mu y) - win n P pi y / tau - e))
      with (e + (- ln (pi y) + (ln (mu y) + win n P pi y / tau))) by ring.
    rewrite !exp_plus, exp_Ropp, !exp_ln by (apply Pp, Hy || apply mu_policy, Hy). field.
    pose proof (Pp y Hy). lra. }
  rewrite Ex, ln_mult, ln_exp; [lra | apply exp_pos |].
  apply (gibbs_norm_pos n mu (policy_n_pos n mu mu_policy)). apply mu_policy.
Qed.

(** N14 against E3: the gap certificate is never looser, sqrt(2 G / tau) <= osc(r) / 2. *)
Theorem N14_never_looser pi : policy n pi -> sqrt (2 * G pi / tau) <= osc n (r pi) / 2.
Proof.
  intro Hp. pose proof Hp as [_ Sp]. pose proof (policy_n_pos n pi Hp) as Hn.
  set (f := fun y => - (r pi y - expect n pi (r pi))).
  pose proof (hoeffding n pi f (policy_dist n pi Hp)) as H.
  assert (Zero : expect n pi f = 0).
  { unfold f. rewrite (expect_ext n pi _ (fun y => (-1) * r pi y + expect n pi (r pi))) by (intros; ring).
    rewrite expect_plus, expect_scal, expect_const by exact Sp. ring. }
  assert (O : osc n f <= osc n (r pi)).
  { apply osc_le; [exact Hn |]. intros i j Hi Hj. unfold f. pose proof (osc_pair n (r pi) j i Hj Hi). lra. }
  pose proof (osc_nonneg n f Hn). pose proof (osc_nonneg n (r pi) Hn).
  rewrite <- (sqrt_pow2 (osc n (r pi) / 2)) by lra. apply sqrt_le_1_alt.
  apply Rmult_le_reg_r with tau; [exact tau_pos |]. replace (2 * G pi / tau * tau) with (2 * G pi) by (field; lra).
  rewrite (N15_gap_by_residual pi Hp). fold f.
  assert (osc n f ^ 2 <= osc n (r pi) ^ 2) by nra.
  assert (ln (expect n pi (fun y => exp (f y))) <= osc n (r pi) ^ 2 / 8) by lra. unfold f in *. nra.
Qed.

(** ** Bounds that use the entries of P in [0, 1] *)

Hypothesis P_unit : pref n P.

(** N14, upper half: G(pi) <= (tau + 1/(4 tau)) KL(pi || q). *)
Theorem N14_upper q pi : is_nash n tau P mu q -> dist n pi -> G pi <= (tau + 1 / (4 * tau)) * KL n pi q.
Proof.
  intros N Hpi. pose proof (nash_policy n tau P mu q mu_policy N) as Hq.
  pose proof (policy_dist n q Hq) as Dq. pose proof Dq as [_ Sq]. pose proof Hpi as [_ Sp].
  destruct (E2_gap_is_the_maximum n tau P mu tau_pos P_pref mu_policy pi Hpi) as [_ [Att _]].
  set (b := BR pi) in *. pose proof (BR_policy n tau P mu mu_policy pi) as Hb. fold b in Hb.
  pose proof (policy_dist n b Hb) as Db. pose proof Db as [_ Sb].
  pose proof (J_against_nash n tau P mu tau_pos P_pref mu_policy q b N Db) as J1.
  pose proof (J_of_nash n tau P mu tau_pos P_pref mu_policy q pi N Hpi) as J2.
  pose proof (beats_self n P q P_pref Sq) as Half.
  assert (X : G pi = beats n P (fun y => b y - q y) (fun y => pi y - q y) + tau * KL n pi q - tau * KL n b q).
  { rewrite beats_minus_l, !beats_minus_r. unfold J in *. lra. }
  pose proof (beats_l1 n P (fun y => b y - q y) (fun y => pi y - q y) P_unit
    ltac:(rewrite sum_minus; lra) ltac:(rewrite sum_minus; lra)) as B.
  cbv beta in B. fold (l1 n b q) in B. fold (l1 n pi q) in B.
  pose proof (E3_pinsker n b q Db Hq) as K1. pose proof (E3_pinsker n pi q Hpi Hq) as K2.
  set (s := l1 n b q) in *. set (t := l1 n pi q) in *.
  assert (Y : s * t / 2 <= tau * s ^ 2 / 2 + t ^ 2 / (8 * tau)).
  { assert (0 <= tau / 2 * (s - t / (2 * tau)) ^ 2) by (apply Rmult_le_pos; [lra | apply pow2_ge_0]).
    replace (tau / 2 * (s - t / (2 * tau)) ^ 2) with (tau * s ^ 2 / 2 + t ^ 2 / (8 * tau) - s * t / 2) in * by (field; lra). lra. }
  assert (t ^ 2 / (8 * tau) <= 1 / (4 * tau) * KL n pi q).
  { apply Rmult_le_reg_r with (8 * tau); [lra |]. replace (t ^ 2 / (8 * tau) * (8 * tau)) with (t ^ 2) by (field; lra).
    replace (1 / (4 * tau) * KL n pi q * (8 * tau)) with (2 * KL n pi q) by (field; lra). exact K2. }
  assert (tau * s ^ 2 / 2 <= tau * KL n b q) by nra. lra.
Qed.

(** N15 from a candidate set S.  With only the rows and columns of S known,
    G(pi) <= tau KL(pi || mu) - 1/2 + tau log[ sum_S mu e^(min(1, P_S pi_S + pi(not S)) / tau) + mu(not S) e^(1/tau) ]. *)
Theorem N15_candidates pi (S : nat -> bool) : dist n pi ->
  let outside := sum n (fun z => if S z then 0 else pi z) in
  let bound y := Rmin 1 (sum n (fun z => if S z then P y z * pi z else 0) + outside) in
  G pi <= tau * KL n pi mu - 1 / 2 + tau * ln (sum n (fun y => mu y * exp ((if S y then bound y else 1) / tau))).
Proof.
  intros Hpi outside bound. rewrite N15_gap_by_reference by exact Hpi.
  apply Rplus_le_compat_l, Rmult_le_compat_l; [lra |].
  apply ln_le_mono; [apply (gibbs_norm_pos n mu (policy_n_pos n mu mu_policy)), mu_policy |].
  apply sum_le. intros y Hy. apply Rmult_le_compat_l; [apply Rlt_le, mu_policy, Hy |].
  assert (W : win n P pi y <= if S y then bound y else 1).
  { pose proof (win_bounds n P pi y P_unit Hpi Hy) as B. destruct (S y); [| lra]. apply Rmin_glb; [lra |].
    unfold win, outside. rewrite <- sum_plus. apply sum_le. intros z Hz. pose proof (proj2 P_unit y z Hy Hz).
    pose proof (proj1 Hpi z Hz). destruct (S z); nra. }
  assert (win n P pi y / tau <= (if S y then bound y else 1) / tau) as [L | ->]; [| apply Rlt_le, exp_increasing, L | apply Rle_refl].
  apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat, tau_pos | exact W].
Qed.

(** E5, tau to infinity, with its rate: ||mu - q||_1 <= 1/(2 tau). *)
Theorem E5_reference_distance q : is_nash n tau P mu q -> l1 n mu q <= 1 / (2 * tau).
Proof.
  intro N. destruct (E3_residual_certificate q mu N mu_policy) as [L _].
  assert (O : osc n (r mu) <= 1 / tau).
  { apply osc_le; [apply (policy_n_pos n mu mu_policy) |]. intros i j Hi Hj. unfold residual.
    pose proof (win_bounds n P mu i P_unit (policy_dist n mu mu_policy) Hi).
    pose proof (win_bounds n P mu j P_unit (policy_dist n mu mu_policy) Hj).
    replace (ln (mu i) - ln (mu i) - win n P mu i / tau - (ln (mu j) - ln (mu j) - win n P mu j / tau))
      with ((win n P mu j - win n P mu i) * / tau) by (field; lra).
    unfold Rdiv. apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; exact tau_pos | lra]. }
  replace (1 / (2 * tau)) with (1 / tau / 2) by (field; lra). lra.
Qed.

End Certificate.

(** E5.  The equilibrium tends to mu as tau tends to infinity. *)
Theorem E5_limit n P mu : pref n P -> policy n mu -> forall eps, 0 < eps ->
  exists T, 0 < T /\ forall tau q, T < tau -> is_nash n tau P mu q -> l1 n mu q < eps.
Proof.
  intros HP Hmu eps He. exists (1 / eps). assert (0 < 1 / eps) by (apply Rdiv_lt_0_compat; lra).
  split; [assumption |]. intros tau q Ht N.
  pose proof (E5_reference_distance n tau P mu ltac:(lra) (proj1 HP) Hmu HP q N) as L.
  assert (1 / (2 * tau) < eps); [| lra]. apply Rmult_lt_reg_r with (2 * tau); [lra |].
  replace (1 / (2 * tau) * (2 * tau)) with 1 by (field; lra).
  apply (Rmult_lt_compat_r eps) in Ht; [| lra]. replace (1 / eps * eps) with 1 in Ht by (field; lra). nra.
Qed.

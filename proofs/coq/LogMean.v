(** * The log-ratio lies on a sphere (N18): a certificate from the residual's moments.

    L(y) is the logarithmic mean of pi(y) and q(y), l = log pi - log q, r the residual of pi.  In the inner product
    <f, g>_L = sum L f g, l is orthogonal to 1 and <l, l>_L = <l, r - c>_L for every c: l lies on the sphere whose
    diameter is r - c. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate.
Open Scope R_scope.

(** The logarithmic mean (a - b) / log(a / b), a where a = b. *)
Definition log_mean (a b : R) : R := if Req_EM_T a b then a else (a - b) / (ln a - ln b).

(** <f, g>_L = sum L f g. *)
Definition log_mean_inner n (p q f g : nat -> R) : R := sum n (fun y => log_mean (p y) (q y) * f y * g y).

(** ** The logarithmic mean *)

Lemma ln_injective a b : 0 < a -> 0 < b -> ln a = ln b -> a = b.
Proof. intros Ha Hb E. rewrite <- (exp_ln a Ha), <- (exp_ln b Hb), E. reflexivity. Qed.

Lemma log_mean_spec a b : 0 < a -> 0 < b -> log_mean a b * (ln a - ln b) = a - b.
Proof.
  intros Ha Hb. unfold log_mean. destruct (Req_EM_T a b) as [-> | N]; [ring |].
  field. intro E. apply N, ln_injective; [exact Ha | exact Hb | lra].
Qed.

Lemma log_mean_sym a b : log_mean a b = log_mean b a.
Proof.
  unfold log_mean. destruct (Req_EM_T a b) as [E | N], (Req_EM_T b a) as [E' | N']; try congruence.
  destruct (Req_dec (ln a - ln b) 0) as [Z | Z]; [| field; lra].
  unfold Rdiv. replace (ln b - ln a) with 0 by lra. rewrite Z, Rinv_0. ring.
Qed.

(** 2 (a - b) / (a + b) <= log a - log b for a >= b, from the tangent of 2 artanh at 0. *)
Lemma log_ratio_lower a b : 0 < b -> b <= a -> 2 * (a - b) <= (a + b) * (ln a - ln b).
Proof.
  intros Hb Hab. set (u := (a - b) / (a + b)).
  assert (Hu : 0 <= u < 1).
  { unfold u. split; [apply Rdiv_le_0_compat; lra |]. apply Rmult_lt_reg_r with (a + b); [lra |].
    replace ((a - b) / (a + b) * (a + b)) with (a - b) by (field; lra). lra. }
  destruct (log_odds_gap_tangent 0 u ltac:(lra) Hu) as [T _].
  assert (E : log_odds_gap u = ln a - ln b).
  { unfold log_odds_gap, u. replace (1 + (a - b) / (a + b)) with (2 * a / (a + b)) by (field; lra).
    replace (1 - (a - b) / (a + b)) with (2 * b / (a + b)) by (field; lra). rewrite !ln_div, !ln_mult by lra. ring. }
  rewrite E in T. unfold log_odds_gap at 1 in T. rewrite Rplus_0_r, Rminus_0_r, ln_1 in T.
  replace (2 / (1 - 0 ^ 2)) with 2 in T by field. rewrite Rminus_0_r in T.
  replace (2 * (a - b)) with ((a + b) * (2 * u)) by (unfold u; field; lra).
  apply Rmult_le_compat_l; lra.
Qed.

Lemma log_mean_bounds a b : 0 < a -> 0 < b -> 0 < log_mean a b <= (a + b) / 2.
Proof.
  assert (Ord : forall a b, 0 < b -> b < a -> 0 < log_mean a b <= (a + b) / 2).
  { clear a b. intros a b Hb Hab. unfold log_mean. destruct (Req_EM_T a b) as [E | _]; [lra |].
    pose proof (log_ratio_lower a b Hb ltac:(lra)) as L. pose proof (ln_increasing b a Hb Hab).
    split; [apply Rdiv_lt_0_compat; lra |]. apply Rmult_le_reg_r with (ln a - ln b); [lra |].
    replace ((a - b) / (ln a - ln b) * (ln a - ln b)) with (a - b) by (field; lra). lra. }
  intros Ha Hb. destruct (Rtotal_order a b) as [H | [-> | H]].
  - rewrite log_mean_sym. replace (a + b) with (b + a) by ring. apply Ord; assumption.
  - unfold log_mean. destruct (Req_EM_T b b) as [_ | N]; [lra | contradiction].
  - apply Ord; assumption.
Qed.

(** ** The weighted inner product *)

Lemma weighted_cauchy_schwarz n w f g : (forall y, (y < n)%nat -> 0 <= w y) ->
  (sum n (fun y => w y * f y * g y)) ^ 2 <= sum n (fun y => w y * f y * f y) * sum n (fun y => w y * g y * g y).
Proof.
  intro Hw. pose proof (sum_cauchy_schwarz n (fun y => sqrt (w y) * f y) (fun y => sqrt (w y) * g y)) as C.
  assert (E : forall a b, sum n (fun y => sqrt (w y) * a y * (sqrt (w y) * b y)) = sum n (fun y => w y * a y * b y)).
  { intros a b. apply sum_ext. intros y Hy. rewrite <- (sqrt_sqrt (w y)) at 3 by apply Hw, Hy. ring. }
  cbv beta in C. rewrite (E f g) in C. rewrite <- (E f f), <- (E g g).
  eapply Rle_trans; [exact C |]. apply Req_le. f_equal; apply sum_ext; intros; ring.
Qed.

Lemma abs_le_sqrt a b : a ^ 2 <= b -> Rabs a <= sqrt b.
Proof.
  intro H. rewrite <- (sqrt_pow2 (Rabs a)) by apply Rabs_pos. apply sqrt_le_1_alt. rewrite pow2_abs. exact H.
Qed.

Section Sphere.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu q pi : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.
Hypothesis q_nash : is_nash n tau P mu q.
Hypothesis pi_policy : policy n pi.

Local Notation r := (residual n tau P mu pi).
Local Notation inner := (log_mean_inner n pi q).
Local Notation L := (fun y => log_mean (pi y) (q y)).
Local Notation ell := (fun y => ln (pi y) - ln (q y)).

Lemma sphere_q : policy n q.
Proof. exact (nash_policy n tau P mu q mu_policy q_nash). Qed.

Lemma weight_bounds y : (y < n)%nat -> 0 < L y <= (pi y + q y) / 2.
Proof. intro Hy. apply log_mean_bounds; [apply pi_policy, Hy | apply sphere_q, Hy]. Qed.

(** L l = pi - q. *)
Lemma weight_log_ratio y : (y < n)%nat -> L y * ell y = pi y - q y.
Proof. intro Hy. apply log_mean_spec; [apply pi_policy, Hy | apply sphere_q, Hy]. Qed.

Lemma inner_log_ratio f : inner ell f = sum n (fun y => (pi y - q y) * f y).
Proof. apply sum_ext. intros y Hy. rewrite <- (weight_log_ratio y Hy). ring. Qed.

(** N18.  <l, 1>_L = 0. *)
Theorem N18_orthogonal : inner ell (fun _ => 1) = 0.
Proof.
  rewrite inner_log_ratio, (sum_ext n _ (fun y => pi y - q y)) by (intros; ring).
  rewrite sum_minus, (proj2 pi_policy), (proj2 sphere_q). ring.
Qed.

(** N18.  <l, l>_L = SymKL(pi, q) = <l, r - c>_L for every constant c. *)
Theorem N18_sphere c : inner ell ell = sym_kl n pi q /\ inner ell (fun y => r y - c) = sym_kl n pi q.
Proof.
  split; [rewrite inner_log_ratio; reflexivity |]. rewrite inner_log_ratio.
  rewrite (sym_kl_residuals n tau P mu tau_pos P_pref pi q pi_policy sphere_q).
  destruct (residual_nash n tau P mu mu_policy q q_nash) as [b Hb].
  transitivity (sum n (fun y => (pi y - q y) * r y) - c * sum n (fun y => pi y - q y));
    [rewrite <- sum_scal, <- sum_minus; apply sum_ext; intros; ring |].
  transitivity (sum n (fun y => (pi y - q y) * r y) - b * sum n (fun y => pi y - q y));
    [rewrite sum_minus, (proj2 pi_policy), (proj2 sphere_q); ring |].
  rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros y Hy. rewrite (Hb y Hy). ring.
Qed.

Lemma inner_nonneg f : 0 <= inner f f.
Proof.
  apply sum_nonneg. intros y Hy. pose proof (weight_bounds y Hy). pose proof (pow2_ge_0 (f y)).
  replace (L y * f y * f y) with (L y * f y ^ 2) by ring. apply Rmult_le_pos; lra.
Qed.

Lemma inner_cauchy_schwarz f g : inner f g ^ 2 <= inner f f * inner g g.
Proof. apply weighted_cauchy_schwarz. intros y Hy. apply Rlt_le, weight_bounds, Hy. Qed.

(** N18 (a), left half.  sqrt(SymKL(pi, q)) <= ||r - c||_L for every c. *)
Theorem N18_symmetric_divergence c : sqrt (sym_kl n pi q) <= sqrt (inner (fun y => r y - c) (fun y => r y - c)).
Proof.
  set (f := fun y => r y - c). destruct (N18_sphere c) as [E1 E2]. fold f in E2.
  pose proof (inner_cauchy_schwarz ell f) as C. rewrite E1, E2 in C.
  pose proof (sym_kl_nonneg n pi q pi_policy sphere_q) as [S | S]; [| rewrite <- S, sqrt_0; apply sqrt_pos].
  apply sqrt_le_1_alt, (Rmult_le_reg_l (sym_kl n pi q)); lra.
Qed.

(** omega = sum L <= 1. *)
Lemma weights_sum : sum n L <= 1.
Proof.
  replace 1 with (sum n (fun y => (pi y + q y) / 2)).
  - apply sum_le. intros y Hy. apply weight_bounds, Hy.
  - unfold Rdiv. rewrite sum_scal_r, sum_plus, (proj2 pi_policy), (proj2 sphere_q). lra.
Qed.

(** N18 (b).  ||pi - q||_1 <= (E_L|r - c| + sqrt(omega) ||r - c||_L) / 2 for every c: the sign of l against l on the
    sphere of diameter r - c. *)
Theorem N18_l1 c : l1 n pi q <=
  (sum n (fun y => L y * Rabs (r y - c)) + sqrt (sum n L) * sqrt (inner (fun y => r y - c) (fun y => r y - c))) / 2.
Proof.
  set (f := fun y => r y - c). destruct (N18_sphere c) as [E1 E2]. fold f in E2.
  set (s := fun y => if Rle_dec 0 (ell y) then 1 else -1).
  assert (Sq : forall y, s y * s y = 1) by (intro y; unfold s; destruct (Rle_dec 0 (ell y)); ring).
  assert (Abs : forall y, s y * ell y = Rabs (ell y)).
  { intro y. unfold s. destruct (Rle_dec 0 (ell y)); [rewrite Rabs_pos_eq | rewrite Rabs_left]; lra. }
  assert (Bound : forall y, s y * f y <= Rabs (f y)).
  { intro y. pose proof (Rle_abs (s y * f y)) as B. rewrite Rabs_mult in B.
    replace (Rabs (s y)) with 1 in B; [lra |]. unfold s.
    destruct (Rle_dec 0 (ell y)); [rewrite Rabs_pos_eq | rewrite Rabs_left]; lra. }
  set (h := fun y => ell y - f y / 2).
  assert (Radius : inner h h = inner f f / 4).
  { transitivity (inner ell ell - inner ell f + inner f f / 4); [| lra]. unfold log_mean_inner, Rdiv.
    rewrite <- sum_scal_r, <- sum_minus, <- sum_plus. apply sum_ext. intros; unfold h; field. }
  assert (Split : l1 n pi q = inner s f / 2 + inner s h).
  { unfold l1, log_mean_inner, Rdiv. rewrite <- sum_scal_r, <- sum_plus. apply sum_ext. intros y Hy.
    pose proof (weight_bounds y Hy).
    rewrite <- (weight_log_ratio y Hy), Rabs_mult, (Rabs_pos_eq (L y)), <- Abs by lra. unfold h. field. }
  assert (First : inner s f <= sum n (fun y => L y * Rabs (f y))).
  { apply sum_le. intros y Hy. pose proof (weight_bounds y Hy). rewrite Rmult_assoc.
    apply Rmult_le_compat_l; [lra | apply Bound]. }
  assert (Second : inner s h <= sqrt (sum n L) * (sqrt (inner f f) / 2)).
  { assert (Ss : inner s s = sum n L) by (apply sum_ext; intros y _; rewrite Rmult_assoc, Sq; ring).
    pose proof (inner_cauchy_schwarz s h) as C. rewrite Ss, Radius in C. apply abs_le_sqrt in C.
    pose proof (inner_nonneg f) as Nf.
    assert (0 <= sum n L) by (apply sum_nonneg; intros y Hy; apply Rlt_le, weight_bounds, Hy).
    rewrite sqrt_mult in C by lra. replace (sqrt (inner f f / 4)) with (sqrt (inner f f) / 2) in C.
    - eapply Rle_trans; [apply Rle_abs | exact C].
    - rewrite sqrt_div_alt by lra. replace (sqrt 4) with 2; [reflexivity |]. symmetry. apply sqrt_lem_1; lra. }
  change (l1 n pi q <= (sum n (fun y => L y * Rabs (f y)) + sqrt (sum n L) * sqrt (inner f f)) / 2). rewrite Split. lra.
Qed.

(** How far the bounds are from the truth: r - c is l less a vector orthogonal to it, the game's reply to pi - q. *)
Local Notation turn := (fun y => win n P (fun z => pi z - q z) y / tau).

(** N18.  ||r - c||_L^2 = SymKL(pi, q) + ||P (pi - q) / tau - (b - c)||_L^2 for every c, b the residual of q. *)
Theorem N18_pythagoras : exists b, forall c, inner (fun y => r y - c) (fun y => r y - c) =
  sym_kl n pi q + inner (fun y => turn y - (b - c)) (fun y => turn y - (b - c)).
Proof.
  destruct (residual_nash n tau P mu mu_policy q q_nash) as [b Hb]. exists b. intro c.
  assert (R : forall y, (y < n)%nat -> r y - c = ell y - (turn y - (b - c))).
  { intros y Hy. rewrite <- (Hb y Hy) at 1. rewrite win_minus. unfold residual. field. lra. }
  assert (Orth : inner ell (fun y => turn y - (b - c)) = 0).
  { rewrite inner_log_ratio.
    pose proof (beats_skew n P pi q P_pref ltac:(rewrite (proj2 pi_policy), (proj2 sphere_q); reflexivity)) as K.
    transitivity (/ tau * beats n P (fun z => pi z - q z) (fun z => pi z - q z)
      - (b - c) * sum n (fun z => pi z - q z));
      [| rewrite K, sum_minus, (proj2 pi_policy), (proj2 sphere_q); ring].
    unfold beats, expect. rewrite <- !sum_scal, <- sum_minus. apply sum_ext. intros y _. field. lra. }
  destruct (N18_sphere c) as [<- _].
  transitivity (inner ell ell - 2 * inner ell (fun y => turn y - (b - c))
    + inner (fun y => turn y - (b - c)) (fun y => turn y - (b - c)));
    [| rewrite Orth; ring].
  unfold log_mean_inner. rewrite <- sum_scal, <- sum_minus, <- sum_plus. apply sum_ext. intros y Hy. rewrite (R y Hy).
  ring.
Qed.

(** ** From pi alone *)

(** E_L f <= E_pi f + ||pi - q||_1 B / 4 for 0 <= f <= B: the mean of pi and q is no further from pi. *)
Lemma weights_to_policy f B : (forall y, (y < n)%nat -> 0 <= f y <= B) ->
  sum n (fun y => L y * f y) <= expect n pi f + l1 n pi q * B / 4.
Proof.
  intro Hf. apply Rle_trans with (sum n (fun y => (pi y + q y) / 2 * f y)).
  { apply sum_le. intros y Hy. apply Rmult_le_compat_r; [apply Hf, Hy | apply weight_bounds, Hy]. }
  pose proof (zero_sum_osc n (fun y => q y - pi y) f) as Z. rewrite sum_minus, (proj2 pi_policy), (proj2 sphere_q) in Z.
  specialize (Z ltac:(ring)). fold (l1 n q pi) in Z. rewrite l1_sym in Z.
  assert (O : osc n f <= B).
  { apply osc_le; [apply (policy_n_pos n pi pi_policy) |]. intros i j Hi Hj. pose proof (Hf i Hi).
    pose proof (Hf j Hj). lra. }
  pose proof (l1_nonneg n pi q).
  assert (osc n f / 2 * l1 n pi q <= B / 2 * l1 n pi q) by (apply Rmult_le_compat_r; lra).
  replace (sum n (fun y => (pi y + q y) / 2 * f y)) with (expect n pi f + sum n (fun y => (q y - pi y) * f y) / 2);
    [lra |].
  unfold expect, Rdiv. rewrite <- sum_scal_r, <- sum_plus. apply sum_ext. intros; field.
Qed.

(** One step of the certificate: from a bound u of ||pi - q||_1 to another. *)
Definition sharpen (e f2 M u : R) : R := (e + u * M / 4 + sqrt (f2 + u * M ^ 2 / 4)) / 2.

Lemma sharpen_increasing e f2 M u u' : 0 <= M -> u <= u' -> sharpen e f2 M u <= sharpen e f2 M u'.
Proof.
  intros HM Hu. unfold sharpen. pose proof (pow2_ge_0 M).
  assert (u * M <= u' * M) by (apply Rmult_le_compat_r; lra).
  assert (u * M ^ 2 <= u' * M ^ 2) by (apply Rmult_le_compat_r; lra).
  pose proof (sqrt_le_1_alt (f2 + u * M ^ 2 / 4) (f2 + u' * M ^ 2 / 4) ltac:(lra)). lra.
Qed.

Section Moments.

(** Upper bounds of |r - c|, E_pi|r - c| and E_pi(r - c)^2, for any centre c: what is computed is rounded upwards. *)
Variables c M e f2 : R.
Hypothesis M_bound : forall y, (y < n)%nat -> Rabs (r y - c) <= M.
Hypothesis e_bound : expect n pi (fun y => Rabs (r y - c)) <= e.
Hypothesis f2_bound : expect n pi (fun y => (r y - c) ^ 2) <= f2.

Lemma M_nonneg : 0 <= M.
Proof. pose proof (M_bound O (policy_n_pos n pi pi_policy)). pose proof (Rabs_pos (r O - c)). lra. Qed.

Lemma square_norm : inner (fun y => r y - c) (fun y => r y - c) <= f2 + l1 n pi q * M ^ 2 / 4.
Proof.
  unfold log_mean_inner. rewrite (sum_ext n _ (fun y => L y * (r y - c) ^ 2)) by (intros; ring).
  eapply Rle_trans; [apply (weights_to_policy (fun y => (r y - c) ^ 2) (M ^ 2)) | lra].
  intros y Hy. split; [apply pow2_ge_0 |]. rewrite <- pow2_abs. apply pow_incr.
  split; [apply Rabs_pos | apply M_bound, Hy].
Qed.

(** N18 (c).  x = ||pi - q||_1 obeys x <= (E_pi|r - c| + x M / 4 + sqrt(E_pi(r - c)^2 + x M^2 / 4)) / 2. *)
Theorem N18_self_bound : l1 n pi q <= sharpen e f2 M (l1 n pi q).
Proof.
  eapply Rle_trans; [apply (N18_l1 c) |]. unfold sharpen.
  pose proof (weights_to_policy (fun y => Rabs (r y - c)) M
    ltac:(intros y Hy; split; [apply Rabs_pos | apply M_bound, Hy])) as F.
  assert (W : sqrt (sum n L) <= 1) by (rewrite <- sqrt_1; apply sqrt_le_1_alt, weights_sum).
  pose proof (sqrt_le_1_alt _ _ square_norm) as S. pose proof (sqrt_pos (sum n L)).
  pose proof (sqrt_pos (inner (fun y => r y - c) (fun y => r y - c))).
  assert (sqrt (sum n L) * sqrt (inner (fun y => r y - c) (fun y => r y - c))
    <= 1 * sqrt (f2 + l1 n pi q * M ^ 2 / 4)) by (apply Rmult_le_compat; lra).
  cbv beta in F. lra.
Qed.

(** N18 (c).  So from any upper bound u of the distance the right-hand side is another: it may be iterated. *)
Theorem N18_distance u : l1 n pi q <= u -> l1 n pi q <= sharpen e f2 M u.
Proof. intro H. eapply Rle_trans; [apply N18_self_bound | apply sharpen_increasing; [apply M_nonneg | exact H]]. Qed.

Theorem N18_iterated u k : l1 n pi q <= u -> l1 n pi q <= Nat.iter k (sharpen e f2 M) u.
Proof. intro H. induction k as [| k IH]; [exact H | apply N18_distance, IH]. Qed.

(** N18 (c), in closed form.  ||pi - q||_1 <= M^2 / 8 + sqrt(E_pi(r - c)^2 + M^4 / 64). *)
Theorem N18_closed_form : l1 n pi q <= M ^ 2 / 8 + sqrt (f2 + M ^ 4 / 64).
Proof.
  pose proof (pinsker_symmetric n pi q pi_policy sphere_q) as Pi. pose proof (N18_symmetric_divergence c) as S.
  pose proof (sym_kl_nonneg n pi q pi_policy sphere_q). pose proof (inner_nonneg (fun y => r y - c)) as In.
  apply sqrt_le_0 in S; try assumption. pose proof square_norm. set (x := l1 n pi q) in *.
  assert (Q : (x - M ^ 2 / 8) ^ 2 <= f2 + M ^ 4 / 64) by nra.
  apply abs_le_sqrt in Q. pose proof (Rle_abs (x - M ^ 2 / 8)). lra.
Qed.

End Moments.

End Sphere.

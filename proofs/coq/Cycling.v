(** * How fast any game can cycle (N4, N3), and the sphere's radius (N18 (a)), for every number of responses.

    A linearised step turns in the spectrum of A D, D = diag(p) - p p^T.  In the inner product weighted by p, A is skew
    with norm at most 1/pi: its form is an integral over pairs of plane vectors (f, g), to which the zonogon's
    isoperimetric inequality applies. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate LogMean Slic Identities Zonogon.
Open Scope R_scope.

(** |a . A b| <= (sum |(a, b)|)^2 / 2 pi, with equality only for 0. *)
Lemma form_area n P a b : pref n P ->
  let form := Rabs (sum n (fun y => a y * skew_apply n P b y)) in let length := sum n (fun y => sqrt (a y ^ 2 + b y ^ 2)) in
  form <= 1 / (2 * PI) * length ^ 2 /\ (0 < length -> form < 1 / (2 * PI) * length ^ 2).
Proof.
  intros [HP Unit]. cbv zeta. pose proof PI_RGT_0 as P0. set (S := sum n (fun y => a y * skew_apply n P b y)).
  set (K := fun y z => (P y z - 1 / 2) * (a y * b z)).
  assert (E : S = sum n (fun y => sum n (K y))).
  { apply sum_ext. intros y _. unfold skew_apply. rewrite <- sum_scal. apply sum_ext. intros z _. unfold K. ring. }
  assert (Two : 2 * S = sum n (fun y => sum n (fun z => (P y z - 1 / 2) * (a y * b z - a z * b y)))).
  { assert (E' : S = sum n (fun y => sum n (fun z => K z y))) by (rewrite E; apply sum_swap).
    transitivity (sum n (fun y => sum n (K y)) + sum n (fun y => sum n (fun z => K z y))); [lra |].
    rewrite <- sum_plus. apply sum_ext.
    intros y Hy. rewrite <- sum_plus. apply sum_ext. intros z Hz. unfold K. pose proof (HP y z Hy Hz).
    replace (P z y) with (1 - P y z) by lra. field. }
  assert (Area : 2 * Rabs S <= 1 / 2 * sum n (fun y => sum n (fun z => Rabs (a y * b z - a z * b y)))).
  { rewrite <- (Rabs_pos_eq 2) at 1 by lra. rewrite <- Rabs_mult, Two, <- sum_scal.
    eapply Rle_trans; [apply sum_abs |]. apply sum_le. intros y Hy. rewrite <- sum_scal.
    eapply Rle_trans; [apply sum_abs |]. apply sum_le. intros z Hz. rewrite Rabs_mult.
    apply Rmult_le_compat_r; [apply Rabs_pos |]. pose proof (Unit y z Hy Hz). apply Rabs_le. lra. }
  destruct (zonogon_area n a b) as [Z Zs]. cbv beta zeta in Z, Zs. set (N := sum n (fun y => sqrt (a y ^ 2 + b y ^ 2))) in *.
  replace (1 / (2 * PI) * N ^ 2) with (1 / 4 * (2 / PI * N ^ 2)) by (field; lra).
  split; [lra |]. intro Pos. specialize (Zs Pos). lra.
Qed.

(** |<f, A g>_w| <= (sum w / 2 pi) (|f|_w^2 + |g|_w^2) for all weights w >= 0, with equality only for 0. *)
Lemma turn_form n P w f g : pref n P -> (forall y, (y < n)%nat -> 0 <= w y) ->
  let form := Rabs (sum n (fun y => w y * f y * skew_apply n P (fun z => w z * g z) y)) in
  let size := sum n (fun y => w y * (f y ^ 2 + g y ^ 2)) in
  form <= sum n w / (2 * PI) * size /\ (0 < size -> form < sum n w / (2 * PI) * size).
Proof.
  intros HP Hw. cbv zeta. pose proof PI_RGT_0 as P0.
  destruct (form_area n P (fun y => w y * f y) (fun y => w y * g y) HP) as [F Fs]. cbv beta zeta in F, Fs.
  set (r := fun y => sqrt (f y ^ 2 + g y ^ 2)).
  assert (Sq : forall y, r y ^ 2 = f y ^ 2 + g y ^ 2).
  { intro y. unfold r. rewrite <- Rsqr_pow2. apply Rsqr_sqrt. nra. }
  assert (Len : sum n (fun i => sqrt ((w i * f i) ^ 2 + (w i * g i) ^ 2)) = sum n (fun y => w y * r y * 1)).
  { apply sum_ext. intros y Hy. unfold r. replace ((w y * f y) ^ 2 + (w y * g y) ^ 2) with (w y ^ 2 * (f y ^ 2 + g y ^ 2)) by ring.
    rewrite sqrt_mult_alt, sqrt_pow2 by (apply pow2_ge_0 || apply Hw, Hy). ring. }
  pose proof (weighted_cauchy_schwarz n w r (fun _ => 1) Hw) as C. cbv beta in C.
  rewrite <- Len in C.
  rewrite (sum_ext n (fun y => w y * r y * r y) (fun y => w y * (f y ^ 2 + g y ^ 2))) in C
    by (intros y _; rewrite <- Sq; ring).
  rewrite (sum_ext n (fun y => w y * 1 * 1) w) in C by (intros; ring).
  set (N := sum n (fun i => sqrt ((w i * f i) ^ 2 + (w i * g i) ^ 2))) in *.
  set (size := sum n (fun y => w y * (f y ^ 2 + g y ^ 2))) in *.
  assert (1 / (2 * PI) * N ^ 2 <= 1 / (2 * PI) * (size * sum n w)).
  { apply Rmult_le_compat_l; [apply Rlt_le, Rdiv_lt_0_compat; lra | exact C]. }
  replace (sum n w / (2 * PI) * size) with (1 / (2 * PI) * (size * sum n w)) by (field; lra).
  split; [lra |]. intro Pos. enough (0 < N) by (pose proof (Fs ltac:(assumption)); lra).
  destruct (Rle_lt_or_eq_dec 0 N) as [L | E0]; [apply sum_nonneg; intros; apply sqrt_pos | exact L | exfalso].
  assert (Zero : size = 0); [| lra]. unfold size. rewrite (sum_ext n _ (fun _ => 0)); [apply sum_zero |]. intros y Hy.
  assert (Each : forall i, (i < n)%nat -> 0 <= w i * r i * 1).
  { intros i Hi. rewrite Rmult_1_r. apply Rmult_le_pos; [apply Hw, Hi | apply sqrt_pos]. }
  pose proof (sum_nonneg_zero n _ Each (eq_trans (eq_sym Len) (eq_sym E0)) y Hy) as Wr. cbv beta in Wr.
  rewrite <- Sq. replace (w y * r y ^ 2) with (w y * r y * 1 * r y) by ring. rewrite Wr. ring.
Qed.

(** N4, as a norm: |A (w g)|_w <= (sum w / pi) |g|_w. *)
Theorem N4_operator n P w g : pref n P -> (forall y, (y < n)%nat -> 0 <= w y) ->
  sum n (fun y => w y * skew_apply n P (fun z => w z * g z) y ^ 2) <= (sum n w / PI) ^ 2 * sum n (fun y => w y * g y ^ 2).
Proof.
  intros HP Hw. pose proof PI_RGT_0 as P0. set (h := skew_apply n P (fun z => w z * g z)).
  set (W := sum n w). set (H := sum n (fun y => w y * h y ^ 2)). set (G := sum n (fun y => w y * g y ^ 2)).
  assert (W0 : 0 <= W) by (apply sum_nonneg; exact Hw).
  assert (Form : forall t, 0 < t -> H <= W / (2 * PI) * (t * H + / t * G)).
  { intros t Ht. pose proof (turn_form n P w (fun y => sqrt t * h y) (fun y => / sqrt t * g y) HP Hw) as [B _]. cbv beta in B.
    assert (R0 : 0 < sqrt t) by (apply sqrt_lt_R0, Ht). assert (R2 : sqrt t ^ 2 = t) by (rewrite <- Rsqr_pow2; apply Rsqr_sqrt; lra).
    rewrite (sum_ext n (fun y => w y * (sqrt t * h y) * _ y) (fun y => w y * h y ^ 2)) in B.
    - fold H in B. rewrite Rabs_pos_eq in B.
      + eapply Rle_trans; [exact B |]. fold W. apply Req_le. f_equal. unfold H, G. rewrite <- !sum_scal, <- sum_plus.
        apply sum_ext. intros y _. replace ((/ sqrt t * g y) ^ 2) with (/ t * g y ^ 2).
        * replace ((sqrt t * h y) ^ 2) with (sqrt t ^ 2 * h y ^ 2) by ring. rewrite R2. ring.
        * rewrite <- R2 at 1. field. lra.
      + apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [apply Hw, Hy | apply pow2_ge_0].
    - intros y _.
      assert (Sc : skew_apply n P (fun z => w z * (/ sqrt t * g z)) y = / sqrt t * h y).
      { unfold h, skew_apply. rewrite <- sum_scal. apply sum_ext. intros; ring. }
      rewrite Sc. field. lra. }
  assert (G0 : 0 <= G) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply Hw, Hy | apply pow2_ge_0]).
  destruct W0 as [W0 | Z].
  - pose proof (Form (PI / W) ltac:(apply Rdiv_lt_0_compat; lra)) as B.
    replace (W / (2 * PI) * (PI / W * H + / (PI / W) * G)) with (H / 2 + (W / PI) ^ 2 * G / 2) in B by (field; lra). lra.
  - pose proof (Form 1 ltac:(lra)) as B. rewrite <- Z in *. replace (0 / PI) with 0 by (field; lra). lra.
Qed.

Section Spectrum.

Variables (n : nat) (P : nat -> nat -> R) (pi : nat -> R).
Hypothesis P_pref : pref n P.
Hypothesis pi_dist : dist n pi.

Local Notation AD u := (skew_apply n P (D_apply n pi u)).
Local Notation mean u := (sum n (fun y => pi y * u y)).
Local Notation var u := (sum n (fun y => pi y * (u y - mean u) ^ 2)).

(** <f, A D g>, f and g centred, is skew in f and g. *)
Lemma form_skew u v : sum n (fun y => D_apply n pi u y * AD v y) = - sum n (fun y => D_apply n pi v y * AD u y).
Proof.
  assert (E : forall a b, sum n (fun y => D_apply n pi a y * AD b y)
    = sum n (fun y => sum n (fun z => (P y z - 1 / 2) * (D_apply n pi a y * D_apply n pi b z)))).
  { intros a b. apply sum_ext. intros y _. unfold skew_apply. rewrite <- sum_scal. apply sum_ext. intros; ring. }
  rewrite (E u v), (E v u), sum_swap, <- sum_opp. apply sum_ext. intros y Hy. rewrite <- sum_opp. apply sum_ext. intros z Hz.
  pose proof (proj1 P_pref y z Hy Hz). replace (P z y) with (1 - P y z) by lra. field.
Qed.

Lemma form_bound u v : let form := 2 * Rabs (sum n (fun y => D_apply n pi u y * AD v y)) in
  form <= 1 / PI * (var u + var v) /\ (0 < var u + var v -> form < 1 / PI * (var u + var v)).
Proof.
  pose proof PI_RGT_0. destruct pi_dist as [Hpi S].
  pose proof (turn_form n P pi (fun y => u y - mean u) (fun y => v y - mean v) P_pref Hpi) as B. cbv beta zeta in B.
  rewrite S in B. change (fun z => pi z * (v z - mean v)) with (D_apply n pi v) in B.
  change (sum n (fun x => pi x * (u x - mean u) * AD v x)) with (sum n (fun x => D_apply n pi u x * AD v x)) in B.
  rewrite (sum_ext n (fun y => pi y * ((u y - mean u) ^ 2 + (v y - mean v) ^ 2))
    (fun y => pi y * (u y - mean u) ^ 2 + pi y * (v y - mean v) ^ 2)), sum_plus in B by (intros; ring).
  replace (1 / PI * (var u + var v)) with (2 * (1 / (2 * PI) * (var u + var v))) by (field; lra).
  cbv zeta. destruct B as [B Bs]. split; [lra |]. intro V. specialize (Bs V). lra.
Qed.

Lemma inner_variance u v : sum n (fun y => D_apply n pi u y * v y) = sum n (fun y => pi y * (u y - mean u) * (v y - mean v)).
Proof.
  transitivity (sum n (fun y => pi y * (u y - mean u) * v y) - mean v * (mean u - mean u * sum n pi)).
  - rewrite (proj2 pi_dist). unfold D_apply. ring.
  - rewrite <- (sum_scal n (mean u) pi), <- sum_minus, <- sum_scal, <- sum_minus. apply sum_ext. intros; ring.
Qed.

Lemma var_nonneg u : 0 <= var u.
Proof. apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [apply pi_dist, Hy | apply pow2_ge_0]. Qed.

(** N4.  An eigenvalue alpha + i omega of A D, with the eigenvector u + i v: alpha = 0 and |omega| < 1/pi. *)
Theorem N4_every_n alpha omega u v :
  (forall y, (y < n)%nat -> AD u y = alpha * u y - omega * v y /\ AD v y = alpha * v y + omega * u y) ->
  (exists y, (y < n)%nat /\ (u y <> 0 \/ v y <> 0)) -> alpha = 0 /\ Rabs omega < 1 / PI.
Proof.
  intros Eig [k [Hk Nz]]. pose proof PI_RGT_0 as P0. pose proof (var_nonneg u) as Vu. pose proof (var_nonneg v) as Vv.
  set (c := sum n (fun y => D_apply n pi u y * v y)).
  assert (Sym : sum n (fun y => D_apply n pi v y * u y) = c).
  { unfold c. rewrite !inner_variance. apply sum_ext. intros; ring. }
  assert (Var : forall a, sum n (fun y => D_apply n pi a y * a y) = var a).
  { intro a. rewrite inner_variance. apply sum_ext. intros; ring. }
  assert (Expand : forall a, sum n (fun y => D_apply n pi a y * AD u y)
      = alpha * sum n (fun y => D_apply n pi a y * u y) - omega * sum n (fun y => D_apply n pi a y * v y) /\
    sum n (fun y => D_apply n pi a y * AD v y)
      = alpha * sum n (fun y => D_apply n pi a y * v y) + omega * sum n (fun y => D_apply n pi a y * u y)).
  { intro a. rewrite <- !sum_scal, <- sum_minus, <- sum_plus.
    split; apply sum_ext; intros y Hy; destruct (Eig y Hy) as [E1 E2]; rewrite ?E1, ?E2; ring. }
  destruct (Expand u) as [Uu Uv]. destruct (Expand v) as [Vu' Vv'].
  rewrite Var in Uu, Uv, Vv'. fold c in Uu, Uv. rewrite Var in Vu'. rewrite Sym in Vu', Vv'.
  pose proof (form_skew u u) as Kuu. pose proof (form_skew v v) as Kvv. pose proof (form_skew u v) as Kuv.
  pose proof (form_bound u v) as B.
  destruct (Req_dec (var u + var v) 0) as [Z | N].
  - (* a constant vector: A D vanishes on it *)
    assert (Flat : forall a, var a = 0 -> forall y, (y < n)%nat -> AD a y = 0).
    { intros a Ha y Hy. unfold skew_apply. rewrite (sum_ext n _ (fun _ => 0)); [apply sum_zero |]. intros z Hz.
      assert (D0 : D_apply n pi a z = 0); [| rewrite D0; ring].
      pose proof (sum_nonneg_zero n (fun y => pi y * (a y - mean a) ^ 2)
        (fun y' Hy' => Rmult_le_pos _ _ (proj1 pi_dist y' Hy') (pow2_ge_0 _)) Ha z Hz) as E. cbv beta in E.
      unfold D_apply. destruct (Rmult_integral _ _ E) as [-> | E']; [ring |].
      assert (a z - mean a = 0) as -> by (apply Rsqr_0_uniq; unfold Rsqr; lra). ring. }
    destruct (Eig k Hk) as [E1 E2]. rewrite Flat in E1, E2 by (exact Hk || lra).
    assert (Sq : (alpha ^ 2 + omega ^ 2) * (u k ^ 2 + v k ^ 2) = 0).
    { replace ((alpha ^ 2 + omega ^ 2) * (u k ^ 2 + v k ^ 2))
        with ((alpha * u k - omega * v k) ^ 2 + (alpha * v k + omega * u k) ^ 2) by ring. rewrite <- E1, <- E2. ring. }
    pose proof (pow2_ge_0 alpha). pose proof (pow2_ge_0 omega).
    pose proof (pow2_ge_0 (u k)). pose proof (pow2_ge_0 (v k)).
    destruct (Rmult_integral _ _ Sq) as [E | E]; [| exfalso; destruct Nz as [Nz | Nz]; apply Nz, Rsqr_0_uniq; unfold Rsqr; lra].
    assert (alpha = 0) by (apply Rsqr_0_uniq; unfold Rsqr; lra).
    assert (omega = 0) by (apply Rsqr_0_uniq; unfold Rsqr; lra). subst. split; [reflexivity |].
    rewrite Rabs_R0. apply Rdiv_lt_0_compat; lra.
  - assert (A0 : alpha * (var u + var v) = 0) by lra.
    destruct (Rmult_integral _ _ A0) as [E | E]; [| contradiction]. split; [exact E |].
    assert (V : 0 < var u + var v) by lra. subst alpha.
    assert (Om : omega * (var u + var v) = 2 * sum n (fun y => D_apply n pi u y * AD v y)) by lra.
    apply Rmult_lt_reg_r with (var u + var v); [exact V |]. rewrite <- (Rabs_pos_eq (var u + var v)) at 1 by lra.
    rewrite <- Rabs_mult, Om, Rabs_mult, (Rabs_pos_eq 2) by lra. apply B, V.
Qed.

(** N3.  tau D - D A D, preconditioned by any positive c (plain, natural or frozen Adam's), in units of a step: an
    eigenvalue alpha + i omega has |omega| <= (lambda/tau) alpha and 0 <= alpha <= tau max Var/|.|_c^2; lambda bounds A's
    form, as 1/pi always does. *)
Theorem N3_preconditioned tau c alpha omega u v k lam : 0 < tau ->
  (forall a b, 2 * Rabs (sum n (fun y => D_apply n pi a y * AD b y)) <= lam * (var a + var b)) -> (forall y, (y < n)%nat -> 0 < c y) ->
  (forall y, (y < n)%nat ->
    tau * D_apply n pi u y - D_apply n pi (AD u) y = c y * (alpha * u y - omega * v y) /\
    tau * D_apply n pi v y - D_apply n pi (AD v) y = c y * (alpha * v y + omega * u y)) ->
  (exists y, (y < n)%nat /\ (u y <> 0 \/ v y <> 0)) ->
  (forall a, var a <= k * sum n (fun y => c y * a y ^ 2)) ->
  Rabs omega <= lam / tau * alpha /\ 0 <= alpha <= tau * k.
Proof.
  intros Ht Lam Hc Eig [i [Hi Nz]] Kmax.
  set (N := sum n (fun y => c y * u y ^ 2) + sum n (fun y => c y * v y ^ 2)).
  assert (N0 : 0 < N).
  { assert (T : forall a, 0 <= sum n (fun y => c y * a y ^ 2) /\ (a i <> 0 -> 0 < sum n (fun y => c y * a y ^ 2))).
    { intro a. assert (Each : forall y, (y < n)%nat -> 0 <= c y * a y ^ 2).
      { intros y Hy. apply Rmult_le_pos; [apply Rlt_le, Hc, Hy | apply pow2_ge_0]. }
      split; [apply sum_nonneg, Each |]. intro Ha.
      apply Rlt_le_trans with (c i * a i ^ 2); [| apply (sum_lower_bound n (fun y => c y * a y ^ 2) i Each Hi)].
      apply Rmult_lt_0_compat; [apply Hc, Hi | nra]. }
    destruct (T u) as [U0 U1]. destruct (T v) as [V0 V1]. unfold N. destruct Nz as [Z | Z]; [specialize (U1 Z) | specialize (V1 Z)]; lra. }
  assert (Symmetric : forall a b, sum n (fun y => a y * D_apply n pi b y) = sum n (fun y => D_apply n pi a y * b y)).
  { intros a b. transitivity (sum n (fun y => D_apply n pi b y * a y)); [apply sum_ext; intros; ring |].
    rewrite !inner_variance. apply sum_ext. intros; ring. }
  assert (Var : forall a, sum n (fun y => D_apply n pi a y * a y) = var a).
  { intro a. rewrite inner_variance. apply sum_ext. intros; ring. }
  set (cross := sum n (fun y => c y * (u y * v y))).
  assert (Expand : forall a,
    tau * sum n (fun y => a y * D_apply n pi u y) - sum n (fun y => a y * D_apply n pi (AD u) y)
      = alpha * sum n (fun y => c y * (a y * u y)) - omega * sum n (fun y => c y * (a y * v y)) /\
    tau * sum n (fun y => a y * D_apply n pi v y) - sum n (fun y => a y * D_apply n pi (AD v) y)
      = alpha * sum n (fun y => c y * (a y * v y)) + omega * sum n (fun y => c y * (a y * u y))).
  { intro a. rewrite <- !sum_scal, <- !sum_minus, <- sum_plus.
    split; apply sum_ext; intros y Hy; destruct (Eig y Hy) as [E1 E2].
    - replace (tau * (a y * D_apply n pi u y) - a y * D_apply n pi (AD u) y)
        with (a y * (tau * D_apply n pi u y - D_apply n pi (AD u) y)) by ring. rewrite E1. ring.
    - replace (tau * (a y * D_apply n pi v y) - a y * D_apply n pi (AD v) y)
        with (a y * (tau * D_apply n pi v y - D_apply n pi (AD v) y)) by ring. rewrite E2. ring. }
  destruct (Expand u) as [Uu Uv]. destruct (Expand v) as [Vu Vv].
  rewrite !Symmetric, Var in Uu. rewrite !Symmetric, Var in Vv. rewrite !Symmetric in Uv, Vu.
  assert (Cuv : sum n (fun y => c y * (v y * u y)) = cross) by (apply sum_ext; intros; ring).
  assert (Cuu : forall a, sum n (fun y => c y * (a y * a y)) = sum n (fun y => c y * a y ^ 2)) by (intro; apply sum_ext; intros; ring).
  rewrite !Cuu in Uu, Uv, Vu, Vv. rewrite Cuv in Vu, Vv. fold cross in Uu, Uv.
  assert (Dsym : sum n (fun y => D_apply n pi v y * u y) = sum n (fun y => D_apply n pi u y * v y)).
  { rewrite !inner_variance. apply sum_ext. intros; ring. }
  rewrite Dsym in Vu.
  pose proof (form_skew u u) as Kuu. pose proof (form_skew v v) as Kvv. pose proof (form_skew u v) as Kuv.
  pose proof (Lam u v) as B. pose proof (var_nonneg u) as V0. pose proof (var_nonneg v) as V0'.
  assert (Re : alpha * N = tau * (var u + var v)) by (unfold N; lra).
  assert (Im : omega * N = - (2 * sum n (fun y => D_apply n pi u y * AD v y))) by (unfold N; lra).
  assert (A0 : 0 <= alpha).
  { apply Rmult_le_reg_r with N; [exact N0 |]. rewrite Re, Rmult_0_l. apply Rmult_le_pos; lra. }
  split; [| split; [exact A0 |]].
  - apply Rmult_le_reg_r with N; [exact N0 |]. rewrite <- (Rabs_pos_eq N) at 1 by lra. rewrite <- Rabs_mult, Im.
    replace (lam / tau * alpha * N) with (lam / tau * (alpha * N)) by ring. rewrite Re.
    replace (lam / tau * (tau * (var u + var v))) with (lam * (var u + var v)) by (field; lra).
    rewrite Rabs_Ropp, Rabs_mult, (Rabs_pos_eq 2) by lra. exact B.
  - apply Rmult_le_reg_r with N; [exact N0 |]. rewrite Re. pose proof (Kmax u). pose proof (Kmax v).
    replace (tau * k * N) with (tau * (k * N)) by ring. apply Rmult_le_compat_l; [lra |]. unfold N. lra.
Qed.

(** N3 with N4: lambda = 1/pi will do for every game. *)
Corollary N3_every_game tau c alpha omega u v k : 0 < tau -> (forall y, (y < n)%nat -> 0 < c y) ->
  (forall y, (y < n)%nat ->
    tau * D_apply n pi u y - D_apply n pi (AD u) y = c y * (alpha * u y - omega * v y) /\
    tau * D_apply n pi v y - D_apply n pi (AD v) y = c y * (alpha * v y + omega * u y)) ->
  (exists y, (y < n)%nat /\ (u y <> 0 \/ v y <> 0)) ->
  (forall a, var a <= k * sum n (fun y => c y * a y ^ 2)) -> Rabs omega <= alpha / (PI * tau).
Proof.
  intros Ht Hc Eig Nz Kmax. pose proof PI_RGT_0.
  destruct (N3_preconditioned tau c alpha omega u v k (1 / PI) Ht (fun a b => proj1 (form_bound a b)) Hc Eig Nz Kmax) as [B _].
  replace (alpha / (PI * tau)) with (1 / PI / tau * alpha) by (field; lra). exact B.
Qed.

(** *** One-step maps in n dimensions (R3): on log-policies modulo constants, measured by their variance under pi, AD is
    skew, and at most lambda long; the maps shrink by their multipliers' moduli at i lambda. *)

Variable lam : R.
Hypothesis AD_short : forall v, var (AD v) <= lam ^ 2 * var v.

Lemma variance_split p q v : var (fun y => p * v y + q * AD v y) = p ^ 2 * var v + q ^ 2 * var (AD v).
Proof.
  pose proof (form_skew v v) as K. rewrite inner_variance in K.
  assert (M : mean (fun y => p * v y + q * AD v y) = p * mean v + q * mean (AD v)).
  { rewrite <- !sum_scal, <- sum_plus. apply sum_ext. intros; ring. }
  cbv beta in *. rewrite M. transitivity (p ^ 2 * var v + q ^ 2 * var (AD v)
    + 2 * p * q * sum n (fun y => pi y * (v y - mean v) * (AD v y - mean (AD v))));
    [| replace (sum n (fun y => pi y * (v y - mean v) * (AD v y - mean (AD v)))) with 0 by lra; ring].
  rewrite <- (sum_scal n (p ^ 2)), <- (sum_scal n (q ^ 2)), <- (sum_scal n (2 * p * q)), <- !sum_plus.
  apply sum_ext. intros; ring.
Qed.

(** R3 (OMD), v -> (1 - eta tau) v + eta A D v. *)
Theorem R3_omd_every_n tau eta v :
  var (fun y => (1 - eta * tau) * v y + eta * AD v y) <= ((1 - eta * tau) ^ 2 + (eta * lam) ^ 2) * var v.
Proof.
  pose proof (variance_split (1 - eta * tau) eta v) as E. cbv beta in *. rewrite E. replace ((1 - eta * tau) ^ 2 + (eta * lam) ^ 2) with ((1 - eta * tau) ^ 2 + eta ^ 2 * lam ^ 2) by ring.
  rewrite Rmult_plus_distr_r, Rmult_assoc. apply Rplus_le_compat_l, Rmult_le_compat_l; [apply pow2_ge_0 | apply AD_short].
Qed.

(** R3 (MMD), v -> (v + eta A D v)/(1 + eta tau). *)
Theorem R3_mmd_every_n tau eta v : 0 < 1 + eta * tau ->
  var (fun y => / (1 + eta * tau) * v y + eta / (1 + eta * tau) * AD v y) <= (1 + (eta * lam) ^ 2) / (1 + eta * tau) ^ 2 * var v.
Proof.
  intro H. pose proof (variance_split (/ (1 + eta * tau)) (eta / (1 + eta * tau)) v) as E. cbv beta in *. rewrite E.
  replace ((1 + (eta * lam) ^ 2) / (1 + eta * tau) ^ 2 * var v)
    with ((/ (1 + eta * tau)) ^ 2 * var v + (eta / (1 + eta * tau)) ^ 2 * (lam ^ 2 * var v)) by (field; lra).
  apply Rplus_le_compat_l, Rmult_le_compat_l; [apply pow2_ge_0 | apply AD_short].
Qed.

End Spectrum.

(** ... where lambda = 1/pi will do for every game. *)
Lemma AD_always_short n P pi v : pref n P -> dist n pi ->
  let variance u := sum n (fun y => pi y * (u y - sum n (fun z => pi z * u z)) ^ 2) in
  variance (skew_apply n P (D_apply n pi v)) <= (1 / PI) ^ 2 * variance v.
Proof.
  intros HP Hpi. cbv zeta. destruct Hpi as [Pos S]. set (h := skew_apply n P (D_apply n pi v)).
  set (mean := sum n (fun z => pi z * v z)). set (e := sum n (fun z => pi z * h z)).
  pose proof (N4_operator n P pi (fun y => v y - mean) HP Pos) as B. cbv beta in B. rewrite S in B.
  change (skew_apply n P (fun z => pi z * (v z - mean))) with h in B. eapply Rle_trans; [| exact B].
  apply Rle_trans with (sum n (fun y => pi y * h y ^ 2) - e ^ 2); [| pose proof (pow2_ge_0 e); lra].
  apply Req_le. transitivity (sum n (fun y => pi y * h y ^ 2) - 2 * e * sum n (fun z => pi z * h z) + e ^ 2 * sum n pi);
    [| rewrite S; fold e; ring].
  rewrite <- !sum_scal, <- sum_minus, <- sum_plus. apply sum_ext. intros; ring.
Qed.

(** N18 (a), right half: |r - c|_L <= sqrt(1 + 1/(pi tau)^2) sqrt(SymKL) for the best c. *)
Theorem N18_tight n tau P mu q pi : 0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q -> policy n pi ->
  exists c, log_mean_inner n pi q (fun y => residual n tau P mu pi y - c) (fun y => residual n tau P mu pi y - c)
    <= (1 + 1 / (PI * tau) ^ 2) * sym_kl n pi q.
Proof.
  intros Ht HP Hmu Nq Hpi. pose proof PI_RGT_0 as P0. pose proof (nash_policy n tau P mu q Hmu Nq) as Hq.
  destruct (N18_pythagoras n tau P mu q pi Ht (proj1 HP) Hmu Nq Hpi) as [b Py]. exists b. rewrite Py.
  set (w := fun y => log_mean (pi y) (q y)). set (l := fun y => ln (pi y) - ln (q y)).
  assert (Hw : forall y, (y < n)%nat -> 0 <= w y).
  { intros y Hy. apply Rlt_le, log_mean_bounds; [apply Hpi, Hy | apply Hq, Hy]. }
  assert (W1 : 0 <= sum n w <= 1).
  { split; [apply sum_nonneg, Hw |]. apply (weights_sum n tau P mu q pi Hmu Nq Hpi). }
  pose proof (N4_operator n P w l HP Hw) as B.
  assert (Sym : sum n (fun y => w y * l y ^ 2) = sym_kl n pi q).
  { destruct (N18_sphere n tau P mu q pi Ht (proj1 HP) Hmu Nq Hpi 0) as [<- _]. apply sum_ext. intros; unfold w, l; ring. }
  rewrite Sym in B.
  assert (S0 : 0 <= sym_kl n pi q).
  { rewrite <- Sym. apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [apply Hw, Hy | apply pow2_ge_0]. }
  set (turn := fun y => skew_apply n P (fun z => w z * l z) y).
  assert (T : forall y, (y < n)%nat -> win n P (fun z => pi z - q z) y / tau - (b - b) = turn y / tau).
  { intros y Hy. unfold turn, skew_apply, win.
    transitivity ((sum n (fun z => P y z * (pi z - q z)) - 1 / 2 * (sum n pi - sum n q)) / tau);
      [rewrite (proj2 Hpi), (proj2 Hq); field; lra |].
    f_equal. rewrite <- sum_minus, <- sum_scal, <- sum_minus. apply sum_ext. intros z Hz. unfold w, l.
    rewrite log_mean_spec by (apply Hpi, Hz || apply Hq, Hz). ring. }
  assert (E : log_mean_inner n pi q (fun y => win n P (fun z => pi z - q z) y / tau - (b - b))
      (fun y => win n P (fun z => pi z - q z) y / tau - (b - b)) = / tau ^ 2 * sum n (fun y => w y * turn y ^ 2)).
  { unfold log_mean_inner. rewrite <- sum_scal. apply sum_ext. intros y Hy. cbv beta. rewrite !T by exact Hy. unfold w. field. lra. }
  rewrite E.
  assert (sum n (fun y => w y * turn y ^ 2) <= / PI ^ 2 * sym_kl n pi q).
  { eapply Rle_trans; [exact B |]. apply Rmult_le_compat_r; [exact S0 |].
    replace ((sum n w / PI) ^ 2) with (/ PI ^ 2 * sum n w ^ 2) by (field; lra).
    rewrite <- (Rmult_1_r (/ PI ^ 2)) at 2. apply Rmult_le_compat_l; [apply Rlt_le, Rinv_0_lt_compat; nra | nra]. }
  assert (/ tau ^ 2 * sum n (fun y => w y * turn y ^ 2) <= / tau ^ 2 * (/ PI ^ 2 * sym_kl n pi q)).
  { apply Rmult_le_compat_l; [apply Rlt_le, Rinv_0_lt_compat; nra | assumption]. }
  replace ((1 + 1 / (PI * tau) ^ 2) * sym_kl n pi q) with (sym_kl n pi q + / tau ^ 2 * (/ PI ^ 2 * sym_kl n pi q)) by (field; lra).
  lra.
Qed.

(** N29.  The gap is at most (tau + 16/(9 pi^2 tau)) KL(pi || q): the exact term log E_q e^x of the gap is a supremum over nu of
    (nu - q) . A (pi - q) / tau - KL(nu || q), an area again. *)
Theorem N29_gap_bound n tau P mu q pi : 0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q -> dist n pi ->
  gap n tau P mu pi <= (tau + 16 / (9 * PI ^ 2 * tau)) * KL n pi q.
Proof.
  intros Ht HP Hmu Nq Hpi. pose proof PI_RGT_0 as P0. pose proof (nash_policy n tau P mu q Hmu Nq) as Hq.
  pose proof (policy_n_pos n q Hq) as Hn. pose proof Hq as [Pq Sq]. pose proof Hpi as [Pp Sp].
  set (x := fun y => (win n P pi y - win n P q y) / tau).
  assert (G : gap n tau P mu pi = tau * (KL n pi q + ln (expect n q (fun y => exp (x y - expect n q x))))).
  { apply (N29_gap_from_the_equilibrium n tau P mu Ht (proj1 HP) Hmu q pi Nq Hpi). }
  rewrite G.
  set (nu := gibbs n q x). pose proof (gibbs_policy n q Hn Pq x) as Hnu. fold nu in Hnu.
  pose proof (kl_gibbs n q Hn Pq x nu (proj2 Hnu)) as K. change (gibbs n q x) with nu in K. rewrite kl_self in K.
  assert (Log : ln (expect n q (fun y => exp (x y - expect n q x)))
    = sum n (fun y => (nu y - q y) * x y) - KL n nu q).
  { assert (E : expect n q (fun y => exp (x y - expect n q x)) = exp (- expect n q x) * gibbs_norm n q x).
    { unfold expect at 1, gibbs_norm. rewrite <- sum_scal. apply sum_ext. intros y _. unfold Rminus. rewrite exp_plus. ring. }
    rewrite E, ln_mult, ln_exp by (apply exp_pos || apply gibbs_norm_pos; assumption).
    transitivity (expect n nu x - expect n q x - KL n nu q); [lra |]. f_equal. unfold expect. rewrite <- sum_minus.
    apply sum_ext. intros; ring. }
  rewrite Log.
  set (t := 3 * PI * tau / 4). assert (T0 : 0 < t) by (unfold t; nra).
  set (st := sqrt t). assert (St : 0 < st) by (apply sqrt_lt_R0, T0).
  assert (St2 : st ^ 2 = t) by (unfold st; rewrite <- Rsqr_pow2; apply Rsqr_sqrt; lra).
  set (a := fun y => st * (nu y - q y)). set (b := fun y => / st * (pi y - q y)).
  destruct (form_area n P a b HP) as [F _]. cbv beta zeta in F.
  assert (Form : sum n (fun y => a y * skew_apply n P b y) = tau * sum n (fun y => (nu y - q y) * x y)).
  { rewrite <- sum_scal. apply sum_ext. intros y _. unfold a, b, x.
    assert (Sk : skew_apply n P (fun y0 => / st * (pi y0 - q y0)) y = / st * (win n P pi y - win n P q y)).
    { unfold skew_apply, win.
      transitivity (/ st * (sum n (fun z => P y z * pi z) - sum n (fun z => P y z * q z) - 1 / 2 * (sum n pi - sum n q)));
        [| rewrite Sp, Sq; ring].
      rewrite <- !sum_minus, <- sum_scal, <- sum_minus, <- sum_scal. apply sum_ext. intros; ring. }
    rewrite Sk. field. lra. }
  rewrite Form in F.
  (* the weights of Cauchy and Schwarz *)
  set (W := fun y => (2 * nu y + 2 * pi y + 4 * q y) / 3).
  set (V := fun y => t * (nu y * (ln (nu y) - ln (q y)) - nu y + q y) + / t * (pi y * (ln (pi y) - ln (q y)) - pi y + q y)).
  assert (W0 : forall y, (y < n)%nat -> 0 < W y).
  { intros y Hy. pose proof (proj1 Hnu y Hy). pose proof (Pp y Hy). pose proof (Pq y Hy). unfold W. lra. }
  assert (It : 0 < / t) by (apply Rinv_0_lt_compat, T0).
  assert (V0 : forall y, (y < n)%nat -> 0 <= V y).
  { intros y Hy. pose proof (kl_term_nonneg (nu y) (q y) ltac:(apply Rlt_le, Hnu, Hy) (Pq y Hy)).
    pose proof (kl_term_nonneg (pi y) (q y) (Pp y Hy) (Pq y Hy)). unfold V. apply Rplus_le_le_0_compat; apply Rmult_le_pos; lra. }
  assert (Each : forall y, (y < n)%nat -> a y ^ 2 + b y ^ 2 <= W y * V y).
  { intros y Hy. pose proof (proj1 Hnu y Hy) as Ny. pose proof (Pp y Hy) as Py. pose proof (Pq y Hy) as Qy.
    pose proof (kl_term (nu y) (q y) ltac:(lra) Qy) as K1. pose proof (kl_term (pi y) (q y) Py Qy) as K2.
    unfold W, V. set (k1 := nu y * (ln (nu y) - ln (q y)) - nu y + q y) in *.
    set (k2 := pi y * (ln (pi y) - ln (q y)) - pi y + q y) in *.
    assert (B : forall u k, 0 <= u -> 3 * (u - q y) ^ 2 / (2 * u + 4 * q y) <= k -> (u - q y) ^ 2 <= (2 * u + 4 * q y) / 3 * k).
    { intros u k Hu Hk. replace ((u - q y) ^ 2) with ((2 * u + 4 * q y) / 3 * (3 * (u - q y) ^ 2 / (2 * u + 4 * q y))) by (field; lra).
      apply Rmult_le_compat_l; lra. }
    pose proof (B (nu y) k1 ltac:(lra) K1) as B1. pose proof (B (pi y) k2 Py K2) as B2.
    assert (P1 : 0 <= k1) by (apply kl_term_nonneg; lra).
    assert (P2 : 0 <= k2) by (apply kl_term_nonneg; lra).
    replace (a y ^ 2) with (t * (nu y - q y) ^ 2) by (unfold a; rewrite <- St2; ring).
    replace (b y ^ 2) with (/ t * (pi y - q y) ^ 2) by (unfold b; rewrite <- St2; field; lra).
    apply Rle_trans with (t * ((2 * nu y + 4 * q y) / 3 * k1) + / t * ((2 * pi y + 4 * q y) / 3 * k2)).
    - apply Rplus_le_compat; apply Rmult_le_compat_l; lra.
    - assert (0 <= t * k1 * (2 * pi y / 3)) by (apply Rmult_le_pos; [apply Rmult_le_pos; lra | lra]).
      assert (0 <= / t * k2 * (2 * nu y / 3)) by (apply Rmult_le_pos; [apply Rmult_le_pos; lra | lra]).
      replace ((2 * nu y + 2 * pi y + 4 * q y) / 3 * (t * k1 + / t * k2)) with
        (t * ((2 * nu y + 4 * q y) / 3 * k1) + / t * ((2 * pi y + 4 * q y) / 3 * k2)
          + (t * k1 * (2 * pi y / 3) + / t * k2 * (2 * nu y / 3))) by (field; lra). lra. }
  set (N := sum n (fun y => sqrt (a y ^ 2 + b y ^ 2))) in *.
  assert (Len : N ^ 2 <= 8 / 3 * (t * KL n nu q + / t * KL n pi q)).
  { pose proof (sum_cauchy_schwarz n (fun y => sqrt (W y)) (fun y => sqrt (V y))) as C. cbv beta in C.
    rewrite (sum_ext n (fun y => sqrt (W y) ^ 2) W), (sum_ext n (fun y => sqrt (V y) ^ 2) V) in C
      by (intros y Hy; rewrite <- Rsqr_pow2; apply Rsqr_sqrt; apply V0 || apply Rlt_le, W0; exact Hy).
    assert (SW : sum n W = 8 / 3).
    { unfold W, Rdiv. rewrite sum_scal_r, !sum_plus, !sum_scal, Sp, Sq, (proj2 Hnu). field. }
    assert (SV : sum n V = t * KL n nu q + / t * KL n pi q).
    { rewrite (kl_as_terms n nu q), (kl_as_terms n pi q) by (rewrite Sq; apply Hnu || apply Hpi).
      unfold V. rewrite sum_plus, !sum_scal. reflexivity. }
    rewrite SW, SV in C. eapply Rle_trans; [| exact C]. apply pow_incr. split; [apply sum_nonneg; intros; apply sqrt_pos |].
    apply sum_le. intros y Hy. rewrite <- sqrt_mult_alt by (apply Rlt_le, W0, Hy). apply sqrt_le_1_alt, Each, Hy. }
  pose proof (Rle_abs (tau * sum n (fun y => (nu y - q y) * x y))) as Abs.
  assert (Main : tau * sum n (fun y => (nu y - q y) * x y) <= 1 / (2 * PI) * (8 / 3 * (t * KL n nu q + / t * KL n pi q))).
  { eapply Rle_trans; [exact Abs |]. eapply Rle_trans; [exact F |].
    apply Rmult_le_compat_l; [apply Rlt_le, Rdiv_lt_0_compat; lra | exact Len]. }
  replace (1 / (2 * PI) * (8 / 3 * (t * KL n nu q + / t * KL n pi q)))
    with (tau * KL n nu q + 16 / (9 * PI ^ 2 * tau) * KL n pi q) in Main by (unfold t; field; lra).
  lra.
Qed.

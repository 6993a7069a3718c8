(** * 1/pi is the best constant of N4: odd cyclic tournaments reach cot(pi/2n)/(2n). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Slic Zonogon.
Open Scope R_scope.

Lemma telescope_cos x b k : sum k (fun i => 2 * sin (x / 2) * cos (INR (b + i) * x))
  = sin ((INR (b + k) - 1 / 2) * x) - sin ((INR b - 1 / 2) * x).
Proof.
  induction k as [| k IH]; [simpl; rewrite Nat.add_0_r; ring |]. cbn [sum]. rewrite IH, Nat.add_succ_r, S_INR.
  set (y := INR (b + k)). replace ((y + 1 - 1 / 2) * x) with (y * x + x / 2) by field.
  replace ((y - 1 / 2) * x) with (y * x - x / 2) by field. rewrite sin_plus, sin_minus. ring.
Qed.

Lemma telescope_sin x b k : sum k (fun i => 2 * sin (x / 2) * sin (INR (b + i) * x))
  = cos ((INR b - 1 / 2) * x) - cos ((INR (b + k) - 1 / 2) * x).
Proof.
  induction k as [| k IH]; [simpl; rewrite Nat.add_0_r; ring |]. cbn [sum]. rewrite IH, Nat.add_succ_r, S_INR.
  set (y := INR (b + k)). replace ((y + 1 - 1 / 2) * x) with (y * x + x / 2) by field.
  replace ((y - 1 / 2) * x) with (y * x - x / 2) by field. rewrite cos_plus, cos_minus. ring.
Qed.

Section Tournament.

Variable M : nat.
Hypothesis M_pos : (0 < M)%nat.

Local Notation n := (1 + (M + M))%nat.
Local Notation x := (2 * PI / INR n).
(** 1/2 against the M next responses around the circle, -1/2 against the M before. *)
Local Notation margin l := (if Nat.eqb l 0 then 0 else if Nat.leb l M then 1 / 2 else - (1 / 2)).
Local Notation P := (fun y z : nat => 1 / 2 + margin ((z + (n - y)) mod n)).
Local Notation pi := (fun _ : nat => / INR n).

Lemma n_real : INR n = 2 * INR M + 1 /\ 3 <= INR n.
Proof.
  rewrite !plus_INR. simpl (INR 1). apply (le_INR 1) in M_pos. simpl in M_pos. split; lra.
Qed.

Lemma half_angle : x / 2 = PI / INR n /\ 0 < PI / INR n < PI.
Proof.
  destruct n_real as [_ N3]. pose proof PI_RGT_0. split; [field; lra |]. split; [apply Rdiv_lt_0_compat; lra |].
  apply Rmult_lt_reg_r with (INR n); [lra |]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. nra.
Qed.

Lemma sine_positive : 0 < sin (x / 2).
Proof. destruct half_angle as [-> B]. apply sin_gt_0; lra. Qed.

Lemma tournament_pref : pref n P.
Proof.
  split; intros y z Hy Hz.
  - (* the two places sum to n, or are both 0 *)
    destruct (Nat.eq_dec y z) as [-> | N].
    + replace (z + (n - z))%nat with n by lia. rewrite Nat.mod_same by lia. simpl. lra.
    + assert (E : exists r, (0 < r < n)%nat /\ (z + (n - y)) mod n = r /\ (y + (n - z)) mod n = (n - r)%nat).
      { destruct (Nat.lt_ge_cases y z) as [L | L].
        - exists (z - y)%nat. split; [lia |]. split.
          + replace (z + (n - y))%nat with (z - y + 1 * n)%nat by lia. rewrite Nat.mod_add by lia. apply Nat.mod_small. lia.
          + replace (y + (n - z))%nat with (n - (z - y))%nat by lia. apply Nat.mod_small. lia.
        - exists (n - (y - z))%nat. split; [lia |]. split.
          + replace (z + (n - y))%nat with (n - (y - z))%nat by lia. apply Nat.mod_small. lia.
          + replace (y + (n - z))%nat with (y - z + 1 * n)%nat by lia. rewrite Nat.mod_add by lia. rewrite Nat.mod_small by lia. lia. }
      destruct E as [r [Hr [-> ->]]]. destruct (Nat.eqb_spec r 0) as [Z | _]; [lia |]. destruct (Nat.eqb_spec (n - r) 0) as [Z | _]; [lia |].
      destruct (Nat.leb_spec r M) as [L | L]; destruct (Nat.leb_spec (n - r) M) as [L' | L']; try lia; lra.
  - set (r := ((z + (n - y)) mod n)%nat). destruct (Nat.eqb r 0), (Nat.leb r M); lra.
Qed.

Lemma whole_angle k : INR (k + n) * x = INR k * x + 2 * PI.
Proof. destruct n_real as [_ N3]. rewrite plus_INR. field. lra. Qed.

(** The four sums around the circle. *)
Lemma circle_sums : sum n (fun l => cos (INR l * x)) = 0 /\ sum n (fun l => sin (INR l * x)) = 0 /\
  sum n (fun l => margin l * cos (INR l * x)) = 0 /\
  sum n (fun l => margin l * sin (INR l * x)) = (1 + cos (PI / INR n)) / (2 * sin (PI / INR n)).
Proof.
  destruct n_real as [N1 N3]. pose proof sine_positive as S0. destruct half_angle as [H2 _].
  assert (Ang : forall b, (INR b - 1 / 2) * x = INR b * x - x / 2) by (intro; field; lra).
  assert (E0 : INR 0 * x = 0) by (simpl; ring).
  assert (E1 : INR n * x = 2 * PI) by (field; lra).
  assert (EM : (INR (1 + M) - 1 / 2) * x = PI) by (rewrite plus_INR; simpl (INR 1); rewrite N1; field; lra).
  assert (Clear : forall k f, 2 * sin (x / 2) * sum k f = sum k (fun i => 2 * sin (x / 2) * f i)) by (intros; rewrite sum_scal; ring).
  assert (Zero : forall a, 2 * sin (x / 2) * a = 0 -> a = 0) by (intros a E; apply Rmult_integral in E; destruct E; lra).
  assert (C1 : 2 * sin (x / 2) * sum M (fun i => cos (INR (1 + i) * x)) = - sin (x / 2)).
  { rewrite Clear, telescope_cos, EM, sin_PI, Ang. simpl (INR 1). replace (1 * x - x / 2) with (x / 2) by (field; lra). ring. }
  assert (C2 : 2 * sin (x / 2) * sum M (fun i => cos (INR (1 + M + i) * x)) = - sin (x / 2)).
  { rewrite Clear, telescope_cos, EM, sin_PI, Ang. replace (1 + M + M)%nat with n by lia. rewrite E1.
    replace (2 * PI - x / 2) with (- (x / 2) + 2 * PI) by ring.
    rewrite sin_plus, sin_2PI, cos_2PI, sin_neg. ring. }
  assert (S1 : 2 * sin (x / 2) * sum M (fun i => sin (INR (1 + i) * x)) = cos (x / 2) + 1).
  { rewrite Clear, telescope_sin, EM, cos_PI, Ang. simpl (INR 1). replace (1 * x - x / 2) with (x / 2) by (field; lra). ring. }
  assert (S2 : 2 * sin (x / 2) * sum M (fun i => sin (INR (1 + M + i) * x)) = - (cos (x / 2) + 1)).
  { rewrite Clear, telescope_sin, EM, cos_PI, Ang. replace (1 + M + M)%nat with n by lia. rewrite E1.
    replace (2 * PI - x / 2) with (- (x / 2) + 2 * PI) by ring. rewrite cos_plus, sin_2PI, cos_2PI, cos_neg. ring. }
  assert (Split : forall f, sum n f = f O + sum M (fun i => f (1 + i)%nat) + sum M (fun i => f (1 + M + i)%nat)).
  { intro f. rewrite (sum_append 1 (M + M)), (sum_append M M). simpl (sum 1 f). rewrite Rplus_0_l, Rplus_assoc. reflexivity. }
  set (c1 := sum M (fun i => cos (INR (1 + i) * x))) in *. set (c2 := sum M (fun i => cos (INR (1 + M + i) * x))) in *.
  set (s1 := sum M (fun i => sin (INR (1 + i) * x))) in *. set (s2 := sum M (fun i => sin (INR (1 + M + i) * x))) in *.
  assert (Half : forall f, sum n (fun l => margin l * f l)
    = 1 / 2 * sum M (fun i => f (1 + i)%nat) - 1 / 2 * sum M (fun i => f (1 + M + i)%nat)).
  { intro f. rewrite Split. simpl (Nat.eqb 0 0). rewrite <- !sum_scal, Rmult_0_l, Rplus_0_l.
    unfold Rminus. rewrite <- sum_opp. f_equal; apply sum_ext; intros i Hi.
    - destruct (Nat.eqb_spec (1 + i) 0) as [Z | _]; [lia |]. destruct (Nat.leb_spec (1 + i) M) as [_ | L]; [ring | lia].
    - destruct (Nat.eqb_spec (1 + M + i) 0) as [Z | _]; [lia |]. destruct (Nat.leb_spec (1 + M + i) M) as [L | _]; [lia | ring]. }
  pose proof (Half (fun l => cos (INR l * x))) as Hc. pose proof (Half (fun l => sin (INR l * x))) as Hs.
  pose proof (Split (fun l => cos (INR l * x))) as Ac. pose proof (Split (fun l => sin (INR l * x))) as As.
  cbv beta in Hc, Hs, Ac, As. rewrite E0, cos_0 in Ac. rewrite E0, sin_0 in As. fold c1 c2 in Hc, Ac. fold s1 s2 in Hs, As.
  rewrite Hc, Hs, Ac, As.
  repeat split.
  - apply Zero. lra.
  - apply Zero. lra.
  - apply Zero. lra.
  - rewrite <- H2. apply Rmult_eq_reg_l with (2 * sin (x / 2)); [| lra].
    replace (2 * sin (x / 2) * ((1 + cos (x / 2)) / (2 * sin (x / 2)))) with (1 + cos (x / 2)) by (field; lra). lra.
Qed.

(** N4.  A D turns cos into - omega sin, and sin into omega cos, omega = cot(pi/2n)/(2n) = (1 + cos(pi/n))/(2n sin(pi/n)). *)
Theorem N4_tournament y : (y < n)%nat -> let omega := (1 + cos (PI / INR n)) / (2 * sin (PI / INR n)) / INR n in
  skew_apply n P (D_apply n pi (fun l => cos (INR l * x))) y = - (omega * sin (INR y * x)) /\
  skew_apply n P (D_apply n pi (fun l => sin (INR l * x))) y = omega * cos (INR y * x).
Proof.
  intro Hy. cbv zeta. destruct circle_sums as [Zc [Zs [Mc Ms]]]. destruct n_real as [_ N3].
  pose proof sine_positive as S0. destruct half_angle as [E0 _]. rewrite E0 in S0.
  assert (Turn : forall f, (forall l, f (l + n)%nat = f l) -> sum n f = 0 ->
    skew_apply n P (D_apply n pi f) y = / INR n * sum n (fun l => margin l * f (l + y)%nat)).
  { intros f Per Z. unfold skew_apply, D_apply. rewrite (sum_scal n (/ INR n) f), Z.
    rewrite <- sum_scal. rewrite (sum_ext n _ (fun z => / INR n * (margin ((z + (n - y)) mod n) * f z))) by (intros; field; lra).
    set (g := fun z => / INR n * (margin ((z + (n - y)) mod n) * f z)).
    rewrite <- (sum_rotate n g y).
    - apply sum_ext. intros l Hl. unfold g. replace (l + y + (n - y))%nat with (l + 1 * n)%nat by lia.
      rewrite Nat.mod_add, Nat.mod_small by lia. reflexivity.
    - intro l. unfold g. rewrite Per. replace (l + n + (n - y))%nat with (l + (n - y) + 1 * n)%nat by lia.
      rewrite Nat.mod_add by lia. reflexivity. }
  assert (Pc : forall l, cos (INR (l + n) * x) = cos (INR l * x)).
  { intro l. rewrite whole_angle, cos_plus, sin_2PI, cos_2PI. ring. }
  assert (Ps : forall l, sin (INR (l + n) * x) = sin (INR l * x)).
  { intro l. rewrite whole_angle, sin_plus, sin_2PI, cos_2PI. ring. }
  split.
  - rewrite (Turn _ Pc Zc). rewrite (sum_ext n _ (fun l => cos (INR y * x) * (margin l * cos (INR l * x))
      - sin (INR y * x) * (margin l * sin (INR l * x)))).
    + rewrite sum_minus, !sum_scal, Mc, Ms. field. split; lra.
    + intros l _. rewrite plus_INR, Rmult_plus_distr_r, cos_plus. ring.
  - rewrite (Turn _ Ps Zs). rewrite (sum_ext n _ (fun l => cos (INR y * x) * (margin l * sin (INR l * x))
      + sin (INR y * x) * (margin l * cos (INR l * x)))).
    + rewrite sum_plus, !sum_scal, Mc, Ms. field. split; lra.
    + intros l _. rewrite plus_INR, Rmult_plus_distr_r, sin_plus. ring.
Qed.

End Tournament.

(** N4.  No constant below 1/pi will do: A D has an eigenvalue i omega with omega > c, for some n. *)
Theorem N4_sharp c : c < 1 / PI -> exists n P pi omega u v, pref n P /\ dist n pi /\ c < omega /\
  (forall y, (y < n)%nat -> skew_apply n P (D_apply n pi u) y = 0 * u y - omega * v y /\
                            skew_apply n P (D_apply n pi v) y = 0 * v y + omega * u y) /\
  (exists y, (y < n)%nat /\ (u y <> 0 \/ v y <> 0)).
Proof.
  intro Hc. pose proof PI_RGT_0 as P0.
  set (gap := 1 / PI - c). assert (G0 : 0 < gap) by (unfold gap; lra).
  destruct (archimed_cor1 (gap / PI)) as [M [HM PM]]; [apply Rdiv_lt_0_compat; assumption |].
  destruct (n_real M PM) as [N1 N3]. destruct (half_angle M PM) as [_ H].
  set (n := (1 + (M + M))%nat) in *. set (h := PI / INR n) in *.
  set (omega := (1 + cos h) / (2 * sin h) / INR n).
  exists n, (fun y z : nat => 1 / 2 + (if Nat.eqb ((z + (n - y)) mod n) 0 then 0 else
    if Nat.leb ((z + (n - y)) mod n) M then 1 / 2 else - (1 / 2))), (fun _ => / INR n), omega,
    (fun l => cos (INR l * (2 * PI / INR n))), (fun l => sin (INR l * (2 * PI / INR n))).
  split; [apply (tournament_pref M PM) |]. split; [| split; [| split]].
  - split; [intros y _; apply Rlt_le, Rinv_0_lt_compat; lra | rewrite sum_const; field; lra].
  - (* omega >= (1 + cos h)/(2 pi) >= 1/pi - h^2/(4 pi) *)
    assert (S0 : 0 < sin h) by (apply sin_gt_0; lra). pose proof (sine_below h ltac:(lra)) as S1.
    assert (Hn : h * INR n = PI) by (unfold h; field; lra).
    assert (C0 : 0 <= 1 + cos h) by (pose proof (COS_bound h); lra).
    assert (C1 : 2 - h ^ 2 / 2 <= 1 + cos h).
    { replace (cos h) with (cos (2 * (h / 2))) by (f_equal; lra). rewrite cos_2a_sin.
      pose proof (sine_below (h / 2) ltac:(lra)). assert (0 <= sin (h / 2)) by (apply sin_ge_0; lra). nra. }
    assert (W : (1 + cos h) / (2 * PI) <= omega).
    { unfold omega. replace ((1 + cos h) / (2 * sin h) / INR n) with ((1 + cos h) * / (2 * sin h * INR n)) by (field; lra).
      unfold Rdiv. apply Rmult_le_compat_l; [exact C0 |]. apply Rinv_le_contravar; [nra |]. rewrite <- Hn. nra. }
    (* h^2 < 4 pi gap, as h <= pi/M *)
    assert (Hm : h * INR M < PI) by nra. assert (M1 : 0 < / INR M) by (apply Rinv_0_lt_compat, lt_0_INR, PM).
    assert (Hs : h < gap).
    { apply Rlt_trans with (PI * / INR M).
      - apply Rmult_lt_reg_r with (INR M); [apply lt_0_INR, PM |]. rewrite Rmult_assoc, Rinv_l by (apply not_0_INR; lia). lra.
      - apply Rmult_lt_reg_r with (/ PI); [apply Rinv_0_lt_compat, P0 |]. replace (PI * / INR M * / PI) with (/ INR M) by (field; split; lra || (apply not_0_INR; lia)). exact HM. }
    assert (H4 : h ^ 2 < 4 * PI * gap) by nra.
    apply Rlt_le_trans with ((1 + cos h) / (2 * PI)); [| exact W].
    apply Rmult_lt_reg_r with (2 * PI); [lra |]. replace ((1 + cos h) / (2 * PI) * (2 * PI)) with (1 + cos h) by (field; lra).
    assert (c * (2 * PI) = 2 - 2 * PI * gap) by (unfold gap; field; lra). lra.
  - intros y Hy. destruct (N4_tournament M PM y Hy) as [E1 E2]. cbv zeta in E1, E2. fold n h omega in E1, E2.
    split; [rewrite E1 | rewrite E2]; ring.
  - exists O. split; [unfold n; lia |]. left. simpl. rewrite Rmult_0_l, cos_0. lra.
Qed.

(** * N19's constant is best possible for every even n: the family that comes as near to it as one likes.

    p, q = (1 +- t d)/n with d proportional to u + sigma sign(u), u the chain's win rates less 1/2 under the uniform policy and
    sigma their deviation; P - Q is 2 eps times the chain's margins, and the mean game has rank two. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate LogMean NashMD Sensitivity.
Open Scope R_scope.

(** (ln(1 + x) - ln(1 - x)) x lies between 0 and 2 x^2 / (1 - t) for |x| <= t < 1. *)
Lemma log_ratio_slope x t : 0 < t < 1 -> Rabs x <= t -> x <> 0 ->
  0 < (ln (1 + x) - ln (1 - x)) * x <= 2 * x ^ 2 / (1 - t).
Proof.
  intros Ht Hx Nz.
  assert (Pos : forall z, 0 < z <= t -> 0 < (ln (1 + z) - ln (1 - z)) * z <= 2 * z ^ 2 / (1 - t)).
  { intros z Hz. pose proof (ln_le_line (1 + z) ltac:(lra)) as A.
    pose proof (ln_le_line (/ (1 - z)) ltac:(apply Rinv_0_lt_compat; lra)) as B. rewrite ln_Rinv in B by lra.
    assert (I : / (1 - z) - 1 = z / (1 - z)) by (field; lra).
    assert (J : z / (1 - z) <= z / (1 - t)).
    { apply Rmult_le_compat_l; [lra |]. apply Rinv_le_contravar; lra. }
    assert (K : z <= z / (1 - t)).
    { rewrite <- (Rmult_1_r z) at 1. apply Rmult_le_compat_l; [lra |]. rewrite <- Rinv_1 at 1. apply Rinv_le_contravar; lra. }
    assert (L : ln (1 - z) < ln (1 + z)) by (apply ln_increasing; lra).
    split; [apply Rmult_lt_0_compat; lra |].
    replace (2 * z ^ 2 / (1 - t)) with ((z / (1 - t) + z / (1 - t)) * z) by (field; lra).
    apply Rmult_le_compat_r; lra. }
  apply Rabs_le_between in Hx. destruct (Rlt_dec 0 x) as [H | H]; [apply Pos; lra |].
  pose proof (Pos (- x) ltac:(lra)) as B. replace (1 + - x) with (1 - x) in B by ring. replace (1 - - x) with (1 + x) in B by ring.
  replace ((- x) ^ 2) with (x ^ 2) in B by ring. lra.
Qed.

(** ** Sums over the chain *)

Local Notation sign h := (fun y : nat => if Nat.ltb y h then -1 else 1).

Lemma signed_sum h k g : sum (h + k) (fun y => sign h y * g y) = sum (h + k) g - 2 * sum h g.
Proof.
  induction k as [| k IH].
  - rewrite Nat.add_0_r, (sum_ext h (fun y => sign h y * g y) (fun y => - g y)); [rewrite sum_opp; ring |].
    intros y Hy. destruct (Nat.ltb_spec y h); [ring | lia].
  - rewrite Nat.add_succ_r. simpl. rewrite IH. destruct (Nat.ltb_spec (h + k) h); [lia | ring].
Qed.

Lemma odd_sum k c : sum k (fun y => 2 * INR y + 1 - c) = INR k ^ 2 - c * INR k.
Proof. induction k as [| k IH]; [simpl; ring |]. rewrite S_INR. simpl sum. rewrite IH. ring. Qed.

Lemma odd_squares k c : sum k (fun y => (2 * INR y + 1 - c) ^ 2)
  = INR k * (4 * INR k ^ 2 - 1) / 3 - 2 * c * INR k ^ 2 + c ^ 2 * INR k.
Proof. induction k as [| k IH]; [simpl; field |]. rewrite S_INR. cbn [sum]. rewrite IH. field. Qed.

Lemma chain_row k y : (y < k)%nat -> sum k (chain y) = INR y + 1 / 2.
Proof.
  assert (Below : forall k, (k <= y)%nat -> sum k (chain y) = INR k).
  { clear k. induction k as [| k IH]; intro H; [reflexivity |]. simpl sum. rewrite IH by lia. rewrite S_INR. unfold chain.
    destruct (Nat.ltb_spec k y); [ring | lia]. }
  intro H. replace k with (S y + (k - S y))%nat by lia. induction (k - S y)%nat as [| r IH].
  - rewrite Nat.add_0_r. simpl sum. rewrite Below by lia. unfold chain. rewrite Nat.ltb_irrefl, Nat.eqb_refl. ring.
  - rewrite Nat.add_succ_r. simpl sum. simpl in IH. rewrite IH. unfold chain.
    destruct (Nat.ltb_spec (S (y + r)) y); [lia |]. destruct (Nat.eqb_spec y (S (y + r))); [lia |]. ring.
Qed.

(** N19.  No constant below C_n will do, n = 2h. *)
Theorem N19_attained h C : (0 < h)%nat -> let n := (h + h)%nat in C < 1 / 4 + sqrt ((1 - 1 / INR n ^ 2) / 12) ->
  exists tau eps P Q mu p q, 0 < tau /\ 0 < eps /\ pref n P /\ pref n Q /\ policy n mu /\
    (forall i j, (i < n)%nat -> (j < n)%nat -> Rabs (P i j - Q i j) <= eps) /\
    is_nash n tau P mu p /\ is_nash n tau Q mu q /\ C * (eps / tau) < l1 n p q.
Proof.
  intros Hh n HC. assert (Hn : (0 < n)%nat) by (unfold n; lia).
  set (N := INR n) in *. assert (N2 : N = 2 * INR h) by (unfold N, n; rewrite plus_INR; ring).
  assert (H1 : 1 <= INR h) by (apply (le_INR 1); lia). assert (N0 : 2 <= N) by lra.
  set (v := (1 - 1 / N ^ 2) / 12) in *. set (s := sqrt v) in *.
  assert (V : N ^ 2 * v = (N ^ 2 - 1) / 12) by (unfold v; field; lra).
  assert (V0 : 0 < v <= 1 / 12).
  { assert (0 < / N ^ 2) by (apply Rinv_0_lt_compat; nra). assert (/ N ^ 2 <= / 4) by (apply Rinv_le_contravar; nra).
    unfold v. lra. }
  assert (S2 : s ^ 2 = v) by (unfold s; rewrite <- Rsqr_pow2; apply Rsqr_sqrt; lra).
  assert (S0 : 0 < s) by (apply sqrt_lt_R0; lra). assert (S1 : s <= 1 / 2) by nra.
  set (Cn := 1 / 4 + s) in *.
  set (sg := sign h). set (u := fun y => (2 * INR y + 1 - N) / (2 * N)). set (d := fun y => u y + s * sg y).
  assert (Sg : forall y, sg y ^ 2 = 1 /\ Rabs (sg y) = 1).
  { intro y. unfold sg. destruct (Nat.ltb y h); split; try ring; [rewrite Rabs_left | rewrite Rabs_pos_eq]; lra. }
  assert (Su : sum n u = 0).
  { unfold u, Rdiv. rewrite sum_scal_r, odd_sum. fold N. field. lra. }
  assert (Suu : sum n (fun y => u y ^ 2) = N * v).
  { rewrite (sum_ext n _ (fun y => (2 * INR y + 1 - N) ^ 2 * / (2 * N) ^ 2)) by (intros; unfold u; field; lra).
    rewrite sum_scal_r, odd_squares. fold N. unfold v. field. lra. }
  assert (Ss : sum n sg = 0).
  { rewrite (sum_ext n sg (fun y => sign h y * 1)) by (intros; unfold sg; ring). unfold n. rewrite (signed_sum h h (fun _ => 1)), !sum_const.
    rewrite plus_INR. ring. }
  assert (Ssu : sum n (fun y => sg y * u y) = N / 4).
  { unfold sg, n. rewrite (signed_sum h h u). fold n. rewrite Su. unfold u, Rdiv. rewrite sum_scal_r, odd_sum, N2. field. lra. }
  assert (Sss : sum n (fun y => sg y ^ 2) = N).
  { rewrite (sum_ext n _ (fun _ => 1)) by (intros; apply Sg). rewrite sum_const. fold N. ring. }
  assert (Sd : sum n d = 0) by (unfold d; rewrite sum_plus, sum_scal, Su, Ss; ring).
  assert (Sud : sum n (fun y => u y * d y) = N * s * Cn).
  { rewrite (sum_ext n _ (fun y => u y ^ 2 + s * (sg y * u y))) by (intros; unfold d; ring).
    rewrite sum_plus, sum_scal, Suu, Ssu, <- S2. unfold Cn. field. }
  set (D := sum n (fun y => d y ^ 2)).
  assert (Sdd : D = 2 * (N * s * Cn)).
  { unfold D. rewrite (sum_ext n _ (fun y => u y ^ 2 + 2 * s * (sg y * u y) + s ^ 2 * sg y ^ 2)) by (intros; unfold d; ring).
    rewrite !sum_plus, !sum_scal, Suu, Ssu, Sss, <- S2. unfold Cn. field. }
  assert (C0 : 0 < Cn) by (unfold Cn; lra). assert (X0 : 0 < N * s * Cn) by (repeat apply Rmult_lt_0_compat; lra).
  assert (Same : forall y, (y < n)%nat -> 0 <= sg y * u y <= 1 / 2).
  { intros y Hy. unfold sg, u. assert (Iv : 0 < / (2 * N)) by (apply Rinv_0_lt_compat; lra).
    assert (Y1 : INR y + 1 <= N) by (unfold N; rewrite <- S_INR; apply le_INR; lia). pose proof (pos_INR y) as Y0.
    assert (E : N * / (2 * N) = 1 / 2) by (field; lra). unfold Rdiv.
    destruct (Nat.ltb_spec y h) as [L | L].
    - apply (le_INR (S y)) in L. rewrite S_INR in L.
      replace (-1 * ((2 * INR y + 1 - N) * / (2 * N))) with ((N - 1 - 2 * INR y) * / (2 * N)) by ring.
      split; [apply Rmult_le_pos; lra |]. apply Rle_trans with (N * / (2 * N)); [apply Rmult_le_compat_r; lra | lra].
    - apply le_INR in L. rewrite Rmult_1_l. split; [apply Rmult_le_pos; lra |]. apply Rle_trans with (N * / (2 * N)); [apply Rmult_le_compat_r; lra | lra]. }
  assert (Abs : forall y, (y < n)%nat -> Rabs (d y) = sg y * u y + s /\ Rabs (d y) <= 1 /\ d y <> 0).
  { intros y Hy. destruct (Sg y) as [G2 G1]. pose proof (Same y Hy) as B.
    assert (E : sg y * d y = sg y * u y + s) by (unfold d; transitivity (sg y * u y + s * sg y ^ 2); [ring | rewrite G2; ring]).
    assert (F : Rabs (d y) = sg y * u y + s).
    { rewrite <- E, <- (Rabs_pos_eq (sg y * d y)) by lra. rewrite Rabs_mult, G1. ring. }
    split; [exact F |]. split; [lra |]. intro Z. rewrite Z, Rabs_R0 in F. lra. }
  (* how far p and q are apart *)
  set (g := (Cn - C) / (2 * Cn)). assert (G0 : 0 < g) by (apply Rdiv_lt_0_compat; lra).
  set (t := Rmin (1 / 2) g).
  assert (T0 : 0 < t < 1) by (split; [apply Rmin_glb_lt; lra | eapply Rle_lt_trans; [apply Rmin_l | lra]]).
  assert (T1 : C < Cn * (1 - t)).
  { assert (t <= g) by apply Rmin_r. assert (Cn * t <= Cn * g) by (apply Rmult_le_compat_l; lra).
    assert (Cn * g = (Cn - C) / 2) by (unfold g; field; lra). lra. }
  set (l := fun y => ln (1 + t * d y) - ln (1 - t * d y)).
  assert (Small : forall y, (y < n)%nat -> Rabs (t * d y) <= t).
  { intros y Hy. rewrite Rabs_mult, (Rabs_pos_eq t) by lra. destruct (Abs y Hy) as [_ [B _]]. pose proof (Rabs_pos (d y)). nra. }
  assert (Slope : forall y, (y < n)%nat -> 0 < l y * d y <= 2 * t / (1 - t) * d y ^ 2).
  { intros y Hy. destruct (Abs y Hy) as [_ [_ Nz]].
    assert (Tz : t * d y <> 0) by (apply Rmult_integral_contrapositive_currified; [lra | exact Nz]).
    destruct (log_ratio_slope (t * d y) t T0 (Small y Hy) Tz) as [A B]. fold (l y) in A, B.
    replace (l y * (t * d y)) with (t * (l y * d y)) in A, B by ring.
    replace (2 * (t * d y) ^ 2 / (1 - t)) with (t * (2 * t / (1 - t) * d y ^ 2)) in B by (field; lra).
    split; [apply Rmult_lt_reg_l with t; lra | apply Rmult_le_reg_l with t; lra]. }
  set (ip := sum n (fun y => l y * d y)).
  assert (I0 : 0 < ip) by (apply sum_pos; [exact Hn | intros y Hy; apply Slope, Hy]).
  assert (I1 : ip <= 2 * t / (1 - t) * D).
  { unfold ip, D. rewrite <- sum_scal. apply sum_le. intros y Hy. apply Slope, Hy. }
  set (e := ip / (2 * (N * s * Cn))). assert (E0 : 0 < e) by (apply Rdiv_lt_0_compat; lra).
  set (w := fun y => l y - 2 * e * u y).
  assert (Wd : sum n (fun y => w y * d y) = 0).
  { rewrite (sum_ext n _ (fun y => l y * d y - 2 * e * (u y * d y))) by (intros; unfold w; ring).
    rewrite sum_minus, sum_scal, Sud. fold ip. unfold e. field. lra. }
  set (k := N / (2 * t * D)). assert (K0 : 0 < k) by (apply Rdiv_lt_0_compat; [lra | apply Rmult_lt_0_compat; lra]).
  set (B := sum n (fun y => Rabs (w y))).
  assert (B0 : 0 <= B) by (apply sum_nonneg; intros; apply Rabs_pos).
  assert (Bw : forall y, (y < n)%nat -> Rabs (w y) <= B).
  { intros y Hy. apply (sum_lower_bound n (fun y => Rabs (w y))); [intros; apply Rabs_pos | exact Hy]. }
  set (big := 2 * k * B + e + 1). assert (Big : 0 < big) by (unfold big; assert (0 <= 2 * k * B) by (apply Rmult_le_pos; lra); lra).
  set (tau := 1 / (2 * big)). assert (Tau : 0 < tau) by (apply Rdiv_lt_0_compat; lra).
  assert (TauBig : tau * big = 1 / 2) by (unfold tau; field; lra).
  set (A := fun y z => tau * k * (w y * d z - d y * w z)).
  set (eps := tau * e). assert (Eps : 0 < eps) by (apply Rmult_lt_0_compat; assumption).
  set (P := fun y z => 1 / 2 + A y z + eps * (chain y z - 1 / 2)).
  set (Q := fun y z => 1 / 2 + A y z - eps * (chain y z - 1 / 2)).
  destruct (chain_pref n) as [Ch Unit].
  assert (Ab : forall y z, (y < n)%nat -> (z < n)%nat -> Rabs (A y z) <= 1 / 2 - eps).
  { intros y z Hy Hz. destruct (Abs y Hy) as [_ [Dy _]]. destruct (Abs z Hz) as [_ [Dz _]].
    pose proof (Bw y Hy). pose proof (Bw z Hz).
    assert (M : Rabs (w y * d z - d y * w z) <= 2 * B).
    { eapply Rle_trans; [apply Rabs_triang |]. rewrite Rabs_Ropp, !Rabs_mult.
      pose proof (Rabs_pos (w y)). pose proof (Rabs_pos (w z)). pose proof (Rabs_pos (d y)). pose proof (Rabs_pos (d z)). nra. }
    unfold A. rewrite Rabs_mult, (Rabs_pos_eq (tau * k)) by (apply Rlt_le, Rmult_lt_0_compat; assumption).
    apply Rle_trans with (tau * k * (2 * B)); [apply Rmult_le_compat_l; [apply Rlt_le, Rmult_lt_0_compat; assumption | exact M] |].
    replace (1 / 2 - eps) with (tau * k * (2 * B) + tau) by (rewrite <- TauBig; unfold big, eps; ring). lra. }
  assert (Half : forall y z, (y < n)%nat -> (z < n)%nat -> Rabs (eps * (chain y z - 1 / 2)) <= eps / 2).
  { intros y z Hy Hz. rewrite Rabs_mult, (Rabs_pos_eq eps) by lra. pose proof (Unit y z Hy Hz).
    replace (eps / 2) with (eps * (1 / 2)) by field. apply Rmult_le_compat_l; [lra |]. apply Rabs_le. lra. }
  assert (HP : pref n P).
  { split; intros y z Hy Hz; unfold P.
    - pose proof (Ch y z Hy Hz). unfold A. replace (chain z y) with (1 - chain y z) by lra. field.
    - pose proof (Ab y z Hy Hz) as X. pose proof (Half y z Hy Hz) as Y. apply Rabs_le_between in X. apply Rabs_le_between in Y. lra. }
  assert (HQ : pref n Q).
  { split; intros y z Hy Hz; unfold Q.
    - pose proof (Ch y z Hy Hz). unfold A. replace (chain z y) with (1 - chain y z) by lra. field.
    - pose proof (Ab y z Hy Hz) as X. pose proof (Half y z Hy Hz) as Y. apply Rabs_le_between in X. apply Rabs_le_between in Y. lra. }
  set (p := fun y => (1 + t * d y) / N). set (q := fun y => (1 - t * d y) / N).
  assert (Between : forall y, (y < n)%nat -> 0 < 1 + t * d y /\ 0 < 1 - t * d y).
  { intros y Hy. pose proof (Small y Hy) as X. apply Rabs_le_between in X. lra. }
  assert (Std : sum n (fun y => t * d y) = 0) by (rewrite sum_scal, Sd; ring).
  assert (Hp : policy n p).
  { split; [intros y Hy; apply Rdiv_lt_0_compat; [apply Between, Hy | lra] |].
    unfold p, Rdiv. rewrite sum_scal_r, sum_plus, sum_const, Std. fold N. field. lra. }
  assert (Hq : policy n q).
  { split; [intros y Hy; apply Rdiv_lt_0_compat; [apply Between, Hy | lra] |].
    unfold q, Rdiv. rewrite sum_scal_r, sum_minus, sum_const, Std. fold N. field. lra. }
  assert (Win : forall y, (y < n)%nat -> win n P p y - win n Q q y = tau * l y).
  { intros y Hy. unfold win. rewrite <- sum_minus.
    rewrite (sum_ext n _ (fun z => t / N * d z + tau * k * (2 * t / N) * (w y * d z ^ 2 - d y * (w z * d z))
      + 2 * eps / N * (chain y z - 1 / 2))) by (intros z Hz; unfold P, Q, A, p, q; field; lra).
    rewrite !sum_plus, !sum_scal, !sum_minus, !sum_scal, Sd, Wd, chain_row, sum_const by exact Hy. fold D. fold N.
    unfold k, eps, w, u. field. split; [| lra]. repeat split; lra || (rewrite Sdd; lra). }
  set (f := fun y => - (win n Q q y / tau)).
  exists tau, eps, P, Q, (gibbs n q f), p, q. split; [exact Tau | split; [exact Eps | split; [exact HP | split; [exact HQ |]]]].
  split; [apply gibbs_policy; [exact Hn | apply Hq] |]. split; [| split; [| split]].
  - intros y z Hy Hz. unfold P, Q.
    replace (1 / 2 + A y z + eps * (chain y z - 1 / 2) - (1 / 2 + A y z - eps * (chain y z - 1 / 2)))
      with (2 * (eps * (chain y z - 1 / 2))) by ring.
    rewrite Rabs_mult, (Rabs_pos_eq 2) by lra. pose proof (Half y z Hy Hz). lra.
  - pose proof (gibbs_policy n q Hn (proj1 Hq) f) as Hg. destruct (gibbs_log_const n q f Hq) as [c Hc].
    apply (gibbs_unique n _ Hn (proj1 Hg) _ p (- c) Hp). intros y Hy. rewrite Hc by exact Hy. destruct (Between y Hy).
    pose proof (Win y Hy) as W. unfold f, p at 1, q at 1. rewrite !ln_div by lra.
    assert (E : (win n P p y - win n Q q y) / tau = l y) by (rewrite W; field; lra). unfold l in E.
    unfold Rdiv in *. rewrite Rmult_minus_distr_r in E. lra.
  - apply own_reference, Hq.
  - assert (L1 : l1 n p q = 2 * t * Cn).
    { unfold l1. rewrite (sum_ext n _ (fun y => 2 * t / N * (sg y * u y + s * 1))).
      - rewrite sum_scal, sum_plus, sum_scal, Ssu, sum_const. fold N. unfold Cn. field. lra.
      - intros y Hy. unfold p, q. destruct (Abs y Hy) as [F _].
        replace ((1 + t * d y) / N - (1 - t * d y) / N) with (2 * t / N * d y) by (field; lra).
        rewrite Rabs_mult, F, Rabs_pos_eq by (apply Rlt_le, Rdiv_lt_0_compat; lra). ring. }
    rewrite L1. replace (eps / tau) with e by (unfold eps; field; lra).
    assert (E1 : e * (1 - t) <= 2 * t).
    { unfold e. rewrite Sdd in I1. apply Rmult_le_reg_r with (2 * (N * s * Cn)); [lra |].
      replace (ip / (2 * (N * s * Cn)) * (1 - t) * (2 * (N * s * Cn))) with (ip * (1 - t)) by (field; lra).
      apply Rle_trans with (2 * t / (1 - t) * (2 * (N * s * Cn)) * (1 - t)); [apply Rmult_le_compat_r; lra |].
      apply Req_le. field. lra. }
    apply Rlt_le_trans with (Cn * (1 - t) * e); [apply Rmult_lt_compat_r; assumption |].
    replace (Cn * (1 - t) * e) with (Cn * (e * (1 - t))) by ring. replace (2 * t * Cn) with (Cn * (2 * t)) by ring.
    apply Rmult_le_compat_l; lra.
Qed.

(** * How far an equilibrium moves when preferences are wrong (N19): the constant of N16, improved and final.

    ||q_P - q_Q||_1 <= C ||P - Q||_max / tau, C = (3 + 2 sqrt 3)/12 = .5387, and a smaller C_n for n responses.

    No path from P to Q is needed.  With m = (p + q)/2 and the mean game M = (P + Q)/2, log p - log q is
    M (p - q)/tau + (P - Q) m/tau up to a constant: q is the equilibrium of M for a reference of its own, p has the
    residual (P - Q) m/tau there, and N18 applies.  The logarithmic mean of p and q is at most m, under which win rates
    are less spread than a uniform variable (N9). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate LogMean NashMD.
Open Scope R_scope.

(** Every policy is the equilibrium for a reference of its own. *)
Lemma own_reference n tau P q : policy n q -> is_nash n tau P (gibbs n q (fun y => - (win n P q y / tau))) q.
Proof.
  intros Hq. pose proof (policy_n_pos n q Hq) as Hn.
  pose proof (gibbs_policy n q Hn (proj1 Hq) (fun y => - (win n P q y / tau))) as Hg.
  destruct (gibbs_log_const n q (fun y => - (win n P q y / tau)) Hq) as [c Hc].
  apply (gibbs_unique n _ Hn (proj1 Hg) _ q (- c) Hq). intros y Hy. rewrite Hc by exact Hy. ring.
Qed.

(** E_m |p(. > m) - 1/2| <= 1/4, from the set of those that win more than half (N9). *)
Lemma N19_mean_deviation n P m : pref n P -> dist n m -> expect n m (fun y => Rabs (win n P m y - 1 / 2)) <= 1 / 4.
Proof.
  intros HP Hm. set (s := fun y => if Rle_dec (1 / 2) (win n P m y) then 1 else 0).
  assert (Hs : forall y, 0 <= s y <= 1) by (intro y; unfold s; destruct (Rle_dec (1 / 2) (win n P m y)); lra).
  pose proof (N9_win_mass n P m HP Hm s (fun y _ => Hs y)) as W. cbv zeta in W.
  pose proof (mean_win_rate n P m HP Hm) as Half.
  rewrite (expect_ext n m _ (fun y => 2 * (s y * win n P m y) - s y - (win n P m y - 1 / 2))).
  - rewrite !expect_minus, expect_scal, expect_const by apply Hm.
    change (expect n m (fun y => win n P m y)) with (expect n m (win n P m)). rewrite Half.
    set (w := expect n m s) in *. change (expect n m (fun y => s y)) with w. pose proof (pow2_ge_0 (w - 1 / 2)). nra.
  - intros y _. unfold s. destruct (Rle_dec (1 / 2) (win n P m y)); [rewrite Rabs_pos_eq | rewrite Rabs_left]; lra.
Qed.

(** sum m^3 >= 1/n^2. *)
Lemma cubes_lower n m : dist n m -> 1 / INR n ^ 2 <= sum n (fun i => m i ^ 3).
Proof.
  intros [Hm S]. assert (Hn : 0 < INR n).
  { apply lt_0_INR. destruct n; [simpl in S; lra | lia]. }
  pose proof (sum_cauchy_schwarz n (fun _ => 1) m) as A. cbv beta in A.
  rewrite (sum_ext n (fun i => 1 * m i) m), (sum_ext n (fun _ => 1 ^ 2) (fun _ => 1)), sum_const, S in A by (intros; ring).
  pose proof (weighted_cauchy_schwarz n m (fun _ => 1) m Hm) as B. cbv beta in B.
  rewrite (sum_ext n (fun y => m y * 1 * m y) (fun y => m y ^ 2)), (sum_ext n (fun y => m y * 1 * 1) m), S,
    (sum_ext n (fun y => m y * m y * m y) (fun i => m i ^ 3)) in B by (intros; ring).
  set (s := sum n (fun y => m y ^ 2)) in *. set (t := sum n (fun i => m i ^ 3)) in *.
  apply Rmult_le_reg_r with (INR n ^ 2); [nra |]. replace (1 / INR n ^ 2 * INR n ^ 2) with 1 by (field; lra).
  assert (1 <= INR n * s) by lra. assert (1 <= (INR n * s) ^ 2) by nra.
  assert (INR n ^ 2 * s ^ 2 <= INR n ^ 2 * t) by (apply Rmult_le_compat_l; [nra | lra]). nra.
Qed.

(** ||p - q||_1 from two moments of the residual of p under the mean m of p and q. *)
Lemma moment_bound n tau M nu p q r c x v : 0 < tau -> is_pref n M -> policy n nu -> is_nash n tau M nu q -> policy n p ->
  (forall y, (y < n)%nat -> residual n tau M nu p y - c = r y) -> let m := fun y => (p y + q y) / 2 in
  expect n m (fun y => Rabs (r y)) <= x -> expect n m (fun y => r y ^ 2) <= v -> l1 n p q <= (x + sqrt v) / 2.
Proof.
  intros Ht HM Hnu N Hp Res m First Second. pose proof (nash_policy n tau M nu q Hnu N) as Hq.
  pose proof Hp as [Pp Sp]. pose proof Hq as [Pq Sq].
  pose proof (N18_l1 n tau M nu q p Ht HM Hnu N Hp c) as B.
  assert (Below : forall y, (y < n)%nat -> 0 < log_mean (p y) (q y) <= m y).
  { intros y Hy. apply log_mean_bounds; [apply Pp | apply Pq]; exact Hy. }
  assert (E1 : sum n (fun y => log_mean (p y) (q y) * Rabs (residual n tau M nu p y - c)) <= x).
  { eapply Rle_trans; [| exact First]. apply sum_le. intros y Hy. rewrite Res by exact Hy.
    apply Rmult_le_compat_r; [apply Rabs_pos | apply Below, Hy]. }
  assert (E2 : log_mean_inner n p q (fun y => residual n tau M nu p y - c) (fun y => residual n tau M nu p y - c) <= v).
  { eapply Rle_trans; [| exact Second]. apply sum_le. intros y Hy. rewrite Res by exact Hy.
    replace (log_mean (p y) (q y) * r y * r y) with (log_mean (p y) (q y) * r y ^ 2) by ring.
    apply Rmult_le_compat_r; [apply pow2_ge_0 | apply Below, Hy]. }
  assert (Root : sqrt (sum n (fun y => log_mean (p y) (q y))) <= 1).
  { rewrite <- sqrt_1. apply sqrt_le_1_alt. apply Rle_trans with (sum n m); [apply sum_le; intros y Hy; apply (Below y Hy) |].
    unfold m, Rdiv. rewrite sum_scal_r, sum_plus, Sp, Sq. lra. }
  apply sqrt_le_1_alt in E2. pose proof (sqrt_pos (sum n (fun y => log_mean (p y) (q y)))) as R0.
  pose proof (Rmult_le_compat _ _ _ _ R0 (sqrt_pos _) Root E2) as Prod. rewrite Rmult_1_l in Prod.
  eapply Rle_trans; [exact B |]. lra.
Qed.

(** Where the residual of p is k (R m - 1/2) but for a constant, R any preferences. *)
Lemma spread_bound n tau M nu p q R k c : 0 < tau -> is_pref n M -> policy n nu -> is_nash n tau M nu q -> policy n p ->
  pref n R -> 0 <= k -> let m := fun y => (p y + q y) / 2 in
  (forall y, (y < n)%nat -> residual n tau M nu p y - c = k * (win n R m y - 1 / 2)) ->
  l1 n p q <= k / 2 * (1 / 4 + sqrt ((1 - 1 / INR n ^ 2) / 12)).
Proof.
  intros Ht HM Hnu N Hp HR Hk m Res. pose proof (nash_policy n tau M nu q Hnu N) as Hq.
  assert (Hm : dist n m).
  { split; [intros y Hy; unfold m; pose proof (proj1 Hp y Hy); pose proof (proj1 Hq y Hy); lra |].
    unfold m, Rdiv. rewrite sum_scal_r, sum_plus, (proj2 Hp), (proj2 Hq). lra. }
  set (v := (1 - 1 / INR n ^ 2) / 12).
  replace (k / 2 * (1 / 4 + sqrt v)) with ((k * (1 / 4) + sqrt (k ^ 2 * v)) / 2)
    by (rewrite sqrt_mult_alt, sqrt_pow2 by (apply pow2_ge_0 || exact Hk); field).
  apply (moment_bound n tau M nu p q _ c _ _ Ht HM Hnu N Hp Res); fold m.
  - rewrite (expect_ext n m _ (fun y => k * Rabs (win n R m y - 1 / 2)))
      by (intros; rewrite Rabs_mult, (Rabs_pos_eq k) by exact Hk; reflexivity).
    rewrite expect_scal. apply Rmult_le_compat_l; [exact Hk | apply (N19_mean_deviation n R m HR Hm)].
  - rewrite (expect_ext n m _ (fun y => k ^ 2 * (win n R m y - 1 / 2) ^ 2)) by (intros; ring).
    rewrite expect_scal. apply Rmult_le_compat_l; [apply pow2_ge_0 |].
    pose proof (N9_variance n R m HR Hm) as V. unfold win_variance in V. pose proof (cubes_lower n m Hm). unfold v. lra.
Qed.

(** q is the equilibrium of the mean game for a reference of its own; p has the residual (P - Q) m / tau there. *)
Lemma mean_game n tau P Q mu p q : 0 < tau -> is_pref n P -> is_pref n Q -> policy n mu ->
  is_nash n tau P mu p -> is_nash n tau Q mu q -> let m := fun y => (p y + q y) / 2 in
  exists M nu c, is_pref n M /\ policy n nu /\ is_nash n tau M nu q /\
    forall y, (y < n)%nat -> residual n tau M nu p y - c = (win n P m y - win n Q m y) / tau.
Proof.
  intros Ht HP HQ Hmu Np Nq m. pose proof (nash_policy n tau Q mu q Hmu Nq) as Hq. pose proof (policy_n_pos n q Hq) as Hn.
  destruct (nash_log n tau P mu p Hmu Np) as [c Lp]. destruct (nash_log n tau Q mu q Hmu Nq) as [c' Lq].
  set (M := fun i j => (P i j + Q i j) / 2). set (nu := gibbs n q (fun y => - (win n M q y / tau))).
  destruct (gibbs_log_const n q (fun y => - (win n M q y / tau)) Hq) as [d Ld]. fold nu in Ld.
  exists M, nu, (c - c' - d). split; [| split; [| split]].
  - intros i j Hi Hj. unfold M. pose proof (HP i j Hi Hj). pose proof (HQ i j Hi Hj). lra.
  - apply gibbs_policy; [exact Hn | apply Hq].
  - apply own_reference, Hq.
  - intros y Hy.
    assert (V : forall v, win n M v y = (win n P v y + win n Q v y) / 2).
    { intro v. unfold win, Rdiv. rewrite <- sum_plus, <- sum_scal_r. apply sum_ext. intros j _. unfold M. field. }
    assert (W : forall T, win n T m y = (win n T p y + win n T q y) / 2).
    { intro T. unfold win, Rdiv. rewrite <- sum_plus, <- sum_scal_r. apply sum_ext. intros j _. unfold m. field. }
    unfold residual. rewrite Ld, Lp, Lq, !V, !W by exact Hy. field. lra.
Qed.

(** N19.  ||q_P - q_Q||_1 <= C_n ||P - Q||_max / tau, C_n = 1/4 + sqrt((1 - 1/n^2)/12). *)
Theorem N19_by_size n tau P Q mu p q eps : 0 < tau -> 0 < eps -> is_pref n P -> is_pref n Q -> policy n mu ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> Rabs (P i j - Q i j) <= eps) ->
  is_nash n tau P mu p -> is_nash n tau Q mu q ->
  l1 n p q <= (1 / 4 + sqrt ((1 - 1 / INR n ^ 2) / 12)) * (eps / tau).
Proof.
  intros Ht He HP HQ Hmu Close Np Nq.
  pose proof (nash_policy n tau P mu p Hmu Np) as Hp. pose proof (nash_policy n tau Q mu q Hmu Nq) as Hq.
  destruct (mean_game n tau P Q mu p q Ht HP HQ Hmu Np Nq) as [M [nu [c [HM [Hnu [N Res]]]]]].
  set (R := fun i j => 1 / 2 + (P i j - Q i j) / (2 * eps)).
  assert (HR : pref n R).
  { split; intros i j Hi Hj; unfold R.
    - pose proof (HP i j Hi Hj). pose proof (HQ i j Hi Hj).
      replace (P j i) with (1 - P i j) by lra. replace (Q j i) with (1 - Q i j) by lra. field. lra.
    - pose proof (Close i j Hi Hj) as B. apply Rabs_le_between in B.
      assert (I : 0 < / (2 * eps)) by (apply Rinv_0_lt_compat; lra).
      replace (1 / 2 + (P i j - Q i j) / (2 * eps)) with ((eps + (P i j - Q i j)) * / (2 * eps)) by (field; lra).
      split; [apply Rmult_le_pos; lra |].
      apply Rmult_le_reg_r with (2 * eps); [lra |]. rewrite Rmult_assoc, Rinv_l by lra. lra. }
  set (m := fun y => (p y + q y) / 2) in *.
  replace ((1 / 4 + sqrt ((1 - 1 / INR n ^ 2) / 12)) * (eps / tau))
    with (2 * eps / tau / 2 * (1 / 4 + sqrt ((1 - 1 / INR n ^ 2) / 12))) by (field; lra).
  apply (spread_bound n tau M nu p q R (2 * eps / tau) c Ht HM Hnu N Hp HR); [apply Rlt_le, Rdiv_lt_0_compat; lra |].
  intros y Hy. rewrite Res by exact Hy. fold m.
  assert (W : win n R m y = 1 / 2 + (win n P m y - win n Q m y) / (2 * eps)).
  { transitivity (1 / 2 * sum n m + (win n P m y - win n Q m y) * / (2 * eps)).
    - unfold win. rewrite <- sum_minus, <- sum_scal_r, <- sum_scal, <- sum_plus. apply sum_ext. intros j _. unfold R. field. lra.
    - unfold m at 1, Rdiv. rewrite sum_scal_r, sum_plus, (proj2 Hp), (proj2 Hq). field. lra. }
  rewrite W. field. lra.
Qed.

(** N19 for one pair: if P and Q differ in the pair i, j alone, by e, then at m = (p + q)/2
    ||p - q||_1 <= (e / 2 tau) (2 m_i m_j + sqrt(m_i m_j (m_i + m_j))) <= e / (2 tau). *)
Theorem N19_one_pair n tau P Q mu p q i j e : 0 < tau -> is_pref n P -> is_pref n Q -> policy n mu ->
  (i < n)%nat -> (j < n)%nat -> i <> j -> P i j - Q i j = e -> 0 <= e ->
  (forall y z, (y < n)%nat -> (z < n)%nat -> ~ (y = i /\ z = j) -> ~ (y = j /\ z = i) -> P y z = Q y z) ->
  is_nash n tau P mu p -> is_nash n tau Q mu q ->
  let m := fun y => (p y + q y) / 2 in
  l1 n p q <= e / (2 * tau) * (2 * (m i * m j) + sqrt (m i * m j * (m i + m j))) /\ l1 n p q <= e / (2 * tau).
Proof.
  intros Ht HP HQ Hmu Hi Hj Nij He E0 Rest Np Nq m.
  pose proof (nash_policy n tau P mu p Hmu Np) as Hp. pose proof (nash_policy n tau Q mu q Hmu Nq) as Hq.
  destruct (mean_game n tau P Q mu p q Ht HP HQ Hmu Np Nq) as [M [nu [c [HM [Hnu [N Res]]]]]]. fold m in Res.
  assert (Mp : forall y, (y < n)%nat -> 0 < m y).
  { intros y Hy. unfold m. pose proof (proj1 Hp y Hy). pose proof (proj1 Hq y Hy). lra. }
  assert (Sm : sum n m = 1) by (unfold m, Rdiv; rewrite sum_scal_r, sum_plus, (proj2 Hp), (proj2 Hq); lra).
  assert (Ji : P j i - Q j i = - e) by (pose proof (HP i j Hi Hj); pose proof (HQ i j Hi Hj); lra).
  set (r := fun y => e / tau * (m j * delta i y - m i * delta j y)).
  assert (Dij : delta i j = 0 /\ delta j i = 0 /\ delta i i = 1 /\ delta j j = 1).
  { unfold delta. rewrite !Nat.eqb_refl. destruct (Nat.eqb_spec j i), (Nat.eqb_spec i j); try lia; repeat split; reflexivity. }
  destruct Dij as [D1 [D2 [D3 D4]]].
  assert (Off : forall a b, b <> a -> delta a b = 0) by (intros a b H; unfold delta; destruct (Nat.eqb_spec b a); [lia | reflexivity]).
  assert (R : forall y, (y < n)%nat -> residual n tau M nu p y - c = r y).
  { intros y Hy. rewrite Res by exact Hy. unfold r.
    assert (W : win n P m y - win n Q m y = e * (m j * delta i y - m i * delta j y)).
    { unfold win. rewrite <- sum_minus.
      rewrite (sum_ext n _ (fun z => e * delta i y * (m z * delta j z) - e * delta j y * (m z * delta i z))).
      - rewrite sum_minus, !sum_scal, !sum_delta by assumption. ring.
      - intros z Hz. transitivity ((P y z - Q y z) * m z); [ring |].
        destruct (Nat.eq_dec y i) as [-> | Yi]; [| destruct (Nat.eq_dec y j) as [-> | Yj]].
        + rewrite D2, D3. destruct (Nat.eq_dec z j) as [-> | Z]; [rewrite He, D4; ring |].
          rewrite (Off j z Z), Rest by (assumption || lia). ring.
        + rewrite D1, D4. destruct (Nat.eq_dec z i) as [-> | Z]; [rewrite Ji, D3; ring |].
          rewrite (Off i z Z), Rest by (assumption || lia). ring.
        + rewrite (Off i y Yi), (Off j y Yj), Rest by (assumption || lia). ring. }
    rewrite W. field. lra. }
  assert (Two : forall g, sum n (fun y => m y * (m j * delta i y + m i * delta j y) * g y) = m i * m j * (g i + g j)).
  { intro g. rewrite (sum_ext n _ (fun y => m j * (m y * g y * delta i y) + m i * (m y * g y * delta j y))) by (intros; ring).
    rewrite sum_plus, !sum_scal, (sum_delta n i (fun y => m y * g y)), (sum_delta n j (fun y => m y * g y)) by assumption. ring. }
  assert (Et : 0 <= e / tau) by (apply Rdiv_le_0_compat; lra).
  pose proof (Mp i Hi) as Pi. pose proof (Mp j Hj) as Pj.
  assert (Shape : forall y, (delta i y = 1 /\ delta j y = 0) \/ (delta i y = 0 /\ delta j y = 1) \/ (delta i y = 0 /\ delta j y = 0)).
  { intro y. unfold delta. destruct (Nat.eqb_spec y i), (Nat.eqb_spec y j); try lia; tauto. }
  assert (First : expect n m (fun y => Rabs (r y)) <= e / tau * (2 * (m i * m j))).
  { apply Req_le. unfold expect. transitivity (e / tau * sum n (fun y => m y * (m j * delta i y + m i * delta j y) * 1)).
    - rewrite <- sum_scal. apply sum_ext. intros y _. unfold r. rewrite Rabs_mult, (Rabs_pos_eq (e / tau)) by exact Et.
      destruct (Shape y) as [[-> ->] | [[-> ->] | [-> ->]]].
      + rewrite Rabs_pos_eq by lra. ring.
      + rewrite Rabs_left by lra. ring.
      + replace (m j * 0 - m i * 0) with 0 by ring. rewrite Rabs_R0. ring.
    - rewrite (Two (fun _ => 1)). ring. }
  assert (Second : expect n m (fun y => r y ^ 2) <= (e / tau) ^ 2 * (m i * m j * (m i + m j))).
  { apply Req_le. unfold expect.
    transitivity ((e / tau) ^ 2 * sum n (fun y => m y * (m j * delta i y + m i * delta j y) * (m j * delta i y + m i * delta j y))).
    - rewrite <- sum_scal. apply sum_ext. intros y _. unfold r.
      destruct (Shape y) as [[-> ->] | [[-> ->] | [-> ->]]]; ring.
    - rewrite Two, D1, D2, D3, D4. ring. }
  pose proof (moment_bound n tau M nu p q r c _ _ Ht HM Hnu N Hp R First Second) as B.
  rewrite sqrt_mult_alt, sqrt_pow2 in B by (apply pow2_ge_0 || exact Et).
  assert (B' : l1 n p q <= e / (2 * tau) * (2 * (m i * m j) + sqrt (m i * m j * (m i + m j)))).
  { eapply Rle_trans; [exact B |]. apply Req_le. field. lra. }
  split; [exact B' |]. eapply Rle_trans; [exact B' |]. rewrite <- (Rmult_1_r (e / (2 * tau))) at 2.
  apply Rmult_le_compat_l; [apply Rdiv_le_0_compat; lra |].
  assert (Sum1 : m i + m j <= 1).
  { pose proof (sum_le n (fun y => m y * (delta i y + delta j y)) m) as L. cbv beta in L.
    rewrite (sum_ext n (fun y => m y * (delta i y + delta j y)) (fun y => m y * delta i y + m y * delta j y)) in L by (intros; ring).
    rewrite sum_plus, !sum_delta, Sm in L by assumption. apply L. intros y Hy. pose proof (Mp y Hy).
    destruct (Shape y) as [[-> ->] | [[-> ->] | [-> ->]]]; lra. }
  assert (Prod : m i * m j <= 1 / 4) by (pose proof (pow2_ge_0 (m i - m j)); nra).
  assert (Root : sqrt (m i * m j * (m i + m j)) <= 1 / 2).
  { rewrite <- (sqrt_pow2 (1 / 2)) by lra. apply sqrt_le_1_alt. assert (0 <= m i * m j) by (apply Rmult_le_pos; lra). nra. }
  lra.
Qed.

(** N19 for the temperature: ||q_tau - q_tau'||_1 <= (C_n / 2) |1/tau - 1/tau'|, by the game at the mean of 1/tau and 1/tau'. *)
Theorem N19_temperature n tau tau' P mu p q : 0 < tau -> 0 < tau' -> pref n P -> policy n mu ->
  is_nash n tau P mu p -> is_nash n tau' P mu q ->
  l1 n p q <= Rabs (/ tau - / tau') / 2 * (1 / 4 + sqrt ((1 - 1 / INR n ^ 2) / 12)).
Proof.
  assert (Colder : forall t t' u v, 0 < t -> 0 < t' -> / t' <= / t -> pref n P -> policy n mu ->
    is_nash n t P mu u -> is_nash n t' P mu v ->
    l1 n u v <= (/ t - / t') / 2 * (1 / 4 + sqrt ((1 - 1 / INR n ^ 2) / 12))).
  { intros t t' u v Ht Ht' Le HP Hmu Nu Nv.
    pose proof (nash_policy n t P mu u Hmu Nu) as Hu. pose proof (nash_policy n t' P mu v Hmu Nv) as Hv.
    pose proof (policy_n_pos n v Hv) as Hn.
    destruct (nash_log n t P mu u Hmu Nu) as [c Lu]. destruct (nash_log n t' P mu v Hmu Nv) as [c' Lv].
    assert (I : 0 < / t) by (apply Rinv_0_lt_compat, Ht). assert (I' : 0 < / t') by (apply Rinv_0_lt_compat, Ht').
    set (T := 2 / (/ t + / t')). assert (HT : 0 < T) by (apply Rdiv_lt_0_compat; lra).
    set (nu := gibbs n v (fun y => - (win n P v y / T))).
    pose proof (own_reference n T P v Hv) as N. fold nu in N.
    pose proof (gibbs_policy n v Hn (proj1 Hv) (fun y => - (win n P v y / T))) as Hnu. fold nu in Hnu.
    destruct (gibbs_log_const n v (fun y => - (win n P v y / T)) Hv) as [d Ld]. fold nu in Ld.
    apply (spread_bound n T P nu u v P (/ t - / t') (c - c' - d + (/ t - / t') / 2)); try assumption; [apply HP | lra |].
    intros y Hy.
    assert (W : win n P (fun z => (u z + v z) / 2) y = (win n P u y + win n P v y) / 2).
    { unfold win, Rdiv. rewrite <- sum_plus, <- sum_scal_r. apply sum_ext. intros; ring. }
    cbv zeta. rewrite W. unfold residual. rewrite Ld, Lu, Lv by exact Hy. unfold T. field. repeat split; lra. }
  intros Ht Ht' HP Hmu Np Nq. destruct (Rle_dec (/ tau') (/ tau)) as [L | L].
  - rewrite Rabs_pos_eq by lra. apply Colder; assumption.
  - rewrite l1_sym, Rabs_left by lra. replace (- (/ tau - / tau')) with (/ tau' - / tau) by ring.
    apply Colder; try assumption. lra.
Qed.

(** N19 for every n. *)
Corollary N19_preferences n tau P Q mu p q eps : 0 < tau -> 0 < eps -> is_pref n P -> is_pref n Q -> policy n mu ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> Rabs (P i j - Q i j) <= eps) ->
  is_nash n tau P mu p -> is_nash n tau Q mu q -> l1 n p q <= (3 + 2 * sqrt 3) / 12 * (eps / tau).
Proof.
  intros Ht He HP HQ Hmu Close Np Nq.
  eapply Rle_trans; [apply (N19_by_size n tau P Q mu p q eps Ht He HP HQ Hmu Close Np Nq) |].
  apply Rmult_le_compat_r; [apply Rlt_le, Rdiv_lt_0_compat; assumption |].
  assert (Hn : 0 < INR n) by (apply lt_0_INR, Nat.neq_0_lt_0; pose proof (policy_n_pos n mu Hmu); lia).
  assert (0 < 1 / INR n ^ 2) by (apply Rdiv_lt_0_compat; [lra | apply pow_lt, Hn]).
  assert (Root : sqrt ((1 - 1 / INR n ^ 2) / 12) <= sqrt 3 / 6); [| lra].
  assert (S3 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra). assert (Q3 : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  rewrite <- (sqrt_pow2 (sqrt 3 / 6)) by lra. apply sqrt_le_1_alt.
  replace ((sqrt 3 / 6) ^ 2) with (sqrt 3 * sqrt 3 / 36) by field. rewrite Q3. lra.
Qed.

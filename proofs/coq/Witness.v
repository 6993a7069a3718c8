(** * Which policies are equilibria (N22): of a preference in a box L <= P <= U, L + U^T = 1, or of any.

    Some P of the box has win rates against pi that are nearest to those that pi needs, 1/2 + tau (h - E_pi h).  What is
    left over is largest on a set S that loses to the others as often as the box allows; if S may lose as much as it needs
    to, nothing is left over. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate NashMD KlBudget Chance Reach.
Open Scope R_scope.

(** P is a preference in the box L <= P <= U. *)
Definition in_box n (L U P : nat -> nat -> R) : Prop :=
  is_pref n P /\ forall y z, (y < n)%nat -> (z < n)%nat -> L y z <= P y z <= U y z.

(** ** The minimum of a Lipschitz function on a cube *)

Lemma lipschitz_minimum (g : R -> R) c : 0 <= c -> (forall s t, Rabs (g s - g t) <= c * Rabs (s - t)) ->
  exists t, 0 <= t <= 1 /\ forall s, 0 <= s <= 1 -> g t <= g s.
Proof.
  intros Hc Lip. destruct (continuity_ab_min g 0 1 ltac:(lra)) as [t [Min Ht]].
  - intros x _ eps He. exists (eps / (c + 1)). split; [apply Rdiv_lt_0_compat; lra |].
    intros s [_ D]. simpl in *. unfold R_dist in *. eapply Rle_lt_trans; [apply Lip |].
    apply Rle_lt_trans with ((c + 1) * Rabs (s - x)); [pose proof (Rabs_pos (s - x)); nra |].
    apply (Rmult_lt_compat_l (c + 1)) in D; [| lra]. replace ((c + 1) * (eps / (c + 1))) with eps in D by (field; lra). exact D.
  - exists t. split; [exact Ht | exact Min].
Qed.

Lemma cube_minimum N : forall (F : (nat -> R) -> R) c, 0 <= c ->
  (forall a b, (forall i, (i < N)%nat -> 0 <= a i <= 1) -> (forall i, (i < N)%nat -> 0 <= b i <= 1) ->
    F a - F b <= c * sum N (fun i => Rabs (a i - b i))) ->
  exists a, (forall i, (i < N)%nat -> 0 <= a i <= 1) /\ forall b, (forall i, (i < N)%nat -> 0 <= b i <= 1) -> F a <= F b.
Proof.
  induction N as [| N IH]; intros F c Hc Lip.
  - exists (fun _ => 0). split; [intros; lia |]. intros b Hb. pose proof (Lip (fun _ => 0) b ltac:(intros; lia) Hb) as B. simpl in B. lra.
  - set (cube := fun a : nat -> R => forall i, (i < N)%nat -> 0 <= a i <= 1).
    set (F' := fun t (a : nat -> R) => F (upd a N t)).
    assert (In : forall a t, cube a -> 0 <= t <= 1 -> forall i, (i < S N)%nat -> 0 <= upd a N t i <= 1).
    { intros a t Ha Ht i Hi. unfold upd. destruct (Nat.eqb_spec i N); [exact Ht | apply Ha; lia]. }
    assert (Lip' : forall a b s t, cube a -> cube b -> 0 <= s <= 1 -> 0 <= t <= 1 ->
      F' s a - F' t b <= c * (sum N (fun i => Rabs (a i - b i)) + Rabs (s - t))).
    { intros a b s t Ha Hb Hs Ht. eapply Rle_trans; [apply (Lip _ _ (In a s Ha Hs) (In b t Hb Ht)) |]. right. f_equal. simpl. f_equal.
      - apply sum_ext. intros i Hi. unfold upd. destruct (Nat.eqb_spec i N); [lia | reflexivity].
      - unfold upd. rewrite Nat.eqb_refl. reflexivity. }
    set (clamp := fun t => Rmax 0 (Rmin 1 t)).
    assert (Clamp : forall t, 0 <= clamp t <= 1).
    { intro t. unfold clamp. split; [apply Rmax_l |]. apply Rmax_lub; [lra | apply Rmin_l]. }
    assert (Inner : forall t, 0 <= t <= 1 -> exists a, cube a /\ forall b, cube b -> F' t a <= F' t b).
    { intros t Ht. apply (IH (F' t) c Hc). intros a b Ha Hb. pose proof (Lip' a b t t Ha Hb Ht Ht) as B.
      replace (t - t) with 0 in B by ring. rewrite Rabs_R0, Rplus_0_r in B. exact B. }
    set (g := fun t => real (Glb_Rbar (fun v => exists a, cube a /\ v = F' (clamp t) a))).
    assert (G : forall t a, cube a -> (forall b, cube b -> F' (clamp t) a <= F' (clamp t) b) -> g t = F' (clamp t) a).
    { intros t a Ha Min. unfold g. rewrite (is_glb_Rbar_unique _ (Finite (F' (clamp t) a))); [reflexivity |]. split.
      - intros v [b [Hb ->]]. apply (Min b Hb).
      - intros b Hb. apply (Hb (F' (clamp t) a)). exists a. split; [exact Ha | reflexivity]. }
    assert (Half : forall s t, g s - g t <= c * Rabs (s - t)).
    { intros s t. destruct (Inner _ (Clamp s)) as [a [Ha Ma]]. destruct (Inner _ (Clamp t)) as [b [Hb Mb]].
      rewrite (G s a Ha Ma), (G t b Hb Mb). pose proof (Ma b Hb) as M.
      pose proof (Lip' b b (clamp s) (clamp t) Hb Hb (Clamp s) (Clamp t)) as B.
      rewrite (sum_ext N _ (fun _ => 0)), sum_zero, Rplus_0_l in B
        by (intros i _; replace (b i - b i) with 0 by ring; apply Rabs_R0).
      assert (Rabs (clamp s - clamp t) <= Rabs (s - t)); [| nra].
      unfold clamp, Rmax, Rmin. repeat destruct (Rle_dec _ _); unfold Rabs; repeat destruct (Rcase_abs _); lra. }
    destruct (lipschitz_minimum g c Hc) as [t [Ht Min]].
    { intros s t. apply Rabs_le. pose proof (Half s t). pose proof (Half t s) as B. rewrite (Rabs_minus_sym t s) in B. lra. }
    assert (Same : forall s, 0 <= s <= 1 -> clamp s = s) by (intros s Hs; unfold clamp; rewrite Rmin_right, Rmax_right; lra).
    destruct (Inner t Ht) as [a [Ha Ma]]. exists (upd a N t). split; [apply In; assumption |].
    intros b Hb. assert (Hb' : cube b) by (intros i Hi; apply Hb; lia). specialize (Hb N ltac:(lia)).
    destruct (Inner (b N) Hb) as [b' [Hb1 Mb]]. pose proof (Min (b N) Hb) as M.
    rewrite (G t a Ha), (G (b N) b' Hb1), !Same in M by (rewrite ?Same by assumption; assumption).
    apply Rle_trans with (F' (b N) b); [eapply Rle_trans; [exact M | apply Mb, Hb'] |].
    pose proof (Lip (upd b N (b N)) b (In b (b N) Hb' Hb)) as B. unfold F'.
    assert (Eq : sum (S N) (fun i => Rabs (upd b N (b N) i - b i)) = 0).
    { rewrite <- (sum_zero (S N)). apply sum_ext. intros i Hi. unfold upd.
      destruct (Nat.eqb_spec i N) as [-> |]; rewrite Rminus_diag_eq by reflexivity; apply Rabs_R0. }
    rewrite Eq in B. enough (F (upd b N (b N)) - F b <= c * 0) by lra. apply B. intros i Hi.
    destruct (Nat.eq_dec i N) as [-> | Ni]; [exact Hb | apply Hb'; lia].
Qed.

(** ** The best preference of a box *)

Section Box.

Variables (n : nat) (L U : nat -> nat -> R) (pi : nat -> R).
Hypothesis pi_policy : policy n pi.
Hypothesis ordered : forall y z, (y < n)%nat -> (z < n)%nat -> L y z <= U y z.
Hypothesis nonnegative : forall y z, (y < n)%nat -> (z < n)%nat -> 0 <= L y z.
Hypothesis mirrored : forall y z, (y < n)%nat -> (z < n)%nat -> L y z + U z y = 1.

Lemma in_box_pref P : in_box n L U P -> pref n P.
Proof.
  intros [S B]. split; [exact S |]. intros y z Hy Hz. pose proof (B y z Hy Hz). pose proof (nonnegative y z Hy Hz).
  pose proof (nonnegative z y Hz Hy). pose proof (mirrored z y Hz Hy). lra.
Qed.

(** Some P of the box has win rates against pi that are nearest to any given ones. *)
Lemma nearest_preference (target : nat -> R) : exists P, in_box n L U P /\ forall Q, in_box n L U Q ->
  expect n pi (fun y => (win n P pi y - target y) ^ 2) <= expect n pi (fun y => (win n Q pi y - target y) ^ 2).
Proof.
  pose proof (policy_dist n pi pi_policy) as Dpi.
  set (P := fun (a : nat -> R) y z => L y z + (U y z - L y z) * ((1 + a (y * n + z)%nat - a (z * n + y)%nat) / 2)).
  set (F := fun a => expect n pi (fun y => (win n (P a) pi y - target y) ^ 2)).
  assert (Index : forall y z, (y < n)%nat -> (z < n)%nat -> (y * n + z < n * n)%nat) by (intros; nia).
  assert (Box : forall a, (forall i, (i < n * n)%nat -> 0 <= a i <= 1) -> in_box n L U (P a)).
  { intros a Ha. split.
    - intros y z Hy Hz. unfold P. pose proof (mirrored y z Hy Hz). pose proof (mirrored z y Hz Hy).
      replace (U z y) with (1 - L y z) by lra. replace (L z y) with (1 - U y z) by lra. field.
    - intros y z Hy Hz. pose proof (ordered y z Hy Hz) as O. unfold P.
      pose proof (Ha _ (Index y z Hy Hz)). pose proof (Ha _ (Index z y Hz Hy)).
      set (s := (1 + a (y * n + z)%nat - a (z * n + y)%nat) / 2). assert (0 <= s <= 1) by (unfold s; lra). nra. }
  set (C := 1 + sum n (fun y => Rabs (target y))).
  assert (C1 : 1 <= C) by (unfold C; pose proof (sum_nonneg n (fun y => Rabs (target y)) (fun y _ => Rabs_pos _)); lra).
  destruct (cube_minimum (n * n) F (2 * C) ltac:(lra)) as [a [Ha Min]].
  - intros a b Ha Hb. set (D := sum (n * n) (fun i => Rabs (a i - b i))).
    assert (Each : forall i, (i < n * n)%nat -> Rabs (a i - b i) <= D)
      by (intros i Hi; apply (sum_lower_bound (n * n) (fun i => Rabs (a i - b i))); [intros; apply Rabs_pos | exact Hi]).
    assert (Entry : forall y z, (y < n)%nat -> (z < n)%nat -> - D <= P a y z - P b y z <= D).
    { intros y z Hy Hz. unfold P. pose proof (Each _ (Index y z Hy Hz)) as E1. pose proof (Each _ (Index z y Hz Hy)) as E2.
      apply Rabs_le_between in E1. apply Rabs_le_between in E2.
      pose proof (ordered y z Hy Hz). pose proof (nonnegative y z Hy Hz). pose proof (nonnegative z y Hz Hy).
      pose proof (mirrored z y Hz Hy).
      set (s := (a (y * n + z)%nat - b (y * n + z)%nat - (a (z * n + y)%nat - b (z * n + y)%nat)) / 2).
      assert (- D <= s <= D) by (unfold s; lra). assert (0 <= U y z - L y z <= 1) by lra.
      replace (L y z + (U y z - L y z) * ((1 + a (y * n + z)%nat - a (z * n + y)%nat) / 2)
        - (L y z + (U y z - L y z) * ((1 + b (y * n + z)%nat - b (z * n + y)%nat) / 2))) with ((U y z - L y z) * s)
        by (unfold s; field). nra. }
    assert (Wins : forall y, (y < n)%nat -> - D <= win n (P a) pi y - win n (P b) pi y <= D).
    { intros y Hy. replace (win n (P a) pi y - win n (P b) pi y) with (expect n pi (fun z => P a y z - P b y z)).
      - apply expect_bounds; [exact Dpi | intros z Hz; apply Entry; assumption].
      - unfold expect, win. rewrite <- sum_minus. apply sum_ext. intros; ring. }
    assert (Sq : forall y, (y < n)%nat ->
      - (2 * C * D) <= (win n (P a) pi y - target y) ^ 2 - (win n (P b) pi y - target y) ^ 2 <= 2 * C * D); cycle 1.
    { unfold F. rewrite <- expect_minus. apply (proj2 (expect_bounds n pi _ _ _ Dpi Sq)). }
    intros y Hy. pose proof (Wins y Hy) as Wy. pose proof (win_bounds n (P a) pi y (in_box_pref _ (Box a Ha)) Dpi Hy) as Wa.
    pose proof (win_bounds n (P b) pi y (in_box_pref _ (Box b Hb)) Dpi Hy) as Wb.
    assert (T : Rabs (target y) <= C - 1).
    { unfold C. pose proof (sum_lower_bound n (fun y => Rabs (target y)) y (fun i _ => Rabs_pos _) Hy). cbv beta in *. lra. }
    apply Rabs_le_between in T.
    set (d := win n (P a) pi y - win n (P b) pi y) in *. set (e := win n (P a) pi y + win n (P b) pi y - 2 * target y).
    replace ((win n (P a) pi y - target y) ^ 2 - (win n (P b) pi y - target y) ^ 2) with (d * e) by (unfold d, e; ring).
    assert (- (2 * C) <= e <= 2 * C) by (unfold e; lra). split; nra.
  - exists (P a). split; [apply Box, Ha |]. intros Q HQ.
    set (t := fun y z : nat => if Rlt_dec (L y z) (U y z) then (Q y z - L y z) / (U y z - L y z) else 0).
    set (b := fun i : nat => t (i / n)%nat (i mod n)%nat).
    assert (At : forall y z, (z < n)%nat -> b (y * n + z)%nat = t y z).
    { intros y z Hz. unfold b. f_equal; symmetry; [apply (Nat.div_unique _ n _ z) | apply (Nat.mod_unique _ n y z)]; lia. }
    assert (Inside : forall i, (i < n * n)%nat -> 0 <= b i <= 1).
    { intros i Hi. unfold b, t. assert (Hn : n <> 0%nat) by lia.
      assert (Hy : (i / n < n)%nat) by (apply Nat.div_lt_upper_bound; lia).
      pose proof (Nat.mod_upper_bound i n Hn) as Hz. pose proof (proj2 HQ _ _ Hy Hz).
      destruct (Rlt_dec _ _) as [Lt | _]; [| lra].
      set (u := U (i / n)%nat (i mod n)%nat) in *. set (l := L (i / n)%nat (i mod n)%nat) in *.
      split; [apply Rdiv_le_0_compat; lra |]. apply Rmult_le_reg_r with (u - l); [lra |].
      unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
    assert (Onto : forall y z, (y < n)%nat -> (z < n)%nat -> P b y z = Q y z).
    { intros y z Hy Hz. unfold P. rewrite !At by assumption. unfold t. pose proof (proj1 HQ y z Hy Hz). pose proof (proj2 HQ y z Hy Hz).
      pose proof (mirrored y z Hy Hz). pose proof (mirrored z y Hz Hy).
      destruct (Rlt_dec (L y z) (U y z)), (Rlt_dec (L z y) (U z y)); try lra.
      replace (Q z y) with (1 - Q y z) by lra. replace (U z y) with (1 - L y z) by lra.
      replace (L z y) with (1 - U y z) by lra. field. lra. }
    pose proof (Min b Inside) as M. unfold F in M. eapply Rle_trans; [exact M |]. right. apply expect_ext. intros y Hy. f_equal. f_equal.
    apply sum_ext. intros z Hz. rewrite Onto by assumption. reflexivity.
Qed.

(** At the nearest, no other preference of the box comes nearer to first order. *)
Lemma nearest_first_order target P Q : in_box n L U P -> in_box n L U Q ->
  (forall R, in_box n L U R ->
    expect n pi (fun y => (win n P pi y - target y) ^ 2) <= expect n pi (fun y => (win n R pi y - target y) ^ 2)) ->
  0 <= expect n pi (fun y => (win n P pi y - target y) * (win n Q pi y - win n P pi y)).
Proof.
  intros [P1 P2] [Q1 Q2] Min. set (e := fun y => win n P pi y - target y). set (d := fun y => win n Q pi y - win n P pi y).
  set (x := expect n pi (fun y => e y * d y)). set (v := expect n pi (fun y => d y ^ 2)).
  assert (V : 0 <= v) by (apply sum_nonneg; intros y Hy; apply Rmult_le_pos; [apply Rlt_le, pi_policy, Hy | apply pow2_ge_0]).
  destruct (Rle_dec 0 x) as [Le | Lt]; [exact Le | exfalso].
  set (s := Rmin 1 (- x / (v + 1))). assert (S0 : 0 < s) by (apply Rmin_glb_lt; [lra | apply Rdiv_lt_0_compat; lra]).
  assert (S1 : s <= 1) by apply Rmin_l.
  assert (S2 : s * (v + 1) <= - x).
  { pose proof (Rmin_r 1 (- x / (v + 1))) as M. fold s in M. apply (Rmult_le_compat_r (v + 1)) in M; [| lra].
    unfold Rdiv in M. rewrite Rmult_assoc, Rinv_l in M by lra. lra. }
  assert (Box : in_box n L U (fun y z => P y z + s * (Q y z - P y z))).
  { split; intros y z Hy Hz.
    - pose proof (P1 y z Hy Hz). pose proof (Q1 y z Hy Hz).
      replace (P z y) with (1 - P y z) by lra. replace (Q z y) with (1 - Q y z) by lra. ring.
    - pose proof (P2 y z Hy Hz). pose proof (Q2 y z Hy Hz). split; nra. }
  specialize (Min _ Box). fold (expect n pi (fun y => e y ^ 2)) in Min.
  assert (E : expect n pi (fun y => (win n (fun y z => P y z + s * (Q y z - P y z)) pi y - target y) ^ 2)
    = expect n pi (fun y => e y ^ 2) + 2 * s * x + s ^ 2 * v).
  { unfold x, v. rewrite <- !expect_scal, <- !expect_plus. apply expect_ext. intros y _.
    replace (win n (fun y z => P y z + s * (Q y z - P y z)) pi y) with (win n P pi y + s * d y); [unfold e; ring |].
    unfold d, win. rewrite <- sum_minus, <- sum_scal, <- sum_plus. apply sum_ext. intros; ring. }
  rewrite E in Min. change (fun y => (win n P pi y - target y) ^ 2) with (fun y => e y ^ 2) in Min. nra.
Qed.

(** What has more than it needs loses to what has less as often as the box allows. *)
Lemma nearest_loses target P (S : nat -> bool) : in_box n L U P ->
  (forall R, in_box n L U R ->
    expect n pi (fun y => (win n P pi y - target y) ^ 2) <= expect n pi (fun y => (win n R pi y - target y) ^ 2)) ->
  (forall y z, (y < n)%nat -> (z < n)%nat -> S y = true -> S z = false -> win n P pi z - target z < win n P pi y - target y) ->
  forall y z, (y < n)%nat -> (z < n)%nat -> S y = true -> S z = false -> P y z = L y z.
Proof.
  intros HP Min Above. pose proof HP as [P_pref Box]. pose proof (proj1 pi_policy) as Pp. set (e := fun y => win n P pi y - target y).
  set (Q := fun y z => if S y then (if S z then P y z else L y z) else (if S z then U y z else P y z)).
  assert (HQ : in_box n L U Q).
  { split; intros y z Hy Hz; pose proof (ordered y z Hy Hz); pose proof (mirrored y z Hy Hz); pose proof (mirrored z y Hz Hy);
      pose proof (Box y z Hy Hz); pose proof (P_pref y z Hy Hz); unfold Q; destruct (S y), (S z); lra. }
  pose proof (nearest_first_order target P Q HP HQ Min) as First.
  set (g := fun y z => (if S y then pi y else 0) * (P y z - L y z) * (if S z then 0 else pi z)). set (k := fun y z => g y z * (e y - e z)).
  assert (K0 : forall y z, (y < n)%nat -> (z < n)%nat -> 0 <= k y z).
  { intros y z Hy Hz. unfold k, g. pose proof (Above y z Hy Hz) as A. pose proof (Box y z Hy Hz).
    pose proof (Pp y Hy). pose proof (Pp z Hz). destruct (S y), (S z); try (right; ring). specialize (A eq_refl eq_refl). unfold e.
    apply Rmult_le_pos; [apply Rmult_le_pos; [apply Rmult_le_pos |] |]; lra. }
  assert (Total : sum n (fun y => sum n (fun z => k y z)) = - expect n pi (fun y => e y * (win n Q pi y - win n P pi y))).
  { transitivity (sum n (fun y => sum n (fun z => g y z * e y)) - sum n (fun y => sum n (fun z => g y z * e z))).
    - rewrite <- sum_minus. apply sum_ext. intros y _. rewrite <- sum_minus. apply sum_ext. intros z _. unfold k. ring.
    - rewrite (sum_swap n n (fun y z => g y z * e z)), <- sum_minus. unfold expect. rewrite <- sum_opp. apply sum_ext. intros y Hy.
      unfold win. rewrite <- !sum_minus. transitivity (- (pi y * e y * sum n (fun z => Q y z * pi z - P y z * pi z))); [| ring].
      rewrite <- sum_scal, <- sum_opp. apply sum_ext. intros z Hz. unfold g, Q.
      pose proof (mirrored z y Hz Hy). pose proof (P_pref y z Hy Hz). replace (P z y) with (1 - P y z) by lra.
      replace (L z y) with (1 - U y z) by lra. destruct (S y), (S z); ring. }
  assert (Rows : forall y, (y < n)%nat -> sum n (fun z => k y z) = 0).
  { apply (sum_nonneg_zero n (fun y => sum n (fun z => k y z))); [intros; apply sum_nonneg; intros; apply K0; assumption |].
    apply Rle_antisym; [rewrite Total; unfold e in *; lra |]. apply sum_nonneg. intros. apply sum_nonneg. intros. apply K0; assumption. }
  intros y z Hy Hz Ey Ez. pose proof (sum_nonneg_zero n (fun z => k y z) (fun z Hz => K0 y z Hy Hz) (Rows y Hy) z Hz) as Kz.
  unfold k, g in Kz. rewrite Ey, Ez in Kz. pose proof (Above y z Hy Hz Ey Ez) as A. fold (e y) in A. fold (e z) in A.
  assert (0 < pi y * pi z * (e y - e z)) by (apply Rmult_lt_0_compat; [apply Rmult_lt_0_compat; apply Pp; assumption | lra]).
  apply Rminus_diag_uniq. apply Rmult_eq_reg_l with (pi y * pi z * (e y - e z)); lra.
Qed.

End Box.

(** N22, for any box: pi is the equilibrium of some P with L <= P <= U if and only if for every set S
    sum_{y in S, z not in S} pi_y pi_z (L_yz - 1/2) <= tau pi(S) (E_S h - E_pi h), h = log pi - log mu. *)
Theorem N22_box n tau (L U : nat -> nat -> R) mu pi : 0 < tau -> policy n mu -> policy n pi ->
  (forall y z, (y < n)%nat -> (z < n)%nat -> 0 <= L y z <= U y z /\ L y z + U z y = 1) ->
  (exists P, in_box n L U P /\ is_nash n tau P mu pi) <->
  (forall S : nat -> bool,
    sum n (fun y => sum n (fun z => (if S y then pi y else 0) * (L y z - 1 / 2) * (if S z then 0 else pi z)))
    <= tau * lift n pi (fun y => ln (pi y) - ln (mu y)) S).
Proof.
  intros Ht Hmu Hp HB. pose proof Hp as [Pp Sp]. pose proof (policy_n_pos n pi Hp) as Hn.
  set (h := fun y => ln (pi y) - ln (mu y)). split.
  - intros [P [[P_pref Box] N]] S. unfold h. rewrite (lift_of_nash n tau P mu Ht P_pref Hmu pi S N).
    apply sum_le. intros y Hy. apply sum_le. intros z Hz. pose proof (Box y z Hy Hz). pose proof (Pp y Hy). pose proof (Pp z Hz).
    destruct (S y), (S z); try lra. assert (0 < pi y * pi z) by (apply Rmult_lt_0_compat; assumption). nra.
  - intro Cond. set (e0 := expect n pi h). set (target := fun y => 1 / 2 + tau * (h y - e0)).
    assert (ordered : forall y z, (y < n)%nat -> (z < n)%nat -> L y z <= U y z) by (intros y z Hy Hz; apply (HB y z Hy Hz)).
    assert (nonnegative : forall y z, (y < n)%nat -> (z < n)%nat -> 0 <= L y z) by (intros y z Hy Hz; apply (HB y z Hy Hz)).
    assert (mirrored : forall y z, (y < n)%nat -> (z < n)%nat -> L y z + U z y = 1) by (intros y z Hy Hz; apply (HB y z Hy Hz)).
    destruct (nearest_preference n L U pi Hp ordered nonnegative mirrored target) as [P [HP Min]].
    pose proof HP as [P_pref Box]. exists P. split; [exact HP |].
    set (e := fun y => win n P pi y - target y).
    assert (Mean : expect n pi e = 0).
    { unfold e, target. rewrite expect_minus, expect_plus, expect_const, expect_scal, expect_minus, expect_const by exact Sp.
      pose proof (beats_self n P pi P_pref Sp) as B. unfold beats in B. rewrite B. fold e0. ring. }
    assert (Zero : forall y, (y < n)%nat -> e y = 0).
    { set (c := top n e). destruct (top_attained n e Hn) as [i [Hi Ei]]. fold c in Ei.
      destruct (Rle_dec c 0) as [Le | Gt].
      - assert (Z : forall y, (y < n)%nat -> - (pi y * e y) = 0).
        { apply (sum_nonneg_zero n (fun y => - (pi y * e y))); [| rewrite sum_opp; unfold expect in Mean; rewrite Mean; ring].
          intros y Hy. pose proof (top_ge n e y Hy) as T. fold c in T. pose proof (Pp y Hy). nra. }
        intros y Hy. specialize (Z y Hy). pose proof (Pp y Hy). apply Rmult_eq_reg_l with (pi y); lra.
      - exfalso. set (S := fun y => if Rle_dec c (e y) then true else false).
        assert (In : forall y, (y < n)%nat -> if S y then e y = c else e y < c).
        { intros y Hy. pose proof (top_ge n e y Hy) as T. fold c in T. unfold S. destruct (Rle_dec c (e y)); lra. }
        assert (Low : forall y z, (y < n)%nat -> (z < n)%nat -> S y = true -> S z = false -> P y z = L y z).
        { apply (nearest_loses n L U pi Hp ordered mirrored target P S HP Min). intros y z Hy Hz Ey Ez.
          pose proof (In y Hy) as Iy. pose proof (In z Hz) as Iz. rewrite Ey in Iy. rewrite Ez in Iz. unfold e in Iy, Iz. lra. }
        assert (Few : sum n (fun y => (if S y then pi y else 0) * e y) <= 0).
        { pose proof (wins_of_a_set n P pi S P_pref Sp) as W. pose proof (Cond S) as C.
          assert (Same : sum n (fun y => sum n (fun z => (if S y then pi y else 0) * (L y z - 1 / 2) * (if S z then 0 else pi z)))
            = sum n (fun y => sum n (fun z => (if S y then pi y else 0) * (P y z - 1 / 2) * (if S z then 0 else pi z)))).
          { apply sum_ext. intros y Hy. apply sum_ext. intros z Hz. destruct (S y) eqn:Ey, (S z) eqn:Ez; try ring.
            rewrite (Low y z) by assumption. ring. }
          rewrite Same, <- W in C. unfold lift in C. fold e0 in C. rewrite <- sum_scal in C.
          assert (Eq : sum n (fun y => (if S y then pi y else 0) * e y)
            = sum n (fun y => (if S y then pi y else 0) * (win n P pi y - 1 / 2))
              - sum n (fun y => tau * (if S y then pi y * (h y - e0) else 0))); [| lra].
          rewrite <- sum_minus. apply sum_ext. intros y _. unfold e, target. destruct (S y); ring. }
        assert (Much : 0 < sum n (fun y => (if S y then pi y else 0) * e y)).
        { assert (Si : S i = true) by (unfold S; destruct (Rle_dec c (e i)); [reflexivity | lra]).
          apply Rlt_le_trans with ((if S i then pi i else 0) * e i); [rewrite Si; apply Rmult_lt_0_compat; [apply Pp, Hi | lra] |].
          apply (sum_lower_bound n (fun y => (if S y then pi y else 0) * e y)); [| exact Hi].
          intros y Hy. pose proof (In y Hy) as Iy. pose proof (Pp y Hy). destruct (S y); [nra | lra]. }
        lra. }
    apply (nash_by_log n tau P mu pi (e0 - / (2 * tau)) Hmu Hp). intros y Hy. specialize (Zero y Hy). unfold e, target in Zero.
    replace (win n P pi y) with (1 / 2 + tau * (h y - e0)) by lra. unfold h. field. lra.
Qed.

(** A set that is empty or everything satisfies the condition. *)
Lemma condition_of_cells n tau pi h S : 0 < tau -> policy n pi ->
  (proper n S -> mean_in n pi h S - mean_in n pi h (others S) <= 1 / (2 * tau)) ->
  lift n pi h S <= mass n pi S * (1 - mass n pi S) / (2 * tau).
Proof.
  intros Ht Hp Cond. pose proof Hp as [Pp Sp].
  destruct (Classical_Prop.classic (exists y, (y < n)%nat /\ S y = true)) as [In | Empty].
  - destruct (Classical_Prop.classic (exists y, (y < n)%nat /\ S y = false)) as [Out | Full].
    + pose proof (conj In Out : proper n S) as HS. specialize (Cond HS). rewrite (lift_of_cells n pi h S Hp HS).
      pose proof (proper_mass n pi S Hp HS) as M. set (w := mass n pi S) in *.
      replace (w * (1 - w) / (2 * tau)) with (w * (1 - w) * (1 / (2 * tau))) by (field; lra).
      apply Rmult_le_compat_l; [apply Rmult_le_pos; lra | exact Cond].
    + assert (E : forall y, (y < n)%nat -> S y = true).
      { intros y Hy. destruct (S y) eqn:Ey; [reflexivity | exfalso; apply Full; exists y; split; assumption]. }
      replace (mass n pi S) with 1 by (unfold mass; rewrite <- Sp; apply sum_ext; intros y Hy; rewrite E by exact Hy; reflexivity).
      replace (lift n pi h S) with (expect n pi (fun y => h y - expect n pi h))
        by (unfold lift, expect at 1; apply sum_ext; intros y Hy; rewrite E by exact Hy; reflexivity).
      rewrite expect_minus, expect_const by exact Sp. right. field. lra.
  - assert (E : forall y, (y < n)%nat -> S y = false).
    { intros y Hy. destruct (S y) eqn:Ey; [exfalso; apply Empty; exists y; split; assumption | reflexivity]. }
    replace (mass n pi S) with 0
      by (unfold mass; rewrite (sum_ext n _ (fun _ => 0)); [symmetry; apply sum_zero | intros y Hy; rewrite E by exact Hy; reflexivity]).
    replace (lift n pi h S) with 0
      by (unfold lift; rewrite (sum_ext n _ (fun _ => 0)); [symmetry; apply sum_zero | intros y Hy; rewrite E by exact Hy; reflexivity]).
    right. field. lra.
Qed.

(** N22.  pi is the equilibrium of some preference if and only if E_S h - E_{S^c} h <= 1/(2 tau) for every threshold set
    S = {h >= c} of h = log pi - log mu. *)
Theorem N22_equilibria n tau mu pi : 0 < tau -> policy n mu -> policy n pi ->
  let h y := ln (pi y) - ln (mu y) in
  (exists P, pref n P /\ is_nash n tau P mu pi) <->
  (forall c, let S y := if Rle_dec c (h y) then true else false in
    proper n S -> mean_in n pi h S - mean_in n pi h (others S) <= 1 / (2 * tau)).
Proof.
  intros Ht Hmu Hp h. pose proof (policy_dist n pi Hp) as Dp. pose proof Hp as [Pp Sp]. split.
  - intros [P [HP N]] c S HS. pose proof (N22_necessary n tau P mu pi S Ht HP Hmu N) as B. fold h in B.
    rewrite (lift_of_cells n pi h S Hp HS) in B. pose proof (proper_mass n pi S Hp HS) as M. set (w := mass n pi S) in *.
    assert (W : 0 < w * (1 - w)) by (apply Rmult_lt_0_compat; lra). apply Rmult_le_reg_l with (w * (1 - w)); [exact W |].
    replace (w * (1 - w) * (1 / (2 * tau))) with (w * (1 - w) / (2 * tau)) by (field; lra). exact B.
  - intro Thr.
    assert (All : forall S, lift n pi h S <= mass n pi S * (1 - mass n pi S) / (2 * tau)).
    { apply (N22_threshold_sets n tau pi h Ht Hp). intros c S. apply (condition_of_cells n tau pi h S Ht Hp), Thr. }
    destruct (N22_box n tau (fun _ _ => 0) (fun _ _ => 1) mu pi Ht Hmu Hp) as [_ Some]; [intros; lra |].
    destruct Some as [P [HP N]]; [| exists P; split; [exact HP | exact N]].
    intro S. specialize (All (others S)). rewrite (mass_others n pi S Dp) in All. fold h. set (w := mass n pi S) in *.
    assert (Both : lift n pi h S + lift n pi h (others S) = 0).
    { unfold lift. rewrite <- (split_sum n (fun y => pi y * (h y - expect n pi h)) S). fold (expect n pi (fun y => h y - expect n pi h)).
      rewrite expect_minus, expect_const by exact Sp. ring. }
    assert (Cross : sum n (fun y => sum n (fun z => (if S y then pi y else 0) * (0 - 1 / 2) * (if S z then 0 else pi z)))
      = - (w * (1 - w) / 2)).
    { transitivity (- (1 / 2) * (w * (1 - w))); [| field]. unfold w. rewrite <- (mass_others n pi S Dp). unfold mass.
      rewrite sum_product, <- sum_scal. apply sum_ext. intros y _. rewrite <- sum_scal. apply sum_ext. intros z _.
      unfold others. destruct (S y), (S z); simpl; field. }
    rewrite Cross. apply (Rmult_le_compat_l tau) in All; [| lra].
    replace (tau * ((1 - w) * (1 - (1 - w)) / (2 * tau))) with (w * (1 - w) / 2) in All by (field; lra).
    replace (lift n pi h S) with (- lift n pi h (others S)) by lra. lra.
Qed.

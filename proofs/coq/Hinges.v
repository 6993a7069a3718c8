(** * How far online SLiC can push the log-ratios apart (N13), for every number of responses. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Gradients Stationary Slic.
Open Scope R_scope.

(** theta with t added to the responses of a set. *)
Definition lifted (theta : nat -> R) (S : nat -> bool) (t : R) (y : nat) : R := theta y + (if S y then t else 0).

(** The loss is flat in every direction that is a set: wherever it has a derivative there, that is 0.  So it is at a minimum, and
    where the gradient exists and vanishes; the kinks, where there is none, are allowed for. *)
Definition flat n (L : (nat -> R) -> R) (theta : nat -> R) : Prop :=
  forall S (c : R), is_derive (fun t => L (log_softmax n (lifted theta S t))) 0 c -> c = 0.

Lemma minimum_flat n L theta : (forall theta', L (log_softmax n theta) <= L (log_softmax n theta')) ->
  (forall S, L (log_softmax n (lifted theta S 0)) = L (log_softmax n theta)) -> flat n L theta.
Proof.
  intros Min Start S c D. set (f := fun t => L (log_softmax n (lifted theta S t))) in *.
  assert (Low : forall t, f 0 <= f t) by (intro t; unfold f; rewrite Start; apply Min).
  apply is_derive_Reals in D. destruct (Req_dec c 0) as [E | N]; [exact E | exfalso].
  pose proof (Rabs_pos_lt c N) as N'. destruct (D (Rabs c / 2) ltac:(lra)) as [eps Hd].
  set (delta := pos eps) in *. assert (Dp : 0 < delta) by apply (cond_pos eps). set (h := if Rlt_dec 0 c then - (delta / 2) else delta / 2).
  assert (H0 : h <> 0) by (unfold h; destruct (Rlt_dec 0 c); lra).
  assert (Hsmall : Rabs h < delta) by (unfold h; destruct (Rlt_dec 0 c); [rewrite Rabs_left by lra; lra | rewrite Rabs_right by lra; lra]).
  specialize (Hd h H0 Hsmall). change (Rabs ((f (0 + h) - f 0) / h - c) < Rabs c / 2) in Hd. pose proof (Low (0 + h)) as Lh. apply Rabs_lt_between in Hd.
  set (x := (f (0 + h) - f 0) / h) in Hd. assert (Hx : x * h = f (0 + h) - f 0) by (unfold x; field; exact H0).
  unfold h in *. destruct (Rlt_dec 0 c) as [C | C].
  - rewrite Rabs_pos_eq in Hd by lra. destruct Hd as [Hd _].
    pose proof (Rmult_lt_0_compat x (delta / 2) ltac:(lra) ltac:(lra)). lra.
  - rewrite Rabs_left in Hd by lra. destruct Hd as [_ Hd].
    pose proof (Rmult_lt_0_compat (- x) (delta / 2) ltac:(lra) ltac:(lra)). lra.
Qed.

(** Beyond the hinge the loss of a pair pulls back. *)
Lemma pair_pulls tau p d : 0 < tau -> 1 < tau * d -> is_derive (fun t => slic_pair tau p (d + t)) 0 (tau * (1 - p)).
Proof.
  intros Ht Hd. assert (E : 0 < d - 1 / tau).
  { apply Rmult_lt_reg_l with tau; [exact Ht |]. replace (tau * (d - 1 / tau)) with (tau * d - 1) by (field; lra). lra. }
  apply (is_derive_ext_loc (fun t => (1 - p) * (1 + tau * (d + t)))).
  - exists (mkposreal _ E). intros t Bt. unfold ball in Bt; simpl in Bt; unfold AbsRing_ball in Bt; simpl in Bt.
    unfold abs, minus, plus, opp in Bt; simpl in Bt. apply Rabs_lt_between in Bt.
    assert (1 < tau * (d + t)).
    { replace 1 with (tau * (1 / tau)) by (field; lra). apply Rmult_lt_compat_l; lra. }
    unfold slic_pair. rewrite (Rmax_left 0 (1 - tau * (d + t))), (Rmax_right 0 (1 + tau * (d + t))) by lra.
    match goal with |- ?a = ?b => change (@eq R a b) end. ring.
  - auto_derive; [exact I | ring].
Qed.

Section Hinges.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu nu theta : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : is_pref n P.
Hypothesis P_inside : forall y y', (y < n)%nat -> (y' < n)%nat -> 0 < P y y'.
Hypothesis nu_pos : forall y, (y < n)%nat -> 0 < nu y.

Local Notation h := (logratio mu (log_softmax n theta)).
Local Notation loss := (slic_loss n tau P mu nu).

Lemma lifted_pairs S t : loss (log_softmax n (lifted theta S t))
  = pair_expect n nu (fun y y' => slic_pair tau (P y y') (h y - h y' + ((if S y then t else 0) - (if S y' then t else 0)))).
Proof.
  unfold slic_loss, slic_pair. apply expect_ext. intros y _. apply expect_ext. intros y' _. cbv zeta.
  replace (logratio mu (log_softmax n (lifted theta S t)) y - logratio mu (log_softmax n (lifted theta S t)) y')
    with (h y - h y' + ((if S y then t else 0) - (if S y' then t else 0))); [reflexivity |].
  unfold logratio, log_softmax, lifted. ring.
Qed.

(** A set whose log-ratios are all more than 1/tau above the others': the loss rises with it. *)
Theorem N13_gap S : (exists y z, (y < n)%nat /\ (z < n)%nat /\ S y = true /\ S z = false) ->
  (forall y z, (y < n)%nat -> (z < n)%nat -> S y = true -> S z = false -> 1 < tau * (h y - h z)) ->
  exists c, 0 < c /\ is_derive (fun t => loss (log_softmax n (lifted theta S t))) 0 c.
Proof.
  intros [y0 [z0 [Hy0 [Hz0 [Sy0 Sz0]]]]] Gap.
  set (d := fun y z => if S y then (if S z then 0 else tau * (1 - P y z)) else (if S z then tau * P y z else 0)).
  assert (D0 : forall y z, (y < n)%nat -> (z < n)%nat -> 0 <= d y z).
  { intros y z Hy Hz. unfold d. pose proof (P_inside y z Hy Hz). pose proof (P_inside z y Hz Hy). pose proof (P_pref y z Hy Hz).
    destruct (S y), (S z); try lra; apply Rmult_le_pos; lra. }
  exists (pair_expect n nu d). split.
  - assert (Row : forall y, (y < n)%nat -> 0 <= nu y * expect n nu (d y)).
    { intros y Hy. apply Rmult_le_pos; [apply Rlt_le, nu_pos, Hy |]. apply sum_nonneg. intros z Hz.
      apply Rmult_le_pos; [apply Rlt_le, nu_pos, Hz | apply D0; assumption]. }
    eapply Rlt_le_trans; [| apply (sum_lower_bound n (fun y => nu y * expect n nu (d y)) y0 Row Hy0)].
    apply Rmult_lt_0_compat; [apply nu_pos, Hy0 |].
    eapply Rlt_le_trans; [| apply (sum_lower_bound n (fun z => nu z * d y0 z) z0); [| exact Hz0]].
    + unfold d. rewrite Sy0, Sz0. pose proof (P_inside z0 y0 Hz0 Hy0). pose proof (P_pref y0 z0 Hy0 Hz0).
      apply Rmult_lt_0_compat; [apply nu_pos, Hz0 | apply Rmult_lt_0_compat; lra].
    + intros z Hz. apply Rmult_le_pos; [apply Rlt_le, nu_pos, Hz | apply D0; assumption].
  - apply (is_derive_ext (fun t => pair_expect n nu (fun y y' =>
      slic_pair tau (P y y') (h y - h y' + ((if S y then t else 0) - (if S y' then t else 0)))))).
    { intro t. symmetry. apply lifted_pairs. }
    apply (is_derive_pair_expect n nu (fun y y' t =>
      slic_pair tau (P y y') (h y - h y' + ((if S y then t else 0) - (if S y' then t else 0)))) d).
    intros y z Hy Hz. unfold d. destruct (S y) eqn:Sy, (S z) eqn:Sz.
    + apply (is_derive_ext (fun _ => slic_pair tau (P y z) (h y - h z))); [| apply (is_derive_const (slic_pair tau (P y z) (h y - h z)))].
      intro t. f_equal. ring.
    + apply (is_derive_ext (fun t => slic_pair tau (P y z) (h y - h z + t))); [intro t; f_equal; ring |].
      apply pair_pulls; [exact tau_pos | apply Gap; assumption].
    + apply (is_derive_ext (fun t => slic_pair tau (P z y) (h z - h y + t))).
      * intro t. unfold slic_pair. replace (P z y) with (1 - P y z) by (pose proof (P_pref y z Hy Hz); lra).
        replace (1 - tau * (h z - h y + t)) with (1 + tau * (h y - h z + (0 - t))) by ring.
        replace (1 + tau * (h z - h y + t)) with (1 - tau * (h y - h z + (0 - t))) by ring.
        match goal with |- ?a = ?b => change (@eq R a b) end. ring.
      * replace (tau * P y z) with (tau * (1 - P z y)) by (pose proof (P_pref y z Hy Hz); f_equal; lra).
        apply pair_pulls; [exact tau_pos | apply Gap; assumption].
    + apply (is_derive_ext (fun _ => slic_pair tau (P y z) (h y - h z))); [| apply (is_derive_const (slic_pair tau (P y z) (h y - h z)))].
      intro t. f_equal. ring.
Qed.

(** How many responses have no larger log-ratio. *)
Definition at_or_below n (f : nat -> R) (k : nat) : R := sum n (fun y => if Rle_dec (f y) (f k) then 1 else 0).

(** N13.  Where the loss is flat, osc(h) <= (n - 1)/tau, for every n, mu, opponent nu of full support and P inside (0, 1): no two
    neighbours in the order of h are more than 1/tau apart. *)
Theorem N13_every_n : (0 < n)%nat -> flat n loss theta -> osc n h <= (INR n - 1) / tau.
Proof.
  intros Hn Flat. set (f := h). pose proof tau_pos as T0.
  assert (It : 0 < / tau) by (apply Rinv_0_lt_compat, T0).
  assert (Ind : forall k y, 0 <= (if Rle_dec (f y) (f k) then 1 else 0) <= 1) by (intros; destruct (Rle_dec _ _); lra).
  assert (One : forall k, (k < n)%nat -> 1 <= at_or_below n f k).
  { intros k Hk. eapply Rle_trans; [| apply (sum_lower_bound n (fun y => if Rle_dec (f y) (f k) then 1 else 0) k)];
      [destruct (Rle_dec (f k) (f k)); lra | intros; apply Ind | exact Hk]. }
  assert (Climb : forall m k, (k < n)%nat -> at_or_below n f k <= INR m -> f k - bottom n f <= (at_or_below n f k - 1) / tau).
  { induction m as [| m IH]; intros k Hk Hm; [pose proof (One k Hk); simpl in Hm; lra |].
    destruct (bottom_attained n f Hn) as [b [Hb Eb]].
    destruct (Rlt_le_dec (f b) (f k)) as [Below | Least].
    2: { pose proof (One k Hk). assert (0 <= (at_or_below n f k - 1) / tau) by (apply Rdiv_le_0_compat; lra). lra. }
    (* z: the largest log-ratio below that of k *)
    set (g := fun y => if Rlt_dec (f y) (f k) then f y else f b - 1).
    destruct (top_attained n g Hn) as [z [Hz Ez]].
    assert (Gb : f b <= g z).
    { rewrite <- Ez. eapply Rle_trans; [| apply (top_ge n g b Hb)]. unfold g. destruct (Rlt_dec (f b) (f k)); lra. }
    assert (Zk : f z < f k /\ g z = f z) by (unfold g in *; destruct (Rlt_dec (f z) (f k)); split; lra).
    destruct Zk as [Zk Gz].
    assert (Next : forall y, (y < n)%nat -> f y < f k -> f y <= f z).
    { intros y Hy L. rewrite <- Gz, <- Ez. eapply Rle_trans; [| apply (top_ge n g y Hy)]. unfold g.
      destruct (Rlt_dec (f y) (f k)); lra. }
    assert (Near : f k - f z <= / tau).
    { destruct (Rle_lt_dec (f k - f z) (/ tau)) as [L | Far]; [exact L | exfalso].
      set (S := fun y => if Rle_dec (f k) (f y) then true else false).
      destruct (N13_gap S) as [c [C0 D]].
      - exists k, z. unfold S. destruct (Rle_dec (f k) (f k)), (Rle_dec (f k) (f z)); try lra. auto.
      - intros y y' Hy Hy' Sy Sy'. unfold S in Sy, Sy'. destruct (Rle_dec (f k) (f y)) as [U |]; [| discriminate].
        destruct (Rle_dec (f k) (f y')) as [| L]; [discriminate |]. pose proof (Next y' Hy' ltac:(lra)).
        change (h y - h y') with (f y - f y').
        replace 1 with (tau * / tau) by (field; lra). apply Rmult_lt_compat_l; lra.
      - specialize (Flat S c D). lra. }
    assert (Fewer : at_or_below n f z + 1 <= at_or_below n f k).
    { pose proof (sum_lower_bound n (fun y => (if Rle_dec (f y) (f k) then 1 else 0) - (if Rle_dec (f y) (f z) then 1 else 0)) k) as L.
      rewrite sum_minus in L. fold (at_or_below n f z) in L. fold (at_or_below n f k) in L.
      assert (1 <= at_or_below n f k - at_or_below n f z); [| lra]. eapply Rle_trans; [| apply L; [| exact Hk]].
      - destruct (Rle_dec (f k) (f k)), (Rle_dec (f k) (f z)); lra.
      - intros i _. destruct (Rle_dec (f i) (f k)), (Rle_dec (f i) (f z)); lra. }
    rewrite S_INR in Hm. pose proof (IH z Hz ltac:(lra)) as B.
    assert ((at_or_below n f z - 1) / tau + / tau <= (at_or_below n f k - 1) / tau); [| lra].
    replace ((at_or_below n f z - 1) / tau + / tau) with (at_or_below n f z * / tau) by (field; lra).
    unfold Rdiv. apply Rmult_le_compat_r; lra. }
  destruct (top_attained n f Hn) as [k [Hk Ek]]. unfold osc. rewrite Ek.
  assert (All : at_or_below n f k <= INR n).
  { apply Rle_trans with (sum n (fun _ => 1)); [apply sum_le; intros; apply Ind | rewrite sum_const; lra]. }
  eapply Rle_trans; [apply (Climb n k Hk All) |]. unfold Rdiv. apply Rmult_le_compat_r; lra.
Qed.

(** N13, at a minimum of the loss for fixed samples. *)
Corollary N13_minimum : (0 < n)%nat -> (forall theta', loss (log_softmax n theta) <= loss (log_softmax n theta')) ->
  osc n h <= (INR n - 1) / tau.
Proof.
  intros Hn Min. apply N13_every_n; [exact Hn |]. apply minimum_flat; [exact Min |]. intro S. rewrite lifted_pairs.
  unfold slic_loss, slic_pair. apply expect_ext. intros y _. apply expect_ext. intros y' _. cbv zeta.
  destruct (S y), (S y'); rewrite Rminus_0_r, Rplus_0_r; reflexivity.
Qed.

End Hinges.

(** * The log-normalisers of token-level mixtures (N25): how large S can be. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate KlBudget.
Open Scope R_scope.

(** C(prefix), of the next token's probabilities p and m: -log sum p^(1 - beta) m^beta. *)
Definition token_normaliser n beta (p m : nat -> R) : R := - ln (sum n (fun y => exp ((1 - beta) * ln (p y) + beta * ln (m y)))).

(** 0 <= C <= beta (1 - beta) osc(log p - log m)^2 / 8: Hoeffding's lemma at the mixture, towards both ends. *)
Theorem N25_token n beta p m : 0 <= beta <= 1 -> policy n p -> policy n m ->
  0 <= token_normaliser n beta p m <= beta * (1 - beta) * osc n (fun y => ln (p y) - ln (m y)) ^ 2 / 8.
Proof.
  intros Hb Hp Hm. pose proof (policy_n_pos n p Hp) as Hn. set (w := fun y => exp ((1 - beta) * ln (p y) + beta * ln (m y))).
  set (Z := sum n w). assert (Zp : 0 < Z) by (apply sum_pos; [exact Hn | intros; apply exp_pos]).
  set (h := fun y => ln (p y) - ln (m y)). change (token_normaliser n beta p m) with (- ln Z). change (osc n (fun y => ln (p y) - ln (m y))) with (osc n h).
  split.
  - (* a weighted geometric mean is at most the arithmetic one *)
    assert (Z1 : Z <= 1).
    { apply Rle_trans with (sum n (fun y => (1 - beta) * p y + beta * m y)).
      - apply sum_le. intros y Hy. pose proof (proj1 Hp y Hy) as Py. pose proof (proj1 Hm y Hy) as My. set (c := (1 - beta) * p y + beta * m y).
        assert (C0 : 0 < c) by (unfold c; destruct (Req_dec beta 0) as [-> | B]; nra).
        unfold w. rewrite <- (exp_ln c C0) at 1.
        assert (L : (1 - beta) * ln (p y) + beta * ln (m y) <= ln c).
        { pose proof (ln_le_line (p y / c) ltac:(apply Rdiv_lt_0_compat; lra)) as L1. rewrite ln_div in L1 by lra.
          pose proof (ln_le_line (m y / c) ltac:(apply Rdiv_lt_0_compat; lra)) as L2. rewrite ln_div in L2 by lra.
          apply (Rmult_le_compat_l (1 - beta)) in L1; [| lra]. apply (Rmult_le_compat_l beta) in L2; [| lra].
          assert (One : (1 - beta) * (p y / c) + beta * (m y / c) = 1) by (unfold c; field; unfold c in C0; lra). lra. }
        destruct L as [L | ->]; [apply Rlt_le, exp_increasing, L | lra].
      - rewrite sum_plus, !sum_scal, (proj2 Hp), (proj2 Hm). lra. }
    pose proof (ln_le_mono Z 1 Zp Z1) as L. rewrite ln_1 in L. lra.
  - set (q := fun y => w y / Z).
    assert (Dq : dist n q).
    { split; [intros y _; apply Rlt_le, Rdiv_lt_0_compat; [apply exp_pos | exact Zp] |].
      unfold q, Rdiv. rewrite sum_scal_r. fold Z. field. lra. }
    (* tilted by beta the mixture is p over Z, by beta - 1 it is m over Z *)
    assert (Tilt : forall s (r : nat -> R), policy n r -> (forall y, (y < n)%nat -> (1 - beta) * ln (p y) + beta * ln (m y) + s * h y = ln (r y)) ->
      - ln Z <= s * expect n q h + s ^ 2 * osc n h ^ 2 / 8).
    { intros s r Hr E. pose proof (hoeffding n q (fun y => s * h y) Dq) as H. rewrite expect_scal in H.
      assert (V : expect n q (fun y => exp (s * h y)) = / Z).
      { unfold expect. rewrite (sum_ext n _ (fun y => / Z * r y)).
        - rewrite sum_scal, (proj2 Hr). ring.
        - intros y Hy. unfold q, w. rewrite <- (exp_ln (r y)) by apply Hr, Hy. rewrite <- (E y Hy), (exp_plus _ (s * h y)). field. lra. }
      rewrite V, ln_Rinv in H by exact Zp.
      assert (O : osc n (fun y => s * h y) ^ 2 <= s ^ 2 * osc n h ^ 2).
      { pose proof (osc_nonneg n h Hn) as O0. pose proof (osc_nonneg n (fun y => s * h y) Hn) as O1.
        assert (Le : osc n (fun y => s * h y) <= Rabs s * osc n h).
        { apply osc_le; [exact Hn |]. intros i j Hi Hj. pose proof (osc_pair n h i j Hi Hj). pose proof (osc_pair n h j i Hj Hi).
          replace (s * h i - s * h j) with (s * (h i - h j)) by ring. destruct (Rcase_abs s); [rewrite Rabs_left | rewrite Rabs_right]; nra. }
        rewrite <- (pow2_abs s). replace (Rabs s ^ 2 * osc n h ^ 2) with ((Rabs s * osc n h) ^ 2) by ring. apply pow_incr. lra. }
      lra. }
    pose proof (Tilt beta p Hp ltac:(intros; unfold h; ring)) as A. pose proof (Tilt (beta - 1) m Hm ltac:(intros; unfold h; ring)) as B.
    apply (Rmult_le_compat_l (1 - beta)) in A; [| lra]. apply (Rmult_le_compat_l beta) in B; [| lra].
    set (o2 := osc n h ^ 2) in *. set (e := expect n q h) in *. lra.
Qed.

(** The log-ratio of a token is between its continuations': for pi = mu e^f / Z and two sets of responses,
    log pi(A)/mu(A) - log pi(B)/mu(B) <= max over A of f - min over B of f. *)
Theorem N25_conditional n mu f A B c : policy n mu ->
  (exists y, (y < n)%nat /\ A y = true) -> (exists z, (z < n)%nat /\ B z = true) ->
  (forall y z, (y < n)%nat -> (z < n)%nat -> A y = true -> B z = true -> f y - f z <= c) ->
  ln (mass n (gibbs n mu f) A / mass n mu A) - ln (mass n (gibbs n mu f) B / mass n mu B) <= c.
Proof.
  intros Hmu [y0 [Hy0 Ay]] [z0 [Hz0 Bz]] H. pose proof (policy_n_pos n mu Hmu) as Hn. pose proof Hmu as [Pos _].
  pose proof (gibbs_policy n mu Hn Pos f) as Hg.
  assert (M0 : forall r S y, policy n r -> (y < n)%nat -> S y = true -> 0 < mass n r S).
  { intros r S y [Hr _] Hy Sy. eapply Rlt_le_trans; [| apply (sum_lower_bound n (fun y => if S y then r y else 0) y); [| exact Hy]].
    - rewrite Sy. apply Hr, Hy.
    - intros i Hi. pose proof (Hr i Hi). destruct (S i); lra. }
  pose proof (M0 _ A y0 Hg Hy0 Ay) as GA. pose proof (M0 _ A y0 Hmu Hy0 Ay) as UA.
  pose proof (M0 _ B z0 Hg Hz0 Bz) as GB. pose proof (M0 _ B z0 Hmu Hz0 Bz) as UB.
  pose proof (gibbs_norm_pos n mu Hn Pos f) as Z0.
  assert (Cross : mass n (gibbs n mu f) A * mass n mu B <= exp c * (mass n mu A * mass n (gibbs n mu f) B)).
  { unfold mass. rewrite !sum_product, <- sum_scal. apply sum_le. intros y Hy. rewrite <- sum_scal. apply sum_le. intros z Hz.
    pose proof (Pos y Hy) as Uy. pose proof (Pos z Hz) as Uz. destruct (A y) eqn:Ey, (B z) eqn:Ez; try (rewrite ?Rmult_0_l, ?Rmult_0_r; lra).
    unfold gibbs. replace (mu y * exp (f y) / gibbs_norm n mu f * mu z) with (mu y * mu z / gibbs_norm n mu f * exp (f y)) by (field; lra).
    replace (exp c * (mu y * (mu z * exp (f z) / gibbs_norm n mu f))) with (mu y * mu z / gibbs_norm n mu f * exp (c + f z))
      by (rewrite exp_plus; field; lra).
    apply Rmult_le_compat_l; [apply Rlt_le, Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; assumption | exact Z0] |].
    pose proof (H y z Hy Hz Ey Ez) as L. destruct (Rle_lt_or_eq_dec (f y) (c + f z) ltac:(lra)) as [L' | ->]; [apply Rlt_le, exp_increasing, L' | lra]. }
  rewrite !ln_div by assumption. apply (ln_le_mono _ _ (Rmult_lt_0_compat _ _ GA UB)) in Cross.
  assert (P1 : 0 < mass n mu A * mass n (gibbs n mu f) B) by (apply Rmult_lt_0_compat; assumption).
  rewrite (ln_mult _ _ (exp_pos c) P1), ln_exp, !ln_mult in Cross by assumption. lra.
Qed.

(** N25.  Along a response of T tokens: 0 <= S <= beta (1 - beta) / (8 tau^2) sum_t range_t^2, if at prefix t the log-ratios spread by at
    most range_t / tau, as they do at pi = BR_tau(nu) by the last theorem, range_t the spread of p(. > nu) below the prefix. *)
Theorem N25_range n tau beta T (p m : nat -> nat -> R) (range : nat -> R) : 0 <= beta <= 1 -> 0 < tau ->
  (forall t, (t < T)%nat -> policy n (p t) /\ policy n (m t) /\ osc n (fun y => ln (p t y) - ln (m t y)) <= range t / tau) ->
  0 <= sum T (fun t => token_normaliser n beta (p t) (m t)) <= beta * (1 - beta) / (8 * tau ^ 2) * sum T (fun t => range t ^ 2).
Proof.
  intros Hb Ht H. split.
  - apply sum_nonneg. intros t Hlt. destruct (H t Hlt) as [Pt [Mt _]]. apply (N25_token n beta _ _ Hb Pt Mt).
  - rewrite <- sum_scal. apply sum_le. intros t Hlt. destruct (H t Hlt) as [Pt [Mt Ot]].
    eapply Rle_trans; [apply (N25_token n beta _ _ Hb Pt Mt) |].
    pose proof (osc_nonneg n (fun y => ln (p t y) - ln (m t y)) (policy_n_pos n _ Pt)) as O0.
    replace (beta * (1 - beta) / (8 * tau ^ 2) * range t ^ 2) with (beta * (1 - beta) * (range t / tau) ^ 2 / 8) by (field; lra).
    unfold Rdiv at 1 2. apply Rmult_le_compat_r; [lra |]. apply Rmult_le_compat_l; [apply Rmult_le_pos; lra | apply pow_incr; split; assumption].
Qed.

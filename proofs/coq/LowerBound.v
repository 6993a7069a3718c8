(** * How few comparisons can do (N21 (a)): a lower bound for every estimator, however it picks them.

    A strategy asks for a pair, knowing all answers so far, M times, then names a policy.  Among 2^k games of n = 2k responses,
    pairs of which differ in one sign, some game defeats it: Assouad's argument, with Donsker and Varadhan's inequality carried
    along the tree of answers. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat List FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate Rates Chance.
Open Scope R_scope.

(** ** Trees of answers *)

Section Strategy.

Variable ask : list bool -> nat * nat.

(** The mean of F over the answers, t more of them after those of h: true where the first of the pair wins. *)
Fixpoint answers (P : nat -> nat -> R) (t : nat) (h : list bool) (F : list bool -> R) : R :=
  match t with
  | O => F h
  | S m => let p := P (fst (ask h)) (snd (ask h)) in p * answers P m (true :: h) F + (1 - p) * answers P m (false :: h) F
  end.

(** The mean of a cost of every question. *)
Fixpoint spent (P : nat -> nat -> R) (cost : nat * nat -> R) (t : nat) (h : list bool) : R :=
  match t with
  | O => 0
  | S m => let p := P (fst (ask h)) (snd (ask h)) in cost (ask h) + (p * spent P cost m (true :: h) + (1 - p) * spent P cost m (false :: h))
  end.

Definition asks_in (n : nat) : Prop := forall h, (fst (ask h) < n)%nat /\ (snd (ask h) < n)%nat.

Lemma answers_mean n P t h : asks_in n -> pref n P -> is_mean (fun _ => True) (answers P t h).
Proof.
  intros Hn [_ HP]. revert h. induction t as [| t IH]; intro h; simpl.
  - split; [intros F G H; apply H; exact I | repeat split].
  - destruct (Hn h) as [H1 H2]. pose proof (HP _ _ H1 H2) as Hp. set (p := P (fst (ask h)) (snd (ask h))) in *.
    pose proof (IH (true :: h)) as A. pose proof (IH (false :: h)) as B. split; [| split; [| split]].
    + intros F G L. pose proof (mean_le _ _ _ A F G L) as LA. pose proof (mean_le _ _ _ B F G L) as LB.
      apply Rplus_le_compat; apply Rmult_le_compat_l; lra.
    + intros F G. rewrite (mean_plus _ _ _ A), (mean_plus _ _ _ B). ring.
    + intros c F. rewrite (mean_scal _ _ _ A), (mean_scal _ _ _ B). ring.
    + rewrite (mean_const _ _ _ A), (mean_const _ _ _ B). ring.
Qed.

(** Two laws of one answer: p log a + (1 - p) log b <= log(p' a + (1 - p') b) + (p - p')^2 / p'(1 - p'). *)
Lemma two_laws p p' a b : 0 <= p <= 1 -> 0 < p' < 1 -> 0 < a -> 0 < b ->
  p * ln a + (1 - p) * ln b <= ln (p' * a + (1 - p') * b) + (p - p') ^ 2 / (p' * (1 - p')).
Proof.
  intros Hp Hp' Ha Hb. set (z := p' * a + (1 - p') * b).
  assert (Z : 0 < z) by (apply Rplus_lt_0_compat; apply Rmult_lt_0_compat; lra).
  assert (Each : forall w w' c, 0 <= w -> 0 < w' -> 0 < c -> w * (ln c - ln z) <= w' * c / z - w + w * (w / w' - 1)).
  { intros w w' c Hw Hw' Hc. destruct Hw as [Hw | <-].
    - pose proof (Rdiv_lt_0_compat (w' * c) (z * w) ltac:(nra) ltac:(nra)) as Q.
      pose proof (ln_le_line _ Q) as L1. rewrite ln_div, !ln_mult in L1 by (assumption || nra).
      pose proof (ln_le_line (w / w') ltac:(apply Rdiv_lt_0_compat; lra)) as L2. rewrite ln_div in L2 by lra.
      apply (Rmult_le_compat_l w) in L1; [| lra]. apply (Rmult_le_compat_l w) in L2; [| lra].
      replace (w * (w' * c / (z * w) - 1)) with (w' * c / z - w) in L1 by (field; lra). lra.
    - pose proof (Rdiv_lt_0_compat (w' * c) z ltac:(nra) Z). lra. }
  pose proof (Each p p' a ltac:(lra) ltac:(lra) Ha) as E1.
  pose proof (Each (1 - p) (1 - p') b ltac:(lra) ltac:(lra) Hb) as E2.
  assert (Sum : p' * a / z + (1 - p') * b / z = 1) by (unfold z; field; unfold z in Z; lra).
  replace ((p - p') ^ 2 / (p' * (1 - p'))) with (p * (p / p' - 1) + (1 - p) * ((1 - p) / (1 - p') - 1)) by (field; lra). lra.
Qed.

Definition divergence_cost (P P' : nat -> nat -> R) (pair : nat * nat) : R :=
  let p := P (fst pair) (snd pair) in let p' := P' (fst pair) (snd pair) in (p - p') ^ 2 / (p' * (1 - p')).

(** l E_P f <= log E_P' e^(l f) + the divergence of the answers. *)
Lemma along_the_tree n P P' t h f : asks_in n -> pref n P -> pref n P' ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> 0 < P' i j < 1) ->
  answers P t h f <= ln (answers P' t h (fun x => exp (f x))) + spent P (divergence_cost P P') t h.
Proof.
  intros Hn HP HP' Open. revert h. induction t as [| t IH]; intro h; simpl; [rewrite ln_exp; lra |].
  destruct (Hn h) as [H1 H2]. pose proof (proj2 HP _ _ H1 H2) as Hp. pose proof (Open _ _ H1 H2) as Hp'.
  unfold divergence_cost at 1. set (p := P (fst (ask h)) (snd (ask h))) in *. set (p' := P' (fst (ask h)) (snd (ask h))) in *. cbv zeta.
  assert (Pos : forall g, 0 < answers P' t g (fun x => exp (f x))).
  { intro g. eapply Rlt_le_trans; [apply exp_pos | apply (mean_exp _ _ _ (answers_mean n P' t g Hn HP') f)]. }
  pose proof (two_laws p p' _ _ Hp Hp' (Pos (true :: h)) (Pos (false :: h))) as Two.
  pose proof (IH (true :: h)) as A. pose proof (IH (false :: h)) as B.
  apply (Rmult_le_compat_l p) in A; [| lra]. apply (Rmult_le_compat_l (1 - p)) in B; [| lra]. lra.
Qed.

(** So a test cannot tell two games apart better than this: E_P f - E_P' f <= cost / 2 + 1/4 for f in [0, 1]. *)
Lemma hard_to_tell n P P' t h f : asks_in n -> pref n P -> pref n P' ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> 0 < P' i j < 1) -> (forall x, 0 <= f x <= 1) ->
  answers P t h f - answers P' t h f <= spent P (divergence_cost P P') t h / 2 + 1 / 4.
Proof.
  intros Hn HP HP' Open Hf. pose proof (answers_mean n P t h Hn HP) as M. pose proof (answers_mean n P' t h Hn HP') as M'.
  set (c := answers P' t h f). set (g := fun x => 2 * (f x - c)).
  pose proof (along_the_tree n P P' t h g Hn HP HP' Open) as L.
  pose proof (mean_hoeffding _ _ _ M' f 2 (fun x _ => Hf x)) as H. fold c in H. change (fun o => exp (2 * (f o - c))) with (fun o => exp (g o)) in H.
  assert (Pos : 0 < answers P' t h (fun x => exp (g x))).
  { eapply Rlt_le_trans; [apply exp_pos | apply (mean_exp _ _ _ M' g)]. }
  pose proof (ln_le_mono _ _ Pos H) as H2. rewrite ln_exp in H2.
  assert (G : answers P t h g = 2 * (answers P t h f - c)).
  { unfold g. rewrite (mean_ext _ _ _ M _ (fun x => 2 * f x + - (2 * c))) by (intros; ring).
    rewrite (mean_plus _ _ _ M), (mean_scal _ _ _ M), (mean_const _ _ _ M). ring. }
  rewrite G in L. lra.
Qed.

Lemma spent_bound n P (cost : nat * nat -> R) B t h : asks_in n -> pref n P ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> cost (i, j) <= B) -> 0 <= B -> spent P cost t h <= INR t * B.
Proof.
  intros Hn HP HB B0. revert h. induction t as [| t IH]; intro h; simpl spent; [simpl; lra |].
  destruct (Hn h) as [H1 H2]. pose proof (proj2 HP _ _ H1 H2) as Hp. set (p := P (fst (ask h)) (snd (ask h))) in *.
  pose proof (HB _ _ H1 H2) as C. rewrite <- surjective_pairing in C. rewrite S_INR.
  pose proof (IH (true :: h)) as A. pose proof (IH (false :: h)) as A'.
  apply (Rmult_le_compat_l p) in A; [| lra]. apply (Rmult_le_compat_l (1 - p)) in A'; [| lra]. lra.
Qed.

Lemma spent_sum P k (cost : nat -> nat * nat -> R) t h :
  sum k (fun i => spent P (cost i) t h) = spent P (fun pair => sum k (fun i => cost i pair)) t h.
Proof.
  revert h. induction t as [| t IH]; intro h; simpl; [apply sum_zero |].
  rewrite sum_plus, (sum_plus k (fun i => P (fst (ask h)) (snd (ask h)) * spent P (cost i) t (true :: h))), !sum_scal, !IH. reflexivity.
Qed.

End Strategy.

(** ** Signs *)

Definition flip (i : nat) (r : nat -> R) : nat -> R := upd r i (- r i).

Lemma upd_upd (r : nat -> R) c x y : upd (upd r c x) c y = upd r c y.
Proof. apply functional_extensionality. intro i. unfold upd. destruct (Nat.eqb i c); reflexivity. Qed.

Lemma upd_swap (r : nat -> R) c d x y : c <> d -> upd (upd r c x) d y = upd (upd r d y) c x.
Proof.
  intro H. apply functional_extensionality. intro i. unfold upd.
  destruct (Nat.eqb_spec i c), (Nat.eqb_spec i d); try reflexivity. subst. contradiction.
Qed.

Lemma coins_flip k i G : (i < k)%nat -> coins k (fun r => G (flip i r)) = coins k G.
Proof.
  revert G. induction k as [| k IH]; intros G Hi; [lia |].
  assert (Throw : forall F, coins (S k) F = / 2 * (coins k (fun r => F (upd r k 1)) + coins k (fun r => F (upd r k (-1))))).
  { intro F. unfold coins. simpl. unfold coin at 1. field. }
  rewrite !Throw. destruct (Nat.eq_dec i k) as [-> | D].
  - assert (E : forall x, (fun r : nat -> R => G (flip k (upd r k x))) = (fun r => G (upd r k (- x)))).
    { intro x. apply functional_extensionality. intro r. unfold flip. rewrite upd_same, upd_upd. reflexivity. }
    rewrite !E. replace (- -1) with 1 by ring. replace (- (1)) with (-1) by ring. ring.
  - assert (E : forall x, (fun r : nat -> R => G (flip i (upd r k x))) = (fun r => (fun s => G (upd s k x)) (flip i r))).
    { intro x. apply functional_extensionality. intro r. unfold flip. rewrite (upd_other r k x i D), upd_swap by lia. reflexivity. }
    rewrite !E, !(fun x => IH (fun s => G (upd s k x)) ltac:(lia)). reflexivity.
Qed.

(** ** The games *)

(** Response 2 i has the sign r i, response 2 i + 1 the other; p = 1/2 + d (v - v') / 2. *)
Definition sign_of (r : nat -> R) (y : nat) : R := if Nat.even y then r (y / 2)%nat else - r (y / 2)%nat.
Definition signed_game d (r : nat -> R) (y z : nat) : R := 1 / 2 + d * (sign_of r y - sign_of r z) / 2.
Definition signed_policy n x (r : nat -> R) (y : nat) : R := exp (x * sign_of r y) / (INR n * cosh x).

Section Games.

Variables (k : nat) (d tau : R).
Hypothesis k_pos : (0 < k)%nat.
Hypothesis d_range : 0 < d < 1 / 2.
Hypothesis tau_pos : 0 < tau.

Local Notation n := (k * 2)%nat.
Local Notation x := (d / (2 * tau)).
Local Notation signs r := (forall c, (c < k)%nat -> r c = 1 \/ r c = -1).

Lemma sign_even r i : sign_of r (i * 2) = r i.
Proof. unfold sign_of. rewrite Nat.even_mul, Nat.div_mul by lia. rewrite Bool.orb_true_r. reflexivity. Qed.

Lemma sign_odd r i : sign_of r (i * 2 + 1) = - r i.
Proof.
  unfold sign_of. replace (Nat.even (i * 2 + 1)) with false.
  - rewrite Nat.div_add_l by lia. replace (i + 1 / 2)%nat with i by (simpl; lia). reflexivity.
  - symmetry. rewrite Nat.even_add, Nat.even_mul, Bool.orb_true_r. reflexivity.
Qed.

Lemma half_below y : (y < n)%nat -> (y / 2 < k)%nat.
Proof. intro H. apply Nat.div_lt_upper_bound; lia. Qed.

Lemma sign_unit r y : signs r -> (y < n)%nat -> sign_of r y = 1 \/ sign_of r y = -1.
Proof.
  intros Hr Hy. unfold sign_of. pose proof (Hr _ (half_below y Hy)) as H. destruct (Nat.even y); destruct H as [-> | ->]; lra.
Qed.

Lemma game_range r y z : signs r -> (y < n)%nat -> (z < n)%nat -> 1 / 2 - d <= signed_game d r y z <= 1 / 2 + d.
Proof.
  intros Hr Hy Hz. unfold signed_game.
  destruct (sign_unit r y Hr Hy) as [-> | ->], (sign_unit r z Hr Hz) as [-> | ->]; lra.
Qed.

Lemma game_pref r : signs r -> pref n (signed_game d r).
Proof.
  intro Hr. split; [intros y z _ _; unfold signed_game; field |].
  intros y z Hy Hz. pose proof (game_range r y z Hr Hy Hz). lra.
Qed.

Lemma by_pairs_of_two f : sum n f = sum k (fun i => f (i * 2)%nat + f (i * 2 + 1)%nat).
Proof. rewrite sum_blocks. apply sum_ext. intros i _. simpl. rewrite Nat.add_0_r. ring. Qed.

Lemma cosh_pos : 0 < cosh x.
Proof. unfold cosh. pose proof (exp_pos x). pose proof (exp_pos (- x)). lra. Qed.

Lemma n_large : 0 < INR n.
Proof. apply lt_0_INR. lia. Qed.

Lemma policy_sum r : signs r -> sum n (signed_policy n x r) = 1.
Proof.
  intro Hr. pose proof cosh_pos. pose proof n_large. rewrite by_pairs_of_two.
  rewrite (sum_ext k _ (fun _ => 2 / INR n)).
  - rewrite sum_const, mult_INR. simpl (INR 2). field. apply not_0_INR. lia.
  - intros i Hi. unfold signed_policy. rewrite sign_even, sign_odd.
    destruct (Hr i Hi) as [-> | ->].
    + replace (x * - (1)) with (- x) by ring. rewrite Rmult_1_r. unfold cosh in *. field. split; lra.
    + replace (x * -1) with (- x) by ring. replace (x * - -1) with x by ring. unfold cosh in *. field. split; lra.
Qed.

Lemma policy_policy r : signs r -> policy n (signed_policy n x r).
Proof.
  intro Hr. split; [| apply policy_sum, Hr]. intros y _. unfold signed_policy.
  apply Rdiv_lt_0_compat; [apply exp_pos | apply Rmult_lt_0_compat; [apply n_large | apply cosh_pos]].
Qed.

Lemma uniform_policy : policy n (uniform n).
Proof.
  pose proof n_large. split; [intros; apply Rinv_0_lt_compat; assumption |]. unfold uniform. rewrite sum_const. field. lra.
Qed.

(** Its equilibrium, at the temperature tau and from the uniform reference. *)
Lemma game_nash r : signs r -> is_nash n tau (signed_game d r) (uniform n) (signed_policy n x r).
Proof.
  intro Hr. pose proof (policy_policy r Hr) as Hq. pose proof cosh_pos as C0. pose proof n_large as N0.
  set (q := signed_policy n x r) in *. set (e := sum n (fun z => sign_of r z * q z)).
  apply (gibbs_unique n (uniform n)) with (c := - ln (cosh x) - (1 / 2 - d * e / 2) / tau); [lia | apply uniform_policy | exact Hq |].
  intros y Hy.
  assert (W : win n (signed_game d r) q y = 1 / 2 + d * sign_of r y / 2 - d * e / 2).
  { unfold win, signed_game, e.
    rewrite (sum_ext n _ (fun z => (1 / 2 + d * sign_of r y / 2) * q z - d / 2 * (sign_of r z * q z))) by (intros; field).
    rewrite sum_minus, !sum_scal, (proj2 Hq). field. }
  rewrite W. unfold q, signed_policy, uniform.
  rewrite ln_div by (apply exp_pos || apply Rmult_lt_0_compat; assumption).
  rewrite ln_exp, ln_mult, ln_Rinv by assumption. field. lra.
Qed.

(** Two games that differ in one sign: their equilibria, and how often one comparison can tell. *)
Lemma flip_signs r i : signs r -> signs (flip i r).
Proof.
  intros Hr c Hc. unfold flip. destruct (Nat.eq_dec c i) as [-> | D].
  - rewrite upd_same. destruct (Hr i Hc) as [-> | ->]; lra.
  - rewrite upd_other by exact D. apply Hr, Hc.
Qed.

Definition share i (p q : nat -> R) : R := Rabs (p (i * 2)%nat - q (i * 2)%nat) + Rabs (p (i * 2 + 1)%nat - q (i * 2 + 1)%nat).

Lemma l1_by_pairs p q : l1 n p q = sum k (fun i => share i p q).
Proof. unfold l1. apply by_pairs_of_two. Qed.

Lemma policies_apart r i : signs r -> (i < k)%nat -> share i (signed_policy n x r) (signed_policy n x (flip i r)) = 4 * tanh x / INR n.
Proof.
  intros Hr Hi. pose proof cosh_pos as C0. pose proof n_large as N0. unfold share, signed_policy. rewrite !sign_even, !sign_odd.
  unfold flip. rewrite upd_same.
  assert (X0 : 0 < x) by (apply Rdiv_lt_0_compat; lra). pose proof (exp_increasing (- x) x ltac:(lra)) as Inc.
  assert (D : 0 < INR n * cosh x) by (apply Rmult_lt_0_compat; assumption).
  assert (A : forall u w, u < w -> Rabs (w / (INR n * cosh x) - u / (INR n * cosh x)) = (w - u) / (INR n * cosh x)
    /\ Rabs (u / (INR n * cosh x) - w / (INR n * cosh x)) = (w - u) / (INR n * cosh x)).
  { intros u w L. assert (Q : 0 < (w - u) / (INR n * cosh x)) by (apply Rdiv_lt_0_compat; lra). split.
    - replace (w / (INR n * cosh x) - u / (INR n * cosh x)) with ((w - u) / (INR n * cosh x)) by (field; lra). apply Rabs_pos_eq. lra.
    - replace (u / (INR n * cosh x) - w / (INR n * cosh x)) with (- ((w - u) / (INR n * cosh x))) by (field; lra).
      rewrite Rabs_Ropp. apply Rabs_pos_eq. lra. }
  destruct (A (exp (- x)) (exp x) Inc) as [A1 A2].
  assert (Value : 2 * ((exp x - exp (- x)) / (INR n * cosh x)) = 4 * tanh x / INR n).
  { unfold tanh, sinh. field. split; lra. }
  destruct (Hr i Hi) as [-> | ->].
  - replace (x * - - (1)) with x by ring. replace (x * - (1)) with (- x) by ring. replace (x * 1) with x by ring. rewrite A1, A2. lra.
  - replace (x * - - -1) with (- x) by ring. replace (x * - -1) with x by ring. replace (x * -1) with (- x) by ring. rewrite A1, A2. lra.
Qed.

(** v_y changes by 2 where the sign of y is flipped. *)
Lemma sign_change r i y : sign_of r y - sign_of (flip i r) y = 2 * sign_of r y * delta i (y / 2).
Proof.
  unfold sign_of, flip, delta, upd. destruct (Nat.eqb_spec (y / 2) i) as [-> | D]; destruct (Nat.even y); ring.
Qed.

(** Over all signs, one comparison tells at most 4 d^2 / (1/4 - d^2). *)
Lemma told_by_one r y z : signs r -> (y < n)%nat -> (z < n)%nat ->
  sum k (fun i => divergence_cost (signed_game d r) (signed_game d (flip i r)) (y, z)) <= 4 * d ^ 2 / (1 / 4 - d ^ 2).
Proof.
  intros Hr Hy Hz. assert (D0 : 0 < 1 / 4 - d ^ 2) by nra.
  set (change := fun i => d * (sign_of r y * delta i (y / 2) - sign_of r z * delta i (z / 2))).
  apply Rle_trans with (sum k (fun i => change i ^ 2 / (1 / 4 - d ^ 2))).
  - apply sum_le. intros i Hi. unfold divergence_cost. simpl fst. simpl snd.
    assert (Ch : signed_game d r y z - signed_game d (flip i r) y z = change i).
    { unfold signed_game, change. pose proof (sign_change r i y) as Cy. pose proof (sign_change r i z) as Cz.
      replace (sign_of (flip i r) y) with (sign_of r y - 2 * sign_of r y * delta i (y / 2)) by lra.
      replace (sign_of (flip i r) z) with (sign_of r z - 2 * sign_of r z * delta i (z / 2)) by lra. field. }
    rewrite Ch. pose proof (game_range (flip i r) y z (flip_signs r i Hr) Hy Hz) as Rg. set (p := signed_game d (flip i r) y z) in *.
    assert (V : 1 / 4 - d ^ 2 <= p * (1 - p)) by nra.
    unfold Rdiv. apply Rmult_le_compat_l; [apply pow2_ge_0 |]. apply Rinv_le_contravar; assumption.
  - unfold Rdiv. rewrite sum_scal_r. apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat, D0 |].
    pose proof (half_below y Hy) as By. pose proof (half_below z Hz) as Bz.
    assert (S2 : forall w, (w < n)%nat -> sign_of r w ^ 2 = 1).
    { intros w Hw. destruct (sign_unit r w Hr Hw) as [-> | ->]; ring. }
    apply Rle_trans with (sum k (fun i => 2 * d ^ 2 * delta (y / 2) i + 2 * d ^ 2 * delta (z / 2) i)).
    + apply sum_le. intros i _. unfold change.
      assert (Sw : forall w, delta i (w / 2) = delta (w / 2) i) by (intro w; unfold delta; rewrite Nat.eqb_sym; reflexivity).
      rewrite !Sw. pose proof (S2 y Hy). pose proof (S2 z Hz). pose proof (pow2_ge_0 d).
      set (a := sign_of r y) in *. set (b := sign_of r z) in *.
      assert (Two : forall e f, (a * e - b * f) ^ 2 <= 2 * e ^ 2 + 2 * f ^ 2).
      { intros e f. pose proof (pow2_ge_0 (a * e + b * f)). nra. }
      assert (Unit : forall w, delta w i ^ 2 = delta w i) by (intro w; unfold delta; destruct (Nat.eqb i w); ring).
      pose proof (Two (delta (y / 2) i) (delta (z / 2) i)) as T. rewrite !Unit in T.
      replace ((d * (a * delta (y / 2) i - b * delta (z / 2) i)) ^ 2) with (d ^ 2 * (a * delta (y / 2) i - b * delta (z / 2) i) ^ 2) by ring.
      apply Rle_trans with (d ^ 2 * (2 * delta (y / 2) i + 2 * delta (z / 2) i)); [apply Rmult_le_compat_l; assumption | lra].
    + rewrite sum_plus, (sum_delta k _ (fun _ => 2 * d ^ 2) By), (sum_delta k _ (fun _ => 2 * d ^ 2) Bz). lra.
Qed.

(** Assouad: over all signs, the mean error of any strategy. *)
Lemma mean_error ask M (est : list bool -> nat -> R) : asks_in ask n -> INR M * (4 * d ^ 2 / (1 / 4 - d ^ 2)) <= INR k / 2 ->
  tanh x / 2 <= coins k (fun r => answers ask (signed_game d r) M nil (fun h => l1 n (est h) (signed_policy n x r))).
Proof.
  intros Hask HM. pose proof (coins_mean k) as Cm. pose proof n_large as N0.
  assert (X0 : 0 < x) by (apply Rdiv_lt_0_compat; lra).
  assert (T0 : 0 < tanh x).
  { unfold tanh, sinh. apply Rdiv_lt_0_compat; [| apply cosh_pos]. pose proof (exp_increasing (- x) x ltac:(lra)). lra. }
  set (Delta := 4 * tanh x / INR n). assert (D0 : 0 < Delta) by (apply Rdiv_lt_0_compat; lra).
  set (risk := fun i r => answers ask (signed_game d r) M nil (fun h => share i (est h) (signed_policy n x r))).
  set (cost := fun i r => spent ask (signed_game d r) (divergence_cost (signed_game d r) (signed_game d (flip i r))) M nil).
  assert (Whole : coins k (fun r => answers ask (signed_game d r) M nil (fun h => l1 n (est h) (signed_policy n x r)))
    = sum k (fun i => coins k (risk i))).
  { transitivity (coins k (fun r => sum k (fun i => risk i r))); [| apply (mean_sum _ _ _ Cm k risk)].
    apply (mean_ext _ _ _ Cm). intros r Hr. unfold risk.
    pose proof (answers_mean ask n (signed_game d r) M nil Hask (game_pref r Hr)) as Am.
    rewrite (mean_ext _ _ _ Am _ (fun h => sum k (fun i => share i (est h) (signed_policy n x r)))) by (intros; apply l1_by_pairs).
    apply (mean_sum _ _ _ Am k (fun i h => share i (est h) (signed_policy n x r))). }
  rewrite Whole.
  (* for each sign, the game and its twin *)
  assert (Twins : forall i r, (i < k)%nat -> signs r -> Delta * (3 / 4 - cost i r / 2) <= risk i r + risk i (flip i r)).
  { intros i r Hi Hr. pose proof (flip_signs r i Hr) as Hf.
    pose proof (answers_mean ask n (signed_game d r) M nil Hask (game_pref r Hr)) as Am.
    pose proof (answers_mean ask n (signed_game d (flip i r)) M nil Hask (game_pref _ Hf)) as Af.
    set (q := signed_policy n x r). set (q' := signed_policy n x (flip i r)).
    set (f := fun h => Rmin 1 (share i (est h) q' / Delta)).
    assert (S0 : forall p s, 0 <= share i p s).
    { intros p s. unfold share. pose proof (Rabs_pos (p (i * 2)%nat - s (i * 2)%nat)). pose proof (Rabs_pos (p (i * 2 + 1)%nat - s (i * 2 + 1)%nat)). lra. }
    assert (F01 : forall h, 0 <= f h <= 1).
    { intro h. unfold f. split; [apply Rmin_glb; [lra | apply Rdiv_le_0_compat; [apply S0 | exact D0]] | apply Rmin_l]. }
    assert (Fq' : forall h, Delta * f h <= share i (est h) q').
    { intro h. apply Rle_trans with (Delta * (share i (est h) q' / Delta)); [apply Rmult_le_compat_l; [lra | apply Rmin_r] | right; field; lra]. }
    assert (Fq : forall h, Delta * (1 - f h) <= share i (est h) q).
    { intro h. assert (Tri : Delta <= share i (est h) q + share i (est h) q').
      { unfold Delta. rewrite <- (policies_apart r i Hr Hi). fold q. fold q'. unfold share.
        pose proof (Rabs_triang (q (i * 2)%nat - est h (i * 2)%nat) (est h (i * 2)%nat - q' (i * 2)%nat)) as T1.
        pose proof (Rabs_triang (q (i * 2 + 1)%nat - est h (i * 2 + 1)%nat) (est h (i * 2 + 1)%nat - q' (i * 2 + 1)%nat)) as T2.
        replace (q (i * 2)%nat - est h (i * 2)%nat + (est h (i * 2)%nat - q' (i * 2)%nat)) with (q (i * 2)%nat - q' (i * 2)%nat) in T1 by ring.
        replace (q (i * 2 + 1)%nat - est h (i * 2 + 1)%nat + (est h (i * 2 + 1)%nat - q' (i * 2 + 1)%nat))
          with (q (i * 2 + 1)%nat - q' (i * 2 + 1)%nat) in T2 by ring.
        rewrite (Rabs_minus_sym (q (i * 2)%nat) (est h (i * 2)%nat)) in T1.
        rewrite (Rabs_minus_sym (q (i * 2 + 1)%nat) (est h (i * 2 + 1)%nat)) in T2. lra. }
      unfold f. pose proof (S0 (est h) q). unfold Rmin. destruct (Rle_dec 1 (share i (est h) q' / Delta)) as [L | L]; [lra |].
      replace (Delta * (1 - share i (est h) q' / Delta)) with (Delta - share i (est h) q') by (field; lra). lra. }
    assert (R1 : Delta * (1 - answers ask (signed_game d r) M nil f) <= risk i r).
    { unfold risk. rewrite <- (mean_const _ _ _ Am 1) at 1.
      rewrite <- (Rmult_1_l (answers ask (signed_game d r) M nil f)).
      replace (answers ask (signed_game d r) M nil (fun _ => 1) - 1 * answers ask (signed_game d r) M nil f)
        with (answers ask (signed_game d r) M nil (fun h => 1 + (-1) * f h))
        by (rewrite (mean_plus _ _ _ Am), (mean_scal _ _ _ Am); ring).
      rewrite <- (mean_scal _ _ _ Am). apply (mean_le _ _ _ Am). intros h _. eapply Rle_trans; [| apply Fq]. right. ring. }
    assert (R2 : Delta * answers ask (signed_game d (flip i r)) M nil f <= risk i (flip i r)).
    { unfold risk. rewrite <- (mean_scal _ _ _ Af). apply (mean_le _ _ _ Af). intros h _. apply Fq'. }
    assert (Open : forall a b, (a < n)%nat -> (b < n)%nat -> 0 < signed_game d (flip i r) a b < 1).
    { intros a b Ha Hb. pose proof (game_range (flip i r) a b Hf Ha Hb). lra. }
    pose proof (hard_to_tell ask n _ _ M nil f Hask (game_pref r Hr) (game_pref _ Hf) Open F01) as Ht. fold (cost i r) in Ht.
    assert (Delta * (3 / 4 - cost i r / 2) <= Delta * (1 - answers ask (signed_game d r) M nil f + answers ask (signed_game d (flip i r)) M nil f))
      by (apply Rmult_le_compat_l; lra). lra. }
  assert (Mirror : forall i, (i < k)%nat -> coins k (risk i) = coins k (fun r => (risk i r + risk i (flip i r)) / 2)).
  { intros i Hi. rewrite (mean_ext _ _ _ Cm (fun r => (risk i r + risk i (flip i r)) / 2) (fun r => / 2 * (risk i r + risk i (flip i r)))) by (intros; field).
    rewrite (mean_scal _ _ _ Cm), (mean_plus _ _ _ Cm), (coins_flip k i (risk i) Hi). field. }
  rewrite (sum_ext k _ _ Mirror), <- (mean_sum _ _ _ Cm k (fun i r => (risk i r + risk i (flip i r)) / 2)).
  rewrite <- (mean_const _ _ _ Cm (tanh x / 2)). apply (mean_le _ _ _ Cm). intros r Hr.
  apply Rle_trans with (sum k (fun i => Delta * (3 / 8) - Delta / 4 * cost i r)).
  2: { apply sum_le. intros i Hi. pose proof (Twins i r Hi Hr). lra. }
  rewrite sum_minus, (sum_scal k (Delta / 4)), (sum_const k (Delta * (3 / 8))).
  assert (Total : sum k (fun i => cost i r) <= INR k / 2).
  { unfold cost. rewrite (spent_sum ask (signed_game d r) k (fun i => divergence_cost (signed_game d r) (signed_game d (flip i r)))).
    eapply Rle_trans; [apply (spent_bound ask n); [exact Hask | apply game_pref, Hr | | ] | exact HM].
    - intros y z Hy Hz. apply told_by_one; assumption.
    - apply Rdiv_le_0_compat; nra. }
  assert (Kn : INR n = 2 * INR k) by (rewrite mult_INR; simpl; ring).
  assert (K0 : 0 < INR k) by (apply lt_0_INR; exact k_pos).
  apply Rle_trans with (INR k * (Delta * (3 / 8)) - Delta / 4 * (INR k / 2)).
  - right. unfold Delta. rewrite Kn. field. lra.
  - apply Rplus_le_compat_l, Ropp_le_contravar, Rmult_le_compat_l; lra.
Qed.

End Games.

(** N21 (a).  n = 2k responses, M comparisons: for every strategy and estimator, which may draw a seed o of finitely many values, there is a
    game, of those above, where the mean distance from the equilibrium is at least tanh(sqrt(n / (64 M + 8 n)) / 2 tau) / 2: no
    bound on all of them is smaller. *)
Theorem N21_no_estimator_does_better {O : Type} (inside : O -> Prop) E k tau M (ask : O -> list bool -> nat * nat)
  (est : O -> list bool -> nat -> R) worst : is_mean inside E -> (0 < k)%nat -> 0 < tau -> (forall o, inside o -> asks_in (ask o) (k * 2)) ->
  (forall P q, pref (k * 2) P -> is_nash (k * 2) tau P (uniform (k * 2)) q ->
    E (fun o => answers (ask o) P M nil (fun h => l1 (k * 2) (est o h) q)) <= worst) ->
  tanh (sqrt (INR (k * 2) / (64 * INR M + 8 * INR (k * 2))) / (2 * tau)) / 2 <= worst.
Proof.
  intros HE Hk Ht Hask Worst. set (n := (k * 2)%nat) in *.
  assert (K0 : 0 < INR k) by (apply lt_0_INR; exact Hk). assert (Kn : INR n = 2 * INR k) by (unfold n; rewrite mult_INR; simpl; ring).
  pose proof (pos_INR M) as M0. set (D2 := INR n / (64 * INR M + 8 * INR n)).
  assert (Den : 0 < 64 * INR M + 8 * INR n) by lra. assert (Dpos : 0 < D2) by (apply Rdiv_lt_0_compat; lra).
  assert (Deq : D2 * (64 * INR M + 8 * INR n) = INR n) by (unfold D2; field; lra).
  set (d := sqrt D2). assert (d0 : 0 < d) by (apply sqrt_lt_R0, Dpos). assert (dd : d ^ 2 = D2) by (unfold d; rewrite <- Rsqr_pow2; apply Rsqr_sqrt; lra).
  assert (MD : 0 <= INR M * D2) by (apply Rmult_le_pos; lra).
  assert (D8 : D2 <= 1 / 8) by (apply Rmult_le_reg_r with (INR n); lra).
  assert (Hd : 0 < d < 1 / 2) by (split; [exact d0 | nra]).
  assert (Told : INR M * (4 * d ^ 2 / (1 / 4 - d ^ 2)) <= INR k / 2).
  { rewrite dd. assert (Q : 0 < 1 / 4 - D2) by lra. apply Rmult_le_reg_r with (1 / 4 - D2); [exact Q |].
    replace (INR M * (4 * D2 / (1 / 4 - D2)) * (1 / 4 - D2)) with (4 * (INR M * D2)) by (field; lra). rewrite Kn in Deq. nra. }
  set (risk := fun o r => answers (ask o) (signed_game d r) M nil (fun h => l1 n (est o h) (signed_policy n (d / (2 * tau)) r))).
  apply Rle_trans with (E (fun o => coins k (risk o))).
  - rewrite <- (mean_const _ _ _ HE (tanh (d / (2 * tau)) / 2)). apply (mean_le _ _ _ HE). intros o Ho.
    apply (mean_error k d tau Hk Hd Ht (ask o) M (est o) (Hask o Ho) Told).
  - rewrite (coins_swap inside E k risk HE). pose proof (coins_mean k) as Cm. rewrite <- (mean_const _ _ _ Cm worst).
    apply (mean_le _ _ _ Cm). intros r Hr. apply Worst; [apply (game_pref k d); assumption | apply (game_nash k d tau); assumption].
Qed.

(** * Products alone (N6): whatever is combined of k products, it cannot shrink the error faster than r per product.

    Fixed polynomial methods, momentum and conjugate directions all end, after k products with M = I - K, K skew, at an error
    x + a_1 M x + ... + a_k M^k x; for a path, whose frequencies are at most lambda / tau, a coordinate of x is then still as it was. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game LocalStability.
Open Scope R_scope.

(** The skew matrix of a path, and M = I - K. *)
Definition path (h : R) (i j : nat) : R := if Nat.eqb j (S i) then h else if Nat.eqb i (S j) then - h else 0.
Definition minus_turn n (K : nat -> nat -> R) (v : nat -> R) (y : nat) : R := v y - win n K v y.

(** What k products can make of the error x. *)
Definition combined n K (a : nat -> R) k (x : nat -> R) (y : nat) : R :=
  x y + sum k (fun j => a j * Nat.iter (S j) (minus_turn n K) x y).

Lemma path_skew h i j : path h j i = - path h i j.
Proof.
  unfold path. destruct (Nat.eqb_spec i (S j)), (Nat.eqb_spec j (S i)); try lia; try ring.
Qed.

(** The neighbours of y. *)
Lemma path_apply n h v y : (y < n)%nat ->
  win n (path h) v y = h * (if Nat.ltb (S y) n then v (S y) else 0) - h * (match y with O => 0 | S z => v z end).
Proof.
  intro Hy. unfold win.
  rewrite (sum_ext n _ (fun z => h * (v z * delta (S y) z) - h * (match y with O => 0 | S w => v z * delta w z end))).
  - rewrite sum_minus, !sum_scal. f_equal; f_equal.
    + destruct (Nat.ltb_spec (S y) n) as [L | L]; [apply sum_delta, L |].
      transitivity (sum n (fun _ => 0)); [| apply sum_zero]. apply sum_ext. intros z Hz. unfold delta.
      destruct (Nat.eqb_spec z (S y)); [lia | ring].
    + destruct y as [| w]; [apply sum_zero | apply sum_delta; lia].
  - intros z _. unfold path, delta. destruct y as [| w].
    + destruct (Nat.eqb_spec z 1), (Nat.eqb_spec 0 (S z)); try lia; ring.
    + destruct (Nat.eqb_spec z (S (S w))), (Nat.eqb_spec (S w) (S z)), (Nat.eqb_spec z w); try lia; ring.
Qed.

(** |K v| <= 2 h |v|. *)
Lemma path_short n h v : sum n (fun y => win n (path h) v y ^ 2) <= (2 * h) ^ 2 * sum n (fun y => v y ^ 2).
Proof.
  set (up := fun y => if Nat.ltb (S y) n then v (S y) else 0). set (down := fun y => match y with O => 0 | S z => v z end).
  assert (Up : sum n (fun y => up y ^ 2) <= sum n (fun y => v y ^ 2)).
  { destruct n as [| m]; [simpl; lra |]. simpl. replace (up m) with 0 by (unfold up; rewrite Nat.ltb_irrefl; reflexivity).
    assert (E : sum m (fun y => up y * (up y * 1)) = sum m (fun y => v (S y) ^ 2)).
    { apply sum_ext. intros y Hy. unfold up. replace (Nat.ltb (S y) (S m)) with true by (symmetry; apply Nat.ltb_lt; lia). ring. }
    rewrite E. pose proof (sum_append 1 m (fun y => v y ^ 2)) as A. simpl in A. pose proof (pow2_ge_0 (v O)). simpl in *. lra. }
  assert (Down : sum n (fun y => down y ^ 2) <= sum n (fun y => v y ^ 2)).
  { destruct n as [| m]; [simpl; lra |]. pose proof (sum_append 1 m (fun y => down y ^ 2)) as A. simpl in A. simpl.
    pose proof (pow2_ge_0 (v m)). simpl in *. lra. }
  apply Rle_trans with (sum n (fun y => 2 * h ^ 2 * up y ^ 2 + 2 * h ^ 2 * down y ^ 2)).
  - apply sum_le. intros y Hy. rewrite (path_apply n h v y Hy). fold (up y). fold (down y).
    pose proof (pow2_ge_0 (h * up y + h * down y)). nra.
  - rewrite sum_plus, !sum_scal. pose proof (pow2_ge_0 h). nra.
Qed.

(** Products travel one step along the path each. *)
Lemma travel n h b : (forall y, (0 < y)%nat -> (S y < n)%nat -> b y = 0) ->
  forall i y, (i < y)%nat -> (y + i + 1 < n)%nat -> Nat.iter i (minus_turn n (path h)) b y = 0.
Proof.
  intros Hb i. induction i as [| i IH]; intros y Hy Hn; simpl; [apply Hb; lia |].
  unfold minus_turn at 1. rewrite path_apply by lia. rewrite (IH y) by lia.
  destruct y as [| z]; [lia |]. rewrite (IH z) by lia.
  replace (Nat.ltb (S (S z)) n) with true by (symmetry; apply Nat.ltb_lt; lia). rewrite (IH (S (S z))) by lia. ring.
Qed.

Lemma first_step {A : Type} (f : A -> A) j x : Nat.iter (S j) f x = Nat.iter j f (f x).
Proof. induction j as [| j IH]; [reflexivity | simpl in *; rewrite IH; reflexivity]. Qed.

Lemma geometric_bound r n : 0 < r < 1 -> (1 - r ^ 2) * sum n (fun j => (- r) ^ j * (- r) ^ j) <= 1.
Proof.
  intro Hr. assert (E : forall m, (1 - r ^ 2) * sum m (fun j => (- r) ^ j * (- r) ^ j) = 1 - (- r) ^ m * (- r) ^ m).
  { induction m as [| m IH]; [simpl; ring |]. simpl sum. rewrite Rmult_plus_distr_l, IH. simpl. ring. }
  rewrite E. pose proof (pow2_ge_0 ((- r) ^ n)). simpl in *. lra.
Qed.

(** N6.  For every k there is a skew K with |K v| <= (lambda/tau) |v| and an error x that no combination of k products with
    I - K reduces to less than sqrt(1 - r^2) r^k of its length, r = lambda / (tau + sqrt(tau^2 + lambda^2)): no polynomial method
    has a better rate, however its coefficients are chosen. *)
Theorem N6_no_combination_does_better tau lam k : 0 < tau -> 0 < lam ->
  let r := lam / (tau + sqrt (tau ^ 2 + lam ^ 2)) in
  exists (n : nat) (K : nat -> nat -> R) (x : nat -> R),
    (forall i j, K j i = - K i j) /\ (forall v, sum n (fun y => win n K v y ^ 2) <= (lam / tau) ^ 2 * sum n (fun y => v y ^ 2)) /\
    0 < sum n (fun y => x y ^ 2) /\
    forall a, (1 - r ^ 2) * r ^ (2 * k) * sum n (fun y => x y ^ 2) <= sum n (fun y => combined n K a k x y ^ 2).
Proof.
  intros Ht Hl r. destruct (best_rate_equation tau lam Ht Hl) as [Hr Er]. fold r in Hr, Er.
  set (n := (2 * k + 2)%nat). set (h := lam / tau / 2). set (x := fun j : nat => (- r) ^ j).
  exists n, (path h), x. repeat split.
  - intros i j. apply path_skew.
  - intro v. replace (lam / tau) with (2 * h) by (unfold h; field; lra). apply path_short.
  - apply Rlt_le_trans with (x O ^ 2); [unfold x; simpl; lra |].
    apply (sum_lower_bound n (fun y => x y ^ 2)); [intros; apply pow2_ge_0 | unfold n; lia].
  - intro a.
    assert (Inner : forall y, (0 < y)%nat -> (S y < n)%nat -> minus_turn n (path h) x y = 0).
    { intros y Hy Hn. unfold minus_turn. rewrite path_apply by lia. destruct y as [| z]; [lia |].
      replace (Nat.ltb (S (S z)) n) with true by (symmetry; apply Nat.ltb_lt; exact Hn). unfold x. simpl.
      replace (- r * (- r) ^ z - (h * (- r * (- r * (- r) ^ z)) - h * (- r) ^ z)) with ((h * (1 - r ^ 2) - r) * (- r) ^ z) by ring.
      replace (h * (1 - r ^ 2) - r) with 0; [ring |]. unfold h.
      replace (lam / tau / 2 * (1 - r ^ 2)) with (lam * (1 - r ^ 2) / (2 * tau)) by (field; lra). rewrite Er. field. lra. }
    assert (Kept : combined n (path h) a k x k = x k).
    { unfold combined. rewrite (sum_ext k _ (fun _ => 0)), sum_zero; [ring |]. intros j Hj.
      replace (Nat.iter (S j) (minus_turn n (path h)) x k) with 0; [ring |].
      rewrite first_step. symmetry. apply travel; [exact Inner | exact Hj | unfold n; lia]. }
    apply Rle_trans with (combined n (path h) a k x k ^ 2);
      [| apply (sum_lower_bound n (fun y => combined n (path h) a k x y ^ 2)); [intros; apply pow2_ge_0 | unfold n; lia]].
    rewrite Kept. pose proof (geometric_bound r n Hr) as G.
    assert (X2 : sum n (fun y => x y ^ 2) = sum n (fun j => (- r) ^ j * (- r) ^ j)) by (apply sum_ext; intros; unfold x; ring).
    assert (Xk : x k ^ 2 = r ^ (2 * k)).
    { unfold x. rewrite <- pow_mult, (Nat.mul_comm k 2), !pow_mult. f_equal. ring. }
    rewrite X2, Xk. assert (0 < r ^ (2 * k)) by (apply pow_lt; lra). nra.
Qed.

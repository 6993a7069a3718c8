(** * Finite sums and expectations.

    A response is an index i < n, a vector a function nat -> R of which only the values at i < n matter. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
Open Scope R_scope.

Fixpoint sum (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S k => sum k f + f k end.

(** ** Linearity *)

Lemma sum_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> sum n f = sum n g.
Proof. induction n; simpl; intro H; [reflexivity |]. rewrite IHn, H; auto. Qed.

Lemma sum_plus n f g : sum n (fun i => f i + g i) = sum n f + sum n g.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sum_minus n f g : sum n (fun i => f i - g i) = sum n f - sum n g.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sum_opp n f : sum n (fun i => - f i) = - sum n f.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sum_scal n c f : sum n (fun i => c * f i) = c * sum n f.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sum_scal_r n c f : sum n (fun i => f i * c) = sum n f * c.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sum_zero n : sum n (fun _ => 0) = 0.
Proof. induction n; simpl; lra. Qed.

Lemma sum_const n c : sum n (fun _ => c) = INR n * c.
Proof. induction n as [| n IH]; [simpl; ring | rewrite S_INR; simpl; rewrite IH; ring]. Qed.

Lemma sum_swap n m f :
  sum n (fun i => sum m (fun j => f i j)) = sum m (fun j => sum n (fun i => f i j)).
Proof.
  induction n; simpl; [symmetry; apply sum_zero |]. rewrite IHn, <- sum_plus. reflexivity.
Qed.

Lemma sum_product n m f g : sum n f * sum m g = sum n (fun i => sum m (fun j => f i * g j)).
Proof. rewrite <- sum_scal_r. apply sum_ext. intros i _. symmetry. apply sum_scal. Qed.

Lemma sum_append a b f : sum (a + b) f = sum a f + sum b (fun i => f (a + i)%nat).
Proof.
  induction b as [| b IH]; [rewrite Nat.add_0_r; simpl; ring |].
  rewrite Nat.add_succ_r. simpl. rewrite IH. ring.
Qed.

(** A skew-symmetric kernel sums to zero. *)
Lemma sum_skew n K : (forall i j, (i < n)%nat -> (j < n)%nat -> K j i = - K i j) ->
  sum n (fun i => sum n (fun j => K i j)) = 0.
Proof.
  intro H. enough (E : sum n (fun i => sum n (fun j => K i j)) = (-1) * sum n (fun i => sum n (fun j => K i j))) by lra.
  rewrite sum_swap at 1. rewrite <- sum_scal. apply sum_ext. intros j Hj. rewrite <- sum_scal.
  apply sum_ext. intros i Hi. rewrite H by assumption. ring.
Qed.

(** ** Order *)

Lemma sum_nonneg n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= sum n f.
Proof.
  induction n as [| n IH]; intro H; simpl; [lra |].
  pose proof (H n ltac:(lia)). assert (0 <= sum n f) by (apply IH; intros; apply H; lia). lra.
Qed.

Lemma sum_pos n f : (0 < n)%nat -> (forall y, (y < n)%nat -> 0 < f y) -> 0 < sum n f.
Proof.
  intros Hn H. destruct n as [| n]; [lia |]. simpl. pose proof (H n ltac:(lia)).
  assert (0 <= sum n f) by (apply sum_nonneg; intros i Hi; pose proof (H i ltac:(lia)); lra). lra.
Qed.

Lemma sum_le n f g : (forall i, (i < n)%nat -> f i <= g i) -> sum n f <= sum n g.
Proof.
  intro H. assert (0 <= sum n (fun i => g i - f i)) by (apply sum_nonneg; intros i Hi; pose proof (H i Hi); lra).
  rewrite sum_minus in *. lra.
Qed.

Lemma sum_nonneg_zero n f : (forall i, (i < n)%nat -> 0 <= f i) -> sum n f = 0 -> forall i, (i < n)%nat -> f i = 0.
Proof.
  induction n as [| n IH]; intros H E i Hi; [lia |]. simpl in E.
  pose proof (H n ltac:(lia)). assert (0 <= sum n f) by (apply sum_nonneg; intros; apply H; lia).
  destruct (Nat.eq_dec i n) as [-> | Hin]; [lra |].
  apply IH; [intros; apply H; lia | lra | lia].
Qed.

Lemma sum_lower_bound n f k : (forall i, (i < n)%nat -> 0 <= f i) -> (k < n)%nat -> f k <= sum n f.
Proof.
  intros Hf Hk. induction n as [| n IH]; [lia |]. simpl.
  pose proof (Hf n ltac:(lia)).
  destruct (Nat.eq_dec k n) as [-> | E].
  - assert (0 <= sum n f) by (apply sum_nonneg; intros; apply Hf; lia). lra.
  - assert (f k <= sum n f) by (apply IH; [intros; apply Hf; lia | lia]). lra.
Qed.

Lemma sum_abs n f : Rabs (sum n f) <= sum n (fun i => Rabs (f i)).
Proof.
  induction n as [| n IH]; simpl; [rewrite Rabs_R0; lra |].
  pose proof (Rabs_triang (sum n f) (f n)). lra.
Qed.

Lemma positive_minimum n f : (forall i, (i < n)%nat -> 0 < f i) -> exists a, 0 < a /\ forall i, (i < n)%nat -> a <= f i.
Proof.
  induction n as [| n IH]; intro H; [exists 1; split; [lra | intros; lia] |].
  destruct IH as [a [Ha Hf]]; [intros; apply H; lia |].
  exists (Rmin a (f n)). split; [apply Rmin_glb_lt; [exact Ha | apply H; lia] |].
  intros i Hi. destruct (Nat.eq_dec i n) as [-> | E]; [apply Rmin_r |].
  eapply Rle_trans; [apply Rmin_l | apply Hf; lia].
Qed.

(** Cauchy-Schwarz. *)
Lemma sum_cauchy_schwarz n f g :
  (sum n (fun i => f i * g i)) ^ 2 <= sum n (fun i => f i ^ 2) * sum n (fun i => g i ^ 2).
Proof.
  set (a := sum n (fun i => f i ^ 2)). set (b := sum n (fun i => f i * g i)). set (c := sum n (fun i => g i ^ 2)).
  assert (Q : forall t, 0 <= a - 2 * t * b + t ^ 2 * c).
  { intro t. replace (a - 2 * t * b + t ^ 2 * c) with (sum n (fun i => (f i - t * g i) ^ 2)).
    - apply sum_nonneg. intros; apply pow2_ge_0.
    - unfold a, b, c. rewrite <- !sum_scal, <- sum_minus, <- sum_plus. apply sum_ext. intros; ring. }
  assert (0 <= c) by (apply sum_nonneg; intros; apply pow2_ge_0).
  assert (0 <= a) by (apply sum_nonneg; intros; apply pow2_ge_0).
  destruct (Req_dec c 0) as [Z | Z].
  - destruct (Req_dec b 0) as [B | B]; [rewrite B, Z; lra |].
    pose proof (Q ((a + 1) / (2 * b))) as H1. rewrite Z in H1.
    replace (a - 2 * ((a + 1) / (2 * b)) * b + ((a + 1) / (2 * b)) ^ 2 * 0) with (-1) in H1 by (field; exact B). lra.
  - pose proof (Q (b / c)) as H1.
    replace (a - 2 * (b / c) * b + (b / c) ^ 2 * c) with ((a * c - b ^ 2) / c) in H1 by (field; exact Z).
    assert (0 <= (a * c - b ^ 2) / c * c) by (apply Rmult_le_pos; lra).
    replace ((a * c - b ^ 2) / c * c) with (a * c - b ^ 2) in * by (field; exact Z). lra.
Qed.

(** ** Units *)

(** delta_k(y) = 1 if y = k, else 0. *)
Definition delta (k y : nat) : R := if Nat.eqb y k then 1 else 0.

Lemma sum_delta n k f : (k < n)%nat -> sum n (fun y => f y * delta k y) = f k.
Proof.
  intro Hk. induction n as [| n IH]; [lia |]. simpl.
  destruct (Nat.eq_dec k n) as [E | E].
  - subst k. rewrite (sum_ext n _ (fun _ => 0)).
    + rewrite sum_zero. unfold delta. rewrite Nat.eqb_refl. ring.
    + intros y Hy. unfold delta. replace (Nat.eqb y n) with false; [ring |].
      symmetry. apply Nat.eqb_neq. lia.
  - rewrite IH by lia. unfold delta. replace (Nat.eqb n k) with false; [ring |].
    symmetry. apply Nat.eqb_neq. lia.
Qed.

(** ** Largest and smallest entry, oscillation *)

Fixpoint top (n : nat) (f : nat -> R) : R := match n with O => f O | S k => Rmax (top k f) (f k) end.
Definition bottom (n : nat) (f : nat -> R) : R := - top n (fun i => - f i).

(** osc(f) = max f - min f. *)
Definition osc (n : nat) (f : nat -> R) : R := top n f - bottom n f.

Lemma top_ge n f i : (i < n)%nat -> f i <= top n f.
Proof.
  induction n as [| n IH]; intro Hi; [lia |]. simpl.
  destruct (Nat.eq_dec i n) as [-> | E]; [apply Rmax_r |].
  eapply Rle_trans; [apply IH; lia | apply Rmax_l].
Qed.

Lemma top_attained n f : (0 < n)%nat -> exists i, (i < n)%nat /\ top n f = f i.
Proof.
  intro Hn. assert (A : exists i, (i < n \/ i = 0)%nat /\ top n f = f i).
  { clear Hn. induction n as [| n IH]; [exists O; split; [lia | reflexivity] |]. simpl.
    destruct IH as [i [Hi E]]. destruct (Rle_dec (top n f) (f n)) as [L | L].
    - exists n. split; [lia | apply Rmax_right; exact L].
    - exists i. split; [lia | rewrite <- E; apply Rmax_left; lra]. }
  destruct A as [i [Hi E]]. exists i. split; [lia | exact E].
Qed.

Lemma bottom_le n f i : (i < n)%nat -> bottom n f <= f i.
Proof. intro Hi. unfold bottom. pose proof (top_ge n (fun i => - f i) i Hi). simpl in *. lra. Qed.

Lemma bottom_attained n f : (0 < n)%nat -> exists i, (i < n)%nat /\ bottom n f = f i.
Proof.
  intro Hn. destruct (top_attained n (fun i => - f i) Hn) as [i [Hi E]].
  exists i. split; [exact Hi | unfold bottom; rewrite E; ring].
Qed.

Lemma osc_pair n f i j : (i < n)%nat -> (j < n)%nat -> f i - f j <= osc n f.
Proof. intros Hi Hj. unfold osc. pose proof (top_ge n f i Hi). pose proof (bottom_le n f j Hj). lra. Qed.

Lemma osc_le n f c : (0 < n)%nat ->
  (forall i j, (i < n)%nat -> (j < n)%nat -> f i - f j <= c) -> osc n f <= c.
Proof.
  intros Hn H. destruct (top_attained n f Hn) as [i [Hi Ei]]. destruct (bottom_attained n f Hn) as [j [Hj Ej]].
  unfold osc. rewrite Ei, Ej. apply H; assumption.
Qed.

Lemma osc_nonneg n f : (0 < n)%nat -> 0 <= osc n f.
Proof. intro Hn. pose proof (osc_pair n f 0 0 Hn Hn). lra. Qed.

(** ** Expectation, win rates, preference matrices *)

(** E_nu[f]. *)
Definition expect (n : nat) (nu f : nat -> R) : R := sum n (fun y => nu y * f y).

Lemma expect_ext n nu f g : (forall y, (y < n)%nat -> f y = g y) -> expect n nu f = expect n nu g.
Proof. intro H. apply sum_ext. intros y Hy. rewrite H by exact Hy. reflexivity. Qed.

Lemma expect_plus n nu f g : expect n nu (fun y => f y + g y) = expect n nu f + expect n nu g.
Proof. unfold expect. rewrite <- sum_plus. apply sum_ext. intros; ring. Qed.

Lemma expect_minus n nu f g : expect n nu (fun y => f y - g y) = expect n nu f - expect n nu g.
Proof. unfold expect. rewrite <- sum_minus. apply sum_ext. intros; ring. Qed.

Lemma expect_scal n nu c f : expect n nu (fun y => c * f y) = c * expect n nu f.
Proof. unfold expect. rewrite <- sum_scal. apply sum_ext. intros; ring. Qed.

Lemma expect_const n nu c : sum n nu = 1 -> expect n nu (fun _ => c) = c.
Proof. intro H. unfold expect. rewrite sum_scal_r, H. ring. Qed.

(** p(y > nu) = (P nu)(y). *)
Definition win (n : nat) (P : nat -> nat -> R) (nu : nat -> R) (y : nat) : R := sum n (fun y' => P y y' * nu y').

(** P + P^T = 1. *)
Definition is_pref (n : nat) (P : nat -> nat -> R) : Prop :=
  forall y y', (y < n)%nat -> (y' < n)%nat -> P y y' + P y' y = 1.

(** ** Calculus *)

(** Mean value theorem, for either order of the end points. *)
Lemma mean_value f df a b : (forall x, Rmin a b <= x <= Rmax a b -> is_derive f x (df x)) ->
  exists c, Rmin a b <= c <= Rmax a b /\ f b - f a = df c * (b - a).
Proof.
  intro D. apply MVT_gen.
  - intros x Hx. apply D. lra.
  - intros x Hx. apply derivable_continuous_pt. exists (df x). apply is_derive_Reals. apply D. exact Hx.
Qed.

(** A function whose derivative has the sign of x - a is smallest at a. *)
Lemma minimum_at f df a b : (forall x, Rmin a b <= x <= Rmax a b -> is_derive f x (df x)) ->
  (forall x, Rmin a b <= x <= Rmax a b -> 0 <= df x * (b - a)) -> f a <= f b.
Proof. intros D S. destruct (mean_value f df a b D) as [c [Hc E]]. pose proof (S c Hc). lra. Qed.

(** f'' <= c bounds f by its parabola. *)
Lemma parabola_bound f df ddf c x : (forall t, is_derive f t (df t)) -> (forall t, is_derive df t (ddf t)) ->
  (forall t, ddf t <= c) -> f x <= f 0 + df 0 * x + c * x ^ 2 / 2.
Proof.
  intros D DD B.
  set (g := fun t => f 0 + df 0 * t + c * t ^ 2 / 2 - f t).
  assert (G : g 0 <= g x).
  { apply (minimum_at g (fun t => df 0 + c * t - df t)).
    - intros t _. unfold g. auto_derive; [exists (df t); apply D |].
      replace (Derive (fun u => f u) t) with (df t) by (symmetry; apply is_derive_unique, D). field.
    - intros t Ht. destruct (mean_value df ddf 0 t ltac:(intros; apply DD)) as [u [_ E]].
      replace (df 0 + c * t - df t) with ((c - ddf u) * t) by lra. pose proof (B u).
      replace ((c - ddf u) * t * (x - 0)) with ((c - ddf u) * (t * x)) by ring.
      apply Rmult_le_pos; [lra |].
      destruct (Rle_dec 0 x); [rewrite Rmin_left, Rmax_right in Ht by lra | rewrite Rmin_right, Rmax_left in Ht by lra]; nra. }
  unfold g in G. lra.
Qed.

Lemma exp_ge_line x : 1 + x <= exp x.
Proof. destruct (Req_dec x 0) as [-> | E]; [rewrite exp_0; lra | apply Rlt_le, exp_ineq1; exact E]. Qed.

Lemma ln_le_line x : 0 < x -> ln x <= x - 1.
Proof. intro H. pose proof (exp_ge_line (ln x)) as E. rewrite exp_ln in E by exact H. lra. Qed.

Lemma ln_le_mono x y : 0 < x -> x <= y -> ln x <= ln y.
Proof. intros Hx [L | ->]; [apply Rlt_le, ln_increasing; assumption | apply Rle_refl]. Qed.

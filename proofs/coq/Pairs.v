(** * All pairs of k completions against fresh pairs (N17): the variance of a U-statistic.

    f(y, y') is a pair's contribution, symmetric, one coordinate of an estimate (variances of coordinates add); completions are
    drawn independently from nu.  Hoeffding's components: zeta_1 = Var E[f | y], zeta_2 = Var f, zeta_0 between prompts. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Gradients Variance Certificate Chance.
Open Scope R_scope.

(** The sum of m independent draws of mean 0. *)
Lemma independent_square {A : Type} (a : A) (inside : A -> Prop) E (u : A -> R) m : is_mean inside E -> E u = 0 ->
  product a (fun _ => E) m (fun o => sum m (fun c => u (o c))) = 0 /\
  product a (fun _ => E) m (fun o => sum m (fun c => u (o c)) ^ 2) = INR m * E (fun x => u x ^ 2).
Proof.
  intros HE U. induction m as [| m [IH0 IH2]]; [split; simpl; ring |].
  pose proof (product_mean A a (fun _ => inside) (fun _ => E) m (fun _ _ => HE)) as M. rewrite S_INR. cbn [product sum].
  assert (Last : forall o x, sum m (fun c => u (upd o m x c)) + u (upd o m x m) = sum m (fun c => u (o c)) + u x).
  { intros o x. rewrite upd_same. f_equal. apply sum_ext. intros c Hc. rewrite upd_other by lia. reflexivity. }
  split.
  - rewrite (mean_ext _ _ _ HE _ u); [exact U |]. intros x _.
    rewrite (mean_ext _ _ _ M _ (fun o => sum m (fun c => u (o c)) + u x)) by (intros; apply Last).
    rewrite (mean_plus _ _ _ M), IH0, (mean_const _ _ _ M). ring.
  - rewrite (mean_ext _ _ _ HE _ (fun x => INR m * E (fun x => u x ^ 2) + u x ^ 2)).
    + rewrite (mean_plus _ _ _ HE), (mean_const _ _ _ HE). ring.
    + intros x _. rewrite (mean_ext _ _ _ M _ (fun o => sum m (fun c => u (o c)) ^ 2 + (2 * u x * sum m (fun c => u (o c)) + u x ^ 2)))
        by (intros; rewrite Last; ring).
      rewrite !(mean_plus _ _ _ M), (mean_scal _ _ _ M), IH2, IH0, (mean_const _ _ _ M). ring.
Qed.

Section Pairs.

Variables (n : nat) (nu : nat -> R) (f : nat -> nat -> R).
Hypothesis nu_dist : dist n nu.
Hypothesis f_symmetric : forall y z, (y < n)%nat -> (z < n)%nat -> f y z = f z y.

Local Notation E1 := (expect n nu).

(** k completions, independently. *)
Definition completions (k : nat) : ((nat -> nat) -> R) -> R := product 0%nat (fun _ => E1) k.

(** The estimate from all pairs, and Hoeffding's components. *)
Definition all_pairs k (o : nat -> nat) : R := 2 / (INR k * (INR k - 1)) * sum k (fun i => sum i (fun j => f (o i) (o j))).
Definition pair_mean : R := pair_expect n nu f.
Definition zeta1 : R := E1 (fun y => (E1 (f y) - pair_mean) ^ 2).
Definition zeta2 : R := pair_expect n nu (fun y z => (f y z - pair_mean) ^ 2).

Lemma one_mean : is_mean (fun y => (y < n)%nat) E1.
Proof. apply finite_mean, nu_dist. Qed.

Lemma all_mean k : is_mean (fun o => forall c, (c < k)%nat -> (o c < n)%nat) (completions k).
Proof. apply (product_mean nat 0%nat (fun _ y => (y < n)%nat)). intros; apply one_mean. Qed.

(** The last completion may be drawn last. *)
Lemma last_drawn k F : completions (S k) F = completions k (fun o => E1 (fun y => F (upd o k y))).
Proof.
  unfold expect at 1. pose proof (all_mean k) as M.
  rewrite (mean_sum _ _ _ M n (fun y o => nu y * F (upd o k y))).
  apply (sum_ext n (fun y => nu y * completions k (fun o => F (upd o k y)))). intros y _. symmetry. apply (mean_scal _ _ _ M).
Qed.

Lemma sum_upd k (u : nat -> R) o y : sum k (fun b => u (upd o k y b)) = sum k (fun b => u (o b)).
Proof. apply sum_ext. intros b Hb. rewrite upd_other by lia. reflexivity. Qed.

Lemma mean_of_sum k u : completions k (fun o => sum k (fun b => u (o b))) = INR k * E1 u.
Proof.
  pose proof one_mean as M1. induction k as [| k IH]; [unfold completions; simpl; ring |]. pose proof (all_mean k) as M.
  rewrite last_drawn, S_INR, (mean_ext _ _ _ M _ (fun o => sum k (fun b => u (o b)) + E1 u)).
  - rewrite (mean_plus _ _ _ M), IH, (mean_const _ _ _ M). ring.
  - intros o _. simpl. rewrite (mean_ext _ _ _ M1 _ (fun y => sum k (fun b => u (o b)) + u y)).
    + rewrite (mean_plus _ _ _ M1), (mean_const _ _ _ M1). reflexivity.
    + intros y _. rewrite sum_upd, upd_same. reflexivity.
Qed.

Lemma mean_of_double k (g : nat -> nat -> R) :
  completions k (fun o => sum k (fun b => sum k (fun c => g (o b) (o c))))
    = INR k * E1 (fun y => g y y) + INR k * (INR k - 1) * pair_expect n nu g.
Proof.
  pose proof one_mean as M1. induction k as [| k IH]; [unfold completions; simpl; ring |]. pose proof (all_mean k) as M.
  set (r := fun a => E1 (fun y => g y a + g a y)).
  rewrite last_drawn, S_INR, (mean_ext _ _ _ M _ (fun o => sum k (fun b => sum k (fun c => g (o b) (o c)))
    + (sum k (fun b => r (o b)) + E1 (fun y => g y y)))).
  - rewrite !(mean_plus _ _ _ M), IH, mean_of_sum, (mean_const _ _ _ M).
    assert (R2 : E1 r = 2 * pair_expect n nu g).
    { unfold r, pair_expect. rewrite (expect_ext n nu _ (fun a => E1 (fun y => g y a) + E1 (g a))) by (intros; apply expect_plus).
      rewrite expect_plus, (expect_swap n nu (fun a y => g y a)). change (fun a => E1 (g a)) with (fun a => E1 (fun y => g a y)). ring. }
    rewrite R2. ring.
  - intros o _. rewrite (mean_ext _ _ _ M1 _ (fun y => sum k (fun b => sum k (fun c => g (o b) (o c)))
      + (sum k (fun b => g y (o b) + g (o b) y) + g y y))).
    + rewrite !(mean_plus _ _ _ M1), (mean_const _ _ _ M1). f_equal. f_equal. unfold r.
      rewrite (mean_sum _ _ _ M1 k (fun b y => g y (o b) + g (o b) y)). reflexivity.
    + intros y _. simpl. rewrite upd_same, sum_plus, (sum_upd k (fun a => g y a)), (sum_upd k (fun a => g a y)).
      rewrite (sum_ext k (fun b => sum k (fun c => g (upd o k y b) (upd o k y c))) (fun b => sum k (fun c => g (o b) (o c)))).
      * rewrite (sum_plus k (fun b => g y (o b)) (fun b => g (o b) y)). ring.
      * intros b Hb. rewrite (sum_upd k (fun a => g (upd o k y b) a)), upd_other by lia. reflexivity.
Qed.

(** ** The kernel without its mean *)

Local Notation f0 y z := (f y z - pair_mean).
Local Notation f1 y := (E1 (f y) - pair_mean).
Local Notation total k o := (sum k (fun i => sum i (fun j => f0 (o i) (o j)))).
Local Notation linear k o := (sum k (fun j => f1 (o j))).

Lemma f1_mean : E1 (fun y => f1 y) = 0.
Proof. rewrite expect_minus, expect_const by apply nu_dist. unfold pair_mean, pair_expect. change (E1 (fun y => E1 (f y))) with (E1 (fun y => E1 (fun z => f y z))). ring. Qed.

Lemma f1_is y : (y < n)%nat -> E1 (fun z => f0 z y) = f1 y.
Proof.
  intro Hy. rewrite expect_minus, expect_const by apply nu_dist. f_equal. apply expect_ext. intros z Hz. apply f_symmetric; assumption.
Qed.

Lemma total_last k o y : total (S k) (upd o k y) = total k o + sum k (fun j => f0 y (o j)).
Proof.
  simpl. rewrite upd_same, (sum_upd k (fun a => f0 y a)). f_equal. apply sum_ext. intros i Hi. apply sum_ext. intros j Hj.
  rewrite !upd_other by lia. reflexivity.
Qed.

Lemma linear_last k o y : linear (S k) (upd o k y) = linear k o + f1 y.
Proof. simpl. rewrite upd_same, (sum_upd k (fun a => f1 a)). reflexivity. Qed.

(** The mean of the last row, given the others. *)
Lemma row_mean k o : (forall c, (c < k)%nat -> (o c < n)%nat) -> E1 (fun y => sum k (fun j => f0 y (o j))) = linear k o.
Proof.
  intro Ho. rewrite (mean_sum _ _ _ one_mean k (fun j y => f0 y (o j))). apply sum_ext. intros j Hj. apply f1_is, Ho, Hj.
Qed.

Lemma linear_square k : completions k (fun o => linear k o ^ 2) = INR k * zeta1.
Proof.
  pose proof (all_mean k) as M. rewrite (mean_ext _ _ _ M _ (fun o => sum k (fun b => sum k (fun c => f1 (o b) * f1 (o c))))).
  - rewrite (mean_of_double k (fun a b => f1 a * f1 b)). unfold zeta1, pair_expect.
    rewrite (expect_ext n nu (fun y => E1 (fun z => f1 y * f1 z)) (fun _ => 0)) by (intros; rewrite expect_scal, f1_mean; ring).
    rewrite expect_const by apply nu_dist. rewrite Rmult_0_r, Rplus_0_r. f_equal. apply expect_ext. intros; ring.
  - intros o _. rewrite <- sum_product. ring.
Qed.

Lemma cross_moment k : completions k (fun o => total k o * linear k o) = INR k * (INR k - 1) * zeta1.
Proof.
  pose proof one_mean as M1. induction k as [| k IH]; [unfold completions; simpl; ring |]. pose proof (all_mean k) as M.
  set (w := fun a => E1 (fun y => f0 y a * f1 y)).
  rewrite last_drawn, (mean_ext _ _ _ M _ (fun o => total k o * linear k o + (linear k o ^ 2 + sum k (fun j => w (o j))))).
  - rewrite !(mean_plus _ _ _ M), IH, linear_square, mean_of_sum, S_INR.
    assert (W : E1 w = zeta1).
    { unfold w. rewrite (expect_swap n nu (fun a y => f0 y a * f1 y)). apply expect_ext. intros y Hy.
      rewrite (expect_ext n nu _ (fun a => f1 y * f0 y a)), expect_scal, expect_minus, expect_const by (apply nu_dist || (intros; ring)).
      change (E1 (fun y0 => f y y0)) with (E1 (f y)). ring. }
    rewrite W. ring.
  - intros o Ho. rewrite (mean_ext _ _ _ M1 _ (fun y => total k o * linear k o + (total k o * f1 y
      + (linear k o * sum k (fun j => f0 y (o j)) + sum k (fun j => f0 y (o j) * f1 y))))).
    + rewrite !(mean_plus _ _ _ M1), !(mean_scal _ _ _ M1), (mean_const _ _ _ M1), f1_mean, (row_mean k o Ho).
      rewrite (mean_sum _ _ _ M1 k (fun j y => f0 y (o j) * f1 y)). unfold w. ring.
    + intros y _. rewrite total_last, linear_last, sum_scal_r. ring.
Qed.

Lemma total_square k :
  completions k (fun o => total k o ^ 2) = INR k * (INR k - 1) / 2 * zeta2 + INR k * (INR k - 1) * (INR k - 2) * zeta1.
Proof.
  pose proof one_mean as M1. induction k as [| k IH]; [unfold completions; simpl; field |]. pose proof (all_mean k) as M.
  set (g := fun a b => E1 (fun y => f0 y a * f0 y b)).
  rewrite last_drawn, (mean_ext _ _ _ M _ (fun o => total k o ^ 2 + (2 * (total k o * linear k o) + sum k (fun b => sum k (fun c => g (o b) (o c)))))).
  - rewrite !(mean_plus _ _ _ M), (mean_scal _ _ _ M), IH, cross_moment, mean_of_double, S_INR.
    assert (G2 : E1 (fun a => g a a) = zeta2).
    { unfold g, zeta2, pair_expect. rewrite (expect_swap n nu (fun a y => f0 y a * f0 y a)). apply expect_ext. intros y _.
      apply expect_ext. intros; ring. }
    assert (G1 : pair_expect n nu g = zeta1).
    { unfold g, zeta1, pair_expect.
      rewrite (expect_ext n nu _ (fun a => E1 (fun y => E1 (fun b => f0 y a * f0 y b)))) by (intros a _; apply (expect_swap n nu (fun b y => f0 y a * f0 y b))).
      rewrite (expect_swap n nu (fun a y => E1 (fun b => f0 y a * f0 y b))). apply expect_ext. intros y Hy.
      rewrite (expect_ext n nu _ (fun a => f1 y * f0 y a)).
      - rewrite expect_scal, expect_minus, expect_const by apply nu_dist. change (E1 (fun y0 => f y y0)) with (E1 (f y)). ring.
      - intros a _. rewrite expect_scal, expect_minus, expect_const by apply nu_dist. change (E1 (fun y0 => f y y0)) with (E1 (f y)). ring. }
    rewrite G2, G1. field.
  - intros o Ho. rewrite (mean_ext _ _ _ M1 _ (fun y => total k o ^ 2 + (2 * total k o * sum k (fun j => f0 y (o j))
      + sum k (fun b => sum k (fun c => f0 y (o b) * f0 y (o c)))))).
    + rewrite !(mean_plus _ _ _ M1), !(mean_scal _ _ _ M1), (mean_const _ _ _ M1), (row_mean k o Ho).
      rewrite (mean_sum _ _ _ M1 k (fun b y => sum k (fun c => f0 y (o b) * f0 y (o c)))).
      rewrite (sum_ext k (fun i => E1 (fun y => sum k (fun c => f0 y (o i) * f0 y (o c)))) (fun b => sum k (fun c => g (o b) (o c)))).
      * ring.
      * intros b _. apply (mean_sum _ _ _ M1 k (fun c y => f0 y (o b) * f0 y (o c))).
    + intros y _. rewrite total_last, <- sum_product. ring.
Qed.

Lemma all_pairs_centred k o : (2 <= k)%nat -> all_pairs k o - pair_mean = 2 / (INR k * (INR k - 1)) * total k o.
Proof.
  intro Hk. assert (K : 2 <= INR k) by (apply (le_INR 2 k Hk)).
  assert (Count : forall m, sum m (fun i => sum i (fun _ => pair_mean)) = INR m * (INR m - 1) / 2 * pair_mean).
  { induction m as [| m IH]; [simpl; field |]. simpl sum. rewrite IH, sum_const, S_INR. field. }
  unfold all_pairs. rewrite (sum_ext k (fun i => sum i (fun j => f0 (o i) (o j)))
    (fun i => sum i (fun j => f (o i) (o j)) - sum i (fun _ => pair_mean))) by (intros; apply sum_minus).
  rewrite sum_minus, Count. field. split; lra.
Qed.

(** N17.  The variance of the estimate from all pairs of k completions: 2 (zeta_2 + 2 (k - 2) zeta_1) / (k (k - 1)); its mean is right. *)
Theorem N17_all_pairs k : (2 <= k)%nat -> completions k (all_pairs k) = pair_mean /\
  completions k (fun o => (all_pairs k o - pair_mean) ^ 2) = 2 * (zeta2 + 2 * (INR k - 2) * zeta1) / (INR k * (INR k - 1)).
Proof.
  intro Hk. pose proof (all_mean k) as M. assert (K : 2 <= INR k) by (apply (le_INR 2 k Hk)). split.
  - assert (T0 : forall m, completions m (fun o => total m o) = 0).
    { induction m as [| m IH]; [unfold completions; reflexivity |]. pose proof (all_mean m) as Mm.
      rewrite last_drawn, (mean_ext _ _ _ Mm _ (fun o => total m o + linear m o)).
      - rewrite (mean_plus _ _ _ Mm), IH, (mean_of_sum m (fun y => f1 y)), f1_mean. ring.
      - intros o Ho. rewrite (mean_ext _ _ _ one_mean _ (fun y => total m o + sum m (fun j => f0 y (o j)))) by (intros; apply total_last).
        rewrite (mean_plus _ _ _ one_mean), (mean_const _ _ _ one_mean), (row_mean m o Ho). reflexivity. }
    rewrite (mean_ext _ _ _ M _ (fun o => 2 / (INR k * (INR k - 1)) * total k o + pair_mean))
      by (intros; rewrite <- all_pairs_centred by exact Hk; ring).
    rewrite (mean_plus _ _ _ M), (mean_scal _ _ _ M), (mean_const _ _ _ M), T0. ring.
  - rewrite (mean_ext _ _ _ M _ (fun o => (2 / (INR k * (INR k - 1))) ^ 2 * total k o ^ 2))
      by (intros; rewrite all_pairs_centred by exact Hk; ring).
    rewrite (mean_scal _ _ _ M), total_square. field. split; lra.
Qed.

(** A law of pairs, both completions fresh. *)
Definition fresh_pair (F : nat * nat -> R) : R := pair_expect n nu (fun y z => F (y, z)).

Lemma fresh_mean : is_mean (fun p => (fst p < n)%nat /\ (snd p < n)%nat) fresh_pair.
Proof.
  pose proof one_mean as M1. unfold fresh_pair, pair_expect. split; [| split; [| split]].
  - intros F G H. apply (mean_le _ _ _ M1). intros y Hy. apply (mean_le _ _ _ M1). intros z Hz. apply H. split; assumption.
  - intros F G. apply pair_plus.
  - intros c F. apply pair_scal.
  - rewrite (mean_ext _ _ _ M1 _ (fun _ => 1)) by (intros; apply expect_const, nu_dist). apply expect_const, nu_dist.
Qed.

(** m fresh pairs, of 2 m completions: zeta_2 / m. *)
Theorem N17_fresh_pairs m : (0 < m)%nat ->
  product (0%nat, 0%nat) (fun _ => fresh_pair) m (fun o => (/ INR m * sum m (fun c => f (fst (o c)) (snd (o c))) - pair_mean) ^ 2)
    = zeta2 / INR m.
Proof.
  intro Hm. assert (K : 0 < INR m) by (apply lt_0_INR; exact Hm). pose proof fresh_mean as F.
  pose proof (product_mean _ (0%nat, 0%nat) (fun _ p => (fst p < n)%nat /\ (snd p < n)%nat) (fun _ => fresh_pair) m (fun _ _ => F)) as M.
  rewrite (mean_ext _ _ _ M _ (fun o => (/ INR m) ^ 2 * sum m (fun c => f (fst (o c)) (snd (o c)) - pair_mean) ^ 2)).
  - rewrite (mean_scal _ _ _ M).
    destruct (independent_square (0%nat, 0%nat) _ fresh_pair (fun p => f (fst p) (snd p) - pair_mean) m F) as [_ ->].
    + unfold fresh_pair. simpl.
      rewrite (pair_ext n nu _ (fun y z => f y z + (-1) * pair_mean)) by (intros; ring). rewrite (pair_plus n nu f).
      unfold pair_expect at 2. rewrite !expect_const by apply nu_dist. fold pair_mean. ring.
    + unfold fresh_pair. simpl. change (pair_expect n nu (fun y z => (f y z - pair_mean) * ((f y z - pair_mean) * 1)))
        with zeta2. field. lra.
  - intros o _. rewrite sum_minus, sum_const. field. lra.
Qed.

(** rho = zeta_1 / zeta_2 lies in [0, 1/2]. *)
Theorem N17_components : 0 <= zeta1 /\ 2 * zeta1 <= zeta2.
Proof.
  pose proof (proj1 nu_dist) as Hnu. split.
  - apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [apply Hnu, Hy | apply pow2_ge_0].
  - assert (Q : 0 <= pair_expect n nu (fun y z => (f0 y z - f1 y - f1 z) ^ 2)).
    { apply pair_nonneg; [exact Hnu | intros; apply pow2_ge_0]. }
    rewrite (pair_ext n nu _ (fun y z => f0 y z ^ 2 + ((f1 y ^ 2 + f1 z ^ 2) + ((-2) * (f1 y * f0 y z) + ((-2) * (f1 z * f0 y z) + 2 * (f1 y * f1 z)))))) in Q
      by (intros; ring).
    rewrite !(pair_plus n nu), !(pair_scal n nu) in Q.
    assert (A : pair_expect n nu (fun y _ => f1 y ^ 2) = zeta1).
    { apply expect_ext. intros; apply expect_const, nu_dist. }
    assert (A' : pair_expect n nu (fun _ z => f1 z ^ 2) = zeta1).
    { unfold pair_expect. apply expect_const, nu_dist. }
    assert (B : pair_expect n nu (fun y z => f1 y * f0 y z) = zeta1).
    { apply expect_ext. intros y _. rewrite expect_scal, expect_minus, expect_const by apply nu_dist.
      change (E1 (fun y0 => f y y0)) with (E1 (f y)). ring. }
    assert (B' : pair_expect n nu (fun y z => f1 z * f0 y z) = zeta1).
    { rewrite pair_swap, <- B. apply pair_ext. intros y z Hy Hz. rewrite (f_symmetric z y) by assumption. reflexivity. }
    assert (C : pair_expect n nu (fun y z => f1 y * f1 z) = 0).
    { unfold pair_expect. rewrite (expect_ext n nu _ (fun _ => 0)) by (intros; rewrite expect_scal, f1_mean; ring).
      apply expect_const, nu_dist. }
    rewrite A, A', B, B', C in Q. change (pair_expect n nu (fun y z => f0 y z ^ 2)) with zeta2 in Q. lra.
Qed.

(** N17.  Against m = k/2 fresh pairs of as many completions the variance is (1 + 2 (k - 2) rho) / (k - 1) times as large. *)
Theorem N17_ratio k m : (2 <= k)%nat -> INR k = 2 * INR m -> 0 < zeta2 ->
  completions k (fun o => (all_pairs k o - pair_mean) ^ 2) = (1 + 2 * (INR k - 2) * (zeta1 / zeta2)) / (INR k - 1)
    * product (0%nat, 0%nat) (fun _ => fresh_pair) m (fun o => (/ INR m * sum m (fun c => f (fst (o c)) (snd (o c))) - pair_mean) ^ 2).
Proof.
  intros Hk Hm Z. assert (K : 2 <= INR k) by (apply (le_INR 2 k Hk)).
  assert (Pm : (0 < m)%nat) by (destruct m; [simpl in Hm; lra | lia]).
  rewrite (proj2 (N17_all_pairs k Hk)), (N17_fresh_pairs m Pm). replace (INR m) with (INR k / 2) by lra. field. repeat split; lra.
Qed.

End Pairs.

(** a u + b / u is least at u = sqrt(b / a). *)
Lemma least_at_root a b u : 0 < a -> 0 < b -> 0 < u -> a * sqrt (b / a) + b / sqrt (b / a) <= a * u + b / u.
Proof.
  intros Ha Hb Hu. set (s := sqrt (b / a)). assert (Q : 0 < b / a) by (apply Rdiv_lt_0_compat; assumption).
  assert (S0 : 0 < s) by (apply sqrt_lt_R0, Q). assert (S2 : s * s = b / a) by (apply sqrt_sqrt; lra).
  assert (B : b = a * (s * s)) by (rewrite S2; field; lra). rewrite B.
  apply Rmult_le_reg_r with u; [exact Hu |].
  replace ((a * s + a * (s * s) / s) * u) with (a * (2 * s * u)) by (field; lra).
  replace ((a * u + a * (s * s) / u) * u) with (a * (u * u + s * s)) by (field; lra).
  apply Rmult_le_compat_l; [lra |]. pose proof (pow2_ge_0 (u - s)). nra.
Qed.

(** N17, the best k for a number of completions, zeta_0 the variance between prompts: a prompt's variance times its completions is
    least at k = 1 + sqrt(2 (zeta_2 - 2 zeta_1) / zeta_0). *)
Theorem N17_best_k z0 z1 z2 k : 0 < z0 -> 2 * z1 < z2 -> 1 < k ->
  let cost x := x * (z0 + 2 * (z2 + 2 * (x - 2) * z1) / (x * (x - 1))) in
  cost (1 + sqrt (2 * (z2 - 2 * z1) / z0)) <= cost k.
Proof.
  intros H0 H1 Hk cost. set (s := sqrt (2 * (z2 - 2 * z1) / z0)).
  assert (S0 : 0 < s) by (apply sqrt_lt_R0, Rdiv_lt_0_compat; lra).
  assert (C : forall x, 1 < x -> cost x = z0 * (x - 1) + 2 * (z2 - 2 * z1) / (x - 1) + (z0 + 4 * z1)).
  { intros x Hx. unfold cost. field. split; lra. }
  rewrite (C k Hk), (C (1 + s)) by lra. replace (1 + s - 1) with s by ring.
  pose proof (least_at_root z0 (2 * (z2 - 2 * z1)) (k - 1) H0 ltac:(lra) ltac:(lra)) as L. fold s in L. lra.
Qed.

(** N17, the best k if a completion costs c_g and a label c_l: variance times cost is least at k = 1 + sqrt((1/rho - 2) c_g / c_l). *)
Theorem N17_best_k_with_costs z1 z2 cg cl k : 0 < z1 -> 2 * z1 < z2 -> 0 < cg -> 0 < cl -> 1 < k ->
  let cost x := (cg * x + cl * (x * (x - 1) / 2)) * (2 * (z2 + 2 * (x - 2) * z1) / (x * (x - 1))) in
  cost (1 + sqrt ((z2 / z1 - 2) * cg / cl)) <= cost k.
Proof.
  intros H1 H2 Hg Hl Hk cost.
  assert (Q : (z2 / z1 - 2) * cg / cl = 2 * cg * (z2 - 2 * z1) / (2 * cl * z1)) by (field; lra). rewrite Q.
  assert (B : 0 < 2 * cg * (z2 - 2 * z1)) by (apply Rmult_lt_0_compat; lra). assert (A : 0 < 2 * cl * z1) by (apply Rmult_lt_0_compat; lra).
  set (s := sqrt (2 * cg * (z2 - 2 * z1) / (2 * cl * z1))). assert (S0 : 0 < s) by (apply sqrt_lt_R0, Rdiv_lt_0_compat; assumption).
  assert (C : forall x, 1 < x -> cost x = 2 * cl * z1 * (x - 1) + 2 * cg * (z2 - 2 * z1) / (x - 1) + (4 * cg * z1 + cl * (z2 - 2 * z1))).
  { intros x Hx. unfold cost. field. split; lra. }
  rewrite (C k Hk), (C (1 + s)) by lra. replace (1 + s - 1) with s by ring.
  pose proof (least_at_root _ _ (k - 1) A B ltac:(lra)) as L. fold s in L. lra.
Qed.

(** * The regularised preference game (theory, section 1).

    Responses y < n; P[y, y'] = p(y > y'), P + P^T = 1; mu the reference policy; tau the temperature;
    J(pi, pi') = P(pi > pi') - tau KL(pi || mu) + tau KL(pi' || mu). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics.
Open Scope R_scope.

(** ** Objects *)

(** A distribution over the responses, and a policy: a distribution of full support. *)
Definition dist (n : nat) (p : nat -> R) : Prop := (forall y, (y < n)%nat -> 0 <= p y) /\ sum n p = 1.
Definition policy (n : nat) (p : nat -> R) : Prop := (forall y, (y < n)%nat -> 0 < p y) /\ sum n p = 1.

(** Equality of the entries that matter. *)
Definition same (n : nat) (p q : nat -> R) : Prop := forall y, (y < n)%nat -> p y = q y.

(** A preference matrix: P + P^T = 1 with entries in [0, 1]. *)
Definition pref (n : nat) (P : nat -> nat -> R) : Prop :=
  is_pref n P /\ forall y y', (y < n)%nat -> (y' < n)%nat -> 0 <= P y y' <= 1.

(** P(pi > nu) = pi^T P nu. *)
Definition beats (n : nat) (P : nat -> nat -> R) (pi nu : nat -> R) : R := expect n pi (win n P nu).

(** KL(p || q) = sum p (log p - log q).  A term with p(y) = 0 is 0. *)
Definition KL (n : nat) (p q : nat -> R) : R := sum n (fun y => p y * (ln (p y) - ln (q y))).

(** KL(p || q) + KL(q || p) = sum (p - q)(log p - log q). *)
Definition sym_kl (n : nat) (p q : nat -> R) : R := sum n (fun y => (p y - q y) * (ln (p y) - ln (q y))).

(** ||p - q||_1. *)
Definition l1 (n : nat) (p q : nat -> R) : R := sum n (fun y => Rabs (p y - q y)).

(** J(pi, pi') = P(pi > pi') - tau KL(pi || mu) + tau KL(pi' || mu). *)
Definition J (n : nat) (tau : R) (P : nat -> nat -> R) (mu pi pi' : nat -> R) : R :=
  beats n P pi pi' - tau * KL n pi mu + tau * KL n pi' mu.

(** Gibbs policy: proportional to mu(y) exp(f(y)). *)
Definition gibbs_norm (n : nat) (mu f : nat -> R) : R := sum n (fun z => mu z * exp (f z)).
Definition gibbs (n : nat) (mu f : nat -> R) (y : nat) : R := mu y * exp (f y) / gibbs_norm n mu f.

(** BR(nu) proportional to mu exp(P nu / tau). *)
Definition best_reply n tau P mu nu : nat -> R := gibbs n mu (fun y => win n P nu y / tau).

(** The equation of the regularised equilibrium: pi(y) proportional to mu(y) exp(p(y > pi) / tau). *)
Definition is_nash n tau P mu pi : Prop := forall y, (y < n)%nat -> pi y = best_reply n tau P mu pi y.

(** Geometric mixture m_beta = normalise(pi^(1 - beta) mu^beta), as mu exp((1 - beta)(log pi - log mu)) / Z. *)
Definition geo_mix n beta (mu pi : nat -> R) : nat -> R :=
  gibbs n mu (fun y => (1 - beta) * (ln (pi y) - ln (mu y))).

(** ** Distributions *)

Lemma policy_dist n p : policy n p -> dist n p.
Proof. intros [H S]. split; [intros; apply Rlt_le, H; assumption | exact S]. Qed.

Lemma dist_n_pos n p : dist n p -> (0 < n)%nat.
Proof. intros [_ S]. destruct n; [simpl in S; lra | lia]. Qed.

Lemma policy_n_pos n p : policy n p -> (0 < n)%nat.
Proof. intro H. apply (dist_n_pos n p), policy_dist, H. Qed.

Lemma dist_le_one n p y : dist n p -> (y < n)%nat -> p y <= 1.
Proof. intros [H S] Hy. rewrite <- S. apply sum_lower_bound; assumption. Qed.

Lemma same_sym n p q : same n p q -> same n q p.
Proof. intros H y Hy. symmetry. apply H, Hy. Qed.

Lemma same_trans n p q r : same n p q -> same n q r -> same n p r.
Proof. intros H K y Hy. rewrite H, K by exact Hy. reflexivity. Qed.

Lemma policy_same n p q : same n p q -> policy n p -> policy n q.
Proof.
  intros E [H S]. split; [intros y Hy; rewrite <- E by exact Hy; apply H, Hy |].
  rewrite <- S. apply sum_ext. intros y Hy. symmetry. apply E, Hy.
Qed.

Lemma dist_same n p q : same n p q -> dist n p -> dist n q.
Proof.
  intros E [H S]. split; [intros y Hy; rewrite <- E by exact Hy; apply H, Hy |].
  rewrite <- S. apply sum_ext. intros y Hy. symmetry. apply E, Hy.
Qed.

Lemma expect_le n p f g : dist n p -> (forall y, (y < n)%nat -> f y <= g y) -> expect n p f <= expect n p g.
Proof. intros [H _] L. apply sum_le. intros y Hy. apply Rmult_le_compat_l; [apply H | apply L]; exact Hy. Qed.

Lemma expect_bounds n p f a b : dist n p -> (forall y, (y < n)%nat -> a <= f y <= b) -> a <= expect n p f <= b.
Proof.
  intros Hp H. pose proof Hp as [_ S]. split.
  - rewrite <- (expect_const n p a S). apply expect_le; [exact Hp | intros y Hy; apply H, Hy].
  - rewrite <- (expect_const n p b S). apply expect_le; [exact Hp | intros y Hy; apply H, Hy].
Qed.

Lemma expect_same n p q f : same n p q -> expect n p f = expect n q f.
Proof. intro H. apply sum_ext. intros y Hy. rewrite H by exact Hy. reflexivity. Qed.

(** ** Win rates *)

Lemma win_same n P p q y : same n p q -> win n P p y = win n P q y.
Proof. intro H. apply sum_ext. intros y' Hy. rewrite H by exact Hy. reflexivity. Qed.

Lemma win_minus n P p q y : win n P (fun z => p z - q z) y = win n P p y - win n P q y.
Proof. unfold win. rewrite <- sum_minus. apply sum_ext. intros; ring. Qed.

Lemma win_bounds n P nu y : pref n P -> dist n nu -> (y < n)%nat -> 0 <= win n P nu y <= 1.
Proof.
  intros [_ HP] Hnu Hy. replace (win n P nu y) with (expect n nu (P y)) by (apply sum_ext; intros; ring).
  apply expect_bounds; [exact Hnu | intros y' Hy'; apply HP; assumption].
Qed.

Lemma beats_sum n P u v : beats n P u v = sum n (fun y => sum n (fun y' => u y * P y y' * v y')).
Proof. apply sum_ext. intros y _. unfold win. rewrite <- sum_scal. apply sum_ext. intros; ring. Qed.

Lemma beats_minus_l n P u v w : beats n P (fun y => u y - v y) w = beats n P u w - beats n P v w.
Proof. unfold beats, expect. rewrite <- sum_minus. apply sum_ext. intros; ring. Qed.

Lemma beats_minus_r n P u v w : beats n P w (fun y => u y - v y) = beats n P w u - beats n P w v.
Proof. unfold beats. rewrite <- expect_minus. apply expect_ext. intros y _. apply win_minus. Qed.

Lemma beats_same n P p q u v : same n p q -> same n u v -> beats n P p u = beats n P q v.
Proof.
  intros H K. unfold beats. rewrite (expect_same n p q) by exact H. apply expect_ext. intros y _. apply win_same, K.
Qed.

(** u^T P v + v^T P u = (sum u)(sum v), from P + P^T = 1. *)
Lemma beats_transpose n P u v : is_pref n P -> beats n P u v + beats n P v u = sum n u * sum n v.
Proof.
  intro HP. rewrite !beats_sum, (sum_swap n n (fun y y' => v y * P y y' * u y')), sum_product, <- sum_plus.
  apply sum_ext. intros y Hy. rewrite <- sum_plus. apply sum_ext. intros y' Hy'.
  rewrite <- (Rmult_1_r (u y * v y')), <- (HP y y' Hy Hy'). ring.
Qed.

(** P(pi > pi) = 1/2. *)
Lemma beats_self n P p : is_pref n P -> sum n p = 1 -> beats n P p p = 1 / 2.
Proof. intros HP S. pose proof (beats_transpose n P p p HP) as E. rewrite S in E. lra. Qed.

(** P(pi > nu) + P(nu > pi) = 1. *)
Lemma beats_constant_sum n P p q : is_pref n P -> sum n p = 1 -> sum n q = 1 -> beats n P p q + beats n P q p = 1.
Proof. intros HP Sp Sq. rewrite beats_transpose, Sp, Sq by exact HP. ring. Qed.

(** P(p > v) is affine in the opponent v. *)
Lemma beats_as_expect n P p v : is_pref n P -> sum n p = 1 -> sum n v = 1 ->
  beats n P p v = 1 - expect n v (win n P p).
Proof.
  intros HP Sp Sv. pose proof (beats_constant_sum n P p v HP Sp Sv) as X.
  change (beats n P v p) with (expect n v (win n P p)) in X. lra.
Qed.

(** Skewness: (p - q)^T P (p - q) = 0. *)
Lemma beats_skew n P p q : is_pref n P -> sum n p = sum n q ->
  beats n P (fun y => p y - q y) (fun y => p y - q y) = 0.
Proof.
  intros HP S. pose proof (beats_transpose n P (fun y => p y - q y) (fun y => p y - q y) HP) as E.
  rewrite sum_minus, S in E. lra.
Qed.

(** J is constant-sum: J(pi, pi') + J(pi', pi) = 1, and J(pi, pi) = 1/2. *)
Lemma J_constant_sum n tau P mu p q : is_pref n P -> sum n p = 1 -> sum n q = 1 ->
  J n tau P mu p q + J n tau P mu q p = 1.
Proof. intros HP Sp Sq. unfold J. pose proof (beats_constant_sum n P p q HP Sp Sq). lra. Qed.

Lemma J_self n tau P mu p : is_pref n P -> sum n p = 1 -> J n tau P mu p p = 1 / 2.
Proof. intros HP Sp. pose proof (J_constant_sum n tau P mu p p HP Sp Sp). lra. Qed.

(** ** Kullback-Leibler divergence *)

(** log x >= 1 - 1/x + 3 (x - 1)^2 / (2 x (x + 2)): the difference has derivative (x - 1)^3 / (x^2 (x + 2)^2). *)
Lemma ln_refined x : 0 < x -> 1 - 1 / x + 3 * (x - 1) ^ 2 / (2 * x * (x + 2)) <= ln x.
Proof.
  intro Hx. set (g := fun t => ln t - (1 - 1 / t + 3 * (t - 1) ^ 2 / (2 * t * (t + 2)))).
  assert (G : g 1 <= g x).
  { assert (Pos : forall t, Rmin 1 x <= t <= Rmax 1 x -> 0 < t /\ 0 <= (t - 1) * (x - 1)).
    { intros t Ht. destruct (Rle_dec 1 x);
        [rewrite Rmin_left, Rmax_right in Ht by lra | rewrite Rmin_right, Rmax_left in Ht by lra]; split; nra. }
    apply (minimum_at g (fun t => (t - 1) ^ 3 / (t ^ 2 * (t + 2) ^ 2))).
    - intros t Ht. destruct (Pos t Ht) as [H _]. unfold g. auto_derive; [repeat split; nra |]. field. split; lra.
    - intros t Ht. destruct (Pos t Ht) as [H S].
      replace ((t - 1) ^ 3 / (t ^ 2 * (t + 2) ^ 2) * (x - 1))
        with ((t - 1) ^ 2 / (t ^ 2 * (t + 2) ^ 2) * ((t - 1) * (x - 1))) by (field; split; lra).
      apply Rmult_le_pos; [| exact S]. apply Rdiv_le_0_compat; [apply pow2_ge_0 |].
      apply Rmult_lt_0_compat; apply pow_lt; lra. }
  unfold g in G. rewrite ln_1 in G. lra.
Qed.

(** One term of KL, compensated: a log(a/b) - a + b >= 3 (a - b)^2 / (2 a + 4 b). *)
Lemma kl_term a b : 0 <= a -> 0 < b -> 3 * (a - b) ^ 2 / (2 * a + 4 * b) <= a * (ln a - ln b) - a + b.
Proof.
  intros [Ha | <-] Hb.
  - pose proof (ln_refined (a / b) ltac:(apply Rdiv_lt_0_compat; assumption)) as L.
    rewrite ln_div in L by assumption. apply (Rmult_le_compat_l a) in L; [| lra].
    replace (a * (1 - 1 / (a / b) + 3 * (a / b - 1) ^ 2 / (2 * (a / b) * (a / b + 2))))
      with (a - b + 3 * (a - b) ^ 2 / (2 * a + 4 * b)) in L by (field; repeat split; lra). lra.
  - replace (3 * (0 - b) ^ 2 / (2 * 0 + 4 * b)) with (3 / 4 * b) by (field; lra). lra.
Qed.

Lemma kl_term_nonneg a b : 0 <= a -> 0 < b -> 0 <= a * (ln a - ln b) - a + b.
Proof.
  intros Ha Hb. eapply Rle_trans; [| apply kl_term; assumption].
  apply Rdiv_le_0_compat; [pose proof (pow2_ge_0 (a - b)); lra | lra].
Qed.

Lemma kl_as_terms n p q : sum n p = sum n q -> KL n p q = sum n (fun y => p y * (ln (p y) - ln (q y)) - p y + q y).
Proof. intro S. rewrite sum_plus, sum_minus, S. unfold KL. ring. Qed.

(** KL(p || q) >= 0. *)
Lemma kl_nonneg n p q : dist n p -> policy n q -> 0 <= KL n p q.
Proof.
  intros [Hp Sp] [Hq Sq]. rewrite kl_as_terms by lra. apply sum_nonneg. intros y Hy.
  apply kl_term_nonneg; [apply Hp | apply Hq]; exact Hy.
Qed.

(** KL(p || q) = 0 only if p = q. *)
Lemma kl_zero n p q : dist n p -> policy n q -> KL n p q = 0 -> same n p q.
Proof.
  intros [Hp Sp] [Hq Sq] E y Hy. rewrite kl_as_terms in E by lra.
  pose proof (kl_term (p y) (q y) (Hp y Hy) (Hq y Hy)) as L.
  assert (Z : p y * (ln (p y) - ln (q y)) - p y + q y = 0).
  { apply (sum_nonneg_zero n (fun y => p y * (ln (p y) - ln (q y)) - p y + q y)); [| exact E | exact Hy].
    intros z Hz. apply kl_term_nonneg; [apply Hp | apply Hq]; exact Hz. }
  rewrite Z in L. pose proof (Hp y Hy). pose proof (Hq y Hy).
  assert (0 < 2 * p y + 4 * q y) by lra.
  apply (Rmult_le_compat_r (2 * p y + 4 * q y)) in L; [| lra].
  replace (3 * (p y - q y) ^ 2 / (2 * p y + 4 * q y) * (2 * p y + 4 * q y)) with (3 * (p y - q y) ^ 2) in L by (field; lra).
  assert ((p y - q y) ^ 2 = 0) as K by (pose proof (pow2_ge_0 (p y - q y)); lra).
  assert (p y - q y = 0) by (apply Rsqr_0_uniq; unfold Rsqr; lra). lra.
Qed.

Lemma kl_same n p q p' q' : same n p p' -> same n q q' -> KL n p q = KL n p' q'.
Proof. intros H K. apply sum_ext. intros y Hy. rewrite H, K by exact Hy. reflexivity. Qed.

Lemma kl_self n p : KL n p p = 0.
Proof. rewrite <- (sum_zero n). apply sum_ext. intros; ring. Qed.

Lemma sym_kl_is_the_sum n p q : sym_kl n p q = KL n p q + KL n q p.
Proof. unfold sym_kl, KL. rewrite <- sum_plus. apply sum_ext. intros; ring. Qed.

Lemma sym_kl_nonneg n p q : policy n p -> policy n q -> 0 <= sym_kl n p q.
Proof.
  intros Hp Hq. rewrite sym_kl_is_the_sum.
  pose proof (kl_nonneg n p q (policy_dist n p Hp) Hq). pose proof (kl_nonneg n q p (policy_dist n q Hq) Hp). lra.
Qed.

Lemma sym_kl_zero n p q : policy n p -> policy n q -> sym_kl n p q = 0 -> same n p q.
Proof.
  intros Hp Hq E. rewrite sym_kl_is_the_sum in E.
  pose proof (kl_nonneg n p q (policy_dist n p Hp) Hq). pose proof (kl_nonneg n q p (policy_dist n q Hq) Hp).
  apply kl_zero; [apply policy_dist, Hp | exact Hq | lra].
Qed.

Lemma l1_nonneg n p q : 0 <= l1 n p q.
Proof. apply sum_nonneg. intros; apply Rabs_pos. Qed.

Lemma l1_sym n p q : l1 n p q = l1 n q p.
Proof. apply sum_ext. intros. apply Rabs_minus_sym. Qed.

Lemma l1_triangle n p q r : l1 n p r <= l1 n p q + l1 n q r.
Proof.
  unfold l1. rewrite <- sum_plus. apply sum_le. intros y _.
  replace (p y - r y) with ((p y - q y) + (q y - r y)) by ring. apply Rabs_triang.
Qed.

Lemma l1_same n p q p' q' : same n p p' -> same n q q' -> l1 n p q = l1 n p' q'.
Proof. intros H K. apply sum_ext. intros y Hy. rewrite H, K by exact Hy. reflexivity. Qed.

(** ** Gibbs policies *)

Section Gibbs.

Variables (n : nat) (mu : nat -> R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis mu_pos : forall y, (y < n)%nat -> 0 < mu y.

Lemma gibbs_norm_pos f : 0 < gibbs_norm n mu f.
Proof.
  apply sum_pos; [exact n_pos |]. intros y Hy. apply Rmult_lt_0_compat; [apply mu_pos, Hy | apply exp_pos].
Qed.

Lemma gibbs_policy f : policy n (gibbs n mu f).
Proof.
  pose proof (gibbs_norm_pos f) as Z. split.
  - intros y Hy. apply Rdiv_lt_0_compat; [| exact Z]. apply Rmult_lt_0_compat; [apply mu_pos, Hy | apply exp_pos].
  - unfold gibbs, Rdiv. rewrite sum_scal_r. fold (gibbs_norm n mu f). field. lra.
Qed.

Lemma gibbs_log f y : (y < n)%nat -> ln (gibbs n mu f y) = ln (mu y) + f y - ln (gibbs_norm n mu f).
Proof.
  intro Hy. pose proof (gibbs_norm_pos f). pose proof (mu_pos y Hy). pose proof (exp_pos (f y)).
  unfold gibbs. rewrite ln_div, ln_mult, ln_exp by (try assumption; nra). reflexivity.
Qed.

(** log p = log mu + f + const identifies the Gibbs policy. *)
Lemma gibbs_unique f p c : policy n p -> (forall y, (y < n)%nat -> ln (p y) = ln (mu y) + f y + c) ->
  same n p (gibbs n mu f).
Proof.
  intros [Hp Sp] H. pose proof (gibbs_norm_pos f) as Z.
  assert (E : forall y, (y < n)%nat -> p y = exp c * (mu y * exp (f y))).
  { intros y Hy. rewrite <- (exp_ln (p y)), H, !exp_plus, exp_ln by auto. ring. }
  assert (N : exp c * gibbs_norm n mu f = 1).
  { unfold gibbs_norm. rewrite <- sum_scal, <- Sp. apply sum_ext. intros y Hy. symmetry. apply E, Hy. }
  intros y Hy. rewrite E by exact Hy. unfold gibbs.
  replace (exp c) with (/ gibbs_norm n mu f); [unfold Rdiv; ring |].
  apply (Rmult_eq_reg_r (gibbs_norm n mu f)); [rewrite N; field; lra | lra].
Qed.

(** KL(p || gibbs(mu, f)) = KL(p || mu) - E_p f + log Z. *)
Lemma kl_gibbs f p : sum n p = 1 ->
  KL n p (gibbs n mu f) = KL n p mu - expect n p f + ln (gibbs_norm n mu f).
Proof.
  intro Sp. unfold KL, expect.
  rewrite <- (Rmult_1_l (ln (gibbs_norm n mu f))), <- Sp, <- sum_scal_r, <- sum_minus, <- sum_plus.
  apply sum_ext. intros y Hy. rewrite gibbs_log by exact Hy. ring.
Qed.

Lemma gibbs_ext f g : (forall y, (y < n)%nat -> f y = g y) -> same n (gibbs n mu f) (gibbs n mu g).
Proof.
  intros E. apply (gibbs_unique g (gibbs n mu f) (- ln (gibbs_norm n mu f))); [apply gibbs_policy |].
  intros y Hy. rewrite gibbs_log, E by exact Hy. ring.
Qed.

End Gibbs.

Lemma best_reply_policy n tau P mu nu : policy n mu -> policy n (best_reply n tau P mu nu).
Proof. intros Hmu. apply gibbs_policy; [apply (policy_n_pos n mu Hmu) | apply Hmu]. Qed.

Lemma best_reply_log n tau P mu nu y : policy n mu -> (y < n)%nat ->
  ln (best_reply n tau P mu nu y) = ln (mu y) + win n P nu y / tau - ln (gibbs_norm n mu (fun z => win n P nu z / tau)).
Proof. intros Hmu Hy. apply gibbs_log; [apply (policy_n_pos n mu Hmu) | apply Hmu | exact Hy]. Qed.

Lemma best_reply_same n tau P mu p q : policy n mu -> same n p q ->
  same n (best_reply n tau P mu p) (best_reply n tau P mu q).
Proof.
  intros Hmu E. apply gibbs_ext; [apply (policy_n_pos n mu Hmu) | apply Hmu |].
  intros y _. rewrite (win_same n P p q) by exact E. reflexivity.
Qed.

Lemma nash_policy n tau P mu q : policy n mu -> is_nash n tau P mu q -> policy n q.
Proof. intros Hmu H. apply (policy_same n (best_reply n tau P mu q)); [apply same_sym, H | apply best_reply_policy, Hmu]. Qed.

(** log m_beta = (1 - beta) log pi + beta log mu + const. *)
Lemma geo_mix_policy n beta mu pi : policy n mu -> policy n (geo_mix n beta mu pi).
Proof. intros Hmu. apply gibbs_policy; [apply (policy_n_pos n mu Hmu) | apply Hmu]. Qed.

Lemma geo_mix_log n beta mu pi : policy n mu -> exists c, forall y, (y < n)%nat ->
  ln (geo_mix n beta mu pi y) = (1 - beta) * ln (pi y) + beta * ln (mu y) + c.
Proof.
  intros Hmu. eexists. intros y Hy. unfold geo_mix.
  rewrite gibbs_log; [| apply (policy_n_pos n mu Hmu) | apply Hmu | exact Hy]. ring_simplify.
  instantiate (1 := - ln (gibbs_norm n mu (fun y => (1 - beta) * (ln (pi y) - ln (mu y))))). ring.
Qed.

(** The definition in powers: m_beta = pi^(1 - beta) mu^beta / sum of the same. *)
Lemma geo_mix_powers n beta mu pi y : policy n mu -> (y < n)%nat ->
  geo_mix n beta mu pi y =
    Rpower (pi y) (1 - beta) * Rpower (mu y) beta / sum n (fun z => Rpower (pi z) (1 - beta) * Rpower (mu z) beta).
Proof.
  intros Hmu Hy.
  assert (E : forall z, (z < n)%nat ->
    mu z * exp ((1 - beta) * (ln (pi z) - ln (mu z))) = Rpower (pi z) (1 - beta) * Rpower (mu z) beta).
  { intros z Hz. unfold Rpower. rewrite <- exp_plus, <- (exp_ln (mu z)) at 1 by (apply Hmu, Hz).
    rewrite <- exp_plus. f_equal. ring. }
  unfold geo_mix, gibbs, gibbs_norm. rewrite E, (sum_ext n _ _ E) by exact Hy. reflexivity.
Qed.

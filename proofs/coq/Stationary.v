(** * Stationary points of the losses (L3, L4, L6, L7, L9, L11-L14).

    The gradients are those of the tabular softmax, all n partial derivatives.  The samplers nu that
    depend on the policy are under stop-gradient: the loss is differentiated with nu fixed and the
    derivative is read at nu = nu(theta). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Gradients.
Open Scope R_scope.

(** ** Stationarity and Gibbs policies *)

(** Every partial derivative of L(log softmax(theta)) vanishes. *)
Definition stationary (n : nat) (L : (nat -> R) -> R) (theta : nat -> R) : Prop :=
  forall k, (k < n)%nat -> is_derive (fun t => L (log_softmax n (along theta k t))) 0 0.

Lemma stationary_field n L theta c nu G :
  c <> 0 -> (forall y, (y < n)%nat -> 0 < nu y) ->
  (forall k, (k < n)%nat -> is_derive (fun t => L (log_softmax n (along theta k t))) 0 (c * (nu k * G k))) ->
  stationary n L theta <-> (forall y, (y < n)%nat -> G y = 0).
Proof.
  intros Hc Hnu HD. split.
  - intros H y Hy. pose proof (is_derive_unique _ _ _ (H y Hy)) as E0.
    pose proof (is_derive_unique _ _ _ (HD y Hy)) as E1.
    pose proof (Hnu y Hy). assert (E : c * (nu y * G y) = 0) by (rewrite <- E0; symmetry; exact E1).
    apply Rmult_integral in E. destruct E as [E | E]; [lra |].
    apply Rmult_integral in E. destruct E; lra.
  - intros H k Hk. evar_last; [apply (HD k Hk) |]. rewrite (H k Hk). ring.
Qed.

Section Characterisation.

Variables (n : nat) (mu : nat -> R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis mu_pos : forall y, (y < n)%nat -> 0 < mu y.

(** pi is proportional to mu exp(f) iff log pi - log mu = f + const. *)
Lemma gibbs_characterised f lpi : sum n (fun y => exp (lpi y)) = 1 ->
  (forall y, (y < n)%nat -> exp (lpi y) = gibbs n mu f y) <->
  (exists c, forall y, (y < n)%nat -> logratio mu lpi y = f y + c).
Proof.
  intro Hs. split.
  - intro H. exists (- ln (gibbs_norm n mu f)). intros y Hy. unfold logratio.
    rewrite <- (ln_exp (lpi y)), (H y Hy), (gibbs_log n mu n_pos mu_pos) by exact Hy. ring.
  - intros [c H]. apply (gibbs_unique n mu n_pos mu_pos f (fun y => exp (lpi y)) c).
    + split; [intros; apply exp_pos | exact Hs].
    + intros y Hy. rewrite ln_exp. pose proof (H y Hy) as E. unfold logratio in E. lra.
Qed.

End Characterisation.

(** ** L3, L4: online and offline IPO *)

(** For any fixed sampling nu of full support the stationary point is the Gibbs policy of p(. > nu). *)
Theorem ipo_stationary n tau P mu nu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) -> (forall y, (y < n)%nat -> 0 < nu y) -> sum n nu = 1 ->
  stationary n (ipo_loss n tau P mu nu) theta <->
  (forall y, (y < n)%nat -> softmax n theta y = best_reply n tau P mu nu y).
Proof.
  intros Hn Ht HP Hmu Hnu Hs. set (h := logratio mu (log_softmax n theta)).
  rewrite (stationary_field n _ theta (- (4 / tau)) nu
             (fun k => win n P nu k - 1 / 2 - tau * (h k - expect n nu h))); [| | exact Hnu |].
  - unfold softmax, best_reply.
    rewrite (gibbs_characterised n mu Hn Hmu (fun y => win n P nu y / tau) (log_softmax n theta))
      by apply (softmax_sums n theta Hn).
    fold h. split.
    + intro H. exists (expect n nu h - 1 / (2 * tau)). intros y Hy. pose proof (H y Hy) as Hy0.
      apply (Rmult_eq_reg_l tau); [| exact Ht].
      replace (tau * (win n P nu y / tau + (expect n nu h - 1 / (2 * tau))))
        with (win n P nu y - 1 / 2 + tau * expect n nu h) by (field; exact Ht). lra.
    + intros [c H] y Hy.
      assert (E : expect n nu h = 1 / 2 / tau + c).
      { rewrite (expect_ext n nu h (fun y => / tau * win n P nu y + c)).
        - rewrite expect_plus, expect_scal, expect_const, expect_win_half by assumption. field. exact Ht.
        - intros z Hz. rewrite H by exact Hz. unfold Rdiv. ring. }
      rewrite E, (H y Hy). field. exact Ht.
  - apply Ropp_neq_0_compat. apply Rmult_integral_contrapositive; split; [lra | apply Rinv_neq_0_compat; exact Ht].
  - intros k Hk. apply (L1_covariance_softmax n tau P mu nu theta k Ht HP Hs Hk).
Qed.

(** L3 (paper Prop. 4.1).  pi is stationary for online IPO (nu = SG[pi]) iff it solves
    pi(y) proportional to mu(y) exp(p(y > pi) / tau), the equation of pi*_tau. *)
Theorem L3_online_ipo n tau P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) ->
  stationary n (ipo_loss n tau P mu (softmax n theta)) theta <-> is_nash n tau P mu (softmax n theta).
Proof.
  intros Hn Ht HP Hmu.
  apply ipo_stationary; try assumption; [intros; apply softmax_pos | apply softmax_sums; exact Hn].
Qed.

(** E_{nu x nu}[(a - a')(b - b')] = 2 Cov_nu(a, b). *)
Lemma pair_cov n nu a b : sum n nu = 1 ->
  pair_expect n nu (fun y y' => (a y - a y') * (b y - b y')) = 2 * Cov n nu a b.
Proof.
  intro Hn. rewrite (antisymmetric_kernel n nu b (fun y y' => a y - a y')) by (intros; ring).
  unfold Cov. f_equal.
  rewrite (expect_ext n nu _ (fun y => a y * b y - expect n nu a * b y)).
  - rewrite expect_minus, expect_scal. reflexivity.
  - intros y _. rewrite expect_minus, expect_const by exact Hn. fold (expect n nu a). ring.
Qed.

(** The offline IPO loss is a square around its optimum:
    IPO(pi) = IPO(pi_o) + E_{nu x nu}[(d - d_o)^2], pi_o proportional to mu exp(p(. > nu)/tau). *)
Lemma ipo_square n tau P mu nu lpi lo c : tau <> 0 -> is_pref n P -> sum n nu = 1 ->
  (forall y, (y < n)%nat -> logratio mu lo y = win n P nu y / tau + c) ->
  ipo_loss n tau P mu nu lpi = ipo_loss n tau P mu nu lo
    + pair_expect n nu (fun y y' => ((logratio mu lpi y - logratio mu lpi y') - (logratio mu lo y - logratio mu lo y')) ^ 2).
Proof.
  intros Ht HP Hn Hlo.
  set (h := logratio mu lpi). set (ho := logratio mu lo) in *.
  (* the linear part of IPO, for any log-ratio g, is that of the square: E[(2p - 1)(g - g')] =
    2 tau E[(ho - ho')(g - g')] *)
  assert (Lin : forall g, pair_expect n nu (fun y y' => (2 * P y y' - 1) * (g y - g y'))
                 = 2 * tau * pair_expect n nu (fun y y' => (ho y - ho y') * (g y - g y'))).
  { intro g. rewrite (antisymmetric_kernel n nu g (fun y y' => 2 * P y y' - 1)).
    2: { intros y y' Hy Hy'. pose proof (HP y y' Hy Hy'). lra. }
    rewrite (antisymmetric_kernel n nu g (fun y y' => ho y - ho y')) by (intros; ring).
    replace (2 * tau * (2 * expect n nu (fun y => g y * expect n nu (fun y' => ho y - ho y'))))
      with (2 * (2 * tau * expect n nu (fun y => g y * expect n nu (fun y' => ho y - ho y')))) by ring.
    f_equal. rewrite <- expect_scal. apply expect_ext. intros y Hy.
    replace (expect n nu (fun y' => 2 * P y y' - 1)) with (2 * win n P nu y - 1)
      by (rewrite expect_minus, expect_scal, expect_row, expect_const by exact Hn; reflexivity).
    rewrite expect_minus, expect_const by exact Hn.
    change (expect n nu (fun y0 => ho y0)) with (expect n nu ho).
    assert (E : expect n nu ho = 1 / 2 / tau + c).
    { rewrite (expect_ext n nu ho (fun y => / tau * win n P nu y + c)).
      - rewrite expect_plus, expect_scal, expect_const, expect_win_half by assumption. field. exact Ht.
      - intros z Hz. rewrite Hlo by exact Hz. unfold Rdiv. ring. }
    rewrite E, (Hlo y Hy). field. exact Ht. }
  (* expand both losses: p (d - k)^2 + (1 - p)(d + k)^2 = d^2 - 2 k (2 p - 1) d + k^2, k = 1/(2 tau) *)
  assert (Exp : forall lp, ipo_loss n tau P mu nu lp
    = pair_expect n nu (fun y y' => (logratio mu lp y - logratio mu lp y') * (logratio mu lp y - logratio mu lp y'))
      - / tau * pair_expect n nu (fun y y' => (2 * P y y' - 1) * (logratio mu lp y - logratio mu lp y'))
      + pair_expect n nu (fun _ _ => (1 / (2 * tau)) ^ 2)).
  { intro lp. unfold pair_expect. rewrite <- expect_scal, <- expect_minus, <- expect_plus. apply expect_ext.
    intros y _.
    rewrite <- expect_scal, <- expect_minus, <- expect_plus. apply expect_ext. intros y' _. simpl. field. exact Ht. }
  rewrite !Exp, !Lin. fold h ho.
  rewrite !pair_cov by exact Hn.
  assert (Sq : pair_expect n nu (fun y y' => (h y - h y' - (ho y - ho y')) ^ 2)
               = 2 * Cov n nu h h - 2 * (2 * Cov n nu ho h) + 2 * Cov n nu ho ho).
  { rewrite <- !pair_cov by exact Hn. unfold pair_expect.
    rewrite <- expect_scal, <- expect_minus, <- expect_plus. apply expect_ext. intros y _.
    rewrite <- expect_scal, <- expect_minus, <- expect_plus. apply expect_ext. intros y' _. ring. }
  rewrite Sq. field. exact Ht.
Qed.

(** L4.  Offline IPO, nu fixed with full support: the global optimum over all policies is unique,
    proportional to mu exp(p(. > nu)/tau). *)
Theorem L4_offline_optimum n tau P mu nu lpi lo : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) -> (forall y, (y < n)%nat -> 0 < nu y) -> sum n nu = 1 ->
  sum n (fun y => exp (lpi y)) = 1 ->
  (forall y, (y < n)%nat -> exp (lo y) = best_reply n tau P mu nu y) ->
  ipo_loss n tau P mu nu lo <= ipo_loss n tau P mu nu lpi /\
  (ipo_loss n tau P mu nu lpi = ipo_loss n tau P mu nu lo <->
   forall y, (y < n)%nat -> exp (lpi y) = best_reply n tau P mu nu y).
Proof.
  intros Hn Ht HP Hmu Hnu Hs Hlpi Hlo.
  assert (Hlo1 : sum n (fun y => exp (lo y)) = 1).
  { rewrite <- (proj2 (gibbs_policy n mu Hn Hmu (fun y => win n P nu y / tau))). apply sum_ext. exact Hlo. }
  destruct (proj1 (gibbs_characterised n mu Hn Hmu _ lo Hlo1) Hlo) as [c Hc].
  rewrite (ipo_square n tau P mu nu lpi lo c Ht HP Hs Hc).
  set (D := fun y y' => ((logratio mu lpi y - logratio mu lpi y') - (logratio mu lo y - logratio mu lo y')) ^ 2).
  assert (Row : forall y, (y < n)%nat -> 0 <= expect n nu (D y)).
  { intros y Hy. apply sum_nonneg. intros y' Hy'. apply Rmult_le_pos;
      [apply Rlt_le, Hnu; exact Hy' | apply pow2_ge_0]. }
  assert (Sq : 0 <= pair_expect n nu D).
  { apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [apply Rlt_le, Hnu; exact Hy | apply Row; exact Hy]. }
  split; [lra |]. unfold best_reply. rewrite (gibbs_characterised n mu Hn Hmu _ lpi Hlpi). split.
  - intro E. assert (Z : pair_expect n nu D = 0) by lra.
    assert (Dzero : forall y, (y < n)%nat -> D y 0%nat = 0).
    { intros y Hy. pose proof (Hnu y Hy).
      assert (Z1 : nu y * expect n nu (D y) = 0).
      { apply (sum_nonneg_zero n (fun y => nu y * expect n nu (D y))); [| exact Z | exact Hy].
        intros z Hz. apply Rmult_le_pos; [apply Rlt_le, Hnu; exact Hz | apply Row; exact Hz]. }
      apply Rmult_integral in Z1. destruct Z1 as [Z1 | Z1]; [lra |].
      assert (Z2 : nu 0%nat * D y 0%nat = 0).
      { apply (sum_nonneg_zero n (fun y' => nu y' * D y y')); [| exact Z1 | exact Hn].
        intros z Hz. apply Rmult_le_pos; [apply Rlt_le, Hnu; exact Hz | apply pow2_ge_0]. }
      apply Rmult_integral in Z2. pose proof (Hnu 0%nat Hn). destruct Z2; lra. }
    exists (c + logratio mu lpi 0%nat - logratio mu lo 0%nat). intros y Hy.
    pose proof (Dzero y Hy) as Hd. unfold D in Hd.
    assert (Hd1 : logratio mu lpi y - logratio mu lpi 0%nat - (logratio mu lo y - logratio mu lo 0%nat) = 0).
    { apply Rsqr_0_uniq. rewrite Rsqr_pow2. exact Hd. }
    rewrite Hc in Hd1 by exact Hy. lra.
  - intros [c' Hc']. rewrite <- (Rplus_0_r (ipo_loss n tau P mu nu lo)) at 2. f_equal.
    transitivity (pair_expect n nu (fun _ _ => 0)).
    + apply expect_ext. intros y Hy. apply expect_ext. intros y' Hy'. unfold D.
      rewrite !Hc, !Hc' by assumption. ring.
    + unfold pair_expect. rewrite !expect_const by exact Hs. reflexivity.
Qed.

(** L4 for n = 2: the optimum does not depend on nu. *)
Theorem L4_two_responses tau P mu nu nu' : is_pref 2 P ->
  (forall y, (y < 2)%nat -> 0 < mu y) -> sum 2 nu = 1 -> sum 2 nu' = 1 ->
  forall y, (y < 2)%nat -> best_reply 2 tau P mu nu y = best_reply 2 tau P mu nu' y.
Proof.
  intros HP Hmu Hnu Hnu' y Hy.
  assert (Hw : exists c, forall z, (z < 2)%nat -> win 2 P nu' z / tau = win 2 P nu z / tau + c).
  { exists ((win 2 P nu' 0 - win 2 P nu 0) / tau). intros z Hz.
    assert (E : win 2 P nu' z = win 2 P nu z + (win 2 P nu' 0 - win 2 P nu 0)).
    { pose proof (HP 0%nat 0%nat ltac:(lia) ltac:(lia)). pose proof (HP 1%nat 1%nat ltac:(lia) ltac:(lia)).
      pose proof (HP 0%nat 1%nat ltac:(lia) ltac:(lia)).
      unfold win in *; simpl in *. destruct z as [| [| z]]; [ring | | lia].
      replace (P 1%nat 0%nat) with (1 - P 0%nat 1%nat) by lra.
      replace (P 0%nat 0%nat) with (1 / 2) by lra. replace (P 1%nat 1%nat) with (1 / 2) by lra.
      replace (nu 1%nat) with (1 - nu 0%nat) by lra. replace (nu' 1%nat) with (1 - nu' 0%nat) by lra. field. }
    rewrite E. unfold Rdiv. ring. }
  destruct Hw as [c Hw]. unfold best_reply.
  assert (Hn : (0 < 2)%nat) by lia.
  set (lo := fun z => ln (best_reply 2 tau P mu nu z)).
  assert (He : forall z, (z < 2)%nat -> exp (lo z) = best_reply 2 tau P mu nu z)
    by (intros z Hz; apply exp_ln, (gibbs_policy 2 mu Hn Hmu); exact Hz).
  assert (Hs : sum 2 (fun z => exp (lo z)) = 1)
    by (rewrite (sum_ext 2 _ _ He); apply (gibbs_policy 2 mu Hn Hmu)).
  destruct (proj1 (gibbs_characterised 2 mu Hn Hmu _ lo Hs) He) as [c0 Hc0].
  rewrite <- (He y Hy) at 1.
  apply (proj2 (gibbs_characterised 2 mu Hn Hmu (fun z => win 2 P nu' z / tau) lo Hs)); [| exact Hy].
  exists (c0 - c). intros z Hz. rewrite (Hc0 z Hz), (Hw z Hz). ring.
Qed.

(** ** L6, L9: IPO-MD and Nash-MD-PG *)

(** Expected Nash-MD-PG(beta) direction for theta_k: y ~ pi, y' ~ m_beta, s(y)(P[y,y'] - 1/2 - tau h(y)). *)
Definition nash_md_pg n tau beta P mu theta k : R :=
  expect n (softmax n theta) (fun y => expect n (mixture n beta mu (log_softmax n theta)) (fun y' =>
    (delta k y - softmax n theta k) * (P y y' - 1 / 2 - tau * logratio mu (log_softmax n theta) y))).

(** L9.  Nash-MD-PG(beta) is the gradient of P(pi > SG[m_beta]) - tau KL(pi || mu). *)
Theorem L9_nash_md_pg n tau beta P mu theta k : (k < n)%nat ->
  is_derive (fun t => game_objective n tau P mu (mixture n beta mu (log_softmax n theta))
                        (log_softmax n (along theta k t))) 0
    (nash_md_pg n tau beta P mu theta k).
Proof.
  intro Hk. set (m := mixture n beta mu (log_softmax n theta)).
  assert (Hm : sum n m = 1) by (apply softmax_sums; lia).
  evar_last; [apply (game_gradient n tau P mu m _ _ _ (softmax_partial n theta k Hk)) |].
  unfold policy_at. rewrite along_0. unfold nash_md_pg. fold m.
  change (fun y => exp (log_softmax n theta y)) with (softmax n theta).
  set (pi := softmax n theta). set (h := logratio mu (log_softmax n theta)).
  transitivity (expect n pi (fun y => (delta k y - pi k) * advantage n tau P mu m (log_softmax n theta) y)
                - 1 / 2 * expect n pi (fun y => (delta k y - pi k))).
  - pose proof (score_mean_zero _ _ _ _ (softmax_partial n theta k Hk)) as Z.
    unfold policy_at in Z. rewrite along_0 in Z. fold (softmax n theta) in Z.
    change (expect n pi (fun y => delta k y - pi k) = 0) in Z. rewrite Z. ring.
  - rewrite <- expect_scal, <- expect_minus. apply expect_ext. intros y _.
    rewrite expect_scal, expect_minus, expect_minus, !expect_const, expect_row by exact Hm.
    unfold advantage. fold h. ring.
Qed.

(** beta = 0: the opponent is pi itself, self-play. *)
Lemma L9_mixture_0 n mu theta y : (0 < n)%nat -> mixture n 0 mu (log_softmax n theta) y = softmax n theta y.
Proof.
  intro Hn. unfold mixture. rewrite softmax_ratio by exact Hn.
  replace (partition n (mix_log_weight 0 mu (log_softmax n theta))) with 1.
  - unfold mix_log_weight, softmax. replace ((1 - 0) * log_softmax n theta y + 0 * ln (mu y)) with (log_softmax n theta y) by ring. field.
  - rewrite <- (softmax_sums n theta Hn). apply sum_ext. intros z _. unfold softmax, mix_log_weight. f_equal. ring.
Qed.

(** beta = 1: the opponent is mu, and the method seeks the best response to mu. *)
Lemma L9_mixture_1 n mu lpi y : (0 < n)%nat -> (forall z, (z < n)%nat -> 0 < mu z) -> sum n mu = 1 -> (y < n)%nat ->
  mixture n 1 mu lpi y = mu y.
Proof.
  intros Hn Hmu Hs Hy. unfold mixture. rewrite softmax_ratio by exact Hn.
  assert (E : forall z, (z < n)%nat -> exp (mix_log_weight 1 mu lpi z) = mu z).
  { intros z Hz. unfold mix_log_weight. replace ((1 - 1) * lpi z + 1 * ln (mu z)) with (ln (mu z)) by ring.
    apply exp_ln, Hmu; exact Hz. }
  unfold partition. rewrite (sum_ext n _ mu E), Hs, E by exact Hy. field.
Qed.

(** L8.  IPO-MD with the mixture taken towards a behaviour policy mu_b: at beta = 0 the sampler is pi
    (online IPO), at beta = 1 it is mu_b (offline IPO on mu_b). *)
Theorem L8_interpolation n tau P mu mub theta lpi : (0 < n)%nat -> policy n mub ->
  ipo_loss n tau P mu (mixture n 0 mub (log_softmax n theta)) lpi = ipo_loss n tau P mu (softmax n theta) lpi /\
  ipo_loss n tau P mu (mixture n 1 mub (log_softmax n theta)) lpi = ipo_loss n tau P mu mub lpi.
Proof.
  intros Hn [Hb Hs].
  assert (Ext : forall p q, same n p q -> ipo_loss n tau P mu p lpi = ipo_loss n tau P mu q lpi).
  { intros p q E. unfold ipo_loss, pair_expect. rewrite (expect_same n p q) by exact E.
    apply expect_ext. intros y _. apply expect_same. exact E. }
  split; apply Ext; intros y Hy; [apply L9_mixture_0; exact Hn | apply L9_mixture_1; assumption].
Qed.

(** L6 (paper eq. 13).  IPO-MD(beta) and Nash-MD-PG(beta) have the same stationary points:
    pi(y) proportional to mu(y) exp(p(y > m_beta(pi)) / tau). *)
Theorem L6_ipo_md n tau beta P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) ->
  let m := mixture n beta mu (log_softmax n theta) in
  stationary n (ipo_loss n tau P mu m) theta <->
  (forall y, (y < n)%nat -> softmax n theta y = best_reply n tau P mu m y).
Proof.
  intros Hn Ht HP Hmu m.
  apply ipo_stationary; try assumption; [intros; apply softmax_pos | apply softmax_sums; exact Hn].
Qed.

Theorem L6_nash_md_pg n tau beta P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) ->
  let m := mixture n beta mu (log_softmax n theta) in
  (forall k, (k < n)%nat -> nash_md_pg n tau beta P mu theta k = 0) <->
  (forall y, (y < n)%nat -> softmax n theta y = best_reply n tau P mu m y).
Proof.
  intros Hn Ht HP Hmu m. set (pi := softmax n theta). set (a := advantage n tau P mu m (log_softmax n theta)).
  assert (U : forall k, (k < n)%nat -> nash_md_pg n tau beta P mu theta k = pi k * (a k - expect n pi a)).
  { intros k Hk.
    pose proof (game_gradient n tau P mu m _ _ _ (softmax_partial n theta k Hk)) as G.
    pose proof (L9_nash_md_pg n tau beta P mu theta k Hk) as L. fold m in L.
    transitivity (expect n pi (fun y => (delta k y - pi k) * a y)).
    - unfold policy_at in G. rewrite along_0 in G.
      rewrite <- (is_derive_unique _ _ _ L). apply is_derive_unique. exact G.
    - unfold pi. rewrite softmax_score_average by exact Hk. ring. }
  unfold pi, softmax, best_reply. rewrite (gibbs_characterised n mu Hn Hmu _ (log_softmax n theta))
    by apply (softmax_sums n theta Hn).
  split.
  - intro H. exists (- (expect n pi a / tau)). intros y Hy.
    pose proof (H y Hy) as Hz. rewrite U in Hz by exact Hy.
    apply Rmult_integral in Hz. pose proof (softmax_pos n theta y).
    destruct Hz as [Hz | Hz]; [unfold pi in Hz; lra |].
    unfold a at 1, advantage in Hz. apply (Rmult_eq_reg_l tau); [| exact Ht].
    replace (tau * (win n P m y / tau + - (expect n pi a / tau))) with (win n P m y - expect n pi a)
      by (field; exact Ht).
    lra.
  - intros [c Hc] k Hk. rewrite U by exact Hk.
    assert (Ha : forall y, (y < n)%nat -> a y = - (tau * c)).
    { intros y Hy. unfold a, advantage. rewrite Hc by exact Hy. field. exact Ht. }
    rewrite (expect_ext n pi a (fun _ => - (tau * c)) Ha), expect_const, Ha
      by (try exact Hk; apply softmax_sums; exact Hn).
    ring.
Qed.

Corollary L6_same_stationary_points n tau beta P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) ->
  stationary n (ipo_loss n tau P mu (mixture n beta mu (log_softmax n theta))) theta <->
  (forall k, (k < n)%nat -> nash_md_pg n tau beta P mu theta k = 0).
Proof. intros. rewrite L6_ipo_md, L6_nash_md_pg by assumption. reflexivity. Qed.

(** ** L7: the mixture at the fixed point is a Nash equilibrium *)

(** The reference of L7 with a behaviour policy: proportional to mu^(1-beta) mu_b^beta. *)
Definition blended_reference beta (mu mub : nat -> R) (y : nat) : R :=
  exp ((1 - beta) * ln (mu y) + beta * ln (mub y)).

(** L7 (paper Prop. 5.2), with the mixture m proportional to pi^(1-beta) mu_b^beta.  If
    pi is proportional to mu exp(p(. > m)/tau) then m is the Nash equilibrium at temperature
    tau/(1-beta) for the reference proportional to mu^(1-beta) mu_b^beta. *)
Theorem L7_behaviour n tau beta P mu mub lpi : (0 < n)%nat -> tau <> 0 -> beta <> 1 ->
  (forall y, (y < n)%nat -> 0 < mu y) ->
  sum n (fun y => exp (lpi y)) = 1 ->
  let m := mixture n beta mub lpi in
  (forall y, (y < n)%nat -> exp (lpi y) = best_reply n tau P mu m y) ->
  is_nash n (tau / (1 - beta)) P (blended_reference beta mu mub) m.
Proof.
  intros Hn Ht Hb Hmu Hs m Hpi.
  destruct (proj1 (gibbs_characterised n mu Hn Hmu _ lpi Hs) Hpi) as [c Hc].
  unfold is_nash, best_reply, m at 1, mixture at 1, softmax at 1.
  apply (gibbs_characterised n (blended_reference beta mu mub) Hn);
    [intros; apply exp_pos | apply softmax_sums; exact Hn |].
  exists ((1 - beta) * c - ln (partition n (mix_log_weight beta mub lpi))). intros y Hy.
  pose proof (Hc y Hy) as H. unfold logratio in H.
  unfold logratio, blended_reference, log_softmax, mix_log_weight at 1. rewrite ln_exp.
  replace (lpi y) with (win n P m y / tau + c + ln (mu y)) by lra. field. split; [lra | exact Ht].
Qed.

(** Conversely every Nash equilibrium at tau/(1-beta) is such a mixture: of pi = BR_tau(m). *)
Theorem L7_converse n tau beta P mu mub m : (0 < n)%nat -> tau <> 0 -> beta <> 1 ->
  (forall y, (y < n)%nat -> 0 < mu y) -> (forall y, (y < n)%nat -> 0 < m y) -> sum n m = 1 ->
  is_nash n (tau / (1 - beta)) P (blended_reference beta mu mub) m ->
  forall y, (y < n)%nat -> mixture n beta mub (fun z => ln (best_reply n tau P mu m z)) y = m y.
Proof.
  intros Hn Ht Hb Hmu Hm Hs Hnash y Hy.
  set (lm := fun z => ln (m z)).
  assert (Em : forall z, (z < n)%nat -> exp (lm z) = m z) by (intros; apply exp_ln, Hm; assumption).
  set (lpi := fun z => ln (best_reply n tau P mu m z)).
  (* write m as a Gibbs policy over the weights of the mixture *)
  assert (Hb' : forall z, (z < n)%nat -> 0 < blended_reference beta mu mub z) by (intros; apply exp_pos).
  assert (S1 : sum n (fun z => exp (lm z)) = 1) by (rewrite (sum_ext n _ m Em); exact Hs).
  destruct (proj1 (gibbs_characterised n _ Hn Hb' _ lm S1)
             (fun z Hz => eq_trans (Em z Hz) (Hnash z Hz))) as [c Hc].
  set (w := mix_log_weight beta mub lpi).
  assert (D : exists e, forall z, (z < n)%nat -> lm z = w z + e).
  { exists (c + (1 - beta) * ln (gibbs_norm n mu (fun z => win n P m z / tau))). intros z Hz.
    pose proof (Hc z Hz) as H. unfold logratio, blended_reference in H. rewrite ln_exp in H.
    unfold w, mix_log_weight, lpi, best_reply. rewrite (gibbs_log n mu Hn Hmu) by exact Hz.
    replace (win n P m z / (tau / (1 - beta))) with ((1 - beta) * (win n P m z / tau)) in H by (field; split; lra).
    lra. }
  destruct D as [e De].
  unfold mixture. fold lpi w. rewrite softmax_ratio by exact Hn.
  assert (Ew : forall z, (z < n)%nat -> exp (w z) = exp (- e) * m z).
  { intros z Hz. rewrite <- (Em z Hz), <- exp_plus. f_equal. rewrite (De z Hz). ring. }
  unfold partition. rewrite (sum_ext n _ _ Ew), sum_scal, Hs, (Ew y Hy). pose proof (exp_pos (- e)). field. lra.
Qed.

(** L7 with mu_b = mu: m_beta(pi*_beta) is the Nash equilibrium at temperature tau/(1-beta). *)
Corollary L7_nash n tau beta P mu lpi : (0 < n)%nat -> tau <> 0 -> beta <> 1 ->
  (forall y, (y < n)%nat -> 0 < mu y) -> sum n (fun y => exp (lpi y)) = 1 ->
  let m := mixture n beta mu lpi in
  (forall y, (y < n)%nat -> exp (lpi y) = best_reply n tau P mu m y) ->
  is_nash n (tau / (1 - beta)) P mu m.
Proof.
  intros Hn Ht Hb Hmu Hs m Hpi y Hy.
  etransitivity; [apply (L7_behaviour n tau beta P mu mu lpi Hn Ht Hb Hmu Hs Hpi y Hy) |]. fold m.
  unfold best_reply, gibbs, gibbs_norm.
  assert (E : forall z, (z < n)%nat -> blended_reference beta mu mu z = mu z).
  { intros z Hz. unfold blended_reference. rewrite <- (exp_ln (mu z)) at 3 by (apply Hmu; exact Hz). f_equal. ring. }
  rewrite E by exact Hy. f_equal. apply sum_ext. intros z Hz. rewrite E by exact Hz. reflexivity.
Qed.

(** ** L11-L13: online DPO *)

Lemma dpo_residual_mean n tau P mu nu lpi : is_pref n P -> sum n nu = 1 ->
  expect n nu (dpo_residual n tau P mu nu lpi) = 0.
Proof.
  intros HP Hn. unfold dpo_residual. set (h := logratio mu lpi).
  rewrite expect_minus, expect_win_half by assumption.
  set (Q := fun y y' => sigmoid (tau * (h y - h y'))).
  rewrite (expect_ext n nu (fun y => expect n nu (fun y' => sigmoid (tau * (h y - h y')))) (win n Q nu)).
  - rewrite expect_win_half; [ring | | exact Hn]. intros y y' _ _. unfold Q.
    replace (tau * (h y' - h y)) with (- (tau * (h y - h y'))) by ring. rewrite sigmoid_opp. ring.
  - intros y _. symmetry. rewrite <- expect_row. reflexivity.
Qed.

(** DPO is stationary iff the residual p(y > nu) - E_nu sigma(tau(h(y) - h(y'))) vanishes everywhere. *)
Theorem dpo_stationary n tau P mu nu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < nu y) -> sum n nu = 1 ->
  stationary n (dpo_loss n tau P mu nu) theta <->
  (forall y, (y < n)%nat -> dpo_residual n tau P mu nu (log_softmax n theta) y = 0).
Proof.
  intros Hn Ht HP Hnu Hs. apply (stationary_field n _ theta (- (2 * tau)) nu); [lra | exact Hnu |].
  intros k Hk. evar_last; [apply (DPO_gradient n tau P mu nu _ _ _ HP Hs (softmax_partial n theta k Hk)) |].
  rewrite along_0, softmax_score_average, dpo_residual_mean by assumption. ring.
Qed.

(** L11 (paper Lemma F.5).  pi*_tau is stationary for online DPO iff
    p(y > pi) = sum_y' pi(y') sigma(p(y > pi) - p(y' > pi)) for every y. *)
Theorem L11_online_dpo n tau P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) ->
  let pi := softmax n theta in is_nash n tau P mu pi ->
  stationary n (dpo_loss n tau P mu pi) theta <->
  (forall y, (y < n)%nat -> win n P pi y = expect n pi (fun y' => sigmoid (win n P pi y - win n P pi y'))).
Proof.
  intros Hn Ht HP Hmu pi Hnash.
  destruct (proj1 (gibbs_characterised n mu Hn Hmu _ (log_softmax n theta) (softmax_sums n theta Hn)) Hnash) as [c Hc].
  unfold pi at 1. rewrite dpo_stationary; try assumption; [| intros; apply softmax_pos
    | apply softmax_sums; exact Hn].
  fold pi.
  assert (E : forall y, (y < n)%nat -> dpo_residual n tau P mu pi (log_softmax n theta) y
              = win n P pi y - expect n pi (fun y' => sigmoid (win n P pi y - win n P pi y'))).
  { intros y Hy. unfold dpo_residual. f_equal. apply expect_ext. intros y' Hy'. f_equal.
    rewrite !Hc by assumption. fold pi. field. exact Ht. }
  split; intros H y Hy; pose proof (H y Hy) as H'; [rewrite E in H' by exact Hy | rewrite E by exact Hy]; lra.
Qed.

(** sigma(x) = 1/2 + x has no root but 0 in [-1/2, 1/2]. *)
Lemma sigmoid_above_only_at_zero x : Rabs x <= 1 / 2 -> sigmoid x = 1 / 2 + x -> x = 0.
Proof.
  assert (Pos : forall z, 0 < z <= 1 / 2 -> sigmoid z < 1 / 2 + z).
  { intros z Hz. unfold sigmoid.
    assert (B : 1 + - z < exp (- z)) by (apply exp_ineq1; lra).
    apply (Rmult_lt_reg_r (1 + exp (- z))); [pose proof (exp_pos (- z)); lra |].
    rewrite Rinv_l by (pose proof (exp_pos (- z)); lra).
    assert (1 <= (1 / 2 + z) * (2 - z)) by nra. nra. }
  intros Hx E. apply Rabs_le_between in Hx.
  destruct (Rtotal_order x 0) as [L | [-> | G]]; [| reflexivity |].
  - pose proof (Pos (- x) ltac:(lra)) as H. rewrite sigmoid_opp in H. lra.
  - pose proof (Pos x ltac:(lra)). lra.
Qed.

(** L11 for n = 2 (paper Thm F.6): pi*_tau is stationary for online DPO iff p(1 > 2) = 1/2. *)
Theorem L11_two_responses tau P mu theta : tau <> 0 -> is_pref 2 P -> 0 <= P 0%nat 1%nat <= 1 ->
  (forall y, (y < 2)%nat -> 0 < mu y) ->
  let pi := softmax 2 theta in is_nash 2 tau P mu pi ->
  stationary 2 (dpo_loss 2 tau P mu pi) theta <-> P 0%nat 1%nat = 1 / 2.
Proof.
  intros Ht HP Hp Hmu pi Hnash. unfold pi at 1. rewrite L11_online_dpo by (try assumption; lia). fold pi.
  pose proof (HP 0%nat 0%nat ltac:(lia) ltac:(lia)) as H00. pose proof (HP 1%nat 1%nat ltac:(lia) ltac:(lia)) as H11.
  pose proof (HP 0%nat 1%nat ltac:(lia) ltac:(lia)) as H01.
  assert (Hs : pi 0%nat + pi 1%nat = 1) by (pose proof (softmax_sums 2 theta ltac:(lia)) as H; simpl in H; unfold pi;
    lra).
  assert (Hp1 : 0 < pi 1%nat) by apply softmax_pos.
  set (p := P 0%nat 1%nat) in *.
  assert (S0 : sigmoid 0 = 1 / 2) by (unfold sigmoid; rewrite Ropp_0, exp_0; field).
  assert (W0 : win 2 P pi 0%nat = 1 / 2 * pi 0%nat + p * pi 1%nat).
  { unfold win; simpl. fold p. replace (P 0%nat 0%nat) with (1 / 2) by lra. ring. }
  assert (W1 : win 2 P pi 1%nat = (1 - p) * pi 0%nat + 1 / 2 * pi 1%nat).
  { unfold win; simpl. replace (P 1%nat 0%nat) with (1 - p) by lra. replace (P 1%nat 1%nat) with (1 / 2) by lra.
    ring. }
  assert (D : win 2 P pi 0%nat - win 2 P pi 1%nat = p - 1 / 2).
  { rewrite W0, W1. replace (pi 1%nat) with (1 - pi 0%nat) by lra. field. }
  split.
  - intro H. pose proof (H 0%nat ltac:(lia)) as H0. unfold expect in H0; simpl in H0.
    rewrite D in H0. replace (win 2 P pi 0%nat - win 2 P pi 0%nat) with 0 in H0 by ring. rewrite S0, W0 in H0.
    assert (E : p = sigmoid (p - 1 / 2)) by (apply (Rmult_eq_reg_l (pi 1%nat)); lra).
    assert (p - 1 / 2 = 0); [| lra].
    apply sigmoid_above_only_at_zero; [apply Rabs_le; lra | rewrite <- E; ring].
  - intros Hh y Hy. unfold expect; simpl.
    assert (E : win 2 P pi 0%nat = 1 / 2 /\ win 2 P pi 1%nat = 1 / 2) by (rewrite W0, W1, Hh; split; lra).
    destruct E as [E0 E1].
    destruct y as [| [| y]]; [| | lia]; rewrite ?E0, ?E1, Rminus_eq_0, S0; lra.
Qed.

(** L12 (paper F.7).  Under Bradley-Terry, P = sigma(r_y - r_y'), the RLHF optimum, proportional to
    mu exp(r/tau), is stationary for DPO with every sampling nu of full support, online DPO included. *)
Theorem L12_bradley_terry n tau r mu nu theta : (0 < n)%nat -> tau <> 0 ->
  (forall y, (y < n)%nat -> 0 < mu y) -> (forall y, (y < n)%nat -> 0 < nu y) -> sum n nu = 1 ->
  (forall y, (y < n)%nat -> softmax n theta y = gibbs n mu (fun z => r z / tau) y) ->
  stationary n (dpo_loss n tau (fun y y' => sigmoid (r y - r y')) mu nu) theta.
Proof.
  intros Hn Ht Hmu Hnu Hs Hpi.
  destruct (proj1 (gibbs_characterised n mu Hn Hmu _ (log_softmax n theta) (softmax_sums n theta Hn)) Hpi) as [c Hc].
  apply dpo_stationary; try assumption.
  - intros y y' _ _. replace (r y' - r y) with (- (r y - r y')) by ring. rewrite sigmoid_opp. ring.
  - intros y Hy. unfold dpo_residual. rewrite <- expect_row, <- expect_minus.
    rewrite (expect_ext n nu _ (fun _ => 0)); [apply expect_const; exact Hs |].
    intros y' Hy'. rewrite !Hc by assumption.
    replace (tau * (r y / tau + c - (r y' / tau + c))) with (r y - r y') by (field; exact Ht). ring.
Qed.

(** Where mu itself ties with every response (A mu = 0), mu is the Nash equilibrium and DPO is
    stationary there. *)
Theorem L13_tied_reference n tau P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y, (y < n)%nat -> 0 < mu y) -> sum n mu = 1 ->
  (forall y, (y < n)%nat -> win n P mu y = 1 / 2) ->
  (forall y, (y < n)%nat -> softmax n theta y = mu y) ->
  is_nash n tau P mu (softmax n theta) /\ stationary n (dpo_loss n tau P mu (softmax n theta)) theta.
Proof.
  intros Hn Ht HP Hmu Hs Hw Hpi.
  assert (Hw' : forall y, (y < n)%nat -> win n P (softmax n theta) y = 1 / 2).
  { intros y Hy. rewrite <- (Hw y Hy). apply sum_ext. intros z Hz. rewrite Hpi by exact Hz. reflexivity. }
  assert (N : is_nash n tau P mu (softmax n theta)).
  { refine (proj2 (gibbs_characterised n mu Hn Hmu (fun y => win n P (softmax n theta) y / tau)
                     (log_softmax n theta) (softmax_sums n theta Hn)) _).
    exists (- (1 / 2 / tau)). intros y Hy. rewrite Hw' by exact Hy. unfold logratio.
    rewrite <- (ln_exp (log_softmax n theta y)). change (exp (log_softmax n theta y)) with (softmax n theta y).
    rewrite Hpi by exact Hy. ring. }
  split; [exact N |]. apply L11_online_dpo; try assumption.
  intros y Hy. rewrite (expect_ext n _ _ (fun _ => 1 / 2)).
  - rewrite expect_const by (apply softmax_sums; exact Hn). apply Hw'; exact Hy.
  - intros y' Hy'. rewrite !Hw', Rminus_eq_0 by assumption. unfold sigmoid. rewrite Ropp_0, exp_0. field.
Qed.

(** L13 (paper F.8).  Rock-paper-scissors, each response beating the next with probability p, uniform mu. *)
Definition rock_paper_scissors (p : R) (y y' : nat) : R :=
  match y, y' with
  | 0%nat, 1%nat | 1%nat, 2%nat | 2%nat, 0%nat => p
  | 1%nat, 0%nat | 2%nat, 1%nat | 0%nat, 2%nat => 1 - p
  | _, _ => 1 / 2
  end.

Corollary L13_rock_paper_scissors tau p : tau <> 0 ->
  let mu := fun _ => 1 / 3 in let theta := fun _ => 0 in
  is_nash 3 tau (rock_paper_scissors p) mu (softmax 3 theta) /\
  stationary 3 (dpo_loss 3 tau (rock_paper_scissors p) mu (softmax 3 theta)) theta.
Proof.
  intros Ht mu theta. apply L13_tied_reference; unfold mu; try (intros; lra); try lia; try assumption.
  - intros y y' Hy Hy'. destruct y as [| [| [| y]]]; try lia; destruct y' as [| [| [| y']]]; try lia; simpl; lra.
  - simpl; lra.
  - intros y Hy. unfold win. destruct y as [| [| [| y]]]; try lia; simpl; lra.
  - intros y _. rewrite softmax_ratio by lia. unfold partition, theta; simpl. rewrite exp_0. field.
Qed.

(** ** L14: a response that is never sampled is not determined *)

(** If nu(k) = 0, offline IPO and DPO (any GPO loss) do not change with theta_k. *)
Theorem L14_not_unique n tau P mu nu f theta k t : nu k = 0 ->
  gpo_loss n tau P mu nu f (log_softmax n (along theta k t)) = gpo_loss n tau P mu nu f (log_softmax n theta).
Proof.
  intro Hk.
  assert (Off : forall F G : nat -> R, (forall y, (y < n)%nat -> y <> k -> F y = G y) ->
    expect n nu F = expect n nu G).
  { intros F G H. apply sum_ext. intros y Hy. destruct (Nat.eq_dec y k) as [-> | E]; [rewrite Hk; ring |].
    rewrite H by assumption. reflexivity. }
  assert (D : forall y, y <> k -> along theta k t y = theta y).
  { intros y E. unfold along, delta. replace (Nat.eqb y k) with false;
      [ring | symmetry; apply Nat.eqb_neq; exact E]. }
  apply Off. intros y _ Ey. apply Off. intros y' _ Ey'. unfold logratio, log_softmax. rewrite !D by assumption.
  replace (theta y - ln (partition n (along theta k t)) - ln (mu y) - (theta y' - ln (partition n (along theta k t)) - ln (mu y')))
    with (theta y - ln (partition n theta) - ln (mu y) - (theta y' - ln (partition n theta) - ln (mu y'))) by ring.
  reflexivity.
Qed.

(** ... although theta_k moves the policy. *)
Theorem L14_policies_differ n theta k j t : (k < n)%nat -> (j < n)%nat -> j <> k -> t <> 0 ->
  ~ (softmax n (along theta k t) k = softmax n theta k /\ softmax n (along theta k t) j = softmax n theta j).
Proof.
  intros Hk Hj Hjk Ht [Ek Ej]. unfold softmax in Ek, Ej. apply exp_inv in Ek, Ej.
  unfold log_softmax, along at 1 in Ek. unfold log_softmax, along at 1 in Ej.
  unfold delta in Ek, Ej. rewrite Nat.eqb_refl in Ek.
  replace (Nat.eqb j k) with false in Ej by (symmetry; apply Nat.eqb_neq; exact Hjk). lra.
Qed.

(** ** L2: L1 needs the samples of pi itself *)

(** L2 (ii).  Rock-paper-scissors, pi = mu uniform (the equilibrium), samples from nu = (1/2, 1/4, 1/4):
    self-play's partial derivative in theta_2 vanishes, IPO's is 1/(8 tau).  No factor reconciles them. *)
Definition skewed_sampling (y : nat) : R := match y with O => 1 / 2 | _ => 1 / 4 end.

Theorem L2_other_sampling_fails tau : tau <> 0 ->
  let P := rock_paper_scissors 1 in let mu := fun _ => 1 / 3 in let theta := fun _ => 0 in
  is_derive (fun t => game_objective 3 tau P mu (softmax 3 theta) (log_softmax 3 (along theta 1 t))) 0 0 /\
  is_derive (fun t => ipo_loss 3 tau P mu skewed_sampling (log_softmax 3 (along theta 1 t))) 0 (1 / (8 * tau)).
Proof.
  intros Ht P mu theta.
  assert (HP : is_pref 3 P).
  { intros y y' Hy Hy'. unfold P. destruct y as [| [| [| y]]]; try lia; destruct y' as [| [| [| y']]]; try lia;
      simpl; lra. }
  assert (Hpi : forall y, softmax 3 theta y = 1 / 3).
  { intro y. rewrite softmax_ratio by lia. unfold partition, theta; simpl. rewrite exp_0. field. }
  assert (Hh : forall y, logratio mu (log_softmax 3 theta) y = 0).
  { intro y. unfold logratio. rewrite <- (ln_exp (log_softmax 3 theta y)). fold (softmax 3 theta y). rewrite Hpi.
    unfold mu. ring. }
  split.
  - evar_last; [apply (game_gradient 3 tau P mu _ _ _ _ (softmax_partial 3 theta 1 ltac:(lia))) |].
    unfold policy_at. rewrite along_0. unfold expect, advantage; simpl. rewrite !Hh.
    fold (softmax 3 theta 0) (softmax 3 theta 1) (softmax 3 theta 2). unfold win, P; simpl. rewrite !Hpi.
    unfold delta; simpl. field.
  - evar_last; [apply (L1_covariance_softmax 3 tau P mu skewed_sampling theta 1 Ht HP); [simpl; lra | lia] |].
    unfold expect; simpl. rewrite !Hh. unfold win, P; simpl. field. exact Ht.
Qed.

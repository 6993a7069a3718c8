(** * Expected gradients of the pairwise losses (section 3 of the theory).

    A parametrised policy enters through one real coordinate t of its parameters: [l t y] is
    log pi_t(y).  The derivative of l at t0 is the score s(y).  Samples are drawn from a policy nu
    under stop-gradient: nu is a constant of the differentiation. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game.
Open Scope R_scope.

(** ** Expectations *)

Lemma expect_swap n nu F :
  expect n nu (fun y => expect n nu (fun y' => F y y')) = expect n nu (fun y' => expect n nu (fun y => F y y')).
Proof.
  unfold expect.
  transitivity (sum n (fun y => sum n (fun y' => nu y * nu y' * F y y'))).
  { apply sum_ext. intros. rewrite <- sum_scal. apply sum_ext. intros. ring. }
  rewrite sum_swap. apply sum_ext. intros. rewrite <- sum_scal. apply sum_ext. intros. ring.
Qed.

(** y and y' drawn independently from nu. *)
Definition pair_expect (n : nat) (nu : nat -> R) (F : nat -> nat -> R) : R :=
  expect n nu (fun y => expect n nu (fun y' => F y y')).

Definition Cov (n : nat) (nu f g : nat -> R) : R :=
  expect n nu (fun y => f y * g y) - expect n nu f * expect n nu g.

(** Summation by parts for an antisymmetric kernel. *)
Lemma antisymmetric_kernel n nu s K :
  (forall y y', (y < n)%nat -> (y' < n)%nat -> K y' y = - K y y') ->
  pair_expect n nu (fun y y' => K y y' * (s y - s y')) =
  2 * expect n nu (fun y => s y * expect n nu (fun y' => K y y')).
Proof.
  intro HK. unfold pair_expect.
  set (I := expect n nu (fun y => s y * expect n nu (fun y' => K y y'))).
  assert (E1 : expect n nu (fun y => expect n nu (fun y' => K y y' * s y)) = I).
  { apply expect_ext. intros y _. rewrite <- expect_scal. apply expect_ext. intros; ring. }
  assert (E2 : expect n nu (fun y => expect n nu (fun y' => K y y' * s y')) = - I).
  { rewrite expect_swap. unfold I.
    replace (- expect n nu (fun y => s y * expect n nu (fun y' => K y y')))
      with ((-1) * expect n nu (fun y => s y * expect n nu (fun y' => K y y'))) by ring.
    rewrite <- expect_scal. apply expect_ext. intros y Hy.
    rewrite <- Rmult_assoc, <- expect_scal. apply expect_ext. intros y' Hy'.
    rewrite (HK y y') by assumption. ring. }
  transitivity (expect n nu (fun y => expect n nu (fun y' => K y y' * s y))
                - expect n nu (fun y => expect n nu (fun y' => K y y' * s y'))).
  { rewrite <- expect_minus. apply expect_ext. intros y _. rewrite <- expect_minus.
    apply expect_ext. intros; ring. }
  rewrite E1, E2. ring.
Qed.

(** ** Derivatives of finite sums *)

Lemma is_derive_sum n (F : nat -> R -> R) (d : nat -> R) t0 :
  (forall y, (y < n)%nat -> is_derive (F y) t0 (d y)) ->
  is_derive (fun t => sum n (fun y => F y t)) t0 (sum n d).
Proof.
  induction n as [| n IH]; intro H; simpl.
  - apply (is_derive_const 0).
  - apply (is_derive_plus (fun t => sum n (fun y => F y t)) (F n)); [apply IH |]; intros; apply H; lia.
Qed.

Lemma is_derive_expect n nu (F : nat -> R -> R) (d : nat -> R) t0 :
  (forall y, (y < n)%nat -> is_derive (F y) t0 (d y)) ->
  is_derive (fun t => expect n nu (fun y => F y t)) t0 (expect n nu d).
Proof.
  intro H. apply (is_derive_sum n (fun y t => nu y * F y t) (fun y => nu y * d y)).
  intros y Hy. apply is_derive_scal. apply H; exact Hy.
Qed.

Lemma is_derive_pair_expect n nu (F : nat -> nat -> R -> R) (d : nat -> nat -> R) t0 :
  (forall y y', (y < n)%nat -> (y' < n)%nat -> is_derive (F y y') t0 (d y y')) ->
  is_derive (fun t => pair_expect n nu (fun y y' => F y y' t)) t0 (pair_expect n nu d).
Proof.
  intro H. apply (is_derive_expect n nu (fun y t => expect n nu (fun y' => F y y' t))).
  intros y Hy. apply is_derive_expect. intros y' Hy'. apply H; assumption.
Qed.

(** ** Parametrised policies and scores *)

(** A smooth coordinate of a parametrisation: log pi_t(y) is differentiable at t0 with derivative s(y),
    and pi_t is a probability vector for t near t0.  Full support is built in: pi_t = exp(l t). *)
Record smooth_policy (n : nat) (l : R -> nat -> R) (t0 : R) (s : nat -> R) : Prop := {
  score_is : forall y, (y < n)%nat -> is_derive (fun t => l t y) t0 (s y);
  normalised : locally t0 (fun t => sum n (fun y => exp (l t y)) = 1)
}.

Definition policy_at (l : R -> nat -> R) (t : R) (y : nat) : R := exp (l t y).

Lemma policy_sums n l t0 s : smooth_policy n l t0 s -> sum n (policy_at l t0) = 1.
Proof. intros [_ H]. exact (locally_singleton _ _ H). Qed.

Lemma is_derive_policy n l t0 s y : smooth_policy n l t0 s -> (y < n)%nat ->
  is_derive (fun t => policy_at l t y) t0 (policy_at l t0 y * s y).
Proof.
  intros [Hs _] Hy. unfold policy_at.
  evar_last; [apply (is_derive_comp exp (fun t => l t y) t0 (exp (l t0 y)) (s y)) |].
  - apply is_derive_exp.
  - apply Hs; exact Hy.
  - unfold scal; simpl; unfold mult; simpl; ring.
Qed.

(** E_pi[s] = 0. *)
Lemma score_mean_zero n l t0 s : smooth_policy n l t0 s -> expect n (policy_at l t0) s = 0.
Proof.
  intro H.
  assert (D : is_derive (fun t => sum n (fun y => policy_at l t y)) t0 (expect n (policy_at l t0) s)).
  { unfold expect. apply (is_derive_sum n (fun y t => policy_at l t y)). intros; eapply is_derive_policy; eauto. }
  assert (Z : is_derive (fun t => sum n (fun y => policy_at l t y)) t0 0).
  { apply (is_derive_ext_loc (fun _ => 1)); [| apply (is_derive_const 1)].
    destruct H as [_ H]. revert H. apply filter_imp. intros t Ht. symmetry. exact Ht. }
  rewrite <- (is_derive_unique _ _ _ D). apply is_derive_unique. exact Z.
Qed.

(** ** The loss family *)

(** Log-ratio h = log pi - log mu, for a log-policy. *)
Definition logratio (mu lpi : nat -> R) (y : nat) : R := lpi y - ln (mu y).

(** GPO(f): p f(tau d) + (1 - p) f(-tau d), d = h(y) - h(y'), averaged over y, y' ~ nu. *)
Definition gpo_loss n tau (P : nat -> nat -> R) mu nu f (lpi : nat -> R) : R :=
  pair_expect n nu (fun y y' =>
    let d := logratio mu lpi y - logratio mu lpi y' in
    P y y' * f (tau * d) + (1 - P y y') * f (- (tau * d))).

(** IPO: p (d - 1/(2 tau))^2 + (1 - p) (-d - 1/(2 tau))^2. *)
Definition ipo_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R :=
  pair_expect n nu (fun y y' =>
    let d := logratio mu lpi y - logratio mu lpi y' in
    P y y' * (d - 1 / (2 * tau)) ^ 2 + (1 - P y y') * (- d - 1 / (2 * tau)) ^ 2).

Definition sigmoid (x : R) : R := / (1 + exp (- x)).

(** DPO: -p log sigma(tau d) - (1 - p) log sigma(-tau d). *)
Definition dpo_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R :=
  pair_expect n nu (fun y y' =>
    let d := logratio mu lpi y - logratio mu lpi y' in
    - P y y' * ln (sigmoid (tau * d)) - (1 - P y y') * ln (sigmoid (- (tau * d)))).

(** SLiC: p max(0, 1 - tau d) + (1 - p) max(0, 1 + tau d). *)
Definition slic_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R :=
  pair_expect n nu (fun y y' =>
    let d := logratio mu lpi y - logratio mu lpi y' in
    P y y' * Rmax 0 (1 - tau * d) + (1 - P y y') * Rmax 0 (1 + tau * d)).

(** ** The general gradient *)

(** GPO(f): the gradient is 2 tau E_nu[ s(y) E_nu'[ p f'(tau d) - (1 - p) f'(-tau d) ] ], for every
    parametrisation, every sampling nu, every f differentiable where it is evaluated. *)
Theorem GPO_gradient n tau P mu nu f f' l t0 s :
  is_pref n P -> smooth_policy n l t0 s ->
  (forall y y', (y < n)%nat -> (y' < n)%nat ->
     let x := tau * (logratio mu (l t0) y - logratio mu (l t0) y') in is_derive f x (f' x)) ->
  is_derive (fun t => gpo_loss n tau P mu nu f (l t)) t0
    (2 * tau * expect n nu (fun y => s y * expect n nu (fun y' =>
       let x := tau * (logratio mu (l t0) y - logratio mu (l t0) y') in
       P y y' * f' x - (1 - P y y') * f' (- x)))).
Proof.
  intros HP [Hs _] Hf.
  set (x := fun y y' => tau * (logratio mu (l t0) y - logratio mu (l t0) y')).
  set (K := fun y y' => P y y' * f' (x y y') - (1 - P y y') * f' (- x y y')).
  assert (xopp : forall y y', - x y y' = x y' y) by (intros; unfold x; ring).
  assert (HK : forall y y', (y < n)%nat -> (y' < n)%nat -> K y' y = - K y y').
  { intros y y' Hy Hy'. unfold K. rewrite !xopp. pose proof (HP y y' Hy Hy').
    replace (P y' y) with (1 - P y y') by lra. ring. }
  evar_last.
  - apply (is_derive_pair_expect n nu _ (fun y y' => tau * (K y y' * (s y - s y')))).
    intros y y' Hy Hy'.
    assert (Dx : is_derive (fun t => tau * (logratio mu (l t) y - logratio mu (l t) y')) t0
                   (tau * (s y - s y'))).
    { apply (is_derive_scal (fun t => logratio mu (l t) y - logratio mu (l t) y')). unfold logratio.
      evar_last; [apply (is_derive_minus (fun t => l t y - ln (mu y)) (fun t => l t y' - ln (mu y'))) |].
      - apply (is_derive_minus (fun t => l t y)); [apply Hs; exact Hy | apply (is_derive_const (ln (mu y)))].
      - apply (is_derive_minus (fun t => l t y')); [apply Hs; exact Hy' | apply (is_derive_const (ln (mu y')))].
      - unfold minus, plus, opp, zero; simpl; ring. }
    evar_last.
    + apply (is_derive_plus
        (fun t => P y y' * f (tau * (logratio mu (l t) y - logratio mu (l t) y')))
        (fun t => (1 - P y y') * f (- (tau * (logratio mu (l t) y - logratio mu (l t) y'))))).
      * apply is_derive_scal.
        apply (is_derive_comp f); [apply (Hf y y' Hy Hy') | exact Dx].
      * apply is_derive_scal.
        apply (is_derive_comp f); [| apply (is_derive_opp _ _ _ Dx)].
        fold (x y y'). rewrite xopp. apply (Hf y' y Hy' Hy).
    + unfold K, x, plus, opp, scal; simpl; unfold mult; simpl. ring_simplify.
      replace (tau * (logratio mu (l t0) y' - logratio mu (l t0) y))
        with (- (tau * (logratio mu (l t0) y - logratio mu (l t0) y'))) by ring. ring.
  - unfold pair_expect.
    transitivity (tau * pair_expect n nu (fun y y' => K y y' * (s y - s y'))).
    + unfold pair_expect. rewrite <- expect_scal. apply expect_ext. intros y _.
      rewrite <- expect_scal. reflexivity.
    + rewrite (antisymmetric_kernel n nu s K HK). unfold K, x. ring.
Qed.

(** ** IPO *)

Lemma expect_row n P nu y : expect n nu (P y) = win n P nu y.
Proof. apply sum_ext. intros; ring. Qed.

(** P(nu > nu) = 1/2. *)
Lemma expect_win_half n P nu : is_pref n P -> sum n nu = 1 -> expect n nu (win n P nu) = 1 / 2.
Proof.
  intros HP Hn. set (T := pair_expect n nu P).
  assert (E : expect n nu (win n P nu) = T).
  { apply expect_ext. intros y _. symmetry. apply expect_row. }
  assert (S : T + T = 1).
  { transitivity (pair_expect n nu (fun y y' => P y y' + P y' y)).
    - replace (T + T) with (T + pair_expect n nu (fun y y' => P y' y))
        by (f_equal; unfold T, pair_expect; apply expect_swap).
      unfold T, pair_expect. rewrite <- expect_plus. apply expect_ext. intros y _.
      rewrite <- expect_plus. reflexivity.
    - transitivity (pair_expect n nu (fun _ _ => 1)).
      + apply expect_ext. intros y Hy. apply expect_ext. intros y' Hy'. apply HP; assumption.
      + unfold pair_expect. rewrite !expect_const by exact Hn. reflexivity. }
  rewrite E. lra.
Qed.

(** IPO is GPO(f) with f(u) = ((u - 1/2) / tau)^2. *)
Lemma ipo_is_gpo n tau P mu nu lpi : tau <> 0 ->
  ipo_loss n tau P mu nu lpi = gpo_loss n tau P mu nu (fun u => ((u - 1 / 2) / tau) ^ 2) lpi.
Proof.
  intro Ht. apply expect_ext. intros y _. apply expect_ext. intros y' _. simpl. field. exact Ht.
Qed.

(** The field of the theory, p(y > nu) - tau h(y). *)
Definition advantage n tau P mu nu (lpi : nat -> R) (y : nat) : R :=
  win n P nu y - tau * logratio mu lpi y.

(** Covariance identity, any sampling nu: grad IPO = -(4/tau) Cov_nu(s, p(. > nu) - tau h). *)
Theorem L1_covariance n tau P mu nu l t0 s :
  tau <> 0 -> is_pref n P -> sum n nu = 1 -> smooth_policy n l t0 s ->
  is_derive (fun t => ipo_loss n tau P mu nu (l t)) t0
    (- (4 / tau) * Cov n nu s (advantage n tau P mu nu (l t0))).
Proof.
  intros Ht HP Hn Hl.
  apply (is_derive_ext (fun t => gpo_loss n tau P mu nu (fun u => ((u - 1 / 2) / tau) ^ 2) (l t))).
  { intro t. symmetry. apply ipo_is_gpo. exact Ht. }
  evar_last.
  - apply (GPO_gradient n tau P mu nu _ (fun u => 2 * (u - 1 / 2) / tau ^ 2) l t0 s HP Hl).
    intros y y' _ _ x. auto_derive; [exact I | field; exact Ht].
  - simpl. set (h := logratio mu (l t0)).
    assert (Inner : forall y, (y < n)%nat ->
      expect n nu (fun y' => P y y' * (2 * (tau * (h y - h y') - 1 / 2) / (tau * (tau * 1)))
                             - (1 - P y y') * (2 * (- (tau * (h y - h y')) - 1 / 2) / (tau * (tau * 1))))
      = 2 / tau ^ 2 * (tau * h y - tau * expect n nu h + 1 / 2 - win n P nu y)).
    { intros y _.
      transitivity (expect n nu (fun y' => 2 / tau ^ 2 * (((tau * h y + 1 / 2) - tau * h y') - P y y'))).
      - apply expect_ext. intros y' _. field. exact Ht.
      - rewrite expect_scal, !expect_minus, expect_const, expect_scal by exact Hn.
        rewrite expect_row. ring. }
    rewrite (expect_ext n nu _ (fun y => (- (2 / tau ^ 2)) * (s y * advantage n tau P mu nu (l t0) y)
               + (2 / tau ^ 2 * (1 / 2 - tau * expect n nu h)) * s y)).
    2: { intros y Hy. rewrite Inner by exact Hy. unfold advantage. fold h. ring. }
    rewrite expect_plus, !expect_scal. unfold Cov.
    assert (EA : expect n nu (advantage n tau P mu nu (l t0)) = 1 / 2 - tau * expect n nu h).
    { unfold advantage. rewrite expect_minus, expect_scal, expect_win_half by assumption. reflexivity. }
    rewrite EA. field. exact Ht.
Qed.

(** The same with the centred field: -(4/tau) E_nu[ s (p(. > nu) - 1/2 - tau (h - E_nu h)) ]. *)
Lemma cov_advantage n tau P mu nu lpi s : is_pref n P -> sum n nu = 1 ->
  Cov n nu s (advantage n tau P mu nu lpi) =
  expect n nu (fun y => s y * (win n P nu y - 1 / 2 - tau * (logratio mu lpi y - expect n nu (logratio mu lpi)))).
Proof.
  intros HP Hn. unfold Cov.
  assert (EA : expect n nu (advantage n tau P mu nu lpi) = 1 / 2 - tau * expect n nu (logratio mu lpi)).
  { unfold advantage. rewrite expect_minus, expect_scal, expect_win_half by assumption. reflexivity. }
  rewrite EA, Rmult_comm, <- expect_scal, <- expect_minus. apply expect_ext. intros y _.
  unfold advantage. ring.
Qed.

(** ** L1: online IPO is self-play *)

(** P(pi > nu) - tau KL(pi || mu), the opponent nu held fixed. *)
Definition game_objective n tau P mu nu (lpi : nat -> R) : R :=
  let pi := fun y => exp (lpi y) in beats n P pi nu - tau * KL n pi mu.

(** grad [P(pi > nu) - tau KL(pi || mu)] = E_pi[ s (p(. > nu) - tau h) ]. *)
Lemma game_gradient n tau P mu nu l t0 s : smooth_policy n l t0 s ->
  is_derive (fun t => game_objective n tau P mu nu (l t)) t0
    (expect n (policy_at l t0) (fun y => s y * advantage n tau P mu nu (l t0) y)).
Proof.
  intro Hl. pose proof (score_mean_zero _ _ _ _ Hl) as Hz.
  apply (is_derive_ext (fun t => expect n (policy_at l t) (win n P nu) - tau * expect n (policy_at l t) (logratio mu (l t)))).
  { intro t. unfold game_objective, beats, KL. f_equal. f_equal. apply sum_ext. intros y _.
    rewrite ln_exp. reflexivity. }
  evar_last.
  - apply (is_derive_minus (fun t => expect n (policy_at l t) (win n P nu))
             (fun t => tau * expect n (policy_at l t) (logratio mu (l t)))).
    + apply (is_derive_sum n (fun y t => policy_at l t y * win n P nu y)
               (fun y => win n P nu y * (policy_at l t0 y * s y))).
      intros y Hy. apply (is_derive_ext (fun t => win n P nu y * policy_at l t y)); [intro; apply Rmult_comm |].
      apply is_derive_scal. eapply is_derive_policy; eauto.
    + apply is_derive_scal.
      apply (is_derive_sum n (fun y t => policy_at l t y * logratio mu (l t) y)
               (fun y => policy_at l t0 y * s y * logratio mu (l t0) y + policy_at l t0 y * s y)).
      intros y Hy. evar_last.
      * apply (is_derive_mult (fun t => policy_at l t y) (fun t => logratio mu (l t) y)).
        -- eapply is_derive_policy; eauto.
        -- unfold logratio. apply (is_derive_minus (fun t => l t y)).
           ++ apply (score_is _ _ _ _ Hl); exact Hy.
           ++ apply (is_derive_const (ln (mu y))).
        -- intros; apply Rmult_comm.
      * unfold minus, plus, opp, zero, mult; simpl. unfold minus, plus, opp, zero, mult; simpl. ring.
  - rewrite sum_plus. change (sum n (fun y => policy_at l t0 y * s y)) with (expect n (policy_at l t0) s).
    rewrite Hz. unfold minus, plus, opp; simpl. rewrite Rplus_0_r.
    unfold expect. rewrite <- sum_scal. 
    transitivity (sum n (fun y => win n P nu y * (policy_at l t0 y * s y)
                     - tau * (policy_at l t0 y * s y * logratio mu (l t0) y))).
    + rewrite sum_minus. reflexivity.
    + apply sum_ext. intros y _. unfold advantage. ring.
Qed.

(** L1 (paper Prop. 4.2).  With y, y' ~ SG[pi]: grad IPO = -(4/tau) grad[P(pi > SG pi) - tau KL(pi || mu)],
    for every smooth parametrisation, P, mu and tau. *)
Theorem L1_equivalence n tau P mu l t0 s :
  tau <> 0 -> is_pref n P -> smooth_policy n l t0 s ->
  exists g,
    is_derive (fun t => game_objective n tau P mu (policy_at l t0) (l t)) t0 g /\
    is_derive (fun t => ipo_loss n tau P mu (policy_at l t0) (l t)) t0 (- (4 / tau) * g).
Proof.
  intros Ht HP Hl. eexists. split; [apply game_gradient; exact Hl |].
  pose proof (policy_sums _ _ _ _ Hl) as Hn.
  evar_last; [apply (L1_covariance _ _ _ _ _ _ _ _ Ht HP Hn Hl) |].
  unfold Cov. rewrite (score_mean_zero _ _ _ _ Hl). ring.
Qed.

Corollary L1_equivalence_Derive n tau P mu l t0 s :
  tau <> 0 -> is_pref n P -> smooth_policy n l t0 s ->
  Derive (fun t => ipo_loss n tau P mu (policy_at l t0) (l t)) t0
  = - (4 / tau) * Derive (fun t => game_objective n tau P mu (policy_at l t0) (l t)) t0.
Proof.
  intros Ht HP Hl. destruct (L1_equivalence n tau P mu l t0 s Ht HP Hl) as [g [Hg Hi]].
  transitivity (- (4 / tau) * g); [exact (is_derive_unique _ _ _ Hi) |].
  f_equal. symmetry. exact (is_derive_unique _ _ _ Hg).
Qed.

(** ** DPO *)

Lemma one_plus_exp_pos x : 0 < 1 + exp x.
Proof. pose proof (exp_pos x). lra. Qed.

Lemma sigmoid_opp x : sigmoid (- x) = 1 - sigmoid x.
Proof.
  unfold sigmoid. rewrite Ropp_involutive, exp_Ropp.
  pose proof (exp_pos x). field. split; lra.
Qed.

Lemma log_sigmoid x : - ln (sigmoid x) = ln (1 + exp (- x)).
Proof. unfold sigmoid. rewrite ln_Rinv by apply one_plus_exp_pos. ring. Qed.

(** DPO is GPO(f) with f(u) = log(1 + e^-u). *)
Lemma dpo_is_gpo n tau P mu nu lpi :
  dpo_loss n tau P mu nu lpi = gpo_loss n tau P mu nu (fun u => ln (1 + exp (- u))) lpi.
Proof.
  apply expect_ext. intros y _. apply expect_ext. intros y' _. simpl.
  rewrite <- !log_sigmoid. ring.
Qed.

(** The DPO residual p(y > nu) - E_nu sigma(tau (h(y) - h(y'))). *)
Definition dpo_residual n tau P mu nu (lpi : nat -> R) (y : nat) : R :=
  win n P nu y - expect n nu (fun y' => sigmoid (tau * (logratio mu lpi y - logratio mu lpi y'))).

(** grad DPO = -2 tau E_nu[ s (p(. > nu) - E_nu' sigma(tau (h - h'))) ]. *)
Theorem DPO_gradient n tau P mu nu l t0 s :
  is_pref n P -> sum n nu = 1 -> smooth_policy n l t0 s ->
  is_derive (fun t => dpo_loss n tau P mu nu (l t)) t0
    (- (2 * tau) * expect n nu (fun y => s y * dpo_residual n tau P mu nu (l t0) y)).
Proof.
  intros HP Hn Hl.
  apply (is_derive_ext (fun t => gpo_loss n tau P mu nu (fun u => ln (1 + exp (- u))) (l t))).
  { intro t. symmetry. apply dpo_is_gpo. }
  evar_last.
  - apply (GPO_gradient n tau P mu nu _ (fun u => - sigmoid (- u)) l t0 s HP Hl).
    intros y y' _ _ x. pose proof (exp_pos (- x)).
    auto_derive; [lra |]. unfold sigmoid. rewrite Ropp_involutive, exp_Ropp.
    pose proof (exp_pos x). field. split; lra.
  - cbv zeta. set (r := dpo_residual n tau P mu nu (l t0)).
    replace (- (2 * tau) * expect n nu (fun y => s y * r y))
      with (2 * tau * ((-1) * expect n nu (fun y => s y * r y))) by ring.
    f_equal. rewrite <- expect_scal. apply expect_ext. intros y _.
    replace (-1 * (s y * r y)) with (s y * ((-1) * r y)) by ring. f_equal.
    unfold r, dpo_residual. rewrite <- expect_row, <- expect_minus, <- expect_scal.
    apply expect_ext. intros y' _. rewrite Ropp_involutive, sigmoid_opp. ring.
Qed.

(** ** Tabular softmax *)

Definition partition n (theta : nat -> R) : R := sum n (fun y => exp (theta y)).
Definition log_softmax n (theta : nat -> R) (y : nat) : R := theta y - ln (partition n theta).
Definition softmax n (theta : nat -> R) (y : nat) : R := exp (log_softmax n theta y).

Lemma partition_pos n theta : (0 < n)%nat -> 0 < partition n theta.
Proof. intro Hn. apply sum_pos; [exact Hn | intros; apply exp_pos]. Qed.

Lemma softmax_ratio n theta y : (0 < n)%nat -> softmax n theta y = exp (theta y) / partition n theta.
Proof.
  intro Hn. pose proof (partition_pos n theta Hn). unfold softmax, log_softmax, Rminus.
  rewrite exp_plus, exp_Ropp, exp_ln by assumption. reflexivity.
Qed.

Lemma softmax_pos n theta y : 0 < softmax n theta y.
Proof. apply exp_pos. Qed.

Lemma softmax_sums n theta : (0 < n)%nat -> sum n (softmax n theta) = 1.
Proof.
  intro Hn. pose proof (partition_pos n theta Hn).
  transitivity (/ partition n theta * partition n theta); [| field; lra].
  unfold partition at 2. rewrite <- sum_scal. apply sum_ext. intros y _.
  rewrite softmax_ratio by exact Hn. unfold Rdiv. ring.
Qed.

Lemma softmax_policy n theta : (0 < n)%nat -> policy n (softmax n theta).
Proof. intro Hn. split; [intros; apply softmax_pos | apply softmax_sums; exact Hn]. Qed.

Lemma is_derive_log x0 (f : R -> R) d : 0 < f x0 -> is_derive f x0 d ->
  is_derive (fun t => ln (f t)) x0 (d / f x0).
Proof.
  intros Hp Hd. evar_last; [apply (is_derive_comp ln f x0 (/ f x0) d); [apply is_derive_ln; exact Hp | exact Hd] |].
  unfold scal; simpl; unfold mult; simpl. reflexivity.
Qed.

(** Along a differentiable curve of logits with velocity v the score is v(y) - E_pi[v]. *)
Lemma softmax_curve n (theta : R -> nat -> R) t0 v : (0 < n)%nat ->
  (forall y, (y < n)%nat -> is_derive (fun t => theta t y) t0 (v y)) ->
  smooth_policy n (fun t => log_softmax n (theta t)) t0 (fun y => v y - expect n (softmax n (theta t0)) v).
Proof.
  intros Hn Hv. split.
  - intros y Hy. unfold log_softmax at 1.
    apply (is_derive_minus (fun t => theta t y) (fun t => ln (partition n (theta t)))); [apply Hv; exact Hy |].
    evar_last; [apply is_derive_log; [apply partition_pos; exact Hn |] |].
    + apply (is_derive_sum n (fun y t => exp (theta t y)) (fun y => exp (theta t0 y) * v y)).
      intros z Hz. evar_last; [apply (is_derive_comp exp (fun t => theta t z));
        [apply is_derive_exp | apply Hv; exact Hz] |].
      unfold scal; simpl; unfold mult; simpl; ring.
    + unfold expect, Rdiv. rewrite Rmult_comm, <- sum_scal. apply sum_ext. intros z _.
      rewrite softmax_ratio by exact Hn. unfold Rdiv. ring.
  - apply filter_forall. intro t. exact (softmax_sums n (theta t) Hn).
Qed.

(** The coordinate theta_k, the others fixed; t = 0 is theta itself. *)
Definition along (theta : nat -> R) (k : nat) (t : R) (y : nat) : R := theta y + t * delta k y.

Lemma along_0 theta k : along theta k 0 = theta.
Proof. apply functional_extensionality. intro y. unfold along. ring. Qed.

(** s(y) = delta_k(y) - pi(k). *)
Lemma softmax_partial n theta k : (k < n)%nat ->
  smooth_policy n (fun t => log_softmax n (along theta k t)) 0 (fun y => delta k y - softmax n theta k).
Proof.
  intro Hk.
  pose proof (softmax_curve n (along theta k) 0 (delta k)) as H.
  rewrite along_0 in H. unfold expect in H. rewrite sum_delta in H by exact Hk.
  apply H; [lia |]. intros y _. unfold along. auto_derive; [exact I | ring].
Qed.

Lemma softmax_score_average n theta nu G k : (k < n)%nat ->
  expect n nu (fun y => (delta k y - softmax n theta k) * G y) = nu k * G k - softmax n theta k * expect n nu G.
Proof.
  intro Hk. transitivity (sum n (fun y => (nu y * G y) * delta k y) - softmax n theta k * expect n nu G).
  - unfold expect. rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros; ring.
  - rewrite sum_delta by exact Hk. reflexivity.
Qed.

(** Covariance identity for a tabular softmax:
    dIPO/dtheta_k = -(4/tau) nu(k) (p(k > nu) - 1/2 - tau (h(k) - E_nu h)). *)
Theorem L1_covariance_softmax n tau P mu nu theta k :
  tau <> 0 -> is_pref n P -> sum n nu = 1 -> (k < n)%nat ->
  let h := logratio mu (log_softmax n theta) in
  is_derive (fun t => ipo_loss n tau P mu nu (log_softmax n (along theta k t))) 0
    (- (4 / tau) * (nu k * (win n P nu k - 1 / 2 - tau * (h k - expect n nu h)))).
Proof.
  intros Ht HP Hn Hk h.
  evar_last; [apply (L1_covariance _ _ _ _ _ _ _ _ Ht HP Hn (softmax_partial n theta k Hk)) |].
  rewrite along_0, cov_advantage by assumption. fold h. f_equal.
  rewrite softmax_score_average by exact Hk.
  replace (expect n nu (fun y => win n P nu y - 1 / 2 - tau * (h y - expect n nu h))) with 0; [ring |].
  rewrite !expect_minus, expect_scal, expect_minus, !expect_const, expect_win_half by assumption. ring.
Qed.

(** L1 for the tabular softmax, all the partial derivatives. *)
Corollary L1_equivalence_softmax n tau P mu theta k : tau <> 0 -> is_pref n P -> (k < n)%nat ->
  exists g,
    is_derive (fun t => game_objective n tau P mu (softmax n theta) (log_softmax n (along theta k t))) 0 g /\
    is_derive (fun t => ipo_loss n tau P mu (softmax n theta) (log_softmax n (along theta k t))) 0 (- (4 / tau) * g).
Proof.
  intros Ht HP Hk. pose proof (L1_equivalence n tau P mu _ _ _ Ht HP (softmax_partial n theta k Hk)) as H.
  unfold policy_at in H. cbv beta in H. rewrite along_0 in H. exact H.
Qed.

(** ** L5: IPO-MD *)

(** m_beta = normalise(pi^(1-beta) mu^beta), its normaliser Z and its logarithm. *)
Definition mix_log_weight beta (mu lpi : nat -> R) (y : nat) : R := (1 - beta) * lpi y + beta * ln (mu y).
Definition mix_normaliser n beta mu lpi : R := partition n (mix_log_weight beta mu lpi).
Definition log_mixture n beta mu lpi : nat -> R := log_softmax n (mix_log_weight beta mu lpi).
Definition mixture n beta mu lpi : nat -> R := softmax n (mix_log_weight beta mu lpi).

(** It is the geometric mixture of the game. *)
Lemma mixture_is_geo_mix n beta mu lpi y : (0 < n)%nat -> (forall z, (z < n)%nat -> 0 < mu z) -> (y < n)%nat ->
  mixture n beta mu lpi y = geo_mix n beta mu (fun z => exp (lpi z)) y.
Proof.
  intros Hn Hmu Hy. unfold mixture. rewrite softmax_ratio by exact Hn.
  assert (E : forall z, (z < n)%nat ->
    exp (mix_log_weight beta mu lpi z) = mu z * exp ((1 - beta) * (ln (exp (lpi z)) - ln (mu z)))).
  { intros z Hz. rewrite ln_exp. transitivity (exp (ln (mu z)) * exp ((1 - beta) * (lpi z - ln (mu z)))).
    - rewrite <- exp_plus. f_equal. unfold mix_log_weight. ring.
    - rewrite (exp_ln (mu z)) by (apply Hmu; exact Hz). reflexivity. }
  unfold geo_mix, gibbs, gibbs_norm, partition. rewrite (sum_ext n _ _ E), E by exact Hy. reflexivity.
Qed.

(** L5 (paper Prop. 5.1, corrected).  With nu = SG[m_beta(pi)]:
    grad IPO-MD = -(4/tau) { E_nu[ s (p(. > nu) - 1/2 - tau h) ] + tau E_nu[h] E_nu[s] }. *)
Theorem L5_corrected n tau beta P mu l t0 s :
  tau <> 0 -> (0 < n)%nat -> is_pref n P -> smooth_policy n l t0 s ->
  let nu := mixture n beta mu (l t0) in let h := logratio mu (l t0) in
  is_derive (fun t => ipo_loss n tau P mu nu (l t)) t0
    (- (4 / tau) * (expect n nu (fun y => s y * (win n P nu y - 1 / 2 - tau * h y))
                    + tau * expect n nu h * expect n nu s)).
Proof.
  intros Ht Hn HP Hl nu h.
  assert (Hnu : sum n nu = 1) by (apply softmax_sums; exact Hn).
  evar_last; [apply (L1_covariance _ _ _ _ _ _ _ _ Ht HP Hnu Hl) |].
  rewrite cov_advantage by assumption. fold h. f_equal.
  rewrite <- expect_scal, <- expect_plus. apply expect_ext. intros; ring.
Qed.

(** L5b.  grad log Z = (1 - beta) E_nu[s]; so E_nu[s] = grad log Z / (1 - beta), which is not 0. *)
Theorem L5_mean_score n beta mu l t0 s : (0 < n)%nat -> smooth_policy n l t0 s ->
  is_derive (fun t => ln (mix_normaliser n beta mu (l t))) t0
    ((1 - beta) * expect n (mixture n beta mu (l t0)) s).
Proof.
  intros Hn [Hs _].
  evar_last; [apply is_derive_log; [apply partition_pos; exact Hn |] |].
  - apply (is_derive_sum n (fun y t => exp (mix_log_weight beta mu (l t) y))
             (fun y => exp (mix_log_weight beta mu (l t0) y) * ((1 - beta) * s y))).
    intros y Hy.
    evar_last; [apply (is_derive_comp exp (fun t => mix_log_weight beta mu (l t) y)); [apply is_derive_exp |] |].
    + unfold mix_log_weight. apply (is_derive_plus (fun t => (1 - beta) * l t y)).
      * apply is_derive_scal. apply Hs; exact Hy.
      * apply (is_derive_const (beta * ln (mu y))).
    + unfold scal, plus, zero; simpl; unfold mult, plus, zero; simpl; ring.
  - unfold expect, Rdiv. rewrite Rmult_comm, <- !sum_scal. apply sum_ext. intros y _.
    unfold mixture. rewrite softmax_ratio by exact Hn. unfold mix_normaliser, Rdiv. ring.
Qed.

(** The mixture is itself a smooth policy, with score (1 - beta)(s - E_nu s). *)
Lemma mixture_smooth n beta mu l t0 s : (0 < n)%nat -> smooth_policy n l t0 s ->
  smooth_policy n (fun t => log_mixture n beta mu (l t)) t0
    (fun y => (1 - beta) * s y - expect n (mixture n beta mu (l t0)) (fun y => (1 - beta) * s y)).
Proof.
  intros Hn [Hs _]. apply (softmax_curve n (fun t => mix_log_weight beta mu (l t))); [exact Hn |].
  intros y Hy. unfold mix_log_weight. evar_last.
  - apply (is_derive_plus (fun t => (1 - beta) * l t y)).
    + apply is_derive_scal. apply Hs; exact Hy.
    + apply (is_derive_const (beta * ln (mu y))).
  - unfold plus, zero; simpl. ring.
Qed.

Lemma Cov_affine n nu f g a b c d : sum n nu = 1 ->
  Cov n nu (fun y => a * f y + b) (fun y => c * g y + d) = a * c * Cov n nu f g.
Proof.
  intro Hn. unfold Cov.
  rewrite (expect_plus n nu (fun y => a * f y)), (expect_plus n nu (fun y => c * g y)), !expect_scal,
    !expect_const by exact Hn.
  rewrite (expect_ext n nu _ (fun y => a * c * (f y * g y) + a * d * f y + b * c * g y + b * d)).
  - rewrite !expect_plus, !expect_scal, expect_const by exact Hn. ring.
  - intros; ring.
Qed.

(** L5b.  For beta <> 1, IPO-MD(beta) is online IPO played by the mixture at temperature tau/(1-beta):
    grad IPO-MD = (1-beta)^-2 grad onlineIPO(nu, tau/(1-beta)), differentiating nu through pi. *)
Theorem L5b_reading n tau beta P mu l t0 s :
  tau <> 0 -> beta <> 1 -> (0 < n)%nat -> is_pref n P -> smooth_policy n l t0 s ->
  let nu := mixture n beta mu (l t0) in let tau' := tau / (1 - beta) in
  exists g,
    is_derive (fun t => ipo_loss n tau' P mu nu (log_mixture n beta mu (l t))) t0 g /\
    is_derive (fun t => ipo_loss n tau P mu nu (l t)) t0 (/ (1 - beta) ^ 2 * g).
Proof.
  intros Ht Hb Hn HP Hl nu tau'.
  assert (Hnu : sum n nu = 1) by (apply softmax_sums; exact Hn).
  assert (Ht' : tau' <> 0) by (apply Rmult_integral_contrapositive; split; [exact Ht | apply Rinv_neq_0_compat; lra]).
  eexists. split; [apply (L1_covariance _ _ _ _ _ _ _ _ Ht' HP Hnu (mixture_smooth _ beta mu _ _ _ Hn Hl)) |].
  evar_last; [apply (L1_covariance _ _ _ _ _ _ _ _ Ht HP Hnu Hl) |].
  fold nu. set (c := expect n nu (fun y => (1 - beta) * s y)). set (Z := mix_normaliser n beta mu (l t0)).
  replace (Cov n nu (fun y => (1 - beta) * s y - c) (advantage n tau' P mu nu (log_mixture n beta mu (l t0))))
    with ((1 - beta) * 1 * Cov n nu s (advantage n tau P mu nu (l t0))).
  - unfold tau'. field. split; [lra | exact Ht].
  - rewrite <- (Cov_affine n nu s (advantage n tau P mu nu (l t0)) (1 - beta) (- c) 1 (tau' * ln Z) Hnu).
    unfold Cov. f_equal; [| f_equal]; apply expect_ext; intros y _;
      try ring; unfold advantage, logratio, log_mixture, log_softmax; fold (mix_normaliser n beta mu (l t0)); fold Z;
      unfold mix_log_weight, tau'; field; lra.
Qed.

(** The same as self-play: grad IPO-MD = -(4/(tau (1-beta))) grad[P(nu > SG nu) - tau/(1-beta) KL(nu||mu)]. *)
Corollary L5b_game n tau beta P mu l t0 s :
  tau <> 0 -> beta <> 1 -> (0 < n)%nat -> is_pref n P -> smooth_policy n l t0 s ->
  let nu := mixture n beta mu (l t0) in
  exists g,
    is_derive (fun t => game_objective n (tau / (1 - beta)) P mu nu (log_mixture n beta mu (l t))) t0 g /\
    is_derive (fun t => ipo_loss n tau P mu nu (l t)) t0 (- (4 / (tau * (1 - beta))) * g).
Proof.
  intros Ht Hb Hn HP Hl nu.
  assert (Ht' : tau / (1 - beta) <> 0)
    by (apply Rmult_integral_contrapositive; split; [exact Ht | apply Rinv_neq_0_compat; lra]).
  destruct (L5b_reading n tau beta P mu l t0 s Ht Hb Hn HP Hl) as [g1 [A B]].
  destruct (L1_equivalence n (tau / (1 - beta)) P mu _ _ _ Ht' HP (mixture_smooth n beta mu l t0 s Hn Hl)) as [g [C D]].
  exists g. split; [exact C |].
  evar_last; [exact B |].
  replace g1 with (- (4 / (tau / (1 - beta))) * g).
  - field. split; [lra | exact Ht].
  - rewrite <- (is_derive_unique _ _ _ A). symmetry. apply is_derive_unique. exact D.
Qed.

(** L5: the form printed in the paper's Prop. 5.1 is not the gradient.  Two responses, pi = (1/2, 1/2),
    mu = (1/10, 9/10), beta = 1/2, the coordinate theta_1, any P and tau. *)
Section PrintedForm.

Definition ref2 (y : nat) : R := match y with O => 1 / 10 | _ => 9 / 10 end.
Definition theta2 (_ : nat) : R := 0.
Definition l2 (t : R) : nat -> R := log_softmax 2 (along theta2 0 t).
Definition score2 (y : nat) : R := delta 0 y - 1 / 2.
Definition printed_form tau (P : nat -> nat -> R) : R :=
  let nu := mixture 2 (1 / 2) ref2 (l2 0) in
  - (4 / tau) * expect 2 nu (fun y => score2 y * (win 2 P nu y - 1 / 2 - tau * logratio ref2 (l2 0) y)).

Lemma l2_0 y : l2 0 y = - ln 2.
Proof.
  unfold l2. rewrite along_0. unfold log_softmax, partition, theta2. simpl. rewrite exp_0.
  replace (0 + 1 + 1) with 2 by ring. ring.
Qed.

Lemma half_policy y : softmax 2 theta2 y = 1 / 2.
Proof. rewrite softmax_ratio by lia. unfold partition, theta2; simpl. rewrite exp_0. field. Qed.

Lemma ln_ninth : ln (9 / 10) = ln (1 / 10) + 2 * ln 3.
Proof.
  replace (9 / 10) with (1 / 10 * (3 * 3)) by field.
  rewrite !ln_mult by lra. ring.
Qed.

(** m_(1/2) = (1/4, 3/4). *)
Lemma mixture2 : mixture 2 (1 / 2) ref2 (l2 0) 0 = 1 / 4 /\ mixture 2 (1 / 2) ref2 (l2 0) 1 = 3 / 4.
Proof.
  unfold mixture. rewrite !softmax_ratio by lia.
  unfold partition, mix_log_weight; simpl. rewrite !l2_0, ln_ninth.
  set (e := exp ((1 - 1 / 2) * - ln 2 + 1 / 2 * ln (1 / 10))).
  replace (exp ((1 - 1 / 2) * - ln 2 + 1 / 2 * (ln (1 / 10) + 2 * ln 3))) with (e * 3).
  - assert (0 < e) by apply exp_pos. split; field; lra.
  - rewrite <- (exp_ln 3) at 1 by lra. unfold e. rewrite <- exp_plus. f_equal. field.
Qed.

Theorem L5_printed_form_gap tau P : tau <> 0 -> is_pref 2 P ->
  is_derive (fun t => ipo_loss 2 tau P ref2 (mixture 2 (1 / 2) ref2 (l2 0)) (l2 t)) 0
    (printed_form tau P + (ln 5 - 3 / 2 * ln 3)).
Proof.
  intros Ht HP.
  assert (Hl : smooth_policy 2 l2 0 score2).
  { pose proof (softmax_partial 2 theta2 0 ltac:(lia)) as H. rewrite half_policy in H. exact H. }
  evar_last; [apply (L5_corrected 2 tau (1 / 2) P ref2 l2 0 score2 Ht ltac:(lia) HP Hl) |].
  unfold printed_form. cbv zeta. rewrite Rmult_plus_distr_l. f_equal.
  destruct mixture2 as [M0 M1]. unfold expect; simpl. rewrite M0, M1.
  unfold logratio, score2, delta; simpl. rewrite !l2_0, ln_ninth.
  replace (1 / 10) with (/ (2 * 5)) by field. rewrite ln_Rinv, ln_mult by lra. field. exact Ht.
Qed.

Theorem L5_printed_form_fails tau P : tau <> 0 -> is_pref 2 P ->
  ~ is_derive (fun t => ipo_loss 2 tau P ref2 (mixture 2 (1 / 2) ref2 (l2 0)) (l2 t)) 0 (printed_form tau P).
Proof.
  intros Ht HP H. pose proof (L5_printed_form_gap tau P Ht HP) as G.
  apply is_derive_unique in H. apply is_derive_unique in G.
  assert (E : 2 * ln 5 = 3 * ln 3) by (rewrite H in G; lra).
  assert (L : ln (5 * 5) < ln (3 * (3 * 3))) by (apply ln_increasing; lra).
  rewrite !ln_mult in L by lra. lra.
Qed.

End PrintedForm.

(** * Two named losses of the literature (L16, L17).

    SPPO on hard labels with a fixed reference is online IPO in expectation; EXO on pairs is linear in
    the preference, so on additive preferences it is offline IPO at another temperature. *)

From Coq Require Import Reals Lra Psatz Lia.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Gradients.
Open Scope R_scope.

(** ** L16: SPPO *)

(** The winner's square and the loser's, the labels drawn with P. *)
Definition sppo_loss n tau (P : nat -> nat -> R) mu nu (lpi : nat -> R) : R :=
  pair_expect n nu (fun y y' =>
    let h := logratio mu lpi y in let h' := logratio mu lpi y' in
    P y y' * ((h - 1 / (2 * tau)) ^ 2 + (h' + 1 / (2 * tau)) ^ 2)
    + (1 - P y y') * ((h' - 1 / (2 * tau)) ^ 2 + (h + 1 / (2 * tau)) ^ 2)).

Lemma pair_plus n nu F G :
  pair_expect n nu (fun y y' => F y y' + G y y') = pair_expect n nu F + pair_expect n nu G.
Proof.
  unfold pair_expect. rewrite <- expect_plus. apply expect_ext. intros y _. rewrite <- expect_plus. reflexivity.
Qed.

Lemma pair_scal n nu c F : pair_expect n nu (fun y y' => c * F y y') = c * pair_expect n nu F.
Proof.
  unfold pair_expect. rewrite <- expect_scal. apply expect_ext. intros y _. rewrite <- expect_scal. reflexivity.
Qed.

Lemma pair_const n nu c : sum n nu = 1 -> pair_expect n nu (fun _ _ => c) = c.
Proof. intro Hn. unfold pair_expect. rewrite !expect_const by exact Hn. reflexivity. Qed.

(** Pair by pair SPPO is IPO and 2 h h', up to a constant. *)
Lemma sppo_is_ipo n tau P mu nu lpi : tau <> 0 -> sum n nu = 1 ->
  sppo_loss n tau P mu nu lpi =
  ipo_loss n tau P mu nu lpi + 2 * expect n nu (logratio mu lpi) ^ 2 + (1 / (2 * tau)) ^ 2.
Proof.
  intros Ht Hn. set (h := logratio mu lpi).
  assert (E : pair_expect n nu (fun y y' => h y * h y') = expect n nu h ^ 2).
  { unfold pair_expect. transitivity (expect n nu (fun y => expect n nu h * h y)).
    - apply expect_ext. intros y _. rewrite expect_scal. ring.
    - rewrite expect_scal. ring. }
  rewrite <- E. unfold sppo_loss, ipo_loss. fold h.
  transitivity (pair_expect n nu (fun y y' =>
    (P y y' * (h y - h y' - 1 / (2 * tau)) ^ 2 + (1 - P y y') * (- (h y - h y') - 1 / (2 * tau)) ^ 2)
    + (2 * (h y * h y') + (1 / (2 * tau)) ^ 2))).
  - apply expect_ext. intros y _. apply expect_ext. intros y' _. fold h. simpl. field. exact Ht.
  - rewrite (pair_plus n nu (fun y y' => P y y' * (h y - h y' - 1 / (2 * tau)) ^ 2
                                          + (1 - P y y') * (- (h y - h y') - 1 / (2 * tau)) ^ 2)
                           (fun y y' => 2 * (h y * h y') + (1 / (2 * tau)) ^ 2)).
    rewrite (pair_plus n nu (fun y y' => 2 * (h y * h y')) (fun _ _ => (1 / (2 * tau)) ^ 2)).
    rewrite (pair_scal n nu 2 (fun y y' => h y * h y')), pair_const by exact Hn. ring.
Qed.

(** Its gradient for any sampling nu: IPO's, and 4 E_nu[h] E_nu[s]. *)
Theorem L16_sppo_gradient n tau P mu nu l t0 s :
  tau <> 0 -> is_pref n P -> sum n nu = 1 -> smooth_policy n l t0 s ->
  is_derive (fun t => sppo_loss n tau P mu nu (l t)) t0
    (- (4 / tau) * Cov n nu s (advantage n tau P mu nu (l t0))
     + 4 * expect n nu (logratio mu (l t0)) * expect n nu s).
Proof.
  intros Ht HP Hn Hl.
  apply (is_derive_ext (fun t =>
    ipo_loss n tau P mu nu (l t) + (2 * expect n nu (logratio mu (l t)) ^ 2 + (1 / (2 * tau)) ^ 2))).
  { intro t. rewrite sppo_is_ipo by assumption. symmetry. apply Rplus_assoc. }
  assert (Dh : is_derive (fun t => expect n nu (logratio mu (l t))) t0 (expect n nu s)).
  { apply (is_derive_expect n nu (fun y t => logratio mu (l t) y)). intros y Hy. unfold logratio.
    evar_last; [apply (is_derive_minus (fun t => l t y) (fun _ => ln (mu y)) t0 (s y) 0) |].
    - apply (score_is _ _ _ _ Hl); exact Hy.
    - apply (is_derive_const (ln (mu y))).
    - unfold minus, plus, opp; simpl; ring. }
  apply (is_derive_plus (fun t => ipo_loss n tau P mu nu (l t))).
  - apply L1_covariance; assumption.
  - evar_last.
    + apply (is_derive_plus (fun t => 2 * expect n nu (logratio mu (l t)) ^ 2)).
      * apply is_derive_scal. apply (is_derive_pow (fun t => expect n nu (logratio mu (l t))) 2). exact Dh.
      * apply (is_derive_const ((1 / (2 * tau)) ^ 2)).
    + unfold plus, zero; simpl. ring.
Qed.

(** L16.  With y, y' ~ SG[pi]: grad SPPO = -(4/tau) grad[P(pi > SG pi) - tau KL(pi || mu)], online IPO's. *)
Theorem L16_sppo_is_online_ipo n tau P mu l t0 s :
  tau <> 0 -> is_pref n P -> smooth_policy n l t0 s ->
  exists g,
    is_derive (fun t => game_objective n tau P mu (policy_at l t0) (l t)) t0 g /\
    is_derive (fun t => ipo_loss n tau P mu (policy_at l t0) (l t)) t0 (- (4 / tau) * g) /\
    is_derive (fun t => sppo_loss n tau P mu (policy_at l t0) (l t)) t0 (- (4 / tau) * g).
Proof.
  intros Ht HP Hl. pose proof (policy_sums _ _ _ _ Hl) as Hn. pose proof (score_mean_zero _ _ _ _ Hl) as Hz.
  eexists. split; [apply game_gradient; exact Hl | split].
  - evar_last; [apply (L1_covariance _ _ _ _ _ _ _ _ Ht HP Hn Hl) |]. unfold Cov. rewrite Hz. ring.
  - evar_last; [apply (L16_sppo_gradient _ _ _ _ _ _ _ _ Ht HP Hn Hl) |]. unfold Cov. rewrite Hz. ring.
Qed.

(** ** L17: EXO on pairs *)

(** KL((sigma, 1 - sigma) || (1 - e, e)) at sigma = sigma(x). *)
Definition exo e x : R :=
  sigmoid x * (ln (sigmoid x) - ln (1 - e)) + sigmoid (- x) * (ln (sigmoid (- x)) - ln e).

Lemma opp_derivative (x : R) : is_derive (fun u : R => - u) x (-1).
Proof. auto_derive; [exact I | ring]. Qed.

Lemma sigmoid_positive x : 0 < sigmoid x.
Proof. unfold sigmoid. apply Rinv_0_lt_compat. pose proof (exp_pos (- x)). lra. Qed.

Lemma logit_sigmoid x : ln (sigmoid x) - ln (sigmoid (- x)) = x.
Proof.
  rewrite <- ln_div by apply sigmoid_positive.
  replace (sigmoid x / sigmoid (- x)) with (exp x); [apply ln_exp |].
  unfold sigmoid. rewrite Ropp_involutive, exp_Ropp. pose proof (exp_pos x). field. split; lra.
Qed.

Lemma sigmoid_derivative x : is_derive sigmoid x (sigmoid x * sigmoid (- x)).
Proof.
  unfold sigmoid. pose proof (exp_pos (- x)). pose proof (exp_pos x). rewrite Ropp_involutive.
  auto_derive; [lra |]. rewrite (exp_Ropp x). field. lra.
Qed.

(** sigma'(x) (x - log((1 - e)/e)). *)
Lemma exo_derivative e x : is_derive (exo e) x (sigmoid x * sigmoid (- x) * (x - (ln (1 - e) - ln e))).
Proof.
  pose proof (sigmoid_positive x) as Hp. pose proof (sigmoid_positive (- x)) as Hm.
  assert (Dm : is_derive (fun u => sigmoid (- u)) x (- (sigmoid x * sigmoid (- x)))).
  { evar_last.
    - apply (is_derive_comp sigmoid (fun u : R => - u)); [apply sigmoid_derivative | apply opp_derivative].
    - rewrite Ropp_involutive. unfold scal, opp, one; simpl. unfold mult; simpl. ring. }
  assert (Term : forall f f' c, 0 < f x -> is_derive f x f' ->
            is_derive (fun u => f u * (ln (f u) - c)) x (f' * (ln (f x) - c) + f')).
  { intros f f' c Hf Df. evar_last.
    - apply (is_derive_mult f (fun u => ln (f u) - c)); [exact Df | | intros; apply Rmult_comm].
      apply (is_derive_minus (fun u => ln (f u)) (fun _ => c) x (f' * / f x) 0); [| apply (is_derive_const c)].
      apply (is_derive_comp ln f x (/ f x) f'); [apply is_derive_ln; exact Hf | exact Df].
    - unfold plus, minus, opp, mult; simpl. change (f' * (ln (f x) - c) + f x * (f' * / f x - 0) = f' * (ln (f x) - c) + f').
      field. lra. }
  unfold exo. evar_last.
  - apply (is_derive_plus (fun u => sigmoid u * (ln (sigmoid u) - ln (1 - e)))
                          (fun u => sigmoid (- u) * (ln (sigmoid (- u)) - ln e))).
    + apply (Term sigmoid); [exact Hp | apply sigmoid_derivative].
    + apply (Term (fun u => sigmoid (- u))); [exact Hm | exact Dm].
  - unfold plus; simpl. pose proof (logit_sigmoid x) as Hl.
    replace (ln (sigmoid x)) with (x + ln (sigmoid (- x))) by lra. ring.
Qed.

(** The pairwise risk at preference p has the slope sigma'(x) (x - (2p - 1) log((1 - e)/e)): its only
    minimum is linear in p. *)
Theorem L17_exo_is_linear e p x :
  is_derive (fun u => p * exo e u + (1 - p) * exo e (- u)) x
    (sigmoid x * sigmoid (- x) * (x - (2 * p - 1) * (ln (1 - e) - ln e))).
Proof.
  evar_last.
  - apply (is_derive_plus (fun u => p * exo e u) (fun u => (1 - p) * exo e (- u))).
    + apply is_derive_scal, exo_derivative.
    + apply is_derive_scal.
      apply (is_derive_comp (exo e) (fun u : R => - u)); [apply exo_derivative | apply opp_derivative].
  - unfold plus, scal, opp, one; simpl. unfold mult; simpl. rewrite Ropp_involutive. ring.
Qed.

(** L17.  Preferences are additive, P - 1/2 = u(y) - u(y').  At offline IPO's optimum of temperature
    tau/(2 log((1 - e)/e)), whose log-ratios differ by (2 log((1 - e)/e)/tau)(u(y) - u(y')) (L4), the
    gradient of EXO vanishes, for every sampling nu and every parametrisation. *)
Theorem L17_exo_is_offline_ipo n tau e P mu nu u l t0 s :
  tau <> 0 -> is_pref n P -> smooth_policy n l t0 s ->
  (forall y y', (y < n)%nat -> (y' < n)%nat -> P y y' - 1 / 2 = u y - u y') ->
  (forall y y', (y < n)%nat -> (y' < n)%nat ->
     logratio mu (l t0) y - logratio mu (l t0) y' = 2 * (ln (1 - e) - ln e) / tau * (u y - u y')) ->
  is_derive (fun t => gpo_loss n tau P mu nu (exo e) (l t)) t0 0.
Proof.
  intros Ht HP Hl Hu Hopt. evar_last.
  - apply (GPO_gradient n tau P mu nu (exo e) (fun x => sigmoid x * sigmoid (- x) * (x - (ln (1 - e) - ln e))) l t0 s HP Hl).
    intros y y' _ _. simpl. apply exo_derivative.
  - simpl. rewrite (expect_ext n nu _ (fun _ => 0 * 0)).
    + rewrite expect_scal. ring.
    + intros y Hy. rewrite (expect_ext n nu _ (fun _ => 0 * 0)); [rewrite expect_scal; ring |].
      intros y' Hy'. rewrite Hopt by assumption. rewrite <- (Hu y y' Hy Hy').
      replace (tau * (2 * (ln (1 - e) - ln e) / tau * (P y y' - 1 / 2)))
        with ((2 * P y y' - 1) * (ln (1 - e) - ln e)) by (field; exact Ht).
      rewrite Ropp_involutive. ring.
Qed.

(** The control: at offline IPO's own temperature tau it is another point, whenever P is not even. *)
Theorem L17_other_temperature e p x : 0 < e < 1 / 2 -> p <> 1 / 2 -> x = p - 1 / 2 ->
  2 * (ln (1 - e) - ln e) <> 1 ->
  sigmoid x * sigmoid (- x) * (x - (2 * p - 1) * (ln (1 - e) - ln e)) <> 0.
Proof.
  intros He Hp -> HL. pose proof (sigmoid_positive (p - 1 / 2)) as A. pose proof (sigmoid_positive (- (p - 1 / 2))) as B.
  apply Rmult_integral_contrapositive_currified; [nra |].
  intro Z. assert (F : (p - 1 / 2) * (1 - 2 * (ln (1 - e) - ln e)) = 0) by lra.
  apply Rmult_integral in F. lra.
Qed.

(** L18.  A pair's IPO loss of log-ratios averaged over T tokens is IPO's at tau/T, over T^2; ... *)
Theorem L18_average p d tau T : tau <> 0 -> T <> 0 ->
  p * (d / T - 1 / (2 * tau)) ^ 2 + (1 - p) * (- (d / T) - 1 / (2 * tau)) ^ 2
  = (p * (d - 1 / (2 * (tau / T))) ^ 2 + (1 - p) * (- d - 1 / (2 * (tau / T))) ^ 2) / T ^ 2.
Proof. intros Ht HT. field. split; assumption. Qed.

(** ... of unequal lengths it is no function of d: 1 token against 2, two pairs with d = 0, two losses. *)
Theorem L18_unequal_lengths : exists h h' k k' : R, h - h' = k - k' /\
  forall loss : R -> R, (forall x, loss x = 1 / 2 * (x - 1 / 2) ^ 2 + 1 / 2 * (- x - 1 / 2) ^ 2) ->
  loss (h / 1 - h' / 2) <> loss (k / 1 - k' / 2).
Proof. exists 0, 0, 2, 2. split; [lra |]. intros loss L. rewrite !L. lra. Qed.

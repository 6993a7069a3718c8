(** * SLiC has no restoring force (N12, N13). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Gradients Stationary.
Open Scope R_scope.

(** ** The gradient while no hinge is active *)

(** osc(tau h) < 1: every tau (h(y) - h(y')) is below 1. *)
Definition no_active_hinge n tau mu (lpi : nat -> R) : Prop :=
  forall y y', (y < n)%nat -> (y' < n)%nat -> tau * (logratio mu lpi y - logratio mu lpi y') < 1.

(** A = P - 1/2 and D = diag(pi) - pi pi^T. *)
Definition skew_apply n (P : nat -> nat -> R) nu (y : nat) : R := sum n (fun y' => (P y y' - 1 / 2) * nu y').
Definition D_apply n (pi v : nat -> R) (y : nat) : R := pi y * (v y - sum n (fun y' => pi y' * v y')).

Lemma skew_apply_win n P nu y : sum n nu = 1 -> skew_apply n P nu y = win n P nu y - 1 / 2.
Proof.
  intro Hn. unfold skew_apply, win. transitivity (sum n (fun y' => P y y' * nu y') - 1 / 2 * sum n nu).
  - rewrite <- sum_scal, <- sum_minus. apply sum_ext. intros; ring.
  - rewrite Hn. ring.
Qed.

(** pi^T A pi = 0. *)
Lemma skew_self n P nu : is_pref n P -> sum n nu = 1 -> expect n nu (skew_apply n P nu) = 0.
Proof.
  intros HP Hn. rewrite (expect_ext n nu _ (fun y => win n P nu y - 1 / 2))
    by (intros; apply skew_apply_win; exact Hn).
  rewrite expect_minus, expect_win_half, expect_const by assumption. ring.
Qed.

Lemma slic_is_gpo n tau P mu nu lpi :
  slic_loss n tau P mu nu lpi = gpo_loss n tau P mu nu (fun u => Rmax 0 (1 - u)) lpi.
Proof.
  apply expect_ext. intros y _. apply expect_ext. intros y' _. simpl.
  replace (1 - - (tau * (logratio mu lpi y - logratio mu lpi y')))
    with (1 + tau * (logratio mu lpi y - logratio mu lpi y')) by ring. reflexivity.
Qed.

Lemma hinge_derivative x : x < 1 -> is_derive (fun u => Rmax 0 (1 - u)) x (-1).
Proof.
  intro Hx. apply (is_derive_ext_loc (fun u => 1 - u)).
  - exists (mkposreal (1 - x) ltac:(lra)). intros u Hu. rewrite Rmax_right; [reflexivity |].
    unfold ball in Hu; simpl in Hu; unfold AbsRing_ball in Hu; simpl in Hu.
    unfold abs, minus, plus, opp in Hu; simpl in Hu. apply Rabs_lt_between in Hu. lra.
  - auto_derive; [exact I | ring].
Qed.

(** N12, any parametrisation and any sampling: while osc(tau h) < 1 the gradient of SLiC is
    -4 tau E_nu[s (A nu)]: it does not depend on the log-ratio. *)
Theorem N12_gradient n tau P mu nu l t0 s : is_pref n P -> sum n nu = 1 ->
  smooth_policy n l t0 s -> no_active_hinge n tau mu (l t0) ->
  is_derive (fun t => slic_loss n tau P mu nu (l t)) t0
    (- (4 * tau) * expect n nu (fun y => s y * skew_apply n P nu y)).
Proof.
  intros HP Hn Hl Hosc.
  apply (is_derive_ext (fun t => gpo_loss n tau P mu nu (fun u => Rmax 0 (1 - u)) (l t))).
  { intro t. symmetry. apply slic_is_gpo. }
  evar_last.
  - apply (GPO_gradient n tau P mu nu _ (fun _ => -1) l t0 s HP Hl).
    intros y y' Hy Hy' x. apply hinge_derivative. apply Hosc; assumption.
  - cbv zeta.
    replace (- (4 * tau) * expect n nu (fun y => s y * skew_apply n P nu y))
      with (2 * tau * ((-2) * expect n nu (fun y => s y * skew_apply n P nu y))) by ring.
    f_equal. rewrite <- expect_scal. apply expect_ext. intros y _.
    replace (-2 * (s y * skew_apply n P nu y)) with (s y * ((-2) * skew_apply n P nu y)) by ring. f_equal.
    rewrite skew_apply_win, <- expect_row by exact Hn.
    transitivity (expect n nu (fun y' => (-2) * P y y' + 1)).
    + apply expect_ext. intros; ring.
    + rewrite expect_plus, expect_scal, expect_const by exact Hn. fold (expect n nu (P y)).
      change (expect n nu (fun y0 => P y y0)) with (expect n nu (P y)). field.
Qed.

(** N12.  Online SLiC for the tabular softmax: the gradient is -4 tau D A pi, unregularised self-play. *)
Theorem N12_online_gradient n tau P mu theta k : (k < n)%nat -> is_pref n P ->
  no_active_hinge n tau mu (log_softmax n theta) ->
  let pi := softmax n theta in
  is_derive (fun t => slic_loss n tau P mu pi (log_softmax n (along theta k t))) 0
    (- (4 * tau) * D_apply n pi (skew_apply n P pi) k).
Proof.
  intros Hk HP Hosc pi. assert (Hs : sum n pi = 1) by (apply softmax_sums; lia).
  assert (Hosc' : no_active_hinge n tau mu (log_softmax n (along theta k 0))) by (rewrite along_0; exact Hosc).
  evar_last; [apply (N12_gradient n tau P mu pi _ _ _ HP Hs (softmax_partial n theta k Hk) Hosc') |].
  f_equal. rewrite softmax_score_average by exact Hk. unfold D_apply. fold (expect n pi (skew_apply n P pi)).
  fold pi. ring.
Qed.

(** ** The regularised equilibrium always lies where no hinge is active *)

(** Win rates against a policy of full support lie strictly between 0 and 1. *)
Lemma win_strict n P nu y : is_pref n P ->
  (forall y y', (y < n)%nat -> (y' < n)%nat -> 0 <= P y y') ->
  (forall y, (y < n)%nat -> 0 < nu y) -> sum n nu = 1 -> (y < n)%nat -> 0 < win n P nu y < 1.
Proof.
  intros HP HP0 Hnu Hn Hy. pose proof (Hnu y Hy) as Hnuy.
  assert (Hyy : P y y = 1 / 2) by (pose proof (HP y y Hy Hy); lra).
  assert (L : P y y * nu y <= win n P nu y).
  { apply (sum_lower_bound n (fun y' => P y y' * nu y')); [| exact Hy].
    intros i Hi. apply Rmult_le_pos; [apply HP0; assumption | apply Rlt_le, Hnu; exact Hi]. }
  assert (U : P y y * nu y <= 1 - win n P nu y).
  { replace (1 - win n P nu y) with (sum n (fun y' => P y' y * nu y')).
    - apply (sum_lower_bound n (fun y' => P y' y * nu y')); [| exact Hy].
      intros i Hi. apply Rmult_le_pos; [apply HP0; assumption | apply Rlt_le, Hnu; exact Hi].
    - rewrite <- Hn at 1. unfold win. rewrite <- sum_minus. apply sum_ext. intros i Hi.
      replace (P i y) with (1 - P y i) by (pose proof (HP y i Hy Hi); lra). ring. }
  rewrite Hyy in L, U. lra.
Qed.

(** N12.  osc(tau h) < 1 at pi*_tau, for every preference matrix, reference and temperature. *)
Theorem N12_nash_osc n tau P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  (forall y y', (y < n)%nat -> (y' < n)%nat -> 0 <= P y y') ->
  (forall y, (y < n)%nat -> 0 < mu y) ->
  is_nash n tau P mu (softmax n theta) -> no_active_hinge n tau mu (log_softmax n theta).
Proof.
  intros Hn Ht HP HP0 Hmu Hnash y y' Hy Hy'.
  destruct (proj1 (gibbs_characterised n mu Hn Hmu _ (log_softmax n theta) (softmax_sums n theta Hn)) Hnash) as [c Hc].
  set (w := win n P (softmax n theta)) in *.
  assert (W : forall z, (z < n)%nat -> 0 < w z < 1).
  { intros z Hz. apply win_strict; try assumption; [intros; apply softmax_pos | apply softmax_sums; exact Hn]. }
  rewrite !Hc by assumption. fold w.
  replace (tau * (w y / tau + c - (w y' / tau + c))) with (w y - w y') by (field; exact Ht).
  pose proof (W y Hy). pose proof (W y' Hy'). lra.
Qed.

(** N12.  Where no hinge is active, SLiC is stationary iff A pi = 0. *)
Theorem N12_stationary n tau P mu theta : (0 < n)%nat -> tau <> 0 -> is_pref n P ->
  no_active_hinge n tau mu (log_softmax n theta) ->
  stationary n (slic_loss n tau P mu (softmax n theta)) theta <->
  (forall y, (y < n)%nat -> skew_apply n P (softmax n theta) y = 0).
Proof.
  intros Hn Ht HP Hosc. set (pi := softmax n theta).
  assert (Hs : sum n pi = 1) by (apply softmax_sums; exact Hn).
  apply (stationary_field n _ theta (- (4 * tau)) pi); [lra | intros; apply softmax_pos |].
  intros k Hk. evar_last; [apply (N12_online_gradient n tau P mu theta k Hk HP Hosc) |].
  fold pi. unfold D_apply. fold (expect n pi (skew_apply n P pi)). rewrite skew_self by assumption. ring.
Qed.

(** N12.  If A mu = 0 then pi*_tau = mu. *)
Theorem N12_nash_is_reference n tau P mu pi : 0 < tau -> is_pref n P -> policy n mu ->
  is_nash n tau P mu pi -> (forall y, (y < n)%nat -> skew_apply n P mu y = 0) -> same n pi mu.
Proof.
  intros Ht HP Hmu Hnash HA. apply (E1_unique_fixed_point n tau P mu); try assumption.
  pose proof Hmu as [Hpos Hs]. intros y Hy. unfold best_reply, gibbs, gibbs_norm.
  assert (E : forall z, (z < n)%nat -> mu z * exp (win n P mu z / tau) = exp (1 / 2 / tau) * mu z).
  { intros z Hz. pose proof (HA z Hz) as W. rewrite skew_apply_win in W by exact Hs.
    replace (win n P mu z) with (1 / 2) by lra. ring. }
  rewrite (sum_ext n _ _ E), E, sum_scal, Hs by exact Hy. pose proof (exp_pos (1 / 2 / tau)). field. lra.
Qed.

(** N12.  pi*_tau is stationary for online SLiC iff A mu = 0. *)
Theorem N12_nash_stationary n tau P mu theta : 0 < tau -> pref n P -> policy n mu ->
  is_nash n tau P mu (softmax n theta) ->
  stationary n (slic_loss n tau P mu (softmax n theta)) theta <->
  (forall y, (y < n)%nat -> skew_apply n P mu y = 0).
Proof.
  intros Ht [HP HPb] Hpolicy Hnash. pose proof (policy_n_pos n mu Hpolicy) as Hn.
  pose proof Hpolicy as [Hmu Hs]. pose proof (softmax_sums n theta Hn) as Hs'.
  assert (HP0 : forall y y', (y < n)%nat -> (y' < n)%nat -> 0 <= P y y') by (intros; apply HPb; assumption).
  rewrite N12_stationary; try assumption; [| lra | apply (N12_nash_osc n tau P mu); try assumption; lra].
  assert (Move : forall p q, same n p q -> (forall y, (y < n)%nat -> skew_apply n P p y = 0) ->
                   forall y, (y < n)%nat -> skew_apply n P q y = 0).
  { intros p q E H y Hy. rewrite <- (H y Hy). apply sum_ext. intros z Hz. rewrite E by exact Hz. reflexivity. }
  split; intro H.
  - apply (Move (softmax n theta)); [| exact H]. intros y Hy. rewrite (Hnash y Hy).
    unfold best_reply, gibbs, gibbs_norm.
    assert (E : forall z, (z < n)%nat -> mu z * exp (win n P (softmax n theta) z / tau) = exp (1 / 2 / tau) * mu z).
    { intros z Hz. pose proof (H z Hz) as W. rewrite skew_apply_win in W by exact Hs'.
      replace (win n P (softmax n theta) z) with (1 / 2) by lra. ring. }
    rewrite (sum_ext n _ _ E), E, sum_scal, Hs by exact Hy. pose proof (exp_pos (1 / 2 / tau)). field. lra.
  - apply (Move mu); [| exact H]. apply same_sym. apply (N12_nash_is_reference n tau P mu); assumption.
Qed.

(** ** N13: two responses *)

(** The SLiC loss of a pair as a function of d = h(1) - h(2). *)
Definition slic_pair tau p d : R := p * Rmax 0 (1 - tau * d) + (1 - p) * Rmax 0 (1 + tau * d).

Lemma slic_two tau P mu nu lpi : is_pref 2 P ->
  slic_loss 2 tau P mu nu lpi
  = nu 0%nat ^ 2 + nu 1%nat ^ 2
    + 2 * nu 0%nat * nu 1%nat * slic_pair tau (P 0%nat 1%nat) (logratio mu lpi 0 - logratio mu lpi 1).
Proof.
  intro HP. pose proof (HP 0%nat 1%nat ltac:(lia) ltac:(lia)) as H01.
  unfold slic_loss, pair_expect, expect, slic_pair; simpl.
  rewrite !Rminus_eq_0, !Rmult_0_r, Rminus_0_r, Rplus_0_r, Rmax_right by lra.
  replace (P 1%nat 0%nat) with (1 - P 0%nat 1%nat) by lra.
  set (d := logratio mu lpi 0 - logratio mu lpi 1).
  replace (logratio mu lpi 1 - logratio mu lpi 0) with (- d) by (unfold d; ring).
  replace (1 - tau * - d) with (1 + tau * d) by ring. replace (1 + tau * - d) with (1 - tau * d) by ring. ring.
Qed.

(** N13.  For 1/2 < p < 1 the loss has one minimum, at h(1) - h(2) = 1/tau, whatever p is. *)
Theorem N13_two_responses tau p d : 0 < tau -> 1 / 2 < p < 1 -> d <> 1 / tau ->
  slic_pair tau p (1 / tau) < slic_pair tau p d.
Proof.
  intros Ht Hp Hd. unfold slic_pair. replace (tau * (1 / tau)) with 1 by (field; lra).
  set (x := tau * d). assert (Hx : x <> 1).
  { unfold x. intro E. apply Hd. apply (Rmult_eq_reg_l tau); [| lra]. rewrite E. field. lra. }
  rewrite Rminus_eq_0, (Rmax_left 0 0), (Rmax_right 0 (1 + 1)) by lra.
  pose proof (Rmax_l 0 (1 + x)). pose proof (Rmax_r 0 (1 + x)).
  pose proof (Rmax_l 0 (1 - x)). pose proof (Rmax_r 0 (1 - x)).
  set (u := Rmax 0 (1 - x)) in *. set (v := Rmax 0 (1 + x)) in *.
  destruct (Rlt_le_dec x 1) as [L | G]; nra.
Qed.

(** N13.  It is also the only place where the loss has no slope: the derivative in d is nonzero
    wherever it exists. *)
Theorem N13_slope tau p d : 0 < tau -> 1 / 2 < p < 1 ->
  (tau * d < -1 -> is_derive (slic_pair tau p) d (- (tau * p))) /\
  (-1 < tau * d < 1 -> is_derive (slic_pair tau p) d (- (tau * (2 * p - 1)))) /\
  (1 < tau * d -> is_derive (slic_pair tau p) d (tau * (1 - p))).
Proof.
  intros Ht Hp.
  assert (Right : forall x, tau * x < 1 -> is_derive (fun d => Rmax 0 (1 - tau * d)) x (- tau)).
  { intros x Hx. evar_last; [apply (is_derive_comp (fun u => Rmax 0 (1 - u)) (fun d => tau * d)) |].
    - apply hinge_derivative; exact Hx.
    - apply (is_derive_scal (fun d => d)). apply (is_derive_id x).
    - unfold scal, one; simpl; unfold mult, one; simpl; ring. }
  assert (Flat : forall x, 1 < tau * x -> is_derive (fun d => Rmax 0 (1 - tau * d)) x 0).
  { intros x Hx. apply (is_derive_ext_loc (fun _ => 0)); [| apply (is_derive_const 0)].
    assert (Hr : 0 < x - 1 / tau) by (apply Rlt_Rminus, (Rmult_lt_reg_l tau);
      [lra | replace (tau * (1 / tau)) with 1 by (field; lra); lra]).
    exists (mkposreal _ Hr). intros u Hu.
    unfold ball in Hu; simpl in Hu; unfold AbsRing_ball in Hu; simpl in Hu.
    unfold abs, minus, plus, opp in Hu; simpl in Hu. apply Rabs_lt_between in Hu.
    assert (1 < tau * u).
    { replace 1 with (tau * (1 / tau)) by (field; lra). apply Rmult_lt_compat_l; lra. }
    rewrite Rmax_left; lra. }
  assert (Mirror : forall x s, is_derive (fun d => Rmax 0 (1 - tau * d)) (- x) s ->
                    is_derive (fun d => Rmax 0 (1 + tau * d)) x (- s)).
  { intros x s H. apply (is_derive_ext (fun d => Rmax 0 (1 - tau * - d))); [intro t; f_equal; ring |].
    evar_last; [apply (is_derive_comp (fun d => Rmax 0 (1 - tau * d)) (fun d => - d) x s (-1)); [exact H |] |].
    - auto_derive; [exact I | ring].
    - unfold scal; simpl; unfold mult; simpl; ring. }
  assert (Sum : forall x s s', is_derive (fun d => Rmax 0 (1 - tau * d)) x s ->
            is_derive (fun d => Rmax 0 (1 + tau * d)) x s' -> is_derive (slic_pair tau p) x (p * s + (1 - p) * s')).
  { intros x s s' H H'.
    apply (is_derive_plus (fun d => p * Rmax 0 (1 - tau * d)) (fun d => (1 - p) * Rmax 0 (1 + tau * d)));
      apply is_derive_scal; assumption. }
  split; [| split]; intro H.
  - evar_last; [apply Sum; [apply Right; lra | apply Mirror, Flat; lra] |]. ring.
  - evar_last; [apply Sum; [apply Right; lra | apply Mirror, Right; lra] |]. ring.
  - evar_last; [apply Sum; [apply Flat; lra | apply Mirror, Right; lra] |]. ring.
Qed.

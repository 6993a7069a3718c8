(** * Rates of section 4: MMD, OMD and EGPO linearly, last iterate; multiplicative weights on average; the identity N11.

    Every step is linear in logarithms: log p = a log pi + b log mu + eta P w + const, a + b = 1. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate NashMD Existence.
Open Scope R_scope.

(** EGPO, half step then full step: log pi_half = (1-eta tau) log pi + eta tau log mu + eta P pi + const,
    log pi_plus = (1-eta tau) log pi + eta tau log mu + eta P pi_half + const. *)
Definition egpo_half n eta tau P mu (pi : nat -> R) : nat -> R := omd_step n eta tau P mu pi.
Definition egpo_step n eta tau P mu (pi : nat -> R) : nat -> R :=
  gibbs n mu (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * win n P (egpo_half n eta tau P mu pi) y).

(** Divergences to a policy that is linear in logarithms. *)
Lemma kl_log_linear n P mu pi w p a b eta c nu rho : a + b = 1 ->
  (forall y, (y < n)%nat -> ln (p y) = a * ln (pi y) + b * ln (mu y) + eta * win n P w y + c) ->
  sum n nu = 1 -> sum n rho = 1 ->
  KL n nu p - KL n rho p =
    a * (KL n nu pi - KL n rho pi) + b * (KL n nu mu - KL n rho mu) - eta * (beats n P nu w - beats n P rho w).
Proof.
  intros Hab L Sn Sr.
  assert (E : forall x, sum n x = 1 -> KL n x p = a * KL n x pi + b * KL n x mu - eta * beats n P x w - c).
  { intros x Sx. unfold KL, beats, expect. replace c with (sum n (fun y => x y * c)) by (rewrite sum_scal_r, Sx; ring).
    rewrite <- !sum_scal, <- sum_plus, <- !sum_minus. apply sum_ext. intros y Hy. rewrite L by exact Hy.
    replace a with (1 - b) by lra. ring. }
  rewrite (E nu Sn), (E rho Sr). ring.
Qed.

(** The oscillation of P u is at most ||u||_1. *)
Lemma osc_win_l1 n P u : (0 < n)%nat -> pref n P -> osc n (win n P u) <= sum n (fun y => Rabs (u y)).
Proof.
  intros Hn [_ HP]. apply osc_le; [exact Hn |]. intros i j Hi Hj. unfold win. rewrite <- sum_minus. apply sum_le. intros z Hz.
  pose proof (HP i z Hi Hz). pose proof (HP j z Hj Hz).
  replace (P i z * u z - P j z * u z) with ((P i z - P j z) * u z) by ring.
  eapply Rle_trans; [apply Rle_abs |]. rewrite Rabs_mult.
  assert (Rabs (P i z - P j z) <= 1) by (apply Rabs_le; lra). pose proof (Rabs_pos (u z)). nra.
Qed.

Section Rates.

Variables (n : nat) (eta tau : R) (P : nat -> nat -> R) (mu q : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis eta_pos : 0 < eta.
Hypothesis P_unit : pref n P.
Hypothesis mu_policy : policy n mu.
Hypothesis q_nash : is_nash n tau P mu q.

Let P_pref : is_pref n P := proj1 P_unit.
Let q_policy : policy n q := nash_policy n tau P mu q mu_policy q_nash.

Local Notation mmd := (mmd_step n eta tau P mu).
Local Notation omd := (omd_step n eta tau P mu).

Lemma b_pos : 0 < eta * tau.
Proof. apply Rmult_lt_0_compat; assumption. Qed.

Lemma mu_gibbs_policy f : policy n (gibbs n mu f).
Proof. apply gibbs_policy; [apply (policy_n_pos n mu mu_policy) | apply mu_policy]. Qed.

(** P(q > w) - 1/2 in terms of divergences. *)
Lemma nash_advantage w : dist n w -> beats n P q w - 1 / 2 = tau * (KL n w q + KL n q mu - KL n w mu).
Proof. intro Hw. pose proof (J_of_nash n tau P mu tau_pos P_pref mu_policy q w q_nash Hw) as E. unfold J in E. lra. Qed.

Lemma mmd_log pi : exists c, forall y, (y < n)%nat -> ln (mmd pi y) =
  / (1 + eta * tau) * ln (pi y) + eta * tau / (1 + eta * tau) * ln (mu y) + eta / (1 + eta * tau) * win n P pi y + c.
Proof.
  destruct (gibbs_log_const n mu (fun y => (ln (pi y) - ln (mu y) + eta * win n P pi y) / (1 + eta * tau)) mu_policy) as [c L].
  exists c. intros y Hy. pose proof b_pos. unfold mmd_step. rewrite (L y Hy). field. lra.
Qed.

Lemma omd_log pi : exists c, forall y, (y < n)%nat -> ln (omd pi y) =
  (1 - eta * tau) * ln (pi y) + eta * tau * ln (mu y) + eta * win n P pi y + c.
Proof.
  destruct (gibbs_log_const n mu (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * win n P pi y) mu_policy) as [c L].
  exists c. intros y Hy. unfold omd_step. rewrite (L y Hy). ring.
Qed.

(** N11.  With pi_hat proportional to pi exp(eta P pi) and psi = log E_pi e^(eta(P pi - 1/2)):
    (1+eta tau) KL(q,pi_plus) + eta tau KL(pi_plus||mu)
      = KL(q,pi) + eta tau KL(pi||mu) + psi - eta tau KL(pi||q) - KL(pi_plus||pi_hat),  psi <= eta^2/24. *)
Theorem N11_identity pi : policy n pi ->
  let pi_hat := gibbs n pi (fun y => eta * win n P pi y) in
  let psi := log_moment n P eta pi in
  (1 + eta * tau) * KL n q (mmd pi) + eta * tau * KL n (mmd pi) mu =
    KL n q pi + eta * tau * KL n pi mu + psi - eta * tau * KL n pi q - KL n (mmd pi) pi_hat /\ psi <= eta ^ 2 / 24.
Proof.
  intros Hp pi_hat psi. pose proof (policy_dist n pi Hp) as Dp. pose proof (policy_n_pos n pi Hp) as Hn. pose proof b_pos.
  split; [| apply (N9_subgaussian n P pi P_unit Dp eta)].
  destruct (mmd_log pi) as [c L]. pose proof (mu_gibbs_policy (fun y => (ln (pi y) - ln (mu y) + eta * win n P pi y) / (1 + eta * tau))) as Hm.
  fold (mmd pi) in Hm. set (m := mmd pi) in *.
  pose proof (kl_log_linear n P mu pi pi m (/ (1 + eta * tau)) (eta * tau / (1 + eta * tau)) (eta / (1 + eta * tau)) c q m
    ltac:(field; lra) L (proj2 q_policy) (proj2 Hm)) as E. rewrite kl_self, Rminus_0_r in E.
  apply (Rmult_eq_compat_l (1 + eta * tau)) in E.
  replace ((1 + eta * tau) * (/ (1 + eta * tau) * (KL n q pi - KL n m pi) + eta * tau / (1 + eta * tau) * (KL n q mu - KL n m mu)
      - eta / (1 + eta * tau) * (beats n P q pi - beats n P m pi)))
    with (KL n q pi - KL n m pi + eta * tau * (KL n q mu - KL n m mu) - eta * (beats n P q pi - beats n P m pi)) in E by (field; lra).
  assert (H1 : KL n m pi_hat = KL n m pi - eta * beats n P m pi + eta / 2 + psi).
  { unfold pi_hat. rewrite kl_gibbs by (exact Hn || apply Hp || apply Hm). rewrite expect_scal. fold (beats n P m pi).
    rewrite (gibbs_norm_moment n P eta pi Hp). fold psi. ring. }
  pose proof (nash_advantage pi Dp) as A. apply (Rmult_eq_compat_l eta) in A. lra.
Qed.

(** MMD contracts KL(q, .) by 1 / (1 + eta tau) for eta <= 4 tau, from any start. *)
Theorem R3_MMD_linear_rate pi : policy n pi -> eta <= 4 * tau -> (1 + eta * tau) * KL n q (mmd pi) <= KL n q pi.
Proof.
  intros Hp Hstep. pose proof (policy_dist n pi Hp) as Dp. pose proof b_pos.
  destruct (mmd_log pi) as [c L]. pose proof (mu_gibbs_policy (fun y => (ln (pi y) - ln (mu y) + eta * win n P pi y) / (1 + eta * tau))) as Hm.
  fold (mmd pi) in Hm. set (m := mmd pi) in *. pose proof (policy_dist n m Hm) as Dm.
  pose proof (kl_log_linear n P mu pi pi m (/ (1 + eta * tau)) (eta * tau / (1 + eta * tau)) (eta / (1 + eta * tau)) c q m
    ltac:(field; lra) L (proj2 q_policy) (proj2 Hm)) as E. rewrite kl_self, Rminus_0_r in E.
  apply (Rmult_eq_compat_l (1 + eta * tau)) in E.
  replace ((1 + eta * tau) * (/ (1 + eta * tau) * (KL n q pi - KL n m pi) + eta * tau / (1 + eta * tau) * (KL n q mu - KL n m mu)
      - eta / (1 + eta * tau) * (beats n P q pi - beats n P m pi)))
    with (KL n q pi - KL n m pi + eta * tau * (KL n q mu - KL n m mu) - eta * (beats n P q pi - beats n P m pi)) in E by (field; lra).
  pose proof (nash_advantage m Dm) as A. apply (Rmult_eq_compat_l eta) in A.
  pose proof (beats_self n P m P_pref (proj2 Hm)) as Half.
  (* what is left of the game is <q - m, P (m - pi)> *)
  assert (X : (1 + eta * tau) * KL n q m = KL n q pi - KL n m pi - eta * tau * KL n m q
    + eta * beats n P (fun y => q y - m y) (fun y => m y - pi y)).
  { rewrite beats_minus_l, !beats_minus_r. rewrite Half. lra. }
  pose proof (beats_l1 n P (fun y => q y - m y) (fun y => m y - pi y) P_unit
    ltac:(rewrite sum_minus; destruct q_policy, Hm; lra) ltac:(rewrite sum_minus; destruct Hp, Hm; lra)) as B.
  cbv beta in B. fold (l1 n q m) in B. fold (l1 n m pi) in B. rewrite (l1_sym n q m) in B.
  pose proof (E3_pinsker n m q Dm q_policy) as K1. pose proof (E3_pinsker n m pi Dm Hp) as K2.
  set (s := l1 n m q) in *. set (t := l1 n m pi) in *. pose proof (l1_nonneg n m q) as Hs. fold s in Hs.
  assert (Y : eta * (s * t / 2) <= t ^ 2 / 2 + eta * tau * (s ^ 2 / 2)).
  { assert (0 <= (t - eta * s / 2) ^ 2) by apply pow2_ge_0.
    assert (0 <= eta * (4 * tau - eta) * s ^ 2) by (apply Rmult_le_pos; [apply Rmult_le_pos; lra | apply pow2_ge_0]). lra. }
  apply (Rmult_le_compat_l eta) in B; [| lra].
  assert (eta * tau * (s ^ 2 / 2) <= eta * tau * KL n m q) by (apply Rmult_le_compat_l; lra). lra.
Qed.

(** EGPO contracts KL(q, .) by 1 - eta tau whenever eta^2 / 4 <= 1 - eta tau, from any start. *)
Theorem R3_EGPO_linear_rate pi : policy n pi -> eta ^ 2 / 4 <= 1 - eta * tau ->
  KL n q (egpo_step n eta tau P mu pi) <= (1 - eta * tau) * KL n q pi.
Proof.
  intros Hp Hstep. pose proof b_pos.
  destruct (omd_log pi) as [c L].
  destruct (gibbs_log_const n mu (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * win n P (egpo_half n eta tau P mu pi) y) mu_policy) as [d M].
  pose proof (mu_gibbs_policy (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * win n P pi y)) as Hh.
  fold (omd pi) in Hh. change (omd pi) with (egpo_half n eta tau P mu pi) in L, Hh. set (h := egpo_half n eta tau P mu pi) in *.
  pose proof (mu_gibbs_policy (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * win n P h y)) as Hf.
  change (gibbs n mu (fun y => (1 - eta * tau) * (ln (pi y) - ln (mu y)) + eta * win n P h y)) with (egpo_step n eta tau P mu pi) in M, Hf.
  set (f := egpo_step n eta tau P mu pi) in *. pose proof (policy_dist n h Hh) as Dh.
  pose proof (kl_log_linear n P mu pi h f (1 - eta * tau) (eta * tau) eta d q h ltac:(ring)
    ltac:(intros y Hy; rewrite (M y Hy); ring) (proj2 q_policy) (proj2 Hh)) as E.
  pose proof (nash_advantage h Dh) as A. apply (Rmult_eq_compat_l eta) in A.
  pose proof (beats_self n P h P_pref (proj2 Hh)) as Half.
  assert (X : KL n q f = (1 - eta * tau) * (KL n q pi - KL n h pi) - eta * tau * KL n h q + KL n h f) by (rewrite Half in E; lra).
  (* full and half step differ by eta P (h - pi) *)
  assert (D : KL n h f <= eta ^ 2 * l1 n h pi ^ 2 / 8).
  { set (g := fun y => eta * win n P (fun z => h z - pi z) y).
    assert (Lg : same n f (gibbs n h g)).
    { apply (gibbs_unique n h (policy_n_pos n h Hh) (proj1 Hh) g f (d - c) Hf). intros y Hy. unfold g.
      rewrite (M y Hy), (L y Hy), win_minus. ring. }
    rewrite (kl_same n h f h (gibbs n h g)) by ((intros y _; reflexivity) || exact Lg).
    rewrite kl_gibbs by (apply (policy_n_pos n h Hh) || apply Hh). rewrite kl_self.
    pose proof (hoeffding n h g Dh) as Hoeff. change (gibbs_norm n h g) with (expect n h (fun y => exp (g y))).
    assert (O : osc n g <= eta * l1 n h pi).
    { apply osc_le; [apply (policy_n_pos n h Hh) |]. intros i j Hi Hj. unfold g.
      pose proof (osc_pair n (win n P (fun z => h z - pi z)) i j Hi Hj) as O1.
      pose proof (osc_win_l1 n P (fun z => h z - pi z) (policy_n_pos n h Hh) P_unit) as O2. fold (l1 n h pi) in O2.
      rewrite <- Rmult_minus_distr_l. apply Rmult_le_compat_l; [lra |]. cbv beta in O2. fold (l1 n h pi) in O2. lra. }
    pose proof (osc_nonneg n g (policy_n_pos n h Hh)).
    assert (osc n g ^ 2 <= (eta * l1 n h pi) ^ 2) by (apply pow_incr; lra). lra. }
  pose proof (E3_pinsker n h pi Dh Hp) as Pk. pose proof (kl_nonneg n h q Dh q_policy) as K0.
  pose proof (kl_nonneg n h pi Dh Hp) as K1.
  assert (eta ^ 2 * l1 n h pi ^ 2 <= eta ^ 2 * (2 * KL n h pi)) by (apply Rmult_le_compat_l; [apply pow2_ge_0 | exact Pk]).
  assert (eta ^ 2 / 4 * KL n h pi <= (1 - eta * tau) * KL n h pi) by (apply Rmult_le_compat_r; lra).
  assert (0 <= eta * tau * KL n h q) by (apply Rmult_le_pos; lra). lra.
Qed.

(** ... in particular for eta <= 1 / (tau + 1). *)
Theorem R3_EGPO_linear_rate_published pi : policy n pi -> eta <= 1 / (tau + 1) ->
  KL n q (egpo_step n eta tau P mu pi) <= (1 - eta * tau) * KL n q pi.
Proof.
  intros Hp Hstep. apply R3_EGPO_linear_rate; [exact Hp |].
  apply (Rmult_le_compat_r (tau + 1)) in Hstep; [| lra].
  replace (1 / (tau + 1) * (tau + 1)) with 1 in Hstep by (field; lra). pose proof b_pos. nra.
Qed.

End Rates.

(** OMD(eta) is MMD(eta / (1 - eta tau)). *)
Theorem R3_OMD_is_MMD n eta tau P mu pi : 0 < tau -> 0 < eta -> eta * tau < 1 -> policy n mu ->
  same n (omd_step n eta tau P mu pi) (mmd_step n (eta / (1 - eta * tau)) tau P mu pi).
Proof.
  intros Ht He Hb Hmu. apply gibbs_ext; [apply (policy_n_pos n mu Hmu) | apply Hmu |]. intros y _. field.
  split; [lra |]. replace (1 - eta * tau + eta * tau) with 1 by ring. lra.
Qed.

(** OMD contracts KL(q, .) by 1 - eta tau for eta <= 4 tau / (1 + 4 tau^2), from any start. *)
Theorem R3_OMD_linear_rate n eta tau P mu q pi : 0 < tau -> 0 < eta -> pref n P -> policy n mu -> is_nash n tau P mu q ->
  policy n pi -> eta <= 4 * tau / (1 + 4 * tau ^ 2) ->
  KL n q (omd_step n eta tau P mu pi) <= (1 - eta * tau) * KL n q pi.
Proof.
  intros Ht He HP Hmu N Hp Hstep.
  assert (S : eta * (1 + 4 * tau ^ 2) <= 4 * tau).
  { apply (Rmult_le_compat_r (1 + 4 * tau ^ 2)) in Hstep; [| nra].
    replace (4 * tau / (1 + 4 * tau ^ 2) * (1 + 4 * tau ^ 2)) with (4 * tau) in Hstep by (field; nra). exact Hstep. }
  assert (Hb : eta * tau < 1) by nra.
  set (e := eta / (1 - eta * tau)). assert (He' : 0 < e) by (apply Rdiv_lt_0_compat; lra).
  assert (Hs : e <= 4 * tau).
  { apply Rmult_le_reg_r with (1 - eta * tau); [lra |]. unfold e.
    replace (eta / (1 - eta * tau) * (1 - eta * tau)) with eta by (field; lra). nra. }
  pose proof (R3_MMD_linear_rate n e tau P mu q Ht He' HP Hmu N pi Hp Hs) as M.
  rewrite (kl_same n q _ q (mmd_step n e tau P mu pi));
    [| intros y _; reflexivity | apply R3_OMD_is_MMD; assumption].
  apply (Rmult_le_compat_l (1 - eta * tau)) in M; [| lra].
  replace ((1 - eta * tau) * ((1 + e * tau) * KL n q (mmd_step n e tau P mu pi)))
    with (KL n q (mmd_step n e tau P mu pi)) in M by (unfold e; field; lra). exact M.
Qed.

(** ** Multiplicative weights (SPPO), tau = 0 *)

(** pi_plus proportional to pi exp(eta P pi). *)
Definition mwu_step n eta P (pi : nat -> R) : nat -> R := gibbs n pi (fun y => eta * win n P pi y).
Definition uniform n (_ : nat) : R := / INR n.
Fixpoint mwu_iterate n eta P (t : nat) : nat -> R :=
  match t with O => uniform n | S k => mwu_step n eta P (mwu_iterate n eta P k) end.

Lemma uniform_policy n : (0 < n)%nat -> policy n (uniform n).
Proof.
  intro Hn. assert (0 < INR n) by (apply lt_0_INR, Hn). split.
  - intros y _. apply Rinv_0_lt_compat. assumption.
  - unfold uniform. rewrite sum_const. field. lra.
Qed.

Lemma kl_uniform n p : dist n p -> KL n p (uniform n) <= ln (INR n).
Proof.
  intros Hp. pose proof Hp as [Pos S]. pose proof (lt_0_INR n (dist_n_pos n p Hp)) as Hn.
  replace (ln (INR n)) with (sum n (fun y => p y * ln (INR n))) by (rewrite sum_scal_r, S; ring).
  apply sum_le. intros y Hy. unfold uniform. rewrite ln_Rinv by exact Hn.
  destruct (Pos y Hy) as [H | H]; [| rewrite <- H; lra].
  pose proof (ln_le_mono (p y) 1 H (dist_le_one n p y Hp Hy)) as L. rewrite ln_1 in L.
  apply Rmult_le_compat_l; lra.
Qed.

Lemma mwu_policy n eta P t : (0 < n)%nat -> policy n (mwu_iterate n eta P t).
Proof.
  intro Hn. induction t as [| t IH]; [apply uniform_policy, Hn |]. apply gibbs_policy; [exact Hn | apply IH].
Qed.

(** The average of T iterates of multiplicative weights from the uniform policy is beaten by nobody by more than
    log n / (eta T) + eta / 24. *)
Theorem R3_SPPO_average_gap n eta P T p : (0 < T)%nat -> 0 < eta -> pref n P -> dist n p ->
  beats n P p (average T (mwu_iterate n eta P)) - 1 / 2 <= ln (INR n) / (eta * INR T) + eta / 24.
Proof.
  intros HT He HP Hp. pose proof (dist_n_pos n p Hp) as Hn. set (x := mwu_iterate n eta P).
  assert (Hx : forall t, policy n (x t)) by (intro t; apply mwu_policy, Hn).
  assert (HIT : 0 < INR T) by (apply lt_0_INR, HT).
  assert (Regret : forall t, eta * sum t (fun k => beats n P p (x k) - 1 / 2)
    <= KL n p (uniform n) - KL n p (x t) + INR t * (eta ^ 2 / 24)).
  { induction t as [| t IH]; [change (x 0%nat) with (uniform n); simpl; lra |]. rewrite S_INR. cbn [sum].
    assert (E : KL n p (x (S t)) = KL n p (x t) - eta * (beats n P p (x t) - 1 / 2) + log_moment n P eta (x t)).
    { change (x (S t)) with (gibbs n (x t) (fun y => eta * win n P (x t) y)).
      rewrite kl_gibbs by (exact Hn || apply Hx || apply Hp). rewrite expect_scal. fold (beats n P p (x t)).
      rewrite gibbs_norm_moment by apply Hx. field. }
    pose proof (N9_subgaussian n P (x t) HP (policy_dist n _ (Hx t)) eta) as B. fold (log_moment n P eta (x t)) in B. lra. }
  pose proof (average_policy n T x HT Hx) as Ha.
  assert (Bt : beats n P p (average T x) - 1 / 2 = sum T (fun k => beats n P p (x k) - 1 / 2) / INR T).
  { pose proof (fun v => beats_as_expect n P p v (proj1 HP) (proj2 Hp)) as E.
    rewrite (E (average T x) (proj2 Ha)), average_expect.
    rewrite (sum_ext T (fun k => beats n P p (x k) - 1 / 2) (fun k => 1 / 2 - expect n (x k) (win n P p)))
      by (intros k _; rewrite (E (x k) (proj2 (Hx k))); field).
    rewrite sum_minus, sum_const. field. lra. }
  rewrite Bt. pose proof (Regret T) as Rg. pose proof (kl_nonneg n p (x T) Hp (Hx T)). pose proof (kl_uniform n p Hp).
  apply Rmult_le_reg_l with (eta * INR T); [apply Rmult_lt_0_compat; assumption |].
  replace (eta * INR T * (sum T (fun k => beats n P p (x k) - 1 / 2) / INR T))
    with (eta * sum T (fun k => beats n P p (x k) - 1 / 2)) by (field; lra).
  replace (eta * INR T * (ln (INR n) / (eta * INR T) + eta / 24)) with (ln (INR n) + INR T * (eta ^ 2 / 24)) by (field; lra).
  lra.
Qed.

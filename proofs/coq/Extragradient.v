(** * Extragradient with the step that needs no tuning (N26).

    half: pi' proportional to (pi mu^(eta tau) e^(eta P pi))^(1/(1 + eta tau)); full: the same with P pi'.  One step obeys
    an exact identity of divergences, and eta = 2 (tau + sqrt(1 + tau^2)) makes the game term vanish in the rest. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate KlBudget.
Open Scope R_scope.

(** log of the step: (log pi + eta tau log mu + eta P nu)/(1 + eta tau) up to a constant. *)
Definition pulled n eta tau P (mu pi nu : nat -> R) : nat -> R :=
  gibbs n mu (fun y => (ln (pi y) - ln (mu y) + eta * win n P nu y) / (1 + eta * tau)).

Definition extragradient n eta tau P mu pi : nat -> R := pulled n eta tau P mu pi (pulled n eta tau P mu pi pi).

Section Extragradient.

Variables (n : nat) (tau eta : R) (P : nat -> nat -> R) (mu : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis eta_pos : 0 < eta.
Hypothesis P_pref : is_pref n P.
Hypothesis mu_policy : policy n mu.

Lemma pulled_policy pi nu : policy n (pulled n eta tau P mu pi nu).
Proof. apply gibbs_policy; [apply (policy_n_pos n mu mu_policy) | apply mu_policy]. Qed.

(** (1 + eta tau) KL(p || step) = KL(p || pi) + eta tau KL(p || mu) - eta P(p > nu) + const, the same for every p. *)
Lemma pulled_divergence pi nu : policy n pi -> exists c, forall p, dist n p ->
  (1 + eta * tau) * KL n p (pulled n eta tau P mu pi nu)
  = KL n p pi + eta * tau * KL n p mu - eta * beats n P p nu + c.
Proof.
  intros Hpi. assert (D : 0 < 1 + eta * tau) by nra.
  set (f := fun y => (ln (pi y) - ln (mu y) + eta * win n P nu y) / (1 + eta * tau)).
  exists ((1 + eta * tau) * ln (gibbs_norm n mu f)). intros p [_ Sp].
  unfold pulled. fold f. rewrite kl_gibbs;
    [| apply (policy_n_pos n mu mu_policy) | apply mu_policy | exact Sp].
  assert (E : (1 + eta * tau) * expect n p f = KL n p mu - KL n p pi + eta * beats n P p nu).
  { unfold KL, beats. rewrite <- !expect_scal, <- sum_minus. unfold expect. rewrite <- sum_plus. apply sum_ext.
    intros y _. unfold f. field. lra. }
  nra.
Qed.

(** N26, the identity. *)
Theorem N26_identity q pi : is_nash n tau P mu q -> policy n pi ->
  let half := pulled n eta tau P mu pi pi in
  let next := extragradient n eta tau P mu pi in
  (1 + eta * tau) * KL n q next
  = KL n q pi - eta * tau * KL n half q - (1 + eta * tau) * KL n next half - KL n half pi
    + eta * beats n P (fun y => next y - half y) (fun y => half y - pi y).
Proof.
  intros N Hpi half next.
  pose proof (policy_dist n q (nash_policy n tau P mu q mu_policy N)) as Hq.
  pose proof (pulled_policy pi pi) as Hh. fold half in Hh. pose proof (policy_dist n half Hh) as Dh.
  pose proof (pulled_policy pi half) as Hn. fold next in Hn. pose proof (policy_dist n next Hn) as Dn.
  change (pulled n eta tau P mu pi half) with next in Hn, Dn.
  destruct (pulled_divergence pi half Hpi) as [c C]. change (pulled n eta tau P mu pi half) with next in C.
  destruct (pulled_divergence pi pi Hpi) as [d D]. fold half in D.
  pose proof (C q Hq) as Cq. pose proof (C next Dn) as Cn. rewrite kl_self in Cn.
  pose proof (D next Dn) as Dnext. pose proof (D half Dh) as Dhalf. rewrite kl_self in Dhalf.
  pose proof (N23_win_rate_against_the_equilibrium n tau P mu tau_pos P_pref mu_policy q half N Dh) as W.
  pose proof (beats_constant_sum n P half q P_pref (proj2 Dh) (proj2 Hq)) as T.
  pose proof (beats_self n P half P_pref (proj2 Dh)) as S.
  rewrite beats_minus_l, !beats_minus_r. nra.
Qed.

(** The proximal step from nu, pi = argmax of the game with a penalty KL(. || nu)/eta, which no one takes exactly. *)
Theorem N26_proximal_step q nu pi : is_nash n tau P mu q -> policy n nu ->
  (forall y, (y < n)%nat -> pi y = pulled n eta tau P mu nu pi y) ->
  KL n q nu = (1 + eta * tau) * KL n q pi + eta * tau * KL n pi q + KL n pi nu.
Proof.
  intros N Hnu Fix.
  pose proof (policy_dist n q (nash_policy n tau P mu q mu_policy N)) as Hq.
  assert (Hpi : policy n pi).
  { pose proof (pulled_policy nu pi) as [Pos S]. split; [intros y Hy; rewrite Fix by exact Hy; apply Pos, Hy |].
    rewrite <- S. apply sum_ext, Fix. }
  pose proof (policy_dist n pi Hpi) as Dpi. destruct (pulled_divergence nu pi Hnu) as [c C].
  assert (E : forall p, KL n p (pulled n eta tau P mu nu pi) = KL n p pi).
  { intro p. apply kl_same; [intros y _; reflexivity | intros y Hy; symmetry; apply Fix, Hy]. }
  pose proof (C q Hq) as Cq. pose proof (C pi Dpi) as Cp. rewrite E in Cq, Cp. rewrite kl_self in Cp.
  pose proof (N23_win_rate_against_the_equilibrium n tau P mu tau_pos P_pref mu_policy q pi N Dpi) as W.
  pose proof (beats_constant_sum n P pi q P_pref (proj2 Dpi) (proj2 Hq)) as T.
  pose proof (beats_self n P pi P_pref (proj2 Dpi)) as S. nra.
Qed.

End Extragradient.

(** Any step with eta^2 <= 4 (1 + eta tau) divides KL(q || pi) by 1 + eta tau, from any start. *)
Theorem N26_any_step n tau eta P mu q pi : 0 < tau -> 0 < eta -> eta ^ 2 <= 4 * (1 + eta * tau) ->
  pref n P -> policy n mu -> is_nash n tau P mu q -> policy n pi ->
  (1 + eta * tau) * KL n q (extragradient n eta tau P mu pi) <= KL n q pi.
Proof.
  intros Ht Heta Small HP Hmu N Hpi.
  pose proof (N26_identity n tau eta P mu Ht Heta (proj1 HP) Hmu q pi N Hpi) as I. cbv zeta in I.
  pose proof (nash_policy n tau P mu q Hmu N) as Hq.
  set (half := pulled n eta tau P mu pi pi) in *. set (next := extragradient n eta tau P mu pi) in *.
  pose proof (pulled_policy n tau eta P mu Hmu pi pi) as Hh. fold half in Hh.
  pose proof (pulled_policy n tau eta P mu Hmu pi half) as Hn. change (pulled n eta tau P mu pi half) with next in Hn.
  pose proof (beats_l1 n P (fun y => next y - half y) (fun y => half y - pi y) HP) as B.
  rewrite !sum_minus, (proj2 Hn), (proj2 Hh), (proj2 Hpi) in B. specialize (B ltac:(ring) ltac:(ring)).
  fold (l1 n next half) in B. fold (l1 n half pi) in B.
  pose proof (E3_pinsker n next half (policy_dist n next Hn) Hh) as P1.
  pose proof (E3_pinsker n half pi (policy_dist n half Hh) Hpi) as P2.
  pose proof (kl_nonneg n half q (policy_dist n half Hh) Hq) as K.
  pose proof (l1_nonneg n next half) as L1. pose proof (l1_nonneg n half pi) as L2.
  rewrite I.
  assert (Y : eta * (l1 n next half * l1 n half pi / 2) <= (1 + eta * tau) * KL n next half + KL n half pi).
  { pose proof (pow2_ge_0 (eta / 2 * l1 n next half - l1 n half pi)) as Sq.
    assert ((eta / 2 * l1 n next half - l1 n half pi) ^ 2
            = (eta / 2) ^ 2 * l1 n next half ^ 2 - eta * (l1 n next half * l1 n half pi) + l1 n half pi ^ 2) as X by field.
    rewrite X in Sq. assert (0 < 1 + eta * tau) by nra.
    pose proof (Rmult_le_compat_l (1 + eta * tau) _ _ ltac:(lra) P1).
    pose proof (Rmult_le_compat_r (l1 n next half ^ 2) _ _ (pow2_ge_0 _)
      (ltac:(lra) : (eta / 2) ^ 2 <= 1 + eta * tau)). lra. }
  pose proof (Rmult_le_compat_l eta _ _ ltac:(lra) B) as GB.
  assert (0 <= eta * tau * KL n half q) by (apply Rmult_le_pos; [nra | exact K]). lra.
Qed.

(** With eta = 2: the rate (1 + 2 tau)^(-N/2) in N questions. *)
Corollary N26_mirror_prox n tau P mu q pi : 0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q -> policy n pi ->
  (1 + 2 * tau) * KL n q (extragradient n 2 tau P mu pi) <= KL n q pi.
Proof. intros Ht HP Hmu N Hpi. apply N26_any_step; try assumption; lra. Qed.

(** N26, the rate: with eta = 2 (tau + sqrt(1 + tau^2)), the largest of these, every step divides KL(q || pi) by
    (tau + sqrt(1 + tau^2))^2, which is e^(2 arcsinh tau), from any start. *)
Theorem N26_rate n tau P mu q pi : 0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q -> policy n pi ->
  let eta := 2 * (tau + sqrt (1 + tau ^ 2)) in
  (tau + sqrt (1 + tau ^ 2)) ^ 2 * KL n q (extragradient n eta tau P mu pi) <= KL n q pi.
Proof.
  intros Ht HP Hmu N Hpi eta. set (s := sqrt (1 + tau ^ 2)).
  assert (Hs : 0 < s) by (apply sqrt_lt_R0; nra).
  assert (Es : s * s = 1 + tau ^ 2) by (apply sqrt_sqrt; nra).
  assert (Heta : 0 < eta) by (unfold eta; fold s; lra).
  assert (F : 1 + eta * tau = (tau + s) ^ 2) by (unfold eta; fold s; nra).
  rewrite <- F. apply N26_any_step; try assumption. rewrite F. unfold eta. fold s. apply Req_le. ring.
Qed.

(** * Runs on drawn comparisons: the rates of N24.

    A history is the list of the outcomes so far, the newest first.  After the history h the next outcome has the law E h:
    what is asked, whom it is compared with and who judges may depend on all that was seen. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat List.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate NashMD KlBudget Bandits Chance Pairs.
Import ListNotations.
Open Scope R_scope.

(** The mean of F over the histories T outcomes later than h. *)
Fixpoint runs {A : Type} (E : list A -> (A -> R) -> R) (T : nat) (h : list A) (F : list A -> R) : R :=
  match T with O => F h | S t => E h (fun x => runs E t (x :: h) F) end.

(** All outcomes are among those that count. *)
Definition possible {A : Type} (inside : A -> Prop) (h : list A) : Prop := List.Forall inside h.

(** x_(t+1) <= (t + s)/(t + s + 2) x_t + B/(t + s + 2)^2 gives x_T <= B/(T + s + 1); for s = 0 whatever x_0 is. *)
Lemma harmonic_rate (x : nat -> R) s B T : 0 <= s -> 0 <= B -> (1 <= T)%nat -> s = 0 \/ x 0%nat <= B / (s + 1) ->
  (forall t, x (S t) <= (INR t + s) / (INR t + s + 2) * x t + B / (INR t + s + 2) ^ 2) -> x T <= B / (INR T + s + 1).
Proof.
  intros Hs HB HT Start St.
  assert (Next : forall a, 0 <= a -> a / (a + 2) * (B / (a + 1)) + B / (a + 2) ^ 2 <= B / (a + 2)).
  { intros a Ha. replace (B / (a + 2)) with (a / (a + 2) * (B / (a + 1)) + B / (a + 2) ^ 2 + B / ((a + 1) * (a + 2) ^ 2)) by (field; lra).
    assert (0 <= B / ((a + 1) * (a + 2) ^ 2)); [| lra].
    apply Rdiv_le_0_compat; [exact HB | apply Rmult_lt_0_compat; [lra | apply pow_lt; lra]]. }
  assert (Later : forall t, x t <= B / (INR t + s + 1) -> x (S t) <= B / (INR (S t) + s + 1)).
  { intros t IH. pose proof (pos_INR t) as Ht. specialize (St t). specialize (Next (INR t + s) ltac:(lra)). rewrite S_INR.
    replace (INR t + 1 + s + 1) with (INR t + s + 2) by ring. eapply Rle_trans; [exact St |]. eapply Rle_trans; [| exact Next].
    apply Rplus_le_compat_r, Rmult_le_compat_l; [apply Rdiv_le_0_compat; lra | exact IH]. }
  destruct Start as [-> | Start].
  - destruct T as [| T]; [lia |]. clear HT. induction T as [| T IH]; [| apply Later, IH].
    pose proof (St 0%nat) as S0. specialize (Next 0 ltac:(lra)). simpl INR in *. unfold Rdiv in *. rewrite ?Rplus_0_l, ?Rplus_0_r in *.
    rewrite !Rmult_0_l, Rplus_0_l in *. replace (1 + 1) with 2 by ring. lra.
  - clear HT. induction T as [| T IH]; [simpl INR; rewrite Rplus_0_l; exact Start | apply Later, IH].
Qed.

Section Means.

Variables (A : Type) (inside : A -> Prop) (E : list A -> (A -> R) -> R).
Hypothesis E_mean : forall h, is_mean inside (E h).

Lemma runs_last T h F : runs E (S T) h F = runs E T h (fun h' => E h' (fun x => F (x :: h'))).
Proof.
  revert h. induction T as [| T IH]; intro h; [reflexivity |].
  change (runs E (S (S T)) h F) with (E h (fun x => runs E (S T) (x :: h) F)).
  simpl runs at 2. apply (mean_ext _ _ _ (E_mean h)). intros x _. apply IH.
Qed.

Lemma runs_le T F G h : possible inside h ->
  (forall h', length h' = (T + length h)%nat -> possible inside h' -> F h' <= G h') -> runs E T h F <= runs E T h G.
Proof.
  revert h. induction T as [| T IH]; intros h Hh L; simpl; [apply L; [reflexivity | exact Hh] |].
  apply (mean_le _ _ _ (E_mean h)). intros x Hx. apply IH; [constructor; assumption |].
  intros h' Eq. apply L. rewrite Eq. simpl. lia.
Qed.

Lemma runs_affine T F a b h : runs E T h (fun h' => a * F h' + b) = a * runs E T h F + b.
Proof.
  revert h. induction T as [| T IH]; intro h; simpl; [reflexivity |].
  rewrite (mean_ext _ _ _ (E_mean h) _ (fun x => a * runs E T (x :: h) F + b)) by (intros; apply IH).
  rewrite (mean_plus _ _ _ (E_mean h)), (mean_scal _ _ _ (E_mean h)), (mean_const _ _ _ (E_mean h)). reflexivity.
Qed.

(** A cost that falls like a step of N24 at eta_t = 2/(tau (t + 2 + s)) is on average at most 4 c/(tau^2 (T + s + 1)). *)
Lemma runs_rate V tau c s T : 0 < tau -> 0 <= c -> 0 <= s -> (1 <= T)%nat ->
  s = 0 \/ V [] <= 4 * c / tau ^ 2 / (s + 1) ->
  (forall h, possible inside h -> let eta := 2 / (tau * (INR (length h) + 2 + s)) in
    E h (fun x => V (x :: h)) <= (1 - eta * tau) * V h + c * eta ^ 2) ->
  runs E T [] V <= 4 * c / (tau ^ 2 * (INR T + s + 1)).
Proof.
  intros Ht Hc Hs HT Start St. pose proof (pos_INR T).
  replace (4 * c / (tau ^ 2 * (INR T + s + 1))) with (4 * c / tau ^ 2 / (INR T + s + 1)) by (field; lra).
  apply (harmonic_rate (fun t => runs E t [] V) s (4 * c / tau ^ 2) T Hs); [| exact HT | exact Start |].
  - apply Rdiv_le_0_compat; [lra | apply pow_lt, Ht].
  - intro t. pose proof (pos_INR t). rewrite runs_last. set (eta := 2 / (tau * (INR t + 2 + s))).
    eapply Rle_trans; [apply (runs_le t _ (fun h => (1 - eta * tau) * V h + c * eta ^ 2)); [constructor |] |].
    + intros h L Hh. rewrite Nat.add_0_r in L. pose proof (St h Hh) as B. cbv zeta in B. rewrite L in B. exact B.
    + rewrite runs_affine. right. unfold eta. field. lra.
Qed.

End Means.

Section Rates.

Variables (n : nat) (tau : R) (P : nat -> nat -> R) (mu q : nat -> R).
Hypothesis tau_pos : 0 < tau.
Hypothesis P_pref : pref n P.
Hypothesis mu_policy : policy n mu.
Hypothesis q_nash : is_nash n tau P mu q.

(** The probabilities of the outcomes after a history, and the policy. *)
Variables (K : nat) (w : list nat -> nat -> R) (pi : list nat -> nat -> R).
Hypothesis w_dist : forall h, dist K (w h).

Local Notation run T := (runs (fun h => expect K (w h)) T []).
Local Notation within h := (possible (fun k => (k < K)%nat) h).

Lemma law_mean h : is_mean (fun k => (k < K)%nat) (expect K (w h)).
Proof. apply finite_mean, w_dist. Qed.

Lemma step_size t s : 0 <= s -> let eta := 2 / (tau * (INR t + 2 + s)) in 0 < eta /\ eta * tau <= 1.
Proof.
  intros Hs eta. pose proof (pos_INR t). split; [apply Rdiv_lt_0_compat; [| apply Rmult_lt_0_compat]; lra |].
  unfold eta. replace (2 / (tau * (INR t + 2 + s)) * tau) with (2 / (INR t + 2 + s)) by (field; lra).
  apply Rmult_le_reg_r with (INR t + 2 + s); [lra |]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra.
Qed.

(** N24 (a).  Nash-MD that sees one opponent's column a step, eta_t = 2/(tau (t + 2)), from any start:
    E KL(q || pi_T) <= 1/(2 tau^2 (T + 1)). *)
Theorem N24_nash_md_rate (o : list nat -> nat -> nat -> R) T :
  let eta h := 2 / (tau * (INR (length h) + 2)) in
  let m h := geo_mix n (eta h * tau) mu (pi h) in
  (forall h k y, (k < K)%nat -> (y < n)%nat -> 0 <= o h k y <= 1) ->
  (forall h y, (y < n)%nat -> expect K (w h) (fun k => o h k y) = win n P (m h) y) ->
  policy n (pi []) ->
  (forall h k, (k < K)%nat -> pi (k :: h) = gibbs n (m h) (fun y => eta h * o h k y)) ->
  (1 <= T)%nat -> run T (fun h => KL n q (pi h)) <= 1 / (2 * tau ^ 2 * (INR T + 1)).
Proof.
  intros eta m Ho Mean Start Next HT. pose proof (pos_INR T).
  assert (Hpi : forall h, within h -> policy n (pi h)).
  { intros h Hh. destruct h as [| k h]; [exact Start |]. inversion Hh as [| k' h' Hk _]. rewrite (Next h k Hk).
    pose proof (geo_mix_policy n (eta h * tau) mu (pi h) mu_policy) as Hm. apply gibbs_policy; [apply (policy_n_pos n _ Hm) | apply Hm]. }
  replace (1 / (2 * tau ^ 2 * (INR T + 1))) with (4 * (1 / 8) / (tau ^ 2 * (INR T + 0 + 1))) by (field; lra).
  apply (runs_rate nat _ _ law_mean _ tau (1 / 8) 0 T tau_pos); [lra | lra | exact HT | left; reflexivity |].
  intros h Hh eta'. assert (E : eta' = eta h) by (unfold eta', eta; rewrite Rplus_0_r; reflexivity). rewrite E. clear eta' E.
  destruct (step_size (length h) 0 ltac:(lra)) as [He Het]. rewrite Rplus_0_r in He, Het. fold (eta h) in He, Het.
  rewrite (expect_ext K (w h) _ (fun k => KL n q (gibbs n (m h) (fun y => eta h * o h k y))))
    by (intros k Hk; rewrite (Next h k Hk); reflexivity).
  pose proof (N24_nash_md_step n tau (eta h) P mu tau_pos He (proj1 P_pref) mu_policy q (pi h) K (w h) (o h) q_nash (w_dist h)
    (Ho h) (Mean h)) as B. fold (m h) in B.
  pose proof (kl_nonneg n (m h) (pi h) (policy_dist n _ (geo_mix_policy n (eta h * tau) mu (pi h) mu_policy)) (Hpi h Hh)) as Pos.
  assert (0 <= (1 - eta h * tau) * KL n (m h) (pi h)) by (apply Rmult_le_pos; lra). lra.
Qed.

(** N24 (b).  Mirror descent that sees one column of pi itself a step, eta_t = 2/(tau (t + 2)), from mu:
    E KL(q || pi_T) <= 2/(tau^2 (T + 1)). *)
Theorem N24_mirror_descent_rate (o : list nat -> nat -> nat -> R) T :
  let eta h := 2 / (tau * (INR (length h) + 2)) in
  (forall h k y, (k < K)%nat -> (y < n)%nat -> 0 <= o h k y <= 1) ->
  (forall h y, (y < n)%nat -> expect K (w h) (fun k => o h k y) = win n P (pi h) y) ->
  pi [] = mu ->
  (forall h k, (k < K)%nat ->
    pi (k :: h) = gibbs n (pi h) (fun y => eta h * (o h k y - tau * (ln (pi h y) - ln (mu y))))) ->
  (1 <= T)%nat -> run T (fun h => KL n q (pi h)) <= 2 / (tau ^ 2 * (INR T + 1)).
Proof.
  intros eta Ho Mean Start Next HT. pose proof (pos_INR T). pose proof (policy_n_pos n mu mu_policy) as Hn.
  assert (Hpi : forall h, within h -> policy n (pi h)).
  { induction h as [| k h IH]; intro Hh; [rewrite Start; exact mu_policy |]. inversion Hh as [| k' h' Hk Hh']. rewrite (Next h k Hk).
    apply gibbs_policy; [exact Hn | apply IH, Hh']. }
  assert (Near : forall h, within h -> forall i j, (i < n)%nat -> (j < n)%nat ->
    tau * ((ln (pi h i) - ln (mu i)) - (ln (pi h j) - ln (mu j))) <= 1).
  { induction h as [| k h IH]; intros Hh i j Hi Hj; [rewrite Start; lra |]. inversion Hh as [| k' h' Hk Hh'].
    rewrite (Next h k Hk), !gibbs_log by (exact Hn || assumption || apply Hpi, Hh').
    specialize (IH Hh' i j Hi Hj). pose proof (Ho h k i Hk Hi). pose proof (Ho h k j Hk Hj).
    destruct (step_size (length h) 0 ltac:(lra)) as [He Het]. rewrite Rplus_0_r in He, Het. fold (eta h) in He, Het.
    set (a := ln (pi h i) - ln (mu i)) in *. set (b := ln (pi h j) - ln (mu j)) in *.
    apply Rle_trans with ((1 - eta h * tau) * (tau * (a - b)) + eta h * tau * (o h k i - o h k j)); [right; unfold a, b; ring |].
    assert ((1 - eta h * tau) * (tau * (a - b)) <= (1 - eta h * tau) * 1) by (apply Rmult_le_compat_l; lra).
    assert (eta h * tau * (o h k i - o h k j) <= eta h * tau * 1)
      by (apply Rmult_le_compat_l; [apply Rlt_le, Rmult_lt_0_compat; assumption | lra]). lra. }
  replace (2 / (tau ^ 2 * (INR T + 1))) with (4 * (1 / 2) / (tau ^ 2 * (INR T + 0 + 1))) by (field; lra).
  apply (runs_rate nat _ _ law_mean _ tau (1 / 2) 0 T tau_pos); [lra | lra | exact HT | left; reflexivity |].
  intros h Hh eta'. assert (E : eta' = eta h) by (unfold eta', eta; rewrite Rplus_0_r; reflexivity). rewrite E. clear eta' E.
  destruct (step_size (length h) 0 ltac:(lra)) as [He Het]. rewrite Rplus_0_r in He, Het. fold (eta h) in He, Het.
  rewrite (expect_ext K (w h) _ (fun k => KL n q (gibbs n (pi h) (fun y => eta h * (o h k y - tau * (ln (pi h y) - ln (mu y)))))))
    by (intros k Hk; rewrite (Next h k Hk); reflexivity).
  pose proof (N24_mirror_descent_step n tau (eta h) P mu tau_pos He (proj1 P_pref) mu_policy q (pi h) K (w h) (o h) q_nash
    (Hpi h Hh) (w_dist h) (Ho h) (Mean h) (Near h Hh)) as B.
  pose proof (kl_nonneg n (pi h) q (policy_dist n _ (Hpi h Hh)) (nash_policy n tau P mu q mu_policy q_nash)) as Pos.
  assert (0 <= eta h * tau * KL n (pi h) q) by (apply Rmult_le_pos; [apply Rlt_le, Rmult_lt_0_compat; assumption | exact Pos]). lra.
Qed.

(** log(sinh x / x) <= x. *)
Lemma log_sinh_ratio x : 0 < x -> ln (sinh x / x) <= x.
Proof.
  intro Hx. apply Rle_trans with (ln (exp x)); [| rewrite ln_exp; lra]. unfold sinh. pose proof (exp_pos x) as E. rewrite exp_Ropp.
  assert (U : exp x > 1) by (pose proof (exp_ge_line x); lra).
  assert (I : / exp x < 1) by (rewrite <- Rinv_1; apply Rinv_lt_contravar; lra).
  apply ln_le_mono; [apply Rdiv_lt_0_compat; lra |].
  apply Rmult_le_reg_r with (2 * x * exp x); [apply Rmult_lt_0_compat; lra |].
  replace ((exp x - / exp x) / 2 / x * (2 * x * exp x)) with (exp x * exp x - 1) by (field; lra).
  pose proof (exp_ge_line (- (2 * x))) as L. rewrite exp_Ropp in L. replace (2 * x) with (x + x) in L by ring. rewrite exp_plus in L.
  apply (Rmult_le_compat_l (exp x * exp x)) in L; [| nra]. rewrite Rinv_r in L by nra. nra.
Qed.

(** The start of (c): with t0 <= n/tau + 1, KL(q || mu) <= .5431 n/(tau^2 (t0 + 1)), from N23 (c). *)
Lemma start_of_one_comparison (t0 : R) : 0 <= t0 <= INR n / tau + 1 ->
  KL n q mu <= 4 * (5431 / 40000 * INR n) / tau ^ 2 / (t0 + 1).
Proof.
  intro H0. pose proof (policy_n_pos n mu mu_policy) as Hn. assert (T2 : 0 < tau ^ 2) by (apply pow_lt, tau_pos).
  assert (N1 : 0 < INR n) by (apply lt_0_INR, Hn).
  destruct (Nat.eq_dec n 1) as [E1 | N].
  - replace (KL n q mu) with 0.
    + apply Rdiv_le_0_compat; [apply Rdiv_le_0_compat; lra | lra].
    + pose proof (nash_policy n tau P mu q mu_policy q_nash) as [_ Sq]. pose proof (proj2 mu_policy) as Sm. rewrite E1 in *.
      unfold KL. simpl in *. replace (q 0%nat) with 1 by lra. replace (mu 0%nat) with 1 by lra. ring.
  - assert (N2 : 2 <= INR n) by (apply (le_INR 2 n); lia).
    destruct (N23_largest_divergence n tau P mu q tau_pos P_pref mu_policy q_nash) as [B1 B2].
    assert (B3 : KL n q mu <= / tau / 2)
      by (eapply Rle_trans; [exact B1 | apply log_sinh_ratio, Rdiv_lt_0_compat; [apply Rinv_0_lt_compat, tau_pos | lra]]).
    apply Rmult_le_reg_r with (tau ^ 2 * (t0 + 1)); [apply Rmult_lt_0_compat; lra |].
    replace (4 * (5431 / 40000 * INR n) / tau ^ 2 / (t0 + 1) * (tau ^ 2 * (t0 + 1))) with (5431 / 10000 * INR n) by (field; lra).
    assert (Hd : tau * (t0 + 1) <= INR n + 2 * tau).
    { apply Rle_trans with (tau * (INR n / tau + 2)); [apply Rmult_le_compat_l; lra | right; field; lra]. }
    assert (D0 : 0 < tau ^ 2 * (t0 + 1)) by (apply Rmult_lt_0_compat; lra).
    destruct (Rle_dec tau (431 / 5000)) as [Cold | Warm].
    + apply Rle_trans with (/ tau / 2 * (tau ^ 2 * (t0 + 1))); [apply Rmult_le_compat_r; lra |].
      replace (/ tau / 2 * (tau ^ 2 * (t0 + 1))) with (tau * (t0 + 1) / 2) by (field; lra). lra.
    + assert (B : KL n q mu <= 1 / (24 * tau ^ 2)) by lra.
      apply Rle_trans with (1 / (24 * tau ^ 2) * (tau ^ 2 * (t0 + 1))); [apply Rmult_le_compat_r; lra |].
      replace (1 / (24 * tau ^ 2) * (tau ^ 2 * (t0 + 1))) with ((t0 + 1) / 24) by (field; lra).
      assert (INR n / tau <= INR n * (5000 / 431)); [| lra].
      unfold Rdiv. apply Rmult_le_compat_l; [lra |]. replace (5000 * / 431) with (/ (431 / 5000)) by field.
      apply Rinv_le_contravar; lra.
Qed.

(** N24 (c).  Nash-MD that sees one comparison a step, from mu: Y uniform, y' from m, g = n (o - 1/2) e_Y, t0 = ceil(n/tau) and
    eta_t = 2/(tau (t + 2 + t0)): E KL(q || pi_T) <= .5431 n/(tau^2 (T + t0 + 1)). *)
Theorem N24_one_comparison_rate (Y : list nat -> nat -> nat) (o : list nat -> nat -> R) t0 T :
  let eta h := 2 / (tau * (INR (length h) + 2 + INR t0)) in
  let m h := geo_mix n (eta h * tau) mu (pi h) in
  INR n / tau <= INR t0 < INR n / tau + 1 ->
  (forall h k, (k < K)%nat -> (Y h k < n)%nat /\ 0 <= o h k <= 1) ->
  (forall h y, (y < n)%nat -> expect K (w h) (fun k => delta (Y h k) y) = / INR n) ->
  (forall h y, (y < n)%nat -> expect K (w h) (fun k => delta (Y h k) y * o h k) = / INR n * win n P (m h) y) ->
  pi [] = mu ->
  (forall h k, (k < K)%nat -> pi (k :: h) = gibbs n (m h) (fun y => eta h * (INR n * (o h k - 1 / 2) * delta (Y h k) y))) ->
  (1 <= T)%nat -> run T (fun h => KL n q (pi h)) <= 5431 / 10000 * INR n / (tau ^ 2 * (INR T + INR t0 + 1)).
Proof.
  intros eta m H0 HYo Uniform Mean Start Next HT. pose proof (pos_INR T). pose proof (pos_INR t0) as P0. pose proof (pos_INR n) as Pn.
  assert (Hpi : forall h, within h -> policy n (pi h)).
  { intros h Hh. destruct h as [| k h]; [rewrite Start; exact mu_policy |]. inversion Hh as [| k' h' Hk _]. rewrite (Next h k Hk).
    pose proof (geo_mix_policy n (eta h * tau) mu (pi h) mu_policy) as Hm. apply gibbs_policy; [apply (policy_n_pos n _ Hm) | apply Hm]. }
  replace (5431 / 10000 * INR n / (tau ^ 2 * (INR T + INR t0 + 1)))
    with (4 * (5431 / 40000 * INR n) / (tau ^ 2 * (INR T + INR t0 + 1))) by (field; lra).
  apply (runs_rate nat _ _ law_mean _ tau (5431 / 40000 * INR n) (INR t0) T tau_pos); [lra | exact P0 | exact HT | |].
  - right. rewrite Start. apply start_of_one_comparison. lra.
  - intros h Hh eta'. change eta' with (eta h). clear eta'. pose proof (pos_INR (length h)) as Ph.
    destruct (step_size (length h) (INR t0) P0) as [He Het]. fold (eta h) in He, Het.
    assert (Small : eta h * INR n <= 2).
    { unfold eta. apply Rmult_le_reg_r with (INR (length h) + 2 + INR t0); [lra |].
      replace (2 / (tau * (INR (length h) + 2 + INR t0)) * INR n * (INR (length h) + 2 + INR t0)) with (2 * (INR n / tau))
        by (field; lra). lra. }
    rewrite (expect_ext K (w h) _ (fun k => KL n q (gibbs n (m h) (fun y => eta h * (INR n * (o h k - 1 / 2) * delta (Y h k) y)))))
      by (intros k Hk; rewrite (Next h k Hk); reflexivity).
    pose proof (N24_one_comparison_step n tau (eta h) P mu tau_pos He (proj1 P_pref) mu_policy q (pi h) K (w h) (Y h) (o h) q_nash
      (w_dist h) (HYo h) (Uniform h) (Mean h) Small) as B. fold (m h) in B.
    pose proof (kl_nonneg n (m h) (pi h) (policy_dist n _ (geo_mix_policy n (eta h * tau) mu (pi h) mu_policy)) (Hpi h Hh)) as Pos.
    assert (0 <= (1 - eta h * tau) * KL n (m h) (pi h)) by (apply Rmult_le_pos; lra). lra.
Qed.

End Rates.

(** ** k opponents a step *)

(** Powers are convex. *)
Lemma power_line a b j : 0 <= a -> 0 <= b -> a ^ S j + INR (S j) * a ^ j * (b - a) <= b ^ S j.
Proof.
  intros Ha Hb. induction j as [| j IH]; [simpl; lra |].
  apply (Rmult_le_compat_l b) in IH; [| exact Hb]. rewrite !S_INR in *. change (b ^ S (S j)) with (b * b ^ S j).
  assert (G : 0 <= (INR j + 1) * a ^ j * (b - a) ^ 2).
  { apply Rmult_le_pos; [apply Rmult_le_pos; [pose proof (pos_INR j); lra | apply pow_le, Ha] | apply pow2_ge_0]. }
  replace (a ^ S (S j)) with (a * (a * a ^ j)) by reflexivity. replace (a ^ S j) with (a * a ^ j) in * by reflexivity. lra.
Qed.

(** k hard answers to p, where p is below uniform: log E_m (1 - p + p e^s)^k <= k s/2 + (1/24 + 1/(12 k)) (k s)^2. *)
Lemma averaged_moment n P m k s : pref n P -> dist n m -> (1 <= k)%nat -> 0 < s ->
  ln (expect n m (fun y => (1 - win n P m y + win n P m y * exp s) ^ k))
  <= INR k * s / 2 + (1 / 24 + 1 / (12 * INR k)) * (INR k * s) ^ 2.
Proof.
  intros HP Hm Hk Hs. assert (K1 : 1 <= INR k) by (apply (le_INR 1 k); exact Hk).
  assert (E : 1 < exp s) by (rewrite <- exp_0; apply exp_increasing, Hs).
  set (line := fun u => 1 - u + u * exp s).
  assert (Line : forall u, 0 <= u <= 1 -> 1 <= line u) by (intros u Hu; unfold line; nra).
  set (X := INR (S k) * s / 2). set (x := s / 2). assert (Hx : 0 < x <= X) by (unfold X, x; rewrite S_INR; nra).
  pose proof (sinh_pos x ltac:(lra)) as Sx. pose proof (sinh_pos X ltac:(lra)) as SX.
  assert (B : expect n m (fun y => line (win n P m y) ^ k) <= exp (INR k * s / 2) * ((sinh X / X) / (sinh x / x))).
  { eapply Rle_trans.
    - apply (N9_convex_order n P m HP Hm (fun u => line u ^ k) (fun u => INR k * (exp s - 1) * line u ^ (k - 1))
        (fun u => line u ^ S k / (INR (S k) * (exp s - 1)))).
      + intros u v Hu Hv. pose proof (Line u Hu). pose proof (Line v Hv).
        pose proof (power_line (line u) (line v) (k - 1) ltac:(lra) ltac:(lra)) as C. replace (S (k - 1)) with k in C by lia.
        replace (line v - line u) with ((exp s - 1) * (v - u)) in C by (unfold line; ring). lra.
      + intros u _. unfold line. auto_derive; [exact I |].
        change (match k with 0%nat => 1 | S _ => INR k + 1 end) with (INR (S k)). rewrite S_INR.
        replace (1 + - u + u * exp s) with (1 - u + u * exp s) by ring. field. lra.
    - right. unfold line. replace (1 - 1 + 1 * exp s) with (exp s) by ring. replace (1 - 0 + 0 * exp s) with 1 by ring.
      assert (E1 : exp s = exp x * exp x) by (rewrite <- exp_plus; f_equal; unfold x; field).
      assert (E2 : exp s ^ S k = exp X * exp X).
      { rewrite <- exp_plus, <- (exp_ln (exp s ^ S k)), ln_pow, ln_exp by (try apply pow_lt; apply exp_pos). f_equal. unfold X. field. }
      assert (E3 : exp (INR k * s / 2) = exp X * / exp x)
        by (rewrite <- exp_Ropp, <- exp_plus; f_equal; unfold X, x; rewrite S_INR; field).
      assert (X1 : X = INR (S k) * x) by (unfold X, x; field).
      rewrite pow1, !sinh_exp, E2, E3, E1, !exp_Ropp. pose proof (exp_pos X). pose proof (exp_pos x). rewrite E1 in E.
      set (A := exp X) in *. set (a := exp x) in *. rewrite X1, S_INR. field. repeat split; nra. }
  assert (Pos : 0 < expect n m (fun y => line (win n P m y) ^ k)).
  { apply Rlt_le_trans with 1; [lra |]. rewrite <- (expect_const n m 1 (proj2 Hm)). apply expect_le; [exact Hm |].
    intros y Hy. apply pow_R1_Rle, Line, (win_bounds n P m y HP Hm Hy). }
  eapply Rle_trans; [apply ln_le_mono; [exact Pos | exact B] |].
  assert (Rx : 0 < sinh x / x) by (apply Rdiv_lt_0_compat; lra). assert (RX : 0 < sinh X / X) by (apply Rdiv_lt_0_compat; lra).
  rewrite ln_mult, ln_exp, ln_div by (try apply exp_pos; try assumption; apply Rdiv_lt_0_compat; assumption).
  pose proof (log_sinh_growth x X Hx) as G.
  replace ((1 / 24 + 1 / (12 * INR k)) * (INR k * s) ^ 2) with ((X ^ 2 - x ^ 2) / 6) by (unfold X, x; rewrite S_INR; field; lra). lra.
Qed.

(** N24 (a) for the mean of the columns of k opponents, drawn independently:
    E KL(q || next) <= (1 - eta tau) (KL(q || pi) - KL(m || pi)) + (1/24 + 1/(12 k)) eta^2. *)
Theorem N24_averaged_step n tau eta P mu q pi K w o k : 0 < tau -> 0 < eta -> pref n P -> policy n mu -> is_nash n tau P mu q ->
  (1 <= k)%nat -> dist K w ->
  (forall i y, (i < K)%nat -> (y < n)%nat -> 0 <= o i y <= 1) ->
  (forall y, (y < n)%nat -> expect K w (fun i => o i y) = win n P (geo_mix n (eta * tau) mu pi) y) ->
  completions K w k
    (fun r => KL n q (gibbs n (geo_mix n (eta * tau) mu pi) (fun y => eta * (sum k (fun j => o (r j) y) / INR k))))
  <= (1 - eta * tau) * (KL n q pi - KL n (geo_mix n (eta * tau) mu pi) pi) + (1 / 24 + 1 / (12 * INR k)) * eta ^ 2.
Proof.
  intros Ht He HP Hmu N Hk Hw Ho Mean. set (m := geo_mix n (eta * tau) mu pi) in *.
  pose proof (geo_mix_policy n (eta * tau) mu pi Hmu) as Hm. fold m in Hm. pose proof (policy_dist n m Hm) as Dm.
  pose proof (nash_policy n tau P mu q Hmu N) as Hq. pose proof (policy_n_pos n m Hm) as Hn. pose proof (proj1 Hm) as Mp.
  assert (K1 : 1 <= INR k) by (apply (le_INR 1 k); exact Hk).
  pose proof (all_mean K w Hw k) as M. pose proof (finite_mean K w Hw) as M1.
  set (g := fun (r : nat -> nat) y => eta * (sum k (fun j => o (r j) y) / INR k)).
  set (s := eta / INR k). assert (Hs : 0 < s) by (apply Rdiv_lt_0_compat; lra).
  assert (Es : INR k * s = eta) by (unfold s; field; lra).
  assert (Unit : forall r y, (forall c, (c < k)%nat -> (r c < K)%nat) -> (y < n)%nat -> 0 <= g r y).
  { intros r y Hr Hy. apply Rmult_le_pos; [lra |]. apply Rdiv_le_0_compat; [| lra]. apply sum_nonneg.
    intros j Hj. apply Ho; [apply Hr, Hj | exact Hy]. }
  assert (Wins : completions K w k (fun r => expect n q (g r)) = eta * beats n P q m).
  { unfold expect, g. rewrite (mean_sum _ _ _ M n (fun y r => q y * (eta * (sum k (fun j => o (r j) y) / INR k)))).
    unfold beats, expect. rewrite <- sum_scal. apply sum_ext. intros y Hy.
    rewrite (mean_ext _ _ _ M _ (fun r => q y * eta / INR k * sum k (fun j => o (r j) y))) by (intros; field; lra).
    rewrite (mean_scal _ _ _ M), (mean_of_sum K w Hw k (fun i => o i y)), (Mean y Hy). field. lra. }
  assert (Norm : forall r, (forall c, (c < k)%nat -> (r c < K)%nat) -> 1 <= gibbs_norm n m (g r)).
  { intros r Hr. unfold gibbs_norm. rewrite <- (proj2 Dm). apply sum_le. intros y Hy. pose proof (exp_ge_line (g r y)) as L.
    pose proof (Unit r y Hr Hy). pose proof (Mp y Hy). nra. }
  assert (Each : forall y, (y < n)%nat -> completions K w k (fun r => exp (g r y)) <= (1 - win n P m y + win n P m y * exp s) ^ k).
  { intros y Hy. set (line := 1 - win n P m y + win n P m y * exp s). pose proof (win_bounds n P m y HP Dm Hy) as U.
    assert (Pos : 0 < line) by (unfold line; pose proof (exp_ge_line s); nra).
    replace (line ^ k) with (exp (sum k (fun _ => ln line))).
    - rewrite (mean_ext _ _ _ M _ (fun r => exp (sum k (fun j => s * o (r j) y))))
        by (intros r _; f_equal; unfold g, s; rewrite sum_scal; field; lra).
      apply (product_exp_le nat 0%nat (fun _ i => (i < K)%nat) _ k (fun _ i => s * o i y) (fun _ => ln line)); [intros; exact M1 |].
      intros c _. rewrite exp_ln by exact Pos. unfold line. rewrite <- (Mean y Hy).
      replace (1 - expect K w (fun i => o i y) + expect K w (fun i => o i y) * exp s)
        with (expect K w (fun i => 1 + (exp s - 1) * o i y)) by (rewrite expect_plus, expect_const, expect_scal by apply Hw; ring).
      apply expect_le; [exact Hw |]. intros i Hi. pose proof (Ho i y Hi Hy) as B.
      pose proof (exp_chord 0 s (s * o i y) ltac:(split; nra)) as Ch. rewrite exp_0 in Ch. apply Rmult_le_reg_l with s; [exact Hs | lra].
    - rewrite sum_const, <- ln_pow, exp_ln by (try apply pow_lt; exact Pos). reflexivity. }
  assert (Log : completions K w k (fun r => ln (gibbs_norm n m (g r))) <= eta / 2 + (1 / 24 + 1 / (12 * INR k)) * eta ^ 2).
  { eapply Rle_trans; [apply (mean_ln _ _ _ M _ Norm) |]. pose proof (averaged_moment n P m k s HP Dm Hk Hs) as B. rewrite Es in B.
    eapply Rle_trans; [| exact B]. apply ln_le_mono.
    - apply Rlt_le_trans with 1; [lra |]. rewrite <- (mean_const _ _ _ M 1). apply (mean_le _ _ _ M). exact Norm.
    - unfold gibbs_norm. rewrite (mean_sum _ _ _ M n (fun y r => m y * exp (g r y))). apply sum_le. intros y Hy.
      rewrite (mean_scal _ _ _ M). apply Rmult_le_compat_l; [apply Rlt_le, Mp, Hy | apply Each, Hy]. }
  rewrite (mean_ext _ _ _ M _ (fun r => (KL n q m + -1 * expect n q (g r)) + ln (gibbs_norm n m (g r))))
    by (intros r _; fold (g r); rewrite (kl_gibbs n m Hn Mp (g r) q (proj2 Hq)); ring).
  rewrite !(mean_plus _ _ _ M), (mean_scal _ _ _ M), (mean_const _ _ _ M), Wins.
  pose proof (mixture_divergence n tau eta P mu Ht (proj1 HP) Hmu q pi N) as S. cbv zeta in S. fold m in S.
  pose proof (kl_nonneg n m q Dm Hq) as Pos. assert (0 <= eta * tau * KL n m q) by (apply Rmult_le_pos; [nra | exact Pos]). lra.
Qed.

(** ... and at eta_t = 2/(tau (t + 2)), from any start: E KL(q || pi_T) <= (1/6 + 1/(3 k))/(tau^2 (T + 1)). *)
Theorem N24_averaged_rate n tau P mu q K w pi (o : list (nat -> nat) -> nat -> nat -> R) k T :
  let eta h := 2 / (tau * (INR (length h) + 2)) in
  let m h := geo_mix n (eta h * tau) mu (pi h) in
  0 < tau -> pref n P -> policy n mu -> is_nash n tau P mu q -> (1 <= k)%nat -> (forall h, dist K (w h)) ->
  (forall h i y, (i < K)%nat -> (y < n)%nat -> 0 <= o h i y <= 1) ->
  (forall h y, (y < n)%nat -> expect K (w h) (fun i => o h i y) = win n P (m h) y) ->
  policy n (pi []) ->
  (forall h r, pi (r :: h) = gibbs n (m h) (fun y => eta h * (sum k (fun j => o h (r j) y) / INR k))) ->
  (1 <= T)%nat ->
  runs (fun h => completions K (w h) k) T [] (fun h => KL n q (pi h)) <= (1 / 6 + 1 / (3 * INR k)) / (tau ^ 2 * (INR T + 1)).
Proof.
  intros eta m Ht HP Hmu N Hk Hw Ho Mean Start Next HT. pose proof (pos_INR T). assert (K1 : 1 <= INR k) by (apply (le_INR 1 k); exact Hk).
  assert (Hpi : forall h, policy n (pi h)).
  { intro h. destruct h as [| r h]; [exact Start |]. rewrite Next. pose proof (geo_mix_policy n (eta h * tau) mu (pi h) Hmu) as Hm.
    apply gibbs_policy; [apply (policy_n_pos n _ Hm) | apply Hm]. }
  replace ((1 / 6 + 1 / (3 * INR k)) / (tau ^ 2 * (INR T + 1)))
    with (4 * (1 / 24 + 1 / (12 * INR k)) / (tau ^ 2 * (INR T + 0 + 1))) by (field; lra).
  assert (C : 0 <= 1 / 24 + 1 / (12 * INR k)) by (assert (0 < 1 / (12 * INR k)) by (apply Rdiv_lt_0_compat; lra); lra).
  apply (runs_rate _ _ _ (fun h => all_mean K (w h) (Hw h) k) _ tau (1 / 24 + 1 / (12 * INR k)) 0 T Ht C);
    [lra | exact HT | left; reflexivity |].
  intros h _ eta'. assert (E : eta' = eta h) by (unfold eta', eta; rewrite Rplus_0_r; reflexivity). rewrite E. clear eta' E.
  destruct (step_size tau Ht (length h) 0 ltac:(lra)) as [He Het]. rewrite Rplus_0_r in He, Het. fold (eta h) in He, Het.
  rewrite (mean_ext _ _ _ (all_mean K (w h) (Hw h) k) _
    (fun r => KL n q (gibbs n (m h) (fun y => eta h * (sum k (fun j => o h (r j) y) / INR k))))) by (intros r _; rewrite Next; reflexivity).
  pose proof (N24_averaged_step n tau (eta h) P mu q (pi h) K (w h) (o h) k Ht He HP Hmu N Hk (Hw h) (Ho h) (Mean h)) as B. fold (m h) in B.
  pose proof (kl_nonneg n (m h) (pi h) (policy_dist n _ (geo_mix_policy n (eta h * tau) mu (pi h) Hmu)) (Hpi h)) as Pos.
  assert (0 <= (1 - eta h * tau) * KL n (m h) (pi h)) by (apply Rmult_le_pos; lra). lra.
Qed.

(** ** Such runs exist *)

(** The opponent y' is drawn and its column P(., y') is seen: the outcomes are the responses. *)
Lemma column_mean n P nu y : expect n nu (fun z => P y z) = win n P nu y.
Proof. apply sum_ext. intros; ring. Qed.

Lemma column_runs_exist n tau P mu : pref n P -> policy n mu ->
  let eta h := 2 / (tau * (INR (length h) + 2)) in
  (exists K w pi o, (forall h : list nat, dist K (w h)) /\
    (forall h k y, (k < K)%nat -> (y < n)%nat -> 0 <= o h k y <= 1) /\
    (forall h y, (y < n)%nat -> expect K (w h) (fun k => o h k y) = win n P (geo_mix n (eta h * tau) mu (pi h)) y) /\
    pi [] = mu /\
    forall h k, (k < K)%nat -> pi (k :: h) = gibbs n (geo_mix n (eta h * tau) mu (pi h)) (fun y => eta h * o h k y)) /\
  (exists K w pi o, (forall h : list nat, dist K (w h)) /\
    (forall h k y, (k < K)%nat -> (y < n)%nat -> 0 <= o h k y <= 1) /\
    (forall h y, (y < n)%nat -> expect K (w h) (fun k => o h k y) = win n P (pi h) y) /\
    pi [] = mu /\
    forall h k, (k < K)%nat -> pi (k :: h) = gibbs n (pi h) (fun y => eta h * (o h k y - tau * (ln (pi h y) - ln (mu y))))).
Proof.
  intros [_ HP] Hmu eta. split.
  - set (pi := fix pi h := match h with
      | [] => mu | k :: h' => gibbs n (geo_mix n (eta h' * tau) mu (pi h')) (fun y => eta h' * P y k) end).
    exists n, (fun h => geo_mix n (eta h * tau) mu (pi h)), pi, (fun _ k y => P y k).
    split; [intro h; apply policy_dist, geo_mix_policy, Hmu |]. split; [intros h k y Hk Hy; apply HP; assumption |].
    split; [intros h y _; apply column_mean |]. split; reflexivity.
  - set (pi := fix pi h := match h with
      | [] => mu | k :: h' => gibbs n (pi h') (fun y => eta h' * (P y k - tau * (ln (pi h' y) - ln (mu y)))) end).
    assert (Hpi : forall h, policy n (pi h)).
    { induction h as [| k h IH]; [exact Hmu |]. apply gibbs_policy; [apply (policy_n_pos n mu Hmu) | apply IH]. }
    exists n, pi, pi, (fun _ k y => P y k).
    split; [intro h; apply policy_dist, Hpi |]. split; [intros h k y Hk Hy; apply HP; assumption |].
    split; [intros h y _; apply column_mean |]. split; reflexivity.
Qed.

Lemma averaged_runs_exist n tau P mu k : pref n P -> policy n mu ->
  let eta h := 2 / (tau * (INR (length h) + 2)) in
  exists K w pi o, (forall h : list (nat -> nat), dist K (w h)) /\
    (forall h i y, (i < K)%nat -> (y < n)%nat -> 0 <= o h i y <= 1) /\
    (forall h y, (y < n)%nat -> expect K (w h) (fun i => o h i y) = win n P (geo_mix n (eta h * tau) mu (pi h)) y) /\
    pi [] = mu /\
    forall h r, pi (r :: h) = gibbs n (geo_mix n (eta h * tau) mu (pi h)) (fun y => eta h * (sum k (fun j => o h (r j) y) / INR k)).
Proof.
  intros [_ HP] Hmu eta.
  set (pi := fix pi h := match h with
    | [] => mu
    | r :: h' => gibbs n (geo_mix n (eta h' * tau) mu (pi h')) (fun y => eta h' * (sum k (fun j => P y (r j)) / INR k)) end).
  exists n, (fun h => geo_mix n (eta h * tau) mu (pi h)), pi, (fun _ i y => P y i).
  split; [intro h; apply policy_dist, geo_mix_policy, Hmu |]. split; [intros h i y Hi Hy; apply HP; assumption |].
  split; [intros h y _; apply column_mean |]. split; reflexivity.
Qed.

(** One comparison with a hard answer: the outcome k stands for Y, y' and who won. *)
Lemma comparison_mean n P nu (f : nat -> bool -> R) : (0 < n)%nat ->
  let Y k := (k / 2 / n)%nat in
  expect (n * (n * 2))
    (fun k => / INR n * (nu ((k / 2) mod n) * if Nat.even k then P (Y k) ((k / 2) mod n) else 1 - P (Y k) ((k / 2) mod n)))
    (fun k => f (Y k) (Nat.even k))
  = / INR n * sum n (fun y => sum n (fun z => nu z * (P y z * f y true + (1 - P y z) * f y false))).
Proof.
  intros Hn Y. unfold expect, Y. rewrite sum_blocks, <- sum_scal. apply sum_ext. intros y Hy. rewrite sum_blocks, <- sum_scal.
  apply sum_ext. intros z Hz.
  assert (Half : forall b, (b < 2)%nat -> ((y * (n * 2) + (z * 2 + b)) / 2 = y * n + z)%nat).
  { intros b Hb. symmetry. apply (Nat.div_unique _ 2 _ b); lia. }
  assert (Q : ((y * n + z) / n = y)%nat) by (symmetry; apply (Nat.div_unique _ n _ z); lia).
  assert (M : ((y * n + z) mod n = z)%nat) by (symmetry; apply (Nat.mod_unique _ n y z); lia).
  assert (E0 : Nat.even (y * (n * 2) + (z * 2 + 0)) = true) by (apply Nat.even_spec; exists (y * n + z)%nat; lia).
  assert (E1 : Nat.even (y * (n * 2) + (z * 2 + 1)) = false).
  { rewrite <- Nat.negb_odd. replace (Nat.odd (y * (n * 2) + (z * 2 + 1))) with true; [reflexivity |].
    symmetry. apply Nat.odd_spec. exists (y * n + z)%nat. lia. }
  cbn [sum]. rewrite E0, E1, !Half, Q, M by lia. ring.
Qed.

Lemma comparison_runs_exist n tau P mu t0 : pref n P -> policy n mu ->
  let eta h := 2 / (tau * (INR (length h) + 2 + INR t0)) in
  exists K w pi Y o, (forall h : list nat, dist K (w h)) /\
    (forall h k, (k < K)%nat -> (Y h k < n)%nat /\ (o h k = 0 \/ o h k = 1)) /\
    (forall h y, (y < n)%nat -> expect K (w h) (fun k => delta (Y h k) y) = / INR n) /\
    (forall h y, (y < n)%nat -> expect K (w h) (fun k => delta (Y h k) y * o h k)
      = / INR n * win n P (geo_mix n (eta h * tau) mu (pi h)) y) /\
    pi [] = mu /\
    forall h k, (k < K)%nat -> pi (k :: h) = gibbs n (geo_mix n (eta h * tau) mu (pi h))
      (fun y => eta h * (INR n * (o h k - 1 / 2) * delta (Y h k) y)).
Proof.
  intros [_ HP] Hmu eta. pose proof (policy_n_pos n mu Hmu) as Hn. assert (N1 : 0 < INR n) by (apply lt_0_INR, Hn).
  set (Y := fun k => (k / 2 / n)%nat). set (o := fun k => if Nat.even k then 1 else 0).
  set (pi := fix pi h := match h with
    | [] => mu
    | k :: h' => gibbs n (geo_mix n (eta h' * tau) mu (pi h')) (fun y => eta h' * (INR n * (o k - 1 / 2) * delta (Y k) y)) end).
  set (m := fun h => geo_mix n (eta h * tau) mu (pi h)).
  assert (Hm : forall h, policy n (m h)) by (intro h; apply geo_mix_policy, Hmu).
  set (w := fun h k => / INR n * (m h ((k / 2) mod n) * if Nat.even k then P (Y k) ((k / 2) mod n) else 1 - P (Y k) ((k / 2) mod n))).
  exists (n * (n * 2))%nat, w, pi, (fun _ => Y), (fun _ => o).
  assert (Range : forall k, (k < n * (n * 2))%nat -> (Y k < n)%nat).
  { intros k Hk. unfold Y. apply Nat.div_lt_upper_bound; [lia |]. apply Nat.div_lt_upper_bound; lia. }
  assert (Mean : forall h f, expect (n * (n * 2)) (w h) (fun k => f (Y k) (Nat.even k))
    = / INR n * sum n (fun y => win n P (m h) y * f y true + (1 - win n P (m h) y) * f y false)).
  { intros h f. unfold w, Y. rewrite (comparison_mean n P (m h) f Hn). f_equal. apply sum_ext. intros y _. unfold win.
    rewrite (sum_ext n _ (fun z => P y z * m h z * f y true + (m h z * f y false - P y z * m h z * f y false))) by (intros; ring).
    rewrite sum_plus, sum_minus, !sum_scal_r, (proj2 (Hm h)). ring. }
  assert (One : forall h y, (y < n)%nat -> sum n (fun z => win n P (m h) z * delta z y + (1 - win n P (m h) z) * delta z y) = 1).
  { intros h y Hy. rewrite (sum_ext n _ (fun z => 1 * delta y z)).
    - apply (sum_delta n y (fun _ => 1) Hy).
    - intros z _. unfold delta. rewrite (Nat.eqb_sym y z). ring. }
  split; [| split; [| split; [| split; [| split; reflexivity]]]].
  - intro h. split.
    + intros k Hk. apply Rmult_le_pos; [apply Rlt_le, Rinv_0_lt_compat, N1 |]. apply Rmult_le_pos.
      * apply Rlt_le, Hm, Nat.mod_upper_bound. lia.
      * pose proof (HP (Y k) ((k / 2) mod n)%nat (Range k Hk) ltac:(apply Nat.mod_upper_bound; lia)). destruct (Nat.even k); lra.
    + pose proof (Mean h (fun _ _ => 1)) as S. unfold expect in S. rewrite sum_scal_r, Rmult_1_r in S. rewrite S.
      rewrite (sum_ext n _ (fun _ => 1)), sum_const by (intros; ring). field. lra.
  - intros h k Hk. split; [apply Range, Hk |]. unfold o. destruct (Nat.even k); [right | left]; reflexivity.
  - intros h y Hy. rewrite (Mean h (fun z _ => delta z y)), (One h y Hy). ring.
  - intros h y Hy. unfold o. rewrite (Mean h (fun z won => delta z y * if won then 1 else 0)). f_equal.
    rewrite (sum_ext n _ (fun z => win n P (m h) z * delta y z)).
    + apply (sum_delta n y (win n P (m h)) Hy).
    + intros z _. unfold delta. rewrite (Nat.eqb_sym y z). ring.
Qed.

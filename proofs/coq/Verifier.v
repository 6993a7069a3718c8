(** * What `nashlab certify` may conclude: the conditions that it checks imply what it prints.

    For maximal lotteries that is MaximalLottery.v (a lottery, the only one) and Faces.v (vertices, faces); here are the
    lottery nearest to the reference (E5) and the equilibrium at a positive temperature (E2, E3, N14, N18). *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate Existence ZeroTemperature LogMean MaximalLottery Faces.
Open Scope R_scope.

(** ** The projection of mu on the lotteries (E5) *)

(** sum_y (z - x)(log x - log mu): how much KL(. || mu) grows from x towards z, to first order. *)
Definition growth n (mu x z : nat -> R) : R := sum n (fun y => (z y - x y) * (ln (x y) - ln (mu y))).

(** KL(z || mu) = KL(x || mu) + growth + KL(z || x). *)
Lemma kl_split n mu x z : KL n z mu = KL n x mu + growth n mu x z + KL n z x.
Proof. unfold KL, growth. rewrite <- !sum_plus. apply sum_ext. intros; ring. Qed.

Lemma growth_combine n mu x k lam v : dist k lam ->
  growth n mu x (combine k lam v) = sum k (fun i => lam i * growth n mu x (v i)).
Proof.
  intros [_ S]. unfold growth, combine.
  rewrite (sum_ext n _ (fun y => sum k (fun i => lam i * ((v i y - x y) * (ln (x y) - ln (mu y)))))).
  - rewrite sum_swap. apply sum_ext. intros; apply sum_scal.
  - intros y _.
    transitivity ((sum k (fun i => lam i * v i y) - sum k lam * x y) * (ln (x y) - ln (mu y))); [rewrite S; ring |].
    rewrite <- sum_scal_r, <- sum_minus, <- sum_scal_r. apply sum_ext. intros; ring.
Qed.

Lemma growth_mixture n mu x z k lam v g : dist k lam -> same n z (combine k lam v) ->
  (forall i, (i < k)%nat -> - g <= growth n mu x (v i)) -> - g <= growth n mu x z.
Proof.
  intros L E H. replace (growth n mu x z) with (sum k (fun i => lam i * growth n mu x (v i))).
  - replace (- g) with (sum k (fun i => lam i * - g)) by (rewrite sum_scal_r, (proj2 L); ring).
    apply sum_le. intros i Hi. apply Rmult_le_compat_l; [apply L, Hi | apply H, Hi].
  - rewrite <- growth_combine by exact L. apply sum_ext. intros y Hy. rewrite (E y Hy). reflexivity.
Qed.

(** E5.  Growth at least -g towards each member of a list is growth at least -g towards every lottery, if all of them
    are mixtures of the list. *)
Theorem E5_growth_from_mixtures n A mu x k v g :
  (forall z, unbeaten n A z -> exists lam, dist k lam /\ same n z (combine k lam v)) ->
  (forall i, (i < k)%nat -> - g <= growth n mu x (v i)) -> forall z, unbeaten n A z -> - g <= growth n mu x z.
Proof.
  intros Mixtures H z Hz. destruct (Mixtures z Hz) as [lam [L E]]. exact (growth_mixture n mu x z k lam v g L E H).
Qed.

(** E5.  And so it is if no vertex of the face is missing from the list. *)
Theorem E5_growth_from_vertices n A mu x k v g :
  (forall w, extreme n A w -> exists i, (i < k)%nat /\ same n w (v i)) ->
  (forall i, (i < k)%nat -> - g <= growth n mu x (v i)) -> forall z, unbeaten n A z -> - g <= growth n mu x z.
Proof.
  intros Complete H z Hz. destruct (E6_vertices_generate n A z Hz) as [l [lam [w [L [Ext E]]]]].
  apply (growth_mixture n mu x z l lam w g L E). intros i Hi. destruct (Complete (w i) (Ext i Hi)) as [j [Hj S]].
  replace (growth n mu x (w i)) with (growth n mu x (v j)); [apply H, Hj |].
  apply sum_ext. intros y Hy. rewrite (S y Hy). reflexivity.
Qed.

(** E5.  The same without a list: multipliers gam, of any sign on the support of m and at most 0 off it, that bound
    log x - log mu from below on that support. *)
Theorem E5_growth_from_multipliers n A mu x m gam b g : skew n A -> accepted n A m -> strict n A m ->
  (forall y, (y < n)%nat -> m y = 0 -> gam y <= 0) ->
  (forall y, (y < n)%nat -> m y <> 0 -> b + sum n (fun y' => gam y' * A y' y) <= ln (x y) - ln (mu y)) ->
  - g <= b - expect n x (fun y => ln (x y) - ln (mu y)) -> forall z, unbeaten n A z -> - g <= growth n mu x z.
Proof.
  intros HA Hm Hs Sign Low Hg z Hz. apply E6_accepted_iff in Hz.
  pose proof (lottery_within n A HA m z Hm Hs Hz) as In. pose proof (lottery_balanced n A HA m z Hm Hz) as Bal.
  assert (Part : 0 <= sum n (fun y => z y * sum n (fun y' => gam y' * A y' y))).
  { rewrite (sum_ext n _ (fun y => sum n (fun y' => gam y' * (A y' y * z y))))
      by (intros; rewrite <- sum_scal; apply sum_ext; intros; ring).
    rewrite sum_swap. apply sum_nonneg. intros y Hy. rewrite sum_scal. fold (win n A z y).
    destruct (Req_dec (m y) 0) as [E | E]; [pose proof (Sign y Hy E); pose proof (proj2 Hz y Hy); nra |].
    rewrite (Bal y Hy E). lra. }
  assert (All : b <= expect n z (fun y => ln (x y) - ln (mu y))).
  { apply Rle_trans with (sum n (fun y => z y * (b + sum n (fun y' => gam y' * A y' y)))).
    - rewrite (sum_ext n _ (fun y => z y * b + z y * sum n (fun y' => gam y' * A y' y))) by (intros; ring).
      rewrite sum_plus, sum_scal_r, (proj2 (proj1 Hz)). lra.
    - apply sum_le. intros y Hy. destruct (Req_dec (m y) 0) as [E | E]; [rewrite (In y Hy E); lra |].
      apply Rmult_le_compat_l; [apply Hz, Hy | apply Low; assumption]. }
  enough (growth n mu x z = expect n z (fun y => ln (x y) - ln (mu y)) - expect n x (fun y => ln (x y) - ln (mu y)))
    by lra.
  unfold growth, expect. rewrite <- sum_minus. apply sum_ext. intros; ring.
Qed.

Section Projection.

Variables (n : nat) (A : nat -> nat -> R) (mu x : nat -> R) (g : R).
Hypothesis x_lottery : unbeaten n A x.
Hypothesis x_widest : forall z, unbeaten n A z -> within n x z.
Hypothesis nearly_stationary : forall z, unbeaten n A z -> - g <= growth n mu x z.

(** E5.  For every lottery z: KL(z || x) <= g + KL(z || mu) - KL(x || mu). *)
Theorem E5_accepted_pythagoras z : unbeaten n A z -> KL n z x <= g + KL n z mu - KL n x mu.
Proof. intro Hz. rewrite (kl_split n mu x z). pose proof (nearly_stationary z Hz). lra. Qed.

(** E5.  The lottery nearest to mu, q, is near x: KL(q || x) <= g and ||x - q||_1 <= sqrt(2 g); for g = 0 it is x. *)
Theorem E5_accepted_projection q : unbeaten n A q -> (forall z, unbeaten n A z -> KL n q mu <= KL n z mu) ->
  KL n q x <= g /\ l1 n x q <= sqrt (2 * g) /\ (g = 0 -> same n x q).
Proof.
  intros Hq Near. pose proof (E5_accepted_pythagoras q Hq) as K. pose proof (Near x x_lottery).
  assert (Kg : KL n q x <= g) by lra.
  pose proof (E3_pinsker_on_support n q x (proj1 Hq) (proj1 x_lottery) (x_widest q Hq)) as Pi.
  assert (D : l1 n x q <= sqrt (2 * g)).
  { rewrite l1_sym, <- (sqrt_pow2 (l1 n q x)) by apply l1_nonneg. apply sqrt_le_1_alt. lra. }
  split; [exact Kg |]. split; [exact D |]. intros G0 y Hy. rewrite G0, Rmult_0_r, sqrt_0 in D.
  pose proof (coordinate_le_l1 n x q y Hy). pose proof (l1_nonneg n x q).
  destruct (Req_dec (x y - q y) 0) as [E | E]; [lra |].
  pose proof (Rabs_pos_lt _ E). lra.
Qed.

(** E5.  And the equilibria q_tau of the win rates P behind A end within sqrt(2 g) of x as tau tends to 0. *)
Theorem E5_accepted_limit P c q : is_pref n P -> policy n mu -> 0 < c ->
  (forall y y', (y < n)%nat -> (y' < n)%nat -> A y y' = c * (P y y' - 1 / 2)) ->
  (forall tau, 0 < tau -> is_nash n tau P mu (q tau)) ->
  forall eps, 0 < eps -> exists T, 0 < T /\ forall tau, 0 < tau -> tau < T -> l1 n x (q tau) < sqrt (2 * g) + eps.
Proof.
  intros HP Hmu Hc HA Path eps He.
  assert (Same : forall z, unbeaten n A z <-> lottery n P z).
  { intro z. rewrite <- (E6_accepted_iff n A z). apply (E6_accepted_win_rates n P A c z Hc HA). }
  destruct (E5_zero_temperature n P mu HP Hmu q Path) as [nu [Lot [Near [_ Lim]]]].
  destruct (E5_accepted_projection nu (proj2 (Same nu) Lot)) as [_ [D _]];
    [intros z Hz; apply Near, Same, Hz |].
  destruct (Lim eps He) as [T [HT Close]]. exists T. split; [exact HT |]. intros tau Ht HtT.
  pose proof (Close tau Ht HtT) as C. rewrite l1_sym in C. pose proof (l1_triangle n x nu (q tau)). lra.
Qed.

End Projection.

(** ** At a positive temperature *)

Lemma tanh_increasing u v : u <= v -> tanh u <= tanh v.
Proof.
  assert (E : forall u, tanh u = 1 - 2 / (exp (2 * u) + 1)).
  { intro t. unfold tanh, sinh, cosh. pose proof (exp_pos t) as H. rewrite exp_Ropp.
    replace (2 * t) with (t + t) by ring.
    rewrite exp_plus. assert (0 < exp t * exp t) by (apply Rmult_lt_0_compat; exact H). field. repeat split; lra. }
  intros [L | ->]; [| lra]. rewrite !E. pose proof (exp_increasing (2 * u) (2 * v) ltac:(lra)).
  pose proof (exp_pos (2 * u)).
  enough (2 / (exp (2 * v) + 1) <= 2 / (exp (2 * u) + 1)) by lra. apply Rmult_le_compat_l; [lra |].
  apply Rinv_le_contravar; lra.
Qed.

(** The residual as the verifier computes it, from margins A, weights w of the reference and log-weights theta of the
    policy, none of them normalised: theta - log w - A pi / tau, pi = softmax(theta). *)
Definition read_residual n tau A (w theta : nat -> R) (y : nat) : R :=
  theta y - ln (w y) - win n A (gibbs n (fun _ => 1) theta) y / tau.

Section Temperature.

Variables (n : nat) (tau : R) (A : nat -> nat -> R) (w theta : nat -> R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis tau_pos : 0 < tau.
Hypothesis A_skew : skew n A.
Hypothesis w_pos : forall y, (y < n)%nat -> 0 < w y.

Local Notation P := (fun y y' => A y y' + 1 / 2).
Local Notation mu := (gibbs n w (fun _ => 0)).
Local Notation pi := (gibbs n (fun _ => 1) theta).
Local Notation s := (read_residual n tau A w theta).

(** The game that is read: win rates A + 1/2, the reference w / sum w, a policy of full support. *)
Lemma reading_pref : is_pref n P.
Proof. intros y y' Hy Hy'. rewrite (A_skew y y') by assumption. lra. Qed.

Lemma reading_reference : policy n mu.
Proof. apply gibbs_policy; assumption. Qed.

Lemma reading_policy : policy n pi.
Proof. apply gibbs_policy; [exact n_pos | intros; lra]. Qed.

(** E1.  What is computed is the residual of E3, but for a constant. *)
Theorem E1_accepted_reading : exists b, forall y, (y < n)%nat -> s y = residual n tau P mu pi y + b.
Proof.
  exists (1 / 2 / tau + ln (gibbs_norm n (fun _ => 1) theta) - ln (gibbs_norm n w (fun _ => 0))). intros y Hy.
  unfold residual, read_residual. rewrite !gibbs_log by (try assumption; intros; lra). rewrite ln_1.
  replace (win n P pi y) with (win n A pi y + 1 / 2); [field; lra |].
  transitivity (win n A pi y + 1 / 2 * sum n pi); [rewrite (proj2 reading_policy); ring |].
  unfold win. rewrite <- sum_scal, <- sum_plus. apply sum_ext. intros; ring.
Qed.

Lemma reading_osc : osc n s = osc n (residual n tau P mu pi).
Proof.
  destruct E1_accepted_reading as [b E].
  apply Rle_antisym; apply osc_le; try exact n_pos; intros i j Hi Hj.
  - rewrite !E by assumption. pose proof (osc_pair n (residual n tau P mu pi) i j Hi Hj). lra.
  - pose proof (osc_pair n s i j Hi Hj) as O. rewrite !E in O by assumption. lra.
Qed.

Lemma reading_centred y : (y < n)%nat ->
  s y - expect n pi s = residual n tau P mu pi y - expect n pi (residual n tau P mu pi).
Proof.
  intro Hy. destruct E1_accepted_reading as [b E].
  rewrite (expect_ext n pi s _ E), expect_plus, expect_const by apply reading_policy. rewrite E by exact Hy. ring.
Qed.

(** E2.  tau log E_pi e^(-(s - E_pi s)) is the exploitability: no deviation gains more, and the best reply gains it. *)
Theorem E2_accepted_exploitability : let G := tau * ln (expect n pi (fun y => exp (- (s y - expect n pi s)))) in
  G = gap n tau P mu pi /\ (forall pi', dist n pi' -> J n tau P mu pi' pi - 1 / 2 <= G) /\
  J n tau P mu (best_reply n tau P mu pi) pi - 1 / 2 = G.
Proof.
  assert (E : tau * ln (expect n pi (fun y => exp (- (s y - expect n pi s)))) = gap n tau P mu pi).
  { rewrite (N15_gap_by_residual n tau P mu tau_pos reading_pref reading_reference pi reading_policy).
    do 2 f_equal. apply expect_ext. intros y Hy. rewrite reading_centred by exact Hy. reflexivity. }
  destruct (E2_gap_is_the_maximum n tau P mu tau_pos reading_pref reading_reference pi
    (policy_dist n pi reading_policy)) as [Max [Att _]].
  cbv zeta. rewrite E. repeat split; assumption.
Qed.

(** The equilibrium, and numbers p that are printed in the place of pi. *)
Variables (q p : nat -> R) (eps : R).
Hypothesis q_nash : is_nash n tau P mu q.
Hypothesis printed : l1 n p pi <= eps.

Lemma printed_distance b : l1 n pi q <= b -> l1 n p q <= eps + b.
Proof. intro H. pose proof (l1_triangle n p pi q). lra. Qed.

(** E3.  From an upper bound of the oscillation. *)
Theorem E3_accepted_distance o : osc n s <= o -> l1 n p q <= eps + 2 * tanh (o / 4).
Proof.
  intro H. apply printed_distance.
  destruct (E3_residual_certificate_tanh n tau P mu tau_pos reading_pref reading_reference q pi q_nash reading_policy)
    as [D _].
  rewrite reading_osc in H. pose proof (tanh_increasing (osc n (residual n tau P mu pi) / 4) (o / 4) ltac:(lra)). lra.
Qed.

(** N14.  From an upper bound of the exploitability over tau. *)
Theorem N14_accepted_distance g : ln (expect n pi (fun y => exp (- (s y - expect n pi s)))) <= g ->
  l1 n p q <= eps + sqrt (2 * g).
Proof.
  intro H. apply printed_distance. destruct E2_accepted_exploitability as [E _].
  eapply Rle_trans; [apply (N14_distance n tau P mu tau_pos reading_pref reading_reference q pi q_nash), policy_dist,
    reading_policy |].
  apply sqrt_le_1_alt. rewrite <- E.
  replace (2 * (tau * _) / tau) with (2 * ln (expect n pi (fun y => exp (- (s y - expect n pi s))))) by (field; lra).
  lra.
Qed.

(** N18.  From upper bounds of |s - c|, E_pi|s - c| and E_pi(s - c)^2, for any c, and of the distance; and in closed
    form. *)
Theorem N18_accepted_distance c M e f2 u k :
  (forall y, (y < n)%nat -> Rabs (s y - c) <= M) ->
  expect n pi (fun y => Rabs (s y - c)) <= e -> expect n pi (fun y => (s y - c) ^ 2) <= f2 -> l1 n pi q <= u ->
  l1 n p q <= eps + Nat.iter k (sharpen e f2 M) u /\ l1 n p q <= eps + (M ^ 2 / 8 + sqrt (f2 + M ^ 4 / 64)).
Proof.
  intros HM He Hf Hu. destruct E1_accepted_reading as [b E].
  assert (C : forall y, (y < n)%nat -> residual n tau P mu pi y - (c - b) = s y - c)
    by (intros y Hy; rewrite E by exact Hy; ring).
  assert (HM' : forall y, (y < n)%nat -> Rabs (residual n tau P mu pi y - (c - b)) <= M)
    by (intros y Hy; rewrite C by exact Hy; apply HM, Hy).
  assert (He' : expect n pi (fun y => Rabs (residual n tau P mu pi y - (c - b))) <= e)
    by (rewrite (expect_ext n pi _ (fun y => Rabs (s y - c))) by (intros y Hy; rewrite C by exact Hy; reflexivity);
      exact He).
  assert (Hf' : expect n pi (fun y => (residual n tau P mu pi y - (c - b)) ^ 2) <= f2)
    by (rewrite (expect_ext n pi _ (fun y => (s y - c) ^ 2)) by (intros y Hy; rewrite C by exact Hy; reflexivity);
      exact Hf).
  split; apply printed_distance.
  - apply (N18_iterated n tau P mu q pi tau_pos reading_pref reading_reference q_nash reading_policy (c - b));
      assumption.
  - apply (N18_closed_form n tau P mu q pi tau_pos reading_pref reading_reference q_nash reading_policy (c - b));
      assumption.
Qed.

End Temperature.

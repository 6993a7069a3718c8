(** * What `nashlab certify` may conclude (E6, E5, E3, N14, N18): the conditions that it checks imply what it prints.

    A is a skew matrix of margins, of any scale; (A x)_y = [win n A x y] is the margin of y against x and
    p^T A x = [beats n A p x] that of a distribution p: the sums of Basics.v and Game.v, whatever the matrix. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate NashMD Existence ZeroTemperature LinearSolve LogMean.
Open Scope R_scope.

(** A^T = -A. *)
Definition skew n (A : nat -> nat -> R) : Prop := forall y y', (y < n)%nat -> (y' < n)%nat -> A y y' = - A y' y.

(** What the verifier checks of an answer: x >= 0, sum x = 1, A x <= 0. *)
Definition accepted n A (x : nat -> R) : Prop := dist n x /\ forall y, (y < n)%nat -> win n A x y <= 0.

(** What it claims: a maximal lottery, no distribution has a positive margin against it. *)
Definition unbeaten n A (x : nat -> R) : Prop := dist n x /\ forall p, dist n p -> beats n A p x <= 0.

(** z vanishes off the support of x. *)
Definition within n (x z : nat -> R) : Prop := forall y, (y < n)%nat -> x y = 0 -> z y = 0.

(** Every response off the support of x loses against it. *)
Definition strict n A (x : nat -> R) : Prop := forall y, (y < n)%nat -> x y = 0 -> win n A x y < 0.

(** A z = 0 on the support of x. *)
Definition balanced n A (x z : nat -> R) : Prop := forall y, (y < n)%nat -> x y <> 0 -> win n A z y = 0.

(** sum_i lam_i v_i. *)
Definition combine k (lam : nat -> R) (v : nat -> nat -> R) (y : nat) : R := sum k (fun i => lam i * v i y).

Lemma win_combine n A k lam v y : win n A (combine k lam v) y = sum k (fun i => lam i * win n A (v i) y).
Proof.
  unfold win, combine. rewrite (sum_ext n _ (fun z => sum k (fun i => lam i * (A y z * v i z)))).
  - rewrite sum_swap. apply sum_ext. intros; apply sum_scal.
  - intros z _. rewrite <- sum_scal. apply sum_ext. intros; ring.
Qed.

Lemma combine_dist n k lam v : dist k lam -> (forall i, (i < k)%nat -> dist n (v i)) -> dist n (combine k lam v).
Proof.
  intros [L S] H. split.
  - intros y Hy. apply sum_nonneg. intros i Hi. apply Rmult_le_pos; [apply L, Hi | apply (H i Hi), Hy].
  - unfold combine. rewrite sum_swap, <- S. apply sum_ext. intros i Hi. rewrite sum_scal, (proj2 (H i Hi)). ring.
Qed.

(** v + t d. *)
Lemma win_move n A v t d y : win n A (fun z => v z + t * d z) y = win n A v y + t * win n A d y.
Proof. unfold win. rewrite <- sum_scal, <- sum_plus. apply sum_ext. intros; ring. Qed.

Lemma win_multiple n A c x y : win n A (fun z => c * x z) y = c * win n A x y.
Proof. unfold win. rewrite <- sum_scal. apply sum_ext. intros; ring. Qed.

Lemma dist_delta n k : (k < n)%nat -> dist n (delta k).
Proof.
  intro Hk. split; [intros y _; unfold delta; destruct (Nat.eqb y k); lra |].
  rewrite (sum_ext n _ (fun y => 1 * delta k y)) by (intros; ring). apply (sum_delta n k (fun _ => 1) Hk).
Qed.

Section Lotteries.

Variables (n : nat) (A : nat -> nat -> R).
Hypothesis A_skew : skew n A.

Lemma margin_skew u v : beats n A u v = - beats n A v u.
Proof.
  rewrite !beats_sum, sum_swap, <- sum_opp. apply sum_ext. intros y Hy. rewrite <- sum_opp. apply sum_ext. intros z Hz.
  rewrite (A_skew z y) by assumption. ring.
Qed.

(** ** One lottery *)

(** E6.  Accepted is as much as unbeaten: the check refuses no maximal lottery either. *)
Theorem E6_accepted_iff x : accepted n A x <-> unbeaten n A x.
Proof.
  split; intros [D H]; split; try exact D.
  - intros p [Hp _]. unfold beats, expect. rewrite <- (sum_zero n). apply sum_le. intros y Hy.
    pose proof (Hp y Hy). pose proof (H y Hy). nra.
  - intros y Hy. pose proof (H (delta y) (dist_delta n y Hy)) as L. unfold beats, expect in L.
    rewrite (sum_ext n _ (fun z => win n A x z * delta y z)), sum_delta in L by (intros; ring || exact Hy). exact L.
Qed.

(** E6.  x >= 0, sum x = 1 and A x <= 0 make x a maximal lottery: no distribution beats it, it is beaten by none, and
    the best reply to it gains exactly 0. *)
Theorem E6_accepted_lottery x : accepted n A x ->
  (forall p, dist n p -> beats n A p x <= 0 /\ 0 <= beats n A x p) /\ top n (win n A x) = 0.
Proof.
  intro Hx. destruct (proj1 (E6_accepted_iff x) Hx) as [D U]. split.
  - intros p Hp. pose proof (U p Hp). rewrite (margin_skew x p). lra.
  - destruct (top_attained n (win n A x) (dist_n_pos n x D)) as [k [Hk E]]. apply Rle_antisym; [rewrite E; apply Hx, Hk |].
    pose proof (margin_skew x x) as Z. replace 0 with (beats n A x x) by lra.
    apply (expect_bounds n x (win n A x) (bottom n (win n A x)) (top n (win n A x)) D).
    intros y Hy. split; [apply bottom_le | apply top_ge]; exact Hy.
Qed.

(** A maximal lottery leaves no slack where another has weight. *)
Lemma complementary x z y : accepted n A x -> accepted n A z -> (y < n)%nat -> z y * win n A x y = 0.
Proof.
  intros Hx Hz Hy. enough (- (z y * win n A x y) = 0) by lra.
  apply (sum_nonneg_zero n (fun y => - (z y * win n A x y))); [| | exact Hy].
  - intros i Hi. pose proof (proj1 (proj1 Hz) i Hi). pose proof (proj2 Hx i Hi). nra.
  - rewrite sum_opp. fold (expect n z (win n A x)). fold (beats n A z x).
    destruct (proj1 (E6_accepted_iff x) Hx) as [Dx Ux]. destruct (proj1 (E6_accepted_iff z) Hz) as [Dz Uz].
    pose proof (Ux z Dz). pose proof (Uz x Dx). rewrite (margin_skew x z) in *. lra.
Qed.

Lemma lottery_balanced x z : accepted n A x -> accepted n A z -> balanced n A x z.
Proof. intros Hx Hz y Hy N. pose proof (complementary z x y Hz Hx Hy) as E. apply Rmult_integral in E. destruct E; [contradiction | assumption]. Qed.

Lemma lottery_within x z : accepted n A x -> strict n A x -> accepted n A z -> within n x z.
Proof.
  intros Hx Hs Hz y Hy Z. pose proof (complementary x z y Hx Hz Hy) as E. pose proof (Hs y Hy Z).
  apply Rmult_integral in E. destruct E; [assumption | lra].
Qed.

(** ** Uniqueness *)

(** E6.  If every response off the support loses strictly and the kernel of A on the support is the line of x, then x is
    the only maximal lottery. *)
Theorem E6_accepted_unique x : accepted n A x -> strict n A x ->
  (forall z, within n x z -> balanced n A x z -> exists c, forall y, (y < n)%nat -> z y = c * x y) ->
  forall z, unbeaten n A z -> same n z x.
Proof.
  intros Hx Hs Line z Hz. apply E6_accepted_iff in Hz.
  destruct (Line z (lottery_within x z Hx Hs Hz) (lottery_balanced x z Hx Hz)) as [c Hc].
  assert (c = 1) as ->; [| intros y Hy; rewrite Hc by exact Hy; ring].
  pose proof (proj2 (proj1 Hz)) as S. rewrite (sum_ext n z _ Hc), sum_scal, (proj2 (proj1 Hx)) in S. lra.
Qed.

(** ** Faces *)

(** E6.  Mixtures of maximal lotteries are maximal lotteries. *)
Theorem E6_accepted_combination k lam v : dist k lam -> (forall i, (i < k)%nat -> accepted n A (v i)) ->
  accepted n A (combine k lam v).
Proof.
  intros L H. split; [apply combine_dist; [exact L | intros i Hi; apply H, Hi] |].
  intros y Hy. rewrite win_combine, <- (sum_zero k). apply sum_le. intros i Hi.
  pose proof (proj1 L i Hi). pose proof (proj2 (H i Hi) y Hy). nra.
Qed.

(** v is no midpoint of two other maximal lotteries. *)
Definition extreme v : Prop := unbeaten n A v /\ forall a b, unbeaten n A a -> unbeaten n A b ->
  (forall y, (y < n)%nat -> v y = (a y + b y) / 2) -> same n a v /\ same n b v.

(** What the verifier checks of a vertex: only multiples of v keep to its support and to the zeros of A v. *)
Definition vertex_rank v : Prop := forall d, within n v d ->
  (forall y, (y < n)%nat -> win n A v y = 0 -> win n A d y = 0) -> exists c, forall y, (y < n)%nat -> d y = c * v y.

(** A small step from v along d stays among the maximal lotteries, both ways. *)
Lemma step_inside v d : accepted n A v -> within n v d -> sum n d = 0 ->
  (forall y, (y < n)%nat -> win n A v y = 0 -> win n A d y = 0) ->
  exists t, 0 < t /\ forall s, Rabs s <= t -> accepted n A (fun y => v y + s * d y).
Proof.
  intros [[V S] W] In S0 Ker.
  set (room := fun a b : R => if Req_EM_T a 0 then 1 else Rabs a / (Rabs b + 1)).
  assert (Room : forall a b, 0 < room a b).
  { intros a b. unfold room. destruct (Req_EM_T a 0); [lra |]. apply Rdiv_lt_0_compat; [apply Rabs_pos_lt; assumption |].
    pose proof (Rabs_pos b). lra. }
  assert (Enough : forall a b s, Rabs s <= room a b -> (a = 0 -> b = 0) -> Rabs (s * b) <= Rabs a).
  { intros a b s Hs Z. rewrite Rabs_mult. unfold room in Hs. destruct (Req_EM_T a 0) as [E | E].
    - rewrite (Z E), E, Rabs_R0. lra.
    - pose proof (Rabs_pos b). pose proof (Rabs_pos s). apply (Rmult_le_compat_r (Rabs b + 1)) in Hs; [| lra].
      replace (Rabs a / (Rabs b + 1) * (Rabs b + 1)) with (Rabs a) in Hs by (field; lra). nra. }
  destruct (positive_minimum n (fun y => Rmin (room (v y) (d y)) (room (win n A v y) (win n A d y)))) as [t [Ht H]].
  { intros y _. apply Rmin_glb_lt; apply Room. }
  exists t. split; [exact Ht |]. intros s Hs. split; [split |].
  - intros y Hy. assert (R1 : Rabs (s * d y) <= Rabs (v y)).
    { apply Enough; [eapply Rle_trans; [exact Hs |]; eapply Rle_trans; [apply H, Hy | apply Rmin_l] | apply In, Hy]. }
    rewrite (Rabs_pos_eq (v y)) in R1 by apply V, Hy. pose proof (Rle_abs (- (s * d y))) as B. rewrite Rabs_Ropp in B. lra.
  - rewrite sum_plus, sum_scal, S, S0. ring.
  - intros y Hy. rewrite win_move. assert (R1 : Rabs (s * win n A d y) <= Rabs (win n A v y)).
    { apply Enough; [eapply Rle_trans; [exact Hs |]; eapply Rle_trans; [apply H, Hy | apply Rmin_r] | apply Ker, Hy]. }
    rewrite (Rabs_left1 (win n A v y)) in R1 by apply W, Hy. pose proof (Rle_abs (s * win n A d y)). lra.
Qed.

(** E6.  The check of a vertex is exact: what passes is an extreme point of the maximal lotteries, and every extreme
    point passes. *)
Theorem E6_accepted_vertex v : accepted n A v -> vertex_rank v <-> extreme v.
Proof.
  intro Hv. pose proof Hv as [[V S] W]. split.
  - intro Rank. split; [apply E6_accepted_iff, Hv |]. intros a b Ua Ub Mid.
    apply E6_accepted_iff in Ua. apply E6_accepted_iff in Ub.
    assert (Half : forall y, (y < n)%nat -> win n A v y = (win n A a y + win n A b y) / 2).
    { intros y Hy. unfold win, Rdiv. rewrite <- sum_plus, <- sum_scal_r. apply sum_ext. intros z Hz. rewrite Mid by exact Hz. field. }
    assert (Side : forall u w, accepted n A u -> accepted n A w -> (forall y, (y < n)%nat -> v y = (u y + w y) / 2) ->
      (forall y, (y < n)%nat -> win n A v y = (win n A u y + win n A w y) / 2) -> same n u v).
    { intros u w [[U Su] Wu] [[U' _] Wu'] Muw Huw. destruct (Rank u) as [c Hc].
      - intros y Hy Z. pose proof (U y Hy). pose proof (U' y Hy). pose proof (Muw y Hy). lra.
      - intros y Hy Z. pose proof (Wu y Hy). pose proof (Wu' y Hy). pose proof (Huw y Hy). lra.
      - assert (c = 1) as ->; [| intros y Hy; rewrite Hc by exact Hy; ring].
        rewrite (sum_ext n u _ Hc), sum_scal, S in Su. lra. }
    split; [apply (Side a b) | apply (Side b a)]; try assumption; intros y Hy; rewrite Mid || rewrite Half; try exact Hy; lra.
  - intros [_ Ext] d In Ker. exists (sum n d). set (e := fun y => d y - sum n d * v y).
    enough (Z : forall y, (y < n)%nat -> e y = 0) by (intros y Hy; pose proof (Z y Hy); unfold e in *; lra).
    assert (Wv : forall y, (y < n)%nat -> win n A v y = 0 -> win n A e y = 0).
    { intros y Hy Z. unfold e. rewrite win_minus, win_multiple, Z, (Ker y Hy Z). ring. }
    destruct (step_inside v e Hv) as [t [Ht Step]]; [| | exact Wv |].
    + intros y Hy Z. unfold e. rewrite Z, (In y Hy Z). ring.
    + unfold e. rewrite sum_minus, sum_scal, S. ring.
    + intros y Hy. destruct (Ext (fun y => v y + t * e y) (fun y => v y + - t * e y)) as [E _].
      * apply E6_accepted_iff, Step. rewrite Rabs_pos_eq; lra.
      * apply E6_accepted_iff, Step. rewrite Rabs_Ropp, Rabs_pos_eq; lra.
      * intros z _. field.
      * pose proof (E y Hy) as Ey. simpl in Ey. assert (Q : t * e y = 0) by lra.
        apply Rmult_integral in Q. destruct Q; [lra | assumption].
Qed.

Section Face.

Variable m : nat -> R.
Hypothesis m_accepted : accepted n A m.
Hypothesis m_strict : strict n A m.

(** E6.  From one lottery m against which every response off its support loses strictly: the maximal lotteries are the
    distributions on that support with A z = 0 on it and A z <= 0 off it. *)
Theorem E6_accepted_face z : unbeaten n A z <->
  dist n z /\ within n m z /\ balanced n A m z /\ forall y, (y < n)%nat -> m y = 0 -> win n A z y <= 0.
Proof.
  rewrite <- E6_accepted_iff. split.
  - intro Hz. split; [apply Hz |]. split; [apply lottery_within; assumption |]. split; [apply lottery_balanced; assumption |].
    intros y Hy _. apply Hz, Hy.
  - intros [D [_ [B O]]]. split; [exact D |]. intros y Hy. destruct (Req_dec (m y) 0) as [E | E]; [apply O; assumption |].
    rewrite B by assumption. lra.
Qed.

(** d keeps to the support of m, A d = 0 there, and the mass stays. *)
Definition direction d : Prop := within n m d /\ balanced n A m d /\ sum n d = 0.

(** E6.  The dimension of the face is that of the kernel of A on the support, less 1: the directions in which one can
    move from m, both ways, are those of the kernel with sum 0; all lotteries differ from m by one; and the kernel is
    the sum of the directions and the line of m, which meet in 0. *)
Theorem E6_face_dimension :
  (forall d, direction d -> exists t, 0 < t /\ forall s, Rabs s <= t -> unbeaten n A (fun y => m y + s * d y)) /\
  (forall z, unbeaten n A z -> direction (fun y => z y - m y)) /\
  (forall z, within n m z -> balanced n A m z -> direction (fun y => z y - sum n z * m y)) /\
  (forall c, direction (fun y => c * m y) -> c = 0).
Proof.
  pose proof m_accepted as [[V S] W]. pose proof (lottery_balanced m m m_accepted m_accepted) as Bm.
  assert (Kernel : forall z, within n m z -> balanced n A m z -> direction (fun y => z y - sum n z * m y)).
  { intros z In B. split; [intros y Hy Z; rewrite Z, (In y Hy Z); ring |]. split.
    - intros y Hy N. rewrite win_minus, win_multiple, (B y Hy N), (Bm y Hy N). ring.
    - rewrite sum_minus, sum_scal, S. ring. }
  split; [| split; [| split; [exact Kernel |]]].
  - intros d [In [B S0]]. destruct (step_inside m d m_accepted In S0) as [t [Ht Step]].
    + intros y Hy Z. destruct (Req_dec (m y) 0) as [E | E]; [pose proof (m_strict y Hy E); lra | apply B; assumption].
    + exists t. split; [exact Ht |]. intros s Hs. apply E6_accepted_iff, Step, Hs.
  - intros z Hz. apply E6_accepted_face in Hz. destruct Hz as [D [In [B _]]]. destruct (Kernel z In B) as [K1 [K2 K3]].
    rewrite (proj2 D) in *. split; [| split].
    + intros y Hy Z. pose proof (K1 y Hy Z). simpl in *. lra.
    + intros y Hy N. rewrite <- (K2 y Hy N). apply win_same. intros i _. ring.
    + rewrite <- K3. apply sum_ext. intros; ring.
  - intros c [_ [_ S0]]. rewrite sum_scal, S in S0. lra.
Qed.

End Face.

End Lotteries.

(** ** The bordered system of the ball arithmetic *)

(** [A_BB 1; 1^T 0], with B = {held 0, ..., held (k - 1)}. *)
Definition bordered k (A : nat -> nat -> R) (held : nat -> nat) (i j : nat) : R :=
  if Nat.ltb i k then if Nat.ltb j k then A (held i) (held j) else 1 else if Nat.ltb j k then 1 else 0.

(** The weights w on the responses held, 0 elsewhere. *)
Definition spread k (held : nat -> nat) (w : nat -> R) (y : nat) : R := sum k (fun i => w i * delta (held i) y).

Section Bordered.

Variables (n : nat) (A : nat -> nat -> R) (k : nat) (held : nat -> nat).
Hypothesis A_skew : skew n A.
Hypothesis held_range : forall i, (i < k)%nat -> (held i < n)%nat.
Hypothesis held_once : forall i j, (i < k)%nat -> (j < k)%nat -> held i = held j -> i = j.

Local Notation x := (spread k held).

Lemma sum_spread w f : sum n (fun y => x w y * f y) = sum k (fun i => w i * f (held i)).
Proof.
  unfold spread. rewrite (sum_ext n _ (fun y => sum k (fun i => w i * (f y * delta (held i) y)))).
  - rewrite sum_swap. apply sum_ext. intros i Hi. rewrite sum_scal, sum_delta by apply held_range, Hi. reflexivity.
  - intros y _. rewrite <- sum_scal_r. apply sum_ext. intros; ring.
Qed.

Lemma spread_sum w : sum n (x w) = sum k w.
Proof.
  rewrite (sum_ext n _ (fun y => x w y * 1)) by (intros; ring). rewrite (sum_spread w (fun _ => 1)).
  apply sum_ext. intros; ring.
Qed.

Lemma spread_win w y : win n A (x w) y = sum k (fun i => A y (held i) * w i).
Proof.
  unfold win. rewrite (sum_ext n _ (fun z => x w z * A y z)) by (intros; ring). rewrite sum_spread. apply sum_ext. intros; ring.
Qed.

Lemma spread_at w i : (i < k)%nat -> x w (held i) = w i.
Proof.
  intro Hi. unfold spread. rewrite (sum_ext k _ (fun j => w j * delta i j)); [apply sum_delta, Hi |].
  intros j Hj. f_equal. unfold delta. destruct (Nat.eqb_spec (held i) (held j)) as [E | E], (Nat.eqb_spec j i) as [F | F]; try reflexivity.
  - exfalso. apply F. symmetry. apply held_once; assumption.
  - exfalso. apply E. rewrite F. reflexivity.
Qed.

Lemma spread_off w y : (forall i, (i < k)%nat -> held i <> y) -> x w y = 0.
Proof.
  intro H. unfold spread. rewrite (sum_ext k _ (fun _ => 0)); [apply sum_zero |]. intros i Hi. unfold delta.
  replace (Nat.eqb y (held i)) with false; [ring | symmetry; apply Nat.eqb_neq; intro E; apply (H i Hi); symmetry; exact E].
Qed.

Lemma held_or_not y : (exists i, (i < k)%nat /\ held i = y) \/ (forall i, (i < k)%nat -> held i <> y).
Proof.
  clear held_range held_once. induction k as [| l IH]; [right; intros; lia |].
  destruct IH as [[i [Hi E]] | IH]; [left; exists i; split; [lia | exact E] |].
  destruct (Nat.eq_dec (held l) y) as [E | E]; [left; exists l; split; [lia | exact E] |].
  right. intros i Hi. destruct (Nat.eq_dec i l) as [-> | N]; [exact E | apply IH; lia].
Qed.

(** The rows of the bordered system: A_BB w + t 1, and the sum of w; t is the unknown of the border. *)
Lemma bordered_row w i : (i < k)%nat -> win (S k) (bordered k A held) w i = win n A (x w) (held i) + w k.
Proof.
  intro Hi. unfold win at 1. simpl. unfold bordered at 2. rewrite Nat.ltb_irrefl.
  replace (Nat.ltb i k) with true by (symmetry; apply Nat.ltb_lt; exact Hi). rewrite Rmult_1_l, spread_win. f_equal.
  apply sum_ext. intros j Hj. unfold bordered.
  replace (Nat.ltb i k) with true by (symmetry; apply Nat.ltb_lt; exact Hi).
  replace (Nat.ltb j k) with true by (symmetry; apply Nat.ltb_lt; exact Hj). reflexivity.
Qed.

Lemma bordered_last w : win (S k) (bordered k A held) w k = sum k w.
Proof.
  unfold win. simpl. unfold bordered at 2. rewrite Nat.ltb_irrefl, Rmult_0_l, Rplus_0_r. apply sum_ext. intros j Hj.
  unfold bordered. rewrite Nat.ltb_irrefl. replace (Nat.ltb j k) with true by (symmetry; apply Nat.ltb_lt; exact Hj). ring.
Qed.

(** E6.  The bordered system is nonsingular, its solution for (0, ..., 0, 1) has positive weights, and every response
    off B loses strictly: then these weights are the only maximal lottery. *)
Theorem E6_accepted_bordered w : nonsingular (S k) (bordered k A held) ->
  (forall i, (i < S k)%nat -> win (S k) (bordered k A held) w i = delta k i) ->
  (forall i, (i < k)%nat -> 0 < w i) ->
  (forall y, (y < n)%nat -> (forall i, (i < k)%nat -> held i <> y) -> win n A (x w) y < 0) ->
  accepted n A (x w) /\ strict n A (x w) /\ forall z, unbeaten n A z -> same n z (x w).
Proof.
  intros NS Sol Pos Slack.
  assert (Sum : sum k w = 1).
  { rewrite <- bordered_last, Sol by lia. unfold delta. rewrite Nat.eqb_refl. reflexivity. }
  assert (Row : forall i, (i < k)%nat -> win n A (x w) (held i) = - w k).
  { intros i Hi. pose proof (Sol i ltac:(lia)) as E. rewrite bordered_row in E by exact Hi. unfold delta in E.
    replace (Nat.eqb i k) with false in E by (symmetry; apply Nat.eqb_neq; lia). lra. }
  assert (Border : w k = 0).
  { pose proof (margin_skew n A A_skew (x w) (x w)) as Z. unfold beats at 1 in Z. unfold expect in Z. rewrite sum_spread in Z.
    rewrite (sum_ext k _ (fun i => w i * - w k)) in Z by (intros i Hi; rewrite Row by exact Hi; reflexivity).
    rewrite sum_scal_r, Sum in Z. unfold beats, expect in Z. rewrite sum_spread in Z.
    rewrite (sum_ext k _ (fun i => w i * - w k)) in Z by (intros i Hi; rewrite Row by exact Hi; reflexivity).
    rewrite sum_scal_r, Sum in Z. lra. }
  assert (Zero : forall i, (i < k)%nat -> win n A (x w) (held i) = 0) by (intros i Hi; rewrite Row by exact Hi; lra).
  assert (Acc : accepted n A (x w)).
  { split; [split |].
    - intros y _. destruct (held_or_not y) as [[i [Hi <-]] | Off]; [rewrite spread_at by exact Hi; apply Rlt_le, Pos, Hi |].
      rewrite spread_off by exact Off. lra.
    - rewrite spread_sum. exact Sum.
    - intros y Hy. destruct (held_or_not y) as [[i [Hi <-]] | Off]; [rewrite Zero by exact Hi; lra | apply Rlt_le, Slack; assumption]. }
  assert (Str : strict n A (x w)).
  { intros y Hy Z. apply Slack; [exact Hy |]. intros i Hi E. rewrite <- E, spread_at in Z by exact Hi. pose proof (Pos i Hi). lra. }
  split; [exact Acc |]. split; [exact Str |].
  apply (E6_accepted_unique n A A_skew (x w) Acc Str). intros z In Bal.
  set (u := fun i => if Nat.eqb i k then 0 else z (held i) - sum n z * w i).
  assert (Uk : u k = 0) by (unfold u; rewrite Nat.eqb_refl; reflexivity).
  assert (Ui : forall i, (i < k)%nat -> u i = z (held i) - sum n z * w i).
  { intros i Hi. unfold u. replace (Nat.eqb i k) with false by (symmetry; apply Nat.eqb_neq; lia). reflexivity. }
  assert (Xu : forall y, (y < n)%nat -> x u y = z y - sum n z * x w y).
  { intros y Hy. destruct (held_or_not y) as [[i [Hi <-]] | Off]; [rewrite !spread_at, Ui by exact Hi; reflexivity |].
    rewrite !spread_off, (In y Hy) by (exact Off || apply spread_off, Off). ring. }
  assert (U : forall i, (i < S k)%nat -> u i = 0).
  { intros i Hi. apply (NS u); [| exact Hi]. intros j Hj. destruct (Nat.eq_dec j k) as [-> | N].
    - rewrite bordered_last, <- spread_sum, (sum_ext n _ _ Xu), sum_minus, sum_scal, spread_sum, Sum. ring.
    - assert (Hjk : (j < k)%nat) by lia. rewrite bordered_row, Uk by exact Hjk.
      rewrite (win_same n A _ _ _ Xu), win_minus, win_multiple, (Zero j Hjk), (Bal (held j)); [ring | apply held_range, Hjk |].
      rewrite spread_at by exact Hjk. pose proof (Pos j Hjk). lra. }
  exists (sum n z). intros y Hy. enough (x u y = 0) by (rewrite Xu in * by exact Hy; lra).
  unfold spread. rewrite (sum_ext k _ (fun _ => 0)); [apply sum_zero |]. intros i Hi. rewrite U by lia. ring.
Qed.

(** E6.  The same from floating-point numbers alone: Q an approximate inverse of the bordered matrix, w an approximate
    solution, the error bound rho / (1 - c) less than every weight and every slack.  The only maximal lottery exists, and
    each of its weights is within the bound of w's. *)
Theorem E6_verified_lottery Q w c rho : c < 1 ->
  (forall i, (i < S k)%nat -> sum (S k) (fun j => Rabs (defect (S k) Q (bordered k A held) i j)) <= c) ->
  (forall i, (i < S k)%nat -> Rabs (win (S k) Q (fun l => delta k l - win (S k) (bordered k A held) w l) i) <= rho) ->
  (forall i, (i < k)%nat -> rho / (1 - c) < w i) ->
  (forall y, (y < n)%nat -> (forall i, (i < k)%nat -> held i <> y) ->
    win n A (x w) y + rho / (1 - c) * sum k (fun i => Rabs (A y (held i))) < 0) ->
  exists q, accepted n A q /\ (forall z, unbeaten n A z -> same n z q) /\
    (forall i, (i < k)%nat -> Rabs (q (held i) - w i) <= rho / (1 - c)) /\ l1 n (x w) q <= INR k * (rho / (1 - c)).
Proof.
  intros Hc Con Res Pos Slack. set (b := rho / (1 - c)) in *.
  destruct (E6_verified_solve (S k) Q (bordered k A held) c Hc Con (delta k) w rho Res) as [v [Sol [_ Near]]]. fold b in Near.
  assert (Near' : forall i, (i < k)%nat -> Rabs (v i - w i) <= b) by (intros i Hi; apply Near; lia).
  destruct (E6_accepted_bordered v) as [Acc [_ Uni]].
  - apply (E6_verified_nonsingular (S k) Q _ c Hc Con).
  - exact Sol.
  - intros i Hi. pose proof (Near' i Hi) as N. pose proof (Pos i Hi). apply Rabs_le_between in N. lra.
  - intros y Hy Off. pose proof (Slack y Hy Off) as L. rewrite spread_win in *.
    assert (D : sum k (fun i => A y (held i) * v i) - sum k (fun i => A y (held i) * w i) <= b * sum k (fun i => Rabs (A y (held i)))); [| lra].
    rewrite <- sum_minus, <- sum_scal. apply sum_le. intros i Hi.
    replace (A y (held i) * v i - A y (held i) * w i) with (A y (held i) * (v i - w i)) by ring.
    eapply Rle_trans; [apply Rle_abs |]. rewrite Rabs_mult, Rmult_comm. apply Rmult_le_compat_r; [apply Rabs_pos | apply Near', Hi].
  - exists (x v). split; [exact Acc |]. split; [exact Uni |]. split.
    + intros i Hi. rewrite spread_at by exact Hi. apply Near', Hi.
    + rewrite l1_sym, <- sum_const. unfold l1.
      apply Rle_trans with (sum n (fun y => x (fun i => Rabs (v i - w i)) y)).
      * apply sum_le. intros y _. destruct (held_or_not y) as [[i [Hi <-]] | Off]; [rewrite !spread_at by exact Hi; lra |].
        rewrite !spread_off by exact Off. rewrite Rminus_0_r, Rabs_R0. lra.
      * rewrite spread_sum. apply sum_le. intros i Hi. apply Near', Hi.
Qed.

End Bordered.

(** ** In win rates *)

(** E6.  For A = c (P - 1/2), c > 0: accepted is as much as a maximal lottery of P. *)
Theorem E6_accepted_win_rates n P A c x : 0 < c ->
  (forall y y', (y < n)%nat -> (y' < n)%nat -> A y y' = c * (P y y' - 1 / 2)) ->
  accepted n A x <-> lottery n P x.
Proof.
  intros Hc HA. rewrite (E6_accepted_iff n A x).
  enough (E : forall p, dist n p -> dist n x -> beats n A p x = c * (beats n P p x - 1 / 2)).
  { split; intros [D U]; split; try exact D; intros p Hp; pose proof (U p Hp) as L.
    - rewrite E in L by assumption. apply Rnot_lt_le. intro G. assert (0 < c * (beats n P p x - 1 / 2)) by (apply Rmult_lt_0_compat; lra). lra.
    - rewrite E by assumption. nra. }
  intros p [_ Sp] [_ Sx].
  rewrite !beats_sum. transitivity (c * (sum n (fun y => sum n (fun y' => p y * P y y' * x y')) - 1 / 2 * (sum n p * sum n x)));
    [| rewrite Sp, Sx; ring].
  rewrite sum_product, <- sum_scal, <- sum_minus, <- sum_scal. apply sum_ext. intros y Hy.
  rewrite <- sum_scal, <- sum_minus, <- sum_scal. apply sum_ext. intros z Hz. rewrite HA by assumption. ring.
Qed.

(** E6.  So the value of the game of win rates is 1/2: nobody wins more against an accepted x, and somebody does. *)
Theorem E6_accepted_value n P x : is_pref n P -> accepted n (fun y y' => P y y' - 1 / 2) x ->
  lottery n P x /\ top n (win n P x) = 1 / 2.
Proof.
  intros HP Hx. assert (L : lottery n P x) by (apply (E6_accepted_win_rates n P (fun y y' => P y y' - 1 / 2) 1 x); [lra | intros; ring | exact Hx]).
  split; [exact L |]. destruct L as [D U]. pose proof (dist_n_pos n x D) as Hn.
  destruct (top_attained n (win n P x) Hn) as [k [Hk E]]. apply Rle_antisym.
  - rewrite E. pose proof (U (delta k) (dist_delta n k Hk)) as B. unfold beats, expect in B.
    rewrite (sum_ext n _ (fun z => win n P x z * delta k z)), sum_delta in B by (intros; ring || exact Hk). exact B.
  - rewrite <- (beats_self n P x HP (proj2 D)).
    apply (expect_bounds n x (win n P x) (bottom n (win n P x)) (top n (win n P x)) D).
    intros y Hy. split; [apply bottom_le | apply top_ge]; exact Hy.
Qed.

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
  - intros y _. transitivity ((sum k (fun i => lam i * v i y) - sum k lam * x y) * (ln (x y) - ln (mu y))); [rewrite S; ring |].
    rewrite <- sum_scal_r, <- sum_minus, <- sum_scal_r. apply sum_ext. intros; ring.
Qed.

Section Projection.

Variables (n : nat) (A : nat -> nat -> R) (mu x : nat -> R) (k : nat) (v : nat -> nat -> R) (g : R).
Hypothesis x_lottery : unbeaten n A x.
Hypothesis x_widest : forall z, unbeaten n A z -> within n x z.
Hypothesis vertices : forall z, unbeaten n A z -> exists lam, dist k lam /\ same n z (combine k lam v).
Hypothesis nearly_stationary : forall i, (i < k)%nat -> - g <= growth n mu x (v i).

(** E5.  What the verifier checks at the vertices holds for every lottery: KL(z || x) <= g + KL(z || mu) - KL(x || mu). *)
Theorem E5_accepted_pythagoras z : unbeaten n A z -> KL n z x <= g + KL n z mu - KL n x mu.
Proof.
  intro Hz. destruct (vertices z Hz) as [lam [L E]]. rewrite (kl_split n mu x z).
  assert (G : growth n mu x z = sum k (fun i => lam i * growth n mu x (v i))).
  { rewrite <- growth_combine by exact L. apply sum_ext. intros y Hy. rewrite (E y Hy). reflexivity. }
  enough (- g <= growth n mu x z) by lra. rewrite G.
  replace (- g) with (sum k (fun i => lam i * - g)) by (rewrite sum_scal_r, (proj2 L); ring).
  apply sum_le. intros i Hi. apply Rmult_le_compat_l; [apply L, Hi | apply nearly_stationary, Hi].
Qed.

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
  pose proof (coordinate_le_l1 n x q y Hy). pose proof (l1_nonneg n x q). destruct (Req_dec (x y - q y) 0) as [E | E]; [lra |].
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
  { intro t. unfold tanh, sinh, cosh. pose proof (exp_pos t) as H. rewrite exp_Ropp. replace (2 * t) with (t + t) by ring.
    rewrite exp_plus. assert (0 < exp t * exp t) by (apply Rmult_lt_0_compat; exact H). field. repeat split; lra. }
  intros [L | ->]; [| lra]. rewrite !E. pose proof (exp_increasing (2 * u) (2 * v) ltac:(lra)). pose proof (exp_pos (2 * u)).
  enough (2 / (exp (2 * v) + 1) <= 2 / (exp (2 * u) + 1)) by lra. apply Rmult_le_compat_l; [lra |]. apply Rinv_le_contravar; lra.
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
  destruct (E2_gap_is_the_maximum n tau P mu tau_pos reading_pref reading_reference pi (policy_dist n pi reading_policy))
    as [Max [Att _]].
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
  destruct (E3_residual_certificate_tanh n tau P mu tau_pos reading_pref reading_reference q pi q_nash reading_policy) as [D _].
  rewrite reading_osc in H. pose proof (tanh_increasing (osc n (residual n tau P mu pi) / 4) (o / 4) ltac:(lra)). lra.
Qed.

(** N14.  From an upper bound of the exploitability over tau. *)
Theorem N14_accepted_distance g : ln (expect n pi (fun y => exp (- (s y - expect n pi s)))) <= g ->
  l1 n p q <= eps + sqrt (2 * g).
Proof.
  intro H. apply printed_distance. destruct E2_accepted_exploitability as [E _].
  eapply Rle_trans; [apply (N14_distance n tau P mu tau_pos reading_pref reading_reference q pi q_nash), policy_dist, reading_policy |].
  apply sqrt_le_1_alt. rewrite <- E. replace (2 * (tau * _) / tau) with (2 * ln (expect n pi (fun y => exp (- (s y - expect n pi s))))) by (field; lra).
  lra.
Qed.

(** N18.  From upper bounds of |s - c|, E_pi|s - c| and E_pi(s - c)^2, for any c, and of the distance; and in closed form. *)
Theorem N18_accepted_distance c M e f2 u k :
  (forall y, (y < n)%nat -> Rabs (s y - c) <= M) ->
  expect n pi (fun y => Rabs (s y - c)) <= e -> expect n pi (fun y => (s y - c) ^ 2) <= f2 -> l1 n pi q <= u ->
  l1 n p q <= eps + Nat.iter k (sharpen e f2 M) u /\ l1 n p q <= eps + (M ^ 2 / 8 + sqrt (f2 + M ^ 4 / 64)).
Proof.
  intros HM He Hf Hu. destruct E1_accepted_reading as [b E].
  assert (C : forall y, (y < n)%nat -> residual n tau P mu pi y - (c - b) = s y - c) by (intros y Hy; rewrite E by exact Hy; ring).
  assert (HM' : forall y, (y < n)%nat -> Rabs (residual n tau P mu pi y - (c - b)) <= M) by (intros y Hy; rewrite C by exact Hy; apply HM, Hy).
  assert (He' : expect n pi (fun y => Rabs (residual n tau P mu pi y - (c - b))) <= e)
    by (rewrite (expect_ext n pi _ (fun y => Rabs (s y - c))) by (intros y Hy; rewrite C by exact Hy; reflexivity); exact He).
  assert (Hf' : expect n pi (fun y => (residual n tau P mu pi y - (c - b)) ^ 2) <= f2)
    by (rewrite (expect_ext n pi _ (fun y => (s y - c) ^ 2)) by (intros y Hy; rewrite C by exact Hy; reflexivity); exact Hf).
  split; apply printed_distance.
  - apply (N18_iterated n tau P mu q pi tau_pos reading_pref reading_reference q_nash reading_policy (c - b)); assumption.
  - apply (N18_closed_form n tau P mu q pi tau_pos reading_pref reading_reference q_nash reading_policy (c - b)); assumption.
Qed.

End Temperature.

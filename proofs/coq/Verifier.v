(** * What `nashlab certify` may conclude (E6, E5): the conditions that it checks imply the claims that it prints.

    A is a skew matrix of margins, of any scale; (A x)_y = [win n A x y] is the margin of y against x and
    p^T A x = [beats n A p x] that of a distribution p: the sums of Basics.v and Game.v, whatever the matrix. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate WinRate NashMD Existence ZeroTemperature LinearSolve.
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

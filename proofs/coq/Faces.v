(** * The set of maximal lotteries (E6): its vertices, its face, its dimension. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game MaximalLottery.
Open Scope R_scope.

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
Section Faces.

Variables (n : nat) (A : nat -> nat -> R).
Hypothesis A_skew : skew n A.

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
  - intro Hz. split; [apply Hz |]. split; [apply (lottery_within n A A_skew); assumption |]. split; [apply (lottery_balanced n A A_skew); assumption |].
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
  pose proof m_accepted as [[V S] W]. pose proof (lottery_balanced n A A_skew m m m_accepted m_accepted) as Bm.
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

End Faces.

(** * The set of maximal lotteries (E6): its vertices, its face, its dimension. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game LinearSolve MaximalLottery.
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
  { intros a b. unfold room. destruct (Req_EM_T a 0); [lra |].
    apply Rdiv_lt_0_compat; [apply Rabs_pos_lt; assumption |].
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
    rewrite (Rabs_pos_eq (v y)) in R1 by apply V, Hy. pose proof (Rle_abs (- (s * d y))) as B. rewrite Rabs_Ropp in B.
    lra.
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
    { intros y Hy. unfold win, Rdiv. rewrite <- sum_plus, <- sum_scal_r. apply sum_ext. intros z Hz.
      rewrite Mid by exact Hz. field. }
    assert (Side : forall u w, accepted n A u -> accepted n A w -> (forall y, (y < n)%nat -> v y = (u y + w y) / 2) ->
      (forall y, (y < n)%nat -> win n A v y = (win n A u y + win n A w y) / 2) -> same n u v).
    { intros u w [[U Su] Wu] [[U' _] Wu'] Muw Huw. destruct (Rank u) as [c Hc].
      - intros y Hy Z. pose proof (U y Hy). pose proof (U' y Hy). pose proof (Muw y Hy). lra.
      - intros y Hy Z. pose proof (Wu y Hy). pose proof (Wu' y Hy). pose proof (Huw y Hy). lra.
      - assert (c = 1) as ->; [| intros y Hy; rewrite Hc by exact Hy; ring].
        rewrite (sum_ext n u _ Hc), sum_scal, S in Su. lra. }
    split; [apply (Side a b) | apply (Side b a)]; try assumption; intros y Hy; rewrite Mid || rewrite Half;
      try exact Hy; lra.
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

(** E6.  The check of a vertex from a rank: supp v = {held 0, ..., held l}, and l rows in which A v = 0 that are
    independent on the support of v without one column q. *)
Theorem E6_vertex_from_rank l held v tight q : within n (spread (S l) held (fun _ => 1)) v ->
  (forall i, (i < S l)%nat -> (held i < n)%nat /\ v (held i) <> 0) ->
  (forall i j, (i < S l)%nat -> (j < S l)%nat -> held i = held j -> i = j) ->
  (forall i, (i < l)%nat -> (tight i < n)%nat /\ win n A v (tight i) = 0) -> (q <= l)%nat ->
  nonsingular l (fun i j => A (tight i) (held (skip q j))) -> vertex_rank v.
Proof.
  intros Sup Held Once Tight Hq NS d In Ker.
  assert (Range : forall i, (i < S l)%nat -> (held i < n)%nat) by (intros i Hi; apply Held, Hi).
  assert (Off : forall y, (y < n)%nat -> (forall i, (i < S l)%nat -> held i <> y) -> v y = 0).
  { intros y Hy N. apply (Sup y Hy). apply spread_off, N. }
  assert (Row : forall u, within n v u -> (forall y, (y < n)%nat -> win n A v y = 0 -> win n A u y = 0) ->
    forall i, (i < l)%nat -> win (S l) (fun i j => A (tight i) (held j)) (fun j => u (held j)) i = 0).
  { intros u Hu Ku i Hi. destruct (Tight i Hi) as [Ht Zt]. rewrite <- (Ku (tight i) Ht Zt).
    rewrite (win_same n A u (spread (S l) held (fun j => u (held j))))
      by (apply (spread_self n (S l) held Once); intros y Hy N; apply Hu; auto).
    rewrite (spread_win n A (S l) held Range). reflexivity. }
  destruct (E6_rank_line l (fun i j => A (tight i) (held j)) (fun i => i) q (fun j => v (held j)) NS Hq)
    with (z := fun j => d (held j)) as [c Hc].
  - apply Held. lia.
  - apply Row; [intros y _ E; exact E | auto].
  - apply Row; assumption.
  - exists c. intros y Hy. destruct (held_or_not (S l) held y) as [[i [Hi <-]] | N]; [apply Hc, Hi |].
    rewrite (In y Hy (Off y Hy N)), (Off y Hy N). ring.
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
  - intro Hz. split; [apply Hz |]. split; [apply (lottery_within n A A_skew); assumption |].
    split; [apply (lottery_balanced n A A_skew); assumption |].
    intros y Hy _. apply Hz, Hy.
  - intros [D [_ [B O]]]. split; [exact D |]. intros y Hy.
    destruct (Req_dec (m y) 0) as [E | E]; [apply O; assumption |].
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

Lemma mixed_pair a b t : accepted n A a -> accepted n A b -> 0 <= t <= 1 ->
  accepted n A (fun y => a y + t * (b y - a y)).
Proof.
  intros [[Pa Sa] Wa] [[Pb Sb] Wb] Ht. split; [split |].
  - intros y Hy. pose proof (Pa y Hy). pose proof (Pb y Hy). nra.
  - rewrite sum_plus, sum_scal, sum_minus, Sa, Sb. ring.
  - intros y Hy. rewrite (win_move n A a t (fun y => b y - a y)), win_minus. pose proof (Wa y Hy).
    pose proof (Wb y Hy). nra.
Qed.

(** No lottery lies beyond a vertex v, as seen from w. *)
Lemma not_beyond v w z s : extreme v -> unbeaten n A w -> unbeaten n A z -> ~ same n v w ->
  (forall y, (y < n)%nat -> z y = v y + s * (w y - v y)) -> 0 <= s.
Proof.
  intros [Uv Ext] Uw Uz Ne Ez. apply Rnot_lt_le. intro Neg. apply Ne.
  apply E6_accepted_iff in Uv. apply E6_accepted_iff in Uw. apply E6_accepted_iff in Uz.
  set (t := Rmin 1 (- s)). assert (T : 0 < t /\ t <= 1 /\ t <= - s).
  { unfold t. split; [apply Rmin_glb_lt; lra | split; [apply Rmin_l | apply Rmin_r]]. }
  destruct (Ext (fun y => v y + t * (w y - v y)) (fun y => v y + t / - s * (z y - v y))) as [E _].
  - apply E6_accepted_iff, mixed_pair; [exact Uv | exact Uw | lra].
  - apply E6_accepted_iff, mixed_pair; [exact Uv | exact Uz |]. split; [apply Rdiv_le_0_compat; lra |].
    apply Rmult_le_reg_r with (- s); [lra |]. replace (t / - s * - s) with t by (field; lra). lra.
  - intros y Hy. rewrite (Ez y Hy). field. lra.
  - intros y Hy. pose proof (E y Hy) as Ey. cbv beta in Ey. assert (Z : t * (w y - v y) = 0) by lra.
    apply Rmult_integral in Z. destruct Z; lra.
Qed.

(** E6.  A face of dimension 1 has its two vertices and no more: every lottery lies between them. *)
Theorem E6_segment_complete v w : extreme v -> extreme w -> ~ same n v w ->
  (forall d, direction d -> exists c, forall y, (y < n)%nat -> d y = c * (w y - v y)) ->
  forall z, unbeaten n A z -> exists s, 0 <= s <= 1 /\ forall y, (y < n)%nat -> z y = v y + s * (w y - v y).
Proof.
  intros Ev Ew Ne Line z Hz. destruct E6_face_dimension as [_ [Dir _]].
  destruct (Line _ (Dir z Hz)) as [c Hc]. destruct (Line _ (Dir v (proj1 Ev))) as [c' Hc'].
  assert (Ez : forall y, (y < n)%nat -> z y = v y + (c - c') * (w y - v y)).
  { intros y Hy. pose proof (Hc y Hy) as E. pose proof (Hc' y Hy) as E'. cbv beta in E, E'. lra. }
  exists (c - c'). split; [split | exact Ez].
  - exact (not_beyond v w z _ Ev (proj1 Ew) Hz Ne Ez).
  - enough (0 <= 1 - (c - c')) by lra. apply (not_beyond w v z (1 - (c - c')) Ew (proj1 Ev) Hz).
    + intro E. apply Ne, same_sym, E.
    + intros y Hy. rewrite (Ez y Hy). ring.
Qed.

End Face.

(** ** Every maximal lottery is a mixture of vertices *)

(** The ratio test: as t grows, the first of the quantities a + t b >= 0 to reach 0. *)
Lemma ratio_test N (a b : nat -> R) :
  (forall i, (i < N)%nat -> 0 <= a i) -> (forall i, (i < N)%nat -> a i = 0 -> b i = 0) ->
  (forall i, (i < N)%nat -> 0 <= b i) \/
  exists t, 0 < t /\ (forall i, (i < N)%nat -> 0 <= a i + t * b i) /\
    exists j, (j < N)%nat /\ a j <> 0 /\ a j + t * b j = 0.
Proof.
  induction N as [| N IH]; intros Ha Hz; [left; intros; lia |].
  destruct IH as [Up | [t [Ht [Ok [j [Hj [Aj Zj]]]]]]]; try (intros; (apply Ha || apply Hz); (lia || assumption)).
  - destruct (Rle_dec 0 (b N)) as [B | B].
    { left. intros i Hi. destruct (Nat.eq_dec i N) as [-> | E]; [exact B | apply Up; lia]. }
    apply Rnot_le_lt in B. pose proof (Ha N ltac:(lia)) as AN.
    assert (a N <> 0) by (intro E; pose proof (Hz N ltac:(lia) E); lra).
    right. exists (a N / - b N). assert (Pos : 0 < a N / - b N) by (apply Rdiv_lt_0_compat; lra).
    assert (Zero : a N + a N / - b N * b N = 0) by (field; lra).
    split; [exact Pos |]. split; [| exists N; split; [lia | split; assumption]].
    intros i Hi. destruct (Nat.eq_dec i N) as [-> | E]; [lra |].
    pose proof (Up i ltac:(lia)). pose proof (Ha i Hi). assert (0 <= a N / - b N * b i) by (apply Rmult_le_pos; lra).
    lra.
  - right. destruct (Rle_dec 0 (a N + t * b N)) as [B | B].
    { exists t. split; [exact Ht |]. split; [| exists j; split; [lia | split; assumption]].
      intros i Hi. destruct (Nat.eq_dec i N) as [-> | E]; [exact B | apply Ok; lia]. }
    apply Rnot_le_lt in B. pose proof (Ha N ltac:(lia)) as AN. assert (BN : b N < 0) by nra.
    assert (a N <> 0) by (intro E; pose proof (Hz N ltac:(lia) E); lra).
    set (u := a N / - b N). assert (Pos : 0 < u) by (apply Rdiv_lt_0_compat; lra).
    assert (Zero : a N + u * b N = 0) by (unfold u; field; lra).
    assert (Less : u < t) by nra.
    exists u. split; [exact Pos |]. split; [| exists N; split; [lia | split; assumption]].
    intros i Hi. destruct (Nat.eq_dec i N) as [-> | E]; [lra |]. pose proof (Ok i ltac:(lia)). pose proof (Ha i Hi).
    nra.
Qed.

(** From a lottery z that is no vertex one can walk, along a direction with a negative entry, to a lottery with one more
    zero among its weights and slacks. *)
Lemma walk z e : accepted n A z -> within n z e -> sum n e = 0 ->
  (forall y, (y < n)%nat -> win n A z y = 0 -> win n A e y = 0) -> (exists y, (y < n)%nat /\ e y < 0) ->
  exists t, 0 < t /\ accepted n A (fun y => z y + t * e y) /\ exists j, (j < n)%nat /\
    ((z j <> 0 /\ z j + t * e j = 0) \/ (win n A z j <> 0 /\ win n A (fun y => z y + t * e y) j = 0)).
Proof.
  intros [[Z S] W] In S0 Ker [m [Hm Neg]].
  set (a := fun i => if Nat.ltb i n then z i else - win n A z (i - n)).
  set (b := fun i => if Nat.ltb i n then e i else - win n A e (i - n)).
  assert (Low : forall i, (i < n)%nat -> a i = z i /\ b i = e i).
  { intros i Hi. unfold a, b. replace (Nat.ltb i n) with true by (symmetry; apply Nat.ltb_lt; exact Hi).
    split; reflexivity. }
  assert (High : forall i, a (n + i)%nat = - win n A z i /\ b (n + i)%nat = - win n A e i).
  { intro i. unfold a, b. replace (Nat.ltb (n + i) n) with false by (symmetry; apply Nat.ltb_ge; lia).
    replace (n + i - n)%nat with i by lia. split; reflexivity. }
  assert (Both : forall Q : nat -> Prop, (forall i, (i < n)%nat -> Q i) -> (forall i, (i < n)%nat -> Q (n + i)%nat) ->
    forall i, (i < n + n)%nat -> Q i).
  { intros Q Q1 Q2 i Hi. destruct (le_lt_dec n i) as [L | L]; [| apply Q1, L].
    replace i with (n + (i - n))%nat by lia. apply Q2. lia. }
  destruct (ratio_test (n + n) a b) as [Up | [t [Ht [Ok [j [Hj [Aj Zj]]]]]]].
  - apply Both; intros i Hi;
      [destruct (Low i Hi) as [-> _]; apply Z, Hi | destruct (High i) as [-> _]; pose proof (W i Hi); lra].
  - apply (Both (fun i => a i = 0 -> b i = 0)); intros i Hi E.
    + destruct (Low i Hi) as [Ea ->]. apply In; [exact Hi | lra].
    + destruct (High i) as [Ea ->]. rewrite (Ker i Hi) by lra. ring.
  - exfalso. pose proof (Up m ltac:(lia)) as U. destruct (Low m Hm) as [_ Eb]. rewrite Eb in U. lra.
  - exists t. split; [exact Ht |]. split; [split; [split |] |].
    + intros y Hy. pose proof (Ok y ltac:(lia)) as O. destruct (Low y Hy) as [Ea Eb]. rewrite Ea, Eb in O. exact O.
    + rewrite sum_plus, sum_scal, S, S0. ring.
    + intros y Hy. rewrite win_move. pose proof (Ok (n + y)%nat ltac:(lia)) as O. destruct (High y) as [Ea Eb].
      rewrite Ea, Eb in O. lra.
    + destruct (le_lt_dec n j) as [L | L].
      * exists (j - n)%nat. split; [lia |]. right. destruct (High (j - n)%nat) as [Ea Eb].
        replace (n + (j - n))%nat with j in Ea, Eb by lia. rewrite win_move.
        split; [intro E; apply Aj; lra | rewrite Ea, Eb in Zj; lra].
      * exists j. split; [exact L |]. left. destruct (Low j L) as [Ea Eb].
        split; [intro E; apply Aj; lra | rewrite Ea, Eb in Zj; lra].
Qed.

(** The number of weights and slacks that are not 0. *)
Definition loose z : R :=
  sum n (fun y => if Req_EM_T (z y) 0 then 0 else 1) + sum n (fun y => if Req_EM_T (win n A z y) 0 then 0 else 1).

Lemma loose_nonneg z : 0 <= loose z.
Proof.
  unfold loose. apply Rplus_le_le_0_compat; apply sum_nonneg; intros y _;
    [destruct (Req_EM_T (z y) 0) | destruct (Req_EM_T (win n A z y) 0)]; lra.
Qed.

Lemma count_le N (f g : nat -> R) : (forall y, (y < N)%nat -> g y = 0 -> f y = 0) ->
  sum N (fun y => if Req_EM_T (f y) 0 then 0 else 1) <= sum N (fun y => if Req_EM_T (g y) 0 then 0 else 1).
Proof.
  intro H. apply sum_le. intros y Hy. destruct (Req_EM_T (f y) 0), (Req_EM_T (g y) 0) as [E | E]; try lra.
  exfalso. auto.
Qed.

Lemma count_less N (f g : nat -> R) j : (forall y, (y < N)%nat -> g y = 0 -> f y = 0) -> (j < N)%nat -> g j <> 0 ->
  f j = 0 ->
  sum N (fun y => if Req_EM_T (f y) 0 then 0 else 1) + 1 <= sum N (fun y => if Req_EM_T (g y) 0 then 0 else 1).
Proof.
  intros H Hj Gj Fj.
  assert (L : (if Req_EM_T (g j) 0 then 0 else 1) - (if Req_EM_T (f j) 0 then 0 else 1)
    <= sum N (fun y => (if Req_EM_T (g y) 0 then 0 else 1) - (if Req_EM_T (f y) 0 then 0 else 1))).
  { apply (sum_lower_bound N (fun y => (if Req_EM_T (g y) 0 then 0 else 1) - (if Req_EM_T (f y) 0 then 0 else 1)) j);
      [| exact Hj].
    intros y Hy. destruct (Req_EM_T (f y) 0), (Req_EM_T (g y) 0) as [E | E]; try lra. exfalso. auto. }
  rewrite sum_minus in L. destruct (Req_EM_T (g j) 0); [contradiction |].
  destruct (Req_EM_T (f j) 0); [lra | contradiction].
Qed.

Lemma walk_less z e : accepted n A z -> within n z e -> sum n e = 0 ->
  (forall y, (y < n)%nat -> win n A z y = 0 -> win n A e y = 0) -> (exists y, (y < n)%nat /\ e y < 0) ->
  exists t, 0 < t /\ accepted n A (fun y => z y + t * e y) /\ loose (fun y => z y + t * e y) + 1 <= loose z.
Proof.
  intros Hz In S0 Ker Neg. destruct (walk z e Hz In S0 Ker Neg) as [t [Ht [Acc [j [Hj New]]]]].
  exists t. split; [exact Ht |]. split; [exact Acc |]. unfold loose.
  assert (K1 : forall y, (y < n)%nat -> z y = 0 -> z y + t * e y = 0) by (intros y Hy E; rewrite E, (In y Hy E); ring).
  assert (K2 : forall y, (y < n)%nat -> win n A z y = 0 -> win n A (fun y => z y + t * e y) y = 0)
    by (intros y Hy E; rewrite win_move, E, (Ker y Hy E); ring).
  pose proof (count_le n (fun y => z y + t * e y) z K1).
  pose proof (count_le n (win n A (fun y => z y + t * e y)) (win n A z) K2).
  destruct New as [[N1 N2] | [N1 N2]].
  - pose proof (count_less n (fun y => z y + t * e y) z j K1 Hj N1 N2). lra.
  - pose proof (count_less n (win n A (fun y => z y + t * e y)) (win n A z) j K2 Hj N1 N2). lra.
Qed.

(** E6.  Every maximal lottery is a mixture of vertices: a list that has every vertex has the whole face. *)
Theorem E6_vertices_generate z : unbeaten n A z -> exists k lam v,
  dist k lam /\ (forall i, (i < k)%nat -> extreme (v i)) /\ same n z (combine k lam v).
Proof.
  rewrite <- E6_accepted_iff. enough (Gen : forall N z, loose z < INR N -> accepted n A z -> exists k lam v,
    dist k lam /\ (forall i, (i < k)%nat -> extreme (v i)) /\ same n z (combine k lam v)).
  { intro Hz. destruct (nfloor_ex (loose z) (loose_nonneg z)) as [N [_ HN]].
    apply (Gen (S N) z); [rewrite S_INR; exact HN | exact Hz]. }
  clear z. induction N as [| N IH]; intros z HN Hz.
  { exfalso. pose proof (loose_nonneg z). simpl in HN. lra. }
  destruct (Classical_Prop.classic (extreme z)) as [Ext | Not].
  { exists 1%nat, (fun _ => 1), (fun _ => z). split; [split; [intros; lra | simpl; ring] |].
    split; [intros; exact Ext |].
    intros y _. unfold combine. simpl. ring. }
  rewrite <- (E6_accepted_vertex z Hz) in Not.
  assert (Dir : exists d, within n z d /\ (forall y, (y < n)%nat -> win n A z y = 0 -> win n A d y = 0) /\
    exists y, (y < n)%nat /\ d y <> sum n d * z y).
  { apply Classical_Prop.NNPP. intro None. apply Not. intros d In Ker. exists (sum n d). intros y Hy.
    apply Classical_Prop.NNPP. intro Ne. apply None. exists d. split; [exact In |]. split; [exact Ker |]. exists y.
    split; assumption. }
  destruct Dir as [d [In [Ker [y0 [Hy0 Ne]]]]]. pose proof Hz as [[_ S] _].
  set (e := fun y => d y - sum n d * z y). set (e' := fun y => - e y).
  assert (In1 : within n z e) by (intros y Hy E; unfold e; rewrite E, (In y Hy E); ring).
  assert (S1 : sum n e = 0) by (unfold e; rewrite sum_minus, sum_scal, S; ring).
  assert (Ker1 : forall y, (y < n)%nat -> win n A z y = 0 -> win n A e y = 0)
    by (intros y Hy E; unfold e; rewrite win_minus, win_multiple, E, (Ker y Hy E); ring).
  assert (In2 : within n z e') by (intros y Hy E; unfold e'; rewrite (In1 y Hy E); ring).
  assert (S2 : sum n e' = 0) by (unfold e'; rewrite sum_opp, S1; ring).
  assert (Ker2 : forall y, (y < n)%nat -> win n A z y = 0 -> win n A e' y = 0).
  { intros y Hy E. unfold e'.
    rewrite (win_same n A _ (fun y => -1 * e y)), win_multiple, (Ker1 y Hy E); [ring | intros i _; ring]. }
  assert (Zero : forall f, sum n f = 0 -> (exists y, (y < n)%nat /\ f y <> 0) -> exists y, (y < n)%nat /\ f y < 0).
  { intros f Sf [y [Hy Fy]]. apply Classical_Prop.NNPP. intro None. apply Fy.
    apply (sum_nonneg_zero n f); [| exact Sf | exact Hy]. intros i Hi. apply Rnot_lt_le. intro L. apply None. exists i.
    split; assumption. }
  destruct (walk_less z e Hz In1 S1 Ker1) as [t [Ht [Acc1 Less1]]];
    [apply Zero; [exact S1 | exists y0; split; [exact Hy0 | apply Rminus_eq_contra, Ne]] |].
  destruct (walk_less z e' Hz In2 S2 Ker2) as [t' [Ht' [Acc2 Less2]]];
    [apply Zero; [exact S2 | exists y0; split; [exact Hy0 | apply Ropp_neq_0_compat, Rminus_eq_contra, Ne]] |].
  rewrite S_INR in HN.
  destruct (IH (fun y => z y + t * e y) ltac:(lra) Acc1) as [k [lam [v [L [V E]]]]].
  destruct (IH (fun y => z y + t' * e' y) ltac:(lra) Acc2) as [k' [lam' [v' [L' [V' E']]]]].
  exists (k + k')%nat, (fun i => if Nat.ltb i k then t' / (t + t') * lam i else t / (t + t') * lam' (i - k)%nat),
    (fun i => if Nat.ltb i k then v i else v' (i - k)%nat).
  assert (Front : forall i, (i < k)%nat -> Nat.ltb i k = true) by (intros i Hi; apply Nat.ltb_lt; exact Hi).
  assert (Back : forall i, Nat.ltb (k + i) k = false) by (intro i; apply Nat.ltb_ge; lia).
  assert (Shift : forall i, (k + i - k)%nat = i) by (intro i; lia).
  assert (W1 : 0 < t' / (t + t')) by (apply Rdiv_lt_0_compat; lra).
  assert (W2 : 0 < t / (t + t')) by (apply Rdiv_lt_0_compat; lra).
  split; [split | split].
  - intros i Hi. destruct (Nat.ltb_spec i k) as [Lt | Ge]; apply Rmult_le_pos; try lra; [apply L, Lt | apply L'; lia].
  - rewrite sum_append.
    rewrite (sum_ext k _ (fun i => t' / (t + t') * lam i)) by (intros i Hi; rewrite Front by exact Hi; reflexivity).
    rewrite (sum_ext k' _ (fun i => t / (t + t') * lam' i)) by (intros i Hi; rewrite Back, Shift; reflexivity).
    rewrite !sum_scal, (proj2 L), (proj2 L'). field. lra.
  - intros i Hi. destruct (Nat.ltb_spec i k) as [Lt | Ge]; [apply V, Lt | apply V'; lia].
  - intros y Hy. unfold combine. rewrite sum_append.
    rewrite (sum_ext k _ (fun i => t' / (t + t') * (lam i * v i y))) by (intros i Hi; rewrite Front by exact Hi; ring).
    rewrite (sum_ext k' _ (fun i => t / (t + t') * (lam' i * v' i y))) by (intros i Hi; rewrite Back, Shift; ring).
    rewrite !sum_scal. pose proof (E y Hy) as E1. pose proof (E' y Hy) as E2. cbv beta in E1, E2.
    fold (combine k lam v y). fold (combine k' lam' v' y). rewrite <- E1, <- E2. unfold e'. field. lra.
Qed.

End Faces.

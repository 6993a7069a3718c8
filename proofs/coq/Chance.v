(** * Means, independent draws, and how long a sub-Gaussian vector can be (for N17, N20).

    A mean is a positive linear functional E with E 1 = 1, on the real functions of any set of outcomes; [inside] says which
    outcomes count.  Probabilities are means of indicators. *)

From Coq Require Import Reals Lra Psatz Lia PeanoNat.
From Coquelicot Require Import Coquelicot.
From Nashlab Require Import Basics Game Equilibrium Certificate.
Open Scope R_scope.

Definition is_mean {O : Type} (inside : O -> Prop) (E : (O -> R) -> R) : Prop :=
  (forall F G, (forall o, inside o -> F o <= G o) -> E F <= E G) /\
  (forall F G, E (fun o => F o + G o) = E F + E G) /\ (forall c F, E (fun o => c * F o) = c * E F) /\ E (fun _ => 1) = 1.

(** 1 where a < b, else 0. *)
Definition above (a b : R) : R := if Rlt_dec a b then 1 else 0.

Section Mean.

Variables (O : Type) (inside : O -> Prop) (E : (O -> R) -> R).
Hypothesis E_mean : is_mean inside E.

Lemma mean_le F G : (forall o, inside o -> F o <= G o) -> E F <= E G.
Proof. apply E_mean. Qed.

Lemma mean_ext F G : (forall o, inside o -> F o = G o) -> E F = E G.
Proof. intro H. apply Rle_antisym; apply mean_le; intros o Ho; rewrite (H o Ho); lra. Qed.

Lemma mean_plus F G : E (fun o => F o + G o) = E F + E G.
Proof. apply E_mean. Qed.

Lemma mean_scal c F : E (fun o => c * F o) = c * E F.
Proof. apply E_mean. Qed.

Lemma mean_const c : E (fun _ => c) = c.
Proof.
  rewrite (mean_ext _ (fun _ => c * 1)) by (intros; ring). rewrite mean_scal.
  destruct E_mean as [_ [_ [_ ->]]]. ring.
Qed.

Lemma mean_sum n (F : nat -> O -> R) : E (fun o => sum n (fun i => F i o)) = sum n (fun i => E (F i)).
Proof.
  induction n as [| n IH]; simpl; [apply mean_const |]. rewrite mean_plus, IH. reflexivity.
Qed.

(** Jensen for exp and for log. *)
Lemma mean_exp f : exp (E f) <= E (fun o => exp (f o)).
Proof.
  set (c := E f). apply Rle_trans with (E (fun o => exp c * (1 - c) + exp c * f o)).
  - rewrite mean_plus, mean_const, mean_scal. fold c. lra.
  - apply mean_le. intros o _. pose proof (exp_ge_line (f o - c)) as L. pose proof (exp_pos c).
    replace (exp (f o)) with (exp c * exp (f o - c)) by (rewrite <- exp_plus; f_equal; ring).
    replace (exp c * (1 - c) + exp c * f o) with (exp c * (1 + (f o - c))) by ring. apply Rmult_le_compat_l; lra.
Qed.

Lemma mean_ln X : (forall o, inside o -> 1 <= X o) -> E (fun o => ln (X o)) <= ln (E X).
Proof.
  intro H. assert (M : 1 <= E X) by (rewrite <- (mean_const 1); apply mean_le; exact H).
  apply Rle_trans with (E (fun o => (ln (E X) - 1) + / E X * X o)).
  - apply mean_le. intros o Ho. pose proof (H o Ho). assert (Q : 0 < X o / E X) by (apply Rdiv_lt_0_compat; lra).
    pose proof (ln_le_line _ Q) as L. rewrite ln_div in L by lra. replace (/ E X * X o) with (X o / E X) by (field; lra). lra.
  - rewrite mean_plus, mean_const, mean_scal. right. field. lra.
Qed.

(** Markov, for exp f: P(f > s) <= E e^(f - s). *)
Lemma mean_tail f s : E (fun o => above s (f o)) <= E (fun o => exp (f o - s)).
Proof.
  apply mean_le. intros o _. unfold above. destruct (Rlt_dec s (f o)) as [L | L]; [| apply Rlt_le, exp_pos].
  pose proof (exp_ge_line (f o - s)). lra.
Qed.

(** Hoeffding's lemma for outcomes in [0, 1]. *)
Lemma mean_hoeffding x b : (forall o, inside o -> 0 <= x o <= 1) -> E (fun o => exp (b * (x o - E x))) <= exp (b ^ 2 / 8).
Proof.
  intro H. set (p := E x).
  assert (Hp : 0 <= p <= 1).
  { unfold p. pose proof (mean_le (fun _ => 0) x (fun o Ho => proj1 (H o Ho))) as L. pose proof (mean_le x (fun _ => 1) (fun o Ho => proj2 (H o Ho))) as U.
    rewrite mean_const in L, U. lra. }
  apply Rle_trans with (E (fun o => exp (- (b * p)) * (1 + (exp b - 1) * x o))).
  - apply mean_le. intros o Ho. pose proof (H o Ho) as Hx.
    replace (exp (b * (x o - p))) with (exp (- (b * p)) * exp (b * x o)) by (rewrite <- exp_plus; f_equal; ring).
    apply Rmult_le_compat_l; [apply Rlt_le, exp_pos |]. set (e := exp (b * x o)). assert (0 < e) by apply exp_pos.
    assert (A : e * (1 - b * x o) <= 1).
    { pose proof (exp_ge_line (- (b * x o))) as L.
      apply Rle_trans with (e * exp (- (b * x o))); [apply Rmult_le_compat_l; lra |].
      unfold e. rewrite <- exp_plus, Rplus_opp_r, exp_0. lra. }
    assert (B : e * (1 + (b - b * x o)) <= exp b).
    { replace (exp b) with (e * exp (b - b * x o)) by (unfold e; rewrite <- exp_plus; f_equal; ring).
      apply Rmult_le_compat_l; [lra | apply exp_ge_line]. }
    apply (Rmult_le_compat_l (1 - x o)) in A; [| lra]. apply (Rmult_le_compat_l (x o)) in B; [| lra].
    assert (e = (1 - x o) * (e * (1 - b * x o)) + x o * (e * (1 + (b - b * x o)))) by ring. lra.
  - rewrite mean_scal, mean_plus, mean_const, mean_scal. fold p.
    pose proof (bernoulli_log_mgf p b Hp) as L. pose proof (exp_pos b) as Eb.
    assert (Q : 0 < 1 - p + p * exp b) by (destruct (Req_dec p 0); nra).
    replace (b ^ 2 / 8) with (- (b * p) + (p * b + b ^ 2 / 8)) by ring. rewrite exp_plus.
    apply Rmult_le_compat_l; [apply Rlt_le, exp_pos |].
    replace (1 + (exp b - 1) * p) with (exp (ln (1 - p + p * exp b))) by (rewrite exp_ln by exact Q; ring).
    destruct L as [L | ->]; [apply Rlt_le, exp_increasing, L | lra].
Qed.

End Mean.

(** A finite law is a mean. *)
Lemma finite_mean K w : dist K w -> is_mean (fun k => (k < K)%nat) (expect K w).
Proof.
  intro Hw. split; [intros F G H; apply expect_le; [exact Hw | exact H] |].
  split; [apply expect_plus | split; [intros c F; apply expect_scal | apply expect_const, Hw]].
Qed.

(** ** Independent draws *)

(** The outcomes o with outcome c replaced by x. *)
Definition upd {A : Type} (o : nat -> A) (c : nat) (x : A) : nat -> A := fun i => if Nat.eqb i c then x else o i.

(** The mean over N independent draws, draw c by the law E c; further outcomes are a, and do not count. *)
Fixpoint product {A : Type} (a : A) (E : nat -> (A -> R) -> R) (N : nat) (F : (nat -> A) -> R) : R :=
  match N with Datatypes.O => F (fun _ => a) | S c => E c (fun x => product a E c (fun o => F (upd o c x))) end.

Lemma upd_same {A : Type} (o : nat -> A) c x : upd o c x c = x.
Proof. unfold upd. rewrite Nat.eqb_refl. reflexivity. Qed.

Lemma upd_other {A : Type} (o : nat -> A) c x i : i <> c -> upd o c x i = o i.
Proof. intro H. unfold upd. destruct (Nat.eqb_spec i c); [contradiction | reflexivity]. Qed.

Section Product.

Variables (A : Type) (a : A) (inside : nat -> A -> Prop) (E : nat -> (A -> R) -> R).

Lemma product_mean N : (forall c, (c < N)%nat -> is_mean (inside c) (E c)) ->
  is_mean (fun o => forall c, (c < N)%nat -> inside c (o c)) (product a E N).
Proof.
  induction N as [| N IH]; intro H.
  - split; [| split; [| split]]; simpl; try reflexivity. intros F G L. apply L. intros; lia.
  - assert (HN : is_mean (inside N) (E N)) by (apply H; lia).
    specialize (IH ltac:(intros; apply H; lia)). simpl. split; [| split; [| split]].
    + intros F G L. apply (mean_le _ _ _ HN). intros x Hx. apply (mean_le _ _ _ IH). intros o Ho. apply L.
      intros c Hc. destruct (Nat.eq_dec c N) as [-> | D]; [rewrite upd_same; exact Hx |].
      rewrite upd_other by exact D. apply Ho. lia.
    + intros F G. rewrite <- (mean_plus _ _ _ HN). apply (mean_ext _ _ _ HN). intros x _. apply (mean_plus _ _ _ IH).
    + intros c F. rewrite <- (mean_scal _ _ _ HN). apply (mean_ext _ _ _ HN). intros x _. apply (mean_scal _ _ _ IH).
    + transitivity (E N (fun _ => 1)); [| apply (mean_const _ _ _ HN)].
      apply (mean_ext _ _ _ HN). intros x _. apply (mean_const _ _ _ IH).
Qed.

(** The mean of a product of functions of one draw each, in logarithms. *)
Lemma product_exp N (g : nat -> A -> R) : (forall c, (c < N)%nat -> is_mean (inside c) (E c)) ->
  product a E N (fun o => exp (sum N (fun c => g c (o c)))) = exp (sum N (fun c => ln (E c (fun x => exp (g c x))))).
Proof.
  induction N as [| N IH]; intro H; [reflexivity |].
  assert (HN : is_mean (inside N) (E N)) by (apply H; lia).
  specialize (IH ltac:(intros; apply H; lia)). simpl.
  pose proof (product_mean N ltac:(intros; apply H; lia)) as PN.
  rewrite (mean_ext _ _ _ HN _ (fun x => exp (sum N (fun c => ln (E c (fun x => exp (g c x))))) * exp (g N x))).
  - rewrite (mean_scal _ _ _ HN), exp_plus, exp_ln; [reflexivity |].
    eapply Rlt_le_trans; [apply exp_pos | apply (mean_exp _ _ _ HN)].
  - intros x _. rewrite <- IH, (Rmult_comm (product a E N _)), <- (mean_scal _ _ _ PN). apply (mean_ext _ _ _ PN). intros o _.
    rewrite upd_same, exp_plus, Rmult_comm. f_equal. f_equal. apply sum_ext. intros i Hi. rewrite upd_other by lia. reflexivity.
Qed.

Lemma product_exp_le N (g : nat -> A -> R) s : (forall c, (c < N)%nat -> is_mean (inside c) (E c)) ->
  (forall c, (c < N)%nat -> E c (fun x => exp (g c x)) <= exp (s c)) ->
  product a E N (fun o => exp (sum N (fun c => g c (o c)))) <= exp (sum N s).
Proof.
  intros H L. rewrite product_exp by exact H.
  assert (Le : sum N (fun c => ln (E c (fun x => exp (g c x)))) <= sum N s).
  { apply sum_le. intros c Hc. rewrite <- (ln_exp (s c)). apply ln_le_mono; [| apply L, Hc].
    eapply Rlt_le_trans; [apply exp_pos | apply (mean_exp _ _ _ (H c Hc))]. }
  destruct Le as [Le | ->]; [apply Rlt_le, exp_increasing, Le | lra].
Qed.

Lemma product_exp_ge N (g : nat -> A -> R) s : (forall c, (c < N)%nat -> is_mean (inside c) (E c)) ->
  (forall c, (c < N)%nat -> exp (s c) <= E c (fun x => exp (g c x))) ->
  exp (sum N s) <= product a E N (fun o => exp (sum N (fun c => g c (o c)))).
Proof.
  intros H L. rewrite product_exp by exact H.
  assert (Le : sum N s <= sum N (fun c => ln (E c (fun x => exp (g c x))))).
  { apply sum_le. intros c Hc. rewrite <- (ln_exp (s c)) at 1. apply ln_le_mono; [apply exp_pos | apply L, Hc]. }
  destruct Le as [Le | ->]; [apply Rlt_le, exp_increasing, Le | lra].
Qed.

End Product.

(** ** Coins: draws of 1 and -1 *)

Definition coin (_ : nat) (F : R -> R) : R := (F 1 + F (-1)) / 2.
Definition sides (_ : nat) (x : R) : Prop := x = 1 \/ x = -1.

Lemma coin_mean c : is_mean (sides c) (coin c).
Proof.
  unfold coin, sides. split; [| split; [| split]]; intros; try field.
  pose proof (H 1 ltac:(left; reflexivity)). pose proof (H (-1) ltac:(right; reflexivity)). lra.
Qed.

Definition coins := product 0 coin.

Lemma coins_mean N : is_mean (fun o => forall c, (c < N)%nat -> sides c (o c)) (coins N).
Proof. apply product_mean. intros; apply coin_mean. Qed.

(** Coins may be thrown before or after. *)
Lemma coins_swap {O : Type} (inside : O -> Prop) E N (F : O -> (nat -> R) -> R) : is_mean inside E ->
  E (fun o => coins N (F o)) = coins N (fun r => E (fun o => F o r)).
Proof.
  intro HE. revert F. induction N as [| N IH]; intro F; [reflexivity |].
  assert (Throw : forall G, coins (S N) G = / 2 * (coins N (fun r => G (upd r N 1)) + coins N (fun r => G (upd r N (-1))))).
  { intro G. unfold coins. simpl. unfold coin at 1. field. }
  rewrite Throw, <- !IH, <- (mean_plus _ _ _ HE), <- (mean_scal _ _ _ HE). apply (mean_ext _ _ _ HE). intros o _. apply Throw.
Qed.

Lemma cosh_le y : (exp y + exp (- y)) / 2 <= exp (y ^ 2 / 2).
Proof.
  pose proof (mean_hoeffding nat (fun k => (k < 2)%nat) (expect 2 (fun _ => 1 / 2)) ltac:(apply finite_mean; split;
    [intros; lra | simpl; lra]) INR (2 * y)) as H. unfold expect in H. simpl in H.
  specialize (H ltac:(intros k Hk; assert (k = 0 \/ k = 1)%nat as [-> | ->] by lia; simpl; lra)).
  replace (2 * y * (0 - (0 + 1 / 2 * 0 + 1 / 2 * 1))) with (- y) in H by field.
  replace (2 * y * (1 - (0 + 1 / 2 * 0 + 1 / 2 * 1))) with y in H by field.
  replace (2 * y * (2 * y * 1) / 8) with (y ^ 2 / 2) in H by field. lra.
Qed.

Lemma cosh_ge y : exp (y ^ 2 / 2 - y ^ 4 / 8) <= (exp y + exp (- y)) / 2.
Proof.
  assert (Cosh : 1 + y ^ 2 / 2 <= (exp y + exp (- y)) / 2).
  { assert (S : forall h, 0 <= h -> 2 * h <= exp h - exp (- h)).
    { intros h Hh. set (f := fun t => exp t - exp (- t) - 2 * t).
      assert (f 0 <= f h).
      { apply (minimum_at f (fun t => exp t + exp (- t) - 2)).
        - intros t _. unfold f. auto_derive; [exact I | ring].
        - intros t Ht. apply Rmult_le_pos; [| lra]. pose proof (exp_ge_line t). pose proof (exp_ge_line (- t)). lra. }
      unfold f in H. rewrite Ropp_0 in H. lra. }
    assert (Sq : (2 * Rabs (y / 2)) ^ 2 <= (exp (Rabs (y / 2)) - exp (- Rabs (y / 2))) ^ 2).
    { pose proof (Rabs_pos (y / 2)). pose proof (S _ (Rabs_pos (y / 2))). apply pow_incr. lra. }
    assert (Even : (exp (Rabs (y / 2)) - exp (- Rabs (y / 2))) ^ 2 = exp y + exp (- y) - 2).
    { assert (D : forall u, exp u * exp u = exp (2 * u)) by (intro; rewrite <- exp_plus; f_equal; ring).
      assert (One : forall u, exp u * exp (- u) = 1) by (intro; rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
      destruct (Rcase_abs (y / 2)); [rewrite Rabs_left by lra | rewrite Rabs_right by lra];
        match goal with |- (exp ?u - exp ?v) ^ 2 = _ =>
          replace ((exp u - exp v) ^ 2) with (exp u * exp u + exp v * exp v - 2 * (exp u * exp v)) by ring end;
        rewrite One, !D;
        [replace (2 * - (y / 2)) with (- y) by field; replace (2 * - - (y / 2)) with y by field
        | replace (2 * (y / 2)) with y by field; replace (2 * - (y / 2)) with (- y) by field]; ring. }
    rewrite Even, Rpow_mult_distr, pow2_abs in Sq. replace (2 ^ 2 * (y / 2) ^ 2) with (y ^ 2) in Sq by field. lra. }
  eapply Rle_trans; [| exact Cosh]. set (u := y ^ 2 / 2). assert (Hu : 0 <= u) by (unfold u; pose proof (pow2_ge_0 y); lra).
  replace (u - y ^ 4 / 8) with (u - u ^ 2 / 2) by (unfold u; field).
  rewrite <- (exp_ln (1 + u)) by lra.
  assert (L : u - u ^ 2 / 2 <= ln (1 + u)).
  { set (f := fun t => ln (1 + t) - (t - t ^ 2 / 2)). assert (f 0 <= f u).
    { apply (minimum_at f (fun t => t ^ 2 / (1 + t))); rewrite Rmin_left, Rmax_right by lra.
      - intros t Ht. unfold f. auto_derive; [lra | field; lra].
      - intros t Ht. apply Rmult_le_pos; [apply Rdiv_le_0_compat; [apply pow2_ge_0 | lra] | lra]. }
    unfold f in H. rewrite Rplus_0_r, ln_1 in H. lra. }
  destruct L as [L | ->]; [apply Rlt_le, exp_increasing, L | lra].
Qed.

(** ** Quadratic forms of coins *)

(** v . X v, the trace of X and of X^2. *)
Definition quad n (X : nat -> nat -> R) (v : nat -> R) : R := sum n (fun c => sum n (fun d => X c d * (v c * v d))).
Definition trace n (X : nat -> nat -> R) : R := sum n (fun c => X c c).
Definition trace2 n (X : nat -> nat -> R) : R := sum n (fun c => sum n (fun d => X c d ^ 2)).

(** A symmetric matrix with 0 <= X on the diagonal and v . X v <= u |v|^2. *)
Definition at_most n (X : nat -> nat -> R) u : Prop :=
  (forall c d, (c < n)%nat -> (d < n)%nat -> X c d = X d c) /\ (forall c, (c < n)%nat -> 0 <= X c c) /\
  (forall v, quad n X v <= u * sum n (fun c => v c ^ 2)).

(** Against the last coordinate. *)
Lemma double_last n X : (forall c d, (c < S n)%nat -> (d < S n)%nat -> X c d = X d c) ->
  sum (S n) (fun c => sum (S n) (fun d => X c d)) = sum n (fun c => sum n (fun d => X c d)) + 2 * sum n (fun c => X c n) + X n n.
Proof.
  intro Sym. simpl. rewrite sum_plus. rewrite (sum_ext n (fun i => X n i) (fun i => X i n)) by (intros; apply Sym; lia). ring.
Qed.

Lemma quad_last n X v : (forall c d, (c < S n)%nat -> (d < S n)%nat -> X c d = X d c) ->
  quad (S n) X v = quad n X v + 2 * (v n * sum n (fun c => X c n * v c)) + X n n * v n ^ 2.
Proof.
  intro Sym. unfold quad. rewrite (double_last n (fun c d => X c d * (v c * v d))).
  - rewrite <- (sum_scal n (v n)). rewrite (sum_ext n (fun c => X c n * (v c * v n)) (fun i => v n * (X i n * v i))) by (intros; ring). ring.
  - intros c d Hc Hd. rewrite (Sym c d) by assumption. ring.
Qed.

(** X with its last coordinate drawn: X + x x^T. *)
Definition drawn n (X : nat -> nat -> R) (c d : nat) : R := X c d + X c n * X d n.

Lemma quad_drawn n X v : quad n (drawn n X) v = quad n X v + (sum n (fun c => X c n * v c)) ^ 2.
Proof.
  unfold quad, drawn. replace ((sum n (fun c => X c n * v c)) ^ 2) with (sum n (fun c => X c n * v c) * sum n (fun c => X c n * v c)) by ring.
  rewrite sum_product, <- sum_plus. apply sum_ext. intros c _. rewrite <- sum_plus. apply sum_ext. intros; ring.
Qed.

Lemma last_test n X u v s : at_most (S n) X u ->
  quad n X v + 2 * (s * sum n (fun c => X c n * v c)) + X n n * s ^ 2 <= u * (sum n (fun c => v c ^ 2) + s ^ 2).
Proof.
  intros [Sym [_ H]]. specialize (H (upd v n s)). rewrite quad_last in H by exact Sym. simpl in H. rewrite upd_same in H.
  rewrite (sum_ext n (fun c => X c n * upd v n s c) (fun c => X c n * v c)) in H
    by (intros c Hc; rewrite upd_other by lia; reflexivity).
  rewrite (sum_ext n (fun c => upd v n s c * (upd v n s c * 1)) (fun c => v c ^ 2)) in H
    by (intros c Hc; rewrite upd_other by lia; ring).
  assert (Q : quad n X (upd v n s) = quad n X v).
  { apply sum_ext. intros c Hc. apply sum_ext. intros d Hd. rewrite !upd_other by lia. reflexivity. }
  rewrite Q in H. nra.
Qed.

Lemma drawn_at_most n X u : u < 1 -> at_most (S n) X u -> at_most n (drawn n X) u.
Proof.
  intros Hu HX. pose proof HX as [Sym [Diag H]]. split; [| split].
  - intros c d Hc Hd. unfold drawn. rewrite (Sym c d) by lia. ring.
  - intros c Hc. unfold drawn. pose proof (Diag c ltac:(lia)). pose proof (pow2_ge_0 (X c n)). simpl in *. nra.
  - intro v. rewrite quad_drawn. set (b := sum n (fun c => X c n * v c)).
    pose proof (last_test n X u v b HX) as T. fold b in T. pose proof (Diag n ltac:(lia)).
    assert (0 <= (1 - u + X n n) * b ^ 2) by (apply Rmult_le_pos; [lra | apply pow2_ge_0]). nra.
Qed.

(** log E e^(r . X r / 2) <= (tr X + tr X^2 / 2(1 - u)) / 2 for coins r and X <= u < 1. *)
Lemma coins_quad n X u : u < 1 -> at_most n X u ->
  coins n (fun r => exp (quad n X r / 2)) <= exp ((trace n X + trace2 n X / (2 * (1 - u))) / 2).
Proof.
  intro Hu. revert X. induction n as [| n IH]; intros X HX.
  - unfold coins, quad, trace, trace2; simpl. right. f_equal. field. lra.
  - pose proof HX as [Sym [Diag _]]. pose proof (coins_mean n) as M.
    assert (Throw : forall G, coins (S n) G = / 2 * (coins n (fun r => G (upd r n 1)) + coins n (fun r => G (upd r n (-1))))).
    { intro G. unfold coins. simpl. unfold coin at 1. field. }
    set (x := fun c => X c n). set (b := fun r : nat -> R => sum n (fun c => X c n * r c)).
    assert (Side : forall s, s ^ 2 = 1 -> coins n (fun o => exp (quad (S n) X (upd o n s) / 2))
      = coins n (fun o => exp (X n n / 2) * (exp (quad n X o / 2) * exp (s * b o)))).
    { intros s Hs. apply (mean_ext _ _ _ M). intros r _. rewrite <- !exp_plus. f_equal. rewrite quad_last by exact Sym.
      rewrite upd_same, Hs. rewrite (sum_ext n (fun c => X c n * upd r n s c) (fun c => X c n * r c))
        by (intros c Hc; rewrite upd_other by lia; reflexivity).
      assert (Q : quad n X (upd r n s) = quad n X r).
      { apply sum_ext. intros c Hc. apply sum_ext. intros d Hd. rewrite !upd_other by lia. reflexivity. }
      rewrite Q. fold (b r). field. }
    rewrite Throw, !Side by ring. rewrite <- (mean_plus _ _ _ M), <- (mean_scal _ _ _ M).
    apply Rle_trans with (exp (X n n / 2) * coins n (fun r => exp (quad n (drawn n X) r / 2))).
    + rewrite <- (mean_scal _ _ _ M). apply (mean_le _ _ _ M). intros r _. rewrite quad_drawn. fold (b r).
      replace ((quad n X r + b r ^ 2) / 2) with (quad n X r / 2 + b r ^ 2 / 2) by field. rewrite exp_plus.
      pose proof (cosh_le (b r)) as C. rewrite Rmult_1_l. replace (-1 * b r) with (- b r) by ring.
      pose proof (exp_pos (X n n / 2)). pose proof (exp_pos (quad n X r / 2)).
      assert (K : 0 < exp (X n n / 2) * exp (quad n X r / 2)) by nra.
      apply (Rmult_le_compat_l _ _ _ (Rlt_le _ _ K)) in C. nra.
    + eapply Rle_trans; [apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | apply IH, drawn_at_most; assumption] |].
      rewrite <- exp_plus.
      set (x2 := sum n (fun c => X c n ^ 2)). set (xXx := quad n X x).
      assert (Tr : trace n (drawn n X) = trace n X + x2).
      { unfold trace, drawn, x2. rewrite <- sum_plus. apply sum_ext. intros; ring. }
      assert (Tr2 : trace2 n (drawn n X) = trace2 n X + 2 * xXx + x2 ^ 2).
      { unfold trace2, drawn, xXx, quad, x, x2. simpl. rewrite Rmult_1_r, sum_product, <- (sum_scal n 2), <- !sum_plus.
        apply sum_ext. intros c _. rewrite <- (sum_scal n 2), <- !sum_plus. apply sum_ext. intros; ring. }
      assert (TrS : trace (S n) X = trace n X + X n n) by reflexivity.
      assert (Tr2S : trace2 (S n) X = trace2 n X + 2 * x2 + X n n ^ 2).
      { unfold trace2. rewrite (double_last n (fun c d => X c d ^ 2)); [reflexivity |].
        intros c d Hc Hd. rewrite (Sym c d) by assumption. reflexivity. }
      rewrite Tr, Tr2, TrS, Tr2S. pose proof (last_test n X u x x2 HX) as T. fold xXx in T.
      assert (Bx : sum n (fun c => X c n * x c) = x2) by (apply sum_ext; intros; unfold x; ring).
      change (sum n (fun c => x c ^ 2)) with x2 in T. rewrite Bx in T. pose proof (Diag n ltac:(lia)) as Dn.
      assert (0 <= (1 - u + X n n) * x2 ^ 2) by (apply Rmult_le_pos; [lra | apply pow2_ge_0]).
      assert (Gain : 2 * xXx + x2 ^ 2 <= 2 * (u * x2) + X n n ^ 2) by (pose proof (pow2_ge_0 (X n n)); pose proof (pow2_ge_0 x2); nra).
      assert (Le : X n n / 2 + (trace n X + x2 + (trace2 n X + 2 * xXx + x2 ^ 2) / (2 * (1 - u))) / 2
        <= (trace n X + X n n + (trace2 n X + 2 * x2 + X n n ^ 2) / (2 * (1 - u))) / 2).
      { assert (I : 0 < / (2 * (1 - u))) by (apply Rinv_0_lt_compat; lra).
        apply (Rmult_le_compat_r _ _ _ (Rlt_le _ _ I)) in Gain.
        assert (Sp : x2 = (2 * (1 - u) * x2) * / (2 * (1 - u))) by (field; lra). unfold Rdiv in *. rewrite Sp at 1. nra. }
      destruct Le as [Le | ->]; [apply Rlt_le, exp_increasing, Le | lra].
Qed.

(** ** Many coins for each coordinate *)

Lemma sum_blocks n k f : sum (n * k) f = sum n (fun i => sum k (fun j => f (i * k + j)%nat)).
Proof. induction n as [| n IH]; [reflexivity |]. rewrite Nat.mul_succ_l, sum_append, IH. reflexivity. Qed.

Lemma block i k j : (j < k)%nat -> ((i * k + j) / k = i)%nat.
Proof. intro H. rewrite Nat.div_add_l, Nat.div_small by lia. lia. Qed.

Lemma sum_each n k f : sum (n * k) (fun c => f (c / k)%nat) = INR k * sum n f.
Proof.
  rewrite sum_blocks, <- sum_scal. apply sum_ext. intros i _. rewrite <- sum_const. apply sum_ext. intros j Hj.
  rewrite block by exact Hj. reflexivity.
Qed.

Definition spread_out k s (C : nat -> nat -> R) (c d : nat) : R := s / INR k * C (c / k)%nat (d / k)%nat.

Lemma quad_spread n k s C v :
  quad (n * k) (spread_out k s C) v = s / INR k * quad n C (fun i => sum k (fun j => v (i * k + j)%nat)).
Proof.
  unfold quad, spread_out. rewrite sum_blocks, <- sum_scal. apply sum_ext. intros i _.
  rewrite (sum_ext k _ (fun j => sum n (fun i' => sum k (fun j' => s / INR k * C i i' * (v (i * k + j)%nat * v (i' * k + j')%nat))))).
  - rewrite sum_swap, <- sum_scal. apply sum_ext. intros i' _. rewrite sum_product, <- !sum_scal.
    apply sum_ext. intros j _. rewrite <- !sum_scal. apply sum_ext. intros; ring.
  - intros j Hj. rewrite sum_blocks. apply sum_ext. intros i' _. apply sum_ext. intros j' Hj'. rewrite !block by assumption. ring.
Qed.

Lemma spread_at_most n k s C L : (0 < k)%nat -> 0 <= s -> 0 <= L -> at_most n C L -> at_most (n * k) (spread_out k s C) (s * L).
Proof.
  intros Hk Hs HL [Sym [Diag H]]. assert (K : 0 < INR k) by (apply lt_0_INR; exact Hk).
  assert (SK : 0 <= s / INR k) by (apply Rdiv_le_0_compat; lra).
  assert (Div : forall c, (c < n * k)%nat -> (c / k < n)%nat) by (intros c Hc; apply Nat.div_lt_upper_bound; lia).
  split; [| split].
  - intros c d Hc Hd. unfold spread_out. rewrite (Sym (c / k)%nat) by (apply Div; assumption). reflexivity.
  - intros c Hc. apply Rmult_le_pos; [exact SK | apply Diag, Div, Hc].
  - intro v. rewrite quad_spread. set (V := fun i => sum k (fun j => v (i * k + j)%nat)).
    apply Rle_trans with (s / INR k * (L * sum n (fun i => V i ^ 2))); [apply Rmult_le_compat_l; [exact SK | apply H] |].
    assert (CS : sum n (fun i => V i ^ 2) <= INR k * sum (n * k) (fun c => v c ^ 2)).
    { rewrite sum_blocks, <- sum_scal. apply sum_le. intros i _.
      pose proof (sum_cauchy_schwarz k (fun j => v (i * k + j)%nat) (fun _ => 1)) as CS. cbv beta in CS.
      rewrite (sum_ext k (fun j => v (i * k + j)%nat * 1) (fun j => v (i * k + j)%nat)) in CS by (intros; ring).
      rewrite (sum_const k (1 ^ 2)) in CS. unfold V. lra. }
    replace (s * L * sum (n * k) (fun c => v c ^ 2)) with (s / INR k * (L * (INR k * sum (n * k) (fun c => v c ^ 2)))) by (field; lra).
    apply Rmult_le_compat_l; [exact SK |]. apply Rmult_le_compat_l; [exact HL | exact CS].
Qed.

Section Length.

Variables (O : Type) (inside : O -> Prop) (E : (O -> R) -> R) (n : nat) (w : O -> nat -> R) (C : nat -> nat -> R) (L B : R).
Hypothesis E_mean : is_mean inside E.
Hypothesis w_bounded : forall o i, inside o -> (i < n)%nat -> Rabs (w o i) <= B.
Hypothesis L_nonneg : 0 <= L.
Hypothesis C_at_most : at_most n C L.
Hypothesis sub_gaussian : forall z, E (fun o => exp (sum n (fun i => z i * w o i))) <= exp (quad n C z / 2).

(** E e^(s |w|^2 / 2) <= e^((s tr C + s^2 tr C^2 / 2(1 - s L)) / 2) while s L < 1, from many coins with the law of a normal
    vector in the limit. *)
Lemma length_moment s : 0 <= s -> s * L < 1 ->
  E (fun o => exp (s * sum n (fun i => w o i ^ 2) / 2)) <= exp ((s * trace n C + s ^ 2 * trace2 n C / (2 * (1 - s * L))) / 2).
Proof.
  intros Hs HsL. set (bound := exp ((s * trace n C + s ^ 2 * trace2 n C / (2 * (1 - s * L))) / 2)).
  set (A := E (fun o => exp (s * sum n (fun i => w o i ^ 2) / 2))). set (kappa := INR n * (s ^ 2 * B ^ 4 / 8)).
  assert (Finite : forall k, (0 < k)%nat -> exp (- (kappa / INR k)) * A <= bound).
  { intros k Hk. assert (K : 0 < INR k) by (apply lt_0_INR; exact Hk). set (X := spread_out k s C).
    assert (SK : 0 <= s / INR k) by (apply Rdiv_le_0_compat; lra).
    set (z := fun r : nat -> R => fun i => sqrt (s / INR k) * sum k (fun j => r (i * k + j)%nat)).
    assert (Zw : forall r o, sum n (fun i => z r i * w o i) = sum (n * k) (fun c => sqrt (s / INR k) * w o (c / k)%nat * r c)).
    { intros r o. rewrite sum_blocks. apply sum_ext. intros i _. unfold z. rewrite <- sum_scal, <- sum_scal_r. apply sum_ext.
      intros j Hj. rewrite block by exact Hj. ring. }
    assert (Div : forall c, (c < n * k)%nat -> (c / k < n)%nat) by (intros c Hc; apply Nat.div_lt_upper_bound; lia).
    apply Rle_trans with (E (fun o => coins (n * k) (fun r => exp (sum n (fun i => z r i * w o i))))).
    - unfold A. rewrite <- (mean_scal _ _ _ E_mean). apply (mean_le _ _ _ E_mean). intros o Ho. rewrite <- exp_plus.
      rewrite (mean_ext _ _ _ (coins_mean (n * k)) _ (fun r => exp (sum (n * k) (fun c => sqrt (s / INR k) * w o (c / k)%nat * r c))))
        by (intros r _; rewrite Zw; reflexivity).
      replace (- (kappa / INR k) + s * sum n (fun i => w o i ^ 2) / 2)
        with (sum (n * k) (fun c => s / INR k * w o (c / k)%nat ^ 2 / 2 - s ^ 2 / INR k ^ 2 * B ^ 4 / 8)).
      + apply (product_exp_ge R 0 sides coin (n * k) (fun c x => sqrt (s / INR k) * w o (c / k)%nat * x)); [intros; apply coin_mean |].
        intros c Hc. unfold coin. set (y := sqrt (s / INR k) * w o (c / k)%nat).
        replace (y * 1) with y by ring. replace (y * -1) with (- y) by ring.
        assert (Y2 : y ^ 2 = s / INR k * w o (c / k)%nat ^ 2).
        { unfold y. rewrite Rpow_mult_distr. f_equal. rewrite <- Rsqr_pow2. apply Rsqr_sqrt, SK. }
        eapply Rle_trans; [| apply cosh_ge].
        assert (Y4 : y ^ 4 <= s ^ 2 / INR k ^ 2 * B ^ 4).
        { replace (y ^ 4) with ((y ^ 2) ^ 2) by ring. rewrite Y2.
          replace ((s / INR k * w o (c / k)%nat ^ 2) ^ 2) with (s ^ 2 / INR k ^ 2 * w o (c / k)%nat ^ 4) by (field; lra).
          apply Rmult_le_compat_l; [apply Rdiv_le_0_compat; [apply pow2_ge_0 | apply pow_lt, K] |].
          replace (w o (c / k)%nat ^ 4) with (Rabs (w o (c / k)%nat) ^ 4)
            by (rewrite <- (Rabs_pos_eq (w o (c / k)%nat ^ 4)), RPow_abs;
                [reflexivity | replace (w o (c / k)%nat ^ 4) with ((w o (c / k)%nat ^ 2) ^ 2) by ring; apply pow2_ge_0]).
          apply pow_incr. split; [apply Rabs_pos | apply w_bounded; [exact Ho | apply Div, Hc]]. }
        assert (Le : s / INR k * w o (c / k)%nat ^ 2 / 2 - s ^ 2 / INR k ^ 2 * B ^ 4 / 8 <= y ^ 2 / 2 - y ^ 4 / 8) by lra.
        destruct Le as [Le | ->]; [apply Rlt_le, exp_increasing, Le | lra].
      + rewrite (sum_each n k (fun i => s / INR k * w o i ^ 2 / 2 - s ^ 2 / INR k ^ 2 * B ^ 4 / 8)), sum_minus, sum_const.
        rewrite (sum_ext n (fun i => s / INR k * w o i ^ 2 / 2) (fun i => s / INR k / 2 * w o i ^ 2)), sum_scal by (intros; field; lra).
        unfold kappa. field. lra.
    - rewrite (coins_swap inside E (n * k) (fun o r => exp (sum n (fun i => z r i * w o i))) E_mean).
      apply Rle_trans with (coins (n * k) (fun r => exp (quad (n * k) X r / 2))).
      + apply (mean_le _ _ _ (coins_mean (n * k))). intros r _. eapply Rle_trans; [apply sub_gaussian |]. right. f_equal. f_equal.
        unfold X. rewrite quad_spread. unfold quad, z. rewrite <- (sum_scal n (s / INR k)). apply sum_ext. intros i _. rewrite <- (sum_scal n (s / INR k)).
        apply sum_ext. intros i' _. rewrite <- (sqrt_sqrt (s / INR k) SK) at 3. ring.
      + eapply Rle_trans; [apply (coins_quad (n * k) X (s * L) HsL), spread_at_most; assumption |].
        right. unfold bound. f_equal. f_equal. f_equal.
        * unfold trace, X, spread_out. rewrite (sum_each n k (fun i => s / INR k * C i i)), sum_scal. field. lra.
        * f_equal. unfold trace2, X, spread_out.
          rewrite (sum_ext (n * k) _ (fun c => INR k * sum n (fun i' => (s / INR k) ^ 2 * C (c / k)%nat i' ^ 2))).
          -- rewrite (sum_each n k (fun i => INR k * sum n (fun i' => (s / INR k) ^ 2 * C i i' ^ 2))), sum_scal.
             rewrite (sum_ext n (fun i => sum n (fun i' => (s / INR k) ^ 2 * C i i' ^ 2)) (fun i => (s / INR k) ^ 2 * sum n (fun i' => C i i' ^ 2)))
               by (intros; apply sum_scal).
             rewrite sum_scal. field. lra.
          -- intros c _. rewrite (sum_each n k (fun i' => (s / INR k * C (c / k)%nat i') ^ 2)). f_equal. apply sum_ext. intros; ring. }
  destruct (Rle_lt_dec A bound) as [Le | Lt]; [exact Le | exfalso].
  assert (A0 : 0 < A) by (eapply Rlt_le_trans; [apply exp_pos | apply (mean_exp _ _ _ E_mean)]).
  assert (K0 : 0 <= kappa).
  { unfold kappa. apply Rmult_le_pos; [apply pos_INR |]. replace (B ^ 4) with ((B ^ 2) ^ 2) by ring.
    pose proof (pow2_ge_0 s). pose proof (pow2_ge_0 (B ^ 2)). apply Rmult_le_pos; [apply Rmult_le_pos; assumption | lra]. }
  set (far := kappa * A / (A - bound)).
  assert (Far : 0 <= far) by (apply Rdiv_le_0_compat; [apply Rmult_le_pos; lra | lra]).
  destruct (nfloor_ex far Far) as [k [_ Hk]]. specialize (Finite (S k) ltac:(lia)). rewrite S_INR in Finite.
  assert (Pk : 0 < INR k + 1) by (pose proof (pos_INR k); lra).
  pose proof (exp_ge_line (- (kappa / (INR k + 1)))) as Line. apply (Rmult_le_compat_r A) in Line; [| lra].
  assert (Small : kappa / (INR k + 1) * A < A - bound).
  { apply Rmult_lt_reg_r with (INR k + 1); [exact Pk |].
    replace (kappa / (INR k + 1) * A * (INR k + 1)) with (far * (A - bound)) by (unfold far; field; lra).
    rewrite (Rmult_comm (A - bound)). apply Rmult_lt_compat_r; lra. }
  lra.
Qed.

(** The tail of Hsu, Kakade and Zhang: P(|w|^2 > tr C + 2 sqrt(T t) + 2 L t) <= e^-t for every T >= tr C^2. *)
Lemma length_tail T t : 0 < T -> trace2 n C <= T -> 0 < t ->
  E (fun o => above (trace n C + 2 * sqrt (T * t) + 2 * L * t) (sum n (fun i => w o i ^ 2))) <= exp (- t).
Proof.
  intros HT HT2 Ht. set (r := sqrt (T * t)). assert (R0 : 0 < r) by (apply sqrt_lt_R0; nra).
  assert (R2 : r * r = T * t) by (apply sqrt_sqrt; nra).
  set (a := 2 * t / r). assert (A0 : 0 < a) by (apply Rdiv_lt_0_compat; lra).
  assert (D : 0 < 1 + L * a) by nra. set (s := a / (1 + L * a)).
  assert (S0 : 0 < s) by (apply Rdiv_lt_0_compat; assumption).
  assert (SL : 1 - s * L = / (1 + L * a)) by (unfold s; field; lra).
  assert (I0 : 0 < / (1 + L * a)) by (apply Rinv_0_lt_compat, D).
  set (level := trace n C + 2 * r + 2 * L * t).
  apply Rle_trans with (E (fun o => above (s * level / 2) (s * sum n (fun i => w o i ^ 2) / 2))).
  - apply (mean_le _ _ _ E_mean). intros o _. unfold above. destruct (Rlt_dec level (sum n (fun i => w o i ^ 2))) as [A | A];
      destruct (Rlt_dec (s * level / 2) (s * sum n (fun i => w o i ^ 2) / 2)) as [A' | A']; try lra.
    exfalso. apply A'. pose proof (Rmult_lt_compat_l s _ _ S0 A). lra.
  - eapply Rle_trans; [apply (mean_tail _ _ _ E_mean) |].
    rewrite (mean_ext _ _ _ E_mean _ (fun o => exp (- (s * level / 2)) * exp (s * sum n (fun i => w o i ^ 2) / 2)))
      by (intros o _; rewrite <- exp_plus; f_equal; ring).
    rewrite (mean_scal _ _ _ E_mean).
    eapply Rle_trans; [apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | apply (length_moment s); lra] |].
    rewrite <- exp_plus.
    assert (Le : - (s * level / 2) + (s * trace n C + s ^ 2 * trace2 n C / (2 * (1 - s * L))) / 2 <= - t).
    { apply Rle_trans with (- (s * level / 2) + (s * trace n C + s ^ 2 * T / (2 * (1 - s * L))) / 2).
      - apply Rplus_le_compat_l. unfold Rdiv at 1 4. apply Rmult_le_compat_r; [lra |]. apply Rplus_le_compat_l.
        unfold Rdiv. apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; lra |].
        apply Rmult_le_compat_l; [apply pow2_ge_0 | exact HT2].
      - right. rewrite SL. unfold level, s.
        replace (- (a / (1 + L * a) * (trace n C + 2 * r + 2 * L * t) / 2)
          + (a / (1 + L * a) * trace n C + (a / (1 + L * a)) ^ 2 * T / (2 * / (1 + L * a))) / 2)
          with ((- (a * r) - a * L * t + a * a * T / 4) / (1 + L * a)) by (field; lra).
        assert (Ar : a * r = 2 * t) by (unfold a; field; lra).
        assert (At : a * a * T = 4 * t).
        { apply Rmult_eq_reg_r with t; [| lra]. replace (a * a * T * t) with (a * a * (r * r)) by (rewrite R2; ring).
          replace (a * a * (r * r)) with ((a * r) * (a * r)) by ring. rewrite Ar. ring. }
        rewrite Ar, At. field. lra. }
    destruct Le as [Le | ->]; [apply Rlt_le, exp_increasing, Le | lra].
Qed.

End Length.

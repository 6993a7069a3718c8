"""What the library says of one game, held against the truth: every fault by name, and how near each bound came.

Checked on every game: constructor, maximal_lottery, regularised_nash with its certificate and the rigorous one; every
fourth game also with exact=True (doubles) or exact=False (rationals), every eighth by a named method; of every fourth
game the answers' texts must not be refuted by the verifier.  No exception but
a justified refusal of one line, no warning, no NaN, statuses that keep their promise, exploitability, uniqueness,
support, slacks, policy_exact.
The printed policy is read as doubles, as their shortest texts and as exp(log_policy); each must be within l1_bound of
the equilibrium of the input as it was given (ints, Fractions and doubles exactly; doubles of probabilities through
their float64 margins).

all lotteries, by enumeration     n ≤ ENUMERATED; beyond, where the answer itself proves that it is the only one
the regularised equilibrium       n ≤ SOLVED, else where ``case.large``; τ as a double, every eighth time as a text too
"""

from __future__ import annotations

import json
import math
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import oracle
from attacks import Batch, Case
from flint import arb

from nashlab.answer import answer_of
from nashlab.certificate import certify_ball
from nashlab.certify import certify_answer, parsed
from nashlab.equilibrium import lottery_batch, maximal_lottery, proved, regularised_nash
from nashlab.files import plain
from nashlab.game import BadInput, PreferenceGame
from nashlab.solution import NotSolved, Solution

__all__ = ["Verdict", "judge", "judge_batch"]

ENUMERATED = 9  # responses up to which all vertices are enumerated
SOLVED = 30  # responses up to which π*_τ is solved for
PATIENCE = 60.0  # seconds for one call of the library, before it counts as a hang
PATIENCE_LARGE = 300.0
ORACLE_PATIENCE = 120.0  # seconds for one truth
OTHER_EXACTNESS = 4  # every fourth game is answered in the other arithmetic too
OTHER_METHODS = 8  # every eighth game is solved by one of the named methods too
CERTIFIED = 4  # the answers to every fourth game are handed to the verifier
METHODS = ("newton", "path", "products")
PROMISE = 1e-6  # no answer whose bound is wider may call itself converged
BATCH_TOLERANCE = 1e-6  # of lottery_batch, which gives no certificate: its float64 weights may be as ill-conditioned
FARTHEST = 2 + 1e-9  # two policies are at most 2 apart, printed ones by their rounding more
EXACTLY = arb(2) ** -80  # where a rational must be equal to a truth that is known to 2⁻⁹⁰
LEAST_TEMPERATURE = Fraction(1, 10**279)  # of the largest margin: below, regularised_nash may refuse
EPS = float(np.finfo(np.float64).eps)

BUILD: dict[str, Callable[..., PreferenceGame]] = {
    "margins": PreferenceGame.from_margins,
    "preferences": PreferenceGame.from_preferences,
    "wins": PreferenceGame.from_wins,
}


class Hang(Exception):
    """A game took longer than its patience."""


@dataclass
class Verdict:
    """What came out of one game.

    faults    (kind, what came out, what is right).
    counts    statuses, refusals, and how often each check was made.
    tightest  kind of bound -> the largest distance / bound seen.
    widest    status of regularised_nash or maximal_lottery -> the largest bound.
    """

    faults: list[tuple[str, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tightest: dict[str, float] = field(default_factory=dict)
    widest: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def fault(self, kind: str, came: object, right: object) -> None:
        self.faults.append((kind, str(came), str(right)))


def judge(case: Case) -> Verdict:
    """Everything above, for one game."""
    verdict, start = Verdict(), time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _judge(case, verdict)
    except oracle.Undecided as error:
        verdict.counts[f"undecided: {error}"[:60]] += 1
    verdict.seconds = time.perf_counter() - start
    return verdict


@contextmanager
def _within(seconds: float, error: Exception) -> Iterator[None]:
    """Raise an error when the time is up: that of the processor, since a busy machine is no fault."""

    def stop(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _in_time() -> Any:
    return _within(ORACLE_PATIENCE, oracle.Undecided("the oracle took too long"))


def _judge(case: Case, verdict: Verdict) -> None:
    attempt = _Attempts(verdict, PATIENCE_LARGE if case.large else PATIENCE)
    game = attempt("constructor", lambda: BUILD[case.kind](case.matrix, reference=case.reference), case.refused)
    if case.refused and game is not None:
        verdict.fault("accepted", "a game", "a refusal")
    if game is None or case.refused:
        return
    margins = given_margins(case, game)
    reference = given_reference(case)
    with _in_time():
        lottery = _Lottery.of(margins, reference)
    for exact in (None, game.exact is None) if case.index % OTHER_EXACTNESS == 1 and not case.large else (None,):
        answer = attempt(f"maximal_lottery(exact={exact})", lambda e=exact: maximal_lottery(game, exact=e))
        if answer is not None:
            _judge_lottery(answer, lottery, verdict, f"lottery exact={exact}")
            _judge_text(case, answer, verdict, attempt)
    largest = max(abs(x) for row in margins for x in row)
    may_refuse = Fraction(case.tau) < LEAST_TEMPERATURE * largest
    methods = ["auto"]
    if case.index % OTHER_METHODS == 0 and not case.large:
        methods.append(METHODS[case.index // OTHER_METHODS % len(METHODS)])
    for method in methods:
        what = f"regularised_nash(method={method})"
        answer = attempt(what, lambda m=method: regularised_nash(game, case.tau, method=m), may_refuse)
        if answer is not None:
            _judge_regularised(case, answer, margins, reference, verdict, attempt)


@dataclass(frozen=True)
class _Attempts:
    """Calls of the library: what they raise is a fault unless it is a justified refusal of one line."""

    verdict: Verdict
    patience: float

    def __call__(self, name: str, call: Callable[[], Any], may_refuse: bool = False) -> Any:
        verdict = self.verdict
        try:
            with _within(self.patience, Hang()):
                return call()
        except (BadInput, NotSolved) as error:
            verdict.counts[f"refused by {name}"] += 1
            if not may_refuse:
                verdict.fault(f"refusal in {name}", error, "an answer")
            elif "\n" in str(error) or not str(error):
                verdict.fault("refusal in several lines", error, "one line")
        except Hang:
            verdict.fault(f"hang in {name}", f"more than {self.patience:g} s", "an answer")
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((f for f in reversed(frames) if "/nashlab/" in f.filename), frames[-1])
            place = f"{line.filename.rpartition('nashlab/')[2]}:{line.lineno}"
            came = f"{type(error).__name__}: {error} ({place})"[:300]
            verdict.fault(f"exception in {name}", came, "an answer or a refusal")
        return None


# -- the input, read again --------------------------------------------------------------------------------------------


def given_margins(case: Case, game: PreferenceGame) -> list[list[Fraction]]:
    rows = case.matrix.tolist() if isinstance(case.matrix, np.ndarray) else case.matrix
    n = len(rows)
    exact = [[Fraction(x) for x in row] for row in rows]
    if case.kind == "margins":
        skew = all(exact[i][j] == -exact[j][i] for i in range(n) for j in range(i + 1))
        # skew only within the tolerance: the game is what the library made of it
        return exact if skew else [[Fraction(x) for x in row] for row in game.margins.tolist()]
    if case.kind == "wins":
        return [
            [
                Fraction(0) if i == j else (exact[i][j] - exact[j][i]) / (2 * (exact[i][j] + exact[j][i]))
                for j in range(n)
            ]
            for i in range(n)
        ]
    if any(isinstance(x, float) for row in rows for x in row):
        return [[Fraction(x) for x in row] for row in game.margins.tolist()]
    return [[x - Fraction(1, 2) for x in row] for row in exact]


def given_reference(case: Case) -> list[Fraction]:
    weights = [Fraction(1)] * case.n if case.reference is None else [Fraction(x) for x in case.reference]
    total = sum(weights, Fraction(0))
    return [w / total for w in weights]


# -- what every answer must be ----------------------------------------------------------------------------------------


def _readings(log_policy: Sequence[float]) -> dict[str, list[Any]]:
    """The printed policy: as doubles, as their shortest decimal texts, and as the exponential of log_policy."""
    doubles = np.exp(np.array(log_policy)).tolist()
    with oracle.precision(oracle.BITS):
        exponential = [arb(x).exp() if x > -math.inf else arb(0) for x in log_policy]
    return {"doubles": doubles, "texts": [Fraction(repr(p)) for p in doubles], "exp": exponential}


def _sound(answer: Solution, verdict: Verdict, what: str) -> bool:
    """No NaN, a policy, a certificate in its range, a status that keeps its promise."""
    log_policy, certificate = answer.log_policy, answer.certificate
    verdict.counts[f"{what.split()[0]} {answer.status.token}"] += 1
    with np.errstate(under="ignore"):
        total = float(np.sum(np.exp(log_policy)))
    if np.any(np.isnan(log_policy)) or np.any(log_policy == np.inf) or not abs(total - 1) <= 1e-12 * len(log_policy):
        verdict.fault(
            f"{what}: not a policy", f"log_policy {log_policy.tolist()[:8]}, sum {total!r}", "numbers of sum 1"
        )
        return False
    bound, gap = certificate.l1_bound, certificate.exploitability
    if bound is not None and not 0 <= bound <= FARTHEST:
        verdict.fault(f"{what}: l1_bound", bound, f"within [0, {FARTHEST}]")
        return False
    if not 0 <= gap < math.inf:
        verdict.fault(f"{what}: exploitability", gap, "finite and at least 0")
    if answer.status.ok and not (bound is not None and bound <= PROMISE):
        verdict.fault(
            f"{what}: status", f"{answer.status.token} at a bound of {bound}", f"a bound of at most {PROMISE:g}"
        )
    key = f"{what.split()[0]} {answer.status.token}"
    verdict.widest[key] = max(verdict.widest.get(key, 0.0), 2.0 if bound is None else float(bound))
    return True


def _judge_bound(
    log_policy: np.ndarray, bound: float | None, truth: oracle.Truth, verdict: Verdict, what: str, spare: float = 0.0
) -> None:
    """The printed bound is at least the distance of the printed numbers, however they are read."""
    if bound is None:
        verdict.counts["no bound"] += 1
        return
    verdict.counts[f"bounds checked: {what.split()[0]}"] += 1
    for reading, numbers in _readings(log_policy.tolist()).items():
        if spare and reading != "doubles":
            continue
        away = oracle.distance(numbers, truth)
        if away > arb(float(bound)) + spare:
            verdict.fault(f"{what}: wrong bound", f"{bound!r} (read as {reading})", f"{away.str(8, radius=False)}")
        if not away.lower() <= bound + spare and not away > arb(float(bound)) + spare:
            verdict.counts["undecided: too near the bound"] += 1
        share = float(away.mid()) / bound if bound else 0.0 if away.lower() <= 0 else math.inf
        key = f"{what.split()[0]} {reading}" + (" (float)" if spare else "")
        verdict.tightest[key] = max(verdict.tightest.get(key, 0.0), share)


# -- maximal lotteries ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lottery:
    """What is true of the maximal lotteries: the vertices where they are enumerated, the projection if asked."""

    margins: list[list[Fraction]]
    whole: list[list[int]]
    reference: list[Fraction]
    vertices: list[tuple[Fraction, ...]] | None

    @classmethod
    def of(cls, margins: list[list[Fraction]], reference: list[Fraction]) -> _Lottery:
        whole = oracle.whole(margins)
        vertices = oracle.lotteries(whole) if len(margins) <= ENUMERATED else None
        return cls(margins, whole, reference, vertices)

    def truth(self, answer: Solution) -> oracle.Truth | None:
        if self.vertices is not None:
            return oracle.projection(self.whole, self.vertices, self.reference)
        exact = answer.policy_exact
        if exact is not None and oracle.is_unique(self.whole, exact):
            return oracle.projection(self.whole, [exact], self.reference)
        return None


def _judge_lottery(answer: Solution, lottery: _Lottery, verdict: Verdict, what: str) -> None:
    if not _sound(answer, verdict, what):
        return
    _judge_set(answer, lottery, verdict, what)
    exact = answer.policy_exact
    if exact is not None:
        product = [sum((a * p for a, p in zip(row, exact, strict=True)), Fraction(0)) for row in lottery.margins]
        if not oracle.is_lottery(lottery.whole, exact):
            verdict.fault(f"{what}: policy_exact", exact, "no response beats it")
        if answer.slacks is None or [-p for p in product] != list(answer.slacks):
            verdict.fault(f"{what}: slacks", answer.slacks, [str(-p) for p in product])
    elif answer.certificate.rigorous:
        _judge_gap(answer, lottery, verdict, what)
    with _in_time():
        truth = lottery.truth(answer)
    if truth is None:
        verdict.counts["lottery not known to the oracle"] += 1
        return
    if exact is not None and not oracle.distance(exact, truth) < EXACTLY:
        away = oracle.distance(exact, truth).str(5, radius=False)
        verdict.fault(f"{what}: policy_exact", f"{away} away", [p.str(17, radius=False) for p in truth.policy][:9])
    held = tuple(label for label, p in zip(answer.game.labels, truth.policy, strict=True) if p > 0)
    if answer.certificate.rigorous and answer.support != held:
        verdict.fault(f"{what}: support", answer.support, held)
    if answer.certificate.rigorous or answer.certificate.l1_bound is not None:
        _judge_bound(answer.log_policy, answer.certificate.l1_bound, truth, verdict, what)
    elif answer.status.ok:
        verdict.counts["lottery ok without a bound"] += 1


def _judge_gap(answer: Solution, lottery: _Lottery, verdict: Verdict, what: str) -> None:
    """A rigorous exploitability is at least max_y (Ap)_y of the printed p."""
    numbers = [Fraction(p) for p in np.exp(answer.log_policy).tolist()]
    gap = max(sum((a * p for a, p in zip(row, numbers, strict=True)), Fraction(0)) for row in lottery.margins)
    if gap > Fraction(float(answer.certificate.exploitability)):
        verdict.fault(f"{what}: exploitability", answer.certificate.exploitability, float(gap))


def _judge_set(answer: Solution, lottery: _Lottery, verdict: Verdict, what: str) -> None:
    """Uniqueness, the face's dimension and its vertices."""
    truth, face = lottery.vertices, answer.face
    if truth is None:
        if answer.unique and answer.policy_exact and not oracle.is_unique(lottery.whole, answer.policy_exact):
            verdict.fault(f"{what}: unique", True, "not by the exact conditions")
        if face is not None and not all(oracle.is_lottery(lottery.whole, v) for v in face.vertices):
            verdict.fault(f"{what}: a vertex is no lottery", face.vertices[:3], "lotteries")
        return
    verdict.counts["faces checked"] += 1
    if answer.unique is not None and answer.unique != (len(truth) == 1):
        verdict.fault(f"{what}: unique", answer.unique, len(truth) == 1)
    if face is None:
        if answer.unique is False:
            verdict.fault(f"{what}: no face", None, f"{len(truth)} vertices")
        return
    verdict.counts["faces of several lotteries"] += 1
    found = set(face.vertices)
    if len(found) != len(face.vertices) or not found <= set(truth) or (face.complete and len(found) != len(truth)):
        verdict.fault(f"{what}: vertices", sorted(map(_shown, found)), list(map(_shown, truth)))
    if face.dimension != oracle.dimension(truth):
        verdict.fault(f"{what}: dimension", face.dimension, oracle.dimension(truth))


def _shown(x: Sequence[Fraction]) -> str:
    return "(" + ", ".join(map(str, x)) + ")"


# -- the regularised equilibrium --------------------------------------------------------------------------------------


def _judge_regularised(
    case: Case,
    answer: Solution,
    margins: list[list[Fraction]],
    reference: list[Fraction],
    verdict: Verdict,
    attempt: _Attempts,
) -> None:
    if not _sound(answer, verdict, "regularised"):
        return
    answer_proved = attempt("proved", lambda: proved(answer))
    if answer_proved is not None:
        _sound(answer_proved, verdict, "proof")
        _judge_text(case, answer_proved, verdict, attempt)
    proof = answer_proved and answer_proved.certificate
    if case.n > SOLVED and not case.large:
        verdict.counts["regularised not solved for"] += 1
        return
    tau = Fraction(case.tau)
    texts = [tau] if case.index % 8 != 3 or tau == Fraction(repr(case.tau)) else [tau, Fraction(repr(case.tau))]
    for number, t in enumerate(texts):
        with _in_time():
            truth, gap = oracle.regularised(margins, reference, t, answer.log_policy.tolist())
        where = "regularised" if not number else "regularised, τ as text"
        if not number and not answer.certificate.rigorous:
            # a float certificate neglects its own rounding, which is this much of r and of the sums
            reach = float(np.max(np.abs(answer.game.margins))) / case.tau + float(np.max(-answer.log_policy))
            spare = 16 * EPS * (2 + reach) if math.isfinite(reach) else 2.0
            _judge_bound(answer.log_policy, answer.certificate.l1_bound, truth, verdict, f"{where} (float)", spare)
        if proof is None:
            continue
        _judge_bound(answer.log_policy, proof.l1_bound, truth, verdict, f"proof, {where}")
        true_gap = gap(answer.log_policy.tolist())
        if not number and true_gap > arb(float(proof.exploitability)):
            verdict.fault("proof: exploitability", proof.exploitability, true_gap.str(8, radius=False))


def _judge_text(case: Case, answer: Solution, verdict: Verdict, attempt: _Attempts) -> None:
    """What is written of a proved answer is proved by the verifier too: it shares no code with what proved it."""
    if case.index % CERTIFIED != 2 or case.large or not answer.certificate.rigorous:
        return
    text = attempt("answer", lambda: json.dumps(plain(answer_of(answer))))
    rows = text and attempt("certify", lambda: certify_answer(parsed(text)))
    verdict.counts["answers certified"] += 1
    for what, holds, detail in rows or []:
        if holds is False:
            verdict.fault(f"refuted by certify: {what}", detail, "proved or not checked")


# -- batches ----------------------------------------------------------------------------------------------------------


def judge_batch(batch: Batch) -> Verdict:
    """Many games at once: regularised_nash and its rigorous certificate; lottery_batch, or the lotteries of prompts."""
    verdict, start = Verdict(), time.perf_counter()
    attempt = _Attempts(verdict, PATIENCE)
    more = {"reference": batch.references, "weights": batch.weights}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        game = attempt("constructor", lambda: PreferenceGame.from_margins(batch.margins, **more))
        answer = attempt("regularised_nash", lambda: regularised_nash(game, batch.tau))
        proof = attempt("certify_ball", lambda: certify_ball(answer.game, answer.log_policy, batch.tau))
        prompts = plain = None
        if batch.weights is None:
            plain = attempt("lottery_batch", lambda: lottery_batch(batch.margins))
        else:
            prompts = attempt("maximal_lottery", lambda: maximal_lottery(game))
    for x in range(len(batch.margins)):
        keep = np.flatnonzero(batch.references[x])
        margins = [[Fraction(v) for v in row] for row in batch.margins[x][np.ix_(keep, keep)].tolist()]
        weights = [Fraction(v) for v in batch.references[x][keep].tolist()]
        reference = [w / sum(weights, Fraction(0)) for w in weights]
        try:
            with _in_time():
                if proof is not None:
                    log_policy = answer.log_policy[x][keep]
                    truth, _ = oracle.regularised(margins, reference, Fraction(batch.tau), log_policy.tolist())
                    _judge_bound(log_policy, float(proof.l1_bound[x]), truth, verdict, f"proof, game {x}")
                whole = oracle.whole(margins)
                if prompts is not None and prompts.certificate.l1_bound is not None:
                    truth = oracle.projection(whole, oracle.lotteries(whole), reference)
                    bound = float(prompts.certificate.l1_bound[x])
                    _judge_bound(prompts.log_policy[x][keep], bound, truth, verdict, f"lottery, game {x}")
                if plain is not None:
                    truth = oracle.projection(whole, oracle.lotteries(whole), [Fraction(1, batch.n)] * batch.n)
                    verdict.counts["lotteries of a batch checked"] += 1
                    away = oracle.distance(plain[x].tolist(), truth)
                    if not away < BATCH_TOLERANCE:
                        verdict.fault("lottery_batch", f"{away.str(5, radius=False)} away, game {x}", "the lottery")
        except oracle.Undecided as error:
            verdict.counts[f"undecided: {error}"[:60]] += 1
    verdict.seconds = time.perf_counter() - start
    return verdict

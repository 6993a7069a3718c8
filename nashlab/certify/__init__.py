"""The independent verifier: what an answer of ``nashlab solve --json`` proves, from the answer and the game alone.

On purpose it imports nothing of nashlab, numpy or flint: it computes with integers, Fractions and Decimals.  Every
field of an answer is checked, refused as unknown, or listed as not checked:

    tau = 0   x ≥ 0, Σx = 1, Ax ≤ 0; strict slacks and a one-dimensional kernel (the only lottery); the face vertex by
              vertex; the lottery nearest to μ by its inequality at every vertex, or by multipliers             E5, E6
    tau > 0   ‖π − π*_τ‖₁ ≤ min(√(2G/τ), 2 tanh(osc r/4), N18(c)), plus the rounding of what is printed   E3, N14, N18

The theorems are in proofs/coq/Verifier.v.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import localcontext
from fractions import Fraction
from typing import Any

from nashlab.certify.fields import FIELDS, PROOF, STATUSES, Answer, Vector, answer_from, names_in, object_in, parsed
from nashlab.certify.numbers import CertifyError, decimal, ratio, rationed, spend, total
from nashlab.certify.proofs import Row, lottery, printed, regularised
from nashlab.certify.reading import Game, read_margins

__all__ = ["CertifyError", "Game", "certify_answer", "parsed", "read_margins"]

DIGITS = 60  # the answer's own numbers carry 17: rounding here is 40 digits below them
PER_RESPONSE = (("policy", "0.0"), ("log_policy", None))  # and the value for a response of other prompts
SINGLE = ("reference_exact", "policy_exact", "margins_exact", "support", "slacks", "face")
MOST_DIGITS = 700
EACH = 10**6  # nanoseconds: the least cost of one answer or prompt
SAME = Fraction(1, 10**9)  # relative: a bound this near to the threshold of a status fits either status


def certify_answer(answer: Mapping[str, Any], game: Game | None = None) -> list[Row]:
    """Check one answer; rows of (what was checked, True, False or None for not checked, detail).

    ``game`` overrides the answer's own margins, and must have its labels and reference.

    >>> rps = [["0", "1/2", "-1/2"], ["-1/2", "0", "1/2"], ["1/2", "-1/2", "0"]]
    >>> rows = certify_answer({"tau": 0, "labels": ["r", "p", "s"], "policy_exact": ["1/3"] * 3, "margins_exact": rps,
    ...                        "policy": [0.3333333333333333] * 3})
    >>> [what for what, holds, _ in rows if holds is False]
    []
    """
    with rationed(), localcontext() as context:
        spend(EACH)
        if isinstance(answer, Mapping) and answer.get("prompts") is not None:
            return list(_contextual(answer, game))
        if isinstance(answer, Mapping):
            answer = {name: value for name, value in answer.items() if name != "prompts"}
        fields = answer_from(answer)
        context.prec = DIGITS + _digits(fields, game)
        context.Emin, context.Emax = -(10**17), 10**17
        return list(_rows(fields, game))


def _digits(answer: Answer, game: Game | None) -> int:
    """How many digits the numbers have before the point: log π, and A/τ."""
    largest = max((abs(x) for x in answer.log_policy or () if x), default=Fraction(0))
    if answer.tau:
        rows = answer.margins if game is None else game.margins
        largest = max(largest, max((abs(x) for row in rows or () for x in row), default=Fraction(0)) / answer.tau)
    digits = int(largest).bit_length() * 3 // 10 + 1
    # a witness bounds a distance by the square root of its own error
    return min(MOST_DIGITS, digits) + (DIGITS if answer.multipliers else 0)


def _rows(answer: Answer, game: Game | None) -> Iterator[Row]:
    margins = answer.margins if game is None else game.margins
    if margins is None:
        raise CertifyError("the answer carries no exact margins; give the game: nashlab certify ANSWER.json GAME.csv")
    n = len(margins)
    if any(len(row) != n for row in margins) or not n:
        raise CertifyError("margins_exact must be a square table")
    skew = all(margins[i][j] == -margins[j][i] for i in range(n) for j in range(i + 1))
    yield "the game is skew: A = −Aᵀ", skew, f"n = {n}"
    yield from _same_game(answer, game, margins)
    _check_lengths(answer, n)
    names = answer.labels or tuple(map(str, range(1, n + 1)))
    yield "the labels are distinct names", len(set(names)) == n, ""
    mu, rows = _reference(answer, game, n)
    yield from rows
    rows, mass = printed(answer)
    yield from rows
    if answer.support is not None:
        lotteries = [answer.policy_exact or mass, *(answer.vertices or ())]
        held = [name for i, name in enumerate(names) if any(len(x) == n and x[i] > 0 for x in lotteries)]
        yield "the support is the responses with mass", list(answer.support) == held, ""
    if skew and len(set(names)) == n:
        yield from (lottery if answer.tau == 0 else regularised)(margins, mu, answer, mass)
    yield from _words(answer, margins)
    yield "the name of the game", None, "a name proves nothing"


def _same_game(answer: Answer, game: Game | None, margins: tuple[Vector, ...]) -> Iterator[Row]:
    if game is None:
        yield "the margins and labels are those of your game", None, "give the game's file to compare them"
        return
    if answer.margins is not None:
        yield "the margins are the file's", answer.margins == tuple(map(tuple, margins)), ""
    if answer.labels is not None and game.labels is not None:
        yield "the labels are the file's", list(answer.labels) == list(game.labels), ""
    yield game.reading


def _check_lengths(answer: Answer, n: int) -> None:
    for name in ("labels", "reference", "reference_exact", "policy", "log_policy", "policy_exact", "slacks"):
        value = getattr(answer, name)
        if value is not None and len(value) != n:
            raise CertifyError(f"{name} has {len(value)} entries, must have {n} like the margins")
    for i, vertex in enumerate(answer.vertices or ()):
        if len(vertex) != n:
            raise CertifyError(f"face.vertices[{i}] has {len(vertex)} entries, must have {n} like the margins")


def _reference(answer: Answer, game: Game | None, n: int) -> tuple[Vector, list[Row]]:
    """μ exactly, and rows on whether the answer's reference is a policy, that of the file, and consistent."""
    stated = answer.reference_exact or answer.reference
    mu = stated or (Fraction(1, n),) * n
    mass = total(mu)
    if min(mu) <= 0 or abs(mass - 1) > Fraction(1, 10**6):
        raise CertifyError(f"the reference must be positive and sum to 1, sums to {decimal(mass):.8g}")
    rows: list[Row] = []
    if answer.reference_exact is not None:
        shown = answer.reference or (Fraction(0),)
        near = len(shown) == n and all(abs(a - b) <= b / 2**49 for a, b in zip(shown, mu, strict=True))
        rows.append(("reference and reference_exact are one policy", mass == 1 and near, f"sum {decimal(mass):.8g}"))
    if game is not None and game.reference is not None:
        same = _shares(game.reference, total(game.reference)) == _shares(mu, mass)
        rows.append(("the reference is the file's", same, ""))
    else:
        whose = "uniform" if stated is None else "as the answer states it"
        rows.append(("the reference is the one you mean", None, whose))
    return _shares(mu, mass), rows


def _shares(weights: Vector, mass: Fraction) -> Vector:
    """Each weight divided by their sum."""
    over = mass.numerator, mass.denominator
    return tuple(ratio(x.numerator * over[1], x.denominator * over[0]) for x in weights) if mass != 1 else weights


def _words(answer: Answer, margins: tuple[Vector, ...]) -> Iterator[Row]:
    """Rows on status, kind and rigour, which are determined by the other fields."""
    known = answer.policy_exact is not None
    kinds = ("rational",) if known else ("ball", "float")
    if answer.kind is not None or answer.rigorous is not None:
        fits = answer.kind in kinds and answer.rigorous is (answer.kind != "float")
        fits = fits and (answer.bound is None) == (answer.kind == "float")
        yield "the kind of certificate is that of the answer", fits, f"{answer.kind}, rigorous: {answer.rigorous}"
    if answer.status is None:
        return
    largest = max(abs(x) for row in margins for x in row)
    needed = _promised(answer.tau, largest)
    bound = answer.bound
    expected = {"exact"} if known else {"stalled"}
    if not known and bound is not None:
        expected = {"converged"} if bound <= needed else {"stalled"}
        if abs(bound - needed) <= needed * SAME:
            expected = {"converged", "stalled"}
    detail = f"{answer.status}; converged needs {decimal(needed):.0E}"
    yield "the status follows from the bound", answer.status in expected, detail


def _promised(tau: Fraction, largest: Fraction) -> Fraction:
    """The bound that counts as converged: 1e-10 at τ = 0, else 1e-14/τ', with τ' = τ between 1e-12 and 1e-6."""
    if tau == 0:
        return Fraction(1, 10**10)
    effective = tau / (2 * largest) if largest else Fraction(1)
    return min(max(Fraction(1, 10**14) / effective, Fraction(1, 10**12)), Fraction(1, 10**6))


def _contextual(answer: Mapping[str, Any], game: Game | None) -> Iterator[Row]:
    """Rows on each prompt as a separate answer, and on the joint fields, which follow from those of the prompts."""
    prompts = answer["prompts"]
    if unknown := [key for key in answer if key not in (*FIELDS, "prompts")]:
        raise CertifyError(f"the answer has {unknown[0][:40]!r}, which is not a field of one")
    if not isinstance(prompts, list) or not prompts or not all(isinstance(p, Mapping) for p in prompts):
        raise CertifyError("prompts must be answers")
    if game is not None:
        raise CertifyError("answers to contextual games are judged by their own margins, without a game file")
    for x, prompt in enumerate(prompts):
        for what, holds, detail in certify_answer({**prompt, "prompts": None}):
            if holds is not None or x == 0:
                yield f"prompt {x}: {what}", holds, detail
    labels = names_in(answer.get("labels"), "labels") or ()
    together: dict[str, Any] = {
        name: [_spread(prompt, name, labels, empty) for prompt in prompts] for name, empty in PER_RESPONSE
    }
    proofs = [prompt.get("certificate") or {} for prompt in prompts]
    bounds = [proof.get("l1_bound") for proof in proofs]
    together["exploitability"] = [prompt.get("exploitability") for prompt in prompts]
    together["status"] = max((prompt.get("status") for prompt in prompts), key=_badness)
    alone = [prompt.get("unique") for prompt in prompts]
    together["unique"] = None if None in alone else all(alone)
    together["tau"] = prompts[0].get("tau") if len({str(p.get("tau")) for p in prompts}) == 1 else "different"
    for name, value in together.items():
        yield f"{name} is that of the prompts", answer.get(name) == value, ""
    stated = object_in(answer.get("certificate"), "certificate", PROOF)
    whole = None if None in bounds else bounds
    rigorous = all(proof.get("rigorous") is True for proof in proofs)
    kinds = {str(proof.get("kind")) for proof in proofs}
    kind = kinds.pop() if len(kinds) == 1 else "float" if "float" in kinds else "ball"
    same = (stated.get("l1_bound"), stated.get("rigorous"), stated.get("kind")) == (whole, rigorous, kind)
    yield "certificate is that of the prompts", same and not stated.get("witness"), ""
    single = [name for name in SINGLE if answer.get(name) is not None]
    yield "it states nothing that belongs to one prompt", not single, ", ".join(single)
    yield "the reference is that of the prompts", None, "each prompt's own reference was used"


def _spread(prompt: Mapping[str, Any], name: str, labels: Sequence[str], empty: Any) -> list[Any]:
    """A prompt's numbers over the labels of the whole game."""
    held = dict(zip(prompt.get("labels") or [], prompt.get(name) or [], strict=False))
    return [held.get(label, empty) for label in labels]


def _badness(status: Any) -> int:
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)

"""The fields of an answer of ``nashlab solve --json``; an unknown field is refused by name."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from nashlab.certify.numbers import CertifyError, exact

__all__ = ["Answer", "answer_from", "names_in", "object_in", "parsed"]

NUMBERS = ("reference", "reference_exact", "policy", "log_policy", "policy_exact", "margins_exact", "tau")
REST = ("exploitability", "support", "slacks", "unique", "face", "certificate")
TOLD = ("reading", "uncertainty")  # about the votes behind the table: a proof of the table cannot check them
FIELDS = ("game", "labels", *NUMBERS, "status", *REST, *TOLD)
PROOF = ("l1_bound", "kind", "rigorous", "witness")  # of a certificate
STATUSES = ("exact", "converged", "stalled")
KINDS = ("rational", "ball", "float")
LARGEST = 1500  # responses: n² numbers are read and multiplied exactly

Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class Answer:
    """The fields of an answer to one game as exact numbers; None for a field that it omits.

    log_policy holds doubles, or None for a response without mass.
    """

    labels: tuple[str, ...] | None
    reference: Vector | None
    reference_exact: Vector | None
    policy: Vector | None
    log_policy: tuple[Fraction | None, ...] | None
    policy_exact: Vector | None
    margins: tuple[Vector, ...] | None
    tau: Fraction
    status: str | None
    exploitability: Fraction | None
    support: tuple[str, ...] | None
    slacks: Vector | None
    unique: bool | None
    dimension: int | None
    vertices: tuple[Vector, ...] | None
    complete: bool | None
    bound: Fraction | None
    kind: str | None
    rigorous: bool | None
    point: Vector | None
    multipliers: Vector | None


def parsed(text: str) -> Any:
    """JSON with every number as its text, so that none is rounded; duplicate names and NaN are refused.

    >>> parsed('{"tau": 0.1}')
    {'tau': '0.1'}
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise CertifyError(f"{twice[:40]!r} occurs twice in one object")
        return content

    def refuse(word: str) -> None:
        raise CertifyError(f"{word} is not a number of JSON")

    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=refuse, object_pairs_hook=once)
    except CertifyError:
        raise
    except RecursionError:
        raise CertifyError("is nested too deeply") from None
    except ValueError as error:
        raise CertifyError(f"is not JSON ({error})") from None


def answer_from(content: Any) -> Answer:
    """The answer to one game in parsed JSON, or :class:`CertifyError` naming the field and the rule."""
    fields = object_in(content, "the answer", FIELDS)
    face = object_in(fields.get("face"), "face", ("dimension", "vertices", "complete"))
    certificate = object_in(fields.get("certificate"), "certificate", PROOF)
    witness = object_in(certificate.get("witness"), "certificate.witness", ("point", "multipliers"))
    log_policy = fields.get("log_policy")
    return Answer(
        labels=names_in(fields.get("labels"), "labels"),
        reference=_vector(fields.get("reference"), "reference"),
        reference_exact=_vector(fields.get("reference_exact"), "reference_exact"),
        policy=_vector(fields.get("policy"), "policy"),
        log_policy=None if log_policy is None else _doubles(_list(log_policy, "log_policy"), "log_policy"),
        policy_exact=_vector(fields.get("policy_exact"), "policy_exact"),
        margins=_matrix(fields.get("margins_exact"), "margins_exact"),
        tau=_tau(fields.get("tau")),
        status=_word(fields.get("status"), "status", STATUSES),
        exploitability=_number(fields.get("exploitability"), "exploitability"),
        support=names_in(fields.get("support"), "support"),
        slacks=_vector(fields.get("slacks"), "slacks"),
        unique=_truth(fields.get("unique"), "unique"),
        dimension=_whole(face.get("dimension"), "face.dimension"),
        vertices=_matrix(face.get("vertices"), "face.vertices"),
        complete=_truth(face.get("complete"), "face.complete"),
        bound=_number(certificate.get("l1_bound"), "certificate.l1_bound"),
        kind=_word(certificate.get("kind"), "certificate.kind", KINDS),
        rigorous=_truth(certificate.get("rigorous"), "certificate.rigorous"),
        point=_vector(witness.get("point"), "certificate.witness.point"),
        multipliers=_vector(witness.get("multipliers"), "certificate.witness.multipliers"),
    )


def object_in(value: Any, where: str, known: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CertifyError(f"{where} must be an object")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise CertifyError(f"{where} has {unknown[0][:40]!r}, which is not one of {', '.join(known)}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CertifyError(f"{where} must be a list")
    if len(value) > LARGEST:
        raise CertifyError(f"{where} has {len(value)} entries, at most {LARGEST} are judged here")
    return value


def _number(value: Any, where: str) -> Fraction | None:
    return None if value is None else exact(value, where)


def _vector(value: Any, where: str) -> Vector | None:
    return None if value is None else tuple(exact(x, f"{where}[{i}]") for i, x in enumerate(_list(value, where)))


def _doubles(values: list[Any], where: str) -> tuple[Fraction | None, ...]:
    """The doubles that the texts stand for: any policy near the printed one may be checked in its place."""
    numbers = [None if x is None else exact(x, f"{where}[{i}]") for i, x in enumerate(values)]
    try:
        return tuple(None if x is None else Fraction(float(x)) for x in numbers)
    except OverflowError:
        raise CertifyError(f"{where} must hold float64 numbers") from None


def _matrix(value: Any, where: str) -> tuple[Vector, ...] | None:
    if value is None:
        return None
    rows = [_list(row, f"{where}[{i}]") for i, row in enumerate(_list(value, where))]
    return tuple(tuple(exact(x, f"{where}[{i}][{j}]") for j, x in enumerate(row)) for i, row in enumerate(rows))


def names_in(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = _list(value, where)
    if not all(isinstance(x, str) for x in names):
        raise CertifyError(f"{where} must be a list of names")
    return tuple(names)


def _word(value: Any, where: str, known: tuple[str, ...]) -> str | None:
    if value is not None and value not in known:
        raise CertifyError(f"{where} = {str(value)[:40]!r}, must be one of {', '.join(known)}")
    return value


def _truth(value: Any, where: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise CertifyError(f"{where} = {str(value)[:40]!r}, must be true or false")
    return value


def _whole(value: Any, where: str) -> int | None:
    number = _number(value, where)
    if number is not None and (number.denominator != 1 or not 0 <= number <= LARGEST):
        raise CertifyError(f"{where} = {str(value)[:40]}, must be a whole number from 0 to {LARGEST}")
    return None if number is None else int(number)


def _tau(value: Any) -> Fraction:
    if value is None:
        raise CertifyError("the answer has no tau: there is nothing to prove")
    tau = exact(value, "tau")
    if tau < 0:
        raise CertifyError(f"tau = {str(value)[:40]}, must be at least 0")
    return tau

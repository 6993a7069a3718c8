"""The independent verifier: re-checks an answer of ``nashlab solve --json`` from the file alone, in integers.

It imports nothing of nashlab, numpy or flint on purpose.  For an exact maximal lottery x it decides, in Fractions,

    x ≥ 0,  Σx = 1,  Ax ≤ 0     (then no response beats x: x is an equilibrium, and min slack 0 is its value ½)

and for a regularised equilibrium it evaluates the bound ‖π − π*_τ‖₁ ≤ √(2G/τ) of N14 in 60-digit decimals.
"""

from __future__ import annotations

import csv
import json
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

__all__ = ["CertifyError", "certify_answer", "read_margins"]

DIGITS = 60  # the answer's own numbers carry 17: rounding here is 40 digits below them


class CertifyError(ValueError):
    """The answer or the game cannot be read."""


def certify_answer(answer: dict[str, Any], game: dict[str, Any] | None = None) -> list[tuple[str, bool, str]]:
    """Check one answer; rows of (what was checked, whether it holds, detail).  ``game`` overrides the answer's margins.

    >>> rps = [["0", "1/2", "-1/2"], ["-1/2", "0", "1/2"], ["1/2", "-1/2", "0"]]
    >>> rows = certify_answer({"tau": 0, "labels": ["r", "p", "s"], "policy_exact": ["1/3"] * 3, "margins_exact": rps})
    >>> all(ok for _, ok, _ in rows)
    True
    """
    labels = answer.get("labels") or []
    source = game if game is not None else {"labels": labels, "margins": answer.get("margins_exact")}
    if source["margins"] is None:
        raise CertifyError("the answer carries no exact margins; give the game: nashlab certify ANSWER.json GAME.csv")
    margins = [[Fraction(x) for x in row] for row in source["margins"]]
    n = len(margins)
    rows = [
        ("the game is skew", all(margins[i][j] == -margins[j][i] for i in range(n) for j in range(n)), f"n = {n}"),
        ("the labels are the game's", not source["labels"] or list(source["labels"]) == list(labels), ""),
    ]
    if answer.get("policy_exact") is not None:
        policy = [Fraction(x) for x in answer["policy_exact"]]
        return rows + _lottery(margins, policy, labels, bool(answer.get("unique")))
    if answer.get("tau"):
        return rows + _regularised(margins, answer)
    raise CertifyError("the answer has neither policy_exact nor tau > 0: there is nothing to prove")


def _lottery(
    margins: list[list[Fraction]], x: list[Fraction], labels: list[str], unique: bool
) -> list[tuple[str, bool, str]]:
    product = [sum((a * p for a, p in zip(row, x, strict=True)), Fraction(0)) for row in margins]
    worst = max(range(len(x)), key=product.__getitem__)
    name = labels[worst] if labels else str(worst)
    rows = [
        ("no probability is negative", min(x) >= 0, f"smallest {min(x)}"),
        ("the probabilities sum to 1", sum(x) == 1, f"sum {sum(x)}"),
        ("no response beats it", max(product) <= 0, f"best reply {name}: p − ½ = {product[worst]}"),
    ]
    if unique:
        held = [i for i in range(len(x)) if x[i] > 0]
        strict = all(product[i] < 0 for i in range(len(x)) if x[i] == 0)
        kernel = len(held) - _rank([[margins[i][j] for j in held] for i in held])
        rows += [
            ("every response off the support loses strictly", strict, ""),
            ("so it is the only equilibrium", strict and kernel == 1, f"the support's kernel has dimension {kernel}"),
        ]
    return rows


def _rank(matrix: list[list[Fraction]]) -> int:
    rank = 0
    for column in range(len(matrix)):
        pivot = next((r for r in range(rank, len(matrix)) if matrix[r][column] != 0), None)
        if pivot is None:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        for r in range(rank + 1, len(matrix)):
            factor = matrix[r][column] / matrix[rank][column]
            matrix[r] = [u - factor * v for u, v in zip(matrix[r], matrix[rank], strict=True)]
        rank += 1
    return rank


def _regularised(margins: list[list[Fraction]], answer: dict[str, Any]) -> list[tuple[str, bool, str]]:
    claimed = answer["certificate"]["l1_bound"]
    with localcontext() as context:
        context.prec = DIGITS
        tau = Decimal(float(answer["tau"]))  # the double itself, as everywhere: 0.1 is not a tenth
        log_pi = [Decimal(float(x)) for x in answer["log_policy"]]
        mu = [Decimal(float(x)) for x in answer.get("reference") or [1.0] * len(log_pi)]
        mass = [x.exp() for x in log_pi]
        total = sum(mass, Decimal(0))
        pi = [m / total for m in mass]
        a = [[Decimal(x.numerator) / Decimal(x.denominator) for x in row] for row in margins]
        r = [log_pi[i] - mu[i].ln() - sum(a[i][j] * pi[j] for j in range(len(pi))) / tau for i in range(len(pi))]
        mean = sum((p * x for p, x in zip(pi, r, strict=True)), Decimal(0))
        divergence = sum((p * (mean - x).exp() for p, x in zip(pi, r, strict=True)), Decimal(0)).ln()
        bound = (2 * max(divergence, Decimal(0))).sqrt()
        gap = tau * divergence
    holds = claimed is not None and bound <= Decimal(float(claimed))
    return [
        ("the probabilities sum to 1", abs(total - 1) < Decimal("1e-12"), ""),
        (
            "its distance to the equilibrium is within the stated bound",
            holds,
            f"{bound:.2E} ≤ {claimed}; gap {gap:.2E}",
        ),
    ]


def read_margins(path: str) -> dict[str, Any]:
    """Labels and exact margins of a CSV or JSON game, by a reader of its own."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CertifyError(f"{path}: cannot be read ({error})") from None
    labels: list[str] = []
    if path.endswith(".json"):
        raw = json.loads(text, parse_float=Fraction, parse_int=Fraction)
        kind = next((k for k in ("preferences", "wins", "margins") if k in raw), None)
        if kind is None:
            raise CertifyError(f"{path}: has none of preferences, wins, margins")
        table, labels = [[Fraction(x) for x in row] for row in raw[kind]], raw.get("labels") or []
    else:
        cells = [row for row in csv.reader(text.splitlines()) if any(c.strip() for c in row)]
        if not _numeric(cells[0][-1]):
            labels, cells = [c.strip() for c in cells[0]][-(len(cells) - 1) :], cells[1:]
        n = len(cells)
        labels = labels or ([row[0].strip() for row in cells] if len(cells[0]) > n else [])
        table = [[Fraction(c.strip() or "0") for c in row[-n:]] for row in cells]
        diagonal = {table[i][i] for i in range(n)}
        negative = any(x < 0 for row in table for x in row)
        kind = "preferences" if diagonal == {Fraction(1, 2)} else "margins" if negative else "wins"
    n, half = len(table), Fraction(1, 2)
    if kind == "preferences":
        table = [[x - half for x in row] for row in table]
    elif kind == "wins":
        w = table
        met = [[w[i][j] + w[j][i] for j in range(n)] for i in range(n)]
        table = [
            [Fraction(0) if i == j or not met[i][j] else w[i][j] / met[i][j] - half for j in range(n)] for i in range(n)
        ]
    return {"labels": labels or None, "margins": table}


def _numeric(cell: str) -> bool:
    try:
        Fraction(cell.strip())
    except (ValueError, ZeroDivisionError):
        return False
    return True

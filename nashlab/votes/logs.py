"""Comparison logs -> win counts: one comparison per row, with any names of columns.

w_ij = Σ weight · (1 if i beat j, ½ if they tied, p if the row says so)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput
from nashlab.votes.outcomes import how_it_ended
from nashlab.votes.reading import Ballots, Options, Table, check_size
from nashlab.votes.roles import Roles, unused
from nashlab.votes.sheets import SAFE, Column, Sheet, Whole

__all__ = ["Duels", "index_pairs", "read_log", "tallied"]

EXACT_LIMIT = 500  # responses up to which entries are rationals; larger tables would take too much memory
ZERO = Fraction(0)

Codes = NDArray[np.int64]


class Duels(NamedTuple):
    """The rows of a log: who met whom, and the wins of each; [rows].

    labels         of the responses;  first, second  codes into them.
    wins, losses   of the first, as integer multiples of 1/denominator.
    tied           the weight of tied rows, else 0 (same denominator).
    """

    labels: list[str]
    first: Codes
    second: Codes
    wins: NDArray[Any]
    losses: NDArray[Any]
    tied: NDArray[Any]
    denominator: int


def read_log(sheet: Sheet, roles: Roles, options: Options) -> Table:
    """The win counts of a comparison log.

    Errors: BadInput naming the row, the column and the rule, also for a column of numbers without a role.
    """
    if sheet.rows == 0:
        raise BadInput("holds no comparison, only a header")
    left, right = (roles.first, roles.second) if roles.first and roles.second else (roles.winner, roles.loser)
    assert left is not None
    assert right is not None
    labels, first, second = _named(sheet, left, right)
    notes: list[str] = []
    named = roles
    if roles.counts and roles.weight:
        _check_total(sheet, roles)
        notes.append(f"{roles.weight}: the total of a row")
        roles = replace(roles, weight=None)
    weight = _weights(sheet, roles)
    wins, losses, tied = how_it_ended(roles)(sheet, roles, labels, first, second)
    keep = _met(sheet, roles, labels, first, second, wins, losses)
    won, lost, even = ((part.values * _fit(weight, part))[keep] for part in (wins, losses, tied))
    duels = Duels(labels, first[keep], second[keep], won, lost, even, weight.denominator * wins.denominator)
    passed = unused(sheet, named, options)
    names = [x for x in (left, right, roles.winner, *roles.counts, *roles.scores, *roles.one_hot, roles.share) if x]
    layout = f"comparison log ({', '.join(dict.fromkeys(names))})"
    table = tallied(duels, None if roles.voter is None else sheet[roles.voter], keep, sheet.exact)
    notes += [f"{role}: {name}" for role, name in (("weights", roles.weight), ("ties", roles.tie)) if name]
    if roles.voter:
        notes.append(f"voters: {roles.voter}")
    if roles.scores:
        notes.append("the higher score wins")
    return Table(**{**vars(table), "layout": layout, "passed_over": passed, "notes": tuple(notes)})


def _check_total(sheet: Sheet, roles: Roles) -> None:
    """Check that a third number next to two counts is their sum; anything else is refused."""
    assert roles.weight is not None
    names = [*roles.counts, *([roles.tie] if roles.tie else [])]

    def numbers(name: str) -> NDArray[Any]:
        number = sheet.number(name)
        whole = sheet[name].whole(lambda text: number(text) if text else ZERO)
        return whole.values.astype(object) * Fraction(1, whole.denominator)

    bad = np.flatnonzero(sum(map(numbers, names)) != numbers(roles.weight))
    if bad.size:
        raise sheet.row_fault(
            int(bad[0]),
            f"{roles.weight} is not the sum of {', '.join(names)}; ignore it with --ignore {roles.weight}",
        )


def _fit(weight: Whole, part: Whole) -> NDArray[Any]:
    """The weights, as Python integers if a product could overflow int64."""
    largest = [
        max((abs(int(x)) for x in (w.values.max(initial=0), w.values.min(initial=0))), default=0)
        for w in (weight, part)
    ]
    return weight.values.astype(object) if largest[0] * largest[1] >= SAFE else weight.values


def _named(sheet: Sheet, left: str, right: str) -> tuple[list[str], Codes, Codes]:
    """Labels in order of first occurrence, and each row's two codes; missing names get code −1."""
    one, two = sheet[left], sheet[right]
    index: dict[str, int] = {}
    codes = np.stack([one.codes, two.codes + len(one.values)], axis=1).ravel()  # in the order of reading
    table = np.full(len(one.values) + len(two.values), -1, dtype=np.int64)
    begins = np.full(table.size, -1, dtype=np.int64)
    begins[codes[::-1]] = np.arange(codes.size)[::-1]  # written in reverse, so that the first occurrence remains
    order = np.argsort(begins, kind="stable")
    for code in order[begins[order] >= 0].tolist():
        name = one.values[code] if code < len(one.values) else two.values[code - len(one.values)]
        if name and name.lower() not in ("nan", "null", "<na>"):
            table[code] = index.setdefault(name, len(index))
    check_size(len(index))
    return list(index), table[one.codes], table[two.codes + len(one.values)]


def _weights(sheet: Sheet, roles: Roles) -> Whole:
    if roles.weight is None:
        return Whole(np.ones(sheet.rows, dtype=np.int64), 1)
    number = sheet.number(roles.weight)

    def parse(text: str) -> Fraction:
        value = number(text)
        if value < 0:
            raise sheet.fault(roles.weight or "", text, f"= {text}, must be at least 0")
        return value

    blank = sheet[roles.weight].rows_of(lambda text: not text)
    column = sheet[roles.weight]
    if np.any(blank) and sheet.blank_rows(roles.names())[blank].all():
        column = Column(column.codes, [x or "0" for x in column.values])
    return column.whole(parse)


def _met(
    sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes, wins: Whole, losses: Whole
) -> NDArray[np.bool_]:
    """The rows that are not blank; a row without a name, or comparing a response with itself, is refused."""
    blank = sheet.blank_rows(roles.names())
    bad = np.flatnonzero(~blank & ((first < 0) | (second < 0)))
    if bad.size:
        missing = [("winner", "loser"), ("first response", "second response")][bool(roles.first)]
        raise sheet.row_fault(int(bad[0]), f"has no {missing[0]} or no {missing[1]}")
    bad = np.flatnonzero(~blank & (first == second))
    if bad.size:
        raise sheet.row_fault(int(bad[0]), f"{labels[first[bad[0]]]!r} is compared with itself")
    if not np.any(~blank):
        raise BadInput("holds no comparison, only a header")
    return ~blank


# -- tallies ---------------------------------------------------------------------------------------------------------


def tallied(duels: Duels, voters: Column | None, keep: NDArray[np.bool_], exact: bool = True) -> Table:
    """Win counts of each ordered pair, exactly; responses in the order of ``duels.labels``."""
    n = len(duels.labels)
    if n == 0:
        raise BadInput("holds no comparison, only a header")
    check_size(n)
    places = np.concatenate([duels.first * n + duels.second, duels.second * n + duels.first])
    counts = _summed(places, np.concatenate([duels.wins, duels.losses]), n * n)
    drawn = _summed(places, np.concatenate([duels.tied, duels.tied]), n * n)
    wins: Any = np.asarray(counts, dtype=np.float64).reshape(n, n) / duels.denominator
    if n <= EXACT_LIMIT and exact:
        wins = [[Fraction(int(x), duels.denominator) for x in row] for row in counts.reshape(n, n)]
    votes = Fraction(int(sum(counts.tolist())), duels.denominator)
    return Table(
        wins,
        duels.labels,
        "wins",
        votes=votes,
        ties=Fraction(int(sum(drawn.tolist())), 2 * duels.denominator),
        drawn=np.asarray(drawn, dtype=np.float64).reshape(n, n) / duels.denominator,
        ballots=None if voters is None else _ballots(duels, voters, keep),
    )


def _summed(places: Codes, values: NDArray[Any], size: int) -> NDArray[Any]:
    """Σ of integers by place, without rounding."""
    if values.dtype != object and float(np.abs(values).sum(dtype=np.float64)) < SAFE:
        return np.bincount(places, weights=values.astype(np.float64), minlength=size).astype(np.int64)
    total = np.zeros(size, dtype=object)
    np.add.at(total, places, values.astype(object))
    return total


def _ballots(duels: Duels, voters: Column, keep: NDArray[np.bool_]) -> Ballots:
    """Wins by voter; each row without a voter counts as a separate voter."""
    codes = voters.codes[keep]
    blank = np.array([not x for x in voters.values], dtype=bool)[codes]
    codes = np.where(blank, len(voters.values) + np.arange(codes.size), codes)
    numbers = np.cumsum(np.bincount(codes) > 0) - 1  # without gaps
    codes = numbers[codes]
    won, lost = (x.astype(np.float64) / duels.denominator for x in (duels.wins, duels.losses))
    up, down = won > 0, lost > 0
    return Ballots(
        np.concatenate([codes[up], codes[down]]),
        np.concatenate([duels.first[up], duels.second[down]]),
        np.concatenate([duels.second[up], duels.first[down]]),
        np.concatenate([won[up], lost[down]]),
        np.ones(int(numbers[-1]) + 1),
    )


def index_pairs(rows: Sequence[Sequence[str]]) -> Table:
    """Rows ``winner,loser`` of integers without a header; responses in order of their numbers."""
    names = sorted({int(x) for row in rows for x in row})
    index = {x: i for i, x in enumerate(names)}
    check_size(len(names))
    first, second = (np.array([index[int(row[k])] for row in rows], dtype=np.int64) for k in (0, 1))
    bad = np.flatnonzero(first == second)
    if bad.size:
        raise BadInput(f"row {bad[0] + 1}: {rows[bad[0]][0]!r} is compared with itself")
    one, nothing = np.ones(first.size, dtype=np.int64), np.zeros(first.size, dtype=np.int64)
    table = tallied(Duels([str(x) for x in names], first, second, one, nothing, nothing, 1), None, one.astype(bool))
    return Table(**{**vars(table), "layout": "index pairs (winner, loser), without a header"})

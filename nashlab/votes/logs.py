"""Comparison logs -> win counts: one row a comparison, whatever its columns are called.

w_ij = Σ weight · (1 where i beat j, ½ where they tied, p where the row says so)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput
from nashlab.votes.reading import Ballots, Options, Table, check_size
from nashlab.votes.roles import Roles, side_of, unused
from nashlab.votes.sheets import SAFE, TIE_WORDS, Column, Sheet, Whole, whole_numbers, word
from nashlab.votes.text import MISSING, is_numeric

__all__ = ["Duels", "index_pairs", "read_log", "tallied"]

EXACT_LIMIT = 500  # responses up to which entries are kept as rationals: above, memory is what matters
CONSISTENT = {1: ("1", "first", "left", "home", "one"), 2: ("2", "second", "right", "away", "two")}
YES, NO = {"1", "true", "yes", "t", "y", "1.0"} | TIE_WORDS, {"0", "false", "no", "f", "n", "0.0", ""}
HALF, ONE, ZERO = Fraction(1, 2), Fraction(1), Fraction(0)

Codes = NDArray[np.int64]


class Duels(NamedTuple):
    """Rows of a log: who met whom, and how many wins each got; [rows].

    labels         of the responses;  first, second  codes into them.
    wins, losses   of the first, as whole multiples of 1/denominator.
    tied           rows that were ties, as a part of their weight (same denominator).
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

    Errors: BadInput naming the row, the column and the rule; a column of numbers that has no role.
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
    ended = _one_sided if not (roles.first and roles.second) else _ended(roles)
    wins, losses, tied = ended(sheet, roles, labels, first, second)
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
    """Beside two counts a third number may be their sum; anything else is not understood."""
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
            f"{roles.weight} is not the sum of {', '.join(names)}; pass over it with --ignore {roles.weight}",
        )


def _fit(weight: Whole, part: Whole) -> NDArray[Any]:
    """The weights, as Python integers where a product could leave int64."""
    largest = [
        max((abs(int(x)) for x in (w.values.max(initial=0), w.values.min(initial=0))), default=0)
        for w in (weight, part)
    ]
    return weight.values.astype(object) if largest[0] * largest[1] >= SAFE else weight.values


def _named(sheet: Sheet, left: str, right: str) -> tuple[list[str], Codes, Codes]:
    """Labels in the order in which they first occur, and each row's two codes; missing names are code −1."""
    one, two = sheet[left], sheet[right]
    index: dict[str, int] = {}
    codes = np.stack([one.codes, two.codes + len(one.values)], axis=1).ravel()  # in the order of reading
    table = np.full(len(one.values) + len(two.values), -1, dtype=np.int64)
    begins = np.full(table.size, -1, dtype=np.int64)
    begins[codes[::-1]] = np.arange(codes.size)[::-1]  # the last one written is the first to occur
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
    if np.any(blank) and _blank_rows(sheet, roles)[blank].all():
        column = Column(column.codes, [x or "0" for x in column.values])
    return column.whole(parse)


def _blank_rows(sheet: Sheet, roles: Roles) -> NDArray[np.bool_]:
    """Lines of nothing but delimiters."""
    blank = np.ones(sheet.rows, dtype=bool)
    for name in roles.names():
        blank &= sheet[name].rows_of(lambda text: not text)
    return blank


def _met(
    sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes, wins: Whole, losses: Whole
) -> NDArray[np.bool_]:
    """The rows that are no blank lines; a row without a name, or of a response against itself, is refused."""
    blank = _blank_rows(sheet, roles)
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


# -- how a comparison ended: (wins of the first, wins of the second, ties) a row ------------------------------------

Ended = tuple[Whole, Whole, Whole]
Shares = Callable[[Sheet, Roles, Sequence[str], Codes, Codes], Ended]


def _shares(first: Sequence[Fraction] | NDArray[Any], rows: Codes, ties: NDArray[np.bool_]) -> Ended:
    """From the share of the first, by code."""
    one = whole_numbers(list(first))
    other = one.denominator - one.values
    tied = np.where(ties, one.denominator, 0)
    return (
        Whole(one.values[rows], one.denominator),
        Whole(other[rows], one.denominator),
        Whole(tied, one.denominator),
    )


def _one_sided(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    """winner, loser, and perhaps a column that marks ties."""
    ties = np.zeros(sheet.rows, dtype=bool) if roles.tie is None else _marks(sheet, roles.tie)
    return _shares([ONE, HALF], ties.astype(np.int64), ties)


def _marks(sheet: Sheet, name: str) -> NDArray[np.bool_]:
    column = sheet[name]
    for value in column.values:
        if word(value) not in YES | NO and value.lower() not in MISSING and np.any(column.rows_of(value.__eq__)):
            raise sheet.fault(name, value, f"{value[:40]!r} must be true or false, 1 or 0")
    return column.rows_of(lambda value: word(value) in YES)


def _ended(roles: Roles) -> Shares:
    if roles.winner:
        return _by_winner
    if roles.share:
        return _by_share
    if roles.one_hot:
        return _by_one_hot
    return _by_counts if roles.counts else _by_scores


def _by_share(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    assert roles.share is not None
    return _soft(sheet, roles.share, lambda value: value)


def _soft(sheet: Sheet, name: str, share: Callable[[Fraction], Fraction]) -> Ended:
    number, column = sheet.number(name), sheet[name]
    shares = []
    occurs = set(column.occurring())
    for code, text in enumerate(column.values):
        value = share(number(text)) if code in occurs and text else HALF
        if code in occurs and not text and not _blank_text(sheet, name):
            raise sheet.fault(name, text, "is empty, must be a number")
        if not 0 <= value <= 1:
            raise sheet.fault(name, text, f"= {text}, must be a probability in [0, 1]")
        shares.append(value)
    ties = column.rows_of(lambda text: bool(text) and share(number(text)) == HALF)
    return _shares(shares, column.codes, ties)


def _blank_text(sheet: Sheet, name: str) -> bool:
    """Are the empty cells of a column on blank lines only?"""
    blank = sheet[name].rows_of(lambda text: not text)
    others = [sheet[other].rows_of(lambda text: not text)[blank].all() for other in sheet.names if other != name]
    return all(map(bool, others))


def _by_one_hot(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    columns = [*roles.one_hot, *roles.hot_ties]
    marks = np.stack([_marks(sheet, name) for name in columns]).astype(np.int64)
    bad = np.flatnonzero(marks.sum(axis=0) != 1)
    bad = bad[~_blank_rows(sheet, roles)[bad]]
    if bad.size:
        raise sheet.row_fault(int(bad[0]), f"{', '.join(columns)}: exactly one must be 1")
    ties: NDArray[np.bool_] = np.asarray(marks[2:].sum(axis=0) > 0)
    return _shares([ZERO, ONE, HALF], np.where(ties, 2, marks[0]), ties)


def _by_counts(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    """Two counts of wins, and perhaps one of ties, half of which goes to each."""
    names = [*roles.counts, *([roles.tie] if roles.tie else [])]
    parts = []
    for name in names:
        number = sheet.number(name)

        def parse(text: str, name: str = name, number: Callable[[str], Fraction] = number) -> Fraction:
            value = number(text) if text else ZERO
            if value < 0:
                raise sheet.fault(name, text, f"= {text}, must be at least 0")
            return value

        parts.append(sheet[name].whole(parse))
    import math

    base = 2 * math.lcm(*(part.denominator for part in parts))
    scaled = [part.values * (base // part.denominator) for part in parts]
    ties = scaled[2] if len(scaled) > 2 else np.zeros(sheet.rows, dtype=np.int64)
    return Whole(scaled[0] + ties // 2, base), Whole(scaled[1] + ties // 2, base), Whole(ties, base)


def _by_scores(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    """The higher score wins; equal ones tie.  How much higher is passed over."""
    one, two = (sheet[name].whole(sheet.number(name)) for name in roles.scores)
    a, b = one.values * two.denominator, two.values * one.denominator
    ties: NDArray[np.bool_] = np.asarray(a == b, dtype=bool)
    return _shares([ZERO, ONE, HALF], np.where(ties, 2, np.asarray(a > b, dtype=np.int64)), ties)


def _by_winner(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    """One column says who won: the name of a response, of a side or of a column; a number; or that it was a tie."""
    name = roles.winner
    assert name is not None
    column = sheet[name]
    occurs = [column.values[code] for code in column.occurring()]
    texts = [x for x in occurs if x]
    named = _by_name(column, labels, first, second)
    sided = _by_side(column, roles)
    good = [way for way in (named, sided) if way is not None]
    if len(good) == 2 and np.array_equal(good[0], good[1]):
        good = good[:1]
    if len(good) == 2:
        raise BadInput(
            f"the column {name!r} can be read as names of responses and as names of sides, with different winners: "
            "write the names of the columns in it"
        )
    if good:
        ties = good[0] == 2
        _marked_too(sheet, roles, ties)
        if roles.tie is not None:
            ties = ties | _marks(sheet, roles.tie)
        return _shares([ZERO, ONE, HALF], np.where(ties, 2, good[0]), ties)
    if texts and all(is_numeric(sheet.number_text(x)) or x.lower() in MISSING for x in texts):
        return _soft(sheet, name, _scale(sheet, name, texts))
    raise _unknown_winner(sheet, roles, labels, first, second, texts)


def _marked_too(sheet: Sheet, roles: Roles, ties: NDArray[np.bool_]) -> None:
    if roles.tie is None:
        return
    missing = np.flatnonzero(ties & ~_marks(sheet, roles.tie))
    if missing.size and not np.all(sheet[roles.tie].rows_of(lambda text: not text)[missing]):
        raise sheet.row_fault(int(missing[0]), f"{roles.winner} says a tie, {roles.tie} says none")


def _by_name(column: Column, labels: Sequence[str], first: Codes, second: Codes) -> Codes | None:
    """1, 0 or 2 (tie) a row if every cell names one of the row's two responses, or a tie."""
    index = {label: i for i, label in enumerate(labels)}
    codes = np.array([index.get(x, -2 if word(x) in TIE_WORDS else -3 if x else -4) for x in column.values])
    winner = codes[column.codes] if codes.size else column.codes
    known = (winner == first) | (winner == second) | (winner == -2) | (winner == -4)
    if not np.all(known) or not np.any(winner >= 0):
        return None
    if np.any((winner == -4) & (first >= 0)):
        return None
    return np.where(winner == -2, 2, np.asarray(winner == first, dtype=np.int64))


def _by_side(column: Column, roles: Roles) -> Codes | None:
    assert roles.first is not None
    assert roles.second is not None
    known: dict[str, int] = {}
    for value, name in ((1, roles.first), (0, roles.second)):
        side = side_of(name)
        stem = side[0] if side else ""
        for text in (name, *([side[1]] if side else [])):
            known[word(text)] = value
        for other in CONSISTENT[1 if value else 2]:
            known.setdefault(other, value)
        if side:
            for prefix in (
                "model",
                "response",
                "answer",
                "output",
                "option",
                "player",
                "generator",
                "completion",
                "assistant",
                "system",
                "candidate",
                "text",
                "side",
                "choice",
                stem,
            ):
                known.setdefault(word(f"{prefix}_{side[1]}"), value)
                known.setdefault(word(f"{prefix}{side[1]}"), value)
            if side[1] in ("1", "2"):
                known.setdefault("ab"[side[1] == "2"], value)
    both_numbers = {word(x) for x in column.values if x} <= {"0", "1"}
    codes = []
    for text in column.values:
        plain = word(text) if text else ""
        if plain in known and not (both_numbers and plain in "01"):
            codes.append(known[plain])
        else:
            codes.append(2 if plain in TIE_WORDS else -1 if text else -4)
    found = np.array(codes, dtype=np.int64)[column.codes]
    return None if np.any((found == -1) | (found == -4)) else found


def _scale(sheet: Sheet, name: str, texts: Sequence[str]) -> Callable[[Fraction], Fraction]:
    """How a column of numbers says who won: 1 and 2 are sides (1.3: 70 % for the first), −1 is the second, and
    fractions below 1 are the probability of the first."""
    number = sheet.number(name)
    values = {number(x) for x in texts if x.lower() not in MISSING}
    if min(values) < 0:
        if not values <= {-ONE, ZERO, ONE}:
            bad = next(x for x in texts if number(x) not in (-ONE, ZERO, ONE))
            raise sheet.fault(name, bad, f"= {bad}, must be 1 (the first wins), -1 (the second) or 0 (a tie)")
        return lambda value: (value + 1) / 2
    if max(values) > 1:
        if values <= {ZERO, ONE, Fraction(2)}:
            return lambda value: {ZERO: HALF, ONE: ONE, Fraction(2): ZERO}.get(value, Fraction(-1))
        if min(values) >= 1 and max(values) <= 2:
            return lambda value: 2 - value
        bad = next(x for x in texts if number(x) in (max(values), min(values)))
        raise sheet.fault(name, bad, f"= {bad}: must be probabilities in [0, 1], 1 and 2 for the sides, or 1, 0 and -1")
    if values <= {ZERO, ONE} and len(values | {ONE}) == 2:
        raise BadInput(
            f"the column {name!r} holds 0 and 1: the number of the side that wins, or whether the first does? say it "
            f"with --columns p={name} where 1 means that the first wins, or write the sides' names"
        )
    return lambda value: value


def _unknown_winner(
    sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes, texts: Sequence[str]
) -> BadInput:
    name = roles.winner or ""
    column = sheet[name]
    if any(not x for x in column.values) and np.any(column.rows_of(lambda x: not x) & (first >= 0)):
        return sheet.fault(name, "", "is empty, must say who won")
    index = {label: i for i, label in enumerate(labels)}
    side = _side_words(column, roles)
    for row in range(sheet.rows):
        text = column.values[column.codes[row]]
        mine = index.get(text, -3)
        if mine not in (first[row], second[row]) and word(text) not in TIE_WORDS | side:
            pair = f"{labels[first[row]]!r}, {labels[second[row]]!r}" if min(first[row], second[row]) >= 0 else "a name"
            rule = f"must be one of {pair}, {roles.first!r}, {roles.second!r} or 'tie'"
            return sheet.row_fault(row, f"{name}: {text[:60]!r} {rule}")
    return BadInput(f"the column {name!r} names responses in some rows and sides in others: write one or the other")


def _side_words(column: Column, roles: Roles) -> set[str]:
    found = set()
    for text in column.values:
        if text and _by_side(Column(np.zeros(1, dtype=np.int64), [text]), roles) is not None:
            found.add(word(text))
    return found


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
    """Σ of whole numbers by place, without rounding."""
    if values.dtype != object and float(np.abs(values).sum(dtype=np.float64)) < SAFE:
        return np.bincount(places, weights=values.astype(np.float64), minlength=size).astype(np.int64)
    total = np.zeros(size, dtype=object)
    np.add.at(total, places, values.astype(object))
    return total


def _ballots(duels: Duels, voters: Column, keep: NDArray[np.bool_]) -> Ballots:
    """Wins by voter; rows without a voter are voters of their own."""
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
    """Rows ``winner,loser`` of whole numbers without a header; responses in the order of their numbers."""
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

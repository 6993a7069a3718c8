"""The outcome of each comparison of a log: wins of the first, wins of the second, and ties, per row.

winner    the name of a response or a side (model_a, left, 1), a result for the first (win, W, H), a score (2-1),
          a verdict (A>B, [[C]]), a number, or a tie
p         the probability that the first wins, alone or with that of the second
one hot   a column for each side, and for ties, with a 1 in one of them
counts    wins of both sides, and perhaps ties;  scores  the higher one wins
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput
from nashlab.votes.roles import Roles, side_of
from nashlab.votes.sheets import TIE_WORDS, Column, Sheet, Whole, whole_numbers, word, words
from nashlab.votes.text import MISSING, is_numeric

__all__ = ["Ended", "how_it_ended"]

CONSISTENT = {1: ("1", "first", "left", "home", "one"), 2: ("2", "second", "right", "away", "two")}
OWNERS = words(
    "model response answer output option player generator completion assistant system candidate text side choice"
)
RESULTS = {1: ("win", "won", "wins", "w"), 0: ("loss", "lose", "lost", "loses", "l")}  # of the first
YES, NO = {"1", "true", "yes", "t", "y", "1.0"} | TIE_WORDS, {"0", "false", "no", "f", "n", "0.0", ""}
SCORE = re.compile(r"(\d{1,9}|1/2|½)\s*[-–:]\s*(\d{1,9}|1/2|½)")
VERDICT = re.compile(r"(.+?)\s*(>+|<+|=+|~)\s*(.+)")
ROUNDING = 1e-6  # for two probabilities that add up to 1: in single precision they do so to 1e-7
HALF, ONE, ZERO = Fraction(1, 2), Fraction(1), Fraction(0)

Codes = NDArray[np.int64]
Ended = tuple[Whole, Whole, Whole]
Shares = Callable[[Sheet, Roles, Sequence[str], Codes, Codes], Ended]


def how_it_ended(roles: Roles) -> Shares:
    """The reader of the columns that hold the outcome."""
    if not (roles.first and roles.second):
        return _one_sided
    if roles.winner:
        return _by_winner
    if roles.share:
        return _by_share
    if roles.one_hot:
        return _by_one_hot
    return _by_counts if roles.counts else _by_scores


def _shares(first: Sequence[Fraction] | NDArray[Any], rows: Codes, ties: NDArray[np.bool_]) -> Ended:
    """The outcome from the first's share, by code."""
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


def _by_share(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    assert roles.share is not None
    if roles.against is not None:
        one, two = (sheet[name].whole(sheet.number(name)) for name in (roles.share, roles.against))
        bad = np.flatnonzero(np.abs(one.values / one.denominator + two.values / two.denominator - 1.0) > ROUNDING)
        if bad.size:
            raise sheet.row_fault(int(bad[0]), f"{roles.share} + {roles.against} must be 1")
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
    """Are all empty cells of a column on blank lines?"""
    blank = sheet[name].rows_of(lambda text: not text)
    others = [sheet[other].rows_of(lambda text: not text)[blank].all() for other in sheet.names if other != name]
    return all(map(bool, others))


def _by_one_hot(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    columns = [*roles.one_hot, *roles.hot_ties]
    marks = np.stack([_marks(sheet, name) for name in columns]).astype(np.int64)
    bad = np.flatnonzero(marks.sum(axis=0) != 1)
    bad = bad[~sheet.blank_rows(roles.names())[bad]]
    if bad.size:
        raise sheet.row_fault(int(bad[0]), f"{', '.join(columns)}: exactly one must be 1")
    ties: NDArray[np.bool_] = np.asarray(marks[2:].sum(axis=0) > 0)
    return _shares([ZERO, ONE, HALF], np.where(ties, 2, marks[0]), ties)


def _by_counts(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    """Two counts of wins, and perhaps one of ties, which count half for each."""
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
    base = 2 * math.lcm(*(part.denominator for part in parts))
    scaled = [part.values * (base // part.denominator) for part in parts]
    ties = scaled[2] if len(scaled) > 2 else np.zeros(sheet.rows, dtype=np.int64)
    return Whole(scaled[0] + ties // 2, base), Whole(scaled[1] + ties // 2, base), Whole(ties, base)


def _by_scores(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    """The higher score wins; equal ones tie.  The difference is ignored."""
    one, two = (sheet[name].whole(sheet.number(name)) for name in roles.scores)
    a, b = one.values * two.denominator, two.values * one.denominator
    ties: NDArray[np.bool_] = np.asarray(a == b, dtype=bool)
    return _shares([ZERO, ONE, HALF], np.where(ties, 2, np.asarray(a > b, dtype=np.int64)), ties)


def _by_winner(sheet: Sheet, roles: Roles, labels: Sequence[str], first: Codes, second: Codes) -> Ended:
    """One column names the winner: a response, a side, a column, a number, or a tie."""
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
            f"the column {name!r} can be read as names of responses or of sides, with different winners: "
            "write the names of the columns in it"
        )
    if good:
        ties = good[0] == 2
        _marked_too(sheet, roles, ties)
        if roles.tie is not None:
            ties = ties | _marks(sheet, roles.tie)
        return _shares([ZERO, ONE, HALF], np.where(ties, 2, good[0]), ties)
    if texts and all(is_numeric(sheet.number_text(x)) or x.lower() in MISSING for x in texts):
        return _soft(sheet, name, _scale(sheet, roles, name, texts))
    raise _unknown_winner(sheet, roles, labels, first, second, texts)


def _marked_too(sheet: Sheet, roles: Roles, ties: NDArray[np.bool_]) -> None:
    if roles.tie is None:
        return
    missing = np.flatnonzero(ties & ~_marks(sheet, roles.tie))
    if missing.size and not np.all(sheet[roles.tie].rows_of(lambda text: not text)[missing]):
        raise sheet.row_fault(int(missing[0]), f"{roles.winner} says a tie, {roles.tie} says none")


def _by_name(column: Column, labels: Sequence[str], first: Codes, second: Codes) -> Codes | None:
    """1, 0 or 2 (tie) per row if every cell names one of the row's two responses, or a tie."""
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
    """1, 0 or 2 (tie) per row if every cell names a side or a column, or gives the result for the first."""
    known = _sides(roles)
    numbers = {word(x) for x in column.values if x} <= {"0", "1"}
    results = {word(x) for x in column.values if x} <= {*RESULTS[1], *RESULTS[0], "h", "a", "d", *TIE_WORDS}
    codes = []
    for text in column.values:
        plain = word(text) if text else ""
        if plain in known and not (numbers and plain in "01"):
            codes.append(known[plain])
        elif plain in TIE_WORDS or (results and plain == "d"):
            codes.append(2)
        else:
            codes.append(_verdict(text, known) if text else -4)
    found = np.array(codes, dtype=np.int64)[column.codes]
    return None if np.any((found == -1) | (found == -4)) else found


def _sides(roles: Roles) -> dict[str, int]:
    """Words for the winner -> 1 (the first) or 0: names of the columns and of their sides, results of the first."""
    assert roles.first is not None
    assert roles.second is not None
    known: dict[str, int] = {}
    for value, name in ((1, roles.first), (0, roles.second)):
        side = side_of(name)
        for text in (name, *([side[1]] if side else [])):
            known[word(text)] = value
        for other in CONSISTENT[1 if value else 2]:
            known.setdefault(other, value)
        if side:
            for owner in (*OWNERS, side[0]):
                known.setdefault(word(f"{owner}_{side[1]}"), value)
                known.setdefault(word(f"{owner}{side[1]}"), value)
            if side[1] in ("1", "2"):
                known.setdefault("ab"[side[1] == "2"], value)
            if side[1] in ("home", "away"):
                known.setdefault(side[1][0], value)
        for result in RESULTS[value]:
            known.setdefault(result, value)
    return known


def _verdict(text: str, known: dict[str, int]) -> int:
    """A judge's or a referee's short form: [[A]], [[C]] (a tie), A>B, A=B, or a score such as 1-0; −1 for any other."""
    inner = text.strip().strip("[]").strip()
    if inner != text.strip() and word(inner) in (*known, "c"):
        return known.get(word(inner), 2)
    if match := SCORE.fullmatch(inner):
        one, two = (HALF if x in ("1/2", "½") else Fraction(int(x)) for x in match.groups())
        return 2 if one == two else int(one > two)
    match = VERDICT.fullmatch(inner)
    if match is None:
        return -1
    left, right = known.get(word(match[1]), -1), known.get(word(match[3]), -1)
    if -1 in (left, right) or left == right:
        return -1
    return 2 if match[2][0] in "=~" else left if match[2][0] == ">" else right


def _scale(sheet: Sheet, roles: Roles, name: str, texts: Sequence[str]) -> Callable[[Fraction], Fraction]:
    """The meaning of a column of numbers: 1 and 2 are sides (1.3: 70 % for the first), −1 is the second, and fractions
    below 1 are the probability of the first."""
    number = sheet.number(name)
    values = {number(x) for x in texts if x.lower() not in MISSING}
    if min(values) < 0:
        if not values <= {-ONE, ZERO, ONE}:
            bad = next(x for x in texts if number(x) not in (-ONE, ZERO, ONE))
            raise sheet.fault(name, bad, f"= {bad}, must be 1 (the first wins), -1 (the second) or 0 (a tie)")
        return lambda value: (value + 1) / 2
    if max(values) > 1:
        if values <= {ZERO, ONE, Fraction(2)}:
            side = side_of(roles.first or "")
            if ZERO in values and (side is None or side[1] not in ("1", "first", "one")):
                raise BadInput(
                    f"the column {name!r} holds 0 and 2: is 0 a tie and 2 the second, or 0 the first and 2 a tie? "
                    "write the sides' names"
                )
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

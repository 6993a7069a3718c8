"""Ballots -> win counts: a higher rank wins, a tie is half a win each, unranked is below ranked.

rank tables        rank1,rank2,rank3 with candidates in the cells
candidate tables   a,b,c,count with ranks in the cells (1 is best)
pair tables        a:b,a:c,b:c with 1, -1 and 0 in the cells: one judge per row
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from nashlab.game import BadInput
from nashlab.votes.logs import EXACT_LIMIT
from nashlab.votes.reading import Ballots, Options, Table, check_size
from nashlab.votes.roles import PASSED, VOTERS, WEIGHTS
from nashlab.votes.sheets import TIE_WORDS, Sheet, word
from nashlab.votes.text import MISSING, is_numeric

__all__ = [
    "Ballot",
    "candidate_table",
    "counted",
    "is_candidate_table",
    "is_rank_table",
    "pair_table",
    "pairs_of",
    "rank_table",
]

MOST_VOTERS = 2**50  # in total: their sums stay exact
ENTRIES = 2 * 10**7  # of wins by ballot, kept for resampling
RANK = re.compile(
    r"(?:rank|ranking|choice|preference|place|pref|position)_?(\d{1,6})|(\d{1,6})(?:st|nd|rd|th)?(?:_choice)?"
)
SKIPPED = {"skipped", "undervote", "undervoted", "blank", *MISSING}  # cells of a rank table without a candidate
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}
PAIR = re.compile(r"\s*(.+?)\s*(?::|>|(?<![^\W_])vs\.?(?![^\W_])|\bversus\b)\s*(.+?)\s*", re.IGNORECASE)
WHOLE_RANK = re.compile(r"([1-9]\d{0,5})(\.0+)?")
TIED = re.compile(r"\s*[=/|&;,]\s*")  # separators of candidates that share a cell of a rank table


class Ballot(NamedTuple):
    """An order: groups of candidates (by number), best first, each group tied; and the number of its voters."""

    groups: tuple[tuple[int, ...], ...]
    voters: Fraction


def counted(labels: Sequence[str], ballots: Iterable[Ballot], unranked: str, layout: str) -> Table:
    """The wins of each pair over all ballots; a ballot is resampled as a whole.

    unranked  "last": below all ranked ones, and tied; "uncompared": not compared at all.
    """
    n = len(labels)
    check_size(n)
    merged: dict[tuple[tuple[int, ...], ...], Fraction] = {}
    for groups, voters in ballots:
        merged[groups] = merged.get(groups, Fraction(0)) + voters
    held = [(groups, voters) for groups, voters in merged.items() if voters]
    if n == 0 or not held:
        raise BadInput("holds no ranking")
    total = sum((voters for _, voters in held), Fraction(0))
    if min(voters for _, voters in held) < 0 or total > MOST_VOTERS:
        raise BadInput("the number of voters of an order must be at least 0, and at most 2^50 in all")
    base = math.lcm(*(voters.denominator for _, voters in held))
    points = np.zeros((n, n), dtype=object if total * base * 2 >= 2**62 else np.int64)
    drawn = np.zeros((n, n))
    kept: list[Any] | None = [] if n * n * len(held) <= ENTRIES else None
    truncated = Fraction(0)
    for k, (groups, voters) in enumerate(held):
        twice, ties = _points(n, groups, unranked)
        points += int(voters * base) * twice
        drawn += float(voters) * ties
        truncated += voters if sum(map(len, groups)) < n else 0
        if kept is not None:
            i, j = np.nonzero(twice)
            kept.append((np.full(i.size, k), i, j, twice[i, j] / 2))
    wins = [[Fraction(int(x), 2 * base) for x in row] for row in points] if n <= EXACT_LIMIT else points / (2.0 * base)
    notes = () if not truncated else (_on_truncation(truncated, unranked),)
    blocks = None
    if kept is not None:
        voter, winner, loser, weight = (np.concatenate(part) for part in zip(*kept, strict=True))
        blocks = Ballots(voter, winner, loser, weight, np.array([float(voters) for _, voters in held]))
    return Table(wins, list(labels), "wins", votes=total, drawn=drawn, ballots=blocks, layout=layout, notes=notes)


def _on_truncation(voters: Fraction, unranked: str) -> str:
    how = "unranked candidates stand last" if unranked == "last" else "unranked candidates are uncompared"
    return f"{float(voters):,g} ballots do not rank everyone: {how}"


def _points(n: int, groups: Sequence[Sequence[int]], unranked: str) -> tuple[np.ndarray, np.ndarray]:
    """(twice the wins, ties) of one ballot, [n, n]."""
    place = np.full(n, len(groups), dtype=np.int64)
    for rank, group in enumerate(groups):
        place[list(group)] = rank
    seen = place < len(groups) if unranked == "uncompared" else np.ones(n, dtype=bool)
    both = np.logical_and.outer(seen, seen)
    np.fill_diagonal(both, False)
    ties = np.equal.outer(place, place) & both
    return 2 * (np.less.outer(place, place) & both).astype(np.int64) + ties, ties.astype(np.float64)


# -- tables of ballots -----------------------------------------------------------------------------------------------


def _rank_of(name: str) -> int | None:
    plain = word(re.sub(r"(?<=[a-z])(?=\d)", "_", name.strip().lower()))
    if plain.removesuffix("_choice") in ORDINALS:
        return ORDINALS[plain.removesuffix("_choice")]
    match = RANK.fullmatch(plain)
    return int(match[1] or match[2]) if match else None


def is_rank_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Are the columns named after ranks, with candidates in their cells?

    Errors: BadInput if the cells are the numbers 1 to n, which may be candidates or ranks of the column's candidate.
    """
    places = [i for i, name in enumerate(names) if _rank_of(name) is not None]
    ranks = sorted(_rank_of(names[i]) or 0 for i in places)
    if len(places) < 2 or ranks != list(range(ranks[0], ranks[0] + len(ranks))) or ranks[0] > 1:
        return False
    cells = [row[i] for row in rows for i in places if i < len(row) and row[i].lower() not in SKIPPED]
    if any(not is_numeric(cell) for cell in cells):
        return True
    if any(is_numeric(names[i]) for i in places) or not all(WHOLE_RANK.fullmatch(cell) for cell in cells):
        return False  # a matrix, or other numbers
    if cells and max(int(float(cell)) for cell in cells) <= len(places):
        raise BadInput(
            f"the cells of {names[places[0]]}, {names[places[1]]}, ... hold 1 to {len(places)}: are they numbers of "
            "candidates, or ranks of the candidate of the column? write the candidates' names"
        )
    return bool(cells)


def _weights(sheet: Sheet, options: Options) -> tuple[str | None, list[Fraction]]:
    asked = options.columns.get("weight")
    named = asked or next((x for x in sheet.names if word(x) in WEIGHTS and x not in options.ignore), None)
    if named is None:
        return None, [Fraction(1)] * sheet.rows
    number, column = sheet.number(named), sheet[named]
    values = {}
    for code in set(column.codes.tolist()):
        text = column.values[code]
        value = number(text) if text else None
        if value is not None and value < 0:
            raise sheet.fault(named, text, f"= {text}, must be at least 0")
        values[code] = value
    blank = [code for code, value in values.items() if value is None]
    if blank:
        raise sheet.fault(named, "", "is empty, must be a number")
    return named, [values[code] or Fraction(0) for code in column.codes.tolist()]


def rank_table(sheet: Sheet, options: Options) -> Table:
    """One ballot per row, one rank per column; a candidate who appears in no cell is unknown to the file."""
    columns = sorted((name for name in sheet.names if _rank_of(name) is not None), key=lambda x: _rank_of(x) or 0)
    columns = [name for name in columns if name not in options.ignore]
    weight, voters = _weights(sheet, options)
    passed = _others(sheet, [*columns, *([weight] if weight else [])], options)
    cells = [[sheet[name].values[code] for code in sheet[name].codes.tolist()] for name in columns]
    rows = [[cell for cell in row if cell.lower() not in SKIPPED] for row in zip(*cells, strict=True)]
    held = _who_is_in(rows, sheet)
    labels = sorted({label for group in held.values() for label in group})
    place = {label: i for i, label in enumerate(labels)}
    ballots = []
    for i, (row, times) in enumerate(zip(rows, voters, strict=True)):
        order = [label for cell in row for label in held[cell]]
        if len(set(order)) < len(order):
            twice = next(x for x in order if order.count(x) > 1)
            raise sheet.row_fault(i, f"ranks {twice!r} twice, must be at most once")
        ballots.append(Ballot(tuple(tuple(place[x] for x in held[cell]) for cell in row), times))
    table = counted(labels, ballots, options.unranked, f"rank table ({', '.join(columns[:3])}, ...)")
    return Table(**{**vars(table), "passed_over": passed})


def _who_is_in(rows: Sequence[Sequence[str]], sheet: Sheet) -> dict[str, list[str]]:
    """cell -> its candidates: one, or those tied by a cell such as ``a=b`` if they also have cells of their own."""
    known = {cell for row in rows for cell in row}
    held = {}
    for i, row in enumerate(rows):
        for cell in row:
            if cell.lower() == "overvote":
                raise sheet.row_fault(i, "holds 'overvote', must name one candidate in each cell")
            parts = TIED.split(cell)
            own = [part in known for part in parts]
            several = len(parts) > 1 and (any(own) if "=" in cell else all(own))
            if several and "=" not in cell:
                tie = "=".join(parts)[:60]
                raise sheet.row_fault(i, f"{cell[:60]!r} names several candidates: write a tie as {tie}")
            held[cell] = parts if several else [cell]
    return held


def _others(sheet: Sheet, used: Sequence[str], options: Options) -> tuple[str, ...]:
    """The other columns: ignored if they are text, voters or bookkeeping; unexplained numbers are refused by name."""
    others = tuple(name for name in sheet.names if name not in set(used))
    for name in others:
        known = name in options.ignore or PASSED.fullmatch(word(name)) or word(name) in VOTERS
        if not known and sheet.holds(name) == "numbers":
            raise BadInput(
                f"the column {name!r} holds numbers of unknown meaning: give it a role "
                f"(--columns weight={name}) or ignore it with --ignore {name}"
            )
    return others


def is_candidate_table(names: Sequence[str], rows: Sequence[Sequence[str]], options: Options) -> bool:
    """Are all columns except counts and voters ranks 1, 2, 3, ..., with a 1 in every row?"""
    places = [i for i, name in enumerate(names) if not _beside(name, options)]
    if len(places) < 2 or not rows or any(is_numeric(names[i]) or not names[i] for i in places):
        return False
    for row in rows:
        cells = [row[i] for i in places if i < len(row) and row[i].lower() not in MISSING]
        ranks = [WHOLE_RANK.fullmatch(cell) for cell in cells]
        if not cells or not all(ranks) or "1" not in [rank[1] for rank in ranks if rank]:
            return False
    return True


def _beside(name: str, options: Options) -> bool:
    plain = word(name)
    named = name in options.ignore or name in options.columns.values()
    return named or plain in WEIGHTS or plain in VOTERS or bool(PASSED.fullmatch(plain))


def candidate_table(sheet: Sheet, options: Options) -> Table:
    """One ballot per row, one candidate per column, with its rank in the cell (1 is best; empty: unranked)."""
    weight, voters = _weights(sheet, options)
    labels = [name for name in sheet.names if not _beside(name, options)]
    passed = _others(sheet, [*labels, *([weight] if weight else [])], options)
    ranks = np.zeros((sheet.rows, len(labels)), dtype=np.int64)
    for k, name in enumerate(labels):
        column, number = sheet[name], sheet.number(name)
        values = []
        for text in column.values:
            value = Fraction(0) if text.lower() in MISSING else number(text)
            if value.denominator != 1 or value < 0 or (value == 0 and text.lower() not in MISSING):
                raise sheet.fault(name, text, f"= {text}, must be a rank: 1, 2, 3, ... or nothing")
            values.append(min(value.numerator, 10**9))
        ranks[:, k] = np.array(values, dtype=np.int64)[column.codes]
    best = np.where(ranks > 0, ranks, 10**9).min(axis=1)
    bad = np.flatnonzero(((best != 1) & (best < 10**9)) | (ranks.max(axis=1) > len(labels)))
    if bad.size:
        raise sheet.row_fault(
            int(bad[0]), f"its ranks must start at 1 and end at most at {len(labels)}; are these scores?"
        )
    kinds, inverse = np.unique(ranks, axis=0, return_inverse=True)
    times = [Fraction(0)] * len(kinds)
    for kind, voter in zip(inverse.ravel().tolist(), voters, strict=True):
        times[kind] += voter
    ballots = []
    for row, number_of in zip(kinds.tolist(), times, strict=True):
        levels: list[int] = sorted(set(row) - {0})
        groups = tuple(tuple(i for i, rank in enumerate(row) if rank == level) for level in levels)
        ballots.append(Ballot(groups, number_of))
    table = counted(labels, ballots, options.unranked, "candidate table (a rank in each cell, 1 is best)")
    return Table(**{**vars(table), "passed_over": passed})


# -- one judge a row, one pair a column ------------------------------------------------------------------------------


def pairs_of(names: Sequence[str], options: Options) -> dict[str, tuple[str, str]]:
    """column -> the two responses in its name ("a:b", "a vs b", "a > b"), if several columns, or all but known ones,
    have such names."""
    found, others = {}, 0
    for name in names:
        match = PAIR.fullmatch(name)
        if match and match[1].strip("_ ") != match[2].strip("_ "):
            found[name] = (match[1].strip("_ "), match[2].strip("_ "))
        elif not (_beside(name, options) or not name):
            others += 1
    return found if len(found) > max(1, others) or not others else {}


def pair_table(sheet: Sheet, pairs: Mapping[str, tuple[str, str]], options: Options) -> Table:
    """1: the first of the pair wins, -1: the second, 0: a tie, empty: not judged.  A judge is resampled as a whole."""
    weight, times = _weights(sheet, options)
    passed = _others(sheet, [*pairs, *([weight] if weight else [])], options)
    index: dict[str, int] = {}
    for pair in pairs.values():
        for label in pair:
            index.setdefault(label, len(index))
    n = len(index)
    check_size(n)
    weights = np.array([float(x) for x in times])
    entries = []
    known = _numbers_of(sheet, pairs)
    wins = [[Fraction(0)] * n for _ in range(n)]
    drawn = np.zeros((n, n))
    for name, (a, b) in pairs.items():
        column = sheet[name]
        shares = [_share(sheet, name, text, (a, b), known) for text in column.values]
        i, j = index[a], index[b]
        for code, share in enumerate(shares):
            if share is None:
                continue
            rows = np.flatnonzero(column.codes == code)
            total = sum((times[row] for row in rows.tolist()), Fraction(0))
            wins[i][j] += share * total
            wins[j][i] += (1 - share) * total
            for better, worse, share_of in ((i, j, float(share)), (j, i, 1 - float(share))):
                if share_of:
                    size = rows.size
                    entries.append((rows, np.full(size, better), np.full(size, worse), np.full(size, share_of)))
            if share == Fraction(1, 2):
                drawn[i, j] += float(total)
                drawn[j, i] += float(total)
    if not entries:
        raise BadInput("holds no comparison, only a header")
    voter, winner, loser, part = (np.concatenate(x) for x in zip(*entries, strict=True))
    votes = sum((x for row in wins for x in row), Fraction(0))
    return Table(
        wins,
        list(index),
        "wins",
        votes=votes,
        ties=Fraction(float(drawn.sum() / 2)),
        drawn=drawn,
        ballots=Ballots(voter, winner, loser, part, weights),
        passed_over=passed,
        layout=f"one judge a row, one pair a column ({sheet.rows} judges)",
    )


HALF = Fraction(1, 2)
ENDS: dict[str, Fraction | int] = {"1": 1, "1.0": 1, ">": 1, "<": 0}
SIGNS = ENDS | {"+1": 1, "-1": 0, "-1.0": 0, "0": HALF, "0.0": HALF}
HALVES = ENDS | {"0": 0, "0.0": 0, "0.5": HALF, ".5": HALF, "1/2": HALF}


def _numbers_of(sheet: Sheet, pairs: Mapping[str, tuple[str, str]]) -> Mapping[str, Fraction | int]:
    """The meaning of numeric cells: 1, 0, -1, or 1, 1/2, 0 if some cell is a half.

    Where no cell says -1 or 1/2, a cell of 0 may be the second's win, or a tie: refused.
    """
    texts = {text for name in pairs for text in (sheet[name].values[code] for code in sheet[name].occurring())}
    if texts & {"0.5", ".5", "1/2"}:
        return HALVES
    if texts & {"0", "0.0"} and texts & {"1", "1.0", "+1"} and not texts & {"-1", "-1.0"}:
        raise BadInput(
            "its pairs hold 1 and 0 but never -1: is 0 a tie, or a win of the second? write -1 for the second, and "
            "'tie' for a tie"
        )
    return SIGNS


def _share(
    sheet: Sheet, name: str, text: str, pair: tuple[str, str], known: Mapping[str, Fraction | int]
) -> Fraction | None:
    """The first response's share of a judgment; None for an empty cell."""
    if text.lower() in MISSING - {"-"}:
        return None
    a, b = pair
    if text in pair:
        return Fraction(text == a)
    if word(text) in TIE_WORDS:
        return Fraction(1, 2)
    if text not in known:
        raise sheet.fault(name, text, f"{text[:40]!r} must be {_said(known, a, b)} or nothing")
    return Fraction(known[text])


def _said(known: Mapping[str, Fraction | int], a: str, b: str) -> str:
    least, tie = ("0", "0.5") if known is HALVES else ("-1", "0")
    return f"1 ({a} wins), {least} ({b} wins), {tie} (a tie)"

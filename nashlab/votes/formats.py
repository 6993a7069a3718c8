"""Chooses the reader of a file by its extension, else by its first bytes; for a table, by its columns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nashlab.files import read_source
from nashlab.game import BadInput, PreferenceGame, first_line
from nashlab.votes import ballots, elections, matrices, sheets
from nashlab.votes.build import Votes, votes_of
from nashlab.votes.logs import index_pairs, read_log
from nashlab.votes.reading import Options, Table, check_size
from nashlab.votes.roles import VOTERS, Roles, find_roles
from nashlab.votes.text import LONGEST, Delimited, as_text, open_delimited, unpacked

__all__ = ["BY_EXTENSION", "LAYOUTS", "parse_game", "parse_votes", "read_game", "read_votes"]

HEAD = 2**20  # first bytes of a file, which tell the size of the game before the rest is read
PACKED = (".gz", ".bz2", ".xz", ".zip")

LAYOUTS = (
    "a comparison log (winner,loser | model_a,model_b,winner | left,right,label | player1,player2,win1,win2 | ...)",
    "ballots (rank1,rank2,... | a column per candidate with ranks in the cells | a column per pair, a:b)",
    "a square matrix of probabilities, wins or margins, with or without names",
    "PrefLib, .cvotes, ABIF or BLT",
)


# -- text and bytes -> Table -----------------------------------------------------------------------------------------


def _npy(data: bytes, suffix: str, options: Options) -> Table:
    return matrices.npy_matrix(data)


def _arrow(data: bytes, suffix: str, options: Options) -> Table:
    return _by_columns(sheets.arrow_sheet(data, suffix), options)


def _preflib(data: bytes, suffix: str, options: Options) -> Table:
    return elections.preflib(as_text(data), suffix, options)


def _cvotes(data: bytes, suffix: str, options: Options) -> Table:
    return elections.cvotes(as_text(data), options)


def _abif(data: bytes, suffix: str, options: Options) -> Table:
    return elections.abif(as_text(data), options)


def _blt(data: bytes, suffix: str, options: Options) -> Table:
    return elections.blt(as_text(data), options)


def _json(data: bytes, suffix: str, options: Options) -> Table:
    text = as_text(data).lstrip()
    if text[:1] == "{" and _is_json_lines(text):
        return _json_lines(data, suffix, options)
    content = matrices.parsed_json(text)
    if isinstance(content, list) and content and all(isinstance(x, dict) for x in content):
        return _by_columns(sheets.records_sheet(content), options)
    if isinstance(content, list):
        content = {"matrix": content}
    if isinstance(content, dict) and (columns := _columns_of(content)):
        return _by_columns(columns, options)
    if not isinstance(content, dict):
        raise BadInput("must hold an object or a matrix")
    return matrices.json_object(content, options.kind)


FRAME = {"columns", "index", "data", "schema", "index_names", "column_names"}


def _columns_of(content: dict[str, Any]) -> sheets.Sheet | None:
    """{"winner": [...], "loser": [...]}: lists of one length under names that are not keys of a matrix.

    Also the objects that pandas makes of a frame: {"columns", "data"}, {"schema", "data"}, {"winner": {"0": ...}, ...}.
    """
    data, names = content.get("data"), content.get("columns")
    if isinstance(data, list) and data and set(content) <= FRAME:
        if all(isinstance(row, dict) for row in data):
            return sheets.records_sheet(data)
        if isinstance(names, list) and all(isinstance(row, list) and len(row) == len(names) for row in data):
            return sheets.records_sheet([dict(zip(map(str, names), row, strict=True)) for row in data])
    inner = [x for x in content.values() if isinstance(x, dict)]
    if inner and len(inner) == len(content) > 1:
        rows = list(inner[0])
        if any(list(x) != rows for x in inner) or not all(row.isdigit() for row in rows):
            raise BadInput(
                "holds objects in an object: are these rows or columns? write a list of records, or "
                '{"labels": [...], "wins": [[...]]}'
            )
        return sheets.records_sheet([{name: content[name][row] for name in content} for row in rows])
    lists = [x for x in content.values() if isinstance(x, list) and not any(isinstance(y, (list, dict)) for y in x)]
    if len(content) < 2 or len(lists) < len(content) or len({len(x) for x in lists}) > 1:
        return None
    if set(content) & {*matrices.KEYS, "matrix"}:
        return None
    return sheets.records_sheet([dict(zip(content, row, strict=True)) for row in zip(*lists, strict=True)])


def _is_json_lines(text: str) -> bool:
    """More than one line, the first a complete object."""
    first, _, rest = text.partition("\n")
    return first.rstrip().endswith("}") and rest.lstrip().startswith("{")


def _json_lines(data: bytes, suffix: str, options: Options) -> Table:
    return _by_columns(sheets.json_lines_sheet(as_text(data)), options)


def _delimited(data: bytes, suffix: str, options: Options) -> Table:
    """A comparison log, ballots or a matrix, recognised by the first row."""
    table = open_delimited(as_text(data))
    rows = table.rows()
    header = next(rows, None)
    if header is None:
        raise BadInput("holds no numbers")
    body = list(itertools.islice(rows, sheets.LOOK))
    roles = find_roles(header, _without_ignored(options, header))
    if options.columns or roles.complete:
        return _by_columns(sheets.delimited_sheet(table), options)
    if ballots.pairs_of(header, options) or ballots.is_rank_table(header, body):
        return _by_columns(sheets.delimited_sheet(table), options)
    every = _short(table)
    if every and _are_index_pairs(every, options.kind):
        return index_pairs(every)
    if every and options.kind is None and _is_candidate_table(every, options):
        return ballots.candidate_table(sheets.delimited_sheet(table), options)
    try:
        return matrices.delimited_matrix(table, options.kind)
    except BadInput as error:
        raise _unknown(header, every, error, roles) from None


def _without_ignored(options: Options, header: list[str]) -> Options:
    return Options(columns=options.columns, ignore=tuple(x for x in options.ignore if x in header))


SHORT = 20_000  # rows: up to here, ballots and pairs without a header are checked in full


def _short(table: Delimited) -> list[list[str]]:
    found = []
    for row in table.rows():
        found.append(row)
        if len(found) > SHORT * 50:
            return []
    return found


def _are_index_pairs(rows: list[list[str]], kind: str | None) -> bool:
    """Two columns of whole numbers, and not a matrix of two responses."""
    if kind is not None or len(rows) < 3 or any(len(row) != 2 for row in rows):
        return False
    if not all(re.fullmatch(r"\d{1,9}", cell) for row in rows for cell in row):
        return False
    if len(rows) == 3 and rows[1][0] == rows[2][1] == "0" and rows[0][0] != rows[0][1]:
        raise BadInput(
            "may be three index pairs (winner, loser) or a matrix with numbers for names: write the header "
            "winner,loser or say --kind wins"
        )
    return True


def _is_candidate_table(rows: list[list[str]], options: Options) -> bool:
    """Ranks in every row, and not a square matrix with an empty diagonal."""
    header, body = rows[0], rows[1:]
    if not ballots.is_candidate_table(header, body, options):
        return False
    beside = any(ballots._beside(name, options) for name in header)
    square = len(header) == len(body) and all(i < len(row) and row[i] in ("", "0") for i, row in enumerate(body))
    return beside or not square


def _unknown(header: list[str], rows: list[list[str]], error: BadInput, roles: Roles) -> BadInput:
    """The error for an unknown table: the matrix's fault if it looks like a matrix, else the known layouts."""
    text = str(error)
    names = [cell for cell in header if cell and not matrices._numberlike(cell)]
    sides = [header.index(x) for x in (roles.first, roles.second) if x in header]
    if len(sides) == 2 and all(i < len(row) and not matrices._numberlike(row[i]) for row in rows[1:] for i in sides):
        return _without_outcome(roles)
    if _are_voters(header, rows[1:]):
        return BadInput(
            f"its rows ({rows[1][0]}, ...) and its columns ({', '.join(header[1:])[:80]}) name different things, must "
            "be the same responses in a matrix; votes on candidates are read where each cell is a rank (1 is best) or "
            "empty, scores and approvals are not: turn them into ranks"
        )
    looks_square = abs(len(rows) - len(header)) <= 1 and "must be square" not in text
    inner = [cell for row in rows[1:] for cell in row[1:]]
    looks_square &= 2 * sum(map(matrices._numberlike, inner)) >= len(inner)
    if looks_square or len(names) < 2 or "totals" in text or "rows (" in text:
        return error
    return BadInput(
        f"its columns ({', '.join(header)[:120]}) are no known layout: {'; '.join(LAYOUTS)}; name the roles of "
        "columns by --columns winner=W,loser=L"
    )


def _without_outcome(roles: Roles) -> BadInput:
    return BadInput(
        f"{roles.first} and {roles.second} are two sides, but no known column holds the outcome: name it "
        "by --columns winner=W, or p=P for the probability that the first wins"
    )


def _are_voters(header: list[str], body: list[list[str]]) -> bool:
    """Rows that begin with the name or number of a voter, followed by numbers for two candidates or more."""
    top = header[1:]
    if not top or any(map(matrices._numberlike, top)):
        return False
    first = {row[0].strip() for row in body if row}
    cells = [cell for row in body for cell in row[1:]]
    numbers = all(matrices._numberlike(cell) or not cell.strip() for cell in cells)
    wide = len(top) > 1 and all(len(row) == len(header) for row in body)
    voters = sheets.word(header[0]) in VOTERS or not any(map(matrices._numberlike, first))
    return bool(body) and wide and numbers and voters and len(first) == len(body) and first.isdisjoint(top)


def _by_columns(sheet: sheets.Sheet, options: Options) -> Table:
    """The layout that matches the names of the columns."""
    for name in options.ignore:
        if name not in sheet.names:
            from nashlab.game import suggestion

            raise BadInput(f"ignore: the file has no column {name!r}{suggestion(name, sheet.names)}")
    if options.kind == "payoff":
        return _matrix_of(sheet, options)
    roles = find_roles(sheet.names, options)
    if roles.complete:
        return read_log(sheet, roles, options)
    if pairs := ballots.pairs_of(sheet.names, options):
        return ballots.pair_table(sheet, pairs, options)
    rows = [[*cells] for cells in zip(*(sheet._head(i) for i in range(len(sheet.names))), strict=True)]
    if ballots.is_rank_table(sheet.names, rows):
        return ballots.rank_table(sheet, options)
    if ballots.is_candidate_table(sheet.names, rows, options):
        return ballots.candidate_table(sheet, options)
    if options.columns:
        raise BadInput("columns: give winner and loser, or first and second with winner or p")
    if roles.first and roles.second:
        raise _without_outcome(roles)
    if _is_square(sheet):
        return _matrix_of(sheet, options)
    raise BadInput(
        f"its columns ({', '.join(map(str, sheet.names))[:120]}) are no known layout: {'; '.join(LAYOUTS)}; "
        "name the roles of columns by --columns winner=W,loser=L"
    )


def _is_square(sheet: sheets.Sheet) -> bool:
    return sheet.rows in (len(sheet.names), len(sheet.names) - 1)


def _matrix_of(sheet: sheets.Sheet, options: Options) -> Table:
    """A matrix given as columns: a data frame in a parquet file, or a list of records."""
    index = [name for name in sheet.names if name.startswith("__index_level_")]  # where pandas stores the row names
    names = [*index, *(name for name in sheet.names if name not in index)]
    columns = [[sheet[name].values[code] for code in sheet[name].codes.tolist()] for name in names]
    header = ["" if name in index else name for name in names]
    lines = [header, *(list(row) for row in zip(*columns, strict=True))]
    import csv
    import io

    stream = io.StringIO()
    csv.writer(stream).writerows(lines)
    return matrices.delimited_matrix(Delimited(stream.getvalue(), ","), options.kind)


Reader = Callable[[bytes, str, Options], Table]

BY_EXTENSION: dict[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".tab", ".dat"), _delimited),
    ".json": _json,
    **dict.fromkeys((".jsonl", ".ndjson"), _json_lines),
    ".npy": _npy,
    **dict.fromkeys((".parquet", ".pq", ".arrow", ".arrows", ".feather", ".ipc"), _arrow),
    **dict.fromkeys((".soc", ".soi", ".toc", ".toi", ".cat", ".wmd", ".wmg"), _preflib),
    ".cvotes": _cvotes,
    ".abif": _abif,
    ".blt": _blt,
}


def _reader(data: bytes, suffix: str) -> Reader:
    if data.startswith(b"\x93NUMPY"):
        return _npy
    if data.startswith((b"PAR1", b"ARROW1")):
        return _arrow
    known = BY_EXTENSION.get(suffix, _delimited)
    if known is not _delimited:
        return known
    head = data[:4096].decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if head.startswith("# FILE NAME") or re.match(r"# (TITLE|DATA TYPE)\b", head):
        return _preflib
    if head.startswith("#/"):
        return _cvotes
    if head[:1] in ("{", "["):
        return _json
    return _delimited


# -- public functions ------------------------------------------------------------------------------------------------


def read_votes(source: str, options: Options | None = None, **given: Any) -> Votes:
    """The votes in a file, or in standard input for ``-``: the game, how it was understood, and the counts behind it.

    given  fields of :class:`Options` (kind, fill, columns, ignore, unranked, weigh, symmetrise, min_votes).

    Errors: BadInput naming file, entry and rule.
    """
    options = options or Options(**given)
    path = Path("standard input" if source == "-" else source)
    suffix = path.suffix.lower()
    try:
        data = read_source(source, LONGEST)
        head = data[:HEAD]
        if not head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"PK\x03\x04", b"PAR1", b"ARROW1")):
            check_size(matrices.declared_size(head, suffix, BY_EXTENSION.get(suffix) is _preflib))
    except BadInput as error:
        raise BadInput(f"{path.name}: {error}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{source}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return parse_votes(data, path.name, suffix, options)


def parse_votes(data: bytes, name: str, suffix: str, options: Options | None = None, **given: Any) -> Votes:
    """The votes in the bytes of a file; an unknown or missing suffix is resolved by the content."""
    options = options or Options(**given)
    try:
        inner = Path(name).with_suffix("").suffix.lower() if suffix in PACKED else ""
        data, suffix = unpacked(data, suffix, inner)
        if not data.strip():
            raise BadInput("is empty")
        table = _reader(data, suffix)(data, suffix, options)
        return votes_of(table, name, options)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None
    except (ValueError, OverflowError) as error:  # Python parses no integer of more than 4,300 digits
        raise BadInput(f"{name}: holds a number that is too long ({first_line(error)})") from None


def read_game(source: str, **given: Any) -> PreferenceGame:
    """The game in a file, or in standard input for ``-``; the reference is uniform unless the file states one.

    given  fields of :class:`Options`.  Errors: BadInput naming file, entry and rule.
    """
    return read_votes(source, **given).game


def parse_game(data: bytes, name: str, suffix: str, **given: Any) -> PreferenceGame:
    """The game in the bytes of a file; an unknown or missing suffix is resolved by the content.

    >>> parse_game(b"0.5,0.7\\n0.3,0.5", "example", ".csv").exact[0][1]
    Fraction(1, 5)
    """
    return parse_votes(data, name, suffix, **given).game

"""Matrices of probabilities, wins or margins: delimited text with or without names, JSON, NumPy files.

,a,b,c          names above, on the left, on both sides (rows in any order) or nowhere
a,0,7,1         the diagonal: 0, ½, or empty ("", NaN, NA, -)
b,3,0,6         a cell and its mirror image both empty: a pair that never met
c,9,4,0
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.game import MEMORY_LIMIT, BadInput, suggestion, too_large
from nashlab.votes.logs import EXACT_LIMIT
from nashlab.votes.reading import KINDS, Kind, Table, check_size
from nashlab.votes.text import LARGEST, MISSING, Delimited, is_numeric, parse_number

__all__ = ["declared_size", "delimited_matrix", "json_object", "kind_of", "npy_matrix"]

TOTALS = re.compile(r"all|total|totals|sum|margin|margins|gesamt|grand total|insgesamt|Σ", re.IGNORECASE)
MEANS = re.compile(r"average|averages|avg|mean|means|overall|durchschnitt|mittel|moyenne|Ø", re.IGNORECASE)
LOSERS_FIRST = re.compile(r"\W*(los\w+|beaten|defeated)\b.*(win\w*|beat\w*|victor\w*)\W*", re.IGNORECASE)
KEYS = ("labels", "weights", "reference", *KINDS)


# -- delimited text --------------------------------------------------------------------------------------------------


def delimited_matrix(table: Delimited, kind: str | None = None) -> Table:
    """A square matrix; its shape tells which borders are names.  ``kind="payoff"`` need not be square."""
    first = next(table.rows(), None)
    if first is None:
        raise BadInput("holds no numbers")
    top, left = _borders(table.rows(), kind == "payoff")
    if top and left and len(first) > len(top) and LOSERS_FIRST.fullmatch(first[0]):
        raise BadInput(f"the corner, {first[0]!r}, says that rows lose to columns: transpose the table")
    for what, names in (("column", top), ("row", left)):
        if names and "" in names:
            raise BadInput(f"{what} {names.index('') + 1} has no name, must have one like the others")
    start = 0 if left is None else 1
    _refuse_totals(table, top, left, start)
    width = len(first) - start if top is None else len(top)
    body = table.rows()
    if top is not None:
        next(body)
    rows = ([table.number_text(cell) for cell in row[start:]] for row in body)
    if kind == "payoff":
        return payoff_cells(list(rows), left, top)
    if top and left and len(top) != len(left):
        raise BadInput(f"has {len(left)} rows ({left[-1]!r}) and {len(top)} columns ({top[-1]!r}), must be square")
    order = _row_order(top, left)
    cells = _numbers(rows, width)
    if order is not None:
        cells = [cells[i] for i in order] if isinstance(cells, list) else cells[order]
    note = () if order is None else ("rows were put in the order of the columns",)
    return Table(cells, top or left, notes=note)


def payoff_cells(rows: Sequence[Sequence[str]], left: Sequence[str] | None, top: Sequence[str] | None) -> Table:
    """A payoff matrix [m, k] with its names, unchanged."""
    m, k = len(rows), len(rows[0]) if rows else 0
    if m == 0 or k == 0:
        raise BadInput("holds no numbers")
    for i, row in enumerate(rows):
        if len(row) != k:
            raise BadInput(f"row {i + 1} has {len(row)} cells, must have {k} like the first")
    cells = [[parse_number(x, f"row {i + 1}, column {j + 1}") for j, x in enumerate(row)] for i, row in enumerate(rows)]
    names = [*(left or [f"row {i + 1}" for i in range(m)]), *(top or [f"column {j + 1}" for j in range(k)])]
    return Table(cells, names, "payoff", layout=f"payoff matrix, {m} rows and {k} columns")


def _row_order(top: Sequence[str] | None, left: Sequence[str] | None) -> list[int] | None:
    """The row of each column's response; None if the orders agree."""
    if not top or not left or list(top) == list(left):
        return None
    for names in (top, left):
        if len(set(names)) < len(names):
            return None  # the game will refuse the duplicate label
    absent = [name for name in top if name not in set(left)]
    if absent:
        strange = [name for name in left if name not in set(top)]
        i, j = top.index(absent[0]), left.index(strange[0])
        raise BadInput(
            f"column {i + 1} is called {absent[0]!r} and row {j + 1} {strange[0]!r}, must be the same response"
        )
    return [left.index(name) for name in top]


def _borders(rows: Iterable[list[str]], oblong: bool = False) -> tuple[list[str] | None, list[str] | None]:
    """(labels above the columns, labels left of the rows) of a table, None for a missing border.

    In a square table with an empty corner the border may be names or numbers: it is labels if it is not numeric, if it
    reads the same above and left, or if the diagonal has a filled cell.
    """
    first: list[str] = []
    left: list[str] = []
    diagonal = False  # whether any of its cells is filled
    for i, row in enumerate(rows):
        first = first or row
        if len(row) != len(first):
            raise BadInput(f"row {i + 1} has {len(row)} cells, must have {len(first)} like the first")
        left.append(row[0])
        diagonal = diagonal or (i < len(row) and bool(row[i]))
    height, width = len(left), len(first)
    corner = height > 1 and width > 1 and not (first[0] and _numberlike(first[0]))
    if oblong and corner and all(map(_numberlike, first[1:])) and all(map(_numberlike, left[1:])):
        return first[1:], left[1:]  # numbers as names, below and right of a corner
    if oblong:
        above = any(not _numberlike(cell) for cell in first[1:])
        beside = any(not _numberlike(cell) for cell in left[1:])
        return (first[1:] if beside else first) if above else None, (left[1:] if above else left) if beside else None
    above = any(cell and not _numberlike(cell) for cell in first[1:])
    beside = any(cell and not _numberlike(cell) for cell in left[1:])
    if abs(height - width) == 1 and above and beside and height > 1 and width > 1:
        return first[1:], left[1:]  # one row or column too many: totals, if its name or its sums say so
    if height == width + 1:
        return first, None
    if width == height + 1 and not above:
        return None, left
    border = first[1:] + left[1:]
    named = any(cell and not _numberlike(cell) for cell in border) or (bool(first[0]) and not _numberlike(first[0]))
    if height != width:
        raise BadInput(f"has {height} rows and {width} columns, must be square")
    alike = first[1:] == left[1:] and len(set(first)) == width
    if height == 2 and diagonal and not named and not first[0]:
        raise BadInput("row 1, column 1 is empty and row 2, column 2 is not: fill both, or neither")
    if height > 1 and (named or (not first[0] and (alike or diagonal))):
        return first[1:], left[1:]
    return None, None


def _numberlike(cell: str) -> bool:
    return is_numeric(cell.replace(",", ".")) or cell.lower() in MISSING


def _refuse_totals(table: Delimited, top: Sequence[str] | None, left: Sequence[str] | None, start: int) -> None:
    """Refuse a last row or column that sums up the others, under any name: totals are not a response."""
    body = list(table.rows()) if top or left else []
    if len(body) > EXACT_LIMIT + 1:
        return
    rows = [row[start:] for row in (body[1:] if top is not None else body)]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else []
    for what, names, lines in (("row", left, rows), ("column", top, columns)):
        if names and len(lines) > 2 and len(names) == len(lines):
            other = columns if what == "row" else rows
            sums = [_total_of(table, line[:-1]) == _number(table, line[-1]) for line in other[: len(lines) - 1]]
            if all(sums) and (len(lines) > 3 or TOTALS.fullmatch(names[-1])):
                raise BadInput(
                    f"the last {what}, {names[-1]!r}, is the sum of the others: totals are no response; leave them out"
                )
            if MEANS.fullmatch(names[-1]) and all(_mean_of(table, line) for line in other[: len(lines) - 1]):
                raise BadInput(f"the last {what}, {names[-1]!r}, is the mean of the others: leave it out")
            if TOTALS.fullmatch(names[-1]) and len(rows) != len(columns):
                raise BadInput(f"the last {what}, {names[-1]!r}, has no counterpart: totals are no response")


def _number(table: Delimited, cell: str) -> Fraction | None:
    text = table.number_text(cell)
    return None if text.lower() in MISSING or not is_numeric(text) else parse_number(text, "totals")


def _mean_of(table: Delimited, line: Sequence[str]) -> bool:
    """Is the last cell the mean of the others, to a hundredth of the largest?"""
    *cells, last = (_number(table, cell) for cell in line)
    known: list[Fraction] = [x for x in cells if x is not None]
    return (
        last is not None
        and bool(known)
        and abs(last - sum(known, Fraction(0)) / len(known)) * 100 <= max(map(abs, known))
    )


def _total_of(table: Delimited, cells: Sequence[str]) -> Fraction | None:
    numbers = [_number(table, cell) for cell in cells]
    known = [x for x in numbers if x is not None]
    return sum(known, Fraction(0)) if len(known) >= len(cells) - 1 and any(known) else None


def _numbers(rows: Iterable[Sequence[Any]], n: int, where: str = "") -> Any:
    """n rows of n texts as Fractions (an empty cell is None), or as float64 (NaN) beyond the exact limit.

    ``rows`` may be an iterator, so that a large table is never held as text cells.
    """
    if n > EXACT_LIMIT:
        check_size(n)
        values = np.zeros((n, n))
        for i, row in enumerate(rows):
            values[i] = [float(x) if x is not None else np.nan for x in _row(row, i, where)]
        return values
    return [_row(row, i, where) for i, row in enumerate(rows)]


def _row(row: Sequence[Any], i: int, where: str) -> list[Fraction | None]:
    return [
        None
        if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)
        else parse_number(cell if isinstance(cell, str) else repr(cell), f"{where}row {i + 1}, column {j + 1}")
        for j, cell in enumerate(row)
    ]


# -- JSON ------------------------------------------------------------------------------------------------------------


def json_object(content: Mapping[str, Any], kind: str | None = None) -> Table:
    """{"preferences" | "wins" | "margins" | "payoff": [[...]] or [[[...]]], labels?, weights?, reference?}, numbers as
    text.  An unknown key is refused with the nearest known one."""
    for key in content:
        if key not in (*KEYS, "matrix"):
            raise BadInput(f"the key {key!r} is unknown{suggestion(key, KEYS)} (known: {', '.join(KEYS)})")
    given = [k for k in KINDS if k in content]
    if len(given) > 1 or (not given and "matrix" not in content):
        raise BadInput(f"has {' and '.join(given) or 'no matrix'}, must have one of {', '.join(KINDS)}")
    labels = content.get("labels")
    if labels is not None and not (isinstance(labels, list) and all(isinstance(x, str) for x in labels)):
        raise BadInput("labels must be a list of names")
    extra = {key: _values(content[key], key) for key in ("reference", "weights") if content.get(key) is not None}
    matrix = content[given[0] if given else "matrix"]
    if (given and given[0] == "payoff") or (not given and kind == "payoff"):
        if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
            raise BadInput("the matrix must be a list of rows")
        rows = [[x if isinstance(x, str) else repr(x) for x in row] for row in matrix]
        table = payoff_cells(rows, None, None)
        names = labels if labels is not None else table.labels
        return Table(table.cells, names, "payoff", extra, table.layout)
    cells = _nested(matrix)
    return Table(cells, labels, given[0] if given else None, extra, layout="JSON matrix")


def _nested(matrix: Any) -> Any:
    """[[...]] exactly, [[[...]]] as float64."""
    if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
        raise BadInput("the matrix must be a list of rows")
    if matrix and all(row and all(isinstance(x, list) for x in row) for row in matrix):
        prompts = [_square(prompt, f"prompt {x}, ") for x, prompt in enumerate(matrix)]
        if len({len(rows) for rows in prompts}) > 1:
            raise BadInput("every prompt must have as many responses as the first (pad it, with reference 0)")
        for x, rows in enumerate(prompts):
            for i, row in enumerate(rows):
                for j, cell in enumerate(row):
                    if i != j and (cell is None or cell != cell):
                        raise BadInput(f"prompt {x}, row {i + 1}, column {j + 1}: is empty, must be a number")
        return np.array([[[float(x or 0) for x in row] for row in rows] for rows in prompts])
    return _square(matrix, "")


def _square(rows: list[Any], where: str) -> Any:
    n = len(rows)
    for i, row in enumerate(rows):
        if len(row) != n:
            raise BadInput(f"{where}row {i + 1} has {len(row)} entries, must have {n} like the number of rows")
    return _numbers(rows, n, where)


def _values(value: Any, argument: str) -> Any:
    """A list of numbers as exact Fractions, or an array of such lists."""
    if not isinstance(value, list) or not value:
        raise BadInput(f"{argument} must be a list of numbers")
    if all(isinstance(row, list) for row in value):
        parts = [_values(row, argument) for row in value]
        if len({len(part) for part in parts}) > 1 or np.ndim(parts[0]) > 1:
            raise BadInput(f"{argument} must hold rows of equal length")
        return np.array(parts, dtype=np.float64)
    return [parse_number(x if isinstance(x, str) else repr(x), f"{argument}[{i}]") for i, x in enumerate(value)]


def parsed_json(text: str) -> Any:
    """A JSON value whose numbers are still text, so that 0.1 is exactly a tenth."""
    try:
        return json.loads(text.lstrip("\ufeff"), parse_float=str, parse_int=str, parse_constant=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"is not JSON ({error})") from None


# -- NumPy -----------------------------------------------------------------------------------------------------------


def npy_matrix(data: bytes) -> Table:
    """A 2-D or 3-D array, never pickled; in half and single precision P + Pᵀ may differ from 1 by rounding."""
    shape, dtype = _npy_header(data)
    if dtype.kind not in "iuf":
        raise BadInput(f"holds {dtype}, must hold real numbers")
    count = float(np.prod([float(k) for k in shape]))
    if len(shape) >= 2 and 8 * count > MEMORY_LIMIT:
        raise too_large(int(shape[-1]))
    if dtype.itemsize * count > len(data):
        raise BadInput(f"is cut off: shape {shape} needs more bytes than there are")
    try:
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a broken file can make the format module raise anything
        raise BadInput(f"is not a NumPy array file ({error})") from None
    coarse = array.dtype.kind == "f" and array.dtype.itemsize < 8  # the game allows for their rounding
    if (array.dtype.kind == "f" and not coarse) or (array.dtype.kind != "f" and array.size > EXACT_LIMIT**2):
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # overflow becomes inf or nan, which is refused
            array = array.astype(np.float64)
    return Table(array, layout="NumPy array")


def _npy_header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except Exception as error:  # a broken header can make the format module raise anything
        raise BadInput(f"is not a NumPy array file ({error})") from None
    return shape, dtype


# -- what the numbers mean, and how many there are ------------------------------------------------------------------


def kind_of(values: NDArray[np.float64]) -> Kind:
    """Probabilities have ½ on the diagonal, margins are negative somewhere, win counts are neither; NaN is empty.

    Without a diagonal, non-integers in [0, 1] whose pairs add up to about 1 are also probabilities.
    """
    if values.ndim not in (2, 3) or values.shape[-1] != values.shape[-2] or values.size == 0:
        raise BadInput(f"the matrix has shape {values.shape}, must be square ([n, n] or [X, n, n], n ≥ 1)")
    diagonal = np.diagonal(values, axis1=-2, axis2=-1)
    empty = np.isnan(diagonal)
    if np.all(diagonal == 0.5):
        return "preferences"
    if not np.all(empty) and np.any((diagonal != 0) & ~empty):
        where = tuple(int(k) for k in np.argwhere((diagonal != 0) & ~empty)[0])
        entry = ", ".join(map(str, (*where, where[-1])))
        raise BadInput(
            f"matrix[{entry}] = {diagonal[where]:g}: a diagonal of ½ means probabilities, of 0 (or empty) margins or "
            "win counts; this is neither"
        )
    off = np.where(np.eye(values.shape[-1], dtype=bool), np.nan, values)
    seen = off[~np.isnan(off)]
    if values.size > 1 and seen.size and not np.any(seen):
        raise BadInput("the matrix is all zero: margins of a tie, or no comparison at all? say which with --kind")
    if np.any(seen < 0) or values.size == 1:
        return "margins"
    totals = (off + np.swapaxes(off, -1, -2))[~np.isnan(off + np.swapaxes(off, -1, -2))]
    if seen.size and np.all(seen <= 1) and np.any(seen != np.round(seen)) and np.all(np.abs(totals - 1) < 0.1):
        return "preferences"
    return "wins"


def declared_size(head: bytes, suffix: str, preflib: bool) -> int:
    """A lower bound for the number of responses from the first bytes of a file; 0 if they do not tell."""
    if head.startswith(b"\x93NUMPY"):
        shape = _npy_header(head)[0]
        return int(shape[-1]) if len(shape) >= 2 else 0
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if preflib or text.startswith("# FILE NAME"):
        declared = re.search(r"^# NUMBER ALTERNATIVES: *(\d{1,18})", text, re.MULTILINE)
        return int(declared[1]) if declared else 0
    if text[:1] in ("{", "["):
        row = re.search(r"\[\s*\[[^\[\]{}]*", text)
        return row[0].count(",") + 1 if row else 0
    line = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=line.count)
    if delimiter not in line:
        return len(line.split())
    return line.count(delimiter) + (not line.startswith(delimiter))  # an empty corner is not a response


def cells_as_floats(cells: Any) -> NDArray[np.float64]:
    """Cells as float64, NaN for empty ones; refused if one is infinite or too large to be added to another."""
    if not isinstance(cells, np.ndarray):
        cells = [[np.nan if x is None else float(x) for x in row] for row in cells]
    values = np.asarray(cells, dtype=np.float64)
    bad = ~(np.abs(values) < LARGEST) & ~np.isnan(values)
    if np.any(bad):
        i = tuple(int(k) for k in np.argwhere(bad)[0])
        entry = ", ".join(map(str, i))
        raise BadInput(f"matrix[{entry}] = {values[i]:g}, must be finite and below 1e300 in size")
    return values


def text_rows(text: str) -> Iterator[str]:
    """Lines that are not blank."""
    return (line.strip() for line in text.splitlines() if line.strip())

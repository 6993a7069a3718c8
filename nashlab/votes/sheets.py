"""Columns of a table of votes, from any kind of file, each as codes of its distinct texts.

    CSV with any delimiter, JSON lines, JSON records, parquet, Arrow  ->  Sheet(names, columns)

A column of 1.5 million cells has few distinct texts; parsing applies to those, arithmetic to the codes.
"""

from __future__ import annotations

import datetime
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput, first_line
from nashlab.votes.columns import arrow_bytes, parquet_bytes
from nashlab.votes.text import MISSING, Delimited, check_unpacked, csv_rows, is_numeric, parse_number

__all__ = [
    "Column",
    "Sheet",
    "Whole",
    "arrow_sheet",
    "delimited_sheet",
    "json_lines_sheet",
    "records_sheet",
    "word",
    "words",
]

Codes = NDArray[np.int64]
LOOK = 1000  # rows that can show that a column is text, before all of it is checked
BLOCK = 2**24  # bytes: the longest row that the table reader accepts
NULL_ROW = re.compile(r"(?:\A|[\r\n}])\s*null")  # in an object, a colon, comma or bracket is before it
SAFE = 2**53  # integers up to here are exact in float64 too


class Whole(NamedTuple):
    """Exact numbers as integer multiples of 1/denominator, [rows]; Python integers if int64 is too small."""

    values: NDArray[Any]
    denominator: int


class Column(NamedTuple):
    """codes [rows] into ``values``, distinct stripped texts; a missing cell is the empty text."""

    codes: Codes
    values: list[str]

    def whole(self, parse: Callable[[str], Fraction]) -> Whole:
        """Each cell as a number by ``parse``, exactly; raises the parser's BadInput for a text that occurs."""
        numbers = [Fraction(0)] * len(self.values)
        for code in self.occurring():
            numbers[code] = parse(self.values[code])
        whole = whole_numbers(numbers)
        return Whole(whole.values[self.codes], whole.denominator)

    def occurring(self) -> list[int]:
        """The codes that occur, in order."""
        return [int(code) for code in np.flatnonzero(np.bincount(self.codes, minlength=len(self.values)))]

    def rows_of(self, texts: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Which cells hold a text that satisfies ``texts``, [rows]."""
        return np.array([texts(value) for value in self.values], dtype=bool)[self.codes]


def whole_numbers(numbers: Sequence[Fraction]) -> Whole:
    """Fractions over their common denominator.

    >>> whole_numbers([Fraction(1, 2), Fraction(2)]).values.tolist()
    [1, 4]
    """
    import math

    denominator = math.lcm(1, *(x.denominator for x in numbers))
    values = [x.numerator * (denominator // x.denominator) for x in numbers]
    small = max((abs(x) for x in values), default=0) < SAFE
    return Whole(np.array(values, dtype=np.int64 if small else object), denominator)


class Sheet:
    """A table of named columns.

    names   as in the file, all different;  rows  their number;  exact  False if numbers came as doubles.
    """

    def __init__(
        self,
        names: Sequence[str],
        rows: int,
        read: Callable[[int], Column],
        head: Callable[[int], list[str]],
        *,
        exact: bool = True,
        first_row: int = 1,
        number_text: Callable[[str], str] = str,
    ):
        self.names, self.rows, self.exact = tuple(names), rows, exact
        self.row_offset, self.number_text = first_row, number_text
        self._read, self._head = read, head
        self._known: dict[str, Column] = {}
        if len(set(self.names)) != len(self.names):
            twice = next(x for x in self.names if self.names.count(x) > 1)
            raise BadInput(f"the column {twice!r} occurs more than once, names must differ")

    def __getitem__(self, name: str) -> Column:
        if name not in self._known:
            self._known[name] = self._read(self.names.index(name))
        return self._known[name]

    def number(self, name: str, row: int | None = None) -> Callable[[str], Fraction]:
        """A parser of a column's cells, which names the column (and the first row of a bad cell)."""

        def parse(text: str) -> Fraction:
            try:
                return parse_number(self.number_text(text), "")
            except BadInput as error:
                raise self.fault(name, text, str(error)) from None

        return parse

    def blank_rows(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Lines that are empty in these columns."""
        blank = np.ones(self.rows, dtype=bool)
        for name in names:
            blank &= self[name].rows_of(lambda text: not text)
        return blank

    def fault(self, name: str, text: str, why: str) -> BadInput:
        """The error for a cell: row and column, and the rule."""
        column = self[name]
        rows = np.flatnonzero(column.codes == column.values.index(text)) if text in column.values else np.zeros(1)
        return self.row_fault(
            int(rows[0]) if rows.size else 0, f"{name} {why}" if why.startswith("= ") else f"{name}: {why}"
        )

    def row_fault(self, row: int, why: str) -> BadInput:
        """The error for a row, counted from 1 below the header."""
        return BadInput(f"judgment {row + self.row_offset}: {why}")

    def holds(self, name: str) -> str:
        """ "empty", "numbers", "marks" (true and false, or ties among other words) or "text"."""
        place = self.names.index(name)
        if any(_is_text(x) for x in self._head(place)) and not _may_be_marks(self._head(place)):
            return "text"
        values = [x for x in self[name].values if x.lower() not in MISSING]
        if not values:
            return "empty"
        if all(is_numeric(x) or is_numeric(x.replace(",", "")) for x in values):
            return "numbers"
        return "marks" if _may_be_marks(values) else "text"


def words(text: str) -> tuple[str, ...]:
    """A vocabulary; "|" is the empty word.

    >>> words("model | item")
    ('model', '', 'item')
    """
    return tuple("" if x == "|" else x for x in text.split())


DOT = re.compile(r"(?<=[^\W\d])\.(?=\w)")  # R's names use points instead of underscores
TRUTH = {"true", "false", "yes", "no", "t", "f", "y", "n"}
TIE_WORDS = set(
    words(
        "tie ties tied draw drawn both_bad bothbad tie_(bothbad) tie_(both_bad) equal both neither same "
        "no_preference = both_good tie_(both_good) bothgood tie_bothbad tie_both_bad toss_up equally_good "
        "equally_bad about_the_same undecided indifferent stalemate"
    )
)


def word(text: str) -> str:
    """A text in the form for comparing names: lower case, underscores.

    >>> word(" Model-A "), word("home.wins"), word("tie (bothbad)"), word("1.0")
    ('model_a', 'home_wins', 'tie_(bothbad)', '1.0')
    """
    plain = DOT.sub(" ", text.strip().lower()).replace("-", " ").replace("_", " ")
    return "_".join(plain.split()) or text.strip()


def _is_text(cell: str) -> bool:
    return cell.lower() not in MISSING and not is_numeric(cell.replace(",", "."))


def _may_be_marks(values: Sequence[str]) -> bool:
    """Few words, true and false or one of them a tie: they may be outcomes."""
    words = {word(x) for x in values} - {""}
    return 0 < len(words) <= 8 and (words <= TRUTH or bool(words & TIE_WORDS))


# -- from files ------------------------------------------------------------------------------------------------------


def _encoded(cells: Sequence[str] | list[Any]) -> Column:
    index: dict[str, int] = {}
    codes = np.fromiter((index.setdefault(cell, len(index)) for cell in cells), dtype=np.int64, count=len(cells))
    return _stripped(codes, list(index))


def _stripped(codes: Codes, values: list[str]) -> Column:
    """Texts without surrounding white space; those that become equal are merged."""
    stripped = [value.strip() for value in values]
    index = {value: i for i, value in enumerate(dict.fromkeys(stripped))}
    if len(index) == len(values):
        return Column(codes, stripped)
    merged = np.array([index[value] for value in stripped], dtype=np.int64)
    return Column(merged[codes], list(index))


def delimited_sheet(table: Delimited) -> Sheet:
    """The columns below the first row that is not blank."""
    if table.delimiter == " ":
        rows = list(table.rows())
        return _sheet_of_rows(rows, table)
    import pyarrow
    from pyarrow import csv

    pyarrow.set_cpu_count(2)
    try:
        whole = csv.read_csv(
            io.BytesIO(table.text.encode("utf-8", errors="surrogatepass")),
            read_options=csv.ReadOptions(autogenerate_column_names=True, block_size=BLOCK),
            parse_options=csv.ParseOptions(delimiter=table.delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types={f"f{i}": pyarrow.string() for i in range(len(next(table.rows())))},
                strings_can_be_null=False,
            ),
        )
    except (pyarrow.ArrowException, ValueError):
        return _sheet_of_rows(_checked_rows(table), table)
    head = next(
        i for i in range(whole.num_rows) if any(str(cell).strip() for cell in whole.slice(i, 1).to_pylist()[0].values())
    )
    names = [str(cell).strip() for cell in whole.slice(head, 1).to_pylist()[0].values()]
    body = whole.slice(head + 1)
    return _of_arrow(names, body, number_text=table.number_text)


def _checked_rows(table: Delimited) -> list[list[str]]:
    """The rows by the slower reader, or the fault of the first bad one."""
    rows: list[list[str]] = []
    for i, row in enumerate(row for row in csv_rows(table.text, table.delimiter) if row):
        if rows and len(row) != len(rows[0]):
            if not any(cell.strip() for cell in row):
                continue
            fewer = "fewer" if len(row) < len(rows[0]) else "more"
            header = ", ".join(rows[0])[:200]
            raise BadInput(f"judgment {i}: has {fewer} cells than the header ({header}): {len(row)}")
        rows.append(row)
    return rows


def _sheet_of_rows(rows: list[list[str]], table: Delimited) -> Sheet:
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    names, body = [cell.strip() for cell in rows[0]], rows[1:]
    for i, row in enumerate(body):
        if len(row) != len(names):
            raise BadInput(f"judgment {i + 1}: has {len(row)} cells, must have {len(names)} like the header")
    return Sheet(
        names,
        len(body),
        lambda k: _encoded([row[k] for row in body]),
        lambda k: [row[k].strip() for row in body[:LOOK]],
        number_text=table.number_text,
    )


def _of_arrow(names: Sequence[str], table: Any, number_text: Callable[[str], str] = str, exact: bool = True) -> Sheet:
    def read(k: int) -> Column:
        column = table.column(k).combine_chunks()
        coded = column if hasattr(column, "dictionary") else column.dictionary_encode()
        if hasattr(coded, "num_chunks"):
            coded = coded.combine_chunks() if coded.num_chunks != 1 else coded.chunk(0)
        return _stripped(
            _indices(coded.indices, len(coded.dictionary)), [*map(_cell, coded.dictionary.to_pylist()), ""]
        )

    def head(k: int) -> list[str]:
        return [_cell(x).strip() for x in table.column(k).slice(0, LOOK).to_pylist()]

    return Sheet(names, table.num_rows, read, head, number_text=number_text, exact=exact)


def _indices(indices: Any, missing: int) -> Codes:
    """The codes of an Arrow column; null cells get ``missing``."""
    if indices.null_count:
        values = indices.to_numpy(zero_copy_only=False)  # floats, with nan for null
        return np.where(np.isnan(values), missing, values).astype(np.int64)
    if not len(indices):
        return np.zeros(0, dtype=np.int64)
    # to_numpy would import pandas, which takes longer than everything else
    kind = np.dtype(str(indices.type))
    whole = np.frombuffer(indices.buffers()[1], dtype=kind, count=indices.offset + len(indices))
    return whole[indices.offset :].astype(np.int64)


def _cell(value: Any) -> str:
    """A value as it would appear in a text file."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isinf(value):
        return repr(value)
    if isinstance(value, float):
        return repr(int(value)) if value == int(value) and abs(value) < SAFE else repr(value)
    if isinstance(value, (str, Decimal, datetime.date, datetime.time)):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return json.dumps(value, default=str, ensure_ascii=False)


def arrow_sheet(data: bytes, suffix: str) -> Sheet:
    """Parquet, or Arrow's file and stream formats (Feather too); columns of lists and records become text."""
    import pyarrow
    from pyarrow import ipc, parquet

    try:
        if data.startswith(b"PAR1"):
            kept = parquet.ParquetFile(io.BytesIO(data))
            check_unpacked(parquet_bytes(kept.metadata), len(data))
            # texts stay numbers into a list of different ones, as the file has them: a long one costs its length once
            texts = [field.name for field in kept.schema_arrow if pyarrow.types.is_string(field.type)]
            table = parquet.read_table(io.BytesIO(data), read_dictionary=texts)
        elif data.startswith(b"ARROW1"):
            check_unpacked(arrow_bytes(data[8:]), len(data))
            table = ipc.open_file(io.BytesIO(data)).read_all()
        else:
            check_unpacked(arrow_bytes(data), len(data))
            table = ipc.open_stream(io.BytesIO(data)).read_all()
        table.validate(full=True)  # Arrow's buffers are read as they stand: a wrong length would end the process
    except BadInput:
        raise
    except Exception as error:  # pyarrow raises many kinds of errors for a broken file
        kind = suffix.lstrip(".") or "parquet or Arrow"
        raise BadInput(f"is not a {kind} file ({first_line(error)[:120]})") from None
    exact = not any(pyarrow.types.is_floating(field.type) for field in table.schema)
    plain = [
        column if _simple(column.type, pyarrow.types) else pyarrow.array([_cell(x) for x in column.to_pylist()])
        for column in table.columns
    ]
    flat = pyarrow.Table.from_arrays(plain, names=[str(i) for i in range(len(plain))])
    return _of_arrow([str(name) for name in table.column_names], flat, exact=exact)


def _simple(kind: Any, types: Any) -> bool:
    inner = kind.value_type if types.is_dictionary(kind) else kind
    return bool(
        types.is_string(inner)
        or types.is_large_string(inner)
        or types.is_integer(inner)
        or types.is_boolean(inner)
        or types.is_floating(inner)
    )


# numbers stay text until their meaning is known: 0.1 is exactly a tenth
_EXACTLY: dict[str, Any] = {"parse_float": str, "parse_int": str, "parse_constant": str}


def json_lines_sheet(text: str) -> Sheet:
    """One JSON object per line; fast if all values are texts, integers or booleans."""
    return _plain_json_lines(text) or _any_json_lines(text)


def _plain_json_lines(text: str) -> Sheet | None:
    """By pyarrow; None for broken lines, and if it would round long decimals or read texts as times.

    pyarrow takes a line ``null`` for a blank row, and where a block of the file begins with one it ends the process.
    """
    import pyarrow
    from pyarrow import json as reader

    if "null" in text and NULL_ROW.search(text):
        return None
    try:
        table = reader.read_json(
            io.BytesIO(text.encode("utf-8", errors="surrogatepass")), reader.ReadOptions(block_size=BLOCK)
        )
    except (pyarrow.ArrowException, ValueError):
        return None
    kinds = pyarrow.types
    plain = all(kinds.is_string(f.type) or kinds.is_int64(f.type) or kinds.is_boolean(f.type) for f in table.schema)
    return _of_arrow([str(name) for name in table.column_names], table) if plain and table.num_rows else None


def _any_json_lines(text: str) -> Sheet:
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        records = json.loads("[" + ",".join(lines) + "]", **_EXACTLY)
        if len(records) != len(lines):
            raise ValueError
    except (ValueError, RecursionError):
        records = []
        for i, line in enumerate(lines, 1):
            try:
                records.append(json.loads(line, **_EXACTLY))
            except (ValueError, RecursionError) as error:
                raise BadInput(f"line {i} is not JSON ({first_line(error)})") from None
    return records_sheet(records)


def records_sheet(records: Sequence[Any]) -> Sheet:
    """A list of JSON objects: a column for each key that occurs."""
    names: dict[str, None] = {}
    for i, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise BadInput(f"record {i} is not an object, must be one with the columns as keys")
        if len(record) != len(names) or not names.keys() >= record.keys():
            names.update(dict.fromkeys(record))
    keys = list(names)

    def cells(k: int, stop: int | None = None) -> list[str]:
        found = [record.get(keys[k]) for record in records[:stop]]
        return [x if isinstance(x, str) else _cell(x) for x in found]

    return Sheet(keys, len(records), lambda k: _encoded(cells(k)), lambda k: [x.strip() for x in cells(k, LOOK)])

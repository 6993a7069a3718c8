"""Rows and cells of JSONL (also .gz or .xz), JSON, CSV and parquet files; errors name file, row and column."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from nashlab.game import BadInput, suggestion

__all__ = ["SUFFIXES", "Row", "existing", "file_rows", "probability_in", "shown", "text_columns", "text_in"]

SUFFIXES = (".jsonl", ".json", ".jsonl.xz", ".jsonl.gz", ".csv", ".parquet")

Row = Mapping[str, Any]


def existing(source: str | Path, known: Sequence[str]) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        near = suggestion(str(source), known, f"; known are {', '.join(known)}")
        raise BadInput(f"source = {str(source)!r} is neither a file nor a known corpus{near}")
    if not path.name.endswith(SUFFIXES):
        raise BadInput(f"source = {path.name!r}, must end in one of {', '.join(SUFFIXES)}")
    return path


def file_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(number, row) of a file; the number is the line for JSONL, and counts records from 1 for the others."""
    try:
        if path.suffix == ".parquet":
            yield from enumerate(_parquet_rows(path), 1)
        elif path.suffix == ".json":
            yield from enumerate(_listed_rows(path), 1)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from enumerate(_csv_rows(path, file), 1)
        else:
            with _opened(path) as file:
                yield from _json_rows(path, file)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path.name}: cannot be read ({error})") from None


def _opened(path: Path) -> IO[str]:
    opener: Any = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8-sig")


def _csv_rows(path: Path, file: Iterable[str]) -> Iterator[Row]:
    reader = csv.DictReader(file)
    _check_columns(reader.fieldnames or (), path.name)
    for number, row in enumerate(reader, 1):
        if None in row:
            raise BadInput(f"{path.name}, row {number}: has {len(row[None])} more cells than there are columns")
        yield row


def _check_columns(names: Iterable[str], where: str) -> None:
    """Refuse duplicate names, of which readers would keep only the last."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise BadInput(f"{where}: has the column {twice[0]!r} more than once, must have different ones")


def _json_rows(path: Path, file: Iterable[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        where = f"{path.name}, row {number}"
        try:
            row = json.loads(line, object_pairs_hook=partial(_object, where))
        except BadInput:
            raise
        except (ValueError, RecursionError) as error:  # a number with thousands of digits is a ValueError
            raise BadInput(f"{where}: is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise BadInput(f"{where}: is a {type(row).__name__}, must be an object with columns")
        yield number, row


def _listed_rows(path: Path) -> Iterator[Row]:
    """The rows of one JSON value: a list of objects, or an object that contains exactly one list."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=partial(_object, path.name))
    except BadInput:
        raise
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            with _opened(path) as file:  # one object per line despite the suffix
                yield from (row for _, row in _json_rows(path, file))
            return
        raise BadInput(f"{path.name}: is not JSON ({error})") from None
    lists = [value for value in content.values() if isinstance(value, list)] if isinstance(content, dict) else [content]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise BadInput(f"{path.name}: must be a list of objects, or an object with one such list")
    for number, row in enumerate(lists[0], 1):
        if not isinstance(row, dict):
            raise BadInput(f"{path.name}, row {number}: is {shown(row)}, must be an object with columns")
        yield row


def _object(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_columns((name for name, _ in pairs), where)
    return dict(pairs)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, path.name)
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise BadInput(f"{path.name}: is not a parquet file ({error})") from None


def text_columns(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The cells of the named columns of every row, under our names."""
    empty = True
    for number, row in file_rows(path):
        empty = False
        yield {ours: text_in(row, theirs, f"{path.name}, row {number}") for ours, theirs in columns.items()}
    if empty:
        raise BadInput(f"{path.name}: holds no rows")


def text_in(row: Row, column: str, where: str) -> str:
    value = _cell(row, column, where)
    if not isinstance(value, str):
        raise BadInput(f"{where}, column {column!r}: is {shown(value)}, must be text")
    return value


def probability_in(row: Row, column: str, where: str) -> float:
    value = _cell(row, column, where)
    try:
        # only Python reads "0_1" as a number
        number = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 1:
        raise BadInput(f"{where}, column {column!r}: is {shown(value)}, must be a probability between 0 and 1")
    return number


def _cell(row: Row, column: str, where: str) -> Any:
    if column not in row:
        known = [str(name) for name in row]
        raise BadInput(f"{where}, column {column!r}: is missing (there are {', '.join(known)})"
                       f"{suggestion(column, known)}")  # fmt: skip
    return row[column]


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."

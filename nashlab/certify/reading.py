"""The margins in a game file, read by the verifier's own code: matrices in CSV, JSON and NPY, and plain logs."""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from nashlab.certify.fields import LARGEST, Vector, parsed
from nashlab.certify.numbers import CertifyError, exact, rationed

__all__ = ["Game", "Unread", "read_margins"]

HALF, NONE = Fraction(1, 2), Fraction(0)
OWN = ("the file is read by the verifier's own reader", True)
EMPTY = ("", None)
JUDGMENTS = 500_000  # in a log: more take seconds


class Unread(CertifyError):
    """A layout that this reader does not know, though nashlab's own reader may."""


@dataclass(frozen=True)
class Game:
    """Labels, reference (None: not stated) and exact margins of a game, and the row that names their reader."""

    labels: tuple[str, ...] | None
    margins: tuple[Vector, ...]
    reference: Vector | None = None
    reading: tuple[str, bool | None, str] = (*OWN, "")


def read_margins(data: bytes, suffix: str, kind: str | None = None, fill: str | None = None) -> Game:
    """The game in the bytes of a file; raises :class:`Unread` for an unknown layout.

    >>> read_margins(b"0.5,0.7\\n0.3,0.5", ".csv").margins[0][1]
    Fraction(1, 5)
    """
    with rationed():
        return _read(data, suffix, kind, fill)


def _read(data: bytes, suffix: str, kind: str | None, fill: str | None) -> Game:
    if fill not in (None, "refuse", "half") or kind == "payoff":
        raise Unread(f"{kind if kind == 'payoff' else fill!r} is not known to this reader")
    if suffix == ".npy" or data.startswith(b"\x93NUMPY"):
        return _game(_npy(data), None, kind, fill)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unread("is not UTF-8 text") from None
    if suffix == ".json" or (suffix == "" and text.lstrip()[:1] in ("{", "[")):
        return _json(text, kind, fill)
    if suffix not in (".csv", ".tsv", ".txt", ""):
        raise Unread(f"{suffix} is not a format of this reader")
    return _table(text, kind, fill)


def _json(text: str, kind: str | None, fill: str | None) -> Game:
    content = parsed(text)
    content = {"matrix": content} if isinstance(content, list) else content
    found = [k for k in ("preferences", "wins", "margins", "matrix") if isinstance(content, dict) and k in content]
    if len(found) != 1 or set(content) - {found[0], "labels", "reference"}:
        raise Unread("is not one matrix with labels and a reference")
    rows = content[found[0]]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise Unread("is not one matrix")
    if any(isinstance(x, list) for row in rows for x in row):
        raise Unread("is not one matrix")
    _check_size(max([len(rows), *(len(row) for row in rows)]))
    cells = [[None if x in EMPTY else exact(x, f"row {i + 1}") for x in row] for i, row in enumerate(rows)]
    stated, labels = content.get("reference"), content.get("labels")
    if not all(x is None or isinstance(x, list) for x in (stated, labels)):
        raise Unread("has labels or a reference that are not a list")
    reference = None if stated is None else tuple(exact(x, "reference") for x in stated)
    return _game(cells, labels, kind if found[0] == "matrix" else found[0], fill, reference)


def _table(text: str, kind: str | None, fill: str | None) -> Game:
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    if delimiter not in first:
        raise Unread("has no commas, semicolons or tabs")
    lines = text.count("\n") + 1
    if lines > JUDGMENTS:
        raise Unread(f"has {lines} lines, this reader takes {JUDGMENTS}")
    _check_size(first.count(delimiter))
    try:
        rows = [[c.strip() for c in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    except csv.Error as error:
        raise Unread(f"is not a table ({error})") from None
    rows = [row for row in rows if any(row)]
    if not rows:
        raise Unread("is empty")
    header = [c.lower() for c in rows[0]]
    if set(header) in ({"winner", "loser"}, {"winner", "loser", "weight"}):
        return _log(rows[1:], header, fill)
    _check_size(max([len(rows) - 1, *(len(row) for row in rows)]) - 1)
    labels: Sequence[str] | None = None
    if not all(_numeric(c) or not c for c in rows[0][1:]) or len(rows) == len(rows[0]) + 1:
        labels = rows[0]
        rows = rows[1:]
    n = len(rows)
    if rows and len(rows[0]) == n + 1:
        names = [row[0] for row in rows]
        rows, labels = [row[1:] for row in rows], labels[-n:] if labels else names
        if list(labels) != names:
            raise Unread("its columns and rows have different names")
    if any(len(row) != n for row in rows) or (labels is not None and len(labels) != n):
        raise Unread("is not a square table")
    cells = [[None if not c else exact(c, f"row {i + 1}") for c in row] for i, row in enumerate(rows)]
    return _game(cells, labels, kind, fill)


def _check_size(n: int) -> None:
    if n > LARGEST:
        raise CertifyError(f"has {n} responses, at most {LARGEST} are judged here")


def _numeric(cell: str) -> bool:
    try:
        exact(cell, "")
    except CertifyError:
        return False
    return True


def _log(rows: list[list[str]], header: list[str], fill: str | None) -> Game:
    """One judgment per line; names in the order of their first occurrence."""
    wins: dict[tuple[str, str], Fraction] = {}
    place = {name: header.index(name) for name in header}
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise Unread(f"judgment {number} has {len(row)} cells")
        weight = exact(row[place["weight"]], f"judgment {number}") if "weight" in place else Fraction(1)
        pair = (row[place["winner"]], row[place["loser"]])
        wins[pair] = wins.get(pair, NONE) + weight
    names = list(dict.fromkeys(name for pair in wins for name in pair))
    _check_size(len(names))
    return _game([[wins.get((a, b), NONE) for b in names] for a in names], names, "wins", fill)


def _npy(data: bytes) -> list[list[Fraction | None]]:
    """A 2-D array of little-endian doubles or integers, as the NPY format defines it."""
    try:
        start = 10 if data[6] == 1 else 12
        size = struct.unpack("<H" if data[6] == 1 else "<I", data[8:start])[0]
        header = data[start : start + size].decode("latin-1")
        words = header.replace(" ", "")
        shape = [int(v) for v in words.split("'shape':(")[1].split(")")[0].split(",") if v]
        code = words.split("'descr':'")[1].split("'")[0]
        letter = {"<f8": "d", "<f4": "f", "<i8": "q", "<i4": "i", "<i2": "h", "|i1": "b"}[code]
        n, m = shape
        _check_size(max(shape))
        values = struct.unpack(f"<{n * m}{letter}", data[start + size : start + size + n * m * struct.calcsize(letter)])
        columns = "'fortran_order':True" in words
        table = [[values[j * n + i] if columns else values[i * m + j] for j in range(m)] for i in range(n)]
        return [[Fraction(x) for x in row] for row in table]
    except CertifyError:
        raise
    except (IndexError, KeyError, ValueError, OverflowError, struct.error):
        raise Unread("is not a plain two-dimensional array of numbers") from None


def _game(cells: Any, labels: Any, kind: str | None, fill: str | None, reference: Vector | None = None) -> Game:
    """The game of a table whose kind is inferred from its diagonal, unless ``kind`` is given."""
    n = len(cells)
    if not n or any(len(row) != n for row in cells):
        raise Unread("is not a square matrix")
    diagonal = {cells[i][i] for i in range(n)}
    if kind is None:
        negative = any(x is not None and x < 0 for row in cells for x in row)
        if diagonal == {HALF}:
            kind = "preferences"
        elif not diagonal <= {NONE, None} or not any(x for row in cells for x in row):
            raise Unread("does not say what its numbers are")
        else:
            kind = "margins" if negative or n == 1 else "wins"
    if any(cells[i][j] is None for i in range(n) for j in range(n) if i != j):
        raise Unread("has empty cells")
    w = [[x if x is not None else HALF if kind == "preferences" else NONE for x in row] for row in cells]
    if kind == "wins":
        table = [[_won(w[i][j], w[j][i], fill) if i != j else NONE for j in range(n)] for i in range(n)]
    else:
        table = [[x - (HALF if kind == "preferences" else 0) for x in row] for row in w]
    if any(table[i][j] != -table[j][i] for i in range(n) for j in range(i + 1)):
        raise Unread("is antisymmetric only up to rounding")
    names = None if labels is None else tuple(map(str, labels))
    if any(stated is not None and len(stated) != n for stated in (names, reference)):
        raise Unread("has labels or a reference of another length")
    return Game(names, tuple(map(tuple, table)), reference)


def _won(a: Fraction, b: Fraction, fill: str | None) -> Fraction:
    if a < 0 or b < 0 or (a + b == 0 and fill != "half"):
        raise Unread("has a pair that never met, or a negative count")
    return (a - b) / (2 * (a + b)) if a + b else NONE

"""Readers: files of human comparisons -> :class:`PreferenceGame`, every number kept exactly as it was written.

    .csv .tsv .txt          a matrix with optional labels, or a log with columns winner,loser[,weight]
    .json                   {"preferences" | "wins" | "margins": [[...]] or [[[...]]], labels?, weights?, reference?}
    .npy                    a 2-D or 3-D array, never pickled
    .soc .soi .toc .toi     PrefLib rankings: the higher ranked wins, a tie is half a win each, unranked is not compared

What a bare matrix means is read off it: diagonal ½ = probabilities; diagonal 0 or empty with negative entries =
margins; otherwise win counts, where w_ij is how often row i beat column j.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from nashlab.files import read_bytes, read_source
from nashlab.game import MEMORY_LIMIT, BadInput, PreferenceGame, suggestion, too_large

__all__ = ["Kind", "parse_game", "parse_number", "read_game", "read_reference", "read_settings"]

Kind = Literal["preferences", "wins", "margins"]
KINDS: tuple[Kind, ...] = ("preferences", "wins", "margins")

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
RATIO = re.compile(r"[+-]?\d+/0*[1-9]\d*", re.ASCII)
NUMERIC = re.compile(r"[+-]?(\d[\d./]*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE)
DIGITS = 400  # of one number: beyond, a cell is a mistake or an attack on the parser
LARGEST = 10**300  # in size: sums and differences of two entries stay finite doubles
EXACT_LIMIT = 500  # responses up to which entries are kept as rationals (4 s there): above, memory is what matters
PREFLIB = (".soc", ".soi", ".toc", ".toi")
LONGEST = 2**29  # bytes of a file
HEAD = 2**20  # bytes that tell how large a game a file holds, before the rest of it is read


@dataclass(frozen=True)
class Table:
    """What a file says, before it is a game.

    cells   rows of Fractions (None: an empty diagonal cell), or a float64 array, [n, n] or [X, n, n].
    labels  the names of the responses, or None;  kind  what the format says the cells are, or None.
    extra   ``reference`` and ``weights`` where the file states them.
    """

    cells: Any
    labels: Sequence[str] | None = None
    kind: Kind | None = None
    extra: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def read_game(source: str, *, kind: str | None = None, fill: str | None = None) -> PreferenceGame:
    """The game in a file, or in standard input for ``-``; the reference is uniform unless the file states one.

    kind  "preferences", "wins" or "margins" where the matrix should not be read off its diagonal.
    fill  "half": pairs that never met count as even; otherwise they are refused by name.

    Errors: BadInput naming file, entry and rule.
    """
    path = Path("standard input" if source == "-" else source)
    suffix = path.suffix.lower()
    try:
        data = read_source(source, LONGEST)
        _check_size(_columns(data[:HEAD], suffix))
    except BadInput as error:
        raise BadInput(f"{path.name}: {error}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{source}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return parse_game(data, path.name, suffix, kind=kind, fill=fill)


def parse_game(
    data: bytes, name: str, suffix: str, *, kind: str | None = None, fill: str | None = None
) -> PreferenceGame:
    """The game in the bytes of a file; an unknown suffix (or none) is told by the content.

    >>> parse_game(b"0.5,0.7\\n0.3,0.5", "example", ".csv").exact[0][1]
    Fraction(1, 5)
    """
    if kind is not None and kind not in KINDS:
        raise BadInput(f"kind = {kind!r}, must be one of {', '.join(KINDS)}")
    if fill not in (None, "half"):
        raise BadInput(f"fill = {fill!r}, must be 'half': P + Pᵀ = 1 leaves no other value to a pair that never met")
    try:
        return _game(_parse(data, suffix), name, kind, fill)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


def read_reference(source: str, labels: Sequence[str]) -> NDArray[np.float64] | None:
    """A policy from a file, one number a line or ``label,number`` in any order; None for "uniform".

    Errors: BadInput naming file, line and rule.
    """
    if source == "uniform":
        return None
    try:
        text = _text(read_bytes(Path(source), LONGEST))
    except (OSError, ValueError) as error:
        why = error if isinstance(error, BadInput) else f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise BadInput(f"reference {source}: {why}; give 'uniform' or a file") from None
    try:
        return _policy(list(_rows(text, ",")), labels)
    except BadInput as error:
        raise BadInput(f"reference {source}: {error}") from None


def _policy(rows: list[list[str]], labels: Sequence[str]) -> NDArray[np.float64]:
    if not rows:
        raise BadInput("is empty")
    width = len(rows[0])
    for line, row in enumerate(rows, 1):
        if len(row) != width or width > 2:
            raise BadInput(f"line {line} has {len(row)} cells, must have a number or label,number like every line")
    values = [float(parse_number(row[-1], f"line {line}")) for line, row in enumerate(rows, 1)]
    if width == 1:
        if len(values) != len(labels):
            raise BadInput(f"has {len(values)} numbers, must have {len(labels)}, one a response")
        return np.array(values)
    by_name = dict(zip((row[0] for row in rows), values, strict=True))
    if len(by_name) < len(rows):
        twice = Counter(row[0] for row in rows).most_common(1)[0][0]
        raise BadInput(f"{twice!r} occurs more than once, names must differ")
    if unknown := [x for x in by_name if x not in set(labels)]:
        known = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
        raise BadInput(f"{unknown[0]!r} is not a response of the game ({known})")
    if missing := [x for x in labels if x not in by_name]:
        raise BadInput(f"{missing[0]!r} is missing, every response needs a number")
    return np.array([by_name[label] for label in labels])


# -- numbers and text ------------------------------------------------------------------------------------------------


def parse_number(text: str, where: str) -> Fraction:
    """An exact number: an integer, a decimal with optional exponent, or a ratio p/q.

    >>> parse_number("1e-3", "here"), parse_number("5/9", "here")
    (Fraction(1, 1000), Fraction(5, 9))
    """
    try:
        return _fraction(text.strip())
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


@functools.lru_cache(maxsize=2**16)  # counts repeat: most cells of a large table are found here
def _fraction(word: str) -> Fraction:
    if len(word) > DIGITS:
        raise BadInput(f"a number of {len(word)} characters, must have at most {DIGITS}")
    # the pattern bounds the exponent: Fraction("1e999999999") would compute for hours
    if not (NUMBER.fullmatch(word) or RATIO.fullmatch(word)):
        raise BadInput(f"{word[:40]!r} is not a finite number" if word else "is empty, must be a number")
    value = Fraction(word)
    if value and not Fraction(1, LARGEST) < abs(value) < LARGEST:
        raise BadInput(f"{word[:40]} is not a usable number, must be 0 or between 1e-300 and 1e300 in size")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"is not UTF-8 text (byte {error.start})") from None


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows that are not blank, cells stripped; a blank as delimiter stands for any white space."""
    for row in text.splitlines() if delimiter == " " else _csv_rows(text, delimiter):
        cells = [cell.strip() for cell in (row.split() if isinstance(row, str) else row)]
        if any(cells):
            yield cells


def _csv_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise BadInput(f"is not a table ({error})") from None


def _delimiter(line: str) -> str:
    delimiter = max(",;\t", key=line.count)
    return delimiter if delimiter in line else " "


def _columns(head: bytes, suffix: str) -> int:
    """How many responses the first bytes of a file declare, at least; 0 where they do not say."""
    if head.startswith(b"\x93NUMPY"):
        shape = _npy_header(head)[0]
        return int(shape[-1]) if len(shape) >= 2 else 0
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if suffix in PREFLIB or text.startswith("# FILE NAME"):
        declared = re.search(r"^# NUMBER ALTERNATIVES: *(\d{1,18})", text, re.MULTILINE)
        return int(declared[1]) if declared else 0
    if text[:1] in ("{", "["):
        row = re.search(r"\[\s*\[[^\[\]]*", text)
        return row[0].count(",") + 1 if row else 0
    line = text.split("\n", 1)[0]
    delimiter = _delimiter(line)
    if delimiter == " ":
        return len(line.split())
    return line.count(delimiter) + (not line.startswith(delimiter))  # an empty corner is no response


def _check_size(n: int) -> None:
    if n * n * 8 > MEMORY_LIMIT:
        raise too_large(n)


# -- one format each: bytes or text -> Table -------------------------------------------------------------------------


def _parse(data: bytes, suffix: str) -> Table:
    if not data.strip():
        raise BadInput("is empty")
    if suffix == ".npy" or data.startswith(b"\x93NUMPY"):
        return _npy(data)
    text = _text(data)
    if suffix in PREFLIB or (suffix == "" and text.startswith("# FILE NAME")):
        return _preflib(text, suffix)
    if suffix == ".json" or (suffix == "" and text.lstrip()[:1] in ("{", "[")):
        return _json(text)
    return _delimited(text)


def _delimited(text: str) -> Table:
    """A matrix or a comparison log; which borders of the matrix are labels is told by its shape."""
    delimiter = _delimiter(text.lstrip().split("\n", 1)[0])
    first = next(_rows(text, delimiter), None)
    if first is None:
        raise BadInput("holds no numbers")
    header = [cell.lower() for cell in first]
    if {"winner", "loser"} <= set(header):
        return _log(text, header, delimiter)
    top, left = _borders(_rows(text, delimiter))
    rows = _rows(text, delimiter)
    if top is not None:
        next(rows)
    start = 0 if left is None else 1
    n = len(first) - start
    labels = top or left
    if top and left and top != left:
        i = next(i for i in range(n) if top[i] != left[i])
        raise BadInput(f"column {i + 1} is called {top[i]!r} and row {i + 1} {left[i]!r}, must be the same response")
    return Table(_numbers((row[start:] for row in rows), n), labels)


def _borders(rows: Iterable[list[str]]) -> tuple[list[str] | None, list[str] | None]:
    """(labels above the columns, labels left of the rows) of a table, None where it has none.

    In a square table whose corner is empty the border may be names or numbers: it is labels if it is not numeric, if
    it reads the same above and left, or if the diagonal is not empty all along.
    """
    first: list[str] = []
    left: list[str] = []
    diagonal = False  # is any cell of it filled?
    for i, row in enumerate(rows):
        first = first or row
        if len(row) != len(first):
            raise BadInput(f"row {i + 1} has {len(row)} cells, must have {len(first)} like the first")
        left.append(row[0])
        diagonal = diagonal or (i < len(row) and bool(row[i]))
    height, width = len(left), len(first)
    if height == width + 1:
        return first, None
    if width == height + 1:
        return None, left
    if height != width:
        raise BadInput(f"has {height} rows and {width} columns, must be square")
    border = first[1:] + left[1:]
    named = any(cell and not _numeric(cell) for cell in border) or (bool(first[0]) and not _numeric(first[0]))
    alike = first[1:] == left[1:] and len(set(first)) == width
    if height > 1 and (named or (not first[0] and (alike or diagonal))):
        return first[1:], left[1:]
    return None, None


def _numeric(cell: str) -> bool:
    """Was it meant as a number, even one that is refused: a border of such cells holds no names."""
    return bool(NUMERIC.fullmatch(cell))


def _numbers(rows: Iterable[Sequence[Any]], n: int, where: str = "") -> Any:
    """n rows of n texts as Fractions (an empty diagonal cell is None), or as float64 beyond the exact limit.

    ``rows`` may be an iterator: a large table is never held as text cells.
    """
    if n > EXACT_LIMIT:
        _check_size(n)
        values = np.zeros((n, n))
        for i, row in enumerate(rows):
            values[i] = [float(x) if x is not None else 0.0 for x in _row(row, i, where)]
        return values
    return [_row(row, i, where) for i, row in enumerate(rows)]


def _row(row: Sequence[Any], i: int, where: str) -> list[Fraction | None]:
    return [
        None
        if i == j and cell in ("", None)
        else parse_number(cell if isinstance(cell, str) else repr(cell), f"{where}row {i + 1}, column {j + 1}")
        for j, cell in enumerate(row)
    ]


def _log(text: str, header: list[str], delimiter: str) -> Table:
    """A comparison log: one line a judgment; equal lines are counted before anything is looked at."""
    names = ("winner", "loser", "weight") if "weight" in header else ("winner", "loser")
    places = [header.index(name) for name in names]
    pick: Callable[[list[str]], tuple[str, ...]] = itemgetter(*places)

    def lines() -> Iterator[list[str]]:
        found = filter(None, _csv_rows(text, delimiter))
        next(row for row in found if [cell.strip().lower() for cell in row] == header)
        return found

    def refuse(why: str, fault: Callable[[list[str]], bool]) -> NoReturn:
        line = next(i for i, row in enumerate(lines(), 1) if fault(row))
        raise BadInput(f"judgment {line}: {why}")

    try:
        seen = Counter(map(pick, lines()))
    except IndexError:
        refuse(f"has fewer cells than the header ({', '.join(header)})", lambda row: len(row) <= max(places))
    counts: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for key, times in seen.items():
        if not any(map(str.strip, key)):
            continue  # a blank line with its delimiters
        try:
            winner, loser, weight = _judgment(*key)
        except BadInput as error:
            refuse(str(error), functools.partial(lambda key, row: pick(row) == key, key))
        counts[winner, loser] += times * weight
    return _counted(counts)


def _judgment(winner: str, loser: str, weight: str = "1") -> tuple[str, str, Fraction]:
    winner, loser = winner.strip(), loser.strip()
    if not winner or not loser:
        raise BadInput("has no winner or no loser")
    if winner == loser:
        raise BadInput(f"{winner!r} is compared with itself")
    value = parse_number(weight, "weight")
    if value < 0:
        raise BadInput(f"weight = {weight.strip()}, must be at least 0")
    return winner, loser, value


def _counted(counts: Mapping[tuple[str, str], Fraction]) -> Table:
    """Win counts of pairs of names; responses in the order in which they first occur."""
    index = {label: i for i, label in enumerate(dict.fromkeys(x for pair in counts for x in pair))}
    n = len(index)
    if n == 0:
        raise BadInput("holds no comparison, only a header")
    _check_size(n)
    wins: Any = [[Fraction(0)] * n for _ in range(n)] if n <= EXACT_LIMIT else np.zeros((n, n))
    for (winner, loser), count in counts.items():
        wins[index[winner]][index[loser]] = count
    return Table(wins, list(index), "wins")


def _json(text: str) -> Table:
    try:
        # numbers stay text until it is known what they are: 0.1 is a tenth here
        content = json.loads(text.lstrip("\ufeff"), parse_float=str, parse_int=str, parse_constant=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"is not JSON ({error})") from None
    if isinstance(content, list):
        content = {"matrix": content}
    if not isinstance(content, dict):
        raise BadInput("must hold an object or a matrix")
    given = [k for k in KINDS if k in content]
    if len(given) > 1 or (not given and "matrix" not in content):
        raise BadInput(f"has {' and '.join(given) or 'no matrix'}, must have one of {', '.join(KINDS)}")
    labels = content.get("labels")
    if labels is not None and not (isinstance(labels, list) and all(isinstance(x, str) for x in labels)):
        raise BadInput("labels must be a list of names")
    extra = {key: _values(content[key], key) for key in ("reference", "weights") if content.get(key) is not None}
    return Table(_nested(content[given[0] if given else "matrix"]), labels, given[0] if given else None, extra)


def _nested(matrix: Any) -> Any:
    """[[...]] exactly, [[[...]]] as float64."""
    if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
        raise BadInput("the matrix must be a list of rows")
    if matrix and all(row and all(isinstance(x, list) for x in row) for row in matrix):
        prompts = [_square(prompt, f"prompt {x}, ") for x, prompt in enumerate(matrix)]
        if len({len(rows) for rows in prompts}) > 1:
            raise BadInput("every prompt must have as many responses as the first (pad it, with reference 0)")
        return np.array([[[float(x or 0) for x in row] for row in rows] for rows in prompts])
    return _square(matrix, "")


def _square(rows: list[Any], where: str) -> Any:
    n = len(rows)
    for i, row in enumerate(rows):
        if len(row) != n:
            raise BadInput(f"{where}row {i + 1} has {len(row)} entries, must have {n} like the number of rows")
    return _numbers(rows, n, where)


def _values(value: Any, argument: str) -> NDArray[np.float64]:
    """A list of numbers, or a list of such lists."""
    if not isinstance(value, list) or not value:
        raise BadInput(f"{argument} must be a list of numbers")
    if all(isinstance(row, list) for row in value):
        parts = [_values(row, argument) for row in value]
        if len({part.shape for part in parts}) > 1 or parts[0].ndim > 1:
            raise BadInput(f"{argument} must hold rows of equal length")
        return np.array(parts)
    return np.array(
        [float(parse_number(x if isinstance(x, str) else repr(x), f"{argument}[{i}]")) for i, x in enumerate(value)]
    )


def _npy(data: bytes) -> Table:
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
    except Exception as error:  # the format module raises whatever a broken file makes it raise
        raise BadInput(f"is not a NumPy array file ({error})") from None
    if array.dtype.kind == "f" or array.size > EXACT_LIMIT**2:
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what does not fit becomes inf or nan, and is refused as that
            array = array.astype(np.float64)
    return Table(array)


def _npy_header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except Exception as error:  # the format module raises whatever a broken header makes it raise
        raise BadInput(f"is not a NumPy array file ({error})") from None
    return shape, dtype


def _preflib(text: str, suffix: str) -> Table:
    from preflibtools.instances import OrdinalInstance

    declared = re.search(r"^# DATA TYPE: *(\w+)", text, re.MULTILINE)
    _check_size(_columns(text.encode(errors="replace"), ".soc"))
    instance = OrdinalInstance()
    try:
        # autocorrect: an order that occurs on two lines is counted on both, equal names are told apart
        instance.parse_str(text, suffix.lstrip(".") or (declared[1] if declared else ""), autocorrect=True)
        names: dict[int, str] = dict(instance.alternatives_name)
        ballots = [(order, int(instance.multiplicity[order])) for order in instance.orders]
    except Exception as error:  # the parser raises whatever a broken line makes it raise
        raise BadInput(f"is not a PrefLib ordinal file ({type(error).__name__}: {error})") from None
    if not names or not ballots:
        raise BadInput("holds no ranking")
    if min(voters for _, voters in ballots) < 0 or sum(voters for _, voters in ballots) > 2**50:
        raise BadInput("the number of voters of an order must be at least 0, and at most 2^50 in all")
    points = _points(names, ballots)
    small = len(names) <= EXACT_LIMIT
    return Table(
        [[Fraction(int(v), 2) for v in row] for row in points] if small else points / 2, [*names.values()], "wins"
    )


def _points(names: Mapping[int, str], ballots: Iterable[tuple[Any, int]]) -> NDArray[np.int64]:
    """Twice the wins of each pair, so that a tie is a whole number too; [n, n]."""
    row = {alternative: i for i, alternative in enumerate(names)}
    points = np.zeros((len(names), len(names)), dtype=np.int64)
    for order, voters in ballots:
        place = np.full(len(names), -1, dtype=np.int64)
        for rank, group in enumerate(order):
            for alternative in group:
                if alternative not in row:
                    raise BadInput(f"ranks alternative {alternative}, which has no # ALTERNATIVE NAME line")
                if place[row[alternative]] >= 0:
                    raise BadInput(f"ranks alternative {alternative} twice in one order, must be at most once")
                place[row[alternative]] = rank
        seen = np.flatnonzero(place >= 0)
        better, equal = np.less.outer(place[seen], place[seen]), np.equal.outer(place[seen], place[seen])
        points[np.ix_(seen, seen)] += voters * (2 * better + equal)
    np.fill_diagonal(points, 0)
    return points


# -- what the numbers mean ---------------------------------------------------------------------------------------------


def _game(table: Table, name: str, kind: str | None, fill: str | None) -> PreferenceGame:
    if table.kind is not None and kind not in (None, table.kind):
        raise BadInput(f"kind = {kind!r} contradicts the file, which holds {table.kind}")
    kind = table.kind or kind or _kind_of(_floats(table.cells, "matrix"))
    if fill is not None and kind != "wins":
        raise BadInput(f"fill = {fill!r} is for win counts, the file holds {kind}")
    cells = table.cells
    if not isinstance(cells, np.ndarray):
        empty = Fraction(1, 2) if kind == "preferences" else Fraction(0)
        cells = [[empty if x is None else x for x in row] for row in cells]
    _floats(cells, kind)
    common: dict[str, Any] = {"labels": table.labels, "name": Path(name).stem, "source": name, **table.extra}
    if kind == "wins":
        return PreferenceGame.from_wins(cells, fill=Fraction(1, 2) if fill else None, **common)
    if kind == "preferences":
        return PreferenceGame.from_preferences(cells, **common)
    return PreferenceGame.from_margins(cells, **common)


def _floats(cells: Any, argument: str) -> NDArray[np.float64]:
    """The cells as float64, refused where one is not finite or too large to be added to another."""
    if not isinstance(cells, np.ndarray):
        cells = [[0 if x is None else x for x in row] for row in cells]
    values = np.asarray(cells, dtype=np.float64)
    bad = ~(np.abs(values) < LARGEST)
    if np.any(bad):
        i = tuple(int(k) for k in np.argwhere(bad)[0])
        entry = ", ".join(map(str, i))
        raise BadInput(f"{argument}[{entry}] = {values[i]:g}, must be finite and below 1e300 in size")
    return values


def _kind_of(values: NDArray[np.float64]) -> Kind:
    """Probabilities have ½ on the diagonal, margins are negative somewhere, win counts are neither."""
    if values.ndim not in (2, 3) or values.shape[-1] != values.shape[-2] or values.size == 0:
        raise BadInput(f"the matrix has shape {values.shape}, must be square ([n, n] or [X, n, n], n ≥ 1)")
    diagonal = np.diagonal(values, axis1=-2, axis2=-1)
    if np.all(diagonal == 0.5):
        return "preferences"
    if np.any(diagonal != 0):
        where = tuple(int(k) for k in np.argwhere(diagonal != 0)[0])
        entry = ", ".join(map(str, (*where, where[-1])))
        raise BadInput(
            f"matrix[{entry}] = {diagonal[where]:g}: a diagonal of ½ means probabilities, of 0 (or empty) margins or "
            "win counts; this is neither"
        )
    if values.size > 1 and not np.any(values):
        raise BadInput("the matrix is all zero: margins of a tie, or no comparison at all? say which with --kind")
    return "margins" if np.any(values < 0) or values.size == 1 else "wins"


# -- settings --------------------------------------------------------------------------------------------------------


def read_settings(source: str | Path, shipped: Path) -> dict[str, Any]:
    """The content of a TOML file, or of the one of this bare name in the folder ``shipped``.

    Raises :class:`BadInput` for a file that cannot be read or is not TOML, and for a name that is not shipped.
    """
    path = Path(source)
    if not path.suffix and not path.is_file():  # a folder of this name is what an earlier run left
        known = {p.stem: p for p in shipped.glob("*.toml")}
        if str(source) not in known:
            raise BadInput(f"{source}: no such file{suggestion(str(source), known)}")
        path = known[str(source)]
    try:
        return tomllib.loads(read_bytes(path, HEAD).decode())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits is a ValueError of its own
        raise BadInput(f"{path}: is not TOML ({error})") from None

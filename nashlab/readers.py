"""Readers: files of human comparisons -> :class:`PreferenceGame`, every number kept exactly as it was written.

    .csv .tsv .txt          a matrix with optional labels, or a log with columns winner,loser[,weight]
    .json                   {"preferences" | "wins" | "margins": [[...]] or [[[...]]], labels?, weights?, reference?}
    .npy                    a 2-D or 3-D array, never pickled
    .soc .soi .toc .toi     PrefLib rankings: the higher ranked wins, a tie is half a win each, unranked is not compared

What a bare matrix means is read off it: diagonal ½ = probabilities; diagonal 0 or empty with negative entries =
margins; otherwise win counts.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nashlab.game import MEMORY_LIMIT, BadInput, PreferenceGame, too_large

__all__ = ["Kind", "parse_game", "parse_number", "read_game", "read_reference"]

Kind = Literal["preferences", "wins", "margins"]
KINDS: tuple[Kind, ...] = ("preferences", "wins", "margins")

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
RATIO = re.compile(r"[+-]?\d+/\d+")
DIGITS = 400  # of one number: beyond, a cell is a mistake or an attack on the parser
EXACT_LIMIT = 1000  # responses up to which entries are kept as rationals: above, memory is what matters
PREFLIB = (".soc", ".soi", ".toc", ".toi")


def read_game(source: str, *, kind: str | None = None, fill: str | None = None) -> PreferenceGame:
    """The game in a file, or in standard input for ``-``; the reference is uniform unless the file states one.

    kind  "preferences", "wins" or "margins" where the matrix should not be read off its diagonal.
    fill  "half": pairs that never met count as even; otherwise they are refused by name.

    Errors: BadInput naming file, entry and rule.
    """
    if source == "-":
        return parse_game(sys.stdin.buffer.read(), "standard input", "", kind=kind, fill=fill)
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{source}: cannot be read ({error.strerror})") from None
    return parse_game(data, path.name, path.suffix.lower(), kind=kind, fill=fill)


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
    if not data.strip():
        raise BadInput(f"{name}: is empty")
    try:
        if suffix == ".npy" or data.startswith(b"\x93NUMPY"):
            return _npy(data, name, kind, fill)
        text = _text(data, name)
        if suffix in PREFLIB or (suffix == "" and text.startswith("# FILE NAME")):
            return _preflib(text, name, suffix, fill)
        if suffix == ".json" or (suffix == "" and text.lstrip()[:1] in ("{", "[")):
            return _json(text, name, kind, fill)
        return _csv(text, name, kind, fill)
    except BadInput as error:
        message = str(error)
        raise BadInput(message if message.startswith(name) else f"{name}: {message}") from None


def read_reference(source: str, labels: Sequence[str]) -> NDArray[np.float64] | None:
    """A policy from a file, one number a line or ``label,number`` in any order; None for "uniform"."""
    if source == "uniform":
        return None
    try:
        text = _text(Path(source).read_bytes(), source)
    except OSError as error:
        raise BadInput(f"reference {source}: cannot be read ({error.strerror}); give 'uniform' or a file") from None
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if not rows:
        raise BadInput(f"reference {source}: is empty")
    values = [float(parse_number(row[-1], f"reference {source}, line {i}")) for i, row in enumerate(rows, 1)]
    if all(len(row) == 1 for row in rows):
        if len(values) != len(labels):
            raise BadInput(f"reference {source}: has {len(values)} numbers, must have {len(labels)}, one a response")
        return np.array(values)
    names = [row[0].strip() for row in rows]
    _match(names, labels, f"reference {source}")
    by_name = dict(zip(names, values, strict=True))
    return np.array([by_name[label] for label in labels])


def _match(names: Sequence[str], labels: Sequence[str], where: str) -> None:
    """Refuse names that are not the labels, each once."""
    if twice := [x for x in names if list(names).count(x) > 1]:
        raise BadInput(f"{where}: {twice[0]!r} occurs more than once, names must differ")
    if unknown := [x for x in names if x not in labels]:
        raise BadInput(f"{where}: {unknown[0]!r} is not a response of the game ({', '.join(labels[:8])}, ...)")
    if missing := [x for x in labels if x not in names]:
        raise BadInput(f"{where}: {missing[0]!r} is missing, every response needs a number")


# -- numbers and text ------------------------------------------------------------------------------------------------


def parse_number(text: str, where: str) -> Fraction:
    """An exact number: an integer, a decimal with optional exponent, or a ratio p/q.

    >>> parse_number("1e-3", "here"), parse_number("5/9", "here")
    (Fraction(1, 1000), Fraction(5, 9))
    """
    word = text.strip()
    if len(word) > DIGITS:
        raise BadInput(f"{where}: a number of {len(word)} characters, must have at most {DIGITS}")
    if NUMBER.fullmatch(word):
        return Fraction(word)
    if RATIO.fullmatch(word) and int(word.split("/")[1]) != 0:
        return Fraction(word)
    raise BadInput(f"{where}: {word[:40]!r} is not a finite number")


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: is not UTF-8 text (byte {error.start})") from None


def _numeric(cell: str) -> bool:
    word = cell.strip()
    return bool(NUMBER.fullmatch(word) or RATIO.fullmatch(word))


# -- one format each -------------------------------------------------------------------------------------------------


def _csv(text: str, name: str, kind: str | None, fill: str | None) -> PreferenceGame:
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [[c.strip() for c in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    except csv.Error as error:
        raise BadInput(f"not a table ({error})") from None
    rows = [row for row in rows if any(row)]
    header = [cell.lower() for cell in rows[0]]
    if {"winner", "loser"} <= set(header):
        return _log(rows[1:], header, name, fill)
    if len(rows[0]) ** 2 * 8 > MEMORY_LIMIT:
        raise too_large(len(rows[0]))
    body, columns, lines = _split_labels(rows)
    labels = columns or lines
    if columns and lines and columns != lines:
        i = next(i for i, (c, r) in enumerate(zip(columns, lines, strict=True)) if c != r)
        raise BadInput(
            f"column {i + 1} is called {columns[i]!r} and row {i + 1} {lines[i]!r}, must be the same response"
        )
    entries = [
        [
            Fraction(0) if i == j and not cell else parse_number(cell, f"row {i + 1}, column {j + 1}")
            for j, cell in enumerate(row)
        ]
        for i, row in enumerate(body)
    ]
    return _game(entries, labels, name, kind, fill)


def _split_labels(rows: list[list[str]]) -> tuple[list[list[str]], list[str] | None, list[str] | None]:
    """(the n×n cells, column labels, row labels) of a table whose shape says which labels it has."""
    height, width = len(rows), max(len(row) for row in rows)
    ragged = next((i for i, row in enumerate(rows, 1) if len(row) != width), None)
    if ragged is not None:
        raise BadInput(f"row {ragged} has {len(rows[ragged - 1])} cells, must have {width} like the others")
    if height == width + 1:
        return rows[1:], rows[0], None
    if width == height + 1:
        return [row[1:] for row in rows], None, [row[0] for row in rows]
    if height != width:
        raise BadInput(f"has {height} rows and {width} columns, must be square")
    border = rows[0][1:] + [row[0] for row in rows[1:]]
    named = any(cell and not _numeric(cell) for cell in border) or (height > 1 and not _numeric(rows[0][0] or "0"))
    # an empty corner: the corner of a table with numeric labels, unless the whole diagonal is empty
    corner = height > 1 and not rows[0][0] and any(rows[i][i] for i in range(height))
    if named or corner:
        return [row[1:] for row in rows[1:]], rows[0][1:], [row[0] for row in rows[1:]]
    return rows, None, None


def _log(rows: list[list[str]], header: list[str], name: str, fill: str | None) -> PreferenceGame:
    """A comparison log: one line a judgment."""
    winner, loser = header.index("winner"), header.index("loser")
    weight = header.index("weight") if "weight" in header else None
    counts: defaultdict[tuple[str, str], Fraction | int] = defaultdict(int)
    needed = max(winner, loser, weight or 0)
    for line, row in enumerate(rows, 2):
        if len(row) <= needed or not row[winner] or not row[loser]:
            raise BadInput(f"line {line}: has no winner or no loser")
        if row[winner] == row[loser]:
            raise BadInput(f"line {line}: {row[winner]!r} is compared with itself")
        counts[row[winner], row[loser]] += 1 if weight is None else parse_number(row[weight], f"line {line}, weight")
    labels = list(dict.fromkeys(x for pair in counts for x in pair))
    if not labels:
        raise BadInput("holds no comparison, only a header")
    if len(labels) ** 2 * 8 > MEMORY_LIMIT:
        raise too_large(len(labels))
    index = {label: i for i, label in enumerate(labels)}
    wins = _zeros(len(labels))
    for (first, second), count in counts.items():
        wins[index[first]][index[second]] += count
    return _game(wins, labels, name, "wins", fill)


def _json(text: str, name: str, kind: str | None, fill: str | None) -> PreferenceGame:
    def number(word: str) -> Fraction:
        return parse_number(word, "a number")

    try:
        content = json.loads(text, parse_float=number, parse_int=number, parse_constant=number)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"is not JSON ({error})") from None
    if isinstance(content, list):
        content = {"matrix": content}
    if not isinstance(content, dict):
        raise BadInput("must hold an object or a matrix")
    given = [k for k in KINDS if k in content]
    if len(given) > 1 or (not given and "matrix" not in content):
        raise BadInput(f"has {' and '.join(given) or 'no matrix'}, must have one of {', '.join(KINDS)}")
    if given and kind not in (None, given[0]):
        raise BadInput(f"kind = {kind!r} contradicts the file, which holds {given[0]}")
    matrix = content[given[0] if given else "matrix"]
    labels = content.get("labels")
    if labels is not None and not (isinstance(labels, list) and all(isinstance(x, str) for x in labels)):
        raise BadInput("labels must be a list of strings")
    extra = {key: _floats(content[key], key) for key in ("reference", "weights") if content.get(key) is not None}
    return _game(matrix, labels, name, given[0] if given else kind, fill, extra)


def _floats(value: Any, argument: str) -> NDArray[np.float64]:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{argument} must be a list of numbers") from None


def _npy(data: bytes, name: str, kind: str | None, fill: str | None) -> PreferenceGame:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        if dtype.kind not in "iuf":
            raise BadInput(f"holds {dtype}, must hold real numbers")
        if len(shape) in (2, 3) and 8.0 * np.prod([float(k) for k in shape]) > MEMORY_LIMIT:
            raise too_large(shape[-1])
        if dtype.itemsize * np.prod([float(k) for k in shape]) > len(data):
            raise BadInput(f"is cut off: shape {shape} needs more bytes than there are")
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except BadInput:
        raise
    except Exception as error:  # the format module raises whatever a broken header makes it raise
        raise BadInput(f"is not a NumPy array file ({error})") from None
    return _game(array, None, name, kind, fill)


def _preflib(text: str, name: str, suffix: str, fill: str | None) -> PreferenceGame:
    from preflibtools.instances import OrdinalInstance

    declared = re.search(r"^# DATA TYPE: *(\w+)", text, re.MULTILINE)
    number = re.search(r"^# NUMBER ALTERNATIVES: *(\d+)", text, re.MULTILINE)
    if number and int(number[1][:12]) ** 2 * 8 > MEMORY_LIMIT:
        raise too_large(int(number[1][:12]))
    instance = OrdinalInstance()
    try:
        instance.parse_str(text, suffix.lstrip(".") or (declared[1] if declared else ""))
        names: dict[int, str] = dict(instance.alternatives_name)
        ballots = [(order, int(instance.multiplicity[order])) for order in instance.orders]
    except Exception as error:  # the parser raises whatever a broken line makes it raise
        raise BadInput(f"is not a PrefLib ordinal file ({type(error).__name__}: {error})") from None
    if not names or not ballots:
        raise BadInput("holds no ranking")
    row = {alternative: i for i, alternative in enumerate(names)}
    twice = np.zeros((len(names), len(names)), dtype=np.int64)  # two points a win, so that a tie is one each
    for order, voters in ballots:
        place = np.full(len(names), -1, dtype=np.int64)
        for rank, group in enumerate(order):
            for alternative in group:
                if alternative not in row:
                    raise BadInput(f"ranks {alternative}, which is no alternative of the file")
                place[row[alternative]] = rank
        ranked = place >= 0
        both = ranked[:, None] & ranked[None, :]
        twice += voters * both * (2 * (place[:, None] < place[None, :]) + (place[:, None] == place[None, :]))
    np.fill_diagonal(twice, 0)
    labels = [names[a] for a in row]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({a})" for a, label in names.items()]
    wins = [[Fraction(int(v), 2) for v in line] for line in twice] if len(names) <= EXACT_LIMIT else twice / 2
    return _game(wins, labels, name, "wins", fill)


# -- what the numbers mean ---------------------------------------------------------------------------------------------


def _zeros(n: int) -> Any:
    """An n×n table to count in: rationals where the size allows them."""
    return [[Fraction(0)] * n for _ in range(n)] if n <= EXACT_LIMIT else np.zeros((n, n))


def _game(
    matrix: Any,
    labels: Sequence[str] | None,
    name: str,
    kind: str | None,
    fill: str | None,
    extra: Mapping[str, NDArray[np.float64]] | None = None,
) -> PreferenceGame:
    if not isinstance(matrix, np.ndarray) and len(matrix) > EXACT_LIMIT:
        matrix = _floats(matrix, kind or "matrix")
    kind = kind or _kind_of(matrix)
    common: dict[str, Any] = {"labels": labels, "name": Path(name).stem, "source": name, **(extra or {})}
    if kind == "wins":
        return PreferenceGame.from_wins(matrix, fill=Fraction(1, 2) if fill else None, **common)
    build: Callable[..., PreferenceGame] = (
        PreferenceGame.from_preferences if kind == "preferences" else PreferenceGame.from_margins
    )
    return build(matrix, **common)


def _kind_of(matrix: Any) -> Kind:
    """Probabilities have ½ on the diagonal, margins are negative somewhere, win counts are neither."""
    values = _floats(matrix, "matrix")
    if values.ndim not in (2, 3) or values.shape[-1] != values.shape[-2]:
        raise BadInput(f"matrix has shape {values.shape}, must be square ([n, n] or [X, n, n])")
    diagonal = np.diagonal(values, axis1=-2, axis2=-1)
    if np.all(diagonal == 0.5):
        return "preferences"
    if np.any(diagonal != 0):
        i = int(np.argwhere(np.atleast_2d(diagonal != 0))[0][-1])
        raise BadInput(
            f"matrix[{i}, {i}] = {np.atleast_2d(diagonal)[0][i]:g}: a diagonal of ½ means probabilities, "
            "of 0 (or empty) margins or win counts; this is neither"
        )
    if values.size > 1 and not np.any(values):
        raise BadInput("the matrix is all zero: margins of a tie, or no comparison at all? say which with --kind")
    return "margins" if np.any(values < 0) or values.size == 1 else "wins"

"""Changes of an input that know its structure: a value of JSON, a cell or a line of a table, a few bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

# -- mutations -------------------------------------------------------------------------------------------------------

NUMBERS = (
    "0", "-0", "-0.0", "1", "-1", "1/2", "1/3", "-1/0", "0/1", "1e-300", "1e300", "1e999", "-1e-999", "5e-324", "1e308",
    "1e-400", "0.30000000000000004", "1e17", "9" * 400, "0." + "0" * 390 + "1", "9" * 5000, "1" + "0" * 30000,
    "1/" + "7" * 20000, "nan", "inf", "Infinity", "1_000", "٣", "１", "+.5", ".", "1e", " 1", "1 ", "0x10", "1,5",
)  # fmt: skip
STRANGE = ("", "\ud800", "a\nb", "\u2028", "\x00", "\x1b[31m", "[bold]", "é" * 300, "ß", "\ufeff", "null", "\x85")
VALUES: tuple[Any, ...] = (None, True, False, [], {}, [[]], [[[]]], {"": None}, [None], "x", 1, 0.5, -1, 10**400)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """A value replaced, a list cut, doubled or permuted, a number moved a little: somewhere in the tree."""
    try:
        content = json.loads(data, parse_float=_Number, parse_int=_Number)
        places = list(_places(content))
    except (ValueError, RecursionError):
        return mutate_bytes(data, rng)
    if rng.random() < 0.02:
        depth = rng.choice((100, 1000, 10_000, 100_000))
        return b"[" * depth + rng.choice((b"", b"]" * depth))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not places:
            return mutate_bytes(data, rng)
        parent, key = rng.choice(places)
        try:
            _change(parent, key, places, rng)
        except (KeyError, IndexError):
            continue  # an earlier change has taken the place away
    try:
        return _written(content).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):
        return data


class _Number(str):
    """The text of a number of JSON."""


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            yield node, key
            if isinstance(node[key], (dict, list)):
                waiting.append(node[key])


def _change(parent: Any, key: Any, places: list[tuple[Any, Any]], rng: random.Random) -> None:
    old, way = parent[key], rng.randrange(12)
    if way == 0:
        parent[key] = copy.deepcopy(rng.choice(VALUES))
    elif way == 1:
        other, name = rng.choice(places)
        parent[key] = copy.deepcopy(other[name]) if len(str(other[name])) < 10**4 else None
    elif way == 2 and isinstance(parent, dict):
        parent[rng.choice((*STRANGE, *parent, "prompts", "tau", "face"))] = old
    elif way == 3 and isinstance(parent, dict):
        del parent[key]
    elif way == 4:
        parent[key] = rng.choice(STRANGE)
    elif isinstance(old, list) and old:
        if way < 8:
            old[:] = rng.choice((old[:-1], old + old[:1], old * 2, old[::-1], old * rng.choice((1, 8, 40)), [old] * 3))
        else:
            i = rng.randrange(len(old))
            old[i] = old[rng.randrange(len(old))] if rng.random() < 0.5 else _number(old[i], rng)
    elif not isinstance(old, dict):
        parent[key] = _number(old, rng)


def _number(old: Any, rng: random.Random) -> Any:
    """Another number: an extreme one, or one beside the old."""
    if rng.random() < 0.5:
        return rng.choice((_Number, str))(rng.choice(NUMBERS))
    try:
        word = str(old)
        value = Fraction(word) if "e" not in word.lower() and len(word) < 1000 else Fraction(float(word))
    except (ValueError, ZeroDivisionError, OverflowError):
        return rng.choice(NUMBERS)
    step = Fraction(1, 10 ** rng.randrange(40))
    return str(rng.choice((value + step, value * (1 + step), -value, 1 - value, value / 2, 1 / (value or 1))))


def _written(value: Any) -> str:
    """JSON, with numbers as they are even where they are none."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value)


def mutate_lines(data: bytes, rng: random.Random) -> bytes:
    """A cell replaced, a line or a column doubled, moved or lost, another delimiter."""
    text = data.decode("utf-8", "replace")
    lines = text.split("\n")
    i = rng.randrange(len(lines))
    delimiter = max(",;\t :", key=lines[i].count)
    cells = lines[i].split(delimiter)
    j, way = rng.randrange(len(cells)), rng.randrange(10)
    if way < 3:
        cells[j] = rng.choice((*NUMBERS, *STRANGE))
    elif way == 3:
        cells[j] = str(_number(cells[j], rng))
    elif way == 4:
        cells[j:j] = cells[j : j + 1] * rng.choice((1, 1, 30))
    elif way == 5:
        del cells[j]
    lines[i] = delimiter.join(cells)
    if way == 6:
        lines[i:i] = lines[i : i + 1] * rng.choice((1, 1, 30))
    elif way == 7:
        del lines[i]
    elif way == 8:
        rng.shuffle(lines)
    text = "\n".join(lines)
    if way == 9:
        text = text.replace(delimiter, rng.choice((",", ";", "\t", " ", '","', "\r")))
    return text.encode("utf-8", "surrogatepass")


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, cut out or doubled."""
    held = bytearray(data or b"0")
    for _ in range(rng.randrange(1, 5)):
        i = rng.randrange(len(held) + 1)
        way = rng.randrange(5)
        if way == 0 and held:
            held[i % len(held)] = rng.randrange(256)
        elif way == 1 and held:
            held[i % len(held)] ^= 1 << rng.randrange(8)
        elif way == 2:
            del held[i : i + rng.randrange(1, 9)]
        elif way == 3:
            held[i:i] = held[i : i + rng.randrange(1, 30)]
        else:
            held[i:i] = rng.choice((b"\n", b",", b'"', b"\0", b"\xff", b"{", b"[", b"1", b"-", b"#", b":", b"/", b"\r"))
    return bytes(held)

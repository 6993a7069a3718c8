"""Docstrings in the style of the house, read for what they document and turned into reStructuredText.

A docstring documents names in a table, one entry a line with two spaces or more after the name(s), further lines
indented; in the docstring of a command, under ``Args:`` with a colon after each name.  Formulas are indented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["as_rst", "documented"]

ENTRY = re.compile(r"(?P<names>\*{0,2}[A-Za-z_]\w*(?:, \*{0,2}[A-Za-z_]\w*)*)(?: {2,})(?P<text>\S.*)")
ARGUMENT = re.compile(r" {4}(?P<names>\w+): (?P<text>.*)")
# what keeps its own marks: code, roles, links and addresses
KEPT = re.compile(r"(``[^`]+``|:[a-z:]+:`[^`]+`|`[^`]+ <[^`]+>`_|https?://\S+|`[^`]+`)")
COMMAND = re.compile(r"`[^`]+`")  # marked as a command line shows it
# where reStructuredText would see markup that nobody meant
MARKS = re.compile(r"[*|`\\]|_(?!\w)")


def documented(docstring: str) -> Iterator[str]:
    """The names that a docstring documents, in its table or under ``Args:``.

    >>> list(documented("Sum.\\n\\nfirst, second  numbers.\\nthrow          raise\\n               on failure."))
    ['first', 'second', 'throw']
    """
    for kind, names, _ in _blocks(docstring.splitlines()):
        if kind == "entry":
            yield from (name.strip("* ") for name in names.split(","))


def as_rst(lines: Sequence[str]) -> list[str]:
    """A docstring's lines as reStructuredText: tables as definition lists, formulas as literal blocks, no stray markup.

    >>> as_rst(["π* of a.", "", "a  the game."])
    ['π\\\\* of a.', '', '``a``', '    the game.', '']
    >>> as_rst(["See `nashlab solve`."])
    ['See ``nashlab solve``.']
    """
    out: list[str] = []
    before = ""
    for kind, names, block in _blocks(lines):
        if kind == "entry":
            out += [""] * (before != "entry" and bool(out) and bool(out[-1]))
            out += [", ".join(f"``{name}``" for name in names.split(", ")), *(f"    {_escaped(t)}" for t in block), ""]
        elif kind == "formula":
            out += ["", "::", "", *block, ""]
        elif kind == "doctest":
            out += [*block, ""]
        else:
            out += [_escaped(line) for line in block]
        before = kind
    return out


def _blocks(lines: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """(kind, names, lines): an entry of a table, a formula, a doctest, or a line of text."""
    k, before = 0, ""  # the kind of the block before, "" after a blank line
    arguments = False
    while k < len(lines):
        line = lines[k]
        entry = (ARGUMENT if arguments else ENTRY).fullmatch(line)
        if line.startswith(">>> "):
            end = next((m for m in range(k, len(lines)) if not lines[m].strip()), len(lines))
            yield "doctest", "", list(lines[k:end])
        elif entry and (before in ("", "entry") or arguments):
            end = _end(lines, k, 5 if arguments else 1)
            text = [entry["text"], *(t.strip() for t in lines[k + 1 : end])]
            # a column at the end of a line names the source
            yield "entry", entry["names"], [re.sub(r" {3,}(\S.*)", r" (\1)", t) for t in text]
        elif line.strip() == "Args:":
            arguments, end = True, k + 1
        elif line.startswith("    ") and before == "":
            end = _end(lines, k, 1)
            yield "formula", "", list(lines[k:end])
        else:
            yield "text", "", [line]
            end = k + 1
        before = "" if not line.strip() else "entry" if entry and before in ("", "entry") else "text"
        k = end


def _end(lines: Sequence[str], start: int, indent: int) -> int:
    """The first line after ``start`` that is blank or indented by less."""
    rest = range(start + 1, len(lines))
    return next((k for k in rest if not lines[k][:indent].isspace() or not lines[k].strip()), len(lines))


def _escaped(line: str) -> str:
    if re.match(r"\s*(?:- |\d+\. |>>> )", line):
        mark = re.match(r"\s*(?:- |\d+\. |>>> )", line)
        assert mark is not None
        return mark[0] + _escaped(line[mark.end() :])
    parts = KEPT.split(line)
    return "".join(_kept(part) if k % 2 else MARKS.sub(r"\\\g<0>", part) for k, part in enumerate(parts))


def _kept(part: str) -> str:
    return f"`{part}`" if COMMAND.fullmatch(part) else part

"""A policy from a file: one number per line, or ``label,number`` in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from nashlab.files import read_bytes
from nashlab.game import BadInput
from nashlab.votes.text import Delimited, as_text, parse_number

__all__ = ["read_positive", "read_reference"]

LONGEST = 2**26  # bytes of a file with one number per response


def read_reference(source: str, labels: Sequence[str], argument: str = "reference") -> tuple[Fraction, ...] | None:
    """A policy from a file, one number per line or ``label,number`` in any order, exactly; None for "uniform".

    Errors: BadInput naming the argument that gave the file, the file, the line and the rule.
    """
    if source == "uniform":
        return None
    try:
        text = as_text(read_bytes(Path(source), LONGEST))
    except (OSError, ValueError) as error:
        why = error if isinstance(error, BadInput) else f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise BadInput(f"{argument} {source}: {why}; give 'uniform' or a file") from None
    try:
        return _policy(list(Delimited(text, ",").rows()), labels)
    except BadInput as error:
        raise BadInput(f"{argument} {source}: {error}") from None


def read_positive(source: str, labels: Sequence[str], argument: str) -> tuple[Fraction, ...] | None:
    """A policy that gives every response a positive probability, as :func:`read_reference` reads it."""
    weights = read_reference(source, labels, argument)
    for label, weight in zip(labels, weights or (), strict=False):
        if weight == 0:
            raise BadInput(f"{argument} {source}: {label!r} has probability 0, must be positive")
    return weights


def _policy(rows: list[list[str]], labels: Sequence[str]) -> tuple[Fraction, ...]:
    if not rows:
        raise BadInput("is empty")
    width = len(rows[0])
    for line, row in enumerate(rows, 1):
        if len(row) != width or width > 2:
            raise BadInput(f"line {line} has {len(row)} cells, must have a number or label,number like every line")
    values = [parse_number(row[-1], f"line {line}") for line, row in enumerate(rows, 1)]
    for line, value in enumerate(values, 1):
        if value < 0:
            raise BadInput(f"line {line} = {rows[line - 1][-1]}, must not be negative")
    if not any(values):
        raise BadInput("has no positive number")
    if width == 1:
        if len(values) != len(labels):
            raise BadInput(f"has {len(values)} numbers, must have {len(labels)}, one per response")
        return tuple(values)
    by_name = dict(zip((row[0] for row in rows), values, strict=True))
    if len(by_name) < len(rows):
        twice = Counter(row[0] for row in rows).most_common(1)[0][0]
        raise BadInput(f"{twice!r} occurs more than once, names must differ")
    if unknown := [x for x in by_name if x not in set(labels)]:
        known = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
        raise BadInput(f"{unknown[0]!r} is not a response of the game ({known})")
    if missing := [x for x in labels if x not in by_name]:
        raise BadInput(f"{missing[0]!r} is missing, every response needs a number")
    return tuple(by_name[label] for label in labels)

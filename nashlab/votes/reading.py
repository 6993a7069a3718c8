"""The result of a reader: a Table of cells, and the Reading that says how the file was understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nashlab.game import MEMORY_LIMIT, BadInput, suggestion, too_large

__all__ = ["KINDS", "Ballots", "Kind", "Options", "Reading", "Table", "check_size"]

Kind = Literal["preferences", "wins", "margins", "payoff"]
KINDS: tuple[Kind, ...] = ("preferences", "wins", "margins", "payoff")
ROLES = ("winner", "loser", "weight", "tie", "first", "second", "voter", "p")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """How to read a file where it leaves the choice open.

    kind        the meaning of the numbers of a bare matrix: one of KINDS, or None (inferred from its diagonal).
    fill        the treatment of pairs that never met: "refuse" (None), "half", "bradley-terry", or "add-K": K more wins
                for each side of every pair.
    columns     role -> column of a comparison log: winner, loser, weight, tie, first, second, voter, p (the probability
                that the first wins).
    ignore      columns to ignore.
    unranked    "last": responses that a ballot does not rank are below the ranked ones, tied; "uncompared".
    weigh       "rates": A_ij is the win rate minus ½; "votes": wins minus losses, as in social choice.
    symmetrise  read P as ½ + (P − Pᵀ)/2 if rounding broke P + Pᵀ = 1.
    min_votes   pairs with fewer votes count as pairs that never met.
    """

    kind: str | None = None
    fill: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    unranked: str = "last"
    weigh: str = "rates"
    symmetrise: bool = False
    min_votes: float = 0

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise BadInput(f"kind = {self.kind!r}, must be one of {', '.join(KINDS)}")
        self.added  # noqa: B018 - it says what is wrong with fill
        for argument, value, allowed in (
            ("unranked", self.unranked, ("last", "uncompared")),
            ("weigh", self.weigh, ("rates", "votes")),
        ):
            if value not in allowed:
                raise BadInput(f"{argument} = {value!r}, must be {allowed[0]!r} or {allowed[1]!r}")
        for role in self.columns:
            if role not in ROLES:
                raise BadInput(f"columns: {role!r} is not a role ({', '.join(ROLES)}){suggestion(role, ROLES)}")
        if not 0 <= self.min_votes < float("inf"):
            raise BadInput(f"min_votes = {self.min_votes}, must be a number of at least 0")

    @property
    def added(self) -> Fraction:
        """K of ``fill="add-K"``, else 0."""
        if self.fill in (None, "refuse", "half", "bradley-terry"):
            return Fraction(0)
        from nashlab.votes.text import parse_number

        name, dash, number = str(self.fill).partition("-")
        rule = f"fill = {self.fill!r}, must be 'half', 'bradley-terry', 'add-K' (a number K) or 'refuse'"
        if name != "add" or not dash:
            raise BadInput(rule + ": P + Pᵀ = 1 allows no other value for all pairs that never met")
        try:
            value = parse_number(number, "")
        except BadInput:
            raise BadInput(rule) from None
        if value <= 0:
            raise BadInput(f"fill = {self.fill!r}, K must be above 0")
        return value


@dataclass(frozen=True)
class Ballots:
    """Wins by voter, for resampling voters: the k-th entry says that ``voter`` made ``winner`` beat ``loser`` by
    ``weight``; [m] each.  A tie is two entries of half a win.  ``times``, [K]: the number of voters with the same
    ballot."""

    voter: NDArray[np.int64]
    winner: NDArray[np.int64]
    loser: NDArray[np.int64]
    weight: Array
    times: Array


@dataclass(frozen=True)
class Table:
    """The content of a file, before it becomes a game.

    cells        rows of Fractions (None: an empty cell), or a float64 array, [n, n] or [X, n, n].
    labels       the names of the responses, or None;  kind  the meaning of the cells by the format, or None.
    extra        ``reference`` and ``weights`` if the file states them.
    layout       the recognised layout, in words.
    votes, ties  the number of judgments, and of ties among them; None if unknown.
    drawn        [n, n] ties by pair, or None;  ballots  wins by voter, or None.
    passed_over  columns without a role;  notes  further remarks.
    """

    cells: Any
    labels: Sequence[str] | None = None
    kind: Kind | None = None
    extra: Mapping[str, Array] = field(default_factory=dict)
    layout: str = "matrix"
    votes: Fraction | None = None
    ties: Fraction | None = None
    drawn: Array | None = None
    ballots: Ballots | None = None
    passed_over: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> Table:
        """The same table with more notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True)
class Reading:
    """How a file was understood.

    layout, kind        the recognised layout, and the meaning of its numbers.
    responses, pairs    their numbers;  met  pairs with at least one vote (None: the file has no counts).
    votes, ties         judgments, and ties among them; None if unknown.
    voters              the number of different voters, if a column names them.
    passed_over, notes  columns without a role, and further remarks.
    """

    source: str
    layout: str
    kind: str
    responses: int
    pairs: int
    met: int | None = None
    votes: Fraction | float | None = None
    ties: Fraction | float | None = None
    voters: int | None = None
    passed_over: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def content(self) -> dict[str, Any]:
        """The reading in the form of JSON."""
        return {
            "source": self.source,
            "layout": self.layout,
            "kind": self.kind,
            "responses": self.responses,
            "pairs": self.pairs,
            "pairs_met": self.met,
            "votes": _number(self.votes),
            "ties": _number(self.ties),
            "voters": self.voters,
            "passed_over": list(self.passed_over),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        parts = [f"{self.layout} ({self.kind})" if self.kind not in self.layout else self.layout]
        if self.votes is not None:
            ties = f", {_said(self.ties)} of them ties" if self.ties else ""
            parts.append(f"{_said(self.votes)} votes{ties}")
        if self.voters is not None:
            parts.append(f"{self.voters:,} voters")
        parts.append(f"{self.responses:,} responses")
        if self.met is not None:
            parts.append(f"{self.met:,} of {self.pairs:,} pairs met")
        if self.passed_over:
            parts.append(f"passed over: {', '.join(self.passed_over)}")
        return f"{self.source}: {'; '.join([*parts, *self.notes])}"


def _number(value: Fraction | float | None) -> Any:
    return None if value is None else int(value) if value == int(value) else float(value)


def _said(value: Fraction | float) -> str:
    return f"{_number(value):,}" if value < 10**15 else f"{float(value):.3g}"


def check_size(n: int) -> None:
    """Refuse n responses whose matrix does not fit into memory."""
    if n * n * 8 > MEMORY_LIMIT:
        raise too_large(n)

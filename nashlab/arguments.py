"""Options that several commands share: how to read a game, and the game itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nashlab.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from nashlab.game import PreferenceGame
    from nashlab.votes import Votes

__all__ = [
    "AS_WRITTEN",
    "Book",
    "Canary",
    "Claims",
    "HowToRead",
    "Json",
    "Reading",
    "Reference",
    "Tau",
    "check_doubt",
    "floats",
    "loaded",
    "loaded_votes",
]

Json = Annotated[bool, tyro.conf.arg(name="json", help="machine-readable output on stdout")]
Claims = Annotated[str | None, tyro.conf.arg(help="comma-separated identifiers, e.g. L1,L5 (default: all)")]
Canary = Annotated[bool, tyro.conf.arg(help="replace each claim's object by a wrong twin, which must be caught")]
Book = Annotated[
    str | None, tyro.conf.arg(help="address or folder of the book to link to (default: build/book, if built)")
]
Reference = Annotated[str, tyro.conf.arg(help="'uniform', or a file: one number per line, or label,number")]
Tau = Annotated[float, tyro.conf.arg(help="temperature τ of the KL regularisation, in units of preference")]


@dataclass(frozen=True)
class Reading:
    """How to read a file of votes where the file itself leaves it open."""

    kind: Annotated[
        Literal["preferences", "wins", "margins", "payoff"] | None,
        tyro.conf.arg(help="what the numbers of a bare matrix mean (default: read off its diagonal)"),
    ] = None
    fill: Annotated[
        str | None,
        tyro.conf.arg(help="pairs that never met: refuse (default), half (even), bradley-terry, or add-K wins a side"),
    ] = None
    columns: Annotated[
        str | None,
        tyro.conf.arg(help="roles of a log's columns: winner=W,loser=L,weight=N,tie=T,voter=V or first=A,second=B,p=P"),
    ] = None
    ignore: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(help="a column to ignore (may be repeated)")
    ] = ()
    unranked: Annotated[
        Literal["last", "uncompared"], tyro.conf.arg(help="unranked responses of a ballot: below the rest, or left out")
    ] = "last"
    weigh: Annotated[
        Literal["rates", "votes"], tyro.conf.arg(help="margins: win rates, or votes (majority margins)")
    ] = "rates"
    symmetrise: Annotated[bool, tyro.conf.arg(help="read a rounded table as ½ + (P − Pᵀ)/2")] = False
    min_votes: Annotated[float, tyro.conf.arg(help="pairs with fewer votes count as pairs that never met")] = 0

    def options(self) -> dict[str, Any]:
        """The fields of :class:`nashlab.votes.Options`."""
        roles = {}
        for part in (self.columns or "").split(",") if self.columns else ():
            role, equals, name = part.partition("=")
            if not equals or not role.strip() or not name.strip():
                raise BadInput(f"columns: {part!r} must be role=column, as in winner=W,loser=L")
            if role.strip() in roles:
                raise BadInput(f"columns: {role.strip()} is given twice")
            roles[role.strip()] = name.strip()
        return {**vars(self), "columns": roles}


HowToRead = Annotated[Reading, tyro.conf.OmitArgPrefixes]
AS_WRITTEN = Reading()


def loaded(game: str, reference: str | None, reading: Reading) -> PreferenceGame:
    """A game from the gallery, a file or standard input; how a file was understood is printed on stderr."""
    return loaded_votes(game, reference, reading).game


def loaded_votes(game: str, reference: str | None, reading: Reading) -> Votes:
    """A game and, if its file has them, the counts behind it; how the file was understood is printed on stderr."""
    from nashlab.gallery import load_votes

    votes = load_votes(game, reference=reference, **reading.options())
    if votes.game.reading is not None:
        print(votes.reading, file=sys.stderr)
    return votes


def floats(policy: Sequence[Fraction] | None) -> NDArray[np.float64] | None:
    """A policy that was read exactly, as the float64 array that algorithms take."""
    import numpy as np

    return None if policy is None else np.array(policy, dtype=np.float64)


def check_doubt(bootstrap: int, confidence: float | None, seed: int) -> None:
    """Refuse what no uncertainty can be asked for with, before anything is read."""
    for name, value in (("bootstrap", bootstrap), ("seed", seed)):
        if value < 0:
            raise BadInput(f"{name} = {value}, must be at least 0")
    if confidence is not None and not 0 < confidence < 1:
        raise BadInput(f"confidence = {confidence}, must be above 0 and below 1")

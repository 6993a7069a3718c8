"""A Table of cells -> PreferenceGame: the meaning of its numbers, its empty cells, and its pairs that never met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nashlab.game import BadInput, PreferenceGame
from nashlab.votes.logs import EXACT_LIMIT
from nashlab.votes.matrices import cells_as_floats, kind_of
from nashlab.votes.payoff import embedded
from nashlab.votes.reading import Array, Ballots, Options, Reading, Table
from nashlab.votes.strengths import bradley_terry

__all__ = ["Votes", "votes_of"]

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Votes:
    """A game, how its file was understood, and the counts behind it.

    wins     w_ij, [n, n], a tie half a win each, or None if the file has no counts.
    drawn    ties by pair, [n, n], or None if unknown;  ballots  wins by voter, or None.
    """

    game: PreferenceGame
    reading: Reading
    wins: Array | None = None
    drawn: Array | None = None
    ballots: Ballots | None = None


def votes_of(table: Table, name: str, options: Options) -> Votes:
    """The game of a table.  Errors: BadInput naming the entry and the rule."""
    if table.kind is not None and options.kind not in (None, table.kind):
        raise BadInput(f"kind = {options.kind!r} contradicts the file, which holds {table.kind}")
    if table.kind == "payoff" or options.kind == "payoff":
        return _payoff(table, name, options)
    table = _without_percent(table, options)
    values = cells_as_floats(table.cells)
    kind = table.kind or options.kind or kind_of(values)
    if options.symmetrise and kind == "wins":
        raise BadInput("symmetrise is for probabilities and margins, the file holds wins")
    if kind != "wins":
        for argument, given in (("weigh = 'votes'", options.weigh == "votes"), ("min_votes", options.min_votes > 0)):
            if given:
                raise BadInput(f"{argument} is for win counts, the file holds {kind}")
    common: dict[str, Any] = {"labels": table.labels, "name": Path(name).stem, "source": name, **table.extra}
    if kind == "wins":
        return _wins(table, values, name, options, common)
    if kind == "preferences":
        table = _half_diagonal(table, values)
    table, filled = _completed(table, kind, options)
    cells = table.cells
    if options.symmetrise:
        cells, worst = _skewed(cells, kind)
        table = table.noting(f"symmetrised: entries moved by up to {worst:.3g}")
    build = PreferenceGame.from_preferences if kind == "preferences" else PreferenceGame.from_margins
    game = build(cells, **common)
    pairs = game.n * (game.n - 1) // 2
    reading = Reading(
        name,
        table.layout,
        kind,
        game.n,
        pairs,
        met=pairs - filled if filled else None,
        passed_over=table.passed_over,
        notes=table.notes,
    )
    return Votes(replace(game, reading=reading.content()), reading)


def _without_percent(table: Table, options: Options) -> Table:
    """A diagonal of 50, or entries up to 100 for declared probabilities, mean percentages."""
    if table.kind is not None or options.kind not in (None, "preferences") or np.ndim(table.cells) != 2:
        return table
    values = cells_as_floats(table.cells)
    if values.shape[0] != values.shape[1] or len(values) < 2:
        return table
    diagonal = np.diagonal(values)
    known = values[~np.isnan(values)]
    if not known.size or np.min(known) < 0 or np.max(known) > 100 or np.max(known) <= 1:
        return table
    blank = bool(np.all(np.isnan(diagonal)) or not np.any(diagonal))
    if not (np.all(diagonal == 50) or (options.kind == "preferences" and blank)):
        return table
    if isinstance(table.cells, np.ndarray):
        return replace(table, cells=table.cells / 100).noting("percentages")
    cells = [[None if x is None else Fraction(x) / 100 for x in row] for row in table.cells]
    return replace(table, cells=cells).noting("percentages")


def _half_diagonal(table: Table, values: Array) -> Table:
    """Zeros on the diagonal of probabilities mean ½, the only value that P + Pᵀ = 1 allows there."""
    if values.ndim != 2 or len(values) < 2 or np.any(np.diagonal(values)) or table.extra.get("weights") is not None:
        return table
    cells = table.cells.copy() if isinstance(table.cells, np.ndarray) else [list(row) for row in table.cells]
    for i in range(len(values)):
        cells[i][i] = 0.5 if isinstance(cells, np.ndarray) else HALF
    return replace(table, cells=cells).noting("the zeros on the diagonal stand for 1/2")


def _completed(table: Table, kind: str, options: Options) -> tuple[Table, int]:
    """Empty cells of probabilities or margins: the diagonal, the mirror image of a known one, an unmet pair."""
    middle, whole = (HALF, Fraction(1)) if kind == "preferences" else (Fraction(0), Fraction(0))
    cells, empty = _with_diagonal(table.cells, middle)
    mirrored, unmet = 0, []
    for i, j in empty:
        other = cells[j][i]
        if other is None or other != other:
            unmet.append((i, j))
        else:
            cells[i][j] = (whole if not isinstance(cells, np.ndarray) else float(whole)) - other
            mirrored += 1
    if unmet:
        i, j = unmet[0]
        if options.fill in (None, "refuse"):
            raise BadInput(
                f"{_name(table, i)} - {_name(table, j)}: both cells are empty, {len(unmet) // 2} pair(s) never met; "
                "fill them with p = 1/2 by `--fill half`"
            )
        if options.fill != "half":
            raise BadInput(f"fill = {options.fill!r} needs win counts, the file holds {kind}: only 'half' fills it")
        for i, j in unmet:
            cells[i][j] = middle if not isinstance(cells, np.ndarray) else float(middle)
        table = table.noting(f"{len(unmet) // 2} pairs that never met are filled with p = 1/2")
    elif options.fill not in (None, "refuse") and table.kind is None and not mirrored:
        raise BadInput(f"fill = {options.fill!r} is for win counts, the file holds {kind}")
    elif options.fill not in (None, "refuse"):
        raise BadInput(f"fill = {options.fill!r} is for pairs that never met, the file has none and holds {kind}")
    if mirrored:
        table = table.noting(f"{mirrored} empty cells are the mirror image of known ones")
    return replace(table, cells=cells), len(unmet) // 2


def _with_diagonal(cells: Any, middle: Fraction) -> tuple[Any, list[tuple[int, int]]]:
    """The cells with a full diagonal, and the other empty cells; a copy if anything changes."""
    if not isinstance(cells, np.ndarray):
        rows = [[middle if x is None and i == j else x for j, x in enumerate(row)] for i, row in enumerate(cells)]
        return rows, [(i, j) for i, row in enumerate(rows) for j, x in enumerate(row) if x is None]
    if cells.dtype.kind != "f" or cells.ndim != 2 or not np.any(np.isnan(cells)):
        return cells, []
    full = cells.copy()
    for i in range(min(full.shape)):
        full[i, i] = float(middle) if np.isnan(full[i, i]) else full[i, i]
    return full, [(int(i), int(j)) for i, j in np.argwhere(np.isnan(full))]


def _name(table: Table, i: int) -> str:
    return table.labels[i] if table.labels is not None and i < len(table.labels) else str(i + 1)


def _skewed(cells: Any, kind: str) -> tuple[Any, float]:
    """½ + (P − Pᵀ)/2, or (A − Aᵀ)/2, and the largest change of an entry."""
    middle = HALF if kind == "preferences" else Fraction(0)
    if isinstance(cells, np.ndarray):
        floats = cells.astype(np.float64)
        skew = float(middle) + (floats - np.swapaxes(floats, -1, -2)) / 2
        return skew, float(np.max(np.abs(skew - floats), initial=0.0))
    n = range(len(cells))
    exact = [[middle + (cells[i][j] - cells[j][i]) / 2 for j in n] for i in n]
    return exact, float(max(abs(exact[i][j] - cells[i][j]) for i in n for j in n))


# -- win counts ------------------------------------------------------------------------------------------------------


def _wins(table: Table, values: Array, name: str, options: Options, common: dict[str, Any]) -> Votes:
    cells = table.cells
    if values.ndim != 2:
        raise BadInput(f"wins has shape {values.shape}, must be one square matrix")
    empty = np.isnan(values)
    np.fill_diagonal(empty, False)
    one_sided = np.argwhere(empty & ~empty.T)
    if len(one_sided):
        i, j = one_sided[0]
        raise BadInput(f"row {i + 1}, column {j + 1}: is empty, must be a number (0 if there was no win)")
    if isinstance(cells, np.ndarray):
        cells = np.nan_to_num(cells, nan=0.0) if np.any(np.isnan(values)) else cells
    else:
        cells = [[Fraction(0) if x is None else x for x in row] for row in cells]
    w = np.asarray(cells_as_floats(cells))
    if np.any(w < 0):
        PreferenceGame.from_wins(w, fill=HALF, **common)  # which names the entry
    _refuse_totals(w)
    if np.any(np.diagonal(w)) and table.ballots is None and table.drawn is None:
        table = table.noting("the diagonal is ignored")
    table, cells, w = _enough(table, cells, w, options)
    n, met = len(w), int(np.count_nonzero(np.triu(w + w.T, 1)))
    pairs = n * (n - 1) // 2
    game = _filled(cells, w, options, common)
    if game.exact is None and n > EXACT_LIMIT:
        table = table.noting(f"float64: more than {EXACT_LIMIT} responses")
    if met < pairs:
        table = table.noting(f"{pairs - met} pairs that never met: {_said(options)}")
    elif options.added:
        table = table.noting(_said(options))
    if options.weigh == "votes":
        table = table.noting("margins are votes, not rates")
    if alike := _alike(table.labels or ()):
        table = table.noting(f"names that differ only in case or spaces: {', '.join(alike)}")
    each = (w + w.T)[np.triu_indices(n, 1)]
    if table.votes is None and n > 2 and each.size and np.all(np.isin(each, (0.0, 100.0))):
        table = table.noting("every pair adds up to 100: if these are percentages, say --kind preferences")
    off = w[~np.eye(n, dtype=bool)]
    votes = table.votes if table.votes is not None else _total(cells, off)
    ties = table.ties if table.ties is not None else None
    reading = Reading(
        name,
        table.layout,
        "wins",
        n,
        pairs,
        met=met,
        votes=votes,
        ties=ties,
        voters=None if table.ballots is None else round(float(table.ballots.times.sum())),
        passed_over=table.passed_over,
        notes=table.notes,
    )
    return Votes(replace(game, reading=reading.content()), reading, w, table.drawn, table.ballots)


def _alike(labels: Sequence[str]) -> list[str]:
    """The first pair of names that are perhaps one."""
    seen: dict[str, str] = {}
    for label in labels:
        other = seen.setdefault("".join(label.casefold().split()), label)
        if other != label:
            return [other, label]
    return []


def _refuse_totals(w: Array) -> None:
    """Refuse a last row and column that sum up the others: totals are not a response."""
    inner = w[:-1, :-1]
    off = inner - np.diag(np.diagonal(inner))
    sums = np.any(inner) and any(
        np.array_equal(x.sum(axis=1), w[:-1, -1]) and np.array_equal(x.sum(axis=0), w[-1, :-1]) for x in (inner, off)
    )
    if sums and len(w) > 2 and (len(w) > 3 or w[-1, -1] == inner.sum()):
        raise BadInput("the last row and column are the sums of the others: totals are no response; leave them out")


def _total(cells: Any, off: Array) -> Fraction | float:
    if isinstance(cells, np.ndarray):
        return float(off.sum())
    return sum((x for i, row in enumerate(cells) for j, x in enumerate(row) if i != j), Fraction(0))


def _said(options: Options) -> str:
    return {
        "half": "filled with p = 1/2",
        "bradley-terry": "filled with the Bradley-Terry fit of the others",
    }.get(str(options.fill), f"every side of a pair has {options.added} wins more")


def _enough(table: Table, cells: Any, w: Array, options: Options) -> tuple[Table, Any, Array]:
    """Pairs with fewer votes than ``min_votes`` removed."""
    thin = (w + w.T > 0) & (w + w.T < options.min_votes)
    if not np.any(thin):
        return table, cells, w
    w = np.where(thin, 0.0, w)
    if isinstance(cells, np.ndarray):
        cells = np.where(thin, 0, cells)
    else:
        cells = [[Fraction(0) if thin[i, j] else x for j, x in enumerate(row)] for i, row in enumerate(cells)]
    if table.ballots is not None:
        kept = ~thin[table.ballots.winner, table.ballots.loser]
        b = table.ballots
        fewer = Ballots(b.voter[kept], b.winner[kept], b.loser[kept], b.weight[kept], b.times)
        table = replace(table, ballots=fewer)
    pairs = int(np.count_nonzero(np.triu(thin)))
    return table.noting(f"{pairs} pairs with fewer than {options.min_votes:g} votes count as never met"), cells, w


def _filled(cells: Any, w: Array, options: Options, common: dict[str, Any]) -> PreferenceGame:
    """The game, with unmet pairs treated according to the options."""
    idle = bool(np.any((w + w.T + np.eye(len(w))) == 0))
    if options.fill in (None, "refuse", "half"):
        fill = HALF if options.fill == "half" else None
        return PreferenceGame.from_wins(cells, fill=fill, weigh=options.weigh, **common)
    if options.fill == "bradley-terry":
        fill_p = bradley_terry(w).probabilities if idle else None
        if idle and options.weigh == "votes":
            raise BadInput("weigh = 'votes' has no margin for a pair that never met: fill it with 'half'")
        return PreferenceGame.from_wins(cells, fill=fill_p, weigh=options.weigh, **common)
    more = options.added
    played = w + w.T
    np.fill_diagonal(played, 0.0)
    if isinstance(cells, np.ndarray):
        added: Any = cells + float(more) * (1 - np.eye(len(w)))
    else:
        added = [[x if i == j else x + more for j, x in enumerate(row)] for i, row in enumerate(cells)]
    return PreferenceGame.from_wins(added, weigh=options.weigh, comparisons=played, **common)


# -- zero-sum games --------------------------------------------------------------------------------------------------


def _payoff(table: Table, name: str, options: Options) -> Votes:
    for argument, given in (
        ("fill", options.fill),
        ("symmetrise", options.symmetrise),
        ("min_votes", options.min_votes),
    ):
        if given:
            raise BadInput(f"{argument} is for comparisons, the file is read as payoffs")
    if table.extra:
        raise BadInput(f"{next(iter(table.extra))} is for comparisons, the file is read as payoffs")
    game, shift = embedded(table.cells, table.labels, name=Path(name).stem, source=name)
    cells = np.asarray(table.cells, dtype=np.float64)
    reading = Reading(
        name,
        table.layout,
        "payoff",
        game.n,
        game.n * (game.n - 1) // 2,
        passed_over=table.passed_over,
        notes=(*table.notes, f"a zero-sum game of {cells.shape[0]} rows, {cells.shape[1]} columns, symmetrised"),
    )
    sides = {"rows": cells.shape[0], "columns": cells.shape[1], "shift": shift}
    return Votes(replace(game, reading=reading.content() | {"payoff": sides}), reading)

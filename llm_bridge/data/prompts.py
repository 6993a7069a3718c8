"""Prompts from files, hub names, ``datasets`` or lists; several sources can be mixed by weight.

A source is a file (JSONL, JSON, CSV, parquet), a folder saved by ``datasets``, "owner/name" or "owner/name:split" on
the hub (the only case that uses a network), a ``datasets.Dataset``, or any iterable of texts, lists of messages, or
rows. A row that does not fit is refused by its number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from llm_bridge.data.files import Row, existing, file_rows, shown
from llm_bridge.data.hub import named_rows
from llm_bridge.data.records import Comparison
from llm_bridge.data.rows import Prompt, comparison_in, prompt_in
from nashlab.game import BadInput

__all__ = ["Question", "held_out", "load_pairs", "load_prompts", "mixed", "rows_of"]


@dataclass(frozen=True)
class Question:
    """A prompt with the other columns of its row.

    prompt   a text, or messages;  columns  the other cells, for judges that ask for them;  where  its origin.
    """

    prompt: Prompt
    columns: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""

    @property
    def key(self) -> str:
        """The prompt as one text, equal for equal prompts."""
        return self.prompt if isinstance(self.prompt, str) else json.dumps(self.prompt, ensure_ascii=False)


def load_prompts(source: Any, *, column: str | None = None, count: int | None = None) -> list[Question]:
    """The prompts of a source, in its order; see the module docstring.

    column  holds the prompt, if its name is not a known one (:mod:`llm_bridge.data.rows`).
    count   at most this many.

    Raises :class:`BadInput` with the source, the row and the column, and for a source without rows.

    >>> load_prompts(["Name a colour.", {"prompt": "Name a fruit.", "answer": "fig"}])[1].columns
    {'answer': 'fig'}
    """
    found = []
    for where, row in islice(rows_of(source), count):
        prompt, used = prompt_in(row, where, column)
        found.append(Question(prompt, {str(k): v for k, v in row.items() if k not in used}, where))
    if not found:
        raise BadInput(f"{_name(source)}: holds no rows")
    return found


def load_pairs(source: Any, *, count: int | None = None) -> list[Comparison]:
    """The comparisons of a source in any layout of :mod:`llm_bridge.data.rows`; ties are ½.

    >>> load_pairs([{"prompt": "Hi", "response_a": "Ho", "response_b": "Hm", "winner": "tie"}])[0].p
    0.5
    """
    found = [comparison_in(row, where) for where, row in islice(rows_of(source), count)]
    if not found:
        raise BadInput(f"{_name(source)}: holds no rows")
    return found


def rows_of(source: Any) -> Iterator[tuple[str, Row]]:
    """(where, row) of every row of a source; a text or a list of messages in an iterable is a row with a prompt."""
    if isinstance(source, (str, Path)):
        yield from _named_rows(source)
        return
    if isinstance(source, Mapping):  # splits by name, as load_dataset returns them
        raise BadInput(f"source holds the splits {', '.join(map(str, source))}, must be one of them")
    if not isinstance(source, Iterable):
        raise BadInput(f"source = {shown(source)}, must be a file, a hub name, or an iterable of rows")
    for number, row in enumerate(source, 1):
        where = f"row {number}"
        if isinstance(row, Mapping):
            yield where, row
        elif isinstance(row, (str, list)):
            yield where, {"prompt": row}
        else:
            raise BadInput(f"{where}: is {shown(row)}, must be a text, a list of messages, or an object with columns")


def mixed(sources: Sequence[tuple[Sequence[Question], float]]) -> tuple[list[Question], list[int]]:
    """Sources mixed in proportion to their weights, without repetition, and the number taken from each.

    The first source to run out ends the mixture.  Sources alternate so that every stretch has these proportions.

    Raises :class:`BadInput` for weights that are not positive.

    >>> few, many = [Question("a")], [Question(str(i)) for i in range(9)]
    >>> [q.prompt for q in mixed([(few, 1.0), (many, 2.0)])[0]]
    ['0', 'a', '1']
    """
    for i, (questions, weight) in enumerate(sources):
        if not 0 < weight < float("inf"):
            raise BadInput(f"weight of source {i} = {weight}, must be positive and finite")
        if not questions:
            raise BadInput(f"source {i} is empty, must hold prompts")
    total = sum(weight for _, weight in sources)
    size = min(len(questions) * total / weight for questions, weight in sources)
    counts = [min(len(questions), max(1, round(size * weight / total))) for questions, weight in sources]
    # question j of n stands at position (j + 1/2) / n
    places = [((j + 0.5) / n, i, j) for i, n in enumerate(counts) for j in range(n)]
    return [sources[i][0][j] for _, i, j in sorted(places)], counts


def held_out(questions: Sequence[Question], count: int) -> tuple[list[Question], list[Question]]:
    """(training questions, ``count`` different held-out ones), chosen by a hash of the prompt, in any order.

    A repeated prompt stays on one side.  Raises :class:`BadInput` if nothing would be left to train on.
    """
    unique = sorted({q.key for q in questions}, key=lambda key: hashlib.sha256(key.encode("utf-8", "replace")).digest())
    if count >= len(unique):
        raise BadInput(f"held_out = {count}, must be less than the {len(unique)} different prompts")
    chosen = set(unique[:count])
    aside = {q.key: q for q in reversed(questions) if q.key in chosen}
    return [q for q in questions if q.key not in chosen], [aside[key] for key in unique[:count]]


def _named_rows(source: str | Path) -> Iterator[tuple[str, Row]]:
    path = Path(source).expanduser()
    if path.is_dir():
        yield from ((f"{path.name}, row {i}", row) for i, row in enumerate(_saved(path), 1))
    elif path.is_file():
        yield from ((f"{path.name}, row {i}", row) for i, row in file_rows(existing(path, ())))
    else:
        yield from named_rows(str(source))


def _saved(folder: Path) -> Iterable[Row]:
    """The rows that ``datasets`` saved to a folder."""
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(str(folder))
    except (FileNotFoundError, ValueError) as error:
        raise BadInput(f"{folder}: is not a folder of `datasets` ({error})") from error
    if isinstance(found, DatasetDict):
        raise BadInput(f"{folder}: holds the splits {', '.join(found)}, must be the folder of one of them")
    rows: Iterable[Row] = found
    return rows


def _name(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else "source"

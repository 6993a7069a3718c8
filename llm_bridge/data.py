"""Texts to summarise and comparisons of answers: shipped, from a hub name, or from a file.

An :class:`Example` is a text with the summary that a person wrote; a :class:`Comparison` is one judgment of two answers
to a prompt, p(left ≻ right).  Files are JSONL (also .gz or .xz), CSV or parquet; an error names file, row and column.
A text belongs to the train, validation or test split by the hash of its *group*, so that related texts (packages of one
source, posts by one author) are never on two sides:

    split(x) = train if u < .8, validation if u < .9, else test,    u = SHA-256(group) / 2^48 (six bytes).

Nothing here uses the network, except that a hub name is fetched by the library `datasets`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import lzma
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import IO, Any, NamedTuple

from nashlab.files import replacing
from nashlab.game import BadInput, first_line, suggestion

__all__ = [
    "CORPORA",
    "SPLITS",
    "Comparison",
    "Example",
    "comparisons_at",
    "load_comparisons",
    "load_corpus",
    "split_of",
    "words",
    "write_comparisons",
]

SPLITS = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)
SUFFIXES = (".jsonl", ".jsonl.xz", ".jsonl.gz", ".csv", ".parquet")
DEBIAN = Path(__file__).parent / "corpora" / "debian.jsonl.xz"
WORD = re.compile(r"[^\W_]+(?:['’+#.-][^\W_]+)*")

Row = Mapping[str, Any]


class Example(NamedTuple):
    """A text and its human summary; ``group`` is what the split goes by (the text itself where it is empty)."""

    prompt: str
    summary: str
    group: str = ""


class Comparison(NamedTuple):
    """p(left ≻ right | prompt) in [0, 1]: 1 or 0 for a choice, between them for a share of raters."""

    prompt: str
    left: str
    right: str
    p: float = 1.0


@dataclass(frozen=True)
class _HubCorpus:
    """A published data set: where it is, and which columns mean what (a dot goes into a nested record)."""

    name: str
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    example: Callable[[Row], tuple[Any, Any]] = lambda row: (row["prompt"], row["completion"])
    comparison: Callable[[Row], tuple[Any, Any, Any, Any]] | None = None


def _feedback_example(row: Row) -> tuple[Any, Any]:
    return row["info"]["post"], row["summaries"][row["choice"]]["text"]


def _feedback_comparison(row: Row) -> tuple[Any, Any, Any, Any]:
    left, right = (summary["text"] for summary in row["summaries"])
    return row["info"]["post"], left, right, 1.0 - row["choice"]


HUB = {
    corpus.name: corpus
    for corpus in (
        _HubCorpus("trl-lib/tldr"),
        _HubCorpus("openai/summarize_from_feedback", "comparisons", {"test": "validation"},
                   _feedback_example, _feedback_comparison),
        _HubCorpus("EdinburghNLP/xsum", example=lambda row: (row["document"], row["summary"])),
        _HubCorpus("abisee/cnn_dailymail", "3.0.0", example=lambda row: (row["article"], row["highlights"])),
    )
}  # fmt: skip
ALIASES = {
    "tldr": "trl-lib/tldr",
    "xsum": "EdinburghNLP/xsum",
    "cnn_dailymail": "abisee/cnn_dailymail",
    "summarize_from_feedback": "openai/summarize_from_feedback",
}
CORPORA = ("debian", *ALIASES, *HUB)


def load_corpus(
    source: str | Path,
    split: str = "train",
    *,
    count: int | None = None,
    prompt: str = "prompt",
    summary: str = "summary",
    group: str | None = None,
) -> list[Example]:
    """The examples of one split, in the source's order.

    source   "debian" (shipped: 4,000 package descriptions and their synopses), a hub name or its short form
             ("trl-lib/tldr", "openai/summarize_from_feedback", "EdinburghNLP/xsum", "cnn_dailymail"; the only case that
             uses the network), or a JSONL, CSV or parquet file.
    split    "train", "validation" or "test": by the hash of the group, or as published for hub names (where TL;DR
             feedback has no test split, its validation split is taken).
    count    how many at most, the first ones.
    prompt, summary, group   columns of a file; without ``group`` the prompt is the group.

    Raises :class:`BadInput` for unknown names, a damaged file, a hub that cannot be reached, or a cell that is no text.

    >>> first = load_corpus("debian", "test", count=1)[0]
    >>> len(first.summary.split()) < len(first.prompt.split())
    True
    """
    if split not in SPLITS:
        raise BadInput(f"split = {split!r}, must be one of {', '.join(SPLITS)}{suggestion(split, SPLITS)}")
    _check_count(count)
    name = ALIASES.get(str(source), str(source))
    if name == "debian":
        found: Iterable[Example] = (e for e in _debian() if split_of(e.group) == split)
    elif name in HUB:
        found = _hub_examples(HUB[name], split, count)
    else:
        columns = {"prompt": prompt, "summary": summary} | ({"group": group} if group else {})
        read = (Example(**cells) for cells in _text_columns(_existing(source, CORPORA), columns))
        found = (e for e in read if split_of(e.group or e.prompt) == split)
    return list(islice(found, count))


def load_comparisons(
    source: str | Path,
    *,
    split: str = "train",
    count: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """Judgments from a file, all of it, or from a published data set.

    source   a JSONL, CSV or parquet file with the columns prompt, chosen, rejected or prompt, left, right, p; or
             "openai/summarize_from_feedback", the only case that uses the network and ``split``.
    count    how many at most, the first ones.
    columns  the file's own names, by ours: {"chosen": "winner"}.

    Raises :class:`BadInput` naming file, row and column, and for a count below 1.
    """
    _check_count(count)
    found = comparisons_at(source)
    if isinstance(found, Path):
        return list(islice(_file_comparisons(found, dict(columns or {})), count))
    return list(islice(_hub_comparisons(found, split, count), count))


def _check_count(count: int | None) -> None:
    if count is not None and not (isinstance(count, Integral) and count >= 1):
        raise BadInput(f"count = {count!r}, must be a whole number, at least 1")


def comparisons_at(source: str | Path) -> Path | _HubCorpus:
    """Where :func:`load_comparisons` would read: a file that exists, or a published data set; nothing is read yet."""
    name = ALIASES.get(str(source), str(source))
    return HUB.get(name) or _existing(source, ("summarize_from_feedback", "openai/summarize_from_feedback"))


def write_comparisons(path: str | Path, comparisons: Iterable[Comparison]) -> None:
    """Judgments as JSONL with the columns prompt, left, right, p: whole or not at all, and read back exactly."""
    # half a surrogate pair has no UTF-8, but a backslash's name in JSON
    with replacing(Path(path)) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for comparison in comparisons:
            file.write(json.dumps(comparison._asdict(), ensure_ascii=False) + "\n")


def split_of(group: str, shares: Sequence[float] = SHARES) -> str:
    """The split of a group: "train", "validation" or "test" in these shares, by its SHA-256.

    >>> [split_of(name) for name in ("apt", "dpkg", "vim")] == [split_of(name) for name in ("apt", "dpkg", "vim")]
    True
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise BadInput(f"shares = {tuple(shares)}, must be three shares (train, validation, test) that sum to 1")
    u = _uniform(group)
    return SPLITS[0] if u < shares[0] else SPLITS[1] if u < shares[0] + shares[1] else SPLITS[2]


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation around them.

    >>> words("C++-like X11 toolkit (3.2.1), it's fast.")
    ['c', 'like', 'x11', 'toolkit', '3.2.1', "it's", 'fast']
    """
    return WORD.findall(text.lower())


def _uniform(key: str, salt: str = "split") -> float:
    """A number in [0, 1) that depends on the key alone; salted, as the extract was itself chosen by a hash of names."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode("utf-8", "surrogatepass")).digest()[:6]) / 2**48


# -- the shipped extract ---------------------------------------------------------------------------------------------


def _debian() -> Iterator[Example]:
    """The shipped extract, if its bytes are those that its checksum file names."""
    path = DEBIAN
    try:
        data = path.read_bytes()
        expected = path.with_name(path.name + ".sha256").read_text().split()[0]
    except (OSError, IndexError) as error:
        raise BadInput(
            f"the corpus {path.name} or its checksum is missing ({error}); install the package again"
        ) from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise BadInput(f"the corpus {path.name} is damaged: its SHA-256 is not {expected[:16]}...; "
                       "install the package again")  # fmt: skip
    pairs = [json.loads(line) for line in lzma.decompress(data).decode().splitlines()]
    for pair in sorted(pairs, key=lambda pair: _uniform(pair["source"], "order")):  # the file is in the order of names
        yield Example(pair["text"], pair["synopsis"], pair["source"])


# -- files -----------------------------------------------------------------------------------------------------------


def _existing(source: str | Path, known: Sequence[str]) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        near = suggestion(str(source), known, f"; known are {', '.join(known)}")
        raise BadInput(f"source = {str(source)!r} is no file and no known corpus{near}")
    if not path.name.endswith(SUFFIXES):
        raise BadInput(f"source = {path.name!r}, must end in one of {', '.join(SUFFIXES)}")
    return path


def _file_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(number, row) of a file; the number is the line for JSONL, and counts records from 1 for the others."""
    try:
        if path.suffix == ".parquet":
            yield from enumerate(_parquet_rows(path), 1)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from enumerate(_csv_rows(path, file), 1)
        else:
            with _opened(path) as file:
                yield from _json_rows(path, file)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path.name}: cannot be read ({error})") from None


def _opened(path: Path) -> IO[str]:
    opener: Any = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8-sig")


def _csv_rows(path: Path, file: Iterable[str]) -> Iterator[Row]:
    reader = csv.DictReader(file)
    _check_columns(reader.fieldnames or (), path.name)
    for number, row in enumerate(reader, 1):
        if None in row:
            raise BadInput(f"{path.name}, row {number}: has {len(row[None])} more cells than there are columns")
        yield row


def _check_columns(names: Iterable[str], where: str) -> None:
    """No name twice: readers would take the last one and drop the others."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise BadInput(f"{where}: has the column {twice[0]!r} more than once, must have different ones")


def _json_rows(path: Path, file: Iterable[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        where = f"{path.name}, row {number}"
        try:
            row = json.loads(line, object_pairs_hook=partial(_object, where))
        except BadInput:
            raise
        except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError
            raise BadInput(f"{where}: is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise BadInput(f"{where}: is a {type(row).__name__}, must be an object with columns")
        yield number, row


def _object(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_columns((name for name, _ in pairs), where)
    return dict(pairs)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, path.name)
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise BadInput(f"{path.name}: is not a parquet file ({error})") from None


def _text_columns(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The cells of the named columns of every row, by our names."""
    empty = True
    for number, row in _file_rows(path):
        empty = False
        yield {ours: _text(row, theirs, f"{path.name}, row {number}") for ours, theirs in columns.items()}
    if empty:
        raise BadInput(f"{path.name}: holds no rows")


def _file_comparisons(path: Path, columns: dict[str, str]) -> Iterator[Comparison]:
    ours = ("prompt", "chosen", "rejected", "left", "right", "p")
    for name in columns:
        if name not in ours:
            raise BadInput(f"columns[{name!r}] is not a column of comparisons{suggestion(name, ours)}")
    names = {name: columns.get(name, name) for name in ours}
    empty = True
    for number, row in _file_rows(path):
        empty = False
        yield _comparison(row, names, f"{path.name}, row {number}")
    if empty:
        raise BadInput(f"{path.name}: holds no rows")


def _comparison(row: Row, names: Mapping[str, str], where: str) -> Comparison:
    is_choice = names["chosen"] in row or names["rejected"] in row
    if not is_choice and names["left"] not in row and names["right"] not in row:
        raise BadInput(f"{where}: has the columns {', '.join(map(str, row))}, must have prompt, chosen, rejected "
                       "or prompt, left, right, p (name others with `columns`)")  # fmt: skip
    choice = {names["chosen"], names["rejected"]}
    also = [names[name] for name in ("left", "right", "p") if names[name] in row and names[name] not in choice]
    if is_choice and also:
        raise BadInput(f"{where}: has the column {also[0]!r} beside {' or '.join(sorted(choice))}, "
                       "must have either prompt, chosen, rejected or prompt, left, right, p")  # fmt: skip
    pair = ("chosen", "rejected") if is_choice else ("left", "right")
    prompt, left, right = (_text(row, names[name], where) for name in ("prompt", *pair))
    return Comparison(prompt, left, right, 1.0 if is_choice else _probability(row, names["p"], where))


def _text(row: Row, column: str, where: str) -> str:
    value = _cell(row, column, where)
    if not isinstance(value, str):
        raise BadInput(f"{where}, column {column!r}: is {_shown(value)}, must be text")
    return value


def _probability(row: Row, column: str, where: str) -> float:
    value = _cell(row, column, where)
    try:
        # Python's own "0_1" is a number to nobody else
        number = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 1:
        raise BadInput(f"{where}, column {column!r}: is {_shown(value)}, must be a probability between 0 and 1")
    return number


def _cell(row: Row, column: str, where: str) -> Any:
    if column not in row:
        known = [str(name) for name in row]
        raise BadInput(f"{where}, column {column!r}: is missing (there are {', '.join(known)})"
                       f"{suggestion(column, known)}")  # fmt: skip
    return row[column]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


# -- published data sets ---------------------------------------------------------------------------------------------


def _hub_examples(corpus: _HubCorpus, split: str, count: int | None) -> Iterator[Example]:
    for number, row in _hub_rows(corpus, split, count):
        prompt, summary = _read(corpus.example, row, corpus.name, number)
        yield Example(prompt, summary)


def _hub_comparisons(corpus: _HubCorpus, split: str, count: int | None) -> Iterator[Comparison]:
    if corpus.comparison is None:
        raise BadInput(f"source = {corpus.name!r} holds summaries but no comparisons, must be a file of comparisons or "
                       "'openai/summarize_from_feedback'")  # fmt: skip
    for number, row in _hub_rows(corpus, split, count):
        yield Comparison(*_read(corpus.comparison, row, corpus.name, number))


def _read(columns: Callable[[Row], tuple[Any, ...]], row: Row, name: str, number: int) -> tuple[Any, ...]:
    try:
        return columns(row)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadInput(f"{name}, row {number}: has the columns {', '.join(row)}, not those expected "
                       f"({type(error).__name__}: {error})") from None  # fmt: skip


def _hub_rows(corpus: _HubCorpus, split: str, count: int | None) -> Iterator[tuple[int, Row]]:
    """Rows of the published split; ``datasets`` keeps what it has fetched."""
    try:
        rows = _fetched(corpus, corpus.splits.get(split, split), count)
    except Exception as error:  # every layer below the hub client has errors of its own
        raise BadInput(f"source = {corpus.name!r} cannot be fetched from the hub ({first_line(error)}); without a "
                       "network, give a local JSONL or parquet file") from error  # fmt: skip
    yield from enumerate(rows, 1)


def _fetched(corpus: _HubCorpus, split: str, count: int | None) -> Iterable[Row]:
    from datasets import load_dataset

    wanted = split if count is None else f"{split}[:{count}]"
    try:
        return load_dataset(corpus.name, corpus.config, split=wanted)
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        # published as a loading script: the hub keeps its output as parquet on a branch of its own
        return load_dataset(corpus.name, corpus.config, split=wanted, revision="refs/convert/parquet")

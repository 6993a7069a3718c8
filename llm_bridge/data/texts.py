"""Texts to summarise and comparisons of answers: shipped, from a hub name, or from a file.

An :class:`Example` is a text with a human summary; a :class:`Comparison` is one judgment of two answers to a prompt,
p(left ≻ right).  Files are JSONL (also .gz or .xz), CSV or parquet; errors name file, row and column.  The hash of a
text's *group* assigns it to the train, validation or test split, so that related texts (packages of one source, posts
by one author) are never on two sides:

    split(x) = train if u < .8, validation if u < .9, else test,    u = SHA-256(group) / 2^48 (six bytes).

Nothing here uses the network, except that a hub name is fetched by the library `datasets`.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from numbers import Integral
from pathlib import Path

from llm_bridge.data.files import Row, existing, file_rows, probability_in, text_columns, text_in
from llm_bridge.data.hub import ALIASES, CORPORA, HUB, HubCorpus, hub_comparisons, hub_examples
from llm_bridge.data.records import Comparison, Example
from nashlab.files import replacing
from nashlab.game import BadInput, suggestion

__all__ = ["SPLITS", "comparisons_at", "load_comparisons", "load_corpus", "split_of", "write_comparisons"]

SPLITS = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)
DEBIAN = Path(__file__).parent / "corpora" / "debian.jsonl.xz"


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
    split    "train", "validation" or "test": by the hash of the group, or as published for hub names (TL;DR feedback
             has no test split, so its validation split is used).
    count    at most the first ``count`` examples.
    prompt, summary, group   columns of a file; without ``group`` the prompt is the group.

    Raises :class:`BadInput` for unknown names, a damaged file, an unreachable hub, or a cell that is not a text.

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
        found = hub_examples(HUB[name], split, count)
    else:
        columns = {"prompt": prompt, "summary": summary} | ({"group": group} if group else {})
        read = (Example(**cells) for cells in text_columns(existing(source, CORPORA), columns))
        found = (e for e in read if split_of(e.group or e.prompt) == split)
    return list(islice(found, count))


def load_comparisons(
    source: str | Path,
    *,
    split: str = "train",
    count: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """All judgments of a file, or of a published data set.

    source   a JSONL, CSV or parquet file with the columns prompt, chosen, rejected or prompt, left, right, p; or
             "openai/summarize_from_feedback", the only case that uses the network and ``split``.
    count    at most the first ``count`` judgments.
    columns  the file's own names, keyed by ours: {"chosen": "winner"}.

    Raises :class:`BadInput` with file, row and column, and for a count below 1.
    """
    _check_count(count)
    found = comparisons_at(source)
    if isinstance(found, Path):
        return list(islice(_file_comparisons(found, dict(columns or {})), count))
    return list(islice(hub_comparisons(found, split, count), count))


def _check_count(count: int | None) -> None:
    if count is not None and not (isinstance(count, Integral) and count >= 1):
        raise BadInput(f"count = {count!r}, must be a whole number, at least 1")


def comparisons_at(source: str | Path) -> Path | HubCorpus:
    """The source that :func:`load_comparisons` would read: an existing file or a published data set; reads nothing."""
    name = ALIASES.get(str(source), str(source))
    return HUB.get(name) or existing(source, ("summarize_from_feedback", "openai/summarize_from_feedback"))


def write_comparisons(path: str | Path, comparisons: Iterable[Comparison]) -> None:
    """Judgments as JSONL with the columns prompt, left, right, p; written atomically, and read back exactly."""
    # half a surrogate pair has no UTF-8, but JSON can escape it
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


def _uniform(key: str, salt: str = "split") -> float:
    """A number in [0, 1) that depends only on the key; salted, because a hash of names also chose the extract."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode("utf-8", "surrogatepass")).digest()[:6]) / 2**48


def _debian() -> Iterator[Example]:
    """The shipped extract, after a check of its SHA-256."""
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
    for pair in sorted(pairs, key=lambda pair: _uniform(pair["source"], "order")):  # the file is sorted by name
        yield Example(pair["text"], pair["synopsis"], pair["source"])


def _file_comparisons(path: Path, columns: dict[str, str]) -> Iterator[Comparison]:
    ours = ("prompt", "chosen", "rejected", "left", "right", "p")
    for name in columns:
        if name not in ours:
            raise BadInput(f"columns[{name!r}] is not a column of comparisons{suggestion(name, ours)}")
    names = {name: columns.get(name, name) for name in ours}
    empty = True
    for number, row in file_rows(path):
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
        raise BadInput(f"{where}: has the column {also[0]!r} next to {' or '.join(sorted(choice))}, "
                       "must have either prompt, chosen, rejected or prompt, left, right, p")  # fmt: skip
    pair = ("chosen", "rejected") if is_choice else ("left", "right")
    prompt, left, right = (text_in(row, names[name], where) for name in ("prompt", *pair))
    return Comparison(prompt, left, right, 1.0 if is_choice else probability_in(row, names["p"], where))

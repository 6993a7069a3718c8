"""Published data sets, fetched by the library `datasets`: where each one is, and what its columns mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_bridge.data.files import Row
from llm_bridge.data.records import Comparison, Example
from nashlab.game import BadInput, first_line

__all__ = ["CORPORA", "named_rows"]


@dataclass(frozen=True)
class HubCorpus:
    """A published data set: its location, its splits, and functions that read a text or a comparison from a row.

    name, config  of the data set;  splits  its names for our splits, if they differ.
    example       row -> (text, summary);  comparison  row -> (prompt, left, right, p), None if it has none.
    """

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
        HubCorpus("trl-lib/tldr"),
        HubCorpus("openai/summarize_from_feedback", "comparisons", {"test": "validation"},
                   _feedback_example, _feedback_comparison),
        HubCorpus("EdinburghNLP/xsum", example=lambda row: (row["document"], row["summary"])),
        HubCorpus("abisee/cnn_dailymail", "3.0.0", example=lambda row: (row["article"], row["highlights"])),
    )
}  # fmt: skip
ALIASES = {
    "tldr": "trl-lib/tldr",
    "xsum": "EdinburghNLP/xsum",
    "cnn_dailymail": "abisee/cnn_dailymail",
    "summarize_from_feedback": "openai/summarize_from_feedback",
}
CORPORA = ("debian", *ALIASES, *HUB)


def hub_examples(corpus: HubCorpus, split: str, count: int | None) -> Iterator[Example]:
    for number, row in _hub_rows(corpus, split, count):
        prompt, summary = _read(corpus.example, row, corpus.name, number)
        yield Example(prompt, summary)


def hub_comparisons(corpus: HubCorpus, split: str, count: int | None) -> Iterator[Comparison]:
    if corpus.comparison is None:
        raise BadInput(f"source = {corpus.name!r} holds summaries but no comparisons, must be a file of comparisons or "
                       "'openai/summarize_from_feedback'")  # fmt: skip
    for number, row in _hub_rows(corpus, split, count):
        yield Comparison(*_read(corpus.comparison, row, corpus.name, number))


def named_rows(source: str) -> Iterator[tuple[str, Row]]:
    """(where, row) of any data set on the hub: "owner/name", or "owner/name:split" (default: train)."""
    name, _, split = source.removeprefix("hub:").partition(":")
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or " " in name:
        raise BadInput(f"source = {source!r} is not a file, a folder or a hub name (owner/name or owner/name:split)")
    for number, row in _hub_rows(HubCorpus(name), split or "train", None):
        yield f"{source}, row {number}", row


def _read(columns: Callable[[Row], tuple[Any, ...]], row: Row, name: str, number: int) -> tuple[Any, ...]:
    try:
        return columns(row)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadInput(f"{name}, row {number}: has the columns {', '.join(row)}, not those expected "
                       f"({type(error).__name__}: {error})") from None  # fmt: skip


def _hub_rows(corpus: HubCorpus, split: str, count: int | None) -> Iterator[tuple[int, Row]]:
    """Rows of the published split; ``datasets`` caches downloads."""
    try:
        rows = _fetched(corpus, corpus.splits.get(split, split), count)
    except Exception as error:  # every layer below the hub client raises its own errors
        raise BadInput(f"source = {corpus.name!r} cannot be fetched from the hub ({first_line(error)}); without a "
                       "network, give a local JSONL or parquet file") from error  # fmt: skip
    yield from enumerate(rows, 1)


def _fetched(corpus: HubCorpus, split: str, count: int | None) -> Iterable[Row]:
    from datasets import load_dataset

    wanted = split if count is None else f"{split}[:{count}]"
    try:
        return load_dataset(corpus.name, corpus.config, split=wanted)
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        # published as a loading script, whose output the hub keeps as parquet on a separate branch
        return load_dataset(corpus.name, corpus.config, split=wanted, revision="refs/convert/parquet")

"""Debian package descriptions as a corpus for extreme summarisation: long description -> one-line synopsis.

    apt-get -o Acquire::Languages=en update
    python -m llm_bridge.data.corpora.build debian.jsonl.xz

Both texts are written by people; the synopsis is meant to be read on its own in a list of packages.  The script reads
apt's indices: `Packages` (name, source, section) joined with `Translation-en` (texts) by `Description-md5`.  A pair is
kept if

    the description has 40 to 140 words, the synopsis 4 to 25,
    at most 60 % of the synopsis' words do not occur in the description (novelty),
    the package holds a program or a library, not documentation, headers, data, debugging symbols or dependencies,
    neither text has occurred before, and no other pair comes from the same source package.

Of these, the 4,000 whose source packages have the smallest SHA-256 are kept, a choice that depends on names alone, and
written in order of their names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from llm_bridge.data.records import words
from nashlab.files import replacing

__all__ = ["Pair", "build", "novelty", "parse_records", "select", "unfolded"]

TEXT_WORDS = (40, 140)  # with 200 the extract would exceed 600 kB
SYNOPSIS_WORDS = (4, 25)
LARGEST_NOVELTY = 0.6
DEPENDENT_NAME = re.compile(
    r"-(doc|docs|dev|devel|data|dbg|dbgsym|common|examples?|headers?|locales?|l10n|i18n|source|src|tests?|prof|all|meta)$"
    r"|-(doc|help|l10n|i18n|locale)-"
)
DEPENDENT_SECTIONS = {"debug", "doc", "libdevel", "localization", "metapackages", "oldlibs", "tasks"}
ITEM = re.compile(r"^([*+o•·-]|\d+[.)])\s+")


class Pair(NamedTuple):
    """One package: its name, its source package, the long description and the synopsis."""

    package: str
    source: str
    text: str
    synopsis: str


def parse_records(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Paragraphs of "Field: value" lines with indented continuations, as in Debian's control files.

    >>> list(parse_records(["Package: a", "Description-en: short", " long", "", "Package: b"]))
    [{'Package': 'a', 'Description-en': 'short\\n long'}, {'Package': 'b'}]
    """
    record: dict[str, str] = {}
    name = ""
    for line in map(str.rstrip, lines):
        if not line:
            if record:
                yield record
            record = {}
        elif line[0] in " \t":
            record[name] += "\n" + line
        else:
            name, _, value = line.partition(":")
            record[name] = value.strip()
    if record:
        yield record


def unfolded(lines: Iterable[str]) -> str:
    """The body of a long description as prose: wrapped lines joined, items and paragraphs on separate lines.

    >>> unfolded([" A game of", " war.", " .", " Features:", "  * maps", "  * and", "    ships"])
    'A game of war.\\nFeatures:\\n* maps\\n* and ships'
    """
    found: list[str] = []
    fresh = True
    for line in lines:
        content = " ".join(line.split())
        if content in ("", "."):
            fresh = True
        elif fresh or ITEM.match(content):
            found.append(content)
            fresh = False
        else:
            found[-1] += " " + content
    return "\n".join(found)


def novelty(text: str, synopsis: str) -> float:
    """The share of the synopsis' words that do not occur in the text."""
    known, said = set(words(text)), words(synopsis)
    return sum(word not in known for word in said) / max(len(said), 1)


def select(pairs: Iterable[Pair], count: int) -> list[Pair]:
    """The first ``count`` good pairs by the hash of their source package, one per source package."""
    seen: set[str] = set()
    chosen = []
    for pair in sorted(pairs, key=lambda p: (_digest(p.source), p.package)):
        marks = {"s:" + pair.source, "t:" + pair.text.casefold(), "y:" + pair.synopsis.casefold()}
        if marks & seen or not _is_good(pair):
            continue
        seen |= marks
        chosen.append(pair)
        if len(chosen) == count:
            break
    return chosen


def _is_good(pair: Pair) -> bool:
    long, short = len(words(pair.text)), len(words(pair.synopsis))
    return (
        TEXT_WORDS[0] <= long <= TEXT_WORDS[1]
        and SYNOPSIS_WORDS[0] <= short <= SYNOPSIS_WORDS[1]
        and not DEPENDENT_NAME.search(pair.package)
        and novelty(pair.text, pair.synopsis) <= LARGEST_NOVELTY
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def build(path: Path, count: int) -> str:
    """Write the extract and, next to it, its checksum; returns the SHA-256."""
    # similar neighbours compress better, by one per cent
    chosen = sorted(select(_installed_pairs(), count), key=lambda pair: pair.source)
    lines = "".join(json.dumps(pair._asdict(), ensure_ascii=False) + "\n" for pair in chosen)
    data = lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME)
    digest = hashlib.sha256(data).hexdigest()
    with replacing(path) as part:
        part.write_bytes(data)
    checksum = path.with_name(path.name + ".sha256")
    with replacing(checksum) as part:
        part.write_text(f"{digest}  {path.name}\n")
    return digest


def _installed_pairs() -> Iterator[Pair]:
    """Every package known to apt, with its English description."""
    texts = {r["Description-md5"]: r["Description-en"] for r in _index("Translations") if "Description-en" in r}
    for record in _index("Packages"):
        section = record.get("Section", "").rpartition("/")[2]
        description = texts.get(record.get("Description-md5", ""))
        if description is None or section in DEPENDENT_SECTIONS:
            continue
        synopsis, *body = description.split("\n")
        source = record.get("Source", record["Package"]).split(" ")[0]  # "name (version)" where the versions differ
        yield Pair(record["Package"], source, unfolded(body), synopsis.strip())


def _index(kind: str) -> Iterator[dict[str, str]]:
    """The records of one kind of apt index, decompressed by apt itself."""
    english = ["-o", "Acquire::Languages=en"]
    listing = subprocess.run(
        ["apt-get", *english, "indextargets", "--format", "$(FILENAME)", f"Created-By: {kind}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for file in listing.stdout.split():
        shown = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", file], capture_output=True, check=True)
        yield from parse_records(shown.stdout.decode().split("\n"))


def main() -> None:
    """Build the extract at the given path."""
    parser = argparse.ArgumentParser(description="Debian descriptions -> synopses; run `apt-get update` first.")
    parser.add_argument("path", type=Path, help="the file to write, e.g. debian.jsonl.xz")
    parser.add_argument("--count", type=int, default=4000, help="how many pairs (default 4000)")
    options = parser.parse_args()
    print(build(options.path, options.count), options.path)


if __name__ == "__main__":
    main()

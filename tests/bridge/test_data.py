"""Corpora and comparison files: what is shipped is intact, what is read is what was written, what is wrong is named."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import json
import lzma
import os
import subprocess
import sys
import types
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from llm_bridge.data import (
    SPLITS,
    Comparison,
    Example,
    load_comparisons,
    load_corpus,
    split_of,
    words,
    write_comparisons,
)
from llm_bridge.data import texts as data
from llm_bridge.data.corpora import build
from llm_bridge.data.texts import DEBIAN
from nashlab.game import BadInput

SOFT = [
    Comparison("x", "a", "b", 0.25),
    Comparison("zwölf «Worte»", "c\nd", "", 1.0),
    Comparison("x", "b", "e", 0.1 + 0.2),
]


# -- the shipped extract ---------------------------------------------------------------------------------------------


def shipped() -> list[dict[str, str]]:
    return [json.loads(line) for line in lzma.decompress(DEBIAN.read_bytes()).decode().splitlines()]


def test_the_extract_keeps_the_rules_of_its_script() -> None:
    pairs = shipped()
    assert len(pairs) == 4000
    assert DEBIAN.stat().st_size < 600_000
    for column in ("package", "source", "text", "synopsis"):
        assert len({pair[column].casefold() for pair in pairs}) == 4000
    for pair in pairs:
        said = pair["synopsis"].split()
        known = set(words(pair["text"]))
        new = sum(w not in known for w in words(pair["synopsis"])) / len(words(pair["synopsis"]))
        assert 40 <= len(words(pair["text"])) <= 140
        assert len(said) <= 25
        assert 4 <= len(words(pair["synopsis"])) <= 25
        assert new <= 0.6
        assert not pair["package"].endswith(("-doc", "-dev", "-data", "-dbg"))


def test_the_three_splits_part_the_extract_by_source_package() -> None:
    splits = {name: load_corpus("debian", name) for name in SPLITS}
    groups = {name: {e.group for e in found} for name, found in splits.items()}
    assert sum(map(len, splits.values())) == 4000
    assert len(set.union(*groups.values())) == 4000
    assert {e.group for found in splits.values() for e in found} == {pair["source"] for pair in shipped()}
    # 4,000 draws with probabilities .8, .1, .1: six standard deviations are 152, 114 and 114
    for name, expected, slack in zip(SPLITS, (3200, 400, 400), (152, 114, 114), strict=True):
        assert abs(len(splits[name]) - expected) < slack


def test_packages_of_one_source_are_never_on_two_sides() -> None:
    names = [f"package-{i}" for i in range(300)]
    assert [split_of(name) for name in names] == [split_of(name) for name in names]
    assert set(map(split_of, names)) == set(SPLITS)
    assert Counter(split_of(name, (0.0, 0.0, 1.0)) for name in names) == {"test": 300}
    assert split_of("apt") == "train"  # what the split was when results were published: it may not change
    with pytest.raises(BadInput, match="sum to 1"):
        split_of("apt", (0.5, 0.1, 0.1))


def test_count_takes_the_first_and_the_order_is_not_that_of_names() -> None:
    everything = load_corpus("debian", "test")
    assert load_corpus("debian", "test", count=5) == everything[:5]
    assert [e.group for e in everything] != sorted(e.group for e in everything)
    with pytest.raises(BadInput, match="count = 0"):
        load_corpus("debian", count=0)


@pytest.mark.parametrize("damage", ["flipped", "cut", "checksum", "missing"])
def test_a_damaged_extract_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    content = bytearray(DEBIAN.read_bytes())
    copy, checksum = tmp_path / DEBIAN.name, tmp_path / (DEBIAN.name + ".sha256")
    checksum.write_text(DEBIAN.with_name(DEBIAN.name + ".sha256").read_text())
    copy.write_bytes(content)
    monkeypatch.setattr(data, "DEBIAN", copy)
    assert len(load_corpus("debian", "test")) > 300  # the copy itself is whole
    match damage:
        case "flipped":
            content[len(content) // 2] ^= 1
            copy.write_bytes(content)
        case "cut":
            copy.write_bytes(content[:-100])
        case "checksum":
            checksum.write_text("0" * 64)
        case "missing":
            copy.unlink()
    what = "missing" if damage == "missing" else "damaged"
    with pytest.raises(BadInput, match=rf"debian\.jsonl\.xz.*{what}.*install the package again") as error:
        load_corpus("debian", "test")
    assert "\n" not in str(error.value)


def test_notice_and_checksum_lie_beside_the_extract() -> None:
    assert "licence" in DEBIAN.with_name("NOTICE").read_text()
    digest, name = DEBIAN.with_name(DEBIAN.name + ".sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(DEBIAN.read_bytes()).hexdigest(), DEBIAN.name)


# -- the script ------------------------------------------------------------------------------------------------------

BODY = " ".join(f"word{i}" for i in range(50))


def pair(source: str = "s", package: str = "p", text: str = BODY, said: str = "word1 word2 word3 word4") -> build.Pair:
    return build.Pair(package, source, text, said)


@pytest.mark.parametrize(
    "bad",
    [
        pair(package="p-dev"),
        pair(package="p-doc-html"),
        pair(package="libp-data"),
        pair(text="too short"),
        pair(text=BODY * 4),
        pair(said="word1 word2 word3"),
        pair(said=" ".join(f"word{i}" for i in range(26))),
        pair(said="word1 novel fresh unheard"),
    ],
)  # fmt: skip
def test_the_script_drops_what_its_rules_exclude(bad: build.Pair) -> None:
    assert build.select([bad], 9) == []
    assert build.select([pair()], 9) == [pair()]


def test_the_script_keeps_one_of_equal_texts_and_of_a_source() -> None:
    same_source = [pair("s", "a"), pair("s", "b", BODY + " more", "word5 word6 word7 word8")]
    same_text = [pair("s"), pair("t", said="word5 word6 word7 word8")]
    different = [pair("s"), pair("t", text=BODY + " more", said="word5 word6 word7 word8")]
    assert [len(build.select(pairs, 9)) for pairs in (same_source, same_text, different)] == [1, 1, 2]
    assert build.select(different, 9) == build.select(different[::-1], 9)
    assert len(build.select(different, 1)) == 1


def test_the_script_joins_indices_and_writes_what_the_loader_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded = "\n".join([" " + BODY[:200], " " + BODY[200:], " .", "  * item"])
    indices = {
        "Packages": "Package: tool\nSource: suite (1.2)\nSection: utils\nDescription-md5: 1\n\n"
        "Package: texts\nSection: contrib/doc\nDescription-md5: 1\n\nPackage: lost\nDescription-md5: 9\n",
        "Translations": f"Package: tool\nDescription-md5: 1\nDescription-en: word1 word2 word3 word4\n{folded}\n",
    }

    def apt(command: list[str], **options: Any) -> types.SimpleNamespace:
        kind = command[-1].removeprefix("Created-By: ")
        output = kind if command[0] == "apt-get" else indices[kind].encode()
        return types.SimpleNamespace(stdout=output)

    monkeypatch.setattr(subprocess, "run", apt)
    path = tmp_path / "made.jsonl.xz"
    digest = build.build(path, 10)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    split = split_of("suite")
    monkeypatch.setattr(data, "DEBIAN", path)
    (example,) = load_corpus("debian", split)
    # two wrapped lines are joined by a blank, which may cut a word of the body in two
    assert example.prompt.replace(" ", "") == (BODY + "\n* item").replace(" ", "")
    assert (example.summary, example.group) == ("word1 word2 word3 word4", "suite")


# -- files -----------------------------------------------------------------------------------------------------------


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows in the format that the name asks for."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    match "".join(path.suffixes):
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(lines.encode()))
        case ".jsonl.xz":
            path.write_bytes(lzma.compress(lines.encode()))
        case _:
            path.write_text(lines)
    return path


FORMATS = pytest.mark.parametrize("name", ["f.jsonl", "f.jsonl.gz", "f.jsonl.xz", "f.csv", "f.parquet"])


@FORMATS
def test_every_format_gives_back_the_comparisons(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, [comparison._asdict() for comparison in SOFT])
    assert load_comparisons(path) == SOFT
    assert load_comparisons(path, count=2) == SOFT[:2]


@FORMATS
def test_chosen_and_rejected_are_a_sure_win_under_any_names(tmp_path: Path, name: str) -> None:
    rows = [{"post": "x", "better": "a", "worse": "b"}, {"post": "y", "better": "c", "worse": "d"}]
    path = written(tmp_path / name, rows)
    found = load_comparisons(path, columns={"prompt": "post", "chosen": "better", "rejected": "worse"})
    assert found == [Comparison("x", "a", "b", 1.0), Comparison("y", "c", "d", 1.0)]


@FORMATS
def test_examples_come_from_any_format_and_split_by_their_group(tmp_path: Path, name: str) -> None:
    rows = [{"body": f"text {i}", "title": f"t{i}", "author": f"author {i % 7}"} for i in range(60)]
    path = written(tmp_path / name, rows)
    columns = {"prompt": "body", "summary": "title", "group": "author"}
    splits = {split: load_corpus(path, split, **columns) for split in SPLITS}
    assert sum(map(len, splits.values())) == 60
    sides = [{e.group for e in found} for found in splits.values()]
    assert sum(map(len, sides)) == 7
    ungrouped = load_corpus(path, "train", prompt="body", summary="title")
    assert all(split_of(e.prompt) == "train" and e.group == "" for e in ungrouped)


def test_comparisons_are_written_whole_and_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    write_comparisons(path, SOFT)
    assert load_comparisons(path) == SOFT

    def breaking() -> Any:
        yield SOFT[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_comparisons(path, breaking())
    assert load_comparisons(path) == SOFT
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x", "left": "a", "right": "b"}, r"row 2, column 'p': is missing \(there are prompt, left"),
        ({"prompt": "x", "left": "a", "right": "b", "p": 1.5}, "row 2, column 'p': is 1.5, must be a probability"),
        ({"prompt": "x", "left": "a", "right": "b", "p": "often"}, "row 2, column 'p': is 'often', must be a prob"),
        ({"prompt": "x", "left": "a", "right": "b", "p": True}, "row 2, column 'p': is True"),
        ({"prompt": "x", "left": "a", "right": "b", "p": None}, "row 2, column 'p': is None"),
        ({"prompt": "x", "left": "a", "right": "b", "p": float("nan")}, "row 2, column 'p': is nan"),
        ({"prompt": 3, "left": "a", "right": "b", "p": 1}, "row 2, column 'prompt': is 3, must be text"),
        ({"prompt": "x", "chosen": ["a"], "rejected": "b"}, r"row 2, column 'chosen': is \['a'\], must be text"),
        ({"prompt": "x", "chosen": "a", "reject": "b"}, "row 2, column 'rejected': is missing.*did you mean 'reject'"),
        (
            {"prompt": "x", "left": "a", "right": "b", "p": 10**400},
            "row 2, column 'p': is 1000.*, must be a probability",
        ),
        ({"prompt": "x", "left": "a", "right": "b", "p": "0_1"}, "row 2, column 'p': is '0_1', must be a probability"),
        ({"prompt": "x", "chosen": "a", "rejected": "b", "p": 0.2}, "row 2: has the column 'p' next to chosen or rej"),
        (
            SOFT[0]._asdict() | {"chosen": "a", "rejected": "b"},
            "row 2: has the column 'left' next to chosen or rejected",
        ),
        ({"question": "x", "yes": "a"}, "row 2: has the columns question, yes, must have prompt, chosen, rejected or"),
    ],
)
def test_an_error_names_file_row_and_column(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = written(tmp_path / "votes.jsonl", [SOFT[0]._asdict(), row])
    with pytest.raises(BadInput, match=r"votes\.jsonl, " + message):
        load_comparisons(path)


WHOLE = {"prompt": "x", "summary": "y", "left": "a", "right": "b", "p": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.jsonl", b'{"prompt": "x"\n', "row 1: is not JSON"),
        ("f.jsonl", b"[1, 2]\n", "row 1: is a list, must be an object"),
        ("f.jsonl", b"\xff\xfe\n", "cannot be read"),
        ("f.jsonl", b"", "holds no rows"),
        ("f.jsonl.xz", b"not compressed", "cannot be read"),
        ("f.jsonl.gz", gzip.compress(json.dumps(WHOLE).encode() + b"\n", mtime=0)[:-9], "cannot be read"),
        ("f.parquet", b"PAR1", "is not a parquet file"),
        ("f.csv", b"prompt,left\n", "holds no rows"),
        ("f.csv", b"prompt,left,right,p,left\nx,a,b,1,c\n", "f.csv: has the column 'left' more than once"),
        ("f.csv", b"prompt,left,right,p,summary\nx,a,b,1,y,z\n", "row 1: has 1 more cells than there are columns"),
        (
            "f.jsonl",
            b'{"prompt": "x", "summary": "y", "prompt": "z"}\n',
            "row 1: has the column 'prompt' more than once",
        ),
        ("f.jsonl", b'{"prompt": "x", "p": 1%s}\n' % (b"0" * 5000), "row 1: is not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for load in (load_comparisons, load_corpus):
        with pytest.raises(BadInput, match=message):
            load(path)  # type: ignore[operator]


def test_damage_within_a_compressed_file_is_one_clear_error(tmp_path: Path) -> None:
    path = written(tmp_path / "f.jsonl.gz", [comparison._asdict() for comparison in SOFT] * 50)
    whole = path.read_bytes()
    kinds = set()
    for place in range(10, 60):  # behind the header: bits of the compressed stream itself
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(BadInput, match=r"f\.jsonl\.gz") as caught:
            load_comparisons(path)
        assert "\n" not in str(caught.value)
        try:
            gzip.decompress(path.read_bytes())
        except Exception as error:
            kinds.add(type(error))
    assert zlib.error in kinds  # the canary: the damage is of that kind too


def test_a_column_that_occurs_twice_in_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    columns = [pyarrow.array([text]) for text in "xabc"]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, ["prompt", "chosen", "rejected", "chosen"]), path)
    with pytest.raises(BadInput, match=r"f\.parquet: has the column 'chosen' more than once"):
        load_comparisons(path)


@pytest.mark.parametrize("name", ["f.jsonl", "f.jsonl.gz", "f.jsonl.xz", "f.csv"])
def test_a_mark_of_the_byte_order_is_no_part_of_a_file(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, [comparison._asdict() for comparison in SOFT])
    pack, unpack = {".gz": (gzip.compress, gzip.decompress), ".xz": (lzma.compress, lzma.decompress)}.get(
        path.suffix, (bytes, bytes)
    )
    path.write_bytes(pack(codecs.BOM_UTF8 + unpack(path.read_bytes())))
    assert load_comparisons(path) == SOFT


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_a_count_that_is_none_is_refused(tmp_path: Path, count: Any) -> None:
    path = written(tmp_path / "f.jsonl", [comparison._asdict() for comparison in SOFT])
    for load in (lambda: load_comparisons(path, count=count), lambda: load_corpus("debian", count=count)):
        with pytest.raises(BadInput, match=f"count = {count!r}, must be a whole number, at least 1"):
            load()


def test_the_columns_of_pairs_may_be_named_as_those_of_a_choice(tmp_path: Path) -> None:
    path = written(tmp_path / "f.jsonl", [{"prompt": "x", "left": "a", "right": "b"}])
    assert load_comparisons(path, columns={"chosen": "left", "rejected": "right"}) == [Comparison("x", "a", "b", 1.0)]


def test_what_json_can_hold_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"prompt": "\\ud800 \\\\\\udfff", "left": "zwölf", "right": "\U0001f600", "p": 0.5}\n')
    found = load_comparisons(path)
    assert found == [Comparison("\ud800 \\\udfff", "zwölf", "\U0001f600", 0.5)]
    write_comparisons(path, found)
    assert load_comparisons(path) == found
    assert "zwölf" in path.read_text()


def test_names_that_are_nearly_right_are_suggested(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'debian'"):
        load_corpus("debain")
    with pytest.raises(BadInput, match="did you mean 'train'"):
        load_corpus("debian", "trian")
    with pytest.raises(BadInput, match="did you mean 'trl-lib/tldr'"):
        load_corpus("trl-lib/tldrr")
    with pytest.raises(BadInput, match=r"must end in one of \.jsonl"):
        load_corpus(written(tmp_path / "f.txt", [{"prompt": "x"}]))
    with pytest.raises(BadInput, match=r"columns\['choosen'\].*did you mean 'chosen'"):
        load_comparisons(written(tmp_path / "f.jsonl", [SOFT[0]._asdict()]), columns={"choosen": "a"})


# -- the hub ---------------------------------------------------------------------------------------------------------

FEEDBACK = {
    "info": {"id": "1", "post": "the post", "title": "t"},
    "summaries": [{"text": "first"}, {"text": "second"}],
    "choice": 1,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "trl-lib/tldr": {"prompt": "the post", "completion": "short"},
    "openai/summarize_from_feedback": FEEDBACK,
    "EdinburghNLP/xsum": {"document": "the post", "summary": "short", "id": "1"},
    "abisee/cnn_dailymail": {"article": "the post", "highlights": "short", "id": "1"},
}


class Hub:
    """Stands in for the client of the hub: it serves rows, or fails as the real one does, and remembers the calls."""

    def __init__(self, failures: tuple[Exception, ...] = ()) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[str, str | None, dict[str, Any]]] = []

    def load_dataset(self, name: str, config: str | None = None, **options: Any) -> list[dict[str, Any]]:
        self.calls.append((name, config, options))
        if self.failures:
            raise self.failures.pop(0)
        return [PUBLISHED[name]] * 3


def hub(monkeypatch: pytest.MonkeyPatch, *failures: Exception) -> Hub:
    stand_in = Hub(failures)
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    return stand_in


@pytest.mark.parametrize(
    ("source", "name", "config", "split", "summary"),
    [
        ("tldr", "trl-lib/tldr", None, "test", "short"),
        ("openai/summarize_from_feedback", "openai/summarize_from_feedback", "comparisons", "validation", "second"),
        ("xsum", "EdinburghNLP/xsum", None, "test", "short"),
        ("cnn_dailymail", "abisee/cnn_dailymail", "3.0.0", "test", "short"),
    ],
)
def test_published_columns_become_examples(
    monkeypatch: pytest.MonkeyPatch, source: str, name: str, config: str | None, split: str, summary: str
) -> None:
    stand_in = hub(monkeypatch)
    assert load_corpus(source, "test", count=2) == [Example("the post", summary)] * 2
    assert stand_in.calls == [(name, config, {"split": f"{split}[:2]"})]


def test_published_judgments_become_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch)
    assert load_comparisons("summarize_from_feedback") == [Comparison("the post", "first", "second", 0.0)] * 3
    with pytest.raises(BadInput, match="holds summaries but no comparisons"):
        load_comparisons("tldr")


def test_a_loading_script_is_read_as_the_parquet_that_the_hub_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = hub(monkeypatch, RuntimeError("Dataset scripts are no longer supported, but found xsum.py"))
    assert len(load_corpus("xsum")) == 3
    assert [call[2].get("revision") for call in stand_in.calls] == [None, "refs/convert/parquet"]


def test_without_a_network_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, ConnectionError("Couldn't reach 'trl-lib/tldr' on the Hub (LocalEntryNotFoundError)\nand more"))
    with pytest.raises(BadInput, match=r"'trl-lib/tldr' cannot be fetched.*Couldn't reach.*local JSONL") as error:
        load_corpus("trl-lib/tldr")
    assert "\n" not in str(error.value)


def test_a_changed_schema_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch)
    monkeypatch.setitem(PUBLISHED, "EdinburghNLP/xsum", {"text": "the post", "label": "short"})
    with pytest.raises(BadInput, match="EdinburghNLP/xsum, row 1: has the columns text, label"):
        load_corpus("xsum")


def test_the_real_client_fails_in_one_line_where_it_may_not_use_the_network(tmp_path: Path) -> None:
    program = (
        "from llm_bridge.data import load_corpus\n"
        "from nashlab.game import BadInput\n"
        "try: load_corpus('trl-lib/tldr')\n"
        "except BadInput as error: print(error)\n"
    )
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=offline, check=True)
    assert result.stdout.count("\n") == 1
    assert "'trl-lib/tldr' cannot be fetched from the hub" in result.stdout


def test_reading_needs_neither_torch_nor_the_hub_client() -> None:
    program = (
        "import sys, llm_bridge.data, llm_bridge.judges, llm_bridge.data.corpora.build\n"
        "llm_bridge.data.load_corpus('debian', 'test')\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'pyarrow', 'jax'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

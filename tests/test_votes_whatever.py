"""Whatever bytes, tables, logs or elections come: a game of finite numbers, or one line that says why not."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from vote_files import npy, preflib

from nashlab.game import BadInput
from nashlab.votes import matrices, parse_game, parse_number, read_reference
from nashlab.votes.text import _lines

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".npy", ".soc", ".soi", ".toc", ".toi", "", ".dat")
SUFFIXES += (".cat", ".wmd", ".wmg", ".cvotes", ".abif", ".blt", ".jsonl", ".parquet", ".arrow", ".gz", ".zip", ".xz")


def read_or_refuse(data: bytes, suffix: str, **options: Any) -> None:
    """A game of finite numbers, or BadInput; nothing else, and no warning (pytest turns those into errors)."""
    try:
        game = parse_game(data, "x", suffix, **options)
    except BadInput:
        return
    assert np.all(np.isfinite(game.margins))
    assert np.array_equal(game.margins, -np.swapaxes(game.margins, -1, -2))
    assert not np.any(np.isnan(game.log_reference))
    if game.exact is not None:
        assert np.array_equal(game.margins, np.array(game.exact, dtype=np.float64))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda text: Fraction(len(text), 0), ZeroDivisionError),
        (lambda text: np.float64(1e308) * np.float64(10), RuntimeWarning),
    ],
)
def test_canary_a_reader_that_leaks_an_error_or_a_warning_is_caught(
    monkeypatch: pytest.MonkeyPatch, broken: Any, complaint: type[Exception]
) -> None:
    monkeypatch.setattr(matrices, "parsed_json", broken)
    with pytest.raises(complaint):
        read_or_refuse(b"[]", ".json")


CELLS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "0.5",
        ".7",
        "-2",
        "1/3",
        "1e300",
        "1e-320",
        "9e299",
        "1e999999999",
        "nan",
        "inf",
        "a",
        "b",
        '"',
        "é",
        "\0",
    ]
)
TABLES = st.lists(st.lists(CELLS, min_size=0, max_size=4), min_size=0, max_size=5)
OPTIONS = st.fixed_dictionaries(
    {"kind": st.sampled_from([None, "wins", "margins", "preferences"]), "fill": st.sampled_from([None, "half"])}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["1/2", "x", "-1", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["wins", "margins", "a"]), inner),
    max_leaves=12,
)
KEYS = ("preferences", "wins", "margins", "labels", "weights", "reference")


@given(data=st.binary(max_size=200), suffix=st.sampled_from(SUFFIXES))
def test_any_bytes(data: bytes, suffix: str) -> None:
    read_or_refuse(data, suffix)


@given(text=st.text(max_size=100), suffix=st.sampled_from(SUFFIXES))
@example(text="# DATA TYPE: soc\n1: 1", suffix=".soc")
@example(text="\r\r\r", suffix=".csv")
@example(text="winner,loser", suffix=".csv")
def test_any_text(text: str, suffix: str) -> None:
    read_or_refuse(text.encode("utf-8", errors="surrogatepass"), suffix)


@given(
    rows=TABLES,
    delimiter=st.sampled_from(",;\t "),
    header=st.sampled_from(["", "winner,loser,weight\n"]),
    options=OPTIONS,
)
def test_any_table(rows: list[list[str]], delimiter: str, header: str, options: dict[str, str]) -> None:
    read_or_refuse((header + "\n".join(delimiter.join(row) for row in rows)).encode(), ".csv", **options)


LOG_CELLS = st.sampled_from(
    ["", "a", "b", "model_a", "tie", "1", "2", "0", "-1", "0.5", "1e400", "nan", "true", "1,5", "é", '"', "a:b", ">"]
)
HEADERS = st.lists(
    st.sampled_from(
        ["winner", "loser", "model_a", "model_b", "weight", "tie", "label", "win1", "win2", "score_a", "score_b", "a:b",
         "b:c", "rank1", "rank2", "preference", "generator_1", "generator_2", "voter", "n", "x", "winner_model_a",
         "winner_model_b", "winner_tie", "player1", "player2", "count"]
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@given(
    header=HEADERS,
    rows=st.lists(st.lists(LOG_CELLS, min_size=1, max_size=6), max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    fill=st.sampled_from([None, "half", "bradley-terry", "add-1"]),
    square=st.booleans(),
)
def test_any_log(header: list[str], rows: list[list[str]], delimiter: str, fill: str | None, square: bool) -> None:
    if square:  # rows as long as the header get further than others
        rows = [(row * len(header))[: len(header)] for row in rows]
    text = "\n".join(delimiter.join(row) for row in [header, *rows])
    read_or_refuse(text.encode(), ".csv", fill=fill)


@given(
    records=st.lists(
        st.dictionaries(st.sampled_from(["winner", "loser", "model_a", "model_b", "n", "x"]), JSON), max_size=4
    )
)
def test_any_records(records: list[Any]) -> None:
    read_or_refuse(json.dumps(records).encode(), ".json", fill="half")
    read_or_refuse("\n".join(map(json.dumps, records)).encode(), ".jsonl", fill="half")


@given(
    lines=st.lists(st.text(alphabet='0123456789AB:,>=*^/[]{}|- "#;\n', max_size=14), max_size=6),
    suffix=st.sampled_from([".cvotes", ".abif", ".blt", ".cat", ".wmd", ".wmg", ".soi"]),
)
def test_any_election(lines: list[str], suffix: str) -> None:
    read_or_refuse("\n".join(lines).encode(), suffix, fill="half")


@given(content=JSON, options=OPTIONS)
def test_any_json(content: Any, options: dict[str, str]) -> None:
    read_or_refuse(json.dumps(content).encode(), ".json", **options)


@given(content=st.fixed_dictionaries({}, optional={key: JSON for key in KEYS}))
def test_any_json_object_with_the_right_keys(content: Any) -> None:
    read_or_refuse(json.dumps(content).encode(), ".json")


@given(
    shape=st.lists(st.integers(0, 3), max_size=3),
    kind=st.sampled_from(["f8", "f4", "f2", "g", ">f8", "i8", "u8", "i1", "?", "c16", "U3", "M8[s]", "O"]),
    seed=st.binary(min_size=0, max_size=500),
    cut=st.integers(0, 30),
    options=OPTIONS,
)
def test_any_array(shape: list[int], kind: str, seed: bytes, cut: int, options: dict[str, str]) -> None:
    array = np.zeros(shape, dtype=kind)
    if kind not in ("O", "U3"):
        raw = (seed * (array.nbytes // max(len(seed), 1) + 1))[: array.nbytes] if seed else bytes(array.nbytes)
        array = np.frombuffer(raw, dtype=kind).reshape(shape) if len(raw) == array.nbytes and array.size else array
    data = npy(array, allow_pickle=True)
    read_or_refuse(data[: len(data) - cut], ".npy", **options)


@given(data=st.binary(max_size=60))
def test_any_header_of_an_array(data: bytes) -> None:
    read_or_refuse(b"\x93NUMPY\x01\x00" + data, ".npy")


@given(
    lines=st.lists(st.text(alphabet="0123456789:,{}- \n#", max_size=12), max_size=5),
    kind=st.sampled_from(["soc", "soi", "toc", "toi"]),
    options=OPTIONS,
)
def test_any_ballots(lines: list[str], kind: str, options: dict[str, str]) -> None:
    read_or_refuse(preflib("\n".join(lines), kind=kind), "." + kind, **options)


@given(text=st.text(max_size=60))
def test_any_reference(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "reference.csv"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        values = read_reference(str(path), ["a", "b", "c"])
    except BadInput:
        return
    assert values is not None
    assert np.all(np.isfinite(values))


@given(text=st.text(alphabet="0123456789.eE+-/_ naif٣", max_size=12))
@example(text="1e999999999")
@example(text="1_000")
def test_a_number_is_exact_or_refused(text: str) -> None:
    try:
        value = parse_number(text, "here")
    except BadInput:
        return
    assert value == Fraction(text.strip())


@given(st.text(alphabet='a,"\n\r \u2028\x85', max_size=12))
@example("a\r\nb\rc\n")
def test_lines_are_cut_where_the_standard_library_cuts_them(text: str) -> None:
    """As an io.StringIO that leaves line ends alone does, in a quarter of its memory."""
    assert list(_lines(text)) == list(io.StringIO(text, newline=""))

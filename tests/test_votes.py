"""Every format is read to the same game, exactly; whatever cannot be read is refused in one line that says why."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vote_files import npy, preflib

from nashlab.certify import read_margins
from nashlab.game import BadInput, PreferenceGame
from nashlab.votes import ballots, build, logs, matrices, parse_game, read_game, read_reference

HALF = Fraction(1, 2)


def csv_of(rows: Sequence[Sequence[Any]], top: Sequence[str] | None = None, left: Sequence[str] | None = None) -> bytes:
    lines = [",".join(map(str, [*([left[i]] if left else []), *row])) for i, row in enumerate(rows)]
    header = [",".join([*([""] if left else []), *top])] if top else []
    return "\n".join(header + lines).encode()


def exact(game: PreferenceGame) -> list[list[Fraction]]:
    assert game.exact is not None, "the numbers of a text file are kept exactly"
    return [list(row) for row in game.exact]


# -- one game, every format ------------------------------------------------------------------------------------------

# a beats b 7:3, c beats a 3:1, b and c are even
WINS = [[0, 7, 1], [3, 0, 2], [3, 2, 0]]
MARGINS = [[Fraction(0), Fraction(1, 5), Fraction(-1, 4)], [Fraction(-1, 5), Fraction(0), Fraction(0)]]
MARGINS += [[Fraction(1, 4), Fraction(0), Fraction(0)]]
LOG = [("a", "b")] * 7 + [("b", "a")] * 3 + [("a", "c")] + [("c", "a")] * 3 + [("b", "c")] * 2 + [("c", "b")] * 2
P = [["0.5", ".7", "1/4"], ["3e-1", "0.5", "0.5"], ["0.75", "5.0E-1", "1/2"]]
NAMES = ["a", "b", "c"]

SAME_GAME = {
    "wins": (csv_of(WINS, NAMES, NAMES), ".csv"),
    "wins, empty diagonal": (b",a,b,c\na,,7,1\nb,3,,2\nc,3,2,", ".csv"),
    "wins, header only": (csv_of(WINS, NAMES), ".csv"),
    "wins, label column only": (csv_of(WINS, None, NAMES), ".csv"),
    "wins, labels in a filled corner": (b"x;a;b;c\na;0;7;1\nb;3;0;2\nc;3;2;0", ".csv"),
    "wins, tabs, byte order mark, CRLF": (
        b"\xef\xbb\xbf\ta\tb\tc\r\na\t0\t7\t1\r\nb\t3\t0\t2\r\nc\t3\t2\t0\r\n",
        ".tsv",
    ),
    "preferences": (csv_of(P, NAMES, NAMES), ".csv"),
    "margins": (csv_of(MARGINS, NAMES, NAMES), ".csv"),
    "log": (("winner,loser\n" + "\n".join(map(",".join, LOG))).encode(), ".csv"),
    "log with weights": (
        b"loser, weight, note, Winner\nb,7,x,a\na,2.5,,b\na,1/2,,b\nc,1,,a\na,3e0,,c\nc,2,,b\nb,2,,c",
        ".csv",
    ),
    "json wins": (json.dumps({"wins": WINS, "labels": NAMES}).encode(), ".json"),
    "json preferences": (
        b'{"labels":["a","b","c"],"preferences":[[0.5,0.7,"1/4"],[3e-1,.5,0.5],[0.75,0.5,0.5]]}',
        ".json",
    ),
    "json margins": (b'{"labels":["a","b","c"],"margins":[[null,0.2,-25e-2],[-0.2,null,0],[0.25,0,null]]}', ".json"),
}
SAME_GAME["json preferences"] = (SAME_GAME["json preferences"][0].replace(b",.5", b",0.5"), ".json")


@pytest.mark.parametrize("name", SAME_GAME)
@pytest.mark.parametrize("sniffed", [False, True])
def test_every_format_reads_the_same_game_exactly(name: str, sniffed: bool) -> None:
    data, suffix = SAME_GAME[name]
    game = parse_game(data, "x.csv", "" if sniffed else suffix)
    assert exact(game) == MARGINS
    assert game.labels == ("a", "b", "c")
    assert (game.name, game.source) == ("x", "x.csv")


def test_canary_one_vote_more_is_another_game() -> None:
    data, suffix = SAME_GAME["log"]
    assert exact(parse_game(data + b"\na,b", "x", suffix)) != MARGINS


@pytest.mark.parametrize(
    "name", ["wins", "wins, header only", "preferences", "margins", "json wins", "json preferences"]
)
def test_the_independent_verifier_reads_the_same_margins(tmp_path: Path, name: str) -> None:
    """`nashlab certify` has a reader of its own that shares no code with this one."""
    data, suffix = SAME_GAME[name]
    path = tmp_path / f"game{suffix}"
    path.write_bytes(data)
    theirs = read_margins(data, suffix)
    assert list(theirs.labels or ()) == list(NAMES)
    assert [list(row) for row in theirs.margins] == exact(read_game(str(path)))


@pytest.mark.parametrize("data", [csv_of(WINS), npy(np.array(WINS)), json.dumps(WINS).encode(), b"0 7 1\n3 0 2\n3 2 0"])
def test_without_labels_responses_are_numbered(data: bytes) -> None:
    game = parse_game(data, "x", "")
    assert exact(game) == MARGINS
    assert game.labels == ("1", "2", "3")


def test_transposed_wins_are_the_opposite_game() -> None:
    """Row beat column."""
    turned = exact(parse_game(csv_of(np.array(WINS).T.tolist()), "x", ".csv"))
    assert turned == [[-x for x in row] for row in MARGINS]


def test_numpy_savetxt_is_read_back(tmp_path: Path) -> None:
    p = np.array([[0.5, 0.7], [0.3, 0.5]])
    np.savetxt(tmp_path / "p.txt", p)
    # 6.999999999999999556e-01 and 2.999999999999999889e-01 do not add up to 1 exactly: skew to an ulp of ½
    assert read_game(str(tmp_path / "p.txt")).preferences == pytest.approx(p, abs=1.2e-16)


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(
            st.lists(st.fractions(0, 1, max_denominator=99), min_size=n, max_size=n), min_size=n, max_size=n
        )
    )
)
def test_rational_preferences_survive_csv_and_json(upper: list[list[Fraction]]) -> None:
    n = len(upper)
    p = [[HALF if i == j else upper[i][j] if i < j else 1 - upper[j][i] for j in range(n)] for i in range(n)]
    expected = [[x - HALF for x in row] for row in p]
    names = [f"y{i}" for i in range(n)]
    assert exact(parse_game(csv_of(p, names, names), "x", ".csv", kind="preferences")) == expected
    text = json.dumps({"preferences": [[str(x) for x in row] for row in p]}).encode()
    assert exact(parse_game(text, "x", ".json")) == expected


def test_a_margin_below_the_spacing_of_doubles_at_one_half_survives() -> None:
    game = parse_game(b"0.5,0.50000000000000000001\n0.49999999999999999999,0.5", "x", ".csv")
    assert game.margins[0, 1] == 1e-20
    assert exact(game)[0][1] == Fraction(1, 10**20)


# -- what the numbers mean -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("0.5,0.7\n0.3,0.5", Fraction(1, 5)),  # ½ on the diagonal: probabilities
        ("0,7\n-7,0", Fraction(7)),  # a negative entry: margins of any scale
        (",7\n-7,", Fraction(7)),
        ("0,7\n3,0", Fraction(1, 5)),  # neither: wins
        (",7\n3,", Fraction(1, 5)),
        ("7", Fraction(0)),
    ],
)
def test_the_kind_is_read_off_the_diagonal(text: str, first: Fraction) -> None:
    kind = "wins" if text == "7" else None
    assert exact(parse_game(text.encode(), "x", ".csv", kind=kind))[0][-1] == first


def test_a_stated_kind_wins_over_the_diagonal() -> None:
    assert exact(parse_game(b"0,7\n3,0", "x", ".csv", kind="wins"))[0][1] == Fraction(1, 5)
    assert exact(parse_game(b",.7\n.3,", "x", ".csv", kind="preferences"))[0][1] == Fraction(1, 5)
    assert exact(parse_game(b"0,0\n0,0", "x", ".csv", kind="margins"))[0][1] == 0


@pytest.mark.parametrize("data", [b"0.5", b"0", b"1\n0.5", b"[[0.5]]", npy(np.array([[0.5]])), npy(np.array([[0]]))])
def test_one_response_is_a_valid_game(data: bytes) -> None:
    assert parse_game(data, "x", "").n == 1


def test_numeric_labels_are_told_from_entries() -> None:
    expected = [[0, Fraction(1, 5), Fraction(-1, 4)], *MARGINS[1:]]
    assert exact(parse_game(b",1,2,3\n1,0,7,1\n2,3,0,2\n3,3,2,0", "x", ".csv")) == expected
    game = parse_game(b",1,2,3\n1,,7,1\n2,3,,2\n3,3,2,", "x", ".csv")  # the whole diagonal, corner included, is empty
    assert exact(game) == expected
    assert game.labels == ("1", "2", "3")
    assert parse_game(b",7,1\n3,,2\n3,2,", "x", ".csv").n == 3  # the same border, but not the same above and left


def test_unplayed_pairs_are_refused_by_name_or_filled() -> None:
    text = b"winner,loser\nann,bob\nbob,cid"
    with pytest.raises(BadInput, match=r"x: wins: 1 pair\(s\) never met \(ann - cid\).*--fill half"):
        parse_game(text, "x", ".csv")
    assert exact(parse_game(text, "x", ".csv", fill="half"))[0] == [0, HALF, 0]


def test_prompts_and_weights_of_json_and_npy() -> None:
    p = [[[0.5, 0.7], [0.3, 0.5]], [[0.5, 0.1], [0.9, 0.5]]]
    game = parse_game(
        json.dumps({"preferences": p, "weights": [1, 3], "reference": [[0.5, 0.5], [1, 0]]}).encode(), "x", ".json"
    )
    assert game.batch == (2,)
    assert game.weights is not None
    assert np.array_equal(game.weights, [0.25, 0.75])
    assert np.array_equal(game.support, [[True, True], [True, False]])
    assert np.array_equal(game.margins, parse_game(npy(np.array(p)), "x", ".npy").margins)


# -- PrefLib ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".soc", ""])
def test_rankings_count_as_wins_of_the_higher(suffix: str) -> None:
    game = parse_game(preflib("3: 1,2,3\n1: 3,1,2\n"), "x", suffix)
    assert game.labels == ("a", "b", "c")
    assert exact(game) == [[0, HALF, Fraction(1, 4)], [-HALF, 0, Fraction(1, 4)], [Fraction(-1, 4), Fraction(-1, 4), 0]]


def test_an_order_on_two_lines_counts_on_both() -> None:
    twice = parse_game(preflib("1: 1,2,3\n2: 1,2,3\n1: 3,2,1"), "x", ".soc")
    assert exact(twice) == exact(parse_game(preflib("3: 1,2,3\n1: 3,2,1"), "x", ".soc"))


def test_a_tie_is_half_a_win_each() -> None:
    game = parse_game(preflib("1: {1,2},3\n1: 1,2,3", kind="toc"), "x", ".toc")
    assert exact(game)[0] == [0, Fraction(1, 4), HALF]


@pytest.mark.parametrize(("kind", "body"), [("soi", "2: 1,2\n1: 2,3\n1: 3,1"), ("toi", "2: 1,2\n1: 2,3\n1: {3},1")])
def test_the_unranked_stand_last_or_are_uncompared(kind: str, body: str) -> None:
    data = preflib(body, kind=kind)
    # a before b: 2 + 1 (c,a) of 4; a before c: 2 of 4
    assert exact(parse_game(data, "x", "." + kind))[0] == [0, Fraction(1, 4), 0]
    assert exact(parse_game(data, "x", "." + kind, unranked="uncompared"))[0] == [0, HALF, -HALF]


def test_equal_names_are_told_apart() -> None:
    assert len(set(parse_game(preflib("1: 1,2,3", names=("a", "a", "b")), "x", ".soc").labels)) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_as_its_byte_order_mark_says(encoding: str) -> None:
    """Spreadsheets save UTF-16 with a mark."""
    game = parse_game("winner\tloser\nä\tb\nä\tb\nb\tä\n".encode(encoding), "x", ".tsv")
    assert game.labels == ("ä", "b")
    assert exact(game)[0][1] == Fraction(1, 6)


# -- references ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0.2\n0.3\n\n0.5\n", "c,0.5\na,0.2\nb,3/10", "\ufeffa, 0.2\r\nb, 0.3\r\nc, 0.5"])
def test_references_are_read_in_any_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mu.txt"
    path.write_text(text, encoding="utf-8")
    assert read_reference(str(path), NAMES) == (Fraction(1, 5), Fraction(3, 10), Fraction(1, 2))


def test_the_uniform_reference_needs_no_file() -> None:
    assert read_reference("uniform", NAMES) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("0.5\n0.5", "has 2 numbers, must have 3"),
        ("a,0.5\nb,0.5", "'c' is missing"),
        ("a,0.5\nb,0.5\nd,0", "'d' is not a response of the game (a, b, c)"),
        ("a,0.5\na,0.5\nb,0", "'a' occurs more than once"),
        ("a,0.5\nb,nan\nc,0.5", "line 2: 'nan' is not a finite number"),
        ("a,0.5\nb\nc,0.5", "line 2 has 1 cells"),
        ("a,0.5,1\nb,0.5,1\nc,0,1", "line 1 has 3 cells"),
        ("0.5\nx\n0.5", "line 2: 'x' is not a finite number"),
        ("0.5\n1e999\n0.5", "line 2: 1e999 is not a usable number"),
        ("a,", "line 1: is empty, must be a number"),
        ("9" * 200_000, "is not a table (field larger than field limit"),
    ],
)
def test_a_wrong_reference_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mu.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=re.escape(f"reference {path}: {message}")):
        read_reference(str(path), NAMES)


@pytest.mark.parametrize("name", ["nowhere.csv", ".", "\0"])
def test_a_reference_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"reference .*: .*; give 'uniform' or a file"):
        read_reference(name, NAMES)


# -- refused, each with its reason -----------------------------------------------------------------------------------

REFUSED = [
    (b"", ".csv", "x: is empty"),
    (b" \n\n", ".json", "x: is empty"),
    (b",,\n,,", ".csv", "x: holds no numbers"),
    (b"\xff0,1", ".csv", "x: is not UTF-8 text (byte 0)"),
    (b"\xff\xfe0,1", ".csv", "x: is not UTF-16 text (byte 4)"),
    (b"0,1\n1,\0", ".csv", "x: is not text (byte 6 is 0)"),
    (b"0,1\n1", ".csv", "x: row 2 has 1 cells, must have 2 like the first"),
    (b"0,1,2\n1,0,2\n1,0,2\n1,2,3\n1,2,3", ".csv", "x: has 5 rows and 3 columns, must be square"),
    (b"0.5,zero\n0.3,0.5", ".csv", "x: column 1 is called 'zero' and row 1 '0.3', must be the same response"),
    (b",a,b\na,0,1\nc,1,0", ".csv", "x: column 2 is called 'b' and row 2 'c', must be the same response"),
    (b",a,b\na,0,1\nb,one,0", ".csv", "x: row 2, column 1: 'one' is not a finite number"),
    (b",a,b\na,0,\nb,1,0", ".csv", "x: row 1, column 2: is empty, must be a number"),
    (b",a,a\na,0,1\na,1,0", ".csv", "x: labels: 'a' occurs more than once, names must differ"),
    (b"0,nan\n1,0", ".csv", "x: row 1, column 2: is empty, must be a number"),
    (b"0,1\n-inf,0", ".csv", "x: row 2, column 1: '-inf' is not a finite number"),
    (b"0,1e999999999\n1,0", ".csv", "x: row 1, column 2: '1e999999999' is not a finite number"),
    (
        b"0,1e301\n1,0",
        ".csv",
        "x: row 1, column 2: 1e301 is not a usable number, must be 0 or between 1e-300 and 1e300",
    ),
    (b"0,1/0\n1,0", ".csv", "x: row 1, column 2: '1/0' is not a finite number"),
    (b"0," + b"9" * 500 + b"\n1,0", ".csv", "x: row 1, column 2: a number of 500 characters, must have at most 400"),
    ("0,٣\n1,0".encode(), ".csv", "x: column 1 is called '٣'"),
    (b"0.5,0.7\n0.4,0.5", ".csv", "x: preferences[0, 1] + preferences[1, 0] = 1.1, must be 1"),
    (b"0.5,1.7\n-0.7,0.5", ".csv", "x: preferences[0, 1] = 1.7, must be in [0, 1]"),
    (b"0,1\n-2,0", ".csv", "x: margins[0, 1] + margins[1, 0] = -1, must be 0"),
    (b"1,2\n3,4", ".csv", "x: matrix[0, 0] = 1: a diagonal of ½ means probabilities"),
    (b"0,0\n0,0", ".csv", "x: the matrix is all zero"),
    (b"winner,loser\n", ".csv", "x: holds no comparison, only a header"),
    (b"winner,loser\na,b\na", ".csv", "x: judgment 2: has fewer cells than the header (winner, loser)"),
    (b"winner,loser\na,b\na,", ".csv", "x: judgment 2: has no winner or no loser"),
    (b"winner,loser\na,b\n\na,a", ".csv", "x: judgment 2: 'a' is compared with itself"),
    (b"winner,loser,weight\na,b,1\nb,a,-1", ".csv", "x: judgment 2: weight = -1, must be at least 0"),
    (b"winner,loser,weight\na,b,many", ".csv", "x: judgment 1: weight: 'many' is not a finite number"),
    (b"{", ".json", "x: is not JSON"),
    (b"[" * 100_000, ".json", "x: is not JSON"),
    (b"3", ".json", "x: must hold an object or a matrix"),
    (b"{}", ".json", "x: has no matrix, must have one of preferences, wins, margins"),
    (b'{"wins":[],"margins":[]}', ".json", "x: has wins and margins, must have one of"),
    (b'{"wins": 3}', ".json", "x: the matrix must be a list of rows"),
    (b'{"wins": null}', ".json", "x: the matrix must be a list of rows"),
    (b'{"wins": []}', ".json", "x: "),
    (b'{"wins": [[]]}', ".json", "x: row 1 has 0 entries, must have 1"),
    (b"[[0,1],[1]]", ".json", "x: row 2 has 1 entries, must have 2 like the number of rows"),
    (b"[[0,true],[1,0]]", ".json", "x: row 1, column 2: 'True' is not a finite number"),
    (b"[[0,{}],[1,0]]", ".json", "x: row 1, column 2: '{}' is not a finite number"),
    (b"[[0,NaN],[1,0]]", ".json", "x: row 1, column 2: is empty, must be a number"),
    (b"[[0,null],[1,0]]", ".json", "x: row 1, column 2: is empty, must be a number"),
    (b"[[[0,1],[1,0]],[[0]]]", ".json", "x: every prompt must have as many responses as the first"),
    (b'{"wins":[[0,1],[1,0]],"labels":"ab"}', ".json", "x: labels must be a list of names"),
    (b'{"wins":[[0,1],[1,0]],"labels":["a"]}', ".json", "x: labels has 1 names, must have 2"),
    (b'{"wins":[[0,1],[1,0]],"reference":[1,0]}', ".json", "x: reference[1] = 0, must be positive and finite"),
    (b'{"wins":[[0,1],[1,0]],"reference":[1,1]}', ".json", "x: reference sums to 2, must sum to 1"),
    (b'{"wins":[[0,1],[1,0]],"reference":[1e999,1]}', ".json", "x: reference[0]: 1e999 is not a usable number"),
    (b'{"wins":[[0,1],[1,0]],"reference":[[1],[1,2]]}', ".json", "x: reference must hold rows of equal length"),
    (b'{"wins":[[0,1],[1,0]],"weights":{}}', ".json", "x: weights must be a list of numbers"),
    (
        npy(np.array([[0, 1], [1, 0]], dtype=object), allow_pickle=True),
        ".npy",
        "x: holds object, must hold real numbers",
    ),
    (npy(np.array([[0, 1j], [1, 0]])), ".npy", "x: holds complex128, must hold real numbers"),
    (npy(np.array([[0, np.nan], [1, 0]])), ".npy", "x: row 1, column 2: is empty, must be a number"),
    (npy(np.array([[0, 1.7e308], [1.7e308, 0]])), ".npy", "x: matrix[0, 1] = 1.7e+308, must be finite and below 1e300"),
    (npy(np.array(0.5)), ".npy", "x: the matrix has shape (), must be square"),
    (npy(np.zeros((2, 3))), ".npy", "x: the matrix has shape (2, 3), must be square"),
    (npy(np.zeros((0, 0))), ".npy", "x: the matrix has shape (0, 0), must be square"),
    (npy(np.zeros((4, 4)))[:-1], ".npy", "x: is not a NumPy array file"),
    (b"\x93NUMPY\x01\x00\xff\xff{", ".npy", "x: is not a NumPy array file"),
    (b"0,1\n1,0", ".npy", "x: is not a NumPy array file"),
    (preflib(""), ".soc", "x: is not a PrefLib ordinal file"),
    (preflib("one: 1,2"), ".soc", "x: is not a PrefLib ordinal file"),
    (preflib("1: 1,4"), ".soi", "x: ranks alternative 4, which has no # ALTERNATIVE NAME line"),
    (preflib("1: 1,2,1"), ".soi", "x: ranks alternative 1 twice in one order"),
    (preflib("-1: 1,2,3"), ".soc", "x: the number of voters of an order must be at least 0"),
    (preflib(f"{10**30}: 1,2,3"), ".soc", "x: the number of voters of an order must be at least 0, and at most 2^50"),
    (b"# FILE NAME: x\n# DATA TYPE: wmd\n1: 1,2", "", "x: is not a PrefLib ordinal file"),
    (b"# NUMBER ALTERNATIVES: 0\n1: 1", ".soc", "x: holds no ranking"),
]


@pytest.mark.parametrize(("data", "suffix", "message"), REFUSED)
def test_what_cannot_be_read_is_refused_with_file_entry_and_rule(data: bytes, suffix: str, message: str) -> None:
    with pytest.raises(BadInput, match="^" + re.escape(message)) as error:
        parse_game(data, "x", suffix)
    assert "\n" not in str(error.value), "one line"
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "chances"}, "kind = 'chances', must be one of preferences, wins, margins"),
        ({"fill": "0.5"}, "fill = '0.5', must be 'half'"),
        ({"kind": "margins"}, "x: kind = 'margins' contradicts the file, which holds wins"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        parse_game(b"winner,loser\na,b", "x", ".csv", **options)


def test_fill_is_for_wins() -> None:
    with pytest.raises(BadInput, match="x: fill = 'half' is for win counts, the file holds preferences"):
        parse_game(b"0.5,0.7\n0.3,0.5", "x", ".csv", fill="half")


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere.csv", "No such file"), (".", "Is a directory"), ("\0", "null")]
)
def test_a_file_that_cannot_be_opened_is_refused(name: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"cannot be read .*{message}"):
        read_game(name)


def test_standard_input_is_told_by_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    for data, _ in SAME_GAME.values():
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert exact(read_game("-")) == MARGINS


# -- size ------------------------------------------------------------------------------------------------------------

HUGE = {
    "matrix.csv": (",".join(["0"] * 100_000) + "\n").encode() * 3,
    "matrix.json": b'{"wins": [[' + b"0," * 99_999 + b"0]",
    "array.npy": npy(np.zeros(1)).replace(b"(1,), ", b"(100000, 100000), "),
    "votes.soc": b"# FILE NAME: v\n# NUMBER ALTERNATIVES: 100000\n1: 1,2",
    "log.csv": b"winner,loser\n" + b"\n".join(b"a%d,b%d" % (i, i) for i in range(50_000)),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_hundred_thousand_responses_are_refused_at_once_with_the_memory_needed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HUGE[name])
    began = time.perf_counter()
    with pytest.raises(BadInput, match=rf"{name}: .*100000 responses need 75 GiB for the matrix alone"):
        read_game(str(tmp_path / name))
    assert time.perf_counter() - began < 2  # seconds; reading 10^10 entries would take an hour


def test_beyond_the_exact_limit_floats_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (matrices, logs, ballots, build):
        monkeypatch.setattr(module, "EXACT_LIMIT", 2)
    for data, suffix in SAME_GAME.values():
        game = parse_game(data, "x", suffix)
        assert game.exact is None
        assert game.margins == pytest.approx(np.array(MARGINS, dtype=float), abs=1e-16)
    for data, suffix in ((npy(np.array(WINS)), ".npy"), (preflib("1: 1,2,3\n1: 3,2,1"), ".soc")):
        assert parse_game(data, "x", suffix).exact is None
    for data, suffix, message in REFUSED:
        with pytest.raises(BadInput, match="^" + re.escape(message)):
            parse_game(data, "x", suffix)


def test_a_log_of_a_million_judgments_is_read_in_seconds() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 30, 1_000_000)
    second = (first + rng.integers(1, 30, first.size)) % 30
    text = "winner,loser\n" + "\n".join(f"m{a},m{b}" for a, b in zip(first.tolist(), second.tolist(), strict=True))
    began = time.process_time()
    game = parse_game(text.encode(), "x", ".csv")
    assert time.process_time() - began < 5  # of this process alone; measured 1.2 s
    wins = np.zeros((30, 30), dtype=np.int64)
    np.add.at(wins, (first, second), 1)
    index = [int(label[1:]) for label in game.labels]
    counted = wins[np.ix_(index, index)]
    assert exact(game) == exact(PreferenceGame.from_wins(counted))

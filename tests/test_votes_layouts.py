"""Layouts of votes, each beside the wins that it means, counted by hand; what is ambiguous or broken is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from preflibtools.instances import OrdinalInstance
from pyarrow import ipc

from nashlab.equilibrium import maximal_lottery
from nashlab.game import BadInput, PreferenceGame
from nashlab.votes import parse_votes, sides, text

ARENA = "model_a,model_b,winner\na,b,model_a\nb,c,model_a\nc,a,model_a\nc,a,model_a\na,b,tie\n"
ARENA_WINS = [[0, 1.5, 0], [0.5, 0, 1], [2, 0, 0]]


def parquet(columns: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def arrow(columns: dict[str, Any], file: bool) -> bytes:
    table, stream = pa.table(columns), io.BytesIO()
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def zipped(**files: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_csv", ".csv"), text)
    return stream.getvalue()


def columns_of(text: str) -> dict[str, list[str]]:
    header, *rows = [line.split(",") for line in text.split()]
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def lines_of(text: str) -> bytes:
    columns = columns_of(text)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return "\n".join(map(json.dumps, rows)).encode()


SAME_LOG = {
    ".csv": ARENA,
    "semicolons.csv": ARENA.replace(",", ";"),
    ".tsv": ARENA.replace(",", "\t"),
    "bars.txt": ARENA.replace(",", "|"),
    "mark and CRLF.csv": "\ufeff" + ARENA.replace("\n", "\r\n"),
    "carriage returns.csv": ARENA.replace("\n", "\r"),
    ".csv.gz": gzip.compress(ARENA.encode()),
    ".csv.bz2": bz2.compress(ARENA.encode()),
    ".csv.xz": lzma.compress(ARENA.encode()),
    ".zip": zipped(votes_csv=ARENA),
    ".jsonl": lines_of(ARENA),
    "lines.json": lines_of(ARENA),
    "lines.txt": lines_of(ARENA),
    ".jsonl.gz": gzip.compress(lines_of(ARENA)),
    "records.json": b"[" + lines_of(ARENA).replace(b"\n", b",") + b"]",
    ".parquet": parquet(columns_of(ARENA)),
    "no suffix": parquet(columns_of(ARENA)),
    ".arrow": arrow(columns_of(ARENA), True),
    ".feather": arrow(columns_of(ARENA), True),
    ".arrows": arrow(columns_of(ARENA), False),
    "quoted.csv": ARENA.replace("a,b,tie", '"a","b","tie"').replace("winner\n", "winner,prompt\n", 1)
    .replace("model_a\n", 'model_a,"two\nlines, and a comma"\n').replace('"tie"\n', '"tie",\n'),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME_LOG)
def test_one_log_in_every_file(name: str) -> None:
    content = SAME_LOG[name]
    data = content.encode() if isinstance(content, str) else content
    suffix = "." + name.rsplit(".", 1)[1] if "." in name else ""
    votes = parse_votes(data, name, suffix)
    assert votes.game.labels == ("a", "b", "c")
    assert votes.wins is not None
    assert votes.wins.tolist() == ARENA_WINS
    assert votes.game.exact is not None
    assert (votes.reading.votes, votes.reading.ties, votes.reading.met) == (5, 1, 3)


# text, labels, wins
MEANS = {
    "names of sides": ("left,right,label\nx,y,left\ny,x,right\ny,x,tie\n", "xy", [[0, 2.5], [0.5, 0]]),
    "numbers of sides": ("player1,player2,winner\nx,y,1\ny,x,2\n", "xy", [[0, 2], [0, 0]]),
    "the winner's name": ("player1,player2,winner\nx,y,x\ny,x,draw\n", "xy", [[0, 1.5], [0.5, 0]]),
    "letters": ("model_a,model_b,winner\nx,y,A\ny,x,B\nx,y,b\n", "xy", [[0, 2], [1, 0]]),
    "all words of a tie": (
        "model_a,model_b,winner\nx,y,both bad\nx,y,both_bad\nx,y,BothBad\nx,y,Tie (both bad)\nx,y,draw\nx,y,model_a\n",
        "xy", [[0, 3.5], [2.5, 0]],
    ),
    "1, 2 and between": ("generator_1,generator_2,preference\nx,y,1\ny,x,2\nx,y,1.25\n", "xy", [[0, 2.75], [0.25, 0]]),
    "a probability": ("generator_1,generator_2,preference\nx,y,0.8\ny,x,0.5\n", "xy", [[0, 1.3], [0.7, 0]]),
    "1, 0 and -1": ("left,right,label\nx,y,1\ny,x,-1\nx,y,0\n", "xy", [[0, 2.5], [0.5, 0]]),
    "two scores": ("player1,player2,score1,score2\nx,y,3,1\ny,x,2,2\n", "xy", [[0, 1.5], [0.5, 0]]),
    "goals": ("home_team,away_team,home_goals,away_goals\nx,y,3,1\ny,x,0,2\n", "xy", [[0, 2], [0, 0]]),
    "sides inside": ("home,away,home_team_goals,away_team_goals\nx,y,3,1\ny,x,2,2", "xy", [[0, 1.5], [0.5, 0]]),
    "wins of a model": ("model_a,model_b,model_a_wins,model_b_wins\nx,y,3,1\n", "xy", [[0, 3], [1, 0]]),
    "one hot, two kinds of tie": (
        "model_a,model_b,winner_model_a,winner_model_b,tie,both_bad\nx,y,1,0,0,0\ny,x,0,0,1,0\ny,x,0,0,0,1\n",
        "xy", [[0, 2], [1, 0]],
    ),
    "two counts and draws": ("a,b,wins_a,wins_b,draws\nx,y,3,1,2\n", "xy", [[0, 4], [2, 0]]),
    "two counts and their total": ("player1,player2,win1,win2,n\nx,y,3,1,4\n", "xy", [[0, 3], [1, 0]]),
    "one hot": (
        "model_a,model_b,winner_model_a,winner_model_b,winner_tie\nx,y,1,0,0\ny,x,0,0,1\ny,x,0,1,0\n",
        "xy", [[0, 2.5], [0.5, 0]],
    ),
    "preferred, rejected": ("preferred,rejected,n\nx,y,3\ny,x,1\n", "xy", [[0, 3], [1, 0]]),
    "weights of a tie": ("winner,loser,weight,draw\nx,y,3,no\ny,x,1,yes\n", "xy", [[0, 3.5], [0.5, 0]]),
    "decimal commas": ("winner;loser;weight\nx;y;0,5\ny;x;1,5\n", "xy", [[0, 0.5], [1.5, 0]]),
    "bookkeeping is passed over": (
        "question_id,model_a,model_b,winner,judge,turn,anony,language,tstamp\n7,x,y,model_a,u1,1,True,English,1.2e9\n",
        "xy", [[0, 1], [0, 0]],
    ),
    "rank columns": ("Rank 1,Rank 2,Rank 3,n\na,b,c,3\nc,b,,2\n", "abc", [[0, 3, 3], [2, 0, 3], [2, 2, 0]]),
    "ordinals": ("1st,2nd,3rd\na,b,c\nc,b,\n", "abc", [[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    "ranks in cells": ("a,b,c,count\n1,2,3,5\n2,1,,4\n1,1,2,2\n", "abc", [[0, 6, 11], [5, 0, 11], [0, 0, 0]]),
    "ranks without counts": ("a,b,c\n1,2,3\n2,1,3\n3,1,2\n1,2,3\n", "abc", [[0, 2, 3], [2, 0, 4], [1, 0, 0]]),
    "pairs in the header": (
        "a:b,a:c,b:c,judge\n1,NA,1,j1\n1,0,,j2\n-1,-1,1,j3\n", "abc", [[0, 2, 0.5], [1, 0, 2], [1.5, 0, 0]],
    ),
    "index pairs": ("10,2\n2,3\n3,10\n10,2\n", ("2", "3", "10"), [[0, 1, 0], [0, 0, 1], [2, 0, 0]]),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANS)
def test_a_table_means_these_wins(name: str) -> None:
    text, labels, wins = MEANS[name]
    votes = parse_votes(text.encode(), "x", ".csv")
    assert votes.game.labels == tuple(labels)
    assert votes.wins is not None
    assert votes.wins == pytest.approx(np.array(wins, dtype=float), abs=1e-15)
    assert np.array_equal(votes.game.comparisons, votes.wins + votes.wins.T)
    # a canary for each: one vote more for the second of a pair is another game
    other = np.array(wins, dtype=float) + np.eye(len(wins), k=-1)
    assert not np.array_equal(PreferenceGame.from_wins(other).margins, votes.game.margins)


ELECTIONS = {
    ".cvotes": (
        "#/Candidates: A ; B ; C\n#/Weight Allowed: true\nA > B = C * 42\nx || C > A ^7 * 2 #h\n/EMPTY_RANKING/ * 3\n",
        ("A", "B", "C"), [[0, 57.5, 43.5], [1.5, 0, 22.5], [15.5, 36.5, 0]],
    ),
    ".abif": (
        "=A:[Doña García]\n=B:[Steve]\n27:A>B\n24: B = C > A\n# c\n5:B/5,A/3\n",
        ("Doña García", "Steve", "C"), [[0, 27, 32], [29, 0, 44], [24, 12, 0]],
    ),
    ".blt": (
        '4 2\n-2\n3 1 3 4 0\n4 1 3 2 0\n2 4 1=3 0\n1 0\n1 - 3 0\n0\n"Adam"\n"Basil"\n"Charlotte"\n"Donald"\n"Title"\n',
        ("Adam", "Charlotte", "Donald"), [[0, 8.5, 8], [2.5, 0, 8.5], [3, 2.5, 0]],
    ),
    ".toc": ("3\n1,a\n2,b\n3,c\n9,9,2\n5,1,{2,3}\n4,{3,2},1\n", tuple("abc"), [[0, 5, 5], [4, 0, 4.5], [4, 4.5, 0]]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ELECTIONS)
def test_an_election_means_these_wins(suffix: str) -> None:
    text, labels, wins = ELECTIONS[suffix]
    votes = parse_votes(text.encode(), "x", suffix)
    assert votes.game.labels == labels
    assert votes.wins is not None
    assert votes.wins.tolist() == wins


@pytest.mark.parametrize("seed", range(5))
def test_preflib_orders_are_those_of_preflibtools(seed: int) -> None:
    """The library's orders, counted by a loop over pairs, against this package's reader."""
    rng = np.random.default_rng(seed)
    n, lines = 5, []
    for _ in range(8):
        order = rng.permutation(n)[: rng.integers(1, n + 1)] + 1
        groups, i = [], 0
        while i < len(order):
            size = int(rng.integers(1, 3))
            group = [str(x) for x in order[i : i + size]]
            groups.append(group[0] if len(group) == 1 else "{" + ",".join(group) + "}")
            i += size
        lines.append(f"{rng.integers(1, 9)}: {','.join(groups)}")
    head = ["# FILE NAME: t.toi", "# DATA TYPE: toi", f"# NUMBER ALTERNATIVES: {n}"]
    text = "\n".join([*head, *(f"# ALTERNATIVE NAME {i}: c{i}" for i in range(1, n + 1)), *lines])
    known = OrdinalInstance()
    known.parse_str(text, "toi", autocorrect=True)
    wins = np.zeros((n, n))
    for order in known.orders:
        rank = {x: k for k, group in enumerate(order) for x in group}
        for i in range(1, n + 1):
            for j in range(1, n + 1):
                a, b = rank.get(i, n), rank.get(j, n)
                wins[i - 1, j - 1] += known.multiplicity[order] * (1.0 if a < b else 0.5 if a == b and i != j else 0.0)
    votes = parse_votes(text.encode(), "t", ".toi")
    assert votes.wins is not None
    assert np.array_equal(votes.wins, wins)


PREFERENCES = [[Fraction(1, 2), Fraction(7, 10)], [Fraction(3, 10), Fraction(1, 2)]]
MATRICES = {
    "per cent signs": ",a,b\na,50%,70%\nb,30%,50%\n",
    "per cent": ",a,b\na,50,70\nb,30,50\n",
    "nothing on the diagonal": ",a,b\na,-,0.7\nb,0.3,-\n",
    "NA on the diagonal": ",a,b\na,NA,0.7\nb,0.3,NA\n",
    "half a table": ",a,b\na,0.5,0.7\nb,,0.5\n",
    "rows in another order": ",a,b\nb,0.3,0.5\na,0.5,0.7\n",
    "decimal commas": ";a;b\na;0,5;0,7\nb;0,3;0,5\n",
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_means_these_preferences(name: str) -> None:
    game = parse_votes(MATRICES[name].encode(), "x", ".csv").game
    assert game.labels == ("a", "b")
    assert game.exact is not None
    assert game.exact[0][1] == PREFERENCES[0][1] - Fraction(1, 2)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_arrays_of_few_digits_may_miss_one_by_their_rounding(kind: str) -> None:
    stream = io.BytesIO()
    p = np.array([[0.5, 0.7], [0.3, 0.5]])
    np.save(stream, p.astype(kind))
    eps = float(np.finfo(kind).eps)
    assert parse_votes(stream.getvalue(), "x", ".npy").game.margins[0, 1] == pytest.approx(0.2, abs=eps)
    wrong = (p + np.array([[0, max(4 * eps, 1e-8)], [0, 0]])).astype(kind)
    with pytest.raises(BadInput, match="must be 1"):
        PreferenceGame.from_preferences(wrong)


def test_tensors_and_data_frames_are_read_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    p = torch.tensor([[0.5, 0.7], [0.3, 0.5]], requires_grad=True)
    assert PreferenceGame.from_preferences(p).margins[0, 1] == pytest.approx(0.2, abs=1e-7)
    assert PreferenceGame.from_preferences(p.to(torch.bfloat16)).margins[0, 1] == pytest.approx(0.2, abs=4e-3)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[0.3, 0.5], [0.5, 0.7]], index=["b", "a"], columns=["a", "b"])
    game = PreferenceGame.from_preferences(frame)
    assert game.labels == ("a", "b")
    assert game.margins[0, 1] == pytest.approx(0.2)


def test_a_payoff_matrix_has_two_sides_and_a_value() -> None:
    """Matching pennies with payoffs 3 and 1: mixes (1/4, 3/4) both, value 3/4 (von Neumann)."""
    votes = parse_votes(b",left,right\nup,3,0\ndown,0,1\n", "x", ".csv", kind="payoff")
    answer = maximal_lottery(votes.game)
    assert votes.game.reading is not None
    assert answer.policy_exact is not None
    found = sides(answer.policy_exact, **votes.game.reading["payoff"])
    quarter = Fraction(1, 4)
    assert found == ((quarter, 3 * quarter), (quarter, 3 * quarter), 3 * quarter)
    oblong = parse_votes(b"task1,task2,task3\n1,2,3\n3,2,1\n", "x", ".csv", kind="payoff")
    policy = maximal_lottery(oblong.game).policy_exact
    assert policy is not None
    assert oblong.game.reading is not None
    assert sides(policy, **oblong.game.reading["payoff"]).value == 2


REFUSED = {
    "0 and 1 may be sides or truths": ("player1,player2,winner\nx,y,1\ny,x,0\n", "holds 0 and 1"),
    "names that are sides too": ("model_a,model_b,winner\na,b,a\nb,a,a\n", "with different winners"),
    "a third name": ("player1,player2,winner\nx,y,z\n", "judgment 1: winner: 'z' must be one of"),
    "no winner": ("model_a,model_b,winner\na,b,\n", "judgment 1: winner: is empty"),
    "a total that is none": ("player1,player2,win1,win2,n\nx,y,3,1,5\n", "n is not the sum of win1, win2"),
    "numbers without a role": ("model_a,model_b,winner,tokens_a\nx,y,model_a,5\n", "'tokens_a' holds numbers"),
    "truths without a role": ("winner,loser,flagged\nx,y,True\n", "'flagged' holds marks"),
    "words of a tie without a role": ("winner,loser,result\nx,y,win\nx,y,draw\n", "'result' holds marks"),
    "a column twice": ("winner,loser,winner\na,b,c\n", "'winner' occurs more than once"),
    "a row too short": ("winner,loser,count\na,b,1\nb,a\n", "judgment 2: has fewer cells"),
    "a row too long": ("winner,loser,count\na,b,1\nb,a,2,3\n", "judgment 2: has more cells"),
    "a soft label beyond": ("generator_1,generator_2,preference\nx,y,3\ny,x,0.5\n", "judgment 1: preference = 3"),
    "thousands or decimals": ("winner;loser;count\na;b;1,024\n", "decimals or thousands"),
    "ranks that are scores": ("a,b,c,count\n5,2,3,5\n2,4,1,4\n", "are no known layout"),
    "a candidate twice": ("rank1,rank2\na,a\n", "judgment 1: ranks 'a' twice"),
    "two hot columns": ("model_a,model_b,winner_model_a,winner_model_b\nx,y,1,1\n", "exactly one must be 1"),
    "a column of totals": (",a,b,c,Total\na,0,7,1,8\nb,3,0,6,9\nc,9,4,0,13\n", "'Total'"),
    "totals by another name": (",a,b,c,x\na,0,7,1,8\nb,3,0,6,9\nc,9,4,0,13\nx,12,11,7,0\n", "'x', is the sum"),
    "unknown columns": ("alpha,beta,gamma\nx,y,3\ny,x,1\nz,x,4\nu,v,w\n", "a comparison log (winner,loser"),
    "pairs that never met": (",a,b,c\na,0.5,0.7,\nb,0.3,0.5,0.6\nc,,0.4,0.5\n", "a - c: both cells are empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_in_one_line(name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(BadInput) as error:
        parse_votes(text.encode(), "x", ".csv")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def many_rows(name: str, count: int) -> bytes:
    """A parquet file of comparisons that are all the same, its columns declared as texts."""
    stream = io.BytesIO()
    codes = np.zeros(count, dtype=np.int32)
    one = {key: pa.DictionaryArray.from_arrays(codes, [value]) for key, value in (("winner", name), ("loser", "b"))}
    pq.write_table(pa.table(one), stream, store_schema=False)
    return stream.getvalue()


def one_long_name() -> bytes:
    """A parquet file of one vote, for a name of eight million letters."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"winner": ["a" * 2**23], "loser": ["b"]}), stream, compression="zstd")
    return stream.getvalue()


def arrow_bomb(kind: str, packing: str) -> bytes:
    """The same as an Arrow file or stream, its names in a dictionary, one of them a million letters long."""
    stream, names = io.BytesIO(), pa.array(["a" * 2**22, "b"])
    one, other = (pa.DictionaryArray.from_arrays(pa.array([i, i], pa.int8()), names) for i in (0, 1))
    table, options = pa.table({"winner": one, "loser": other}), ipc.IpcWriteOptions(compression=packing)
    with (ipc.new_file if kind == "file" else ipc.new_stream)(stream, table.schema, options=options) as file:
        file.write_table(table)
    return stream.getvalue()


def test_what_unpacks_to_far_more_than_its_size_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb: without a limit, a megabyte takes twenty gigabytes."""
    rows = b"winner,loser\n" + b"a,b\nb,a\n" * 2**20
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.csv", rows)
    packed = [(gzip.compress(rows, mtime=0), ".gz"), (archive.getvalue(), ".zip"),
              (lzma.compress(rows, preset=0), ".xz"), (many_rows("a", 10**7), ".parquet"),
              (one_long_name(), ".parquet"), *((arrow_bomb(kind, packing), ".arrow") for kind in ("file", "stream")
                                               for packing in ("lz4", "zstd"))]  # fmt: skip
    assert parse_votes(packed[0][0], "small enough", ".gz").reading.votes == 2**21
    monkeypatch.setattr(text, "AT_EASE", 2**22)
    for data, suffix in packed:
        assert len(data) < 60_000
        with pytest.raises(BadInput, match=r"unpacks to more than 200 times its [\d,]+ bytes; if that is right"):
            parse_votes(data, "bomb", suffix)


def test_a_long_name_in_many_rows_of_a_parquet_file_costs_its_length_once() -> None:
    """As a list of texts the column would take 800 MB."""
    data = many_rows("a" * 20_000, 40_000)
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    try:
        assert parse_votes(data, "long", ".parquet").reading.votes == 40_000
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 50e6


@pytest.mark.parametrize("lines", ["null", " null {", "null\nnull", '{"winner":"a","loser":"b"}\nnull', "\r\nnull\r\n"])
def test_a_line_of_json_that_is_null_is_refused(lines: str) -> None:
    """In a process of its own: pyarrow's reader died of it."""
    code = "import sys; from nashlab.votes import parse_votes; parse_votes(sys.argv[1].encode(), 'x', '.jsonl')"
    done = subprocess.run([sys.executable, "-c", code, lines], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"BadInput: x: (record \d is not an object|line 1 is not JSON)", done.stderr)


BROKEN = """
import pathlib, sys
from nashlab.game import BadInput
from nashlab.votes import parse_votes
whole = pathlib.Path(sys.argv[1]).read_bytes()
for place in range(len(whole)):
    try:
        parse_votes(whole[:place] + b"\\xff" + whole[place + 1 :], "broken", ".arrow")
    except BadInput:
        continue
print("alive")
"""


@pytest.mark.parametrize("file", [True, False])
def test_an_arrow_file_with_any_wrong_byte_is_read_or_refused(file: bool, tmp_path: Path) -> None:
    """In a process of its own: pyarrow reads a column as it stands, and a wrong length ended the process."""
    path = tmp_path / "votes.arrow"
    path.write_bytes(arrow({"winner": ["a", "b", "c"], "loser": ["b", "c", "a"]}, file))
    done = subprocess.run([sys.executable, "-c", BROKEN, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-500:]


def test_a_parquet_file_of_several_parts_with_other_names_and_blank_rows_is_read() -> None:
    stream = io.BytesIO()
    columns = {"winner": ["a", None, "c", "d", "a"], "loser": ["b", None, "a", "a", "d"]}
    pq.write_table(pa.table(columns), stream, row_group_size=2)
    votes = parse_votes(stream.getvalue(), "parts", ".parquet", fill="half")
    assert (votes.reading.votes, tuple(votes.game.labels)) == (4, ("a", "b", "c", "d"))


@pytest.mark.parametrize(
    ("data", "suffix", "message"),
    [
        (gzip.compress(ARENA.encode(), mtime=0)[:-5], ".gz", "cannot be unpacked as gzip"),
        (ARENA.encode(), ".gz", "is not a .gz file"),
        (zipped(a_csv=ARENA, b_csv=ARENA), ".zip", "an archive of 2 files"),
        (b"PAR1junk", ".parquet", "is not a parquet file"),
        (ARENA.encode(), ".parquet", "is not a parquet file"),
        (ARENA.encode(), ".json", "is not JSON"),
        (b'{"winner":"a","loser":"b"}\n{"winner":', ".jsonl", "line 2 is not JSON"),
        (b"#/Candidates: A ; B\nA > D\n", ".cvotes", "line 2: 'D' is not a candidate"),
        (b"3:A>A\n", ".abif", "line 1: ranks 'A' twice"),
        (b"hello\n", ".abif", "line 1: 'hello' must be COUNT"),
        (b"4 2\n3 1 3 4 0\n", ".blt", "no line 0 ends the ballots"),
        (
            parquet({"a": ["x"], "b": ["y"], "wins_a": [float("inf")], "wins_b": [1.0]}),
            ".parquet",
            "judgment 1: wins_a: 'inf' is not a finite number",
        ),
        (b",0.5\n0.5,0\n", ".csv", "row 1, column 1 is empty and row 2, column 2 is not"),
    ],
)
def test_broken_files_are_refused_in_one_line(data: bytes, suffix: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_votes(data, "x", suffix)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_columns_are_named_ignored_or_refused_by_options() -> None:
    text = b"W,L,N,T,extra\nx,y,3,0,9\ny,x,1,1,9\n"
    roles = {"winner": "W", "loser": "L", "weight": "N", "tie": "T"}
    votes = parse_votes(text, "x", ".csv", columns=roles, ignore=("extra",))
    assert votes.wins is not None
    assert votes.wins.tolist() == [[0, 3.5], [0.5, 0]]
    assert votes.reading.passed_over == ("extra",)
    with pytest.raises(BadInput, match="'extra' holds numbers"):
        parse_votes(text, "x", ".csv", columns=roles)
    with pytest.raises(BadInput, match="the file has no such column; did you mean 'extra'"):
        parse_votes(text, "x", ".csv", columns={**roles, "weight": "extr"})
    with pytest.raises(BadInput, match=r"'lose' is not a role .*did you mean 'loser'"):
        parse_votes(text, "x", ".csv", columns={"lose": "L"})


def test_pairs_that_never_met_are_filled_as_asked() -> None:
    log = b"winner,loser,n\na,b,3\nb,a,1\nb,c,3\nc,b,1\n"
    with pytest.raises(BadInput, match=r"1 pair\(s\) never met \(a - c\)"):
        parse_votes(log, "x", ".csv")
    fitted = parse_votes(log, "x", ".csv", fill="bradley-terry")
    assert fitted.game.preferences[0, 2] == pytest.approx(9 / 10)  # odds 3 and 3 multiply
    added = parse_votes(log, "x", ".csv", fill="add-1").game
    assert added.exact is not None
    assert (added.exact[0][1], added.exact[0][2]) == (Fraction(4, 6) - Fraction(1, 2), 0)
    assert added.comparisons is not None
    assert added.comparisons[0].tolist() == [0, 4, 0]  # votes that were cast, not those that were added
    thin = parse_votes(log + b"a,c,1\n", "x", ".csv", fill="half", min_votes=2)
    assert thin.game.preferences[0, 2] == 0.5
    assert any("fewer than 2 votes" in note for note in thin.reading.notes)


def test_votes_weigh_pairs_by_their_number() -> None:
    log = b"winner,loser,n\na,b,30\nb,a,10\nb,c,3\nc,b,1\nc,a,2\na,c,1\n"
    game = parse_votes(log, "x", ".csv", weigh="votes").game
    assert game.exact is not None
    assert [str(x) for x in game.exact[0]] == ["0", "20", "-1"]


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [(b"user,Pizza,Sushi\nann,10,2\nbob,0,9\n", ".csv", "its rows (ann, ...) and its columns (Pizza, Sushi) name"),
     (b"voter,A,B,C\n1,1,0,1\n2,0,1,0\n3,1,1,0\n", ".csv", "scores and approvals are not: turn them into ranks"),
     (b'{"model1": "x", "model2": "y", "liked": -3}\n{"model1": "x", "model2": "y", "liked": 1}\n', ".jsonl",
      "model1 and model2 are two sides, but no known column holds the outcome")],
)  # fmt: skip
def test_what_looks_like_another_layout_is_called_what_it_is(content: bytes, suffix: str, message: str) -> None:
    """Not a matrix that is not square."""
    with pytest.raises(BadInput, match=re.escape(message)):
        parse_votes(content, "x", suffix)


def test_a_matrix_with_a_misspelt_name_is_still_a_matrix() -> None:
    with pytest.raises(BadInput, match=r"column 2 is called 'b' and row 2 'c', must be the same response"):
        parse_votes(b",a,b\na,0,1\nc,1,0\n", "x", ".csv")


def test_names_that_may_be_one_are_said() -> None:
    """Case and spaces alone tell them apart; two models of different names are not mentioned."""
    log = b"winner,loser\ngpt-4,vicuna\nvicuna,GPT-4\nGPT-4,gpt-4\n"
    assert "names that differ only in case or spaces: gpt-4, GPT-4" in parse_votes(log, "x", ".csv").reading.notes
    assert "names that" not in str(parse_votes(log.replace(b"GPT-4", b"gpt-4o"), "x", ".csv").reading)

"""More files of each kind of votes, with wins counted by hand; what may mean two things is refused, not guessed."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nashlab.game import BadInput, PreferenceGame
from nashlab.votes import parse_votes

# text, labels, wins
LOGS = {
    "R's names": ("home.team,away.team,home.wins,away.wins\nx,y,3,4\ny,x,6,1\n", "xy", [[0, 4], [10, 0]]),
    "win, loss, tie": ("model1,model2,outcome\nx,y,win\ny,x,loss\ny,x,tie\n", "xy", [[0, 2.5], [0.5, 0]]),
    "W, L and D": ("model1,model2,outcome\nx,y,W\ny,x,L\ny,x,D\n", "xy", [[0, 2.5], [0.5, 0]]),
    "H, D and A": ("home,away,result\nx,y,H\ny,x,D\ny,x,A\n", "xy", [[0, 2.5], [0.5, 0]]),
    "chess": ("White,Black,Result\nx,y,1-0\ny,x,0-1\nx,y,1/2-1/2\n", "xy", [[0, 2.5], [0.5, 0]]),
    "goals in one cell": ("home,away,result\nx,y,3:1\ny,x,0:2\nx,y,2:2\n", "xy", [[0, 2.5], [0.5, 0]]),
    "verdicts": ("model_a,model_b,verdict\nx,y,A>>B\ny,x,B>A\ny,x,A=B\n", "xy", [[0, 2.5], [0.5, 0]]),
    "verdicts in brackets": ("model_a,model_b,verdict\nx,y,[[A]]\ny,x,[[B]]\ny,x,[[C]]\n", "xy", [[0, 2.5], [0.5, 0]]),
    "a probability of a side": ("model_a,model_b,prob_a\nx,y,0.75\ny,x,0.25\n", "xy", [[0, 1.5], [0.5, 0]]),
    "two probabilities": ("model_a,model_b,prob_a,prob_b\nx,y,0.75,0.25\ny,x,0,1\n", "xy", [[0, 1.75], [0.25, 0]]),
    "probability of the first": ("first,second,p_first_wins\nx,y,0.75\ny,x,0.25\n", "xy", [[0, 1.5], [0.5, 0]]),
    "wins and losses": ("model_a,model_b,wins,losses,ties\nx,y,3,4,2\n", "xy", [[0, 4], [5, 0]]),
    "win and loss beside names": ("model_a,model_b,win,loss\nx,y,3,4\n", "xy", [[0, 3], [4, 0]]),
    "two counts and a total": ("item1,item2,wins1,wins2,total\nx,y,3,1,4\n", "xy", [[0, 3], [1, 0]]),
    "0, 1, 2 of sides 1, 2": ("player1,player2,winner\nx,y,0\nx,y,1\nx,y,2\nx,y,2\n", "xy", [[0, 1.5], [2.5, 0]]),
    "decimal commas in quotes": ('winner,loser,weight\nx,y,"1,5"\ny,x,"2"\n', "xy", [[0, 1.5], [2, 0]]),
    "a first line sep=": ("sep=;\nwinner;loser\nx;y\ny;x\nx;y\n", "xy", [[0, 2], [1, 0]]),
    "another delimiter": ("winner^loser\nx^y\ny^x\nx^y\n", "xy", [[0, 2], [1, 0]]),
    "two shares of two judges": ("a,b,p,judge\nx,y,0.25,u\ny,x,0.5,v\n", "xy", [[0, 0.75], [1.25, 0]]),
    "ranks with a point": ("A,B,C,n\n1.0,2.0,,4\n2.0,1.0,3.0,1\n", "ABC", [[0, 4, 5], [1, 0, 5], [0, 0, 0]]),
    "a tie in a cell": ("rank1,rank2\na=b,c\nb,a\n", "abc", [[0, 0.5, 2], [1.5, 0, 2], [0, 0, 0]]),
    "candidates by number": ("rank1,rank2,n\n10,20,3\n20,10,1\n", ("10", "20"), [[0, 3], [1, 0]]),
    "a first ballot that is empty": ("rank1,rank2\n,\na,b\n", "ab", [[0, 1.5], [0.5, 0]]),
    "pairs with _vs_": ("a_vs_b,a_vs_c,b_vs_c\n1,-1,1\n-1,0,1\n", "abc", [[0, 1, 0.5], [1, 0, 2], [1.5, 0, 0]]),
    "pairs with halves": ("a:b,a:c,b:c\n1,0,0.5\n0.5,0,1\n", "abc", [[0, 1.5, 0], [0.5, 0, 1.5], [2, 0.5, 0]]),
    "models beside texts": (
        "prompt,chosen,rejected,chosen_model,rejected_model\np,t1,t2,x,y\nq,t3,t4,y,x\nr,t5,t6,x,y\n",
        "xy",
        [[0, 2], [1, 0]],
    ),
    "models of the winner": ("winner,loser,winner_model,loser_model\nt1,t2,x,y\n", "xy", [[0, 1], [0, 0]]),
    "good ties": ("model_a,model_b,winner\nx,y,tie (both good)\ny,x,model_a\n", "xy", [[0, 0.5], [1.5, 0]]),
    "pairs beside a comment": ("a:b,a:c,b:c,comment\n1,-1,1,fine\n", "abc", [[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_a_log_or_a_table_of_ballots_means_these_wins(name: str) -> None:
    text, labels, wins = LOGS[name]
    votes = parse_votes(text.encode(), "x", ".csv")
    assert votes.game.labels == tuple(labels)
    assert votes.wins is not None
    assert votes.wins == pytest.approx(np.array(wins, dtype=float), abs=1e-15)
    # a canary for each: the table turned round is another one
    assert not np.array_equal(np.array(wins, dtype=float).T, votes.wins)


RECORDS = [{"winner": "x", "loser": "y"}, {"winner": "y", "loser": "x"}, {"winner": "x", "loser": "y"}]
FRAMES = {
    "columns": {"winner": {"0": "x", "1": "y", "2": "x"}, "loser": {"0": "y", "1": "x", "2": "y"}},
    "split": {"columns": ["winner", "loser"], "index": [0, 1, 2], "data": [["x", "y"], ["y", "x"], ["x", "y"]]},
    "table": {"schema": {"fields": []}, "data": RECORDS},
    "records in data": {"data": RECORDS},
}


@pytest.mark.parametrize("orient", FRAMES)
def test_a_frame_in_json_is_its_log(orient: str) -> None:
    """What pandas writes by to_json(orient=...), by hand."""
    votes = parse_votes(json.dumps(FRAMES[orient]).encode(), "x", ".json")
    assert votes.game.labels == ("x", "y")
    assert votes.wins is not None
    assert votes.wins.tolist() == [[0, 2], [1, 0]]


def test_pandas_own_json_is_read() -> None:
    frame = pytest.importorskip("pandas").DataFrame(RECORDS)
    for orient in ("columns", "split", "table", "records"):
        votes = parse_votes(frame.to_json(orient=orient).encode(), "x", ".json")
        assert votes.wins is not None
        assert votes.wins.tolist() == [[0, 2], [1, 0]], orient


def test_objects_in_an_object_are_rows_or_columns() -> None:
    """A frame of wins would be the columns, a table by hand the rows: refused, for the two are each other's mirror."""
    with pytest.raises(BadInput, match="are these rows or columns"):
        parse_votes(b'{"a": {"a": 0, "b": 3}, "b": {"a": 1, "b": 0}}', "x", ".json")


SAME = [[0, 3], [1, 0]]
COLUMNS: dict[str, Any] = {"winner": ["x", "y"], "loser": ["y", "x"], "count": [3, 1]}


def written(columns: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (written(COLUMNS), ".parquet"),
        (written(COLUMNS | {"count": [3.0, 1.0]}), ".parquet"),
        (written(COLUMNS | {"count": [Decimal("3.0"), Decimal("1.0")]}), ".parquet"),
        (written(COLUMNS | {"winner": [b"x", b"y"], "loser": [b"y", b"x"]}), ".parquet"),
        (written(COLUMNS | {"winner": pa.array(["x", "y"]).dictionary_encode()}), ".parquet"),
        (written(COLUMNS | {"when": pa.array([1, 2], pa.timestamp("s")), "turns": [[{"text": "3"}], []]}), ".parquet"),
        (json.dumps(COLUMNS).encode(), ".json"),
        ("winner,loser,count\nx,y,3\ny,x,1\n".encode("utf-16"), ".csv"),
        ("winner\tloser\tcount\nx\ty\t3\ny\tx\t1\n".encode("utf-16"), ".txt"),
    ],
)
def test_one_log_in_columns_of_every_type(data: bytes, suffix: str) -> None:
    votes = parse_votes(data, "x", suffix)
    assert votes.game.labels == ("x", "y")
    assert votes.wins is not None
    assert votes.wins.tolist() == SAME


AMBIGUOUS = {
    "0, 1 and 2 of sides without numbers": ("left,right,label\nx,y,0\ny,x,1\nx,y,2\n", "holds 0 and 2"),
    "ranks or candidates": ("rank1,rank2,rank3\n1,2,3\n3,2,1\n2,1,3\n", "numbers of candidates, or ranks"),
    "1 and 0 of pairs": ("a:b,a:c,b:c\n1,0,1\n0,0,1\n", "is 0 a tie, or a win of the second"),
    "points before thousands": ("winner;loser;n\nx;y;1.000\ny;x;2.500\n", "points are before three digits everywhere"),
    "commas before thousands": ('winner,loser,n\nx,y,"1,000"\ny,x,"2,500"\n', "commas are before three digits"),
    "not 1 together": ("model_a,model_b,prob_a,prob_b\nx,y,0.7,0.2\n", "judgment 1: prob_a + prob_b must be 1"),
    "several in a cell": ("rank1,rank2\na/b,c\na,b\nb,c\n", "'a/b' names several candidates"),
    "numbers beside pairs": ("a:b,a:c,b:c,age\n1,-1,1,33\n", "'age' holds numbers"),
    "no outcome": ("model_a,model_b,rating\nx,y,5\ny,x,3\n", "no known column holds the outcome"),
    "rows that lose": ("loser/winner,a,b\na,0,6\nb,4,0\n", "says that rows lose to columns"),
    "means": (",a,b,c,avg\na,.5,.6,.2,.43\nb,.4,.5,.7,.53\nc,.8,.3,.5,.53\navg,.57,.47,.47,.5\n", "the mean"),
    "a nameless row": (",a,\na,0,6\n,4,0\n", "column 2 has no name"),
    "ranks in columns called otherwise": ("vote_1,vote_2,vote_3\na,b,c\nc,b,a\n", "are no known layout"),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_may_mean_two_things_is_refused(name: str) -> None:
    text, message = AMBIGUOUS[name]
    with pytest.raises(BadInput) as error:
        parse_votes(text.encode(), "x", ".csv")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_with_points_or_commas_are_decimals_where_one_of_them_must_be() -> None:
    """Canary of the two refusals above: a number that cannot be a thousand decides for all."""
    points = parse_votes(b"winner;loser;n\nx;y;1.000\ny;x;0.500\n", "x", ".csv")
    commas = parse_votes(b"winner;loser;n\nx;y;1,000\ny;x;0,500\n", "x", ".csv")
    assert points.wins is not None
    assert commas.wins is not None
    assert points.wins.tolist() == commas.wins.tolist() == [[0, 1], [0.5, 0]]


def test_totals_are_no_response_in_any_format() -> None:
    inner = np.array([[0, 6, 2], [4, 0, 7], [8, 3, 0]])
    whole = np.block([[inner, inner.sum(axis=1)[:, None]], [inner.sum(axis=0), inner.sum()]])
    stream = io.BytesIO()
    np.save(stream, whole - np.diag(np.diagonal(whole)))
    for data, suffix in (
        (stream.getvalue(), ".npy"),
        (json.dumps({"wins": whole.tolist()}).encode(), ".json"),
        (json.dumps({"wins": (whole - np.diag(np.diagonal(whole))).tolist()}).encode(), ".json"),
    ):
        with pytest.raises(BadInput, match="last row and column are the sums of the others"):
            parse_votes(data, "x", suffix)
    whole[-1, 0] += 1  # canary: by one off, a fourth response
    assert parse_votes(json.dumps({"wins": whole.tolist()}).encode(), "x", ".json").game.n == 4


@pytest.mark.parametrize(
    "text",
    [
        ",a,b\na,0,.7\nb,.3,0\n",
        ",a,b\na,--,.7\nb,.3,--\n",
        ",a,b\na,#N/A,.7\nb,.3,n.a.\n",
        "0,5 0,7\n0,3 0,5\n",
    ],
)
def test_a_diagonal_that_says_nothing_is_one_half(text: str) -> None:
    game = parse_votes(text.encode(), "x", ".csv").game
    assert game.exact is not None
    assert game.exact[0][1] == Fraction(1, 5)


def test_rounded_margins_are_refused_with_the_option_that_reads_them() -> None:
    text = b",a,b,c\na,0,.17,-.37\nb,-.16,0,.1\nc,.37,-.1,0\n"
    with pytest.raises(BadInput, match="--symmetrise"):
        parse_votes(text, "x", ".csv")
    game = parse_votes(text, "x", ".csv", symmetrise=True).game
    assert game.exact is not None
    assert game.exact[0][1] == Fraction(33, 200)


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b"agent,1,2,3\n1,.5,.2,.9\n2,.1,.8,.3\n", ".csv"),
        (b"agent;t1;t2;t3\nx;0,5;0,2;0,9\ny;0,1;0,8;0,3\n", ".csv"),
        (b'{"payoff": [[0.5, 0.2, 0.9], [0.1, 0.8, 0.3]]}', ".json"),
        (b'[{"agent":"x","t1":0.5,"t2":0.2,"t3":0.9},{"agent":"y","t1":0.1,"t2":0.8,"t3":0.3}]', ".json"),
        (written({"agent": ["x", "y"], "t1": [0.5, 0.1], "t2": [0.2, 0.8], "t3": [0.9, 0.3]}), ".parquet"),
    ],
)
def test_agents_and_tasks_are_one_game_in_every_format(data: bytes, suffix: str) -> None:
    game = parse_votes(data, "x", suffix, kind="payoff").game
    plain = parse_votes(b".5,.2,.9\n.1,.8,.3\n", "x", ".csv", kind="payoff").game
    assert game.n == 6
    assert game.exact == plain.exact


def test_canary_a_win_more_is_seen() -> None:
    votes = parse_votes(b"White,Black,Result\nx,y,1-0\ny,x,1-0\n", "x", ".csv")
    assert votes.game.margins.tolist() == PreferenceGame.from_wins([[0, 1], [1, 0]]).margins.tolist()

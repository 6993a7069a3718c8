"""Each file of tests/cases/votes is read to the right lotteries, or refused by the name of its mistake."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from nashlab.equilibrium import maximal_lottery
from nashlab.game import BadInput
from nashlab.votes import read_votes

CASES = Path(__file__).parent / "cases" / "votes"
EXPECTED: dict[str, dict[str, Any]] = json.loads((CASES / "expected.json").read_text(encoding="utf-8"))


def options(case: dict[str, Any]) -> dict[str, str]:
    words = case["options"].split()
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}


def test_every_case_has_a_file() -> None:
    assert {path.name for path in CASES.iterdir()} == {*EXPECTED, "expected.json"}
    assert len(EXPECTED) == 25


@pytest.mark.parametrize("name", [name for name, case in EXPECTED.items() if "vertices" in case])
def test_the_file_is_read_to_its_lotteries(name: str) -> None:
    case = EXPECTED[name]
    votes = read_votes(str(CASES / name), **options(case))
    assert list(votes.game.labels) == case["labels"]
    solution = maximal_lottery(votes.game, exact=True)
    found = solution.face.vertices if solution.face else (solution.policy_exact or (),)
    assert set(found) == {tuple(map(Fraction, vertex)) for vertex in case["vertices"]}
    assert votes.reading.layout
    assert votes.game.reading == votes.reading.content()


def test_the_projection_on_the_boundary_of_a_face_is_exact() -> None:
    solution = maximal_lottery(read_votes(str(CASES / "half_face.csv")).game, exact=True)
    assert solution.policy_exact == (Fraction(1, 2), Fraction(1, 2), 0)


@pytest.mark.parametrize("name", [name for name, case in EXPECTED.items() if "refuse" in case])
def test_the_file_is_refused_by_name(name: str) -> None:
    case = EXPECTED[name]
    with pytest.raises(BadInput, match=re.escape(case["refuse"])) as error:
        read_votes(str(CASES / name), **options(case))
    assert "\n" not in str(error.value)


def test_the_rounded_table_is_read_by_the_option_that_its_refusal_names() -> None:
    with pytest.raises(BadInput, match="--symmetrise"):
        read_votes(str(CASES / "two_decimals.csv"))
    votes = read_votes(str(CASES / "two_decimals.csv"), symmetrise=True)
    # ½ + (.67 − .34)/2, ½ + (.13 − .87)/2, ½ + (.6 − .4)/2
    half = Fraction(1, 2)
    assert votes.game.exact is not None
    assert votes.game.exact[0] == (0, Fraction(33, 200), Fraction(-37, 100))
    assert votes.game.exact[1][2] == Fraction(6, 10) - half


def test_canary_half_a_tie_less_is_another_lottery() -> None:
    """The expected lottery of tie_flag.csv is that of halves: counted as wins, the ties give another one."""
    text = (CASES / "tie_flag.csv").read_text(encoding="utf-8").replace("True", "False")
    (votes,) = [read_text(text)]
    assert [str(x) for x in maximal_lottery(votes).policy_exact or ()] != EXPECTED["tie_flag.csv"]["vertices"][0]


def read_text(text: str) -> Any:
    from nashlab.votes import parse_game

    return parse_game(text.encode(), "x", ".csv")

"""What people see while they wait."""

from __future__ import annotations

import re

import pytest

from nashlab.display import KEPT, Progress


def told(total: int, pieces: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with Progress(total) as advance:
        for piece in pieces:
            advance(piece)
    return [re.sub(r"\d+ s", "_ s", line) for line in capsys.readouterr().err.splitlines()]


def test_progress_says_how_much_is_done_and_how_long_the_rest_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(2, ["a", "b"], capsys) == ["1/2 _ s, _ s left a", "2/2 _ s, _ s left b"]


def test_what_was_there_already_says_nothing_about_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(3, [KEPT, "a"], capsys) == [f"1/3 _ s {KEPT}", "2/3 _ s, _ s left a"]


def test_pieces_beyond_the_number_have_no_negative_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """As the proofs after the claims in `nashlab verify --proofs`."""
    assert told(1, ["a", "b", "c"], capsys) == ["1/1 _ s, _ s left a", "2 _ s b", "3 _ s c"]

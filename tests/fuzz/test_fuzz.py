"""Inputs that once ended in a traceback, a warning or no end; and files that are none: each ends in one line."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import targets

from nashlab.certify import CertifyError, read_margins
from nashlab.cli import main
from nashlab.display import one_line
from nashlab.files import read_bytes

SEVEN = "7" * 20_000
FORGED = '{"tau": 0, "margins_exact": [["0"]], "policy": [1], %s}'

# ruff: noqa: E501, UP031
ANSWERS = {
    "a log that no exponential holds": (FORGED % '"log_policy": [1e308]', "refuted"),
    "vertices of another length": (
        FORGED % '"policy_exact": ["1"], "unique": false, "face": {"vertices": [["1", "0"]], "dimension": 1}', "refused",
    ),
    "no prompts": ('{"tau": 0, "prompts": []}', "refused"),
    "prompts with labels that are none": ('{"prompts": [%s], "labels": 5}' % (FORGED % '"game": null'), "refused"),
    "prompts with a certificate that is none": ('{"prompts": [%s], "certificate": [1]}' % (FORGED % '"game": null'),
                                                "refused"),
    "a quotient of 200,000 digits": ('{"tau": "1e-999", "margins_exact": [["0", "1%s"], ["-1%s", "0"]], "policy": [1, 0],'
                                    '"log_policy": [0, -1e9]}' % ("0" * 199_100, "0" * 199_100), "accepted"),
}  # fmt: skip

GAMES = {
    "a long number in a file": b".csv||\na,b\n1/" + SEVEN.encode() + b",0\n0,0",
    "only a comma": b".tsv||\n,",
    "a reference that is no list": b'.json||\n{"preferences": [[0.5, 0.5], [0.5, 0.5]], "reference": false}',
    "labels that are no list": b'.json||\n{"wins": [[0, "3/2"], [1, 0]], "labels": true}',
    "JSON in a file of another kind": b'.cvotes||\n{"wins": [["0", 3], [1, 0]]}',
    "rows that are none": b'.json||\n{"margins": true}',
    "a cell longer than csv has it": b".csv||\na,b\n0," + b"1" * 140_000 + b"\n1,0",
    "an array of nothing, of a thousand million rows": b".npy||\n\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 0), }".ljust(117) + b"\n",
}  # fmt: skip


@pytest.mark.parametrize(("text", "end"), ANSWERS.values(), ids=list(ANSWERS))
def test_answers_end_in_rows_or_one_line(text: str, end: str) -> None:
    assert targets.judged(targets.TARGETS["answers"], text.encode())[0] == end


@pytest.mark.parametrize("data", GAMES.values(), ids=list(GAMES))
def test_the_verifiers_reader_refuses(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    with pytest.raises(CertifyError) as refused:
        read_margins(body, head.decode().split("|")[0])
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_wrong_in_the_target_is_seen() -> None:
    """Canaries: a judge that lets a traceback, a warning or an endless input pass would find nothing."""

    def warns(data: bytes) -> str:
        import warnings

        warnings.warn("beware", RuntimeWarning, stacklevel=1)
        return ""

    def endless(data: bytes) -> str:
        while True:
            pass

    for judge, fault in ((warns, RuntimeWarning), (lambda data: str(1 // 0), ZeroDivisionError)):
        with pytest.raises(fault):
            targets.judged(targets.Target(judge, list, targets.mutate_bytes), b"")
    with pytest.raises(targets.Fault, match="no end"), targets.watched(0.05):
        endless(b"")


@pytest.mark.parametrize(("kind", "inputs"), [("answers", 150), ("references", 150), ("commands", 12)])
def test_random_inputs(kind: str, inputs: int) -> None:
    target, rng = targets.TARGETS[kind], random.Random(1)
    seeds = [x for x in target.seeds() if kind != "commands" or b'"sweep"' not in x]
    ends = set()
    for _ in range(inputs):
        data = target.mutate(rng.choice(seeds), rng)
        ends.add(targets.judged(target, data)[0])
    assert len(ends) > 1  # some are good, some are not


HOSTILE: dict[str, Any] = {
    "long numbers in every place": lambda: {
        "tau": "0", "margins_exact": [["0"] * 40] * 40, "policy": ["0"] * 40,
        "policy_exact": [f"1/{SEVEN}{k + 1}" for k in range(40)]},
    "a reference without a common factor": lambda: {
        "tau": "0.1", "margins_exact": [["0"] * 100] * 100, "policy": ["0"] * 100,
        "reference_exact": [f"{'3' * 2000}{k}/{'9' * 2000}{k + 1}" for k in range(100)]},
    "many vertices of a large tie": lambda: {
        "tau": "0", "margins_exact": [["0"] * 150] * 150, "policy": ["1", *["0"] * 149], "unique": False,
        "face": {"dimension": "149", "complete": True,
                 "vertices": [[str(int(i in (k, (k + 1) % 150))) + "/2" for i in range(150)] for k in range(150)]}},
    "a face whose enumeration grows": lambda: {
        "tau": "0", "margins_exact": _cyclic(24), "policy": ["1", *["0"] * 23], "unique": False,
        "face": {"dimension": "23", "complete": True, "vertices": [["1/24"] * 24]}},
    "a name twice among many": lambda: '{"tau": 0, ' + ", ".join(f'"{k}": 0' for k in range(200_000)) + ', "199999": 0}',
}  # fmt: skip


def _cyclic(n: int) -> list[list[str]]:
    """Every response even with its opposites, and each row its neighbour's, shifted: the uniform policy is a lottery."""
    first = [0] + [(7 * k * k + 3) % 11 - 5 for k in range(1, n // 2)] + [0]
    row = first + [-x for x in first[1:-1]][::-1]
    return [[str(row[(j - i) % n]) for j in range(n)] for i in range(n)]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_end_in_ten_seconds(name: str) -> None:
    content = HOSTILE[name]()
    began = time.process_time()
    text = content if isinstance(content, str) else json.dumps(content)
    assert targets.judged(targets.TARGETS["answers"], text.encode())[0] in ("refused", "refuted")
    assert time.process_time() - began < 10


# -- files that are none, and streams --------------------------------------------------------------------------------


def _special(folder: Path, kind: str) -> str:
    path = folder / "answer.json"
    if kind == "a FIFO without a writer":
        os.mkfifo(path)
    elif kind == "a loop of links":
        path.symlink_to(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "1 GB of nothing":
        with path.open("wb") as file:
            file.truncate(10**9)
    elif kind == "a device without end":
        return "/dev/zero"
    elif kind == "a name that no file can have":
        return "a\0b"
    elif kind == "a name of two lines":
        return "no\nfile.json"
    elif kind == "nesting":
        path.write_text("[" * 10**5)
    return str(path)


SPECIAL = ("a FIFO without a writer", "a loop of links", "a folder", "1 GB of nothing", "a device without end",
           "a name that no file can have", "a name of two lines", "nesting", "no file")  # fmt: skip


@pytest.mark.parametrize("kind", SPECIAL)
def test_files_that_are_none(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_bytes, "__defaults__", (0.2,))  # seconds for which a silent pipe is waited for
    good = tmp_path / "good.json"
    good.write_text('{"tau": 0, "margins_exact": [["0"]], "policy": [1]}')
    bad = _special(tmp_path, kind)
    sweep = [["sweep", bad]] if kind not in ("a folder", "a name of two lines") else []
    solve = [["solve", bad], ["rank", bad], ["solve", "rps", "--reference", bad]]
    for arguments in (["certify", bad], ["certify", str(good), bad], *solve, *sweep):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        out, err = capsys.readouterr()
        assert (stop.value.code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert err.startswith("nashlab: ")
        assert kind != "a loop of links" or "no such file" not in err


@pytest.mark.parametrize("kind", ["a FIFO without a writer", "a loop of links", "a folder"])
def test_a_loss_that_is_in_no_file_is_told_what_it_is(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Path(_special(tmp_path, kind)).rename(tmp_path / "loss.py")
    with pytest.raises(SystemExit) as stop:
        main(["check", str(bad)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"nashlab: {bad}: is not a file\n"


def test_a_closed_stream_is_one_line(tmp_path: Path) -> None:
    def closed(arguments: str, stream: str) -> subprocess.CompletedProcess[str]:
        script = f'"{sys.executable}" -m nashlab.cli {arguments} {stream}'
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)

    done = closed("certify -", "<&-")
    assert done.returncode == 2
    assert done.stderr == "nashlab: -: cannot be read (standard input is closed)\n"
    done = closed("gallery --json", ">&-")  # who wants no output gets none
    assert (done.returncode, done.stderr) == (0, "")
    done = closed("gallery --json", ">/dev/full")
    assert done.returncode == 2
    assert done.stderr == "nashlab: standard output cannot be written (No space left on device)\n"


def test_messages_are_one_line() -> None:
    assert one_line("a\nb\r\n c\x1b[31m\ud800") == "a b c\\x1b[31m\\ud800"

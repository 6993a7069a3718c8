"""The command line as scripts use it: JSON contracts, exit codes, one clear line for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nashlab.cli import commands, main
from nashlab.gallery import get


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:  # type: ignore[type-arg]
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)  # type: ignore[no-any-return]


def test_soundquality_is_solved_exactly_and_certified_by_the_independent_verifier(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    solved = answer(capsys, "solve", "soundquality")
    policy = [Fraction(p) for p in solved["policy_exact"]]
    exact = get("soundquality").exact
    assert exact is not None
    assert sum(policy) == 1
    assert max(sum(a * p for a, p in zip(row, policy, strict=True)) for row in exact) == 0
    assert solved["unique"] is True
    assert solved["status"] == "exact"
    assert solved["certificate"]["kind"] == "rational"
    # there is no Condorcet winner: every response loses to some other
    assert all(min(row) < 0 for row in exact)
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(solved))
    table = str(Path(__file__).parent.parent / "nashlab" / "data" / "soundquality.csv")
    for game in ([], [table]):
        code, out, _ = run(capsys, "certify", str(path), *game)
        assert code == 0
        assert "REFUTED" not in out
    # canary: a policy that is off by 1e-30 is refuted
    first = next(i for i, p in enumerate(policy) if p)
    policy[first] -= Fraction(1, 10**30)
    policy[first - 1] += Fraction(1, 10**30)
    path.write_text(json.dumps({**solved, "policy_exact": list(map(str, policy))}))
    code, out, _ = run(capsys, "certify", str(path))
    assert code == 1
    assert "REFUTED" in out


def test_regularised_answers_carry_a_rigorous_bound(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    solved = answer(capsys, "solve", "soundquality", "--tau", "0.1")
    assert solved["certificate"]["rigorous"] is True
    assert solved["certificate"]["kind"] == "ball"
    assert solved["certificate"]["l1_bound"] <= 1e-12
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(solved))
    assert run(capsys, "certify", str(path))[0] == 0
    solved["log_policy"][0] += 1e-9
    path.write_text(json.dumps(solved))
    assert run(capsys, "certify", str(path))[0] == 1


def test_faces_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    solved = answer(capsys, "solve", "duplicates")
    assert solved["unique"] is False
    assert solved["face"]["dimension"] == 3
    assert len(solved["face"]["vertices"]) == 4
    _, out, _ = run(capsys, "solve", "duplicates")
    assert "dimension 3" in out


def test_what_does_not_apply_is_null(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reference = tmp_path / "mu.txt"
    reference.write_text("0.4\n0.3\n0.2\n0.1\n")
    solved = answer(capsys, "solve", "four-cycle", "--reference", str(reference))
    assert solved["policy_exact"] is None
    assert solved["slacks"] is None
    # irrational, and yet proved: by a rational lottery next to it and its multipliers
    assert solved["certificate"]["l1_bound"] < 1e-15
    assert solved["certificate"]["witness"]["point"]
    assert solved["face"]["dimension"] == 1
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(solved))
    assert run(capsys, "certify", str(path))[0] == 0
    code, _, err = run(capsys, "solve", "four-cycle", "--reference", str(reference), "--exact")
    assert code == 2
    assert "irrational" in err


def test_run_reports_histories_rates_and_nash_mds_own_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plot = tmp_path / "out.png"
    names = ["omd", "nash-md", "egpo", "online-ipo", "ipo-md"]
    code, out, err = run(
        capsys, "run", *names, "--game", "rps-weighted", "--tau", "0.1", "--steps", "3000", "--step-size", "0.3",
        "--plot", str(plot), "--json",
    )  # fmt: skip
    assert code == 0, err
    runs = json.loads(out)
    assert [r["algorithm"] for r in runs] == names
    assert plot.stat().st_size > 10_000
    for r in runs:
        assert len(r["steps"]) == len(r["exploitability"]) == len(r["distance"])
        assert r["steps"][0] == 0
        assert r["predicted_rate"] == pytest.approx(r["measured_rate"], abs=1e-4)
    code, out, _ = run(
        capsys, "run", "nash-md", "--game", "rps-weighted", "--tau", "0.1", "--step-size", "0.3", "--steps", "500"
    )
    assert "nash-md converges to" in out
    assert "nash-md-debiased" in out
    assert "beyond" not in out
    _, out, _ = run(
        capsys, "run", "omd", "--game", "rps-weighted", "--tau", "0.1", "--step-size", "0.5", "--steps", "50"
    )
    assert "omd: step 0.5 is beyond the 0.385 of its theorem" in out


def test_rates_gallery_and_algorithms(capsys: pytest.CaptureFixture[str]) -> None:
    rate = answer(capsys, "rates", "omd", "--game", "rps", "--tau", "0.1", "--step-size", "0.5")
    assert rate["predicted_rate"] == pytest.approx(abs(1 - 0.05 + 0.5j * np.sqrt(3) / 6), abs=1e-12)
    assert rate["measured_rate"] == pytest.approx(rate["predicted_rate"], abs=1e-5)
    names = {entry["name"] for entry in json.loads(run(capsys, "gallery", "--json")[1])}
    assert {"soundquality", "rps", "gap-trap"} <= names
    table = json.loads(run(capsys, "algorithms", "--json")[1])
    assert any("inpo" in row["aliases"] for row in table)


BAD = [
    (("solve", "no-such-game"), "gallery"),
    (("solve", "soundqualit"), "did you mean 'soundquality'"),
    (("solve", "missing.csv"), "no such file"),
    (("solve", "rps", "--tau", "-1"), "temperature = -1.0, must be finite and at least 0"),
    (("solve", "rps", "--tau", "nan"), "temperature"),
    (("solve", "rps", "--tau", "0.1", "--exact"), "irrational"),
    (("run", "omdd", "--game", "rps", "--tau", "0.1"), "did you mean 'omd'"),
    (("run", "omd", "--game", "rps", "--tau", "0.1", "--step-size", "-1"), "step_size"),
    (("run", "omd", "--game", "rps", "--tau", "0.1", "--plot", "out.xyz"), "out.xyz"),
    (("rates", "online-ipo", "--game", "rps", "--tau", "0"), "temperature = 0, must be positive"),
    (("verify", "--claims", "L99"), "'L99' is unknown"),
    (("certify", "missing.json"), "missing.json"),
    (("rank", "missing.csv"), "no such file"),
    (("rank", "pudding", "--bootstrap", "-1"), "bootstrap = -1, must be at least 0"),
    (("rank", "pudding", "--plot", "out.xyz"), "out.xyz"),
    (("rank", "pudding", "--columns", "winner"), "columns: 'winner' must be role=column"),
    (("solve", "rps", "--fill", "half"), "'rps' is a game of the gallery without counts"),
    (("solve", "pudding", "--fill", "add-x"), "fill = 'add-x', must be 'half', 'bradley-terry', 'add-K'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda x: " ".join(x) if isinstance(x, tuple) else "")
def test_bad_input_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("solve",), "Missing from nashlab solve"),
        (("slove", "rps"), "did you mean 'solve'?"),
        (("solve", "rps", "--tua", "1"), "--tau"),
    ],
)
def test_wrong_usage_is_exit_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands.functions()) == 12
    for command in commands.functions():
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert "Example" in out


def test_verify_writes_its_report_and_catches_every_wrong_twin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for extra in ((), ("--canary",)):
        folder = tmp_path / ("canary" if extra else "plain")
        code, out, err = run(
            capsys, "verify", "--claims", "E2,L1,L2,N8", "--samples", "20", "--workers", "1", "--out", str(folder),
            "--json", *extra,
        )  # fmt: skip
        assert code == 0, err
        claims = {c["id"]: c for c in json.loads(out)["claims"]}
        assert set(claims) == {"E2", "L1", "L1.grpo", "L2.i", "L2.ii", "L2.iii", "L2.iv", "L2.v", "N8"}
        assert all(c["status"] == "pass" for c in claims.values())
        assert json.loads((folder / "verify.json").read_text())["claims"]
        assert "<html" in (folder / "report.html").read_text()
        assert not list(folder.glob("*.part"))


def test_rank_prints_one_object_and_writes_its_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("model_a,model_b,winner,note,worker\n" + "x,y,model_a,hi,1\ny,z,model_a,ho,2\nx,y,tie,hm,3\n" * 4)
    board = tmp_path / "board.html"
    code, out, err = run(
        capsys, "rank", str(log), "--json", "--html", str(board), "--plan", "20", "--bootstrap", "50",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    assert told["reading"]["passed_over"] == ["note"]
    assert (told["reading"]["votes"], told["reading"]["ties"], told["reading"]["pairs_met"]) == (12, 4, 2)
    assert "passed over: note" in err
    assert "never met: filled with the Bradley-Terry fit" in err
    assert [r["label"] for r in told["responses"]] == ["x", "y", "z"]
    assert told["condorcet_winner"] == "x"
    assert told["possible"] is not None
    assert sum(times for _, _, times in told["plan"]["pairs"]) == 20
    page = board.read_text(encoding="utf-8")
    assert "no cycle to draw" in page  # x beats y, who beats z
    assert "<svg" not in page
    code, _, err = run(capsys, "rank", str(log), "--fill", "refuse")
    assert code == 2
    assert "1 pair(s) never met (x - z)" in err


def test_solve_says_what_it_understood(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(",a,b\na,0.5,0.67\nb,0.34,0.5\n")
    code, _, err = run(capsys, "solve", str(table))
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--symmetrise" in err
    code, _, err = run(capsys, "solve", str(table), "--symmetrise")
    assert code == 0
    assert "symmetrised: entries moved by up to 0.005" in err


def test_standard_input_is_a_game() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nashlab.cli", "solve", "-", "--json"],
        input="0.5,0.7\n0.3,0.5\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policy_exact"] == ["1", "0"]


@pytest.mark.parametrize("option", ["claim", "start", "behaviour"])
@pytest.mark.parametrize(
    ("content", "rule"),
    [("1\n-1\n1\n", "line 2 = -1, must not be negative"), ("0\n0\n0\n", "has no positive number"),
     ("1\n2\n", "has 2 numbers, must have 3"), (None, "cannot be read")],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused_by_the_option_that_gave_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, content: str | None, rule: str
) -> None:
    """Its file and the rule are named too."""
    path = tmp_path / "policy.txt"
    if content is not None:
        path.write_text(content)
    (tmp_path / "votes.csv").write_text("winner,loser\na,b\nb,c\nc,a\n")
    words = {
        "claim": ("solve", str(tmp_path / "votes.csv"), "--bootstrap", "3"),
        "start": ("run", "omd", "--game", "rps", "--tau", "0.1"),
        "behaviour": ("run", "offline-ipo", "--game", "rps", "--tau", "0.1"),
    }[option]
    code, out, err = run(capsys, *words, f"--{option}", str(path))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"nashlab: {option} {path}: {rule}")


@pytest.mark.parametrize("option", ["start", "behaviour"])
def test_a_run_starts_and_learns_where_every_response_is_possible(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    """A claim may leave a response out, a first policy and a data policy may not."""
    path = tmp_path / "policy.txt"
    path.write_text("1\n0\n1\n")
    code, _, err = run(capsys, "run", "offline-ipo", "--game", "rps", "--tau", "0.1", f"--{option}", str(path))
    assert code == 2
    assert err == f"nashlab: {option} {path}: '2' has probability 0, must be positive\n"
    (tmp_path / "votes.csv").write_text("winner,loser\na,b\nb,c\nc,a\n")
    assert run(capsys, "solve", str(tmp_path / "votes.csv"), "--claim", str(path))[0] == 0

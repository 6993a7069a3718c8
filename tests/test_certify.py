"""The independent verifier: it accepts what is true, refuses what is not, and says what it did not check."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import forgeries
import numpy as np
import pytest

from nashlab.answer import answer_of, save_answer
from nashlab.certify import CertifyError, certify_answer, parsed, read_margins
from nashlab.certify.faces import every_vertex
from nashlab.certify.numbers import rank
from nashlab.certify.proofs import _solved, is_lottery
from nashlab.cli import main
from nashlab.equilibrium import nash
from nashlab.files import plain
from nashlab.gallery import get, random_game
from nashlab.game import PreferenceGame

CASES = {case["name"]: case for case in json.loads((Path(__file__).parent / "cases" / "games.json").read_text())}


def answered(game: PreferenceGame, tau: float = 0.0) -> Any:
    return parsed(json.dumps(plain(answer_of(nash(game, tau)))))


def refuted(answer: Any) -> list[str]:
    return [what for what, holds, _ in certify_answer(answer) if holds is False]


def test_our_own_answers_pass_and_forged_ones_do_not() -> None:
    count = forgeries.campaign(answers=60, forgeries=900, seed=1)
    assert count["own answers"] == 60
    assert count["forged answers"] >= 900
    assert count["own answers refuted"] == 0
    assert count["forged answers accepted"] == 0


def test_each_kind_of_forgery_is_tried_and_refused() -> None:
    rng = np.random.default_rng(2)
    left = set(forgeries.FORGERIES)
    for _ in range(200):
        _, _, answer = forgeries.random_answer(rng)
        for name in sorted(left):
            false = forgeries.forged(answer, (name,), rng)
            if false is not None:
                assert not forgeries.accepted(false), (name, false)
                left.discard(name)
        if not left:
            break
    assert not left


@pytest.mark.parametrize("tau", CASES["refuted by its own verifier"]["taus"])
@pytest.mark.parametrize("reference", CASES["refuted by its own verifier"]["references"], ids=str)
def test_answers_with_a_reference_are_confirmed(reference: list[float], tau: float) -> None:
    rows = [[Fraction(str(x)) for x in row] for row in CASES["refuted by its own verifier"]["preferences"]]
    for mu in (reference, [Fraction(str(x)) for x in reference]):
        answer = answered(PreferenceGame.from_preferences(rows, reference=mu), tau)
        assert refuted(answer) == []
        # canary: the smallest share of the bound that can be told is enough to be refuted
        less = copy.deepcopy(answer)
        less["certificate"]["l1_bound"] = str(Fraction(answer["certificate"]["l1_bound"]) / 4)
        assert refuted(less)


@pytest.mark.parametrize("name", ["all-ties", "duplicates", "four-cycle", "soundquality", "rps-weighted", "gap-trap"])
@pytest.mark.parametrize("tau", [0.0, 0.1])
def test_the_gallery_is_proved_without_a_gap(name: str, tau: float) -> None:
    rows = certify_answer(answered(get(name), tau))
    assert [what for what, holds, _ in rows if holds is False] == []
    # what cannot be known from the answer alone, and nothing else
    assert {what for what, holds, _ in rows if holds is None} == {
        "the margins and labels are those of your game",
        "the reference is the one you mean",
        "the name of the game",
    }


def test_irrational_projections_are_proved_by_their_witness() -> None:
    game = get("four-cycle").with_reference([0.4, 0.3, 0.2, 0.1])
    answer = answered(game)
    assert answer["policy_exact"] is None
    assert refuted(answer) == []
    assert float(answer["certificate"]["l1_bound"]) < 1e-15
    forged = copy.deepcopy(answer)
    forged["certificate"]["witness"]["point"] = answer["face"]["vertices"][0]
    assert refuted(forged)
    forged = copy.deepcopy(answer)
    del forged["certificate"]["witness"]
    assert "the distance is at most the stated bound" in refuted(forged)


def test_contextual_answers_are_judged_prompt_by_prompt() -> None:
    margins, mu = np.zeros((2, 3, 3)), [[0.2, 0.3, 0.5], [0.5, 0.5, 0.0]]
    margins[0] = [[0, 3, -1], [-3, 0, 2], [1, -2, 0]]
    margins[1, :2, :2] = [[0, 1], [-1, 0]]
    game = PreferenceGame.from_margins(margins, reference=mu, weights=[0.5, 0.5])
    for tau in (0.0, 0.1):
        answer = answered(game, tau)
        assert refuted(answer) == []
        forged = {"policy": answer["policy"][::-1], "status": "stalled", "unique": False, "face": {}}
        for field, value in forged.items():
            assert refuted({**answer, field: value}), field
        bounds = answer["certificate"]["l1_bound"]
        assert refuted({**answer, "certificate": {**answer["certificate"], "l1_bound": bounds[::-1]}})
        inner = copy.deepcopy(answer)
        inner["prompts"][1]["labels"][0] = "other"
        assert refuted(inner)


def test_a_changed_game_file_is_seen() -> None:
    answer = answered(get("rps"))
    # the gallery's margins are a half; an even response has the slack 0 at any scale
    doubled = read_margins(b",r,p,s\nr,0,1,-1\np,-1,0,1\ns,1,-1,0", ".csv")
    assert [w for w, holds, _ in certify_answer(answer, doubled) if holds is False] == [
        "the margins are the file's",
        "the labels are the file's",
    ]
    content = {"labels": answer["labels"], "margins": answer["margins_exact"], "reference": ["1/4", "1/4", "1/2"]}
    other = read_margins(json.dumps(content).encode(), ".json")
    assert [w for w, holds, _ in certify_answer(answer, other) if holds is False] == ["the reference is the file's"]


MALFORMED = [
    ("[]", "must be an object"),
    ("{}", "no tau"),
    ('{"tau": NaN}', "NaN"),
    ('{"tau": 0, "tau": 0}', "twice"),
    ('{"tau": 0}', "no exact margins"),
    ('{"tau": 0, "margins_exact": [["0"]], "policy": ["x"]}', "policy[0] = 'x', must be a number"),
    ('{"tau": 0, "margins_exact": [["0", "1"], ["-1"]], "policy": [1, 0]}', "square"),
    ('{"tau": 0, "margins_exact": [["0"]], "policy": [0.5, 0.5]}', "policy has 2 entries, must have 1"),
    ('{"tau": 0, "margins_exact": [["0"]], "policy": [1], "slack": 0}', "'slack'"),
    ('{"tau": 0, "margins_exact": [["0"]], "policy": [1], "reference": [0.7]}', "sum to 1"),
    ('{"tau": 0, "margins_exact": [["1/0"]], "policy": [1]}', "divide by 0"),
    ('{"tau": 1e99999, "margins_exact": [["0"]], "policy": [1]}', "tau"),
    ('{"tau": 0, "margins_exact": [["0"]], "policy": [1], "certificate": {"l1_bound": "Infinity"}}', "l1_bound"),
    ('{"tau": 0, "margins_exact": [["0"]], "log_policy": [1e999], "policy": [1]}', "float64"),
    ("[" * 100_000, "nested too deeply"),
    ('{"tau": 0, "margins_exact": [["0"]], "policy": ["' + "1" * 300_000 + '"]}', "300000 characters"),
    ('{"prompts": [1], "tau": 0}', "prompts must be answers"),
    ("no json", "is not JSON"),
]


@pytest.mark.parametrize(("text", "message"), MALFORMED, ids=[m for _, m in MALFORMED])
def test_malformed_answers_are_named_in_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answer.json"
    path.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["certify", str(path)])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_hostile_answers_are_not_laboured_over() -> None:
    rng = np.random.default_rng(0)
    began = time.perf_counter()
    n = 30
    primes = [str(Fraction(1, int(p))) for p in 10**18 + 2 * rng.integers(1, 10**17, n) + 1]
    whole = np.triu(rng.integers(-9, 9, (n, n)), 1)
    answer: Any = {"tau": "0", "margins_exact": (whole - whole.T).tolist(), "policy": ["0"] * n, "policy_exact": primes}
    assert refuted(answer)
    many: Any = {"tau": "0", "margins_exact": [["0"] * 200] * 200, "policy": ["0"] * 200}
    with pytest.raises(CertifyError, match="too long"):
        certify_answer({**many, "policy_exact": [f"1/{'9' * 20_000}{k + 1}" for k in range(200)]})
    ties = [["0"] * 40] * 40
    corners = [[str(int(i == j)) for j in range(40)] for i in range(40)]
    face = {"dimension": "39", "vertices": corners * 25, "complete": True}
    assert refuted({"tau": "0", "margins_exact": ties, "policy": corners[0], "unique": False, "face": face})
    assert time.perf_counter() - began < 60


def test_enclosures_hold_the_exact_solution() -> None:
    for k, n in enumerate((3, 9, 30)):
        game = random_game("uniform", n, np.random.default_rng(k))
        exact = nash(game, exact=True).policy_exact
        assert exact is not None
        held = [i for i, x in enumerate(exact) if x > 0]
        margins = [[Fraction(x) for x in row] for row in game.margins.tolist()]
        found = _solved(margins, held)
        assert found is not None
        x, error = found
        worst = max(abs(v - exact[i]) for v, i in zip(x, held, strict=True))
        assert worst <= error < Fraction(1, 10**20)
    # two equilibria on one support: no certain solution
    assert _solved([[Fraction(0)] * 3] * 3, [0, 1, 2]) is None


def test_ranks_and_vertices_are_those_of_enumeration() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        n = int(rng.integers(1, 6))
        whole = np.triu(rng.integers(-1, 2, (n, n)), 1)
        margins = [[Fraction(int(x)) for x in row] for row in whole - whole.T]
        assert rank(margins) == np.linalg.matrix_rank((whole - whole.T).astype(float))
        solution = nash(PreferenceGame.from_margins((whole - whole.T).tolist()))
        face = solution.face.vertices if solution.face else (solution.policy_exact,)
        held = [i for i in range(n) if any(v[i] for v in face)]  # type: ignore[index]
        assert every_vertex(margins, held) == set(face)
        assert all(is_lottery(margins, v) for v in face)  # type: ignore[arg-type]


def test_long_numbers_are_written_and_read(tmp_path: Path) -> None:
    # Python itself writes integers of at most 4,300 digits
    x, y, z = (1 + Fraction(1, 10**3000 + k) for k in (1, 3, 7))
    solution = nash(PreferenceGame.from_margins([[0, x, -y], [-x, 0, z], [y, -z, 0]]))
    assert solution.policy_exact is not None
    path = tmp_path / "answer.json"
    save_answer(solution, path)
    assert max(len(x) for x in json.loads(path.read_text())["policy_exact"]) > 4300
    done = subprocess.run(
        [sys.executable, "-m", "nashlab.cli", "certify", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "REFUTED" not in done.stdout


def test_the_verifier_shares_no_code() -> None:
    paths = list((Path(forgeries.__file__).parent.parent / "nashlab" / "certify").glob("*.py"))
    assert len(paths) > 5
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("nashlab.certify"), (path, name)


# file, suffix, options, the labels that it has
READ = [
    (b"0.5,0.7\n0.3,0.5", ".csv", {}, None),
    (b"a;b\n0;1\n-1;0", ".csv", {}, ("a", "b")),
    (b",a,b,c\na,,3,1\nb,2,,4\nc,9,1,", ".csv", {}, ("a", "b", "c")),
    (b"winner,loser\na,b\nb,a\na,b\nb,c\nc,a", ".csv", {"fill": "half"}, ("a", "b", "c")),
    (b"winner,loser,weight\na,b,2.5\nb,a,1", ".csv", {}, ("a", "b")),
    (b'{"wins": [[0, 3], [1, 0]], "labels": ["x", "y"]}', ".json", {}, ("x", "y")),
    (b'{"preferences": [[0.5, 0.1], [0.9, 0.5]], "reference": [0.25, 0.75]}', ".json", {}, None),
    (b"0\t2\n-2\t0", ".tsv", {}, None),
]


@pytest.mark.parametrize(("data", "suffix", "options", "labels"), READ)
def test_both_readers_read_alike(
    data: bytes, suffix: str, options: dict[str, str], labels: tuple[str, ...] | None, tmp_path: Path
) -> None:
    from nashlab.gallery import load_game

    path = tmp_path / f"game{suffix}"
    path.write_bytes(data)
    theirs, ours = read_margins(data, suffix, **options), load_game(str(path), **options)
    assert theirs.margins == ours.exact
    assert theirs.labels == labels
    assert ours.labels == labels or (labels is None and ours.labels == ("1", "2"))
    stated = (Fraction(1, 4), Fraction(3, 4)) if b"reference" in data else None
    assert theirs.reference == stated
    assert ours.reference_exact == stated or stated is None


def test_a_witness_keeps_a_mass_of_1e_145() -> None:
    """Cut to a fixed number of bits it would be 0, where the multipliers of a witness must not be negative."""
    margins = [[0, 0, 1, -2, -2, 1], [0, 0, -1, -1, 1, 2], [-1, 1, 0, 1, 1, -2], [2, 1, -1, 0, 0, 0],
               [2, -1, -1, 0, 0, -1], [-1, -2, 2, 0, 1, 0]]  # fmt: skip
    reference = [3.65e-86, 6.07e-190, 1.73e-167, 0.9961964332638642, 0.0038035667361357834, 5.53e-201]
    answer = answered(PreferenceGame.from_margins(margins, reference=reference))
    assert any(Fraction(x) < 0 for x in answer["certificate"]["witness"]["multipliers"])
    assert refuted(answer) == []


@pytest.mark.parametrize(
    ("margins", "reference"),
    [
        ([[0, -1, -1, -2, 2], [1, 0, -2, 1, 1], [1, 2, 0, 2, -1], [2, -1, -2, 0, 2], [-2, -1, 1, -2, 0]],
         [1.7e-124, 0.25, 5.6e-283, 0.25, 0.5]),
        ([[0, -1, 0, 0, -2, 0], [1, 0, -2, -1, 1, 1], [0, 2, 0, -1, 2, -2], [0, 1, 1, 0, -2, 1], [2, -1, -2, 2, 0, 2],
          [0, -1, 2, -1, -2, 0]], [0.25, 9.4e-257, 4.1e-257, 1.4e-296, 0.5, 0.25]),
        ([[0, -1, 2, 2, -2, -1], [1, 0, -2, 2, -1, 1], [-2, 2, 0, -1, -2, 0], [-2, -2, 1, 0, 1, -1],
          [2, 1, 2, -1, 0, 0], [1, -1, 0, 1, 0, 0]], [1.6e-136, 1.3e-203, 2.9e-224, 2.4e-46, 1.0, 2.3e-73]),
    ],
    ids=["7 digits were left", "stuck", "moved off"],
)  # fmt: skip
def test_a_projection_with_masses_of_1e_230_is_proved_to_its_last_digit(
    margins: list[list[int]], reference: list[float]
) -> None:
    """The proof compares log(x/μ) of every response: the smallest mass must be as precise as the largest."""
    answer = answered(PreferenceGame.from_margins(margins, reference=np.array(reference) / np.sum(reference)))
    assert answer["status"] == "converged"
    assert float(answer["certificate"]["l1_bound"]) <= 1e-15
    assert refuted(answer) == []


def test_arrays_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "game.npy"
    for table in (np.array([[0, 2], [-2, 0]]), np.asfortranarray([[0.0, 0.1], [-0.1, 0.0]])):
        np.save(path, table)
        theirs = read_margins(path.read_bytes(), ".npy")
        assert theirs.margins == tuple(tuple(Fraction(x) for x in row) for row in table.tolist())


# -- in small: what each check of the verifier is there for ----------------------------------------------------------


def test_a_table_that_is_not_skew_is_refuted() -> None:
    text = '{"tau": 0, "margins_exact": [["0", "1"], ["1", "0"]], "policy": [1, 0]}'
    rows = {what: holds for what, holds, _ in certify_answer(parsed(text))}
    assert rows["the game is skew: A = −Aᵀ"] is False


@pytest.mark.parametrize("scale", [2.0**-100, 1.0, 2.0**100])
def test_a_lottery_is_enclosed_at_every_scale_of_the_margins(scale: float) -> None:
    skew = np.array([[0, 0.3, -0.1], [-0.3, 0, 0.7], [0.1, -0.7, 0]]) * scale
    answer = answered(PreferenceGame.from_margins(skew))
    answer.pop("policy_exact")
    answer.pop("slacks", None)
    rows = certify_answer(answer)
    assert [what for what, holds, _ in rows if holds is False] == []
    assert any(holds and "only" in what for what, holds, _ in rows)


def test_a_lottery_that_is_unique_is_not_called_one_of_many() -> None:
    answer = answered(get("rps"))
    assert answer["unique"] is True
    assert refuted(answer) == []
    assert refuted({**answer, "unique": False}) != []


def test_what_is_said_of_other_equilibria_is_listed_where_none_is_shown() -> None:
    answer = answered(get("duplicates"))
    answer.pop("face")
    rows = {what: (holds, detail) for what, holds, detail in certify_answer(answer)}
    assert rows["it is not the only equilibrium"] == (None, "the answer shows no other")


@pytest.mark.parametrize(
    ("data", "suffix", "message"),
    [
        (b"0,1\n-1", ".csv", "not a square table"),
        (b"0,1\n-1,0,5", ".csv", "square"),
        (b'{"margins": [[0, 1], [-1, 0]], "labels": ["a", "b", "c"]}', ".json", "another length"),
        (b'{"margins": [[0, 1], [-1, 0]], "reference": [1]}', ".json", "another length"),
    ],
)
def test_what_the_verifier_s_reader_refuses(data: bytes, suffix: str, message: str) -> None:
    with pytest.raises(CertifyError, match=message):
        read_margins(data, suffix)


def test_a_file_without_a_suffix_is_read_by_its_content() -> None:
    table = read_margins(b"0,1\n-1,0", "").margins
    assert table == read_margins(b'{"margins": [[0, 1], [-1, 0]]}', "").margins == ((0, 1), (-1, 0))

"""The quick part of the campaign, and canaries that show that its oracle and its judge see what is wrong by little."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import judge as judging
import numpy as np
import oracle
import pytest
from attacks import ATTACKS, BATCH, Case, draw, draw_batch
from flint import arb
from judge import judge, judge_batch

from nashlab.certificate import Certificate, certify_ball
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.game import PreferenceGame
from nashlab.solution import Face, Solution, Status

RUN = Path(__file__).with_name("run.py")
GAMES = 12  # of each family in every run
RPS = [[0, 3, -1], [-3, 0, 2], [1, -2, 0]]
TIED = [[0, 0, -1], [0, 0, 1], [1, -1, 0]]  # all lotteries: (½, ½, 0) to (0, 1, 0)
HALF, TINY = Fraction(1, 2), Fraction(1, 10**40)
NEAR_VERTEX = (TINY, 1 - TINY, Fraction(0))  # a lottery of TIED, but no vertex


@pytest.mark.parametrize("family", [name for name in ATTACKS if name != "large"])
def test_no_fault_in_a_few_games_of_each_family(family: str) -> None:
    found = [(draw(family, 0, k).describe(), fault) for k in range(GAMES) for fault in judge(draw(family, 0, k)).faults]
    assert not found, json.dumps(found[0], ensure_ascii=False)


@pytest.mark.parametrize(
    ("family", "seed", "index"),
    [("beyond doubles", 119, 84)],  # an inverse beyond float64 in the search for the support: a warning
)
def test_what_longer_campaigns_found_stays_mended(family: str, seed: int, index: int) -> None:
    assert judge(draw(family, seed, index)).faults == []


def test_no_fault_in_a_few_batches() -> None:
    verdicts = [judge_batch(draw_batch(0, k)) for k in range(2, 4)]
    assert [v.faults for v in verdicts] == [[], []]
    assert verdicts[0].counts["lotteries of a batch checked"] == BATCH
    assert verdicts[1].counts["bounds checked: lottery,"] == BATCH  # the prompts of a contextual game


# -- the oracle -------------------------------------------------------------------------------------------------------


def test_both_enumerations_of_lotteries_agree() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        n, width = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        upper = np.triu(rng.integers(-width, width + 1, (n, n)), 1)
        a = (upper - upper.T).tolist()
        assert oracle.lotteries(a) == oracle.vertex_set(a), a


def test_the_projection_of_known_faces() -> None:
    """(½, ½, 0) is the nearest to uniform of TIED, at the end of its face; a duplicated row splits its share."""
    thirds = [Fraction(1, 3)] * 3
    truth = oracle.projection(TIED, oracle.lotteries(TIED), thirds)
    assert oracle.distance([HALF, HALF, Fraction(0)], truth) < arb(2) ** -80
    copies = [0, 0, 0, 0, 1, 2]
    clones = [[(0, 1, -1)[(j - i) % 3] for j in copies] for i in copies]
    known = [Fraction(1, 12)] * 4 + [Fraction(1, 3)] * 2
    truth = oracle.projection(clones, oracle.lotteries(clones), [Fraction(1, 6)] * 6)
    assert oracle.distance(known, truth) < arb(2) ** -80


def test_the_projection_beats_the_other_lotteries() -> None:
    """By the definition: KL(x‖μ) grows from the minimiser towards every vertex, however near."""
    rng = np.random.default_rng(1)
    seen = 0
    while seen < 10:
        n = int(rng.integers(3, 7))
        upper = np.triu(rng.integers(-1, 2, (n, n)), 1)
        a = (upper - upper.T).tolist()
        vertices = oracle.lotteries(a)
        if len(vertices) < 2:
            continue
        seen += 1
        reference = [Fraction(float(p)) for p in rng.dirichlet(np.ones(n))]
        truth = oracle.projection(a, vertices, reference)
        with oracle.precision(oracle.BITS):
            for vertex in vertices:
                for step in (arb(2) ** -30, arb("0.5")):
                    moved = [(1 - step) * p + step * arb(float(v)) for p, v in zip(truth.policy, vertex, strict=True)]
                    assert _divergence(moved, reference) > _divergence(list(truth.policy), reference) - arb(2) ** -80


def _divergence(x: list[arb], reference: list[Fraction]) -> arb:
    pairs = [(p, m) for p, m in zip(x, reference, strict=True) if p > 0]
    return sum((p * (p.log() - arb(m.numerator).log() + arb(m.denominator).log()) for p, m in pairs), arb(0))


@pytest.mark.parametrize("tau", [Fraction(1, 10), Fraction(1, 10**9), Fraction(10**9)])
def test_the_regularised_truth_is_a_fixed_point_from_any_start(tau: Fraction) -> None:
    """E1 itself, π ∝ μ exp(Aπ/τ), to 45 digits; from a near start and from one that only the path leads away from."""
    margins = [[Fraction(x) for x in row] for row in RPS]
    reference = [Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)]
    near = regularised_nash(PreferenceGame.from_margins(RPS, reference=[0.5, 0.3, 0.2]), float(tau)).log_policy
    found = [oracle.regularised(margins, reference, tau, start)[0] for start in (near.tolist(), [0.0, -700.0, -1.0])]
    with oracle.precision(oracle.BITS):
        for truth in found:
            pull = [sum((arb(a) * p for a, p in zip(row, truth.policy, strict=True)), arb(0)) for row in RPS]
            t = arb(tau.denominator) / arb(tau.numerator)
            mass = [arb(m.numerator) / m.denominator * (t * v).exp() for m, v in zip(reference, pull, strict=True)]
            total = sum(mass, arb(0))
            away = sum((abs(m / total - p) for m, p in zip(mass, truth.policy, strict=True)), arb(0))
            assert away < arb(10) ** -30  # the map multiplies an error of 1e-48 by 1/τ
        assert sum((abs(p - q) for p, q in zip(found[0].policy, found[1].policy, strict=True)), arb(0)) < arb(10) ** -45


# -- canaries: answers that are wrong by little -----------------------------------------------------------------------


def _case(matrix: Any, reference: list[float] | None = None, tau: float = 0.1, index: int = 3) -> Case:
    """Not one of the games that are solved or certified in other ways too, unless ``index`` says so."""
    return Case("canary", 0, index, "margins", matrix, reference, tau)


def _lottery_faults(monkeypatch: pytest.MonkeyPatch, case: Case, change: Callable[[Solution], Solution]) -> set[str]:
    monkeypatch.setattr(judging, "maximal_lottery", lambda game, **more: change(maximal_lottery(game, **more)))
    return {kind.partition(": ")[2] for kind, _, _ in judge(case).faults}


def _moved(answer: Solution, by: float) -> Solution:
    """The same answer with a policy that lies 2·by from it in ℓ₁, and the old bound."""
    policy = answer.policy + by * np.array([1.0, -1.0] + [0.0] * (answer.game.n - 2))
    with np.errstate(divide="ignore"):
        return replace(answer, log_policy=np.log(policy))


def test_answers_as_they_come_have_no_fault() -> None:
    for case in (_case(RPS), _case(TIED), _case([[float(x) for x in row] for row in RPS], [0.5, 0.3, 0.2])):
        assert judge(case).faults == []


def test_a_policy_twice_the_bound_away_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (RPS, [[float(x) for x in row] for row in RPS]):
        faults = _lottery_faults(monkeypatch, _case(rows), lambda s: _moved(s, max(2 * s.certificate.l1_bound, 2e-16)))
        assert "wrong bound" in faults


def test_a_regularised_policy_twice_the_bound_away_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (np.array(RPS) / 7.0).tolist()
    good = regularised_nash(PreferenceGame.from_margins(rows), 0.1)
    proof = certify_ball(good.game, good.log_policy, 0.1)
    moved = _moved(good, max(proof.l1_bound, 1e-16))
    monkeypatch.setattr(judging, "regularised_nash", lambda game, tau, **_: moved)
    assert judge(_case(rows)).faults == []  # the policy is a little worse, and its proof says so ...
    monkeypatch.setattr(judging, "proved", lambda answer: replace(answer, certificate=proof))
    assert "proof, regularised: wrong bound" in {kind for kind, _, _ in judge(_case(rows)).faults}  # ... this one not


def test_an_answer_that_the_verifier_refutes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    case = _case(RPS, index=2)
    assert judge(case).counts["answers certified"] == 2
    faults = _lottery_faults(monkeypatch, case, lambda s: replace(s, slacks=(*s.slacks[:2], TINY)))
    assert "slacks" in faults
    assert any(kind.startswith("refuted by certify") for kind, _, _ in judge(case).faults)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda s: replace(s, unique=True), {"unique"}),
        (lambda s: replace(s, face=Face(1, s.face.vertices[:1])), {"vertices"}),
        (lambda s: replace(s, face=Face(1, (s.face.vertices[0], NEAR_VERTEX))), {"vertices"}),
        (lambda s: replace(s, face=Face(2, s.face.vertices)), {"dimension"}),
        (lambda s: replace(s, face=None), {"no face"}),
        (lambda s: replace(s, slacks=(s.slacks[0], s.slacks[1], s.slacks[2] + Fraction(1, 10**30))), {"slacks"}),
        (lambda s: replace(s, policy_exact=(HALF, HALF + TINY, Fraction(0))), {"policy_exact", "slacks"}),
        (lambda s: replace(s, status=Status.CONVERGED, certificate=Certificate(0.0, None, "float", False)), {"status"}),
        (lambda s: replace(s, log_policy=s.log_policy + 1e-11), {"not a policy"}),
        (lambda s: replace(s, log_policy=np.full(3, np.nan)), {"not a policy"}),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_by_little_is_seen(
    change: Callable[[Solution], Solution], seen: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _lottery_faults(monkeypatch, _case(TIED), change) == seen


def test_exceptions_warnings_refusals_and_hangs_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def warns(game: PreferenceGame, **_: Any) -> Solution:
        np.log(np.zeros(1))
        raise AssertionError("not reached: the warning is an error")

    def hangs(game: PreferenceGame, **_: Any) -> Solution:
        while time.process_time() < until:  # busy: what counts is the processor's time
            pass
        raise AssertionError("not reached")

    until = time.process_time() + 20
    monkeypatch.setattr(judging, "PATIENCE", 0.2)
    for broken, word in ((warns, "RuntimeWarning"), (hangs, "more than 0.2 s")):
        monkeypatch.setattr(judging, "maximal_lottery", broken)
        assert all(word in came for _, came, _ in judge(_case(RPS)).faults)
        assert judge(_case(RPS)).faults
    assert [kind for kind, _, _ in judge(_case([[0, 1], [1, 0]])).faults] == ["refusal in constructor"]
    accepted = replace(_case(RPS), refused=True)
    assert [kind for kind, _, _ in judge(accepted).faults] == ["accepted"]


# -- the command ------------------------------------------------------------------------------------------------------


def test_a_game_is_drawn_again_the_same() -> None:
    for family in ATTACKS:
        if family != "large":
            assert json.dumps(draw(family, 3, 7).describe()) == json.dumps(draw(family, 3, 7).describe())


def test_an_interrupted_campaign_keeps_what_it_has(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    command = [
        sys.executable,
        str(RUN),
        "--games",
        "1000000",
        "--only",
        "smallest",
        "--workers",
        "1",
        "--json",
        str(out),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert any(not line.startswith("0 of") for line in process.stderr if " of 1,000,000 games" in line)
        process.send_signal(signal.SIGINT)
        table = process.stdout.read()
        assert process.wait(timeout=60) == 0
    found = json.loads(out.read_text())
    assert not found["complete"]
    assert 0 < found["games"] < 1_000_000
    assert found["faults"] == 0
    assert f"{found['games']:,}" in table


STOPPED_AT_THE_END = """
import os, signal, sys
sys.path.insert(0, {folder!r})
import run
real = run.replacing
def replacing(path):
    os.kill(os.getpid(), signal.SIGTERM)
    return real(path)
run.replacing, run.SHOWN_EVERY = replacing, 1e9
sys.argv = ["run.py", "--games", "30", "--only", "smallest", "--workers", "1", "--json", {out!r}]
sys.exit(run.main())
"""


def test_a_signal_while_the_result_is_written_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    text = STOPPED_AT_THE_END.format(folder=str(RUN.parent), out=str(out))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    assert json.loads(out.read_text())["complete"]

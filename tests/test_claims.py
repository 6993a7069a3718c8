"""`nashlab verify`'s own machinery, and every claim with its wrong twin on fresh games."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from nashlab import report
from nashlab.claims import Check, Observation, random_policy
from nashlab.display import show_claims
from nashlab.game import BadInput
from nashlab.verify import CHECKS, Cases, evaluate, run, select
from nashlab.verify.reach import _flow

THEORY = (
    [f"E{k}" for k in range(1, 8)]
    + ["E6b"]
    + [f"L{k}" for k in (1, *range(3, 10), *range(11, 19))]
    + ["L5b", "L2.i", "L2.ii", "L2.iii", "L2.iv", "L2.v"]
    + ["R1", "R2", "R3"]
    + [f"N{k}" for k in range(1, 31)]
    + ["L10"]
    + [f"S{k}" for k in range(1, 6)]
)


def test_every_identifier_of_the_theory_has_a_row() -> None:
    assert set(THEORY) <= set(CHECKS)


SEEDS = range(1, 4 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 2)  # `nashlab verify` itself has seed 0


@pytest.mark.parametrize("id", sorted(CHECKS))
@pytest.mark.parametrize("seed", SEEDS)
def test_the_claim_holds_and_its_wrong_twin_is_caught(id: str, seed: int) -> None:
    cases = Cases(samples=20, seed=seed)
    honest = evaluate(CHECKS[id], cases)
    assert honest.status == "pass", honest
    assert honest.cases > 0
    assert evaluate(CHECKS[id], cases, canary=True).status == "pass"


@pytest.mark.parametrize("seed", [106, 107, 111])
def test_a_policy_that_a_check_draws_beside_its_cases_is_no_case_s_own(seed: int) -> None:
    """It was, with these seeds: the same numbers were drawn for both, and N23 met a divergence of 0."""
    cases = Cases(samples=37, seed=seed)
    rng = cases.rng("N23")
    for case in cases.all("N23"):
        drawn = random_policy(case.game.n, rng)
        for own in (case.game.reference, np.exp(case.log_policy)):
            assert np.max(np.abs(drawn - own)) > 1e-6


def test_n22_finds_a_preference_for_a_policy_whose_probabilities_a_linear_programme_leaves_out() -> None:
    """Coefficients below 1e-9 are 0 to HiGHS: a game of four was called impossible, 5e-4 inside the threshold."""
    pi = np.array([0.9999697340, 3.00307169e-05, 2.34739789e-07, 8.19199220e-10])
    pi /= pi.sum()
    pull = np.array([0.49, 0.49, 0.49])  # of the first response on the others, nearly all that they can lose
    margins = np.zeros((4, 4))
    margins[0, 1:], margins[1:, 0] = pull, -pull
    h = margins @ pi / 0.03
    found = _flow(pi, h, 0.03)
    assert found is not None
    assert np.ptp(h - found @ pi / 0.03) * 0.03 < 1e-8


def check(errors: list[float]) -> Check:
    return Check("X", "x", 1e-3, "", "", lambda cases, twin: (Observation(e, lambda: {"error": e}) for e in errors))  # noqa: B023


def test_a_claim_fails_on_one_bad_case_and_on_no_case_and_on_nan() -> None:
    assert evaluate(check([0.0, 1e-4]), Cases()).status == "pass"
    failed = evaluate(check([0.0, 0.5, 0.0]), Cases())
    assert failed.status == "fail"
    assert failed.worst_error == 0.5
    assert failed.counterexample is not None
    assert evaluate(check([]), Cases()).status == "fail"
    assert evaluate(check([float("nan")]), Cases()).status == "fail"


def test_a_canary_that_is_not_caught_fails() -> None:
    assert evaluate(check([0.0]), Cases(), canary=True).status == "fail"
    assert evaluate(check([1.0]), Cases(), canary=True).status == "pass"


def test_selection_orders_and_suggests() -> None:
    assert [c.id for c in select("N1,L2,E6b")] == ["E6b", "L2.i", "L2.ii", "L2.iii", "L2.iv", "L2.v", "N1"]
    with pytest.raises(BadInput, match="did you mean"):
        select("L22")


def test_processes_and_threads_find_the_same() -> None:
    checks = select("E2,L8,N9")
    single = {r.id: r.worst_error for r in run(checks, samples=20, workers=1)}
    double = {r.id: r.worst_error for r in run(checks, samples=20, workers=2)}
    assert single == double


def test_counterexamples_are_json() -> None:
    result = evaluate(CHECKS["L5"], Cases(samples=10), canary=False)
    assert result.counterexample is not None
    json.dumps(result.counterexample, default=np.ndarray.tolist)


def test_canary_reports_say_how_near_the_twins_are(capsys: pytest.CaptureFixture[str]) -> None:
    row = evaluate(check([0.02]), Cases(), canary=True)
    assert row.excess == pytest.approx(20)
    show_claims([row], True)
    shown = capsys.readouterr().out
    page = report.verify_page([row], {"samples": 1, "seed": 0, "canary": True}, [], "here", {})
    for text in (shown, page):
        assert "error/tolerance" in text
        assert "2.0e+01" in text
    # claims themselves have no such column
    show_claims([evaluate(check([0.0]), Cases())], False)
    assert "error/tolerance" not in capsys.readouterr().out

"""Small faults that a sound-looking answer can hide, of the verifier: its rows, bounds, numbers, one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nashlab import certify
from nashlab.certificate import balls, certify_ball
from nashlab.certificate import certify as certify_in_floats
from nashlab.certify import CertifyError, certify_answer, numbers
from nashlab.certify.faces import every_vertex
from nashlab.equilibrium import regularised_nash
from nashlab.game import PreferenceGame
from nashlab.solution import promised

Array = NDArray[np.float64]


# -- the verifier's rows, one at a time ------------------------------------------------------------------------------

CYCLE = [["0", "1/2", "-1/2"], ["-1/2", "0", "1/2"], ["1/2", "-1/2", "0"]]
EVEN = {"tau": "0", "margins_exact": CYCLE, "policy": ["0.3333333333333333"] * 3}


def held(answer: dict[str, Any]) -> dict[str, bool | None]:
    """What the verifier says of each thing that it looks at."""
    return {what: holds for what, holds, _ in certify_answer(answer)}


def test_a_negative_probability_is_seen_among_others() -> None:
    assert held(EVEN)["no probability is negative"] is True
    assert held({**EVEN, "policy": ["0.6", "0.6", "-0.2"]})["no probability is negative"] is False


@pytest.mark.parametrize(("off", "holds"), [("0.9e-9", True), ("1.1e-9", False)])
def test_probabilities_may_miss_1_by_a_billionth(off: str, holds: bool) -> None:
    moved = str(Fraction(1, 3) + Fraction(off))
    for name in ("policy", "log_policy"):
        values = [moved, "1/3", "1/3"]
        answer = {**EVEN, "policy": values} if name == "policy" else {
            **EVEN, "policy": None, "log_policy": [repr(math.log(Fraction(v))) for v in values]
        }
        assert held(answer)[f"the probabilities of {name} sum to 1"] is holds


def test_a_policy_is_the_exponential_of_its_logarithms_to_two_roundings() -> None:
    logs = [repr(math.log(1 / 3))] * 3
    same = held({**EVEN, "log_policy": logs})
    assert same["policy is exp(log_policy)"] is True
    # a tolerance of 2⁻⁴⁹ (1 + |log p|), relative: 1.2e-15 here
    moved = [repr(math.log(1 / 3) + 3e-14)] * 3
    assert held({**EVEN, "log_policy": moved})["policy is exp(log_policy)"] is False
    gone = held({**EVEN, "log_policy": [logs[0], logs[0], None]})
    assert gone["policy is exp(log_policy)"] is False


@pytest.mark.parametrize(
    ("stated", "holds"),
    [("1e-15", True), ("2", True), ("2.000001", False), ("-1e-30", False), ("1e-18", False)],
)
def test_a_stated_bound_lies_between_what_is_proved_and_two(stated: str, holds: bool) -> None:
    # an exact third is 1.9e-17 away from each of its doubles
    answer = {**EVEN, "policy_exact": ["1/3"] * 3, "certificate": {"l1_bound": stated, "kind": "rational",
                                                                   "rigorous": True}}
    assert held(answer)["‖policy − exact policy‖₁ is at most the stated bound"] is holds


@pytest.mark.parametrize(
    ("stated", "holds"),
    [("0.1", True), ("0.10000000005", True), ("0.2", False), ("0.0999", False), ("-0.1", False), ("0.1002", False)],
)
def test_a_stated_exploitability_is_an_upper_bound_and_no_loose_one(stated: str, holds: bool) -> None:
    # (0.4, 0.4, 0.2) loses 0.1 to the second response and 0 to the third
    answer = {**EVEN, "policy": ["0.4", "0.4", "0.2"], "exploitability": stated}
    assert held(answer)["exploitability is what the answer states"] is holds


# -- the bounds of τ > 0, in the verifier and in ball arithmetic, against the formulas in float64 ---------------------


def three_bounds(a: Array, mu: Array, tau: float, log_policy: Array) -> tuple[float, float, float]:
    """(2 tanh(osc r/4), √(2G/τ), N18(c) iterated from 2), for π = softmax(log_policy)."""
    pi = np.exp(log_policy - np.logaddexp.reduce(log_policy))
    r = log_policy - np.log(mu) - a @ pi / tau
    r -= pi @ r
    size, first, second = np.max(np.abs(r)), pi @ np.abs(r), pi @ r**2
    u = 2.0
    for _ in range(200):
        u = min(u, (first + u * size / 4 + np.sqrt(second + u * size**2 / 4)) / 2)
    return 2 * float(np.tanh(np.ptp(r) / 4)), math.sqrt(2 * math.log(pi @ np.exp(-r))), float(u)


def some_policies(count: int) -> Iterator[tuple[Array, Array, float, Array]]:
    """(A, μ, τ, log π): games of two to five responses, from near their equilibrium to far away, lopsided and not."""
    rng = np.random.default_rng(5)
    for k in range(count):
        n = int(rng.integers(2, 6))
        whole = np.triu(rng.integers(-9, 10, (n, n)), 1) / 20
        mu = rng.dirichlet(np.full(n, 1.0 if k % 2 else 0.3)) * 0.999 + 0.001 / n
        game = PreferenceGame.from_margins(whole - whole.T, reference=mu)
        tau = float(rng.choice([0.05, 0.3, 2.0]))
        near = regularised_nash(game, tau).log_policy + 10.0 ** rng.uniform(-6, 0.7) * rng.normal(size=n)
        yield game.margins, game.reference, tau, near - np.logaddexp.reduce(near)


def test_the_bounds_of_a_policy_are_those_of_the_formulas() -> None:
    name = "‖policy − equilibrium‖₁ is at most the stated bound"
    smallest, judged = set(), {True: 0, False: 0}
    for a, mu, tau, log_policy in some_policies(60):
        three = three_bounds(a, mu, tau, log_policy)
        bound = min(*three, 2.0)
        smallest.add(int(np.argmin([*three, 2.0])))
        game = PreferenceGame.from_margins(a, reference=mu)
        ball = certify_ball(game, log_policy, tau).l1_bound
        floats = float(certify_in_floats(game, log_policy, tau).l1_bound)
        assert floats == pytest.approx(min(*three[:2], 2.0), rel=1e-3, abs=1e-8)
        # N18(c) stops being iterated where a round gains less than a tenth
        assert bound * (1 - 1e-9) <= ball <= bound * 1.12 + 1e-14
        answer = {
            "tau": repr(tau),
            "margins_exact": [[str(Fraction(x)) for x in row] for row in a.tolist()],
            "reference": [repr(x) for x in mu.tolist()],
            "log_policy": [repr(x) for x in log_policy.tolist()],
        }
        for factor, holds in ((1 + 1e-7, True), (1 - 1e-7, False)):
            # what is printed adds its own rounding, an amount of 1e-16
            stated = {"l1_bound": repr(min(bound * factor + 1e-15 * holds, 2.0))}
            if bound > 1e-7 and (holds or bound < 2):
                assert held({**answer, "certificate": stated})[name] is holds, (three, factor)
                judged[holds] += 1
    assert {0, 1, 2} <= smallest  # each of the three is the best somewhere
    assert min(judged.values()) > 40  # of 60


def test_the_gap_in_balls_and_in_the_verifier_is_that_of_the_formula() -> None:
    for a, mu, tau, log_policy in some_policies(30):
        pi = np.exp(log_policy)
        reply = np.log(mu) + a @ pi / tau
        gap = tau * float(pi @ (log_policy - reply) + np.logaddexp.reduce(reply))
        game = PreferenceGame.from_margins(a, reference=mu)
        found = certify_ball(game, log_policy, tau).exploitability
        assert gap - 1e-13 <= found <= gap * (1 + 1e-9) + 1e-13
        answer = {
            "tau": repr(tau),
            "margins_exact": [[str(Fraction(x)) for x in row] for row in a.tolist()],
            "reference": [repr(x) for x in mu.tolist()],
            "log_policy": [repr(x) for x in log_policy.tolist()],
        }
        less, more = gap * (1 - 1e-5) - 1e-12, gap * (1 + 1e-8) + 1e-12
        for stated, holds in ((more, True), (less, False), (2 * gap + 1, False)):
            assert held({**answer, "exploitability": repr(stated)})["exploitability is what the answer states"] is holds


# -- words that follow from numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", ["1/2", "3", "1/10000000"])
@pytest.mark.parametrize("tau", ["0", "1e-12", "1e-9", "1e-6", "1e-4", "0.003", "1", "1000"])
def test_both_sides_promise_the_same_bound(tau: str, largest: str) -> None:
    effective = float(Fraction(tau) / (2 * Fraction(largest)))
    assert float(certify._promised(Fraction(tau), Fraction(largest))) == pytest.approx(
        float(promised(effective)), rel=1e-9, abs=0
    )


@pytest.mark.parametrize(
    ("bound", "status", "holds"),
    [
        ("0.999e-12", "converged", True),
        ("1.001e-12", "converged", False),
        ("0.999e-12", "stalled", False),
        ("1.001e-12", "stalled", True),
        ("1e-12", "stalled", True),  # on the very limit either word will do
        ("1e-12", "converged", True),
        ("0.999e-12", "exact", False),
        (None, "stalled", True),
        (None, "converged", False),
    ],
)
def test_the_status_follows_from_the_bound(bound: str | None, status: str, holds: bool) -> None:
    third = repr(math.log(1 / 3))
    answer = {"tau": "0.5", "margins_exact": CYCLE, "log_policy": [third] * 3, "status": status,
              "certificate": {"l1_bound": bound, "kind": "ball" if bound else "float", "rigorous": bool(bound)}}
    assert held(answer)["the status follows from the bound"] is holds


@pytest.mark.parametrize(
    ("kind", "rigorous", "bound", "holds"),
    [
        ("ball", True, "1e-14", True),
        ("ball", False, "1e-14", False),
        ("float", True, "1e-14", False),
        ("float", False, "1e-14", False),
        ("float", False, None, True),
        ("ball", True, None, False),
        ("rational", True, "1e-14", False),
    ],
)
def test_the_kind_of_a_certificate_is_that_of_the_answer(
    kind: str, rigorous: bool, bound: str | None, holds: bool
) -> None:
    answer = {"tau": "0.5", "margins_exact": CYCLE, "log_policy": [repr(math.log(1 / 3))] * 3,
              "certificate": {"l1_bound": bound, "kind": kind, "rigorous": rigorous}}
    assert held(answer)["the kind of certificate is that of the answer"] is holds


@pytest.mark.parametrize(
    ("reference", "exact", "holds"),
    [
        (["0.25", "0.25", "0.5"], ["1/4", "1/4", "1/2"], True),
        (["0.25", "0.25", "0.5000000000001"], ["1/4", "1/4", "1/2"], False),
        (["0.25", "0.25", "0.5"], ["1/4", "1/4", "50000001/100000000"], False),
        (["0.3", "0.3", "0.4"], ["3/10", "3/10", "2/5"], True),
        (["0.3", "0.4", "0.3"], ["3/10", "3/10", "2/5"], False),
    ],
)
def test_a_reference_and_its_exact_form_are_one(reference: list[str], exact: list[str], holds: bool) -> None:
    seen = held({**EVEN, "reference": reference, "reference_exact": exact})
    assert seen["reference and reference_exact are one policy"] is holds


@pytest.mark.parametrize("reference", [["0.5", "0.5", "0"], ["0.6", "0.6", "-0.2"], ["0.5", "0.3", "0.20001"]])
def test_a_reference_that_is_no_policy_is_refused(reference: list[str]) -> None:
    with pytest.raises(CertifyError, match="must be positive and sum to 1"):
        certify_answer({**EVEN, "reference": reference})


# -- the verifier's numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "ratios", "sign"),
    [
        ((1, -2), (10**40, 10**20), 0),
        ((1, -2), (10**40 + 1, 10**20), None),  # 1e-40 from 0: below what is told apart, and not 0
        ((1, -2), (10**20 + 1, 10**10), 1),
        ((1, -2), (10**20 - 1, 10**10), -1),
        ((1, 1), (Fraction(2, 3), Fraction(3, 2)), 0),
        ((2, -1, -1), (6, 4, 9), 0),
        ((0, 1), (5, 1), 0),
        ((Fraction(1, 10**40),), (2,), None),
        ((1,), (Fraction(1, 7),), -1),
    ],
)
def test_signs_of_sums_of_logarithms(weights: Any, ratios: Any, sign: int | None) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = [Fraction(r) for r in ratios]
        logs = [numbers.decimal(r).ln() for r in exact]
        found = numbers.logarithms([Fraction(w) for w in weights], exact, logs, Decimal("1e-30"))
    assert found == sign


def test_too_many_factors_are_not_taken_apart() -> None:
    primes = [p for p in range(2, 600) if all(p % d for d in range(2, p))]
    for count, found in ((60, 0), (90, None)):
        ratios = [Fraction(p) for p in primes[:count]]
        both = [*ratios, *(1 / r for r in ratios)]
        logs = [numbers.decimal(r).ln() for r in both]
        assert numbers.logarithms([Fraction(1)] * len(both), both, logs, Decimal("1e-20")) == found


def test_ranks_of_rectangles_and_of_rows_that_must_change_places() -> None:
    assert numbers.rank([]) == 0
    for rows, known in (
        ([[0, 1, 2], [3, 4, 5]], 2),
        ([[0, 0], [0, 0], [0, 1]], 1),
        ([[1, 2, 3], [2, 4, 6], [1, 1, 1], [0, 1, 2]], 2),
        ([[0, 0, 1], [0, 1, 0], [1, 0, 0]], 3),
        ([["1/2", "1/3"], ["3/4", "1/2"]], 1),
    ):
        assert numbers.rank([[Fraction(v) for v in row] for row in rows]) == known  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "1e1000", "0x1", "1_000", "١", "1/0", "nan", "--1", "1/-2", "e5"])
def test_what_is_no_number_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(CertifyError, match=r"^here"):
        numbers.exact(text, "here")


@pytest.mark.parametrize(
    ("text", "value"),
    [(" 5 ", 5), ("-.5", "-1/2"), ("+2.", 2), ("1E3", 1000), ("7/21", "1/3"), (3, 3), ("1e-999", None)],
)
def test_numbers_are_what_their_text_says(text: Any, value: Any) -> None:
    known = Fraction(1, 10**999) if value is None else Fraction(value)
    assert numbers.exact(text, "here") == known


def test_refinement_that_is_cut_short_leaves_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    a, mu, tau, log_policy = next(case for case in some_policies(60) if np.argmin(three_bounds(*case)) == 2)
    game = PreferenceGame.from_margins(a, reference=mu)
    whole = certify_ball(game, log_policy, tau).l1_bound
    monkeypatch.setattr(balls, "REFINEMENTS", 1)
    assert whole < certify_ball(game, log_policy, tau).l1_bound <= min(*three_bounds(a, mu, tau, log_policy)[:2])


def test_vertices_do_not_depend_on_the_scale_of_the_margins() -> None:
    # four ties, of which the last two may weigh at most half and a third of what the first weighs
    whole = np.zeros((6, 6), dtype=int)
    whole[4, :4], whole[5, :4] = (-1, 0, 2, 0), (-1, 0, 0, 3)
    whole = whole - whole.T
    known = every_vertex([[Fraction(int(v)) for v in row] for row in whole], range(4))
    assert known is not None
    assert (Fraction(2, 3), 0, Fraction(1, 3), 0, 0, 0) in known
    assert every_vertex([[Fraction(int(v), 7) for v in row] for row in whole], range(4)) == known


def test_a_cut_of_many_ties_is_enumerated() -> None:
    # 22 ties, and one response that half of them beat: 11 corners stay, 121 edges are cut
    row = [Fraction(v) for v in [1] * 11 + [-1] * 11 + [0]]
    margins = [[Fraction(0)] * 22 + [-v] for v in row[:-1]] + [row]
    found = every_vertex(margins, range(22))  # type: ignore[arg-type]
    assert found is not None
    assert len(found) == 11 + 121

"""Each row of the verifier has a false answer that it alone refutes: without the row the answer would pass."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from nashlab.answer import answer_of
from nashlab.certify import CertifyError, certify_answer, fields, parsed, proofs, read_margins
from nashlab.equilibrium import nash
from nashlab.files import plain
from nashlab.gallery import get
from nashlab.game import PreferenceGame

Json = dict[str, Any]
TIES: Json = {"tau": "0", "margins_exact": [["0", "0"], ["0", "0"]], "policy": ["1", "0"]}
BEATEN: Json = {"tau": "0", "margins_exact": [["0", "1"], ["-1", "0"]], "policy": ["0", "1"]}
THREE: Json = {**TIES, "margins_exact": [["0"] * 3] * 3, "policy": ["1", "0", "0"]}
# the first two tie and both beat the third
PAIR: Json = {"tau": "0", "margins_exact": [["0", "0", "1"], ["0", "0", "1"], ["-1", "-1", "0"]],
              "policy": ["0.5", "0.5", "0"]}  # fmt: skip
CYCLE: Json = {"tau": "0", "margins_exact": [["0", "1", "-1", "1"], ["-1", "0", "1", "1"], ["1", "-1", "0", "1"],
                                             ["-1", "-1", "-1", "0"]]}  # fmt: skip
ONLY = "it is the only equilibrium"
NOT_ONLY = "it is not the only equilibrium"
ALL = "these are all vertices"
DIMENSION = "the dimension of the face"
NEAREST = "it is the lottery nearest to the reference, argmin KL(·‖μ)"
EXTREME = "every vertex is extreme, and none occurs twice"
WITNESS = "the witness proves how near the nearest lottery is"


def judged(answer: Json) -> dict[str, bool | None]:
    return {what: holds for what, holds, _ in certify_answer(answer)}


def refuted(answer: Json) -> list[str]:
    return [what for what, holds in judged(answer).items() if holds is False]


def face(*vertices: list[str], dimension: str | None = None, complete: bool | None = True) -> Json:
    return {"vertices": list(vertices), "dimension": dimension, "complete": complete}


FALSE = {
    "two of one name": ({**TIES, "labels": ["a", "a"]}, ["the labels are distinct names"]),
    "a response without mass is called held": (
        {**TIES, "support": ["1", "2"]}, ["the support is the responses with mass"]),
    "a negative exact probability": ({**TIES, "policy_exact": ["2", "-1"]}, ["no exact probability is negative"]),
    "an exact sum of 3/4": ({**TIES, "policy_exact": ["1/2", "1/4"]}, ["the exact probabilities sum to 1"]),
    "a beaten response": (
        {**BEATEN, "policy_exact": ["0", "1"]}, ["no response beats it: it is a maximal lottery"]),
    "a slack of another": (
        {**BEATEN, "policy_exact": ["1", "0"], "slacks": ["0", "2"]}, ["the slacks are what each response loses by"]),
    "an exact lottery that can be exploited": (
        {**TIES, "policy_exact": ["1", "0"], "exploitability": "0.1"}, ["its exploitability is 0"]),
    "one of many called the only one": ({**TIES, "policy_exact": ["1/2", "1/2"], "unique": True}, [ONLY]),
    "the only one called one of many": ({**BEATEN, "policy_exact": ["1", "0"], "unique": False}, [ONLY]),
    "a tie off the support called the only one": ({**PAIR, "policy_exact": ["1", "0", "0"], "unique": True}, [ONLY]),
    "a corner that is beaten": (
        {**PAIR, "unique": False, "face": face(["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"])},
        ["every vertex is a maximal lottery"]),
    "a corner that is none": (
        {**PAIR, "unique": False, "face": face(["1", "0", "0"], ["0", "1", "0"], ["1/2", "1/2", "0"])},
        [EXTREME, ALL]),
    "a corner twice": (
        {**PAIR, "unique": False, "face": face(["1", "0", "0"], ["0", "1", "0"], ["1", "0", "0"])}, [EXTREME]),
    "one corner of several": ({**BEATEN, "policy": ["1", "0"], "face": face(["1", "0"])}, [NOT_ONLY]),
    "two corners of the only one": (
        {**PAIR, "policy_exact": ["1/2", "1/2", "0"], "unique": True, "face": face(["1", "0", "0"], ["0", "1", "0"])},
        [ONLY, NOT_ONLY]),
    "a corner too few": ({**THREE, "unique": False, "face": face(["1", "0", "0"], ["0", "1", "0"])}, [ALL]),
    "a corner too few inside": (
        {**THREE, "unique": False, "face": face(["1", "0", "0"], ["0", "1", "0"], dimension="1")}, [DIMENSION, ALL]),
    "a dimension too small": (
        {**PAIR, "unique": False, "face": face(["1", "0", "0"], ["0", "1", "0"], dimension="0")}, [DIMENSION]),
    "a dimension too large": (
        {**PAIR, "unique": False, "face": face(["1", "0", "0"], ["0", "1", "0"], dimension="2")}, [DIMENSION]),
    "the corner that is not the nearest": (
        {**PAIR, "policy_exact": ["1/4", "3/4", "0"], "policy": ["0.25", "0.75", "0"], "unique": False,
         "face": face(["1", "0", "0"], ["0", "1", "0"])}, [NEAREST]),
    "a nearest one without a response of a lottery": (
        {**PAIR, "policy_exact": ["1", "0", "0"], "policy": ["1", "0", "0"], "unique": False,
         "face": face(["1", "0", "0"], ["0", "1", "0"])}, [NEAREST]),
    "a bound of nothing": (
        {**TIES, "certificate": {"l1_bound": "1"}}, ["the distance is at most the stated bound"]),
    "a support whose equations have no solution": ({**TIES, "unique": True}, [ONLY]),
    "a support that others beat": (
        {**BEATEN, "unique": True}, [ONLY]),
    "a support with a negative weight": (
        {**CYCLE, "margins_exact": [["0", "1", "1"], ["-1", "0", "1"], ["-1", "-1", "0"]], "unique": True,
         "policy": ["0.4", "0.3", "0.3"]}, [ONLY]),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE)
def test_what_a_single_row_refutes(name: str) -> None:
    """The rows that refute a false answer are those that are there for it, and no others."""
    answer, rows = FALSE[name]
    assert refuted(answer) == rows


TRUE = {
    "a corner": {**TIES, "policy_exact": ["1", "0"], "exploitability": "0", "support": ["1"]},
    "the winner": {**BEATEN, "policy_exact": ["1", "0"], "policy": ["1", "0"], "slacks": ["0", "1"], "unique": True},
    "an edge": {**PAIR, "policy_exact": ["1/2", "1/2", "0"], "unique": False,
                "face": face(["1", "0", "0"], ["0", "1", "0"], dimension="1")},
    "a triangle": {**THREE, "unique": False,
                   "face": face(["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"], dimension="2")},
    "a cycle that a fourth loses to": {**CYCLE, "unique": True, "policy": ["0.3333333333333333"] * 3 + ["0"]},
}  # fmt: skip


@pytest.mark.parametrize("name", TRUE)
def test_what_is_true_is_refuted_by_none(name: str) -> None:
    """The true answers beside the false ones pass."""
    assert refuted(TRUE[name]) == []


def test_corners_that_are_not_said_to_be_all_leave_the_nearest_one_open() -> None:
    """Neither "all vertices" nor the nearest lottery is proved, nor refuted."""
    answer = {**TRUE["an edge"], "face": face(["1", "0", "0"], ["0", "1", "0"], complete=False)}
    seen = judged(answer)
    assert refuted(answer) == []
    assert seen[ALL] is None
    assert seen[NEAREST] is None


@pytest.mark.parametrize(
    ("x", "holds"), [(["1", "0"], True), (["1/2", "1/2"], True), (["2", "-1"], False), (["1/2", "1/4"], False)]
)
def test_a_lottery_is_not_negative_and_sums_to_one(x: list[str], holds: bool) -> None:
    """Among ties every policy is a lottery, and nothing else is; a response that is beaten is none."""
    policy = tuple(map(Fraction, x))
    assert proofs.is_lottery([[Fraction(0)] * 2] * 2, policy) is holds
    loses = [[Fraction(0), Fraction(1)], [Fraction(-1), Fraction(0)]]
    assert proofs.is_lottery(loses, policy) is (x == ["1", "0"])


# -- the witness of an irrational projection -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def projected() -> Json:
    """A face of cycles in a game with a response that loses to all, and the nearest lottery with its witness."""
    whole = [[0, 1, 0, -1, 1], [-1, 0, 1, 0, 1], [0, -1, 0, 1, 1], [1, 0, -1, 0, 1], [-1, -1, -1, -1, 0]]
    game = PreferenceGame.from_margins(whole, reference=[0.3, 0.2, 0.2, 0.1, 0.2])
    answer: Json = parsed(json.dumps(plain(answer_of(nash(game)))))
    assert answer["policy_exact"] is None
    assert refuted(answer) == []
    return answer


def without_a_point(witness: Json) -> None:
    witness["point"] = None


def too_short(witness: Json) -> None:
    witness["multipliers"].pop()


def negative_off_the_support(witness: Json) -> None:
    witness["multipliers"][4] = "-1/1000000000000000000000"


def no_lottery(witness: Json) -> None:
    half = Fraction(1, 10**25)
    witness["point"][:2] = [str(Fraction(witness["point"][0]) + half), str(Fraction(witness["point"][1]) - half)]


def on_a_corner(witness: Json) -> None:
    witness["point"] = ["1/2", "0", "1/2", "0", "0"]


@pytest.mark.parametrize(
    "change", [without_a_point, too_short, negative_off_the_support, no_lottery, on_a_corner], ids=lambda f: f.__name__
)
def test_a_witness_that_is_none_is_refuted(projected: Json, change: Callable[[Json], None]) -> None:
    """By the row of the witness, whatever its numbers would prove."""
    forged = copy.deepcopy(projected)
    change(forged["certificate"]["witness"])
    assert WITNESS in refuted(forged)


def test_a_multiplier_off_the_support_costs_what_it_adds(projected: Json) -> None:
    """u ≥ 0 there is allowed, and −u·Ax enters the bound: √(2g) with g of about 1e-20 is 1e-10."""
    forged = copy.deepcopy(projected)
    forged["certificate"]["witness"]["multipliers"][4] = "1/100000000000000000000"
    assert "‖policy − lottery nearest to the reference‖₁ is at most the stated bound" in refuted(forged)
    forged["certificate"]["l1_bound"] = "1e-9"
    forged["status"] = "stalled"
    assert refuted(forged) == []


def test_a_shifted_logarithm_costs_its_size(projected: Json) -> None:
    """A witness off by 1e-3 in one multiplier proves a distance of √(2e-3), not the one stated."""
    forged = copy.deepcopy(projected)
    u = forged["certificate"]["witness"]["multipliers"]
    u[0] = str(Fraction(u[0]) + Fraction(1, 1000))
    assert refuted(forged) == ["‖policy − lottery nearest to the reference‖₁ is at most the stated bound"]
    forged["certificate"]["l1_bound"] = "0.08"
    forged["status"] = "stalled"
    assert refuted(forged) == []
    forged["certificate"]["l1_bound"] = "0.06"  # √(2 · 2e-3) = .063: the pull on one response is up, on another down
    assert refuted(forged) == ["‖policy − lottery nearest to the reference‖₁ is at most the stated bound"]


# -- τ > 0 -----------------------------------------------------------------------------------------------------------


WARM: Json = {"tau": "0.5", "margins_exact": TIES["margins_exact"], "policy": ["0.5", "0.5"],
              "log_policy": ["-0.6931471805599453"] * 2}  # fmt: skip


def test_at_a_temperature_every_response_has_mass_and_there_is_one_equilibrium() -> None:
    """Refused without log_policy, with a response without mass, and where it is called one of several."""
    assert refuted(WARM) == []
    gone = {**WARM, "policy": ["1", "0"], "log_policy": ["0", None]}
    assert refuted({**WARM, "log_policy": None}) == refuted(gone) == ["every response has mass"]
    assert refuted({**WARM, "unique": True}) == []
    assert refuted({**WARM, "unique": False}) == [ONLY]


@pytest.mark.parametrize(
    "extra",
    [{"policy_exact": ["1/2", "1/2"]}, {"slacks": ["0", "0"]}, {"face": {"dimension": "1"}},
     {"face": {"vertices": [["1", "0"]]}}, {"certificate": {"witness": {"point": ["1", "0"]}}},
     {"certificate": {"witness": {"multipliers": ["0", "0"]}}}],
    ids=lambda extra: next(iter(extra)),
)  # fmt: skip
def test_at_a_temperature_nothing_is_stated_of_lotteries(extra: Json) -> None:
    """Each field that belongs to τ = 0 is refused by name."""
    assert refuted({**WARM, **extra}) == ["it states nothing that belongs to tau = 0"]


# -- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("7", 7), ("1500", 1500), ("-1", None), ("1501", None),
                                             ("1/2", None)])  # fmt: skip
def test_a_dimension_is_a_whole_number_up_to_the_largest_game(text: str, value: int | None) -> None:
    """From 0 to 1500, both included."""
    if value is None:
        with pytest.raises(CertifyError, match="must be a whole number from 0 to 1500"):
            fields.answer_from({"tau": "0", "face": {"dimension": text}})
    else:
        assert fields.answer_from({"tau": "0", "face": {"dimension": text}}).dimension == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [1, 2]}, "labels must be a list of names"),
        ({"unique": "yes"}, "unique = 'yes', must be true or false"),
        ({"status": "proved"}, "status = 'proved', must be one of exact, converged, stalled"),
        ({"certificate": {"kind": "sure"}}, "certificate.kind = 'sure'"),
        ({"face": []}, "face must be an object"),
        ({"face": {"corners": []}}, "face has 'corners', which is not one of dimension, vertices, complete"),
        ({"policy": "1"}, "policy must be a list"),
        ({"policy": ["0"] * 1501}, "policy has 1501 entries, at most 1500"),
        ({"tau": "-1"}, "tau = -1, must be at least 0"),
        ({"face": {"vertices": [["1", "0", "0"]]}}, "must have 2 like the margins"),
        ({"slacks": ["0"]}, "slacks has 1 entries, must have 2 like the margins"),
        ({"policy": None}, "the answer has no policy"),
        ({"margins_exact": []}, "must be a square table"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_a_field_of_another_kind_is_refused_by_name(change: Json, message: str) -> None:
    """With the rule that it breaks."""
    with pytest.raises(CertifyError) as refusal:
        certify_answer({**TIES, **change})
    assert message in str(refusal.value)


@pytest.mark.parametrize(("last", "fits"), [("0.600001", True), ("0.599999", True), ("0.6000010001", False)])
def test_a_reference_may_miss_1_by_a_millionth(last: str, fits: bool) -> None:
    """By that and not by more; its shares are then taken."""
    answer = {**TIES, "reference": ["0.4", last]}
    if fits:
        assert refuted(answer) == []
    else:
        with pytest.raises(CertifyError, match="must be positive and sum to 1"):
            certify_answer(answer)


@pytest.mark.parametrize(("power", "solved"), [(140, True), (159, False)])
def test_a_system_that_rounding_could_make_singular_is_not_solved(power: int, solved: bool) -> None:
    """A cycle beside a pair with the margin 2⁻ᵖ, which is rounded to 160 places: ‖I − RM‖ < ½ has to hold for the
    margins themselves, not only for the rounded ones."""
    tiny = Fraction(1, 2**power)
    margins = [[Fraction(0)] * 5 for _ in range(5)]
    for i, j, v in ((0, 1, tiny), (2, 3, Fraction(1)), (3, 4, Fraction(1, 2)), (4, 2, Fraction(1, 2))):
        margins[i][j], margins[j][i] = v, -v
    found = proofs._solved(margins, list(range(5)))
    assert (found is not None) == solved
    if found is not None:
        known = [Fraction(0), Fraction(0), Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)]
        assert max(abs(x - y) for x, y in zip(found[0], known, strict=True)) <= found[1] < Fraction(1, 1000)


# -- contextual answers ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contextual() -> Json:
    games = [[[0, 3, -1], [-3, 0, 2], [1, -2, 0]], [[0, 1, -4], [-1, 0, 2], [4, -2, 0]]]
    game = PreferenceGame.from_margins([[[v / 10 for v in row] for row in rows] for rows in games], weights=[0.5, 0.5])
    answer: Json = parsed(json.dumps(plain(answer_of(nash(game, 0.1)))))
    assert refuted(answer) == []
    return answer


@pytest.mark.parametrize("name", ["policy", "log_policy", "exploitability", "status", "unique", "tau"])
def test_each_joint_field_is_that_of_the_prompts(contextual: Json, name: str) -> None:
    """Another value, or none, is refuted by the row of the field alone."""
    for other in (None, "other"):
        assert refuted({**contextual, name: other}) == [f"{name} is that of the prompts"]


@pytest.mark.parametrize("change", [{"l1_bound": None}, {"rigorous": False}, {"kind": "float"},
                                    {"witness": {"point": ["1", "0", "0"]}}])  # fmt: skip
def test_the_joint_certificate_is_that_of_the_prompts(contextual: Json, change: Json) -> None:
    """Its bounds, its rigour and its kind; and it has no witness of its own."""
    forged = {**contextual, "certificate": {**contextual["certificate"], **change}}
    assert refuted(forged) == ["certificate is that of the prompts"]


def test_one_prompt_in_floats_makes_the_whole_no_proof(contextual: Json) -> None:
    """A bound that one prompt lacks, or that is not rigorous there, is none of the whole."""
    answer = copy.deepcopy(contextual)
    first = answer["prompts"][0]
    first["certificate"] = {"l1_bound": None, "kind": "float", "rigorous": False}
    first["status"] = "stalled"
    assert refuted(answer) == ["status is that of the prompts", "certificate is that of the prompts"]
    answer["status"] = "stalled"
    answer["certificate"] = {"l1_bound": None, "kind": "float", "rigorous": False}
    assert refuted(answer) == []
    for wrong in ({"l1_bound": "1"}, {"kind": "ball"}, {"rigorous": True}):
        assert refuted({**answer, "certificate": {**answer["certificate"], **wrong}}) == [
            "certificate is that of the prompts"
        ]


def test_what_belongs_to_one_prompt_is_refused_of_the_whole(contextual: Json) -> None:
    """Its support, its slacks and the like; a field that nobody knows, and a game file, are errors."""
    for name in ("reference_exact", "policy_exact", "margins_exact", "support", "slacks", "face"):
        assert refuted({**contextual, name: []}) == ["it states nothing that belongs to one prompt"]
    with pytest.raises(CertifyError, match="'other', which is not a field of one"):
        certify_answer({**contextual, "other": None})
    with pytest.raises(CertifyError, match="prompts must be answers"):
        certify_answer({**contextual, "prompts": []})
    with pytest.raises(CertifyError, match="without a game file"):
        certify_answer(contextual, read_margins(b"0,1\n-1,0", ".csv"))


def test_a_game_file_is_compared_number_by_number() -> None:
    """The reference of a file counts as its shares: 1, 1, 2 and a quarter, a quarter, a half are one."""
    answer = parsed(json.dumps(plain(answer_of(nash(get("rps").with_reference([0.25, 0.25, 0.5]))))))
    content = {"labels": answer["labels"], "margins": answer["margins_exact"]}
    for reference, holds in (([1, 1, 2], True), (["1/4", "1/4", "1/2"], True), ([1, 1, 1], False)):
        game = read_margins(json.dumps({**content, "reference": reference}).encode(), ".json")
        rows = {what: found for what, found, _ in certify_answer(answer, game)}
        assert rows["the reference is the file's"] is holds
        assert rows["the margins are the file's"] is True
        assert rows["the labels are the file's"] is True

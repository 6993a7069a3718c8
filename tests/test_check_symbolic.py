"""d*(p) solved from the function: against formulas found by hand, and with functions that are not what they seem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from nashlab.check import objective
from nashlab.check.closed_form import of_the_curve
from nashlab.check.evaluation import loss_of
from nashlab.check.forms import form_of
from nashlab.check.losses import NAMED
from nashlab.check.offline import GRID, Curve
from nashlab.check.symbolic import Untraceable, solved, values_of, written
from nashlab.check.verdict import judge

TAU = 0.7
NUMBERS = (0.05, 0.3, 0.45, 0.55, 0.85)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


# text, and the same by hand
KNOWN: dict[str, tuple[str, Callable[[float], float]]] = {
    "dpo": ("log(p/(1 - p))/tau", lambda p: logit(p) / TAU),
    "r_dpo": ("log(p/(1 - p))/tau", lambda p: logit(p) / TAU),
    "dpo_per_token": ("log(p/(1 - p))/tau", lambda p: logit(p) / TAU),
    "cdpo": ("log((8*p + 1)/(9 - 8*p))/tau", lambda p: logit(0.8 * p + 0.1) / TAU),
    "exo_pair": ("4*(p - 1/2)*log(3)/tau", lambda p: (2 * p - 1) * np.log(9) / TAU),
    "exo_pair_sharp": ("2*(p - 1/2)*log(999)/tau", lambda p: (2 * p - 1) * np.log(999) / TAU),
    "gpo_exponential": ("log(p/(1 - p))/(2*tau)", lambda p: logit(p) / 2 / TAU),
    "gpo_squared_hinge": ("2*(p - 1/2)/tau", lambda p: (2 * p - 1) / TAU),
    "slic": ("sign(p - 1/2)/tau", lambda p: np.sign(p - 0.5) / TAU),
    "sft": ("log((2*p + 1)/(3 - 2*p))", lambda p: logit(0.25 + p / 2)),
    **dict.fromkeys(
        ("ipo", "ipo_soft", "ipo_md", "offline_ipo", "online_ipo", "ipo_per_token"),
        ("(p - 1/2)/tau", lambda p: (p - 0.5) / TAU),
    ),
}


def formulas(function: Callable[..., Any]) -> list[Any]:
    return solved(function, form_of(function))


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_formula_of_a_named_loss_is_the_one_found_by_hand(name: str) -> None:
    text, by_hand = KNOWN[name]
    (found,) = formulas(NAMED[name])
    assert written(found) == text
    # 60 digits rounded once against a few operations of doubles
    assert values_of(found, NUMBERS, TAU) == pytest.approx([by_hand(p) for p in NUMBERS], rel=1e-14)
    if name != "slic":  # canary: a preference that is off by a billionth is told apart
        assert values_of(found, NUMBERS, TAU) != pytest.approx([by_hand(p + 1e-9) for p in NUMBERS], rel=1e-12)


def test_preferences_without_an_optimum_have_no_value() -> None:
    (found,) = formulas(NAMED["robust_dpo"])
    assert written(found) == "log((10*p - 1)/(9 - 10*p))/tau"
    assert values_of(found, (0.05, 0.1, 0.5, 0.9, 0.95), TAU) == [None, None, 0.0, None, None]


WEIGHT = 0.3


def softly(x: Any) -> Any:
    return -torch.nn.functional.logsigmoid(WEIGHT * x)


def of_torch(h_chosen: Any, h_rejected: Any, *, tau: float) -> Any:
    """A helper, a constant of the module, a mean."""
    return softly(h_chosen - h_rejected).mean() / tau


def of_jax(h_gap: Any, p: Any, *, tau: float) -> Any:
    return jnp.where(p > 0, jnp.square(h_gap - (p - 0.5) / tau), 0.0)


def huber(h_gap: Any, p: Any, *, tau: float) -> Any:
    off = np.abs(h_gap - (p - 0.5) / tau)
    return np.where(off < 1, 0.5 * off**2, off - 0.5)


def sums(
    policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *, tau: float
) -> Any:  # fmt: skip
    return np.clip(1 - tau * (policy_chosen - reference_chosen - policy_rejected + reference_rejected), 0, None)


def quartic(h_gap: Any, p: Any, *, tau: float) -> Any:
    return (h_gap - np.arctanh(2 * p - 1) / tau) ** 4


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (of_torch, "10*log(p/(1 - p))/3"), (of_jax, "(p - 1/2)/tau"), (huber, "(p - 1/2)/tau"),
        (sums, "sign(p - 1/2)/tau"), (quartic, "atanh(2*p - 1)/tau"),
    ],
)  # fmt: skip
def test_functions_of_three_libraries_with_helpers_and_cases(function: Callable[..., Any], text: str) -> None:
    assert [written(x) for x in formulas(function)] == [text]


def two_wells(h_chosen: Any, h_rejected: Any, *, tau: float) -> Any:
    d = h_chosen - h_rejected
    return (d**2 - 4) ** 2 - tau * d


def flat(h_chosen: Any, h_rejected: Any, *, tau: float) -> Any:
    return np.log(np.cosh(h_chosen - h_rejected - 0.5 / tau))


def uphill(h_chosen: Any, h_rejected: Any, *, tau: float) -> Any:
    """IPO upside down: what is stationary there is the highest point."""
    return -((h_chosen - h_rejected - 0.5 / tau) ** 2)


@pytest.mark.parametrize("function", [two_wells, flat, uphill])
def test_what_has_no_formula_gets_none(function: Callable[..., Any]) -> None:
    assert formulas(function) == []


def test_what_cannot_be_traced_is_refused() -> None:
    def decides(h_gap: Any, p: Any, *, tau: float) -> Any:
        return h_gap**2 if h_gap > 0 else h_gap

    def sorts(h_gap: Any, p: Any, *, tau: float) -> Any:
        return np.sort(h_gap)

    for function in (decides, sorts, NAMED["rebel"], objective(anchor="previous")(lambda h_gap, p, *, tau: h_gap)):
        with pytest.raises(Untraceable):
            formulas(function)


def test_a_formula_has_to_meet_the_curve() -> None:
    curve = Curve(loss_of(NAMED["cdpo"], form_of(NAMED["cdpo"]), TAU), TAU)
    right = [logit(0.8 * p + 0.1) / TAU for p in GRID]
    wrong = [x + 1e-4 * (p == 0.7) for p, x in zip(GRID, right, strict=True)]
    holes = [None if p == 0.95 else x for p, x in zip(GRID, right, strict=True)]
    assert of_the_curve(curve, [("wrong", wrong), ("holes", holes), ("right", right)]) == "right"
    assert of_the_curve(curve, [("wrong", wrong), ("holes", holes)]) is None


def test_a_verdict_says_where_its_formula_comes_from(tmp_path: Any) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("import numpy as np\ndef loss(h_gap, p, *, tau):\n    return (h_gap - (p - .5) / tau)**2{}\n")
    body = mine.read_text()
    said = {}
    for name, change in (("solved", ""), ("recognised", " + 0 * np.sort(h_gap)")):
        mine.write_text(body.format(change))
        offline = judge(str(mine), 0.5)["offline"]
        said[name] = (offline["closed_form"], offline["closed_form_is"])
    assert said == {name: ("(p - 1/2)/tau", name) for name in said}

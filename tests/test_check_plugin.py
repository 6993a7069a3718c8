"""Planted bugs in losses, trainer steps and samplers: each is caught, and called by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nashlab.check.conformance import assert_conforms
from nashlab.check.losses import NAMED
from nashlab.check.trainers import assert_gradient, assert_mixture, assert_policy_gradient
from nashlab.game import BadInput

TAU = 0.3


# -- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dpo", "ipo", "slic", "simpo", "orpo", "kto", "exo_pair"])
def test_named_losses_conform_to_themselves(name: str) -> None:
    assert_conforms(NAMED[name], name, tau=TAU)


def ipo(d: Any, tau: float) -> Any:
    return (d - 1 / (2 * tau)) ** 2


def dpo(d: Any, tau: float) -> Any:
    return np.logaddexp(0, -tau * d)


PLANTED: dict[str, tuple[str, Callable[..., Any], str]] = {
    "twice the temperature": ("dpo", lambda h_chosen, h_rejected, *, tau: dpo(h_chosen - h_rejected, 2 * tau),
                              "its temperature is 2 tau"),
    "swapped labels": ("dpo", lambda h_chosen, h_rejected, *, tau: dpo(h_rejected - h_chosen, tau),
                       "chosen and rejected are swapped"),
    "smoothed labels": ("dpo", lambda h_chosen, h_rejected, *, tau: 0.9 * dpo(h_chosen - h_rejected, tau)
                        + 0.1 * dpo(h_rejected - h_chosen, tau), "labels are smoothed by 0.1"),
    "another loss": ("ipo", lambda h_chosen, h_rejected, *, tau: dpo(h_chosen - h_rejected, tau), "it is dpo"),
    "no reference": ("dpo", lambda policy_chosen, policy_rejected, *, tau: dpo(policy_chosen - policy_rejected, tau),
                     "the reference is left out"),
    "a margin": ("dpo", lambda h_chosen, h_rejected, *, tau: np.logaddexp(0, 0.5 - tau * (h_chosen - h_rejected)),
                 "a margin of 0.5"),
    "likelihood added": ("dpo", lambda policy_chosen, policy_rejected, reference_chosen, reference_rejected, *, tau:
                         dpo(policy_chosen - reference_chosen - policy_rejected + reference_rejected, tau)
                         - 0.2 * policy_chosen, "0.2 times the chosen response's likelihood is added"),
}  # fmt: skip


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_of_losses_are_named(bug: str) -> None:
    name, function, words = PLANTED[bug]
    with pytest.raises(AssertionError, match=words.replace("(", r"\(")):
        assert_conforms(function, name, tau=TAU)


def test_a_loss_that_is_right_for_certain_preferences_alone_does_not_conform() -> None:
    """p rounded to 0 or 1 is IPO where p = 1, and nowhere else; 2p(-log sigma) is DPO, summed over both orders."""
    with pytest.raises(AssertionError, match="not ipo"):
        assert_conforms(lambda h_gap, p, *, tau: (h_gap - np.sign(p - 0.5) / (2 * tau)) ** 2, "ipo", tau=TAU)
    assert_conforms(lambda h_gap, p, *, tau: 2 * p * dpo(h_gap, tau), "dpo", tau=TAU)


def test_averages_over_tokens_are_named() -> None:
    with pytest.raises(AssertionError, match="averaged over tokens"):
        assert_conforms(NAMED["ipo_per_token"], "ipo", tau=TAU)


def hot_dpo_per_token(
    policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
    length_chosen: Any, length_rejected: Any, tau: float,
) -> Any:  # fmt: skip
    chosen, rejected = (policy_chosen - reference_chosen) / length_chosen, policy_rejected - reference_rejected
    return dpo(chosen - rejected / length_rejected, 3 * tau)


def test_two_deviations_at_once_are_named() -> None:
    with pytest.raises(AssertionError, match="its temperature is 3 tau and log-probabilities are averaged"):
        assert_conforms(hot_dpo_per_token, "dpo", tau=TAU)


def test_losses_of_batches_and_unknown_names() -> None:
    with pytest.raises(AssertionError, match="other pairs of its batch"):
        assert_conforms(NAMED["aot"], "dpo", tau=TAU)
    with pytest.raises(BadInput, match="did you mean 'simpo'"):
        assert_conforms(NAMED["simpo"], "simp", tau=TAU)


def test_a_millionth_of_the_gradient_is_tolerated_and_a_third_more_is_not() -> None:
    """A temperature that is off by ε leaves ε/3 of IPO's gradient unexplained on the pairs that are tried."""

    def off_by(epsilon: float) -> Callable[..., Any]:
        return lambda h_chosen, h_rejected, *, tau: ipo(h_chosen - h_rejected, tau * (1 + epsilon))

    assert_conforms(off_by(2.7e-6), "ipo", tau=TAU)
    with pytest.raises(AssertionError, match="of its gradient is something else"):
        assert_conforms(off_by(4e-6), "ipo", tau=TAU)


# -- steps -----------------------------------------------------------------------------------------------------------


def log_probability(model: Any, batch: Any, side: str, bug: str = "") -> torch.Tensor:
    """Σ log π over the completion's tokens, as trainers write it, with a bug if one is named."""
    ids = batch[f"input_ids_{side}"]
    mask = batch[f"completion_mask_{side}"].clone()
    if bug == "padding":
        mask = torch.where(batch[f"attention_mask_{side}"] == 0, 1, mask)
    if bug == "prompt":
        mask = batch[f"attention_mask_{side}"].clone()
    if bug == "end":
        mask = torch.where(ids == 1, 0, mask)
    logits, labels, mask = model(ids)[:, :-1], ids[:, 1:], mask[:, 1:]
    if bug == "shift":
        logits = model(ids)[:, 1:]
    per_token = torch.log_softmax(logits, -1).gather(-1, labels[..., None])[..., 0] * mask
    return per_token.sum(-1) / mask.sum(-1) if bug == "average" else per_token.sum(-1)


def trainer(bug: str = "", loss: str = "dpo") -> Callable[..., Any]:
    """A trainer's step for DPO or SPPO, with a bug if one is named."""

    def step(policy: Any, reference: Any, batches: Any) -> None:
        pairs = sum(len(b["input_ids_chosen"]) for b in batches)
        tokens = [int(b["completion_mask_chosen"].sum() + b["completion_mask_rejected"].sum()) for b in batches]
        for k, batch in enumerate(batches):
            chosen, rejected = (log_probability(policy, batch, side, bug) for side in ("chosen", "rejected"))
            with torch.no_grad():
                base = policy if bug == "adapters" else reference
                ref_chosen, ref_rejected = (log_probability(base, batch, side, bug) for side in ("chosen", "rejected"))
            if bug == "detached":
                rejected = rejected.detach()
            h_chosen, h_rejected = chosen - ref_chosen, rejected - ref_rejected
            gap = h_rejected - h_chosen if bug == "swapped" else h_chosen - h_rejected
            losses = -torch.nn.functional.logsigmoid(TAU * gap)
            if loss == "sppo":
                losses = (h_chosen - 0.5 / TAU) ** 2 + (h_rejected + 0.5 / TAU) ** 2
            if bug == "smoothing":
                losses = 0.9 * losses - 0.1 * torch.nn.functional.logsigmoid(-TAU * gap)
            if bug == "hinge is sigmoid":
                losses = torch.relu(1 - TAU * gap)
            if bug == "last" and k < len(batches) - 1:
                continue
            if bug == "tokens":
                (losses.mean() * tokens[k] / sum(tokens)).backward()
            elif bug == "summed":
                losses.sum().backward()
            else:
                (losses.sum() / pairs * (len(batches) if bug == "accumulation" else 1)).backward()

    return step


STEPS = {
    "padding": "padding is counted",
    "prompt": "the prompt's tokens are counted",
    "end": "end-of-sequence token is left out",
    "shift": "not shifted",
    "average": "averaged over tokens",
    "adapters": "the reference is the policy itself",
    "swapped": "chosen and rejected are swapped",
    "smoothing": "labels are smoothed by 0.1",
    "detached": "only the chosen response is trained",
    "accumulation": "3 times too large (micro-batches are added up, not averaged)",
    "summed": "6 times too large (pairs are added up, not averaged)",
    "tokens": "weighed by their tokens",
    "last": "only the last micro-batch counts",
}


@pytest.mark.parametrize("accumulation", [1, 2, 3])
def test_a_right_step_passes(accumulation: int) -> None:
    assert_gradient(trainer(), "dpo", tau=TAU, accumulation=accumulation)


@pytest.mark.parametrize("bug", STEPS)
def test_planted_bugs_of_steps_are_named(bug: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_gradient(trainer(bug, "sppo" if bug == "prompt" else "dpo"), "sppo" if bug == "prompt" else "dpo",
                        tau=TAU, accumulation=3)  # fmt: skip
    assert STEPS[bug] in str(caught.value)


def test_prompt_tokens_cancel_in_a_gap() -> None:
    """The prompt's log-probability is the same on both sides, so DPO does not see that bug; SPPO does."""
    assert_gradient(trainer("prompt"), "dpo", tau=TAU)
    assert_gradient(trainer("", "sppo"), "sppo", tau=TAU, accumulation=2)


def test_another_loss_in_a_step_is_called_by_its_name() -> None:
    with pytest.raises(AssertionError, match="it is slic"):
        assert_gradient(trainer("hinge is sigmoid"), "dpo", tau=TAU)
    assert_gradient(trainer("hinge is sigmoid"), "slic", tau=TAU)


def test_a_step_without_a_gradient_is_told() -> None:
    with pytest.raises(AssertionError, match="left no gradient"):
        assert_gradient(lambda policy, reference, batches: None, "dpo", tau=TAU)


# -- policy gradients and mixtures -----------------------------------------------------------------------------------


def policy_gradient_step(kl: str) -> Callable[..., Any]:
    def step(policy: Any, reference: Any, batches: Any) -> Any:
        (batch,) = batches
        ids, mask = batch["input_ids"], batch["completion_mask"][:, 1:]
        both = []
        for model in (policy, reference):
            log_p = torch.log_softmax(model(ids)[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
            both.append(log_p * mask)
        log_p, ratio = both[0], (both[0] - both[1]).detach()
        gain = (batch["preference"] - 0.5) * log_p.sum(-1)
        penalty = {
            "right": ratio.sum(-1) * log_p.sum(-1),
            "token by token": (ratio * log_p).sum(-1),
            "none": 0 * gain,
            "sign": -ratio.sum(-1) * log_p.sum(-1),
            "half": 0.5 * ratio.sum(-1) * log_p.sum(-1),
            "k1": (both[0] - both[1].detach()).sum(-1),
        }[kl]
        return -(gain - TAU * penalty).mean()

    return step


@pytest.mark.parametrize(
    ("kl", "words"),
    [
        ("token by token", "drops the cross terms"),
        ("none", "the KL term is missing"),
        ("sign", "wrong sign"),
        ("half", "half of its correct value"),
        ("k1", "k1 as a loss"),
    ],
)
def test_errors_of_the_kl_term_are_named(kl: str, words: str) -> None:
    assert_policy_gradient(policy_gradient_step("right"), tau=TAU)
    with pytest.raises(AssertionError, match=words):
        assert_policy_gradient(policy_gradient_step(kl), tau=TAU)


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (lambda p, q: 0.125 * p + 0.875 * q, "weighs the policy, not the reference"),
        (lambda p, q: (0.875 * p.softmax(-1) + 0.125 * q.softmax(-1)).log(), "probabilities are averaged"),
        (lambda p, q: 0.75 * p + 0.25 * q, "it is the mixture of 0.25"),
        (lambda p, q: p, "the policy alone"),
        (lambda p, q: p.log_softmax(-1) + 0.125 * q.log_softmax(-1), "without 1 − beta"),
    ],
)
def test_errors_of_a_mixture_are_named(mix: Callable[..., Any], words: str) -> None:
    assert_mixture(lambda p, q: 0.875 * p + 0.125 * q, beta=0.125)
    with pytest.raises(AssertionError, match=words):
        assert_mixture(mix, beta=0.125)


# -- the plugin ------------------------------------------------------------------------------------------------------


def test_the_plugin_s_fixtures_and_functions_are_the_assertions(request: pytest.FixtureRequest) -> None:
    from nashlab.check import pytest_plugin

    for name in pytest_plugin.__all__:
        assert request.getfixturevalue(name) is getattr(pytest_plugin, name)
    with pytest.raises(AttributeError, match="assert_nothing"):
        pytest_plugin.assert_nothing  # noqa: B018

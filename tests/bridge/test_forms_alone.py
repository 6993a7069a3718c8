"""Each form by itself, on a policy of three logits: its temperature, its anchor, its terms and the order of a step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from llm_bridge.training import Direct, Leader, Optimistic, Players, Population
from llm_bridge.training.forms import AHEAD, NOW, Extrapolation, Magnet, Proximal, Regression
from nashlab.game import BadInput

MU = torch.tensor([0.5, 0.3, 0.2]).double().log()


@dataclass
class Given:
    tau: float = 0.4
    beta: float = 0.25
    step_size: float = 0.5


class Logits(torch.nn.Module):
    """A model of three logits."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(values.clone())


class Three:
    """A policy on three responses."""

    def __init__(self, values: Tensor) -> None:
        self.model = Logits(values)


def log_prob(player: Any) -> Tensor:
    found: Tensor = player.model.logits.log_softmax(0)
    return found


def players(now: Tensor = MU, **remembered: Tensor) -> Players:
    """Players with μ as reference, the present policy, and policies at other moments."""
    policy: Any = Three(now)
    reference: Any = Three(MU)
    found = Players(policy, reference, reference)
    for name, values in remembered.items():
        with torch.no_grad():
            policy.model.logits.copy_(values)
        found.remember(name.replace("_", "-"))
    with torch.no_grad():
        policy.model.logits.copy_(now)
    return found


def seen_in(found: Players, moment: str) -> Tensor:
    return found.remembered[moment].values[0]


ONE, TWO, OTHER = (torch.tensor(v).double() for v in ([0.0, 1.0, 2.0], [3.0, 0.0, 1.0], [-1.0, 0.5, 0.0]))


@dataclass
class Loop:
    """A loop that writes down what a form asks of it; every update moves the logits by one."""

    players: Players
    step: int = 0
    refresh: int = 3
    said: list[Any] = field(default_factory=list)

    def update(self, stream: int = NOW) -> dict[str, Any]:
        ahead = {name: seen_in(self.players, name).clone() for name in sorted(self.players.remembered)}
        self.said.append((stream, self.players.policy.model.logits.detach().clone(), ahead))
        with torch.no_grad():
            self.players.policy.model.logits += 1.0
        return {"updates": len(self.said)}

    @contextmanager
    def undone(self) -> Iterator[None]:
        before = self.players.policy.model.logits.detach().clone()
        yield
        with torch.no_grad():
            self.players.policy.model.logits.copy_(before)


def test_the_method_as_described_is_one_expectation_at_tau_towards_the_reference() -> None:
    """One update, at τ, with log-ratios to μ, and nothing remembered."""
    form, loop = Direct(), Loop(players(ONE))
    assert form.terms("policy", "average") == ((1.0, "policy", "average"),)
    assert form.weight(form.terms("policy", "average")[0], Given()) == 1.0
    assert form.temperature(Given()) == 0.4
    assert torch.equal(form.anchor(loop.players, Given(), log_prob), log_prob(loop.players.reference))
    assert form.step(loop) == {"updates": 1}
    assert [(stream, ahead) for stream, _, ahead in loop.said] == [(NOW, {})]
    assert (form.remembered, form.measures_from_reference, form.linear) == ((), True, True)


@pytest.mark.parametrize(
    ("form", "temperature", "old"),
    [(Regression(), 2.0, 0.8), (Proximal(), 2.4, 5 / 6), (Magnet(), 0.4, 1.0)],
    ids=["regression", "proximal", "magnet"],
)
def test_a_form_with_an_old_policy_pulls_to_a_mixture_of_it_and_the_reference(
    form: Direct, temperature: float, old: float
) -> None:
    """At τ = .4, η = .5: the temperatures 1/η, τ + 1/η and τ; the old policy's share 1 − ητ, 1/(1 + ητ) and 1. No
    gradient runs through the anchor."""
    (moment,) = form.remembered
    found = players(ONE, **{moment: TWO})
    assert form.temperature(Given()) == pytest.approx(temperature, rel=1e-15)
    anchor = form.anchor(found, Given(), log_prob)
    known = old * TWO.log_softmax(0) + (1 - old) * log_prob(found.reference).detach()
    assert torch.allclose(anchor.detach(), known, rtol=0, atol=1e-15)
    assert torch.equal(found.policy.model.logits.detach(), ONE)
    if form.name != "magnet":
        (slope,) = torch.autograd.grad(anchor.sum(), found.policy.model.logits, allow_unused=True)
        assert slope is None
    assert not form.measures_from_reference


@pytest.mark.parametrize("form", [Regression(), Proximal(), Magnet(), Population()], ids=lambda form: form.name)
def test_an_old_policy_is_renewed_before_every_so_many_steps(form: Direct) -> None:
    """Of seven steps, the first, the fourth and the seventh remember the policy as it is then, before their update."""
    loop = Loop(players(ONE, **{name.replace("-", "_"): TWO for name in form.remembered}))
    for loop.step in range(7):
        assert form.step(loop) == {"updates": loop.step + 1}
    newest = [ahead[form.remembered[0]] for _, _, ahead in loop.said]
    assert [float(logits[0]) for logits in newest] == [0.0, 0.0, 0.0, 3.0, 3.0, 3.0, 6.0]
    assert [stream for stream, _, _ in loop.said] == [NOW] * 7


def test_past_policies_move_up_and_the_oldest_leaves() -> None:
    """After three renewals the oldest place holds what was the newest two renewals before."""
    loop = Loop(players(ONE, past_0=TWO, past_1=TWO, past_2=TWO), refresh=1)
    for loop.step in range(4):
        Population().step(loop)
    firsts = [[float(ahead[name][0]) for name in Population.remembered] for _, _, ahead in loop.said]
    assert firsts == [[0.0, 3.0, 3.0], [1.0, 0.0, 3.0], [2.0, 1.0, 0.0], [3.0, 2.0, 1.0]]


def test_the_shares_of_past_policies_are_geometric_and_sum_to_one() -> None:
    """β, β(1 − β) and the rest; they weigh the terms and the anchor, in which a policy without a share is not asked."""
    form = Population()
    shares = form.shares(Given())
    assert shares == pytest.approx({"past-0": 0.25, "past-1": 0.1875, "past-2": 0.5625}, rel=1e-15)
    terms = form.terms("policy", "anything")
    assert terms == tuple((1.0, "policy", name) for name in form.remembered)
    assert [form.weight(term, Given()) for term in terms] == list(shares.values())
    found = players(ONE, past_0=ONE, past_1=TWO, past_2=OTHER)
    logs = [values.log_softmax(0) for values in (ONE, TWO, OTHER)]
    known = 0.2 * log_prob(found.reference) + 0.8 * sum(s * one for s, one in zip(shares.values(), logs, strict=True))
    assert torch.allclose(form.anchor(found, Given(), log_prob), known, rtol=0, atol=1e-15)
    asked: list[Any] = []

    def listening(player: Any) -> Tensor:
        asked.append(player)
        return log_prob(player)

    sole = form.anchor(found, Given(beta=1.0), listening)
    assert torch.allclose(sole, 0.2 * log_prob(found.reference) + 0.8 * logs[0], rtol=0, atol=1e-15)
    assert len(asked) == 2


def test_egpo_steps_with_the_weights_at_the_end_of_a_trial_step() -> None:
    """The trial plays against the policy itself and is undone; the step from the same point plays against its end."""
    loop = Loop(players(ONE))
    assert Extrapolation().step(loop) == {"updates": 2}
    (trial, here, before), (step, again, after) = loop.said
    assert (trial, step) == (AHEAD, NOW)
    assert AHEAD != NOW
    assert torch.equal(here, ONE)
    assert torch.equal(again, ONE)
    assert torch.equal(before["ahead"], ONE)
    assert torch.equal(after["ahead"], ONE + 1)


def test_optimistic_mmd_plays_twice_the_present_minus_the_past_and_then_remembers() -> None:
    """Weights 2 and −1; after a step the policy before it is the past one, and the present one has moved."""
    form, loop = Optimistic(), Loop(players(ONE, before=TWO))
    assert form.terms("policy", "average") == ((2.0, "policy", "average"), (-1.0, "policy", "before"))
    assert form.step(loop) == {"updates": 1}
    assert torch.equal(loop.said[0][2]["before"], TWO)
    assert torch.equal(seen_in(loop.players, "before"), ONE)
    assert torch.equal(loop.players.policy.model.logits.detach(), ONE + 1)


@pytest.mark.parametrize(
    ("form", "fits", "wrong", "words"),
    [
        (Regression(), Given(tau=2.0), Given(tau=2.01), "step_size · tau = 1.005, must be at most 1 for m"),
        (Population(), Given(tau=2.0), Given(tau=2.01), "step_size · tau = 1.005, must be at most 1 for m"),
        (Population(), Given(beta=1e-9), Given(beta=0.0), "beta = 0, must be positive for m"),
        (Leader(), Given(tau=1 / 16), Given(tau=0.0624), "tau = 0.0624, must be at least 0.0625 for m"),
    ],
    ids=["regression", "population", "beta", "leader"],
)
def test_numbers_at_the_limit_of_a_form_fit_and_beyond_it_do_not(
    form: Direct, fits: Given, wrong: Given, words: str
) -> None:
    """ητ = 1, the smallest β and τ = 1/16 are the last that are taken."""
    form.check(fits, "m")
    Direct().check(wrong, "m")
    with pytest.raises(BadInput, match=re.escape(words)):
        form.check(wrong, "m")


def test_only_the_leader_is_not_linear_in_the_preference() -> None:
    """So one comparison may stand for its probability everywhere else."""
    forms = (Direct, Regression, Proximal, Magnet, Population, Extrapolation, Optimistic)
    assert [form.linear for form in forms] == [True] * 7
    assert Leader.linear is False
    assert [form.measures_from_reference for form in (Leader, Extrapolation, Optimistic)] == [True] * 3

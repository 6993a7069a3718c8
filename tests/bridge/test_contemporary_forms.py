"""MNPO, SLHF's leader and COMAL on transformers take the laboratory's steps; what has no form is refused by name."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.arena import GAME, closed, generated, weights
from torch import Tensor

from llm_bridge.policy import HeadPolicy, Policy, Prompts, Reference
from llm_bridge.training import BRIDGED, Bridged, Closed, Leader, Population, Recipe, Settings, Trainer, bridged, train
from llm_bridge.training.forms import NOW, Numbers
from llm_bridge.training.methods import NEAREST
from llm_bridge.verify import LANGUAGE, PROMPT, own_log_prob, tiny
from nashlab.algorithm import Pairwise, Pointwise, Setting
from nashlab.algorithms import REGISTRY
from nashlab.algorithms.slhf import leader_weight
from nashlab.environment import ExactEnvironment
from nashlab.equilibrium import regularised_nash
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import ipo, self_play_advantage

LR = 0.05
PLAIN = {"batch": 1, "learning_rate": LR, "optimiser": "sgd", "schedule": "constant", "max_grad_norm": float("inf")}
MU, TAU = np.array([0.5, 0.3, 0.2]), 0.2
MARGINS = np.array([[0.0, 0.35, -0.2], [-0.35, 0.0, 0.4], [0.2, -0.4, 0.0]])


def own(policy: Policy) -> Tensor:
    """log π of the whole language, one sequence at a time, with its gradient."""
    return torch.stack([own_log_prob(policy, PROMPT, y).sum() for y in LANGUAGE.sequences])


def table() -> tuple[HeadPolicy, Closed]:
    """A policy that can be any distribution on three responses, and their game."""
    policy = HeadPolicy(torch.eye(3).double()[None], torch.from_numpy(np.log(MU))[None], width=8, seed=1)
    return policy, Closed(Prompts(["a"], [[0]]), [[[0], [1], [2]]], MARGINS[None])


def trained_table(method: str | Bridged, **numbers: float) -> np.ndarray:
    """Where the table ends under expected gradients."""
    policy, source = table()
    settings = PLAIN | {"steps": 60, "tau": TAU, "learning_rate": 4.0}
    reference = Reference(policy.frozen_copy(), "copy")
    train(policy, method, source, Settings(**(settings | numbers)), reference=reference)
    return np.exp(source.log_policies(policy)[0])


def laboratory(name: str, steps: int, **numbers: float) -> np.ndarray:
    """The exact update of the laboratory, from μ."""
    found = Setting(np.log(MU), np.log(MU), numbers.get("tau", TAU), numbers["step_size"], numbers.get("beta", 0.125))
    state, spec = REGISTRY[name].start(np.log(MU)), REGISTRY[name]
    for t in range(steps):
        state = spec.step(state, found._replace(time=float(t)), ExactEnvironment(MARGINS))
    return np.exp(np.asarray(state["log_policy"]))


# -- MNPO ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Equal(Population):
    """All opponents alike: a canary."""

    def shares(self, numbers: Numbers) -> dict[str, float]:
        return dict.fromkeys(self.remembered, 1 / len(self.remembered))


@pytest.mark.parametrize("form", [Population(), Equal()], ids=["claim", "canary: equal shares"])
def test_mnpo_steps_against_the_mixture_of_its_past(form: Population) -> None:
    """∇[π · Pν − KL(π‖L^(1−ητ) μ^(ητ))/η] by the model's own logits; ν, L of the whole past, then of the last three."""
    policy, tau, eta, beta = tiny("gpt2", seed=1), 0.3, 0.8, 0.4
    method = Bridged(REGISTRY["mnpo"], Pointwise(self_play_advantage), "policy", "past-0", form)
    settings = Settings(steps=4, tau=tau, step_size=eta, beta=beta, refresh=1, **PLAIN)
    trainer, past, off = Trainer(policy, method, closed(), settings), [], []
    log_mu = own(policy).detach()
    for _ in range(4):
        before, log_pi = weights(policy), own(policy)
        past = [log_pi.detach(), *past][:3]
        shares = [*(beta * (1 - beta) ** k for k in range(len(past) - 1)), (1 - beta) ** (len(past) - 1)]
        opponent = sum(s * one.exp() for s, one in zip(shares, past, strict=True))
        anchor = eta * tau * log_mu + (1 - eta * tau) * sum(s * one for s, one in zip(shares, past, strict=True))
        pi = log_pi.exp()
        value = pi @ (torch.tensor(GAME.preferences) @ opponent) - (pi * (log_pi - anchor)).sum() / eta
        theory = torch.autograd.grad(value, list(policy.model.parameters()), allow_unused=True)
        trainer._one_step()
        found = zip(before, weights(policy), theory, strict=True)
        off.append(max(float(np.abs(b - a - (0 if g is None else LR * g.numpy())).max()) for a, b, g in found))
    assert (max(off) < 1e-12) == (type(form) is Population), off  # float64 sums over 225 pairs
    assert off[0] < 1e-12  # at first all opponents are the start


def test_mnpo_s_optimum_between_two_renewals_is_the_laboratory_s_step() -> None:
    """Two renewals, each solved to the end: the laboratory's second policy, not one with other shares."""
    numbers = {"step_size": 2.0, "beta": 0.4}
    found = trained_table("mnpo", steps=60, refresh=30, **numbers)
    assert np.abs(found - laboratory("mnpo", 2, **numbers)).max() < 1e-4  # what 30 steps leave
    assert np.abs(found - laboratory("mnpo", 2, step_size=2.0, beta=0.5)).max() > 1e-3  # canary


def test_mnpo_refuses_opponents_that_never_change_and_steps_that_are_too_long() -> None:
    for numbers, words in (
        ({"beta": 0.0}, "beta = 0, must be positive for mnpo"),
        ({"tau": 2.0}, "step_size · tau = 2, must be at most 1 for mnpo"),
    ):
        with pytest.raises(BadInput, match=re.escape(words)):
            Settings(steps=1, **numbers).check_method(bridged("mnpo"))


def test_an_opponent_without_a_share_is_not_sampled() -> None:
    """β = 1 leaves the newest, as in the laboratory, where it is OMD: one sampling a step in the place of three."""
    asked = []
    source = generated()
    judge = source.judge
    object.__setattr__(source, "judge", lambda *given, **more: (asked.append(len(given[0])), judge(*given, **more))[1])
    for beta, calls in ((1.0, 1), (0.5, 3)):
        asked.clear()
        train(tiny("gpt2", seed=1), "mnpo", source, Settings(steps=1, tau=0.3, beta=beta))
        assert len(asked) == calls


def test_mnpo_s_opponents_are_resumed_bit_for_bit(tmp_path: Path) -> None:
    """Stopped when the three differ: their order is part of a checkpoint."""
    numbers = {"steps": 4, "batch": 2, "tau": 0.3, "beta": 0.4, "learning_rate": 0.02, "refresh": 1}
    settings, ends = Settings(checkpoint_every=1, **numbers), []
    for stop_at in (None, 3):
        policy, folder = tiny("gpt2", seed=1), tmp_path / str(stop_at)

        def progress(record: dict[str, Any], stop_at: int | None = stop_at) -> None:
            if record["step"] == stop_at:
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            train(policy, "mnpo", generated(), settings, folder=folder, progress=progress)
        if stop_at:
            policy = tiny("gpt2", seed=1)
            train(policy, "mnpo", generated(), settings, folder=folder)
        ends.append(weights(policy))
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))


# -- SLHF's leader ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hotter", [1.0, 1.01], ids=["claim", "canary: a hundredth hotter"])
def test_the_leader_descends_on_its_distance_from_its_optimum(hotter: float) -> None:
    """θ moves by −lr (τ/2c) ∇χ²(π‖q), q ∝ μ e^{v/τ}, c = E_μ e^{(v − ½)/τ}, on the model's own logits."""
    policy, tau = tiny("gpt2", seed=1), 0.3
    trainer = Trainer(policy, "slhf", closed(), Settings(steps=2, tau=tau, **PLAIN))
    mu = own(policy).detach().exp()
    trainer._one_step()
    before, pi = weights(policy), own(policy).exp()
    per_answer = torch.exp(-torch.tensor(GAME.margins) / (tau * hotter)) @ mu  # e^{(½ − v)/τ}
    c = (mu / per_answer).sum()
    chi2 = (pi**2 / (mu / per_answer / c)).sum() - 1
    theory = torch.autograd.grad(-tau / (2 * c) * chi2, list(policy.model.parameters()), allow_unused=True)
    trainer._one_step()
    found = zip(before, weights(policy), theory, strict=True)
    off = max(float(np.abs(b - a - (0 if g is None else LR * g.numpy())).max()) for a, b, g in found)
    assert (off < 1e-12) == (hotter == 1.0), off  # float64 sums over 225 pairs


def test_the_leader_reaches_its_optimum_and_not_the_equilibrium() -> None:
    found = trained_table("slhf")
    optimum = MU / (np.exp(-MARGINS / TAU) @ MU)
    assert np.abs(found - optimum / optimum.sum()).max() < 1e-5  # what 60 steps leave
    assert np.abs(found - laboratory("slhf", 400, step_size=5.0)).max() < 1e-5
    assert np.abs(found - trained_table("online-ipo")).max() > 0.02


def test_the_leader_s_samples_have_the_mean_of_its_expectation() -> None:
    """Over 25 steps from the same weights: Σ w c(y) along the expectation, within four standard errors."""
    policy = tiny("gpt2", seed=1)
    reference = policy.reference()
    with torch.no_grad():
        for p in policy.model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3), dtype=p.dtype))
        log_pi, log_mu = own(policy), own(reference.policy)
    weight = leader_weight((log_pi - log_mu)[:, None], torch.zeros(1), torch.tensor(GAME.preferences), 0.3)
    exact = log_pi.exp() * (weight @ log_mu.exp())
    source = generated()
    only = type(source)(Prompts(["a"], [list(PROMPT)]), source.judge, completions=8, max_new_tokens=3)
    trainer = Trainer(policy, "slhf", only, Settings(steps=25, batch=4, tau=0.3), reference)
    places = {y: k for k, y in enumerate(LANGUAGE.sequences)}
    found = []
    for trainer.step in range(25):
        with torch.no_grad():
            (_, samples), *_ = trainer._collected(NOW)[0]
            h = only.log_prob(policy, samples) - samples.log_anchor
        c = samples.weight * leader_weight(h[samples.left], h[samples.right], samples.p, 0.3)
        rows = [places[tuple(ids[mask].tolist())] for ids, mask in zip(*samples.completion, strict=True)]
        found.append(float((c * exact[rows][samples.left]).sum()))
    error = np.std(found) / len(found) ** 0.5
    expected = float(exact @ exact)
    assert abs(np.mean(found) - expected) < 4 * error < expected, (np.mean(found), expected, error)


def test_the_leader_refuses_what_would_be_another_game() -> None:
    """One outcome of a comparison cannot stand for p, of which e^{−p/τ} is no linear function; nor a τ of any size."""
    with pytest.raises(BadInput, match=r"labels = 'hard', must be soft for slhf"):
        train(tiny("gpt2", seed=1), "slhf", generated(labels="hard"), Settings(steps=1, tau=0.3))
    with pytest.raises(BadInput, match=r"labels = 'hard', must be soft for slhf"):  # before anything is read
        Recipe("nowhere", ["nothing"], "length", Settings(steps=1, tau=0.3), method="slhf", labels="hard")
    with pytest.raises(BadInput, match=r"tau = 0\.05, must be at least 0\.0625 for slhf"):
        Settings(steps=1, tau=0.05).check_method(bridged("slhf"))
    assert {name for name, method in BRIDGED.items() if not method.form.linear} == {"slhf"}
    assert isinstance(bridged("stackelberg-gda").form, Leader)


# -- COMAL, SPPO -----------------------------------------------------------------------------------------------------


def test_comal_s_reference_moves_and_the_policy_goes_to_the_lottery() -> None:
    """Each magnet is the equilibrium towards the last one; at last what is left to gain at τ = 0 is small."""
    once, twice = (trained_table("comal", steps=steps, refresh=30) for steps in (30, 60))
    assert np.abs(once - trained_table("online-ipo", steps=30)).max() == 0
    assert np.ptp(np.log(twice / once) - MARGINS @ twice / TAU) < 1e-3  # solved towards the magnet
    assert np.ptp(np.log(twice / MU) - MARGINS @ twice / TAU) > 0.1  # canary: not towards μ
    last = trained_table("comal", steps=180, refresh=20)
    gains = [float((MARGINS @ pi).max()) for pi in (once, twice, last)]
    assert gains[2] < 0.01 < 0.03 < min(gains[:2]), gains


def test_at_temperature_zero_omd_s_regression_is_sppo_s_step() -> None:
    """The advice of SPPO's refusal: both multiply by e^{ηPπ}."""
    found = trained_table("omd", tau=0.0, refresh=60, step_size=1.5)
    assert np.abs(found - laboratory("sppo", 1, tau=0.0, step_size=1.5)).max() < 1e-5
    with pytest.raises(BadInput, match="tau = 0, must be positive for online-ipo"):
        Settings(steps=1, tau=0.0).check_method(Bridged(REGISTRY["online-ipo"], Pairwise(ipo), "policy", "policy"))


# -- what has no form ------------------------------------------------------------------------------------------------


def test_every_method_without_a_form_is_refused_with_the_nearest_that_has_one() -> None:
    assert NEAREST.keys() == REGISTRY.keys() - BRIDGED.keys()
    for name, (why, nearest) in NEAREST.items():
        assert bridged(nearest.split(",")[0]).spec.name in BRIDGED
        with pytest.raises(BadInput, match=re.escape(f"{why}; the nearest with one is {nearest}")):
            bridged(name)
    with pytest.raises(BadInput, match=r"needs a regret for every response.*nearest with one is egpo"):
        bridged("exrm-plus")


def test_micro_batches_change_nothing_for_a_sum_over_opponents() -> None:
    ends = []
    for size in (0, 1):
        policy = tiny("gpt2", seed=1)
        train(policy, "mnpo", generated(), Settings(steps=2, batch=3, tau=0.3, micro_batch=size, refresh=1))
        ends.append(weights(policy))
    assert max(float(np.abs(a - b).max()) for a, b in zip(*ends, strict=True)) < 1e-9  # Adam divides rounding


# -- what every form says of itself ----------------------------------------------------------------------------------


def test_nash_prox_s_centre_stays_until_it_is_due() -> None:
    """A centre that stays is the start, and the end the equilibrium at τ + 1/η; one that moves leads to that at τ."""
    game = PreferenceGame.from_margins(MARGINS).with_reference(MU.tolist())
    still = trained_table("nash-prox", step_size=1.0, refresh=1000)
    assert np.abs(still - regularised_nash(game, TAU + 1).policy).max() < 1e-6
    moving = trained_table("nash-prox", step_size=5.0, refresh=10)
    assert np.abs(moving - regularised_nash(game, TAU).policy).max() < 0.003
    assert np.abs(moving - still).max() > 0.03  # canary


@pytest.mark.parametrize("name", BRIDGED)
def test_log_ratios_are_measured_from_the_reference_where_a_form_says_so(name: str) -> None:
    """Otherwise their mean is no KL(π‖μ), and the trainer's record has none; all remembered players have moved."""
    trainer = Trainer(tiny("gpt2", seed=1), bridged(name), generated(), Settings(**PLAIN | {"steps": 3, "refresh": 1}))
    for _ in range(3):
        trainer._one_step()
    with torch.no_grad():
        anchor = trainer.method.form.anchor(
            trainer.players, trainer.settings, lambda player: LANGUAGE.log_policy(player, PROMPT)
        )
        log_mu = LANGUAGE.log_policy(trainer.players.reference, PROMPT)
    assert trainer.method.form.measures_from_reference == bool(torch.equal(anchor, log_mu))


def test_one_comparison_stands_for_its_probability_in_every_form_but_the_leader_s() -> None:
    for name, method in BRIDGED.items():
        method.check_labels("soft")
        if name == "slhf":
            with pytest.raises(BadInput, match="not linear in p"):
                method.check_labels("hard")
        else:
            method.check_labels("hard")

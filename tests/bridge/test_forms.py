"""Forms and methods of one's own train like ours; optimistic MMD is the laboratory's, on a transformer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.arena import GAME, closed, generated, weights
from torch import Tensor

from llm_bridge.policy import Policy, Reference
from llm_bridge.training import (
    Bridged,
    Direct,
    Optimistic,
    Players,
    Settings,
    Trainer,
    bridged,
    train,
)
from llm_bridge.training.forms import Numbers, Steps
from llm_bridge.verify import LANGUAGE, PROMPT, own_log_prob, tiny
from nashlab.algorithm import AlgorithmSpec, Pairwise, Pointwise
from nashlab.equilibrium import regularised_nash
from nashlab.game import BadInput
from nashlab.losses import ipo, self_play_advantage


@dataclass(frozen=True)
class Proximal(Direct):
    """A form of nobody's: log-ratios are measured from a magnet, which takes over the policy every so many steps."""

    every: int
    name = "proximal"
    remembered = ("magnet",)
    measures_from_reference = False

    def anchor(self, players: Players, numbers: Numbers, log_prob: Callable[[Policy | Reference], Tensor]) -> Tensor:
        with players.playing("magnet") as magnet:
            return log_prob(magnet).detach()

    def step(self, steps: Steps) -> dict[str, Any]:
        if steps.step % self.every == 0:
            steps.players.remember("magnet")
        return steps.update()


def proximal_ipo(every: int) -> Bridged:
    """A method of nobody's: online IPO towards a moving reference."""
    spec = AlgorithmSpec(
        name="proximal-ipo",
        title="proximal online IPO",
        citation="none",
        claim="what is left to exploit at τ = 0 falls with every new magnet",
        objective=Pairwise(ipo),
    )
    return Bridged(spec, Pairwise(ipo), "policy", "policy", Proximal(every))


def after_six_steps(method: Bridged | str, tau: float) -> list[np.ndarray]:
    """Weights after expected gradients, in units of preference."""
    policy = tiny("gpt2", seed=1)
    settings = Settings(steps=6, batch=1, tau=tau, learning_rate=0.05, optimiser="sgd", max_grad_norm=float("inf"))
    train(policy, method, closed(), settings)
    return weights(policy)


def apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def test_a_form_and_a_method_from_outside_the_package_train() -> None:
    """A magnet that stays is μ; one that follows every step pulls nowhere, so that τ does not count."""
    assert apart(after_six_steps(proximal_ipo(every=1000), 0.3), after_six_steps("online-ipo", 0.3)) == 0
    follows = [after_six_steps(proximal_ipo(every=1), tau) for tau in (0.3, 0.9)]
    assert apart(*follows) < 1e-12  # float64 sums over 225 pairs
    assert apart(follows[0], after_six_steps("online-ipo", 0.3)) > 1e-5  # canary: the pull is seen where there is one


def test_a_form_of_one_s_own_samples_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    settings = Settings(steps=6, batch=4, tau=0.3, learning_rate=0.02, checkpoint_every=2)
    method, ends = proximal_ipo(every=3), []
    for name, stop_at in (("whole", None), ("interrupted", 4)):
        policy = tiny("gpt2", seed=1)

        def progress(record: dict[str, Any], stop_at: int | None = stop_at) -> None:
            if record["step"] == stop_at:
                raise KeyboardInterrupt

        folder = tmp_path / name
        try:
            train(policy, method, generated(), settings, folder=folder, progress=progress)
        except KeyboardInterrupt:
            policy = tiny("gpt2", seed=1)
            train(policy, method, generated(), settings, folder=folder)
        ends.append(weights(policy))
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))


def test_a_player_that_nobody_remembers_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"sppo: 'magnte' samples, must be one of .*magnet.*did you mean 'magnet'"):
        Bridged(_spec("sppo"), Pairwise(ipo), "policy", "magnte", Proximal(1))


def _spec(name: str) -> AlgorithmSpec:
    return AlgorithmSpec(name=name, title=name, citation="none", claim="none", objective=Pairwise(ipo))


# -- optimistic MMD --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guess", [(2.0, -1.0), (1.0, 0.0)], ids=["2π_t − π_{t−1}", "canary: π_t"])
def test_optimistic_mmd_steps_against_its_guess_of_the_next_opponent(guess: tuple[float, float]) -> None:
    """The second step's gradient is ∇[π · P(2π_t − π_{t−1})] − τ ∇KL(π‖μ) on the model's own logits."""
    policy, tau, lr = tiny("gpt2", seed=1), 0.3, 0.05
    settings = Settings(steps=2, batch=1, tau=tau, learning_rate=lr, optimiser="sgd", schedule="constant",
                        max_grad_norm=float("inf"))  # fmt: skip
    trainer = Trainer(policy, "optimistic-mmd", closed(), settings)

    def own() -> Tensor:
        return torch.stack([own_log_prob(policy, PROMPT, y).sum() for y in LANGUAGE.sequences])

    log_mu = own().detach()
    trainer._one_step()
    before, log_pi = weights(policy), own()
    opponent = guess[0] * log_pi.detach().exp() + guess[1] * log_mu.exp()  # a step ago the policy was μ
    pi = log_pi.exp()
    value = pi @ (torch.tensor(GAME.preferences) @ opponent) - tau * (pi * (log_pi - log_mu)).sum()
    theory = torch.autograd.grad(value, list(policy.model.parameters()), allow_unused=True)
    trainer._one_step()
    off = max(
        float(np.abs(new - old - (0 if g is None else lr * g.numpy())).max())
        for old, new, g in zip(before, weights(policy), theory, strict=True)
    )
    assert (off < 1e-12) == (guess == (2.0, -1.0)), off  # float64 sums over 225 pairs


def test_optimistic_mmd_reaches_the_equilibrium_on_a_closed_set_and_trains_on_samples() -> None:
    policy, source = tiny("gpt2", seed=1), closed()
    reference = source.log_policies(policy)
    train(policy, "optimistic-mmd", source, Settings(steps=120, batch=1, tau=0.3, learning_rate=0.02))
    target = regularised_nash(source.game(reference), 0.3).policy
    assert float(np.abs(np.exp(source.log_policies(policy)) - target).sum()) < 0.03
    records = train(tiny("gpt2", seed=1), "optimistic-mmd", generated(), Settings(steps=3, batch=4, tau=0.3))
    assert all(np.isfinite(v) for r in records for v in r.values())


def test_optimism_is_a_form_of_any_policy_gradient() -> None:
    """Of Nash-EMA-PG as well: its two terms are against the average and against the policy a step ago."""
    method = Bridged(bridged("nash-ema-pg").spec, Pointwise(self_play_advantage), "policy", "average", Optimistic())
    assert method.moments == ("average", "before")
    assert method.terms == ((2.0, "policy", "average"), (-1.0, "policy", "before"))
    records = train(tiny("gpt2", seed=1), method, closed(), Settings(steps=3, batch=1, tau=0.3))
    assert [r["step"] for r in records] == [1, 2, 3]

"""Optimisers: the same steps as torch's, and what each of them does to a game (N5-N7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nashlab.algorithms import get
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get as gallery
from nashlab.gallery import random_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.optimiser import SCHEDULES, get_optimiser
from nashlab.rates import local_rate
from nashlab.solve import solve

RPS = gallery("rps")
TAU, STEP = 0.3, 0.05


def _torch_run(game: PreferenceGame, make: Callable[[list[Any]], Any], steps: int, unit: float) -> np.ndarray:
    """log π of online IPO by automatic differentiation, torch's optimiser; ``unit`` scales the loss to D(Aπ − τh)."""
    import torch

    p, log_mu = torch.tensor(game.preferences), torch.tensor(game.log_reference)
    theta = torch.tensor(game.log_reference.copy(), requires_grad=True)
    optimiser = make([theta])
    for _ in range(steps):
        optimiser.zero_grad()
        log_pi = torch.log_softmax(theta, dim=0)
        h, pi = log_pi - log_mu, log_pi.detach().exp()
        d = h[:, None] - h[None, :]
        loss = p * (d - 0.5 / TAU) ** 2 + (1 - p) * (-d - 0.5 / TAU) ** 2
        (unit * (pi[:, None] * pi[None, :] * loss).sum()).backward()
        optimiser.step()
    return torch.log_softmax(theta.detach(), dim=0).numpy()


def _peers() -> dict[str, Callable[[list[Any]], Any]]:
    import torch

    def averaged(x: list[Any]) -> Any:
        # torch's first velocity is g, not (1 − m)g, unless there is one before it
        optimiser = torch.optim.SGD(x, lr=STEP, momentum=0.5, dampening=0.5)
        optimiser.state[x[0]]["momentum_buffer"] = torch.zeros_like(x[0])
        return optimiser

    return {
        "online-ipo": lambda x: torch.optim.SGD(x, lr=STEP),
        "online-ipo+momentum:0.5": lambda x: torch.optim.SGD(x, lr=STEP, momentum=0.5),
        "online-ipo+averaged-momentum:0.5": averaged,
        "online-ipo+adam:0.9": lambda x: torch.optim.Adam(x, lr=STEP, betas=(0.9, 0.999)),
        "online-ipo+adam:0": lambda x: torch.optim.Adam(x, lr=STEP, betas=(0.0, 0.999)),
    }


@pytest.mark.parametrize("name", _peers())
def test_steps_are_those_of_torch(name: str) -> None:
    game = random_game("uniform", 5, np.random.default_rng(3)).with_reference([0.3, 0.25, 0.2, 0.15, 0.1])
    unit = get(name).objective.unit(TAU)  # type: ignore[union-attr]
    theirs = _torch_run(game, _peers()[name], 60, unit)
    ours = solve(name, game, TAU, step_size=STEP, steps=60).log_policy
    # ε = 1e-8 sits beside √s of 1e-2, and both sides have it in the same place
    assert np.abs(ours - theirs).max() <= 1e-10
    wrong = solve("online-ipo+momentum:0.6", game, TAU, step_size=STEP, steps=60).log_policy
    assert np.abs(wrong - theirs).max() > 1e-3  # the comparison sees a wrong momentum


def test_averaged_momentum_is_the_heavy_ball_at_a_smaller_step() -> None:
    game = random_game("cyclic", 4, np.random.default_rng(5))
    averaged = solve("online-ipo+averaged-momentum:0.5", game, TAU, step_size=STEP, steps=50).log_policy
    heavy = solve("online-ipo+momentum:0.5", game, TAU, step_size=STEP / 2, steps=50).log_policy
    assert np.abs(averaged - heavy).max() <= 1e-14


def test_adafactor_against_its_recurrence_written_out() -> None:
    """u = g/√s, s forgets with 1 − t^−.8; the step is η u / max(1, rms u)."""
    from scipy.special import log_softmax

    game = random_game("uniform", 4, np.random.default_rng(7))
    theta, square = game.log_reference.copy(), np.zeros(4)
    for t in range(1, 41):
        pi = np.exp(theta)
        r = game.margins @ pi - TAU * (theta - game.log_reference)
        g = pi * (r - pi @ r)
        keep = 1 - t**-0.8
        square = keep * square + (1 - keep) * g**2
        u = g / np.sqrt(square)
        theta = log_softmax(theta + STEP * u / max(1.0, float(np.sqrt(np.mean(u**2)))))
    ours = solve("online-ipo+adafactor", game, TAU, step_size=STEP, steps=40).log_policy
    assert np.abs(ours - theta).max() <= 1e-12


def test_sgd_settles_where_adam_orbits_and_decay_settles_it() -> None:
    """At τ = .01, lr = .01 Adam ends .60-1.28 away at β₁ = .9 and .11-.14 at β₁ = 0 (theory §4; last 200 records)."""
    game = RPS.with_reference([0.5, 0.3, 0.2])

    def late(name: str, steps: int, size: float = 0.01, schedule: str = "constant") -> np.ndarray:
        run = solve(name, game, 0.01, step_size=size, steps=steps, schedule=schedule)
        return run.history["distance"][-200:]

    fast, slow = late("online-ipo+adam:0.9", 20_000), late("online-ipo+adam:0", 20_000)
    assert 0.595 <= fast.min() <= fast.max() <= 1.285
    assert 0.105 <= slow.min() <= slow.max() <= 0.145
    assert late("online-ipo+adam:0", 20_000, schedule="inverse-root").max() <= 0.3 * slow.min()
    sgd = solve("online-ipo", game, 0.01, step_size=0.05, steps=400_000)
    assert sgd.history["distance"][-1] <= 1e-3


def test_a_linear_optimiser_has_a_local_rate_and_adam_has_none() -> None:
    rate = local_rate("online-ipo+momentum:0.5", RPS, 0.1, step_size=1.0)
    assert rate is not None
    assert abs(rate.predicted - rate.measured) <= 1e-6  # type: ignore[operator]
    assert rate.predicted < 1 < local_rate("online-ipo+momentum:0.6", RPS, 0.1, step_size=1.0).predicted  # type: ignore[union-attr]
    assert local_rate("online-ipo+adam", RPS, 0.1, step_size=0.01) is None


def test_harmonic_steps_are_those_of_R1() -> None:
    """η_t = 2/(τ(t+2)) from η = 1/τ: KL(π*, π_T) ≤ 8/(τ²(T+1)), and the error goes to 0."""
    game, tau = RPS.with_reference([0.5, 0.3, 0.2]), 0.5
    falling = solve("nash-md", game, tau, step_size=1 / tau, steps=4000, schedule="harmonic", keep_path=True)
    constant = solve("nash-md", game, tau, step_size=1 / tau, steps=4000)
    assert falling.history["distance"][-1] <= 1e-4 < constant.history["distance"][-1]
    assert [SCHEDULES["harmonic"](float(t)) for t in range(4)] == pytest.approx([1, 2 / 3, 2 / 4, 2 / 5], abs=1e-15)
    q, path, seen = regularised_nash(game, tau), falling.history["log_policy"], falling.history["steps"]
    assert np.all((q.policy * (q.log_policy - path)).sum(axis=1) <= 8 / (tau**2 * (seen + 1)))
    log_pi = game.log_reference
    for t in range(int(seen[3])):
        eta = 2 / (tau * (t + 2))
        log_m = (1 - eta * tau) * log_pi + eta * tau * game.log_reference
        m = np.exp(log_m) / np.exp(log_m).sum()
        weight = m * np.exp(eta * (game.margins @ m))
        log_pi = np.log(weight / weight.sum())
        if t + 1 in seen:
            assert np.abs(path[list(seen).index(t + 1)] - log_pi).max() <= 1e-12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("online-ipo+adm", "did you mean 'adam'"),
        ("online-ipo+adam:x", "'x' must be a number"),
        ("online-ipo+momentum:1.5", "must be in \\(-1, 1\\)"),
        ("online-ipo+sgd:0.5", "takes no momentum"),
        ("egpo+adam", "egpo is not a gradient method"),
        ("onlin-ipo+adam", "did you mean 'online-ipo'"),
    ],
)
def test_a_misspelt_suffix_is_refused(name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        get(name)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(BadInput, match="schedule = 'linear', must be one of constant, inverse-root, harmonic"):
        solve("omd", RPS, 0.1, step_size=0.1, steps=5, schedule="linear")
    assert get_optimiser("sgd").name == "sgd"

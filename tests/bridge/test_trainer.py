"""The trainer: its step against the theory's own, labels, micro-batches, precision, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from arena import GAME, SETTINGS, closed, generated, largest, trained, weights
from bridge.tiny import tiny_policy
from torch import Tensor

from llm_bridge.judges import OneOrder
from llm_bridge.policy import Prompts
from llm_bridge.training import (
    BRIDGED,
    Closed,
    Examples,
    Generated,
    Players,
    Recorded,
    Settings,
    Trainer,
    Weights,
    bridged,
    rate,
    train,
)
from llm_bridge.training.forms import AHEAD, NOW
from llm_bridge.verify import LANGUAGE, PROMPT, own_log_prob, tiny
from nashlab.equilibrium import regularised_nash
from nashlab.game import BadInput


@pytest.mark.parametrize("sign", [1, -1], ids=["step", "canary: ascent and descent swapped"])
def test_a_step_of_sgd_is_the_gradient_of_the_regularised_win_rate(sign: int) -> None:
    """θ moves by lr ∇[P(π ≻ SG π) − τ KL(π‖μ)]: the units of preference, whatever factor the loss carries (L1)."""
    policy, tau, lr = tiny("gpt2", seed=1), 0.3, 0.05
    before = [p.detach().clone() for p in policy.model.parameters()]
    log_pi = torch.stack([own_log_prob(policy, PROMPT, y).sum() for y in LANGUAGE.sequences])
    pi, p = log_pi.exp(), torch.tensor(GAME.preferences)
    value = pi @ (p @ pi.detach()) - tau * (pi * (log_pi - log_pi.detach())).sum()
    theory = torch.autograd.grad(sign * value, list(policy.model.parameters()), allow_unused=True)
    settings = Settings(steps=1, batch=1, tau=tau, learning_rate=lr, optimiser="sgd", max_grad_norm=float("inf"))
    train(policy, bridged("online-ipo"), closed(), settings)
    off = 0.0
    for old, new, gradient in zip(before, policy.model.parameters(), theory, strict=True):
        expected = torch.zeros_like(old) if gradient is None else lr * gradient
        off = max(off, float((new.detach() - old - expected).abs().max()))
    assert (off < 1e-12) == (sign == 1), off  # float64 sums over 225 pairs, steps below .1


@pytest.mark.parametrize("method", sorted(BRIDGED))
def test_every_method_trains_on_samples_and_on_closed_sets(method: str) -> None:
    start = weights(tiny("gpt2", seed=1))
    for source in (generated(), closed()):
        ended, records = trained(method, source, steps=3)
        assert [r["step"] for r in records] == [1, 2, 3]
        assert all(np.isfinite(v) for r in records for v in r.values())
        assert largest(ended, start) > 1e-3  # three steps of AdamW at a rate of .02


def test_regularised_methods_reach_their_equilibrium_on_a_closed_set() -> None:
    """A hundred steps from π = μ; the others of the paper stay away from it (L2, N12)."""
    source = closed()
    for method, settles in (("online-ipo", True), ("nash-md-pg", True), ("egpo", True), ("online-dpo", False)):
        policy = tiny("gpt2", seed=1)
        train(policy, bridged(method), source, Settings(steps=100, batch=1, tau=0.3, learning_rate=0.03, beta=0.05))
        reference = source.log_policies(tiny("gpt2", seed=1))
        target = regularised_nash(source.game(reference), 0.3).policy
        distance = float(np.abs(np.exp(source.log_policies(policy)) - target).sum())
        assert (distance < 0.03) == settles, (method, distance)


def test_micro_batches_change_nothing() -> None:
    whole, _ = trained()
    for size in (1, 3):
        assert largest(trained(micro_batch=size)[0], whole) < 1e-9  # Adam divides small gradients' rounding
    assert largest(trained(seed=1)[0], whole) > 1e-4  # canary: other samples are seen


def label_errors(method: str, spoil: Callable[[Tensor], Tensor] = lambda p: p) -> list[float]:
    """Σ w (hard − soft) in standard errors for w = 1 and w = soft − ½, over sixty steps from the same weights."""
    trainers = [
        Trainer(tiny("gpt2", seed=1), bridged(method), generated(labels=labels), Settings(**(SETTINGS | {"batch": 16})))
        for labels in ("soft", "hard")
    ]
    soft, hard = [], []
    for step in range(60):
        turns = []
        for trainer in trainers:
            trainer.step = step
            turns.append(trainer.source.collect(trainer._turn(NOW))[0])
        assert torch.equal(turns[0].completion.ids, turns[1].completion.ids)
        independent = len(turns[0].p) // (2 if method == "self-play-pg" else 1)  # else the other half is 1 − p
        soft.append(turns[0].p[:independent])
        hard.append(spoil(turns[1].p)[:independent])
    p, labels = torch.cat(soft), torch.cat(hard)
    return [float((w * (labels - p)).sum() / (w**2 * p * (1 - p)).sum().sqrt()) for w in (torch.ones_like(p), p - 0.5)]


@pytest.mark.parametrize("method", ["online-ipo", "nash-md-pg", "self-play-pg"])
def test_hard_labels_have_the_mean_of_soft_ones(method: str) -> None:
    """Within four standard errors, on average and in proportion to how clear a preference is."""
    assert max(map(abs, label_errors(method))) <= 4


@pytest.mark.parametrize(
    "spoil",
    [lambda p: torch.ones_like(p) / 2, lambda p: 1 - p, lambda p: torch.ones_like(p)],
    ids=["half", "swapped", "one"],
)
def test_canaries_other_labels_have_not(spoil: Callable[[Tensor], Tensor]) -> None:
    assert max(map(abs, label_errors("online-ipo", spoil))) > 4


def test_extrapolation_puts_weights_and_optimiser_back_bit_for_bit() -> None:
    trainer = Trainer(tiny("gpt2", seed=1), bridged("egpo"), generated(), Settings(**SETTINGS))
    trainer._one_step()
    before, state = weights(trainer.players.policy), json.dumps(_plain(trainer.optimiser.state_dict()))
    with trainer.undone():
        trainer.update(AHEAD)
        ahead = Weights(trainer.players.policy)
    assert largest(weights(trainer.players.policy), before) == 0
    assert json.dumps(_plain(trainer.optimiser.state_dict())) == state
    assert max(float((a - torch.tensor(b)).abs().max()) for a, b in zip(ahead.values, before, strict=True)) > 1e-5


def _plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def test_the_divergence_is_unbiased() -> None:
    """The mean of the recorded KL over steps of no size is the exact one, within four standard errors."""
    policy, source = tiny("gpt2", seed=1), generated()
    reference = policy.reference()
    with torch.no_grad():
        for p in policy.model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3), dtype=p.dtype))
    one = Closed(closed().prompts, closed().candidates, closed().margins)
    exact = one.measure(Players(policy, reference, reference), 0.3)["exact_kl"]
    only = type(source)(one.prompts, source.judge, completions=4, max_new_tokens=3)
    settings = Settings(**(SETTINGS | {"steps": 60, "batch": 16, "learning_rate": 1e-14}))
    found = [r["kl"] for r in train(policy, bridged("online-ipo"), only, settings, reference=reference)]
    error = np.std(found) / len(found) ** 0.5
    assert abs(np.mean(found) - exact) < 4 * error < exact, (np.mean(found), exact, error)


@pytest.mark.parametrize("fresh", [True, False], ids=["cleared", "canary: rounded weights kept from before"])
def test_weights_that_are_put_on_are_what_half_precision_computes_with(
    fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast keeps rounded copies by parameter; the policy's must not speak for the average's."""
    policy = tiny("gpt2", seed=1)
    policy.model.float()
    old = Weights(policy)
    with torch.no_grad():
        for p in policy.model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))

    def look(also_before: bool) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            if also_before:
                LANGUAGE.log_policy(policy, PROMPT)
            with old.worn():
                return LANGUAGE.log_policy(policy, PROMPT)

    expected = look(False)
    if not fresh:
        monkeypatch.setattr(torch, "clear_autocast_cache", lambda: None)
    assert bool((look(True) == expected).all()) == fresh


# -- numbers that are refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimiser": "adam"}, "optimiser = 'adam', must be one of sgd, adamw, adafactor; did you mean 'adamw'"),
        ({"schedule": "linaer"}, "did you mean 'linear'"),
        ({"steps": 0}, "steps = 0, must be an integer of at least 1"),
        ({"beta": 1.5}, "beta = 1.5, must be between 0 and 1"),
        ({"learning_rate": float("nan")}, "learning_rate = nan, must be positive and finite"),
        ({"learning_rate": "a"}, "learning_rate = 'a', must be positive and finite"),
        ({"optimiser": ["sgd"]}, "optimiser = ['sgd'], must be one of sgd, adamw, adafactor"),
        ({"weight_decay": float("inf")}, "weight_decay = inf, must be finite and at least 0"),
        ({"max_grad_norm": None}, "max_grad_norm = None, must be positive"),
        ({"seed": 2**32}, "seed = 4294967296, must be below"),
        ({"optimiser": "adafactor", "beta1": 0.5}, "beta1 = 0.5, must be 0 for adafactor"),
    ],
)
def test_settings_are_refused_by_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        Settings(**(SETTINGS | change))


def test_weight_decay_is_every_optimiser_s() -> None:
    for optimiser in ("sgd", "adamw", "adafactor"):
        plain, decayed = (trained(optimiser=optimiser, weight_decay=decay)[0] for decay in (0.0, 0.5))
        assert largest(plain, decayed) > 1e-4, optimiser
        lost = 1 - np.sqrt(sum((w**2).sum() for w in decayed) / sum((w**2).sum() for w in plain))
        assert 0.01 < lost < 0.06, optimiser  # six steps of at most .02 · .5 of each weight


def test_what_a_source_cannot_be_is_refused_by_name() -> None:
    two, rows = Prompts(["a", "b"], [[1], [2]]), [[1, 0], [2, 0]]
    judge = generated().judge
    for make, words in (
        (lambda: Generated(Prompts(["a"], [[1], [2]]), judge), "prompts.texts holds 1, must be one for each of the 2"),
        (lambda: Generated(two, judge, completions=2.5), "completions = 2.5, must be an integer of at least 2"),
        (lambda: Generated(two, judge, max_new_tokens=0), "max_new_tokens = 0, must be an integer of at least 1"),
        (lambda: Generated(two, judge, temperature=0), "temperature = 0.0, must be positive and finite"),
        (lambda: Recorded(two, rows, rows[:1], [0.5, 0.5]), "right holds 1, must be one for each of the 2"),
        (lambda: Recorded(two, rows, rows, [0.5, 1.7]), "p[1] = 1.7, must be in [0, 1]"),
        (lambda: Recorded(two, rows, rows, [0.5, np.nan]), "p[1] = nan, must be in [0, 1]"),
        (lambda: Examples(two, rows[:1]), "completions holds 1, must be one for each of the 2"),
        (lambda: replace(closed(), temperature=-1), "temperature = -1.0, must be positive and finite"),
        (lambda: replace(closed(), margins=closed().margins / 2 + 0.1), "must be 1"),
        (lambda: replace(closed(), margins=closed().margins * 3), "must be in [0, 1]"),
        (lambda: bridged("online-ipo+adam:0"), "names an optimiser, which is a setting of training here"),
    ):
        with pytest.raises(BadInput, match=re.escape(words)):
            make()
    with pytest.raises(BadInput, match="online-ipo compares responses; examples are for supervised fine-tuning"):
        train(tiny("gpt2"), bridged("online-ipo"), Examples(two, rows), Settings(steps=1, batch=1))


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_what_a_judge_cannot_mean_is_refused(labels: str) -> None:
    for answer, words in (
        (lambda n: [np.nan] * n, "the judge returned nan for"),
        (lambda n: [0.5] * (n - 1) + [7.0], "the judge returned 7.0 for"),
        (lambda n: [0.5], "the judge returned an array of shape (1,) for"),
    ):
        source = replace(generated(labels=labels), judge=lambda x, y, z, answer=answer: answer(len(x)))
        with pytest.raises(BadInput, match=re.escape(words)):
            train(tiny("gpt2", seed=1), bridged("online-ipo"), source, Settings(**SETTINGS))


def test_recorded_comparisons_are_scored_at_the_temperature_they_were_sampled_at() -> None:
    policy = tiny("gpt2", seed=1)
    rows = [list(ids) for ids in LANGUAGE.sequences[:4]]
    source = Recorded(Prompts(list("abcd"), [list(PROMPT)] * 4), rows, rows[::-1], [0.7] * 4, temperature=2.0)
    trainer = Trainer(policy, bridged("offline-ipo"), source, Settings(steps=1, batch=4, tau=0.3))
    samples, _ = source.collect(trainer._turn(NOW))
    with torch.no_grad():
        hot = policy.log_prob(samples.prompt, samples.completion, temperature=2.0)
        assert torch.equal(samples.log_anchor, trainer.players.reference.log_prob(*samples[:2], temperature=2.0))
        assert torch.equal(source.log_prob(policy, samples), hot)
        assert (hot - policy.log_prob(samples.prompt, samples.completion)).abs().max() > 1e-3  # canary: T matters


def test_weights_that_half_precision_would_not_move_are_refused() -> None:
    """A step of a thousandth of a bfloat16 is rounded away; adapters on half precise weights are float32, and move."""
    weight = torch.ones(1, dtype=torch.bfloat16)
    assert torch.equal(weight + 1e-3, weight)
    game = replace(generated(), judge=OneOrder(lambda x, y, z: [float(a < b) for a, b in zip(y, z, strict=True)]))
    with pytest.raises(BadInput, match=r"policy: \S+ is to be trained but is torch.bfloat16, must be float32"):
        train(tiny_policy("gpt2", dtype=torch.bfloat16), bridged("online-ipo"), game, Settings(**SETTINGS))
    policy = tiny_policy("gpt2", dtype=torch.bfloat16, lora=True)
    before = Weights(policy)
    train(policy, bridged("online-ipo"), game, Settings(**(SETTINGS | {"precision": "bf16"})))
    trained = [p for p in policy.model.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in trained)
    after = [p.detach().clone() for p in trained]
    before.restore()
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(after, trained, strict=True))


def test_schedules_start_at_one_and_linear_ends_at_zero() -> None:
    settings = Settings(steps=10, warmup=2, learning_rate=1.0)
    assert [rate(settings, t) for t in (0, 1, 2, 6, 9)] == [0.5, 1.0, 1.0, 0.5, 0.125]


def test_the_first_step_in_lower_precision_records_what_rounding_adds() -> None:
    """rms of log π in bfloat16 minus log π in float32, against the same two forward passes made here; once."""
    policy = tiny("llama", seed=2)
    policy.model.float()
    settings = Settings(steps=2, batch=2, learning_rate=1e-3, precision="bf16")
    seen: list[Tensor] = []
    log_prob = policy.log_prob

    def watched(*args: Any, **options: Any) -> Tensor:
        seen.append(log_prob(*args, **options))
        return seen[-1]

    policy.log_prob = watched  # type: ignore[method-assign]
    first, second = train(policy, "online-ipo", generated(), settings)
    scored = next(i for i, values in enumerate(seen) if values.requires_grad)
    rounded, exact = (values.detach() for values in seen[scored : scored + 2])
    assert first["rounding"] == pytest.approx(float((rounded - exact).double().square().mean().sqrt()), rel=1e-6)
    assert 1e-4 < first["rounding"] < 1
    assert "rounding" not in second
    assert "rounding" not in train(tiny("llama"), "online-ipo", generated(), replace(settings, precision="no"))[0]

"""The trainer: its step against the theory's own, sharing out and cutting up, kills, damage, and what diverges."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arena import GAME, PROMPTS, SETTINGS, closed, generated, weights
from bridge.tiny import tiny_policy
from torch import Tensor

from llm_bridge.judges import OneOrder
from llm_bridge.policy import Policy, Prompts
from llm_bridge.training import (
    BRIDGED,
    Closed,
    Diverged,
    Examples,
    Generated,
    Players,
    Recorded,
    Settings,
    Trainer,
    Weights,
    bridged,
    checkpoint,
    rate,
    train,
)
from llm_bridge.training.forms import AHEAD, NOW
from llm_bridge.verify import LANGUAGE, PROMPT, own_log_prob, tiny
from nashlab.equilibrium import regularised_nash
from nashlab.game import BadInput

SCRIPT = Path(__file__).with_name("arena.py")


def trained(method: str = "online-ipo", source: object = None, folder: Path | None = None, **changes: object):
    policy = tiny("gpt2", seed=1)
    records = train(policy, bridged(method), source or generated(), Settings(**(SETTINGS | changes)), folder=folder)
    return weights(policy), records


def largest(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


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
    """Three hundred steps from π = μ; the others of the paper stay away from it (L2, N12)."""
    source = closed()
    for method, settles in (("online-ipo", True), ("nash-md-pg", True), ("egpo", True), ("online-dpo", False)):
        policy = tiny("gpt2", seed=1)
        train(policy, bridged(method), source, Settings(steps=300, batch=1, tau=0.3, learning_rate=0.01, beta=0.05))
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


# -- kills and damage ------------------------------------------------------------------------------------------------


def start(method: str, folder: Path, out: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(SCRIPT), method, str(folder), str(out)], env=environment)


@pytest.mark.parametrize(("method", "killed_at"), [("egpo", 3), ("omd", 3), ("nash-ema-pg", 2), ("ipo-md", 5)])
def test_killed_and_resumed_it_ends_with_the_same_weights(tmp_path: Path, method: str, killed_at: int) -> None:
    whole, again = tmp_path / "whole.npz", tmp_path / "again.npz"
    assert start(method, tmp_path / "a", whole).wait(120) == 0
    first = start(method, tmp_path / "b", again)
    log, until = tmp_path / "b" / "metrics.jsonl", time.monotonic() + 120
    while not log.exists() or log.read_text().count("\n") < killed_at:
        assert first.poll() is None or again.exists()
        assert time.monotonic() < until
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.wait()
    again.unlink(missing_ok=True)
    assert start(method, tmp_path / "b", again).wait(120) == 0
    ours, theirs = (list(np.load(path).values()) for path in (whole, again))
    assert largest(ours, theirs) == 0
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_resuming_without_the_optimiser_s_state_is_seen(tmp_path: Path) -> None:
    """The canary of the test above."""
    whole, _ = trained("egpo", folder=tmp_path / "a")
    policy = tiny("gpt2", seed=1)
    trainer = Trainer(policy, bridged("egpo"), generated(), Settings(**SETTINGS), folder=tmp_path / "b")
    for _ in range(4):
        trainer._one_step()
    kept = Weights(policy)
    fresh = Trainer(policy, bridged("egpo"), generated(), Settings(**SETTINGS), reference=trainer.players.reference)
    kept.restore()
    fresh.step = 4
    fresh.run.go()
    assert largest(weights(policy), whole) > 1e-6


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_closed_sets_of_many_prompts_resume_to_the_same_weights(tmp_path: Path, precision: str) -> None:
    """Prompts of different lengths: what is computed of one must not depend on which others were there."""
    rows = [[1] * length for length in (1, 7, 2, 5, 3, 6, 4)]
    candidates = [list(ids) for ids in LANGUAGE.sequences]
    settings = Settings(**(SETTINGS | {"steps": 8, "batch": 3, "precision": precision}))

    def game() -> Closed:  # a new one for each run, as another process has it
        return Closed(Prompts(list("abcdefg"), rows), [candidates] * 7, np.stack([GAME.margins] * 7))

    def policy() -> Policy:
        made = tiny("gpt2", seed=1)
        made.model.float()
        return made

    whole, again = policy(), policy()
    train(whole, bridged("online-ipo"), game(), settings)

    def stop(record: dict[str, object]) -> None:
        if record["step"] == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(
            policy(),
            bridged("online-ipo"),
            game(),
            replace(settings, checkpoint_every=1),
            folder=tmp_path,
            progress=stop,
        )
    train(again, bridged("online-ipo"), game(), replace(settings, checkpoint_every=1), folder=tmp_path)
    assert largest(weights(again), weights(whole)) == 0


def test_a_closed_set_keeps_nothing_of_an_earlier_policy() -> None:
    source = closed()
    found = [
        train(tiny("gpt2", seed=seed), bridged("online-ipo"), source, Settings(steps=1, batch=1)) for seed in (1, 2)
    ]
    assert [abs(records[0]["kl"]) < 1e-12 for records in found] == [True, True]


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_a_damaged_last_checkpoint_is_passed_over(tmp_path: Path) -> None:
    whole, _ = trained(folder=tmp_path)
    places = sorted((tmp_path / "checkpoints").iterdir())
    assert [p.name for p in places] == ["step-00000004", "step-00000006"]  # the last two
    content = bytearray((places[-1] / "tensors.safetensors").read_bytes())
    content[-5] ^= 1
    (places[-1] / "tensors.safetensors").write_bytes(content)
    with pytest.warns(RuntimeWarning, match="does not agree with its checksum"):
        assert checkpoint.latest(tmp_path / "checkpoints").step == 4
    with pytest.warns(RuntimeWarning, match="the checkpoint before it is used"):
        again, records = trained(folder=tmp_path)
    assert largest(again, whole) == 0
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5, 6]


def test_checkpoints_are_left_alone_or_make_room(tmp_path: Path) -> None:
    def state(step: int) -> checkpoint.Checkpoint:
        return checkpoint.Checkpoint(step, {"w": torch.full((2,), float(step))}, {})

    for step in (40, 50):
        (checkpoint.save(tmp_path, state(step)) / "tensors.safetensors").write_bytes(b"")
    (tmp_path / ".step-00000050.left").mkdir()  # by a kill
    with pytest.warns(RuntimeWarning, match="does not agree"):
        assert checkpoint.latest(tmp_path) is None
    first = checkpoint.save(tmp_path, state(10))
    assert [p.name for p in tmp_path.iterdir()] == [first.name]
    changed = (first / "tensors.safetensors").stat().st_mtime_ns
    assert checkpoint.save(tmp_path, state(10)) == first
    assert (first / "tensors.safetensors").stat().st_mtime_ns == changed  # whole already: not a moment without it
    checkpoint.save(tmp_path, state(20))
    checkpoint.discard(tmp_path, 20)
    assert checkpoint.latest(tmp_path).step == 10


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    trained(folder=tmp_path, steps=2)
    trained(folder=tmp_path, steps=2, micro_batch=1)  # nothing that is learned depends on it
    for words, method, source, change in (
        ("method = 'online-ipo' there, 'ipo-md' here", "ipo-md", generated(), {}),
        ("tau = 0.3 there, 0.4 here", "online-ipo", generated(), {"tau": 0.4}),
        ("its source is another", "online-ipo", generated(labels="hard"), {}),
        ("its source is another", "online-ipo", replace(generated(), prompts=Prompts(list("abd"), PROMPTS.rows)), {}),
    ):
        with pytest.raises(BadInput, match="belongs to another run: " + words):
            trained(method, source, folder=tmp_path, steps=2, **change)


def test_a_folder_of_another_reference_is_refused(tmp_path: Path) -> None:
    """What a notebook's cell does that is run again after an interrupt: its policy is half trained by then."""
    policy = tiny("gpt2", seed=1)
    settings = Settings(**(SETTINGS | {"steps": 2}))
    train(policy, bridged("online-ipo"), generated(), settings, folder=tmp_path)
    with pytest.raises(BadInput, match="its reference is another"):
        train(policy, bridged("online-ipo"), generated(), settings, folder=tmp_path)
    adapted = tmp_path / "adapted"
    train(tiny("gpt2", lora=True, seed=1), bridged("online-ipo"), generated(), settings, folder=adapted)
    train(tiny("gpt2", lora=True, seed=1), bridged("online-ipo"), generated(), settings, folder=adapted)
    with pytest.raises(BadInput, match="its reference is another"):
        train(tiny("gpt2", lora=True, seed=2), bridged("online-ipo"), generated(), settings, folder=adapted)


def test_what_is_no_longer_a_number_stops_the_run_and_the_state_before_it_is_kept(tmp_path: Path) -> None:
    policy = tiny("gpt2", seed=1)
    trainer = Trainer(policy, bridged("online-ipo"), generated(), Settings(**SETTINGS), folder=tmp_path)
    calls = 0
    honest = trainer.source.log_prob

    def poisoned(*arguments: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        value = honest(*arguments)
        return value * (1 + 1e-30 * value.sum().exp().pow(1e9)) if calls < 4 else _with_nan_gradient(value)

    object.__setattr__(trainer.source, "log_prob", poisoned)
    with pytest.raises(Diverged, match=r"step 4: the loss is .* must be finite; lower learning_rate = 0.02"):
        trainer.run.go()
    kept = checkpoint.latest(tmp_path / "checkpoints")
    assert kept is not None
    assert kept.step == 3
    assert all(bool(torch.isfinite(t).all()) for t in kept.tensors.values())


@pytest.mark.parametrize("method", ["online-ipo", "nash-md-pg", "egpo", "inpo", "closed"])
def test_weights_that_exploded_are_not_kept(tmp_path: Path, method: str) -> None:
    """A step of 10^10 gives finite weights of no finite probabilities, which only the next step meets."""
    source = closed() if method == "closed" else generated()
    policy = tiny("gpt2", seed=1)
    policy.model.float()
    settings = Settings(**(SETTINGS | {"checkpoint_every": 1, "warmup": 3, "learning_rate": 1e-3}))
    trainer = Trainer(
        policy, bridged("online-ipo" if method == "closed" else method), source, settings, folder=tmp_path
    )

    def explode(record: dict[str, object]) -> None:
        if record["step"] == 2:
            object.__setattr__(settings, "learning_rate", 1e30)

    at = 3 if method == "egpo" else 4  # whose opponent is one step ahead already
    with pytest.raises(Diverged, match=rf"step {at}: .* must .*finite.*; lower learning_rate") as caught:
        trainer.run.go(explode)
    assert caught.value.weights_are_sound == (method == "egpo")
    again = pickle.loads(pickle.dumps(caught.value))  # as it comes from another process
    assert (str(again), again.weights_are_sound) == (str(caught.value), method == "egpo")
    kept = checkpoint.latest(tmp_path / "checkpoints")
    assert kept is not None
    assert kept.step == 2
    assert all(float(t.abs().max()) < 1e3 for name, t in kept.tensors.items() if name.startswith("weight:"))


def test_weights_that_are_no_numbers_are_neither_kept_nor_given_back(tmp_path: Path) -> None:
    policy = tiny("gpt2", seed=1)
    trainer = Trainer(policy, bridged("online-ipo"), generated(), Settings(**SETTINGS), folder=tmp_path)

    def poison(record: dict[str, object]) -> None:
        if record["step"] == 5:
            step = trainer.optimiser.step
            trainer.optimiser.step = lambda: [step(), next(policy.model.parameters()).data.fill_(torch.nan)]

    with pytest.raises(Diverged, match="step 7: weights are no longer numbers"):
        trainer.run.go(poison)
    assert checkpoint.latest(tmp_path / "checkpoints").step == 4


def _with_nan_gradient(value: torch.Tensor) -> torch.Tensor:
    """The same numbers, whose derivative is 0 · inf."""
    return value + torch.sqrt(value - value.detach())


def test_an_interrupt_waits_for_the_step_and_saves(tmp_path: Path) -> None:
    policy = tiny("gpt2", seed=1)
    trainer = Trainer(policy, bridged("online-ipo"), generated(), Settings(**SETTINGS), folder=tmp_path)

    def press(record: dict[str, object]) -> None:
        if record["step"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer.run.go(press)
    kept = checkpoint.latest(tmp_path / "checkpoints")
    assert kept is not None
    assert kept.step == 3
    again, _ = trained(folder=tmp_path)
    assert largest(again, trained()[0]) == 0


def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    """Data parallel by gloo: float64 sums in another order, carried through six steps of Adam."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                           "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}  # fmt: skip
    out = tmp_path / "two.npz"
    command = [sys.executable, str(SCRIPT), "online-ipo", str(tmp_path / "two"), str(out)]
    both = [subprocess.Popen(command, env=common | {"RANK": str(r), "LOCAL_RANK": str(r)}, stdout=subprocess.PIPE,
                             text=True) for r in range(2)]  # fmt: skip
    told = [process.communicate(timeout=180)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all("a group is left: False" in text for text in told)  # its threads would abort one exit of thirty
    one, _ = trained()
    assert largest(list(np.load(out).values()), one) < 1e-9
    assert largest(trained(batch=2)[0], one) > 1e-4  # canary: half the batch is another run


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
    with pytest.raises(BadInput, match=r"policy: \S+ is to be trained and is torch.bfloat16, must be float32"):
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


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "adafactor"])
def test_every_optimiser_resumes_to_the_same_bits(tmp_path: Path, optimiser: str) -> None:
    beta1 = 0.0 if optimiser == "adafactor" else 0.5
    whole, _ = trained(optimiser=optimiser, beta1=beta1)
    policy = tiny("gpt2", seed=1)
    settings = Settings(**(SETTINGS | {"optimiser": optimiser, "beta1": beta1}))
    trainer = Trainer(policy, bridged("online-ipo"), generated(), settings, folder=tmp_path)
    for _ in range(3):
        trainer._one_step()
    trainer.run.save()
    again, _ = trained(optimiser=optimiser, beta1=beta1, folder=tmp_path)
    assert largest(again, whole) == 0


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

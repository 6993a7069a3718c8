"""The trainer under kills, damage, interrupts and divergence, and in two processes: what it ends with is the same."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from arena import GAME, PROMPTS, SETTINGS, closed, generated, largest, trained, weights
from faults.processes import Running, start, until

from llm_bridge.policy import Policy, Prompts
from llm_bridge.training import Closed, Diverged, Settings, Trainer, Weights, bridged, checkpoint, train
from llm_bridge.verify import LANGUAGE, tiny
from nashlab.game import BadInput

SCRIPT = Path(__file__).with_name("arena.py")


# -- kills and damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "killed_at"), [("egpo", 3), ("omd", 3), ("nash-ema-pg", 2), ("ipo-md", 5)])
def test_killed_and_resumed_it_ends_with_the_same_weights(tmp_path: Path, method: str, killed_at: int) -> None:
    whole, again = tmp_path / "whole.npz", tmp_path / "again.npz"
    log = tmp_path / "b" / "metrics.jsonl"

    def begun(folder: Path, out: Path) -> Running:
        return start(["bridge.arena", method, str(folder), str(out)], tmp_path)

    assert begun(tmp_path / "a", whole).wait().code == 0
    first = begun(tmp_path / "b", again)
    until(lambda: log.exists() and log.read_text().count("\n") >= killed_at, first)
    assert first.lives() or again.exists()
    first.send(signal.SIGKILL)
    first.wait()
    again.unlink(missing_ok=True)
    assert begun(tmp_path / "b", again).wait().code == 0
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
        ("its source differs", "online-ipo", generated(labels="hard"), {}),
        ("its source differs", "online-ipo", replace(generated(), prompts=Prompts(list("abd"), PROMPTS.rows)), {}),
    ):
        with pytest.raises(BadInput, match="belongs to another run: " + words):
            trained(method, source, folder=tmp_path, steps=2, **change)


def test_a_folder_of_another_reference_is_refused(tmp_path: Path) -> None:
    """What a notebook's cell does that is run again after an interrupt: its policy is half trained by then."""
    policy = tiny("gpt2", seed=1)
    settings = Settings(**(SETTINGS | {"steps": 2}))
    train(policy, bridged("online-ipo"), generated(), settings, folder=tmp_path)
    with pytest.raises(BadInput, match="its reference differs"):
        train(policy, bridged("online-ipo"), generated(), settings, folder=tmp_path)
    adapted = tmp_path / "adapted"
    train(tiny("gpt2", lora=True, seed=1), bridged("online-ipo"), generated(), settings, folder=adapted)
    train(tiny("gpt2", lora=True, seed=1), bridged("online-ipo"), generated(), settings, folder=adapted)
    with pytest.raises(BadInput, match="its reference differs"):
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

    with pytest.raises(Diverged, match="step 7: weights are NaN"):
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

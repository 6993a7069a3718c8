"""Training under FSDP: two gloo processes give the result of one, really share, stop together, and resume."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shards import CASES, trainer, weights

from llm_bridge.training.sharding import Layout, Shards
from llm_bridge.verify import tiny
from nashlab.game import BadInput

SCRIPT = Path(__file__).with_name("shards.py")
ASKED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}

# gradients are float64 sums in another order, off by 1e-17; AdamW divides them by their size plus 1e-8, and T5 takes
# its softmax in float32 in some versions of transformers, of a batch of another shape
NEAR = {case: 1e-12 if "optimiser" in about else 1e-8 for case, about in CASES.items()} | {"t5, Nash-EMA-PG": 1e-6}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have left."""
    place = tmp_path_factory.mktemp("fsdp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | ASKED | {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                                   "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}  # fmt: skip
    command = [sys.executable, str(SCRIPT), str(place)]
    both = [subprocess.Popen(command, env=common | {"RANK": str(r), "LOCAL_RANK": str(r)}) for r in range(2)]
    try:
        assert [process.wait(240) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    return place


def facts(out: Path, rank: int) -> dict[str, Any]:
    return json.loads((out / f"facts-{rank}.json").read_text())


def read(out: Path, name: str) -> list[np.ndarray]:
    return list(np.load(out / f"{name}.npz").values())


def largest(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def alone(case: str, **changes: Any) -> list[np.ndarray]:
    policy, one = trainer(case, **changes)
    one.run.go()
    return weights(policy)


@pytest.mark.parametrize("case", CASES)
def test_two_sharded_processes_give_the_result_of_one(out: Path, case: str) -> None:
    found = read(out, case)
    assert largest(found, alone(case)) <= NEAR[case]
    if "closed" not in CASES[case]:
        assert largest(found, alone(case, seed=1)) > 1e-4  # canary: other samples
    assert largest(found, alone(case, tau=0.4)) > 1e-4  # canary: another temperature


@pytest.mark.parametrize("case", CASES)
def test_each_process_holds_half_of_weights_gradients_and_optimiser(out: Path, case: str) -> None:
    """Up to one row of each tensor, which is cut along its first axis."""
    shares = [facts(out, rank)[case] for rank in range(2)]
    assert all(share["sharded"] for share in shares)
    assert sum(share["share"] for share in shares) == pytest.approx(1, abs=1e-12)
    assert all(0.4 < share["share"] < 0.6 for share in shares)


def test_an_interrupt_of_one_process_stops_both_after_the_same_step_and_they_resume(out: Path) -> None:
    for rank in range(2):
        assert (facts(out, rank)["stopped after"], facts(out, rank)["taken up at"]) == (3, 3)
    assert largest(read(out, "resumed"), read(out, "whole")) == 0
    assert largest(read(out, "resumed"), read(out, "gpt2, EGPO, micro-batches")) > 1e-4  # canary: three steps only


def test_a_checkpoint_is_whole_and_one_process_can_take_it_up(out: Path) -> None:
    case = "gpt2, EGPO, micro-batches"
    policy, one = trainer(case, out / "taken up by one process", steps=6)
    one.run.resume()
    assert one.step == 3
    one.run.go()
    assert largest(weights(policy), read(out, "whole")) <= NEAR[case]


def test_what_is_not_supported_is_refused_by_name(out: Path) -> None:
    assert "optimiser = 'adafactor', must be 'adamw' or 'sgd' under FSDP" in facts(out, 1)["refused"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"FSDP_VERSION": "1"}, "FSDP_VERSION = 1, must be 2"),
        ({"FSDP_OFFLOAD_PARAMS": "True"}, "FSDP_OFFLOAD_PARAMS = True, must be false"),
        ({"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "gradient_checkpointing=True"),
        ({"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "every process needs the weights"),
        ({"FSDP_AUTO_WRAP_POLICY": "SIZE_BASED_WRAP"}, "must be NO_WRAP or TRANSFORMER_BASED_WRAP"),
        ({"FSDP_IGNORED_MODULES": ".*"}, "must not be set"),
    ],
)
def test_settings_of_accelerate_that_cannot_be_meant_are_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words.replace(".", r"\.").replace("*", r"\*")):
        Layout.asked_for(ASKED | change)


def test_the_layout_is_read_from_the_environment() -> None:
    assert Layout.asked_for({"FSDP_VERSION": "2"}) is None
    assert Layout.asked_for(ASKED) == Layout(None, True)
    named = {"FSDP_TRANSFORMER_CLS_TO_WRAP": "GPT2Block, T5Block", "FSDP_RESHARD_AFTER_FORWARD": "false"}
    assert Layout.asked_for(ASKED | named) == Layout(("GPT2Block", "T5Block"), False)
    assert Layout.asked_for(ASKED | {"FSDP_AUTO_WRAP_POLICY": "NO_WRAP"}) == Layout((), True)
    with pytest.raises(BadInput, match="no layer of class LlamaBlock"):
        Shards(tiny("llama"), Layout(("LlamaBlock",)))

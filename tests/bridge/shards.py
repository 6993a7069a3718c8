"""What each process of test_fsdp.py does: it trains under FSDP, is interrupted, goes on, and tells what it held."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arena import SETTINGS, closed, generated, weights
from torch.distributed.tensor import DTensor

from llm_bridge.policy import Policy
from llm_bridge.training import Settings, Trainer, bridged
from llm_bridge.verify import tiny
from nashlab.game import BadInput

CASES: dict[str, dict[str, Any]] = {
    "gpt2, EGPO, micro-batches": {"family": "gpt2", "method": "egpo", "micro_batch": 1},
    "llama, IPO-MD, LoRA": {"family": "llama", "lora": True, "method": "ipo-md"},
    "t5, Nash-EMA-PG": {"family": "t5", "method": "nash-ema-pg", "optimiser": "sgd", "learning_rate": 0.3},
    "llama, a closed set, momentum": {"family": "llama", "method": "online-ipo", "closed": True, "optimiser": "sgd",
                                      "beta1": 0.5, "learning_rate": 0.3},
}  # fmt: skip


def trainer(case: str, folder: Path | None = None, **changes: Any) -> tuple[Policy, Trainer]:
    """The trainer of a case; as many steps as it is given, three otherwise."""
    about = {"steps": 3} | CASES[case] | changes
    policy = tiny(about.pop("family"), lora=about.pop("lora", False), seed=1)
    method, source = bridged(about.pop("method")), closed() if about.pop("closed", False) else generated()
    return policy, Trainer(policy, method, source, Settings(**(SETTINGS | about)), folder=folder)


def main(out: Path) -> None:
    """Everything once; the first process writes."""
    facts: dict[str, Any] = {}
    for case in CASES:
        policy, one = trainer(case)
        one.run.go()
        state = [v for values in one.optimiser.state_dict()["state"].values() for v in values.values() if v.ndim]
        held = [*one._trained, *(p.grad for p in one._trained if p.grad is not None), *state]
        facts[case] = {
            "sharded": all(isinstance(tensor, DTensor) for tensor in held),
            "share": sum(t.to_local().numel() for t in held) / sum(t.numel() for t in held),
        }
        write(out, case, policy, one)
    case = "gpt2, EGPO, micro-batches"
    policy, one = trainer(case, out / "whole", steps=6)
    one.run.go()
    write(out, "whole", policy, one)
    policy, one = trainer(case, out / "interrupted", steps=6)
    rank = one.accelerator.process_index

    def press(record: dict[str, Any]) -> None:
        if rank == 1 and record["step"] == 3:  # the other process hears of it
            os.kill(os.getpid(), signal.SIGINT)

    try:
        one.run.go(press)
    except KeyboardInterrupt:
        facts["stopped after"] = one.step
    one.accelerator.wait_for_everyone()
    if rank == 0:
        shutil.copytree(out / "interrupted", out / "taken up by one process")
    policy, one = trainer(case, out / "interrupted", steps=6)
    one.run.resume()
    facts["taken up at"] = one.step
    one.run.go()
    write(out, "resumed", policy, one)
    try:
        trainer(case, optimiser="adafactor")
    except BadInput as refused:
        facts["refused"] = str(refused)
    (out / f"facts-{rank}.json").write_text(json.dumps(facts))


def write(out: Path, name: str, policy: Policy, one: Trainer) -> None:
    if one.accelerator.is_main_process:
        np.savez(out / f"{name}.npz", *weights(policy))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))

"""A game over an enumerable language, for the trainer's tests: sampled, closed, and as a script that may be killed."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llm_bridge.judges import OneOrder
from llm_bridge.policy import Policy, Prompts
from llm_bridge.training import Closed, Generated, Settings, bridged, train
from llm_bridge.verify import LANGUAGE, PROMPT, own_log_prob, tiny
from nashlab.gallery import random_game

__all__ = ["GAME", "PROMPTS", "SETTINGS", "closed", "enumerated", "generated", "largest", "trained", "weights"]

GAME = random_game("uniform", len(LANGUAGE), np.random.default_rng(0))
NAMES = {" ".join(str(i) for i in ids if i): k for k, ids in enumerate(LANGUAGE.sequences)}
PROMPTS = Prompts(["a", "b", "c"], [list(PROMPT), [1, 1, 2], [1]])
SETTINGS = {"steps": 6, "batch": 4, "tau": 0.3, "learning_rate": 0.02, "checkpoint_every": 2, "refresh": 2}


def generated(completions: int = 4, labels: str = "soft") -> Generated:
    """Three prompts, one game."""
    judge = OneOrder(lambda x, y, z: [GAME.preferences[NAMES[a], NAMES[b]] for a, b in zip(y, z, strict=True)])
    return Generated(PROMPTS, judge, completions=completions, max_new_tokens=3, labels=labels)


def closed() -> Closed:
    """All sequences of the language as candidates of one prompt."""
    one = Prompts(PROMPTS.texts[:1], PROMPTS.rows[:1])
    return Closed(one, [[list(ids) for ids in LANGUAGE.sequences]], GAME.margins[None])


def weights(policy: Policy) -> list[np.ndarray]:
    """The trained weights."""
    return [p.detach().numpy().copy() for p in policy.model.parameters() if p.requires_grad]


def enumerated(policy: Policy) -> np.ndarray:
    """log π of every sequence of the language, by the model's own forward pass."""
    with torch.no_grad():
        return torch.stack([own_log_prob(policy, PROMPT, y).sum() for y in LANGUAGE.sequences]).double().numpy()


def trained(
    method: str = "online-ipo", source: object = None, folder: Path | None = None, **changes: object
) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    """Weights and records of a run with the common settings."""
    policy = tiny("gpt2", seed=1)
    records = train(policy, bridged(method), source or generated(), Settings(**(SETTINGS | changes)), folder=folder)
    return weights(policy), records


def largest(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference of two sets of weights."""
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def run(method: str, folder: Path, out: Path, processes: int) -> None:
    """Train and write the weights; in several processes, the first one writes."""
    import torch.distributed

    policy = tiny("gpt2", lora=method == "ipo-md", seed=1)
    train(policy, bridged(method), generated(), Settings(**SETTINGS), folder=folder)
    found = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if found != processes:
        raise RuntimeError(f"{found} processes take part, must be {processes}")
    if processes == 1 or torch.distributed.get_rank() == 0:
        np.savez(out.with_suffix(".part.npz"), *weights(policy))
        out.with_suffix(".part.npz").replace(out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # asked last of all: what was registered first runs last
    atexit.register(lambda: print("a group is left:", torch.distributed.is_initialized()))
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(os.environ.get("WORLD_SIZE", "1")))

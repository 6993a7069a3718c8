"""A script as a user writes one: a policy is trained in a folder, and its weights are written at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from llm_bridge.judges import OneOrder
from llm_bridge.policy import Prompts
from llm_bridge.training import Generated, Settings, train
from llm_bridge.verify import tiny
from nashlab.ending import ending
from nashlab.files import replacing


def shorter(prompts: list[str], left: list[str], right: list[str]) -> list[float]:
    """The shorter answer is preferred."""
    return [0.5 + 0.4 * float(np.sign(len(z) - len(y))) for y, z in zip(left, right, strict=True)]


@ending("training")
def main(out: Path) -> None:
    """Thirty steps against an average of the weights, which must be remembered too."""
    torch.set_num_threads(1)
    policy = tiny("gpt2", seed=1)
    source = Generated(Prompts(["a", "b"], [[1], [2, 1]]), OneOrder(shorter), completions=4, max_new_tokens=3)
    settings = Settings(steps=30, batch=2, tau=0.3, learning_rate=0.02, checkpoint_every=3, measure_every=5)
    train(policy, "nash-ema-pg", source, settings, folder=out)
    with replacing(out / "weights.npz") as part, part.open("wb") as file:
        np.savez(file, *(p.detach().numpy() for p in policy.model.parameters()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A script as a user writes one: a policy is trained in a folder, and its weights are written at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from llm_bridge.judges import OneOrder
from llm_bridge.rollout import Generated, Prompts
from llm_bridge.trainer import Settings, train
from llm_bridge.verify import tiny
from nashlab.files import replacing
from nashlab.game import BadInput


def shorter(prompts: list[str], left: list[str], right: list[str]) -> list[float]:
    """The shorter answer is preferred."""
    return [0.5 + 0.4 * float(np.sign(len(z) - len(y))) for y, z in zip(left, right, strict=True)]


def main(out: Path) -> int:
    """Thirty steps of IPO-MD, whose mixture has weights of its own to remember; exit codes as the commands have them."""
    torch.set_num_threads(1)
    policy = tiny("gpt2", seed=1)
    source = Generated(Prompts(["a", "b"], [[1], [2, 1]]), OneOrder(shorter), completions=4, max_new_tokens=3)
    settings = Settings(steps=30, batch=2, tau=0.3, learning_rate=0.02, checkpoint_every=3, measure_every=5)
    try:
        train(policy, "nash-ema-pg", source, settings, folder=out)
        with replacing(out / "weights.npz") as part, part.open("wb") as file:
            np.savez(file, *(p.detach().numpy() for p in policy.model.parameters()))
    except BadInput as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("training: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""What a closed step on frozen states costs, and how much of it is the network's arithmetic.

    python tests/benchmarks/bench_closed.py [--methods online-ipo egpo] [--steps 40] [--repeats 5]

The size of ``closed-1000``: 1,000 texts of 8 candidates with 1,027 features, a hidden layer of 64, 32 texts a step.
Processor time of one thread, the best of ``--repeats``, between two of the arithmetic.  The arithmetic of a method is
that of its forward and backward passes on features that are already in place; the share is what it is of the step.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from llm_bridge.policy import HeadPolicy, Prompts, Reference
from llm_bridge.training import Closed, Settings, Trainer, bridged

TEXTS, K, FEATURES, WIDTH, BATCH = 1000, 8, 1027, 64, 32
METHODS = ("online-ipo", "ipo-md", "online-dpo", "nash-md-pg", "online-slic", "rlhf-pg", "offline-ipo", "offline-dpo",
           "egpo", "optimistic-mmd", "nash-prox")  # fmt: skip


class Counted(HeadPolicy):
    """A head that counts its passes: those with a gradient are followed by a backward pass."""

    passes: ClassVar[Counter[str]] = Counter()

    def log_policy(self, texts: torch.Tensor) -> torch.Tensor:
        """log π, counted."""
        self.passes["forward"] += 1
        self.passes["backward"] += torch.is_grad_enabled() and self.model[0].weight.requires_grad
        return super().log_policy(texts)


def trainer_of(method: str) -> Trainer:
    """A trainer on random states and a random game."""
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.standard_normal((TEXTS, K, FEATURES))).float()
    margins = rng.uniform(-0.5, 0.5, (TEXTS, K, K))
    margins = (margins - margins.swapaxes(1, 2)) / 2
    candidates = [[[y] for y in range(K)]] * TEXTS
    source = Closed(Prompts(["x"] * TEXTS, [[i] for i in range(TEXTS)]), candidates, margins)
    policy = Counted(features, torch.zeros(TEXTS, K), width=WIDTH)
    settings = Settings(steps=10**6, batch=BATCH, tau=0.1, learning_rate=1e-3, step_size=10.0, refresh=20)
    return Trainer(policy, bridged(method), source, settings, reference=Reference(policy.frozen_copy(), "copy"))


def best(work: Callable[[], object], repeats: int, count: int = 1) -> float:
    """Processor seconds of the fastest of some repetitions of ``count`` calls, per call."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        for _ in range(count):
            work()
        found.append((time.process_time() - started) / count)
    return min(found)


def arithmetic(repeats: int) -> dict[str, float]:
    """Seconds of a forward pass, and of a backward pass, of the network on one batch."""
    network = torch.nn.Sequential(torch.nn.Linear(FEATURES, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, 1))
    batch = torch.randn(BATCH, K, FEATURES)

    def forward() -> None:
        with torch.no_grad():
            network(batch)

    there = best(forward, 4 * repeats, 20)
    both = best(lambda: network(batch).sum().backward(), 4 * repeats, 20)
    return {"forward": there, "backward": both - there}


def main() -> None:
    """Print one row per method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'method':16s}{'steps/s':>8s}{'ms':>7s}{'passes':>12s}{'arithmetic ms':>15s}{'share':>7s}")
    for method in options.methods:
        trainer = trainer_of(method)
        for _ in range(-(-TEXTS // BATCH)):  # every text's reference is known afterwards
            trainer.advance()
        Counted.passes.clear()
        trainer.advance()
        passes = dict(Counted.passes)
        units = arithmetic(options.repeats)
        step = best(trainer.advance, options.repeats, options.steps)
        units = {name: min(units[name], value) for name, value in arithmetic(options.repeats).items()}
        network = sum(units[name] * count for name, count in passes.items())
        both = f"{passes['forward']} + {passes['backward']}"
        print(f"{method:16s}{1 / step:8.0f}{step * 1e3:7.2f}{both:>12s}{network * 1e3:15.2f}{network / step:7.2f}")


if __name__ == "__main__":
    main()

"""Memory over many repetitions: what a process holds after a tenth of them, and after all.

    python tests/faults/memory.py
    python tests/faults/memory.py --only verdicts --share 0.1

The first tenth fills caches (compiled code, allocators); what comes after must not grow with the number of repetitions.
Exit code 1 where it does.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

__all__ = ["ALLOWED", "WORK", "growth"]

ALLOWED = 4e6
"""Bytes between a tenth and the end: pages that the allocator has not given back, well below 8 kB a repetition."""


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def lotteries(count: int) -> Iterator[None]:
    """Maximal lotteries of games of 2 to 9 responses, in doubles and exact."""
    from nashlab.equilibrium import maximal_lottery
    from nashlab.gallery import random_game
    from nashlab.game import PreferenceGame

    rng = np.random.default_rng(0)
    for i in range(count):
        game = random_game("uniform", 2 + i % 8, rng)
        maximal_lottery(game)
        maximal_lottery(PreferenceGame.from_margins(np.round(100 * game.margins)), exact=True)
        yield


def equilibria(count: int) -> Iterator[None]:
    """Regularised equilibria of games of 2 to 9 responses."""
    from nashlab.equilibrium import regularised_nash
    from nashlab.gallery import random_game

    rng = np.random.default_rng(0)
    for i in range(count):
        regularised_nash(random_game("uniform", 2 + i % 8, rng), 10.0 ** -(i % 3))
        yield


def balls(count: int) -> Iterator[None]:
    """Certificates in ball arithmetic."""
    from nashlab.certificate import certify_ball
    from nashlab.gallery import random_game

    rng = np.random.default_rng(0)
    for i in range(count):
        game = random_game("uniform", 2 + i % 8, rng)
        certify_ball(game, game.log_reference, 0.1)
        yield


def verdicts(count: int) -> Iterator[None]:
    """Answers of ``nashlab solve`` before the verifier, every fourth one forged."""
    from nashlab.certify import certify_answer
    from nashlab.cli import main

    answers = []
    for words in (["rps-weighted"], ["figure-6"], ["rps-weighted", "--tau", "0.1"]):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main(["solve", *words, "--json"])
        answers.append(json.loads(said.getvalue()))
    answers.append(answers[0] | {"policy_exact": ["1", *["0"] * (len(answers[0]["labels"]) - 1)]})
    for i in range(count):
        with contextlib.suppress(ValueError):  # a refusal is a verdict
            certify_answer(json.loads(json.dumps(answers[i % 4])))
        yield


def training(count: int) -> Iterator[None]:
    """Steps of a tiny model, in a folder, with its checkpoints."""
    import tempfile

    import torch

    from llm_bridge.judges import OneOrder
    from llm_bridge.policy import Prompts
    from llm_bridge.training import Generated, Settings, Trainer
    from llm_bridge.verify import tiny

    torch.set_num_threads(1)
    judge = OneOrder(lambda x, y, z: [0.5 + 0.4 * float(np.sign(len(b) - len(a))) for a, b in zip(y, z, strict=True)])
    source = Generated(Prompts(["a", "b"], [[1], [2, 1]]), judge, completions=4, max_new_tokens=3)
    settings = Settings(steps=count, batch=2, tau=0.3, learning_rate=0.01, checkpoint_every=10)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(tiny("gpt2", seed=1), "online-ipo", source, settings, folder=Path(folder))
        for _ in range(count):
            trainer.advance()
            if trainer.step % 10 == 0:
                trainer.run.save()
            yield


WORK: dict[str, tuple[Callable[[int], Iterator[None]], int]] = {
    "lotteries": (lotteries, 1000),
    "equilibria": (equilibria, 1000),
    "balls": (balls, 1000),
    "verdicts": (verdicts, 10_000),
    "training": (training, 500),
}


def growth(work: Callable[[int], Iterator[None]], count: int) -> tuple[int, int]:
    """Bytes that a process of its own holds after a tenth of the repetitions, and after all of them."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_held, (work, count))


def _held(work: Callable[[int], Iterator[None]], count: int) -> tuple[int, int]:
    found = {}
    for i, _ in enumerate(work(count), start=1):
        if i in (max(1, count // 10), count):
            found[i] = resident()  # inside the loop: what the work itself holds counts
    return min(found.items())[1], max(found.items())[1]


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WORK), help="of " + ", ".join(WORK))
    parser.add_argument("--share", type=float, default=1.0, help="of the repetitions")
    options = parser.parse_args()
    grown = False
    for name in options.only.split(","):
        work, count = WORK[name]
        first, last = growth(work, max(10, round(options.share * count)))
        print(f"{name:10} {count * options.share:6.0f} times: {first / 1e6:.1f} MB after a tenth, {last / 1e6:.1f} MB "
              f"at the end, {last - first:+d} bytes", flush=True)  # fmt: skip
        grown |= last - first > ALLOWED
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())

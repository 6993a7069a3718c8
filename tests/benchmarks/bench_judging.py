"""A step with a slow judge against the same step with a free one, and against the judge alone: how much they overlap.

    python tests/benchmarks/bench_judging.py [--latency 0.3] [--each] [--portions 1 4] [--lengths 32] [--batch 16]
    python tests/benchmarks/bench_judging.py --hidden 64 --layers 1 --batch 4 --lengths 4 --writing 1 --scoring 0.2

The judge sleeps: ``--latency`` seconds a call, or a pair with ``--each``.  So do sampling and each forward pass of
scoring where ``--writing`` and ``--scoring`` give them seconds, whatever else this machine does.

The figure is step / max(step with a free judge, time in the judge), wall time, the best of ``--repeats`` steps; at most
1.2 is wanted.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from bench_step import base, texts

from llm_bridge.judges import OneOrder
from llm_bridge.policy import Policy, Tokens, encoded, sample
from llm_bridge.training import Generated, Settings, Trainer, bridged


def seconds(options: argparse.Namespace, length: int, portions: int, latency: float) -> tuple[float, float]:
    """(a step, the time in the judge)."""
    policy = base(options)
    slept = 0.0

    def judge(x: list[str], y: list[str], z: list[str]) -> list[float]:
        nonlocal slept
        wait = latency * (len(x) if options.each else 1)
        time.sleep(wait)
        slept += wait
        return [0.75] * len(x)

    def full(*arguments: Any, **named: Any) -> Tokens:
        time.sleep(options.writing)
        return sample(*arguments, min_new_tokens=length, **named)

    prompts = encoded(policy, texts(options))
    source = Generated(prompts, OneOrder(judge), max_new_tokens=length, portions=portions, sampler=full)
    settings = Settings(steps=1000, batch=options.batch, learning_rate=1e-6, precision=options.precision)
    scored = Policy.log_prob

    def slow(*arguments: Any, **named: Any) -> torch.Tensor:
        time.sleep(options.scoring)
        return scored(*arguments, **named)

    policy.log_prob = functools.partial(slow, policy)  # type: ignore[method-assign]
    trainer = Trainer(policy, bridged(options.method), source, settings)
    best = (float("inf"), 0.0)
    for _ in range(options.repeats):
        slept, start = 0.0, time.perf_counter()
        trainer._one_step()
        best = min(best, (time.perf_counter() - start, slept))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("latency", 0.3), ("batch", 16), ("prompt", 32), ("hidden", 256), ("layers", 4),
                          ("vocabulary", 4096), ("repeats", 3), ("writing", 0.0), ("scoring", 0.0)):  # fmt: skip
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32])
    parser.add_argument("--portions", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--method", default="online-ipo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="no")
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for length in options.lengths:
        free, _ = seconds(options, length, 1, 0.0)
        print(f"length {length}, batch {options.batch}: {free:.2f} s a step with a judge that costs nothing")
        for portions in options.portions:
            step, judging = seconds(options, length, portions, options.latency)
            print(f"  {portions} portions: {step:.2f} s, {judging:.2f} s of it in the judge: "
                  f"{step / max(free, judging):.2f} x the larger of both")  # fmt: skip


if __name__ == "__main__":
    main()

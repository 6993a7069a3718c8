"""How many threads a model on the CPU computes with, where nobody has said it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from llm_bridge.policy import Policy

__all__ = ["few_threads"]

SMALL = 2**28
"""Weights of a model whose matrices are too small to be shared out: threads would wait for each other."""
SAID = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def few_threads(policy: Policy) -> Iterator[None]:
    """One thread inside the block for a small model on the CPU, unless the environment says how many.

    Which it is depends on the model alone, so that a run which goes on sums in the order in which it began.
    """
    small = sum(p.numel() for p in policy.model.parameters()) < SMALL
    if policy.device.type != "cpu" or not small or any(name in os.environ for name in SAID):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

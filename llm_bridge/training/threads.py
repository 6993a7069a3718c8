"""The number of CPU threads for a model, if nobody has set it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from llm_bridge.policy import Policy

__all__ = ["few_threads"]

SMALL = 2**28
"""Weights of a model whose matrices are too small to split: threads would wait for each other."""
SAID = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
AT_FIRST = torch.get_num_threads()
"""PyTorch's number of threads at import."""

logger = logging.getLogger(__name__)


@contextmanager
def few_threads(policy: Policy) -> Iterator[None]:
    """One thread inside the block for a small model on the CPU, unless the number has been set.

    It has been set if the environment says so, or if it differs from PyTorch's own choice or from the number at import.
    Otherwise the number depends on the model alone, so that a resumed run sums in the same order.
    """
    before = torch.get_num_threads()
    small = sum(p.numel() for p in policy.model.parameters()) < SMALL
    if policy.device.type != "cpu" or not small or before == 1 or _said(before):
        yield
        return
    logger.info("one thread instead of %d: the model is small; OMP_NUM_THREADS or torch.set_num_threads say otherwise",
                before)  # fmt: skip
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _said(now: int) -> bool:
    """Whether the number of threads has been set: PyTorch's own choice is all processors, or one per core."""
    there = {os.cpu_count() or 1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1}
    own = there | {count // 2 for count in there}
    return any(name in os.environ for name in SAID) or now != AT_FIRST or now not in own

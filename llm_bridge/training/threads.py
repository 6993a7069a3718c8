"""How many threads a model on the CPU computes with, where nobody has said it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from llm_bridge.policy import Policy

__all__ = ["few_threads"]

SMALL = 2**28
"""Weights of a model whose matrices are too small to be shared out: threads would wait for each other."""
SAID = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
AT_FIRST = torch.get_num_threads()
"""What PyTorch had when this was imported."""

logger = logging.getLogger(__name__)


@contextmanager
def few_threads(policy: Policy) -> Iterator[None]:
    """One thread inside the block for a small model on the CPU, unless somebody has said how many.

    That is the environment, or ``torch.set_num_threads``: a number that is not PyTorch's own choice, or that has
    changed, stays.  Which it is depends on the model alone otherwise, so that a run which goes on sums in the order in
    which it began.
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
    """Whether somebody has chosen the number of threads: PyTorch takes all processors, or each core once."""
    there = {os.cpu_count() or 1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1}
    own = there | {count // 2 for count in there}
    return any(name in os.environ for name in SAID) or now != AT_FIRST or now not in own

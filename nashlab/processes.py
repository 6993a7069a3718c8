"""Processes that share out independent work."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

__all__ = ["process_pool"]


@contextmanager
def process_pool(workers: int, ready: Callable[[], object] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, in each of which ``ready()`` is called first; they end with the block, and with this process
    however it ends.

    Leaving by an exception cancels work that has not begun.
    """
    # spawned, not forked: a child would inherit the locks of jax's and torch's threads
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(ready,))
    try:
        yield pool
    except BaseException:
        # once: leaving a ``with`` block of the pool's own would take the cancellation back
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _begin(ready: Callable[[], object] | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if ready is not None:
        ready()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, or go on writing where the next run does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

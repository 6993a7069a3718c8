"""Worker processes for independent work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

__all__ = ["limit_memory", "process_pool"]

# Windows has none; there a worker begins with Ctrl-C enabled
MASK: Callable[..., Any] | None = getattr(signal, "pthread_sigmask", None)


def limit_memory(size: int) -> None:
    """Let this process allocate at most ``size`` bytes and leave no core file; where the system cannot, warn."""
    try:
        import resource
    except ImportError:  # Windows
        warnings.warn("this system cannot limit the memory of a process", RuntimeWarning, stacklevel=2)
        return
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def process_pool(workers: int, ready: Callable[[], object] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, each of which calls ``ready()`` first; they end with the block, and with this process however
    it ends.

    An exception in the block cancels work that has not begun.  An interrupt is passed on as SIGTERM, which ends a
    worker at once unless its work handles it.  Raises ChildProcessError if a worker was killed.
    """
    # spawned, not forked: a child would inherit the locks of jax's and torch's threads
    context = multiprocessing.get_context("spawn")
    pool = _Pool(workers, mp_context=context, initializer=_begin, initargs=(ready,))
    try:
        yield pool
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            for worker in multiprocessing.active_children():
                worker.terminate()
        # once: leaving the pool's own ``with`` block would undo the cancellation
        pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise ChildProcessError("a worker process was killed (out of memory?); what is finished is kept") from error
        raise
    pool.shutdown()


class _Pool(ProcessPoolExecutor):
    """Workers that start with Ctrl-C ignored, since each would print a traceback until it is ready."""

    def submit(self, *work: Any, **options: Any) -> Future[Any]:
        if MASK is None:
            return super().submit(*work, **options)
        before = MASK(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(*work, **options)
        finally:
            MASK(signal.SIG_SETMASK, before)


def _begin(ready: Callable[[], object] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if MASK is not None:
        MASK(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if ready is not None:
        ready()


def _end_with_parent() -> None:
    """End a worker whose parent was killed: it would wait for ever, or keep writing where the next run writes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

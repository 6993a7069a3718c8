"""``nashlab verify``: every statement of the theory that concerns exact computation, checked here and now.

The statements live in one module a topic; importing this package registers them all.
"""

from __future__ import annotations

from collections.abc import Iterator

from nashlab.verify import dynamics, equilibria, estimators, gradients
from nashlab.verify.claim import CHECKS, Cases, Check, Result, evaluate, select

__all__ = [
    "CHECKS",
    "Cases",
    "Check",
    "Result",
    "dynamics",
    "equilibria",
    "estimators",
    "evaluate",
    "gradients",
    "run",
    "select",
]


def run(
    checks: list[Check], *, samples: int = 200, seed: int = 0, canary: bool = False, workers: int = 1
) -> Iterator[Result]:
    """Evaluate checks, yielding each result as it is ready; ``workers`` > 1 uses that many processes.

    The order of results is that of completion; their content does not depend on it.
    """
    if workers <= 1 or len(checks) == 1:
        for check in checks:
            yield _evaluate(check.id, samples, seed, canary)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    # spawned, not forked: jax starts threads, and a fork of a threaded process can deadlock
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        waiting = [pool.submit(_evaluate, check.id, samples, seed, canary) for check in checks]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _evaluate(id: str, samples: int, seed: int, canary: bool) -> Result:
    return evaluate(CHECKS[id], Cases(samples, seed), canary=canary)


def _one_thread() -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)

"""``nashlab verify``: every statement of the theory that concerns exact computation, checked here and now.

The statements live in one module a topic; importing this package registers them all.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nashlab.files import alone, plain, replacing
from nashlab.verify import dynamics, equilibria, estimators, gradients
from nashlab.verify.claim import CHECKS, Cases, Check, Result, evaluate, select

__all__ = [
    "CHECKS",
    "Cases",
    "Check",
    "Result",
    "dynamics",
    "environment_of",
    "equilibria",
    "estimators",
    "evaluate",
    "gradients",
    "recorded",
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
            yield _evaluate(check, samples, seed, canary)
        return
    from concurrent.futures import as_completed

    from nashlab.processes import process_pool

    with process_pool(workers, ready=_one_thread) as pool:
        for done in as_completed([pool.submit(_evaluate, check, samples, seed, canary) for check in checks]):
            yield done.result()


def _evaluate(check: Check, samples: int, seed: int, canary: bool) -> Result:
    return evaluate(check, Cases(samples, seed), canary=canary)


def environment_of(packages: Sequence[str], **numbers: Any) -> dict[str, Any]:
    """What a result depends on beside the code: Python, platform, the versions of packages, and the run's numbers."""
    import platform
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in packages},
        **numbers,
    }


def recorded(
    checks: list[Check],
    folder: Path,
    environment: Mapping[str, Any],
    *,
    samples: int,
    seed: int,
    canary: bool,
    workers: int,
    advance: Callable[[str], object],
    proved: Iterable[Result] = (),
) -> list[Result]:
    """:func:`run` with ``verify.json`` written after every claim, so that an interrupted run leaves what it has; the
    results in the order of the checks, then those of ``proved``.

    Raises BlockingIOError where another process writes into the folder.
    """
    finished: dict[str, Result] = {}

    def rows() -> list[Result]:
        known = [c.id for c in checks if c.id in finished]
        return [finished[id] for id in (*known, *(id for id in finished if id not in known))]

    with alone(folder):
        computed = run(checks, samples=samples, seed=seed, canary=canary, workers=workers)
        for result in itertools.chain(computed, proved):
            finished[result.id] = result
            advance(result.id)
            content = {"claims": [asdict(r) for r in rows()], "environment": environment}
            with replacing(folder / "verify.json") as part:
                part.write_text(json.dumps(plain(content), ensure_ascii=False, indent=1), encoding="utf-8")
    return rows()


def _one_thread() -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)

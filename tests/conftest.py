"""Hypothesis profiles: `quick` for every run, `deep` with HYPOTHESIS_PROFILE=deep; and which tests stay together."""

import os
import signal
from typing import Any

# before numpy: a second BLAS thread on a busy core is slower than none, by up to 100x; workers inherit this
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a shell lets what runs in its background ignore Ctrl-C, and so would every program that a test starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("deep", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

SPAWNING = ("tests/faults/", "tests/campaign/", "tests/test_faults", "tests/test_processes.py")
LONG = ("tests/bridge/test_experiment.py", "tests/test_notebooks.py", "spawning", "tests/test_claims.py")


def scope_of(nodeid: str) -> str:
    """What stays in one process: a file, with its fixtures and compiled games; and all tests that kill processes, send
    signals or take memory, since two at a time would disturb each other."""
    file = nodeid.partition("::")[0]
    return "spawning" if file.startswith(SPAWNING) else file


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest scopes first, so that two processes end together."""
    place = {scope: k for k, scope in enumerate(LONG)}
    items.sort(key=lambda item: place.get(scope_of(item.nodeid), len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Under ``-n 2`` a process takes one scope after the other, in the order of collection."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    config.option.loadscopereorder = False
    return ByScope(config, log)

"""Hypothesis profiles: `quick` for every run, `deep` with HYPOTHESIS_PROFILE=deep; and which tests stay together."""

import os
from pathlib import Path

# before numpy: a second BLAS thread on a busy core is slower than none, by up to 100x; workers inherit this
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# what JAX has compiled is kept beside pytest's own cache: a second run of the suite compiles nothing
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("deep", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

SPAWNING = ("tests/faults/", "tests/campaign/", "tests/test_faults", "tests/test_processes.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist's ``--dist loadgroup`` a file stays in one worker, with its fixtures and its compiled games;
    so do, together, the tests that kill processes, send signals or take memory: two at a time would disturb each other.
    """
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("spawning" if file.startswith(SPAWNING) else file))

"""pytest-nashlab: assertions for authors of trainers, as functions and as fixtures of the same names.

    from nashlab.check.pytest_plugin import assert_conforms, assert_gradient

    def test_our_ipo():
        assert_conforms(our_ipo_loss, "ipo", tau=0.1)

    def test_our_step(assert_gradient):
        assert_gradient(our_step, "dpo", tau=0.1, accumulation=4)

assert_conforms         a loss is the one that it is named after, up to a constant factor
assert_gradient         a whole step leaves the gradient of the mean loss: padding, prompts, shifts, accumulation, ...
assert_policy_gradient  a step leaves self-play's or Nash-MD-PG's gradient: its KL term
assert_mixture          a sampler's mixture puts β on the reference
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = [  # noqa: F822 (see __getattr__)
    "assert_conforms",
    "assert_gradient",
    "assert_mixture",
    "assert_policy_gradient",
]

_HOME = {
    "assert_conforms": "nashlab.check.conformance",
    "assert_gradient": "nashlab.check.trainers",
    "assert_mixture": "nashlab.check.trainers",
    "assert_policy_gradient": "nashlab.check.trainers",
}


def __getattr__(name: str) -> Any:
    """Load on demand: pytest imports this file at every start, and torch and the losses are slow to load."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _fixture(name: str) -> Any:
    def assertion() -> Callable[..., None]:
        found: Callable[..., None] = __getattr__(name)
        return found

    assertion.__doc__ = f"nashlab's {name}; see nashlab.check.pytest_plugin."
    return pytest.fixture(assertion, name=name)


_fixtures = [_fixture(name) for name in _HOME]
_conforms, _gradient, _mixture, _policy_gradient = _fixtures

"""``jax.jit`` for programs that compile for longer than they run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["quickly"]

# LLVM's optimiser, XLA's fusion emitters (a pass manager for every fusion) and its parallel code generation (a module
# for every part) are three quarters of the time to compile many small operations; without them programs run up to five
# times longer, with the same arithmetic
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def quickly(function: Callable[..., Any]) -> Any:
    """``jax.jit(function)``, compiled in a quarter of the time where this XLA has the options.

    >>> import numpy as np
    >>> float(quickly(lambda x: x.sum())(np.ones(3)))
    3.0
    """
    import jax

    return jax.jit(function, compiler_options=_options())


@functools.cache
def _options() -> dict[str, bool | int] | None:
    """The options, or None for an XLA that does not know them: found by compiling nothing much with them."""
    import jax

    try:
        jax.jit(lambda x: x, compiler_options=QUICK)(0.0)
    except Exception:  # XLA's errors have no common type; without the options, programs only compile for longer
        return None
    return dict(QUICK)

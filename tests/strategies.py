"""Random games for property tests: Hypothesis draws the size, the family and a seed; numpy draws the numbers.

Drawing a seed rather than n² floats keeps examples fast and games generic; shrinking then finds the smallest size and
the simplest family, which is what a reader of a counterexample wants.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from nashlab.game import PreferenceGame

FAMILIES = ("uniform", "cyclic", "bradley-terry", "tournament", "near-ties")


def margins(family: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """One skew matrix with |A| ≤ ½ of a named family."""
    upper = np.triu(np.ones((n, n)), 1)
    if family == "uniform":
        values = rng.uniform(-0.5, 0.5, (n, n))
    elif family == "cyclic":
        i, j = np.indices((n, n))
        values = 0.4 * np.where((j - i) % n <= n // 2, 1.0, -1.0) + rng.uniform(-0.1, 0.1, (n, n))
    elif family == "bradley-terry":
        r = rng.normal(size=n)
        values = 0.5 * np.tanh(0.5 * (r[:, None] - r[None, :]))
    elif family == "tournament":
        values = 0.5 * rng.choice([-1.0, 1.0], (n, n))
    else:
        values = 1e-9 * rng.choice([-1.0, 1.0], (n, n))
    a = values * upper
    return a - a.T


@st.composite
def games(draw: st.DrawFn, min_n: int = 2, max_n: int = 8, families: tuple[str, ...] = FAMILIES) -> PreferenceGame:
    """A game of min_n to max_n responses with a random full-support reference."""
    n = draw(st.integers(min_n, max_n))
    family = draw(st.sampled_from(families))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reference = rng.dirichlet(np.ones(n)) * 0.99 + 0.01 / n
    return PreferenceGame.from_margins(margins(family, n, rng), reference=reference / reference.sum(), name=family)


@st.composite
def policies(draw: st.DrawFn, n: int) -> np.ndarray:
    """log π of a random full-support policy over n responses."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.log(rng.dirichlet(np.ones(n)) * 0.99 + 0.01 / n)


temperatures = st.sampled_from([0.01, 0.03, 0.1, 0.3, 1.0, 3.0])

"""Games that are meant to break a solver, by family: each is drawn from a seed and can be drawn again."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import strategies

from nashlab.gallery import FAMILIES as OF_THE_GALLERY
from nashlab.gallery import GALLERY, compose, get, random_game

__all__ = ["ATTACKS", "BATCH", "SELDOM", "Batch", "Case", "draw", "draw_batch"]

Generator = np.random.Generator
Rows = list[list[Any]]

USUAL = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Case:
    """A game as a user gives it, and a temperature.

    kind     "margins", "preferences" or "wins": the constructor that takes ``matrix``.
    refused  whether the game breaks a rule on purpose.
    """

    family: str
    seed: int
    index: int
    kind: str
    matrix: Any
    reference: Sequence[Any] | None
    tau: float
    refused: bool = False
    large: bool = field(default=False)

    @property
    def n(self) -> int:
        return len(self.matrix)

    def describe(self) -> dict[str, Any]:
        """Enough to type it in again."""
        rows = self.matrix.tolist() if isinstance(self.matrix, np.ndarray) else self.matrix
        shown = {
            "case": f"{self.family}:{self.index} of seed {self.seed}",
            "kind": self.kind,
            "reference": None if self.reference is None else [_text(x) for x in self.reference],
            "tau": self.tau,
        }
        return shown | {"matrix": [[_text(x) for x in row] for row in rows] if self.n <= 12 else f"n = {self.n}"}


def _text(x: Any) -> Any:
    return str(x) if isinstance(x, Fraction) else x


BATCH = 50  # games of a batch


@dataclass(frozen=True)
class Batch:
    """Many games of one size, [X, n, n], with a reference each, [X, n], and one temperature.

    With ``weights`` they are the prompts of one contextual game, with padding where the reference is 0.
    """

    seed: int
    index: int
    family: str
    margins: np.ndarray
    references: np.ndarray
    weights: np.ndarray | None
    tau: float

    @property
    def n(self) -> int:
        return int(self.margins.shape[-1])

    def describe(self) -> dict[str, Any]:
        return {
            "case": f"batches:{self.index} of seed {self.seed}",
            "family": self.family,
            "n": self.n,
            "tau": self.tau,
        }


def draw_batch(seed: int, index: int) -> Batch:
    """Batch number ``index``."""
    rng = np.random.default_rng([seed, *b"batches", index])
    family, n = str(rng.choice([*OF_THE_GALLERY, "integers"])), size(rng)

    def margins() -> np.ndarray:
        if family == "integers":
            return np.array(integers(n, 2, rng), dtype=np.float64)
        return random_game(family, n, rng).margins

    tau = float(rng.choice(USUAL)) if rng.uniform() < 0.7 else float(10.0 ** rng.uniform(-4, 2))
    references = np.array([some_reference(n, rng) for _ in range(BATCH)])
    stacked = np.stack([margins() for _ in range(BATCH)])
    weights = None
    if index % 4 == 3:
        weights = rng.dirichlet(np.ones(BATCH))
        for x in range(BATCH):
            padding = np.arange(n) >= size(rng, n, 1)
            stacked[x][padding], stacked[x][:, padding], references[x][padding] = 0.0, 0.0, 0.0
            references[x] /= np.sum(references[x])
    return Batch(seed, index, family, stacked, references, weights, tau)


def draw(family: str, seed: int, index: int) -> Case:
    """Game number ``index`` of a family."""
    rng = np.random.default_rng([seed, *family.encode(), index])
    made = ATTACKS[family](rng)
    tau = made.pop("tau", None) or temperature(rng)
    reference = made.pop("reference", None)
    if reference is None and rng.uniform() < 0.6:
        reference = some_reference(len(made["matrix"]), rng)
    return Case(family, seed, index, reference=reference, tau=tau, **made)


# -- temperatures and references --------------------------------------------------------------------------------------


def temperature(rng: Generator) -> float:
    """A usual one, or anything from 1e-12 to 1e12."""
    return float(rng.choice(USUAL)) if rng.uniform() < 0.5 else float(10.0 ** rng.uniform(-12, 12))


def some_reference(n: int, rng: Generator) -> list[float]:
    """Dirichlet, rounded decimals, with an entry next to nothing, or of a sum that is 1 only within the tolerance."""
    style = rng.integers(5)
    if style == 0:
        weights = rng.dirichlet(np.ones(n)) * 0.99 + 0.01 / n
    elif style == 1:
        weights = np.round(rng.dirichlet(np.ones(n)), 3) + 0.001
    elif style == 2:
        weights = 10.0 ** rng.uniform(-12, 0, n)
    elif style == 3:
        weights = np.exp(rng.normal(size=n))
    else:
        weights = rng.dirichlet(np.ones(n)) * 0.99 + 0.01 / n
        return [float(x) for x in weights * (1 + 9e-7 * rng.uniform(-1, 1))]
    return [float(x) for x in weights / np.sum(weights)]


def extreme_reference(n: int, rng: Generator) -> list[float]:
    weights = 10.0 ** -rng.uniform(0, 300, n)
    weights[rng.integers(n)] = 1.0
    return [float(x) for x in weights / np.sum(weights)]


# -- matrices ---------------------------------------------------------------------------------------------------------


def size(rng: Generator, most: int = 7, least: int = 2) -> int:
    return int(rng.integers(least, most + 1))


def skew(values: np.ndarray) -> np.ndarray:
    upper = np.triu(values, 1)
    return upper - upper.T


def integers(n: int, width: int, rng: Generator) -> list[list[int]]:
    return [[int(x) for x in row] for row in skew(rng.integers(-width, width + 1, (n, n)))]


def rational(rows: Sequence[Sequence[Any]]) -> list[list[Fraction]]:
    return [[Fraction(x) for x in row] for row in rows]


def _margins(matrix: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "margins", "matrix": matrix} | more


def of_the_gallery(family: str, rng: Generator) -> dict[str, Any]:
    n = size(rng) if rng.uniform() < 0.9 else size(rng, 30)
    return _margins(random_game(family, n, rng).margins.tolist())


def of_the_tests(family: str, rng: Generator) -> dict[str, Any]:
    return _margins(strategies.margins(family, size(rng, 8), rng).tolist())


def named(rng: Generator) -> dict[str, Any]:
    """A game of the gallery with its exact margins, in doubles where it has none (votes with unmet pairs)."""
    game = get(str(rng.choice([name for name in GALLERY if name != "circulant-41"])))
    return _margins(game.margins.tolist() if game.exact is None else [list(row) for row in game.exact])


def near_edges(rng: Generator) -> dict[str, Any]:
    """Probabilities within 1e-15 of 0, ½ and 1, as doubles or as the rationals that they are."""
    n = size(rng)
    base = rng.choice([0.0, 0.5, 1.0], (n, n))
    near = np.clip(base + rng.choice([-1, 0, 1], (n, n)) * 10.0 ** rng.uniform(-18, -15, (n, n)), 0.0, 1.0)
    p = np.triu(near, 1) + np.tril(1.0 - near.T, -1) + 0.5 * np.eye(n)
    if rng.uniform() < 0.5:
        return {"kind": "preferences", "matrix": p.tolist()}
    exact = [[Fraction(1, 2)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            exact[i][j] = Fraction(float(near[j, i]))
            exact[j][i] = 1 - exact[i][j]
    return {"kind": "preferences", "matrix": exact}


def probabilities(rng: Generator) -> dict[str, Any]:
    """Decimals of two to six digits, as doubles or as rationals."""
    n, digits = size(rng), int(rng.integers(1, 7))
    p = [[Fraction(1, 2)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            p[i][j] = Fraction(int(rng.integers(0, 10**digits + 1)), 10**digits)
            p[j][i] = 1 - p[i][j]
    return {"kind": "preferences", "matrix": p if rng.uniform() < 0.5 else [[float(x) for x in row] for row in p]}


def wins(rng: Generator) -> dict[str, Any]:
    n = size(rng)
    w = rng.integers(0, int(rng.choice([3, 10, 1000])), (n, n)) + np.triu(np.ones((n, n), dtype=int), 1)
    np.fill_diagonal(w, 0)
    return {"kind": "wins", "matrix": [[int(x) for x in row] for row in w]}


def ill_conditioned(rng: Generator) -> dict[str, Any]:
    """A cycle whose sides range over twelve decades, or responses that differ by next to nothing."""
    n = size(rng)
    a = skew(rng.uniform(-0.5, 0.5, (n, n)))
    if rng.uniform() < 0.5:
        d = 10.0 ** rng.uniform(-6, 0, n)
        a = a * np.outer(d, d)
    elif n > 2:
        i, j = rng.choice(n, 2, replace=False)
        a[i] = a[j] + 10.0 ** rng.uniform(-12, -1) * rng.normal(size=n)
        a = skew(a)
    return _margins(a.tolist())


def wide(rng: Generator) -> dict[str, Any]:
    """Each margin of a size of its own: integers to 1e18, or doubles over forty decades."""
    n = size(rng)
    if rng.uniform() < 0.5:
        powers = 10 ** rng.integers(0, 19, (n, n), dtype=np.int64)
        return _margins([[int(x) for x in row] for row in skew(rng.choice([-1, 1], (n, n)) * powers)])
    return _margins(skew(rng.choice([-1.0, 0.0, 1.0], (n, n)) * 10.0 ** rng.uniform(-20, 20, (n, n))).tolist())


def duplicated(rng: Generator) -> dict[str, Any]:
    rows = integers(size(rng, 4), 3, rng)
    copies = [*range(len(rows)), *rng.integers(0, len(rows), int(rng.integers(1, 4)))]
    return _as_either([[rows[i][j] for j in copies] for i in copies], rng)


def dominated(rng: Generator) -> dict[str, Any]:
    """With responses that do at most as well as another against everybody."""
    rows = integers(size(rng, 5), 3, rng)
    for _ in range(int(rng.integers(1, 3))):
        n = len(rows)
        better = int(rng.integers(n))
        new = [rows[better][j] - int(rng.integers(0, 2)) for j in range(n)]
        new[better] = -int(rng.integers(0, 2))
        rows = [[*row, -v] for row, v in zip(rows, new, strict=True)] + [[*new, 0]]
    return _as_either(rows, rng)


def nested(rng: Generator) -> dict[str, Any]:
    outer, inner = integers(size(rng, 3), 2, rng), integers(size(rng, 3), 2, rng)
    return _as_either(compose(rational(outer), rational(inner)), rng)


def low_rank_exactly(rng: Generator) -> dict[str, Any]:
    """u vᵀ − v uᵀ: of rank two, so that lotteries abound."""
    n = size(rng)
    u, v = rng.integers(-3, 4, n), rng.integers(-3, 4, n)
    if rng.uniform() < 0.5:
        return _margins([[int(x) for x in row] for row in np.outer(u, v) - np.outer(v, u)])
    u, v = rng.normal(size=n), rng.normal(size=n)
    a = np.outer(u, v)
    return _margins((a - a.T).tolist())


def small(width: int, rng: Generator) -> dict[str, Any]:
    return _margins(integers(size(rng), width, rng))


def near_degenerate(rng: Generator) -> dict[str, Any]:
    """A game of small integers, most of which have many lotteries, moved by 1e-8 to 1e-17."""
    n = size(rng)
    a = skew(rng.integers(-1, 2, (n, n)) * 0.5)
    return _margins((a + skew(10.0 ** -rng.uniform(8, 17) * rng.normal(size=(n, n)))).tolist())


def near_degenerate_exactly(rng: Generator) -> dict[str, Any]:
    """The same in rationals, moved by 1e-5 to 1e-60: slacks and weights that no double can tell from 0."""
    n, unit = size(rng), Fraction(1, 10 ** int(rng.integers(5, 61)))
    base, moved = integers(n, 1, rng), integers(n, 3, rng)
    return _margins([[x + unit * y for x, y in zip(*rows, strict=True)] for rows in zip(base, moved, strict=True)])


def beyond_doubles(rng: Generator) -> dict[str, Any]:
    """Rationals that double precision rounds to 0 or to subnormals, alone or beside ordinary ones."""
    n = size(rng, 5)
    low, high = (-400, -290) if rng.uniform() < 0.5 else (-400, 3)
    rows = [[Fraction(0)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            rows[i][j] = int(rng.integers(-9, 10)) * Fraction(10) ** int(rng.integers(low, high))
            rows[j][i] = -rows[i][j]
    return _margins(rows)


def too_large(rng: Generator) -> dict[str, Any]:
    """Integers beyond the range of doubles: refused."""
    n, unit = size(rng), 10 ** int(rng.integers(310, 500))
    rows = integers(n, 3, rng)
    rows[0][1], rows[1][0] = 1, -1
    return _margins([[unit * x for x in row] for row in rows], refused=True)


def nearly_skew(rng: Generator) -> dict[str, Any]:
    """Skew only to the tolerance of rounded text: half the difference is the game."""
    n = size(rng)
    a = skew(rng.uniform(-0.5, 0.5, (n, n)))
    return _margins((a + 1e-10 * np.max(np.abs(a)) * rng.uniform(-1, 1, (n, n)) * (1 - np.eye(n))).tolist())


def arrays(rng: Generator) -> dict[str, Any]:
    """NumPy arrays of integers, of single precision and of objects."""
    n = size(rng)
    if rng.uniform() < 0.4:
        return _margins(skew(rng.uniform(-0.5, 0.5, (n, n))).astype(np.float32))
    kind = rng.choice(["int8", "int64", "object"])
    return _margins(np.array(integers(n, 4, rng), dtype=str(kind)))


def scaled(rng: Generator) -> dict[str, Any]:
    """Another game times 10^k, |k| ≤ 300; the temperature scaled with it half of the time."""
    n, power = size(rng), int(rng.integers(-300, 301))
    tau = temperature(rng)
    tau = float(tau * 10.0**power) if rng.uniform() < 0.7 else tau
    tau = tau if 0 < tau < math.inf else 1.0
    if rng.uniform() < 0.5:
        unit = Fraction(10) ** power
        rows = integers(n, 3, rng) if rng.uniform() < 0.5 else rational(skew(rng.uniform(-0.5, 0.5, (n, n))).tolist())
        return _margins([[unit * x for x in row] for row in rows], tau=tau)
    return _margins((skew(rng.uniform(-0.5, 0.5, (n, n))) * 10.0**power).tolist(), tau=tau)


def subnormal(rng: Generator) -> dict[str, Any]:
    """Margins down to the smallest double."""
    n = size(rng, 5)
    return _margins(skew(rng.integers(-4, 5, (n, n)) * 5e-324 * 2.0 ** rng.integers(0, 60)).tolist())


def fractions(rng: Generator) -> dict[str, Any]:
    """Rationals whose denominators have up to forty digits, in the reference too."""
    n, digits = size(rng), int(rng.integers(1, 41))

    def number() -> Fraction:
        return Fraction(_long(digits, rng), 2 * (_long(digits, rng) + 1))

    rows = [[Fraction(0)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            rows[i][j] = number() * int(rng.choice([-1, 1]))
            rows[j][i] = -rows[i][j]
    weights = [number() + Fraction(1, 10**6) for _ in range(n)]
    total = sum(weights, Fraction(0))
    return _margins(rows, reference=[w / total for w in weights] if rng.uniform() < 0.5 else None)


def _long(digits: int, rng: Generator) -> int:
    return int("".join(map(str, rng.integers(0, 10, digits))))


def tiny_reference(rng: Generator) -> dict[str, Any]:
    n = size(rng)
    rows = integers(n, 2, rng) if rng.uniform() < 0.5 else skew(rng.uniform(-0.5, 0.5, (n, n))).tolist()
    return _margins(rows, reference=extreme_reference(n, rng))


def zero_reference(rng: Generator) -> dict[str, Any]:
    """Of no mass somewhere, negative, not a number, or of the wrong sum: refused."""
    n = size(rng)
    reference = some_reference(n, rng)
    reference[int(rng.integers(n))] = float(rng.choice([0.0, -0.0, -0.1, math.nan, math.inf, 3.0]))
    return _margins(integers(n, 3, rng), reference=reference, refused=True)


def not_skew(rng: Generator) -> dict[str, Any]:
    n = size(rng)
    rows: Rows = skew(rng.uniform(-0.5, 0.5, (n, n))).tolist()
    rows[0][1] += float(rng.choice([1e-3, 1.0, math.nan, math.inf]))
    return _margins(rows, refused=True)


def smallest(rng: Generator) -> dict[str, Any]:
    n = int(rng.integers(1, 3))
    x = float(rng.choice([0.0, 0.5, 1e-15, 10.0 ** rng.uniform(-30, 0)]))
    rows: Rows = [[0.0]] if n == 1 else [[0.0, x], [-x, 0.0]]
    return _margins(rational(rows) if rng.uniform() < 0.5 else rows)


def large(rng: Generator) -> dict[str, Any]:
    """A hundred to five hundred responses."""
    n = int(rng.choice([100, 150, 301, 500]))
    family = str(rng.choice([*OF_THE_GALLERY, "integers"]))
    rows = integers(n, 3, rng) if family == "integers" else random_game(family, n, rng).margins.tolist()
    return _margins(rows, large=True, tau=float(rng.choice([1e-6, 1e-3, 0.1, 1.0])))


def _as_either(rows: Sequence[Sequence[Any]], rng: Generator) -> dict[str, Any]:
    """The same game as rationals or as doubles."""
    return _margins([list(row) for row in rows] if rng.uniform() < 0.5 else [[float(x) for x in row] for row in rows])


ATTACKS: dict[str, Callable[[Generator], dict[str, Any]]] = {
    **{f"gallery {name}": functools.partial(of_the_gallery, name) for name in OF_THE_GALLERY},
    **{f"tests {name}": functools.partial(of_the_tests, name) for name in strategies.FAMILIES},
    "named": named,
    "edges": near_edges,
    "decimals": probabilities,
    "wins": wins,
    "ill-conditioned": ill_conditioned,
    "wide": wide,
    "duplicated": duplicated,
    "dominated": dominated,
    "nested": nested,
    "rank two": low_rank_exactly,
    **{f"integers to {width}": functools.partial(small, width) for width in (1, 2, 3)},
    "near-degenerate": near_degenerate,
    "near-degenerate exactly": near_degenerate_exactly,
    "scaled": scaled,
    "beyond doubles": beyond_doubles,
    "too large": too_large,
    "nearly skew": nearly_skew,
    "arrays": arrays,
    "subnormal": subnormal,
    "fractions": fractions,
    "tiny reference": tiny_reference,
    "refused reference": zero_reference,
    "refused margins": not_skew,
    "smallest": smallest,
    "large": large,
}
SELDOM = {
    "large": 0.004,
    "refused reference": 0.2,
    "refused margins": 0.2,
    "too large": 0.1,
    "smallest": 0.3,
}  # shares of an even split

"""The central object: a finite preference game.

``P[y, y'] = p(y ≻ y')`` with ``P + Pᵀ = 1``.  The code stores the skew margins ``A = P − ½``, because equilibria depend
only on them, every scale of A has the same maximal lottery, and ½ + 1e-20 is not a double.  The reference policy μ
belongs to the game; the temperature τ does not (theory §1).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.errors import BadInput, first_line, suggestion

MatrixLike = ArrayLike | Sequence[Sequence[int | Fraction]]
VectorLike = ArrayLike | Sequence[Fraction]

__all__ = ["BadInput", "PreferenceGame", "check_temperature", "first_line", "suggestion"]

SKEW_TOLERANCE = 1e-9  # of probabilities, or of max|A|: rounding of text formats, far below any measured preference
ROUNDING = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}  # for two numbers that add up to 1
SUM_TOLERANCE = 1e-6  # of Σμ = 1: accepts files written with six decimals, which are renormalised
MEMORY_LIMIT = 8 * 2**30  # bytes of the largest float64 matrix that is allocated


def check_temperature(temperature: float, *, positive: bool = False, name: str = "temperature") -> float:
    """Return τ as a float, or name the rule that ``name`` breaks (finite, ≥ 0; > 0 if ``positive``)."""
    try:
        value = float(temperature)
    except (TypeError, ValueError):
        raise BadInput(f"{name} = {temperature!r}, must be a number") from None
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        rule = "positive and finite" if positive else "finite and at least 0"
        raise BadInput(f"{name} = {value}, must be {rule}")
    return value


@dataclass(frozen=True, eq=False)
class PreferenceGame:
    """A frozen preference game; build it with :meth:`from_preferences`, :meth:`from_margins` or :meth:`from_wins`.

    margins        A = P − ½ in float64, shape [n, n] or [X, n, n] (X independent games; with ``weights``, one
                   contextual game of X prompts).  Skew; any scale above 0.
    log_reference  log μ, shape [n] or [X, n]; ``-inf`` marks the padding of prompts with fewer responses.
    labels         the names of the n responses.
    weights        ρ(x), shape [X], or None.
    exact          A as Fractions (nested tuples, one game only), or None if the source was floating point.
    name, source   the game's name and origin.
    given          μ as given, not normalised, in the shape of ``log_reference`` or [n]; None: uniform.
    comparisons    N, the number of judgments of each pair, [n, n] (0: never met), or None if unknown.
    reading        how the file was understood, in the form of JSON, or None.

    Source: theory §1.  Bad input raises :class:`BadInput`.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> game.n, float(game.preferences[0, 1])
    (2, 0.7)
    """

    margins: NDArray[np.float64]
    log_reference: NDArray[np.float64]
    labels: tuple[str, ...]
    weights: NDArray[np.float64] | None = None
    exact: tuple[tuple[Fraction, ...], ...] | None = None
    name: str = "game"
    source: str = ""
    given: tuple[Any, ...] | None = None
    comparisons: NDArray[np.float64] | None = None
    reading: Mapping[str, Any] | None = None

    # -- construction ------------------------------------------------------------------------------------------

    @classmethod
    def from_preferences(cls, preferences: MatrixLike, **kwargs: Any) -> PreferenceGame:
        """From P with P + Pᵀ = 1 and entries in [0, 1]; keeps A = P − ½ (exact if P holds ints or Fractions).

        P may be an array, a tensor (of any float type, also one that requires a gradient) or a data frame with names;
        in single or half precision P + Pᵀ = 1 must hold up to rounding.
        """
        preferences, tolerance, kwargs = _unwrapped(preferences, kwargs)
        exact = _exact_entries(preferences)
        p = _as_floats(preferences, "preferences")
        if np.any((p < 0) | (p > 1)):
            entry = _worst(np.maximum(-p, p - 1))
            raise BadInput(f"preferences{_at(entry)} = {p[entry]:.6g}, must be in [0, 1]")
        total = p + np.swapaxes(p, -1, -2)
        off = np.abs(total - 1)
        if np.any(off > tolerance):
            i = _worst(off)
            j = (*i[:-2], i[-1], i[-2])
            raise BadInput(
                f"preferences{_at(i)} + preferences{_at(j)} = {total[i]:.10g}, must be 1 (tolerance {tolerance:g}; "
                "`--symmetrise` reads a rounded table)"
            )
        if exact is None:
            return cls._build(p - 0.5, exact=None, **kwargs)
        exact = [[x - Fraction(1, 2) for x in row] for row in exact]
        # subtracted before rounding: ½ + 1e-20 is not a double, its margin is
        return cls._build(np.array(exact, dtype=np.float64), exact=exact, **kwargs)

    @classmethod
    def from_margins(cls, margins: MatrixLike, **kwargs: Any) -> PreferenceGame:
        """From skew margins A of any scale (A = P − ½ when |A| ≤ ½); exact if A holds ints or Fractions."""
        margins, tolerance, kwargs = _unwrapped(margins, kwargs)
        a = _as_floats(margins, "margins")
        turned = -a.swapaxes(-1, -2)
        # a matrix that is skew to the bit needs no tolerance
        if (off := np.abs(a - turned)).any() and (off > tolerance * np.abs(a).max(axis=(-1, -2), keepdims=True)).any():
            i = _worst(off)
            j = (*i[:-2], i[-1], i[-2])
            raise BadInput(
                f"margins{_at(i)} + margins{_at(j)} = {(a[i] + a[j]):.6g}, must be 0 "
                f"(tolerance {tolerance:g} of the largest margin; `--symmetrise` reads a rounded table)"
            )
        return cls._build(a, exact=_exact_entries(margins), **kwargs)

    @classmethod
    def from_wins(
        cls,
        wins: MatrixLike,
        *,
        fill: float | Fraction | NDArray[np.float64] | None = None,
        weigh: str = "rates",
        **kwargs: Any,
    ) -> PreferenceGame:
        """From win counts w (row beat column; a tie is half a win each): p = w_ij/(w_ij + w_ji), exactly.

        fill   the p of a pair that never met: ½, or a table [n, n] of values; None refuses such a pair by name.
        weigh  "rates", or "votes": A = w − wᵀ, the majority margins of social choice, which count each vote once.
        """
        wins, _, kwargs = _unwrapped(wins, kwargs)
        exact_wins = _exact_entries(wins)
        w = _as_floats(wins, "wins")
        if w.ndim != 2:
            raise BadInput(f"wins has shape {w.shape}, must be one square matrix")
        if np.any(w < 0):
            entry = _worst(-w)
            raise BadInput(f"wins{_at(entry)} = {w[entry]:g}, must be at least 0")
        filled = fill if isinstance(fill, np.ndarray) else None
        if filled is None and fill is not None and Fraction(fill) != Fraction(1, 2):  # type: ignore[arg-type]
            raise BadInput(f"fill = {fill}, must be 1/2: P + Pᵀ = 1 allows no other value for all pairs that never met")
        labels = _labels(kwargs.get("labels"), w.shape[-1])
        played = w + w.T
        np.fill_diagonal(played, 0.0)
        idle = np.argwhere(np.triu(played == 0, 1))
        if len(idle) and fill is None:
            pairs = ", ".join(f"{labels[i]} - {labels[j]}" for i, j in idle[:5])
            more = f" and {len(idle) - 5} more" if len(idle) > 5 else ""
            raise BadInput(
                f"wins: {len(idle)} pair(s) never met ({pairs}{more}); fill them with p = 1/2 by `--fill half`"
            )
        kwargs = {"comparisons": played, **kwargs}
        if exact_wins is None or (filled is not None and len(idle)):
            with np.errstate(invalid="ignore"):
                lead = (w - w.T) if weigh == "votes" else (w - w.T) / (2 * np.where(played > 0, played, 1))
                margins = np.where(played > 0, lead, 0.0 if filled is None else filled - 0.5)
            np.fill_diagonal(margins, 0.0)
            return cls._build(margins, exact=None, **kwargs)
        n = len(exact_wins)
        exact = [[Fraction(0)] * n for _ in range(n)]
        for i in range(n):  # half of the pairs, since the arithmetic of Fractions takes most of the time
            for j in range(i):
                total, surplus = exact_wins[i][j] + exact_wins[j][i], exact_wins[i][j] - exact_wins[j][i]
                exact[i][j] = surplus if weigh == "votes" or not total else surplus / (2 * total)
                exact[j][i] = -exact[i][j]
        return cls._build(np.array(exact, dtype=np.float64), exact=exact, **kwargs)

    @classmethod
    def _build(
        cls,
        margins: NDArray[np.float64],
        *,
        exact: Sequence[Sequence[Fraction]] | None,
        reference: VectorLike | None = None,
        labels: Sequence[str] | None = None,
        weights: ArrayLike | None = None,
        name: str = "game",
        source: str = "",
        comparisons: NDArray[np.float64] | None = None,
        reading: Mapping[str, Any] | None = None,
    ) -> PreferenceGame:
        if exact is not None:
            order = range(len(exact))
            if any(exact[i][j] != -exact[j][i] for i in order for j in range(i + 1)):
                exact = None  # skew only within the tolerance, so the text was rounded: use the doubles
        # exactly skew from here on; a matrix that is already skew is kept bit for bit
        turned = margins.swapaxes(-1, -2)
        skew = margins if (margins == -turned).all() else 0.5 * margins - 0.5 * turned
        n = margins.shape[-1]
        batch = margins.shape[:-2]
        return cls(
            margins=_frozen(skew),
            log_reference=_frozen(log_reference_of(reference, n, batch)),
            labels=_labels(labels, n),
            weights=None if weights is None else _frozen(_weights(weights, batch)),
            exact=None if exact is None else tuple(tuple(Fraction(x) for x in row) for row in exact),
            name=name,
            source=source,
            given=_as_given(reference),
            comparisons=None if comparisons is None else _frozen(comparisons),
            reading=reading,
        )

    # -- views -------------------------------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """The number of responses."""
        return self.margins.shape[-1]

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading shape: () for one game, (X,) for X prompts or games."""
        return self.margins.shape[:-2]

    @functools.cached_property
    def largest(self) -> NDArray[np.float64]:
        """max |A|, shape [...]."""
        return np.asarray(np.max(self.margins, axis=(-1, -2)))  # A is skew

    @property
    def reference(self) -> NDArray[np.float64]:
        """μ, shape [..., n]."""
        return np.exp(self.log_reference)

    @property
    def reference_exact(self) -> tuple[Fraction, ...]:
        """μ of one game without rounding: the given numbers (a double is a rational too) over their sum, [n]."""
        if self.batch:
            raise BadInput("game is contextual: each prompt has its own reference; use game.prompt(x)")
        mu = [Fraction(1)] * self.n if self.given is None else [Fraction(x) for x in self.given]
        total = sum(mu, Fraction(0))
        return tuple(x / total for x in mu)

    @property
    def support(self) -> NDArray[np.bool_]:
        """Where μ > 0, shape [..., n]: False only on padding."""
        return np.isfinite(self.log_reference)

    @property
    def preferences(self) -> NDArray[np.float64]:
        """P = ½ + A; exists only where |A| ≤ ½."""
        if np.any(np.abs(self.margins) > 0.5):
            i = _worst(np.abs(self.margins))
            raise BadInput(f"margins{_at(i)} = {self.margins[i]:g}: probabilities P = ½ + A need |A| ≤ ½")
        return 0.5 + self.margins

    def advantage(self, log_policy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(Aπ)(y) = p(y ≻ π) − ½, shape [..., n]."""
        policy = np.exp(log_policy)
        if policy.ndim == 1:  # one product, in half of the time where n is small
            return np.asarray(self.margins.dot(policy))
        return np.matmul(self.margins, policy[..., None])[..., 0]

    def mean(self, values: NDArray[np.float64]) -> float:
        """The contextual average Σ_x ρ(x) v(x) (plain mean without weights) of one value per prompt."""
        return float(np.average(values, weights=self.weights) if np.ndim(values) else values)

    def with_reference(self, reference: VectorLike | None) -> PreferenceGame:
        """The same game with another μ (None: uniform)."""
        log_mu = _frozen(log_reference_of(reference, self.n, self.batch))
        return replace(self, log_reference=log_mu, given=_as_given(reference))

    def repeated(self, count: int) -> PreferenceGame:
        """``count`` independent copies of one game, [count, n, n]: a batch of seeds."""
        if self.batch:
            raise BadInput("game is contextual: only one game can be repeated")
        shape = (count, self.n)
        return replace(
            self,
            margins=_frozen(np.broadcast_to(self.margins, (*shape, self.n))),
            log_reference=_frozen(np.broadcast_to(self.log_reference, shape)),
            exact=None,
            comparisons=None,
        )

    def prompt(self, x: int) -> PreferenceGame:
        """The single game of prompt x, without its padding."""
        keep = self.support[x]
        rows = np.flatnonzero(keep)
        given = self.given[x] if self.given and isinstance(self.given[0], tuple) else self.given
        return replace(
            self,
            margins=_frozen(self.margins[x][np.ix_(rows, rows)]),
            log_reference=_frozen(self.log_reference[x][rows]),
            labels=tuple(self.labels[i] for i in rows),
            weights=None,
            exact=None,
            given=None if given is None else tuple(given[i] for i in rows),
            comparisons=None,
        )


# -- the rules ---------------------------------------------------------------------------------------------------


def _as_floats(matrix: MatrixLike, argument: str) -> NDArray[np.float64]:
    shape: tuple[int, ...] = getattr(matrix, "shape", ())
    if len(shape) >= 2 and 8 * float(np.prod(shape)) > MEMORY_LIMIT:
        raise too_large(shape[-1])
    try:
        values = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"{argument} must hold numbers in rows of equal length ({error})") from None
    if values.ndim not in (2, 3) or values.shape[-1] != values.shape[-2]:
        raise BadInput(f"{argument} has shape {values.shape}, must be square ([n, n] or [X, n, n])")
    if values.size == 0:
        raise BadInput(f"{argument} is empty, must hold at least one response")
    if not np.isfinite(values).all():
        i = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
        raise BadInput(f"{argument}{_at(i)} = {values[i]}, must be finite")
    return values


def too_large(n: int) -> BadInput:
    """The error for a game too large for memory, with the memory needed."""
    return BadInput(
        f"{n} responses need {8 * n * n / 2**30:,.0f} GiB for the matrix alone "
        f"(limit {MEMORY_LIMIT / 2**30:.0f} GiB); restrict the game to fewer responses"
    )


def _unwrapped(matrix: Any, kwargs: dict[str, Any]) -> tuple[Any, float, dict[str, Any]]:
    """(matrix, tolerance of its skewness, kwargs with its labels): from tensors as arrays, from data frames by name."""
    if hasattr(matrix, "detach"):  # a tensor, perhaps on a device, perhaps with a gradient
        matrix = matrix.detach().cpu()
        matrix = matrix if str(matrix.dtype).endswith("bfloat16") else matrix.numpy()
    if hasattr(matrix, "columns") and hasattr(matrix, "index"):
        matrix, names = _frame(matrix)
        kwargs = {"labels": names, **kwargs} if names else kwargs
    kind = str(getattr(matrix, "dtype", "float64")).rsplit(".", 1)[-1]
    if kind == "bfloat16":
        matrix = matrix.float().numpy() if hasattr(matrix, "float") else np.asarray(matrix, dtype=np.float64)
    return matrix, max(SKEW_TOLERANCE, ROUNDING.get(kind, 0.0)), kwargs


def _frame(frame: Any) -> tuple[Any, list[str] | None]:
    """A data frame's values with rows in the order of its columns, and their names if rows and columns share them."""
    columns, rows = list(frame.columns), list(frame.index)
    if columns == rows or len(columns) != len(rows) or rows == list(range(len(rows))):
        return frame.to_numpy(), None if columns == list(range(len(columns))) else [str(x) for x in columns]
    if set(columns) != set(rows) or len(set(columns)) < len(columns):
        strange = next((x for x in rows if x not in columns), rows[0])
        raise BadInput(f"the row {strange!r} has no column of that name, rows and columns must be the same responses")
    return frame.loc[columns].to_numpy(), [str(x) for x in columns]


def _exact_entries(matrix: Any) -> list[list[Fraction]] | None:
    """The entries as Fractions if every one is an int or a Fraction (never a double), else None."""
    if isinstance(matrix, np.ndarray) and matrix.dtype.kind not in "iuO":
        return None
    rows = matrix.tolist() if isinstance(matrix, np.ndarray) else matrix
    try:
        rows = [list(row) for row in rows]
    except TypeError:
        return None
    if not all(isinstance(x, (int, Fraction, np.integer)) for row in rows for x in row):
        return None
    return [[Fraction(int(x)) if isinstance(x, np.integer) else Fraction(x) for x in row] for row in rows]


def log_reference_of(reference: VectorLike | None, n: int, batch: tuple[int, ...]) -> NDArray[np.float64]:
    """log μ, [*batch, n], of a reference as users give it (None: uniform), or the rule that it breaks."""
    if reference is None:
        return np.full((*batch, n), -np.log(n))
    try:
        mu = np.array(reference, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput("reference must be a list of numbers") from None
    if mu.shape[-1:] != (n,) or mu.shape not in ((n,), (*batch, n)):
        raise BadInput(f"reference has shape {mu.shape}, must be {(n,)} like the {n} responses")
    padding = bool(batch) and mu.ndim > 1  # only a contextual game has padded prompts
    bad = ~(mu >= 0) | np.isinf(mu) if padding else ~(mu > 0) | np.isinf(mu)
    if bad.any():
        i = tuple(int(k) for k in np.argwhere(bad)[0])
        raise BadInput(f"reference{_at(i)} = {mu[i]:g}, must be positive and finite")
    total = mu.sum(axis=-1)
    if (np.abs(total - 1) > SUM_TOLERANCE).any():
        worst = np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))]
        raise BadInput(f"reference sums to {worst:.8g}, must sum to 1 (tolerance {SUM_TOLERANCE:g})")
    with np.errstate(divide="ignore"):
        log_mu = np.log(mu) - np.log(total)[..., None]
    return np.broadcast_to(log_mu, (*batch, n)).copy()


def _as_given(reference: VectorLike | None) -> tuple[Any, ...] | None:
    """A checked reference as nested tuples of ints, Fractions or doubles, untouched by rounding."""
    if reference is None:
        return None
    rows = reference if isinstance(reference, (list, tuple)) else np.asarray(reference, dtype=np.float64).tolist()
    if not isinstance(rows, list) or not all(type(x) is float for x in rows):  # not the common case
        rows = [_as_given(x) if np.ndim(x) else x if isinstance(x, (int, Fraction)) else float(x) for x in rows]
    return tuple(rows)


def _labels(labels: Sequence[str] | None, n: int) -> tuple[str, ...]:
    if labels is None:
        return tuple(str(i) for i in range(1, n + 1))
    names = tuple(str(x) for x in labels)
    if len(names) != n:
        raise BadInput(f"labels has {len(names)} names, must have {n}, one for each response")
    if len(set(names)) != n:
        twice = next(x for x in names if names.count(x) > 1)
        raise BadInput(f"labels: {twice!r} occurs more than once, names must differ")
    return names


def _weights(weights: ArrayLike, batch: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        rho = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput("weights must be a list of numbers") from None
    if rho.shape != batch:
        raise BadInput(f"weights has shape {rho.shape}, must be {batch}: one weight per prompt")
    if not np.all(np.isfinite(rho)) or np.any(rho < 0) or rho.sum() <= 0:
        raise BadInput("weights must be finite, at least 0 and not all 0")
    return rho / rho.sum()


def _worst(badness: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(k) for k in np.unravel_index(int(np.argmax(badness)), badness.shape))


def _at(entry: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(k) for k in entry) + "]"


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array = np.ascontiguousarray(array, dtype=np.float64)
    array.setflags(write=False)
    return array

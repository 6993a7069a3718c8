"""Games whose matrix never fits in memory: known only through its products v ↦ Av, in float64.

    low rank  A = U R Vᵀ,   sparse,   or any function of v       (A skew, so that vᵀA = −(Av)ᵀ needs no second function)

Exploitability and the regularised equilibrium need nothing else: E2, E3, N14 and N26.  Their bounds are float64's and
say so.  What needs the entries of A refuses by name: the maximal lottery, exact answers, ball arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.certificate import certify
from nashlab.equilibrium import products
from nashlab.game import BadInput, check_temperature, log_reference_of
from nashlab.solution import Solution, Status, effective_temperature

__all__ = ["OperatorGame", "operator_nash"]

Array = NDArray[np.float64]

PROBES = 4  # random vectors, of two signs, by which A must be skew
COLUMNS = 8  # of A whose entries must lie within ``largest``
TOLERANCE = 1e-9  # of ‖Ax‖ ‖y‖, for xᵀAy + yᵀAx = 0: far above rounding, far below any preference
PATIENCE = 100_000  # products


@dataclass(frozen=True, eq=False)
class OperatorGame:
    """A game of n responses given by the products of its margins; build it with :meth:`from_operator` or factors.

    multiply       v ↦ Av, [n] -> [n].
    log_reference  log μ, [n].
    largest        an upper bound of |A_ij|: ½ for preferences.

    It has what the certificates need, so :func:`nashlab.certificate.certify` and ``exploitability`` take it as a game.
    """

    multiply: Callable[[Array], Array]
    log_reference: Array
    largest: NDArray[np.float64]

    name: ClassVar[str] = "game"
    batch: ClassVar[tuple[int, ...]] = ()

    @classmethod
    def from_operator(
        cls, margins: Any, *, n: int | None = None, reference: ArrayLike | None = None, largest: float = 0.5
    ) -> OperatorGame:
        """From a scipy LinearOperator, a sparse or dense (also memory-mapped) matrix, or a function v ↦ Av with n.

        A must be skew and |A| ≤ largest: both are tried on a few vectors and columns, and a violation is named.

        >>> game = OperatorGame.from_operator(lambda v: np.array([v[1], -v[0]]) / 5, n=2)
        >>> game.advantage(np.log([0.5, 0.5])).tolist()
        [0.1, -0.1]
        """
        margins = np.asarray(margins) if isinstance(margins, (list, tuple)) else margins
        if not hasattr(margins, "shape"):
            if not callable(margins):
                raise BadInput("margins must be a matrix, a LinearOperator, or a function v ↦ Av with n")
            if n is None:
                raise BadInput("n: a function v ↦ Av does not say how many responses there are, so n is needed")
            return cls._checked(margins, n, reference, largest)
        from scipy.sparse.linalg import aslinearoperator

        shape = tuple(margins.shape)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise BadInput(f"margins has shape {shape}, must be square [n, n]")
        if getattr(getattr(margins, "dtype", None), "kind", "f") not in "fiu":
            raise BadInput(f"margins must hold real numbers, not {margins.dtype}")
        if n is not None and n != shape[0]:
            raise BadInput(f"n = {n}, but margins has shape {shape}")
        return cls._checked(aslinearoperator(margins).matvec, shape[0], reference, largest)

    @classmethod
    def from_factors(
        cls,
        left: ArrayLike,
        core: ArrayLike,
        right: ArrayLike,
        *,
        reference: ArrayLike | None = None,
        largest: float = 0.5,
    ) -> OperatorGame:
        """From A = U R Vᵀ with U [n, r], R [r, s], V [n, s]: r + s numbers a response, 2n(r + s) operations a product.

        >>> skill = np.array([[0.3], [0.2], [0.1]])
        >>> u = np.hstack([skill, np.ones((3, 1))])
        >>> game = OperatorGame.from_factors(u, [[0, 1], [-1, 0]], u)
        >>> game.advantage(np.log([0.25, 0.25, 0.5])).round(3).tolist()
        [0.125, 0.025, -0.075]
        """
        u, r, v = (_matrix(x, name) for x, name in ((left, "left"), (core, "core"), (right, "right")))
        if u.shape[0] != v.shape[0] or r.shape != (u.shape[1], v.shape[1]):
            raise BadInput(
                f"left {u.shape}, core {r.shape} and right {v.shape} do not multiply to a square matrix "
                "([n, r], [r, s], [n, s])"
            )
        return cls._checked(lambda x: u @ (r @ (v.T @ x)), len(u), reference, largest)

    @classmethod
    def _checked(
        cls, multiply: Callable[[Array], Any], n: int, reference: ArrayLike | None, largest: float
    ) -> OperatorGame:
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise BadInput(f"n = {n!r}, must be a whole number of at least 1")
        if not isinstance(largest, (int, float, np.number)) or not 0 < largest < np.inf:
            raise BadInput(f"largest = {largest!r}, must be positive and finite")

        def product(v: Array) -> Array:
            value = np.asarray(multiply(v.copy()))  # a copy, since the function may work in place
            if value.shape != (n,):
                raise BadInput(f"margins: the product Av has shape {value.shape}, must be {(n,)} like v")
            if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
                raise BadInput("margins: the product Av holds something that is not a finite real number")
            return value.astype(np.float64, copy=False)

        _check_products(product, n, largest)
        return cls(product, log_reference_of(reference, n, ()), np.asarray(float(largest)))

    @property
    def n(self) -> int:
        """The number of responses."""
        return len(self.log_reference)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the responses: their numbers."""
        return tuple(str(i) for i in range(1, self.n + 1))

    @property
    def support(self) -> NDArray[np.bool_]:
        """Where μ > 0, [n]."""
        return np.isfinite(self.log_reference)

    def advantage(self, log_policy: Array) -> Array:
        """(Aπ)(y) = p(y ≻ π) − ½, [n]."""
        return self.multiply(np.exp(log_policy))

    @property
    def margins(self) -> Array:
        """Refused: there are only products."""
        raise BadInput(
            "an OperatorGame has products Av but no entries of A: operator_nash (temperature > 0), certify and "
            "exploitability work with it; for anything else build PreferenceGame.from_margins(A)"
        )

    exact = preferences = reference_exact = margins


def operator_nash(game: OperatorGame, temperature: float, *, throw: bool = False) -> Solution:
    """The regularised equilibrium π*_τ ∝ μ exp(Aπ*_τ/τ), τ > 0, by products with A alone.

    The certificate is float64's (E3, N14): it ignores the rounding of the products.  Status as for
    :func:`nashlab.equilibrium.regularised_nash`, with ``largest`` in the place of max|A|; STALLED also if 100,000
    products do not suffice, and the bound then says how near the answer is.  Memory: about 15 vectors of n numbers.
    Errors: BadInput for τ = 0, whose lottery needs the entries of A; NotSolved with ``throw``.  Source: E1-E3, N26.

    >>> from scipy.sparse import csr_array
    >>> cycle = csr_array(np.array([[0, 0.5, -0.5], [-0.5, 0, 0.5], [0.5, -0.5, 0]]))
    >>> answer = operator_nash(OperatorGame.from_operator(cycle, reference=[0.5, 0.25, 0.25]), 0.1)
    >>> answer.policy.round(4).tolist(), answer.status.token, answer.certificate.kind
    ([0.3501, 0.2842, 0.3656], 'converged', 'float')
    """
    tau = check_temperature(temperature)
    if tau == 0:
        raise BadInput(
            "temperature = 0: the maximal lottery needs the entries of A, which an OperatorGame does not have; "
            "use a positive temperature, or maximal_lottery of a PreferenceGame"
        )
    unit = float(np.exp2(np.frexp(game.largest)[1]))  # a power of two, so that |A|/unit < 1 without rounding
    if tau < unit / products.UP_TO:
        raise BadInput(
            f"temperature = {tau:g}: products alone reach the equilibrium from {unit / products.UP_TO:g} on, for "
            f"|A| ≤ {float(game.largest):g}"
        )
    effective = effective_temperature(game.largest, tau)
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves float64 is not near
        found = products.solve(
            lambda v: game.multiply(v) / unit, game.log_reference, unit / tau, float(effective), PATIENCE
        )
    assert found.nearest is not None
    log_policy = game.log_reference + found.nearest
    for _ in range(2):  # the first sum of large log-ratios is rounded to the unit of the largest
        log_policy = log_policy - log_policy.max()
        log_policy -= np.log(np.exp(log_policy).sum())
    certificate = certify(game, log_policy, tau)  # type: ignore[arg-type]
    status = Status.of(effective, certificate)
    stats = {"products": found.products}
    return Solution(game, tau, log_policy, status, certificate, unique=True, stats=stats).checked(throw)  # type: ignore[arg-type]


def _matrix(values: ArrayLike, name: str) -> Array:
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{name} must be a matrix of finite numbers in rows of equal length") from None
    if matrix.ndim != 2 or not np.all(np.isfinite(matrix)):
        raise BadInput(f"{name} must be a matrix of finite numbers, has shape {matrix.shape}")
    return matrix


def _check_products(product: Callable[[Array], Array], n: int, largest: float) -> None:
    """Name the rule that A breaks, as far as a few products show it: linear, skew, |A| ≤ largest."""
    rng = np.random.default_rng(0)
    for column in rng.choice(n, min(COLUMNS, n), replace=False).tolist():
        values = product(np.eye(1, n, column)[0])
        worst = int(np.argmax(np.abs(values)))
        if abs(values[worst]) > largest * (1 + TOLERANCE):
            raise BadInput(
                f"margins[{worst}, {column}] = {values[worst]:.6g} exceeds largest = {largest:g}; state a larger bound"
            )
    probes = rng.choice([-1.0, 1.0], (PROBES, n))
    images = np.array([product(x) for x in probes])
    size = float(np.linalg.norm(images))
    if not np.linalg.norm(product(probes.sum(axis=0)) - images.sum(axis=0)) <= TOLERANCE * size:
        raise BadInput("margins: A(x + y) is not Ax + Ay, so the function is not a matrix")
    pairs = probes @ images.T
    off = float(np.abs(pairs + pairs.T).max())
    if not off <= TOLERANCE * size * np.sqrt(n):
        raise BadInput(f"margins: xᵀAy + yᵀAx = {off:.3g} for two vectors of signs, must be 0: A = P − ½ is skew")

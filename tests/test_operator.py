"""Games known by their products alone, against the same games with their matrix; and what such games refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from nashlab.answer import answer_of
from nashlab.certificate import certify, exploitability
from nashlab.equilibrium import (
    OperatorGame,
    maximal_lottery,
    nash,
    operator_nash,
    products,
    regularised_nash,
    sensitivity,
)
from nashlab.game import BadInput, PreferenceGame
from nashlab.solution import NotSolved, Status

Array = NDArray[np.float64]
N = 60


def low_rank(n: int = N, seed: int = 0) -> tuple[Array, Array]:
    """(U, R) with A = U R Uᵀ: two skills that beat each other in turn, and a strength; |A| ≤ ½."""
    rng = np.random.default_rng(seed)
    u = np.column_stack([rng.uniform(-1, 1, (n, 2)), rng.uniform(0, 1, n), np.ones(n)])
    r = np.zeros((4, 4))
    r[0, 1], r[1, 0], r[2, 3], r[3, 2] = 0.15, -0.15, 0.2, -0.2
    return u, r


def sparse(n: int = N, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(-0.5, 0.5, (n, n)) * (rng.random((n, n)) < 0.1), 1)
    return csr_array(upper - upper.T)


def kinds(tmp_path: Path) -> dict[str, tuple[Array, Callable[[Any], OperatorGame]]]:
    """name -> (A, how the game is built from a reference)."""
    u, r = low_rank()
    dense, thin = u @ r @ u.T, sparse()
    dense = (dense - dense.T) / 2
    np.save(tmp_path / "margins.npy", dense)
    mapped = np.load(tmp_path / "margins.npy", mmap_mode="r")

    def in_place(v: Array) -> Array:
        v[:] = dense @ v  # a function may use its argument as it likes
        return v

    build = OperatorGame.from_operator
    return {
        "factors": (dense, lambda mu: OperatorGame.from_factors(u, r, u, reference=mu)),
        "sparse": (thin.toarray(), lambda mu: build(thin, reference=mu)),
        "function": (dense, lambda mu: build(in_place, n=N, reference=mu)),
        "operator": (dense, lambda mu: build(aslinearoperator(dense), reference=mu)),
        "on disk": (dense, lambda mu: build(mapped, reference=mu)),
        "single precision": (dense.astype(np.float32), lambda mu: build(dense.astype(np.float32), reference=mu)),
        "of size 1e-9": (1e-9 * dense, lambda mu: build(1e-9 * dense, reference=mu, largest=5e-10)),
    }


NAMES = ("factors", "sparse", "function", "operator", "on disk", "single precision", "of size 1e-9")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tau", [1.0, 0.1, 0.01])
def test_products_alone_give_the_answer_of_the_matrix(name: str, tau: float, tmp_path: Path) -> None:
    dense, build = kinds(tmp_path)[name]
    mu = np.random.default_rng(1).dirichlet(np.ones(N))
    tau = tau * 1e-9 if name == "of size 1e-9" else tau
    known = regularised_nash(PreferenceGame.from_margins(dense, reference=mu), tau)
    game = build(mu)
    found = operator_nash(game, tau)
    # single precision rounds each product to 6e-8, far above the error of the method
    close = 1e-4 if name == "single precision" else 1e-11
    assert np.abs(found.policy - known.policy).sum() <= close
    assert found.status is Status.CONVERGED or name == "single precision"
    assert found.certificate.kind == "float"
    assert not found.certificate.rigorous
    assert found.stats["products"] < 400
    # the canary: a temperature that is off by a thousandth is told apart
    assert np.abs(operator_nash(game, tau * 1.001).policy - known.policy).sum() > close / 10
    # the certificate and the exploitability of any policy, too
    policy = np.log(np.random.default_rng(2).dirichlet(np.ones(N)))
    whole = PreferenceGame.from_margins(dense, reference=mu)
    for t in (0.0, tau):
        one, other = exploitability(game, policy, t), exploitability(whole, policy, t)  # type: ignore[arg-type]
        assert float(one) == pytest.approx(float(other), rel=1e-5)
    assert certify(game, policy, tau).l1_bound == pytest.approx(certify(whole, policy, tau).l1_bound, rel=1e-5)  # type: ignore[arg-type]


def test_a_bound_of_a_stalled_answer_covers_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    margins = sparse().toarray()
    known = regularised_nash(PreferenceGame.from_margins(margins), 0.02)
    monkeypatch.setattr("nashlab.equilibrium.operator.PATIENCE", 20)
    game = OperatorGame.from_operator(margins)
    found = operator_nash(game, 0.02)
    assert found.status is Status.STALLED
    off = np.abs(found.policy - known.policy).sum()
    assert 1e-9 < off <= found.certificate.l1_bound
    with pytest.raises(NotSolved, match="distance to the equilibrium"):
        operator_nash(game, 0.02, throw=True)


def test_a_game_of_ten_thousand_responses_needs_a_few_vectors_of_memory() -> None:
    import tracemalloc

    u, r = low_rank(10_000)
    tracemalloc.start()
    found = operator_nash(OperatorGame.from_factors(u, r, u), 0.1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.status is Status.CONVERGED
    assert peak < 60 * 8 * 10_000  # bytes: the matrix would take 800 million
    # the equilibrium condition itself, by products written out
    pi = found.policy
    reply = (u @ (r @ (u.T @ pi))) / 0.1
    assert np.ptp(np.log(pi) - reply) <= 1e-11


def zero(v: Array) -> Array:
    return 0.0 * v


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: OperatorGame.from_operator(zero), "n: a function v ↦ Av does not say how many"),
    (lambda: OperatorGame.from_operator(zero, n=0), "n = 0, must be a whole number of at least 1"),
    (lambda: OperatorGame.from_operator(zero, n=2.5), "n = 2.5, must be a whole number"),  # type: ignore[arg-type]
    (lambda: OperatorGame.from_operator(zero, n=3, largest="x"), "largest = 'x', must be pos"),  # type: ignore[arg-type]
    (lambda: OperatorGame.from_operator([[0, "a"], [1, 0]]), "margins must hold real numbers, not <U"),
    (lambda: OperatorGame.from_operator(3), "margins must be a matrix, a LinearOperator, or a function"),
    (lambda: OperatorGame.from_operator(np.zeros((2, 3))), r"margins has shape \(2, 3\), must be square"),
    (lambda: OperatorGame.from_operator(np.zeros((2, 2)), n=3), r"n = 3, but margins has shape \(2, 2\)"),
    (lambda: OperatorGame.from_operator(np.eye(3) / 4), r"xᵀAy \+ yᵀAx = .* must be 0"),
    (lambda: OperatorGame.from_operator(sparse().toarray() + 1e-6), r"xᵀAy \+ yᵀAx = .* must be 0"),
    (lambda: OperatorGame.from_operator(3 * sparse().toarray()), r"margins\[\d+, \d+\] = .* exceeds largest = 0.5"),
    (lambda: OperatorGame.from_operator(lambda v: np.sin(v) / 3, n=3), r"A\(x \+ y\) is not Ax \+ Ay"),
    (lambda: OperatorGame.from_operator(lambda v: v[:1], n=3), r"Av has shape \(1,\), must be \(3,\)"),
    (lambda: OperatorGame.from_operator(lambda v: v * np.nan, n=3), "not a finite real number"),
    (lambda: OperatorGame.from_operator(lambda v: 1j * v, n=3), "not a finite real number"),
    (lambda: OperatorGame.from_operator(zero, n=3, largest=0), "largest = 0, must be positive and finite"),
    (lambda: OperatorGame.from_operator(zero, n=3, reference=[0.5, 0.5]), r"reference has shape \(2,\)"),
    (lambda: OperatorGame.from_factors(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2))), "do not multiply to a sq"),
    (lambda: OperatorGame.from_factors([[1], [1, 2]], [[1]], [[1]]), "left must be a matrix of finite numbers in rows"),
    (lambda: OperatorGame.from_factors(np.ones(3), np.ones((1, 1)), np.ones(3)), "left must be a matrix of finite"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_no_game_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        call()


def test_what_needs_entries_is_refused_with_what_works() -> None:
    game: Any = OperatorGame.from_operator(sparse())
    with pytest.raises(BadInput, match="temperature = 0: the maximal lottery needs the entries"):
        operator_nash(game, 0.0)
    with pytest.raises(BadInput, match="temperature = 1e-07: products alone reach the equilibrium from 1e-06 on"):
        operator_nash(game, 1e-7)
    with pytest.raises(BadInput, match="temperature = -1"):
        operator_nash(game, -1)
    answer = operator_nash(game, 0.1)
    refused: list[Callable[[], Any]] = [
        lambda: maximal_lottery(game),
        lambda: nash(game, 0.1),
        lambda: regularised_nash(game, 0.1),
        lambda: sensitivity(game, 0.1),
        lambda: answer_of(answer),
    ]
    for call in refused:
        with pytest.raises(BadInput, match="an OperatorGame has products Av but no entries of A: operator_nash"):
            call()


def test_one_response_and_even_games_are_their_reference() -> None:
    rows = [[0, 0.2], [-0.2, 0]]
    assert operator_nash(OperatorGame.from_operator(rows), 0.1).policy[0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert operator_nash(OperatorGame.from_operator(np.zeros((1, 1))), 0.1).policy.tolist() == [1.0]
    mu = [0.5, 0.25, 0.25]
    assert operator_nash(OperatorGame.from_operator(zero, n=3, reference=mu), 0.1).policy.tolist() == mu
    operator = LinearOperator((3, 3), matvec=zero, dtype=np.float64)
    assert operator_nash(OperatorGame.from_operator(operator), 1e-5).status is Status.CONVERGED
    assert products.UP_TO == 1e6

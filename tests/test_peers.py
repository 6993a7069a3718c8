"""The answers against programs that we did not write; each test skips where its peer is not installed.

    pip install "nashlab[peers]"; python -m pytest tests/test_peers.py

pygambit     all extreme equilibria and linear programs in rationals; logit quantal response equilibria
quantecon    minmax (float simplex), vertex enumeration, Lemke-Howson in floats
HiGHS        linear programs in floats, through scipy
open_spiel   exploitability, regularised or not

A symmetric zero-sum game has payoffs A for the row and Aᵀ for the column player; both players' equilibria are then the
maximal lotteries, and with rationality λ = 1/τ and uniform reference the symmetric logit equilibrium is π*_τ.  A peer
that disagrees is shown to err: by its own tolerance, or by the exact conditions of optimality.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nashlab.certificate import check_lottery, exploitability
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import FAMILIES, GALLERY, get, random_game
from nashlab.game import PreferenceGame

WEIGHTED = [[0, 3, -1], [-3, 0, 2], [1, -2, 0]]  # lottery (1/3, 1/6, 1/2) at every scale
LOTTERY = np.array([1 / 3, 1 / 6, 1 / 2])
FEASIBLE = 1e-7  # primal and dual feasibility tolerance of HiGHS, absolute
SMALL = [name for name in GALLERY if get(name).n <= 6]


def peer(name: str) -> ModuleType:
    with warnings.catch_warnings():  # of the peer's own imports
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f'{name} is not installed: pip install "nashlab[peers]"')


def integer_games(count: int, most: int = 5) -> Iterator[PreferenceGame]:
    """Small integers, about half of which have several lotteries."""
    rng = np.random.default_rng(7)
    for _ in range(count):
        n, width = int(rng.integers(2, most + 1)), int(rng.integers(1, 4))
        upper = np.triu(rng.integers(-width, width + 1, (n, n)), 1)
        yield PreferenceGame.from_margins(upper - upper.T)


# -- Gambit -----------------------------------------------------------------------------------------------------------


def gambit_game(gambit: ModuleType, rows: Any) -> Any:
    """The bimatrix game (A, Aᵀ) through Gambit's own file format, the only way in that its versions share."""
    n = len(rows)
    names = " ".join(f'"{i}"' for i in range(n))
    payoffs = " ".join(f"{rows[i][j]} {rows[j][i]}" for j in range(n) for i in range(n))
    text = f'NFG 1 R "symmetric" {{ "row" "column" }} {{ {{ {names} }} {{ {names} }} }}\n\n{payoffs}\n'
    return gambit.read_nfg(io.BytesIO(text.encode()))


def row_policy(profile: Any) -> list[Any]:
    profile = getattr(profile, "profile", profile)  # of a logit equilibrium
    player = next(iter(profile.game.players))
    return [probability for _, probability in profile[player]]


@pytest.mark.parametrize("name", SMALL)
def test_gambit_finds_the_vertices_of_gallery_games(name: str) -> None:
    _compare_vertices(get(name))


def test_gambit_finds_the_vertices_of_small_integer_games() -> None:
    several = sum(_compare_vertices(game) > 1 for game in integer_games(60))
    assert several > 10  # the games do test faces


def _compare_vertices(game: PreferenceGame) -> int:
    """The extreme equilibria of (A, Aᵀ) are the pairs of vertices, so their row policies are the vertices, exactly."""
    gambit = peer("pygambit")
    answer = maximal_lottery(game)
    ours = set(answer.face.vertices) if answer.face else {answer.policy_exact}
    found = gambit.nash.enummixed_solve(gambit_game(gambit, game.exact), rational=True).equilibria
    theirs = {tuple(Fraction(str(p)) for p in row_policy(profile)) for profile in found}
    assert theirs == ours
    return len(ours)


def test_the_rational_linear_program_of_gambit_gives_a_lottery() -> None:
    """Where it is unique, the same one.  (16.7 returned (1, 0, 0) for WEIGHTED times 5e7 and more.)"""
    gambit = peer("pygambit")
    for game in integer_games(60):
        theirs = _rational_program(gambit, game)
        assert game.exact is not None
        assert check_lottery(game.exact, theirs).valid
        answer = maximal_lottery(game)
        if answer.unique:
            assert theirs == answer.policy_exact


@pytest.mark.parametrize("scale", [1, 10**6, 10**9, Fraction(1, 10**9)])
def test_a_disagreement_with_gambits_rational_program_is_its_fault(scale: Fraction) -> None:
    """Our lottery is valid at every scale; Gambit's is the same, or no lottery by the exact conditions."""
    gambit = peer("pygambit")
    game = PreferenceGame.from_margins([[scale * x for x in row] for row in WEIGHTED])
    ours = maximal_lottery(game).policy_exact
    assert ours == (Fraction(1, 3), Fraction(1, 6), Fraction(1, 2))
    theirs = _rational_program(gambit, game)
    assert game.exact is not None
    assert theirs == ours or not check_lottery(game.exact, theirs).valid


def _rational_program(gambit: ModuleType, game: PreferenceGame) -> tuple[Fraction, ...]:
    found = gambit.nash.lp_solve(gambit_game(gambit, game.exact), rational=True)
    profile = found.equilibrium if hasattr(found, "equilibrium") else found.equilibria[0]
    return tuple(Fraction(str(p)) for p in row_policy(profile))


@pytest.mark.parametrize("tau", [3.0, 1.0, 0.3, 0.1, 0.03])
@pytest.mark.parametrize("name", ["figure-6", "raters-tilted", "lengths", "soundquality", "rps-and-loser", "condorcet"])
def test_gambits_logit_equilibrium_is_the_regularised_one(name: str, tau: float) -> None:
    """λ = 1/τ, uniform reference.  Gambit follows its path in floats, to about 1e-9; a λ off by 1e-5 is seen."""
    gambit = peer("pygambit")
    game = get(name).with_reference(None)
    found = gambit.qre.logit_solve_lambda(gambit_game(gambit, game.exact), [1 / tau, 1.00001 / tau])
    theirs, off = (np.array(row_policy(each), dtype=float) for each in found)
    ours = regularised_nash(game, tau).policy
    assert np.sum(np.abs(theirs - ours)) < 1e-8
    assert np.sum(np.abs(off - ours)) > 1e-8


def test_another_reference_enters_gambits_logit_equilibrium_as_payoffs() -> None:
    """π ∝ μ exp(Aπ/τ) = exp((Aπ + τ log μ)/τ): a bonus τ log μ_i for response i, whatever the opponent does."""
    gambit = peer("pygambit")
    tau, reference = 0.25, [0.5, 0.3, 0.2]
    game = PreferenceGame.from_margins(np.array(WEIGHTED) / 6, reference=reference)
    bonus = [[Fraction(x) for x in row] for row in (game.margins + tau * np.log(reference)[:, None]).tolist()]
    theirs = gambit.qre.logit_solve_lambda(gambit_game(gambit, bonus), [1 / tau])[0]
    assert np.sum(np.abs(np.array(row_policy(theirs), dtype=float) - regularised_nash(game, tau).policy)) < 1e-8


# -- HiGHS ------------------------------------------------------------------------------------------------------------


def highs(margins: np.ndarray) -> np.ndarray:
    """max v, xᵀA ≥ v, Σx = 1, x ≥ 0."""
    from scipy.optimize import linprog

    n = len(margins)
    upper = np.hstack([-margins.T, np.ones((n, 1))])
    found = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=upper,
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    return np.asarray(found.x[:n])


@pytest.mark.parametrize("family", FAMILIES)
def test_highs_agrees_within_its_tolerance(family: str) -> None:
    """What it returns loses at most its feasibility tolerance; where the lottery is well-conditioned it is the same."""
    rng = np.random.default_rng(3)
    for _ in range(10):
        game = random_game(family, int(rng.integers(3, 30)), rng)
        unit = float(np.max(np.abs(game.margins)))
        theirs = highs(game.margins / unit)
        assert np.max(game.margins / unit @ theirs) <= 2 * FEASIBLE
        answer = maximal_lottery(game)
        held = np.flatnonzero(answer.policy)
        condition = np.linalg.cond(game.margins[np.ix_(held, held)] / unit + 1.0)
        slack = np.delete(-(game.margins / unit) @ answer.policy, held)
        assert answer.unique
        if np.min(slack, initial=1.0) > 1e-3 and np.min(answer.policy[held]) > 1e-3:  # their basis must be ours
            assert np.sum(np.abs(theirs - answer.policy)) < 1e-6 * condition


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-9, 1e-12])
def test_a_disagreement_with_highs_is_its_tolerance(scale: float) -> None:
    """At small scales every policy is feasible to 1e-7, so HiGHS may return any; ours does not depend on the scale."""
    margins = scale * np.array(WEIGHTED, dtype=float)
    assert np.sum(np.abs(maximal_lottery(PreferenceGame.from_margins(margins)).policy - LOTTERY)) < 1e-12
    theirs = highs(margins)
    assert np.max(margins @ theirs) <= 2 * FEASIBLE
    if np.sum(np.abs(theirs - LOTTERY)) > 1e-6:
        assert scale * 3 <= FEASIBLE * 100


# -- quantecon --------------------------------------------------------------------------------------------------------


def test_quantecons_minmax_agrees_on_games_of_unit_scale() -> None:
    peer("quantecon")
    from quantecon.optimize.minmax import minmax

    for game in integer_games(60, most=7):
        answer = maximal_lottery(game)
        _, theirs, _ = minmax(game.margins)
        assert np.max(game.margins @ theirs) < 1e-9
        if answer.unique:
            assert np.sum(np.abs(theirs - answer.policy)) < 1e-9


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 1e-9])
def test_a_disagreement_with_quantecons_minmax_is_its_tolerance(scale: float) -> None:
    """It shifts A by max|A| + 1 and pivots with absolute tolerances: small margins drown in the shift."""
    peer("quantecon")
    from quantecon.optimize.minmax import minmax

    margins = scale * np.array(WEIGHTED, dtype=float)
    _, theirs, _ = minmax(margins)
    if np.sum(np.abs(theirs - LOTTERY)) > 1e-6:
        assert scale <= 1e-6
        assert exploitability(PreferenceGame.from_margins(margins), _log(theirs), 0.0) > 0.01 * scale


def test_quantecons_vertex_enumeration_finds_our_vertices() -> None:
    """In floats, and for nondegenerate games only: every equilibrium that it does find lies on our face."""
    quantecon = peer("quantecon.game_theory")
    complete = 0
    for game in integer_games(60):
        answer = maximal_lottery(game)
        ours = answer.face.vertices if answer.face else (answer.policy_exact,)
        players = [quantecon.Player(game.margins) for _ in range(2)]
        theirs = quantecon.vertex_enumeration(quantecon.NormalFormGame(players))
        for x, _ in theirs:
            assert np.max(game.margins @ x) < 1e-9
        near = [any(np.sum(np.abs(x - np.array(v, dtype=float))) < 1e-9 for x, _ in theirs) for v in ours]
        if answer.unique and all(s > 0 for s, p in zip(answer.slacks, answer.policy_exact, strict=True) if p == 0):
            assert near == [True]
        complete += all(near)
    assert complete > 30


def _log(policy: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(policy)


# -- OpenSpiel --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.0, 0.01, 0.3, 3.0])
def test_open_spiels_exploitability_is_ours(tau: float) -> None:
    """Its regularised exploitability max_y u(y, π) + τH(y) − u(π, π) − τH(π) is τ KL(π‖BR(π)) for uniform reference."""
    module = peer("open_spiel.python.algorithms.adidas_utils.helpers.symmetric.exploitability")
    rng = np.random.default_rng(5)
    for family in FAMILIES:
        game = random_game(family, int(rng.integers(2, 20)), rng)
        policy = rng.dirichlet(np.ones(game.n))
        theirs = module.qre_exploitability(policy, np.stack([game.margins, game.margins.T]), tau)
        # both sum entropies of size τ log n
        assert abs(theirs - exploitability(game, np.log(policy), tau)) < 1e-13 * (1 + tau * np.log(game.n))


@pytest.mark.parametrize("tau", [0.05, 0.3, 3.0])
def test_open_spiel_finds_nothing_to_exploit_in_our_equilibria(tau: float) -> None:
    module = peer("open_spiel.python.algorithms.adidas_utils.helpers.symmetric.exploitability")
    rng = np.random.default_rng(6)
    for family in FAMILIES:
        game = random_game(family, 8, rng)
        tensor = np.stack([game.margins, game.margins.T])
        assert abs(module.qre_exploitability(regularised_nash(game, tau).policy, tensor, tau)) < 1e-13 * (1 + tau * 3)
        assert abs(module.qre_exploitability(maximal_lottery(game).policy, tensor, 0.0)) < 1e-13


def test_our_lottery_is_at_rest_under_open_spiels_replicator_dynamics() -> None:
    """x_i' = x_i ((Ax)_i − xᵀAx) vanishes on the support of an equilibrium, and off it nobody is there to grow."""
    dynamics = peer("open_spiel.python.egt.dynamics")
    for game in integer_games(40):
        policy = maximal_lottery(game).policy
        change = dynamics.replicator(policy, game.margins @ policy)
        assert np.max(np.abs(change)) < 1e-13

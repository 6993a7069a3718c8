"""The maximal lottery: the equilibrium of the unregularised game, exactly where the input is rational (E6, E6b).

    x ≥ 0,  Σx = 1,  s = −Ax ≥ 0       (then x·s = 0 for every skew A: no dual problem is needed)

An interior point method (:mod:`nashlab.equilibrium.interior`) finds which responses have mass; the weights are then the
kernel of A on them, solved once in float64, in balls or in rationals.  If there are several lotteries the answer is
E5's limit, the KL-projection of μ on their face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate import (
    Certificate,
    bound_rational,
    certify,
    check_lottery,
    enclose_lottery,
    enclose_projection,
)
from nashlab.certificate.rounding import unit_scale
from nashlab.equilibrium.exact import ExactFace, exact_face, guessed_face
from nashlab.equilibrium.interior import Guess, interior_point, kernel_policy
from nashlab.equilibrium.projection import Projection, nearest, project
from nashlab.equilibrium.tableau import simplex_support
from nashlab.game import PreferenceGame
from nashlab.solution import Face, Solution, Status

__all__ = ["maximal_lottery"]

Array = NDArray[np.float64]

SIMPLEX_TO = 50  # responses up to which the simplex takes less time than an interior point method
EXACT_LIMIT = 100  # responses up to which rational input is solved in rationals by default
GUESSED_LIMIT = 300  # responses up to which rationals are tried if float64 proves nothing
LEAST = Fraction(1, 10**300)  # a larger rational has a float64 of full precision


def maximal_lottery(game: PreferenceGame, *, exact: bool | None = None, throw: bool = False) -> Solution:
    """A policy that no response beats: max_π min_y (πᵀA)_y, at any scale of A; in a batch, prompt by prompt.

    exact  True: in rational arithmetic for any input (doubles are rationals too); False: in float64, with a proof if it
           is unique; None: exactly if the game is rational with at most 100 responses, or if float64 cannot decide.

    Exact answers carry ``policy_exact``, ``slacks``, ``unique`` (proved) and, if there are several equilibria, the
    whole ``face``; the policy is then argmin KL(π‖μ) over it, whose ``policy_exact`` is None when it is irrational.
    Status CONVERGED means a proved distance of at most 1e-10; a policy that no response is known to beat, but whose
    distance is unknown, is STALLED.  Source: E5, E6, E6b.  Errors: NotSolved with ``throw``.

    >>> rps = PreferenceGame.from_margins([[0, 3, -1], [-3, 0, 2], [1, -2, 0]])
    >>> [str(x) for x in maximal_lottery(rps).policy_exact]
    ['1/3', '1/6', '1/2']
    """
    if game.batch:
        parts = [maximal_lottery(game.prompt(x), exact=exact) for x in range(game.batch[0])]
        return together(game, 0.0, parts).checked(throw)
    rational = exact if exact is not None else game.exact is not None and game.n <= EXACT_LIMIT
    margins, _ = unit_scale(game.margins)
    guess = _guess(margins)
    if rational:
        return _in_rationals(game, margins, guess).checked(throw)
    answer = _in_floats(game, margins, guess)
    if answer.status.ok or exact is False or game.n > GUESSED_LIMIT:
        return answer.checked(throw)
    if game.n <= EXACT_LIMIT:
        return _in_rationals(game, margins, guess).checked(throw)
    # an exact simplex would take hours: only the guess is tried
    face = guessed_face(_exact_margins(game), guess.policy, guess.support)
    return (answer if face is None else _from_face(game, margins, guess, face)).checked(throw)


def _guess(margins: Array) -> Guess:
    """By the simplex, if its support is proved, in small games; else by the interior point method."""
    if len(margins) <= SIMPLEX_TO:
        support = simplex_support(margins)
        policy = None if support is None else kernel_policy(margins, support)
        if support is not None and policy is not None:
            return Guess(policy, support, True, 0)
    return interior_point(margins)


# -- answers ------------------------------------------------------------------------------------------------------


def _in_floats(game: PreferenceGame, margins: Array, guess: Guess) -> Solution:
    """The float64 answer, proved in balls if the size allows it."""
    stats = {"factorisations": guess.iterations}
    policy = guess.policy if guess.sure else _float_projection(margins, guess, game.reference)
    log_policy = _log(policy)
    proof = enclose_lottery(game, log_policy) if guess.sure else None
    if proof is None:
        return Solution(game, 0.0, log_policy, Status.STALLED, _unproved(game, log_policy), stats=stats)
    return Solution(game, 0.0, log_policy, Status.of(0.0, proof), proof, unique=True, stats=stats)


def _unproved(game: PreferenceGame, log_policy: Array) -> Certificate:
    """The gap of a policy whose support has no proof, rounded up; a small gap says nothing about π (E6b)."""
    found = certify(game, log_policy, 0.0)
    # a product of n terms, exp, and the printing of probabilities and their logarithms (Σp|log p| ≤ log n)
    rounding = (game.n + 16) * np.finfo(np.float64).eps * float(np.max(np.abs(game.margins)))
    return replace(found, exploitability=float(found.exploitability) + rounding)


def _float_projection(margins: Array, guess: Guess, reference: Array) -> Array:
    """The KL-projection of μ on the face at the interior point's end, its kernel found by singular values."""
    held = guess.support if guess.support.size else np.arange(len(margins))
    square = margins[np.ix_(held, held)]
    _, size, right = np.linalg.svd(square)
    kernel = right[size <= 1e-10].T
    start = guess.policy[held] / np.sum(guess.policy[held])
    start = kernel @ (kernel.T @ start)
    if kernel.shape[1] < 2 or np.min(start) <= 0:
        return guess.policy
    rest = np.setdiff1d(np.arange(len(margins)), held)
    policy = np.zeros(len(margins))
    policy[held] = project(start / np.sum(start), kernel, -margins[np.ix_(rest, held)], reference[held])
    return policy


def _exact_margins(game: PreferenceGame) -> tuple[tuple[Fraction, ...], ...]:
    """The margins as rationals, since a double is a rational."""
    return game.exact or tuple(tuple(Fraction(x) for x in row) for row in game.margins.tolist())


def _in_rationals(game: PreferenceGame, scaled: Array, guess: Guess) -> Solution:
    """The exact answer with a proof of uniqueness, or the whole face with the projection of μ."""
    return _from_face(game, scaled, guess, exact_face(_exact_margins(game), guess.policy, guess.support))


def _from_face(game: PreferenceGame, scaled: Array, guess: Guess, found: ExactFace) -> Solution:
    stats = {"factorisations": guess.iterations, "pivots": found.pivots}
    if found.dimension == 0:
        return _exact_solution(game, found.middle, True, None, stats)
    face = Face(found.dimension, found.vertices, found.complete)
    held = np.array(found.support)
    numbers = np.array([[float(x) for x in row] for row in found.kernel])
    rest = np.setdiff1d(np.arange(game.n), held)
    middle = np.array([float(found.middle[i]) for i in found.support])
    with np.errstate(all="ignore"):  # only a guess: margins may exceed the range of float64
        weights = project(middle, numbers, -scaled[np.ix_(rest, held)], game.reference[held])
    if not np.all(np.isfinite(weights) & (weights > 0)):
        weights = np.maximum(middle, 1e-300)
    projection = nearest(found, _exact_margins(game), game.reference_exact, weights)
    if projection is not None and projection.exact is not None:
        return _exact_solution(game, projection.exact, False, face, stats, projection)
    policy = np.zeros(game.n)
    policy[held] = weights
    if projection is None:
        certificate = _unproved(game, _log(policy))
        return Solution(game, 0.0, _log(policy), Status.STALLED, certificate, unique=False, face=face, stats=stats)
    log_policy = np.array([_log_fraction(p) for p in projection.point])
    certificate = enclose_projection(game, log_policy, projection.point, projection.multipliers)
    status = Status.of(0.0, certificate)
    return Solution(game, 0.0, log_policy, status, certificate, unique=False, face=face, stats=stats)


def _exact_solution(
    game: PreferenceGame,
    policy: tuple[Fraction, ...],
    unique: bool,
    face: Face | None,
    stats: dict[str, int],
    projection: Projection | None = None,
) -> Solution:
    """Wrap a rational lottery after an independent check."""
    check = check_lottery(_exact_margins(game), policy)
    assert check.valid, "the exact solver returned a policy that the certificate refutes"
    log_policy = np.array([_log_fraction(p) for p in policy])
    # the full list of vertices proves the projection; with an incomplete list its multipliers do
    cut = face is not None and not face.complete and projection is not None
    witness = {"multipliers": projection.multipliers} if cut and projection is not None else None
    certificate = Certificate(0.0, bound_rational(log_policy, policy), "rational", rigorous=True, witness=witness)
    return Solution(
        game,
        0.0,
        log_policy,
        Status.EXACT,
        certificate,
        policy_exact=policy,
        slacks=check.slacks,
        unique=unique and check.unique,
        face=face,
        stats=stats,
    )


def together(game: PreferenceGame, temperature: float, parts: Sequence[Solution]) -> Solution:
    """The solutions of a contextual game's prompts as one, with the status of the worst."""
    log_policy = np.full((*game.batch, game.n), -np.inf)
    for x, part in enumerate(parts):
        log_policy[x][game.support[x]] = part.log_policy
    bounds = [p.certificate.l1_bound for p in parts]
    kinds = {p.certificate.kind for p in parts}
    certificate = Certificate(
        np.array([p.certificate.exploitability for p in parts]),
        None if any(b is None for b in bounds) else np.array(bounds),
        kinds.pop() if len(kinds) == 1 else "float" if "float" in kinds else "ball",
        rigorous=all(p.certificate.rigorous for p in parts),
    )
    worst = max((p.status for p in parts), key=list(Status).index)
    unique = all(p.unique for p in parts) if all(p.unique is not None for p in parts) else None
    return Solution(game, temperature, log_policy, worst, certificate, unique=unique, parts=tuple(parts))


def _log(policy: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(policy)


def _log_fraction(x: Fraction) -> float:
    """log of a rational of any size; −∞ at 0."""
    if x == 0:
        return -math.inf
    # a difference of logarithms would cancel the leading digits of long numerators
    return math.log(x) if x > LEAST else math.log(x.numerator) - math.log(x.denominator)

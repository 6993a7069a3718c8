"""The equilibrium of a game at any temperature, with a certificate that neglects no rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nashlab.certificate import Certificate, certify_ball
from nashlab.equilibrium.lottery import maximal_lottery, together
from nashlab.equilibrium.regularised import regularised_nash
from nashlab.game import BadInput, PreferenceGame, check_temperature
from nashlab.solution import Solution, Status, effective_temperature

__all__ = ["nash", "proved"]


def nash(
    game: PreferenceGame, temperature: float = 0.0, *, exact: bool | None = None, throw: bool = False
) -> Solution:
    """The maximal lottery at τ = 0, the regularised equilibrium π*_τ at τ > 0, with a proved bound on its distance.

    exact  True: a rational answer, or BadInput if there is none (τ > 0, an irrational projection on a face).

    The certificate is rigorous, and the status follows from its bound.  If nothing is proved (lotteries of large games
    with ties) the bound is None and the status STALLED.  Source: E1-E6, N14, N18.  Errors: BadInput; NotSolved with
    ``throw``.

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> nash(game, 0.1).certificate.rigorous
    True
    """
    tau = check_temperature(temperature)
    if tau > 0:
        if exact:
            raise BadInput(f"exact: the equilibrium at tau = {tau:g} is irrational; --exact needs tau = 0")
        return proved(regularised_nash(game, tau)).checked(throw)
    solution = maximal_lottery(game, exact=exact)
    if exact and any(part.policy_exact is None for part in solution.parts or (solution,)):
        raise BadInput(
            "exact: there are several lotteries, and the one nearest to the reference is irrational; without --exact "
            "the answer carries all their vertices exactly and a proved bound"
        )
    return solution.checked(throw)


def proved(solution: Solution) -> Solution:
    """A regularised equilibrium with a ball-arithmetic certificate for each prompt, and the status that follows."""
    game, tau = solution.game, solution.temperature
    if not game.batch:
        certificate = certify_ball(game, solution.log_policy, tau)
        status = Status.of(effective_temperature(game.largest, tau), certificate)
        return replace(solution, certificate=certificate, status=status)
    parts = []
    for x in range(game.batch[0]):
        one = game.prompt(x)
        log_policy = np.ascontiguousarray(solution.log_policy[x][game.support[x]])
        unknown = Certificate(np.inf, None, "float", rigorous=False)
        parts.append(proved(Solution(one, tau, log_policy, solution.status, unknown, unique=True)))
    return replace(together(game, tau, parts), stats=solution.stats)

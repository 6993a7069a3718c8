"""The smallest game on which a loss misses: games are tried in order of simplicity, so the first miss is the smallest.

Two responses come before three, a uniform reference before others, tenths before hundredths, one token before sequences
of unequal length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.arrays import log_softmax
from nashlab.check.fields import Behaviour, Bundle, Judged, Table, rest, unit_of
from nashlab.check.online import equilibrium, exploitability

__all__ = ["bradley_terry_optimum", "candidates", "counterexample"]

Array = NDArray[np.float64]

VISIBLE = 1e-3  # of the natural gradient, in units of the gradient of a certain preference at h = 0
TRIED = 4  # misses whose flow is followed before one that does not settle is reported


@cache
def candidates(kind: str, lengths: bool) -> tuple[Table, ...]:
    """The games in order; ``kind`` is "any" or "bradley-terry" (ratios of strengths are integers)."""
    made = []
    two = np.array(((0.5, 0.5), (0.4, 0.6), (0.3, 0.7)))
    three = np.array(((1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 3)))
    for tokens in ((1, 1), (1, 2), (2, 1), (1, 3)) if lengths else ((1, 1),):
        for mu in two:
            for p in (0.7, 0.8, 0.9, 0.6, 0.75):
                made.append(Table(np.array([[0.5, p], [1 - p, 0.5]]), np.log(mu), np.array(tokens, dtype=float)))
    cycles = ((0.7, 0.7, 0.7), (0.9, 0.9, 0.9), (0.9, 0.8, 0.7), (0.8, 0.6, 0.9), (0.7, 0.6, 0.5))
    orders = ((0.6, 2 / 3, 0.75), (0.8, 0.9, 2 / 3)) if kind == "bradley-terry" else ()
    for length in ((1, 1, 1), (1, 2, 2), (1, 2, 3)) if lengths else ((1, 1, 1),):
        for mu in three / three.sum(axis=1, keepdims=True):
            for abc in orders or cycles:
                made.append(Table(_three(*abc, transitive=bool(orders)), np.log(mu), np.array(length, dtype=float)))
    return tuple(made)


def _three(first: float, second: float, third: float, *, transitive: bool) -> Array:
    """P of three responses from p₁₂, p₂₃, p₃₁; if transitive, from the strengths that p₁₂ and p₂₃ imply."""
    if transitive:
        odds = (first / (1 - first)) * (second / (1 - second))
        third = 1 / (1 + odds)
    return np.array([[0.5, first, 1 - third], [1 - first, 0.5, second], [third, 1 - second, 0.5]])


@cache
def goals_of(goal: Callable[[Table, float], Array], lengths: bool, tau: float) -> tuple[Array, ...]:
    """The goal on every candidate: sequences of other lengths have the same."""
    kind = "any" if goal is equilibrium else "bradley-terry"
    known: dict[bytes, Array] = {}
    found = []
    for table in candidates(kind, lengths):
        game = table.preferences.tobytes() + table.log_reference.tobytes()
        if game not in known:
            known[game] = goal(table, tau)
        found.append(known[game])
    return tuple(found)


def bradley_terry_optimum(table: Table, tau: float) -> Array:
    """log of μ exp(r/τ), where the rewards are the logits of P against the first response (E7)."""
    p = table.preferences[:, 0]
    return np.asarray(log_softmax(table.log_reference + np.log(p / (1 - p)) / tau))


def counterexample(
    loss: Judged,
    behaviour: Behaviour,
    tau: float,
    *,
    goal: Callable[[Table, float], Array] = equilibrium,
    lengths: bool = False,
) -> dict[str, Any] | None:
    """The first game at whose ``goal`` the expected gradient does not vanish, and the loss's limit there.

    distance is ‖π − goal‖₁, exploitability G(π); null for a goal that is met everywhere.
    """
    kind = "any" if goal is equilibrium else "bradley-terry"
    games = candidates(kind, lengths)
    goals = goals_of(goal, lengths, tau)
    everything = Bundle(loss, games, behaviour)
    unit, fields = unit_of(everything, tau), everything.gradients(goals, tau)
    missed = [k for k, f in enumerate(fields) if float(np.max(np.abs(f.natural))) > VISIBLE * unit]
    if not missed:
        return None
    tried = missed[:TRIED]
    ends = rest(Bundle(loss, [games[k] for k in tried], behaviour), tau, [games[k].log_reference for k in tried],
                rounds=2)  # fmt: skip
    best = next((i for i, end in enumerate(ends) if end.settled), 0)
    k, end = tried[best], ends[best]
    table, policy, aim = games[k], np.exp(end.log_policy), np.exp(goals[k])
    return {
        "preferences": _round(table.preferences),
        "reference": _round(np.exp(table.log_reference)),
        "lengths": table.lengths.astype(int).tolist() if lengths else None,
        "tau": tau,
        "goal": aim.tolist(),
        "gradient_at_goal": fields[k].plain.tolist(),
        "policy": policy.tolist(),
        "settled": end.settled,
        "distance": float(np.abs(policy - aim).sum()),
        "exploitability": exploitability(table, end.log_policy, tau),
    }


def _round(x: Array) -> Any:
    return np.round(x, 12).tolist()

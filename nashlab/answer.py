"""An answer with its proof as a value of JSON: what ``nashlab solve`` writes and ``nashlab certify`` reads."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nashlab.files import plain, replacing
from nashlab.solution import Solution

__all__ = ["answer_of", "save_answer"]

MARGINS_LIMIT = 300  # responses up to which the margins are part of the answer; above, the game's file is needed


def answer_of(solution: Solution) -> dict[str, Any]:
    """The fields of an answer (Fractions and arrays as they are; :func:`nashlab.files.plain` makes them JSON).

    reference, reference_exact  None where μ is uniform;  log_policy  −∞ (null) outside the support;
    margins_exact  the exact margins, those of doubles too, up to 300 responses;  prompts  of a contextual game: the
    answer to each.  What does not apply is None.

    >>> from nashlab.equilibrium import nash
    >>> from nashlab.gallery import get
    >>> answer_of(nash(get("rps")))["policy_exact"]
    (Fraction(1, 3), Fraction(1, 3), Fraction(1, 3))
    """
    game, face, certificate = solution.game, solution.face, solution.certificate
    uniform = bool(np.all(game.log_reference == game.log_reference.flat[0]))
    return {
        "game": game.name,
        "labels": list(game.labels),
        "reference": None if uniform else game.reference if game.batch else [float(x) for x in game.reference_exact],
        "reference_exact": None if uniform or game.batch else game.reference_exact,
        "policy": solution.policy,
        "log_policy": solution.log_policy,
        "policy_exact": solution.policy_exact,
        "margins_exact": _margins(solution),
        "tau": solution.temperature,
        "status": solution.status.token,
        "exploitability": certificate.exploitability,
        "support": None if game.batch else list(solution.support),
        "slacks": solution.slacks,
        "unique": solution.unique,
        "face": face and {"dimension": face.dimension, "vertices": face.vertices, "complete": face.complete},
        "certificate": {
            "l1_bound": certificate.l1_bound,
            "kind": certificate.kind,
            "rigorous": certificate.rigorous,
            "witness": certificate.witness,
        },
    } | ({"prompts": [answer_of(part) for part in solution.parts]} if solution.parts else {})


def save_answer(solution: Solution, path: str | Path) -> None:
    """Write the answer to a file that ``nashlab certify`` reads; it appears whole or not at all."""
    with replacing(Path(path)) as part:
        part.write_text(json.dumps(plain(answer_of(solution)), ensure_ascii=False) + "\n", encoding="utf-8")


def _margins(solution: Solution) -> Any:
    game = solution.game
    if game.exact is not None or game.batch or game.n > MARGINS_LIMIT:
        return game.exact
    return tuple(tuple(Fraction(x) for x in row) for row in game.margins.tolist())

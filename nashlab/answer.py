"""An answer with its proof as a file: written by ``nashlab solve`` and from Python, checked by ``nashlab certify``.

The fields of :class:`Answer` are the fields of the JSON, in their order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nashlab.files import plain, read_bytes, replacing
from nashlab.game import BadInput, first_line
from nashlab.solution import Face, Solution

__all__ = ["Answer", "Proof", "answer_of", "read_answer", "save_answer"]

MARGINS_LIMIT = 300  # responses; a larger answer omits the margins and is checked with the game's file
LARGEST = 2**28  # bytes; a larger answer is not read


@dataclass(frozen=True)
class Proof:
    """How close the policy is to the equilibrium: see :class:`nashlab.certificate.Certificate`."""

    l1_bound: Any
    kind: str
    rigorous: bool
    witness: Any


@dataclass(frozen=True)
class Answer:
    """An equilibrium with the fields of the JSON; a field that does not apply is None.

    reference, reference_exact  None if μ is uniform.
    log_policy       −∞ (null) outside the support.
    policy_exact, slacks        Fractions, "p/q" in JSON.
    margins_exact    the exact margins, also if given as doubles, up to 300 responses.
    prompts          for contextual games: the answer to each prompt; other games omit it from the JSON.
    """

    game: str
    labels: list[str]
    reference: Any
    reference_exact: tuple[Fraction, ...] | None
    policy: Any
    log_policy: Any
    policy_exact: tuple[Fraction, ...] | None
    margins_exact: Any
    tau: float
    status: str
    exploitability: Any
    support: list[str] | None
    slacks: tuple[Fraction, ...] | None
    unique: bool | None
    face: Face | None
    certificate: Proof
    prompts: list[Answer] | None = None


def answer_of(solution: Solution) -> Answer:
    """The answer that reports a solution.

    >>> from nashlab.equilibrium import nash
    >>> from nashlab.gallery import get
    >>> answer_of(nash(get("rps"))).policy_exact
    (Fraction(1, 3), Fraction(1, 3), Fraction(1, 3))
    """
    game, face, certificate = solution.game, solution.face, solution.certificate
    uniform = bool(np.all(game.log_reference == game.log_reference.flat[0]))
    return Answer(
        game=game.name,
        labels=list(game.labels),
        reference=None if uniform else game.reference if game.batch else [float(x) for x in game.reference_exact],
        reference_exact=None if uniform or game.batch else tuple(game.reference_exact),
        policy=solution.policy,
        log_policy=solution.log_policy,
        policy_exact=solution.policy_exact,
        margins_exact=_margins(solution),
        tau=solution.temperature,
        status=solution.status.token,
        exploitability=certificate.exploitability,
        support=None if game.batch else list(solution.support),
        slacks=solution.slacks,
        unique=solution.unique,
        face=face,
        certificate=Proof(certificate.l1_bound, certificate.kind, certificate.rigorous, certificate.witness),
        prompts=[answer_of(part) for part in solution.parts] or None,
    )


def save_answer(solution: Solution, path: str | Path) -> None:
    """Write the answer to a file that ``nashlab certify`` reads; the write is atomic."""
    with replacing(Path(path)) as part:
        part.write_text(json.dumps(plain(answer_of(solution)), ensure_ascii=False) + "\n", encoding="utf-8")


def read_answer(path: str | Path) -> Answer:
    """The answer in a file, with exact fractions.  It is only read: ``nashlab certify`` checks it.

    Errors: BadInput naming the file and the field.

    >>> import tempfile
    >>> from nashlab.equilibrium import nash
    >>> from nashlab.gallery import get
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_answer(nash(get("soundquality")), f"{folder}/answer.json")
    ...     read_answer(f"{folder}/answer.json").policy_exact[:3]
    (Fraction(0, 1), Fraction(0, 1), Fraction(21, 37))
    """
    try:
        return _from_json(json.loads(read_bytes(Path(path), LARGEST)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"the field {error} is missing" if isinstance(error, KeyError) else first_line(error)
        raise BadInput(f"{path}: not an answer of `nashlab solve --json` ({what})") from None


def _from_json(content: dict[str, Any]) -> Answer:
    face, prompts = content["face"], content.get("prompts")
    given = {name: content[name] for name in Answer.__dataclass_fields__ if name != "prompts"}
    for name in ("reference_exact", "policy_exact", "slacks"):
        given[name] = _fractions(content[name])
    given["margins_exact"] = _fractions(content["margins_exact"])
    for name in ("policy", "log_policy"):
        given[name] = np.array(_masses(content[name], name), dtype=np.float64)
    given["face"] = face and Face(face["dimension"], _fractions(face["vertices"]), face["complete"])
    given["certificate"] = Proof(**content["certificate"])
    return Answer(**given, prompts=prompts and [_from_json(part) for part in prompts])


def _fractions(value: Any) -> Any:
    """ "p/q", and nested lists of them, as Fractions."""
    if isinstance(value, list):
        return tuple(_fractions(x) for x in value)
    return None if value is None else Fraction(value)


def _masses(value: Any, name: str) -> Any:
    """Numbers, with null as −∞ in a log-policy."""
    if isinstance(value, list):
        return [_masses(x, name) for x in value]
    return -np.inf if value is None and name == "log_policy" else value


def _margins(solution: Solution) -> Any:
    game = solution.game
    if game.exact is not None or game.batch or game.n > MARGINS_LIMIT:
        return game.exact
    return tuple(tuple(Fraction(x) for x in row) for row in game.margins.tolist())

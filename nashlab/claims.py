"""A claim is a statement of the theory, checked by computation, with a wrong twin that must be caught.

A check is a generator: it receives :class:`Cases` and yields one :class:`Observation` per case, whose ``error`` is 0 if
the statement holds (for an inequality, the amount of violation).  The claim passes if no error exceeds its stated
tolerance.  With ``twin=True`` the same check runs on a deliberately wrong object; a canary passes if the check catches
it.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.files import alone, plain, replacing
from nashlab.gallery import GALLERY, random_game
from nashlab.gallery import get as gallery_game
from nashlab.game import BadInput, PreferenceGame, suggestion

__all__ = [
    "CHECKS",
    "Case",
    "Cases",
    "Check",
    "Observation",
    "Result",
    "Skipped",
    "claim",
    "environment_of",
    "evaluate",
    "place",
    "random_policy",
    "recorded",
    "run",
    "select",
]

CASE_FAMILIES = ("uniform", "bradley-terry", "cyclic", "low-rank", "near-ties", "tournament")
TEMPERATURES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class Case(NamedTuple):
    """One case for a statement: a game with its μ, a temperature and a policy (log π, [n])."""

    game: PreferenceGame
    temperature: float
    log_policy: NDArray[np.float64]

    def describe(self) -> dict[str, Any]:
        """The case as JSON, so that a counterexample can be run again."""
        return {
            "game": self.game.name,
            "margins": self.game.margins.tolist(),
            "reference": self.game.reference.tolist(),
            "temperature": self.temperature,
            "policy": np.exp(self.log_policy).tolist(),
        }


@dataclass
class Cases:
    """The source of a check's cases: the gallery, the real tables, and ``samples`` random games.

    With the same seed every claim sees the same games, whichever claims are selected.
    """

    samples: int = 200
    seed: int = 0

    def rng(self, salt: str) -> np.random.Generator:
        """A random generator for one check; independent of the games of the same salt."""
        return np.random.default_rng([self.seed, *salt.encode()])

    def random(self, salt: str, *, min_n: int = 2, max_n: int = 8, share: float = 1.0) -> Iterator[Case]:
        """``share · samples`` random games (at least 10) of all families, with random μ, τ and π."""
        rng = self.rng("random" + salt)
        for k in range(max(10, int(self.samples * share))):
            n = int(rng.integers(min_n, max_n + 1))
            game = random_game(CASE_FAMILIES[k % len(CASE_FAMILIES)], n, rng).with_reference(random_policy(n, rng))
            yield Case(game, float(rng.choice(TEMPERATURES)), np.log(random_policy(n, rng)))

    def known(self, salt: str, *, max_n: int = 30) -> Iterator[Case]:
        """Every game of the gallery and every real table, up to ``max_n`` responses, |A| ≤ ½, with a random τ and π."""
        rng = self.rng("known" + salt)
        for name in GALLERY:
            game = gallery_game(name)
            if game.batch or not 2 <= game.n <= max_n or np.max(np.abs(game.margins)) > 0.5:
                continue
            yield Case(game, float(rng.choice(TEMPERATURES)), np.log(random_policy(game.n, rng)))

    def all(self, salt: str, *, min_n: int = 2, max_n: int = 8, share: float = 1.0) -> Iterator[Case]:
        """The known games, then the random ones."""
        yield from (case for case in self.known(salt) if case.game.n >= min_n)
        yield from self.random(salt, min_n=min_n, max_n=max_n, share=share)


def random_policy(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random full-support policy with no entry below 1 % of uniform."""
    return rng.dirichlet(np.ones(n)) * 0.99 + 0.01 / n


class Observation(NamedTuple):
    """The result of a check on one case: its error, and a description (built only if needed)."""

    error: float
    describe: Callable[..., Mapping[str, Any]] = dict  # called without arguments
    witness: bool = False  # a shrunk counterexample, kept in the report even if the claim passes
    measured: Mapping[str, Any] | None = None  # data for a figure of the report


class Skipped(Exception):
    """Something that a check needs is not installed; the message says what."""


CheckFunction = Callable[[Cases, bool], Iterator[Observation]]


@dataclass(frozen=True)
class Check:
    """A registered claim: identifier, statement, tolerance with its reason, wrong twin, and check."""

    id: str
    statement: str
    tolerance: float
    because: str
    twin: str
    run: CheckFunction = field(repr=False)


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    id: str
    statement: str
    status: str
    worst_error: float
    tolerance: float
    cases: int
    seconds: float
    counterexample: Mapping[str, Any] | None
    measured: Mapping[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """The result as a row of verify.json, without the data of figures."""
        return {name: value for name, value in vars(self).items() if name != "measured"}

    @property
    def excess(self) -> float:
        """The error over the tolerance; for a wrong twin, its largest excess over what the claim allows."""
        return self.worst_error / self.tolerance if self.tolerance else math.inf if self.worst_error else 0.0


CHECKS: dict[str, Check] = {}


def claim(
    id: str, statement: str, *, tolerance: float, because: str, twin: str, registry: dict[str, Check] = CHECKS
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check under its identifier of the theory."""

    def register(function: CheckFunction) -> CheckFunction:
        if id in registry:
            raise ValueError(f"claim {id} is registered twice")
        registry[id] = Check(id, statement, tolerance, because, twin, function)
        return function

    return register


def evaluate(check: Check, cases: Cases, *, canary: bool = False) -> Result:
    """Run one check (or its wrong twin) on the cases; of its exceptions only :class:`Skipped` is caught."""
    began = time.perf_counter()
    try:
        return _evaluated(check, cases, canary, began)
    except Skipped as reason:
        about: dict[str, Any] = {"skipped": str(reason)}
        return Result(check.id, check.statement, "skipped", 0.0, check.tolerance, 0, 0.0, about)


def _evaluated(check: Check, cases: Cases, canary: bool, began: float) -> Result:
    worst, count, worst_case, witness, measured = 0.0, 0, None, None, None
    for seen in check.run(cases, canary):
        count += 1
        error = float(seen.error) if math.isfinite(seen.error) else math.inf
        if error > worst or worst_case is None:
            worst, worst_case = max(error, worst), seen
        if seen.witness:
            witness = seen
        measured = seen.measured or measured
        if canary and error > check.tolerance:
            break  # caught: one refutation of the wrong twin is enough
    held = count > 0 and worst <= check.tolerance
    shown = witness if held else worst_case
    return Result(
        id=check.id,
        statement=check.statement if not canary else f"wrong twin caught: {check.twin}",
        status="pass" if held != canary else "fail",
        worst_error=worst,
        tolerance=check.tolerance,
        cases=count,
        seconds=time.perf_counter() - began,
        counterexample=dict(shown.describe()) if shown is not None and (shown is witness or held == canary) else None,
        measured=measured,
    )


def select(ids: str | None, registry: Mapping[str, Check] = CHECKS) -> list[Check]:
    """The checks of a comma-separated list of identifiers ("L2" means every L2.x), in the table's order; None: all."""
    if ids is None:
        return sorted(registry.values(), key=lambda check: place(check.id))
    chosen: list[Check] = []
    for word in ids.split(","):
        key = word.strip()
        found = [c for c in registry.values() if c.id == key or c.id.startswith(key + ".")]
        if not found:
            raise BadInput(f"claims: {key!r} is unknown{suggestion(key, registry)}")
        chosen += [c for c in found if c not in chosen]
    return sorted(chosen, key=lambda check: place(check.id))


def place(id: str) -> tuple[int, int, str]:
    """Sort key: equilibria, losses, rates, new statements, social choice, each by number; then the rest."""
    number = re.match(r"([ELRNS])(\d+)", id)
    return ("ELRNS".index(number[1]), int(number[2]), id) if number else (5, 0, id)


# -- many checks -------------------------------------------------------------------------------------------------------


def run(
    checks: list[Check],
    *,
    samples: int = 200,
    seed: int = 0,
    canary: bool = False,
    workers: int = 1,
    beside: Sequence[Callable[[], object]] = (),
) -> Iterator[Result]:
    """Evaluate checks, yielding each result when it is ready; ``workers`` > 1 uses that many processes.

    Results come in order of completion; their content does not depend on it.

    beside  other work for the same processes, done by the end; what it returns is dropped.
    """
    if workers <= 1 or len(checks) == 1:
        for check in checks:
            yield _evaluate_on(check, samples, seed, canary)
        for task in beside:
            task()
        return
    from concurrent.futures import as_completed

    from nashlab.processes import process_pool

    with process_pool(workers, ready=_one_thread) as pool:
        others = [pool.submit(task) for task in beside]
        for done in as_completed([pool.submit(_evaluate_on, check, samples, seed, canary) for check in checks]):
            yield done.result()
        for other in others:
            other.result()


def _evaluate_on(check: Check, samples: int, seed: int, canary: bool) -> Result:
    return evaluate(check, Cases(samples, seed), canary=canary)


def environment_of(packages: Sequence[str], **numbers: Any) -> dict[str, Any]:
    """What a result depends on besides the code: Python, platform, package versions, and the numbers of the run."""
    import platform
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in packages},
        **numbers,
    }


def recorded(
    checks: list[Check],
    folder: Path,
    environment: Mapping[str, Any],
    *,
    samples: int,
    seed: int,
    canary: bool,
    workers: int,
    advance: Callable[[str], object],
    proved: Iterable[Result] = (),
    beside: Sequence[Callable[[], object]] = (),
) -> list[Result]:
    """:func:`run`, with ``verify.json`` written after every claim so that an interrupted run keeps its results; returns
    them in the order of the checks, then those of ``proved``.

    Raises BlockingIOError if another process is writing into the folder.
    """
    finished: dict[str, Result] = {}

    def rows() -> list[Result]:
        known = [c.id for c in checks if c.id in finished]
        return [finished[id] for id in (*known, *(id for id in finished if id not in known))]

    with alone(folder):
        computed = run(checks, samples=samples, seed=seed, canary=canary, workers=workers, beside=beside)
        for result in itertools.chain(computed, proved):
            finished[result.id] = result
            advance(result.id)
            content = {"claims": [r.row() for r in rows()], "environment": environment}
            with replacing(folder / "verify.json") as part:
                part.write_text(json.dumps(plain(content), ensure_ascii=False, indent=1), encoding="utf-8")
    return rows()


def _one_thread() -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)

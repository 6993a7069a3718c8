"""The output of the commands: tables for people, one JSON value for scripts, a progress bar on stderr."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from nashlab.files import plain
from nashlab.parallel import KEPT

if TYPE_CHECKING:
    from nashlab.gallery import Entry
    from nashlab.game import PreferenceGame
    from nashlab.rates import Run
    from nashlab.solution import Solution
    from nashlab.verify import Result

__all__ = [
    "Progress",
    "one_line",
    "print_json",
    "show_claims",
    "show_gallery",
    "show_runs",
    "show_solution",
    "show_table",
]

PROOFS = {"rational": "exact rational arithmetic", "ball": "ball arithmetic, rigorous", "float": "float64"}
VERTICES_SHOWN = 10
NAMED = 8  # responses of a list
LINES = 50  # of progress, if it is not a bar
PIPE_WIDTH = 160  # a pipe has no width: do not wrap lines in a log


# -- machine output ----------------------------------------------------------------------------------------------------


def print_json(content: Any) -> None:
    """One JSON value on stdout."""
    text = json.dumps(plain(content), ensure_ascii=False)
    # a lone surrogate stays escaped: JSON allows it, UTF-8 does not
    print(re.sub("[\ud800-\udfff]", lambda c: f"\\u{ord(c[0]):04x}", text))


def one_line(text: object) -> str:
    """A message with line breaks as spaces and other control characters escaped, since names may contain them.

    >>> one_line("no file a\\nb")
    'no file a b'
    """
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode("ascii") for c in words)


# -- people's output ---------------------------------------------------------------------------------------------------


class Progress:
    """A progress bar on stderr for n pieces of work; ``with Progress(n) as advance: advance(name)``.

    ``advance(name, 3)`` counts three pieces at once; pieces named ``KEPT`` were there already and say nothing about the
    time that is left.  More pieces than n may follow, for which none is told.  If stderr is not a terminal, it prints
    about fifty lines instead.
    """

    def __init__(self, total: int):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn(),
                   TextColumn("{task.description}"))  # fmt: skip
        self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("", total=total)
        self.total, self.done, self.kept, self.started = total, 0, 0, time.perf_counter()

    def __enter__(self) -> Any:
        if not self.bar.console.is_terminal:
            return self._line
        self.bar.start()
        return lambda name, count=1: self.bar.update(self.task, advance=count, description=name)

    def __exit__(self, *exc: object) -> None:
        if self.bar.console.is_terminal:
            self.bar.stop()

    def _line(self, name: str, count: int = 1) -> None:
        before, self.done = self.done, self.done + count
        self.kept += count * (name == KEPT)
        if self.done * LINES // max(1, self.total) > before * LINES // max(1, self.total):
            seconds = time.perf_counter() - self.started
            made = self.done - self.kept
            of, left = f"/{self.total}", f", {seconds / made * (self.total - self.done):.0f} s left" if made else ""
            if self.done > self.total:
                of = left = ""
            print(f"{self.done}{of} {seconds:.0f} s{left} {name}", file=sys.stderr, flush=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], colours: Mapping[str, str] | None = None) -> None:
    """A plain table on stdout; cells are text, never markup; ``colours`` maps cell texts to colours."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, style=(colours or {}).get(cell, "")) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False).print(table)


def show_solution(solution: Solution, sure: Mapping[str, Any] | None = None) -> None:
    """An equilibrium: probabilities, support, certificate, uniqueness, face; for counted votes also its uncertainty."""
    import numpy as np

    game, certificate = solution.game, solution.certificate
    what = "maximal lottery" if solution.temperature == 0 else f"regularised equilibrium, τ = {solution.temperature:g}"
    print(f"{game.name}: {what} of {game.n} responses" + (f"  ({game.source})" if game.source else ""))
    if game.batch:
        for x in range(game.batch[0]):
            print(f"  prompt {x}: " + ", ".join(f"{p:.6g}" for p in solution.policy[x][game.support[x]]))
    else:
        _show_policy(solution)
        _show_sides(solution)
    bound = certificate.l1_bound
    distance = "unknown" if bound is None else f"≤ {np.max(bound):.3g}"
    print(f"status: {solution.status.value}")
    gap = float(np.max(certificate.exploitability))
    print(f"exploitability: {gap:.3g};  ‖π − equilibrium‖₁: {distance}  ({PROOFS[certificate.kind]})")
    if solution.temperature == 0 and solution.unique is not None:
        of = "" if sure is None else f" {sure['proved']}"
        print(("the only equilibrium" if solution.unique else "not the only equilibrium") + f" (proved{of})")
    elif solution.temperature == 0:
        print("uniqueness is unknown")
    if solution.face is not None:
        _show_face(solution)
    if sure is not None:
        _show_doubt(solution, sure)


def _show_doubt(solution: Solution, sure: Mapping[str, Any]) -> None:
    """The statistical uncertainty: a row for each response whose mass is in doubt."""
    import numpy as np

    n = sure["judgments"]
    unmet = f"; {n['unmet_pairs']} pairs never met" if n["unmet_pairs"] else ""
    print(f"judgments per pair: {n['least']:g} to {n['most']:g}, median {n['median']:g}{unmet}")
    if "unmet" in sure:
        _show_unmet(n["unmet_pairs"], sure["unmet"])
    spans = {"95 %": sure.get("interval"), f"range at {100 * (sure.get('confidence') or 0):g} %": sure.get("range")}
    shown = {name: values for name, values in spans.items() if values is not None}
    often = sure.get("support_frequency")
    rows = []
    for i in np.argsort(-solution.policy, kind="stable"):
        row = [solution.game.labels[i], *(f"{values[i][0]:.4f}-{values[i][1]:.4f}" for values in shown.values())]
        row += [] if often is None else [f"{100 * often[i]:.1f} %"]
        if any(values[i][1] > 0 for values in shown.values()):
            rows.append(row)
    if shown:
        show_table(("response", *shown, *(() if often is None else ("in the support",))), rows)
        left = solution.game.n - len(rows)
        print((f"the other {left} have no mass anywhere; " if left else "") + f"intervals: {sure['method'] or 'none'}")
    else:
        print("for its uncertainty: --bootstrap 1000 resamples the votes, --confidence 0.95 ranges over a region")
    if "claim" in sure:
        tested, alone = sure["claim"], sure["claim"]["independent"]
        print(f"the claimed policy: p = {tested['p_value']:.3g} ({tested['test']}; independent: {alone})")


def _show_unmet(pairs: int, unmet: Mapping[str, Any]) -> None:
    """Which responses owe their place to the filling of pairs that never met."""
    print(f"WARNING: {pairs} pair(s) never met, and the answer depends on how they are filled; over all fillings,")
    for name in ("necessary", "possible", "never", "undecided"):
        print(f"  in the support, {name}: {len(unmet[name])}{_some(unmet[name])}")
    print(f"  0 here, but not for every filling: {len(unmet['left_out_here'])}{_some(unmet['left_out_here'])}")
    print(f"  here, but perhaps not for every filling: {len(unmet['held_here'])}{_some(unmet['held_here'])}")


def _some(names: Sequence[str]) -> str:
    """: a, b, c, ..."""
    return "".join((": ", ", ".join(names[:NAMED]), ", ..." if len(names) > NAMED else "")) if names else ""


def _show_policy(solution: Solution) -> None:
    import numpy as np

    game, exact, slacks = solution.game, solution.policy_exact, solution.slacks
    rows = []
    for i in np.argsort(-solution.policy, kind="stable"):
        row = [game.labels[i], f"{solution.policy[i]:.12g}"]
        if exact is not None and slacks is not None:
            row += [_short(exact[i]), "" if slacks[i] == 0 else f"{float(slacks[i]):.6g}"]
        rows.append(row)
    show_table(("response", "probability", "exactly", "slack")[: len(rows[0])], rows)
    if len(solution.support) < game.n:
        print(f"support: {', '.join(solution.support)}")


def _show_sides(solution: Solution) -> None:
    """The two sides' strategies and the value, for a payoff matrix that was symmetrised."""
    payoff = (solution.game.reading or {}).get("payoff")
    if payoff is None or solution.temperature > 0:
        return
    from nashlab.votes import sides

    policy = list(solution.policy) if solution.policy_exact is None else list(solution.policy_exact)
    both = sides(policy, payoff["rows"], payoff["columns"], payoff["shift"])
    print("rows: " + ", ".join(map(_mass, both.rows)) + ";  columns: " + ", ".join(map(_mass, both.columns)))
    print(f"value of the game for the rows: {_mass(both.value)}")


def _mass(x: Fraction | float) -> str:
    return _short(x) if isinstance(x, Fraction) else f"{x:.12g}"


def _show_face(solution: Solution) -> None:
    assert solution.face is not None
    vertices = solution.face.vertices
    more = "" if solution.face.complete else " (there are more)"
    print("the policy above is the KL-projection of the reference on the face of all equilibria")
    print(f"face of equilibria: dimension {solution.face.dimension}, {len(vertices)} vertices{more}")
    for vertex in vertices[:VERTICES_SHOWN]:
        print("  (" + ", ".join(_short(x) for x in vertex) + ")")
    if len(vertices) > VERTICES_SHOWN:
        print(f"  and {len(vertices) - VERTICES_SHOWN} more (--json has them)")


def _short(x: Fraction) -> str:
    text = str(x)
    return text if len(text) <= 40 else f"{len(str(x.numerator))} digits / {len(str(x.denominator))} digits"


def show_runs(runs: Sequence[Run]) -> None:
    """Where each algorithm ended, its rates, and its limit if that is not π*_τ."""
    import numpy as np

    from nashlab.arrays import l1

    def last(run: Run, series: str) -> str:
        values = run.solution.history.get(series)
        return "–" if values is None else f"{float(np.max(np.asarray(values)[..., -1])):.3g}"

    show_table(
        ("algorithm", "exploitability", "‖π − π*‖₁", "to own limit", "predicted rate", "measured", "status"),
        [
            (
                run.spec.name,
                *(last(run, series) for series in ("exploitability", "distance", "target_distance")),
                *("–" if rate is None else f"{rate:.6f}" for rate in (run.predicted, run.measured)),
                run.solution.status.token,
            )
            for run in runs
        ],
    )
    for run in runs:
        course = run.solution.course
        assert course is not None
        largest = course.largest_step
        if largest is not None and course.step_size > largest:
            assert run.spec.guarantee is not None
            print(
                f"{run.spec.name}: step {course.step_size:g} is beyond the {largest:.3g} of its "
                f"theorem ({run.spec.guarantee.source}); only the local rate predicts convergence"
            )
        goal = course.target
        if goal is not None and (off := float(np.max(l1(goal, course.nash)))) > 1e-9:
            few = not run.solution.game.batch and run.solution.game.n <= 10
            point = f" to ({', '.join(f'{p:.4f}' for p in np.exp(goal))})" if few else " to its own limit"
            offer = f"; {run.spec.unbiased} converges to π*_τ itself" if run.spec.unbiased else ""
            print(f"{run.spec.name} converges{point}, {off:.3g} from π*_τ in ℓ₁{offer}")


def show_gallery(games: Sequence[tuple[Entry, PreferenceGame]]) -> None:
    """Each game with its picture: colours on a terminal, signs in a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nashlab.pictures import cells_of, coloured, signs

    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    table = Table("", "name", "game", "source", box=None, header_style="bold", pad_edge=False)
    for entry, game in games:
        cells = cells_of(game)
        picture = coloured(cells) if console.color_system else Text(signs(cells))
        table.add_row(picture, *map(Text, (entry.name, entry.description, entry.source)))
        table.add_row()
    console.print(table)


def show_claims(rows: Sequence[Result], canary: bool) -> None:
    """The table of claims, or of wrong twins with their errors relative to the tolerances."""
    show_table(
        (
            "id",
            "statement",
            "status",
            "worst error",
            "tolerance",
            *(["error/tolerance"] if canary else []),
            "cases",
            "seconds",
        ),
        [
            (
                r.id,
                r.statement,
                r.status,
                f"{r.worst_error:.1e}",
                f"{r.tolerance:.0e}",
                *([f"{r.excess:.1e}"] if canary else []),
                str(r.cases),
                f"{r.seconds:.1f}",
            )
            for r in rows
        ],
        colours={"pass": "green", "fail": "bold red", "skipped": "yellow"},
    )
    good, skipped = (sum(r.status == status for r in rows) for status in ("pass", "skipped"))
    for row in (r for r in rows if r.status == "skipped"):
        print(f"{row.id} skipped: {(row.counterexample or {}).get('skipped', '')}")
    beside = f", {skipped} skipped" if skipped else ""
    print(f"{good} of {len(rows) - skipped} " + ("wrong twins caught" if canary else "claims hold") + beside)

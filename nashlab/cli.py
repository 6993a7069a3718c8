"""The command line of nashlab; `nashlab --help` lists its commands.

Machine output goes to stdout, progress and errors to stderr.  Exit codes: 0 done, 1 a check failed, 2 bad input, 130
interrupted.  Each command imports only what it uses, so that `nashlab solve` starts in a fraction of a second.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from nashlab import __version__
from nashlab.arguments import (
    AS_WRITTEN,
    Book,
    Canary,
    Claims,
    HowToRead,
    Json,
    Reading,
    Reference,
    Tau,
    check_doubt,
    loaded,
    loaded_votes,
)
from nashlab.commands import Commands
from nashlab.display import Progress, one_line, print_json, show_claims, show_gallery, show_solution, show_table
from nashlab.ending import ending
from nashlab.errors import BadInput
from nashlab.running import algorithms_command, rates_command, run_command, sweep_command

__all__ = ["main"]

commands = Commands(
    "nashlab",
    __version__,
    "Preference games: exact equilibria with proofs, the algorithms that look for them, the theory checked.",
)

PACKAGES = ("nashlab", "numpy", "scipy", "jax", "python-flint")
ANSWER_LIMIT = 2**28  # bytes: the largest answer or game that the verifier reads


@commands.command("solve")
def solve_command(
    game: tyro.conf.Positional[str],
    /,
    *,
    tau: Tau = 0.0,
    reference: Reference | None = None,
    reading: HowToRead = AS_WRITTEN,
    exact: Annotated[
        bool, tyro.conf.arg(help="rational arithmetic, or fail (default: if the input allows it)")
    ] = False,
    bootstrap: Annotated[
        int, tyro.conf.arg(help="for counted votes: bootstrap tables for intervals and support frequencies")
    ] = 0,
    confidence: Annotated[
        float | None, tyro.conf.arg(help="τ = 0: ranges over all tables of this confidence region of the win rates")
    ] = None,
    claim: Annotated[
        str | None, tyro.conf.arg(help="test the claim that this policy is the equilibrium behind the votes: a file")
    ] = None,
    seed: int = 0,
    json_output: Json = False,
) -> int:
    """Find the equilibrium of a game, with a proof: the maximal lottery (τ = 0) or the regularised one (τ > 0).

    Proofs are about the table; where the table counts votes, the answer also reports its statistical uncertainty.

    Example: nashlab solve soundquality
             nashlab solve comparisons.csv --tau 0.1 --json > answer.json
             nashlab solve comparisons.csv --bootstrap 1000 --confidence 0.95 --claim policy.csv

    Args:
        game: a name from `nashlab gallery`, a file (CSV, JSON, NPY, PrefLib, comparison log), or - for standard input.
    """
    from nashlab.answer import answer_of
    from nashlab.equilibrium import nash
    from nashlab.files import plain
    from nashlab.game import check_temperature
    from nashlab.votes import read_reference
    from nashlab.votes.sure import how_sure

    temperature = check_temperature(tau)
    check_doubt(bootstrap, confidence, seed)
    if bootstrap and temperature > 0:
        raise BadInput(f"bootstrap = {bootstrap}, must be 0 at τ > 0, where the delta method is used")
    votes = loaded_votes(game, reference, reading)
    labels = votes.game.labels
    claimed = None if claim is None else read_reference(claim, labels, "claim") or [1] * len(labels)
    solution = nash(votes.game, temperature, exact=True if exact else None)
    doubt: dict[str, Any] = {"bootstrap": bootstrap, "confidence": confidence, "claim": claimed, "seed": seed}
    sure = how_sure(votes, solution.policy, temperature=temperature, **doubt)
    if json_output:
        print_json(plain(answer_of(solution)) | {"reading": votes.game.reading, "uncertainty": sure})
    else:
        show_solution(solution, sure)
    return 0 if solution.status.ok else 1


@commands.command("certify")
def certify_command(
    answer: tyro.conf.Positional[str],
    game: tyro.conf.Positional[str | None] = None,
    /,
    *,
    reading: HowToRead = AS_WRITTEN,
    json_output: Json = False,
) -> int:
    """Re-check an answer of `nashlab solve --json` by an independent verifier that shares no code with the solvers.

    Each line is proved, refuted, or not checked, with the reason. Exit code 1 if anything is refuted.

    Example: nashlab solve soundquality --json > answer.json && nashlab certify answer.json
             nashlab certify answer.json comparisons.csv

    Args:
        answer: the JSON that `nashlab solve --json` printed, or - for standard input.
        game: the game to check it against, any file that `nashlab solve` reads (default: the answer's own margins).
    """
    from nashlab.certify import CertifyError, certify_answer, parsed
    from nashlab.files import read_source

    own = None if game is None else _own_reading(game, reading)
    try:
        data = read_source(answer, ANSWER_LIMIT)
        rows = certify_answer(parsed(data.decode("utf-8-sig")), own)
    except (OSError, ValueError) as error:
        why = error if isinstance(error, (CertifyError, UnicodeDecodeError)) else f"cannot be read ({_reason(error)})"
        raise BadInput(f"{answer}: {why}") from None
    if json_output:
        print_json([{"check": what, "holds": ok, "detail": detail} for what, ok, detail in rows])
    else:
        words = {True: "proved     ", False: "REFUTED    ", None: "not checked"}
        for what, ok, detail in rows:
            print(f"{words[ok]}  {what}" + (f"  ({detail})" if detail else ""))
    return 0 if all(ok is not False for _, ok, _ in rows) else 1


@commands.command("rank")
def rank_command(
    votes: tyro.conf.Positional[str],
    /,
    *,
    tau: Annotated[float, tyro.conf.arg(help="temperature of the regularised equilibrium")] = 0.1,
    bootstrap: Annotated[int, tyro.conf.arg(help="bootstrap tables for the lottery's intervals; 0: none")] = 1000,
    confidence: Annotated[
        float | None, tyro.conf.arg(help="ranges over all tables of this confidence region, not only unmet pairs")
    ] = None,
    plan: Annotated[int | None, tyro.conf.arg(help="plan this many further judgments: which pairs to ask")] = None,
    seed: int = 0,
    reference: Reference | None = None,
    reading: HowToRead = AS_WRITTEN,
    json_output: Json = False,
    html: Annotated[Path | None, tyro.conf.arg(help="write one self-contained page")] = None,
    csv: Annotated[Path | None, tyro.conf.arg(help="write the leaderboard as CSV")] = None,
    latex: Annotated[Path | None, tyro.conf.arg(help="write the leaderboard as a LaTeX tabular")] = None,
    markdown: Annotated[Path | None, tyro.conf.arg(help="write the leaderboard as Markdown")] = None,
    plot: Annotated[Path | None, tyro.conf.arg(help="draw the leaderboard to this PNG, SVG or PDF")] = None,
) -> int:
    """Rank the responses of a vote log: lottery and equilibrium with intervals, other rules, open questions.

    Example: nashlab rank llmfao
             nashlab rank votes.csv --html board.html --bootstrap 2000
             nashlab rank votes.csv --plan 500 --json

    Pairs that never met are filled with the Bradley-Terry fit of the others, with a note, unless --fill says otherwise.

    Args:
        votes: a file of votes, a table of the gallery, or - for standard input.
    """
    from nashlab import leaderboard
    from nashlab.gallery import load_votes
    from nashlab.game import check_temperature
    from nashlab.ranking import check_counted, rank
    from nashlab.ranking import plan as plan_judgments

    check_doubt(bootstrap, confidence, seed)
    check_temperature(tau, positive=True, name="tau")
    if plan is not None and plan < 1:
        raise BadInput(f"plan = {plan}, must be at least 1")
    for path in (html, csv, latex, markdown):
        if path is not None and not path.absolute().parent.is_dir():
            raise BadInput(f"{path}: the folder {path.parent} does not exist")
    if plot is not None:
        from nashlab.plots import check_figure_path

        check_figure_path(plot)
    options = reading.options()
    options["fill"] = options["fill"] or "bradley-terry"
    counted = check_counted(load_votes(votes, reference=reference, **options))
    print(counted.reading, file=sys.stderr)
    with Progress(4) as advance:
        ranking = rank(counted, temperature=tau, bootstrap=bootstrap, confidence=confidence, seed=seed, advance=advance)
    planned = None if plan is None else plan_judgments(counted, plan, temperature=tau)
    for form, path in (("html", html), ("csv", csv), ("latex", latex), ("markdown", markdown)):
        if path is not None:
            leaderboard.write(path, form, ranking, planned)
    if plot is not None:
        from nashlab.plots import leaderboard as draw
        from nashlab.plots import save

        save(draw(ranking), plot)
    if json_output:
        print_json(leaderboard.content(ranking, planned))
    else:
        show_table(leaderboard.header(), leaderboard.lines(ranking))
        for line in leaderboard.remarks(ranking):
            print(line)
        if planned is not None:
            told = leaderboard.content(ranking, planned)["plan"]
            show_table(("ask", "against", "times"), [(a, b, str(m)) for a, b, m in told["pairs"][:20]])
            print(
                f"error bound {told['error_now']:.3f} now, {told['error_planned']:.3f} after these {plan}, "
                f"{told['error_evenly']:.3f} if spread evenly"
            )
    return 0


def _own_reading(game: str, reading: Reading) -> Any:
    """The game by the verifier's own reader, or by nashlab's, with a note, if it does not know the layout."""
    from nashlab.certify import CertifyError, Game, read_margins
    from nashlab.certify.reading import Unread
    from nashlab.files import read_bytes

    path = Path(game)
    try:
        data = read_bytes(path, ANSWER_LIMIT)
        if reading not in (AS_WRITTEN, Reading(kind=reading.kind, fill=reading.fill)) or reading.kind == "payoff":
            raise Unread("it takes no option but --kind and --fill")
        return read_margins(data, path.suffix.lower(), reading.kind, reading.fill)
    except Unread as why:
        problem = loaded(game, None, reading)
        if problem.exact is None:
            raise BadInput(f"{game}: has no exact margins to check an answer against") from None
        by_us = ("the file is read by nashlab's own reader", None, f"the verifier's: {why}")
        given = None if problem.given is None else problem.reference_exact
        return Game(problem.labels, problem.exact, given, by_us)
    except (OSError, ValueError) as error:
        fault = error if isinstance(error, CertifyError) else f"cannot be read ({_reason(error)})"
        raise BadInput(f"{game}: {fault}") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _first(values: object, count: int = 6) -> str:
    """A value, or the first few of many."""
    if not isinstance(values, list) or len(values) <= count:
        return str(values)
    return f"[{', '.join(map(str, values[:count]))}, ... {len(values)} in all]"


@commands.command("check")
def check_command(
    target: tyro.conf.Positional[str],
    /,
    *,
    tau: Annotated[float | None, tyro.conf.arg(help="temperature τ (default: the function's own, or 0.5)")] = None,
    seconds: Annotated[float, tyro.conf.arg(help="how long one call of the function may take")] = 10.0,
    memory: Annotated[int, tyro.conf.arg(help="MiB that its process may allocate")] = 4096,
    html: Annotated[Path | None, tyro.conf.arg(help="write one self-contained page")] = None,
    json_output: Json = False,
) -> int:
    """Check a preference loss: its optimum offline, its limit online, its use of lengths, and similar named losses.

    The function is loss(h_gap, p, *, tau), or loss(h_chosen, h_rejected, *, tau), or loss(policy_chosen,
    policy_rejected, reference_chosen, reference_rejected, *, tau) on summed log-probabilities, in numpy, jax or torch.
    It runs in a separate process. Exit code 0 for any verdict, 1 if the function itself fails.

    Example: nashlab check mine.py
             nashlab check mine.py:my_loss --tau 0.1 --html verdict.html
             nashlab check simpo

    Args:
        target: PATH.py or PATH.py:NAME (default: the function called loss, or the only one), or a named loss.
    """
    from nashlab.check.evaluation import Fault
    from nashlab.check.process import Limits
    from nashlab.check.verdict import judge
    from nashlab.check.words import headline, sentences

    if not seconds > 0 or not memory > 0:
        raise BadInput(f"seconds = {seconds:g} and memory = {memory} must be positive")
    try:
        verdict = judge(target, tau, Limits(call=seconds, memory=memory * 2**20))
    except Fault as fault:
        if json_output:
            print_json({"name": target, "fault": fault.what, "input": fault.input})
        at = "" if fault.input is None else " for " + ", ".join(f"{k} = {_first(v)}" for k, v in fault.input.items())
        print(f"nashlab: {one_line(f'{target}: the function {fault.what}{at}')}", file=sys.stderr)
        return 1
    if html is not None:
        from nashlab.verdict_page import write_verdict

        write_verdict(html, verdict)
    if json_output:
        print_json(verdict)
    else:
        print(headline(verdict))
        show_table(("", ""), sentences(verdict))
    return 0


commands.command("run")(run_command)
commands.command("rates")(rates_command)


@commands.command("gallery")
def gallery_command(
    *,
    html: Annotated[Path | None, tyro.conf.arg(help="write one self-contained page with all pictures")] = None,
    json_output: Json = False,
) -> int:
    """List the named games with a small picture of each: examples of the papers, hard cases, and human judgments.

    In a picture the row wins where it is blue, or +, and loses where it is orange, or -.

    Example: nashlab gallery
             nashlab gallery --html gallery.html
    """
    from nashlab.gallery import GALLERY
    from nashlab.gallery import get as gallery_game

    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise BadInput(f"html = {html}, must be a file in a folder that exists")
    games = [(entry, gallery_game(entry.name)) for entry in GALLERY.values()] if html or not json_output else []
    if html is not None:
        from nashlab.report import write_gallery

        write_gallery(html, games)
    if json_output:
        print_json([{"name": e.name, "description": e.description, "source": e.source} for e in GALLERY.values()])
    else:
        show_gallery(games)
    return 0


commands.command("algorithms")(algorithms_command)
commands.command("sweep")(sweep_command)


@commands.command("verify")
def verify_command(
    *,
    claims: Claims = None,
    samples: Annotated[int, tyro.conf.arg(help="random games for each claim")] = 200,
    seed: int = 0,
    canary: Canary = False,
    out: Annotated[Path | None, tyro.conf.arg(help="folder of the report (default: verify-report)")] = None,
    workers: Annotated[int, tyro.conf.arg(help="processes (default: one for each core, at most 4)")] = 0,
    proofs: Annotated[
        bool, tyro.conf.arg(help="run the SymPy derivations and the Coq proofs too (skipped where Coq is absent)")
    ] = False,
    book: Book = None,
    json_output: Json = False,
) -> int:
    """Check every statement of the theory by computation; write verify.json, figures and one report.html.

    Example: nashlab verify
             nashlab verify --claims L1,L5 --canary --json
             nashlab verify --proofs
    """
    from nashlab.files import part_of
    from nashlab.report import book_address, save_figures, write_verify_report
    from nashlab.verify import environment_of, recorded, select
    from nashlab.verify.figures import DRAWINGS, draw, figures_of, illustrations
    from nashlab.verify.proofs import proof_results

    if samples < 1:
        raise BadInput(f"samples = {samples}, must be at least 1")
    checks = select(claims)
    folder = out or Path("verify-canary" if canary else "verify-report")
    book_address(book, folder)  # refused now, not after the claims
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"out = {folder}: cannot be written ({error.strerror or error})") from None
    workers = workers or min(os.cpu_count() or 1, 4)
    environment = environment_of(PACKAGES, samples=samples, seed=seed, canary=canary)
    pictures = illustrations(check.id for check in checks)
    beside = [functools.partial(draw, name, folder) for name in pictures]
    try:
        with Progress(len(checks)) as advance:
            numbers: dict[str, Any] = {"samples": samples, "seed": seed, "canary": canary, "workers": workers}
            proved = proof_results() if proofs else ()
            rows = recorded(checks, folder, environment, advance=advance, proved=proved, beside=beside, **numbers)
    except KeyboardInterrupt:
        for name in pictures:  # of a worker that was ended while it drew
            part_of(folder / f"{name}.png").unlink(missing_ok=True)
        if (folder / "verify.json").exists():
            print(f"interrupted: the claims that ended are in {folder / 'verify.json'}", file=sys.stderr)
        raise
    figures = save_figures(folder, figures_of(rows)) | {name: DRAWINGS[name].caption for name in pictures}
    write_verify_report(folder, rows, environment, figures, book=book)
    if json_output:
        print_json({"claims": [r.row() for r in rows], "environment": environment})
    else:
        show_claims(rows, canary)
        print(f"report: {folder / 'report.html'}", file=sys.stderr)
    return 0 if all(r.status != "fail" for r in rows) else 1


@ending("nashlab")
def main(arguments: list[str] | None = None) -> None:
    """Entry point: turn bad input into one line and exit code 2, an interrupt into 130."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)  # on a few busy cores a second BLAS thread is slower than none, by up to 100 times

    try:
        code = commands.run(sys.argv[1:] if arguments is None else arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be written shows here
    except BadInput as error:
        print(f"nashlab: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF):
            raise
        print(f"nashlab: standard output cannot be written ({error.strerror})", file=sys.stderr, flush=True)
        os._exit(2)  # leaving in order would try to write again
    sys.exit(code)


if __name__ == "__main__":
    main()

"""The command line: ``nashlab verify | solve | certify | rank | run | rates | sweep | gallery | algorithms``.

Machine output goes to stdout, progress and errors to stderr.  Exit codes: 0 done, 1 a check failed, 2 bad input, 130
interrupted.  Each command imports only what it uses, so that `nashlab solve` starts in a fraction of a second.
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nashlab.display import Progress, l1, one_line, print_json, show_claims, show_runs, show_solution, show_table
from nashlab.ending import ending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from nashlab.game import PreferenceGame
    from nashlab.rates import Run
    from nashlab.votes import Votes

__all__ = ["main"]

app = tyro.extras.SubcommandApp()

PACKAGES = ("nashlab", "numpy", "scipy", "jax", "python-flint")
ANSWER_LIMIT = 2**28  # bytes of an answer or a game that the verifier reads

Json = Annotated[bool, tyro.conf.arg(name="json", help="machine-readable output on stdout")]
Reference = Annotated[str, tyro.conf.arg(help="'uniform', or a file: one number a line, or label,number")]
Tau = Annotated[float, tyro.conf.arg(help="temperature τ of the KL regularisation, in units of preference")]


@dataclass(frozen=True)
class Reading:
    """How to read a file of votes, where it does not say so itself."""

    kind: Annotated[
        Literal["preferences", "wins", "margins", "payoff"] | None,
        tyro.conf.arg(help="what the numbers of a bare matrix mean (default: read off its diagonal)"),
    ] = None
    fill: Annotated[
        str | None,
        tyro.conf.arg(help="pairs that never met: refuse (default), half (even), bradley-terry, or add-K wins a side"),
    ] = None
    columns: Annotated[
        str | None,
        tyro.conf.arg(help="roles of a log's columns: winner=W,loser=L,weight=N,tie=T,voter=V or first=A,second=B,p=P"),
    ] = None
    ignore: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(help="a column to pass over (may be given again)")
    ] = ()
    unranked: Annotated[
        Literal["last", "uncompared"], tyro.conf.arg(help="what a ballot does not rank: below the rest, or left out")
    ] = "last"
    weigh: Annotated[
        Literal["rates", "votes"], tyro.conf.arg(help="margins: win rates, or votes (majority margins)")
    ] = "rates"
    symmetrise: Annotated[bool, tyro.conf.arg(help="read a rounded table as ½ + (P − Pᵀ)/2")] = False
    min_votes: Annotated[float, tyro.conf.arg(help="pairs with fewer votes count as pairs that never met")] = 0

    def options(self) -> dict[str, Any]:
        """The fields of :class:`nashlab.votes.Options`."""
        from nashlab.game import BadInput

        roles = {}
        for part in (self.columns or "").split(",") if self.columns else ():
            role, equals, name = part.partition("=")
            if not equals or not role.strip() or not name.strip():
                raise BadInput(f"columns: {part!r} must be role=column, as in winner=W,loser=L")
            if role.strip() in roles:
                raise BadInput(f"columns: {role.strip()} is given twice")
            roles[role.strip()] = name.strip()
        return {**vars(self), "columns": roles}


HowToRead = Annotated[Reading, tyro.conf.OmitArgPrefixes]
AS_WRITTEN = Reading()


@app.command(name="solve")
def solve_command(
    game: tyro.conf.Positional[str],
    /,
    *,
    tau: Tau = 0.0,
    reference: Reference | None = None,
    reading: HowToRead = AS_WRITTEN,
    exact: Annotated[
        bool, tyro.conf.arg(help="rational arithmetic, or fail (default: where the input allows it)")
    ] = False,
    bootstrap: Annotated[
        int, tyro.conf.arg(help="where votes are counted: tables drawn again, for intervals and support frequencies")
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

    What is proved is proved of the table; where it counts votes, the answer also says how sure it is of the voters.

    Example: nashlab solve soundquality
             nashlab solve comparisons.csv --tau 0.1 --json > answer.json
             nashlab solve comparisons.csv --bootstrap 1000 --confidence 0.95 --claim policy.csv

    Args:
        game: a name from `nashlab gallery`, a file (CSV, JSON, NPY, PrefLib, comparison log), or - for standard input.
    """
    from nashlab.answer import answer_of
    from nashlab.equilibrium import nash
    from nashlab.game import BadInput, check_temperature
    from nashlab.votes import read_reference
    from nashlab.votes.sure import how_sure

    temperature = check_temperature(tau)
    if bootstrap < 0 or (bootstrap and temperature > 0):
        raise BadInput(f"bootstrap = {bootstrap}, must be at least 0, and 0 at τ > 0: there the delta method is used")
    votes = _votes(game, reference, reading)
    labels = votes.game.labels
    claimed = None if claim is None else read_reference(claim, labels) or [1] * len(labels)
    solution = nash(votes.game, temperature, exact=True if exact else None)
    doubt: dict[str, Any] = {"bootstrap": bootstrap, "confidence": confidence, "claim": claimed, "seed": seed}
    sure = how_sure(votes, solution.policy, temperature=temperature, **doubt)
    if json_output:
        print_json(answer_of(solution) | {"reading": votes.game.reading, "uncertainty": sure})
    else:
        show_solution(solution, sure)
    return 0 if solution.status.ok else 1


@app.command(name="certify")
def certify_command(
    answer: tyro.conf.Positional[str],
    game: tyro.conf.Positional[str | None] = None,
    /,
    *,
    reading: HowToRead = AS_WRITTEN,
    json_output: Json = False,
) -> int:
    """Re-check an answer of `nashlab solve --json` by an independent verifier that shares no code with the solvers.

    Each line is something proved, refuted, or not checked, with the reason. Exit code 1 if anything is refuted.

    Example: nashlab solve soundquality --json > answer.json && nashlab certify answer.json
             nashlab certify answer.json comparisons.csv

    Args:
        answer: the JSON that `nashlab solve --json` printed, or - for standard input.
        game: the game to check it against, any file that `nashlab solve` reads (default: the answer's own margins).
    """
    from nashlab.certify import CertifyError, certify_answer, parsed
    from nashlab.files import read_source
    from nashlab.game import BadInput

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


def _own_reading(game: str, reading: Reading) -> Any:
    """The game by the verifier's reader; by nashlab's, and said so, where that does not know the layout."""
    from nashlab.certify import CertifyError, Game, read_margins
    from nashlab.certify.reading import Unread
    from nashlab.files import read_bytes
    from nashlab.game import BadInput

    path = Path(game)
    try:
        data = read_bytes(path, ANSWER_LIMIT)
        if reading not in (AS_WRITTEN, Reading(kind=reading.kind, fill=reading.fill)) or reading.kind == "payoff":
            raise Unread("it takes no option but --kind and --fill")
        return read_margins(data, path.suffix.lower(), reading.kind, reading.fill)
    except Unread as why:
        problem = _load(game, None, reading)
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


@app.command(name="rank")
def rank_command(
    votes: tyro.conf.Positional[str],
    /,
    *,
    tau: Annotated[float, tyro.conf.arg(help="temperature of the regularised equilibrium")] = 0.1,
    bootstrap: Annotated[int, tyro.conf.arg(help="tables drawn again for the lottery's intervals; 0: none")] = 1000,
    confidence: Annotated[
        float | None, tyro.conf.arg(help="range over all tables of this confidence region, not only unmet pairs")
    ] = None,
    plan: Annotated[int | None, tyro.conf.arg(help="which pairs to ask next, with so many judgments")] = None,
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
    """Rank the responses of a vote log: lottery and equilibrium with intervals, other rules, what the data leave open.

    Example: nashlab rank llmfao
             nashlab rank votes.csv --html board.html --bootstrap 2000
             nashlab rank votes.csv --plan 500 --json

    Pairs that never met are filled with the Bradley-Terry fit of the others, and said so, unless --fill says otherwise.

    Args:
        votes: a file of votes, a table of the gallery, or - for standard input.
    """
    from nashlab import leaderboard
    from nashlab.gallery import load_votes
    from nashlab.game import BadInput
    from nashlab.ranking import plan as plan_judgments
    from nashlab.ranking import rank

    if bootstrap < 0:
        raise BadInput(f"bootstrap = {bootstrap}, must be at least 0")
    if plot is not None:
        from nashlab.plots import check_figure_path

        check_figure_path(plot)
    options = reading.options()
    options["fill"] = options["fill"] or "bradley-terry"
    counted = load_votes(votes, reference=reference, **options)
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


@app.command(name="run")
def run_command(
    algorithms: tyro.conf.Positional[tuple[str, ...]],
    /,
    *,
    game: str,
    tau: Tau,
    step_size: Annotated[float, tyro.conf.arg(help="η; for gradient methods it multiplies D(Aπ − τh)")] = 0.1,
    steps: int = 10_000,
    beta: Annotated[float, tyro.conf.arg(help="β of the geometric mixture, in [0, 1]")] = 0.125,
    reference: Reference | None = None,
    behaviour: Annotated[
        str | None, tyro.conf.arg(help="data policy of offline methods: like --reference (default: the reference)")
    ] = None,
    start: Annotated[
        str | None,
        tyro.conf.arg(help="first policy: like --reference (default: μ; tilted from it where μ is the equilibrium)"),
    ] = None,
    reading: HowToRead = AS_WRITTEN,
    json_output: Json = False,
    plot: Annotated[Path | None, tyro.conf.arg(help="draw exploitability and distance to this PNG, SVG or PDF")] = None,
    feedback: Annotated[
        Literal["exact", "bandit"], tyro.conf.arg(help="full expectations, or sampled responses and annotations")
    ] = "exact",
    completions: Annotated[int, tyro.conf.arg(help="bandit: responses sampled in one step, compared in pairs")] = 8,
    labels: Annotated[
        Literal["hard", "soft", "rater"],
        tyro.conf.arg(help="bandit: a draw for each pair, its probability, or one rater who answers all pairs"),
    ] = "hard",
    seeds: Annotated[int, tyro.conf.arg(help="bandit: independent runs")] = 1,
    seed: int = 0,
    schedule: Annotated[
        Literal["constant", "inverse-root", "harmonic"],
        tyro.conf.arg(help="step size at time t: η, η/√(1+t), or η/(1+t/2)"),
    ] = "constant",
) -> int:
    """Run algorithms: exploitability and distance against steps, predicted and measured rate, and where they go.

    Example: nashlab run omd nash-md egpo online-ipo ipo-md --game rps --tau 0.01 --plot out.png
             nashlab run online-ipo online-ipo+adam:0 online-ipo+momentum:0.9 --game rps --tau 0.1

    Args:
        algorithms: names from `nashlab algorithms`; +OPTIMISER[:MOMENTUM] gives a gradient method another optimiser
            (momentum, averaged-momentum, adam, adafactor).
        game: a name from `nashlab gallery`, a file, or -.
    """
    from nashlab.algorithms import get
    from nashlab.environment import Feedback
    from nashlab.game import BadInput
    from nashlab.rates import rated_run
    from nashlab.votes import read_reference

    if not algorithms:
        raise BadInput("algorithms: none given; `nashlab algorithms` lists them")
    specs = [get(name) for name in algorithms]
    problem = _load(game, reference, reading)
    data_policy = None if behaviour is None else _floats(read_reference(behaviour, problem.labels))
    if plot is not None:
        from nashlab.plots import check_figure_path

        check_figure_path(plot)
    for spec in specs:
        spec.check(tau, step_size, beta)
    first = _first_policy(problem, tau, start)
    seen = None
    if feedback == "bandit":
        seen = Feedback(completions, labels)
        for spec in specs:
            seen.check(spec)
        if seeds < 1:
            raise BadInput(f"seeds = {seeds}, must be at least 1")
        problem = problem if problem.batch and seeds == 1 else problem.repeated(seeds)
    elif seeds != 1 or labels != "hard":
        raise BadInput(f"seeds = {seeds}, labels = {labels}: exact feedback draws nothing; add --feedback bandit")
    with Progress(len(specs)) as advance:
        runs = []
        for spec in specs:
            advance(spec.title)
            numbers: dict[str, Any] = {"step_size": step_size, "beta": beta, "behaviour": data_policy, "start": first}
            numbers |= {"feedback": seen, "seed": seed, "schedule": schedule}
            runs.append(rated_run(spec, problem, tau, steps=steps, **numbers))
    if plot is not None:
        from nashlab.plots import convergence, save

        save(convergence(runs), plot)
    if json_output:
        print_json([_run_json(run) for run in runs])
    else:
        show_runs(runs)
    return 0


@app.command(name="rates")
def rates_command(
    algorithm: tyro.conf.Positional[str],
    /,
    *,
    game: str,
    tau: Tau,
    step_size: float = 0.1,
    beta: float = 0.125,
    reference: Reference | None = None,
    behaviour: str | None = None,
    reading: HowToRead = AS_WRITTEN,
    json_output: Json = False,
) -> int:
    """Predict an algorithm's local rate at its own fixed point (R3), and measure it on a run beside that point.

    Example: nashlab rates egpo --game rps --tau 0.1 --step-size 0.5

    Args:
        algorithm: a name from `nashlab algorithms`.
        game: a name from `nashlab gallery`, a file, or -.
        behaviour: data policy of offline methods: like --reference (default: the reference).
    """
    import numpy as np

    from nashlab.algorithms import get
    from nashlab.rates import game_frequency, local_rate
    from nashlab.votes import read_reference

    spec = get(algorithm)
    problem = _load(game, reference, reading)
    data_policy = None if behaviour is None else _floats(read_reference(behaviour, problem.labels))
    rate = local_rate(spec, problem, tau, step_size=step_size, beta=beta, behaviour=data_policy)
    content: dict[str, Any] = {
        "algorithm": spec.name,
        "claim": spec.claim,
        "predicted_rate": rate and rate.predicted,
        "measured_rate": rate and rate.measured,
        "stable": rate and rate.predicted < 1,
        "eigenvalues": rate and [[float(z.real), float(z.imag)] for z in rate.eigenvalues],
        "frequency": rate and float(game_frequency(problem, rate.fixed_point)[0]),
        "labels": problem.labels,
        "fixed_point": rate and np.exp(rate.fixed_point).tolist(),
    }
    if json_output:
        print_json(content)
        return 0
    print(f"{spec.title} on {problem.name}, τ = {tau:g}, η = {step_size:g}")
    if rate is None:
        print(f"no local linear rate: {spec.claim}")
        return 0
    print(f"predicted  ρ = {rate.predicted:.6f} a step" + ("" if rate.predicted < 1 else "  (unstable: ρ ≥ 1)"))
    print("measured   " + ("no clean decay was seen" if rate.measured is None else f"ρ = {rate.measured:.6f}"))
    print(f"game frequency λ = {content['frequency']:.6f}; claim: {spec.claim}")
    return 0


@app.command(name="gallery")
def gallery_command(*, json_output: Json = False) -> int:
    """List the named games: reference examples of the papers, hard cases, and three tables of human judgments.

    Example: nashlab gallery
    """
    from nashlab.gallery import GALLERY

    if json_output:
        print_json([{"name": e.name, "description": e.description, "source": e.source} for e in GALLERY.values()])
        return 0
    show_table(("name", "game", "source"), [(e.name, e.description, e.source) for e in GALLERY.values()])
    return 0


@app.command(name="algorithms")
def algorithms_command(*, json_output: Json = False) -> int:
    """List the algorithms: what each one claims, and the paper's Table 1 (contrastive, online, regularised sampling).

    Example: nashlab algorithms
    """
    from nashlab.algorithms import REGISTRY

    rows = [
        {
            "name": s.name,
            "aliases": list(s.aliases),
            "title": s.title,
            "contrastive": s.contrastive,
            "online": s.online,
            "regularised_sampling": s.regularised_sampling,
            "feedback": ["exact", "bandit"] if s.objective is not None else ["exact"],
            "claim": s.claim,
            "citation": s.citation,
        }
        for s in REGISTRY.values()
    ]
    if json_output:
        print_json(rows)
        return 0
    show_table(
        ("name", "contrastive", "online", "mixture", "claim"),
        [
            (
                " ".join([s.name, *s.aliases]),
                *("✓" if has else "·" for has in (s.contrastive, s.online, s.regularised_sampling)),
                s.claim,
            )
            for s in REGISTRY.values()
        ],
    )
    return 0


@app.command(name="sweep")
def sweep_command(
    config: tyro.conf.Positional[Path],
    /,
    *,
    out: Annotated[Path | None, tyro.conf.arg(help="folder of the table and figure (default: the file's name)")] = None,
    resume: Annotated[
        bool, tyro.conf.arg(help="continue an interrupted sweep: run what is missing, only that")
    ] = False,
) -> int:
    """Run algorithms over games, seeds, step sizes, temperatures and β; write a parquet table and a figure.

    Example: nashlab sweep sweep.toml
             nashlab sweep sweep.toml --resume
             nashlab sweep paper-order

    Args:
        config: a TOML file: games, algorithms, temperatures, step_sizes, steps; optional betas, records, feedback,
            completions, labels, seeds, seed, schedule.
    """
    from nashlab.plots import save, sweep_bands, sweep_families
    from nashlab.sweep import read_sweep, run_sweep

    sweep = read_sweep(config)
    folder = out or config.with_suffix("")
    with Progress(len(sweep.units())) as advance:
        table = run_sweep(sweep, folder, resume=resume, advance=advance)
    save(sweep_bands(table), folder / "sweep.png")
    save(sweep_families(table), folder / "families.png")
    print(f"table: {table}", file=sys.stderr)
    return 0


@app.command(name="verify")
def verify_command(
    *,
    claims: Annotated[str | None, tyro.conf.arg(help="comma-separated identifiers, e.g. L1,L5 (default: all)")] = None,
    samples: Annotated[int, tyro.conf.arg(help="random games for each claim")] = 200,
    seed: int = 0,
    canary: Annotated[
        bool, tyro.conf.arg(help="replace each claim's object by a wrong twin, which must be caught")
    ] = False,
    out: Annotated[Path | None, tyro.conf.arg(help="folder of the report (default: verify-report)")] = None,
    workers: Annotated[int, tyro.conf.arg(help="processes (default: one for each core, at most 4)")] = 0,
    proofs: Annotated[
        bool, tyro.conf.arg(help="run the SymPy derivations and the Coq proofs too (skipped where Coq is absent)")
    ] = False,
    json_output: Json = False,
) -> int:
    """Check every statement of the theory by computation; write verify.json, figures and one report.html.

    Example: nashlab verify
             nashlab verify --claims L1,L5 --canary --json
             nashlab verify --proofs
    """
    from nashlab.game import BadInput
    from nashlab.report import write_verify_report
    from nashlab.verify import environment_of, recorded, select
    from nashlab.verify.figures import laboratory_figures
    from nashlab.verify.proofs import proof_results

    if samples < 1:
        raise BadInput(f"samples = {samples}, must be at least 1")
    checks = select(claims)
    folder = out or Path("verify-canary" if canary else "verify-report")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"out = {folder}: cannot be written ({error})") from None
    workers = workers or min(os.cpu_count() or 1, 4)
    environment = environment_of(PACKAGES, samples=samples, seed=seed, canary=canary)
    try:
        with Progress(len(checks)) as advance:
            numbers: dict[str, Any] = {"samples": samples, "seed": seed, "canary": canary, "workers": workers}
            proved = proof_results() if proofs else ()
            rows = recorded(checks, folder, environment, advance=advance, proved=proved, **numbers)
    except KeyboardInterrupt:
        print(f"interrupted: the claims that ended are in {folder / 'verify.json'}", file=sys.stderr)
        raise
    write_verify_report(folder, rows, environment, laboratory_figures(rows))
    if json_output:
        print_json({"claims": [asdict(r) for r in rows], "environment": environment})
    else:
        show_claims(rows, canary)
        print(f"report: {folder / 'report.html'}", file=sys.stderr)
    return 0 if all(r.status != "fail" for r in rows) else 1


# -- loading ---------------------------------------------------------------------------------------------------------


def _load(game: str, reference: str | None, reading: Reading) -> PreferenceGame:
    return _votes(game, reference, reading).game


def _votes(game: str, reference: str | None, reading: Reading) -> Votes:
    from nashlab.gallery import load_votes

    votes = load_votes(game, reference=reference, **reading.options())
    if votes.game.reading is not None:
        print(votes.reading, file=sys.stderr)
    return votes


def _floats(policy: Sequence[Fraction] | None) -> NDArray[np.float64] | None:
    """A policy that was read exactly, as the algorithms take it."""
    import numpy as np

    return None if policy is None else np.array(policy, dtype=np.float64)


def _first_policy(game: PreferenceGame, tau: float, start: str | None) -> NDArray[np.float64]:
    """log π₀ of a run: as asked, else μ; where μ is the equilibrium there would be nothing to see, so a tilt of it."""
    import numpy as np

    from nashlab.arrays import log_softmax
    from nashlab.certificate import exploitability
    from nashlab.votes import read_reference

    if start is not None:
        return game.with_reference(read_reference(start, game.labels)).log_reference
    if game.batch or game.n == 1 or float(exploitability(game, game.log_reference, tau)) > 1e-12:
        return game.log_reference
    print("the reference is the equilibrium: starting from a policy tilted to the first responses", file=sys.stderr)
    return np.asarray(log_softmax(game.log_reference + np.log(np.arange(game.n, 0, -1))))


# -- JSON ------------------------------------------------------------------------------------------------------------


def _run_json(run: Run) -> dict[str, Any]:
    import numpy as np

    solution, history = run.solution, run.solution.history
    goal = solution.stats["target"]
    return {
        "algorithm": run.spec.name,
        "policy": solution.policy,
        "steps": history["steps"],
        "exploitability": history["exploitability"],
        "distance": history["distance"],
        "target_distance": history.get("target_distance"),
        "status": solution.status.token,
        "predicted_rate": run.predicted,
        "measured_rate": run.measured,
        "target": None if goal is None else np.exp(goal),
        "target_to_equilibrium": None if goal is None else l1(goal, solution.stats["nash"]),
        "unbiased": run.spec.unbiased,
        "largest_step": solution.stats["largest_step"],
        "certificate": {"l1_bound": solution.certificate.l1_bound, "kind": solution.certificate.kind},
    }


@ending("nashlab")
def main(arguments: list[str] | None = None) -> None:
    """Entry point: turn bad input into one line and exit code 2, an interrupt into 130."""
    from threadpoolctl import threadpool_limits

    from nashlab.game import BadInput

    threadpool_limits(1)  # on a few busy cores a second BLAS thread is slower than none, by up to 100 times

    description = (
        "Preference games: exact equilibria with proofs, the algorithms that look for them, the theory checked."
    )
    try:
        code = app.cli(prog="nashlab", args=arguments, description=description, config=(tyro.conf.FlagCreatePairsOff,))
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

"""The command line: ``nashlab verify | solve | certify | run | rates | sweep | gallery | algorithms``.

Machine output goes to stdout, progress and errors to stderr.  Exit codes: 0 done, 1 a check failed, 2 bad input, 130
interrupted.  Each command imports only what it uses, so that `nashlab solve` starts in a fraction of a second.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nashlab.display import Progress, l1, print_json, show_claims, show_runs, show_solution, show_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nashlab.game import PreferenceGame
    from nashlab.rates import Run
    from nashlab.solution import Solution


__all__ = ["main"]

app = tyro.extras.SubcommandApp()

PACKAGES = ("nashlab", "numpy", "scipy", "jax", "python-flint")
CERTIFIED_UP_TO = 1000  # responses up to which an answer is certified in ball arithmetic (about a second there)

Json = Annotated[bool, tyro.conf.arg(name="json", help="machine-readable output on stdout")]
Kind = Annotated[
    Literal["preferences", "wins", "margins"] | None,
    tyro.conf.arg(help="what the numbers of a bare matrix mean (default: read off its diagonal)"),
]
Fill = Annotated[
    Literal["half"] | None, tyro.conf.arg(help="'half': pairs that never met count as even (default: refused)")
]
Reference = Annotated[str, tyro.conf.arg(help="'uniform', or a file: one number a line, or label,number")]
Tau = Annotated[float, tyro.conf.arg(help="temperature τ of the KL regularisation, in units of preference")]


@app.command(name="solve")
def solve_command(
    game: tyro.conf.Positional[str],
    /,
    *,
    tau: Tau = 0.0,
    reference: Reference | None = None,
    kind: Kind = None,
    fill: Fill = None,
    exact: Annotated[
        bool, tyro.conf.arg(help="rational arithmetic, or fail (default: where the input allows it)")
    ] = False,
    json_output: Json = False,
) -> int:
    """Find the equilibrium of a game, with a proof: the maximal lottery (τ = 0) or the regularised one (τ > 0).

    Example: nashlab solve soundquality
             nashlab solve comparisons.csv --tau 0.1 --json > answer.json

    Args:
        game: a name from `nashlab gallery`, a file (CSV, JSON, NPY, PrefLib, comparison log), or - for standard input.
    """
    from nashlab.certificate import certify_ball
    from nashlab.equilibrium import maximal_lottery, regularised_nash
    from nashlab.game import BadInput, check_temperature

    temperature = check_temperature(tau)
    problem = _load(game, reference, kind, fill)
    if temperature == 0:
        solution = maximal_lottery(problem, exact=True if exact else None)
        certificate = solution.certificate
    else:
        if exact:
            raise BadInput(f"exact: the equilibrium at tau = {tau} is irrational; --exact needs tau = 0")
        solution = regularised_nash(problem, temperature)
        rigorous = problem.n <= CERTIFIED_UP_TO
        certificate = certify_ball(problem, solution.log_policy, temperature) if rigorous else solution.certificate
    if json_output:
        print_json(_answer(solution, certificate))
    else:
        show_solution(solution, certificate)
    return 0 if solution.status.ok else 1


@app.command(name="certify")
def certify_command(
    answer: tyro.conf.Positional[str], game: tyro.conf.Positional[str | None] = None, /, *, json_output: Json = False
) -> int:
    """Re-check an answer of `nashlab solve --json` by an independent verifier that shares no code with the solvers.

    Example: nashlab solve soundquality --json > answer.json && nashlab certify answer.json

    Args:
        answer: the JSON that `nashlab solve --json` printed.
        game: a CSV or JSON game to check it against (default: the answer's own exact margins).
    """
    import json

    from nashlab.certify import CertifyError, certify_answer, read_margins
    from nashlab.game import BadInput

    try:
        content = json.loads(sys.stdin.read() if answer == "-" else Path(answer).read_text(encoding="utf-8"))
        rows = certify_answer(content, None if game is None else read_margins(game))
    except CertifyError as error:
        raise BadInput(str(error)) from None
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise BadInput(f"{answer}: is not an answer of `nashlab solve --json` ({error!r})") from None
    if json_output:
        print_json([{"check": what, "holds": ok, "detail": detail} for what, ok, detail in rows])
    else:
        for what, ok, detail in rows:
            print(f"{'proved ' if ok else 'REFUTED'}  {what}" + (f"  ({detail})" if detail else ""))
    return 0 if all(ok for _, ok, _ in rows) else 1


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
    kind: Kind = None,
    fill: Fill = None,
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
    from nashlab.readers import read_reference

    if not algorithms:
        raise BadInput("algorithms: none given; `nashlab algorithms` lists them")
    specs = [get(name) for name in algorithms]
    problem = _load(game, reference, kind, fill)
    data_policy = None if behaviour is None else read_reference(behaviour, problem.labels)
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
    kind: Kind = None,
    fill: Fill = None,
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
    from nashlab.readers import read_reference

    spec = get(algorithm)
    problem = _load(game, reference, kind, fill)
    data_policy = None if behaviour is None else read_reference(behaviour, problem.labels)
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


def _load(game: str, reference: str | None, kind: str | None, fill: str | None) -> PreferenceGame:
    from nashlab.gallery import load_game

    return load_game(game, kind=kind, fill=fill, reference=reference)


def _first_policy(game: PreferenceGame, tau: float, start: str | None) -> NDArray[np.float64]:
    """log π₀ of a run: as asked, else μ; where μ is the equilibrium there would be nothing to see, so a tilt of it."""
    import numpy as np

    from nashlab.arrays import log_softmax
    from nashlab.certificate import exploitability
    from nashlab.readers import read_reference

    if start is not None:
        return game.with_reference(read_reference(start, game.labels)).log_reference
    if game.batch or game.n == 1 or float(exploitability(game, game.log_reference, tau)) > 1e-12:
        return game.log_reference
    print("the reference is the equilibrium: starting from a policy tilted to the first responses", file=sys.stderr)
    return np.asarray(log_softmax(game.log_reference + np.log(np.arange(game.n, 0, -1))))


# -- JSON ------------------------------------------------------------------------------------------------------------


def _answer(solution: Solution, certificate: Any) -> dict[str, Any]:
    import numpy as np

    game, face = solution.game, solution.face
    uniform = bool(np.all(game.log_reference == game.log_reference.flat[0]))
    return {
        "game": game.name,
        "labels": list(game.labels),
        "reference": None if uniform else game.reference,
        "policy": solution.policy,
        "log_policy": solution.log_policy,
        "policy_exact": solution.policy_exact,
        "margins_exact": game.exact,
        "tau": solution.temperature,
        "status": solution.status.token,
        "exploitability": certificate.exploitability,
        "support": None if game.batch else list(solution.support),
        "slacks": solution.slacks,
        "unique": True if solution.temperature > 0 else solution.unique,
        "face": face and {"dimension": face.dimension, "vertices": face.vertices, "complete": face.complete},
        "certificate": {
            "l1_bound": certificate.l1_bound,
            "kind": certificate.kind,
            "rigorous": certificate.rigorous,
        },
    }


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
    except BadInput as error:
        print(f"nashlab: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away: nobody to tell
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code)


if __name__ == "__main__":
    main()

"""The commands about algorithms: ``nashlab run | rates | sweep | algorithms``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nashlab.arguments import AS_WRITTEN, HowToRead, Json, Reference, Tau, floats, loaded
from nashlab.display import Progress, print_json, show_runs, show_table
from nashlab.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nashlab.game import PreferenceGame

__all__ = ["algorithms_command", "rates_command", "run_command", "sweep_command"]


def run_command(
    algorithms: tyro.conf.Positional[tuple[str, ...]],
    /,
    *,
    game: str,
    tau: Annotated[
        float | Literal["auto"], tyro.conf.arg(help="temperature τ, or auto: the τ at which KL(π*‖μ) = --kl")
    ],
    step_size: Annotated[float, tyro.conf.arg(help="η; for gradient methods it multiplies D(Aπ − τh)")] = 0.1,
    steps: int = 10_000,
    beta: Annotated[float, tyro.conf.arg(help="β of the geometric mixture, in [0, 1]")] = 0.125,
    reference: Reference | None = None,
    behaviour: Annotated[
        str | None, tyro.conf.arg(help="data policy of offline methods: like --reference (default: the reference)")
    ] = None,
    start: Annotated[
        str | None,
        tyro.conf.arg(help="first policy: like --reference (default: μ, or a tilt of μ if μ is the equilibrium)"),
    ] = None,
    kl: Annotated[
        float | None, tyro.conf.arg(help="with --tau auto: the equilibrium's divergence KL(π*‖μ) in nats (N23)")
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
        str, tyro.conf.arg(help="step size at time t: constant, inverse-root η/√(1+t), harmonic η/(1+t/2)")
    ] = "constant",
) -> int:
    """Run algorithms: exploitability and distance against steps, predicted and measured rate, and their limits.

    Example: nashlab run omd nash-md egpo online-ipo ipo-md --game rps --tau 0.01 --plot out.png
             nashlab run online-ipo online-ipo+adam:0 online-ipo+momentum:0.9 --game rps --tau 0.1
             nashlab run nash-prox egpo --game soundquality --tau auto --kl 0.5

    Args:
        algorithms: names from `nashlab algorithms`; +OPTIMISER[:MOMENTUM] gives a gradient method another optimiser
            (momentum, averaged-momentum, adam, adafactor).
        game: a name from `nashlab gallery`, a file, or -.
    """
    from nashlab.algorithms import get
    from nashlab.environment import Feedback
    from nashlab.rates import rated_run, run_answer
    from nashlab.votes import read_positive

    if not algorithms:
        raise BadInput("algorithms: none given; `nashlab algorithms` lists them")
    specs = [get(name) for name in algorithms]
    problem = loaded(game, reference, reading)
    data_policy = None if behaviour is None else floats(read_positive(behaviour, problem.labels, "behaviour"))
    if plot is not None:
        from nashlab.plots import check_figure_path

        check_figure_path(plot)
    temperature = _temperature(problem, tau, kl)
    for spec in specs:
        spec.check(temperature, step_size, beta)
    first = _first_policy(problem, temperature, start)
    seen = None
    if feedback == "bandit":
        seen = Feedback(completions, labels)
        for spec in specs:
            seen.check(spec)
        if seeds < 1:
            raise BadInput(f"seeds = {seeds}, must be at least 1")
        problem = problem if problem.batch and seeds == 1 else problem.repeated(seeds)
    elif seeds != 1 or labels != "hard":
        raise BadInput(f"seeds = {seeds}, labels = {labels}: exact feedback has no randomness; add --feedback bandit")
    with Progress(len(specs)) as advance:
        runs = []
        for spec in specs:
            advance(spec.title)
            numbers: dict[str, Any] = {"step_size": step_size, "beta": beta, "behaviour": data_policy, "start": first}
            numbers |= {"feedback": seen, "seed": seed, "schedule": schedule}
            runs.append(rated_run(spec, problem, temperature, steps=steps, **numbers))
    if plot is not None:
        from nashlab.plots import convergence, save

        save(convergence(runs), plot)
    if json_output:
        print_json([run_answer(run) for run in runs])
    else:
        show_runs(runs)
    return 0


def _temperature(problem: PreferenceGame, tau: float | Literal["auto"], kl: float | None) -> float:
    """τ as given, or the temperature for the KL budget, which is then printed."""
    from nashlab.equilibrium import temperature_for

    if (tau == "auto") != (kl is not None):
        raise BadInput("--tau auto and --kl must be given together")
    if kl is None:
        return float(tau)
    found = temperature_for(problem, kl)
    print(f"τ = {found:.6g}: the equilibrium has KL(π*‖μ) = {kl:g} nats", file=sys.stderr)
    return found


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
    """Predict an algorithm's local rate at its own fixed point (R3), and measure it on a run started nearby.

    Example: nashlab rates egpo --game rps --tau 0.1 --step-size 0.5

    Args:
        algorithm: a name from `nashlab algorithms`.
        game: a name from `nashlab gallery`, a file, or -.
        behaviour: data policy of offline methods: like --reference (default: the reference).
    """
    from nashlab.algorithms import get
    from nashlab.rates import local_rate, rate_answer
    from nashlab.votes import read_positive

    spec = get(algorithm)
    problem = loaded(game, reference, reading)
    data_policy = None if behaviour is None else floats(read_positive(behaviour, problem.labels, "behaviour"))
    rate = local_rate(spec, problem, tau, step_size=step_size, beta=beta, behaviour=data_policy)
    content = rate_answer(spec, problem, rate)
    if json_output:
        print_json(content)
        return 0
    print(f"{spec.title} on {problem.name}, τ = {tau:g}, η = {step_size:g}")
    if rate is None:
        print(f"no local linear rate: {spec.claim}")
        return 0
    print(f"predicted  ρ = {rate.predicted:.6f} per step" + ("" if rate.predicted < 1 else "  (unstable: ρ ≥ 1)"))
    print("measured   " + ("no clean decay was seen" if rate.measured is None else f"ρ = {rate.measured:.6f}"))
    print(f"game frequency λ = {content.frequency:.6f}; claim: {spec.claim}")
    return 0


def algorithms_command(*, json_output: Json = False) -> int:
    """List the algorithms with their claims and the paper's Table 1 (contrastive, online, regularised sampling).

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


def sweep_command(
    config: tyro.conf.Positional[Path],
    /,
    *,
    out: Annotated[Path | None, tyro.conf.arg(help="folder of the table and figure (default: the file's name)")] = None,
    resume: Annotated[
        bool, tyro.conf.arg(help="continue an interrupted sweep: run only what is missing")
    ] = False,
    workers: Annotated[int, tyro.conf.arg(help="processes, or processors of a local Ray cluster")] = 1,
    address: Annotated[
        str | None, tyro.conf.arg(help="run on a Ray cluster: its address, auto, or local to start one here")
    ] = None,
) -> int:
    """Run algorithms over games, seeds, step sizes, temperatures and β; write a parquet table and a figure.

    Example: nashlab sweep sweep.toml
             nashlab sweep sweep.toml --resume --workers 2
             nashlab sweep paper-order --out /shared/order --address auto

    Args:
        config: a TOML file: games, algorithms, temperatures, step_sizes, steps; optional betas, records, feedback,
            completions, labels, seeds, seed, schedule.
    """
    from nashlab.parallel import Cluster
    from nashlab.plots import save, sweep_bands, sweep_families
    from nashlab.sweep import read_sweep, run_sweep

    cluster = Cluster(workers, address)
    sweep = read_sweep(config)
    folder = out or config.with_suffix("")
    with Progress(len(sweep.units())) as advance:
        table = run_sweep(sweep, folder, resume=resume, advance=advance, cluster=cluster)
    save(sweep_bands(table), folder / "sweep.png")
    save(sweep_families(table), folder / "families.png")
    print(f"table: {table}", file=sys.stderr)
    return 0


def _first_policy(game: PreferenceGame, tau: float, start: str | None) -> NDArray[np.float64]:
    """log π₀ of a run: as given, else μ, or a tilt of μ if μ is the equilibrium and nothing would move."""
    import numpy as np

    from nashlab.arrays import log_softmax
    from nashlab.certificate import exploitability
    from nashlab.votes import read_positive

    if start is not None:
        return game.with_reference(read_positive(start, game.labels, "start")).log_reference
    if game.batch or game.n == 1 or float(exploitability(game, game.log_reference, tau)) > 1e-12:
        return game.log_reference
    print("the reference is the equilibrium: starting from a policy tilted to the first responses", file=sys.stderr)
    return np.asarray(log_softmax(game.log_reference + np.log(np.arange(game.n, 0, -1))))

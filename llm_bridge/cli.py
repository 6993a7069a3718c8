"""The command line of the bridge: train, verify, run, demo, sweep, compare, methods, about, completion.

Machine output goes to stdout, progress and errors to stderr.  Exit codes: 0 done, 1 a check failed or training
diverged, 2 bad input or a failed judge, 130 interrupted.  Only hub names use the network.
``python -m llm_bridge`` is the same.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

import llm_bridge
from nashlab.arguments import Book, Canary, Claims, Json
from nashlab.commands import Commands
from nashlab.display import Progress, one_line, print_json, show_claims, show_table
from nashlab.ending import ending
from nashlab.game import BadInput

__all__ = ["main"]

commands = Commands(
    "llm-bridge",
    llm_bridge.__version__,
    "The algorithms of nashlab on transformers, exact where a language can be enumerated.",
)

PACKAGES = ("nashlab", "torch", "transformers", "peft", "numpy")


@commands.command("verify")
def verify_command(
    *,
    claims: Claims = None,
    seed: int = 0,
    canary: Canary = False,
    out: Annotated[Path | None, tyro.conf.arg(help="folder of the report (default: llm-bridge-report)")] = None,
    book: Book = None,
    json_output: Json = False,
) -> int:
    """Check the transformer code against the theory on languages that can be enumerated; writes report.html.

    Example: llm-bridge verify
             llm-bridge verify --claims L1,L5 --canary --json
    """
    import torch

    from llm_bridge.verify import CHECKS
    from nashlab.claims import environment_of, recorded, select
    from nashlab.report import book_address, claims_figure, save_figures, write_verify_report

    torch.set_num_threads(1)  # for two-layer models a second thread costs more than it gains
    checks = select(claims, CHECKS)
    folder = out or Path("llm-bridge-canary" if canary else "llm-bridge-report")
    book_address(book, folder)  # refused now, not after the claims
    _writable(folder)
    numbers: dict[str, Any] = {"samples": 20, "seed": seed, "canary": canary}
    environment = environment_of(PACKAGES, **numbers)
    with Progress(len(checks)) as advance:
        rows = recorded(checks, folder, environment, advance=advance, workers=1, **numbers)
    where = "on transformers whose languages, or sets of candidates, can be enumerated"
    write_verify_report(folder, rows, environment, save_figures(folder, claims_figure(rows)), where, book=book)
    if json_output:
        print_json({"claims": [r.row() for r in rows], "environment": environment})
    else:
        show_claims(rows, canary)
        print(f"report: {folder / 'report.html'}", file=sys.stderr)
    return 0 if all(r.status != "fail" for r in rows) else 1


@commands.command("train")
def train_command(
    *,
    policy: Annotated[str, tyro.conf.arg(help="a folder, or a hub name: owner/name")],
    prompts: Annotated[
        tuple[str, ...], tyro.conf.arg(help="files, hub names (owner/name:split); NAME=WEIGHT to mix several")
    ],
    judge: Annotated[
        str | None,
        tyro.conf.arg(help="MODULE:FUNCTION, FILE.py:FUNCTION, a reward model's folder, a server's address, or a name"),
    ] = None,
    judge_options: Annotated[tuple[str, ...], tyro.conf.arg(help="key=value for the judge, e.g. scale=0.5")] = (),
    out: Annotated[Path, tyro.conf.arg(help="folder of the run; the same call resumes it")],
    method: Annotated[str, tyro.conf.arg(help="`llm-bridge methods` lists them")] = "ipo-md",
    tau: Annotated[float, tyro.conf.arg(help="temperature of the game: keeps the policy near the reference")] = 0.1,
    beta: Annotated[float, tyro.conf.arg(help="of the mixture that ipo-md and nash-md-pg sample from")] = 0.125,
    steps: Annotated[int, tyro.conf.arg(help="in total; a larger number extends a finished run")] = 100,
    batch: Annotated[int, tyro.conf.arg(help="prompts per step")] = 8,
    micro_batch: Annotated[int, tyro.conf.arg(help="prompts in one forward and backward pass (0: all)")] = 0,
    completions: Annotated[int, tyro.conf.arg(help="per prompt: all their pairs are judged")] = 2,
    max_new_tokens: Annotated[int, tyro.conf.arg(help="of a completion")] = 128,
    temperature: Annotated[float, tyro.conf.arg(help="of sampling and scoring")] = 1.0,
    labels: Annotated[str, tyro.conf.arg(help="soft: the judge's p; hard: a draw from it")] = "soft",
    learning_rate: Annotated[float, tyro.conf.arg(help="largest, in units of preference (L1)")] = 1e-5,
    optimiser: Annotated[str, tyro.conf.arg(help="adamw, sgd or adafactor")] = "adamw",
    schedule: Annotated[str, tyro.conf.arg(help="linear, cosine, constant, ...")] = "linear",
    warmup: Annotated[int, tyro.conf.arg(help="steps")] = 0,
    max_grad_norm: float = 1.0,
    step_size: Annotated[float, tyro.conf.arg(help="INPO: η of its mirror-descent step")] = 1.0,
    refresh: Annotated[int, tyro.conf.arg(help="INPO: steps between two such steps")] = 20,
    precision: Annotated[str, tyro.conf.arg(help="no, or bf16: precision of the computation")] = "no",
    lora: Annotated[int, tyro.conf.arg(help="rank of adapters (0: all weights are trained)")] = 0,
    dtype: Annotated[str | None, tyro.conf.arg(help="of the weights (float32; under adapters as stored)")] = None,
    device: Annotated[str, tyro.conf.arg(help="auto, cpu, cuda, ...")] = "auto",
    base: Annotated[str | None, tyro.conf.arg(help="weights under --policy's adapters, where they moved")] = None,
    quantised: Annotated[str | None, tyro.conf.arg(help="4bit or 8bit: the weights under adapters")] = None,
    template: Annotated[str, tyro.conf.arg(help="of prompts that are texts")] = "{prompt}",
    column: Annotated[str | None, tyro.conf.arg(help="that holds the prompts, if its name is not a known one")] = None,
    max_prompt_tokens: Annotated[int | None, tyro.conf.arg(help="longer ones are cut")] = None,
    cut: Annotated[str, tyro.conf.arg(help="end or start: which part of an overlong prompt is cut")] = "end",
    unfit: Annotated[str, tyro.conf.arg(help="refuse or drop: prompts empty or too long")] = "refuse",
    unended_penalty: Annotated[float, tyro.conf.arg(help="penalty for an answer cut off by the limit")] = 0.0,
    cut_mark: Annotated[str, tyro.conf.arg(help="text appended to such an answer for the judge")] = "",
    portions: Annotated[int, tyro.conf.arg(help="parts of a step: one is judged while the next is generated")] = 1,
    held_out: Annotated[int, tyro.conf.arg(help="prompts for measurement, excluded from training")] = 32,
    measure_every: Annotated[int | None, tyro.conf.arg(help="steps between measurements (a tenth of all)")] = None,
    checkpoint_every: Annotated[int, tyro.conf.arg(help="steps between two checkpoints (0: only at the end)")] = 10,
    trackers: Annotated[
        tuple[str, ...], tyro.conf.arg(help="tensorboard, wandb, trackio, ... if installed")
    ] = ("tensorboard",),
    seed: int = 0,
    push: Annotated[str | None, tyro.conf.arg(help="owner/name on the hub to upload the result to")] = None,
    json_output: Json = False,
) -> int:
    """Train a policy on your prompts against your judge; the result, ready to load, is OUT/policy.

    Example: llm-bridge train --policy owner/model --prompts prompts.jsonl --judge judge.py:prefer --out trained
             llm-bridge train --policy base --prompts a.jsonl=2 b.parquet --judge reward-model --lora 16 --out run
    """
    from llm_bridge.training import Recipe, Settings, Stopped, prepared
    from llm_bridge.training import push as upload

    every = max(1, steps // 10) if measure_every is None else measure_every
    settings = Settings(
        steps, batch, micro_batch, tau, beta, step_size, refresh, learning_rate, optimiser, schedule=schedule,
        warmup=warmup, max_grad_norm=max_grad_norm, precision=precision, measure_every=every,
        checkpoint_every=checkpoint_every, seed=seed,
    )  # fmt: skip
    named = {"name": judge, **_options(judge_options)} if judge_options and judge is not None else judge
    recipe = Recipe(
        policy, prompts, named, settings, method, completions, max_new_tokens, temperature, labels, held_out,
        template, column, max_prompt_tokens, cut, unfit, unended_penalty, cut_mark, portions, lora, dtype,
        device, base, quantised,
    )  # fmt: skip
    _writable(out)
    quiet()
    project = prepared(recipe, out, trackers)
    for note in project.notes:
        print(note, file=sys.stderr)
    try:
        with Progress(steps) as advance:
            last = project.train(told_progress(advance, project))
    except (Stopped, OSError) as error:
        raise BadInput("; ".join([str(error), *getattr(error, "__notes__", [])])) from error
    if json_output:
        print_json({**last, "policy": str(out / "policy")})
    else:
        show_standing(last)
        print(f"trained policy: {out / 'policy'}", file=sys.stderr)
    if push is not None:
        print(f"pushed to {upload(out / 'policy', push)}", file=sys.stderr)
    return 0


@commands.command("methods")
def methods_command(*, json_output: Json = False) -> int:
    """List the methods that run on transformers: who samples, which objective, and what each one claims.

    Example: llm-bridge methods
    """
    from llm_bridge.training import BRIDGED

    rows = [
        {"name": m.spec.name, "left": m.left, "right": m.right, "form": m.form.name, "claim": m.spec.claim}
        for m in BRIDGED.values()
    ]
    if json_output:
        print_json(rows)
        return 0
    columns = ("name", "left", "right", "form", "claim")
    show_table(columns, [[str(row[c]) for c in columns] for row in rows])
    return 0


Config = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(help="a TOML file, or demo, closed-1000, closed-1000-causes, summarise-t5, summarise-smollm2, "
                  "paper-t5-tldr"),
]
Overrides = Annotated[tuple[str, ...], tyro.conf.arg(help="key=value that overrides the file, e.g. train.steps=50")]
Folder = Annotated[Path | None, tyro.conf.arg(help="folder of the experiment (default: the configuration's name)")]
Resume = Annotated[bool, tyro.conf.arg(help="continue in a folder that already holds stages")]
Workers = Annotated[int, tyro.conf.arg(help="processes that train methods and seeds in parallel")]


@commands.command("run")
def run_command(
    config: Config,
    *,
    override: Overrides = (),
    resume: Resume = False,
    out: Folder = None,
    workers: Workers = 1,
    json_output: Json = False,
) -> int:
    """Run an experiment from a TOML file or the name of a shipped one; writes results.json and report.html.

    Example: llm-bridge run demo --override train.steps=50 seeds=[0] --out quick
             llm-bridge run mine.toml --resume
    """
    from llm_bridge.experiment import Cluster, run_causes, run_experiment
    from llm_bridge.experiment.report import write_report

    experiment, folder, stages = _opened(config, override, resume, out)
    if experiment.causes:
        with Progress(stages) as advance:
            found = run_causes(experiment, folder, advance, Cluster(workers))
        print_json(found) if json_output else _show_causes(found)
        return 0
    with Progress(stages) as advance:
        results = run_experiment(experiment, folder, advance, Cluster(workers))
    write_report(folder / "report.html", results)
    if json_output:
        print_json(results)
    else:
        show_results(results)
        print(f"report: {folder / 'report.html'}", file=sys.stderr)
    return 0


def _show_causes(found: Mapping[str, Any]) -> None:
    """One table a cause: exploitability on unseen texts by method and level."""
    for name, levels in found["causes"].items():
        print(f"{name}: exploitability on unseen texts")
        columns = ["", *(f"{level['at']:g}" for level in levels)]
        values = [dict(zip(level["methods"], level["exploitability"]["mean"], strict=True)) for level in levels]
        methods = dict.fromkeys(m for row in values for m in row)
        rows = [[m, *(f"{row[m]:.4f}" if m in row else "" for row in values)] for m in methods]
        show_table(columns, rows)


@commands.command("sweep")
def sweep_command(
    config: Config,
    *,
    override: Overrides = (),
    resume: Resume = False,
    out: Folder = None,
    workers: Workers = 2,
    address: Annotated[str, tyro.conf.arg(help="a Ray cluster's, or 'local' to start one here")] = "local",
    gpus: Annotated[float, tyro.conf.arg(help="per run, may be a fraction")] = 0.0,
    json_output: Json = False,
) -> int:
    """Run the [grid] of an experiment, methods x τ x β x seeds, through Ray; one folder per run, none made twice.

    Example: llm-bridge sweep demo --override 'grid.tau=[0.05, 0.1, 0.2]' --out demo --workers 2
             llm-bridge run demo --resume --override 'grid.tau=[0.05, 0.1, 0.2]' --out demo
    """
    from llm_bridge.experiment import Cluster, run_grid

    experiment, folder, stages = _opened(config, override, resume, out)
    if experiment.causes:
        raise BadInput(f"causes = {', '.join(experiment.causes)}, are not swept; `llm-bridge run` runs them, "
                       "--override 'causes={}' leaves them out")  # fmt: skip
    if not experiment.trials():
        raise BadInput("grid is missing, must list numbers of tau or beta to try")
    with Progress(stages) as advance:
        chosen, rows = run_grid(experiment, folder, advance, Cluster(workers, address, gpus))
    if json_output:
        print_json({"chosen": chosen, "trials": rows})
    else:
        columns = ("method", "tau", "beta", "seed", "win_rate", "merit")
        show_table(columns, [[f"{r[c]:.4g}" if isinstance(r[c], float) else str(r[c]) for c in columns] for r in rows])
        for method, numbers in chosen.items():
            print(f"{method}: " + ", ".join(f"{k} = {v:g}" for k, v in numbers.items()))
    return 0


def _opened(config: str, override: tuple[str, ...], resume: bool, out: Path | None) -> tuple[Any, Path, int]:
    """The experiment, its folder, and the number of its stages."""
    from llm_bridge.experiment import quietly, read_experiment, stages_of

    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise BadInput(
            f"WORLD_SIZE = {processes}, must be 1: an experiment starts its own processes (--workers); "
            "a script that calls llm_bridge.training.train may be launched in several"
        )
    experiment = read_experiment(config, override)
    quietly(experiment)
    folder = out or Path(experiment.name)
    if any((folder / "stages").glob("*/stage.json")) and not resume:
        raise BadInput(f"{folder}: holds an experiment already; --resume continues it, --out names another folder")
    _writable(folder)
    return experiment, folder, stages_of(experiment)


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"out = {folder}: cannot be written ({error})") from None


@commands.command("demo")
def demo_command(*, resume: Resume = False, out: Folder = None, workers: Workers = 2, json_output: Json = False) -> int:
    """Eight methods on closed candidate sets, three seeds, compared with exact equilibria: minutes on a CPU.

    Example: llm-bridge demo
    """
    return run_command("demo", resume=resume, out=out, workers=workers, json_output=json_output)


@commands.command("compare")
def compare_command(
    runs: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(help="folders of experiments, or results.json")
    ],
    *,
    out: Annotated[Path, tyro.conf.arg(help="the page to write")] = Path("comparison.html"),
    json_output: Json = False,
) -> int:
    """Redraw the report of one or more experiments, from their results.json alone.

    Example: llm-bridge compare demo quick
    """
    from llm_bridge.experiment.report import read_results, write_report

    if not runs:
        raise BadInput("runs is empty, must name at least one folder of an experiment")
    found = [read_results(run) for run in runs]
    _writable(out.parent)
    if out.is_dir():
        raise BadInput(f"out = {out} is a folder, must be a file to write")
    write_report(out, *found)
    if json_output:
        print_json(found)
    else:
        for results in found:
            show_results(results)
        print(f"report: {out}", file=sys.stderr)
    return 0


def _options(given: tuple[str, ...]) -> dict[str, Any]:
    """key=value pairs, each value as JSON or else as text."""
    found: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise BadInput(f"judge_options = {item!r}, must be key=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def quiet() -> None:
    """Silence the progress bars and advice of transformers; our own log lines go to stderr."""
    import transformers

    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    log = logging.getLogger("llm_bridge")
    log.setLevel(logging.INFO)
    log.handlers = [logging.StreamHandler()]


def told_progress(advance: Any, project: Any) -> Any:
    """A function of records that advances the bar, and shows an example after each measurement."""
    done, measured = 0, ""

    def told(record: dict[str, Any]) -> None:
        nonlocal done, measured
        if "win_rate" in record:
            measured = ", " + standing(record, measured=True)
            example = project.held_out.examples(1)[0]
            texts = {name: one_line(text)[:100] for name, text in example.items()}
            print(f"step {record['step']}{measured}\n  prompt: {texts['prompt']}\n  start:  {texts['start']}\n"
                  f"  now:    {texts['now']}", file=sys.stderr)  # fmt: skip
        advance(f"step {record['step']}: {standing(record)}{measured}", record["step"] - done)
        done = record["step"]

    return told


def standing(record: dict[str, Any], *, measured: bool = False) -> str:
    """A short form of a record: of a step, or of a measurement on held-out prompts."""
    if measured:
        won = (f"win rate {record['win_rate']:.3f} [{record['win_rate_low']:.3f}, {record['win_rate_high']:.3f}]"
               if record["held_out_left_out"] < 1 else "no win rate: the judge left out every pair")  # fmt: skip
        return (f"{won}, at most {record['win_rate_most']:.3f} at KL {record['held_out_kl']:.3g}, "
                f"length {record['held_out_length']:.1f}, ended {record['held_out_ended']:.2f}")  # fmt: skip
    names = {"spread": "spread", "kl": "KL", "length": "length", "ended": "ended", "left_out": "left out"}
    known = {word: record.get(name) or math.nan for name, word in names.items()}
    return ", ".join(f"{word} {value:.3g}" for word, value in known.items() if not math.isnan(value))


def show_standing(record: dict[str, Any]) -> None:
    """The final measurement, one number per line."""
    rows = [[name, f"{value:.4g}"] for name, value in record.items() if isinstance(value, (int, float))]
    show_table(("", f"after {record['step']} steps"), rows)


def show_results(results: dict[str, Any]) -> None:
    """Win rates by set of prompts or by judge, row against column, with exploitability or KL."""
    for which, table in results["tables"].items():
        print(f"{results['name']}, {which}: win rate of row against column, mean (std) over pairings of seeds")
        names, rows = table["methods"], []
        column = "exploitability" if results["kind"] == "closed" else "kl"
        for i, name in enumerate(names):
            cells = [
                f"{m:.3f} ({s:.3f})" if s > 0 else f"{m:.3f}"  # a single pairing of seeds has no spread
                for m, s in zip(table["mean"][i], table["std"][i], strict=True)
            ]
            last = table["quality"][name].get(column)
            rows.append([name, *cells, f"{sum(last) / len(last):.4f}" if last else ""])
        show_table(("", *names, column), rows)
        lottery = zip(results["methods"], table["nash_averaging"]["policy"], strict=True)
        print("Nash averaging: " + ", ".join(f"{name} {p:.3f}" for name, p in lottery if p > 0))
        if table["agreement"]:
            a = table["agreement"]
            kendall = "undefined" if a["kendall"] is None else f"{a['kendall']:.2f}"
            print(f"order against the paper's Table 2: Kendall {kendall}, "
                  f"{a['discordant_pairs']} of {a['pairs']} pairs reversed\n")  # fmt: skip


@ending("llm-bridge")
def main(arguments: list[str] | None = None) -> None:
    """Entry point: turn bad input into one line and exit code 2, training that diverged into 1."""
    try:
        code = commands.run(sys.argv[1:] if arguments is None else arguments)
    except BadInput as error:
        print(f"llm-bridge: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except FloatingPointError as error:  # training that diverged
        print(one_line("; ".join([f"llm-bridge: {error}", *getattr(error, "__notes__", [])])), file=sys.stderr)
        sys.exit(1)
    sys.exit(code)


if __name__ == "__main__":
    main()

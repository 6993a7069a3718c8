"""An experiment from its configuration to results.json:

sft                     the reference π_ref                                    stages
sets                    candidates and exact margins                           closed
states                  the same, and a frozen model's states of them          closed, with a head
comparisons, preference, reward                                                sampled
METHOD                  the trials of the grid, then every method from every seed
answers, scores         evaluation                                             sampled
results.json            tables, curves, samples, settings, timings
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from llm_bridge.data import comparisons_at
from llm_bridge.experiment.configuration import Experiment
from llm_bridge.experiment.evaluate import PAPER
from llm_bridge.experiment.on_candidate_sets import ClosedGround
from llm_bridge.experiment.on_completions import SampledGround
from llm_bridge.experiment.on_states import HeadGround
from llm_bridge.experiment.stages import Stages
from llm_bridge.experiment.start import Start, device_name, device_of, quietly
from llm_bridge.policy import located
from llm_bridge.training import Settings, bridged
from nashlab.claims import environment_of
from nashlab.files import plain, replacing
from nashlab.game import BadInput
from nashlab.parallel import KEPT, Cluster, in_parallel

__all__ = ["Ground", "check_sources", "results_of", "run_experiment", "run_grid", "stages_of"]

Advance = Callable[[str], object]


def run_experiment(
    experiment: Experiment, folder: Path, advance: Advance = lambda name: None, cluster: Cluster | None = None
) -> dict[str, Any]:
    """Run the missing stages of an experiment; writes results.json and returns its content."""
    results = results_of(experiment, folder, advance, cluster)
    with replacing(folder / "results.json") as part:
        part.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def results_of(
    experiment: Experiment, folder: Path, advance: Advance = lambda name: None, cluster: Cluster | None = None
) -> dict[str, Any]:
    """The same without the file."""
    check_sources(experiment)
    stages = Stages(folder / "stages", advance)
    chosen, trials = run_grid(experiment, folder, advance, cluster)
    tuned = experiment.with_tuned(chosen)
    runs = [(m, tuned.settings(m, seed)) for m in tuned.methods for seed in tuned.seeds]
    ground = prepared(tuned, stages, cluster)
    _run_all(tuned, stages, ground, runs, cluster)
    places = {(m, s.seed): stages.place(m, ground.about(m, s)) for m, s in runs}
    results = {
        "name": tuned.name,
        "tau": tuned.tau,
        "methods": tuned.methods,
        "settings": _settings(tuned),
        "grid": trials,
        "curves": {m: [_curve(places[m, seed]) for seed in tuned.seeds] for m in tuned.methods},
        "seconds": {},
        "speed": _speed(tuned, places),
        "environment": environment_of(("torch", "transformers"), device=device_name(device_of(tuned.policy.device))),
        "paper": PAPER,
        **ground.results(places),
    }
    results["seconds"] = stages.seconds()
    stages.tidy()
    return dict(plain(results))


def run_grid(
    experiment: Experiment, folder: Path, advance: Advance = lambda name: None, cluster: Cluster | None = None
) -> tuple[dict[str, dict[str, float]], list[dict[str, Any]]]:
    """The grid's trials: (the winners, as settings of each method; one row per trial with its merit)."""
    check_sources(experiment)
    stages = Stages(folder / "stages", advance)
    trials = experiment.trials()
    if not trials:
        return {}, []
    ground = prepared(experiment, stages, cluster)
    _run_all(experiment, stages, ground, trials, cluster)
    rows = []
    for method, settings in trials:
        curve = _curve(stages.place(method, ground.about(method, settings)))
        last = {k: v for k, v in curve[-1].items() if k != "step"}
        numbers = {"tau": settings.tau, "beta": settings.beta}
        rows.append({"method": method, **numbers, "seed": settings.seed, **last, "merit": ground.merit(curve[-1])})
    stages.tidy()
    with replacing(folder / "grid.json") as part:
        part.write_text(json.dumps(plain(rows), indent=1), encoding="utf-8")
    return _winners(rows), rows


def check_sources(experiment: Experiment) -> None:
    """Report missing sources on this machine before anything is made; uses no network."""
    policy, judge = experiment.policy, experiment.judge
    wanted: list[tuple[str, Callable[[str], object], str]] = [("policy", device_of, policy.device)]
    if policy.source != "small":
        wanted.append(("policy", located, policy.source))
    if experiment.closed is None:
        if experiment.comparisons.source != "reference":
            wanted.append(("comparisons", comparisons_at, experiment.comparisons.source))
        learned = (("preference", experiment.preference), ("reward", experiment.reward))
        wanted += [(name, located, about.encoder) for name, about in learned if about.encoder != "policy"]
        if judge.source != "none":
            wanted += [("judge", device_of, judge.device), ("judge", located, judge.source)]
    for section, check, given in wanted:
        try:
            check(given)
        except BadInput as error:
            raise BadInput(f"{section}: {error}") from error


def _winners(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """τ and β of each method's trials with the best mean merit over seeds; among equals, the first."""
    merits: dict[str, dict[tuple[float, float], list[float]]] = {}
    for row in rows:
        merits.setdefault(row["method"], {}).setdefault((row["tau"], row["beta"]), []).append(row["merit"])
    best = {m: max(tried, key=lambda numbers: float(np.mean(tried[numbers]))) for m, tried in merits.items()}
    return {m: {"tau": tau, "beta": beta} for m, (tau, beta) in best.items()}


def stages_of(experiment: Experiment) -> int:
    """The number of stages; of an experiment with causes, those of all their levels."""
    if experiment.causes:
        return sum(stages_of(level.experiment) for levels in experiment.causes.values() for level in levels)
    before = 4 if experiment.closed is None else 1 + len(experiment.fitted_seeds)
    runs = len(experiment.methods) * len(experiment.seeds)
    scored = 0 if experiment.closed is not None or experiment.judge.source == "none" else runs + 2
    return before + (experiment.sft is not None) + len(experiment.trials()) + runs + scored


class Ground(Protocol):
    """The setting in which methods are trained and evaluated."""

    def about(self, method: str, settings: Settings) -> dict[str, Any]:
        """Everything that a run depends on."""
        ...

    def make(self, method: str, settings: Settings, part: Path, work: Path) -> None:
        """Train, and keep in ``part`` what the evaluation needs."""
        ...

    def merit(self, record: Mapping[str, float]) -> float:
        """The final quality of a trial; larger is better."""
        ...

    def results(self, places: Mapping[tuple[str, int], Path]) -> dict[str, Any]:
        """Tables and anything else that the report shows."""
        ...


def prepared(experiment: Experiment, stages: Stages, cluster: Cluster | None = None) -> Ground:
    """The ground with everything made that precedes the runs."""
    start = Start(experiment, stages)
    if experiment.head is not None and experiment.head.width:
        return HeadGround.prepared(experiment, start)
    if experiment.closed is not None:
        return ClosedGround.prepared(experiment, start)
    return SampledGround.prepared(experiment, start, cluster)


def _run_all(
    experiment: Experiment,
    stages: Stages,
    ground: Ground,
    runs: Sequence[tuple[str, Settings]],
    cluster: Cluster | None,
) -> None:
    """Every run that does not exist yet."""
    missing = [(m, s) for m, s in runs if not stages.finished(stages.place(m, ground.about(m, s)))]
    for _ in range(len(runs) - len(missing)):
        stages.advance(KEPT)
    in_parallel(_run, [(experiment, stages.folder, *run) for run in missing], cluster, stages.advance)


def _run(experiment: Experiment, folder: Path, method: str, settings: Settings) -> None:
    """One method from one seed, if it does not exist yet; may run in another process."""
    quietly(experiment)
    stages = Stages(folder)
    ground = prepared(experiment, stages)
    stages.made(method, ground.about(method, settings), lambda part, work: ground.make(method, settings, part, work))


def _settings(experiment: Experiment) -> dict[str, Any]:
    whole = asdict(replace(experiment, causes={}))
    del whole["causes"]
    whole["methods"] = {m: asdict(experiment.settings(m, experiment.seeds[0])) for m in experiment.methods}
    return whole


def _records(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def _curve(place: Path) -> list[dict[str, float]]:
    """The measurements of a run, by step."""
    wanted = ("step", "exploitability", "distance", "exact_kl", "win_rate", "validation_kl", "validation_length",
              "validation_ended")  # fmt: skip
    return [{k: r[k] for k in wanted if k in r} for r in _records(place) if "win_rate" in r]


def _speed(experiment: Experiment, places: Mapping[tuple[str, int], Path]) -> dict[str, dict[str, float]]:
    """Seconds per step by method, the part spent on collecting samples, and generated tokens per second."""
    found = {}
    for method in experiment.methods:
        steps = [r for (m, _), place in places.items() if m == method for r in _records(place) if "seconds" in r]
        took, collected = (sum(r[k] for r in steps) for k in ("seconds", "collect_seconds"))
        batch = experiment.settings(method, experiment.seeds[0]).batch
        tokens = sum(r.get("length", 0.0) for r in steps) * batch * experiment.sampling.completions
        found[method] = {"step": took / len(steps), "collect": collected / len(steps)}
        if tokens and not bridged(method).offline:
            found[method]["tokens_per_second"] = tokens / took
    return found

"""Reading a configuration: a TOML file or a shipped one, what it is like, overrides, and controlled changes.

    like = "NAME"         another configuration, shipped or a file, into whose tables these are merged
    [[causes.NAME]]       a controlled change: at = a number, and whatever differs from the tables above
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llm_bridge.experiment.configuration import (
    ClosedSets,
    Comparisons,
    Corpus,
    Experiment,
    Grid,
    HeadOfStates,
    Learned,
    Level,
    Likelihood,
    Model,
    Sampling,
    distinct,
)
from llm_bridge.preferences import Training
from llm_bridge.training import Settings, bridged
from nashlab.game import BadInput
from nashlab.settings import checked, read_settings

__all__ = ["CONFIGS", "merged", "read_experiment"]

CONFIGS = Path(__file__).parents[1] / "configs"

SECTIONS: dict[str, type[Any]] = {
    "corpus": Corpus,
    "policy": Model,
    "sft": Settings,
    "closed": ClosedSets,
    "head": HeadOfStates,
    "sampling": Sampling,
    "comparisons": Comparisons,
    "preference": Learned,
    "reward": Learned,
    "judge": Likelihood,
    "grid": Grid,
}
OPTIONAL = ("sft", "closed", "head", "grid")
FARTHEST = 1e15
"""The largest place of a level: what is larger, infinite or no number cannot be drawn."""


def read_experiment(source: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """A configuration from a TOML file or the name of a shipped one, with "a.b=value" overrides.

    Raises :class:`BadInput` by name for unknown or missing keys and invalid values.

    >>> read_experiment("demo", ["train.steps=5"]).settings("online-ipo", 0).steps
    5
    """
    content = read_settings(source, CONFIGS)
    if "like" in content:
        content = merged(_liked(f"{source}: like", content.pop("like")), content)
    for override in overrides:
        _put(content, override)
    causes = content.pop("causes", {})
    return replace(_parsed(content, str(source)), causes=_causes(causes, content))


def _liked(name: str, given: Any) -> dict[str, Any]:
    """The configuration that another one is like."""
    if not isinstance(given, str):
        raise BadInput(f"{name} = {given!r}, must be the name of a configuration, or of a file")
    try:
        content = read_settings(given, CONFIGS)
    except BadInput as error:
        raise BadInput(f"{name} = {given!r}: {error}") from None
    if "like" in content:
        raise BadInput(f"{name} = {given!r}, must be a configuration that is not like another one itself")
    return content


def _parsed(content: Mapping[str, Any], source: str) -> Experiment:
    content = dict(content)
    for key, kind in SECTIONS.items():
        if key in content or key not in OPTIONAL:
            content[key] = checked(kind, _with_training(key, content.get(key, {})), key)
    found: Experiment = _named(checked(Experiment, content, str(source)))
    _check_kinds(found)
    if not found.name or found.name in (".", "..") or "/" in found.name:
        raise BadInput(f"name = {found.name!r}, must be usable as a folder name")
    if "seed" in found.train:
        raise BadInput(f"train: seed = {found.train['seed']}, must be set by seeds = {found.seeds}")
    for method in dict.fromkeys([*found.methods, *found.tuned]):
        found.settings(method, 0)
    found.trials()
    return found


def _causes(given: Any, content: Mapping[str, Any]) -> dict[str, list[Level]]:
    """Every level of every cause, as the whole experiment with its change."""
    if not isinstance(given, dict) or not all(isinstance(levels, list) and levels for levels in given.values()):
        raise BadInput("causes must hold lists of changes, [[causes.NAME]]")
    found = {name: [_level(f"causes.{name}[{i}]", level, content) for i, level in enumerate(levels)]
             for name, levels in given.items()}  # fmt: skip
    for name, levels in found.items():
        places = [level.at for level in levels]
        if len(set(places)) < len(places):
            raise BadInput(f"causes.{name}: at = {places}, must be different numbers")
    return found


def _level(name: str, given: Any, content: Mapping[str, Any]) -> Level:
    change = dict(given) if isinstance(given, dict) else {}
    at = change.pop("at", None)
    if type(at) not in (int, float) or not abs(at) <= FARTHEST:
        raise BadInput(f"{name}: at = {at!r}, must be the number at which this change is drawn, at most {FARTHEST:g}")
    for key in ("causes", "like", "name"):
        if key in change:
            raise BadInput(f"{name}: {key} cannot be changed by a cause")
    try:
        experiment = _parsed(merged(content, change), name)
    except BadInput as error:
        raise BadInput(str(error) if str(error).startswith(name) else f"{name}: {error}") from None
    if experiment.head is None or not experiment.head.width:
        raise BadInput(f"{name}: must have a head ([head]), which gives exact numbers on unseen texts")
    return Level(float(at), change, experiment)


def merged(content: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the changes inside its tables; anything that is not a table is replaced.

    >>> merged({"train": {"tau": 0.1, "steps": 5}}, {"train": {"tau": 0.3}, "seeds": [1]})
    {'train': {'tau': 0.3, 'steps': 5}, 'seeds': [1]}
    """
    both = {key: merged(content[key], change[key]) for key in content.keys() & change.keys()
            if isinstance(content[key], dict) and isinstance(change[key], dict)}  # fmt: skip
    return {**content, **change, **both}


def _with_training(key: str, table: Any) -> Any:
    """A model's table with its [training] read; a reward model is Bradley-Terry."""
    if key not in ("preference", "reward") or not isinstance(table, dict):
        return table
    default = {"kind": "bradley-terry"} if key == "reward" else {}
    training = checked(Training, table.get("training", {}), f"{key}.training")
    return default | table | {"training": training}


def _check_kinds(experiment: Experiment) -> None:
    if experiment.policy.source == "small" and experiment.sft is None:
        raise BadInput("policy: source = 'small' starts from random weights, must be fine-tuned ([sft])")
    if experiment.reward.kind != "bradley-terry":
        raise BadInput(f"reward.kind = {experiment.reward.kind!r}, must be 'bradley-terry': a reward is one number")
    closed = experiment.closed
    if experiment.head is not None:
        _check_head(experiment, experiment.head)
    if closed is not None and closed.comparisons and not (experiment.head and experiment.head.width):
        raise BadInput(f"closed.comparisons = {closed.comparisons}, must be 0 without a head on frozen states, which "
                       "the preference model reads")  # fmt: skip
    compared = experiment.comparisons
    asked = compared.judge if closed is None and compared.source == "reference" else closed and closed.judge
    if experiment.corpus.raters == "none" and asked == "raters":
        raise BadInput("corpus.raters = 'none', must be 'synthetic' to label candidates or completions")


def _check_head(experiment: Experiment, head: HeadOfStates) -> None:
    """Refuse, before hours of work, what a head cannot do or would not look at."""
    corpus = experiment.corpus
    if experiment.closed is None:
        raise BadInput("head: scores candidates by number, must have closed sets ([closed])")
    if not head.width:
        return
    if experiment.policy.lora_rank:
        raise BadInput(f"policy.lora_rank = {experiment.policy.lora_rank}, must be 0 with a head on frozen states "
                       "(head.width = 0 trains adapters instead)")  # fmt: skip
    for name in ("prompts", "validation", "held_out"):
        if getattr(corpus, name) < 2:
            raise BadInput(f"corpus.{name} = {getattr(corpus, name)}, must be at least 2: each needs another's summary")
    if head.texts > corpus.prompts:
        raise BadInput(f"head.texts = {head.texts}, must be at most corpus.prompts = {corpus.prompts}")
    if experiment.trials() and experiment.grid is not None and set(experiment.grid.seeds) != set(experiment.seeds):
        raise BadInput(f"grid.seeds = {experiment.grid.seeds}, must be seeds = {experiment.seeds} with a head: "
                       "trials and runs make one comparison")  # fmt: skip


def _named(experiment: Experiment) -> Experiment:
    """Methods and seeds checked, and methods renamed to their registered names."""
    distinct("seeds", experiment.seeds, int)
    distinct("methods", experiment.methods, str)
    names = [bridged(name).spec.name for name in experiment.methods]
    distinct("methods", names, str)
    grid = experiment.grid and replace(
        experiment.grid,
        tau=_by_method("grid.tau", experiment.grid.tau),
        beta=_by_method("grid.beta", experiment.grid.beta),
    )
    return replace(experiment, methods=names, tuned=_by_method("tuned", experiment.tuned), grid=grid)


def _by_method(name: str, table: Any) -> Any:
    """A table keyed by methods with their registered names; anything else unchanged."""
    if not isinstance(table, dict):
        return table
    found = {bridged(method).spec.name: value for method, value in table.items()}
    if len(found) < len(table):
        raise BadInput(f"{name} = {', '.join(table)}, must name each method once, and not by two of its names")
    return found


def _put(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *path, last = key.split(".")
    if not equals or not last:
        raise BadInput(f"override = {override!r}, must be key=value, e.g. train.steps=50")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a word without quotes is a string
    for part in path:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise BadInput(f"override = {override!r}: {part} is not a table")
    content[last] = value

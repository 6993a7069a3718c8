"""The configuration of an experiment: one TOML file, checked key by key.

    [corpus] [policy] [sft]                       texts, model, supervised fine-tuning: the reference μ
    [closed] [head]                               either: fixed candidates for each text, every number an expectation
    [sampling] [comparisons] [preference] [reward] [judge]    or: sampled, labelled and judged completions
    [train] [tuned.METHOD] [grid]                 how the methods are trained, and which τ and β are tried first

:mod:`llm_bridge.experiment.reading` reads it, :mod:`llm_bridge.experiment.pipeline` runs it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from llm_bridge.judges import CANDIDATE_KINDS, check_judge, check_kinds
from llm_bridge.preferences import MODELS, Training
from llm_bridge.training import LABELS, Settings, bridged
from nashlab.game import BadInput, check_temperature, suggestion
from nashlab.settings import checked

__all__ = [
    "ClosedSets",
    "Comparisons",
    "Corpus",
    "Experiment",
    "Grid",
    "HeadOfStates",
    "Learned",
    "Level",
    "Likelihood",
    "Model",
    "Sampling",
    "distinct",
]

DTYPES = ("float32", "bfloat16", "float64")
HEADS = 4
"""Of the "small" policy."""
LEAST, MOST = 200, 10_000_000
"""Comparisons to fit a preference model to: a tenth of them stops the fit, and all are kept in memory."""


@dataclass(frozen=True)
class Corpus:
    """Texts and their human summaries.

    source    see :func:`llm_bridge.data.load_corpus`;  prompt, summary, group  the columns of a file.
    prompts, validation, held_out  numbers of texts for training, selection and evaluation.
    template  contains {prompt};  chat  whether the tokenizer's chat template is applied.
    max_prompt_tokens  limit for a text with its template.
    raters    "synthetic" (:func:`llm_bridge.judges.summary_raters`, known preferences) or "none".
    """

    source: str = "debian"
    prompt: str = "prompt"
    summary: str = "summary"
    group: str = ""
    prompts: int = 32
    validation: int = 32
    held_out: int = 32
    template: str = "{prompt}\nSummary: "
    chat: bool = False
    max_prompt_tokens: int = 256
    raters: str = "synthetic"

    def __post_init__(self) -> None:
        _one_of("raters", self.raters, ("synthetic", "none"))
        _needs(self, "template", "{prompt}")
        _at_least_one(self, "prompts", "validation", "held_out", "max_prompt_tokens")


@dataclass(frozen=True)
class Model:
    """The policy: "small" (a random Llama, a tokenizer of the corpus) or a source for ``load_policy``; LoRA by rank.

    base, quantised  of the weights under adapters, see :func:`llm_bridge.policy.load_policy`.
    """

    source: str = "small"
    vocabulary: int = 4000
    width: int = 128
    layers: int = 3
    lora_rank: int = 0
    dtype: str = "float32"
    device: str = "auto"
    base: str | None = None
    quantised: str | None = None

    def __post_init__(self) -> None:
        _one_of("dtype", self.dtype, DTYPES)
        _at_least_one(self, "vocabulary", "width", "layers")
        if self.width % HEADS:
            raise BadInput(f"width = {self.width}, must be a multiple of the {HEADS} heads")
        if self.lora_rank < 0:
            raise BadInput(f"lora_rank = {self.lora_rank}, must be at least 0 (no adapters)")
        if self.dtype == "bfloat16" and not self.lora_rank:
            raise BadInput("dtype = 'bfloat16', must be 'float32' without adapters (lora_rank = 0): steps "
                           "are too small for it; train.precision = \"bf16\" computes in bfloat16")  # fmt: skip


@dataclass(frozen=True)
class ClosedSets:
    """Candidates for each text (:func:`llm_bridge.judges.candidate_sets`), and their judge.

    temperature  T of π^(1/T);  judge  a name, or a table with options: see :mod:`llm_bridge.judges.registry`.
    kinds        of candidates;  samples  how many more the initial policy writes, of at most ``max_new_tokens``.
    cycles       a factor on the part of the judge's log-odds that no ranking explains: 0 leaves a Bradley-Terry model.
    comparisons  the number of single judgments on the training texts to which a preference model is fitted that the
                 methods learn from; 0: they learn from the judge's exact preferences.  Only with a head.
    """

    temperature: float = 20.0
    judge: Any = "raters"
    kinds: list[str] = field(default_factory=lambda: list(CANDIDATE_KINDS))
    samples: int = 0
    max_new_tokens: int = 16
    cycles: float = 1.0
    comparisons: int = 0

    def __post_init__(self) -> None:
        check_temperature(self.temperature, positive=True)
        check_judge(self.judge)
        check_kinds(self.kinds)
        if self.samples < 0 or len(self.kinds) + self.samples < 3:
            raise BadInput(f"kinds and samples = {self.samples} make {len(self.kinds) + self.samples} candidates, "
                           "must be at least 3 (and samples at least 0)")  # fmt: skip
        _at_least_one(self, "max_new_tokens")
        if self.comparisons != 0 and not LEAST <= self.comparisons <= MOST:
            raise BadInput(f"comparisons = {self.comparisons}, must be 0 (exact preferences) or at least {LEAST} and "
                           f"at most {MOST}")  # fmt: skip
        if not 0 <= self.cycles <= 1:
            raise BadInput(f"cycles = {self.cycles}, must be between 0 (a ranking) and 1 (the judge as it is)")


@dataclass(frozen=True)
class HeadOfStates:
    """Instead of a model's own weights, a small network on its frozen states is trained (:class:`HeadPolicy`).

    width      of its hidden layer; 0: no head, the model's own weights (or its adapters) are trained after all.
    snapshot_every  steps between two kept policies on the held-out texts.
    texts      how many of the training texts are used; 0: all.
    """

    width: int = 64
    snapshot_every: int = 25
    texts: int = 0

    def __post_init__(self) -> None:
        _at_least_one(self, "snapshot_every")
        for name, rule in (("width", "no head"), ("texts", "all")):
            if getattr(self, name) < 0:
                raise BadInput(f"{name} = {getattr(self, name)}, must be at least 0 ({rule})")


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn: k per prompt, with a token limit and one temperature for sampling and scoring.

    labels  how the methods see the learned preferences: "soft" p, or "hard", one Bernoulli draw from it.
    """

    completions: int = 2
    max_new_tokens: int = 32
    temperature: float = 1.0
    labels: str = "soft"

    def __post_init__(self) -> None:
        if self.completions < 2:
            raise BadInput(f"completions = {self.completions}, must be at least 2: they are compared")
        _at_least_one(self, "max_new_tokens")
        check_temperature(self.temperature, positive=True)
        _one_of("labels", self.labels, LABELS)


@dataclass(frozen=True)
class Comparisons:
    """The training data of the preference and reward models.

    source  "reference": completions of π_ref, k for each of ``texts`` texts, all pairs labelled by ``raters`` draws
            from the judge, where p is the share that prefers the left one; or a file or data set of human comparisons
            (:func:`llm_bridge.data.load_comparisons`), at most ``texts`` of them, none on a text used for evaluation.
    judge   compares completions of π_ref, and at the end of every method: a name, or a table with options: see
            :mod:`llm_bridge.judges.registry`.
    held_out  the share of texts whose comparisons evaluate the models and are not used for training.
    """

    source: str = "reference"
    texts: int = 500
    completions: int = 2
    raters: int = 1
    held_out: float = 0.1
    judge: Any = "raters"

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise BadInput(f"held_out = {self.held_out}, must be between 0 and 1")
        if self.completions < 2:
            raise BadInput(f"completions = {self.completions}, must be at least 2: they are compared")
        _at_least_one(self, "texts", "raters")
        check_judge(self.judge)
        if self.judge != "raters" and self.source != "reference":
            raise BadInput(f"judge = {self.judge!r} labels completions, must be omitted with source = {self.source!r}")


@dataclass(frozen=True)
class Learned:
    """A preference or reward model: its kind, its encoder, its training.

    kind     of :data:`llm_bridge.preferences.MODELS`;  encoder  "policy" (the fine-tuned policy's own weights), or a
             folder or hub name.
    """

    kind: str = "skew-embedding"
    encoder: str = "policy"
    max_prompt: int = 256
    max_answer: int = 64
    mixed_precision: bool = False
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, tuple(MODELS))
        _at_least_one(self, "max_prompt", "max_answer")


@dataclass(frozen=True)
class Likelihood:
    """The independent judge: how much a text tells another language model about its summary; "none" for none.

    source  a source for ``load_policy``, from another family than the policy;  dtype, device  of its weights.
    template, without  the context with {prompt}, and the context without it.
    """

    source: str = "smollm2"
    template: str = "{prompt}\n\nSummary in one line: "
    without: str = "Summary in one line: "
    max_length: int = 256
    dtype: str = "bfloat16"
    device: str = "auto"

    def __post_init__(self) -> None:
        _one_of("dtype", self.dtype, DTYPES)
        _needs(self, "template", "{prompt}")
        _at_least_one(self, "max_length")


@dataclass(frozen=True)
class Grid:
    """The trials before the runs, every τ with every β, from one or more seeds; the best becomes the setting.

    tau, beta   a list for all methods, or lists by method;  beta  only for methods whose players are mixtures.
    steps       of each trial; 0: as many as in the experiment.
    """

    tau: Any = field(default_factory=list)
    beta: Any = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
    steps: int = 0

    def __post_init__(self) -> None:
        distinct("seeds", self.seeds, int)
        if self.steps < 0:
            raise BadInput(f"steps = {self.steps}, must be at least 0 (as many as the experiment's own)")

    def values(self, key: str, method: str) -> list[float]:
        """The values of ``key`` to try for a method; empty if it is not varied."""
        given = getattr(self, key)
        found = given.get(method, []) if isinstance(given, Mapping) else given
        if not isinstance(found, list) or not all(isinstance(v, (int, float)) and v >= 0 for v in found):
            raise BadInput(f"grid.{key} = {found!r}, must be a list of numbers of at least 0, or one by method")
        return found


@dataclass(frozen=True)
class Experiment:
    """A parsed configuration; ``train`` applies to every method, ``tuned`` to the method it names.

    tau     the temperature at which exploitability is measured on closed sets (default: ``train``'s).
    causes  controlled changes, by name.
    """

    name: str
    methods: list[str]
    corpus: Corpus
    policy: Model
    train: dict[str, Any]
    sft: Settings | None = None
    closed: ClosedSets | None = None
    head: HeadOfStates | None = None
    sampling: Sampling = field(default_factory=Sampling)
    comparisons: Comparisons = field(default_factory=Comparisons)
    preference: Learned = field(default_factory=Learned)
    reward: Learned = field(default_factory=lambda: Learned(kind="bradley-terry"))
    judge: Likelihood = field(default_factory=Likelihood)
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)
    grid: Grid | None = None
    seeds: list[int] = field(default_factory=lambda: [0])
    causes: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def tau(self) -> float:
        """The temperature of the game in which exploitability is measured, for every method."""
        return float(self.train.get("tau", Settings(steps=1).tau))

    def settings(self, method: str, seed: int) -> Settings:
        """The training settings of a method."""
        given = {**self.train, **self.tuned.get(method, {}), "seed": seed}
        found: Settings = checked(Settings, given, f"train, {method}")
        found.check_method(bridged(method))
        bridged(method).check_labels(self.sampling.labels)
        return found

    def with_tuned(self, chosen: Mapping[str, Mapping[str, Any]]) -> Experiment:
        """The experiment with the chosen settings added to each method's own."""
        return replace(self, tuned={m: {**self.tuned.get(m, {}), **chosen.get(m, {})} for m in self.methods})

    @property
    def fitted_seeds(self) -> list[int]:
        """The seeds of which a preference model of closed sets is fitted; none without ``closed.comparisons``."""
        if self.closed is None or not self.closed.comparisons:
            return []
        return sorted({*self.seeds, *(settings.seed for _, settings in self.trials())})

    def trials(self) -> list[tuple[str, Settings]]:
        """The grid's runs: (method, settings)."""
        if self.grid is None:
            return []
        found = []
        for method in self.methods:
            mixed = bridged(method).mixes
            varied = {"tau": self.grid.values("tau", method), "beta": self.grid.values("beta", method) if mixed else []}
            axes = {key: values for key, values in varied.items() if values}
            for numbers in itertools.product(*axes.values()) if axes else ():
                for seed in self.grid.seeds:
                    own = self.settings(method, seed)
                    steps = self.grid.steps or own.steps
                    changes: dict[str, Any] = dict(zip(axes, numbers, strict=True))
                    found.append((method, replace(own, steps=steps, **changes)))
        return found


class Level(NamedTuple):
    """One level of a controlled change: its place on the axis, what it changes, the experiment with the change."""

    at: float
    change: dict[str, Any]
    experiment: Experiment


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise BadInput(f"{name} = {value!r}, must be one of {', '.join(known)}{suggestion(value, known)}")


def _at_least_one(section: Any, *keys: str) -> None:
    for key in keys:
        if getattr(section, key) < 1:
            raise BadInput(f"{key} = {getattr(section, key)}, must be at least 1")


def _needs(section: Any, key: str, place: str) -> None:
    if place not in getattr(section, key):
        raise BadInput(f"{key} = {getattr(section, key)!r}, must contain {place}")


def distinct(name: str, values: Any, kind: type) -> None:
    """Check for a list with at least one entry and no duplicates."""
    right = isinstance(values, list) and values and all(type(v) is kind for v in values)
    if not right or len(set(values)) < len(values):
        raise BadInput(f"{name} = {values!r}, must be a list of {kind.__name__}, at least one and none twice")

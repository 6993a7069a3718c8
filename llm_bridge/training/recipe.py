"""From names to a trained folder: one policy, prompts and a judge, as in ``llm-bridge train``.

    folder/settings.json       the settings
    folder/metrics.jsonl       one record per step, see :mod:`llm_bridge.training.metrics`; also checkpoints/
    folder/completions.jsonl   answers to held-out prompts, at the start and as they change
    folder/policy/             weights (or adapters), tokenizer with its chat template, a model card, the settings

The same call resumes a stopped run; with more steps, it extends a finished one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from llm_bridge.data import Conversation, Question, held_out, load_pairs, load_prompts, mixed
from llm_bridge.judges import Judge, Named, ScoreJudge, check_judge, judge_named
from llm_bridge.policy import (
    Chat,
    LoraOptions,
    Policy,
    Prompts,
    Reference,
    completions_of,
    encoded,
    load_policy,
    save_policy,
)
from llm_bridge.training.card import model_card
from llm_bridge.training.generated import Generated
from llm_bridge.training.methods import Bridged, bridged
from llm_bridge.training.metrics import HeldOut
from llm_bridge.training.players import Players
from llm_bridge.training.run import Record
from llm_bridge.training.settings import Settings
from llm_bridge.training.sources import Recorded, Source
from llm_bridge.training.trackers import Tracker, check_trackers
from llm_bridge.training.trainer import train
from nashlab.files import plain, replacing, replacing_folder
from nashlab.game import BadInput, suggestion

__all__ = ["Project", "Recipe", "prepared", "push"]

DTYPES = ("float32", "float64", "bfloat16", "float16")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What is trained, on which data, and how.

    policy     a folder or hub name, see :func:`llm_bridge.policy.load_policy`.
    prompts    sources (:mod:`llm_bridge.data.prompts`), with NAME=WEIGHT to mix several; comparisons for offline
               methods.
    judge      a name (:mod:`llm_bridge.judges.registry`), a table with a name and options, or a judge itself; offline
               methods need none, and then report no win rate.
    settings   of training;  method  by name or alias.
    completions, max_new_tokens, temperature, labels, portions   see :class:`llm_bridge.training.Generated`.
    held_out   prompts for measurement, excluded from training.
    template, column, max_prompt_tokens, cut, unfit   how prompts are read, see :func:`llm_bridge.policy.encoded`.
    unended_penalty, cut_mark   for completions cut off by the limit, see :class:`llm_bridge.training.Generated`.
    lora       rank of adapters, 0: all weights;  dtype  of the weights: float32 by default, under adapters as stored.
    device     "auto": an accelerator if there is one.
    base, quantised   of the weights under adapters, see :func:`llm_bridge.policy.load_policy`.
    """

    policy: str
    prompts: Sequence[Any]
    judge: Named | Judge | None
    settings: Settings
    method: str = "ipo-md"
    completions: int = 2
    max_new_tokens: int = 128
    temperature: float = 1.0
    labels: str = "soft"
    held_out: int = 32
    template: str = "{prompt}"
    column: str | None = None
    max_prompt_tokens: int | None = None
    cut: str = "end"
    unfit: str = "refuse"
    unended_penalty: float = 0.0
    cut_mark: str = ""
    portions: int = 1
    lora: int = 0
    dtype: str | None = None
    device: str = "auto"
    base: str | None = None
    quantised: str | None = None

    def __post_init__(self) -> None:
        self.settings.check_method(self.bridged)
        self.bridged.check_labels(self.labels)
        if self.dtype is not None and self.dtype not in DTYPES:
            raise BadInput(f"dtype = {self.dtype!r}, must be one of {', '.join(DTYPES)}"
                           f"{suggestion(self.dtype, DTYPES)}")  # fmt: skip
        if not self.prompts or isinstance(self.prompts, str):
            raise BadInput(f"prompts = {self.prompts!r}, must be a list of sources")
        if self.held_out < 1:
            raise BadInput(f"held_out = {self.held_out}, must be at least 1")
        if self.judge is None and not self.bridged.offline:
            raise BadInput(f"judge is missing, must be given: {self.bridged.spec.name} needs it to compare completions")
        if isinstance(self.judge, (str, Mapping)):
            check_judge(self.judge)

    @property
    def bridged(self) -> Bridged:
        """The method."""
        return bridged(self.method)

    def as_json(self) -> dict[str, Any]:
        """The settings in the form of JSON."""
        about = {name: value for name, value in vars(self).items() if name not in ("settings", "judge", "prompts")}
        judge = self.judge if isinstance(self.judge, (str, Mapping)) or self.judge is None else repr(self.judge)
        sources = [source if isinstance(source, str) else type(source).__name__ for source in self.prompts]
        return dict(plain({**about, "judge": judge, "prompts": sources, "settings": asdict(self.settings)}))


def prepared(recipe: Recipe, folder: str | Path, trackers: Sequence[Tracker] = ("tensorboard",)) -> Project:
    """A project with everything read and checked, ready for :meth:`Project.train`: texts, policy, judge.

    Raises :class:`BadInput` for anything that cannot be read or trained.
    """
    check_trackers(trackers)
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"out = {folder} is a file, must be a folder or not there yet")
    texts = _texts(recipe)
    judge = judge_named(recipe.judge) if isinstance(recipe.judge, (str, Mapping)) else recipe.judge
    lora = LoraOptions(rank=recipe.lora, alpha=2 * recipe.lora) if recipe.lora else None
    dtype = getattr(torch, recipe.dtype or "float32") if recipe.dtype or not recipe.lora else None
    policy = load_policy(
        recipe.policy,
        lora=lora,
        dtype=dtype,
        device=_device(recipe.device),
        seed=recipe.settings.seed,
        base=recipe.base,
        quantised=recipe.quantised,
    )
    return Project(recipe, folder, tuple(trackers), texts, judge, policy)


@dataclass
class Project:
    """A recipe with its texts, its judge and its policy: see :func:`prepared`.

    notes   a summary of the input for people.
    """

    recipe: Recipe
    folder: Path
    trackers: Sequence[Tracker]
    texts: _Texts
    judge: Judge | None
    policy: Policy
    last: Record = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """A summary of the input for people."""
        recipe, count = self.recipe, sum(p.numel() for p in self.policy.model.parameters() if p.requires_grad)
        return [
            f"{len(self.texts.training)} prompts to train on, {len(self.texts.held_out)} held out"
            + "".join(f"; {line}" for line in self.texts.notes),
            f"{recipe.bridged.spec.title} (τ = {recipe.settings.tau:g}) trains {count:,} weights of {recipe.policy}"
            + (f" as adapters of rank {recipe.lora}" if recipe.lora else "")
            + f" on {self.policy.device.type}",
        ]

    def train(
        self,
        progress: Callable[[Record], None] = lambda record: None,
        reference: Reference | None = None,
    ) -> Record:
        """Train, save, and return the last record with its measurements.

        progress  called with each record.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / "settings.json") as part:
            part.write_text(json.dumps(self.recipe.as_json(), indent=1), encoding="utf-8")
        measure: Callable[[Players], Mapping[str, float]] | None = None
        if self.held_out is not None:
            self.held_out.begin(self.policy)  # before a checkpoint is resumed
            measure = self.held_out

        def told(record: Record) -> None:
            if self.held_out is not None and "win_rate" in record:
                self._keep_examples(record["step"])
            progress(record)

        records = train(
            self.policy,
            self.recipe.bridged,
            self.source,
            self.recipe.settings,
            reference=reference,
            folder=self.folder,
            measure=measure,
            progress=told,
            trackers=self.trackers,
        )
        self.last = {**next((r for r in reversed(records) if "win_rate" in r), {}), **records[-1]}
        self.save()
        return self.last

    def save(self) -> Path:
        """Replace the saved weights, tokenizer with its chat template, settings and model card."""
        asked = self.recipe.as_json()
        with replacing_folder(self.folder / "policy") as part:
            save_policy(self.policy, part)
            (part / "training.json").write_text(json.dumps(asked, indent=1), encoding="utf-8")
            card = model_card(self.recipe.bridged.spec, asked, plain(self.last), adapters=self.policy.has_adapters)
            (part / "README.md").write_text(card, encoding="utf-8")
        return self.folder / "policy"

    @cached_property
    def source(self) -> Source:
        """The training data."""
        recipe, texts = self.recipe, self.texts
        prompts, kept = self._encoded(texts.training)
        if recipe.bridged.offline:
            pairs = [texts.pairs[i] for i in kept]
            left, right, p = map(list, zip(*pairs, strict=True))
            sides = (completions_of(self.policy, texts, prompts) for texts in (left, right))
            return Recorded(prompts, next(sides), next(sides), p, recipe.temperature)
        assert self.judge is not None
        return Generated(
            prompts,
            _reward(self.judge) if recipe.bridged.spec.judge == "reward" else self.judge,
            recipe.completions,
            recipe.max_new_tokens,
            recipe.temperature,
            recipe.labels,
            _columns([texts.training[i] for i in kept]),
            cut_mark=recipe.cut_mark,
            unended_penalty=recipe.unended_penalty,
            portions=recipe.portions,
        )

    @cached_property
    def held_out(self) -> HeldOut | None:
        """The measurement; None without a judge."""
        if self.judge is None:
            return None
        prompts, kept = self._encoded(self.texts.held_out)
        recipe, columns = self.recipe, _columns([self.texts.held_out[i] for i in kept])
        numbers = (recipe.max_new_tokens, recipe.temperature)
        beta = recipe.settings.beta if recipe.bridged.mixes_with_reference else 0.0
        return HeldOut(prompts, self.judge, *numbers, columns, recipe.cut_mark, recipe.settings.tau, beta)

    def _encoded(self, questions: Sequence[Question]) -> tuple[Prompts, Sequence[int]]:
        """The prompts as the policy reads them, and the indices of their questions."""
        recipe = self.recipe
        prompts = encoded(
            self.policy,
            [_prompt(q) for q in questions],
            template=recipe.template,
            max_tokens=recipe.max_prompt_tokens,
            cut=recipe.cut,
            new_tokens=recipe.max_new_tokens,
            unfit=recipe.unfit,
            names=[q.where or f"prompts[{i}]" for i, q in enumerate(questions)],
        )
        return prompts, prompts.kept or range(len(prompts.rows))

    def _keep_examples(self, step: int) -> None:
        """Append held-out prompts with their answers, one line per measurement; drop lines after a resumed step."""
        assert self.held_out is not None
        path = self.folder / "completions.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] < step]
        kept.append(json.dumps({"step": step, "examples": self.held_out.examples(8)}, ensure_ascii=False))
        with replacing(path) as part:
            part.write_text("\n".join(kept) + "\n", encoding="utf-8", errors="backslashreplace")


@dataclass(frozen=True)
class _Texts:
    """Training and held-out texts; for offline methods (left, right, p) of each comparison."""

    training: list[Question]
    held_out: list[Question]
    notes: list[str]
    pairs: list[tuple[str, str, float]]


def _texts(recipe: Recipe) -> _Texts:
    sources = [_weighted(source) for source in recipe.prompts]
    if recipe.bridged.offline:
        return _recorded_texts(recipe, sources)
    parts = [(load_prompts(source, column=recipe.column), weight) for source, weight in sources]
    questions, counts = mixed(parts) if len(parts) > 1 else (list(parts[0][0]), [len(parts[0][0])])
    notes = [
        f"{count} of the {len(part)} of {source if isinstance(source, str) else 'a list'}"
        for (source, _), (part, _), count in zip(sources, parts, counts, strict=True)
        if len(parts) > 1
    ]
    training, aside = held_out(questions, recipe.held_out)
    return _Texts(training, aside, notes, [])


def _recorded_texts(recipe: Recipe, sources: Sequence[tuple[Any, float]]) -> _Texts:
    """Comparisons, with prompts held out together with all their comparisons."""
    if len(sources) > 1:
        raise BadInput(f"prompts names {len(sources)} sources, must be one for {recipe.bridged.spec.name}")
    found = load_pairs(sources[0][0])
    questions = [
        Question([m._asdict() for m in c.prompt.messages] if isinstance(c.prompt, Conversation) else c.prompt)
        for c in found
    ]
    training, aside = held_out(questions, recipe.held_out)
    hidden = {q.key for q in aside}
    pairs = [(c.left, c.right, c.p) for c, q in zip(found, questions, strict=True) if q.key not in hidden]
    return _Texts(training, aside, [], pairs)


def _weighted(source: Any) -> tuple[Any, float]:
    """NAME=WEIGHT, or a source with weight 1."""
    name, equals, weight = source.rpartition("=") if isinstance(source, str) else (source, "", "")
    if not equals or Path(source).exists():
        return source, 1.0
    try:
        return name, float(weight)
    except ValueError:
        raise BadInput(f"prompts = {source!r}: {weight!r} is not a weight, must be NAME=NUMBER") from None


def _prompt(question: Question) -> Any:
    """A prompt as the policy reads it: messages with the tools and template options of their row."""
    if isinstance(question.prompt, str):
        return question.prompt
    tools, options = (question.columns.get(name) for name in ("tools", "chat_template_kwargs"))
    if [*question.prompt[0]] == ["role", "content"] and not tools and not options:
        only = question.prompt[0] if len(question.prompt) == 1 else {}
        if only.get("role") == "user" and isinstance(only["content"], str):
            return only["content"]  # readable also for a tokenizer without a chat template
    return Chat(question.prompt, tools, options or {})


def _columns(questions: Sequence[Question]) -> dict[str, list[Any]]:
    """Columns by name, None if a row lacks one; prompts that are messages form their own column."""
    names = {name: None for q in questions for name in q.columns if name.isidentifier()}
    found = {name: [q.columns.get(name) for q in questions] for name in names}
    if any(not isinstance(q.prompt, str) for q in questions):
        found["messages"] = [None if isinstance(q.prompt, str) else q.prompt for q in questions]
    return found


def _reward(judge: Judge) -> Judge:
    """½ + r(x, y) − r(x, y'): the signal for a method that maximises a reward."""
    if not isinstance(judge, ScoreJudge):
        raise BadInput("judge compares answers, must be a score (reward-model:FOLDER) for a method that maximises one")

    def compared(prompts: Sequence[str], left: Sequence[str], right: Sequence[str]) -> Any:
        return 0.5 + judge.differences(prompts, left, right)

    return compared


def _device(name: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def push(folder: Path, repository: str) -> str:
    """Upload the folder of :meth:`Project.save` to "owner/name" on the hub; returns its address."""
    from huggingface_hub import HfApi

    api = HfApi()
    address = str(api.create_repo(repository, exist_ok=True))
    api.upload_folder(folder_path=str(folder), repo_id=repository)
    return address

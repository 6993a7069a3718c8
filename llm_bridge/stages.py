"""Stages of an experiment as folders, and the first of them: the policy that everything starts from.

A stage is a folder named after what it was made from, which appears when it is complete; so a second run finds what is
there, a changed setting makes again what depends on it and nothing else, and a killed stage goes on from its last
checkpoint.  It keeps the checksums of its files: a stage that was damaged is made again, with a warning.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from llm_bridge.data import Example, load_corpus
from llm_bridge.experiment import HEADS, Corpus, Experiment, Model
from llm_bridge.models import LoraOptions, load_policy
from llm_bridge.policy import Policy, Reference, reference_of
from llm_bridge.rollout import IMITATION, Examples, Prompts, completions_of, encoded
from llm_bridge.trainer import Settings, train
from nashlab.files import appearing, plain, sha256_of
from nashlab.game import BadInput, first_line

__all__ = [
    "Stages",
    "Start",
    "contents",
    "device_name",
    "device_of",
    "keep",
    "learned",
    "quietly",
    "read_json",
    "texts_about",
    "texts_of_split",
]

Advance = Callable[[str], object]


class Stages:
    """Folders by what they were made from."""

    def __init__(self, folder: Path, advance: Advance = lambda name: None) -> None:
        self.folder, self.advance = folder, advance
        self._asked: dict[str, Path] = {}

    def place(self, name: str, about: Mapping[str, Any]) -> Path:
        """Where a stage made from this is, or will be."""
        folder = f"{name}-{_key(plain(about))}"
        return self._asked.setdefault(folder, self.folder / folder)

    def made(self, name: str, about: Mapping[str, Any], make: Callable[[Path, Path], None]) -> Path:
        """The stage's folder; ``make(folder to fill, folder that survives a kill)`` where it is not there yet."""
        place = self.place(name, about)
        if not self.finished(place):
            work = _work_of(place)
            work.mkdir(parents=True, exist_ok=True)
            with _alone(work):
                if not self.finished(place):  # another process may have made it meanwhile
                    _clear(place)
                    with appearing(place) as part:
                        _fill(part, work, about, make)
        self.tidy(place)
        self.advance(name)
        return place

    def finished(self, place: Path) -> bool:
        """Whether the stage is there and undamaged."""
        return place.exists() and _damage(place) is None

    def tidy(self, *places: Path) -> None:
        """Remove what a kill has left of stages that are complete; without places, of all that were asked for."""
        for place in places or self._asked.values():
            if place.exists():
                shutil.rmtree(_work_of(place), ignore_errors=True)

    def seconds(self) -> dict[str, float]:
        """How long each stage took that was asked for."""
        return {k: read_json(place / "stage.json")["seconds"] for k, place in self._asked.items() if place.exists()}


def _work_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.unfinished")


def _clear(place: Path) -> None:
    """Make room for a stage: what kills have left half copied goes, and so does a damaged one."""
    for half in place.parent.glob(f".{place.name}.*"):
        shutil.rmtree(half, ignore_errors=True)
    if place.exists():
        text = f"{place} is damaged ({_damage(place)}) and is made again"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        shutil.rmtree(place)


def _fill(part: Path, work: Path, about: Mapping[str, Any], make: Callable[[Path, Path], None]) -> None:
    """Make a stage, and write down what it was made from, how long it took, and the checksums of its files."""
    started = time.perf_counter()
    make(part, work)
    # copied: killed before the folder appears, they are still where a second run looks for them
    if (work / "metrics.jsonl").exists():
        shutil.copyfile(work / "metrics.jsonl", part / "metrics.jsonl")
    sums = {str(p.relative_to(part)): sha256_of(p) for p in sorted(part.rglob("*")) if p.is_file()}
    if (work / "tensorboard").exists():  # nothing is computed from it
        shutil.copytree(work / "tensorboard", part / "tensorboard")
    facts = {"about": plain(about), "seconds": time.perf_counter() - started, "sha256": sums}
    (part / "stage.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _damage(place: Path) -> str | None:
    """What is wrong with a stage, or None."""
    try:
        facts = read_json(place / "stage.json")
        if _key(facts["about"]) != place.name.rpartition("-")[2] or not isinstance(facts["seconds"], float):
            return "stage.json does not describe it"
        for name, digest in facts["sha256"].items():
            state = (place / name).stat()
            if _sha256(place / name, state.st_mtime_ns, state.st_size) != digest:
                return f"{name} does not agree with its checksum"
    except OSError as error:
        return f"{Path(str(error.filename)).name} cannot be read"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "stage.json cannot be read"
    return None


def _key(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Nobody else works in this folder inside the block; a process that is killed leaves nothing locked."""
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"{work} is being made by another process, must be left to it") from None
        except OSError:  # a file system without locks
            pass
        yield


class Start:
    """The policy before it plays: fine-tuned where the experiment says so."""

    def __init__(self, experiment: Experiment, stages: Stages) -> None:
        self.experiment, self.stages = experiment, stages
        self.folder: Path | None = None
        if experiment.sft is not None:
            about = {"corpus": texts_about(experiment.corpus), "policy": asdict(experiment.policy),
                     "sft": learned(experiment.sft), **contents(experiment.policy.source)}  # fmt: skip
            self.folder = stages.made("sft", about, lambda part, work: _fine_tune(experiment, part, work))

    @property
    def name(self) -> str:
        """What stages after it depend on."""
        if self.folder is not None:
            return self.folder.name
        source = self.experiment.policy.source
        return " ".join([source, *contents(source).values()])

    @property
    def source(self) -> str | Path:
        """Where the weights are."""
        return self.folder / "policy" if self.folder is not None else self.experiment.policy.source

    def players(self, seed: int) -> tuple[Policy, Reference]:
        """The policy with fresh adapters where there are to be some, and itself as the reference."""
        model = self.experiment.policy
        lora = LoraOptions(rank=model.lora_rank, alpha=2 * model.lora_rank) if model.lora_rank else None
        policy = _loaded(model, self.source, lora=lora, seed=seed)
        _without_chat(policy, self.experiment.corpus)
        return policy, reference_of(policy)

    def prompts(self, policy: Policy, texts: Sequence[str]) -> Prompts:
        """Texts as the policy reads them."""
        corpus = self.experiment.corpus
        return encoded(policy, texts, template=corpus.template, max_tokens=corpus.max_prompt_tokens)

    def made(self, name: str, about: Mapping[str, Any], make: Callable[[Start, Path, Path], None]) -> Path:
        """A stage that depends on the policy."""
        return self.stages.made(name, {"base": self.name, **about}, lambda part, work: make(self, part, work))


def _fine_tune(experiment: Experiment, part: Path, work: Path) -> None:
    """Supervised fine-tuning on the whole training split: the reference of everything after it."""
    assert experiment.sft is not None
    corpus = experiment.corpus
    examples = texts_of_split(corpus, "train")
    # half precision would round most steps of fine-tuning away: the type is what the result is loaded in
    tuned = "float32" if experiment.policy.dtype == "bfloat16" else experiment.policy.dtype
    policy = _fresh(replace(experiment.policy, dtype=tuned), examples)
    _without_chat(policy, corpus)
    source = _examples(policy, corpus, examples)
    check = _examples(policy, corpus, texts_of_split(corpus, "validation", 64))
    train(policy, IMITATION, source, experiment.sft, folder=work, measure=check.measure)
    keep(policy, part / "policy")


def keep(policy: Policy, folder: Path) -> None:
    """Weights (of adapters: the adapters) and tokenizer, as ``load_policy`` reads them."""
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)


def _examples(policy: Policy, corpus: Corpus, examples: Sequence[Example]) -> Examples:
    prompts = encoded(
        policy, [e.prompt for e in examples], template=corpus.template, max_tokens=corpus.max_prompt_tokens
    )
    return Examples(prompts, completions_of(policy, [e.summary for e in examples]))


def _fresh(model: Model, examples: Sequence[Example]) -> Policy:
    """The policy before fine-tuning; it is tuned whole, adapters come on top of the result."""
    if model.source != "small":
        return _loaded(model, model.source)
    from transformers import LlamaConfig

    tokenizer = _tokenizer(model.vocabulary, [text for e in examples for text in (e.prompt, e.summary)])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=model.width,
        intermediate_size=3 * model.width,
        num_hidden_layers=model.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _loaded(model, config, tokenizer=tokenizer)


def _tokenizer(size: int, texts: Sequence[str]) -> Any:
    """Byte-level pair encoding of these texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>", padding_side="left")


def _loaded(model: Model, source: Any, **options: Any) -> Policy:
    device = device_of(model.device)
    return load_policy(source, dtype=getattr(torch, model.dtype), device=device, **options)


def _without_chat(policy: Policy, corpus: Corpus) -> None:
    if not corpus.chat and policy.tokenizer is not None:
        policy.tokenizer.chat_template = None


def texts_of_split(corpus: Corpus, split: str, count: int | None = None) -> list[Example]:
    columns = {"prompt": corpus.prompt, "summary": corpus.summary, "group": corpus.group or None}
    found = load_corpus(corpus.source, split, count=count, **columns)  # type: ignore[arg-type]
    if not found:
        raise BadInput(f"corpus: source = {corpus.source!r} has no text in its {split} part, must have more texts")
    return found


def texts_about(corpus: Corpus) -> dict[str, Any]:
    """What the texts and how they are read depend on."""
    about = asdict(corpus)
    for count in ("prompts", "validation", "held_out", "raters"):
        del about[count]
    return about | contents(corpus.source)


def contents(source: str) -> dict[str, str]:
    """A file or a folder of weights counts by its content, whatever else has no more than its name."""
    path = Path(source)
    parts = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix in (".json", ".safetensors"))
    return {str(p): _sha256(p, p.stat().st_mtime_ns, p.stat().st_size) for p in parts}


@cache
def _sha256(path: Path, changed: int, size: int) -> str:
    return sha256_of(path)  # once for each state of the file: many stages ask


def device_of(name: str) -> torch.device:
    """The named device, if torch has it here; "auto" is an accelerator where there is one."""
    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            rule = "must be 'auto', 'cpu', 'cuda' or 'cuda:0'"
            raise BadInput(f"device = {name!r} is not here ({first_line(error)}), {rule}") from None
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The accelerator's own name, or that there is none."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {os.cpu_count()} cores"


def quietly(experiment: Experiment) -> None:
    """What a process does before it works on a stage."""
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()  # its report on loading only the encoder of a model is no news
    if device_of(experiment.policy.device).type == "cpu":
        torch.set_num_threads(1)  # two threads on two busy cores are slower than one


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def learned(settings: Settings) -> dict[str, Any]:
    """The settings that change what is learned, or what is recorded of it."""
    return {k: v for k, v in asdict(settings).items() if k not in ("checkpoint_every", "micro_batch")}

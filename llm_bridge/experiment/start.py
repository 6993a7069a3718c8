"""The policy from which every method starts: loaded, or fine-tuned on the corpus."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from llm_bridge.data import Example, load_corpus
from llm_bridge.experiment.configuration import HEADS, Corpus, Experiment, Model
from llm_bridge.experiment.stages import Stages, file_sha256
from llm_bridge.judges import Named
from llm_bridge.policy import (
    LoraOptions,
    Policy,
    Prompts,
    Reference,
    completions_of,
    encoded,
    load_policy,
    reference_of,
    save_policy,
)
from llm_bridge.training import IMITATION, Examples, Settings, train
from nashlab.game import BadInput, first_line

__all__ = [
    "Start",
    "contents",
    "device_name",
    "device_of",
    "judge_about",
    "judge_title",
    "learned",
    "quietly",
    "texts_about",
    "texts_of_split",
]


class Start:
    """The initial policy, fine-tuned if the experiment says so."""

    def __init__(self, experiment: Experiment, stages: Stages) -> None:
        self.experiment, self.stages = experiment, stages
        self.folder: Path | None = None
        if experiment.sft is not None:
            about = {"corpus": texts_about(experiment.corpus), "policy": asdict(experiment.policy),
                     "sft": learned(experiment.sft), **contents(experiment.policy.source)}  # fmt: skip
            self.folder = stages.made("sft", about, lambda part, work: _fine_tune(experiment, part, work))

    @property
    def name(self) -> str:
        """The name that later stages depend on."""
        if self.folder is not None:
            return self.folder.name
        source = self.experiment.policy.source
        return " ".join([source, *contents(source).values()])

    @property
    def source(self) -> str | Path:
        """The location of the weights."""
        return self.folder / "policy" if self.folder is not None else self.experiment.policy.source

    def players(self, seed: int) -> tuple[Policy, Reference]:
        """The policy with fresh adapters, if any, and itself as the reference."""
        model = self.experiment.policy
        lora = LoraOptions(rank=model.lora_rank, alpha=2 * model.lora_rank) if model.lora_rank else None
        policy = _loaded(model, self.source, lora=lora, seed=seed)
        _without_chat(policy, self.experiment.corpus)
        return policy, reference_of(policy)

    def prompts(self, policy: Policy, texts: Sequence[str]) -> Prompts:
        """Texts in the form that the policy reads."""
        corpus = self.experiment.corpus
        return encoded(policy, texts, template=corpus.template, max_tokens=corpus.max_prompt_tokens)

    def made(self, name: str, about: Mapping[str, Any], make: Callable[[Start, Path, Path], None]) -> Path:
        """A stage that depends on the policy."""
        return self.stages.made(name, {"base": self.name, **about}, lambda part, work: make(self, part, work))


def _fine_tune(experiment: Experiment, part: Path, work: Path) -> None:
    """Supervised fine-tuning on the whole training split; the result is the reference of all later stages."""
    assert experiment.sft is not None
    corpus = experiment.corpus
    examples = texts_of_split(corpus, "train")
    # half precision would round away most steps of fine-tuning: dtype applies when the result is loaded
    tuned = "float32" if experiment.policy.dtype == "bfloat16" else experiment.policy.dtype
    policy = _fresh(replace(experiment.policy, dtype=tuned, quantised=None), examples)
    _without_chat(policy, corpus)
    source = _examples(policy, corpus, examples)
    check = _examples(policy, corpus, texts_of_split(corpus, "validation", 64))
    train(policy, IMITATION, source, experiment.sft, folder=work, measure=check.measure)
    save_policy(policy, part / "policy")


def _examples(policy: Policy, corpus: Corpus, examples: Sequence[Example]) -> Examples:
    prompts = encoded(
        policy, [e.prompt for e in examples], template=corpus.template, max_tokens=corpus.max_prompt_tokens
    )
    return Examples(prompts, completions_of(policy, [e.summary for e in examples], prompts))


def _fresh(model: Model, examples: Sequence[Example]) -> Policy:
    """The policy before fine-tuning, which trains all weights; adapters are added to the result."""
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
    """Byte-level pair encoding trained on these texts."""
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
    under = {"base": model.base, "quantised": model.quantised}
    return load_policy(
        source, dtype=getattr(torch, model.dtype), device=device_of(model.device), **(under | options)
    )


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
    """Everything that the texts and their reading depend on."""
    about = asdict(corpus)
    for count in ("prompts", "validation", "held_out", "raters"):
        del about[count]
    return about | contents(corpus.source)


def judge_title(judge: Named) -> str:
    """A judge's name, without its options."""
    return judge if isinstance(judge, str) else str(judge["name"])


def judge_about(judge: Named) -> dict[str, Any]:
    """The judge in a stage's name, with files by content; the usual raters are omitted, so that folders made with them
    keep their names."""
    return {} if judge == "raters" else {"judge": judge, **contents(judge_title(judge).partition(":")[2])}


def contents(source: str) -> dict[str, str]:
    """The content hash of a file or a folder of weights; for other sources, only the name."""
    path = Path(source)
    parts = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix in (".json", ".safetensors"))
    return {str(p): file_sha256(p) for p in parts}


def device_of(name: str) -> torch.device:
    """The named device, if torch has it here; "auto" means an accelerator if there is one."""
    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            rule = "must be 'auto', 'cpu', 'cuda' or 'cuda:0'"
            raise BadInput(f"device = {name!r} is not here ({first_line(error)}), {rule}") from None
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The accelerator's name, or the CPU with its number of cores."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {os.cpu_count()} cores"


def quietly(experiment: Experiment) -> None:
    """Set up a process before it works on a stage."""
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()  # hides its report on loading only the encoder of a model
    if device_of(experiment.policy.device).type == "cpu":
        torch.set_num_threads(1)  # two threads on two busy cores are slower than one


def learned(settings: Settings) -> dict[str, Any]:
    """The settings that affect the result, or its records."""
    return {k: v for k, v in asdict(settings).items() if k not in ("checkpoint_every", "micro_batch")}

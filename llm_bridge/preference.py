"""Preference models that are antisymmetric by construction, and the scalar reward they are compared with.

    cross-encoder     p(y ≻ y' | x) = σ(f(x, y, y') − f(x, y', y))           one encoding for each ordered pair
    skew embedding    p(y ≻ y' | x) = σ(v(x, y)ᵀ R v(x, y')), R = W − Wᵀ     one encoding for each answer
    Bradley-Terry     p(y ≻ y' | x) = σ(r(x, y) − r(x, y'))                  one encoding for each answer

f, v and r are linear maps of a transformer's state at the last real token.  The first two can represent cycles; a
reward cannot.  Models are trained on soft or hard labels by cross-entropy, −p log p̂ − (1 − p) log(1 − p̂), with early
stopping, and calibrated by one temperature on held-out comparisons.

Source: theory §6; Munos et al. (arXiv 2312.00886) for preference models, Balduzzi et al. 2018 for skew embeddings.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from llm_bridge.checkpoint import checksum
from llm_bridge.data import Comparison
from llm_bridge.judges import Judge, ask, canonical, check_lengths, fit_scale, matrix
from llm_bridge.models import located, tokenizer_at
from llm_bridge.policy import seeded
from llm_bridge.raters import intransitivity
from nashlab.files import plain, replacing
from nashlab.game import BadInput, first_line, suggestion

__all__ = [
    "MODELS",
    "BradleyTerry",
    "CrossEncoder",
    "ModelJudge",
    "PreferenceModel",
    "Quality",
    "Record",
    "SkewEmbedding",
    "TextEncoder",
    "Training",
    "calibrate",
    "load_encoder",
    "load_model",
    "quality",
    "save_model",
    "train_preference_model",
]

Array = NDArray[np.float64]
Texts = Sequence[str]
WEIGHTS = "weights.safetensors"
DESCRIPTION = "preference.json"
STATE = "training.safetensors"
POSITION_TABLE = re.compile(r"(^|\.)(wpe|(embed_)?positions?(_embeddings?)?)$")
ANSWER_MARKS = {1: ("\n\nAnswer: ",), 2: ("\n\nFirst answer: ", "\n\nSecond answer: ")}


# -- texts to vectors ------------------------------------------------------------------------------------------------


class TextEncoder(nn.Module):
    """A transformer's standardised state at the last real token of (prompt, answer) or (prompt, answer, answer).

    model       any Hugging Face model: of an encoder-decoder the encoder is used, of a model with a head its body.
    tokenizer   its own; it must know words, and an end (or separator) token, which closes every text.
    max_prompt, max_answer   tokens of each part at most, cut at the end of the part.
    mixed_precision   whether the body computes in bfloat16; the pooled state is float32 all the same.

    Padding is on the right, hidden from attention and never pooled: a text has the same vector in any company.

    Raises :class:`BadInput` for a tokenizer without words or end, limits below 1, and, when called, for a text of more
    tokens than the model has positions.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        max_prompt: int = 384,
        max_answer: int = 96,
        mixed_precision: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("max_prompt", max_prompt), ("max_answer", max_answer)):
            if type(value) is not int or value < 1:
                raise BadInput(f"{name} = {value!r}, must be a whole number, at least 1")
        if type(mixed_precision) is not bool:
            raise BadInput(f"mixed_precision = {mixed_precision!r}, must be true or false")
        self.config: Any = model.config
        self.body: Any = _body_of(model)
        self.tokenizer = tokenizer
        self.max_prompt, self.max_answer, self.mixed_precision = max_prompt, max_answer, mixed_precision
        # OPT leads its last state back to the width of its embeddings
        self.width = int(getattr(self.body.config, "word_embed_proj_dim", self.body.config.hidden_size))
        self._positions = _positions(self.body)
        known = set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab()) - set(tokenizer.all_special_tokens)
        if len(known) < 2:  # a blank is known even to a tokenizer that was made of no files
            raise BadInput("tokenizer has no vocabulary (are its files missing?), must know words")
        ends = (tokenizer.eos_token_id, tokenizer.sep_token_id)
        if ends == (None, None):
            raise BadInput("tokenizer knows neither an end-of-sequence nor a separator token, must know one")
        self._end = int(next(token for token in ends if token is not None))
        self._pad = self._end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs beside model and tokenizer."""
        return {name: getattr(self, name) for name in ("max_prompt", "max_answer", "mixed_precision")}

    def token_ids(self, prompt: str, *answers: str) -> list[int]:
        """The tokens of one text: prompt, then each answer after its mark, then the end."""
        ids = self._ids(prompt)[: self.max_prompt]
        for mark, answer in zip(ANSWER_MARKS[len(answers)], answers, strict=True):
            ids += self._ids(mark) + self._ids(answer)[: self.max_answer]
        return [*ids, self._end]

    def forward(self, texts: Sequence[tuple[str, ...]]) -> Tensor:
        """States [B, width] in float32, or float64 for float64 models."""
        rows = [self.token_ids(*text) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        if lengths.max() > self._positions:
            raise BadInput(f"a text has {lengths.max()} tokens, must have {self._positions} at most (the positions of "
                           f"the model); lower max_prompt = {self.max_prompt} or max_answer = {self.max_answer}"
                           )  # fmt: skip
        ids = torch.full((len(rows), int(lengths.max())), self._pad)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        device = next(self.body.parameters()).device
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            states = self.body(input_ids=ids.to(device), attention_mask=mask.long()).last_hidden_state
        pooled = states[torch.arange(len(rows), device=device), lengths.to(device) - 1]
        # families end in states of very different size; the head's first logits should not
        return functional.layer_norm(pooled if pooled.dtype == torch.float64 else pooled.float(), (self.width,))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _body_of(model: Any) -> Any:
    model = model.get_base_model() if hasattr(model, "peft_config") else model  # adapters sit inside its layers
    if getattr(model.config, "is_encoder_decoder", False):
        return model.get_encoder()
    return getattr(model, "base_model", model)


def _positions(body: nn.Module) -> float:
    """The rows of a table of positions that texts can use; infinite where positions are computed."""
    tables = [m for name, m in body.named_modules() if isinstance(m, nn.Embedding) and POSITION_TABLE.search(name)]
    # families that have taken over fairseq's tables leave the rows before the first position empty
    unused = [getattr(t, "offset", 0) if t.padding_idx is None else t.padding_idx + 1 for t in tables]
    return min((t.num_embeddings - rows for t, rows in zip(tables, unused, strict=True)), default=math.inf)


def load_encoder(
    source: Any,
    tokenizer: Any = None,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    max_prompt: int = 384,
    max_answer: int = 96,
    mixed_precision: bool = False,
) -> TextEncoder:
    """An encoder from a configuration (random weights), or from a source of weights as ``load_policy`` takes it.

    tokenizer  one, or the folder of one; by default the source's own.  Weights are safetensors; no model code is run.

    Raises :class:`BadInput` where the source cannot be read, lacks weights of the body, or has no tokenizer.
    """
    from transformers import AutoModel, PretrainedConfig

    if isinstance(source, PretrainedConfig):
        if tokenizer is None:
            raise BadInput("tokenizer is missing, must be given with a configuration")
        with seeded(seed):
            model = AutoModel.from_config(source, trust_remote_code=False).to(dtype)
    else:
        name, local = located(source)
        model = _pretrained(name, dtype, seed, local=local)
        tokenizer = tokenizer if tokenizer is not None else tokenizer_at(name, local=local)
    if isinstance(tokenizer, str | Path):
        tokenizer = tokenizer_at(str(tokenizer), local=Path(tokenizer).is_dir())
    return TextEncoder(model, tokenizer, max_prompt=max_prompt, max_answer=max_answer, mixed_precision=mixed_precision)


def _pretrained(name: str, dtype: torch.dtype, seed: int, *, local: bool) -> Any:
    from transformers import AutoModel

    options = {"use_safetensors": True, "local_files_only": local, "trust_remote_code": False}
    try:
        with seeded(seed):  # a pooler that was not stored is random; nothing reads it, but it counts as a weight
            model, info = AutoModel.from_pretrained(name, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:  # every layer below the loader has errors of its own
        where = "folder" if local else "hub name (is there a network?)"
        raise BadInput(f"source = {name!r} cannot be read as a {where}: {first_line(error)}") from error
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key.split("."))
    if missing:
        raise BadInput(f"source = {name!r} lacks the weights {missing[:3]}, must have all of them")
    return model


# -- models ----------------------------------------------------------------------------------------------------------


class PreferenceModel(nn.Module):
    """p(y ≻ y' | x) = σ(z / temperature) with a logit z(x, y, y') = −z(x, y', y), and z(x, y, y) = 0.

    Subclasses give :meth:`pair_logits`, antisymmetric as a formula.  :meth:`logit` asks it for each different unordered
    pair once, in one order, so that it is antisymmetric to the last bit as well.

    encoder      texts -> [B, width];  temperature  a buffer, 1 until :func:`calibrate` sets it.
    """

    kind = ""
    temperature: Tensor

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs beside the encoder."""
        return {}

    def pair_logits(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """z before the temperature, [B], differentiable; asked for different pairs only."""
        raise NotImplementedError

    def logit(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """z / temperature, [B], differentiable."""
        ordered = [(x, min(y, z), max(y, z)) for x, y, z in zip(prompts, left, right, strict=True)]
        places = {triple: i for i, triple in enumerate(dict.fromkeys(t for t in ordered if t[1] != t[2]))}
        if not places:
            return torch.zeros(len(ordered), device=self.temperature.device)
        values = self.pair_logits(*map(list, zip(*places, strict=True)))
        index = torch.tensor([places.get(triple, 0) for triple in ordered], device=values.device)
        sign = [float(z > y) - float(y > z) for y, z in zip(left, right, strict=True)]
        return values[index] * torch.tensor(sign).to(values) / self.temperature.to(values)

    def forward(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """The logit, [B]."""
        return self.logit(prompts, left, right)

    def logits_of_many(self, prompts: Texts, left: Texts, right: Texts, batch_size: int = 32) -> Array:
        """:meth:`logit` without gradient, a batch at a time, float64 [B]."""
        parts = [
            self.logit(prompts[i : i + batch_size], left[i : i + batch_size], right[i : i + batch_size])
            for i in range(0, len(prompts), batch_size)
        ]
        return torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)

    def probabilities(self, prompts: Texts, left: Texts, right: Texts, *, batch_size: int = 32) -> Array:
        """p(left ≻ right | prompt), float64 [B], in evaluation mode and without gradient.

        Raises :class:`BadInput` for lists of different lengths.
        """
        check_lengths(prompts, left, right)
        with _evaluating(self):
            z = self.logits_of_many(list(prompts), list(left), list(right), batch_size)
        small = np.exp(-np.abs(z))
        p = 1.0 / (1.0 + small)  # of the likelier answer: one minus it is then exactly the other's
        return np.where(z >= 0, p, 1.0 - p)

    def judge(self, batch_size: int = 32) -> ModelJudge:
        """This model as a judge."""
        return ModelJudge(self, batch_size)


class CrossEncoder(PreferenceModel):
    """z = f(x, y, y') − f(x, y', y), f linear in the state of an encoder that reads both answers.

    The most general of the three; K candidates cost K(K−1) encodings.
    """

    kind = "cross-encoder"

    def __init__(self, encoder: TextEncoder, *, seed: int = 0) -> None:
        super().__init__(encoder)
        self.head = _linear(encoder, 1, seed)

    def pair_logits(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """f(x, y, y') − f(x, y', y), [B]."""
        forward = list(zip(prompts, left, right, strict=True))
        backward = list(zip(prompts, right, left, strict=True))
        first, second = self.head(self.encoder(forward + backward)).squeeze(1).chunk(2)
        return first - second


class AnswerModel(PreferenceModel):
    """A model that knows each answer by a vector of its own: K candidates cost K encodings."""

    def vectors(self, prompts: Texts, answers: Texts) -> Tensor:
        """One vector for each (prompt, answer), [B, k], differentiable."""
        raise NotImplementedError

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """z [B] from the vectors [B, k] of two answers."""
        raise NotImplementedError

    def pair_logits(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        """z, [B], from one vector for each different (prompt, answer)."""
        unique, first, second = _different(prompts, left, right)
        vectors = self.vectors(*map(list, zip(*unique, strict=True)))
        return self.compare(vectors[first], vectors[second])

    def logits_of_many(self, prompts: Texts, left: Texts, right: Texts, batch_size: int = 32) -> Array:
        """:meth:`logit` without gradient: each different answer is encoded once among all pairs."""
        if not prompts:
            return np.zeros(0)
        ordered = [(min(y, z), max(y, z)) for y, z in zip(left, right, strict=True)]
        unique, first, second = _different(prompts, *map(list, zip(*ordered, strict=True)))
        # texts of like length together: less padding
        order = sorted(range(len(unique)), key=lambda i: len(unique[i][0]) + len(unique[i][1]))
        parts = [
            self.vectors(*map(list, zip(*(unique[i] for i in order[k : k + batch_size]), strict=True)))
            for k in range(0, len(order), batch_size)
        ]
        vectors = torch.cat(parts)[torch.argsort(torch.tensor(order)).to(parts[0].device)]
        values = self.compare(vectors[first], vectors[second]).double().cpu().numpy()
        sign = np.array([float(z > y) - float(y > z) for y, z in zip(left, right, strict=True)])
        return values * sign / float(self.temperature)


class SkewEmbedding(AnswerModel):
    """z = v(x, y)ᵀ R v(x, y') with R = W − Wᵀ [k, k] skew and v linear in the encoder's state.

    Two dimensions (r, 1) with R a rotation are a reward difference; every pair of dimensions is one more cycle.
    """

    kind = "skew-embedding"

    def __init__(self, encoder: TextEncoder, *, rank: int = 16, seed: int = 0) -> None:
        super().__init__(encoder)
        if type(rank) is not int or rank < 2:
            raise BadInput(f"rank = {rank!r}, must be a whole number, at least 2: a skew form in one dimension is 0")
        self.rank = rank
        self.head = _linear(encoder, rank, seed)
        # Half rotations of pairs of dimensions, no common offset: an arbitrary form starts with z mostly linear in what
        # all answers share, learns to remove that, and is left with v = 0, where the gradient is 0 too.
        form = torch.zeros(rank, rank)
        first = torch.arange(0, rank - 1, 2)
        form[first, first + 1] = 0.5
        self.form = nn.Parameter(form.to(self.head.weight))
        nn.init.zeros_(self.head.bias)

    @property
    def settings(self) -> dict[str, Any]:
        """The rank."""
        return {"rank": self.rank}

    def vectors(self, prompts: Texts, answers: Texts) -> Tensor:
        """v(x, y), [B, k]."""
        return self.head(self.encoder(list(zip(prompts, answers, strict=True))))

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """vᵀ R v', [B]."""
        return ((left @ (self.form - self.form.T)) * right).sum(dim=1)


class BradleyTerry(AnswerModel):
    """z = r(x, y) − r(x, y'), r linear in the encoder's state: the reward of RLHF."""

    kind = "bradley-terry"

    def __init__(self, encoder: TextEncoder, *, seed: int = 0) -> None:
        super().__init__(encoder)
        self.head = _linear(encoder, 1, seed)

    def vectors(self, prompts: Texts, answers: Texts) -> Tensor:
        """r(x, y), [B, 1]."""
        return self.head(self.encoder(list(zip(prompts, answers, strict=True))))

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """r − r', [B]."""
        return (left - right).squeeze(1)

    def rewards(self, prompts: Texts, answers: Texts, *, batch_size: int = 32) -> Array:
        """r(x, y) / temperature, float64 [B], without gradient."""
        with _evaluating(self):
            parts = [
                self.vectors(prompts[i : i + batch_size], answers[i : i + batch_size]).squeeze(1)
                for i in range(0, len(prompts), batch_size)
            ]
        values = torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)
        return values / float(self.temperature)


MODELS: dict[str, type[PreferenceModel]] = {m.kind: m for m in (CrossEncoder, SkewEmbedding, BradleyTerry)}


@dataclass(frozen=True)
class ModelJudge:
    """A preference model as a judge of strings; p(y, y') + p(y', y) = 1 exactly."""

    model: PreferenceModel
    batch_size: int = 32

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> Array:
        """p(left ≻ right), [B]."""
        return canonical(
            prompts, left, right, lambda x, y, z: self.model.probabilities(x, y, z, batch_size=self.batch_size)
        )


def _different(prompts: Texts, left: Texts, right: Texts) -> tuple[list[tuple[str, str]], Tensor, Tensor]:
    """The different (prompt, answer), and where the left and the right answers are among them."""
    asked = [*zip(prompts, left, strict=True), *zip(prompts, right, strict=True)]
    places = {pair: i for i, pair in enumerate(dict.fromkeys(asked))}
    first, second = torch.tensor([places[pair] for pair in asked]).chunk(2)
    return list(places), first, second


def _linear(encoder: TextEncoder, size: int, seed: int) -> nn.Linear:
    weight = next(encoder.parameters())
    dtype = weight.dtype if weight.dtype == torch.float64 else torch.float32
    with seeded(seed):
        return nn.Linear(encoder.width, size).to(device=weight.device, dtype=dtype)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


# -- files -----------------------------------------------------------------------------------------------------------


def save_model(model: PreferenceModel, folder: str | Path) -> None:
    """The model with its tokenizer in a folder; the description is written last and makes it valid.

    Raises :class:`BadInput` for an encoder with other weights than its configuration says, as adapters are.
    """
    from safetensors.torch import save_file

    with torch.device("meta"):
        plain = _body_from(model.encoder.config)
    _check_same(_tensors(plain), _tensors(model.encoder.body), "model.encoder has other weights than its configuration")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    model.encoder.config.save_pretrained(folder)
    model.encoder.tokenizer.save_pretrained(folder)
    # copies, as safetensors does not store memory that two tensors share
    tensors = {k: t.detach().cpu().clone(memory_format=torch.contiguous_format) for k, t in _tensors(model).items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part)
    about = {"kind": model.kind, "settings": model.settings, "encoder": model.encoder.settings}
    with replacing(folder / DESCRIPTION) as part:
        part.write_text(json.dumps(about, indent=2) + "\n")


def load_model(folder: str | Path, device: torch.device | str = "cpu") -> PreferenceModel:
    """What :func:`save_model` wrote, to the last bit; BadInput where the folder does not hold all of it."""
    folder = Path(folder)
    try:
        model = _read(folder)
    except Exception as error:  # every layer below the readers has errors of its own
        why = first_line(error)
        raise BadInput(f"folder = {str(folder)!r} holds no preference model that can be read ({why})") from error
    return model.to(device).eval()


def _read(folder: Path) -> PreferenceModel:
    from safetensors.torch import load_file
    from transformers import AutoConfig

    kind, settings, encoder_settings = _description(folder / DESCRIPTION)
    weights = load_file(folder / WEIGHTS)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    encoder = TextEncoder(_body_from(config), tokenizer_at(str(folder), local=True), **encoder_settings)
    model = MODELS[kind](encoder, **settings)
    if (model.settings, encoder.settings) != (settings, encoder_settings):
        raise BadInput(
            f"{DESCRIPTION} has {settings | encoder_settings}, must have {model.settings | encoder.settings}"
        )
    _restore(_tensors(model), weights, folder)
    return model


def _body_from(config: Any) -> Any:
    from transformers import AutoModel

    with seeded(0):
        return _body_of(AutoModel.from_config(config, trust_remote_code=False))


def _description(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    about = json.loads(path.read_text(encoding="utf-8"))
    kinds = {"kind": str, "settings": dict, "encoder": dict}
    if not isinstance(about, dict) or {name: type(value) for name, value in about.items()} != kinds:
        raise BadInput(f"{path.name} must have a kind, settings and an encoder's settings")
    if about["kind"] not in MODELS:
        raise BadInput(f"kind = {about['kind']!r}, must be one of {', '.join(MODELS)}"
                       f"{suggestion(about['kind'], MODELS)}")  # fmt: skip
    return about["kind"], about["settings"], about["encoder"]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter once, and the buffers: those of a state_dict, and others (of rotations) that a cast changes."""
    stored = model.state_dict().keys()
    buffers = {name: b for name, b in model.named_buffers() if name in stored or b.is_floating_point()}
    return {**dict(model.named_parameters()), **buffers}


def _restore(tensors: Mapping[str, Tensor], weights: dict[str, Tensor], source: Path) -> None:
    """Give tensors the values that are stored for them, in the type in which they are stored."""
    _check_same(tensors, weights, f"{source} holds the weights of another model")
    for name, tensor in tensors.items():
        # a copy: sums over memory that a file has put at odd places are rounded in another order
        tensor.data = weights[name].to(tensor.device, copy=True)


def _check_same(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], otherwise: str) -> None:
    shapes, others = ({(name, tuple(t.shape)) for name, t in group.items()} for group in (expected, found))
    if odd := sorted({name for name, _ in shapes ^ others}):
        raise BadInput(f"{otherwise} (first differences: {', '.join(odd[:3])})")


# -- training --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """How a preference model is trained: AdamW, linear warm-up and decay, early stopping on held-out log loss.

    epochs, batch_size     of comparisons, shuffled anew each epoch.
    learning_rate, weight_decay, warmup, max_grad_norm   warmup is a share of all steps.
    evaluate_every         steps between looks at the held-out loss; 0 is four times an epoch.
    patience               looks without a better loss after which training stops.
    """

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 3e-5
    weight_decay: float = 0.01
    warmup: float = 0.1
    max_grad_norm: float = 1.0
    evaluate_every: int = 0
    patience: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} = {getattr(self, name)}, must be at least 1")
        for name in ("learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise BadInput(f"{name} = {getattr(self, name)}, must be positive and finite")
        if not 0 <= self.warmup <= 1 or self.weight_decay < 0 or self.evaluate_every < 0:
            raise BadInput("warmup must be a share between 0 and 1, weight_decay and evaluate_every at least 0")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step counted from 0."""
        rising = max(1, round(self.warmup * steps))
        return self.learning_rate * min((step + 1) / rising, (steps - step) / max(1, steps - rising))


@dataclass(frozen=True)
class Record:
    """One look at training: mean log loss of the batches since the last look, and the held-out one."""

    step: int
    steps: int
    loss: float
    held_out: float
    seconds: float


@dataclass
class _Progress:
    """What a run has to remember beside weights and optimiser."""

    step: int = 0
    best_step: int = 0
    best: float = math.inf
    waited: int = 0
    history: list[Record] = field(default_factory=list)


def train_preference_model(
    model: PreferenceModel,
    training: Sequence[Comparison],
    held_out: Sequence[Comparison],
    settings: Training | None = None,
    *,
    folder: str | Path | None = None,
    progress: Callable[[Record], None] | None = None,
) -> list[Record]:
    """Minimise the mean of softplus(z) − p z over the comparisons; the model ends with its best held-out weights.

    folder    where everything is kept after each look, atomically; a run that was killed goes on from there, given the
              model as it was at the start, and ends with bitwise the same weights (on CPU).  A folder of another run,
              which had other data, settings, initial weights or tokens, is refused.
    progress  called with each :class:`Record`.  All of them come back.

    Dropout and order come from ``settings.seed`` and the step alone.  Comparisons of equal answers are left out of
    training: they teach nothing.

    Raises :class:`BadInput` for empty data, labels outside [0, 1], and a loss that is not finite (the best weights so
    far are restored).
    """
    settings = settings or Training()
    training = [comparison for comparison in training if comparison.left != comparison.right]
    _check_labels(training, "training")
    _check_labels(held_out, "held_out")
    run = _Run(model, training, held_out, settings, Path(folder) if folder is not None else None)
    run.resume()
    try:
        run.go(progress)
    finally:
        run.take_best()
    return run.progress.history


def _check_labels(comparisons: Sequence[Comparison], name: str) -> None:
    if not comparisons:
        raise BadInput(f"{name} is empty, must hold comparisons of different answers")
    for i, comparison in enumerate(comparisons):
        if not 0 <= comparison.p <= 1:
            raise BadInput(f"{name}[{i}].p = {comparison.p}, must be a probability between 0 and 1")


class _Run:
    """One training run: its data, its optimiser, its best weights, its file."""

    def __init__(
        self,
        model: PreferenceModel,
        training: Sequence[Comparison],
        held_out: Sequence[Comparison],
        settings: Training,
        folder: Path | None,
    ) -> None:
        self.model, self.training, self.held_out, self.settings = model, training, held_out, settings
        self.folder = folder
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(
            self.trained.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.steps_per_epoch = math.ceil(len(training) / settings.batch_size)
        self.steps = settings.epochs * self.steps_per_epoch
        self.every = settings.evaluate_every or max(1, self.steps_per_epoch // 4)
        self.progress = _Progress()
        self.best = self._copy()
        self.fingerprint = self._fingerprint() if folder is not None else ""

    def go(self, report: Callable[[Record], None] | None) -> None:
        """Step until the end, or until the held-out loss has stopped falling."""
        losses: list[float] = []
        started = time.perf_counter() - (self.progress.history[-1].seconds if self.progress.history else 0.0)
        while self.progress.step < self.steps and self.progress.waited < self.settings.patience:
            losses.append(self._step())
            if self.progress.step % self.every == 0 or self.progress.step == self.steps:
                self._look(float(np.mean(losses)), time.perf_counter() - started)
                losses.clear()
                if report is not None:
                    report(self.progress.history[-1])

    def _step(self) -> float:
        step = self.progress.step
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.training))
        size = self.settings.batch_size
        batch = [self.training[i] for i in order[place * size : (place + 1) * size]]
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate(step, self.steps)
        self.optimiser.zero_grad(set_to_none=True)
        with seeded(self.settings.seed * 1_000_003 + step):
            loss = _losses(self.model, batch).mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.trained.values(), self.settings.max_grad_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise BadInput(f"the loss is {loss.item()} and its gradient {norm.item()} at step {step + 1}, must be "
                           f"finite; lower learning_rate = {self.settings.learning_rate}")  # fmt: skip
        self.optimiser.step()
        self.progress.step += 1
        return float(loss.item())

    def _look(self, loss: float, seconds: float) -> None:
        state = self.progress
        held_out = self._held_out_loss()
        state.history.append(Record(state.step, self.steps, loss, held_out, seconds))
        if held_out < state.best:
            state.best, state.best_step, state.waited = held_out, state.step, 0
            self.best = self._copy()
        else:
            state.waited += 1
        self._save()

    def _held_out_loss(self) -> float:
        size = self.settings.batch_size
        with _evaluating(self.model):
            parts = [_losses(self.model, self.held_out[i : i + size]) for i in range(0, len(self.held_out), size)]
        return float(torch.cat(parts).double().mean())

    def _copy(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.trained.items()}

    def take_best(self) -> None:
        """Put the weights with the lowest held-out loss into the model."""
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(self.best[name])
        self.model.eval()

    # what is on disk: current weights, best weights and both moments, with everything else as JSON beside them

    def _fingerprint(self) -> str:
        """Of all that the run depends on, taken before its first step."""
        encoder = self.model.encoder
        about = (self.model.kind, self.model.settings, encoder.settings, encoder.config.to_json_string())
        digest = hashlib.sha256(repr((*about, asdict(self.settings), list(self.trained))).encode())
        for x, y, z, p in (*self.training, *self.held_out):
            # the tokens stand for the tokenizer; texts count as well, their order decides which of a pair is first
            digest.update(repr((x, y, z, p, encoder.token_ids(x, y, z))).encode())
        digest.update(checksum(self.model.state_dict().items()).encode())
        return digest.hexdigest()

    def _save(self) -> None:
        if self.folder is None:
            return
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"best:{name}": value for name, value in self.best.items()}
        for name, parameter in self.trained.items():
            tensors[f"now:{name}"] = parameter.detach()
            for key, value in self.optimiser.state[parameter].items():
                tensors[f"{key}:{name}"] = torch.as_tensor(value)
        tensors = {k: v.cpu().contiguous() for k, v in tensors.items()}
        progress = json.dumps(asdict(self.progress) | {"fingerprint": self.fingerprint})
        about = {"progress": progress, "sha256": _checksum(progress, tensors)}
        with replacing(self.folder / STATE) as part:
            save_file(tensors, part, about)

    def resume(self) -> None:
        """Take up what the folder holds, if it holds anything."""
        if self.folder is None or not (self.folder / STATE).exists():
            return
        from safetensors import SafetensorError, safe_open

        path = self.folder / STATE
        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                if _checksum(file.metadata()["progress"], tensors) != file.metadata()["sha256"]:
                    raise ValueError("it does not agree with its checksum")
                about = json.loads(file.metadata()["progress"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path} is damaged ({error}); delete it to train anew") from None
        if about.pop("fingerprint") != self.fingerprint:
            raise BadInput(f"{path} belongs to a run with other data, settings or model; give another folder")
        about["history"] = [Record(**record) for record in about["history"]]
        self.progress = _Progress(**about)
        groups: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            group, _, name = key.partition(":")
            groups[group][name] = value
        _restore(self.trained, groups.pop("now"), path)
        self.best = {name: value.to(self.trained[name]) for name, value in groups.pop("best").items()}
        for key, values in groups.items():
            for name, value in values.items():
                # the step counter stays on the CPU, as AdamW makes it
                moved = value if value.ndim == 0 else value.to(self.trained[name])
                self.optimiser.state[self.trained[name]][key] = moved


def _checksum(progress: str, tensors: Mapping[str, Tensor]) -> str:
    """Of everything that a run goes on from."""
    return hashlib.sha256((progress + checksum(sorted(tensors.items()))).encode()).hexdigest()


def _losses(model: PreferenceModel, batch: Sequence[Comparison]) -> Tensor:
    """−p log p̂ − (1 − p) log(1 − p̂) of each comparison, [B]."""
    prompts, left, right, p = map(list, zip(*batch, strict=True))
    z = model.logit(prompts, left, right)
    z = z if z.dtype == torch.float64 else z.float()
    return functional.softplus(z) - torch.tensor(p, dtype=z.dtype, device=z.device) * z


def calibrate(model: PreferenceModel, comparisons: Sequence[Comparison], *, batch_size: int = 32) -> float:
    """Set and return the temperature T that minimises the log loss of σ(z/T) on held-out comparisons.

    The order of answers does not change by it, nor does the accuracy.
    """
    _check_labels(comparisons, "comparisons")
    model.temperature.fill_(1.0)
    prompts, left, right, p = map(list, zip(*comparisons, strict=True))
    with _evaluating(model):
        z = model.logits_of_many(prompts, left, right, batch_size)
    model.temperature.fill_(1.0 / fit_scale(z, p))
    return float(model.temperature)


# -- quality ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bin:
    """Comparisons whose likelier answer has p̂ in [low, high): mean p̂, how often it was preferred, how many they are."""

    low: float
    high: float
    predicted: float
    observed: float
    count: int


@dataclass(frozen=True)
class Quality:
    """How well predictions p̂ meet labels p; soft labels count as the share of raters who say so.

    accuracy            mean share of raters who prefer the likelier answer (½ where p̂ = ½).
    ceiling             the same for a model that knows p: mean max(p, 1 − p).
    log_loss, entropy   mean −p log p̂ − (1 − p) log(1 − p̂), and its least value, at p̂ = p.
    brier               mean p (1 − p̂)² + (1 − p) p̂².
    calibration_error   Σ_bins share · |predicted − observed|, over equal bins of the likelier answer's p̂ in [½, 1].
    bins                what it is made of.
    order_swap_error    largest |p̂(y, y') + p̂(y', y) − 1|.
    cyclic_triads       share of cycles among the triples of answers to one prompt; None where there are none.
    count               comparisons.
    """

    accuracy: float
    ceiling: float
    log_loss: float
    entropy: float
    brier: float
    calibration_error: float
    order_swap_error: float
    cyclic_triads: float | None
    count: int
    bins: tuple[Bin, ...]

    def as_json(self) -> dict[str, Any]:
        """The numbers as JSON has them."""
        return dict(plain(asdict(self)))


def quality(
    model: PreferenceModel | Judge, comparisons: Sequence[Comparison], *, bins: int = 10, batch_size: int = 32
) -> Quality:
    """Accuracy, log loss, Brier score, calibration, order-swap error and cycles on held-out comparisons.

    A model is asked directly and not through its judge, so that the order-swap error tests the model.  Predictions are
    clipped to [1e-12, 1 − 1e-12] for the log loss.
    """
    _check_labels(comparisons, "comparisons")
    if bins < 1:
        raise BadInput(f"bins = {bins}, must be at least 1")
    predict: Judge = model
    if isinstance(model, PreferenceModel):
        predict = _direct(model, batch_size)
    prompts, left, right, labels = map(list, zip(*comparisons, strict=True))
    p, q = np.array(labels, dtype=np.float64), ask(predict, prompts, left, right)
    found = _reliability(q, p, bins)
    return Quality(
        accuracy=float(np.where(q == 0.5, 0.5, np.where(q > 0.5, p, 1 - p)).mean()),
        ceiling=float(np.maximum(p, 1 - p).mean()),
        log_loss=float(_cross_entropy(p, q.clip(1e-12, 1 - 1e-12)).mean()),
        entropy=float(_cross_entropy(p, p).mean()),
        brier=float((p * (1 - q) ** 2 + (1 - p) * q**2).mean()),
        calibration_error=sum(b.count * abs(b.predicted - b.observed) for b in found) / len(p),
        order_swap_error=float(np.abs(q + ask(predict, prompts, right, left) - 1).max()),
        cyclic_triads=_cyclic_triads(predict, comparisons),
        count=len(p),
        bins=found,
    )


def _direct(model: PreferenceModel, batch_size: int) -> Judge:
    def predict(prompts: Texts, left: Texts, right: Texts) -> Array:
        return model.probabilities(prompts, left, right, batch_size=batch_size)

    return predict


def _cross_entropy(p: Array, q: Array) -> Array:
    """−p log q − (1 − p) log(1 − q), where 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        yes, no = p * np.log(q), (1 - p) * np.log1p(-q)
    return -(np.where(p > 0, yes, 0.0) + np.where(p < 1, no, 0.0))


def _reliability(q: Array, p: Array, bins: int) -> tuple[Bin, ...]:
    """Bins of the likelier answer's probability; which answer is called left does not matter."""
    confidence = np.maximum(q, 1 - q)
    preferred = np.where(q == 0.5, 0.5, np.where(q > 0.5, p, 1 - p))
    edges = np.linspace(0.5, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    return tuple(
        Bin(float(edges[b]), float(edges[b + 1]), float(confidence[m].mean()), float(preferred[m].mean()), int(m.sum()))
        for b in range(bins)
        if (m := place == b).any()
    )


def _cyclic_triads(predict: Judge, comparisons: Sequence[Comparison], largest: int = 12) -> float | None:
    """The share of cyclic triples among at most ``largest`` answers to each prompt that has three."""
    answers: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for comparison in comparisons:
        answers[comparison.prompt].update({comparison.left: None, comparison.right: None})
    sets = {prompt: sorted(found)[:largest] for prompt, found in answers.items() if len(found) >= 3}
    if not sets:
        return None
    return intransitivity(matrix(predict, list(sets), list(sets.values()))).cyclic_triads

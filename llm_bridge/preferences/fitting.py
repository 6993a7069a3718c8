"""Fitting a preference model to comparisons: cross-entropy, early stopping, one temperature."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from llm_bridge.data import Comparison
from llm_bridge.judges import fit_scale
from llm_bridge.policy import seeded
from llm_bridge.preferences.files import _restore
from llm_bridge.preferences.models import PreferenceModel, _evaluating
from llm_bridge.training.checkpoint import checksum
from nashlab.files import replacing
from nashlab.game import BadInput

__all__ = ["Record", "Training", "calibrate", "train_preference_model"]

STATE = "training.safetensors"


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
    check_labels(training, "training")
    check_labels(held_out, "held_out")
    run = _Run(model, training, held_out, settings, Path(folder) if folder is not None else None)
    run.resume()
    try:
        run.go(progress)
    finally:
        run.take_best()
    return run.progress.history


def check_labels(comparisons: Sequence[Comparison], name: str) -> None:
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
        about = asdict(self.progress) | {"fingerprint": self.fingerprint}
        with replacing(self.folder / STATE) as part:
            save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, part, {"progress": json.dumps(about)})

    def resume(self) -> None:
        """Take up what the folder holds, if it holds anything."""
        if self.folder is None or not (self.folder / STATE).exists():
            return
        from safetensors import SafetensorError, safe_open

        path = self.folder / STATE
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["progress"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
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
    check_labels(comparisons, "comparisons")
    model.temperature.fill_(1.0)
    prompts, left, right, p = map(list, zip(*comparisons, strict=True))
    with _evaluating(model):
        z = model.logits_of_many(prompts, left, right, batch_size)
    model.temperature.fill_(1.0 / fit_scale(z, p))
    return float(model.temperature)

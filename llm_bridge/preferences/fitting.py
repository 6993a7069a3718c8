"""Fitting a preference model to comparisons: cross-entropy, early stopping, one temperature."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from llm_bridge.data import Comparison
from llm_bridge.judges import fit_scale
from llm_bridge.policy import seeded
from llm_bridge.preferences.models import PreferenceModel, evaluating
from llm_bridge.training import Diverged, Groups, Run, checksum, optimiser_tensors, restore_optimiser, scheduled
from nashlab.game import BadInput

__all__ = ["Record", "Training", "calibrate", "train_preference_model"]


@dataclass(frozen=True)
class Training:
    """The training of a preference model: AdamW, linear warm-up and decay, early stopping on held-out log loss.

    epochs, batch_size     of comparisons, reshuffled in each epoch.
    learning_rate, weight_decay, warmup, max_grad_norm   warmup is a share of all steps.
    evaluate_every         steps between evaluations of the held-out loss; 0 means four per epoch.
    patience               evaluations without improvement after which training stops.
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
        """The learning rate of a step, counted from 0."""
        return scheduled(self.learning_rate, "linear", step, steps, max(1, round(self.warmup * steps)))


@dataclass(frozen=True)
class Record:
    """One evaluation: mean log loss of the batches since the last one, and the held-out log loss."""

    step: int
    steps: int
    loss: float
    held_out: float
    seconds: float


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

    folder    of checkpoints and records, see :mod:`llm_bridge.training.run`: one after each evaluation.  A killed run
              resumes from there, given the initial model, and ends with bitwise the same weights (on CPU).  A folder of
              another run (other data, settings, initial weights or tokens) is refused. progress  called with each
              :class:`Record`; all of them are returned.

    Dropout and order depend only on ``settings.seed`` and the step.  Comparisons of equal answers are left out of
    training, since they carry no information.

    Raises :class:`BadInput` for empty data and labels outside [0, 1], :class:`llm_bridge.training.Diverged` for a loss
    that is not finite, and KeyboardInterrupt after Ctrl-C, once the step is complete and saved.  In every case the
    model keeps the best weights so far.
    """
    settings = settings or Training()
    training = [comparison for comparison in training if comparison.left != comparison.right]
    check_labels(training, "training")
    check_labels(held_out, "held_out")
    fitting = _Fitting(model, training, held_out, settings)
    run = Run(fitting, folder)
    if run.folder is not None:
        fitting.identity = fitting.described()
    run.resume()
    try:
        run.go(lambda record: progress(Record(**record)) if progress is not None else None)
    finally:
        fitting.take_best()
    return [Record(**record) for record in run.records]


def check_labels(comparisons: Sequence[Comparison], name: str) -> None:
    if not comparisons:
        raise BadInput(f"{name} is empty, must hold comparisons of different answers")
    for i, comparison in enumerate(comparisons):
        if not 0 <= comparison.p <= 1:
            raise BadInput(f"{name}[{i}].p = {comparison.p}, must be a probability between 0 and 1")


class _Fitting:
    """A model in training: its data, its optimiser, its best weights so far.  See :class:`llm_bridge.training.Work`.

    identity  everything that the run depends on, taken before its first step; empty if nothing is saved.
    best, best_step, waited  the lowest held-out loss, its step, and the evaluations since.
    losses    of the batches since the last evaluation.
    """

    extensible = ()

    def __init__(
        self,
        model: PreferenceModel,
        training: Sequence[Comparison],
        held_out: Sequence[Comparison],
        settings: Training,
    ) -> None:
        self.model, self.training, self.held_out, self.settings = model, training, held_out, settings
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(
            self.trained.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.steps_per_epoch = math.ceil(len(training) / settings.batch_size)
        self.steps = settings.epochs * self.steps_per_epoch
        self.every = settings.evaluate_every or max(1, self.steps_per_epoch // 4)
        self.identity: Mapping[str, Any] = {}
        self.step = 0
        self.best, self.best_step, self.waited = math.inf, 0, 0
        self.best_weights = self._copy()
        self.losses: list[float] = []
        self._before = 0.0  # seconds of earlier processes
        self._started = time.perf_counter()

    @property
    def finished(self) -> bool:
        """Whether the steps are done, or the held-out loss has stopped falling."""
        return self.step >= self.steps or self.waited >= self.settings.patience

    @property
    def is_due(self) -> bool:
        """A checkpoint follows every evaluation."""
        return not self.losses

    def opening(self, last: dict[str, Any] | None) -> None:
        """Nothing is evaluated before the first step."""

    def advance(self) -> dict[str, Any] | None:
        """One step, and an evaluation when it is due."""
        self.losses.append(self._one_step())
        if self.step % self.every and self.step != self.steps:
            return None
        held_out = self._held_out_loss()
        if held_out < self.best:
            self.best, self.best_step, self.waited = held_out, self.step, 0
            self.best_weights = self._copy()
        else:
            self.waited += 1
        seconds = self._before + time.perf_counter() - self._started
        record = Record(self.step, self.steps, float(np.mean(self.losses)), held_out, seconds)
        self.losses = []
        return asdict(record)

    def check_weights(self) -> None:
        """No NaN weight is saved."""
        if not all(bool(torch.isfinite(p).all()) for p in self.trained.values()):
            raise self._diverged("weights are NaN", False)

    def _one_step(self) -> float:
        epoch, place = divmod(self.step, self.steps_per_epoch)
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.training))
        size = self.settings.batch_size
        batch = [self.training[i] for i in order[place * size : (place + 1) * size]]
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate(self.step, self.steps)
        self.optimiser.zero_grad(set_to_none=True)
        with seeded(self.settings.seed * 1_000_003 + self.step):
            loss = _losses(self.model, batch).mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.trained.values(), self.settings.max_grad_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            what = f"the loss is {loss.item()} and its gradient's norm {norm.item()}, must be finite"
            raise self._diverged(what, bool(torch.isfinite(loss)))
        self.optimiser.step()
        self.step += 1
        return float(loss.item())

    def _diverged(self, what: str, weights_are_sound: bool) -> Diverged:
        advice = f"lower learning_rate = {self.settings.learning_rate:g}"
        return Diverged(f"step {self.step + 1}: {what}; {advice}", weights_are_sound)

    def _held_out_loss(self) -> float:
        size = self.settings.batch_size
        with evaluating(self.model):
            parts = [_losses(self.model, self.held_out[i : i + size]) for i in range(0, len(self.held_out), size)]
        return float(torch.cat(parts).double().mean())

    def _copy(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.trained.items()}

    def take_best(self) -> None:
        """Put the weights with the lowest held-out loss into the model."""
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(self.best_weights[name])
        self.model.eval()

    # -- saved state ------------------------------------------------------------------------------------------------

    def described(self) -> dict[str, Any]:
        """Everything that the run depends on."""
        encoder = self.model.encoder
        digest = hashlib.sha256()
        for x, y, z, p in (*self.training, *self.held_out):
            # the tokens identify the tokenizer; texts count too, since their order decides which of a pair is first
            digest.update(repr((x, y, z, p, encoder.token_ids(x, y, z))).encode())
        about = {
            "model": self.model.kind,
            **self.model.settings,
            **encoder.settings,
            **asdict(self.settings),
            "configuration": encoder.config.to_json_string(),
            "trained": list(self.trained),
            "comparisons": digest.hexdigest(),
            "weights": checksum(self.model.state_dict().items()),
        }
        return dict(json.loads(json.dumps(about)))

    def state(self) -> tuple[Groups, dict[str, Any]]:
        """Current and best weights, the optimiser, and the course of the evaluations."""
        now = {name: p.detach() for name, p in self.trained.items()}
        groups: Groups = {"now": now, "best": self.best_weights}
        seconds = self._before + time.perf_counter() - self._started
        facts = {"best": None if math.isinf(self.best) else self.best, "best_step": self.best_step,
                 "waited": self.waited, "losses": self.losses, "seconds": seconds}  # fmt: skip
        return groups | optimiser_tensors(self.optimiser, list(self.trained)), facts

    def take_up(self, step: int, groups: Groups, facts: Mapping[str, Any]) -> None:
        """Resume from there."""
        for name, p in self.trained.items():
            # a copy, because the rounding of sums depends on the memory alignment
            p.data = groups["now"][name].to(p.device, copy=True)
        self.best_weights = {name: value.to(self.trained[name]) for name, value in groups["best"].items()}
        restore_optimiser(self.optimiser, self.trained, groups)
        self.step = step
        self.best = math.inf if facts["best"] is None else facts["best"]
        self.best_step, self.waited, self.losses = facts["best_step"], facts["waited"], list(facts["losses"])
        self._before, self._started = facts["seconds"], time.perf_counter()


def _losses(model: PreferenceModel, batch: Sequence[Comparison]) -> Tensor:
    """−p log p̂ − (1 − p) log(1 − p̂) of each comparison, [B]."""
    prompts, left, right, p = map(list, zip(*batch, strict=True))
    z = model.logit(prompts, left, right)
    z = z if z.dtype == torch.float64 else z.float()
    return functional.softplus(z) - torch.tensor(p, dtype=z.dtype, device=z.device) * z


def calibrate(model: PreferenceModel, comparisons: Sequence[Comparison], *, batch_size: int = 32) -> float:
    """Set and return the temperature T that minimises the log loss of σ(z/T) on held-out comparisons.

    It changes neither the order of answers nor the accuracy.
    """
    check_labels(comparisons, "comparisons")
    model.temperature.fill_(1.0)
    prompts, left, right, p = map(list, zip(*comparisons, strict=True))
    with evaluating(model):
        z = model.logits_of_many(prompts, left, right, batch_size)
    model.temperature.fill_(1.0 / fit_scale(z, p))
    return float(model.temperature)

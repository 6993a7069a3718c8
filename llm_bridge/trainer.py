"""One loop for every method: collect, score, descend; logged, checkpointed, resumable, and the same on two processes.

    samples = source.collect(turn)                               who plays, what they say, who is preferred
    loss = unit · surrogate(objective, log π(samples), τ)        nashlab's objective, in units of preference
    θ ← optimiser(θ, ∇loss)

Everything random is a function of (seed, step, place in the batch), so nothing of it has to be saved, and a batch may
be cut into micro-batches or shared out over processes without changing what is learned from.

An optimiser for games: momentum turns the rotation of a game into an outward spiral (N5), and Adam at a constant step
orbits (N7); so the default is AdamW with β₁ = 0 and a step size that falls to zero.

Several processes, started by ``accelerate launch`` or ``torchrun``, share out the prompts of a step; with
``accelerate launch --use_fsdp --fsdp_version 2 ...`` also gradients, the optimiser's state and the weights that are
trained, see :mod:`llm_bridge.sharding`.
"""

from __future__ import annotations

import atexit
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from llm_bridge.checkpoint import Checkpoint, checksum, discard, latest, save
from llm_bridge.objective import Bridged, Samples, bridged, surrogate
from llm_bridge.policy import NotFinite, Policy, Reference, check_reference, reference_of, seeded
from llm_bridge.rollout import Players, Source, Tally, Turn, Weights, described
from llm_bridge.sharding import Layout, Shards, like, unsynchronised, whole
from nashlab.files import plain, replacing
from nashlab.game import BadInput, check_temperature, suggestion

__all__ = ["OPTIMISERS", "SCHEDULES", "Diverged", "Settings", "Trainer", "rate", "train"]

Record = dict[str, Any]

OPTIMISERS: dict[str, Callable[[list[nn.Parameter], Settings], torch.optim.Optimizer]] = {
    "sgd": lambda weights, s: torch.optim.SGD(
        weights, lr=s.learning_rate, momentum=s.beta1, weight_decay=s.weight_decay
    ),
    "adamw": lambda weights, s: torch.optim.AdamW(
        weights, lr=s.learning_rate, betas=(s.beta1, s.beta2), weight_decay=s.weight_decay
    ),
    "adafactor": lambda weights, s: torch.optim.Adafactor(
        weights, lr=s.learning_rate, beta2_decay=-0.8, weight_decay=s.weight_decay
    ),
}
"""SGD (β₁ is its momentum), AdamW, and Adafactor with decay .8 and steps relative to a weight's size."""

SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": lambda step, steps: 1.0,
    "linear": lambda step, steps: 1 - step / steps,
    "cosine": lambda step, steps: 0.5 * (1 + math.cos(math.pi * step / steps)),
    "inverse-root": lambda step, steps: (1 + step) ** -0.5,
    "harmonic": lambda step, steps: 1 / (1 + 0.5 * step),
}
"""The step size of a step counted from 0, over the first one."""


class Diverged(FloatingPointError):
    """Numbers are no longer finite; the last state that gave finite ones is on disk, if the run has a folder.

    weights_are_sound  whether the weights gave finite probabilities, and only the step away from them was no number.
    """

    def __init__(self, message: str, weights_are_sound: bool = False) -> None:
        super().__init__(message)
        self.weights_are_sound = weights_are_sound


@dataclass(frozen=True)
class Settings:
    """How a policy is trained.

    steps, batch     batch: prompts (or comparisons, examples) a step, all processes together.
    micro_batch      prompts in one forward and backward pass; 0: the whole share.  The result does not depend on it.
    tau, beta        temperature τ of the game; β of the mixture, or the rate of an EMA.
    step_size, refresh   INPO: η of the mirror-descent step that is regressed on, and steps between two of them.
    learning_rate    multiplies the gradient in units of preference: for online IPO that is τ/4 of the loss's own (L1).
    optimiser, beta1, beta2, weight_decay   see OPTIMISERS.
    schedule, warmup see SCHEDULES; the warm-up is linear, in steps.
    max_grad_norm    gradients are clipped to this norm; inf: never.
    precision        "no" or "bf16": what forward passes compute in; weights that are trained are float32 or float64.
    measure_every, checkpoint_every   in steps; 0: at the end alone (measuring: at the start as well).
    """

    steps: int
    batch: int = 8
    micro_batch: int = 0
    tau: float = 0.1
    beta: float = 0.125
    step_size: float = 1.0
    refresh: int = 20
    learning_rate: float = 1e-4
    optimiser: str = "adamw"
    beta1: float = 0.0
    beta2: float = 0.99
    weight_decay: float = 0.0
    schedule: str = "linear"
    warmup: int = 0
    max_grad_norm: float = 1.0
    precision: str = "no"
    measure_every: int = 0
    checkpoint_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES), ("precision", ("no", "bf16"))):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise BadInput(f"{name} = {value!r}, must be one of {', '.join(known)}{suggestion(str(value), known)}")
        for name, least in (("steps", 1), ("batch", 1), ("refresh", 1), ("micro_batch", 0), ("warmup", 0),
                            ("measure_every", 0), ("checkpoint_every", 0), ("seed", 0)):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise BadInput(f"{name} = {value!r}, must be an integer of at least {least}")
        if self.seed >= 2**32:
            raise BadInput(f"seed = {self.seed}, must be below 2**32")
        check_temperature(self.tau, name="tau")
        for name, allowed, rule in (
            ("learning_rate", lambda v: 0 < v < math.inf, "positive and finite"),
            ("weight_decay", lambda v: 0 <= v < math.inf, "finite and at least 0"),
            ("max_grad_norm", lambda v: v > 0, "positive"),
            ("step_size", lambda v: v > 0, "positive"),
            ("beta", lambda v: 0 <= v <= 1, "between 0 and 1"),
            ("beta1", lambda v: 0 <= v < 1, "at least 0 and below 1"),
            ("beta2", lambda v: 0 <= v < 1, "at least 0 and below 1"),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not allowed(value):
                raise BadInput(f"{name} = {value!r}, must be {rule}")
        if self.optimiser == "adafactor" and self.beta1:
            raise BadInput(f"beta1 = {self.beta1}, must be 0 for adafactor, which has no momentum")

    def check_method(self, method: Bridged) -> None:
        """Refuse numbers that this method has no meaning for."""
        if self.tau == 0 and method.objective.unit(1.0) != 1.0:
            raise BadInput(f"tau = 0, must be positive for {method.spec.name}")
        if method.form == "regression" and self.step_size * self.tau > 1:
            raise BadInput(f"step_size · tau = {self.step_size * self.tau:g}, must be at most 1 for {method.spec.name}")


def rate(settings: Settings, step: int) -> float:
    """The learning rate of a step counted from 0: a linear warm-up, then the schedule over what is left."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    left = max(1, settings.steps - settings.warmup)
    return settings.learning_rate * SCHEDULES[settings.schedule](step - settings.warmup, left)


def train(
    policy: Policy,
    method: Bridged | str,
    source: Source,
    settings: Settings,
    *,
    reference: Reference | None = None,
    behaviour: Policy | Reference | None = None,
    folder: Path | None = None,
    measure: Callable[[Players], Mapping[str, float]] | None = None,
    progress: Callable[[Record], None] = lambda record: None,
) -> list[Record]:
    """Train the policy in place; the records of all steps come back.

    method     by name or alias, or :func:`llm_bridge.objective.bridged`;  source  what it learns from: completions that
               it writes and a judge compares (:class:`llm_bridge.rollout.Generated`), or what was given beforehand.
    reference  μ (default: :func:`reference_of` the policy as it is);  behaviour  μ_b (default μ).
    folder     of checkpoints, metrics.jsonl and TensorBoard events; a run that was killed goes on from there and ends
               with bitwise the same weights (on CPU).
    measure    what else is recorded every ``measure_every`` steps, before the first and after the last.

    Raises :class:`BadInput` for what cannot be trained, :class:`Diverged` where numbers are no longer finite (the last
    state that gave finite ones is kept), KeyboardInterrupt after Ctrl-C, once the step is complete and saved.

    >>> from llm_bridge.rollout import Generated, Prompts
    >>> from llm_bridge.verify import tiny
    >>> from llm_bridge.judges import OneOrder
    >>> shorter = OneOrder(lambda x, y, z: [0.5 + 0.5 * np.sign(len(b) - len(a)) for a, b in zip(y, z)])
    >>> game = Generated(Prompts(["1"], [[1]]), shorter, max_new_tokens=3)
    >>> len(train(tiny("gpt2"), "online-ipo", game, Settings(steps=2, batch=2)))
    2
    """
    trainer = Trainer(policy, method, source, settings, reference, behaviour, folder, measure)
    trainer.resume()
    return trainer.go(progress)


class Trainer:
    """A run in progress: players, optimiser, number of steps done, records."""

    def __init__(
        self,
        policy: Policy,
        method: Bridged | str,
        source: Source,
        settings: Settings,
        reference: Reference | None = None,
        behaviour: Policy | Reference | None = None,
        folder: Path | None = None,
        measure: Callable[[Players], Mapping[str, float]] | None = None,
    ) -> None:
        from accelerate import Accelerator

        if len(source) == 0:
            raise BadInput("source is empty, must hold prompts")
        method = bridged(method) if isinstance(method, str) else method
        settings.check_method(method)
        self.method, self.source, self.settings = method, source, settings
        self.folder, self._measure = None if folder is None else Path(folder), measure
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"folder = {str(folder)!r} is a file, must be a folder or not there yet")
        layout = Layout.asked_for()
        self.accelerator = Accelerator(mixed_precision="no", cpu=policy.device.type == "cpu")
        if self.accelerator.num_processes > 1:
            atexit.register(_leave_group)
        if settings.batch % self.accelerator.num_processes:
            raise BadInput(
                f"batch = {settings.batch}, must be a multiple of the {self.accelerator.num_processes} processes"
            )
        policy.model.to(self.accelerator.device)
        reference = reference or reference_of(policy)
        check_reference(policy, reference)
        self.players = Players(policy, reference, behaviour or reference)
        self.weights = {name: p for name, p in policy.model.named_parameters() if p.requires_grad}
        _check_precision(self.weights)
        self.shards: Shards | None = None
        self.scorer: nn.Module
        self.optimiser: torch.optim.Optimizer
        if layout is not None and self.accelerator.num_processes > 1:
            self._shard(layout)
        else:
            self._trained = list(self.weights.values())
            optimiser = OPTIMISERS[settings.optimiser](self._trained, settings)
            self.scorer, self.optimiser = self.accelerator.prepare(_Scorer(policy, source), optimiser)
        for side in {method.left, method.right} & {"average", "previous"}:
            self.players.remembered[side] = Weights(policy)
        self.step = 0
        self.records: list[Record] = []

    def _shard(self, layout: Layout) -> None:
        """Train a copy of the policy that is shared out over the processes."""
        if self.settings.optimiser == "adafactor":
            raise BadInput("optimiser = 'adafactor', must be 'adamw' or 'sgd' under FSDP: torch's needs whole weights")
        self.shards = Shards(self.players.policy, layout)
        scorer = _Scorer(self.shards.policy, self.source, prompts_apart=True)
        self.scorer = self.shards.wrapped(scorer, self.accelerator.device, self.accelerator.num_processes)
        self._trained = self.shards.weights
        self.optimiser = OPTIMISERS[self.settings.optimiser](self._trained, self.settings)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def go(self, progress: Callable[[Record], None] = lambda record: None) -> list[Record]:
        """Step until the end."""
        every = self.settings.checkpoint_every
        with self._log() as write, _deferred_interrupt() as interrupted:
            if self.step == 0 and self._measure is not None:
                write({"step": 0, **self._measured()})
            while self.step < self.settings.steps:
                started = time.perf_counter()
                try:
                    record = self._one_step()
                except Diverged as error:
                    self._keep_what_is_sound(error)
                    raise
                record |= {"step": self.step, "seconds": time.perf_counter() - started}
                if self._measure is not None and self._due(self.settings.measure_every):
                    record |= self._measured()
                write(record)
                progress(record)
                stopping = self._anywhere(interrupted())
                if self._due(every) or stopping:
                    self._check_weights()
                    self.save()
                if stopping:
                    raise KeyboardInterrupt
        return self.records

    def _keep_what_is_sound(self, error: Diverged) -> None:
        """The weights as they are, if they still give numbers; otherwise a checkpoint of them must go."""
        if error.weights_are_sound:
            try:
                self.save()
            except OSError as failure:
                error.add_note(f"the state before that step could not be written ({failure})")
        elif self.folder is not None and self.accelerator.is_main_process:
            discard(self.folder / "checkpoints", self.step)

    def _one_step(self) -> Record:
        """One step of the method; its record."""
        remembered, settings = self.players.remembered, self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = rate(settings, self.step)
        if "previous" in remembered and self.step % settings.refresh == 0:
            remembered["previous"] = Weights(self.players.policy)
        with seeded(settings.seed * 1_000_003 + self.step):  # dropout of this step
            if self.method.form == "extrapolation":
                remembered["ahead"] = self._ahead()
            record = self._update("now")
        if "average" in remembered:
            remembered["average"].follow(settings.beta)
        self.step += 1
        return {**record, "learning_rate": rate(settings, self.step - 1)}

    def _ahead(self) -> Weights:
        """The weights one step ahead of here, where weights and optimiser then are as they were, bit for bit."""
        policy = self.players.policy
        here, state = Weights(policy), _cloned(self.optimiser.state_dict())
        self.players.remembered["ahead"] = Weights(policy)  # the first half-step plays against the policy itself
        self._update("ahead")
        ahead = Weights(policy)
        here.restore()
        if self.shards is not None:
            self.shards.scatter()
        self.optimiser.load_state_dict(state)
        return ahead

    def _update(self, phase: str) -> Record:
        """Collect, score, descend."""
        started = time.perf_counter()
        turn = self._turn(phase)
        trouble: NotFinite | None = None
        with torch.no_grad(), self._computing():
            try:
                samples, tally = self.source.collect(turn)
            except NotFinite as error:
                trouble = error
        # where the step is taken from has played once already where another point is the opponent
        sound = phase == "now" and self.method.form == "extrapolation"
        if self._anywhere(trouble is not None):
            raise self._diverged(str(trouble or "another process has no finite numbers"), sound)
        collected = time.perf_counter()
        self.optimiser.zero_grad(set_to_none=True)
        unit = self.method.objective.unit(turn.temperature)
        parts = list(_parts(samples, self.settings.micro_batch))
        loss, scored = 0.0, True
        for i, part in enumerate(parts):
            with self._waiting() if i + 1 < len(parts) else nullcontext():
                with self._computing():
                    log_prob = self.scorer(part)
                try:
                    value = unit * surrogate(self.method.objective, log_prob, part, turn.temperature)
                except NotFinite:  # the backward pass is still what other processes wait for
                    scored, value = False, log_prob.sum() * torch.nan
                # processes average their gradients, and these are shares of one sum
                self.accelerator.backward(value * self.accelerator.num_processes)
            loss += float(value.detach())
            _add(tally, self._divergence(log_prob.detach(), part))
        norm = float(whole(self.accelerator.clip_grad_norm_(self._trained, self.settings.max_grad_norm)))
        if self._anywhere(not (math.isfinite(loss) and math.isfinite(norm))):
            sound |= not self._anywhere(not scored)
            raise self._diverged(f"the loss is {loss} and its gradient's norm {norm}, must be finite", sound)
        self.optimiser.step()
        if self.shards is not None:
            self.shards.gather()
        means = self._over_processes(tally | {"loss": (loss * self.accelerator.num_processes, 1.0)})
        spent = {"collect_seconds": collected - started, "update_seconds": time.perf_counter() - collected}
        return {**means, "grad_norm": norm, **spent}

    def _diverged(self, what: str, weights_are_sound: bool) -> Diverged:
        advice = f"lower learning_rate = {self.settings.learning_rate:g}"
        return Diverged(f"step {self.step + 1}: {what}; {advice}", weights_are_sound)

    def _check_weights(self) -> None:
        """No weight that is not a number is kept, or given back."""
        if self._anywhere(not all(bool(torch.isfinite(w).all()) for w in self.weights.values())):
            raise self._diverged("weights are no longer numbers", False)

    def _computing(self) -> AbstractContextManager[None]:
        """Forward passes in the chosen precision.  Accelerate has one precision for the life of a process."""
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, self.settings.precision == "bf16")

    def _waiting(self) -> AbstractContextManager[None]:
        """Gradients stay with their process inside the block."""
        return self.accelerator.no_sync(self.scorer) if self.shards is None else unsynchronised(self.scorer)

    def _anywhere(self, here: bool) -> bool:
        """Whether it is so in some process: all of them must stop after the same step."""
        if self.accelerator.num_processes == 1:
            return here
        return bool(self.accelerator.reduce(torch.tensor(float(here), device=self.accelerator.device), "sum") > 0)

    def _turn(self, phase: str) -> Turn:
        """This process's share of the step's prompts, and of its random numbers."""
        batch, share = self.settings.batch, self.settings.batch // self.accelerator.num_processes
        first = self.accelerator.process_index * share
        rng = np.random.default_rng([self.settings.seed, self.step, ("ahead", "now").index(phase)])

        def uniforms(columns: int) -> Tensor:
            return torch.from_numpy(rng.random((batch, columns))[first : first + share])

        rows = _items(self.settings.seed, self.step * batch, batch, len(self.source))[first : first + share]
        s = self.settings
        return Turn(self.method, self.players, rows, batch, uniforms, s.tau, s.beta, s.step_size)

    def _divergence(self, log_prob: Tensor, samples: Samples) -> Tally:
        """Σ (log π − log μ) of completions that the policy itself has drawn: KL(π‖μ) without bias."""
        if self.method.left != "policy" or self.method.form == "regression":
            return {}
        weighted = torch.zeros_like(log_prob).index_add(0, samples.left, samples.weight.to(log_prob))
        if self.method.right == "policy":
            weighted = weighted.index_add(0, samples.right, samples.weight.to(log_prob))
        h, total = log_prob - samples.log_anchor.to(log_prob), float(weighted.sum())
        tokens = samples.completion.mask.sum(dim=1).to(weighted)
        kl = float((weighted * h).sum())
        return {"kl": (kl, total), "kl_per_token": (kl, float((weighted * tokens).sum()))}

    def _over_processes(self, tally: Tally) -> dict[str, float]:
        names = sorted(tally)
        sums = torch.tensor([tally[name] for name in names], dtype=torch.float64, device=self.accelerator.device)
        sums = self.accelerator.reduce(sums, "sum")
        return {name: float(a / b) for name, (a, b) in zip(names, sums.tolist(), strict=True)}

    def _measured(self) -> dict[str, float]:
        assert self._measure is not None
        with torch.no_grad(), self._computing():
            return dict(self._measure(self.players))

    def _due(self, every: int) -> bool:
        return self.step == self.settings.steps or (every > 0 and self.step % every == 0)

    # -- what is on disk ---------------------------------------------------------------------------------------------

    def save(self) -> None:
        """A checkpoint of weights, optimiser, remembered weights, and what run they belong to."""
        if self.folder is None:
            return
        first = self.accelerator.is_main_process
        tensors = {f"weight:{name}": p.data for name, p in self.weights.items()}
        for kind, weights in self.players.remembered.items():
            tensors |= {f"{kind}:{name}": v for name, v in zip(self.weights, weights.values, strict=True)}
        state = self.optimiser.state_dict()["state"]
        for name, index in zip(self.weights, range(len(self.weights)), strict=True):
            for key, value in state.get(index, {}).items():
                if value is not None:
                    together = whole(torch.as_tensor(value))  # every process takes part, the first one keeps it
                    if first:
                        tensors[f"optimiser.{key}:{name}"] = together.cpu()
        if first:
            save(self.folder / "checkpoints", self._checkpoint(tensors))

    def _checkpoint(self, tensors: dict[str, Tensor]) -> Checkpoint:
        """With the records of its steps, which cannot be measured again."""
        return Checkpoint(self.step, tensors, {"run": self._identity, "records": plain(self.records)})

    def resume(self) -> None:
        """Take up the last undamaged checkpoint of the folder, if there is one."""
        found = latest(self.folder / "checkpoints") if self.folder is not None else None
        if found is None:
            return
        if (other := _difference(found.facts["run"], self._identity)) is not None:
            raise BadInput(f"{self.folder} belongs to another run: {other}")
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in found.tensors.items():
            kind, _, name = key.partition(":")
            groups.setdefault(kind, {})[name] = value
        with torch.no_grad():
            for name, p in self.weights.items():
                p.copy_(groups["weight"][name])
        if self.shards is not None:
            self.shards.scatter()
        for kind in set(groups) & {"average", "previous", "ahead"}:
            weights = self.players.remembered.setdefault(kind, Weights(self.players.policy))
            for value, name in zip(weights.values, self.weights, strict=True):
                value.copy_(groups[kind][name])
        state = self.optimiser.state_dict()
        for kind, values in groups.items():
            if kind.startswith("optimiser."):
                for i, (name, p) in enumerate(zip(self.weights, self._trained, strict=True)):
                    if name in values:
                        state["state"].setdefault(i, {})[kind.removeprefix("optimiser.")] = like(p, values[name])
        self.optimiser.load_state_dict(state)
        self.step, self.records = found.step, found.facts["records"]

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in with the run that takes it up."""
        free = ("measure_every", "checkpoint_every", "micro_batch")
        settings = {k: v for k, v in asdict(self.settings).items() if k not in free}
        shapes = {name: list(p.shape) for name, p in self.weights.items()}
        about = {
            "method": self.method.spec.name,
            **settings,
            "source": described(self.source),
            "policy": shapes,
            "reference": self._fixed_weights,
        }
        return dict(json.loads(json.dumps(about)))

    @cached_property
    def _fixed_weights(self) -> str:
        """A checksum of all that stays as it is while the policy is trained."""
        found: dict[int, tuple[str, Tensor]] = {}  # by where it lies: players may share weights
        for player in (self.players.reference, self.players.behaviour):
            policy = player.policy if isinstance(player, Reference) else player
            for name, tensor in policy.model.state_dict().items():
                if policy is not self.players.policy or name not in self.weights:
                    found.setdefault(tensor.data_ptr(), (name, tensor))
        return checksum(found.values())

    @contextmanager
    def _log(self) -> Iterator[Callable[[Record], None]]:
        """A function that keeps a record: in memory, in metrics.jsonl, and as TensorBoard events."""
        if self.folder is None or not self.accelerator.is_main_process:
            yield self.records.append
            return
        from torch.utils.tensorboard import SummaryWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.jsonl"
        with replacing(path) as part:  # steps after the checkpoint are done again
            part.write_text("".join(json.dumps(r) + "\n" for r in self.records), encoding="utf-8")
        board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.step + 1)
        with path.open("a", encoding="utf-8") as file:

            def write(record: Record) -> None:
                self.records.append(record)
                file.write(json.dumps(plain(record)) + "\n")
                file.flush()
                for name, value in record.items():
                    if name != "step":
                        board.add_scalar(name, value, record["step"])

            try:
                yield write
            finally:
                board.close()


class _Scorer(nn.Module):
    """log π of samples as the forward pass of a module, which is what gradient synchronisation hooks on to."""

    def __init__(self, policy: Policy, source: Source, *, prompts_apart: bool = False) -> None:
        super().__init__()
        self.model = policy.model
        self._policy, self._source, self._apart = policy, source, prompts_apart

    def forward(self, samples: Samples) -> Tensor:
        if self._apart:  # a prompt beside each completion: one call of every layer, whatever the lengths
            each = torch.arange(len(samples.completion.ids), device=samples.prompt.ids.device)
            each = each // (len(each) // len(samples.prompt.ids))
            samples = samples._replace(prompt=samples.prompt.rows(each))
            return self._source.log_prob(self._policy, samples).clone()  # FSDP's hooks are lost on views
        return self._source.log_prob(self._policy, samples)


def _items(seed: int, first: int, count: int, size: int) -> list[int]:
    """``count`` items from place ``first`` on of an endless row of permutations of 0 ... size − 1."""
    found: list[int] = []
    while len(found) < count:
        epoch, place = divmod(first + len(found), size)
        order = np.random.default_rng([seed, epoch, size]).permutation(size)
        found += order[place : place + count - len(found)].tolist()
    return found


def _parts(samples: Samples, prompts: int) -> Iterator[Samples]:
    """The samples of ``prompts`` prompts at a time, with rows counted anew; 0: all at once."""
    total = len(samples.prompt.ids)
    if not 0 < prompts < total:
        yield samples
        return
    k = len(samples.completion.ids) // total
    for start in range(0, total, prompts):
        chosen = slice(start, start + prompts)
        first, end = start * k, min(start + prompts, total) * k
        pairs = (samples.left >= first) & (samples.left < end)
        yield Samples(
            samples.prompt.rows(chosen),
            samples.completion.rows(slice(first, end)),
            samples.log_anchor[first:end],
            samples.left[pairs] - first,
            samples.right[pairs] - first,
            samples.p[pairs],
            samples.weight[pairs],
        )


def _add(tally: Tally, more: Tally) -> None:
    for name, (value, count) in more.items():
        a, b = tally.get(name, (0.0, 0.0))
        tally[name] = (a + value, b + count)


def _cloned(state: Any) -> Any:
    """An optimiser's state whose tensors nobody else changes."""
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: _cloned(value) for key, value in state.items()}
    return [_cloned(value) for value in state] if isinstance(state, list) else state


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """The first thing that two runs differ in, in words."""
    for name in [*ours, *(theirs.keys() - ours.keys())]:
        there, here = theirs.get(name), ours.get(name)
        if there != here:
            both = f"{name} = {there!r} there, {here!r} here"
            return both if len(both) < 120 else f"its {name} is another"
    return None


def _check_precision(weights: Mapping[str, nn.Parameter]) -> None:
    """A step that is less than a 512th of a bfloat16 is rounded away, and most steps are."""
    for name, weight in weights.items():
        if weight.dtype in (torch.bfloat16, torch.float16):
            raise BadInput(
                f"policy: {name} is to be trained and is {weight.dtype}, must be float32 or float64 "
                "(precision = 'bf16' computes in bfloat16 all the same)"
            )


def _leave_group() -> None:
    """Before the interpreter ends: threads of a process group that is still there then abort the process, at times."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """A first Ctrl-C waits for the end of the step; a second one does not; SIGTERM always waits.  Only the main thread
    is asked."""
    pressed = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed and number == signal.SIGINT:
            raise KeyboardInterrupt
        pressed = True

    try:
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        for number, its in before.items():
            signal.signal(number, its)

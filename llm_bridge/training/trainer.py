"""One loop for every method: collect, score, descend; logged, checkpointed, resumable, equal on two processes.

    samples = source.collect(turn)                               the players, their completions, the preferences
    loss = unit · surrogate(objective, log π(samples), τ)        nashlab's objective, in units of preference
    θ ← optimiser(θ, ∇loss)

All randomness is a function of (seed, step, place in the batch), so none of it needs saving, and a batch may be split
into micro-batches or over processes without changing the samples.

Optimisers in games: momentum turns the rotation of a game into an outward spiral (N5), and Adam at a constant step
orbits (N7); so the default is AdamW with β₁ = 0 and a step size that decreases to zero.

Several processes, started by ``accelerate launch`` or ``torchrun``, split the prompts of a step; with ``accelerate
launch --use_fsdp --fsdp_version 2 ...`` also gradients, the optimiser's state and the trained weights, see
:mod:`llm_bridge.training.sharding`.
"""

from __future__ import annotations

import atexit
import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from llm_bridge.judges import JudgeFailed
from llm_bridge.policy import NotFinite, Policy, Reference, check_reference, reference_of, seeded
from llm_bridge.training.checkpoint import checksum
from llm_bridge.training.forms import NOW, Term
from llm_bridge.training.methods import Bridged, bridged
from llm_bridge.training.objective import Samples, surrogate
from llm_bridge.training.players import Players, Weights
from llm_bridge.training.run import Diverged, Groups, Record, Run, Stopped, optimiser_tensors, restore_optimiser
from llm_bridge.training.settings import OPTIMISERS, Settings, rate
from llm_bridge.training.sharding import Layout, Shards, unsynchronised, whole
from llm_bridge.training.sources import Source, Tally, Turn, described
from llm_bridge.training.threads import few_threads
from llm_bridge.training.trackers import Tracker
from nashlab.game import BadInput

__all__ = ["Trainer", "train"]


def train(
    policy: Policy,
    method: Bridged | str,
    source: Source,
    settings: Settings,
    *,
    reference: Reference | None = None,
    behaviour: Policy | Reference | None = None,
    folder: str | Path | None = None,
    measure: Callable[[Players], Mapping[str, float]] | None = None,
    progress: Callable[[Record], None] = lambda record: None,
    trackers: Sequence[Tracker] = ("tensorboard",),
) -> list[Record]:
    """Train the policy in place; returns the records of all steps.

    method     by name or alias, or :func:`llm_bridge.training.bridged`;  source  the training data: sampled completions
               compared by a judge (:class:`llm_bridge.training.Generated`), or data given in advance.
    reference  μ (default: the policy as it is now, loaded adapters included, see :func:`reference_of`);
    behaviour  μ_b (default μ).
    folder     of checkpoints, metrics.jsonl and TensorBoard events; a killed run resumes from there and ends with
               bitwise the same weights (on CPU).  With more ``steps`` a finished run continues too; a schedule that
               depends on the end is then that of the longer run.
    measure    further values to record every ``measure_every`` steps, before the first and after the last.
    trackers   further destinations of records: names of Accelerate's ("wandb", "trackio", ...), or your own trackers.

    Raises :class:`BadInput` for anything that cannot be trained, :class:`Diverged` if numbers are no longer finite (the
    last state that gave finite ones is saved), :class:`Stopped` if the judge fails (the previous steps are saved), and
    KeyboardInterrupt after Ctrl-C, once the step is complete and saved.

    >>> from llm_bridge.judges import OneOrder
    >>> from llm_bridge.policy import Prompts
    >>> from llm_bridge.training import Generated
    >>> from llm_bridge.verify import tiny
    >>> shorter = OneOrder(lambda x, y, z: [0.5 + 0.5 * np.sign(len(b) - len(a)) for a, b in zip(y, z)])
    >>> game = Generated(Prompts(["1"], [[1]]), shorter, max_new_tokens=3)
    >>> len(train(tiny("gpt2"), "online-ipo", game, Settings(steps=2, batch=2)))
    2
    """
    trainer = Trainer(policy, method, source, settings, reference, behaviour, folder, measure, trackers)
    trainer.run.resume()
    with few_threads(policy):
        return trainer.run.go(progress)


class Trainer:
    """The work of :func:`train`: players, optimiser, number of steps done; ``run`` advances and saves it."""

    extensible = ("steps",)

    def __init__(
        self,
        policy: Policy,
        method: Bridged | str,
        source: Source,
        settings: Settings,
        reference: Reference | None = None,
        behaviour: Policy | Reference | None = None,
        folder: str | Path | None = None,
        measure: Callable[[Players], Mapping[str, float]] | None = None,
        trackers: Sequence[Tracker] = ("tensorboard",),
    ) -> None:
        from accelerate import Accelerator

        if len(source) == 0:
            raise BadInput("source is empty, must hold prompts")
        method = bridged(method) if isinstance(method, str) else method
        settings.check_method(method)
        self.method, self.source, self.settings = method, source, settings
        self._measure = measure
        layout = Layout.asked_for()
        self.accelerator = Accelerator(mixed_precision="no", cpu=policy.device.type == "cpu")
        if self.accelerator.num_processes > 1:
            atexit.register(_leave_group)
        if settings.batch % self.accelerator.num_processes:
            raise BadInput(
                f"batch = {settings.batch}, must be a multiple of the {self.accelerator.num_processes} processes"
            )
        source.check(policy)
        if policy.device != self.accelerator.device:
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
            self.scorer = _Scorer(policy, source)
            self.optimiser = OPTIMISERS[settings.optimiser](self._trained, settings)
            if self.accelerator.num_processes > 1:
                self.scorer, self.optimiser = self.accelerator.prepare(self.scorer, self.optimiser)
        for moment in method.moments:
            self.players.remember(moment)
        self.step = 0
        self.run = Run(self, folder, first=self.accelerator.is_main_process, anywhere=self._anywhere, trackers=trackers)
        self._undone = False  # whether this step has already been tried from these weights with finite results
        self._early: Tensor | None = None  # log π of the completions that a judge still reads

    def _shard(self, layout: Layout) -> None:
        """Train a copy of the policy that is sharded over the processes."""
        if self.settings.optimiser == "adafactor":
            raise BadInput("optimiser = 'adafactor', must be 'adamw' or 'sgd' under FSDP: torch's needs whole weights")
        self.shards = Shards(self.players.policy, layout)
        scorer = _Scorer(self.shards.policy, self.source, prompts_apart=True)
        self.scorer = self.shards.wrapped(scorer, self.accelerator.device, self.accelerator.num_processes)
        self._trained = self.shards.weights
        self.optimiser = OPTIMISERS[self.settings.optimiser](self._trained, self.settings)

    # -- one step ----------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.settings.steps

    def opening(self, last: Record | None) -> Record | None:
        """The measurement before the first step, or the one that failed after the last."""
        known = {name: value for name, value in (last or {"step": 0}).items() if name != "measured"}
        return last if self._measure is None else known | self._measured(last)

    def advance(self) -> Record:
        """One step of the method, and the measurement after it."""
        started = time.perf_counter()
        record = self._one_step() | {"step": self.step, "seconds": time.perf_counter() - started}
        if self._measure is not None and self._due(self.settings.measure_every):
            record |= self._measured(record | {"measured": False})
        return record

    def _one_step(self) -> Record:
        """One step of the method; returns its record."""
        settings, self._undone = self.settings, False
        for group in self.optimiser.param_groups:
            group["lr"] = rate(settings, self.step)
        with seeded(settings.seed * 1_000_003 + self.step):  # dropout of this step
            record = self.method.form.step(self)
        self.players.stepped(settings.beta)
        self.step += 1
        return {**record, "learning_rate": rate(settings, self.step - 1)}

    @property
    def refresh(self) -> int:
        """See :class:`llm_bridge.training.forms.Steps`."""
        return self.settings.refresh

    @contextmanager
    def undone(self) -> Iterator[None]:
        """After the block, weights and optimiser are restored bit for bit."""
        here, state = Weights(self.players.policy), copy.deepcopy(self.optimiser.state_dict())
        try:
            yield
        finally:  # also if a judge has failed
            here.restore()
            if self.shards is not None:
                self.shards.scatter()
            self.optimiser.load_state_dict(state)
        self._undone = True

    def update(self, stream: int = NOW) -> Record:
        """Collect, score, descend."""
        started = time.perf_counter()
        parts, tally = self._collected(stream)
        collected = time.perf_counter()
        self.optimiser.zero_grad(set_to_none=True)
        loss, scored = 0.0, True
        for i, (term, part) in enumerate(parts):
            with self._waiting() if i + 1 < len(parts) else nullcontext():
                value, log_prob = self._scored(part)
                if value is None:  # other processes still wait for the backward pass
                    scored, value = False, log_prob.sum() * torch.nan
                # processes average their gradients, but these are parts of one sum
                (value * self.accelerator.num_processes).backward()
            loss += float(value.detach())
            _add(tally, self._divergence(log_prob.detach(), part, term))
            if self.step == 0 and stream == NOW and self.settings.precision != "no":
                _add(tally, self._rounding(log_prob.detach(), part))
        clip = nn.utils.clip_grad_norm_ if self.shards is None else self.accelerator.clip_grad_norm_
        norm = float(whole(clip(self._trained, self.settings.max_grad_norm)))
        if self._anywhere(not (math.isfinite(loss) and math.isfinite(norm))):
            sound = self._undone or not self._anywhere(not scored)
            raise self._diverged(f"the loss is {loss} and its gradient's norm {norm}, must be finite", sound)
        self.optimiser.step()
        if self.shards is not None:
            self.shards.gather()
        means = self._over_processes(tally | {"loss": (loss * self.accelerator.num_processes, 1.0)})
        if "rounding" in means:
            means["rounding"] **= 0.5
        spent = {"collect_seconds": collected - started, "update_seconds": time.perf_counter() - collected}
        return {**means, "grad_norm": norm, **spent}

    def _collected(self, stream: int) -> tuple[list[tuple[Term, Samples]], Tally]:
        """The samples of every term, in micro-batches, and statistics about them."""
        turn, self._early = self._turn(stream), None
        parts: list[tuple[Term, Samples]] = []
        tally: Tally = {}
        trouble: NotFinite | None = None
        failure: JudgeFailed | None = None
        with torch.no_grad(), self._computing():
            try:
                for term in self.method.weighted(self.settings):
                    samples, seen = self.source.collect(turn._replace(left=term.left, right=term.right))
                    weighted = samples._replace(weight=term.weight * samples.weight)
                    parts += [(term, part) for part in _parts(weighted, self.settings.micro_batch)]
                    _add(tally, seen)
            except NotFinite as error:
                trouble = error
            except JudgeFailed as error:
                failure = error
        self._check_judge(failure, f"step {self.step + 1}")
        if self._anywhere(trouble is not None):
            raise self._diverged(str(trouble or "another process has no finite numbers"), self._undone)
        return parts, tally

    def _scored(self, part: Samples) -> tuple[Tensor | None, Tensor]:
        """The scalar to descend on, None if it is NaN, and log π of the completions."""
        method = self.method
        temperature = method.form.temperature(self.settings)
        with self._computing():
            log_prob = self.scorer(part) if self._early is None else self._early
        try:
            scalar = method.objective.unit(temperature) * surrogate(method.objective, log_prob, part, temperature)
        except NotFinite:
            return None, log_prob
        return scalar, log_prob

    def _score_early(self, samples: Samples) -> Tensor | None:
        """log π of the step's completions, which does not need p, if the step is one batch; else None."""
        if len(self.method.terms) == 1 and not 0 < self.settings.micro_batch < len(samples.prompt.ids):
            torch.clear_autocast_cache()  # weights that were cast without gradients
            with torch.enable_grad():
                self._early = self.scorer(samples)
        return self._early

    def _diverged(self, what: str, weights_are_sound: bool, later: int = 1) -> Diverged:
        advice = f"lower learning_rate = {self.settings.learning_rate:g}"
        return Diverged(f"step {self.step + later}: {what}; {advice}", weights_are_sound)

    def check_weights(self) -> None:
        """No NaN weight is saved or returned."""
        if self._anywhere(not all(bool(torch.isfinite(w).all()) for w in self.weights.values())):
            raise self._diverged("weights are NaN", False)

    def _computing(self) -> AbstractContextManager[None]:
        """Forward passes in the chosen precision.  Accelerate has one precision for the life of a process."""
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, self.settings.precision == "bf16")

    def _waiting(self) -> AbstractContextManager[None]:
        """Inside the block, gradients are not reduced over processes."""
        return self.accelerator.no_sync(self.scorer) if self.shards is None else unsynchronised(self.scorer)

    def _anywhere(self, here: bool) -> bool:
        """Whether a condition holds in some process: all of them must stop after the same step."""
        if self.accelerator.num_processes == 1:
            return here
        return bool(self.accelerator.reduce(torch.tensor(float(here), device=self.accelerator.device), "sum") > 0)

    def _turn(self, stream: int) -> Turn:
        """This process's share of the step's prompts, and of its random numbers."""
        batch, share = self.settings.batch, self.settings.batch // self.accelerator.num_processes
        first = self.accelerator.process_index * share
        rng = np.random.default_rng([self.settings.seed, self.step, stream])

        def uniforms(columns: int) -> Tensor:
            return torch.from_numpy(rng.random((batch, columns))[first : first + share])

        rows = _items(self.settings.seed, self.step * batch, batch, len(self.source))[first : first + share]
        s, m = self.settings, self.method
        return Turn(m, self.players, m.left, m.right, rows, batch, uniforms, s.tau, s.beta, s.step_size,
                    self._score_early)  # fmt: skip

    def _divergence(self, log_prob: Tensor, samples: Samples, term: Term) -> Tally:
        """Σ (log π − log μ) over completions drawn by the policy itself: an unbiased estimate of KL(π‖μ)."""
        if term.left != "policy" or term.weight <= 0 or not self.method.form.measures_from_reference:
            return {}
        weighted = torch.zeros_like(log_prob).index_add(0, samples.left, samples.weight.to(log_prob))
        if term.right == "policy":
            weighted = weighted.index_add(0, samples.right, samples.weight.to(log_prob))
        h, total = log_prob - samples.log_anchor.to(log_prob), float(weighted.sum())
        kl, tokens = float((weighted * h).sum()), float((weighted * samples.completion.mask.sum(dim=1)).sum())
        return {"kl": (kl, total), "kl_per_token": (kl, tokens)}

    def _rounding(self, log_prob: Tensor, samples: Samples) -> Tally:
        """Mean square rounding of log π per completion in lower precision, from a second, full-precision pass."""
        with torch.no_grad():
            exact = self.scorer(samples)
        return {"rounding": (float((log_prob - exact).double().square().sum()), float(len(exact)))}

    def _over_processes(self, tally: Tally) -> dict[str, float]:
        names = sorted(tally)
        sums = torch.tensor([tally[name] for name in names], dtype=torch.float64, device=self.accelerator.device)
        sums = self.accelerator.reduce(sums, "sum")
        return {name: a / b if b else math.nan for name, (a, b) in zip(names, sums.tolist(), strict=True)}

    def _measured(self, record: Record | None = None) -> dict[str, float]:
        """The values from ``measure``; if its judge fails, the record of the finished step is still kept."""
        assert self._measure is not None
        found: dict[str, float] = {}
        caught: Exception | None = None
        with torch.no_grad(), self._computing():
            try:
                found = dict(self._measure(self.players))
            except (NotFinite, JudgeFailed) as error:
                caught = error
        if self._anywhere(isinstance(caught, NotFinite)):
            raise self._diverged(f"measuring after it: {caught or 'the same elsewhere'}", False, 0)
        self._check_judge(caught, f"measuring after step {self.step}", record)
        return found

    def _check_judge(self, failure: Exception | None, when: str, record: Record | None = None) -> None:
        """:class:`Stopped`, in every process, if the judge failed in one."""
        if self._anywhere(failure is not None):
            raise Stopped(f"{when}: {failure or 'the judge of another process failed'}", record) from failure

    def _due(self, every: int) -> bool:
        return self.step == self.settings.steps or (every > 0 and self.step % every == 0)

    # -- saved state ------------------------------------------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint is due."""
        return self._due(self.settings.checkpoint_every)

    def state(self) -> tuple[Groups, dict[str, Any]]:
        """Weights, remembered weights, the optimiser."""
        groups: Groups = {"weight": {name: p.data for name, p in self.weights.items()}}
        for moment, weights in self.players.remembered.items():
            groups[moment] = dict(zip(self.weights, weights.values, strict=True))
        return groups | optimiser_tensors(self.optimiser, list(self.weights)), {}

    def take_up(self, step: int, groups: Groups, facts: Mapping[str, Any]) -> None:
        """Resume from there."""
        for name, p in self.weights.items():
            p.copy_(groups["weight"][name])
        if self.shards is not None:
            self.shards.scatter()
        for moment in set(groups).intersection(self.method.moments):
            for value, name in zip(self.players.remembered[moment].values, self.weights, strict=True):
                value.copy_(groups[moment][name])
        restore_optimiser(self.optimiser, dict(zip(self.weights, self._trained, strict=True)), groups)
        self.step = step

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything in which a checkpoint must agree with the run that resumes it."""
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
        """A checksum of everything that stays fixed in training."""
        found: dict[int, tuple[str, Tensor]] = {}  # by memory address, since players may share weights
        for player in (self.players.reference, self.players.behaviour):
            policy = player.policy if isinstance(player, Reference) else player
            for name, tensor in policy.model.state_dict().items():
                if policy is not self.players.policy or name not in self.weights:
                    found.setdefault(tensor.data_ptr(), (name, tensor))
        return checksum(found.values())


class _Scorer(nn.Module):
    """log π of samples as the forward pass of a module, which gradient synchronisation hooks into."""

    def __init__(self, policy: Policy, source: Source, *, prompts_apart: bool = False) -> None:
        super().__init__()
        self.model = policy.model
        self._policy, self._source, self._apart = policy, source, prompts_apart

    def forward(self, samples: Samples) -> Tensor:
        if self._apart:  # one prompt per completion: one call of every layer for all lengths
            each = torch.arange(len(samples.completion.ids), device=samples.prompt.ids.device)
            each = each // (len(each) // len(samples.prompt.ids))
            samples = samples._replace(prompt=samples.prompt.rows(each))
            return self._source.log_prob(self._policy, samples).clone()  # FSDP's hooks are lost on views
        return self._source.log_prob(self._policy, samples)


def _items(seed: int, first: int, count: int, size: int) -> list[int]:
    """``count`` items, starting at position ``first``, of an endless sequence of permutations of 0 ... size − 1."""
    found: list[int] = []
    while len(found) < count:
        epoch, place = divmod(first + len(found), size)
        order = np.random.default_rng([seed, epoch, size]).permutation(size)
        found += order[place : place + count - len(found)].tolist()
    return found


def _parts(samples: Samples, prompts: int) -> Iterator[Samples]:
    """The samples of ``prompts`` prompts at a time, with rows renumbered; 0: all at once."""
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


def _check_precision(weights: Mapping[str, nn.Parameter]) -> None:
    """Refuse to train bfloat16 weights: a step below 1/512 of a weight is rounded away, and most steps are smaller."""
    for name, weight in weights.items():
        if weight.dtype in (torch.bfloat16, torch.float16):
            raise BadInput(
                f"policy: {name} is to be trained but is {weight.dtype}, must be float32 or float64 "
                "(precision = 'bf16' still computes in bfloat16)"
            )


def _leave_group() -> None:
    """Leave the process group before the interpreter ends: its threads could otherwise abort the process."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

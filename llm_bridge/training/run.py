"""A saved run with its identity, checkpoints and records, for every kind of training.

    folder/checkpoints/step-*    weights, optimiser, other state for resuming, the run's identity, its records
    folder/metrics.jsonl         one record per line, also as TensorBoard events or in other trackers

A killed run resumes from its last undamaged checkpoint, and one folder never holds two runs; a finished run continues
if more steps are requested.  A first Ctrl-C, like SIGTERM, finishes the step and saves it.  If a judge, a server or a
disk fails, the previous steps are saved.  If numbers are no longer finite, the last state that gave finite ones is on
disk.
"""

from __future__ import annotations

import json
import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor

from llm_bridge.training.checkpoint import Checkpoint, discard, latest, save
from llm_bridge.training.sharding import like, whole
from llm_bridge.training.trackers import Tracker, check_trackers, tracking
from nashlab.files import plain, replacing
from nashlab.game import BadInput

__all__ = ["Diverged", "Groups", "Record", "Run", "Stopped", "Work", "optimiser_tensors", "restore_optimiser"]

logger = logging.getLogger(__name__)

Record = dict[str, Any]
Note = Callable[[Record], None]
Groups = dict[str, dict[str, Tensor]]
"""The tensors of a checkpoint, group -> name -> value: stored as "group:name"."""


class Diverged(FloatingPointError):
    """Numbers are no longer finite; the last state that gave finite ones is on disk, if the run has a folder.

    weights_are_sound  whether the weights gave finite probabilities, and only the step from them was not finite.
    """

    def __init__(self, message: str, weights_are_sound: bool = False) -> None:
        super().__init__(message)
        self.weights_are_sound = weights_are_sound


class Stopped(RuntimeError):
    """Something external that a step needs has failed between two steps: a judge, a server.

    record  of a finished step that could not be measured afterwards.
    """

    def __init__(self, message: str, record: Record | None = None) -> None:
        super().__init__(message)
        self.record = record


class Work(Protocol):
    """A training that advances one step at a time.

    extensible  numbers in its identity that may grow when a run is resumed, such as its length.
    """

    step: int

    @property
    def extensible(self) -> Sequence[str]:
        """See above."""
        ...

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything in which a checkpoint must agree with the run that resumes it, in the form of JSON."""
        ...

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint is due after this step."""
        ...

    def opening(self, last: Record | None) -> Record | None:
        """The record before the first step; or that of the last step, completed, where it lacks its measurement."""
        ...

    def advance(self) -> Record | None:
        """One step and its record.  Raises :class:`Diverged`."""
        ...

    def check_weights(self) -> None:
        """Raise :class:`Diverged` if a weight is NaN or infinite."""
        ...

    def state(self) -> tuple[Groups, dict[str, Any]]:
        """The tensors to save, and further facts in the form of JSON."""
        ...

    def take_up(self, step: int, groups: Groups, facts: Mapping[str, Any]) -> None:
        """Resume from a saved state."""
        ...


class Run:
    """Work in a folder, or without one.

    first     whether this process writes.
    anywhere  whether a condition holds in some process: all of them must stop after the same step.
    trackers  further destinations of records, see :mod:`llm_bridge.training.trackers`.
    records   of all steps so far.

    Raises :class:`BadInput` for a folder that is a file, and for unknown trackers.
    """

    def __init__(
        self,
        work: Work,
        folder: str | Path | None,
        *,
        first: bool = True,
        anywhere: Callable[[bool], bool] = lambda here: here,
        trackers: Sequence[Tracker] = ("tensorboard",),
    ) -> None:
        self.work, self.folder = work, None if folder is None else Path(folder)
        check_trackers(trackers)
        self._trackers = tuple(trackers)
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"folder = {str(folder)!r} is a file, must be a folder or not there yet")
        self._first, self._anywhere = first, anywhere
        self.records: list[Record] = []

    def go(self, progress: Callable[[Record], None] = lambda record: None) -> list[Record]:
        """Step until the end; returns the records of all steps.

        Raises :class:`Diverged`; :class:`Stopped`, once the steps before are saved; and KeyboardInterrupt after Ctrl-C,
        once the step is complete and saved.
        """
        last = self.records.pop() if self.records and not self.records[-1].get("measured", True) else None
        with self._log() as write, _deferred_interrupt() as interrupted:
            try:
                if last is not None:
                    self._recorded(self.work.opening(last), write, progress)
                    self.save()
                elif not (self.work.step or self.records):
                    self._recorded(self.work.opening(None), write)
                while not self.work.finished:
                    self._step(write, progress, interrupted)
            except Diverged as error:
                self._keep_what_is_sound(error)
                raise
            except Stopped as error:
                self._recorded(error.record, write)
                self._keep_the_steps_before(error)
                raise
            except OSError as error:  # a full disk, most often
                error.add_note(f"what was saved before it is in {self.folder}; the same call goes on from there")
                raise
        return self.records

    def _step(self, write: Note, progress: Note, interrupted: Callable[[], bool]) -> None:
        self._recorded(self.work.advance(), write, progress)
        stopping = self._anywhere(interrupted())
        if self.work.is_due or stopping:
            self.work.check_weights()
            self.save()
        if stopping:
            raise KeyboardInterrupt

    @staticmethod
    def _recorded(record: Record | None, *notes: Note) -> None:
        if record is not None:
            for note in notes:
                note(record)

    def save(self) -> None:
        """Save a checkpoint with the identity of its run."""
        if self.folder is None:
            return
        groups, facts = self.work.state()  # to which every process contributes
        if self._first:
            tensors = {f"{group}:{name}": value for group, values in groups.items() for name, value in values.items()}
            # with the records of its steps, which cannot be repeated
            about = {**facts, "run": dict(self.work.identity), "records": plain(self.records)}
            save(self.folder / "checkpoints", Checkpoint(self.work.step, tensors, about))

    def resume(self) -> None:
        """Resume from the last undamaged checkpoint of the folder, if there is one."""
        found = latest(self.folder / "checkpoints") if self.folder is not None else None
        if found is None:
            return
        there, here = dict(found.facts["run"]), dict(self.work.identity)
        for name in self.work.extensible:  # longer is allowed, but not shorter than the steps already done
            if found.step > here.get(name, found.step):
                raise BadInput(f"{name} = {here[name]}, must be at least {found.step}: those of {self.folder}")
            there[name] = here.get(name)
        if (other := _difference(there, here)) is not None:
            raise BadInput(f"{self.folder} belongs to another run: {other}")
        groups: Groups = {}
        for key, value in found.tensors.items():
            group, _, name = key.partition(":")
            groups.setdefault(group, {})[name] = value
        logger.info("going on after step %d, which is in %s", found.step, self.folder)
        with torch.no_grad():
            self.work.take_up(found.step, groups, found.facts)
        # checkpoints before version 0.2 have their records only in the log
        self.records = found.facts["records"] if "records" in found.facts else self._logged(found.step)

    def _logged(self, last: int) -> list[Record]:
        """The records in metrics.jsonl up to the last step; a damaged line is skipped with a warning."""
        path = None if self.folder is None else self.folder / "metrics.jsonl"
        if path is None or not path.is_file():
            return []
        records = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                records += [record] if record["step"] <= last else []
            except (ValueError, KeyError, TypeError):
                warnings.warn(f"{path}: a line is not a record of a step, and is skipped", RuntimeWarning, stacklevel=2)
        return records

    def _keep_the_steps_before(self, error: Stopped) -> None:
        """Save the finished steps, although the current one failed; the error says how to resume."""
        if not self.work.step:
            return
        if self.folder is None:
            error.add_note(f"{self.work.step} steps were done; with a folder they would be kept")
            return
        try:
            self.save()
        except OSError as failure:
            error.add_note(f"the {self.work.step} steps before it could not all be written ({failure})")
        else:
            error.add_note(f"{self.work.step} steps are kept in {self.folder}; the same call goes on from there")

    def _keep_what_is_sound(self, error: Diverged) -> None:
        """Save the weights if they are still finite; otherwise remove any checkpoint of them."""
        if error.weights_are_sound:
            try:
                self.save()
            except OSError as failure:
                error.add_note(f"the state before that step could not be written ({failure})")
        elif self.folder is not None and self._first:
            discard(self.folder / "checkpoints", self.work.step)

    @contextmanager
    def _log(self) -> Iterator[Callable[[Record], None]]:
        """A function that stores a record: in memory, in metrics.jsonl, and with the trackers."""
        if self.folder is None or not self._first:
            yield self.records.append
            return
        step = self.work.step
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.jsonl"
        with replacing(path) as part:  # steps after the checkpoint will be repeated
            part.write_text("".join(json.dumps(plain(r)) + "\n" for r in self.records), encoding="utf-8")
        about = self.work.identity
        with tracking(self._trackers, self.folder, step, about) as show, path.open("a", encoding="utf-8") as file:

            def write(record: Record) -> None:
                self.records.append(record)
                file.write(json.dumps(plain(record)) + "\n")
                file.flush()
                show(record, record["step"])

            yield write


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: Sequence[str]) -> Groups:
    """The optimiser's state as "optimiser.KEY" groups; ``names`` of its weights, in order."""
    state = optimiser.state_dict()["state"]
    groups: Groups = {}
    for index, name in enumerate(names):
        for key, value in state.get(index, {}).items():
            if value is not None:
                groups.setdefault(f"optimiser.{key}", {})[name] = whole(torch.as_tensor(value)).cpu()
    return groups


def restore_optimiser(optimiser: torch.optim.Optimizer, weights: Mapping[str, Tensor], groups: Groups) -> None:
    """Restore the state from :func:`optimiser_tensors`; ``weights`` are the optimiser's, in order."""
    state = optimiser.state_dict()
    for kind, values in groups.items():
        if kind.startswith("optimiser."):
            for i, (name, p) in enumerate(weights.items()):
                if name in values:
                    state["state"].setdefault(i, {})[kind.removeprefix("optimiser.")] = like(p, values[name])
    optimiser.load_state_dict(state)


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """The first difference between two runs, in words."""
    for name in [*ours, *(theirs.keys() - ours.keys())]:
        there, here = theirs.get(name), ours.get(name)
        if there != here:
            both = f"{name} = {there!r} there, {here!r} here"
            return both if len(both) < 120 else f"its {name} differs"
    return None


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """A first Ctrl-C waits for the end of the step; a second one does not; SIGTERM always waits.  Only in the main
    thread."""
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

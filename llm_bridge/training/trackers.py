"""Destinations of records besides metrics.jsonl: TensorBoard, Weights & Biases, trackio, ... through Accelerate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

from nashlab.game import BadInput, suggestion

__all__ = ["Tracker", "check_trackers", "tracking"]

Tracker = Any
"""The name of one of Accelerate's trackers, or your own ``accelerate.tracking.GeneralTracker``."""


def check_trackers(trackers: Sequence[Tracker]) -> None:
    """Refuse a name unknown to Accelerate, with the nearest one, and a tracker that is not installed."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers

    if isinstance(trackers, str):
        raise BadInput(f"trackers = {trackers!r}, must be a list of names")
    here = {str(name.value) for name in get_available_trackers()}
    for tracker in trackers:
        if isinstance(tracker, GeneralTracker):
            continue
        if tracker not in LOGGER_TYPE_TO_CLASS:
            known = f", must be one of {', '.join(LOGGER_TYPE_TO_CLASS)}"
            raise BadInput(f"tracker {tracker!r} is unknown{suggestion(str(tracker), LOGGER_TYPE_TO_CLASS, known)}")
        if tracker not in here:
            raise BadInput(f"tracker {tracker!r} is not installed here, must be (pip install {tracker})")


@contextmanager
def tracking(
    trackers: Sequence[Tracker], folder: Path, step: int, about: Mapping[str, Any]
) -> Iterator[Callable[[Mapping[str, Any], int], None]]:
    """A function (record, step) that sends a record's numbers to every tracker; they are closed with the block.

    step   the number of steps already done: later points of a curve belong to steps that are repeated.
    about  a description of the run, for trackers that store settings.
    """
    check_trackers(trackers)
    with ExitStack() as closing:
        opened = [_opened(tracker, folder, step, about) for tracker in trackers]
        for each in opened:
            closing.callback(each.finish)

        def show(record: Mapping[str, Any], at: int) -> None:
            numbers = {name: value for name, value in record.items() if name != "step" and isinstance(value, Real)}
            for each in opened:
                each.log(numbers, step=at)

        yield show


def _opened(tracker: Tracker, folder: Path, step: int, about: Mapping[str, Any]) -> Any:
    """A tracker, started."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

    if tracker == "tensorboard":
        return _Board(folder / "tensorboard", step)
    if isinstance(tracker, GeneralTracker):
        made = tracker
    elif LOGGER_TYPE_TO_CLASS[tracker].requires_logging_directory:
        made = LOGGER_TYPE_TO_CLASS[tracker](folder.name, str(folder))
    else:
        made = LOGGER_TYPE_TO_CLASS[tracker](folder.name)
    made.start()
    made.store_init_configuration({k: v for k, v in about.items() if isinstance(v, (str, Real))})
    return made


class _Board:
    """TensorBoard's events, which can be rewound; Accelerate's own would choose a device for the process."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self._writer.close()

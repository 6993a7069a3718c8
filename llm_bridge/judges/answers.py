"""The answers that a judge may give, and their conversion to float64 [B], with NaN for pairs left out.

    lists, arrays and tensors of floats or booleans     their values, for any type and device
    None among them                                     NaN: the pair is left out
    a coroutine, or a list of them                      awaited, a list concurrently

Anything else is refused with the value.  So are integers: judges of other libraries answer with the index of the better
text, and 0 for the first would be read as p(first ≻ second) = 0, the opposite.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput, first_line

__all__ = ["Array", "JudgeFailed", "Triple", "answered", "called", "named"]

Array = NDArray[np.float64]
Triple = tuple[str, str, str]


class JudgeFailed(RuntimeError):
    """A judge could not answer: it raised an error, or its server did not respond."""


def called(function: Callable[..., Any], *texts: Sequence[str], **columns: Sequence[Any]) -> Any:
    """A judge's answer, with coroutines awaited; :class:`JudgeFailed` if it raises its own error."""
    try:
        return _awaited(function(*texts, **columns))
    except (BadInput, JudgeFailed):
        raise
    except Exception as error:  # the function is the user's
        raise JudgeFailed(f"the judge failed ({type(error).__name__}: {first_line(error)})") from error


def answered(answer: Any, triples: Sequence[Triple], *, bounded: bool = True) -> Array:
    """One number for each triple, [B]; NaN for None.

    bounded   whether it must be a probability; otherwise any finite number: ½ plus a difference of rewards.

    Raises :class:`BadInput` with the first invalid value.

    >>> answered([0.75, None, True], [("x", "a", "b")] * 3).tolist()
    [0.75, nan, 1.0]
    """
    values = _listed(answer, len(triples))
    found = np.empty(len(triples))
    for i, value in enumerate(values):
        found[i] = _number(value, triples[i], bounded)
    return found


def named(triple: Triple) -> str:
    """A description of a pair for messages."""
    prompt, left, right = (text if len(text) <= 40 else text[:37] + "..." for text in map(str, triple))
    return f"prompt {prompt!r}, answers {left!r} and {right!r}"


def _listed(answer: Any, count: int) -> Sequence[Any]:
    """The returned values, one for each pair."""
    if hasattr(answer, "detach"):  # a tensor, perhaps of a type or on a device unknown to numpy
        answer = answer.detach().cpu().double().numpy() if answer.is_floating_point() else answer.detach().cpu().numpy()
    if isinstance(answer, (str, bytes, Mapping)) or not isinstance(answer, (Iterable, np.ndarray)):
        raise BadInput(f"the judge returned {_shown(answer)}, must be a list of {count} probabilities "
                       "(each(f) makes such a judge from a function of one pair)")  # fmt: skip
    if isinstance(answer, np.ndarray) and answer.ndim != 1:
        raise BadInput(f"the judge returned an array of shape {answer.shape} for {count} pairs")
    values = list(answer)
    if len(values) != count:
        raise BadInput(f"the judge returned an array of shape ({len(values)},) for {count} pairs")
    return values


def _number(value: Any, triple: Triple, bounded: bool) -> float:
    rule = "a probability in [0, 1]" if bounded else "finite"
    if value is None:
        return np.nan
    if hasattr(value, "item") and not isinstance(value, np.generic):  # a tensor of one number
        value = value.item() if getattr(value, "ndim", 0) == 0 else value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        why = f"must be {rule} as a float"
        if value in (0, 1):
            why += (": an index of the better answer, as judges of other libraries give, would train the opposite; "
                    "write 1.0 where the left answer is better, 0.0 where the right one is")  # fmt: skip
        raise BadInput(f"the judge returned the integer {value} for {named(triple)}, {why}")
    if not isinstance(value, (float, int, np.floating, np.bool_, np.integer)):
        raise BadInput(f"the judge returned {_shown(value)} for {named(triple)}, must be {rule} or None")
    number = float(value)
    if not np.isfinite(number) or (bounded and not 0 <= number <= 1):
        raise BadInput(f"the judge returned {number} for {named(triple)}, must be {rule}")
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _awaited(answer: Any) -> Any:
    """The answer, after awaiting everything in it."""
    if inspect.isawaitable(answer):
        return _awaited(_run(answer))
    if isinstance(answer, (list, tuple)) and any(inspect.isawaitable(value) for value in answer):
        return _run(_together(answer))
    return answer


async def _together(values: Sequence[Any]) -> list[Any]:
    async def one(value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    return list(await asyncio.gather(*map(one, values)))


def _run(awaitable: Any) -> Any:
    """The result of an awaitable; in a separate thread if this one already runs an event loop, as in notebooks."""

    async def awaited() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, awaited()).result()

"""Two models of one shape decode a token in one forward pass, the rows of one beside those of the other.

Much of what a small model's token costs on a CPU is not arithmetic but masks, positions, rotations, norms, caches, and
hundreds of calls between them, which depend on shapes and not on weights.  So one batch of both models' rows runs
through the modules of the first; only where weights are used, each row is given its own model's:

    weights that both models hold         one product for all rows
    a layer whose weights differ          a product for each model's rows, put together again
    adapters that one model has on        the adapter's product for its rows alone

Each model reads the prompt by itself; then keys and values of both share one cache.  After a few tokens, copies of the
weights that differ are laid out as a CPU multiplies them fastest.  Models of other architectures or configurations, or
with layers that are not known to treat rows one by one, decode in a pass each, and the log says why.  So do models
whose first joint token differs from that of two passes, which every sample compares anew: a model may have changed.
For that comparison the first model's replaced weights are NaN on their layers, so that a use of them past the
replacement is seen even if both models are equal.  Methods of the first model are replaced during a pass, so samples
that are drawn in other threads than the main one take two.
"""

from __future__ import annotations

import copy
import logging
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from llm_bridge.policy.forward import Forward
from llm_bridge.policy.rows import Rows, Unlike, lay_out, spoiled, surely, swaps
from llm_bridge.policy.soundness import close, precision
from llm_bridge.policy.stream import Stream, merged
from llm_bridge.policy.tokens import Tokens

__all__ = ["Together"]

logger = logging.getLogger(__name__)

WORTH_IT = 12  # tokens after which weights are laid out for more: it costs about what it saves on so many


# what the log has said, by first and second model
_said: weakref.WeakKeyDictionary[Forward, weakref.WeakKeyDictionary[Forward, str]] = weakref.WeakKeyDictionary()


class Together:
    """The streams of one or two models, which go on in one forward pass from the first pushed token if they can.

    streams  of the models: what they hold is meaningless once ``joint`` is not None.

    Streams in fixed buffers (:mod:`llm_bridge.policy.cuda_graphs`) stay by themselves.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = list(streams)
        self.joint: _Joint | None = None
        self._begun = len(self.streams) != 2 or any(type(stream) is not Stream for stream in self.streams)

    @property
    def logits(self) -> list[Tensor]:
        """The next token's, of each model's rows."""
        if self.joint is None:
            return [stream.logits for stream in self.streams]
        return list(self.joint.logits.split(self.joint.rows.counts))

    def push(self, tokens: Sequence[Tensor]) -> None:
        """Append one token to each row of each model."""
        if not self._begun:
            self._begun = True
            self._begin(tokens)
        elif self.joint is None:
            for stream, pushed in zip(self.streams, tokens, strict=True):
                stream.push(pushed)
        else:
            self.joint.push(torch.cat(list(tokens)))

    def keep(self, rows: Sequence[Tensor]) -> None:
        """Continue with each model's rows of these indices only."""
        if self.joint is None:
            for stream, kept in zip(self.streams, rows, strict=True):
                stream.keep(kept)
        else:
            self.joint.keep_each(*rows)

    def leave(self, rows: Tensor) -> None:
        """Continue with these rows of the first model alone."""
        if self.joint is not None:
            self.streams = [self.joint.first_alone()]
            self.joint = None
        self._begun = True
        del self.streams[1:]
        self.keep([rows])

    def _begin(self, tokens: Sequence[Tensor]) -> None:
        """Push the first token, jointly if the models allow it."""
        first, second = self.streams
        joint, why = None, ""
        try:
            joint = _Joint(first, second)
        except Exception as error:  # whatever a model is made of, two passes are possible
            why = _told(error)
        for stream, pushed in zip(self.streams, tokens, strict=True):
            stream.push(pushed)
        if joint is not None:
            why = joint.distrust(torch.cat(list(tokens)), torch.cat([first.logits, second.logits]))
        if joint is not None and not why:
            self.joint = joint
            first.cache = second.cache = None  # it has its own
        said = _said.setdefault(first.forward, weakref.WeakKeyDictionary())
        if why and why != said.get(second.forward):
            logger.info("%s and its reference decode in two passes a token: %s", first.forward.name, why)
            said[second.forward] = why


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, Unlike) else f"{type(error).__name__}: {error}"


class _Joint(Stream):
    """Both streams' rows in one batch through the first model's modules."""

    def __init__(self, first: Stream, second: Stream) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise Unlike("a thread of its own draws the sample")
        vars(self).update(vars(first))
        self.rows = Rows(len(first.logits), len(second.logits))
        self._first = first
        self._pushed = 0
        self._swaps = swaps(first, second, self.rows)
        self.silent = first.silent if second.silent else []
        try:
            self.cache = merged(first.cache, second.cache)
        except TypeError as error:
            raise Unlike(str(error)) from error
        self.logits = torch.cat([first.logits, second.logits])
        if first.mask is not None and second.mask is not None:
            self.mask = torch.cat([first.mask, second.mask])
        if first.encoded is not None and second.encoded is not None:
            self.encoded = Tokens(*(torch.cat(pair) for pair in zip(first.encoded, second.encoded, strict=True)))

    def push(self, tokens: Tensor) -> None:
        """Append one token to each row."""
        super().push(tokens)
        self._pushed += 1
        if self._pushed == WORTH_IT:
            lay_out(self._swaps)

    def keep_each(self, first: Tensor, second: Tensor) -> None:
        """Continue with these rows of the first model, and these of the second."""
        rows = torch.cat([first, second + self.rows.counts[0]])
        if len(rows) < sum(self.rows.counts) or not torch.equal(rows, torch.arange(len(rows), device=rows.device)):
            self.keep(rows)
        self.rows.counts[:] = [len(first), len(second)]

    def first_alone(self) -> Stream:
        """The first model's rows, as a stream of its own."""
        alone = copy.copy(self._first)
        for name in ("cache", "logits", "mask", "encoded"):
            setattr(alone, name, getattr(self, name))
        alone.keep(torch.arange(self.rows.counts[0], device=self.logits.device))
        return alone

    def distrust(self, tokens: Tensor, theirs: Tensor) -> str:
        """Push the first token; why the result cannot be trusted beside the logits of two passes, or nothing."""
        try:
            with spoiled(self._swaps):
                self.push(tokens)
        except Exception as error:  # models fail in many ways
            return _told(error)
        if not close(self.logits, theirs, (8 * torch.finfo(precision(self.forward)).eps) ** 0.75):
            return f"one pass is off by {float((self.logits - theirs).abs().max()):.2g}"
        return ""

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with super()._at_work(), surely(self._put_back):
            for swap in self._swaps:
                vars(swap.module)[swap.name] = swap.function  # found before the method of the class
            yield

    def _put_back(self) -> None:
        for swap in self._swaps:
            vars(swap.module).pop(swap.name, None)

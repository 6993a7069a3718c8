"""Batches of token sequences: prompts padded on the left, completions on the right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Tokens", "pad_left", "pad_right"]


class Tokens(NamedTuple):
    """A batch of token sequences: ``ids`` [B, L] (int64) and ``mask`` [B, L] (bool, True on counted tokens).

    Prompts are padded on the left, completions on the right; the mask of a completion covers its end-of-sequence.
    """

    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device | str) -> Tokens:
        """The same tokens on another device."""
        return Tokens(self.ids.to(device), self.mask.to(device))

    def rows(self, index: Tensor | slice) -> Tokens:
        """The chosen rows."""
        return Tokens(self.ids[index], self.mask[index])


def pad_right(rows: Sequence[Sequence[int]], pad_id: int = 0) -> Tokens:
    """Completions of different lengths as one batch, padded on the right.

    >>> pad_right([[5, 6, 1], [7]], pad_id=9).ids.tolist()
    [[5, 6, 1], [7, 9, 9]]
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
    places = torch.arange(max(map(len, rows), default=0))
    return _filled(rows, places < lengths.unsqueeze(1), pad_id)


def pad_left(rows: Sequence[Sequence[int]], pad_id: int = 0) -> Tokens:
    """Prompts of different lengths as one batch, padded on the left.

    >>> pad_left([[5, 6, 1], [7]], pad_id=9).ids.tolist()
    [[5, 6, 1], [9, 9, 7]]
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
    places = torch.arange(max(map(len, rows), default=0)).flip(0)
    return _filled(rows, places < lengths.unsqueeze(1), pad_id)


def _filled(rows: Sequence[Sequence[int]], mask: Tensor, pad_id: int) -> Tokens:
    """The rows' tokens, in order, at the places of the mask."""
    counted = torch.tensor(list(chain.from_iterable(rows)), dtype=torch.long)
    return Tokens(torch.full(mask.shape, pad_id).masked_scatter(mask, counted), mask)


def is_left_padded(mask: Tensor, *, may_be_empty: bool = False) -> bool:
    """Whether each row is False ... False True ... True, with at least one True unless it may be empty."""
    falls = (mask[:, :-1] & ~mask[:, 1:]).any()
    return not bool(falls) and (may_be_empty or bool(mask[:, -1].all()))

"""Files of votes as bytes, written by the formats' own rules."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np


def npy(array: Any, **kwargs: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **kwargs)
    return stream.getvalue()


def preflib(body: str, names: Sequence[str] = ("a", "b", "c"), kind: str = "soc") -> bytes:
    head = [f"# FILE NAME: t.{kind}", f"# DATA TYPE: {kind}", f"# NUMBER ALTERNATIVES: {len(names)}"]
    head += [f"# ALTERNATIVE NAME {i}: {name}" for i, name in enumerate(names, 1)]
    return ("\n".join(head) + "\n" + body).encode()

"""Configurations of experiments that take seconds, and their texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llm_bridge.data import load_corpus

SMALL = {"source": "small", "vocabulary": 300, "width": 16, "layers": 1, "device": "cpu"}


def texts_in(folder: Path) -> Path:
    """A corpus of 60 texts."""
    path = folder / "texts.jsonl"
    examples = load_corpus("debian", count=60)
    path.write_text("".join(json.dumps({"prompt": e.prompt, "summary": e.summary}) + "\n" for e in examples))
    return path


def written(path: Path, corpus: Path, **changes: Any) -> Path:
    """A configuration that takes seconds; a change of None takes a table out."""
    content: dict[str, Any] = {
        "methods": ["online-ipo", "rlhf-pg"],
        "seeds": [0, 1],
        "corpus": {"source": str(corpus), "prompts": 6, "validation": 3, "held_out": 4, "max_prompt_tokens": 40},
        "policy": SMALL,
        "sft": {"steps": 4, "batch": 4, "learning_rate": 1e-3, "checkpoint_every": 2},
        "train": {"steps": 4, "batch": 2, "tau": 0.2, "learning_rate": 1e-2, "measure_every": 2, "checkpoint_every": 1},
    }
    content |= changes
    lines = ['name = "tiny"']
    tables = []
    for key, value in content.items():
        if isinstance(value, dict):
            tables += [f"[{key}]", *(f"{k} = {json.dumps(v)}" for k, v in value.items())]
        elif value is not None:
            lines.append(f"{key} = {json.dumps(value)}")
    path.write_text("\n".join([*lines, *tables]) + "\n")
    return path


SAMPLED: dict[str, Any] = {
    "methods": ["online-ipo", "nash-md-pg", "rlhf-pg", "offline-dpo"],
    "sampling": {"max_new_tokens": 5},
    "comparisons": {"texts": 20, "completions": 3, "raters": 3, "held_out": 0.2},
    "preference": {"max_prompt": 24},
    "preference.training": {"epochs": 1},
    "reward": {"max_prompt": 24},
    "reward.training": {"epochs": 1},
    "judge": {"source": "none"},
}

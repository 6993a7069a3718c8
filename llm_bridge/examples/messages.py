"""Prompts with a system message and several turns, as the chat template renders them.

    python -m llm_bridge.examples.messages trained --policy owner/chat-model

The judge reads a prompt as a text, each message under its role; the messages themselves are the column ``messages``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from llm_bridge.judges import FunctionJudge
from llm_bridge.training import Recipe, Record, Settings, prepared

SYSTEM = {"role": "system", "content": "Be brief."}
PROMPTS = [
    {"prompt": [SYSTEM, {"role": "user", "content": "Name a colour."}]},
    {"prompt": [SYSTEM, {"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "fig"},
                {"role": "user", "content": "Name a colour."}]},
    {"prompt": [{"role": "user", "content": "Name a fruit."}]},
]  # fmt: skip


def brief(
    prompts: list[str], left: list[str], right: list[str], *, messages: list[list[dict[str, Any]]]
) -> list[float]:
    """The shorter answer is better, twice as clearly if the system message asks for it."""
    found = []
    for y, z, turns in zip(left, right, messages, strict=True):
        clear = 0.4 if turns[0]["role"] == "system" else 0.2
        found.append(0.5 + clear * ((len(y) < len(z)) - (len(z) < len(y))))
    return found


def run(policy: str, folder: Path, settings: Settings, **options: object) -> Record:
    """Train, and print the result."""
    judge = FunctionJudge(brief)
    recipe = Recipe(policy, [PROMPTS], judge, settings, "nash-md-pg", held_out=1, **options)  # type: ignore[arg-type]
    return prepared(recipe, folder).train(print)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", required=True)
    given = parser.parse_args()
    run(given.policy, given.folder, Settings(steps=50, batch=4, learning_rate=1e-5, measure_every=10))

"""A reward model in a folder as the judge: p = σ(scale · (r(x, y) − r(x, y'))).

    python -m llm_bridge.examples.reward_model trained --policy owner/model --judge owner/reward-model --prompts p.jsonl

It is called with its own chat template, padding and beginning of sequence.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_bridge.training import Recipe, Record, Settings, prepared


def run(
    policy: str, judge: str, prompts: Sequence[Any], folder: Path, settings: Settings, **options: object
) -> Record:
    """Train, and print the result."""
    named = {"name": f"reward-model:{judge}", "scale": 1.0}
    recipe = Recipe(policy, prompts, named, settings, "online-ipo", **options)  # type: ignore[arg-type]
    return prepared(recipe, folder).train(print)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name in ("policy", "judge", "prompts"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    schedule = Settings(steps=200, batch=8, learning_rate=1e-5, measure_every=20, checkpoint_every=20)
    run(given.policy, given.judge, [given.prompts], given.folder, schedule)

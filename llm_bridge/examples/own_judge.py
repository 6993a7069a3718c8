"""Your own function as the judge: the better answer names what its row asks for, in fewer words.

    python -m llm_bridge.examples.own_judge trained --policy owner/model

``expected`` is a column of the data: a judge receives the columns that are its keyword arguments.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from llm_bridge.judges import FunctionJudge
from llm_bridge.training import Recipe, Record, Settings, prepared

ROWS = [
    {"prompt": f"Name a {kind}.", "expected": example}
    for kind, example in (("colour", "red"), ("fruit", "fig"), ("metal", "tin"), ("river", "Rhine"), ("tree", "oak"))
]


def better(
    prompts: list[str], left: list[str], right: list[str], *, expected: list[str]
) -> list[float | None]:
    """p(left ≻ right) for each pair; None leaves a pair out, here if both answers are empty."""
    found: list[float | None] = []
    for y, z, word in zip(left, right, expected, strict=True):
        ours, theirs = ((word.lower() in text.lower(), -len(text.split())) for text in (y, z))
        found.append(None if not y and not z else 0.5 if ours == theirs else 0.9 if ours > theirs else 0.1)
    return found


def run(policy: str, folder: Path, settings: Settings, **options: object) -> Record:
    """Train, and print the result."""
    judge = FunctionJudge(better)  # asks both orders, which cancels a bias towards a position
    recipe = Recipe(policy, [ROWS], judge, settings, "ipo-md", held_out=1, **options)  # type: ignore[arg-type]
    return prepared(recipe, folder).train(print)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", required=True)
    given = parser.parse_args()
    run(given.policy, given.folder, Settings(steps=50, batch=4, learning_rate=1e-5, measure_every=10))

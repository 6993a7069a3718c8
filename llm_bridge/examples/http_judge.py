"""A served language model as the judge.

    python -m llm_bridge.examples.http_judge trained --policy owner/model --url http://localhost:8000/v1 \\
        --model judge --prompts p.jsonl

Both orders of a pair are asked, eight questions at a time; answers are cached in FOLDER/judgments, so that a stopped
run asks nothing twice.  The server's key is read from OPENAI_API_KEY.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_bridge.judges import FunctionJudge, ServedModel
from llm_bridge.training import Recipe, Record, Settings, prepared


def run(
    policy: str, url: str, model: str, prompts: Sequence[Any], folder: Path, settings: Settings, **options: object
) -> Record:
    """Train, and print the result."""
    served = ServedModel(url, model, cache=folder / "judgments", concurrent=8, retries=5)
    recipe = Recipe(policy, prompts, FunctionJudge(served), settings, "ipo-md", **options)  # type: ignore[arg-type]
    return prepared(recipe, folder).train(print)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name in ("policy", "url", "model", "prompts"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    run(given.policy, given.url, given.model, [given.prompts], given.folder, Settings(steps=100, learning_rate=1e-5))

"""What is put under fire: commands that take seconds, what counts as finished of them, and what they come to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["SCENES", "Scene"]

SWEEP = """
games = ["rps-weighted", {family = "cyclic", n = 4, count = 3, seed = 2}]
algorithms = ["omd", "ipo-md"]
temperatures = [0.2, 1.0]
step_sizes = [0.1]
betas = [0.1, 0.5]
steps = 40
records = 4
"""

CLOSED = """
name = "tiny"
methods = ["online-ipo", "egpo"]
[corpus]
source = "texts.jsonl"
prompts = 6
validation = 3
held_out = 4
max_prompt_tokens = 40
[policy]
source = "small"
vocabulary = 300
width = 16
layers = 1
device = "cpu"
[sft]
steps = 4
batch = 4
learning_rate = 1e-3
checkpoint_every = 2
[train]
steps = 4
batch = 2
tau = 0.2
learning_rate = 1e-2
measure_every = 2
checkpoint_every = 1
"""

SAMPLED = CLOSED.replace('"egpo"', '"offline-dpo"') + """
[sampling]
max_new_tokens = 5
[comparisons]
texts = 20
completions = 3
raters = 3
held_out = 0.2
[preference]
max_prompt = 24
[preference.training]
epochs = 1
[reward]
max_prompt = 24
[reward.training]
epochs = 1
[judge]
source = "none"
"""

NAMES = "abcdefghijkl"
VOTES = "winner,loser,voter\n" + "".join(
    f"{NAMES[i % 12]},{NAMES[(i % 12 + 1 + i * i % 5) % 12]},v{i % 40}\n" for i in range(600)
)
BOARD = tuple(word for kind in ("csv", "html", "latex", "markdown") for word in (f"--{kind}", f"out/board.{kind}"))

TIMING = ("seconds", "collect_seconds", "update_seconds", "speed", "sha256")
"""What differs from run to run: times, and checksums of files that hold times."""


@dataclass(frozen=True)
class Scene:
    """A command, how it is taken up again, and the files it needs (name -> content; None: texts of the corpus; a name
    with a slash at its end is a folder).

    finished  a pattern of the paths under ``out`` that are complete when they are there, and stay.
    resumable whether a second run goes on where the first one was stopped.
    """

    name: str
    words: tuple[str, ...]
    files: Mapping[str, str | None]
    finished: str
    again: tuple[str, ...] = ("--resume",)
    program: str = "llm-bridge"
    resumable: bool = True

    def prepare(self, folder: Path) -> None:
        """The files that the command reads."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            if name.endswith("/"):
                (folder / name).mkdir(exist_ok=True)
            else:
                (folder / name).write_text(_texts() if content is None else content, encoding="utf-8")

    def command(self, folder: Path) -> list[str]:
        """As a user would go on in this folder: --resume where there is something to resume."""
        there = any(p.is_file() for p in (folder / "out").rglob("*")) if (folder / "out").exists() else False
        return [*self.words, *(self.again if there and self.resumable else ())]

    def kept(self, out: Path) -> dict[str, str]:
        """What is finished: path -> checksum."""
        return {p: _sha(out / p) for p in _files(out) if re.fullmatch(self.finished, p)}

    def outcome(self, out: Path) -> dict[str, Any]:
        """Everything that must be the same bit for bit whatever happened on the way."""
        return {p: _content(out / p) for p in _files(out) if not _irrelevant(p)}

    def litter(self, out: Path) -> list[str]:
        """What only a run in progress needs."""
        return [p for p in _files(out) if re.search(r"(^|/)\.(?!lock$)|\.unfinished/", p)]


@cache
def _texts() -> str:
    from llm_bridge.data import load_corpus

    examples = load_corpus("debian", count=60)
    return "".join(json.dumps({"prompt": e.prompt, "summary": e.summary}) + "\n" for e in examples)


def _files(out: Path) -> list[str]:
    return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())


def _irrelevant(path: str) -> bool:
    """Events and pages hold times of the day, and what is hidden is nobody's result."""
    return "tensorboard" in path or path.endswith(".html") or "/." in f"/{path}" or "checkpoints/" in path


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.name == "metrics.jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return _sha(path)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMING}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


STAGE = r"stages/(?![^/]*\.unfinished)[^./][^/]*/(?!tensorboard).*"
TRAIN = str(Path(__file__).with_name("training.py"))

SCENES = {
    s.name: s
    for s in (
        Scene("sweep", ("nashlab", "sweep", "sweep.toml", "--out", "out"), {"sweep.toml": SWEEP},
              r"parts/[^.].*\.parquet", program="nashlab"),
        Scene("train", ("faults_training", "out"), {}, r"weights\.npz", again=(), program="training"),
        Scene("run", ("llm_bridge", "run", "run.toml", "--out", "out"),
              {"run.toml": CLOSED + "[closed]\ntemperature = 5.0\n", "texts.jsonl": None}, STAGE),
        Scene("preference", ("llm_bridge", "run", "run.toml", "--out", "out"),
              {"run.toml": SAMPLED, "texts.jsonl": None}, STAGE),
        Scene("verify", ("nashlab", "verify", "--claims", "L1,L5,N1", "--samples", "3", "--workers", "1",
                         "--out", "out"), {}, r"", again=(), program="nashlab", resumable=False),
        Scene("rank", ("nashlab", "rank", "votes.csv", "--bootstrap", "40", "--plan", "9",
                       *BOARD, "--plot", "out/board.svg"), {"votes.csv": VOTES, "out/": ""}, r"", again=(),
              program="nashlab", resumable=False),
    )
}  # fmt: skip

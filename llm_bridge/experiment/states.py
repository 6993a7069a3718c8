"""Candidates, their exact games, and a frozen model's view of every candidate, computed once for all runs.

For each text x and candidate y of the three splits: log μ(y | x), the number of tokens of y, the mean of the states
that predict them, and the last of them.  A killed stage resumes after the last finished chunk of texts.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from llm_bridge.data import Example
from llm_bridge.experiment.configuration import ClosedSets, Experiment
from llm_bridge.experiment.start import Start, judge_about, texts_about, texts_of_split
from llm_bridge.judges import Cached, SummaryFeatures, candidate_sets, judge_named, matrix
from llm_bridge.policy import Policy, Tokens, completions_of, pad_right, sample, seeded, texts_of
from nashlab.files import replacing

__all__ = ["CHUNK", "SPLITS", "candidate_states", "make_states", "read_states", "states_about", "written_by"]

Array = NDArray[np.float64]
SPLITS = {
    "training": ("train", "prompts"),
    "validation": ("validation", "validation"),
    "held out": ("test", "held_out"),
}
"""Of each set of texts, the corpus's split, and the number that the configuration gives."""
CHUNK = 4
"""Texts whose candidates are scored in one forward pass."""

logger = logging.getLogger(__name__)


def states_about(experiment: Experiment) -> dict[str, Any]:
    """Everything that the candidates, their games and their states depend on."""
    assert experiment.closed is not None
    sets = {k: getattr(experiment.closed, k) for k in ("kinds", "samples", "max_new_tokens")}
    counts = {count: getattr(experiment.corpus, count) for _, count in SPLITS.values()}
    model = {k: v for k, v in asdict(experiment.policy).items() if k != "device"}
    return {
        "corpus": texts_about(experiment.corpus),
        "policy": model,
        "sets": sets,
        **counts,
        **judge_about(experiment.closed.judge),
    }


def make_states(start: Start, part: Path, work: Path) -> None:
    """Fill the stage: for each split NAME.json with texts and candidates, NAME.npz with margins and states."""
    policy, _ = start.players(0)
    policy.model.eval()
    training = texts_of_split(start.experiment.corpus, "train")
    split = {name: texts_of_split(start.experiment.corpus, of, getattr(start.experiment.corpus, count))
             for name, (of, count) in SPLITS.items()}  # fmt: skip
    told = _Told(sum(map(len, split.values())))
    for name, examples in split.items():
        chunks = list(_chunks(start, policy, name, examples, training, work, told))
        candidates = [row for chunk in chunks for row in chunk["candidates"]]
        arrays: dict[str, Any] = {}
        for key in ("log_mu", "tokens", "states"):
            arrays[key] = np.concatenate([chunk[key] for chunk in chunks])
        judge = judge_named(start.experiment.closed.judge, training=training, evaluation=examples)  # type: ignore[union-attr]
        texts = [e.prompt for e in examples]
        margins = np.stack(matrix(Cached(judge), texts, candidates)) - 0.5
        (part / f"{name}.json").write_text(json.dumps({"texts": texts, "candidates": candidates}), encoding="utf-8")
        np.savez(part / f"{name}.npz", margins=margins, **arrays)


def read_states(folder: Path, name: str) -> dict[str, Any]:
    """A split's texts, candidates, margins [X, K, K], log_mu and tokens [X, K], states [X, K, 2d]."""
    about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return about | dict(np.load(folder / f"{name}.npz"))


class _Told:
    """Texts done, and the time that the others still need, said about once a minute."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.made = total, 0, 0
        self.started = self.said = time.perf_counter()

    def __call__(self, count: int, new: bool) -> None:
        self.done, self.made = self.done + count, self.made + count * new
        now = time.perf_counter()
        if self.made and now - self.said > 60:
            left = (now - self.started) / self.made * (self.total - self.done)
            logger.warning("states: %d of %d texts, about %.0f min left", self.done, self.total, left / 60)
            self.said = now


def _chunks(
    start: Start,
    policy: Policy,
    name: str,
    examples: Sequence[Example],
    training: Sequence[Example],
    work: Path,
    told: _Told,
) -> Iterator[Mapping[str, Any]]:
    """The split's candidates and states, in pieces that are kept in ``work``."""
    closed = start.experiment.closed
    assert closed is not None
    features = SummaryFeatures(training, {e.prompt: e.summary for e in examples})
    ruled = candidate_sets(examples, features, kinds=closed.kinds)
    prompts = start.prompts(policy, [e.prompt for e in examples])
    for first in range(0, len(examples), CHUNK):
        rows = range(first, min(first + CHUNK, len(examples)))
        place = work / f"{name}-{first:05d}.npz"
        new = not place.exists()
        if new:
            prompt = prompts.tokens(policy, rows)
            written = written_by(policy, prompt, closed, name, rows)
            candidates = [ruled[i] + written[k] for k, i in enumerate(rows)]
            completion = pad_right([t for row in candidates for t in completions_of(policy, row)], policy.pad_id)
            found = candidate_states(policy, prompt, completion)
            shaped: dict[str, Any] = {k: v.reshape(len(rows), -1, *v.shape[1:]) for k, v in found.items()}
            with replacing(place) as half, half.open("wb") as file:
                np.savez(file, candidates=np.array(json.dumps(candidates)), **shaped)
        with np.load(place) as kept:
            chunk: dict[str, Any] = dict(kept)
        yield chunk | {"candidates": json.loads(str(chunk["candidates"]))}
        told(len(rows), new)


def candidate_states(policy: Policy, prompt: Tokens, completion: Tokens) -> dict[str, NDArray[np.float32]]:
    """log μ [B], number of tokens [B], and mean and last state [B, 2d] of completions, k of each prompt.

    One pass through the model: the prompt is read once, and the head sees counted tokens only.
    """
    completion = completion.to(policy.device)
    with torch.no_grad():
        states = policy.states(prompt, completion)
        log_mu = policy.scored(states, completion).sum(dim=1)
    mask = completion.mask.unsqueeze(-1)
    counts = completion.mask.sum(dim=1)
    mean = (states * mask).sum(dim=1) / counts.unsqueeze(-1)
    last = states[torch.arange(len(states)), counts - 1]
    return {
        "log_mu": log_mu.cpu().numpy(),
        "tokens": counts.float().cpu().numpy(),
        "states": torch.cat([mean, last], dim=1).float().cpu().numpy(),
    }


def written_by(policy: Policy, prompt: Tokens, closed: ClosedSets, name: str, rows: range) -> list[list[str]]:
    """The candidates that a model writes for each prompt; a text's random numbers depend on its split and number."""
    k, longest = closed.samples, closed.max_new_tokens
    if k == 0:
        return [[] for _ in rows]
    seed = list(SPLITS).index(name)
    uniforms = np.concatenate([np.random.default_rng([seed, i]).random((k, longest)) for i in rows])
    with torch.no_grad(), seeded(0):
        completion = sample(policy, prompt, completions=k, max_new_tokens=longest, uniforms=torch.from_numpy(uniforms))
    texts = texts_of(policy, completion)
    return [texts[i * k : (i + 1) * k] for i in range(len(rows))]

"""Closed experiments: methods play the raters' exact game on the candidates of each text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_bridge.experiment.configuration import ClosedSets, Experiment
from llm_bridge.experiment.evaluate import closed_tables
from llm_bridge.experiment.stages import read_json
from llm_bridge.experiment.start import Start, judge_about, judge_title, learned, texts_about, texts_of_split
from llm_bridge.experiment.states import CHUNK, written_by
from llm_bridge.judges import (
    Cached,
    SummaryFeatures,
    candidate_sets,
    intransitivity,
    judge_named,
    matrix,
    with_cycles,
)
from llm_bridge.policy import Policy, completions_of, save_policy
from llm_bridge.training import Closed, Players, Settings, bridged, train
from nashlab.files import plain

__all__ = ["ClosedGround"]

SETS = {"training": ("train", "prompts"), "held out": ("test", "held_out")}


@dataclass(frozen=True)
class ClosedGround:
    """Methods play the judge's exact game on the candidates of each text, and train the model itself."""

    experiment: Experiment
    start: Start
    folder: Path

    @classmethod
    def prepared(cls, experiment: Experiment, start: Start) -> ClosedGround:
        """The ground with its candidate sets."""
        return cls(experiment, start, start.made("sets", _sets_about(experiment), _make_sets))

    def about(self, method: str, settings: Settings) -> dict[str, Any]:
        """Base, candidate sets and training settings."""
        return {"sets": self.folder.name, "base": self.start.name,
                "closed": {"temperature": self._closed.temperature},
                "policy": asdict(self.experiment.policy), "tau": self.experiment.tau, "method": method,
                "settings": learned(settings)}  # fmt: skip

    @property
    def _closed(self) -> Any:
        return self.experiment.closed

    def set(self, name: str, policy: Policy) -> Closed:
        """One of the two sets, for the tokenizer of this policy."""
        about = read_json(self.folder / f"{name}.json")
        prompts = self.start.prompts(policy, about["texts"])
        rows = [completions_of(policy, each) for each in about["candidates"]]
        return Closed(prompts, rows, np.load(self.folder / f"{name}.npy"), self._closed.temperature)

    def make(self, method: str, settings: Settings, part: Path, work: Path) -> None:
        """Train, and keep the distribution on every candidate set, also the reference's, and the weights."""
        policy, reference = self.start.players(settings.seed)
        sets = {name: self.set(name, policy) for name in SETS}
        source, tau = sets["training"], self.experiment.tau

        def measure(players: Players) -> dict[str, float]:
            return source.measure(players, tau)

        train(policy, bridged(method), source, settings, reference=reference, folder=work, measure=measure)
        kept: dict[str, Any] = {name: closed.log_policies(policy) for name, closed in sets.items()}
        kept |= {f"{name}, reference": closed.log_policies(reference) for name, closed in sets.items()}
        np.savez(part / "log-policies.npz", **kept)
        save_policy(policy, part / "policy")

    def merit(self, record: Mapping[str, float]) -> float:
        """Minus the exploitability."""
        return -record["exploitability"]

    def results(self, places: Mapping[tuple[str, int], Path]) -> dict[str, Any]:
        """Tables by set of prompts."""
        logs = {key: dict(np.load(place / "log-policies.npz")) for key, place in places.items()}
        margins = {f"{name} prompts": np.load(self.folder / f"{name}.npy") for name in SETS}
        by_set = {
            f"{name} prompts": {
                "reference": next(iter(logs.values()))[f"{name}, reference"],
                "policies": {key: log[name] for key, log in logs.items()},
            }
            for name in SETS
        }
        known = {name: read_json(self.folder / f"{name}.json")["intransitivity"] for name in SETS}
        return {
            "kind": "closed",
            "judge": judge_title(self._closed.judge),
            "tables": closed_tables(self.experiment.methods, margins, by_set, self.experiment.tau),
            "intransitivity": known,
        }


def _sets_about(experiment: Experiment) -> dict[str, Any]:
    counts = {count: getattr(experiment.corpus, count) for _, count in SETS.values()}
    assert experiment.closed is not None
    usual = ClosedSets()  # what was so before there was a choice is omitted, so that folders keep their names
    chosen = {k: getattr(experiment.closed, k) for k in ("kinds", "samples", "max_new_tokens", "cycles")
              if getattr(experiment.closed, k) != getattr(usual, k)}  # fmt: skip
    return {"corpus": texts_about(experiment.corpus), **counts, **judge_about(experiment.closed.judge), **chosen}


def _make_sets(start: Start, part: Path, work: Path) -> None:
    """Candidates for each text and the judge's exact margins between them."""
    corpus, closed = start.experiment.corpus, start.experiment.closed
    assert closed is not None
    whole = texts_of_split(corpus, "train")
    for name, (split, count) in SETS.items():
        examples = texts_of_split(corpus, split, getattr(corpus, count))
        features = SummaryFeatures(whole, {e.prompt: e.summary for e in examples})
        written = _written(start, [e.prompt for e in examples], name) if closed.samples else ()
        candidates = candidate_sets(examples, features, kinds=closed.kinds, samples=written)
        texts = [e.prompt for e in examples]
        judge = judge_named(closed.judge, training=whole, evaluation=examples)
        p = with_cycles(np.stack(matrix(Cached(judge), texts, candidates)), closed.cycles)
        about = {"texts": texts, "candidates": candidates, "intransitivity": asdict(intransitivity(p))}
        (part / f"{name}.json").write_text(json.dumps(plain(about)), encoding="utf-8")
        np.save(part / f"{name}.npy", p - 0.5)


def _written(start: Start, texts: list[str], name: str) -> list[list[str]]:
    """The initial policy's own candidates for these texts."""
    policy, closed = start.players(0)[0], start.experiment.closed
    assert closed is not None
    prompts, found = start.prompts(policy, texts), []
    for first in range(0, len(texts), CHUNK):
        rows = range(first, min(first + CHUNK, len(texts)))
        found += written_by(policy, prompts.tokens(policy, rows), closed, name, rows)
    return found

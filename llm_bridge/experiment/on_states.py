"""Closed experiments on a frozen model's states: a small head learns on many texts, and unseen ones judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from llm_bridge.experiment.configuration import ClosedSets, Experiment, HeadOfStates
from llm_bridge.experiment.evaluate import closed_tables
from llm_bridge.experiment.evidence import Trial, evidence_of
from llm_bridge.experiment.learned_margins import RECIPE, fit_margins
from llm_bridge.experiment.stages import read_json
from llm_bridge.experiment.start import Start, device_of, judge_title, learned
from llm_bridge.experiment.states import SPLITS, make_states, read_states, states_about
from llm_bridge.judges import intransitivity, with_cycles
from llm_bridge.policy import HeadPolicy, Prompts, Reference
from llm_bridge.training import Closed, Players, Record, Settings, bridged, train
from nashlab.files import replacing
from nashlab.game import BadInput

__all__ = ["HeadGround"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeadGround:
    """Methods play the judge's exact game on numbered candidates; only the evaluation sees the held-out texts."""

    experiment: Experiment
    start: Start
    folder: Path

    @classmethod
    def prepared(cls, experiment: Experiment, start: Start) -> HeadGround:
        """The ground with its states, and every seed's preference model: two runs of one seed must not both fit it."""
        ground = cls(experiment, start, start.made("states", states_about(experiment), make_states))
        for seed in experiment.fitted_seeds:
            ground._model(seed)
        return ground

    def about(self, method: str, settings: Settings) -> dict[str, Any]:
        """States, head and training settings."""
        return {"states": self.folder.name, "head": asdict(self._head), "tau": self.experiment.tau, "method": method,
                "closed": {"temperature": self._closed.temperature, "cycles": self._closed.cycles, **self._fitted},
                "settings": learned(settings)}  # fmt: skip

    @property
    def _fitted(self) -> dict[str, Any]:
        """What is known of the preference model; nothing without one, so that folders of before keep their names."""
        return {"comparisons": self._closed.comparisons, "recipe": RECIPE} if self._closed.comparisons else {}

    @property
    def _closed(self) -> ClosedSets:
        assert self.experiment.closed is not None
        return self.experiment.closed

    @property
    def _head(self) -> HeadOfStates:
        assert self.experiment.head is not None
        return self.experiment.head

    @cached_property
    def _splits(self) -> dict[str, dict[str, Any]]:
        """Every split's texts and arrays, with the cycles that the experiment asks for."""
        cycles = self._closed.cycles
        return {
            name: split | {"margins": with_cycles(split["margins"] + 0.5, cycles) - 0.5}
            for name, split in _table(self.folder)[0].items()
        }

    def _sets(self) -> dict[str, Closed]:
        """The splits as closed sets of numbered texts and candidates."""
        found, first = {}, 0
        for name, split in self._splits.items():
            texts, k = split["log_mu"].shape
            prompts = Prompts(split["texts"], [[first + i] for i in range(texts)])
            found[name] = Closed(prompts, [[[y] for y in range(k)]] * texts, split["margins"])
            first += texts
        return found

    def _learned_from(self, seed: int) -> Closed:
        """The training texts that are used, with exact preferences or those of the model fitted from this seed."""
        whole, used = self._sets()["training"], self._used
        margins = np.load(self._model(seed) / "margins.npy") if self._fitted else whole.margins
        return Closed(whole.prompts.only(range(used)), whole.candidates[:used], margins[:used])

    @property
    def _used(self) -> int:
        """The number of training texts that are learned from."""
        there = len(self._splits["training"]["texts"])
        if self._head.texts > there:
            raise BadInput(f"head.texts = {self._head.texts}, must be at most the {there} training texts")
        return self._head.texts or there

    def _about_model(self, seed: int) -> dict[str, Any]:
        return {"states": self.folder.name, "cycles": self._closed.cycles, "texts": self._used,
                "width": self._head.width, "seed": seed, **self._fitted}  # fmt: skip

    def _model(self, seed: int) -> Path:
        """The stage of the preference model that is fitted to judgments drawn from this seed."""
        split, used = self._splits["training"], self._used

        def make(part: Path, work: Path) -> None:
            features = _table(self.folder)[1][:used]
            fit_margins(features, split["margins"][:used], split["texts"][:used], split["candidates"][:used],
                        count=self._closed.comparisons, width=self._head.width, seed=seed, part=part)  # fmt: skip

        return self.start.stages.made("margins", self._about_model(seed), make)

    def policy(self, seed: int) -> HeadPolicy:
        """The policy at its start, which is μ^(1/T) on the candidates."""
        device = device_of(self.experiment.policy.device)
        features = _table(self.folder)[1].to(device)
        log_mu = np.concatenate([split["log_mu"] for split in self._splits.values()])
        base = torch.from_numpy(log_mu / self._closed.temperature).float().to(device)
        return HeadPolicy(features, base, width=self._head.width, seed=seed)

    def make(self, method: str, settings: Settings, part: Path, work: Path) -> None:
        """Train; keep the policy on unseen texts at every snapshot, on the training texts at the end, and the head."""
        policy = self.policy(settings.seed)
        reference = Reference(policy.frozen_copy(), "copy")
        sets = self._sets()
        unseen = {name: closed for name, closed in sets.items() if name != "training"}
        places = work / "snapshots"
        places.mkdir(exist_ok=True)

        def snapshot(record: Record) -> None:
            step = int(record["step"])
            if step % self._head.snapshot_every == 0 or step == settings.steps:
                now: dict[str, Any] = {name: _policies(closed, policy) for name, closed in unseen.items()}
                with replacing(places / f"{step:07d}.npz") as half, half.open("wb") as file:
                    np.savez(file, **now)

        snapshot({"step": 0})

        def measure(players: Players) -> dict[str, float]:
            return sets["validation"].measure(players, self.experiment.tau)

        train(policy, bridged(method), self._learned_from(settings.seed), settings, reference=reference, folder=work,
              measure=measure, progress=snapshot, trackers=())  # fmt: skip
        files = sorted(places.glob("*.npz"))
        by_step: dict[str, Any] = {name: np.stack([np.load(file)[name] for file in files]) for name in unseen}
        np.savez(part / "snapshots.npz", steps=[int(file.stem) for file in files], **by_step)
        np.savez(part / "log-policies.npz", training=_policies(sets["training"], policy))
        save_file({k: v.contiguous().cpu() for k, v in policy.model.state_dict().items()}, part / "head.safetensors")

    def merit(self, record: Mapping[str, float]) -> float:
        """Minus the exploitability on the validation texts."""
        return -record["exploitability"]

    def results(self, places: Mapping[tuple[str, int], Path]) -> dict[str, Any]:
        """Tables on training and held-out texts, and what :func:`evidence_of` finds on the held-out ones."""
        margins = {name: split["margins"] for name, split in self._splits.items()}
        log_mu = {name: _policies(closed, self.policy(0)) for name, closed in self._sets().items()}
        last = {key: self._last(place) for key, place in places.items()}
        sets = ("training", "held out")
        by_set = {f"{name} prompts": {"reference": log_mu[name], "policies": {k: v[name] for k, v in last.items()}}
                  for name in sets}  # fmt: skip
        return {
            "kind": "closed",
            "judge": judge_title(self._closed.judge),
            "tables": closed_tables(self.experiment.methods, {f"{n} prompts": margins[n] for n in sets}, by_set,
                                    self.experiment.tau),
            "intransitivity": {name: asdict(intransitivity(margins[name] + 0.5)) for name in sets},
            "preference_model": self._qualities(sorted({seed for _, seed in places})),
            "evidence": evidence_of(
                self.experiment.methods, margins, log_mu, self._trials(places), self.experiment.tau
            ),
        }  # fmt: skip

    def _qualities(self, seeds: Sequence[int]) -> dict[str, float] | None:
        """Mean quality over seeds of the models that the methods learned from; None if they learned from the judge."""
        if not self._fitted:
            return None
        places = [self.start.stages.place("margins", self._about_model(seed)) for seed in seeds]
        found = [read_json(place / "quality.json") for place in places]
        return {name: float(np.mean([one[name] for one in found])) for name in found[0]}

    def _last(self, place: Path) -> dict[str, Array]:
        snapshots = np.load(place / "snapshots.npz")
        training = np.load(place / "log-policies.npz")["training"]
        return {"training": training, "held out": snapshots["held out"][-1]}

    def _trials(self, places: Mapping[tuple[str, int], Path]) -> list[Trial]:
        """The runs of the grid, or without one the experiment's own."""
        own = [(m, self.experiment.settings(m, seed)) for m, seed in places]
        found = {}
        for method, settings in [*self.experiment.trials(), *own]:
            place = self.start.stages.place(method, self.about(method, settings))
            kept = np.load(place / "snapshots.npz")
            found[place] = Trial(method, settings.tau, settings.beta if bridged(method).mixes else None, settings.seed,
                                 kept["steps"].tolist(), kept["validation"], kept["held out"])  # fmt: skip
        return list(found.values())


def _policies(closed: Closed, policy: HeadPolicy) -> Array:
    """log π of every text's candidates [X, K], in one pass: a head needs no small batches."""
    return closed.log_policies(policy, batch=len(closed))


@lru_cache(maxsize=1)
def _table(folder: Path) -> tuple[dict[str, dict[str, Any]], torch.Tensor]:
    """The stage's splits, and the features of all their candidates, read once for all runs of a process."""
    splits = {name: read_states(folder, name) for name in SPLITS}
    return splits, torch.from_numpy(_features(splits)).float()


def _features(splits: Mapping[str, Mapping[str, Any]]) -> NDArray[np.float64]:
    """φ of every text's candidates [X, K, F]: states, log μ, tokens and log μ per token, in units of their spread on
    the training texts."""

    def raw(split: Mapping[str, Any]) -> Array:
        numbers = [split["log_mu"], np.log(split["tokens"]), split["log_mu"] / split["tokens"]]
        return np.concatenate([split["states"], np.stack(numbers, axis=-1)], axis=-1).astype(np.float64)

    training = raw(splits["training"])
    centre, spread = training.mean(axis=(0, 1)), training.std(axis=(0, 1))
    return np.concatenate([(raw(split) - centre) / np.maximum(spread, 1e-6) for split in splits.values()])
